//! The way out of a session: connections to its one destination, opened when a request needs one and used again.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use claw_model::protocol::Transport;
use claw_policy::{Decision, Denial, Permit, PermitHost, Reason, Rule};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::body::Passed;
use super::session::Session;
use super::wire::Wire;
use super::{Local, PATIENCE, Room, Version};
use crate::dial::{DialError, Judged};
use crate::flow::Slot;

/// One connection to the destination.
pub(super) enum Line {
    /// HTTP/1: one request at a time.
    One(http1::SendRequest<Passed>),
    /// HTTP/2.
    Two(http2::SendRequest<Passed>),
}

/// Those of one session.
#[derive(Default)]
pub(super) struct Lines {
    one: RefCell<Vec<http1::SendRequest<Passed>>>,
    two: RefCell<Option<http2::SendRequest<Passed>>>,
    tasks: RefCell<Vec<AbortHandle>>,
    /// Lines that are open or are being opened.
    count: Rc<Cell<usize>>,
    /// Those that are open and speak HTTP/2.
    multiplexed: Rc<Cell<usize>>,
    /// The destination has been seen to speak HTTP/1 only.
    only_one: Cell<bool>,
}

/// A line is counted from before it is dialled until it is closed.
struct Place {
    count: Rc<Cell<usize>>,
    _slot: Option<Slot>,
    _leads: Option<Judged>,
}

impl Place {
    fn take(count: &Rc<Cell<usize>>) -> Place {
        count.set(count.get().saturating_add(1));
        Place { count: Rc::clone(count), _slot: None, _leads: None }
    }

    fn with(mut self, slot: Slot) -> Place {
        self._slot = Some(slot);
        self
    }

    fn leading(mut self, to: Judged) -> Place {
        self._leads = Some(to);
        self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.count.set(self.count.get().saturating_sub(1));
    }
}

/// The destination did not answer, or not as it should.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) reason: Reason,
    /// The rule that decided, where one did.
    pub(super) rule: Option<Arc<Rule>>,
    pub(super) sentence: String,
    /// How the flow ended, for its record.
    pub(super) end: &'static str,
}

impl Fault {
    pub(super) fn new(reason: Reason, sentence: impl Into<String>, end: &'static str) -> Fault {
        Fault { reason, rule: None, sentence: sentence.into(), end }
    }

    fn refused(denial: Denial, end: &'static str) -> Fault {
        Fault { reason: denial.reason, rule: denial.rule, sentence: denial.sentence, end }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.tasks.borrow().iter().for_each(AbortHandle::abort);
    }
}

impl Line {
    /// The line speaks HTTP/2.
    pub(super) fn is_two(&self) -> bool {
        matches!(self, Line::Two(_))
    }

    /// Sends a request. One that was never begun comes back, for another line.
    pub(super) async fn send(
        &mut self,
        request: Request<Passed>,
    ) -> Result<Response<Incoming>, (hyper::Error, Option<Request<Passed>>)> {
        let sent = match self {
            Line::One(line) => line.try_send_request(request).await,
            Line::Two(line) => line.try_send_request(request).await,
        };
        sent.map_err(|mut error| {
            let message = error.take_message();
            (error.into_error(), message)
        })
    }
}

impl Lines {
    /// A line that is free, or a new one.
    pub(super) async fn take(&self, session: &Rc<Session>, fresh: bool) -> Result<Line, Fault> {
        if !fresh && let Some(line) = self.free(session.version).await {
            return Ok(line);
        }
        self.open(session).await
    }

    /// Keeps a line for the next request.
    pub(super) fn keep(&self, line: Line) {
        match line {
            Line::One(line) => self.one.borrow_mut().push(line),
            Line::Two(line) => *self.two.borrow_mut() = Some(line),
        }
    }

    async fn free(&self, version: Version) -> Option<Line> {
        if let Some(line) = self.shared().await {
            return Some(line);
        }
        // the requests of an HTTP/1 session come one after the other: its one line is, or is about to be, free
        if version == Version::One {
            let mut line = self.one.borrow_mut().pop()?;
            return line.ready().await.is_ok().then_some(Line::One(line));
        }
        let mut lines = self.one.borrow_mut();
        lines.retain(|line| !line.is_closed());
        let at = lines.iter().position(http1::SendRequest::is_ready)?;
        Some(Line::One(lines.swap_remove(at)))
    }

    /// The line of HTTP/2 that all requests share.
    async fn shared(&self) -> Option<Line> {
        let mut line = self.two.borrow().clone()?;
        line.ready().await.is_ok().then_some(Line::Two(line))
    }

    async fn open(&self, session: &Rc<Session>) -> Result<Line, Fault> {
        let flow = session.flow();
        let permit = match session.shared.decide(&flow.attempt) {
            Decision::Allow(permit) => permit,
            Decision::Deny(denial) => {
                return Err(Fault::new(denial.reason, denial.reason.sentence(), "revoked"));
            }
        };
        let name = flow.attempt.name();
        // the session's own place counts a line of its own; every other needs another
        let crowded = || {
            Fault::new(Reason::Limit, "as many connections are open as the descriptor limit allows", "limit")
        };
        let place = match Place::take(&self.count) {
            place if self.count.get() == 1 => place,
            place => place.with(Slot::take(&session.shared).ok_or_else(crowded)?),
        };
        let addresses = session.shared.addresses(flow, &permit).await;
        let mut addresses = addresses.map_err(|error| match error {
            DialError::Refused(denial) => {
                let end = denial.reason.code();
                Fault::refused(denial, end)
            }
            DialError::NoAddress => {
                Fault::new(Reason::NoAddress, format!("`{name}` has no address"), "no-address")
            }
        })?;
        let unreachable = |error: io::Error| {
            Fault::new(Reason::Upstream, format!("`{name}` could not be reached: {error}"), "unreachable")
        };
        let stream = addresses.dial(&[]).await.map_err(unreachable)?;
        let place = place.leading(addresses);
        let wire = Wire::outside(stream, &flow.tally);
        if !permit.rule().ends_tls() {
            return self.one(TokioIo::new(wire), place, session.room()).await;
        }
        let both = session.version == Version::Two && !self.only_one.get();
        let tls = secure(session, &permit, wire, both).await?;
        if let Some(room) = session.room().filter(|_| tls.get_ref().1.alpn_protocol() == Some(b"h2")) {
            // requests that came together opened one each: the first that is there is enough
            if let Some(line) = self.shared().await {
                return Ok(line);
            }
            return self.two(TokioIo::new(tls), place, room).await;
        }
        self.only_one.set(true);
        self.one(TokioIo::new(tls), place, session.room()).await
    }

    async fn one<T>(&self, io: T, place: Place, room: Option<Room>) -> Result<Line, Fault>
    where
        T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let head = room.map_or(super::LONGEST_HEAD, |room| room.head);
        let (line, connection) =
            http1::Builder::new().max_buf_size(head).handshake(io).await.map_err(broken)?;
        self.drive(connection.with_upgrades(), place);
        Ok(Line::One(line))
    }

    async fn two<T>(&self, io: T, place: Place, room: Room) -> Result<Line, Fault>
    where
        T: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    {
        let counted = Place::take(&self.multiplexed);
        let room = room.of_line(self.multiplexed.get().saturating_sub(1));
        let (line, connection) = http2::Builder::new(Local)
            .timer(TokioTimer::new())
            .initial_stream_window_size(room.stream)
            .initial_connection_window_size(room.connection)
            .max_send_buf_size(room.unsent)
            .max_header_list_size(u32::try_from(room.head).unwrap_or(u32::MAX))
            .handshake(io)
            .await
            .map_err(broken)?;
        self.drive(connection, (place, counted));
        self.two.borrow_mut().replace(line.clone());
        Ok(Line::Two(line))
    }

    /// Runs a connection beside its session, and never longer than it.
    fn drive<P: 'static>(
        &self,
        connection: impl Future<Output = Result<(), hyper::Error>> + 'static,
        place: P,
    ) {
        let task = tokio::task::spawn_local(async move {
            let _ = connection.await;
            drop(place);
        });
        let mut tasks = self.tasks.borrow_mut();
        tasks.retain(|task| !task.is_finished());
        tasks.push(task.abort_handle());
    }
}

fn broken(error: hyper::Error) -> Fault {
    Fault::new(Reason::Upstream, format!("the destination does not speak HTTP: {error}"), "unreachable")
}

/// TLS towards the destination, verified by its name.
async fn secure(
    session: &Session,
    permit: &Permit,
    wire: Wire,
    both: bool,
) -> Result<tokio_rustls::client::TlsStream<Wire>, Fault> {
    debug_assert_eq!(permit.transport(), Transport::Tcp);
    let policy = session.shared.rules().policy;
    let roots = std::rc::Rc::clone(&session.shared.roots.borrow());
    let config = roots.client(&policy, permit.rule(), both).ok_or_else(|| {
        Fault::new(Reason::Untrusted, "the gate has no certificates to verify it by", "untrusted")
    })?;
    let name = match permit.host() {
        PermitHost::Name(name) => ServerName::try_from(name.to_string()),
        PermitHost::Address(address) => Ok(ServerName::IpAddress((*address).into())),
    };
    let name =
        name.map_err(|_| Fault::new(Reason::Untrusted, "no certificate can name this host", "untrusted"))?;
    let connected = TlsConnector::from(Arc::clone(&config)).connect(name, wire);
    match tokio::time::timeout(PATIENCE, connected).await {
        Ok(Ok(tls)) => Ok(tls),
        Ok(Err(error)) => Err(failed(&session.flow().attempt.name(), &error)),
        Err(_) => {
            let what = "the destination did not finish its TLS handshake within 10 s";
            Err(Fault::new(Reason::Upstream, what, "unreachable"))
        }
    }
}

fn failed(name: &str, error: &io::Error) -> Fault {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(why)) => Fault::new(
            Reason::Untrusted,
            format!("the certificate of `{name}` does not hold: {why}"),
            "untrusted",
        ),
        _ => Fault::new(Reason::Upstream, format!("TLS with `{name}` failed: {error}"), "unreachable"),
    }
}
