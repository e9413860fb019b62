//! `check --probe`: measures which way of reading permissions is the fastest in this tenant, and how its services
//! behave where their documentation is not clear. It only reads.

use futures::StreamExt;
use tokio::time::Instant;

use super::{Engine, RunError};
use crate::{
    domain::probe::AnswerSheet,
    exchange::{MailboxKey, Strategy},
};

impl Engine {
    /// It writes nothing, and its answers contain no names.
    pub async fn probe(&self) -> Result<AnswerSheet, RunError> {
        let mut sheet = AnswerSheet {
            version: env!("CARGO_PKG_VERSION"),
            ..AnswerSheet::default()
        };
        let sample = self.exchange()?.probe(&mut sheet).await?;
        let get = self.milliseconds(Strategy::Get, &sample).await?;
        let batch = self.milliseconds(Strategy::Batch, &sample).await?;
        let in_words = |ms: Option<u128>| ms.map_or("fails".to_owned(), |ms| format!("{ms} ms"));
        sheet.say(
            "exchange",
            "How long does each EXO_PERMISSIONS take for a mailbox?",
            format!("get: {}; batch: {}", in_words(get), in_words(batch)),
        );
        // A difference of less than a fifth is not worth a change of the setting.
        if let (Some(get), Some(batch)) = (get, batch)
            && batch * 5 < get * 4
        {
            sheet.recommend("EXO_PERMISSIONS=batch");
        }
        self.zivver().await?.probe(&mut sheet).await?;
        Ok(sheet)
    }

    /// Milliseconds per mailbox; `None` if an answer is missing or came from single reads instead.
    async fn milliseconds(
        &self,
        strategy: Strategy,
        sample: &[MailboxKey],
    ) -> Result<Option<u128>, RunError> {
        let client = self.exchange_by(strategy)?;
        let started = Instant::now();
        let answers: Vec<_> = client.permissions(sample.to_vec()).collect().await;
        let took = started.elapsed();
        let fell_back = strategy != Strategy::Get
            && client.counters().read().by_kind.contains_key("permission");
        let works = !fell_back && !answers.is_empty() && answers.iter().all(Result::is_ok);
        Ok(works.then(|| took.as_millis() / answers.len() as u128))
    }
}
