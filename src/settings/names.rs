//! The names of the settings, and the likely typos among the names that are set.

/// Before every name that only this program reads.
pub const PREFIX: &str = "CLOUD_SYNC__";

/// Every setting, without the prefix, in the order of the documentation.
pub const NAMES: [&str; 34] = [
    "ZIVVER_API_KEY",
    "ZIVVER_API_URL",
    "CLAIMED_DOMAINS",
    "TARGET_FILTER",
    "SOURCE_FILTER",
    "PERFORM_SYNC",
    "ACCESS_TOKEN",
    "MANAGED_IDENTITY_CLIENT_ID",
    "EXO_URL",
    "EXO_PERMISSIONS",
    "EXO_CONCURRENCY",
    "SSO_ACCOUNT_KEY",
    "MIN_SOURCE_RATIO",
    "MIN_TARGET_RATIO",
    "MAX_SUSPEND",
    "MAX_DELEGATE_REMOVALS",
    "MAX_ALIAS_REMOVALS",
    "MAX_RENAMES",
    "MAX_NAME_CHANGES",
    "MAX_STRAYS",
    "MAX_IDENTITY_CHANGES",
    "MAX_CREATES",
    "MAX_SIGN_IN_KEY_CHANGES",
    "MAX_CONSECUTIVE_FAILURES",
    "TIME_BUDGET",
    "ZIVVER_RATE",
    "STATE",
    "LOCK_LEASE",
    "KEEP_RUNS",
    "KEEP_APPLIED",
    "NOTIFY_URL",
    "SMTP_URL",
    "SMTP_FROM",
    "SMTP_TO",
];

/// What the log needs, read before everything else.
pub const LOG_NAMES: [&str; 2] = ["LOG_LEVEL", "LOG_DIR"];

/// A name that is set, looks like ours and is not, with the nearest setting if one is near enough.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stray<'a> {
    pub(super) name: &'a str,
    pub(super) nearest: Option<&'static str>,
}

/// Looks at names that start like our prefix, however it is spelled (`cloud_sync_`, `CLOUD-SYNC:`).
pub(super) fn strays(names: &[String]) -> Vec<Stray<'_>> {
    let ours = |name: &str| {
        name.strip_prefix(PREFIX)
            .is_some_and(|rest| NAMES.iter().chain(&LOG_NAMES).any(|known| *known == rest))
    };
    names
        .iter()
        .filter(|name| !ours(name))
        .filter_map(|name| {
            let rest = squashed(name).strip_prefix("CLOUDSYNC")?.to_owned();
            Some(Stray {
                name,
                nearest: nearest(&rest),
            })
        })
        .collect()
}

fn nearest(rest: &str) -> Option<&'static str> {
    let near = |known: &&&'static str| {
        let distance = strsim::osa_distance(rest, &squashed(known));
        (distance, distance <= known.len() / 3)
    };
    NAMES
        .iter()
        .chain(&LOG_NAMES)
        .filter(|known| near(known).1)
        .min_by_key(|known| near(known).0)
        .copied()
}

fn squashed(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_uppercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_are_seen_with_the_nearest_name() {
        for (name, nearest) in [
            ("CLOUD_SYNC__PREFORM_SYNC", Some("PERFORM_SYNC")),
            ("CLOUD_SYNC_ZIVVER_API_KEY", Some("ZIVVER_API_KEY")),
            ("cloud_sync__zivver_api_key", Some("ZIVVER_API_KEY")),
            ("CLOUD_SYNC:CLAIMED_DOMAIN", Some("CLAIMED_DOMAINS")),
            ("CLOUD_SYNC__MAX_SUSPENDS", Some("MAX_SUSPEND")),
            ("CLOUD_SYNC__LOGLEVEL", Some("LOG_LEVEL")),
            ("CLOUD_SYNC__COLOUR_OF_THE_SKY", None),
        ] {
            let names = [name.to_owned()];
            assert_eq!(strays(&names), [Stray { name, nearest }]);
        }
        let fine = [
            "CLOUD_SYNC__STATE",
            "CLOUD_SYNC__LOG_DIR",
            "PATH",
            "SYNC_SCHEDULE",
        ];
        assert_eq!(strays(&fine.map(str::to_owned)), []);
    }
}
