//! The host's HTTP server, for clients that are external programs: requests over TCP become [`Call`]s.

use std::{net::Ipv4Addr, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use tokio::{net::TcpListener, task::JoinSet};

use super::{Host, answer::Client, wire::Call};

/// Listens until dropped.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) url: String,
    _server: JoinSet<()>,
}

impl Front {
    /// Keys are checked as in Azure: the caller must give one.
    pub(crate) async fn of(host: Arc<Host>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass).with_state(host);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            _server: server,
        }
    }
}

async fn pass(State(host): State<Arc<Host>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    let call = Call {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        headers: headers.collect(),
        body: to_bytes(body, usize::MAX).await.unwrap().to_vec(),
        chunked: head.headers.contains_key("transfer-encoding"),
    };
    answered(host.call_as_it_is(&call).await)
}

fn answered(client: Client) -> Response {
    let mut response = Response::builder().status(client.status);
    for (name, value) in &client.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(client.body)).unwrap()
}
