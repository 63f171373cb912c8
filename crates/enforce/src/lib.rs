//! Performs a plan inside new namespaces, reads the kernel back, and returns what it really holds.
//!
//! [`Fresh::make`] makes the namespaces with init in them; [`Sandbox::launch`] gives init its plan. Init makes network,
//! file tree, confinement and canary, and then is PID 1. The two talk over one socket, in the words of [`Report`] and
//! [`Order`]. What fails on the way is told with its step, and then nothing runs.

pub mod apparmor;
mod calls;
mod canary;
mod cgroup;
mod confine;
pub mod firewall;
mod init;
mod keeper;
mod launch;
mod local;
mod network;
mod seccomp;
mod tree;
mod veil;
mod walls;
mod words;

pub use calls::{Asked, Calls, Connecting};
pub use canary::{PROBES, SETTING, WRITES, probe_number};
pub use cgroup::{Cgroup, CgroupError};
pub use launch::{Fresh, LaunchError, Sandbox};
pub use network::{CALMED, Door, Steering};
pub use seccomp::{Answers, Gated};
pub use walls::{Wall, all_stand, stands};
pub use words::{Applied, Ending, Failure, Order, Others, Report};

/// What the supervisor still has to do once the sandbox stands.
#[derive(Debug, Clone, Copy)]
pub enum Duty {
    /// It relays, answers and writes down: its filter lists what that needs.
    Relay(Gated),
    /// It reads files that the run was given, and nothing else: no network, nothing written or executed.
    Read,
    /// It waits for the supervisor's end, and then for the disk.
    Keep,
}

/// Puts the supervisor's own system call filter on this process: in no case does it execute anything or open anything for
/// writing from then on. Needs `no_new_privs`.
pub fn confine_supervisor(duty: Duty) -> std::io::Result<()> {
    SupervisorFilter::of(duty)?.install()
}

/// That filter, compiled while there is time.
#[derive(Debug)]
pub struct SupervisorFilter(Option<seccomp::Program>);

impl SupervisorFilter {
    /// Compiles it.
    pub fn of(duty: Duty) -> std::io::Result<SupervisorFilter> {
        if !walls::stands(walls::Wall::Gate) {
            return Ok(SupervisorFilter(None));
        }
        let program = match duty {
            Duty::Relay(gated) => seccomp::gate(&gated).compile(),
            Duty::Read => seccomp::reader(),
            Duty::Keep => seccomp::keeper().compile(),
        };
        program.map(|program| SupervisorFilter(Some(program))).map_err(std::io::Error::other)
    }

    /// Puts it on.
    pub fn install(&self) -> std::io::Result<()> {
        self.0.as_ref().map_or(Ok(()), seccomp::Program::install)
    }
}
