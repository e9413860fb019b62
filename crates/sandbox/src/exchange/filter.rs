//! Server-side filters: `OData` (`a eq 'x' or …`) and OPATH (`a -eq 'x' -or …`), on equality only.

use super::index::Object;
use super::rows::{filterable, mailbox_properties};

/// Recipient kinds that a filter may name.
pub(super) const KINDS: [&str; 26] = [
    "UserMailbox",
    "LinkedMailbox",
    "LegacyMailbox",
    "SharedMailbox",
    "RoomMailbox",
    "EquipmentMailbox",
    "LinkedRoomMailbox",
    "SchedulingMailbox",
    "TeamMailbox",
    "DiscoveryMailbox",
    "GroupMailbox",
    "PublicFolderMailbox",
    "MailContact",
    "MailUser",
    "GuestMailUser",
    "RemoteUserMailbox",
    "RemoteSharedMailbox",
    "RemoteRoomMailbox",
    "MailUniversalSecurityGroup",
    "MailUniversalDistributionGroup",
    "MailNonUniversalGroup",
    "RoomList",
    "DynamicDistributionGroup",
    "UniversalSecurityGroup",
    "RoleGroup",
    "PublicFolder",
];

/// Alternatives, of which one must hold; each is a list of terms that must all hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Filter {
    alternatives: Vec<Vec<Term>>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Term {
    property: String,
    equal: bool,
    value: String,
}

impl Filter {
    /// Matches any of these kinds.
    pub(super) fn kinds<'a>(kinds: impl Iterator<Item = &'a str>) -> Self {
        let alternatives = kinds
            .map(|kind| {
                vec![Term {
                    property: "RecipientTypeDetails".to_owned(),
                    equal: true,
                    value: kind.to_owned(),
                }]
            })
            .collect();
        Self { alternatives }
    }

    /// `None` if the text has an unsupported form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = words(text)?.into_iter();
        let mut alternatives = vec![Vec::new()];
        loop {
            let property = words.next()?;
            let operator = words.next()?;
            let value = words.next()?;
            let equal = match operator.trim_start_matches('-').to_lowercase().as_str() {
                "eq" => true,
                "ne" => false,
                _ => return None,
            };
            if !mailbox_properties().any(|known| known == property) {
                return None;
            }
            let value = match value.strip_prefix('\'') {
                Some(literal) => literal.to_owned(),
                None => value
                    .trim_start_matches('$')
                    .parse::<bool>()
                    .ok()?
                    .to_string(),
            };
            let term = Term {
                property,
                equal,
                value,
            };
            alternatives.last_mut()?.push(term);
            match words.next() {
                None => return Some(Self { alternatives }),
                Some(joint) => match joint.trim_start_matches('-').to_lowercase().as_str() {
                    "and" => (),
                    "or" => alternatives.push(Vec::new()),
                    _ => return None,
                },
            }
        }
    }

    pub(super) fn holds(&self, object: Object<'_>) -> bool {
        self.alternatives.iter().any(|terms| {
            terms.iter().all(|term| {
                let value = filterable(object, &term.property).unwrap_or_default();
                value.eq_ignore_ascii_case(&term.value) == term.equal
            })
        })
    }
}

/// Splits at spaces. A literal keeps its opening apostrophe as a mark and loses the closing one.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(literal) = rest.strip_prefix('\'') {
            let mut word = String::from("'");
            let mut tail = literal;
            loop {
                let (before, after) = tail.split_once('\'')?;
                word.push_str(before);
                if let Some(more) = after.strip_prefix('\'') {
                    word.push('\'');
                    tail = more;
                } else {
                    tail = after;
                    break;
                }
            }
            words.push(word);
            rest = tail.trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Mailbox;

    fn holds(filter: &str, mailbox: &Mailbox) -> Option<bool> {
        Filter::parse(filter).map(|filter| filter.holds(Object::Mailbox(mailbox)))
    }

    #[test]
    fn equality_is_all_that_is_understood() {
        let shared = Mailbox::shared("desk@corp.example").with_display_name("O'Neil desk");
        let yes = |filter| assert_eq!(holds(filter, &shared), Some(true), "{filter}");
        yes("RecipientTypeDetails eq 'SharedMailbox'");
        yes("RecipientTypeDetails -eq 'UserMailbox' -or Alias -eq 'desk'");
        yes("DisplayName eq 'O''Neil desk' and RecipientTypeDetails ne 'UserMailbox'");
        yes("AccountDisabled -eq $true");
        for bad in [
            "",
            "Alias",
            "Alias like 'd*'",
            "Nonsense eq 'x'",
            "Alias eq 'desk",
            "Alias eq 'a' xor Alias eq 'b'",
        ] {
            assert_eq!(holds(bad, &shared), None, "{bad}");
        }
    }
}
