//! The Azure templates match the program, and the scripts do what they say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cloud_sync::settings::{PREFIX, SETTINGS, SettingDefault};
use serde_json::Value;

use crate::tools::{said, script, zip_entries};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

fn bicep() -> String {
    read("infra/main.bicep")
}

/// What follows `param NAME TYPE` in `main.bicep`: its default, if it has one.
fn parameters() -> BTreeMap<String, Option<String>> {
    let bicep = bicep();
    let declared = bicep.lines().filter_map(|line| line.strip_prefix("param "));
    let name_and_default = declared.map(|declaration| {
        let (declaration, default) = declaration
            .split_once(" = ")
            .map_or((declaration, None), |(before, after)| {
                (before, Some(after.to_owned()))
            });
        let name = declaration.split(' ').next().unwrap();
        (name.to_owned(), default)
    });
    name_and_default.collect()
}

/// The declaration that begins with `start`, to the line that ends it.
fn declaration<'a>(text: &'a str, start: &str) -> &'a str {
    let at = text
        .find(&format!("\n{start}"))
        .unwrap_or_else(|| panic!("{start}"))
        + 1;
    let ends = ["\n}\n", "\n]\n", "\n})\n"];
    let end = ends
        .iter()
        .filter_map(|end| text[at..].find(end))
        .min()
        .unwrap();
    &text[at..at + end]
}

/// The settings in the template, by full name.
fn app_settings() -> BTreeMap<String, String> {
    let bicep = bicep();
    let settings = declaration(&bicep, "var settings = ");
    let members = settings
        .lines()
        .skip(1)
        .filter_map(|line| line.trim().split_once(": "));
    members
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Only for a developer's computer, so not in Azure.
const LOCAL: [&str; 2] = ["ACCESS_TOKEN", "LOG_DIR"];

/// Settings whose value is a secret of the vault.
const IN_THE_VAULT: [&str; 3] = ["ZIVVER_API_KEY", "NOTIFY_URL", "SMTP_URL"];

#[test]
fn the_app_has_every_setting_and_no_other() {
    let bicep = bicep();
    let app = declaration(&bicep, "resource app ");
    let mut named: BTreeSet<String> = app_settings().into_keys().collect();
    assert!(named.remove("SYNC_SCHEDULE"), "host.json refers to it");
    assert!(app.contains("{ name: 'CLOUD_SYNC__MANAGED_IDENTITY_CLIENT_ID', value: clientId }"));
    assert!(named.insert(format!("{PREFIX}MANAGED_IDENTITY_CLIENT_ID")));
    let known = SETTINGS.iter().filter(|entry| !LOCAL.contains(&entry.name));
    let known: BTreeSet<String> = known
        .map(|entry| format!("{PREFIX}{}", entry.name))
        .collect();
    assert_eq!(named, known);
    assert!(
        app.contains(
            "map(items(settings), setting => { name: setting.key, value: setting.value })"
        )
    );
    assert!(app.contains("{ name: 'DEPLOYED_SETTINGS', value: string(settings) }"));
    assert!(app.contains("'AzureWebJobsStorage__accountName'"));
}

/// `MAX_SUSPEND` is `maxSuspend`.
fn parameter_of(setting: &str) -> String {
    let mut name = String::new();
    for (at, word) in setting.split('_').enumerate() {
        let word = word.to_lowercase();
        let (first, rest) = word.split_at(1);
        name += &if at == 0 {
            first.to_owned()
        } else {
            first.to_uppercase()
        };
        name += rest;
    }
    name
}

/// Each deployment sets all settings again, so each has a parameter. Those that decide who may write have no default
/// there.
#[test]
fn every_setting_is_a_parameter_that_the_environment_gives() {
    let (parameters, given, settings) =
        (parameters(), read("infra/main.bicepparam"), app_settings());
    for entry in SETTINGS {
        let full = format!("{PREFIX}{}", entry.name);
        let Some(value) = settings.get(&full) else {
            continue;
        };
        if IN_THE_VAULT.contains(&entry.name) {
            assert!(
                value.contains("@Microsoft.KeyVault(VaultName=${vaultName};SecretName="),
                "{full}: {value}"
            );
            assert!(!given.contains(&format!("'{full}'")), "{full} is a secret");
            continue;
        }
        let parameter = parameter_of(entry.name);
        assert_eq!(*value, parameter, "{full}");
        let default = parameters[&parameter].as_deref();
        let read = match (entry.default, entry.name) {
            (SettingDefault::Required(_), _) => {
                assert_eq!(default, None, "{full}");
                format!("param {parameter} = readEnvironmentVariable('{full}')\n")
            }
            (SettingDefault::Value(_), "PERFORM_SYNC") => {
                assert_eq!(default, Some("'false'"), "R28");
                format!("param {parameter} = readEnvironmentVariable('{full}')\n")
            }
            // Blank means the default of the program, which is then defined in only one place.
            (SettingDefault::Value(_) | SettingDefault::Nothing, _) => {
                assert_eq!(default, Some("''"), "{full}");
                format!("param {parameter} = readEnvironmentVariable('{full}', '')\n")
            }
        };
        assert!(given.contains(&read), "infra/main.bicepparam: {read}");
    }
    let schedule = parameters["syncSchedule"].as_deref().unwrap();
    assert!(given.contains(&format!(
        "param syncSchedule = readEnvironmentVariable('SYNC_SCHEDULE', {schedule})\n"
    )));
    for name in parameters
        .keys()
        .filter(|name| !["location", "deployedAt"].contains(&name.as_str()))
    {
        assert!(
            given.contains(&format!("\nparam {name} = ")),
            "infra/main.bicepparam has no {name}"
        );
    }
}

#[test]
fn the_template_allows_what_the_program_accepts() {
    for (parameter, setting) in [
        ("ssoAccountKey", "SSO_ACCOUNT_KEY"),
        ("performSync", "PERFORM_SYNC"),
    ] {
        let bicep = bicep();
        let (before, _) = bicep.split_once(&format!("\nparam {parameter} ")).unwrap();
        let allowed = before.lines().last().unwrap();
        let allowed: Vec<&str> = allowed.split('\'').skip(1).step_by(2).collect();
        let entry = SETTINGS.iter().find(|entry| entry.name == setting).unwrap();
        let accepted: Vec<&str> = entry.form.split('`').skip(1).step_by(2).collect();
        assert_eq!(allowed, accepted, "{parameter}");
    }
}

/// Azure refuses the deployment if one of them is not registered in the subscription.
#[test]
fn the_page_on_deploying_names_every_resource_provider() {
    let both = bicep() + &read("infra/roles.bicep");
    let used = both.split("'Microsoft.").skip(1).filter_map(|rest| {
        let (namespace, rest) = rest.split_once('/')?;
        rest.split('\'').next()?.contains('@').then_some(namespace)
    });
    // Microsoft.Authorization is always registered; Flex Consumption runs on Microsoft.App.
    let used: BTreeSet<&str> = used
        .filter(|it| *it != "Authorization")
        .chain(["App"])
        .collect();
    let page = read("docs/deploy.md");
    let blocks: Vec<&str> = page.split("```").skip(1).step_by(2).take(2).collect();
    for block in blocks {
        let named = block.split("Microsoft.").skip(1);
        let named = named.map(|rest| {
            rest.split(|c: char| !c.is_ascii_alphanumeric())
                .next()
                .unwrap()
        });
        assert_eq!(named.collect::<BTreeSet<_>>(), used);
    }
}

/// Each of these made a deployment fail, or will.
#[test]
fn the_template_has_nothing_that_azure_refuses() {
    let both = bicep() + &read("infra/roles.bicep");
    for refused in [
        "ftpsState",
        "FUNCTIONS_WORKER_RUNTIME",
        "FUNCTIONS_EXTENSION_VERSION",
        "WEBSITE_RUN_FROM_PACKAGE",
        "principalType: 'User'",
    ] {
        assert!(!both.contains(refused), "{refused}");
    }
    for version in both.split("Microsoft.KeyVault/vaults@").skip(1) {
        let version = version.split('\'').next().unwrap();
        assert!(
            version >= "2026-02-01",
            "vaults@{version} ends in February 2027"
        );
    }
    // An app that is created again has another identity. Azure refuses to change the assignment under its old name.
    let assignments: Vec<&str> = both
        .split("'Microsoft.Authorization/roleAssignments@")
        .skip(1)
        .collect();
    assert!(!assignments.is_empty());
    for assignment in assignments {
        let name = assignment.split("name: guid(").nth(1).unwrap();
        let name = name.lines().next().unwrap();
        assert!(name.contains("rincipalId"), "guid({name}");
    }
    assert!(declaration(&bicep(), "resource app ").contains("dependsOn: [packages]"));
}

#[test]
fn nothing_is_open_that_need_not_be() {
    let bicep = bicep();
    for (start, lines) in [
        (
            "resource storage ",
            &[
                "allowSharedKeyAccess: false",
                "allowBlobPublicAccess: false",
                "minimumTlsVersion: 'TLS1_2'",
                "supportsHttpsTrafficOnly: true",
            ][..],
        ),
        (
            "resource vault ",
            &[
                "enableRbacAuthorization: true",
                "enablePurgeProtection: true",
            ],
        ),
        ("resource insights ", &["DisableLocalAuth: true"]),
        (
            "resource app ",
            &[
                "httpsOnly: true",
                "runtime: { name: 'custom', version: '1.0' }",
            ],
        ),
        ("resource noFtpPassword ", &["allow: false"]),
        ("resource noScmPassword ", &["allow: false"]),
        ("resource runs ", &["name: 'cloud-sync-runs'"]),
        ("resource stateContainer ", &["name: 'cloud-sync'"]),
    ] {
        for line in lines {
            assert!(declaration(&bicep, start).contains(line), "{start}{line}");
        }
    }
}

/// R41: a sign-in shows who calls. A caller with a function key needs none, and neither does the host.
#[test]
fn sign_in_is_off_by_default_and_keeps_nobody_with_a_key_out() {
    assert_eq!(parameters()["signInClientId"].as_deref(), Some("''"));
    let bicep = bicep();
    let sign_in = declaration(&bicep, "resource signIn ");
    let tenant = "${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0";
    for line in [
        "= if (!empty(signInClientId)) {",
        "parent: app\n  name: 'authsettingsV2'",
        "platform: { enabled: true }",
        "requireAuthentication: false, unauthenticatedClientAction: 'AllowAnonymous'",
        "requireHttps: true",
        "clientId: signInClientId",
        &format!("openIdIssuer: '{tenant}'"),
        "allowedAudiences: [signInClientId]",
        "tokenStore: { enabled: false }",
    ] {
        assert!(sign_in.contains(line), "{line}\n{sign_in}");
    }
    assert!(!sign_in.to_lowercase().contains("secretsetting"));
    let binding = read("SyncHttp/function.json");
    assert!(binding.contains(r#""authLevel": "function""#), "{binding}");
    let page = read("docs/deploy.md");
    for step in [
        "/.auth/login/aad/callback",
        "--enable-id-token-issuance true",
        "SIGN_IN_CLIENT_ID",
    ] {
        assert!(page.contains(step), "{step}");
    }
}

/// Symbol in `roles.bicep`, name and id.
const ROLES: [(&str, &str, &str); 6] = [
    (
        "blobOwner",
        "Storage Blob Data Owner",
        "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    ),
    (
        "queueContributor",
        "Storage Queue Data Contributor",
        "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    ),
    (
        "tableContributor",
        "Storage Table Data Contributor",
        "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    ),
    (
        "secretsUser",
        "Key Vault Secrets User",
        "4633458b-17de-408a-b874-0445c86b69e6",
    ),
    (
        "secretsOfficer",
        "Key Vault Secrets Officer",
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    ),
    (
        "metricsPublisher",
        "Monitoring Metrics Publisher",
        "3913510d-42f4-4e42-8a64-420c390055eb",
    ),
];

/// Each role with its scope: no more than the table of `docs/security.md`, and nothing on the resource group.
#[test]
fn roles_are_those_of_the_page_on_security() {
    let bicep = read("infra/roles.bicep");
    for (symbol, _, id) in ROLES {
        assert!(
            bicep.contains(&format!("  {symbol}: '{id}' //")),
            "{symbol}"
        );
    }
    let scopes = [
        ("storage", "its storage account"),
        ("vault", "its vault"),
        ("insights", "its Application Insights"),
    ];
    let mut given = BTreeSet::new();
    for assignment in bicep
        .split("'Microsoft.Authorization/roleAssignments@")
        .skip(1)
    {
        let scope = assignment
            .split("scope: ")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap();
        let on = scopes
            .iter()
            .find(|(symbol, _)| *symbol == scope)
            .expect("a known scope")
            .1;
        for role in assignment.split("roles.").skip(1) {
            let symbol = role
                .split(|c: char| !c.is_ascii_alphanumeric())
                .next()
                .unwrap();
            let may = ROLES
                .iter()
                .find(|(known, ..)| *known == symbol)
                .expect("a known role")
                .1;
            given.insert((may, on));
        }
    }
    let page = read("docs/security.md");
    let (_, table) = page.split_once("## Least privilege").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let documented: BTreeSet<(&str, &str)> = table
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let (may, on) = (*cells.get(2)?, *cells.get(3)?);
            ROLES
                .iter()
                .any(|(_, name, _)| *name == may)
                .then_some((may, on))
        })
        .collect();
    assert_eq!(given, documented);
}

#[test]
fn alerts_and_workbook_use_the_queries_of_this_folder() {
    let bicep = bicep();
    for (start, query) in [
        (
            "resource runFailed ",
            "query: loadTextContent('queries/run-failed.kql')",
        ),
        (
            "resource held ",
            "query: loadTextContent('queries/held.kql')",
        ),
        ("resource noSuccess ", "query: noSuccessQuery"),
        ("resource noQuickSuccess ", "query: noQuickSuccessQuery"),
    ] {
        assert!(declaration(&bicep, start).contains(query), "{start}");
    }
    // A value that a deployment fills in is in the file once, as an example.
    for (file, variable, examples) in [
        (
            "no-success",
            "var noSuccessQuery = ",
            [
                ("26h", "'${noSuccessHours}h'"),
                ("2026-01-01T00:00:00Z", "deployedAt"),
            ],
        ),
        (
            "no-quick-success",
            "var noQuickSuccessQuery = ",
            [
                ("3h", "'${noQuickSuccessHours}h'"),
                ("2026-01-01T00:00:00Z", "deployedAt"),
            ],
        ),
    ] {
        let query = read(&format!("infra/queries/{file}.kql"));
        let filled_in = declaration(&bicep, variable);
        for (example, value) in examples {
            assert_eq!(query.matches(example).count(), 1, "{example}");
            assert!(filled_in.contains(&format!("'{example}'")) && filled_in.contains(value));
        }
    }
    assert_eq!(parameters()["noSuccessHours"].as_deref(), Some("26"));
    // R45: by default the schedule makes no quick runs.
    assert_eq!(parameters()["noQuickSuccessHours"].as_deref(), Some("0"));
    assert_eq!(
        parameters()["syncSchedule"].as_deref(),
        Some("'0 0 2 * * *'")
    );
    let quick = read("infra/queries/no-quick-success.kql");
    assert!(quick.contains(r#"Message has "fresh=true""#));
    let query = read("infra/queries/no-success.kql");
    // R28: only what the program logs about a success.
    assert!(query.contains(r#"Message has "success=true""#) && !query.contains("outcome="));
    let workbook: Value = serde_json::from_str(&read("infra/workbook.json")).unwrap();
    let queries: Vec<&str> = workbook["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item["content"]["query"].as_str())
        .collect();
    assert_eq!(
        queries,
        ["standing", "runs", "held", "run-failed", "invocations"]
            .map(|file| read(&format!("infra/queries/{file}.kql")))
    );
}

/// `infra/grant-exchange.sh` with a fake Azure CLI.
struct Grant {
    state: tempfile::TempDir,
    path: String,
}

impl Grant {
    fn new(identities: &str) -> Self {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("identities"), identities).unwrap();
        let bin = state.path().join("bin");
        fs::create_dir(&bin).unwrap();
        fs::copy(root().join("tests/it/data/az"), bin.join("az")).unwrap();
        // Only what the script needs, without pwsh.
        for tool in ["bash", "env", "cat", "dirname", "touch", "sleep"] {
            let found = ["/usr/bin", "/bin"]
                .map(|folder| Path::new(folder).join(tool))
                .into_iter()
                .find(|tool| tool.exists())
                .unwrap();
            std::os::unix::fs::symlink(found, bin.join(tool)).unwrap();
        }
        Self {
            path: bin.to_str().unwrap().to_owned(),
            state,
        }
    }

    fn run(&self, arguments: &str) -> Output {
        Command::new("bash")
            .arg(root().join("infra/grant-exchange.sh"))
            .args(arguments.split_whitespace())
            .env_clear()
            .env("PATH", &self.path)
            .env("AZ_STATE", self.state.path())
            .env("GRANT_WAIT_S", "0")
            .output()
            .unwrap()
    }

    /// A file in the storage of the fake `az`.
    fn with(self, file: &str, text: &str) -> Self {
        fs::write(self.state.path().join(file), text).unwrap();
        self
    }

    /// A `pwsh` that ends with `code`.
    fn with_pwsh(self, code: i32) -> Self {
        let pwsh = self.state.path().join("bin/pwsh");
        fs::write(&pwsh, format!("#!/usr/bin/env bash\nexit {code}\n")).unwrap();
        fs::set_permissions(&pwsh, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn writes(&self) -> Vec<String> {
        let text = fs::read_to_string(self.state.path().join("writes")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

const APP: &str = "--resource-group group --app app";

#[test]
fn a_grant_is_checked_made_once_and_left_alone() {
    let grant = Grant::new("principal-1\n");
    let reader = format!("{APP} --role global-reader");
    let check = grant.run(&format!("{reader} --check"));
    assert_eq!(check.status.code(), Some(3), "{}", said(&check));
    assert!(said(&check).contains("missing  app role Exchange.ManageAsApp"));
    assert!(said(&check).contains("missing  Entra role Global Reader"));
    assert_eq!(grant.writes(), Vec::<String>::new());
    for _ in 0..2 {
        let made = grant.run(&reader);
        assert_eq!(made.status.code(), Some(0), "{}", said(&made));
        assert_eq!(grant.writes(), ["app-role", "global-reader"]);
    }
    let check = grant.run(&format!("{reader} --check"));
    assert_eq!(check.status.code(), Some(0), "{}", said(&check));
    assert!(!said(&check).contains("missing"));
}

/// Permission to send as every mailbox is a separate decision.
#[test]
fn the_right_to_send_mail_is_granted_on_request_only() {
    let grant = Grant::new("principal-1\n");
    let reader = format!("{APP} --role none");
    assert_eq!(grant.run(&reader).status.code(), Some(0));
    assert_eq!(grant.writes(), ["app-role"]);
    let check = grant.run(&format!("{reader} --mail --check"));
    assert_eq!(check.status.code(), Some(3), "{}", said(&check));
    assert!(said(&check).contains("missing  app role Mail.Send"));
    for _ in 0..2 {
        let made = grant.run(&format!("{reader} --mail"));
        assert_eq!(made.status.code(), Some(0), "{}", said(&made));
        assert!(
            said(&made).contains("restrict it to one"),
            "{}",
            said(&made)
        );
        assert_eq!(grant.writes(), ["app-role", "mail-role"]);
    }
    let script = read("infra/grant-exchange.ps1");
    let line = script.lines().find(|line| line.contains("Set-Mail }"));
    assert!(line.unwrap().contains("if ($Mail)"), "{line:?}");
}

#[test]
fn without_powershell_the_smallest_role_is_left_to_a_person() {
    let grant = Grant::new("principal-1\n");
    let made = grant.run(APP);
    assert_eq!(made.status.code(), Some(3), "{}", said(&made));
    assert_eq!(grant.writes(), ["app-role"]);
    assert!(said(&made).contains("-PrincipalId principal-1 -ClientId client-1 -RoleGroupOnly"));
    assert_eq!(
        grant
            .run("--principal-id principal-1 --role none")
            .status
            .code(),
        Some(0)
    );
}

#[test]
fn a_role_that_writes_is_pointed_at() {
    let grant = Grant::new("principal-1\n").with("roles", "29232cdf-9323-42fd-ade2-1d097af3e4de\n");
    let check = grant.run("--principal-id principal-1 --role global-reader --check");
    assert!(said(&check).contains("excess   Entra role Exchange Administrator"));
}

#[test]
fn who_may_not_read_directory_roles_may_still_grant() {
    let grant = Grant::new("principal-1\n")
        .with("forbid-roles", "")
        .with_pwsh(0);
    let made = grant.run("--principal-id principal-1");
    assert_eq!(made.status.code(), Some(0), "{}", said(&made));
    assert!(said(&made).contains("granted  app role"), "{}", said(&made));
    assert!(
        said(&made).contains("note     directory roles cannot be read"),
        "{}",
        said(&made)
    );
}

#[test]
fn without_a_role_directory_roles_are_not_read() {
    let grant = Grant::new("principal-1\n").with("forbid-roles", "");
    let made = grant.run("--principal-id principal-1 --role none");
    assert_eq!(made.status.code(), Some(0), "{}", said(&made));
    assert!(!said(&made).contains("directory roles"), "{}", said(&made));
}

/// Only exit code 3 of `grant-exchange.ps1` means that something is missing.
#[test]
fn a_failure_of_powershell_is_an_error() {
    for (code, expected) in [(0, 0), (3, 3), (1, 1), (64, 1), (139, 1)] {
        let made = Grant::new("principal-1\n").with_pwsh(code).run(APP);
        assert_eq!(
            made.status.code(),
            Some(expected),
            "{code}: {}",
            said(&made)
        );
    }
}

#[test]
fn a_new_identity_is_asked_for_again() {
    let twice = Grant::new("principal-1\n").with("unknown", "1\n2\n");
    let made = twice.run("--principal-id principal-1 --role none");
    assert_eq!(made.status.code(), Some(0), "{}", said(&made));
    assert_eq!(twice.writes(), ["app-role"]);
    let longer = Grant::new("principal-1\n").with("unknown", "1\n2\n3\n");
    let made = longer.run("--principal-id principal-1 --role none");
    assert_eq!(made.status.code(), Some(1), "{}", said(&made));
    assert!(
        said(&made).contains("run this again then"),
        "{}",
        said(&made)
    );
}

/// A file in the storage of the fake `az`, arguments, exit code, and a part of the output.
const FAILURES: [(&str, &str, i32, &str); 14] = [
    ("", "--app app", 2, "say which identity"),
    ("", "--app", 2, "needs a value"),
    ("", "--force", 2, "not understood: --force"),
    ("", "--principal-id x --role owner", 2, "--role is"),
    (
        "",
        "--resource-group group --app none",
        1,
        "there is no app none in the resource group group",
    ),
    (
        "",
        "--resource-group none --app app",
        1,
        "there is no app app in the resource group none",
    ),
    (
        "",
        "--principal-id nobody",
        1,
        "there is no identity nobody in this tenant",
    ),
    (
        "signed-out",
        APP,
        1,
        "not signed in, or its sign-in has expired",
    ),
    (
        "expired",
        APP,
        1,
        "not signed in, or its sign-in has expired",
    ),
    (
        "broken",
        APP,
        1,
        "cannot read the identity of the app: the message of az is above",
    ),
    (
        "forbid-all",
        APP,
        1,
        "not allowed to read the service principal of Exchange Online: sign in as Privileged",
    ),
    (
        "no-exchange",
        APP,
        1,
        "this tenant has no service principal of Office 365 Exchange Online",
    ),
    (
        "refuse",
        APP,
        1,
        "not allowed to grant the app role: sign in as Privileged",
    ),
    (
        "forbid-roles",
        "--principal-id principal-1 --role global-reader",
        1,
        "not allowed to read the directory roles",
    ),
];

#[test]
fn a_grant_that_cannot_be_made_says_why() {
    for (state, arguments, code, why) in FAILURES {
        let mut grant = Grant::new("principal-1\n");
        if !state.is_empty() {
            grant = grant.with(state, "");
        }
        let output = grant.run(arguments);
        let all = said(&output);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{state} {arguments}: {all}"
        );
        assert!(all.contains(why), "{state} {arguments}: {all}");
        // One reason, and not that of another failure.
        assert_eq!(all.matches("error: ").count(), 1, "{all}");
    }
    for (identities, why) in [
        ("\n", "has no identity"),
        ("principal-1\nprincipal-2\n", "several identities"),
    ] {
        let output = Grant::new(identities).run(APP);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(why), "{}", said(&output));
    }
}

/// The messages of a script, each with the exit code that follows it, and `…` for the variable parts.
fn messages(script: &str) -> BTreeSet<(String, String)> {
    // The calls that print an error and a line of progress.
    let (errors, progress) = if script == "infra/grant-exchange.ps1" {
        (&["throw ", "return "][..], "Write-Output ")
    } else {
        (&["die ", "give_up $? ", "give_up \"$1\" "][..], "printf ")
    };
    let mut found = BTreeSet::new();
    for line in read(script).lines() {
        for call in errors {
            if let Some((text, rest)) = line.split_once(call).and_then(|(_, it)| literal(it)) {
                let code = if rest.trim() == "2" { "2" } else { "1" };
                found.insert((text, code.to_owned()));
            }
        }
        if let Some((mut text, rest)) = line.split_once(progress).and_then(|(_, it)| literal(it)) {
            if let Some(word) = text.strip_suffix("%s\\n") {
                text = format!("{word}{}", literal(rest.trim()).unwrap().0);
            }
            let code = match text.split(' ').next().unwrap() {
                "ok" | "granted" | "done" => "0",
                "missing" | "to" => "3",
                "excess" | "note" | "identity" => "any",
                _ => continue,
            };
            found.insert((text, code.to_owned()));
        }
    }
    found.retain(|(text, _)| text != "…");
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    found
        .into_iter()
        .map(|(text, code)| (squeezed(&text), code))
        .collect()
}

/// The quoted text at the start of `code`, and the rest.
fn literal(code: &str) -> Option<(String, &str)> {
    let quote = code.chars().next().filter(|c| ['\'', '"'].contains(c))?;
    let (text, rest) = code[1..].split_once(quote)?;
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '$' || quote == '\'' {
            out.push(c);
            continue;
        }
        out.push('…');
        while chars
            .peek()
            .is_some_and(|c| c.is_ascii_alphanumeric() || "_{}".contains(*c))
        {
            chars.next();
        }
    }
    Some((out, rest))
}

#[test]
fn the_page_on_security_has_every_message_of_the_grant_scripts() {
    let page = read("docs/security.md");
    for script in ["infra/grant-exchange.sh", "infra/grant-exchange.ps1"] {
        let (_, table) = page
            .split_once(&format!("| `{script}` says | exit code |"))
            .unwrap();
        let rows = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let documented: BTreeSet<(String, String)> = rows
            .map(|row| {
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                let text = cells[1]
                    .trim_matches('`')
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ");
                (text, cells[2].to_owned())
            })
            .collect();
        assert_eq!(documented, messages(script), "{script}");
    }
}

/// `$ErrorActionPreference` of a script does not apply to functions of modules, which these are. Without `-ErrorAction
/// Stop` the script continues after a refused grant and reports it as granted.
#[test]
fn every_call_of_graph_and_exchange_stops_on_an_error() {
    let script = read("infra/grant-exchange.ps1");
    let (_, code) = script.split_once("#>").unwrap();
    let joined = code.replace("`\n", " ");
    let mut calls = 0;
    for line in joined
        .lines()
        .filter(|line| !line.trim_start().starts_with(['#', '\'']))
    {
        let is_call = [
            "Mg",
            "ServicePrincipal",
            "RoleGroup",
            "RoleGroupMember",
            "ManagementRoleAssignment",
            "ExchangeOnline",
        ]
        .iter()
        .any(|noun| {
            ["Get-", "New-", "Add-", "Connect-"]
                .iter()
                .any(|verb| line.contains(&format!("{verb}{noun}")))
        });
        // `$needed` names commands, but does not call them.
        if is_call && !line.contains("$needed[") {
            assert!(line.contains("-ErrorAction Stop"), "{line}");
            calls += 1;
        }
    }
    assert!(calls >= 14, "{calls}");
    assert!(
        script.starts_with("#Requires -Version 7.0\n\n<#\n.SYNOPSIS\n"),
        "Get-Help needs the blank line"
    );
    assert!(
        script.trim_end().ends_with("exit $status"),
        "$LASTEXITCODE would keep an earlier code"
    );
}

/// Needs Python. A placeholder handler replaces the build, which takes minutes.
#[test]
fn the_package_holds_five_entries_and_refuses_what_azure_cannot_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    let elf = |glibc: &str| {
        let mut elf = b"\x7fELF\x02\x01\x01\0".to_vec();
        elf.resize(18, 0);
        elf.extend(b"\x3e\x00\0");
        elf.extend(glibc.as_bytes());
        elf
    };
    let package = |handler: &[u8]| {
        fs::write(out.join("built"), handler).unwrap();
        let mut package = script("package")?;
        package
            .arg("--handler")
            .arg(out.join("built"))
            .arg("--out")
            .arg(out);
        Some(package.output().unwrap())
    };
    let Some(first) = package(&elf("GLIBC_2.4\0GLIBC_2.28")) else {
        return;
    };
    assert!(first.status.success(), "{}", said(&first));
    let zip = fs::read(out.join("cloud-sync.zip")).unwrap();
    let again = package(&elf("GLIBC_2.4\0GLIBC_2.28")).unwrap();
    assert!(again.status.success());
    assert_eq!(
        fs::read(out.join("cloud-sync.zip")).unwrap(),
        zip,
        "the same bytes"
    );
    assert_eq!(
        zip_entries(&zip)
            .into_iter()
            .map(|entry| (entry.name, entry.mode))
            .collect::<Vec<_>>(),
        [
            ("SyncHttp/function.json".to_owned(), 0o666),
            ("SyncQueue/function.json".to_owned(), 0o666),
            ("SyncTimer/function.json".to_owned(), 0o666),
            ("handler".to_owned(), 0o777),
            ("host.json".to_owned(), 0o666),
        ]
    );
    for (handler, why) in [
        (elf("GLIBC_2.29"), "needs glibc 2.29"),
        (b"MZ".to_vec(), "no Linux program"),
    ] {
        let refused = package(&handler).unwrap();
        assert!(
            !refused.status.success() && said(&refused).contains(why),
            "{}",
            said(&refused)
        );
    }
    let bill = fs::read_to_string(out.join("cloud-sync.cdx.json")).unwrap();
    let bill: Value = serde_json::from_str(&bill).unwrap();
    let components = bill["components"].as_array().unwrap();
    let named = |name: &str| components.iter().any(|crate_| crate_["name"] == name);
    assert!(named("axum") && named("reqwest") && !named("proptest"));
    // The workspace's own crates have no checksum in the lock file.
    let without: Vec<&Value> = components
        .iter()
        .filter(|crate_| !crate_["hashes"][0]["content"].is_string())
        .map(|crate_| &crate_["name"])
        .collect();
    assert_eq!(without, ["clients", "domain"]);
}
