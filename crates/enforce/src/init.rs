//! Init: builds the sandbox from inside, starts the agent, and then is PID 1: reaps, forwards signals, ends with it.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use claw_plan::Plan;
use claw_policy::seccomp::CallProfile;
use claw_sys::process::{self, Bell, Change, Fork, Processors, Wait};
use claw_sys::{capability, signal, socket};

use crate::apparmor::AppArmor;
use crate::calls::Taker;
use crate::seccomp::Stack;
use crate::walls::{self, Wall};
use crate::words::{Ending, Failure, Order, Others, Report, Step, hear, say};
use crate::{canary, confine, network, seccomp, tree};

/// What the first process of new namespaces does: descriptor 3 is its channel. `processors` are those of the agent; init
/// itself stays away from the one on which the supervisor was.
pub(crate) fn init(processors: Option<Processors>) -> ! {
    let code = match process::inherited(3) {
        Some(channel) => match run(&channel, processors) {
            Ok(code) => code,
            Err(failure) => {
                let _ = say(channel.as_fd(), &Report::Failed(failure), &[]);
                125
            }
        },
        None => 125,
    };
    process::exit_now(code)
}

fn run(channel: &OwnedFd, processors: Option<Processors>) -> Result<i32, Failure> {
    process::forget("claw-init").step(|| "forget the caller's environment".to_owned())?;
    if walls::stands(Wall::Hidden) {
        process::hide().step(|| "hide init's memory".to_owned())?;
    }
    // order: from the host's /proc, which is not read-only
    let apparmor = AppArmor::open();
    // order: while the plan is being made outside, and with the host's /proc still there
    network::calm()?;
    let mut cgroup = process::unshare_cgroup().is_ok();
    let mut agent = Agent::fork(channel, &apparmor, (cgroup, processors))?;
    // a supervisor that died before init was tied to it is noticed here: the channel has ended
    let file = taken(channel, Order::Plan)?;
    let plan: Plan = read(&file).step(|| "read the plan".to_owned())?;
    if !plan.limits.is_none() {
        // order: the supervisor has put init into a control group meanwhile; what was forked before is not in it
        agent.end();
        cgroup = process::unshare_cgroup().is_ok();
        agent = Agent::fork(channel, &apparmor, (cgroup, processors))?;
    }
    // order: the agent's process makes the network while this one makes the tree
    agent.tell(Order::Plan, &[file.as_fd()])?;
    process::set_host_name(&plan.host_name).step(|| "set the host name".to_owned())?;
    let veil = || read(&taken(channel, Order::Veil)?).step(|| "read what is to be covered".to_owned());
    let made = tree::make(&plan.tree, plan.listed, veil)?;
    let shown: Vec<BorrowedFd<'_>> =
        [Some(&made.processes), made.input.as_ref()].into_iter().flatten().map(AsFd::as_fd).collect();
    agent.tell(Order::Tree, &shown)?;
    // order: takes a while; the agent's process puts its confinement on meanwhile, and nothing is tried or let go before
    tree::leave()?;
    agent.tell(Order::Left, &[])?;
    let profile = plan.calls.clone();
    let end = if plan.limits.is_none() { End::WithSupervisor } else { End::AtOnce };
    drop((made, plan, apparmor, file));
    guard(channel, &agent, profile, end)
}

/// The file that comes along with this word of the supervisor's.
fn taken(channel: &OwnedFd, expected: Order) -> Result<File, Failure> {
    let step = || "hear the supervisor".to_owned();
    let (order, files) = hear::<Order>(channel.as_fd()).step(step)?;
    let file = files.into_iter().next().filter(|_| order == expected);
    file.map(File::from).ok_or_else(|| Failure::new(step(), "it spoke out of turn"))
}

/// The process that becomes the agent, as init sees it.
struct Agent {
    pid: i32,
    words: OwnedFd,
    bell: Bell,
}

impl Agent {
    fn fork(
        channel: &OwnedFd,
        apparmor: &AppArmor,
        (cgroup, processors): (bool, Option<Processors>),
    ) -> Result<Agent, Failure> {
        let (words, theirs) = socket::pair().step(|| "make a channel to the agent".to_owned())?;
        let bell = Bell::new().step(|| "make a bell".to_owned())?;
        let others = processors.and_then(|all| all.others());
        match process::fork().step(|| "fork".to_owned())? {
            Fork::Child => {
                drop(words);
                // else it waits behind init, which wakes it, often beside an idle processor
                if let Some(others) = others {
                    let _ = others.keep_to();
                }
                Chrysalis { channel, init: &theirs, bell: &bell, apparmor, cgroup, processors }.start()
            }
            Fork::Parent(pid) => {
                // whichever of the two is first: on init's processor it would come only when init waits
                if let Some(others) = others {
                    let _ = others.keep(pid);
                }
                Ok(Agent { pid, words, bell })
            }
        }
    }

    fn tell(&self, order: Order, descriptors: &[BorrowedFd<'_>]) -> Result<(), Failure> {
        // if the agent's process has failed, it has said so itself, and better
        say(self.words.as_fd(), &order, descriptors).step(|| "reach the agent's process".to_owned())?;
        self.bell.ring().step(|| "ring".to_owned())
    }

    fn end(&self) {
        let _ = signal::send(self.pid, libc::SIGKILL);
        let _ = process::wait(self.pid, Wait::Block);
    }
}

/// The process that becomes the agent, seen from inside.
struct Chrysalis<'a> {
    channel: &'a OwnedFd,
    init: &'a OwnedFd,
    bell: &'a Bell,
    apparmor: &'a AppArmor,
    cgroup: bool,
    /// Where the agent may run.
    processors: Option<Processors>,
}

impl Chrysalis<'_> {
    /// Makes the network, confines itself, tries every way out, waits for the word, executes. Never returns to the
    /// caller's code.
    fn start(&self) -> ! {
        let code = match self.prepare() {
            Ok((plan, stack)) => {
                let (code, message) = match &stack {
                    None => execute(&plan),
                    Some(stack) if plan.calls.is_some() => self.execute_under(&plan, stack),
                    Some(stack) => match self.ask(&plan, stack) {
                        Ok(()) => execute(&plan),
                        Err(why) => why,
                    },
                };
                let _ = say(self.init.as_fd(), &Report::NotStarted { code, message }, &[]);
                code
            }
            Err(failure) => {
                let _ = say(self.channel.as_fd(), &Report::Failed(failure), &[]);
                125
            }
        };
        process::exit_now(code)
    }

    fn prepare(&self) -> Result<(Plan, Option<Stack>), Failure> {
        if walls::stands(Wall::Capabilities) {
            // while the plan is being made outside
            capability::drop_bounding();
        }
        // order: while init goes on
        let filter = seccomp::standard().step(|| "compile the system call filter".to_owned())?;
        let plan: Plan = read(&File::from(self.hear(Order::Plan)?.0)).step(|| "read the plan".to_owned())?;
        let asks = plan.broker && walls::stands(Wall::Seccomp) || plan.calls.is_some();
        let stack = asks.then(|| Stack::of(plan.calls.as_ref(), plan.broker)).transpose();
        let stack = stack.step(|| format!("compile the seccomp profile `{}`", plan.seccomp))?;
        if plan.broker {
            may_copy()?;
        }
        network::make(&plan.network, self.channel.as_fd())?;
        // order: while init makes the tree
        let filtered = confine::is_standard(&plan).then(|| confine::filter(&plan, &filter)).transpose()?;
        let namespaces = confine::namespaces().step(|| "list namespaces".to_owned())?;
        let (processes, input) = self.hear(Order::Tree)?;
        if let Some(processors) = self.processors {
            processors.keep_to().step(|| "let the agent run on every processor".to_owned())?;
        }
        if let Some(input) = input {
            process::put(input.as_fd(), 0).step(|| "put standard input in place".to_owned())?;
        }
        let directory = &plan.directory;
        std::env::set_current_dir(directory)
            .step(|| format!("enter the working directory `{}`", directory.display()))?;
        signal::reset().step(|| "reset signals".to_owned())?;
        let mut applied = confine::confine(&plan, (&filter, filtered), self.apparmor)?;
        applied.namespaces = namespaces
            .into_iter()
            .filter(|(name, _)| name != "cgroup" || self.cgroup)
            .map(|(_, identifier)| identifier)
            .collect();
        self.word(Order::Left)?;
        if walls::all_stand() {
            applied.refused = canary::sing(plan.calls.as_ref())?;
        }
        say(self.channel.as_fd(), &Report::Confined(applied), &[processes.as_fd()])
            .step(|| "report the confinement".to_owned())?;
        let (Order::Go, _) = hear(self.channel.as_fd()).step(|| "wait for the word".to_owned())? else {
            return Err(Failure::new("wait for the word", "the supervisor spoke out of turn"));
        };
        let first = if walls::stands(Wall::Descriptors) { 3 } else { 1 << 20 };
        process::close_on_exec_from(first).step(|| "close descriptors".to_owned())?;
        Ok((plan, stack))
    }

    /// The same under a profile, which holds from the agent's first instruction on. Everything is looked up before, since
    /// only one execution is let through.
    fn execute_under(&self, plan: &Plan, stack: &Stack) -> (i32, String) {
        let program = match found(plan) {
            Ok(program) => program,
            Err(why) => return why,
        };
        let arguments: Vec<_> = program.arguments.iter().map(CString::as_c_str).collect();
        let environment = texts(plan.environment.iter().map(|(name, value)| format!("{name}={value}")));
        let environment: Vec<_> = environment.iter().map(CString::as_c_str).collect();
        if let Err(why) = self.ask(plan, stack) {
            return why;
        }
        if let Err(error) = stack.install() {
            return refused(plan, &format!("install {}", asking(plan)), &error);
        }
        let error = process::execute(&program.path, &arguments, &environment);
        (126, format!("{}: {error}", program.path.to_string_lossy()))
    }

    /// From here on calls wait for an answer. Whoever gives it is told where: init and the supervisor.
    fn ask(&self, plan: &Plan, stack: &Stack) -> Result<(), (i32, String)> {
        let failed = |what: &str, error: &dyn std::fmt::Display| refused(plan, what, error);
        let (told, tells) = socket::pair().map_err(|error| failed("make a channel for calls", &error))?;
        // order: memory that is free now need not be asked of the kernel when little is left to be called
        let spare = || drop(Vec::<u8>::with_capacity(SPARE));
        spare();
        let listener =
            stack.listen().map_err(|error| failed(&format!("install {}", asking(plan)), &error))?;
        // order: this process may close nothing once a profile holds
        let [listener, told, tells] = [listener, told, tells].map(std::mem::ManuallyDrop::new);
        for (whom, end) in [(self.init, &tells), (self.channel, &told)] {
            say(whom.as_fd(), &Report::Listener, &[listener.as_fd(), end.as_fd()])
                .map_err(|error| failed(&format!("hand out the listener of {}", asking(plan)), &error))?;
        }
        spare();
        Ok(())
    }

    /// Waits for this word of init's and what comes with it.
    fn hear(&self, expected: Order) -> Result<(OwnedFd, Option<OwnedFd>), Failure> {
        let mut descriptors = self.word(expected)?.into_iter();
        let first = descriptors.next().ok_or_else(|| Failure::new("hear init", "a descriptor is missing"))?;
        Ok((first, descriptors.next()))
    }

    fn word(&self, expected: Order) -> Result<Vec<OwnedFd>, Failure> {
        self.bell.wait().step(|| "wait for init".to_owned())?;
        match hear::<Order>(self.init.as_fd()) {
            Ok((order, descriptors)) if order == expected => Ok(descriptors),
            Ok(_) => Err(Failure::new("hear init", "it spoke out of turn")),
            // init failed, and has said why
            Err(_) => process::exit_now(125),
        }
    }
}

/// What asks, in words.
fn asking(plan: &Plan) -> String {
    match plan.calls {
        Some(_) => format!("the seccomp profile `{}`", plan.seccomp),
        None => "the filter of `path: brokered`".to_owned(),
    }
}

fn refused(plan: &Plan, what: &str, error: &dyn std::fmt::Display) -> (i32, String) {
    let hint = "; it needs seccomp notifications (Linux 5.9), `path: relay` does not";
    (125, format!("cannot {what}: {error}{}", if plan.broker { hint } else { "" }))
}

/// Sockets are copied from the agent's processes, which are all init's descendants (ptrace_scope of the Yama module).
fn may_copy() -> Result<(), Failure> {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match scope.trim() {
        "2" | "3" => {
            let why = format!("kernel.yama.ptrace_scope is {}", scope.trim());
            let failure = Failure::new("take copies of the agent's sockets for `path: brokered`", why);
            Err(failure.hint("set it to 1, or leave `path: brokered` out to use the relay"))
        }
        _ => Ok(()),
    }
}

/// A program that was looked up, and what it is called with.
struct Program {
    path: CString,
    arguments: Vec<CString>,
}

/// Looks the program up as a shell does, without trying to become it.
fn found(plan: &Plan) -> Result<Program, (i32, String)> {
    let name = plan.command.first().map(String::as_str).unwrap_or_default();
    let mut worst = (127, format!("{name}: command not found"));
    for candidate in candidates(plan, name) {
        match process::executable(&candidate) {
            Ok(()) => {
                let path = text(candidate.to_string_lossy());
                let arguments = texts(&plan.command);
                // a script without a first line naming its interpreter: a shell runs it (execvp(3))
                if is_plain_text(&candidate) {
                    let script = [CString::from(c"sh"), path];
                    let arguments = script.into_iter().chain(arguments.into_iter().skip(1)).collect();
                    return Ok(Program { path: CString::from(c"/bin/sh"), arguments });
                }
                return Ok(Program { path, arguments });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => worst = (126, format!("{}: {error}", candidate.display())),
        }
    }
    Err(worst)
}

/// Neither a program nor a script that names its interpreter.
fn is_plain_text(path: &Path) -> bool {
    let mut head = [0; 4];
    let read = File::open(path).and_then(|file| file.read_at(&mut head, 0));
    read.is_ok() && !head.starts_with(b"\x7fELF") && !head.starts_with(b"#!")
}

fn text(value: impl AsRef<str>) -> CString {
    CString::new(value.as_ref()).unwrap_or_default()
}

fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> Vec<CString> {
    values.into_iter().map(text).collect()
}

/// Looks the program up as a shell does and becomes it. Returns only a shell's code and why.
fn execute(plan: &Plan) -> (i32, String) {
    let name = plan.command.first().map(String::as_str).unwrap_or_default();
    let arguments = texts(&plan.command);
    let environment = texts(plan.environment.iter().map(|(name, value)| format!("{name}={value}")));
    let arguments: Vec<_> = arguments.iter().map(CString::as_c_str).collect();
    let environment: Vec<_> = environment.iter().map(CString::as_c_str).collect();
    let mut worst = (127, format!("{name}: command not found"));
    for candidate in candidates(plan, name) {
        let Ok(path) = CString::new(candidate.as_os_str().as_encoded_bytes()) else { continue };
        let mut error = process::execute(&path, &arguments, &environment);
        if error.raw_os_error() == Some(libc::ENOEXEC) {
            // a script without a first line naming its interpreter: a shell runs it (execvp(3))
            let rest = arguments.get(1..).unwrap_or_default();
            let mut shell = vec![c"sh", path.as_c_str()];
            shell.extend(rest);
            error = process::execute(c"/bin/sh", &shell, &environment);
        }
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory if candidate.exists() => {
                worst = (127, format!("{}: its interpreter is not visible inside", candidate.display()));
            }
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {}
            io::ErrorKind::PermissionDenied if plan.listed => {
                worst = (126, format!("{}: {error}: `process.exec` may not list it", candidate.display()));
            }
            _ => worst = (126, format!("{}: {error}", candidate.display())),
        }
    }
    worst
}

fn candidates(plan: &Plan, name: &str) -> Vec<PathBuf> {
    if name.contains('/') {
        return vec![name.into()];
    }
    let path = plan.environment.iter().find(|(key, _)| key == "PATH").map(|(_, value)| value.as_str());
    path.unwrap_or_default().split(':').map(|directory| Path::new(directory).join(name)).collect()
}

/// When init ends where nothing else is left inside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The control group is to be removed.
    AtOnce,
    /// The kernel takes the namespaces down when nobody waits for it: while the supervisor still has to do, that would be in
    /// its way.
    WithSupervisor,
}

/// PID 1: gives up its own power, tells how the agent starts and ends, takes its calls that wait, and ends with it or with the
/// supervisor.
fn guard(channel: &OwnedFd, agent: &Agent, profile: Option<CallProfile>, end: End) -> Result<i32, Failure> {
    let (errors, agent) = (&agent.words, agent.pid);
    capability::drop_all().step(|| "drop init's capabilities".to_owned())?;
    process::no_new_privileges().step(|| "set no_new_privs".to_owned())?;
    signal::block(&[libc::SIGCHLD]).step(|| "block signals".to_owned())?;
    let children = signal::descriptor(&[libc::SIGCHLD]).step(|| "watch for children".to_owned())?;
    let (mut starting, mut closed, mut taker) = (true, false, None::<Taker>);
    loop {
        // order: while the agent's process is being confined, orders are for it, and init leaves the channel alone
        let words = if starting { errors.as_fd() } else { channel.as_fd() };
        let mut sources = vec![children.as_fd(), words];
        sources.extend(taker.iter().flat_map(Taker::sources));
        let ready = process::poll(&sources, -1).step(|| "wait".to_owned())?;
        if let Some(taker) = &mut taker {
            // order: before the next call is told. So init never waits for a supervisor that waits for init
            if ready.get(3) == Some(&true) {
                closed = !taker.obey();
            }
            if ready.get(2) == Some(&true) {
                taker.take()?;
                if !closed && ready.first() != Some(&true) && ready.get(1) != Some(&true) {
                    continue;
                }
            }
        }
        if ready.get(1) == Some(&true) {
            if starting {
                match hear::<Report>(errors.as_fd()) {
                    Ok((Report::Listener, descriptors)) => {
                        let made = Taker::of(descriptors, profile.clone());
                        taker = Some(made.step(|| "answer for calls".to_owned())?);
                    }
                    Ok((report, _)) => {
                        starting = false;
                        let _ = say(channel.as_fd(), &report, &[]);
                    }
                    Err(_) => {
                        starting = false;
                        let _ = say(channel.as_fd(), &Report::Started { pid: agent }, &[]);
                    }
                }
            } else {
                closed |= !obey(channel.as_fd(), agent);
            }
        }
        if closed {
            return Ok(125);
        }
        while signal::read(children.as_fd()).is_ok() {}
        if let Some(ending) = reap(channel.as_fd(), agent) {
            // every orphan inside is init's child: without children nothing is left
            let left = !matches!(process::wait(-1, Wait::Poll), Err(error) if error.raw_os_error() == Some(libc::ECHILD));
            let others = if left { Others::Left } else { Others::None };
            let _ = say(channel.as_fd(), &Report::Ended(ending, others), &[]);
            if others == Others::None && end == End::WithSupervisor {
                while obey(channel.as_fd(), agent) {}
            }
            return Ok(ending.code());
        }
    }
}

/// Collects every child that ended; tells when it was the agent.
fn reap(channel: BorrowedFd<'_>, agent: i32) -> Option<Ending> {
    while let Ok(Some((pid, change))) = process::wait(-1, Wait::Poll) {
        match change {
            Change::Exited(code) if pid == agent => return Some(Ending::Code(code)),
            Change::Killed(number) if pid == agent => return Some(Ending::Signal(number)),
            Change::Stopped(_) if pid == agent => drop(say(channel, &Report::Stopped, &[])),
            _ => {}
        }
    }
    None
}

/// Passes one order on. `false`: the supervisor is gone.
fn obey(channel: BorrowedFd<'_>, agent: i32) -> bool {
    match hear::<Order>(channel) {
        Ok((Order::Signal(number), _)) => {
            let _ = signal::send(agent, number);
            true
        }
        Ok(_) => true,
        Err(_) => false,
    }
}

/// Reads a file from its start: two processes share that of the plan.
fn read<T: serde::de::DeserializeOwned>(file: &File) -> io::Result<T> {
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    serde_json::from_slice(&bytes).map_err(io::Error::other)
}

/// More than the lists of pointers for execve(2) take.
const SPARE: usize = 64 << 10;
