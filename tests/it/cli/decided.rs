//! R47: what a person approved, rejected or left for later, as every reader of a report sees it.

use cloud_sync::{
    domain::{address::SmtpAddress, guard::Class, report::Report},
    sandbox::{
        exchange::Tenant,
        zivver::{Organisation, User},
    },
};

use super::bench::{self, Bench};

/// Two suppliers who never had a mailbox, and two people without an account.
fn suppliers() -> (Tenant, Organisation) {
    let (tenant, organisation) = bench::small();
    let other = User::new("trainer@corp.example", "Trainer");
    (tenant, organisation.with_user(other))
}

/// A preview, of whose set a person has approved the supplier and nothing else.
async fn partly_approved() -> (Bench, Report) {
    let bench = Bench::start(suppliers()).await;
    let preview: Report = bench.run(&["preview", "--json"]).json();
    let set = preview.held.iter().find(|set| set.class == Class::Stray);
    let code = set.unwrap().code.clone();
    let only = ["apply", "--only", "approved", "--approve", &code];
    let applied = bench.run(&[&only[..], &["--account", "supplier@corp.example"]].concat());
    for text in [
        &format!("approved {code} for supplier@corp.example"),
        "left for later",
        "Read again after applying, Zivver follows Exchange, apart from what is held, left for later or needs attention.",
    ] {
        assert!(applied.out.contains(text), "{text}: {applied:?}");
    }
    assert!(!applied.out.contains("Converged"), "{applied:?}");
    (bench, preview)
}

fn code(preview: &Report) -> &str {
    &preview.held[0].code
}

#[tokio::test(flavor = "multi_thread")]
async fn r47_a_partial_approval_is_recorded_with_its_accounts() {
    let (bench, preview) = partly_approved().await;
    let report: Report = bench.run(&["runs", "last", "--json"]).json();
    let named: Vec<&str> = report
        .approves_accounts
        .iter()
        .map(SmtpAddress::as_str)
        .collect();
    assert_eq!(report.approves, [code(&preview)]);
    assert_eq!(named, ["supplier@corp.example"]);
    let runs = bench.run(&["runs"]);
    assert!(runs.out.contains("apply, only approved"), "{runs:?}");
    for file in ["run.html", "run.csv"] {
        bench.run(&["runs", "last", "--report", file]);
        let text = std::fs::read_to_string(bench.folder().join(file)).unwrap();
        let of = match file {
            "run.csv" => r#""approves_accounts","","supplier@corp.example""#,
            _ => "for supplier@corp.example",
        };
        assert!(text.contains(of), "{text}");
        assert!(text.contains("left for later"), "{text}");
        assert!(!text.contains(">converged<"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r47_what_was_approved_is_not_offered_again() {
    let (bench, preview) = partly_approved().await;
    let shown = bench.run(&["runs", &preview.id]);
    for text in [
        "Held back 1 change",
        "1 approved since",
        "1 change held back, 1 change approved since",
        "when the run held it: 2 changes",
    ] {
        assert!(shown.out.contains(text), "{text}: {shown:?}");
    }
    let report: Report = bench.run(&["runs", &preview.id, "--json"]).json();
    let set = &report.held[0];
    assert_eq!(set.changes[0].address.as_str(), "trainer@corp.example");
    assert_eq!(set.approved[0].address.as_str(), "supplier@corp.example");
    assert_eq!((set.changes.len(), report.counts.held), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn r47_what_was_approved_with_a_newer_code_is_not_offered_again() {
    let (tenant, organisation) = bench::small();
    let bench = Bench::start((tenant, organisation)).await;
    let old: Report = bench.run(&["preview", "--json"]).json();
    bench.sandbox.zivver.with_state(|zivver| {
        let trainer = User::new("trainer@corp.example", "Trainer");
        *zivver = zivver.clone().with_user(trainer);
    });
    let new: Report = bench.run(&["preview", "--json"]).json();
    assert_ne!(code(&old), code(&new));
    let page = |expected: &[&str]| {
        let shown = bench.run(&["runs", &old.id]);
        for text in expected {
            assert!(shown.out.contains(text), "{text}: {shown:?}");
        }
        shown.out
    };
    page(&["Held back 1 change", "approve with: ", "1 change held back"]);
    bench.run(&["apply", "--approve", code(&new)]);
    let out = page(&[
        "Held back then  1 approved since\n",
        "approved since, and made or about to be made",
        "1 approved since",
    ]);
    assert!(!out.contains("approve with: "), "{out}");
    assert!(!out.contains("1 change held back"), "{out}");
    let rejected = bench.run(&["reject", code(&old)]);
    assert!(
        rejected.out.starts_with("Nothing more is rejected: "),
        "{rejected:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r47_what_is_rejected_is_counted_once_and_not_called_settled() {
    let bench = Bench::start(suppliers()).await;
    let preview: Report = bench.run(&["preview", "--json"]).json();
    bench.run(&[
        "reject",
        code(&preview),
        "--account",
        "trainer@corp.example",
    ]);
    let shown: Report = bench.run(&["runs", "last", "--json"]).json();
    let set = &shown.held[0];
    assert_eq!((set.changes.len(), set.rejected.len()), (1, 1));
    assert_eq!(shown.counts.held, 1);
    let next = bench.run(&["preview"]);
    assert!(next.out.contains(", 1 change rejected"), "{next:?}");
    assert!(!next.out.contains("- trainer@corp.example"), "{next:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r47_what_a_wave_leaves_is_counted_by_kind_and_cut_like_other_lists() {
    let (tenant, organisation) = bench::small();
    let hired = (10..32).fold(tenant, |tenant, at| {
        tenant.user(&format!("person{at}@corp.example"))
    });
    let bench = Bench::start((hired, organisation)).await;
    bench.sandbox.zivver.with_state(|zivver| {
        zivver.user_mut("anna@corp.example").unwrap().name = "Ann".to_owned();
    });
    let wave = bench.run(&["apply", "--only", "create", "--first", "1"]);
    let left = |address: &str, kind: &str| {
        format!("  {address}@corp.example  {kind} left for later, since")
    };
    for text in [
        "Left for a later run 24 findings  accounts: 23 to create, 1 to update\n",
        &left("anna", "update"),
        &left("person10", "create"),
        "… and 4 more (cloud-sync runs last --all)",
    ] {
        assert!(wave.out.contains(text), "{text}: {wave:?}");
    }
    assert_eq!(wave.out.matches(" left for later, since").count(), 21);
    let all = bench.run(&["runs", "last", "--all"]);
    assert!(all.out.contains(&left("person31", "create")), "{all:?}");
    bench.run(&["runs", "last", "--report", "run.html"]);
    bench.run(&["runs", "last", "--report", "run.csv"]);
    let read = |file| std::fs::read_to_string(bench.folder().join(file)).unwrap();
    let (page, table) = (read("run.html"), read("run.csv"));
    let kinds = "<p>Accounts: 23 to create, 1 to update.</p>";
    assert!(page.contains(kinds), "{page}");
    let row = r#""skipped","anna@corp.example","","update","#;
    assert!(table.contains(row), "{table}");
}
