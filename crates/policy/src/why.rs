//! Why: the answer to one question about a policy, naming the rule and line that decide it.

use claw_model::destination::{Destination, Target};
use claw_model::host::HostPattern;
use claw_model::phase::Phase;
use claw_model::protocol::Transport;
use jiff::Timestamp;

use crate::decide::{Decision, Denial, Host, Permit, Request, decide, decide_request};
use crate::leads::{leads, networks};
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

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `HOST:PORT`, `HOST:PORT/udp`, or `HOST` for port 443.
    pub destination: &'a str,
    /// The method and the path of an HTTP request, if one is meant.
    pub request: Option<(&'a str, &'a str)>,
    /// In which phase.
    pub phase: Phase,
    /// When.
    pub now: Timestamp,
}

/// Explains what this policy says of a destination, or of one HTTP request to it.
pub fn why(policy: &Policy, question: Asked<'_>) -> Why {
    let Asked { destination, request, phase, now } = question;
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
        Ok((host, port)) => {
            let flow = Request { phase, transport, host, port, now };
            let Some((method, path)) = request else {
                return match decide(policy, &flow) {
                    Decision::Allow(permit) => led(policy, &flow, permit.rule(), allowed(&permit)),
                    Decision::Deny(denial) => denied(&denial),
                };
            };
            let path = path.split(['?', '#']).next().unwrap_or(path);
            match decide_request(policy, &flow, method, path) {
                Ok(permit) => {
                    let answer = request_answer(&flow, method, path, permit.rule());
                    led(policy, &flow, permit.rule(), answer)
                }
                Err(denial) => denied(&denial),
            }
        }
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

fn allowed(permit: &Permit) -> Why {
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

fn denied(denial: &Denial) -> Why {
    refused(denial.reason, denial.rule.as_deref(), denial.sentence.clone(), denial.suggestion.clone())
}

/// The answer with what is known of where the name leads: the addresses that its rule spells are judged, and of what it
/// resolves to it is said what closes some of it.
fn led(policy: &Policy, flow: &Request<'_>, rule: &Rule, allowed: Why) -> Why {
    if matches!(flow.host, Host::Address(_)) {
        return allowed;
    }
    if let Some(addresses) = rule.addresses() {
        let all: Result<Vec<_>, ()> =
            addresses.iter().map(|address| leads(policy, flow, rule, *address).err().ok_or(())).collect();
        let first = all.ok().and_then(|all| all.into_iter().next());
        return first.map_or(allowed, |denial| denied(&denial));
    }
    let mut closing = networks(policy, flow, rule);
    let Some(first) = closing.next() else { return allowed };
    let more = match closing.count() {
        0 => "closes".to_owned(),
        more => format!("or {more} more close"),
    };
    let (network, place) = (&first.destination, first.location());
    Why {
        sentence: format!("{}; not at an address that `{network}` ({place}) {more}", allowed.sentence),
        ..allowed
    }
}

fn request_answer(flow: &Request<'_>, method: &str, path: &str, rule: &Rule) -> Why {
    let (host, port) = (flow.host, flow.port);
    let (location, plane, purpose) = (rule.location(), rule.plane(), rule.purpose());
    let unread = if rule.reads_http() { "" } else { "; the gate does not read its requests" };
    let sentence = format!(
        "{method} {path} on {host}:{port} is allowed by {location} on plane {plane}: {purpose}{unread}"
    );
    Why { decision: "allow", reason: None, ..by(Some(rule), sentence) }
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
