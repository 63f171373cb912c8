//! Flows that are open now: what they have carried, and how they are ended when a rule no longer permits them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Instant;

use claw_ledger::record::{Event, PlaneTally, Process};
use claw_policy::{Permit, Rule};
use serde::Serialize;

use crate::budget::{Budget, Counted, Way};
use crate::dial::{DialError, Judged};
use crate::observe::{Begun, Said};
use crate::{Attempt, Shared};

/// Bytes carried. Shared with parts of a connection that must be able to move between threads, though none does.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    out: AtomicU64,
    back: AtomicU64,
    /// The connection ends with a reset instead of an end.
    torn: AtomicBool,
}

impl Tally {
    pub(crate) fn add(&self, way: Way, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or_default();
        match way {
            Way::Out => self.out.fetch_add(bytes, Ordering::Relaxed),
            Way::Back => self.back.fetch_add(bytes, Ordering::Relaxed),
        };
    }

    pub(crate) fn out(&self) -> u64 {
        self.out.load(Ordering::Relaxed)
    }

    pub(crate) fn back(&self) -> u64 {
        self.back.load(Ordering::Relaxed)
    }

    pub(crate) fn tear(&self) {
        self.torn.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_torn(&self) -> bool {
        self.torn.load(Ordering::Relaxed)
    }
}

/// A stop that anyone may call and that what it concerns polls for.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    called: Cell<bool>,
    wakers: RefCell<Vec<Waker>>,
}

impl Stop {
    /// Stops, now.
    pub(crate) fn call(&self) {
        self.called.set(true);
        for waker in self.wakers.take() {
            waker.wake();
        }
    }

    /// Whether it was called; if not, the task is woken when it is.
    pub(crate) fn poll(&self, waker: &Waker) -> bool {
        if self.called.get() {
            return true;
        }
        let mut wakers = self.wakers.borrow_mut();
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
        false
    }

    /// Whether it was called.
    pub(crate) fn is_called(&self) -> bool {
        self.called.get()
    }

    /// Waits until it is called.
    pub(crate) async fn called(&self) {
        poll_fn(|context| if self.poll(context.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// One open flow.
#[derive(Debug)]
pub(crate) struct Flow {
    number: u64,
    pub(crate) attempt: Attempt,
    pub(crate) tally: Arc<Tally>,
    pub(crate) begun: Instant,
    pub(crate) stop: Stop,
    rule: RefCell<Arc<Rule>>,
    counted: Counted,
    /// The limit that ended it.
    limit: RefCell<Option<String>>,
    process: RefCell<Option<Process>>,
    /// Where its name leads now, or may lead in a moment; see [`crate::dial`].
    pub(crate) leads: RefCell<Vec<IpAddr>>,
    /// HTTP requests that are being answered.
    pub(crate) exchanges: RefCell<Vec<Rc<Exchange>>>,
    planes: RefCell<Vec<PlaneTally>>,
    end: Cell<&'static str>,
    /// The number of the record of its beginning.
    record: Cell<Option<u64>>,
    /// What the client said first, where an observed run looks.
    pub(crate) said: RefCell<Option<Said>>,
}

/// One HTTP request that is being answered.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) stop: Stop,
    rule: RefCell<Arc<Rule>>,
    counted: Counted,
}

impl Exchange {
    pub(crate) fn new(method: &str, path: &str, rule: &Arc<Rule>, counted: Counted) -> Exchange {
        Exchange {
            method: method.to_owned(),
            path: path.to_owned(),
            stop: Stop::default(),
            rule: RefCell::new(Arc::clone(rule)),
            counted,
        }
    }

    /// The rule that permits it now.
    pub(crate) fn rule(&self) -> Arc<Rule> {
        Arc::clone(&self.rule.borrow())
    }

    /// Takes bytes of the rule's limits; the sentence says which is reached.
    pub(crate) fn take(&self, way: Way, bytes: usize) -> Result<(), String> {
        self.counted.take(way, bytes)
    }

    /// Another rule permits it now.
    pub(crate) fn moved(&self, rule: &Arc<Rule>, budget: Option<Rc<Budget>>) {
        *self.rule.borrow_mut() = Arc::clone(rule);
        self.counted.moved(budget);
    }
}

/// A flow in the list of open ones. It leaves the list, and its end is written down, when this is dropped.
pub(crate) struct Open {
    shared: Rc<Shared>,
    flow: Rc<Flow>,
    written: Cell<bool>,
    /// What its name is looked up for.
    asks: RefCell<Option<Permit>>,
}

/// The list.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    next: Cell<u64>,
    open: RefCell<BTreeMap<u64, Rc<Flow>>>,
}

impl Flows {
    /// Those that are open now.
    pub(crate) fn all(&self) -> Vec<Rc<Flow>> {
        self.open.borrow().values().cloned().collect()
    }
}

impl Open {
    /// Enters a flow into the list.
    pub(crate) fn enter(shared: &Rc<Shared>, attempt: Attempt, permit: &Permit, counted: Counted) -> Open {
        let number = shared.flows.next.get();
        shared.flows.next.set(number.saturating_add(1));
        let flow = Rc::new(Flow {
            number,
            attempt,
            tally: Arc::default(),
            begun: Instant::now(),
            stop: Stop::default(),
            rule: RefCell::new(Arc::clone(permit.rule())),
            counted,
            limit: RefCell::default(),
            process: RefCell::default(),
            leads: RefCell::default(),
            exchanges: RefCell::default(),
            planes: RefCell::default(),
            end: Cell::new("end"),
            record: Cell::new(None),
            said: RefCell::default(),
        });
        shared.flows.open.borrow_mut().insert(number, Rc::clone(&flow));
        Open { shared: Rc::clone(shared), flow, written: Cell::new(false), asks: RefCell::default() }
    }

    /// The flow.
    pub(crate) fn flow(&self) -> &Rc<Flow> {
        &self.flow
    }

    /// Looks up where it goes. If the run ends meanwhile, there is a record all the same.
    pub(crate) async fn resolve(&self, permit: &Permit) -> Result<Judged, DialError> {
        self.asks.replace(Some(permit.clone()));
        let addresses = self.shared.addresses(&self.flow, permit).await;
        self.asks.replace(None);
        addresses
    }

    /// Nobody waits for its address any more, and nothing was written down.
    fn unanswered(&self) {
        let asks = self.asks.take().filter(|_| !self.flow.stop.is_called());
        if let Some(begun) = asks.and_then(|permit| self.shared.allowed(&self.flow, &permit).ok()) {
            self.begun(begun);
            self.flow.ends("no-address");
        }
    }

    /// From here on there is a record of its beginning, and there will be one of its end.
    pub(crate) fn begun(&self, begun: Begun) {
        self.written.set(true);
        *self.flow.process.borrow_mut() = begun.process;
        self.flow.record.set(begun.record);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.flows.open.borrow_mut().remove(&self.flow.number);
        self.flow.counted.moved(None);
        self.unanswered();
        if self.written.get() {
            let event = self.flow.closed();
            // it has ended already; a ledger that cannot be written stops the next one
            let _ = self.shared.journal.write(&event, None);
        }
    }
}

impl Flow {
    /// Takes bytes of the rule's limits before they travel, and counts them.
    pub(crate) fn take(&self, way: Way, bytes: usize) -> Result<(), Spent> {
        if let Err(sentence) = self.counted.take(way, bytes) {
            *self.limit.borrow_mut() = Some(sentence);
            return Err(Spent);
        }
        self.tally.add(way, bytes);
        Ok(())
    }

    /// Counts bytes that have travelled already, in both directions, and takes them of the rule's limits.
    pub(crate) fn count(&self, out: usize, back: usize) {
        for (way, bytes) in [(Way::Out, out), (Way::Back, back)] {
            self.tally.add(way, bytes);
            if let Err(sentence) = self.counted.take(way, bytes) {
                *self.limit.borrow_mut() = Some(sentence);
            }
        }
    }

    /// The limit that ended the flow.
    pub(crate) fn limit(&self) -> Option<String> {
        self.limit.borrow().clone()
    }

    /// How it ended, for the record. What breaks because of a limit, or of another policy, is not how it ended.
    pub(crate) fn ends(&self, end: &'static str) {
        if end == "revoked" || !matches!(self.end.get(), "limit" | "revoked") {
            self.end.set(end);
        }
    }

    /// A request was answered: what failed before it on the same connection is not how the connection ends.
    pub(crate) fn answered(&self) {
        if !matches!(self.end.get(), "limit" | "revoked") {
            self.end.set("end");
        }
    }

    /// The rule that permits it now.
    pub(crate) fn rule(&self) -> Arc<Rule> {
        Arc::clone(&self.rule.borrow())
    }

    /// Another rule permits it now.
    pub(crate) fn moved(&self, rule: &Arc<Rule>, budget: Option<Rc<Budget>>) {
        *self.rule.borrow_mut() = Arc::clone(rule);
        self.counted.moved(budget);
    }

    /// Counts one permitted request, and its bytes as they come.
    pub(crate) fn on_plane(&self, plane: &str, requests: u64, way: Way, bytes: usize) {
        let mut planes = self.planes.borrow_mut();
        let at = planes.iter().position(|tally| tally.plane == plane);
        let at = at.unwrap_or_else(|| {
            planes.push(PlaneTally { plane: plane.to_owned(), requests: 0, bytes_out: 0, bytes_in: 0 });
            planes.len().saturating_sub(1)
        });
        let Some(tally) = planes.get_mut(at) else { return };
        tally.requests = tally.requests.saturating_add(requests);
        let total = match way {
            Way::Out => &mut tally.bytes_out,
            Way::Back => &mut tally.bytes_in,
        };
        *total = total.saturating_add(u64::try_from(bytes).unwrap_or_default());
    }

    fn closed(&self) -> Event {
        let said = self.said.borrow().clone();
        let connection = said.as_ref().and_then(|_| self.record.get());
        let Said { application, sni, alpn } = said.unwrap_or_default();
        Event::Close {
            destination: self.attempt.name(),
            port: self.attempt.port,
            bytes_out: self.tally.out(),
            bytes_in: self.tally.back(),
            duration_ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            end: self.end.get().to_owned(),
            planes: self.planes.borrow().clone(),
            connection,
            application: application.map(str::to_owned),
            sni,
            alpn,
            requests: None,
        }
    }

    /// How it looks from outside.
    pub(crate) fn seen(&self) -> Seen {
        let rule = self.rule.borrow();
        Seen {
            number: self.number,
            destination: self.attempt.name(),
            port: self.attempt.port,
            protocol: self.attempt.transport.to_string(),
            plane: rule.plane().to_string(),
            planes: self.planes.borrow().clone(),
            rule: rule.location(),
            process: self.process.borrow().clone(),
            bytes_out: self.tally.out(),
            bytes_in: self.tally.back(),
            open_ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// A limit of the rule is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent;

impl From<Spent> for std::io::Error {
    fn from(_: Spent) -> std::io::Error {
        std::io::ErrorKind::QuotaExceeded.into()
    }
}

/// An open flow, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct Seen {
    /// Its number in this run.
    pub number: u64,
    /// The host name or address.
    pub destination: String,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: String,
    /// The plane of the rule that permits it.
    pub plane: String,
    /// Its HTTP requests so far, by plane.
    pub planes: Vec<PlaneTally>,
    /// The rule that permits it, `file:line`.
    pub rule: String,
    /// Who opened it.
    pub process: Option<Process>,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// How long it is open.
    pub open_ms: u64,
}
