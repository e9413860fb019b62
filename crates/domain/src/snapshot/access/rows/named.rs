//! The names of mailboxes, accounts and people in a row, now and at the earlier date.

use super::Joined;
use crate::{
    accounts::AccountKind,
    address::SmtpAddress,
    mailbox::MailboxKind,
    snapshot::{
        access::{Named, USER_MAILBOX},
        identity::Key,
    },
};

/// Follows or replaces the name of a person or mailbox whose last known address belongs to another one now.
const FORMER: &str = "had this address before";

fn of(address: &str, name: &str) -> Named {
    Named {
        address: address.to_owned(),
        name: name.to_owned(),
    }
}

impl<'a> Joined<'_, 'a> {
    pub(super) fn owner(&self, key: Key<'a>) -> Named {
        self.named(key, None, None)
    }

    /// `former` is the name by which the services show the person in the row. It may be older than the snapshot.
    pub(super) fn person(&self, key: Key<'a>, former: Option<&str>) -> Named {
        self.named(key, self.called.get(&key).copied(), former)
    }

    fn named(&self, key: Key<'a>, called: Option<&str>, former: Option<&str>) -> Named {
        if let Some(mailbox) = self.here.mailbox(key) {
            return of(mailbox.primary.as_str(), &mailbox.name);
        }
        if let Some(rejected) = self.here.rejected_mailbox(key) {
            let account = self.accounts.get(&key);
            let account = account.and_then(|it| self.here.account(*it));
            let last = rejected.last_mailbox().map(|it| it.name.as_str());
            let name = last.or(account.map(|it| it.name.as_str()));
            return of(&rejected.label, name.unwrap_or_default());
        }
        let account = self.accounts.get(&key).copied().unwrap_or(key);
        if let Some(account) = self.here.account(account) {
            return of(called.unwrap_or(account.address.as_str()), &account.name);
        }
        if let Key::Account(id) = account
            && let Some(rejected) = self.here.rejected_account(id)
        {
            let before = || self.there?.account(account);
            let last = rejected.last_account().or_else(before);
            let name = last.map_or(&rejected.label, |it| &it.name);
            let shown = &rejected.addresses;
            let known = last.map(|it| &it.address);
            let known = known.filter(|it| shown.is_empty() || shown.contains(it));
            let address = known.or(shown.first()).map(SmtpAddress::as_str);
            return of(called.or(address).unwrap_or(&rejected.label), name);
        }
        let named = self.named_before(key, called.or(former));
        let has_only_text = matches!(key, Key::NoPerson | Key::Text(_));
        if called.is_some() || has_only_text || !self.here.has_address(&named.address) {
            return named;
        }
        let name = match named.name.as_str() {
            "" => FORMER.to_owned(),
            name => format!("{name} ({FORMER})"),
        };
        Named { name, ..named }
    }

    fn named_before(&self, key: Key<'a>, text: Option<&str>) -> Named {
        let there = self.there;
        let mailbox = there.and_then(|there| there.mailbox(key));
        let mailbox = mailbox.map(|it| (it.primary.as_str(), it.name.as_str()));
        let rejected = || {
            let row = match key {
                Key::Account(id) => there?.rejected_account(id)?,
                Key::NoPerson | Key::Object(_) | Key::AccountOf(..) | Key::Text(_) => {
                    there?.rejected_mailbox(key)?
                }
            };
            Some((row.label.as_str(), row.label.as_str()))
        };
        let account = || {
            let account = self.gone.get(&key)?;
            Some((account.address.as_str(), account.name.as_str()))
        };
        let (address, name) = mailbox
            .or_else(account)
            .or_else(rejected)
            .unwrap_or(match key {
                Key::Text(text) | Key::Account(text) | Key::AccountOf(text, _) => (text, ""),
                Key::NoPerson | Key::Object(_) => ("", ""),
            });
        let address = match (address, key) {
            ("", Key::Object(id)) => text.map_or_else(|| id.to_string(), str::to_owned),
            _ => text.unwrap_or(address).to_owned(),
        };
        let name = match key {
            Key::Object(_) if name.is_empty() && !address.contains('@') => {
                "object id that no mailbox in the list has"
            }
            Key::Account(_) | Key::AccountOf(..) if name.is_empty() && !address.contains('@') => {
                "Zivver id that no account in the lists has"
            }
            Key::NoPerson
            | Key::Object(_)
            | Key::Account(_)
            | Key::AccountOf(..)
            | Key::Text(_) => name,
        };
        Named {
            address,
            name: name.to_owned(),
        }
    }

    pub(super) fn kind(&self, owner: Key<'a>) -> &'static str {
        let rejected = self.here.rejected_mailbox(owner);
        let mailbox = self.here.mailbox(owner);
        let mailbox = mailbox.or_else(|| rejected?.last_mailbox());
        let account = self.accounts.get(&owner);
        let account = account.and_then(|it| self.here.account(*it));
        let account = account.or_else(|| self.gone.get(&owner).copied());
        let before = self.there.and_then(|there| there.mailbox(owner));
        let mailbox = mailbox.or(before.filter(|_| account.is_none()));
        match (mailbox.map(|it| &it.kind), account.map(|it| it.kind)) {
            (Some(MailboxKind::User { .. }), _) => USER_MAILBOX,
            (Some(MailboxKind::Shared), _) => "shared mailbox",
            (Some(MailboxKind::Other(_)), _) => "other mailbox",
            (None, _) if rejected.is_some() => "mailbox",
            (None, Some(AccountKind::Functional)) => "functional account",
            (None, Some(AccountKind::User)) => "user account",
            (None, None) => "account",
        }
    }
}
