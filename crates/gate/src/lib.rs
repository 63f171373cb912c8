//! The only door. It stands outside the sandbox, answers DNS with addresses that stand for names, accepts what the
//! agent opens, decides by the policy, and dials out itself by name.
//!
//! A socket to the outside is opened in `dial` and `datagram` only, and only from a `Permit`. Every decision is in the
//! journal before it takes effect; when the journal cannot be written, nothing is permitted. One thread, no locks.

mod asked;
mod authority;
mod broker;
mod budget;
mod change;
mod datagram;
mod dial;
mod flow;
mod guard;
mod journal;
mod live;
mod mediator;
mod names;
mod observe;
mod page;
mod refusal;
mod relay;
mod trust;
mod web;
mod who;

pub use authority::{Authority, AuthorityError};
pub use change::{Cause, Refused, Status};
pub use dial::LOOKUP_SOCKETS;
pub use journal::{Journal, Unwritable};
pub use live::Seen;
pub use observe::{Answers, Mode, NoPart, Observe, Packages};
pub use trust::{Material, Roots, RootsError, java_store};

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use claw_enforce::{Door, Steering};
use claw_ledger::record::{Decision as Verdict, Event, Process};
use claw_model::assurance::Assurance;
use claw_model::host::HostName;
use claw_model::phase::Phase;
use claw_model::protocol::Transport;
use claw_plan::Network;
use claw_policy::{
    Decision, Denial, Host, Permit, PermitHost, Policy, Reason, Regime as Rules, Request, Rule, decide,
};
use jiff::Timestamp;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::dial::Dialer;
use crate::live::Flow;
use crate::names::Names;
use crate::observe::{Begun, Hints};
use crate::who::Who;

/// What a gate decides by and writes to.
pub struct Settings {
    /// The policy.
    pub policy: Policy,
    /// The phase.
    pub phase: Phase,
    /// The sandbox's network.
    pub network: Network,
    /// Where decisions are written.
    pub journal: Rc<dyn Journal>,
    /// Connections at the same time.
    pub ceiling: usize,
    /// Names that are looked up at the same time; each may take [`LOOKUP_SOCKETS`] beside what connections take.
    pub lookups: usize,
    /// Whom to believe outside, for this policy.
    pub roots: Roots,
    /// Signs for the hosts whose TLS the gate ends; trusted inside the sandbox.
    pub authority: Option<Authority>,
    /// How the run is observed, if it is.
    pub observe: Option<Observe>,
}

/// A gate that serves one sandbox.
pub struct Gate {
    shared: Rc<Shared>,
    refusals: Rc<refusal::Log>,
}

/// What all parts of the gate see.
pub(crate) struct Shared {
    rules: RefCell<Rules>,
    network: Network,
    journal: Rc<dyn Journal>,
    ceiling: usize,
    authority: Option<Authority>,
    observe: Option<Observe>,
    roots: RefCell<Rc<Roots>>,
    flows: live::Flows,
    budgets: budget::Budgets,
    /// Rules that were past their date then have been dealt with.
    expired: Cell<Timestamp>,
    open: Cell<usize>,
    /// Connections that speak HTTP/2.
    multiplexed: Cell<usize>,
    held: Cell<usize>,
    questions: Cell<usize>,
    /// Replies of the parts that an observed run plays.
    replies: Cell<u64>,
    /// What hooks inside say of packages.
    hints: RefCell<Hints>,
    names: RefCell<Names>,
    steering: Steering,
    who: RefCell<Who>,
    dialer: Dialer,
    /// The rules have changed.
    changed: tokio::sync::Notify,
    probes: Cell<u8>,
    probed: tokio::sync::Notify,
    closing: tokio::sync::Notify,
}

/// Where a flow wants to go, in the gate's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A name that a virtual address stands for.
    Name(HostName),
    /// A literal address.
    Address(IpAddr),
    /// The gate's own page.
    Page,
}

/// Bytes that the gate holds for an agent before it is clear where they go: all flows together may hold so many.
pub(crate) struct Held<'a> {
    total: &'a Cell<usize>,
    own: usize,
}

impl<'a> Held<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Held<'a> {
        Held { total: &shared.held, own: 0 }
    }

    /// Takes room for more bytes, if there is any.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let total = self.total.get().saturating_add(bytes);
        if total > MOST_HELD {
            return false;
        }
        self.total.set(total);
        self.own = self.own.saturating_add(bytes);
        true
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.total.set(self.total.get().saturating_sub(self.own));
    }
}

/// One bit for each probe of the canary.
pub(crate) const ALL_PROBES: u8 = (1 << claw_enforce::PROBES.len()) - 1;
const MOST_HELD: usize = 16 << 20;

/// A flow as it is judged and written down.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    target: Target,
    port: u16,
    transport: Transport,
    agent: SocketAddr,
    destination: SocketAddr,
    /// Who asks, where that is known already.
    process: Option<Process>,
}

impl Gate {
    /// Takes the door and starts to serve it, on the current thread's local task set.
    pub fn open(settings: Settings, door: Door) -> std::io::Result<Gate> {
        let Door {
            listeners,
            dns_datagrams,
            dns_streams,
            refusals,
            steering,
            diagnosis,
            datagrams,
            catch_all,
            answers,
            packages,
        } = door;
        let mut who = Who::new(diagnosis);
        who.names_packages = settings.observe.is_some();
        let shared = Rc::new(Shared {
            rules: RefCell::new(Rules { policy: settings.policy, phase: settings.phase }),
            authority: settings.authority,
            observe: settings.observe,
            roots: RefCell::new(Rc::new(settings.roots)),
            flows: live::Flows::default(),
            budgets: budget::Budgets::default(),
            expired: Cell::new(Timestamp::now()),
            names: RefCell::new(Names::new(settings.network.clone())),
            network: settings.network,
            journal: settings.journal,
            ceiling: settings.ceiling,
            open: Cell::new(0),
            multiplexed: Cell::new(0),
            held: Cell::new(0),
            questions: Cell::new(0),
            replies: Cell::new(0),
            hints: RefCell::new(Hints::on(packages)),
            steering,
            who: RefCell::new(who),
            dialer: Dialer::new(settings.lookups),
            changed: tokio::sync::Notify::new(),
            probes: Cell::new(0),
            probed: tokio::sync::Notify::new(),
            closing: tokio::sync::Notify::new(),
        });
        for listener in listeners {
            flow::serve(Rc::clone(&shared), listener)?;
        }
        mediator::serve(&shared, dns_datagrams, dns_streams)?;
        datagram::serve(&shared, datagrams)?;
        match (shared.mode(), catch_all, answers) {
            (Some(Mode::Sink), Some(sockets), _) => observe::serve_datagrams(&shared, sockets)?,
            (Some(Mode::Allow), Some(sockets), Some(answers)) => {
                datagram::serve_every_port(&shared, sockets, answers)?;
            }
            _ => {}
        }
        let refusals = refusal::Log::serve(&shared, refusals)?;
        Ok(Gate { shared, refusals })
    }

    /// Reads how this machine resolves names (hosts(5), resolv.conf(5)). Not needed where no rule can ever name a host.
    pub fn read_resolver(&self) {
        self.shared.dialer.read_resolver();
    }

    /// Gives the sandbox's `/proc`, so that records can name processes.
    pub fn identify(&self, processes: Rc<OwnedFd>) {
        self.shared.who.borrow_mut().processes = Some(processes);
    }

    /// Waits until the kernel's log has shown every refusal of the canary: refusals are recorded, then.
    pub async fn hears_refusals(&self) {
        while self.shared.probes.get() != ALL_PROBES {
            self.shared.probed.notified().await;
        }
    }

    /// The agent has ended: what it was refused last is written down, and datagram flows, which have no end of their own, end.
    pub fn close(&self) {
        self.refusals.drain(&self.shared);
        self.shared.closing.notify_waiters();
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.shared.open.get()
    }
}

impl Shared {
    /// Which name, if any, a destination stands for.
    fn target(&self, address: IpAddr) -> Target {
        match self.network.index(address).and_then(|index| self.names.borrow().name(index)) {
            Some(names::Entry::Host(name)) => Target::Name(name),
            Some(names::Entry::Page) => Target::Page,
            None => Target::Address(address),
        }
    }

    /// The policy's answer. The address of no name, inside the pool, is an address like any other: refused.
    fn decide(&self, attempt: &Attempt) -> Decision {
        let host = match &attempt.target {
            Target::Name(name) => Host::Name(name),
            Target::Address(address) => Host::Address(*address),
            Target::Page => Host::Address(attempt.destination.ip()),
        };
        let now = Timestamp::now();
        let Attempt { port, transport, .. } = *attempt;
        let rules = self.rules.borrow();
        if self.mode() == Some(Mode::Allow)
            && let Some(policy) = observe::only(&self.network, &attempt.target, port, transport)
        {
            return decide(&policy, &Request { phase: Phase::Workload, transport, host, port, now });
        }
        rules.decide(&Request { phase: rules.phase, transport, host, port, now })
    }

    /// What holds now.
    fn rules(&self) -> Rules {
        self.rules.borrow().clone()
    }

    /// Writes an allowed connection down, under the rule that permits it now. Only then may it be dialled.
    fn allowed(&self, flow: &Flow, permit: &Permit) -> Result<Begun, Unwritable> {
        let (attempt, rule) = (&flow.attempt, flow.rule());
        let Rules { policy, phase } = self.rules();
        let event = self.connect(attempt, Verdict::Allow, |fields| {
            // no rule let it through
            if self.observe.is_some() {
                return fields.plane = self.label(attempt).plane;
            }
            // a connection whose requests may be on several planes is on none by itself
            let planes = policy.planes(phase, &rule);
            fields.plane = (planes.len() < 2).then(|| rule.plane().to_string());
            fields.rule = Some(rule.location());
            fields.assurance = Some(assurance(permit.host(), &rule).to_string());
        });
        let record = self.journal.write(&event, None)?;
        Ok(Begun::of(event, record))
    }

    /// Writes a refusal down, with the rule that would allow it.
    fn denied(&self, attempt: &Attempt, denial: &Denial) {
        let event = self.connect(attempt, Verdict::Deny, |fields| {
            fields.rule = denial.rule.as_ref().map(|rule| rule.location());
            let plane = denial.rule.as_ref().map(|rule| rule.plane().to_string());
            fields.plane = plane.or_else(|| self.label(attempt).plane);
            fields.reason = Some(denial.reason.code().to_owned());
            fields.sentence = Some(denial.sentence.clone());
        });
        // a refusal that cannot be written is still a refusal
        let _ = self.journal.write(&event, denial.suggestion.as_deref());
    }

    /// Refuses by a reason that only the gate can see.
    fn denied_because(&self, attempt: &Attempt, rule: Option<&Arc<Rule>>, reason: Reason, sentence: String) {
        let rule = rule.cloned();
        self.denied(attempt, &Denial { reason, rule, sentence, suggestion: None });
    }

    /// The process, with the package that its own side names for this.
    fn with_hint(&self, process: Process, attempt: &Attempt) -> Process {
        let mut hints = self.hints.borrow_mut();
        if !hints.are_heard() {
            return process;
        }
        hints.hear(|host| match host.parse() {
            Ok(address) => self.target(address).name(),
            Err(_) => host.to_ascii_lowercase(),
        });
        let via = hints.of(process.pid, &attempt.name(), attempt.port, Instant::now());
        Process { via, ..process }
    }

    fn connect(&self, attempt: &Attempt, decision: Verdict, fill: impl FnOnce(&mut Fields)) -> Event {
        let mut fields = Fields::default();
        fill(&mut fields);
        let look = || self.who.borrow_mut().process(attempt.transport, attempt.agent, attempt.destination);
        let process = attempt.process.clone().or_else(look);
        let process = process.map(|process| self.with_hint(process, attempt));
        Event::Connect {
            destination: attempt.name(),
            port: attempt.port,
            protocol: attempt.transport.to_string(),
            phase: self.rules.borrow().phase.to_string(),
            plane: fields.plane,
            decision,
            rule: fields.rule,
            reason: fields.reason,
            sentence: fields.sentence,
            assurance: fields.assurance,
            process,
        }
    }
}

impl Attempt {
    /// The name that was asked for, if it was one.
    fn name_asked(&self) -> Option<Host<'_>> {
        match &self.target {
            Target::Name(name) => Some(Host::Name(name)),
            Target::Address(_) | Target::Page => None,
        }
    }

    /// How records and people name the destination.
    fn name(&self) -> String {
        self.target.name()
    }
}

impl Target {
    fn name(&self) -> String {
        match self {
            Target::Name(name) => name.to_string(),
            Target::Address(address) => address.to_string(),
            Target::Page => names::PAGE.to_owned(),
        }
    }
}

#[derive(Default)]
struct Fields {
    plane: Option<String>,
    rule: Option<String>,
    reason: Option<String>,
    sentence: Option<String>,
    assurance: Option<String>,
}

/// How strongly the destination is bound: a literal address never more than `network`.
fn assurance(host: &PermitHost, rule: &Rule) -> Assurance {
    match host {
        PermitHost::Address(_) if !rule.reads_http() => Assurance::Network,
        PermitHost::Address(_) => Assurance::Http,
        PermitHost::Name(_) => rule.assurance(),
    }
}

/// A descriptor that the runtime waits on for something to read.
#[expect(
    deprecated,
    reason = "the replacement is unsafe for types whose descriptor may change; these own one for good"
)]
pub(crate) fn waitable<T: std::os::fd::AsRawFd + std::os::fd::AsFd>(
    descriptor: T,
) -> std::io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}
