//! Groups by every text with which an access entry may name them (R9).

use std::collections::BTreeSet;

use super::{
    hash::HashMap,
    source::{Answers, DirectoryAnswer},
};

/// Names of the groups in the directory, for R9. Built once per answer to [`super::source::Question::GroupDirectory`].
#[derive(Debug, Default)]
pub struct GroupIndex {
    /// `Name`, `Identity`, `Alias` and primary address, lower-cased, to positions in the answer.
    pub(super) by_name: HashMap<String, BTreeSet<usize>>,
    pub(super) by_display_name: HashMap<String, BTreeSet<usize>>,
}

impl GroupIndex {
    pub fn new(answers: &Answers) -> Self {
        let mut index = Self::default();
        if let Some(DirectoryAnswer::Complete(groups)) = &answers.directory {
            for (at, group) in groups.iter().enumerate() {
                let names = [
                    &group.name,
                    &group.identity,
                    &group.alias,
                    &group.primary_smtp_address,
                    &group.object_id,
                    &group.guid,
                ];
                for name in names.into_iter().flatten() {
                    index
                        .by_name
                        .entry(name.trim().to_lowercase())
                        .or_default()
                        .insert(at);
                }
                if let Some(name) = &group.display_name {
                    index
                        .by_display_name
                        .entry(name.trim().to_lowercase())
                        .or_default()
                        .insert(at);
                }
            }
        }
        index
    }
}
