//! The commands that a page names, typed as they are shown.

use cloud_sync::domain::report::Report;

use super::bench::{self, Bench};

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
    let (before, after) = ("Nothing was written: ", " makes these changes");
    assert_eq!(type_hint(&[], before, after).await.len(), 3);
    let cautious = [("CLOUD_SYNC__MAX_SUSPEND", "0")];
    let approved = type_hint(&cautious, "approve with: ", "  within 24 hours").await;
    assert_eq!(approved[3], "--approve");
}
