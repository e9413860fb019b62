//! Limits on what a run may take away or give to another person, and on what is held beyond them (R26, R27).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Classes of guarded changes, each with a limit of its own (R26).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Suspended users and emptied functional accounts.
    Suspend,
    /// Removed delegates and members, including those of emptied accounts.
    DelegateRemoval,
    AliasRemoval,
    /// Renames by mapping or `ExternalAccountId`.
    Rename,
    NameChange,
    /// Suspending an account that never belonged to a mailbox.
    Stray,
    /// Giving an account to another object id, or renaming it on the evidence of an alias.
    Identity,
    /// New accounts. Each costs a licence.
    Create,
    /// Writing a sign-in key where this program has not written one before (R23).
    SignInKey,
    /// R37: repeating a change that a person has undone. It has no setting, since it is always held.
    Undone,
}

impl Class {
    /// The classes with a configurable limit, the most serious first. A change that counts in several is held under the
    /// first (R26).
    pub const ALL: [Self; 9] = [
        Self::Identity,
        Self::Stray,
        Self::Suspend,
        Self::SignInKey,
        Self::DelegateRemoval,
        Self::AliasRemoval,
        Self::Rename,
        Self::NameChange,
        Self::Create,
    ];

    /// The setting with its limit, without prefix. For `Undone` only a name.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Suspend => "MAX_SUSPEND",
            Self::DelegateRemoval => "MAX_DELEGATE_REMOVALS",
            Self::AliasRemoval => "MAX_ALIAS_REMOVALS",
            Self::Rename => "MAX_RENAMES",
            Self::NameChange => "MAX_NAME_CHANGES",
            Self::Stray => "MAX_STRAYS",
            Self::Identity => "MAX_IDENTITY_CHANGES",
            Self::Create => "MAX_CREATES",
            Self::SignInKey => "MAX_SIGN_IN_KEY_CHANGES",
            Self::Undone => "UNDONE",
        }
    }

    /// R20: takes access away. A stray is a suspend.
    pub fn is_destructive(self) -> bool {
        match self {
            Self::Suspend | Self::DelegateRemoval | Self::AliasRemoval | Self::Stray => true,
            Self::Rename
            | Self::NameChange
            | Self::Identity
            | Self::Create
            | Self::SignInKey
            | Self::Undone => false,
        }
    }
}

/// `25`, `5%`, `5%,min 5`, or `100%` for no limit (R26).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Count(u32),
    /// In hundredths of a percent of the base, but at least `min`.
    Percent {
        hundredths: u32,
        min: u32,
    },
    Off,
}

impl Limit {
    /// How many changes of a class are allowed if there are `base` things. Fractions are cut off.
    pub fn of(self, base: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Percent { hundredths, min } => {
                let share = u64::from(base) * u64::from(hundredths) / 10_000;
                u32::try_from(share).unwrap_or(u32::MAX).max(min)
            }
            Self::Off => u32::MAX,
        }
    }
}

/// A limit that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a limit; write a count like 25, a percentage like 5%, or both like 5%,min 5 (100% switches it off)"
)]
pub struct LimitError(String);

impl FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let error = || LimitError(text.to_owned());
        let (first, min) = match text.split_once(',') {
            Some((first, rest)) => {
                let min = rest.trim().strip_prefix("min").ok_or_else(error)?;
                (
                    first.trim(),
                    Some(
                        min.trim_start_matches([':', '=', ' '])
                            .trim()
                            .parse()
                            .map_err(|_| error())?,
                    ),
                )
            }
            None => (text.trim(), None),
        };
        let Some(percent) = first.strip_suffix('%') else {
            return match min {
                None => first.parse().map(Self::Count).map_err(|_| error()),
                Some(_) => Err(error()),
            };
        };
        let hundredths = hundredths(percent.trim())
            .filter(|value| *value <= 10_000)
            .ok_or_else(error)?;
        Ok(if hundredths == 10_000 {
            Self::Off
        } else {
            Self::Percent {
                hundredths,
                min: min.unwrap_or(0),
            }
        })
    }
}

/// `2.5` as 250.
fn hundredths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 2 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u32 = format!("{fraction:0<2}").parse().ok()?;
    whole
        .parse::<u32>()
        .ok()?
        .checked_mul(100)?
        .checked_add(fraction)
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent { hundredths, min } => {
                write!(f, "{}", hundredths / 100)?;
                match hundredths % 100 {
                    0 => {}
                    part if part % 10 == 0 => write!(f, ".{}", part / 10)?,
                    part => write!(f, ".{part:02}")?,
                }
                f.write_str("%")?;
                if *min > 0 {
                    write!(f, ",min {min}")
                } else {
                    Ok(())
                }
            }
            Self::Off => f.write_str("100%"),
        }
    }
}

/// One limit for each class (R26). The default values are those of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub suspend: Limit,
    pub delegate_removals: Limit,
    pub alias_removals: Limit,
    pub renames: Limit,
    pub name_changes: Limit,
    pub strays: Limit,
    pub identity_changes: Limit,
    pub creates: Limit,
    pub sign_in_key_changes: Limit,
}

impl Default for Limits {
    fn default() -> Self {
        let percent = |percent: u32, min| Limit::Percent {
            hundredths: percent * 100,
            min,
        };
        Self {
            suspend: percent(5, 5),
            delegate_removals: percent(10, 20),
            alias_removals: percent(10, 20),
            renames: percent(5, 5),
            name_changes: percent(20, 20),
            strays: Limit::Count(0),
            identity_changes: Limit::Count(0),
            creates: percent(20, 25),
            sign_in_key_changes: Limit::Count(0),
        }
    }
}

impl Limits {
    pub fn of(&self, class: Class) -> Limit {
        match class {
            Class::Suspend => self.suspend,
            Class::DelegateRemoval => self.delegate_removals,
            Class::AliasRemoval => self.alias_removals,
            Class::Rename => self.renames,
            Class::NameChange => self.name_changes,
            Class::Stray => self.strays,
            Class::Identity => self.identity_changes,
            Class::Create => self.creates,
            Class::SignInKey => self.sign_in_key_changes,
            Class::Undone => Limit::Count(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r26_a_limit_is_a_count_a_percentage_or_both() {
        for (text, shown, of_1000) in [
            ("25", "25", 25),
            ("5%", "5%", 50),
            ("5%,min 5", "5%,min 5", 50),
            (" 0.25% , min 5 ", "0.25%,min 5", 5),
            ("2.5%", "2.5%", 25),
            ("100%", "100%", u32::MAX),
            ("0", "0", 0),
        ] {
            let limit: Limit = text.parse().unwrap();
            assert_eq!(
                (limit.to_string().as_str(), limit.of(1000)),
                (shown, of_1000),
                "{text:?}"
            );
        }
        for text in [
            "", "many", "-1", "101%", "5%,max 5", "5,min 5", "5%,min", "1.234%", "5 %%",
        ] {
            assert!(text.parse::<Limit>().is_err(), "{text:?}");
        }
    }
}
