//! The special ranges: RFC 6890 and its registries, cloud metadata services, and addresses that hide another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Net;
use crate::host::HostName;

/// What kind of address this is, where it is not an ordinary public one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Special {
    /// The host itself: 127/8, ::1.
    Loopback,
    /// RFC 1918.
    Private,
    /// 169.254/16, fe80::/10.
    LinkLocal,
    /// A cloud's metadata service, which hands out credentials.
    Metadata,
    /// Shared address space of carriers: 100.64/10.
    Cgnat,
    /// One to many: 224/4, ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// No address: 0/8, ::.
    Unspecified,
    /// Set aside by a registry: 192.0.0/24, 192.88.99/24, 240/4, 100::/64.
    Reserved,
    /// For examples in texts.
    Documentation,
    /// For benchmarks of network devices: 198.18/15.
    Benchmark,
    /// fc00::/7 and the old fec0::/10.
    UniqueLocal,
    /// An IPv6 address that carries an IPv4 one: mapped, translated, NAT64, Teredo, 6to4.
    Embedded,
}

crate::text::words!(
    Special,
    "kind of address",
    SpecialError,
    Loopback = "loopback",
    Private = "private",
    LinkLocal = "link-local",
    Metadata = "metadata",
    Cgnat = "carrier-grade NAT",
    Multicast = "multicast",
    Broadcast = "broadcast",
    Unspecified = "unspecified",
    Reserved = "reserved",
    Documentation = "documentation",
    Benchmark = "benchmark",
    UniqueLocal = "unique-local",
    Embedded = "embedded IPv4"
);

impl Special {
    /// Whether it is reachable only by a rule that names it literally as a network.
    pub const fn is_never(self) -> bool {
        matches!(
            self,
            Special::Loopback
                | Special::LinkLocal
                | Special::Metadata
                | Special::Multicast
                | Special::Broadcast
                | Special::Unspecified
        )
    }
}

/// What kind of address this is; `None` for an ordinary public one.
pub fn special(ip: IpAddr) -> Option<Special> {
    match ip {
        IpAddr::V4(ip) => special_v4(ip),
        IpAddr::V6(ip) => special_v6(ip),
    }
}

fn special_v4(ip: Ipv4Addr) -> Option<Special> {
    match ip.octets() {
        // AWS, GCP, Azure and others; ECS task and EKS pod credentials; Alibaba; Azure's agents (a public address that is
        // not routed).
        [169, 254, 169, 254] | [169, 254, 170, 2 | 23] | [100, 100, 100, 200] | [168, 63, 129, 16] => {
            Some(Special::Metadata)
        }
        [0, ..] => Some(Special::Unspecified),
        [10, ..] | [192, 168, ..] => Some(Special::Private),
        [172, b, ..] if b & 0xf0 == 16 => Some(Special::Private),
        [100, b, ..] if b & 0xc0 == 64 => Some(Special::Cgnat),
        [127, ..] => Some(Special::Loopback),
        [169, 254, ..] => Some(Special::LinkLocal),
        [192, 0, 0, _] | [192, 88, 99, _] => Some(Special::Reserved),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some(Special::Documentation),
        [198, 18 | 19, ..] => Some(Special::Benchmark),
        [224..=239, ..] => Some(Special::Multicast),
        [255, 255, 255, 255] => Some(Special::Broadcast),
        [240..=255, ..] => Some(Special::Reserved),
        _ => None,
    }
}

fn special_v6(ip: Ipv6Addr) -> Option<Special> {
    if let Some(v4) = carried(ip) {
        return special_v4(v4).or(Some(Special::Embedded));
    }
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Special::Unspecified),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Special::Loopback),
        // Deprecated IPv4-compatible (RFC 4291 2.5.5.1): hides an address as the mapped form does.
        [0, 0, 0, 0, 0, 0, _, _] => Some(Special::Embedded),
        // NAT64 of a site's own (RFC 8215): where in it the IPv4 address stands is not known.
        [0x64, 0xff9b, 1, ..] => Some(Special::Embedded),
        [0x100, 0, 0, 0, ..] => Some(Special::Reserved),
        // Teredo (RFC 4380) hides an IPv4 address inverted.
        [0x2001, 0, ..] => Some(Special::Embedded),
        [0x2001, 0xdb8, ..] => Some(Special::Documentation),
        [0x3fff, b, ..] if b & 0xf000 == 0 => Some(Special::Documentation),
        // AWS: instances, and EKS pods.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23] => Some(Special::Metadata),
        // Oracle and Scaleway.
        [0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe] | [0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42] => {
            Some(Special::Metadata)
        }
        // GCP over IPv6.
        [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => Some(Special::Metadata),
        [a, ..] if a & 0xfe00 == 0xfc00 => Some(Special::UniqueLocal),
        [a, ..] if a & 0xffc0 == 0xfe80 => Some(Special::LinkLocal),
        [a, ..] if a & 0xffc0 == 0xfec0 => Some(Special::UniqueLocal),
        [a, ..] if a & 0xff00 == 0xff00 => Some(Special::Multicast),
        _ => None,
    }
}

/// The IPv4 address that an IPv6 one carries plainly, and that a packet to it may end at.
pub fn carried(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    match ip.segments() {
        // Mapped (RFC 4291 2.5.5.2); translated by SIIT (RFC 2765); NAT64 (RFC 6052); 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(joined(high, low)),
        _ => None,
    }
}

/// The never-by-accident range this address lies in: a rule names it literally only if the rule's whole network
/// lies inside this range. A metadata address, and one that hides another address, is its own range.
pub fn never_range(ip: IpAddr) -> Option<(Special, Net)> {
    let ip = ip.to_canonical();
    let kind = special(ip).filter(|kind| kind.is_never())?;
    let wide = match (kind, ip) {
        (Special::Metadata, _) => None,
        (_, IpAddr::V4(ip)) => match ip.octets() {
            [127, ..] => Net::new(Ipv4Addr::new(127, 0, 0, 0).into(), 8),
            [169, 254, ..] => Net::new(Ipv4Addr::new(169, 254, 0, 0).into(), 16),
            [224..=239, ..] => Net::new(Ipv4Addr::new(224, 0, 0, 0).into(), 4),
            [0, ..] => Net::new(Ipv4Addr::UNSPECIFIED.into(), 8),
            _ => None,
        },
        (_, IpAddr::V6(ip)) => match ip.segments() {
            [a, ..] if a & 0xffc0 == 0xfe80 => {
                Net::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), 10)
            }
            [a, ..] if a & 0xff00 == 0xff00 => Net::new(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0).into(), 8),
            _ => None,
        },
    };
    Some((kind, wide.unwrap_or_else(|| Net::of(ip))))
}

/// The networks at whose edges [`never_range`] changes: inside one of them, and outside of those that lie within it, all
/// addresses ask for the same length of prefix. The IPv4-mapped range is one of them: its addresses are IPv4 ones.
pub fn never_regions() -> Vec<Net> {
    let mapped = Net::new(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0).into(), 96);
    let six =
        NEVER_V6.iter().filter_map(|(segments, length)| Net::new(Ipv6Addr::from(*segments).into(), *length));
    let four = NEVER_V4.iter().flat_map(|(octets, length)| {
        let [a, b, c, d] = *octets;
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low);
        let translated = Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low);
        let six_to_four = Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 0);
        [
            Net::new(Ipv4Addr::from(*octets).into(), *length),
            Net::new(nat64.into(), 96 + length),
            Net::new(translated.into(), 96 + length),
            Net::new(six_to_four.into(), 16 + length),
        ]
    });
    mapped.into_iter().chain(six).chain(four.flatten()).collect()
}

const NEVER_V4: &[([u8; 4], u8)] = &[
    ([0, 0, 0, 0], 8),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([224, 0, 0, 0], 4),
    ([255, 255, 255, 255], 32),
    ([169, 254, 169, 254], 32),
    ([169, 254, 170, 2], 32),
    ([169, 254, 170, 23], 32),
    ([100, 100, 100, 200], 32),
    ([168, 63, 129, 16], 32),
];

const NEVER_V6: &[([u16; 8], u8)] = &[
    ([0, 0, 0, 0, 0, 0, 0, 0], 128),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128),
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], 128),
    ([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128),
    ([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128),
    ([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
];

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

/// Names of cloud metadata services, and names that spell their address.
pub fn metadata_name(host: &HostName) -> bool {
    let name = host.as_str();
    // Every spelling holds one of these: one quick look spares most names the long one.
    let spells =
        (name.contains("169") || name.contains("a9fe")) && SPELLINGS.iter().any(|part| name.contains(part));
    spells || NAMES.contains(&name)
}

const NAMES: &[&str] = &[
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata.azure.internal",
    "metadata.azure.com",
    "metadata.internal",
    "metadata.tencentyun.com",
    "metadata.platformequinix.com",
    "metadata.packet.net",
    "metadata.oraclecloud.com",
    "rancher-metadata",
];

/// Services such as nip.io answer with the address spelled in the name.
const SPELLINGS: &[&str] = &[
    "169.254.169.254",
    "169-254-169-254",
    "a9fea9fe",
    "169.254.170.2.",
    "169-254-170-2.",
    "169.254.170.23.",
    "169-254-170-23.",
];
