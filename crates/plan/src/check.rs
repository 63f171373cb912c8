//! Judges a plan before it is performed. What is wrong here would be a hole later.

use std::path::{Path, PathBuf};

use claw_model::net::Net;

use crate::{Access, Plan, Step};

/// A plan that was judged and found sound. Only [`check`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked(Plan);

impl Checked {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.0
    }
}

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A namespace is missing.
    #[error("the plan has no {0} namespace")]
    Namespace(&'static str),
    /// A whole address family would be open.
    #[error("the plan opens the whole address space")]
    WorldOpen,
    /// The pool and an opening overlap: an address could mean a name and itself.
    #[error("the opening {0} overlaps the virtual addresses")]
    PoolOverlap(String),
    /// A step's target is not an absolute, clean path.
    #[error("the step at `{0}` is not an absolute path without `..`")]
    Path(PathBuf),
    /// Something of the system would be writable.
    #[error("`{0}` would be writable inside")]
    SystemWritable(PathBuf),
    /// Landlock would grant more than the mounts.
    #[error("landlock grants write access to `{0}`, which no step makes writable")]
    Grant(PathBuf),
    /// No agent may run without a filter.
    #[error("the plan names the unknown seccomp profile `{0}`")]
    Seccomp(String),
}

/// Judges the plan; all faults are told.
pub fn check(plan: Plan) -> Result<Checked, Vec<Fault>> {
    let mut faults = Vec::new();
    for name in ["user", "mnt", "pid", "ipc", "uts", "net"] {
        if !plan.namespaces.iter().any(|namespace| namespace == name) {
            faults.push(Fault::Namespace(name));
        }
    }
    if plan.seccomp != plan.calls.as_ref().map_or("standard", |calls| calls.name.as_str()) {
        faults.push(Fault::Seccomp(plan.seccomp.clone()));
    }
    network(&plan, &mut faults);
    tree(&plan, &mut faults);
    if faults.is_empty() { Ok(Checked(plan)) } else { Err(faults) }
}

fn network(plan: &Plan, faults: &mut Vec<Fault>) {
    let network = &plan.network;
    let pools = [Net::new(network.pool4.into(), 10), Net::new(network.pool6.into(), 48)];
    for opening in &network.openings {
        let overlaps = |pool: &Net| {
            pool.is_v4() == opening.from.is_ipv4()
                && opening.from <= pool.last()
                && pool.address() <= opening.to
        };
        if pools.iter().flatten().any(overlaps) {
            faults.push(Fault::PoolOverlap(opening.from.to_string()));
        }
        if opening.from.is_unspecified() {
            faults.push(Fault::WorldOpen);
        }
    }
}

fn tree(plan: &Plan, faults: &mut Vec<Fault>) {
    let clean = |path: &Path| {
        path.is_absolute() && !path.components().any(|part| matches!(part, std::path::Component::ParentDir))
    };
    let mut writable = vec![PathBuf::from("/dev"), PathBuf::from("/proc")];
    for step in &plan.tree {
        let target = step.target();
        if !clean(target) {
            faults.push(Fault::Path(target.to_owned()));
        }
        match step {
            Step::Writable { target, .. } | Step::Review { target, .. } => {
                if ["/", "/proc", "/sys", "/dev"].iter().any(|root| target == Path::new(root)) {
                    faults.push(Fault::SystemWritable(target.clone()));
                }
                writable.push(target.clone());
            }
            Step::Private { target, .. } => writable.push(target.clone()),
            _ => {}
        }
    }
    for grant in &plan.landlock {
        if grant.access == Access::Write && !writable.contains(&grant.path) {
            faults.push(Fault::Grant(grant.path.clone()));
        }
    }
}
