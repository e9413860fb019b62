//! Clients of the two services: [`http`] sends requests and retries; [`exchange`] reads the Exchange Online admin API;
//! [`zivver`] reads and writes Zivver's SCIM API at the rate that it allows.

pub mod exchange;
pub mod http;
pub mod zivver;
