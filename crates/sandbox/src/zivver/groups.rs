//! Writes to functional accounts.

use super::accounts::{self, Kind, check_aliases, check_division, check_primary};
use super::answer::{Answer, Refusal};
use super::organisation::{Group, same};
use super::store::{Place, Store};
use super::switches::GroupExternalId;
use super::wire::{Extension, GroupBody, Operation, PatchBody, ValueBody};

/// Drops aliases; members must exist.
pub(super) fn create(store: &mut Store, body: &[u8]) -> Result<Answer, Refusal> {
    let (body, extension) = GroupBody::parse(body, &store.org.switches)?;
    let address = body.external_id.filter(|address| !address.is_empty());
    let address = address.ok_or_else(|| Refusal::malformed("externalId: missing"))?;
    let display_name = body
        .display_name
        .ok_or_else(|| Refusal::malformed("displayName: missing"))?;
    check_primary(store, Kind::Group, &address)?;
    let division = body.enterprise.and_then(|enterprise| enterprise.division);
    check_division(store, division.as_ref())?;
    let members = members(store, body.members.unwrap_or_default()).ok_or(Refusal::UnknownInSet)?;
    let extension = extension.unwrap_or_default();
    let aliases = extension
        .aliases
        .filter(|_| store.org.switches.group_post_keeps_aliases)
        .unwrap_or_default();
    check_aliases(store, None, &aliases)?;
    let group = Group {
        id: store.org.new_id(),
        external_id: store.cased(address),
        display_name,
        members,
        created: store.today(),
        division: Some(division.unwrap_or_else(|| "/".to_owned())),
        aliases: accounts::stored(store, aliases),
        external_account_id: extension
            .external_account_id
            .filter(|_| store.org.switches.external_account_id_on_post),
    };
    let index = store.org.groups.len();
    store.org.groups.push(group);
    store.enter(Place::Group(index));
    Ok(accounts::answer(store, Place::Group(index), 201))
}

/// Ignores `members: []`. Everything is checked before anything is stored.
pub(super) fn update(store: &mut Store, index: usize, body: &[u8]) -> Result<Answer, Refusal> {
    let (body, extension) = GroupBody::parse(body, &store.org.switches)?;
    let place = Place::Group(index);
    let division = body.enterprise.and_then(|enterprise| enterprise.division);
    check_division(store, division.as_ref())?;
    let address = check_external_id(store, index, body.external_id)?;
    let listed = members(store, body.members.unwrap_or_default()).ok_or(Refusal::MemberNotFound)?;
    if let Some(aliases) = extension
        .as_ref()
        .and_then(|extension| extension.aliases.as_ref())
    {
        check_aliases(store, Some(place), aliases)?;
    }

    if let Some(address) = address {
        store.rename_group(index, &address);
    }
    store.changed();
    let keeps_omitted = store.org.switches.omitted_is_kept;
    let group = &mut store.org.groups[index];
    if let Some(display_name) = body.display_name {
        group.display_name = display_name;
    }
    if division.is_some() || !keeps_omitted {
        group.division = division;
    }
    if !listed.is_empty() {
        set_members(store, index, listed);
    }
    if let Some(extension) = extension {
        replace_extension(store, index, extension);
    }
    Ok(accounts::answer(store, place, 200))
}

fn check_external_id(
    store: &Store,
    index: usize,
    address: Option<String>,
) -> Result<Option<String>, Refusal> {
    let Some(address) =
        address.filter(|address| !same(&store.org.groups[index].external_id, address))
    else {
        return Ok(None);
    };
    match store.org.switches.group_external_id {
        GroupExternalId::Ignored => Ok(None),
        GroupExternalId::Refused => Err(Refusal::malformed("externalId: read-only")),
        GroupExternalId::Renames => {
            check_primary(store, Kind::Group, &address)?;
            Ok(Some(store.cased(address)))
        }
    }
}

fn replace_extension(store: &mut Store, index: usize, extension: Extension) {
    let erases = store.org.switches.group_put_erases;
    if extension.aliases.is_some() || erases {
        let aliases = accounts::stored(store, extension.aliases.unwrap_or_default());
        store.set_aliases(Place::Group(index), &aliases);
    }
    if extension.external_account_id.is_some() || erases {
        store.org.groups[index].external_account_id = extension.external_account_id;
    }
}

pub(super) fn patch(store: &mut Store, index: usize, body: &[u8]) -> Result<Answer, Refusal> {
    let patch = PatchBody::parse(body)?;
    let mut result = store.org.groups[index].members.clone();
    for operation in patch.operations {
        result = operate(store, result, operation)?;
    }
    store.changed();
    set_members(store, index, result);
    Ok(accounts::answer(store, Place::Group(index), 200))
}

fn operate(
    store: &Store,
    current: Vec<String>,
    operation: Operation,
) -> Result<Vec<String>, Refusal> {
    let Operation { op, path, value } = operation;
    let unsupported = || Refusal::malformed(format!("unsupported operation: {op} {path}"));
    match (op.as_str(), path.as_str(), value) {
        ("remove", "members", None) => Ok(Vec::new()),
        ("replace", "members", Some(value)) => {
            let listed = members(store, value).ok_or(Refusal::MemberNotFound)?;
            // As in a PUT, an empty list changes nothing.
            Ok(if listed.is_empty() { current } else { listed })
        }
        ("add", "members", Some(value)) if store.org.switches.patch_add => {
            let mut all = current;
            for id in members(store, value).ok_or(Refusal::MemberNotFound)? {
                if !all.contains(&id) {
                    all.push(id);
                }
            }
            Ok(all)
        }
        ("remove", path, None) if store.org.switches.patch_filtered_remove => {
            let id = path
                .strip_prefix("members[value eq \"")
                .and_then(|rest| rest.strip_suffix("\"]"));
            let id = id.ok_or_else(unsupported)?;
            Ok(current.into_iter().filter(|member| member != id).collect())
        }
        _ => Err(unsupported()),
    }
}

/// The ids of the listed members, or `None` if one is not an account of the organisation.
fn members(store: &Store, listed: Vec<ValueBody>) -> Option<Vec<String>> {
    let mut seen = std::collections::HashSet::new();
    let mut ids = Vec::with_capacity(listed.len());
    for ValueBody { value } in listed {
        let id = if store.by_id(&value).is_some() {
            value
        } else if store.org.switches.member_addresses {
            let index = store.user_at(&value)?;
            store.org.users[index].id.clone()
        } else {
            return None;
        };
        if seen.insert(id.clone()) {
            ids.push(id);
        }
    }
    Some(ids)
}

fn set_members(store: &mut Store, index: usize, mut listed: Vec<String>) {
    let keeps_itself = store.org.switches.group_keeps_itself;
    let group = &mut store.org.groups[index];
    if keeps_itself && group.members.contains(&group.id) && !listed.contains(&group.id) {
        listed.push(group.id.clone());
    }
    group.members = listed;
}
