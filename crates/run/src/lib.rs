//! The supervisor: plan, enforce, gate, init, ledger, exit. Everything that `claw run` does but reading arguments.

mod confine;
pub mod doctor;
mod facts;
mod ledger;
mod supervisor;
pub mod trust;

pub use claw_enforce::{Fresh, LaunchError};
pub use facts::Host;
pub use ledger::LedgerError;
pub use supervisor::{Outcome, RunError, run};

use std::path::PathBuf;

use claw_model::phase::Phase;
use claw_plan::{Checked, Fault, Inputs};
use claw_policy::Policy;

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct Job {
    /// The policy.
    pub policy: Policy,
    /// The policy's file, if it came from one.
    pub file: Option<PathBuf>,
    /// The phase to start in.
    pub phase: Phase,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Where to write the ledger; in Claw's state directory if not given.
    pub ledger: Option<PathBuf>,
    /// What the run is called.
    pub name: Option<String>,
}

/// Why there is no sound plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The policy and this host do not fit.
    #[error(transparent)]
    Build(#[from] claw_plan::BuildError),
    /// The plan was judged unsound.
    #[error("the plan is unsound: {}", list(.0))]
    Unsound(Vec<Fault>),
    /// The host could not be read.
    #[error("cannot read {what}")]
    Host {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Makes and judges the plan for a job on this host.
pub fn plan(job: &Job, host: &Host) -> Result<Checked, PlanError> {
    let facts = host.facts(job)?;
    let inputs = Inputs { policy: &job.policy, phase: job.phase, command: &job.command };
    claw_plan::check(claw_plan::build(inputs, &facts)?).map_err(PlanError::Unsound)
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
