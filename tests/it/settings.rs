//! The project's files match the settings and the requirements of the host (`docs/specs/functions-host.md`, "5.
//! host.json and function.json" and "8. Core Tools").

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cloud_sync::settings::Settings;
use serde_json::{Value, json};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn json_of(file: &str) -> Value {
    let text = fs::read_to_string(root().join(file)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn template() -> BTreeMap<String, String> {
    let template = json_of("local.settings.json.template");
    serde_json::from_value(template["Values"].clone()).unwrap()
}

#[test]
fn the_template_alone_says_what_is_still_to_be_filled_in() {
    let values = template();
    let error = Settings::read(|name| values.get(name).cloned(), &[]).unwrap_err();
    let missing: Vec<&str> = error.problems().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        missing,
        [
            "CLOUD_SYNC__ZIVVER_API_KEY",
            "CLOUD_SYNC__CLAIMED_DOMAINS",
            "CLOUD_SYNC__SSO_ACCOUNT_KEY",
        ]
    );
}

#[test]
fn the_host_finds_what_the_handler_serves() {
    let host = json_of("host.json");
    let description = &host["customHandler"]["description"];
    assert_eq!(description["defaultExecutablePath"], "handler");
    assert_eq!(host["customHandler"]["enableForwardingHttpRequest"], false);
    assert_eq!(host["functionTimeout"], "00:10:00");
    assert!(host["extensionBundle"]["id"].is_string());
    let queues = &host["extensions"]["queues"];
    assert_eq!(queues["batchSize"], 1);
    assert_eq!(queues["newBatchThreshold"], 0);

    let next = json!({
        "type": "queue", "direction": "out", "name": "next",
        "queueName": "cloud-sync-runs", "connection": "AzureWebJobsStorage",
    });
    for (function, trigger) in [
        ("SyncTimer", "timer"),
        ("SyncHttp", "req"),
        ("SyncQueue", "message"),
    ] {
        let bindings = json_of(&format!("{function}/function.json"))["bindings"].clone();
        let bindings = bindings.as_array().unwrap();
        assert_eq!(bindings[0]["name"], trigger);
        assert_eq!(bindings.last(), Some(&next), "{function}");
    }
}

fn files(folder: &Path, into: &mut Vec<String>) {
    // `target` is large, so the test represents it by two names. The others are never published.
    const UNSEEN: [&str; 4] = [".git", ".vscode", "target", "node_modules"];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        if UNSEEN.contains(&name) {
            continue;
        }
        if path.is_dir() {
            files(&path, into);
        } else {
            into.push(name.replace('\\', "/"));
        }
    }
}

/// Core Tools packs everything that `.funcignore` does not name, even hidden folders and keys. So the file ignores
/// everything, and names what to include.
#[test]
fn a_publish_holds_exactly_five_entries() {
    let ignore = fs::read_to_string(root().join(".funcignore")).unwrap();
    let mut lines = ignore.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(lines.next(), Some("*"));
    let allowed: Vec<&str> = lines.map(|line| line.strip_prefix('!').unwrap()).collect();
    let is_allowed = |path: &str| {
        allowed
            .iter()
            .any(|allowed| match allowed.strip_suffix("**") {
                Some(folder) => path.starts_with(folder),
                None => path == *allowed,
            })
    };
    let mut found: Vec<String> = ["handler", "key.txt", ".azure/prod/.env", "plan.json"]
        .map(str::to_owned)
        .into();
    files(&root(), &mut found);
    let published: BTreeSet<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|path| is_allowed(path))
        .collect();
    assert_eq!(
        published.into_iter().collect::<Vec<_>>(),
        [
            "SyncHttp/function.json",
            "SyncQueue/function.json",
            "SyncTimer/function.json",
            "handler",
            "host.json",
        ]
    );
}

#[test]
fn git_ignores_keys_and_what_tools_keep() {
    let ignore = fs::read_to_string(root().join(".gitignore")).unwrap();
    for line in [
        "key.txt",
        ".env",
        ".azure/",
        ".vs/",
        ".idea/",
        "__*storage__/",
        "__azurite_*",
        "*.zip",
        "local.settings.json",
        "infra/local.bicepparam",
    ] {
        assert!(ignore.lines().any(|it| it == line), "{line}");
    }
}
