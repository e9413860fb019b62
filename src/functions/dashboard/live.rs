//! The progress of a run, updated while it works.

use maud::{Markup, html};

use crate::{domain::report::RunState, engine::Progress};

/// How often the page's script brings it up to date.
const EVERY_MS: u32 = 2000;

/// `progress` is that of the run in this process, if it is here.
pub(in super::super) fn live(state: RunState, progress: Progress) -> Markup {
    let (words, bar) = match (state, progress) {
        (RunState::Queued, _) => ("Queued: it begins within a minute.".to_owned(), None),
        (RunState::Continues, Progress::Starting | Progress::Ended) => (
            "Its time budget was used up; the next invocation continues it.".to_owned(),
            None,
        ),
        (RunState::Running | RunState::Continues | RunState::Ended, progress) => told(progress),
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

/// In words, and as part of a whole.
fn told(progress: Progress) -> (String, Option<(usize, usize)>) {
    match progress {
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
            format!("Applying: {done} of {of} requests."),
            Some((done, of)),
        ),
        Progress::Verifying => ("Verifying: reading Zivver again.".to_owned(), None),
    }
}
