//! R42: stores a snapshot after a full run for all accounts.

use std::borrow::Cow;

use super::Running;
use crate::{
    domain::{
        action::ActionReport,
        plan::Plan,
        report::RunState,
        snapshot::{Digest, Earlier, Head, Left, Line, lines},
    },
    engine::{answers::PermissionAnswers, fetch::Fetched, snapshots::newest},
};

impl Running<'_> {
    /// Stores the snapshot. A failure is a warning, since the run itself succeeded; later questions are answered from
    /// an earlier snapshot.
    pub(super) async fn keep_snapshot(&mut self, mut fetched: Fetched, plan: Plan) {
        let has_read_all = self.is_for_all() && self.request.depth.is_full();
        if !has_read_all || self.report.state == RunState::Continues {
            return;
        }
        // A run without changes needs most of its memory here, and neither of these any more.
        drop(plan);
        fetched.permissions = PermissionAnswers::default();
        let result = self.save_snapshot(&fetched).await;
        match result {
            Ok(unreadable) => self.report.warnings.extend(unreadable),
            Err(error) => self.report.warnings.push(format!(
                "the snapshot of this run is not stored, so the access review and explain show an earlier run: {error} (R42)"
            )),
        }
    }

    /// Returns the errors of earlier snapshots that could not be read.
    async fn save_snapshot(
        &self,
        fetched: &Fetched,
    ) -> Result<Vec<String>, crate::engine::RunError> {
        let before = newest(
            &self.engine.records().await?,
            || Digest::of(&fetched.world),
            |digest, line: Line| digest.take(&line),
        )
        .await?;
        let earlier = before
            .found
            .map_or_else(Earlier::default, |(_, digest)| digest.finish());
        let left = Left {
            world: &fetched.world,
            policy: &fetched.policy,
            matching: &fetched.matching,
            actions: &self.deeds(),
            held: &self.report.held,
            notes: &self.report.skipped,
        };
        let head = Head {
            run: self.id.to_string(),
            at: self.engine.now().as_second(),
            ..Head::default()
        };
        let saved = self
            .state
            .save_snapshot(&self.id, lines(&left, &earlier, head));
        let bytes = saved.await?;
        tracing::debug!(bytes, "the snapshot is stored");
        Ok(before.unreadable)
    }

    /// R34: the actions of this run, including those of earlier invocations.
    fn deeds(&self) -> Cow<'_, [ActionReport]> {
        if self.earlier.deeds.is_empty() {
            return Cow::Borrowed(&self.report.actions);
        }
        let deeds = self.earlier.deeds.clone();
        Cow::Owned(deeds.followed_by(self.report.actions.clone()))
    }
}
