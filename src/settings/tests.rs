use std::collections::BTreeMap;

use super::*;
use crate::{domain::guard::Class, state::lock::Lease};

const REQUIRED: [(&str, &str); 3] = [
    ("CLOUD_SYNC__ZIVVER_API_KEY", " k3y-of-the-organisation \n"),
    ("CLOUD_SYNC__CLAIMED_DOMAINS", "Corp.Example, corp.test"),
    ("CLOUD_SYNC__SSO_ACCOUNT_KEY", "object_id"),
];

/// Reads the required settings with `changes` applied; an empty value removes one.
fn read(changes: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let variables: BTreeMap<&str, &str> = REQUIRED.iter().chain(changes).copied().collect();
    let names: Vec<String> = variables.keys().map(|name| (*name).to_owned()).collect();
    Settings::read(
        |name| variables.get(name).map(|text| (*text).to_owned()),
        &names,
    )
}

fn told(changes: &[(&str, &str)]) -> Vec<String> {
    let error = read(changes).unwrap_err();
    error.problems().iter().map(Problem::to_string).collect()
}

#[test]
fn defaults_are_those_of_the_rules() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.zivver_api_key.expose(), "k3y-of-the-organisation");
    assert_eq!(
        settings.zivver_api_url.as_str(),
        "https://app.zivver.com/api"
    );
    assert_eq!(settings.exo_url.as_str(), "https://outlook.office365.com/");
    let limits = Class::ALL.map(|class| settings.limits.of(class).to_string());
    assert_eq!(
        limits.join(" | "),
        "0 | 0 | 5%,min 5 | 0 | 10%,min 20 | 10%,min 20 | 5%,min 5 | 20%,min 20 | 20%,min 25"
    );
    assert_eq!(settings.perform_sync, PerformSync::Never);
    assert!(matches!(settings.identity, Identity::DeveloperTools));
    assert_eq!(settings.exo_permissions, Strategy::Get);
    assert_eq!(settings.exo_concurrency, 16);
    assert!((settings.min_source_ratio - 0.5).abs() < f64::EPSILON);
    assert!((settings.min_target_ratio - 0.5).abs() < f64::EPSILON);
    assert_eq!(settings.max_consecutive_failures, 20);
    assert_eq!(settings.time_budget.as_secs(), 540);
    assert_eq!(settings.zivver_rate, Rate::default());
    assert_eq!(settings.state, StateLocation::Folder(".cloud-sync".into()));
    assert_eq!(settings.lock_lease, Lease::default().length);
    assert_eq!(settings.keep_runs, 90);
    assert_eq!(settings.keep_applied.as_secs(), 400 * 86_400);
    assert!(settings.notify_url.is_none());
    assert_eq!(settings.target_filter, TargetFilter::default());
    assert!(settings.source_filter.is_empty());
}

#[test]
fn unknown_names_are_told_with_the_other_problems() {
    let problems = told(&[
        ("CLOUD_SYNC__EXO_CONCURRENCY", "0"),
        ("CLOUD_SYNC__MAX_SUSPENDS", "3"),
        ("CLOUD_SYNC__CLAIMED_DOMAINS", ""),
        ("CLOUD_SYNC__CLAIMED_DOMAIN", "corp.example"),
    ]);
    let of = |name: &str| {
        let problems = problems.iter().filter(|it| it.contains(name));
        problems.cloned().collect::<Vec<String>>()
    };
    assert_eq!(
        of("MAX_SUSPENDS"),
        [
            "CLOUD_SYNC__MAX_SUSPENDS is not a setting and has no effect: did you mean CLOUD_SYNC__MAX_SUSPEND?"
        ]
    );
    // It is the remedy of another problem.
    assert_eq!(of("CLAIMED_DOMAIN is set").len(), 1, "{problems:?}");
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn every_limit_has_the_setting_that_reports_name() {
    for class in Class::ALL {
        if class == Class::Undone {
            continue;
        }
        let mut settings = SETTINGS.iter();
        let setting = settings.find(|one| one.name == class.setting()).unwrap();
        let default = Limits::default().of(class).to_string();
        assert_eq!(
            format!("{:?}", setting.default),
            format!("Value({default:?})")
        );
    }
}

#[test]
fn every_problem_is_told_at_once_with_its_remedy() {
    let error = read(&[
        (
            "CLOUD_SYNC__ZIVVER_API_KEY",
            "@microsoft.keyvault(VaultName=v;SecretName=k)",
        ),
        ("CLOUD_SYNC__CLAIMED_DOMAINS", " "),
        ("CLOUD_SYNC__SSO_ACCOUNT_KEY", "upn"),
        ("CLOUD_SYNC__ZIVVER_API_URL", "http://app.zivver.com/api"),
        ("CLOUD_SYNC__PERFORM_SYNC", "yes"),
        ("CLOUD_SYNC__TIME_BUDGET", "9"),
        ("CLOUD_SYNC__MAX_SUSPEND", "a few"),
        ("CLOUD_SYNC__LOG_LEVEL", "loud"),
        ("CLOUD_SYNC__STATE", "s3://bucket"),
        ("CLOUD_SYNC__LOCK_LEASE", "3s"),
        ("CLOUD_SYNC__MANAGED_IDENTITY_CLIENT_ID", "me"),
        ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token"),
    ])
    .unwrap_err();
    let lines: Vec<String> = error.problems().iter().map(Problem::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    CLOUD_SYNC__LOG_LEVEL "loud" is not understood: write `error`, `warn`, `info`, `debug` or `trace`
    CLOUD_SYNC__ZIVVER_API_KEY holds a Key Vault reference that the platform could not resolve: give the app's identity the role Key Vault Secrets User on the vault, check the secret's name and the vault's firewall, then restart the app
    CLOUD_SYNC__ZIVVER_API_URL uses http: use https; http is only for addresses on this machine (localhost, 127.0.0.1, [::1])
    CLOUD_SYNC__CLAIMED_DOMAINS is not set: set it to the domains that the organisation claimed in Zivver, such as `corp.example, corp.test`
    CLOUD_SYNC__PERFORM_SYNC "yes" is not understood: write `false`, `on-demand` or `true`
    CLOUD_SYNC__MANAGED_IDENTITY_CLIENT_ID "me" is not understood: write the client id (a GUID) of a user-assigned identity
    IDENTITY_HEADER is not set although IDENTITY_ENDPOINT is: leave both to the platform; on a computer of your own unset both
    CLOUD_SYNC__SSO_ACCOUNT_KEY "upn" is not understood: write `object_id`, `user_principal_name`, `primary_address` or `omit`
    CLOUD_SYNC__MAX_SUSPEND "a few" is not understood: write a count `25`, a percentage `5%`, both `5%,min 5`, or `100%` for no limit
    CLOUD_SYNC__TIME_BUDGET "9" is not understood: write a duration with units, from `1s` to `24h`, such as `9m`, `90s` or `1h30m`
    CLOUD_SYNC__STATE "s3" is not a kind of state: write az://container, file:///path or memory:
    CLOUD_SYNC__LOCK_LEASE "3s" is not understood: write a duration with units, from `4s` to `10m`, such as `60s`
    "#);
    assert!(!error.to_string().contains('\n'));
}

#[test]
fn a_misspelt_name_is_named_where_the_right_one_is_missing() {
    assert_eq!(
        told(&[
            ("CLOUD_SYNC__CLAIMED_DOMAINS", ""),
            ("CLOUD_SYNC_CLAIMED_DOMAIN", "corp.example"),
        ]),
        ["CLOUD_SYNC__CLAIMED_DOMAINS is not set: CLOUD_SYNC_CLAIMED_DOMAIN is set: rename it"]
    );
    let settings = read(&[("CLOUD_SYNC__PREFORM_SYNC", "true")]).unwrap();
    assert_eq!(settings.perform_sync, PerformSync::Never);
    assert_eq!(
        settings.warnings,
        [
            "CLOUD_SYNC__PREFORM_SYNC is not a setting and has no effect: did you mean CLOUD_SYNC__PERFORM_SYNC?"
        ]
    );
}

#[test]
fn no_secret_is_ever_shown() {
    let secrets = [
        ("CLOUD_SYNC__ZIVVER_API_KEY", "hidden-1"),
        ("CLOUD_SYNC__ACCESS_TOKEN", "hidden-2"),
        (
            "CLOUD_SYNC__NOTIFY_URL",
            "https://hooks.example/hidden-3?sig=hidden-4",
        ),
        (
            "AzureWebJobsStorage",
            "AccountName=corpstate;AccountKey=hidden5=",
        ),
    ];
    let settings = read(&secrets).unwrap();
    assert_eq!(
        settings.notify_url.as_ref().unwrap().expose().path(),
        "/hidden-3"
    );
    assert!(!format!("{settings:?}{}", settings.zivver_api_key).contains("hidden"));
    for (name, broken) in [
        ("CLOUD_SYNC__ZIVVER_API_KEY", "hidden 1"),
        ("CLOUD_SYNC__ACCESS_TOKEN", "hidden\u{e9}2"),
        (
            "CLOUD_SYNC__NOTIFY_URL",
            "http://user:hidden-3@hooks.example/hidden-4",
        ),
        (
            "CLOUD_SYNC__ZIVVER_API_URL",
            "https://user:hidden@app.zivver.com",
        ),
        ("AzureWebJobsStorage", "AccountKey=hidden5="),
    ] {
        let error = read(&[(name, broken)]).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error}");
    }
}

#[test]
fn the_identity_is_a_token_then_the_platform_then_the_developer() {
    let platform = [
        ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/"),
        ("IDENTITY_HEADER", "h"),
    ];
    let id = "11111111-0000-4000-8000-000000000001";
    let identity = |changes: &[(&str, &str)]| read(changes).unwrap().identity;
    assert!(matches!(identity(&[]), Identity::DeveloperTools));
    assert!(matches!(
        identity(&platform),
        Identity::Managed { client_id: None }
    ));
    let client_id = ("CLOUD_SYNC__MANAGED_IDENTITY_CLIENT_ID", id);
    assert!(matches!(
        identity(&[platform[0], platform[1], client_id]),
        Identity::Managed { client_id: Some(client_id) } if client_id == id
    ));
    let token = ("CLOUD_SYNC__ACCESS_TOKEN", "Bearer ey.J.x");
    assert!(matches!(
        identity(&[platform[0], token]),
        Identity::Token(token) if token.secret() == "ey.J.x"
    ));
}

#[test]
fn state_follows_its_setting_then_the_apps_storage_account() {
    let emulator = ("AzureWebJobsStorage", "\"UseDevelopmentStorage=true\"");
    let memory = ("CLOUD_SYNC__STATE", "'memory:'");
    assert!(!read(&[emulator]).unwrap().state.is_local());
    assert_eq!(
        read(&[emulator, memory]).unwrap().state,
        StateLocation::Memory
    );
    for name in [
        "AzureWebJobsStorage",
        "AzureWebJobsStorage__accountName",
        "CLOUD_SYNC__STATE",
    ] {
        let told = told(&[(name, "@Microsoft.KeyVault(VaultName=v;SecretName=s)")]);
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with(&format!("{name} holds a Key Vault reference")));
    }
    assert_eq!(
        told(&[("AzureWebJobsStorage", "AccountName=corpstate")]),
        [
            "AzureWebJobsStorage cannot be used: AccountKey or SharedAccessSignature is missing: copy the whole connection string again"
        ]
    );
}

#[test]
fn a_budget_beyond_the_hosts_timeout_is_a_warning() {
    let long = ("CLOUD_SYNC__TIME_BUDGET", "10m");
    let port = ("FUNCTIONS_CUSTOMHANDLER_PORT", "4000");
    let raised = ("AzureFunctionsJobHost__functionTimeout", "00:30:00");
    assert_eq!(read(&[long]).unwrap().warnings, Vec::<String>::new());
    assert_eq!(read(&[long, port]).unwrap().warnings.len(), 1);
    let unlimited = ("AzureFunctionsJobHost__functionTimeout", "-1");
    for other in [raised, unlimited] {
        let settings = read(&[long, port, other]).unwrap();
        assert_eq!(settings.warnings, Vec::<String>::new());
    }
    let lowered = ("AzureFunctionsJobHost__functionTimeout", "00:05:00");
    let warnings = read(&[port, lowered]).unwrap().warnings;
    assert!(
        warnings[0].contains("functionTimeout of 00:05:00: "),
        "{warnings:?}"
    );
}

#[test]
fn the_log_is_readable_before_the_settings_are() {
    let lookup = |name: &str| match name {
        "CLOUD_SYNC__LOG_LEVEL" => Some("Debug".to_owned()),
        "CLOUD_SYNC__LOG_DIR" => Some("\"/var/log/cloud-sync\"".to_owned()),
        _ => None,
    };
    let log = LogSettings::read(lookup);
    assert_eq!(log.level, Some(LogLevel::Debug));
    assert_eq!(log.dir, Some(PathBuf::from("/var/log/cloud-sync")));
    let loud = |_: &str| Some("loud".to_owned());
    assert_eq!(LogSettings::read(loud).level, None);
}

#[test]
fn the_port_says_whether_a_host_started_us() {
    let port = |text: Option<&'static str>| {
        functions_port(|name| {
            (name == "FUNCTIONS_CUSTOMHANDLER_PORT").then(|| text.map(str::to_owned))?
        })
    };
    assert_eq!(port(None).unwrap(), None);
    assert_eq!(port(Some("")).unwrap(), None);
    assert_eq!(port(Some(" 41873 ")).unwrap(), Some(41_873));
    assert!(port(Some("http")).is_err());
}
