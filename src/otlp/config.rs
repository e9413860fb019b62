//! The standard variables of OpenTelemetry that apply here.

use std::{collections::BTreeMap, time::Duration};

use percent_encoding::percent_decode_str;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::http::{SendError, TransportError, is_loopback};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";
const DISABLED: &str = "OTEL_SDK_DISABLED";

/// The variables that are read, with a description in Markdown.
pub const NAMES: [(&str, &str); 7] = [
    (
        ENDPOINT,
        "Where a receiver of OTLP over HTTP is, such as `http://127.0.0.1:4318`; `/v1/traces` and `/v1/metrics` are added. \
         Without it nothing is sent.",
    ),
    (
        HEADERS,
        "Secret. `name=value`, separated by commas, values percent-encoded: a key of the receiver.",
    ),
    (PROTOCOL, "`http/protobuf` (default) or `http/json`."),
    (TIMEOUT, "Milliseconds for one request; 10000 by default."),
    (
        SERVICE_NAME,
        "The name of the service; `cloud-sync` by default.",
    ),
    (
        RESOURCE,
        "`name=value`, separated by commas: said about every span and metric, such as `deployment.environment.name=test`.",
    ),
    (DISABLED, "`true`: nothing is sent."),
];

/// Why telemetry was not sent. This never fails a run.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    #[error(transparent)]
    Setup(#[from] TransportError),
    #[error("no telemetry is sent: {name} {wrong}")]
    Setting {
        name: &'static str,
        wrong: &'static str,
    },
    #[error("telemetry is lost: {0}; check OTEL_EXPORTER_OTLP_ENDPOINT")]
    Unreachable(String),
    #[error(
        "telemetry is lost: the receiver answered {0}; check OTEL_EXPORTER_OTLP_ENDPOINT and its headers"
    )]
    Refused(u16),
    #[error(
        "telemetry is lost: the receiver did not take it within {0:?}; check OTEL_EXPORTER_OTLP_ENDPOINT"
    )]
    Slow(Duration),
}

impl OtlpError {
    pub(super) fn refused(status: u16) -> Self {
        Self::Refused(status)
    }

    pub(super) fn unreachable(error: &SendError) -> Self {
        Self::Unreachable(error.cause())
    }

    pub(super) fn slow(after: Duration) -> Self {
        Self::Slow(after)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

#[derive(Debug)]
pub(super) struct Config {
    traces: Url,
    metrics: Url,
    /// Values are marked as sensitive.
    headers: HeaderMap,
    pub(super) encoding: Encoding,
    pub(super) timeout: Duration,
    /// `service.name` and other attributes of this process.
    pub(super) resource: BTreeMap<String, String>,
}

impl Config {
    pub(super) fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, OtlpError> {
        let text = |name: &'static str| {
            let text = lookup(name).map(|text| text.trim().to_owned());
            match text.filter(|text| !text.is_empty()) {
                Some(text)
                    if text
                        .to_ascii_lowercase()
                        .starts_with("@microsoft.keyvault(") =>
                {
                    Err(OtlpError::Setting {
                        name,
                        wrong: "holds a Key Vault reference that the platform could not resolve",
                    })
                }
                text => Ok(text),
            }
        };
        let Some(endpoint) = text(ENDPOINT)? else {
            return Ok(None);
        };
        if text(DISABLED)?.is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let encoding = match text(PROTOCOL)?.as_deref() {
            None | Some("http/protobuf") => Encoding::Protobuf,
            Some("http/json") => Encoding::Json,
            Some(_) => {
                let wrong = "is neither http/protobuf nor http/json";
                return Err(OtlpError::Setting {
                    name: PROTOCOL,
                    wrong,
                });
            }
        };
        let timeout = match text(TIMEOUT)? {
            None => Duration::from_secs(10),
            Some(text) => text.parse().map(Duration::from_millis).map_err(|_| {
                let wrong = "is not a number of milliseconds";
                OtlpError::Setting {
                    name: TIMEOUT,
                    wrong,
                }
            })?,
        };
        let (traces, metrics) = (
            below(&endpoint, "v1/traces")?,
            below(&endpoint, "v1/metrics")?,
        );
        let secret = text(HEADERS)?;
        if secret.is_some() && traces.scheme() == "http" && !is_loopback(&traces) {
            return Err(OtlpError::Setting {
                name: ENDPOINT,
                wrong: "would send OTEL_EXPORTER_OTLP_HEADERS in clear; use https, or a receiver on this machine",
            });
        }
        Ok(Some(Self {
            traces,
            metrics,
            headers: headers(secret.as_deref().unwrap_or_default(), encoding)?,
            encoding,
            timeout,
            resource: resource(text(RESOURCE)?.as_deref(), text(SERVICE_NAME)?.as_deref()),
        }))
    }

    pub(super) fn address(&self, signal: Signal) -> &Url {
        match signal {
            Signal::Traces => &self.traces,
            Signal::Metrics => &self.metrics,
        }
    }

    pub(super) fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }
}

/// The path of the endpoint is kept as a prefix.
fn below(endpoint: &str, path: &str) -> Result<Url, OtlpError> {
    let url = Url::parse(&format!("{}/{path}", endpoint.trim_end_matches('/'))).ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or(OtlpError::Setting {
            name: ENDPOINT,
            wrong: "is not an http or https URL",
        })
}

fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| {
        let value = percent_decode_str(value.trim()).decode_utf8_lossy();
        (key.trim().to_owned(), value.into_owned())
    })
}

fn headers(text: &str, encoding: Encoding) -> Result<HeaderMap, OtlpError> {
    let wrong = || OtlpError::Setting {
        name: HEADERS,
        wrong: "is not a list of `name=value` that can be headers",
    };
    let mut headers = HeaderMap::new();
    for (name, value) in pairs(text) {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(&value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let media = match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    Ok(headers)
}

/// `OTEL_SERVICE_NAME` has precedence over the attribute `service.name`.
fn resource(attributes: Option<&str>, service: Option<&str>) -> BTreeMap<String, String> {
    let mut resource: BTreeMap<String, String> = [
        ("service.name", "cloud-sync"),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    resource.extend(pairs(attributes.unwrap_or_default()));
    resource.extend(service.map(|name| ("service.name".to_owned(), name.to_owned())));
    resource
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Config>, OtlpError> {
        Config::read(|name| {
            let mut variables = variables.iter();
            variables
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_an_endpoint_nothing_is_sent() {
        assert!(read(&[]).unwrap().is_none());
        assert!(
            read(&[(ENDPOINT, " "), (SERVICE_NAME, "x")])
                .unwrap()
                .is_none()
        );
        let off = [(ENDPOINT, "http://127.0.0.1:4318"), (DISABLED, "True")];
        assert!(read(&off).unwrap().is_none());
    }

    #[test]
    fn everything_is_read() {
        let config = read(&[
            (ENDPOINT, "https://otel.example/base/"),
            (HEADERS, "x-key=s%3Dcret, x-tenant=7"),
            (PROTOCOL, "http/json"),
            (TIMEOUT, "500"),
            (SERVICE_NAME, "sync"),
            (RESOURCE, "service.name=other,host.name=a%20b"),
        ])
        .unwrap()
        .unwrap();
        assert_eq!(
            config.address(Signal::Traces).as_str(),
            "https://otel.example/base/v1/traces"
        );
        assert_eq!(
            config.address(Signal::Metrics).as_str(),
            "https://otel.example/base/v1/metrics"
        );
        assert_eq!(config.headers()["x-key"], "s=cret");
        assert_eq!(config.headers()["content-type"], "application/json");
        assert!(!format!("{config:?}").contains("cret"));
        assert_eq!(config.timeout, Duration::from_millis(500));
        assert_eq!(config.resource["service.name"], "sync");
        assert_eq!(config.resource["host.name"], "a b");
    }

    #[test]
    fn secrets_are_sent_in_clear_on_this_machine_only() {
        let secret = (HEADERS, "x-key=s3cret");
        let error = read(&[(ENDPOINT, "http://otel.example:4318"), secret]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no telemetry is sent: OTEL_EXPORTER_OTLP_ENDPOINT would send OTEL_EXPORTER_OTLP_HEADERS in clear; use https, or a receiver on this machine"
        );
        assert!(read(&[(ENDPOINT, "http://localhost:4318"), secret]).is_ok());
        assert!(read(&[(ENDPOINT, "http://otel.example:4318")]).is_ok());
    }

    #[test]
    fn what_is_not_understood_is_named_and_nothing_else_shown() {
        for (name, value) in [
            (ENDPOINT, "otel.example:4317"),
            (ENDPOINT, "@Microsoft.KeyVault(SecretUri=s3cret)"),
            (PROTOCOL, "grpc"),
            (TIMEOUT, "soon"),
            (HEADERS, "a b=s3cret"),
        ] {
            let mut variables = vec![(name, value)];
            if name != ENDPOINT {
                variables.push((ENDPOINT, "http://127.0.0.1:4318"));
            }
            let error = read(&variables).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains("s3cret"), "{error}");
        }
    }
}
