//! What was reached for: the value that reports, comparisons and suggestions are made from.

use std::collections::BTreeMap;

use claw_model::shown::is_hidden;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalog::{Class, Source, Switch};

/// A footprint: one or more ledgers, folded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Footprint {
    /// Always [`FORMAT`].
    pub format: String,
    /// What a reader must know before believing it.
    pub stamps: Vec<Stamp>,
    /// The runs it was made from.
    pub runs: Vec<Run>,
    /// What was reached for.
    pub flows: Vec<Flow>,
    /// Bytes of connections that served several flows, and that cannot be told apart.
    pub unsplit: Vec<Unsplit>,
    /// Denials that the ledger only counts, by reason.
    pub counted: BTreeMap<String, u64>,
    /// Records about more different destinations and requests than are kept.
    pub beyond: u64,
}

/// Something a reader must know before believing a footprint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamp {
    /// A stable code.
    pub code: String,
    /// A sentence.
    pub text: String,
}

/// One ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The ledger's name, as it was given.
    pub ledger: String,
    /// The run.
    pub run: String,
    /// The agent.
    pub agent: String,
    /// The command.
    pub command: Vec<String>,
    /// `run`, or how it was observed: `deny`, `sink`, `allow`.
    pub mode: String,
    /// The policy's digest.
    pub policy_digest: String,
    /// The version of Claw.
    pub claw_version: String,
    /// Its first record.
    pub first: Option<Timestamp>,
    /// Its last record.
    pub last: Option<Timestamp>,
    /// How many records.
    pub records: u64,
    /// The digest of its last record.
    pub head: Option<String>,
    /// How it ended.
    pub exit: Option<i32>,
}

/// One thing reached for: a destination, on one plane, of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// The host name or address.
    pub destination: String,
    /// The port; absent for a name that was only looked up.
    pub port: Option<u16>,
    /// What carries it: `TCP`, `UDP`; empty for a name that was only looked up.
    pub transport: String,
    /// What was spoken, as far as it was seen.
    pub application: Vec<String>,
    /// The plane, `mixed` or `unknown`.
    pub plane: String,
    /// Who says so.
    pub plane_from: Says,
    /// The class.
    pub class: Class,
    /// What it may be, where it cannot be told apart or is known only of some.
    pub candidates: Vec<String>,
    /// The frameworks known to do this.
    pub known: Vec<KnownBy>,
    /// What turns it off.
    pub switches: Vec<Switch>,
    /// Requests, or connections where none were seen.
    pub count: u64,
    /// How many of them were let through.
    pub allowed: u64,
    /// How many were refused.
    pub denied: u64,
    /// How many Claw answered itself.
    pub sunk: u64,
    /// How many of those let through found nobody.
    pub unanswered: u64,
    /// Look-ups of the name.
    pub lookups: u64,
    /// Connections beside these that were closed without a word.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wordless: u64,
    /// Bytes the agent sent.
    pub bytes_out: u64,
    /// Bytes the agent received.
    pub bytes_in: u64,
    /// When it was first asked for.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// The phases it was asked for in.
    pub phases: Vec<String>,
    /// Who asked.
    pub processes: Vec<Caller>,
    /// Which packages opened it, as the agent's own side says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// Why it was refused, and how often.
    pub reasons: BTreeMap<String, u64>,
    /// Whether it is known by name only: TLS was not ended, and no request was seen.
    pub unread: bool,
    /// The requests.
    pub requests: Vec<Request>,
    /// The first records that tell of it.
    pub evidence: Vec<Evidence>,
    /// What a policy says of it today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub today: Option<Today>,
}

/// Who says which plane it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Says {
    /// The policy's rule that decided.
    Policy,
    /// The catalogue.
    Catalogue,
    /// The machine's own configuration of package indexes.
    Configuration,
    /// The port or the address.
    Port,
    /// Nobody.
    Nobody,
}

/// A framework known to do something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownBy {
    /// The framework.
    pub framework: String,
    /// In which versions.
    pub versions: Option<String>,
    /// What it is.
    pub what: String,
    /// How it is known.
    pub source: Source,
}

/// A process that asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// Its executable.
    pub exe: String,
    /// The script, module or package.
    pub package: Option<String>,
    /// How often.
    pub count: u64,
}

/// A package that opened connections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// Requests with one method and path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// How many.
    pub count: u64,
    /// How many of them were refused.
    pub denied: u64,
    /// Bytes of their bodies.
    pub bytes_out: u64,
    /// The phases they were made in.
    pub phases: Vec<String>,
    /// What the clients called themselves.
    pub user_agents: Vec<String>,
    /// Kinds of credentials they carried.
    pub credentials: Vec<String>,
    /// What they were answered with.
    pub statuses: Vec<u16>,
    /// The names of their queries' parameters.
    pub query: Vec<String>,
    /// Why they were refused.
    pub reasons: BTreeMap<String, u64>,
    /// The first records that tell of them.
    pub evidence: Vec<Evidence>,
}

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The run: its place in [`Footprint::runs`], from 1.
    pub run: u32,
    /// The record's number.
    pub seq: u64,
}

/// Bytes that cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unsplit {
    /// The host name or address.
    pub destination: String,
    /// The port.
    pub port: u16,
    /// Bytes the agent sent.
    pub bytes_out: u64,
    /// Bytes the agent received.
    pub bytes_in: u64,
}

/// What a policy says of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Today {
    /// `allow`, `deny`, `partly`, or `unknown` where no port was seen.
    pub decision: String,
    /// The rules that decide, `file:line`.
    pub rules: Vec<String>,
    /// The reasons of what is refused.
    pub reasons: Vec<String>,
}

impl Footprint {
    /// Reads one that was written as JSON. Only the very format is taken.
    pub fn parse(text: &[u8]) -> Result<Footprint, FootprintError> {
        let footprint: Footprint = serde_json::from_slice(text).map_err(FootprintError::Json)?;
        if footprint.format != FORMAT {
            return Err(FootprintError::Format(footprint.format));
        }
        Ok(footprint)
    }

    /// As one JSON document. What would move, reorder or hide text is escaped.
    pub fn json(&self) -> String {
        json(self)
    }

    /// Whether something may be missing, so that nothing can be said of what is not there.
    pub fn is_partial(&self) -> bool {
        self.beyond > 0
    }

    /// The flows in the order of reports: by lane, telemetry last but the unknown, then by bytes and count.
    pub fn by_lane(&self) -> Vec<(Lane, Vec<&Flow>)> {
        let mut lanes: BTreeMap<Lane, Vec<&Flow>> = BTreeMap::new();
        for flow in &self.flows {
            lanes.entry(flow.lane()).or_default().push(flow);
        }
        for flows in lanes.values_mut() {
            let weight =
                |flow: &Flow| std::cmp::Reverse((flow.bytes_out.saturating_add(flow.bytes_in), flow.count));
            flows.sort_by(|a, b| weight(a).cmp(&weight(b)).then_with(|| a.target().cmp(&b.target())));
        }
        lanes.into_iter().collect()
    }

    /// When the first record was written, and the last.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let first = self.runs.iter().filter_map(|run| run.first).min()?;
        let last = self.runs.iter().filter_map(|run| run.last).max()?;
        Some((first, last))
    }
}

impl Flow {
    /// Host and port, an IPv6 address in brackets. Not escaped.
    pub fn target(&self) -> String {
        match self.port {
            None => self.destination.clone(),
            Some(port) if self.destination.contains(':') => format!("[{}]:{port}", self.destination),
            Some(port) => format!("{}:{port}", self.destination),
        }
    }

    /// What was spoken: the transport, and what is known beyond it.
    pub fn spoken(&self) -> String {
        match (self.transport.as_str(), self.application.as_slice()) {
            ("", _) => "DNS".to_owned(),
            (transport, []) => transport.to_owned(),
            (transport, spoken) => format!("{transport}/{}", spoken.join("+")),
        }
    }

    /// Which band of a report it stands in.
    pub fn lane(&self) -> Lane {
        if self.class == Class::Telemetry {
            return Lane::Telemetry;
        }
        Lane::ALL.into_iter().find(|lane| lane.as_str() == self.plane).unwrap_or(Lane::Unknown)
    }

    /// `allow`, `deny`, `sink`, or `partly`.
    pub fn decision(&self) -> &'static str {
        match (self.allowed > 0, self.denied > 0, self.sunk > 0) {
            (true, false, false) => "allow",
            (false, true, false) => "deny",
            (false, false, true) => "sink",
            (false, false, false) => "none",
            _ => "partly",
        }
    }
}

/// A band of a report: a plane, or telemetry, which is a class of its own on whatever plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the planes' own names")]
pub enum Lane {
    Inference,
    Tool,
    Control,
    Update,
    Workload,
    Attestation,
    Time,
    Revocation,
    /// One host, several planes.
    Mixed,
    /// Tells somebody what is done.
    Telemetry,
    /// Nobody knows.
    Unknown,
}

impl Lane {
    /// Every lane, in the order of reports.
    pub const ALL: [Lane; 11] = [
        Lane::Inference,
        Lane::Tool,
        Lane::Control,
        Lane::Update,
        Lane::Workload,
        Lane::Attestation,
        Lane::Time,
        Lane::Revocation,
        Lane::Mixed,
        Lane::Telemetry,
        Lane::Unknown,
    ];

    /// The lane as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Lane::Inference => "inference",
            Lane::Tool => "tool",
            Lane::Control => "control",
            Lane::Update => "update",
            Lane::Workload => "workload",
            Lane::Attestation => "attestation",
            Lane::Time => "time",
            Lane::Revocation => "revocation",
            Lane::Mixed => "mixed",
            Lane::Telemetry => "telemetry",
            Lane::Unknown => "unknown",
        }
    }

    /// What it holds, for a heading.
    pub const fn title(self) -> &'static str {
        match self {
            Lane::Inference => "model providers",
            Lane::Tool => "tools and stores",
            Lane::Control => "control",
            Lane::Update => "packages, models, updates",
            Lane::Workload => "the task itself",
            Lane::Attestation => "attestation",
            Lane::Time => "clocks",
            Lane::Revocation => "revocation",
            Lane::Mixed => "several planes on one host",
            Lane::Telemetry => "tells what is done",
            Lane::Unknown => "not known",
        }
    }
}

/// A footprint that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FootprintError {
    /// Not JSON, or not the fields of a footprint.
    #[error("not a footprint: {0}")]
    Json(serde_json::Error),
    /// Of another format.
    #[error("a footprint of the format `{}`, and this version knows `{FORMAT}`", .0.escape_debug())]
    Format(String),
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A value as one JSON document for people and programs: characters that move, reorder or hide text are escaped.
pub fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    if text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)) {
        return text;
    }
    // outside of its strings a document has only ASCII
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => safe.push('\n'),
            hidden if is_hidden(hidden) => {
                for unit in hidden.encode_utf16(&mut [0; 2]) {
                    safe.push_str(&format!("\\u{unit:04x}"));
                }
            }
            plain => safe.push(plain),
        }
    }
    safe
}

/// The format's name.
pub const FORMAT: &str = "claw-footprint/1";
