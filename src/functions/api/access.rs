//! The query of `GET /access` (R43).

use jiff::tz::TimeZone;

use super::Format;
use crate::{
    domain::snapshot::access::{By, Filter},
    functions::{Problem, ProblemKind, Request},
    render::words::beginning_of,
};

/// The requested rows and their format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessQuery {
    pub format: Format,
    /// The search text as written; several texts are separated by commas.
    pub text: String,
    pub by: By,
    /// A day such as `2026-10-01`, and its beginning in UTC (epoch seconds).
    pub since: Option<(String, i64)>,
    pub only_changed: bool,
    /// Page number from 1; `None` for all rows.
    pub page: Option<usize>,
}

impl AccessQuery {
    pub(super) const PARAMETERS: [&str; 6] = ["format", "q", "by", "since", "changed", "page"];

    /// An empty parameter counts as absent, since a form sends all its fields.
    pub(super) fn parse(request: &Request) -> Result<Self, Problem> {
        let format = Format::of(request, &Format::ALL)?;
        let value = |name: &str| {
            let text = request.query.get(name).map(String::as_str);
            text.filter(|text| !text.is_empty())
        };
        let by = match value("by") {
            None | Some("mailbox") => By::Mailbox,
            Some("person") => By::Person,
            Some(_) => return Err(bad("`by` is mailbox or person")),
        };
        let since = match value("since") {
            None => None,
            Some(day) => {
                let begin = beginning_of(day, &TimeZone::UTC);
                let begin = begin.ok_or_else(|| bad("`since` is a day like 2026-10-01"))?;
                Some((day.to_owned(), begin))
            }
        };
        let only_changed = match value("changed") {
            None | Some("false") => false,
            // `changed` has no effect without `since`.
            Some("true") => since.is_some(),
            Some(_) => return Err(bad("`changed` is true or false")),
        };
        let page = match value("page") {
            None => (format == Format::Html).then_some(1),
            Some("all") => None,
            Some(page) => {
                let is_number = page.bytes().all(|byte| byte.is_ascii_digit());
                let page = page.parse().ok().filter(|page| is_number && *page >= 1);
                Some(page.ok_or_else(|| bad("`page` is a number from 1, or all"))?)
            }
        };
        Ok(Self {
            format,
            text: value("q").unwrap_or_default().to_owned(),
            by,
            since,
            only_changed,
            page,
        })
    }

    pub fn filter(&self) -> Filter {
        Filter::new(self.text.split(','), self.by, self.only_changed)
    }
}

fn bad(detail: &str) -> Problem {
    Problem::new(ProblemKind::BadQuery, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_question_is_refused() {
        for (name, value, is_fine) in [
            ("q", "anna", true),
            ("q", "", true),
            ("by", "person", true),
            ("by", "group", false),
            ("since", "2026-10-01", true),
            ("since", "", true),
            ("since", "yesterday", false),
            ("since", "2026-13-01", false),
            ("since", "20261001", false),
            ("since", " 2026-10-01", false),
            ("changed", "true", true),
            ("changed", "yes", false),
            ("changed", "false", true),
            ("page", "2", true),
            ("page", "all", true),
            ("page", "0", false),
            ("page", "+1", false),
            ("page", "99999999999999999999999", false),
            ("format", "pdf", false),
        ] {
            let request = Request {
                query: [(name.to_owned(), value.to_owned())].into(),
                ..Request::default()
            };
            let parsed = AccessQuery::parse(&request);
            assert_eq!(parsed.is_ok(), is_fine, "{name}={value}");
        }
    }
}
