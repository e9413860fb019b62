//! R44: the origin of the changes of a plan.

use maud::{Markup, html};

use super::{
    super::{super::words, Links, group},
    who,
};
use domain::{origin::Origin, plan::AttributeChange, report::Report};

/// The origin of one entry; empty if it is unknown.
pub(super) fn of(change: &AttributeChange, entry: &str) -> Markup {
    stated(change.origins.get(entry).copied())
}

pub(super) fn stated(origin: Option<Origin>) -> Markup {
    html! {
        @if let Some(origin) = origin {
            span.soft.small { "(" (words::origin(origin)) ")" } " "
        }
    }
}

pub(super) fn counts(report: &Report) -> Markup {
    html! {
        @if let Some(origins) = words::origins(report) {
            p.soft { (words::capital(&origins)) "." }
        }
    }
}

/// Changes by hand, listed separately so that a helpdesk sees which changes belong in Exchange.
pub(super) fn by_hand(report: &Report, links: Links<'_>) -> Markup {
    let all: Vec<_> = report.by_hand().collect();
    if all.is_empty() {
        return Markup::default();
    }
    let rows = html! {
        ul.rows {
            @for it in &all {
                li {
                    (who(it.address().as_str(), links)) " " (links.text(&words::taken_back(it)))
                }
            }
        }
    };
    html! {
        section #by-hand {
            h2 { "Changed by hand in Zivver" }
            p { (words::BY_HAND) }
            (group("What the run changes back", all.len(), rows))
        }
    }
}
