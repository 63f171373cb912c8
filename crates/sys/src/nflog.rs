//! Packets that a rule logged, read from an NFLOG group (`include/uapi/linux/netfilter/nfnetlink_log.h`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};

use crate::netlink::{Messages, REQUEST_ACK, Socket, attribute, messages};
use crate::{check, u16_at};

/// A refused packet, as far as its headers tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Where it came from.
    pub source: (IpAddr, u16),
    /// Where it wanted to go.
    pub destination: (IpAddr, u16),
    /// The transport protocol (`IPPROTO_*`).
    pub transport: u8,
    /// The group's running number; a gap means that packets were lost.
    pub sequence: Option<u32>,
}

/// A socket that receives what rules log to `group` in this network namespace. `copy` bytes of each packet are kept.
pub fn open(group: u16, copy: u32) -> io::Result<Socket> {
    let socket = Socket::open(libc::NETLINK_NETFILTER)?;
    let mut message = Messages::new();
    let fixed = |family| [family, 0, group.to_be_bytes()[0], group.to_be_bytes()[1]];
    // nfulnl_msg_config_cmd: bind; nfulnl_msg_config_mode: copy_range, NFULNL_COPY_PACKET
    message.begin(CONFIG, REQUEST_ACK, &fixed(0)).put(1, &[1]);
    let mut mode = copy.to_be_bytes().to_vec();
    mode.extend_from_slice(&[2, 0]);
    message.begin(CONFIG, REQUEST_ACK, &fixed(0)).put(2, &mode);
    // NFULA_CFG_FLAGS = sequence numbers; NFULA_CFG_QTHRESH = deliver each packet at once
    message.begin(CONFIG, REQUEST_ACK, &fixed(0)).put(6, &1u16.to_be_bytes());
    message.begin(CONFIG, REQUEST_ACK, &fixed(0)).put_be32(5, 1);
    let expected = message.count();
    socket.transact(&message, expected)?;
    buffer(&socket, 1 << 20)?;
    Ok(socket)
}

/// Reads what is there without waiting; each refused packet goes to `take`. Returns whether the kernel dropped some.
pub fn read(socket: &Socket, bytes: &mut [u8], mut take: impl FnMut(Refused)) -> io::Result<Lost> {
    let datagram = match socket.receive(bytes, libc::MSG_DONTWAIT) {
        Ok(datagram) => datagram,
        Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Lost::Some),
        Err(error) => return Err(error),
    };
    for message in messages(datagram) {
        let body = message.body.get(4..).unwrap_or_default();
        let sequence = attribute(body, 12).and_then(|value| value.try_into().ok()).map(u32::from_be_bytes);
        if let Some(packet) = attribute(body, 9).and_then(parse) {
            take(Refused { sequence, ..packet });
        }
    }
    Ok(Lost::None)
}

/// Whether the socket's buffer overflowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Nothing was lost.
    None,
    /// The kernel dropped an unknown number.
    Some,
}

/// Reads the addresses and ports of an IPv4 (RFC 791) or IPv6 (RFC 8200) packet.
pub fn parse(packet: &[u8]) -> Option<Refused> {
    let version = packet.first()? >> 4;
    let (source, destination, transport, header): (IpAddr, IpAddr, u8, usize) = match version {
        4 => {
            let header = usize::from(packet.first()? & 0xf).checked_mul(4)?;
            let address = |at: usize| -> Option<IpAddr> {
                let octets: [u8; 4] = packet.get(at..at.checked_add(4)?)?.try_into().ok()?;
                Some(Ipv4Addr::from(octets).into())
            };
            (address(12)?, address(16)?, *packet.get(9)?, header)
        }
        6 => {
            let address = |at: usize| -> Option<IpAddr> {
                let octets: [u8; 16] = packet.get(at..at.checked_add(16)?)?.try_into().ok()?;
                Some(Ipv6Addr::from(octets).into())
            };
            (address(8)?, address(24)?, *packet.get(6)?, 40)
        }
        _ => return None,
    };
    let port = |at: usize| u16_at(packet, header.saturating_add(at)).map(u16::from_be).unwrap_or_default();
    let ports = [6, 17, 33, 132, 136].contains(&i32::from(transport));
    let (from, to) = if ports { (port(0), port(2)) } else { (0, 0) };
    Some(Refused { source: (source, from), destination: (destination, to), transport, sequence: None })
}

/// Asks for a receive buffer of that size: beyond `rmem_max` where allowed, else as much as is granted (socket(7)).
fn buffer(socket: &Socket, size: libc::c_int) -> io::Result<()> {
    let set = |option| {
        // SAFETY: the option value is a live int of the stated length.
        check(unsafe {
            libc::setsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                std::ptr::from_ref(&size).cast(),
                u32::try_from(size_of::<libc::c_int>()).unwrap_or_default(),
            )
        })
    };
    set(libc::SO_RCVBUFFORCE).or_else(|_| set(libc::SO_RCVBUF)).map(|_| ())
}

/// `NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG`.
const CONFIG: u16 = (4 << 8) | 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_syn_is_read() {
        let mut packet = vec![0u8; 28];
        packet[0] = 0x45;
        packet[9] = 6;
        packet[12..16].copy_from_slice(&[11, 0, 0, 1]);
        packet[16..20].copy_from_slice(&[9, 9, 9, 9]);
        packet[20..22].copy_from_slice(&4000u16.to_be_bytes());
        packet[22..24].copy_from_slice(&443u16.to_be_bytes());
        let refused = parse(&packet).unwrap();
        assert_eq!(refused.destination, ("9.9.9.9".parse().unwrap(), 443));
        assert_eq!(refused.source, ("11.0.0.1".parse().unwrap(), 4000));
        for end in 0..20 {
            assert_eq!(parse(&packet[..end]), None);
        }
    }
}
