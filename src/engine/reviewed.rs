//! The reviewed plan to which a run is restricted (R28): the report of a preview, from the history or from a file.

use std::sync::Arc;

use super::{Engine, RunError};
use crate::{
    domain::{
        mode::Mode,
        report::{Report, RunOutcome, RunState, SCHEMA_VERSION},
        reviewed::Reviewed,
    },
    state::{RunId, State},
};

/// The source of a reviewed plan.
#[derive(Debug, Clone)]
pub enum PlanSource {
    History(RunId),
    /// The report itself, which the history may no longer contain.
    Report(RunId, Arc<Report>),
}

impl PlanSource {
    /// The report of a preview that was written to a file.
    pub fn of(report: Report) -> Result<Self, RunError> {
        check(&report)?;
        let id = RunId::parse(&report.id);
        let id = id.ok_or_else(|| RunError::UnknownRun(report.id.clone()))?;
        Ok(Self::Report(id, Arc::new(report)))
    }

    /// The run id of the preview.
    pub fn id(&self) -> &RunId {
        match self {
            Self::History(id) | Self::Report(id, _) => id,
        }
    }

    /// Whether the plan comes from a file and belongs to another tenant.
    pub(super) fn is_of_another_tenant(&self, tenant_id: &str) -> bool {
        match self {
            Self::History(_) => false,
            Self::Report(_, report) => report.source.tenant_id != tenant_id,
        }
    }

    pub(super) async fn load(&self, state: &State) -> Result<Reviewed, RunError> {
        match self {
            Self::History(id) => {
                let report: Option<Report> = state.report(id).await?;
                let report = report.ok_or_else(|| RunError::UnknownRun(id.to_string()))?;
                check(&report)?;
                Ok(reviewed(&report))
            }
            Self::Report(_, report) => Ok(reviewed(report)),
        }
    }
}

impl Engine {
    /// The report of the preview `run`, checked to be one whose changes can be applied.
    pub async fn reviewed_plan(&self, run: &RunId) -> Result<Report, RunError> {
        let report = self.report(run).await?;
        check(&report)?;
        Ok(report)
    }
}

fn reviewed(report: &Report) -> Reviewed {
    Reviewed::of(report.actions.iter().map(|it| &it.action))
}

fn check(report: &Report) -> Result<(), RunError> {
    let why = if report.schema != SCHEMA_VERSION {
        "another version of the program wrote it, in a form that this one cannot read"
    } else if report.mode != Mode::Preview {
        "it is not a preview"
    } else if report.undoes.is_some() {
        "it is the preview of an undo"
    } else if report.is_hypothetical() {
        "it was made under other settings (R46), so change the settings of the program first"
    } else if report.state != RunState::Ended {
        "it has not ended"
    } else if report.outcome == RunOutcome::Failed {
        "it failed"
    } else {
        return Ok(());
    };
    Err(RunError::NoPlan(report.id.clone(), why))
}
