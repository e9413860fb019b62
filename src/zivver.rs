//! Client of Zivver's SCIM API.

mod governor;

pub use governor::Rate;
