//! Commands that answer from snapshots: explain without the services, the history of an account, the differences
//! between two runs, and the access review (R40, R42, R43).

use std::{fs, path::PathBuf};

use cloud_sync::{
    domain::{explain::Explanation, report::Report},
    sandbox::{exchange::Tenant, zivver::User},
};
use serde_json::Value;

use super::bench::{self, Bench};

impl Bench {
    /// The program with only the place of the state, so that it cannot ask either service.
    pub(super) fn offline(&self, arguments: &[&str]) -> bench::Ended {
        bench::program(&[("CLOUD_SYNC__STATE", self.setting("STATE"))], arguments)
    }

    fn change(&self, change: impl FnOnce(&mut Tenant)) {
        self.sandbox.exchange.with_state(change);
    }

    pub(super) fn apply(&self) -> Report {
        self.run(&["apply", "--json"]).json()
    }

    fn snapshot(&self, run: &Report) -> PathBuf {
        self.folder()
            .join("state/runs")
            .join(&run.id)
            .join("snapshot")
    }
}

/// Anna may open Info on the first night only. From the second night on Bob may open it through a group.
async fn two_nights() -> (Bench, Report, Report) {
    let bench = Bench::start(bench::small()).await;
    let first = bench.apply();
    // Times are whole seconds. A change in the second of the first snapshot would count as possibly older than it.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    bench.change(|tenant| {
        let members = ["bob@corp.example"];
        let group = tenant.clone().security_group("SG Care", &members);
        *tenant = group;
        tenant
            .mailbox_mut("info@corp.example")
            .unwrap()
            .permissions
            .clear();
        tenant.grant("info@corp.example", "SG Care", |_| ());
    });
    let second = bench.apply();
    (bench, first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn r43_a_mailbox_is_found_by_an_alias() {
    let bench = Bench::start(bench::small()).await;
    bench.change(|tenant| {
        let info = tenant.mailbox_mut("info@corp.example").unwrap();
        info.email_addresses
            .push("smtp:desk@corp.example".to_owned());
    });
    bench.apply();
    let found = bench.offline(&["access", "desk@corp.example"]);
    assert_eq!(found.code, 0, "{found:?}");
    let rows = "\ninfo@corp.example \"info\"\n  anna@corp.example ";
    assert!(found.out.contains(rows), "{found:?}");
}

/// A run for named accounts stores no snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn r42_the_review_says_that_later_runs_changed_accounts() {
    let bench = Bench::start(bench::small()).await;
    bench.apply();
    bench.run(&["preview"]);
    let said = "accounts were changed since by the run ";
    assert!(!bench.offline(&["access"]).out.contains(said));
    bench.change(|tenant| {
        tenant.mailbox_mut("bob@corp.example").unwrap().display_name = "Bobby".to_owned();
    });
    let named: Report = bench.run(&["apply", "bob@corp.example", "--json"]).json();
    let said = format!("{said}{}; what follows is from before (R42)", named.id);
    for format in ["text", "html", "csv", "json"] {
        let format: &[&str] = match format {
            "text" => &[],
            format => &["--format", format],
        };
        let ended = bench.offline(&[&["access"], format].concat());
        // A page begins the sentence with a capital letter and has a link in it.
        let said = if format == ["--format", "html"] {
            "ccounts were changed since by the run "
        } else {
            &said
        };
        assert!(ended.out.contains(said), "{ended:?}");
    }
    let diff = bench.offline(&["runs", "diff", "last"]);
    assert!(diff.err.contains(&said), "{diff:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r43_access_and_explain_say_the_same_of_a_delegate_only_in_zivver() {
    let (mut tenant, organisation) = bench::small();
    tenant
        .mailbox_mut("bob@corp.example")
        .unwrap()
        .account_disabled = Some(true);
    let bob = User {
        active: false,
        ..User::new("bob@corp.example", "bob").delegate("anna@corp.example")
    };
    let mut organisation = organisation
        .with_user(bob)
        .with_user(User::new("partner@partner.example", "Partner"));
    let anna = organisation.user_mut("anna@corp.example").unwrap();
    anna.delegates.push("partner@partner.example".to_owned());
    let bench = Bench::start((tenant, organisation)).await;
    bench.apply();
    for (mailbox, delegate, reason) in [
        (
            "anna@corp.example",
            "partner@partner.example",
            "domain not claimed (R13)",
        ),
        (
            "bob@corp.example",
            "anna@corp.example",
            "the account stays suspended, so only its status is compared (R22)",
        ),
    ] {
        let page = bench.offline(&["access", mailbox]).out;
        let told = format!("  only in Zivver: {reason}\n");
        assert!(page.contains(&told), "{page}");
        for live in [&[][..], &["--live"]] {
            let page = bench.run(&[&["explain", mailbox], live].concat()).out;
            let told = format!("full access {delegate}  {reason}\n");
            assert!(page.contains(&told), "{page}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r43_the_review_is_of_the_last_run_and_says_what_changed() {
    let bench = Bench::start(bench::small()).await;
    let none = bench.offline(&["access"]);
    assert_eq!(none.code, 1, "{none:?}");
    assert!(
        none.err.contains("no run has stored a snapshot yet"),
        "{none:?}"
    );

    let (bench, first, second) = two_nights().await;
    let review: Value = bench.offline(&["access", "--json"]).json();
    assert_eq!(review["run"], second.id);
    assert_eq!(review["coverage"]["mailboxes"], 4);
    assert_eq!(review["coverage"]["not_read"], 1);
    let rows = review["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{review}");
    assert_eq!(rows[0]["mailbox"]["address"], "info@corp.example");
    assert_eq!(rows[0]["person"]["address"], "bob@corp.example");
    assert_eq!(
        rows[0]["exchange"]["through"],
        serde_json::json!(["SG Care"])
    );
    assert_eq!(rows[0]["exchange"]["since"]["or_earlier"], false);
    assert_eq!(rows[0]["zivver"]["access"], "delegate");

    let text = bench.offline(&["access", "BOB", "--by", "person"]).out;
    assert!(
        text.contains("\n3 of 4 mailboxes read; 1 not synchronised"),
        "{text}"
    );
    assert!(
        text.contains(
            "\nbob@corp.example \"bob\"\n  info@corp.example \"info\"  via SG Care  since 20"
        ),
        "{text}"
    );
    let page = bench.offline(&["access", "anna", "--by", "person"]).out;
    let without =
        "note as far as it is known, anna@corp.example can open no mailbox of another person\n";
    assert!(page.contains(without), "{page}");
    assert!(!text.contains("can open no mailbox"), "{text}");
    // Nobody, not asked and a mistake in the address are three answers.
    let nobody = bench.offline(&["access", "anna@corp.example"]).out;
    assert!(nobody.contains("\n  nobody else can open it\n"), "{nobody}");
    let room = bench.offline(&["access", "room@corp.example"]).out;
    assert!(
        room.contains("\n  unknown: not asked: a RoomMailbox is not synchronised (R3)\n"),
        "{room}"
    );

    // The oldest snapshot is newer than 2020, and the answer says so.
    let compared = bench.offline(&["access", "--since", "2020-01-01"]).out;
    assert!(
        compared.contains(&format!("run {}: 2 changes", first.id)),
        "{compared}"
    );
    assert!(
        compared.contains("no snapshot is as old as that day"),
        "{compared}"
    );
    assert!(
        compared.contains("withdrawn in Exchange; removed in Zivver"),
        "{compared}"
    );
    assert!(
        compared.contains("granted in Exchange; added in Zivver"),
        "{compared}"
    );
    let changed: Value = bench
        .offline(&["access", "--since", "2020-01-01", "--changed", "--json"])
        .json();
    assert_eq!(changed["total"], 2);
}

/// R39: as in every other command, an unknown address is an error with the nearest ones.
#[tokio::test(flavor = "multi_thread")]
async fn r43_the_review_does_not_answer_for_a_mistyped_address() {
    let bench = Bench::start(bench::small()).await;
    let run = bench.apply().id;
    let why = format!(
        "neither Exchange nor Zivver had the address inf@corp.example (did you mean info@corp.example?) in run {run}"
    );
    for arguments in [
        &["access", "inf@corp.example"][..],
        &["access", "bob@corp.example", "inf@corp.example"],
        &["access", "inf@corp.example", "--format", "csv"],
    ] {
        let ended = bench.offline(arguments);
        assert_eq!((ended.code, &*ended.out), (1, ""), "{ended:?}");
        assert_eq!(ended.err, format!("error: {why} (R39)\n"));
    }
    let file = bench.folder().join("b.html");
    for arguments in [
        &["access", "rom"][..],
        &["access", "bob", "rom", "--out", file.to_str().unwrap()],
    ] {
        let ended = bench.offline(arguments);
        assert_eq!((ended.code, &*ended.out), (1, ""), "{ended:?}");
        let why = format!("no mailbox or person matches rom in run {run}");
        assert_eq!(ended.err, format!("error: {why} (R39)\n"));
        assert!(!file.exists());
    }
    let json = bench.offline(&["access", "inf@corp.example", "--json"]);
    assert_eq!(json.code, 1, "{json:?}");
    let review: Value = json.json();
    assert_eq!(review["remarks"], serde_json::json!([why]));
    let supplier = bench.offline(&["access", "supplier"]).out;
    assert!(
        supplier.contains("\n  nobody else can open it, and it has no mailbox\n"),
        "{supplier}"
    );
    // A part of an address is a search, and nobody has to have changed.
    for arguments in [
        &["access", "nfo@corp.example"][..],
        &[
            "access",
            "info@corp.example",
            "--since",
            "2020-01-01",
            "--changed",
        ],
    ] {
        let ended = bench.offline(arguments);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r43_the_review_is_a_table_for_a_spreadsheet_and_a_page_to_print() {
    let (bench, _, second) = two_nights().await;
    let csv = bench
        .offline(&["access", "--format", "csv", "--separator", ";"])
        .out;
    assert!(
        csv.starts_with("\u{feff}\"mailbox\";\"mailbox_name\";"),
        "{csv}"
    );
    assert!(csv.contains("\"via SG Care\";"), "{csv}");
    let refused = bench.offline(&["access", "--format", "html", "--separator", ";"]);
    assert!(
        refused.err.contains("--separator is for CSV"),
        "{refused:?}"
    );

    let file = bench.folder().join("access.html");
    let file = file.to_str().unwrap();
    let written = bench.offline(&["access", "--format", "html", "--out", file]);
    assert_eq!((written.code, &*written.out), (0, ""), "{written:?}");
    let page = fs::read_to_string(file).unwrap();
    for said in [
        "Tenant",
        "As of",
        &second.id,
        "3 of 4 mailboxes read",
        "via SG Care",
    ] {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains("<form"), "it stands alone");

    let question = ["access", "info", "--since", "2020-01-01", "--changed"];
    let asked = |format| bench.offline(&[&question[..], &["--format", format]].concat());
    let csv = asked("csv").out;
    assert!(csv.contains("\"info, only what changed\""), "{csv}");
    let page = asked("html").out;
    assert!(page.contains("info, only what changed"), "{page}");
    let json: Value = asked("json").json();
    assert_eq!(json["search"], serde_json::json!(["info"]));
    assert_eq!(json["only_changed"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn r43_the_extension_of_the_file_tells_the_format() {
    let bench = Bench::start(bench::small()).await;
    bench.apply();
    for (file, more, begins) in [
        ("a.html", &[][..], "<!doctype html>"),
        ("a.CSV", &[], "\u{feff}\"mailbox\",\"mailbox_name\","),
        (
            "a.csv",
            &["--separator", ";"],
            "\u{feff}\"mailbox\";\"mailbox_name\";",
        ),
        ("a.json", &["--color", "always"], "{\n"),
        ("a.txt", &["--format", "csv"], "\u{feff}\"mailbox\","),
        ("a.json", &["--json"], "{\n"),
    ] {
        let path = bench.folder().join(file);
        let path = path.to_str().unwrap();
        let written = bench.offline(&[&["access", "--out", path], more].concat());
        assert_eq!((written.code, &*written.out), (0, ""), "{written:?}");
        let text = fs::read_to_string(path).unwrap();
        assert!(text.starts_with(begins), "{file}: {text}");
        assert!(!text.contains('\u{1b}'), "{file}: {text}");
    }
    for (file, format, error) in [
        (
            "q.html",
            "csv",
            "the extension of q.html is of html, and the format is csv",
        ),
        (
            "q.JSON",
            "html",
            "the extension of q.JSON is of json, and the format is html",
        ),
    ] {
        for arguments in [
            &["access", "--out", file, "--format", format][..],
            &["preview", "--report", file, "--format", format],
        ] {
            let refused = bench.run(arguments);
            let error = format!("error: {error}: change one of them\n");
            assert_eq!((refused.code, refused.err), (1, error), "{arguments:?}");
            assert!(!bench.folder().join(file).exists());
        }
    }
    for (file, error) in [
        (
            "a.txt",
            "the extension of a.txt is not html, csv or json: add --format",
        ),
        (
            "a",
            "the extension of a is not html, csv or json: add --format",
        ),
        (
            "a.pdf",
            "--out writes no PDF: write a page with --format html, and print it",
        ),
    ] {
        let refused = bench.offline(&["access", "--out", file]);
        assert_eq!(
            (refused.code, refused.err),
            (1, format!("error: {error}\n"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r42_a_snapshot_that_cannot_be_read_costs_an_answer_and_no_run() {
    let (bench, first, second) = two_nights().await;
    fs::write(bench.snapshot(&second), b"{\"v\":1}").unwrap();
    let review = bench.offline(&["access", "info"]);
    assert_eq!(review.code, 0, "{review:?}");
    assert!(
        review.out.contains(&format!("run {}", first.id)),
        "{review:?}"
    );
    let passed_over = format!("the snapshot of run {} is skipped", second.id);
    assert!(review.out.contains(&passed_over), "{review:?}");

    let third = bench.apply();
    assert_eq!(third.error, None);
    let warned = third
        .warnings
        .iter()
        .filter(|it| it.starts_with(&passed_over));
    assert_eq!(warned.count(), 1, "{:?}", third.warnings);
    // The unreadable snapshot is skipped: the new one is complete, and has the times from the one before.
    let fourth = bench.apply();
    assert!(!fourth.warnings.iter().any(|it| it.contains("passed over")));
    let history = bench.offline(&["history", "anna@corp.example"]).out;
    assert!(
        history.contains("first seen by the first snapshot"),
        "{history}"
    );

    fs::remove_file(bench.snapshot(&fourth)).unwrap();
    let review: Value = bench.offline(&["access", "--json"]).json();
    assert_eq!(review["run"], third.id);

    // Without any that can be read, that is said, and not that there never was one.
    for run in [&first, &third] {
        fs::write(bench.snapshot(run), b"").unwrap();
    }
    let none = bench.offline(&["access"]);
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.err.contains("no snapshot can be read"), "{none:?}");
    assert!(none.err.contains(&third.id), "{none:?}");
    let explained = bench.run(&["explain", "info@corp.example"]);
    assert_eq!(explained.code, 0, "{explained:?}");
    assert!(explained.err.contains("is skipped"), "{explained:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r40_without_the_services_the_last_snapshot_answers_and_says_from_when() {
    let (bench, _, second) = two_nights().await;
    let explained = bench.offline(&["explain", "info@corp.example"]);
    assert_eq!(explained.code, 0, "{explained:?}");
    assert!(
        explained.out.contains("in sync: nothing is to change"),
        "{explained:?}"
    );
    assert!(explained.out.contains("\nas of 20") && explained.out.contains(&second.id));
    assert!(
        explained.out.contains("bob@corp.example via SG Care"),
        "{explained:?}"
    );
    let json: Explanation = bench
        .offline(&["explain", "info@corp.example", "--json"])
        .json();
    assert_eq!(json.as_of.unwrap().run, second.id);

    // Exchange has changed since, which only --live shows.
    bench.change(|tenant| {
        let info = tenant.mailbox_mut("info@corp.example").unwrap();
        info.display_name = "Reception".into();
    });
    let before = bench.run(&["explain", "info@corp.example"]);
    assert!(!before.out.contains("Reception"), "{before:?}");
    let live = bench.run(&["explain", "info@corp.example", "--live"]);
    assert!(live.out.contains("update is planned"), "{live:?}");
    assert!(!live.out.contains("as of"), "{live:?}");

    let unknown = bench.offline(&["explain", "inf@corp.example"]);
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(
        unknown.err.contains("did you mean info@corp.example?"),
        "{unknown:?}"
    );
    assert!(
        unknown
            .err
            .contains("with --live Exchange and Zivver are asked now"),
        "{unknown:?}"
    );
    let held = bench.offline(&["explain", "supplier@corp.example"]);
    assert_eq!(held.code, 3, "{held:?}");
    assert!(held.out.contains("suspend is held"), "{held:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r42_the_history_of_an_account_and_what_two_runs_saw_differently() {
    let (bench, first, second) = two_nights().await;
    let mistyped = bench.offline(&["history", "inf@corp.example"]);
    assert_eq!(mistyped.code, 1, "{mistyped:?}");
    assert!(mistyped.err.contains("info@corp.example"), "{mistyped:?}");
    let history = bench.offline(&["history", "info@corp.example"]).out;
    let [update, create] = ["  update: done", "  create: done"].map(|it| history.find(it));
    assert!(
        update.is_some() && update < create,
        "the newest first: {history}"
    );
    assert!(
        history.contains("the mailbox has no account (R19)"),
        "{history}"
    );
    let json: Value = bench
        .offline(&["history", "info@corp.example", "--json"])
        .json();
    let events = json["events"].as_array().unwrap();
    assert_eq!(events[0]["run"], second.id);
    assert_eq!(
        events[0]["what"]["changes"][0]["after"][0],
        "bob@corp.example"
    );
    assert_eq!(json["standing"].as_array().unwrap().len(), 2);

    let held = bench.offline(&["history", "supplier@corp.example"]).out;
    assert_eq!(
        held.matches("held: suspend").count(),
        1,
        "said once: {held}"
    );

    let diff = bench.offline(&["runs", "diff", &first.id, &second.id]).out;
    assert!(diff.contains("Exchange info@corp.example\n  full access − anna@corp.example\n  full access + bob@corp.example via SG Care\n"), "{diff}");
    assert!(diff.contains("Zivver info@corp.example\n  full access − anna@corp.example\n  full access + bob@corp.example\n"), "{diff}");
    assert!(diff.contains("4 differences"), "{diff}");
    for name in ["last", &second.id] {
        let last = bench.offline(&["runs", "diff", name]).out;
        assert_eq!(last, diff);
    }
    let oldest = bench.offline(&["runs", "diff", &first.id, &first.id]).out;
    assert!(oldest.contains("0 differences"), "{oldest}");
    let same = bench.offline(&["runs", "diff", "last", "last"]).out;
    assert!(same.contains("0 differences"), "{same}");
    let scoped: Report = bench.run(&["apply", "bob@corp.example", "--json"]).json();
    let none = bench.offline(&["runs", "diff", &first.id, &scoped.id]);
    assert!(none.err.contains("has no snapshot"), "{none:?}");
}

/// R42, R45: a quick run has no snapshot, so what is said of the last one has its time, and a comparison is with a full run.
#[tokio::test(flavor = "multi_thread")]
async fn r45_what_a_quick_run_changed_is_not_said_to_be_as_it_was() {
    let (bench, first, second) = two_nights().await;
    bench.change(|tenant| {
        let bob = tenant.mailbox_mut("bob@corp.example").unwrap();
        bob.display_name = "Robert".into();
    });
    let quick: Report = bench.run(&["apply", "--quick", "--json"]).json();
    let history = bench.offline(&["history", "bob@corp.example"]).out;
    assert!(history.contains("name bob → Robert"), "{history}");
    assert!(!history.contains("the same since"), "{history}");
    assert!(
        history.contains("no change seen up to the full run of"),
        "{history}"
    );
    // R41
    let me = "  quick apply, by user ";
    assert!(history.contains(me), "{history}");

    let diff = bench.offline(&["runs", "diff", &first.id]);
    assert!(
        diff.out.contains(&format!("to run {}", second.id)),
        "{diff:?}"
    );
    let none = bench.offline(&["runs", "diff", &first.id, &quick.id]);
    assert!(none.err.contains("no quick run (R45)"), "{none:?}");
}

/// R16: the account of somebody who left stays that person's, whoever gets the address.
#[tokio::test(flavor = "multi_thread")]
async fn r16_the_review_gives_nobody_the_account_of_a_leaver() {
    let bench = Bench::start(bench::small()).await;
    bench.apply();
    // Times are whole seconds.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    bench.change(|tenant| {
        let anna = tenant.mailbox_mut("anna@corp.example").unwrap();
        anna.edoid = "00000000-0000-4000-8000-0000000000aa".into();
        anna.display_name = "Anna New".into();
    });
    bench.apply();
    let review: Value = bench
        .offline(&["access", "info", "--since", "2020-01-01", "--json"])
        .json();
    let row = |name: &str| {
        let mut rows = review["rows"].as_array().unwrap().iter();
        rows.find(|row| row["person"]["name"] == name).unwrap()
    };
    let new = row("Anna New");
    assert_eq!(new["zivver"]["access"], "no_delegate", "{review}");
    assert_eq!(new["exchange"]["since"]["or_earlier"], false, "{review}");
    let left = row("anna");
    assert_eq!(left["zivver"]["access"], "delegate", "{review}");
    assert_eq!(
        left["changes"],
        serde_json::json!([{ "change": "withdrawn" }])
    );
}

/// R22: after a swap, the address by which a delegate was named is another person's.
#[tokio::test(flavor = "multi_thread")]
async fn r42_the_history_names_a_renamed_delegate_like_the_report() {
    let (tenant, organisation) = bench::small();
    let tenant = tenant
        .user("carl@corp.example")
        .full_access("carl@corp.example", "anna@corp.example");
    let bench = Bench::start((tenant, organisation)).await;
    bench.apply();
    bench.change(|tenant| {
        for (from, to) in [("anna", "aside"), ("bob", "anna"), ("aside", "bob")] {
            let (from, to) = [from, to].map(|it| format!("{it}@corp.example")).into();
            let mailbox = tenant.mailbox_mut(&from).unwrap();
            mailbox.email_addresses = vec![format!("SMTP:{to}")];
            mailbox.primary_smtp_address = to;
        }
    });
    let explained = bench.run(&["explain", "carl@corp.example", "--live"]);
    let report = bench.run(&["apply", "--verbose"]);
    let history = bench.offline(&["history", "carl@corp.example"]);
    let named = "bob@corp.example (until then anna@corp.example)";
    for shown in [explained, report, history] {
        assert!(shown.out.contains(&format!("+ {named}")), "{shown:?}");
    }
}

/// R16, R22: the address of the leaver is a colleague's now, and the account of the leaver has another one.
#[tokio::test(flavor = "multi_thread")]
async fn r43_a_leaver_is_named_by_the_present_address_of_the_account() {
    let bench = Bench::start(bench::small()).await;
    bench.apply();
    bench.change(|tenant| {
        assert!(tenant.remove_mailbox("anna@corp.example"));
        let bob = tenant.mailbox_mut("bob@corp.example").unwrap();
        bob.primary_smtp_address = "anna@corp.example".into();
        bob.email_addresses = vec!["SMTP:anna@corp.example".into()];
        let info = tenant.mailbox_mut("info@corp.example").unwrap();
        info.permissions.clear();
        // R11: a name that Exchange does not find.
        tenant.grant("info@corp.example", "Somebody", |_| ());
    });
    bench.apply();
    let table = bench.offline(&["access", "info", "--format", "csv"]).out;
    assert!(table.contains(r#","anna",""#), "{table}");
    assert!(!table.contains("anna@corp.example"), "{table}");
    let found = bench.offline(&["access", "cloud-sync-"]).out;
    let row = "\ninfo@corp.example \"info\"\n  cloud-sync-";
    assert!(found.contains(row), "{found}");
    let by_person = bench.offline(&["access", "anna@corp.example", "--by", "person"]);
    assert!(!by_person.out.contains("info@"), "{by_person:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r43_a_mailbox_without_a_person_comes_last_and_is_counted_apart() {
    let bench = Bench::start(bench::small()).await;
    bench.run(&["apply"]);
    let by_person = bench.offline(&["access", "--by", "person", "corp"]).out;
    let (anna, nobody) = (by_person.find("\nanna@"), by_person.find("\nnobody\n"));
    assert!(anna.is_some() && anna < nobody, "{by_person}");
    assert_eq!(by_person.matches("\nnobody\n").count(), 1, "{by_person}");
    let page = bench.offline(&["access", "corp", "--format", "html"]).out;
    assert!(page.contains("<h2>1 row, and "), "{page}");
    assert!(page.contains(" without a person</h2>"), "{page}");
}
