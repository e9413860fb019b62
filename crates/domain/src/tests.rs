//! The rules as small worlds (`docs/specs/reconciliation.md`, "A. Reading" to "F. Guards"), and properties over many of
//! them.

mod all_clear;
mod changes;
mod delegations;
mod execute;
mod explained;
mod guards;
mod health;
mod leavers;
mod matching;
mod notation;
mod offenders;
mod order;
mod parts;
mod properties;
mod reading;
mod reports;
mod reviewed;
mod scope;
mod settling;
mod shown;
mod taken_back;
mod trustees;
mod undo;
mod words;
mod zivver;
