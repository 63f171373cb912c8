//! Reads a host for `claw host audit`: this one, or a tree of files that is taken for one.
//!
//! Files, system calls and netlink only; no program is run, nothing is changed, nothing is sent. What cannot be read says why.

mod files;
mod network;
mod processes;
mod root;
mod walk;

use std::path::{Path, PathBuf};

use claw_host::facts::{Claw, Shadow};
use claw_host::{Facts, Read, WANTED};
use claw_sys::{file, probe, process};

pub use root::{Root, RootError};

/// Where Claw itself is; the environment is not read here.
#[derive(Debug, Clone)]
pub struct Places {
    /// Its program.
    pub program: PathBuf,
    /// The directory of its ledgers.
    pub state: PathBuf,
    /// The directory of its settings.
    pub config: PathBuf,
}

/// Reads what the checks look at. `now` is in seconds since 1970.
pub fn read(root: &Root, places: &Places, now: i64) -> Facts {
    let live = root.is_live();
    let processes = processes::all(root);
    let (agents, strangers) = processes::agents(root, &processes, &places.program);
    let listeners = network::listeners(root, &processes);
    let (texts, lists) = files::texts(root);
    let asked = |ask: &dyn Fn() -> std::io::Result<bool>| match ask() {
        _ if !live => Read::Unknown(FILES_ONLY.to_owned()),
        Ok(answer) => Read::Known(answer),
        Err(error) => Read::Unknown(error.to_string()),
    };
    let mut facts = Facts {
        now,
        live,
        user: process::identity().0,
        own: std::process::id(),
        homes: files::homes(root, &texts),
        texts,
        nodes: files::nodes(root),
        lists,
        shadow: root.text(Path::new("/etc/shadow")).map(|text| Shadow::parse(&text)),
        walk: walk::walk(root, &WANTED),
        claw: claw(root, places),
        listeners,
        vsocks: network::vsocks(root),
        abstracts: network::abstracts(root),
        links: network::links(root),
        chains: network::chains(root),
        ways: network::ways(root, WANTED.ways),
        landlock: if live {
            Read::Known(probe::landlock_abi())
        } else {
            Read::Unknown(FILES_ONLY.to_owned())
        },
        clock: asked(&file::clock_is_kept),
        processes: processes.map(|all| all.into_iter().map(|one| one.process).collect()),
        agents,
        strangers,
    };
    for directory in WANTED.nodes_in {
        facts.lists.entry((*directory).to_owned()).or_insert_with(|| root.names(Path::new(directory)));
    }
    facts
}

fn claw(root: &Root, places: &Places) -> Claw {
    let node = |path: &Path| (path.display().to_string(), root.node(path));
    let installed = ["/usr/local/bin/claw", "/usr/bin/claw"].map(Path::new);
    let program = match root.is_live() {
        true => Some(places.program.as_path()),
        false => installed.into_iter().find(|path| matches!(root.node(path), Read::Known(_))),
    };
    Claw {
        program: program.map_or(Read::Absent, |path| parts(root, path)),
        state: node(&places.state),
        config: node(&places.config),
        trusted: node(&places.config.join("trusted-policies")),
    }
}

/// Each part of a path, from `/` on.
fn parts(root: &Root, path: &Path) -> Read<Vec<(String, claw_host::facts::Node)>> {
    let mut parts = Vec::new();
    let mut above: Vec<&Path> = path.ancestors().collect();
    above.reverse();
    for part in above {
        match root.node(part) {
            Read::Known(node) => parts.push((part.display().to_string(), node)),
            Read::Absent => return Read::Unknown(format!("{} is gone", part.display())),
            Read::Unknown(why) => return Read::Unknown(format!("{}: {why}", part.display())),
        }
    }
    Read::Known(parts)
}

/// Why a tree of files does not answer.
const FILES_ONLY: &str = "only files are read with --root";
