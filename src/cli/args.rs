//! Definition of the command line. The doc comments of commands and options are the text of `--help`.

#[cfg(feature = "sandbox")]
use std::time::Duration;
use std::{ops::RangeInclusive, path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand};

use super::text::inert;
use crate::render::csv::Separator;
use domain::{
    address::SmtpAddress,
    mode::Depth,
    snapshot::access::By,
    wave::{Part, Wave},
};

fn after_help() -> String {
    let demo = if cfg!(feature = "sandbox") {
        "Try it without a cloud:    cloud-sync demo\n"
    } else {
        ""
    };
    format!(
        "{demo}Settings are environment variables that begin with CLOUD_SYNC__; docs/settings.md lists them.
Exit codes: 0 in sync (or done, for an undo or a quick run), 2 changes pending, 3 something needs attention, 1 error."
    )
}

/// Keeps a Zivver organisation's accounts equal to a company's Exchange Online mailboxes
#[derive(Debug, Parser)]
#[command(name = "cloud-sync", version = super::VERSION.as_str(), after_help = after_help(), max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    /// Read settings from this file: NAME=value lines, or a local.settings.json; variables of the environment have precedence
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) env_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct OutputArgs {
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[arg(
        long,
        global = true,
        help = "When to use colours; NO_COLOR is honoured",
        value_name = "WHEN",
        default_value = "auto"
    )]
    pub(super) color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what a run would change; writes nothing
    Preview(PreviewArgs),
    /// Make the changes in Zivver
    ///
    /// On a terminal it shows them first, and asks. Without a terminal it writes at once.
    Apply {
        /// Only these accounts are changed; or the file of a preview, of which exactly the changes are made
        #[arg(value_name = "ADDRESS|PLAN", value_parser = subject)]
        subjects: Vec<Subject>,
        #[command(flatten)]
        wave: WaveArgs,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// Approve a held set by the code that the report shows with it; repeat for several. All other changes that are not held are made too
        #[arg(long, value_name = "CODE", value_parser = code)]
        approve: Vec<String>,
        /// With --approve: only the changes of this account; repeat for several
        #[arg(long = "account", value_name = "ADDRESS", value_parser = address, requires = "approve")]
        approve_accounts: Vec<SmtpAddress>,
        #[command(flatten)]
        show: ShowArgs,
    },
    /// Explain an account: its state, the reason, and what would change
    ///
    /// It answers from the last run for all accounts, and says from when that is; this needs no settings but those of the
    /// state. Before the first such run it asks Exchange and Zivver.
    Explain {
        #[arg(value_parser = address)]
        address: SmtpAddress,
        /// Ask Exchange and Zivver now
        #[arg(long, conflicts_with = "run")]
        live: bool,
        /// What this run said about it, from its report
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
    },
    /// Show the history of an account: what each run changed, who started it, and why
    ///
    /// Needs no settings but those of the state.
    History {
        #[arg(value_parser = address)]
        address: SmtpAddress,
        /// How many runs are looked at, the newest first
        #[arg(long, value_name = "N", default_value_t = 500, value_parser = runs)]
        limit: usize,
    },
    /// Take back what a run changed; shows what that would do, and does it with --apply
    Undo {
        /// The run's id, the beginning of it, or last: the last apply that changed something, which may be an undo
        #[arg(value_name = "RUN")]
        run: String,
        /// Make the changes in Zivver, without asking
        #[arg(long)]
        apply: bool,
        /// Approve a held set by the code that the report shows with it; repeat for several. All other changes of the undo that are
        /// not held are made too
        #[arg(long, value_name = "CODE", requires = "apply", value_parser = code)]
        approve: Vec<String>,
        /// With --approve: only the changes of this account; repeat for several
        #[arg(long = "account", value_name = "ADDRESS", value_parser = address, requires = "approve")]
        approve_accounts: Vec<SmtpAddress>,
        #[command(flatten)]
        show: ShowArgs,
    },
    /// Stop a run: requests in progress are completed, and no invocation continues the run
    ///
    /// Later runs are not affected. Needs no settings but those of the state.
    Stop {
        /// The run's id, the beginning of it, or last: the last one that has not ended
        #[arg(value_name = "RUN", default_value = "last")]
        run: String,
    },
    /// Reject held changes: they are not made, and need no attention, until they change
    ///
    /// Without CODE it lists what is rejected. Needs no settings but those of the state.
    #[command(
        override_usage = "cloud-sync reject\n       cloud-sync reject CODE [--account ADDRESS]... [--undo]"
    )]
    Reject {
        /// The code that the report shows with the held set
        #[arg(value_name = "CODE")]
        code: Option<String>,
        /// With CODE: only the changes of this account; repeat for several
        #[arg(long = "account", value_name = "ADDRESS", value_parser = address, requires = "code")]
        accounts: Vec<SmtpAddress>,
        /// With CODE: take back what was rejected with it
        #[arg(long)]
        undo: bool,
    },
    /// Test everything that a run needs, and name the command that corrects what fails
    Check {
        /// Measure this tenant instead, reading only, and write the answers, without names, to cloud-sync-answers.json
        #[arg(long)]
        probe: bool,
    },
    /// List the last runs, or show the report of one; needs no settings but those of the state
    Runs(RunsArgs),
    /// Say who can open which mailbox, by which path and since when, as the last run for all accounts saw it
    ///
    /// It reads the snapshot of that run, and needs no settings but those of the state.
    Access(AccessArgs),
    /// Turn the settings of the original script into the new ones; warnings go to stderr
    ImportSettings {
        /// Its .env file, or the exported variables of its Automation account as JSON; - reads standard input
        file: PathBuf,
        /// Print keys and tokens too, which are left out otherwise
        #[arg(long)]
        show_secrets: bool,
    },
    #[cfg(feature = "sandbox")]
    /// Show all of it at work on a made-up organisation, without a cloud and without settings
    Demo {
        #[command(flatten)]
        tenant: TenantArgs,
        #[command(flatten)]
        detail: DetailArgs,
    },
    #[cfg(feature = "sandbox")]
    /// Run a simulated Exchange Online and Zivver, and print the settings to use
    Sandbox {
        /// The port on 127.0.0.1; by default any that is free
        #[arg(long, default_value_t = 0, value_parser = port)]
        port: u16,
        #[command(flatten)]
        tenant: TenantArgs,
        /// How long every answer takes at least
        #[arg(long, value_name = "MS", default_value_t = 0, value_parser = whole)]
        latency_ms: u64,
        /// How many calls Zivver accepts, and what the settings say about it: 50/10s, or unlimited
        #[arg(long, value_name = "RATE", default_value = "50/10s", value_parser = rate)]
        zivver_rate: RateArg,
        /// Write the settings to this new file too, for --env-file; it is removed when the sandbox ends
        #[arg(long, value_name = "FILE")]
        write_env: Option<PathBuf>,
    },
    /// Print the script with which a shell completes commands and options
    Completions { shell: clap_complete::Shell },
    /// Print the manual page of the program or of one command, in roff
    Man { command: Vec<String> },
    /// Answer the Azure Functions host; this is what happens without a command under the host
    ///
    /// It answers the protocol of the host, not browsers: the host serves pages and calls, at /api/SyncHttp.
    Serve {
        #[arg(
            long,
            value_parser = port,
            help = "The port on 127.0.0.1; by default FUNCTIONS_CUSTOMHANDLER_PORT"
        )]
        port: Option<u16>,
    },
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct RunsArgs {
    #[command(subcommand)]
    pub(super) what: Option<RunsCommand>,
    /// The run's id, the beginning of it, or last
    #[arg(value_name = "RUN")]
    pub(super) run: Option<String>,
    /// How many runs are listed, the newest first
    #[arg(long, value_name = "N", default_value_t = 50, conflicts_with = "run", value_parser = runs)]
    pub(super) limit: usize,
    #[command(flatten)]
    pub(super) show: ShowArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum RunsCommand {
    /// Say what two runs saw differently: mailboxes, accounts, delegations
    Diff {
        /// The earlier run: its id, the beginning of it, or last for the newest full run
        #[arg(value_name = "RUN")]
        before: String,
        /// The later run, named in the same way; without it the newest full run, which as the earlier run too is compared with the one
        /// before it
        #[arg(value_name = "RUN")]
        after: Option<String>,
    },
}

#[derive(Debug, Clone, Args)]
pub(super) struct PreviewArgs {
    #[command(flatten)]
    pub(super) accounts: AccountArgs,
    #[command(flatten)]
    pub(super) wave: WaveArgs,
    #[arg(
        long,
        help = "Preview under another value of a setting that shapes the plan, such as SOURCE_FILTER=care@corp.example; repeat for several. The report compares it with the plan under the present settings. It cannot be applied",
        value_name = "NAME=VALUE",
        value_parser = setting
    )]
    pub(super) with: Vec<(String, String)>,
    /// Write the plan to a file too, which `cloud-sync apply FILE` carries out exactly
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Refused with the reason, which the parser of arguments does not know
    #[arg(long, value_name = "CODE", hide = true)]
    pub(super) approve: Vec<String>,
    #[command(flatten)]
    pub(super) show: ShowArgs,
}

#[derive(Debug, Clone, Args)]
pub(super) struct AccountArgs {
    /// Change only these accounts; both sides are still read completely
    #[arg(value_name = "ADDRESS", value_parser = address)]
    pub(super) addresses: Vec<SmtpAddress>,
}

/// What is read, and which part of the plan is made; the rest is left for later.
#[derive(Debug, Clone, Args)]
pub(super) struct WaveArgs {
    /// Read no permissions: only status, names, addresses and aliases are compared, and delegates, members and the status of
    /// functional accounts stay as they are
    #[arg(long)]
    pub(super) quick: bool,
    /// Only these kinds of action: create, update, rename, suspend, empty, resume; or, with apply, approved: only what --approve CODE approves
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(super) only: Vec<Part>,
    /// Only the first N accounts, in order of address
    #[arg(long, value_name = "N", value_parser = accounts)]
    pub(super) first: Option<u32>,
}

impl WaveArgs {
    pub(super) fn depth(&self) -> Depth {
        if self.quick {
            Depth::Quick
        } else {
            Depth::Full
        }
    }

    pub(super) fn wave(self) -> Option<Wave> {
        Wave::of(self.only.into_iter().collect(), self.first)
    }
}

/// Where a report goes, and how much of it the terminal shows.
#[derive(Debug, Clone, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    pub(super) detail: DetailArgs,
    #[command(flatten)]
    pub(super) report: ReportArgs,
}

#[derive(Debug, Clone, Args)]
pub(super) struct ReportArgs {
    /// Also write the report to this file, as HTML or CSV by its extension
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// The format of the file, if its extension does not determine it
    #[arg(long, requires = "report")]
    pub(super) format: Option<FileFormat>,
    /// The separator of CSV: a comma, or a semicolon for an Excel that expects it
    #[arg(long, value_name = "CHAR", requires = "report")]
    pub(super) separator: Option<Separator>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum FileFormat {
    Html,
    Csv,
}

/// R43
#[derive(Debug, Clone, Args)]
pub(super) struct AccessArgs {
    /// Only mailboxes and people with this text in address or name; several texts widen the search
    #[arg(value_name = "MAILBOX|PERSON")]
    pub(super) texts: Vec<String>,
    /// Also say what changed since this day, such as 2026-10-01
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub(super) since: Option<Day>,
    /// Only what changed
    #[arg(long, requires = "since")]
    pub(super) changed: bool,
    /// What the rows are grouped by
    #[arg(long, value_name = "SIDE", default_value = "mailbox")]
    pub(super) by: ByArg,
    /// CSV for a spreadsheet, HTML to print, or JSON, instead of text
    #[arg(long)]
    pub(super) format: Option<AccessFormat>,
    /// The separator of CSV: a comma, or a semicolon for an Excel that expects it
    #[arg(long, value_name = "CHAR")]
    pub(super) separator: Option<Separator>,
    /// Write to this file
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum AccessFormat {
    Csv,
    Html,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ByArg {
    Mailbox,
    Person,
}

impl From<ByArg> for By {
    fn from(by: ByArg) -> Self {
        match by {
            ByArg::Mailbox => Self::Mailbox,
            ByArg::Person => Self::Person,
        }
    }
}

/// The beginning of a day in the local time zone, in epoch seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day(pub(super) String);

fn day(text: &str) -> Result<Day, String> {
    // When it begins depends on the time zone, which may be in a file that is not read yet.
    let is_day = crate::render::words::beginning_of(text, &jiff::tz::TimeZone::UTC).is_some();
    let day = is_day.then(|| Day(text.to_owned()));
    day.ok_or_else(|| "write a day like 2026-10-01".to_owned())
}

/// The accounts, or the plan, to which an apply is restricted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    Account(SmtpAddress),
    /// R28: a file written by a preview.
    Plan(PathBuf),
}

/// How much of a report is shown.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct DetailArgs {
    /// Show every reason, with its rule
    #[arg(long, short)]
    pub(super) verbose: bool,
    /// Show long lists to their end
    #[arg(long)]
    pub(super) all: bool,
    /// List who was left alone, and why, instead of counting
    #[arg(long)]
    pub(super) skipped: bool,
    #[arg(skip)]
    pub(super) more: More,
}

/// What shows more than a cut list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum More {
    /// The same command with an option.
    #[default]
    Again,
    /// The report of the last run, since the command has changed something.
    LastRun,
}

impl DetailArgs {
    /// What shows more, with this option.
    pub(super) fn with(self, option: &str) -> String {
        match self.more {
            More::Again => option.to_owned(),
            More::LastRun => format!("cloud-sync runs last {option}"),
        }
    }
}

#[cfg(feature = "sandbox")]
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct TenantArgs {
    /// How many mailboxes to make up
    #[arg(long, default_value_t = 200, value_parser = mailboxes)]
    pub(super) mailboxes: usize,
    /// The same seed makes the same organisation
    #[arg(long, default_value_t = 1, value_parser = whole)]
    pub(super) seed: u64,
}

#[cfg(feature = "sandbox")]
/// The rate of the simulated limiter: calls in a time window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RateArg {
    /// The rate as the setting writes it.
    pub(super) text: String,
    pub(super) budget: Option<(u32, Duration)>,
}

fn address(text: &str) -> Result<SmtpAddress, String> {
    SmtpAddress::parse(text).map_err(|_| {
        format!(
            "{} is not a mail address; write it like anna@corp.example",
            inert(text)
        )
    })
}

fn code(text: &str) -> Result<String, String> {
    if text.contains(',') {
        return Err("name one code, and repeat the option for each other one".to_owned());
    }
    Ok(text.to_owned())
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| "write NAME=VALUE, such as MAX_SUSPEND=10".to_owned())?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

fn runs(text: &str) -> Result<usize, String> {
    number(text, 1..=usize::MAX, "from 1")
}

fn accounts(text: &str) -> Result<u32, String> {
    number(text, 1..=u32::MAX, "from 1")
}

fn port(text: &str) -> Result<u16, String> {
    number(text, 0..=u16::MAX, "from 0 to 65535")
}

#[cfg(feature = "sandbox")]
fn whole(text: &str) -> Result<u64, String> {
    number(text, 0..=u64::MAX, "from 0")
}

fn number<N>(text: &str, range: RangeInclusive<N>, form: &str) -> Result<N, String>
where
    N: FromStr + PartialOrd,
{
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("write a whole number {form}"))
}

/// An argument without `@` that looks like a file is a plan, and so is an existing path with a directory.
fn subject(text: &str) -> Result<Subject, String> {
    let path = std::path::Path::new(text);
    let has_folder = text.contains(['/', std::path::MAIN_SEPARATOR]);
    let is_json = path
        .extension()
        .is_some_and(|it| it.eq_ignore_ascii_case("json"));
    match (text.contains('@'), path.exists()) {
        (true, exists) if !(exists && has_folder) => address(text).map(Subject::Account),
        (false, false) if !has_folder && !is_json => Err(format!(
            "{} is neither a mail address nor an existing file; write an address like anna@corp.example, or the file of a plan that \
             `cloud-sync preview --out plan.json` wrote",
            inert(text)
        )),
        _ => Ok(Subject::Plan(path.to_owned())),
    }
}

#[cfg(feature = "sandbox")]
fn mailboxes(text: &str) -> Result<usize, String> {
    number(text, 10..=1_000_000, "from 10 to 1000000")
}

#[cfg(feature = "sandbox")]
fn rate(text: &str) -> Result<RateArg, String> {
    let wrong = || "write calls per seconds, such as 50/10s, or unlimited".to_owned();
    if text == "unlimited" {
        return Ok(RateArg {
            text: text.to_owned(),
            budget: None,
        });
    }
    let (calls, window) = text.split_once('/').ok_or_else(wrong)?;
    let window = window.strip_suffix('s').unwrap_or(window);
    let calls: u32 = calls.parse().map_err(|_| wrong())?;
    let seconds: u32 = window.parse().map_err(|_| wrong())?;
    if calls == 0 || seconds == 0 {
        return Err(wrong());
    }
    Ok(RateArg {
        text: format!("{calls}/{seconds}s"),
        budget: Some((calls, Duration::from_secs(seconds.into()))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[cfg(feature = "sandbox")]
    #[test]
    fn rates_are_calls_per_seconds() {
        for (text, budget) in [
            ("50/10s", Some((50, 10))),
            ("5/1", Some((5, 1))),
            ("unlimited", None),
        ] {
            let budget = budget.map(|(calls, seconds)| (calls, Duration::from_secs(seconds)));
            assert_eq!(rate(text).unwrap().budget, budget, "{text}");
        }
        for text in ["", "50", "0/10s", "50/0s", "fast"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
