//! Texts of strangers made harmless for a terminal.

use std::fmt;

use unicode_width::UnicodeWidthStr;

use crate::render::visible::is_unseen;

/// A text whose control characters, escape sequences and bidirectional marks are shown, not obeyed. Names and addresses
/// come from outside; in a terminal they could hide or fake lines.
pub(super) fn inert(text: &str) -> Inert<'_> {
    Inert(text)
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Inert<'a>(&'a str);

impl fmt::Display for Inert<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(is_unseen) {
            let (plain, from) = rest.split_at(at);
            f.write_str(plain)?;
            let mut chars = from.chars();
            if let Some(active) = chars.next() {
                write!(f, "{}", active.escape_default())?;
            }
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}

/// JSON says the same with such characters escaped.
pub(super) fn inert_json(json: &str) -> String {
    use fmt::Write as _;

    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unseen(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("writing to a string does not fail");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Columns that a harmless text takes.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// At most so many columns, with an ellipsis where something was cut off.
pub(super) fn cut(text: &str, columns_max: usize) -> String {
    if columns(text) <= columns_max {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        let mut longer = out.clone();
        longer.push(c);
        if columns(&longer) >= columns_max {
            break;
        }
        out = longer;
    }
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_strangers_are_inert() {
        for (text, shown) in [
            ("Zoë O'Brien 李", "Zoë O'Brien 李"),
            ("a\u{1b}[31mred", "a\\u{1b}[31mred"),
            ("two\nlines\r\t", "two\\nlines\\r\\t"),
            ("evil\u{202e}txt.exe", "evil\\u{202e}txt.exe"),
            ("c1\u{9b}2J", "c1\\u{9b}2J"),
            ("zero\u{200b}width\u{feff}", "zero\\u{200b}width\\u{feff}"),
        ] {
            assert_eq!(inert(text).to_string(), shown);
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        let text = "a\u{1b}b\u{202e}c\u{9b}d\u{e0041}e\n李";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let inert = inert_json(&json);
        assert!(!inert.contains(|c| is_unseen(c) && c != '\n'), "{inert:?}");
        assert_eq!(
            serde_json::from_str::<Vec<String>>(&inert).unwrap(),
            [text.to_owned()]
        );
    }

    #[test]
    fn long_texts_are_cut_by_columns() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("a longer text", 9), "a longer…");
        assert_eq!(cut("a longer text", 10), "a longer…");
        assert_eq!(cut("李李李", 5), "李李…");
    }
}
