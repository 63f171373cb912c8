//! UDP for rules that name it, and for an observed run that lets everything through: one socket to the outside for each
//! flow, closed when it falls silent.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use claw_model::protocol::Transport;
use claw_policy::{Decision, Reason};
use claw_sys::datagram;
use claw_sys::socket::{self, Arrival, Kind};
use claw_wire::application;
use tokio::io::unix::AsyncFd;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::budget::{Counted, Way};
use crate::dial::DialError;
use crate::flow::Slot;
use crate::live::{Open, Spent};
use crate::observe::Said;
use crate::{Attempt, Mode, Shared, Target, relay, waitable};

/// Starts to receive on the ports that rules name.
pub(crate) fn serve(shared: &Rc<Shared>, sockets: Vec<(u16, OwnedFd, OwnedFd)>) -> io::Result<()> {
    for (port, v4, v6) in sockets {
        for descriptor in [v4, v6] {
            let socket = Rc::new(waitable(descriptor)?);
            let flows = Flows::new(Rc::clone(shared), Rc::clone(&socket), port);
            tokio::task::spawn_local(receive(socket, flows));
        }
    }
    Ok(())
}

/// The same on every port, for an observed run that lets everything through.
pub(crate) fn serve_every_port(
    shared: &Rc<Shared>,
    sockets: [OwnedFd; 2],
    [v4, v6]: [OwnedFd; 2],
) -> io::Result<()> {
    let flows = Flows {
        shared: Rc::clone(shared),
        inside: Inside::Every(Rc::new(v4), Rc::new(v6)),
        live: Rc::default(),
        queued: Rc::default(),
    };
    for descriptor in sockets {
        tokio::task::spawn_local(receive(Rc::new(waitable(descriptor)?), flows.clone()));
    }
    Ok(())
}

async fn receive(socket: Rc<AsyncFd<OwnedFd>>, flows: Flows) {
    loop {
        let Ok(mut ready) = socket.readable().await else { return };
        let received = relay::with_buffer(|buffer| {
            let arrival = socket::receive_from(socket.as_fd(), buffer)?;
            flows.forward(&arrival, buffer.get(..arrival.length).unwrap_or_default());
            io::Result::Ok(())
        });
        if received.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            ready.clear_ready();
        }
        // fairness: a queue that never runs dry must not keep others waiting
        tokio::task::yield_now().await;
    }
}

/// Through what a flow's answers go back.
#[derive(Clone)]
enum Inside {
    /// The socket of one port.
    Port(u16, Rc<AsyncFd<OwnedFd>>),
    /// Sockets that speak for every port, IPv4 and IPv6.
    Every(Rc<OwnedFd>, Rc<OwnedFd>),
}

impl Inside {
    /// The port that a datagram was sent to.
    fn port(&self, arrival: &Arrival) -> u16 {
        match self {
            Inside::Port(port, _) => *port,
            Inside::Every(..) => arrival.port.unwrap_or_default(),
        }
    }

    fn answer(&self, datagram: &[u8], from: SocketAddr, agent: SocketAddr) -> io::Result<usize> {
        match (self, from) {
            (Inside::Port(_, socket), _) => socket::send_as(socket.as_fd(), datagram, from.ip(), agent),
            (Inside::Every(v4, _), SocketAddr::V4(_)) => datagram::send(v4.as_fd(), datagram, from, agent),
            (Inside::Every(_, v6), SocketAddr::V6(_)) => datagram::send(v6.as_fd(), datagram, from, agent),
        }
    }
}

type Key = (SocketAddr, SocketAddr);

/// The flows of one port, or of all.
#[derive(Clone)]
pub(crate) struct Flows {
    shared: Rc<Shared>,
    inside: Inside,
    live: Rc<RefCell<HashMap<Key, mpsc::Sender<Vec<u8>>>>>,
    queued: Rc<Cell<usize>>,
}

impl Flows {
    pub(crate) fn new(shared: Rc<Shared>, socket: Rc<AsyncFd<OwnedFd>>, port: u16) -> Flows {
        Flows { shared, inside: Inside::Port(port, socket), live: Rc::default(), queued: Rc::default() }
    }

    /// Whether a rule carries what arrives there: on the DNS port, everything else is a question to the gate.
    pub(crate) fn takes(&self, arrival: &Arrival) -> bool {
        match self.shared.decide(&self.attempt(arrival)) {
            Decision::Allow(_) => true,
            Decision::Deny(_) => false,
        }
    }

    /// Sends one datagram on, in its flow.
    pub(crate) fn forward(&self, arrival: &Arrival, datagram: &[u8]) {
        let key = self.key(arrival);
        let known = self.live.borrow().get(&key).cloned();
        let sender = match known {
            Some(sender) => sender,
            None => match self.begin(arrival, datagram) {
                Some(sender) => sender,
                None => return,
            },
        };
        // full queues drop, as networks do with datagrams
        let queued = self.queued.get().saturating_add(datagram.len());
        if queued <= MOST_QUEUED && sender.try_send(datagram.to_vec()).is_ok() {
            self.queued.set(queued);
        }
    }

    fn key(&self, arrival: &Arrival) -> Key {
        (arrival.source, SocketAddr::new(arrival.destination, self.inside.port(arrival)))
    }

    fn attempt(&self, arrival: &Arrival) -> Attempt {
        let (agent, destination) = self.key(arrival);
        Attempt {
            target: self.shared.target(arrival.destination),
            port: destination.port(),
            transport: Transport::Udp,
            agent,
            destination,
            process: None,
        }
    }

    fn begin(&self, arrival: &Arrival, first: &[u8]) -> Option<mpsc::Sender<Vec<u8>>> {
        let attempt = self.attempt(arrival);
        if attempt.target == Target::Page {
            return None;
        }
        if self.live.borrow().len() >= MOST_FLOWS {
            let sentence = format!("{MOST_FLOWS} UDP flows are open on this port");
            self.shared.denied_because(&attempt, None, Reason::Limit, sentence);
            return None;
        }
        let Some(slot) = Slot::take(&self.shared) else {
            let sentence = "as many flows are open as the descriptor limit allows".to_owned();
            self.shared.denied_because(&attempt, None, Reason::Limit, sentence);
            return None;
        };
        let permit = match self.shared.decide(&attempt) {
            Decision::Allow(permit) => permit,
            Decision::Deny(denial) => {
                self.shared.denied(&attempt, &denial);
                return None;
            }
        };
        let counted = match self.shared.mode() {
            // what an observed run lets through has no rule, and no limit
            Some(Mode::Allow) => Ok(Counted::default()),
            _ => self.shared.budgets.begin(permit.rule()),
        };
        let counted = match counted {
            Ok(counted) => counted,
            Err(sentence) => {
                self.shared.denied_because(&attempt, Some(permit.rule()), Reason::Limit, sentence);
                return None;
            }
        };
        let open = Open::enter(&self.shared, attempt, &permit, counted);
        if self.shared.observe.is_some() {
            let application = Some(application::datagram(first, open.flow().attempt.port));
            *open.flow().said.borrow_mut() = Some(Said { application, ..Said::default() });
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let key = self.key(arrival);
        self.live.borrow_mut().insert(key, sender.clone());
        let flows = self.clone();
        tokio::task::spawn_local(async move {
            let mut receiver = receiver;
            flows.carry(&open, permit, &mut receiver).await;
            while let Ok(datagram) = receiver.try_recv() {
                flows.queued.set(flows.queued.get().saturating_sub(datagram.len()));
            }
            flows.live.borrow_mut().remove(&key);
            drop((open, slot));
        });
        Some(sender)
    }

    /// Resolves, writes down, dials, and relays both ways until silence.
    async fn carry(&self, open: &Open, permit: claw_policy::Permit, queue: &mut mpsc::Receiver<Vec<u8>>) {
        let flow = open.flow();
        let attempt = &flow.attempt;
        let mut addresses = match open.resolve(&permit).await {
            Ok(addresses) => addresses,
            Err(DialError::Refused(denial)) => return self.shared.denied(attempt, &denial),
            Err(DialError::NoAddress) => {
                let sentence = format!("`{}` has no address", attempt.name());
                return self.shared.denied_because(attempt, Some(&flow.rule()), Reason::NoAddress, sentence);
            }
        };
        if flow.stop.is_called() {
            return;
        }
        match self.shared.allowed(flow, &permit) {
            Ok(begun) => open.begun(begun),
            Err(_) => return,
        }
        let outside = addresses.first().ok_or(io::ErrorKind::AddrNotAvailable.into()).and_then(dial);
        let Ok(outside) = outside else { return };
        let mut end = "silence";
        loop {
            tokio::select! {
                biased;
                () = flow.stop.called() => {
                    end = "revoked";
                    break;
                }
                datagram = queue.recv() => {
                    let Some(datagram) = datagram else { break };
                    self.queued.set(self.queued.get().saturating_sub(datagram.len()));
                    if flow.take(Way::Out, datagram.len()).is_err() {
                        end = "limit";
                        break;
                    }
                    let _ = outside.send(&datagram).await;
                }
                ready = outside.readable() => {
                    let Ok(()) = ready else { break };
                    let room = relay::with_buffer(|buffer| {
                        // "connection refused" comes back here: the port is closed, the flow may go on
                        let Ok(length) = outside.try_recv(buffer) else { return Ok(()) };
                        flow.take(Way::Back, length)?;
                        let datagram = buffer.get(..length).unwrap_or_default();
                        let _ = self.inside.answer(datagram, attempt.destination, attempt.agent);
                        Ok::<(), Spent>(())
                    });
                    if room.is_err() {
                        end = "limit";
                        break;
                    }
                }
                () = tokio::time::sleep(SILENCE) => break,
                () = self.shared.closing.notified() => {
                    end = "end";
                    break;
                }
            }
        }
        if let Some(sentence) = flow.limit() {
            self.shared.denied_because(attempt, Some(&flow.rule()), Reason::Limit, sentence);
        }
        flow.ends(end);
    }
}

/// A connected socket: the kernel lets nothing in but what the dialled address sends.
fn dial(address: SocketAddr) -> io::Result<UdpSocket> {
    let fresh = socket::open(Kind::Datagram, address)?;
    socket::connect(fresh.as_fd(), address)?;
    UdpSocket::from_std(std::net::UdpSocket::from(fresh))
}

const MOST_FLOWS: usize = 512;
const QUEUE: usize = 64;
/// Bytes that wait on one port for names to resolve.
const MOST_QUEUED: usize = 4 << 20;
const SILENCE: Duration = Duration::from_secs(60);
