//! A table of nf_tables as data, in words that both the kernel's messages and nft(8) can be made from.

use std::net::IpAddr;

use serde::Serialize;

use super::{Interface, Log};

/// A table of family `inet`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ruleset {
    /// Its name.
    pub table: String,
    /// Its sets.
    pub sets: Vec<Set>,
    /// Its chains.
    pub chains: Vec<Chain>,
}

/// A set and its elements, which are sorted and apart from each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// What is looked up in it.
    pub key: Vec<Load>,
    /// How it holds its elements.
    pub kind: Kind,
    /// Its elements.
    pub elements: Vec<Element>,
}

/// How a set holds its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Keys.
    Points,
    /// From key to key, of several fields.
    Boxes,
    /// From key to key, of one field.
    Ranges,
}

/// First and last value of each field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Element(pub Vec<(Value, Value)>);

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Of an address.
    Address(IpAddr),
    /// Of a protocol or a type.
    Number(u8),
    /// Of a port.
    Port(u16),
}

/// A value of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// The sender, IPv4.
    Source4,
    /// The sender, IPv6.
    Source6,
    /// The receiver, IPv4.
    Destination4,
    /// The receiver, IPv6.
    Destination6,
    /// The transport protocol, behind all extension headers.
    Transport,
    /// The sender's port.
    SourcePort,
    /// The receiver's port.
    DestinationPort,
    /// The type of an ICMP message.
    Icmp4,
    /// The type of an ICMPv6 message.
    Icmp6,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Where it is called from; `None`: by other chains.
    pub base: Option<Base>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// Where a base chain sits, and what becomes of a packet that no rule decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Base {
    /// Its hook.
    pub hook: Hook,
    /// Whether such a packet is dropped.
    pub drop: bool,
}

/// A hook of the kernel's packet path; the priority is 0, `filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// To this host.
    Input,
    /// Through it.
    Forward,
    /// From it.
    Output,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// What must be true of a packet.
    pub matches: Vec<Match>,
    /// Whether packets are counted.
    pub count: bool,
    /// What happens.
    pub act: Act,
    /// Why.
    pub comment: String,
}

/// Something that is true of a packet or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// It came in by this interface.
    From(Interface),
    /// It came in by another interface than this.
    NotFrom(Interface),
    /// It goes out by this interface.
    To(Interface),
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// Its transport protocol.
    Transport(u8),
    /// It is no ICMP message of this type.
    IcmpIsNot(u8),
    /// It is no ICMPv6 message of this type.
    Icmp6IsNot(u8),
    /// Its IPv6 hop limit.
    HopLimit(u8),
    /// It is a part of an IPv4 packet.
    Fragment4,
    /// It is a part of an IPv6 packet.
    Fragment6,
    /// To 127.0.0.0/8.
    ToLoopback4,
    /// To ::1.
    ToLoopback6,
    /// How the kernel's connection tracking sees it.
    State(State),
    /// It goes against the direction in which its flow was opened.
    Reply,
    /// TCP, and not the segment that opens a connection.
    NotOpening,
    /// In a set.
    In(Vec<Load>, String),
    /// In a set not.
    NotIn(Vec<Load>, String),
    /// Sent by a process of this user.
    Owner(u32),
}

/// How connection tracking sees a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It fits no flow.
    Invalid,
    /// Of a flow that both sides have spoken in.
    Established,
    /// An error about a known flow.
    Related,
    /// The first of a flow.
    New,
}

/// What happens to a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// It passes this table.
    Accept,
    /// It is discarded.
    Drop,
    /// It is told about, five times a second at most, and goes on.
    Tell(Log),
    /// It continues in a chain.
    Goto(String),
    /// It is judged by a chain and comes back if that did not decide.
    Jump(String),
}

impl Load {
    /// Whether it is an address.
    pub const fn is_address(self) -> bool {
        matches!(self, Load::Source4 | Load::Source6 | Load::Destination4 | Load::Destination6)
    }
}

impl Ruleset {
    /// How many rules and elements it has.
    pub fn size(&self) -> (usize, usize) {
        let rules = self.chains.iter().map(|chain| chain.rules.len()).sum();
        (rules, self.sets.iter().map(|set| set.elements.len()).sum())
    }
}
