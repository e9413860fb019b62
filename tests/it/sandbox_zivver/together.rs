use cloud_sync::sandbox::exchange::Tenant;
use cloud_sync::sandbox::{Sandbox, SandboxOptions};
use serde_json::Value;

use super::{World, small};

#[tokio::test]
async fn all_services_answer_on_one_port() {
    let tenant = Tenant::new("corp.example").user("anna@corp.example");
    let options = SandboxOptions {
        port: 0,
        tenant,
        organisation: small(),
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    let client = crate::world::http_client().no_proxy().build().unwrap();
    let world = World { sandbox, client };
    assert_eq!(world.get("Users").await.json()["totalResults"], 2);

    let resource = "api-version=2019-08-01&resource=https://outlook.office365.com";
    let request = world
        .client
        .get(format!("{}?{resource}", world.sandbox.identity_endpoint()));
    let header = world.sandbox.exchange.identity().settings().header;
    let token = world
        .send(request.header("x-identity-header", header))
        .await
        .json();
    let tenant_id = world.sandbox.exchange.state().tenant_id;
    let list = format!(
        "{}/adminapi/beta/{tenant_id}/Mailbox",
        world.sandbox.exchange_url()
    );
    let list = world
        .client
        .get(list)
        .bearer_auth(token["access_token"].as_str().unwrap());
    let mailboxes = world
        .send(list.header("accept", "application/json"))
        .await
        .json();
    assert_eq!(
        mailboxes["value"][0]["PrimarySmtpAddress"],
        "anna@corp.example"
    );

    for service in ["zivver", "exchange", "identity"] {
        let url = format!("{}/sandbox/{service}/counters", world.sandbox.url());
        let counters = world.send(world.client.get(url)).await.json();
        assert_eq!(counters["total"], Value::from(1), "{service}");
    }
    let url = world.sandbox.url();
    world.sandbox.stop().await;
    assert!(world.client.get(url).send().await.unwrap_err().is_connect());
}
