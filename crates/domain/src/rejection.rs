//! R47: held changes that a person has rejected. They are not made, and need no attention, until their cause changes.

use std::collections::BTreeSet;

use super::{
    accounts::AccountIx,
    actor::Actor,
    address::SmtpAddress,
    approval::Approval,
    delta::Target,
    given::Given,
    held::{HeldChange, HeldSet},
    hold::{Guarded, Met},
    memory::{Memory, Rejection, SourceState},
    mode::Depth,
    note::{Code, Note},
    report::Report,
    undo::{knows_source, mailbox_source, source_state},
    wishes::Wishes,
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

    fn ended_note(&self) -> Note {
        let by = self.by.as_ref().map(|by| format!(" by {by}"));
        let text = format!(
            "rejected{} with the code {}, and approved with this run, which ended the rejection: {}",
            by.unwrap_or_default(),
            self.code,
            self.change.in_words()
        );
        Note::new(self.change.address.as_str(), Code::RejectionEnded, text)
    }

    /// What the source wants for the change now; `None` if that is not certain (R11).
    fn source_now(&self, given: Given<'_>) -> Option<SourceState> {
        let world = given.world;
        // R45: a quick run did not read all of it.
        if world.depth == Depth::Quick {
            return None;
        }
        let accounts = &world.accounts;
        let of_account = |ix: AccountIx| knows_source(given, ix).then(|| source_state(given, ix));
        let known = match &self.account {
            Some(id) => accounts.with_id(id),
            None => accounts.with_address(&self.change.address).first().copied(),
        };
        match (known, &self.account) {
            (Some(ix), _) => of_account(ix),
            (None, Some(id)) => (!accounts.lists(id)).then(SourceState::default),
            // An account that does not exist yet.
            (None, None) => mailbox_source(&self.change.address, given),
        }
    }

    /// Whether a change that is no longer planned will not come back as it was.
    fn is_over(&self, given: Given<'_>) -> bool {
        let Some(now) = self.source_now(given) else {
            return false;
        };
        let is_gone = now == SourceState::default();
        is_gone || self.source.as_ref().is_none_or(|it| !it.is_like(&now))
    }
}

/// R47: what a plan makes of the rejections.
pub(super) struct Rejected {
    pub(super) still: Vec<Rejection>,
    /// Fingerprints of those that an approval ended.
    pub(super) ended: BTreeSet<String>,
    pub(super) notes: Vec<Note>,
}

pub(super) fn rejections(guarded: &Guarded, wishes: &Wishes, given: Given<'_>) -> Rejected {
    let met = &guarded.rejected;
    let approved = &wishes.approved;
    let (ended, open): (Vec<_>, Vec<_>) = given
        .memory
        .rejections
        .iter()
        .partition(|it| approved.contains(&it.change.fingerprint));
    let mut notes = notes(&open, met, &guarded.held, given);
    notes.extend(ended.iter().map(|it| it.ended_note()));
    let still = still_rejected(&open, met, given);
    let ended = ended.into_iter().map(|it| it.change.fingerprint.clone());
    Rejected {
        still,
        ended: ended.collect(),
        notes,
    }
}

/// The notes about rejected changes. A rejected change that is held, together with a change that needs it, is shown
/// there instead.
fn notes(open: &[&Rejection], met: &Met, held: &[HeldSet], given: Given<'_>) -> Vec<Note> {
    let world = given.world;
    let held: BTreeSet<&str> = held
        .iter()
        .flat_map(|set| &set.changes)
        .map(|change| change.fingerprint.as_str())
        .collect();
    let rejections = open.iter();
    let rejections = rejections.filter(|it| !held.contains(it.change.fingerprint.as_str()));
    rejections
        .filter_map(|rejection| {
            let target = met.get(&rejection.change.fingerprint)?;
            Some(rejection.note(target.address(&world.accounts, &world.directory)))
        })
        .collect()
}

/// What is still rejected after a plan for all accounts.
fn still_rejected(open: &[&Rejection], met: &Met, given: Given<'_>) -> Vec<Rejection> {
    let mut still = Vec::new();
    for rejection in open {
        let mut rejection = Rejection::clone(rejection);
        match met.get(&rejection.change.fingerprint) {
            Some(target) => {
                if let Target::Existing(ix) = target {
                    rejection.account = Some(given.world.accounts.get(*ix).id().clone());
                }
                let source = rejection.source_now(given);
                rejection.source = source.or(rejection.source);
            }
            None if rejection.is_over(given) => continue,
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

    /// R47: fingerprints of the changes of a set that were rejected since the set was shown. Its code alone does not
    /// approve them.
    pub fn rejected_since(&self, approval: &Approval) -> BTreeSet<&str> {
        rejected_since(&self.rejections, approval.shown)
    }
}

fn rejected_since(rejections: &[Rejection], shown: i64) -> BTreeSet<&str> {
    let since = rejections.iter().filter(|it| it.at >= shown);
    since.map(|it| it.change.fingerprint.as_str()).collect()
}

impl Report {
    /// R47: sets apart the held changes that a person has rejected since the run began (epoch seconds).
    pub fn set_rejected_apart(&mut self, rejections: &[Rejection], began: i64) {
        let rejected = rejected_since(rejections, began);
        self.set_apart(&rejected, |set| &mut set.rejected);
    }

    /// R47: sets apart the held changes that were approved since, by fingerprint.
    pub fn set_approved_apart(&mut self, approved: &BTreeSet<String>) {
        let approved = approved.iter().map(String::as_str).collect();
        self.set_apart(&approved, |set| &mut set.approved);
    }

    fn set_apart(
        &mut self,
        apart: &BTreeSet<&str>,
        list: fn(&mut HeldSet) -> &mut Vec<HeldChange>,
    ) {
        let is_apart = |it: &mut HeldChange| apart.contains(it.fingerprint.as_str());
        for set in &mut self.held {
            let mut decided: Vec<_> = set.changes.extract_if(.., is_apart).collect();
            let count = u32::try_from(decided.len()).unwrap_or(u32::MAX);
            self.counts.held = self.counts.held.saturating_sub(count);
            decided.extend(set.companions.extract_if(.., is_apart));
            list(set).append(&mut decided);
        }
    }
}
