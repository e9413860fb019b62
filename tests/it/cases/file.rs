//! The format of a case: `tests/it/data/cases/README.md` as types. An unknown key is an error.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) rule: String,
    pub(super) why: String,
    pub(super) settings: BTreeMap<String, String>,
    /// The domains of the Zivver organisation. By default the claimed domains of the start.
    pub(super) zivver_domains: Option<Vec<String>>,
    pub(super) start: Start,
    pub(super) nights: Vec<Night>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    pub(super) mailboxes: Vec<MailboxRow>,
    #[serde(default)]
    pub(super) recipients: Vec<RecipientRow>,
    #[serde(default)]
    pub(super) groups: Vec<GroupRow>,
    #[serde(default)]
    pub(super) users: Vec<UserRow>,
    #[serde(default)]
    pub(super) functional: Vec<FunctionalRow>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MailboxRow {
    pub(super) kind: String,
    pub(super) primary: String,
    /// The display name.
    pub(super) name: Option<String>,
    pub(super) object_id: String,
    pub(super) disabled: Option<bool>,
    #[serde(default)]
    pub(super) aliases: Vec<String>,
    #[serde(default)]
    pub(super) full_access: Vec<Grant>,
    /// Equal to the primary address if absent.
    pub(super) upn: Option<String>,
    /// `Name` and `Identity`; the object id if absent.
    pub(super) exchange_name: Option<String>,
}

/// One permission entry for a trustee.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Grant {
    Trustee(String),
    Entry(GrantRow),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantRow {
    pub(super) trustee: String,
    pub(super) deny: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecipientRow {
    pub(super) kind: String,
    pub(super) primary: String,
    pub(super) object_id: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupRow {
    pub(super) kind: String,
    pub(super) name: String,
    /// Absent on groups without mail.
    pub(super) primary: Option<String>,
    /// Addresses or names.
    pub(super) members: Vec<String>,
}

/// A user as Zivver returns it. A member of a wrong type is returned as it is; an absent `userName` is left out of the
/// row.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserRow {
    pub(super) id: Option<String>,
    #[serde(rename = "userName")]
    pub(super) user_name: Option<Value>,
    pub(super) name: Value,
    pub(super) active: Value,
    #[serde(default)]
    pub(super) aliases: Vec<String>,
    #[serde(default)]
    pub(super) delegates: Vec<String>,
    #[serde(rename = "SsoAccountKey")]
    pub(super) sso_account_key: Option<String>,
    #[serde(rename = "ExternalAccountId")]
    pub(super) external_account_id: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FunctionalRow {
    pub(super) id: Option<String>,
    #[serde(rename = "externalId")]
    pub(super) external_id: Option<Value>,
    pub(super) name: Value,
    /// Addresses of accounts; any other text is an id that no account has.
    #[serde(default)]
    pub(super) members: Vec<String>,
    #[serde(default)]
    pub(super) aliases: Vec<String>,
    #[serde(rename = "ExternalAccountId")]
    pub(super) external_account_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Night {
    #[serde(default)]
    pub(super) settings: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) change: Change,
    #[serde(default)]
    pub(super) faults: Faults,
    pub(super) run: Run,
    #[serde(default)]
    pub(super) accounts: Vec<String>,
    pub(super) approve: Option<Approve>,
    pub(super) later_days: Option<u64>,
    #[serde(default)]
    pub(super) expect: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Run {
    Preview,
    Apply,
}

/// Which codes of the previous night a person gives.
#[derive(Debug, Deserialize)]
pub(super) enum Approve {
    #[serde(rename = "the one code of the night before")]
    TheOne,
    #[serde(rename = "all codes of the night before")]
    All,
    /// The code of the set of this class.
    #[serde(rename = "class")]
    OfClass(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Change {
    pub(super) disable: Vec<String>,
    pub(super) enable: Vec<String>,
    /// New primary addresses, which also replace equal UPNs.
    #[serde(rename = "move")]
    pub(super) moved: BTreeMap<String, String>,
    pub(super) remove_mailboxes: Vec<String>,
    pub(super) add_mailboxes: Vec<MailboxRow>,
    pub(super) add_recipients: Vec<RecipientRow>,
    pub(super) remove_recipients: Vec<String>,
    pub(super) rename_display: BTreeMap<String, String>,
    pub(super) aliases: BTreeMap<String, Vec<String>>,
    pub(super) group_members: BTreeMap<String, Vec<String>>,
    pub(super) full_access: BTreeMap<String, Vec<Grant>>,
    pub(super) email_addresses_raw: BTreeMap<String, Value>,
    pub(super) zivver_by_hand: ByHand,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ByHand {
    pub(super) activate: Vec<String>,
    pub(super) suspend: Vec<String>,
    pub(super) aliases: BTreeMap<String, Vec<String>>,
    pub(super) members: BTreeMap<String, Vec<String>>,
    pub(super) add_users: Vec<UserRow>,
    /// Members that replace those of a user's row; null leaves a member out.
    pub(super) rows_raw: BTreeMap<String, Map<String, Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Faults {
    pub(super) zivver_lists_lag_ms: u64,
    pub(super) zivver_writes_store_nothing: bool,
    /// Users whom Zivver does not list this night, as if they did not exist.
    pub(super) zivver_hides: Vec<String>,
    /// Mailboxes whose permissions Exchange does not return this night.
    pub(super) permissions_fail: Vec<String>,
}

pub(super) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/data/cases")
}

pub(super) fn read(name: &str) -> Case {
    let path = folder().join(format!("{name}.json"));
    let text = fs::read_to_string(&path).unwrap();
    let case: Case = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(case.name, name, "a case has the name of its file");
    assert!(!case.rule.is_empty() && !case.why.is_empty(), "{name}");
    case
}
