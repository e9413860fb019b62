//! The output for shells and for `man`.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use super::bench;

/// The commands that the help lists.
fn commands() -> Vec<String> {
    let help = bench::program(&[], &["help"]).out;
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    let names = list
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// What bash offers for the last of these words.
fn completed(words: &[&str]) -> Vec<String> {
    let script = bench::program(&[], &["completions", "bash"]);
    assert_eq!((script.code, script.err.as_str()), (0, ""));
    let mut bash = Command::new("bash")
        .arg("-s")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let all = format!("cloud-sync {}", words.join(" "));
    let (at, last) = (words.len(), words[words.len() - 1]);
    let asked = format!(
        "\nCOMP_WORDS=({all}); COMP_CWORD={at}; _cloud__sync cloud-sync {last} \"${{COMP_WORDS[{at} - 1]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    );
    let mut input = bash.stdin.take().unwrap();
    input.write_all((script.out + &asked).as_bytes()).unwrap();
    drop(input);
    let said = bash.wait_with_output().unwrap();
    assert!(said.status.success());
    let said = String::from_utf8(said.stdout).unwrap();
    said.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bash_completes_commands_options_and_values() {
    let offered = completed(&["''"]);
    for command in commands() {
        assert!(offered.contains(&command), "{command}: {offered:?}");
    }
    assert_eq!(completed(&["preview", "--ou"]), ["--out"]);
    assert_eq!(completed(&["access", "--by", "pe"]), ["person"]);
    assert_eq!(completed(&["runs", "di"]), ["diff"]);
    assert_eq!(completed(&["import-settings", "--js"]), ["--json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shell_has_a_script() {
    for (shell, piece) in [
        ("bash", "complete -F _cloud__sync"),
        ("zsh", "#compdef cloud-sync"),
        ("fish", "complete -c cloud-sync"),
        ("elvish", "edit:completion:arg-completer[cloud-sync]"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = bench::program(&[], &["completions", shell]);
        assert_eq!(script.code, 0, "{shell}");
        assert!(script.out.contains(piece), "{shell}");
        assert!(script.out.contains("import-settings"), "{shell}");
    }
    assert_eq!(bench::program(&[], &["completions", "dos"]).code, 1);
}

/// `man` prints a hyphen as a hyphen only after a backslash.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_a_page_and_the_first_page_names_it() {
    let first = bench::program(&[], &["man"]);
    assert_eq!(first.code, 0, "{first:?}");
    assert!(first.out.contains(".TH cloud-sync 1"), "{first:?}");
    assert!(first.out.contains("Exit codes: 0 in sync"), "{first:?}");
    let commands = commands();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let roff = command.replace('-', "\\-");
        let named = format!("cloud\\-sync\\-{roff}(1)");
        assert!(first.out.contains(&named), "{command}: {}", first.out);
        let page = bench::program(&[], &["man", &command]);
        assert_eq!(page.code, 0, "{page:?}");
        assert!(
            page.out.contains(&format!(".TH cloud-sync-{command} 1")),
            "{page:?}"
        );
        assert!(page.out.contains("\\-\\-json"), "{page:?}");
    }
    let inner = bench::program(&[], &["man", "runs", "diff"]);
    assert!(
        inner.out.contains(".TH cloud-sync-runs-diff 1"),
        "{inner:?}"
    );
    let unknown = bench::program(&[], &["man", "nope"]);
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.err.contains("there are preview, apply"),
        "{unknown:?}"
    );
}
