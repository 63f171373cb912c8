//! The brokered path: the gate connects a socket outside and puts it in place of the agent's own, so that bytes travel
//! without it. Only for rules that ask for it.
//!
//! An agent that holds such a socket must not be able to lead it elsewhere. Every connect(2), bind(2) and listen(2) therefore
//! waits for an answer here, and is performed here, on a copy of the agent's descriptor and with an address that was read once:
//! nothing is left to the kernel to read again, so nothing can be exchanged in between. A socket of another network
//! namespace than the sandbox's is one of ours, and is never connected again, disconnected or made to listen.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use claw_ledger::record::Process;
use claw_model::protocol::Transport;
use claw_policy::{Decision, Permit, Reason, Travel};
use claw_sys::notify::{self, Call, Reply};
use tokio::io::unix::AsyncFd;

use crate::budget::Counted;
use crate::dial::{self, DialError};
use crate::flow::Slot;
use crate::live::Open;
use crate::{Attempt, Gate, Shared, waitable};

/// Calls that wait, and sockets that were handed over.
pub(crate) struct Broker {
    shared: Rc<Shared>,
    listener: AsyncFd<OwnedFd>,
    /// The cookie of the sandbox's network namespace.
    inside: u64,
    handed: RefCell<HashMap<u64, Handed>>,
    next: Cell<u64>,
    /// Calls that are being performed on other threads.
    performing: Cell<u32>,
    search: RefCell<Option<Search>>,
}

/// A socket that was handed over.
struct Handed {
    socket: OwnedFd,
    inode: u64,
    /// Under which descriptor of which process it was seen last.
    seen: PathBuf,
    /// How often it was not found.
    missed: u32,
    permit: Permit,
    open: Open,
    _counted: Counted,
    _slot: Slot,
}

/// What a waiting call comes to.
enum Act {
    Reply(Reply),
    /// To be performed inside, as the agent asked.
    Perform {
        socket: OwnedFd,
        address: Vec<u8>,
        stream: bool,
    },
    /// A UNIX socket with a path: found below the agent's root.
    Path {
        socket: OwnedFd,
        root: fs::File,
        path: PathBuf,
        bind: Option<u32>,
    },
    /// To be connected outside and handed over.
    Hand {
        socket: OwnedFd,
        address: Vec<u8>,
        attempt: Box<Attempt>,
        permit: Permit,
    },
}

impl Gate {
    /// Answers the calls that come from this listener. Until [`Gate::released`] they are Claw's own, and the kernel
    /// performs them.
    pub fn broker(&self, listener: OwnedFd) -> io::Result<()> {
        notify::wake_on_this_processor(listener.as_fd());
        let broker = Rc::new(Broker {
            shared: Rc::clone(&self.shared),
            listener: waitable(listener)?,
            inside: self.shared.cookie,
            handed: RefCell::default(),
            next: Cell::new(0),
            performing: Cell::new(0),
            search: RefCell::new(None),
        });
        tokio::task::spawn_local(Rc::clone(&broker).serve());
        tokio::task::spawn_local(broker.watch());
        Ok(())
    }

    /// The agent is about to be let go: from here on nothing is left to the kernel.
    pub fn released(&self) {
        self.shared.released.set(true);
    }
}

impl Broker {
    async fn serve(self: Rc<Self>) {
        loop {
            let Ok(mut ready) = self.listener.readable().await else { return };
            match claw_sys::process::poll(&[self.listener.get_ref().as_fd()], 0).as_deref() {
                Ok([true]) => {}
                _ => {
                    ready.clear_ready();
                    continue;
                }
            }
            match notify::receive(self.listener.get_ref().as_fd()) {
                Ok(call) => Rc::clone(&self).answer(call),
                // the caller was killed meanwhile, or everyone inside has ended
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(_) => return,
            }
            // fairness: an agent that connects without end must not keep others waiting
            tokio::task::yield_now().await;
        }
    }

    fn answer(self: Rc<Self>, call: Call) {
        match self.act(&call) {
            Act::Reply(reply) => self.reply(&call, reply),
            Act::Perform { socket, address, stream: false } => self.reply(&call, perform(&socket, &address)),
            Act::Perform { socket, address, stream: true } => {
                self.elsewhere(call, move || perform(&socket, &address))
            }
            Act::Path { socket, root, path, bind: None } => {
                self.elsewhere(call, move || by_path(&socket, &root, &path));
            }
            // on this thread: files are made with its mask
            Act::Path { socket, root, path, bind: Some(mask) } => {
                self.reply(&call, bind_path(&socket, &root, &path, mask));
            }
            Act::Hand { socket, address, attempt, permit } => {
                tokio::task::spawn_local(
                    async move { self.hand(call, socket, address, *attempt, permit).await },
                );
            }
        }
    }

    fn reply(&self, call: &Call, reply: Reply) {
        // a caller that is gone needs no answer
        let _ = notify::reply(self.listener.get_ref().as_fd(), call, reply);
    }

    /// Decides on what was read of the call.
    fn act(&self, call: &Call) -> Act {
        if !self.shared.released.get() {
            return Act::Reply(Reply::Continue);
        }
        let refuse =
            |error: io::Error| Act::Reply(Reply::Error(error.raw_os_error().unwrap_or(libc::EACCES)));
        let [number, pointer, length, ..] = call.arguments;
        let number = number as u32;
        let taken = notify::thread(call.thread).and_then(|thread| notify::descriptor(thread.as_fd(), number));
        let socket = match taken {
            Ok(socket) => socket,
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => return refuse(error),
            // a program that may not be looked at gets no socket that could lead anywhere
            Err(_) => return Act::Reply(Reply::Error(libc::EACCES)),
        };
        let Ok((domain, kind, network)) = notify::kind(socket.as_fd()) else {
            return Act::Reply(Reply::Error(libc::ENOTSOCK));
        };
        let foreign = matches!(domain, libc::AF_INET | libc::AF_INET6) && network != self.inside;
        if call.number == libc::SYS_listen {
            // what was taken is the caller's only if it still waits
            if !notify::waits(self.listener.get_ref().as_fd(), call) {
                return Act::Reply(Reply::Error(libc::EINTR));
            }
            if foreign {
                return Act::Reply(Reply::Error(libc::EINVAL));
            }
            let backlog = pointer as i32;
            return match notify::listen(socket.as_fd(), backlog) {
                Ok(()) => Act::Reply(Reply::Done),
                Err(error) => refuse(error),
            };
        }
        if foreign {
            let error = if call.number == libc::SYS_bind { libc::EINVAL } else { libc::EISCONN };
            return Act::Reply(Reply::Error(error));
        }
        let length = length as i32;
        let Some(length) = usize::try_from(length).ok().filter(|length| *length <= LONGEST_ADDRESS) else {
            return Act::Reply(Reply::Error(libc::EINVAL));
        };
        let mut address = vec![0u8; length];
        if notify::memory(call.thread, pointer, &mut address).is_err() {
            return Act::Reply(Reply::Error(libc::EFAULT));
        }
        // so is what was read
        if !notify::waits(self.listener.get_ref().as_fd(), call) {
            return Act::Reply(Reply::Error(libc::EINTR));
        }
        let family = address.first_chunk::<2>().map(|bytes| i32::from(u16::from_ne_bytes(*bytes)));
        if domain == libc::AF_UNIX
            && family == Some(libc::AF_UNIX)
            && let Some(path) = pathname(&address)
        {
            return self.path(call, socket, path);
        }
        if call.number == libc::SYS_bind {
            return match notify::bind(socket.as_fd(), &address) {
                Ok(()) => Act::Reply(Reply::Done),
                Err(error) => refuse(error),
            };
        }
        let target = (kind == libc::SOCK_STREAM).then(|| internet(domain, &address)).flatten();
        match target.and_then(|target| self.permitted(call, target)) {
            Some((attempt, permit)) => Act::Hand { socket, address, attempt: Box::new(attempt), permit },
            None => Act::Perform { socket, address, stream: kind != libc::SOCK_DGRAM },
        }
    }

    /// A path as the caller sees it, and the root that it is found below.
    fn path(&self, call: &Call, socket: OwnedFd, path: PathBuf) -> Act {
        let found = fs::File::open(format!("/proc/{}/root", call.thread)).and_then(|root| {
            let whole = match path.is_absolute() {
                true => path,
                false => fs::read_link(format!("/proc/{}/cwd", call.thread))?.join(path),
            };
            let bind = (call.number == libc::SYS_bind).then(|| mask(call.thread));
            Ok((root, whole, bind))
        });
        match found {
            // what was opened is the caller's only if it still waits
            Ok(_) if !notify::waits(self.listener.get_ref().as_fd(), call) => {
                Act::Reply(Reply::Error(libc::EINTR))
            }
            Ok((root, path, bind)) => Act::Path { socket, root, path, bind },
            Err(error) => Act::Reply(Reply::Error(error.raw_os_error().unwrap_or(libc::EACCES))),
        }
    }

    /// Whether a rule asks for this connection to be handed over.
    fn permitted(&self, call: &Call, destination: SocketAddr) -> Option<(Attempt, Permit)> {
        let attempt = Attempt {
            target: self.shared.target(destination.ip()),
            port: destination.port(),
            transport: Transport::Tcp,
            // the agent's side is not bound yet
            agent: destination,
            destination,
            process: caller(call.thread),
        };
        match self.shared.decide(&attempt) {
            Decision::Allow(permit) if permit.rule().travel() == Travel::Brokered => Some((attempt, permit)),
            _ => None,
        }
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
        let deny = |attempt: &Attempt, reason, sentence| {
            shared.denied_because(attempt, Some(&permit), reason, sentence);
            Err(refused(libc::ECONNREFUSED))
        };
        let Some(slot) = Slot::take(shared) else {
            return deny(
                &attempt,
                Reason::Limit,
                "as many flows are open as the descriptor limit allows".to_owned(),
            );
        };
        let counted = match shared.budgets.begin(permit.rule()) {
            Ok(counted) => counted,
            Err(sentence) => return deny(&attempt, Reason::Limit, sentence),
        };
        let open = Open::enter(shared, attempt, &permit, counted.budget().cloned());
        let flow = Rc::clone(open.flow());
        // in the list from here on; the policy may have changed since the call was read
        if !matches!(shared.decide(&flow.attempt), Decision::Allow(now) if now.rule().travel() == Travel::Brokered)
        {
            return Ok(false);
        }
        let addresses = match shared.dialer.addresses(&permit).await {
            Ok(addresses) => addresses,
            Err(DialError::Refused(address)) => {
                let sentence = dial::private(&flow.attempt.name(), address);
                return deny(&flow.attempt, Reason::PrivateAddress, sentence);
            }
            Err(DialError::NoAddress) => {
                let process = shared.allowed(&flow.attempt, &permit);
                open.begun(process.map_err(|_| refused(libc::ECONNREFUSED))?);
                flow.ends("no-address");
                return Err(refused(libc::ENETUNREACH));
            }
        };
        if flow.stop.is_called() {
            return Ok(false);
        }
        // order: written down before it takes effect
        let process = shared.allowed(&flow.attempt, &permit).map_err(|_| refused(libc::ECONNREFUSED))?;
        open.begun(process);
        let dialled = tokio::select! {
            biased;
            () = flow.stop.called() => Err(refused(libc::ECONNREFUSED)),
            dialled = shared.dialer.dial(&permit, &addresses, &[]) => dialled,
        };
        let outside = match dialled.and_then(tokio::net::TcpStream::into_std) {
            Ok(outside) => OwnedFd::from(outside),
            Err(error) => {
                flow.ends(if flow.stop.is_called() { "revoked" } else { "unreachable" });
                return Err(error);
            }
        };
        notify::like(own.as_fd(), outside.as_fd())?;
        let [number, ..] = call.arguments;
        let number = number as u32;
        let outside = fs::File::from(outside);
        let inode = outside.metadata()?.ino();
        let outside = OwnedFd::from(outside);
        let close_on_exec = closes_on_exec(call.thread, number);
        // order: in the list first, so that from its first moment inside it can be taken back
        let key = self.next.get();
        self.next.set(key.saturating_add(1));
        let socket = outside.try_clone()?;
        let seen = PathBuf::from(format!("/proc/{}/fd/{number}", call.thread));
        let handed = Handed { socket, inode, seen, missed: 0, permit, open, _counted: counted, _slot: slot };
        self.handed.borrow_mut().insert(key, handed);
        notify::replace(self.listener.get_ref().as_fd(), call, outside.as_fd(), number, close_on_exec)
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
                self.shared.denied_because(&flow.attempt, Some(&one.permit), Reason::Limit, sentence);
                gone.push(*key);
            } else if !one.is_where_it_was() {
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
    fn search(&self, handed: &HashMap<u64, Handed>) -> Option<(HashSet<u64>, HashMap<u64, PathBuf>)> {
        let mut search = self.search.borrow_mut();
        let search_now = search.get_or_insert_with(|| Search {
            wanted: handed.values().filter(|one| one.missed > 0).map(|one| one.inode).collect(),
            directories: self.shared.who.borrow().descriptors(),
            entries: None,
            found: HashMap::new(),
        });
        for _ in 0..MOST_LOOKED_AT {
            let Some(entries) = &mut search_now.entries else {
                match search_now.directories.pop() {
                    Some(directory) => search_now.entries = fs::read_dir(directory).ok(),
                    None => return search.take().map(|search| (search.wanted, search.found)),
                }
                continue;
            };
            let Some(entry) = entries.next() else {
                search_now.entries = None;
                continue;
            };
            let Ok(place) = entry.map(|entry| entry.path()) else { continue };
            if let Some(inode) = socket_inode(&place).filter(|inode| search_now.wanted.contains(inode)) {
                search_now.found.insert(inode, place);
            }
        }
        None
    }
}

/// A look through all descriptors inside that goes on.
struct Search {
    wanted: HashSet<u64>,
    directories: Vec<PathBuf>,
    entries: Option<fs::ReadDir>,
    found: HashMap<u64, PathBuf>,
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

    fn is_where_it_was(&self) -> bool {
        socket_inode(&self.seen) == Some(self.inode)
    }
}

fn socket_inode(place: &Path) -> Option<u64> {
    let link = fs::read_link(place).ok()?;
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Who makes the call: its number inside, and its program.
pub(crate) fn caller(thread: u32) -> Option<Process> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let pid = status
        .lines()
        .find_map(|line| line.strip_prefix("NStgid:")?.split_whitespace().last()?.parse().ok())?;
    let exe = fs::read_link(format!("/proc/{thread}/exe")).ok()?;
    Some(Process { pid, exe: exe.to_string_lossy().into_owned(), package: None, via: None })
}

fn closes_on_exec(thread: u32, number: u32) -> bool {
    let info = fs::read_to_string(format!("/proc/{thread}/fdinfo/{number}")).unwrap_or_default();
    let flags =
        info.lines().find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_none_or(|flags| flags & libc::O_CLOEXEC != 0)
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

/// The path of a UNIX socket's address; none if it is abstract or empty (unix(7)).
fn pathname(address: &[u8]) -> Option<PathBuf> {
    let name = address.get(2..).filter(|name| name.first().is_some_and(|first| *first != 0))?;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    Some(PathBuf::from(OsStr::from_bytes(name.get(..end)?)))
}

/// connect(2) inside, where the kernel's rules decide as ever.
fn perform(socket: &OwnedFd, address: &[u8]) -> Reply {
    match notify::connect(socket.as_fd(), address) {
        Ok(()) => Reply::Done,
        Err(error) => Reply::Error(error.raw_os_error().unwrap_or(libc::EACCES)),
    }
}

/// connect(2) to a path as the agent sees it: resolved below its root, then named by descriptor.
fn by_path(socket: &OwnedFd, root: &fs::File, path: &Path) -> Reply {
    let connected = notify::inside(root.as_fd(), path).and_then(|place| {
        let name = format!("/proc/self/fd/{}", place.as_raw_fd());
        let mut address = u16::try_from(libc::AF_UNIX).unwrap_or_default().to_ne_bytes().to_vec();
        address.extend_from_slice(name.as_bytes());
        address.push(0);
        notify::connect(socket.as_fd(), &address)
    });
    match connected {
        Ok(()) => Reply::Done,
        Err(error) => Reply::Error(error.raw_os_error().unwrap_or(libc::EACCES)),
    }
}

/// bind(2) to a path as the agent sees it: in a directory found below its root, with the agent's own mask (umask(2)).
fn bind_path(socket: &OwnedFd, root: &fs::File, path: &Path, mask: u32) -> Reply {
    let bound = (|| {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::from_raw_os_error(libc::EADDRINUSE));
        };
        let place = notify::inside(root.as_fd(), parent)?;
        let mut address = u16::try_from(libc::AF_UNIX).unwrap_or_default().to_ne_bytes().to_vec();
        address.extend_from_slice(format!("/proc/self/fd/{}/", place.as_raw_fd()).as_bytes());
        address.extend_from_slice(name.as_bytes());
        address.push(0);
        notify::masked(mask, || notify::bind(socket.as_fd(), &address))
    })();
    match bound {
        Ok(()) => Reply::Done,
        Err(error) => Reply::Error(error.raw_os_error().unwrap_or(libc::EACCES)),
    }
}

fn mask(thread: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let mask =
        status.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("Umask:")?.trim(), 8).ok());
    mask.unwrap_or(0o077)
}

/// `struct sockaddr_storage`.
const LONGEST_ADDRESS: usize = 128;
/// Threads that may wait for the agent's own connections.
const MOST_PERFORMED: u32 = 64;
/// Descriptors that are looked at before others get their turn: about 3 ms.
const MOST_LOOKED_AT: usize = 1_000;
const OFTEN: Duration = Duration::from_millis(25);
const SELDOM: Duration = Duration::from_millis(200);
/// Sockets beyond which they are looked at seldom.
const MANY: usize = 200;
