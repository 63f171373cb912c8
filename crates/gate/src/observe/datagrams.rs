//! Datagrams to anywhere: counted, named from the first, never answered.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use claw_model::protocol::Transport;
use claw_sys::socket;
use claw_wire::application;

use super::seen::Seen;
use crate::budget::Way;
use crate::{Attempt, Shared, relay, waitable};

/// Starts to take what the kernel steers here.
pub(crate) fn serve(shared: &Rc<Shared>, sockets: [OwnedFd; 2]) -> io::Result<()> {
    let flows = Rc::new(Flows { shared: Rc::clone(shared), open: RefCell::default() });
    for descriptor in sockets {
        let socket = waitable(descriptor)?;
        let flows = Rc::clone(&flows);
        tokio::task::spawn_local(async move {
            loop {
                let Ok(mut ready) = socket.readable().await else { return };
                let received = relay::with_buffer(|buffer| {
                    let arrival = socket::receive_from(socket.get_ref().as_fd(), buffer)?;
                    if let Some(port) = arrival.port {
                        let destination = SocketAddr::new(arrival.destination, port);
                        let datagram = buffer.get(..arrival.length).unwrap_or_default();
                        flows.take(arrival.source, destination, datagram);
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
    tokio::task::spawn_local(async move {
        loop {
            tokio::select! {
                () = flows.shared.closing.notified() => return flows.open.borrow_mut().clear(),
                () = tokio::time::sleep(Duration::from_secs(1)) => flows.sweep(Instant::now()),
            }
        }
    });
    Ok(())
}

/// The flows that are not over yet.
struct Flows {
    shared: Rc<Shared>,
    open: RefCell<HashMap<(SocketAddr, SocketAddr), Heard>>,
}

struct Heard {
    seen: Rc<Seen>,
    last: Instant,
}

impl Flows {
    fn take(&self, source: SocketAddr, destination: SocketAddr, datagram: &[u8]) {
        let mut open = self.open.borrow_mut();
        let key = (source, destination);
        if !open.contains_key(&key) {
            let attempt = Attempt {
                target: self.shared.target(destination.ip()),
                port: destination.port(),
                transport: Transport::Udp,
                agent: source,
                destination,
                process: None,
            };
            let Ok(seen) = Seen::begin(&self.shared, attempt) else { return };
            seen.speaks(application::datagram(datagram, destination.port()));
            // one that finds no room is over with its first datagram
            if open.len() >= MOST_FLOWS {
                return seen.tally.add(Way::Out, datagram.len());
            }
            open.insert(key, Heard { seen, last: Instant::now() });
        }
        if let Some(heard) = open.get_mut(&key) {
            heard.last = Instant::now();
            heard.seen.tally.add(Way::Out, datagram.len());
        }
    }

    fn sweep(&self, now: Instant) {
        self.open.borrow_mut().retain(|_, heard| {
            let goes_on = now.duration_since(heard.last) < SILENCE;
            if !goes_on {
                heard.seen.ends("silence");
            }
            goes_on
        });
    }
}

const MOST_FLOWS: usize = 1_024;
const SILENCE: Duration = Duration::from_secs(10);
