//! Small worlds from practice, each a file in `tests/it/data/cases`. The README there describes the format. The engine
//! runs them against the sandbox on a paused clock.

mod file;
mod judge;
mod play;
mod start;

use std::{collections::BTreeSet, fs};

use self::{file::folder, play::assert_played};

macro_rules! cases {
    ($($test:ident = $name:literal,)+) => {
        const NAMES: &[&str] = &[$($name),+];

        $(
            #[tokio::test(start_paused = true)]
            async fn $test() {
                Box::pin(assert_played($name)).await;
            }
        )+
    };
}

cases! {
    r01_known_account_becomes_odd = "known-account-becomes-odd",
    r01_many_odd_rows = "many-odd-rows",
    r01_member_is_an_odd_row = "member-is-an-odd-row",
    r01_odd_rows_of_every_kind = "odd-rows-of-every-kind",
    r01_one_odd_row = "one-odd-row",
    r02_domain_added = "domain-added",
    r02_filter_removed = "filter-removed",
    r02_list_shows_fewer_than_half = "list-shows-fewer-than-half",
    r02_list_shows_none_of_thirty = "list-shows-none-of-thirty",
    r02_pilot_group_shrinks = "pilot-group-shrinks",
    r02_target_filter_removed = "target-filter-removed",
    r04_aliases_unknown_and_a_new_delegate = "aliases-unknown-and-a-new-delegate",
    r04_international_domain = "international-domain",
    r04_no_addresses_read = "no-addresses-read",
    r04_no_primary_among_addresses = "no-primary-among-addresses",
    r08_deny_of_a_mail_user = "deny-of-a-mail-user",
    r08_deny_of_an_unknown_group_kind = "deny-of-an-unknown-group-kind",
    r09_dead_forest_entry = "dead-forest-entry",
    r09_everyone_and_anonymous = "everyone-and-anonymous",
    r09_group_named_like_the_mailbox = "group-named-like-the-mailbox",
    r10_distribution_list_trustee = "distribution-list-trustee",
    r10_dynamic_group_nested = "dynamic-group-nested",
    r10_half_a_group = "half-a-group",
    r10_mail_user_inside_a_group = "mail-user-inside-a-group",
    r10_microsoft_365_group_trustee = "microsoft-365-group-trustee",
    r10_non_universal_group_nested = "non-universal-group-nested",
    r10_non_universal_group_trustee = "non-universal-group-trustee",
    r10_role_group_nested = "role-group-nested",
    r10_role_group_trustee = "role-group-trustee",
    r10_unknown_group_kind = "unknown-group-kind",
    r10_unknown_group_kind_nested = "unknown-group-kind-nested",
    r12_held_creates_who_are_delegates = "held-creates-who-are-delegates",
    r12_hybrid_trustees = "hybrid-trustees",
    r12_legacy_trustee = "legacy-trustee",
    r12_linked_trustee = "linked-trustee",
    r12_mail_contact_trustee = "mail-contact-trustee",
    r12_mail_user_as_delegate_of_a_person = "mail-user-as-delegate-of-a-person",
    r12_primary_outside_claimed_domains = "primary-outside-claimed-domains",
    r12_primary_outside_inside_a_group = "primary-outside-inside-a-group",
    r12_remote_shared_trustee = "remote-shared-trustee",
    r12_trustee_of_a_kind_never_heard_of = "trustee-of-a-kind-never-heard-of",
    r12_trustee_without_account_keeps_nobody = "trustee-without-account-keeps-nobody",
    r17_address_of_a_disabled_leaver = "address-of-a-disabled-leaver",
    r17_leaver_address_taken_by_colleague = "leaver-address-taken-by-colleague",
    r18_mailbox_becomes_shared = "mailbox-becomes-shared",
    r19_address_of_a_list_never_matched = "address-of-a-list-never-matched",
    r19_functional_address_becomes_alias = "functional-address-becomes-alias",
    r19_functional_address_becomes_list = "functional-address-becomes-list",
    r19_leaver_address_alias_of_a_shared_mailbox = "leaver-address-alias-of-a-shared-mailbox",
    r19_leaver_address_becomes_alias = "leaver-address-becomes-alias",
    r19_leaver_address_becomes_contact = "leaver-address-becomes-contact",
    r19_leaver_address_becomes_list = "leaver-address-becomes-list",
    r19_leaver_address_becomes_mail_user = "leaver-address-becomes-mail-user",
    r19_leaver_address_becomes_shared_mailbox = "leaver-address-becomes-shared-mailbox",
    r19_leaver_address_two_nights_later = "leaver-address-two-nights-later",
    r19_leaver_becomes_mail_user = "leaver-becomes-mail-user",
    r22_additions_not_stored = "additions-not-stored",
    r22_alias_of_a_disabled_leaver = "alias-of-a-disabled-leaver",
    r22_creates_while_lists_lag = "creates-while-lists-lag",
    r22_disabled_leaver_keeps_what_no_one_wants = "disabled-leaver-keeps-what-no-one-wants",
    r22_held_then_many_creates = "held-then-many-creates",
    r22_lagging_list_then_return = "lagging-list-then-return",
    r22_list_lags_fifty_ms = "list-lags-fifty-ms",
    r22_list_lags_ten_minutes = "list-lags-ten-minutes",
    r22_member_added_by_hand_again = "member-added-by-hand-again",
    r22_members_with_foreign_ids = "members-with-foreign-ids",
    r22_one_night_nothing_is_stored = "one-night-nothing-is-stored",
    r22_reactivated_by_hand_again_and_again = "reactivated-by-hand-again-and-again",
    r22_removals_not_stored_for_two_nights = "removals-not-stored-for-two-nights",
    r23_existing_sign_in_keys = "existing-sign-in-keys",
    r23_sign_in_key_approved_once = "sign-in-key-approved-once",
    r23_sign_in_key_held_and_the_rest_goes = "sign-in-key-held-and-the-rest-goes",
    r23_sign_in_key_primary_address = "sign-in-key-primary-address",
    r23_sign_in_key_user_principal_name = "sign-in-key-user-principal-name",
    r23_sign_in_keys_of_created_accounts = "sign-in-keys-of-created-accounts",
    r26_aliases_of_a_small_tenant = "aliases-of-a-small-tenant",
    r26_approval_of_a_stray_with_members = "approval-of-a-stray-with-members",
    r26_approval_over_two_classes = "approval-over-two-classes",
    r26_delegates_of_a_small_tenant = "delegates-of-a-small-tenant",
    r26_four_of_five_leave = "four-of-five-leave",
    r26_six_of_ten_leave_in_a_day = "six-of-ten-leave-in-a-day",
    r26_small_practice = "small-practice",
    r26_thirty_creates_on_an_empty_organisation = "thirty-creates-on-an-empty-organisation",
    r26_three_of_three_leave = "three-of-three-leave",
    r26_twenty_five_creates_on_an_empty_organisation = "twenty-five-creates-on-an-empty-organisation",
    r26_two_of_four_leave = "two-of-four-leave",
    r27_approval_of_one_of_two_sets = "approval-of-one-of-two-sets",
    r27_approval_of_what_changed_meanwhile = "approval-of-what-changed-meanwhile",
    r28_healthy_after_an_apply = "healthy-after-an-apply",
    r28_preview_is_a_success_where_nothing_writes = "preview-is-a-success-where-nothing-writes",
    r28_preview_is_no_success_where_the_timer_writes = "preview-is-no-success-where-the-timer-writes",
    r28_preview_of_nobody = "preview-of-nobody",
    r28_scoped_apply_is_no_success = "scoped-apply-is-no-success",
    r36_held_and_its_cause_gone = "held-and-its-cause-gone",
    r36_held_by_a_limit_and_later_within_it = "held-by-a-limit-and-later-within-it",
    r39_scoped_run_tells_of_its_accounts_only = "scoped-run-tells-of-its-accounts-only",
}

#[test]
fn each_file_is_played() {
    let files = fs::read_dir(folder()).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let found: BTreeSet<String> = files
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let played: BTreeSet<String> = NAMES.iter().map(ToString::to_string).collect();
    assert_eq!(found, played);
}
