//! The file tree: which parts of the host are shown, and how.

use std::path::PathBuf;

use claw_model::digest::Digest;
use serde::{Deserialize, Serialize};

/// One step of building the tree. Targets are absolute paths inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "step")]
pub enum Step {
    /// A directory of the host, read-only, through an overlay: sockets and pipes below it lead nowhere.
    Show {
        /// On the host.
        source: PathBuf,
        /// Inside.
        target: PathBuf,
    },
    /// One file of the host, read-only.
    File {
        /// On the host.
        source: PathBuf,
        /// Inside.
        target: PathBuf,
    },
    /// A file or directory of the host that the agent may change.
    Writable {
        /// On the host.
        source: PathBuf,
        /// Inside.
        target: PathBuf,
    },
    /// A directory of the host that the agent seems to change: what it writes is kept in a directory of its own.
    Review {
        /// On the host; never changed.
        source: PathBuf,
        /// Inside.
        target: PathBuf,
        /// On the host: what is written.
        upper: PathBuf,
        /// On the host, beside it: where the kernel prepares what it writes.
        work: PathBuf,
    },
    /// The tree of an image on the host, read-only, as the root of everything.
    Root {
        /// On the host.
        source: PathBuf,
    },
    /// An empty directory in memory that ends with the run.
    Private {
        /// Inside.
        target: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Inside.
        target: PathBuf,
        /// Its text.
        text: PathBuf,
    },
    /// A file with this content.
    Text {
        /// Inside.
        target: PathBuf,
        /// What it says.
        content: String,
    },
    /// A file with these bytes, written as hexadecimal digits; only where the host has one.
    Bytes {
        /// Inside.
        target: PathBuf,
        /// What it holds.
        content: String,
    },
    /// A file of the host that may be executed: a copy with exactly this content, read-only.
    Listed {
        /// On the host, and inside.
        target: PathBuf,
        /// What it must contain.
        digest: Digest,
    },
    /// `/dev` with the harmless devices and terminals of its own.
    Devices,
    /// `/proc` of the new pid namespace, read-only.
    Processes,
    /// A path that stays unreadable although something above it is shown.
    Mask {
        /// Inside.
        target: PathBuf,
    },
}

impl Step {
    /// Where the step happens.
    pub fn target(&self) -> &std::path::Path {
        match self {
            Step::Show { target, .. }
            | Step::File { target, .. }
            | Step::Writable { target, .. }
            | Step::Review { target, .. }
            | Step::Private { target, .. }
            | Step::Link { target, .. }
            | Step::Text { target, .. }
            | Step::Bytes { target, .. }
            | Step::Listed { target, .. }
            | Step::Mask { target } => target,
            Step::Root { .. } => std::path::Path::new("/"),
            Step::Devices => std::path::Path::new("/dev"),
            Step::Processes => std::path::Path::new("/proc"),
        }
    }
}

/// A file that may be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Where it really is.
    pub path: PathBuf,
    /// What it contains.
    pub digest: Digest,
}

/// What is shown when a policy says nothing of files: system directories.
pub const SYSTEM: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];

/// What is shown of `/etc` when a policy says nothing of files.
pub const CONFIGURATION: &[&str] = &[
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/group",
    "/etc/java-11-openjdk",
    "/etc/java-17-openjdk",
    "/etc/java-21-openjdk",
    "/etc/java-25-openjdk",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/passwd",
    "/etc/pki",
    "/etc/protocols",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
];

/// Credentials of the host: unreadable inside even under a directory that is shown.
pub const CREDENTIALS: &[&str] = &[
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/ssl/private",
    "/etc/ssh/ssh_host_rsa_key",
    "/etc/ssh/ssh_host_dsa_key",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ed25519_key",
];
