//! The text by which an access entry names its trustee (R8, R9): what it can stand for, and the command that removes
//! its entry.

use super::{address::SmtpAddress, ids::ObjectId, source::PermissionEntry};

/// An entry whose trustee no longer exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadEntry {
    pub user: String,
    pub deny: bool,
}

impl DeadEntry {
    pub(super) fn of(entry: &PermissionEntry) -> Self {
        Self {
            user: entry.user.trim().into(),
            deny: entry.deny,
        }
    }

    /// The PowerShell command that removes it from a mailbox.
    pub(super) fn removal(&self, mailbox: &str) -> String {
        format!(
            "Remove-MailboxPermission -Identity {} -User {} -AccessRights FullAccess{}",
            quoted(mailbox),
            quoted(&self.user),
            if self.deny { " -Deny" } else { "" }
        )
    }
}

/// A verbatim PowerShell string. PowerShell also accepts typographic quotes as quotes.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
            quoted.push(c);
        }
        quoted.push(c);
    }
    quoted.push('\'');
    quoted
}

/// R8, and `docs/specs/exchange-online.md`, "6.1 Which entries count": Full Access, not inherited, not a system
/// account.
pub(super) fn counts(entry: &PermissionEntry) -> bool {
    let full_access = entry
        .access_rights
        .iter()
        .flat_map(|rights| rights.split(','))
        .any(|right| right.trim().eq_ignore_ascii_case("FullAccess"));
    let user = entry.user.trim().to_lowercase();
    let well_known =
        user.starts_with("nt authority\\") || (is_sid(&user) && !user.starts_with("s-1-5-21-"));
    full_access && !entry.inherited && !well_known && !user.is_empty()
}

/// Whether a text in lower case is a SID, not a name or an address that looks like one.
pub(super) fn is_sid(text: &str) -> bool {
    text.strip_prefix("s-1-").is_some_and(|rest| {
        rest.split('-')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

pub(super) fn is_self(user: &str) -> bool {
    user.eq_ignore_ascii_case("NT AUTHORITY\\SELF") || user.eq_ignore_ascii_case("S-1-5-10")
}

/// R9, R11: neither an address nor a GUID. A name can contain an `@`.
pub(super) fn is_bare_name(text: &str) -> bool {
    SmtpAddress::parse(text).is_err() && ObjectId::parse(text).is_none()
}

/// R9: a down-level or forest name, or a principal that is not a recipient. If Exchange does not find it, it has no
/// mailbox.
pub(super) fn is_down_level(text: &str) -> bool {
    let has_domain = text
        .split_once('\\')
        .is_some_and(|(domain, name)| !domain.is_empty() && !name.is_empty());
    let is_orphan = text
        .get(..8)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("NT User:"));
    has_domain
        || is_orphan
        || ["Everyone", "Anonymous"]
            .iter()
            .any(|name| text.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r9_the_removal_of_an_entry_is_one_command_whatever_the_trustee_is_called() {
        for (user, deny, expected) in [
            (
                "EURPR04A001\\jjansen123",
                false,
                "Remove-MailboxPermission -Identity 'o''brien@corp.example' -User 'EURPR04A001\\jjansen123' -AccessRights FullAccess",
            ),
            (
                "x'; Remove-Mailbox 'all",
                true,
                "Remove-MailboxPermission -Identity 'o''brien@corp.example' -User 'x''; Remove-Mailbox ''all' -AccessRights FullAccess -Deny",
            ),
            (
                "x’; Remove-Mailbox",
                false,
                "Remove-MailboxPermission -Identity 'o''brien@corp.example' -User 'x’’; Remove-Mailbox' -AccessRights FullAccess",
            ),
        ] {
            let user = user.into();
            let entry = DeadEntry { user, deny };
            assert_eq!(entry.removal("o'brien@corp.example"), expected);
        }
    }

    #[test]
    fn r9_down_level_names_are_told_from_bare_names() {
        for text in [
            "CORP\\anna",
            "NAMPR04A001\\anna123",
            "everyone",
            "Anonymous",
            "NT User:S-1-5-21-1-2-3",
            "nt user:anna",
        ] {
            assert!(is_down_level(text), "{text}");
        }
        for text in [
            "anna",
            "\\anna",
            "CORP\\",
            "Everyone else",
            "NT Users",
            "ünt üser:x",
        ] {
            assert!(!is_down_level(text), "{text}");
        }
    }
}
