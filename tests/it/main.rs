//! One binary for all integration tests, one module per area.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod functions_host;
mod settings;
