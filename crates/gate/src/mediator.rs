//! DNS inside the sandbox: an allowed name gets the addresses that stand for it, everything else does not exist.
//!
//! No question ever leaves. Whatever server the agent asks, this one answers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use claw_ledger::record::{Decision as Verdict, Event};
use claw_model::destination::Target as RuleTarget;
use claw_model::host::{HostName, HostPattern};
use claw_model::protocol::Transport;
use claw_plan::Opening;
use claw_policy::{Denial, Reason, Resolvable, Rule, resolvable};
use claw_sys::socket;
use claw_wire::dns::{Kind, Query};
use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::names::PAGE;
use crate::{Attempt, Mode, Rules, Shared, datagram, flow, relay, waitable};

/// Starts to answer on both transports and both families.
pub(crate) fn serve(shared: &Rc<Shared>, datagrams: [OwnedFd; 2], streams: [OwnedFd; 2]) -> io::Result<()> {
    for descriptor in datagrams {
        let socket = Rc::new(waitable(descriptor)?);
        let shared = Rc::clone(shared);
        tokio::task::spawn_local(async move {
            let flows = datagram::Flows::new(Rc::clone(&shared), Rc::clone(&socket), 53);
            loop {
                let Ok(mut ready) = socket.readable().await else { return };
                let received = relay::with_buffer(|buffer| {
                    let arrival = socket::receive_from(socket.as_fd(), buffer)?;
                    let question = buffer.get(..arrival.length).unwrap_or_default();
                    if flows.takes(&arrival) {
                        flows.forward(&arrival, question);
                    } else if let Some(answer) = answer(&shared, question, Asked::of(&arrival)) {
                        let _ = socket::send_as(socket.as_fd(), &answer, arrival.destination, arrival.source);
                    }
                    io::Result::Ok(())
                });
                if received.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                    ready.clear_ready();
                }
                // fairness: a queue that never runs dry must not keep others waiting
                tokio::task::yield_now().await;
            }
        });
    }
    for descriptor in streams {
        let listener = TcpListener::from_std(std::net::TcpListener::from(descriptor))?;
        let shared = Rc::clone(shared);
        tokio::task::spawn_local(async move {
            loop {
                let Ok((stream, agent)) = listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                };
                match flow::Slot::take(&shared) {
                    Some(slot) => drop(tokio::task::spawn_local(stream_session(
                        Rc::clone(&shared),
                        stream,
                        agent,
                        slot,
                    ))),
                    None => crowded(&shared, stream, agent),
                }
            }
        });
    }
    Ok(())
}

/// Who asked, and whom.
#[derive(Clone, Copy)]
struct Asked {
    agent: SocketAddr,
    server: SocketAddr,
    transport: Transport,
}

impl Asked {
    fn of(arrival: &socket::Arrival) -> Asked {
        let server = SocketAddr::new(arrival.destination, 53);
        Asked { agent: arrival.source, server, transport: Transport::Udp }
    }
}

/// DNS over TCP (RFC 7766): questions with a length before them, until the client is done or silent. A server that a
/// network rule names literally is relayed instead.
async fn stream_session(shared: Rc<Shared>, mut stream: TcpStream, agent: SocketAddr, slot: flow::Slot) {
    let Ok(server) = stream.local_addr() else { return };
    let asked = Asked { agent, server, transport: Transport::Tcp };
    let target = shared.target(server.ip());
    let attempt =
        Attempt { target, port: 53, transport: Transport::Tcp, agent, destination: server, process: None };
    if matches!(shared.decide(&attempt), claw_policy::Decision::Allow(_)) {
        return Box::pin(flow::carry(shared, stream, attempt, slot)).await;
    }
    let Some(_session) = Session::begin(&shared) else { return crowded(&shared, stream, agent) };
    for _ in 0..MOST_QUESTIONS {
        let mut length = [0u8; 2];
        let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut length)).await;
        let Ok(Ok(_)) = read else { return };
        let mut question = vec![0u8; usize::from(u16::from_be_bytes(length))];
        let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut question)).await;
        let Ok(Ok(_)) = read else { return };
        let Some(answer) = answer(&shared, &question, asked) else { return };
        let Ok(length) = u16::try_from(answer.len()) else { return };
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(&answer);
        let written = tokio::time::timeout(PATIENCE, stream.write_all(&framed)).await;
        let Ok(Ok(())) = written else { return };
    }
}

/// More DNS sessions over TCP than are served: refused, and written down.
fn crowded(shared: &Shared, stream: TcpStream, agent: SocketAddr) {
    if let Ok(server) = stream.local_addr() {
        let target = shared.target(server.ip());
        let attempt = Attempt {
            target,
            port: 53,
            transport: Transport::Tcp,
            agent,
            destination: server,
            process: None,
        };
        let sentence = "too many DNS sessions over TCP are open".to_owned();
        shared.denied_because(&attempt, None, Reason::Limit, sentence);
    }
    flow::reset(stream);
}

/// One of the few DNS sessions over TCP that may be open at the same time.
struct Session<'a>(&'a Shared);

impl Session<'_> {
    fn begin(shared: &Shared) -> Option<Session<'_>> {
        let open = shared.questions.get();
        (open < MOST_SESSIONS).then(|| {
            shared.questions.set(open.saturating_add(1));
            Session(shared)
        })
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.0.questions.set(self.0.questions.get().saturating_sub(1));
    }
}

/// The answer to one question; `None` where silence is right.
fn answer(shared: &Shared, question: &[u8], asked: Asked) -> Option<Vec<u8>> {
    let query = match Query::parse(question) {
        Ok(query) if asked.transport == Transport::Tcp => query.over_stream(),
        Ok(query) => query,
        Err(error) => return error.answer(),
    };
    if shared.mode() == Some(Mode::Sink) && !shared.is_own(asked.server.ip()) {
        elsewhere(shared, asked);
    }
    if let Some(address) = query.reverse() {
        let name = shared.names.borrow().reverse(address);
        return Some(name.map_or_else(|| query.refuse("no name"), |name| query.ptr(&name)));
    }
    match query.name() {
        "localhost" => return Some(local(&query, Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST)),
        PAGE => return Some(page(shared, &query)),
        _ => {}
    }
    let Ok(name) = HostName::parse(query.name()) else {
        let sentence = "not a host name".to_owned();
        let denial = Denial { reason: Reason::InvalidName, rule: None, sentence, suggestion: None };
        return Some(refuse(shared, &query, &denial, asked));
    };
    if shared.knows_every_name() {
        return Some(observed(shared, &query, &name, asked));
    }
    let Rules { policy, phase } = shared.rules();
    match resolvable(&policy, phase, &name, Timestamp::now()) {
        Resolvable::No(denial) => Some(refuse(shared, &query, &denial, asked)),
        Resolvable::Yes(rules) => Some(allow(shared, &query, &name, &rules, asked)),
    }
}

/// Gives the name its addresses, opens its ports in the kernel, and writes both down first.
fn allow(
    shared: &Shared,
    query: &Query,
    name: &HostName,
    rules: &[std::sync::Arc<Rule>],
    asked: Asked,
) -> Vec<u8> {
    let limit = || {
        let sentence = "the wildcard has given out all the names that one run may have".to_owned();
        Denial { reason: Reason::Limit, rule: rules.first().cloned(), sentence, suggestion: None }
    };
    let by_name = |rule: &&std::sync::Arc<Rule>| {
        matches!(&rule.destination().target, RuleTarget::Name(HostPattern::Exact(_)))
    };
    let wildcard = match rules.iter().find(by_name) {
        Some(_) => None,
        None => rules.first().map(|rule| rule.destination().target.to_string()),
    };
    let Some(place) = shared.names.borrow_mut().place(name, wildcard.as_deref()) else {
        return refuse(shared, query, &limit(), asked);
    };
    let event = Event::Dns {
        name: name.to_string(),
        record_type: kind(query.kind()),
        decision: Verdict::Allow,
        rule: rules.first().map(|rule| rule.location()),
        reason: None,
        process: shared.who.borrow_mut().process(asked.transport, asked.agent, asked.server),
    };
    if shared.journal.write(&event, None).is_err() {
        return query.servfail("the ledger cannot be written, so nothing is permitted");
    }
    let (v4, v6) = place.addresses;
    if place.fresh {
        if shared.steering.open(&openings(rules, v4, v6)).is_err() {
            return query.servfail("the kernel did not take the address");
        }
        shared.names.borrow_mut().opened(place);
    }
    local(query, v4, v6)
}

/// An observed run: every name has addresses, and the kernel steers them to the gate already.
fn observed(shared: &Shared, query: &Query, name: &HostName, asked: Asked) -> Vec<u8> {
    let Some(place) = shared.names.borrow_mut().observed(name) else {
        let sentence = "an observed run has looked up all the names that it may".to_owned();
        let denial = Denial { reason: Reason::Limit, rule: None, sentence, suggestion: None };
        return refuse(shared, query, &denial, asked);
    };
    let decision = if shared.mode() == Some(Mode::Allow) { Verdict::Allow } else { Verdict::Sink };
    let event = Event::Dns {
        name: name.to_string(),
        record_type: kind(query.kind()),
        decision,
        rule: None,
        reason: None,
        process: shared.who.borrow_mut().process(asked.transport, asked.agent, asked.server),
    };
    if shared.journal.write(&event, None).is_err() {
        return query.servfail("the ledger cannot be written, so nothing is permitted");
    }
    let (v4, v6) = place.addresses;
    local(query, v4, v6)
}

/// A question to a server that the agent chose: it was answered here, and that server was reached for.
fn elsewhere(shared: &Shared, asked: Asked) {
    let attempt = Attempt {
        target: shared.target(asked.server.ip()),
        port: asked.server.port(),
        transport: asked.transport,
        agent: asked.agent,
        destination: asked.server,
        process: None,
    };
    let label = shared.label(&attempt);
    let event = shared.connect(&attempt, Verdict::Sink, |fields| {
        (fields.plane, fields.rule) = (label.plane, label.rule);
    });
    // it was reached for, written down or not, and nothing left
    let _ = shared.journal.write(&event, None);
}

/// The live pairs of a name: every port that a rule names for it.
pub(crate) fn openings(rules: &[std::sync::Arc<Rule>], v4: Ipv4Addr, v6: Ipv6Addr) -> Vec<Opening> {
    let mut openings: Vec<Opening> = Vec::new();
    for rule in rules {
        let transport = rule.protocol().transport();
        for ports in rule.destination().ports.ranges() {
            for address in [IpAddr::V4(v4), IpAddr::V6(v6)] {
                openings.push(Opening { from: address, to: address, transport, ports: *ports });
            }
        }
    }
    // few single ports go to the hash set one by one; wide ranges are boxes
    let split = |opening: Opening| {
        let (from, to) = opening.ports;
        let few = to.saturating_sub(from) < 16;
        let singles = (from..=to).take(if few { usize::MAX } else { 0 }).map(|port| (port, port));
        let ports = singles.chain((!few).then_some((from, to)));
        ports.map(move |ports| Opening { ports, ..opening })
    };
    claw_plan::apart(&openings).into_iter().flat_map(split).collect()
}

/// What is steered to the gate for the names that were looked up so far, as the rules are now.
pub(crate) fn names_open(shared: &Shared, rules: &Rules) -> Vec<Opening> {
    let now = Timestamp::now();
    let mut names = shared.names.borrow_mut();
    let mut openings_of_all = Vec::new();
    for (name, (v4, v6)) in names.hosts() {
        if let Resolvable::Yes(found) = resolvable(&rules.policy, rules.phase, &name, now) {
            openings_of_all.extend(openings(&found, v4, v6));
        }
    }
    if let Some(place) = names.page() {
        let (v4, v6) = place.addresses;
        openings_of_all.extend([IpAddr::V4(v4), IpAddr::V6(v6)].map(page_opening));
        names.opened(place);
    }
    openings_of_all
}

fn page_opening(address: IpAddr) -> Opening {
    Opening { from: address, to: address, transport: Transport::Tcp, ports: (80, 80) }
}

/// The gate's own page exists for everyone inside.
fn page(shared: &Shared, query: &Query) -> Vec<u8> {
    let Some(place) = shared.names.borrow_mut().page() else { return query.servfail("no address is left") };
    let (v4, v6) = place.addresses;
    if place.fresh {
        if shared.steering.open(&[v4.into(), v6.into()].map(page_opening)).is_err() {
            return query.servfail("the kernel did not take the address");
        }
        shared.names.borrow_mut().opened(place);
    }
    local(query, v4, v6)
}

fn local(query: &Query, v4: Ipv4Addr, v6: Ipv6Addr) -> Vec<u8> {
    match query.kind() {
        Kind::A | Kind::Aaaa => query.addresses(&[v4.into(), v6.into()], TIME_TO_LIVE),
        // HTTPS and SVCB would carry keys for encrypted hellos and other addresses
        _ => query.nodata(),
    }
}

fn refuse(shared: &Shared, query: &Query, denial: &Denial, asked: Asked) -> Vec<u8> {
    let event = Event::Dns {
        name: query.name().to_owned(),
        record_type: kind(query.kind()),
        decision: Verdict::Deny,
        rule: denial.rule.as_ref().map(|rule| rule.location()),
        reason: Some(denial.reason.code().to_owned()),
        process: shared.who.borrow_mut().process(asked.transport, asked.agent, asked.server),
    };
    // a refusal that cannot be written is still a refusal
    let _ = shared.journal.write(&event, denial.suggestion.as_deref());
    query.refuse(&format!("{}: {}", denial.reason.code(), denial.sentence))
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::A => "A".to_owned(),
        Kind::Aaaa => "AAAA".to_owned(),
        Kind::Https => "HTTPS".to_owned(),
        Kind::Svcb => "SVCB".to_owned(),
        Kind::Ptr => "PTR".to_owned(),
        Kind::Other(number) => format!("TYPE{number}"),
    }
}

/// Seconds. The address lasts as long as the run; a short time only keeps caches of other programs honest.
const TIME_TO_LIVE: u32 = 60;
const MOST_QUESTIONS: u32 = 10_000;
const MOST_SESSIONS: usize = 64;
const PATIENCE: Duration = Duration::from_secs(10);
