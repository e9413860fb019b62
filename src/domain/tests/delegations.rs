//! delegations
