//! Builders for tenants. Ids are derived from the address or the name, so that they are equal in every run.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::{Contact, Grants, Group, GroupKind, Mailbox, Permission, Tenant};
use crate::exchange::switches::Switches;

/// A GUID derived from the text.
pub fn guid(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut hex = String::with_capacity(32);
    for byte in &digest[..16] {
        // Writing to a string cannot fail.
        _ = write!(hex, "{byte:02x}");
    }
    format!(
        "{}-{}-4{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..32]
    )
}

fn local_part(address: &str) -> &str {
    address.split('@').next().unwrap_or(address)
}

impl Tenant {
    /// An empty organisation with its initial domain and this domain.
    pub fn new(domain: &str) -> Self {
        let initial = domain.split_once('.').map_or_else(
            || format!("{domain}.onmicrosoft"),
            |(name, rest)| format!("{name}.onmicrosoft.{rest}"),
        );
        Self {
            tenant_id: guid(&format!("tenant {domain}")),
            domains: vec![initial, domain.to_owned()],
            mailboxes: Vec::new(),
            groups: Vec::new(),
            contacts: Vec::new(),
            grants: Grants::default(),
            switches: Switches::default(),
        }
    }

    #[must_use]
    pub fn user(self, address: &str) -> Self {
        self.mailbox(Mailbox::user(address))
    }

    #[must_use]
    pub fn shared(self, address: &str) -> Self {
        self.mailbox(Mailbox::shared(address))
    }

    #[must_use]
    pub fn room(self, address: &str) -> Self {
        self.mailbox(Mailbox::of_kind("RoomMailbox", address))
    }

    #[must_use]
    pub fn mailbox(mut self, mailbox: Mailbox) -> Self {
        self.mailboxes.push(mailbox);
        self
    }

    /// The discovery mailbox that every organisation has: without an Entra object, and with braces in its UPN.
    #[must_use]
    pub fn discovery(self) -> Self {
        let domain = self.domains.first().cloned().unwrap_or_default();
        self.mailbox(Mailbox::discovery(&domain))
    }

    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    #[must_use]
    pub fn security_group(self, name: &str, members: &[&str]) -> Self {
        let group = self.named_group(GroupKind::MailUniversalSecurityGroup, name, members);
        self.group(group)
    }

    #[must_use]
    pub fn distribution_group(self, name: &str, members: &[&str]) -> Self {
        let group = self.named_group(GroupKind::MailUniversalDistributionGroup, name, members);
        self.group(group)
    }

    #[must_use]
    pub fn group_of_kind(self, kind: GroupKind, name: &str, members: &[&str]) -> Self {
        let group = self.named_group(kind, name, members);
        self.group(group)
    }

    #[must_use]
    pub fn mail_user(mut self, address: &str) -> Self {
        self.contacts.push(Contact::of_kind("MailUser", address));
        self
    }

    /// A recipient that is not a mailbox, of any kind, for example `RemoteUserMailbox`, `MailUser`, or an unknown kind.
    #[must_use]
    pub fn recipient(mut self, recipient_type_details: &str, address: &str) -> Self {
        self.contacts
            .push(Contact::of_kind(recipient_type_details, address));
        self
    }

    /// A security group with another kind in its rows, for example an unknown one.
    #[must_use]
    pub fn group_called(self, recipient_type_details: &str, name: &str, members: &[&str]) -> Self {
        let mut group = self.named_group(GroupKind::MailUniversalSecurityGroup, name, members);
        group.overrides.insert(
            "RecipientTypeDetails".to_owned(),
            recipient_type_details.into(),
        );
        self.group(group)
    }

    /// Gives `trustee` access to `mailbox`; see [`Tenant::grant`].
    ///
    /// # Panics
    /// If there is no such mailbox.
    #[must_use]
    pub fn full_access(mut self, mailbox: &str, trustee: &str) -> Self {
        self.grant(mailbox, trustee, |_| ());
        self
    }

    /// Adds a permission entry to `mailbox`, modified by `change`. The trustee is shown as in Exchange: the UPN of a
    /// mailbox or mail user, the name of a group, any other text unchanged.
    ///
    /// # Panics
    /// If there is no such mailbox.
    pub fn grant(&mut self, mailbox: &str, trustee: &str, change: impl FnOnce(&mut Permission)) {
        let mut permission = Permission::full_access(&self.trustee_text(trustee));
        change(&mut permission);
        self.mailbox_mut(mailbox)
            .unwrap_or_else(|| panic!("no mailbox {mailbox} to grant access to"))
            .permissions
            .push(permission);
    }

    /// Finds a mailbox by UPN, any address, object id, GUID or name. Scans the list, so it is for tests, not for large
    /// seeds.
    pub fn mailbox_mut(&mut self, key: &str) -> Option<&mut Mailbox> {
        self.mailboxes
            .iter_mut()
            .find(|mailbox| mailbox.is_known_as(key))
    }

    /// Deletes a mailbox between two requests, as an administrator would; false if there was none.
    pub fn remove_mailbox(&mut self, key: &str) -> bool {
        let before = self.mailboxes.len();
        self.mailboxes.retain(|mailbox| !mailbox.is_known_as(key));
        self.mailboxes.len() < before
    }

    pub fn group_mut(&mut self, name: &str) -> Option<&mut Group> {
        self.groups
            .iter_mut()
            .find(|group| group.name.eq_ignore_ascii_case(name))
    }

    fn named_group(&self, kind: GroupKind, name: &str, members: &[&str]) -> Group {
        let domain = self.domains.last().map_or("corp.example", String::as_str);
        let mut group = Group::of_kind(kind, name, domain);
        group.members = members.iter().map(|&member| member.to_owned()).collect();
        group
    }

    fn trustee_text(&self, key: &str) -> String {
        if let Some(mailbox) = self.mailboxes.iter().find(|it| it.is_known_as(key)) {
            return mailbox.user_principal_name.clone();
        }
        let user = self.contacts.iter().find(|contact| {
            contact.primary_smtp_address.eq_ignore_ascii_case(key)
                && !contact.user_principal_name.is_empty()
        });
        let group = self.groups.iter().find(|group| {
            group.primary_smtp_address.eq_ignore_ascii_case(key) || group.name == key
        });
        match (user, group) {
            (Some(user), _) => user.user_principal_name.clone(),
            (None, Some(group)) => group.name.clone(),
            (None, None) => key.to_owned(),
        }
    }
}

impl Mailbox {
    /// A user mailbox as created today: its name is the Entra object id, its UPN is the address.
    pub fn user(address: &str) -> Self {
        let edoid = guid(&format!("entra {}", address.to_lowercase()));
        let alias = local_part(address).to_owned();
        Self {
            guid: guid(&format!("exchange {}", address.to_lowercase())),
            exchange_object_id: guid(&format!("exchange {}", address.to_lowercase())),
            user_principal_name: address.to_owned(),
            name: edoid.clone(),
            identity: edoid.clone(),
            display_name: alias.clone(),
            alias,
            primary_smtp_address: address.to_owned(),
            email_addresses: vec![format!("SMTP:{address}")],
            edoid,
            ..Self::default()
        }
    }

    /// A shared mailbox with a disabled account, as Microsoft recommends.
    pub fn shared(address: &str) -> Self {
        Self {
            account_disabled: Some(true),
            ..Self::of_kind("SharedMailbox", address)
        }
    }

    pub fn of_kind(recipient_type_details: &str, address: &str) -> Self {
        Self {
            recipient_type_details: recipient_type_details.to_owned(),
            ..Self::user(address)
        }
    }

    pub fn discovery(initial_domain: &str) -> Self {
        let name = "DiscoverySearchMailbox{D919BA05-46A6-415f-80AD-7E09334BB852}";
        Self {
            edoid: String::new(),
            name: name.to_owned(),
            identity: name.to_owned(),
            display_name: "Discovery Search Mailbox".to_owned(),
            account_disabled: Some(true),
            permissions: vec![Permission::full_access("Discovery Management")],
            ..Self::of_kind("DiscoveryMailbox", &format!("{name}@{initial_domain}"))
        }
    }

    #[must_use]
    pub fn with_upn(mut self, upn: &str) -> Self {
        upn.clone_into(&mut self.user_principal_name);
        self
    }

    /// Sets name, identity and display name, as for mailboxes created before the change of naming.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        name.clone_into(&mut self.identity);
        name.clone_into(&mut self.display_name);
        self
    }

    #[must_use]
    pub fn with_display_name(mut self, display_name: &str) -> Self {
        display_name.clone_into(&mut self.display_name);
        self
    }

    #[must_use]
    pub fn with_alias_address(mut self, address: &str) -> Self {
        self.email_addresses.push(format!("smtp:{address}"));
        self
    }

    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.account_disabled = Some(true);
        self
    }

    /// Gives access to `user`, without looking the text up; suitable for large seeds.
    #[must_use]
    pub fn opened_by(mut self, user: &str) -> Self {
        self.permissions.push(Permission::full_access(user));
        self
    }

    fn is_known_as(&self, key: &str) -> bool {
        let ids = [
            &self.user_principal_name,
            &self.primary_smtp_address,
            &self.edoid,
            &self.guid,
            &self.name,
        ];
        ids.iter().any(|id| id.eq_ignore_ascii_case(key))
            || self.email_addresses.iter().any(|address| {
                address
                    .split_once(':')
                    .is_some_and(|(_, address)| address.eq_ignore_ascii_case(key))
            })
    }
}

impl Group {
    pub fn of_kind(kind: GroupKind, name: &str, domain: &str) -> Self {
        let alias: String = name
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let address = if kind.has_mail() {
            format!("{alias}@{domain}")
        } else {
            String::new()
        };
        let edoid = match kind {
            GroupKind::RoleGroup => String::new(),
            GroupKind::MailUniversalSecurityGroup
            | GroupKind::MailUniversalDistributionGroup
            | GroupKind::MailNonUniversalGroup
            | GroupKind::RoomList
            | GroupKind::GroupMailbox
            | GroupKind::DynamicDistributionGroup
            | GroupKind::UniversalSecurityGroup => guid(&format!("entra group {name}@{domain}")),
        };
        Self {
            kind,
            edoid,
            guid: guid(&format!("exchange group {name}@{domain}")),
            exchange_object_id: guid(&format!("exchange group {name}@{domain}")),
            name: name.to_owned(),
            identity: name.to_owned(),
            alias,
            display_name: name.to_owned(),
            email_addresses: kind
                .has_mail()
                .then(|| format!("SMTP:{address}"))
                .into_iter()
                .collect(),
            primary_smtp_address: address,
            ..Self::default()
        }
    }
}

impl Contact {
    /// `MailContact` has neither an account nor an Entra user; the others have both.
    pub fn of_kind(recipient_type_details: &str, address: &str) -> Self {
        let alias = local_part(address).to_owned();
        let upn = if recipient_type_details == "MailContact" {
            String::new()
        } else {
            address.to_owned()
        };
        Self {
            recipient_type_details: recipient_type_details.to_owned(),
            edoid: guid(&format!("entra {}", address.to_lowercase())),
            guid: guid(&format!("exchange {}", address.to_lowercase())),
            exchange_object_id: guid(&format!("exchange {}", address.to_lowercase())),
            user_principal_name: upn,
            name: alias.clone(),
            identity: alias.clone(),
            display_name: alias.clone(),
            alias,
            primary_smtp_address: address.to_owned(),
            email_addresses: vec![format!("SMTP:{address}")],
            ..Self::default()
        }
    }
}

impl Permission {
    pub fn full_access(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            ..Self::default()
        }
    }
}
