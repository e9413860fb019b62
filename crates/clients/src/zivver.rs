//! Client of Zivver's SCIM API (`docs/specs/zivver-scim.md`, "2. Endpoints"): complete lists, complete writes.
//!
//! Every call passes the governor, and every attempt to write asks [`MayWrite`]. The retries are in `call` (GET, PUT,
//! PATCH) and in `create` (POST); `list` decides whether a list is complete.

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

use std::{sync::Arc, time::Duration};

use reqwest::Method;
use serde_json::Value;
use url::Url;

use domain::{
    account::{Actual, FunctionalAccount, RejectedAccount, UserAccount},
    accounts::{Account, AccountKind},
    address::SmtpAddress,
    execute::{FunctionalUpdate, UserUpdate},
    ids::{ScimId, SignInKey},
};

pub use crate::http::MayWrite;
use crate::http::{Clock, Counters, RetryPolicy, Sender, Transport};
use call::{Access, Call, MediaType};
pub use create::Creation;
pub use error::{CallError, Gap, ReadError, WriteError};
pub use gate::Gate;
use governor::Governor;
pub use governor::Rate;
pub use key::{ApiKey, ApiKeyError};
pub use refusal::{Refusal, RefusalKind};
use wire::Resource;

/// The address of Zivver and the limits of the client.
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

/// Timeouts and retries.
#[derive(Debug, Clone)]
pub struct Policy {
    pub retry: RetryPolicy,
    /// Timeout of one request, except for lists.
    pub timeout: Duration,
    /// Timeout of one page of a list: all accounts come in one page.
    pub list_timeout: Duration,
    /// How often to look for an account after the answer to its creation was lost: reads may lag behind writes.
    pub look_ups: u32,
    /// The pause between two such look-ups.
    pub look_up_pause: Duration,
}

impl Policy {
    /// The values of R31: `Retry-After` up to 60 s. `seed` is the seed of the jitter.
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

/// A complete list (R1).
#[derive(Debug)]
pub struct Listed<A> {
    pub accounts: Vec<A>,
    /// Rows that could not be parsed. They count as accounts.
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

/// All clients made by [`Self::for_run`] share connections, counters and budget.
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
            sender: Arc::new(Sender::new(transport, "CLOUD_SYNC__ZIVVER_API_URL")),
            connection,
            gate: Gate::default(),
        }
    }

    /// The same client with the write permission of a run (R29).
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

    /// Holds back the writes of this run, temporarily or permanently.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// R30: how long the next call waits for Zivver's limit; `None` if it does not.
    pub fn waits(&self) -> Option<Duration> {
        self.governor.waits()
    }

    pub fn counters(&self) -> &Counters {
        self.sender.counters()
    }

    /// Both lists, read in parallel (R1).
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

    /// The user with this address, also directly after its creation. `None` means that Zivver answered "not found".
    pub async fn find_user(&self, address: &SmtpAddress) -> Result<Option<UserAccount>, ReadError> {
        self.find(address).await
    }

    /// The functional account with this address. `None` means that Zivver answered "not found".
    pub async fn find_group(
        &self,
        address: &SmtpAddress,
    ) -> Result<Option<FunctionalAccount>, ReadError> {
        self.find(address).await
    }

    /// The account that an earlier run may have created at this address. A look-up that finds none is repeated (R31).
    pub async fn find_created(
        &self,
        kind: AccountKind,
        address: &SmtpAddress,
    ) -> Result<Option<Account>, ReadError> {
        Ok(match kind {
            AccountKind::User => self.look_for(address).await?.map(Account::User),
            AccountKind::Functional => self.look_for(address).await?.map(Account::Functional),
        })
    }

    /// Creates the user with this address.
    pub async fn create_user(
        &self,
        address: &SmtpAddress,
        name: &str,
        key: Option<&SignInKey>,
    ) -> Result<Creation<UserAccount>, WriteError> {
        self.create(address, &write::new_user(address, name, key))
            .await
    }

    /// Creates the functional account with this address.
    pub async fn create_group(
        &self,
        address: &SmtpAddress,
        name: &str,
        members: &[ScimId],
        aliases: &[SmtpAddress],
    ) -> Result<Creation<FunctionalAccount>, WriteError> {
        self.create(address, &write::new_group(address, name, members, aliases))
            .await
    }

    /// Returns the updated user, if Zivver's answer contains it.
    pub async fn update_user(
        &self,
        id: &ScimId,
        user: &UserUpdate,
    ) -> Result<Option<UserAccount>, WriteError> {
        self.update(id, &write::updated_user(user)).await
    }

    /// Returns the updated functional account, if Zivver's answer contains it.
    pub async fn update_group(
        &self,
        id: &ScimId,
        group: &FunctionalUpdate,
    ) -> Result<Option<FunctionalAccount>, WriteError> {
        self.update(id, &write::updated_group(group)).await
    }

    /// Gives a functional account these members, also none. Returns it, if Zivver's answer contains it.
    pub async fn set_members(
        &self,
        id: &ScimId,
        members: &[ScimId],
    ) -> Result<Option<FunctionalAccount>, WriteError> {
        let call = Call {
            kind: "zivver patch group",
            operation: format!("change the members of the functional account {id}"),
            method: Method::PATCH,
            url: self.resource_url::<FunctionalAccount>(id),
            media_type: MediaType::ScimJson,
            body: write::members(members).to_string().into(),
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
        let reply = self.repeat(call).await?;
        Ok(R::parse(&reply.body).filter(|account| account.id() == id))
    }

    fn collection_url<R: Resource>(&self) -> Url {
        self.scim_url(R::COLLECTION)
    }

    /// A URL below `/scim/v2`, whether or not `ZIVVER_API_URL` already contains that part.
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
