//! The claims of all outputs about a run: the sentences that say that all is well, and the outputs that show them.

use std::collections::BTreeMap;

use cloud_sync::{
    cli::{self, Status},
    domain::{
        address::SmtpAddress,
        all_clear::AllClear,
        mode::{Mode, PerformSync, Trigger as StartedBy},
        notice::{Notified, after_run},
        report::{Report, RunOutcome, RunState},
    },
    functions::{Answer, App, Invocation, Request, Trigger},
    mail,
    render::{csv, html},
};
use serde_json::Value;

use crate::world::World;

/// The strongest claim of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    Nothing,
    /// All is well, except for what is held or named.
    But,
    /// Nothing is wrong.
    AllIsWell,
}

fn claim(is: bool, claim: Claim) -> Claim {
    if is { claim } else { Claim::Nothing }
}

/// The claim of a text, found by the sentences of [`AllClear`].
pub(super) fn claim_of(text: &str) -> Claim {
    let text = text.to_lowercase().replace("not converged", "");
    let claims = AllClear::ALL.into_iter().map(|sentence| {
        let words = sentence.text().to_lowercase();
        match sentence {
            _ if !text.contains(&words) => Claim::Nothing,
            AllClear::Converged => Claim::But,
            AllClear::Follows | AllClear::NamedFollow
                if text.contains(&format!("{words}, apart from")) =>
            {
                Claim::But
            }
            AllClear::Follows
            | AllClear::NamedFollow
            | AllClear::InSync
            | AllClear::NothingToChange
            | AllClear::InSyncAddress
            | AllClear::Healthy
            | AllClear::NothingWaits
            | AllClear::Recovered => Claim::AllIsWell,
        }
    });
    claims.max().unwrap_or(Claim::Nothing)
}

/// The columns of its header are names, not claims.
fn claim_of_csv(csv: &str) -> Claim {
    let is_denial = |line: &&str| line.contains("\"converged\"") && !line.contains("\"yes\"");
    let lines: Vec<&str> = csv.lines().filter(|line| !is_denial(line)).collect();
    claim_of(&lines.join("\n"))
}

fn claim_of_json(report: &Value) -> Claim {
    // For an undo it says that the changes are taken back.
    let is_undo = report.get("undoes").is_some();
    let converged = claim(report["converged"] == true && !is_undo, Claim::But);
    let in_sync = claim(report["outcome"] == "in_sync", Claim::AllIsWell);
    converged.max(in_sync)
}

/// An exit code of 0.
fn claim_of_status(status: Option<Status>, is_undo: bool) -> Claim {
    // An undo that ends with 0 says that it is done.
    claim(status == Some(Status::InSync) && !is_undo, Claim::AllIsWell)
}

/// The claims of all outputs of a report.
pub(super) fn of_report(report: &Report) -> Vec<(String, Claim)> {
    let json = serde_json::to_value(report).unwrap();
    let status = Status::of(report);
    let faces = [
        ("the report", claim_of_json(&json)),
        ("the terminal", claim_of(&cli::terminal(report))),
        ("the page", claim_of(&html::report(report))),
        (
            "the table",
            claim_of_csv(&csv::report(report, csv::Separator::Comma)),
        ),
        ("the subject of the mail", claim_of(&mail::subject(report))),
        (
            "the exit code",
            claim_of_status(status, report.undoes.is_some()),
        ),
    ];
    faces.map(|(face, claim)| (face.to_owned(), claim)).into()
}

/// The part of a page or table about the newest run.
fn newest_row(text: &str, start: &str, end: &str) -> String {
    let (_, rows) = text.split_once(start).unwrap_or_default();
    rows.split(end).next().unwrap_or_default().to_owned()
}

/// The app, and what was last sent by webhook.
pub(super) struct Faces {
    app: App,
    told: Notified,
}

impl Faces {
    pub(super) fn new(world: &World) -> Self {
        Self {
            app: App::new(Ok(world.engine.clone())),
            told: Notified::default(),
        }
    }

    async fn get(&self, path: &str, format: &str) -> (u16, String) {
        let segments = path.split('/').filter(|it| !it.is_empty());
        let request = Request {
            key: None,
            method: "GET".into(),
            segments: segments.map(ToOwned::to_owned).collect(),
            query: BTreeMap::from([("format".to_owned(), format.to_owned())]),
            headers: BTreeMap::new(),
            body: None,
            base: "/api/SyncHttp".into(),
        };
        let invocation = Invocation {
            id: "i".into(),
            trigger: Trigger::Http(request),
        };
        match Box::pin(self.app.handle(invocation)).await {
            Answer::Success(success) => {
                let response = success.response.unwrap();
                (response.status, response.body)
            }
            Answer::Failure { cause } => panic!("{cause}"),
        }
    }

    fn notice(&mut self, report: &Report) -> Claim {
        let (told, notice) = after_run(&self.told, report, PerformSync::Always, None, 0);
        self.told = told;
        notice.map_or(Claim::Nothing, |it| {
            claim_of(&format!("{} {}", it.title, it.text))
        })
    }

    /// The claims of all outputs about the newest run.
    pub(super) async fn of_newest(
        &mut self,
        world: &World,
        report: &Report,
    ) -> Vec<(String, Claim)> {
        let mut faces = of_report(report);
        faces.push(("the notification".into(), self.notice(report)));
        let run = format!("/runs/{}", report.id);
        faces.push((
            "the run's page".into(),
            claim_of(&self.get(&run, "html").await.1),
        ));
        faces.push((
            "the run's table".into(),
            claim_of_csv(&self.get(&run, "csv").await.1),
        ));
        let runs = self.get("/runs", "html").await.1;
        let row = newest_row(&runs, "<tbody>", "</tr>");
        assert!(row.contains(&report.id), "{runs}");
        faces.push(("the newest row of the history".into(), claim_of(&row)));
        let history = world.engine.history(50).await.unwrap();
        let lines = cli::terminal_runs(&history, "memory");
        let entry: Vec<&str> = lines.lines().skip(1).take(2).collect();
        assert!(entry[0].contains(&report.id), "{lines}");
        let claim = claim_of(&entry.join("\n"));
        faces.push(("the newest entry of the history".into(), claim));
        let (_, history) = self.dashboard().await;
        let row = newest_row(&history, "<tbody>", "</tr>");
        faces.push(("the dashboard's history".into(), claim_of(&row)));
        faces
    }

    /// The part of the dashboard before its history, and the history.
    async fn dashboard(&self) -> (String, String) {
        let page = self.get("", "html").await.1;
        let (now, history) = page.split_once("<h2>History</h2>").unwrap();
        (now.to_owned(), history.to_owned())
    }

    /// The claims about the state of the app.
    pub(super) async fn of_standing(&self) -> Vec<(String, Claim)> {
        let (now, _) = self.dashboard().await;
        let mut faces = vec![("the dashboard".to_owned(), claim_of(&now))];
        let (status, health) = self.get("/health", "json").await;
        let health: Value = serde_json::from_str(&health).unwrap();
        let is_ok = status == 200 || health["status"] == "ok";
        faces.push(("/health".into(), claim(is_ok, Claim::But)));
        faces
    }

    /// The claims about one account.
    pub(super) async fn of_account(&self, world: &World, address: &str) -> Vec<(String, Claim)> {
        let parsed = SmtpAddress::parse(address).unwrap();
        let Ok(explained) = Box::pin(world.engine.explain(&parsed)).await else {
            return Vec::new();
        };
        let status = Some(Status::of_explanation(&explained));
        let mut faces = vec![
            (format!("explain {address}"), claim_of(&explained.verdict)),
            (
                format!("the exit code of explain {address}"),
                claim_of_status(status, false),
            ),
        ];
        for format in ["html", "csv", "json"] {
            let path = format!("/accounts/{address}");
            let shown = self.get(&path, format).await.1;
            faces.push((format!("{path} as {format}"), claim_of(&shown)));
        }
        faces
    }
}

/// Words that only the sentences of [`AllClear`] may contain.
const CLAIMS: [&str; 9] = [
    "in sync",
    "converged",
    "healthy",
    "follows exchange",
    "as it should be",
    "nothing to change",
    "nothing is to change",
    "nothing to do",
    "up to date",
];

/// Literals that contain such words and make no claim about a run.
const HARMLESS: [&str; 4] = [
    "Exit codes: 0 in sync",
    "\"not converged\"",
    "Not converged",
    "\"nothing to do about it\"",
];

#[test]
fn no_face_has_words_of_its_own_for_an_all_clear() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("crates/domain/src")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let is_test = path
                .iter()
                .any(|part| part == "tests" || part == "tests.rs");
            if is_test || path.ends_with("all_clear.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = product.lines().filter(|line| {
                let code = line.split("//").next().unwrap();
                // A line without code is part of a literal.
                let has_literal = code.contains('"') || !code.contains([';', '(', '{', '=', ',']);
                let low = code.to_lowercase();
                has_literal
                    && CLAIMS.iter().any(|claim| low.contains(claim))
                    && !HARMLESS.iter().any(|it| code.contains(it))
            });
            found.extend(lines.map(|line| format!("{}: {}", path.display(), line.trim())));
        }
    }
    found.sort();
    // The name of a fact in a table.
    found.retain(|line| !line.ends_with("csv.rs: fact(\"converged\", verified(report));"));
    assert_eq!(found, [""; 0], "say it with domain::all_clear::AllClear");
    for sentence in AllClear::ALL {
        assert_ne!(claim_of(sentence.text()), Claim::Nothing, "{sentence:?}");
    }
}

#[test]
fn each_outcome_claims_what_it_means() {
    for (outcome, expected) in [
        (RunOutcome::InSync, Claim::AllIsWell),
        (RunOutcome::Done, Claim::Nothing),
        (RunOutcome::ChangesPending, Claim::Nothing),
        (RunOutcome::NeedsAttention, Claim::Nothing),
        (RunOutcome::Failed, Claim::Nothing),
        (RunOutcome::Open, Claim::Nothing),
    ] {
        let report = Report {
            outcome,
            undoes: (outcome == RunOutcome::Done).then(|| "r".into()),
            state: RunState::Ended,
            ..Report::begin("r".into(), Mode::Preview, StartedBy::Timer, "t".into())
        };
        for (face, claim) in of_report(&report) {
            assert_eq!(claim, expected, "{face} of {outcome:?}");
        }
    }
}
