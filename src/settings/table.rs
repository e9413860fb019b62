//! All settings: name, default, parser and description. This table is the source for reading, `docs/settings.md`, the
//! table in README.md, the template of local settings and the check of `infra/main.bicep`.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use url::Url;

use super::{
    ClaimedDomains, Limit, LogLevel, PerformSync, Rate, Secret, SsoAccountKey, Strategy,
    TargetFilter,
    value::{self, Parsed},
};
use domain::{actor::Role, address::SmtpAddress, mailing::MailWhen};

/// One setting, as the documentation describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The name without prefix.
    pub name: &'static str,
    pub default: SettingDefault,
    /// The valid values.
    pub form: &'static str,
    /// The rules that use it; may be empty.
    pub rules: &'static str,
    /// What it does, in one or two sentences; Markdown.
    pub what: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingDefault {
    /// Without it the program starts no run. The text says what to set it to.
    Required(&'static str),
    /// Blank is the same as not set.
    Nothing,
    Value(&'static str),
}

use SettingDefault::{Nothing, Required, Value};

/// A setting with the parser of its text.
pub(super) struct Typed<T> {
    pub(super) setting: Setting,
    pub(super) parse: fn(&str) -> Parsed<T>,
}

impl<T> Typed<T> {
    /// The default as a value; `None` if there is none.
    pub(super) fn default_value(&self) -> Option<T> {
        match self.setting.default {
            Value(text) => (self.parse)(text).ok(),
            Required(_) | Nothing => None,
        }
    }
}

macro_rules! settings {
    ($($name:ident: $type:ty = $default:expr, $parse:expr, $form:literal, $rules:literal, $what:literal;)*) => {
        $(pub(super) const $name: Typed<$type> = Typed {
            setting: Setting {
                name: stringify!($name),
                default: $default,
                form: $form,
                rules: $rules,
                what: $what,
            },
            parse: $parse,
        };)*

        /// All settings, in the order of the documentation.
        pub const SETTINGS: &[Setting] = &[$($name.setting),*];
    };
}

settings! {
    ZIVVER_API_KEY: Secret = Required("an API key made in the Zivver WebApp (Organization settings, Integrations, API keys)"), value::header_secret,
        "text", "",
        "Secret. An API key made in the Zivver WebApp (Organization settings, Integrations, API keys). In Azure it is a Key Vault reference.";
    ZIVVER_API_URL: Url = Value("https://app.zivver.com/api"), value::service_url,
        "https URL", "",
        "Where Zivver's SCIM interface is, without `/scim/v2`. http is accepted for this machine only.";
    CLAIMED_DOMAINS: ClaimedDomains = Required("the domains that the organisation claimed in Zivver, such as `corp.example, corp.test`"), value::domains,
        "list of domains", "R13",
        "The domains that the organisation claimed in Zivver. Compared whole, so sub-domains are listed by themselves. \
         Everything outside is left as it is.";
    TARGET_FILTER: TargetFilter = Nothing, |text| value::list(text).map(TargetFilter::new),
        "list of texts", "R15",
        "Accounts that are never touched. A text with `*` fits the whole address, any other a part of it. Reports say how \
         many addresses each entry matches.";
    SOURCE_FILTER: BTreeSet<String> = Nothing, value::groups,
        "list of object ids and addresses", "R14",
        "Groups by object id or address, not by name: only mailboxes in them, at any depth, are synchronised. One that leaves is \
         treated as gone.";
    PERFORM_SYNC: PerformSync = Value("false"), value::perform_sync,
        "`false`, `on-demand`, `true`", "R28",
        "Which runs may write: none; only those that a person starts as `apply`; those of the schedule too.";
    KEY_ROLE: Role = Value("approver"), value::role,
        "`reader`, `operator`, `approver`", "R41",
        "What a caller may do who gives a function key and does not sign in: look; start and stop runs too; approve and reject too. \
         Who signs in has the roles that Entra gives.";
    FOUR_EYES: bool = Value("false"), value::boolean,
        "`false`, `true`", "R41",
        "Whether another person than the one whose run held a set must approve it. It needs sign-in with Microsoft Entra; no approval \
         by a function key or on the command line then counts.";
    ACCESS_TOKEN: Secret = Nothing, value::bearer_token,
        "bearer token", "",
        "Secret. A token for Exchange Online, in place of an identity. For a computer of your own; it ends within a day.";
    MANAGED_IDENTITY_CLIENT_ID: String = Nothing, value::client_id,
        "GUID", "",
        "The client id of a user-assigned identity. Without it the app's own (system-assigned) identity is used.";
    EXO_URL: Url = Value("https://outlook.office365.com"), value::origin,
        "https URL", "",
        "Exchange Online. Another host for a national cloud.";
    EXO_PERMISSIONS: Strategy = Value("get"), value::exo_permissions,
        "`get`, `batch`", "R11",
        "How mailbox permissions are read: one request a mailbox, or several in one batch.";
    EXO_CONCURRENCY: usize = Value("16"), |text| value::number(text, 1, 100),
        "number, 1 to 100", "",
        "The most requests in flight towards Exchange Online. The limiter finds its own level below it. Fewer where the process may open too few files.";
    SSO_ACCOUNT_KEY: SsoAccountKey = Required("`object_id`, `user_principal_name` or `primary_address`, whichever Entra sends as the claim `ZivverAccountKey`; `omit` if people do not sign in so"), value::sso_account_key,
        "`object_id`, `user_principal_name`, `primary_address`, `omit`", "R23",
        "The source of the claim `ZivverAccountKey` in Entra, by which people sign in to Zivver. `omit` if none of these is its source.";
    MIN_SOURCE_RATIO: f64 = Value("0.5"), value::ratio,
        "number, 0 to 1", "R2",
        "Below this share of the mailboxes of the last good run, everything that takes access away is held.";
    MIN_TARGET_RATIO: f64 = Value("0.5"), value::ratio,
        "number, 0 to 1", "R2",
        "Below this share of the accounts that earlier runs saw, the lists of Zivver are not believed and the run fails; `0` for one apply accepts that accounts were deleted.";
    MAX_SUSPEND: Limit = Value("5%,min 5"), value::limit,
        "limit", "R26",
        "Suspended users and emptied functional accounts in 24 hours; percentages are of active accounts.";
    MAX_DELEGATE_REMOVALS: Limit = Value("10%,min 20"), value::limit,
        "limit", "R26",
        "Removed delegates and members in 24 hours; percentages are of delegations.";
    MAX_ALIAS_REMOVALS: Limit = Value("10%,min 20"), value::limit,
        "limit", "R26",
        "Removed aliases in 24 hours; percentages are of aliases.";
    MAX_RENAMES: Limit = Value("5%,min 5"), value::limit,
        "limit", "R26",
        "Users under a new address in 24 hours; percentages are of user accounts.";
    MAX_NAME_CHANGES: Limit = Value("20%,min 20"), value::limit,
        "limit", "R26",
        "Changed display names in 24 hours; percentages are of accounts.";
    MAX_STRAYS: Limit = Value("0"), value::limit,
        "limit", "R19, R26",
        "Suspended accounts that never had a mailbox: administrators, suppliers, accounts made by hand.";
    MAX_IDENTITY_CHANGES: Limit = Value("0"), value::limit,
        "limit", "R16, R17, R26",
        "Accounts that would go to another person, as far as known: namesakes, re-created users.";
    MAX_CREATES: Limit = Value("20%,min 25"), value::limit,
        "limit", "R26",
        "Accounts created in 24 hours; percentages are of active accounts.";
    MAX_SIGN_IN_KEY_CHANGES: Limit = Value("0"), value::limit,
        "limit", "R23, R26",
        "Users whose sign-in key is written for the first time, which may replace a key that works. Approve it once for each account.";
    MAX_CONSECUTIVE_FAILURES: u32 = Value("20"), |text| value::number(text, 1, 1_000_000),
        "number, 1 or more", "R32",
        "After so many transport errors or server errors in a row the run stops.";
    FULL_EVERY: Duration = Value("20h"), value::long_duration,
        "duration, up to `168h`", "R45",
        "Where `SYNC_SCHEDULE` is more frequent than this, a run of the timer that comes sooner after the last successful full run is a \
         quick one: it reads no permissions.";
    TIME_BUDGET: Duration = Value("9m"), value::duration,
        "duration", "R34",
        "How long one invocation works before it saves its work and hands over. Keep it below `functionTimeout` in `host.json`, which can be at most 10 minutes in a Consumption plan.";
    ZIVVER_RATE: Rate = Value("50/10s"), value::rate,
        "calls/duration, `unlimited`", "R30",
        "How many calls Zivver accepts in which time. `unlimited` is for tests.";
    STATE: String = Nothing, |text| Ok(value::unquoted(text).to_owned()),
        "`az://container`, `file:///path`, `memory:`", "R29",
        "Where runs, journal and lock are kept. Without it: the container `cloud-sync` of the storage account in \
         `AzureWebJobsStorage`, else the folder `.cloud-sync`.";
    LOCK_LEASE: Duration = Value("60s"), value::lease,
        "duration, `4s` to `10m`", "R29",
        "How long a run that died keeps the next one waiting.";
    KEEP_RUNS: u32 = Value("90"), |text| value::number(text, 1, 100_000),
        "number, 1 or more", "R35",
        "How many runs that wrote nothing, such as previews, are kept with their reports.";
    KEEP_APPLIED: Duration = Value("400d"), value::days,
        "days, `1d` to `3650d`", "R35",
        "How long a run that wrote is kept with its report and journal. Only as long can it be undone.";
    NOTIFY_URL: Secret<Url> = Nothing, value::webhook,
        "https URL", "",
        "Secret, since such addresses usually hold a key. A webhook that hears of every change of state.";
    DASHBOARD_URL: Url = Nothing, value::service_url,
        "https URL", "",
        "Where people open the dashboard, `https://host/api/SyncHttp`; messages link to it. Without it: the name under which Azure \
         serves the app. Never with a function key: all who get a message could use it.";
    MAIL_FROM: SmtpAddress = Nothing, value::mail_address,
        "address", "",
        "The sender of the reports of runs, which go out by Microsoft Graph with the app's identity, or by the server in `SMTP_URL`. \
         Without it no mail is sent.";
    MAIL_TO: Vec<SmtpAddress> = Nothing, value::mail_addresses,
        "list of addresses", "",
        "Who gets them; needed with `MAIL_FROM`. The report names accounts.";
    MAIL_WHEN: MailWhen = Value("each-run"), value::mail_when,
        "`each-run`, `changes`, `attention`", "",
        "After which runs a mail is sent: each; those that change something, leave changes or need a person; those that need a \
         person, once a day as long as the same waits.";
    GRAPH_URL: Url = Value("https://graph.microsoft.com"), value::origin,
        "https URL", "",
        "Microsoft Graph. Another host for a national cloud.";
    SMTP_URL: Secret<Url> = Nothing, value::mail_server,
        "`smtps://user:password@host:465`, `smtp://…:587`", "",
        "Secret. A mail server that sends the mails in place of Microsoft Graph: `smtps` has TLS from the start, `smtp` changes to \
         it (STARTTLS), always except on this machine. User and password are percent-encoded.";
    LOG_LEVEL: LogLevel = Value("info"), value::log_level,
        "`error`, `warn`, `info`, `debug`, `trace`", "",
        "What is logged. The command line shows warnings only unless this is set.";
    LOG_DIR: PathBuf = Nothing, |text| Ok(value::unquoted(text).into()),
        "folder", "",
        "Daily log files besides the console, the last 14 of them. For a computer of your own.";
}
