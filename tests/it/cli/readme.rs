//! The page for newcomers names what there is.

use std::collections::BTreeMap;

use cloud_sync::settings::{LOG_NAMES, NAMES};
use serde_json::Value;

fn file(name: &str) -> String {
    std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Rows of the table of settings: name and default.
fn rows() -> BTreeMap<String, String> {
    let text = file("README.md");
    let (_, table) = text.split_once("\n## Settings\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.split('|').map(|cell| cell.trim().trim_matches('`'));
        cells.next();
        (
            cells.next().unwrap().to_owned(),
            cells.next().unwrap().to_owned(),
        )
    })
    .collect()
}

#[test]
fn the_table_has_every_setting() {
    let mut named: Vec<String> = rows().into_keys().collect();
    let mut known: Vec<String> = NAMES
        .iter()
        .chain(&LOG_NAMES)
        .map(|name| (*name).to_owned())
        .chain(["SYNC_SCHEDULE".to_owned()])
        .collect();
    named.sort();
    known.sort();
    assert_eq!(named, known);
}

#[test]
fn the_defaults_of_the_table_are_those_of_the_template() {
    let template: Value = serde_json::from_str(&file("local.settings.json.template")).unwrap();
    for (name, default) in rows() {
        let prefixed = format!("CLOUD_SYNC__{name}");
        let value = template["Values"]
            .get(&prefixed)
            .unwrap_or(&template["Values"][&name])
            .as_str()
            .unwrap();
        match default.as_str() {
            // The template proposes a value.
            "required" => {}
            "none" => assert_eq!(value, "", "{name}"),
            default => assert_eq!(value, default, "{name}"),
        }
    }
}
