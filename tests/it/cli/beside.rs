//! R46: `preview --with`.

use cloud_sync::domain::report::Report;

use super::bench::{self, Bench};

#[tokio::test(flavor = "multi_thread")]
async fn r46_a_preview_under_other_settings_says_so_and_cannot_be_applied() {
    let bench = Bench::start(bench::small()).await;
    let preview = bench.run(&[
        "preview",
        "--with",
        "TARGET_FILTER=bob@corp.example",
        "--with",
        "CLOUD_SYNC__MAX_STRAYS=5",
    ]);
    assert_eq!(preview.code, 2, "{preview:?}");
    for text in [
        "under another setting (R46): MAX_STRAYS: 5 (now: 0)",
        "under another setting (R46): TARGET_FILTER: bob@corp.example (now: none)",
        "beside the plan under the present settings:",
        "- bob@corp.example  pending: create user",
        "+ supplier@corp.example  pending: suspend user",
        "- supplier@corp.example  held: suspend active → suspended",
        "this plan cannot be applied",
    ] {
        assert!(preview.out.contains(text), "{text}: {}", preview.out);
    }
    for text in ["cloud-sync apply", "approve with"] {
        assert!(!preview.out.contains(text), "{text}: {}", preview.out);
    }
    let runs = bench.run(&["runs"]);
    assert!(
        runs.out.contains("preview under other settings"),
        "{}",
        runs.out
    );

    let report: Report = bench
        .run(&["preview", "--json", "--with", "MAX_STRAYS=5"])
        .json();
    assert_eq!((report.settings.len(), report.held.len()), (1, 0));
    std::fs::write(
        bench.folder().join("plan.json"),
        serde_json::to_string(&report).unwrap(),
    )
    .unwrap();
    for (arguments, error) in [
        (
            &["apply", "plan.json"][..],
            "it was made under other settings (R46), so change the settings of the program first",
        ),
        (
            &["preview", "--with", "MAX_STRAYS=5", "--out", "plan.json"],
            "--out writes a plan to be applied",
        ),
        (
            &["preview", "--with", "MAX_STRAYS=many"],
            "CLOUD_SYNC__MAX_STRAYS",
        ),
        (
            &["preview", "--with", "STATE=memory:"],
            "a preview takes CLAIMED_DOMAINS",
        ),
        (&["preview", "--with", "MAX_STRAYS"], "write NAME=VALUE"),
    ] {
        let refused = bench.run(arguments);
        assert_eq!(refused.code, 1, "{arguments:?} {refused:?}");
        assert!(refused.err.contains(error), "{arguments:?} {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r46_a_mistyped_setting_is_answered_with_the_nearest_one() {
    let bench = Bench::start(bench::small()).await;
    for name in ["max_suspend", "MAX_SUSPNED", "CLOUD_SYNC__MAX-SUSPEND"] {
        let ended = bench.run(&["preview", "--with", &format!("{name}=3")]);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(
            ended.err.ends_with(": did you mean MAX_SUSPEND?\n"),
            "{ended:?}"
        );
    }
}
