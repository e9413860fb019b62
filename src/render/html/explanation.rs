//! The page for one address (R40).

use super::{
    super::words::name,
    Html, Page, Tone,
    report::{action, note_rows},
};
use crate::domain::explain::{AccountFacts, Explanation, MailboxFacts};

/// `home` is the path of the dashboard, where there is one.
pub fn explanation(explanation: &Explanation, home: Option<&str>) -> String {
    let title = format!("Cloud Sync: {}", explanation.address);
    Page {
        title: &title,
        home,
        refresh_s: None,
    }
    .around(|html| content(html, explanation))
}

fn content(html: &mut Html, explanation: &Explanation) {
    html.raw("<h1>").value(&explanation.address).raw("</h1>");
    html.raw("<p class=\"alert plain\">")
        .text(&explanation.verdict)
        .raw("</p>");
    html.raw("<div class=\"columns\"><section><h2>Exchange says</h2>");
    if explanation.mailboxes.is_empty() {
        html.raw("<p>There is no mailbox with this address.</p>");
    }
    for mailbox in &explanation.mailboxes {
        self::mailbox(html, mailbox);
    }
    html.raw("</section><section><h2>Zivver says</h2>");
    if explanation.accounts.is_empty() {
        html.raw("<p>There is no account with this address.</p>");
    }
    for account in &explanation.accounts {
        self::account(html, account);
    }
    html.raw("</section></div>");
    changes(html, explanation);
    if !explanation.notes.is_empty() {
        html.raw("<section><h2>Rules that decided</h2>");
        note_rows(html, explanation.notes.iter());
        html.raw("</section>");
    }
}

fn changes(html: &mut Html, explanation: &Explanation) {
    html.raw("<section><h2>What would change</h2>");
    if explanation.actions.is_empty() && explanation.held.is_empty() {
        html.raw("<p>Nothing.</p>");
    }
    html.raw("<ul class=\"rows\">");
    for planned in &explanation.actions {
        html.raw("<li>")
            .badge(Tone::Plain, &name(planned.kind))
            .raw(" ");
        action(html, planned);
        html.raw("</li>");
    }
    for held in &explanation.held {
        html.raw("<li>")
            .badge(Tone::Notice, "held")
            .raw(" <span class=\"who\">")
            .value(held.change.address.as_str());
        html.raw("</span> ")
            .text(&held.change.what)
            .raw("<ul class=\"diff\"><li><del>")
            .value(&held.change.before);
        html.raw("</del> <ins>")
            .value(&held.change.after)
            .raw("</ins></li></ul><p class=\"why\">")
            .text(&held.reason);
        html.raw("</p><p class=\"why\">To approve its whole set, once a run has shown it: <code>cloud-sync apply --approve ");
        html.text(&held.code).raw("</code> (R27)</p></li>");
    }
    html.raw("</ul></section>");
}

fn mailbox(html: &mut Html, mailbox: &MailboxFacts) {
    html.raw("<h3>")
        .value(&mailbox.primary)
        .raw("</h3><p>")
        .text(&mailbox.standing)
        .raw("</p><dl>");
    html.fact("Display name", |html| html.value(&mailbox.display_name));
    html.fact("Kind", |html| html.value(&mailbox.kind));
    if let Some(disabled) = mailbox.disabled {
        html.fact("Sign-in", |html| {
            html.text(if disabled { "disabled" } else { "enabled" })
        });
    }
    html.fact("Object id", |html| {
        html.value(mailbox.object_id.as_deref().unwrap_or("none"))
    });
    html.fact("Aliases", |html| html.values(&mailbox.aliases));
    html.fact("Full Access", |html| match &mailbox.full_access {
        Some(trustees) => html.values(trustees),
        None => html.raw("unknown, or not asked for"),
    });
    html.raw("</dl>");
}

fn account(html: &mut Html, account: &AccountFacts) {
    html.raw("<h3>")
        .value(&account.address)
        .raw("</h3><p>")
        .text(&account.standing)
        .raw("</p><dl>");
    html.fact("Name", |html| html.value(&account.name));
    html.fact("Kind", |html| html.text(&name(account.kind)));
    html.fact("Status", |html| {
        html.text(if account.active {
            "active"
        } else {
            "not active"
        })
    });
    html.fact("Aliases", |html| html.values(&account.aliases));
    html.fact("Delegates", |html| html.values(&account.delegates));
    html.fact("Id", |html| html.value(&account.id));
    html.fact("ExternalAccountId", |html| {
        html.value(account.external_account_id.as_deref().unwrap_or("none"))
    });
    html.raw("</dl>");
}
