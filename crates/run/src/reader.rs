//! A process that reads files again for the supervisor, which opens none once it is confined.
//!
//! It is a copy of the supervisor, made before anything of the agent exists. It takes no path: what it reads was settled
//! when it was made, and by the policy's own content. So whoever takes the gate over can ask it for the files of this run,
//! which the gate knows anyway, and for nothing else.
//!
//! Both ways go lists of byte strings, each with its length before it.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream as Blocking;

use claw_enforce::Duty;
use claw_sys::process::{self, Fork};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::confine::confine;

/// The supervisor's end.
#[derive(Debug)]
pub(crate) struct Reader {
    channel: Channel,
}

#[derive(Debug)]
enum Channel {
    Fresh(Option<Blocking>),
    Watched(UnixStream),
}

/// Byte strings.
pub(crate) type Words = Vec<Vec<u8>>;

impl Reader {
    /// Starts a reader that answers by `answer`. This process must have no other threads. Of the descriptors the reader
    /// keeps `keep` alone.
    pub(crate) fn start(
        keep: Option<RawFd>,
        mut answer: impl FnMut(&[Vec<u8>]) -> Words,
    ) -> io::Result<Reader> {
        let (own, theirs) = Blocking::pair()?;
        match process::fork()? {
            Fork::Parent(_) => Ok(Reader { channel: Channel::Fresh(Some(own)) }),
            Fork::Child => {
                drop(own);
                // nothing can be said of a reader that cannot confine itself: it ends, and is found gone
                let code = match serve(theirs, keep, &mut answer) {
                    Ok(()) => 0,
                    Err(_) => 125,
                };
                process::exit_now(code)
            }
        }
    }

    /// Asks, and waits for the answer while everything else goes on.
    pub(crate) async fn ask(&mut self, question: &[&[u8]]) -> io::Result<Words> {
        if let Channel::Fresh(channel) = &mut self.channel {
            let channel = channel.take().ok_or(io::ErrorKind::BrokenPipe)?;
            channel.set_nonblocking(true)?;
            self.channel = Channel::Watched(UnixStream::from_std(channel)?);
        }
        let Channel::Watched(channel) = &mut self.channel else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        channel.write_all(&frame(question)).await?;
        let mut total = 0u64;
        let count = channel.read_u64().await?;
        let mut words = Vec::new();
        for _ in 0..count {
            let length = channel.read_u64().await?;
            total = total.saturating_add(length);
            let length = within(total).and_then(|()| usize::try_from(length).map_err(io::Error::other))?;
            let mut word = vec![0; length];
            channel.read_exact(&mut word).await?;
            words.push(word);
        }
        Ok(words)
    }
}

fn serve(
    mut channel: Blocking,
    keep: Option<RawFd>,
    answer: &mut impl FnMut(&[Vec<u8>]) -> Words,
) -> io::Result<()> {
    process::die_with_parent()?;
    process::close_all_but(&[channel.as_raw_fd(), keep.unwrap_or(-1)])?;
    confine(Duty::Read)?;
    loop {
        let Some(question) = hear(&mut channel)? else { return Ok(()) };
        let words = answer(&question);
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        channel.write_all(&frame(&words))?;
    }
}

/// A question, or that the supervisor is gone.
fn hear(channel: &mut Blocking) -> io::Result<Option<Words>> {
    let number = |channel: &mut Blocking| -> io::Result<u64> {
        let mut bytes = [0u8; 8];
        channel.read_exact(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    };
    let count = match number(channel) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let (mut words, mut total) = (Vec::new(), 0u64);
    for _ in 0..count.min(MOST_WORDS) {
        let length = number(channel)?;
        total = total.saturating_add(length);
        within(total)?;
        let mut word = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        channel.read_exact(&mut word)?;
        words.push(word);
    }
    Ok(Some(words))
}

fn within(total: u64) -> io::Result<()> {
    if total > MOST_BYTES {
        Err(io::Error::other("more bytes than the files of a policy have"))
    } else {
        Ok(())
    }
}

fn frame(words: &[&[u8]]) -> Vec<u8> {
    let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes();
    let mut frame = number(words.len()).to_vec();
    for word in words {
        frame.extend(number(word.len()));
        frame.extend_from_slice(word);
    }
    frame
}

const MOST_WORDS: u64 = 16;
/// A policy of 64 MiB and certificates beside it.
const MOST_BYTES: u64 = 256 << 20;
