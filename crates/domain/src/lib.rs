//! The decisions of the program: pure values and functions without I/O and without a clock (rules R1–R40, R42–R44, R46
//! and R47).
//!
//! In reading order: [`address`] and [`ids`] name things, [`source`] is what Exchange Online said and [`account`] what
//! Zivver said.

pub mod account;
pub mod accounts;
pub mod action;
pub mod actor;
pub mod address;
pub mod all_clear;
pub mod approval;
pub mod change;
pub mod comparison;
pub mod counted;
pub mod delegation;
pub mod delta;
pub mod desired;
pub mod diff;
pub mod directory;
pub mod effect;
pub mod execute;
pub mod explain;
pub mod figures;
mod given;
mod group_index;
pub mod guard;
pub mod hash;
pub mod health;
pub mod held;
pub mod hold;
pub mod ids;
mod index;
pub mod ineffective;
mod kept_access;
pub mod ledger;
pub mod mailbox;
pub mod mailing;
pub mod matching;
pub mod memory;
pub mod mode;
pub mod named;
pub mod note;
pub mod notice;
pub mod offenders;
pub mod order;
pub mod origin;
pub mod other_setting;
pub mod outsider;
pub mod plan;
mod possible;
pub mod probe;
pub mod record;
pub mod rejection;
pub mod remedies;
mod reopened;
pub mod report;
pub mod reviewed;
pub mod schedule;
pub mod scope;
pub mod seen;
pub mod settle;
pub mod sides;
mod sign_in_keys;
pub mod since;
pub mod snapshot;
pub mod source;
pub mod step;
pub mod suspended;
mod ties;
pub mod trustee;
mod unconfirmed;
pub mod undo;
mod unlisted;
pub mod wave;
pub mod wishes;
pub mod world;

/// The name of a value without fields, as JSON has it.
pub fn name_in_json(value: impl serde::Serialize) -> String {
    let name = serde_json::to_value(value).ok();
    let name = name.as_ref().and_then(serde_json::Value::as_str);
    name.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
