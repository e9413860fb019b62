//! Pages: one file each, nothing loaded from anywhere, light and dark, readable in a mail program that drops styles.
//!
//! What a page may do is said by its policy: its own style and script, known by their hashes, and nothing else. Neither
//! an attribute with style nor one with script is ever written, so data that got through as markup would still be dead.

mod explanation;
pub mod report;

use std::{fmt::Display, sync::LazyLock};

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

pub use explanation::{explanation, search as account_search};
pub use report::report;

use super::{visible::visible, words::thousands};

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

/// For the header of an answer: what a page says of itself, and that nobody may frame it (which only a header can say).
pub fn content_security_policy() -> String {
    format!("{}; frame-ancestors 'none'", *POLICY)
}

/// Markup as it grows. What is not a literal of this program goes in through [`Html::text`] or [`Html::value`], since
/// [`Html::raw`] takes nothing else.
#[derive(Debug, Default)]
pub struct Html(String);

/// What surrounds the content of a page.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page<'a> {
    pub title: &'a str,
    /// The path of the dashboard; `None` for a page that must stand alone.
    pub home: Option<&'a str>,
}

impl Page<'_> {
    pub fn around(self, content: impl FnOnce(&mut Html)) -> String {
        let mut html = Html::default();
        html.raw("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
            .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
            .raw("<meta name=\"color-scheme\" content=\"light dark\">")
            .raw("<meta name=\"referrer\" content=\"no-referrer\"><meta name=\"robots\" content=\"noindex\">")
            .raw("<meta http-equiv=\"Content-Security-Policy\" content=\"")
            .text(&POLICY)
            .raw("\">");
        html.raw("<title>")
            .text(self.title)
            .raw("</title><style>")
            .raw(STYLE)
            .raw("</style></head><body>");
        html.raw(
            "<a class=\"skip\" href=\"#content\">To the content</a><header class=\"top\"><div>",
        );
        match self.home {
            Some(home) => {
                html.raw("<a class=\"brand\" href=\"")
                    .text(home)
                    .raw("\">Cloud Sync</a><nav aria-label=\"Main\"><a href=\"");
                html.text(home)
                    .raw("/runs?format=html\">Runs</a><a href=\"")
                    .text(home)
                    .raw("/check?format=html\">Check</a></nav>");
            }
            None => {
                html.raw("<span class=\"brand\">Cloud Sync</span>");
            }
        }
        html.raw("</div></header><main id=\"content\">");
        content(&mut html);
        html.raw("</main><script>")
            .raw(SCRIPT)
            .raw("</script></body></html>\n");
        html.0
    }
}

impl Html {
    /// Markup of this program.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Any text, as content or in a quoted attribute.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let shown = visible(text);
        let mut rest = &*shown;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            self.0.push_str(&rest[..at]);
            self.0.push_str(match rest.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            });
            rest = &rest[at + 1..];
        }
        self.0.push_str(rest);
        self
    }

    /// Data: its direction does not reach what stands around it.
    pub fn value(&mut self, text: &str) -> &mut Self {
        self.raw("<bdi>").text(text).raw("</bdi>")
    }

    pub fn number(&mut self, number: impl Display) -> &mut Self {
        self.text(&number.to_string())
    }

    /// A name and what it is called, in a `<dl>`.
    pub fn fact(&mut self, name: &str, content: impl FnOnce(&mut Self) -> &mut Self) -> &mut Self {
        self.raw("<div><dt>").text(name).raw("</dt><dd>");
        content(self);
        self.raw("</dd></div>")
    }

    /// Values one after the other, or a dash.
    pub fn values(&mut self, values: &[impl AsRef<str>]) -> &mut Self {
        if values.is_empty() {
            return self.raw("–");
        }
        self.raw("<ul class=\"values\">");
        for value in values {
            self.raw("<li>").value(value.as_ref()).raw("</li>");
        }
        self.raw("</ul>")
    }

    /// What goes and what comes; either may be nothing.
    pub fn change(&mut self, before: &str, after: &str) -> &mut Self {
        if !before.is_empty() {
            self.raw("<del>").value(before).raw("</del> ");
        }
        if !after.is_empty() {
            self.raw("<ins>").value(after).raw("</ins> ");
        }
        self
    }

    /// A number with its name, to be seen from afar.
    pub fn tile(&mut self, tone: Tone, number: impl Display, name: &str) -> &mut Self {
        self.raw("<li class=\"tile ")
            .raw(tone.class())
            .raw("\"><b>")
            .number(number)
            .raw("</b> <span>");
        self.text(name).raw("</span></li>")
    }

    /// One word on how things stand.
    pub fn badge(&mut self, tone: Tone, word: &str) -> &mut Self {
        self.raw("<span class=\"badge ")
            .raw(tone.class())
            .raw("\">")
            .text(word)
            .raw("</span>")
    }

    /// A list that can be closed, and is when it is long.
    pub fn group(
        &mut self,
        title: &str,
        count: usize,
        content: impl FnOnce(&mut Self),
    ) -> &mut Self {
        const OPEN_MAX: usize = 25;
        self.raw(if count <= OPEN_MAX {
            "<details open>"
        } else {
            "<details>"
        });
        self.raw("<summary>")
            .text(title)
            .raw(" <span class=\"count\">")
            .text(&thousands(count as u64))
            .raw("</span></summary>");
        content(self);
        self.raw("</details>")
    }

    /// A field that narrows the lists of the page; the script shows it, since without one it would do nothing.
    pub fn search(&mut self, label: &str) -> &mut Self {
        self.raw("<div id=\"search\" role=\"search\" hidden><label for=\"q\">")
            .text(label);
        self.raw("</label><input id=\"q\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\"><output for=\"q\"></output></div>")
    }
}

/// How something is to be taken.
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
        let mut html = Html::default();
        html.text("<script>alert('x')</script> & \"y\"\u{202e}");
        assert_eq!(
            html.0,
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;y&quot;[U+202E]"
        );
    }

    #[test]
    fn the_policy_allows_this_style_and_script_only() {
        let policy = content_security_policy();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(
            !policy.contains("unsafe") && !policy.contains("http"),
            "{policy}"
        );
        // What would end the element early would also change its hash.
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</"));
    }
}
