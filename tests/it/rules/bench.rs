//! Helpers for the tests of rules: small worlds, and short texts that show the result.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use cloud_sync::{
    domain::{
        mode::{Mode, Trigger},
        plan::Action,
        report::{ActionOutcome, Report},
    },
    engine::RunRequest,
    sandbox::{
        exchange::{Tenant, guid},
        zivver::{Group, Organisation, User},
    },
    state::lock::Lease,
};
use serde_json::Value;

use crate::world::World;

pub(super) const DOMAIN: &str = "corp.example";

/// `ann` becomes `ann@corp.example`. A text with an `@` stays as it is.
pub(super) fn at(local: &str) -> String {
    if local.contains('@') {
        local.to_owned()
    } else {
        format!("{local}@{DOMAIN}")
    }
}

/// The object id of the mailbox that was made with this address.
pub(super) fn id(local: &str) -> String {
    guid(&format!("entra {}", at(local).to_lowercase()))
}

pub(super) fn tenant() -> Tenant {
    Tenant::new(DOMAIN)
}

/// User mailboxes of these people.
pub(super) fn people(names: &[&str]) -> Tenant {
    names
        .iter()
        .fold(tenant(), |tenant, name| tenant.user(&at(name)))
}

pub(super) fn organisation() -> Organisation {
    Organisation::new([DOMAIN])
}

/// The account of a person, tied to the mailbox.
pub(super) fn account(local: &str) -> User {
    User::new(&at(local), local)
        .key(&id(local))
        .external_account_id(&id(local))
}

/// A functional account, tied to its mailbox.
pub(super) fn desk(local: &str) -> Group {
    Group::new(&at(local), local).external_account_id(&id(local))
}

/// Accounts that are in sync with [`people`] of these names.
pub(super) fn accounts(names: &[&str]) -> Organisation {
    names.iter().fold(organisation(), |organisation, name| {
        organisation.with_user(account(name))
    })
}

/// Removes the domain of the organisation.
pub(super) fn short(text: &str) -> String {
    text.replace("@corp.example", "@")
}

/// The report of a run in short: outcome, actions with their outcomes, what is held, who was left alone.
pub(super) fn shown(report: &Report) -> String {
    let mut lines = vec![format!(
        "{:?}{}",
        report.outcome,
        match report.converged {
            Some(true) => ", converged",
            Some(false) => ", differs",
            None => "",
        }
    )];
    lines.extend(report.error.iter().map(|error| format!("error: {error}")));
    for action in &report.actions {
        let outcome = match action.outcome {
            ActionOutcome::Planned | ActionOutcome::Applied => String::new(),
            ActionOutcome::Partly
            | ActionOutcome::Refused
            | ActionOutcome::Failed
            | ActionOutcome::Remaining => format!(" {:?}", action.outcome),
        };
        let mut line = format!(
            "{:?} {}{outcome}",
            action.action.kind, action.action.address
        );
        for change in &action.action.changes {
            write!(line, "; {:?}", change.attribute).unwrap();
            for gone in &change.before {
                write!(line, " -{gone}").unwrap();
            }
            for come in &change.after {
                write!(line, " +{come}").unwrap();
            }
        }
        lines.push(line);
        lines.extend(action.problems.iter().map(|text| format!("  ! {text}")));
    }
    for held in &report.held {
        for change in &held.changes {
            lines.push(format!(
                "held {:?}: {} {} {:?} -> {:?}",
                held.class, change.what, change.address, change.before, change.after
            ));
        }
    }
    for action in &report.differences {
        lines.push(format!("differs: {:?} {}", action.kind, action.address));
    }
    for note in &report.skipped {
        lines.push(format!("{} {:?}: {}", note.rule, note.code, note.address));
    }
    short(&lines.join("\n"))
}

/// Ids of Zivver with their addresses.
fn labels(world: &World) -> BTreeMap<String, String> {
    let state = world.sandbox.zivver.state();
    let users = state
        .users
        .iter()
        .map(|user| (user.id.clone(), user.user_name.clone()));
    let groups = state
        .groups
        .iter()
        .map(|group| (group.id.clone(), group.external_id.clone()));
    users.chain(groups).collect()
}

/// Object ids with the names of their mailboxes.
fn owners(world: &World) -> BTreeMap<String, String> {
    world.sandbox.exchange.read(|tenant| {
        tenant
            .mailboxes
            .iter()
            .filter(|mailbox| !mailbox.edoid.is_empty())
            .map(|mailbox| {
                let name = short(&mailbox.primary_smtp_address);
                (mailbox.edoid.clone(), format!("id of {name}"))
            })
            .collect()
    })
}

/// Every request to Zivver other than GET, in order: method, account, body without `schemas`, status.
pub(super) fn writes(world: &World) -> Vec<String> {
    let labels = labels(world);
    let owners = owners(world);
    let journal = world.sandbox.zivver.control().journal();
    let writes = journal.iter().filter(|entry| entry.method != "GET");
    let shown = writes.map(|entry| {
        let path = entry
            .path
            .strip_prefix("/api/scim/v2/")
            .unwrap_or(&entry.path);
        let (collection, of) = path.split_once('/').unwrap_or((path, ""));
        let of = labels.get(of).map_or(of, String::as_str);
        let mut body: Value = serde_json::from_str(&entry.body).unwrap();
        let schemas = body.as_object_mut().unwrap().remove("schemas");
        assert!(schemas.is_some(), "schemas are always sent");
        let mut text = body.to_string();
        for (urn, name) in [
            ("urn:ietf:params:scim:schemas:zivver:0.1:User", "zivver"),
            ("urn:ietf:params:scim:schemas:zivver:0.1:Group", "zivver"),
        ] {
            text = text.replace(urn, name);
        }
        for (id, label) in labels.iter().chain(&owners) {
            text = text.replace(id, label);
        }
        let status = entry
            .status
            .map_or("lost".to_owned(), |status| status.to_string());
        short(&format!(
            "{} {collection} {of} {} {status}",
            entry.method,
            text.replace('"', "")
        ))
    });
    shown.collect()
}

/// The number of writes that Zivver received.
pub(super) fn write_count(world: &World) -> usize {
    let journal = world.sandbox.zivver.control().journal();
    journal.iter().filter(|entry| entry.method != "GET").count()
}

/// The whole content of Zivver including hidden keys, one line for each account, by address.
pub(super) fn zivver(world: &World) -> String {
    let labels = labels(world);
    let owners = owners(world);
    let owner = |id: &Option<String>| match id {
        Some(id) => owners.get(id).cloned().unwrap_or_else(|| id.clone()),
        None => "none".to_owned(),
    };
    let set = |name: &str, texts: Vec<String>| {
        let mut texts = texts;
        texts.sort();
        if texts.is_empty() {
            String::new()
        } else {
            format!(" {name}=[{}]", texts.join(" "))
        }
    };
    let state = world.sandbox.zivver.state();
    let users = state.users.iter().map(|user| {
        format!(
            "{} {:?}{} key={} ext={}{}{}",
            user.user_name,
            user.name,
            if user.active { "" } else { " suspended" },
            owner(&user.sso_account_key),
            owner(&user.external_account_id),
            set("aliases", user.aliases.clone()),
            set("delegates", user.delegates.clone()),
        )
    });
    let groups = state.groups.iter().map(|group| {
        let members = group.members.iter();
        let members = members.map(|id| labels.get(id).unwrap_or(id).clone());
        format!(
            "{} {:?} functional ext={}{}{}",
            group.external_id,
            group.display_name,
            owner(&group.external_account_id),
            set("aliases", group.aliases.clone()),
            set("members", members.collect()),
        )
    });
    let mut lines: Vec<String> = users.chain(groups).collect();
    lines.sort();
    short(&lines.join("\n"))
}

/// Codes of the notes about one address, in order.
pub(super) fn notes(report: &Report, local: &str) -> Vec<String> {
    let address = at(local);
    let notes = report.skipped.iter().filter(|note| note.address == address);
    notes.map(|note| format!("{:?}", note.code)).collect()
}

pub(super) fn user(world: &World, local: &str) -> User {
    let state = world.sandbox.zivver.state();
    state
        .user(&at(local))
        .unwrap_or_else(|| panic!("no user {local}"))
        .clone()
}

pub(super) fn group(world: &World, local: &str) -> Group {
    let state = world.sandbox.zivver.state();
    state
        .group(&at(local))
        .unwrap_or_else(|| panic!("no functional account {local}"))
        .clone()
}

/// A new process with a new token, since those of the sandbox are valid for a day.
pub(super) async fn renew_token(world: World) -> World {
    let token = world.sandbox.exchange.identity().mint();
    world.again_with(&[("ACCESS_TOKEN", &token)]).await
}

/// A lock for tests that wait for its end, and how long that takes.
pub(super) fn short_lease() -> (Lease, Duration) {
    let lease = Lease {
        margin: Duration::from_millis(100),
        ..Lease::of(Duration::from_secs(2))
    };
    (lease, lease.length + 2 * lease.margin)
}

/// Kills a run after Zivver received this number of writes. The storage uses the real clock for the end of the lock.
pub(super) async fn killed_after(world: World, writes: usize) -> World {
    killed_after_approving(world, writes, &[]).await
}

/// The same for a run that was started with these codes.
pub(super) async fn killed_after_approving(world: World, writes: usize, codes: &[&str]) -> World {
    let (lease, over) = short_lease();
    let world = world.again(&[], Some(lease)).await;
    let enough = async {
        while write_count(&world) < writes {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let mut request = RunRequest::new(Mode::Apply, Trigger::CommandLine);
    request.approve = codes.iter().map(ToString::to_string).collect();
    tokio::select! {
        ended = world.engine.run(&request) => panic!("{ended:?}"),
        () = enough => {}
    }
    world.sandbox.zivver.control().clear_faults();
    std::thread::sleep(over);
    world.again_with(&[]).await
}

/// Clears the journals of both services.
pub(super) fn forget(world: &World) {
    world.sandbox.zivver.control().clear_journal();
    world.sandbox.exchange.control().clear_journal();
}

/// Asserts that nothing is left to do.
#[track_caller]
pub(super) fn assert_converged(report: &Report) {
    assert_eq!(report.error, None);
    assert_eq!(report.converged, Some(true), "{}", shown(report));
}

/// A second run writes nothing (R38).
pub(super) async fn assert_stable(world: &World) {
    forget(world);
    let again = world.apply().await;
    assert_eq!(again.error, None);
    assert_eq!(writes(world), [""; 0], "{}", shown(&again));
    assert_eq!(again.actions, []);
}

/// Gives a mailbox another address; the old one stays as an alias if `keeps`.
pub(super) fn readdress(tenant: &mut Tenant, from: &str, to: &str, keeps: bool) {
    let mailbox = tenant.mailbox_mut(&at(from)).unwrap();
    mailbox.primary_smtp_address = at(to);
    mailbox.user_principal_name = at(to);
    mailbox
        .email_addresses
        .retain(|entry| !entry.ends_with(&at(to)) && !entry.starts_with("SMTP:"));
    mailbox.email_addresses.push(format!("SMTP:{}", at(to)));
    if keeps {
        mailbox.email_addresses.push(format!("smtp:{}", at(from)));
    }
}

/// The apply after a preview knows more about the origin of a change (R44).
pub(super) fn without_origins(action: &Action) -> Action {
    let mut action = action.clone();
    for change in &mut action.changes {
        change.origins.clear();
    }
    action
}
