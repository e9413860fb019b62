//! Texts about what happened to an account, and about the differences between two runs (R42).

use super::words;
use domain::{
    plan::AttributeChange,
    snapshot::{
        Side,
        diff::{Attribute, Difference},
        history::{Event, Happened, Standing},
    },
};

pub(crate) fn side(side: Side) -> &'static str {
    match side {
        Side::Exchange => "Exchange",
        Side::Zivver => "Zivver",
    }
}

/// What happened, in a few words.
pub(crate) fn headline(event: &Event) -> String {
    match &event.what {
        Happened::Action {
            action, outcome, ..
        } => format!(
            "{}: {}",
            words::verb(*action),
            words::action_outcome(*outcome)
        ),
        Happened::Held {
            what,
            before,
            after,
        } => format!("held: {what} {}", arrow(before, after)),
        Happened::Noted { code } => words::code(*code).to_owned(),
        Happened::NoLonger { what } => format!("no longer: {what}"),
    }
}

/// The changed values, what was refused, and the reasons.
pub(crate) fn details(event: &Event) -> Vec<String> {
    let mut details: Vec<String> = match &event.what {
        Happened::Action {
            changes, problems, ..
        } => changes
            .iter()
            .map(change)
            .chain(problems.iter().cloned())
            .collect(),
        Happened::Held { .. } | Happened::Noted { .. } | Happened::NoLonger { .. } => Vec::new(),
    };
    let reasons = event.reasons.iter();
    details.extend(reasons.map(|reason| {
        format!(
            "{}{}",
            reason.fact,
            words::cited(&reason.fact, &reason.rule)
        )
    }));
    details
}

fn change(change: &AttributeChange) -> String {
    let values = arrow(
        &change.before.join(", "),
        &change.after_in_words().join(", "),
    );
    format!("{} {values}", words::attribute(change.attribute))
}

/// `− before`, `+ after`, or `before → after`.
fn arrow(before: &str, after: &str) -> String {
    match (before.is_empty(), after.is_empty()) {
        (true, true) => String::new(),
        (true, false) => format!("+ {after}"),
        (false, true) => format!("− {before}"),
        (false, false) => format!("{before} → {after}"),
    }
}

/// Since when a side looks as it does in the last snapshot, which later runs do not change.
pub(crate) fn standing(it: &Standing, moment: fn(&str) -> String) -> String {
    let [first, changed, at] = [it.first, it.changed, it.at].map(|it| moment(&it.to_string()));
    let first = if it.or_earlier {
        format!("first seen by the first snapshot, {first}")
    } else {
        format!("first seen {first}")
    };
    if it.first == it.changed {
        format!("{first}, no change seen up to the full run of {at}")
    } else if it.changed == it.at {
        format!("{first}, last change seen by the full run of {changed}")
    } else {
        format!("{first}, last change seen by the full run of {changed}, none up to that of {at}")
    }
}

/// `full access + anna@corp.example`
pub(crate) fn difference(it: &Difference) -> String {
    let what = match it.what {
        Attribute::Existence if it.before.is_empty() => return "appeared".to_owned(),
        Attribute::Existence => return "is gone".to_owned(),
        Attribute::Address => "address",
        Attribute::Name => "name",
        Attribute::Kind => "kind",
        Attribute::Status => "status",
        Attribute::Alias => "alias",
        Attribute::Delegation => "full access",
        Attribute::ObjectId => "object id",
    };
    format!("{what} {}", arrow(&it.before, &it.after))
}
