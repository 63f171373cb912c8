//! Which process inside opened a socket. For records and people only: no decision depends on it.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use claw_ledger::record::Process;
use claw_model::protocol::Transport;
use claw_sys::netlink::Socket;
use claw_sys::{beneath, diag};

use crate::observe;

/// Asks the kernel for a socket's inode, and the sandbox's `/proc` for its holder.
#[derive(Debug)]
pub(crate) struct Who {
    diagnosis: Socket,
    /// The sandbox's `/proc`: its pids are those inside.
    pub(crate) processes: Option<Rc<OwnedFd>>,
    /// Records also name what a Python or Node process runs.
    pub(crate) names_packages: bool,
    recent: Vec<(u32, String)>,
    window: Instant,
    searches: u32,
}

impl Who {
    pub(crate) fn new(diagnosis: Socket) -> Who {
        Who {
            diagnosis,
            processes: None,
            names_packages: false,
            recent: Vec::new(),
            window: Instant::now(),
            searches: 0,
        }
    }

    /// The process whose socket has this own address and that peer. A socket that is gone leaves the question open: who
    /// is there still need not be who opened it.
    pub(crate) fn process(
        &mut self,
        transport: Transport,
        agent: SocketAddr,
        peer: SocketAddr,
    ) -> Option<Process> {
        let number = match transport {
            Transport::Tcp => 6,
            Transport::Udp => 17,
        };
        let inode = diag::inode(&self.diagnosis, number, agent, peer).ok().flatten()?;
        let pid = self.holder(inode)?;
        let exe = self.link(&format!("{pid}/exe"))?.to_string_lossy().into_owned();
        let package = self.names_packages.then(|| self.package(pid, &exe)).flatten();
        Some(Process { pid, exe, package, via: None })
    }

    /// What a Python or Node process runs.
    fn package(&self, pid: u32, exe: &str) -> Option<String> {
        let processes = self.processes.as_ref()?;
        let opened = beneath::open(processes.as_fd(), Path::new(&format!("{pid}/cmdline"))).ok()?;
        // read in one piece: what the kernel gives of a command line has no length to be asked for
        let mut command = vec![0; LONGEST_COMMAND];
        let length = File::from(opened).read(&mut command).ok()?;
        observe::package(exe, command.get(..length)?)
    }

    fn holder(&mut self, inode: u32) -> Option<u32> {
        let wanted = PathBuf::from(format!("socket:[{inode}]"));
        // programs take the lowest free number: the next socket often has the number of the one before
        let same = |(pid, number): &(u32, String)| self.is_link(*pid, number, &wanted);
        if let Some((pid, _)) = self.recent.iter().find(|seen| same(seen)) {
            return Some(*pid);
        }
        if !self.may_search() {
            return None;
        }
        let likely: Vec<u32> = self.recent.iter().map(|(pid, _)| *pid).collect();
        let found =
            likely.into_iter().chain(self.pids()).find_map(|pid| Some((pid, self.number(pid, &wanted)?)))?;
        let pid = found.0;
        self.recent.retain(|(known, _)| *known != pid);
        self.recent.insert(0, found);
        self.recent.truncate(REMEMBERED);
        Some(pid)
    }

    /// A search looks at every process: an agent that makes many cannot keep the gate busy with it.
    fn may_search(&mut self) -> bool {
        if self.window.elapsed() > Duration::from_millis(100) {
            (self.window, self.searches) = (Instant::now(), 0);
        }
        self.searches = self.searches.saturating_add(1);
        self.searches <= MOST_SEARCHES
    }

    /// Under which number a process holds the socket.
    fn number(&self, pid: u32, socket: &PathBuf) -> Option<String> {
        let processes = self.processes.as_ref()?;
        let listed = beneath::open(processes.as_fd(), Path::new(&format!("{pid}/fd"))).ok()?;
        let numbers = beneath::names(listed, MOST_DESCRIPTORS).ok()?;
        numbers.into_iter().find(|number| self.is_link(pid, number, socket))
    }

    fn is_link(&self, pid: u32, number: &str, socket: &PathBuf) -> bool {
        self.link(&format!("{pid}/fd/{number}")).is_some_and(|link| link == *socket)
    }

    fn link(&self, path: &str) -> Option<PathBuf> {
        beneath::link(self.processes.as_ref()?.as_fd(), Path::new(path)).ok()
    }

    /// Every process inside but init.
    fn pids(&self) -> Vec<u32> {
        let Some(processes) = &self.processes else { return Vec::new() };
        let listed = beneath::open(processes.as_fd(), Path::new("."));
        let names = listed.and_then(|listed| beneath::names(listed, MOST_NAMES)).unwrap_or_default();
        let pids = names.iter().filter_map(|name| name.parse().ok());
        pids.filter(|pid| *pid != 1).take(MOST_PROCESSES).collect()
    }

    /// Whose thread this is, by its number inside.
    pub(crate) fn caller(&self, thread: u32) -> Option<Process> {
        let status = self.text(&format!("{thread}/status"))?;
        let pid = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())?;
        self.program(pid, thread)
    }

    /// A process and the program that it runs now. One of its threads that is there is asked: the first may have ended.
    pub(crate) fn program(&self, pid: u32, thread: u32) -> Option<Process> {
        let exe = self.link(&format!("{thread}/exe"))?.to_string_lossy().into_owned();
        Some(Process { pid, exe, package: None, via: None })
    }

    /// Whether a descriptor inside is closed on execution.
    pub(crate) fn closes_on_exec(&self, thread: u32, number: u32) -> bool {
        let info = self.text(&format!("{thread}/fdinfo/{number}")).unwrap_or_default();
        let flags =
            info.lines().find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
        flags.is_none_or(|flags| flags & libc::O_CLOEXEC != 0)
    }

    /// The inode of the socket that stands there, by a path below the sandbox's `/proc`.
    pub(crate) fn socket_inode(&self, place: &str) -> Option<u64> {
        let link = self.link(place)?;
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    }

    /// Where the descriptors of every process inside are listed.
    pub(crate) fn descriptors(&self) -> Vec<String> {
        let pids = self.list(".").into_iter().flatten().filter(|name| name.parse::<u32>().is_ok());
        pids.map(|pid| format!("{pid}/fd")).collect()
    }

    /// The names in a directory of the sandbox's `/proc`.
    pub(crate) fn list(&self, path: &str) -> Option<beneath::Names> {
        beneath::Names::of(beneath::open(self.processes.as_ref()?.as_fd(), Path::new(path)).ok()?).ok()
    }

    fn text(&self, path: &str) -> Option<String> {
        let opened = beneath::open(self.processes.as_ref()?.as_fd(), Path::new(path)).ok()?;
        // what the kernel gives of these files comes in one piece
        let mut room = vec![0; LONGEST_FILE];
        let length = File::from(opened).read(&mut room).ok()?;
        room.truncate(length);
        String::from_utf8(room).ok()
    }
}

/// Processes that opened something lately are asked first.
const REMEMBERED: usize = 8;
/// An agent with more cannot make the gate slow: its records go without a process.
const MOST_SEARCHES: u32 = 8;
const MOST_PROCESSES: usize = 64;
/// Beside processes, `/proc` lists about fifty files of its own.
const MOST_NAMES: usize = 256;
const MOST_DESCRIPTORS: usize = 64;
/// Bytes of `status` and of a socket's `fdinfo`.
const LONGEST_FILE: usize = 8_192;
/// Bytes of a command line.
const LONGEST_COMMAND: usize = 4_096;
