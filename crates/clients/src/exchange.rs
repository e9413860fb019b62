//! Client of the Exchange Online admin API (`docs/specs/exchange-online.md`, "0. Decisions"): mailboxes, permissions,
//! groups. Reads only.
//!
//! In reading order: `token` says who we are, `call` sends one request and understands the answer (`fault`, `link`,
//! `limiter`, `gate`), `pages` reads a list to its end, and `permissions`, `batch` and `command` ask the questions.
//! `wire` is what the service writes.

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
use pages::{Reader, Rows, Void};
pub use permissions::MailboxKey;
use token::TokenKeeper;
pub use token::{Identity, TokenFacts};
use wire::MailboxRow;

use domain::{
    mailbox::{Normalised, normalise},
    source::{Answer, MailboxRecord, PermissionAnswer, Question},
};

use crate::http::{Clock, Counters, RetryPolicy, Sender, Transport, is_loopback};

/// Needed for matching trustees and for the accounts; nothing more is asked for (1.2 A).
const MAILBOX_PROPERTIES: &str = "PrimarySmtpAddress,DisplayName,EmailAddresses,RecipientTypeDetails,Guid,AccountDisabled,ExternalDirectoryObjectId,UserPrincipalName,Name,Alias,Identity,ExchangeObjectId";

const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// `Retry-After` is obeyed up to here (R31).
const RETRY_AFTER_CAP: Duration = Duration::from_secs(300);

/// How the permissions of many mailboxes are read (`EXO_PERMISSIONS`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strategy {
    /// One GET for each mailbox: proven.
    #[default]
    Get,
    /// `$batch` of ten.
    Batch,
}

/// How to reach the service.
#[derive(Debug, Clone)]
pub struct ExchangeConfig {
    /// `EXO_URL`: https, or http on loopback. Only its origin counts.
    pub base: Url,
    /// Path and version of the API.
    pub path: String,
    /// `EXO_PERMISSIONS`.
    pub strategy: Strategy,
    /// `EXO_CONCURRENCY`: the most requests in flight.
    pub concurrency_max: usize,
    pub retry: RetryPolicy,
    /// `MAX_CONSECUTIVE_FAILURES`: permission reads, or questions, that fail one after the other for want of the service
    /// (R32).
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
    /// Rows that came again on a later page and were dropped.
    pub repeated_rows: usize,
}

/// How far a list has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListProgress {
    pub pages: u32,
    pub rows: usize,
}

/// Reads a tenant. Cheap to clone; all clones share connections, token, gate and counters.
#[derive(Debug, Clone)]
pub struct ExchangeClient {
    service: Arc<Service>,
}

impl ExchangeClient {
    /// Sends nothing yet.
    pub fn new(
        config: ExchangeConfig,
        identity: Identity,
        transport: Transport,
    ) -> Result<Self, ExchangeError> {
        let scheme = config.base.scheme();
        if scheme != "https" && !(scheme == "http" && is_loopback(&config.base)) {
            return Err(ExchangeError::Settings {
                text: "EXO_URL is no https address".to_owned(),
                remedy: "use https, or http with a loopback host for the sandbox".to_owned(),
            });
        }
        let service = Service {
            sender: Sender::new(transport, "EXO_URL"),
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

    /// Who we are and in which tenant, as the token says. Fails where the token cannot work.
    pub async fn token(&self) -> Result<TokenFacts, ExchangeError> {
        self.service.facts().await
    }

    /// Every mailbox of the tenant, of every kind, or an error: never a part (R1). `progress` hears of each page, and
    /// begins again at the first one when the list has to be read anew.
    pub async fn mailboxes(
        &self,
        progress: impl FnMut(ListProgress),
    ) -> Result<MailboxList, ExchangeError> {
        let reader = Reader {
            convert: MailboxRow::into_record,
            key: mailbox_identity,
            void: Void::Never,
        };
        let list = self.mailbox_rows(&reader, progress).await?;
        Ok(MailboxList {
            mailboxes: list.rows,
            pages: list.pages,
            repeated_rows: list.repeated,
        })
    }

    /// The same, each row normalised as soon as it is read: all rows of a large tenant would fill the memory.
    pub async fn normalised_mailboxes(
        &self,
        progress: impl FnMut(ListProgress),
    ) -> Result<Vec<Normalised>, ExchangeError> {
        let reader = Reader::<MailboxRow, _> {
            convert: |row| normalise(&row.into_record()),
            key: normalised_identity,
            void: Void::Never,
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

    /// Who may open these mailboxes. Answers come in any order, each with the place of its key. An error ends the
    /// stream: nothing else can be read either (R32).
    pub fn permissions(
        &self,
        keys: Vec<MailboxKey>,
    ) -> impl Stream<Item = Result<(usize, PermissionAnswer), ExchangeError>> + Send + 'static {
        self.service.permissions(keys, None)
    }

    /// The same, but starts no read after `deadline` beyond the first few, so that each call gets somewhere (R34). What was
    /// not read has no answer.
    pub fn permissions_until(
        &self,
        keys: Vec<MailboxKey>,
        deadline: Option<Instant>,
    ) -> impl Stream<Item = Result<(usize, PermissionAnswer), ExchangeError>> + Send + 'static {
        self.service.permissions(keys, deadline)
    }

    /// Asks about groups and recipients. Failures that concern one object are in the answer, those that stop the run
    /// are the error.
    pub async fn answer(&self, question: &Question) -> Result<Answer, ExchangeError> {
        self.service.answer(question).await
    }

    pub fn counters(&self) -> &Counters {
        self.service.sender.counters()
    }
}

/// What tells two mailboxes apart; the discovery mailbox has no object id.
fn mailbox_identity(record: &MailboxRecord) -> Option<String> {
    normalised_identity(&normalise(record))
}

/// The same of what a row became.
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
