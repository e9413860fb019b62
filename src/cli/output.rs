//! Where output goes: text for people or JSON for programs on stdout, everything else on stderr.

use std::io::{self, IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::{
    args::{Color, OutputArgs},
    text,
};

pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const RED: Style = AnsiColor::Red.on_default();
pub(super) const CYAN: Style = AnsiColor::Cyan.on_default();

/// Progress bars are for a person who waits, and who would not mistake them for output.
pub(super) fn shows_progress() -> bool {
    io::stderr().is_terminal()
}

/// As `--json` prints it.
pub(super) fn json<T: Serialize>(value: &T) -> io::Result<String> {
    let json = serde_json::to_string_pretty(value)?;
    Ok(format!("{}\n", text::inert_json(&json)))
}

/// A narrower terminal breaks the lines itself.
const COLUMNS_MIN: usize = 40;

#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
    choice: ColorChoice,
}

impl Output {
    pub(super) fn new(args: &OutputArgs) -> Self {
        let choice = match args.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        choice.write_global();
        Self {
            json: args.json,
            choice,
        }
    }

    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// A value as JSON, or what `page` makes of it.
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

    /// Text for a person, wrapped where a terminal shows it.
    pub(super) fn page(self, page: &str) -> io::Result<()> {
        match terminal_size::terminal_size_of(io::stdout()) {
            Some((width, _)) => {
                self.print(&text::wrap(page, usize::from(width.0).max(COLUMNS_MIN)))
            }
            None => self.print(page),
        }
    }

    /// A reader that went away (`| head`) is not an error.
    pub(super) fn print(self, page: &str) -> io::Result<()> {
        let mut out = AutoStream::new(io::stdout().lock(), self.choice);
        match out.write_all(page.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Text that is not the result.
    pub(super) fn say(self, text: &str) {
        let mut err = AutoStream::new(io::stderr().lock(), self.choice);
        // There is nowhere left to say that stderr is gone.
        drop(writeln!(err, "{text}"));
    }

    /// A question, which is answered on its line.
    pub(super) fn ask(self, text: &str) {
        let mut err = AutoStream::new(io::stderr().lock(), self.choice);
        drop(write!(err, "{text}").and_then(|()| err.flush()));
    }

    pub(super) fn error(self, text: &str) {
        self.say(&format!("{RED}error:{RED:#} {text}"));
    }
}
