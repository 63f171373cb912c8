//! Zones of the host: who is on which side, which flows are declared, and the nf_tables rules that let nothing else pass.
//!
//! [`Zones::parse`] reads a zones file or tells everything that is wrong with it, by line. [`Zones::ruleset`] is what the
//! kernel must hold for it, as data; [`Ruleset::text`] says the same in the words of nft(8). Nothing here touches a network.

mod build;
mod load;
mod raw;
mod ruleset;
mod text;

use std::fmt;
use std::net::IpAddr;

use claw_model::digest::Digest;
use claw_model::net::Net;
use claw_model::port::Ports;
use claw_policy::PolicyError;
use serde::Serialize;

pub use ruleset::{Act, Base, Chain, Element, Hook, Kind, Load, Match, Rule, Ruleset, Set, State, Value};

/// A zones file that was read and checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Zones {
    /// The file's name as it was given.
    pub file: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Whether what this host itself sends must be declared too.
    pub output: Output,
    /// Where refused packets are told.
    pub log: Log,
    /// The zones, in the order of [`Name::ALL`].
    pub zones: Vec<Zone>,
    /// What a careful reader would remark.
    pub notes: Vec<String>,
}

/// One side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Zone {
    /// Which.
    pub name: Name,
    /// Interfaces it is behind; none: any.
    pub interfaces: Vec<Interface>,
    /// Networks it has; none: any.
    pub networks: Vec<Net>,
    /// Whose processes it is, of the runtime; `None`: anybody's on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
    /// What may flow.
    pub flows: Vec<Flow>,
    /// The line it stands on.
    pub line: u32,
}

/// A flow that is declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// Which way.
    pub direction: Direction,
    /// The transport protocol's number; for ICMP 1, and 58 is meant too.
    pub protocol: u8,
    /// Its ports; `None` where the protocol has none.
    pub ports: Option<Ports>,
    /// The other side.
    pub peers: Peers,
    /// Why.
    pub purpose: String,
    /// The line it stands on.
    pub line: u32,
}

/// Who is meant by a flow beside this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Peers {
    /// The whole zone.
    Zone,
    /// These networks.
    Networks(Vec<Net>),
    /// Every public address that is in no zone.
    Internet,
}

/// A zone's name. The list is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Name {
    /// Those who command the host.
    Management,
    /// Claw itself on this host: its sockets are on loopback only.
    Runtime,
    /// Agents, and what they run in.
    Workload,
}

/// Which way a flow goes, seen from this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the zone to this host.
    In,
    /// From this host to the zone.
    Out,
    /// From the zone through this host.
    Forward,
}

/// Whether what this host sends must be declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// It may send what it likes.
    Accept,
    /// Only declared flows and answers.
    Drop,
}

/// Where refused packets are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Log {
    /// To the kernel's log.
    Kernel,
    /// To an NFLOG group.
    Group(u16),
    /// Nowhere; they are counted all the same.
    None,
}

/// An interface, or every one whose name begins so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    /// The name, or its beginning.
    pub name: String,
    /// Whether more may follow.
    pub prefix: bool,
}

/// A connection that must not be cut when the rules come into force: the operator's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Session {
    /// The other side's address.
    pub peer: IpAddr,
    /// The other side's port.
    pub peer_port: u16,
    /// This host's address.
    pub own: IpAddr,
    /// This host's port.
    pub own_port: u16,
}

impl Zones {
    /// Reads and checks a zones file. `name` is what errors call it.
    pub fn parse(text: &str, name: &str) -> Result<Zones, PolicyError> {
        load::load(text, name)
    }

    /// The zone of this name, if the file has it.
    pub fn zone(&self, name: Name) -> Option<&Zone> {
        self.zones.iter().find(|zone| zone.name == name)
    }

    /// The zone that takes nothing but its own networks' packets from this interface, if there is one.
    pub fn only_its_own(&self, interface: &str) -> Option<&Zone> {
        let matches = |one: &Interface| match one.prefix {
            true => interface.starts_with(&one.name),
            false => interface == one.name,
        };
        let placed = |zone: &&Zone| zone.name != Name::Runtime && !zone.networks.is_empty();
        self.zones.iter().filter(placed).find(|zone| zone.interfaces.iter().any(matches))
    }

    /// What the kernel must hold, with these connections kept.
    pub fn ruleset(&self, keep: &[Session]) -> Ruleset {
        build::build(self, keep)
    }

    /// Whether a new connection like this one would be let in: by TCP, from that address to that port.
    pub fn admits(&self, session: &Session) -> bool {
        self.zones.iter().any(|zone| {
            let inside =
                zone.networks.is_empty() || zone.networks.iter().any(|net| net.contains(session.peer));
            let admits = |flow: &Flow| {
                let peer = match &flow.peers {
                    Peers::Networks(nets) => nets.iter().any(|net| net.contains(session.peer)),
                    Peers::Zone | Peers::Internet => true,
                };
                let port = flow.ports.as_ref().is_some_and(|ports| ports.contains(session.own_port));
                flow.direction == Direction::In && flow.protocol == TCP && peer && port
            };
            zone.name != Name::Runtime && inside && zone.flows.iter().any(admits)
        })
    }
}

impl Name {
    /// Every name, in order.
    pub const ALL: [Name; 3] = [Name::Management, Name::Runtime, Name::Workload];

    /// The name as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Name::Management => "management",
            Name::Runtime => "runtime",
            Name::Workload => "workload",
        }
    }

    /// The zone that may never be reached from this one through the host.
    pub const fn walled(self) -> Option<Name> {
        match self {
            Name::Management => Some(Name::Workload),
            Name::Workload => Some(Name::Management),
            Name::Runtime => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Direction {
    /// The word as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::In => "in",
            Direction::Out => "out",
            Direction::Forward => "forward",
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, if self.prefix { "*" } else { "" })
    }
}

impl Serialize for Interface {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Interface {
    /// Whether some interface is meant by both.
    fn overlaps(&self, other: &Interface) -> bool {
        match (self.prefix, other.prefix) {
            (false, false) => self.name == other.name,
            (true, false) => other.name.starts_with(&self.name),
            (false, true) => self.name.starts_with(&other.name),
            (true, true) => self.name.starts_with(&other.name) || other.name.starts_with(&self.name),
        }
    }
}

impl Session {
    /// The session that `SSH_CONNECTION` names (ssh(1)): peer, its port, own address, own port.
    pub fn of_ssh(text: &str) -> Option<Session> {
        let mut words = text.split(' ');
        let address = |text: &str| text.split('%').next()?.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        let session = Session {
            peer: address(words.next()?)?,
            peer_port: words.next()?.parse().ok()?,
            own: address(words.next()?)?,
            own_port: words.next()?.parse().ok()?,
        };
        (words.next().is_none() && session.peer.is_ipv4() == session.own.is_ipv4()).then_some(session)
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |ip: IpAddr, port| std::net::SocketAddr::new(ip, port);
        write!(f, "{} to {}", at(self.peer, self.peer_port), at(self.own, self.own_port))
    }
}

/// The name of a protocol, where it has one here.
pub fn protocol_name(number: u8) -> Option<&'static str> {
    PROTOCOLS.iter().find(|(_, known, _)| *known == number).map(|(name, ..)| *name)
}

/// Protocols by name, their numbers (IANA protocol numbers), and whether their heads begin with two ports.
const PROTOCOLS: &[(&str, u8, bool)] = &[
    ("ICMP", ICMP, false),
    ("TCP", TCP, true),
    ("UDP", UDP, true),
    ("DCCP", 33, true),
    ("GRE", 47, false),
    ("ESP", 50, false),
    ("AH", 51, false),
    ("OSPF", 89, false),
    ("VRRP", 112, false),
    ("SCTP", 132, true),
    ("UDPLITE", 136, true),
];
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;
/// The table that is ours. No other is touched.
pub const TABLE: &str = "claw-firewall";
/// What lines in a log begin with.
pub const LOG_PREFIX: &str = "claw-firewall refused: ";

#[cfg(test)]
mod tests;
