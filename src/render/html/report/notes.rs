//! Accounts left alone with the reason, differences from the previous run, and accounts that Zivver may delete.

use maud::{Markup, html};

use super::{
    super::{
        super::{
            findings::{self, by_code, taken},
            words::{self, is_about_a_delegation},
        },
        Links, Tone, badge, group, time,
    },
    who,
};
use domain::{
    note::{Code, Note},
    report::Report,
    since::{Comparison, Finding, NumberChange},
    suspended::DELETABLE_AFTER_DAYS,
};

pub(super) fn notes(report: &Report, links: Links<'_>) -> Markup {
    let mut others: Vec<&Note> = report.skipped.iter().collect();
    let attention = taken(&mut others, Code::needs_attention);
    let later = taken(&mut others, Code::is_left_for_later);
    let outdated = taken(&mut others, |code| code == Code::ReviewOutdated);
    let delegations = taken(&mut others, is_about_a_delegation);
    html! {
        (groups("Needs attention", &attention, links))
        (groups("Left for a later run", &later, links))
        (groups("Reviewed, and not made", &outdated, links))
        (groups("Unresolved delegations", &delegations, links))
        (groups("Left alone, and why", &others, links))
    }
}

fn groups(title: &str, notes: &[&Note], links: Links<'_>) -> Markup {
    let of_code = |code: Code, notes: Vec<&Note>| {
        let rows_of = notes.len();
        let explained = findings::of_code(code);
        let title = format!("{} ({})", words::capital(words::code(code)), code.rule());
        let rows = html! {
            p.why { (explained.meaning) " " b { "What to do: " } (explained.action) }
            (note_rows(notes.into_iter(), links))
        };
        group(&title, rows_of, rows)
    };
    html! {
        @if !notes.is_empty() {
            section {
                h2 { (title) }
                @if let Some(kinds) = words::left_by_kind(notes) { p { (words::capital(&kinds)) "." } }
                @for (code, notes) in by_code(notes) {
                    div id=(words::key(code)) { (of_code(code, notes)) }
                }
            }
        }
    }
}

pub(in super::super) fn note_rows<'a>(
    notes: impl Iterator<Item = &'a Note>,
    links: Links<'_>,
) -> Markup {
    html! {
        ul.rows {
            @for note in notes {
                li {
                    (who(&note.address, links)) " " (links.text(&note.text))
                    span.soft { (words::cited(&note.text, &note.rule)) }
                }
            }
        }
    }
}

/// The differences from the previous run.
pub(super) fn since(report: &Report, links: Links<'_>) -> Markup {
    let Some(since) = &report.since else {
        return Markup::default();
    };
    html! {
        section {
            h2 { "Since the end of the run of " (time(&since.started)) }
            (comparison(&since.compared, ["New", "No longer open"], links))
        }
    }
}

/// Changed counts, new findings and findings that are gone.
pub(super) fn comparison(
    compared: &Comparison,
    [come, gone]: [&str; 2],
    links: Links<'_>,
) -> Markup {
    let more = |change: &NumberChange| i64::from(change.now) - i64::from(change.before);
    let is_empty = compared.new_total == 0 && compared.gone_total == 0;
    html! {
            @if compared.numbers.is_empty() && is_empty { p { "Nothing changed." } }
            @if !compared.numbers.is_empty() {
                ul.tally {
                    @for change in &compared.numbers {
                        li {
                            b { (format!("{:+}", more(change))) } " "
                            span {
                                (words::number_of(&change.what)) " "
                                span.soft { (change.before) " → " (change.now) }
                            }
                        }
                    }
                }
            }
            (findings(come, &compared.new, compared.new_total, links))
            (findings(gone, &compared.gone, compared.gone_total, links))
    }
}

fn findings(title: &str, findings: &[Finding], total: u32, links: Links<'_>) -> Markup {
    if total == 0 {
        return Markup::default();
    }
    let more = (total as usize).saturating_sub(findings.len());
    let rows = html! {
        ul.rows {
            @for finding in findings {
                li {
                    (badge(Tone::Plain, words::finding(finding.kind))) " "
                    (who(&finding.address, links)) " " (links.text(&finding.text))
                }
            }
        }
        @if more > 0 { p.soft { "and " (more) " more" } }
    };
    group(title, total as usize, rows)
}

pub(super) fn suspended(report: &Report, links: Links<'_>) -> Markup {
    let Some(first) = report.suspended.first() else {
        return Markup::default();
    };
    let rows = html! {
        ul.rows {
            @for account in &report.suspended {
                li {
                    (who(account.address.as_str(), links)) " may be deleted from " (account.deletable) " on "
                    span.soft { "suspended on " (account.suspended) }
                }
            }
        }
    };
    let title = format!("Accounts, the first from {} on", first.deletable);
    html! {
        section {
            h2 { "Accounts that we suspended" }
            p.soft {
                "If your organisation lets Zivver delete users after " (DELETABLE_AFTER_DAYS)
                " days of suspension, they and their messages go for good from these days on. Resume or keep them in time."
            }
            (group(&title, report.suspended.len(), rows))
        }
    }
}
