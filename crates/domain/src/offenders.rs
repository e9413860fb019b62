//! Repeat offenders: a change that Zivver refused the same way in three runs waits before it is tried again (R33).
//!
//! The refused part is remembered, not the account: each alias that is left out (R23) separately, a new address with
//! the rest of its request, and everything else of an account together. One bad alias therefore delays nothing else.
//! Removals and suspends never wait.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    accounts::{AccountKind, Accounts},
    address::SmtpAddress,
    change::{Change, account_of},
    delta::{Delta, KeyChange, Target},
    effect::asked,
    given::Given,
    ids::ScimId,
    memory::Offender,
    note::{Code, Note},
    plan::Proposal,
    scope::RunScope,
    wishes::Wishes,
    world::World,
};

/// The number of refusals in consecutive runs before a change waits.
const TIMES: u32 = 3;

const DAY_S: i64 = 86_400;

/// A timer is not exact to the second, so a wait of days may be this much shorter, in seconds.
const EARLY_S: i64 = 900;

/// How long a change that is no longer asked for is remembered, in seconds. Longer than any wait.
const KEPT_S: i64 = 30 * DAY_S;

/// A part of a delta that Zivver accepts or refuses separately.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All of it, without the other parts.
    Account,
    /// The request after a create, with what the create did not store (R24).
    Completion,
    /// R17: the new address and what is sent in the same request.
    Address,
    /// R23.
    Alias(SmtpAddress),
}

/// A refusal, to be recognised in a later run: status and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub part: Part,
    pub text: String,
}

/// R44: whether Zivver refused the same before.
pub(super) fn was_refused(
    delta: &Delta,
    change: &Change,
    offenders: &BTreeMap<String, Offender>,
    world: &World,
) -> bool {
    if offenders.is_empty() {
        return false;
    }
    let account = account_of(delta, &world.accounts);
    let renames = delta.rename.is_some();
    parts(delta).iter().any(|part| {
        let asked = || fingerprint(delta, part, &account, offenders, world);
        let offender = offenders.get(&key(&account, part));
        is_in(change, part, renames) && offender.is_some_and(|it| asked() == Some(it.asked.clone()))
    })
}

/// Takes out of the deltas what waits. In a run for named accounts nothing waits.
pub(super) fn withhold(proposal: &mut Proposal, given: Given<'_>, wishes: &Wishes) {
    let (world, offenders) = (given.world, &given.memory.offenders);
    if offenders.is_empty() || wishes.scope != RunScope::All {
        return;
    }
    let waiting = &mut proposal.waiting;
    // R27: an identity change that a person has approved is tried.
    let deltas = proposal.deltas.iter_mut();
    for delta in deltas.filter(|delta| !delta.waits_for_identity()) {
        let account = account_of(delta, &world.accounts);
        for part in parts(delta) {
            let key = key(&account, &part);
            let Some(offender) = offenders.get(&key) else {
                continue;
            };
            let same = fingerprint(delta, &part, &account, offenders, world)
                .is_some_and(|asked| asked == offender.asked);
            if same && wishes.now < again(offender) {
                proposal.notes.push(note(delta, &part, offender, world));
                waiting.insert(key);
            }
        }
        let waits = |part: &Part| waiting.contains(&key(&account, part));
        let parts: Vec<Part> = parts(delta).into_iter().filter(waits).collect();
        for part in parts {
            take_out(delta, &part, &world.accounts);
        }
    }
}

/// A delta that was carried out, completely or in part.
#[derive(Debug)]
pub struct Tried<'a> {
    pub delta: &'a Delta,
    /// The delta before the guard. The next run asks for the same.
    pub proposed: &'a Delta,
    /// The account that it created.
    pub created: Option<&'a ScimId>,
    /// Whether something of it was done.
    pub done: bool,
    pub refusals: &'a [Refusal],
}

/// Where and when it was tried.
#[derive(Debug)]
pub struct Occasion<'a> {
    pub world: &'a World,
    pub run: &'a str,
    /// Epoch seconds.
    pub now: i64,
    /// What was withheld from this run.
    pub waiting: &'a BTreeSet<String>,
}

/// Remembers what was refused, once for each run, and forgets what was accepted.
pub fn remember(
    offenders: &mut BTreeMap<String, Offender>,
    tried: &Tried<'_>,
    occasion: &Occasion<'_>,
) {
    let Tried {
        delta,
        proposed,
        created,
        done,
        refusals,
    } = tried;
    let before = account_of(delta, &occasion.world.accounts);
    let account = created.map_or_else(|| before.clone(), ToString::to_string);
    if *done {
        let refused: BTreeSet<&Part> = refusals.iter().map(|refusal| &refusal.part).collect();
        for part in parts(delta).iter().filter(|part| !refused.contains(part)) {
            for account in [&before, &account] {
                let key = key(account, part);
                if !occasion.waiting.contains(&key) {
                    offenders.remove(&key);
                }
            }
        }
    }
    // Aliases first, since the fingerprint of the rest does not contain them.
    let mut refusals: Vec<&Refusal> = refusals.iter().collect();
    refusals.sort_by_key(|refusal| std::cmp::Reverse(refusal.part.clone()));
    for refusal in refusals {
        let asked = fingerprint(proposed, &refusal.part, &account, offenders, occasion.world);
        if let Some(asked) = asked {
            let key = key(&account, &refusal.part);
            refused(offenders, key, asked, &refusal.text, occasion);
        }
    }
    offenders.retain(|_, offender| offender.last > occasion.now - KEPT_S);
}

fn refused(
    offenders: &mut BTreeMap<String, Offender>,
    key: String,
    asked: String,
    text: &str,
    occasion: &Occasion<'_>,
) {
    let times = match offenders.get(&key) {
        Some(before) if before.asked != asked || before.refusal != text => 1,
        Some(before) if before.run == occasion.run => before.times,
        Some(before) => before.times.saturating_add(1),
        None => 1,
    };
    let offender = Offender {
        asked,
        refusal: text.to_owned(),
        times,
        last: occasion.now,
        run: occasion.run.to_owned(),
    };
    offenders.insert(key, offender);
}

/// When a change may be tried again, in epoch seconds.
fn again(offender: &Offender) -> i64 {
    match offender.times.checked_sub(TIMES - 1) {
        None | Some(0) => i64::MIN,
        Some(times) => offender.last + wait_s(times),
    }
}

/// How long a change waits, in seconds, that failed `times` times (at least once): 1, 2, 4 and then always 7 days.
pub(super) fn wait_s(times: u32) -> i64 {
    let days = match times {
        0..=1 => 1,
        2 => 2,
        3 => 4,
        _ => 7,
    };
    days * DAY_S - EARLY_S
}

fn key(account: &str, part: &Part) -> String {
    match part {
        Part::Account | Part::Completion => account.to_owned(),
        Part::Address => format!("{account} address"),
        Part::Alias(alias) => format!("{account} +{alias}"),
    }
}

fn parts(delta: &Delta) -> Vec<Part> {
    let mut parts: Vec<Part> = delta.add_aliases.iter().cloned().map(Part::Alias).collect();
    if delta.rename.is_some() {
        parts.push(Part::Address);
    }
    parts.push(Part::Account);
    parts
}

/// Whether a change is refused together with a part. A name and a resume are sent with a new address. A change that
/// takes something away belongs to no part and never waits.
fn is_in(change: &Change, part: &Part, renames: bool) -> bool {
    let of_account = matches!(part, Part::Account | Part::Completion);
    match change {
        Change::AddAlias(alias) => of_account || *part == Part::Alias(alias.clone()),
        Change::Rename { .. } => *part == Part::Address,
        Change::Name { .. } | Change::Resume if renames => *part == Part::Address,
        Change::Create { .. }
        | Change::Tie { .. }
        | Change::Name { .. }
        | Change::Resume
        | Change::SignInKey { .. }
        | Change::AddDelegate(_) => of_account,
        Change::Suspend { .. }
        | Change::Empty { .. }
        | Change::RemoveAlias(_)
        | Change::RemoveDelegate(_)
        | Change::RemoveEntry(_) => false,
    }
}

/// Hash of what a part asks for; `None` if it contains nothing that can wait.
fn fingerprint(
    delta: &Delta,
    part: &Part,
    account: &str,
    offenders: &BTreeMap<String, Offender>,
    world: &World,
) -> Option<String> {
    if let Part::Alias(alias) = part {
        return Some(alias.to_string());
    }
    let renames = delta.rename.is_some();
    let mut rest = delta.clone();
    rest.retain(|change| is_in(change, part, renames));
    rest.add_aliases
        .retain(|alias| !offenders.contains_key(&key(account, &Part::Alias(alias.clone()))));
    if *part == Part::Completion {
        rest.create = None;
    }
    (!rest.is_empty()).then(|| asked(&rest, &world.accounts, &world.directory))
}

/// Removed members of a functional account need those that take their place, and the rest of the extension needs the
/// decision about its key.
fn take_out(delta: &mut Delta, part: &Part, accounts: &Accounts) {
    if matches!(part, Part::Account | Part::Completion) {
        delta.delay_key();
    }
    let renames = delta.rename.is_some();
    let replaces_all = removes_all(delta, accounts);
    delta.retain(|change| {
        !is_in(change, part, renames)
            || replaces_all && matches!(change, Change::AddDelegate(_))
            || matches!(
                change,
                Change::SignInKey {
                    change: KeyChange::First,
                    ..
                }
            )
    });
}

/// R12: the members of a functional account can be removed only with those that take their place, so these are sent
/// every time.
pub(super) fn removes_all(delta: &Delta, accounts: &Accounts) -> bool {
    let Target::Existing(ix) = delta.target else {
        return false;
    };
    delta.kind == AccountKind::Functional
        && !delta.remove_delegates.is_empty()
        && accounts
            .delegates_of(ix)
            .users
            .iter()
            .all(|user| delta.remove_delegates.contains(user))
}

fn note(delta: &Delta, part: &Part, offender: &Offender, world: &World) -> Note {
    let what = match part {
        Part::Alias(alias) => format!("the alias {alias}"),
        Part::Address => "its new address".to_owned(),
        Part::Account | Part::Completion if delta.create.is_some() => "its account".to_owned(),
        Part::Account | Part::Completion => "its change".to_owned(),
    };
    let when = Timestamp::from_second(again(offender))
        .map_or_else(|_| "later".to_owned(), |time| format!("after {time}"));
    let text = format!(
        "{what} was refused the same way in {} runs, and is tried again {when}, or when it changes: {}",
        offender.times, offender.refusal
    );
    let label = delta.label(&world.directory);
    Note::new(label.as_str(), Code::RepeatOffender, text)
}
