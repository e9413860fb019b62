//! What Zivver shows about a plan whose journal is incomplete (R26, R35).

use super::*;
use crate::{
    account::{Actual, Extension},
    accounts::AccountKind,
    directory::Directory,
    plan::ActionKind,
    source::MailboxRecord,
};

const OWN: &str = "22222222-0000-4000-8000-000000000001";
const OTHER: &str = "22222222-0000-4000-8000-000000000002";

fn planned() -> PlannedAction {
    PlannedAction {
        action: Action {
            kind: ActionKind::Create,
            account: AccountKind::User,
            address: SmtpAddress::verbatim("anna@corp.example"),
            id: None,
            changes: Vec::new(),
            reasons: Vec::new(),
            fingerprint: String::new(),
        },
        before: None,
        occupant: None,
        object_id: ObjectId::parse(OWN),
        delegates: DelegateChanges::default(),
        owners: Owners::default(),
        guarded: BTreeMap::new(),
        approved: BTreeSet::new(),
        key: None,
        begun: None,
    }
}

fn with_account_of(external_id: Option<&str>) -> World {
    let user = UserAccount {
        id: ScimId::new("u1"),
        address: SmtpAddress::verbatim("anna@corp.example"),
        name: "Anna".into(),
        active: true,
        extension: Extension {
            external_account_id: external_id.map(Into::into),
            ..Extension::default()
        },
        delegates: Vec::new(),
    };
    World {
        accounts: Accounts::new(Actual {
            users: vec![user],
            ..Actual::default()
        }),
        ..World::default()
    }
}

fn entry(outcome: ActionOutcome, created: Option<&str>) -> Entry {
    Entry {
        action: 0,
        outcome,
        at: None,
        problems: Vec::new(),
        left: Vec::new(),
        created: created.map(ScimId::new),
    }
}

#[test]
fn r16_an_account_of_another_object_id_is_not_what_a_killed_plan_created() {
    for (external_id, is_taken) in [
        (None, true),
        (Some("tag"), true),
        (Some(OWN), true),
        (Some(OTHER), false),
    ] {
        let created = planned().created_in(None, &with_account_of(external_id).accounts);
        assert_eq!(created.is_some(), is_taken, "{external_id:?}");
    }
}

#[test]
fn r16_r35_the_account_that_the_plan_was_to_move_away_is_not_what_it_created() {
    let accounts = with_account_of(None).accounts;
    let mut create = planned();
    create.occupant = Some(ScimId::new("u1"));
    assert_eq!(create.created_in(None, &accounts), None);
    assert!(!create.changed_in(&accounts));
    create.occupant = Some(ScimId::new("u2"));
    assert_eq!(create.created_in(None, &accounts), Some(ScimId::new("u1")));
    assert!(create.changed_in(&accounts));
}

#[test]
fn r35_a_create_that_nobody_answered_made_the_account_that_is_there_now() {
    let world = with_account_of(None);
    for (entry, expected) in [
        (entry(ActionOutcome::Failed, None), Some("u1")),
        (entry(ActionOutcome::Failed, Some("u2")), Some("u2")),
        (entry(ActionOutcome::Refused, None), None),
        (entry(ActionOutcome::Applied, Some("u2")), Some("u2")),
    ] {
        let created = planned().created_in(Some(&entry), &world.accounts);
        assert_eq!(created.as_ref().map(ScimId::as_str), expected, "{entry:?}");
    }
    let created = planned().created_in(
        Some(&entry(ActionOutcome::Failed, None)),
        &with_account_of(Some(OTHER)).accounts,
    );
    assert_eq!(created, None);
}

fn person(id: &str, local: &str) -> UserAccount {
    UserAccount {
        id: ScimId::new(id),
        address: address(local),
        name: local.into(),
        active: true,
        extension: Extension::default(),
        delegates: Vec::new(),
    }
}

fn address(local: &str) -> SmtpAddress {
    SmtpAddress::verbatim(&format!("{local}@corp.example"))
}

/// Ben is `u2`, with the given address. The desk has these members, Dan these delegates.
fn office(ben: &str, members: &[&str], delegates: &[&str]) -> World {
    let dan = UserAccount {
        delegates: delegates.iter().copied().map(address).collect(),
        ..person("u4", "dan")
    };
    let desk = FunctionalAccount {
        id: ScimId::new("g1"),
        address: address("desk"),
        name: "Desk".into(),
        extension: Extension::default(),
        members: members.iter().copied().map(ScimId::new).collect(),
    };
    let users = vec![person("u1", "ann"), person("u2", ben), dan];
    World {
        accounts: Accounts::new(Actual {
            users,
            groups: vec![desk],
            ..Actual::default()
        }),
        ..World::default()
    }
}

/// Removes Ben from an account of the world before the plan.
fn removal_of_ben(id: &str, world: &World) -> PlannedAction {
    let id = ScimId::new(id);
    let account = world.accounts.get(world.accounts.with_id(&id).unwrap());
    let mut planned = planned();
    planned.action.kind = ActionKind::Update;
    planned.action.account = account.kind();
    planned.action.address = account.address().clone();
    planned.action.changes = vec![AttributeChange {
        attribute: Attribute::Delegates,
        before: vec![address("ben").to_string()],
        after: Vec::new(),
        origins: BTreeMap::new(),
        renamed: BTreeMap::new(),
    }];
    planned.before = Some(before(world, account));
    planned.action.id = Some(id);
    planned.delegates.removed = vec![ScimId::new("u2")];
    planned
}

#[test]
fn r26_who_was_renamed_in_the_same_run_is_still_the_same_delegate() {
    let then = office("ben", &["u1", "u2"], &["ann", "ben"]);
    // Zivver stores delegates by address, and may or may not update them after a rename.
    for (ben, members, delegates, is_made) in [
        (
            "ben",
            ["u1", "u2"].as_slice(),
            ["ann", "ben"].as_slice(),
            false,
        ),
        ("benny", &["u1", "u2"], &["ann", "benny"], false),
        ("benny", &["u1", "u2"], &["ann", "ben"], false),
        ("benny", &["u1"], &["ann"], true),
        ("ben", &["u1"], &["ann"], true),
    ] {
        let now = office(ben, members, delegates);
        for account in ["g1", "u4"] {
            let is_changed = removal_of_ben(account, &then).changed_in(&now.accounts);
            assert_eq!(
                is_changed, is_made,
                "{account} {ben} {members:?} {delegates:?}"
            );
        }
    }
}

#[test]
fn r26_only_what_an_action_changes_tells_whether_it_was_made() {
    let then = office("ben", &["u1", "u2"], &["ann", "ben"]);
    let mut now = then.accounts.actual().clone();
    now.groups[0].name = "Reception".into();
    now.groups[0].extension.aliases = vec![address("reception")];
    now.groups[0].members.push(ScimId::new("u4"));
    let now = World {
        accounts: Accounts::new(now),
        ..World::default()
    };
    assert!(!removal_of_ben("g1", &then).changed_in(&now.accounts));
    let mut naming = removal_of_ben("g1", &then);
    naming.action.changes[0].attribute = Attribute::Name;
    assert!(naming.changed_in(&now.accounts));
}

#[test]
fn r35_what_a_later_run_made_is_not_the_work_of_a_killed_one() {
    let then = office("ben", &["u1", "u2"], &["ann", "ben"]);
    let now = office("ben", &["u1"], &["ann"]);
    let record = |actions| PlanRecord {
        began: None,
        started_by: None,
        actions,
    };
    let removals = |world| vec![removal_of_ben("g1", world), removal_of_ben("u4", world)];
    let killed = record(removals(&then));
    assert_eq!(
        killed.outcomes(&[], Some(&now)),
        [ActionOutcome::Applied; 2]
    );
    // The later run found the desk as it was, and Dan without Ben.
    let later = record(vec![removal_of_ben("g1", &then)]);
    let before = accounts_before(&[(later, Vec::new())], &now.accounts);
    let shown = killed.shown_by(&[], &before);
    let outcomes: Vec<ActionOutcome> = shown.iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes, [ActionOutcome::Remaining, ActionOutcome::Applied]);
    // What the later run created did not exist before it.
    let world = with_account_of(None);
    let create = || record(vec![planned()]);
    let before = accounts_before(&[(create(), Vec::new())], &world.accounts);
    assert_eq!(
        create().shown_by(&[], &before)[0].outcome,
        ActionOutcome::Remaining
    );
}

/// The world after a mailbox of the object id got the address.
fn with_mailbox(object_id: &str, local: &str, world: World) -> World {
    let mailbox = MailboxRecord {
        primary_smtp_address: Some(address(local).to_string()),
        display_name: Some(local.into()),
        recipient_type_details: Some("UserMailbox".into()),
        account_disabled: Some(false),
        object_id: Some(object_id.into()),
        ..MailboxRecord::default()
    };
    World {
        directory: Directory::new(vec![mailbox]),
        ..world
    }
}

#[test]
fn r16_a_create_without_an_outcome_is_looked_up_if_the_mailbox_has_another_address() {
    let record = PlanRecord {
        began: None,
        started_by: None,
        actions: vec![planned()],
    };
    let is_open =
        |entries: &[Entry], world: &World| !record.open_creates(entries, world).is_empty();
    // Zivver refuses a second account at the same address.
    let same = with_mailbox(OWN, "anna", World::default());
    assert!(!is_open(&[], &same));
    for (owner, local) in [(OWN, "anne"), (OTHER, "anna"), (OTHER, "ben")] {
        let world = with_mailbox(owner, local, World::default());
        assert!(is_open(&[], &world), "{owner} {local}");
        for (outcome, created, expected) in [
            (ActionOutcome::Failed, None, true),
            (ActionOutcome::Failed, Some("u1"), false),
            (ActionOutcome::Remaining, None, false),
            (ActionOutcome::Refused, None, false),
            (ActionOutcome::Applied, Some("u1"), false),
        ] {
            let entry = entry(outcome, created);
            let is_open = is_open(std::slice::from_ref(&entry), &world);
            assert_eq!(is_open, expected, "{owner} {local} {entry:?}");
        }
        let listed = with_mailbox(owner, local, with_account_of(None));
        assert!(!is_open(&[], &listed), "{owner} {local}");
    }
}

#[test]
fn r16_r31_an_account_of_another_or_under_another_address_is_not_what_was_looked_up() {
    let found = |external_id| {
        let world = with_account_of(external_id);
        Account::User(world.accounts.actual().users[0].clone())
    };
    let create = |occupant: Option<&str>| {
        let mut action = planned();
        action.occupant = occupant.map(ScimId::new);
        let record = PlanRecord {
            began: None,
            started_by: None,
            actions: vec![action],
        };
        record.open_creates(&[], &World::default()).remove(0)
    };
    let none = Accounts::default();
    assert!(create(None).has_made(&found(None), &none));
    assert!(create(Some("u2")).has_made(&found(Some(OWN)), &none));
    assert!(!create(None).has_made(&found(Some(OTHER)), &none));
    // It had the address before, or has another one by now.
    assert!(!create(Some("u1")).has_made(&found(None), &none));
    let listed = office("ben", &[], &[]).accounts;
    assert!(!create(None).has_made(&found(None), &listed));
}

#[test]
fn r22_r23_r35_a_delegate_at_an_intermediate_address_is_named_in_part_and_the_key_is_written() {
    const ASIDE: &str = "cloud-sync-0123456789ab";
    let then = office("ben", &[], &["ann", "ben"]);
    let mut naming = removal_of_ben("u4", &then);
    naming.delegates = DelegateChanges::default();
    let renamed: BTreeMap<_, _> =
        [(address("ben").to_string(), address("benny").to_string())].into();
    let change = &mut naming.action.changes[0];
    change.before.clear();
    change.after = vec![address("ben").to_string()];
    change.renamed = renamed.clone();
    for (ben, outcome) in [
        ("benny", ActionOutcome::Applied),
        (ASIDE, ActionOutcome::Partly),
    ] {
        let now = office(ben, &[], &["ann", ben]);
        let (shown, _) = naming.made_in(None, &now.accounts).unwrap();
        assert_eq!(shown.outcome, outcome, "{ben}");
        assert!(shown.left.iter().all(|left| left.renamed == renamed));
        assert!(naming.shows_extension(&now.accounts), "{ben}");
    }
    // A leaver keeps such an address.
    let change = &mut naming.action.changes[0];
    change.renamed = [(address("ben").to_string(), address(ASIDE).to_string())].into();
    let now = office(ASIDE, &[], &["ann", ASIDE]);
    let (shown, _) = naming.made_in(None, &now.accounts).unwrap();
    assert_eq!(shown.outcome, ActionOutcome::Applied);
}
