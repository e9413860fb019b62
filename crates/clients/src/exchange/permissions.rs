//! Mailbox permissions: one small read for each mailbox, by one of two strategies with the same result
//! (`docs/specs/exchange-online.md`, "1.2 The OData GETs", "3. Batch" and "6.1 Which entries count").

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::Arc,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures::{
    FutureExt, Stream, StreamExt,
    future::{BoxFuture, join_all},
    stream::{self, BoxStream},
};
use reqwest::Method;
use tokio::time::Instant;

use super::{
    ExchangeError, Strategy,
    batch::BATCH_MAX,
    call::{Call, Service},
    pages::{NoRows, Reader},
    wire::PermissionRow,
};
use domain::{
    ids::ObjectId,
    source::{MailboxRecord, PermissionAnswer, PermissionEntry},
};

const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// If this many reads were forbidden and none was answered, the identity probably may not read any permissions (R32).
const FORBIDDEN_MAX: usize = 20;

/// The identity used to ask for a mailbox; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MailboxKey(String);

impl MailboxKey {
    /// The object id, which survives a rename, else the UPN, else the primary address.
    pub fn choose(
        object_id: Option<&str>,
        user_principal_name: Option<&str>,
        primary: Option<&str>,
    ) -> Option<Self> {
        let text = |text: Option<&str>| {
            text.map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        object_id
            .and_then(ObjectId::parse)
            .map(|id| id.to_string())
            .or_else(|| text(user_principal_name))
            .or_else(|| text(primary))
            .map(Self)
    }

    pub fn of(record: &MailboxRecord) -> Option<Self> {
        Self::choose(
            record.object_id.as_deref(),
            record.user_principal_name.as_deref(),
            record.primary_smtp_address.as_deref(),
        )
    }

    /// The path of the permissions below the tenant. Base64 avoids all other quoting.
    pub(super) fn path(&self) -> String {
        let key = BASE64_STANDARD.encode(&self.0);
        let key = percent_encoding::utf8_percent_encode(&key, percent_encoding::NON_ALPHANUMERIC);
        format!("Mailbox('{key}')/MailboxPermission?isEncoded=true")
    }
}

/// The answer, or a retryable error, for the mailbox at an index of the request.
type Answered = (usize, Result<PermissionAnswer, ExchangeError>);
type Entries = Result<Vec<PermissionEntry>, Vec<String>>;

impl Service {
    /// Reads `keys` in any order; each answer carries the index of its key. Ends early with an error if no further read
    /// could succeed.
    pub(super) fn permissions(
        self: &Arc<Self>,
        keys: Vec<MailboxKey>,
        deadline: Option<Instant>,
    ) -> impl Stream<Item = Result<(usize, PermissionAnswer), ExchangeError>> + Send + 'static {
        let service = Arc::clone(self);
        let workers = self.config.concurrency_max.max(1);
        let mut watch = FailureWatch::new(self.config.failures_in_a_row_max);
        let in_time =
            move |at| at < workers || deadline.is_none_or(|deadline| Instant::now() < deadline);
        jobs(service, keys)
            .enumerate()
            .take_while(move |(at, _)| std::future::ready(in_time(*at)))
            .map(|(_, job)| job)
            .buffer_unordered(workers)
            .flat_map(stream::iter)
            .scan(false, move |stopped, (place, answer)| {
                let item = (!*stopped).then(|| watch.judge(answer).map(|answer| (place, answer)));
                *stopped |= matches!(item, Some(Err(_)));
                std::future::ready(item)
            })
    }

    /// Reads one mailbox with a plain GET.
    pub(super) async fn permission(
        &self,
        key: &MailboxKey,
    ) -> Result<PermissionAnswer, ExchangeError> {
        let call = Call {
            kind: "permission",
            operation: format!("read the permissions of mailbox {}", key.0),
            method: Method::GET,
            url: self.address(&key.path()).await?,
            body: Bytes::new(),
            prefer: "odata.maxpagesize=1000",
            timeout: READ_TIMEOUT,
            comparable: true,
        };
        match self.read_all(&call, &ROWS, |_, _| ()).await {
            Ok(rows) => Ok(match merge(rows.rows) {
                Ok(entries) => PermissionAnswer::Entries(entries),
                Err(names) => unreadable(&names),
            }),
            Err(ExchangeError::NotFound(_)) => Ok(PermissionAnswer::Gone),
            Err(error) => Err(error),
        }
    }
}

const ROWS: Reader<PermissionRow, Entries> = Reader {
    convert: PermissionRow::into_entries,
    key: |_| None,
    no_rows: NoRows::Unexpected,
};

/// Several reads at a time, each with one or more answers. A read is created only when it is its turn, because one in
/// flight takes much memory.
fn jobs(
    service: Arc<Service>,
    keys: Vec<MailboxKey>,
) -> BoxStream<'static, BoxFuture<'static, Vec<Answered>>> {
    let keyed = stream::iter(keys.into_iter().enumerate());
    match service.config.strategy {
        Strategy::Get => keyed.map(move |key| single(&service, key)).boxed(),
        Strategy::Batch => keyed
            .chunks(BATCH_MAX)
            .map(move |chunk| batched(&service, chunk))
            .boxed(),
    }
}

fn single(
    service: &Arc<Service>,
    (place, key): (usize, MailboxKey),
) -> BoxFuture<'static, Vec<Answered>> {
    let service = Arc::clone(service);
    async move { vec![(place, service.permission(&key).await)] }.boxed()
}

/// Reads a batch, then reads each mailbox without a good answer by itself.
fn batched(
    service: &Arc<Service>,
    keys: Vec<(usize, MailboxKey)>,
) -> BoxFuture<'static, Vec<Answered>> {
    let service = Arc::clone(service);
    async move {
        let mut known = service.batch(&keys).await;
        let reads = keys.into_iter().map(|(place, key)| {
            let (service, known) = (Arc::clone(&service), known.remove(&place));
            async move {
                match known {
                    Some(answer) => (place, Ok(answer)),
                    None => (place, service.permission(&key).await),
                }
            }
        });
        join_all(reads).await
    }
    .boxed()
}

/// Groups answers by subject. A subject with different answers gets none: their order must not decide which one is
/// right.
pub(super) fn agreed<K: Eq + Hash, V: PartialEq>(
    answers: impl IntoIterator<Item = (K, V)>,
) -> HashMap<K, V> {
    let mut agreed: HashMap<K, Option<V>> = HashMap::new();
    for (key, answer) in answers {
        match agreed.entry(key) {
            Entry::Vacant(free) => {
                free.insert(Some(answer));
            }
            Entry::Occupied(taken) if taken.get().as_ref() == Some(&answer) => (),
            Entry::Occupied(mut taken) => *taken.get_mut() = None,
        }
    }
    agreed
        .into_iter()
        .filter_map(|(key, answer)| Some((key, answer?)))
        .collect()
}

/// All entries of a mailbox, or the answer that says why they are unusable.
pub(super) fn merge(rows: Vec<Entries>) -> Entries {
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        for entry in row? {
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
    }
    Ok(entries)
}

fn unreadable(names: &[String]) -> PermissionAnswer {
    let names = names.join(", ");
    PermissionAnswer::Unread(format!("a permission cannot be understood: {names}"))
}

/// Whether the mailbox's own entry (SELF) is present; without it the read is incomplete (6.1).
pub(super) fn has_self(entries: &[PermissionEntry]) -> bool {
    entries.iter().any(|entry| {
        let user = entry.user.trim();
        user.eq_ignore_ascii_case(r"NT AUTHORITY\SELF") || user.eq_ignore_ascii_case("S-1-5-10")
    })
}

/// Detects when the run must stop (R32).
struct FailureWatch {
    answers: usize,
    /// All answers so far were 403.
    only_forbidden: bool,
    outages_in_a_row: u32,
    outages_max: u32,
}

impl FailureWatch {
    fn new(outages_max: u32) -> Self {
        Self {
            answers: 0,
            only_forbidden: true,
            outages_in_a_row: 0,
            outages_max,
        }
    }

    fn judge(
        &mut self,
        answer: Result<PermissionAnswer, ExchangeError>,
    ) -> Result<PermissionAnswer, ExchangeError> {
        self.answers += 1;
        let error = match answer {
            Ok(answer) => {
                self.only_forbidden = false;
                self.outages_in_a_row = 0;
                return Ok(answer);
            }
            Err(error) => error,
        };
        self.only_forbidden &= error.is_forbidden();
        self.outages_in_a_row = if error.is_outage() {
            self.outages_in_a_row + 1
        } else {
            0
        };
        let must_stop = self.only_forbidden && self.answers >= FORBIDDEN_MAX
            || self.outages_in_a_row >= self.outages_max;
        if must_stop || error.is_fatal() {
            Err(error)
        } else {
            Ok(PermissionAnswer::Unread(error.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_object_id_then_the_upn_then_the_address() {
        let id = "22222222-0000-4000-8000-00000000000A";
        let choose = |id, upn, primary| MailboxKey::choose(id, upn, primary).map(|key| key.0);
        assert_eq!(choose(Some(id), Some("u"), None), Some(id.to_lowercase()));
        assert_eq!(
            choose(Some("x"), Some("u@c.example"), None).as_deref(),
            Some("u@c.example")
        );
        assert_eq!(choose(None, Some(" "), Some("p")).as_deref(), Some("p"));
        assert_eq!(choose(Some(""), None, Some("")), None);
    }

    #[test]
    fn answers_that_contradict_each_other_are_none() {
        let answers = [("a", 1), ("b", 1), ("a", 1), ("b", 2), ("b", 1)];
        assert_eq!(agreed(answers), HashMap::from([("a", 1)]));
    }

    #[test]
    fn the_key_is_base64_with_its_special_characters_encoded() {
        let key = MailboxKey::choose(None, Some("frontdesk@corp.example"), None).unwrap();
        assert_eq!(
            key.path(),
            "Mailbox('ZnJvbnRkZXNrQGNvcnAuZXhhbXBsZQ%3D%3D')/MailboxPermission?isEncoded=true"
        );
        let key = MailboxKey::choose(None, Some("~~~?>~~~@corp.example"), None).unwrap();
        assert!(key.path().contains("%2B") || key.path().contains("%2F"));
    }
}
