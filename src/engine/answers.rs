//! The permission answers of a run. Equal answers, trustees and lists of rights are stored once: tens of thousands of
//! mailboxes share most of them.

use indexmap::IndexSet;

use domain::{
    directory::MailboxIx,
    source::{PermissionAnswer, PermissionEntry},
};

/// The answer for each mailbox, and when it was received (epoch seconds).
#[derive(Debug, Default)]
pub struct PermissionAnswers {
    answers: Vec<Option<Dated>>,
    distinct: IndexSet<Kept>,
    users: IndexSet<Box<str>>,
    rights: IndexSet<Box<[String]>>,
}

#[derive(Debug)]
struct Dated {
    at: i64,
    kept: u32,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Kept {
    Entries(Box<[Entry]>),
    Gone,
    Unread(Box<str>),
}

#[derive(Debug, PartialEq, Eq, Hash)]
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
        let kept = position(self.distinct.insert_full(kept).0);
        self.answers[mailbox.0 as usize] = Some(Dated { at, kept });
    }

    fn entry(&mut self, entry: &PermissionEntry) -> Entry {
        let (name, list) = (entry.user.as_str(), entry.access_rights.as_slice());
        let known = self.users.get_index_of(name);
        let user = known.unwrap_or_else(|| self.users.insert_full(name.into()).0);
        let known = self.rights.get_index_of(list);
        let rights = known.unwrap_or_else(|| self.rights.insert_full(list.into()).0);
        Entry {
            user: position(user),
            rights: position(rights),
            deny: entry.deny,
            inherited: entry.inherited,
        }
    }

    /// When the answer was received, in epoch seconds.
    pub fn at(&self, mailbox: MailboxIx) -> Option<i64> {
        self.dated(mailbox).map(|dated| dated.at)
    }

    pub fn get(&self, mailbox: MailboxIx) -> Option<PermissionAnswer> {
        let kept = self.dated(mailbox)?.kept as usize;
        Some(match &self.distinct[kept] {
            Kept::Entries(entries) => PermissionAnswer::Entries(
                entries
                    .iter()
                    .map(|entry| PermissionEntry {
                        user: self.users[entry.user as usize].to_string(),
                        access_rights: self.rights[entry.rights as usize].to_vec(),
                        deny: entry.deny,
                        inherited: entry.inherited,
                    })
                    .collect(),
            ),
            Kept::Gone => PermissionAnswer::Gone,
            Kept::Unread(reason) => PermissionAnswer::Unread(reason.to_string()),
        })
    }

    fn dated(&self, mailbox: MailboxIx) -> Option<&Dated> {
        self.answers[mailbox.0 as usize].as_ref()
    }
}

fn position(at: usize) -> u32 {
    u32::try_from(at).expect("fewer than four thousand million answers, trustees and rights")
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
        assert_eq!((kept.users.len(), kept.distinct.len()), (2, answers.len()));
        kept.set(MailboxIx(5), 8, &answers[0]);
        assert_eq!(kept.distinct.len(), answers.len());
    }
}
