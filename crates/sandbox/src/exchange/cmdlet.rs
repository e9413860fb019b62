//! `InvokeCommand`: cmdlets over HTTP, with their envelope, pages and errors.

mod bind;
mod run;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::Session;
use super::call::Version;
use super::paging::{self, Place};
use super::reply::{Content, Exception, Reply};
use super::rows::Selection;
use super::switches::{NoOutput, Paging, ResultSize as Obedience};
use super::tenant::{ExchangeRole, Grants};
use bind::{Cmdlet, ResultSize};

const CONTEXT: &str = "Collection(Exchange.GenericHashTable)";
const MORE: &str = "There are more results available than are currently displayed. To view them, increase the value for the ResultSize parameter.";
/// How many results most cmdlets return without `ResultSize`.
const RESULTS_DEFAULT: usize = 1000;

pub(super) use bind::CMDLETS;

/// The cmdlets that these grants allow.
pub(super) fn allowed(grants: &Grants) -> Vec<&'static str> {
    CMDLETS
        .iter()
        .map(|cmdlet| cmdlet.name)
        .filter(|name| allows(grants, name))
        .collect()
}

pub(super) fn allows(grants: &Grants, cmdlet: &str) -> bool {
    let role = match grants.exchange_role {
        ExchangeRole::None => false,
        ExchangeRole::SecurityReader => {
            matches!(cmdlet, "Get-AcceptedDomain" | "Get-RoleGroupMember")
        }
        ExchangeRole::ViewOnlyRecipients => cmdlet != "Get-RoleGroupMember",
        ExchangeRole::GlobalReader => true,
    };
    role && !grants
        .denied_cmdlets
        .iter()
        .any(|denied| denied.eq_ignore_ascii_case(cmdlet))
}

/// Answers a call of `InvokeCommand`, or of an endpoint of v2.0, which accepts only the cmdlet `only`.
pub(super) fn invoke(session: &Session<'_>, only: Option<&str>) -> Result<Reply, Reply> {
    let call = session.call;
    let mut options = call.options()?;
    let token = options.remove("$skiptoken");
    let select = options.remove("$select");
    if let Some(name) = options.keys().next() {
        return Err(Reply::bad_request(&format!(
            "The query parameter '{name}' is not supported here."
        )));
    }
    let command = match (&call.method, &token) {
        (&Method::POST, _) => command(session)?,
        (&Method::GET, Some(token)) if session.switches().get_on_link_status.is_none() => session
            .question_of(token)
            .and_then(|text| serde_json::from_str(&text).ok())
            .ok_or_else(|| refused(session, &Exception::paging()))?,
        (&Method::GET, Some(_)) => {
            let status = session.switches().get_on_link_status.unwrap_or(405);
            return Err(Reply::odata_error(
                status,
                "MethodNotAllowed",
                "The requested resource does not support this HTTP method.",
            ));
        }
        _ => {
            return Err(Reply::odata_error(
                405,
                "MethodNotAllowed",
                "The requested resource does not support this HTTP method.",
            ));
        }
    };
    let (name, parameters) = shape(&command)?;
    let grants = &session.world.tenant.grants;
    let cmdlet = bind::cmdlet(name)
        .filter(|cmdlet| allows(grants, cmdlet.name))
        .ok_or_else(Reply::forbidden)?;
    if only.is_some_and(|only| !only.eq_ignore_ascii_case(cmdlet.name)) {
        return Err(Reply::bad_request("The cmdlet is not supported here."));
    }
    let bound = bind::bind(cmdlet, parameters).map_err(|exception| refused(session, &exception))?;
    let place = session.place(token.as_deref(), &command.to_string(), None)?;
    let select = match (&token, select) {
        (Some(_), Some(_)) => return Err(refused(session, &Exception::paging())),
        (Some(_), None) => place.select.clone(),
        (None, select) => select,
    };
    let selection = selection(cmdlet, select.as_deref())?;
    let rows = run::run(session, cmdlet, &bound).map_err(|it| refused(session, &it))?;
    let place = Place { select, ..place };
    Ok(answer(
        session,
        &rows,
        &selection,
        bound.result_size,
        place,
        token.as_deref(),
    ))
}

fn refused(session: &Session<'_>, exception: &Exception) -> Reply {
    exception.reply(session.call.wants_json_in_string())
}

fn command(session: &Session<'_>) -> Result<Value, Reply> {
    if !session.call.is_json() {
        return Err(Reply::odata_error(
            415,
            "UnsupportedMediaType",
            "The media type of the request is not supported.",
        ));
    }
    serde_json::from_slice(&session.call.body)
        .map_err(|_| Reply::bad_request("The request body is not valid JSON."))
}

/// Name and parameters of `{"CmdletInput":{"CmdletName":…,"Parameters":{…}}}`. Other members are refused.
fn shape(command: &Value) -> Result<(&str, &Map<String, Value>), Reply> {
    let bad = |text: &str| Reply::bad_request(text);
    let outer = command
        .as_object()
        .ok_or_else(|| bad("The body must be an object."))?;
    if let Some(member) = outer.keys().find(|it| *it != "CmdletInput") {
        return Err(bad(&format!("The property '{member}' does not exist.")));
    }
    let input = outer
        .get("CmdletInput")
        .and_then(Value::as_object)
        .ok_or_else(|| bad("CmdletInput must be an object."))?;
    if let Some(member) = input
        .keys()
        .find(|it| !matches!(it.as_str(), "CmdletName" | "Parameters"))
    {
        return Err(bad(&format!("The property '{member}' does not exist.")));
    }
    let name = input
        .get("CmdletName")
        .and_then(Value::as_str)
        .ok_or_else(|| bad("CmdletName must be a string."))?;
    let parameters = input
        .get("Parameters")
        .and_then(Value::as_object)
        .ok_or_else(|| bad("Parameters must be an object."))?;
    Ok((name, parameters))
}

fn selection(cmdlet: &Cmdlet, select: Option<&str>) -> Result<Selection, Reply> {
    let known = cmdlet.output.properties();
    match select {
        None => Ok(Selection::all(known)),
        Some(text) => Selection::parse(text, &known),
    }
}

fn answer(
    session: &Session<'_>,
    rows: &run::Rows<'_>,
    selection: &Selection,
    result_size: Option<ResultSize>,
    place: Place,
    token: Option<&str>,
) -> Reply {
    let switches = session.switches();
    let asked = match (switches.result_size, result_size) {
        (Obedience::Ignored, _) | (_, Some(ResultSize::Unlimited)) => usize::MAX,
        (_, None) => RESULTS_DEFAULT,
        (_, Some(ResultSize::Rows(rows))) => rows,
    };
    let rows_max = session.rows_max().min(asked);
    let page = paging::page(&place, rows.len(), rows_max, switches.paging, |_| true);
    let mut body = session.envelope(CONTEXT);
    let warnings = if page.next.is_some() {
        json!([MORE])
    } else {
        json!([])
    };
    body.insert(
        "adminapi.warnings@odata.type".to_owned(),
        json!("#Collection(String)"),
    );
    body.insert("@adminapi.warnings".to_owned(), warnings);
    let value: Vec<Value> = page
        .rows
        .iter()
        .map(|&at| Value::Object(rows.row(at, selection, switches.unknown_members)))
        .collect();
    if value.is_empty() {
        match switches.no_output {
            NoOutput::ValueAbsent => (),
            NoOutput::EmptyArray => {
                body.insert("value".to_owned(), json!([]));
            }
            NoOutput::EmptyBody => return Reply::new(200, Content::Empty),
        }
    } else {
        body.insert("value".to_owned(), Value::Array(value));
    }
    if let Some(next) = page.next {
        let next = Place {
            next,
            page: place.page + 1,
            ..place
        };
        let same = token.filter(|_| switches.paging == Paging::RepeatedLink);
        session.link(&mut body, session.rest(), "", next, same);
    }
    Reply::json(Value::Object(body))
}

/// An endpoint of Admin API v2.0: POST only, with an anchor, and with one cmdlet.
pub(super) fn v2(session: &Session<'_>) -> Result<Reply, Reply> {
    debug_assert_eq!(session.version, Version::V2);
    let cmdlet = match session.rest().to_ascii_lowercase().as_str() {
        "organizationconfig" => "Get-OrganizationConfig",
        "accepteddomain" => "Get-AcceptedDomain",
        "mailbox" => "Get-Mailbox",
        "mailboxfolderpermission" => "Get-MailboxFolderPermission",
        "distributiongroupmember" => "Get-DistributionGroupMember",
        "dynamicdistributiongroupmember" => "Get-DynamicDistributionGroupMember",
        _ => return Err(Reply::not_found()),
    };
    if session.call.method != Method::POST {
        return Err(Reply::odata_error(
            405,
            "MethodNotAllowed",
            "The requested resource does not support this HTTP method.",
        ));
    }
    if session.call.anchor().is_none() {
        return Err(Reply::bad_request("X-AnchorMailbox is required."));
    }
    if bind::cmdlet(cmdlet).is_none() {
        let mut body = session.envelope(CONTEXT);
        body.insert("value".to_owned(), json!([]));
        return Ok(Reply::json(Value::Object(body)));
    }
    invoke(session, Some(cmdlet))
}
