//! Runs the commands that a page shows.

use std::collections::BTreeSet;

use cloud_sync::domain::{
    plan::Action,
    report::{Report, RunOutcome},
};

use super::bench::{self, Bench, Ended};

/// The arguments of the command between two texts of a page.
fn hint(page: &str, before: &str, after: &str) -> Vec<String> {
    let (_, rest) = page.split_once(before).unwrap_or_else(|| panic!("{page}"));
    let (command, _) = rest.split_once(after).unwrap_or_else(|| panic!("{page}"));
    let arguments = command.strip_prefix("cloud-sync ").unwrap();
    arguments.split(' ').map(str::to_owned).collect()
}

/// An apply, a preview of its undo under these settings, and the command between two texts of that preview.
async fn type_hint(cautious: &[(&str, &str)], before: &str, after: &str) -> Vec<String> {
    let bench = Bench::start(bench::small()).await;
    let is_active = || {
        let state = bench.sandbox.zivver.state();
        state
            .user("bob@corp.example")
            .is_some_and(|user| user.active)
    };
    let applied: Report = bench.run(&["apply", "--json"]).json();
    assert!(is_active());
    let writes = bench.writes();
    let preview = bench.run_with(cautious, &["undo", &applied.id]);
    assert_eq!(bench.writes(), writes, "{preview:?}");
    assert!(preview.out.contains("bob@corp.example"), "{preview:?}");
    let command = hint(&preview.out, before, after);
    assert_eq!(command[..3], ["undo", &*applied.id, "--apply"]);
    let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
    let undone = bench.run_with(cautious, &arguments);
    assert_ne!(undone.code, 1, "{undone:?}");
    assert!(!is_active(), "{undone:?}");
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn r37_the_commands_of_an_undo_do_what_its_page_shows() {
    let (before, after) = ("Nothing was written: `", "` makes these changes");
    assert_eq!(type_hint(&[], before, after).await.len(), 3);
    let cautious = [("CLOUD_SYNC__MAX_SUSPEND", "0")];
    let approved = type_hint(&cautious, "approve with: `", "`  within 24 hours").await;
    assert_eq!(approved[3], "--approve");
}

/// The text around the command that makes the changes of a page.
const APPLY: (&str, &str) = ("Nothing was written: `", "` makes these changes");
const RELEASE: (&str, &str) = ("approve with: `", "`  within 24 hours");

/// Runs the command that a page shows.
fn follow(bench: &Bench, page: &Ended, (before, after): (&str, &str)) -> Report {
    let command = hint(&page.out, before, after);
    let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
    bench.run(&[&arguments[..], &["--json"]].concat()).json()
}

/// The changes of the last run.
fn shown(bench: &Bench) -> BTreeSet<String> {
    actions(&bench.run(&["runs", "last", "--json"]).json())
}

fn actions(report: &Report) -> BTreeSet<String> {
    // The origins differ, since a run after a preview knows what the preview saw (R44).
    let in_words = |action: &Action| {
        let changes = action.changes.iter();
        let changes = changes.map(|it| (it.attribute, &it.before, &it.after));
        let changes: Vec<_> = changes.collect();
        format!("{:?} {} {changes:?}", action.kind, action.address)
    };
    report
        .actions
        .iter()
        .map(|it| in_words(&it.action))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_r39_r47_the_command_of_a_preview_makes_what_it_shows() {
    for arguments in [
        &["preview"][..],
        &["preview", "bob@corp.example"],
        &["preview", "--only", "create", "--first", "1"],
    ] {
        let bench = Bench::start(bench::small()).await;
        let preview = bench.run(arguments);
        let planned = shown(&bench);
        assert!(!planned.is_empty());
        let applied = follow(&bench, &preview, APPLY);
        assert_eq!(actions(&applied), planned, "{arguments:?}");
        assert_eq!(applied.converged, Some(true), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_the_command_of_a_saved_plan_makes_what_it_shows() {
    let bench = Bench::start(bench::small()).await;
    let preview = bench.run(&["preview", "--out", "plan.json"]);
    let planned = shown(&bench);
    let (_, command) = preview.err.split_once(": `cloud-sync ").unwrap();
    let (command, _) = command.split_once("` makes exactly these changes").unwrap();
    let arguments: Vec<&str> = command.split(' ').chain(["--json"]).collect();
    assert_eq!(actions(&bench.run(&arguments).json()), planned);
}

#[tokio::test(flavor = "multi_thread")]
async fn r27_r39_the_command_of_a_held_set_makes_what_it_shows() {
    for arguments in [
        &["preview"][..],
        &["preview", "supplier@corp.example"],
        &["preview", "--only", "create"],
    ] {
        let bench = Bench::start(bench::small()).await;
        let preview = bench.run(arguments);
        bench.run(&["runs", "last", "--report", "page.html"]);
        let html = std::fs::read_to_string(bench.folder().join("page.html")).unwrap();
        let is_wave = arguments.contains(&"--only");
        for page in [&preview.out, &html] {
            let others = page.contains("exactly these, and all changes that are not held");
            assert_eq!(others, !is_wave, "{page}");
            assert_eq!(page.contains("exactly these changes"), is_wave, "{page}");
        }
        let released = follow(&bench, &preview, RELEASE);
        let is_made = |action: &&str| action.starts_with("Suspend supplier@corp.example");
        let made = actions(&released);
        assert_eq!(made.iter().map(String::as_str).filter(is_made).count(), 1);
        let is_for_all = arguments.len() == 1;
        assert_eq!(made.len(), if is_for_all { 3 } else { 1 }, "{arguments:?}");
        let state = bench.sandbox.zivver.state();
        assert!(!state.user("supplier@corp.example").unwrap().active);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r47_the_new_address_of_a_held_rename_leads_to_its_account() {
    let bench = Bench::start(bench::small()).await.with("MAX_RENAMES", "0");
    bench.sandbox.exchange.with_state(|tenant| {
        let anna = tenant.mailbox_mut("anna@corp.example").unwrap();
        anna.primary_smtp_address = "ann@corp.example".to_owned();
        anna.email_addresses = vec!["SMTP:ann@corp.example".to_owned()];
    });
    let preview: Report = bench.run(&["preview", "--json"]).json();
    let mut sets = preview.held.iter();
    let set = sets.find(|it| it.changes[0].what == "rename").unwrap();
    for command in [
        &["apply", "--approve", &set.code][..],
        &["reject", &set.code],
    ] {
        let ended = bench.run(&[command, &["--account", "ann@corp.example"]].concat());
        assert_eq!(ended.code, 1, "{ended:?}");
        let told = "belongs to ann@corp.example, but one of the account anna@corp.example names it: give anna@corp.example; ";
        assert!(ended.err.contains(told), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r47_the_command_of_a_held_set_rejects_what_it_shows() {
    let bench = Bench::start(bench::small()).await;
    let preview = bench.run(&["preview"]);
    let command = hint(&preview.out, "or reject them: `", "`  both");
    let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
    assert_eq!(bench.run(&arguments).code, 0);
    let again: Report = bench.run(&["preview", "--json"]).json();
    assert_eq!(
        (again.held.len(), again.outcome),
        (0, RunOutcome::ChangesPending)
    );
    let applied = bench.run(&["apply", "--yes"]).out;
    for text in [
        "follows Exchange, apart from what is rejected.",
        "\nRejected ",
        "\n         supplier@corp.example  rejected by ",
    ] {
        assert!(applied.contains(text), "{text}: {applied}");
    }
    let nothing = bench.run(&["preview"]).out;
    let text = "nothing to change, apart from what is rejected";
    assert!(nothing.contains(text), "{nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_where_nothing_may_write_a_page_says_what_to_set_first() {
    let bench = Bench::start(bench::small()).await;
    let bench = bench.with("PERFORM_SYNC", "false");
    let preview = bench.run(&["preview", "--out", "plan.json"]);
    let planned = shown(&bench);
    let told = "PERFORM_SYNC is false, which forbids to apply: set CLOUD_SYNC__PERFORM_SYNC=on-demand first (R28)";
    assert!(
        preview.out.contains(told) && preview.err.contains(told),
        "{preview:?}"
    );
    let command = hint(&preview.out, APPLY.0, APPLY.1);
    let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
    arguments.push("--json");
    let refused = bench.run(&arguments);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_eq!(bench.writes(), 0);
    // As the output says.
    let (_, set) = preview.out.split_once("set CLOUD_SYNC__").unwrap();
    let (name, value) = set.split_once(" first").unwrap().0.split_once('=').unwrap();
    let bench = bench.with(name, value);
    assert_eq!(actions(&bench.run(&arguments).json()), planned);
    assert!(!bench.run(&["preview"]).out.contains("PERFORM_SYNC"));
}

#[tokio::test(flavor = "multi_thread")]
async fn r41_with_four_eyes_no_page_shows_a_command_that_approves() {
    let bench = Bench::start(bench::small()).await;
    let bench = bench.with("FOUR_EYES", "true");
    let how = "to approve: the schedule, or a preview on the dashboard, signed in with Microsoft Entra, must hold it \
               too; then another person than the one who started that preview approves it there (FOUR_EYES, R41)";
    for arguments in [
        &["preview"][..],
        &["runs", "last"],
        &["explain", "supplier@corp.example"],
        &["explain", "supplier@corp.example", "--live"],
        &["apply", "--yes"],
    ] {
        let page = bench.run(arguments).out;
        assert!(page.contains(how), "{arguments:?}: {page}");
        assert!(!page.contains("--approve"), "{arguments:?}: {page}");
    }
    let check = bench.run(&["check"]).out;
    let second = "FOUR_EYES is true: another signed-in person approves what a run held, on the dashboard, and no command does (R41)";
    assert!(check.contains(second), "{check}");
    let tip = bench.run(&["approve", "0000"]).err;
    assert!(
        tip.contains("with FOUR_EYES=true another person approves it on the dashboard"),
        "{tip}"
    );
    let preview = bench.run(&["preview"]).out;
    let reject = "or reject them: `cloud-sync reject ";
    let (_, command) = preview.split_once(reject).unwrap();
    assert!(command.contains("it takes --account ADDRESS"), "{preview}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r41_with_four_eyes_the_code_of_an_undo_is_approved_by_a_second_person() {
    let bench = Bench::start(bench::small()).await;
    let applied: Report = bench.run(&["apply", "--json"]).json();
    let bench = bench.with("FOUR_EYES", "true").with("MAX_SUSPEND", "0");
    let undo: Report = bench.run(&["undo", &applied.id, "--json"]).json();
    let refused = bench.run(&["apply", "--yes", "--approve", &undo.held[0].code]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let how = format!(
        "the undo of run {} has shown it; to approve it: the schedule, ",
        applied.id
    );
    assert!(refused.err.contains(&how), "{refused:?}");
    assert!(!refused.err.contains("--approve"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r27_codes_in_one_argument_are_refused_with_the_remedy() {
    for command in [&["apply"][..], &["undo", "last", "--apply"]] {
        let arguments = [command, &["--approve", "a8cbbd54d9,0123456789"]].concat();
        let ended = bench::program(&[], &arguments);
        let remedy = "name one code, and repeat the option for each other one";
        assert!(ended.code == 1 && ended.err.contains(remedy), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r42_the_only_run_is_compared_with_no_other() {
    let bench = Bench::start(bench::small()).await;
    let only: Report = bench.run(&["preview", "--json"]).json();
    let diff = bench.run(&["runs", "diff", "last"]);
    let error = format!(
        "error: no full run for all accounts before run {} is kept: there is nothing to compare it with (R42)\n",
        only.id
    );
    assert_eq!((diff.code, diff.err), (1, error));
}
