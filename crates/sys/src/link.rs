//! Interfaces, addresses and routes by route netlink (rtnetlink(7)).

use std::io;
use std::net::IpAddr;

use crate::netlink::{APPEND, CREATE, Messages, REQUEST_ACK, REQUEST_DUMP, Socket, attribute};
use crate::{u16_at, u32_at};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_GSO_MAX_SIZE: u16 = 41;
const IFLA_GSO_IPV4_MAX_SIZE: u16 = 63;
const IFLA_GRO_IPV4_MAX_SIZE: u16 = 64;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_PREFSRC: u16 = 7;
const RTA_TABLE: u16 = 15;
const LO: u32 = 1;

/// The loopback interface of this network namespace: up, with the given addresses, and a route that delivers **every**
/// address locally, with `source` as the sender's address. One transaction; kernel ≥ 3.0 (IPv6 AnyIP).
pub fn loopback(source4: IpAddr, source6: IpAddr) -> io::Result<()> {
    let socket = Socket::open(libc::NETLINK_ROUTE)?;
    let mut up = Messages::new();
    let flag = u32::try_from(libc::IFF_UP).unwrap_or_default();
    up.begin(RTM_NEWLINK, REQUEST_ACK, &interface_message(flag, flag));
    for source in [source4, source6] {
        let (family, bits) = family(source);
        let mut fixed = vec![family, bits, 0x82 /* IFA_F_PERMANENT | IFA_F_NODAD */, 0];
        fixed.extend_from_slice(&LO.to_ne_bytes());
        up.begin(RTM_NEWADDR, REQUEST_ACK | CREATE, &fixed)
            .put(IFA_LOCAL, &octets(source))
            .put(IFA_ADDRESS, &octets(source));
    }
    for source in [source4, source6] {
        // rtmsg: family, dst_len, src_len, tos, table, protocol (boot), scope (host), type (local), flags
        let fixed = [family(source).0, 0, 0, 0, 255, 3, 254, 2, 0, 0, 0, 0];
        up.begin(RTM_NEWROUTE, REQUEST_ACK | CREATE | APPEND, &fixed)
            .put(RTA_TABLE, &255u32.to_ne_bytes())
            .put(RTA_OIF, &LO.to_ne_bytes())
            .put(RTA_PREFSRC, &octets(source));
    }
    let expected = up.count();
    socket.transact(&up, expected)
}

/// Larger segments on this namespace's loopback, so that bulk data costs fewer packets. Best effort: kernels before
/// 6.3 know no such attribute for IPv4, and nothing depends on it.
pub fn widen(bytes: u32) -> io::Result<()> {
    let socket = Socket::open(libc::NETLINK_ROUTE)?;
    let mut message = Messages::new();
    message
        .begin(RTM_NEWLINK, REQUEST_ACK, &interface_message(0, 0))
        .put(IFLA_MTU, &65_536u32.to_ne_bytes())
        .put(IFLA_GSO_MAX_SIZE, &bytes.to_ne_bytes())
        .put(IFLA_GSO_IPV4_MAX_SIZE, &bytes.to_ne_bytes())
        .put(IFLA_GRO_IPV4_MAX_SIZE, &bytes.to_ne_bytes());
    socket.transact(&message, 1)
}

/// The names of all interfaces of this network namespace.
pub fn interfaces() -> io::Result<Vec<String>> {
    let socket = Socket::open(libc::NETLINK_ROUTE)?;
    let mut request = Messages::new();
    request.begin(RTM_GETLINK, REQUEST_DUMP, &[0; 16]);
    let mut names = Vec::new();
    socket.dump(&request, |message| {
        if message.kind == RTM_NEWLINK
            && let Some(name) = message.body.get(16..).and_then(|rest| attribute(rest, IFLA_IFNAME))
        {
            names.push(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned());
        }
    })?;
    Ok(names)
}

/// The interfaces' flags are part of the header (rtnetlink(7), `struct ifinfomsg`).
fn interface_message(flags: u32, change: u32) -> Vec<u8> {
    let mut fixed = vec![0, 0, 0, 0];
    fixed.extend_from_slice(&LO.to_ne_bytes());
    fixed.extend_from_slice(&flags.to_ne_bytes());
    fixed.extend_from_slice(&change.to_ne_bytes());
    debug_assert!(u16_at(&fixed, 0) == Some(0) && u32_at(&fixed, 4) == Some(LO));
    fixed
}

fn family(address: IpAddr) -> (u8, u8) {
    match address {
        IpAddr::V4(_) => (u8::try_from(libc::AF_INET).unwrap_or_default(), 32),
        IpAddr::V6(_) => (u8::try_from(libc::AF_INET6).unwrap_or_default(), 128),
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
