//! Requests that Zivver refused, and what an administrator can do about them (`docs/specs/zivver-scim.md`, "6. Errors
//! and the limiter").

use domain::{address::SmtpAddress, remedies};

/// The longest text of an answer that is kept, in characters.
pub(super) const TEXT_CHARS_MAX: usize = 200;

/// A request that Zivver did not carry out. A retry would be refused too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {operation}: Zivver answered {status}{}; {}", quoted(.text), .kind.remedy())]
pub struct Refusal {
    pub operation: String,
    pub status: u16,
    /// The body, on one line and shortened.
    pub text: String,
    pub kind: RefusalKind,
}

/// The reason, as far as the text tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalKind {
    /// An alias belongs to another account. The address is the one in the text, if there is one.
    AliasTaken(Option<SmtpAddress>),
    AliasGuest(Option<SmtpAddress>),
    DomainNotOwned,
    OutsideOrganization,
    UnknownAccount,
    UnknownMember,
    InvalidDivision,
    /// 409: the address already exists.
    Conflict,
    /// A redirect, or an answer without a list: the URL is not that of Zivver's API.
    WrongUrl,
    Other,
}

/// Part of a text, and the kind that it means; the function gets the text after that part.
type Known = (&'static str, fn(&str) -> RefusalKind);

/// The known error texts of Zivver, without their variable parts.
const KNOWN: [Known; 8] = [
    ("Alias is already taken for", |rest| {
        RefusalKind::AliasTaken(first_address(rest))
    }),
    ("Alias is a guest", |rest| {
        RefusalKind::AliasGuest(first_address(rest))
    }),
    ("Domain Not Owned", |_| RefusalKind::DomainNotOwned),
    ("outside the organization", |_| {
        RefusalKind::OutsideOrganization
    }),
    ("Unknown account with uuid", |_| RefusalKind::UnknownAccount),
    ("Unknown in set", |_| RefusalKind::UnknownMember),
    ("Member Not Found", |_| RefusalKind::UnknownMember),
    ("Invalid division", |_| RefusalKind::InvalidDivision),
];

impl RefusalKind {
    pub(super) fn of(status: u16, text: &str) -> Self {
        let folded = text.to_ascii_lowercase();
        let known = KNOWN.iter().find_map(|(needle, kind)| {
            let at = folded.find(&needle.to_ascii_lowercase())?;
            Some(kind(&text[at + needle.len()..]))
        });
        match (known, status) {
            (Some(kind), _) => kind,
            (None, 404) => Self::UnknownAccount,
            (None, 409) => Self::Conflict,
            (None, _) => Self::Other,
        }
    }

    pub fn remedy(&self) -> &'static str {
        match self {
            Self::AliasTaken(_) => remedies::ZIVVER_ALIAS_TAKEN,
            Self::AliasGuest(_) => remedies::ZIVVER_ALIAS_GUEST,
            Self::DomainNotOwned => remedies::ZIVVER_DOMAIN,
            Self::OutsideOrganization => remedies::ZIVVER_OUTSIDE,
            Self::UnknownAccount => remedies::ZIVVER_ACCOUNT,
            Self::UnknownMember => remedies::ZIVVER_MEMBER,
            Self::InvalidDivision => remedies::ZIVVER_DIVISION,
            Self::Conflict => remedies::ZIVVER_CONFLICT,
            Self::WrongUrl => remedies::ZIVVER_URL,
            Self::Other => remedies::ZIVVER_OTHER,
        }
    }
}

/// The first address in the text, without the punctuation around it.
fn first_address(text: &str) -> Option<SmtpAddress> {
    text.split(|c: char| c.is_whitespace() || "\"<>()[]{},;:".contains(c))
        .map(|word| word.trim_matches(['\'', '.', '`']))
        .find_map(|word| SmtpAddress::parse(word).ok())
}

/// The text to quote. A web page does not come from Zivver's API, and does not fit on a line.
fn quoted(text: &str) -> String {
    if text.trim_start().starts_with('<') {
        return " (with a web page)".to_owned();
    }
    if text.is_empty() {
        String::new()
    } else {
        format!(" ({text})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<SmtpAddress> {
        SmtpAddress::parse(text).ok()
    }

    /// All texts of `docs/specs/zivver-scim.md`, "6. Errors and the limiter".
    #[test]
    fn every_known_text_has_its_kind() {
        let alias = address("sales@corp.example");
        let cases = [
            (
                400,
                "Unknown account with uuid: 00000000-0000-0000-0000-000000000009",
                RefusalKind::UnknownAccount,
            ),
            (
                400,
                "Account is outside the organization",
                RefusalKind::OutsideOrganization,
            ),
            (
                400,
                "Error creating alias: Domain Not Owned",
                RefusalKind::DomainNotOwned,
            ),
            (
                400,
                "Error creating alias: Alias is already taken for Sales@corp.example.",
                RefusalKind::AliasTaken(alias.clone()),
            ),
            (
                400,
                "error creating alias: alias is already taken for somebody",
                RefusalKind::AliasTaken(None),
            ),
            (
                400,
                "Error creating alias: Alias is a guest: <sales@corp.example>",
                RefusalKind::AliasGuest(alias),
            ),
            (400, "Unknown in set", RefusalKind::UnknownMember),
            (
                400,
                "Error creating member: Member Not Found",
                RefusalKind::UnknownMember,
            ),
            (400, "Invalid division: North", RefusalKind::InvalidDivision),
            (409, "", RefusalKind::Conflict),
            (404, "", RefusalKind::UnknownAccount),
            (
                415,
                r#"{"code":415,"message":"HTTP 415 Unsupported Media Type"}"#,
                RefusalKind::Other,
            ),
        ];
        for (status, text, expected) in &cases {
            assert_eq!(RefusalKind::of(*status, text), *expected, "{status} {text}");
        }
        for (needle, _) in KNOWN {
            assert!(
                cases.iter().any(|(_, text, _)| text.contains(needle)),
                "{needle}"
            );
        }
    }

    #[test]
    fn every_known_text_is_recognised_in_any_case_and_place() {
        for (needle, _) in KNOWN {
            let text = format!("é {} x", needle.to_uppercase());
            assert_ne!(RefusalKind::of(400, &text), RefusalKind::Other, "{needle}");
        }
    }

    #[test]
    fn every_known_refusal_gets_its_remedy() {
        for (status, text, remedy) in [
            (
                400,
                "Alias is already taken for",
                remedies::ZIVVER_ALIAS_TAKEN,
            ),
            (400, "Alias is a guest", remedies::ZIVVER_ALIAS_GUEST),
            (400, "Domain Not Owned", remedies::ZIVVER_DOMAIN),
            (400, "outside the organization", remedies::ZIVVER_OUTSIDE),
            (400, "Unknown account with uuid", remedies::ZIVVER_ACCOUNT),
            (400, "Unknown in set", remedies::ZIVVER_MEMBER),
            (400, "Member Not Found", remedies::ZIVVER_MEMBER),
            (400, "Invalid division", remedies::ZIVVER_DIVISION),
            (404, "", remedies::ZIVVER_ACCOUNT),
            (406, "", remedies::ZIVVER_OTHER),
            (409, "", remedies::ZIVVER_CONFLICT),
            (415, "", remedies::ZIVVER_OTHER),
        ] {
            let kind = RefusalKind::of(status, text);
            assert_eq!(kind.remedy(), remedy, "{status} {text}");
        }
    }

    #[test]
    fn a_foreign_page_is_not_repeated() {
        let refusal = Refusal {
            operation: "read the list of groups".into(),
            status: 404,
            text: "<!doctype html><title>Not here</title>".into(),
            kind: RefusalKind::WrongUrl,
        };
        assert!(!refusal.to_string().contains("doctype"), "{refusal}");
    }

    #[test]
    fn a_refusal_says_what_happened_and_what_to_do() {
        let text = "Error creating alias: Alias is a guest: sales@corp.example";
        let refusal = Refusal {
            operation: "update the user account 1".into(),
            status: 400,
            text: text.into(),
            kind: RefusalKind::of(400, text),
        };
        insta::assert_snapshot!(refusal, @"cannot update the user account 1: Zivver answered 400 (Error creating alias: Alias is a guest: sales@corp.example); merge the guest with this address into the account in the Zivver WebApp, or with the Synctool");
    }
}
