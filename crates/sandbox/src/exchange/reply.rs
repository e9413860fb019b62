//! Answers before serialisation, so that a batch can include them.

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};

const JSON: &str = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";
/// The body of a refusal by role: NUL bytes that are labelled as gzip.
const NUL_BYTES: [u8; 1024] = [0; 1024];
const ODATA_EXCEPTION: &str = "Microsoft.Exchange.Admin.OData.Core.ODataServiceException";

#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Empty,
    Json(Value),
    /// JSON that is already serialised.
    Written(Bytes),
    Other {
        media_type: String,
        bytes: Bytes,
    },
}

/// An exception of a cmdlet, reported in the error of an `InvokeCommand`.
#[derive(Clone, Debug)]
pub(super) struct Exception {
    pub(super) status: u16,
    /// `Invalid Operation` or `Error executing cmdlet`.
    pub(super) message: &'static str,
    pub(super) kind: &'static str,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(value: Value) -> Self {
        Self::new(200, Content::Json(value))
    }

    pub(super) fn written(value: &impl Serialize) -> Self {
        Self::new(200, Content::Written(written(value)))
    }

    pub(super) fn empty(status: u16) -> Self {
        Self::new(status, Content::Empty)
    }

    pub(super) fn new(status: u16, content: Content) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers: Vec::new(),
            content,
        }
    }

    /// An error in the form of the `OData` calls, without details.
    pub(super) fn odata_error(status: u16, code: &str, message: &str) -> Self {
        let error = json!({"error": {
            "code": code,
            "message": message,
            "innererror": {"message": message, "type": ODATA_EXCEPTION},
        }});
        Self::new(status, Content::Json(error))
    }

    pub(super) fn bad_request(message: &str) -> Self {
        Self::odata_error(400, "BadRequest", message)
    }

    /// The spelling is that of the service.
    pub(super) fn not_found() -> Self {
        Self::odata_error(404, "NotFound", "An server side error occured.")
    }

    /// The token is missing, unknown, expired, revoked or has another audience.
    pub(super) fn invalid_token() -> Self {
        let mut reply = Self::empty(401);
        reply.headers.push((
            header::WWW_AUTHENTICATE,
            "Bearer error=\"invalid_token\"".to_owned(),
        ));
        reply
    }

    pub(super) fn forbidden() -> Self {
        let content = Content::Other {
            media_type: "application/octet-stream".to_owned(),
            bytes: Bytes::from_static(&NUL_BYTES),
        };
        let mut reply = Self::new(403, content);
        reply
            .headers
            .push((header::CONTENT_ENCODING, "gzip".to_owned()));
        reply.headers.push((
            HeaderName::from_static("x-ms-diagnostics"),
            "2000003;reason=\"The role assigned to the application is not supported.\"".to_owned(),
        ));
        reply
    }

    pub(super) fn is_success(&self) -> bool {
        self.status.is_success()
    }

    pub(super) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((HeaderName::from_static(name), value));
        self
    }

    pub(super) fn bytes(&self) -> Bytes {
        match &self.content {
            Content::Empty => Bytes::new(),
            Content::Json(value) => written(value),
            Content::Written(bytes) | Content::Other { bytes, .. } => bytes.clone(),
        }
    }

    pub(super) fn media_type(&self) -> Option<&str> {
        match &self.content {
            Content::Empty => None,
            Content::Json(_) | Content::Written(_) => Some(JSON),
            Content::Other { media_type, .. } => Some(media_type),
        }
    }

    /// Labels the answer as gzip although it is not; with `nul` the body is lost too.
    pub(super) fn mislabelled(mut self, nul: bool) -> Self {
        self.headers
            .push((header::CONTENT_ENCODING, "gzip".to_owned()));
        if nul {
            self.content = Content::Other {
                media_type: JSON.to_owned(),
                bytes: Bytes::from_static(&NUL_BYTES),
            };
        }
        self
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.bytes()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(media_type) = self.media_type()
            && let Ok(value) = HeaderValue::from_str(media_type)
        {
            headers.insert(header::CONTENT_TYPE, value);
        }
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

fn written(value: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("keys are strings and numbers are finite"))
}

impl Exception {
    pub(super) fn invalid_operation(kind: &'static str, text: impl Into<String>) -> Self {
        Self {
            status: 400,
            message: "Invalid Operation",
            kind,
            text: text.into(),
        }
    }

    pub(super) fn executing(status: u16, kind: &'static str, text: impl Into<String>) -> Self {
        Self {
            status,
            message: "Error executing cmdlet",
            kind,
            text: text.into(),
        }
    }

    pub(super) fn not_found(status: u16, identity: &str) -> Self {
        Self::executing(
            status,
            "Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException",
            format!(
                "The operation couldn't be performed because object '{identity}' couldn't be found on 'dc01.example.invalid'."
            ),
        )
    }

    pub(super) fn ambiguous(status: u16, identity: &str) -> Self {
        Self::executing(
            status,
            "Microsoft.Exchange.Configuration.Tasks.ManagementObjectAmbiguousException",
            format!(
                "The operation couldn't be performed because '{identity}' doesn't represent a unique recipient."
            ),
        )
    }

    pub(super) fn paging() -> Self {
        Self::invalid_operation(
            "System.InvalidOperationException",
            "Expired or Invalid pagination request. Default Expiry time is 00:30:00",
        )
    }

    /// The body, with the detail as text between pipes or, for a caller that imitates the PowerShell module, as JSON in
    /// a string.
    pub(super) fn body(&self, json_in_string: bool) -> Value {
        let code = if self.status == 404 {
            "NotFound"
        } else {
            "BadRequest"
        };
        let Self {
            status: _,
            message,
            kind,
            text,
        } = self;
        if json_in_string {
            let detail =
                json!({"Message": text, "TypeName": kind, "StackTrace": null, "InnerError": null});
            return json!({"error": {
                "code": code,
                "message": message,
                "details": [{"code": "Client", "message": detail.to_string()}],
            }});
        }
        let id = if self.message == "Error executing cmdlet" {
            "Ex6F9304"
        } else {
            ""
        };
        json!({
            "error": {
                "code": code,
                "message": message,
                "details": [{"code": "Client", "target": "", "message": format!("{id}|{kind}|{text}")}],
                "innererror": {
                    "message": message,
                    "type": ODATA_EXCEPTION,
                    "stacktrace": "",
                    "internalexception": {"message": text, "type": kind, "stacktrace": ""},
                },
            },
            "adminapi.warnings@odata.type": "#Collection(String)",
            "@adminapi.warnings": [],
        })
    }

    pub(super) fn reply(&self, json_in_string: bool) -> Reply {
        let name = self.kind.rsplit('.').next().unwrap_or(self.kind);
        Reply::new(self.status, Content::Json(self.body(json_in_string)))
            .with_header("x-exceptiontype", name.to_owned())
    }
}
