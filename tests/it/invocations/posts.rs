//! What a POST starts, and for whom.

use cloud_sync::functions::Request;
use serde_json::json as value;

use super::{Bench, called, json, newcomers, request};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");
const APPLY: &str = r#"{"mode":"apply"}"#;

#[tokio::test]
async fn json_is_taken_as_application_json_only() {
    let bench = Bench::open(newcomers(1), &[]).await;
    let app = bench.app();
    for (media, status) in [
        (Some("application/json"), 202),
        (Some("Application/JSON; charset=utf-8"), 202),
        (Some("application/json-seq"), 415),
        (Some("application/problem+json"), 415),
        (Some("text/plain"), 415),
        (Some("text/plain; application/json"), 415),
        (Some("application/octet-stream"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some("multipart/form-data; boundary=x"), 415),
        (Some(""), 415),
        (None, 415),
    ] {
        for path in ["", "/runs"] {
            let headers: Vec<_> = media.iter().map(|media| ("content-type", *media)).collect();
            let response = called(&app, request("POST", path, &headers, Some(APPLY))).await;
            assert_eq!(response.status, status, "{media:?}: {}", response.body);
            if status == 415 {
                let told = json(&response);
                assert_eq!(told["type"], "urn:cloud-sync:problem:media-type");
                let detail = told["detail"].as_str().unwrap();
                assert!(
                    detail.contains("Content-Type: application/json"),
                    "{detail}"
                );
            }
        }
    }
    // An undo starts a run as well.
    let undo = request(
        "POST",
        "/runs/20261123T020000Z-0b5e77/undo",
        &[],
        Some(APPLY),
    );
    assert_eq!(called(&app, undo).await.status, 415);
    // Without a body nothing can be misread.
    assert_eq!(
        called(&app, request("POST", "", &[FORM], None))
            .await
            .status,
        202
    );
    assert_eq!(
        called(&app, request("POST", "", &[], None)).await.status,
        202
    );
}

/// A body that was sent as `application/octet-stream`, and one without a type, as the host passes them on.
#[tokio::test]
async fn bodies_that_the_host_hands_on_otherwise_are_refused_with_the_way_out() {
    let bench = Bench::open(newcomers(1), &[]).await;
    let app = bench.app();
    for (headers, body, status, said) in [
        (
            value!({"Content-Type": ["application/octet-stream"], "Content-Length": ["16"]}),
            value!("eyJtb2RlIjoiYXBwbHkifQ=="),
            415,
            "came as \"application/octet-stream\"",
        ),
        (
            value!({"Content-Length": ["16"]}),
            value!(APPLY),
            415,
            "came without a Content-Type",
        ),
        (
            value!({"Content-Type": ["application/json"], "Transfer-Encoding": ["chunked"]}),
            value!(null),
            411,
            "came in chunks",
        ),
    ] {
        let req = value!({
            "Url": "http://127.0.0.1:7071/api/SyncHttp",
            "Method": "POST",
            "Headers": headers,
            "Params": {"path": null},
            "Body": body,
        });
        let envelope = value!({"Data": {"req": req}, "Metadata": {}}).to_string();
        let request: Request =
            cloud_sync::functions::invocation::http(envelope.as_bytes()).unwrap();
        let response = called(&app, request).await;
        assert_eq!(response.status, status, "{}", response.body);
        let detail = json(&response)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(said), "{detail}");
    }
}

#[tokio::test]
async fn a_form_is_posted_by_a_browser_or_with_a_token() {
    let bench = Bench::open(newcomers(1), &[]).await;
    let app = bench.app();
    let start =
        |headers: &[(&str, &str)], body| called(&app, request("POST", "", headers, Some(body)));
    let neither = start(&[FORM], "mode=apply").await;
    assert_eq!(neither.status, 415, "{}", neither.body);
    let browser = start(&[FORM, ("accept", "text/html")], "mode=apply").await;
    let token = start(&[FORM], "mode=apply&token=1.00").await;
    for refused in [browser, token] {
        assert_eq!(refused.status, 403, "{}", refused.body);
        assert!(refused.headers["Content-Type"].starts_with("text/html"));
    }
}

#[tokio::test]
async fn no_page_of_another_site_starts_anything() {
    let bench = Bench::open(newcomers(1), &[]).await;
    let app = bench.app();
    let host = ("host", "sync.corp.example");
    for (headers, status) in [
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("sec-fetch-site", "same-site")], 403),
        (vec![("sec-fetch-site", "same-origin")], 202),
        (vec![("sec-fetch-site", "none")], 202),
        (vec![], 202),
        (vec![host, ("origin", "https://sync.corp.example")], 202),
        (vec![host, ("origin", "https://SYNC.corp.example:443")], 202),
        (
            vec![host, ("origin", "https://sync.corp.example:8443")],
            403,
        ),
        (vec![host, ("origin", "https://wiki.corp.example")], 403),
        (vec![host, ("origin", "null")], 403),
        (vec![host, ("origin", "")], 403),
        (vec![("origin", "https://sync.corp.example")], 403),
        (
            vec![
                ("host", "127.0.0.1:7071"),
                ("origin", "http://127.0.0.1:7071"),
            ],
            202,
        ),
    ] {
        for body in [Some(APPLY), None] {
            let mut headers = headers.clone();
            headers.push(JSON);
            let response = called(&app, request("POST", "/runs", &headers, body)).await;
            assert_eq!(response.status, status, "{headers:?}: {}", response.body);
            if status == 403 {
                let told = json(&response)["type"].as_str().unwrap().to_owned();
                assert_eq!(told, "urn:cloud-sync:problem:cross-site");
            }
        }
    }
}

/// Additional slashes of a caller must not turn a path into a host.
#[tokio::test]
async fn no_link_leads_to_another_host() {
    let bench = Bench::open(newcomers(1), &[]).await;
    let app = bench.app();
    for url in [
        "https://sync.corp.example//evil.example/SyncHttp",
        "https://sync.corp.example///evil.example//api/SyncHttp/",
        r"https://sync.corp.example/\evil.example/SyncHttp",
        "https://sync.corp.example//evil.example/",
        "//evil.example/SyncHttp",
    ] {
        for (method, accept) in [
            ("POST", "application/json"),
            ("GET", "text/html"),
            ("GET", "*/*"),
        ] {
            let req = value!({"Url": url, "Method": method, "Headers": {"Accept": [accept]}});
            let envelope = value!({"Data": {"req": req}}).to_string();
            let request = cloud_sync::functions::invocation::http(envelope.as_bytes()).unwrap();
            let response = called(&app, request).await;
            assert!(response.status < 300, "{}", response.body);
            let location = response.headers.get("Location").map_or("", String::as_str);
            for text in [location, &response.body] {
                assert!(!text.contains("//evil"), "{url}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn r39_an_unknown_address_is_a_problem_with_the_nearest_ones() {
    let bench = Bench::open(newcomers(2), &[]).await;
    let app = bench.app();
    for mode in ["preview", "apply"] {
        let body = value!({"mode": mode, "accounts": ["person00@corp.example", "person@corp.example"], "wait": 60});
        let body = body.to_string();
        let response = called(&app, request("POST", "", &[JSON], Some(&body))).await;
        assert_eq!(response.status, 422, "{}", response.body);
        let told = json(&response);
        assert_eq!(told["type"], "urn:cloud-sync:problem:unknown-account");
        let unknown = &told["unknown_accounts"][0];
        assert_eq!(unknown["address"], "person@corp.example");
        assert_eq!(unknown["nearest"][0], "person00@corp.example");
        assert_eq!(bench.users().len(), 0);
        // The run is in the history, and its page shows the same.
        let path = format!("/runs/{}", told["run"].as_str().unwrap());
        let page = called(
            &app,
            request("GET", &path, &[("accept", "text/html")], None),
        )
        .await;
        assert!(page.body.contains("did you mean"), "{}", page.body);
        assert!(!page.body.contains("in sync"), "{}", page.body);
    }
}
