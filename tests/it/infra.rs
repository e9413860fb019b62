//! What Azure is told to make agrees with the program, and the scripts do what they say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cloud_sync::settings::{MANUAL, ManualDefault, PREFIX, Settings};
use serde_json::Value;

use crate::tools::{said, script, zip_entries};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

fn template() -> Value {
    serde_json::from_str(&read("infra/main.json")).unwrap()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// The second word of every line that begins with `keyword`.
fn declared<'a>(bicep: &'a str, keyword: &str) -> BTreeSet<&'a str> {
    bicep
        .lines()
        .filter_map(|line| line.strip_prefix(keyword)?.split_whitespace().next())
        .collect()
}

#[test]
fn the_template_declares_what_the_bicep_file_declares() {
    let (bicep, arm) = (read("infra/main.bicep"), template());
    for (keyword, section) in [
        ("param ", "parameters"),
        ("var ", "variables"),
        ("resource ", "resources"),
        ("output ", "outputs"),
    ] {
        assert_eq!(declared(&bicep, keyword), keys(&arm[section]), "{section}");
    }
    let resources: BTreeMap<&str, String> = bicep
        .lines()
        .filter_map(|line| {
            let mut words = line.strip_prefix("resource ")?.split_whitespace();
            let symbol = words.next()?;
            Some((symbol, words.next()?.trim_matches('\'').to_owned()))
        })
        .collect();
    for (symbol, resource) in arm["resources"].as_object().unwrap() {
        let text = |member: &str| resource[member].as_str().unwrap();
        let kind = format!("{}@{}", text("type"), text("apiVersion"));
        assert_eq!(resources[symbol.as_str()], kind);
        let conditional = bicep.contains(&format!("resource {symbol} '{kind}' = if ("));
        assert_eq!(conditional, resource["condition"].is_string(), "{symbol}");
    }
}

/// The same to the letter; where there is no Python the test above has to do.
#[test]
fn the_template_is_what_the_bicep_file_says() {
    let Some(mut translate) = script("bicep-to-arm") else {
        return;
    };
    let output = translate.arg("--check").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// What the template sets, by name without prefix, but the client id, which is made while deploying.
fn app_settings() -> BTreeMap<String, String> {
    serde_json::from_value(template()["variables"]["defaults"].clone()).unwrap()
}

#[test]
fn the_app_has_every_setting_and_no_other() {
    let mut named: BTreeSet<String> = app_settings().into_keys().collect();
    let app = template()["resources"]["app"]["properties"]["siteConfig"]["appSettings"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(app.contains("format('CLOUD_SYNC__{0}', lambdaVariables('s').key)"));
    assert!(app.contains("'CLOUD_SYNC__MANAGED_IDENTITY_CLIENT_ID'"));
    named.insert("MANAGED_IDENTITY_CLIENT_ID".to_owned());
    let known: BTreeSet<String> = MANUAL.iter().map(|entry| entry.name.to_owned()).collect();
    assert_eq!(named, known);
    // What host.json and the bindings refer to, and what Flex Consumption refuses.
    for name in ["SYNC_SCHEDULE", "AzureWebJobsStorage__accountName"] {
        assert!(app.contains(&format!("'{name}'")), "{name}");
    }
    for name in [
        "FUNCTIONS_WORKER_RUNTIME",
        "FUNCTIONS_EXTENSION_VERSION",
        "WEBSITE_RUN_FROM_PACKAGE",
    ] {
        assert!(!read("infra/main.bicep").contains(name), "{name}");
    }
}

#[test]
fn the_app_has_the_defaults_of_the_program() {
    let settings = app_settings();
    for entry in MANUAL {
        let Some(value) = settings.get(entry.name) else {
            continue;
        };
        if value.starts_with('[') || value.starts_with("@Microsoft.KeyVault(") {
            continue;
        }
        match entry.default {
            ManualDefault::Value(default) => assert_eq!(value, default, "{}", entry.name),
            ManualDefault::Nothing => assert_eq!(value, "", "{}", entry.name),
            ManualDefault::Required => panic!("{} has a fixed value", entry.name),
        }
    }
    let defaults = template()["parameters"].clone();
    assert_eq!(defaults["performSync"]["defaultValue"], "false");
    assert_eq!(
        settings["PERFORM_SYNC"], "[parameters('performSync')]",
        "R28"
    );
}

#[test]
fn the_manual_tells_the_programs_own_defaults() {
    let lookup = |told: bool| {
        move |name: &str| {
            let bare = name.strip_prefix(PREFIX)?;
            let entry = MANUAL.iter().find(|entry| entry.name == bare)?;
            match (entry.default, bare) {
                (ManualDefault::Required, "CLAIMED_DOMAINS") => Some("corp.example".to_owned()),
                (ManualDefault::Required, "SSO_ACCOUNT_KEY") => Some("object_id".to_owned()),
                (ManualDefault::Required, _) => Some("k3y".to_owned()),
                (ManualDefault::Value(text), _) if told => Some(text.to_owned()),
                (ManualDefault::Value(_) | ManualDefault::Nothing, _) => None,
            }
        }
    };
    let silent = Settings::read(lookup(false), &[]).unwrap();
    let told = Settings::read(lookup(true), &[]).unwrap();
    assert_eq!(format!("{told:?}"), format!("{silent:?}"));
    let missing = Settings::read(|_| None, &[]).unwrap_err();
    let missing: BTreeSet<&str> = missing
        .problems()
        .iter()
        .filter_map(|problem| problem.name.strip_prefix(PREFIX))
        .collect();
    let required: BTreeSet<&str> = MANUAL
        .iter()
        .filter(|entry| entry.default == ManualDefault::Required)
        .map(|entry| entry.name)
        .collect();
    assert_eq!(missing, required);
}

#[test]
fn nothing_is_open_that_need_not_be() {
    let resources = template()["resources"].clone();
    let storage = &resources["storage"]["properties"];
    assert_eq!(storage["allowSharedKeyAccess"], false);
    assert_eq!(storage["allowBlobPublicAccess"], false);
    assert_eq!(storage["minimumTlsVersion"], "TLS1_2");
    assert_eq!(storage["supportsHttpsTrafficOnly"], true);
    let vault = &resources["vault"]["properties"];
    assert_eq!(vault["enableRbacAuthorization"], true);
    assert_eq!(vault["enablePurgeProtection"], true);
    assert_eq!(
        resources["insights"]["properties"]["DisableLocalAuth"],
        true
    );
    let app = &resources["app"]["properties"];
    assert_eq!(app["httpsOnly"], true);
    assert_eq!(app["functionAppConfig"]["runtime"]["name"], "custom");
    assert_eq!(app["functionAppConfig"]["runtime"]["version"], "1.0");
    for policy in ["noFtpPassword", "noScmPassword"] {
        assert_eq!(resources[policy]["properties"]["allow"], false, "{policy}");
    }
    let names = [
        "cloud-sync-runs",
        "cloud-sync",
        "[variables('packageContainer')]",
    ];
    for (symbol, name) in ["runs", "state", "packages"].into_iter().zip(names) {
        let made = resources[symbol]["name"].as_str().unwrap();
        assert!(made.contains(name.trim_matches(['[', ']'])), "{made}");
    }
}

/// Each role with what it is given on: no more than the table of `docs/security.md` has, and nothing on the resource group.
#[test]
fn roles_are_those_of_the_page_on_security() {
    let named = [
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
    let template = template();
    for (symbol, _, id) in named {
        assert_eq!(template["variables"]["roles"][symbol], id);
    }
    let resources = template["resources"].as_object().unwrap().values();
    let assignments =
        resources.filter(|it| it["type"] == "Microsoft.Authorization/roleAssignments");
    let given: BTreeSet<(&str, &str)> = assignments
        .map(|assignment| {
            let role = assignment["properties"]["roleDefinitionId"]
                .as_str()
                .unwrap();
            let role = named
                .iter()
                .find(|(symbol, ..)| role.contains(&format!(".{symbol})")));
            let kinds = [
                ("Microsoft.Storage/storageAccounts'", "its storage account"),
                ("Microsoft.KeyVault/vaults'", "its vault"),
                ("Microsoft.Insights/components'", "its Application Insights"),
            ];
            let scope = assignment["scope"].as_str().unwrap();
            let on = kinds
                .iter()
                .find(|(kind, _)| scope.starts_with(&format!("[resourceId('{kind}")));
            (role.expect("a known role").1, on.expect("a known scope").1)
        })
        .collect();
    let page = read("docs/security.md");
    let (_, table) = page.split_once("## Least privilege").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let documented: BTreeSet<(&str, &str)> = table
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let (may, on) = (*cells.get(2)?, *cells.get(3)?);
            named
                .iter()
                .any(|(_, name, _)| *name == may)
                .then_some((may, on))
        })
        .collect();
    assert_eq!(given, documented);
}

#[test]
fn alerts_and_workbook_use_the_queries_of_this_folder() {
    let resources = template()["resources"].clone();
    for (symbol, file) in [
        ("runFailed", "run-failed"),
        ("noSuccess", "no-success"),
        ("held", "held"),
    ] {
        let query = &resources[symbol]["properties"]["criteria"]["allOf"][0]["query"];
        assert_eq!(
            query.as_str().unwrap(),
            read(&format!("infra/queries/{file}.kql"))
        );
    }
    // R28: what the program logs of a success, and of nothing else.
    let query = read("infra/queries/no-success.kql");
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
        ["runs", "held", "run-failed", "invocations"]
            .map(|file| read(&format!("infra/queries/{file}.kql")))
    );
}

/// `infra/grant-exchange.sh` with an Azure CLI of our own.
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
        // Nothing but what the script needs, and certainly no pwsh.
        for tool in ["bash", "env", "cat", "dirname", "touch"] {
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
            .output()
            .unwrap()
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
    let grant = Grant::new("principal-1\n");
    fs::write(
        grant.state.path().join("roles"),
        "29232cdf-9323-42fd-ade2-1d097af3e4de\n",
    )
    .unwrap();
    let check = grant.run("--principal-id principal-1 --role none --check");
    assert!(said(&check).contains("excess   Entra role Exchange Administrator"));
}

#[test]
fn a_grant_that_cannot_be_made_says_why() {
    for (identities, arguments, code, why) in [
        ("\n", APP, 1, "has no identity"),
        ("principal-1\nprincipal-2\n", APP, 1, "several identities"),
        ("principal-1\n", "--app app", 2, "say which identity"),
        ("principal-1\n", "--app", 2, "needs a value"),
        ("principal-1\n", "--force", 2, "not understood: --force"),
        (
            "principal-1\n",
            "--principal-id x --role owner",
            2,
            "--role is",
        ),
        (
            "principal-1\n",
            "--principal-id nobody",
            1,
            "cannot read what nobody has been granted",
        ),
    ] {
        let output = Grant::new(identities).run(arguments);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(why), "{}", said(&output));
    }
    let refused = Grant::new("principal-1\n");
    fs::write(refused.state.path().join("refuse"), "").unwrap();
    let output = refused.run(APP);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("cannot grant the app role"));
}

/// Only where there is Python; a handler of our own stands for the build, which takes minutes.
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
