//! Cloud Sync keeps the accounts of a Zivver organisation equal to the mailboxes of an Exchange Online tenant.

pub mod cli;
pub mod domain;
pub mod engine;
pub mod exchange;
pub mod functions;
pub mod http;
pub mod render;
pub mod sandbox;
pub mod settings;
pub mod state;
pub mod telemetry;
pub mod zivver;
