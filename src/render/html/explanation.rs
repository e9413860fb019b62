//! The page for one address (R40).

use super::{
    super::words,
    Html, Page, Tone,
    report::{action, held_change, note_rows},
};
use domain::explain::{AccountFacts, Explanation, MailboxFacts};

/// `home` is the path of the dashboard, where there is one.
pub fn explanation(explanation: &Explanation, home: Option<&str>) -> String {
    let title = format!("Cloud Sync: {}", explanation.address);
    Page {
        title: &title,
        home,
    }
    .around(|html| {
        if let Some(home) = home {
            search(html, home, "Another address");
        }
        content(html, explanation);
    })
}

/// The field that leads to such a page.
pub fn search(html: &mut Html, home: &str, label: &str) {
    html.raw("<form class=\"line\" role=\"search\" method=\"get\" action=\"")
        .text(home)
        .raw("\" data-path=\"")
        .text(home)
        .raw("/accounts/\"><label>")
        .text(label);
    html.raw("<input type=\"search\" name=\"account\" autocomplete=\"off\" spellcheck=\"false\" required></label>");
    html.raw("<button>Explain</button></form>");
}

fn content(html: &mut Html, explanation: &Explanation) {
    html.raw("<h1>").value(&explanation.address).raw("</h1>");
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
    html.raw("<p class=\"lead alert ")
        .raw(tone.class())
        .raw("\">")
        .text(&words::capital(&explanation.verdict))
        .raw("</p>");
    changes(html, explanation);
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
    if !explanation.notes.is_empty() {
        html.raw("<section><h2>What the rules say</h2>");
        note_rows(html, explanation.notes.iter());
        html.raw("</section>");
    }
}

fn changes(html: &mut Html, explanation: &Explanation) {
    html.raw("<section><h2>What a run would change</h2>");
    if explanation.actions.is_empty() && explanation.held.is_empty() {
        html.raw("<p>Nothing.</p>");
    }
    html.raw("<ul class=\"rows\">");
    for planned in &explanation.actions {
        html.raw("<li>")
            .badge(Tone::Plain, words::verb(planned.kind))
            .raw(" ");
        action(html, planned);
        html.raw("</li>");
    }
    for held in &explanation.held {
        html.raw("<li>").badge(Tone::Notice, "held").raw(" ");
        held_change(html, &held.change);
        html.raw("<p class=\"why\">")
            .text(&held.reason)
            .raw("</p><p class=\"why\">To approve its whole set, once a run has shown it: <code>cloud-sync apply --approve ");
        html.text(&held.code).raw("</code> (R27)</p></li>");
    }
    html.raw("</ul></section>");
}

fn mailbox(html: &mut Html, mailbox: &MailboxFacts) {
    html.raw("<h3>")
        .value(&mailbox.primary)
        .raw("</h3><p>")
        .text(&words::capital(&mailbox.standing))
        .raw("</p><dl class=\"list\">");
    html.fact("Display name", |html| html.value(&mailbox.display_name));
    html.fact("Kind", |html| html.value(&mailbox.kind));
    if let Some(disabled) = mailbox.disabled {
        html.fact("Account", |html| {
            html.text(if disabled { "disabled" } else { "enabled" })
        });
    }
    html.fact("Aliases", |html| html.values(&mailbox.aliases));
    html.fact("Full Access", |html| match &mailbox.full_access {
        Some(trustees) => html.values(trustees),
        None => html.raw("unknown, or not asked for"),
    });
    html.fact("Object id", |html| {
        html.value(mailbox.object_id.as_deref().unwrap_or("none"))
    });
    html.raw("</dl>");
}

fn account(html: &mut Html, account: &AccountFacts) {
    html.raw("<h3>")
        .value(&account.address)
        .raw("</h3><p>")
        .text(&words::capital(&account.standing))
        .raw("</p>");
    if let Some(suspended) = &account.suspended {
        html.raw("<p class=\"alert notice\">")
            .text(&words::capital(&suspended.in_words()))
            .raw(".</p>");
    }
    html.raw("<dl class=\"list\">");
    html.fact("Name", |html| html.value(&account.name));
    html.fact("Kind", |html| html.text(words::account(account.kind)));
    html.fact("Status", |html| {
        html.text(if account.active {
            "active"
        } else {
            "not active"
        })
    });
    html.fact("Aliases", |html| html.values(&account.aliases));
    html.fact("Delegates", |html| html.values(&account.delegates));
    html.fact("External id", |html| {
        html.value(account.external_account_id.as_deref().unwrap_or("none"))
    });
    html.fact("Zivver id", |html| html.value(&account.id));
    html.raw("</dl>");
}
