//! A connection whose bytes are counted, and whose first bytes can be looked at before they are read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::budget::Way;
use crate::live::Tally;

/// Counts what the agent sends and what it gets.
pub(crate) struct Counted<T> {
    inner: T,
    tally: Arc<Tally>,
}

impl<T> Counted<T> {
    pub(crate) fn new(inner: T, tally: &Arc<Tally>) -> Counted<T> {
        Counted { inner, tally: Arc::clone(tally) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        std::task::ready!(Pin::new(&mut self.inner).poll_read(context, room))?;
        self.tally.add(Way::Out, room.filled().len().saturating_sub(before));
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = std::task::ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.tally.add(Way::Back, written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Gives what was looked at once more.
pub(crate) struct Again<T> {
    inner: T,
    seen: Vec<u8>,
    given: usize,
}

impl<T: AsyncRead + Unpin> Again<T> {
    pub(crate) fn new(inner: T) -> Again<T> {
        Again { inner, seen: Vec::new(), given: 0 }
    }

    /// What was looked at so far.
    pub(crate) fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// Looks at more; 0 at the end.
    pub(crate) async fn more(&mut self) -> io::Result<usize> {
        let mut buffer = [0u8; 4096];
        let length = self.inner.read(&mut buffer).await?;
        self.seen.extend_from_slice(buffer.get(..length).unwrap_or_default());
        Ok(length)
    }

    /// What was looked at, and the rest.
    pub(crate) fn apart(self) -> (T, Vec<u8>) {
        (self.inner, self.seen)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Again<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = self.seen.get(self.given..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut self.inner).poll_read(context, room);
        }
        let part = rest.get(..room.remaining().min(rest.len())).unwrap_or_default();
        room.put_slice(part);
        self.given = self.given.saturating_add(part.len());
        if self.given >= self.seen.len() {
            (self.seen, self.given) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Again<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
