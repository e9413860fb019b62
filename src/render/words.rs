//! The texts for values of the model, on terminals and on pages.

mod names;
mod times;

use crate::engine::RunSummary;
use domain::{
    address::SmtpAddress,
    all_clear::{AllClear, Verification},
    guard::Class,
    hold::HeldSet,
    mode::{Depth, Mode, PerformSync},
    note::{Code, Note},
    other_setting::OtherSetting,
    plan::ActionKind,
    report::{ByHand, Others, Report, RunOutcome, RunState, ServiceRequests, Timing},
    snapshot::history::Event,
    wave::Wave,
};
pub(crate) use domain::{
    counted::{mailboxes_in_scope, number, thousands},
    name_in_json as key,
};
pub(crate) use names::{
    NOT_MADE, account, action_outcome, approves, attribute, class, code, finding, meaning, mode,
    origin, outcome, past, started_by, verb,
};
pub(crate) use times::{
    about, beginning_of, duration, in_local_time, known_time_zone, local, moment, time_zone,
};

pub(crate) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// `3 accounts created`, `2 renamed`: the counts that are not 0. The first one names the unit for all.
pub(crate) fn of_accounts<'a>(counts: impl IntoIterator<Item = (u32, &'a str)>) -> Vec<String> {
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let parts = counts.enumerate().map(|(at, (count, what))| match at {
        0 => format!("{} {what}", number(count, "account", "accounts")),
        _ => format!("{} {what}", thousands(count)),
    });
    parts.collect()
}

/// The state of a run that has not ended, otherwise its outcome.
pub(crate) fn standing_of(state: RunState, ended: RunOutcome) -> &'static str {
    match state {
        RunState::Ended => outcome(ended),
        RunState::Queued => "queued",
        RunState::Running => "running",
        RunState::Continues => "cut off, continues",
    }
}

/// That all is well, with exceptions if `is_partial`, or if a person has rejected changes.
pub(crate) fn all_clear(of: AllClear, is_partial: bool, report: &Report) -> String {
    format!("{}{}", of.text(), apart(is_partial, report))
}

fn apart(is_partial: bool, report: &Report) -> &'static str {
    match (is_partial, report.has_rejections()) {
        (true, true) => ", apart from what is held, rejected, left for later or needs attention",
        (true, false) => ", apart from what is held, left for later or needs attention",
        (false, true) => ", apart from what is rejected",
        (false, false) => "",
    }
}

/// R45: what a quick run compared.
pub(crate) const COVERED: &str =
    "status, names, addresses and aliases follow Exchange; permissions were not read (R45)";

/// R45: what a run did not read.
pub(crate) fn depth(depth: Depth) -> Option<&'static str> {
    match depth {
        Depth::Full => None,
        Depth::Quick => Some(
            "a quick run: it compares status, names, addresses and aliases, and reads no permissions, so delegates, members and \
             the status of functional accounts stay as they are (R45)",
        ),
    }
}

/// R28: the restriction to a reviewed plan.
pub(crate) fn applies(preview: &str) -> String {
    format!("only what preview {preview} showed (R28)")
}

/// `quick apply for 2 accounts`. A full run for all accounts is described by its mode only.
pub(crate) fn what(run: &RunSummary) -> String {
    let mode = mode_of(run.mode, run.depth);
    let what = what_of(mode, run.undo.is_some(), run.accounts.len());
    let only = run.wave.as_ref().map(wave_in_short).unwrap_or_default();
    if run.is_hypothetical() {
        format!("{what} under other settings")
    } else {
        what + &only
    }
}

/// `, only approved`, `, only create, update, the first 10`
fn wave_in_short(wave: &Wave) -> String {
    let only: Vec<String> = wave.only.iter().map(ToString::to_string).collect();
    let only = match only.join(", ") {
        only if only.is_empty() => only,
        only => format!(", only {only}"),
    };
    let first = wave.first.map(|first| format!(", the first {first}"));
    only + &first.unwrap_or_default()
}

/// The same for a run in the history of an account (R42).
pub(crate) fn what_happened_in(event: &Event) -> String {
    let mode = mode_of(event.mode, event.depth);
    what_of(mode, event.undoes.is_some(), event.accounts.len())
}

fn what_of(mode: String, is_undo: bool, accounts: usize) -> String {
    match (is_undo, accounts) {
        (true, _) if mode == self::mode(Mode::Apply) => "undo".to_owned(),
        (true, _) => format!("{mode} of an undo"),
        (false, 0) => mode,
        (false, count) => format!("{mode} for {}", number(count, "account", "accounts")),
    }
}

/// R46: the settings of a preview that replace those of the program.
pub(crate) fn settings(others: &[OtherSetting]) -> String {
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    others.join("; ")
}

/// What follows an old preview instead of the command that applies it.
pub(crate) const OUTDATED: &str =
    "Later runs have changed accounts: a new preview shows what is left.";

/// R46: what to do with a plan that cannot be applied.
pub(crate) const HYPOTHETICAL: &str = "Nothing was written, and this plan cannot be applied: it was made under other settings. To get its \
     changes, change the settings of the program, and preview again (R46).";

/// R45
pub(crate) fn depth_name(depth: Depth) -> &'static str {
    match depth {
        Depth::Full => "a full run",
        Depth::Quick => "a quick run, which reads no permissions (R45)",
    }
}

/// `apply`, `quick apply`
pub(crate) fn mode_of(mode: Mode, depth: Depth) -> String {
    let mode = self::mode(mode);
    match depth {
        Depth::Full => mode.to_owned(),
        Depth::Quick => format!("quick {mode}"),
    }
}

/// R37: of an undo without changes.
pub(crate) const NOTHING_TO_TAKE_BACK: &str = "nothing is left to take back";

/// R36: the result of the verification in one sentence.
pub(crate) fn verdict(report: &Report) -> String {
    match report.verification() {
        Verification::Preview => "A preview writes nothing, so there is nothing to verify.".into(),
        Verification::NotVerified => not_verified(report).into(),
        Verification::Differs if report.differences.is_empty() => {
            format!("Read again after applying, {}.", waiting(report))
        }
        Verification::Differs => "Read again after applying, these accounts still differ.".into(),
        Verification::Undone { is_partial } => {
            let taken_back = match (report.counts.applied.is_empty(), is_partial) {
                (true, true) => "nothing was taken back",
                (true, false) => NOTHING_TO_TAKE_BACK,
                (false, _) => "the changes are taken back where nothing changed since",
            };
            format!(
                "Read again after applying, {taken_back}{}.",
                apart(is_partial && !report.counts.applied.is_empty(), report)
            )
        }
        Verification::Covered { is_partial } => {
            let apart = apart(is_partial, report);
            format!("Read again after applying, {COVERED}{apart}.")
        }
        Verification::LeftForLater { of } => {
            let all_clear = all_clear(of, true, report);
            format!("Read again after applying, {all_clear}.")
        }
        Verification::AsPlanned { of, is_partial } => {
            let all_clear = all_clear(of, is_partial, report);
            format!("Read again after applying, {all_clear}.")
        }
    }
}

fn not_verified(report: &Report) -> &'static str {
    if !report.counts.may_have_written() {
        "Not verified: nothing was applied."
    } else if report.remaining > 0 {
        "Not verified: the run ended before all changes were made."
    } else {
        "Not verified: the run ended before Zivver was read again."
    }
}

/// Why the changes of a set were held. The reason counts them all, also what was decided since.
pub(crate) fn reason(set: &HeldSet) -> String {
    let reason = &set.reason;
    let reason = if set.rejected.is_empty() && set.approved.is_empty() {
        reason.clone()
    } else {
        format!("when the run held it: {reason}")
    };
    if matches!(set.class, Class::Identity | Class::SignInKey) {
        format!("{reason}; an undo does not take it back (R37)")
    } else {
        reason
    }
}

/// R22, R33: changes that a run did not attempt, which do not count as differences from the plan.
pub(crate) fn waiting(report: &Report) -> String {
    let notes = report.skipped.iter();
    let refused = notes
        .filter(|note| note.code == Code::RepeatOffender)
        .count();
    match refused {
        0 => {
            "changes that Zivver accepted before and did not keep wait for a later day (R22)".into()
        }
        1 => "1 change waits after three refusals (R33)".into(),
        _ => format!("{refused} changes wait after three refusals (R33)"),
    }
}

/// R39: how many findings a run for named accounts does not list; `None` if there are none.
pub(crate) fn others(others: Others) -> Option<String> {
    if others.findings == 0 {
        return None;
    }
    let findings = number(others.findings, "finding", "findings");
    let attention = thousands(others.attention);
    Some(format!(
        "not listed: {findings} about other accounts, {attention} to look at; a run for all accounts lists them, and can find \
         more, since it plans their changes too (R39)"
    ))
}

/// `1980 (1979 permissions, …), 2 repeated, 812 kB received`.
pub(crate) fn requests(requests: &ServiceRequests) -> String {
    let kinds: Vec<String> = requests
        .by_kind
        .iter()
        .map(|(kind, count)| format!("{} {}", thousands(*count), kind_of_request(kind)))
        .collect();
    let total = thousands(requests.total);
    let mut parts = vec![if kinds.is_empty() {
        total
    } else {
        format!("{total} ({})", kinds.join(", "))
    }];
    for (count, word) in [
        (requests.retries, "repeated"),
        (requests.throttled, "throttled"),
    ] {
        if count > 0 {
            parts.push(format!("{} {word}", thousands(count)));
        }
    }
    let kilobytes = thousands(requests.bytes_received.div_ceil(1000));
    parts.push(format!("{kilobytes} kB received"));
    parts.join(", ")
}

/// What SCIM calls a Group is a functional account.
fn kind_of_request(kind: &str) -> String {
    let words = kind.replace('_', " ");
    match words.strip_prefix("zivver ") {
        Some(of_zivver) => of_zivver.replace("group", "functional account"),
        None => words,
    }
}

/// The command that makes the changes of a preview (R28, R37, R47).
pub(crate) fn apply_command_of(report: &Report) -> String {
    let wave = report.wave.iter().map(ToString::to_string);
    let words = std::iter::once(command(report)).chain(wave);
    words.collect::<Vec<_>>().join(" ")
}

/// R28: why the commands of a report cannot be used yet, and what to do first.
pub(crate) fn forbidden(report: &Report) -> Option<&'static str> {
    let is_forbidden = report.perform_sync == Some(PerformSync::Never);
    (is_forbidden && !report.is_hypothetical()).then_some(
        "PERFORM_SYNC is false, which forbids to apply: set CLOUD_SYNC__PERFORM_SYNC=on-demand first (R28)",
    )
}

/// The rule behind a text that does not name one itself: ` (R16)`.
pub(crate) fn cited(text: &str, rule: &str) -> String {
    let last = text.rsplit_once(" (R").map(|(_, last)| last);
    let names_rule = last.is_some_and(|last| {
        last.ends_with(')') && last.starts_with(|digit: char| digit.is_ascii_digit())
    });
    if names_rule {
        String::new()
    } else {
        format!(" ({rule})")
    }
}

/// The restriction of a run, with the options of the command line (R47).
pub(crate) fn wave(wave: &Wave) -> String {
    format!("restricted with {wave} (R47)")
}

/// The same for a page, whose reader knows no options.
pub(crate) fn wave_in_words(wave: &Wave) -> String {
    let kinds: Vec<String> = wave.only.iter().map(ToString::to_string).collect();
    let kinds = match kinds.join(", ").as_str() {
        "" => String::new(),
        "approved" => " to what is approved".to_owned(),
        kinds => format!(" to {kinds}"),
    };
    let first = wave.first.map(|first| {
        format!(
            ", to the first {}",
            number(u64::from(first), "account", "accounts")
        )
    });
    let all = format!("{kinds}{}", first.unwrap_or_default());
    format!("restricted{} (R47)", all.strip_prefix(',').unwrap_or(&all))
}

/// The command for the scope of a report (R37).
fn command(report: &Report) -> String {
    match &report.undoes {
        None => {
            let command = apply_command(report.accounts.iter().map(SmtpAddress::as_str));
            match report.depth {
                Depth::Full => command,
                Depth::Quick => command + " --quick",
            }
        }
        Some(run) => format!("cloud-sync undo {run} --apply"),
    }
}

/// R27: the command that approves a held set, without the code. After a wave, the command makes only the approved
/// changes (R47).
pub(crate) fn approve_command(report: &Report) -> String {
    let wave = report.wave.is_some().then_some(" --only approved");
    format!("{}{} --approve", command(report), wave.unwrap_or_default())
}

/// What the command of [`approve_command`] makes.
pub(crate) fn approved_with(report: &Report) -> &'static str {
    match report.wave {
        Some(_) => "exactly these changes",
        None => "exactly these, and all changes that are not held",
    }
}

/// The command that applies these accounts, or this plan.
pub(crate) fn apply_command<'a>(subjects: impl IntoIterator<Item = &'a str>) -> String {
    let subjects = subjects.into_iter().map(quoted);
    let words: Vec<String> = std::iter::once("cloud-sync apply".to_owned())
        .chain(subjects)
        .collect();
    words.join(" ")
}

/// Quotes a word for a POSIX shell.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "@.-_+=/".contains(c);
    if word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// ` (reading 4.2 s, applying 1 min 23 s)`; empty if every part was short.
pub(crate) fn parts_of(timing: Timing) -> String {
    let parts: Vec<String> = [
        ("reading", timing.reading_ms),
        ("planning", timing.planning_ms),
        ("applying", timing.applying_ms),
        ("verifying", timing.verifying_ms),
    ]
    .into_iter()
    .filter(|(_, ms)| *ms >= 100)
    .map(|(part, ms)| format!("{part} {}", duration(ms)))
    .collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!(" ({})", parts.join(", "))
    }
}

/// `412 writes ≈ 1 min 23 s at Zivver's rate`.
pub(crate) fn estimate(writes: u32, estimate_ms: u64) -> String {
    let writes = number(writes, "write", "writes");
    match estimate_ms {
        0 => format!("{writes}, in less than a second at Zivver's rate"),
        ms => format!("{writes} ≈ {} at Zivver's rate", duration(ms)),
    }
}

/// Notes about permissions for which no delegate results, or no certain one.
pub(crate) fn is_about_a_delegation(code: Code) -> bool {
    matches!(
        code,
        Code::TrusteeDeleted
            | Code::TrusteeDenied
            | Code::GroupGivesNoRight
            | Code::TrusteeNotAMailbox
            | Code::TrusteeNotFound
            | Code::DelegationsUnknown
            | Code::MailboxGone
            | Code::DelegatePruned
            | Code::DelegateKept
            | Code::DelegatesLeftOut
            | Code::DelegatesStay
            | Code::DelegateLeftOut
    )
}

/// R44: `what caused 3 single changes, held ones included (R44): Exchange changed (2), failed before (1)`; `None` without a
/// plan or if origins are unknown. Other totals of a report count accounts.
pub(crate) fn origins(report: &Report) -> Option<String> {
    let counts = &report.counts.origins;
    if report.actions.is_empty() || counts.is_empty() {
        return None;
    }
    let parts = counts.iter();
    let parts = parts.map(|(it, count)| format!("{} ({})", origin(*it), thousands(*count)));
    let parts: Vec<String> = parts.collect();
    Some(format!(
        "what caused {}, held ones included (R44): {}",
        number(
            counts.values().sum::<u32>(),
            "single change",
            "single changes"
        ),
        parts.join(", ")
    ))
}

/// R28, R47: `accounts: 40 to create, 27 to rename`, of what is left for a later run; `None` if no kind is known.
pub(crate) fn left_by_kind(notes: &[&Note]) -> Option<String> {
    let parts = ActionKind::ALL.into_iter().filter_map(|kind| {
        let count = notes.iter().filter(|note| note.kind == Some(kind)).count();
        (count > 0).then(|| format!("{} to {}", thousands(count), verb(kind)))
    });
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| format!("accounts: {}", parts.join(", ")))
}

/// R44: how a run changes back a change by hand: `aliases + a@corp.example`, `name A → B`.
pub(crate) fn taken_back(by_hand: &ByHand<'_>) -> String {
    match by_hand {
        ByHand::Planned { change, entry, .. } => {
            let name = attribute(change.attribute);
            if !change.attribute.is_set() {
                return format!("{name} {} → {entry}", change.before.join(", "));
            }
            let comes = change.after.iter().any(|it| it == entry);
            let entry = change.entry_in_words(entry);
            format!("{name} {} {entry}", if comes { '+' } else { '-' })
        }
        ByHand::Held(change) => format!("{} (held)", change.in_words()),
    }
}

/// R44: advice for the person who made the changes.
pub(crate) const BY_HAND: &str =
    "Exchange decides about these (R44): to keep such a change, make it in Exchange.";

/// The text for a [`domain::since::NumberChange`].
pub(crate) fn number_of(what: &str) -> &str {
    match what {
        "in_scope" => "mailboxes in scope",
        "rejected" => "mailboxes not understood",
        "users" => "Zivver users",
        "functional" => "functional accounts",
        "active" => "active accounts",
        "outside" => "accounts outside the claimed domains",
        "planned" => "accounts with planned changes",
        "held" => "held changes",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::estimate;

    #[test]
    fn an_estimate_reads_well() {
        assert_eq!(
            estimate(412, 83_000),
            "412 writes ≈ 1 min 23 s at Zivver's rate"
        );
        assert_eq!(
            estimate(1, 0),
            "1 write, in less than a second at Zivver's rate"
        );
    }
}
