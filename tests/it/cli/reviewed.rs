//! R28: an apply of exactly the changes that a preview showed.

use std::fs;

use cloud_sync::{
    domain::{
        note::Code,
        report::{Report, RunOutcome},
    },
    sandbox::exchange::Mailbox,
};

use super::bench::{self, Bench};

fn hire(bench: &Bench, address: &str) {
    bench.sandbox.exchange.with_state(|tenant| {
        tenant.mailboxes.push(Mailbox::user(address));
    });
}

fn has_user(bench: &Bench, address: &str) -> bool {
    bench.sandbox.zivver.state().user(address).is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_in_a_file_is_applied_exactly() {
    let bench = Bench::start(bench::small()).await;
    let preview = bench.run(&["preview", "--out", "my plan.json"]);
    assert_eq!(preview.code, 3, "{preview:?}");
    assert_eq!(
        preview.err,
        "the plan is in my plan.json: `cloud-sync apply 'my plan.json'` makes exactly these changes\n"
    );
    hire(&bench, "carl@corp.example");
    let applied = bench.run(&["apply", "my plan.json", "--json"]);
    assert_eq!(applied.code, 3, "{applied:?}");
    let report: Report = applied.json();
    assert_eq!(report.converged, Some(true));
    assert_eq!(report.held.len(), 1, "what is held stays held");
    let left: Vec<&str> = report
        .skipped
        .iter()
        .filter(|note| note.code == Code::NotReviewed)
        .map(|note| note.address.as_str())
        .collect();
    assert_eq!(left, ["carl@corp.example"]);
    assert!(has_user(&bench, "bob@corp.example") && !has_user(&bench, "carl@corp.example"));

    let again = bench.run(&["apply", "my plan.json"]);
    for text in [
        "reviewed change that was already made",
        "Left for a later run 1 finding",
        "change left for later, since the run was restricted to others",
        "carl@corp.example",
    ] {
        assert!(again.out.contains(text), "{text}: {again:?}");
    }
    for text in ["Converged", "not made", "no longer planned"] {
        assert!(!again.out.contains(text), "{text}: {again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_an_account_whose_plan_was_made_before_is_in_sync() {
    let bench = Bench::start(bench::small()).await;
    bench.run(&["preview", "--out", "plan.json"]);
    bench.run(&["apply", "plan.json"]);
    let again = bench.run(&["apply", "plan.json", "--skipped"]);
    assert!(again.out.contains("already made: "), "{again:?}");
    let explained = bench.run(&["explain", "bob@corp.example"]);
    let verdict = "bob@corp.example: in sync: nothing is to change (R38)\n";
    assert!(explained.out.starts_with(verdict), "{explained:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r28_reviewed_changes_that_are_not_made_are_listed_and_counted() {
    let bench = Bench::start(bench::small()).await;
    bench.run(&["preview", "--out", "plan.json"]);
    bench.sandbox.exchange.with_state(|tenant| {
        let bob = tenant.mailbox_mut("bob@corp.example").unwrap();
        bob.account_disabled = Some(true);
        let info = tenant.mailbox_mut("info@corp.example").unwrap();
        info.permissions.clear();
    });
    let applied = bench.run(&["apply", "plan.json"]).out;
    let (_, listed) = applied
        .split_once("Not made ")
        .unwrap_or_else(|| panic!("{applied}"));
    let (number, _) = listed.split_once(" reviewed changes").unwrap();
    let in_words = "@corp.example  not made: ";
    assert_eq!(
        applied.matches(in_words).count().to_string(),
        number,
        "{applied}"
    );
    let counted = format!(", {number} reviewed changes not made");
    assert!(applied.contains(&counted), "{applied}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_one_account_is_for_that_account() {
    let bench = Bench::start(bench::small()).await;
    let preview = bench.run(&["preview", "bob@corp.example", "--out", "bob.json"]);
    assert!(
        preview.out.contains(
            "Nothing was written: `cloud-sync apply bob@corp.example` makes these changes."
        ),
        "{preview:?}"
    );
    let report: Report = bench.run(&["apply", "bob.json", "--json"]).json();
    assert_eq!(report.accounts.len(), 1);
    assert_eq!(report.outcome, RunOutcome::InSync);
    assert!(has_user(&bench, "bob@corp.example"));
    assert!(
        bench
            .sandbox
            .zivver
            .state()
            .group("info@corp.example")
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_plan_is_refused_before_anything_is_read() {
    let bench = Bench::start(bench::small()).await;
    bench.run(&["preview", "--out", "plan.json"]);
    let applied = bench.run(&["apply", "--json"]);
    fs::write(bench.folder().join("apply.json"), &applied.out).unwrap();
    fs::write(bench.folder().join("text.json"), "a plan").unwrap();
    let before = bench.sandbox.zivver.control().journal().len();
    for (arguments, error) in [
        (
            &["missing.json"][..],
            "cannot read the plan missing.json: No such file or directory (os error 2); make one with `cloud-sync preview --out plan.json`",
        ),
        (&["text.json"], "text.json is not a plan"),
        (&["./missing"], "cannot read the plan ./missing"),
        (
            &["info.corp.example"],
            "info.corp.example is neither a mail address nor an existing file",
        ),
        (&["apply.json"], "it is not a preview; start a preview"),
        (&["plan.json", "plan.json"], "name accounts or one plan"),
        (
            &["bob@corp.example", "plan.json"],
            "name accounts or one plan",
        ),
        (
            &["plan.json", "bob@corp.example"],
            "name accounts or one plan",
        ),
        (
            &["plan.json", "--approve", "c0de"],
            "takes no approval codes",
        ),
    ] {
        let ended = bench.run(&[&["apply"], arguments].concat());
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.err.contains(error), "{arguments:?}: {ended:?}");
    }
    assert_eq!(bench.sandbox.zivver.control().journal().len(), before);
}

/// `pty` exists on Unix only.
#[cfg(unix)]
mod on_a_terminal {
    use super::*;

    const TERMINAL: &str = r#"
import os, pty, sys
answer, program = sys.argv[1], sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    os.execv(program[0], program)
said, answered = b"", False
while True:
    try:
        more = os.read(terminal, 4096)
    except OSError:
        break
    if not more:
        break
    said += more
    if b"Type yes" in said and not answered:
        answered = True
        # Ctrl+C needs no Enter.
        os.write(terminal, (answer if answer == "\3" else answer + "\n").encode())
_, status = os.waitpid(child, 0)
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(status))
"#;

    #[tokio::test(flavor = "multi_thread")]
    async fn an_apply_is_made_after_a_yes_only() {
        let bench = Bench::start(bench::small()).await;
        for answer in ["no", "", "y", "yess"] {
            let Some(ended) = bench.run_in(TERMINAL, answer, &["apply"]) else {
                return;
            };
            assert_eq!(ended.code, 3, "{ended:?}");
            assert!(ended.out.contains("nothing was written"), "{ended:?}");
            assert!(
                ended
                    .out
                    .contains("Make the changes of 2 accounts in Zivver?"),
                "{ended:?}"
            );
        }
        assert_eq!(bench.writes(), 0);
        let ended = bench.run_in(TERMINAL, "yes", &["apply"]).unwrap();
        assert!(ended.out.contains("Converged"), "{ended:?}");
        assert!(has_user(&bench, "bob@corp.example"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn ctrl_c_at_the_question_writes_nothing_and_says_so() {
        let bench = Bench::start(bench::small()).await;
        let Some(ended) = bench.run_in(TERMINAL, "\u{3}", &["apply"]) else {
            return;
        };
        assert_eq!((ended.code, bench.writes()), (1, 0), "{ended:?}");
        let error = " interrupted before an answer; nothing was written";
        assert!(ended.out.contains(error), "{ended:?}");
        for text in ["in flight", "under way"] {
            assert!(!ended.out.contains(text), "{text}: {ended:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_asked_where_it_is_agreed_or_nothing_changes() {
        let bench = Bench::start(bench::small()).await;
        let Some(ended) = bench.run_in(TERMINAL, "no", &["apply", "--yes"]) else {
            return;
        };
        assert!(!ended.out.contains("Type yes"), "{ended:?}");
        assert!(has_user(&bench, "bob@corp.example"));
        let ended = bench.run_in(TERMINAL, "no", &["apply"]).unwrap();
        assert!(!ended.out.contains("Type yes"), "{ended:?}");
        assert!(ended.out.contains("onverged"), "{ended:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_plan_and_a_code_are_asked_about() {
        let bench = Bench::start(bench::small()).await;
        let preview: Report = bench
            .run(&["preview", "--json", "--out", "plan.json"])
            .json();
        let Some(ended) = bench.run_in(TERMINAL, "yes", &["apply", "plan.json"]) else {
            return;
        };
        assert!(
            ended
                .out
                .contains("Make the changes of 2 accounts in Zivver?"),
            "{ended:?}"
        );
        assert!(has_user(&bench, "bob@corp.example"));
        let code = &preview.held[0].code;
        let ended = bench
            .run_in(TERMINAL, "yes", &["apply", "--approve", code])
            .unwrap();
        let question = format!("Make what {code} approves in Zivver?");
        assert!(ended.out.contains(&question), "{ended:?}");
        assert_eq!(ended.code, 0, "{ended:?}");
    }
}
