//! `check --probe` with services that give any answer: its sheet must not contain a name or a secret.

use cloud_sync::domain::probe::AnswerSheet;

use super::{block_on, exchange, first_line, zivver};

/// The first line is the service.
pub(super) fn probe(input: &[u8]) {
    let (service, answers) = first_line(input);
    let sheet = block_on(async {
        if service == b"zivver" {
            let mut sheet = AnswerSheet::default();
            // An error is a valid result.
            drop(zivver::probe(answers, &mut sheet).await);
            Some(sheet)
        } else {
            exchange::probe(answers).await
        }
    });
    let Some(sheet) = sheet else { return };
    let text = serde_json::to_string(&sheet).expect("a sheet is JSON");
    assert!(!text.contains("canary") && !text.contains("e30."), "{text}");
    for answer in &sheet.answers {
        assert!(!answer.answer.contains(['\n', '@']), "{answer:?}");
    }
}
