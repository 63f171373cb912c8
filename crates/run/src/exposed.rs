//! A policy that lies where the agent may write.
//!
//! Inside it is laid over with a read-only copy. But a file that is replaced outside, as editors do, takes that with it
//! (the kernel detaches what is mounted on a name that is unlinked or renamed over), and from then on the agent can write
//! the new one. So its content counts only if somebody accepted it: by naming it on the command line the first time, and by
//! `claw policy trust` from then on. Only the content that was accepted last counts: an older one may permit more.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

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

/// The first symbolic link on the way to a file, or on the way of such a link, that the agent may write: it could be led
/// elsewhere for the next run.
fn link_on_the_way(plan: &Plan, path: &Path) -> Option<PathBuf> {
    let mut place = PathBuf::new();
    let mut rest = path.to_owned();
    for _ in 0..MOST_PARTS {
        let mut parts = rest.components();
        match parts.next()? {
            Component::CurDir => {}
            // what stands there is no link any more
            Component::ParentDir => drop(place.pop()),
            part => place.push(part),
        }
        rest = parts.as_path().to_owned();
        if fs::symlink_metadata(&place).is_ok_and(|about| about.is_symlink()) {
            if is_exposed(plan, &place) {
                return Some(place);
            }
            rest = fs::read_link(&place).unwrap_or_default().join(rest);
            place.pop();
        }
    }
    Some(path.to_owned())
}

/// What is read of a keyring's directory: its directories, and what is in them. Of a file of keys, only itself.
fn read_of(keyring: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = vec![keyring.to_owned()];
    if !keyring.is_dir() {
        return Ok(all);
    }
    for part in fs::read_dir(keyring)? {
        let part = part?.path();
        if part.is_dir() {
            for file in fs::read_dir(&part)? {
                all.push(file?.path());
            }
        }
        all.push(part);
    }
    Ok(all)
}

/// A place below this directory that the agent may write, whatever is there now.
fn writable_below(plan: &Plan, directory: &Path) -> Option<PathBuf> {
    let real = canonical(directory);
    plan.tree.iter().find_map(|step| match step {
        Step::Writable { target, .. } => Some(canonical(target)).filter(|target| target.starts_with(&real)),
        _ => None,
    })
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
    if let Some(demand) = &source.signed {
        let keyring = host.directory.join(&demand.keyring);
        let read = read_of(&keyring).map_err(|_| ExposedError::Named { path: keyring.clone() })?;
        if keyring.is_dir() {
            if let Some(path) = writable_below(plan, &keyring) {
                return Err(ExposedError::Named { path });
            }
            // it is believed from the root that is pinned here
            all.push(host.config.join(PINNED));
        }
        all.extend(read);
    }
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

/// Parts of a path, and of the links on its way, that are followed. A longer one counts as one that can be written.
const MOST_PARTS: usize = 4096;
/// The root that is pinned on this machine, below Claw's configuration.
const PINNED: &str = "root.json";
