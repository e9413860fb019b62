//! Simulators of the outside world, for tests, demonstrations and load: they share no type with the clients, refuse what
//! they do not know, and show afterwards what they were asked.

pub mod control;
pub mod exchange;
pub mod identity;
