//! Which mailboxes and accounts a run may touch (R13–R15, R39).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    address::{SmtpAddress, ascii_domain},
    delegation::{is_only_shown_as, members_identity},
    ids::ObjectId,
    mailbox::Mailbox,
    source::{
        Answers, GroupKind, MembersAnswer, Nature, Question, RecipientAnswer, RecipientRecord,
    },
};

/// Beyond this depth of nested groups a source filter counts as not read.
const GROUP_DEPTH_MAX: usize = 100;

/// R14: the start of the reason if an entry of `SOURCE_FILTER` names no recipient.
pub const NO_SUCH_GROUP: &str = "Exchange has no group of this address or object id";

/// R13: the domains of the organisation, lower-cased and in ASCII form (R4). They are compared for equality;
/// sub-domains do not count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimedDomains(BTreeSet<Box<str>>);

impl ClaimedDomains {
    pub fn new<T: AsRef<str>>(domains: impl IntoIterator<Item = T>) -> Self {
        Self(
            domains
                .into_iter()
                .map(|domain| ascii_domain(&domain.as_ref().trim().to_lowercase()).into())
                .collect(),
        )
    }

    pub fn holds(&self, address: &SmtpAddress) -> bool {
        self.0.contains(&*ascii_domain(address.domain()))
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|domain| &**domain)
    }
}

/// R15: accounts that are never changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetFilter(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    text: Box<str>,
    lower: Box<str>,
}

impl TargetFilter {
    /// Empty entries are ignored.
    pub fn new<T: AsRef<str>>(entries: impl IntoIterator<Item = T>) -> Self {
        let patterns = entries.into_iter().filter_map(|entry| {
            let text = entry.as_ref().trim();
            (!text.is_empty()).then(|| Pattern {
                text: text.into(),
                lower: text.to_lowercase().into(),
            })
        });
        Self(patterns.collect())
    }

    /// The entries, as written in the setting.
    pub fn entries(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|pattern| &*pattern.text)
    }

    /// The first entry that matches, as it was written in the setting.
    pub fn matched(&self, address: &SmtpAddress) -> Option<&str> {
        self.0
            .iter()
            .find(|pattern| pattern.matches(address))
            .map(|pattern| &*pattern.text)
    }

    /// The number of `addresses` that each entry matches. R15: every report shows it.
    pub fn counts<'a>(
        &self,
        addresses: impl Iterator<Item = &'a SmtpAddress>,
    ) -> BTreeMap<String, usize> {
        let mut counts: BTreeMap<String, usize> = self
            .0
            .iter()
            .map(|pattern| (pattern.text.to_string(), 0))
            .collect();
        if self.0.is_empty() {
            return counts;
        }
        for address in addresses {
            for pattern in self.0.iter().filter(|pattern| pattern.matches(address)) {
                *counts.entry(pattern.text.to_string()).or_default() += 1;
            }
        }
        counts
    }
}

impl Pattern {
    fn matches(&self, address: &SmtpAddress) -> bool {
        address.spellings().any(|text| {
            if self.lower.contains('*') {
                wildcard(&self.lower, &text)
            } else {
                text.contains(&*self.lower)
            }
        })
    }
}

/// Whether the whole `text` matches `pattern`, in which `*` stands for any number of characters, including none.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

/// R14: the members of the groups in `SOURCE_FILTER`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceMembers {
    object_ids: BTreeSet<ObjectId>,
    /// The addresses of members without object id.
    addresses: BTreeSet<SmtpAddress>,
}

impl SourceMembers {
    pub fn hold(&self, mailbox: &Mailbox) -> bool {
        mailbox
            .object_id
            .as_ref()
            .is_some_and(|id| self.object_ids.contains(id))
            || self.addresses.contains(&mailbox.primary)
    }
}

/// The result of resolving a source filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceFilter {
    Members(SourceMembers),
    /// These questions must still be asked.
    Missing(BTreeSet<Question>),
    /// A group could not be read completely: the run fails (R14).
    Failed(String),
}

/// R14: members of groups of any kind, to any depth. This is about membership, not about a right, so R10 does not
/// apply.
pub fn source_filter<T: AsRef<str>>(entries: &[T], answers: &Answers) -> SourceFilter {
    let mut walk = Membership {
        answers,
        missing: BTreeSet::new(),
        members: SourceMembers::default(),
    };
    let mut seen = BTreeSet::new();
    for entry in entries {
        let entry = entry.as_ref().trim();
        if let Err(reason) = walk.entry(entry, &mut seen) {
            return SourceFilter::Failed(format!("SOURCE_FILTER entry {entry:?}: {reason}"));
        }
    }
    if walk.missing.is_empty() {
        SourceFilter::Members(walk.members)
    } else {
        SourceFilter::Missing(walk.missing)
    }
}

struct Membership<'a> {
    answers: &'a Answers,
    missing: BTreeSet<Question>,
    members: SourceMembers,
}

impl<'a> Membership<'a> {
    fn entry(&mut self, entry: &str, seen: &mut BTreeSet<String>) -> Result<(), String> {
        let group = match self.answers.recipients.get(entry) {
            None => {
                self.missing.insert(Question::Recipient(entry.into()));
                return Ok(());
            }
            Some(RecipientAnswer::Found(recipient)) => recipient,
            // A security group without mail is not a recipient, but `Get-Group` finds it.
            Some(RecipientAnswer::NotFound) => {
                if self.answers.members.get(entry) == Some(&MembersAnswer::NotFound) {
                    return Err(format!("{NO_SUCH_GROUP}; check its spelling"));
                }
                let rows = self.plain_group(entry, seen)?;
                return self.descend(rows, seen);
            }
            Some(RecipientAnswer::Ambiguous) => {
                return Err(
                    "more than one recipient has it; write the object id of the group".into(),
                );
            }
            Some(RecipientAnswer::Failed(reason)) => return Err(reason.clone()),
        };
        if !group.has_kind() {
            return Err("Exchange does not say what kind of recipient it is".into());
        }
        if group_kind(group).is_none() {
            return Err(format!(
                "it is a {}, not a group",
                group.recipient_type_details
            ));
        }
        self.descend(std::slice::from_ref(group), seen)
    }

    fn descend(
        &mut self,
        rows: &'a [RecipientRecord],
        seen: &mut BTreeSet<String>,
    ) -> Result<(), String> {
        let mut level: Vec<&RecipientRecord> = rows.iter().collect();
        for _ in 0..GROUP_DEPTH_MAX {
            let mut next = Vec::new();
            for row in level {
                next.extend(match group_kind(row) {
                    Some(kind) => self.group(row, kind, seen)?,
                    None => self.member(row, seen)?,
                });
            }
            if next.is_empty() {
                return Ok(());
            }
            level = next;
        }
        Err(format!(
            "its groups are nested deeper than {GROUP_DEPTH_MAX} levels"
        ))
    }

    fn group(
        &mut self,
        row: &RecipientRecord,
        kind: GroupKind,
        seen: &mut BTreeSet<String>,
    ) -> Result<&'a [RecipientRecord], String> {
        let identity = members_identity(row)
            .or_else(|| row.primary_smtp_address.clone())
            .filter(|identity| !identity.trim().is_empty())
            .ok_or("a group in it has no identifier")?;
        if !seen.insert(identity.clone()) {
            return Ok(&[]);
        }
        Ok(self.members(identity, kind)?.unwrap_or_default())
    }

    /// A security group without mail: an entry by its object id, a member by its name, since nothing else is known of it.
    fn plain_group(
        &mut self,
        identity: &str,
        seen: &mut BTreeSet<String>,
    ) -> Result<&'a [RecipientRecord], String> {
        if !seen.insert(identity.to_owned()) {
            return Ok(&[]);
        }
        let members = self.members(identity.to_owned(), GroupKind::PlainSecurity)?;
        Ok(members.unwrap_or_default())
    }

    fn members(
        &mut self,
        identity: String,
        kind: GroupKind,
    ) -> Result<Option<&'a [RecipientRecord]>, String> {
        match self.answers.members.get(&identity) {
            Some(MembersAnswer::Complete(members)) => Ok(Some(members)),
            Some(MembersAnswer::NotFound) => Err(format!(
                "its member {identity:?} is not found as a group; run again, or take it out of the group"
            )),
            Some(MembersAnswer::Failed(reason)) => Err(reason.clone()),
            None => {
                self.missing.insert(Question::Members { identity, kind });
                Ok(None)
            }
        }
    }

    /// A member of a group, or the rows of the member if it is a group itself.
    fn member(
        &mut self,
        row: &'a RecipientRecord,
        seen: &mut BTreeSet<String>,
    ) -> Result<&'a [RecipientRecord], String> {
        if !row.has_kind() {
            return self.unclear(row, seen); // It may be a group.
        }
        if let Some(id) = object_id(row) {
            self.members.object_ids.insert(id);
        } else if let Some(address) = address(row) {
            self.members.addresses.insert(address);
        } else if row.may_be_in_scope() {
            return self.unclear(row, seen);
        }
        Ok(&[])
    }

    /// Exchange returns only the names of the members of a plain group, so each name must be looked up. If a name
    /// stands for no object, or for more than one, the group was not read completely.
    fn unclear(
        &mut self,
        row: &RecipientRecord,
        seen: &mut BTreeSet<String>,
    ) -> Result<&'a [RecipientRecord], String> {
        let name = members_identity(row)
            .or_else(|| address(row).map(|address| address.to_string()))
            .or_else(|| row.name.clone())
            .or_else(|| row.identity.clone())
            .filter(|text| !text.trim().is_empty())
            .ok_or("a member in it has neither an identifier nor a name")?;
        match self.answers.recipients.get(&name) {
            None => {
                self.missing.insert(Question::Recipient(name));
                Ok(&[])
            }
            Some(RecipientAnswer::Found(found)) => found_member(&name, found),
            // It may be another security group without mail.
            Some(RecipientAnswer::NotFound) => self.plain_group(&name, seen),
            Some(RecipientAnswer::Ambiguous) => Err(format!(
                "its member {name:?} is the name of more than one recipient"
            )),
            Some(RecipientAnswer::Failed(reason)) => Err(format!(
                "its member {name:?} could not be looked up: {reason}"
            )),
        }
    }
}

/// The result of a look-up by name, if it is certainly the member.
fn found_member<'a>(
    name: &str,
    found: &'a RecipientRecord,
) -> Result<&'a [RecipientRecord], String> {
    let is_group = group_kind(found).is_some();
    if !found.has_kind() {
        return Err(format!(
            "Exchange does not say what kind of recipient its member {name:?} is"
        ));
    }
    if is_only_shown_as(name, found) {
        return Err(format!(
            "its member {name:?} is only the alias or the display name of a recipient"
        ));
    }
    let nameless = object_id(found).is_none() && address(found).is_none();
    if nameless && !is_group && found.may_be_in_scope() {
        return Err(format!(
            "its member {name:?} has neither an identifier nor an address"
        ));
    }
    Ok(std::slice::from_ref(found))
}

/// The cmdlet for the members of a row that may be a group. A row of an unknown kind may be a group. If it is not, it
/// has no members to read and fails the filter.
fn group_kind(row: &RecipientRecord) -> Option<GroupKind> {
    match row.nature() {
        Nature::Group(kind) => Some(kind),
        Nature::Unclear => row.has_kind().then_some(GroupKind::Distribution),
        Nature::Individual => None,
    }
}

fn object_id(row: &RecipientRecord) -> Option<ObjectId> {
    row.object_id.as_deref().and_then(ObjectId::parse)
}

fn address(row: &RecipientRecord) -> Option<SmtpAddress> {
    let text = row.primary_smtp_address.as_deref()?;
    SmtpAddress::parse(text).ok()
}

/// R39: the accounts that a run may change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RunScope {
    #[default]
    All,
    /// Any address of a mailbox or account names it.
    Only(BTreeSet<SmtpAddress>),
}

impl RunScope {
    /// Whether an account with any of these addresses may be written to.
    pub fn allows<'a>(&self, addresses: impl IntoIterator<Item = &'a SmtpAddress>) -> bool {
        match self {
            Self::All => true,
            Self::Only(named) => addresses.into_iter().any(|address| named.contains(address)),
        }
    }

    /// Without addresses all accounts are in the scope.
    pub fn of(named: &BTreeSet<SmtpAddress>) -> Self {
        if named.is_empty() {
            Self::All
        } else {
            Self::Only(named.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SmtpAddress {
        SmtpAddress::parse(text).unwrap()
    }

    #[test]
    fn r13_a_claimed_domain_is_equal_without_case_and_has_no_sub_domains() {
        let domains = ClaimedDomains::new(["Corp.Example "]);
        assert!(domains.holds(&address("a@CORP.example")));
        assert!(!domains.holds(&address("a@sub.corp.example")));
        assert!(!domains.holds(&SmtpAddress::verbatim("corp.example")));
        for domain in ["BÜCHER.example", "xn--bcher-kva.example"] {
            let domains = ClaimedDomains::new([domain]);
            for text in ["a@bücher.example", "a@XN--BCHER-KVA.example"] {
                assert!(domains.holds(&address(text)), "{domain} {text}");
            }
            assert!(!domains.holds(&address("a@bucher.example")));
        }
    }

    #[test]
    fn r15_an_entry_is_a_substring_or_a_wildcard_over_the_whole_address() {
        for (entry, text, expected) in [
            ("anna", "anna@corp.example", true),
            ("ANNA@", "joanna@corp.example", true),
            ("anna*", "joanna@corp.example", false),
            ("*@corp.example", "joanna@corp.example", true),
            ("a*@*.example", "anna@corp.example", true),
            ("a*z@corp.example", "anna@corp.example", false),
            ("*", "anna@corp.example", true),
            ("an*an@corp.example", "an@corp.example", false),
            ("a*a*@corp.example", "aa@corp.example", true),
            ("*a@corp.example*e", "a@corp.example", false),
            ("*@bücher.example", "anna@xn--bcher-kva.example", true),
            ("@xn--bcher-kva.example", "anna@bücher.example", true),
            ("BÜCH", "anna@xn--bcher-kva.example", true),
            ("", "anna@corp.example", false),
            (" ", "anna@corp.example", false),
        ] {
            let filter = TargetFilter::new([entry]);
            assert_eq!(
                filter.matched(&address(text)).is_some(),
                expected,
                "{entry:?} {text:?}"
            );
        }
    }

    #[test]
    fn r15_every_entry_is_counted() {
        let filter = TargetFilter::new(["anna", "bert"]);
        let addresses = [address("anna@corp.example"), address("joanna@corp.example")];
        let counts = filter.counts(addresses.iter());
        assert_eq!(format!("{counts:?}"), r#"{"anna": 2, "bert": 0}"#);
    }
}
