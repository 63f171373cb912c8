//! nf_tables over netlink: a table with its sets, chains and rules in one transaction, and what the kernel then holds.
//!
//! Constants are those of `include/uapi/linux/netfilter/nf_tables.h`; the meaning of expressions is in nft(8). No helper
//! binary is run.

use std::io;
use std::net::IpAddr;

use crate::netlink::{APPEND, CREATE, Messages, REQUEST_ACK, REQUEST_DUMP, Socket, attribute, attributes};

/// A table of family `inet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its sets, made before the chains.
    pub sets: Vec<Set>,
    /// Its chains, in order: a chain that another jumps to comes first.
    pub chains: Vec<Chain>,
}

/// A set keyed by address, transport protocol and destination port, in that order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// IPv4 or IPv6 addresses.
    pub family: Family,
    /// Whether elements are ranges (pipapo) rather than points (hash).
    pub ranges: Ranges,
}

/// Points or ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranges {
    /// Every element is one key.
    Points,
    /// Every element is a box: from key to key.
    Boxes,
}

/// An address family of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A chain; without a hook it is only jumped to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Where it is called from.
    pub hook: Option<Hook>,
    /// Its rules, in order.
    pub rules: Vec<Vec<Expression>>,
}

/// Where a base chain sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// `NF_INET_*`.
    pub number: u32,
    /// Its place among chains of that hook.
    pub priority: i32,
    /// What happens to a packet that no rule decided.
    pub policy: Verdict,
}

/// `NF_INET_PRE_ROUTING`.
pub const PREROUTING: u32 = 0;
/// `NF_INET_LOCAL_OUT`.
pub const OUTPUT: u32 = 3;

/// What a rule or a policy says.
#[derive(Debug, Clone, PartialEq, Eq, Copy)]
pub enum Verdict {
    /// Let it pass.
    Accept,
    /// Discard it silently.
    Drop,
}

/// One expression of a rule. Registers: 1 for the first value, and 32-bit registers from 8 up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// Loads the packet's network protocol (`meta nfproto`) and compares.
    NetworkIs(Family),
    /// Loads the transport protocol (`meta l4proto`) and compares.
    TransportIs(u8),
    /// Compares the destination address.
    DestinationIs(IpAddr),
    /// Compares the destination address, negated.
    DestinationIsNot(IpAddr),
    /// `ip daddr 127.0.0.0/8`.
    DestinationIsLoopback4,
    /// `ip daddr != 127.0.0.0/8`.
    DestinationIsNotLoopback4,
    /// Compares the transport destination port.
    PortIs(u16),
    /// Compares the transport destination port, negated.
    PortIsNot(u16),
    /// `tcp flags & (fin|syn|rst|ack) == syn`.
    OpensConnection,
    /// Looks (address, protocol, port) up in the named set.
    In(String, Family),
    /// Copies the packet's head to an NFLOG group.
    Log(u16),
    /// Refuses a TCP segment with a reset.
    Reset,
    /// Refuses anything else with "port unreachable".
    Unreachable,
    /// Hands the connection to the transparent socket at this address and port.
    Tproxy(IpAddr, u16),
    /// Continues in the named chain and does not come back.
    Goto(String),
    /// Ends with a verdict.
    End(Verdict),
}

/// A set element: a key and, in a set of boxes, the far corner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// First address.
    pub from: IpAddr,
    /// Last address.
    pub to: IpAddr,
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    pub transport: u8,
    /// First and last port.
    pub ports: (u16, u16),
}

/// Installs the table in one transaction: all of it, or nothing and the kernel's reason.
pub fn install(socket: &Socket, table: &Table) -> io::Result<()> {
    let mut batch = Messages::new();
    let mut acknowledged = 0u32;
    edge(&mut batch, BATCH_BEGIN);
    begin(&mut batch, NEWTABLE, REQUEST_ACK | CREATE, &mut acknowledged).put_text(1, &table.name);
    for (index, set) in table.sets.iter().enumerate() {
        begin(&mut batch, NEWSET, REQUEST_ACK | CREATE, &mut acknowledged);
        set.encode(&mut batch, &table.name, u32::try_from(index.saturating_add(1)).unwrap_or(u32::MAX));
    }
    for chain in &table.chains {
        begin(&mut batch, NEWCHAIN, REQUEST_ACK | CREATE, &mut acknowledged);
        chain.encode(&mut batch, &table.name);
        for rule in &chain.rules {
            begin(&mut batch, NEWRULE, REQUEST_ACK | CREATE | APPEND, &mut acknowledged)
                .put_text(1, &table.name)
                .put_text(2, &chain.name)
                .nest(4, |list| rule.iter().for_each(|expression| expression.encode(list)));
        }
    }
    edge(&mut batch, BATCH_END);
    socket.transact(&batch, acknowledged)
}

/// Adds elements to a set, in one transaction.
pub fn add(socket: &Socket, table: &str, set: &Set, elements: &[Element]) -> io::Result<()> {
    // An attribute's length is 16 bits wide: a long list travels in several messages of the one transaction.
    let mut batch = Messages::new();
    let mut acknowledged = 0u32;
    edge(&mut batch, BATCH_BEGIN);
    for part in elements.chunks(500) {
        begin(&mut batch, NEWSETELEM, REQUEST_ACK | CREATE, &mut acknowledged)
            .put_text(1, table)
            .put_text(2, &set.name)
            .nest(3, |list| part.iter().for_each(|element| element.encode(list, set.ranges)));
    }
    edge(&mut batch, BATCH_END);
    socket.transact(&batch, acknowledged)
}

/// Replaces the elements of sets in one transaction: no packet sees a set half filled.
pub fn replace(socket: &Socket, table: &str, sets: &[(Set, Vec<Element>)]) -> io::Result<()> {
    let mut batch = Messages::new();
    let mut acknowledged = 0u32;
    edge(&mut batch, BATCH_BEGIN);
    for (set, elements) in sets {
        begin(&mut batch, DELSETELEM, REQUEST_ACK, &mut acknowledged)
            .put_text(1, table)
            .put_text(2, &set.name);
        for part in elements.chunks(500) {
            begin(&mut batch, NEWSETELEM, REQUEST_ACK | CREATE, &mut acknowledged)
                .put_text(1, table)
                .put_text(2, &set.name)
                .nest(3, |list| part.iter().for_each(|element| element.encode(list, set.ranges)));
        }
    }
    edge(&mut batch, BATCH_END);
    socket.transact(&batch, acknowledged)
}

/// What the kernel says it holds: chain name, hook, priority, policy, and the expression names of each rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Every base or plain chain of every table: (table, chain, hook and policy if any).
    pub chains: Vec<(String, String, Option<Hook>)>,
    /// Every rule, in order: (table, chain, expression names).
    pub rules: Vec<(String, String, Vec<String>)>,
    /// Every set: (table, set).
    pub sets: Vec<(String, String)>,
}

/// Reads every `inet` table of this network namespace back.
pub fn list(socket: &Socket) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let text = |body: &[u8], kind| {
        attribute(body, kind)
            .map(|value| String::from_utf8_lossy(value).trim_end_matches('\0').to_owned())
            .unwrap_or_default()
    };
    let ask = |kind: u16| {
        let mut request = Messages::new();
        request.begin((SUBSYSTEM << 8) | kind, REQUEST_DUMP, &[INET, 0, 0, 0]);
        request
    };
    socket.dump(&ask(GETCHAIN), |message| {
        let body = message.body.get(4..).unwrap_or_default();
        let hook = attribute(body, 4).map(|hook| Hook {
            number: be32(attribute(hook, 1)),
            priority: be32(attribute(hook, 2)).cast_signed(),
            policy: if be32(attribute(body, 5)) == 1 { Verdict::Accept } else { Verdict::Drop },
        });
        listing.chains.push((text(body, 1), text(body, 3), hook));
    })?;
    socket.dump(&ask(GETRULE), |message| {
        let body = message.body.get(4..).unwrap_or_default();
        let names =
            attributes(attribute(body, 4).unwrap_or_default()).map(|(_, item)| text(item, 1)).collect();
        listing.rules.push((text(body, 1), text(body, 2), names));
    })?;
    socket.dump(&ask(GETSET), |message| {
        let body = message.body.get(4..).unwrap_or_default();
        listing.sets.push((text(body, 1), text(body, 2)));
    })?;
    Ok(listing)
}

/// A base chain of any family and owner, as far as it says what happens to a packet that no condition meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseChain {
    /// `NFPROTO_*`: 1 `inet`, 2 `ip`, 3 `arp`, 5 `netdev`, 7 `bridge`, 10 `ip6`.
    pub family: u8,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// `filter`, `nat` or `route`.
    pub kind: String,
    /// `NF_INET_*`.
    pub hook: u32,
    /// What happens at its end.
    pub policy: Verdict,
    /// How many rules it has.
    pub rules: u32,
    /// The first rule without a condition that decides.
    pub decided: Option<Verdict>,
    /// Whether its table is switched off (`flags dormant`): then the chain sees no packet.
    pub dormant: bool,
}

/// Every base chain of every family in this network namespace (nft(8), "list chains"); needs `CAP_NET_ADMIN`.
pub fn survey(socket: &Socket) -> io::Result<Vec<BaseChain>> {
    let text = |body: &[u8], kind| {
        attribute(body, kind)
            .map(|value| String::from_utf8_lossy(value).trim_end_matches('\0').to_owned())
            .unwrap_or_default()
    };
    // NFPROTO_UNSPEC: every family
    let ask = |kind: u16| {
        let mut request = Messages::new();
        request.begin((SUBSYSTEM << 8) | kind, REQUEST_DUMP, &[0, 0, 0, 0]);
        request
    };
    let mut dormant: Vec<(Option<u8>, String)> = Vec::new();
    socket.dump(&ask(GETTABLE), |message| {
        let body = message.body.get(4..).unwrap_or_default();
        if attribute(body, 2).is_some_and(|flags| be32(Some(flags)) & DORMANT != 0) {
            dormant.push((message.body.first().copied(), text(body, 1)));
        }
    })?;
    let mut chains: Vec<BaseChain> = Vec::new();
    socket.dump(&ask(GETCHAIN), |message| {
        let body = message.body.get(4..).unwrap_or_default();
        if let Some(hook) = attribute(body, 4) {
            chains.push(BaseChain {
                family: message.body.first().copied().unwrap_or_default(),
                table: text(body, 1),
                name: text(body, 3),
                kind: text(body, 7),
                hook: be32(attribute(hook, 1)),
                policy: if be32(attribute(body, 5)) == 1 { Verdict::Accept } else { Verdict::Drop },
                rules: 0,
                decided: None,
                dormant: dormant.contains(&(message.body.first().copied(), text(body, 1))),
            });
        }
    })?;
    socket.dump(&ask(GETRULE), |message| {
        let body = message.body.get(4..).unwrap_or_default();
        let (family, table, name) = (message.body.first().copied(), text(body, 1), text(body, 2));
        let chain = chains
            .iter_mut()
            .find(|chain| Some(chain.family) == family && chain.table == table && chain.name == name);
        if let Some(chain) = chain {
            chain.rules = chain.rules.saturating_add(1);
            chain.decided = chain.decided.or_else(|| unconditional(attribute(body, 4).unwrap_or_default()));
        }
    })?;
    Ok(chains)
}

/// The verdict of a rule that asks nothing: only counters and logs before it.
fn unconditional(expressions: &[u8]) -> Option<Verdict> {
    for (_, item) in attributes(expressions) {
        let name = attribute(item, 1).unwrap_or_default();
        match name.strip_suffix(&[0]).unwrap_or(name) {
            b"counter" | b"log" => {}
            b"reject" => return Some(Verdict::Drop),
            b"immediate" => {
                // NFTA_IMMEDIATE_DATA (2), NFTA_DATA_VERDICT (2), NFTA_VERDICT_CODE (1)
                let verdict = attribute(attribute(attribute(item, 2)?, 2)?, 2)?;
                return match be32(Some(attribute(verdict, 1)?)) {
                    0 => Some(Verdict::Drop),
                    1 => Some(Verdict::Accept),
                    _ => None,
                };
            }
            _ => return None,
        }
    }
    None
}

impl Table {
    /// What `list` must answer once this table, and nothing else, is installed.
    pub fn listing(&self) -> Listing {
        let mut listing = Listing::default();
        for chain in &self.chains {
            listing.chains.push((self.name.clone(), chain.name.clone(), chain.hook));
            for rule in &chain.rules {
                let names =
                    rule.iter().flat_map(|expression| expression.names()).map(|name| (*name).to_owned());
                listing.rules.push((self.name.clone(), chain.name.clone(), names.collect()));
            }
        }
        listing.sets = self.sets.iter().map(|set| (self.name.clone(), set.name.clone())).collect();
        listing
    }
}

impl Set {
    fn encode(&self, batch: &mut Messages, table: &str, id: u32) {
        let (address_type, address_length) = match self.family {
            Family::V4 => (7, 4),
            Family::V6 => (8, 16),
        };
        let boxes = self.ranges == Ranges::Boxes;
        batch
            .put_text(1, table)
            .put_text(2, &self.name)
            .put_be32(3, if boxes { 0x4 | 0x80 } else { 0 })
            // nft(8) prints by this: address . inet_proto . inet_service, six bits each
            .put_be32(4, (address_type << 12) | (12 << 6) | 13)
            .put_be32(5, address_length + 8)
            .put_be32(10, id);
        if boxes {
            batch.nest(9, |description| {
                description.nest(2, |concat| {
                    for length in [address_length, 1, 2] {
                        concat.nest(1, |field| {
                            field.put_be32(1, length);
                        });
                    }
                });
            });
        }
    }
}

impl Chain {
    fn encode(&self, batch: &mut Messages, table: &str) {
        batch.put_text(1, table).put_text(3, &self.name);
        if let Some(hook) = self.hook {
            batch.nest(4, |place| {
                place.put_be32(1, hook.number).put_be32(2, hook.priority.cast_unsigned());
            });
            batch.put_be32(5, hook.policy.number()).put_text(7, "filter");
        }
    }
}

impl Element {
    fn encode(&self, list: &mut Messages, ranges: Ranges) {
        let key = |address: IpAddr, port: u16| {
            let mut key = octets(address);
            key.extend_from_slice(&[self.transport, 0, 0, 0]);
            key.extend_from_slice(&port.to_be_bytes());
            key.extend_from_slice(&[0, 0]);
            key
        };
        list.nest(1, |element| {
            element.nest(1, |data| {
                data.put(1, &key(self.from, self.ports.0));
            });
            if ranges == Ranges::Boxes {
                element.nest(10, |data| {
                    data.put(1, &key(self.to, self.ports.1));
                });
            }
        });
    }
}

impl Verdict {
    pub(crate) fn number(self) -> u32 {
        match self {
            Verdict::Accept => 1,
            Verdict::Drop => 0,
        }
    }
}

impl Expression {
    fn encode(&self, list: &mut Messages) {
        match self {
            Expression::NetworkIs(family) => {
                meta(list, 15, 1);
                compare(list, Operator::Equal, &[family.number()]);
            }
            Expression::TransportIs(protocol) => {
                meta(list, 16, 1);
                compare(list, Operator::Equal, &[*protocol]);
            }
            Expression::DestinationIs(address) => {
                destination(list, Family::of(*address));
                compare(list, Operator::Equal, &octets(*address));
            }
            Expression::DestinationIsNot(address) => {
                destination(list, Family::of(*address));
                compare(list, Operator::Unequal, &octets(*address));
            }
            Expression::DestinationIsLoopback4 => {
                payload(list, 1, 16, 1, 1);
                compare(list, Operator::Equal, &[127]);
            }
            Expression::DestinationIsNotLoopback4 => {
                payload(list, 1, 16, 1, 1);
                compare(list, Operator::Unequal, &[127]);
            }
            Expression::PortIs(port) => {
                payload(list, 2, 2, 2, 1);
                compare(list, Operator::Equal, &port.to_be_bytes());
            }
            Expression::PortIsNot(port) => {
                payload(list, 2, 2, 2, 1);
                compare(list, Operator::Unequal, &port.to_be_bytes());
            }
            Expression::OpensConnection => {
                payload(list, 2, 13, 1, 1);
                element(list, "bitwise", |data| {
                    data.put_be32(1, 1).put_be32(2, 1).put_be32(3, 1);
                    data.nest(4, |mask| {
                        mask.put(1, &[0x17]);
                    });
                    data.nest(5, |xor| {
                        xor.put(1, &[0]);
                    });
                });
                compare(list, Operator::Equal, &[0x02]);
            }
            Expression::In(set, family) => {
                destination(list, *family);
                let next = match family {
                    Family::V4 => 9,
                    Family::V6 => 12,
                };
                meta(list, 16, next);
                payload(list, 2, 2, 2, next + 1);
                element(list, "lookup", |data| {
                    data.put_text(1, set).put_be32(2, 1);
                });
            }
            Expression::Log(group) => element(list, "log", |data| {
                data.put(1, &group.to_be_bytes()).put_be32(3, 128);
            }),
            Expression::Reset => element(list, "reject", |data| {
                data.put_be32(1, 1).put(2, &[0]);
            }),
            Expression::Unreachable => element(list, "reject", |data| {
                data.put_be32(1, 2).put(2, &[1]);
            }),
            Expression::Tproxy(address, port) => {
                immediate(list, 1, &octets(*address));
                immediate(list, 2, &port.to_be_bytes());
                element(list, "tproxy", |data| {
                    data.put_be32(1, u32::from(Family::of(*address).number())).put_be32(2, 1).put_be32(3, 2);
                });
            }
            Expression::Goto(chain) => verdict(list, (-4i32).cast_unsigned(), Some(chain)),
            Expression::End(end) => verdict(list, end.number(), None),
        }
    }

    /// The kernel's names of what `encode` writes, to compare with what it lists.
    fn names(&self) -> &'static [&'static str] {
        match self {
            Expression::NetworkIs(_) | Expression::TransportIs(_) => &["meta", "cmp"],
            Expression::DestinationIs(_)
            | Expression::DestinationIsNot(_)
            | Expression::DestinationIsLoopback4
            | Expression::DestinationIsNotLoopback4
            | Expression::PortIs(_)
            | Expression::PortIsNot(_) => &["payload", "cmp"],
            Expression::OpensConnection => &["payload", "bitwise", "cmp"],
            Expression::In(..) => &["payload", "meta", "payload", "lookup"],
            Expression::Log(_) => &["log"],
            Expression::Reset | Expression::Unreachable => &["reject"],
            Expression::Tproxy(..) => &["immediate", "immediate", "tproxy"],
            Expression::Goto(_) | Expression::End(_) => &["immediate"],
        }
    }
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`.
    fn number(self) -> u8 {
        match self {
            Family::V4 => 2,
            Family::V6 => 10,
        }
    }
}

#[derive(Clone, Copy)]
enum Operator {
    Equal,
    Unequal,
}

fn element(list: &mut Messages, name: &str, fill: impl FnOnce(&mut Messages)) {
    list.nest(1, |item| {
        item.put_text(1, name).nest(2, fill);
    });
}

fn meta(list: &mut Messages, key: u32, register: u32) {
    element(list, "meta", |data| {
        data.put_be32(1, register).put_be32(2, key);
    });
}

fn payload(list: &mut Messages, base: u32, offset: u32, length: u32, register: u32) {
    element(list, "payload", |data| {
        data.put_be32(1, register).put_be32(2, base).put_be32(3, offset).put_be32(4, length);
    });
}

/// RFC 791: the destination is bytes 16 to 19 of the header; RFC 8200: bytes 24 to 39.
fn destination(list: &mut Messages, family: Family) {
    match family {
        Family::V4 => payload(list, 1, 16, 4, 1),
        Family::V6 => payload(list, 1, 24, 16, 1),
    }
}

fn compare(list: &mut Messages, operator: Operator, value: &[u8]) {
    element(list, "cmp", |data| {
        data.put_be32(1, 1).put_be32(2, u32::from(matches!(operator, Operator::Unequal)));
        data.nest(3, |inner| {
            inner.put(1, value);
        });
    });
}

fn immediate(list: &mut Messages, register: u32, value: &[u8]) {
    element(list, "immediate", |data| {
        data.put_be32(1, register);
        data.nest(2, |inner| {
            inner.put(1, value);
        });
    });
}

fn verdict(list: &mut Messages, code: u32, chain: Option<&str>) {
    element(list, "immediate", |data| {
        data.put_be32(1, 0);
        data.nest(2, |inner| {
            inner.nest(2, |verdict| {
                verdict.put_be32(1, code);
                if let Some(chain) = chain {
                    verdict.put_text(2, chain);
                }
            });
        });
    });
}

fn begin<'a>(batch: &'a mut Messages, kind: u16, flags: u16, acknowledged: &mut u32) -> &'a mut Messages {
    *acknowledged = acknowledged.saturating_add(1);
    batch.begin((SUBSYSTEM << 8) | kind, flags, &[INET, 0, 0, 0])
}

fn edge(batch: &mut Messages, kind: u16) {
    batch.begin(kind, 1, &[0, 0, 0, 10]);
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn be32(value: Option<&[u8]>) -> u32 {
    value.and_then(|value| value.try_into().ok()).map(u32::from_be_bytes).unwrap_or_default()
}

const SUBSYSTEM: u16 = 10;
const INET: u8 = 1;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = 0;
const NEWCHAIN: u16 = 3;
/// `NFT_TABLE_F_DORMANT`.
const DORMANT: u32 = 1;
const GETTABLE: u16 = 1;
const GETCHAIN: u16 = 4;
const NEWRULE: u16 = 6;
const GETRULE: u16 = 7;
const NEWSET: u16 = 9;
const GETSET: u16 = 10;
const NEWSETELEM: u16 = 12;
const DELSETELEM: u16 = 14;
