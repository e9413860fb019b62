//! The brake's numbers (R26), as an administrator writes them.

use std::fmt;

/// How much one class of change may amount to before it is held: `25`, `5%`, `5%,min 5`, or `100%` for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Count(u32),
    /// `basis_points` hundredths of a percent of what is in Zivver now, but never less than `min`.
    Percent {
        basis_points: u32,
        min: u32,
    },
    /// `100%`: switched off, the half rule with it.
    Off,
}

/// One limit per class of change, with the defaults of R26.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub suspend: Limit,
    pub delegate_removals: Limit,
    pub alias_removals: Limit,
    pub renames: Limit,
    pub name_changes: Limit,
    pub strays: Limit,
    pub identity_changes: Limit,
}

impl Default for Limits {
    fn default() -> Self {
        let percent = |percent: u32, min| Limit::Percent {
            basis_points: percent * 100,
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
        }
    }
}

impl Limit {
    /// Reads one of the forms above, white space anywhere and letters in any case; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text: String = text
            .chars()
            .filter(|c| !c.is_whitespace())
            .flat_map(char::to_lowercase)
            .collect();
        let Some((percent, rest)) = text.split_once('%') else {
            return digits(&text).map(Self::Count);
        };
        let min = match rest {
            "" => 0,
            _ => digits(rest.strip_prefix(",min")?)?,
        };
        match basis_points(percent)? {
            10_000 => Some(Self::Off),
            basis_points @ 0..10_000 => Some(Self::Percent { basis_points, min }),
            10_001.. => None,
        }
    }
}

/// `5`, `2.5` or `0.25`, in hundredths.
fn basis_points(percent: &str) -> Option<u32> {
    let (whole, fraction) = percent.split_once('.').unwrap_or((percent, "0"));
    if fraction.len() > 2 {
        return None;
    }
    let fraction = digits(&format!("{fraction:0<2}"))?;
    digits(whole)?.checked_mul(100)?.checked_add(fraction)
}

/// A number of digits only: `u32::from_str` would take `+5` too.
fn digits(text: &str) -> Option<u32> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Off => f.write_str("100%"),
            Self::Percent { basis_points, min } => {
                write!(f, "{}", basis_points / 100)?;
                match basis_points % 100 {
                    0 => {}
                    tenths if tenths % 10 == 0 => write!(f, ".{}", tenths / 10)?,
                    hundredths => write!(f, ".{hundredths:02}")?,
                }
                f.write_str("%")?;
                if min > 0 {
                    write!(f, ",min {min}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r26_limits_are_read_and_printed_in_every_form() {
        let percent = |basis_points, min| Some(Limit::Percent { basis_points, min });
        for (text, expected, printed) in [
            ("25", Some(Limit::Count(25)), "25"),
            ("0", Some(Limit::Count(0)), "0"),
            ("5%", percent(500, 0), "5%"),
            ("5%,min 5", percent(500, 5), "5%,min 5"),
            (" 10 % , MIN 20 ", percent(1000, 20), "10%,min 20"),
            ("2.5%,min 1", percent(250, 1), "2.5%,min 1"),
            ("0.05%", percent(5, 0), "0.05%"),
            ("0%", percent(0, 0), "0%"),
            ("100%", Some(Limit::Off), "100%"),
            ("100%,min 5", Some(Limit::Off), "100%"),
        ] {
            assert_eq!(Limit::parse(text), expected, "{text:?}");
            assert_eq!(expected.unwrap().to_string(), printed);
        }
        for text in [
            "",
            "%",
            "-1",
            "+5",
            "101%",
            "5%5",
            "5%,max 5",
            "5%,min",
            "1.234%",
            "five",
            "5,min 5",
            "99999999999",
        ] {
            assert_eq!(Limit::parse(text), None, "{text:?}");
        }
    }
}
