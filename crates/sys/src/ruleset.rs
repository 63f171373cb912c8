//! Whole nf_tables tables of family `inet`: any keys, sets of ranges, chains that call each other, comments. One
//! transaction replaces a table by another, or changes nothing.
//!
//! Constants are those of `include/uapi/linux/netfilter/nf_tables.h`; the meaning of expressions is in nft(8). Kernel 5.6 or
//! later (sets of boxes). What the kernel then holds is read by [`crate::snapshot`].

use std::io;
use std::net::IpAddr;

use crate::netlink::{APPEND, CREATE, Messages, Socket};
use crate::nft::Hook;

/// A table with everything in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// The table's name.
    pub table: String,
    /// Its sets, made before the chains.
    pub sets: Vec<Set>,
    /// Its chains; any may call any other.
    pub chains: Vec<Chain>,
}

/// A set and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// What a key is made of, in order.
    pub key: Vec<Field>,
    /// Whether elements are keys, or ranges of keys.
    pub kind: Kind,
    /// Its elements. Those of one field must be sorted and apart from each other.
    pub elements: Vec<Element>,
}

/// A part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// An IPv4 address.
    Address4,
    /// An IPv6 address.
    Address6,
    /// A transport protocol.
    Protocol,
    /// A port.
    Port,
    /// The type of an ICMP message.
    Icmp4,
    /// The type of an ICMPv6 message.
    Icmp6,
}

/// How a set holds its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every element is one key.
    Points,
    /// Every element is a box, from key to key; keys of two fields or more.
    Boxes,
    /// Every element is a range; keys of one field.
    Ranges,
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// Of an address.
    Address(IpAddr),
    /// Of a protocol or type.
    Number(u8),
    /// Of a port.
    Port(u16),
}

/// An element: its first and its last key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The first key.
    pub from: Vec<Value>,
    /// The last key; equal to the first in a set of points.
    pub to: Vec<Value>,
}

/// A chain; without a hook it is only called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Where it is called from.
    pub hook: Option<Hook>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// A rule: operations, and a comment that nft(8) shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it does, in order. One that does not match ends it.
    pub operations: Vec<Operation>,
    /// What it is for.
    pub comment: String,
}

/// One expression. Values are loaded to register 1 and compared there, or to registers that follow each other and looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Loads a `NFT_META_*` value.
    Meta(u32, Register),
    /// Loads bytes of a header: base (1 network, 2 transport), offset, length.
    Payload(u32, u32, u32, Register),
    /// Loads a `NFT_CT_*` value.
    Track(u32, Register),
    /// Loads whether an IPv6 extension header of this type is there.
    Extension(u8, Register),
    /// Compares register 1.
    Equal(Vec<u8>),
    /// Compares register 1, negated.
    Unequal(Vec<u8>),
    /// Keeps these bits of register 1.
    Mask(Vec<u8>),
    /// Looks the registers up in a set.
    In(String, Register),
    /// Looks the registers up in a set, negated.
    NotIn(String, Register),
    /// Counts packets and bytes.
    Count,
    /// Goes on at most so often a second, after a burst.
    Limit(u64, u32),
    /// Writes to the kernel's log, with a prefix.
    Log(String),
    /// Copies the packet to an NFLOG group, with a prefix.
    Tell(u16, String),
    /// Lets it pass this table.
    Accept,
    /// Discards it.
    Drop,
    /// Calls a chain and comes back.
    Jump(String),
    /// Continues in a chain.
    Goto(String),
}

/// A register's number: 1 is the first of 16 bytes, 8 the first of 4 bytes.
pub type Register = u32;

/// The register that values are compared in.
pub const FIRST: Register = 1;

/// `NF_INET_LOCAL_IN`.
pub const INPUT: u32 = 1;
/// `NF_INET_FORWARD`.
pub const FORWARD: u32 = 2;

impl Field {
    /// Bytes it takes in a key.
    pub const fn length(self) -> u32 {
        match self {
            Field::Address4 => 4,
            Field::Address6 => 16,
            Field::Protocol | Field::Icmp4 | Field::Icmp6 => 1,
            Field::Port => 2,
        }
    }

    /// Registers of 4 bytes it takes.
    pub const fn registers(self) -> u32 {
        self.length().div_ceil(4)
    }

    /// nft(8) prints by this.
    const fn kind(self) -> u32 {
        match self {
            Field::Address4 => 7,
            Field::Address6 => 8,
            Field::Protocol => 12,
            Field::Port => 13,
            Field::Icmp4 => 14,
            Field::Icmp6 => 29,
        }
    }
}

/// Puts this table in the place of the one of its name, if there is one: all of it, or nothing and the kernel's reason.
pub fn replace(socket: &Socket, ruleset: &Ruleset) -> io::Result<()> {
    let mut batch = Messages::new();
    edge(&mut batch, BATCH_BEGIN);
    clear(&mut batch, &ruleset.table);
    begin(&mut batch, NEWTABLE, CREATE).put_text(1, &ruleset.table);
    for (index, set) in ruleset.sets.iter().enumerate() {
        let number = u32::try_from(index.saturating_add(1)).unwrap_or(u32::MAX);
        set.encode(begin(&mut batch, NEWSET, CREATE), &ruleset.table, number);
        for part in set.elements.chunks(PART) {
            begin(&mut batch, NEWSETELEM, CREATE)
                .put_text(1, &ruleset.table)
                .put_text(2, &set.name)
                .nest(3, |list| part.iter().for_each(|element| set.kind.encode(list, element)));
        }
    }
    for chain in &ruleset.chains {
        let message = begin(&mut batch, NEWCHAIN, CREATE);
        message.put_text(1, &ruleset.table).put_text(3, &chain.name);
        if let Some(hook) = chain.hook {
            message.nest(4, |place| {
                place.put_be32(1, hook.number).put_be32(2, hook.priority.cast_unsigned());
            });
            message.put_be32(5, hook.policy.number()).put_text(7, "filter");
        }
    }
    // order: chains call each other, so all of them are there before the first rule
    for chain in &ruleset.chains {
        for rule in &chain.rules {
            begin(&mut batch, NEWRULE, CREATE | APPEND)
                .put_text(1, &ruleset.table)
                .put_text(2, &chain.name)
                .nest(4, |list| rule.operations.iter().for_each(|operation| operation.encode(list)))
                .put(7, &comment(&rule.comment));
        }
    }
    commit(socket, batch, &ruleset.table)
}

/// Removes the table of this name, if there is one.
pub fn remove(socket: &Socket, table: &str) -> io::Result<()> {
    let mut batch = Messages::new();
    edge(&mut batch, BATCH_BEGIN);
    clear(&mut batch, table);
    edge(&mut batch, BATCH_END);
    // the last message before the end was asked to acknowledge
    socket.transact(&batch, 1)
}

/// Adds the table so that it can be deleted whether it was there or not. Acknowledged, so that a batch of this alone is heard.
pub(crate) fn clear(batch: &mut Messages, table: &str) {
    begin(batch, NEWTABLE, CREATE).put_text(1, table);
    begin(batch, DELTABLE, ACKNOWLEDGE).put_text(1, table);
}

/// Ends the batch and waits for the kernel's word. The deletion is acknowledged, and so is the end: a table that is made
/// twice is no error, so a last message that changes nothing asks for it.
pub(crate) fn commit(socket: &Socket, mut batch: Messages, table: &str) -> io::Result<()> {
    begin(&mut batch, NEWTABLE, ACKNOWLEDGE | CREATE).put_text(1, table);
    edge(&mut batch, BATCH_END);
    socket.transact(&batch, 2)
}

impl Set {
    fn encode(&self, message: &mut Messages, table: &str, number: u32) {
        let kind = self.key.iter().fold(0, |kind, field| (kind << 6) | field.kind());
        let single = self.key.len() == 1;
        let length: u32 = match self.key.as_slice() {
            [only] => only.length(),
            all => all.iter().map(|field| field.registers().saturating_mul(4)).sum(),
        };
        let flags = match (self.kind, single) {
            (Kind::Points, _) => 0,
            (Kind::Ranges, _) | (Kind::Boxes, true) => 0x4,
            (Kind::Boxes, false) => 0x4 | 0x80,
        };
        message
            .put_text(1, table)
            .put_text(2, &self.name)
            .put_be32(3, flags)
            .put_be32(4, kind)
            .put_be32(5, length)
            .put_be32(10, number);
        if flags & 0x80 != 0 {
            message.nest(9, |description| {
                description.nest(2, |concat| {
                    for field in &self.key {
                        concat.nest(1, |one| {
                            one.put_be32(1, field.length());
                        });
                    }
                });
            });
        }
    }
}

impl Kind {
    fn encode(self, list: &mut Messages, element: &Element) {
        let one = |list: &mut Messages, key: &[u8], flags: u32, last: Option<&[u8]>| {
            list.nest(1, |item| {
                item.nest(1, |data| {
                    data.put(1, key);
                });
                if flags != 0 {
                    item.put_be32(3, flags);
                }
                if let Some(last) = last {
                    item.nest(10, |data| {
                        data.put(1, last);
                    });
                }
            });
        };
        match self {
            Kind::Points => one(list, &key(&element.from), 0, None),
            Kind::Boxes => one(list, &key(&element.from), 0, Some(&key(&element.to))),
            Kind::Ranges => {
                one(list, &key(&element.from), 0, None);
                // a range that ends with the last value of all has no end
                if let Some(end) = after(&key(&element.to)) {
                    one(list, &end, 1, None);
                }
            }
        }
    }
}

/// The bytes of a key: one field as it is, several padded to registers.
fn key(values: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        match value {
            Value::Address(IpAddr::V4(address)) => bytes.extend_from_slice(&address.octets()),
            Value::Address(IpAddr::V6(address)) => bytes.extend_from_slice(&address.octets()),
            Value::Number(number) => bytes.push(*number),
            Value::Port(port) => bytes.extend_from_slice(&port.to_be_bytes()),
        }
        while values.len() > 1 && !bytes.len().is_multiple_of(4) {
            bytes.push(0);
        }
    }
    bytes
}

/// The number after this one, both big-endian; `None` after the last.
fn after(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut next = bytes.to_vec();
    for byte in next.iter_mut().rev() {
        let (sum, over) = byte.overflowing_add(1);
        *byte = sum;
        if !over {
            return Some(next);
        }
    }
    None
}

impl Operation {
    fn encode(&self, list: &mut Messages) {
        let compare = |list: &mut Messages, how: u32, value: &[u8]| {
            element(list, "cmp", |data| {
                data.put_be32(1, FIRST).put_be32(2, how).nest(3, |inner| {
                    inner.put(1, value);
                });
            });
        };
        let lookup = |list: &mut Messages, set: &str, register: u32, flags: u32| {
            element(list, "lookup", |data| {
                data.put_text(1, set).put_be32(2, register);
                if flags != 0 {
                    data.put_be32(5, flags);
                }
            });
        };
        match self {
            Operation::Meta(what, register) => element(list, "meta", |data| {
                data.put_be32(1, *register).put_be32(2, *what);
            }),
            Operation::Payload(base, offset, length, register) => element(list, "payload", |data| {
                data.put_be32(1, *register).put_be32(2, *base).put_be32(3, *offset).put_be32(4, *length);
            }),
            Operation::Track(what, register) => element(list, "ct", |data| {
                data.put_be32(1, *register).put_be32(2, *what);
            }),
            Operation::Extension(kind, register) => element(list, "exthdr", |data| {
                // NFT_EXTHDR_F_PRESENT, NFT_EXTHDR_OP_IPV6
                data.put_be32(1, *register)
                    .put(2, &[*kind])
                    .put_be32(3, 0)
                    .put_be32(4, 1)
                    .put_be32(5, 1)
                    .put_be32(6, 0);
            }),
            Operation::Equal(value) => compare(list, 0, value),
            Operation::Unequal(value) => compare(list, 1, value),
            Operation::Mask(mask) => element(list, "bitwise", |data| {
                let length = u32::try_from(mask.len()).unwrap_or_default();
                data.put_be32(1, FIRST).put_be32(2, FIRST).put_be32(3, length);
                data.nest(4, |inner| {
                    inner.put(1, mask);
                });
                data.nest(5, |inner| {
                    inner.put(1, &vec![0; mask.len()]);
                });
            }),
            Operation::In(set, register) => lookup(list, set, *register, 0),
            Operation::NotIn(set, register) => lookup(list, set, *register, 1),
            Operation::Count => element(list, "counter", |data| {
                data.put(1, &[0; 8]).put(2, &[0; 8]);
            }),
            Operation::Limit(rate, burst) => element(list, "limit", |data| {
                data.put(1, &rate.to_be_bytes()).put(2, &1u64.to_be_bytes()).put_be32(3, *burst);
                data.put_be32(4, 0).put_be32(5, 0);
            }),
            Operation::Log(prefix) => element(list, "log", |data| {
                data.put_text(2, prefix);
            }),
            Operation::Tell(group, prefix) => element(list, "log", |data| {
                data.put(1, &group.to_be_bytes()).put_text(2, prefix).put_be32(3, 128);
            }),
            Operation::Accept => verdict(list, 1, None),
            Operation::Drop => verdict(list, 0, None),
            Operation::Jump(chain) => verdict(list, (-3i32).cast_unsigned(), Some(chain)),
            Operation::Goto(chain) => verdict(list, (-4i32).cast_unsigned(), Some(chain)),
        }
    }
}

fn element(list: &mut Messages, name: &str, fill: impl FnOnce(&mut Messages)) {
    list.nest(1, |item| {
        item.put_text(1, name).nest(2, fill);
    });
}

fn verdict(list: &mut Messages, code: u32, chain: Option<&str>) {
    element(list, "immediate", |data| {
        data.put_be32(1, 0).nest(2, |inner| {
            inner.nest(2, |verdict| {
                verdict.put_be32(1, code);
                if let Some(chain) = chain {
                    verdict.put_text(2, chain);
                }
            });
        });
    });
}

/// A comment as nft(8) keeps it in a rule's user data: type 0, length, text with its NUL; at most 128 bytes.
fn comment(text: &str) -> Vec<u8> {
    let mut end = text.len().min(120);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let text = text.as_bytes().get(..end).unwrap_or_default();
    let length = u8::try_from(text.len().saturating_add(1)).unwrap_or_default();
    [&[0, length], text, &[0]].concat()
}

/// The comment in a rule's user data.
pub(crate) fn comment_of(data: &[u8]) -> String {
    let text = match data {
        [0, length, rest @ ..] => rest.get(..usize::from(*length)).unwrap_or(rest),
        _ => &[],
    };
    String::from_utf8_lossy(text).trim_end_matches('\0').to_owned()
}

pub(crate) fn begin(batch: &mut Messages, kind: u16, flags: u16) -> &mut Messages {
    batch.begin((SUBSYSTEM << 8) | kind, REQUEST | flags, &[INET, 0, 0, 0])
}

pub(crate) fn edge(batch: &mut Messages, kind: u16) {
    batch.begin(kind, REQUEST, &[0, 0, 0, 10]);
}

/// Elements of one message: an attribute's length is 16 bits wide.
const PART: usize = 500;
const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
pub(crate) const SUBSYSTEM: u16 = 10;
pub(crate) const INET: u8 = 1;
pub(crate) const BATCH_BEGIN: u16 = 0x10;
pub(crate) const BATCH_END: u16 = 0x11;
pub(crate) const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
pub(crate) const NEWCHAIN: u16 = 3;
pub(crate) const NEWRULE: u16 = 6;
pub(crate) const NEWSET: u16 = 9;
pub(crate) const NEWSETELEM: u16 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_after_the_last_does_not_exist() {
        assert_eq!(after(&[0, 255]), Some(vec![1, 0]));
        assert_eq!(after(&[255, 255]), None);
    }

    #[test]
    fn a_comment_is_read_as_it_was_written_and_cut_between_characters() {
        assert_eq!(comment_of(&comment("wall")), "wall");
        let long = "é".repeat(200);
        assert_eq!(comment_of(&comment(&long)), "é".repeat(60));
        assert_eq!(comment_of(&[]), "");
        assert_eq!(comment_of(&[0, 255, b'a']), "a");
    }
}
