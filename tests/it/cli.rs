//! The built program on the command line and in scripts: against a sandbox, with a separate environment.

mod access;
mod bench;
mod beside;
mod decided;
mod drift;
mod env_file;
mod errors;
mod explained;
mod generated;
mod hints;
#[cfg(unix)]
mod interrupted;
mod output;
mod quick;
mod records;
mod report_file;
mod reviewed;
mod serving;
#[cfg(unix)]
mod terminal;

use bench::{Bench, Ended};
use cloud_sync::{
    domain::{
        explain::Explanation,
        report::{Report, RunOutcome},
    },
    sandbox::zivver::User,
};

#[tokio::test(flavor = "multi_thread")]
async fn preview_apply_and_apply_again() {
    let bench = Bench::start(bench::small()).await;

    let preview = bench.run(&["preview"]);
    assert_eq!(preview.code, 3, "{preview:?}");
    assert_eq!(bench.writes(), 0);

    let applied = bench.run(&["apply"]);
    assert_eq!(applied.code, 3, "{applied:?}");
    assert_ne!(bench.writes(), 0);
    assert!(
        bench
            .sandbox
            .zivver
            .state()
            .user("bob@corp.example")
            .is_some()
    );

    let before = bench.writes();
    let again = bench.run(&["apply", "--json"]);
    assert_eq!(again.code, 3, "{again:?}");
    assert_eq!(bench.writes(), before);
    let report: Report = again.json();
    assert_eq!(report.converged, Some(true));
    assert_eq!(report.outcome, RunOutcome::NeedsAttention);
    // What the first apply made is not news of the second one.
    let since = report.since.unwrap().compared;
    assert_eq!(
        (since.numbers, since.new_total, since.gone_total),
        (vec![], 0, 0)
    );

    let code = &report.held[0].code;
    let approved = bench.run(&["apply", "--approve", code]);
    assert_eq!(approved.code, 0, "{approved:?}");
    let state = bench.sandbox.zivver.state();
    assert!(!state.user("supplier@corp.example").unwrap().active);

    let rest = bench.run(&["preview"]);
    assert_eq!(rest.code, 0, "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r39_only_named_accounts_are_written() {
    let bench = Bench::start(bench::small()).await;
    let report: Report = bench.run(&["apply", "bob@corp.example", "--json"]).json();
    assert_eq!(report.actions.len(), 1);
    let state = bench.sandbox.zivver.state();
    assert!(state.user("bob@corp.example").is_some());
    assert!(state.group("info@corp.example").is_none());
    let rest = bench.run(&["preview", "bob@corp.example"]);
    assert_eq!(rest.code, 0, "{rest:?}");
    let pending = bench.run(&["preview", "info@corp.example"]);
    assert_eq!(pending.code, 2, "{pending:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r39_an_address_that_nobody_has_is_an_error() {
    let bench = Bench::start(bench::small()).await;
    for command in ["preview", "apply"] {
        let ended = bench.run(&[command, "bob@corp.example", "ana@corp.example"]);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert_eq!(
            ended.err,
            "error: no mailbox and no account has the address ana@corp.example (did you mean anna@corp.example?); nothing \
             is written: correct it and start again (R39)\n"
        );
        assert!(!ended.out.contains("onverged"), "{ended:?}");
        assert!(!ended.out.contains("supplier"), "{ended:?}");
    }
    assert_eq!(bench.writes(), 0);
    let report: Report = bench.run(&["preview", "ana@corp.example", "--json"]).json();
    assert_eq!(report.outcome, RunOutcome::Failed);
    assert_eq!(report.unknown_accounts.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r39_an_address_that_is_not_known_is_not_explained() {
    let bench = Bench::start(bench::small()).await;
    for (address, suggestion) in [
        ("nobody@corp.example", ""),
        ("Ana@corp.example", " (did you mean anna@corp.example?)"),
    ] {
        let ended = bench.run(&["explain", address]);
        assert_eq!((ended.code, &*ended.out), (1, ""), "{ended:?}");
        let address = address.to_lowercase();
        assert_eq!(
            ended.err,
            format!(
                "error: {address}: neither Exchange nor Zivver knows this address{suggestion} (R39)\n"
            )
        );
        let ended = bench.run(&["explain", &address, "--json"]);
        let explanation: Explanation = ended.json();
        assert_eq!((ended.code, explanation.address), (1, address));
        assert!(explanation.unknown.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r39_the_report_is_about_the_named_accounts() {
    let bench = Bench::start(bench::small()).await;
    let all = bench.run(&["preview"]);
    assert!(all.out.contains("1 other kind of mailbox") || all.out.contains("Left alone"));
    let room = bench.run(&["preview", "room@corp.example"]);
    // Its notes are shown by default, and it is not counted twice.
    assert!(
        room.out.contains("room@corp.example  a mailbox of kind"),
        "{room:?}"
    );
    assert!(!room.out.contains("not listed"), "{room:?}");
    let anna = bench.run(&["apply", "anna@corp.example"]);
    assert_eq!(anna.code, 0, "{anna:?}");
    assert!(!anna.out.contains("room@"), "{anna:?}");
    assert!(
        anna.out.contains(
            "not listed: 1 finding about other accounts, 0 to look at; a run for all accounts lists them, and can find more, since it plans their changes too (R39)"
        ),
        "{anna:?}"
    );
    assert!(
        anna.out
            .contains("Converged: read again, the named accounts are as planned."),
        "{anna:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r40_explain_answers_for_any_address() {
    let bench = Bench::start(bench::small()).await;
    for (address, code, verdict) in [
        (
            "anna@corp.example",
            0,
            "in sync: nothing is to change (R38)",
        ),
        ("BOB@corp.example", 2, "create is planned"),
        (
            "supplier@corp.example",
            3,
            "suspend is held: 1 change; MAX_STRAYS=0 allows none (R26)",
        ),
    ] {
        let explained = bench.run(&["explain", address]);
        assert_eq!(explained.code, code, "{explained:?}");
        let lower = address.to_lowercase();
        assert!(
            explained.out.starts_with(&format!("{lower}: {verdict}\n")),
            "{explained:?}"
        );
        let json: Explanation = bench.run(&["explain", address, "--json"]).json();
        assert_eq!((json.address, json.verdict), (lower, verdict.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_lists_the_history_and_shows_a_report_again() {
    let bench = Bench::start(bench::small()).await;
    assert!(bench.run(&["runs"]).out.starts_with("No runs yet in "));
    bench.run(&["preview"]);
    let preview = bench.run(&["preview"]);
    assert!(preview.filtered().contains("since run: nothing changed"));
    let report: Report = bench.run(&["preview", "--json"]).json();
    let runs = bench.run(&["runs"]);
    assert_eq!(runs.out.lines().count(), 7, "{runs:?}");
    assert_eq!(runs.code, 0);
    let shown = bench.run(&["runs", &report.id]);
    assert_eq!(shown.code, 0);
    assert_eq!(shown.filtered(), preview.filtered());
    let again: Report = bench.run(&["runs", &report.id, "--json"]).json();
    assert_eq!(again, report);
}

/// Neither addresses nor secrets are logged, whatever happens during the run.
#[tokio::test(flavor = "multi_thread")]
async fn stderr_at_info_has_no_address_and_no_secret() {
    let bench = Bench::start(bench::small()).await;
    let bench = bench.with("LOG_LEVEL", "info");
    bench.sandbox.zivver.control().fail_next(503);
    bench.sandbox.exchange.control().fail_next(503);
    let ended: [Ended; 3] = [
        bench.run(&["preview"]),
        bench.run(&["apply"]),
        bench.run(&["explain", "bob@corp.example"]),
    ];
    for ended in ended {
        assert!(!ended.err.contains("corp.example"), "{}", ended.err);
        for secret in bench.secrets() {
            assert!(!ended.err.contains(secret), "{}", ended.err);
            assert!(!ended.out.contains(secret), "{}", ended.out);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_ends_well() {
    let ended = bench::program(&[], &["demo", "--mailboxes", "60"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.err, "");
    assert!(!ended.out.contains("NO "), "{}", ended.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn r47_some_of_a_set_are_approved_and_others_rejected() {
    let (tenant, mut organisation) = bench::small();
    organisation = organisation.with_user(User::new("guest@corp.example", "Guest"));
    let bench = Bench::start((tenant, organisation)).await;
    let is_active = |address: &str| {
        let state = bench.sandbox.zivver.state();
        state.user(address).is_some_and(|user| user.active)
    };
    let preview: Report = bench.run(&["preview", "--json"]).json();
    let code = &preview.held[0].code;
    let rejected = bench.run(&["reject", code, "--account", "supplier@corp.example"]);
    assert_eq!(rejected.code, 0, "{rejected:?}");
    assert!(
        rejected.out.starts_with("Rejected 1 change\n"),
        "{rejected:?}"
    );
    assert!(
        rejected
            .out
            .contains("supplier@corp.example  suspend  active → suspended")
    );
    let approved = bench.run(&[
        "apply",
        "--approve",
        code,
        "--account",
        "guest@corp.example",
    ]);
    assert_eq!(approved.code, 0, "{approved:?}");
    assert!(
        approved
            .out
            .contains("1  change that a person has rejected  R47"),
        "{approved:?}"
    );
    assert!(is_active("supplier@corp.example") && !is_active("guest@corp.example"));

    let listed = bench.run(&["reject"]);
    assert!(listed.out.contains(code), "{listed:?}");
    let wrong = bench.run(&["reject", "--undo", "c0de"]);
    assert_eq!(wrong.code, 1);
    let taken = bench.run(&["reject", "--undo", code]);
    assert!(
        taken.out.starts_with("No longer rejected 1 change\n"),
        "{taken:?}"
    );
    assert!(
        bench
            .run(&["reject"])
            .out
            .starts_with("Nothing is rejected.\n")
    );
    let held = bench.run(&["preview"]);
    assert_eq!(held.code, 3, "{held:?}");
    for arguments in [
        &["apply", "--account", "a@corp.example"][..],
        &["reject", "--undo"],
        &["reject", "--account", "a@corp.example"],
    ] {
        assert_eq!(bench.run(arguments).code, 1, "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r34_a_run_is_stopped_from_another_terminal() {
    let bench = Bench::start(bench::small()).await;
    let nothing = bench.run(&["stop"]);
    assert_eq!(nothing.code, 1, "{nothing:?}");
    assert!(
        nothing.err.contains("there is nothing to stop"),
        "{nothing:?}"
    );
    let exchange = bench.sandbox.exchange.control();
    exchange.set_latency(std::time::Duration::from_secs(60));
    let running = bench.begin(&["apply"]);
    let stopped = loop {
        let stopped = bench.run(&["stop"]);
        if stopped.code == 0 {
            break stopped;
        }
    };
    let told = "stops within seconds, after what is in flight, or ends normally if all its changes are made\n";
    assert!(stopped.out.ends_with(told), "{stopped:?}");
    let ended = tokio::task::block_in_place(|| running.wait_with_output()).unwrap();
    let ended: Ended = ended.into();
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("Stopped by a person"), "{ended:?}");
    assert!(bench.run(&["runs"]).out.contains("stopped by a person"));
    assert_eq!(bench.writes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r47_a_go_live_goes_in_waves() {
    let bench = Bench::start(bench::small()).await;
    let has = |address: &str| bench.sandbox.zivver.state().user(address).is_some();
    let preview = bench.run(&["preview", "--only", "create,update", "--first", "1"]);
    assert!(
        preview
            .out
            .contains("restricted with --only create,update --first 1 (R47)"),
        "{preview:?}"
    );
    let hint = "`cloud-sync apply --only create,update --first 1` makes these changes";
    assert!(preview.out.contains(hint), "{preview:?}");
    let first = bench.run(&["apply", "--only", "create,update", "--first", "1"]);
    assert_eq!(first.code, 3, "{first:?}");
    assert!(first.out.contains("1  change left for later"), "{first:?}");
    assert!(has("bob@corp.example"));
    assert!(
        bench
            .sandbox
            .zivver
            .state()
            .group("info@corp.example")
            .is_none()
    );
    let report: Report = bench.run(&["apply", "--only", "resume", "--json"]).json();
    assert_eq!((report.actions.len(), report.counts.leave_out()), (0, true));

    let before = bench.sandbox.zivver.control().journal().len();
    bench.run(&["preview", "--out", "plan.json"]);
    let read = bench.sandbox.zivver.control().journal().len();
    assert_ne!(before, read);
    for (arguments, error) in [
        (&["--only", "delete"][..], "is not a kind of action"),
        (&["--first", "0"], "write a whole number from 1"),
        (&["--only", "approved"], "no code is given"),
        (
            &["plan.json", "--first", "1"],
            "takes neither --only nor --first",
        ),
    ] {
        let ended = bench.run(&[&["apply"], arguments].concat());
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.err.contains(error), "{ended:?}");
    }
    assert_eq!(bench.sandbox.zivver.control().journal().len(), read);
}
