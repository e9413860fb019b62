//! Compares the present settings with those of the last deployment.

use std::collections::BTreeMap;

use super::{names::PREFIX, table::SETTINGS, value::is_unresolved_reference};

/// The app setting in which `infra/main.bicep` keeps what it deployed: a JSON object of full names and values.
const DEPLOYED: &str = "DEPLOYED_SETTINGS";

/// Not in [`DEPLOYED`], since its value is only known during the deployment.
const MADE_WHILE_DEPLOYING: &str = "MANAGED_IDENTITY_CLIENT_ID";

/// Full names of settings. Empty where nothing was deployed by the template.
#[derive(Debug, Clone, Default)]
pub struct Deployed {
    /// Settings that differ from the last deployment.
    pub changed: Vec<String>,
    /// Settings that were deployed as a Key Vault reference, which the platform has replaced by the secret.
    pub resolved: Vec<String>,
}

pub(super) fn compare(lookup: &impl Fn(&str) -> Option<String>) -> Deployed {
    let Some(text) = lookup(DEPLOYED) else {
        return Deployed::default();
    };
    let Ok(deployed) = serde_json::from_str::<BTreeMap<String, String>>(&text) else {
        return Deployed {
            changed: vec![DEPLOYED.to_owned()],
            resolved: Vec::new(),
        };
    };
    let now = |name: &str| lookup(name).unwrap_or_default().trim().to_owned();
    let (references, values): (Vec<_>, Vec<_>) = deployed
        .iter()
        .partition(|(_, value)| is_unresolved_reference(value));
    let resolved = references.iter().map(|(name, _)| (*name).clone());
    let resolved = resolved.filter(|name| {
        let now = now(name);
        !now.is_empty() && !is_unresolved_reference(&now)
    });
    let changed = values
        .iter()
        .filter(|(name, value)| now(name) != value.trim());
    let changed = changed.map(|(name, _)| (*name).clone());
    let added = SETTINGS
        .iter()
        .map(|setting| setting.name)
        .filter(|name| *name != MADE_WHILE_DEPLOYING)
        .map(|name| format!("{PREFIX}{name}"))
        .filter(|name| !deployed.contains_key(name) && !now(name).is_empty());
    Deployed {
        changed: changed.chain(added).collect(),
        resolved: resolved.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(set: &[(&str, &str)]) -> Deployed {
        let set: BTreeMap<&str, &str> = set.iter().copied().collect();
        compare(&|name| set.get(name).map(|text| (*text).to_owned()))
    }

    fn changed_of(set: &[(&str, &str)]) -> Vec<String> {
        compared(set).changed
    }

    #[test]
    fn a_reference_is_resolved_where_the_secret_stands_in_its_place() {
        let reference = "@Microsoft.KeyVault(VaultName=kv;SecretName=zivver-api-key)";
        let name = "CLOUD_SYNC__ZIVVER_API_KEY";
        let deployed = format!(r#"{{"{name}":"{reference}","CLOUD_SYNC__KEEP_RUNS":"30"}}"#);
        for (now, is_resolved) in [("k3y", true), (reference, false), ("", false)] {
            let compared = compared(&[
                ("DEPLOYED_SETTINGS", &deployed),
                (name, now),
                ("CLOUD_SYNC__KEEP_RUNS", "30"),
            ]);
            assert_eq!(!compared.resolved.is_empty(), is_resolved, "{now}");
            assert!(compared.changed.is_empty(), "{compared:?}");
        }
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
