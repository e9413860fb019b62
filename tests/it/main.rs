//! Integration tests: one binary, one module per area.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod sandbox_exchange;
