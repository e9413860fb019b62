//! Cloud Sync.
