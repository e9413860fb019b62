//! R47: held changes that a person has rejected. They are not made, and need no attention, until their cause changes.

use std::collections::BTreeSet;

use super::{
    accounts::AccountIx,
    actor::Actor,
    address::SmtpAddress,
    approval::Approval,
    delta::Target,
    held::{HeldChange, HeldSet},
    hold::{Guarded, Met},
    matching::Matching,
    memory::{Memory, Rejection, SourceState},
    mode::Depth,
    note::{Code, Note},
    undo::{knows_source, mailbox_source, source_state},
    wishes::Wishes,
    world::{Policy, World},
};

/// How long a rejected change counts in the limits, in seconds. The rejection itself must not bring what was held with
/// it within its limit.
const COUNTED_S: i64 = 24 * 60 * 60;

impl Rejection {
    pub(super) fn counts(&self, now: i64) -> bool {
        self.at > now - COUNTED_S
    }

    fn note(&self, address: &SmtpAddress) -> Note {
        let by = self.by.as_ref().map(|by| format!(" by {by}"));
        let text = format!(
            "rejected{} with the code {}, and not made until it changes: {}",
            by.unwrap_or_default(),
            self.code,
            self.change.in_words()
        );
        Note::new(address.as_str(), Code::Rejection, text)
    }

    /// What the source wants for the change now; `None` if that is not certain (R11).
    fn source_now(
        &self,
        world: &World,
        policy: &Policy,
        matching: &Matching,
    ) -> Option<SourceState> {
        // R45: a quick run did not read all of it.
        if world.depth == Depth::Quick {
            return None;
        }
        let accounts = &world.accounts;
        let of_account = |ix: AccountIx| {
            knows_source(world, matching, ix).then(|| source_state(world, policy, matching, ix))
        };
        let known = match &self.account {
            Some(id) => accounts.with_id(id),
            None => accounts.with_address(&self.change.address).first().copied(),
        };
        match (known, &self.account) {
            (Some(ix), _) => of_account(ix),
            (None, Some(id)) => (!accounts.lists(id)).then(SourceState::default),
            // An account that does not exist yet.
            (None, None) => mailbox_source(&self.change.address, world, policy, matching),
        }
    }

    /// Whether a change that is no longer planned will not come back as it was.
    fn is_over(&self, world: &World, policy: &Policy, matching: &Matching) -> bool {
        let Some(now) = self.source_now(world, policy, matching) else {
            return false;
        };
        let is_gone = now == SourceState::default();
        is_gone || self.source.as_ref().is_none_or(|it| !it.is_like(&now))
    }
}

/// What is still rejected after a plan, with the notes for the report.
pub(super) fn rejections(
    memory: &Memory,
    guarded: &Guarded,
    wishes: &Wishes,
    world: &World,
    policy: &Policy,
    matching: &Matching,
) -> (Vec<Rejection>, Vec<Note>) {
    let met = &guarded.rejected;
    let approved = &wishes.approved;
    (
        still_rejected(memory, met, approved, world, policy, matching),
        notes(memory, met, &guarded.held, world),
    )
}

/// The notes about rejected changes. A rejected change that is held, together with a change that needs it, is shown
/// there instead.
fn notes(memory: &Memory, met: &Met, held: &[HeldSet], world: &World) -> Vec<Note> {
    let held: BTreeSet<&str> = held
        .iter()
        .flat_map(|set| &set.changes)
        .map(|change| change.fingerprint.as_str())
        .collect();
    let rejections = memory.rejections.iter();
    let rejections = rejections.filter(|it| !held.contains(it.change.fingerprint.as_str()));
    rejections
        .filter_map(|rejection| {
            let target = met.get(&rejection.change.fingerprint)?;
            Some(rejection.note(target.address(&world.accounts, &world.directory)))
        })
        .collect()
}

/// What is still rejected after a plan for all accounts, without what a person has approved since.
fn still_rejected(
    memory: &Memory,
    met: &Met,
    approved: &BTreeSet<String>,
    world: &World,
    policy: &Policy,
    matching: &Matching,
) -> Vec<Rejection> {
    let rejections = memory.rejections.iter();
    let rejections = rejections.filter(|it| !approved.contains(&it.change.fingerprint));
    let mut still = Vec::new();
    for rejection in rejections {
        let mut rejection = rejection.clone();
        match met.get(&rejection.change.fingerprint) {
            Some(target) => {
                if let Target::Existing(ix) = target {
                    rejection.account = Some(world.accounts.get(*ix).id().clone());
                }
                let source = rejection.source_now(world, policy, matching);
                rejection.source = source.or(rejection.source);
            }
            None if rejection.is_over(world, policy, matching) => continue,
            None => {}
        }
        still.push(rejection);
    }
    still
}

impl Memory {
    /// Rejects the changes of a held set that were not made, or only those of these accounts. Returns what was not
    /// rejected before.
    pub fn reject(
        &mut self,
        code: &str,
        approval: &Approval,
        accounts: &BTreeSet<SmtpAddress>,
        by: Option<&Actor>,
        now: i64,
    ) -> Vec<Rejection> {
        let changes = approval.changes_of(accounts);
        let mut new = Vec::new();
        for change in changes.filter(|change| approval.is_open(change)) {
            let same = |it: &Rejection| it.change.fingerprint == change.fingerprint;
            if self.rejections.iter().any(same) {
                continue;
            }
            new.push(Rejection {
                class: approval.class,
                code: code.to_owned(),
                change: HeldChange {
                    waits: None,
                    ..change.clone()
                },
                at: now,
                by: by.cloned(),
                account: None,
                source: None,
            });
        }
        self.rejections.extend_from_slice(&new);
        new
    }

    /// Takes back the rejections with a code, or only those of these accounts. Returns them.
    pub fn take_back_rejections(
        &mut self,
        code: &str,
        accounts: &BTreeSet<SmtpAddress>,
    ) -> Vec<Rejection> {
        let is_meant = |it: &Rejection| it.code == code && it.change.is_of(accounts);
        let all = std::mem::take(&mut self.rejections);
        let (taken, kept) = all.into_iter().partition(is_meant);
        self.rejections = kept;
        taken
    }
}
