//! Client of Zivver's SCIM API (`docs/specs/zivver-scim.md`, "2. Endpoints"): complete lists, complete writes.
//!
//! Every call passes the governor, every attempt to write asks [`MayWrite`]. What is repeated, and when, is in
//! `call` (GET, PUT, PATCH) and in `create` (POST); `list` says when a list counts.

mod call;
mod create;
mod error;
mod gate;
mod governor;
mod key;
mod list;
mod probe;
mod refusal;
mod wire;
mod write;

use std::{fmt, sync::Arc, time::Duration};

use reqwest::Method;
use serde_json::Value;
use url::Url;

use domain::{
    account::{Actual, FunctionalAccount, RejectedAccount, UserAccount},
    address::SmtpAddress,
    ids::ScimId,
};

use crate::http::{Clock, Counters, RetryPolicy, Sender, Transport};
use call::{Access, Call, MediaType};
pub use create::Creation;
pub use error::{Gap, ReadError, WriteError};
pub use gate::Gate;
use governor::Governor;
pub use governor::Rate;
pub use key::{ApiKey, ApiKeyError};
pub use refusal::{Refusal, RefusalKind};
use wire::Resource;
use write::Verb;
pub use write::{GroupExtensionBody, GroupWrite, MembersPatch, UserExtensionBody, UserWrite};

/// Where Zivver is, and how to treat it.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The part before `/scim/v2`.
    pub base_url: Url,
    pub key: ApiKey,
    pub rate: Rate,
    pub policy: Policy,
    pub clock: Clock,
    pub may_write: MayWrite,
}

/// How patient the client is.
#[derive(Debug, Clone)]
pub struct Policy {
    pub retry: RetryPolicy,
    /// For one request, except for a list.
    pub timeout: Duration,
    /// For one page of a list: all accounts come in one.
    pub list_timeout: Duration,
    /// How often an account is looked for after the answer to its creation was lost: reads may lag behind writes.
    pub look_ups: u32,
    /// Between two such look-ups.
    pub look_up_pause: Duration,
}

impl Policy {
    /// As R31 has it: `Retry-After` up to 60 s. `seed` is that of the jitter.
    pub fn new(seed: u64) -> Self {
        Self {
            retry: RetryPolicy::new(Duration::from_secs(60), seed),
            timeout: Duration::from_secs(30),
            list_timeout: Duration::from_secs(120),
            look_ups: 3,
            look_up_pause: Duration::from_secs(1),
        }
    }
}

/// Asked right before each attempt to write: whether the run still has its lock (R29).
#[derive(Clone)]
pub struct MayWrite(Arc<dyn Fn() -> bool + Send + Sync>);

impl MayWrite {
    pub fn new(ask: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    /// For a client that only reads.
    pub fn never() -> Self {
        Self::new(|| false)
    }

    fn ask(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for MayWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MayWrite")
    }
}

/// A complete list (R1).
#[derive(Debug)]
pub struct Listed<A> {
    pub accounts: Vec<A>,
    /// Rows that cannot be understood: accounts all the same.
    pub rejected: Vec<RejectedAccount>,
}

impl<A> Default for Listed<A> {
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            rejected: Vec::new(),
        }
    }
}

/// Connections, counters and budget are those of all clients that come from one by [`Self::for_run`].
#[derive(Debug)]
pub struct ZivverClient {
    connection: Connection,
    sender: Arc<Sender>,
    governor: Arc<Governor>,
    gate: Gate,
}

impl ZivverClient {
    pub fn new(connection: Connection, transport: Transport) -> Self {
        Self {
            governor: Arc::new(Governor::new(connection.rate)),
            sender: Arc::new(Sender::new(transport, "ZIVVER_API_URL")),
            connection,
            gate: Gate::default(),
        }
    }

    /// The same, for a run with a right of its own to write (R29).
    #[must_use]
    pub fn for_run(&self, may_write: MayWrite) -> Self {
        Self {
            connection: Connection {
                may_write,
                ..self.connection.clone()
            },
            sender: Arc::clone(&self.sender),
            governor: Arc::clone(&self.governor),
            gate: Gate::default(),
        }
    }

    /// Keeps this run from sending further writes, for a while or for good.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    pub fn counters(&self) -> &Counters {
        self.sender.counters()
    }

    /// Both lists, side by side (R1).
    pub async fn accounts(&self) -> Result<Actual, ReadError> {
        let (users, groups) = tokio::try_join!(self.users(), self.groups())?;
        let mut rejected = users.rejected;
        rejected.extend(groups.rejected);
        rejected.sort_unstable_by(|a, b| (&a.label, &a.id).cmp(&(&b.label, &b.id)));
        Ok(Actual {
            users: users.accounts,
            groups: groups.accounts,
            rejected,
        })
    }

    /// All users (R1).
    pub async fn users(&self) -> Result<Listed<UserAccount>, ReadError> {
        self.list().await
    }

    /// All functional accounts (R1).
    pub async fn groups(&self) -> Result<Listed<FunctionalAccount>, ReadError> {
        self.list().await
    }

    /// The user with this address, also where it was only just created. `None` is a clean "not there".
    pub async fn find_user(&self, address: &SmtpAddress) -> Result<Option<UserAccount>, ReadError> {
        self.find(address).await
    }

    /// The functional account with this address. `None` is a clean "not there".
    pub async fn find_group(
        &self,
        address: &SmtpAddress,
    ) -> Result<Option<FunctionalAccount>, ReadError> {
        self.find(address).await
    }

    /// Creates the user with this address. The address of `user` is taken from `address`.
    pub async fn create_user(
        &self,
        address: &SmtpAddress,
        user: &UserWrite,
    ) -> Result<Creation<UserAccount>, WriteError> {
        let user = UserWrite {
            user_name: Some(address.clone()),
            ..user.clone()
        };
        self.create(address, &user.body(Verb::Create)).await
    }

    /// Creates the functional account with this address. The address of `group` is taken from `address`.
    pub async fn create_group(
        &self,
        address: &SmtpAddress,
        group: &GroupWrite,
    ) -> Result<Creation<FunctionalAccount>, WriteError> {
        let group = GroupWrite {
            external_id: Some(address.clone()),
            ..group.clone()
        };
        self.create(address, &group.body(Verb::Create)).await
    }

    /// The user as Zivver then has it, if it says so.
    pub async fn update_user(
        &self,
        id: &ScimId,
        user: &UserWrite,
    ) -> Result<Option<UserAccount>, WriteError> {
        self.update(id, &user.body(Verb::Update)).await
    }

    /// The functional account as Zivver then has it, if it says so.
    pub async fn update_group(
        &self,
        id: &ScimId,
        group: &GroupWrite,
    ) -> Result<Option<FunctionalAccount>, WriteError> {
        self.update(id, &group.body(Verb::Update)).await
    }

    /// The functional account as Zivver then has it, if it says so.
    pub async fn patch_members(
        &self,
        id: &ScimId,
        patch: &MembersPatch,
    ) -> Result<Option<FunctionalAccount>, WriteError> {
        let call = Call {
            kind: "zivver patch group",
            operation: format!("change the members of the functional account {id}"),
            method: Method::PATCH,
            url: self.resource_url::<FunctionalAccount>(id),
            media_type: MediaType::ScimJson,
            body: patch.body().to_string().into(),
            access: Access::Write,
        };
        self.written(id, &call).await
    }

    async fn update<R: Resource>(
        &self,
        id: &ScimId,
        body: &Value,
    ) -> Result<Option<R>, WriteError> {
        let call = Call {
            kind: R::KINDS.update,
            operation: format!("update the {} {id}", R::ONE),
            method: Method::PUT,
            url: self.resource_url::<R>(id),
            media_type: MediaType::Json,
            body: body.to_string().into(),
            access: Access::Write,
        };
        self.written(id, &call).await
    }

    async fn written<R: Resource>(
        &self,
        id: &ScimId,
        call: &Call,
    ) -> Result<Option<R>, WriteError> {
        let reply = self.repeat(call).await.map_err(WriteError::from)?;
        Ok(R::parse(&reply.body).filter(|account| account.id() == id))
    }

    fn collection_url<R: Resource>(&self) -> Url {
        self.scim_url(R::COLLECTION)
    }

    /// The address of something below `/scim/v2`, whether or not `ZIVVER_API_URL` says that much itself.
    fn scim_url(&self, place: &str) -> Url {
        let mut url = self.connection.base_url.clone();
        let base = url.path().trim_end_matches('/');
        let base = base.strip_suffix("/scim/v2").unwrap_or(base);
        let path = format!("{base}/scim/v2/{place}");
        url.set_path(&path);
        url.set_query(None);
        url.set_fragment(None);
        url
    }

    fn resource_url<R: Resource>(&self, id: &ScimId) -> Url {
        let mut url = self.collection_url::<R>();
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(id.as_str());
        }
        url
    }
}
