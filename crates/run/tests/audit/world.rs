//! Worlds: trees of files, network namespaces, answers of system calls.

use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use claw_host::Facts;
use claw_run::audit::{Places, Root, read};
use claw_sys::process;

/// What is put into a tree.
pub(crate) enum Put {
    /// A file of root's, mode 0644.
    Text(&'static str, &'static str),
    /// A file with a mode and an owner (user and group).
    File(&'static str, u32, u32),
    /// A directory with a mode and an owner.
    Directory(&'static str, u32, u32),
    /// A link.
    Link(&'static str, &'static str),
    /// A socket with a mode and a group.
    Socket(&'static str, u32, u32),
    /// A block device with a mode.
    Block(&'static str, u32),
    /// A program that is given capabilities, as setcap(8) takes them.
    Capable(&'static str, &'static str),
    /// A file that was changed so many days ago.
    Old(&'static str, u64),
}

/// Where a check is tried.
pub(crate) struct World {
    puts: &'static [Put],
    /// Run in a new network namespace, which is then read with the running host.
    script: Option<&'static str>,
    /// `tcp ADDRESS`, `udp ADDRESS`, or `@NAME` of a UNIX socket.
    listen: &'static [&'static str],
    set: fn(&mut Facts),
}

/// An empty directory.
pub(crate) const EMPTY: World = tree(&[]);

/// A tree of files.
pub(crate) const fn tree(puts: &'static [Put]) -> World {
    World { puts, script: None, listen: &[], set: |_| {} }
}

/// A tree of files, and what else is to be so.
pub(crate) const fn tree_with(puts: &'static [Put], set: fn(&mut Facts)) -> World {
    World { puts, script: None, listen: &[], set }
}

/// A network namespace in which a script was run, with sockets that listen.
pub(crate) const fn net(script: &'static str, listen: &'static [&'static str]) -> World {
    World { puts: &[], script: Some(script), listen, set: |_| {} }
}

/// A network namespace, and what else is to be so.
pub(crate) const fn net_with(script: &'static str, set: fn(&mut Facts)) -> World {
    World { puts: &[], script: Some(script), listen: &[], set }
}

/// An answer of a system call.
pub(crate) const fn answer(set: fn(&mut Facts)) -> World {
    World { puts: &[], script: None, listen: &[], set }
}

/// The state of claw in directories of its own, on the running host.
pub(crate) const fn state(puts: &'static [Put]) -> World {
    World { puts, script: Some(""), listen: &[], set: |_| {} }
}

impl World {
    /// What is read of it.
    pub(crate) fn facts(&self) -> Facts {
        let directory = Scratch::new();
        for put in self.puts {
            put.make(&directory.0);
        }
        let places = Places {
            program: std::env::current_exe().unwrap(),
            state: directory.0.join("state"),
            config: directory.0.join("config"),
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let now = i64::try_from(now).unwrap();
        let mut facts = match self.script {
            None => read(&Root::tree(&directory.0).unwrap(), &places, now),
            Some(script) => {
                let listen = self.listen;
                let thread = std::thread::spawn(move || {
                    process::unshare_network().expect("these tests need root and namespaces");
                    let script = format!("set -e; ip link set lo up; {script}");
                    let done = Command::new("sh").args(["-c", &script]).output().unwrap();
                    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
                    let _held: Vec<Held> = listen.iter().map(|what| Held::open(what)).collect();
                    // these worlds are not about the files of this host
                    read(&Root::host().unwrap().walking(Duration::ZERO), &places, now)
                });
                thread.join().unwrap()
            }
        };
        (self.set)(&mut facts);
        facts
    }
}

/// A socket that is held open.
#[expect(dead_code, reason = "held, never used")]
enum Held {
    Tcp(TcpListener),
    Udp(UdpSocket),
    Unix(UnixListener),
}

impl Held {
    fn open(what: &str) -> Held {
        if let Some(name) = what.strip_prefix('@') {
            let address = SocketAddr::from_abstract_name(name).unwrap();
            return Held::Unix(UnixListener::bind_addr(&address).unwrap());
        }
        match what.split_once(' ').unwrap() {
            ("tcp", address) => Held::Tcp(TcpListener::bind(address).unwrap()),
            (_, address) => Held::Udp(UdpSocket::bind(address).unwrap()),
        }
    }
}

impl Put {
    fn make(&self, root: &Path) {
        let place = |path: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        let rights = |path: &Path, mode: u32, user: u32, group: u32| {
            chown(path, Some(user), Some(group)).expect("these tests need root");
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        match self {
            Put::Text(path, text) => {
                let path = place(path);
                fs::write(&path, text).unwrap();
                rights(&path, 0o644, 0, 0);
            }
            Put::File(path, mode, owner) => {
                let path = place(path);
                fs::write(&path, "").unwrap();
                rights(&path, *mode, *owner, *owner);
            }
            Put::Directory(path, mode, owner) => {
                let path = place(path);
                fs::create_dir_all(&path).unwrap();
                rights(&path, *mode, *owner, *owner);
            }
            Put::Link(path, target) => symlink(target, place(path)).unwrap(),
            Put::Socket(path, mode, group) => {
                let path = place(path);
                drop(UnixListener::bind(&path).unwrap());
                rights(&path, *mode, 0, *group);
            }
            Put::Block(path, mode) => {
                let path = place(path);
                let made = Command::new("mknod").arg(&path).args(["b", "7", "255"]).status().unwrap();
                assert!(made.success(), "mknod");
                rights(&path, *mode, 0, 0);
            }
            Put::Capable(path, given) => {
                let path = place(path);
                fs::write(&path, "").unwrap();
                rights(&path, 0o755, 0, 0);
                let made =
                    Command::new("setcap").arg(given).arg(&path).status().expect("setcap (libcap2-bin)");
                assert!(made.success(), "setcap");
            }
            Put::Old(path, days) => {
                let path = place(path);
                let file = File::create(&path).unwrap();
                file.set_modified(SystemTime::now() - Duration::from_secs(days * 86_400)).unwrap();
            }
        }
    }
}

/// A directory that is removed at the end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    /// A new one.
    pub(crate) fn new() -> Scratch {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("claw-audit-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
