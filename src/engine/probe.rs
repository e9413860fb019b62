//! `check --probe`: what a real tenant answers to open questions (`docs/specs/exchange-online.md`, "9. Probes"), and which
//! way of reading permissions is the fastest there. Reads only.

use futures::StreamExt;
use tokio::time::Instant;

use super::{Engine, RunError};
use crate::{
    domain::probe::AnswerSheet,
    exchange::{MailboxKey, Strategy},
};

/// A way has to be so much faster to be worth a change.
const FASTER_PERCENT: u64 = 20;

impl Engine {
    /// Writes nothing, and names nobody.
    pub async fn probe(&self) -> Result<AnswerSheet, RunError> {
        let (mut sheet, sample) = self.exchange().await?.probe().await?;
        self.speeds(&mut sheet, &sample).await?;
        self.zivver().await?.probe(&mut sheet).await?;
        Ok(sheet)
    }

    /// Each strategy on the same mailboxes. One is supported where it answers without a single read besides.
    async fn speeds(&self, sheet: &mut AnswerSheet, sample: &[MailboxKey]) -> Result<(), RunError> {
        for (name, strategy) in [("get", Strategy::Get), ("batch", Strategy::Batch)] {
            let client = self.exchange_by(strategy).await?;
            let started = Instant::now();
            let answers: Vec<_> = client.permissions(sample.to_vec()).collect().await;
            let took = started.elapsed();
            let by_kind = client.counters().read().by_kind;
            let singles = by_kind.get("permission").copied().unwrap_or_default();
            let supported = strategy == Strategy::Get || singles == 0;
            if supported && answers.iter().all(Result::is_ok) && !answers.is_empty() {
                let each = took.as_millis() / answers.len().max(1) as u128;
                sheet
                    .permissions_ms
                    .insert(name, u64::try_from(each).unwrap_or(u64::MAX));
            }
        }
        sheet.fastest = sheet
            .permissions_ms
            .iter()
            .min_by_key(|(name, ms)| (**ms, **name != "get"))
            .map(|(name, _)| *name);
        let told: Vec<String> = sheet
            .permissions_ms
            .iter()
            .map(|(name, ms)| format!("{name}: {ms} ms"))
            .collect();
        sheet.say(
            "exchange 1 and 4",
            "Which EXO_PERMISSIONS work here, and how long does a mailbox take?",
            told.join("; "),
        );
        let get = sheet.permissions_ms.get("get").copied().unwrap_or_default();
        if let Some(fastest) = sheet.fastest
            && fastest != "get"
            && sheet.permissions_ms[fastest] * 100 < get * (100 - FASTER_PERCENT)
        {
            sheet.speaks_for(format!("EXO_PERMISSIONS={fastest}"));
        }
        Ok(())
    }
}
