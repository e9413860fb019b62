//! A report of 20,000 accounts in a browser.

use cloud_sync::{
    domain::{
        accounts::AccountKind,
        address::SmtpAddress,
        delta::Reason,
        mode::{Mode, Trigger},
        note::{Code, Note},
        plan::{Action, ActionKind, Attribute, AttributeChange},
        report::{ActionOutcome, ActionReport, Report, RunState},
    },
    render::html,
};

use super::driver::{Browser, Look};

const ACCOUNTS: usize = 20_000;

fn report() -> Report {
    let mut report = Report::begin(
        "20261123T020000Z-0b5e77".into(),
        Mode::Preview,
        Trigger::Timer,
        "2026-11-23T02:00:00Z".into(),
    );
    for at in 0..ACCOUNTS {
        let address = format!("user{at:05}@corp.example");
        let change = |attribute, after: String| AttributeChange {
            attribute,
            before: Vec::new(),
            after: vec![after],
            origins: std::collections::BTreeMap::new(),
            renamed: std::collections::BTreeMap::new(),
        };
        report.actions.push(ActionReport {
            left: Vec::new(),
            action: Action {
                kind: ActionKind::Create,
                account: AccountKind::User,
                address: SmtpAddress::verbatim(&address),
                id: None,
                changes: vec![
                    change(Attribute::Name, format!("Person <{at}> & Söhne")),
                    change(Attribute::Aliases, format!("alias{at}@corp.example")),
                ],
                reasons: vec![Reason::new("R19", "the mailbox has no account")],
                fingerprint: "f".into(),
            },
            outcome: ActionOutcome::Planned,
            problems: Vec::new(),
        });
        report.skipped.push(Note::new(
            format!("room{at:05}@corp.example"),
            Code::KindNotSynchronised,
            "a mailbox of kind \"RoomMailbox\" is not synchronised",
        ));
    }
    report.state = RunState::Ended;
    report.count();
    report
}

/// 40,000 rows: the page opens, is searched and is unfolded a part at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_20000_accounts_stays_usable() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let file = super::picture("large", Look::new(1280, false)).with_extension("html");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, html::report(&report())).unwrap();
    let url = url::Url::from_file_path(&file).unwrap();
    browser.go(url.as_str()).await;

    let field = browser.element("//input[@id='q']").await;
    browser.write(&field, "user12345").await;
    browser.says("1 found").await;

    browser.write(&field, &"\u{e003}".repeat(9)).await;
    browser.element("//output[.='']").await;
    browser.click("Create").await;
    let height = browser
        .run("return document.documentElement.scrollHeight")
        .await;
    let height = height.as_u64().unwrap();
    assert!(
        (5_000..100_000).contains(&height),
        "a page of the list, not all of it: {height}"
    );
    browser.click("Show 200 more of 19800").await;
    browser
        .element("//button[.='Show 200 more of 19600']")
        .await;
}
