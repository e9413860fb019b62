//! Hostile names in every format, and the size of the report of a large organisation.

use std::{collections::BTreeMap, time::Instant};

use super::*;
use domain::{
    accounts::AccountKind,
    address::SmtpAddress,
    delta::Reason,
    explain::{Explanation, MailboxFacts},
    guard::Class,
    hold::{HeldChange, HeldSet},
    mode::{Mode, Trigger},
    note::{Code, Note},
    plan::{Action, ActionKind, Attribute, AttributeChange},
    report::{ActionOutcome, ActionReport, Report, RunState},
};

const HOSTILE: [&str; 9] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>",
    "' autofocus onfocus='alert(3)",
    "=HYPERLINK(\"http://evil.example\",\"x\")",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "`|`\n# heading [link](javascript:alert(4))",
    "\u{202e}gpj.exe\u{202c}",
    "nul\u{0}bell\u{7}esc\u{1b}[2J\u{85}",
    "{{7*7}}${7*7}<!--",
];

fn action(at: usize, name: &str) -> ActionReport {
    ActionReport {
        left: Vec::new(),
        action: Action {
            kind: ActionKind::Update,
            account: AccountKind::User,
            address: SmtpAddress::verbatim(&format!("user{at}@corp.example")),
            id: None,
            changes: vec![AttributeChange {
                attribute: Attribute::Name,
                before: vec!["Old Name".into()],
                after: vec![name.to_owned()],
                origins: BTreeMap::new(),
                renamed: BTreeMap::new(),
            }],
            reasons: vec![Reason::new("R22", format!("the mailbox is called {name}"))],
            fingerprint: "f".into(),
        },
        outcome: ActionOutcome::Refused,
        problems: vec![format!("cannot update: Zivver answered 400 ({name}); ask")],
    }
}

fn with_names(names: &[&str]) -> Report {
    let id = "20261123T020000Z-0b5e77".to_owned();
    let mut report = Report::begin(
        id,
        Mode::Apply,
        Trigger::Timer,
        "2026-11-23T02:00:00Z".into(),
    );
    for (at, name) in names.iter().enumerate() {
        report.actions.push(action(at, name));
        report
            .skipped
            .push(Note::new(*name, Code::Rejected, format!("named {name}")));
        report.warnings.push((*name).to_owned());
        report.filter_counts.insert((*name).to_owned(), 1);
        report.held.push(HeldSet {
            approved: Vec::new(),
            second_person: None,
            class: Class::NameChange,
            code: "c0de".into(),
            reason: format!("too many like {name}"),
            changes: vec![HeldChange {
                address: SmtpAddress::verbatim(name),
                what: "name".into(),
                before: (*name).to_owned(),
                after: (*name).to_owned(),
                fingerprint: "f".into(),
                origin: None,
                waits: None,
            }],
            companions: vec![],
            rejected: vec![],
        });
        report.differences.push(action(at, name).action);
        report.resumed_from.push((*name).to_owned());
    }
    report.error = Some(names.join(" "));
    report.lock_owner = Some(names.join(" "));
    report.state = RunState::Ended;
    report.count();
    report
}

/// The tags and attributes of a page, without its own style and script.
fn markup(page: &str) -> BTreeMap<String, usize> {
    let mut tags = BTreeMap::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let tag = &rest[at..=at + rest[at..].find('>').unwrap()];
        for foreign in ["onerror", "onfocus", "javascript:", "img", "src="] {
            assert!(!tag.contains(foreign), "{tag}");
        }
        let name = tag
            .trim_start_matches('<')
            .split([' ', '>'])
            .next()
            .unwrap();
        *tags.entry(name.to_owned()).or_default() += 1;
        rest = &rest[at + tag.len()..];
        if name == "script" || name == "style" {
            rest = &rest[rest.find("</").unwrap()..];
        }
    }
    tags
}

#[test]
fn hostile_names_add_no_markup_to_a_page() {
    let plain = ["Anna"; HOSTILE.len()];
    let mut harmless = with_names(&plain);
    // Keys of a map must be unique, so numbers are used.
    harmless.filter_counts = (0..HOSTILE.len()).map(|at| (at.to_string(), 1)).collect();
    let page = html::report(&with_names(&HOSTILE));
    assert_eq!(markup(&page), markup(&html::report(&harmless)));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.contains('\u{202e}') && !page.contains('\u{0}') && !page.contains('\u{1b}'));
}

#[test]
fn hostile_names_are_inert_in_csv() {
    let table = csv::report(&with_names(&HOSTILE), csv::Separator::Comma);
    for line in table.split("\r\n").filter(|line| !line.is_empty()) {
        assert!(!line.contains(char::is_control), "{line:?}");
        let cells = cells(line);
        assert_eq!(cells.len(), 12, "{line}");
        for cell in cells {
            assert!(
                !cell.trim_start().starts_with(['=', '+', '-', '@']),
                "{cell}"
            );
        }
    }
}

/// RFC 4180, one line.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let last = cells.last_mut().unwrap();
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                last.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => last.push(c),
        }
    }
    assert!(!quoted, "{line}");
    cells
}

#[test]
fn a_name_of_a_thousand_characters_is_shown_whole() {
    let long = "x".repeat(1000);
    let report = with_names(&[&long]);
    for text in [
        html::report(&report),
        csv::report(&report, csv::Separator::Comma),
    ] {
        assert!(text.contains(&long));
    }
}

#[test]
fn twenty_thousand_accounts_are_rendered_within_a_second() {
    let names: Vec<String> = (0..20_000)
        .map(|at| format!("Person <{at}> & Söhne"))
        .collect();
    let mut report = with_names(&[]);
    for (at, name) in names.iter().enumerate() {
        report.actions.push(action(at, name));
        report.skipped.push(Note::new(
            name.clone(),
            Code::InactiveNotCreated,
            "disabled",
        ));
    }
    report.count();
    let with_links = |report: &Report| {
        let links = html::Links::to("/api/SyncHttp");
        html::report::details(report, links, |set| html::report::held_rows(set, links)).0
    };
    for render in [html::report, with_links, |report: &Report| {
        csv::report(report, csv::Separator::Comma)
    }] {
        let started = Instant::now();
        let text = render(&report);
        // The limit is generous, so that other work on the machine does not fail the test.
        let limit_s = if cfg!(debug_assertions) { 10.0 } else { 1.0 };
        assert!(
            started.elapsed().as_secs_f64() < limit_s,
            "{:?}",
            started.elapsed()
        );
        assert!(text.contains("user19999@corp.example"));
    }
}

#[test]
fn an_explanation_is_inert_too() {
    let explanation = Explanation {
        address: HOSTILE[0].into(),
        verdict: HOSTILE[1].into(),
        mailboxes: vec![MailboxFacts {
            primary: HOSTILE[2].into(),
            kind: HOSTILE[0].into(),
            object_id: Some(HOSTILE[1].into()),
            display_name: HOSTILE[6].into(),
            aliases: vec![HOSTILE[5].into()],
            disabled: None,
            full_access: Some(vec![HOSTILE[7].into()]),
            standing: HOSTILE[8].into(),
        }],
        accounts: Vec::new(),
        outside: Vec::new(),
        renamed: BTreeMap::new(),
        actions: Vec::new(),
        held: Vec::new(),
        notes: vec![Note::new(HOSTILE[0], Code::Rejected, HOSTILE[1])],
        unknown: None,
        as_of: None,
    };
    let page = html::explanation(&explanation, None, Some("/api/SyncHttp"), false);
    assert_eq!(markup(&page).get("script"), Some(&1));
}
