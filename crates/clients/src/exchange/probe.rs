//! The questions of `check --probe` to Exchange. Each request is sent once, without retries, since the first answer is
//! the result.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use reqwest::Method;
use serde_json::Value;

use super::{Call, ExchangeClient, ExchangeError, MailboxKey};
use domain::probe::AnswerSheet;

/// The number of mailboxes in one batch.
const SAMPLE: usize = 10;

/// More than the default of `EXO_CONCURRENCY`.
const READS_AT_ONCE: usize = 20;

/// They show how lists page and what errors look like. A request with a body is a POST.
const QUESTIONS: [(&str, &str); 4] = [
    ("Mailbox?$select=UserPrincipalName", ""),
    (
        "InvokeCommand?$select=Guid",
        r#"{"CmdletInput":{"CmdletName":"Get-Mailbox","Parameters":{"ResultSize":2}}}"#,
    ),
    ("Mailbox('AAAA')/MailboxPermission?isEncoded=true", ""),
    (
        "InvokeCommand",
        r#"{"CmdletInput":{"CmdletName":"Get-NothingOfTheKind","Parameters":{}}}"#,
    ),
];

impl ExchangeClient {
    /// Asks all questions and returns a sample of mailboxes for further ones. Fails only if sign-in or the mailbox list
    /// fails.
    pub async fn probe(&self, sheet: &mut AnswerSheet) -> Result<Vec<MailboxKey>, ExchangeError> {
        let mailboxes = self.mailboxes(|_| ()).await?.mailboxes;
        let keys = mailboxes.iter().filter_map(MailboxKey::of);
        let sample: Vec<MailboxKey> = keys.take(SAMPLE).collect();
        for (path, body) in QUESTIONS {
            let (status, answer) = self.ask(path, body).await?;
            let question = format!("{path} {body}");
            sheet.say(
                "exchange",
                question.trim_end(),
                format!("{status}{}", shape(&answer)),
            );
        }
        if let Some(key) = sample.first() {
            let path = key.path();
            let reads = join_all((0..READS_AT_ONCE).map(|_| self.ask(&path, ""))).await;
            let is_refused = |read: &&Result<(u16, Value), ExchangeError>| {
                !read.as_ref().is_ok_and(|(status, _)| *status == 200)
            };
            let refused = reads.iter().filter(is_refused).count();
            sheet.say(
                "exchange",
                format!("How many of {READS_AT_ONCE} reads at once are refused?"),
                refused.to_string(),
            );
            if refused > 0 {
                sheet.recommend("EXO_CONCURRENCY below 16");
            }
        }
        Ok(sample)
    }

    /// Status and body.
    async fn ask(&self, path: &str, body: &'static str) -> Result<(u16, Value), ExchangeError> {
        let call = Call {
            kind: "probe",
            operation: "probe".to_owned(),
            method: if body.is_empty() {
                Method::GET
            } else {
                Method::POST
            },
            url: self.service.address(path).await?,
            body: Bytes::from_static(body.as_bytes()),
            // Pages of one row show how pages follow each other.
            prefer: "odata.maxpagesize=1",
            timeout: Duration::from_secs(60),
            comparable: false,
        };
        let reply = self.service.send_once(&call).await?;
        let body = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
        Ok((reply.status.as_u16(), body))
    }
}

/// The rows and the link of a list, or the fields in which an error is described.
fn shape(body: &Value) -> String {
    let detail = body["error"]["details"][0]["message"].as_str();
    match (body["value"].as_array(), detail) {
        (Some(rows), _) if body["@odata.nextLink"].is_string() => {
            format!("; {} rows and a link to more", rows.len())
        }
        (Some(rows), _) => format!("; {} rows", rows.len()),
        (None, Some(detail)) if detail.starts_with('{') => "; JSON in a string".to_owned(),
        (None, Some(detail)) if detail.contains('|') => "; text between pipes".to_owned(),
        (None, _) if body["error"]["innererror"]["internalexception"].is_object() => {
            "; an inner exception".to_owned()
        }
        (None, _) if body["error"].is_object() => "; an OData error".to_owned(),
        (None, _) => String::new(),
    }
}
