//! The questions of `check --probe` to Zivver.

use bytes::Bytes;
use reqwest::Method;
use serde_json::Value;

use super::{
    ReadError, ZivverClient,
    call::{Access, Call, MediaType},
};
use domain::probe::AnswerSheet;

/// They show whether lists page and filter, and which resources of RFC 7644 exist.
const QUESTIONS: [(&str, Option<&str>); 8] = [
    ("Users", Some("count=1")),
    ("Users", Some("startIndex=2")),
    ("Users", Some("filter=userName sw \"a\"")),
    ("ServiceProviderConfig", None),
    ("Schemas", None),
    ("ResourceTypes", None),
    ("Me", None),
    ("Organization", None),
];

impl ZivverClient {
    /// Asks each question once, and writes nothing.
    pub async fn probe(&self, sheet: &mut AnswerSheet) -> Result<(), ReadError> {
        let all = self.users().await?.accounts.len();
        for (path, query) in QUESTIONS {
            let mut url = self.scim_url(path);
            url.set_query(query);
            let call = Call {
                kind: "probe",
                operation: "probe".to_owned(),
                method: Method::GET,
                url,
                media_type: MediaType::Json,
                body: Bytes::new(),
                access: Access::List,
            };
            let answer = match self.attempt(&call).await {
                Ok(Ok(reply)) => {
                    let body = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
                    let rows = body["Resources"].as_array().map(Vec::len);
                    let rows = rows.map(|rows| format!("; {rows} of {all} rows"));
                    format!("{}{}", reply.status.as_u16(), rows.unwrap_or_default())
                }
                Ok(Err(_)) | Err(_) => "no answer".to_owned(),
            };
            let query = query.map(|query| format!("?{query}")).unwrap_or_default();
            sheet.say("zivver", format!("GET {path}{query}"), answer);
        }
        Ok(())
    }
}
