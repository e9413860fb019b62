//! Unknown behaviour of the real service, with the defaults of `docs/specs/zivver-scim.md`, "9. Open questions and the
//! safe choice" (its row numbers are given below), and errors that a list can have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one question with two possible answers"
)]
pub struct Switches {
    /// Row 1: an extension PUT without the key erases it.
    pub put_erases_key: bool,
    /// Row 1: an extension PUT without `ExternalAccountId` erases it.
    pub put_erases_external_account_id: bool,
    /// Row 2: its name on the wire.
    pub external_account_id_name: String,
    /// Row 2: it is shown at all.
    pub external_account_id_shown: bool,
    /// Row 2: it is stored on POST.
    pub external_account_id_on_post: bool,
    /// Row 3: the maximum of resources in a list.
    pub list_count_max: Option<usize>,
    pub paging: Paging,
    /// Row 3: `startIndex` and `itemsPerPage` in lists.
    pub paging_members: bool,
    /// Row 5: `userName` set to an alias of the same account, or the old one kept as an alias, in one call.
    pub rename_over_own_addresses: bool,
    /// Row 5: the old address becomes an alias automatically.
    pub rename_keeps_old_as_alias: bool,
    /// Delegations follow a renamed delegate.
    pub delegates_follow_rename: bool,
    pub group_external_id: GroupExternalId,
    /// Row 7: members given as addresses.
    pub member_addresses: bool,
    /// Row 7: PATCH `add`.
    pub patch_add: bool,
    /// Row 7: PATCH `remove` with a value filter, `members[value eq "id"]`.
    pub patch_filtered_remove: bool,
    /// Row 8: a functional account stays among its own members, whatever is written.
    pub group_keeps_itself: bool,
    /// Row 9.
    pub delegates_are_mailed: bool,
    /// Row 10: further endpoints and their answers; others are 404. For example `Organization`.
    pub endpoints: BTreeMap<String, Value>,
    /// Row 11.
    pub delete_status: u16,
    /// Rows 11 and 21: an id that is unknown or deleted.
    pub unknown_id_status: u16,
    /// Row 12.
    pub base64_key: bool,
    /// Row 14.
    pub duplicate_user_status: u16,
    /// Row 15.
    pub patch_accept_status: u16,
    /// Row 15.
    pub patch_content_type_status: u16,
    pub unknown_delegates: UnknownDelegates,
    /// Row 17.
    pub group_post_keeps_aliases: bool,
    /// Not a row: a user POST that stores aliases and delegates.
    pub user_post_keeps_extension: bool,
    /// Row 18: an extension PUT of a group erases what is left out.
    pub group_put_erases: bool,
    /// Row 19: addresses are stored in lower case.
    pub folds_case: bool,
    /// Row 19.
    pub filter_ignores_case: bool,
    /// Row 20.
    pub lists_shuffled: bool,
    /// Row 20: each list has a different order.
    pub lists_reshuffled: bool,
    /// Row 20: in how many lists and look-ups a new account is missing.
    pub stale_reads_after_post: u32,
    /// Row 20: lists and look-ups show the state of this long ago.
    pub lists_lag_millis: u64,
    /// Not a row: writes are answered as if they were stored, but are not.
    pub writes_store_nothing: bool,
    /// Row 21.
    pub content_type: String,
    /// Row 22: division and phone numbers that are left out of a PUT are kept.
    pub omitted_is_kept: bool,
    /// Not a row: it is not known whether `schemas` is required (`docs/specs/zivver-scim.md`, "3. User resource").
    pub schemas_required: bool,
    /// Not a row: aliases that an account already has are checked again when they are written again.
    pub stored_aliases_judged: bool,
    pub total_results: TotalResults,
    /// How many of the first resources are repeated at the end of a list.
    pub list_repeats: usize,
    /// How many resources are missing at the end of a list, although `totalResults` counts them.
    pub list_omits: usize,
    /// The maximum of resources that exist for a list; `totalResults` counts only these.
    pub lists_show_max: Option<usize>,
    /// Changes of the resource of the account with this id: a JSON merge patch (RFC 7396).
    pub odd_rows: BTreeMap<String, Value>,
}

/// Row 3: what `startIndex` and `count` do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Paging {
    Ignored,
    Honoured,
    /// Supported, but the first page is repeated after the end.
    PastEndRepeats,
    Refused,
}

/// Row 6: `externalId` in a group PUT.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupExternalId {
    Ignored,
    Renames,
    Refused,
}

/// Row 16: delegates without an account.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownDelegates {
    Dropped,
    Stored,
    Refused,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TotalResults {
    Right,
    Missing,
    TooHighBy(usize),
    TooLowBy(usize),
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            put_erases_key: true,
            put_erases_external_account_id: true,
            external_account_id_name: "ExternalAccountId".to_owned(),
            external_account_id_shown: true,
            external_account_id_on_post: false,
            list_count_max: None,
            paging: Paging::Ignored,
            paging_members: false,
            rename_over_own_addresses: false,
            rename_keeps_old_as_alias: false,
            delegates_follow_rename: true,
            group_external_id: GroupExternalId::Ignored,
            member_addresses: false,
            patch_add: false,
            patch_filtered_remove: false,
            group_keeps_itself: true,
            delegates_are_mailed: true,
            endpoints: BTreeMap::new(),
            delete_status: 204,
            unknown_id_status: 400,
            base64_key: false,
            duplicate_user_status: 409,
            patch_accept_status: 406,
            patch_content_type_status: 415,
            unknown_delegates: UnknownDelegates::Dropped,
            group_post_keeps_aliases: false,
            user_post_keeps_extension: false,
            group_put_erases: true,
            folds_case: false,
            filter_ignores_case: true,
            lists_shuffled: true,
            lists_reshuffled: false,
            stale_reads_after_post: 0,
            lists_lag_millis: 0,
            writes_store_nothing: false,
            content_type: "application/json".to_owned(),
            omitted_is_kept: true,
            schemas_required: false,
            stored_aliases_judged: false,
            total_results: TotalResults::Right,
            list_repeats: 0,
            list_omits: 0,
            lists_show_max: None,
            odd_rows: BTreeMap::new(),
        }
    }
}
