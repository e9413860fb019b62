//! A report as Markdown (`CommonMark` with tables), for a ticket or a chat. Data stands in code spans, where nothing is
//! markup; sentences are escaped.

use std::fmt::Write;

use super::{
    visible::visible,
    words::{self, capital, duration, is_about_a_delegation, requests, standing_of, verdict},
};
use domain::{
    address::SmtpAddress,
    explain::Explanation,
    note::Note,
    plan::{Action, AttributeChange},
    report::Report,
    since::Finding,
};

/// The whole report; what is empty is left out.
pub fn report(report: &Report) -> String {
    let mut out = String::with_capacity(1024 + 200 * (report.actions.len() + report.skipped.len()));
    line(
        &mut out,
        &format!(
            "# Cloud Sync: {} {}",
            words::mode(report.mode),
            code(&report.id)
        ),
    );
    line(
        &mut out,
        &format!("**{}**", capital(standing_of(report.state, report.outcome))),
    );
    if let Some(error) = &report.error {
        line(&mut out, &format!("> {}", text(error)));
    }
    for warning in &report.warnings {
        line(&mut out, &format!("- Warning: {}", text(warning)));
    }
    facts(&mut out, report);
    held(&mut out, report);
    failed(&mut out, report);
    actions(&mut out, report);
    verification(&mut out, report);
    since(&mut out, report);
    skipped(&mut out, report);
    suspended(&mut out, report);
    out
}

/// The answer for one address (R40).
pub fn explanation(explanation: &Explanation) -> String {
    let mut out = String::new();
    line(&mut out, &format!("# {}", code(&explanation.address)));
    line(&mut out, &format!("**{}**", text(&explanation.verdict)));
    for mailbox in &explanation.mailboxes {
        line(
            &mut out,
            &format!("## Exchange: {}", code(&mailbox.primary)),
        );
        item(&mut out, "Standing", &text(&mailbox.standing));
        item(&mut out, "Kind", &code(&mailbox.kind));
        item(&mut out, "Display name", &code(&mailbox.display_name));
        item(
            &mut out,
            "Object id",
            &code(mailbox.object_id.as_deref().unwrap_or_default()),
        );
        item(
            &mut out,
            "Disabled",
            mailbox
                .disabled
                .map_or("-", |yes| if yes { "yes" } else { "no" }),
        );
        item(&mut out, "Aliases", &codes(&mailbox.aliases));
        let full_access = mailbox.full_access.as_ref();
        item(
            &mut out,
            "Full Access",
            &full_access.map_or("unknown, or not asked".into(), |all| codes(all)),
        );
    }
    accounts(&mut out, explanation);
    changes(&mut out, explanation);
    notes(
        &mut out,
        "Notes",
        &explanation.notes.iter().collect::<Vec<_>>(),
    );
    out
}

fn accounts(out: &mut String, explanation: &Explanation) {
    for account in &explanation.accounts {
        line(out, &format!("## Zivver: {}", code(&account.address)));
        item(out, "Standing", &text(&account.standing));
        item(out, "Kind", words::account(account.kind));
        item(out, "Name", &code(&account.name));
        item(out, "Active", if account.active { "yes" } else { "no" });
        item(out, "Aliases", &codes(&account.aliases));
        item(out, "Delegates", &codes(&account.delegates));
        item(out, "Id", &code(&account.id));
        if let Some(suspended) = &account.suspended {
            item(out, "Suspended", &text(&suspended.in_words()));
        }
        item(
            out,
            "ExternalAccountId",
            &code(account.external_account_id.as_deref().unwrap_or_default()),
        );
    }
}

fn changes(out: &mut String, explanation: &Explanation) {
    for action in &explanation.actions {
        line(out, &format!("## Planned: {}", words::verb(action.kind)));
        for change in &action.changes {
            item(out, words::attribute(change.attribute), &difference(change));
        }
        for reason in &action.reasons {
            item(out, &reason.rule, &text(&reason.fact));
        }
    }
    for held in &explanation.held {
        line(out, &format!("## Held: {}", text(&held.change.what)));
        item(
            out,
            "Change",
            &format!(
                "{} → {}",
                code(&held.change.before),
                code(&held.change.after)
            ),
        );
        item(out, "Why", &text(&held.reason));
        item(out, "Code", &code(&held.code));
    }
}

/// Any table; its cells are data.
pub fn table<R: AsRef<[String]>>(header: &[&str], rows: impl IntoIterator<Item = R>) -> String {
    let mut out = String::new();
    head(&mut out, header);
    for cells in rows {
        let cells: Vec<String> = cells.as_ref().iter().map(|cell| code(cell)).collect();
        row(
            &mut out,
            &cells.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    }
    out
}

fn facts(out: &mut String, report: &Report) {
    line(out, "## The run");
    item(
        out,
        "Started",
        &format!(
            "{} by {}",
            code(&report.started),
            words::trigger(report.trigger)
        ),
    );
    if let Some(ended) = &report.ended {
        item(
            out,
            "Ended",
            &format!("{} after {}", code(ended), duration(report.duration_ms)),
        );
    }
    if let Some(owner) = &report.lock_owner {
        item(out, "Lock", &text(owner));
    }
    if !report.resumed_from.is_empty() {
        item(out, "Took up the work of", &codes(&report.resumed_from));
    }
    if let Some(run) = &report.undoes {
        item(out, "Takes back the run", &code(run));
    }
    if !report.accounts.is_empty() {
        let accounts: Vec<&str> = report.accounts.iter().map(SmtpAddress::as_str).collect();
        item(out, "Only for", &codes(&accounts));
    }
    if let Some(others) = report.others.and_then(words::others) {
        item(out, "Other accounts", &text(&others));
    }
    read(out, report);
    work(out, report);
}

/// What came from both sides.
fn read(out: &mut String, report: &Report) {
    let (source, target) = (&report.source, &report.target);
    item(
        out,
        "Read from Exchange",
        &format!(
            "{} mailboxes of tenant {}, {} in scope, {} not understood",
            source.mailboxes,
            code(&source.tenant_id),
            source.in_scope,
            source.rejected
        ),
    );
    let rejected = match target.rejected {
        0 => String::new(),
        rejected => format!(", {rejected} not understood"),
    };
    item(
        out,
        "Read from Zivver",
        &format!(
            "{} users and {} functional accounts, {} active, {} outside the claimed domains{rejected}",
            target.users, target.functional, target.active, target.outside
        ),
    );
}

/// What was to be done, and what it took.
fn work(out: &mut String, report: &Report) {
    let sums = |counts: &std::collections::BTreeMap<_, u32>, word: fn(_) -> String| {
        let each: Vec<String> = counts
            .iter()
            .map(|(kind, count)| format!("{count} {}", word(*kind)))
            .collect();
        if each.is_empty() {
            "nothing".to_owned()
        } else {
            each.join(", ")
        }
    };
    let planned = sums(&report.counts.planned, |kind| {
        format!("to {}", words::verb(kind))
    });
    item(out, "Planned", &planned);
    let applied = sums(&report.counts.applied, |kind| words::past(kind).to_owned());
    item(out, "Applied", &applied);
    item(
        out,
        "Estimate",
        &words::estimate(report.planned_writes, report.estimate_ms),
    );
    if report.remaining > 0 {
        item(out, "Remaining", &report.remaining.to_string());
    }
    for (service, asked) in [
        ("Exchange", &report.requests.exchange),
        ("Zivver", &report.requests.zivver),
    ] {
        item(out, &format!("Requests to {service}"), &requests(asked));
    }
    for (entry, count) in &report.filter_counts {
        item(
            out,
            &format!("Target filter {}", code(entry)),
            &format!("matches {count}"),
        );
    }
}

fn held(out: &mut String, report: &Report) {
    for set in &report.held {
        line(
            out,
            &format!(
                "## Held: {} ({})",
                words::class(set.class),
                set.changes.len()
            ),
        );
        line(out, &text(&set.reason));
        line(
            out,
            &format!(
                "To approve exactly these changes within 24 hours: {}",
                code(&format!("cloud-sync apply --approve {}", set.code))
            ),
        );
        head(out, &["account", "change", "before", "after"]);
        for change in &set.changes {
            row(
                out,
                &[
                    &code(change.address.as_str()),
                    &text(&change.what),
                    &code(&change.before),
                    &code(&change.after),
                ],
            );
        }
        out.push('\n');
    }
}

fn failed(out: &mut String, report: &Report) {
    if report.failed.is_empty() {
        return;
    }
    line(
        out,
        &format!("## Refused or failed ({})", report.failed.len()),
    );
    head(out, &["account", "action", "problem and remedy"]);
    for failed in &report.failed {
        let problems: Vec<String> = failed
            .problems
            .iter()
            .map(|problem| text(problem))
            .collect();
        row(
            out,
            &[
                &code(failed.address.as_str()),
                words::verb(failed.kind),
                &problems.join("; "),
            ],
        );
    }
    out.push('\n');
}

fn actions(out: &mut String, report: &Report) {
    if report.actions.is_empty() {
        return;
    }
    line(out, &format!("## Plan ({})", report.actions.len()));
    head(out, &["account", "action", "outcome", "changes", "rules"]);
    for action in &report.actions {
        row(
            out,
            &[
                &code(action.action.address.as_str()),
                &format!(
                    "{} {}",
                    words::verb(action.action.kind),
                    words::account(action.action.account)
                ),
                words::action_outcome(action.outcome),
                &differences(&action.action),
                &rules(&action.action),
            ],
        );
    }
    out.push('\n');
}

fn verification(out: &mut String, report: &Report) {
    line(out, "## Verification");
    line(out, verdict(report));
    if report.differences.is_empty() {
        return;
    }
    head(out, &["account", "action", "changes", "rules"]);
    for action in &report.differences {
        row(
            out,
            &[
                &code(action.address.as_str()),
                words::verb(action.kind),
                &differences(action),
                &rules(action),
            ],
        );
    }
    out.push('\n');
}

fn since(out: &mut String, report: &Report) {
    let Some(since) = &report.since else {
        return;
    };
    line(out, &format!("## Since run {}", code(&since.run)));
    for number in &since.numbers {
        let more = i64::from(number.now) - i64::from(number.before);
        let numbers = format!("{more:+} ({} → {})", number.before, number.now);
        item(out, words::number_of(&number.what), &numbers);
    }
    if since.numbers.is_empty() && since.new_total == 0 && since.gone_total == 0 {
        item(out, "nothing changed", "");
    }
    out.push('\n');
    findings(out, "New", &since.new, since.new_total);
    findings(out, "Settled", &since.gone, since.gone_total);
}

fn findings(out: &mut String, title: &str, findings: &[Finding], total: u32) {
    if total == 0 {
        return;
    }
    line(out, &format!("### {title} ({total})"));
    head(out, &["account", "what", "in words"]);
    for finding in findings {
        let address = code(&finding.address);
        let words = text(&finding.text);
        row(out, &[&address, words::finding(finding.kind), &words]);
    }
    out.push('\n');
}

/// Accounts that Zivver may delete one day.
fn suspended(out: &mut String, report: &Report) {
    if report.suspended.is_empty() {
        return;
    }
    let count = report.suspended.len();
    line(out, &format!("## Suspended by Cloud Sync ({count})"));
    line(
        out,
        "Zivver may delete them for good from that day on, if its option to delete suspended users after 90 days is on.",
    );
    head(out, &["account", "suspended", "may be deleted from"]);
    for account in &report.suspended {
        let address = code(account.address.as_str());
        row(out, &[&address, &account.suspended, &account.deletable]);
    }
    out.push('\n');
}

fn skipped(out: &mut String, report: &Report) {
    let (delegations, others): (Vec<&Note>, Vec<&Note>) = report
        .skipped
        .iter()
        .partition(|note| is_about_a_delegation(note.code));
    notes(out, "Unresolved delegations", &delegations);
    notes(out, "Skipped", &others);
}

fn notes(out: &mut String, title: &str, notes: &[&Note]) {
    if notes.is_empty() {
        return;
    }
    line(out, &format!("## {title} ({})", notes.len()));
    head(out, &["account", "why", "rule", "in words"]);
    for note in notes {
        row(
            out,
            &[
                &code(&note.address),
                words::code(note.code),
                &note.rule,
                &text(&note.text),
            ],
        );
    }
    out.push('\n');
}

fn differences(action: &Action) -> String {
    let each: Vec<String> = action
        .changes
        .iter()
        .map(|change| {
            format!(
                "{}: {}",
                words::attribute(change.attribute),
                difference(change)
            )
        })
        .collect();
    each.join("; ")
}

fn difference(change: &AttributeChange) -> String {
    let before: Vec<String> = change
        .before
        .iter()
        .map(|value| format!("− {}", code(value)))
        .collect();
    let after: Vec<String> = change
        .after
        .iter()
        .map(|value| format!("+ {}", code(value)))
        .collect();
    [before, after].concat().join(" ")
}

fn rules(action: &Action) -> String {
    let rules: Vec<&str> = action.reasons.iter().map(|reason| &*reason.rule).collect();
    text(&rules.join(" "))
}

fn line(out: &mut String, markdown: &str) {
    out.push_str(markdown);
    out.push_str("\n\n");
}

fn item(out: &mut String, name: &str, markdown: &str) {
    let _ = writeln!(out, "- {}: {markdown}", capital(name));
}

fn head(out: &mut String, columns: &[&str]) {
    row(out, columns);
    row(out, &vec!["---"; columns.len()]);
}

fn row(out: &mut String, cells: &[&str]) {
    for cell in cells {
        out.push_str("| ");
        out.push_str(cell);
        out.push(' ');
    }
    out.push_str("|\n");
}

fn codes(values: &[impl AsRef<str>]) -> String {
    if values.is_empty() {
        return "-".to_owned();
    }
    let each: Vec<String> = values.iter().map(|value| code(value.as_ref())).collect();
    each.join(", ")
}

/// A code span (`CommonMark` 6.1): nothing in it is markup. A fence is longer than any run of backticks inside; a table
/// splits at `|` even here, so that is escaped (GitHub's tables, example 200).
pub(super) fn code(value: &str) -> String {
    let shown = visible(value);
    if shown.trim().is_empty() {
        return "-".to_owned();
    }
    let longest = shown
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let pad = if shown.starts_with('`') || shown.ends_with('`') || shown.starts_with(' ') {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{}{pad}{fence}", shown.replace('|', "\\|"))
}

/// A sentence in which nothing is markup, no link and no mention.
pub(super) fn text(sentence: &str) -> String {
    let shown = visible(sentence);
    let mut out = String::with_capacity(shown.len() + 16);
    for (at, c) in shown.char_indices() {
        let rest = &shown[at..];
        let word_starts = rest
            .get(..4)
            .is_some_and(|head| head.eq_ignore_ascii_case("www."));
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '|' | '~' | '@' => {
                out.push('\\');
                out.push(c);
            }
            // No link by itself: `https://…`, `www.…`.
            ':' if rest.starts_with("://") => out.push_str("&#58;"),
            'w' | 'W' if word_starts => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '#' | '+' | '-' | '=' | '!' if at == 0 => {
                out.push('\\');
                out.push(c);
            }
            '.' | ')' if shown[..at].bytes().all(|b| b.is_ascii_digit()) && at > 0 => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_code_whatever_it_holds() {
        for (value, expected) in [
            ("anna@corp.example", "`anna@corp.example`"),
            ("", "-"),
            ("a`b", "``a`b``"),
            ("``", "``` `` ```"),
            ("a|b", "`a\\|b`"),
            ("a\nb", "`a b`"),
            ("<b>[x](y)</b>", "`<b>[x](y)</b>`"),
        ] {
            assert_eq!(code(value), expected);
        }
    }

    #[test]
    fn sentences_hold_no_markup() {
        for (sentence, expected) in [
            ("plain, it's (R26).", "plain, it's (R26)."),
            (
                "<script>alert(1)</script>",
                "&lt;script&gt;alert(1)&lt;/script&gt;",
            ),
            (
                "[a](b) *c* _d_ `e` ![f](g)",
                "\\[a\\](b) \\*c\\* \\_d\\_ \\`e\\` !\\[f\\](g)",
            ),
            ("# h", "\\# h"),
            ("1. x", "1\\. x"),
            (
                "see https://evil.example and www.evil.example",
                "see https&#58;//evil.example and &#119;ww.evil.example",
            ),
            ("ask @all | a\u{202e}b", "ask \\@all \\| a\\[U+202E\\]b"),
        ] {
            assert_eq!(text(sentence), expected);
        }
    }
}
