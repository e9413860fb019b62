//! The program as the Functions host and scripts start it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Stdio},
};

use cloud_sync::http::Route;
use serde_json::{Value, json};

use super::bench;

/// Ended when it is dropped, so that a failing test leaves no process behind.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has already ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The first lines of stdout.
fn lines(running: &mut Running, count: usize) -> Vec<String> {
    let out = BufReader::new(running.0.stdout.take().unwrap());
    out.lines().take(count).map(Result::unwrap).collect()
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The program as the host starts it, without settings.
fn served() -> (Running, u16) {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let folder = tempfile::tempdir().unwrap();
    let child = bench::command(folder.path())
        .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let ready = lines(&mut running, 1);
    assert!(ready[0].contains("listening"), "{ready:?}");
    (running, port)
}

#[test]
fn broken_settings_keep_the_server_alive() {
    let (_running, port) = served();
    for _ in 0..2 {
        assert!(get(port, "/").starts_with("HTTP/1.1 200 "));
    }
}

/// The highest memory use of a process, in KiB.
#[cfg(target_os = "linux")]
fn peak_kib(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = peak.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse().unwrap()
}

/// A call with a body of this many MiB, as the host passes it on. Returns the answer.
#[cfg(target_os = "linux")]
fn long_call(port: u16, mib: usize, chunked: bool) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (start, end) = (r#"{"Data":{"req":{"Method":"POST","Body":""#, r#""}}}"#);
    let piece = "x".repeat(1 << 20);
    let length = start.len() + mib * piece.len() + end.len();
    let framing = if chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {length}")
    };
    write!(
        stream,
        "POST /SyncHttp HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{framing}\r\n\r\n"
    )
    .unwrap();
    let pieces = std::iter::repeat_n(piece.as_str(), mib);
    for piece in std::iter::once(start).chain(pieces).chain([end]) {
        if chunked {
            write!(stream, "{:x}\r\n{piece}\r\n", piece.len()).unwrap();
        } else {
            write!(stream, "{piece}").unwrap();
        }
    }
    if chunked {
        write!(stream, "0\r\n\r\n").unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[cfg(target_os = "linux")]
#[test]
fn a_call_of_250_mebibytes_is_refused_within_32_mebibytes_of_memory() {
    for chunked in [false, true] {
        let (running, port) = served();
        assert!(get(port, "/").starts_with("HTTP/1.1 200 "));
        let before = peak_kib(&running);
        let answer = long_call(port, 250, chunked);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains(r#""statusCode":"413""#), "{answer}");
        assert!(answer.contains("problem:too-large"), "{answer}");
        let more = peak_kib(&running) - before;
        assert!(more < 32 * 1024, "{more} KiB");
        assert!(get(port, "/").starts_with("HTTP/1.1 200 "));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_an_error() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = bench::program(&[], &["serve", "--port", &port]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.err.contains("cannot listen on 127.0.0.1"),
        "{ended:?}"
    );
    let ended = bench::program(&[], &["serve"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.err.contains("FUNCTIONS_CUSTOMHANDLER_PORT"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_usage() {
    let help = bench::program(&[], &[]);
    assert_eq!(help.code, 0, "{help:?}");
    assert!(help.out.contains("cloud-sync demo"), "{help:?}");
    let version = bench::program(&[], &["--version"]);
    assert_eq!(version.code, 0);
    assert!(
        version.out.contains(env!("CARGO_PKG_VERSION")),
        "{version:?}"
    );
    let wrong = bench::program(&[], &["synchronise"]);
    assert_eq!(wrong.code, 1, "2 means that changes are pending: {wrong:?}");
    let approve = bench::program(&[], &["approve", "0000-0000"]);
    assert_eq!(approve.code, 1, "{approve:?}");
    let tip = "tip: to approve a held set, run 'cloud-sync apply --approve CODE'; with FOUR_EYES=true another person approves it on the dashboard";
    assert!(approve.err.contains(tip), "{approve:?}");
    assert!(!approve.err.contains("similar"), "{approve:?}");
}

#[test]
fn a_tip_is_only_about_what_was_nearly_typed() {
    for (arguments, tip) in [
        (
            &["runs", "--lmit", "3"][..],
            Some("a similar argument exists: '--limit'"),
        ),
        (&["rejct"], Some("a similar subcommand exists: 'reject'")),
        (&["apply", "--max_suspend", "3"], None),
        (&["apply", "--approve", "-5"], None),
        (&["access", "--report", "page.html"], None),
        (&["list"], None),
    ] {
        let ended = bench::program(&[], arguments);
        assert_eq!(ended.code, 1, "{ended:?}");
        let told = ended.err.split_once("tip: ").map(|(_, told)| told);
        let told = told.and_then(|told| told.lines().next());
        assert_eq!(told, tip, "{ended:?}");
        assert!(!ended.err.contains("--separator"), "{ended:?}");
    }
}

/// A sandbox whose temporary files are in this folder, and the settings that it prints for a POSIX shell.
fn sandbox_in(folder: &Path, others: &[&str]) -> (Running, Vec<(String, String)>) {
    let child = bench::command(folder)
        .args(["sandbox", "--mailboxes", "20", "--zivver-rate", "unlimited"])
        .args(others)
        .env("TMPDIR", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let exports = tokio::task::block_in_place(|| lines(&mut running, 11));
    let setting = |line: &String| {
        let (name, value) = line
            .strip_prefix("export ")
            .unwrap()
            .split_once('=')
            .unwrap();
        (name.to_owned(), value.trim_matches('\'').to_owned())
    };
    (running, exports.iter().map(setting).collect())
}

/// Ends it as Ctrl+C (`INT`) or a service manager (`TERM`) does.
fn end(running: &mut Running, signal: &str) {
    let pid = running.0.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-s", signal, &pid])
        .status();
    assert!(sent.unwrap().success());
    let ended = tokio::task::block_in_place(|| running.0.wait()).unwrap();
    assert_eq!(ended.code(), Some(0), "{signal}");
}

fn files_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_prints_settings_that_work() {
    let folder = tempfile::tempdir().unwrap();
    let (mut running, settings) = sandbox_in(folder.path(), &[]);
    let preview = bench::program_in(folder.path(), &settings, &["preview"]);
    assert!([2, 3].contains(&preview.code), "{preview:?}");
    assert!(preview.out.contains("read 20 mailboxes"), "{preview:?}");
    end(&mut running, "INT");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_writes_its_settings_to_a_file_and_leaves_nothing_behind() {
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let file = ["--write-env", "sandbox.env"];
        let (mut running, _) = sandbox_in(folder.path(), &file);
        let env_file = ["--env-file", "sandbox.env", "preview"];
        let preview = bench::program_in(folder.path(), &[], &env_file);
        assert!([2, 3].contains(&preview.code), "{preview:?}");
        assert!(preview.out.contains("read 20 mailboxes"), "{preview:?}");
        assert_eq!(
            files_in(folder.path()).len(),
            2,
            "its settings and its state"
        );
        // A file of a person is never replaced.
        let second = bench::program_in(folder.path(), &[], &[&["sandbox"], &file[..]].concat());
        assert_eq!((second.code, &*second.out), (1, ""), "{second:?}");
        let told = "error: cannot write sandbox.env: File exists (os error 17); delete it, or name another file\n";
        assert_eq!(second.err, told);
        end(&mut running, signal);
        assert_eq!(files_in(folder.path()), [""; 0], "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_document_for_the_sandbox_is_refused_with_the_path_of_its_error() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, settings) = sandbox_in(folder.path(), &[]);
    let url = settings.iter().find(|it| it.0 == "CLOUD_SYNC__EXO_URL");
    let url = &url.unwrap().1;
    let client = Route::Direct.client().build().unwrap();
    for (service, place, field, value, told) in [
        (
            "exchange",
            "/mailboxes/3",
            "account_disabled",
            json!("yes"),
            "mailboxes[3].account_disabled: invalid type: string \"yes\"",
        ),
        (
            "exchange",
            "/mailboxes/3",
            "name_of_it",
            json!("x"),
            "mailboxes[3].name_of_it: unknown field `name_of_it`",
        ),
        (
            "zivver",
            "/users/0",
            "active",
            json!(1),
            "users[0].active: invalid type: integer `1`",
        ),
    ] {
        let url = format!("{url}/sandbox/{service}/state");
        let document = client.get(&url).send().await.unwrap().bytes().await;
        let mut document: Value = serde_json::from_slice(&document.unwrap()).unwrap();
        document.pointer_mut(place).unwrap()[field] = value;
        let answer = client.put(&url).body(document.to_string()).send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 400);
        let text = answer.text().await.unwrap();
        assert!(text.contains(told), "{text}");
    }
}
