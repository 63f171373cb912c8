//! Policy and host facts to an ordered [`Plan`] of what the kernel must hold. Nothing is performed here.
//!
//! [`build`] makes the plan, [`check`] judges it, and only a [`Checked`] plan can be performed. A plan is plain data:
//! `claw run --dry-run` prints it, and the process that performs it receives exactly these bytes.

mod build;
mod check;
mod facts;
mod network;
mod packages;
mod tree;

pub use build::{BuildError, Inputs, Trust, build, certificates, named, shown, wanted};
pub use check::{Checked, Fault, check};
pub use facts::{Facts, Node, RootTree};
pub use network::{Network, Opening, apart, openings};
pub use tree::{CONFIGURATION, CREDENTIALS, Listing, SYSTEM, Step};

use std::path::PathBuf;

use claw_policy::seccomp::CallProfile;
use serde::{Deserialize, Serialize};

/// What the kernel must hold before an agent runs, in the order in which it is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The user and group the agent has inside and outside: the one who started it.
    pub identity: Identity,
    /// Namespaces, by the names of namespaces(7).
    pub namespaces: Vec<String>,
    /// The host name inside.
    pub host_name: String,
    /// Addresses, routes, rules and sockets of the network namespace.
    pub network: Network,
    /// The file tree, step by step.
    pub tree: Vec<Step>,
    /// What Landlock grants on top of the mounts: nothing else can be opened.
    pub landlock: Vec<Grant>,
    /// The name of the seccomp profile.
    pub seccomp: String,
    /// What it refuses beyond `standard`.
    pub calls: Option<CallProfile>,
    /// Whether only the files of [`Step::Listed`] may be executed or mapped as code.
    pub listed: bool,
    /// Whether connections may be handed over: the agent's connect(2) waits for the gate.
    pub broker: bool,
    /// Limits held by a control group.
    pub limits: Limits,
    /// The working directory inside.
    pub directory: PathBuf,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// Program and arguments; the program is looked up inside.
    pub command: Vec<String>,
    /// What the reader of the plan should know.
    pub notes: Vec<String>,
}

/// User and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
}

/// One path and what may be done at and below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The path inside.
    pub path: PathBuf,
    /// What may be done.
    pub access: Access,
}

/// What may be done at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Read and execute.
    Read,
    /// Everything but making devices.
    Write,
    /// Read and write what is there: devices and terminals.
    Device,
}

/// Limits held by a control group; `None` means that the policy asks for none.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Processors, as a fraction.
    pub cpu: Option<f64>,
}

impl Limits {
    /// Whether the policy asks for none.
    pub fn is_none(&self) -> bool {
        self.memory.is_none() && self.pids.is_none() && self.cpu.is_none()
    }
}
