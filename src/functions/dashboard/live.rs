//! The progress of a run, which the page updates while the run works.

use maud::{Markup, html};

use crate::{
    domain::report::RunState,
    engine::{Outlook, Progress},
    render::words,
};

/// How often the script of the page updates it.
const EVERY_MS: u32 = 2000;

/// `outlook` is the progress of the run in this process; it may not be the shown run.
pub(in super::super) fn live(state: RunState, outlook: Outlook) -> Markup {
    let (words, bar) = match (state, outlook.progress) {
        (RunState::Queued, _) => ("Queued: it begins within a minute.".to_owned(), None),
        (RunState::Continues, Progress::Starting | Progress::Ended) => (
            "Its time budget was used up; the next invocation continues it.".to_owned(),
            None,
        ),
        (RunState::Running | RunState::Continues | RunState::Ended, _) => told(outlook),
    };
    html! {
        div data-live=(EVERY_MS) role="status" {
            p { (words) }
            @if let Some((done, of)) = bar {
                progress aria-label="Progress of the run" value=(done) max=(of.max(1)) {}
            }
        }
    }
}

/// The progress as text, and as done and total.
fn told(outlook: Outlook) -> (String, Option<(usize, usize)>) {
    match outlook.progress {
        Progress::Starting | Progress::Ended => ("Running.".to_owned(), None),
        Progress::Listing { mailboxes } => (
            format!("Reading the mailbox list: {mailboxes} so far."),
            None,
        ),
        Progress::Reading { permissions, of } => (
            format!("Reading permissions: {permissions} of {of}."),
            Some((permissions, of)),
        ),
        Progress::Resolving { answered } => (
            format!("Asking about groups and recipients: {answered} answered."),
            None,
        ),
        Progress::Planning => ("Planning.".to_owned(), None),
        Progress::Applying { done, of } => (
            format!("Applying: {done} of {of} writes{}.", expected(outlook)),
            Some((done, of)),
        ),
        Progress::Verifying => ("Verifying: reading Zivver again.".to_owned(), None),
    }
}

fn expected(outlook: Outlook) -> String {
    let left = outlook.left.map(|left| format!(", {}", words::about(left)));
    let wait = outlook
        .is_waiting
        .then(|| ", waiting for Zivver's limit".to_owned());
    left.into_iter().chain(wait).collect()
}
