//! The page for one address (R40).

use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    super::words,
    Page, Tone, badge, fact,
    report::{action, held_change, note_rows},
    value, values,
};
use domain::{
    address::SmtpAddress,
    explain::{AccountFacts, Explanation, MailboxFacts},
    named::UnknownAddress,
};

/// `home` is the path of the dashboard, where there is one.
pub fn explanation(explanation: &Explanation, home: Option<&str>) -> String {
    let title = format!("Cloud Sync: {}", explanation.address);
    let page = Page {
        title: &title,
        home,
    };
    page.around(&html! {
        @if let Some(home) = home { (search(home, "Another address")) }
        @match &explanation.unknown {
            Some(unknown) => (not_found(&explanation.verdict, unknown, home)),
            None => (content(explanation)),
        }
    })
}

/// The nearest addresses lead to their pages.
fn not_found(verdict: &str, unknown: &UnknownAddress, home: Option<&str>) -> Markup {
    let path =
        |address: &SmtpAddress| utf8_percent_encode(address.as_str(), NON_ALPHANUMERIC).to_string();
    html! {
        h1 { (value(unknown.address.as_str())) }
        p.lead.alert.bad role="alert" { (words::capital(verdict)) " (R39)" }
        @if let (Some(home), false) = (home, unknown.nearest.is_empty()) {
            ul.rows {
                @for near in &unknown.nearest {
                    li {
                        a href={ (home) "/accounts/" (path(near)) "?format=html" } {
                            (value(near.as_str()))
                        }
                    }
                }
            }
        }
    }
}

/// The field that leads to such a page.
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

fn content(explanation: &Explanation) -> Markup {
    let attention = explanation
        .notes
        .iter()
        .any(|note| note.code.needs_attention());
    let tone = if !explanation.held.is_empty() || attention {
        Tone::Notice
    } else if explanation.actions.is_empty() && !explanation.accounts.is_empty() {
        Tone::Good
    } else {
        Tone::Plain
    };
    html! {
        h1 { (value(&explanation.address)) }
        p.lead.alert.(tone.class()) { (words::capital(&explanation.verdict)) }
        (changes(explanation))
        div.columns {
            section {
                h2 { "Exchange says" }
                @if explanation.mailboxes.is_empty() {
                    p { "There is no mailbox with this address." }
                }
                @for facts in &explanation.mailboxes { (mailbox(facts)) }
            }
            section {
                h2 { "Zivver says" }
                @if explanation.accounts.is_empty() {
                    p { "There is no account with this address." }
                }
                @for facts in &explanation.accounts { (account(facts)) }
            }
        }
        @if !explanation.notes.is_empty() {
            section {
                h2 { "What the rules say" }
                (note_rows(explanation.notes.iter()))
            }
        }
    }
}

fn changes(explanation: &Explanation) -> Markup {
    html! {
        section {
            h2 { "What a run would change" }
            @if explanation.actions.is_empty() && explanation.held.is_empty() { p { "Nothing." } }
            ul.rows {
                @for planned in &explanation.actions {
                    li { (badge(Tone::Plain, words::verb(planned.kind))) " " (action(planned)) }
                }
                @for held in &explanation.held {
                    li {
                        (badge(Tone::Notice, "held")) " " (held_change(&held.change))
                        p.why { (held.reason) }
                        p.why {
                            "To approve its whole set, once a run has shown it: "
                            code { "cloud-sync apply --approve " (held.code) } " (R27)"
                        }
                    }
                }
            }
        }
    }
}

fn mailbox(mailbox: &MailboxFacts) -> Markup {
    html! {
        h3 { (value(&mailbox.primary)) }
        p { (words::capital(&mailbox.standing)) }
        dl.list {
            (fact("Display name", value(&mailbox.display_name)))
            (fact("Kind", value(&mailbox.kind)))
            @if let Some(disabled) = mailbox.disabled {
                (fact("Account", if disabled { "disabled" } else { "enabled" }))
            }
            (fact("Aliases", values(&mailbox.aliases)))
            @if let Some(trustees) = &mailbox.full_access {
                (fact("Full Access", values(trustees)))
            } @else {
                (fact("Full Access", "unknown, or not asked for"))
            }
            (fact("Object id", value(mailbox.object_id.as_deref().unwrap_or("none"))))
        }
    }
}

fn account(account: &AccountFacts) -> Markup {
    html! {
        h3 { (value(&account.address)) }
        p { (words::capital(&account.standing)) }
        @if let Some(suspended) = &account.suspended {
            p.alert.notice { (words::capital(&suspended.in_words())) "." }
        }
        dl.list {
            (fact("Name", value(&account.name)))
            (fact("Kind", words::account(account.kind)))
            (fact("Status", if account.active { "active" } else { "not active" }))
            (fact("Aliases", values(&account.aliases)))
            (fact("Delegates", values(&account.delegates)))
            (fact("External id", value(account.external_account_id.as_deref().unwrap_or("none"))))
            (fact("Zivver id", value(&account.id)))
        }
    }
}
