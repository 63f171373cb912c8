//! Netlink messages and sockets (netlink(7)).
//!
//! A message is built into one buffer; nested attributes close themselves. A socket sends a buffer, and reads replies
//! and acknowledgements with a bounded buffer. What families mean is said in `link`, `nft`, `nflog` and `diag`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{check, check_size, u16_at, u32_at};

/// A buffer of one or more netlink messages.
#[derive(Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    /// Where the current message begins; attributes alone have none.
    start: Option<usize>,
    sequence: u32,
}

impl Messages {
    /// An empty buffer whose first message has sequence number 1.
    pub fn new() -> Messages {
        Messages::default()
    }

    /// Starts a message: header, then the family's fixed part. Ends the one before it.
    pub fn begin(&mut self, kind: u16, flags: u16, fixed: &[u8]) -> &mut Messages {
        self.align();
        self.start = Some(self.bytes.len());
        self.sequence = self.sequence.wrapping_add(1);
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&self.sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.bytes.extend_from_slice(fixed);
        self.close_message()
    }

    /// Adds an attribute.
    pub fn put(&mut self, kind: u16, value: &[u8]) -> &mut Messages {
        self.align();
        let length = u16::try_from(value.len().saturating_add(4)).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.close_message()
    }

    /// Adds a big-endian 32-bit attribute, as nf_tables uses.
    pub fn put_be32(&mut self, kind: u16, value: u32) -> &mut Messages {
        self.put(kind, &value.to_be_bytes())
    }

    /// Adds a NUL-terminated text attribute.
    pub fn put_text(&mut self, kind: u16, value: &str) -> &mut Messages {
        let mut text = value.as_bytes().to_vec();
        text.push(0);
        self.put(kind, &text)
    }

    /// Adds a nested attribute whose content `fill` writes.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Messages)) -> &mut Messages {
        const NESTED: u16 = 1 << 15;
        self.align();
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&0u16.to_ne_bytes());
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        fill(self);
        self.align();
        let length = u16::try_from(self.bytes.len().saturating_sub(at)).unwrap_or(u16::MAX);
        if let Some(place) = self.bytes.get_mut(at..at.saturating_add(2)) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        self.close_message()
    }

    /// The bytes to send.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many messages were begun.
    pub fn count(&self) -> u32 {
        self.sequence
    }

    fn align(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }

    fn close_message(&mut self) -> &mut Messages {
        let Some(start) = self.start else { return self };
        let length = u32::try_from(self.bytes.len().saturating_sub(start)).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(start..start.saturating_add(4)) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        self
    }
}

/// One received message: its type and what follows the 16-byte header.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_seq`.
    pub sequence: u32,
    /// Everything after the header.
    pub body: &'a [u8],
}

/// The messages of one datagram; stops at the first that does not fit.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let message =
            Message { kind: u16_at(bytes, 4)?, sequence: u32_at(bytes, 8)?, body: bytes.get(16..length)? };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes in `bytes`: type without its flag bits, and value.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The attributes in `bytes` with the flag bits of their types.
pub fn entries(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)?;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of that type.
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// A netlink socket of one protocol, in the network namespace where it was opened.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// Opens and binds a socket (netlink(7)); `protocol` is a `libc::NETLINK_*` number.
    pub fn open(protocol: libc::c_int) -> io::Result<Socket> {
        // SAFETY: socket(2) takes three integers and returns a new descriptor that nothing else owns.
        let fd = unsafe {
            let raw = check(libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol))?;
            OwnedFd::from_raw_fd(raw)
        };
        Ok(Socket { fd })
    }

    /// Makes room for large transactions, and lets errors come without the message they are about. Without
    /// `CAP_NET_ADMIN` over the machine, as in a user namespace, the room is what `net.core.wmem_max` and `rmem_max` allow.
    pub fn widen(&self, bytes: libc::c_int) -> io::Result<()> {
        for (forced, asked) in
            [(libc::SO_SNDBUFFORCE, libc::SO_SNDBUF), (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)]
        {
            match self.set(libc::SOL_SOCKET, forced, bytes) {
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                    self.set(libc::SOL_SOCKET, asked, bytes)?;
                }
                other => other?,
            }
        }
        self.set(libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1)
    }

    fn set(&self, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
        // SAFETY: the option value is a live int of the stated length.
        check(unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                level,
                option,
                std::ptr::from_ref(&value).cast(),
                u32::try_from(size_of::<libc::c_int>()).unwrap_or_default(),
            )
        })
        .map(|_| ())
    }

    /// Wraps a descriptor that is already a netlink socket.
    pub fn adopt(fd: OwnedFd) -> Socket {
        Socket { fd }
    }

    /// Gives the descriptor up.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Sends the buffer to the kernel.
    pub fn send(&self, messages: &Messages) -> io::Result<()> {
        let bytes = messages.bytes();
        // SAFETY: an all-zero sockaddr_nl is the kernel's address; pointer and length describe live memory.
        let sent = unsafe {
            let mut address: libc::sockaddr_nl = std::mem::zeroed();
            address.nl_family = u16::try_from(libc::AF_NETLINK).unwrap_or_default();
            libc::sendto(
                self.fd.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                0,
                std::ptr::from_ref(&address).cast(),
                u32::try_from(size_of::<libc::sockaddr_nl>()).unwrap_or_default(),
            )
        };
        check_size(sent).map(|_| ())
    }

    /// Receives one datagram into `buffer`; a datagram that was cut off is an error.
    pub fn receive<'a>(&self, buffer: &'a mut [u8], flags: libc::c_int) -> io::Result<&'a [u8]> {
        // SAFETY: pointer and length describe `buffer`, which outlives the call.
        let read = unsafe {
            libc::recv(self.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags | libc::MSG_TRUNC)
        };
        let read = check_size(read)?;
        buffer.get(..read).ok_or_else(|| io::Error::other("netlink datagram larger than the buffer"))
    }

    /// Sends, and waits until every message that asked for it was acknowledged (`NLM_F_ACK`). `expected` says how many.
    pub fn transact(&self, messages: &Messages, expected: u32) -> io::Result<()> {
        self.send(messages)?;
        let mut buffer = [0u8; 4096];
        let mut seen = 0;
        while seen < expected {
            let datagram = self.receive(&mut buffer, 0)?;
            for message in self::messages(datagram) {
                if i32::from(message.kind) != libc::NLMSG_ERROR {
                    continue;
                }
                let code = u32_at(message.body, 0).map(|code| code.cast_signed()).unwrap_or(-libc::EPROTO);
                if code != 0 {
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                }
                seen = seen.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Sends a dump request and hands each message of the answer to `take` (`NLM_F_DUMP`).
    pub fn dump(&self, request: &Messages, mut take: impl FnMut(Message<'_>)) -> io::Result<()> {
        self.send(request)?;
        // the kernel fills a page or, on large systems, up to 32 KiB (netlink(7), NLMSG_GOODSIZE and dumps)
        let mut buffer = [0u8; 32 * 1024];
        loop {
            let datagram = self.receive(&mut buffer, 0)?;
            for message in messages(datagram) {
                match i32::from(message.kind) {
                    libc::NLMSG_DONE => return Ok(()),
                    libc::NLMSG_ERROR => {
                        let code =
                            u32_at(message.body, 0).map(|code| code.cast_signed()).unwrap_or(-libc::EPROTO);
                        return if code == 0 {
                            Ok(())
                        } else {
                            Err(io::Error::from_raw_os_error(code.saturating_neg()))
                        };
                    }
                    _ => take(message),
                }
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.fd.as_raw_fd()
    }
}

/// `NLM_F_REQUEST | NLM_F_ACK`.
pub const REQUEST_ACK: u16 = 0x1 | 0x4;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
pub const REQUEST_DUMP: u16 = 0x1 | 0x300;
/// `NLM_F_CREATE`.
pub const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`.
pub const APPEND: u16 = 0x800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_holds_its_attributes_and_nests() {
        let mut buffer = Messages::new();
        buffer.begin(7, REQUEST_ACK, &[1, 2, 3, 4]).put_text(1, "ab").nest(2, |inner| {
            inner.put_be32(3, 5);
        });
        let all: Vec<_> = messages(buffer.bytes()).collect();
        assert_eq!(all.len(), 1);
        let body = all[0].body;
        assert_eq!(attribute(&body[4..], 1), Some(&b"ab\0"[..]));
        let nested = attribute(&body[4..], 2).unwrap();
        assert_eq!(attribute(nested, 3), Some(&[0, 0, 0, 5][..]));
    }

    #[test]
    fn cut_off_bytes_end_the_walk_without_a_panic() {
        let mut buffer = Messages::new();
        buffer.begin(7, 0, &[]).put(1, &[0; 9]);
        for end in 0..buffer.bytes().len() {
            assert_eq!(messages(&buffer.bytes()[..end]).count(), 0);
            let _ = attributes(&buffer.bytes()[..end]).count();
        }
    }
}
