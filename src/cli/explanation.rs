//! Formats the explanation of one address (R40): facts, rules, decision.

use std::fmt::{self, Write as _};

use super::{
    output::{BOLD, CYAN, DIM, YELLOW},
    text::{inert, told, written},
    words,
};
use domain::explain::{AccountFacts, Explanation, MailboxFacts};

pub(super) fn page(explained: &Explanation) -> String {
    written(|out| write(out, explained))
}

fn write(out: &mut String, explained: &Explanation) -> fmt::Result {
    writeln!(
        out,
        "{BOLD}{}{BOLD:#}: {}",
        inert(&explained.address),
        told(&explained.verdict)
    )?;
    if let Some(as_of) = &explained.as_of {
        writeln!(
            out,
            "{DIM}as of {}, run {}; with --live Exchange and Zivver are asked now{DIM:#}",
            words::local(&as_of.at),
            inert(&as_of.run)
        )?;
    }
    writeln!(out, "\n{BOLD}Exchange Online{BOLD:#}")?;
    if explained.mailboxes.is_empty() {
        writeln!(out, "  has no mailbox with this address")?;
    }
    for mailbox in &explained.mailboxes {
        write_mailbox(out, mailbox, explained)?;
    }
    writeln!(out, "\n{BOLD}Zivver{BOLD:#}")?;
    if explained.accounts.is_empty() {
        writeln!(out, "  has no account with this address")?;
    }
    for account in &explained.accounts {
        write_account(out, account, explained)?;
    }
    if !explained.notes.is_empty() {
        writeln!(out, "\n{BOLD}What the rules say{BOLD:#}")?;
    }
    for note in &explained.notes {
        let style = if note.code.needs_attention() {
            YELLOW
        } else {
            DIM
        };
        writeln!(
            out,
            "  {style}{:<4}{style:#}{}: {}",
            note.rule,
            inert(&note.address),
            told(&note.text)
        )?;
    }
    write_decision(out, explained)
}

fn write_decision(out: &mut String, explained: &Explanation) -> fmt::Result {
    if !explained.actions.is_empty() {
        writeln!(out, "\n{BOLD}What a run would change{BOLD:#}")?;
    }
    for action in &explained.actions {
        super::report::write_action(out, action, true)?;
    }
    if !explained.held.is_empty() {
        writeln!(out, "\n{BOLD}What is held{BOLD:#}")?;
    }
    for held in &explained.held {
        let change = &held.change;
        writeln!(
            out,
            "  {YELLOW}{}{YELLOW:#} {}: {}{}",
            inert(&change.what),
            inert(change.address.as_str()),
            inert(&change.before),
            Arrow(&change.after)
        )?;
        writeln!(out, "    {DIM}{}{DIM:#}", inert(&held.reason))?;
        if let Some(why) = &change.waits {
            writeln!(out, "    not even if approved: {}", inert(why))?;
            continue;
        }
        if held.code.is_empty() {
            writeln!(
                out,
                "    run `{CYAN}cloud-sync preview{CYAN:#}` to get a code  {DIM}no run has shown this set yet, or its code has expired{DIM:#}"
            )?;
            continue;
        }
        if let Some(how) = &held.second_person {
            writeln!(out, "    to approve: {}", inert(how))?;
            continue;
        }
        writeln!(
            out,
            "    `cloud-sync apply --approve {CYAN}{}{CYAN:#}`  {DIM}approves its whole set, with --account {} only this account; all changes that are not held are made too{DIM:#}",
            held.code,
            inert(change.address.as_str())
        )?;
    }
    Ok(())
}

/// ` → after`, or nothing if the text is empty.
pub(super) struct Arrow<'a>(pub(super) &'a str);

impl fmt::Display for Arrow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, " → {}", inert(self.0))
    }
}

fn write_mailbox(out: &mut String, mailbox: &MailboxFacts, explained: &Explanation) -> fmt::Result {
    writeln!(
        out,
        "  {} \"{}\"  {DIM}{}{DIM:#}",
        inert(&mailbox.primary),
        inert(&mailbox.display_name),
        inert(&mailbox.kind)
    )?;
    let not_compared = |it: &str| explained.not_compared(it);
    facts(out, "aliases", &mailbox.aliases, not_compared)?;
    if let Some(full_access) = &mailbox.full_access {
        fact(out, "full access", full_access)?;
    }
    fact(out, "object id", mailbox.object_id.as_slice())?;
    if mailbox.disabled == Some(true) {
        writeln!(out, "    disabled")?;
    }
    writeln!(out, "    {}", inert(&mailbox.standing))
}

fn write_account(out: &mut String, account: &AccountFacts, explained: &Explanation) -> fmt::Result {
    let status = if account.active { "active" } else { "inactive" };
    writeln!(
        out,
        "  {} \"{}\"  {DIM}{}, {status}{DIM:#}",
        inert(&account.address),
        inert(&account.name),
        words::account(account.kind)
    )?;
    let not_compared = |it: &str| explained.not_compared(it);
    facts(out, "aliases", &account.aliases, not_compared)?;
    let not_compared = |it: &str| explained.delegate_not_compared(account, it);
    facts(out, "full access", &account.delegates, not_compared)?;
    fact(out, "object id", account.external_account_id.as_slice())?;
    if let Some(suspended) = &account.suspended {
        writeln!(out, "    {YELLOW}{}{YELLOW:#}", suspended.in_words())?;
    }
    writeln!(out, "    {}", inert(&account.standing))
}

/// One line for each value; nothing if there are no values.
fn fact(out: &mut String, name: &str, values: &[String]) -> fmt::Result {
    facts(out, name, values, |_| None)
}

/// The same, with the reason beside each value that no rule compares.
fn facts(
    out: &mut String,
    name: &str,
    values: &[String],
    not_compared: impl Fn(&str) -> Option<&'static str>,
) -> fmt::Result {
    for (at, value) in values.iter().enumerate() {
        let name = if at == 0 { name } else { "" };
        write!(out, "    {DIM}{name:<12}{DIM:#}{}", inert(value))?;
        match not_compared(value) {
            Some(why) => writeln!(out, "  {DIM}{why}{DIM:#}")?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}
