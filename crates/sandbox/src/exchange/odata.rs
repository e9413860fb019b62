//! The `OData` reads: the list of mailboxes, one mailbox, its permissions, and what the role set allows.

use axum::http::Method;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Session;
use super::call::{self, Query};
use super::filter::{Filter, KINDS};
use super::index::{Found, Object, Ref};
use super::paging::{self, Place};
use super::reply::{Exception, Reply};
use super::rows::{self, MAILBOX_MINIMUM, Selection};
use super::switches::Paging;
use super::tenant::{Life, Mailbox};

const PROPERTY_SETS: [&str; 16] = [
    "Minimum",
    "All",
    "Archive",
    "Audit",
    "Custom",
    "Delivery",
    "Hold",
    "Moderation",
    "Move",
    "Policy",
    "PublicFolder",
    "Quota",
    "Resource",
    "Retention",
    "SCL",
    "SoftDelete",
];

/// A body serialised directly from the tenant, since callers request thousands of these.
#[derive(Serialize)]
struct Collection<T> {
    #[serde(flatten)]
    envelope: Map<String, Value>,
    value: Vec<T>,
}

/// The options of a read of the list or of one mailbox.
struct Question {
    selection: Selection,
    filters: Vec<Filter>,
    lives: [Life; 2],
    top: Option<usize>,
}

pub(super) fn list(session: &Session<'_>) -> Result<Reply, Reply> {
    only_get(session)?;
    let mut options = session.call.options()?;
    let token = options.remove("$skiptoken");
    let text = format!("Mailbox {options:?}");
    let question = Question::parse(options.clone())?;
    let place = session.place(token.as_deref(), &text, question.top)?;
    let mailboxes = &session.world.tenant.mailboxes;
    let page = paging::page(
        &place,
        mailboxes.len(),
        session.rows_max(),
        session.switches().paging,
        |at| question.keeps(&mailboxes[at]),
    );
    let rows: Vec<Value> = page
        .rows
        .iter()
        .map(|&at| Value::Object(question.row(session, &mailboxes[at])))
        .collect();
    let next = page.next.map(|next| Place {
        next,
        left: place.left.map(|left| left.saturating_sub(page.rows.len())),
        page: place.page + 1,
        ..place.clone()
    });
    let context = match &question.selection.text {
        Some(select) => format!("Mailbox({select})"),
        None => "Mailbox".to_owned(),
    };
    let mut body = session.envelope(&context);
    body.insert("value".to_owned(), Value::Array(rows));
    if let Some(next) = next {
        let query = link_query(&options);
        let keeps = match (session.switches().paging, &token) {
            (Paging::RepeatedLink, Some(token)) => Some(token.as_str()),
            _ => None,
        };
        session.link(&mut body, "Mailbox", &query, next, keeps);
    }
    Ok(Reply::json(Value::Object(body)))
}

pub(super) fn one(session: &Session<'_>, key: &str) -> Result<Reply, Reply> {
    only_get(session)?;
    let mut options = session.call.options()?;
    let mailbox = find(session, key, &mut options)?;
    let question = Question::parse(options)?;
    if !question.filters.is_empty() || question.top.is_some() {
        return Err(Reply::bad_request(
            "Query options of collections cannot be applied to one entity.",
        ));
    }
    let mut body = session.envelope("Mailbox/$entity");
    body.append(&mut question.row(session, mailbox));
    Ok(Reply::json(Value::Object(body)))
}

pub(super) fn permissions(session: &Session<'_>, key: &str) -> Result<Reply, Reply> {
    only_get(session)?;
    let mut options = session.call.options()?;
    let mailbox = find(session, key, &mut options)?;
    let user = options.remove("User");
    if let Some(name) = options.keys().next() {
        return Err(unknown_option(name));
    }
    let mut entries = rows::entries(mailbox, session.switches().orphans_shown);
    if let Some(user) = user {
        entries.retain(|entry| entry.user == user);
        if entries.is_empty() {
            return Err(Reply::not_found());
        }
    }
    let echoed = session
        .call
        .path
        .split('/')
        .skip(4)
        .collect::<Vec<_>>()
        .join("/");
    let body = Collection {
        envelope: session.envelope(&echoed),
        value: rows::odata_permissions(mailbox, &entries),
    };
    Ok(Reply::written(&body))
}

/// `EXOModuleFile?Version=…` with `CommandName: *`: the cmdlets that the roles allow.
pub(super) fn module_file(session: &Session<'_>, cmdlets: &[&str]) -> Result<Reply, Reply> {
    only_get(session)?;
    let mut options = session.call.options()?;
    if options.remove("Version").is_none() {
        return Err(Reply::bad_request("Version is missing."));
    }
    if let Some(name) = options.keys().next() {
        return Err(unknown_option(name));
    }
    if session.call.header("CommandName") != Some("*") {
        return Err(Reply::bad_request("Header CommandName must be *."));
    }
    let mut body = session.envelope("EXOModuleFile");
    let value = json!([{"exportedCmdlets": cmdlets.join(",")}]);
    body.insert("value".to_owned(), value);
    Ok(Reply::json(Value::Object(body)))
}

pub(super) fn root(session: &Session<'_>) -> Result<Reply, Reply> {
    only_get(session)?;
    let mut body = session.envelope("");
    let value = ["Mailbox", "EXOModuleFile"]
        .map(|name| json!({"name": name, "kind": "EntitySet", "url": name}));
    body.insert("value".to_owned(), json!(value));
    Ok(Reply::json(Value::Object(body)))
}

fn only_get(session: &Session<'_>) -> Result<(), Reply> {
    if session.call.method == Method::GET {
        Ok(())
    } else {
        Err(Reply::odata_error(
            405,
            "MethodNotAllowed",
            "The requested resource does not support this HTTP method.",
        ))
    }
}

fn unknown_option(name: &str) -> Reply {
    Reply::bad_request(&format!(
        "The query parameter '{name}' is not supported here."
    ))
}

/// Finds the mailbox of a key, and removes `isEncoded` from the options.
fn find<'a>(session: &Session<'a>, key: &str, options: &mut Query) -> Result<&'a Mailbox, Reply> {
    let is_encoded = match options.remove("isEncoded").as_deref() {
        None => false,
        Some(text) if text.eq_ignore_ascii_case("true") => true,
        Some(text) if text.eq_ignore_ascii_case("false") => false,
        Some(_) => return Err(Reply::bad_request("isEncoded must be true or false.")),
    };
    // A plus sign in a path must be percent-encoded, since unencoded it can mean a space.
    let raw_plus = is_encoded && session.call.path.contains('+');
    let identity = call::identity(key, is_encoded)
        .filter(|_| !raw_plus)
        .ok_or_else(|| Reply::bad_request("The key is not valid base64 of UTF-8."))?;
    let found = session
        .world
        .index
        .find(&identity, false, |hit| matches!(hit, Ref::Mailbox(_)));
    match found {
        Found::One(Ref::Mailbox(at)) => Ok(&session.world.tenant.mailboxes[at as usize]),
        Found::Several => {
            let exception = Exception::ambiguous(session.switches().ambiguous_status, &identity);
            Err(Reply::odata_error(
                exception.status,
                "BadRequest",
                &exception.text,
            ))
        }
        Found::One(Ref::Group(_) | Ref::Contact(_)) | Found::Nothing => Err(Reply::not_found()),
    }
}

/// The query of a link. It repeats the options, so that the URL is complete.
fn link_query(options: &Query) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in options {
        query.append_pair(name, value);
    }
    query.finish()
}

impl Question {
    fn parse(mut options: Query) -> Result<Self, Reply> {
        let selection = selection(&mut options)?;
        let top = options
            .remove("$top")
            .map(|text| text.parse())
            .transpose()
            .map_err(|_| Reply::bad_request("$top must be a number."))?;
        let mut filters = Vec::new();
        for name in ["$filter", "Filter"] {
            if let Some(text) = options.remove(name) {
                let filter = Filter::parse(&text).ok_or_else(|| {
                    Reply::bad_request(&format!("The {name} expression is not supported."))
                })?;
                filters.push(filter);
            }
        }
        if let Some(text) = options.remove("RecipientTypeDetails") {
            filters.push(kinds(&text)?);
        }
        let lives = lives(&mut options)?;
        if let Some(name) = options.keys().next() {
            return Err(unknown_option(name));
        }
        Ok(Self {
            selection,
            filters,
            lives,
            top,
        })
    }

    fn keeps(&self, mailbox: &Mailbox) -> bool {
        self.lives.contains(&mailbox.life)
            && self
                .filters
                .iter()
                .all(|filter| filter.holds(Object::Mailbox(mailbox)))
    }

    fn row(&self, session: &Session<'_>, mailbox: &Mailbox) -> Map<String, Value> {
        rows::odata_row(
            mailbox,
            &self.selection,
            &session.base(),
            session.switches(),
        )
    }
}

fn selection(options: &mut Query) -> Result<Selection, Reply> {
    let select = options.remove("$select");
    let sets = options.remove("PropertySet");
    if let Some(select) = select {
        return Selection::parse(&select, &rows::mailbox_properties().collect::<Vec<_>>());
    }
    let mut all = false;
    for set in sets.as_deref().unwrap_or("Minimum").split(',') {
        let set = set.trim();
        let known = PROPERTY_SETS
            .iter()
            .chain(&["StatisticsSeed"])
            .any(|it| it.eq_ignore_ascii_case(set));
        if !known {
            return Err(Reply::bad_request(&format!(
                "'{set}' is not a property set."
            )));
        }
        all |= set.eq_ignore_ascii_case("All");
    }
    Ok(if all {
        Selection::all(rows::mailbox_properties())
    } else {
        Selection::all(MAILBOX_MINIMUM)
    })
}

fn kinds(text: &str) -> Result<Filter, Reply> {
    for kind in text.split(',') {
        if !KINDS.iter().any(|it| it.eq_ignore_ascii_case(kind.trim())) {
            return Err(Reply::bad_request(&format!(
                "Cannot convert '{kind}' to RecipientTypeDetails."
            )));
        }
    }
    Ok(Filter::kinds(text.split(',').map(str::trim)))
}

/// The life cycle states that a list includes: two at most, the same twice for one.
fn lives(options: &mut Query) -> Result<[Life; 2], Reply> {
    let mut lives = [Life::Active; 2];
    let mut asked = 0;
    for (name, choice) in [
        ("IncludeInactiveMailbox", [Life::Active, Life::Inactive]),
        ("InactiveMailboxOnly", [Life::Inactive; 2]),
        ("SoftDeletedMailbox", [Life::SoftDeleted; 2]),
    ] {
        match options.remove(name).as_deref() {
            None => (),
            Some(text) if text.eq_ignore_ascii_case("false") => (),
            Some(text) if text.eq_ignore_ascii_case("true") => {
                lives = choice;
                asked += 1;
            }
            Some(_) => {
                return Err(Reply::bad_request(&format!(
                    "{name} must be true or false."
                )));
            }
        }
    }
    if asked > 1 {
        return Err(Reply::bad_request("These switches exclude each other."));
    }
    Ok(lives)
}
