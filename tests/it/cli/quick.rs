//! R45: quick runs that a person starts.

use cloud_sync::domain::{
    mode::Depth,
    report::{Report, RunOutcome},
};

use super::bench::{self, Bench};

#[tokio::test(flavor = "multi_thread")]
async fn r45_a_quick_preview_says_what_it_covers_and_its_plan_stays_quick() {
    let bench = Bench::start(bench::small()).await;
    let preview = bench.run(&["preview", "--quick", "--out", "plan.json"]);
    for text in [
        "a quick run: it compares status, names, addresses and aliases, and reads no permissions",
        "`cloud-sync apply --quick` makes these changes",
        "(quick preview)",
    ] {
        assert!(preview.out.contains(text), "{text}: {preview:?}");
    }
    let refused = bench.run(&["apply", "plan.json", "--quick"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused
            .err
            .contains("a plan says what is read, so it takes no --quick"),
        "{refused:?}"
    );
    let applied: Report = bench.run(&["apply", "plan.json", "--json"]).json();
    assert_eq!(applied.depth, Depth::Quick);
    assert!(
        bench
            .sandbox
            .zivver
            .state()
            .user("bob@corp.example")
            .is_some()
    );

    let again = bench.run(&["apply", "--quick"]);
    assert!(!again.out.to_lowercase().contains("in sync"), "{again:?}");
    assert!(!again.out.contains("Converged"), "{again:?}");
    assert!(
        again.out.contains(
            "status, names, addresses and aliases follow Exchange; permissions were not read (R45)"
        ),
        "{again:?}"
    );
    let report: Report = bench.run(&["apply", "--quick", "--json"]).json();
    let exchange = &report.requests.exchange.by_kind;
    assert!(
        !exchange.keys().any(|kind| kind.contains("permission")),
        "{exchange:?}"
    );
    assert_ne!(report.outcome, RunOutcome::InSync);
    let runs = bench.run(&["runs"]);
    assert!(runs.out.contains("quick apply"), "{runs:?}");
}

/// It read no permissions, so the review stays that of the full run.
#[tokio::test(flavor = "multi_thread")]
async fn r42_a_quick_run_stores_no_snapshot() {
    let bench = Bench::start(bench::small()).await;
    let full = bench.apply();
    let quick: Report = bench.run(&["apply", "--quick", "--json"]).json();
    assert_eq!(quick.depth, Depth::Quick);
    let review: serde_json::Value = bench.offline(&["access", "--json"]).json();
    assert_eq!(review["run"], full.id, "{review}");
    assert_ne!(review["rows"].as_array().unwrap().len(), 0, "{review}");
}
