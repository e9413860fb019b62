use super::*;

fn shown(import: &Import) -> Vec<String> {
    import
        .settings
        .iter()
        .map(|setting| {
            let name = setting.name.strip_prefix(PREFIX).unwrap();
            format!("{name}={}", setting.value.expose())
        })
        .collect()
}

fn value(import: &Import, name: &str) -> Option<String> {
    let name = whole(name);
    let found = import
        .settings
        .iter()
        .find(|setting| setting.name == name)?;
    Some(found.value.expose().to_owned())
}

fn warned(import: &Import) -> Vec<&str> {
    import
        .warnings
        .iter()
        .map(|warning| warning.name.strip_prefix(PREFIX).unwrap())
        .collect()
}

const DOTENV: &str = r#"
# the original's settings
export CLOUD_SYNC__ZIVVER_API_KEY='k3y#1'   # secret
CLOUD_SYNC__ZIVVER_API_URL="https://app.zivver.com/api/"
CLOUD_SYNC__CLAIMED_DOMAINS='["Corp.Example", "@corp.test", "@ ", ""]'
CLOUD_SYNC__TARGET_FILTER=admin@, *@lab.corp.example # not these
CLOUD_SYNC__LOG_LEVEL=WARNING
CLOUD_SYNC__PERFORM_SYNC=True
CLOUD_SYNC__TELEMETRY=1
PATH=/usr/bin
"#;

#[test]
fn a_dotenv_file_becomes_settings_in_order() {
    let import = Import::read(DOTENV).unwrap();
    assert_eq!(
        shown(&import),
        [
            "ZIVVER_API_KEY=k3y#1",
            "CLAIMED_DOMAINS=corp.example,corp.test",
            "TARGET_FILTER=admin@,*@lab.corp.example",
            "PERFORM_SYNC=false",
            "SSO_ACCOUNT_KEY=object_id",
            "LOG_LEVEL=warn",
        ]
    );
    assert_eq!(
        warned(&import),
        ["PERFORM_SYNC", "TELEMETRY", "SSO_ACCOUNT_KEY"]
    );
    assert!(!format!("{import:?}").contains("k3y"));
}

#[test]
fn every_form_of_exported_variables_is_read() {
    for json in [
        // az rest, the values of the list
        r#"[{"name":"CLOUD_SYNC__CLAIMED_DOMAINS","value":"\"corp.example\"","isEncrypted":false},
            {"name":"CLOUD_SYNC__ZIVVER_API_KEY","value":null,"isEncrypted":true}]"#,
        // Get-AzAutomationVariable | ConvertTo-Json
        r#"[{"Name":"CLOUD_SYNC__CLAIMED_DOMAINS","Value":"corp.example","Encrypted":false},
            {"Name":"CLOUD_SYNC__ZIVVER_API_KEY","Value":null,"Encrypted":true}]"#,
        // REST
        r#"{"value":[{"name":"CLOUD_SYNC__CLAIMED_DOMAINS","properties":{"value":"\"corp.example\"","isEncrypted":false}},
            {"name":"CLOUD_SYNC__ZIVVER_API_KEY","properties":{"isEncrypted":true}}]}"#,
        // an exported template
        r#"{"contentVersion":"1.0.0.0","resources":[
            {"name":"[concat(parameters('account'), '/CLOUD_SYNC__CLAIMED_DOMAINS')]","properties":{"value":"\"corp.example\""}},
            {"name":"account/CLOUD_SYNC__ZIVVER_API_KEY","properties":{"isEncrypted":true}}]}"#,
        // names and values
        r#"{"CLOUD_SYNC__CLAIMED_DOMAINS":["corp.example"],"CLOUD_SYNC__ZIVVER_API_KEY":null}"#,
        r#"{"Values":{"CLAIMED_DOMAINS":"corp.example","ZIVVER_API_KEY":null}}"#,
    ] {
        let import = Import::read(json).unwrap();
        assert_eq!(
            shown(&import),
            [
                "CLAIMED_DOMAINS=corp.example",
                "PERFORM_SYNC=false",
                "SSO_ACCOUNT_KEY=object_id"
            ],
            "{json}"
        );
        assert!(import.warnings[0].text.contains("encrypted"), "{json}");
    }
}

#[test]
fn r15_an_empty_entry_matched_everybody_and_is_pointed_at() {
    for (filter, kept, warns) in [
        ("", None, true),
        ("''", None, true),
        ("[]", None, true),
        (r#"[""]"#, None, true),
        ("admin@,", Some("admin@"), true),
        ("admin@,,x@", Some("admin@,x@"), true),
        ("['admin@', 'x@']", Some("admin@,x@"), false),
        (r#""admin@","x@""#, Some("admin@,x@"), false),
        ("admin@", Some("admin@"), false),
        ("[admin@]", None, true),
    ] {
        let json = serde_json::json!({"CLOUD_SYNC__TARGET_FILTER": filter});
        let import = Import::read(&json.to_string()).unwrap();
        assert_eq!(
            value(&import, "TARGET_FILTER").as_deref(),
            kept,
            "{filter:?}"
        );
        assert_eq!(
            warned(&import).contains(&"TARGET_FILTER"),
            warns,
            "{filter:?}"
        );
    }
}

#[test]
fn r28_nothing_writes_after_an_import() {
    for (was, warns) in [("true", true), ("1", true), ("false", false), ("", false)] {
        let import = Import::read(&format!("CLOUD_SYNC__PERFORM_SYNC={was}")).unwrap();
        assert_eq!(value(&import, "PERFORM_SYNC").as_deref(), Some("false"));
        assert_eq!(warned(&import).contains(&"PERFORM_SYNC"), warns, "{was}");
    }
}

#[test]
fn addresses_and_levels_are_translated() {
    for (was, is) in [
        ("https://app.zivver.com/api/scim/v2/", None),
        ("'https://app.zivver.com/api / '", None),
        ("https://App.Zivver.com/api", None),
        (
            "'https://zivver.corp.example:8080/api/'",
            Some("https://zivver.corp.example:8080/api"),
        ),
    ] {
        let import = Import::read(&format!("CLOUD_SYNC__ZIVVER_API_URL={was}")).unwrap();
        assert_eq!(value(&import, "ZIVVER_API_URL").as_deref(), is, "{was}");
    }
    for (was, is) in [
        ("INFO", None),
        ("CRITICAL", Some("error")),
        ("10", Some("debug")),
        ("loud", None),
    ] {
        let import = Import::read(&format!("CLOUD_SYNC__LOG_LEVEL={was}")).unwrap();
        assert_eq!(value(&import, "LOG_LEVEL").as_deref(), is, "{was}");
        assert_eq!(warned(&import).contains(&"LOG_LEVEL"), was == "loud");
    }
}

#[test]
fn what_the_settings_would_refuse_is_said_at_once() {
    let import = Import::read("CLOUD_SYNC__CLAIMED_DOMAINS=corp").unwrap();
    let texts: Vec<String> = import.warnings.iter().map(|w| w.text.clone()).collect();
    assert!(texts.iter().any(|text| text.contains("is not a domain")));
    assert!(texts.iter().any(|text| text.contains("is not set")));
}

#[test]
fn new_names_stay_unknown_ones_are_named_and_the_last_value_wins() {
    let import = Import::read(
        "CLOUD_SYNC__MAX_SUSPEND=2%\nCLOUD_SYNC__WORKERS=4\nCLOUD_SYNC__CLAIMED_DOMAINS=a.example\n\
         cloud_sync__claimed_domains=b.example\nCLOUD_SYNC__SSO_ACCOUNT_KEY=omit",
    )
    .unwrap();
    assert_eq!(value(&import, "MAX_SUSPEND").as_deref(), Some("2%"));
    assert_eq!(value(&import, "SSO_ACCOUNT_KEY").as_deref(), Some("omit"));
    assert_eq!(
        value(&import, "CLAIMED_DOMAINS").as_deref(),
        Some("b.example")
    );
    assert!(warned(&import).contains(&"WORKERS"));
    assert!(warned(&import).contains(&"CLAIMED_DOMAINS"));
}

#[test]
fn quotes_may_span_lines_and_files_may_come_from_windows() {
    let text = "CLOUD_SYNC__CLAIMED_DOMAINS='[\r\n  \"a.example\",\r\n  \"b.example\"\r\n]'\r\nA.B=\"x\\\"y\"\r\n";
    let wide: Vec<u8> = [0xfeff]
        .into_iter()
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let import = Import::read(&decode(&wide).unwrap()).unwrap();
    assert_eq!(
        value(&import, "CLAIMED_DOMAINS").as_deref(),
        Some("a.example,b.example")
    );
    assert_eq!(decode(b"\xef\xbb\xbfA=1").unwrap(), "A=1");
    assert!(matches!(decode(b"\xff\xfea"), Err(ImportError::Encoding)));
    assert!(matches!(decode(b"A=\xe9"), Err(ImportError::Encoding)));
}

#[test]
fn an_unreadable_file_is_refused_without_repeating_it() {
    for (text, expected) in [
        ("", "names none"),
        ("PATH=/usr/bin", "names none"),
        ("{}", "names none"),
        (
            r#"{"schema":1,"perform_sync":"true","actions":[]}"#,
            "a plan or a report of this program",
        ),
        ("CLOUD_SYNC__ZIVVER_API_KEY k3y", "line 1 is no"),
        ("A=1\nB='k3y", "line 2 opens a quote"),
        ("{\"k3y\"", "line 1, column"),
    ] {
        let error = Import::read(text).unwrap_err().to_string();
        assert!(
            error.contains(expected) && !error.contains("k3y"),
            "{error}"
        );
    }
}

#[test]
fn a_quote_left_open_in_a_long_file_is_found_at_once() {
    let text = format!("CLOUD_SYNC__TARGET_FILTER=\"a{}", "\nb".repeat(300_000));
    let error = Import::read(&text).unwrap_err().to_string();
    assert_eq!(error, "line 1 opens a quote that is never closed; close it");
}

/// If the entry were split, it would protect other accounts than before.
#[test]
fn an_entry_with_a_separator_stays_one() {
    let import = Import::read(r#"CLOUD_SYNC__TARGET_FILTER=["a,b@", "c;d@"]"#).unwrap();
    let filter = import
        .settings
        .iter()
        .find(|setting| setting.name == "CLOUD_SYNC__TARGET_FILTER");
    assert_eq!(filter.unwrap().value.expose(), r#"["a,b@","c;d@"]"#);
}
