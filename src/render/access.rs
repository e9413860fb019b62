//! The texts of the access review (R43), and its table.

use super::{
    csv::{self, Separator},
    words,
};
use domain::snapshot::access::{
    Changed, Coverage, Delegated, Granted, InExchange, InZivver, Named, Review, Row, Since,
};

/// `directly`, or `via SG Care > SG Night`.
pub fn path(through: &[String]) -> String {
    if through.is_empty() {
        "directly".to_owned()
    } else {
        format!("via {}", through.join(" > "))
    }
}

/// The path of the person's access in Exchange, if it is or was known.
pub fn granted(row: &Row) -> Option<&Granted> {
    match &row.exchange {
        InExchange::Granted(granted) => Some(granted),
        InExchange::Unknown { last, .. } => last.as_ref(),
        InExchange::NotGranted | InExchange::NoMailbox => None,
    }
}

/// What Exchange answered, in a few words.
pub fn exchange(row: &Row) -> String {
    match &row.exchange {
        InExchange::Granted(granted) => path(&granted.through),
        InExchange::NotGranted => "no".to_owned(),
        InExchange::Unknown { last: None, .. } => "unknown".to_owned(),
        InExchange::Unknown {
            last: Some(last), ..
        } => format!("unknown, last known {}", path(&last.through)),
        InExchange::NoMailbox => "no mailbox".to_owned(),
    }
}

/// What a row without a person says; empty if its remark says all.
pub fn alone(row: &Row) -> &'static str {
    match &row.exchange {
        _ if row.is_unknown() => "",
        InExchange::NoMailbox => "nobody else can open it, and it has no mailbox",
        InExchange::Granted(_) | InExchange::NotGranted | InExchange::Unknown { .. } => {
            "nobody else can open it"
        }
    }
}

/// What Zivver answered.
pub fn zivver(row: &Row) -> &'static str {
    match &row.zivver {
        InZivver::Delegate(_) if is_suspended(row) => "yes, but suspended",
        InZivver::Delegate(_) => "yes",
        InZivver::NoDelegate => "no",
        InZivver::Unknown { last: None, .. } => "unknown",
        InZivver::Unknown { last: Some(_), .. } => "unknown, last known yes",
        InZivver::NoAccount => "no account",
    }
}

/// Whether the person is a delegate whose account is suspended.
pub fn is_suspended(row: &Row) -> bool {
    let suspended = |it: &Delegated| it.is_suspended;
    matches!(&row.zivver, InZivver::Delegate(it) if suspended(it))
}

/// What stands before the day since which Zivver has the delegate. Of a suspended account it is not the day of the suspension.
pub fn since_in_zivver(row: &Row) -> &'static str {
    if is_suspended(row) {
        "a delegate since"
    } else {
        "since"
    }
}

/// Why the two sides differ, or what is unknown; empty if they agree.
pub fn remark(row: &Row) -> String {
    let mut parts = Vec::new();
    if let InExchange::Unknown { reason, .. } = &row.exchange {
        parts.push(format!("unknown: {reason}"));
    }
    if let InZivver::Unknown { reason, .. } = &row.zivver {
        parts.push(format!("unknown in Zivver: {reason}"));
    }
    match (&row.exchange, &row.zivver) {
        (InExchange::Granted(granted), InZivver::NoDelegate | InZivver::NoAccount) => {
            parts.push(match &granted.left_out {
                // A reason that ends with `)` already contains its rule.
                Some(reason) if reason.ends_with(')') => format!("left out in Zivver: {reason}"),
                Some(reason) => format!("left out in Zivver: {reason} (R12)"),
                None => "not in Zivver yet".to_owned(),
            });
        }
        (InExchange::NotGranted, InZivver::Delegate(delegated)) => {
            parts.push(match delegated.not_compared {
                Some(reason) => format!("only in Zivver: {reason}"),
                None => "only in Zivver".to_owned(),
            });
        }
        (
            InExchange::Granted(_)
            | InExchange::NotGranted
            | InExchange::Unknown { .. }
            | InExchange::NoMailbox,
            _,
        ) => {}
    }
    parts.join("; ")
}

/// The day on which it was first seen, with `or earlier` if it may be older.
pub fn since_words(since: &Since) -> String {
    let day = since.at.to_string();
    let day = day.split('T').next().unwrap_or_default();
    if since.or_earlier {
        format!("{day} or earlier")
    } else {
        day.to_owned()
    }
}

pub fn in_zivver_since(row: &Row) -> Option<&Since> {
    match &row.zivver {
        InZivver::Delegate(it) => Some(&it.since),
        InZivver::Unknown { last, .. } => last.as_ref().map(|it| &it.since),
        InZivver::NoDelegate | InZivver::NoAccount => None,
    }
}

pub fn changed(change: &Changed) -> String {
    match change {
        Changed::Granted => "granted in Exchange".to_owned(),
        Changed::Withdrawn => "withdrawn in Exchange".to_owned(),
        Changed::OtherPath { before } => format!("other path, before {}", path(before)),
        Changed::DelegateAdded => "added in Zivver".to_owned(),
        Changed::DelegateRemoved => "removed in Zivver".to_owned(),
    }
}

pub fn changes(row: &Row) -> String {
    let changes: Vec<String> = row.changes.iter().map(changed).collect();
    changes.join("; ")
}

/// `all 3,120 mailboxes read`, or `3,116 of 3,120 mailboxes read; 4 could not be read`
pub fn coverage(coverage: &Coverage) -> String {
    let mailboxes = words::number(coverage.mailboxes, "mailbox", "mailboxes");
    let mut parts = vec![if coverage.read == coverage.mailboxes {
        format!("all {mailboxes} read")
    } else {
        let read = words::thousands(coverage.read);
        format!("{read} of {mailboxes} read")
    }];
    for (count, what) in [
        (coverage.unknown, "could not be read"),
        (coverage.not_read, "not synchronised, so not read"),
        (coverage.rejected, "not understood"),
    ] {
        if count > 0 {
            parts.push(format!("{} {what}", words::thousands(count)));
        }
    }
    if coverage.rejected_accounts > 0 {
        let accounts = words::number(coverage.rejected_accounts, "account", "accounts");
        parts.push(format!("{accounts} of Zivver not understood"));
    }
    parts.join("; ")
}

/// The person of the row; without one, whether that means that nobody has access, or that it is unknown who has.
pub fn person(row: &Row) -> Named {
    row.person.clone().unwrap_or_else(|| Named {
        address: nobody(row).to_owned(),
        name: String::new(),
    })
}

/// What stands in place of a person.
pub fn nobody(row: &Row) -> &'static str {
    if row.is_unknown() {
        "unknown"
    } else {
        "nobody"
    }
}

/// The restriction of the rows, in words; empty if there is none.
pub fn restriction(review: &Review) -> String {
    let changed = review.only_changed.then_some("only what changed");
    let search = review.search.iter().map(String::as_str);
    search.chain(changed).collect::<Vec<_>>().join(", ")
}

/// What is said if there are no rows.
pub fn nothing(review: &Review) -> &'static str {
    match (!review.search.is_empty(), review.only_changed) {
        (_, true) => "Nothing of that changed.",
        (true, false) => "No mailbox or person matches.",
        (false, false) => "No access of a person to the mailbox of another is known.",
    }
}

const HEADER: [&str; 15] = [
    "mailbox",
    "mailbox_name",
    "kind",
    "person",
    "person_name",
    "exchange",
    "exchange_since",
    "zivver",
    "zivver_since",
    "remark",
    "change",
    "as_of",
    "run",
    "coverage",
    "search",
];

/// CSV with a row for each pair of mailbox and person.
pub fn table(review: &Review, separator: Separator) -> String {
    let remarks = review.remarks.iter().cloned();
    let coverage: Vec<String> = std::iter::once(coverage(&review.coverage))
        .chain(remarks)
        .collect();
    let coverage = coverage.join("; ");
    let restriction = restriction(review);
    let since = |since: Option<&Since>| since.map(since_words).unwrap_or_default();
    let rows = review.rows.iter().map(|row| {
        let person = person(row);
        vec![
            row.mailbox.address.clone(),
            row.mailbox.name.clone(),
            row.kind.to_owned(),
            person.address,
            person.name,
            exchange(row),
            since(granted(row).map(|it| &it.since)),
            zivver(row).to_owned(),
            since(in_zivver_since(row)),
            remark(row),
            changes(row),
            review.at.to_string(),
            review.run.clone(),
            coverage.clone(),
            restriction.clone(),
        ]
    });
    csv::table(&HEADER, rows, separator)
}
