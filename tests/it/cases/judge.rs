//! Compares the expectations of a case with Zivver and with the report.

use std::collections::{BTreeMap, BTreeSet};

use cloud_sync::{
    domain::{guard::Class, report::Report},
    sandbox::zivver::{Organisation, User},
};
use serde_json::{Value, json};

use super::{file::Night, play::Play, start::object_id};

pub(super) fn class_name(class: Class) -> String {
    let Value::String(name) = json!(class) else {
        panic!("a class is a text");
    };
    name
}

/// Each expectation that does not hold, with the actual value.
pub(super) async fn judge(play: &Play, night: &Night) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, value) in &night.expect {
        let judged = match key.as_str() {
            "health" => health(play, value).await,
            "error" => error(play, night, value.as_str().unwrap()),
            key => in_zivver(play, key, value)
                .or_else(|| in_report(play, key, value))
                .unwrap_or_else(|| Err(format!("no such expectation: {key}"))),
        };
        wrong.extend(judged.err().map(|found| format!("{key}: {found}")));
    }
    wrong
}

type Judged = Result<(), String>;

fn same<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T) -> Judged {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{found:?} instead of {expected:?}"))
    }
}

fn texts(value: &Value) -> BTreeSet<String> {
    serde_json::from_value(value.clone()).unwrap()
}

fn by_address<T: serde::de::DeserializeOwned>(value: &Value) -> BTreeMap<String, T> {
    serde_json::from_value(value.clone()).unwrap()
}

/// An expectation about the account with this local part; `None` for a key of another kind.
fn of_account(organisation: &Organisation, key: &str, value: &Value) -> Option<Judged> {
    let (kind, local) = key.split_once("_of_")?;
    let is_meant = |address: &str| address.split('@').next() == Some(local);
    let mut users = organisation.users.iter();
    let user = users.find(|user| is_meant(&user.user_name));
    let mut groups = organisation.groups.iter();
    let group = groups.find(|group| is_meant(&group.external_id));
    let set = |texts: &Vec<String>| texts.iter().cloned().collect();
    let found: Option<BTreeSet<String>> = match kind {
        "members" => group.map(|group| named(organisation, &group.members)),
        "delegates" => user.map(|user| set(&user.delegates)),
        "aliases" => {
            let aliases = group.map(|group| &group.aliases);
            user.map(|user| &user.aliases).or(aliases).map(set)
        }
        _ => return None,
    };
    Some(same(&found, &Some(texts(value))))
}

/// `None` for a key of another kind.
fn in_zivver(play: &Play, key: &str, value: &Value) -> Option<Judged> {
    let organisation = play.world.sandbox.zivver.state();
    if let Some(judged) = of_account(&organisation, key, value) {
        return Some(judged);
    }
    Some(match key {
        "writes" => same(&json!(writes(play).len()), value).map_err(|found| {
            let writes = writes(play).join("; ");
            format!("{found}: {writes}")
        }),
        "created" => {
            let created = play.accounts().difference(&play.accounts_before).count();
            same(&json!(created), value)
        }
        "suspended" => each(&texts(value), |address| {
            is_active(&organisation, address) == Some(false)
        }),
        "active" => all_of(&by_address(value), |address| {
            is_active(&organisation, address)
        }),
        "name_of" => all_of(&by_address(value), |address| {
            let user = organisation.user(address).map(|user| user.name.clone());
            let group = organisation.group(address);
            user.or_else(|| Some(group?.display_name.clone()))
        }),
        "sign_in_key_of" => {
            let expected: BTreeMap<String, String> = by_address(value);
            let keys = expected.into_iter().map(|(address, text)| {
                let key = match text.strip_prefix("the object id of ") {
                    Some(name) => object_id(name),
                    None => text,
                };
                (address, key)
            });
            all_of(&keys.collect(), |address| {
                organisation.user(address)?.sso_account_key.clone()
            })
        }
        "account_of_object" => all_of(&by_address(value), |object| {
            let id = play.owners.get(&object_id(object))?;
            Some(name_of(&organisation, id))
        }),
        "nobody_active_without_mailbox" => {
            let left: Vec<&String> = active_without_mailbox(play, &organisation)
                .into_iter()
                .map(|user| &user.user_name)
                .collect();
            same(&left.is_empty(), &value.as_bool().unwrap())
                .map_err(|_| format!("active without a mailbox: {left:?}"))
        }
        _ => return None,
    })
}

fn in_report(play: &Play, key: &str, value: &Value) -> Option<Judged> {
    let Some(report) = &play.report else {
        return Some(Err("there is no report".into()));
    };
    let held = report.held.iter();
    Some(match key {
        "held" => {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for set in held {
                *counts.entry(class_name(set.class)).or_default() += set.changes.len();
            }
            same(&counts, &by_address(value)).map_err(|found| {
                let changes = report.held.iter().flat_map(|set| &set.changes);
                let changes = changes.map(|it| format!("{} {}", it.address, it.in_words()));
                format!("{found}: {}", shortened(changes))
            })
        }
        "held_sets" => same(&json!(held.count()), value),
        "held_changes_at_least" => {
            let changes: usize = held.map(|set| set.changes.len()).sum();
            let least = usize::try_from(value.as_u64().unwrap()).unwrap();
            if changes >= least {
                Ok(())
            } else {
                Err(format!("{changes} instead of {least} or more"))
            }
        }
        "outcome" => same(&json!(report.outcome), value),
        "converged_apart_from_held" => same(&json!(report.converged), value),
        "named" => each(&texts(value), |of| is_named(report, of)),
        "notes_for" => each(&texts(value), |of| is_noted(report, of)),
        "no_notes_for" => each(&texts(value), |of| !is_noted(report, of)),
        "notes_name_command" | "notes_say" => {
            let wanted = value.as_str().unwrap();
            let mut notes = report.skipped.iter();
            if notes.any(|note| note.text.contains(wanted)) {
                Ok(())
            } else {
                Err(format!("{wanted:?} is in none of: {}", shown_notes(report)))
            }
        }
        "notes_say_who_can_still_sign_in" => {
            let organisation = play.world.sandbox.zivver.state();
            let untold = active_without_mailbox(play, &organisation);
            let untold: Vec<&String> = untold
                .into_iter()
                .map(|user| &user.user_name)
                .filter(|address| {
                    let mut notes = report.skipped.iter();
                    !notes.any(|note| {
                        note.address == **address && note.text.contains("can still sign in")
                    })
                })
                .collect();
            same(&untold.is_empty(), &value.as_bool().unwrap())
                .map_err(|_| format!("nothing says it of {untold:?}: {}", shown_notes(report)))
        }
        _ => return None,
    })
}

async fn health(play: &Play, value: &Value) -> Judged {
    let (status, body) = play.health().await;
    same(&json!(status), value).map_err(|found| format!("{found}: {body}"))
}

/// The error of a run that must not succeed.
fn error(play: &Play, night: &Night, expected: &str) -> Judged {
    let Some(error) = &play.error else {
        return Err("the run had none".into());
    };
    let says = match expected {
        "an address that nobody has" => night.accounts.iter().all(|it| error.contains(it)),
        "source incomplete" | "target incomplete" => error.contains(expected),
        other => return Err(format!("no such error: {other}")),
    };
    if says {
        Ok(())
    } else {
        Err(format!("{error:?} does not say {expected:?}"))
    }
}

/// Method and account of each.
fn writes(play: &Play) -> Vec<String> {
    let organisation = play.world.sandbox.zivver.state();
    let journal = play.world.sandbox.zivver.control().journal();
    let writes = journal.iter().filter(|entry| entry.method != "GET");
    writes
        .map(|entry| {
            let (_, id) = entry.path.rsplit_once('/').unwrap();
            format!("{} {}", entry.method, name_of(&organisation, id))
        })
        .collect()
}

fn named(organisation: &Organisation, ids: &[String]) -> BTreeSet<String> {
    ids.iter().map(|id| name_of(organisation, id)).collect()
}

/// The address of the account with this id, or the id.
fn name_of(organisation: &Organisation, id: &str) -> String {
    let user = organisation.users.iter().find(|user| user.id == *id);
    let group = organisation.groups.iter().find(|group| group.id == *id);
    let user = user.map(|user| &user.user_name);
    let group = group.map(|group| &group.external_id);
    let name = user.or(group).filter(|name| !name.is_empty());
    name.map_or(id, String::as_str).to_owned()
}

fn is_active(organisation: &Organisation, address: &str) -> Option<bool> {
    let user = organisation.user(address).map(|user| user.active);
    let group = organisation.group(address);
    user.or_else(|| Some(!group?.members.is_empty()))
}

/// Active users of the claimed domains whose own mailbox is gone. A user who was never seen with a mailbox is judged by
/// the address.
fn active_without_mailbox<'a>(play: &Play, organisation: &'a Organisation) -> Vec<&'a User> {
    play.world.sandbox.exchange.read(|tenant| {
        let has_mailbox = |user: &User| {
            let mut owners = play.owners.iter();
            let owner = owners.find(|(_, id)| **id == user.id);
            tenant.mailboxes.iter().any(|mailbox| match owner {
                Some((object, _)) => mailbox.edoid == *object,
                None => mailbox
                    .primary_smtp_address
                    .eq_ignore_ascii_case(&user.user_name),
            })
        };
        let users = organisation.users.iter().filter(|user| {
            let (_, domain) = user.user_name.split_once('@').unwrap_or_default();
            organisation.claimed_domains.iter().any(|it| it == domain)
        });
        users
            .filter(|user| user.active && !has_mailbox(user))
            .collect()
    })
}

/// Matches the address of a note. Any other text is also searched for in the texts of notes.
fn is_noted(report: &Report, of: &str) -> bool {
    report.skipped.iter().any(|note| {
        note.address == of
            || (!of.contains('@') && (note.text.contains(of) || note.address.contains(of)))
    })
}

/// Whether the report says that an account is not as it should be.
fn is_named(report: &Report, address: &str) -> bool {
    let held = report.held.iter().flat_map(|set| &set.changes);
    let held = held.map(|change| &change.address);
    let failed = report.failed.iter().map(|failed| &failed.address);
    let differ = report.differences.iter().map(|action| &action.address);
    let mut all = held.chain(failed).chain(differ);
    is_noted(report, address) || all.any(|named| named.as_str() == address)
}

fn shown_notes(report: &Report) -> String {
    shortened(report.skipped.iter().map(|note| {
        format!(
            "{} {:?} {}: {}",
            note.rule, note.code, note.address, note.text
        )
    }))
}

fn shortened(lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    let more = lines.len().saturating_sub(8);
    let more = if more > 0 {
        format!("; and {more} more")
    } else {
        String::new()
    };
    format!("[{}{more}]", lines[..lines.len().min(8)].join("; "))
}

fn each(of: &BTreeSet<String>, holds: impl Fn(&str) -> bool) -> Judged {
    let wrong: Vec<&String> = of.iter().filter(|one| !holds(one)).collect();
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("not so for {wrong:?}"))
    }
}

fn all_of<T: PartialEq + std::fmt::Debug>(
    expected: &BTreeMap<String, T>,
    found: impl Fn(&str) -> Option<T>,
) -> Judged {
    let wrong: Vec<String> = expected
        .iter()
        .filter_map(|(of, wanted)| {
            let found = found(of);
            (found.as_ref() != Some(wanted))
                .then(|| format!("{of}: {found:?} instead of {wanted:?}"))
        })
        .collect();
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join(", "))
    }
}
