//! A simulated office whose Zivver is out of date, and the expected result of a synchronisation, which is computed here
//! from the seeds alone, without the program's code.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cloud_sync::sandbox::{
    Sandbox, SandboxOptions,
    exchange::{Group, GroupKind, Mailbox, Tenant},
    zivver::{self, API_KEY, LimiterConfig, Organisation, User},
};

use crate::host::project::AppSettings;

pub(crate) const DOMAIN: &str = "corp.example";

pub(crate) fn address(local: &str) -> String {
    format!("{local}@{DOMAIN}")
}

/// `settled` people whose accounts are right, and `news` of each kind of change: a new person, a new address, a person
/// who left, a new name, a new mailbox of a team, a team with other members, and one without members.
pub(crate) fn office(settled: usize, news: usize) -> (Tenant, Organisation) {
    let mut tenant = Tenant::new(DOMAIN);
    let mut zivver = Organisation {
        limiter: LimiterConfig::off(),
        ..Organisation::new([DOMAIN])
    };
    let settled = settled.max(2);
    let colleague = |n: usize| address(&format!("settled{:05}", n % settled));
    let mut ids = Vec::new();
    for n in 0..settled {
        let (mailbox, mut user) = person(&format!("settled{n:05}"));
        let mailbox = if n % 10 == 0 {
            user.delegates.push(colleague(n + 1));
            mailbox.opened_by(&colleague(n + 1))
        } else {
            mailbox
        };
        tenant.mailboxes.push(mailbox);
        ids.push(zivver.add_user(user));
    }
    let team = Group {
        members: vec![colleague(0), colleague(1)],
        ..Group::of_kind(GroupKind::MailUniversalSecurityGroup, "Front Desk", DOMAIN)
    };
    tenant.groups.push(team);
    for n in 0..news {
        for hired in 0..8 {
            let (mailbox, _) = person(&format!("hired{n:02}{hired}"));
            tenant
                .mailboxes
                .push(mailbox.opened_by(&colleague(n + hired)));
        }
        let (mailbox, user) = person(&format!("renamed{n:02}"));
        tenant.mailboxes.push(mailbox);
        zivver.add_user(User {
            name: "Old Name".to_owned(),
            ..user
        });
        // Five that left or are orphaned are allowed in a day (R26).
        if n < 3 {
            let (mailbox, user) = person(&format!("left{n:02}"));
            tenant.mailboxes.push(mailbox.disabled());
            zivver.add_user(user);
        }
        let (mailbox, user) = person(&format!("married{n:02}"));
        let maiden = address(&format!("maiden{n:02}"));
        zivver.add_user(User {
            user_name: maiden.clone(),
            external_account_id: Some(mailbox.edoid.clone()),
            ..user
        });
        tenant.mailboxes.push(mailbox.with_alias_address(&maiden));

        let shared = |local: String| {
            Mailbox::shared(&address(&local)).with_display_name(&format!("Team {local}"))
        };
        let new = shared(format!("new{n:02}")).with_alias_address(&address(&format!("n{n:02}")));
        tenant
            .mailboxes
            .push(new.opened_by("Front Desk").opened_by(&colleague(n + 2)));
        let changed = shared(format!("changed{n:02}")).opened_by(&colleague(n + 3));
        zivver.add_group(group(&changed).member(&ids[n % settled]));
        tenant.mailboxes.push(changed);
        if n < 2 {
            let orphaned = shared(format!("orphaned{n:02}"));
            zivver.add_group(group(&orphaned).member(&ids[(n + 1) % settled]));
            tenant.mailboxes.push(orphaned);
        }
    }
    (tenant, zivver)
}

/// A mailbox with an alias, and its account.
fn person(local: &str) -> (Mailbox, User) {
    let alias = address(&format!("{local}.alias"));
    let name = format!("Person {local}");
    let mailbox = Mailbox::user(&address(local))
        .with_display_name(&name)
        .with_alias_address(&alias);
    let user = User::new(&address(local), &name)
        .alias(&alias)
        .key(&mailbox.edoid);
    (mailbox, user)
}

fn group(shared: &Mailbox) -> zivver::Group {
    zivver::Group::new(&shared.primary_smtp_address, &shared.display_name)
}

/// The synchronised attributes of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    name: String,
    active: bool,
    aliases: BTreeSet<String>,
    /// Delegates or members, by address.
    delegates: BTreeSet<String>,
    key: Option<String>,
}

impl Account {
    pub(super) fn suspend(&mut self) {
        self.active = false;
    }
}

/// By address.
pub(crate) type Accounts = BTreeMap<String, Account>;

pub(crate) fn accounts(zivver: &Organisation) -> Accounts {
    let of_id: BTreeMap<&str, &str> = zivver
        .users
        .iter()
        .map(|user| (user.id.as_str(), user.user_name.as_str()))
        .collect();
    let users = zivver.users.iter().map(|user| {
        let account = Account {
            name: user.name.clone(),
            active: user.active,
            aliases: user.aliases.iter().cloned().collect(),
            delegates: user.delegates.iter().cloned().collect(),
            key: user.sso_account_key.clone(),
        };
        (user.user_name.clone(), account)
    });
    let groups = zivver.groups.iter().map(|group| {
        let account = Account {
            name: group.display_name.clone(),
            active: !group.members.is_empty(),
            aliases: group.aliases.iter().cloned().collect(),
            delegates: group
                .members
                .iter()
                .map(|id| of_id[id.as_str()].to_owned())
                .collect(),
            key: None,
        };
        (group.external_id.clone(), account)
    });
    let accounts: Accounts = users.chain(groups).collect();
    assert_eq!(
        accounts.len(),
        zivver.users.len() + zivver.groups.len(),
        "an address has one account"
    );
    accounts
}

/// The result of the rules for `before`.
pub(crate) fn expected(tenant: &Tenant, before: &Organisation) -> Accounts {
    let mut accounts = accounts(before);
    let by_upn: BTreeMap<&str, &Mailbox> = tenant
        .mailboxes
        .iter()
        .map(|mailbox| (mailbox.user_principal_name.as_str(), mailbox))
        .collect();
    for user in &before.users {
        let moved = tenant.mailboxes.iter().find(|mailbox| {
            Some(&mailbox.edoid) == user.external_account_id.as_ref()
                && mailbox.primary_smtp_address != user.user_name
        });
        if let Some(mailbox) = moved {
            let account = accounts.remove(&user.user_name).unwrap();
            accounts.insert(mailbox.primary_smtp_address.clone(), account);
        }
    }
    for mailbox in &tenant.mailboxes {
        let delegates: BTreeSet<String> = mailbox
            .permissions
            .iter()
            .flat_map(|permission| match by_upn.get(permission.user.as_str()) {
                Some(trustee) => vec![trustee.primary_smtp_address.clone()],
                None => tenant
                    .groups
                    .iter()
                    .find(|group| group.name == permission.user)
                    .unwrap()
                    .members
                    .clone(),
            })
            .collect();
        let is_user = mailbox.recipient_type_details == "UserMailbox";
        let active = if is_user {
            mailbox.account_disabled != Some(true)
        } else {
            !delegates.is_empty()
        };
        let primary = &mailbox.primary_smtp_address;
        if !active {
            if let Some(account) = accounts.get_mut(primary) {
                account.active = false;
                if !is_user {
                    account.delegates.clear();
                }
            }
            continue;
        }
        let aliases = mailbox.email_addresses.iter();
        let wanted = Account {
            name: mailbox.display_name.clone(),
            active,
            aliases: aliases
                .filter_map(|address| address.strip_prefix("smtp:"))
                .map(str::to_owned)
                .collect(),
            delegates,
            key: is_user.then(|| mailbox.edoid.clone()),
        };
        accounts.insert(primary.clone(), wanted);
    }
    accounts
}

/// An office behind a sandbox.
pub(crate) struct Office {
    pub(crate) sandbox: Sandbox,
    pub(crate) expected: Accounts,
}

impl Office {
    pub(crate) async fn open(settled: usize, news: usize) -> Self {
        let (tenant, organisation) = office(settled, news);
        let expected = expected(&tenant, &organisation);
        let sandbox = Sandbox::start(SandboxOptions {
            port: 0,
            tenant,
            organisation,
        })
        .await
        .unwrap();
        Self { sandbox, expected }
    }

    /// As the platform and the administrator set them. The token comes from the identity endpoint.
    pub(crate) fn settings(&self, state: &str) -> AppSettings {
        let identity = self.sandbox.exchange.identity().settings();
        settings(
            &self.sandbox.url(),
            &self.sandbox.identity_endpoint(),
            &identity.header,
            state,
        )
    }

    pub(crate) fn accounts(&self) -> Accounts {
        accounts(&self.sandbox.zivver.state())
    }

    #[track_caller]
    pub(crate) fn is_in_sync(&self) {
        same(&self.accounts(), &self.expected);
    }

    /// Requests to Zivver other than GET.
    pub(crate) fn writes(&self) -> usize {
        let journal = self.sandbox.zivver.control().journal();
        journal.iter().filter(|entry| entry.method != "GET").count()
    }
}

/// Panics with the names of the accounts that differ.
#[track_caller]
pub(crate) fn same(found: &Accounts, expected: &Accounts) {
    let addresses: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    for address in addresses {
        assert_eq!(found.get(address), expected.get(address), "{address}");
    }
}

pub(crate) fn settings(
    sandbox: &str,
    identity_endpoint: &str,
    identity_header: &str,
    state: &str,
) -> AppSettings {
    let zivver = format!("{sandbox}/api");
    [
        ("IDENTITY_ENDPOINT", identity_endpoint),
        ("IDENTITY_HEADER", identity_header),
        ("CLOUD_SYNC__ZIVVER_API_KEY", API_KEY),
        ("CLOUD_SYNC__ZIVVER_API_URL", &zivver),
        ("CLOUD_SYNC__ZIVVER_RATE", "unlimited"),
        ("CLOUD_SYNC__EXO_URL", sandbox),
        ("CLOUD_SYNC__CLAIMED_DOMAINS", DOMAIN),
        ("CLOUD_SYNC__SSO_ACCOUNT_KEY", "object_id"),
        ("CLOUD_SYNC__PERFORM_SYNC", "true"),
        // More than half of a small office changes.
        ("CLOUD_SYNC__MAX_DELEGATE_REMOVALS", "100%"),
        ("CLOUD_SYNC__MAX_CREATES", "100%"),
        ("CLOUD_SYNC__MAX_SIGN_IN_KEY_CHANGES", "100%"),
        ("CLOUD_SYNC__STATE", state),
        // Long enough that no running process loses the lock if the machine pauses for seconds.
        ("CLOUD_SYNC__LOCK_LEASE", "15s"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

pub(crate) fn folder_url(folder: &Path) -> String {
    format!("file://{}", folder.display())
}

/// The same with one more setting.
pub(crate) fn with(mut settings: AppSettings, name: &str, value: &str) -> AppSettings {
    settings.insert(format!("CLOUD_SYNC__{name}"), value.to_owned());
    settings
}
