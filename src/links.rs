//! Where a message leads: the held sets, the run and the dashboard, if it is known where people open it.

use serde::Serialize;
use url::Url;

use crate::{domain::figures::HeldLine, render::words};

/// A card shows no more buttons, and one of them is the dashboard, another the run.
const HELD_MAX: usize = 4;

/// A page and what its button says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    pub title: String,
    pub url: String,
}

/// `held` are sets that `holder` shows.
pub fn links(dashboard: &Url, run: Option<&str>, holder: &str, held: &[HeldLine]) -> Vec<Link> {
    let link = |title: String, rest: String| Link {
        title,
        url: format!("{}{rest}", dashboard.as_str().trim_end_matches('/')),
    };
    let held = held.iter().take(HELD_MAX).map(|set| {
        let title = format!("Held: {}", words::class(set.class));
        let part = crate::render::html::report::held_anchor(&set.code);
        link(title, format!("/runs/{holder}?format=html#{part}"))
    });
    let run = run.map(|run| link("Report".into(), format!("/runs/{run}?format=html")));
    let mut links: Vec<Link> = held.chain(run).collect();
    links.push(link("Dashboard".into(), "?format=html".into()));
    links
}
