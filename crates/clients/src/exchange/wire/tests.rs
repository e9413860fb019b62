use serde_json::json;

use super::*;

const NULL_GUID: &str = "00000000-0000-0000-0000-000000000000";

fn mailbox(row: serde_json::Value) -> MailboxRecord {
    serde_json::from_value::<MailboxRow>(row)
        .unwrap()
        .into_record()
}

#[test]
fn the_rows_of_a_page_are_limited() {
    let page = |rows: usize| {
        let body = format!("{{\"value\":[{}{{}}]}}", "{},".repeat(rows - 1));
        serde_json::from_str::<Page<PermissionRow>>(&body)
    };
    assert_eq!(page(ROWS_MAX).unwrap().value.unwrap().len(), ROWS_MAX);
    assert!(page(ROWS_MAX + 1).is_err());
    for body in ["{}", "{\"value\":null}"] {
        let page: Page<PermissionRow> = serde_json::from_str(body).unwrap();
        assert!(page.value.is_none());
    }
    assert!(serde_json::from_str::<Page<PermissionRow>>("{\"value\":7}").is_err());
}

#[test]
fn r5_a_wrong_type_is_named_and_spoils_nothing_else() {
    let record = mailbox(json!({
        "@odata.id": "x", "DisplayName": 7, "PrimarySmtpAddress": "anna@corp.example",
        "EmailAddresses": ["SMTP:anna@corp.example", null, 3], "AccountDisabled": "maybe",
        "Guid": {"a": [1]}, "Name": null, "Unknown": {"deep": [{}]},
    }));
    assert_eq!(
        record.malformed,
        ["DisplayName", "Guid", "EmailAddresses", "AccountDisabled"]
    );
    assert_eq!(
        record.primary_smtp_address.as_deref(),
        Some("anna@corp.example")
    );
    assert_eq!(
        record.email_addresses,
        Some(vec!["SMTP:anna@corp.example".to_owned()])
    );
    assert_eq!((record.name, record.account_disabled), (None, None));
}

#[test]
fn r5_addresses_are_a_list_or_not_told() {
    for (row, expected, malformed) in [
        (json!({}), None, vec![]),
        (json!({"EmailAddresses": null}), None, vec![]),
        (json!({"EmailAddresses": []}), Some(vec![]), vec![]),
        (
            json!({"EmailAddresses": "smtp:a@corp.example"}),
            None,
            vec!["EmailAddresses"],
        ),
        (json!({"EmailAddresses": 3}), None, vec!["EmailAddresses"]),
    ] {
        let record = mailbox(row);
        assert_eq!(
            (record.email_addresses, record.malformed),
            (expected, malformed.into_iter().map(String::from).collect())
        );
    }
}

#[test]
fn flags_and_keys_are_read_in_every_form() {
    for (flag, expected) in [
        (json!(true), Some(true)),
        (json!("True"), Some(true)),
        (json!("false"), Some(false)),
        (json!(null), None),
    ] {
        let record = mailbox(json!({"AccountDisabled": flag}));
        assert_eq!(
            (record.account_disabled, record.malformed.len()),
            (expected, 0)
        );
    }
    let id = "22222222-0000-4000-8000-000000000001";
    for (external_id, key, expected) in [
        (json!(id), json!("other"), Some(id)),
        (json!(""), json!(id), Some(id)),
        (json!(""), json!("discovery@corp.example"), None),
        (json!(NULL_GUID), json!(id), Some(id)),
        (json!(NULL_GUID), json!("discovery@corp.example"), None),
        (json!(null), json!(null), None),
    ] {
        let record = mailbox(json!({"ExternalDirectoryObjectId": external_id, "ObjectKey": key}));
        assert_eq!(record.object_id.as_deref(), expected);
    }
}

#[test]
fn zeros_are_no_id_of_a_recipient() {
    let id = "22222222-0000-4000-8000-000000000001";
    for (external_id, guid, expected) in [
        (json!(NULL_GUID), json!(id), Some(id)),
        (json!(NULL_GUID), json!(NULL_GUID), None),
        (json!("x"), json!(id), Some(id)),
        (json!(id.to_uppercase()), json!(NULL_GUID), Some(id)),
    ] {
        let row = json!({"ExternalDirectoryObjectId": external_id, "Guid": guid});
        let row: RecipientRow = serde_json::from_value(row).unwrap();
        let record = row.into_record();
        assert_eq!(RecipientRow::key(&record).as_deref(), expected);
        let record = record.unwrap();
        assert_ne!(record.object_id.as_deref(), Some(NULL_GUID));
        assert_ne!(record.guid.as_deref(), Some(NULL_GUID));
    }
}

#[test]
fn permissions_come_as_one_entry_for_each_list_of_rights() {
    let read = |row| {
        serde_json::from_value::<PermissionRow>(row)
            .unwrap()
            .into_entries()
    };
    let entries = read(
        json!({"User": "NT AUTHORITY\\SELF", "IsOwner": false, "PermissionList": [
        {"AccessRights": ["FullAccess", "ReadPermission"], "IsInherited": false, "Deny": false},
        {"AccessRights": "FullAccess, ExternalAccount", "IsInherited": "True", "Deny": "False"}]}),
    )
    .unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].access_rights, ["FullAccess", "ReadPermission"]);
    assert_eq!(entries[1].access_rights, ["FullAccess, ExternalAccount"]);
    assert!(entries[1].inherited && !entries[1].deny);
    let cmdlet = read(json!({"User": "desk", "AccessRights": ["FullAccess"], "Deny": true}));
    assert!(cmdlet.unwrap()[0].deny);
    for (row, names) in [
        (json!({"PermissionList": []}), vec!["User"]),
        (json!({"User": 3, "PermissionList": []}), vec!["User"]),
        (
            json!({"User": "a", "PermissionList": [{}]}),
            vec!["AccessRights"],
        ),
        (
            json!({"User": "a", "AccessRights": [1], "Deny": "perhaps"}),
            vec!["AccessRights", "Deny"],
        ),
    ] {
        assert_eq!(read(row).unwrap_err(), names);
    }
}

#[test]
fn r14_a_plain_group_without_members_is_not_one_that_does_not_tell_them() {
    let read = |row| {
        serde_json::from_value::<RecipientRow>(row)
            .unwrap()
            .into_member_names()
    };
    for (row, names) in [
        (json!({"Members": []}), Some(vec![])),
        (json!({"Members": ["a", "b"]}), Some(vec!["a", "b"])),
        (json!({"Members": "a"}), Some(vec!["a"])),
        (json!({"Name": "g"}), None),
        (json!({"Members": null}), None),
        (json!({"Members": ["a", null]}), None),
        (json!({"Members": ["a", " "]}), None),
    ] {
        let names = names.map(|names| names.into_iter().map(String::from).collect());
        assert_eq!(read(row).ok(), names);
    }
}
