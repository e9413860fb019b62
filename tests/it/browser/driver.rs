//! A headless Chromium, controlled over `WebDriver` (W3C), and over Chromium's own protocol for what `WebDriver` cannot
//! do.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

/// The key of an element in answers (`WebDriver` section 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Far above what any step takes, since a machine that runs these tests can stand still for a while.
const PATIENCE: Duration = Duration::from_secs(300);

/// One browser window. Closed at the end of the test.
pub(super) struct Browser {
    driver: Child,
    client: reqwest::Client,
    session: String,
    axe: String,
}

/// Colour scheme and window size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) width: u32,
    pub(super) dark: bool,
}

impl Look {
    /// A desktop and a telephone, in light and dark mode.
    pub(super) const ALL: [Self; 4] = [
        Self::new(1280, false),
        Self::new(1280, true),
        Self::new(390, false),
        Self::new(390, true),
    ];

    pub(super) const fn new(width: u32, dark: bool) -> Self {
        Self { width, dark }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Element(String);

/// A tool whose path is in this variable, or that is on the search path.
fn tool(variable: &str, name: &str) -> Option<PathBuf> {
    let named = env::var_os(variable).map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    named.or_else(|| {
        env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|program| program.is_file())
    })
}

impl Browser {
    /// `None` if Chromium, its driver or axe are not installed. In CI that is a failure.
    pub(super) async fn open() -> Option<Self> {
        let tools = (
            tool("CHROMEDRIVER", "chromedriver"),
            tool("CHROMIUM", "chromium"),
            env::var_os("AXE").map(PathBuf::from),
        );
        let (Some(driver), Some(chromium), Some(axe)) = tools else {
            let lacking = "no browser: apt-get install chromium chromium-driver, npm install axe-core, AXE=…/axe.min.js";
            assert!(
                env::var_os("CI").is_none(),
                "CI is set but there is {lacking}"
            );
            // Written directly to stderr, since the test harness captures other output.
            let mut stderr = std::io::stderr();
            Write::write_fmt(&mut stderr, format_args!("skipped: {lacking}\n")).unwrap();
            return None;
        };
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.expect("the driver says on which port it listens");
        let mut browser = Self {
            driver,
            client: crate::world::http_client().no_proxy().build().unwrap(),
            session: format!("http://127.0.0.1:{port}/session"),
            axe: std::fs::read_to_string(axe).unwrap(),
        };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            "--no-proxy-server",
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"script": PATIENCE.as_millis(), "pageLoad": PATIENCE.as_millis()},
        }}});
        let begun = browser.post("", &capabilities).await;
        let id = begun["sessionId"].as_str().unwrap();
        browser.session = format!("{}/{id}", browser.session);
        Some(browser)
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.try_post(path, body)
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn try_post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let url = format!("{}{path}", self.session);
        let request = self.client.post(url).body(body.to_string());
        Self::value(request.send().await).await
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.session));
        Self::value(request.send().await).await.unwrap()
    }

    async fn value(answer: reqwest::Result<reqwest::Response>) -> Result<Value, String> {
        let answer = answer.map_err(|error| error.to_string())?;
        let failed = !answer.status().is_success();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        let mut body: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let value = body["value"].take();
        if failed {
            return Err(format!("{}: {}", value["error"], value["message"]));
        }
        Ok(value)
    }

    /// Opens a page and waits until it is loaded and its script has run, which a driver on a loaded machine does not
    /// always do by itself.
    pub(super) async fn go(&self, url: &str) {
        self.post("/url", &json!({ "url": url })).await;
        while self.run("return document.readyState").await != "complete" {
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn address(&self) -> String {
        self.get("/url").await.as_str().unwrap().to_owned()
    }

    pub(super) async fn back(&self) {
        self.post("/back", &json!({})).await;
    }

    /// `script` is the body of a function, and its arguments are `arguments`.
    pub(super) async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
            .await
    }

    /// All visible text.
    pub(super) async fn text(&self) -> String {
        let text = self.run("return document.body.innerText").await;
        text.as_str().unwrap_or_default().to_owned()
    }

    async fn find(&self, xpath: &str) -> Result<Element, String> {
        let by = json!({"using": "xpath", "value": xpath});
        let found = self.try_post("/element", &by).await?;
        let id = found[ELEMENT].as_str();
        Ok(Element(id.ok_or("an element without an id")?.to_owned()))
    }

    /// Waits until the element exists.
    #[track_caller]
    pub(super) fn element(&self, xpath: &str) -> impl Future<Output = Element> {
        let caller = std::panic::Location::caller();
        async move {
            let begun = Instant::now();
            loop {
                let error = match self.find(xpath).await {
                    Ok(element) => return element,
                    Err(error) => error,
                };
                let text = self.text().await;
                assert!(
                    begun.elapsed() < PATIENCE,
                    "{caller}: no {xpath} ({error}) in\n{text}"
                );
                tokio::task::yield_now().await;
            }
        }
    }

    /// Clicks a button or link with this label.
    pub(super) async fn click(&self, label: &str) {
        let same = format!("normalize-space()=\"{label}\"");
        let xpath = format!(
            "//main//button[{same}] | //a[{same}] | //main//summary[starts-with(normalize-space(), \"{label}\")]"
        );
        let element = self.element(&xpath).await;
        self.click_on(&element).await;
    }

    pub(super) async fn click_on(&self, element: &Element) {
        self.post(&format!("/element/{}/click", element.0), &json!({}))
            .await;
    }

    pub(super) async fn write(&self, element: &Element, text: &str) {
        let path = format!("/element/{}/value", element.0);
        self.post(&path, &json!({ "text": text })).await;
    }

    /// Waits until the page contains these words.
    #[track_caller]
    pub(super) fn says(&self, words: &str) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            let begun = Instant::now();
            loop {
                let text = self.text().await;
                if text.contains(words) {
                    return text;
                }
                assert!(
                    begun.elapsed() < PATIENCE,
                    "{caller}: no {words:?} in\n{text}"
                );
                tokio::task::yield_now().await;
            }
        }
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.post("/goog/cdp/execute", &body).await
    }

    pub(super) async fn look(&self, look: Look) {
        let metrics = json!({
            "width": look.width, "height": 844, "deviceScaleFactor": 1, "mobile": look.width < 600,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let scheme = if look.dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Sets the time zone of the reader.
    pub(super) async fn zone(&self, zone: &str) {
        let zone = json!({"timezoneId": zone});
        self.devtools("Emulation.setTimezoneOverride", zone).await;
    }

    /// The whole page, or its upper part, as a PNG file.
    pub(super) async fn picture(&self, file: &Path, height_max: u64) {
        let size = self
            .run("return [document.documentElement.clientWidth, document.documentElement.scrollHeight]")
            .await;
        let height = size[1].as_u64().unwrap().min(height_max);
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": height, "scale": 1});
        let shot = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let answer = self.devtools("Page.captureScreenshot", shot).await;
        let bytes = BASE64_STANDARD
            .decode(answer["data"].as_str().unwrap())
            .unwrap();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    /// The findings of axe, one line each (WCAG 2.2 A and AA, and best practices).
    pub(super) async fn violations(&self) -> Vec<String> {
        let script = "const done = arguments[arguments.length - 1];
            axe.run().then((found) => done(found.violations.map((it) => it.id + ': ' + it.help + ': '
                + it.nodes.slice(0, 3).map((node) => node.html + ' ' + node.failureSummary).join(' | '))), (error) => done([String(error)]));";
        // In one script together with axe, since a page may reload itself in between.
        let script = format!("{}\n{script}", self.axe);
        let found = self
            .post("/execute/async", &json!({"script": script, "args": []}))
            .await;
        let lines = found.as_array().unwrap().iter();
        lines
            .map(|line| line.as_str().unwrap().to_owned())
            .collect()
    }

    /// The elements that are wider than the window.
    pub(super) async fn overflows(&self) -> Vec<String> {
        let script = "const width = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= width) return [];
            return Array.from(document.querySelectorAll('body *'))
                .filter((it) => it.getBoundingClientRect().right > width + 1)
                .slice(0, 5).map((it) => it.outerHTML.slice(0, 200));";
        let found = self.run(script).await;
        let lines = found.as_array().unwrap().iter();
        lines
            .map(|line| line.as_str().unwrap().to_owned())
            .collect()
    }

    /// The messages in the browser's console: refused scripts, missing files, errors.
    pub(super) async fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "browser"})).await;
        let lines = log.as_array().unwrap().iter();
        lines.map(|line| line["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver itself does not close Chromium.
        let url = url::Url::parse(&self.session).unwrap();
        let address = ("127.0.0.1", url.port().unwrap());
        let told = TcpStream::connect(address).and_then(|mut stream| {
            let path = url.path();
            write!(stream, "DELETE {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.read(&mut [0; 1024])
        });
        drop(self.driver.kill());
        drop(self.driver.wait());
        assert!(told.is_ok_and(|count| count > 0), "the driver is gone");
    }
}
