//! The prefix of all settings, and a search for probable typos among the variables that are set.

use super::table::SETTINGS;

/// The prefix of every name that only this program reads.
pub const PREFIX: &str = "CLOUD_SYNC__";

/// The setting that the host reads too, under a name without the prefix.
pub(super) const SCHEDULE: &str = "SYNC_SCHEDULE";

/// A variable with a name like ours that is not a setting, with the nearest setting if there is a similar one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stray<'a> {
    pub(super) name: &'a str,
    pub(super) nearest: Option<&'static str>,
}

/// Finds names that begin like our prefix, in any spelling (`cloud_sync_`, `CLOUD-SYNC:`).
pub(super) fn strays(names: &[String]) -> Vec<Stray<'_>> {
    let ours = |name: &str| {
        name.strip_prefix(PREFIX)
            .is_some_and(|rest| SETTINGS.iter().any(|known| known.name == rest))
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

/// Names of a file of settings that lack only the prefix. In the environment such names belong to other programs.
pub(super) fn unprefixed<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Stray<'a>> {
    let stray = |name: &'a str| {
        let mut known = SETTINGS.iter().map(|known| known.name);
        let nearest = known.find(|known| known.eq_ignore_ascii_case(name));
        nearest.is_some().then_some(Stray { name, nearest })
    };
    names.filter_map(stray).collect()
}

/// The setting whose name is most like this one, in any spelling and without the prefix.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name = squashed(name);
    let known = SETTINGS
        .iter()
        .map(|setting| setting.name)
        .chain([SCHEDULE]);
    let distances = known.map(|known| (strsim::osa_distance(&name, &squashed(known)), known));
    distances
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
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
            ("CLOUD_SYNC__SYNC_SCHEDULE", Some("SYNC_SCHEDULE")),
            ("CLOUD_SYNC__SYNC_SHEDULE", Some("SYNC_SCHEDULE")),
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
