//! What users and functional accounts have in common: addresses, aliases, lists.

use std::fmt::Write as _;

use axum::body::Bytes;
use serde_json::Value;

use super::answer::{Answer, Refusal};
use super::store::{Place, Store};
use super::switches::{Paging, TotalResults};
use super::wire;
use crate::control::random;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    User,
    Group,
}

/// The query of a list.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) filter: Option<String>,
    pub(super) start_index: Option<usize>,
    pub(super) count: Option<usize>,
}

impl Query {
    /// Only the parameters and the filter form that clients are known to use are accepted.
    pub(super) fn parse(query: &str, kind: Kind, paging: Paging) -> Result<Self, Refusal> {
        let mut parsed = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let twice = match name.as_ref() {
                "filter" => parsed.filter.replace(filter(&value, kind)?).is_some(),
                "startIndex" if paging != Paging::Refused => {
                    parsed.start_index.replace(number(&value)?).is_some()
                }
                "count" if paging != Paging::Refused => {
                    parsed.count.replace(number(&value)?).is_some()
                }
                other => {
                    return Err(Refusal::malformed(format!(
                        "unknown query parameter: {other}"
                    )));
                }
            };
            if twice {
                return Err(Refusal::malformed(format!(
                    "query parameter given twice: {name}"
                )));
            }
        }
        Ok(parsed)
    }
}

fn number(text: &str) -> Result<usize, Refusal> {
    text.parse()
        .map_err(|_| Refusal::malformed(format!("not a number: {text}")))
}

/// The address in `userName eq "…"` or `externalId eq "…"`.
fn filter(text: &str, kind: Kind) -> Result<String, Refusal> {
    let attribute = match kind {
        Kind::User => "userName",
        Kind::Group => "externalId",
    };
    text.strip_prefix(attribute)
        .and_then(|rest| rest.strip_prefix(" eq "))
        .and_then(|quoted| serde_json::from_str(quoted).ok())
        .ok_or_else(|| Refusal::malformed(format!("Invalid filter: {text}")))
}

pub(super) fn list(store: &mut Store, kind: Kind, query: &Query) -> Answer {
    store.lists += 1;
    let hidden = std::mem::take(&mut store.hidden);
    let answer = match &query.filter {
        Some(address) => {
            let places = look_up(store, kind, address);
            render(store, &visible(store, places, &hidden), query)
        }
        None if hidden.is_empty()
            && !store.org.switches.lists_reshuffled
            && is_unpaged(store, query) =>
        {
            let cached = match kind {
                Kind::User => store.user_list.clone(),
                Kind::Group => store.group_list.clone(),
            };
            cached.unwrap_or_else(|| {
                let bytes = render(store, &all(store, kind), query);
                match kind {
                    Kind::User => store.user_list = Some(bytes.clone()),
                    Kind::Group => store.group_list = Some(bytes.clone()),
                }
                bytes
            })
        }
        None => render(store, &visible(store, all(store, kind), &hidden), query),
    };
    store.hidden = hidden
        .into_iter()
        .filter_map(|(id, left)| (left > 1).then(|| (id, left - 1)))
        .collect();
    Answer::Json(200, answer)
}

fn is_unpaged(store: &Store, query: &Query) -> bool {
    store.org.switches.paging == Paging::Ignored
        || (query.start_index.is_none() && query.count.is_none())
}

fn look_up(store: &Store, kind: Kind, address: &str) -> Vec<Place> {
    let found = match kind {
        Kind::User => store.user_at(address).map(Place::User),
        Kind::Group => store.group_at(address).map(Place::Group),
    };
    let exact = |place: &Place| {
        store.org.switches.filter_ignores_case || address_of(store, *place) == address
    };
    found.into_iter().filter(exact).collect()
}

fn address_of(store: &Store, place: Place) -> &str {
    match place {
        Place::User(index) => &store.org.users[index].user_name,
        Place::Group(index) => &store.org.groups[index].external_id,
    }
}

fn id_of(store: &Store, place: Place) -> &str {
    match place {
        Place::User(index) => &store.org.users[index].id,
        Place::Group(index) => &store.org.groups[index].id,
    }
}

fn visible(
    store: &Store,
    places: Vec<Place>,
    hidden: &std::collections::HashMap<String, u32>,
) -> Vec<Place> {
    if hidden.is_empty() {
        return places;
    }
    places
        .into_iter()
        .filter(|place| !hidden.contains_key(id_of(store, *place)))
        .collect()
}

/// All accounts of a kind, shuffled by the seed.
fn all(store: &Store, kind: Kind) -> Vec<Place> {
    let mut places: Vec<Place> = match kind {
        Kind::User => (0..store.org.users.len()).map(Place::User).collect(),
        Kind::Group => (0..store.org.groups.len()).map(Place::Group).collect(),
    };
    if store.org.switches.lists_shuffled {
        let mut state = store.org.seed;
        if store.org.switches.lists_reshuffled {
            state = state.wrapping_add(store.lists);
        }
        for index in (1..places.len()).rev() {
            let other = random(&mut state) % (index as u64 + 1);
            places.swap(index, usize::try_from(other).unwrap_or_default());
        }
    }
    places.truncate(store.org.switches.lists_show_max.unwrap_or(usize::MAX));
    places
}

/// Renders a list, including the errors that the switches ask for.
fn render(store: &Store, places: &[Place], query: &Query) -> Bytes {
    let switches = &store.org.switches;
    let mut start = 0;
    let mut count = switches.list_count_max.unwrap_or(usize::MAX);
    if matches!(switches.paging, Paging::Honoured | Paging::PastEndRepeats) {
        start = query.start_index.unwrap_or(1).saturating_sub(1);
        count = query.count.unwrap_or(usize::MAX).min(count);
        if switches.paging == Paging::PastEndRepeats && start >= places.len() {
            start = 0;
        }
    }
    let start = start.min(places.len());
    let end = start.saturating_add(count).min(places.len());
    let page = &places[start..end];
    let kept = &page[..page.len().saturating_sub(switches.list_omits)];
    let repeated = &page[..switches.list_repeats.min(page.len())];

    let mut text = String::with_capacity(64 + 768 * kept.len());
    text.push_str("{\"Resources\":[");
    for (index, place) in kept.iter().chain(repeated).enumerate() {
        if index > 0 {
            text.push(',');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{}", resource(store, *place));
    }
    text.push(']');
    let total = match switches.total_results {
        TotalResults::Right => Some(places.len()),
        TotalResults::Missing => None,
        TotalResults::TooHighBy(by) => Some(places.len() + by),
        TotalResults::TooLowBy(by) => Some(places.len().saturating_sub(by)),
    };
    if let Some(total) = total {
        let _ = write!(text, ",\"totalResults\":{total}");
    }
    if switches.paging_members {
        let _ = write!(
            text,
            ",\"startIndex\":{},\"itemsPerPage\":{}",
            start + 1,
            page.len()
        );
    }
    text.push('}');
    Bytes::from(text)
}

pub(super) fn resource(store: &Store, place: Place) -> Value {
    let switches = &store.org.switches;
    let mut resource = match place {
        Place::User(index) => wire::user(&store.org.users[index], switches),
        Place::Group(index) => wire::group(&store.org.groups[index], switches),
    };
    if let Some(patch) = switches.odd_rows.get(id_of(store, place)) {
        merge(&mut resource, patch);
    }
    resource
}

/// JSON merge patch (RFC 7396).
fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = Value::Object(serde_json::Map::new());
    }
    let Value::Object(members) = value else {
        return;
    };
    for (name, patch) in patch {
        if patch.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), patch);
        }
    }
}

pub(super) fn answer(store: &Store, place: Place, status: u16) -> Answer {
    Answer::Json(status, Bytes::from(resource(store, place).to_string()))
}

/// The account with this id, if it is of this kind.
pub(super) fn by_id(store: &Store, kind: Kind, id: &str) -> Result<Place, Refusal> {
    match (store.by_id(id), kind) {
        (Some(place @ Place::User(_)), Kind::User)
        | (Some(place @ Place::Group(_)), Kind::Group) => Ok(place),
        _ => Err(Refusal::UnknownAccount(
            store.org.switches.unknown_id_status,
            id.to_owned(),
        )),
    }
}

/// Checks whether an account of this kind may get this primary address.
pub(super) fn check_primary(store: &Store, kind: Kind, address: &str) -> Result<(), Refusal> {
    if !store.org.claims(address) || store.is_free_account(address) {
        return Err(Refusal::OutsideOrganization);
    }
    match (kind, store.user_at(address), store.group_at(address)) {
        (Kind::User, Some(_), _) => {
            return Err(Refusal::DuplicateUser(
                store.org.switches.duplicate_user_status,
            ));
        }
        (Kind::User | Kind::Group, None, Some(_)) | (Kind::Group, Some(_), _) => {
            return Err(Refusal::OutsideOrganization);
        }
        (Kind::User | Kind::Group, None, None) => {}
    }
    if store.alias_owners(address).is_empty() {
        Ok(())
    } else {
        Err(Refusal::AliasTaken(address.to_owned()))
    }
}

/// Checks whether this account may get these aliases. Aliases that it already has are not checked again, unless a
/// switch says so.
pub(super) fn check_aliases(
    store: &Store,
    place: Option<Place>,
    aliases: &[String],
) -> Result<(), Refusal> {
    let is_new = |alias: &&String| place.is_none_or(|place| !store.has_alias(place, alias));
    let judges_all = store.org.switches.stored_aliases_judged;
    for alias in aliases.iter().filter(|alias| judges_all || is_new(alias)) {
        if !store.org.claims(alias) {
            return Err(Refusal::AliasNotOwned);
        }
        let is_primary = store.user_at(alias).is_some() || store.group_at(alias).is_some();
        let is_taken = is_primary || !store.alias_owners(alias).is_empty();
        if store.is_free_account(alias) || (is_new(&alias) && is_taken) {
            return Err(Refusal::AliasTaken(alias.clone()));
        }
        if store.is_guest(alias) {
            return Err(Refusal::AliasGuest(alias.clone()));
        }
    }
    Ok(())
}

pub(super) fn check_division(store: &Store, division: Option<&String>) -> Result<(), Refusal> {
    match division {
        Some(name) if !store.org.has_division(name) => Err(Refusal::InvalidDivision(name.clone())),
        Some(_) | None => Ok(()),
    }
}

/// As received or in lower case, without duplicates.
pub(super) fn stored(store: &Store, addresses: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    let addresses = addresses.into_iter().map(|address| store.cased(address));
    addresses
        .filter(|address| seen.insert(address.to_lowercase()))
        .collect()
}

impl Store {
    pub(super) fn cased(&self, address: String) -> String {
        if self.org.switches.folds_case {
            address.to_lowercase()
        } else {
            address
        }
    }
}
