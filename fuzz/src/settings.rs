//! The environment, and the settings file of the original program.

use std::collections::BTreeMap;

use cloud_sync::{
    migrate::{Import, decode},
    otlp::Otlp,
    settings::{LogSettings, Settings, functions_port},
};

/// `NAME=value` lines are the environment. The same environment must give the same settings, and errors must be one
/// line.
pub(super) fn settings(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let variables: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let names: Vec<String> = variables.keys().map(ToString::to_string).collect();
    let lookup = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let read = || match Settings::read(lookup, &names) {
        Ok(settings) => format!("{settings:?}"),
        Err(error) => error.to_string(),
    };
    let said = read();
    assert_eq!(said, read());
    assert!(!said.contains('\n'), "{said:?}");
    drop(LogSettings::read(lookup));
    drop(functions_port(lookup));
    drop(Otlp::read(lookup));
    let secrets = ["ZIVVER_API_KEY", "ACCESS_TOKEN"].map(|name| format!("CLOUD_SYNC__{name}"));
    for secret in &secrets {
        let others = variables.iter().filter(|(name, _)| *name != secret);
        let Some(value) = variables.get(secret.as_str()).map(|value| value.trim()) else {
            continue;
        };
        // Names are told, since no name is a secret.
        let has_it = |(name, other): (&&str, &&str)| name.contains(value) || other.contains(value);
        let is_elsewhere = others.into_iter().any(has_it);
        if value.len() >= 12 && value.contains("canary") && !is_elsewhere {
            assert!(!said.contains(value), "a secret is told: {said}");
        }
    }
}

/// Importing imported settings again must not change them.
pub(super) fn import(input: &[u8]) {
    let Ok(text) = decode(input) else { return };
    let Ok(import) = Import::read(&text) else {
        return;
    };
    let lines: Vec<String> = import
        .settings
        .iter()
        .map(|setting| format!("{}={}", setting.name, quoted(setting.value.expose())))
        .collect();
    let again = Import::read(&lines.join("\n")).expect("what is written can be read");
    let shown = |import: &Import| -> Vec<(String, String)> {
        let settings = import.settings.iter();
        settings
            .map(|setting| (setting.name.clone(), setting.value.expose().to_owned()))
            .collect()
    };
    assert_eq!(shown(&import), shown(&again), "{text:?}");
}

/// Quotes as in a `.env` file.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    let text = text.replace('\n', "\\n").replace('\r', "\\r");
    format!("\"{text}\"")
}
