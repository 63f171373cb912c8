//! Calls of the agent that wait for an answer. Init takes them, not the supervisor: it sees nothing but the sandbox, so what it
//! may do for a caller (copy a descriptor, read memory, resolve a path) it can do inside alone. A supervisor that somebody
//! takes over has none of this. It gets a copy of an IP socket and the address that was read, or what a call of the profile's
//! is, and answers by itself. Whoever the profile ends is ended by init, once the supervisor has written it down and says so.
//!
//! An agent can see to it that no descriptor reaches the supervisor (unix(7), ETOOMANYREFS; and descriptors run out). So nothing that the
//! profile says depends on one, and a connection whose socket cannot go along is told without it, and refused.
//!
//! Every connect(2), bind(2) and listen(2) that waits is performed on a copy of the caller's descriptor and with an address
//! that was read once: nothing is left to the kernel to read again. What concerns UNIX sockets is done by threads (`local`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use claw_policy::seccomp::{CallAction, CallProfile};
use claw_sys::notify::{self, Call, Reply, Thread};
use claw_sys::{process, signal, socket};
use serde::{Deserialize, Serialize};

use crate::local::Local;
use crate::words::{Failure, Step, hear, hear_at_least, say};

/// A call of the agent, as the supervisor is asked.
#[derive(Debug)]
pub enum Asked {
    /// connect(2) of an IP stream socket of the sandbox's own network.
    Connect(Connecting),
    /// A call that the system call profile says something about.
    Profile(Call),
}

/// A connection that waits, and all that is known of it.
#[derive(Debug)]
pub struct Connecting {
    /// The call.
    pub call: Call,
    /// A copy of the socket. `None`: it could not come along, here or there no descriptor is left for it.
    pub socket: Option<OwnedFd>,
    /// The address, as it was read.
    pub address: Vec<u8>,
    /// The caller's process, by its number inside.
    pub process: u32,
}

/// The supervisor's side: where calls are told, and where they are answered.
#[derive(Debug)]
pub struct Calls {
    /// Where they are told; to wait on.
    pub channel: OwnedFd,
    /// Where they are answered.
    pub listener: OwnedFd,
}

impl Calls {
    /// What came with [`crate::Report::Listener`].
    pub fn of(descriptors: Vec<OwnedFd>) -> Option<Calls> {
        let [listener, channel] = descriptors.try_into().ok()?;
        Some(Calls { channel, listener })
    }

    /// The next call. Waits for it.
    ///
    /// # Errors
    /// `UnexpectedEof`: everyone inside has ended. Any other concerns this one call.
    pub fn next(&self) -> io::Result<Asked> {
        let (told, descriptors) = hear_at_least::<Told>(self.channel.as_fd())?;
        let call = told.call();
        Ok(match told.connects {
            Some((process, address)) => {
                let socket = descriptors.into_iter().next();
                Asked::Connect(Connecting { call, socket, address, process })
            }
            None => Asked::Profile(call),
        })
    }

    /// Has init end the process that made this call, which is written down.
    pub fn end(&self, call: &Call) -> io::Result<()> {
        // it never waits for long: init reads what stands here before it tells of another call
        say(self.channel.as_fd(), &Told::of(call, None), &[])
    }
}

/// What is told of a call; and, told back, whose process is to end.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    id: u64,
    thread: u32,
    number: i64,
    arguments: [u64; 6],
    /// The caller's process, and the address.
    connects: Option<(u32, Vec<u8>)>,
}

impl Told {
    fn of(call: &Call, connects: Option<(u32, Vec<u8>)>) -> Told {
        let Call { id, thread, number, arguments } = *call;
        Told { id, thread, number, arguments, connects }
    }

    fn call(&self) -> Call {
        let Told { id, thread, number, arguments, .. } = *self;
        Call { id, thread, number, arguments }
    }
}

/// Calls that wait for init, whatever else does.
pub(crate) const SOCKETS: [i64; 3] = [libc::SYS_connect, libc::SYS_bind, libc::SYS_listen];

/// Init's side.
pub(crate) struct Taker {
    listener: Arc<OwnedFd>,
    channel: OwnedFd,
    profile: Option<CallProfile>,
    /// The cookie of the sandbox's network namespace.
    inside: u64,
    local: Local,
    /// Those that called last.
    callers: Vec<Caller>,
}

/// A thread that made a call, as long as it is certain that this is still that thread.
struct Caller {
    number: u32,
    thread: Thread,
    process: u32,
}

impl Taker {
    /// What came with [`crate::Report::Listener`], and the plan's profile.
    pub(crate) fn of(descriptors: Vec<OwnedFd>, profile: Option<CallProfile>) -> io::Result<Taker> {
        let [listener, channel] =
            descriptors.try_into().map_err(|_| io::Error::other("a listener came without its channel"))?;
        let own = socket::raw(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0)?;
        let inside = notify::network(own.as_fd())?;
        notify::wake_on_this_processor(listener.as_fd());
        let listener = Arc::new(listener);
        let local = Local::of(&listener)?;
        Ok(Taker { listener, channel, profile, inside, local, callers: Vec::new() })
    }

    /// Where calls arrive, and where the supervisor says whose process is to end.
    pub(crate) fn sources(&self) -> [BorrowedFd<'_>; 2] {
        [self.listener.as_fd(), self.channel.as_fd()]
    }

    /// Takes one call and answers it or passes it on. An error: what the profile says of it can be had from nobody.
    pub(crate) fn take(&mut self) -> Result<(), Failure> {
        // an error: the caller was killed meanwhile
        let Ok(call) = notify::receive(self.listener()) else { return Ok(()) };
        if self.is_explained(&call) {
            // a supervisor that does not read is waited for: without it nobody decides, and when it ends so does init
            return self
                .tell(&Told::of(&call, None), &[])
                .step(|| "tell the supervisor of a call".to_owned());
        }
        match self.descriptor(&call) {
            Ok((socket, process)) => self.socket(&call, socket, process),
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => {
                self.reply(&call, Reply::Error(libc::EBADF));
            }
            // a program that may not be looked at gets no socket that could lead anywhere
            Err(_) => self.reply(&call, Reply::Error(libc::EACCES)),
        }
        Ok(())
    }

    /// Ends whoever the supervisor says is to end, all that it has said by now. `false`: it is gone.
    pub(crate) fn obey(&self) -> bool {
        while matches!(process::poll(&[self.channel.as_fd()], 0).as_deref(), Ok([true])) {
            match hear::<Told>(self.channel.as_fd()) {
                Ok((told, _)) => self.end(&told.call()),
                Err(_) => return false,
            }
        }
        true
    }

    fn end(&self, call: &Call) {
        // order: whatever was opened is the caller if that waits afterwards
        let thread = Thread::open(call.thread);
        if notify::waits(self.listener(), call)
            && thread.and_then(|thread| notify::end_process(thread.as_fd())).is_err()
        {
            // no descriptor is left: by its number, which is nobody else's while the call waits
            let _ = signal::send(call.thread.cast_signed(), libc::SIGKILL);
        }
        // whoever could not be ended is refused
        self.reply(call, Reply::Error(libc::EPERM));
    }

    fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// A copy of the descriptor that the call names, and the caller's process. What was asked once of a thread is kept while it
    /// lives: its descriptor stands for it alone, and fails once its number is another's.
    fn descriptor(&mut self, call: &Call) -> io::Result<(OwnedFd, u32)> {
        let wanted = descriptor_number(call);
        if let Some(at) = self.callers.iter().position(|caller| caller.number == call.thread)
            && let Some(known) = self.callers.get(at)
        {
            match known.thread.descriptor(wanted) {
                // it has ended, and its number was given to another
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => drop(self.callers.remove(at)),
                taken => return taken.map(|socket| (socket, known.process)),
            }
        }
        let thread = Thread::open(call.thread)?;
        let socket = thread.descriptor(wanted)?;
        let process = notify::leader(call.thread)?;
        // what was opened and read is the caller's only if it still waits
        if !notify::waits(self.listener(), call) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        if thread.is_exact() {
            self.callers.truncate(MOST_KEPT - 1);
            self.callers.insert(0, Caller { number: call.thread, thread, process });
        }
        Ok((socket, process))
    }

    /// Whether the profile has something to say of the call.
    fn is_explained(&self, call: &Call) -> bool {
        let lets_through = |profile: &CallProfile| {
            let number = u32::try_from(call.number).unwrap_or(u32::MAX);
            matches!(profile.answer(number, call.arguments), CallAction::Allow | CallAction::Log)
        };
        !SOCKETS.contains(&call.number) || self.profile.as_ref().is_some_and(|profile| !lets_through(profile))
    }

    fn socket(&mut self, call: &Call, socket: OwnedFd, process: u32) {
        let Ok((domain, kind, network)) = notify::kind(socket.as_fd()) else {
            return self.reply(call, Reply::Error(libc::ENOTSOCK));
        };
        let internet = matches!(domain, libc::AF_INET | libc::AF_INET6);
        // one of another network namespace was handed over: it is never connected again, disconnected or made to listen
        if internet && network != self.inside {
            let error = if call.number == libc::SYS_connect { libc::EISCONN } else { libc::EINVAL };
            return self.reply(call, Reply::Error(error));
        }
        let [_, second, third, ..] = call.arguments;
        if call.number == libc::SYS_listen {
            if notify::waits(self.listener(), call) {
                self.reply(call, answer(notify::listen(socket.as_fd(), second as i32)));
            }
            return;
        }
        let length = usize::try_from(third as i32).ok().filter(|length| *length <= LONGEST_ADDRESS);
        let Some(length) = length else { return self.reply(call, Reply::Error(libc::EINVAL)) };
        let mut address = vec![0u8; length];
        if notify::memory(call.thread, second, &mut address).is_err() {
            return self.reply(call, Reply::Error(libc::EFAULT));
        }
        // what was taken and read is the caller's only if it still waits
        if !notify::waits(self.listener(), call) {
            return;
        }
        match (domain, call.number) {
            (libc::AF_UNIX, _) => {
                if let Err(error) = self.local.perform(*call, socket, address) {
                    self.reply(call, Reply::Error(error));
                }
            }
            (_, libc::SYS_bind) => self.reply(call, answer(notify::bind(socket.as_fd(), &address))),
            // the supervisor decides
            _ if internet && kind == libc::SOCK_STREAM => {
                self.pass_on(call, socket.as_fd(), (process, address));
            }
            // nothing here waits: the peer of a datagram or netlink socket is only written down
            _ => self.reply(call, answer(notify::connect(socket.as_fd(), &address))),
        }
    }

    /// Has the supervisor decide on a connection.
    fn pass_on(&self, call: &Call, socket: BorrowedFd<'_>, (process, address): (u32, Vec<u8>)) {
        let told = Told::of(call, Some((process, address)));
        if self.tell(&told, &[socket]).or_else(|_| self.tell(&told, &[])).is_err() {
            self.reply(call, Reply::Error(libc::EAGAIN));
        }
    }

    fn tell(&self, told: &Told, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        say(self.channel.as_fd(), told, descriptors)
    }

    fn reply(&self, call: &Call, reply: Reply) {
        let _ = notify::reply(self.listener(), call, reply);
    }
}

pub(crate) fn answer(done: io::Result<()>) -> Reply {
    match done {
        Ok(()) => Reply::Done,
        Err(error) => Reply::Error(error.raw_os_error().unwrap_or(libc::EACCES)),
    }
}

fn descriptor_number(call: &Call) -> u32 {
    let [number, ..] = call.arguments;
    number as u32
}

/// `struct sockaddr_storage`.
const LONGEST_ADDRESS: usize = 128;
/// One descriptor each.
const MOST_KEPT: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use claw_policy::seccomp::{Architecture, Machine};

    use super::*;
    use crate::seccomp::Stack;

    const CALL: Call = Call { id: 1, thread: 2, number: libc::SYS_connect, arguments: [0; 6] };

    #[test]
    fn a_message_without_its_descriptor_or_sense_is_not_the_end() {
        let (channel, init) = socket::pair().unwrap();
        let calls = Calls { listener: channel.try_clone().unwrap(), channel };
        say(init.as_fd(), &Told::of(&CALL, Some((7, vec![1, 2]))), &[]).unwrap();
        let told = calls.next().unwrap();
        let bare = |told: &Connecting| told.call == CALL && told.socket.is_none() && told.address == [1, 2];
        assert!(matches!(&told, Asked::Connect(told) if bare(told)), "{told:?}");
        say(init.as_fd(), &"neither", &[]).unwrap();
        assert_ne!(calls.next().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        drop(init);
        assert_eq!(calls.next().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    /// Init ends with an error, and everything inside with it.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_call_of_the_profile_that_cannot_be_told_is_not_answered_with_an_error() {
        let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["sched_yield"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#;
        let machine = Machine { architecture: Architecture::X86_64, kernel: (6, 18) };
        let profile = CallProfile::parse(text, "test", machine).unwrap();
        let stack = Stack::of(Some(&profile), false).unwrap();
        let (hands, handed) = mpsc::channel();
        let (returns, returned) = mpsc::channel();
        std::thread::spawn(move || {
            process::no_new_privileges().unwrap();
            hands.send(stack.listen().unwrap()).unwrap();
            std::thread::yield_now();
            // only at the end of this test
            let _ = returns.send(());
        });
        let (channel, supervisor) = socket::pair().unwrap();
        let mut taker = Taker::of(vec![handed.recv().unwrap(), channel], Some(profile)).unwrap();
        drop(supervisor);
        let failure = taker.take().unwrap_err();
        assert!(failure.to_string().starts_with("cannot tell the supervisor of a call: "), "{failure}");
        assert_eq!(returned.try_recv(), Err(mpsc::TryRecvError::Empty));
    }
}
