//! Datagrams that come from any address and port: answers, where no socket can be held for each port there is.
//!
//! A raw socket is made inside, while init may still make one (`CAP_NET_RAW`, raw(7)), and held by the gate. What it sends
//! passes the same rules of the kernel as everything else.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::socket;

/// A raw socket of the address's family that sends whole packets (`IPPROTO_RAW`, raw(7), ipv6(7)) and receives none.
pub fn sender(address: IpAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    socket::raw(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, libc::IPPROTO_RAW)
}

/// Sends a datagram as if `from` had sent it to `to`; both are of the socket's family. One that does not fit into a packet
/// is refused (`EMSGSIZE`).
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], from: SocketAddr, to: SocketAddr) -> io::Result<usize> {
    let packet = packet(bytes, from, to)?;
    // the port of a raw socket's address means its protocol (raw(7), ipv6(7))
    socket::send(socket, &packet, libc::MSG_DONTWAIT, Some(SocketAddr::new(to.ip(), 0)))
}

/// The packet, with its IP head (RFC 791, RFC 8200) and its UDP head (RFC 768).
fn packet(bytes: &[u8], from: SocketAddr, to: SocketAddr) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::from_raw_os_error(libc::EMSGSIZE);
    let length = u16::try_from(bytes.len().saturating_add(UDP_HEAD)).map_err(|_| too_long())?;
    let mut packet = Vec::with_capacity(bytes.len().saturating_add(UDP_HEAD + 40));
    let sum = match (from.ip(), to.ip()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => {
            let total = length.checked_add(20).ok_or_else(too_long)?;
            packet.extend([0x45, 0]);
            packet.extend(total.to_be_bytes());
            // identification, fragment, hops, protocol; the kernel fills the head's sum in
            packet.extend([0, 0, 0, 0, HOPS, UDP, 0, 0]);
            packet.extend(source.octets());
            packet.extend(target.octets());
            // none is needed in IPv4
            0
        }
        (IpAddr::V6(source), IpAddr::V6(target)) => {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(length.to_be_bytes());
            packet.extend([UDP, HOPS]);
            packet.extend(source.octets());
            packet.extend(target.octets());
            checksum(bytes, length, (source, from.port()), (target, to.port()))
        }
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    for field in [from.port(), to.port(), length, sum] {
        packet.extend(field.to_be_bytes());
    }
    packet.extend_from_slice(bytes);
    Ok(packet)
}

/// The sum over the pseudo head and the datagram (RFC 8200, section 8.1), where zero is written as its complement.
fn checksum(bytes: &[u8], length: u16, from: (Ipv6Addr, u16), to: (Ipv6Addr, u16)) -> u16 {
    let words = from.0.segments().into_iter().chain(to.0.segments());
    // the length stands in the pseudo head and in the datagram
    let fixed = [length, u16::from(UDP), from.1, to.1, length];
    let pairs = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u16::from_be_bytes([*high, *low]),
        [high] => u16::from_be_bytes([*high, 0]),
        _ => 0,
    });
    let mut sum = words.chain(fixed).chain(pairs).fold(0u64, |sum, word| sum.saturating_add(word.into()));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    match !u16::try_from(sum).unwrap_or_default() {
        0 => 0xffff,
        sum => sum,
    }
}

const UDP_HEAD: usize = 8;
const UDP: u8 = 17;
const HOPS: u8 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// A receiver takes a datagram if and only if the sum over all of it, its own included, is all ones.
    #[test]
    fn the_sum_over_the_whole_is_all_ones() {
        for bytes in [&b""[..], b"a", b"ab", &[0xff; 33], &[0; 64]] {
            let from: SocketAddr = "[2606:4700:4700::1111]:443".parse().unwrap();
            let to: SocketAddr = "[2608:100:c1a0::1]:50000".parse().unwrap();
            let packet = packet(bytes, from, to).unwrap();
            let (head, datagram) = packet.split_at(40);
            let mut sum = u64::from(UDP) + datagram.len() as u64;
            for pair in head[8..].chunks(2).chain(datagram.chunks(2)) {
                sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
            }
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            assert_eq!(sum, 0xffff, "{bytes:?}");
        }
    }

    #[test]
    fn what_does_not_fit_and_what_is_of_two_families_is_refused() {
        let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let code = |result: io::Result<Vec<u8>>| result.unwrap_err().raw_os_error();
        assert_eq!(code(packet(&[0; 65_528], at("8.8.8.8:1"), at("11.64.0.1:2"))), Some(libc::EMSGSIZE));
        assert_eq!(code(packet(&[0; 65_510], at("8.8.8.8:1"), at("11.64.0.1:2"))), Some(libc::EMSGSIZE));
        assert_eq!(packet(&[7; 65_507], at("8.8.8.8:1"), at("11.64.0.1:2")).unwrap().len(), 65_535);
        assert!(packet(b"x", at("8.8.8.8:1"), at("[::1]:2")).is_err());
    }
}
