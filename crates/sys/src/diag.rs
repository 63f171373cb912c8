//! Which socket a flow belongs to: exact look-ups by sock_diag(7), and the process that holds the inode.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::netlink::{Messages, Socket, messages};
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

/// Opens the socket that `inode` asks.
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
