//! The commands of README.md in their order. Each command is typed here into a real shell, or has a row in
//! docs/testing.md with the reason why it is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    host::{FUNCTION_KEY, Host, front::Front},
    process::office::{Office, folder_url},
    tools::said,
};

/// The command, its exit code, and a part of its output. `ADDRESS` and `CODE` stand for what was shown before.
const TYPED: &[(&str, i32, &str)] = &[
    (
        "cargo run -- demo",
        0,
        "yes  the second apply wrote nothing",
    ),
    ("cloud-sync sandbox", 0, "export CLOUD_SYNC__EXO_URL="),
    ("cloud-sync preview", 3, "Nothing was written"),
    (
        "cloud-sync explain info@corp.example",
        2,
        "update is planned",
    ),
    ("cloud-sync apply", 3, "Converged: read again"),
    (
        "cloud-sync explain ADDRESS",
        0,
        "in sync: nothing is to change",
    ),
    (
        "cloud-sync check",
        3,
        "ok   exchange  Exchange listed 200 mailboxes",
    ),
    ("export CLOUD_SYNC__ZIVVER_API_KEY='…'", 0, ""),
    ("export CLOUD_SYNC__CLAIMED_DOMAINS='corp.example'", 0, ""),
    ("export CLOUD_SYNC__SSO_ACCOUNT_KEY='object_id'", 0, ""),
    ("export CLOUD_SYNC__PERFORM_SYNC=on-demand", 0, ""),
    (
        "cloud-sync apply ADDRESS",
        0,
        "only for info@corp.example (R39)",
    ),
    ("cloud-sync preview --out plan.json", 3, "held back"),
    ("cloud-sync apply plan.json", 3, "only what preview "),
    (
        "eval \"$(cloud-sync completions bash)\"",
        0,
        "-F _cloud__sync",
    ),
    ("cloud-sync man", 0, ".SH SYNOPSIS"),
    ("cloud-sync man apply", 0, "cloud\\-sync\\-apply"),
    (
        r#"curl --json '{"wait":60}' http://127.0.0.1:7071/api/SyncHttp"#,
        0,
        r#""mode":"preview""#,
    ),
    (
        "cloud-sync runs",
        0,
        "70 accounts planned, 70 applied, 4 changes held",
    ),
    (
        "cloud-sync apply --approve CODE",
        3,
        "1 account renamed, 1 resumed, 5 updated, 2 changes held back",
    ),
];

/// The starts of commands within the sentences of a page.
const PROGRAMS: [&str; 8] = [
    "cloud-sync ",
    "cargo ",
    "export ",
    "source ",
    "func ",
    "curl ",
    "az ",
    "npm ",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The commands of a page in their order: lines of its blocks for shells, and spans that start like a command.
fn commands(page: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |command: String| {
        if !command.is_empty() && !found.contains(&command) {
            found.push(command);
        }
    };
    for (at, part) in page.split("```").enumerate() {
        if at % 2 == 0 {
            let spans = part.split('`').skip(1).step_by(2);
            let spans = spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "));
            spans.filter(|span| is_command(span)).for_each(&mut add);
            continue;
        }
        let (language, block) = part.split_once('\n').unwrap();
        if !["sh", "bash", "console"].contains(&language.trim()) {
            continue;
        }
        for line in block.replace("\\\n", " ").lines() {
            let line = line.split(" #").next().unwrap().trim();
            let line = line.trim_start_matches("$ ");
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            if !line.starts_with('#') {
                add(line);
            }
        }
    }
    found
}

fn is_command(span: &str) -> bool {
    let file = root().join(span.split(' ').next().unwrap());
    let is_script = || fs::metadata(&file).is_ok_and(|file| file.permissions().mode() & 0o111 != 0);
    PROGRAMS.iter().any(|program| span.starts_with(program))
        || span.contains('/') && file.is_file() && is_script()
}

/// Rows of docs/testing.md: command and reason.
fn not_typed() -> BTreeMap<String, String> {
    let text = page("docs/testing.md");
    let (_, table) = text
        .split_once("| command of README.md | why no test types it |")
        .unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("| `"));
    rows.map(|row| {
        let (command, reason) = row.trim_matches(['|', ' ']).split_once(" | ").unwrap();
        (command.trim_matches('`').to_owned(), reason.to_owned())
    })
    .collect()
}

#[test]
fn commands_are_found_wherever_a_page_has_them() {
    let page = "Say `cloud-sync\nruns`, not `main.rs`; `.ci/run` does.\n```sh\n# first\ncurl --json x \\\n  http://h # end\n\n$ az login\n```\n```json\n{}\n```";
    assert_eq!(
        commands(page),
        [
            "cloud-sync runs",
            ".ci/run",
            "curl --json x http://h",
            "az login"
        ]
    );
}

/// Where bash and PowerShell differ, the page has both.
#[test]
fn each_bash_line_of_the_readme_has_its_form_in_powershell() {
    let readme = page("README.md");
    let powershell: Vec<&str> = readme
        .split("```")
        .skip(1)
        .step_by(2)
        .filter(|block| block.starts_with("powershell"))
        .collect();
    let powershell = powershell.join("\n");
    for command in commands(&readme) {
        let wanted = if let Some(assignment) = command.strip_prefix("export ") {
            format!("$env:{} =", assignment.split('=').next().unwrap())
        } else if command.starts_with("curl ") {
            "Invoke-RestMethod".to_owned()
        } else if command.starts_with("eval ") {
            "cloud-sync completions powershell".to_owned()
        } else {
            continue;
        };
        assert!(powershell.contains(&wanted), "{command}: {wanted}");
    }
}

#[test]
fn each_command_of_the_readme_is_typed_or_excused() {
    let shown: BTreeSet<String> = commands(&page("README.md")).into_iter().collect();
    let typed: BTreeSet<String> = TYPED
        .iter()
        .map(|(typed, ..)| (*typed).to_owned())
        .collect();
    let excused = not_typed();
    let both: Vec<_> = typed
        .iter()
        .filter(|it| excused.contains_key(*it))
        .collect();
    assert!(both.is_empty(), "typed and excused: {both:?}");
    for (command, reason) in &excused {
        assert!(reason.len() > 20, "{command} is excused by \"{reason}\"");
    }
    let answered: BTreeSet<String> = typed.into_iter().chain(excused.into_keys()).collect();
    assert_eq!(shown, answered);
}

/// The table in the README contains every command of the program, and no other.
#[test]
fn the_table_of_commands_is_complete() {
    let readme = page("README.md");
    let (_, table) = readme.split_once("\n## Command line\n").unwrap();
    let (table, _) = table.split_once("\n\n`--json`").unwrap();
    let cells = table.lines().filter_map(|row| row.split('|').nth(1));
    let listed: BTreeSet<&str> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(|span| span.split(' ').next().unwrap())
        .collect();
    let help = Command::new(env!("CARGO_BIN_EXE_cloud-sync"))
        .arg("help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let known: BTreeSet<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && !name.starts_with('-') && *name != "help")
        .collect();
    assert_eq!(listed, known);
}

/// A folder, a shell whose PATH has the program, and the variables exported in it.
struct Terminal {
    folder: TempDir,
    exports: String,
}

impl Terminal {
    /// `cargo` starts the program that is already built.
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let program = env!("CARGO_BIN_EXE_cloud-sync");
        std::os::unix::fs::symlink(program, bin.join("cloud-sync")).unwrap();
        let cargo = bin.join("cargo");
        let script =
            "#!/bin/sh\n[ \"$1 $2\" = 'run --' ] || exit 99\nshift 2\nexec cloud-sync \"$@\"\n";
        fs::write(&cargo, script).unwrap();
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            folder,
            exports: String::new(),
        }
    }

    fn shell(&self, command: &str) -> Command {
        let folder = self.folder.path();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = vec![folder.join("bin")];
        folders.extend(std::env::split_paths(&path).collect::<Vec<PathBuf>>());
        let mut shell = Command::new("bash");
        shell
            .args(["-c", &format!("{}\n{command}", self.exports)])
            .env_clear()
            .env("PATH", std::env::join_paths(folders).unwrap())
            .env("HOME", folder)
            .env("TMPDIR", folder)
            .current_dir(folder)
            .stdin(Stdio::null());
        shell
    }

    fn type_in(&self, command: &str) -> Output {
        tokio::task::block_in_place(|| self.shell(command).output()).unwrap()
    }

    /// Starts a command that keeps running, waits until it says that it does, and copies its output until then.
    fn start(&mut self, command: &str) -> Running {
        let printed = self.folder.path().join("printed");
        let child = self
            .shell(&format!("exec {command}"))
            .stdout(fs::File::create(&printed).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = Running(child);
        let err = BufReader::new(running.0.stderr.take().unwrap());
        let ready = err
            .lines()
            .map_while(Result::ok)
            .any(|line| line.contains("Sandbox at"));
        assert!(ready, "{command} ended");
        let printed = fs::read_to_string(printed).unwrap();
        let exports = printed.lines().filter(|line| line.starts_with("export "));
        self.exports = exports.collect::<Vec<_>>().join("\n") + "\n";
        running
    }
}

/// Ended when it is dropped, so that a failing test leaves no process behind.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has already ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The first code that a report shows.
fn code(report: &str) -> &str {
    let (_, after) = report.split_once("--approve ").expect("something is held");
    let (code, _) = after.split_once('`').unwrap();
    code
}

#[track_caller]
fn ends_as_told((typed, status, piece): (&str, i32, &str), ended: &Output) -> String {
    let all = said(ended);
    assert_eq!(ended.status.code(), Some(status), "{typed}\n{all}");
    assert!(all.contains(piece), "{typed}\n{all}");
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_sees_what_the_page_promises() {
    let mut terminal = Terminal::open();
    let mut own_tenant = Terminal::open();
    let mut running = None;
    let mut shown = String::new();
    for &(typed, status, piece) in TYPED {
        if typed.starts_with("export ") {
            // The key is the only value that the page cannot contain.
            own_tenant.exports += &typed.replace('…', "key");
            own_tenant.exports += "\n";
        } else if typed == "cloud-sync sandbox" {
            running = Some(tokio::task::block_in_place(|| terminal.start(typed)));
            assert!(terminal.exports.contains(piece), "{}", terminal.exports);
        } else if !typed.starts_with("curl ") {
            let mut command = typed.replace("ADDRESS", "info@corp.example");
            if command.starts_with("eval ") {
                command += "; complete -p cloud-sync";
            }
            if command.contains("CODE") {
                command = command.replace("CODE", code(&shown));
            }
            let ended = terminal.type_in(&command);
            let said = ends_as_told((typed, status, piece), &ended);
            if said.contains("--approve ") {
                shown = said;
            }
        }
    }
    drop(running);
    // The settings that the page calls sufficient are.
    let runs = own_tenant.type_in("cloud-sync runs");
    ends_as_told(("cloud-sync runs", 0, "No runs yet"), &runs);
}

/// The emulated host replaces `func start`, on a free port. It requires a key, which is in a curlrc.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "a skipped test has to be seen")]
async fn the_call_for_func_start_is_answered_with_a_report() {
    let terminal = Terminal::open();
    if !said(&terminal.type_in("curl --help all")).contains("--json") {
        eprintln!("skipped: no curl that knows --json (7.82)");
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(4, 1).await;
    let host = Arc::new(Host::start(office.settings(&folder_url(state.path()))).await);
    let front = Front::of(Arc::clone(&host)).await;
    let key = format!("header = \"x-functions-key: {FUNCTION_KEY}\"\nsilent\nfail\nnoproxy = *\n");
    fs::write(terminal.folder.path().join(".curlrc"), key).unwrap();
    for &(typed, status, piece) in TYPED.iter().filter(|it| it.0.starts_with("curl ")) {
        let command = typed.replace("http://127.0.0.1:7071", &front.url);
        ends_as_told((typed, status, piece), &terminal.type_in(&command));
    }
}

/// What a page says to change in the simulated Exchange Online, and what a preview shows of it.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "a skipped test has to be seen")]
async fn what_a_newcomer_changes_in_the_sandbox_is_synchronised() {
    let mut terminal = Terminal::open();
    if !said(&terminal.type_in("curl --help all")).contains("--json") {
        eprintln!("skipped: no curl that knows --json (7.82)");
        return;
    }
    let page = page("docs/local.md");
    let (_, section) = page.split_once("### Change something").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let commands = commands(section);
    let [set, read, put] = commands.as_slice() else {
        panic!("{commands:?}");
    };
    let start = "cloud-sync sandbox --mailboxes 40 --zivver-rate unlimited --write-env sandbox.env";
    let running = tokio::task::block_in_place(|| terminal.start(start));
    terminal.type_in("cloud-sync apply --yes");
    ends_as_told((read, 0, ""), &terminal.type_in(read));
    let from_file = format!("unset CLOUD_SYNC__EXO_URL\n{set}\n{read}");
    ends_as_told((&from_file, 0, ""), &terminal.type_in(&from_file));
    let file = terminal.folder.path().join("tenant.json");
    let mut tenant: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let mailboxes = tenant["mailboxes"].as_array_mut().unwrap();
    let mut people = mailboxes.iter_mut().filter(|it| {
        it["recipient_type_details"] == "UserMailbox" && it["account_disabled"] == false
    });
    let (named, disabled) = (people.next().unwrap(), people.next().unwrap());
    named["display_name"] = "Another Name".into();
    disabled["account_disabled"] = true.into();
    let (_, entry) = section.split_once("add `").unwrap();
    let (entry, _) = entry.split_once("` to `permissions`").unwrap();
    let mut entry: Value = serde_json::from_str(entry).unwrap();
    entry["user"] = named["primary_smtp_address"].clone();
    let opened = people.find(|it| it["permissions"] == Value::Array(Vec::new()));
    let opened = opened.unwrap();
    opened["permissions"].as_array_mut().unwrap().push(entry);
    let address = |it: &Value| it["primary_smtp_address"].as_str().unwrap().to_owned();
    let (gone, opened) = (address(disabled), address(opened));
    fs::write(&file, tenant.to_string()).unwrap();
    ends_as_told((put, 0, ""), &terminal.type_in(put));
    let preview = said(&terminal.type_in("cloud-sync preview --all"));
    for text in ["\"Another Name\"", &gone, &opened] {
        assert!(preview.contains(text), "{text}: {preview}");
    }
    drop(running);
}
