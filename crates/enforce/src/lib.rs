//! Performs a plan inside new namespaces, reads the kernel back, and returns what it really holds.
//!
//! [`Fresh::make`] makes the namespaces with init in them; [`Sandbox::launch`] gives init its plan. Init makes network,
//! file tree, confinement and canary, and then is PID 1. The two talk over one socket, in the words of [`Report`] and
//! [`Order`]. What fails on the way is told with its step, and then nothing runs.

mod canary;
mod cgroup;
mod confine;
mod init;
mod launch;
mod network;
mod seccomp;
mod tree;
mod walls;
mod words;

pub use canary::{PROBES, probe_number};
pub use cgroup::{Cgroup, CgroupError};
pub use launch::{Fresh, LaunchError, Sandbox};
pub use network::{Door, Steering};
pub use walls::all_stand;
pub use words::{Applied, Ending, Failure, Order, Others, Report};

/// Puts the supervisor's own system call filter on this process: it executes nothing and opens nothing for writing from
/// then on. With `broker` it may take copies of the agent's descriptors. Needs `no_new_privs`.
pub fn confine_supervisor(broker: bool) -> std::io::Result<()> {
    seccomp::supervisor(broker).map_err(std::io::Error::other)?.install()
}
