//! What a person reads away from the terminal: a report or an explanation as one HTML file or as CSV.
//!
//! Display names, addresses and answers come from outside and may be hostile. Each form makes them inert in one place:
//! `maud` escapes what stands in markup, [`html::Page`] and `csv` spell out what cannot be seen ([`visible`]), and `csv`
//! keeps a spreadsheet from taking a cell for a formula.

pub mod access;
pub mod csv;
pub mod findings;
pub mod html;
pub(crate) mod timeline;
pub mod visible;
pub mod words;

pub use html::content_security_policy;

#[cfg(test)]
mod tests;
