//! The bodies of calls that start a run or decide about held changes. Anything unknown is refused, so that nothing is
//! guessed (R28).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    domain::{
        address::SmtpAddress,
        mode::Depth,
        scope::RunScope,
        wave::{Part, Wave},
    },
    engine::Decision,
    functions::{Mode, Problem, ProblemKind, Request},
    state::RunId,
};

/// The front end drops a call after 230 s (`docs/specs/functions-host.md`, "7.1 230 s"); the remaining time is for
/// saving and answering.
pub const WAIT_S_MAX: u64 = 200;

/// Large enough for about 8000 accounts.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// `{"mode":…,"quick":…,"accounts":[…],"approve":[…],"approve_accounts":[…],"plan":…,"wait":…}`; all members are
/// optional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartBody {
    pub mode: Mode,
    /// R45
    pub depth: Depth,
    /// R39; a list of accounts is never empty.
    pub scope: RunScope,
    /// R37: the run to undo, with the same guards.
    pub undo: Option<RunId>,
    /// R27: approval codes of held sets.
    pub approve: Vec<String>,
    /// R47
    pub approve_accounts: BTreeSet<SmtpAddress>,
    /// R28: the preview to whose changes the run is restricted.
    pub plan: Option<RunId>,
    /// R47
    pub wave: Option<Wave>,
    /// R46: settings that replace those of the program; never empty.
    pub settings: Option<BTreeMap<String, String>>,
    /// How many seconds the caller waits for the result; 0: the run is queued.
    pub wait_s: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    mode: Mode,
    quick: bool,
    accounts: Option<Vec<String>>,
    approve: Vec<String>,
    approve_accounts: Option<Vec<String>>,
    plan: Option<String>,
    only: Option<BTreeSet<Part>>,
    #[serde(deserialize_with = "count")]
    first: Option<u32>,
    settings: Option<BTreeMap<String, String>>,
    code: Option<String>,
    undo: bool,
    #[serde(deserialize_with = "whole")]
    wait: u64,
}

/// Accepts 30.0 too, which is the same number as 30 in JSON.
fn whole<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(from)?;
    seconds(&number).ok_or_else(|| serde::de::Error::custom("`wait` is not a whole number"))
}

fn count<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    let number = serde_json::Number::deserialize(from)?;
    let count = integer(&number).and_then(|count| u32::try_from(count).ok());
    let error = || serde::de::Error::custom("`first` is not a whole number");
    count.map(Some).ok_or_else(error)
}

fn seconds(number: &serde_json::Number) -> Option<u64> {
    integer(number).filter(|wait| *wait <= WAIT_S_MAX)
}

fn integer(number: &serde_json::Number) -> Option<u64> {
    let as_float = || number.to_string().strip_suffix(".0")?.parse().ok();
    number.as_u64().or_else(as_float)
}

impl StartBody {
    pub(super) fn parse(body: Option<&str>) -> Result<Self, Problem> {
        let known = [
            "mode",
            "quick",
            "accounts",
            "approve",
            "approve_accounts",
            "plan",
            "only",
            "first",
            "settings",
            "wait",
        ];
        Self::of(read(body, &known)?)
    }

    /// `{"mode":…,"approve":[…],"approve_accounts":[…],"wait":…}`
    pub(super) fn parse_undo(run: RunId, body: Option<&str>) -> Result<Self, Problem> {
        let wire = read(body, &["mode", "approve", "approve_accounts", "wait"])?;
        Ok(Self {
            undo: Some(run),
            ..Self::of(wire)?
        })
    }

    fn of(wire: Wire) -> Result<Self, Problem> {
        Ok(Self {
            plan: plan(&wire)?,
            approve_accounts: approve_accounts(&wire)?,
            wave: wave(&wire)?,
            settings: settings(&wire)?,
            mode: wire.mode,
            depth: if wire.quick {
                Depth::Quick
            } else {
                Depth::Full
            },
            scope: scope(wire.accounts)?,
            undo: None,
            approve: wire.approve,
            wait_s: wire.wait,
        })
    }
}

/// `{"code":…,"accounts":[…],"undo":…}`: rejects the changes of a held set, or takes the rejection back (R47).
pub(super) fn decision(body: Option<&str>) -> Result<Decision, Problem> {
    let wire = read(body, &["code", "accounts", "undo"])?;
    let accounts = addresses("accounts", wire.accounts)?;
    let missing = || bad("`code` is missing: give the code of the held set");
    Ok(Decision {
        code: wire.code.ok_or_else(missing)?,
        accounts: accounts.unwrap_or_default(),
        takes_back: wire.undo,
    })
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::BadBody, detail)
}

/// The body of a call that takes no members.
pub(super) fn nothing(body: Option<&str>) -> Result<(), Problem> {
    read(body, &[]).map(drop)
}

/// R46
fn settings(wire: &Wire) -> Result<Option<BTreeMap<String, String>>, Problem> {
    match &wire.settings {
        Some(settings) if settings.is_empty() => Err(bad(
            "`settings` is empty: leave it out, or name at least one setting",
        )),
        Some(_) if wire.mode == Mode::Apply => Err(bad(
            "`settings` are for a preview: to apply under them, change the settings of the program",
        )),
        settings => Ok(settings.clone()),
    }
}

/// R47
fn wave(wire: &Wire) -> Result<Option<Wave>, Problem> {
    if wire.only.as_ref().is_some_and(BTreeSet::is_empty) || wire.first == Some(0) {
        return Err(bad(
            "`only` is empty or `first` is 0: leave it out for all changes",
        ));
    }
    let wave = Wave::of(wire.only.clone().unwrap_or_default(), wire.first);
    let Some(wave) = wave else {
        return Ok(None);
    };
    if wire.plan.is_some() {
        return Err(bad(
            "`plan` takes neither `only` nor `first`: a reviewed plan says what is applied",
        ));
    }
    if wave.needs_approval() && wire.approve.is_empty() {
        return Err(bad("`\"only\":[\"approved\"]` needs `approve`"));
    }
    Ok(Some(wave))
}

/// R47: `approve_accounts` restricts approvals, so it needs `approve`.
fn approve_accounts(wire: &Wire) -> Result<BTreeSet<SmtpAddress>, Problem> {
    let accounts = addresses("approve_accounts", wire.approve_accounts.clone())?;
    if accounts.is_some() && wire.approve.is_empty() {
        return Err(bad(
            "`approve_accounts` needs `approve`: it names whose changes of the held sets are approved",
        ));
    }
    Ok(accounts.unwrap_or_default())
}

/// R28: the reviewed plan to which the run is restricted.
fn plan(wire: &Wire) -> Result<Option<RunId>, Problem> {
    let Some(plan) = &wire.plan else {
        return Ok(None);
    };
    let says_more = wire.accounts.is_some() || !wire.approve.is_empty() || wire.quick;
    if wire.mode != Mode::Apply || says_more {
        return Err(bad(
            "`plan` takes `\"mode\":\"apply\"` and neither `accounts` nor `approve` nor `quick`: a reviewed plan says what is applied",
        ));
    }
    super::known_shape(plan).map(Some)
}

fn scope(accounts: Option<Vec<String>>) -> Result<RunScope, Problem> {
    let accounts = addresses("accounts", accounts)?;
    Ok(accounts.map_or(RunScope::All, RunScope::Only))
}

/// An empty list is refused, since it could mean no accounts or all accounts.
fn addresses(
    member: &str,
    accounts: Option<Vec<String>>,
) -> Result<Option<BTreeSet<SmtpAddress>>, Problem> {
    let Some(accounts) = accounts else {
        return Ok(None);
    };
    if accounts.is_empty() {
        return Err(bad(format!(
            "`{member}` is empty: leave it out for all accounts, or name at least one address"
        )));
    }
    accounts
        .iter()
        .map(|text| {
            SmtpAddress::parse(text).map_err(|_| {
                bad(format!(
                    "`{member}`: {text:?} is not a mail address; write it like anna@corp.example"
                ))
            })
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

/// The body, if no page of another site can have made a browser send it: it has a content type that a form cannot send,
/// and the origin, if any, is this site.
pub(super) fn json(request: &Request) -> Result<Option<&str>, Problem> {
    refuse_other_origin(request)?;
    let Some(body) = request.body.as_deref() else {
        return refuse_lost_body(request).map(|()| None);
    };
    let media = request.header("content-type").unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(Some(body));
    }
    let came = if essence.is_empty() {
        "without a Content-Type".to_owned()
    } else {
        let essence: String = essence.chars().take(100).collect();
        format!("as {essence:?}")
    };
    Err(Problem::new(
        ProblemKind::MediaType,
        format!(
            "the body came {came}: send it with the header `Content-Type: application/json`, as `curl --json` does"
        ),
    ))
}

/// A browser names the origin of the page that sends the request; other clients do not send this header.
fn refuse_other_origin(request: &Request) -> Result<(), Problem> {
    let Some(origin) = request.header("origin") else {
        return Ok(());
    };
    let host = request.header("host").unwrap_or_default();
    let authority = |scheme: &str| url::Url::parse(&format!("{scheme}://{host}"));
    let is_own = url::Url::parse(origin).is_ok_and(|origin| {
        origin.has_host()
            && authority(origin.scheme()).is_ok_and(|own| own.origin() == origin.origin())
    });
    if is_own {
        return Ok(());
    }
    let origin: String = origin.chars().take(100).collect();
    Err(Problem::new(
        ProblemKind::CrossSite,
        format!(
            "a page of the origin {origin:?} sent this, which is not {host:?}: use the dashboard, or a client that is not a browser"
        ),
    ))
}

/// The host drops a body that is sent in chunks, so such a call is refused instead of run without its body.
fn refuse_lost_body(request: &Request) -> Result<(), Problem> {
    if request.header("transfer-encoding").is_none() {
        return Ok(());
    }
    Err(Problem::new(
        ProblemKind::LengthRequired,
        "the body came in chunks, which the Functions host does not hand on: send it with a Content-Length",
    ))
}

fn read(body: Option<&str>, known: &[&str]) -> Result<Wire, Problem> {
    let Some(text) = body else {
        return Ok(Wire::default());
    };
    if text.len() > BODY_BYTES_MAX {
        let detail =
            format!("the body exceeds the limit of {BODY_BYTES_MAX} bytes: name fewer accounts");
        return Err(Problem::new(ProblemKind::TooLarge, detail));
    }
    let wrong =
        |error: serde_json::Error| bad(format!("the body is not what this call takes: {error}"));
    let members: Map<String, Value> = serde_json::from_str(text).map_err(wrong)?;
    check_members(&members, known)?;
    check_wait(members.get("wait"))?;
    // Parse the text, not the map, so that a duplicate member is an error.
    let wire: Wire = serde_json::from_str(text).map_err(wrong)?;
    if wire.mode == Mode::Preview && !wire.approve.is_empty() {
        return Err(Problem::new(
            ProblemKind::ApprovalInPreview,
            "codes in `approve` are for what an apply would hold: add `\"mode\":\"apply\"`, or leave `approve` out",
        ));
    }
    Ok(wire)
}

/// A null is refused: it could mean "the default" or be a mistake, such as a missing list of accounts.
fn check_members(members: &Map<String, Value>, known: &[&str]) -> Result<(), Problem> {
    if let Some((name, _)) = members.iter().find(|(_, value)| value.is_null()) {
        return Err(bad(format!(
            "`{name}` is null: give it a value or leave it out"
        )));
    }
    let unknown: Vec<&str> = members
        .keys()
        .map(String::as_str)
        .filter(|name| !known.contains(name))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let (unknown, known) = (unknown.join("`, `"), known.join("`, `"));
    Err(Problem::new(
        ProblemKind::UnknownMember,
        format!("`{unknown}` is not known here; there are `{known}`"),
    ))
}

fn check_wait(wait: Option<&Value>) -> Result<(), Problem> {
    match wait {
        Some(Value::Number(wait)) if seconds(wait).is_none() => Err(Problem::new(
            ProblemKind::WaitOutOfRange,
            format!("`wait` is {wait}: give whole seconds from 0 to {WAIT_S_MAX}"),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(body: &str) -> Result<StartBody, ProblemKind> {
        StartBody::parse(Some(body)).map_err(|problem| problem.kind)
    }

    #[test]
    fn no_body_is_a_queued_preview_of_everything() {
        let preview = StartBody {
            mode: Mode::Preview,
            depth: Depth::Full,
            scope: RunScope::All,
            undo: None,
            approve: vec![],
            approve_accounts: BTreeSet::new(),
            plan: None,
            wave: None,
            settings: None,
            wait_s: 0,
        };
        assert_eq!(StartBody::parse(None), Ok(preview.clone()));
        assert_eq!(start("{}"), Ok(preview.clone()));
        assert_eq!(
            start(r#"{"mode":"preview","approve":[],"wait":0.0}"#),
            Ok(preview)
        );
    }

    #[test]
    fn every_member_is_read() {
        let body = r#"{"mode":"apply","quick":true,"accounts":[" Anna@Corp.Example "],"approve":["c0de"],"approve_accounts":["bob@corp.example"],"only":["create"],"first":5.0,"wait":200}"#;
        assert_eq!(
            start(body),
            Ok(StartBody {
                mode: Mode::Apply,
                depth: Depth::Quick,
                scope: RunScope::Only([SmtpAddress::verbatim("anna@corp.example")].into()),
                undo: None,
                approve: vec!["c0de".to_owned()],
                approve_accounts: [SmtpAddress::verbatim("bob@corp.example")].into(),
                plan: None,
                wave: Wave::of([Part::Create].into(), Some(5)),
                settings: None,
                wait_s: 200,
            })
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_by_kind() {
        for (body, kind) in [
            ("{", ProblemKind::BadBody),
            ("[]", ProblemKind::BadBody),
            (r#"["apply"]"#, ProblemKind::BadBody),
            ("null", ProblemKind::BadBody),
            ("\"apply\"", ProblemKind::BadBody),
            (r#"{"mode":"Apply"}"#, ProblemKind::BadBody),
            (r#"{"mode":null}"#, ProblemKind::BadBody),
            (r#"{"mode":"preview","mode":"apply"}"#, ProblemKind::BadBody),
            (
                r#"{"mode":"apply"} {"mode":"preview"}"#,
                ProblemKind::BadBody,
            ),
            (r#"{"accounts":"anna@corp.example"}"#, ProblemKind::BadBody),
            (r#"{"accounts":[]}"#, ProblemKind::BadBody),
            (r#"{"accounts":null}"#, ProblemKind::BadBody),
            (r#"{"mode":"apply","wait":null}"#, ProblemKind::BadBody),
            (r#"{"accounts":[""]}"#, ProblemKind::BadBody),
            (r#"{"accounts":["anna"]}"#, ProblemKind::BadBody),
            (r#"{"accounts":[1]}"#, ProblemKind::BadBody),
            (r#"{"mode":"apply","approve":"c0de"}"#, ProblemKind::BadBody),
            (r#"{"wait":"30"}"#, ProblemKind::BadBody),
            (
                r#"{"mode":"apply","plan":"20261123T020000Z-0b5e77","quick":true}"#,
                ProblemKind::BadBody,
            ),
            (r#"{"wait":201}"#, ProblemKind::WaitOutOfRange),
            (r#"{"wait":-1}"#, ProblemKind::WaitOutOfRange),
            (r#"{"wait":1.5}"#, ProblemKind::WaitOutOfRange),
            (r#"{"wait":1e99}"#, ProblemKind::WaitOutOfRange),
            (r#"{"Mode":"apply"}"#, ProblemKind::UnknownMember),
            (r#"{"force":true}"#, ProblemKind::UnknownMember),
            (r#"{"approve":["c0de"]}"#, ProblemKind::ApprovalInPreview),
            (
                r#"{"mode":"apply","approve_accounts":["a@corp.example"]}"#,
                ProblemKind::BadBody,
            ),
            (
                r#"{"mode":"apply","approve":["c0de"],"approve_accounts":[]}"#,
                ProblemKind::BadBody,
            ),
            (r#"{"code":"c0de"}"#, ProblemKind::UnknownMember),
            (r#"{"only":[]}"#, ProblemKind::BadBody),
            (r#"{"only":["delete"]}"#, ProblemKind::BadBody),
            (r#"{"first":0}"#, ProblemKind::BadBody),
            (r#"{"first":-1}"#, ProblemKind::BadBody),
            (
                r#"{"mode":"apply","only":["approved"]}"#,
                ProblemKind::BadBody,
            ),
            (
                r#"{"mode":"apply","plan":"20261123T020000Z-0b5e77","first":1}"#,
                ProblemKind::BadBody,
            ),
            (
                r#"{"plan":"20261123T020000Z-0b5e77"}"#,
                ProblemKind::BadBody,
            ),
            (r#"{"mode":"apply","plan":"../x"}"#, ProblemKind::UnknownRun),
            (
                r#"{"mode":"apply","plan":"20261123T020000Z-0b5e77","approve":["c0de"]}"#,
                ProblemKind::BadBody,
            ),
            (
                r#"{"mode":"apply","plan":"20261123T020000Z-0b5e77","accounts":["a@corp.example"]}"#,
                ProblemKind::BadBody,
            ),
        ] {
            assert_eq!(start(body), Err(kind), "{body}");
        }
    }

    #[test]
    fn r46_settings_are_texts_for_a_preview() {
        let body = r#"{"settings":{"MAX_SUSPEND":"5"}}"#;
        let settings = start(body).map(|body| body.settings);
        let expected = BTreeMap::from([("MAX_SUSPEND".to_owned(), "5".to_owned())]);
        assert_eq!(settings, Ok(Some(expected)));
        for body in [
            r#"{"settings":{}}"#,
            r#"{"settings":{"MAX_SUSPEND":5}}"#,
            r#"{"mode":"apply","settings":{"MAX_SUSPEND":"5"}}"#,
        ] {
            assert_eq!(start(body), Err(ProblemKind::BadBody), "{body}");
        }
    }

    #[test]
    fn r47_a_rejection_names_a_code() {
        let parse = |body| decision(body).map_err(|problem| problem.kind);
        let expected = |accounts: &[&str], takes_back| {
            let accounts = accounts.iter().map(|it| SmtpAddress::verbatim(it));
            Ok(Decision {
                code: "c0de".into(),
                accounts: accounts.collect(),
                takes_back,
            })
        };
        assert_eq!(parse(Some(r#"{"code":"c0de"}"#)), expected(&[], false));
        let some = r#"{"code":"c0de","accounts":["a@corp.example"],"undo":true}"#;
        assert_eq!(parse(Some(some)), expected(&["a@corp.example"], true));
        for (body, kind) in [
            (None, ProblemKind::BadBody),
            (Some("{}"), ProblemKind::BadBody),
            (
                Some(r#"{"code":"c0de","accounts":[]}"#),
                ProblemKind::BadBody,
            ),
            (
                Some(r#"{"code":"c0de","mode":"apply"}"#),
                ProblemKind::UnknownMember,
            ),
        ] {
            assert_eq!(parse(body), Err(kind), "{body:?}");
        }
    }

    #[test]
    fn an_undo_takes_no_accounts() {
        let run = || RunId::parse("20261123T020000Z-0b5e77").unwrap();
        let undo = |body| StartBody::parse_undo(run(), body);
        let problem = undo(Some(r#"{"accounts":["anna@corp.example"]}"#)).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::UnknownMember);
        assert_eq!(
            problem.detail,
            "`accounts` is not known here; there are `mode`, `approve`, `approve_accounts`, `wait`"
        );
        let apply = undo(Some(r#"{"mode":"apply"}"#)).unwrap();
        assert_eq!(apply.mode, Mode::Apply);
        assert_eq!(undo(None).unwrap().mode, Mode::Preview);
    }
}
