//! Reads both sides completely (R1) and in parallel: mailboxes, permissions and groups from Exchange, accounts from
//! Zivver.

mod again;
mod permissions;
mod resolving;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
pub use permissions::Permissions;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::Instrument;

use resolving::Resolving;

use super::{
    answers::PermissionAnswers,
    error::RunError,
    progress::{Progress, Watcher, span},
};
use crate::{
    domain::{
        account::Actual,
        accounts::Accounts,
        delegation::{Delegations, GroupIndex, resolve},
        diff::absence_questions,
        directory::{Directory, MailboxIx, Party},
        health::CLOCKS_DIFFER_S,
        mailbox::{Mailbox, MailboxKind},
        matching::{Matching, match_accounts},
        memory::Memory,
        scope::{SourceFilter, source_filter},
        source::{Answers, PermissionAnswer, Question},
        world::{Policy, World},
    },
    exchange::{ExchangeClient, ExchangeError, ListProgress, MailboxKey},
    http::Clock,
    zivver::ZivverClient,
};

/// How long requests in flight at the deadline may take (R34), if this invocation has already read something.
const FINISH_MAX: Duration = Duration::from_secs(2);

/// Maximum age of a kept permission answer that a run may use (R34).
pub const KEPT_ANSWER_AGE_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// Maximum age of a permission answer from which a change of delegates is planned (R34).
pub const FRESH_ANSWER_AGE_MAX: Duration = Duration::from_secs(30 * 60);

/// A permission answer, kept for the next invocation of the same run (R34).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// Object id, or the primary address if the mailbox has no object id.
    pub mailbox: String,
    /// When it was received, in epoch seconds.
    pub at: i64,
    pub answer: PermissionAnswer,
}

/// The result of reading both sides.
#[derive(Debug)]
pub struct Fetched {
    pub world: World,
    /// The policy with the members of the source filter.
    pub policy: Policy,
    /// R46: [`Fetcher::present`] with its members; an error if a run under it would fail.
    pub present: Option<Result<Policy, RunError>>,
    pub matching: Matching,
    pub token_warning: Option<String>,
    /// The permission answers with their times (R34).
    pub permissions: PermissionAnswers,
}

/// How a read ended.
#[derive(Debug)]
pub enum FetchEnd {
    Complete(Box<Fetched>),
    /// R34: the deadline passed before everything was read. `answers` are the answers so far.
    CutOff {
        read: usize,
        of: usize,
        answers: Vec<KeptAnswer>,
    },
}

/// Clients, policy and limits of a read.
#[derive(Debug)]
pub struct Fetcher<'a> {
    pub exchange: &'a ExchangeClient,
    pub zivver: &'a ZivverClient,
    pub policy: &'a Policy,
    /// R46: the policy of the program, if `policy` is another one. What either of them needs is read.
    pub present: Option<&'a Policy>,
    pub deadline: Option<Instant>,
    /// Minimum time for reading permissions, even if the lists took until the deadline (R34).
    pub slice: Duration,
    pub permissions: Permissions<'a>,
    /// Gives the time of each answer.
    pub clock: Clock,
    pub progress: &'a Watcher,
}

/// What was read from Exchange, before it is matched with the accounts.
struct Source {
    directory: Directory,
    policy: Policy,
    present: Option<Result<Policy, RunError>>,
    answers: Answers,
    tenant_id: String,
    token_warning: Option<String>,
    permissions: PermissionAnswers,
    read: usize,
    /// How many `Entries` answers this invocation received.
    gained: usize,
    wanted: usize,
    /// [`Fetcher::deadline`], or later to allow for `Fetcher::slice`.
    deadline: Option<Instant>,
    cut_off: bool,
}

impl Source {
    /// R34: whether the deadline has passed and something was read that is worth keeping. An invocation that gained
    /// nothing continues beyond the deadline: the next one would read the same lists and groups, and make no progress
    /// either.
    fn hands_on(&self) -> bool {
        self.gained > 0
            && self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// R46: whether either policy needs them.
    fn wants_permissions(&self, ix: MailboxIx) -> bool {
        let present = self.present.iter().flatten();
        let mut policies = std::iter::once(&self.policy).chain(present);
        policies.any(|policy| policy.wants_permissions(&self.directory, ix))
    }
}

impl Fetcher<'_> {
    /// `kept` are the answers of earlier invocations of this run (R34).
    pub async fn fetch(
        &self,
        memory: &Memory,
        kept: Vec<KeptAnswer>,
    ) -> Result<FetchEnd, RunError> {
        let target = self.target(memory).instrument(span("read Zivver"));
        let source = self.source(kept).instrument(span("read Exchange"));
        let (source, actual) = tokio::try_join!(Box::pin(source), target)?;
        if source.cut_off {
            let answers = kept_answers(&source.directory, &source.permissions);
            return Ok(FetchEnd::CutOff {
                read: source.read,
                of: source.wanted,
                answers,
            });
        }
        self.join(memory, source, actual).await
    }

    /// The time in epoch seconds.
    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    async fn target(&self, memory: &Memory) -> Result<Actual, RunError> {
        let actual = self.zivver.accounts().await?;
        match memory.target_doubt(&actual, self.policy.min_target_ratio) {
            Some(doubt) => Err(doubt.into()),
            None => Ok(actual),
        }
    }

    async fn source(&self, kept: Vec<KeptAnswer>) -> Result<Source, RunError> {
        let facts = self.exchange.token().await?;
        let show = |progress: ListProgress| {
            self.progress.show(Progress::Listing {
                mailboxes: progress.rows,
            });
        };
        let directory = Directory::of(self.exchange.normalised_mailboxes(show).await?);
        let synchronisable = directory
            .mailboxes
            .iter()
            .any(|mailbox| !matches!(mailbox.kind, MailboxKind::Other(_)));
        if !synchronisable {
            return Err(RunError::NoMailboxes {
                read: directory.mailboxes.len() + directory.rejections.len(),
            });
        }
        let mut answers = Answers::default();
        let policy = self.with_members(self.policy, &mut answers).await?;
        let present = match self.present {
            Some(present) => Some(self.with_members(present, &mut answers).await),
            None => None,
        };
        let mut source = Source {
            permissions: PermissionAnswers::new(directory.mailboxes.len()),
            directory,
            policy,
            present,
            answers,
            tenant_id: facts.tenant_id,
            token_warning: facts.warning,
            read: 0,
            gained: 0,
            wanted: 0,
            deadline: None,
            cut_off: false,
        };
        self.permissions(&mut source, kept).await?;
        Ok(source)
    }

    /// R14: a filter group that cannot be read completely fails the run.
    async fn with_members(
        &self,
        policy: &Policy,
        answers: &mut Answers,
    ) -> Result<Policy, RunError> {
        let mut policy = policy.clone();
        if policy.source_filter.is_empty() {
            return Ok(policy);
        }
        let entries: Vec<&String> = policy.source_filter.iter().collect();
        loop {
            match source_filter(&entries, answers) {
                SourceFilter::Members(members) => {
                    policy.source_members = Some(members);
                    return Ok(policy);
                }
                SourceFilter::Failed(reason) => return Err(RunError::SourceFilter(reason)),
                SourceFilter::Missing(questions) => self.ask(questions, answers).await?,
            }
        }
    }

    pub(super) async fn ask(
        &self,
        questions: BTreeSet<Question>,
        answers: &mut Answers,
    ) -> Result<(), ExchangeError> {
        let mut asked = futures::stream::iter(questions)
            .map(|question| async move {
                let answer = self.exchange.answer(&question).await?;
                Ok::<_, ExchangeError>((question, answer))
            })
            .buffer_unordered(self.exchange.concurrency_max());
        let mut answered = 0;
        while let Some(result) = asked.next().await {
            let (question, answer) = result?;
            answers.insert(question, answer);
            answered += 1;
            self.progress.show(Progress::Resolving { answered });
        }
        Ok(())
    }

    /// Reads the permissions of all mailboxes in scope, and resolves groups at the same time.
    async fn permissions(
        &self,
        source: &mut Source,
        kept: Vec<KeptAnswer>,
    ) -> Result<(), RunError> {
        let now = self.now();
        let mut kept: BTreeMap<String, KeptAnswer> = kept
            .into_iter()
            .filter(|kept| {
                let age_max = i64::try_from(KEPT_ANSWER_AGE_MAX.as_secs()).unwrap_or(i64::MAX);
                // An answer from the future has no usable age: the clock that dated it was ahead.
                (-CLOCKS_DIFFER_S..=age_max).contains(&(now - kept.at))
            })
            .map(|kept| (kept.mailbox.clone(), kept))
            .collect();
        let mut keys = Vec::new();
        let mut places = Vec::new();
        let mut held = Vec::new();
        for (ix, mailbox) in source.directory.iter() {
            let is_wanted = self.permissions.include(mailbox);
            if !is_wanted || !source.wants_permissions(ix) {
                continue;
            }
            source.wanted += 1;
            if let Some(kept) = kept.remove(&key_text(mailbox)) {
                source.permissions.set(ix, kept.at, &kept.answer);
                source.read += 1;
                held.push(ix);
            } else if let Some(key) = key(mailbox) {
                keys.push(key);
                places.push(ix);
            }
        }
        // Each invocation reads the lists again, so time must remain for permissions however long the lists took.
        source.deadline = self
            .deadline
            .map(|deadline| deadline.max(Instant::now() + self.slice));
        let mut resolving = Resolving::default();
        for ix in held {
            resolving.look_at(source, ix);
        }
        self.stream(source, keys, &places, &mut resolving).await?;
        while !source.cut_off {
            resolving.look_again(source);
            let open = resolving.take();
            if open.is_empty() {
                break;
            }
            source.cut_off = source.hands_on();
            if !source.cut_off {
                self.ask(open, &mut source.answers).await?;
            }
        }
        Ok(())
    }

    async fn stream(
        &self,
        source: &mut Source,
        keys: Vec<MailboxKey>,
        places: &[MailboxIx],
        resolving: &mut Resolving,
    ) -> Result<(), RunError> {
        let mut missing = keys.len();
        let reads = self.exchange.permissions_until(keys, source.deadline);
        let mut stream = std::pin::pin!(reads);
        let mut asking = FuturesUnordered::new();
        let mut streaming = true;
        let finish = source
            .deadline
            .map(|deadline| deadline.max(Instant::now()) + FINISH_MAX);
        while streaming || !asking.is_empty() {
            while asking.len() < self.exchange.concurrency_max()
                && !source.hands_on()
                && let Some(question) = resolving.next()
            {
                asking.push(async move {
                    let answer = self.exchange.answer(&question).await?;
                    Ok::<_, ExchangeError>((question, answer))
                });
            }
            tokio::select! {
                biased; // Makes a run reproducible from the same answers in the same order.
                () = until(finish), if source.gained > 0 => break,
                next = stream.next(), if streaming => match next {
                    None => streaming = false,
                    Some(answer) => {
                        let (at, answer) = answer?;
                        missing -= 1;
                        source.permissions.set(places[at], self.now(), &answer);
                        source.read += 1;
                        source.gained += usize::from(matches!(answer, PermissionAnswer::Entries(_)));
                        resolving.look_at_answer(source, places[at], &answer);
                        self.progress.show(Progress::Reading { permissions: source.read, of: source.wanted });
                    }
                },
                Some(answered) = asking.next(), if !asking.is_empty() => {
                    let (question, answer) = answered?;
                    let is_directory = question == Question::GroupDirectory;
                    source.answers.insert(question, answer);
                    if is_directory {
                        resolving.look_again(source);
                    }
                }
            }
        }
        source.cut_off = missing > 0 || !asking.is_empty();
        Ok(())
    }

    /// Combines both sides: matches accounts with mailboxes, and asks Exchange whether mailboxes that seem absent are
    /// gone (R19).
    async fn join(
        &self,
        memory: &Memory,
        source: Source,
        actual: Actual,
    ) -> Result<FetchEnd, RunError> {
        let Source {
            directory,
            policy,
            present,
            answers,
            tenant_id,
            token_warning,
            permissions,
            ..
        } = source;
        let delegations = delegations(&directory, &policy, &permissions, &answers);
        let mut world = World {
            directory,
            delegations,
            accounts: Accounts::new(actual).with_unlisted(memory.created_lately()),
            unclear: Vec::new(),
            answers,
            tenant_id,
            depth: self.permissions.depth(),
        };
        let matching = self.matching(memory, &mut world, &policy).await?;
        let believed = |present: Policy| {
            let accounts = world.accounts.actual();
            match memory.target_doubt(accounts, present.min_target_ratio) {
                Some(doubt) => Err(doubt.into()),
                None => Ok(present),
            }
        };
        let present = present.map(|present| present.and_then(believed));
        Ok(FetchEnd::Complete(Box::new(Fetched {
            world,
            policy,
            present,
            matching,
            token_warning,
            permissions,
        })))
    }

    /// Matches accounts with mailboxes, and asks Exchange about those that seem absent.
    async fn matching(
        &self,
        memory: &Memory,
        world: &mut World,
        policy: &Policy,
    ) -> Result<Matching, RunError> {
        let matching = match_accounts(world, policy, memory);
        let open = absence_questions(world, policy, &matching);
        self.ask(open, &mut world.answers).await?;
        Ok(matching)
    }
}

fn delegations(
    directory: &Directory,
    policy: &Policy,
    permissions: &PermissionAnswers,
    answers: &Answers,
) -> Vec<Option<Delegations>> {
    let groups = GroupIndex::new(answers);
    directory
        .iter()
        .map(|(ix, _)| {
            if !policy.wants_permissions(directory, ix) {
                return None;
            }
            let answer = permissions.get(ix)?;
            Some(resolve(
                directory,
                &groups,
                Party::Mailbox(ix),
                &answer,
                answers,
            ))
        })
        .collect()
}

/// The answers to keep for the next invocation. Failed reads are not kept, so they are asked again.
pub fn kept_answers(directory: &Directory, permissions: &PermissionAnswers) -> Vec<KeptAnswer> {
    directory
        .iter()
        .filter_map(|(ix, mailbox)| {
            let (at, answer) = (permissions.at(ix)?, permissions.get(ix)?);
            let keep = match &answer {
                PermissionAnswer::Entries(_) => true,
                PermissionAnswer::Gone | PermissionAnswer::Unread(_) => false,
            };
            keep.then(|| KeptAnswer {
                mailbox: key_text(mailbox),
                at,
                answer,
            })
        })
        .collect()
}

fn key_text(mailbox: &Mailbox) -> String {
    mailbox
        .object_id
        .map_or_else(|| mailbox.primary.as_str().to_owned(), |id| id.to_string())
}

/// The key for reading the permissions of a mailbox; `None` if the mailbox has no usable identity.
pub fn key(mailbox: &Mailbox) -> Option<MailboxKey> {
    MailboxKey::choose(
        mailbox.object_id.map(|id| id.to_string()).as_deref(),
        mailbox.user_principal_name.as_deref(),
        Some(mailbox.primary.as_str()),
    )
}

/// Completes at the deadline; never if there is none.
pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
