//! Worlds as text, with one object in each line, so that a test needs only a few lines:
//!
//! ```text
//! mailbox anna@ disabled name=Anna alias=a@,b@ id=anna upn=anna@ad.example grants=bert@,Sales
//! shared info@ grants=anna@      other room@ kind=RoomMailbox      rejected broken@ alias=x@
//! people anna@ bert@ disabled  (a mailbox and an account each, with nothing of note)
//! account anna@ off as=u1 name=Anna alias=a@ delegates=bert@ ext=anna
//! broken anna@ as=u1 alias=a@ delegates=bert@  (a user in Zivver that is not understood; delegates=? are not readable)
//! functional info@ as=g1 members=u1
//! group Sales kind=… members=anna@,Inner      groups ?
//! map anna=u1      created anna@ as=u1      gone old@      found old@ MailUser id=old mail=old@,older@      failed old@      ambiguous old@
//! ```
//!
//! `x@` means `x@corp.example`. An object id is a word of at most six letters, by default the local part; `-` means
//! none. `tag` is an `ExternalAccountId` that is not a GUID. A SCIM id and a name are the local part by default.
//! `grants` are trustees with Full Access: `-x` is a Deny, `^x` is inherited, `?` is an answer that failed, `gone` a
//! 404, `noself` an answer without SELF. `addresses` are `EmailAddresses` as listed, `untold` means that the service
//! did not return them.

use std::collections::{BTreeMap, HashMap};

use crate::{
    account::{Actual, Extension, FunctionalAccount, RejectedAccount, UserAccount},
    accounts::{AccountKind, Accounts},
    address::SmtpAddress,
    delegation::{GroupIndex, questions, resolve},
    delta::Target,
    diff::absence_questions,
    directory::{Directory, Party},
    guard::{Class, Limit, Limits},
    held::HeldSet,
    ids::{ObjectId, ScimId},
    matching::{Matching, match_accounts},
    memory::{Baseline, Created, Ineffective, Memory, Spent, WrittenKey},
    mode::Depth,
    plan::{Plan, Wishes, plan},
    scope::{ClaimedDomains, RunScope, SourceFilter, TargetFilter, source_filter},
    source::{
        Answers, DirectoryAnswer, MailboxRecord, MembersAnswer, PermissionAnswer, PermissionEntry,
        Question, RecipientAnswer, RecipientRecord,
    },
    world::{Policy, SsoAccountKey, World},
};

/// Noon of a day, in epoch seconds.
pub(super) const NOW: i64 = 1_800_000_000;

/// The input of a plan.
#[derive(Clone)]
pub(super) struct Scene {
    pub records: Vec<MailboxRecord>,
    /// By primary and object id as written.
    pub permissions: HashMap<(String, String), PermissionAnswer>,
    pub answers: Answers,
    pub actual: Actual,
    pub policy: Policy,
    pub memory: Memory,
    pub wishes: Wishes,
    /// Classes whose held changes are approved when the plan is made again.
    pub approve: Vec<Class>,
    /// R45: whether permissions are read.
    pub depth: Depth,
    /// Whether absence questions stay unanswered.
    unasked: bool,
    /// Whether each sign-in key is written for the first time (R23).
    new_keys: bool,
}

/// A plan with its input.
pub(super) struct Planned {
    pub world: World,
    pub matching: Matching,
    pub plan: Plan,
}

pub(super) fn address(text: &str) -> SmtpAddress {
    SmtpAddress::verbatim(&full(text))
}

/// `x@` as a complete address.
fn full(text: &str) -> String {
    if text.ends_with('@') {
        format!("{text}corp.example")
    } else {
        text.to_owned()
    }
}

/// The object id of a word.
pub(super) fn object_id(word: &str) -> String {
    let digits: Vec<String> = word
        .bytes()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let digits = digits.concat();
    format!("00000000-0000-4000-8000-{digits:0>12}")
}

struct Line<'a> {
    kind: &'a str,
    words: Vec<&'a str>,
    fields: HashMap<&'a str, &'a str>,
}

impl<'a> Line<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split_whitespace();
        let kind = parts.next().unwrap();
        let (mut words, mut fields) = (Vec::new(), HashMap::new());
        for part in parts {
            match part.split_once('=') {
                Some((name, value)) if kind != "map" && !name.contains('@') => {
                    fields.insert(name, value);
                }
                _ => words.push(part),
            }
        }
        Self {
            kind,
            words,
            fields,
        }
    }

    fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    fn list(&self, field: &str) -> Vec<&'a str> {
        let text = self.fields.get(field).copied().unwrap_or("");
        text.split(',').filter(|item| !item.is_empty()).collect()
    }

    fn local(&self) -> &'a str {
        self.words[0].split('@').next().unwrap()
    }

    fn word(&self, field: &str) -> Option<&'a str> {
        self.fields.get(field).copied()
    }

    fn id(&self) -> Option<String> {
        match self.word("id").unwrap_or(self.local()) {
            "-" => None,
            word => Some(object_id(word)),
        }
    }

    fn addresses(&self, field: &str) -> Vec<SmtpAddress> {
        self.list(field).into_iter().map(address).collect()
    }
}

impl Scene {
    pub(super) fn parse(text: &str) -> Self {
        let lines: Vec<Line<'_>> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(Line::parse)
            .collect();
        let mut scene = Self {
            records: Vec::new(),
            permissions: HashMap::new(),
            answers: Answers::default(),
            actual: Actual::default(),
            policy: Policy {
                claimed_domains: ClaimedDomains::new(["corp.example"]),
                target_filter: TargetFilter::default(),
                source_filter: std::collections::BTreeSet::new(),
                source_members: None,
                sso_account_key: SsoAccountKey::ObjectId,
                limits: no_limits(),
                min_source_ratio: 0.5,
                min_target_ratio: 0.5,
            },
            memory: Memory::default(),
            wishes: Wishes {
                now: NOW,
                ..Wishes::default()
            },
            approve: Vec::new(),
            depth: Depth::Full,
            unasked: false,
            new_keys: false,
        };
        for line in &lines {
            scene.line(line);
        }
        scene.groups(&lines);
        for line in lines.iter().filter(|line| line.kind == "source") {
            scene.source(line);
        }
        scene
    }

    fn line(&mut self, line: &Line<'_>) {
        match line.kind {
            "mailbox" | "shared" | "other" | "rejected" => self.mailbox(line),
            "people" => self.people(line),
            "account" => self.actual.users.push(user(line)),
            "functional" => self.actual.groups.push(functional(line)),
            "broken" => self.actual.rejected.push(broken(line)),
            "map" => {
                for pair in &line.words {
                    let (object, scim) = pair.split_once('=').unwrap();
                    let object = ObjectId::parse(&object_id(object)).unwrap();
                    self.memory.mapping.insert(object, ScimId::new(scim));
                }
            }
            "created" => self.created(line),
            "gone" => self.answer(line, RecipientAnswer::NotFound),
            "failed" => self.answer(line, RecipientAnswer::Failed("throttled".into())),
            "ambiguous" => self.answer(line, RecipientAnswer::Ambiguous),
            "found" => {
                let addresses = line.list("mail").into_iter().map(full);
                let record = RecipientRecord {
                    primary_smtp_address: addresses.clone().next(),
                    email_addresses: addresses.map(|address| format!("smtp:{address}")).collect(),
                    recipient_type_details: line.words.get(1).copied().unwrap_or_default().into(),
                    object_id: line.word("id").map(object_id),
                    name: Some(line.word("called").unwrap_or(line.local()).into()),
                    alias: line.word("alias").map(str::to_owned),
                    display_name: line.word("shown").map(str::to_owned),
                    ..RecipientRecord::default()
                };
                self.answer(line, RecipientAnswer::Found(record));
            }
            "domains" => self.policy.claimed_domains = ClaimedDomains::new(&line.words),
            "target" => self.policy.target_filter = TargetFilter::new(&line.words),
            "key" => {
                self.policy.sso_account_key = match line.words[0] {
                    "upn" => SsoAccountKey::UserPrincipalName,
                    "address" => SsoAccountKey::PrimaryAddress,
                    _ => SsoAccountKey::Omit,
                };
            }
            "kept-not" | "made" => self.sent(line),
            "limits" => self.limits(line),
            "spent" => self.memory.spent.push(Spent {
                at: NOW - if line.has("old") { 86_400 } else { 86_399 },
                class: class(line.words[0]),
                count: line.words[1].parse().unwrap(),
            }),
            "baseline" => self.baseline(line),
            "only" => {
                let named = line.words.iter().map(|text| address(text)).collect();
                self.wishes.scope = RunScope::Only(named);
            }
            "written" => {
                self.wishes.written = line.words.iter().map(|it| ScimId::new(it)).collect();
            }
            "stops-first" | "unasked" | "quick" | "new-keys" => self.switch(line.kind),
            "approve" => self.approve = line.words.iter().map(|name| class(name)).collect(),
            "group" | "groups" | "source" => {}
            other => panic!("what is {other:?}?"),
        }
    }

    /// A change of an earlier run, which Zivver kept or not.
    fn sent(&mut self, line: &Line<'_>) {
        let key = line.word("key").unwrap().replace('_', " ");
        let at = NOW - line.word("ago").map_or(0, |text| text.parse().unwrap());
        if line.kind == "made" {
            self.memory.lately.insert(key, at);
            return;
        }
        let entry = Ineffective {
            times: line.word("times").map_or(1, |text| text.parse().unwrap()),
            last: at,
            run: "R1".into(),
            counted_from: line.word("counted").map(str::to_owned),
        };
        self.memory.ineffective.insert(key, entry);
    }

    fn switch(&mut self, name: &str) {
        match name {
            "unasked" => self.unasked = true,
            "quick" => self.depth = Depth::Quick,
            "new-keys" => self.new_keys = true,
            _ => self.wishes.stops_first = true,
        }
    }

    fn created(&mut self, line: &Line<'_>) {
        let address = address(line.words[0]);
        let id = ScimId::new(line.word("as").unwrap_or(line.local()));
        let created = Created { address, at: NOW };
        self.memory.created.insert(id, created);
    }

    fn people(&mut self, line: &Line<'_>) {
        for person in line.words.iter().filter(|word| **word != "disabled") {
            let of = |kind, words| Line {
                kind,
                words,
                fields: HashMap::new(),
            };
            let status = line.has("disabled").then_some("disabled");
            let mailbox = std::iter::once(*person).chain(status).collect();
            self.mailbox(&of("mailbox", mailbox));
            self.actual.users.push(user(&of("account", vec![*person])));
        }
    }

    fn mailbox(&mut self, line: &Line<'_>) {
        let primary = full(line.words[0]);
        let details = match line.kind {
            "mailbox" | "rejected" => "UserMailbox",
            "shared" => "SharedMailbox",
            _ => line.word("kind").unwrap_or("RoomMailbox"),
        };
        let aliases = line.list("alias").into_iter().map(|text| {
            if text.contains(':') {
                text.to_owned()
            } else {
                format!("smtp:{}", full(text))
            }
        });
        let listed = line.word("addresses").map(|_| {
            let entries = line.list("addresses").into_iter();
            let entries = entries.map(|entry| match entry.split_once(':') {
                Some((prefix, address)) => format!("{prefix}:{}", full(address)),
                None => full(entry),
            });
            entries.collect()
        });
        self.records.push(MailboxRecord {
            object_id: line.id(),
            user_principal_name: line.word("upn").map(full),
            primary_smtp_address: Some(primary.clone()),
            display_name: Some(line.word("name").unwrap_or(line.local()).replace('_', " ")),
            email_addresses: listed.or_else(|| {
                (!line.has("untold")).then(|| {
                    std::iter::once(format!("SMTP:{primary}"))
                        .chain(aliases)
                        .collect()
                })
            }),
            recipient_type_details: Some(details.into()),
            account_disabled: (line.kind != "rejected").then(|| line.has("disabled")),
            name: line.word("called").map(str::to_owned),
            guid: line.word("guid").map(object_id),
            ..MailboxRecord::default()
        });
        let key = (primary, line.id().unwrap_or_default());
        self.permissions.insert(key, permissions(line));
    }

    fn answer(&mut self, line: &Line<'_>, answer: RecipientAnswer) {
        let text = line.words[0];
        let keys = match text.strip_prefix('#') {
            Some(word) => object_id(word),
            None => full(text),
        };
        // In lower case, as it is asked (R9).
        self.answers.recipients.insert(keys.to_lowercase(), answer);
    }

    fn limits(&mut self, line: &Line<'_>) {
        if line.has("default") {
            self.policy.limits = Limits::default();
        }
        for (name, value) in &line.fields {
            let limit: Limit = value.replace(';', ",min ").parse().unwrap();
            let limits = &mut self.policy.limits;
            match class(name) {
                Class::Suspend => limits.suspend = limit,
                Class::DelegateRemoval => limits.delegate_removals = limit,
                Class::AliasRemoval => limits.alias_removals = limit,
                Class::Rename => limits.renames = limit,
                Class::NameChange => limits.name_changes = limit,
                Class::Stray => limits.strays = limit,
                Class::Identity => limits.identity_changes = limit,
                Class::Create => limits.creates = limit,
                Class::SignInKey => limits.sign_in_key_changes = limit,
                Class::Undone => panic!("it has no limit to set"),
            }
        }
    }

    fn baseline(&mut self, line: &Line<'_>) {
        let number = |field| line.word(field).map_or(1, |text| text.parse().unwrap());
        let domains = match line.list("domains") {
            domains if domains.is_empty() => vec!["corp.example"],
            domains => domains,
        };
        self.memory.baseline = Some(Baseline {
            mailboxes: number("mailboxes"),
            in_scope: number("in_scope"),
            tenant_id: line.word("tenant").unwrap_or("").into(),
            claimed_domains: domains.into_iter().map(str::to_owned).collect(),
            source_filter: line.list("filter").into_iter().map(str::to_owned).collect(),
            target_filter: line.list("target").into_iter().map(str::to_owned).collect(),
        });
    }

    fn groups(&mut self, lines: &[Line<'_>]) {
        let record = |line: &Line<'_>| RecipientRecord {
            recipient_type_details: line
                .word("kind")
                .unwrap_or("MailUniversalSecurityGroup")
                .into(),
            object_id: line.id(),
            name: Some(line.words[0].into()),
            display_name: line.word("shown").map(str::to_owned),
            primary_smtp_address: line.word("mail").map(full),
            ..RecipientRecord::default()
        };
        let groups: BTreeMap<&str, RecipientRecord> = lines
            .iter()
            .filter(|line| line.kind == "group")
            .map(|line| (line.word("as").unwrap_or(line.words[0]), record(line)))
            .collect();
        for line in lines.iter().filter(|line| line.kind == "group") {
            let members = match line.word("members") {
                Some("?") => MembersAnswer::Failed("throttled".into()),
                _ => MembersAnswer::Complete(
                    line.list("members")
                        .into_iter()
                        .map(|member| self.member(member, &groups))
                        .collect(),
                ),
            };
            self.answers.members.insert(line.id().unwrap(), members);
        }
        self.answers.directory = Some(if lines.iter().any(|line| line.kind == "groups") {
            DirectoryAnswer::Failed("throttled".into())
        } else {
            DirectoryAnswer::Complete(groups.into_values().collect())
        });
    }

    fn member(&self, text: &str, groups: &BTreeMap<&str, RecipientRecord>) -> RecipientRecord {
        if let Some(group) = groups.get(text) {
            return group.clone();
        }
        let primary = full(text);
        if let Some(RecipientAnswer::Found(known)) = self.answers.recipients.get(&primary) {
            return known.clone();
        }
        let row = self
            .records
            .iter()
            .filter(|record| record.primary_smtp_address.as_ref() == Some(&primary))
            .min_by_key(|record| &record.object_id);
        RecipientRecord {
            recipient_type_details: row
                .and_then(|row| row.recipient_type_details.clone())
                .unwrap_or_else(|| "MailUser".into()),
            object_id: row.and_then(|row| row.object_id.clone()),
            primary_smtp_address: Some(primary),
            ..RecipientRecord::default()
        }
    }

    /// `source anna@ info@`: a source filter of one group with these members.
    fn source(&mut self, line: &Line<'_>) {
        let groups = BTreeMap::new();
        let members = line.words.iter().map(|text| self.member(text, &groups));
        let id = object_id("filter");
        let mut answers = Answers::default();
        answers.insert(
            Question::Recipient(id.clone()),
            crate::source::Answer::Recipient(RecipientAnswer::Found(RecipientRecord {
                recipient_type_details: "GroupMailbox".into(),
                object_id: Some(id.clone()),
                ..RecipientRecord::default()
            })),
        );
        answers
            .members
            .insert(id.clone(), MembersAnswer::Complete(members.collect()));
        let SourceFilter::Members(members) = source_filter(std::slice::from_ref(&id), &answers)
        else {
            panic!("the filter was answered");
        };
        self.policy.source_filter.insert("filter".into());
        self.policy.source_members = Some(members);
    }

    pub(super) fn world(&self) -> World {
        let directory = Directory::new(self.records.clone());
        let groups = GroupIndex::new(&self.answers);
        let delegations = directory
            .iter()
            .map(|(ix, mailbox)| {
                let id = mailbox
                    .object_id
                    .map_or_else(String::new, |id| id.to_string());
                let key = (mailbox.primary.to_string(), id.clone());
                let answer = self.permissions.get(&key)?;
                if self.depth == Depth::Quick {
                    return None;
                }
                let owner = Party::Mailbox(ix);
                let open = questions(&directory, &groups, owner, answer, &self.answers);
                assert!(
                    open.iter()
                        .all(|question| matches!(question, Question::Recipient(_))),
                    "{open:?}"
                );
                self.policy
                    .wants_permissions(&directory, ix)
                    .then(|| resolve(&directory, &groups, owner, answer, &self.answers))
            })
            .collect();
        World {
            directory,
            delegations,
            accounts: Accounts::new(self.actual.clone())
                .with_unlisted(self.memory.created_lately()),
            answers: self.answers.clone(),
            depth: self.depth,
            ..World::default()
        }
    }

    pub(super) fn plan(&self) -> Planned {
        let mut world = self.world();
        let matching = match_accounts(&world, &self.policy, &self.memory);
        if !self.unasked {
            for question in absence_questions(&world, &self.policy, &matching) {
                if let Question::Recipient(text) = question {
                    let answer = exchange_answer(&world.directory, &text);
                    world.answers.recipients.insert(text, answer);
                }
            }
        }
        let mut wishes = self.wishes.clone();
        let mut made = plan(&world, &self.policy, &self.memory, &matching, &wishes);
        let memory = if self.new_keys {
            self.memory.clone()
        } else {
            keys_written(self, &world, &made)
        };
        made = plan(&world, &self.policy, &memory, &matching, &wishes);
        if !self.approve.is_empty() {
            let held = made
                .held
                .iter()
                .filter(|set| self.approve.contains(&set.class));
            wishes.approved = held
                .flat_map(HeldSet::approves)
                .map(|change| change.fingerprint.clone())
                .collect();
            made = plan(&world, &self.policy, &memory, &matching, &wishes);
        }
        Planned {
            world,
            matching,
            plan: made,
        }
    }
}

/// The memory of a scene in which every key that a plan writes was written before.
pub(super) fn keys_written(scene: &Scene, world: &World, plan: &Plan) -> Memory {
    let mut memory = scene.memory.clone();
    for delta in plan.proposed.values() {
        if let (Target::Existing(ix), Some(key)) = (delta.target, &delta.key) {
            let key = WrittenKey::of(scene.policy.sso_account_key, key);
            let id = world.accounts.get(ix).id().clone();
            memory.keys.entry(id).or_insert(key);
        }
    }
    memory
}

/// The answer of a tenant with only these mailboxes for an address or an object id.
fn exchange_answer(directory: &Directory, text: &str) -> RecipientAnswer {
    if directory
        .with_address(&SmtpAddress::verbatim(text))
        .is_empty()
        && directory.with_id(text).is_empty()
    {
        return RecipientAnswer::NotFound;
    }
    RecipientAnswer::Found(RecipientRecord {
        recipient_type_details: "UserMailbox".into(),
        ..RecipientRecord::default()
    })
}

fn permissions(line: &Line<'_>) -> PermissionAnswer {
    let entry = |user: &str, deny, inherited| PermissionEntry {
        user: user.to_owned(),
        access_rights: vec!["FullAccess, ReadPermission".into()],
        deny,
        inherited,
    };
    let mut entries = vec![entry("NT AUTHORITY\\SELF", false, false)];
    for text in line.list("grants") {
        match text {
            "?" => return PermissionAnswer::Unread("throttled".into()),
            "gone" => return PermissionAnswer::Gone,
            "noself" => {
                entries.remove(0);
            }
            text => {
                let deny = text.starts_with('-');
                let inherited = text.starts_with('^');
                let user = full(text.trim_start_matches(['-', '^']));
                entries.push(entry(&user, deny, inherited));
            }
        }
    }
    PermissionAnswer::Entries(entries)
}

fn extension(line: &Line<'_>) -> Extension {
    Extension {
        aliases: line.addresses("alias"),
        external_account_id: match (line.word("ext"), line.word("tag")) {
            (Some(word), _) => Some(object_id(word).into()),
            (None, tag) => tag.map(Into::into),
        },
        ..Extension::default()
    }
}

fn user(line: &Line<'_>) -> UserAccount {
    UserAccount {
        id: ScimId::new(line.word("as").unwrap_or(line.local())),
        address: address(line.words[0]),
        name: line.word("name").unwrap_or(line.local()).replace('_', " "),
        active: !line.has("off"),
        extension: extension(line),
        delegates: line.addresses("delegates"),
    }
}

fn broken(line: &Line<'_>) -> RejectedAccount {
    let user = user(line);
    RejectedAccount {
        kind: AccountKind::User,
        id: Some(user.id),
        label: user.address.to_string(),
        address: Some(user.address),
        name: Some(user.name),
        active: true,
        aliases: user.extension.aliases,
        delegates: user.delegates,
        object_id: None,
        reason: "wrong types".into(),
    }
}

fn functional(line: &Line<'_>) -> FunctionalAccount {
    FunctionalAccount {
        id: ScimId::new(line.word("as").unwrap_or(line.local())),
        address: address(line.words[0]),
        name: line.word("name").unwrap_or(line.local()).replace('_', " "),
        extension: extension(line),
        members: line.list("members").into_iter().map(ScimId::new).collect(),
    }
}

fn class(name: &str) -> Class {
    match name {
        "suspend" => Class::Suspend,
        "delegates" => Class::DelegateRemoval,
        "aliases" => Class::AliasRemoval,
        "renames" => Class::Rename,
        "names" => Class::NameChange,
        "strays" => Class::Stray,
        "identity" => Class::Identity,
        "creates" => Class::Create,
        "keys" => Class::SignInKey,
        other => panic!("no class is called {other:?}"),
    }
}

/// No limits, except those that hold every change by default: strays and identity changes.
fn no_limits() -> Limits {
    Limits {
        suspend: Limit::Off,
        delegate_removals: Limit::Off,
        alias_removals: Limit::Off,
        renames: Limit::Off,
        name_changes: Limit::Off,
        strays: Limit::Count(0),
        identity_changes: Limit::Count(0),
        creates: Limit::Off,
        sign_in_key_changes: Limit::Off,
    }
}
