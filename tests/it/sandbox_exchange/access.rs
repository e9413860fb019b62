//! Items 1 to 7 and 24: tokens, grants, paths, headers, versions.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloud_sync::sandbox::exchange::{ExchangeRole, Gzip};
use cloud_sync::sandbox::identity::{MANAGE_AS_APP, MANAGE_AS_APP_V2};

use super::*;

const TOKEN_PATH: &str =
    "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Foutlook.office365.com";

async fn one_user() -> Bench {
    Bench::new(Tenant::new("corp.example").user("ann@corp.example")).await
}

async fn token(bench: &Bench, path: &str, header: &str) -> Answer {
    let url = format!("{}{path}", bench.origin);
    send(bench.client.get(url).header("X-IDENTITY-HEADER", header)).await
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn c01_the_identity_endpoint_issues_tokens_that_work() {
    let mut bench = one_user().await;
    let secret = bench.simulator.identity().settings().header;
    let answer = token(&bench, TOKEN_PATH, &secret).await.ok();
    assert!(
        answer["expires_on"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["resource"], "https://outlook.office365.com");
    assert!(answer.get("expires_in").is_none());
    bench.token = answer["access_token"].as_str().unwrap().to_owned();
    let claims = claims(&bench.token);
    assert_eq!(claims["roles"], json!([MANAGE_AS_APP]));
    assert_eq!(
        claims["exp"].to_string(),
        answer["expires_on"].as_str().unwrap()
    );
    assert_eq!(bench.get("/Mailbox").await.rows().len(), 1);
}

#[tokio::test]
async fn c01_the_identity_endpoint_refuses_what_is_wrong() {
    let bench = one_user().await;
    let secret = bench.simulator.identity().settings().header;
    let status = async |path: &str, header: &str| token(&bench, path, header).await.status;
    assert_eq!(status(TOKEN_PATH, "guess").await, 401);
    let resource = "resource=https%3A%2F%2Foutlook.office365.com";
    for path in [
        format!("/msi/token?{resource}"),
        format!("/msi/token?api-version=2018-02-01&{resource}"),
        "/msi/token?api-version=2019-08-01".to_owned(),
        "/msi/token?api-version=2019-08-01&resource=outlook".to_owned(),
        "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Foutlook.office365.com%2F.default"
            .to_owned(),
        format!("{TOKEN_PATH}&client_id=nobody"),
        format!("{TOKEN_PATH}&scope=x"),
    ] {
        assert_eq!(status(&path, &secret).await, 400, "{path}");
    }
    bench.simulator.identity().with_settings(|settings| {
        settings.client_id = None;
        settings.user_assigned = vec!["known".to_owned()];
    });
    assert_eq!(status(TOKEN_PATH, &secret).await, 400);
    assert_eq!(
        status(&format!("{TOKEN_PATH}&client_id=known"), &secret).await,
        200
    );
    for fault in [429, 500] {
        bench.simulator.identity().control().fail_next(fault);
        assert_eq!(status(TOKEN_PATH, &secret).await, fault);
    }
}

#[tokio::test]
async fn c02_a_bad_token_is_401_without_a_body() {
    let mut bench = one_user().await;
    let identity = bench.simulator.identity().clone();
    let good = identity.mint();
    let foreign = {
        identity.with_settings(|settings| settings.audience = Some("https://graph.example".into()));
        identity.mint()
    };
    for bad in ["", "x", &foreign] {
        bench.token = bad.to_owned();
        let answer = bench.get("/Mailbox").await;
        assert_eq!((answer.status, answer.body.len()), (401, 0), "{bad}");
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer error=\"invalid_token\""
        );
    }
    bench.token = good;
    assert_eq!(bench.get("/Mailbox").await.status, 200);
    identity.revoke_all();
    assert_eq!(bench.get("/Mailbox").await.status, 401);
}

#[tokio::test]
async fn c02_a_short_life_ends_within_a_run() {
    let mut bench = one_user().await;
    bench
        .simulator
        .identity()
        .with_settings(|settings| settings.life_s = 60);
    bench.token = bench.simulator.identity().mint();
    assert_eq!(bench.get("/Mailbox").await.status, 200);
    bench
        .simulator
        .control()
        .advance(std::time::Duration::from_secs(61));
    assert_eq!(bench.get("/Mailbox").await.status, 401);
}

#[tokio::test]
async fn c03_grants_decide_by_token_and_role() {
    let mut bench = one_user().await;
    let list = json!({"ResultSize": "Unlimited"});
    bench
        .simulator
        .with_state(|tenant| tenant.grants.app_roles.clear());
    bench.token = bench.simulator.identity().mint();
    assert!(claims(&bench.token).get("roles").is_none());
    assert_eq!(bench.get("/Mailbox").await.status, 401);

    bench
        .simulator
        .with_state(|tenant| tenant.grants.app_roles = vec![MANAGE_AS_APP_V2.into()]);
    bench.token = bench.simulator.identity().mint();
    let look_alike = bench.get("/Mailbox").await;
    assert_eq!((look_alike.status, look_alike.body.len()), (403, 0));

    bench.simulator.with_state(|tenant| {
        tenant.grants.app_roles = vec![MANAGE_AS_APP.into()];
        tenant.grants.exchange_role = ExchangeRole::None;
    });
    bench.token = bench.simulator.identity().mint();
    let odata = bench.get("/Mailbox").await;
    assert_eq!(odata.status, 401);
    assert_eq!(odata.json()["error"]["code"], "Unauthorized");
    assert_eq!(odata.cause(), "User is not allowed to call Get-Mailbox");
    let invoked = bench.cmdlet("Get-Mailbox", list.clone()).await;
    assert_eq!(invoked.status, 403);
    assert_eq!(invoked.header("content-encoding"), "gzip");
    assert!(
        invoked
            .header("x-ms-diagnostics")
            .starts_with("2000003;reason=")
    );
    assert_eq!(invoked.body, [0; 1024]);

    bench.simulator.with_state(|tenant| {
        tenant.grants.exchange_role = ExchangeRole::ViewOnlyRecipients;
    });
    assert_eq!(bench.cmdlet("Get-Mailbox", list).await.status, 200);
    let role_group = json!({"Identity": "Discovery Management"});
    assert_eq!(
        bench.cmdlet("Get-RoleGroupMember", role_group).await.status,
        403
    );
}

#[tokio::test]
async fn c04_the_path_names_the_tenant_by_guid_or_domain() {
    let bench = one_user().await;
    let status = async |tenant: &str| {
        bench
            .get(&format!("{}/adminapi/beta/{tenant}/Mailbox", bench.origin))
            .await
            .status
    };
    assert_eq!(status("corp.example").await, 200);
    assert_eq!(status("CORP.onmicrosoft.example").await, 200);
    assert_eq!(status("other.example").await, 404);
    bench
        .simulator
        .with_state(|tenant| tenant.tenant_id = "another".to_owned());
    assert_eq!(
        status("another").await,
        401,
        "the token is of the tenant before"
    );
}

#[tokio::test]
async fn c05_paths_have_no_case_and_unknown_ones_are_404() {
    let bench = one_user().await;
    let tenant = bench.simulator.read(|tenant| tenant.tenant_id.clone());
    let upper = format!(
        "{}/AdminApi/Beta/{}/mailbox",
        bench.origin,
        tenant.to_uppercase()
    );
    assert_eq!(bench.get(&upper).await.status, 200);
    let unknown = bench.get("/Mailboxes").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.cause(), "An server side error occured.");
    let v1 = format!("{}/adminapi/v1.0/{tenant}", bench.origin);
    assert_eq!(bench.get(&format!("{v1}/Mailbox")).await.status, 200);
    let invoked = bench
        .post(
            &format!("{v1}/InvokeCommand"),
            &command("Get-Mailbox", json!({})),
        )
        .await;
    assert_eq!(invoked.status, 405);
}

#[tokio::test]
async fn c05_the_module_file_tells_what_the_role_allows() {
    let bench = one_user().await;
    bench
        .simulator
        .with_state(|tenant| tenant.grants.denied_cmdlets = vec!["Get-Group".into()]);
    let ask = bench
        .request(Method::GET, "/EXOModuleFile?Version=3.9.0")
        .header("CommandName", "*");
    let answer = send(ask).await.ok();
    let cmdlets = answer["value"][0]["exportedCmdlets"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(cmdlets.split(',').any(|it| it == "Get-MailboxPermission"));
    assert!(!cmdlets.split(',').any(|it| it == "Get-Group"));
    assert_eq!(bench.get("/EXOModuleFile?Version=3.9.0").await.status, 400);
}

#[tokio::test]
async fn c06_the_anchor_is_a_hint() {
    let mut bench = one_user().await;
    for anchor in [None, Some("APP:SystemMailbox{x}@@tenant"), Some("nonsense")] {
        bench.anchor = anchor;
        assert_eq!(bench.get("/Mailbox").await.status, 200);
    }
}

#[tokio::test]
async fn c07_compression_is_mislabelled_on_request_only() {
    let bench = one_user().await;
    bench
        .simulator
        .switch(|switches| switches.gzip = Gzip::NulBytes);
    assert_eq!(bench.get("/Mailbox").await.rows().len(), 1);
    let ask = || {
        bench
            .request(Method::GET, "/Mailbox")
            .header("accept-encoding", "gzip")
    };
    let nul = send(ask()).await;
    assert_eq!((nul.status, nul.header("content-encoding")), (200, "gzip"));
    assert!(nul.body.iter().all(|byte| *byte == 0));
    bench
        .simulator
        .switch(|switches| switches.gzip = Gzip::PlainLabelled);
    let plain = send(ask()).await;
    assert_eq!(plain.header("content-encoding"), "gzip");
    assert_eq!(plain.rows().len(), 1);
}

#[tokio::test]
async fn c24_v2_has_few_endpoints_and_its_own_role() {
    let mut bench = one_user().await;
    let tenant = bench.simulator.read(|tenant| tenant.tenant_id.clone());
    let v2 = format!("{}/adminapi/v2.0/{tenant}", bench.origin);
    let mailbox = format!("{v2}/Mailbox");
    let list = command("Get-Mailbox", json!({}));
    assert_eq!(
        bench.post(&mailbox, &list).await.status,
        403,
        "a token for beta"
    );
    bench
        .simulator
        .with_state(|tenant| tenant.grants.app_roles = vec![MANAGE_AS_APP_V2.into()]);
    bench.token = bench.simulator.identity().mint();
    assert_eq!(bench.post(&mailbox, &list).await.rows().len(), 1);
    assert_eq!(bench.get(&mailbox).await.status, 405);
    let permissions = command(
        "Get-MailboxPermission",
        json!({"Identity": "ann@corp.example"}),
    );
    assert_eq!(bench.post(&mailbox, &permissions).await.status, 400);
    assert_eq!(
        bench
            .post(&format!("{v2}/MailboxPermission"), &permissions)
            .await
            .status,
        404
    );
    bench.anchor = None;
    assert_eq!(bench.post(&mailbox, &list).await.status, 400);
}
