//! The records of a ledger, as they are written and as they are read back.
//!
//! One line is `{"seq":1,"time":"2026-01-02T03:04:05.000000006Z","prev":"sha256:…","kind":"connect",…}`.
//! Fields that are absent are left out. A reader ignores fields it does not know and refuses kinds it does not.

use std::borrow::Cow;

use claw_model::digest::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// One line, read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its number; the first is 1, so it is also the number of its line.
    pub seq: u64,
    /// When it was written.
    pub time: Timestamp,
    /// The hash of the previous line without its newline; of nothing, for the first.
    pub prev: Digest,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Event {
    /// A run begins.
    Start {
        /// The run's own name.
        run: String,
        /// The agent's name in the policy.
        agent: String,
        /// The command and its arguments.
        command: Vec<String>,
        /// The digest of the policy file.
        policy_digest: String,
        /// The version of Claw.
        claw_version: String,
        /// The kernel's release.
        kernel: String,
        /// How it is observed: `deny`, `sink` or `allow`; absent for a run that is held to its policy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<String>,
        /// Whose signatures the policy has, if the run demanded some.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<Signed>,
    },
    /// What the kernel says it enforces.
    Applied {
        /// The namespaces that were made.
        namespaces: Vec<String>,
        /// The ruleset read back: a digest or a summary.
        nft: String,
        /// The Landlock ABI in use; 0 if there is none.
        landlock_abi: u32,
        /// The seccomp filter's name.
        seccomp: String,
        /// The capabilities left.
        capabilities: String,
        /// The limits in force.
        limits: Value,
        /// What this kernel could not enforce.
        missing: Vec<String>,
        /// The agent's AppArmor profile and its mode, or why it has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        apparmor: Option<String>,
        /// What the kernel's own measurements (IMA, EVM) say of the files the run relies on, or why they say nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        integrity: Option<String>,
    },
    /// A name was asked for.
    Dns {
        /// The name.
        name: String,
        /// The type of record asked for.
        #[serde(rename = "type")]
        record_type: String,
        /// What was decided.
        decision: Decision,
        /// The rule that decided, `file:line`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        /// The reason's code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Who asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<Process>,
    },
    /// A connection was asked for.
    Connect {
        /// The host name or address.
        destination: String,
        /// The port.
        port: u16,
        /// The protocol.
        protocol: String,
        /// The phase it was judged in.
        phase: String,
        /// The plane of the rule that allowed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plane: Option<String>,
        /// What was decided.
        decision: Decision,
        /// The rule that decided, `file:line`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        /// The reason's code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The reason in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sentence: Option<String>,
        /// How well the destination is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assurance: Option<String>,
        /// Who asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<Process>,
    },
    /// An HTTP request was asked for.
    Request {
        /// The host name or address.
        #[serde(default)]
        destination: String,
        /// The port.
        #[serde(default)]
        port: u16,
        /// The method.
        method: String,
        /// The path, without its query.
        path: String,
        /// The phase it was judged in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<String>,
        /// The plane of the rule that decided.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plane: Option<String>,
        /// What was decided.
        decision: Decision,
        /// The rule that decided, `file:line`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        /// The reason's code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The reason in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sentence: Option<String>,
        /// The number of its connection's record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        connection: Option<u64>,
        /// The host that it names, where that is not the destination.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// What the client calls itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_agent: Option<String>,
        /// What kind of credential it carried: `bearer`, `basic`, `api-key`, `cookie`, … Never the credential.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credential: Option<String>,
        /// The status it was answered with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// Bytes of its body.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes_out: Option<u64>,
        /// The names of its query's parameters. Never their values.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        query: Vec<String>,
        /// Who asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<Process>,
    },
    /// A connection ended.
    Close {
        /// The host name or address.
        destination: String,
        /// The port.
        port: u16,
        /// Bytes the agent sent.
        bytes_out: u64,
        /// Bytes the agent received.
        bytes_in: u64,
        /// How long it was open.
        duration_ms: u64,
        /// How it ended.
        end: String,
        /// What its HTTP requests come to, by plane, where the gate read them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        planes: Vec<PlaneTally>,
        /// The number of its connection's record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        connection: Option<u64>,
        /// What it spoke, named from its first bytes: `tls`, `http`, `ssh`, `dns`, …; `silent` where none came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        application: Option<String>,
        /// The name that the TLS client asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sni: Option<String>,
        /// What the TLS client offered to speak, in its order, with commas.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alpn: Option<String>,
        /// How many requests it carried, where Claw itself answered them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requests: Option<u64>,
    },
    /// The same happened again, so many times.
    Repeat {
        /// The record it repeats; absent if there were too many different ones to write each.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<u64>,
        /// How many times, the repeated record itself not counted.
        count: u64,
        /// The reason's code, if they were denials; `sink` or `allow` if they were observed without a rule.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Bytes sent by all of these, where the repeated record tells bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes_out: Option<u64>,
        /// Bytes received, likewise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes_in: Option<u64>,
    },
    /// Something granted was taken back.
    Revoke {
        /// What: a rule (`file:line`) or a destination.
        what: String,
        /// Why.
        why: String,
        /// How many open connections were closed for it.
        closed: u64,
    },
    /// The phase changed.
    Phase {
        /// The phase before.
        from: String,
        /// The phase after.
        to: String,
        /// Why.
        why: String,
    },
    /// Another policy holds from here on, or was refused and the old one still holds.
    Policy {
        /// The digest of the policy before.
        from: String,
        /// The digest of the policy after; absent if it was refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// What led to it, or why it was refused.
        why: String,
        /// Whose signatures the policy after has, if the run demands some.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<Signed>,
    },
    /// A system call was refused by the policy's seccomp profile, or ended its process.
    Syscall {
        /// The call.
        name: String,
        /// What it got, as the profile calls it.
        action: String,
        /// The rule, `profile:line`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        /// Who called.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<Process>,
    },
    /// A listed executable, or a file that Claw itself runs from, is not what it was.
    Integrity {
        /// The file.
        path: String,
        /// The digest that is listed.
        expected: String,
        /// The digest it has now; absent if it cannot be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<String>,
        /// Who says so: `ima`, the kernel's own measurement; absent if Claw read the file itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
    },
    /// The host's firewall was compared with its zones file.
    Firewall {
        /// The digest of the zones file.
        zones: String,
        /// What the kernel holds otherwise; empty if nothing.
        drift: Vec<String>,
    },
    /// The agent ended.
    Exit {
        /// Its exit code.
        code: i32,
    },
    /// The chain so far, vouched for.
    Checkpoint {
        /// The last record vouched for.
        upto: u64,
        /// The chain's head after it.
        root: String,
        /// A signature over the root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Let through.
    Allow,
    /// Refused.
    Deny,
    /// Accepted by Claw itself. Nothing left.
    Sink,
}

/// What the requests of one connection come to on one plane: heads and bodies, as they were sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaneTally {
    /// The plane.
    pub plane: String,
    /// How many requests were permitted.
    pub requests: u64,
    /// Bytes the agent sent.
    pub bytes_out: u64,
    /// Bytes the agent received.
    pub bytes_in: u64,
}

/// On whose word a policy holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The name that was signed.
    pub name: String,
    /// The version that was signed.
    pub version: u64,
    /// The ids of the keys that signed it.
    pub keys: Vec<String>,
    /// Until when it could be taken.
    pub expires: String,
}

/// The process that asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id inside the sandbox.
    pub pid: u32,
    /// Its executable.
    pub exe: String,
    /// What of a Python or Node program asked: a script or a module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The package that opened it, as the process itself says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
}

/// Why a line is not a record.
#[derive(Debug, Error)]
pub enum RecordError {
    /// Not JSON, or not the fields of a record.
    #[error("not a record: {0}")]
    Json(serde_json::Error),
    /// Of a kind this version does not know.
    #[error("unknown kind `{}`", crate::text::word(.0))]
    Kind(String),
    /// The time is not UTC with nine fractional digits.
    #[error("`{}` is not a time in UTC with nanoseconds", crate::text::word(.0))]
    Time(String),
}

impl Record {
    /// Reads one line, without its newline.
    pub fn parse(line: &[u8]) -> Result<Self, RecordError> {
        let Frame { seq, time, prev, kind } = serde_json::from_slice(line).map_err(RecordError::Json)?;
        if !Event::KINDS.contains(&&*kind) {
            return Err(RecordError::Kind(kind.into_owned()));
        }
        let time = read_time(&time).ok_or_else(|| RecordError::Time(time.into_owned()))?;
        let event = serde_json::from_slice(line).map_err(RecordError::Json)?;
        Ok(Self { seq, time, prev, event })
    }
}

impl Event {
    /// Every kind, as it is written.
    pub const KINDS: [&'static str; 15] = [
        "start",
        "applied",
        "dns",
        "connect",
        "request",
        "close",
        "repeat",
        "revoke",
        "phase",
        "policy",
        "syscall",
        "integrity",
        "firewall",
        "exit",
        "checkpoint",
    ];

    /// The kind, as it is written.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Applied { .. } => "applied",
            Self::Dns { .. } => "dns",
            Self::Connect { .. } => "connect",
            Self::Request { .. } => "request",
            Self::Close { .. } => "close",
            Self::Repeat { .. } => "repeat",
            Self::Revoke { .. } => "revoke",
            Self::Phase { .. } => "phase",
            Self::Policy { .. } => "policy",
            Self::Syscall { .. } => "syscall",
            Self::Integrity { .. } => "integrity",
            Self::Firewall { .. } => "firewall",
            Self::Exit { .. } => "exit",
            Self::Checkpoint { .. } => "checkpoint",
        }
    }
}

/// What every record has; the event's own fields are read in a second pass, once the kind is known.
#[derive(Deserialize)]
struct Frame<'a> {
    seq: u64,
    #[serde(borrow)]
    time: Cow<'a, str>,
    prev: Digest,
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

/// Appends `time` in its one spelling.
pub(crate) fn write_time(time: Timestamp, out: &mut Vec<u8>) {
    // Printing into a Vec cannot fail: jiff fails only if the writer does.
    let _ = PRINTER.print_timestamp(&time, out);
}

/// A time has one spelling; anything else is not ours.
fn read_time(text: &str) -> Option<Timestamp> {
    let time: Timestamp = text.parse().ok()?;
    let mut again = Vec::with_capacity(text.len());
    write_time(time, &mut again);
    (again == text.as_bytes()).then_some(time)
}

const PRINTER: jiff::fmt::temporal::DateTimePrinter =
    jiff::fmt::temporal::DateTimePrinter::new().precision(Some(9));
