//! A policy that lies below a path that the agent may write, or a file that such a policy names.
//!
//! Inside it is laid over with a read-only copy. But a file that is replaced outside, as editors do, takes that with it
//! (the kernel detaches what is mounted on a name that is unlinked or renamed over), and from then on the agent can write
//! the new one. So its content counts only if somebody accepted it: by naming it on the command line the first time, and by
//! `claw policy trust` from then on.

use std::path::{Path, PathBuf};

use claw_model::digest::Digest;
use claw_plan::{Plan, Step, named};
use claw_policy::Policy;

use crate::executables::digest;
use crate::facts::canonical;
use crate::trust::{Trust, TrustError};
use crate::{Host, Job};

/// Why a run must not begin with these files.
#[derive(Debug, thiserror::Error)]
pub enum ExposedError {
    /// The content is not the accepted one.
    #[error("`{}` changed since the last run that could write it", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The list of what was accepted cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Whether the agent of this plan may write where the file is.
pub(crate) fn is_exposed(plan: &Plan, file: &Path) -> bool {
    let above = |step: &Step| matches!(step, Step::Writable { target, .. } if file.starts_with(target) && file != target);
    plan.tree.iter().any(above)
}

/// The files that a policy names and that the agent may write.
pub(crate) fn files(plan: &Plan, policy: &Policy, directory: &Path) -> Vec<PathBuf> {
    let all = named(policy, directory).into_iter().map(|path| canonical(&path));
    all.filter(|path| is_exposed(plan, path)).collect()
}

/// The certificates that a policy names and that the agent may write.
pub(crate) fn certificates(plan: &Plan, policy: &Policy, directory: &Path) -> Vec<PathBuf> {
    let all = claw_plan::certificates(policy, directory).into_iter().map(|path| canonical(&path));
    all.filter(|path| is_exposed(plan, path)).collect()
}

/// Confirms that each exposed file has a content that was accepted, or remembers the one it has when it is first seen.
pub(crate) fn confirm(job: &Job, host: &Host, plan: &Plan) -> Result<(), ExposedError> {
    let trust = Trust::at(&host.config);
    let policy = job.source.as_ref().map(|source| canonical(&host.directory.join(&source.file)));
    let policy = policy.filter(|path| is_exposed(plan, path)).map(|path| (path, job.policy.digest()));
    let others = files(plan, &job.policy, &host.directory).into_iter().map(|path| match digest(&path) {
        Ok(digest) => Ok((path, digest)),
        Err(source) => Err(ExposedError::Unread { path, source }),
    });
    let all: Result<Vec<(PathBuf, Digest)>, ExposedError> =
        policy.into_iter().map(Ok).chain(others).collect();
    for (path, digest) in all? {
        if !trust.remembers(&path, &digest)? {
            return Err(ExposedError::Changed { path });
        }
    }
    Ok(())
}
