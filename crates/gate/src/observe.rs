//! An observed run: what it reaches for is taken down, and its policy opens nothing.
//!
//! Refused as in any run (`deny`), accepted here without a byte leaving (`sink`), or let through (`allow`). The
//! gate of any other run holds none of this: there is no [`Observe`] in it, and the kernel steers it nothing.

mod answer;
mod credential;
mod datagrams;
mod hints;
mod package;
mod request;
mod seen;
mod sink;
mod through;
mod wire;

use std::io;
use std::net::IpAddr;

use claw_ledger::record::{Event, Process};
use claw_model::net::special;
use claw_model::phase::Phase;
use claw_model::protocol::Transport;
use claw_plan::Network;
use claw_policy::{Decision, Host, Policy, Request, Rule, decide, decide_request};
use jiff::Timestamp;

use crate::{Attempt, Gate, Shared, Target};

pub use answer::{Answers, NoPart};
pub(crate) use datagrams::serve as serve_datagrams;
pub(crate) use hints::Hints;
pub(crate) use package::package;
pub(crate) use seen::Said;
pub(crate) use sink::carry as sink;
pub(crate) use through::carry as through;

/// What is done with what an observed run reaches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Refused.
    Deny,
    /// Accepted here. Nothing leaves.
    Sink,
    /// Let through to public addresses.
    Allow,
}

impl Mode {
    /// The mode as records name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Deny => "deny",
            Mode::Sink => "sink",
            Mode::Allow => "allow",
        }
    }
}

/// How a run is observed.
#[derive(Debug, Clone)]
pub struct Observe {
    /// What is done with what it reaches for.
    pub mode: Mode,
    /// Which parts the sink plays, so that a run goes further.
    pub answers: Answers,
    /// Rules that name planes. They open nothing.
    pub labels: Policy,
    /// Whether the agent's own side is asked which package opens a connection.
    pub packages: Packages,
}

/// Whether hooks of Python and Node are put beside the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packages {
    /// They say which package opens a connection.
    Asked,
    /// There are none.
    NotAsked,
}

/// What a record of a flow says beside its decision.
#[derive(Debug, Default)]
pub(crate) struct Label {
    pub(crate) plane: Option<String>,
    pub(crate) rule: Option<String>,
}

/// A flow whose beginning is written down.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    /// Who opened it.
    pub(crate) process: Option<Process>,
    /// The number of its record.
    pub(crate) record: Option<u64>,
}

impl Begun {
    /// Of a record that was written.
    pub(crate) fn of(event: Event, record: Option<u64>) -> Begun {
        match event {
            Event::Connect { process, .. } => Begun { process, record },
            _ => Begun { process: None, record },
        }
    }
}

impl Gate {
    /// From here on what an observed run opens comes to the gate: everything, or every name. Not before the canary was
    /// refused everywhere, as in any run.
    pub fn take_everything(&self) -> io::Result<()> {
        let shared = &self.shared;
        match shared.mode() {
            None | Some(Mode::Deny) => Ok(()),
            Some(Mode::Sink) => shared.steering.open(&shared.network.everything()),
            Some(Mode::Allow) => shared.steering.open(&shared.network.everything_public()),
        }
    }
}

impl Shared {
    /// How the run is observed, if it is.
    pub(crate) fn mode(&self) -> Option<Mode> {
        self.observe.as_ref().map(|observe| observe.mode)
    }

    /// Whether an address is the sandbox's own: loopback, or its name server.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        let own: [IpAddr; 2] = [self.network.own4.into(), self.network.own6.into()];
        address.is_loopback() || own.contains(&address)
    }

    /// Whether every name has addresses.
    pub(crate) fn knows_every_name(&self) -> bool {
        matches!(self.mode(), Some(Mode::Sink | Mode::Allow))
    }

    /// The plane and the place of the rule that would decide about a flow.
    pub(crate) fn label(&self, attempt: &Attempt) -> Label {
        let Some(Observe { labels, .. }) = &self.observe else { return Label::default() };
        let Some(request) = asked(attempt) else { return Label::default() };
        let Decision::Allow(permit) = decide(labels, &request) else { return Label::default() };
        let rule = permit.rule();
        let one = labels.planes(request.phase, rule).len() < 2;
        Label { plane: one.then(|| rule.plane().to_string()), rule: Some(rule.location()) }
    }

    /// The same of a request.
    pub(crate) fn label_request(&self, attempt: &Attempt, method: &str, path: &str) -> Label {
        let Some(Observe { labels, .. }) = &self.observe else { return Label::default() };
        let named =
            |rule: &Rule| Label { plane: Some(rule.plane().to_string()), rule: Some(rule.location()) };
        let Some(request) = asked(attempt) else { return Label::default() };
        if let Ok(permit) = decide_request(labels, &request, method, path) {
            return named(permit.rule());
        }
        match decide(labels, &request) {
            Decision::Allow(permit) if !permit.rule().reads_http() => named(permit.rule()),
            _ => Label::default(),
        }
    }
}

/// The question that the labels answer: everything is judged in one phase.
fn asked(attempt: &Attempt) -> Option<Request<'_>> {
    let host = match &attempt.target {
        Target::Name(name) => Host::Name(name),
        Target::Address(address) => Host::Address(*address),
        Target::Page => return None,
    };
    let Attempt { port, transport, .. } = *attempt;
    Some(Request { phase: Phase::Workload, transport, host, port, now: Timestamp::now() })
}

/// The policy of one flow that is let through: this destination, this port, public addresses. What is dialled needs a permit,
/// and a permit is only to be had from a policy. Questions to name servers are answered here, whatever server is asked.
pub(crate) fn only(network: &Network, target: &Target, port: u16, transport: Transport) -> Option<Policy> {
    let to = match target {
        Target::Name(name) => name.to_string(),
        Target::Address(_) if port == 53 => return None,
        Target::Address(address) if special(*address).is_some() || network.is_pool(*address) => return None,
        Target::Address(IpAddr::V4(address)) => address.to_string(),
        Target::Address(IpAddr::V6(address)) => format!("[{address}]"),
        Target::Page => return None,
    };
    if transport == Transport::Udp && port == 53 {
        return None;
    }
    let rule =
        format!("{{destination: \"{to}:{port}\", plane: tool, purpose: observed, protocol: {transport}}}");
    let text = format!("version: 1\nnetwork_policy:\n  workload:\n    - {rule}\n");
    Policy::parse(&text, "(observed)").ok()
}
