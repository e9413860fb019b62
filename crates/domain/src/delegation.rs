//! From the access entries of a mailbox to its delegates (R8–R11).
//!
//! Two functions share one walk: [`questions`] says what must still be asked of Exchange, [`resolve`] gives the result
//! once everything was answered. A question that failed makes the delegations unknown, never empty.

mod gathered;

use std::collections::BTreeSet;

use gathered::Gathered;

use super::{
    address::SmtpAddress,
    directory::{Directory, Party},
    ids::ObjectId,
    outsider::Outsider,
    source::{
        Answers, DirectoryAnswer, GroupKind, MembersAnswer, Nature, PermissionAnswer,
        PermissionEntry, Question, RecipientAnswer, RecipientRecord,
    },
    trustee::{DeadEntry, counts, is_bare_name, is_down_level, is_self, is_sid},
};

pub use super::group_index::GroupIndex;

/// Beyond this depth of nested groups the delegations are unknown (`docs/specs/exchange-online.md`, "6.4 Groups").
const GROUP_DEPTH_MAX: usize = 100;

/// Who may open a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delegations {
    Known(Grants),
    /// With the reason in words and a remedy (R11).
    Unknown(String),
    /// The mailbox vanished between list and read: protected for this run (R11).
    Gone,
}

/// A complete answer: all trustees with Full Access, and the entries that give no right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Each once, in the order of the parties.
    pub grantees: Box<[Grantee]>,
    /// Others with Full Access, who are not a mailbox that was read (R12).
    pub outsiders: Box<[Outsider]>,
    pub remarks: BTreeSet<Remark>,
}

/// A mailbox with Full Access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grantee {
    pub party: Party,
    /// The groups that the right came through, outermost first; empty for a direct grant.
    pub through: Box<[String]>,
}

/// An entry that gives no right, for the report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remark {
    /// The SID of a deleted principal (R8).
    DeletedPrincipal(DeadEntry),
    /// "Not found" for an address, a GUID or a down-level name (R9, R11).
    NotFound(DeadEntry),
    /// A group that gives no right by itself, with its kind (R10).
    NoRight { group: String, kind: String },
    /// A Deny removes the right of this trustee (R8).
    Denied(String),
}

/// What must still be asked before [`resolve`] can answer. Empty if nothing is missing.
pub fn questions(
    directory: &Directory,
    groups: &GroupIndex,
    owner: Party,
    answer: &PermissionAnswer,
    answers: &Answers,
) -> BTreeSet<Question> {
    let mut walk = Walk {
        directory,
        groups,
        owner,
        answers,
        missing: BTreeSet::new(),
    };
    if let PermissionAnswer::Entries(entries) = answer {
        // The result does not matter: the walk collects the questions.
        let _unfinished = walk.grants(entries);
    }
    walk.missing
}

/// R8–R11 for one mailbox. Precondition: [`questions`] is empty. An answer that is missing anyway makes the delegations
/// unknown.
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
                owner,
                answers,
                missing: BTreeSet::new(),
            };
            match walk.grants(entries) {
                Ok(grants) => Delegations::Known(grants),
                Err(reason) => Delegations::Unknown(reason),
            }
        }
    }
}

/// What a trustee text stands for.
enum Trustee<'a> {
    Party(Party),
    Group(&'a RecipientRecord),
    Outsider(Outsider),
    /// No mailbox, with the remark for the report.
    NoPerson(Remark),
}

struct Walk<'a> {
    directory: &'a Directory,
    groups: &'a GroupIndex,
    /// The mailbox that the permissions belong to.
    owner: Party,
    answers: &'a Answers,
    missing: BTreeSet<Question>,
}

/// The reason why something is unknown, in words, with the remedy.
type Unknown = String;

impl<'a> Walk<'a> {
    fn grants(&mut self, entries: &[PermissionEntry]) -> Result<Grants, Unknown> {
        if !entries.iter().any(|entry| is_self(entry.user.trim())) {
            return Err(
                "Exchange's answer has no SELF entry, so it is not complete; run again, and if it stays so, compare with \
                 `Get-MailboxPermission` and ask Microsoft's support"
                    .into(),
            );
        }
        let mut allowed = Gathered::default();
        let mut denied = Gathered::default();
        let mut unknown = None;
        for entry in entries.iter().filter(|entry| counts(entry)) {
            match self.entry(entry, &mut allowed, &mut denied) {
                Ok(()) => {}
                // All entries are walked, so that all questions are known at once.
                Err(reason) => least(&mut unknown, reason),
            }
        }
        if let Some(reason) = unknown {
            return Err(reason);
        }
        allowed.deny(denied, self.directory);
        allowed.grantees.remove(&self.owner); // R8: the mailbox itself
        let grantees = allowed.grantees.into_iter();
        Ok(Grants {
            grantees: grantees
                .map(|(party, through)| Grantee {
                    party,
                    through: through.into(),
                })
                .collect(),
            outsiders: allowed.outsiders.into_values().collect(),
            remarks: allowed.remarks,
        })
    }

    fn entry(
        &mut self,
        entry: &PermissionEntry,
        allowed: &mut Gathered,
        denied: &mut Gathered,
    ) -> Result<(), Unknown> {
        let trustee = self.trustee(entry)?;
        let gathered = if entry.deny { denied } else { allowed };
        match trustee {
            Trustee::NoPerson(remark) => {
                gathered.remarks.insert(remark);
            }
            Trustee::Party(party) => gathered.add(party, &[]),
            Trustee::Outsider(outsider) => gathered.add_outsider(outsider, &[]),
            Trustee::Group(group) if entry.deny && !is_expandable(group) => {
                return Err(format!(
                    "access is denied to {:?}, a group that cannot be expanded; {}",
                    group.label(),
                    self.replace(entry)
                ));
            }
            // The members of a distribution list inside a group do not get the group in their token, so a Deny does not
            // apply to them.
            Trustee::Group(group) => self.expand(entry, group, gathered)?,
        }
        Ok(())
    }

    /// What a person can do about an entry whose trustee is ambiguous. R11 keeps the delegates until then.
    fn replace(&self, entry: &PermissionEntry) -> String {
        let removal = DeadEntry::of(entry).removal(self.directory.label(self.owner));
        let verb = if entry.deny { "deny" } else { "grant" };
        format!(
            "remove the entry with `{removal}`, and {verb} access by the address of a person or of a mail-enabled security group"
        )
    }

    /// R9. Each step is asked only if the one before found no recipient.
    fn trustee(&mut self, entry: &PermissionEntry) -> Result<Trustee<'a>, Unknown> {
        let text = entry.user.trim();
        let key = text.to_lowercase();
        if is_sid(&key) {
            // R8: the well-known ones were left out before.
            return Ok(Trustee::NoPerson(Remark::DeletedPrincipal(DeadEntry::of(
                entry,
            ))));
        }
        let found = self.mailbox(entry, &key)?;
        let is_own = found == Some(self.owner) && !is_bare_name(&key);
        if let Some(party) = found.filter(|_| !is_own) {
            return Ok(Trustee::Party(party));
        }
        let Some(directory) = &self.answers.directory else {
            self.missing.insert(Question::GroupDirectory);
            return Err("the groups were not read; run again".into());
        };
        let groups = match directory {
            DirectoryAnswer::Complete(groups) => groups,
            DirectoryAnswer::Failed(reason) => {
                return Err(format!(
                    "the trustee {text:?} may be a group, and the groups could not be read: {reason}"
                ));
            }
        };
        let named = self.groups.by_name.get(&key);
        let mut called = named.into_iter().flatten();
        if is_own && !called.any(|at| has_name(&groups[*at], &key)) {
            return Ok(Trustee::Party(self.owner));
        }
        let mailboxes = self.directory.with_name(&key);
        match (mailboxes, named.map_or(0, BTreeSet::len)) {
            // Only Exchange can tell which mailbox it means.
            ([_], 0) if self.directory.is_shown_elsewhere(&key) => return self.ask(entry),
            ([party], 0) => return Ok(Trustee::Party(*party)),
            ([], 1) => return Ok(group_at(groups, named)),
            ([], 0) => {}
            _ => {
                return Err(format!(
                    "the trustee {text:?} fits more than one mailbox or group; {}",
                    self.replace(entry)
                ));
            }
        }
        let displayed = self.groups.by_display_name.get(&key);
        match displayed.map_or(0, BTreeSet::len) {
            0 => self.ask(entry),
            1 => Ok(group_at(groups, displayed)),
            _ => Err(format!(
                "the trustee {text:?} fits more than one group; {}",
                self.replace(entry)
            )),
        }
    }

    /// The mailbox that has this text as UPN, as an address or as an id.
    fn mailbox(&self, entry: &PermissionEntry, key: &str) -> Result<Option<Party>, Unknown> {
        let by_address = || self.directory.with_address(&SmtpAddress::verbatim(key));
        let found = match self.directory.with_upn(key) {
            [] => match by_address() {
                [] => self.directory.with_id(key),
                found => found,
            },
            found => found,
        };
        match found {
            [] => Ok(None),
            [party] => Ok(Some(*party)),
            _ => Err(format!(
                "the trustee {:?} fits more than one mailbox; {}",
                entry.user.trim(),
                self.replace(entry)
            )),
        }
    }

    /// Looks up a trustee that neither a mailbox nor a group of the directory certainly matches.
    fn ask(&mut self, entry: &PermissionEntry) -> Result<Trustee<'a>, Unknown> {
        let text = entry.user.trim();
        // One question for all spellings of the text.
        let key = text.to_lowercase();
        match self.answers.recipients.get(&key) {
            None => {
                self.missing.insert(Question::Recipient(key));
                Err(format!("the trustee {text:?} was not looked up; run again"))
            }
            Some(RecipientAnswer::Found(recipient)) => self.found(entry, recipient),
            // R9, R11: an answer only for an address, a GUID or a down-level name.
            Some(RecipientAnswer::NotFound) if !is_bare_name(text) || is_down_level(text) => {
                Ok(Trustee::NoPerson(Remark::NotFound(DeadEntry::of(entry))))
            }
            Some(RecipientAnswer::NotFound) => Err(format!(
                "the trustee {text:?} is only a name, and Exchange finds nothing of that name; {}",
                self.replace(entry)
            )),
            Some(RecipientAnswer::Ambiguous) => Err(format!(
                "the trustee {text:?} fits more than one recipient; {}",
                self.replace(entry)
            )),
            Some(RecipientAnswer::Failed(reason)) => Err(format!(
                "the trustee {text:?} could not be looked up: {reason}"
            )),
        }
    }

    fn found(
        &self,
        entry: &PermissionEntry,
        recipient: &'a RecipientRecord,
    ) -> Result<Trustee<'a>, Unknown> {
        let text = entry.user.trim();
        if matches!(recipient.nature(), Nature::Group(_)) {
            return Ok(Trustee::Group(recipient));
        }
        let Some(party) = self.member(recipient)? else {
            let address = SmtpAddress::parse(text).is_ok().then_some(text);
            return Outsider::new(recipient, address).map(Trustee::Outsider);
        };
        // A hit is taken by its id (`docs/specs/exchange-online.md`, "6.3 Matching"), unless it matched in a way that
        // R9 does not allow.
        if is_bare_name(text) && is_only_shown_as(text, recipient) {
            return Err(format!(
                "the trustee {text:?} is only the alias or the display name of a mailbox; {}",
                self.replace(entry)
            ));
        }
        Ok(Trustee::Party(party))
    }

    /// The mailbox of a recipient, found by object id (R10), otherwise by GUID.
    fn member(&self, recipient: &RecipientRecord) -> Result<Option<Party>, Unknown> {
        let ids = [&recipient.object_id, &recipient.guid];
        for id in ids.into_iter().flatten() {
            let found = ObjectId::parse(id).map(|id| self.directory.with_object_id(&id));
            match found.unwrap_or_default() {
                [] => {}
                [party] => return Ok(Some(*party)),
                _ => {
                    return Err(format!(
                        "the object id {id} is that of more than one mailbox; run again"
                    ));
                }
            }
        }
        Ok(None)
    }

    /// R10: nested security groups to any depth, each group once, so that cycles end.
    fn expand(
        &mut self,
        entry: &PermissionEntry,
        group: &'a RecipientRecord,
        grants: &mut Gathered,
    ) -> Result<(), Unknown> {
        let mut seen = BTreeSet::new();
        let mut unknown = None;
        let mut level = vec![(group, Vec::new())];
        for _ in 0..GROUP_DEPTH_MAX {
            let mut next = Vec::new();
            for (group, above) in level {
                match self.group(entry, group, &above, &mut seen, grants) {
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
            "the group {:?} is nested deeper than {GROUP_DEPTH_MAX} levels; {}",
            group.label(),
            self.replace(entry)
        ))
    }

    /// One group: its mailboxes are added to `grants`, its groups are returned with the path to them.
    fn group(
        &mut self,
        entry: &PermissionEntry,
        group: &'a RecipientRecord,
        above: &[String],
        seen: &mut BTreeSet<String>,
        grants: &mut Gathered,
    ) -> Result<Vec<(&'a RecipientRecord, Vec<String>)>, Unknown> {
        let label = group.label();
        if let Some(remark) = gives_no_right(group) {
            grants.remarks.insert(remark);
            return Ok(Vec::new());
        }
        if !is_expandable(group) {
            return Err(format!("{}; {}", obscure(group), self.replace(entry)));
        }
        let identity = members_identity(group).ok_or_else(|| {
            format!(
                "the group {label:?} has no identifier, so its members cannot be asked for; {}",
                self.replace(entry)
            )
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
            Some(MembersAnswer::NotFound) => {
                return Err(format!(
                    "Exchange does not find the group {label:?} any more; run again"
                ));
            }
            None => {
                let kind = GroupKind::Security;
                self.missing.insert(Question::Members { identity, kind });
                return Err(format!(
                    "the members of the group {label:?} were not read; run again"
                ));
            }
        };
        let mut path = above.to_vec();
        path.push(label.to_owned());
        let mut nested = Vec::new();
        let mut unknown = None;
        for member in members {
            match self.member_of_group(member, &path, grants) {
                Ok(true) => nested.push((member, path.clone())),
                Ok(false) => {}
                Err(reason) => least(&mut unknown, reason),
            }
        }
        unknown.map_or(Ok(nested), Err)
    }

    /// Adds a member of a group, unless it is a group itself. Returns whether it is.
    fn member_of_group(
        &self,
        member: &RecipientRecord,
        path: &[String],
        grants: &mut Gathered,
    ) -> Result<bool, Unknown> {
        if matches!(member.nature(), Nature::Group(_)) {
            return Ok(true);
        }
        match self.member(member)? {
            Some(party) => grants.add(party, path),
            None => grants.add_outsider(Outsider::new(member, None)?, path),
        }
        Ok(false)
    }
}

/// R10: only the members of a security group with mail are asked for.
fn is_expandable(group: &RecipientRecord) -> bool {
    group.nature() == Nature::Group(GroupKind::Security)
}

/// R10: the kinds that give no right by themselves.
fn gives_no_right(group: &RecipientRecord) -> Option<Remark> {
    match group.nature() {
        Nature::Group(
            GroupKind::Distribution
            | GroupKind::Microsoft365
            | GroupKind::Dynamic
            | GroupKind::Role,
        ) => Some(Remark::NoRight {
            group: group.label().into(),
            kind: group.recipient_type_details.clone(),
        }),
        Nature::Group(GroupKind::Security | GroupKind::NonUniversal | GroupKind::PlainSecurity)
        | Nature::Individual
        | Nature::Unclear => None,
    }
}

/// Why it is unknown whether a group gives its members a right.
fn obscure(group: &RecipientRecord) -> String {
    let label = group.label();
    let kind = group.recipient_type_details.trim();
    match group.nature() {
        _ if kind.is_empty() => format!("Exchange does not say what kind of group {label:?} is"),
        Nature::Group(GroupKind::PlainSecurity) => {
            format!("the group {label:?} ({kind}) has no mail, so its members cannot be read")
        }
        Nature::Group(_) | Nature::Individual | Nature::Unclear => format!(
            "the group {label:?} is a {kind}, of which it is not known whether it gives its members a right"
        ),
    }
}

/// R9: whether a text in lower case is the name of a recipient, not its address or alias.
fn has_name(recipient: &RecipientRecord, key: &str) -> bool {
    let names = [&recipient.name, &recipient.identity];
    let mut names = names.into_iter().flatten();
    names.any(|name| name.trim().to_lowercase() == key)
}

/// R9: whether a recipient has this text as its alias or display name, but not as its name. Neither is necessarily
/// unique.
pub(super) fn is_only_shown_as(text: &str, recipient: &RecipientRecord) -> bool {
    let is_called = |names: [&Option<String>; 2]| {
        let mut names = names.into_iter().flatten();
        names.any(|name| name.trim().to_lowercase() == text.to_lowercase())
    };
    !is_called([&recipient.name, &recipient.identity])
        && is_called([&recipient.alias, &recipient.display_name])
}

/// Keeps one of several reasons, independent of the order in which they came (R25).
fn least(unknown: &mut Option<Unknown>, reason: Unknown) {
    if unknown.as_ref().is_none_or(|kept| reason < *kept) {
        *unknown = Some(reason);
    }
}

/// The identity by which the members of a group are asked for. Never its name, which is not necessarily unique
/// (`docs/specs/exchange-online.md`, "6.4 Groups").
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
