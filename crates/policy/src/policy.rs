//! A whole policy: every rule, the file system, the process, and the index that answers requests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use claw_model::digest::Digest;
use jiff::Timestamp;

use crate::ceiling::{Chain, ReadCeiling};
use crate::check::Finding;
use crate::error::PolicyError;
use crate::executables::Exec;
use crate::index::Index;
use crate::later::Protect;
use crate::rule::Rule;

/// A policy that has been checked. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Policy(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) digest: Digest,
    pub(crate) name: Arc<str>,
    pub(crate) agent: Option<String>,
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) profile: Profile,
    pub(crate) rules: Vec<Arc<Rule>>,
    pub(crate) filesystem: Option<Filesystem>,
    /// The lines of the listed write paths, for findings.
    pub(crate) write_lines: Vec<u32>,
    pub(crate) process: Process,
    pub(crate) upstream_ca: Option<PathBuf>,
    /// What it may only narrow, and where that is.
    pub(crate) ceiling: Option<(Policy, PathBuf)>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) bootstrap: Index,
    pub(crate) workload: Index,
    pub(crate) closed: Index,
    /// When rules are past their date, in order.
    pub(crate) expiries: Vec<Timestamp>,
}

/// A preset that the rest of the file may only narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// What the file says and no more.
    #[default]
    Open,
}

/// What is visible inside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filesystem {
    /// Readable trees; `None` means the default set.
    pub read: Option<Vec<PathBuf>>,
    /// Writable trees.
    pub write: Vec<PathBuf>,
    /// Trees whose changes are kept aside until somebody applies them.
    pub review: Vec<PathBuf>,
    /// What never reaches a reviewed tree.
    pub protect: Protect,
    /// The root of the sandbox, if it is not the host's.
    pub root: Option<Root>,
}

/// An image as the root of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// A directory with an OCI image layout.
    pub layout: PathBuf,
    /// The digest of the manifest, or of an index that leads to it.
    pub digest: Digest,
}

/// How the process is held.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Process {
    /// The system call filter.
    pub seccomp: Seccomp,
    /// Which files may be executed.
    pub exec: Exec,
    /// What it may use up.
    pub limits: Limits,
    /// Its environment.
    pub env: Env,
}

/// The system call filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Seccomp {
    /// Claw's own list.
    #[default]
    Standard,
    /// On top of it: nothing is executed, traced or made executable.
    Nano,
    /// On top of it: a profile in a file, as container runtimes have them.
    File(PathBuf),
}

/// What the process may use up; `None` is no limit of ours.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Processor cores.
    pub cpu: Option<f64>,
}

/// The environment inside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Env {
    /// Variables passed from outside.
    pub pass: Vec<String>,
    /// Variables set to a value.
    pub set: BTreeMap<String, String>,
}

impl Policy {
    /// Parses and checks a policy file. `name` is what errors and locations call it.
    ///
    /// One that names a ceiling is refused: it is loaded only together with it, by [`Policy::parse_under`].
    pub fn parse(text: &str, name: &str) -> Result<Policy, PolicyError> {
        crate::load::load(text, name, None)
    }

    /// Parses and checks a policy file, and that it goes beyond none of the ceilings that it names. `file` is where it is,
    /// without links; `read` reads the ceilings.
    pub fn parse_under(
        text: &str,
        name: &str,
        file: &Path,
        read: ReadCeiling<'_>,
    ) -> Result<Policy, PolicyError> {
        crate::load::load(text, name, Some(&Chain { file, below: None, read }))
    }

    /// The policy of no file: nothing leaves.
    pub fn deny_all() -> Policy {
        crate::load::empty("(no policy)")
    }

    /// The same file system, process and environment, and no destination: nothing leaves.
    #[must_use]
    pub fn without_rules(&self) -> Policy {
        let Inner { agent, filesystem, write_lines, process, .. } = &*self.0;
        Policy(Arc::new(Inner {
            digest: self.0.digest,
            name: self.0.name.clone(),
            agent: agent.clone(),
            owner: self.0.owner.clone(),
            profile: self.0.profile,
            rules: Vec::new(),
            filesystem: filesystem.clone(),
            write_lines: write_lines.clone(),
            process: process.clone(),
            upstream_ca: None,
            findings: Vec::new(),
            bootstrap: Index::default(),
            workload: Index::default(),
            closed: Index::default(),
            expiries: Vec::new(),
            ceiling: None,
        }))
    }

    /// The digest of the file's bytes.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The file's name as it was given.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The agent this policy is for.
    pub fn agent(&self) -> Option<&str> {
        self.0.agent.as_deref()
    }

    /// Who answers for the policy.
    pub fn owner(&self) -> Option<&str> {
        self.0.owner.as_deref()
    }

    /// The preset.
    pub fn profile(&self) -> Profile {
        self.0.profile
    }

    /// Every rule of every list, in file order.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.0.rules
    }

    /// What is visible inside; `None` means the default.
    pub fn filesystem(&self) -> Option<&Filesystem> {
        self.0.filesystem.as_ref()
    }

    /// How the process is held.
    pub fn process(&self) -> &Process {
        &self.0.process
    }

    /// A file of certificates that are trusted for every destination instead of the system's.
    pub fn upstream_ca(&self) -> Option<&Path> {
        self.0.upstream_ca.as_deref()
    }

    /// The policy that this one may only narrow.
    pub fn ceiling(&self) -> Option<&Policy> {
        self.0.ceiling.as_ref().map(|(ceiling, _)| ceiling)
    }

    /// The files of its ceiling and of those above, nearest first.
    pub fn ceilings(&self) -> Vec<&Path> {
        let first = self.0.ceiling.as_ref();
        let all = std::iter::successors(first, |(ceiling, _)| ceiling.0.ceiling.as_ref());
        all.map(|(_, path)| path.as_path()).collect()
    }

    /// The first instant after this one at which a rule is past its date.
    pub fn next_expiry(&self, after: Timestamp) -> Option<Timestamp> {
        let at = self.0.expiries.partition_point(|expiry| *expiry <= after);
        self.0.expiries.get(at).copied()
    }

    /// Whether some rule, of any phase, makes the gate end TLS.
    pub fn ends_tls(&self) -> bool {
        self.0.rules.iter().any(|rule| rule.ends_tls())
    }

    /// What a careful reader would remark, as far as it does not depend on the date; see [`crate::lint`].
    pub fn findings(&self) -> &[Finding] {
        &self.0.findings
    }
}
