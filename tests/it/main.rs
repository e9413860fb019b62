//! Tests that need more than one module: the library and the binary against stores and simulated services on 127.0.0.1.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod browser;
mod cases;
mod checkup;
mod citations;
mod cli;
mod docs;
mod exchange_client;
mod functions_host;
mod fuzz_corpus;
mod host;
mod identity_wire;
mod infra;
mod invocations;
mod judges;
mod left_behind;
mod mail;
mod migrate;
mod nights;
mod notifications;
mod offenders;
mod openapi;
mod otlp;
mod package;
mod pages;
mod probe;
mod process;
mod readme;
mod rules;
mod sandbox_exchange;
mod sandbox_zivver;
mod settings;
mod simulation;
mod state;
mod supply;
mod sync;
mod tools;
mod undo;
mod world;
mod zivver_client;
