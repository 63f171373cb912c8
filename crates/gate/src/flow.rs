//! One connection: judged, checked, dialled, relayed, closed.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use claw_enforce::Wall;
use claw_model::host::HostName;
use claw_model::protocol::Transport;
use claw_policy::{Decision, Permit, PermitHost, Reason};
use claw_sys::socket;
use claw_wire::tls::{self, Answered, Peek, Sni, Then};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::budget::{Counted, Way};
use crate::dial::DialError;
use crate::live::{Flow, Open};
use crate::{Attempt, Held, Mode, Shared, Target, observe, page, relay, web};

/// A place among the connections that may be open at the same time.
pub(crate) struct Slot(Rc<Shared>);

impl Slot {
    /// Takes a place, if one is left.
    pub(crate) fn take(shared: &Rc<Shared>) -> Option<Slot> {
        if shared.open.get() >= shared.ceiling {
            return None;
        }
        shared.open.set(shared.open.get().saturating_add(1));
        Some(Slot(Rc::clone(shared)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
    }
}

/// Accepts on a transparent listener: a connection's own address is the destination that the agent chose.
pub(crate) fn serve(shared: Rc<Shared>, listener: OwnedFd) -> io::Result<()> {
    // the agent's side never leaves this machine; how it is faster than the host's choice is no condition
    let _ = socket::unpaced(&listener);
    let listener = TcpListener::from_std(std::net::TcpListener::from(listener))?;
    tokio::task::spawn_local(async move {
        loop {
            let (stream, agent) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(_) => {
                    // out of descriptors: what waits in the queue is taken up when one is free again
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
            };
            let Ok(destination) = stream.local_addr() else { continue };
            let attempt = Attempt {
                target: shared.target(destination.ip()),
                port: destination.port(),
                transport: Transport::Tcp,
                agent,
                destination,
                process: None,
            };
            let Some(slot) = Slot::take(&shared) else {
                let sentence = format!(
                    "{} connections are open, as many as the descriptor limit allows",
                    shared.ceiling
                );
                shared.denied_because(&attempt, None, Reason::Limit, sentence);
                reset(stream);
                continue;
            };
            tokio::task::spawn_local(carry(Rc::clone(&shared), stream, attempt, slot));
        }
    });
    Ok(())
}

/// Takes one connection from its first packet to its end.
pub(crate) async fn carry(shared: Rc<Shared>, mut stream: TcpStream, attempt: Attempt, slot: Slot) {
    if attempt.target == Target::Page {
        return page::answer(&shared, stream).await;
    }
    match shared.mode() {
        Some(Mode::Sink) => return Box::pin(observe::sink(shared, stream, attempt, slot)).await,
        Some(Mode::Allow) => return Box::pin(observe::through(shared, stream, attempt, slot)).await,
        Some(Mode::Deny) | None => {}
    }
    let permit = match shared.decide(&attempt) {
        Decision::Allow(permit) => permit,
        Decision::Deny(denial) => {
            shared.denied(&attempt, &denial);
            return reset(stream);
        }
    };
    // where requests are read, they are what is counted
    let counted = match permit.rule().reads_http() {
        true => Ok(Counted::default()),
        false => shared.budgets.begin(permit.rule()),
    };
    let counted = match counted {
        Ok(counted) => counted,
        Err(sentence) => {
            shared.denied_because(&attempt, Some(permit.rule()), Reason::Limit, sentence);
            return reset(stream);
        }
    };
    let _ = stream.set_nodelay(true);
    // order: in the list before anything is waited for, so that a change of the policy meets it
    let open = Open::enter(&shared, attempt, &permit, counted);
    let flow = Rc::clone(open.flow());
    let attempt = &flow.attempt;
    let mut first = Vec::new();
    if permit.rule().protocol().is_tls() && claw_enforce::stands(Wall::Handshake) {
        let mut held = Held::new(&shared);
        let said = tokio::select! {
            biased;
            () = flow.stop.called() => return taken_back(&shared, attempt, stream),
            said = Box::pin(hello(&mut stream, &mut first, &mut held)) => said,
        };
        let refusal = match said {
            Ok(()) => check(&permit, &first),
            // opened and closed without a word, as clients do that try both families at once: nothing was asked
            Err(_) if first.is_empty() => return,
            Err(refusal) => Err(refusal),
        };
        if let Err(Refusal { reason, sentence, alert }) = refusal {
            shared.denied_because(attempt, Some(&flow.rule()), reason, sentence);
            return Box::pin(alert_and_close(stream, alert)).await;
        }
    }
    if permit.rule().reads_http() {
        // boxed, as what follows: a connection that is relayed must not hold room for what it passed through
        return Box::pin(web::serve(&shared, open, permit, stream, first, slot)).await;
    }
    // the policy may change while a name is looked up
    let addresses = tokio::select! {
        biased;
        () = flow.stop.called() => return taken_back(&shared, attempt, stream),
        addresses = Box::pin(open.resolve(&permit)) => addresses,
    };
    let mut addresses = match addresses {
        Ok(addresses) => addresses,
        Err(error) => return not_dialled(&shared, &open, &permit, error, stream),
    };
    // order: written down before it takes effect
    match shared.allowed(&flow, &permit) {
        Ok(begun) => open.begun(begun),
        Err(_) => return reset(stream),
    }
    let rest = after_hello(&permit, &mut first);
    let dialled = async {
        flow.take(Way::Out, first.len())?;
        addresses.dial(&first).await
    };
    let dialled = tokio::select! {
        biased;
        () = flow.stop.called() => Err(io::ErrorKind::PermissionDenied.into()),
        dialled = Box::pin(dialled) => dialled,
    };
    let end = match dialled {
        Ok(mut upstream) => {
            drop(first);
            let settled = match rest {
                Some(rest) => {
                    Box::pin(settle(&mut stream, &mut upstream, (&shared, &flow), (&permit, rest))).await
                }
                None => Settled::Goes,
            };
            match settled {
                Settled::Goes => relay::run(stream, upstream, &flow).await,
                Settled::Refused(Refusal { reason, sentence, alert }) => {
                    shared.denied_because(&flow.attempt, Some(&flow.rule()), reason, sentence);
                    reset(upstream);
                    Box::pin(alert_and_close(stream, alert)).await;
                    reason.code()
                }
                Settled::Failed(error) => {
                    reset(stream);
                    reset(upstream);
                    relay::ended(&error, &flow)
                }
            }
        }
        Err(error) => {
            reset(stream);
            match error.kind() {
                io::ErrorKind::PermissionDenied if flow.stop.is_called() => "revoked",
                io::ErrorKind::QuotaExceeded if flow.limit().is_some() => "limit",
                _ => "unreachable",
            }
        }
    };
    if let Some(sentence) = flow.limit() {
        shared.denied_because(&flow.attempt, Some(&flow.rule()), Reason::Limit, sentence);
    }
    flow.ends(end);
    drop((addresses, open, slot));
}

/// The policy changed before the flow was written down: what holds now says why.
fn taken_back(shared: &Shared, attempt: &Attempt, stream: TcpStream) {
    if let Decision::Deny(denial) = shared.decide(attempt) {
        shared.denied(attempt, &denial);
    }
    reset(stream);
}

/// Resolving failed, or led only where this rule may not go.
pub(crate) fn not_dialled(
    shared: &Shared,
    open: &Open,
    permit: &Permit,
    error: DialError,
    stream: TcpStream,
) {
    let flow = open.flow();
    let attempt = &flow.attempt;
    match error {
        DialError::Refused(denial) => shared.denied(attempt, &denial),
        DialError::NoAddress => {
            if let Ok(begun) = shared.allowed(flow, permit) {
                open.begun(begun);
                flow.ends("no-address");
            }
        }
    }
    reset(stream);
}

/// A refusal that the client can read.
struct Refusal {
    reason: Reason,
    sentence: String,
    alert: Option<u8>,
}

impl Refusal {
    fn new(reason: Reason, sentence: impl Into<String>, alert: Option<u8>) -> Refusal {
        Refusal { reason, sentence: sentence.into(), alert }
    }
}

/// Reads until the hello is whole. Nothing is dialled before.
async fn hello(stream: &mut TcpStream, received: &mut Vec<u8>, held: &mut Held<'_>) -> Result<(), Refusal> {
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    loop {
        match tls::peek(received) {
            Peek::Hello(_) => return Ok(()),
            Peek::NotTls => {
                return Err(Refusal::new(Reason::NotTls, "the rule asks for TLS, and this is not", None));
            }
            Peek::Malformed(what) => {
                return Err(Refusal::new(
                    Reason::NotTls,
                    format!("the hello is malformed: {what}"),
                    Some(tls::DECODE_ERROR),
                ));
            }
            Peek::TooLong => {
                return Err(Refusal::new(
                    Reason::NotTls,
                    "the hello is longer than 64 KiB",
                    Some(tls::DECODE_ERROR),
                ));
            }
            Peek::More => {}
        }
        tokio::select! {
            ready = stream.readable() => {
                let ended = || Refusal::new(Reason::NotTls, "it ended before its TLS hello", None);
                ready.map_err(|_| ended())?;
                match relay::read_some(stream, received) {
                    Ok(0) => return Err(ended()),
                    Ok(length) if held.take(length) => {}
                    Ok(_) => return Err(Refusal::new(Reason::Limit, NO_ROOM, None)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return Err(ended()),
                }
            }
            () = &mut patience => {
                return Err(Refusal::new(Reason::NotTls, "no TLS hello within 10 s", None));
            }
        }
    }
}

/// Takes what came after the hello off it, where the rule is for TLS.
fn after_hello(permit: &Permit, first: &mut Vec<u8>) -> Option<Vec<u8>> {
    if !permit.rule().protocol().is_tls() {
        return None;
    }
    let Peek::Hello(hello) = tls::peek(first) else { return None };
    Some(first.split_off(hello.consumed.min(first.len())))
}

/// How a handshake went on.
enum Settled {
    /// Without another hello: bytes may travel unseen.
    Goes,
    Refused(Refusal),
    Failed(io::Error),
}

/// Relays until the server has taken the hello. It may ask for a second one instead (RFC 8446, 4.1.4), and that must name
/// the same host: what of the agent's is not judged yet does not travel.
async fn settle(
    agent: &mut TcpStream,
    upstream: &mut TcpStream,
    (shared, flow): (&Shared, &Flow),
    (permit, mut held): (&Permit, Vec<u8>),
) -> Settled {
    let (mut back, mut answer) = (Vec::new(), Vec::new());
    let mut room = Held::new(shared);
    let mut since = tokio::time::Instant::now();
    loop {
        let harmless = match tls::then(&held) {
            Then::Other => usize::MAX,
            Then::More(whole) => whole,
            Then::Hello(at) => {
                let again = held.get(at..).unwrap_or_default();
                match tls::peek(again) {
                    Peek::More => at,
                    Peek::Hello(hello) => match check(permit, again) {
                        Ok(()) => at.saturating_add(hello.consumed),
                        Err(refusal) => return Settled::Refused(refusal),
                    },
                    Peek::NotTls | Peek::Malformed(_) | Peek::TooLong => {
                        let sentence = "a second TLS hello cannot be read";
                        return Settled::Refused(Refusal::new(
                            Reason::NotTls,
                            sentence,
                            Some(tls::DECODE_ERROR),
                        ));
                    }
                }
            }
        };
        if let Err(error) = send(upstream, flow, Way::Out, &mut held, harmless).await {
            return Settled::Failed(error);
        }
        if harmless == usize::MAX {
            return Settled::Goes;
        }
        if harmless > 0 || held.is_empty() {
            // order: room is given back for what was sent
            room = Held::new(shared);
            since = tokio::time::Instant::now();
            if !held.is_empty() && !room.take(held.len()) {
                return Settled::Refused(Refusal::new(Reason::Limit, NO_ROOM, None));
            }
        }
        let patience = tokio::time::sleep_until(since.checked_add(PATIENCE).unwrap_or(since));
        let read = tokio::select! {
            biased;
            () = flow.stop.called() => return Settled::Failed(io::ErrorKind::PermissionDenied.into()),
            ready = upstream.readable() => match ready.and_then(|()| relay::read_some(upstream, &mut back)) {
                // the relay sees the end again, and passes it on
                Ok(0) if held.is_empty() => return Settled::Goes,
                Ok(0) => Err(io::ErrorKind::ConnectionReset.into()),
                Ok(_) => {
                    answer.extend_from_slice(&back);
                    send(agent, flow, Way::Back, &mut back, usize::MAX).await
                }
                Err(error) => Err(error),
            },
            ready = agent.readable() => match ready.and_then(|()| relay::read_some(agent, &mut held)) {
                Ok(0) if held.is_empty() => return Settled::Goes,
                Ok(0) => Err(io::ErrorKind::ConnectionReset.into()),
                Ok(length) if room.take(length) => Ok(()),
                Ok(_) => return Settled::Refused(Refusal::new(Reason::Limit, NO_ROOM, None)),
                Err(error) => Err(error),
            },
            () = patience, if !held.is_empty() => {
                let sentence = "no whole record of TLS within 10 s";
                return Settled::Refused(Refusal::new(Reason::NotTls, sentence, None));
            }
        };
        match read {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Settled::Failed(error),
            _ => {}
        }
        match tls::answered(&answer) {
            Answered::Open(seen) if answer.len() < tls::MAX => drop(answer.drain(..seen.min(answer.len()))),
            Answered::Open(_) | Answered::Settled => {
                return match send(upstream, flow, Way::Out, &mut held, usize::MAX).await {
                    Ok(()) => Settled::Goes,
                    Err(error) => Settled::Failed(error),
                };
            }
        }
    }
}

/// Sends the first bytes of what is held, and counts them.
async fn send(
    to: &mut TcpStream,
    flow: &Flow,
    way: Way,
    held: &mut Vec<u8>,
    length: usize,
) -> io::Result<()> {
    let rest = held.split_off(length.min(held.len()));
    let now = std::mem::replace(held, rest);
    if now.is_empty() {
        return Ok(());
    }
    flow.take(way, now.len())?;
    tokio::select! {
        biased;
        () = flow.stop.called() => Err(io::ErrorKind::PermissionDenied.into()),
        written = to.write_all(&now) => written,
    }
}

/// The hello must name the permitted host in the clear. A rule for a network has no name to compare.
fn check(permit: &Permit, received: &[u8]) -> Result<(), Refusal> {
    let Peek::Hello(hello) = tls::peek(received) else {
        return Err(Refusal::new(Reason::NotTls, "the hello cannot be read", Some(tls::DECODE_ERROR)));
    };
    let PermitHost::Name(host) = permit.host() else { return Ok(()) };
    if hello.ech {
        let sentence = "the hello carries encrypted client hello (ECH), which hides the name; switch ECH and its GREASE off in the client";
        return Err(Refusal::new(Reason::Ech, sentence, Some(tls::ACCESS_DENIED)));
    }
    match &hello.server_name {
        Sni::Name(name) if HostName::parse(name).is_ok_and(|name| name == *host) => Ok(()),
        Sni::Name(name) => {
            let sentence = format!("the TLS hello names `{}` instead of `{host}`", name.escape_debug());
            Err(Refusal::new(Reason::SniMismatch, sentence, Some(tls::UNRECOGNIZED_NAME)))
        }
        Sni::None => Err(Refusal::new(
            Reason::NoSni,
            format!("the TLS hello does not name `{host}`"),
            Some(tls::ACCESS_DENIED),
        )),
        Sni::Ambiguous => {
            let sentence = "the TLS hello names more than one host, or an unreadable one";
            Err(Refusal::new(Reason::SniMismatch, sentence, Some(tls::UNRECOGNIZED_NAME)))
        }
    }
}

/// Closes with a reset: the client learns at once.
pub(crate) fn reset(stream: TcpStream) {
    let _ = socket::reset_on_close(&stream);
}

/// Says why in TLS's own words, then closes.
async fn alert_and_close(mut stream: TcpStream, alert: Option<u8>) {
    let Some(alert) = alert else { return reset(stream) };
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(&tls::alert(alert))).await;
    let _ = stream.shutdown().await;
}

const NO_ROOM: &str = "unfinished hellos hold 16 MiB already";
/// How long a client may take to say hello.
const PATIENCE: Duration = Duration::from_secs(10);
