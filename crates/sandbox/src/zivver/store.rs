//! The current state: an organisation and its indexes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use axum::body::Bytes;
use jiff::ToSpan;
use jiff::civil::Date;

use super::limiter::Limiter;
use super::organisation::{Change, Group, Organisation, User};

/// The position of an account in the organisation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Place {
    User(usize),
    Group(usize),
}

type Accounts = (Vec<User>, Vec<Group>);

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) org: Organisation,
    ids: HashMap<String, Place>,
    users: HashMap<String, usize>,
    groups: HashMap<String, usize>,
    aliases: HashMap<String, Vec<Place>>,
    guests: HashSet<String>,
    free_accounts: HashSet<String>,
    pub(super) limiter: Limiter,
    pub(super) calls: u64,
    pub(super) lists: u64,
    today: Date,
    /// Accounts that are not listed yet, and in how many more lists they will be missing.
    pub(super) hidden: HashMap<String, u32>,
    now: Duration,
    /// The accounts before each recent write, with its time; only kept while lists lag.
    past: VecDeque<(Duration, Accounts)>,
    /// The last rendered lists, until a change.
    pub(super) user_list: Option<Bytes>,
    pub(super) group_list: Option<Bytes>,
}

impl Store {
    pub(super) fn new(org: Organisation) -> Self {
        let mut store = Self {
            today: org.first_day,
            org,
            ..Self::default()
        };
        store.index();
        store
    }

    /// Rebuilds the indexes after changes of the organisation that bypassed this type.
    pub(super) fn index(&mut self) {
        self.org.assign_ids();
        self.changed();
        self.ids.clear();
        self.users.clear();
        self.groups.clear();
        self.aliases.clear();
        for (index, user) in self.org.users.iter().enumerate() {
            self.ids.insert(user.id.clone(), Place::User(index));
            self.users.insert(user.user_name.to_lowercase(), index);
            for alias in &user.aliases {
                self.aliases
                    .entry(alias.to_lowercase())
                    .or_default()
                    .push(Place::User(index));
            }
        }
        for (index, group) in self.org.groups.iter().enumerate() {
            self.ids.insert(group.id.clone(), Place::Group(index));
            self.groups.insert(group.external_id.to_lowercase(), index);
            for alias in &group.aliases {
                self.aliases
                    .entry(alias.to_lowercase())
                    .or_default()
                    .push(Place::Group(index));
            }
        }
        self.guests = self
            .org
            .guests
            .iter()
            .map(|guest| guest.to_lowercase())
            .collect();
        self.free_accounts = self
            .org
            .free_accounts
            .iter()
            .map(|account| account.to_lowercase())
            .collect();
    }

    pub(super) fn changed(&mut self) {
        self.user_list = None;
        self.group_list = None;
    }

    pub(super) fn by_id(&self, id: &str) -> Option<Place> {
        self.ids.get(id).copied()
    }

    pub(super) fn user_at(&self, address: &str) -> Option<usize> {
        self.users.get(&address.to_lowercase()).copied()
    }

    pub(super) fn group_at(&self, address: &str) -> Option<usize> {
        self.groups.get(&address.to_lowercase()).copied()
    }

    pub(super) fn has_alias(&self, place: Place, address: &str) -> bool {
        self.alias_owners(address).contains(&place)
    }

    pub(super) fn alias_owners(&self, address: &str) -> &[Place] {
        self.aliases
            .get(&address.to_lowercase())
            .map_or(&[], Vec::as_slice)
    }

    pub(super) fn is_guest(&self, address: &str) -> bool {
        self.guests.contains(&address.to_lowercase())
    }

    pub(super) fn is_free_account(&self, address: &str) -> bool {
        self.free_accounts.contains(&address.to_lowercase())
    }

    /// Adds an account that was just appended to the indexes.
    pub(super) fn enter(&mut self, place: Place) {
        self.changed();
        let (id, aliases) = match place {
            Place::User(index) => {
                let user = &self.org.users[index];
                self.users.insert(user.user_name.to_lowercase(), index);
                (user.id.clone(), user.aliases.clone())
            }
            Place::Group(index) => {
                let group = &self.org.groups[index];
                self.groups.insert(group.external_id.to_lowercase(), index);
                (group.id.clone(), group.aliases.clone())
            }
        };
        if self.org.switches.stale_reads_after_post > 0 {
            self.hidden
                .insert(id.clone(), self.org.switches.stale_reads_after_post);
        }
        self.ids.insert(id, place);
        self.own_aliases(place, &aliases);
    }

    /// Replaces the aliases of an account.
    pub(super) fn set_aliases(&mut self, place: Place, aliases: &[String]) {
        self.changed();
        let stored = match place {
            Place::User(index) => &mut self.org.users[index].aliases,
            Place::Group(index) => &mut self.org.groups[index].aliases,
        };
        let before = std::mem::replace(stored, aliases.to_vec());
        for alias in before {
            let alias = alias.to_lowercase();
            if let Some(owners) = self.aliases.get_mut(&alias) {
                owners.retain(|owner| *owner != place);
                if owners.is_empty() {
                    self.aliases.remove(&alias);
                }
            }
        }
        self.own_aliases(place, aliases);
    }

    fn own_aliases(&mut self, place: Place, aliases: &[String]) {
        for alias in aliases {
            self.aliases
                .entry(alias.to_lowercase())
                .or_default()
                .push(place);
        }
    }

    pub(super) fn rename_user(&mut self, index: usize, address: &str) {
        self.changed();
        let old = std::mem::replace(&mut self.org.users[index].user_name, address.to_owned());
        self.users.remove(&old.to_lowercase());
        self.users.insert(address.to_lowercase(), index);
        if self.org.switches.delegates_follow_rename {
            let old = old.to_lowercase();
            let delegates = self
                .org
                .users
                .iter_mut()
                .flat_map(|user| user.delegates.iter_mut());
            for delegate in delegates.filter(|delegate| delegate.to_lowercase() == old) {
                address.clone_into(delegate);
            }
        }
    }

    pub(super) fn rename_group(&mut self, index: usize, address: &str) {
        self.changed();
        let old = std::mem::replace(&mut self.org.groups[index].external_id, address.to_owned());
        self.groups.remove(&old.to_lowercase());
        self.groups.insert(address.to_lowercase(), index);
    }

    /// Deletes an account permanently. Memberships and delegations that refer to it stay.
    pub(super) fn remove(&mut self, place: Place) {
        match place {
            Place::User(index) => drop(self.org.users.remove(index)),
            Place::Group(index) => drop(self.org.groups.remove(index)),
        }
        self.index();
    }

    pub(super) fn set_active(&mut self, index: usize, active: bool) {
        let user = &mut self.org.users[index];
        if user.active != active {
            user.active = active;
            user.suspended_on = (!active).then_some(self.today);
        }
    }

    pub(super) fn today(&self) -> Date {
        self.today
    }

    /// A write; with a switch it is answered but not stored.
    pub(super) fn written<T>(&mut self, write: impl FnOnce(&mut Self) -> T) -> T {
        let lag = self.lag();
        if lag.is_zero() && !self.org.switches.writes_store_nothing {
            return write(self);
        }
        let before = (self.org.users.clone(), self.org.groups.clone());
        let answer = write(self);
        if self.org.switches.writes_store_nothing {
            self.show(before);
        } else {
            let now = self.now;
            self.past.retain(|(written, _)| *written + lag > now);
            self.past.push_back((now, before));
        }
        answer
    }

    /// The accounts of a list: as they were before the first write that it does not show yet.
    pub(super) fn listed<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let (lag, now) = (self.lag(), self.now);
        let mut unseen = self.past.iter().filter(|(written, _)| *written + lag > now);
        let Some((_, then)) = unseen.next().cloned() else {
            return read(self);
        };
        let present = self.show(then);
        let answer = read(self);
        self.show(present);
        answer
    }

    fn lag(&self) -> Duration {
        Duration::from_millis(self.org.switches.lists_lag_millis)
    }

    fn show(&mut self, (users, groups): Accounts) -> Accounts {
        let users = std::mem::replace(&mut self.org.users, users);
        let groups = std::mem::replace(&mut self.org.groups, groups);
        self.index();
        (users, groups)
    }

    /// Changes that happen in the organisation before a call: time passes, and other clients write.
    pub(super) fn advance(&mut self, now: Duration) {
        self.now = now;
        self.pass_days(now);
        let calls = self.calls;
        self.calls += 1;
        if self.org.events.is_empty() {
            return;
        }
        let (due, later) = std::mem::take(&mut self.org.events)
            .into_iter()
            .partition(|event| event.after_calls <= calls);
        self.org.events = later;
        let due: Vec<super::organisation::Event> = due;
        if due.is_empty() {
            return;
        }
        for event in due {
            happen(&mut self.org, event.change);
        }
        self.index();
    }

    fn pass_days(&mut self, now: Duration) {
        let days = i64::try_from(now.as_secs() / 86_400).unwrap_or_default();
        let today = self.org.first_day.saturating_add(days.days());
        if today == self.today {
            return;
        }
        self.today = today;
        let Some(days_max) = self.org.suspended_days_max else {
            return;
        };
        let deadline = today.saturating_sub(i64::from(days_max).days());
        let is_expired = |since: Option<Date>| since.is_some_and(|since| since <= deadline);
        let (expired, kept) = std::mem::take(&mut self.org.users)
            .into_iter()
            .partition(|user| !user.active && !user.full_admin && is_expired(user.suspended_on));
        self.org.users = kept;
        let expired: Vec<User> = expired;
        self.org
            .expired
            .extend(expired.into_iter().map(|user| user.user_name));
        self.index();
    }
}

fn happen(org: &mut Organisation, change: Change) {
    match change {
        Change::AddUser(user) => drop(org.add_user(user)),
        Change::AddGroup(group) => drop(org.add_group(group)),
        Change::SetActive { address, active } => {
            if let Some(user) = org.user_mut(&address) {
                user.active = active;
            }
        }
        Change::SetAliases { address, aliases } => {
            if let Some(user) = org.user_mut(&address) {
                user.aliases = aliases;
            } else if let Some(group) = org.group_mut(&address) {
                group.aliases = aliases;
            }
        }
        Change::SetDelegates { address, delegates } => {
            if let Some(user) = org.user_mut(&address) {
                user.delegates = delegates;
            }
        }
        Change::SetMembers { address, members } => {
            if let Some(group) = org.group_mut(&address) {
                group.members = members;
            }
        }
        Change::Remove { address } => {
            org.users
                .retain(|user| !super::organisation::same(&user.user_name, &address));
            org.groups
                .retain(|group| !super::organisation::same(&group.external_id, &address));
        }
    }
}
