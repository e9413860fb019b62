//! What talks to the two services: [`http`] sends, repeats and fails; [`exchange`] reads the Exchange Online admin API;
//! [`zivver`] reads and writes Zivver's SCIM API at the pace that it allows.

pub mod exchange;
pub mod http;
pub mod zivver;
