//! Limits held by a control group (cgroups(7)): version 2 where a group can be made, else version 1.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use claw_plan::Limits;
use claw_sys::process::{self, Fork};

/// Control groups made for one run; removed when it is over.
#[derive(Debug)]
pub struct Cgroup {
    directories: Vec<PathBuf>,
    /// The other end tells a process of its own that this one is gone, however it went.
    sweeper: Option<OwnedFd>,
}

/// Why limits cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// Neither version can hold them for this user.
    #[error("cannot hold the limits of the policy ({wanted}): {why}")]
    CannotHold {
        /// Which limits.
        wanted: String,
        /// What was tried.
        why: String,
    },
}

impl CgroupError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "run in a delegated cgroup (for example `systemd-run --user --scope -p Delegate=yes claw run …`), as root, or remove `process.limits`"
    }
}

impl Cgroup {
    /// Makes groups that hold these limits.
    pub fn make(name: &str, limits: &Limits) -> Result<Cgroup, CgroupError> {
        let second = version2(name, limits);
        let first = |why: String| version1(name, limits).map_err(|other| format!("v2: {why}; v1: {other}"));
        let made = second.or_else(|error| first(error.to_string())).and_then(|mut group| {
            group.sweeper = Some(sweeper(&group.directories).map_err(|error| error.to_string())?);
            Ok(group)
        });
        made.map_err(|why| CgroupError::CannotHold {
            wanted: wanted(limits).iter().map(|file| file.controller).collect::<Vec<_>>().join(", "),
            why,
        })
    }

    /// Puts a process into the groups.
    pub fn admit(&self, pid: i32) -> io::Result<()> {
        for directory in &self.directories {
            fs::write(directory.join("cgroup.procs"), pid.to_string())?;
        }
        Ok(())
    }

    /// What the kernel says of the limits: file name and content, read back.
    pub fn read_back(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for directory in &self.directories {
            for file in READ_BACK {
                if let Ok(text) = fs::read_to_string(directory.join(file)) {
                    found.push((file.to_owned(), text.trim().to_owned()));
                }
            }
        }
        found
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if self.sweeper.is_none() {
            remove(&self.directories);
        }
    }
}

/// A process that removes the groups when this one is gone, which by then has no capability left to do it, or was killed. It
/// reads nothing but that end. This process must have no other threads.
fn sweeper(directories: &[PathBuf]) -> io::Result<OwnedFd> {
    let (own, theirs) = UnixStream::pair()?;
    match process::fork()? {
        Fork::Parent(_) => Ok(own.into()),
        Fork::Child => {
            // order: its copy of the end that it waits for must not keep itself waiting
            drop(own);
            if process::close_all_but(&[theirs.as_raw_fd()]).is_ok() && process::hide().is_ok() {
                let _ = (&theirs).read(&mut [0]);
                remove(directories);
            }
            process::exit_now(0)
        }
    }
}

/// The kernel needs a moment after the last process; a group that stays behind is empty and harmless.
fn remove(directories: &[PathBuf]) {
    for directory in directories {
        for _ in 0..500 {
            match fs::remove_dir(directory) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                _ => break,
            }
        }
    }
}

/// One file to write.
struct File {
    controller: &'static str,
    second: (&'static str, String),
    first: Vec<(&'static str, String)>,
}

fn wanted(limits: &Limits) -> Vec<File> {
    const PERIOD: u32 = 100_000;
    let mut files = Vec::new();
    if let Some(bytes) = limits.memory {
        let first = vec![("memory.limit_in_bytes", bytes.to_string())];
        files.push(File { controller: "memory", second: ("memory.max", bytes.to_string()), first });
    }
    if let Some(count) = limits.pids {
        let first = vec![("pids.max", count.to_string())];
        files.push(File { controller: "pids", second: ("pids.max", count.to_string()), first });
    }
    if let Some(cores) = limits.cpu {
        let quota = format!("{:.0}", (cores * f64::from(PERIOD)).max(1000.0));
        let first = vec![("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", quota.clone())];
        files.push(File { controller: "cpu", second: ("cpu.max", format!("{quota} {PERIOD}")), first });
    }
    files
}

/// A group below the one this process is in, with its controllers handed down.
fn version2(name: &str, limits: &Limits) -> io::Result<Cgroup> {
    let root = mount_of("cgroup2", None)?;
    let own = own_group("")?;
    let parent = root.join(own.trim_start_matches('/'));
    let controllers = fs::read_to_string(parent.join("cgroup.controllers"))?;
    let files = wanted(limits);
    for file in &files {
        if !controllers.split_whitespace().any(|found| found == file.controller) {
            return Err(io::Error::other(format!("controller `{}` is not delegated here", file.controller)));
        }
        // processes may not live beside controlled groups: "no internal processes" (cgroups(7)); the root is exempt
        fs::write(parent.join("cgroup.subtree_control"), format!("+{}", file.controller))?;
    }
    let group = Cgroup { directories: vec![parent.join(name)], sweeper: None };
    fs::create_dir(parent.join(name))?;
    for file in &files {
        fs::write(parent.join(name).join(file.second.0), &file.second.1)?;
    }
    // best effort: no swap beside the memory limit
    let _ = fs::write(parent.join(name).join("memory.swap.max"), "0");
    Ok(group)
}

/// A group in each hierarchy of version 1.
fn version1(name: &str, limits: &Limits) -> io::Result<Cgroup> {
    let mut group = Cgroup { directories: Vec::new(), sweeper: None };
    for file in wanted(limits) {
        let root = mount_of("cgroup", Some(file.controller))?;
        let own = own_group(file.controller)?;
        let directory = root.join(own.trim_start_matches('/')).join(name);
        fs::create_dir(&directory)?;
        group.directories.push(directory.clone());
        for (setting, value) in &file.first {
            fs::write(directory.join(setting), value)?;
        }
        // best effort, as above: memory and swap together; and nothing is swapped out. Either may not be there.
        if let Some(bytes) = limits.memory.filter(|_| file.controller == "memory") {
            let _ = fs::write(directory.join("memory.memsw.limit_in_bytes"), bytes.to_string());
            let _ = fs::write(directory.join("memory.swappiness"), "0");
        }
    }
    Ok(group)
}

/// Where a hierarchy is mounted (proc_pid_mountinfo(5)).
fn mount_of(kind: &str, controller: Option<&str>) -> io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    for line in mounts.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let mut after = after.split(' ');
        let (found, options) = (after.next().unwrap_or_default(), after.nth(1).unwrap_or_default());
        let controlled = controller.is_none_or(|wanted| options.split(',').any(|option| option == wanted));
        if found == kind && controlled {
            return before
                .split(' ')
                .nth(4)
                .map(PathBuf::from)
                .ok_or_else(|| io::Error::other("unreadable mount"));
        }
    }
    Err(io::Error::other(match controller {
        Some(controller) => format!("no {kind} hierarchy with `{controller}` is mounted"),
        None => format!("no {kind} hierarchy is mounted"),
    }))
}

/// The group of this process in a hierarchy (cgroups(7), /proc/pid/cgroup); version 2 has no controller name.
fn own_group(controller: &str) -> io::Result<String> {
    let groups = fs::read_to_string(Path::new("/proc/self/cgroup"))?;
    groups
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            Some((parts.nth(1)?, parts.next()?))
        })
        .find(|(controllers, _)| controllers.split(',').any(|found| found == controller))
        .map(|(_, path)| path.to_owned())
        .ok_or_else(|| io::Error::other("this process is in no group of that hierarchy"))
}

/// What tells what a group holds, in both versions.
const READ_BACK: [&str; 8] = [
    "memory.max",
    "memory.swap.max",
    "pids.max",
    "cpu.max",
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.swappiness",
    "cpu.cfs_quota_us",
];
