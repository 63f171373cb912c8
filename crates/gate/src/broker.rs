//! The brokered path: the gate connects a socket outside and puts it in place of the agent's own, so that bytes travel
//! without it. Only for rules that ask for it.
//!
//! An agent that holds such a socket must not be able to lead it elsewhere. Every connect(2), bind(2) and listen(2) therefore
//! waits for an answer. Init takes them, answers for all but connections of IP sockets, and passes those on with a copy of the
//! socket and an address that was read once. They are performed here on that copy: nothing is left to the kernel to read again, so
//! nothing can be exchanged in between. A socket of another network namespace than the sandbox's is one of ours, and is never
//! connected again, disconnected or made to listen; init sees to that.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use claw_enforce::{Calls, Connecting};
use claw_ledger::record::Process;
use claw_model::protocol::Transport;
use claw_policy::{Decision, Permit, Reason, Rule, Travel};
use claw_sys::beneath::Names;
use claw_sys::notify::{self, Call, Reply};

use crate::dial::{DialError, Judged};
use crate::flow::Slot;
use crate::live::Open;
use crate::{Attempt, Shared};

/// Connections that wait, and sockets that were handed over.
pub(crate) struct Broker {
    shared: Rc<Shared>,
    /// Where calls are answered.
    calls: Rc<Calls>,
    handed: RefCell<HashMap<u64, Handed>>,
    next: Cell<u64>,
    /// Calls that are being performed on other threads.
    performing: Cell<u32>,
    search: RefCell<Option<Search>>,
}

/// A socket that was handed over.
struct Handed {
    socket: Rc<OwnedFd>,
    inode: u64,
    /// Under which descriptor of which process it was seen last, below the sandbox's `/proc`.
    seen: String,
    /// How often it was not found.
    missed: u32,
    open: Open,
    _leads: Judged,
    _slot: Slot,
}

impl Broker {
    /// Answers these calls, and follows what it hands over.
    pub(crate) fn begin(shared: &Rc<Shared>, calls: &Rc<Calls>) -> Rc<Broker> {
        let broker = Rc::new(Broker {
            shared: Rc::clone(shared),
            calls: Rc::clone(calls),
            handed: RefCell::default(),
            next: Cell::new(0),
            performing: Cell::new(0),
            search: RefCell::new(None),
        });
        tokio::task::spawn_local(Rc::clone(&broker).watch());
        broker
    }

    fn reply(&self, call: &Call, reply: Reply) {
        // a caller that is gone needs no answer
        let _ = notify::reply(self.calls.listener.as_fd(), call, reply);
    }

    /// Decides on a connection of a socket of the sandbox's own network, with its address as it was read.
    pub(crate) fn answer(self: Rc<Self>, connecting: Connecting) {
        let Connecting { call, socket, address, process } = connecting;
        let Some(socket) = socket else { return self.refuse(&call, process, &address) };
        let domain = notify::kind(socket.as_fd()).map(|(domain, ..)| domain);
        let target = domain.ok().and_then(|domain| internet(domain, &address));
        match target.and_then(|target| self.permitted(&call, process, target)) {
            Some((attempt, permit)) => {
                let mut handing = Box::pin(self.hand(call, socket, address, attempt, permit));
                // nearly always there is nothing to wait for, and the caller has its answer without another turn of the loop
                if handing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                    tokio::task::spawn_local(handing);
                }
            }
            None => self.elsewhere(call, move || perform(&socket, &address)),
        }
    }

    /// Refuses a connection whose socket did not come along: nothing can be done with it, and nobody else decides.
    fn refuse(&self, call: &Call, process: u32, address: &[u8]) {
        let family = address.first_chunk::<2>().map(|family| i32::from(u16::from_ne_bytes(*family)));
        if let Some(target) = family.and_then(|family| internet(family, address)) {
            let mut attempt = self.attempt(target);
            attempt.process = self.process(call, process);
            let sentence = "no descriptor was left for a copy of its socket".to_owned();
            self.shared.denied_because(&attempt, None, Reason::Limit, sentence);
        }
        self.reply(call, Reply::Error(libc::ECONNREFUSED));
    }

    /// Whether a rule asks for this connection to be handed over.
    fn permitted(&self, call: &Call, process: u32, destination: SocketAddr) -> Option<(Attempt, Permit)> {
        let mut attempt = self.attempt(destination);
        match self.shared.decide(&attempt) {
            Decision::Allow(permit) if permit.rule().travel() == Travel::Brokered => {
                attempt.process = self.process(call, process);
                Some((attempt, permit))
            }
            _ => None,
        }
    }

    fn attempt(&self, destination: SocketAddr) -> Attempt {
        Attempt {
            target: self.shared.target(destination.ip()),
            port: destination.port(),
            transport: Transport::Tcp,
            // the agent's side is not bound yet
            agent: destination,
            destination,
            process: None,
        }
    }

    /// The caller: what was read of it is its own only if it still waits.
    fn process(&self, call: &Call, process: u32) -> Option<Process> {
        let program = self.shared.who.borrow().program(process, call.thread);
        program.filter(|_| notify::waits(self.calls.listener.as_fd(), call))
    }

    /// Performs a call on another thread. Whatever it waits for (a full queue, a slow file system), the gate does not:
    /// whether it may wait is the agent's to change at any moment.
    fn elsewhere(self: Rc<Self>, call: Call, perform: impl FnOnce() -> Reply + Send + 'static) {
        if self.performing.get() >= MOST_PERFORMED {
            return self.reply(&call, Reply::Error(libc::EAGAIN));
        }
        self.performing.set(self.performing.get().saturating_add(1));
        tokio::task::spawn_local(async move {
            let reply = tokio::task::spawn_blocking(perform).await.unwrap_or(Reply::Error(libc::EINTR));
            self.performing.set(self.performing.get().saturating_sub(1));
            self.reply(&call, reply);
        });
    }

    /// Resolves, writes down, connects outside, hands over.
    async fn hand(
        self: Rc<Self>,
        call: Call,
        own: OwnedFd,
        address: Vec<u8>,
        attempt: Attempt,
        permit: Permit,
    ) {
        match self.try_hand(&call, &own, attempt, permit).await {
            Ok(true) => self.reply(&call, Reply::Done),
            Ok(false) => self.elsewhere(call, move || perform(&own, &address)),
            Err(error) => {
                self.reply(&call, Reply::Error(error.raw_os_error().unwrap_or(libc::ECONNREFUSED)));
            }
        }
    }

    /// `false` if the policy changed meanwhile: the connection is then made inside, where it is decided anew.
    async fn try_hand(
        &self,
        call: &Call,
        own: &OwnedFd,
        attempt: Attempt,
        permit: Permit,
    ) -> io::Result<bool> {
        let shared = &self.shared;
        let refused = |number: i32| io::Error::from_raw_os_error(number);
        let deny = |attempt: &Attempt, rule: &Arc<Rule>, reason, sentence| {
            shared.denied_because(attempt, Some(rule), reason, sentence);
            Err(refused(libc::ECONNREFUSED))
        };
        let Some(slot) = Slot::take(shared) else {
            return deny(
                &attempt,
                permit.rule(),
                Reason::Limit,
                "as many flows are open as the descriptor limit allows".to_owned(),
            );
        };
        let counted = match shared.budgets.begin(permit.rule()) {
            Ok(counted) => counted,
            Err(sentence) => return deny(&attempt, permit.rule(), Reason::Limit, sentence),
        };
        let open = Open::enter(shared, attempt, &permit, counted);
        let flow = Rc::clone(open.flow());
        // in the list from here on; the policy may have changed since the call was read
        if !matches!(shared.decide(&flow.attempt), Decision::Allow(now) if now.rule().travel() == Travel::Brokered)
        {
            return Ok(false);
        }
        let mut addresses = match open.resolve(&permit).await {
            Ok(addresses) => addresses,
            Err(DialError::Refused(denial)) => {
                shared.denied(&flow.attempt, &denial);
                return Err(refused(libc::ECONNREFUSED));
            }
            Err(DialError::NoAddress) => {
                let process = shared.allowed(&flow, &permit);
                open.begun(process.map_err(|_| refused(libc::ECONNREFUSED))?);
                flow.ends("no-address");
                return Err(refused(libc::ENETUNREACH));
            }
        };
        if flow.stop.is_called() {
            return Ok(false);
        }
        // order: written down before it takes effect
        let process = shared.allowed(&flow, &permit).map_err(|_| refused(libc::ECONNREFUSED))?;
        open.begun(process);
        let reached = tokio::select! {
            biased;
            () = flow.stop.called() => Err(refused(libc::ECONNREFUSED)),
            reached = addresses.reach() => reached,
        };
        let outside = match reached {
            Ok(outside) => outside,
            Err(error) => {
                flow.ends(if flow.stop.is_called() { "revoked" } else { "unreachable" });
                return Err(error);
            }
        };
        // from here on the destination's side is at work already: what is left is done beside it
        notify::like(&notify::asked(own.as_fd())?, outside.as_fd())?;
        let [number, ..] = call.arguments;
        let number = number as u32;
        let outside = fs::File::from(outside);
        let inode = outside.metadata()?.ino();
        let socket = Rc::new(OwnedFd::from(outside));
        let close_on_exec = shared.who.borrow().closes_on_exec(call.thread, number);
        // order: in the list first, so that from its first moment inside it can be taken back
        let key = self.next.get();
        self.next.set(key.saturating_add(1));
        let seen = format!("{}/fd/{number}", call.thread);
        let outside = Rc::clone(&socket);
        let (missed, _leads, _slot) = (0, addresses, slot);
        let handed = Handed { socket, inode, seen, missed, open, _leads, _slot };
        self.handed.borrow_mut().insert(key, handed);
        notify::replace(self.calls.listener.as_fd(), call, outside.as_fd(), number, close_on_exec)
            .inspect_err(|_| drop(self.handed.borrow_mut().remove(&key)))?;
        Ok(true)
    }

    /// Follows the sockets that were handed over: counts their bytes, takes back those that are no longer permitted, and
    /// lets go of those that nobody inside holds.
    async fn watch(self: Rc<Self>) {
        loop {
            let count = self.handed.borrow().len();
            let many = count == 0 || count > MANY;
            tokio::select! {
                () = tokio::time::sleep(if many { SELDOM } else { OFTEN }) => {}
                () = self.shared.changed.notified() => {}
                () = self.shared.closing.notified() => {
                    self.handed.borrow_mut().values().for_each(Handed::count);
                    self.handed.borrow_mut().clear();
                }
            }
            self.look();
        }
    }

    fn look(&self) {
        let mut handed = self.handed.borrow_mut();
        let mut gone = Vec::new();
        for (key, one) in handed.iter_mut() {
            one.count();
            let flow = one.open.flow();
            if flow.stop.is_called() {
                flow.ends("revoked");
                gone.push(*key);
            } else if let Some(sentence) = flow.limit() {
                flow.ends("limit");
                self.shared.denied_because(&flow.attempt, Some(&flow.rule()), Reason::Limit, sentence);
                gone.push(*key);
            } else if self.shared.who.borrow().socket_inode(&one.seen) != Some(one.inode) {
                one.missed = one.missed.saturating_add(1);
            }
        }
        if handed.values().any(|one| one.missed > 0)
            && let Some((searched, found)) = self.search(&handed)
        {
            for (key, one) in handed.iter_mut().filter(|(_, one)| one.missed > 0) {
                match found.get(&one.inode) {
                    Some(seen) => (one.seen, one.missed) = (seen.clone(), 0),
                    // in flight between two processes it is nowhere for a moment; and it must have been looked for
                    None if one.missed > 1 && searched.contains(&one.inode) => gone.push(*key),
                    None => {}
                }
            }
        }
        for key in gone {
            if let Some(one) = handed.remove(&key) {
                one.count();
                let flow = one.open.flow();
                if flow.limit().is_some() {
                    flow.ends("limit");
                }
                // whoever may still hold it somewhere holds nothing; what waits to be sent goes only if it is permitted
                let torn = notify::wants_tearing(one.socket.as_fd());
                match torn || flow.stop.is_called() || flow.limit().is_some() {
                    true => notify::tear(one.socket.as_fd()),
                    false => notify::end(one.socket.as_fd()),
                }
            }
        }
    }

    /// Looks through what processes inside hold, a part at a time: an agent may hold very much. When all was looked
    /// through, says what was looked for and where it was found.
    fn search(&self, handed: &HashMap<u64, Handed>) -> Option<(HashSet<u64>, HashMap<u64, String>)> {
        let mut search = self.search.borrow_mut();
        let search_now = search.get_or_insert_with(|| Search {
            wanted: handed.values().filter(|one| one.missed > 0).map(|one| one.inode).collect(),
            directories: self.shared.who.borrow().descriptors(),
            entries: None,
            found: HashMap::new(),
        });
        let who = self.shared.who.borrow();
        for _ in 0..MOST_LOOKED_AT {
            let Some((directory, names)) = &mut search_now.entries else {
                match search_now.directories.pop() {
                    Some(directory) => {
                        search_now.entries = who.list(&directory).map(|names| (directory, names))
                    }
                    None => return search.take().map(|search| (search.wanted, search.found)),
                }
                continue;
            };
            let Some(name) = names.next() else {
                search_now.entries = None;
                continue;
            };
            let place = format!("{directory}/{name}");
            if let Some(inode) = who.socket_inode(&place).filter(|inode| search_now.wanted.contains(inode)) {
                search_now.found.insert(inode, place);
            }
        }
        None
    }
}

/// A look through all descriptors inside that goes on.
struct Search {
    wanted: HashSet<u64>,
    directories: Vec<String>,
    entries: Option<(String, Names)>,
    found: HashMap<u64, String>,
}

impl Handed {
    /// Takes over what the kernel has counted since.
    fn count(&self) {
        let Ok((out, back)) = notify::carried(self.socket.as_fd()) else { return };
        let flow = self.open.flow();
        let more = |now: u64, before: u64| usize::try_from(now.saturating_sub(before)).unwrap_or(usize::MAX);
        let sent = more(out, flow.tally.out());
        let received = more(back, flow.tally.back());
        // what has travelled is counted, whether there was room for it or not; a limit that was passed is told by the flow
        flow.count(sent, received);
    }
}

/// The address of an IP socket, if it is one (ip(7), ipv6(7)).
fn internet(domain: i32, address: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(*address.first_chunk::<2>()?));
    let port = u16::from_be_bytes(*address.get(2..)?.first_chunk::<2>()?);
    let ip = match (domain, family) {
        (libc::AF_INET, libc::AF_INET) => {
            IpAddr::V4(Ipv4Addr::from(*address.get(4..)?.first_chunk::<4>().filter(|_| address.len() >= 16)?))
        }
        (libc::AF_INET6, libc::AF_INET6) => {
            IpAddr::V6(Ipv6Addr::from(*address.get(8..)?.first_chunk::<16>()?)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// connect(2) inside, where the kernel's rules decide as ever.
fn perform(socket: &OwnedFd, address: &[u8]) -> Reply {
    match notify::connect(socket.as_fd(), address) {
        Ok(()) => Reply::Done,
        Err(error) => Reply::Error(error.raw_os_error().unwrap_or(libc::EACCES)),
    }
}

/// Threads that may wait for the agent's own connections.
const MOST_PERFORMED: u32 = 64;
/// Descriptors that are looked at before others get their turn: about 3 ms.
const MOST_LOOKED_AT: usize = 1_000;
const OFTEN: Duration = Duration::from_millis(25);
const SELDOM: Duration = Duration::from_millis(200);
/// Sockets beyond which they are looked at seldom.
const MANY: usize = 200;
