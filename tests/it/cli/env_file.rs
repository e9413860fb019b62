//! Settings in a file that is given on the command line.

use std::{collections::BTreeMap, fs};

use serde_json::json;

use super::bench::{self, Bench, Ended, program_in};

/// Runs the program with only these variables in its environment.
fn run(bench: &Bench, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let variables: Vec<(String, String)> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    program_in(bench.folder(), &variables, arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_come_from_a_file_that_is_named() {
    let bench = Bench::start(bench::small()).await;
    let lines = bench.settings().enumerate();
    let lines: Vec<String> = lines
        .map(|(at, (name, value))| match at % 4 {
            0 => format!("{name}=\"{value}\"\r\n"),
            1 => format!("export {name}='{value}' # as it was\n"),
            2 => format!("  {name} = {value}\n"),
            _ => format!("{name}={value} # as it was\n"),
        })
        .collect();
    let lines = format!("\u{feff}# a comment\r\n\r\n{}", lines.concat());
    fs::write(bench.folder().join("sync.env"), lines).unwrap();
    let values: BTreeMap<String, &str> = bench.settings().collect();
    let local = json!({"IsEncrypted": false, "Values": values});
    fs::write(
        bench.folder().join("local.settings.json"),
        local.to_string(),
    )
    .unwrap();
    // The second one is compared with a run before, as those below are.
    bench.run(&["preview"]);
    let expected = bench.run(&["preview"]).filtered();
    for file in ["sync.env", "local.settings.json"] {
        let ended = run(&bench, &[], &["--env-file", file, "preview"]);
        assert_eq!(ended.code, 3, "{ended:?}");
        let expected = expected.replace("cloud-sync ", &format!("cloud-sync --env-file {file} "));
        assert_eq!(ended.filtered(), expected, "{file}");
        let forbids = [("CLOUD_SYNC__PERFORM_SYNC", "false")];
        let ended = run(&bench, &forbids, &["apply", "--env-file", file]);
        assert_eq!((ended.code, bench.writes()), (1, 0), "{ended:?}");
        assert!(ended.err.contains("PERFORM_SYNC is false"), "{ended:?}");
    }
    fs::copy(bench.folder().join("sync.env"), bench.folder().join(".env")).unwrap();
    let unread = run(&bench, &[], &["preview"]);
    assert_eq!(unread.code, 1, "{unread:?}");
    assert!(unread.err.contains("ZIVVER_API_KEY is not set"));
}

/// The settings of the bench in a file whose name a shell would split.
fn my_settings(bench: &Bench) {
    let lines = bench.settings();
    let lines: Vec<String> = lines.map(|it| format!("{}={}\n", it.0, it.1)).collect();
    fs::write(bench.folder().join("my sync.env"), lines.concat()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printed_command_names_the_file_of_the_command_that_printed_it() {
    let bench = Bench::start(bench::small()).await;
    my_settings(&bench);
    for (arguments, commands) in [
        (&["runs", "--report", "r.csv"][..], 1),
        (&["preview"], 3),
        (&["preview", "--report", "r.html"], 3),
        (&["preview", "--out", "plan.json"], 4),
        (&["runs", "last"], 3),
        (&["explain", "supplier@corp.example"], 1),
        (&["apply", "--approve", "0000"], 1),
        (&["stop", "0000"], 1),
    ] {
        let ended = run(
            &bench,
            &[],
            &[&["--env-file", "my sync.env"], arguments].concat(),
        );
        let said = ended.out + &ended.err;
        let all = said.matches("cloud-sync ").count();
        let with_file = said.matches("cloud-sync --env-file 'my sync.env' ").count();
        assert_eq!(
            (all, with_file),
            (commands, commands),
            "{arguments:?}: {said}"
        );
    }
    for file in ["r.html", "plan.json"] {
        let stored = fs::read_to_string(bench.folder().join(file)).unwrap();
        assert!(!stored.contains("--env-file"), "{file}");
    }
    let json = run(
        &bench,
        &[],
        &["runs", "last", "--json", "--env-file", "my sync.env"],
    );
    assert!(!json.out.contains("--env-file"), "{json:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_zone_of_a_file_counts_unless_the_environment_has_one() {
    let bench = Bench::start(bench::small()).await;
    bench.run(&["preview"]);
    let state = bench.setting("STATE");
    let file = |zone: &str| {
        let lines = format!("CLOUD_SYNC__STATE={state}\nTZ={zone}\n");
        fs::write(bench.folder().join("f"), lines).unwrap();
    };
    let arguments = ["runs", "--env-file", "f"];
    file("Asia/Kathmandu");
    let told = run(&bench, &[], &arguments);
    assert!(told.out.contains(" +0545"), "{told:?}");
    let told = run(&bench, &[("TZ", "UTC")], &arguments);
    assert!(told.out.contains(" UTC"), "{told:?}");
    file("Europe/Nowhere");
    let told = run(&bench, &[], &arguments);
    assert!(told.out.contains(" UTC"), "{told:?}");
    assert!(
        told.err.contains("TZ=Europe/Nowhere is unknown"),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_a_file_that_lacks_the_prefix_is_named_with_it() {
    let bench = Bench::start(bench::small()).await;
    fs::write(
        bench.folder().join("f"),
        "ZIVVER_API_KEY=secret\nPATH=/bin\n",
    )
    .unwrap();
    let told = run(&bench, &[], &["check", "--env-file", "f"]);
    let key = "CLOUD_SYNC__ZIVVER_API_KEY is not set\n               ZIVVER_API_KEY ";
    assert!(told.out.contains(key), "{told:?}");
    assert!(
        !told.out.contains("PATH") && !told.out.contains("secret"),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_is_named_with_its_line_and_without_values() {
    let bench = Bench::start(bench::small()).await;
    for (text, error) in [
        (
            "A=1\n\nsecret value\n",
            "f, line 3: write NAME=value; a comment begins with #",
        ),
        ("A=1\nB=\"secret\n", "f, line 2: close the quote"),
        (
            "A=1\nA=secret\n",
            "f: A is set twice: remove one of the lines",
        ),
        (
            "{\"Values\": {\n\"A\": secret}}",
            "f, line 2: the JSON is invalid",
        ),
        (
            "{\"A\": \"secret\"}",
            "f: the JSON has no object `Values`, as a local.settings.json has",
        ),
        (
            "{\"Values\": {\"A\": [\"secret\"]}}",
            "f: the value of A is not a text: quote it",
        ),
        (
            "{\"IsEncrypted\": true, \"Values\": {\"A\": \"secret\"}}",
            "f: the values are encrypted: run `func settings decrypt`",
        ),
    ] {
        fs::write(bench.folder().join("f"), text).unwrap();
        let ended = run(&bench, &[], &["preview", "--env-file", "f"]);
        assert_eq!(
            (ended.code, &*ended.out, &*ended.err),
            (1, "", &*format!("error: {error}\n"))
        );
    }
    let missing = run(&bench, &[], &["preview", "--env-file", "missing"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.starts_with("error: cannot read missing: "));
    assert!(
        missing.err.ends_with("; check the path of --env-file\n"),
        "{missing:?}"
    );
}
