//! The rules as small worlds (`reconciliation.md` A to F), and properties over many of them.

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
mod properties;
mod reading;
mod reports;
mod scope;
mod settling;
mod shown;
mod taken_back;
mod trustees;
mod undo;
mod words;
mod zivver;
