//! Bytes both ways between two connections, with their ends: a finished direction is finished on the other side too, a
//! reset is torn through.
//!
//! Small messages are copied through one buffer that all flows share; a direction that fills it changes to splice(2)
//! through a pipe borrowed for the burst. An idle connection holds no memory of the relay's.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use claw_sys::socket;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;

use crate::budget::Way;
use crate::live::Flow;

/// Relays until both directions ended (`"end"`), one side failed (`"reset"`), the flow is no longer permitted
/// (`"revoked"`) or a limit is reached (`"limit"`).
pub(crate) async fn run(mut agent: TcpStream, mut upstream: TcpStream, flow: &Flow) -> &'static str {
    let (mut out, mut back) = (Half::new(flow, Way::Out), Half::new(flow, Way::Back));
    let (mut from_agent, to_agent) = agent.split();
    let (mut from_upstream, to_upstream) = upstream.split();
    let result = poll_fn(|context| {
        if flow.stop.poll(context.waker()) {
            return Poll::Ready(Err(io::ErrorKind::PermissionDenied.into()));
        }
        // both are polled each time: each registers for what it waits for
        let one = out.poll(&mut from_agent, to_upstream.as_ref(), context);
        let other = back.poll(&mut from_upstream, to_agent.as_ref(), context);
        match (one, other) {
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    })
    .await;
    let Err(error) = result else { return "end" };
    let _ = socket::reset_on_close(&agent);
    let _ = socket::reset_on_close(&upstream);
    if flow.stop.is_called() {
        // thousands may be taken back at once: every agent's side first, then the rest of the work
        drop(agent);
        tokio::task::yield_now().await;
    }
    ended(&error, flow)
}

/// How a flow ended that failed.
pub(crate) fn ended(error: &io::Error, flow: &Flow) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied if flow.stop.is_called() => "revoked",
        io::ErrorKind::QuotaExceeded if flow.limit().is_some() => "limit",
        _ => "reset",
    }
}

/// Reads what is there into the end of `received`, at most 16 KiB at a time.
pub(crate) fn read_some(stream: &TcpStream, received: &mut Vec<u8>) -> io::Result<usize> {
    SHARED.with_borrow_mut(|buffer| {
        let part = buffer.get_mut(..16 * 1024).unwrap_or_default();
        let length = stream.try_read(part)?;
        received.extend_from_slice(part.get(..length).unwrap_or_default());
        Ok(length)
    })
}

/// Lends the buffer that everything on this thread shares. Nothing may wait while it is lent.
pub(crate) fn with_buffer<T>(take: impl FnOnce(&mut [u8]) -> T) -> T {
    SHARED.with_borrow_mut(|buffer| take(buffer))
}

/// One direction.
struct Half<'a> {
    flow: &'a Flow,
    way: Way,
    state: State,
    pending: Vec<u8>,
    written: usize,
    pipe: Option<Pipe>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Copy,
    Splice,
    Ending,
    Ended,
}

impl<'a> Half<'a> {
    fn new(flow: &'a Flow, way: Way) -> Half<'a> {
        Half { flow, way, state: State::Copy, pending: Vec::new(), written: 0, pipe: None }
    }

    fn poll(
        &mut self,
        from: &mut ReadHalf<'_>,
        to: &TcpStream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        // fairness: a direction that never runs dry lets others run after this many turns
        for _ in 0..TURNS {
            if self.state == State::Ended {
                return Poll::Ready(Ok(()));
            }
            std::task::ready!(self.flush(to, context))?;
            if self.state == State::Ending {
                // the peer may be gone already; then there is nobody to tell
                let _ = socket_shutdown(to);
                self.state = State::Ended;
                self.give_back();
                return Poll::Ready(Ok(()));
            }
            if self.state == State::Copy {
                std::task::ready!(self.copy(from, to, context))?;
                continue;
            }
            std::task::ready!(from.as_ref().poll_read_ready(context))?;
            match self.fill(from.as_ref()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // dry: the next bytes are probably few, and the pipe is for others
                    self.give_back();
                    self.state = State::Copy;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes out what was read before.
    fn flush(&mut self, to: &TcpStream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.pending.len() {
            match to.try_write(self.pending.get(self.written..).unwrap_or_default()) {
                Ok(length) => self.written = self.written.saturating_add(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::task::ready!(to.poll_write_ready(context))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.forget();
        let Some(pipe) = &mut self.pipe else { return Poll::Ready(Ok(())) };
        while pipe.held > 0 {
            let moved =
                to.try_io(Interest::WRITABLE, || socket::splice(pipe.read.as_fd(), to.as_fd(), pipe.held));
            match moved {
                Ok(length) => pipe.held = pipe.held.saturating_sub(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::task::ready!(to.poll_write_ready(context))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads into the shared buffer and writes at once; keeps only what the other side did not take.
    fn copy(
        &mut self,
        from: &mut ReadHalf<'_>,
        to: &TcpStream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        SHARED.with_borrow_mut(|buffer| {
            // this way of reading knows that a short read leaves nothing behind, and does not ask twice
            let most = if WAITING.get() > MOST_WAITING { SMALL } else { BULK };
            let mut room = ReadBuf::new(buffer.get_mut(..most).unwrap_or_default());
            std::task::ready!(Pin::new(from).poll_read(context, &mut room))?;
            let read = room.filled();
            let length = read.len();
            if length == 0 {
                self.state = State::Ending;
                return Poll::Ready(Ok(()));
            }
            // order: what a limit leaves no room for is never written
            self.flow.take(self.way, length)?;
            let written = match to.try_write(read) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Poll::Ready(Err(error)),
            };
            let rest = read.get(written..).unwrap_or_default();
            self.pending.extend_from_slice(rest);
            WAITING.set(WAITING.get().saturating_add(rest.len()));
            if length >= BULK
                && let Some(pipe) = Pipe::borrow()
            {
                self.pipe = Some(pipe);
                self.state = State::Splice;
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Moves into the pipe, which is empty: "would block" can only mean that nothing is there.
    fn fill(&mut self, from: &TcpStream) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else {
            self.state = State::Copy;
            return Ok(());
        };
        let length =
            from.try_io(Interest::READABLE, || socket::splice(from.as_fd(), pipe.write.as_fd(), pipe.size))?;
        if length == 0 {
            self.state = State::Ending;
        }
        pipe.held = length;
        self.flow.take(self.way, length)?;
        Ok(())
    }

    /// What was waiting is written, or never will be.
    fn forget(&mut self) {
        if !self.pending.is_empty() {
            WAITING.set(WAITING.get().saturating_sub(self.pending.len()));
            self.pending = Vec::new();
            self.written = 0;
        }
    }

    fn give_back(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            pipe.give_back();
        }
    }
}

impl Drop for Half<'_> {
    fn drop(&mut self) {
        self.forget();
        self.give_back();
    }
}

/// Tells the other side that nothing more comes, and leaves its own direction open (shutdown(2)).
fn socket_shutdown(stream: &TcpStream) -> io::Result<()> {
    socket::finish(stream.as_fd())
}

/// A pipe to splice through.
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    size: usize,
    held: usize,
}

/// Pipes that nobody uses now, and how many exist.
#[derive(Default)]
struct Pool {
    free: Vec<Pipe>,
    made: usize,
}

impl Pipe {
    fn borrow() -> Option<Pipe> {
        POOL.with_borrow_mut(|pool| {
            if let Some(pipe) = pool.free.pop() {
                return Some(pipe);
            }
            if pool.made >= MOST_PIPES {
                return None;
            }
            let (read, write, size) = socket::pipe(PIPE).ok()?;
            pool.made = pool.made.saturating_add(1);
            Some(Pipe { read, write, size, held: 0 })
        })
    }

    /// An empty pipe can be used again; one that still holds bytes of a broken flow is closed.
    fn give_back(self) {
        POOL.with_borrow_mut(|pool| {
            if self.held == 0 && pool.free.len() < MOST_FREE {
                pool.free.push(self);
            } else {
                pool.made = pool.made.saturating_sub(1);
            }
        });
    }
}

thread_local! {
    static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; BULK]);
    static POOL: RefCell<Pool> = RefCell::default();
    /// Bytes that readers are too slow for, of all flows.
    static WAITING: Cell<usize> = const { Cell::new(0) };
}

/// A read that fills this many bytes is a burst.
const BULK: usize = 64 * 1024;
/// Bytes of a pipe: a user's pipes together are limited (`fs.pipe-user-pages-soft`).
const PIPE: libc::c_int = 1024 * 1024;
/// When so much waits for slow readers, reads become small: ten thousand stalled flows still fit.
const MOST_WAITING: usize = 32 << 20;
const SMALL: usize = 2048;
const MOST_PIPES: usize = 48;
const MOST_FREE: usize = 8;
const TURNS: u32 = 32;
