//! The policy file: parse, lint, decide, explain, import, export.
//!
//! `Policy::parse` turns the text of an `agent_runtime.yaml` into a policy or into an error that shows every line
//! that is wrong. `decide` answers one request at a cost that does not grow with the number of rules; the
//! `Permit` it hands out is the only proof that a flow is allowed. Nothing here opens a file or a socket or
//! reads a clock: `now` is part of the request.

mod atoms;
mod ceiling;
pub mod check;
mod decide;
pub mod diff;
mod error;
mod executables;
pub mod export;
mod format;
pub mod import;
mod index;
pub mod later;
mod leads;
mod load;
mod loss;
pub mod merge;
mod policy;
mod promise;
mod raw;
mod reason;
mod regime;
mod rule;
#[cfg(test)]
mod samples;
mod schema;
pub mod seccomp;
mod space;
mod why;

/// Reading other files of Claw's as strictly as a policy: the same YAML, the same way to tell what is wrong.
pub mod yaml {
    pub use crate::error::{Place, Problem};
    pub use crate::keyed;
    pub use crate::raw::{At, Extra, Key, Keyed, Loose, read};
}

pub use ceiling::{CeilingFile, ReadCeiling};
pub use check::{Finding, Severity, lint, policy_writable, unused};
pub use decide::{
    Decision, Denial, Host, Permit, PermitHost, Request, RequestPermit, Resolvable, decide, decide_request,
    resolvable,
};
pub use error::{PolicyError, Problem};
pub use executables::{Changed as ExecutableChanged, Exec, Executable, Listed, parse_list};
pub use leads::leads;
pub use policy::{Env, Filesystem, Limits, Policy, Process, Profile, Root, Seccomp};
pub use reason::Reason;
pub use regime::{Change, Regime};
pub use rule::{FlowLimits, Rate, Rule, RuleList, Travel};
pub use schema::schema;
pub use why::{Asked, Why, why};
