//! HTML pages: self-contained files with a light and a dark theme, readable in mail programs that ignore styles.
//!
//! The content security policy allows only the page's own style and script, identified by their hashes. Pages have no
//! style or script attributes, so data that is not escaped by mistake still cannot run.

pub mod access;
mod explanation;
pub mod report;

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_STANDARD};
use maud::{Markup, PreEscaped, Render, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

pub use explanation::{explanation, found, search as account_search};
pub use report::{report, report_after};

use super::{
    visible::visible,
    words::{moment, thousands},
};
use domain::address::SmtpAddress;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; form-action 'self'; base-uri 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// The content security policy for the HTTP header: the policy of the page, and a rule against frames, which only a
/// header can contain.
pub fn content_security_policy() -> String {
    format!("{}; frame-ancestors 'none'", *POLICY)
}

/// The frame around the content of a page.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page<'a> {
    pub title: &'a str,
    /// The path of the dashboard; `None` for a page outside the dashboard.
    pub home: Option<&'a str>,
}

impl Page<'_> {
    /// The whole file. `html!` escapes the content; invisible characters are replaced here, in all of it.
    pub fn around(self, content: &Markup) -> String {
        let body = html! {
            a.skip href="#content" { "Skip to content" }
            header.top {
                div {
                    @if let Some(home) = self.home {
                        a.brand href=(home) { "Cloud Sync" }
                        nav aria-label="Main" {
                            a href={ (home) "/runs?format=html" } { "Runs" }
                            a href={ (home) "/rejections?format=html" } { "Rejections" }
                            a href={ (home) "/access?format=html" } { "Access" }
                            a href={ (home) "/check?format=html" } { "Check" }
                        }
                    } @else {
                        span.brand { "Cloud Sync" }
                    }
                }
            }
            main #content { (content) }
            p #zone hidden {}
        };
        html! {
            (PreEscaped("<!doctype html>\n"))
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="no-referrer";
                    meta name="robots" content="noindex";
                    meta http-equiv="Content-Security-Policy" content=(*POLICY);
                    title { (visible(self.title)) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    (PreEscaped(visible(&body.0)))
                    script { (PreEscaped(SCRIPT)) }
                }
            }
            (PreEscaped("\n"))
        }
        .into_string()
    }
}

/// Makes links to pages of the dashboard. `home` is its path; without one, values are plain text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Links<'a> {
    pub home: Option<&'a str>,
}

impl<'a> Links<'a> {
    pub fn to(home: &'a str) -> Self {
        Self { home: Some(home) }
    }

    /// R40: links an address to its explanation; any other text is not linked.
    pub fn value(self, text: &str) -> Markup {
        match (self.home, SmtpAddress::parse(text)) {
            (Some(home), Ok(address)) => {
                let path = utf8_percent_encode(address.as_str(), PATH);
                html! { a href={ (home) "/accounts/" (path) } { bdi { (text) } } }
            }
            (None, _) | (_, Err(_)) => value(text),
        }
    }

    /// Links the addresses in a sentence to their explanations.
    pub fn text(self, text: &str) -> Markup {
        if self.home.is_none() || !text.contains('@') {
            return html! { (text) };
        }
        html! {
            @for word in text.split_inclusive(char::is_whitespace) {
                @let start = word.len() - word.trim_start_matches(OPENING).len();
                @let (open, rest) = word.split_at(start);
                @let (address, end) = rest.split_at(rest.trim_end_matches(CLOSING).len());
                (open) @if address.contains('@') { (self.value(address)) } @else { (address) } (end)
            }
        }
    }

    pub fn run(self, id: &str) -> Markup {
        match self.home {
            Some(home) => html! { a href={ (home) "/runs/" (id) "?format=html" } { bdi { (id) } } },
            None => value(id),
        }
    }
}

/// Characters that are percent-encoded in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

/// Characters before and after an address in a sentence.
const OPENING: [char; 4] = ['(', '"', '\'', '<'];
const CLOSING: fn(char) -> bool =
    |c| c.is_whitespace() || matches!(c, ')' | '"' | '\'' | '>' | '.' | ',' | ';' | ':' | '?');

/// A time in UTC, which the script converts to the reader's time zone.
pub fn time(timestamp: &str) -> Markup {
    html! { time datetime=(timestamp) { (moment(timestamp)) } }
}

/// Data, isolated so that its text direction does not affect the surrounding text.
pub fn value(text: &str) -> Markup {
    html! { bdi { (text) } }
}

/// A name with its value, in a `<dl>`.
pub fn fact(name: &str, content: impl Render) -> Markup {
    html! { div { dt { (name) } dd { (content) } } }
}

/// A list of values, or a dash if there are none.
pub fn values(links: Links<'_>, values: &[impl AsRef<str>]) -> Markup {
    html! {
        @if values.is_empty() {
            "–"
        } @else {
            ul.values {
                @for text in values { li { (links.value(text.as_ref())) } }
            }
        }
    }
}

/// The value before and the value after; either may be empty.
pub fn change(links: Links<'_>, before: &str, after: &str) -> Markup {
    html! {
        @if !before.is_empty() { del { (links.value(before)) } " " }
        @if !after.is_empty() { ins { (links.value(after)) } " " }
    }
}

/// A number with its name, in large print.
pub fn tile(tone: Tone, number: impl Render, name: &str) -> Markup {
    html! { li.tile.(tone.class()) { b { (number) } " " span { (name) } } }
}

/// The state in one word.
pub fn badge(tone: Tone, word: &str) -> Markup {
    html! { span.badge.(tone.class()) { (word) } }
}

/// A list that can be collapsed; a long one is collapsed at first.
pub fn group(title: &str, count: usize, content: impl Render) -> Markup {
    const OPEN_MAX: usize = 25;
    html! {
        details open[count <= OPEN_MAX] {
            summary { (title) " " span.count { (thousands(count)) } }
            (content)
        }
    }
}

/// A field that filters the lists of the page. It is hidden until the script shows it.
pub fn search(label: &str) -> Markup {
    html! {
        div #search role="search" hidden {
            label for="q" { (label) }
            input #q type="search" autocomplete="off" spellcheck="false";
            output for="q" {}
        }
    }
}

/// The kind of a message, which determines its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Notice,
    Bad,
    Plain,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Notice => "notice",
            Self::Bad => "bad",
            Self::Plain => "plain",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_inert_as_content_and_in_attributes() {
        let text = "<script>alert('x')</script> & \"y\"\u{202e}\u{0}";
        let page = Page {
            title: text,
            home: Some(text),
        };
        let page = page.around(&html! { p title=(text) { (text) } (fact(text, text)) });
        let inert = "&lt;script&gt;alert('x')&lt;/script&gt; &amp; &quot;y&quot;[U+202E][U+0000]";
        assert_eq!(page.matches(inert).count(), 10, "{page}");
        assert_eq!(page.matches("alert(").count(), 10, "{page}");
    }

    #[test]
    fn the_policy_allows_this_style_and_script_only() {
        let policy = content_security_policy();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(
            !policy.contains("unsafe") && !policy.contains("http"),
            "{policy}"
        );
        // A closing tag would end the element early.
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</"));
    }
}
