//! A report as a file: its formats, and the CSV for spreadsheets.

use std::fs;

use cloud_sync::{domain::report::Report, sandbox::exchange::Tenant};

use super::bench::{self, Bench};

/// Two of three delegates of one functional account are new.
async fn bench() -> Bench {
    let (_, organisation) = bench::small();
    let tenant = Tenant::new("corp.example")
        .user("anna@corp.example")
        .user("bob@corp.example")
        .shared("info@corp.example")
        .full_access("info@corp.example", "anna@corp.example")
        .full_access("info@corp.example", "bob@corp.example");
    Bench::start((tenant, organisation)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_written_in_the_form_that_its_extension_tells() {
    let bench = bench().await;
    let plain = bench.run(&["preview"]);
    for (file, more, begins) in [
        ("report.html", &[][..], "<!doctype html>"),
        ("report.csv", &[], "\u{feff}\"record\",\"address\""),
        ("report.HTML", &[], "<!doctype html>"),
        ("report", &["--format", "csv"], "\u{feff}\"record\",\""),
        ("report.txt", &["--format", "html"], "<!doctype html>"),
        (
            "dutch.csv",
            &["--separator", ";"],
            "\u{feff}\"record\";\"address\"",
        ),
    ] {
        let arguments = [&["preview", "--report", file], more].concat();
        let ended = bench.run(&arguments);
        assert_eq!(ended.code, plain.code, "{ended:?}");
        assert_eq!(ended.err, format!("The report is in {file}.\n"));
        let text = fs::read_to_string(bench.folder().join(file)).unwrap();
        assert!(text.starts_with(begins), "{file}: {text}");
        assert!(text.contains("info@corp.example"), "{file}: {text}");
    }
    let report: Report = bench
        .run(&["preview", "--report", "r.csv", "--json"])
        .json();
    let csv = fs::read_to_string(bench.folder().join("r.csv")).unwrap();
    let stored = bench.run(&["runs", &report.id, "--report", "again.csv"]);
    assert_eq!(stored.code, 0, "{stored:?}");
    let again = fs::read_to_string(bench.folder().join("again.csv")).unwrap();
    assert_eq!(again, csv);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_has_one_address_in_a_row_and_ends_with_what_sums_it_up() {
    let bench = bench().await;
    bench.run(&["preview", "--report", "r.csv", "--separator", ";"]);
    let text = fs::read_to_string(bench.folder().join("r.csv")).unwrap();
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(b';')
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let delegates: Vec<&str> = rows
        .iter()
        .filter(|row| &row[0] == "action" && &row[5] == "delegates")
        .map(|row| &row[7])
        .collect();
    assert_eq!(delegates, ["anna@corp.example", "bob@corp.example"]);
    assert_eq!(&rows[0][0], "action");
    let first_sum = rows.iter().position(|row| &row[0] == "run").unwrap();
    assert!(
        rows[first_sum..]
            .iter()
            .all(|row| ["run", "filter", "warning"].contains(&&row[0])),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_not_known_starts_no_run() {
    let bench = bench().await;
    for (arguments, text) in [
        (
            &["apply", "--report", "report.xlsx"][..],
            "error: the extension of report.xlsx is not html or csv: add --format (for JSON use --json, for a plan `preview --out`)\n",
        ),
        (
            &["preview", "--out", "plan.csv"],
            "error: --out writes a plan, which is JSON: name it like plan.json; for a page or a table use --report plan.csv\n",
        ),
        (
            &["apply", "--report", "r.html", "--separator", ";"],
            "error: --separator is for CSV: remove it, or add --format csv\n",
        ),
        (
            &["runs", "--report", "r.csv"],
            "error: --report writes the report of one run: name it, such as `cloud-sync runs last --report FILE`\n",
        ),
    ] {
        let ended = bench.run(arguments);
        assert_eq!((ended.code, &*ended.err), (1, text));
    }
    assert_eq!(bench.run(&["apply", "--format", "csv"]).code, 1);
    assert_eq!(bench.writes(), 0);
    assert!(bench.run(&["runs"]).out.starts_with("No runs yet"));

    for arguments in [
        ["preview", "--report", "missing/r.csv"],
        ["preview", "--out", "missing/plan.json"],
    ] {
        let ended = bench.run(&arguments);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(
            ended
                .err
                .ends_with("the folder missing does not exist; create it\n"),
            "{ended:?}"
        );
    }
    assert!(bench.run(&["runs"]).out.starts_with("No runs yet"));

    fs::create_dir(bench.folder().join("taken.csv")).unwrap();
    fs::write(bench.folder().join("notdir"), "").unwrap();
    for command in [&["preview", "--report"][..], &["preview", "--out"]] {
        for (file, wrong) in [
            ("taken.csv", "it is a folder; name a file in it"),
            (
                "notdir/r.csv",
                "notdir is a file, not a folder; choose another path",
            ),
        ] {
            let ended = bench.run(&[command, &[file]].concat());
            let error = format!("error: cannot write {file}: {wrong}\n");
            assert_eq!((ended.code, ended.err), (1, error));
        }
    }
    assert!(bench.run(&["runs"]).out.starts_with("No runs yet"));
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_was_not_written_can_be_written_again() {
    let bench = bench().await;
    let ended = bench.run(&["preview", "--report", "/proc/r.csv"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let (_, remedy) = ended.err.split_once("; `cloud-sync ").unwrap();
    let (command, _) = remedy.split_once('`').unwrap();
    let command = command.replace("FILE", "r.csv");
    let arguments: Vec<&str> = command.split(' ').collect();
    assert_eq!(bench.run(&arguments).code, 0);
    assert!(bench.folder().join("r.csv").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_replaces_no_file_that_is_not_a_report() {
    let bench = bench().await;
    bench.run(&["apply"]);
    fs::write(bench.folder().join("empty.csv"), "").unwrap();
    let reports = [
        &["preview", "--report", "r.html"][..],
        &["preview", "--report", "r.csv"],
        &["preview", "--report", "r.csv", "--separator", ";"],
        &["preview", "--report", "empty.csv"],
        &["runs", "last", "--report", "r.html"],
        &["access", "--out", "a.html"],
        &["access", "--out", "a.csv"],
        &["access", "--out", "a.csv", "--separator", ";"],
        &["access", "--out", "a.json"],
    ];
    for arguments in [reports, reports].concat() {
        let ended = bench.run(arguments);
        assert!(ended.err.contains(" is in "), "{arguments:?}: {ended:?}");
    }
    let before = bench.sandbox.zivver.control().journal().len();
    let page = "<!doctype html><title>Another page</title>";
    let access = &["access", "--out"][..];
    let all = &[
        access,
        &["preview", "--report"],
        &["apply", "--report"],
        &["undo", "last", "--report"],
        &["runs", "last", "--report"],
    ][..];
    for (file, content, format, commands) in [
        ("prod.env", "CLOUD_SYNC__STATE=x\n", "csv", all),
        ("other.html", page, "html", all),
        ("other.json", "{}", "json", &[access]),
    ] {
        fs::write(bench.folder().join(file), content).unwrap();
        for command in commands {
            let ended = bench.run(&[*command, &[file, "--format", format]].concat());
            let error = format!(
                "error: cannot write the report to {file}: the file exists and is not a report; choose another name, or delete it\n"
            );
            assert_eq!((ended.code, ended.err), (1, error), "{command:?}");
        }
        let kept = fs::read_to_string(bench.folder().join(file)).unwrap();
        assert_eq!(kept, content);
    }
    assert_eq!(bench.sandbox.zivver.control().journal().len(), before);
}
