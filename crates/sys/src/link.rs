//! Interfaces, addresses and routes by route netlink (rtnetlink(7)).

use std::io;
use std::net::IpAddr;

use crate::netlink::{APPEND, CREATE, Messages, REQUEST_ACK, REQUEST_DUMP, Socket, attribute};
use crate::{u16_at, u32_at};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_GSO_MAX_SIZE: u16 = 41;
const IFLA_GSO_IPV4_MAX_SIZE: u16 = 63;
const IFLA_GRO_IPV4_MAX_SIZE: u16 = 64;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
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

/// An interface as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `IFF_*`.
    pub flags: u32,
    /// What made it: `bridge`, `veth`, `tun` …; `None` for hardware.
    pub kind: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// The interfaces of this network namespace with their addresses (rtnetlink(7)).
pub fn survey() -> io::Result<Vec<Interface>> {
    let socket = Socket::open(libc::NETLINK_ROUTE)?;
    let text = |value: &[u8]| String::from_utf8_lossy(value).trim_end_matches('\0').to_owned();
    let mut request = Messages::new();
    request.begin(RTM_GETLINK, REQUEST_DUMP, &[0; 16]);
    let mut found: Vec<Interface> = Vec::new();
    socket.dump(&request, |message| {
        let rest = message.body.get(16..).unwrap_or_default();
        found.push(Interface {
            index: u32_at(message.body, 4).unwrap_or_default(),
            name: attribute(rest, IFLA_IFNAME).map(text).unwrap_or_default(),
            flags: u32_at(message.body, 8).unwrap_or_default(),
            kind: attribute(rest, IFLA_LINKINFO).and_then(|info| attribute(info, 1)).map(text),
            addresses: Vec::new(),
        });
    })?;
    let mut request = Messages::new();
    request.begin(RTM_GETADDR, REQUEST_DUMP, &[0; 8]);
    socket.dump(&request, |message| {
        let rest = message.body.get(8..).unwrap_or_default();
        let address = attribute(rest, IFA_LOCAL).or_else(|| attribute(rest, IFA_ADDRESS)).and_then(parsed);
        let link = found.iter_mut().find(|link| Some(link.index) == u32_at(message.body, 4));
        if let (Some(address), Some(link)) = (address, link) {
            link.addresses.push(address);
        }
    })?;
    Ok(found)
}

/// Where the kernel would send a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Out of the interface of this number, by this gateway if there is one.
    Out(u32, Option<IpAddr>),
    /// To this host itself.
    Here,
    /// Nowhere.
    Nowhere,
}

/// Asks the kernel for its way to an address; no packet is sent (rtnetlink(7), `RTM_GETROUTE`).
pub fn way(address: IpAddr) -> io::Result<Way> {
    let socket = Socket::open(libc::NETLINK_ROUTE)?;
    let (family, bits) = family(address);
    let mut request = Messages::new();
    request
        .begin(RTM_GETROUTE, 1, &[family, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        .put(RTA_DST, &octets(address));
    socket.send(&request)?;
    let mut buffer = [0u8; 8192];
    let first = crate::netlink::messages(socket.receive(&mut buffer, 0)?).next();
    if let Some(message) = first {
        if i32::from(message.kind) == libc::NLMSG_ERROR {
            let code = u32_at(message.body, 0).unwrap_or_default().cast_signed().saturating_neg();
            // unreachable, blackhole and prohibit routes answer so; ENETUNREACH is no route at all
            return match code {
                libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL => Ok(Way::Nowhere),
                code => Err(io::Error::from_raw_os_error(code)),
            };
        }
        let rest = message.body.get(12..).unwrap_or_default();
        return Ok(match message.body.get(7) {
            Some(1) => Way::Out(
                attribute(rest, RTA_OIF).and_then(|link| u32_at(link, 0)).unwrap_or_default(),
                attribute(rest, RTA_GATEWAY).and_then(parsed),
            ),
            Some(2) => Way::Here,
            _ => Way::Nowhere,
        });
    }
    Err(io::Error::other("the kernel did not answer"))
}

fn parsed(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
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
