//! Makes text from other systems safe for a terminal.

use std::{fmt, sync::LazyLock};

use clap::CommandFactory as _;
use unicode_width::UnicodeWidthStr;

use super::args::Cli;
use crate::render::{visible::is_unseen, words};

/// Shows control characters, escape sequences and bidirectional marks instead of executing them. Names and addresses
/// come from other systems; in a terminal such characters could hide or forge lines.
pub(super) fn inert(text: &str) -> Inert<'_> {
    Inert(text)
}

/// A sentence of this program, which may quote other systems: [inert], and with its times in the time zone of the terminal.
pub(super) fn told(sentence: &str) -> String {
    inert(&words::in_local_time(sentence)).to_string()
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

/// Escapes the same characters in JSON.
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

/// The commands of this program that read settings.
static COMMANDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    const WITHOUT_SETTINGS: [&str; 5] =
        ["completions", "demo", "import-settings", "man", "sandbox"];
    let cli = Cli::command();
    let names = cli.get_subcommands().map(clap::Command::get_name);
    let names = names.filter(|name| !WITHOUT_SETTINGS.contains(name));
    names.map(str::to_owned).collect()
});

/// The text with this option in each command line that it quotes. Stored texts and pages quote them without it.
pub(super) fn with_option(text: &str, option: &str) -> String {
    const PROGRAM: &str = "cloud-sync";
    let is_command = |rest: &str| {
        let mut words = rest.split(|c: char| !c.is_ascii_lowercase());
        let command = words.nth(1).filter(|_| rest.starts_with(' '));
        command.is_some_and(|word| COMMANDS.iter().any(|command| command == word))
    };
    let mut parts = text.split(PROGRAM);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(PROGRAM);
        if is_command(part) {
            out.push_str(option);
        }
        out.push_str(part);
    }
    out
}

/// The text that `write` writes, which does not fail.
pub(super) fn written(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut out = String::new();
    write(&mut out).expect("writing to a string does not fail");
    out
}

/// Number of terminal columns of a text without control characters.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// Breaks lines at spaces so that they have at most `columns_max` columns. Continuation lines are indented below the
/// first. A word longer than a line is not broken, nor is a command to copy between backquotes.
pub(super) fn wrap(page: &str, columns_max: usize) -> String {
    let mut out = String::with_capacity(page.len());
    for line in page.split_inclusive('\n') {
        wrap_line(&mut out, line, columns_max);
    }
    out
}

fn wrap_line(out: &mut String, line: &str, columns_max: usize) {
    const HANGING: usize = 2;
    let plain = anstream::adapter::strip_str(line).to_string();
    if columns(plain.trim_end()) <= columns_max {
        out.push_str(line);
        return;
    }
    let indent = plain.len() - plain.trim_start_matches(' ').len() + HANGING;
    let mut at = 0;
    let mut is_quoted = false;
    let is_end = |c: char| {
        is_quoted ^= c == '`';
        c == ' ' && !is_quoted
    };
    for word in line.split_inclusive(is_end) {
        let shown = anstream::adapter::strip_str(word).to_string();
        let is_text = !shown.trim().is_empty();
        if is_text && at > indent && at + columns(shown.trim_end()) > columns_max {
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            at = indent;
        }
        out.push_str(word);
        at += columns(&shown);
    }
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
    fn long_lines_are_wrapped_with_a_hanging_indent() {
        for (text, wrapped) in [
            ("short\n", "short\n"),
            ("  one two three four\n", "  one two\n    three\n    four\n"),
            ("李李 李李 李李\n", "李李 李李\n  李李\n"),
            (
                "  \u{1b}[1mone\u{1b}[0m two \u{1b}[2mthree\u{1b}[0m\n",
                "  \u{1b}[1mone\u{1b}[0m two\n    \u{1b}[2mthree\u{1b}[0m\n",
            ),
        ] {
            assert_eq!(wrap(text, 10), wrapped);
        }
        for command in ["cloud-sync-command", "`cloud-sync undo RUN`"] {
            assert_eq!(
                wrap(&format!("ab {command} cd\n"), 10),
                format!("ab\n  {command}\n  cd\n")
            );
        }
    }
}
