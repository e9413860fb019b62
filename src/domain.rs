//! What is decided: pure values and functions, no I/O, no clock (rules R1–R40).
//!
//! In reading order: [`address`] and [`ids`] name things, [`source`] is what Exchange Online said and [`account`] what
//! Zivver said.

pub mod account;
pub mod accounts;
pub mod address;
pub mod delegation;
pub mod delta;
pub mod desired;
pub mod diff;
pub mod directory;
pub mod guard;
pub mod ids;
pub mod mailbox;
pub mod matching;
pub mod memory;
pub mod note;
pub mod scope;
pub mod source;
pub mod world;
