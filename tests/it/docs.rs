//! The documentation matches the program: generated pages are up to date, and the names in pages exist.

mod settings_page;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use cloud_sync::{
    domain::note::Code,
    functions::{ApiCall, ProblemKind, Request},
    settings,
};
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for folder in ["", "docs", "docs/specs", "infra", "scripts"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "md") {
                let name = path.strip_prefix(root()).unwrap();
                let text = fs::read_to_string(&path).unwrap();
                pages.push((name.display().to_string(), text));
            }
        }
    }
    pages
}

#[test]
fn links_between_pages_lead_somewhere() {
    for (page, text) in pages() {
        let folder = root().join(&page);
        let folder = folder.parent().unwrap();
        for part in text.split("](").skip(1) {
            let target = part.split(')').next().unwrap();
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() {
                root().join(&page)
            } else {
                folder.join(file)
            };
            assert!(path.exists(), "{page} links to {target}");
            if !anchor.is_empty() && path.extension().is_some_and(|ending| ending == "md") {
                assert!(anchors(&path).contains(anchor), "{page} links to {target}");
            }
        }
    }
}

/// All functions of the program and its tests.
fn functions() -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    let mut folders = vec![
        root().join("src"),
        root().join("crates"),
        root().join("tests"),
    ];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(path).unwrap();
                let names = text.split("fn ").skip(1);
                functions.extend(names.filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())));
            }
        }
    }
    functions
}

#[test]
fn pages_name_only_tests_that_exist() {
    let functions = functions();
    let is_name = |text: &str| {
        text.matches('_').count() >= 3
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c))
    };
    let mut named = 0;
    for page in ["docs/testing.md", "docs/security.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for name in text.split('`').skip(1).step_by(2).filter(|it| is_name(it)) {
            let function = name.rsplit("::").next().unwrap();
            assert!(functions.contains(function), "{page} names {name}");
            named += 1;
        }
    }
    assert!(named > 40, "{named} tests are named");
}

/// Headings as GitHub turns them into anchors.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

/// Names in pages that begin like the settings of this program.
#[test]
fn pages_name_only_settings_that_exist() {
    let known: BTreeSet<&str> = settings::SETTINGS.iter().map(|entry| entry.name).collect();
    for (page, text) in pages() {
        for part in text.split(settings::PREFIX).skip(1) {
            let end = part.find(|c: char| !c.is_ascii_uppercase() && c != '_');
            let name = &part[..end.unwrap_or(part.len())];
            // The only setting of the original program without a successor.
            let fine = name.is_empty() || name == "TELEMETRY" || known.contains(name);
            assert!(fine, "{page} names {}{name}", settings::PREFIX);
        }
    }
}

#[test]
fn pages_run_only_scripts_that_exist() {
    for (page, text) in pages() {
        for folder in ["scripts/", "infra/", ".ci/"] {
            for (at, _) in text.match_indices(folder) {
                let before = text[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '/' | '-' | '.'))
                    && !text[..at].ends_with("./")
                {
                    continue;
                }
                let end = text[at..].find(|c: char| {
                    !c.is_ascii_alphanumeric() && !matches!(c, '/' | '-' | '_' | '.')
                });
                let file = text[at..at + end.unwrap_or(text.len() - at)].trim_end_matches('.');
                let made_by_hand = file == "infra/local.bicepparam";
                assert!(
                    made_by_hand || root().join(file).exists(),
                    "{page} names {file}"
                );
            }
        }
    }
}

#[test]
fn every_command_is_in_the_help() {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_cloud-sync"))
        .arg("help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let known: BTreeSet<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .collect();
    for (page, text) in pages() {
        for line in code(&text) {
            let Some((before, after)) = line.split_once("cloud-sync ") else {
                continue;
            };
            let (lead, path) = before.rsplit_once(' ').unwrap_or(("", before));
            let begins = (path.is_empty() || path.ends_with('/'))
                && (lead.is_empty() || lead.ends_with("&&") || lead.ends_with("--"));
            let command = after.split_whitespace().next().unwrap_or_default();
            let fine = !begins || command.starts_with('-') || known.contains(command);
            assert!(fine, "{page}: {line}");
        }
    }
}

/// The texts between backticks: lines of blocks, and spans within lines.
fn code(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, part) in text.split("```").enumerate() {
        if at % 2 == 1 {
            found.extend(part.lines().skip(1).map(str::trim));
        } else {
            found.extend(part.split('`').skip(1).step_by(2));
        }
    }
    found
}

/// Commands of `az`, `azd` and `func` on a line of a page: the words of each, and its options.
fn foreign_commands(line: &str) -> Vec<(String, Vec<&str>)> {
    let is_word = |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let mut found = Vec::new();
    for part in line.split(['|', ';', '(', ')', '{', '}', '=']) {
        let words: Vec<&str> = part.split_whitespace().collect();
        // After `NAME=value`, which the split has separated as well.
        let Some(at) = words
            .iter()
            .take(2)
            .position(|word| ["az", "azd", "func"].contains(word))
        else {
            continue;
        };
        let named = words[at..]
            .iter()
            .take_while(|word| is_word(word) && !word.starts_with('-'));
        let options = words[at..].iter().filter(|word| word.starts_with("--"));
        let command = named.copied().collect::<Vec<_>>().join(" ");
        if !command.contains(' ') {
            continue;
        }
        found.push((command, options.copied().collect()));
    }
    found
}

/// The tools are not installed here, so `tests/it/data/commands.txt` contains what their help lists.
#[test]
fn pages_name_only_commands_and_options_that_the_tools_accept() {
    let data = fs::read_to_string(root().join("tests/it/data/commands.txt")).unwrap();
    let accepted = data.lines().filter(|line| !line.starts_with('#'));
    let accepted: Vec<(&str, Vec<&str>)> = accepted
        .map(|line| {
            let end = line.find(" --").unwrap_or(line.len());
            (&line[..end], line[end..].split_whitespace().collect())
        })
        .collect();
    let mut checked = 0;
    for (page, text) in pages() {
        let text = text.replace("\\\n", " ");
        for line in code(&text) {
            for (command, options) in foreign_commands(line) {
                let known = accepted.iter().find(|(known, _)| *known == command);
                let (_, known) = known.unwrap_or_else(|| panic!("{page}: `{command}` in: {line}"));
                for option in options {
                    assert!(known.contains(&option), "{page}: {command} {option}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 60, "{checked} options were looked at");
}

/// In a clone without `local.settings.json` Core Tools ends with "Worker runtime cannot be 'None'".
#[test]
fn func_is_told_the_worker_runtime() {
    for (page, text) in pages() {
        let mut told = false;
        for line in text.split("```").skip(1).step_by(2).flat_map(str::lines) {
            told |= line.starts_with("scripts/local --write")
                || line.contains("FUNCTIONS_WORKER_RUNTIME");
            let needs =
                line.contains("func start") || line.contains("func azure functionapp publish");
            assert!(told || !needs, "{page}: {line}");
        }
    }
}

fn openapi() -> Value {
    let text = fs::read_to_string(root().join("docs/openapi.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every operation of the document reaches a call. Every other method is refused.
#[test]
fn the_openapi_document_has_the_paths_of_the_router() {
    let document = openapi();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let filled = path
            .replace("{id}", "20261123T020000Z-0b5e77")
            .replace("{address}", "anna@corp.example");
        let segments: Vec<String> = filled
            .trim_start_matches("/api/SyncHttp")
            .split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        for method in ["get", "post", "put", "delete", "patch"] {
            let request = Request {
                method: method.to_uppercase(),
                segments: segments.clone(),
                ..Request::default()
            };
            let refused = ApiCall::parse(&request).err().map(|problem| problem.kind);
            match operations.get(method) {
                Some(operation) => {
                    let needs_body = operation["requestBody"]["required"] == true;
                    let expected = needs_body.then_some(ProblemKind::BadBody);
                    assert_eq!(refused, expected, "{method} {path}");
                }
                None => assert_eq!(
                    refused,
                    Some(ProblemKind::MethodNotAllowed),
                    "{method} {path}"
                ),
            }
        }
    }
}

#[test]
fn the_openapi_document_has_every_kind_of_problem() {
    let document = openapi();
    let listed: BTreeSet<&str> = document["components"]["schemas"]["Problem"]["properties"]["type"]
        ["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind.as_str().unwrap())
        .collect();
    // A form is answered with a page.
    let known: BTreeSet<String> = ProblemKind::ALL
        .iter()
        .filter(|kind| **kind != ProblemKind::FormExpired)
        .map(|kind| kind.type_uri())
        .collect();
    assert_eq!(
        listed,
        known.iter().map(String::as_str).collect::<BTreeSet<_>>()
    );
}

/// `tests/it/pages.rs` checks the schema against reports. Here it is compared with the document of the HTTP interface.
#[test]
fn the_openapi_document_has_the_report_of_its_schema() {
    let document = openapi();
    let known = &document["components"]["schemas"];
    let mut report = report_schema();
    let members = report.as_object_mut().unwrap();
    let Some(Value::Object(parts)) = members.remove("$defs") else {
        panic!("the schema has parts");
    };
    members.remove("$id");
    members.remove("$schema");
    let parts = parts
        .into_iter()
        .map(|(name, part)| (part_name(&name), part));
    for (name, mut schema) in parts.chain([("Report".to_owned(), report)]) {
        point_to_components(&mut schema);
        assert_eq!(
            known[&name], schema,
            "{name}: as in docs/report.schema.json"
        );
    }
}

#[test]
fn the_schema_of_reports_has_every_code() {
    let schema = report_schema();
    let listed = schema["$defs"]["code"]["enum"].as_array().unwrap();
    let listed: BTreeSet<String> = listed.iter().map(Value::to_string).collect();
    let known = Code::ALL
        .iter()
        .map(|code| serde_json::to_string(code).unwrap());
    assert_eq!(listed, known.collect());
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    let rule = schema["$defs"]["rule"].clone();
    compiler.add_resource("urn:rule", rule).unwrap();
    let rule = compiler.compile("urn:rule", &mut schemas).unwrap();
    let rules = Code::ALL.iter().map(|code| code.rule());
    for text in rules.chain(["R1", "R9", "R10", "R47"]) {
        assert!(schemas.validate(&text.into(), rule).is_ok(), "{text}");
    }
    for number in [0, 48, 400] {
        let text = format!("R{number}");
        let is_valid = schemas.validate(&text.clone().into(), rule).is_ok();
        assert!(!is_valid, "{text}");
    }
}

fn report_schema() -> Value {
    let text = fs::read_to_string(root().join("docs/report.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// `class` is called `ReportClass` there.
fn part_name(name: &str) -> String {
    format!("Report{}{}", name[..1].to_uppercase(), &name[1..])
}

fn point_to_components(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (member, value) in members {
                match value
                    .as_str()
                    .and_then(|path| path.strip_prefix("#/$defs/"))
                {
                    Some(name) if member == "$ref" => {
                        *value = format!("#/components/schemas/{}", part_name(name)).into();
                    }
                    Some(_) | None => point_to_components(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(point_to_components),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
