//! The supervisor's side: starts init in new namespaces and talks to it.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use claw_plan::Checked;
use claw_sys::process::{self, Cloned, Inherit, Namespaces, Processors, Stream};
use claw_sys::socket;

use crate::cgroup::{Cgroup, CgroupError};
use crate::keeper::Keeper;
use crate::network::Door;
use crate::veil::Veil;
use crate::walls::{self, Wall};
use crate::words::{Applied, Failure, Order, Report, hear, say};

/// New namespaces with init in them, which waits for its plan. Made before the policy and the environment are read: init
/// is a copy of this process, and there is nothing in it yet.
#[derive(Debug)]
pub struct Fresh {
    init: Init,
    keeper: Option<Keeper>,
    channel: OwnedFd,
}

/// What is known of init.
#[derive(Debug)]
enum Init {
    /// It is being made.
    Coming(process::Birth),
    /// It is there.
    There(i32),
    /// Somebody else answers for it, or it was not made.
    Gone,
}

impl Fresh {
    /// Makes the namespaces. This process must have no other threads yet.
    pub fn make() -> Result<Fresh, LaunchError> {
        streams()?;
        walls::read();
        let (channel, theirs) =
            socket::pair().map_err(|source| LaunchError::System { step: "make a channel", source })?;
        let (user, group) = process::identity();
        let maps = (format!("{user} {user} 1\n"), format!("{group} {group} 1\n"));
        // order: supplementary groups can only be given up before the new user namespace forbids it; an ordinary user
        // may not, and keeps its own
        let _ = process::drop_groups();
        let processors = Processors::of_this().ok();
        let inherit = if walls::stands(Wall::Descriptors) { Inherit::Nothing } else { Inherit::All };
        match process::clone(
            if walls::stands(Wall::Ipc) { Namespaces::ALL } else { Namespaces::ALL_BUT_IPC },
            (&maps.0, &maps.1),
            theirs.as_fd(),
            inherit,
            processors.and_then(|all| all.others()),
        )
        .map_err(LaunchError::Namespaces)?
        {
            Cloned::Between(channel) => crate::keeper::keep(&channel),
            Cloned::Child => crate::init::init(processors),
            Cloned::Parent(birth) => Ok(Fresh { init: Init::Coming(birth), keeper: None, channel }),
        }
    }

    /// Waits until init is there, and tells its pid.
    fn settle(&mut self) -> Result<i32, LaunchError> {
        if let Init::Coming(birth) = std::mem::replace(&mut self.init, Init::Gone) {
            let (pid, keeper) = birth.settle().map_err(LaunchError::Namespaces)?;
            self.keeper = Some(Keeper::new(keeper));
            self.init = Init::There(pid);
        }
        match self.init {
            Init::There(pid) => Ok(pid),
            _ => Err(LaunchError::Silent(io::ErrorKind::NotFound.into())),
        }
    }
}

/// The standard streams are the only descriptors that the agent inherits. One that is a socket or a directory reaches
/// the host's network or files whatever the namespaces hold; a service can hand over descriptors of the host's (unix(7)).
fn streams() -> Result<(), LaunchError> {
    for (number, name) in [(0, "input"), (1, "output"), (2, "error")] {
        let what = match process::stream(number) {
            // systemd connects a service's output to its journal, and shuts the way back
            Stream::Plain | Stream::Pair | Stream::Outlet => continue,
            Stream::Service => "a socket that leads to a service with a name",
            Stream::Socket => "a socket that can be connected elsewhere",
            Stream::Directory => "a directory",
            Stream::Other => "a device or not open",
        };
        return Err(LaunchError::Stream { name, what });
    }
    Ok(())
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Ok(pid) = self.settle() {
            let _ = claw_sys::signal::send(pid, libc::SIGKILL);
            let _ = process::wait(pid, process::Wait::Block);
        }
    }
}

/// A sandbox that is being built or runs. Dropping it ends the channel, and init ends with it.
#[derive(Debug)]
pub struct Sandbox {
    pid: i32,
    channel: OwnedFd,
    keeper: Option<Keeper>,
    limits: Vec<(String, String)>,
    // dropped last: a group can only be removed when it is empty
    _cgroup: Option<Cgroup>,
}

/// Why a sandbox does not stand. Nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A system call of the supervisor failed.
    #[error("cannot {step}")]
    System {
        /// What was being done.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A standard stream would be a way out.
    #[error("standard {name} is {what}: the agent could use it around the sandbox")]
    Stream {
        /// Which stream.
        name: &'static str,
        /// What it is.
        what: &'static str,
    },
    /// Namespaces are not to be had.
    #[error("cannot make a user namespace with namespaces in it")]
    Namespaces(#[source] io::Error),
    /// Init reported what failed.
    #[error(transparent)]
    Init(Failure),
    /// Limits cannot be held.
    #[error(transparent)]
    Limits(#[from] CgroupError),
    /// Init ended without a word.
    #[error("the sandbox ended while it was being built")]
    Silent(#[source] io::Error),
}

impl LaunchError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            LaunchError::Namespaces(_) => Some(
                "unprivileged user namespaces must be allowed: user.max_user_namespaces > 0, and where they exist kernel.unprivileged_userns_clone = 1 and kernel.apparmor_restrict_unprivileged_userns = 0; `claw doctor` tells which"
                    .to_owned(),
            ),
            LaunchError::Stream { .. } => Some(
                "put a pipe between: `… | claw run -- COMMAND | cat`, or use /dev/null".to_owned(),
            ),
            LaunchError::Init(failure) => failure.hint.clone(),
            LaunchError::Limits(error) => Some(error.hint().to_owned()),
            LaunchError::System { .. } => None,
            LaunchError::Silent(_) => Some("`claw doctor` tells what this kernel lacks".to_owned()),
        }
    }
}

impl Sandbox {
    /// Gives init its plan, inside a control group if the plan has limits.
    pub fn launch(mut fresh: Fresh, plan: &Checked, name: &str) -> Result<Sandbox, LaunchError> {
        let plan = plan.plan();
        for (number, name) in [(0, "input"), (1, "output"), (2, "error")] {
            if !process::is_file(number) {
                continue;
            }
            let read_only = process::is_read_only(number);
            // of standard input that is only read, init makes a view that cannot be changed or executed
            if plan.listed && !(number == 0 && read_only) {
                let what = "a file, which under `exec: listed` could be executed or mapped as code";
                return Err(LaunchError::Stream { name, what });
            }
            if number != 0 && read_only {
                return Err(LaunchError::Stream { name, what: "a file that is open for reading alone" });
            }
        }
        let system = |step| move |source| LaunchError::System { step, source };
        let cgroup = if plan.limits.is_none() || !walls::stands(Wall::Limits) {
            None
        } else {
            Some(Cgroup::make(name, &plan.limits)?)
        };
        let limits = cgroup.as_ref().map(Cgroup::read_back).unwrap_or_default();
        let file = if walls::stands(Wall::Environment) {
            written(plan)
        } else {
            let mut plan = plan.clone();
            plan.environment.extend(std::env::vars());
            written(&plan)
        };
        let file = file.map_err(system("write the plan"))?;
        let pid = fresh.settle()?;
        if let Some(cgroup) = &cgroup {
            // order: before the plan: init makes its cgroup namespace when it has it, with the group as its root
            cgroup.admit(pid).map_err(system("put the sandbox into its control group"))?;
        }
        say(fresh.channel.as_fd(), &Order::Plan, &[file.as_fd()]).map_err(LaunchError::Silent)?;
        if process::identity().0 == 0 {
            // order: while init makes the tree
            let veil = Veil::of(Path::new("/proc")).unwrap_or_else(|_| Veil::unknown());
            let file = written(&veil).map_err(system("write what of /proc is to be covered"))?;
            say(fresh.channel.as_fd(), &Order::Veil, &[file.as_fd()]).map_err(LaunchError::Silent)?;
        }
        let channel = fresh.channel.try_clone().map_err(system("keep the channel"))?;
        // from here on the sandbox answers for init
        fresh.init = Init::Gone;
        Ok(Sandbox { pid, channel, keeper: fresh.keeper.take(), limits, _cgroup: cgroup })
    }

    /// Gives a file to the process that has it written to the disk when this one is gone, whichever way.
    pub fn keep(&self, file: BorrowedFd<'_>) {
        // what goes wrong is seen at the end: see `is_kept`
        let _ = self.keeper.as_ref().map(|keeper| keeper.give(file));
    }

    /// Whether that process will do it; asked once, at the end. `false`: this one must wait for the disk itself. So it is where
    /// this is the first process of its namespace, with which all others end.
    pub fn is_kept(&self) -> bool {
        std::process::id() != 1 && self.keeper.as_ref().is_some_and(Keeper::holds)
    }

    /// Waits for the sockets of the gate. Also returns the summary of the rules that the kernel lists.
    pub fn door(&self, plan: &Checked) -> Result<(Door, String), LaunchError> {
        let ready = process::poll(&[self.channel.as_fd()], 30_000).map_err(LaunchError::Silent)?;
        if ready != [true] {
            return Err(LaunchError::Silent(io::ErrorKind::TimedOut.into()));
        }
        Door::receive(self.channel.as_fd(), &plan.plan().network)
            .map_err(LaunchError::Silent)?
            .map_err(LaunchError::Init)
    }

    /// Takes init's next report from the channel, and the descriptors that came with it.
    pub fn report(&self) -> io::Result<(Report, Vec<OwnedFd>)> {
        hear(self.channel.as_fd())
    }

    /// Lets the agent go. The receipt is the proof that the sandbox stands.
    pub fn release(&self, _receipt: &Applied) -> io::Result<()> {
        say(self.channel.as_fd(), &Order::Go, &[])
    }

    /// Passes a signal on to the agent.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        say(self.channel.as_fd(), &Order::Signal(number), &[])
    }

    /// The channel, to wait on.
    pub fn channel(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    /// Init's pid, as seen outside.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The limits that the kernel holds, read back.
    pub fn limits(&self) -> &[(String, String)] {
        &self.limits
    }

    /// Waits until init is gone, and with it everything inside. It is told that no more orders come.
    pub fn wait(&self) -> io::Result<()> {
        let _ = socket::finish(self.channel.as_fd());
        process::wait(self.pid, process::Wait::Block).map(|_| ())
    }

    /// Ends everything inside, now.
    pub fn kill(&self) {
        let _ = claw_sys::signal::send(self.pid, libc::SIGKILL);
        let _ = self.wait();
    }
}

/// In a file, since it may be longer than a message.
fn written(what: &impl serde::Serialize) -> io::Result<OwnedFd> {
    let mut file = File::from(process::memory_file(c"claw-plan")?);
    file.write_all(&serde_json::to_vec(what).map_err(io::Error::other)?)?;
    file.rewind()?;
    Ok(file.into())
}
