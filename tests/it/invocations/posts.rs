//! What a POST starts, and whose.

use super::{Bench, called, json, newcomers, request};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn a_body_of_json_is_json_whatever_type_its_client_says() {
    let bench = Bench::open(newcomers(1), &[]).await;
    let app = bench.app();
    let start = |headers: &[(&str, &str)], body: Option<&str>| {
        called(&app, request("POST", "", headers, body))
    };
    let queued = start(&[FORM], Some(r#" {"mode":"apply"}"#)).await;
    assert_eq!(queued.status, 202, "{}", queued.body);
    assert_eq!(start(&[FORM], None).await.status, 202);
    for (headers, body) in [
        (vec![FORM], r#"{"dryRun":true}"#),
        (vec![FORM], "mode=apply"),
        (vec![FORM, ("accept", "text/html")], r#"{"dryRun":true}"#),
    ] {
        let refused = start(&headers, Some(body)).await;
        assert_eq!(refused.status, 400, "{body}: {}", refused.body);
        assert_eq!(refused.headers["Content-Type"], "application/problem+json");
    }
    // A browser, or whoever has a token, posts a form.
    let browser = start(&[FORM, ("accept", "text/html")], Some("mode=apply")).await;
    let token = start(&[FORM], Some("mode=apply&token=1.00")).await;
    for refused in [browser, token] {
        assert_eq!(refused.status, 403, "{}", refused.body);
        assert!(refused.headers["Content-Type"].starts_with("text/html"));
    }
}

#[tokio::test]
async fn no_page_of_another_site_starts_anything() {
    let bench = Bench::open(newcomers(1), &[]).await;
    let app = bench.app();
    let body = Some(r#"{"mode":"apply"}"#);
    for (site, status) in [
        (Some("cross-site"), 403),
        (Some("same-origin"), 202),
        (Some("none"), 202),
        (None, 202),
    ] {
        let mut headers = vec![("content-type", "text/plain")];
        headers.extend(site.map(|site| ("sec-fetch-site", site)));
        let response = called(&app, request("POST", "/runs", &headers, body)).await;
        assert_eq!(response.status, status, "{site:?}: {}", response.body);
        if status == 403 {
            let told = json(&response)["type"].as_str().unwrap().to_owned();
            assert_eq!(told, "urn:cloud-sync:problem:cross-site");
        }
    }
}
