//! A directory, a network and a hosts file for one test, and the user who runs claw in them.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use claw_sys::{mount, process};

use crate::claw::Claw;
use crate::outcome::Outcome;

/// Who runs claw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// User 0.
    Root,
    /// User and group 2002, in no other group.
    Ordinary,
}

/// A place to run claw in. Its directory is removed at the end.
#[derive(Debug)]
pub struct Lab {
    program: PathBuf,
    user: User,
    root: PathBuf,
    counter: AtomicU32,
}

/// Runs the test as root and as an ordinary user, each in a lab of its own.
pub fn each(program: &str, test: fn(&Lab)) {
    once(program, User::Root, test);
    once(program, User::Ordinary, test);
}

/// Runs the test in a lab, on a thread with a network and mounts of its own: servers and children inherit them.
pub fn once(program: &str, user: User, test: fn(&Lab)) {
    let program = PathBuf::from(program);
    let thread =
        thread::Builder::new().name(format!("{}, as {user:?}", thread::current().name().unwrap_or("test")));
    let joined = thread
        .spawn(move || {
            separate();
            let lab = Lab::new(program, user);
            lab.connect();
            test(&lab);
        })
        .unwrap()
        .join();
    if let Err(panic) = joined {
        std::panic::resume_unwind(panic);
    }
}

impl Lab {
    /// An address of the lab's network that is private.
    pub const PRIVATE: &'static str = "10.77.0.1";
    /// An address of the lab's network from public space.
    pub const PUBLIC: &'static str = "8.8.8.8";
    /// An IPv6 address of the lab's network from public space.
    pub const PUBLIC6: &'static str = "2606:4700:4700::1111";
    /// An IPv6 address of the lab's network that is private.
    pub const PRIVATE6: &'static str = "fd77::1";
    /// The metadata service of clouds; in the lab's network, an address like others.
    pub const METADATA: &'static str = "169.254.169.254";

    fn new(program: PathBuf, user: User) -> Lab {
        let root = loop {
            let number = LABS.fetch_add(1, Ordering::Relaxed);
            let root = std::env::temp_dir().join(format!("claw-lab-{}-{number}", std::process::id()));
            match fs::create_dir(&root) {
                Ok(()) => break root,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("cannot make the lab {}: {error}", root.display()),
            }
        };
        let lab = Lab { program, user, root, counter: AtomicU32::new(0) };
        lab.own(&lab.root, 0o755);
        for directory in ["work", "home", "state", "config", "ledgers"] {
            lab.directory(directory);
        }
        lab.write("hosts", "127.0.0.1 localhost\n");
        lab.write("resolv.conf", "nameserver 10.77.0.1\noptions timeout:1 attempts:1\n");
        lab.write("policy.yaml", "version: 1\n");
        lab
    }

    /// Brings up addresses on the lab's `lo`, and puts its hosts file in place.
    fn connect(&self) {
        let mut commands = "link set lo up\n".to_owned();
        let four = [Lab::PRIVATE, Lab::PUBLIC, Lab::METADATA];
        for address in four {
            let _ = writeln!(commands, "addr add {address}/32 dev lo");
        }
        // without `nodad` the kernel takes its time until they can be bound
        for address in [Lab::PUBLIC6, Lab::PRIVATE6] {
            let _ = writeln!(commands, "addr add {address}/128 dev lo nodad");
        }
        let mut child =
            Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("ip (iproute2)");
        child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "ip cannot set up the lab's network");
        bind(&self.path("hosts"), Path::new("/etc/hosts"));
        bind(&self.path("resolv.conf"), Path::new("/etc/resolv.conf"));
    }

    /// Who runs claw here.
    pub fn user(&self) -> User {
        self.user
    }

    /// A path in the lab. `work` is the working directory of what runs.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Makes a directory that belongs to the user.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        self.own(&path, 0o755);
        path
    }

    /// Writes a file that belongs to the user.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        self.own(&path, 0o644);
        path
    }

    /// Gives a path to the user, with these permission bits.
    pub fn own(&self, path: &Path, mode: u32) {
        let number = self.user.number();
        chown(path, Some(number), Some(number)).expect("the lab needs root");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// What names stand for on the host: lines of its hosts file.
    pub fn hosts(&self, lines: &str) {
        self.write("hosts", &format!("127.0.0.1 localhost\n{lines}\n"));
    }

    /// The policy for the next runs: these rules (each the inside of a flow mapping) in phase `workload`, then `more`.
    pub fn policy(&self, rules: &[String], more: &str) {
        let mut text = "version: 1\nagent: lab\n".to_owned();
        if !rules.is_empty() {
            text.push_str("network_policy:\n  workload:\n");
        }
        for rule in rules {
            let _ = writeln!(text, "    - {{{rule}, plane: tool, purpose: test}}");
        }
        text.push_str(more);
        self.write("policy.yaml", &text);
    }

    /// `claw run` with the lab's policy and a ledger of its own.
    pub fn claw(&self) -> Claw<'_> {
        Claw::run(self)
    }

    /// `claw observe` with a ledger of its own, and no policy.
    pub fn observe(&self) -> Claw<'_> {
        Claw::observe(self)
    }

    /// The same without claw, to be prepared like it.
    pub fn plain(&self) -> Claw<'_> {
        Claw::bare(self)
    }

    /// Runs a shell script in claw.
    pub fn run(&self, script: &str) -> Outcome {
        self.claw().sh(script)
    }

    /// Runs a Python program in claw, after the functions that probes share (`probe.py`).
    pub fn python(&self, code: &str) -> Outcome {
        let file = self.program_file(code);
        self.claw().command(&["python3", &file])
    }

    /// Runs a shell script without any sandbox, as the same user: what an attack does where nothing stops it.
    pub fn bare(&self, script: &str) -> Outcome {
        Claw::bare(self).sh(script)
    }

    /// Runs a Python program without any sandbox.
    pub fn bare_python(&self, code: &str) -> Outcome {
        let file = self.program_file(code);
        Claw::bare(self).command(&["python3", &file])
    }

    /// Any command of claw.
    pub fn cli(&self, arguments: &[&str]) -> Outcome {
        let program = self.program.to_string_lossy().into_owned();
        Claw::bare(self).command(&[&[program.as_str()], arguments].concat())
    }

    /// Compiles a C program into the working directory.
    pub fn compile(&self, name: &str, source: &str) {
        let file = self.write(&format!("{name}.c"), source);
        let output = self.path("work").join(name);
        let gcc =
            Command::new("gcc").args(["-O1", "-w", "-o"]).arg(&output).arg(&file).output().expect("gcc");
        assert!(gcc.status.success(), "{}", String::from_utf8_lossy(&gcc.stderr));
        self.own(&output, 0o755);
    }

    /// The program under test.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A number that this lab has not given out before.
    pub(crate) fn number(&self) -> u32 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes a Python program into the working directory, after the functions that probes share; returns its name.
    pub fn program_file(&self, code: &str) -> String {
        let name = format!("program{}.py", self.number());
        self.write(&format!("work/{name}"), &format!("{PROBE}\n{code}"));
        name
    }
}

/// Copies what is to be started. Not by this process: whatever another test starts at that moment gets the descriptor that is
/// open for writing too, and until it is closed nobody can start the copy (ETXTBSY).
pub fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let done = Command::new("cp").arg("--").args([from.as_ref(), to.as_ref()]).status().expect("cp");
    assert!(done.success(), "{} is not copied", from.as_ref().display());
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

impl User {
    /// The number of user and group.
    pub fn number(self) -> u32 {
        match self {
            User::Root => 0,
            User::Ordinary => 2002,
        }
    }
}

/// Gives this thread a network and mounts of its own.
fn separate() {
    process::unshare_network().expect("the lab needs root and namespaces");
    mount::make_private().unwrap();
}

fn bind(source: &Path, target: &Path) {
    let (copy, place) = (mount::clone_tree(source).unwrap(), mount::place(target).unwrap());
    mount::attach(copy.as_fd(), place.as_fd(), Path::new("")).unwrap();
}

static LABS: AtomicU32 = AtomicU32::new(0);

/// What probes in Python share.
const PROBE: &str = include_str!("probe.py");
