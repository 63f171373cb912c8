//! Walls that can be left out one at a time, in debug builds only, to show that each carries weight: with one of them gone
//! something of the escape suite must get out. A release build has no such switch.

use std::sync::OnceLock;

/// One wall. Those that are not here cannot be left out: without the user, mount and process namespaces nothing can be built, and a
/// permit of the gate has one maker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wall {
    /// The agent's system call filter.
    Seccomp,
    /// The second wall around files, signals and abstract sockets.
    Landlock,
    /// Giving up capabilities.
    Capabilities,
    /// Closing inherited descriptors.
    Descriptors,
    /// The IPC namespace.
    Ipc,
    /// Hiding init's memory.
    Hidden,
    /// `/proc` read-only.
    Processes,
    /// Host trees read-only, and through an overlay.
    Tree,
    /// The private `/tmp`, `/dev/shm` and home.
    Private,
    /// The control group.
    Limits,
    /// The supervisor's own filter.
    Gate,
    /// The agent's AppArmor profile, where the kernel has it.
    AppArmor,
    /// `no_new_privs`.
    NoNewPrivileges,
    /// The rules that refuse what leaves, in the network namespace.
    Network,
    /// The agent's own, short environment.
    Environment,
    /// What of the terminal is refused.
    Session,
    /// The gate's judgement of the addresses that a name resolves to.
    Addresses,
    /// The gate's reading of the TLS handshake.
    Handshake,
}

const NAMES: &[(&str, Wall)] = &[
    ("seccomp", Wall::Seccomp),
    ("landlock", Wall::Landlock),
    ("capabilities", Wall::Capabilities),
    ("descriptors", Wall::Descriptors),
    ("ipc", Wall::Ipc),
    ("hidden", Wall::Hidden),
    ("proc", Wall::Processes),
    ("tree", Wall::Tree),
    ("private", Wall::Private),
    ("limits", Wall::Limits),
    ("gate", Wall::Gate),
    ("apparmor", Wall::AppArmor),
    ("no-new-privs", Wall::NoNewPrivileges),
    ("network", Wall::Network),
    ("environment", Wall::Environment),
    ("session", Wall::Session),
    ("addresses", Wall::Addresses),
    ("handshake", Wall::Handshake),
];

static MISSING: OnceLock<Vec<Wall>> = OnceLock::new();

/// Reads which walls are to be left out; once, by whoever starts the run.
pub(crate) fn read() {
    if cfg!(debug_assertions) {
        let named = std::env::var("CLAW_TEST_WITHOUT").unwrap_or_default();
        let missing: Vec<Wall> = NAMES
            .iter()
            .filter(|(name, _)| named.split(',').any(|word| word == *name))
            .map(|(_, wall)| *wall)
            .collect();
        if !missing.is_empty() {
            eprintln!("claw: THIS IS A DEBUG BUILD WITHOUT {named}: the sandbox is not whole");
        }
        let _ = MISSING.set(missing);
    }
}

/// Whether the wall is to stand. Always true in a release build.
pub fn stands(wall: Wall) -> bool {
    !cfg!(debug_assertions) || MISSING.get().is_none_or(|missing| !missing.contains(&wall))
}

/// Whether every wall is to stand. Always true in a release build.
pub fn all_stand() -> bool {
    !cfg!(debug_assertions) || MISSING.get().is_none_or(Vec::is_empty)
}
