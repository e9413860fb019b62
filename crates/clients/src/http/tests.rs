use std::sync::Mutex;

use axum::{Router, body::Body, response::IntoResponse, routing::any};

use super::*;

fn request(url: &str) -> Request {
    Request {
        kind: "test",
        method: Method::GET,
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        timeout: Duration::from_secs(60),
        may_write: None,
        body_limit_bytes: 1000,
    }
}

fn in_process(service: Router) -> Sender {
    Sender::new(Transport::InProcess(service), "EXO_URL")
}

async fn serve(service: Router) -> (Url, impl Sized) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move { axum::serve(listener, service).await });
    (url.parse().unwrap(), server)
}

fn network(base: &Url) -> Sender {
    Sender::new(Transport::network(base, 8).unwrap(), "EXO_URL")
}

async fn echo(request: axum::extract::Request) -> String {
    format!("{} {}", request.method(), request.uri())
}

#[tokio::test]
async fn both_transports_carry_method_path_and_query() {
    let service = Router::new().fallback(echo);
    let (url, _server) = serve(service.clone()).await;
    for sender in [network(&url), in_process(service)] {
        let url = url.join("/a%2Fb?c=d%26").unwrap();
        let mut request = request(url.as_str());
        request.method = Method::POST;
        let reply = sender.send(request).await.unwrap();
        assert_eq!(reply.body, "POST /a%2Fb?c=d%26");
        assert_eq!(sender.counters().read().by_kind["test"], 1);
        assert_eq!(sender.counters().read().bytes_received, 18);
    }
}

#[tokio::test]
async fn redirects_are_handed_to_the_caller_and_nothing_is_unpacked() {
    let service = Router::new().fallback(|| async {
        (
            StatusCode::FOUND,
            [("location", "/elsewhere"), ("content-encoding", "gzip")],
            "plain",
        )
            .into_response()
    });
    let (url, _server) = serve(service).await;
    let reply = network(&url).send(request(url.as_str())).await.unwrap();
    assert_eq!(reply.status, StatusCode::FOUND);
    assert_eq!(reply.header("location"), Some("/elsewhere"));
    assert_eq!(reply.body, "plain");
}

#[tokio::test]
async fn r31_a_refused_connection_was_certainly_not_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("http://127.0.0.1:{port}/adminapi?secret=1");
    let sender = network(&url.parse().unwrap());
    let error = sender.send(request(&url)).await.unwrap_err();
    assert_eq!(error.retry_reason(), Some(RetryReason::LoopbackNotSent));
    insta::with_settings!({filters => vec![(r"(:|--port )\d+", "${1}PORT")]}, {
        insta::assert_snapshot!(error, @"cannot reach 127.0.0.1:PORT: Connection refused (os error 111); start the sandbox (cloud-sync sandbox --port PORT) and use the settings that it prints, or correct EXO_URL");
    });
}

#[tokio::test(start_paused = true)]
async fn a_silent_service_is_a_timeout() {
    let service = Router::new().route("/", any(std::future::pending::<()>));
    let error = in_process(service)
        .send(request("http://exchange.example/"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "exchange.example did not answer within 60s"
    );
    assert_eq!(error.retry_reason(), Some(RetryReason::Transport));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_a_short_one_is_broken() {
    let large = Router::new().fallback(|| async { "x".repeat(1001) });
    let streamed = Router::new().fallback(|| async {
        let chunks = (0..11).map(|_| Ok::<_, std::io::Error>("x".repeat(100)));
        Body::from_stream(futures::stream::iter(chunks))
    });
    for service in [large, streamed] {
        let error = in_process(service)
            .send(request("http://exchange.example/"))
            .await
            .unwrap_err();
        assert!(matches!(error, SendError::TooLarge { .. }), "{error}");
        assert_eq!(error.retry_reason(), None);
    }
    let short = Router::new().fallback(|| async {
        let chunks = [Ok("half"), Err(std::io::Error::other("reset"))];
        Body::from_stream(futures::stream::iter(chunks))
    });
    let (url, _server) = serve(short.clone()).await;
    for sender in [network(&url), in_process(short)] {
        let error = sender.send(request(url.as_str())).await.unwrap_err();
        assert!(matches!(error, SendError::Broken { .. }), "{error}");
    }
}

/// Single bytes must not keep a request alive beyond its timeout.
#[tokio::test(start_paused = true)]
async fn a_slow_drip_is_a_timeout() {
    let service = Router::new().fallback(|| async {
        let drops = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Some((Ok::<_, std::io::Error>("x"), ()))
        });
        Body::from_stream(drops)
    });
    let error = in_process(service)
        .send(request("http://exchange.example/"))
        .await
        .unwrap_err();
    assert!(matches!(error, SendError::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn an_unknown_host_name_means_not_sent() {
    let sender = network(&"http://127.0.0.1/".parse().unwrap());
    let error = sender
        .send(request("http://nobody.invalid/adminapi?secret=1"))
        .await
        .unwrap_err();
    assert!(matches!(error, SendError::NotSent { .. }), "{error}");
    assert_eq!(error.retry_reason(), Some(RetryReason::Transport));
    let said = error.to_string();
    assert!(said.starts_with("cannot reach nobody.invalid: "), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[tokio::test]
async fn a_service_with_ipv6_only_is_reached() {
    let Ok(listener) = tokio::net::TcpListener::bind("[::1]:0").await else {
        // A machine without IPv6 cannot run this test; a build server must.
        assert!(
            std::env::var_os("CI").is_none(),
            "CI is set but there is no IPv6"
        );
        return;
    };
    let url: Url = format!("http://{}/a", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move { axum::serve(listener, Router::new().fallback(echo)).await });
    let reply = network(&url).send(request(url.as_str())).await.unwrap();
    assert_eq!(reply.body, "GET /a");
}

#[test]
fn loopback_is_known_in_every_spelling() {
    for (url, expected) in [
        ("http://127.0.0.1:8080", true),
        ("http://127.1", true),
        ("http://[::1]:8080", true),
        ("http://localhost", true),
        ("https://outlook.office365.com", false),
        ("http://localhost.example", false),
        ("http://10.0.0.1", false),
    ] {
        assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
    }
}

/// The request carries its length as without a check, and nothing of a withdrawn one reaches the service.
#[tokio::test]
async fn r29_a_body_is_sent_only_while_the_run_may_write() {
    let lengths = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&lengths);
    let service = Router::new().fallback(move |headers: HeaderMap, body: Bytes| async move {
        seen.lock()
            .unwrap()
            .push((headers.get(CONTENT_LENGTH).cloned(), body));
    });
    let (url, _server) = serve(service).await;
    let sender = network(&url);
    let put = |may_write: bool| Request {
        method: Method::PUT,
        body: Bytes::from_static(b"{}"),
        may_write: Some(MayWrite::new(move || may_write)),
        ..request(url.as_str())
    };
    sender.send(put(true)).await.unwrap();
    let error = sender.send(put(false)).await.unwrap_err();
    assert!(matches!(error, SendError::Withdrawn { .. }), "{error}");
    assert_eq!(error.retry_reason(), None);
    sender.send(put(true)).await.unwrap();
    let whole = (
        Some(HeaderValue::from_static("2")),
        Bytes::from_static(b"{}"),
    );
    assert_eq!(*lengths.lock().unwrap(), vec![whole; 2]);
}
