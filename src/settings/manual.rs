//! What is said about each setting: the source of `docs/settings.md`, and by tests of every template that names settings.

use std::fmt::Write as _;

use super::PREFIX;

/// One setting, as the documentation describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManualEntry {
    /// Without prefix.
    pub name: &'static str,
    pub default: ManualDefault,
    /// What may be written.
    pub form: &'static str,
    /// What it does, in one or two sentences; Markdown.
    pub what: &'static str,
    /// The rules that it belongs to; may be empty.
    pub rules: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManualDefault {
    /// The program does not start a run without it.
    Required,
    /// Blank is the same as not set.
    Nothing,
    Value(&'static str),
}

use ManualDefault::{Nothing, Required, Value};

const fn entry(
    name: &'static str,
    default: ManualDefault,
    form: &'static str,
    rules: &'static str,
    what: &'static str,
) -> ManualEntry {
    ManualEntry {
        name,
        default,
        form,
        what,
        rules,
    }
}

/// Every setting with the prefix, in the order of the documentation.
pub const MANUAL: [ManualEntry; 36] = [
    entry(
        "ZIVVER_API_KEY",
        Required,
        "text",
        "",
        "Secret. An API key made in Zivver's administration, under API keys. In Azure it is a Key Vault reference.",
    ),
    entry(
        "ZIVVER_API_URL",
        Value("https://app.zivver.com/api"),
        "https URL",
        "",
        "Where Zivver's SCIM interface is, without `/scim/v2`. http is accepted for this machine only.",
    ),
    entry(
        "CLAIMED_DOMAINS",
        Required,
        "list of domains",
        "R13",
        "The domains that the organisation claimed in Zivver. Compared whole, so sub-domains are listed by themselves. \
         Everything outside is left as it is.",
    ),
    entry(
        "TARGET_FILTER",
        Nothing,
        "list of texts",
        "R15",
        "Accounts that are never touched. A text with `*` fits the whole address, any other a part of it. Reports say how \
         many addresses each entry matches.",
    ),
    entry(
        "SOURCE_FILTER",
        Nothing,
        "list of groups",
        "R14",
        "Object ids or addresses of groups: only mailboxes in them, at any depth, are synchronised. One that leaves is \
         treated as gone.",
    ),
    entry(
        "PERFORM_SYNC",
        Value("false"),
        "`false`, `on-demand`, `true`",
        "R28",
        "Who may write: nobody; only a person who starts a run as `apply`; the schedule too.",
    ),
    entry(
        "ACCESS_TOKEN",
        Nothing,
        "bearer token",
        "",
        "Secret. A token for Exchange Online, in place of an identity. For a computer of your own; it ends within a day.",
    ),
    entry(
        "MANAGED_IDENTITY_CLIENT_ID",
        Nothing,
        "GUID",
        "",
        "The client id of a user-assigned identity. Without it the app's own (system-assigned) identity is used.",
    ),
    entry(
        "EXO_URL",
        Value("https://outlook.office365.com"),
        "https URL",
        "",
        "Exchange Online. Another host for a national cloud.",
    ),
    entry(
        "EXO_PERMISSIONS",
        Value("get"),
        "`get`, `batch`",
        "R11",
        "How mailbox permissions are read: one request a mailbox, or several in one batch.",
    ),
    entry(
        "EXO_CONCURRENCY",
        Value("16"),
        "number, 1 to 100",
        "",
        "The most requests in flight towards Exchange Online. The limiter finds its own level below it. Fewer where the process may open too few files.",
    ),
    entry(
        "SSO_ACCOUNT_KEY",
        Required,
        "`object_id`, `user_principal_name`, `primary_address`, `omit`",
        "R23",
        "The source of the claim `ZivverAccountKey` in Entra, by which people sign in to Zivver. `omit` if none of these is its source.",
    ),
    entry(
        "MIN_SOURCE_RATIO",
        Value("0.5"),
        "number, 0 to 1",
        "R2",
        "Below this share of the mailboxes of the last good run, everything that takes access away is held.",
    ),
    entry(
        "MIN_TARGET_RATIO",
        Value("0.5"),
        "number, 0 to 1",
        "R2",
        "Below this share of the accounts that earlier runs saw, the lists of Zivver are not believed and the run fails; `0` for one apply accepts that accounts were deleted.",
    ),
    entry(
        "MAX_SUSPEND",
        Value("5%,min 5"),
        "limit",
        "R26",
        "Suspended users and emptied functional accounts in 24 hours; percentages are of active accounts.",
    ),
    entry(
        "MAX_DELEGATE_REMOVALS",
        Value("10%,min 20"),
        "limit",
        "R26",
        "Removed delegates and members in 24 hours; percentages are of delegations.",
    ),
    entry(
        "MAX_ALIAS_REMOVALS",
        Value("10%,min 20"),
        "limit",
        "R26",
        "Removed aliases in 24 hours; percentages are of aliases.",
    ),
    entry(
        "MAX_RENAMES",
        Value("5%,min 5"),
        "limit",
        "R26",
        "Users under a new address in 24 hours; percentages are of user accounts.",
    ),
    entry(
        "MAX_NAME_CHANGES",
        Value("20%,min 20"),
        "limit",
        "R26",
        "Changed display names in 24 hours; percentages are of accounts.",
    ),
    entry(
        "MAX_STRAYS",
        Value("0"),
        "limit",
        "R19, R26",
        "Suspended accounts that never had a mailbox: administrators, suppliers, accounts made by hand.",
    ),
    entry(
        "MAX_IDENTITY_CHANGES",
        Value("0"),
        "limit",
        "R16, R17, R26",
        "Accounts that would go to another person, as far as can be told: namesakes, re-created users.",
    ),
    entry(
        "MAX_CREATES",
        Value("20%,min 25"),
        "limit",
        "R26",
        "Accounts created in 24 hours; percentages are of active accounts.",
    ),
    entry(
        "MAX_SIGN_IN_KEY_CHANGES",
        Value("0"),
        "limit",
        "R23, R26",
        "Users whose sign-in key is written for the first time, which may replace a key that works. Approve it once for each account.",
    ),
    entry(
        "MAX_CONSECUTIVE_FAILURES",
        Value("20"),
        "number, 1 or more",
        "R32",
        "After so many transport errors or server errors in a row the run stops.",
    ),
    entry(
        "TIME_BUDGET",
        Value("9m"),
        "duration",
        "R34",
        "How long one invocation works before it saves and hands on. Keep it below `functionTimeout` in `host.json`.",
    ),
    entry(
        "ZIVVER_RATE",
        Value("50/10s"),
        "calls/duration, `unlimited`",
        "R30",
        "How many calls Zivver accepts in which time. `unlimited` is for tests.",
    ),
    entry(
        "STATE",
        Nothing,
        "`az://container`, `file:///path`, `memory:`",
        "R29",
        "Where runs, journal and lock are kept. Without it: the container `cloud-sync` of the storage account in \
         `AzureWebJobsStorage`, else the folder `.cloud-sync`.",
    ),
    entry(
        "LOCK_LEASE",
        Value("60s"),
        "duration, `4s` to `10m`",
        "R29",
        "How long a run that died keeps the next one waiting.",
    ),
    entry(
        "KEEP_RUNS",
        Value("90"),
        "number, 1 or more",
        "R35",
        "How many runs that wrote nothing, such as previews, are kept with their reports.",
    ),
    entry(
        "KEEP_APPLIED",
        Value("400d"),
        "days, `1d` to `3650d`",
        "R35",
        "How long a run that wrote is kept with its report and journal. Only as long can it be undone.",
    ),
    entry(
        "NOTIFY_URL",
        Nothing,
        "https URL",
        "",
        "Secret, since such addresses usually hold a key. A webhook that hears of every change of state.",
    ),
    entry(
        "SMTP_URL",
        Nothing,
        "`smtps://user:password@host:465`, `smtp://…:587`",
        "",
        "Secret. A mail server that sends the report of each run as a page: `smtps` has TLS from the start, `smtp` changes to \
         it (STARTTLS), always except on this machine. User and password are percent-encoded.",
    ),
    entry(
        "SMTP_FROM",
        Nothing,
        "address",
        "",
        "The sender of these mails; needed with `SMTP_URL`.",
    ),
    entry(
        "SMTP_TO",
        Nothing,
        "list of addresses",
        "",
        "Who gets them; needed with `SMTP_URL`. The report names accounts.",
    ),
    entry(
        "LOG_LEVEL",
        Value("info"),
        "`error`, `warn`, `info`, `debug`, `trace`",
        "",
        "What is logged. The command line shows warnings only unless this is set.",
    ),
    entry(
        "LOG_DIR",
        Nothing,
        "folder",
        "",
        "Daily log files besides the console, the last 14 of them. For a computer of your own.",
    ),
];

/// Read by the Functions host, so it has no prefix.
const SCHEDULE: &str = "\
| `SYNC_SCHEDULE` | `0 0 2 * * *` | NCRONTAB, six fields, UTC | When the timer runs; `check` says the next three times. The only one without prefix: the host \
reads it, and cannot read names with `__` under `func start`. | |\n";

/// `docs/settings.md`.
pub fn manual() -> String {
    let mut page = format!(
        "# Settings\n\n\
         Environment variables; in Azure these are the app settings. Each name below begins with `{PREFIX}`, so `STATE` is \
         `{PREFIX}STATE`. A blank value is the same as none. All problems are reported together, each with its remedy; a \
         name that looks like one of these and is none is reported too.\n\n\
         | name | default | form | what it does | rules |\n|---|---|---|---|---|\n"
    );
    for entry in MANUAL {
        let default = match entry.default {
            Required => "**required**".to_owned(),
            Nothing => "none".to_owned(),
            Value(text) => format!("`{text}`"),
        };
        let ManualEntry {
            name,
            form,
            what,
            rules,
            ..
        } = entry;
        writeln!(page, "| `{name}` | {default} | {form} | {what} | {rules} |")
            .expect("writing to a string does not fail");
    }
    page.push_str(SCHEDULE);
    page.push_str(
        "\nIn Azure the template also sets `DEPLOYED_SETTINGS`, a JSON object of all that it deployed. `check` names what differs \
         from it, which the next deployment resets ([settings that last](deploy.md#settings-that-last)). Leave it as it is.\n",
    );
    page.push_str(
        "\n## Traces and metrics\n\n\
         OpenTelemetry's own variables, without prefix; see [operations](operations.md#traces-and-metrics). What is wrong with \
         them is a warning in the log, and runs go on.\n\n\
         | name | what it does |\n|---|---|\n",
    );
    for (name, what) in crate::otlp::NAMES {
        writeln!(page, "| `{name}` | {what} |").expect("writing to a string does not fail");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{LOG_NAMES, NAMES};

    #[test]
    fn every_setting_is_described_in_order() {
        let described: Vec<&str> = MANUAL.iter().map(|entry| entry.name).collect();
        let known: Vec<&str> = NAMES.iter().chain(&LOG_NAMES).copied().collect();
        assert_eq!(described, known);
        for entry in MANUAL {
            assert!(!entry.form.contains('|') && !entry.what.contains('|'));
        }
    }
}
