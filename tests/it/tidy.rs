//! Rules about the source itself: the layers (`docs/architecture.md`).

use std::{
    fs,
    path::{Path, PathBuf},
};

const MODULES: [&str; 15] = [
    "cli",
    "domain",
    "engine",
    "exchange",
    "functions",
    "http",
    "mail",
    "notify",
    "otlp",
    "render",
    "sandbox",
    "settings",
    "state",
    "telemetry",
    "zivver",
];

/// Crates that do I/O, or could.
const IO_CRATES: [&str; 9] = [
    "axum",
    "azure_core",
    "azure_identity",
    "futures",
    "object_store",
    "reqwest",
    "tokio",
    "tracing",
    "indicatif",
];

fn files(root: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with the top module that it belongs to, and its text without comments.
fn sources() -> Vec<(PathBuf, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &mut found);
    found
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&root).unwrap();
            let top = inside
                .iter()
                .next()
                .unwrap()
                .to_string_lossy()
                .trim_end_matches(".rs")
                .to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let code: Vec<&str> = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            (path.clone(), top, code.join("\n"))
        })
        .collect()
}

/// Whether the code of one module names another.
fn names(code: &str, module: &str) -> bool {
    let direct = [format!("crate::{module}"), format!("cloud_sync::{module}")];
    if direct.iter().any(|text| code.contains(text.as_str())) {
        return true;
    }
    // `use crate::{…}`, over several lines.
    code.split("crate::{").skip(1).any(|rest| {
        let mut depth = 1;
        let end = rest
            .char_indices()
            .find(|(_, c)| {
                depth += match c {
                    '{' => 1,
                    '}' => -1,
                    _ => 0,
                };
                depth == 0
            })
            .map_or(rest.len(), |(at, _)| at);
        rest[..end].split([',', '{', '}']).any(|part| {
            let part = part.trim();
            part == module || part.starts_with(&format!("{module}::"))
        })
    })
}

#[track_caller]
fn assert_knows_only(module: &str, allowed: &[&str]) {
    for (path, top, code) in sources() {
        if top != module {
            continue;
        }
        for other in MODULES {
            assert!(
                other == module || allowed.contains(&other) || !names(&code, other),
                "{} names {other}",
                path.display()
            );
        }
    }
}

#[test]
fn the_domain_names_no_other_module_and_no_crate_that_does_io() {
    assert_knows_only("domain", &[]);
    for (path, top, code) in sources() {
        for name in IO_CRATES {
            let used = code.contains(&format!("use {name}")) || code.contains(&format!("{name}::"));
            assert!(top != "domain" || !used, "{} uses {name}", path.display());
        }
    }
}

#[test]
fn the_clients_know_the_domain_and_http_and_not_each_other() {
    assert_knows_only("exchange", &["domain", "http"]);
    assert_knows_only("zivver", &["domain", "http"]);
    assert_knows_only("http", &[]);
}

#[test]
fn the_sandbox_names_nothing_of_ours_and_state_only_how_to_reach_a_service() {
    assert_knows_only("state", &["http"]);
    assert_knows_only("sandbox", &[]);
}

#[test]
fn only_the_outermost_layer_names_the_sandbox() {
    for module in [
        "domain",
        "engine",
        "exchange",
        "functions",
        "http",
        "settings",
        "state",
        "telemetry",
        "zivver",
    ] {
        for (path, top, code) in sources() {
            assert!(
                top != module || !names(&code, "sandbox"),
                "{} names sandbox",
                path.display()
            );
        }
    }
}
