//! Every error that the services are known to answer has a remedy, and the list of them is that of the specifications.

use std::{collections::BTreeSet, fs, path::Path};

use cloud_sync::{
    domain::remedies::{self, Service, of},
    state::StateError,
};

const FIXTURE: &str = include_str!("data/known-errors.tsv");

/// Service, status, text.
fn fixture() -> Vec<(&'static str, u16, &'static str)> {
    let lines = FIXTURE.lines().map(|line| {
        let mut parts = line.splitn(3, '\t');
        let mut next = || parts.next().unwrap();
        (next(), next().parse().unwrap(), next())
    });
    lines.collect()
}

#[test]
fn every_known_error_has_a_remedy() {
    for (service, status, text) in fixture() {
        let service = match service {
            "exchange" => Service::Exchange,
            "identity" => Service::Identity,
            "zivver" => Service::Zivver,
            "storage" => Service::Storage,
            other => panic!("{other}"),
        };
        let known = of(service, Some(status), text);
        let known = known.unwrap_or_else(|| panic!("{service:?} {status} {text} has no remedy"));
        assert!(known.remedy.len() > 10, "{known:?}");
        assert!(
            text.is_empty() || !known.text.is_empty() || text.starts_with('{'),
            "{service:?} {status} {text} has the remedy of its status only"
        );
    }
}

/// State knows nothing of ours, so it has its own copy of the texts.
#[test]
fn errors_of_state_have_the_remedies_of_the_table() {
    let (object, place, cause) = ("memory".to_owned(), "folder".to_owned(), "no".to_owned());
    let operation = "read";
    let denied = StateError::Denied {
        operation,
        object: object.clone(),
        place: place.clone(),
        cause: cause.clone(),
    };
    assert!(
        denied.to_string().ends_with(remedies::STORAGE_DENIED),
        "{denied}"
    );
    let folder = StateError::Folder {
        operation,
        object: object.clone(),
        place: place.clone(),
        cause: cause.clone(),
    };
    assert!(
        folder.to_string().ends_with(remedies::STORAGE_FOLDER),
        "{folder}"
    );
    let away = StateError::Unreachable {
        operation,
        object,
        place,
        cause,
    };
    assert!(
        away.to_string().ends_with(remedies::STORAGE_UNREACHABLE),
        "{away}"
    );
}

/// The rows of the table below `heading`, as cells.
fn table(specification: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, rest) = specification.split_once(heading).unwrap();
    let rows = rest.lines().skip_while(|line| !line.starts_with('|'));
    rows.take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|row| {
            row.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect()
}

/// What stands in a cell between such marks.
fn marked(cell: &str, mark: char) -> Vec<String> {
    let parts = cell.split(mark).skip(1).step_by(2);
    parts
        .map(|part| part.split('<').next().unwrap().trim().to_owned())
        .collect()
}

fn statuses(cell: &str) -> Vec<u16> {
    cell.split([',', '/', ' '])
        .filter_map(|part| part.parse().ok())
        .collect()
}

#[test]
fn the_list_is_that_of_the_specifications() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let exchange = fs::read_to_string(root.join("docs/specs/exchange-online.md")).unwrap();
    let zivver = fs::read_to_string(root.join("docs/specs/zivver-scim.md")).unwrap();
    let known = fixture();
    let has = |service: &str, text: &str| {
        known
            .iter()
            .any(|(of, _, one)| *of == service && *one == text)
    };
    let listed = |service: &str| -> BTreeSet<u16> {
        let of = known.iter().filter(|(of, _, _)| *of == service);
        of.map(|(_, status, _)| *status).collect()
    };
    for row in table(&exchange, "### 4.4 Classification") {
        for mark in ['`', '"'] {
            for text in marked(&row[1], mark) {
                // The code of a 401, not a text.
                assert!(
                    text == "Unauthorized" || has("exchange", &text),
                    "exchange: {text}"
                );
            }
        }
    }
    for row in table(&exchange, "### 4.2 Status table") {
        for status in statuses(&row[0])
            .into_iter()
            .filter(|status| *status >= 400)
        {
            assert!(listed("exchange").contains(&status), "exchange: {status}");
        }
    }
    for row in table(&zivver, "## 6. Errors and the limiter") {
        for text in marked(&row[2], '`') {
            assert!(has("zivver", &text), "zivver: {text}");
        }
        for status in statuses(&row[0]) {
            assert!(listed("zivver").contains(&status), "zivver: {status}");
        }
    }
}
