//! What a report states about its run, and what the dashboard states about the runs.

use super::{notation::address, reports::held};
use crate::{
    actor::Actor,
    all_clear::{
        AllClear::{Follows, NamedFollow},
        Standing,
        Verification::{
            self, AsPlanned, Covered, Differs, LeftForLater, NotVerified, Preview, Undone,
        },
    },
    hold::HeldSet,
    mode::{Depth, Mode, Trigger},
    note::{Code, Note},
    report::{Report, RunOutcome},
};

/// An apply that was verified, with these findings.
fn report(findings: &[Code]) -> Report {
    let mut report = Report::begin("R".into(), Mode::Apply, Trigger::Timer, "t".into());
    report.converged = Some(true);
    let notes = findings
        .iter()
        .map(|code| Note::new("anna@corp.example", *code, "t"));
    report.skipped = notes.collect();
    report
}

fn ended(mut report: Report) -> Report {
    report.count();
    report.conclude();
    report
}

#[test]
fn r36_what_an_apply_states_after_it_has_read_zivver_again() {
    let stated = |change: fn(&mut Report), findings: &[Code]| -> Verification {
        let mut report = report(findings);
        change(&mut report);
        ended(report).verification()
    };
    let plain = |_: &mut Report| {};
    let unread = |report: &mut Report| report.converged = None;
    let preview = |report: &mut Report| {
        report.converged = None;
        report.mode = Mode::Preview;
    };
    let differs = |report: &mut Report| report.converged = Some(false);
    let undo = |report: &mut Report| report.undoes = Some("an earlier run".into());
    let quick = |report: &mut Report| report.depth = Depth::Quick;
    let named = |report: &mut Report| report.accounts = vec![address("anna@")];
    let (of, left) = (Follows, Code::NotReviewed);
    for (change, findings, expected) in [
        (preview as fn(&mut Report), &[][..], Preview),
        (unread, &[], NotVerified),
        (differs, &[], Differs),
        (
            plain,
            &[],
            AsPlanned {
                of,
                is_partial: false,
            },
        ),
        (
            plain,
            &[Code::Rejected],
            AsPlanned {
                of,
                is_partial: true,
            },
        ),
        (plain, &[left], LeftForLater { of }),
        (plain, &[left, Code::Rejected], LeftForLater { of }),
        (
            named,
            &[],
            AsPlanned {
                of: NamedFollow,
                is_partial: false,
            },
        ),
        (named, &[Code::OutsideRun], LeftForLater { of: NamedFollow }),
        (undo, &[], Undone { is_partial: false }),
        (undo, &[Code::ChangedSince], Undone { is_partial: true }),
        (quick, &[], Covered { is_partial: false }),
        (quick, &[Code::ResumeLeft], Covered { is_partial: true }),
    ] {
        assert_eq!(stated(change, findings), expected, "{findings:?}");
    }
}

#[test]
fn r28_r45_r47_a_report_tells_what_is_rejected_from_what_is_left_for_later() {
    let numbers = |report: &Report| {
        let has = report.has_rejections();
        (report.rejected(), has, report.left_for_later())
    };
    let mut fresh = report(&[Code::TargetFilter]);
    assert_eq!(numbers(&fresh), (0, false, 0));
    let set = held();
    let set = HeldSet {
        rejected: set.changes.clone(),
        ..set
    };
    // The same changes in two sets count once.
    fresh.held = vec![set.clone(), set];
    assert_eq!(numbers(&fresh), (2, false, 0), "rejected since the run");
    let findings = [
        Code::Rejection,
        Code::TargetFilter,
        Code::Rejection,
        Code::Rejection,
        Code::NotReviewed,
        Code::OutsideRun,
        Code::ResumeLeft,
        Code::ApprovalLeft,
    ];
    fresh.skipped = report(&findings).skipped;
    assert_eq!(numbers(&fresh), (5, true, 4));
}

#[test]
fn r28_r45_the_dashboard_begins_with_the_gravest_that_is_true() {
    use RunOutcome::{ChangesPending, Done, Failed, InSync, NeedsAttention, Open, Stopped};
    let last = |outcome| Report {
        outcome,
        ..report(&[])
    };
    let stated = |outcome, quick| Standing::of(false, true, Some(&last(outcome)), quick, false);
    for (outcome, quick, expected) in [
        (InSync, None, Standing::Healthy),
        (InSync, Some(Done), Standing::Healthy),
        (InSync, Some(ChangesPending), Standing::ChangesPending),
        (InSync, Some(NeedsAttention), Standing::NeedsAttention),
        (ChangesPending, None, Standing::ChangesPending),
        (ChangesPending, Some(Done), Standing::ChangesPending),
        (
            ChangesPending,
            Some(NeedsAttention),
            Standing::NeedsAttention,
        ),
        (NeedsAttention, None, Standing::NeedsAttention),
        (NeedsAttention, Some(Done), Standing::NeedsAttention),
        (Failed, None, Standing::NeedsAttention),
        (Stopped, Some(Done), Standing::NeedsAttention),
        (Open, None, Standing::NeedsAttention),
    ] {
        assert_eq!(stated(outcome, quick), expected, "{outcome:?} {quick:?}");
    }
    let fine = last(InSync);
    let of = |problems, succeeded, last, outdated| {
        Standing::of(problems, succeeded, last, None, outdated)
    };
    assert_eq!(of(true, true, Some(&fine), false), Standing::Failing);
    assert_eq!(of(true, false, None, false), Standing::Failing);
    assert_eq!(of(false, false, None, false), Standing::NoRun);
    assert_eq!(of(false, false, Some(&fine), true), Standing::NoSuccess);
    assert_eq!(of(false, true, Some(&fine), true), Standing::NeedsAttention);
}

#[test]
fn r41_the_schedule_is_who_started_its_runs_and_of_others_it_is_said() {
    let begun = |trigger| Report::begin("R".into(), Mode::Preview, trigger, "t".into()).started_by;
    assert_eq!(begun(Trigger::Timer), Some(Actor::Timer));
    assert_eq!(begun(Trigger::Http), None);
    assert_eq!(begun(Trigger::CommandLine), None);
}
