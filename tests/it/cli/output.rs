//! The output of the commands.

use insta::assert_snapshot;

use super::bench::{self, Bench};

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_reads_like_a_plan() {
    let bench = Bench::start(bench::small()).await;
    assert_snapshot!(bench.run(&["preview", "--skipped"]).filtered(), @r#"
    Create 2 accounts  mailboxes without an account
      + bob@corp.example  user
          name       "bob"
          R19 the mailbox has no account
      + info@corp.example  functional
          name       "info"
          delegates  + anna@corp.example
          R19 the mailbox has no account

    Held back 1 change  until a person approves them
      ! accounts that never had a mailbox: 1 change; MAX_STRAYS=0 allows none (R26)
          supplier@corp.example  suspend  active → suspended
          approve with: `cloud-sync apply --approve a8cbbd54d9`  within 24 hours; exactly these, and all changes that are not held (R27)
          or reject them: `cloud-sync reject a8cbbd54d9`  both commands take --account ADDRESS for single accounts (R47)

    Left alone 1 finding  nothing to do about it
          1  room, equipment or another kind that is not synchronised  R3
             room@corp.example  a mailbox of kind "RoomMailbox" is not synchronised

    Needs attention: 2 accounts to create, 1 change held back.
    2 writes, in less than a second at Zivver's rate. Nothing was written: `cloud-sync apply` makes these changes.
    read 4 mailboxes, 3 in scope; Zivver has 2 users and 0 functional, 2 active
    asked Exchange 5 times and Zivver 2 times
    run
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_says_what_it_did() {
    let bench = Bench::start(bench::small()).await;
    let ended = bench.run(&["apply", "bob@corp.example", "--verbose"]);
    assert_snapshot!(ended.filtered(), @r#"
    Create 1 account  mailboxes without an account
      + bob@corp.example  user  done
          name       "bob"
          R19 the mailbox has no account

    warning: state is kept on this machine only, so the lock of a function app is not seen (R29)
    only for bob@corp.example (R39)
    not listed: 1 finding about other accounts, 0 to look at; a run for all accounts lists them, and can find more, since it plans their changes too (R39)
    In sync: 1 account created.
    Converged: read again, the named accounts are as planned.
    read 4 mailboxes, 3 in scope; Zivver has 3 users and 0 functional, 3 active
    asked Exchange 5 times and Zivver 5 times
    run
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_has_facts_rules_and_the_decision() {
    let bench = Bench::start(bench::small()).await;
    assert_snapshot!(bench.run(&["explain", "info@corp.example"]).out, @r#"
    info@corp.example: create is planned

    Exchange Online
      info@corp.example "info"  SharedMailbox
        full access anna@corp.example
        object id   c3e4b7f6-3365-4630-88da-e960947ebcf7
        has no account

    Zivver
      has no account with this address

    What a run would change
      + info@corp.example  functional
          name       "info"
          delegates  + anna@corp.example
          R19 the mailbox has no account
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_those_who_want_them() {
    let bench = Bench::start(bench::small()).await;
    let colours = |arguments: &[&str]| bench.run(arguments).out.contains('\u{1b}');
    assert!(!colours(&["preview"]), "a pipe is not a terminal");
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
        &["preview", "--verbose", "--all", "--skipped"],
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

#[tokio::test(flavor = "multi_thread")]
async fn check_and_preview_count_the_same_mailboxes() {
    let (tenant, mut organisation) = bench::small();
    organisation
        .claimed_domains
        .push("brand.example".to_owned());
    let bench = Bench::start((tenant.user("carl@brand.example"), organisation)).await;
    let bench = bench.with("CLAIMED_DOMAINS", "corp.example, brand.example");
    let count = "5 mailboxes, 4 in scope; Zivver has 2 ";
    let check = bench.run(&["check"]).out;
    assert!(
        check.contains(&format!("Exchange listed {count}accounts\n")),
        "{check}"
    );
    for counted in [
        "brand.example: 1 user or shared mailbox, ",
        "corp.example: 3 user and shared mailboxes, ",
    ] {
        assert!(check.contains(counted), "{check}");
    }
    let preview = bench.run(&["preview"]).out;
    assert!(
        preview.contains(&format!("\nread {count}users ")),
        "{preview}"
    );
}
