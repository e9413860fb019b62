//! Writes to users.

use super::accounts::{self, Kind, check_aliases, check_division, check_primary};
use super::answer::{Answer, Refusal};
use super::organisation::{Mail, User, same};
use super::store::{Place, Store};
use super::switches::UnknownDelegates;
use super::wire::{Extension, UserBody};

/// Forces `active`, drops aliases and delegates, keeps the key.
pub(super) fn create(store: &mut Store, body: &[u8]) -> Result<Answer, Refusal> {
    let (body, extension) = UserBody::parse(body, &store.org.switches)?;
    if let Some(active) = &body.active {
        active.value()?;
    }
    let address = body.user_name.filter(|address| !address.is_empty());
    let address = address.ok_or_else(|| Refusal::malformed("userName: missing"))?;
    let name = body
        .name
        .and_then(|name| name.formatted)
        .ok_or_else(|| Refusal::malformed("name.formatted: missing"))?;
    check_primary(store, Kind::User, &address)?;
    let division = body.enterprise.and_then(|enterprise| enterprise.division);
    check_division(store, division.as_ref())?;
    let extension = extension.unwrap_or_default();
    let keeps_extension = store.org.switches.user_post_keeps_extension;
    let aliases = extension
        .aliases
        .filter(|_| keeps_extension)
        .unwrap_or_default();
    check_aliases(store, None, &aliases)?;
    let user = User {
        id: store.org.new_id(),
        user_name: store.cased(address),
        name,
        nick_name: body.nick_name,
        active: true,
        phone_numbers: values(body.phone_numbers.unwrap_or_default()),
        created: store.today(),
        division: Some(division.unwrap_or_else(|| "/".to_owned())),
        aliases: accounts::stored(store, aliases),
        delegates: Vec::new(),
        external_account_id: extension
            .external_account_id
            .filter(|_| store.org.switches.external_account_id_on_post),
        sso_account_key: extension.key,
        full_admin: false,
        suspended_on: None,
    };
    let index = store.org.users.len();
    store.org.users.push(user);
    store.enter(Place::User(index));
    if keeps_extension {
        delegate(store, index, extension.delegates.unwrap_or_default());
    }
    Ok(accounts::answer(store, Place::User(index), 201))
}

/// Everything is checked before anything is stored.
pub(super) fn update(store: &mut Store, index: usize, body: &[u8]) -> Result<Answer, Refusal> {
    let (body, extension) = UserBody::parse(body, &store.org.switches)?;
    let active = body.active.map(|active| active.value()).transpose()?;
    let division = body.enterprise.and_then(|enterprise| enterprise.division);
    check_division(store, division.as_ref())?;
    let address = body.user_name.map(|address| store.cased(address));
    if let Some(address) = &address {
        check_rename(store, index, address)?;
    }
    if let Some(extension) = &extension {
        check_extension(store, index, address.as_deref(), extension)?;
    }

    if let Some(address) = address {
        rename(store, index, &address);
    }
    store.changed();
    let keeps_omitted = store.org.switches.omitted_is_kept;
    let user = &mut store.org.users[index];
    if let Some(name) = body.name.and_then(|name| name.formatted) {
        user.name = name;
    }
    if let Some(nick_name) = body.nick_name {
        user.nick_name = Some(nick_name);
    }
    if body.phone_numbers.is_some() || !keeps_omitted {
        user.phone_numbers = values(body.phone_numbers.unwrap_or_default());
    }
    if division.is_some() || !keeps_omitted {
        user.division = division;
    }
    if let Some(active) = active {
        store.set_active(index, active);
    }
    if let Some(extension) = extension {
        replace_extension(store, index, extension);
    }
    Ok(accounts::answer(store, Place::User(index), 200))
}

/// Renaming to an alias of the same account is refused until that alias is removed.
fn check_rename(store: &Store, index: usize, address: &str) -> Result<(), Refusal> {
    if same(&store.org.users[index].user_name, address) {
        return Ok(());
    }
    let place = Place::User(index);
    match check_primary(store, Kind::User, address) {
        Err(Refusal::AliasTaken(_))
            if store.org.switches.rename_over_own_addresses
                && store.alias_owners(address) == [place] =>
        {
            Ok(())
        }
        other => other,
    }
}

fn check_extension(
    store: &Store,
    index: usize,
    new: Option<&str>,
    extension: &Extension,
) -> Result<(), Refusal> {
    let old = &store.org.users[index].user_name;
    let mut aliases = extension.aliases.clone().unwrap_or_default();
    if let Some(new) = new {
        if let Some(own) = aliases.iter().find(|alias| same(alias, new)) {
            return Err(Refusal::AliasTaken(own.clone()));
        }
        if store.org.switches.rename_over_own_addresses && !same(old, new) {
            aliases.retain(|alias| !same(alias, old));
        }
    }
    check_aliases(store, Some(Place::User(index)), &aliases)?;
    let mut delegates = extension.delegates.iter().flatten();
    let is_unknown = |delegate: &&String| !is_known_delegate(store, index, delegate);
    match (
        store.org.switches.unknown_delegates,
        delegates.find(is_unknown),
    ) {
        (UnknownDelegates::Refused, Some(unknown)) => {
            Err(Refusal::UnknownDelegate(unknown.clone()))
        }
        _ => Ok(()),
    }
}

fn rename(store: &mut Store, index: usize, address: &str) {
    let old = store.org.users[index].user_name.clone();
    if old == *address {
        return;
    }
    let mut aliases = store.org.users[index].aliases.clone();
    aliases.retain(|alias| !same(alias, address));
    if store.org.switches.rename_keeps_old_as_alias && !same(&old, address) {
        aliases.push(old);
    }
    store.set_aliases(Place::User(index), &aliases);
    store.rename_user(index, address);
}

/// Replaces the extension. Members that are left out are erased.
fn replace_extension(store: &mut Store, index: usize, extension: Extension) {
    let aliases = accounts::stored(store, extension.aliases.unwrap_or_default());
    store.set_aliases(Place::User(index), &aliases);
    let switches = &store.org.switches;
    let (erases_key, erases_id) = (
        switches.put_erases_key,
        switches.put_erases_external_account_id,
    );
    let user = &mut store.org.users[index];
    if extension.key.is_some() || erases_key {
        user.sso_account_key = extension.key;
    }
    if extension.external_account_id.is_some() || erases_id {
        user.external_account_id = extension.external_account_id;
    }
    delegate(store, index, extension.delegates.unwrap_or_default());
}

/// Whether the delegate is known. A delegate that the account already has counts as known, since an organisation may
/// have external ones.
fn is_known_delegate(store: &Store, index: usize, delegate: &str) -> bool {
    store.user_at(delegate).is_some()
        || store.org.users[index]
            .delegates
            .iter()
            .any(|known| same(known, delegate))
}

fn delegate(store: &mut Store, index: usize, delegates: Vec<String>) {
    let mut delegates = accounts::stored(store, delegates);
    match store.org.switches.unknown_delegates {
        UnknownDelegates::Stored => {}
        UnknownDelegates::Dropped | UnknownDelegates::Refused => {
            delegates.retain(|delegate| is_known_delegate(store, index, delegate));
        }
    }
    let user = &mut store.org.users[index];
    let before = std::mem::replace(&mut user.delegates, delegates);
    if store.org.switches.delegates_are_mailed {
        let new = user
            .delegates
            .iter()
            .filter(|delegate| !before.iter().any(|known| same(known, delegate)));
        let mail = |to: &String| Mail {
            to: to.clone(),
            delegate_of: user.user_name.clone(),
        };
        store.org.mails.extend(new.map(mail));
    }
    store.changed();
}

fn values(bodies: Vec<super::wire::ValueBody>) -> Vec<String> {
    bodies.into_iter().map(|body| body.value).collect()
}
