//! Every parser of external bytes, through the public interface: clients with a service that answers with the input,
//! the sandbox with a caller that sends it, the handler's envelopes, settings, state. Fuzzed by `fuzz/run`, and
//! replayed from `fuzz/corpus` by `cargo test`.
//!
//! All of them must end without a panic. Further properties are assertions in each target.

mod exchange;
mod functions;
mod probe;
mod sandbox;
mod script;
mod settings;
mod state;
mod text;
mod zivver;

use std::future::Future;

#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&[u8]),
}

pub(crate) const ALL: [Target; 15] = [
    target("exchange_list", exchange::list),
    target("exchange_permissions", exchange::permissions),
    target("exchange_questions", exchange::questions),
    target("exchange_token", exchange::token),
    target("functions_app", functions::app),
    target("functions_envelope", functions::envelope),
    target("import_settings", settings::import),
    target("probe", probe::probe),
    target("sandbox_exchange", sandbox::exchange),
    target("sandbox_zivver", sandbox::zivver),
    target("settings", settings::settings),
    target("state", state::state),
    target("text", text::text),
    target("zivver_read", zivver::read),
    target("zivver_write", zivver::write),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// Runs to the end on a paused clock, on which waiting takes no time. Panics if the work waits for nothing.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime can be made")
        .block_on(work)
}

/// The first line, and the rest.
fn first_line(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &[]),
    }
}
