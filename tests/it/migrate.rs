//! The command `import-settings`, as used in a migration.

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::Value;

fn import(text: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.env");
    fs::write(&file, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_cloud-sync"))
        .arg("import-settings")
        .arg(&file)
        .args(arguments)
        .output()
        .unwrap()
}

const OLD: &str = "CLOUD_SYNC__ZIVVER_API_KEY=k3y\nCLOUD_SYNC__CLAIMED_DOMAINS=[\"corp.example\"]\n\
                   CLOUD_SYNC__TARGET_FILTER=admin@,\nCLOUD_SYNC__PERFORM_SYNC=true\n";

#[test]
fn lines_go_to_stdout_and_warnings_to_stderr_without_a_secret_in_either() {
    let output = import(OLD, &[]);
    let (out, err) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(
        out.contains("CLOUD_SYNC__TARGET_FILTER='admin@'\n"),
        "{out}"
    );
    assert!(
        err.contains("CLOUD_SYNC__TARGET_FILTER has an empty entry"),
        "{err}"
    );
    assert!(!out.contains("k3y") && !err.contains("k3y"));
    let shown = import(OLD, &["--show-secrets"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("CLOUD_SYNC__ZIVVER_API_KEY='k3y'\n"));
}

#[test]
fn lines_that_are_not_known_are_named_without_their_values() {
    let text = format!("{OLD}ZIVVER_KEY=s3cret\nMORE=of it\n");
    let output = import(&text, &[]);
    let err = String::from_utf8(output.stderr).unwrap();
    let named = "not known and left out: ZIVVER_KEY, MORE\n";
    assert!(err.contains(named), "{err}");
    for value in ["s3cret", "of it"] {
        assert!(!err.contains(value), "{err}");
    }
    let json: Value = serde_json::from_slice(&import(&text, &["--json"]).stdout).unwrap();
    assert_eq!(json["unknown"], serde_json::json!(["ZIVVER_KEY", "MORE"]));
}

#[test]
fn a_pipe_is_read_like_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.env");
    fs::write(&file, OLD).unwrap();
    let piped = Command::new(env!("CARGO_BIN_EXE_cloud-sync"))
        .args(["import-settings", "-"])
        .stdin(fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert_eq!(piped.stdout, import(OLD, &[]).stdout);
    assert_eq!(piped.status.code(), Some(3));
}

#[test]
fn json_has_settings_names_of_secrets_and_warnings() {
    let output = import(OLD, &["--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["settings"]["CLOUD_SYNC__PERFORM_SYNC"], "false");
    assert_eq!(json["secrets"][0], "CLOUD_SYNC__ZIVVER_API_KEY");
    assert_eq!(json["warnings"][0]["name"], "CLOUD_SYNC__TARGET_FILTER");
    assert!(output.stderr.is_empty());
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let output = import("just words\n", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 1 is not a `NAME=value`"));
}
