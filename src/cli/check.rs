//! `check`: prints the findings of the self-test.

use std::fmt::Write as _;

use super::{
    CliError, Status,
    output::{BOLD, CYAN, GREEN, Output, RED, YELLOW},
    text::{inert, told},
};
use crate::{
    domain::probe::AnswerSheet,
    engine::{
        Engine, Links,
        check::{Checkup, Finding, Level},
    },
    settings::{self, LogSettings, Settings},
    telemetry,
};

/// The file for the answers of `--probe`. It contains no names, so it can be shared.
const ANSWERS: &str = "cloud-sync-answers.json";

pub(super) async fn check(output: Output, probe: bool) -> Result<Status, CliError> {
    let mut checkup = match Settings::read(settings::environment, &settings::environment_names()) {
        Ok(settings) => {
            let engine = Engine::new(settings, Links::default());
            if probe {
                return answers(&engine.probe().await?, output);
            }
            engine.check().await
        }
        Err(error) => Checkup::of_settings(&error),
    };
    let log = LogSettings::read(settings::environment);
    if let Some(why) = telemetry::unwritable(&log) {
        checkup.findings.push(Finding {
            level: Level::Error,
            topic: "log",
            text: why,
            remedy: vec![telemetry::LOG_DIR_REMEDY.to_owned()],
        });
    }
    output.show(&checkup, || page(&checkup))?;
    match checkup.level() {
        Level::Good => Ok(Status::InSync),
        Level::Warning => Ok(Status::NeedsAttention),
        Level::Error => Err(CliError::Failed(
            "not everything works; see above".to_owned(),
        )),
    }
}

fn answers(sheet: &AnswerSheet, output: Output) -> Result<Status, CliError> {
    let text = serde_json::to_string_pretty(sheet).map_err(std::io::Error::from)?;
    std::fs::write(ANSWERS, text + "\n")?;
    output.show(sheet, || {
        let mut out = String::new();
        for probed in &sheet.answers {
            let answer = inert(&probed.answer);
            writeln!(
                out,
                "{BOLD}{:<8}{BOLD:#} {} {answer}",
                probed.service, probed.question
            )
            .expect("writing to a string does not fail");
            if let Some(setting) = &probed.recommends {
                writeln!(
                    out,
                    "{:<8} {YELLOW}recommended: {}{YELLOW:#}",
                    "",
                    inert(setting)
                )
                .expect("writing to a string does not fail");
            }
        }
        out
    })?;
    output.say(&format!(
        "The answers are in {ANSWERS}; it contains no names."
    ));
    Ok(Status::InSync)
}

fn page(checkup: &Checkup) -> String {
    let mut out = String::new();
    for finding in &checkup.findings {
        let (style, word) = match finding.level {
            Level::Good => (GREEN, "ok  "),
            Level::Warning => (YELLOW, "note"),
            Level::Error => (RED, "fail"),
        };
        let (topic, text) = (finding.topic, told(&finding.text));
        writeln!(
            out,
            "{style}{word}{style:#} {BOLD}{topic:<9}{BOLD:#} {text}"
        )
        .expect("writing to a string does not fail");
        for line in &finding.remedy {
            writeln!(out, "               {CYAN}{}{CYAN:#}", told(line))
                .expect("writing to a string does not fail");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_with_its_remedies_below() {
        let finding = Finding {
            level: Level::Error,
            topic: "zivver",
            text: "the key is refused".into(),
            remedy: vec!["make a new one".into()],
        };
        let page = page(&Checkup {
            findings: vec![finding],
        });
        let plain = anstream::adapter::strip_str(&page).to_string();
        assert_eq!(
            plain,
            "fail zivver    the key is refused\n               make a new one\n"
        );
    }
}
