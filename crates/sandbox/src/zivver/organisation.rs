//! A Zivver organisation as plain data: seed, current state and dump have the same type.

use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};

use super::limiter::LimiterConfig;
use super::switches::Switches;

/// The key of an organisation without another one.
pub const API_KEY: &str = "Z1.1.2.c2FuZGJveA";

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Organisation {
    pub api_keys: Vec<String>,
    pub claimed_domains: Vec<String>,
    /// Organisational units in addition to the root `/`.
    pub divisions: Vec<String>,
    /// External addresses that have received Zivver mail.
    pub guests: Vec<String>,
    /// Accounts that exist but do not belong to the organisation.
    pub free_accounts: Vec<String>,
    pub users: Vec<User>,
    pub groups: Vec<Group>,
    /// The optional tenant setting: suspended users are deleted after this many days.
    pub suspended_days_max: Option<u32>,
    /// The date at which the virtual clock starts.
    pub first_day: Date,
    /// Determines the ids of new accounts and the order of lists.
    pub seed: u64,
    pub created: u64,
    pub switches: Switches,
    pub limiter: LimiterConfig,
    pub events: Vec<Event>,
    /// Mails that the service sent, for inspection.
    pub mails: Vec<Mail>,
    /// Addresses of users that were deleted because of the tenant setting.
    pub expired: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// Assigned when empty.
    pub id: String,
    /// Left out of the resource when empty.
    pub user_name: String,
    pub name: String,
    pub nick_name: Option<String>,
    pub active: bool,
    pub phone_numbers: Vec<String>,
    pub created: Date,
    /// `None` renders an empty enterprise object.
    pub division: Option<String>,
    pub aliases: Vec<String>,
    pub delegates: Vec<String>,
    pub external_account_id: Option<String>,
    /// Not shown by the API.
    pub sso_account_key: Option<String>,
    pub full_admin: bool,
    pub suspended_on: Option<Date>,
}

/// A functional account.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Group {
    /// Assigned when empty.
    pub id: String,
    /// Left out of the resource when empty.
    pub external_id: String,
    pub display_name: String,
    pub members: Vec<String>,
    pub created: Date,
    pub division: Option<String>,
    pub aliases: Vec<String>,
    pub external_account_id: Option<String>,
}

/// A change by another client between two calls.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// How many calls are answered before the change happens.
    pub after_calls: u64,
    pub change: Change,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// For example just-in-time provisioning at the first sign-in.
    AddUser(User),
    AddGroup(Group),
    SetActive {
        address: String,
        active: bool,
    },
    SetAliases {
        address: String,
        aliases: Vec<String>,
    },
    SetDelegates {
        address: String,
        delegates: Vec<String>,
    },
    SetMembers {
        address: String,
        members: Vec<String>,
    },
    Remove {
        address: String,
    },
}

/// The mail that tells a new delegate about the delegation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    pub to: String,
    pub delegate_of: String,
}

impl Default for Organisation {
    fn default() -> Self {
        Self {
            api_keys: vec![API_KEY.to_owned()],
            claimed_domains: Vec::new(),
            divisions: Vec::new(),
            guests: Vec::new(),
            free_accounts: Vec::new(),
            users: Vec::new(),
            groups: Vec::new(),
            suspended_days_max: None,
            first_day: date(2026, 11, 23),
            seed: 1,
            created: 0,
            switches: Switches::default(),
            limiter: LimiterConfig::default(),
            events: Vec::new(),
            mails: Vec::new(),
            expired: Vec::new(),
        }
    }
}

impl Organisation {
    pub fn new<'a>(claimed_domains: impl IntoIterator<Item = &'a str>) -> Self {
        let claimed_domains = claimed_domains.into_iter().map(str::to_owned).collect();
        Self {
            claimed_domains,
            ..Self::default()
        }
    }

    #[must_use]
    pub fn with_user(mut self, user: User) -> Self {
        self.add_user(user);
        self
    }

    #[must_use]
    pub fn with_group(mut self, group: Group) -> Self {
        self.add_group(group);
        self
    }

    /// Adds the user and returns its id.
    pub fn add_user(&mut self, mut user: User) -> String {
        if user.id.is_empty() {
            user.id = self.new_id();
        }
        let id = user.id.clone();
        self.users.push(user);
        id
    }

    /// Adds the functional account and returns its id.
    pub fn add_group(&mut self, mut group: Group) -> String {
        if group.id.is_empty() {
            group.id = self.new_id();
        }
        let id = group.id.clone();
        self.groups.push(group);
        id
    }

    pub fn user(&self, address: &str) -> Option<&User> {
        self.users
            .iter()
            .find(|user| same(&user.user_name, address))
    }

    pub fn user_mut(&mut self, address: &str) -> Option<&mut User> {
        self.users
            .iter_mut()
            .find(|user| same(&user.user_name, address))
    }

    pub fn group(&self, address: &str) -> Option<&Group> {
        self.groups
            .iter()
            .find(|group| same(&group.external_id, address))
    }

    pub fn group_mut(&mut self, address: &str) -> Option<&mut Group> {
        self.groups
            .iter_mut()
            .find(|group| same(&group.external_id, address))
    }

    /// Gives each account without an id a new one.
    pub(super) fn assign_ids(&mut self) {
        for index in 0..self.users.len() {
            if self.users[index].id.is_empty() {
                self.users[index].id = self.new_id();
            }
        }
        for index in 0..self.groups.len() {
            if self.groups[index].id.is_empty() {
                self.groups[index].id = self.new_id();
            }
        }
    }

    /// A version 4 UUID, derived from seed and counter.
    pub(super) fn new_id(&mut self) -> String {
        self.created += 1;
        let mut state = self.seed;
        let bits = crate::control::random(&mut state);
        let (high, low) = (bits >> 32, bits & 0xffff);
        format!(
            "{high:08x}-{low:04x}-4{:03x}-8{:03x}-{:012x}",
            low >> 4,
            high & 0xfff,
            self.created
        )
    }

    pub(super) fn claims(&self, address: &str) -> bool {
        address.rsplit_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && self
                    .claimed_domains
                    .iter()
                    .any(|claimed| same(claimed, domain))
        })
    }

    pub(super) fn has_division(&self, name: &str) -> bool {
        name == "/" || self.divisions.iter().any(|division| division == name)
    }
}

impl User {
    pub fn new(address: &str, name: &str) -> Self {
        Self {
            user_name: address.to_owned(),
            name: name.to_owned(),
            active: true,
            created: date(2024, 1, 31),
            division: Some("/".to_owned()),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn suspended(mut self, since: Date) -> Self {
        self.active = false;
        self.suspended_on = Some(since);
        self
    }

    #[must_use]
    pub fn alias(mut self, address: &str) -> Self {
        self.aliases.push(address.to_owned());
        self
    }

    #[must_use]
    pub fn delegate(mut self, address: &str) -> Self {
        self.delegates.push(address.to_owned());
        self
    }

    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.sso_account_key = Some(key.to_owned());
        self
    }

    #[must_use]
    pub fn external_account_id(mut self, id: &str) -> Self {
        self.external_account_id = Some(id.to_owned());
        self
    }
}

impl Group {
    pub fn new(address: &str, name: &str) -> Self {
        Self {
            external_id: address.to_owned(),
            display_name: name.to_owned(),
            created: date(2024, 1, 31),
            division: Some("/".to_owned()),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn alias(mut self, address: &str) -> Self {
        self.aliases.push(address.to_owned());
        self
    }

    #[must_use]
    pub fn member(mut self, id: &str) -> Self {
        self.members.push(id.to_owned());
        self
    }

    #[must_use]
    pub fn external_account_id(mut self, id: &str) -> Self {
        self.external_account_id = Some(id.to_owned());
        self
    }
}

/// Whether two addresses are equal; ignores case.
pub(super) fn same(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}
