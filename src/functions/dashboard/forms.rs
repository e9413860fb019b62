//! What a person can start from a page.

use maud::{Markup, html};

use crate::{
    domain::{
        hold::HeldSet,
        mode::{Mode, PerformSync},
        report::{Report, RunOutcome},
    },
    render::words,
};

/// What this caller may start, and with what token.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Ways<'a> {
    pub(in super::super) base: &'a str,
    pub(in super::super) token: &'a str,
    pub(in super::super) perform_sync: PerformSync,
}

impl Ways<'_> {
    fn may_apply(&self) -> bool {
        self.perform_sync.permit(Mode::Apply).is_ok()
    }

    /// A form that posts to `path` below the dashboard.
    fn form(&self, class: &str, path: &str, mode: Mode, content: &Markup) -> Markup {
        html! {
            form.(class) method="post" action={ (self.base) (path) } {
                input type="hidden" name="token" value=(self.token);
                input type="hidden" name="mode" value=(words::mode(mode));
                (content)
            }
        }
    }

    pub(super) fn start(&self) -> Markup {
        let preview = html! { (accounts_field()) button { "Preview" } };
        let apply = html! {
            (accounts_field())
            (sure("I have looked at a preview"))
            button.danger { "Apply now" }
        };
        html! {
            section {
                h2 { "Start a run" }
                (self.form("stack", "", Mode::Preview, &preview))
                @if self.may_apply() {
                    details {
                        summary { "Apply to Zivver" }
                        (self.form("stack", "", Mode::Apply, &apply))
                    }
                } @else {
                    p.soft.small {
                        "Applying is off: set CLOUD_SYNC__PERFORM_SYNC to on-demand or true (R28)."
                    }
                }
            }
        }
    }

    /// The button that approves a held set (R27).
    pub(in super::super) fn approval(&self, set: &HeldSet) -> Markup {
        if !self.may_apply() {
            return html! {
                p.soft.small {
                    "Approving is off: set CLOUD_SYNC__PERFORM_SYNC to on-demand or true (R28)."
                }
            };
        }
        let approve = html! {
            input type="hidden" name="approve" value=(set.code);
            (sure("These changes are right: apply them, and whatever else is not held"))
            button.danger { "Approve and apply" }
        };
        self.form("sure", "", Mode::Apply, &approve)
    }

    /// What can be done with a run that ended.
    pub(in super::super) fn of_run(&self, report: &Report) -> Markup {
        let is_plan =
            report.mode == Mode::Preview && report.undoes.is_none() && !report.actions.is_empty();
        let is_plan = is_plan && report.outcome != RunOutcome::Failed;
        let has_changed = report.mode == Mode::Apply && !report.counts.applied.is_empty();
        html! {
            @if is_plan && self.may_apply() { (self.plan(report)) }
            section {
                h2 { "Take it along" }
                ul.links {
                    @for (format, label) in [("json", "JSON"), ("csv", "CSV")] {
                        li {
                            a href={ (self.base) "/runs/" (report.id) "?format=" (format) } { (label) }
                        }
                    }
                }
            }
            @if has_changed { (self.undo(&format!("/runs/{}/undo", report.id))) }
        }
    }

    /// The button that applies exactly what a preview showed (R28).
    fn plan(&self, report: &Report) -> Markup {
        let count = u64::try_from(report.actions.len()).unwrap_or(u64::MAX);
        let changes = match count {
            1 => "this change".to_owned(),
            _ => format!("these {}", words::number(count, "change", "changes")),
        };
        let apply = html! {
            input type="hidden" name="plan" value=(report.id);
            (sure(&format!("I have looked at {changes}")))
            button.danger { "Apply " (changes) }
        };
        html! {
            section {
                h2 { "Apply" }
                p {
                    "Reads both sides again and makes exactly these changes, where they are still planned the same (R28)."
                }
                (self.form("sure", "", Mode::Apply, &apply))
            }
        }
    }

    fn undo(&self, path: &str) -> Markup {
        let preview = html! { button.second { "Preview the undo" } };
        let apply = html! {
            (sure("I have looked at the preview of the undo"))
            button.danger { "Undo this run" }
        };
        html! {
            section {
                h2 { "Undo" }
                p { "Plans the reverse of what this run changed, with the same guards (R37)." }
                (self.form("stack", path, Mode::Preview, &preview))
                @if self.may_apply() { (self.form("sure", path, Mode::Apply, &apply)) }
            }
        }
    }
}

fn accounts_field() -> Markup {
    html! {
        label {
            "Only these accounts " span.soft { "(empty for all)" }
            textarea name="accounts" rows="2" spellcheck="false" {}
        }
    }
}

fn sure(words: &str) -> Markup {
    html! {
        label.check {
            input type="checkbox" name="sure" value="yes" required; " " span { (words) }
        }
    }
}
