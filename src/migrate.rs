//! Translates the settings of the original script, so that filters need not be typed again. Pure, with warnings.
//!
//! The original read `CLOUD_SYNC__` variables from a `.env` file or from the variables of an Automation account.

mod source;

use serde::Serialize;

use crate::settings::{PREFIX, SETTINGS, Secret, Settings};
use source::Variable;

pub(crate) use source::dotenv;
pub use source::{ImportError, decode};

/// The settings of the original, without prefix.
const ORIGINAL: [&str; 8] = [
    "ACCESS_TOKEN",
    "ZIVVER_API_KEY",
    "ZIVVER_API_URL",
    "CLAIMED_DOMAINS",
    "TARGET_FILTER",
    "LOG_LEVEL",
    "PERFORM_SYNC",
    "TELEMETRY",
];

const DEFAULT_URL: &str = "https://app.zivver.com/api";

/// The translated settings, in the order of the documentation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Import {
    pub settings: Vec<Setting>,
    pub warnings: Vec<Warning>,
    /// The names of variables that belong to neither program.
    pub unknown: Vec<String>,
}

/// One translated setting, with its full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub name: String,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Plain(String),
    Secret(Secret),
}

/// A difference that the administrator must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The full name of the setting.
    pub name: String,
    pub text: String,
}

impl Value {
    pub fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }
}

impl Import {
    /// Reads a `.env` file or exported Automation variables; detects the format.
    pub fn read(text: &str) -> Result<Self, ImportError> {
        let mut import = Self::default();
        let mut known = Vec::new();
        for variable in source::variables(text)? {
            match setting_name(&variable.name) {
                Some(name) => import.remember(&mut known, name, variable),
                None if looks_like_a_setting(&variable.name) => import.warnings.push(Warning {
                    name: variable.name,
                    text: "is not a setting of the original nor of this program: left out"
                        .to_owned(),
                }),
                None => import.unknown.push(variable.name),
            }
        }
        if known.is_empty() {
            return Err(ImportError::Nothing);
        }
        for (name, value) in &known {
            import.translate(name, value.as_deref());
        }
        import.complete();
        Ok(import)
    }

    /// If a name occurs twice, the last value applies, as in the original.
    fn remember(
        &mut self,
        known: &mut Vec<(&'static str, Option<String>)>,
        name: &'static str,
        variable: Variable,
    ) {
        match known.iter_mut().find(|(other, _)| *other == name) {
            Some(earlier) => {
                if earlier.1 != variable.value {
                    self.warn(name, "is there more than once: the last value was taken");
                }
                earlier.1 = variable.value;
            }
            None => known.push((name, variable.value)),
        }
    }

    fn translate(&mut self, name: &'static str, value: Option<&str>) {
        let Some(value) = value else {
            self.warn(
                name,
                "is encrypted, so that the export has no value: enter it by hand, a secret in the key vault",
            );
            return;
        };
        match name {
            "TARGET_FILTER" => self.target_filter(value),
            "CLAIMED_DOMAINS" => self.claimed_domains(value),
            "ZIVVER_API_URL" => self.zivver_url(value),
            "PERFORM_SYNC" => self.perform_sync(value),
            "LOG_LEVEL" => self.log_level(value),
            "TELEMETRY" => self.warn(
                name,
                "has no successor: this program reports only to the Application Insights of your own app",
            ),
            "ZIVVER_API_KEY" | "ACCESS_TOKEN" | "NOTIFY_URL" | "SMTP_URL" => self.secret(name, value),
            _ => self.plain(name, value.trim()),
        }
    }

    fn secret(&mut self, name: &'static str, value: &str) {
        let value = source::unquoted(value);
        if value.is_empty() {
            return;
        }
        if name == "ACCESS_TOKEN" {
            self.warn(
                name,
                "is for one day: leave it out in Azure, where the app's identity takes its place",
            );
        }
        self.settings.push(Setting {
            name: whole(name),
            value: Value::Secret(Secret::new(value.to_owned())),
        });
    }

    /// R15. The original searched for a substring, and an empty text is part of every address.
    fn target_filter(&mut self, value: &str) {
        let name = "TARGET_FILTER";
        let Some(entries) = self.entries(name, value) else {
            return;
        };
        let filled = filled(&entries);
        if filled.len() < entries.len() || filled.is_empty() {
            self.warn(
                name,
                "has an empty entry. For the original that matched every account, so that none was changed; here it \
                 means nothing, and every account that no other entry matches is synchronised. Look at a preview first",
            );
        }
        if !filled.is_empty() {
            self.plain(name, &listed(&filled));
        }
    }

    /// R13
    fn claimed_domains(&mut self, value: &str) {
        let name = "CLAIMED_DOMAINS";
        let Some(entries) = self.entries(name, value) else {
            return;
        };
        let at = |c: char| c == '@' || c.is_whitespace();
        let domains: Vec<String> = entries
            .iter()
            .map(|entry| entry.trim_start_matches(at).to_lowercase())
            .collect();
        let domains = filled(&domains);
        if !domains.is_empty() {
            self.plain(name, &listed(&domains));
        }
    }

    fn entries(&mut self, name: &'static str, value: &str) -> Option<Vec<String>> {
        let entries = source::entries(value);
        if entries.is_none() {
            self.warn(
                name,
                "starts with `[` but is not a JSON array of strings and was left out; write it again",
            );
        }
        entries
    }

    /// The default is left out, so that a later version can change it.
    fn zivver_url(&mut self, value: &str) {
        let mut url = without_slashes(source::unquoted(value));
        while let Some(shorter) = url.strip_suffix("/scim/v2") {
            url = without_slashes(shorter);
        }
        if !url.is_empty() && !url.eq_ignore_ascii_case(DEFAULT_URL) {
            self.plain("ZIVVER_API_URL", url);
        }
    }

    /// R28: the first run is a preview, whatever the original was set to.
    fn perform_sync(&mut self, value: &str) {
        let on = matches!(
            source::unquoted(value).to_ascii_lowercase().as_str(),
            "true" | "1" | "yes" | "on" | "y" | "t"
        );
        if on {
            self.warn(
                "PERFORM_SYNC",
                "was on. It begins as `false` here: previews only, beside the original; set it to `on-demand` and \
                 then to `true` when the previews are as you expect, and switch the original off first",
            );
        }
        self.plain("PERFORM_SYNC", "false");
    }

    /// Log levels of Python, by name or number.
    fn log_level(&mut self, value: &str) {
        let level = match source::unquoted(value).to_ascii_lowercase().as_str() {
            "critical" | "fatal" | "error" | "50" | "40" => "error",
            "warning" | "warn" | "30" => "warn",
            // `info` is the default.
            "info" | "information" | "20" | "" => return,
            "debug" | "10" => "debug",
            "notset" | "trace" | "0" => "trace",
            _ => {
                self.warn("LOG_LEVEL", "is not a log level: left out, so it is `info`");
                return;
            }
        };
        self.plain("LOG_LEVEL", level);
    }

    /// Adds required settings that are new, sorts all, and validates the result with the parser of the settings.
    fn complete(&mut self) {
        if !self.has("SSO_ACCOUNT_KEY") {
            self.plain("SSO_ACCOUNT_KEY", "object_id");
            self.warn(
                "SSO_ACCOUNT_KEY",
                "is new. `object_id` is what the original wrote for new users; choose `omit` if people do not sign in \
                 with Entra, or with another key (R23)",
            );
        }
        if !self.has("PERFORM_SYNC") {
            self.plain("PERFORM_SYNC", "false");
        }
        let position = |setting: &Setting| {
            let bare = setting.name.strip_prefix(PREFIX).unwrap_or_default();
            SETTINGS.iter().position(|known| known.name == bare)
        };
        self.settings.sort_by_key(position);
        let lookup = |name: &str| {
            let found = self.settings.iter().find(|setting| setting.name == name)?;
            Some(found.value.expose().to_owned())
        };
        if let Err(error) = Settings::read(lookup, &[]) {
            let problems = error.problems().iter().map(|problem| Warning {
                name: problem.name.clone(),
                text: format!("{}: {}", problem.wrong, problem.remedy),
            });
            self.warnings.extend(problems);
        }
    }

    fn has(&self, name: &str) -> bool {
        let name = whole(name);
        self.settings.iter().any(|setting| setting.name == name)
    }

    fn plain(&mut self, name: &str, value: &str) {
        self.settings.push(Setting {
            name: whole(name),
            value: Value::Plain(value.to_owned()),
        });
    }

    fn warn(&mut self, name: &str, text: &str) {
        self.warnings.push(Warning {
            name: whole(name),
            text: text.to_owned(),
        });
    }
}

fn filled(entries: &[String]) -> Vec<&str> {
    entries
        .iter()
        .map(String::as_str)
        .filter(|entry| !entry.is_empty())
        .collect()
}

/// Separated by commas, or as JSON if an entry contains a separator or a quote.
fn listed(entries: &[&str]) -> String {
    let is_plain = |entry: &&str| {
        !entry.contains([',', ';', '\n', '\r', '"']) && !entry.starts_with(['[', '\''])
    };
    if entries.iter().all(is_plain) {
        entries.join(",")
    } else {
        serde_json::Value::from(entries).to_string()
    }
}

fn whole(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// The setting of this program for a name with the prefix, or without it, as some Automation accounts had it.
fn setting_name(name: &str) -> Option<&'static str> {
    let upper = name.trim().to_ascii_uppercase();
    let (bare, prefixed) = match upper.strip_prefix(PREFIX) {
        Some(bare) => (bare, true),
        None => (upper.as_str(), false),
    };
    let new = SETTINGS.iter().map(|setting| setting.name);
    ORIGINAL
        .iter()
        .copied()
        .chain(new.filter(|_| prefixed))
        .find(|known| *known == bare)
}

fn looks_like_a_setting(name: &str) -> bool {
    name.trim().to_ascii_uppercase().starts_with(PREFIX)
}

fn without_slashes(url: &str) -> &str {
    url.trim_end_matches(|c: char| c == '/' || c.is_whitespace())
}

#[cfg(test)]
mod tests;
