//! Accounts that this program suspended, and the day from which Zivver may delete them.
//!
//! Organisations can let Zivver delete users that were suspended for 90 days, with their messages. SCIM does not show
//! whether that option is on, so the day is always shown. Functional accounts are not deleted this way.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    accounts::AccountView, accounts::Accounts, address::SmtpAddress, ids::ScimId, memory::Memory,
};

/// Zivver's option, in days.
pub const DELETABLE_AFTER_DAYS: i64 = 90;

/// A user account that this program suspended and that is still suspended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Suspended {
    /// `2027-02-21`, UTC: from this day on Zivver may delete it.
    pub deletable: String,
    /// The day on which it was suspended, UTC.
    pub suspended: String,
    pub address: SmtpAddress,
}

impl Suspended {
    /// `at` in epoch seconds.
    pub fn at(address: &SmtpAddress, at: i64) -> Self {
        let suspended = day(at);
        let deletable = suspended
            .checked_add(DELETABLE_AFTER_DAYS.days())
            .unwrap_or(Date::MAX);
        Self {
            deletable: deletable.to_string(),
            suspended: suspended.to_string(),
            address: address.clone(),
        }
    }

    /// One sentence.
    pub fn in_words(&self) -> String {
        format!(
            "suspended on {}; Zivver may delete it for good from {} on, if its option to delete suspended users after \
             {DELETABLE_AFTER_DAYS} days is on",
            self.suspended, self.deletable
        )
    }
}

fn day(at: i64) -> Date {
    Timestamp::from_second(at)
        .unwrap_or(Timestamp::MAX)
        .to_zoned(TimeZone::UTC)
        .date()
}

/// Forgets accounts that no longer exist or are active again, and returns the others. Those that may be deleted first
/// come first.
pub fn still_suspended(memory: &mut Memory, accounts: &Accounts) -> Vec<Suspended> {
    let address = |id: &ScimId| match accounts.get(accounts.with_id(id)?) {
        AccountView::User(user) if !user.active => Some(user.address.clone()),
        AccountView::User(_) | AccountView::Functional(_) => None,
    };
    memory
        .suspended
        .retain(|id, _| address(id).is_some() || accounts.may_be_hidden_id(id));
    let mut all: Vec<Suspended> = memory
        .suspended
        .iter()
        .filter_map(|(id, at)| Some(Suspended::at(&address(id)?, *at)))
        .collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_may_be_deleted_ninety_days_after_it_was_suspended() {
        let address = SmtpAddress::verbatim("ann@corp.example");
        let suspended = Suspended::at(&address, 1_795_392_000 + 86_399);
        assert_eq!(suspended.suspended, "2026-11-23");
        assert_eq!(suspended.deletable, "2027-02-21");
        // A time after the last possible date.
        assert_eq!(Suspended::at(&address, i64::MAX).deletable, "9999-12-31");
    }
}
