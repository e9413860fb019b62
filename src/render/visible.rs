//! Characters that take effect instead of being displayed: control characters, line ends, and marks that change the
//! direction of the following text (Unicode Standard Annex 9), with which `exe.txt` could be displayed as `txt.exe`.

use std::{borrow::Cow, fmt::Write};

/// `text` on one line, with invisible characters as text: `[U+202E]`. Letters of all scripts stay unchanged, including
/// the joiners that some scripts need.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\t' | '\n' | '\r' => shown.push(' '),
            c if is_unseen(c) => {
                write!(shown, "[U+{:04X}]", u32::from(c))
                    .expect("writing to a string does not fail");
            }
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Whether a terminal or a page would not display this character. Terminal, pages and log use this one list.
pub(crate) fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_spelled_out_and_the_rest_stays() {
        for (text, expected) in [
            ("Jörg Müller", "Jörg Müller"),
            ("דנה", "דנה"),
            (
                "می\u{200c}خواهم 👩\u{200d}🔬",
                "می\u{200c}خواهم 👩\u{200d}🔬",
            ),
            ("a\u{202e}gpj.exe", "a[U+202E]gpj.exe"),
            ("a\u{2066}b\u{2069}", "a[U+2066]b[U+2069]"),
            (
                "bell\u{7}\u{0}\u{1b}[31m",
                "bell[U+0007][U+0000][U+001B][31m",
            ),
            ("two\r\nlines\tand", "two  lines and"),
            ("\u{feff}\u{200b}\u{85}", "[U+FEFF][U+200B][U+0085]"),
        ] {
            assert_eq!(visible(text), expected, "{text:?}");
        }
    }
}
