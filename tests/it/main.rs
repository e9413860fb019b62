//! Everything that needs more than one module: the library against stores and simulated services on 127.0.0.1.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod functions_host;
mod settings;
mod state;
