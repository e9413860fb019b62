//! Notifications and mails after a run and at each tick. A failure is a warning in the log and does not fail the run.

use std::collections::BTreeSet;

use crate::{
    domain::{
        mode::{Depth, Trigger},
        notice::{Notice, Notified, after_run, at_tick},
        report::{Report, RunOutcome, RunState},
    },
    engine::{Engine, RunError, complete::Complete},
    mail::{self, MailError, MailSettings},
    notify,
    state::RunId,
};

impl Engine {
    /// Sends a notification about a run that ended, if it changes what was last notified, and a mail. If several tries
    /// of one run fail, only the first sends a mail.
    pub(super) async fn announce(&self, report: &Report, has_failed_before: bool) {
        let setting = self.settings().perform_sync;
        let last = self.complete_for_people().await;
        let figures = last.as_ref().map(Complete::figures_with_quick);
        let now = self.now().as_second();
        self.tell(|before| after_run(before, report, setting, figures.as_ref(), now))
            .await;
        let is_told = has_failed_before && report.outcome == RunOutcome::Failed
            || report.depth == Depth::Quick && !self.is_news(report, last.as_ref()).await;
        if let Some(settings) = &self.settings().mail
            && report.state == RunState::Ended
            && !is_told
            && let Err(error) = self.mail(settings, report, last.as_ref()).await
        {
            tracing::warn!("{error}");
        }
    }

    /// Sends the report if `MAIL_WHEN` says so. If the state cannot record a sent mail, the mail may be sent again.
    async fn mail(
        &self,
        settings: &MailSettings,
        report: &Report,
        last: Option<&Complete>,
    ) -> Result<(), MailError> {
        let before = match self.notified().await {
            Ok(before) => before,
            Err(error) => {
                tracing::warn!("cannot read what was notified: {error}");
                Notified::default()
            }
        };
        let now = self.now().as_second();
        // R45: quick runs mail only what is new, so that the next full run is the next that repeats.
        let host = &self.settings().host;
        let is_rare = report.depth == Depth::Full && host.has_quick_at(now);
        let next_s = is_rare.then(|| host.full_every_s());
        let (is_sent, mailed) = settings.when.mails(&before, report, next_s, now);
        if !is_sent {
            return Ok(());
        }
        let own = self.settings();
        let dashboard = own.dashboard_url.as_ref();
        mail::send(settings, &own.identity, report, last, dashboard).await?;
        if mailed.is_some() {
            let after = Notified { mailed, ..before };
            let saved =
                async { Ok::<_, RunError>(self.state().await?.save_notified(&after).await?) };
            if let Err(error) = saved.await {
                tracing::warn!("cannot remember what was mailed: {error}");
            }
        }
        Ok(())
    }

    async fn notified(&self) -> Result<Notified, RunError> {
        Ok(self.state().await?.notified().await?.unwrap_or_default())
    }

    /// Notifies that no run succeeds any more, and once a day what still needs a person. Call it at each tick and when
    /// health is requested, since a run that never starts notifies no one.
    pub async fn announce_silence(&self) {
        match self.overdue().await {
            Ok(overdue) => {
                let figures = self.complete_for_people().await;
                let figures = figures.as_ref().map(Complete::figures_with_quick);
                let now = self.now().as_second();
                self.tell(|before| at_tick(before, overdue, figures.as_ref(), now))
                    .await;
            }
            Err(error) => tracing::warn!("cannot say when a run last succeeded: {error}"),
        }
    }

    /// R45: whether a quick run has something new to report. Quick runs are frequent, so others are not mailed.
    async fn is_news(&self, report: &Report, last: Option<&Complete>) -> bool {
        let is_partial = !report.accounts.is_empty() || report.trigger != Trigger::Timer;
        if is_partial || report.outcome == RunOutcome::Failed || !report.counts.applied.is_empty() {
            return true;
        }
        let mut known: BTreeSet<String> = BTreeSet::new();
        if let Some(last) = last {
            known.extend(last.report.held.iter().map(|set| set.code.clone()));
            let mut earlier = last.since.iter();
            let before =
                earlier.find(|run| run.id != report.id && run.facts().saw_everybody_quickly());
            if let Some(id) = before.and_then(|run| RunId::parse(&run.id))
                && let Ok(before) = self.report(&id).await
            {
                known.extend(before.held.into_iter().map(|set| set.code));
            }
        }
        report.held.iter().any(|set| !known.contains(&set.code))
    }

    async fn complete_for_people(&self) -> Option<Complete> {
        if self.settings().notify_url.is_none() && self.settings().mail.is_none() {
            return None;
        }
        self.complete_if_readable().await
    }

    async fn tell(&self, decide: impl FnOnce(&Notified) -> (Notified, Option<Notice>)) {
        let Some(address) = &self.settings().notify_url else {
            return;
        };
        let result = async {
            let state = self.state().await?;
            let before = self.notified().await?;
            let (after, notice) = decide(&before);
            if let Some(notice) = notice
                && let Err(error) =
                    notify::send(address, &notice, self.settings().dashboard_url.as_ref()).await
            {
                // Not recorded as sent, so that the next run notifies again.
                tracing::warn!("{error}");
                return Ok(());
            }
            if after != before {
                state.save_notified(&after).await?;
            }
            Ok::<_, RunError>(())
        };
        if let Err(error) = result.await {
            tracing::warn!("cannot remember what was notified: {error}");
        }
    }
}
