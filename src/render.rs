//! What a person reads away from the terminal: a report or an explanation as one HTML file or as CSV.
//!
//! Display names, addresses and answers come from outside, and whoever made them may have meant harm. So each form has
//! one way in for them, which makes them inert: [`html::Html::text`] and `csv::cell`, all behind
//! [`visible`].

pub mod csv;
pub mod html;
pub mod visible;
pub mod words;

pub use html::content_security_policy;

#[cfg(test)]
mod tests;
