//! A TCP connection under TLS or HTTP: what was read before is given back first, bytes to and from the outside are
//! counted, and a connection that is taken back ends with a reset.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use claw_sys::socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::budget::Way;
use crate::live::Tally;

/// One side of a flow.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    first: Vec<u8>,
    given: usize,
    tally: Arc<Tally>,
    counts: bool,
}

impl Wire {
    /// The agent's side; `first` was read from it already.
    pub(super) fn inside(stream: TcpStream, first: Vec<u8>, tally: &Arc<Tally>) -> Wire {
        Wire { stream, first, given: 0, tally: Arc::clone(tally), counts: false }
    }

    /// The destination's side: its bytes are the flow's.
    pub(super) fn outside(stream: TcpStream, tally: &Arc<Tally>) -> Wire {
        Wire { stream, first: Vec::new(), given: 0, tally: Arc::clone(tally), counts: true }
    }

    fn count(&self, way: Way, bytes: usize) {
        if self.counts {
            self.tally.add(way, bytes);
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.tally.is_torn() {
            let _ = socket::reset_on_close(&self.stream);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = self.first.get(self.given..).unwrap_or_default();
        if !rest.is_empty() {
            let part = rest.get(..room.remaining().min(rest.len())).unwrap_or_default();
            room.put_slice(part);
            self.given = self.given.saturating_add(part.len());
            if self.given >= self.first.len() {
                self.first = Vec::new();
                self.given = 0;
            }
            return Poll::Ready(Ok(()));
        }
        let before = room.filled().len();
        std::task::ready!(Pin::new(&mut self.stream).poll_read(context, room))?;
        self.count(Way::Back, room.filled().len().saturating_sub(before));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = std::task::ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.count(Way::Out, written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = std::task::ready!(Pin::new(&mut self.stream).poll_write_vectored(context, parts))?;
        self.count(Way::Out, written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
