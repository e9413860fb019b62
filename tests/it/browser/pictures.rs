//! The pictures of the README, made from the real program's dashboard and terminal with `PICTURES=folder`
//! (`scripts/pictures`).

use std::{env, fmt::Write as _, path::PathBuf, process::Command};

use serde_json::json;

use super::{Browser, Look, Site, organisation};

/// The page that shows the terminal output of the program.
const TERMINAL: &str = "<!doctype html><meta charset=utf-8><style>
body{margin:0;background:#11161d;color:#d7dee8;font:14px/1.45 'DejaVu Sans Mono',monospace;padding:20px 24px}
pre{margin:0;font:inherit;white-space:pre-wrap}
b{color:#fff}.d{color:#8b98a9}.c31{color:#ff8f98}.c32{color:#74d99f}.c33{color:#f1c36b}.c36{color:#6fcbe0}
</style><pre>";

/// Converts the few escape sequences that the program writes to markup.
fn markup(text: &str) -> String {
    let mut page = TERMINAL.to_owned();
    let (mut bold, mut dim, mut colour) = (false, false, 0);
    for (at, part) in text.split("\u{1b}[").enumerate() {
        let mut rest = part;
        if at > 0 {
            let (codes, after) = part.split_once('m').unwrap();
            rest = after;
            for code in codes.split(';') {
                match code.parse().unwrap_or(0) {
                    0 => (bold, dim, colour) = (false, false, 0),
                    1 => bold = true,
                    2 => dim = true,
                    code => colour = code,
                }
            }
        }
        let escaped = rest.replace('&', "&amp;").replace('<', "&lt;");
        let style = if dim {
            "d".to_owned()
        } else {
            format!("c{colour}")
        };
        let (open, close) = if bold { ("<b>", "</b>") } else { ("", "") };
        write!(page, "<span class={style}>{open}{escaped}{close}</span>").unwrap();
    }
    page + "</pre>"
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_the_real_program() {
    let Some(browser) = Browser::open().await else {
        return;
    };
    let folder = env::var_os("PICTURES").map(PathBuf::from);
    let folder = folder
        .unwrap_or_else(|| super::picture("readme", Look::new(0, false)).with_file_name("readme"));
    let (tenant, organisation) = organisation();
    let site = Site::open(tenant, organisation, &[]).await;
    let preview = abridged(&terminal(&["preview", "--color", "always"], &site));
    // Some nights, for a history.
    for _ in 0..2 {
        site.run(json!({"wait": 60})).await;
    }
    site.run(json!({"mode": "apply", "wait": 60})).await;
    let page = folder.with_extension("html");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(&page, markup(&preview)).unwrap();
    browser.look(Look::new(1240, true)).await;
    browser
        .go(
            url::Url::from_file_path(std::path::absolute(&page).unwrap())
                .unwrap()
                .as_str(),
        )
        .await;
    browser.picture(&folder.join("plan.png"), 1300).await;
    std::fs::remove_file(&page).unwrap();
    browser.look(Look::new(1110, false)).await;
    browser.go(&site.at("")).await;
    browser.picture(&folder.join("dashboard.png"), 1100).await;
}

/// A part of the text: one change of every kind, what is held, and the totals.
fn abridged(text: &str) -> String {
    const LINES: usize = 6;
    let mut shown = Vec::new();
    for part in text.split("\n\n") {
        let plain = anstream::adapter::strip_str(part).to_string();
        let is_left = ["Left alone", "Needs attention 7"]
            .iter()
            .any(|start| plain.starts_with(start));
        if is_left {
            continue;
        }
        let whole = ["Held back", "Needs attention"]
            .iter()
            .any(|start| plain.starts_with(start));
        let lines: Vec<&str> = part.lines().collect();
        if whole || lines.len() <= LINES + 1 {
            shown.push(part.to_owned());
        } else {
            let dots = "\u{1b}[2m      ⋮\u{1b}[0m";
            shown.push(format!("{}\n{dots}", lines[..LINES].join("\n")));
        }
    }
    shown.join("\n\n")
}

/// The output of the program about the same organisation.
fn terminal(arguments: &[&str], site: &Site) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_cloud-sync"))
        .env_clear()
        .envs(&site.settings)
        .args(arguments)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}
