//! The access review as a page (R43): with a search in the dashboard, or alone for printing.

use maud::{Markup, html};
use percent_encoding::utf8_percent_encode;

use super::{
    super::{access, words},
    Links, PATH, Page, Tone, badge, fact, time, value,
};
use domain::snapshot::access::{By, Named, Review, Row};

/// The content of the page.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub review: &'a Review,
    pub by: By,
    /// The search, which is also in the form; `None` for a page outside the dashboard.
    pub search: Option<Search<'a>>,
}

/// The query, as in the form on the page.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// The path of the dashboard.
    pub home: &'a str,
    pub text: &'a str,
    /// `2026-10-01`
    pub since: &'a str,
    pub only_changed: bool,
    /// The number of the shown page, from 1; `None` for all rows.
    pub page: Option<usize>,
}

/// Number of rows on a page.
pub const PAGE_ROWS: usize = 200;

/// The maximum number of rows on a page to print. A browser needs half a minute for all rows of a large tenant.
const PRINTED_ROWS: usize = 5_000;

impl View<'_> {
    pub fn page(&self) -> String {
        let page = Page {
            title: "Cloud Sync: access review",
            home: self.search.map(|search| search.home),
        };
        page.around(&html! {
            h1 { "Access review" }
            p.lead { "Who can open which mailbox, by which path, and since when (R43)." }
            (self.heading())
            @if let Some(search) = self.search { (self.form(search)) }
            @for remark in &self.review.remarks { p.alert.notice { (words::capital(remark)) "." } }
            (self.rows())
        })
    }

    /// Time, run and coverage of the review, which an auditor needs first.
    fn heading(&self) -> Markup {
        let review = self.review;
        let restriction = access::restriction(review);
        let links = Links {
            home: self.search.map(|search| search.home),
        };
        html! {
            section {
                dl.list {
                    (fact("Tenant", value(&review.tenant_id)))
                    (fact("As of", time(&review.at.to_string())))
                    (fact("Run", links.run(&review.run)))
                    (fact("Coverage", access::coverage(&review.coverage)))
                    @if !restriction.is_empty() { (fact("Search", value(&restriction))) }
                    @if let Some(compared) = &review.compared {
                        (fact("Compared with", html! { (time(&compared.at.to_string())) ", run " (links.run(&compared.run)) }))
                    }
                }
                p.soft.small {
                    "From the snapshot of that run; nothing is asked of Exchange or Zivver. \"Or earlier\": it was there when the first snapshot was made, or when it could first be read."
                }
            }
        }
    }

    fn form(&self, search: Search<'_>) -> Markup {
        let by = |by: By, key: &str, name: &str| {
            html! { option value=(key) selected[self.by == by] { (name) } }
        };
        html! {
            section {
                form.line role="search" method="get" action={ (search.home) "/access" } {
                    input type="hidden" name="format" value="html";
                    label {
                        "Mailbox or person"
                        input type="search" name="q" value=(search.text) autocomplete="off" spellcheck="false";
                    }
                    label {
                        "Grouped by"
                        " " select name="by" { (by(By::Mailbox, "mailbox", "mailbox")) (by(By::Person, "person", "person")) }
                    }
                    label { "Changed since" " " input type="date" name="since" value=(search.since); }
                    button { "Search" }
                }
                ul.links {
                    li { a href=(self.link(search, "format=csv", None)) { "As CSV" } }
                    li { a href=(self.link(search, "format=html&page=all", None)) { "All rows, to print" } }
                    @if !search.since.is_empty() && !search.only_changed {
                        li { a href=(self.link(search, "format=html&changed=true", None)) { "Only what changed" } }
                    }
                }
            }
        }
    }

    /// The address of the same query with `end` as format and filter.
    fn link(&self, search: Search<'_>, end: &str, page: Option<usize>) -> String {
        let by = match self.by {
            By::Mailbox => "mailbox",
            By::Person => "person",
        };
        let text = utf8_percent_encode(search.text, PATH).to_string();
        let page = page.map_or_else(String::new, |page| page.to_string());
        let parts = [("q", &*text), ("since", search.since), ("page", &page)];
        let parts = parts.into_iter().filter(|(_, value)| !value.is_empty());
        let parts: String = parts
            .map(|(name, value)| ["&", name, "=", value].concat())
            .collect();
        format!("{}/access?{end}&by={by}{parts}", search.home)
    }

    fn rows(&self) -> Markup {
        let review = self.review;
        let page = self.search.and_then(|search| search.page);
        let skipped = page.map_or(0, |page| (page - 1).saturating_mul(PAGE_ROWS));
        let most = match (page, self.search) {
            (Some(_), _) => PAGE_ROWS,
            (None, Some(_)) => PRINTED_ROWS,
            (None, None) => usize::MAX,
        };
        let shown: Vec<&Row> = review.rows.iter().skip(skipped).take(most).collect();
        let with_changes = review.compared.is_some();
        let alone = review.without_person();
        html! {
            section {
                h2 {
                    (words::number(review.total - alone, "row", "rows"))
                    @if alone > 0 { ", and " (words::number(alone, "mailbox", "mailboxes")) " without a person" }
                    @if with_changes { ", " (words::thousands(review.changed)) " changed" }
                }
                @if page.is_none() && review.rows.len() > shown.len() {
                    p.alert.notice {
                        "Only the first " (words::thousands(shown.len())) " rows: search for a mailbox or a person, or take the CSV, which has all."
                    }
                }
                @if shown.is_empty() {
                    p { (access::nothing(review)) }
                } @else {
                    div.scroll tabindex="0" role="region" aria-label="Rows" {
                        table.stack {
                            thead {
                                tr {
                                    @match self.by {
                                        By::Mailbox => { th scope="col" { "Mailbox" } th scope="col" { "Person" } },
                                        By::Person => { th scope="col" { "Person" } th scope="col" { "Mailbox" } },
                                    }
                                    th scope="col" { "Exchange" }
                                    th scope="col" { "Zivver" }
                                    th scope="col" { @if with_changes { "Change, remark" } @else { "Remark" } }
                                }
                            }
                            tbody {
                                @for (at, row) in shown.iter().enumerate() {
                                    (self.row(row, at.checked_sub(1).map(|at| shown[at])))
                                }
                            }
                        }
                    }
                }
                @if let (Some(search), Some(page)) = (self.search, page) { (self.pages(search, page)) }
            }
        }
    }

    fn row(&self, row: &Row, above: Option<&Row>) -> Markup {
        let links = Links {
            home: self.search.map(|search| search.home),
        };
        let person = access::person(row);
        let mailbox = named(&row.mailbox, links);
        let whom = if row.person.is_some() {
            named(&person, links)
        } else {
            html! { span.soft { (access::nobody(row)) } }
        };
        // Only the first row of a group names it.
        let is_same = above.is_some_and(|above| match self.by {
            By::Mailbox => above.mailbox == row.mailbox,
            By::Person => above.person == row.person,
        });
        let group = match self.by {
            By::Mailbox => &mailbox,
            By::Person => &whom,
        };
        let remark = access::remark(row);
        let since = |word: &str, since| {
            let words = access::since_words(since);
            let (day, rest) = words.split_at(words.find(' ').unwrap_or(words.len()));
            html! { " " span.soft.small { span.since { (word) " " (day) } (rest) } }
        };
        let other = match self.by {
            By::Mailbox => "Person",
            By::Person => "Mailbox",
        };
        html! {
            tr {
                th scope="row" { @if is_same { span.soft { (group) } } @else { (group) } }
                td data-side=(other) { @match self.by { By::Mailbox => (whom), By::Person => (mailbox) } }
                td data-side="Exchange" {
                    (access::exchange(row))
                    @if let Some(granted) = access::granted(row) { (since("since", &granted.since)) }
                }
                td data-side="Zivver" {
                    (access::zivver(row))
                    @if let Some(at) = access::in_zivver_since(row) { (since(access::since_in_zivver(row), at)) }
                }
                td.remark {
                    @for change in &row.changes { (badge(Tone::Notice, &access::changed(change))) " " }
                    (links.text(&remark))
                }
            }
        }
    }

    fn pages(&self, search: Search<'_>, page: usize) -> Markup {
        let last = self.review.rows.len().div_ceil(PAGE_ROWS).max(1);
        let end = if search.only_changed {
            "format=html&changed=true"
        } else {
            "format=html"
        };
        html! {
            @if last > 1 {
                nav aria-label="Pages" {
                    @if page > 1 { a rel="prev" href=(self.link(search, end, Some(page - 1))) { "Previous" } }
                    span { "Page " (page) " of " (last) }
                    @if page < last { a rel="next" href=(self.link(search, end, Some(page + 1))) { "Next" } }
                }
            }
        }
    }
}

fn named(named: &Named, links: Links<'_>) -> Markup {
    html! {
        (links.value(&named.address))
        @if !named.name.is_empty() && named.name != named.address { br; bdi.soft.small { (named.name) } }
    }
}
