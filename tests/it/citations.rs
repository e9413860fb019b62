//! Comments and pages cite documents of this repository. The cited file and heading must exist. The form is
//! `docs/specs/zivver-scim.md, "5.4 Quirks"`, with `and "…"` for more headings of the same file.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The folders whose comments or prose can contain citations.
const FOLDERS: [&str; 10] = [
    "src", "crates", "tests", "benches", "fuzz", "scripts", ".ci", "infra", "docs", "",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is_text(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending {
        Some("rs" | "md" | "py" | "sh" | "bicep" | "ps1" | "toml") => true,
        Some(_) => false,
        None => path
            .parent()
            .and_then(Path::file_name)
            .is_some_and(|folder| folder == "scripts" || folder == ".ci"),
    }
}

fn find(folder: &Path, deep: bool, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap();
            if deep && name != "target" && name != "node_modules" && name != "corpus" {
                find(&path, deep, found);
            }
        } else if is_text(&path) {
            found.push(path);
        }
    }
}

/// Every text of the repository by its path, with the lines of its comments joined.
fn texts() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        find(&root().join(folder), !folder.is_empty(), &mut found);
    }
    found
        .into_iter()
        .filter_map(|path| {
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            Some((name, joined(&fs::read_to_string(path).ok()?)))
        })
        .collect()
}

/// Joins the lines of a comment, since a citation may continue in the next line.
fn joined(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim_start();
        let marks = ["//!", "///", "//", "#"];
        let mark = marks.iter().find_map(|mark| line.strip_prefix(mark));
        mark.unwrap_or(line).trim()
    });
    lines.collect::<Vec<_>>().join(" ")
}

/// The headings of a page without backticks.
fn headings(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with('#'));
    lines
        .map(|line| line.trim_start_matches('#').trim().replace('`', ""))
        .collect()
}

/// The quoted texts at the start: `, "…"`, ` and "…"`.
fn cited<'a>(mut rest: &'a str, found: &mut Vec<&'a str>) {
    rest = rest.strip_prefix('`').unwrap_or(rest);
    for link in [", \"", " and \"", ", and \""] {
        if let Some(after) = rest.strip_prefix(link)
            && let Some((heading, after)) = after.split_once('"')
        {
            found.push(heading);
            cited(after, found);
            return;
        }
    }
}

/// The positions at which a word begins with this text.
fn starts<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(|at| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || "/_-.".contains(c)))
}

fn is_code(file: &str) -> bool {
    Path::new(file)
        .extension()
        .is_none_or(|ending| ending != "md")
}

#[test]
fn cited_specifications_have_the_heading() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for (file, text) in texts() {
        for at in starts(&text, "docs/specs/") {
            let end = text[at..].find(".md").map(|end| at + end + 3);
            let page = &text[at..end.unwrap_or(at)];
            let mut named = Vec::new();
            cited(&text[end.unwrap_or(at)..], &mut named);
            let known = headings(&root().join(page));
            let is_missing = |heading: &&&str| !known.contains(&heading.replace('`', ""));
            wrong.extend(
                named
                    .iter()
                    .filter(is_missing)
                    .map(|heading| format!("{file}: {page}, \"{heading}\"")),
            );
            // A path that the code reads is not a citation.
            let is_citation = is_code(&file) && text[..at].ends_with('`');
            if is_citation && named.is_empty() {
                wrong.push(format!("{file}: {page} without a heading"));
            }
            count += named.len();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 60, "{count} headings are cited");
}

/// A name such as `README.md` in a comment belongs to a file, relative to the root, to the file, or to `docs`.
#[test]
fn cited_documents_exist() {
    let mut wrong = Vec::new();
    for (file, text) in texts() {
        if !is_code(&file) {
            continue;
        }
        for (end, _) in text.match_indices(".md") {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
            if text[end + 3..].starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let before = text[..end].trim_end_matches(is_name).len();
            let name = text[before..end + 3].trim_start_matches('/');
            let beside = root().join(&file);
            let beside = beside.parent().unwrap().to_owned();
            let places = [root().to_owned(), root().join("docs"), beside];
            let exists = places.iter().any(|place| place.join(name).is_file());
            if before < end && !exists {
                wrong.push(format!("{file}: {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The number of a section means nothing without its document.
#[test]
fn sections_are_those_of_a_standard() {
    let standards = ["RFC ", "WHATWG URL", "WebDriver"];
    let mut wrong = Vec::new();
    for (file, text) in texts().iter().filter(|(file, _)| is_code(file)) {
        for word in ["section ", "sections ", "§"] {
            for at in starts(text, word) {
                let number = text[at + word.len()..].trim_start();
                let before: String = text[..at].chars().rev().take(16).collect();
                let before: String = before.chars().rev().collect();
                let is_known = standards.iter().any(|standard| before.contains(standard));
                if number.starts_with(|c: char| c.is_ascii_digit()) && !is_known {
                    wrong.push(format!("{file}: {before}{word}{}", &number[..1]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn cited_rules_exist() {
    let rules = headings(&root().join("docs/specs/reconciliation.md"));
    let known: BTreeSet<u32> = rules.iter().filter_map(|line| number(line)).collect();
    let last = known.last().copied().unwrap_or_default();
    assert_eq!(known, (1..=last).collect(), "no number is left out");
    for (file, text) in texts() {
        for at in starts(&text, "R") {
            if let Some(rule) = number(&text[at..]) {
                assert!(known.contains(&rule), "{file}: R{rule}");
            }
        }
    }
}

/// The number in `R12`. `None` for a longer word.
fn number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('R')?;
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    let is_whole = !digits[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    digits[..end].parse().ok().filter(|_| is_whole)
}

#[test]
fn the_glossary_names_code_that_exists() {
    let sources: Vec<String> = texts()
        .into_iter()
        .filter(|(file, _)| file.starts_with("src/") || file.starts_with("crates/"))
        .map(|(_, text)| text)
        .collect();
    let page = fs::read_to_string(root().join("docs/glossary.md")).unwrap();
    let rows = page
        .lines()
        .filter_map(|line| line.strip_suffix(" |")?.rsplit_once("| "));
    for (_, cell) in rows {
        for name in cell.split('`').skip(1).step_by(2) {
            for part in name.split("::") {
                let exists = sources
                    .iter()
                    .any(|text| starts(text, part).next().is_some());
                assert!(exists, "docs/glossary.md names {name}");
            }
        }
    }
}
