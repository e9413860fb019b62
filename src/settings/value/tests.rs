use super::*;

#[test]
fn durations_need_units_in_falling_order() {
    for (text, expected) in [
        ("9m", Some(540)),
        ("90s", Some(90)),
        ("1h30m", Some(5400)),
        (" 1H 30M 5s ", Some(5405)),
        ("\"9m\"", Some(540)),
        ("24h", Some(86_400)),
        ("25h", None),
        ("0s", None),
        ("", None),
        ("9", None),
        ("m", None),
        ("9x", None),
        ("-9m", None),
        ("30m1h", None),
        ("5s5s", None),
        ("99999999999999999999h", None),
        ("9é", None),
    ] {
        let read = duration(text).ok().map(|d| d.as_secs());
        assert_eq!(read, expected, "{text:?}");
    }
}

#[test]
fn r30_rates_are_calls_per_time_or_unlimited() {
    let calls = |calls, window_s| {
        Some(Rate::Budget {
            calls,
            window: Duration::from_secs(window_s),
        })
    };
    for (text, expected) in [
        ("50/10s", calls(50, 10)),
        (" 600 / 1m ", calls(600, 60)),
        ("Unlimited", Some(Rate::Unlimited)),
        ("0/10s", None),
        ("50/0s", None),
        ("50", None),
        ("50/10", None),
        ("", None),
    ] {
        assert_eq!(rate(text).ok(), expected, "{text:?}");
    }
}

#[test]
fn lists_are_comma_separated_or_json() {
    for (text, expected) in [
        ("a", vec!["a"]),
        (" a , b ,, ", vec!["a", "b"]),
        (r#"["a", " b ", ""]"#, vec!["a", "b"]),
        (r#"'["a","b"]'"#, vec!["a", "b"]),
        (r#""a","b""#, vec!["a", "b"]),
        (r#""a, b""#, vec!["a", "b"]),
        ("'a', 'b'", vec!["a", "b"]),
        ("a\nb\r\n", vec!["a", "b"]),
        ("o'brien@corp.example", vec!["o'brien@corp.example"]),
        ("[]", vec![]),
        (" , ", vec![]),
    ] {
        assert_eq!(list(text).unwrap(), expected, "{text:?}");
    }
    assert!(list("[a, b]").is_err());
    assert!(list(r#"["a", 1]"#).is_err());
    let separated = list("corp.example; brand.example").unwrap_err();
    assert_eq!(separated.wrong, r#"has `;` after "corp.example""#);
    assert!(
        separated
            .remedy
            .starts_with("separate the entries with commas")
    );
    assert_eq!(list(r#"["a;b"]"#).unwrap(), ["a;b"]);
}

#[test]
fn r13_domains_are_valid_and_lower_cased() {
    let read =
        domains(r#"["Corp.Example","corp.example", "bücher.example", "xn--bcher-kva.example"]"#)
            .unwrap();
    assert_eq!(
        read.iter().collect::<Vec<_>>(),
        ["corp.example", "xn--bcher-kva.example"]
    );
    for text in [
        "@corp.example",
        "*.corp.example",
        "corp",
        "corp..example",
        "-corp.example",
        "corp.example.",
        "https://corp.example",
        "anna@corp.example",
        "10.0.0.1",
        "corp example.test",
        " , ",
    ] {
        assert!(domains(text).is_err(), "{text:?}");
    }
    assert_eq!(
        domains("corp.example, @corp.test, nodot")
            .unwrap_err()
            .wrong,
        r#""@corp.test", "nodot" are not domains"#
    );
}

#[test]
fn urls_are_https_or_http_on_loopback() {
    for (text, expected) in [
        (
            "https://app.zivver.com/api",
            Some("https://app.zivver.com/api"),
        ),
        (
            " https://app.zivver.com/api/ ",
            Some("https://app.zivver.com/api"),
        ),
        ("https://corp.example", Some("https://corp.example/")),
        ("http://127.0.0.1:8080/", Some("http://127.0.0.1:8080/")),
        ("http://localhost:8080/x//", Some("http://localhost:8080/x")),
        ("http://[::1]:1/", Some("http://[::1]:1/")),
        ("http://corp.example", None),
        ("http://127.0.0.1.corp.example", None),
        ("http://localhost.corp.example", None),
        ("ftp://corp.example", None),
        ("file:///etc/passwd", None),
        ("https://user:pw@corp.example", None),
        ("https://corp.example/?q=1", None),
        ("https://corp.example/#f", None),
        ("corp.example/api", None),
        ("", None),
    ] {
        let read = service_url(text).ok().map(String::from);
        assert_eq!(read.as_deref(), expected, "{text:?}");
    }
}

#[test]
fn unresolved_key_vault_references_are_seen_in_any_case() {
    for text in [
        "@Microsoft.KeyVault(SecretUri=https://v.example/secrets/k)",
        " @microsoft.keyvault(VaultName=v;SecretName=k)",
        "\"@MICROSOFT.KEYVAULT(x)\"",
    ] {
        assert!(is_unresolved_reference(text), "{text}");
    }
    for text in [
        "",
        "k3y",
        "@Microsoft.KeyVaul",
        "x@Microsoft.KeyVault(",
        "ééééééééééééééé",
    ] {
        assert!(!is_unresolved_reference(text), "{text}");
    }
}

#[test]
fn secrets_are_trimmed_and_fit_a_header() {
    assert_eq!(header_secret(" k3y\n").unwrap().expose(), "k3y");
    assert_eq!(bearer_token("Bearer ey.J.x").unwrap().expose(), "ey.J.x");
    assert_eq!(bearer_token("ey.J.x").unwrap().expose(), "ey.J.x");
    assert!(header_secret("k3y k3y").is_err());
    assert!(header_secret("k3y\r\nX: 1").is_err());
    assert!(header_secret("schlüssel").is_err());
}

#[test]
fn r28_words_are_exact_but_case_is_forgiven() {
    for (text, expected) in [
        ("false", Some(PerformSync::Never)),
        ("False", Some(PerformSync::Never)),
        ("0", Some(PerformSync::Never)),
        ("on-demand", Some(PerformSync::OnDemand)),
        ("true", Some(PerformSync::Always)),
        ("TRUE", Some(PerformSync::Always)),
        ("1", Some(PerformSync::Always)),
        ("yes", None),
        ("ondemand", None),
        ("2", None),
        ("tru", None),
    ] {
        assert_eq!(perform_sync(text).ok(), expected, "{text:?}");
    }
}

#[test]
fn ratios_and_numbers_have_bounds() {
    assert_eq!(ratio("0.5"), Ok(0.5));
    assert_eq!(ratio("50 %"), Ok(0.5));
    assert_eq!(ratio("0"), Ok(0.0));
    for text in ["1.1", "-0.1", "NaN", "inf", "x", "101%", ""] {
        assert!(ratio(text).is_err(), "{text:?}");
    }
    assert_eq!(number("16", 1, 100), Ok(16));
    for text in ["0", "101", "1.5", "-1", "x", ""] {
        assert!(number(text, 1, 100).is_err(), "{text:?}");
    }
}

#[test]
fn a_long_value_is_not_repeated() {
    let pasted = "Zk3y0123456789012345678901234567890";
    let told = perform_sync(pasted).unwrap_err();
    assert_eq!(told.wrong, "the value is not understood");
}

#[test]
fn r26_limits_are_read_in_any_case() {
    for text in ["25", "5%", "\"5%,min 5\"", " 10 % , MIN 20 ", "100%"] {
        assert!(limit(text).is_ok(), "{text:?}");
    }
    assert_eq!(
        limit("101%").unwrap_err().wrong,
        "\"101%\" is not understood"
    );
}

#[test]
fn days_are_whole_and_at_most_ten_years() {
    for (text, days) in [("400d", 400), ("1 d", 1), ("\"3650D\"", 3650)] {
        let read = super::days(text).map(|kept| kept.as_secs());
        assert_eq!(read, Ok(days * 86_400), "{text}");
    }
    for text in ["", "d", "400", "0d", "3651d", "1d1d", "-1d", "24h"] {
        assert!(days(text).is_err(), "{text}");
    }
}

#[test]
fn r14_a_group_is_named_by_its_address_or_object_id() {
    let id = "55555555-0000-4000-8000-000000000001";
    let groups_of = |text| groups(text).map(Vec::from_iter);
    let both = format!("{id}, Staff@corp.example");
    assert_eq!(groups_of(&both).unwrap(), [id, "Staff@corp.example"]);
    assert_eq!(groups_of(" , ").unwrap(), [""; 0]);
    for (text, wrong) in [
        ("Staff", r#""Staff" is neither an object id nor an address"#),
        (
            "a@corp.example, All Staff, corp\\care, @corp.example",
            r#""@corp.example", "All Staff", "corp\\care" are neither object ids nor addresses"#,
        ),
        (
            "00000000-0000-0000-0000-000000000000",
            "the value is neither an object id nor an address",
        ),
    ] {
        assert_eq!(groups_of(text).unwrap_err().wrong, wrong);
    }
}
