//! The server for the browser: HTTP in front of the emulated Functions host with the real program.

use std::{net::Ipv4Addr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use cloud_sync::sandbox::{Sandbox, SandboxOptions, exchange::Tenant, zivver::Organisation};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    host::{FUNCTION_KEY, Host, project::AppSettings, wire::Call},
    process::office,
};

/// A tenant, the program in its host, and a port for browsers.
pub(super) struct Site {
    pub(super) sandbox: Sandbox,
    pub(super) host: Arc<Host>,
    pub(super) url: String,
    /// Of the program in its host.
    pub(super) settings: AppSettings,
    _state: TempDir,
    _server: JoinSet<()>,
}

impl Site {
    pub(super) async fn open(
        tenant: Tenant,
        organisation: Organisation,
        extra: &[(&str, &str)],
    ) -> Self {
        let domains = organisation.claimed_domains.join(",");
        let sandbox = Sandbox::start(SandboxOptions {
            port: 0,
            tenant,
            organisation,
        })
        .await
        .unwrap();
        let state = tempfile::tempdir().unwrap();
        let identity = sandbox.exchange.identity().settings();
        let mut settings: AppSettings = office::settings(
            &sandbox.url(),
            &sandbox.identity_endpoint(),
            &identity.header,
            &office::folder_url(state.path()),
        );
        settings.insert("CLOUD_SYNC__CLAIMED_DOMAINS".into(), domains);
        for (name, value) in extra {
            settings.insert(format!("CLOUD_SYNC__{name}"), (*value).to_owned());
        }
        let host = Arc::new(Host::start(settings.clone()).await);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/api/SyncHttp", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(forward)
            .with_state(Arc::clone(&host));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            sandbox,
            host,
            url,
            settings,
            _state: state,
            _server: server,
        }
    }

    /// The URL as in the address bar of an administrator.
    pub(super) fn at(&self, path: &str) -> String {
        let join = if path.contains('?') { '&' } else { '?' };
        format!("{}{path}{join}code={FUNCTION_KEY}", self.url)
    }

    /// Carries out queued messages in the background, like the host.
    pub(super) fn deliver(&self) -> JoinSet<()> {
        let host = Arc::clone(&self.host);
        let mut delivery = JoinSet::new();
        delivery.spawn(async move {
            for invoked in host.drain().await {
                invoked.succeeded();
            }
        });
        delivery
    }

    /// Requests to Zivver other than GET.
    pub(super) fn writes(&self) -> usize {
        let journal = self.sandbox.zivver.control().journal();
        journal.iter().filter(|entry| entry.method != "GET").count()
    }
}

async fn forward(State(host): State<Arc<Host>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let call = Call {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        headers: parts
            .headers
            .iter()
            .filter(|(name, _)| *name != "content-length")
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        body: axum::body::to_bytes(body, usize::MAX)
            .await
            .unwrap()
            .to_vec(),
        chunked: false,
    };
    let client = host.call_as_it_is(&call).await;
    let mut response = Response::new(Body::from(client.body));
    *response.status_mut() = StatusCode::from_u16(client.status).unwrap();
    for (name, value) in client.headers {
        response.headers_mut().insert(
            HeaderName::try_from(name).unwrap(),
            HeaderValue::try_from(value).unwrap(),
        );
    }
    response
}
