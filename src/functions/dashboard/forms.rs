//! What a person can start from a page.

use crate::{
    domain::{
        hold::HeldSet,
        mode::{Mode, PerformSync},
        report::Report,
    },
    render::{html::Html, words},
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

    /// Opens a form that posts to `path` below the dashboard.
    fn open(&self, html: &mut Html, class: &'static str, path: &str, mode: Mode) {
        html.raw("<form class=\"")
            .raw(class)
            .raw("\" method=\"post\" action=\"")
            .text(self.base)
            .text(path);
        html.raw("\"><input type=\"hidden\" name=\"token\" value=\"")
            .text(self.token);
        html.raw("\"><input type=\"hidden\" name=\"mode\" value=\"")
            .raw(words::mode(mode))
            .raw("\">");
    }

    pub(super) fn start(&self, html: &mut Html) {
        html.raw("<section><h2>Start a run</h2>");
        self.open(html, "stack", "", Mode::Preview);
        accounts_field(html);
        html.raw("<button>Preview</button></form>");
        if self.may_apply() {
            html.raw("<details><summary>Apply to Zivver</summary>");
            self.open(html, "stack", "", Mode::Apply);
            accounts_field(html);
            sure(html, "I have looked at a preview");
            html.raw("<button class=\"danger\">Apply now</button></form></details>");
        } else {
            html.raw("<p class=\"soft small\">Applying is off: set CLOUD_SYNC__PERFORM_SYNC to on-demand or true (R28).</p>");
        }
        html.raw("</section>");
    }

    /// The button that releases a held set (R27).
    pub(in super::super) fn approval(&self, html: &mut Html, set: &HeldSet) {
        if !self.may_apply() {
            html.raw("<p class=\"soft small\">Approving is off: set CLOUD_SYNC__PERFORM_SYNC to on-demand or true (R28).</p>");
            return;
        }
        self.open(html, "sure", "", Mode::Apply);
        html.raw("<input type=\"hidden\" name=\"approve\" value=\"")
            .text(&set.code)
            .raw("\">");
        sure(
            html,
            "These changes are right: apply them, and whatever else is not held",
        );
        html.raw("<button class=\"danger\">Approve and apply</button></form>");
    }

    /// What can be done with a run that ended.
    pub(in super::super) fn of_run(&self, html: &mut Html, report: &Report) {
        html.raw("<section><h2>Take it along</h2><ul class=\"links\">");
        for (format, label) in [("json", "JSON"), ("csv", "CSV")] {
            html.raw("<li><a href=\"")
                .text(self.base)
                .raw("/runs/")
                .text(&report.id)
                .raw("?format=")
                .raw(format)
                .raw("\">");
            html.raw(label).raw("</a></li>");
        }
        html.raw("</ul></section>");
        let has_changed = report.mode == Mode::Apply && !report.counts.applied.is_empty();
        if has_changed {
            self.undo(html, &format!("/runs/{}/undo", report.id));
        }
    }

    fn undo(&self, html: &mut Html, path: &str) {
        html.raw("<section><h2>Undo</h2><p>Plans the reverse of what this run changed, with the same guards (R37).</p>");
        self.open(html, "stack", path, Mode::Preview);
        html.raw("<button class=\"second\">Preview the undo</button></form>");
        if self.may_apply() {
            self.open(html, "sure", path, Mode::Apply);
            sure(html, "I have looked at the preview of the undo");
            html.raw("<button class=\"danger\">Undo this run</button></form>");
        }
        html.raw("</section>");
    }
}

fn accounts_field(html: &mut Html) {
    html.raw("<label>Only these accounts <span class=\"soft\">(empty for all)</span><textarea name=\"accounts\" rows=\"2\" spellcheck=\"false\"></textarea></label>");
}

fn sure(html: &mut Html, words: &'static str) {
    html.raw("<label class=\"check\"><input type=\"checkbox\" name=\"sure\" value=\"yes\" required> <span>");
    html.raw(words).raw("</span></label>");
}
