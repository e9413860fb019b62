//! Which crates may be in the binary: checks `deny.toml` without cargo-deny, which takes longer to build than all of
//! this. Advisories are left to `cargo deny check advisories`, which needs their database.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use serde_json::Value;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The texts in quotes of the list that begins with `start`.
fn list(text: &str, start: &str) -> BTreeSet<String> {
    let list = text.split_once(start).unwrap().1;
    let list = list.split_once("\n]").unwrap().0;
    let lines = list.lines().filter(|line| !line.trim().starts_with('#'));
    let quoted = lines.filter_map(|line| line.split('"').nth(1));
    quoted.map(str::to_owned).collect()
}

/// SPDX in the forms that crates use. An old `/` means OR.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    // AND binds tighter, except in parentheses, which group only choices here.
    plain.split(" AND ").all(|choices| {
        let mut choices = choices.split(" OR ");
        choices.any(|license| allowed.contains(license.trim()))
    })
}

/// All packages of the workspace's builds for this platform, including tests.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let used: BTreeSet<&str> = nodes
        .iter()
        .map(|node| node["id"].as_str().unwrap())
        .collect();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .filter(|package| used.contains(package["id"].as_str().unwrap()))
        .cloned()
        .collect()
}

#[test]
fn what_comes_in_is_what_deny_toml_lets_in() {
    let rules = read("deny.toml");
    let mut allowed = list(&rules, "\nallow = [");
    assert!(allowed.contains("MIT"), "{allowed:?}");
    let denied = list(&rules, "\ndeny = [");
    assert!(denied.contains("openssl-sys"), "{denied:?}");
    let packages = packages();
    assert!(packages.len() > 100);
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let license = package["license"].as_str().unwrap_or("none");
        let is_exception = name == "libfuzzer-sys";
        if is_exception {
            allowed.insert("NCSA".to_owned());
        }
        assert!(is_allowed(license, &allowed), "{name}: {license}");
        if is_exception {
            allowed.remove("NCSA");
        }
        assert!(!denied.contains(name), "{name} may not come in");
        let source = package["source"].as_str();
        assert!(
            source.is_none_or(|from| from == REGISTRY),
            "{name}: {source:?}"
        );
        for needed in package["dependencies"].as_array().unwrap() {
            let is_ours = source.is_none() && needed["path"].is_null();
            assert!(!is_ours || needed["req"] != "*", "{name}: {needed}");
        }
    }
}

/// One version of each crate, except those that are skipped by name with a reason. A skip that is no longer needed
/// fails the test.
#[test]
fn no_second_version_comes_in_unseen() {
    let skipped = list(&read("deny.toml"), "\nskip = [");
    let is_of = |skip: &str, name: &str, version: &str| {
        let beginning = skip
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('@'));
        beginning.is_some_and(|beginning| version.starts_with(&format!("{beginning}.")))
    };
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        let text = |field: &str| package[field].as_str().unwrap().to_owned();
        versions
            .entry(text("name"))
            .or_default()
            .push(text("version"));
    }
    for (name, versions) in &versions {
        let is_skipped = |version: &&String| skipped.iter().any(|it| is_of(it, name, version));
        let counted = versions.iter().filter(|version| !is_skipped(version));
        assert!(counted.count() <= 1, "{name} {versions:?}");
    }
    for skip in skipped.iter().filter(|it| !it.contains("core-foundation")) {
        let mut all = versions.iter();
        let needed = all.any(|(name, versions)| {
            versions.len() > 1 && versions.iter().any(|version| is_of(skip, name, version))
        });
        assert!(needed, "{skip} is skipped for nothing");
    }
}

#[test]
fn licenses_are_told_apart() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned()]);
    for (expression, expected) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("Apache-2.0 OR MIT", true),
        ("Apache-2.0 AND ISC", false),
        ("(Apache-2.0 OR MIT) AND ISC", true),
        ("GPL-3.0", false),
        ("none", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}

/// A panic ends only one invocation because it unwinds (`docs/security.md`).
#[test]
fn no_profile_turns_a_panic_into_an_abort() {
    let manifest = read("Cargo.toml");
    let aborts: Vec<&str> = manifest
        .lines()
        .filter(|line| line.starts_with("panic"))
        .collect();
    assert_eq!(aborts, [""; 0]);
}
