//! The default protocol of the Functions host (`docs/specs/functions-host.md`, "2. Wire protocol"): types, and pure
//! functions that parse requests and make answers.
//!
//! In reading order: [`invocation`] parses what the host sends, [`http`] the request inside an HTTP trigger, [`api`]
//! the call that it makes; [`message`] is the queue message, [`problem`] a refused call, [`answer`] the answer to the
//! host, and [`server`] the listener. Names of the host's protocol are used only in this layer.

mod access;
pub mod answer;
pub mod api;
pub mod app;
mod caller;
mod dashboard;
mod form;
pub mod http;
pub mod invocation;
pub mod message;
pub mod problem;
pub mod server;
mod starts;
mod tick;
mod views;

pub use answer::{Answer, Success};
pub use api::{AccessQuery, ApiCall, Format};
pub use app::App;
pub use http::{Request, Response};
pub use invocation::{Invocation, Timer, Trigger};
pub use message::Message;
pub use problem::{Problem, ProblemKind};
pub use server::{Signal, parent_ended, serve, shutdown_signal};

pub use domain::mode::Mode;
