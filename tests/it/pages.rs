//! What browsers, spreadsheets and programs get over HTTP, from real runs, and what they must not get.

use std::{
    io,
    sync::{Arc, Mutex},
};

use cloud_sync::{
    domain::{
        address::SmtpAddress,
        mode::{Mode, Trigger as StartedBy},
        note::Code,
        report::Report,
    },
    engine::{PlanSource, RunRequest},
    functions::{Answer, App, Invocation, Response, Success, Trigger, invocation},
    sandbox::{tenant, zivver::API_KEY},
    state::RunId,
};
use serde_json::{Value, json};

use crate::world::World;

const FUNCTION_KEY: &str = "canary-function-key-51c0";

/// The app behind the host's envelope.
struct Site {
    world: World,
    app: App,
}

impl Site {
    async fn start(extra: &[(&str, &str)]) -> Self {
        let (exchange, organisation) = tenant::generate(2, 60);
        let world = World::with(exchange, organisation, extra).await;
        let app = App::new(Ok(world.engine.clone()));
        Self { world, app }
    }

    async fn send(&self, method: &str, path: &str, headers: Value, body: &str) -> Success {
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        let mut parameters = json!({"code": FUNCTION_KEY});
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            parameters[&*name] = json!(value);
        }
        let request = json!({"Data": {"req": {
            "Url": format!("https://sync.example/api/SyncHttp{path}?code={FUNCTION_KEY}"),
            "Method": method,
            "Query": parameters,
            "Headers": headers,
            "Params": {"path": bare.trim_start_matches('/')},
            "Body": body,
        }}, "Metadata": {}});
        let request = invocation::http(request.to_string().as_bytes()).unwrap();
        let invocation = Invocation {
            id: "i".into(),
            trigger: Trigger::Http(request),
        };
        match self.app.handle(invocation).await {
            Answer::Success(success) => success,
            Answer::Failure { cause } => panic!("{cause}"),
        }
    }

    async fn get(&self, path: &str, accept: &str) -> Response {
        self.send("GET", path, json!({"Accept": [accept]}), "")
            .await
            .response
            .unwrap()
    }

    async fn runs(&self) -> Value {
        let runs = self.get("/runs?format=json", "*/*").await;
        serde_json::from_str(&runs.body).unwrap()
    }

    async fn browse(&self, path: &str) -> Response {
        let response = self
            .get(path, "text/html,application/xhtml+xml,*/*;q=0.8")
            .await;
        assert_eq!(
            response.headers["Content-Type"], "text/html; charset=utf-8",
            "{}",
            response.body
        );
        let policy = &response.headers["Content-Security-Policy"];
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(response.headers["Referrer-Policy"], "no-referrer");
        let body = &response.body;
        assert!(!body.contains("style=\"") && !body.contains(" onclick") && !body.contains("src="));
        response
    }

    async fn post_form(&self, path: &str, body: &str) -> Success {
        let headers =
            json!({"Content-Type": ["application/x-www-form-urlencoded"], "Accept": ["text/html"]});
        self.send("POST", path, headers, body).await
    }
}

fn token(page: &str) -> &str {
    let (_, rest) = page.split_once("name=\"token\" value=\"").unwrap();
    rest.split_once('"').unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_comes_in_three_forms() {
    let site = Site::start(&[("MAX_ALIAS_REMOVALS", "0"), ("TARGET_FILTER", "vip")]).await;
    let report = site.world.preview().await;
    let path = format!("/runs/{}", report.id);
    let json: Value = serde_json::from_str(&site.get(&path, "*/*").await.body).unwrap();
    assert_eq!(json["id"], report.id);
    let page = site.browse(&path).await.body;
    let csv = site.get(&format!("{path}?format=csv"), "text/html").await;
    assert_eq!(csv.headers["Content-Type"], "text/csv; charset=utf-8");
    assert!(csv.headers["Content-Disposition"].contains(&report.id));
    for action in &report.actions {
        let address = action.action.address.as_str();
        assert!(
            page.contains(address) && csv.body.contains(address),
            "{address}"
        );
    }
    for format in ["json", "html", "csv"] {
        let known = &report.actions[0].action.address;
        for (path, status) in [
            ("/runs".to_owned(), 200),
            (format!("/accounts/{known}"), 200),
            (format!("/accounts/xx{known}"), 404),
        ] {
            let response = site.get(&format!("{path}?format={format}"), "*/*").await;
            assert_eq!(response.status, status, "{path} {format} {}", response.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r39_the_page_of_a_mistyped_address_leads_to_the_nearest() {
    let site = Site::start(&[]).await;
    let report = site.world.preview().await;
    let known = &report.actions[0].action.address;
    let page = site.browse(&format!("/accounts/xx{known}")).await;
    assert_eq!(page.status, 404);
    assert!(
        page.body
            .contains("Neither Exchange nor Zivver knows this address (did you mean "),
        "{}",
        page.body
    );
    let encoded = known.as_str().replace('@', "%40").replace('\'', "%27");
    assert!(
        page.body.contains(&format!("/accounts/{encoded}\"")),
        "{}",
        page.body
    );
    let sent = site.browse(&format!("?account=xx{known}")).await;
    assert_eq!(sent.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_and_starts_what_there_is() {
    let site = Site::start(&[("MAX_ALIAS_REMOVALS", "0"), ("MAX_NAME_CHANGES", "0")]).await;
    let empty = site.browse("/").await.body;
    assert!(empty.contains("No run yet"), "{empty}");
    let report = site.world.apply().await;
    let page = site.browse("").await.body;
    assert!(page.contains(&format!("/api/SyncHttp/runs/{}", report.id)));
    for held in &report.held {
        assert!(page.contains(&format!("name=\"approve\" value=\"{}\"", held.code)));
    }
    let run = site.browse(&format!("/runs/{}", report.id)).await.body;
    assert!(run.contains("Undo this run"));

    let token = token(&page);
    let queued = site
        .post_form("", &format!("token={token}&mode=apply&sure=yes&accounts="))
        .await;
    let response = queued.response.unwrap();
    assert_eq!(
        (response.status, queued.next.len()),
        (202, 1),
        "{}",
        response.body
    );
    assert!(
        response
            .body
            .contains(&format!("/runs/{}", queued.next[0].run))
    );
    let undo = site
        .post_form(
            &format!("/runs/{}/undo", report.id),
            &format!("token={token}&mode=preview"),
        )
        .await;
    assert_eq!(undo.next.len(), 1);

    let forged = site.post_form("", "token=1.00&mode=apply").await;
    assert_eq!(
        (forged.response.unwrap().status, forged.next.len()),
        (403, 0)
    );
    let bare = site.post_form("", "mode=preview").await;
    assert_eq!((bare.response.unwrap().status, bare.next.len()), (403, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_the_dashboard_says_which_run_failed() {
    let site = Site::start(&[("PERFORM_SYNC", "on-demand")]).await;
    let fault = || site.world.sandbox.exchange.control().fail_next(403);
    site.world.preview().await;
    // An apply is no run of the timer: it is named, and runs succeed all the same.
    fault();
    let failed = RunRequest::new(Mode::Apply, StartedBy::Http);
    let failed = site.world.run_for(&failed).await.unwrap();
    let page = site.browse("").await.body;
    assert!(
        page.contains("The last apply, of ") && page.contains(&failed.id),
        "{page}"
    );
    assert!(
        page.contains("The runs of the timer succeed, but another run failed."),
        "{page}"
    );
    assert!(page.contains("apply: failed, 0 accounts changed"), "{page}");
    assert!(page.contains("Last full preview that succeeded"), "{page}");
    // A preview that failed before an apply that ended well.
    fault();
    let failed = RunRequest::new(Mode::Preview, StartedBy::Http);
    let failed = site.world.run_for(&failed).await.unwrap();
    site.world.apply().await;
    let page = site.browse("").await.body;
    let told = format!("The last preview, of {}, failed", failed.started);
    assert!(
        page.contains(&told) && !page.contains("The last apply, of"),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r47_a_held_set_is_decided_on_its_page() {
    let site = Site::start(&[("MAX_ALIAS_REMOVALS", "0")]).await;
    let report = site.world.preview().await;
    let set = &report.held[0];
    let address = set.changes[0].address.as_str();
    let path = format!("/runs/{}", report.id);
    let page = site.browse(&path).await.body;
    let token = token(&page);
    assert!(page.contains(&format!("name=\"account\" value=\"{address}\"")));
    let form = format!("token={token}&mode=apply&approve={}", set.code);
    let post = async |fields: &str| site.post_form("", &format!("{form}&{fields}")).await;

    let nothing = post("do=reject-selected").await.response.unwrap();
    assert_eq!(nothing.status, 400);
    assert!(nothing.body.contains("No change is selected"));
    assert!(
        nothing.body.contains("<h1>Not done</h1>"),
        "{}",
        nothing.body
    );
    let some = format!("account={address}");
    let rejected = post(&format!("{some}&do=reject-selected")).await;
    assert!(rejected.next.is_empty());
    let rejected = rejected.response.unwrap();
    assert_eq!(rejected.status, 200);
    assert!(rejected.body.contains("Take back") && rejected.body.contains(address));
    let listed = site.get("/rejections", "application/json").await;
    let listed: Value = serde_json::from_str(&listed.body).unwrap();
    assert_eq!(listed["rejections"][0]["change"]["address"], address);
    // R47: what is rejected now is not offered again, on no page.
    let others = set
        .changes
        .iter()
        .filter(|it| it.address.as_str() != address);
    let others = others.count();
    let shown = [site.browse("").await.body, site.browse(&path).await.body];
    for page in shown {
        assert!(!page.contains(&format!("name=\"account\" value=\"{address}\"")));
        assert!(page.contains("Rejected since") && page.contains("/rejections?format=html"));
        let count = format!("<summary>Changes <span class=\"count\">{others}</span>");
        assert!(page.contains(&count), "{count} {page}");
    }
    let again = site.world.preview().await;
    let is_rejected = |report: &Report| {
        let mut notes = report.skipped.iter();
        notes.any(|note| note.code == Code::Rejection && note.address == address)
    };
    assert!(is_rejected(&again));

    let back = format!("token={token}&code={}&undo=yes", set.code);
    let back = site.post_form("/rejections", &back).await.response.unwrap();
    assert!(back.body.contains("Nothing is rejected"), "{}", back.body);
    assert!(!is_rejected(&site.world.preview().await));

    let approved = post(&format!("{some}&sure=yes&do=approve-selected")).await;
    let run = approved.next[0].run.clone();
    let summary = site.world.engine.summary(&run).await.unwrap().unwrap();
    assert_eq!(summary.approve, std::slice::from_ref(&set.code));
    let approved = summary.approve_accounts.iter();
    let approved: Vec<&str> = approved.map(SmtpAddress::as_str).collect();
    assert_eq!(approved, [address]);
    let stale =
        json!({"mode": "apply", "approve": [set.code], "approve_accounts": ["x@corp.example"]});
    let headers = json!({"Content-Type": ["application/json"]});
    let stale = site.send("POST", "/", headers, &stale.to_string()).await;
    assert_eq!(stale.response.unwrap().status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn r34_a_run_is_stopped_on_its_page() {
    let site = Site::start(&[]).await;
    let request = RunRequest::new(Mode::Apply, StartedBy::Http);
    let id = site.world.engine.enqueue(&request).await.unwrap();
    let path = format!("/runs/{id}");
    let page = site.browse(&path).await.body;
    assert!(page.contains("Stop this run"), "{page}");
    let form = format!("token={}", token(&page));
    let stop = format!("{path}/stop");
    let forged = site.post_form(&stop, "token=1.00").await.response.unwrap();
    assert_eq!(forged.status, 403);
    let stopped = site.post_form(&stop, &form).await;
    assert!(stopped.next.is_empty());
    assert_eq!(stopped.response.unwrap().status, 202);
    let page = site.browse(&path).await.body;
    assert!(page.contains("stopped by a person") && !page.contains("Stop this run"));
    let again = site
        .send("POST", &stop, json!({}), "")
        .await
        .response
        .unwrap();
    assert_eq!(again.status, 409, "{}", again.body);
    let dashboard = site.browse("/").await.body;
    assert!(dashboard.contains("no complete run yet"), "{dashboard}");
    assert!(!dashboard.contains("failing"), "{dashboard}");
    assert!(!dashboard.contains("role=\"alert\""), "{dashboard}");
    assert_eq!(site.get("/health", "*/*").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn r39_the_page_of_a_run_for_a_mistyped_address_says_that_both_sides_were_read() {
    let site = Site::start(&[]).await;
    let report = site
        .world
        .scoped(Mode::Preview, &["nobody@corp.example"])
        .await;
    let page = site.browse(&format!("/runs/{}", report.id)).await.body;
    for words in [
        "Both sides were read, and nothing was planned, because an address is unknown (R39).",
        "not known",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("not read"), "{page}");
}

/// The number on a tile of a page.
fn tile(page: &str, name: &str) -> Option<u32> {
    let (before, _) = page.split_once(&format!("</b> <span>{name}</span>"))?;
    before.rsplit_once("<b>")?.1.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_a_run_in_progress_shows_what_is_known_of_it_and_no_zeros() {
    let site = Site::start(&[]).await;
    let zivver = site.world.sandbox.zivver.control();
    zivver.set_latency(std::time::Duration::from_millis(300));
    let request = RunRequest::new(Mode::Apply, StartedBy::Http);
    let applied = |page: &str| {
        let one = tile(page, "account applied");
        one.or_else(|| tile(page, "accounts applied"))
    };
    let look = async {
        let (id, page) = loop {
            let runs = site.runs().await;
            let id = runs["runs"][0]["id"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let page = site.browse(&format!("/runs/{id}")).await.body;
            if applied(&page).is_some() {
                break (id, page);
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        for words in ["What the run changes", "known when the run has ended"] {
            assert!(page.contains(words), "{words}: {page}");
        }
        for words in [
            "Zivver users",
            "0 kB",
            "0 ms",
            "erification",
            "What changed",
        ] {
            assert!(!page.contains(words), "{words}: {page}");
        }
        let dashboard = site.browse("/").await.body;
        assert!(dashboard.contains("A run is in progress"), "{dashboard}");
        let runs = site.runs().await;
        let sum = |counts: &Value| -> u64 {
            let counts = counts.as_object().unwrap().values();
            counts.map(|it| it.as_u64().unwrap()).sum()
        };
        let counts = &runs["runs"][0]["counts"];
        assert_eq!(
            Some(sum(&counts["planned"])),
            tile(&page, "accounts planned").map(u64::from)
        );
        assert!(sum(&counts["applied"]) > 0);
        let table = site.get("/runs?format=csv", "*/*").await.body;
        let row: Vec<&str> = table.lines().nth(1).unwrap().split(',').collect();
        assert_eq!(row[11], "\"\"", "held is not known yet: {row:?}");
        let report = site.world.engine.report(&RunId::parse(&id).unwrap()).await;
        let terminal = cloud_sync::cli::terminal(&report.unwrap());
        assert!(!terminal.contains("asked Exchange"), "{terminal}");
    };
    let (report, ()) = tokio::join!(site.world.run_for(&request), look);
    let report = report.unwrap();
    let page = site.browse(&format!("/runs/{}", report.id)).await.body;
    for words in ["Zivver users", "Held the lock as", "What changed"] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_keep_to_the_published_schema() {
    let schema = include_str!("../../docs/report.schema.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let mut closed = schema.clone();
    close(&mut closed);
    let site = Site::start(&[("MAX_ALIAS_REMOVALS", "0"), ("MAX_NAME_CHANGES", "0")]).await;
    let mut reports = vec![site.world.preview().await];
    reports.push(site.world.apply().await);
    reports.push(site.world.apply().await);
    for _ in 0..4 {
        site.world.sandbox.zivver.control().fail_next(401);
    }
    reports.push(site.world.preview().await);
    assert!(reports[3].error.is_some());
    assert!(reports.iter().any(|report| report.since.is_some()));
    assert!(reports.iter().any(|report| !report.suspended.is_empty()));
    let plan = RunRequest {
        plan: Some(PlanSource::of(reports[0].clone()).unwrap()),
        ..RunRequest::new(Mode::Apply, StartedBy::Http)
    };
    reports.push(site.world.run_for(&plan).await.unwrap());
    assert!(reports.iter().any(|report| report.applies.is_some()));
    for report in &reports {
        let report = serde_json::to_value(report).unwrap();
        for schema in [&schema, &closed] {
            check(schema, &report).unwrap_or_else(|error| panic!("{error:#}"));
        }
        // The check itself must be able to fail.
        let mut broken = report.clone();
        broken["outcome"] = json!("fine");
        assert!(check(&schema, &broken).is_err());
    }
}

fn check(schema: &Value, value: &Value) -> Result<(), String> {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.enable_format_assertions();
    compiler
        .add_resource("urn:cloud-sync:report:1", schema.clone())
        .unwrap();
    let index = compiler
        .compile("urn:cloud-sync:report:1", &mut schemas)
        .unwrap();
    schemas
        .validate(value, index)
        .map_err(|error| format!("{error:#}"))
}

/// Allows no member that the schema does not name, so that a new one cannot be forgotten there.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if members.get("type") == Some(&json!("object")) && members.contains_key("properties") {
                members.insert("additionalProperties".into(), false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Everything that is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One thread, so that everything that happens is logged here.
#[tokio::test]
async fn no_secret_is_in_a_log_a_report_a_page_or_a_message() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let webhook = "http://127.0.0.1:9/hook/canary-webhook-2b";
    let site = Site::start(&[
        ("NOTIFY_URL", webhook),
        ("SMTP_URL", "smtp://robot:canary-mail-5d@127.0.0.1:9"),
        ("MAIL_FROM", "robot@corp.example"),
        ("MAIL_TO", "admin@corp.example"),
    ])
    .await;
    let access_token = site.world.settings["CLOUD_SYNC__ACCESS_TOKEN"].clone();
    let secrets = [
        FUNCTION_KEY,
        API_KEY,
        &access_token,
        "canary-webhook-2b",
        "canary-mail-5d",
    ];

    let mut seen = vec![serde_json::to_string(&site.world.apply().await).unwrap()];
    for _ in 0..4 {
        site.world.sandbox.zivver.control().fail_next(401);
    }
    let failed = site.world.apply().await;
    seen.push(serde_json::to_string(&failed).unwrap());
    for path in [
        "",
        "/runs",
        "/health",
        &format!("/runs/{}", failed.id),
        "/accounts/x@corp.example",
        "/nothing",
    ] {
        for accept in ["*/*", "text/html", "text/csv"] {
            let response = site.get(path, accept).await;
            seen.push(format!("{:?}{}", response.headers, response.body));
        }
    }
    seen.push(format!("{:?}", site.post_form("", "mode=apply").await));
    seen.push(format!("{:?}{:?}", site.app, site.world.engine));
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        logged.contains("the notification was not sent"),
        "the failed notification is a warning"
    );
    assert!(logged.contains("mail"), "the failed mail is one too");
    seen.push(logged);
    for text in &seen {
        for secret in secrets {
            assert!(
                !text.contains(secret),
                "{}",
                text.split(secret).next().unwrap_or_default()
            );
        }
    }
}

/// The path and the body that a page shows for a POST. `path` is below the dashboard.
fn posted(page: &str) -> (String, Value) {
    let (_, rest) = page.split_once("<code>POST …/SyncHttp").unwrap();
    let (call, _) = rest.split_once("</code>").unwrap();
    let (path, body) = call.split_once(' ').unwrap();
    let body = body.replace("&quot;", "\"");
    (path.to_owned(), serde_json::from_str(&body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn r27_r37_r39_the_call_on_a_page_releases_what_it_shows() {
    let site = Site::start(&[("MAX_ALIAS_REMOVALS", "0"), ("MAX_SUSPEND", "0")]).await;
    let preview = site.world.preview().await;
    let scoped = preview.held[0].changes[0].address.to_string();
    let scoped = site.world.scoped(Mode::Preview, &[&scoped]).await;
    let applied = site.world.apply().await;
    let mut undo = RunRequest::new(Mode::Preview, StartedBy::Http);
    undo.undo = RunId::parse(&applied.id);
    let undo = site.world.run_for(&undo).await.unwrap();
    for report in [&scoped, &undo] {
        let page = site.browse(&format!("/runs/{}", report.id)).await.body;
        let (path, mut body) = posted(&page);
        body["wait"] = json!(120);
        let headers = json!({"Content-Type": ["application/json"]});
        let ended = site.send("POST", &path, headers, &body.to_string()).await;
        let ended = ended.response.unwrap();
        assert_eq!(ended.status, 200, "{path} {body} {}", ended.body);
        let ended: Report = serde_json::from_str(&ended.body).unwrap();
        assert_eq!(
            (&ended.accounts, &ended.undoes),
            (&report.accounts, &report.undoes)
        );
        let set = &report.held[0];
        let made: Vec<&str> = ended
            .actions
            .iter()
            .map(|it| it.action.address.as_str())
            .collect();
        for change in &set.changes {
            assert!(
                made.contains(&change.address.as_str()),
                "{change:?} {made:?}"
            );
        }
        // Its form sends the same.
        let form = format!("token={}&mode=apply&approve={}", token(&page), set.code);
        let (_, action) = page
            .split_once("<form class=\"held\" method=\"post\" action=\"/api/SyncHttp")
            .unwrap();
        let (action, _) = action.split_once('"').unwrap();
        assert_eq!(action, path);
        let accounts = report
            .accounts
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        let hidden = format!("name=\"accounts\" value=\"{}\"", accounts.join(" "));
        assert_eq!(page.contains(&hidden), !accounts.is_empty());
        assert!(site.post_form(action, &form).await.response.unwrap().status < 500);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_where_nothing_may_write_a_page_says_what_to_set_first() {
    let site = Site::start(&[("MAX_ALIAS_REMOVALS", "0"), ("PERFORM_SYNC", "false")]).await;
    let report = site.world.preview().await;
    let page = site.browse(&format!("/runs/{}", report.id)).await.body;
    assert!(
        page.contains("set CLOUD_SYNC__PERFORM_SYNC=on-demand first (R28)"),
        "{page}"
    );
    assert!(!page.contains("approve-all") && page.contains("reject-selected"));
}
