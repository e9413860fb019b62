//! The built binary, started and used as the Functions host starts and uses it.

mod approval;
mod calls;
mod durability;
mod full_run;
pub(crate) mod office;
mod schedule;
mod stopping;
mod storage;
