//! How the binary is built.

use std::{fs, path::Path};

/// A panic ends only one invocation because it unwinds (`docs/security.md`).
#[test]
fn no_profile_turns_a_panic_into_an_abort() {
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let aborts: Vec<&str> = manifest
        .lines()
        .filter(|line| line.starts_with("panic"))
        .collect();
    assert_eq!(aborts, [""; 0]);
}
