//! The generated pages about settings and findings. `UPDATE_DOCS=1 cargo test --test it docs` updates them.

use std::{env, fmt::Write as _, fs};

use cloud_sync::{
    domain::{guard::Class, note::Code},
    otlp,
    render::findings,
    settings::{PREFIX, SETTINGS, SettingDefault},
};
use serde_json::json;

use super::root;

/// The Functions host reads it, so it has no prefix.
const SCHEDULE: (&str, &str) = ("SYNC_SCHEDULE", "0 0 2 * * *");

const SCHEDULE_WHAT: &str = "When the timer runs; `GET /check` prints the next three times. A TimeSpan is an interval, not a time: `02:00` is every two \
     hours; it needs an App Service plan. The only one without prefix: the \
     host reads it, and cannot read names with `__` under `func start`.";

#[test]
fn what_is_written_about_settings_and_findings_is_up_to_date() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let start = readme.find("| name | default | |\n").unwrap();
    let end = start + readme[start..].find("\n\n").unwrap() + 1;
    let readme_now = format!("{}{}{}", &readme[..start], readme_table(), &readme[end..]);
    for (file, text) in [
        ("docs/settings.md", page()),
        ("docs/findings.md", findings::page()),
        ("README.md", readme_now),
        ("local.settings.json.template", template()),
    ] {
        let path = root().join(file);
        if env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert!(
            fs::read_to_string(&path).unwrap() == text,
            "{file} is out of date: UPDATE_DOCS=1 cargo test --test it docs"
        );
    }
}

#[test]
fn no_text_about_a_setting_breaks_a_table() {
    for setting in SETTINGS {
        assert!(!setting.form.contains('|') && !setting.what.contains('|'));
    }
}

fn default(default: SettingDefault) -> String {
    match default {
        SettingDefault::Required(_) => "**required**".to_owned(),
        SettingDefault::Nothing => "none".to_owned(),
        SettingDefault::Value(text) => format!("`{text}`"),
    }
}

/// The settings in the README. All others have a suitable default.
const IN_README: [&str; 6] = [
    "ZIVVER_API_KEY",
    "CLAIMED_DOMAINS",
    "SSO_ACCOUNT_KEY",
    "PERFORM_SYNC",
    "TARGET_FILTER",
    "SOURCE_FILTER",
];

fn readme_table() -> String {
    let mut table = "| name | default | |\n|---|---|---|\n".to_owned();
    for setting in SETTINGS.iter().filter(|it| IN_README.contains(&it.name)) {
        let default = default(setting.default);
        let rules = match setting.rules {
            "" => String::new(),
            rules => format!(" ({rules})"),
        };
        writeln!(
            table,
            "| `{}` | {default} | {}{rules} |",
            setting.name, setting.what
        )
        .unwrap();
    }
    assert_eq!(table.lines().count(), IN_README.len() + 2);
    table
}

/// Each kind of finding has a section, to which the code in a report links.
#[test]
fn every_finding_is_explained() {
    let page = findings::page();
    let classes = Class::ALL.into_iter().chain([Class::Undone]);
    let classes = classes.map(|class| serde_json::to_value(class).unwrap());
    let codes = Code::ALL
        .iter()
        .map(|code| serde_json::to_value(code).unwrap());
    for kind in classes.chain(codes) {
        let heading = format!("\n### {}\n", kind.as_str().unwrap());
        assert_eq!(page.matches(&heading).count(), 1, "{heading}");
    }
    for code in Code::ALL {
        let explained = findings::of_code(*code);
        assert!(explained.meaning.ends_with('.') && explained.action.ends_with('.'));
        // If a person must act, the section says how.
        let is_idle = explained.action == "Nothing.";
        assert!(!(code.needs_attention() && is_idle), "{code:?}");
    }
}

fn template() -> String {
    let mut values = vec![
        ("FUNCTIONS_WORKER_RUNTIME".to_owned(), "custom"),
        (
            "AzureWebJobsStorage".to_owned(),
            "UseDevelopmentStorage=true",
        ),
        (SCHEDULE.0.to_owned(), SCHEDULE.1),
    ];
    values.extend(SETTINGS.iter().map(|setting| {
        let value = match setting.default {
            SettingDefault::Required(_) | SettingDefault::Nothing => "",
            SettingDefault::Value(text) => text,
        };
        (format!("{PREFIX}{}", setting.name), value)
    }));
    let lines: Vec<String> = values
        .iter()
        .map(|(name, value)| format!("    {}: {}", json!(name), json!(value)))
        .collect();
    format!(
        "{{\n  \"IsEncrypted\": false,\n  \"Values\": {{\n{}\n  }}\n}}\n",
        lines.join(",\n")
    )
}

/// `docs/settings.md`.
fn page() -> String {
    let mut page = format!(
        "# Settings\n\n\
         Environment variables; in Azure these are the app settings. Each name below begins with `{PREFIX}`, so `STATE` is \
         `{PREFIX}STATE`. A blank value is the same as none. All problems are reported together, each with its remedy; a \
         name that looks like one of these and is none is reported too.\n\n\
         | name | default | form | what it does | rules |\n|---|---|---|---|---|\n"
    );
    for setting in SETTINGS {
        writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            setting.name,
            default(setting.default),
            setting.form,
            setting.what,
            setting.rules
        )
        .unwrap();
    }
    let (name, value) = SCHEDULE;
    writeln!(
        page,
        "| `{name}` | `{value}` | NCRONTAB of six fields, or of five without seconds, in UTC; or a TimeSpan | {SCHEDULE_WHAT} | |"
    )
    .unwrap();
    page.push_str(
        "\nIn Azure the template also sets `DEPLOYED_SETTINGS`, a JSON object of all that it deployed. `GET /check` names what differs \
         from it, which the next deployment resets ([settings that last](deploy.md#settings-that-last)). Leave it as it is.\n",
    );
    page.push_str(
        "\n## Traces and metrics\n\n\
         OpenTelemetry's own variables, without prefix; see [operations](operations.md#traces-and-metrics). What is wrong with \
         them is a warning in the log, and runs continue.\n\n\
         | name | what it does |\n|---|---|\n",
    );
    for (name, what) in otlp::NAMES {
        writeln!(page, "| `{name}` | {what} |").unwrap();
    }
    page.push_str(
        "\n## Forms\n\n\
         - **list**: separated by commas, `a, b`, or a JSON array, `[\"a\", \"b\"]`. Quotes and empty entries are forgiven.\n\
         - **limit**: a count `25`, a percentage `5%`, both as `5%,min 5` (the larger of the two), or `100%` for no limit.\n\
         - **duration**: `90s`, `9m`, `1h30m`; at most 24 hours.\n\
         - **Key Vault**: any value may be a reference, `@Microsoft.KeyVault(VaultName=…;SecretName=…)`. One that the \
         platform could not resolve is reported as such, and no run starts.\n",
    );
    page
}
