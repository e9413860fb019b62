//! HTTP connections to the blob service and to the services that issue its tokens. The client of `object_store` follows
//! redirects and sends the secret of the identity and the signature of a shared access signature along; it accepts
//! answers of any size, and uses the proxy of the environment for services on this machine.

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use object_store::{
    ClientOptions, Result,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
        HttpResponseBody, HttpService,
    },
};

use crate::{
    http::Route,
    managed_identity,
    state::{envelope::LONGEST_BYTES, error::StateError},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of one attempt. The largest documents have some MiB.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

/// A server may close a connection while a request is being sent on it, and a conditional write is not sent again. Azurite
/// closes connections that were idle for 5 seconds, so an older one is not used.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, Clone)]
pub(super) struct Connector {
    /// For plain http: Azurite, and the identity endpoint of the platform.
    direct: reqwest::Client,
    outward: reqwest::Client,
}

impl Connector {
    pub(super) fn new() -> Result<Self, StateError> {
        let client = |route: Route| {
            let client = route
                .client()
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(IDLE_TIMEOUT)
                .timeout(ATTEMPT_TIMEOUT);
            client.build().map_err(|error| {
                super::wrong(
                    super::SETTING,
                    format!("there is no way to call the blob service ({error})"),
                )
            })
        };
        Ok(Self {
            direct: client(Route::Direct)?,
            outward: client(Route::Outward)?,
        })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let client = match request.uri().scheme_str() {
            Some("http") => &self.direct,
            Some(_) | None => &self.outward,
        };
        // Sent to identity endpoints only.
        let is_for_token = request.headers().contains_key("metadata");
        let response = client.call(request).await?.map(limited);
        if is_for_token && response.status().is_success() {
            return readable_token(response).await;
        }
        Ok(response)
    }
}

async fn readable_token(response: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (head, body) = response.into_parts();
    let body = body.bytes().await?;
    let body = managed_identity::readable(&body, Timestamp::now())
        .map_err(|error| HttpError::new(HttpErrorKind::Decode, error))?;
    Ok(HttpResponse::from_parts(head, body.into()))
}

/// Fails if the body is longer than a document may be.
fn limited(body: HttpResponseBody) -> HttpResponseBody {
    let limited = Limited::new(body, LONGEST_BYTES);
    HttpResponseBody::new(
        limited.map_err(|error| match error.downcast::<HttpError>() {
            Ok(error) => *error,
            Err(error) => HttpError::new_boxed(HttpErrorKind::Decode, error),
        }),
    )
}
