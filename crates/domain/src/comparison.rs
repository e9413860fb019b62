//! Compares the reports of two runs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    report::{ActionOutcome, Report},
    since::{Finding, FindingKind, NumberChange, Since},
};

/// The most findings that are named; all are counted.
const NAMED_MAX: usize = 200;

/// What is otherwise in `now` than in the run `before` it.
pub fn since(before: &Report, now: &Report) -> Since {
    let (was, is) = (findings(before), findings(now));
    let only_in = |one: &BTreeMap<Key, String>, other: &BTreeMap<Key, String>| {
        let mut found: Vec<Finding> = one
            .iter()
            .filter(|(key, _)| !other.contains_key(*key))
            .map(|((kind, address, _), text)| Finding {
                kind: *kind,
                address: address.clone(),
                text: text.clone(),
            })
            .collect();
        let total = super::directory::to_u32(found.len());
        found.truncate(NAMED_MAX);
        (found, total)
    };
    let (new, new_total) = only_in(&is, &was);
    let (gone, gone_total) = only_in(&was, &is);
    Since {
        run: before.id.clone(),
        started: before.started.clone(),
        numbers: numbers(before, now),
        new,
        new_total,
        gone,
        gone_total,
    }
}

/// Kind, address, and what tells several of them apart.
type Key = (FindingKind, String, String);

/// The texts by what makes them the same: an answer that is worded otherwise is no other refusal.
fn findings(report: &Report) -> BTreeMap<Key, String> {
    let mut found = BTreeMap::new();
    for set in &report.held {
        for change in &set.changes {
            let key = (
                FindingKind::Held,
                change.address.to_string(),
                change.fingerprint.clone(),
            );
            found.insert(key, change.in_words());
        }
    }
    for action in &report.actions {
        let address = action.action.address.to_string();
        let kind = serde_name(action.action.kind);
        let (finding, text) = match action.outcome {
            ActionOutcome::Partly if action.problems.is_empty() => {
                (FindingKind::Pending, kind.clone())
            }
            ActionOutcome::Refused | ActionOutcome::Failed | ActionOutcome::Partly => {
                (FindingKind::Refused, action.problems.join("; "))
            }
            ActionOutcome::Planned | ActionOutcome::Remaining => {
                (FindingKind::Pending, kind.clone())
            }
            ActionOutcome::Applied => continue,
        };
        found.insert((finding, address, kind), text);
    }
    for note in report
        .skipped
        .iter()
        .filter(|note| note.code.needs_attention())
    {
        let key = (
            FindingKind::Attention,
            note.address.clone(),
            serde_name(note.code),
        );
        found.insert(key, note.text.clone());
    }
    found
}

fn numbers(before: &Report, now: &Report) -> Vec<NumberChange> {
    let of = |report: &Report| {
        let (source, target) = (&report.source, &report.target);
        [
            ("mailboxes", source.mailboxes),
            ("in_scope", source.in_scope),
            ("rejected", source.rejected),
            ("users", target.users),
            ("functional", target.functional),
            ("active", target.active),
            ("outside", target.outside),
        ]
    };
    of(before)
        .into_iter()
        .zip(of(now))
        .filter(|(before, now)| before != now)
        .map(|((what, before), (_, now))| NumberChange {
            what: what.to_owned(),
            before,
            now,
        })
        .collect()
}

/// What a value is called in JSON.
fn serde_name(value: impl Serialize) -> String {
    let name = serde_json::to_value(value).ok();
    let name = name.as_ref().and_then(serde_json::Value::as_str);
    name.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mode::{Mode, Trigger},
        note::{Code, Note},
    };

    fn report(id: &str) -> Report {
        Report::begin(id.into(), Mode::Apply, Trigger::Timer, "then".into())
    }

    #[test]
    fn what_came_and_what_went_is_told_apart_from_what_stayed() {
        let (mut before, mut now) = (report("one"), report("two"));
        let note = |address: &str, text: &str| Note::new(address, Code::KindMismatch, text);
        before.skipped = vec![note("a@x.example", "old words"), note("b@x.example", "b")];
        now.skipped = vec![
            note("a@x.example", "new words"),
            note("c@x.example", "c"),
            Note::new("d@x.example", Code::TargetFilter, "nobody has to look"),
        ];
        now.skipped
            .push(Note::new("a@x.example", Code::Rejected, "another kind"));
        before.source.mailboxes = 7;
        now.source.mailboxes = 9;
        let since = since(&before, &now);
        let addresses = |found: &[Finding]| {
            found
                .iter()
                .map(|it| it.address.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(addresses(&since.new), ["a@x.example", "c@x.example"]);
        assert_eq!(addresses(&since.gone), ["b@x.example"]);
        assert_eq!(since.numbers.len(), 1);
        assert_eq!((since.numbers[0].before, since.numbers[0].now), (7, 9));
        assert_eq!((since.run.as_str(), since.new_total), ("one", 2));
    }

    #[test]
    fn only_so_many_are_named() {
        let mut now = report("two");
        now.skipped = (0..NAMED_MAX + 5)
            .map(|at| Note::new(format!("{at}@x.example"), Code::KindMismatch, "text"))
            .collect();
        let since = since(&report("one"), &now);
        assert_eq!(since.new.len(), NAMED_MAX);
        assert_eq!(since.new_total as usize, NAMED_MAX + 5);
    }
}
