//! R2: the accounts that earlier runs saw, so that lists which have lost most of them are not used.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{account::Actual, accounts::Accounts, ids::ScimId};

/// Accounts as short hashes of their ids: 0.4 MB for 50,000, and two thirds more in a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SeenAccounts(Vec<u64>);

impl SeenAccounts {
    pub fn of(accounts: &Accounts) -> Self {
        Self::from_ids(ids(accounts.actual()))
    }

    pub(super) fn from_ids<'a>(ids: impl Iterator<Item = &'a ScimId>) -> Self {
        let mut hashes: Vec<u64> = ids.map(hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes.shrink_to_fit();
        Self(hashes)
    }

    pub fn extend<'a>(&mut self, ids: impl Iterator<Item = &'a ScimId>) {
        self.0.extend(ids.map(hash));
        self.0.sort_unstable();
        self.0.dedup();
    }

    /// Why `now` cannot be the complete content of Zivver, or `None`.
    pub fn doubt(&self, now: &Actual, ratio: f64) -> Option<TargetDoubt> {
        let now = Self::from_ids(ids(now));
        let known = self.0.len();
        let found = self.0.iter();
        let found = found.filter(|hash| now.0.binary_search(hash).is_ok());
        let found = found.count();
        let count = |number: usize| f64::from(super::directory::to_u32(number));
        (count(found) < ratio * count(known)).then_some(TargetDoubt {
            found,
            known,
            ratio,
        })
    }
}

/// R2: the lists of Zivver lost more accounts than people would delete.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "target incomplete: Zivver lists {found} of the {known} accounts that earlier runs saw, less than MIN_TARGET_RATIO={ratio} of \
     them; if the others were deleted on purpose, set CLOUD_SYNC__MIN_TARGET_RATIO to 0 for one apply, else start again and ask \
     Zivver's support if it stays so (R2)"
)]
pub struct TargetDoubt {
    pub found: usize,
    pub known: usize,
    pub ratio: f64,
}

fn ids(actual: &Actual) -> impl Iterator<Item = &ScimId> {
    let users = actual.users.iter().map(|user| &user.id);
    let groups = actual.groups.iter().map(|group| &group.id);
    let rejected = actual.rejected.iter().filter_map(|row| row.id.as_ref());
    users.chain(groups).chain(rejected)
}

fn hash(id: &ScimId) -> u64 {
    let digest = Sha256::digest(id.as_str());
    digest
        .iter()
        .take(8)
        .fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

impl From<SeenAccounts> for String {
    fn from(seen: SeenAccounts) -> Self {
        let bytes: Vec<u8> = seen.0.iter().flat_map(|hash| hash.to_be_bytes()).collect();
        BASE64_STANDARD.encode(bytes)
    }
}

impl TryFrom<String> for SeenAccounts {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = BASE64_STANDARD.decode(text).ok();
        let bytes = bytes.filter(|bytes| bytes.len() % 8 == 0);
        let bytes = bytes.ok_or("it is not a set of accounts")?;
        let hashes = bytes.chunks_exact(8).map(|chunk| {
            chunk
                .iter()
                .fold(0, |hash, byte| hash << 8 | u64::from(*byte))
        });
        let mut hashes: Vec<u64> = hashes.collect();
        hashes.sort_unstable();
        Ok(Self(hashes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::RejectedAccount;
    use crate::accounts::AccountKind;
    use crate::memory::Memory;

    fn rows(ids: std::ops::Range<u32>) -> Actual {
        let row = |id: u32| RejectedAccount {
            kind: AccountKind::User,
            id: Some(ScimId::new(&id.to_string())),
            address: None,
            name: None,
            active: true,
            aliases: Vec::new(),
            delegates: Vec::new(),
            object_id: None,
            label: String::new(),
            reason: String::new(),
        };
        Actual {
            rejected: ids.map(row).collect(),
            ..Actual::default()
        }
    }

    fn seen(ids: std::ops::Range<u32>) -> SeenAccounts {
        SeenAccounts::of(&Accounts::new(rows(ids)))
    }

    #[test]
    fn r02_lists_with_fewer_than_half_of_the_known_accounts_are_not_believed() {
        for (known, now, believed) in [
            (0..0, 0..0, true),
            (0..0, 0..30, true),
            (0..30, 0..0, false),
            (0..30, 0..14, false),
            (0..30, 0..15, true),
            (0..30, 15..900, true),
            (0..30, 16..900, false),
            (0..1, 1..30, false),
        ] {
            let memory = Memory {
                seen_accounts: Some(seen(known.clone())),
                ..Memory::default()
            };
            let doubt = memory.target_doubt(&rows(now.clone()), 0.5);
            assert_eq!(doubt.is_none(), believed, "{known:?} {now:?}");
            assert_eq!(memory.target_doubt(&rows(now), 0.0), None);
        }
    }

    #[test]
    fn r02_a_memory_without_the_set_knows_the_accounts_of_its_mapping() {
        let mut memory = Memory::default();
        for at in 1..=4 {
            let object_id = format!("22222222-0000-4000-8000-00000000000{at}");
            let object_id = crate::ids::ObjectId::parse(&object_id).unwrap();
            memory
                .mapping
                .insert(object_id, ScimId::new(&at.to_string()));
        }
        assert_eq!(memory.target_doubt(&rows(3..9), 0.5), None);
        insta::assert_snapshot!(
            memory.target_doubt(&rows(4..9), 0.5).unwrap(),
            @"target incomplete: Zivver lists 1 of the 4 accounts that earlier runs saw, less than MIN_TARGET_RATIO=0.5 of them; if the others were deleted on purpose, set CLOUD_SYNC__MIN_TARGET_RATIO to 0 for one apply, else start again and ask Zivver's support if it stays so (R2)"
        );
    }

    #[test]
    fn r02_the_set_is_small_and_survives_being_written_down() {
        let mut seen = seen(0..50_000);
        seen.extend(["another", "7"].map(ScimId::new).iter());
        assert_eq!(seen.0.len(), 50_001);
        let text = serde_json::to_string(&seen).unwrap();
        assert!(text.len() < 600_000, "{}", text.len());
        assert_eq!(serde_json::from_str::<SeenAccounts>(&text).unwrap(), seen);
        assert!(serde_json::from_str::<SeenAccounts>("\"AAAA\"").is_err());
    }
}
