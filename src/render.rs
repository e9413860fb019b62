//! Reports and explanations for people outside a terminal: as one HTML file or as CSV.
//!
//! Display names, addresses and answers come from other systems and may be hostile. Each format makes them inert in one
//! place: `maud` escapes markup, [`html::Page`] and `csv` show invisible characters as text ([`visible`]), and `csv`
//! prevents a spreadsheet from reading a cell as a formula.

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
