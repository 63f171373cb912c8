//! A policy that lies where the agent may write.
//!
//! Inside it is laid over with a read-only copy. But a file that is replaced outside, as editors do, takes that with it
//! (the kernel detaches what is mounted on a name that is unlinked or renamed over), and from then on the agent can write
//! the new one. So its content counts only if somebody accepted it: by naming it on the command line the first time, and by
//! `claw policy trust` from then on. Only the content that was accepted last counts: an older one may permit more.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use claw_plan::{Plan, Step, named};
use claw_policy::Policy;
use claw_sys::process;

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
    /// What the policy names can be written.
    #[error("`{}`, which the policy names, lies where the agent may write", .path.display())]
    Named {
        /// The file.
        path: PathBuf,
    },
    /// A link leads to it that can be written.
    #[error("the link `{}`, which leads to the policy or to what it names, lies where the agent may write", .path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// The list of what was accepted cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Whether the agent of this plan may write the file, or where it is, whatever that place is called.
pub(crate) fn is_exposed(plan: &Plan, file: &Path) -> bool {
    let writable: Vec<(&PathBuf, Option<(u64, u64)>)> = plan
        .tree
        .iter()
        .filter_map(|step| match step {
            Step::Writable { target, .. } => Some((target, identity(target))),
            _ => None,
        })
        .collect();
    let is_one = |place: &Path| {
        let own = identity(place);
        writable.iter().any(|(target, there)| *target == place || (own.is_some() && *there == own))
    };
    // a file with another name could be written by that one, if its owner or its mode lets the agent
    let (user, _) = process::identity();
    let linked = fs::symlink_metadata(file).is_ok_and(|about| {
        about.is_file()
            && about.nlink() > 1
            && (about.uid() == user || about.mode() & 0o022 != 0)
            && writable.iter().any(|(_, there)| there.is_some_and(|(device, _)| device == about.dev()))
    });
    file.ancestors().any(is_one) || linked
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|about| (about.dev(), about.ino()))
}

/// The first symbolic link on the way to a file that the agent may write: it could be led elsewhere for the next run.
fn link_on_the_way(plan: &Plan, path: &Path) -> Option<PathBuf> {
    let mut place = PathBuf::new();
    for part in path.components() {
        place = canonical(&place).join(part);
        if fs::symlink_metadata(&place).is_ok_and(|about| about.is_symlink()) && is_exposed(plan, &place) {
            return Some(place);
        }
    }
    None
}

/// What a policy that comes to hold while the agent runs names, and the agent may write: a certificate, a ceiling, or a link
/// that leads to one.
pub(crate) fn named_anew(plan: &Plan, policy: &Policy, directory: &Path) -> Option<PathBuf> {
    let certificates = claw_plan::certificates(policy, directory).into_iter();
    let ceilings = policy.ceilings().into_iter().map(|path| directory.join(path));
    certificates.chain(ceilings).find_map(|path| {
        let real = canonical(&path);
        link_on_the_way(plan, &path).or_else(|| is_exposed(plan, &real).then_some(real))
    })
}

/// Confirms that an exposed policy has the content that was accepted last, or remembers the one it has when it is first
/// seen. What a policy names must not be exposed at all: it is read apart from being compared.
pub(crate) fn confirm(job: &Job, host: &Host, plan: &Plan) -> Result<(), ExposedError> {
    let Some(source) = &job.source else { return Ok(()) };
    let written = host.directory.join(&source.name);
    let mut all = named(&job.policy, &host.directory);
    // whoever writes the keys says who may sign
    all.extend(source.signed.iter().map(|demand| host.directory.join(&demand.keyring)));
    for path in all.iter().chain([&written]) {
        if let Some(path) = link_on_the_way(plan, path) {
            return Err(ExposedError::Link { path });
        }
    }
    if let Some(path) = all.iter().map(|path| canonical(path)).find(|path| is_exposed(plan, path)) {
        return Err(ExposedError::Named { path });
    }
    let path = canonical(&host.directory.join(&source.file));
    let trust = Trust::at(&host.config);
    if is_exposed(plan, &path) && !trust.remembers(&path, &job.policy.digest())? {
        return Err(ExposedError::Changed { path });
    }
    Ok(())
}
