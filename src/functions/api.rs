//! The HTTP interface of `/api/SyncHttp…`: parses a [`Request`] into a call, without I/O.

mod access;
mod body;
mod format;

pub use access::AccessQuery;
pub use body::{StartBody, WAIT_S_MAX};
pub use format::Format;

use super::{Problem, ProblemKind, Request};
use crate::{engine::Decision, state::RunId};

/// One call, checked as far as possible without the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiCall {
    /// `POST /` or `/runs`, or `POST /runs/{id}/undo` (R37)
    Start(StartBody),
    /// `GET /`: dashboard or index
    Index { format: Format },
    /// `GET /runs`
    Runs { format: Format },
    /// `GET /runs/{id}`
    Run { id: RunId, format: Format },
    /// `POST /runs/{id}/stop` (R34)
    Stop { run: RunId },
    /// `GET /rejections` (R47)
    Rejections { format: Format },
    /// `POST /rejections` (R47)
    Reject(Decision),
    /// `GET /accounts/{address}` (R40); `address` as the caller wrote it, not parsed.
    Account {
        address: String,
        format: Format,
        /// A page from both sides instead of the last snapshot.
        live: bool,
    },
    /// `GET /access` (R43)
    Access(AccessQuery),
    /// `GET /health`
    Health,
    /// `GET /check`: the self-test.
    Check { format: Format },
}

/// The resource at a path, independent of the method.
enum Resource<'a> {
    Root,
    Runs,
    Run(&'a str),
    Undo(&'a str),
    Stop(&'a str),
    Rejections,
    Account(&'a str),
    Access,
    Health,
    Check,
}

impl ApiCall {
    pub fn parse(request: &Request) -> Result<Self, Problem> {
        let resource = resource(&request.segments)?;
        let format = |parameters: &[&str], offered: &[Format]| {
            check_query(request, parameters)?;
            Format::of(request, offered)
        };
        match (resource, request.method.as_str()) {
            (Resource::Root | Resource::Runs, "POST") => {
                check_query(request, &[])?;
                StartBody::parse(body::json(request)?).map(Self::Start)
            }
            (Resource::Root, "GET") => {
                // The search field of the dashboard sends an address as `account`.
                let format = format(&["format", "account"], &[Format::Json, Format::Html])?;
                Ok(Self::Index { format })
            }
            (Resource::Runs, "GET") => Ok(Self::Runs {
                format: format(&["format"], &Format::ALL)?,
            }),
            (Resource::Run(id), "GET") => Ok(Self::Run {
                id: known_shape(id)?,
                format: format(&["format"], &Format::ALL)?,
            }),
            (Resource::Undo(id), "POST") => {
                let run = known_shape(id)?;
                check_query(request, &[])?;
                StartBody::parse_undo(run, body::json(request)?).map(Self::Start)
            }
            (Resource::Stop(id), "POST") => {
                let run = known_shape(id)?;
                check_query(request, &[])?;
                body::nothing(body::json(request)?).map(|()| Self::Stop { run })
            }
            (Resource::Rejections, "GET") => Ok(Self::Rejections {
                format: format(&["format"], &[Format::Json, Format::Html])?,
            }),
            (Resource::Rejections, "POST") => {
                check_query(request, &[])?;
                body::decision(body::json(request)?).map(Self::Reject)
            }
            (Resource::Account(address), "GET") => Ok(Self::Account {
                address: address.to_owned(),
                format: format(&["format", "live"], &Format::ALL)?,
                live: request.query.contains_key("live"),
            }),
            (Resource::Access, "GET") => {
                check_query(request, &AccessQuery::PARAMETERS)?;
                AccessQuery::parse(request).map(Self::Access)
            }
            (Resource::Health, "GET") => check_query(request, &[]).map(|()| Self::Health),
            (Resource::Check, "GET") => Ok(Self::Check {
                format: format(&["format"], &[Format::Json, Format::Html])?,
            }),
            (Resource::Root | Resource::Runs | Resource::Rejections, _) => {
                Err(Problem::method_not_allowed("GET, HEAD, POST"))
            }
            (Resource::Undo(_) | Resource::Stop(_), _) => Err(Problem::method_not_allowed("POST")),
            (
                Resource::Run(_)
                | Resource::Account(_)
                | Resource::Access
                | Resource::Health
                | Resource::Check,
                _,
            ) => Err(Problem::method_not_allowed("GET, HEAD")),
        }
    }
}

/// Fixed segments match in any letter case, like the host's own routes.
fn resource(segments: &[String]) -> Result<Resource<'_>, Problem> {
    let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        [] => Ok(Resource::Root),
        [runs] if is(runs, "runs") => Ok(Resource::Runs),
        [rejections] if is(rejections, "rejections") => Ok(Resource::Rejections),
        [access] if is(access, "access") => Ok(Resource::Access),
        [health] if is(health, "health") => Ok(Resource::Health),
        [check] if is(check, "check") => Ok(Resource::Check),
        [runs, id] if is(runs, "runs") && !id.is_empty() => Ok(Resource::Run(id)),
        [accounts, address] if is(accounts, "accounts") && !address.is_empty() => {
            Ok(Resource::Account(address))
        }
        [runs, id, undo] if is(runs, "runs") && is(undo, "undo") && !id.is_empty() => {
            Ok(Resource::Undo(id))
        }
        [runs, id, stop] if is(runs, "runs") && is(stop, "stop") && !id.is_empty() => {
            Ok(Resource::Stop(id))
        }
        _ => Err(Problem::new(
            ProblemKind::UnknownPath,
            "there are `/`, `/runs`, `/runs/{id}`, `/runs/{id}/undo`, `/runs/{id}/stop`, `/rejections`, `/accounts/{address}`, `/access`, `/health` and `/check`",
        )),
    }
}

/// An unknown parameter, such as `?mode=apply`, is refused, since it is probably a mistake.
fn check_query(request: &Request, known: &[&str]) -> Result<(), Problem> {
    let mut names = request.query.keys();
    let Some(unknown) = names.find(|name| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    let unknown: String = unknown.chars().take(40).collect();
    let detail = if known.is_empty() {
        format!("`{unknown}` is not a query parameter here; there is none")
    } else {
        let known = known.join("`, `");
        format!("`{unknown}` is not a query parameter here; there are `{known}`")
    };
    Err(Problem::new(ProblemKind::BadQuery, detail))
}

/// A text that is not a run id is refused here, so that it never becomes part of an object name in the state.
fn known_shape(id: &str) -> Result<RunId, Problem> {
    RunId::parse(id).ok_or_else(|| {
        Problem::new(
            ProblemKind::UnknownRun,
            "no run has such an id; `GET /runs` lists them",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Mode;

    fn request(method: &str, path: &str) -> Request {
        Request {
            method: method.to_owned(),
            segments: path.split('/').skip(1).map(str::to_owned).collect(),
            ..Request::default()
        }
    }

    #[test]
    fn every_path_and_method_has_its_call() {
        let json = Format::Json;
        let start = ApiCall::Start(StartBody::default());
        let id = RunId::parse("20261123T020000Z-0b5e77").unwrap();
        for (method, path, expected) in [
            ("POST", "", start.clone()),
            ("POST", "/runs", start),
            ("GET", "", ApiCall::Index { format: json }),
            ("GET", "/runs", ApiCall::Runs { format: json }),
            (
                "GET",
                "/Runs/20261123T020000Z-0b5e77",
                ApiCall::Run {
                    id: id.clone(),
                    format: json,
                },
            ),
            (
                "POST",
                "/runs/20261123T020000Z-0b5e77/UNDO",
                ApiCall::Start(StartBody {
                    undo: Some(id.clone()),
                    ..StartBody::default()
                }),
            ),
            (
                "GET",
                "/accounts/O'B+c@corp.example",
                ApiCall::Account {
                    address: "O'B+c@corp.example".to_owned(),
                    format: json,
                    live: false,
                },
            ),
            (
                "POST",
                "/runs/20261123T020000Z-0b5e77/stop",
                ApiCall::Stop { run: id.clone() },
            ),
            ("GET", "/rejections", ApiCall::Rejections { format: json }),
            ("GET", "/access", ApiCall::Access(AccessQuery::default())),
            ("GET", "/health", ApiCall::Health),
        ] {
            assert_eq!(
                ApiCall::parse(&request(method, path)),
                Ok(expected),
                "{method} {path}"
            );
        }
    }

    #[test]
    fn the_rest_is_refused_by_kind() {
        for (method, path, expected, allow) in [
            (
                "PUT",
                "",
                ProblemKind::MethodNotAllowed,
                Some("GET, HEAD, POST"),
            ),
            (
                "DELETE",
                "/runs",
                ProblemKind::MethodNotAllowed,
                Some("GET, HEAD, POST"),
            ),
            (
                "POST",
                "/runs/20261123T020000Z-0b5e77",
                ProblemKind::MethodNotAllowed,
                Some("GET, HEAD"),
            ),
            (
                "GET",
                "/runs/20261123T020000Z-0b5e77/undo",
                ProblemKind::MethodNotAllowed,
                Some("POST"),
            ),
            (
                "POST",
                "/accounts/a@corp.example",
                ProblemKind::MethodNotAllowed,
                Some("GET, HEAD"),
            ),
            (
                "POST",
                "/health",
                ProblemKind::MethodNotAllowed,
                Some("GET, HEAD"),
            ),
            ("GET", "/nothing", ProblemKind::UnknownPath, None),
            (
                "GET",
                "/runs/20261123T020000Z-0b5e77/redo",
                ProblemKind::UnknownPath,
                None,
            ),
            ("GET", "/runs//undo", ProblemKind::UnknownPath, None),
            ("GET", "/accounts", ProblemKind::UnknownPath, None),
            ("GET", "/runs/..", ProblemKind::UnknownRun, None),
            ("GET", "/runs/a b", ProblemKind::UnknownRun, None),
            ("POST", "/runs/a.b/undo", ProblemKind::UnknownRun, None),
        ] {
            let problem = ApiCall::parse(&request(method, path)).unwrap_err();
            assert_eq!(problem.kind, expected, "{method} {path}");
            let response = crate::functions::Response::from(problem);
            assert_eq!(response.headers.get("Allow").map(String::as_str), allow);
        }
    }

    #[test]
    fn a_parameter_that_means_nothing_is_refused() {
        for (method, path, name, fine) in [
            ("GET", "/runs", "format", true),
            ("GET", "", "account", true),
            ("GET", "/runs", "account", false),
            ("GET", "/access", "format", true),
            ("GET", "/access", "person", false),
            ("POST", "/runs", "mode", false),
            ("GET", "/health", "format", false),
        ] {
            let call = Request {
                query: [(name.to_owned(), "json".to_owned())].into(),
                ..request(method, path)
            };
            let refused = ApiCall::parse(&call).err().map(|problem| problem.kind);
            let expected = (!fine).then_some(ProblemKind::BadQuery);
            assert_eq!(refused, expected, "{method} {path}?{name}");
        }
    }

    #[test]
    fn a_start_reads_its_body() {
        let with_body = Request {
            headers: [("content-type".to_owned(), "application/json".to_owned())].into(),
            body: Some(r#"{"mode":"apply","accounts":["anna@corp.example"],"wait":30}"#.to_owned()),
            ..request("POST", "/runs")
        };
        let Ok(ApiCall::Start(body)) = ApiCall::parse(&with_body) else {
            panic!("no start");
        };
        assert_eq!(body.mode, Mode::Apply);
        assert_eq!(body.wait_s, 30);
    }
}
