//! What clap knows of the command line, in the words of shells and of `man`.

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{CliError, args::Cli, text::inert};

pub(super) fn completions(shell: Shell) -> String {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The page of the program, or of one command, in roff.
pub(super) fn man(name: Option<&str>) -> Result<String, CliError> {
    // Without the command `help`, which has a page for each page.
    let mut program = Cli::command().disable_help_subcommand(true);
    // Gives the commands their full names and the global options.
    program.build();
    let command = match name {
        None => &program,
        Some(name) => program
            .find_subcommand(name)
            .ok_or_else(|| unknown(&program, name))?,
    };
    let mut page = Vec::new();
    Man::new(command.clone())
        .source(format!("cloud-sync {}", super::VERSION.as_str()))
        .manual("Cloud Sync")
        .render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn unknown(program: &clap::Command, name: &str) -> CliError {
    let known: Vec<&str> = program
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    CliError::Failed(format!(
        "no command is called \"{}\"; there are {}",
        inert(name),
        known.join(", ")
    ))
}
