//! Client of the Exchange Online admin API (`docs/specs/exchange-online.md`, "0. Decisions"): mailboxes, permissions,
//! groups. Reads only.
//!
//! In reading order: `token` gets and reads access tokens, `call` sends one request and interprets the answer (`fault`,
//! `link`, `limiter`, `gate`), `pages` reads a complete list, and `permissions`, `batch` and `command` send the
//! queries. `wire` holds the data types of the API.

mod batch;
mod call;
mod command;
mod error;
mod fault;
mod gate;
mod limiter;
mod link;
mod pages;
mod permissions;
mod probe;
mod token;
mod wire;

use std::{
    fmt::Debug,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use bytes::Bytes;
use futures::Stream;
use reqwest::Method;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use call::{Call, RetryBudget, Service};
pub use error::{ExchangeError, Failure};
use gate::Gate;
use pages::{NoRows, Reader, Rows};
pub use permissions::MailboxKey;
use token::TokenKeeper;
pub use token::{Identity, Principal, TokenFacts};
use wire::MailboxRow;

use domain::{
    mailbox::{Normalised, normalise},
    source::{Answer, MailboxRecord, PermissionAnswer, Question},
};

use crate::http::{Clock, Counters, RetryPolicy, Sender, Transport, is_loopback};

/// What matching of trustees and accounts needs; other properties would only cost time (1.2 A).
const MAILBOX_PROPERTIES: &str = "PrimarySmtpAddress,DisplayName,EmailAddresses,RecipientTypeDetails,Guid,AccountDisabled,ExternalDirectoryObjectId,UserPrincipalName,Name,Alias,Identity,ExchangeObjectId";

const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest `Retry-After` that is obeyed (R31).
const RETRY_AFTER_CAP: Duration = Duration::from_secs(300);

/// How the permissions of many mailboxes are read (`EXO_PERMISSIONS`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strategy {
    /// One GET for each mailbox: known to work.
    #[default]
    Get,
    /// `$batch` of ten.
    Batch,
}

/// How to reach the service.
#[derive(Debug, Clone)]
pub struct ExchangeConfig {
    /// `EXO_URL`: https, or http on loopback. Only the origin is used.
    pub base: Url,
    /// Path and version of the API.
    pub path: String,
    /// `EXO_PERMISSIONS`.
    pub strategy: Strategy,
    /// `EXO_CONCURRENCY`: the most requests in flight.
    pub concurrency_max: usize,
    pub retry: RetryPolicy,
    /// `MAX_CONSECUTIVE_FAILURES`: how many permission reads or questions may fail in a row because the service is
    /// unavailable (R32).
    pub failures_in_a_row_max: u32,
    pub clock: Clock,
    /// Sent with each request, so that Microsoft's support can find the run.
    pub client_request_id: String,
}

impl ExchangeConfig {
    pub fn new(base: Url) -> Self {
        let id = Uuid::new_v4();
        Self {
            base,
            path: "adminapi/beta".to_owned(),
            strategy: Strategy::default(),
            concurrency_max: 16,
            retry: RetryPolicy::new(RETRY_AFTER_CAP, id.as_u64_pair().0),
            failures_in_a_row_max: 20,
            clock: Clock::System,
            client_request_id: id.to_string(),
        }
    }
}

/// The complete mailbox list (R1).
#[derive(Debug, Clone, Default)]
pub struct MailboxList {
    pub mailboxes: Vec<MailboxRecord>,
    pub pages: u32,
    /// Rows that were repeated on a later page and dropped.
    pub repeated_rows: usize,
}

/// How much of a list has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListProgress {
    pub pages: u32,
    pub rows: usize,
}

/// Reads a tenant. Clones are cheap and share connections, token, gate and counters.
#[derive(Debug, Clone)]
pub struct ExchangeClient {
    service: Arc<Service>,
}

impl ExchangeClient {
    /// Sends no request.
    pub fn new(
        config: ExchangeConfig,
        identity: Identity,
        transport: Transport,
    ) -> Result<Self, ExchangeError> {
        let scheme = config.base.scheme();
        if scheme != "https" && !(scheme == "http" && is_loopback(&config.base)) {
            return Err(ExchangeError::Settings {
                text: "EXO_URL is not an https address".to_owned(),
                remedy: "use https, or http with a loopback host for the sandbox".to_owned(),
            });
        }
        let service = Service {
            sender: Sender::new(transport, "CLOUD_SYNC__EXO_URL"),
            gate: Gate::new(config.concurrency_max),
            tokens: TokenKeeper::new(identity, &config.base, config.clock),
            retry_budget: RetryBudget::new(),
            outages_in_a_row: AtomicU32::new(0),
            config,
        };
        Ok(Self {
            service: Arc::new(service),
        })
    }

    /// The most requests in flight. More at once wait for each other.
    pub fn concurrency_max(&self) -> usize {
        self.service.config.concurrency_max.max(1)
    }

    /// Identity and tenant from the access token. Fails if the token cannot be used.
    pub async fn token(&self) -> Result<TokenFacts, ExchangeError> {
        self.service.facts().await
    }

    /// Like [`Self::token`], but fails if a fixed token has expired or is for another service.
    pub async fn usable_token(&self) -> Result<TokenFacts, ExchangeError> {
        self.service.tokens.usable().await
    }

    /// All mailboxes of the tenant, of every kind, or an error: never a partial list (R1). `progress` is called for
    /// each page, and starts again at page one if the list must be read again.
    pub async fn mailboxes(
        &self,
        progress: impl FnMut(ListProgress),
    ) -> Result<MailboxList, ExchangeError> {
        let reader = Reader {
            convert: MailboxRow::into_record,
            key: mailbox_identity,
            no_rows: NoRows::Unexpected,
        };
        let list = self.mailbox_rows(&reader, progress).await?;
        Ok(MailboxList {
            mailboxes: list.rows,
            pages: list.pages,
            repeated_rows: list.repeated,
        })
    }

    /// Like [`Self::mailboxes`], but normalises each row when it is read: the raw rows of a large tenant would exhaust
    /// the memory.
    pub async fn normalised_mailboxes(
        &self,
        progress: impl FnMut(ListProgress),
    ) -> Result<Vec<Normalised>, ExchangeError> {
        let reader = Reader::<MailboxRow, _> {
            convert: |row| normalise(&row.into_record()),
            key: normalised_identity,
            no_rows: NoRows::Unexpected,
        };
        Ok(self.mailbox_rows(&reader, progress).await?.rows)
    }

    async fn mailbox_rows<R: Debug>(
        &self,
        reader: &Reader<MailboxRow, R>,
        mut progress: impl FnMut(ListProgress),
    ) -> Result<Rows<R>, ExchangeError> {
        let call = Call {
            kind: "mailbox list",
            operation: "read the mailbox list".to_owned(),
            method: Method::GET,
            url: self
                .service
                .address(&format!("Mailbox?$select={MAILBOX_PROPERTIES}"))
                .await?,
            body: Bytes::new(),
            prefer: "odata.maxpagesize=1000",
            timeout: PAGE_TIMEOUT,
            comparable: false,
        };
        let on_page = |pages, rows| progress(ListProgress { pages, rows });
        self.service.read_all(&call, reader, on_page).await
    }

    /// Reads the permissions of these mailboxes. Answers come in any order, each with the index of its key. An error
    /// ends the stream: no further read could succeed (R32).
    pub fn permissions(
        &self,
        keys: Vec<MailboxKey>,
    ) -> impl Stream<Item = Result<(usize, PermissionAnswer), ExchangeError>> + Send + 'static {
        self.service.permissions(keys, None)
    }

    /// Like [`Self::permissions`], but starts no read after `deadline`, except the first few, so that each invocation
    /// makes progress (R34). Mailboxes that were not read have no answer.
    pub fn permissions_until(
        &self,
        keys: Vec<MailboxKey>,
        deadline: Option<Instant>,
    ) -> impl Stream<Item = Result<(usize, PermissionAnswer), ExchangeError>> + Send + 'static {
        self.service.permissions(keys, deadline)
    }

    /// Asks about groups and recipients. A failure that concerns one object is part of the answer; a failure that must
    /// stop the run is the error.
    pub async fn answer(&self, question: &Question) -> Result<Answer, ExchangeError> {
        self.service.answer(question).await
    }

    pub fn counters(&self) -> &Counters {
        self.service.sender.counters()
    }
}

/// The identity of a row, to find repeated rows. The discovery mailbox has no object id.
fn mailbox_identity(record: &MailboxRecord) -> Option<String> {
    normalised_identity(&normalise(record))
}

/// Like [`mailbox_identity`], for a normalised row.
fn normalised_identity(row: &Normalised) -> Option<String> {
    let (object_id, name, guids) = match row {
        Ok(it) => (&it.object_id, &it.user_principal_name, &it.guids),
        Err(it) => (&it.object_id, &it.user_principal_name, &it.guids),
    };
    object_id
        .as_ref()
        .map(ToString::to_string)
        .or_else(|| name.as_deref().map(str::to_owned))
        .or_else(|| guids.first().map(|guid| format!("{guid:?}")))
}
