//! Carries out an approved plan, without I/O.

pub mod alias_domains;
