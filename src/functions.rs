//! The Functions host's default protocol (`docs/specs/functions-host.md`, "2. Wire protocol"), as values and one pure
//! translation per direction.
//!
//! In reading order: [`invocation`] is what the host asks, [`http`] what its HTTP trigger carries, [`api`] what a caller
//! wants with it, [`message`] what travels through the queue, [`problem`] how a caller is refused, [`answer`] what the
//! host hears, and [`server`] the listener around it all. The host's spelling stays in this layer.

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
pub use server::{parent_ended, serve, shutdown_signal};

pub use domain::mode::Mode;
