//! The simulated Zivver, item by item (`docs/specs/zivver-scim.md`, "8. Checklist for the simulator").

mod faults;
mod groups;
mod life;
mod together;
mod users;

use cloud_sync::sandbox::zivver::{API_KEY, Group, Organisation, Simulator, User};
use cloud_sync::sandbox::{Sandbox, SandboxOptions};
use reqwest::{Method, Response};
use serde_json::{Value, json};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const ZIVVER_USER: &str = "urn:ietf:params:scim:schemas:zivver:0.1:User";
const ZIVVER_GROUP: &str = "urn:ietf:params:scim:schemas:zivver:0.1:Group";
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// One running sandbox and a caller with the right key.
struct World {
    sandbox: Sandbox,
    client: reqwest::Client,
}

/// The answer: the status and the body as text.
#[derive(Debug, Eq, PartialEq)]
struct Reply {
    status: u16,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

fn reply(status: u16, text: &str) -> Reply {
    Reply {
        status,
        text: text.to_owned(),
    }
}

impl World {
    async fn start(organisation: Organisation) -> Self {
        let sandbox = Sandbox::start(SandboxOptions {
            organisation,
            ..SandboxOptions::default()
        })
        .await
        .unwrap();
        let client = crate::world::http_client().no_proxy().build().unwrap();
        Self { sandbox, client }
    }

    fn zivver(&self) -> &Simulator {
        &self.sandbox.zivver
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/scim/v2/{path}", self.sandbox.zivver_url());
        self.client.request(method, url).bearer_auth(API_KEY)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        received(request.send().await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    async fn find(&self, collection: &str, attribute: &str, address: &str) -> Vec<Value> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("filter", &format!("{attribute} eq \"{address}\""))
            .finish();
        let reply = self.get(&format!("{collection}?{query}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()["Resources"].as_array().unwrap().clone()
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.with_body(Method::POST, path, "application/json", body)
            .await
    }

    async fn put(&self, path: &str, body: Value) -> Reply {
        self.with_body(Method::PUT, path, "application/json", body)
            .await
    }

    async fn patch(&self, path: &str, body: Value) -> Reply {
        let request = self
            .request(Method::PATCH, path)
            .header("accept", "application/scim+json");
        self.send(
            request
                .header("content-type", "application/scim+json")
                .body(body.to_string()),
        )
        .await
    }

    async fn with_body(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Value,
    ) -> Reply {
        let request = self
            .request(method, path)
            .header("content-type", content_type);
        self.send(request.body(body.to_string())).await
    }

    /// Writes to the control plane.
    async fn control(&self, method: Method, path: &str, body: Value) -> Reply {
        let url = format!("{}/sandbox/zivver/{path}", self.sandbox.url());
        self.send(self.client.request(method, url).body(body.to_string()))
            .await
    }
}

async fn received(response: Response) -> Reply {
    Reply {
        status: response.status().as_u16(),
        text: response.text().await.unwrap(),
    }
}

fn user_schemas() -> Value {
    json!([
        "urn:ietf:params:scim:schemas:core:2.0:User",
        ENTERPRISE,
        ZIVVER_USER
    ])
}

fn group_schemas() -> Value {
    json!([
        "urn:ietf:params:scim:schemas:core:2.0:Group",
        ZIVVER_GROUP,
        ENTERPRISE
    ])
}

/// Joins the schemas of a user with the other members of a body.
fn user_body(mut body: Value) -> Value {
    body["schemas"] = user_schemas();
    body
}

fn group_body(mut body: Value) -> Value {
    body["schemas"] = group_schemas();
    body
}

const ANNA: &str = "00000000-0000-4000-8000-0000000000a1";
const BAS: &str = "00000000-0000-4000-8000-0000000000b2";
const INFO: &str = "00000000-0000-4000-8000-0000000000c3";

/// Two users and a functional account.
fn small() -> Organisation {
    let mut anna = User::new("anna@corp.example", "Anna")
        .alias("a.one@corp.example")
        .delegate("bas@corp.example")
        .key("key-of-anna")
        .external_account_id("00000000-0000-4000-8000-0000000000e1");
    ANNA.clone_into(&mut anna.id);
    anna.phone_numbers.push("+12025550123".to_owned());
    let mut bas = User::new("bas@corp.example", "Bas");
    BAS.clone_into(&mut bas.id);
    bas.division = None;
    let mut info = Group::new("info@corp.example", "Info")
        .alias("contact@corp.example")
        .member(ANNA);
    INFO.clone_into(&mut info.id);
    let mut organisation = Organisation::new(["corp.example"])
        .with_user(anna)
        .with_user(bas)
        .with_group(info);
    organisation.divisions.push("Sales".to_owned());
    organisation.guests.push("guest@corp.example".to_owned());
    organisation
        .free_accounts
        .push("free@corp.example".to_owned());
    organisation
}
