//! What the supervisor and init say to each other, one JSON message each.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use claw_sys::socket;
use serde::{Deserialize, Serialize};

/// From inside to the supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Report {
    /// The network stands; sockets come along.
    Network {
        /// Summary of the ruleset that the kernel listed.
        nft: String,
        /// How many UDP sockets follow in further messages.
        more: usize,
    },
    /// More sockets.
    Sockets,
    /// Calls of the agent wait for answers from now on; where these are given, and where init tells of such calls, come along.
    Listener,
    /// The agent's process is confined and the canary found no way out. The sandbox's `/proc` comes along.
    Confined(Applied),
    /// The agent was executed.
    Started {
        /// Its pid inside.
        pid: i32,
    },
    /// The agent could not be executed, in the words of a shell.
    NotStarted {
        /// 126 or 127.
        code: i32,
        /// Why.
        message: String,
    },
    /// The agent stopped (job control).
    Stopped,
    /// The agent ended; whether it left other processes behind.
    Ended(Ending, Others),
    /// Something could not be done; nothing runs.
    Failed(Failure),
}

/// From the supervisor to init.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The plan comes along, in a file.
    Plan,
    /// What of `/proc` is for user 0 alone comes along, in a file.
    Veil,
    /// The tree stands; its `/proc` comes along. From init to the agent's process.
    Tree,
    /// The host's tree is gone. From init to the agent's process.
    Left,
    /// Let the agent go.
    Go,
    /// Pass a signal on.
    Signal(i32),
}

/// Whether processes are left inside when the agent has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Others {
    /// None.
    None,
    /// Some, which end with init.
    Left,
}

/// How the agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// By itself, with a code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl Ending {
    /// The code that a shell would report.
    pub fn code(self) -> i32 {
        match self {
            Ending::Code(code) => code,
            Ending::Signal(signal) => signal.saturating_add(128),
        }
    }
}

/// What the kernel really holds: the receipt of a performed plan.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Applied {
    /// Namespaces that differ from the supervisor's.
    pub namespaces: Vec<String>,
    /// The Landlock ABI in force.
    pub landlock_abi: u32,
    /// The seccomp profile and how many filters the kernel counts.
    pub seccomp: String,
    /// Capabilities: `none`.
    pub capabilities: String,
    /// Probes that were tried and refused.
    pub refused: u32,
    /// The AppArmor profile and its mode, as the kernel tells them; or why there is none.
    pub apparmor: String,
}

/// What could not be done: which step, on what, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("cannot {step}: {why}")]
pub struct Failure {
    /// The step.
    pub step: String,
    /// Why.
    pub why: String,
    /// What to do, if anything is known to help.
    pub hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(step: impl Into<String>, why: impl ToString) -> Failure {
        Failure { step: step.into(), why: why.to_string(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: &str) -> Failure {
        self.hint = Some(hint.to_owned());
        self
    }
}

/// Adds the step to a system call's error.
pub(crate) trait Step<T> {
    /// Names what was being done.
    fn step(self, step: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: ToString> Step<T> for Result<T, E> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(step(), error))
    }
}

pub(crate) fn say<T: Serialize>(
    channel: BorrowedFd<'_>,
    word: &T,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = serde_json::to_vec(word).map_err(io::Error::other)?;
    socket::send_descriptors(channel, &bytes, descriptors)
}

/// Waits for a message and all that comes along. An ended channel is an error: the other side is gone.
pub(crate) fn hear<T: for<'a> Deserialize<'a>>(channel: BorrowedFd<'_>) -> io::Result<(T, Vec<OwnedFd>)> {
    let mut buffer = [0u8; LONGEST];
    let (length, descriptors) = socket::receive_descriptors(channel, &mut buffer)?;
    Ok((word(buffer.get(..length).unwrap_or_default())?, descriptors))
}

/// The same where the word counts without its descriptors too, for which there may be no room.
pub(crate) fn hear_at_least<T: for<'a> Deserialize<'a>>(
    channel: BorrowedFd<'_>,
) -> io::Result<(T, Vec<OwnedFd>)> {
    let mut buffer = [0u8; LONGEST];
    let (length, descriptors) = socket::receive_with_room_or_without(channel, &mut buffer)?;
    Ok((word(buffer.get(..length).unwrap_or_default())?, descriptors))
}

fn word<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> io::Result<T> {
    match bytes {
        [] => Err(io::ErrorKind::UnexpectedEof.into()),
        bytes => serde_json::from_slice(bytes).map_err(io::Error::other),
    }
}

const LONGEST: usize = 8 * 1024;
