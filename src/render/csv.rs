//! A report as one table (RFC 4180): one row for each fact, whose kind is in the first column. The table begins with a
//! byte order mark, since Excel does not read UTF-8 without it.

use std::borrow::Cow;

use super::{
    visible::visible,
    words::{duration, key, standing_of},
};
use domain::{
    actor::Actor,
    address::SmtpAddress,
    all_clear::Verification,
    plan::{Action, Attribute, AttributeChange},
    report::Report,
    since::Comparison,
};

const HEADER: [&str; 12] = [
    "record",
    "address",
    "account",
    "kind",
    "outcome",
    "attribute",
    "before",
    "after",
    "code",
    "rule",
    "text",
    "origin",
];

/// The separator between cells. Excel expects the list separator of its region: a semicolon where numbers have a
/// decimal comma, as in the Netherlands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Separator {
    #[default]
    #[value(name = ",")]
    Comma,
    #[value(name = ";")]
    Semicolon,
}

/// One row; fields that are not set are empty.
#[derive(Default)]
struct Row<'a> {
    record: &'a str,
    address: &'a str,
    account: &'a str,
    kind: &'a str,
    outcome: &'a str,
    attribute: &'a str,
    before: &'a str,
    after: &'a str,
    code: &'a str,
    rule: &'a str,
    text: &'a str,
    /// R44
    origin: &'a str,
}

fn push_held(csv: &mut Table, report: &Report) {
    for set in &report.held {
        let class = key(set.class);
        let rejected = set.rejected.iter().map(|change| (change, "rejected"));
        let held = set.changes.iter().map(|change| (change, "held"));
        let approved = set.approved.iter().map(|change| (change, "approved"));
        for (change, outcome) in held.chain(approved).chain(rejected) {
            let reason = match &change.waits {
                Some(why) => format!("{}; {why}", set.reason),
                None => set.reason.clone(),
            };
            Row {
                record: "held",
                address: change.address.as_str(),
                kind: &class,
                outcome,
                attribute: &change.what,
                origin: &change.origin.map(key).unwrap_or_default(),
                before: &change.before,
                after: &change.after,
                code: &set.code,
                rule: "R26",
                text: &reason,
                ..Row::default()
            }
            .push(csv);
        }
    }
}

/// A report: rows about single accounts, followed by rows about the whole run.
pub fn report(report: &Report, separator: Separator) -> String {
    let mut csv = Table::new(&HEADER, separator);
    for action in &report.actions {
        let outcome = key(action.outcome);
        let problems = action.problems.join("; ");
        push_action(&mut csv, "action", &action.action, &outcome, &problems);
        if !action.left.is_empty() {
            let left = Action {
                changes: action.left.clone(),
                ..action.action.clone()
            };
            push_action(&mut csv, "left", &left, "remaining", "");
        }
    }
    push_held(&mut csv, report);
    for note in &report.skipped {
        Row {
            record: "skipped",
            address: &note.address,
            kind: &note.kind.map(key).unwrap_or_default(),
            code: &key(note.code),
            rule: &note.rule,
            text: &note.text,
            ..Row::default()
        }
        .push(&mut csv);
    }
    for action in &report.differences {
        push_action(&mut csv, "difference", action, "differs", "");
    }
    for account in &report.suspended {
        Row {
            record: "suspended",
            address: account.address.as_str(),
            attribute: "deletable",
            before: &account.suspended,
            after: &account.deletable,
            ..Row::default()
        }
        .push(&mut csv);
    }
    if let Some(since) = &report.since {
        compared(&mut csv, ["since", "new", "gone"], &since.compared);
    }
    if let Some(under) = &report.compared {
        compared(&mut csv, ["beside", "added", "left_out"], under);
    }
    facts(&mut csv, report);
    csv.into_text()
}

fn compared(csv: &mut Table, [numbers, come, gone]: [&str; 3], with: &Comparison) {
    for number in &with.numbers {
        Row {
            record: numbers,
            attribute: &number.what,
            before: &number.before.to_string(),
            after: &number.now.to_string(),
            ..Row::default()
        }
        .push(csv);
    }
    for (record, findings) in [(come, &with.new), (gone, &with.gone)] {
        for finding in findings {
            Row {
                record,
                address: &finding.address,
                kind: &key(finding.kind),
                text: &finding.text,
                ..Row::default()
            }
            .push(csv);
        }
    }
}

/// A table of a header and rows.
pub fn table<R: AsRef<[String]>>(
    header: &[&str],
    rows: impl IntoIterator<Item = R>,
    separator: Separator,
) -> String {
    let mut csv = Table::new(header, separator);
    for row in rows {
        csv.push(row.as_ref().iter().map(String::as_str));
    }
    csv.into_text()
}

/// Identification of the run, and who started and stopped it (R41).
fn run(report: &Report) -> [(&'static str, String); 7] {
    let name = |by: Option<&Actor>| by.map(ToString::to_string).unwrap_or_default();
    let accounts = report.approves_accounts.iter().map(SmtpAddress::as_str);
    [
        ("id", report.id.clone()),
        ("mode", key(report.mode)),
        ("trigger", key(report.trigger)),
        ("started_by", name(report.started_by.as_ref())),
        ("approves", report.approves.join("; ")),
        ("approves_accounts", accounts.collect::<Vec<_>>().join("; ")),
        ("stopped_by", name(report.stopped_by.as_ref())),
    ]
}

fn verified(report: &Report) -> &'static str {
    match report.verification() {
        Verification::Preview | Verification::NotVerified => "not verified",
        Verification::Undone { is_partial: false } => "undone",
        Verification::Undone { is_partial: true } => "partly undone",
        Verification::Covered { .. } => "not for permissions",
        Verification::LeftForLater { .. } => "yes, but for what is left for later",
        Verification::AsPlanned { .. } => "yes",
        Verification::Differs => "no",
    }
}

/// Facts about the whole run.
fn facts(csv: &mut Table, report: &Report) {
    let mut fact = |name: &str, value: &str| {
        Row {
            record: "run",
            attribute: name,
            after: value,
            ..Row::default()
        }
        .push(csv);
    };
    for (name, value) in run(report) {
        fact(name, &value);
    }
    // What was not counted is not 0.
    let counted = |count: u32| {
        if report.has_counted() {
            count.to_string()
        } else {
            String::new()
        }
    };
    fact("outcome", standing_of(report.state, report.outcome));
    fact("error", report.error.as_deref().unwrap_or_default());
    fact("started", &report.started);
    fact("ended", report.ended.as_deref().unwrap_or_default());
    fact("duration", &duration(report.duration_ms));
    fact(
        "lock_owner",
        report.lock_owner.as_deref().unwrap_or_default(),
    );
    fact("resumed_from", &report.resumed_from.join("; "));
    fact("undoes", report.undoes.as_deref().unwrap_or_default());
    fact("tenant_id", &report.source.tenant_id);
    fact("mailboxes", &counted(report.source.mailboxes));
    fact("in_scope", &counted(report.source.in_scope));
    fact("rejected", &counted(report.source.rejected));
    fact("users", &counted(report.target.users));
    fact("functional", &counted(report.target.functional));
    fact("active", &counted(report.target.active));
    fact("outside", &counted(report.target.outside));
    fact("planned_writes", &report.planned_writes.to_string());
    fact("estimate", &duration(report.estimate_ms));
    fact("in_part", &report.counts.in_part.to_string());
    fact("remaining", &report.remaining.to_string());
    fact(
        "requests_exchange",
        &report.requests.exchange.total.to_string(),
    );
    fact("requests_zivver", &report.requests.zivver.total.to_string());
    fact("converged", verified(report));
    if let Some(others) = report.others {
        fact("other_findings", &others.findings.to_string());
        fact("other_attention", &others.attention.to_string());
    }
    for (origin, count) in &report.counts.origins {
        fact(&format!("origin_{}", key(*origin)), &count.to_string());
    }
    listed(csv, report);
}

/// One row for each setting and each warning.
fn listed(csv: &mut Table, report: &Report) {
    for setting in &report.settings {
        Row {
            record: "setting",
            attribute: &setting.name,
            before: &setting.now,
            after: &setting.value,
            rule: "R46",
            ..Row::default()
        }
        .push(csv);
    }
    for (entry, count) in &report.filter_counts {
        Row {
            record: "filter",
            before: entry,
            after: &count.to_string(),
            rule: "R15",
            ..Row::default()
        }
        .push(csv);
    }
    for warning in &report.warnings {
        Row {
            record: "warning",
            text: warning,
            ..Row::default()
        }
        .push(csv);
    }
}

/// One row for each changed attribute, or for each address of a list; one row for an action without changes.
fn push_action(csv: &mut Table, record: &str, action: &Action, outcome: &str, problems: &str) {
    let (account, kind) = (key(action.account), key(action.kind));
    let rules: Vec<&str> = action.reasons.iter().map(|reason| &*reason.rule).collect();
    let facts: Vec<&str> = action.reasons.iter().map(|reason| &*reason.fact).collect();
    let text = if problems.is_empty() {
        facts.join("; ")
    } else {
        problems.to_owned()
    };
    let mut push = |change: Option<&AttributeChange>, before: &str, after: &str| {
        let attribute = change.map(|change| key(change.attribute));
        let entry = if after.is_empty() { before } else { after };
        let origin = change.and_then(|change| {
            let named = |it: &&String| change.renamed.get(*it).is_some_and(|now| now == entry);
            let known = change.renamed.keys().find(named);
            change.origins.get(known.map_or(entry, String::as_str))
        });
        Row {
            record,
            address: action.address.as_str(),
            account: &account,
            kind: &kind,
            outcome,
            attribute: &attribute.unwrap_or_default(),
            origin: &origin.map(|it| key(*it)).unwrap_or_default(),
            before,
            after,
            rule: &rules.join(" "),
            text: &text,
            ..Row::default()
        }
        .push(csv);
    };
    if action.changes.is_empty() {
        push(None, "", "");
    }
    for change in &action.changes {
        let mut push = |before, after| push(Some(change), before, after);
        match change.attribute {
            Attribute::Aliases | Attribute::Delegates => {
                change.before.iter().for_each(|address| push(address, ""));
                let named = |it| change.renamed.get(it).unwrap_or(it);
                change.after.iter().for_each(|it| push("", named(it)));
            }
            Attribute::Address
            | Attribute::Name
            | Attribute::Active
            | Attribute::ObjectId
            | Attribute::SignInKey => push(&change.before.join("; "), &change.after.join("; ")),
        }
    }
}

impl Row<'_> {
    fn push(self, csv: &mut Table) {
        csv.push([
            self.record,
            self.address,
            self.account,
            self.kind,
            self.outcome,
            self.attribute,
            self.before,
            self.after,
            self.code,
            self.rule,
            self.text,
            self.origin,
        ]);
    }
}

/// A table in memory. Each cell is made inert; writing does not fail.
struct Table(csv::Writer<Vec<u8>>);

impl Table {
    /// Every cell is quoted, since some spreadsheets also split unquoted cells at `;`.
    fn new(header: &[&str], separator: Separator) -> Self {
        let delimiter = match separator {
            Separator::Comma => b',',
            Separator::Semicolon => b';',
        };
        let mut table = Self(
            csv::WriterBuilder::new()
                .delimiter(delimiter)
                .terminator(csv::Terminator::CRLF)
                .quote_style(csv::QuoteStyle::Always)
                .from_writer(BYTE_ORDER_MARK.as_bytes().to_vec()),
        );
        table.push(header.iter().copied());
        table
    }

    fn push<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        for text in cells {
            self.0.write_field(&*inert(text)).expect(IN_MEMORY);
        }
        self.0.write_record(None::<&[u8]>).expect(IN_MEMORY);
    }

    fn into_text(self) -> String {
        let bytes = self.0.into_inner().expect(IN_MEMORY);
        String::from_utf8(bytes).expect("every cell is text")
    }
}

const BYTE_ORDER_MARK: &str = "\u{feff}";

const IN_MEMORY: &str = "writing rows of equal length to memory does not fail";

/// Whether a spreadsheet would run the cell as a formula. In some languages full-width characters count as their narrow
/// forms.
fn starts_a_formula(text: &str) -> bool {
    text.trim_start_matches([' ', '\u{a0}', '\u{3000}', '"', '\''])
        .starts_with([
            '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', '\u{2212}',
        ])
        || text.starts_with(['\t', '\r', '\n'])
}

/// The content of a cell. A prefix turns a formula into text.
fn inert(text: &str) -> Cow<'_, str> {
    let shown = visible(text);
    if starts_a_formula(text) {
        return format!("'{shown}").into();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_starts_a_formula_or_ends_early() {
        for (text, expected) in [
            ("Anna", "Anna"),
            ("a,b", "a,b"),
            ("a;=b", "a;=b"),
            ("say \"hi\"", "say \"\"hi\"\""),
            ("=1+1", "'=1+1"),
            ("+31 20", "'+31 20"),
            ("-2", "'-2"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "' =1"),
            (" =1", "' =1"),
            ("\"=1", "'\"\"=1"),
            ("＝1", "'＝1"),
            ("a\r\nb", "a  b"),
            ("", ""),
        ] {
            let csv = table(&["h"], [[text.to_owned()]], Separator::Comma);
            assert_eq!(
                csv,
                format!("\u{feff}\"h\"\r\n\"{expected}\"\r\n"),
                "{text:?}"
            );
        }
    }
}
