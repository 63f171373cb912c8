//! Why: the answer to one question about a policy, naming the rule and line that decide it.

use claw_model::destination::{Destination, Target};
use claw_model::host::HostPattern;
use claw_model::phase::Phase;
use claw_model::protocol::Transport;
use jiff::Timestamp;

use crate::decide::{Decision, Host, Request, decide};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::rule::Rule;

/// The answer, with stable field names.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Why {
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// The code of the reason; `None` when allowed.
    pub reason: Option<&'static str>,
    /// The deciding rule as `file:line`.
    pub rule: Option<String>,
    /// The line of the deciding rule.
    pub line: Option<u32>,
    /// Its plane.
    pub plane: Option<&'static str>,
    /// Its purpose.
    pub purpose: Option<String>,
    /// How well the flow is known.
    pub assurance: Option<&'static str>,
    /// The answer for a person.
    pub sentence: String,
    /// The rule that would allow it.
    pub suggestion: Option<String>,
}

/// Explains what this policy says of a destination in a phase: `HOST:PORT`, `HOST:PORT/udp`, or `HOST` for port
/// 443.
pub fn why(policy: &Policy, destination: &str, phase: Phase, now: Timestamp) -> Why {
    let (text, transport) = match destination.rsplit_once('/') {
        Some((text, "udp" | "UDP")) => (text, Transport::Udp),
        Some((text, "tcp" | "TCP")) => (text, Transport::Tcp),
        _ => (destination, Transport::Tcp),
    };
    let parsed = Destination::parse(text)
        .or_else(|error| Destination::parse(&format!("{text}:443")).map_err(|_| error));
    let asked = match &parsed {
        Ok(parsed) => {
            asked(parsed).ok_or_else(|| "ask for one host and one port, as `example.com:443`".to_owned())
        }
        Err(error) => Err(error.to_string()),
    };
    match asked {
        Ok((host, port)) => answer(&decide(policy, &Request { phase, transport, host, port, now })),
        Err(what) => refused(Reason::InvalidName, None, what, None),
    }
}

/// One host and one port.
fn asked(destination: &Destination) -> Option<(Host<'_>, u16)> {
    let port = match destination.ports.ranges() {
        [(first, last)] if first == last => *first,
        _ => return None,
    };
    match &destination.target {
        Target::Name(HostPattern::Exact(name)) => Some((Host::Name(name), port)),
        Target::Name(HostPattern::Below(_)) => None,
        Target::Net(net) => Some((Host::Address(net.host()?), port)),
    }
}

fn answer(decision: &Decision) -> Why {
    match decision {
        Decision::Allow(permit) => {
            let rule = permit.rule();
            let sentence = format!(
                "{}:{} is allowed by {} on plane {}: {}",
                permit.host(),
                permit.port(),
                rule.location(),
                rule.plane(),
                rule.purpose()
            );
            Why { decision: "allow", reason: None, ..by(Some(rule), sentence) }
        }
        Decision::Deny(denial) => {
            refused(denial.reason, denial.rule.as_deref(), denial.sentence.clone(), denial.suggestion.clone())
        }
    }
}

fn refused(reason: Reason, rule: Option<&Rule>, sentence: String, suggestion: Option<String>) -> Why {
    Why { decision: "deny", reason: Some(reason.code()), suggestion, ..by(rule, sentence) }
}

fn by(rule: Option<&Rule>, sentence: String) -> Why {
    Why {
        decision: "deny",
        reason: None,
        rule: rule.map(Rule::location),
        line: rule.map(Rule::line),
        plane: rule.and_then(|rule| rule.plane).map(|plane| plane.as_str()),
        purpose: rule.map(|rule| rule.purpose().to_owned()).filter(|purpose| !purpose.is_empty()),
        assurance: rule.filter(|rule| rule.list.phase().is_some()).map(|rule| rule.assurance().as_str()),
        sentence,
        suggestion: None,
    }
}
