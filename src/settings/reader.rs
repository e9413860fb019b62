//! Reads variables one by one, and collects all problems.

use super::{
    Problem, SettingsError, env_file,
    names::{PREFIX, SCHEDULE, Stray, strays, unprefixed},
    table::{SettingDefault, Typed},
    value::{Fault, fault, is_unresolved_reference},
};

pub(super) struct Reader<'a, L> {
    lookup: &'a L,
    names: &'a [String],
    problems: Vec<Problem>,
}

impl<'a, L: Fn(&str) -> Option<String>> Reader<'a, L> {
    pub(super) fn new(lookup: &'a L, names: &'a [String]) -> Self {
        Self {
            lookup,
            names,
            problems: Vec::new(),
        }
    }

    /// The text of a setting. Blank is the same as not set, since templates and portals leave blank values.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let name = format!("{PREFIX}{name}");
        let text = (self.lookup)(&name).filter(|text| !text.trim().is_empty())?;
        if is_unresolved_reference(&text) {
            self.problem(name, unresolved_reference());
            return None;
        }
        Some(text)
    }

    pub(super) fn optional<T>(&mut self, typed: &Typed<T>) -> Option<T> {
        let name = typed.setting.name;
        let text = self.text(name)?;
        (typed.parse)(&text)
            .map_err(|fault| self.problem(format!("{PREFIX}{name}"), fault))
            .ok()
    }

    /// A setting that has a default.
    pub(super) fn value<T>(&mut self, typed: &Typed<T>) -> T {
        self.optional(typed)
            .or_else(|| typed.default_value())
            .expect("the table has a valid default for what is read so")
    }

    /// A required setting. If it is missing or invalid, the placeholder is never used, because [`Self::finish`] fails.
    pub(super) fn required<T>(&mut self, typed: &Typed<T>, placeholder: T) -> T {
        let before = self.problems.len();
        let value = self.optional(typed);
        if value.is_none() && self.problems.len() == before {
            let name = typed.setting.name;
            let remedy = match (self.misspelt(name), typed.setting.default) {
                (Some(set), _) => format!("{set} is set: rename it"),
                (None, SettingDefault::Required(what)) => format!("set it to {what}"),
                (None, SettingDefault::Nothing | SettingDefault::Value(_)) => "set it".to_owned(),
            };
            self.problem(format!("{PREFIX}{name}"), fault("is not set", remedy));
        }
        value.unwrap_or(placeholder)
    }

    pub(super) fn problem(&mut self, name: String, Fault { wrong, remedy }: Fault) {
        self.problems.push(Problem {
            name,
            wrong,
            remedy,
        });
    }

    fn strays(&self) -> Vec<Stray<'a>> {
        let mut all = strays(self.names);
        all.extend(unprefixed(env_file::names()));
        all
    }

    fn misspelt(&self, name: &str) -> Option<String> {
        self.strays()
            .into_iter()
            .find(|stray| stray.nearest == Some(name))
            .map(|stray| stray.name.to_owned())
    }

    /// One line for each variable with a name like ours that is not a setting.
    pub(super) fn typos(&self) -> Vec<String> {
        self.strays()
            .into_iter()
            .map(|stray| format!("{} {NO_SETTING}: {}", stray.name, remedy(&stray)))
            .collect()
    }

    /// Fails if there was a problem. The error also names the variables that are not settings: one of them may be meant
    /// for a setting that is not set.
    pub(super) fn finish(mut self) -> Result<(), SettingsError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let is_told = |name: &str| {
            let mut told = self.problems.iter();
            told.any(|problem| problem.remedy.starts_with(&format!("{name} ")))
        };
        let strays = self.strays().into_iter();
        let others: Vec<Problem> = strays
            .filter(|stray| !is_told(stray.name))
            .map(|stray| Problem {
                name: stray.name.to_owned(),
                wrong: NO_SETTING.to_owned(),
                remedy: remedy(&stray),
            })
            .collect();
        self.problems.extend(others);
        Err(SettingsError {
            problems: self.problems,
        })
    }
}

const NO_SETTING: &str = "is not a setting and has no effect";

fn remedy(stray: &Stray<'_>) -> String {
    match stray.nearest {
        Some(SCHEDULE) => format!("did you mean {SCHEDULE}?"),
        Some(nearest) => format!("did you mean {PREFIX}{nearest}?"),
        None => "remove it".to_owned(),
    }
}

pub(super) fn unresolved_reference() -> Fault {
    fault(
        "holds a Key Vault reference that the platform could not resolve",
        "give the app's identity the role Key Vault Secrets User on the vault, check the secret's name and the vault's \
         firewall, then restart the app",
    )
}
