//! Cloud Sync.

pub mod sandbox;
