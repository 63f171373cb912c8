//! Running programs, and those in Claw's sandboxes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use claw_host::Read;
use claw_host::facts::{Agent, Process, Program};
use claw_host::mounts::{at, mounts};
use claw_sys::process;

use super::root::{Root, node};

/// A process as `/proc` describes it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// What the checks are told.
    pub(super) process: Process,
    parent: u32,
    capabilities: u64,
    no_new_privileges: bool,
    seccomp: u8,
}

/// Every process that is shown.
pub(super) fn all(root: &Root) -> Read<Vec<Seen>> {
    if matches!(root.node(Path::new("/proc/sys")), Read::Absent | Read::Unknown(_)) {
        return Read::Unknown("there is no /proc to read".to_owned());
    }
    if hidden(root) {
        return Read::Unknown("/proc hides the processes of others (hidepid)".to_owned());
    }
    let all = root.names(Path::new("/proc")).map(|names| {
        let numbers = names.iter().filter_map(|name| name.parse().ok());
        numbers.filter_map(|pid| seen(root, pid)).collect::<Vec<_>>()
    });
    match all {
        Read::Known(all) if all.is_empty() => Read::Unknown("/proc shows no process".to_owned()),
        all => all,
    }
}

/// Whether others' processes are kept from this reader: then nobody else's can be seen, the first one among them.
fn hidden(root: &Root) -> bool {
    let place = if root.is_live() { "/proc/thread-self/mountinfo" } else { "/proc/self/mountinfo" };
    let text = root.text(Path::new(place));
    let all = mounts(text.known().map_or("", String::as_str));
    let asked =
        at(&all, "/proc").is_some_and(|proc| proc.options.iter().any(|one| one.starts_with("hidepid=")));
    (root.is_live() || asked) && root.text(Path::new("/proc/1/status")).known().is_none()
}

/// The file that a process executes.
fn program(root: &Root, pid: u32) -> Read<Program> {
    let path = format!("/proc/{pid}/exe");
    let node = match root.is_live() {
        // the link's text is a path in the process's own tree; what is behind it is told here
        true => match std::fs::metadata(&path) {
            Ok(metadata) => Read::Known(node(&metadata)),
            Err(error) => root.why(Path::new(&path), &error),
        },
        false => root.node(Path::new(&path)),
    };
    match (root.link(Path::new(&path)), node) {
        (Read::Known(path), Read::Known(node)) => {
            // the file was replaced since, and is still what runs
            let path = path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned();
            Read::Known(Program { path, node })
        }
        (Read::Unknown(why), _) | (_, Read::Unknown(why)) => Read::Unknown(why),
        _ => Read::Absent,
    }
}

fn seen(root: &Root, pid: u32) -> Option<Seen> {
    let Read::Known(text) = root.text(Path::new(&format!("/proc/{pid}/status"))) else { return None };
    let fields: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key, value.trim()))
        .collect();
    let number = |key: &str| fields.get(key)?.split_whitespace().next()?.parse::<u32>().ok();
    let name = (*fields.get("Name")?).to_owned();
    let arguments = match name.as_str() {
        "sshd" => root
            .text(Path::new(&format!("/proc/{pid}/cmdline")))
            .map(|text| text.split('\0').filter(|word| !word.is_empty()).map(str::to_owned).collect()),
        _ => Read::Absent,
    };
    Some(Seen {
        process: Process {
            pid,
            name,
            user: number("Uid")?,
            arguments: arguments.known().cloned().unwrap_or_default(),
            program: program(root, pid),
        },
        parent: number("PPid")?,
        capabilities: u64::from_str_radix(fields.get("CapEff")?, 16).ok()?,
        no_new_privileges: number("NoNewPrivs") == Some(1),
        seccomp: number("Seccomp").and_then(|mode| mode.try_into().ok()).unwrap_or_default(),
    })
}

/// What runs in a sandbox: the processes below one that is called `claw-init` and was started by claw. Who only calls itself so
/// is told apart by the program that its parent executes; of whom it cannot be said is told too.
pub(super) fn agents(
    root: &Root,
    processes: &Read<Vec<Seen>>,
    claw: &Path,
) -> (Read<Vec<Agent>>, Vec<String>) {
    let all = match processes {
        Read::Known(all) => all,
        Read::Absent => return (Read::Absent, Vec::new()),
        Read::Unknown(why) => return (Read::Unknown(why.clone()), Vec::new()),
    };
    let by_number: BTreeMap<u32, &Seen> = all.iter().map(|one| (one.process.pid, one)).collect();
    let (mut keepers, mut strangers) = (BTreeSet::new(), Vec::new());
    for one in all.iter().filter(|one| one.process.name == "claw-init") {
        let claws = by_number.get(&one.parent).filter(|parent| parent.process.name == "claw");
        match claws.map(|parent| keeps(&parent.process, claw)) {
            Some(Ok(())) => {
                keepers.insert(one.process.pid);
            }
            Some(Err(why)) => strangers.push(why),
            None => {}
        }
    }
    let inside = |one: &&Seen| {
        let mut above = one.parent;
        // a chain is no longer than there are processes
        for _ in 0..all.len() {
            match by_number.get(&above) {
                Some(parent) if keepers.contains(&parent.process.pid) => return true,
                Some(parent) => above = parent.parent,
                None => return false,
            }
        }
        false
    };
    (Read::Known(all.iter().filter(inside).map(|one| agent(root, one)).collect()), strangers)
}

/// Whether a process that is called `claw` is claw; else why that cannot be said.
fn keeps(one: &Process, claw: &Path) -> Result<(), String> {
    let (pid, user) = (one.pid, one.user);
    match &one.program {
        Read::Known(program) if Path::new(&program.path) == claw => Ok(()),
        Read::Known(program) if program.name() == "claw" && !program.node.foreign() => Ok(()),
        Read::Known(program) => Err(format!(
            "process {pid} of user {user} is called claw and executes {}, which is neither this claw nor root's",
            program.path
        )),
        // claw hides itself from its own user; who would be fooled is who reads
        Read::Unknown(_) if user == process::identity().0 => Ok(()),
        Read::Unknown(why) => {
            Err(format!("process {pid} of user {user} is called claw; whether it is: {why}"))
        }
        Read::Absent => Err(format!("process {pid} of user {user} is called claw and executes no file")),
    }
}

fn agent(root: &Root, one: &Seen) -> Agent {
    let pid = one.process.pid;
    Agent {
        pid,
        name: one.process.name.clone(),
        capabilities: one.capabilities,
        no_new_privileges: one.no_new_privileges,
        seccomp: one.seccomp,
        shared: shared(root, pid),
        mounts: root.text(Path::new(&format!("/proc/{pid}/mountinfo"))),
    }
}

/// The namespaces that a process shares with this one: what is here is the host.
fn shared(root: &Root, pid: u32) -> Read<BTreeSet<String>> {
    let mut shared = BTreeSet::new();
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        let own = root.link(Path::new(&format!("/proc/self/ns/{kind}")));
        match (root.link(Path::new(&format!("/proc/{pid}/ns/{kind}"))), own) {
            (Read::Known(other), Read::Known(own)) if other == own => {
                shared.insert(kind.to_owned());
            }
            (Read::Unknown(why), _) | (_, Read::Unknown(why)) => return Read::Unknown(why),
            _ => {}
        }
    }
    Read::Known(shared)
}
