//! The built binary, started and used like the Functions host does.

mod approval;
mod beside;
mod calls;
mod drift;
mod durability;
mod forms;
mod full_run;
mod instances;
mod nights;
pub(crate) mod office;
mod proxies;
mod quick;
mod reviewed;
mod schedule;
mod signals;
mod stopping;
mod storage;
mod unstarted;
mod who;
