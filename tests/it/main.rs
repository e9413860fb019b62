//! Tests through the front door, in one binary; everything they talk to is on the loopback interface.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod sandbox_exchange;
mod sandbox_zivver;
