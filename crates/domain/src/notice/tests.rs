use super::*;
use crate::{
    hold::HeldSet,
    mode::{Mode, Trigger},
};

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;

fn run(outcome: RunOutcome, held: &[Class]) -> Report {
    let mut report = Report::begin("r".into(), Mode::Apply, Trigger::Timer, "t".into());
    report.state = RunState::Ended;
    report.outcome = outcome;
    report.held = held
        .iter()
        .map(|class| HeldSet {
            approved: Vec::new(),
            second_person: None,
            class: *class,
            code: "c0de".into(),
            reason: "over its limit".into(),
            changes: vec![],
            companions: vec![],
            rejected: vec![],
        })
        .collect();
    report
}

/// The messages of a series of runs.
fn told(story: &[Report]) -> Vec<Option<Event>> {
    let mut before = Notified::default();
    let mut events = Vec::new();
    for report in story {
        let (after, notice) = after_run(&before, report, PerformSync::Always, None, NOW);
        before = after;
        events.push(notice.map(|notice| notice.event));
    }
    events
}

#[test]
fn one_message_per_change_of_state() {
    use Event::{Failed, Held, Recovered};
    let fine = || run(RunOutcome::InSync, &[]);
    let bad = || run(RunOutcome::Failed, &[]);
    let held = || run(RunOutcome::NeedsAttention, &[Class::Suspend]);
    let more = || run(RunOutcome::NeedsAttention, &[Class::Suspend, Class::Rename]);
    let story = [
        fine(),
        fine(),
        bad(),
        bad(),
        fine(),
        fine(),
        held(),
        held(),
        more(),
        held(),
        fine(),
        bad(),
        held(),
    ];
    assert_eq!(
        told(&story),
        [
            None,
            None,
            Some(Failed),
            None,
            Some(Recovered),
            None,
            Some(Held),
            None,
            Some(Held),
            None,
            Some(Recovered),
            Some(Failed),
            Some(Held)
        ]
    );
}

/// A run every four hours over three days, with the titles of the messages.
fn titles(story: impl Fn(i64) -> Option<Report>, last: Option<&Figures>) -> Vec<(i64, String)> {
    let mut before = Notified::default();
    let mut titles = Vec::new();
    for hour in (0..=72).step_by(4) {
        let now = NOW + hour * HOUR;
        let (after, notice) = match story(hour) {
            Some(report) => after_run(&before, &report, PerformSync::Always, last, now),
            None => at_tick(&before, None, last, now),
        };
        before = after;
        titles.extend(notice.map(|it| (hour, it.title["Cloud Sync: ".len()..].to_owned())));
    }
    titles
}

/// R45: the message leads to the run that shows the set.
#[test]
fn r45_a_message_about_a_quick_run_has_the_codes_of_what_it_holds() {
    let full = run(RunOutcome::NeedsAttention, &[Class::DelegateRemoval]);
    let mut quick = run(
        RunOutcome::NeedsAttention,
        &[Class::DelegateRemoval, Class::Suspend],
    );
    quick.id = "quick".into();
    quick.depth = Depth::Quick;
    quick.held[1].code = "new".into();
    let figures = Figures::of(&full).with_held_of(&quick);
    let before = Notified {
        held: [Class::DelegateRemoval].into(),
        ..Notified::default()
    };
    let told = after_run(&before, &quick, PerformSync::Always, Some(&figures), 0);
    let held = told.1.unwrap().figures.unwrap().held;
    let held: Vec<_> = held
        .iter()
        .map(|it| (it.class, &*it.code, &*it.run))
        .collect();
    let known = (Class::DelegateRemoval, &*full.held[0].code, &*full.id);
    assert_eq!(held, [(Class::Suspend, "new", "quick"), known]);
}

#[test]
fn what_stays_bad_is_told_once_a_day() {
    let held = || run(RunOutcome::NeedsAttention, &[Class::Suspend]);
    let bad = || run(RunOutcome::Failed, &[]);
    let figures = Figures::of(&held());
    let told = |titles: [&str; 4]| {
        let hours = [0, 24, 48, 72].into_iter();
        hours.zip(titles.map(str::to_owned)).collect::<Vec<_>>()
    };
    let new = "changes are held for approval";
    let still = "changes still wait for approval";
    assert_eq!(
        titles(|_| Some(held()), None),
        told([new, still, still, still])
    );
    // No run ends in between, as with a weekly schedule.
    let once = |hour| (hour == 0).then(held);
    assert_eq!(
        titles(once, Some(&figures)),
        told([new, still, still, still])
    );
    let fail = "runs still fail";
    let failing = told(["the run failed", fail, fail, fail]);
    assert_eq!(titles(|_| Some(bad()), None), failing);
    let once = |hour| (hour == 0).then(bad);
    assert_eq!(titles(once, None), failing);
    let quick = |report: Report| Report {
        depth: Depth::Quick,
        ..report
    };
    let fail = "quick runs still fail";
    let failing = told(["the quick run failed", fail, fail, fail]);
    assert_eq!(titles(|_| Some(quick(bad())), None), failing);
    let once = |hour| (hour == 0).then(|| quick(bad()));
    assert_eq!(titles(once, None), failing);
    // The last complete run held nothing.
    let well = Figures::of(&run(RunOutcome::InSync, &[]));
    assert_eq!(
        titles(|_| Some(quick(held())), Some(&well)),
        told([new, still, still, still])
    );
    let resolved = |hour| match hour {
        0 => Some(held()),
        8 => Some(run(RunOutcome::InSync, &[])),
        _ => None,
    };
    let settled = titles(resolved, Some(&figures));
    assert_eq!(
        settled.last().unwrap(),
        &(8, "runs succeed again".to_owned())
    );
}

#[test]
fn a_clock_that_was_ahead_silences_no_reminder() {
    let before = Notified {
        held: [Class::Suspend].into(),
        told: Some(NOW + 40 * 24 * HOUR),
        ..Notified::default()
    };
    let held = run(RunOutcome::NeedsAttention, &[Class::Suspend]);
    let notice = after_run(&before, &held, PerformSync::Always, None, NOW).1;
    assert!(notice.is_some());
}

#[test]
fn a_run_for_a_few_accounts_or_one_that_goes_on_says_nothing() {
    let mut scoped = run(RunOutcome::Failed, &[]);
    scoped.accounts = vec![crate::address::SmtpAddress::verbatim("a@corp.example")];
    let mut cut_off = run(RunOutcome::Open, &[Class::Suspend]);
    cut_off.state = RunState::Continues;
    assert_eq!(told(&[scoped, cut_off]), [None, None]);
}

/// A run that failed read nothing, so its message shows the figures of the last complete run.
#[test]
fn r28_a_failure_is_told_with_the_figures_of_the_last_complete_run() {
    let figures = Figures::of(&run(RunOutcome::NeedsAttention, &[Class::Suspend]));
    let mut failed = run(RunOutcome::Failed, &[]);
    failed.error = Some("source incomplete".into());
    let setting = PerformSync::Always;
    let notice = after_run(&Notified::default(), &failed, setting, Some(&figures), NOW).1;
    let notice = notice.unwrap();
    assert_eq!(notice.figures, Some(figures));
    assert!(
        notice
            .text
            .starts_with("source incomplete. The last complete run ended at "),
        "{}",
        notice.text
    );
    let first = after_run(&Notified::default(), &failed, setting, None, NOW).1;
    assert_eq!(first.unwrap().text, "source incomplete");
}

#[test]
fn r28_only_a_success_ends_an_alarm() {
    let alarmed = Notified {
        failed: true,
        silent: true,
        held: [Class::Suspend].into(),
        quick: Quick::default(),
        told: Some(NOW),
        mailed: None,
    };
    let preview = Report {
        mode: Mode::Preview,
        ..run(RunOutcome::InSync, &[])
    };
    let undo = Report {
        undoes: Some("r".into()),
        ..run(RunOutcome::InSync, &[])
    };
    let scoped = Report {
        accounts: vec![crate::address::SmtpAddress::verbatim("a@corp.example")],
        ..run(RunOutcome::InSync, &[])
    };
    for report in [&preview, &undo, &scoped] {
        let (after, notice) = after_run(&alarmed, report, PerformSync::Always, None, NOW);
        assert_eq!((&after, notice), (&alarmed, None), "{report:?}");
    }
    for setting in [PerformSync::Never, PerformSync::OnDemand] {
        let (after, notice) = after_run(&alarmed, &preview, setting, None, NOW);
        assert_eq!(after, Notified::default());
        assert_eq!(notice.map(|notice| notice.event), Some(Event::Recovered));
    }
}

/// It says nothing about full runs: their failures and what they held stay reported.
#[test]
fn r45_a_quick_run_tells_of_quick_runs() {
    use Event::{Failed, Held, Recovered};
    let quick = |report: Report| Report {
        depth: Depth::Quick,
        ..report
    };
    let fine = || quick(run(RunOutcome::Done, &[]));
    let bad = || quick(run(RunOutcome::Failed, &[]));
    let full = || run(RunOutcome::InSync, &[]);
    let story = [
        run(RunOutcome::NeedsAttention, &[Class::DelegateRemoval]),
        fine(),
        bad(),
        bad(),
        fine(),
        bad(),
        quick(run(RunOutcome::NeedsAttention, &[Class::Suspend])),
        run(RunOutcome::Failed, &[]),
        fine(),
        full(),
        fine(),
    ];
    let (held, failed, recovered) = (Some(Held), Some(Failed), Some(Recovered));
    assert_eq!(
        told(&story),
        [
            held, None, failed, None, recovered, failed, held, failed, None, recovered, None
        ]
    );
    let figures = Figures::of(&run(RunOutcome::NeedsAttention, &[Class::DelegateRemoval]));
    let setting = PerformSync::Always;
    let suspend = quick(run(RunOutcome::NeedsAttention, &[Class::Suspend]));
    let notice = after_run(&Notified::default(), &suspend, setting, Some(&figures), NOW).1;
    assert_eq!(notice.unwrap().figures, Some(figures));
    let overdue = Overdue {
        age_s: 3 * 3600 + 60,
        age_max_s: 3 * 3600,
        has_succeeded: true,
        depth: Depth::Quick,
    };
    let (silent, notice) = at_tick(&Notified::default(), Some(overdue), None, NOW);
    assert_eq!(
        notice.unwrap().title,
        "Cloud Sync: no run, quick or full, has succeeded for 180 minutes, three intervals of the schedule"
    );
    assert_eq!(at_tick(&silent, Some(overdue), None, NOW).1, None);
    let again = at_tick(&silent, Some(overdue), None, NOW + 24 * HOUR).1;
    assert_eq!(again.map(|notice| notice.event), Some(Event::NoSuccess));
    let (after, notice) = after_run(&silent, &fine(), setting, None, NOW);
    assert_eq!(after, Notified::default());
    assert_eq!(notice.map(|notice| notice.event), Some(Recovered));
}

#[test]
fn silence_is_told_once_until_a_success() {
    let fresh = Notified::default();
    assert_eq!(at_tick(&fresh, None, None, NOW).1, None);
    let overdue = Overdue {
        age_s: 27 * 3600,
        age_max_s: 26 * 3600,
        has_succeeded: true,
        depth: Depth::Full,
    };
    let (silent, notice) = at_tick(&fresh, Some(overdue), None, NOW);
    assert_eq!(notice.map(|notice| notice.event), Some(Event::NoSuccess));
    assert_eq!(at_tick(&silent, Some(overdue), None, NOW).1, None);
    let held = [Class::Suspend];
    let waiting = Notified {
        held: held.into(),
        ..silent.clone()
    };
    let setting = PerformSync::Always;
    let (_, notice) = after_run(
        &waiting,
        &run(RunOutcome::NeedsAttention, &held),
        setting,
        None,
        NOW,
    );
    assert_eq!(notice.map(|notice| notice.event), Some(Event::Held));
    let (after, notice) = after_run(&silent, &run(RunOutcome::InSync, &[]), setting, None, NOW);
    assert_eq!(
        (after, notice.map(|notice| notice.event)),
        (fresh, Some(Event::Recovered))
    );
}
