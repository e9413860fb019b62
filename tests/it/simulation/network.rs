//! The network between the clients and the simulated services. Requests and answers are delayed, lost, delivered after
//! the caller has given up, or damaged.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use cloud_sync::{http::Transport, sandbox::zivver};
use futures::FutureExt as _;
use tokio::{sync::oneshot, task::JoinSet};
use tower::ServiceExt as _;

use super::{
    deaf,
    dice::Dice,
    stage::{Scene, Stage},
    time,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Exchange,
    Zivver,
    Storage,
}

/// A request on its way.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) service: Service,
    pub(super) process: usize,
    pub(super) invocation: usize,
    pub(super) method: Method,
    /// With the query.
    pub(super) path: String,
    pub(super) body: Bytes,
    /// When the service acted on it.
    pub(super) served_ms: i64,
}

impl Call {
    pub(super) fn is_write(&self) -> bool {
        self.service == Service::Zivver && self.method != Method::GET
    }

    /// Whether it lists or looks up accounts.
    fn is_list(&self) -> bool {
        let path = self.path.split('?').next().unwrap_or_default();
        let ends = path.ends_with("/Users") || path.ends_with("/Groups");
        self.service == Service::Zivver && self.method == Method::GET && ends
    }
}

/// What happens to a request and to its answer.
#[derive(Debug, Clone)]
pub(super) struct Fate {
    there: Duration,
    back: Duration,
    blow: Blow,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Blow {
    None,
    /// Answered without acting.
    Instead(u16, Option<&'static str>, &'static str),
    ResetBefore,
    HangBefore,
    /// From here on the service acts before the fault.
    ResetAfter,
    HangAfter,
    StatusAfter(u16),
    Truncated {
        honest_length: bool,
    },
    Empty,
    Garbage,
}

const HTML: &str = "<html><body><h1>Service Unavailable</h1></body></html>";
const BUSY: &str = r#"{"error":{"code":"ServerBusy","message":"The server is too busy. The issue may be transient."}}"#;
const TOO_MANY: &str = r#"{"code":429,"message":"Too Many Requests"}"#;

impl Fate {
    pub(super) fn draw(dice: &mut Dice, call: &Call, rate: u64, cursed: u64, out: bool) -> Self {
        let (there, back) = (dice.between(1, 90), dice.between(1, 90));
        let hit = dice.below(1000) < rate;
        let draw = dice.next();
        let blow = if out {
            match draw % 3 {
                0 => Blow::Instead(503, None, HTML),
                1 => Blow::ResetBefore,
                _ => Blow::Instead(500, None, ""),
            }
        } else if let Some(curse) = curse(call, cursed) {
            curse
        } else if hit {
            match call.service {
                Service::Exchange => exchange_blow(call, draw),
                Service::Zivver | Service::Storage if call.is_write() => write_blow(draw),
                Service::Zivver | Service::Storage => read_blow(draw),
            }
        } else {
            Blow::None
        };
        Self {
            there: Duration::from_millis(there),
            back: Duration::from_millis(back),
            blow,
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.blow == Blow::None
    }
}

/// A fault that affects every attempt of this invocation, and only of this one.
fn curse(call: &Call, per_mille: u64) -> Option<Blow> {
    let permissions = call.path.contains("/MailboxPermission");
    let cmdlet = call.path.contains("/InvokeCommand");
    if per_mille == 0 || call.service != Service::Exchange || !(permissions || cmdlet) {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    (call.invocation, &call.path, &call.body[..]).hash(&mut hasher);
    let hash = hasher.finish();
    if hash % 1000 >= per_mille {
        return None;
    }
    Some(match (hash / 1000) % 5 {
        // "Not found" is an answer to a question. It is possible only for a listed mailbox, which can really vanish.
        0 if permissions => Blow::Instead(
            404,
            None,
            r#"{"error":{"code":"NotFound","message":"gone"}}"#,
        ),
        1 if permissions => Blow::Instead(200, None, r#"{"value":[]}"#),
        0 | 1 => Blow::Instead(500, None, ""),
        2 => Blow::Instead(403, None, ""),
        3 => Blow::Instead(429, Some("2"), ""),
        _ => Blow::Truncated {
            honest_length: false,
        },
    })
}

fn exchange_blow(call: &Call, draw: u64) -> Blow {
    // An empty answer to a cmdlet means "nothing found".
    let cmdlet = call.path.contains("/InvokeCommand");
    match draw % 11 {
        0 => Blow::Instead(429, Some("3"), ""),
        1 => Blow::Instead(429, None, ""),
        2 => Blow::Instead(503, Some("1"), HTML),
        3 => Blow::Instead(500, None, ""),
        4 => Blow::Instead(400, None, BUSY),
        5 => Blow::Instead(401, None, ""),
        6 => Blow::ResetBefore,
        7 => Blow::HangBefore,
        8 => Blow::Truncated {
            honest_length: draw.is_multiple_of(2),
        },
        9 if !cmdlet => Blow::Empty,
        _ => Blow::Garbage,
    }
}

fn read_blow(draw: u64) -> Blow {
    match draw % 10 {
        0 => Blow::Instead(429, None, TOO_MANY),
        1 => Blow::Instead(429, Some("4"), TOO_MANY),
        2 => Blow::Instead(500, None, ""),
        3 => Blow::Instead(502, None, HTML),
        4 => Blow::ResetBefore,
        5 => Blow::HangBefore,
        6 => Blow::Empty,
        7 => Blow::Garbage,
        8 if draw.is_multiple_of(7) => Blow::Instead(401, None, ""),
        _ => Blow::Truncated {
            honest_length: draw.is_multiple_of(2),
        },
    }
}

fn write_blow(draw: u64) -> Blow {
    match draw % 12 {
        0 => Blow::Instead(429, None, TOO_MANY),
        1 => Blow::Instead(503, Some("2"), HTML),
        2 => Blow::Instead(500, None, ""),
        3 => Blow::ResetBefore,
        4 => Blow::HangBefore,
        5 | 6 => Blow::ResetAfter,
        7 => Blow::HangAfter,
        8 => Blow::StatusAfter(500),
        9 => Blow::StatusAfter(504),
        10 if draw.is_multiple_of(7) => Blow::Instead(403, None, ""),
        10 => Blow::Empty,
        _ => Blow::Truncated {
            honest_length: draw.is_multiple_of(2),
        },
    }
}

/// The connections of one process to one service.
#[derive(Clone)]
struct Wire {
    stage: Stage,
    process: usize,
    service: Service,
    inner: Router,
    zivver: zivver::Simulator,
    tasks: Tasks,
}

/// The answer of a service.
pub(super) type Answered = (axum::http::response::Parts, Bytes);

/// Requests on their way. They arrive even after the death of the caller.
pub(super) type Tasks = Arc<Mutex<JoinSet<()>>>;

pub(super) fn transport(
    stage: &Stage,
    process: usize,
    service: Service,
    inner: Router,
    zivver: &zivver::Simulator,
    tasks: &Tasks,
) -> Transport {
    let wire = Wire {
        stage: stage.clone(),
        process,
        service,
        inner,
        zivver: zivver.clone(),
        tasks: Arc::clone(tasks),
    };
    Transport::InProcess(Router::new().fallback(move |request: Request| {
        let wire = wire.clone();
        async move { wire.carry(request).await }
    }))
}

impl Wire {
    async fn carry(self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let call = Call {
            service: self.service,
            process: self.process,
            invocation: self
                .stage
                .with(|scene| scene.processes[self.process].invocation),
            method: parts.method.clone(),
            path: parts.uri.path_and_query().unwrap().to_string(),
            body: body.clone(),
            served_ms: 0,
        };
        let fate = self.stage.with(|scene| {
            if call.is_write() {
                scene.oracle.sends(&call);
            }
            scene.fate(&call)
        });
        let (send, receive) = oneshot::channel();
        let tasks = Arc::clone(&self.tasks);
        {
            let mut tasks = tasks.lock().unwrap();
            while tasks.try_join_next().is_some() {}
            tasks.spawn(self.serve(parts, call, fate, send));
        }
        receive.await.unwrap_or_else(|_| reset())
    }

    async fn serve(
        self,
        parts: Parts,
        mut call: Call,
        fate: Fate,
        send: oneshot::Sender<Response>,
    ) {
        tokio::time::sleep(fate.there).await;
        let answer = match fate.blow {
            Blow::Instead(status, retry_after, body) => Some(instead(status, retry_after, body)),
            Blow::ResetBefore => Some(reset()),
            Blow::HangBefore => return hang(send).await,
            Blow::None
            | Blow::ResetAfter
            | Blow::HangAfter
            | Blow::StatusAfter(_)
            | Blow::Truncated { .. }
            | Blow::Empty
            | Blow::Garbage => None,
        };
        if let Some(answer) = answer {
            tokio::time::sleep(fate.back).await;
            drop(send.send(answer));
            return;
        }
        call.served_ms = time::elapsed_ms();
        let (mut acted, body) = self.act(parts, &call);
        tokio::time::sleep(fate.back).await;
        // Status and headers say "not found" too.
        let told = matches!(
            fate.blow,
            Blow::Garbage
                | Blow::Truncated {
                    honest_length: false
                }
        );
        if told && acted.status == StatusCode::NOT_FOUND {
            let status = acted.status;
            self.stage
                .with(|scene| scene.oracle.delivered(&call, status, &body));
        }
        let (body, status) = match fate.blow {
            Blow::ResetAfter => {
                drop(send.send(reset()));
                return;
            }
            Blow::HangAfter => return hang(send).await,
            Blow::StatusAfter(status) => (Body::empty(), Some(status)),
            Blow::Truncated { honest_length } => {
                if honest_length {
                    acted
                        .headers
                        .insert(header::CONTENT_LENGTH, body.len().into());
                }
                (Body::from(body.slice(..body.len() / 2)), None)
            }
            Blow::Empty => (Body::empty(), Some(200)),
            Blow::Garbage => ([&body[..], b"\n<!-- end -->"].concat().into(), None),
            Blow::None | Blow::Instead(..) | Blow::ResetBefore | Blow::HangBefore => {
                if !send.is_closed() {
                    let status = acted.status;
                    self.stage
                        .with(|scene| scene.oracle.delivered(&call, status, &body));
                }
                (Body::from(body), None)
            }
        };
        if let Some(status) = status {
            acted.status = StatusCode::from_u16(status).unwrap();
        }
        drop(send.send(Response::from_parts(acted, body)));
    }

    fn answer(&self, parts: Parts, call: &Call) -> Answered {
        let request = Request::from_parts(parts, Body::from(call.body.clone()));
        let response = self.inner.clone().oneshot(request).now_or_never();
        let (acted, body) = response.unwrap().unwrap().into_parts();
        let body = to_bytes(body, usize::MAX).now_or_never().unwrap().unwrap();
        (acted, body)
    }

    /// A list may lag behind writes.
    fn list(&self, parts: Parts, call: &Call) -> Answered {
        let shown = self.stage.with(|scene| {
            let lags = !scene.oracle.lag.is_zero();
            lags.then(|| scene.oracle.shown_at(call.served_ms))
        });
        let Some(shown) = shown else {
            return self.answer(parts, call);
        };
        let put = |users, groups| {
            self.zivver.with_state(|organisation| {
                let users = std::mem::replace(&mut organisation.users, users);
                (users, std::mem::replace(&mut organisation.groups, groups))
            })
        };
        let (users, groups) = put(shown.users.clone(), shown.groups.clone());
        let answered = self.answer(parts, call);
        put(users, groups);
        answered
    }

    /// The service acts at one instant.
    fn act(&self, parts: Parts, call: &Call) -> Answered {
        let deafness = call.is_write().then(|| self.stage.with(Scene::deafness));
        let (mut acted, body) = match deafness.flatten() {
            Some(deafness) => deaf::act(&self.zivver, &deafness, &call.path, || {
                self.answer(parts, call)
            }),
            None if call.is_list() => self.list(parts, call),
            None => self.answer(parts, call),
        };
        acted.headers.remove(header::CONTENT_LENGTH);
        let after = call.is_write().then(|| self.zivver.state());
        self.stage.with(|scene| {
            scene.note(call.method.as_str().as_bytes());
            scene.note(call.path.as_bytes());
            scene.note(&acted.status.as_u16().to_be_bytes());
            scene.tell(|| told(call, acted.status));
            if let Some(after) = after {
                scene.oracle.acted(call, (acted.status, &body), &after);
                let process = &mut scene.processes[self.process];
                if let Some(left) = &mut process.writes_to_live {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        process.doomed = true;
                        process.writes_to_live = None;
                    }
                }
            }
        });
        (acted, body)
    }
}

fn told(call: &Call, status: StatusCode) -> String {
    let Call {
        service,
        process,
        invocation,
        method,
        path,
        body,
        ..
    } = call;
    let body = String::from_utf8_lossy(body);
    format!(
        "{process}/{invocation} {service:?} {method} {path} {body} -> {}",
        status.as_u16()
    )
}

fn instead(status: u16, retry_after: Option<&'static str>, body: &'static str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    match retry_after {
        Some(seconds) => (status, [(header::RETRY_AFTER, seconds)], body).into_response(),
        None => (status, body).into_response(),
    }
}

/// The connection breaks.
fn reset() -> Response {
    let broken = io::Error::new(io::ErrorKind::ConnectionReset, "reset");
    Response::new(Body::from_stream(futures::stream::iter([Err::<Bytes, _>(
        broken,
    )])))
}

/// Longer than any timeout.
async fn hang(send: oneshot::Sender<Response>) {
    tokio::time::sleep(Duration::from_secs(600)).await;
    drop(send);
}
