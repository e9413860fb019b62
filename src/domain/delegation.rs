//! From the access entries of a mailbox to its delegates (R8–R11).
//!
//! Two functions share one walk: [`questions`] says what Exchange must still be asked, [`resolve`] gives the result once
//! everything was answered. A question that failed makes the delegations unknown, never empty.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    address::SmtpAddress,
    directory::{Directory, Party},
    hash::HashMap,
    ids::ObjectId,
    source::{
        Answers, DirectoryAnswer, GroupKind, MembersAnswer, PermissionAnswer, PermissionEntry,
        Question, RecipientAnswer, RecipientRecord,
    },
};

/// Past this depth of nested groups the delegations are unknown (`exchange-online.md` 6.4).
const GROUP_DEPTH_MAX: usize = 100;

/// Who may open a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delegations {
    Known(Grants),
    /// With the reason in words (R11).
    Unknown(String),
    /// The mailbox vanished between list and read: protected for this run (R11).
    Gone,
}

/// A complete answer: everybody who has Full Access, and what gave nobody a right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Each once, in the order of the parties.
    pub grantees: Box<[Grantee]>,
    pub remarks: BTreeSet<Remark>,
}

/// Who has Full Access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grantee {
    pub party: Party,
    /// The groups that the right came through, outermost first; empty for a direct grant.
    pub through: Box<[String]>,
}

/// An entry that gives nobody a right, for the report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remark {
    /// The SID of a deleted principal (R8).
    DeletedPrincipal(String),
    /// "Not found" for an address or a GUID (R11).
    NotFound(String),
    /// A group that gives no right by itself, with its kind (R10).
    NoRight { group: String, kind: String },
    /// A recipient that is no mailbox of the tenant, with its kind.
    NotAMailbox { name: String, kind: String },
    /// A Deny takes this trustee out (R8).
    Denied(String),
}

/// What must still be asked before [`resolve`] can answer. Empty when nothing is missing.
pub fn questions(
    directory: &Directory,
    groups: &GroupIndex,
    answer: &PermissionAnswer,
    answers: &Answers,
) -> BTreeSet<Question> {
    let mut walk = Walk {
        directory,
        groups,
        answers,
        missing: BTreeSet::new(),
    };
    if let PermissionAnswer::Entries(entries) = answer {
        // The result does not matter: the walk collects what it misses.
        let _unfinished = walk.grants(entries, None);
    }
    walk.missing
}

/// R8–R11 for one mailbox. Precondition: [`questions`] is empty; what is missing nevertheless counts as unknown.
pub fn resolve(
    directory: &Directory,
    groups: &GroupIndex,
    owner: Party,
    answer: &PermissionAnswer,
    answers: &Answers,
) -> Delegations {
    match answer {
        PermissionAnswer::Gone => Delegations::Gone,
        PermissionAnswer::Unread(reason) => Delegations::Unknown(reason.clone()),
        PermissionAnswer::Entries(entries) => {
            let mut walk = Walk {
                directory,
                groups,
                answers,
                missing: BTreeSet::new(),
            };
            match walk.grants(entries, Some(owner)) {
                Ok(grants) => Delegations::Known(grants),
                Err(reason) => Delegations::Unknown(reason),
            }
        }
    }
}

/// Names of the groups in the directory, for R9. Built once per answer to [`Question::GroupDirectory`].
#[derive(Debug, Default)]
pub struct GroupIndex {
    /// `Name`, `Identity`, `Alias` and primary address, lower-cased, to positions in the answer.
    by_name: HashMap<String, BTreeSet<usize>>,
    by_display_name: HashMap<String, BTreeSet<usize>>,
}

impl GroupIndex {
    pub fn new(answers: &Answers) -> Self {
        let mut index = Self::default();
        if let Some(DirectoryAnswer::Complete(groups)) = &answers.directory {
            for (at, group) in groups.iter().enumerate() {
                let names = [
                    &group.name,
                    &group.identity,
                    &group.alias,
                    &group.primary_smtp_address,
                    &group.object_id,
                    &group.guid,
                ];
                for name in names.into_iter().flatten() {
                    index
                        .by_name
                        .entry(name.trim().to_lowercase())
                        .or_default()
                        .insert(at);
                }
                if let Some(name) = &group.display_name {
                    index
                        .by_display_name
                        .entry(name.trim().to_lowercase())
                        .or_default()
                        .insert(at);
                }
            }
        }
        index
    }
}

/// Who a trustee text stands for.
enum Trustee<'a> {
    Party(Party),
    Group(&'a RecipientRecord),
    /// Nobody, with the remark for the report.
    Nobody(Remark),
}

struct Walk<'a> {
    directory: &'a Directory,
    groups: &'a GroupIndex,
    answers: &'a Answers,
    missing: BTreeSet<Question>,
}

/// What entries give, so far.
#[derive(Default)]
struct Gathered {
    grantees: BTreeMap<Party, Vec<String>>,
    remarks: BTreeSet<Remark>,
}

/// The reason why something is unknown, in words.
type Unknown = String;

impl<'a> Walk<'a> {
    fn grants(
        &mut self,
        entries: &[PermissionEntry],
        owner: Option<Party>,
    ) -> Result<Grants, Unknown> {
        if !entries.iter().any(|entry| is_self(entry.user.trim())) {
            return Err("Exchange's answer has no SELF entry, so it is not complete".into());
        }
        let mut grants = Gathered::default();
        let mut denied = BTreeSet::new();
        let mut unknown = None;
        for entry in entries.iter().filter(|entry| counts(entry)) {
            match self.entry(entry, &mut grants, &mut denied) {
                Ok(()) => {}
                // All entries are walked, so that all questions are known at once.
                Err(reason) => least(&mut unknown, reason),
            }
        }
        if let Some(reason) = unknown {
            return Err(reason);
        }
        for party in &denied {
            if grants.grantees.remove(party).is_some() {
                grants
                    .remarks
                    .insert(Remark::Denied(self.directory.label(*party).into()));
            }
        }
        if let Some(owner) = owner {
            grants.grantees.remove(&owner); // R8: the mailbox itself
        }
        let grantees = grants.grantees.into_iter();
        Ok(Grants {
            grantees: grantees
                .map(|(party, through)| Grantee {
                    party,
                    through: through.into(),
                })
                .collect(),
            remarks: grants.remarks,
        })
    }

    fn entry(
        &mut self,
        entry: &PermissionEntry,
        grants: &mut Gathered,
        denied: &mut BTreeSet<Party>,
    ) -> Result<(), Unknown> {
        match self.trustee(entry.user.trim())? {
            Trustee::Nobody(remark) => {
                grants.remarks.insert(remark);
            }
            Trustee::Party(party) if entry.deny => {
                denied.insert(party);
            }
            Trustee::Party(party) => {
                grants.grantees.insert(party, Vec::new());
            }
            Trustee::Group(group) if entry.deny => {
                denied.extend(self.denied_members(group, &mut grants.remarks)?);
            }
            Trustee::Group(group) => self.expand(group, grants)?,
        }
        Ok(())
    }

    /// R9. Each step is asked only where the one before found nobody.
    fn trustee(&mut self, text: &str) -> Result<Trustee<'a>, Unknown> {
        let key = text.to_lowercase();
        if is_sid(&key) {
            // R8: the well-known ones were left out before.
            return Ok(Trustee::Nobody(Remark::DeletedPrincipal(text.into())));
        }
        for found in [
            self.directory.with_upn(&key),
            self.directory.with_address(&key),
            self.directory.with_id(&key),
        ] {
            match found {
                [] => {}
                [party] => return Ok(Trustee::Party(*party)),
                _ => return Err(format!("the trustee {text:?} fits more than one mailbox")),
            }
        }
        let Some(directory) = &self.answers.directory else {
            self.missing.insert(Question::GroupDirectory);
            return Err("the groups were not read".into());
        };
        let DirectoryAnswer::Complete(groups) = directory else {
            return Err(format!(
                "the trustee {text:?} may be a group, and the groups could not be read"
            ));
        };
        let mailboxes = self.directory.with_name(&key);
        let named = self.groups.by_name.get(&key);
        match (mailboxes, named.map_or(0, BTreeSet::len)) {
            ([party], 0) => return Ok(Trustee::Party(*party)),
            ([], 1) => return Ok(group_at(groups, named)),
            ([], 0) => {}
            _ => {
                return Err(format!(
                    "the trustee {text:?} fits more than one mailbox or group"
                ));
            }
        }
        let displayed = self.groups.by_display_name.get(&key);
        match displayed.map_or(0, BTreeSet::len) {
            0 => self.ask(text),
            1 => Ok(group_at(groups, displayed)),
            _ => Err(format!("the trustee {text:?} fits more than one group")),
        }
    }

    /// The look-up of what neither a mailbox nor a group of the directory is called.
    fn ask(&mut self, text: &str) -> Result<Trustee<'a>, Unknown> {
        // One question for all spellings.
        let key = text.to_lowercase();
        match self.answers.recipients.get(&key) {
            None => {
                self.missing.insert(Question::Recipient(key));
                Err(format!("the trustee {text:?} was not looked up"))
            }
            Some(RecipientAnswer::Found(recipient)) => self.found(text, recipient),
            // R11: an answer only for an address or a GUID.
            Some(RecipientAnswer::NotFound) if !is_bare_name(text) => {
                Ok(Trustee::Nobody(Remark::NotFound(text.into())))
            }
            Some(RecipientAnswer::NotFound) => Err(format!(
                "the trustee {text:?} is only a name, and Exchange finds nothing of that name"
            )),
            Some(RecipientAnswer::Ambiguous) => {
                Err(format!("the trustee {text:?} fits more than one recipient"))
            }
            Some(RecipientAnswer::Failed(reason)) => Err(format!(
                "the trustee {text:?} could not be looked up: {reason}"
            )),
        }
    }

    fn found(&self, text: &str, recipient: &'a RecipientRecord) -> Result<Trustee<'a>, Unknown> {
        if GroupKind::from_recipient_type(&recipient.recipient_type_details).is_some() {
            return Ok(Trustee::Group(recipient));
        }
        let Some(party) = self.member(recipient)? else {
            return Ok(Trustee::Nobody(not_a_mailbox(recipient)?));
        };
        // A hit is taken by its id (`exchange-online.md` 6.3), unless it shows that R9 forbids the way to it.
        if is_bare_name(text) && is_only_shown_as(text, recipient) {
            return Err(format!(
                "the trustee {text:?} is only the alias or the display name of a mailbox"
            ));
        }
        Ok(Trustee::Party(party))
    }

    /// The mailbox that a recipient is, by its object id (R10), else by its GUID.
    fn member(&self, recipient: &RecipientRecord) -> Result<Option<Party>, Unknown> {
        let ids = [&recipient.object_id, &recipient.guid];
        for id in ids.into_iter().flatten() {
            let found = ObjectId::parse(id).map(|id| self.directory.with_object_id(&id));
            match found.unwrap_or_default() {
                [] => {}
                [party] => return Ok(Some(*party)),
                _ => {
                    return Err(format!(
                        "the object id {id} is that of more than one mailbox"
                    ));
                }
            }
        }
        Ok(None)
    }

    /// R8: a Deny of a group takes all its members out; one that cannot be expanded makes it unknown.
    fn denied_members(
        &mut self,
        group: &'a RecipientRecord,
        remarks: &mut BTreeSet<Remark>,
    ) -> Result<BTreeSet<Party>, Unknown> {
        let kind = GroupKind::from_recipient_type(&group.recipient_type_details);
        if kind != Some(GroupKind::Security) {
            return Err(format!(
                "access is denied to {:?}, a group that cannot be expanded",
                name(group)
            ));
        }
        let mut inner = Gathered::default();
        self.expand(group, &mut inner)?;
        // Who is behind a distribution list in it has no token of the group, so that the Deny does not reach him.
        remarks.extend(inner.remarks);
        Ok(inner.grantees.into_keys().collect())
    }

    /// R10: nested security groups to any depth, safe against cycles.
    fn expand(&mut self, group: &'a RecipientRecord, grants: &mut Gathered) -> Result<(), Unknown> {
        let mut seen = BTreeSet::new();
        let mut unknown = None;
        let mut level = vec![(group, Vec::new())];
        for _ in 0..GROUP_DEPTH_MAX {
            let mut next = Vec::new();
            for (group, above) in level {
                match self.group(group, &above, &mut seen, grants) {
                    Ok(nested) => next.extend(nested),
                    Err(reason) => least(&mut unknown, reason),
                }
            }
            if next.is_empty() {
                return unknown.map_or(Ok(()), Err);
            }
            level = next;
        }
        Err(format!(
            "the group {:?} is nested deeper than {GROUP_DEPTH_MAX} levels",
            name(group)
        ))
    }

    /// One group: its mailboxes go to `grants`, its security groups are returned with the path to them.
    fn group(
        &mut self,
        group: &'a RecipientRecord,
        above: &[String],
        seen: &mut BTreeSet<String>,
        grants: &mut Gathered,
    ) -> Result<Vec<(&'a RecipientRecord, Vec<String>)>, Unknown> {
        let label = name(group);
        if !group.has_kind() {
            return Err(format!(
                "Exchange does not say what kind of group {label:?} is"
            ));
        }
        let kind = GroupKind::from_recipient_type(&group.recipient_type_details);
        // As a trustee it does not work (`exchange-online.md` 6.2), inside another one it gives its members a right.
        if kind == Some(GroupKind::PlainSecurity) && !above.is_empty() {
            return Err(format!(
                "the group {label:?} has no mail, so it cannot be expanded by object id"
            ));
        }
        if kind != Some(GroupKind::Security) {
            let kind = group.recipient_type_details.clone();
            grants.remarks.insert(Remark::NoRight {
                group: label.into(),
                kind,
            });
            return Ok(Vec::new());
        }
        let identity = members_identity(group).ok_or_else(|| {
            format!("the group {label:?} has no identifier, so its members cannot be asked for")
        })?;
        if !seen.insert(identity.clone()) {
            return Ok(Vec::new());
        }
        let members = match self.answers.members.get(&identity) {
            Some(MembersAnswer::Complete(members)) => members,
            Some(MembersAnswer::Failed(reason)) => {
                return Err(format!(
                    "the members of the group {label:?} could not be read: {reason}"
                ));
            }
            None => {
                let kind = GroupKind::Security;
                self.missing.insert(Question::Members { identity, kind });
                return Err(format!("the members of the group {label:?} were not read"));
            }
        };
        let mut path = above.to_vec();
        path.push(label.to_owned());
        let mut nested = Vec::new();
        let mut unknown = None;
        for member in members {
            if GroupKind::from_recipient_type(&member.recipient_type_details).is_some() {
                nested.push((member, path.clone()));
                continue;
            }
            match self.member(member) {
                Ok(Some(party)) => {
                    let via = grants.grantees.entry(party).or_insert_with(|| path.clone());
                    if (path.len(), &path) < (via.len(), via) {
                        via.clone_from(&path);
                    }
                }
                Ok(None) => match not_a_mailbox(member) {
                    Ok(remark) => drop(grants.remarks.insert(remark)),
                    Err(reason) => least(&mut unknown, reason),
                },
                Err(reason) => least(&mut unknown, reason),
            }
        }
        unknown.map_or(Ok(nested), Err)
    }
}

/// R9, R11: neither an address nor a GUID. A name may well have an `@` in it.
fn is_bare_name(text: &str) -> bool {
    SmtpAddress::parse(text).is_err() && ObjectId::parse(text).is_none()
}

/// R9: whether a recipient has this text as its alias or display name, and not as its name. Neither need be unique.
pub(super) fn is_only_shown_as(text: &str, recipient: &RecipientRecord) -> bool {
    let is_called = |names: [&Option<String>; 2]| {
        let mut names = names.into_iter().flatten();
        names.any(|name| name.trim().to_lowercase() == text.to_lowercase())
    };
    !is_called([&recipient.name, &recipient.identity])
        && is_called([&recipient.alias, &recipient.display_name])
}

/// Keeps one reason of several, whatever the order in which they came (R25).
fn least(unknown: &mut Option<Unknown>, reason: Unknown) {
    if unknown.as_ref().is_none_or(|kept| reason < *kept) {
        *unknown = Some(reason);
    }
}

/// The identity by which the members of a group are asked for: never its name, which need not be unique
/// (`exchange-online.md` 6.4).
pub fn members_identity(group: &RecipientRecord) -> Option<String> {
    [&group.object_id, &group.guid]
        .into_iter()
        .flatten()
        .find_map(|id| Some(ObjectId::parse(id)?.to_string()))
}

fn group_at<'a>(groups: &'a [RecipientRecord], at: Option<&BTreeSet<usize>>) -> Trustee<'a> {
    let at = at
        .and_then(|set| set.first().copied())
        .expect("the caller counted one");
    Trustee::Group(&groups[at])
}

fn name(recipient: &RecipientRecord) -> &str {
    [
        &recipient.display_name,
        &recipient.name,
        &recipient.primary_smtp_address,
        &recipient.identity,
        &recipient.object_id,
        &recipient.guid,
    ]
    .into_iter()
    .flatten()
    .map(|text| text.trim())
    .find(|text| !text.is_empty())
    .unwrap_or("(no name)")
}

/// A recipient that is none of the mailboxes that were read. A user mailbox among them was lost from the list, or came
/// after it: then who may open is not known in full (R1, R11).
fn not_a_mailbox(recipient: &RecipientRecord) -> Result<Remark, Unknown> {
    let address = recipient.primary_smtp_address.as_deref().map(str::trim);
    let label = address
        .filter(|address| !address.is_empty())
        .unwrap_or_else(|| name(recipient));
    if !recipient.has_kind() {
        return Err(format!(
            "Exchange does not say what kind of recipient {label} is"
        ));
    }
    if recipient.is_user_mailbox() {
        return Err(format!(
            "{label} is a user mailbox, but the mailbox list does not show it"
        ));
    }
    Ok(Remark::NotAMailbox {
        name: label.into(),
        kind: recipient.recipient_type_details.clone(),
    })
}

/// R8, and `exchange-online.md` 6.1: Full Access, not inherited, not the system's.
fn counts(entry: &PermissionEntry) -> bool {
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

/// Whether a text in lower case is a SID, and not the name or the address of somebody who is called like one.
fn is_sid(text: &str) -> bool {
    text.strip_prefix("s-1-").is_some_and(|rest| {
        rest.split('-')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

fn is_self(user: &str) -> bool {
    user.eq_ignore_ascii_case("NT AUTHORITY\\SELF") || user.eq_ignore_ascii_case("S-1-5-10")
}
