//! Resolves the groups and recipients that permissions name, while permissions are still being read.

use std::collections::BTreeSet;

use super::Source;
use crate::domain::{
    delegation::{GroupIndex, questions},
    directory::{MailboxIx, Party},
    source::{PermissionAnswer, Question},
};

/// The open questions, and the mailboxes that wait for their answers.
#[derive(Default)]
pub(super) struct Resolving {
    groups: GroupIndex,
    waiting: BTreeSet<MailboxIx>,
    open: BTreeSet<Question>,
    asked: BTreeSet<Question>,
}

impl Resolving {
    pub(super) fn look_at(&mut self, source: &Source, ix: MailboxIx) {
        if let Some(answer) = source.permissions.get(ix) {
            self.look_at_answer(source, ix, &answer);
        }
    }

    pub(super) fn look_at_answer(
        &mut self,
        source: &Source,
        ix: MailboxIx,
        answer: &PermissionAnswer,
    ) {
        let owner = Party::Mailbox(ix);
        let missing = questions(
            &source.directory,
            &self.groups,
            owner,
            answer,
            &source.answers,
        );
        if missing.is_empty() {
            self.waiting.remove(&ix);
            return;
        }
        self.waiting.insert(ix);
        self.open.extend(
            missing
                .into_iter()
                .filter(|question| !self.asked.contains(question)),
        );
    }

    /// Checks the waiting mailboxes again, since new answers may complete them or raise new questions.
    pub(super) fn look_again(&mut self, source: &Source) {
        self.groups = GroupIndex::new(&source.answers);
        for ix in std::mem::take(&mut self.waiting) {
            self.look_at(source, ix);
        }
    }

    pub(super) fn next(&mut self) -> Option<Question> {
        let question = self.open.pop_first()?;
        self.asked.insert(question.clone());
        Some(question)
    }

    pub(super) fn take(&mut self) -> BTreeSet<Question> {
        let open = std::mem::take(&mut self.open);
        self.asked.extend(open.iter().cloned());
        open
    }
}
