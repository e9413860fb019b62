//! The forms and buttons of the pages.

use maud::{Markup, html};

use crate::{
    domain::{
        actor::Role,
        address::SmtpAddress,
        hold::{HeldChange, HeldSet},
        mode::{Depth, Mode, PerformSync},
        report::{Report, RunOutcome},
    },
    functions::form::SETTING,
    render::{
        html::{
            Links,
            report::{COMPANION, held_change, held_rows},
        },
        words,
    },
    settings::Settings,
};

/// The forms that this caller may use, with their token.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Ways<'a> {
    pub(in super::super) base: &'a str,
    pub(in super::super) token: &'a str,
    pub(in super::super) perform_sync: PerformSync,
    /// R41
    pub(in super::super) role: Role,
    /// R41: only a signed-in person can be the second one that `FOUR_EYES` requires.
    pub(in super::super) is_signed_in: bool,
}

impl Ways<'_> {
    fn may_start(&self) -> bool {
        self.role >= Role::Operator
    }

    fn may_decide(&self) -> bool {
        self.role >= Role::Approver
    }

    fn may_apply(&self) -> bool {
        self.perform_sync.permit(Mode::Apply).is_ok()
    }

    /// A form that posts to `path`, relative to the dashboard.
    fn form(&self, class: &str, path: &str, mode: Mode, content: &Markup) -> Markup {
        html! {
            form.(class) method="post" action={ (self.base) (path) } {
                input type="hidden" name="token" value=(self.token);
                input type="hidden" name="mode" value=(words::mode(mode));
                (content)
            }
        }
    }

    pub(super) fn start(&self, settings: &Settings) -> Markup {
        let preview = html! { (accounts_field()) (quick()) button { "Preview" } };
        let apply = html! {
            (accounts_field())
            (quick())
            (sure("I have looked at a preview"))
            button.danger { "Apply now" }
        };
        if !self.may_start() {
            return html! {
                section {
                    h2 { "Start a run" }
                    p.soft.small { "Your role is reader: you can look at everything and start nothing (R41)." }
                }
            };
        }
        html! {
            section {
                h2 { "Start a run" }
                (self.form("stack", "", Mode::Preview, &preview))
                details {
                    summary { "Preview under other settings" }
                    (self.form("stack", "", Mode::Preview, &other_settings(settings)))
                }
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

    /// The changes of a held set, with the buttons to approve or reject them (R27, R47). The changes are inside the
    /// form, so that a collapsed set cannot be approved unseen.
    pub(in super::super) fn held(&self, report: &Report, set: &HeldSet) -> Markup {
        if set.is_decided() {
            return Markup::default();
        }
        if !self.may_decide() {
            let links = Links::to(self.base);
            return html! {
                (held_rows(set, links))
                p.soft.small { "Approving and rejecting need the role approver (R41)." }
            };
        }
        let path = report.undoes.as_ref();
        let path = path.map_or_else(String::new, |run| format!("/runs/{run}/undo"));
        let named: Vec<&str> = report.accounts.iter().map(SmtpAddress::as_str).collect();
        let content = html! {
            (selectable_rows(set, self.base))
            @if report.depth == Depth::Quick { input type="hidden" name="quick" value="yes"; }
            input type="hidden" name="approve" value=(set.code);
            @if report.undoes.is_none() && !named.is_empty() {
                input type="hidden" name="accounts" value=(named.join(" "));
            }
            @if let Some(how) = set.second_person.as_ref().filter(|_| set.can_be_made()) {
                p.soft.small { "To approve: " (how) "." }
            }
            @if !set.can_be_made() {
                p.soft.small { "None of it can be approved as long as it waits." }
            } @else if set.second_person.is_some() && !self.is_signed_in {
                p.soft.small { "You are not signed in, so you can only reject." }
            } @else if self.may_apply() {
                div.sure {
                    (sure("I have looked at the changes that I approve"))
                    button.danger name="do" value="approve-all" { "Approve all and apply" }
                    button.danger name="do" value="approve-selected" { "Approve selected and apply" }
                    @if report.undoes.is_none() {
                        button.danger name="do" value="approve-only" { "Approve selected, apply nothing else" }
                        span.soft.small { "The first two also apply all other changes that are planned then and not held." }
                    }
                }
            } @else {
                p.soft.small {
                    "Approving is off: set CLOUD_SYNC__PERFORM_SYNC to on-demand or true (R28)."
                }
            }
            @if report.undoes.is_none() {
                p {
                    button.second name="do" value="reject-selected" formnovalidate { "Reject selected" }
                    span.soft.small { " They are not made until they change (R47)." }
                }
            }
        };
        self.form("held", &path, Mode::Apply, &content)
    }

    /// The button to stop a run (R34).
    pub(in super::super) fn stop(&self, report: &Report) -> Markup {
        html! {
            @if self.may_start() {
                form method="post" action={ (self.base) "/runs/" (report.id) "/stop" } {
                    input type="hidden" name="token" value=(self.token);
                    button.danger { "Stop this run" }
                    span.soft.small { " Requests in progress are completed; the run is not continued." }
                }
            }
        }
    }

    /// The button to take rejections back (R47).
    pub(in super::super) fn take_back(&self, code: &str) -> Markup {
        html! {
            @if self.may_decide() {
                form method="post" action={ (self.base) "/rejections" } {
                    input type="hidden" name="token" value=(self.token);
                    input type="hidden" name="code" value=(code);
                    button.second name="undo" value="yes" { "Take back" }
                }
            }
        }
    }

    /// What can be done with a run that has ended.
    pub(in super::super) fn of_run(&self, report: &Report) -> Markup {
        let is_plan =
            report.mode == Mode::Preview && report.undoes.is_none() && !report.actions.is_empty();
        let is_plan = is_plan && report.outcome != RunOutcome::Failed && !report.is_hypothetical();
        let has_changed = report.mode == Mode::Apply && !report.counts.applied.is_empty();
        html! {
            @if is_plan && self.may_start() && self.may_apply() { (self.plan(report)) }
            section {
                h2 { "Download" }
                ul.links {
                    @for (format, label) in [("json", "JSON"), ("csv", "CSV")] {
                        li {
                            a href={ (self.base) "/runs/" (report.id) "?format=" (format) } { (label) }
                        }
                    }
                }
            }
            @if has_changed && self.may_start() { (self.undo(&format!("/runs/{}/undo", report.id))) }
        }
    }

    /// The button to apply exactly the changes of a preview (R28).
    fn plan(&self, report: &Report) -> Markup {
        let changes = match report.actions.len() {
            1 => "this change".to_owned(),
            count => format!("these {}", words::number(count, "change", "changes")),
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

/// One checkbox for each account, since the held changes of one account belong together.
fn selectable_rows(set: &HeldSet, base: &str) -> Markup {
    let links = Links::to(base);
    let mut all: Vec<&HeldChange> = set.approves().collect();
    all.sort_by_key(|change| &change.address);
    let by_account = all.chunk_by(|a, b| a.address == b.address);
    let row = |change: &HeldChange| {
        html! {
            (held_change(change, links))
            @if set.companions.contains(change) { " " (COMPANION) }
        }
    };
    html! {
        ul.rows {
            @for changes in by_account {
                li {
                    label.check {
                        input type="checkbox" name="account" value=(changes[0].address);
                        span { @for change in changes { span.line { (row(change)) } } }
                    }
                }
            }
        }
    }
}

/// A longer value of a setting needs more than one line.
const LINE_MAX: usize = 32;

/// R46: a field for each setting that shapes a plan, with its present value.
fn other_settings(settings: &Settings) -> Markup {
    html! {
        p.soft.small {
            "Shows what other filters, domains and limits would add, and what they would leave out, beside the plan under \
             the present ones. It writes nothing and changes no setting (R46)."
        }
        @for (name, value) in settings.shaping() {
            label {
                code { (name) }
                @if value.len() > LINE_MAX {
                    textarea name={ (SETTING) (name) } rows="3" spellcheck="false" { (value) }
                } @else {
                    input.whole type="text" name={ (SETTING) (name) } value=(value) autocomplete="off" spellcheck="false";
                }
            }
        }
        button { "Preview under these settings" }
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

/// R45
fn quick() -> Markup {
    html! {
        label.check {
            input type="checkbox" name="quick" value="yes"; " "
            span { "Quick: read no permissions, and leave delegates and members as they are" }
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
