//! What is told of a difference: an example that can be tried, and what each side says of it.

use std::fmt;

use claw_model::phase::Phase;
use claw_model::plane::Plane;
use claw_model::protocol::Transport;

use crate::atoms::Atom;
use crate::decide::{PermitHost, Refusal};
use crate::rule::Rule;

/// One flow, or one request, in full.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Witness {
    /// The phase.
    pub phase: Phase,
    /// The plane of the rule that allows it.
    pub plane: Plane,
    /// The host name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What carries it.
    pub transport: Transport,
    /// The method, where requests are named.
    pub method: Option<String>,
    /// The path, where requests are named.
    pub path: Option<String>,
}

impl Witness {
    pub(crate) fn of(atom: &Atom<'_>, plane: Plane, request: Option<(&str, &str)>) -> Witness {
        let host = match atom.host {
            PermitHost::Name(name) => name.to_string(),
            PermitHost::Address(address) => address.to_string(),
        };
        Witness {
            phase: atom.phase,
            plane,
            host,
            port: atom.first,
            transport: atom.transport,
            method: request.map(|(method, _)| method.to_owned()),
            path: request.map(|(_, path)| path.to_owned()),
        }
    }
}

/// As `claw policy why` takes it: `HOST:PORT`, `/udp` where it is UDP, and the request.
impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Witness { host, port, .. } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")?
        } else {
            write!(f, "{host}:{port}")?
        }
        if self.transport == Transport::Udp {
            f.write_str("/udp")?;
        }
        match (&self.method, &self.path) {
            (Some(method), Some(path)) => write!(f, " {method} {path}"),
            _ => Ok(()),
        }
    }
}

/// What one of the policies says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Side {
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// Why it is refused: the stable code.
    pub reason: Option<&'static str>,
    /// The rule's number in its policy.
    #[serde(skip)]
    pub(crate) id: Option<u32>,
    /// The rule that decides, as `file:line`.
    pub rule: Option<String>,
    /// Its line.
    pub line: Option<u32>,
    /// Its plane.
    pub plane: Option<&'static str>,
    /// Its purpose.
    pub purpose: Option<String>,
    /// How well the flow is known.
    pub assurance: Option<&'static str>,
    /// The last day of the rule.
    pub expires: Option<String>,
}

impl Side {
    pub(crate) fn allow(rule: &Rule) -> Side {
        Side { decision: "allow", assurance: Some(rule.assurance().as_str()), ..Side::by(rule) }
    }

    pub(crate) fn deny((reason, rule): Refusal<'_>) -> Side {
        let side = rule.map(|rule| Side::by(rule)).unwrap_or(Side::NOBODY);
        Side { reason: Some(reason.code()), ..side }
    }

    fn by(rule: &Rule) -> Side {
        Side {
            id: Some(rule.id),
            rule: Some(rule.location()),
            line: Some(rule.line()),
            plane: rule.plane.map(Plane::as_str),
            purpose: Some(rule.purpose().to_owned()).filter(|purpose| !purpose.is_empty()),
            expires: rule.expires().map(|date| date.to_string()),
            ..Side::NOBODY
        }
    }

    const NOBODY: Side = Side {
        decision: "deny",
        reason: None,
        id: None,
        rule: None,
        line: None,
        plane: None,
        purpose: None,
        assurance: None,
        expires: None,
    };
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.decision)?;
        if let Some(rule) = &self.rule {
            write!(f, " by {rule}")?;
        }
        let told = [
            self.reason.map(str::to_owned),
            self.plane.map(|plane| format!("plane {plane}")),
            self.assurance.map(|assurance| format!("assurance {assurance}")),
            self.expires.as_ref().map(|date| format!("until {date}")),
            self.purpose.as_ref().map(|purpose| format!("\"{purpose}\"")),
        ];
        let told: Vec<String> = told.into_iter().flatten().collect();
        if told.is_empty() { Ok(()) } else { write!(f, " ({})", told.join(", ")) }
    }
}
