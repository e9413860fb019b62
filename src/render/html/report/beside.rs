//! R46: a preview under other settings, compared with the plan under the settings of the program.

use maud::{Markup, html};

use super::{
    super::{super::words, Links, value},
    notes,
};
use domain::{
    other_setting::{OtherSetting, or_none},
    report::{Report, RunState},
};

/// The other settings, and a note that the plan cannot be applied.
pub(super) fn settings(report: &Report) -> Markup {
    if !report.is_hypothetical() {
        return Markup::default();
    }
    let setting = |it: &OtherSetting| {
        html! {
            div {
                dt { code { (it.name) } }
                dd { (value(or_none(&it.value))) " " span.soft { "(now: " (value(or_none(&it.now))) ")" } }
            }
        }
    };
    html! {
        section #settings {
            h2 { "Under other settings" }
            dl { @for it in &report.settings { (setting(it)) } }
            @if report.state == RunState::Ended { p.alert.notice { (words::HYPOTHETICAL) } }
        }
    }
}

pub(super) fn compared(report: &Report, links: Links<'_>) -> Markup {
    html! {
        @if let Some(compared) = &report.compared {
            section #compared {
                h2 { "Compared with the present settings" }
                p.soft { "Both plans were made from one reading." }
                (notes::comparison(compared, ["Added by these settings", "Left out by these settings"], links))
            }
        }
    }
}
