//! R46: the settings that shape a plan. A preview can use other values for them.

use std::collections::BTreeMap;

use super::{
    PREFIX, Problem, Setting, SettingDefault, Settings, SettingsError, SsoAccountKey,
    names::nearest,
    table::{self, Typed},
    value::{Fault, Parsed, fault},
};
use domain::other_setting::OtherSetting;

/// A setting that shapes a plan. Secrets, addresses, the state and similar settings are not among them.
struct Shaping {
    setting: Setting,
    set: fn(&mut Settings, &str) -> Parsed<()>,
    show: fn(&Settings) -> String,
}

macro_rules! shaping {
    ($($name:ident: $($field:ident).+, $show:expr;)*) => {
        const SHAPING: &[Shaping] = &[$(Shaping {
            setting: table::$name.setting,
            set: |settings, text| {
                settings.$($field).+ = value_of(&table::$name, text)?;
                Ok(())
            },
            show: |settings| $show(&settings.$($field).+),
        }),*];
    };
}

shaping! {
    CLAIMED_DOMAINS: claimed_domains, |it: &super::ClaimedDomains| list(it.iter());
    SOURCE_FILTER: source_filter, |it: &std::collections::BTreeSet<String>| list(it.iter().map(String::as_str));
    TARGET_FILTER: target_filter, |it: &super::TargetFilter| list(it.entries());
    SSO_ACCOUNT_KEY: sso_account_key, |it: &SsoAccountKey| sso_account_key(*it);
    MIN_SOURCE_RATIO: min_source_ratio, f64::to_string;
    MIN_TARGET_RATIO: min_target_ratio, f64::to_string;
    MAX_SUSPEND: limits.suspend, super::Limit::to_string;
    MAX_DELEGATE_REMOVALS: limits.delegate_removals, super::Limit::to_string;
    MAX_ALIAS_REMOVALS: limits.alias_removals, super::Limit::to_string;
    MAX_RENAMES: limits.renames, super::Limit::to_string;
    MAX_NAME_CHANGES: limits.name_changes, super::Limit::to_string;
    MAX_STRAYS: limits.strays, super::Limit::to_string;
    MAX_IDENTITY_CHANGES: limits.identity_changes, super::Limit::to_string;
    MAX_CREATES: limits.creates, super::Limit::to_string;
    MAX_SIGN_IN_KEY_CHANGES: limits.sign_in_key_changes, super::Limit::to_string;
}

impl Settings {
    /// The settings that shape a plan, each in a form that can be parsed.
    pub fn shaping(&self) -> impl Iterator<Item = (&'static str, String)> {
        let shaping = SHAPING.iter();
        shaping.map(|it| (it.setting.name, (it.show)(self)))
    }

    /// The settings in `given` (by name, with or without prefix) that differ from these. Values are checked as they are
    /// at startup.
    pub fn others(
        &self,
        given: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Vec<OtherSetting>, SettingsError> {
        let mut others = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, value) in given {
            let Some(shaping) = shaping_of(&name) else {
                problems.push(unknown(name));
                continue;
            };
            let name = shaping.setting.name.to_owned();
            let other = OtherSetting {
                value: value.trim().to_owned(),
                now: (shaping.show)(self),
                name: name.clone(),
            };
            if others.insert(name.clone(), other).is_some() {
                problems.push(problem(&name, fault("is given twice", "give it once")));
            }
        }
        let mut others: Vec<OtherSetting> = others.into_values().collect();
        if !problems.is_empty() {
            return Err(SettingsError { problems });
        }
        let under = self.with(&others)?;
        for other in &mut others {
            let shaping = shaping_of(&other.name);
            other.value = shaping.map_or_else(String::new, |it| (it.show)(&under));
        }
        others.retain(|it| it.value != it.now);
        Ok(others)
    }

    /// These settings with some of them replaced by `others`.
    pub fn with(&self, others: &[OtherSetting]) -> Result<Self, SettingsError> {
        let mut settings = self.clone();
        let mut problems = Vec::new();
        for OtherSetting { name, value, .. } in others {
            match shaping_of(name) {
                Some(shaping) => {
                    let set = (shaping.set)(&mut settings, value);
                    problems.extend(set.err().map(|fault| problem(name, fault)));
                }
                None => problems.push(unknown(name.clone())),
            }
        }
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(SettingsError { problems })
        }
    }
}

fn shaping_of(name: &str) -> Option<&'static Shaping> {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    SHAPING.iter().find(|it| it.setting.name == name)
}

fn unknown(name: String) -> Problem {
    let names: Vec<&str> = SHAPING.iter().map(|it| it.setting.name).collect();
    let short = name.strip_prefix(PREFIX).unwrap_or(&name);
    let remedy = match nearest(short).filter(|it| names.contains(it)) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => format!("a preview takes {}", names.join(", ")),
    };
    Problem {
        name,
        wrong: "is not a setting that a preview can take (R46)".to_owned(),
        remedy,
    }
}

fn problem(name: &str, Fault { wrong, remedy }: Fault) -> Problem {
    Problem {
        name: format!("{PREFIX}{name}"),
        wrong,
        remedy,
    }
}

/// Parses a value like the reader does: blank is the same as not set.
fn value_of<T>(typed: &Typed<T>, text: &str) -> Parsed<T> {
    let text = text.trim();
    match typed.setting.default {
        SettingDefault::Required(what) if text.is_empty() => {
            Err(fault("is not set", format!("set it to {what}")))
        }
        SettingDefault::Value(default) if text.is_empty() => (typed.parse)(default),
        SettingDefault::Required(_) | SettingDefault::Value(_) | SettingDefault::Nothing => {
            (typed.parse)(text)
        }
    }
}

/// A list in the form that can be parsed: JSON if the plain form would be ambiguous.
fn list<'a>(entries: impl Iterator<Item = &'a str>) -> String {
    let entries: Vec<&str> = entries.collect();
    let is_plain = |entry: &&str| !entry.contains([',', '"', '\'', '\n', '\r', '[']);
    if entries.iter().all(is_plain) {
        return entries.join(", ");
    }
    serde_json::to_string(&entries).expect("texts are JSON")
}

fn sso_account_key(key: SsoAccountKey) -> String {
    match key {
        SsoAccountKey::ObjectId => "object_id",
        SsoAccountKey::UserPrincipalName => "user_principal_name",
        SsoAccountKey::PrimaryAddress => "primary_address",
        SsoAccountKey::Omit => "omit",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(set: &[(&str, &str)]) -> Settings {
        let base = [
            ("ZIVVER_API_KEY", "k3y"),
            ("CLAIMED_DOMAINS", "corp.example"),
            ("SSO_ACCOUNT_KEY", "object_id"),
        ];
        let set: BTreeMap<String, String> = base
            .iter()
            .chain(set)
            .map(|(name, text)| (format!("{PREFIX}{name}"), (*text).to_owned()))
            .collect();
        Settings::read(|name| set.get(name).cloned(), &[]).unwrap()
    }

    fn others(of: &Settings, given: &[(&str, &str)]) -> Result<Vec<OtherSetting>, String> {
        let given = given.iter();
        let given = given.map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        of.others(given).map_err(|error| error.to_string())
    }

    #[test]
    fn r46_each_shaping_setting_comes_back_as_it_is_shown() {
        let settings = settings(&[
            ("TARGET_FILTER", r#"["a,b@corp.example", "c*"]"#),
            ("SOURCE_FILTER", "care@corp.example"),
            ("MAX_SUSPEND", "12.5%,min 3"),
        ]);
        let shown: Vec<(String, String)> = settings
            .shaping()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        assert_eq!(shown.len(), SHAPING.len());
        assert_eq!(settings.others(shown).unwrap(), []);
    }

    #[test]
    fn r46_what_differs_is_taken_and_blank_is_not_set() {
        let settings = settings(&[("SOURCE_FILTER", "care@corp.example"), ("MAX_RENAMES", "7")]);
        let given = [
            ("CLOUD_SYNC__SOURCE_FILTER", " "),
            ("MAX_RENAMES", ""),
            ("MAX_SUSPEND", "5%,min 5"),
        ];
        let others = others(&settings, &given).unwrap();
        let texts: Vec<String> = others.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "MAX_RENAMES: 5%,min 5 (now: 7)",
                "SOURCE_FILTER: none (now: care@corp.example)"
            ]
        );
        let under = settings.with(&others).unwrap();
        assert!(under.source_filter.is_empty());
        assert_eq!(under.limits.renames.to_string(), "5%,min 5");
    }

    #[test]
    fn r46_others_are_refused_with_the_names_that_are_taken_and_without_their_value() {
        let settings = settings(&[]);
        for name in [
            "ZIVVER_API_KEY",
            "STATE",
            "EXO_URL",
            "PERFORM_SYNC",
            "max_suspend",
        ] {
            let error = others(&settings, &[(name, "s3cret")]).unwrap_err();
            assert!(
                error.contains(name) && error.contains("MAX_SUSPEND"),
                "{error}"
            );
            assert!(!error.contains("s3cret"), "{error}");
        }
        for (name, value) in [
            ("MAX_SUSPEND", "many"),
            ("CLAIMED_DOMAINS", ""),
            ("CLAIMED_DOMAINS", "corp"),
            ("MIN_SOURCE_RATIO", "2"),
        ] {
            let error = others(&settings, &[(name, value)]).unwrap_err();
            assert!(error.contains(&format!("CLOUD_SYNC__{name}")), "{error}");
        }
        let twice = [("MAX_SUSPEND", "1"), ("CLOUD_SYNC__MAX_SUSPEND", "2")];
        assert!(others(&settings, &twice).unwrap_err().contains("twice"));
    }
}
