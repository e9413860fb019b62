//! Links in messages: to held sets, to the run and to the dashboard, if its address is known.

use serde::Serialize;
use url::Url;

use crate::{domain::figures::HeldLine, render::words};

/// The limit for links to held sets: a card can show no more buttons, and two of them are for the dashboard and the
/// run.
const HELD_MAX: usize = 4;

/// A link, and the text of its button.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    pub title: String,
    pub url: String,
}

/// Links to the dashboard, to `run`, and to the sets in `held`, each on the page of the run that shows it.
pub fn links(dashboard: &Url, run: Option<&str>, held: &[HeldLine]) -> Vec<Link> {
    let link = |title: String, rest: String| Link {
        title,
        url: format!("{}{rest}", dashboard.as_str().trim_end_matches('/')),
    };
    let held = held.iter().take(HELD_MAX).map(|set| {
        let title = format!("Held: {}", words::class(set.class));
        let part = crate::render::html::report::held_anchor(&set.code);
        link(title, format!("/runs/{}?format=html#{part}", set.run))
    });
    let run = run.map(|run| link("Report".into(), format!("/runs/{run}?format=html")));
    let mut links: Vec<Link> = held.chain(run).collect();
    links.push(link("Dashboard".into(), "?format=html".into()));
    links
}
