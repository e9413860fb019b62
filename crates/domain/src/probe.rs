//! What `check --probe` finds out about a tenant: facts without names, which can be sent to the maintainers.

use serde::Serialize;

/// One question and its answer. Neither names the tenant, a mailbox or an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probed {
    /// `exchange` or `zivver`.
    pub service: &'static str,
    pub question: String,
    pub answer: String,
    /// The setting that the answer recommends, if it is not the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recommends: Option<String>,
}

/// Everything that was asked, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AnswerSheet {
    pub version: &'static str,
    pub answers: Vec<Probed>,
}

impl AnswerSheet {
    pub fn say(
        &mut self,
        service: &'static str,
        question: impl Into<String>,
        answer: impl Into<String>,
    ) {
        self.answers.push(Probed {
            service,
            question: question.into(),
            answer: answer.into(),
            recommends: None,
        });
    }

    /// Adds a recommendation to the last answer.
    pub fn recommend(&mut self, setting: impl Into<String>) {
        if let Some(last) = self.answers.last_mut() {
            last.recommends = Some(setting.into());
        }
    }
}
