//! Tests of the rules with small worlds (`docs/specs/reconciliation.md`, "A. Reading" to "F. Guards"), and of
//! properties over many worlds.

mod access;
mod all_clear;
mod changes;
mod companions;
mod delegations;
mod entries;
mod execute;
mod explained;
mod guards;
mod health;
mod leavers;
mod matching;
mod notation;
mod offenders;
mod order;
mod origins;
mod parts;
mod properties;
mod quick;
mod reading;
mod rejections;
mod reports;
mod reviewed;
mod scope;
mod settling;
mod shown;
mod snapshots;
mod taken_back;
mod trustees;
mod undo;
mod verdicts;
mod waves;
mod words;
mod zivver;
