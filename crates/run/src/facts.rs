//! Reads the host: what the planner must know of it, as values.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use claw_plan::{Facts, Identity, Node, wanted};
use claw_sys::{mount, process};

use crate::changes::HOME;
use crate::{Job, PlanError};

/// Where things are for this user; read from the environment by the command line, once.
#[derive(Debug, Clone)]
pub struct Host {
    /// The working directory.
    pub directory: PathBuf,
    /// The user's home.
    pub home: PathBuf,
    /// `$XDG_STATE_HOME/claw`: ledgers.
    pub state: PathBuf,
    /// `$XDG_CONFIG_HOME/claw`: trust decisions.
    pub config: PathBuf,
    /// The environment, as far as it is text.
    pub environment: BTreeMap<String, String>,
}

impl Host {
    /// The facts that a plan for this job needs.
    pub fn facts(&self, job: &Job) -> Result<Facts, PlanError> {
        let (user, group) = process::identity();
        let real = |path: &Path| canonical(&self.directory.join(path));
        let mut facts = Facts {
            identity: Some(Identity { user, group }),
            directory: real(&self.directory),
            home: real(&self.home),
            state: vec![real(&self.state), real(&self.config)],
            policy: job.source.as_ref().map(|source| real(&source.file)),
            ledger: job.ledger.as_deref().map(real),
            environment: self.environment.clone(),
            changes: real(&self.state).join(HOME).join(job.name.as_deref().unwrap_or("RUN")),
            root: None,
            nodes: BTreeMap::new(),
            resolved: BTreeMap::new(),
            mounts: mount::points()
                .map_err(|source| PlanError::Host { what: "/proc/self/mountinfo".to_owned(), source })?,
        };
        for path in wanted(&job.policy, &facts) {
            let found = node(&path);
            if found != Node::Absent && !is_system(&found) {
                let real = canonical(&path);
                if real != path {
                    facts.nodes.insert(real.clone(), node(&real));
                    facts.resolved.insert(path.clone(), real);
                }
            }
            facts.nodes.insert(path, found);
        }
        Ok(facts)
    }
}

/// Where a path really is. Of one that does not exist yet, the part that does decides.
pub(crate) fn canonical(path: &Path) -> PathBuf {
    let mut rest = PathBuf::new();
    for above in path.ancestors() {
        if let Ok(real) = fs::canonicalize(above) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
        let Some(name) = above.file_name() else { break };
        rest = if rest.as_os_str().is_empty() { PathBuf::from(name) } else { Path::new(name).join(rest) };
    }
    path.to_owned()
}

/// `/bin -> usr/bin` and the like: a link at the root into a system directory, which is shown anyway.
fn is_system(node: &Node) -> bool {
    matches!(node, Node::Link(text) if text.starts_with("usr"))
}

/// What stands at a path, without following a last link.
fn node(path: &Path) -> Node {
    let Ok(found) = fs::symlink_metadata(path) else { return Node::Absent };
    if found.is_dir() {
        Node::Directory
    } else if found.is_file() {
        Node::File
    } else if found.is_symlink() {
        fs::read_link(path).map_or(Node::Absent, Node::Link)
    } else {
        Node::Special
    }
}
