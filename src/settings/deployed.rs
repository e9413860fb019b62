//! Settings that were changed by hand since the last deployment.

use std::collections::BTreeMap;

use super::{names::PREFIX, table::SETTINGS, value::is_unresolved_reference};

/// The app setting in which `infra/main.bicep` keeps what it deployed: a JSON object of full names and values.
const DEPLOYED: &str = "DEPLOYED_SETTINGS";

/// Known only while deploying, so not in [`DEPLOYED`].
const MADE_WHILE_DEPLOYING: &str = "MANAGED_IDENTITY_CLIENT_ID";

/// Full names of the settings that differ from the last deployment. Empty where nothing was deployed by the template.
pub(super) fn changed(lookup: &impl Fn(&str) -> Option<String>) -> Vec<String> {
    let Some(text) = lookup(DEPLOYED) else {
        return Vec::new();
    };
    let Ok(deployed) = serde_json::from_str::<BTreeMap<String, String>>(&text) else {
        return vec![DEPLOYED.to_owned()];
    };
    let now = |name: &str| lookup(name).unwrap_or_default().trim().to_owned();
    // The platform puts the secret in the place of a reference.
    let differs = |(name, value): &(&String, &String)| {
        !is_unresolved_reference(value) && now(name) != value.trim()
    };
    let changed = deployed
        .iter()
        .filter(differs)
        .map(|(name, _)| name.clone());
    let added = SETTINGS
        .iter()
        .map(|setting| setting.name)
        .filter(|name| *name != MADE_WHILE_DEPLOYING)
        .map(|name| format!("{PREFIX}{name}"))
        .filter(|name| !deployed.contains_key(name) && !now(name).is_empty());
    changed.chain(added).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed_of(set: &[(&str, &str)]) -> Vec<String> {
        let set: BTreeMap<&str, &str> = set.iter().copied().collect();
        changed(&|name| set.get(name).map(|text| (*text).to_owned()))
    }

    #[test]
    fn what_was_changed_or_added_by_hand_is_named() {
        let deployed = r#"{"CLOUD_SYNC__MAX_SUSPEND":"","CLOUD_SYNC__PERFORM_SYNC":"true","SYNC_SCHEDULE":"0 0 2 * * *",
            "CLOUD_SYNC__ZIVVER_API_KEY":"@Microsoft.KeyVault(VaultName=kv;SecretName=zivver-api-key)"}"#;
        let as_deployed = [
            ("DEPLOYED_SETTINGS", deployed),
            ("CLOUD_SYNC__ZIVVER_API_KEY", "k3y"),
            ("CLOUD_SYNC__PERFORM_SYNC", "true"),
            ("CLOUD_SYNC__MANAGED_IDENTITY_CLIENT_ID", "a-guid"),
            ("SYNC_SCHEDULE", "0 0 2 * * *"),
        ];
        assert!(changed_of(&as_deployed).is_empty());
        assert!(changed_of(&as_deployed[1..]).is_empty());
        let by_hand = [
            ("CLOUD_SYNC__PERFORM_SYNC", "false"),
            ("CLOUD_SYNC__MAX_SUSPEND", "100%"),
            ("CLOUD_SYNC__ACCESS_TOKEN", "token"),
        ];
        assert_eq!(
            changed_of(&[&as_deployed[..], &by_hand].concat()),
            [
                "CLOUD_SYNC__MAX_SUSPEND",
                "CLOUD_SYNC__PERFORM_SYNC",
                "CLOUD_SYNC__ACCESS_TOKEN"
            ]
        );
        assert_eq!(
            changed_of(&[("DEPLOYED_SETTINGS", "{")]),
            ["DEPLOYED_SETTINGS"]
        );
    }
}
