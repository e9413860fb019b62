//! The permission answers of a run, kept compactly: tens of thousands of mailboxes share a few trustees and fewer rights.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use crate::domain::{
    directory::MailboxIx,
    source::{PermissionAnswer, PermissionEntry},
};

/// For each mailbox the answer and when it came, in epoch seconds.
#[derive(Debug, Default)]
pub struct PermissionAnswers {
    answers: Vec<Option<(i64, Kept)>>,
    users: Interner<str>,
    rights: Interner<[String]>,
}

#[derive(Debug)]
enum Kept {
    Entries(Box<[Entry]>),
    Gone,
    Unread(Box<str>),
}

#[derive(Debug)]
struct Entry {
    user: u32,
    rights: u32,
    deny: bool,
    inherited: bool,
}

impl PermissionAnswers {
    pub fn new(mailboxes: usize) -> Self {
        Self {
            answers: std::iter::repeat_with(|| None).take(mailboxes).collect(),
            ..Self::default()
        }
    }

    pub fn set(&mut self, mailbox: MailboxIx, at: i64, answer: &PermissionAnswer) {
        let kept = match answer {
            PermissionAnswer::Entries(entries) => {
                Kept::Entries(entries.iter().map(|entry| self.entry(entry)).collect())
            }
            PermissionAnswer::Gone => Kept::Gone,
            PermissionAnswer::Unread(reason) => Kept::Unread(reason.as_str().into()),
        };
        self.answers[mailbox.0 as usize] = Some((at, kept));
    }

    fn entry(&mut self, entry: &PermissionEntry) -> Entry {
        Entry {
            user: self.users.position(&entry.user),
            rights: self.rights.position(&entry.access_rights),
            deny: entry.deny,
            inherited: entry.inherited,
        }
    }

    /// When the answer came.
    pub fn at(&self, mailbox: MailboxIx) -> Option<i64> {
        self.answers[mailbox.0 as usize].as_ref().map(|(at, _)| *at)
    }

    pub fn get(&self, mailbox: MailboxIx) -> Option<PermissionAnswer> {
        let (_, kept) = self.answers[mailbox.0 as usize].as_ref()?;
        Some(match kept {
            Kept::Entries(entries) => PermissionAnswer::Entries(
                entries
                    .iter()
                    .map(|entry| PermissionEntry {
                        user: self.users.get(entry.user).to_owned(),
                        access_rights: self.rights.get(entry.rights).to_owned(),
                        deny: entry.deny,
                        inherited: entry.inherited,
                    })
                    .collect(),
            ),
            Kept::Gone => PermissionAnswer::Gone,
            Kept::Unread(reason) => PermissionAnswer::Unread(reason.to_string()),
        })
    }
}

/// Each value once, known by its position.
#[derive(Debug)]
struct Interner<T: ?Sized> {
    values: Vec<Arc<T>>,
    positions: HashMap<Arc<T>, u32>,
}

impl<T: ?Sized> Default for Interner<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            positions: HashMap::new(),
        }
    }
}

impl<T: ?Sized + Hash + Eq> Interner<T> {
    fn position<'a>(&mut self, value: &'a T) -> u32
    where
        Arc<T>: From<&'a T>,
    {
        if let Some(position) = self.positions.get(value) {
            return *position;
        }
        let value: Arc<T> = Arc::from(value);
        let position = u32::try_from(self.values.len())
            .expect("fewer than four thousand million trustees and rights");
        self.values.push(Arc::clone(&value));
        self.positions.insert(value, position);
        position
    }

    fn get(&self, position: u32) -> &T {
        &self.values[position as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_back_as_they_were() {
        let entry = |user: &str, rights: &[&str], deny| PermissionEntry {
            user: user.into(),
            access_rights: rights.iter().map(|right| (*right).to_owned()).collect(),
            deny,
            inherited: !deny,
        };
        let answers = [
            PermissionAnswer::Entries(vec![
                entry(
                    "NT AUTHORITY\\SELF",
                    &["FullAccess", "ReadPermission"],
                    false,
                ),
                entry("anna@corp.example", &["FullAccess"], true),
            ]),
            PermissionAnswer::Entries(vec![entry("anna@corp.example", &["FullAccess"], false)]),
            PermissionAnswer::Entries(Vec::new()),
            PermissionAnswer::Gone,
            PermissionAnswer::Unread("refused".into()),
        ];
        let mut kept = PermissionAnswers::new(answers.len() + 1);
        for (ix, answer) in (0..).map(MailboxIx).zip(&answers) {
            kept.set(ix, 7, answer);
        }
        for (ix, answer) in (0..).map(MailboxIx).zip(&answers) {
            assert_eq!(
                (kept.at(ix), kept.get(ix).as_ref()),
                (Some(7), Some(answer))
            );
        }
        assert_eq!(
            (kept.at(MailboxIx(5)), kept.get(MailboxIx(5))),
            (None, None)
        );
        assert_eq!(kept.users.values.len(), 2);
    }
}
