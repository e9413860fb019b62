//! What a person may approve: a held set under its code, each change of it once (R27).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    actor::Actor,
    address::SmtpAddress,
    guard::Class,
    health::CLOCKS_DIFFER_S,
    held::{HeldChange, HeldSet},
    ineffective::LIST_LAG_MAX_S,
};

/// How long a code can be used after it was shown, in seconds.
const AGE_MAX_S: i64 = 24 * 60 * 60;

/// How long the time of an unused code is not stored again, in seconds: the code was shown just now.
const AGE_OF_LATE_S: i64 = 60 * 60;

/// A held set as a person may approve it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    pub class: Class,
    /// Epoch seconds.
    pub shown: i64,
    pub changes: Vec<HeldChange>,
    /// Fingerprints of those of them that are held in another set, and are only approved with this one.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub companions: BTreeSet<String>,
    /// Fingerprints of changes that were made or are about to be made. Each is used once.
    pub used: BTreeSet<String>,
    /// Epoch seconds of the last use.
    #[serde(default)]
    pub last_used: Option<i64>,
    /// R37: the runs whose undo has shown the set; `None` for a run that is no undo.
    pub shown_in: BTreeSet<Option<String>>,
    /// R41: who started the run that held the set first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held_by: Option<Actor>,
    /// R41: who approved it last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub approved_by: Option<Actor>,
}

/// When a run shows what it holds.
#[derive(Debug, Clone, Copy)]
pub struct Showing<'a> {
    /// Epoch seconds.
    pub at: i64,
    /// The run read both sides after this time, in epoch seconds. `None` while a plan of another run may be in progress.
    pub read_from: Option<i64>,
    /// R41: who started the run.
    pub by: Option<&'a Actor>,
    /// R41: `FOUR_EYES`.
    pub four_eyes: bool,
    /// R37: the run that it undoes.
    pub undoes: Option<&'a str>,
}

impl Showing<'_> {
    /// Whether the run held a change that was made and then undone, and not one that a list does not show yet.
    fn is_after(self, used: Option<i64>) -> bool {
        let (Some(read_from), Some(used)) = (self.read_from, used) else {
            return false;
        };
        read_from > used + LIST_LAG_MAX_S
    }
}

impl Approval {
    /// What is stored when a set is shown. It can be approved for 24 hours from when it was last shown, or from its
    /// first use. A change that was made and undone can be approved again. `None` if `known` stays as it is. R41: the
    /// first holder stays, unless that holder is not a known person: a later run holds the set all the same. With
    /// `FOUR_EYES` a code of such a holder cannot be in use. A set that was made and is held again is a new one.
    pub fn offer(held: &HeldSet, known: Option<&Self>, showing: Showing<'_>) -> Option<Self> {
        // A set that was shown just now is not changed, since an apply that runs at the same time may be about to use
        // it.
        let stays = |known: &Self| {
            if known.used.is_empty() {
                known.has_age(showing.at, AGE_OF_LATE_S)
            } else {
                !showing.is_after(known.last_used) && known.has_age(showing.at, AGE_MAX_S)
            }
        };
        let same = known.filter(|known| known.used.is_empty());
        let holder = same.and_then(|known| known.held_by.as_ref());
        let held_by = holder
            .filter(|it| it.is_certain())
            .or(showing.by)
            .or(holder);
        let gets_holder = |known: &Self| {
            showing.four_eyes && known.used.is_empty() && known.held_by.as_ref() != held_by
        };
        // R37: the same set of an undo and of another run is held by both. What is in use keeps its record.
        let is_new_there = |known: &Self| known.used.is_empty() && !known.serves(showing.undoes);
        let stays = |known: &Self| stays(known) && !gets_holder(known) && !is_new_there(known);
        if known.is_some_and(stays) {
            return None;
        }
        Some(Self {
            class: held.class,
            shown: showing.at,
            changes: held.approves().cloned().collect(),
            companions: held
                .companions
                .iter()
                .map(|it| it.fingerprint.clone())
                .collect(),
            used: BTreeSet::new(),
            shown_in: same
                .map(|known| known.shown_in.clone())
                .into_iter()
                .flatten()
                .chain([showing.undoes.map(str::to_owned)])
                .collect(),
            held_by: held_by.cloned(),
            approved_by: None,
            last_used: None,
        })
    }

    /// Whether a run that undoes this run, or no run, has shown the set (R37).
    pub fn serves(&self, undoes: Option<&str>) -> bool {
        let mut shown_in = self.shown_in.iter();
        shown_in.any(|it| it.as_deref() == undoes)
    }

    pub fn is_expired(&self, now: i64) -> bool {
        !self.has_age(now, AGE_MAX_S)
    }

    /// Whether it was shown before `now` and not used since.
    pub fn is_unused_since(&self, now: i64) -> bool {
        self.used.is_empty() && self.shown <= now
    }

    /// Whether it was shown in the last `age` seconds. Never true for a time that lies in the future, which a clock
    /// that was ahead has written.
    fn has_age(&self, now: i64, age: i64) -> bool {
        (-CLOCKS_DIFFER_S..=age).contains(&(now - self.shown))
    }

    /// R47: drops the changes that are held in another set, which are rejected with the code of that.
    pub fn keep_own(&mut self) {
        let companions = std::mem::take(&mut self.companions);
        self.changes
            .retain(|change| !companions.contains(&change.fingerprint));
    }

    pub fn is_open(&self, change: &HeldChange) -> bool {
        !self.used.contains(&change.fingerprint)
    }

    /// Its changes, or if accounts are given only the changes of these accounts (R47).
    pub fn changes_of<'a>(
        &'a self,
        accounts: &'a BTreeSet<SmtpAddress>,
    ) -> impl Iterator<Item = &'a HeldChange> {
        let changes = self.changes.iter();
        changes.filter(|change| change.is_of(accounts))
    }

    /// Fingerprints of the changes that a run may make although a limit holds them.
    pub fn open<'a>(
        &'a self,
        accounts: &'a BTreeSet<SmtpAddress>,
    ) -> impl Iterator<Item = &'a String> {
        let open = self.changes_of(accounts);
        let open = open.filter(|change| self.is_open(change));
        open.map(|change| &change.fingerprint)
    }

    /// Marks those of its changes that are about to be made as used. Returns whether there are any.
    pub fn use_up(&mut self, planned: &BTreeSet<&String>, now: i64) -> bool {
        let before = self.used.len();
        let changes = self.changes.iter().map(|change| &change.fingerprint);
        let of_code = changes.filter(|fingerprint| planned.contains(fingerprint));
        self.used.extend(of_code.cloned());
        let is_used = self.used.len() > before;
        if is_used {
            self.last_used = Some(now);
        }
        is_used
    }

    /// Makes changes that were not made available again. Returns whether there are any.
    pub fn give_back(&mut self, not_done: &BTreeSet<&String>) -> bool {
        let before = self.used.len();
        self.used
            .retain(|fingerprint| !not_done.contains(fingerprint));
        self.used.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anna() -> Actor {
        Actor::signed_in("anna@corp.example", None)
    }

    fn bert() -> Actor {
        Actor::signed_in("bert@corp.example", None)
    }

    fn change(local: &str) -> HeldChange {
        HeldChange {
            address: SmtpAddress::verbatim(&format!("{local}@corp.example")),
            what: "suspend".into(),
            before: "active".into(),
            after: "suspended".into(),
            fingerprint: format!("suspend {local}"),
            origin: None,
            waits: None,
        }
    }

    fn held(changes: Vec<HeldChange>) -> HeldSet {
        HeldSet {
            class: Class::Stray,
            code: "0123456789".into(),
            reason: String::new(),
            changes,
            companions: Vec::new(),
            rejected: Vec::new(),
            approved: Vec::new(),
            second_person: None,
        }
    }

    /// A run without four eyes that read both sides from this time on.
    fn run(at: i64, read_from: Option<i64>) -> Showing<'static> {
        Showing {
            at,
            read_from,
            by: None,
            four_eyes: false,
            undoes: None,
        }
    }

    #[test]
    fn r41_who_holds_a_set_again_after_it_was_made_cannot_approve_it() {
        let change = change("left");
        let held = held(vec![change.clone()]);
        let offer = |known: Option<&Approval>, at: i64, by: &Actor| {
            let showing = Showing {
                at,
                read_from: Some(at),
                by: Some(by),
                four_eyes: true,
                undoes: None,
            };
            Approval::offer(&held, known, showing)
        };
        let holder = |approval: &Approval| approval.held_by.clone().unwrap();
        let mut first = offer(None, 0, &anna()).unwrap();
        // As long as it is held, it stays the set of who held it first.
        let again = offer(Some(&first), 7200, &bert()).unwrap();
        assert_eq!(holder(&again), anna());
        assert!(first.use_up(&[&change.fingerprint].into(), 60));
        let new = offer(Some(&first), 7200, &bert()).unwrap();
        assert_eq!(holder(&new), bert());
        // A command line does not tell the person, so the next run that does counts.
        let os_user = Actor::OsUser {
            name: "root".into(),
        };
        let new = offer(Some(&first), 7200, &os_user).unwrap();
        assert_eq!(holder(&new), os_user);
        let next = offer(Some(&new), 7201, &bert()).unwrap();
        assert_eq!(holder(&next), bert());
    }

    #[test]
    fn r27_a_code_that_a_clock_ahead_has_shown_does_not_serve_for_longer() {
        let approval = |shown| Approval {
            class: Class::Suspend,
            shown,
            changes: Vec::new(),
            companions: BTreeSet::new(),
            used: BTreeSet::new(),
            shown_in: [None].into(),
            held_by: None,
            approved_by: None,
            last_used: None,
        };
        for (shown, is_expired) in [
            (0, false),
            (-AGE_MAX_S, false),
            (-AGE_MAX_S - 1, true),
            (CLOCKS_DIFFER_S, false),
            (CLOCKS_DIFFER_S + 1, true),
        ] {
            assert_eq!(approval(shown).is_expired(0), is_expired, "{shown}");
        }
    }

    #[test]
    fn r27_a_code_that_is_shown_again_is_stored_again_when_an_hour_has_passed() {
        let held = held(vec![change("left")]);
        let first = Approval::offer(&held, None, run(0, Some(0))).unwrap();
        let again = |showing| Approval::offer(&held, Some(&first), showing);
        assert_eq!(again(run(AGE_OF_LATE_S, Some(0))), None);
        let later = again(run(AGE_OF_LATE_S + 1, Some(0))).unwrap();
        assert_eq!(later.shown, AGE_OF_LATE_S + 1);
        // R37: the undo of a run shows it for the first time.
        let undo = Showing {
            undoes: Some("R1"),
            ..run(60, Some(0))
        };
        let both = again(undo).unwrap();
        assert!(both.serves(None) && both.serves(Some("R1")) && !both.serves(Some("R2")));
        assert_eq!(Approval::offer(&held, Some(&both), undo), None);
        // R41: with four eyes it counts who holds it.
        let anna = anna();
        let person = |four_eyes| Showing {
            four_eyes,
            by: Some(&anna),
            ..run(60, Some(0))
        };
        assert_eq!(again(person(false)), None);
        assert_eq!(again(person(true)).unwrap().held_by, Some(anna.clone()));
    }

    #[test]
    fn r27_a_change_that_was_made_and_undone_makes_its_code_valid_again() {
        let held = held(vec![change("left")]);
        let mut used = Approval::offer(&held, None, run(0, Some(0))).unwrap();
        let planned = change("left").fingerprint;
        assert!(used.use_up(&[&planned].into(), 100));
        let again = |showing| Approval::offer(&held, Some(&used), showing);
        let read = |after: i64| again(run(4000, Some(100 + LIST_LAG_MAX_S + after)));
        assert_eq!(read(0), None, "the list may not show it yet");
        assert!(read(1).unwrap().used.is_empty());
        assert_eq!(again(run(4000, None)), None, "it may still be made");
        // 24 hours after it was shown it is a new code in any case.
        assert_eq!(again(run(AGE_MAX_S, None)), None);
        assert!(again(run(AGE_MAX_S + 1, None)).unwrap().used.is_empty());
        // R37, R41: the record of what is in use stays, whoever shows it.
        let anna = anna();
        let undo = Showing {
            four_eyes: true,
            by: Some(&anna),
            undoes: Some("R1"),
            ..run(4000, None)
        };
        assert_eq!(again(undo), None);
    }

    #[test]
    fn r27_r47_a_code_serves_for_each_change_once() {
        let (own, other) = (change("own"), change("other"));
        let held = HeldSet {
            companions: vec![other.clone()],
            ..held(vec![own.clone()])
        };
        let mut approval = Approval::offer(&held, None, run(10, Some(0))).unwrap();
        let everybody = BTreeSet::new();
        let open = |approval: &Approval| approval.open(&everybody).cloned().collect::<Vec<_>>();
        assert_eq!(open(&approval), [&*own.fingerprint, &*other.fingerprint]);
        let unused = |approval: &Approval| [9, 10].map(|now| approval.is_unused_since(now));
        assert_eq!(unused(&approval), [false, true]);

        assert!(approval.use_up(&[&own.fingerprint].into(), 20));
        assert_eq!(open(&approval), [&*other.fingerprint]);
        assert!(!approval.is_open(&own) && approval.is_open(&other));
        assert_eq!(unused(&approval), [false, false]);
        assert!(!approval.use_up(&[&own.fingerprint].into(), 30));
        assert_eq!(approval.last_used, Some(20));

        assert!(!approval.give_back(&[&other.fingerprint].into()));
        assert!(approval.give_back(&[&own.fingerprint].into()));
        assert_eq!(open(&approval).len(), 2);

        approval.keep_own();
        assert_eq!(
            (approval.changes, approval.companions),
            (vec![own], [].into())
        );
    }
}
