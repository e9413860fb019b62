//! The rules as they appear on the wire: the real engine and the real clients against the sandbox, on a paused clock. A
//! test is named after its rule.

mod all_clear;
mod applying;
mod approvals;
mod bench;
mod budget;
mod changes;
mod companions;
mod company;
mod delegations;
mod faces;
mod guards;
mod half_done;
mod hunt;
mod leavers;
mod mailboxes;
mod matching;
mod model;
mod numbers;
mod one;
mod quick;
mod reading;
mod recovery;
mod rejections;
mod reviewed;
mod scope;
mod stopping;
mod waves;
