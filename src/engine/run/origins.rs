//! R44: the origin of planned changes, by comparison with the last snapshot.

use std::collections::BTreeSet;

use super::Running;
use crate::{
    domain::{
        action::{ActionOutcome, ActionReport},
        address::SmtpAddress,
        delta::{Delta, Target},
        health::epoch,
        ids::ScimId,
        mailbox::Mailbox,
        origin::{Before, Deed, When},
        plan::Plan,
        report::Report,
        snapshot::{Line, Snapshot},
    },
    engine::{
        RunError,
        fetch::Fetched,
        history::{LOOKED_AT, Past},
    },
    state::RunId,
};

/// How long a list may lag behind our writes, in seconds.
const LAG_MAX_S: i64 = 3600;

impl Running<'_> {
    /// Sets the origin of each planned change. If there is no snapshot, the origins stay unknown; the run does not
    /// fail.
    pub(super) async fn state_origins(&mut self, plan: &mut Plan, fetched: &Fetched) {
        let is_compared = self.undo.is_none() && self.request.settings.is_empty();
        if !is_compared || plan.approved.is_empty() && plan.held.is_empty() {
            return;
        }
        if let Err(error) = self.compare_with_snapshot(plan, fetched).await {
            self.report.warnings.push(format!(
                "what caused the changes is not known, since earlier runs cannot be read: {error} (R44)"
            ));
        }
    }

    async fn compare_with_snapshot(
        &self,
        plan: &mut Plan,
        fetched: &Fetched,
    ) -> Result<(), RunError> {
        let world = &fetched.world;
        let concerned = Concerned::of(plan, fetched);
        let records = self.engine.records().await?;
        let looked = records.snapshot(|line| concerned.has(line)).await?;
        let Some((run, snapshot)) = looked.found else {
            return Ok(());
        };
        if snapshot.head.tenant_id != world.tenant_id {
            return Ok(());
        }
        let earlier = self.reports_since(&run, &snapshot).await?;
        let own: Vec<ActionReport> = self.earlier.deeds.clone().followed_by(Vec::new());
        let own = own.iter().map(|report| Deed {
            report,
            when: When::Since,
            is_recent: true,
        });
        let deeds = earlier.iter().flat_map(|(run, when, is_recent)| {
            run.actions.iter().map(|report| Deed {
                report,
                when: *when,
                is_recent: *is_recent,
            })
        });
        let deeds: Vec<Deed<'_>> = deeds.chain(own).collect();
        let held = earlier.iter().flat_map(|(run, ..)| &run.held);
        let held = held.flat_map(|set| &set.changes);
        let before = Before::of(&snapshot, &self.memory, &deeds, held);
        plan.state_origins(&before, world);
        Ok(())
    }

    /// The reports of the run of the snapshot and of later runs that wrote, oldest first, each with when it was, and whether
    /// lists may still lag behind it.
    async fn reports_since(
        &self,
        run: &RunId,
        snapshot: &Snapshot,
    ) -> Result<Vec<(Report, When, bool)>, RunError> {
        let now = self.engine.now().as_second();
        let past = self.engine.past(LOOKED_AT).await?.runs;
        let later = past.into_iter().take_while(|past| past.id != *run);
        let wrote = |past: &Past| past.id != self.id && past.run.may_have_written();
        let mut ids: Vec<RunId> = later.filter(wrote).map(|past| past.id).collect();
        ids.push(run.clone());
        let mut reports = Vec::new();
        for id in ids.iter().rev() {
            let report = if let Some(report) = self.state.report::<Report>(id).await? {
                report
            } else {
                // Its process ended. What its journal lacks may have been made.
                let mut shown = self.engine.report(id).await?;
                let left = shown.actions.iter_mut();
                for it in left.filter(|it| it.outcome == ActionOutcome::Remaining) {
                    it.outcome = ActionOutcome::Failed;
                }
                shown
            };
            let ended = report.ended.as_deref().and_then(epoch);
            let at = if id == run {
                snapshot.head.at
            } else {
                ended.unwrap_or(now)
            };
            let when = if id == run {
                When::AtSnapshot
            } else if report.undoes.is_some() {
                When::SinceInUndo
            } else {
                When::Since
            };
            reports.push((report, when, now - at < LAG_MAX_S));
        }
        Ok(reports)
    }
}

/// The accounts and mailboxes that a plan changes or adds or removes as delegates. Only their lines of a large snapshot
/// are kept.
struct Concerned {
    accounts: BTreeSet<ScimId>,
    mailboxes: BTreeSet<String>,
}

impl Concerned {
    fn of(plan: &Plan, fetched: &Fetched) -> Self {
        let world = &fetched.world;
        let held = plan.held.iter().flat_map(|set| &set.changes);
        let held: BTreeSet<&SmtpAddress> = held.map(|it| &it.address).collect();
        let is_held = |delta: &&Delta| held.contains(&delta.address);
        let held = plan.proposed.values().filter(is_held);
        let deltas: Vec<&Delta> = plan.approved.deltas().iter().chain(held).collect();
        let targets = deltas.iter().flat_map(|delta| {
            let removed = delta.remove_delegates.iter().copied();
            let delegates = delta.add_delegates.iter().copied();
            delegates
                .chain(removed.map(Target::Existing))
                .chain([delta.target])
        });
        let (mut accounts, mut mailboxes) = (BTreeSet::new(), BTreeSet::new());
        for target in targets {
            match target {
                Target::Existing(ix) => {
                    accounts.insert(world.accounts.get(ix).id().clone());
                }
                Target::New(ix) => {
                    let mailbox = world.directory.mailbox(ix);
                    mailboxes.insert(name_of(mailbox));
                    // The snapshot may have it as the address of an account that was deleted since.
                    mailboxes.insert(mailbox.primary.to_string());
                }
            }
        }
        let own = deltas.iter().filter_map(|delta| delta.mailbox);
        mailboxes.extend(own.map(|ix| name_of(world.directory.mailbox(ix))));
        Self {
            accounts,
            mailboxes,
        }
    }

    fn has(&self, line: &Line) -> bool {
        match line {
            Line::Head(_) => true,
            Line::Account(it) => {
                self.accounts.contains(&it.id) || self.mailboxes.contains(it.address.as_str())
            }
            Line::Mailbox(it) => {
                let id = it.object_id.map(|id| id.to_string());
                let name = id.as_deref().unwrap_or_else(|| it.primary.as_str());
                let account = it.account.as_ref();
                self.mailboxes.contains(name)
                    || account.is_some_and(|id| self.accounts.contains(id))
            }
            Line::Rejected(_) | Line::Decision(_) => false,
        }
    }
}

/// The object id, or the primary address if there is no object id.
fn name_of(mailbox: &Mailbox) -> String {
    let id = mailbox.object_id.map(|id| id.to_string());
    id.unwrap_or_else(|| mailbox.primary.to_string())
}
