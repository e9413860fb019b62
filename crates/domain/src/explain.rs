//! Explains the state of any address: facts, rules, decision (R40).

mod held;

use std::collections::{BTreeMap, BTreeSet};

use held::{actions_without, counts_with_others, held_then, is_partial};

use serde::{Deserialize, Serialize};

use super::{
    account::RejectedAccount,
    accounts::{AccountIx, AccountKind},
    address::SmtpAddress,
    all_clear::AllClear,
    delta::Delta,
    directory::MailboxIx,
    guard::Class,
    hold::{HeldChange, HeldSet},
    matching::{AccountFate, MailboxFate, Matching},
    memory::Memory,
    mode::{Mode, Trigger},
    named::{UnknownAddress, names, suggestion},
    note::{Code, Note},
    plan::{Action, Plan},
    report::Report,
    scope::ClaimedDomains,
    snapshot::{Head, Left, Snapshot, explained},
    source::RecipientAnswer,
    suspended::{Suspended, still_suspended},
    world::{MailboxScope, Policy, World},
};

/// R26: what is said of a count for which only one account was read.
const ALONE: &str =
    "as far as this address alone tells: a run counts what it takes from all together (R26)";

/// All facts and decisions about one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    pub address: String,
    /// The answer in one line.
    pub verdict: String,
    pub mailboxes: Vec<MailboxFacts>,
    pub accounts: Vec<AccountFacts>,
    /// R13: addresses of both sides that no rule compares, since their domain is not claimed.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub outside: Vec<String>,
    /// R22: delegates in Zivver whose mailbox has another address by now, with that address.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub renamed: BTreeMap<String, String>,
    /// The planned changes, with their rules.
    pub actions: Vec<Action>,
    pub held: Vec<HeldFact>,
    /// The other findings about it.
    pub notes: Vec<Note>,
    /// Set if no mailbox, account or other recipient has the address, which is then most likely mistyped.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unknown: Option<UnknownAddress>,
    /// R42: set if the answer is from a snapshot. Otherwise both sides were read for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub as_of: Option<AsOf>,
}

/// Which snapshot an explanation is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsOf {
    pub run: String,
    /// RFC 3339, UTC.
    pub at: String,
}

/// What Exchange says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxFacts {
    pub primary: String,
    pub kind: String,
    pub object_id: Option<String>,
    pub display_name: String,
    pub aliases: Vec<String>,
    pub disabled: Option<bool>,
    /// Who has Full Access, each with the path by which it came. `None` if it is unknown or was not asked.
    pub full_access: Option<Vec<String>>,
    /// What the rules say about the mailbox, and which account belongs to it.
    pub standing: String,
}

/// What Zivver says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountFacts {
    pub id: String,
    pub kind: AccountKind,
    pub address: String,
    pub name: String,
    pub active: bool,
    pub aliases: Vec<String>,
    pub delegates: Vec<String>,
    pub external_account_id: Option<String>,
    /// When this program suspended it, and from when Zivver may delete it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub suspended: Option<Suspended>,
    /// Who owns it.
    pub standing: String,
}

/// A change that waits for an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldFact {
    /// The code of a stored set that approves it; empty if no run has shown such a set, or its code has expired.
    pub code: String,
    pub reason: String,
    pub change: HeldChange,
    /// R41: as in [`HeldSet::second_person`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub second_person: Option<String>,
}

/// What the newest runs for all accounts held. A plan for one address does not know what is taken from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRun {
    /// Each with the id of its run.
    pub held: Vec<(String, HeldSet)>,
}

impl Explanation {
    /// The answer for an account of which something is held, after the reasons of its held changes are known better.
    pub fn restate_held(&mut self) {
        if let Some(held) = self.held.first() {
            self.verdict = held_verdict(held);
        }
    }
}

impl Explanation {
    /// Says of an answer from a snapshot that a later run has changed the account.
    pub fn outdate(&mut self, later: &Report) {
        let run = match later.undoes {
            Some(_) => "undo",
            None => "run",
        };
        self.verdict = format!(
            "changed since by the {run} {}; what follows is from before",
            later.id
        );
        for account in &mut self.accounts {
            account.suspended = None;
        }
    }
}

fn held_verdict(held: &HeldFact) -> String {
    format!("{} is held: {}", held.change.what, held.reason)
}

/// R40: the answer from both sides as they are now. They are looked at like the snapshot and the report of a preview.
pub fn explain(
    address: &SmtpAddress,
    world: &World,
    policy: &Policy,
    memory: &Memory,
    matching: &Matching,
    plan: &Plan,
    last: Option<&LastRun>,
) -> Explanation {
    let left = Left {
        world,
        policy,
        matching,
        actions: &[],
        held: &[],
        notes: &[],
    };
    let now = Snapshot::next(None, &left, Head::default());
    let is_partial = is_partial(world, policy);
    let mut explanation = explained(address, &now, &preview(plan, world, memory, is_partial));
    explanation.as_of = None;
    if let Some(row) = world.accounts.rejected_with_address(address) {
        // A snapshot has neither its id nor its kind.
        explanation.accounts.retain(|it| !it.id.is_empty());
        explanation.accounts.push(rejected_account_facts(row));
    }
    let names = names(address, world, matching);
    let about = |delta: &&Delta| names.contains(delta.address.as_str());
    let deltas = plan.approved.deltas().iter().filter(about);
    let counted: Vec<&Delta> = deltas
        .filter(|delta| is_partial && counts_with_others(delta))
        .collect();
    let then = last.into_iter();
    let then = then.flat_map(|last| held_then(last, &counted, world));
    let then: Vec<HeldFact> = then.collect();
    if !then.is_empty() {
        explanation.actions = actions_without(&then, plan, world, about);
    }
    explanation.held.extend(then);
    let is_recipient = match world.answers.recipients.get(address.as_str()) {
        Some(RecipientAnswer::Found(_) | RecipientAnswer::Ambiguous) => true,
        Some(RecipientAnswer::NotFound | RecipientAnswer::Failed(_)) | None => false,
    };
    explanation.unknown = explanation.unknown.filter(|_| !is_recipient);
    let nearest = explanation.unknown.as_ref();
    let nearest = nearest.map(|it| suggestion(&it.nearest));
    explanation.verdict = verdict(&explanation, || {
        stranger(address, world) + &nearest.unwrap_or_default()
    });
    let is_planned = explanation.held.is_empty() && !explanation.actions.is_empty();
    if is_planned && !counted.is_empty() {
        explanation.verdict.push_str(", ");
        explanation.verdict.push_str(ALONE);
    }
    explanation
}

/// What a preview with this plan reports. No run accepts the code of a held set that only this address shows.
fn preview(plan: &Plan, world: &World, memory: &Memory, is_partial: bool) -> Report {
    let mut report = Report::begin(
        String::new(),
        Mode::Preview,
        Trigger::CommandLine,
        String::new(),
    );
    report.describe(plan, world);
    report.suspended = still_suspended(&mut memory.clone(), &world.accounts);
    for set in &mut report.held {
        set.code.clear();
        if is_partial && matches!(set.class, Class::Suspend | Class::DelegateRemoval) {
            set.reason = format!("{}, {ALONE}", set.reason);
        }
    }
    report
}

pub(super) fn outside(explanation: &Explanation, domains: &ClaimedDomains) -> Vec<String> {
    let trustee = |text: &String| text.split(' ').next().unwrap_or_default().to_owned();
    let mailboxes = explanation.mailboxes.iter().flat_map(|it| {
        let trustees = it.full_access.iter().flatten().map(trustee);
        it.aliases.iter().cloned().chain(trustees)
    });
    let accounts = explanation.accounts.iter();
    let accounts = accounts.flat_map(|it| it.aliases.iter().chain(&it.delegates).cloned());
    let all: BTreeSet<String> = mailboxes.chain(accounts).collect();
    let is_outside =
        |text: &String| SmtpAddress::parse(text).is_ok_and(|address| !domains.holds(&address));
    all.into_iter().filter(is_outside).collect()
}

/// `stranger` describes an address without mailbox and account.
pub(super) fn verdict(explanation: &Explanation, stranger: impl FnOnce() -> String) -> String {
    // What a run had to make, and found made already, says that nothing is left.
    let notes = explanation.notes.iter();
    let mut notes = notes.filter(|note| note.code != Code::ReviewMade);
    let first_note = notes.clone().find(|note| note.code.needs_attention());
    let first_note = first_note.or_else(|| notes.next());
    if let Some(held) = explanation.held.first() {
        held_verdict(held)
    } else if let Some(action) = explanation.actions.first() {
        format!("{:?} is planned", action.kind).to_lowercase()
    } else if explanation.mailboxes.is_empty() && explanation.accounts.is_empty() {
        stranger()
    } else if let Some(note) = first_note {
        format!("{} ({})", note.text, note.rule)
    } else if explanation.accounts.is_empty() {
        "the mailbox has no account, and none is planned".into()
    } else if explanation.mailboxes.is_empty() {
        "there is no mailbox, and the account is left as it is".into()
    } else {
        AllClear::InSyncAddress.text().into()
    }
}

/// An address without mailbox and without account.
fn stranger(address: &SmtpAddress, world: &World) -> String {
    match world.answers.recipients.get(address.as_str()) {
        Some(RecipientAnswer::Found(recipient)) => format!(
            "Exchange has this address as a {}, which is not synchronised (R3), and Zivver has no account with it",
            recipient.recipient_type_details
        ),
        Some(RecipientAnswer::Ambiguous) => {
            "Exchange has more than one recipient with this address, none of them a mailbox, and Zivver has no account \
             with it"
                .into()
        }
        Some(RecipientAnswer::Failed(reason)) => format!(
            "no mailbox and no account has this address; whether Exchange knows it otherwise could not be asked: {reason}"
        ),
        Some(RecipientAnswer::NotFound) | None => {
            "neither Exchange nor Zivver knows this address".into()
        }
    }
}

pub(super) fn mailbox_standing(
    ix: MailboxIx,
    world: &World,
    policy: &Policy,
    matching: &Matching,
) -> String {
    match matching.mailbox(ix) {
        MailboxFate::Protected(by) => format!("protected: {} ({})", by.text, by.code.rule()),
        MailboxFate::OutsideDomains => {
            "outside the claimed domains, so it is not synchronised (R13)".into()
        }
        MailboxFate::Matched(found) => {
            let account = world.accounts.get(found.account).address();
            let scope = match policy.scope_of(&world.directory, ix) {
                MailboxScope::OutsideFilter => ", but it is not in the source filter (R14)",
                MailboxScope::In | MailboxScope::OtherKind | MailboxScope::OutsideDomains => "",
            };
            match &found.tied_to_other {
                Some(other) => {
                    format!(
                        "has the address of the account {account}, which belongs to the object id {other} (R16)"
                    )
                }
                None => format!("has the account {account}, {}{scope}", found.level.words()),
            }
        }
        MailboxFate::Evidence(account) => {
            format!(
                "may have the account {} (R17)",
                world.accounts.get(*account).address()
            )
        }
        MailboxFate::NoAccount => "has no account".into(),
    }
}

fn rejected_account_facts(row: &RejectedAccount) -> AccountFacts {
    let text = |address: &SmtpAddress| address.to_string();
    AccountFacts {
        id: row.id.as_ref().map(ToString::to_string).unwrap_or_default(),
        kind: row.kind,
        address: row.address.as_ref().map(text).unwrap_or_default(),
        name: row.name.clone().unwrap_or_default(),
        active: row.active,
        aliases: row.aliases.iter().map(text).collect(),
        delegates: Vec::new(),
        external_account_id: row.object_id.as_ref().map(ToString::to_string),
        suspended: None,
        standing: format!("cannot be understood: {} (R1)", row.reason),
    }
}

pub(super) fn account_standing(ix: AccountIx, world: &World, matching: &Matching) -> String {
    let primary = |ix: &MailboxIx| world.directory.mailbox(*ix).primary.clone();
    let own = || match matching.known_object_id(ix) {
        None => "tied to no object id".to_owned(),
        Some(id) => match world.answers.recipients.get(&id.to_string()) {
            Some(RecipientAnswer::NotFound) => {
                format!("tied to the object id {id}, which no longer exists in Exchange")
            }
            _ => format!("tied to the object id {id}"),
        },
    };
    let shows_other_owner = |owner: &MailboxIx| {
        let shown = world.accounts.external_object_id(ix);
        shown.is_some() && shown != world.directory.mailbox(*owner).object_id.as_ref()
    };
    match matching.account(ix) {
        AccountFate::Foreign => "outside the claimed domains, never touched (R13)".into(),
        AccountFate::Protected(by) => format!("protected: {} ({})", by.text, by.code.rule()),
        AccountFate::Owned(owner) => match matching.mailbox(*owner) {
            MailboxFate::Matched(found) if found.tied_to_other.is_some() => format!(
                "has the address of the mailbox {}, but is {} (R16)",
                primary(owner),
                own()
            ),
            // No client may change `ExternalAccountId` (`docs/specs/zivver-scim.md`, "9. Open questions and the safe choice").
            _ if shows_other_owner(owner) => format!(
                "belongs to the mailbox {} by the mapping of object ids; Zivver shows the object id of an earlier owner, which cannot be changed (R16)",
                primary(owner)
            ),
            MailboxFate::Matched(_)
            | MailboxFate::Protected(_)
            | MailboxFate::Evidence(_)
            | MailboxFate::NoAccount
            | MailboxFate::OutsideDomains => {
                format!("belongs to the mailbox {} (R16)", primary(owner))
            }
        },
        AccountFate::OwnedByDisabled => "all mailboxes that claim it are disabled (R16)".into(),
        AccountFate::MailboxOutsideDomains(ix) => {
            format!(
                "belongs to the mailbox {}, which is outside the claimed domains (R13)",
                primary(ix)
            )
        }
        AccountFate::Evidence(ix) => format!("may belong to the mailbox {} (R17)", primary(ix)),
        AccountFate::MergeCandidate(ix) => {
            format!(
                "has no mailbox of its own; its address belongs to {}; {} (R19)",
                primary(ix),
                own()
            )
        }
        AccountFate::Unowned => format!("has no mailbox; {} (R19)", own()),
    }
}
