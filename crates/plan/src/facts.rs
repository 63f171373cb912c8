//! What the planner must know of the host. Gathered at the edge, passed in as values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Identity;

/// What the host looked like when the plan was made.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Who starts the agent.
    pub identity: Option<Identity>,
    /// Where it was started.
    pub directory: PathBuf,
    /// The user's home on the host.
    pub home: PathBuf,
    /// Where Claw keeps ledgers and trust decisions.
    pub state: Vec<PathBuf>,
    /// The policy file, resolved.
    pub policy: Option<PathBuf>,
    /// The ledger file, resolved.
    pub ledger: Option<PathBuf>,
    /// The environment of the caller, as far as it is text.
    pub environment: BTreeMap<String, String>,
    /// What stands at the paths that [`crate::wanted`] asked for.
    pub nodes: BTreeMap<PathBuf, Node>,
    /// Where the paths that [`crate::wanted`] asked for really are, if that is elsewhere: something above them, or they
    /// themselves, is a symbolic link.
    pub resolved: BTreeMap<PathBuf, PathBuf>,
    /// Where what the agent writes to reviewed trees is kept, for this run.
    pub changes: PathBuf,
    /// The tree that is the root of the sandbox, if the policy names an image.
    pub root: Option<RootTree>,
    /// Every mount point of the host, to show trees with what is mounted below them.
    pub mounts: Vec<PathBuf>,
}

/// The tree of an image, unpacked and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootTree {
    /// Where it is on the host.
    pub tree: PathBuf,
    /// The search path that the image sets.
    pub search: Option<String>,
    /// It has a user database of its own.
    pub users: bool,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link: its text.
    Link(PathBuf),
    /// A socket, a pipe or a device: never shown.
    Special,
    /// Nothing, or nothing that this user may see.
    Absent,
}

impl Facts {
    /// What stands at the path; unasked paths count as absent.
    pub fn node(&self, path: &Path) -> &Node {
        self.nodes.get(path).unwrap_or(&Node::Absent)
    }
}
