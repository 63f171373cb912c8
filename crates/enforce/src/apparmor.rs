//! AppArmor: the agent's process goes into the profile `claw-agent`, where the kernel has AppArmor and the profile is loaded.
//!
//! It is one more wall around what the others hold already, by a mechanism that shares nothing with them. Where it is missing
//! that is said and nothing is refused; where it is loaded and cannot be entered, nothing runs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use claw_sys::process::{self, Fork, Wait};
use claw_sys::socket;

use crate::words::{Failure, hear, say};

/// The agent's profile (`packaging/apparmor/claw-agent`).
pub const PROFILE: &str = "claw-agent";

/// The host's `/proc`, through which a process changes its own profile (`/proc/PID/attr/apparmor/current`, Linux 5.8).
#[derive(Debug)]
pub(crate) struct AppArmor(Option<File>);

impl AppArmor {
    /// Keeps the host's `/proc` for later, if there is one.
    pub(crate) fn open() -> AppArmor {
        AppArmor(File::open("/proc").ok())
    }

    /// Puts this process into the agent's profile and reads that back. Returns what the kernel says, or why there is no profile.
    pub(crate) fn enter(&self) -> Result<String, Failure> {
        let step = || format!("enter the AppArmor profile `{PROFILE}`");
        let Some(own) = self.own() else { return Ok(ABSENT.to_owned()) };
        if confinement(&own).is_none() {
            return Ok(ABSENT.to_owned());
        }
        match change(&own) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(NOT_LOADED.to_owned()),
            Err(error) => {
                let hint = "the profile that Claw itself runs under must permit it: `change_profile -> claw-agent,`, and no_new_privs must not be set before Claw starts";
                return Err(Failure::new(step(), error).hint(hint));
            }
        }
        let now = confinement(&own).ok_or_else(|| Failure::new(step(), "the kernel does not tell"))?;
        if profile(&now) != PROFILE {
            return Err(Failure::new(step(), format!("the kernel says `{now}`")));
        }
        Ok(now)
    }

    fn own(&self) -> Option<PathBuf> {
        let processes = self.0.as_ref()?;
        Some(PathBuf::from(format!("/proc/self/fd/{}/self/attr/apparmor", processes.as_raw_fd())))
    }
}

/// What AppArmor says of this process: `unconfined`, or a profile and its mode. `None`: it is not in this kernel.
pub fn own() -> Option<String> {
    confinement(Path::new("/proc/self/attr/apparmor"))
}

/// Enters the agent's profile in a child that ends at once, to see whether it could. Returns what an agent would have.
pub fn try_profile() -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::new("try the AppArmor profile", error);
    let (ours, theirs) = socket::pair().map_err(failed)?;
    match process::fork().map_err(failed)? {
        Fork::Child => {
            let _ = say(theirs.as_fd(), &AppArmor::open().enter(), &[]);
            process::exit_now(0)
        }
        Fork::Parent(pid) => {
            drop(theirs);
            let heard = hear::<Result<String, Failure>>(ours.as_fd()).map(|(answer, _)| answer);
            process::wait(pid, Wait::Block).map_err(failed)?;
            heard.map_err(failed)?
        }
    }
}

fn confinement(attributes: &Path) -> Option<String> {
    fs::read_to_string(attributes.join("current")).ok().map(|text| text.trim().to_owned())
}

/// One write is one order.
fn change(attributes: &Path) -> io::Result<()> {
    let mut file = File::options().write(true).open(attributes.join("current"))?;
    file.write_all(format!("changeprofile {PROFILE}").as_bytes())
}

/// The name without its mode: `claw-agent (enforce)`.
fn profile(confinement: &str) -> &str {
    confinement.split_once(" (").map_or(confinement, |(name, _)| name)
}

/// What is said where the kernel has no AppArmor.
pub const ABSENT: &str = "not in this kernel";
/// What is said where it has, but knows no such profile.
pub const NOT_LOADED: &str = "profile `claw-agent` is not loaded";
