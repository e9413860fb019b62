//! Clients of the external services: [`http`] sends requests and retries; [`exchange`] reads the Exchange Online admin
//! API; [`graph`] sends mail; [`zivver`] reads and writes Zivver's SCIM API at the rate that it allows;
//! [`managed_identity`] reads the answers of the platform's identity endpoint.

pub mod exchange;
pub mod graph;
pub mod http;
pub mod managed_identity;
pub mod zivver;
