//! Compares the reports of two runs.

use std::collections::BTreeMap;

use super::{
    action::{ActionKind, AttributeChange},
    change::Attribute,
    figures::Figures,
    hold::hash_of,
    name_in_json,
    note::Code,
    report::{ActionOutcome, Report},
    since::{Comparison, Finding, FindingKind, NumberChange, Since},
};

/// The maximum number of findings that are listed. All of them are counted.
const NAMED_MAX: usize = 200;

/// The differences between `now` and the run `before` it. What a person has rejected in between still differs (R47).
pub fn since(before: &Report, now: &Report) -> Since {
    let mut was = findings(before);
    was.retain(|(kind, address, _), text| {
        *kind != FindingKind::Held || !is_rejected(address, text, now)
    });
    Since {
        run: before.id.clone(),
        started: before.started.clone(),
        compared: compared(&was, &findings(now), numbers(before, now), NAMED_MAX),
    }
}

/// R47: whether a report lists a change of an account as rejected.
fn is_rejected(address: &str, change: &str, report: &Report) -> bool {
    let mut notes = report.skipped.iter();
    notes.any(|it| it.code == Code::Rejection && it.address == address && it.text.ends_with(change))
}

/// R46: what differs `under` other settings from the present ones, account by account, without a limit on the number.
pub fn under_other_settings(present: &Report, under: &Report) -> Comparison {
    let (was, is) = (details(present), details(under));
    let mut numbers = numbers(present, under);
    let plan = |report: &Report| {
        let figures = Figures::of(report);
        let held = u32::try_from(figures.held_changes()).unwrap_or(u32::MAX);
        [("planned", figures.pending_accounts()), ("held", held)]
    };
    numbers.extend(differing(plan(present), plan(under)));
    compared(&was, &is, numbers, usize::MAX)
}

fn compared(
    was: &BTreeMap<Key, String>,
    is: &BTreeMap<Key, String>,
    numbers: Vec<NumberChange>,
    named_max: usize,
) -> Comparison {
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
        found.truncate(named_max);
        (found, total)
    };
    let (new, new_total) = only_in(is, was);
    let (gone, gone_total) = only_in(was, is);
    Comparison {
        numbers,
        new,
        new_total,
        gone,
        gone_total,
    }
}

/// Kind, address, and the text that distinguishes several findings of one address.
type Key = (FindingKind, String, String);

/// The texts by key. A refusal with another wording is the same refusal.
fn findings(report: &Report) -> BTreeMap<Key, String> {
    let mut found = BTreeMap::new();
    for set in &report.held {
        for change in &set.changes {
            let key = (
                FindingKind::Held,
                change.address.to_string(),
                hash_of(&change.fingerprint).to_owned(),
            );
            found.insert(key, change.in_words());
        }
    }
    for action in &report.actions {
        let address = action.action.address.to_string();
        let kind = name_in_json(action.action.kind);
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
    for note in report.attention() {
        let key = (
            FindingKind::Attention,
            note.address.clone(),
            name_in_json(note.code),
        );
        found.insert(key, note.text.clone());
    }
    found
}

/// [`findings`], with each planned change as a separate finding.
fn details(report: &Report) -> BTreeMap<Key, String> {
    let mut found = findings(report);
    found.retain(|(kind, ..), _| *kind != FindingKind::Pending);
    for action in report.actions.iter().map(|it| &it.action) {
        let kind = name_in_json(action.kind);
        // What the kind says is not listed a second time.
        let is_whole = !matches!(action.kind, ActionKind::Update | ActionKind::Rename);
        let changes = action.changes.iter();
        let changes = changes.filter(|it| !is_whole || it.attribute != Attribute::Active);
        let whole = format!("{kind} {}", name_in_json(action.account));
        let whole = is_whole.then(|| (whole.clone(), whole));
        for (text, in_words) in changes.flat_map(in_words).chain(whole) {
            let key = (FindingKind::Pending, action.address.to_string(), text);
            found.insert(key, in_words);
        }
    }
    found
}

/// `name A → B`; for a set one text for each entry. The first text is the same if only one of the plans renames a
/// delegate, the second is for a person.
fn in_words(change: &AttributeChange) -> Vec<(String, String)> {
    let name = if change.attribute == Attribute::SignInKey {
        "sign-in key".to_owned()
    } else {
        name_in_json(change.attribute).replace('_', " ")
    };
    if change.attribute.is_set() {
        let in_words = |verb: &str, entry: &str| {
            let named = change.entry_in_words(entry);
            let of = |entry: &str| format!("{name}: {verb} {entry}");
            (of(entry), of(&named))
        };
        let gone = change.before.iter().map(|it| in_words("remove", it));
        let come = change.after.iter().map(|it| in_words("add", it));
        return gone.chain(come).collect();
    }
    let (before, after) = (change.before.join(", "), change.after.join(", "));
    let text = if before.is_empty() {
        after
    } else {
        format!("{before} → {after}")
    };
    let text = format!("{name}: {text}");
    vec![(text.clone(), text)]
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
    differing(of(before), of(now))
}

fn differing<const N: usize>(before: [(&str, u32); N], now: [(&str, u32); N]) -> Vec<NumberChange> {
    before
        .into_iter()
        .zip(now)
        .filter(|(before, now)| before != now)
        .map(|((what, before), (_, now))| NumberChange {
            what: what.to_owned(),
            before,
            now,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mode::{Mode, Trigger},
        note::Note,
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
        assert_eq!(
            addresses(&since.compared.new),
            ["a@x.example", "c@x.example"]
        );
        assert_eq!(addresses(&since.compared.gone), ["b@x.example"]);
        assert_eq!(since.compared.numbers.len(), 1);
        assert_eq!(
            (
                since.compared.numbers[0].before,
                since.compared.numbers[0].now
            ),
            (7, 9)
        );
        assert_eq!((since.run.as_str(), since.compared.new_total), ("one", 2));
    }

    #[test]
    fn r22_a_renamed_delegate_is_no_other_finding_and_is_named_by_the_new_address() {
        let [old, new] = ["a@corp.example", "b@corp.example"].map(str::to_owned);
        let change = AttributeChange {
            attribute: Attribute::Delegates,
            before: Vec::new(),
            after: vec![old.clone()],
            origins: BTreeMap::new(),
            renamed: [(old, new)].into(),
        };
        let (key, text) = in_words(&change).remove(0);
        assert_eq!(key, "delegates: add a@corp.example");
        assert_eq!(
            text,
            "delegates: add b@corp.example (until then a@corp.example)"
        );
    }

    #[test]
    fn only_so_many_are_named() {
        let mut now = report("two");
        now.skipped = (0..NAMED_MAX + 5)
            .map(|at| Note::new(format!("{at}@x.example"), Code::KindMismatch, "text"))
            .collect();
        let since = since(&report("one"), &now);
        assert_eq!(since.compared.new.len(), NAMED_MAX);
        assert_eq!(since.compared.new_total as usize, NAMED_MAX + 5);
    }
}
