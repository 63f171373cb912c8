//! Which process inside opened a socket. For records and people only: no decision depends on it.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use claw_ledger::record::Process;
use claw_model::protocol::Transport;
use claw_sys::diag;
use claw_sys::netlink::Socket;

/// Asks the kernel for a socket's inode, and the sandbox's `/proc` for its holder.
#[derive(Debug)]
pub(crate) struct Who {
    diagnosis: Socket,
    /// The sandbox's `/proc`: its pids are those inside.
    pub(crate) processes: Option<OwnedFd>,
    recent: Vec<(u32, String)>,
    window: Instant,
    searches: u32,
}

impl Who {
    pub(crate) fn new(diagnosis: Socket) -> Who {
        Who { diagnosis, processes: None, recent: Vec::new(), window: Instant::now(), searches: 0 }
    }

    /// The process whose socket has this own address and that peer. A socket that is gone leaves the question open,
    /// unless only one process is there.
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
        let pid = match diag::inode(&self.diagnosis, number, agent, peer).ok().flatten() {
            Some(inode) => self.holder(inode)?,
            None => self.only()?,
        };
        let exe = fs::read_link(self.path(pid, "exe")?).ok()?;
        Some(Process { pid, exe: exe.to_string_lossy().into_owned(), package: None })
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
        let entries = fs::read_dir(self.path(pid, "fd")?).ok()?;
        let numbers =
            entries.flatten().take(MOST_DESCRIPTORS).filter_map(|entry| entry.file_name().into_string().ok());
        numbers.into_iter().find(|number| self.is_link(pid, number, socket))
    }

    fn is_link(&self, pid: u32, number: &str, socket: &PathBuf) -> bool {
        let Some(path) = self.path(pid, &format!("fd/{number}")) else { return false };
        fs::read_link(path).is_ok_and(|link| link == *socket)
    }

    /// The agent, if nothing but init and one process is there.
    fn only(&self) -> Option<u32> {
        match self.pids().as_slice() {
            [pid] => Some(*pid),
            _ => None,
        }
    }

    /// Every process inside but init.
    fn pids(&self) -> Vec<u32> {
        let Some(processes) = &self.processes else { return Vec::new() };
        let Ok(entries) = fs::read_dir(format!("/proc/self/fd/{}", processes.as_raw_fd())) else {
            return Vec::new();
        };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| *pid != 1).take(MOST_PROCESSES).collect()
    }

    /// Where the descriptors of every process inside are listed.
    pub(crate) fn descriptors(&self) -> Vec<PathBuf> {
        let Some(processes) = &self.processes else { return Vec::new() };
        let root = format!("/proc/self/fd/{}", processes.as_raw_fd());
        let Ok(entries) = fs::read_dir(&root) else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.map(|pid| PathBuf::from(format!("{root}/{pid}/fd"))).collect()
    }

    fn path(&self, pid: u32, name: &str) -> Option<String> {
        let processes = self.processes.as_ref()?;
        Some(format!("/proc/self/fd/{}/{pid}/{name}", processes.as_raw_fd()))
    }
}

/// Processes that opened something lately are asked first.
const REMEMBERED: usize = 8;
/// An agent with more cannot make the gate slow: its records go without a process.
const MOST_SEARCHES: u32 = 8;
const MOST_PROCESSES: usize = 64;
const MOST_DESCRIPTORS: usize = 64;
