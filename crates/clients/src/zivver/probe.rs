//! The questions of `docs/specs/zivver-scim.md`, "9. Open questions and the safe choice", as far as reading answers them.

use bytes::Bytes;
use reqwest::Method;
use serde_json::Value;

use super::{
    ReadError, ZivverClient,
    call::{Access, Call, MediaType},
};
use domain::probe::AnswerSheet;

impl ZivverClient {
    /// Asks each question once, and writes nothing.
    pub async fn probe(&self, sheet: &mut AnswerSheet) -> Result<(), ReadError> {
        let all = self.users().await?.accounts.len();
        for (question, path, query) in [
            ("Does `count` limit a list?", "Users", Some("count=1")),
            (
                "Does a list begin at `startIndex`?",
                "Users",
                Some("startIndex=2"),
            ),
            (
                "Are there filters with `sw`?",
                "Users",
                Some("filter=userName sw \"a\""),
            ),
            (
                "Is there a ServiceProviderConfig?",
                "ServiceProviderConfig",
                None,
            ),
            ("Are there Schemas?", "Schemas", None),
            ("Are there ResourceTypes?", "ResourceTypes", None),
            ("Is there Me?", "Me", None),
            ("Is there an Organization?", "Organization", None),
        ] {
            let Some((status, body, tagged)) = self.ask(path, query).await else {
                sheet.say("zivver", question, "no answer");
                continue;
            };
            let rows = body["Resources"].as_array().map(Vec::len);
            let answer = match rows {
                Some(rows) => {
                    let total = body["totalResults"].as_u64();
                    let total = total
                        .map_or_else(|| "no total".to_owned(), |total| format!("{total} in all"));
                    let tag = if tagged { "an ETag" } else { "no ETag" };
                    format!("{status}; {rows} of {all} rows, {total}, {tag}")
                }
                None => format!("{status}"),
            };
            sheet.say("zivver", question, answer);
        }
        let known = self.ask("Users", None).await.map(|(_, body, _)| body);
        let told = known.is_some_and(|body| body.to_string().contains("ExternalAccountId"));
        let answer = if told { "yes" } else { "no account has one" };
        sheet.say(
            "zivver",
            "Do accounts tell their ExternalAccountId?",
            answer,
        );
        Ok(())
    }

    /// Status, body, and whether it has an entity tag.
    async fn ask(&self, path: &str, query: Option<&str>) -> Option<(u16, Value, bool)> {
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
        let reply = self.attempt(&call).await.ok()?.ok()?;
        let body = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
        Some((reply.status.as_u16(), body, reply.header("etag").is_some()))
    }
}
