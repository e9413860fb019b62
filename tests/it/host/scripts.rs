//! Tests the double with handlers that are shell scripts: how they are started, how they end, and what is checked
//! before.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    FUNCTION_KEY, Host, Timing,
    project::{AppSettings, app_root},
    queue::Queue,
    until,
    wire::Call,
    worker::Level,
};

/// A host over a handler that is this shell script.
fn scripted(script: &str, queue: &Queue) -> (TempDir, Host) {
    let timing = Timing {
        initialization: Duration::from_secs(5),
        ..Timing::default()
    };
    scripted_with(script, AppSettings::new(), queue, timing)
}

pub(super) fn scripted_with(
    script: &str,
    settings: AppSettings,
    queue: &Queue,
    timing: Timing,
) -> (TempDir, Host) {
    let root = app_root();
    put_handler(
        root.path(),
        Some((&format!("#!/bin/sh\n{script}\n"), 0o755)),
    );
    let host = Host::over(root.path(), settings, queue.clone(), timing).unwrap();
    (root, host)
}

/// Puts a file with this content and mode, or none, in place of the binary.
fn put_handler(root: &Path, file: Option<(&str, u32)>) {
    let handler = root.join("handler");
    fs::remove_file(&handler).unwrap();
    if let Some((text, mode)) = file {
        fs::write(&handler, text).unwrap();
        fs::set_permissions(&handler, fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_waited_for_and_never_started_again() {
    const INITIALIZATION: Duration = Duration::from_millis(50);
    for (what, file, error) in [
        ("absent", None, "os error 2"),
        (
            "without execute bit",
            Some(("#!/bin/sh\n", 0o644)),
            "os error 13",
        ),
        (
            "of no format",
            Some(("\u{0}no program", 0o755)),
            "os error 8",
        ),
        (
            "without its interpreter",
            Some(("#!/nowhere/sh\n", 0o755)),
            "os error 2",
        ),
    ] {
        let timing = Timing {
            initialization: INITIALIZATION,
            ..Timing::default()
        };
        let root = app_root();
        put_handler(root.path(), file);
        let begun = Instant::now();
        let settings = AppSettings::new();
        let host = Host::over(root.path(), settings, Queue::default(), timing).unwrap();
        let waited_in_vain = host.timer().await.failure.unwrap();
        assert!(begun.elapsed() >= 4 * INITIALIZATION, "{what}");
        assert!(
            waited_in_vain.ends_with("Initialization timed out and host is shutting down"),
            "{what}: {waited_in_vain}"
        );
        assert_eq!(host.stopped().await, waited_in_vain);
        let errors = host.log().at(Level::Error);
        assert_eq!(errors.len(), 2, "{what}: started once: {errors:?}");
        assert!(
            errors[0].starts_with("Failed to start Worker Channel") && errors[0].contains(error),
            "{what}: {errors:?}"
        );
    }
}

#[tokio::test]
async fn exits_end_as_the_host_ends_them() {
    let queue = Queue::default();
    let (_root, host) = scripted(
        "for n in one two three four; do echo $n >&2; done; echo 'a warning' >&2; echo five >&2; echo out; exit 3",
        &queue,
    );
    assert!(
        host.stopped()
            .await
            .starts_with("Exceeded http worker restart retry count")
    );
    assert!(
        host.log().has("exited with code 3 (0x3)three,four,five"),
        "{}",
        host.log()
    );
    assert_eq!(host.log().at(Level::Warning).len(), 3);
    assert!(host.timer().await.failure.is_some());

    // Five exits that do not count and two that do, before one after which there is no restart.
    let script = r"
        n=$(cat exits || echo 0); echo $((n + 1)) >exits
        case $n in 0 | 1 | 3 | 5 | 6) exit 200 ;; 2 | 4) exit 9 ;; esac";
    let (root, host) = scripted(script, &queue);
    host.gone().await;
    let exits = fs::read_to_string(root.path().join("exits")).unwrap();
    assert_eq!(exits, "8\n", "{}", host.log());

    queue.send(b"{}").unwrap();
    let (_root, host) = scripted("exit 0", &queue);
    host.gone().await;
    let failures = host.drain().await;
    assert_eq!(failures.len(), 5);
    assert!(failures.iter().all(|invoked| invoked.failure.is_some()));
    assert_eq!(queue.poison().len(), 1, "no restart: the queue runs dry");
}

#[tokio::test]
async fn a_process_is_told_where_it_is_and_who() {
    let script = r#"n=$(ls | grep -c ^started); { pwd; env; } >"started.$n"; exit 1"#;
    let (root, host) = scripted(script, &Queue::default());
    host.stopped().await;
    let root = root.path().display().to_string();
    let port = host.shared.port.to_string();
    let mut names = BTreeSet::new();
    for n in 0..3 {
        let told = fs::read_to_string(format!("{root}/started.{n}")).unwrap();
        assert_eq!(told.lines().next(), Some(root.as_str()), "the app root");
        let variables: BTreeMap<&str, &str> = told
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        assert_eq!(variables["FUNCTIONS_CUSTOMHANDLER_PORT"], port, "start {n}");
        assert_eq!(variables["FUNCTIONS_HTTPWORKER_PORT"], port);
        assert_eq!(variables["FUNCTIONS_APP_ROOT_PATH"], root);
        assert_eq!(variables["SYNC_SCHEDULE"], "0 0 2 * * *", "an app setting");
        assert!(variables.contains_key("PATH"), "the host's own");
        for name in [
            "FUNCTIONS_CUSTOMHANDLER_WORKER_ID",
            "FUNCTIONS_HTTPWORKER_ID",
        ] {
            let id = variables[name].parse::<uuid::Uuid>().unwrap();
            assert!(names.insert((name, id)), "new at each start");
        }
    }
    assert!(!fs::exists(format!("{root}/started.3")).unwrap());
}

#[tokio::test]
async fn keys_and_methods_are_checked_before_the_handler() {
    let (_root, host) = scripted("exit 0", &Queue::default());
    host.gone().await;
    let path = "/api/SyncHttp/health";
    let bare = host.call_as_it_is(&Call::get(path)).await;
    assert_eq!(bare.status, 401);
    let with_code = Call::get(path).query("code", FUNCTION_KEY);
    assert_eq!(
        host.call_as_it_is(&with_code).await.status,
        500,
        "reached nobody"
    );
    let delete = Call {
        method: "DELETE".into(),
        ..Call::get(path)
    };
    assert_eq!(host.call(delete).await.status, 404);
    assert_eq!(host.call(Call::get("/api/Other")).await.status, 404);
}

#[tokio::test]
async fn a_stop_waits_a_second_for_whoever_holds_the_console() {
    let script = "sleep 60 & echo $! >child; wait";
    let (root, host) = scripted(script, &Queue::default());
    let child = root.path().join("child");
    let written = || fs::read_to_string(&child).is_ok_and(|pid| pid.ends_with('\n'));
    until("its child runs", written).await;
    let stopping = Instant::now();
    host.stop().await;
    let took = stopping.elapsed();
    let pid = fs::read_to_string(child).unwrap();
    let killed = Command::new("kill").arg(pid.trim()).status().unwrap();
    assert!(killed.success(), "it outlived the handler");
    assert!(took < Duration::from_secs(30), "{took:?}");
}
