//! What is on the screen.

use insta::assert_snapshot;

use super::bench::{self, Bench};

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_reads_like_a_plan() {
    let bench = Bench::start(bench::small()).await;
    assert_snapshot!(bench.run(&["preview", "--skipped"]).filtered(), @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_says_what_it_did() {
    let bench = Bench::start(bench::small()).await;
    let ended = bench.run(&["apply", "bob@corp.example", "--verbose"]);
    assert_snapshot!(ended.filtered(), @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_has_facts_rules_and_the_decision() {
    let bench = Bench::start(bench::small()).await;
    assert_snapshot!(bench.run(&["explain", "info@corp.example"]).out, @"");
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_those_who_want_them() {
    let bench = Bench::start(bench::small()).await;
    let colours = |arguments: &[&str]| bench.run(arguments).out.contains('\u{1b}');
    assert!(!colours(&["preview"]), "a pipe is no terminal");
    assert!(colours(&["preview", "--color", "always"]));
    assert!(!colours(&["preview", "--color", "never"]));
    assert!(!colours(&["preview", "--json", "--color", "always"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_strangers_are_inert() {
    let (mut tenant, organisation) = bench::small();
    let name = "Bob\u{1b}[2J\u{202e}\nHeld back nothing";
    tenant.mailbox_mut("bob@corp.example").unwrap().display_name = name.to_owned();
    let bench = Bench::start((tenant, organisation)).await;
    for arguments in [
        &["preview"][..],
        &["preview", "--json"],
        &["explain", "bob@corp.example"],
        &["explain", "bob@corp.example", "--json"],
    ] {
        let ended = bench.run(arguments);
        assert!(!ended.out.contains(['\u{1b}', '\u{202e}']), "{ended:?}");
        assert!(!ended.out.contains("\nHeld back nothing"), "{ended:?}");
        assert!(
            ended.out.contains("u{1b}") || ended.out.contains("u001b"),
            "{ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_are_cut_unless_all_is_asked_for() {
    let (mut tenant, organisation) = bench::small();
    for number in 0..30 {
        tenant = tenant.user(&format!("user{number:02}@corp.example"));
    }
    let bench = Bench::start((tenant, organisation)).await;
    let cut = bench.run(&["preview"]).out;
    // 30 users, Bob and Info, of which 20 are shown.
    assert!(cut.contains("… and 12 more (--all)"), "{cut}");
    let all = bench.run(&["preview", "--all"]).out;
    assert!(!all.contains("more (--all)"), "{all}");
    assert!(all.contains("user29@corp.example"), "{all}");
}
