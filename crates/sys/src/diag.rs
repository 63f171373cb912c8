//! Which socket a flow belongs to: exact look-ups by sock_diag(7), and the process that holds the inode.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::netlink::{Messages, REQUEST_DUMP, Socket, attribute, messages};
use crate::u32_at;

/// The inode of the socket whose own address is `local` and whose peer is `remote`. `socket` was opened in the network
/// namespace that is asked about.
pub fn inode(
    socket: &Socket,
    transport: u8,
    local: SocketAddr,
    remote: SocketAddr,
) -> io::Result<Option<u32>> {
    // The kernel's UDP look-up reads source and destination the other way round (net/ipv4/udp_diag.c).
    let (first, second) = if transport == 17 { (remote, local) } else { (local, remote) };
    let family = if local.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let mut fixed = vec![u8::try_from(family).unwrap_or_default(), transport, 0, 0];
    fixed.extend_from_slice(&u32::MAX.to_ne_bytes());
    fixed.extend_from_slice(&first.port().to_be_bytes());
    fixed.extend_from_slice(&second.port().to_be_bytes());
    fixed.extend_from_slice(&padded(first.ip()));
    fixed.extend_from_slice(&padded(second.ip()));
    fixed.extend_from_slice(&0u32.to_ne_bytes());
    fixed.extend_from_slice(&[0xff; 8]);
    let mut request = Messages::new();
    request.begin(SOCK_DIAG_BY_FAMILY, 1, &fixed);
    socket.send(&request)?;
    let mut buffer = [0u8; 2048];
    let datagram = socket.receive(&mut buffer, 0)?;
    for message in messages(datagram) {
        if message.kind == SOCK_DIAG_BY_FAMILY {
            // inet_diag_msg: 4 + inet_diag_sockid (48) + expires, rqueue, wqueue, uid, then the inode
            return Ok(u32_at(message.body, 68).filter(|inode| *inode != 0));
        }
    }
    Ok(None)
}

/// A socket that waits for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    pub transport: u8,
    /// Where it waits.
    pub local: SocketAddr,
    /// Whose it is.
    pub user: u32,
    /// Its inode.
    pub inode: u32,
}

/// Every TCP socket that listens and every UDP socket without a peer, of both families, in the network namespace where
/// `socket` was opened; kernel ≥ 3.3.
pub fn listeners(socket: &Socket) -> io::Result<Vec<Listener>> {
    let mut found = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        // include/net/tcp_states.h: an unconnected UDP socket is in TCP_CLOSE (7), one that listens in TCP_LISTEN (10)
        for (transport, state) in [(6u8, 10u32), (17, 7)] {
            let mut fixed = vec![u8::try_from(family).unwrap_or_default(), transport, 0, 0];
            fixed.extend_from_slice(&(1u32 << state).to_ne_bytes());
            fixed.extend_from_slice(&[0; 48]);
            let mut request = Messages::new();
            request.begin(SOCK_DIAG_BY_FAMILY, REQUEST_DUMP, &fixed);
            socket.dump(&request, |message| {
                if let Some(listener) = listener(transport, message.body) {
                    found.push(listener);
                }
            })?;
        }
    }
    Ok(found)
}

/// `struct inet_diag_msg`: family, state, timer, retransmits; ports at 4 and 6, addresses at 8 and 24; then interface (40),
/// cookie (44), three counters, user (64), inode (68).
fn listener(transport: u8, body: &[u8]) -> Option<Listener> {
    let port = u16::from_be_bytes(body.get(4..6)?.try_into().ok()?);
    let address: IpAddr = if i32::from(*body.first()?) == libc::AF_INET {
        let octets: [u8; 4] = body.get(8..12)?.try_into().ok()?;
        octets.into()
    } else {
        let octets: [u8; 16] = body.get(8..24)?.try_into().ok()?;
        octets.into()
    };
    let local = SocketAddr::new(address, port);
    Some(Listener { transport, local, user: u32_at(body, 64)?, inode: u32_at(body, 68)? })
}

/// A UNIX socket that listens in the abstract namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abstract {
    /// Its name, without the leading zero byte.
    pub name: Vec<u8>,
    /// Whose it is, where the kernel tells (≥ 5.3).
    pub user: Option<u32>,
}

/// Every listening UNIX socket with an abstract name, in the network namespace where `socket` was opened.
pub fn abstracts(socket: &Socket) -> io::Result<Vec<Abstract>> {
    // struct unix_diag_req: family, protocol, pad, states, inode, show (name and user), cookie
    let mut fixed = vec![u8::try_from(libc::AF_UNIX).unwrap_or_default(), 0, 0, 0];
    fixed.extend_from_slice(&(1u32 << 10).to_ne_bytes());
    fixed.extend_from_slice(&0u32.to_ne_bytes());
    fixed.extend_from_slice(&0x41u32.to_ne_bytes());
    fixed.extend_from_slice(&[0; 8]);
    let mut request = Messages::new();
    request.begin(SOCK_DIAG_BY_FAMILY, REQUEST_DUMP, &fixed);
    let mut found = Vec::new();
    socket.dump(&request, |message| {
        // struct unix_diag_msg is 16 bytes; then UNIX_DIAG_NAME (0) and UNIX_DIAG_UID (7)
        let rest = message.body.get(16..).unwrap_or_default();
        if let Some([0, name @ ..]) = attribute(rest, 0)
            && !name.is_empty()
        {
            let user = attribute(rest, 7).and_then(|user| u32_at(user, 0));
            found.push(Abstract { name: name.to_vec(), user });
        }
    })?;
    Ok(found)
}

/// Where vsock(7) sockets listen in this network namespace: context and port.
pub fn vsocks(socket: &Socket) -> io::Result<Vec<(u32, u32)>> {
    // struct vsock_diag_req: family, protocol, pad, states, inode, show, cookie (include/uapi/linux/vm_sockets_diag.h)
    let mut fixed = vec![u8::try_from(libc::AF_VSOCK).unwrap_or_default(), 0, 0, 0];
    fixed.extend_from_slice(&(1u32 << 10).to_ne_bytes());
    fixed.extend_from_slice(&[0; 16]);
    let mut request = Messages::new();
    request.begin(SOCK_DIAG_BY_FAMILY, REQUEST_DUMP, &fixed);
    let mut found = Vec::new();
    socket.dump(&request, |message| {
        // struct vsock_diag_msg: family, type, state, shutdown, then the own context and port
        if message.body.get(2) == Some(&10)
            && let (Some(context), Some(port)) = (u32_at(message.body, 4), u32_at(message.body, 8))
        {
            found.push((context, port));
        }
    })?;
    Ok(found)
}

/// Opens the socket that these ask.
pub fn open() -> io::Result<Socket> {
    Socket::open(libc::NETLINK_SOCK_DIAG)
}

fn padded(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            if let Some(place) = bytes.get_mut(..4) {
                place.copy_from_slice(&address.octets());
            }
            bytes
        }
        IpAddr::V6(address) => address.octets(),
    }
}

const SOCK_DIAG_BY_FAMILY: u16 = 20;
