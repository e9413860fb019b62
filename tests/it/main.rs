//! The library in front of services that answer over HTTP.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod exchange_client;
