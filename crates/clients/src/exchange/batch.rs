//! Ten permission reads in one request (`docs/specs/exchange-online.md`, "3. Batch").

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use reqwest::{
    Method,
    header::{HeaderMap, HeaderValue, RETRY_AFTER},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    call::{Call, Service, read_json},
    permissions::{MailboxKey, agreed, has_self, merge},
    wire::{Page, PermissionRow},
};
use crate::http::retry_after;
use domain::source::PermissionAnswer;

/// The limit of the service.
pub(super) const BATCH_MAX: usize = 10;

const BATCH_TIMEOUT: Duration = Duration::from_secs(100);

#[derive(Deserialize)]
struct BatchAnswer {
    /// Parsed one by one, so that one invalid answer does not invalidate the others.
    responses: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct SubAnswer {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    headers: Option<HashMap<String, Value>>,
    #[serde(default)]
    body: Option<Box<RawValue>>,
}

/// The result of one request of a batch.
enum Sub {
    Good(usize, PermissionAnswer),
    Throttled(Option<Duration>),
    Bad,
}

impl Service {
    /// The good answers of a batch, by index. All others (refused, missing, without SELF) are left to a plain read.
    pub(super) async fn batch(
        &self,
        keys: &[(usize, MailboxKey)],
    ) -> HashMap<usize, PermissionAnswer> {
        match self.send_batch(keys).await {
            Ok(answer) => self.read_batch(&answer),
            Err(error) => {
                tracing::debug!(%error, "a batch failed, its mailboxes are read one by one");
                HashMap::new()
            }
        }
    }

    async fn send_batch(
        &self,
        keys: &[(usize, MailboxKey)],
    ) -> Result<BatchAnswer, super::ExchangeError> {
        let mut requests = Vec::with_capacity(keys.len());
        for (place, key) in keys {
            let url = self.address(&key.path()).await?;
            requests.push(json!({"id": place.to_string(), "method": "GET", "url": url.as_str()}));
        }
        let call = Call {
            kind: "batch",
            operation: format!("read the permissions of {} mailboxes", keys.len()),
            method: Method::POST,
            url: self.address("$batch").await?,
            body: Bytes::from(json!({"requests": requests}).to_string()),
            prefer: "odata.maxpagesize=1000;odata.continue-on-error",
            timeout: BATCH_TIMEOUT,
            comparable: true,
        };
        self.call(&call, read_json).await
    }

    fn read_batch(&self, answer: &BatchAnswer) -> HashMap<usize, PermissionAnswer> {
        let (mut good, mut waits) = (Vec::new(), Vec::new());
        for answer in &answer.responses {
            match serde_json::from_str(answer.get()).map_or(Sub::Bad, |sub| self.judge_sub(&sub)) {
                Sub::Good(place, answer) => good.push((place, answer)),
                Sub::Throttled(wait) => waits.push(wait),
                Sub::Bad => (),
            }
        }
        // They were sent together, so they count as one refusal.
        if let Some(longest) = waits.into_iter().max() {
            self.gate.refused_inside(longest);
        }
        agreed(good)
    }

    fn judge_sub(&self, answer: &SubAnswer) -> Sub {
        match plain_text(&answer.status).trim() {
            "200" => good_sub(answer).unwrap_or(Sub::Bad),
            "429" => {
                self.sender.counters().count_throttled();
                Sub::Throttled(self.sub_retry_after(answer))
            }
            _ => Sub::Bad,
        }
    }

    fn sub_retry_after(&self, answer: &SubAnswer) -> Option<Duration> {
        let (_, value) = answer
            .headers
            .as_ref()?
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(RETRY_AFTER.as_str()))?;
        let value = HeaderValue::from_str(&plain_text(value)).ok()?;
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value)]);
        retry_after(&headers, self.config.clock.now())
            .map(|after| after.min(self.config.retry.retry_after_cap))
    }
}

/// The entries of a mailbox, if the answer is complete.
fn good_sub(answer: &SubAnswer) -> Option<Sub> {
    let place = plain_text(&answer.id).trim().parse().ok()?;
    let page: Page<PermissionRow> = serde_json::from_str(answer.body.as_ref()?.get()).ok()?;
    if page.is_error() || page.link().is_some() || page.has_more() {
        return None;
    }
    let rows = page.value?.into_iter().map(PermissionRow::into_entries);
    let entries = merge(rows.collect()).ok()?;
    has_self(&entries).then_some(Sub::Good(place, PermissionAnswer::Entries(entries)))
}

/// The service sends ids and statuses both as text and as numbers.
fn plain_text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
