//! Output: text for people or JSON for programs on stdout, everything else on stderr.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::{
    args::{Color, OutputArgs},
    text,
};
use crate::render::words;

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const RED: Style = AnsiColor::Red.on_default();
pub(super) const CYAN: Style = AnsiColor::Cyan.on_default();

/// Progress bars are shown to a person only, so that they do not mix with other output.
pub(super) fn shows_progress() -> bool {
    io::stderr().is_terminal()
}

/// The JSON that `--json` prints.
pub(super) fn json<T: Serialize>(value: &T) -> io::Result<String> {
    let json = serde_json::to_string_pretty(value)?;
    Ok(format!("{}\n", text::inert_json(&json)))
}

/// Lines are not wrapped for a terminal narrower than this.
const COLUMNS_MIN: usize = 40;

#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
    choice: ColorChoice,
    /// ` --env-file FILE`, if the command was started with it.
    env_file: &'static str,
}

impl Output {
    pub(super) fn new(args: &OutputArgs, env_file: Option<&Path>) -> Self {
        let choice = match args.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        choice.write_global();
        Self {
            json: args.json,
            choice,
            env_file: env_file.map_or("", |file| {
                let file = words::quoted(&file.to_string_lossy());
                format!(" --env-file {}", text::inert(&file)).leak()
            }),
        }
    }

    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// Prints `value` as JSON, or the text that `page` returns.
    pub(super) fn show<T: Serialize>(
        self,
        value: &T,
        page: impl FnOnce() -> String,
    ) -> io::Result<()> {
        if self.json {
            self.print(&json(value)?)
        } else {
            self.page(&page())
        }
    }

    /// Text for a person, wrapped if it goes to a terminal.
    pub(super) fn page(self, page: &str) -> io::Result<()> {
        let page = &text::with_option(page, self.env_file);
        match terminal_size::terminal_size_of(io::stdout()) {
            Some((width, _)) => {
                self.print(&text::wrap(page, usize::from(width.0).max(COLUMNS_MIN)))
            }
            None => self.print(page),
        }
    }

    /// Prints to stdout. A closed pipe (`| head`) is not an error.
    pub(super) fn print(self, page: &str) -> io::Result<()> {
        let mut out = AutoStream::new(io::stdout().lock(), self.choice);
        match out.write_all(page.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Prints text that is not the result of the command to stderr.
    pub(super) fn say(self, text: &str) {
        let text = text::with_option(text, self.env_file);
        let mut err = AutoStream::new(io::stderr().lock(), self.choice);
        // If stderr is closed, the error cannot be reported anywhere.
        drop(writeln!(err, "{text}"));
    }

    /// Prints a question; the answer is typed on the same line.
    pub(super) fn ask(self, text: &str) {
        let mut err = AutoStream::new(io::stderr().lock(), self.choice);
        drop(write!(err, "{text}").and_then(|()| err.flush()));
    }

    pub(super) fn error(self, text: &str) {
        let text = words::in_local_time(text);
        self.say(&format!("{RED}error:{RED:#} {text}"));
    }
}
