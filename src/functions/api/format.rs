//! The format of an answer: `?format=` has precedence over `Accept` (RFC 9110 section 12.5.1).

use crate::functions::{Problem, ProblemKind, Request};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    Html,
    Csv,
}

impl Format {
    pub(in crate::functions) const ALL: [Self; 3] = [Self::Json, Self::Html, Self::Csv];

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Html => "text/html; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    /// If `Accept` matches nothing, the first of `offered` is used: another format is more useful than a 406.
    pub(in crate::functions) fn of(request: &Request, offered: &[Self]) -> Result<Self, Problem> {
        let Some(wanted) = request.query.get("format") else {
            let accept = request.header("accept").unwrap_or_default();
            return Ok(negotiate(accept, offered));
        };
        let is_wanted = |format: &&Self| format.name().eq_ignore_ascii_case(wanted.trim());
        offered.iter().find(is_wanted).copied().ok_or_else(|| {
            let names: Vec<&str> = offered.iter().map(|format| format.name()).collect();
            Problem::new(
                ProblemKind::BadQuery,
                format!("`format` is one of {} here", names.join(", ")),
            )
        })
    }

    /// Whether the caller is a browser that wants HTML.
    pub(in crate::functions) fn is_for_browser(request: &Request) -> bool {
        request.method == "GET" && Self::of(request, &Self::ALL) == Ok(Self::Html)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Html => "html",
            Self::Csv => "csv",
        }
    }

    /// Whether a media range of `Accept` covers this format.
    fn is_covered_by(self, range: &str) -> bool {
        match range {
            "*/*" | "*" => true,
            "application/*" | "application/json" => self == Self::Json,
            "text/*" => self != Self::Json,
            "text/html" | "application/xhtml+xml" => self == Self::Html,
            "text/csv" => self == Self::Csv,
            _ => false,
        }
    }
}

/// The format with the highest quality; among equals the one that the caller names first, then the first in `offered`.
fn negotiate(accept: &str, offered: &[Format]) -> Format {
    let mut best = (0, *offered.first().unwrap_or(&Format::Json));
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1000, thousandths);
        let covered = offered.iter().find(|format| format.is_covered_by(&media));
        if let Some(format) = covered
            && quality > best.0
        {
            best = (quality, *format);
        }
    }
    best.1
}

/// A quality from 0 to 1 with up to three decimals, in thousandths; an invalid one counts as 0.
fn thousandths(quality: &str) -> u32 {
    let (whole, fraction) = quality.split_once('.').unwrap_or((quality, ""));
    let digits = format!("{fraction:0<3}");
    match (whole.parse::<u32>(), digits.get(..3).map(str::parse::<u32>)) {
        (Ok(whole), Some(Ok(fraction))) => whole
            .saturating_mul(1000)
            .saturating_add(fraction)
            .min(1000),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_is_negotiated() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for (accept, expected) in [
            ("", Format::Json),
            ("*/*", Format::Json),
            (browser, Format::Html),
            ("application/json, text/html", Format::Json),
            ("text/html, application/json", Format::Html),
            ("text/html;q=0.5, application/json", Format::Json),
            ("text/html; level=1; q=0.4, text/csv;q=0.41", Format::Csv),
            ("text/markdown", Format::Json),
            ("TEXT/CSV", Format::Csv),
            ("application/json;q=0, text/csv;q=0.001", Format::Csv),
            ("image/png", Format::Json),
            ("text/csv;q=x", Format::Json),
            (";;,,=", Format::Json),
        ] {
            assert_eq!(negotiate(accept, &Format::ALL), expected, "{accept}");
        }
        assert_eq!(
            negotiate("text/csv", &[Format::Json, Format::Html]),
            Format::Json
        );
        assert_eq!(
            negotiate("text/*", &[Format::Json, Format::Html]),
            Format::Html
        );
    }

    #[test]
    fn the_query_wins_over_accept() {
        let request = |format: &str| Request {
            query: [("format".to_owned(), format.to_owned())].into(),
            headers: [("accept".to_owned(), "text/html".to_owned())].into(),
            ..Request::default()
        };
        for (text, expected) in [
            ("json", Format::Json),
            ("CSV", Format::Csv),
            ("html", Format::Html),
        ] {
            assert_eq!(Format::of(&request(text), &Format::ALL), Ok(expected));
        }
        for text in ["md", "pdf", "", "json,csv"] {
            let problem = Format::of(&request(text), &Format::ALL).unwrap_err();
            assert_eq!(problem.kind, ProblemKind::BadQuery);
        }
        let only_json = Format::of(&request("csv"), &[Format::Json]).unwrap_err();
        assert_eq!(only_json.detail, "`format` is one of json here");
    }
}
