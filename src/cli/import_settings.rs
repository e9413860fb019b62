//! Converts the settings of the original script, into JSON for `az functionapp config appsettings set` or into lines.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{self, Read as _},
    path::Path,
};

use serde::Serialize;

use super::{
    CliError, Status,
    output::{DIM, Output, YELLOW},
    text,
};
use crate::migrate::{Import, Value, Warning, decode};

#[derive(Serialize)]
struct Imported<'a> {
    settings: BTreeMap<&'a str, &'a str>,
    /// Names of settings whose values are not shown.
    secrets: Vec<&'a str>,
    warnings: &'a [Warning],
    /// Names only: the values of unknown variables may be secret.
    unknown: &'a [String],
}

pub(super) fn import(file: &Path, show_secrets: bool, output: Output) -> Result<Status, CliError> {
    let refused = |why: String| {
        CliError::Failed(format!(
            "cannot import {}: {why}",
            text::inert(&file.display().to_string())
        ))
    };
    let bytes = read(file).map_err(|error| refused(format!("{error}; check the path")))?;
    let import = decode(&bytes)
        .and_then(|text| Import::read(&text))
        .map_err(|error| refused(error.to_string()))?;
    output.show(&shown(&import, show_secrets), || {
        page(&import, show_secrets)
    })?;
    if !output.is_json() {
        for Warning { name, text } in &import.warnings {
            output.say(&format!(
                "{YELLOW}{}{YELLOW:#} {}",
                text::inert(name),
                text::inert(text)
            ));
        }
        if !import.unknown.is_empty() {
            output.say(&format!(
                "not known and left out: {}",
                text::inert(&import.unknown.join(", "))
            ));
        }
        output.say(&format!(
            "{DIM}docs/migration.md has the next steps.{DIM:#}"
        ));
    }
    Ok(if import.warnings.is_empty() {
        Status::InSync
    } else {
        Status::NeedsAttention
    })
}

/// `-` reads standard input, so that keys need not be stored in a file.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file != Path::new("-") {
        return fs::read(file);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn shown(import: &Import, show_secrets: bool) -> Imported<'_> {
    let hidden = |value: &Value| matches!(value, Value::Secret(_)) && !show_secrets;
    let (secrets, open): (Vec<_>, Vec<_>) = import
        .settings
        .iter()
        .partition(|setting| hidden(&setting.value));
    Imported {
        settings: open
            .into_iter()
            .map(|setting| (setting.name.as_str(), setting.value.expose()))
            .collect(),
        secrets: secrets.into_iter().map(|s| s.name.as_str()).collect(),
        warnings: &import.warnings,
        unknown: &import.unknown,
    }
}

/// Lines that are valid in a shell and in a `.env` file.
fn page(import: &Import, show_secrets: bool) -> String {
    let mut page = String::new();
    for setting in &import.settings {
        let name = &setting.name;
        match &setting.value {
            Value::Secret(_) if !show_secrets => {
                writeln!(
                    page,
                    "# {name} is set there; a secret is shown with --show-secrets only"
                )
            }
            value @ (Value::Secret(_) | Value::Plain(_)) => {
                writeln!(page, "{name}='{}'", value.expose().replace('\'', r"'\''"))
            }
        }
        .expect("writing to a string does not fail");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "CLOUD_SYNC__ZIVVER_API_KEY=k3y\nCLOUD_SYNC__CLAIMED_DOMAINS=corp.example\nCLOUD_SYNC__TARGET_FILTER=o'b@";

    #[test]
    fn secrets_are_shown_on_request_only() {
        let import = Import::read(TEXT).unwrap();
        let page = page(&import, false);
        insta::assert_snapshot!(page, @r"
        # CLOUD_SYNC__ZIVVER_API_KEY is set there; a secret is shown with --show-secrets only
        CLOUD_SYNC__CLAIMED_DOMAINS='corp.example'
        CLOUD_SYNC__TARGET_FILTER='o'\''b@'
        CLOUD_SYNC__PERFORM_SYNC='false'
        CLOUD_SYNC__SSO_ACCOUNT_KEY='object_id'
        ");
        let json = serde_json::to_string(&shown(&import, false)).unwrap();
        assert!(!json.contains("k3y"), "{json}");
        assert!(
            json.contains(r#""secrets":["CLOUD_SYNC__ZIVVER_API_KEY"]"#),
            "{json}"
        );
        assert!(super::page(&import, true).contains("CLOUD_SYNC__ZIVVER_API_KEY='k3y'\n"));
    }
}
