//! Four people, as Exchange, Zivver and the product know them.

use std::collections::BTreeSet;

use cloud_sync::domain::{
    account::{Actual, Extension, UserAccount},
    accounts::Accounts,
    address::SmtpAddress,
    delegation::{GroupIndex, resolve},
    directory::{Directory, Party},
    guard::{Limit, Limits},
    ids::ScimId,
    scope::{ClaimedDomains, TargetFilter},
    source::{Answers, MailboxRecord, PermissionAnswer, PermissionEntry},
    world::{Policy, SsoAccountKey, World},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Person {
    /// Stays.
    Anna,
    /// Has left.
    Bert,
    /// May leave.
    Cora,
    /// Is new.
    Dora,
}

impl Person {
    pub(crate) const ALL: [Self; 4] = [Self::Anna, Self::Bert, Self::Cora, Self::Dora];

    fn name(self) -> &'static str {
        match self {
            Self::Anna => "anna",
            Self::Bert => "bert",
            Self::Cora => "cora",
            Self::Dora => "dora",
        }
    }

    pub(crate) fn address(self) -> SmtpAddress {
        SmtpAddress::verbatim(&format!("{}@corp.example", self.name()))
    }

    pub(crate) fn id(self) -> ScimId {
        ScimId::new(self.name())
    }

    pub(crate) fn with_address(address: &SmtpAddress) -> Self {
        let found = Self::ALL.into_iter().find(|one| one.address() == *address);
        found.unwrap()
    }
}

/// Zivver: which accounts exist, and whether each is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Organisation([Option<bool>; 4]);

impl Organisation {
    pub(crate) fn new() -> Self {
        Self([Some(true), Some(true), Some(true), None])
    }

    pub(crate) fn of(self, person: Person) -> Option<bool> {
        self.0[person as usize]
    }

    pub(crate) fn set(&mut self, person: Person, active: bool) {
        self.0[person as usize] = Some(active);
    }

    pub(crate) fn active(self) -> usize {
        self.0.iter().filter(|it| **it == Some(true)).count()
    }

    pub(crate) fn accounts(self) -> Accounts {
        let users = Person::ALL.into_iter().filter_map(|person| {
            Some(UserAccount {
                id: person.id(),
                address: person.address(),
                name: person.name().into(),
                active: self.of(person)?,
                extension: Extension::default(),
                delegates: Vec::new(),
            })
        });
        Accounts::new(Actual {
            users: users.collect(),
            ..Actual::default()
        })
    }
}

/// Who has a wrong status in Zivver according to Exchange. Decided without the product.
pub(crate) fn wrong(organisation: Organisation, gone: &BTreeSet<Person>) -> Vec<Person> {
    let is_wrong = |person: &Person| match organisation.of(*person) {
        Some(active) => active == gone.contains(person),
        None => !gone.contains(person),
    };
    Person::ALL.into_iter().filter(is_wrong).collect()
}

pub(crate) fn world(organisation: Organisation, gone: &BTreeSet<Person>) -> World {
    let records = Person::ALL.map(|person| MailboxRecord {
        object_id: Some(format!(
            "00000000-0000-4000-8000-00000000000{}",
            person as u8
        )),
        primary_smtp_address: Some(person.address().to_string()),
        display_name: Some(person.name().into()),
        email_addresses: Some(vec![format!("SMTP:{}", person.address())]),
        recipient_type_details: Some("UserMailbox".into()),
        account_disabled: Some(gone.contains(&person)),
        ..MailboxRecord::default()
    });
    let directory = Directory::new(records.into());
    let answers = Answers::default();
    let groups = GroupIndex::new(&answers);
    let own = PermissionAnswer::Entries(vec![PermissionEntry {
        user: "NT AUTHORITY\\SELF".into(),
        access_rights: vec!["FullAccess".into()],
        deny: false,
        inherited: false,
    }]);
    let delegations = directory.iter().map(|(ix, _)| {
        let owner = Party::Mailbox(ix);
        Some(resolve(&directory, &groups, owner, &own, &answers))
    });
    let delegations = delegations.collect();
    World {
        directory,
        delegations,
        accounts: organisation.accounts(),
        answers,
        tenant_id: String::new(),
        ..World::default()
    }
}

pub(crate) fn policy(suspend: Limit) -> Policy {
    let off = Limit::Off;
    Policy {
        claimed_domains: ClaimedDomains::new(["corp.example"]),
        target_filter: TargetFilter::default(),
        source_filter: BTreeSet::new(),
        source_members: None,
        sso_account_key: SsoAccountKey::Omit,
        limits: Limits {
            suspend,
            delegate_removals: off,
            alias_removals: off,
            renames: off,
            name_changes: off,
            strays: off,
            identity_changes: off,
            creates: off,
            sign_in_key_changes: off,
        },
        min_source_ratio: 0.5,
        min_target_ratio: 0.5,
    }
}
