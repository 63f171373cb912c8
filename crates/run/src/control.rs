//! Talking to a run that goes on: one question, one answer, over a UNIX socket of this user.
//!
//! The socket has a name in the abstract namespace (unix(7)): it is in no directory, leaves nothing behind, and cannot be
//! reached from inside a sandbox, which has a network namespace of its own. Both sides check the other's user
//! (`SO_PEERCRED`).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use claw_gate::Status;
use claw_model::phase::Phase;
use claw_sys::{process, socket};
use serde::{Deserialize, Serialize};

/// What a run is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase")]
pub enum Question {
    /// What it is doing.
    Status,
    /// To let another phase begin.
    Phase {
        /// Which.
        to: Phase,
        /// Why, for the ledger.
        why: String,
    },
    /// To read its policy again.
    Reload,
}

/// What it answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub enum Answer {
    /// What it is doing.
    Status(Box<Running>),
    /// It is done.
    Done {
        /// What was done.
        what: String,
        /// How many flows were closed.
        closed: u64,
    },
    /// It is not done.
    Refused {
        /// Why.
        why: String,
    },
}

/// A run that goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    /// Its name.
    pub run: String,
    /// The agent's name in the policy.
    pub agent: String,
    /// Its supervisor.
    pub pid: u32,
    /// The command.
    pub command: Vec<String>,
    /// Its ledger.
    pub ledger: PathBuf,
    /// Since when, in seconds.
    pub seconds: u64,
    /// What its gate does.
    pub gate: Status,
}

/// Why a run does not answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is none of this name.
    #[error("no run is called `{name}`")]
    None {
        /// The name.
        name: String,
    },
    /// Somebody else's process has taken the name.
    #[error("the run `{name}` belongs to user {user}")]
    Foreign {
        /// The name.
        name: String,
        /// Whose it is.
        user: u32,
    },
    /// It went away, or talks nonsense.
    #[error("the run `{name}` does not answer")]
    Silent {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Opens the socket of a run.
pub(crate) fn listen(run: &str) -> io::Result<UnixListener> {
    let listener = UnixListener::bind_addr(&address(process::identity().0, run)?)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Whether the other side is this user, or root.
pub(crate) fn is_own(stream: &impl std::os::fd::AsFd) -> bool {
    socket::peer_user(stream.as_fd()).is_ok_and(|user| user == 0 || user == process::identity().0)
}

/// The names of this user's runs; root sees everybody's.
pub fn runs() -> io::Result<Vec<(u32, String)>> {
    let (own, _) = process::identity();
    // names are bytes, and anybody's may be among them
    let table = std::fs::read("/proc/net/unix")?;
    let table = String::from_utf8_lossy(&table);
    let names = table.lines().filter_map(|line| line.split_whitespace().nth(7)?.strip_prefix("@claw/"));
    let mut runs: Vec<(u32, String)> = names
        .filter_map(|name| name.split_once('/'))
        .filter_map(|(user, run)| Some((user.parse().ok()?, run.to_owned())))
        .filter(|(user, _)| own == 0 || *user == own)
        .collect();
    runs.sort();
    runs.dedup();
    Ok(runs)
}

/// Asks a run.
pub fn ask(user: u32, run: &str, question: &Question) -> Result<Answer, ControlError> {
    let name = || run.to_owned();
    let silent = |source| ControlError::Silent { name: name(), source };
    let mut stream = address(user, run)
        .and_then(|address| UnixStream::connect_addr(&address))
        .map_err(|_| ControlError::None { name: name() })?;
    let holder = socket::peer_user(std::os::fd::AsFd::as_fd(&stream)).map_err(silent)?;
    if holder != user {
        return Err(ControlError::Foreign { name: name(), user: holder });
    }
    stream.set_read_timeout(Some(PATIENCE)).map_err(silent)?;
    let mut line = serde_json::to_vec(question).map_err(|error| silent(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(silent)?;
    let mut answer = String::new();
    BufReader::new(stream).take(LONGEST).read_line(&mut answer).map_err(silent)?;
    serde_json::from_str(&answer).map_err(|error| silent(error.into()))
}

fn address(user: u32, run: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("claw/{user}/{run}"))
}

const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST: u64 = 16 << 20;
