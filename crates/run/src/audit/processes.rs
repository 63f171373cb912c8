//! Running programs, and those in Claw's sandboxes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use claw_host::Read;
use claw_host::facts::{Agent, Process};

use super::root::Root;

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
    let all = root.names(Path::new("/proc")).map(|names| {
        let numbers = names.iter().filter_map(|name| name.parse().ok());
        numbers.filter_map(|pid| seen(root, pid)).collect::<Vec<_>>()
    });
    match all {
        Read::Known(all) if all.is_empty() => Read::Unknown("/proc shows no process".to_owned()),
        all => all,
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
        },
        parent: number("PPid")?,
        capabilities: u64::from_str_radix(fields.get("CapEff")?, 16).ok()?,
        no_new_privileges: number("NoNewPrivs") == Some(1),
        seccomp: number("Seccomp").and_then(|mode| mode.try_into().ok()).unwrap_or_default(),
    })
}

/// The processes below one that is called `claw-init`: what runs in a sandbox.
pub(super) fn agents(root: &Root, processes: &Read<Vec<Seen>>) -> Read<Vec<Agent>> {
    let all = match processes {
        Read::Known(all) => all,
        Read::Absent => return Read::Absent,
        Read::Unknown(why) => return Read::Unknown(why.clone()),
    };
    let by_number: BTreeMap<u32, &Seen> = all.iter().map(|one| (one.process.pid, one)).collect();
    let inside = |one: &&Seen| {
        let mut above = one.parent;
        // a chain is no longer than there are processes
        for _ in 0..all.len() {
            match by_number.get(&above) {
                Some(parent) if parent.process.name == "claw-init" => return true,
                Some(parent) => above = parent.parent,
                None => return false,
            }
        }
        false
    };
    Read::Known(all.iter().filter(inside).map(|one| agent(root, one)).collect())
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
