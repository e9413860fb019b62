//! Controls that filter and sort the lists of a report. They are hidden until the script shows them.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::super::super::words;
use domain::{plan::ActionKind, report::Report};

pub(super) fn tools(report: &Report) -> Markup {
    let actions = || report.actions.iter().map(|action| &action.action);
    let kinds: BTreeSet<ActionKind> = actions().map(|action| action.kind).collect();
    let rules: BTreeSet<&str> = actions()
        .flat_map(|action| &action.reasons)
        .map(|reason| &*reason.rule)
        .collect();
    let mut rules: Vec<&str> = rules.into_iter().collect();
    rules.sort_by_key(|rule| (rule.len(), *rule));
    html! {
        div #search role="search" hidden {
            label for="q" { "Search in this run" }
            input #q type="search" autocomplete="off" spellcheck="false";
            @if report.actions.len() > 1 {
                (choice("kind", "Kind", "all", kinds.into_iter().map(words::verb)))
                (choice("rule", "Rule", "all", rules.into_iter()))
                (choice("order", "Order", "as planned", ["address", "rule", "removes access first"].into_iter()))
                label.check { input #takes type="checkbox"; " removes access (R20)" }
            }
            output for="q" {}
        }
    }
}

fn choice<'a>(id: &str, label: &str, none: &str, options: impl Iterator<Item = &'a str>) -> Markup {
    html! {
        label {
            (label) " "
            select id=(id) {
                option value="" { (none) }
                @for option in options { option value=(option) { (option) } }
            }
        }
    }
}
