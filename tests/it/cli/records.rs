//! Runs named by `last` or by the start of an id, with only the place of the state as a setting.

use cloud_sync::{
    domain::report::{Report, RunOutcome},
    engine::RunSummary,
};

use super::bench::{self, Bench};

#[tokio::test(flavor = "multi_thread")]
async fn r37_a_run_is_named_by_the_beginning_of_its_id_or_as_last() {
    let bench = Bench::start(bench::small()).await;
    let none = bench.run(&["runs", "last"]);
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.err.contains("there is no run yet"), "{none:?}");

    let applied: Report = bench.run(&["apply", "--json"]).json();
    let preview: Report = bench.run(&["preview", "--json"]).json();
    let beginning = &applied.id[..applied.id.len() - 5];
    let shown: Report = bench.run(&["runs", beginning, "--json"]).json();
    assert_eq!(shown, applied);
    let last: Report = bench.run(&["runs", "last", "--json"]).json();
    assert_eq!(last, preview);
    for name in [beginning, "last", &*applied.id] {
        let undo: Report = bench.run(&["undo", name, "--json"]).json();
        assert_eq!(undo.undoes.as_ref(), Some(&applied.id), "{name}");
    }

    let ambiguous = bench.run(&["runs", "2"]);
    assert_eq!((ambiguous.code, &*ambiguous.out), (1, ""));
    assert!(
        ambiguous
            .err
            .starts_with("error: 5 runs have an id that begins with \"2\": "),
        "{ambiguous:?}"
    );
    for id in [&applied.id, &preview.id] {
        assert!(ambiguous.err.contains(id.as_str()), "{ambiguous:?}");
    }
    assert!(ambiguous.err.ends_with("; write more of the id\n"));
    let writes = bench.writes();
    assert_eq!(bench.run(&["undo", "2", "--apply"]).code, 1);
    for name in ["3", "", "LAST", &applied.id[1..]] {
        assert_eq!(bench.run(&["undo", name, "--apply"]).code, 1, "{name}");
    }
    assert_eq!(bench.writes(), writes);
}

#[tokio::test(flavor = "multi_thread")]
async fn r37_the_undo_of_a_run_that_is_undone_says_so() {
    let bench = Bench::start(bench::small()).await;
    let applied: Report = bench.run(&["apply", "--json"]).json();
    let warned = format!("warning: run {} was undone by run ", applied.id);
    let first = bench.run(&["undo", &applied.id]).out;
    assert!(!first.contains(&warned), "{first}");
    let undo: Report = bench
        .run(&["undo", &applied.id, "--apply", "--json"])
        .json();
    assert_eq!(undo.outcome, RunOutcome::Done);
    let again = bench.run(&["undo", &applied.id]).out;
    assert!(again.contains(&format!("{warned}{}: ", undo.id)), "{again}");
    assert!(
        again.contains("\nDone: nothing is left to take back.\n"),
        "{again}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_of_the_history_is_shown_with_its_cause() {
    let bench = Bench::start(bench::small()).await;
    let bench = bench.with("ZIVVER_API_KEY", "Z1.1.2.d3Jvbmc");
    let failed = bench.run(&["preview"]);
    let cause = failed.err.strip_prefix("error: ").unwrap();
    assert!(cause.starts_with("target incomplete: "), "{failed:?}");
    // The command itself says it once.
    assert!(!failed.out.contains(cause), "{failed:?}");
    let id = bench.run(&["runs", "last", "--json"]).json::<Report>().id;
    for name in ["last", &*id] {
        let shown = bench.run(&["runs", name]);
        assert_eq!(shown.code, 0, "{shown:?}");
        assert!(shown.out.ends_with(cause), "{shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_after_which_a_run_wrote_promises_nothing() {
    let bench = Bench::start(bench::small()).await;
    let preview: Report = bench.run(&["preview", "--json"]).json();
    let promise = "Nothing was written: `cloud-sync apply` makes these changes.";
    let shown = bench.run(&["runs", &preview.id]);
    assert!(shown.out.contains(promise), "{shown:?}");
    bench.run(&["apply"]);
    let shown = bench.run(&["runs", &preview.id]);
    assert!(!shown.out.contains("makes these changes"), "{shown:?}");
    let followed =
        "Nothing was written. Later runs have changed accounts: a new preview shows what is left.";
    assert!(shown.out.contains(followed), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_state_is_named_by_each_command_that_finds_no_run() {
    let bench = Bench::start(bench::small()).await;
    let folder = bench.setting("STATE").trim_start_matches("file://");
    let place = format!("(no run yet in folder {folder})\n");
    for arguments in [
        &["runs", "last"][..],
        &["stop"],
        &["reject", "c0de"],
        &["reject", "--undo", "c0de"],
        &["access"],
        &["explain", "bob@corp.example", "--run", "last"],
        &["runs", "diff", "last", "last"],
    ] {
        let ended = bench.run(arguments);
        assert_eq!(ended.code, 1, "{arguments:?}: {ended:?}");
        assert!(ended.err.ends_with(&place), "{arguments:?}: {ended:?}");
    }
    for arguments in [&["runs"][..], &["reject"]] {
        let listed = bench.run(arguments);
        assert_eq!(listed.out, format!("No runs yet in folder {folder}.\n"));
    }
    let history = bench.run(&["history", "bob@corp.example"]);
    let told = format!("No run is kept in folder {folder} that could say what happened.\n");
    assert!(history.out.ends_with(&told), "{history:?}");
    // What only reads creates nothing.
    assert!(!std::path::Path::new(folder).exists());
    for arguments in [&["undo", "last"][..], &["apply", "--approve", "c0de"]] {
        let ended = bench.run(arguments);
        assert_eq!(ended.code, 1, "{arguments:?}: {ended:?}");
        assert!(ended.err.ends_with(&place), "{arguments:?}: {ended:?}");
    }
    bench.run(&["preview"]);
    let unknown = bench.run(&["reject", "c0de"]);
    assert!(!unknown.err.contains("no run yet in"), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_lists_as_many_as_asked_for() {
    let bench = Bench::start(bench::small()).await;
    let ids: Vec<String> = (0..3)
        .map(|_| bench.run(&["preview", "--json"]).json::<Report>().id)
        .collect();
    let newest: Vec<RunSummary> = bench.run(&["runs", "--limit", "2", "--json"]).json();
    let newest: Vec<&str> = newest.iter().map(|run| run.id.as_str()).collect();
    assert_eq!(newest, [&ids[2], &ids[1]]);
    for wrong in ["0", "many", "-1"] {
        let ended = bench.run(&["runs", "--limit", wrong]);
        assert_eq!((ended.code, &*ended.out), (1, ""), "{wrong}");
    }
    assert_eq!(bench.run(&["runs", "last", "--limit", "2"]).code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_needs_no_settings_but_the_place_of_the_state() {
    let bench = Bench::start(bench::small()).await;
    let report: Report = bench.run(&["preview", "--json"]).json();
    let state = [("CLOUD_SYNC__STATE", bench.setting("STATE"))];
    let runs: Vec<RunSummary> = bench::program(&state, &["runs", "--json"]).json();
    assert_eq!(runs[0].id, report.id);
    let shown: Report = bench::program(&state, &["runs", "last", "--json"]).json();
    assert_eq!(shown, report);

    let wrong = bench::program(&[("CLOUD_SYNC__STATE", "s3://bucket")], &["runs"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("is not a kind of state"), "{wrong:?}");
    assert!(!wrong.err.contains("ZIVVER_API_KEY"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r40_what_a_stored_run_said_of_an_address_needs_no_settings_but_the_place_of_the_state() {
    let bench = Bench::start(bench::small()).await;
    let applied: Report = bench.run(&["apply", "--json"]).json();
    let address = applied.actions[0].action.address.as_str();
    let state = [("CLOUD_SYNC__STATE", bench.setting("STATE"))];
    let arguments = ["explain", address, "--run", "last"];
    let told = bench::program(&state, &arguments);
    assert_eq!(told.code, 0, "{told:?}");
    let whole = format!("the whole run {} (apply), by ", applied.id);
    for text in [
        &format!("shown is only what is reported of {address}"),
        &whole,
    ] {
        assert!(told.out.contains(text.as_str()), "{text}: {told:?}");
    }
    assert!(!told.out.contains("only for"), "{told:?}");
    let report: Report = bench::program(&state, &[&arguments[..], &["--json"]].concat()).json();
    assert_eq!(report.actions[0], applied.actions[0]);
    assert!(report.accounts.is_empty(), "the run was for all accounts");
    assert!(report.actions.len() < applied.actions.len());
    let unknown = bench::program(&state, &["explain", address, "--run", "1999"]);
    assert_eq!(unknown.code, 1, "{unknown:?}");
    // R39: an address that neither side had is probably mistyped; of what was in step there is nothing to tell.
    let mistyped = bench::program(&state, &["explain", "bbo@corp.example", "--run", "last"]);
    assert_eq!((mistyped.code, &*mistyped.out), (1, ""), "{mistyped:?}");
    let near = format!(
        "bbo@corp.example: neither Exchange nor Zivver had this address in run {} (did you mean bob@corp.example?) (R39)",
        applied.id
    );
    assert!(mistyped.err.contains(&near), "{mistyped:?}");
    bench.run(&["preview"]);
    let in_step = bench::program(&state, &["explain", "bob@corp.example", "--run", "last"]);
    assert_eq!(in_step.code, 0, "{in_step:?}");
    let told = "nothing is reported of bob@corp.example";
    assert!(in_step.out.contains(told), "{in_step:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_has_the_times_of_the_zone_of_the_terminal() {
    let bench = Bench::start(bench::small()).await;
    let report: Report = bench.run(&["preview", "--json"]).json();
    let started: jiff::Timestamp = report.started.parse().unwrap();
    let there = started + jiff::SignedDuration::from_mins(5 * 60 + 45);
    for (zone, expected) in [
        ("Asia/Kathmandu", there.strftime("%Y-%m-%d %H:%M +0545")),
        ("UTC", started.strftime("%Y-%m-%d %H:%M UTC")),
        ("Europe/Nowhere", started.strftime("%Y-%m-%d %H:%M UTC")),
    ] {
        let settings = [("CLOUD_SYNC__STATE", bench.setting("STATE")), ("TZ", zone)];
        let listed = bench::program(&settings, &["runs"]);
        assert!(
            listed.out.contains(&expected.to_string()),
            "{zone}: {listed:?}"
        );
        let warning = "warning: TZ=Europe/Nowhere is unknown on this computer";
        let warns = listed.err.starts_with(warning);
        assert_eq!(warns, zone == "Europe/Nowhere", "{zone}: {listed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r37_a_run_whose_plan_was_moved_away_is_not_undone() {
    let bench = Bench::start(bench::small()).await;
    let applied: Report = bench.run(&["apply", "--json"]).json();
    let folder = bench.setting("STATE").trim_start_matches("file://");
    let plan = format!("{folder}/runs/{}/plan", applied.id);
    std::fs::remove_dir_all(&plan).unwrap();
    for name in ["last", &applied.id] {
        let undo = bench.run(&["undo", name, "--apply"]);
        assert_eq!(undo.code, 1, "{undo:?}");
        let says = format!(
            "cannot undo run {}: the record of what it changed",
            applied.id
        );
        assert!(undo.err.contains(&says), "{undo:?}");
        assert!(
            undo.err
                .contains("/plan/00000001 is unreadable: it is missing"),
            "{undo:?}"
        );
    }
}
