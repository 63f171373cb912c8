//! What was read of a host, as plain data. Secrets are not in it: of `/etc/shadow` only what kind of hash each account has.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::read::Read;

/// Everything that checks look at.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Seconds since 1970.
    pub now: i64,
    /// Whether it is a running host, or files only.
    pub live: bool,
    /// Who reads.
    pub user: u32,
    /// The process that reads.
    pub own: u32,
    /// The content of small files, by their path.
    pub texts: BTreeMap<String, Read<String>>,
    /// What files are, by their path; links are followed.
    pub nodes: BTreeMap<String, Read<Node>>,
    /// Names in directories.
    pub lists: BTreeMap<String, Read<Vec<String>>>,
    /// The accounts with a password field.
    pub shadow: Read<Vec<Shadow>>,
    /// Homes of people and of root.
    pub homes: Read<Homes>,
    /// Files and directories with unusual rights.
    pub walk: Walk,
    /// Claw itself.
    pub claw: Claw,
    /// Running programs.
    pub processes: Read<Vec<Process>>,
    /// Processes in Claw's sandboxes.
    pub agents: Read<Vec<Agent>>,
    /// Processes that look as if they kept a sandbox of Claw, and of which it cannot be said.
    pub strangers: Vec<String>,
    /// Sockets that wait for others.
    pub listeners: Read<Vec<Listener>>,
    /// Where vsock(7) sockets wait: context and port.
    pub vsocks: Read<Vec<(u32, u32)>>,
    /// Listening UNIX sockets without a file: name and owner.
    pub abstracts: Read<Vec<(String, Option<u32>)>>,
    /// Interfaces.
    pub links: Read<Vec<Link>>,
    /// Base chains of nf_tables.
    pub chains: Read<Vec<Chain>>,
    /// Where the kernel would send packets for these addresses.
    pub ways: BTreeMap<IpAddr, Read<Way>>,
    /// The Landlock ABI.
    pub landlock: Read<u32>,
    /// Whether a service keeps the clock.
    pub clock: Read<bool>,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its kind.
    pub kind: Kind,
    /// Its permission bits.
    pub mode: u32,
    /// Its owner.
    pub user: u32,
    /// Its group.
    pub group: u32,
    /// When its content changed last, in seconds since 1970.
    pub modified: i64,
}

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A socket.
    Socket,
    /// A block device.
    Block,
    /// A character device.
    Character,
    /// Anything else.
    Other,
}

/// An account's password field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// The account.
    pub name: String,
    /// What is in it.
    pub hash: Hash,
}

/// What kind of hash a password field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// Nothing: no password is asked.
    Empty,
    /// No password fits.
    Locked,
    /// yescrypt, bcrypt, scrypt or SHA-2.
    Strong,
    /// DES or MD5.
    Weak,
}

/// Home directories.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Homes {
    /// Those that were looked at.
    pub all: Vec<Home>,
    /// How many more there are.
    pub left: usize,
}

/// A home directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Whose.
    pub name: String,
    /// Their number.
    pub user: u32,
    /// Where.
    pub path: String,
    /// What it is.
    pub node: Read<Node>,
    /// `.ssh`, `authorized_keys` and the like.
    pub keys: Vec<(String, Read<Node>)>,
    /// Files that hold credentials.
    pub credentials: Vec<(String, Read<Node>)>,
    /// Files that let others in without a password.
    pub trusting: Vec<(String, Read<Node>)>,
}

/// What a walk over the tree found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Walk {
    /// Where it went, for people.
    pub places: String,
    /// How many entries it looked at.
    pub entries: usize,
    /// What it could not look into, and its bound if it was reached.
    pub missed: Vec<String>,
    /// The part of it that belongs to the system: below `/etc`, `/usr` and the like.
    pub missed_of_system: Vec<String>,
    /// Files with the set-user-id bit.
    pub setuid: Vec<(String, Node)>,
    /// Files with the set-group-id bit.
    pub setgid: Vec<(String, Node)>,
    /// Files that give capabilities, and which: a bit for each (include/uapi/linux/capability.h).
    pub capable: Vec<(String, u64)>,
    /// Directories that anybody may write and that are not sticky.
    pub open_directories: Vec<String>,
    /// Files of the system that anybody may write.
    pub open_files: Vec<String>,
}

/// Claw itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claw {
    /// Each part of the path of its program, from `/` on.
    pub program: Read<Vec<(String, Node)>>,
    /// The directory of its ledgers.
    pub state: (String, Read<Node>),
    /// The directory of its settings.
    pub config: (String, Read<Node>),
    /// The list of trusted policies.
    pub trusted: (String, Read<Node>),
}

/// A running program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Its user, who started it.
    pub user: u32,
    /// Its arguments, for `sshd` only.
    pub arguments: Vec<String>,
    /// The file that it executes: its name alone is its own choice.
    pub program: Read<Program>,
}

/// A file that is executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Where.
    pub path: String,
    /// What it is.
    pub node: Node,
}

/// A process in one of Claw's sandboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its number outside.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// `CapEff`.
    pub capabilities: u64,
    /// `NoNewPrivs`.
    pub no_new_privileges: bool,
    /// `Seccomp`: 2 is a filter.
    pub seccomp: u8,
    /// Namespaces that are the host's own, or why that cannot be said.
    pub shared: Read<BTreeSet<String>>,
    /// Its mounts, as in `/proc/PID/mountinfo`.
    pub mounts: Read<String>,
}

/// A socket that waits for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// TCP or UDP.
    pub transport: Transport,
    /// Where.
    pub local: SocketAddr,
    /// Whose.
    pub user: u32,
    /// The program's name, where it could be seen.
    pub process: Option<String>,
    /// Whether the system's own SSH server holds it.
    pub ssh: Read<bool>,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// What made it; `None` for hardware.
    pub kind: Option<String>,
    /// Whether it is loopback.
    pub loopback: bool,
    /// Whether it takes packets for others.
    pub promiscuous: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// A base chain of nf_tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its table, with its family as nft(8) writes it.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Whether it sees IPv4.
    pub v4: bool,
    /// Whether it sees IPv6.
    pub v6: bool,
    /// Where it hangs.
    pub hook: Hook,
    /// Whether what no condition meets is dropped.
    pub drops: bool,
}

/// A hook that checks ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// To this host.
    Input,
    /// Through it.
    Forward,
    /// From it.
    Output,
    /// Any other.
    Other,
}

/// Where the kernel would send a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Out of this interface, by this gateway if there is one.
    Out(String, Option<IpAddr>),
    /// To this host itself.
    Here,
    /// Nowhere.
    Nowhere,
}

impl Facts {
    /// The content of a file.
    pub fn text(&self, path: &str) -> Read<&str> {
        match self.texts.get(path) {
            Some(Read::Known(text)) => Read::Known(text.as_str()),
            Some(Read::Absent) => Read::Absent,
            Some(Read::Unknown(why)) => Read::Unknown(why.clone()),
            None => Read::Absent,
        }
    }

    /// The one line of a file.
    pub fn line(&self, path: &str) -> Read<&str> {
        self.text(path).map(str::trim)
    }

    /// The files of a directory whose content was read, by path.
    pub fn texts_below<'a>(
        &'a self,
        directory: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Read<String>)> {
        below(&self.texts, directory)
    }

    /// The files of a directory that were looked at, by path.
    pub fn nodes_below<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = (&'a str, &'a Read<Node>)> {
        below(&self.nodes, directory)
    }

    /// What a file is.
    pub fn node(&self, path: &str) -> Read<&Node> {
        match self.nodes.get(path) {
            Some(Read::Known(node)) => Read::Known(node),
            Some(Read::Unknown(why)) => Read::Unknown(why.clone()),
            Some(Read::Absent) | None => Read::Absent,
        }
    }

    /// Why a directory could not be listed, if it could not.
    pub fn unlisted(&self, directory: &str) -> Option<&str> {
        self.lists.get(directory).and_then(Read::unknown)
    }

    /// Whether a service runs whose program has one of these names. Who calls itself so is not believed: the program is
    /// root's, and its user is the system's.
    pub fn runs(&self, names: &[&str]) -> Read<String> {
        self.serves(names, |_| true)
    }

    /// The same for a service that only root can run.
    pub fn runs_as_root(&self, name: &str) -> Read<String> {
        self.serves(&[name], |user| user == 0)
    }

    fn serves(&self, names: &[&str], by: fn(u32) -> bool) -> Read<String> {
        let all = match &self.processes {
            Read::Known(all) => all,
            Read::Absent => return Read::Absent,
            Read::Unknown(why) => return Read::Unknown(why.clone()),
        };
        let mut answer = Read::Absent;
        for one in all.iter().filter(|one| by(one.user)) {
            match one.service(names) {
                Read::Known(name) => return Read::Known(name.to_owned()),
                Read::Unknown(why) => answer = Read::Unknown(why),
                Read::Absent => {}
            }
        }
        answer
    }
}

impl Process {
    /// Which of these services it is.
    pub fn service(&self, names: &[&str]) -> Read<&str> {
        // ordinary users, and nobody; dynamic users of services lie between (systemd: Users, Groups, UIDs and GIDs)
        let person = (1_000..61_184).contains(&self.user) || self.user > 65_519;
        match &self.program {
            _ if person => Read::Absent,
            Read::Known(program) if program.node.foreign() => Read::Absent,
            Read::Known(program) => {
                let name = program.name();
                if names.contains(&name) { Read::Known(name) } else { Read::Absent }
            }
            // the kernel cuts a name after fifteen characters
            Read::Unknown(why) if names.iter().any(|name| name.get(..15).unwrap_or(name) == self.name) => {
                Read::Unknown(format!(
                    "{} runs as process {}; which program that is: {why}",
                    self.name, self.pid
                ))
            }
            Read::Unknown(_) | Read::Absent => Read::Absent,
        }
    }
}

impl Program {
    /// The last part of its path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

fn below<'a, T>(
    map: &'a BTreeMap<String, T>,
    directory: &'a str,
) -> impl Iterator<Item = (&'a str, &'a T)> + use<'a, T> {
    map.range(format!("{directory}/")..)
        .map(|(path, value)| (path.as_str(), value))
        .take_while(move |(path, _)| path.starts_with(directory))
        .filter(move |(path, _)| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/')))
}

impl Node {
    /// Whether others than owner and group may write.
    pub fn open(&self) -> bool {
        self.mode & 0o002 != 0
    }

    /// Whether somebody but root may write.
    pub fn foreign(&self) -> bool {
        self.user != 0 || self.mode & 0o002 != 0 || (self.mode & 0o020 != 0 && self.group != 0)
    }

    /// Its rights and owner, for people.
    pub fn show(&self) -> String {
        format!("mode {:04o}, user {}, group {}", self.mode, self.user, self.group)
    }
}

impl Shadow {
    /// Reads shadow(5), and forgets the hashes.
    pub fn parse(text: &str) -> Vec<Shadow> {
        let field = |line: &str| {
            let mut fields = line.split(':');
            let (name, hash) = (fields.next()?.to_owned(), fields.next()?);
            let kind = match hash {
                "" => Hash::Empty,
                _ if hash.starts_with(['!', '*']) => Hash::Locked,
                _ if hash.starts_with("$1$") || hash.starts_with('_') => Hash::Weak,
                _ if hash.starts_with('$') => Hash::Strong,
                // DES: 13 characters; anything else fits no password (crypt(5))
                _ if hash.len() == 13 => Hash::Weak,
                _ => Hash::Locked,
            };
            Some(Shadow { name, hash: kind })
        };
        text.lines().filter(|line| !line.starts_with('#')).filter_map(field).collect()
    }
}
