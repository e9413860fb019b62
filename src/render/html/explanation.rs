//! The page for one address (R40).

use maud::{Markup, html};

use super::{
    super::{timeline, words},
    Links, Page, Tone, badge,
    report::{action, held_change, note_rows},
    time, value,
};
use domain::{
    all_clear::AllClear,
    explain::Explanation,
    named::{Found, UnknownAddress},
    sides::{self, Other, Pair, Side},
    snapshot::history::History,
};

/// `home` is the path of the dashboard, if there is one. `asks_both` says that both sides were to be read for the page.
pub fn explanation(
    explanation: &Explanation,
    history: Option<&History>,
    home: Option<&str>,
    asks_both: bool,
) -> String {
    let title = format!("Cloud Sync: {}", explanation.address);
    let page = Page {
        title: &title,
        home,
    };
    page.around(&html! {
        @if let Some(home) = home { (search(home, "Another address or name")) }
        @match &explanation.unknown {
            Some(unknown) => (not_found(&explanation.verdict, unknown, home)),
            None => {
                (content(explanation, Links { home }, asks_both))
                @if let Some(history) = history { (happened(history, Links { home })) }
            },
        }
    })
}

/// Links to the nearest addresses.
fn not_found(verdict: &str, unknown: &UnknownAddress, home: Option<&str>) -> Markup {
    let links = Links { home };
    html! {
        h1 { (value(unknown.address.as_str())) }
        p.lead.alert.bad role="alert" { (words::capital(verdict)) " (R39)" }
        @if home.is_some() && !unknown.nearest.is_empty() {
            ul.rows {
                @for near in &unknown.nearest { li { (links.value(near.as_str())) } }
            }
        }
    }
}

/// Mailboxes and accounts whose names are like `name`.
pub fn found(name: &str, found: &Found, home: &str) -> String {
    let title = format!("Cloud Sync: {name}");
    let page = Page {
        title: &title,
        home: Some(home),
    };
    let links = Links::to(home);
    let lead = match (found.is_exact, found.total) {
        (_, 0) => "No mailbox and no account has such a name or address.".to_owned(),
        (true, total) => format!(
            "{} with this name.",
            words::number(total, "address", "addresses")
        ),
        (false, _) => "No mailbox and no account has this name. The nearest:".to_owned(),
    };
    page.around(&html! {
        (search(home, "Another address or name"))
        h1 { (value(name)) }
        p.lead { (lead) }
        ul.rows {
            @for (address, name) in &found.nearest {
                li { (links.value(address)) " " span.soft { (value(name)) } }
            }
        }
        @if found.is_exact && found.total > found.nearest.len() {
            p.soft { "Only the first " (found.nearest.len()) " are listed: write more of the name." }
        }
    })
}

/// The search field for this page.
pub fn search(home: &str, label: &str) -> Markup {
    html! {
        form.line role="search" method="get" action=(home) data-path={ (home) "/accounts/" } {
            label {
                (label)
                input type="search" name="account" autocomplete="off" spellcheck="false" required;
            }
            button { "Explain" }
        }
    }
}

fn content(explanation: &Explanation, links: Links<'_>, asks_both: bool) -> Markup {
    let attention = explanation
        .notes
        .iter()
        .any(|note| note.code.needs_attention());
    let is_settled = explanation.held.is_empty()
        && explanation.actions.is_empty()
        && explanation.notes.is_empty()
        && sides::are_equal(explanation);
    let tone = if !explanation.held.is_empty() || attention {
        Tone::Notice
    } else if is_settled {
        Tone::Good
    } else {
        Tone::Plain
    };
    html! {
        h1 { (value(&explanation.address)) }
        p.lead.alert.(tone.class()) {
            @match &explanation.as_of {
                // Later runs, or Exchange, may have changed it since.
                Some(_) if explanation.verdict == AllClear::InSyncAddress.text() => "Nothing was to change when this was read.",
                _ => (links.text(&words::capital(&explanation.verdict))),
            }
        }
        @if let Some(as_of) = &explanation.as_of {
            @if asks_both { p.alert.notice { "Exchange or Zivver cannot be read now." } }
            p.soft {
                "As of " (time(&as_of.at)) ", when run " (links.run(&as_of.run)) " ended. "
                @if links.home.is_some() { a href="?format=html&live=yes" { "Ask Exchange and Zivver now" } }
            }
        }
        (changes(explanation, links))
        @for pair in sides::pairs(explanation) { (both(pair, explanation, links)) }
        @if !explanation.notes.is_empty() {
            section {
                h2 { "What the rules say" }
                (note_rows(explanation.notes.iter(), links))
            }
        }
    }
}

/// R42: what each run did, newest first.
fn happened(history: &History, links: Links<'_>) -> Markup {
    html! {
        section {
            h2 { "What happened" }
            @for it in &history.standing {
                p.soft {
                    (timeline::side(it.side)) ": " (links.value(&it.address)) ", "
                    (timeline::standing(it, words::moment))
                }
            }
            @for remark in &history.remarks { p.alert.notice { (links.text(&words::capital(remark))) } }
            @if history.events.is_empty() {
                p { "No run changed this account (" (words::number(history.runs, "run", "runs")) " searched)." }
            }
            ul.rows {
                @for event in &history.events {
                    li {
                        @match links.home {
                            Some(home) => a href={ (home) "/runs/" (event.run) "?format=html" } { (time(&event.started)) },
                            None => (time(&event.started)),
                        }
                        " " (links.text(&timeline::headline(event)))
                        " " span.soft.small { "run started by " (words::started_by(event.trigger, event.started_by.as_ref())) }
                        @for detail in timeline::details(event) { p.why { (links.text(&detail)) } }
                    }
                }
            }
        }
    }
}

fn changes(explanation: &Explanation, links: Links<'_>) -> Markup {
    html! {
        section {
            h2 { "What a run would change" }
            @if explanation.actions.is_empty() && explanation.held.is_empty() { p { "Nothing." } }
            ul.rows {
                @for planned in &explanation.actions {
                    li { (badge(Tone::Plain, words::verb(planned.kind))) " " (action(planned, links)) }
                }
                @for held in &explanation.held {
                    li {
                        (badge(Tone::Notice, "held")) " " (held_change(&held.change, links))
                        p.why { (links.text(&held.reason)) }
                        @if held.change.waits.is_none() { p.why {
                            @if held.code.is_empty() {
                                "Start a preview from the "
                                @match links.home { Some(home) => a href=(home) { "dashboard" }, None => "dashboard" }
                                " to get a code: no run has shown this set yet, or its code has expired (R27)"
                            } @else if let Some(how) = &held.second_person {
                                "To approve its whole set: " (how)
                            } @else {
                                "To approve its whole set: "
                                code { "cloud-sync apply --approve " (held.code) } " (R27). Only what is held of this account: "
                                code { "--account " (held.change.address) }
                                ". All changes that are not held are made too."
                            }
                        } }
                    }
                }
            }
        }
    }
}

/// Both sides, with a row for each attribute.
fn both(pair: Pair<'_>, explanation: &Explanation, links: Links<'_>) -> Markup {
    html! {
        section {
            h2 { "Exchange and Zivver" }
            @if let Some(suspended) = pair.account.and_then(|account| account.suspended.as_ref()) {
                p.alert.notice { (words::capital(&suspended.in_words())) "." }
            }
            table.sides {
                thead {
                    tr {
                        td {}
                        th scope="col" { "Exchange says" }
                        th scope="col" { "Zivver says" }
                    }
                }
                tbody {
                    @for row in sides::rows(pair, explanation) {
                        tr {
                            th scope="row" {
                                (row.name)
                                @if row.differs() { " " (badge(Tone::Notice, "differs")) }
                            }
                            td data-side="Exchange" { (side(&row.exchange, "There is no mailbox.", "+", links)) }
                            td data-side="Zivver" { (side(&row.zivver, "There is no account.", "−", links)) }
                        }
                    }
                    tr {
                        th scope="row" { "Matched to" }
                        td data-side="Exchange" {
                            @if let Some(mailbox) = pair.mailbox { (links.text(&words::capital(&mailbox.standing))) }
                        }
                        td data-side="Zivver" {
                            @if let Some(account) = pair.account { (links.text(&words::capital(&account.standing))) }
                        }
                    }
                    @if let Some(account) = pair.account {
                        tr { th scope="row" { "Zivver id" } td {} td data-side="Zivver" { (value(&account.id)) } }
                    }
                }
            }
        }
    }
}

/// `sign` marks what only this side has.
fn side(side: &Side, missing: &str, sign: &str, links: Links<'_>) -> Markup {
    match side {
        Side::Missing => html! { span.soft { (missing) } },
        Side::Unknown => html! { span.soft { "not known" } },
        Side::Values(values) if values.is_empty() => html! { "none" },
        Side::Values(values) => html! {
            ul.values {
                @for it in values {
                    li {
                        @match it.other {
                            Other::Agrees => (links.text(&it.text)),
                            Other::Differs => mark { (sign) "\u{a0}" (links.text(&it.text)) },
                            Other::NotCompared(why) => {
                                (links.text(&it.text)) " " span.soft.small { (why) }
                            },
                        }
                    }
                }
            }
        },
    }
}
