//! R46: a preview under other settings, compared with the plan under the settings of the program.

use super::{Running, second};
use crate::{
    domain::{
        comparison::under_other_settings,
        plan::Plan,
        report::Report,
        world::{Policy, World},
    },
    engine::{
        RunError,
        fetch::{Fetched, Fetcher},
    },
};

impl Running<'_> {
    /// The policy under the other settings; `None` if the run uses the settings of the program.
    pub(super) fn policy(&self) -> Result<Option<Policy>, RunError> {
        let others = &self.request.settings;
        if others.is_empty() {
            return Ok(None);
        }
        let settings = self.engine.settings().with(others)?;
        Ok(Some(settings.policy()))
    }

    /// Makes both plans from the same data. Held sets get no codes, since these would approve nothing.
    pub(super) async fn compare_with_present(
        &mut self,
        reader: &Fetcher<'_>,
        mut fetched: Fetched,
        plan: &Plan,
    ) -> Result<(), RunError> {
        for set in &mut self.report.held {
            set.code.clear();
        }
        let under = self.outline(plan, &fetched.world);
        match fetched.present.take() {
            Some(Ok(present)) => {
                reader.under(present, &self.memory, &mut fetched).await?;
                let plan = self.plan(&fetched, &self.wishes());
                let present = self.outline(&plan, &fetched.world);
                self.report.compared = Some(under_other_settings(&present, &under));
            }
            Some(Err(error)) => self.report.warnings.push(format!(
                "not compared with the settings of the program, under which a run fails: {error} (R46)"
            )),
            None => {}
        }
        Ok(())
    }

    /// A report with the results of this plan.
    fn outline(&self, plan: &Plan, world: &World) -> Report {
        let started = second(self.engine.now()).to_string();
        let mut report = Report::begin(
            self.id.to_string(),
            self.request.mode,
            self.request.trigger,
            started,
        );
        report.describe(plan, world);
        if !self.named.is_empty() {
            report.narrow(&self.named);
        }
        report.count();
        report
    }
}
