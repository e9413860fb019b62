//! The simulated Exchange, called with a plain HTTP client and raw JSON, item by item (`docs/specs/exchange-online.md`,
//! "8.1 Behaviours").

mod access;
mod batches;
mod client;
mod cmdlets;
mod limits;
mod listing;
mod permissions;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloud_sync::sandbox::exchange::{Simulator, Tenant};
use cloud_sync::sandbox::{Sandbox, SandboxOptions};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, redirect};
use serde_json::{Value, json};

/// The simulator on a free port, and a caller with a token.
struct Bench {
    simulator: Simulator,
    client: reqwest::Client,
    origin: String,
    /// `{origin}/adminapi/beta/{tenant}`
    root: String,
    token: String,
    anchor: Option<&'static str>,
    _sandbox: Sandbox,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Bench {
    async fn new(tenant: Tenant) -> Self {
        let tenant_id = tenant.tenant_id.clone();
        let options = SandboxOptions {
            tenant,
            ..SandboxOptions::default()
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        let simulator = sandbox.exchange.clone();
        let origin = sandbox.exchange_url();
        let client = crate::world::http_client()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            root: format!("{origin}/adminapi/beta/{tenant_id}"),
            token: simulator.identity().mint(),
            simulator,
            client,
            origin,
            anchor: Some("APP:SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}@tenant"),
            _sandbox: sandbox,
        }
    }

    fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let url = if url.starts_with("http") {
            url.to_owned()
        } else {
            format!("{}{url}", self.root)
        };
        let mut request = self
            .client
            .request(method, url)
            .bearer_auth(&self.token)
            .header("accept", "application/json");
        if let Some(anchor) = self.anchor {
            request = request.header("x-anchormailbox", anchor);
        }
        request
    }

    async fn get(&self, url: &str) -> Answer {
        send(self.request(Method::GET, url)).await
    }

    async fn post(&self, url: &str, body: &Value) -> Answer {
        send(self.post_request(url, body)).await
    }

    fn post_request(&self, url: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, url)
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    async fn cmdlet(&self, name: &str, parameters: Value) -> Answer {
        self.post("/InvokeCommand", &command(name, parameters))
            .await
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers write it down in place"
)]
fn command(name: &str, parameters: Value) -> Value {
    json!({"CmdletInput": {"CmdletName": name, "Parameters": parameters}})
}

async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.bytes().await.unwrap().to_vec(),
    }
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&self.body)))
    }

    /// The body of a success.
    #[track_caller]
    fn ok(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, 200, "{text}");
        self.json()
    }

    #[track_caller]
    fn rows(&self) -> Vec<Value> {
        self.ok()["value"].as_array().cloned().unwrap_or_default()
    }

    /// One member of all rows, as text.
    #[track_caller]
    fn column(&self, member: &str) -> Vec<String> {
        let text = |row: &Value| row[member].as_str().unwrap_or("-").to_owned();
        self.rows().iter().map(text).collect()
    }

    #[track_caller]
    fn next_link(&self) -> Option<String> {
        self.ok()["@odata.nextLink"].as_str().map(str::to_owned)
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The exception's text, or the message of an error without one.
    #[track_caller]
    fn cause(&self) -> String {
        let error = &self.json()["error"];
        let inner = &error["innererror"];
        [&inner["internalexception"]["message"], &inner["message"]]
            .iter()
            .find_map(|text| text.as_str())
            .unwrap_or_default()
            .to_owned()
    }
}

/// The path of a permission read by encoded key.
fn permission_path(identity: &str) -> String {
    let encoded = STANDARD.encode(identity);
    let key = utf8_percent_encode(&encoded, NON_ALPHANUMERIC);
    format!("/Mailbox('{key}')/MailboxPermission?isEncoded=true")
}
