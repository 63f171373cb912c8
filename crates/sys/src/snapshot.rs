//! What nf_tables holds: one table of family `inet` to the last byte, to be compared and put back; and where the base chains
//! of everybody else sit.
//!
//! Two snapshots are equal if the kernel says the same of both. So a declared table is compared with a held one by installing
//! it in a network namespace that nothing is connected to, and reading both back.

use std::collections::BTreeMap;
use std::io;

use crate::netlink::{APPEND, CREATE, Messages, REQUEST_DUMP, Socket, attribute, attributes, entries};
use crate::nft::{Hook, Verdict};
use crate::ruleset::{
    BATCH_BEGIN, INET, NEWCHAIN, NEWRULE, NEWSET, NEWSETELEM, NEWTABLE, SUBSYSTEM, begin, clear, comment_of,
    commit, edge, remove,
};

/// A table as the kernel tells it, without what changes by itself (counters) and what is given anew (handles).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The table's own attributes; `None` if there is no such table.
    pub table: Option<Vec<u8>>,
    /// Its chains by name, in the order they were made.
    pub chains: Vec<(String, Vec<u8>)>,
    /// Its sets by name, with their elements.
    pub sets: Vec<(String, HeldSet)>,
    /// Its rules by chain, in order.
    pub rules: Vec<(String, HeldRule)>,
    /// Objects and flow tables in it, by name: Claw makes none.
    pub others: Vec<String>,
}

/// A set as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeldSet {
    /// Its attributes.
    pub attributes: Vec<u8>,
    /// Its elements, sorted.
    pub elements: Vec<Vec<u8>>,
}

/// A rule as the kernel tells it.
#[derive(Debug, Clone, Default)]
pub struct HeldRule {
    /// Its expressions.
    pub attributes: Vec<u8>,
    /// Its comment.
    pub comment: String,
    /// Packets it counted.
    pub packets: u64,
}

impl PartialEq for HeldRule {
    fn eq(&self, other: &HeldRule) -> bool {
        self.attributes == other.attributes && self.comment == other.comment
    }
}

impl Eq for HeldRule {}

/// A base chain of any family and table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// `NFPROTO_*`.
    pub family: u8,
    /// Its table.
    pub table: String,
    /// Its name.
    pub chain: String,
    /// `filter`, `nat` or `route`.
    pub kind: String,
    /// Where it sits.
    pub hook: Hook,
    /// Rules of its table that drop or reject.
    pub refusing: u64,
}

/// Everything but our own table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Foreign {
    /// Base chains.
    pub bases: Vec<Base>,
    /// Flow tables (family, table, name): what they accelerate passes no forward chain.
    pub flows: Vec<(u8, String, String)>,
}

/// Reads the table of this name. While others change rules the kernel's answer may be torn: it is asked again.
pub fn take(socket: &Socket, table: &str) -> io::Result<Snapshot> {
    for _ in 0..ATTEMPTS {
        let before = generation(socket)?;
        let snapshot = read(socket, table);
        if generation(socket)? == before {
            return snapshot;
        }
    }
    Err(io::Error::other("the rules change faster than they can be read"))
}

/// The generation of all rules of this network namespace: it changes with every change.
pub fn generation(socket: &Socket) -> io::Result<u32> {
    let mut request = Messages::new();
    request.begin((SUBSYSTEM << 8) | GETGEN, 1, &[0, 0, 0, 0]);
    socket.send(&request)?;
    let mut buffer = [0u8; 4096];
    let datagram = socket.receive(&mut buffer, 0)?;
    let message =
        crate::netlink::messages(datagram).next().ok_or_else(|| io::Error::other("no generation"))?;
    if i32::from(message.kind) == libc::NLMSG_ERROR {
        let code = crate::u32_at(message.body, 0).map(u32::cast_signed).unwrap_or(-libc::EPROTO);
        return Err(io::Error::from_raw_os_error(code.saturating_neg()));
    }
    Ok(be32(attribute(message.body.get(4..).unwrap_or_default(), 1)))
}

/// Puts the table back as it was taken, in one transaction; a table that was not there is removed.
pub fn restore(socket: &Socket, table: &str, snapshot: &Snapshot) -> io::Result<()> {
    let Some(own) = &snapshot.table else { return remove(socket, table) };
    let mut batch = Messages::new();
    edge(&mut batch, BATCH_BEGIN);
    clear(&mut batch, table);
    copy(begin(&mut batch, NEWTABLE, CREATE), own);
    for (index, (name, set)) in snapshot.sets.iter().enumerate() {
        let number = u32::try_from(index.saturating_add(1)).unwrap_or(u32::MAX);
        copy(begin(&mut batch, NEWSET, CREATE), &set.attributes).put_be32(10, number);
        for part in set.elements.chunks(400) {
            begin(&mut batch, NEWSETELEM, CREATE).put_text(1, table).put_text(2, name).nest(3, |list| {
                for element in part {
                    list.nest(1, |item| {
                        copy(item, element);
                    });
                }
            });
        }
    }
    for (_, chain) in &snapshot.chains {
        copy(begin(&mut batch, NEWCHAIN, CREATE), chain);
    }
    for (_, rule) in &snapshot.rules {
        copy(begin(&mut batch, NEWRULE, CREATE | APPEND), &rule.attributes);
    }
    commit(socket, batch, table)
}

/// Where everybody else's base chains sit.
pub fn foreign(socket: &Socket, own: &str) -> io::Result<Foreign> {
    let mut refusing: BTreeMap<(u8, String), u64> = BTreeMap::new();
    ask(socket, GETRULE, 0, |family, body| {
        let drops = attributes(attribute(body, 4).unwrap_or_default()).any(|(_, item)| refuses(item));
        if drops {
            let count = refusing.entry((family, text(body, 1))).or_default();
            *count = count.saturating_add(1);
        }
    })?;
    let mut found = Foreign::default();
    ask(socket, GETCHAIN, 0, |family, body| {
        let Some(hook) = attribute(body, 4) else { return };
        let table = text(body, 1);
        if family == INET && table == own {
            return;
        }
        let hook = Hook {
            number: be32(attribute(hook, 1)),
            priority: be32(attribute(hook, 2)).cast_signed(),
            policy: if be32(attribute(body, 5)) == 1 { Verdict::Accept } else { Verdict::Drop },
        };
        let refusing = refusing.get(&(family, table.clone())).copied().unwrap_or_default();
        found.bases.push(Base { family, chain: text(body, 3), kind: text(body, 7), table, hook, refusing });
    })?;
    // a kernel without flow tables has none
    let _ = ask(socket, GETFLOWTABLE, 0, |family, body| {
        found.flows.push((family, text(body, 1), text(body, 2)));
    });
    Ok(found)
}

/// Whether an expression ends with a refusal.
fn refuses(item: &[u8]) -> bool {
    match text(item, 1).as_str() {
        "reject" => true,
        "immediate" => {
            let verdict = attribute(item, 2).and_then(|data| attribute(data, 2));
            let verdict = verdict.and_then(|data| attribute(data, 2));
            verdict.is_some_and(|verdict| attribute(verdict, 1).is_some_and(|code| code == [0; 4]))
        }
        _ => false,
    }
}

fn read(socket: &Socket, table: &str) -> io::Result<Snapshot> {
    let mut snapshot = Snapshot::default();
    ask(socket, GETTABLE, INET, |_, body| {
        if text(body, 1) == table {
            snapshot.table = Some(keep(body, &[1, 2, 6]));
        }
    })?;
    if snapshot.table.is_none() {
        return Ok(snapshot);
    }
    ask(socket, GETCHAIN, INET, |_, body| {
        if text(body, 1) == table {
            snapshot.chains.push((text(body, 3), keep(body, &[1, 3, 4, 5, 7, 10, 12])));
        }
    })?;
    ask(socket, GETSET, INET, |_, body| {
        if text(body, 1) == table {
            let attributes = keep(body, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 17, 18]);
            snapshot.sets.push((text(body, 2), HeldSet { attributes, elements: Vec::new() }));
        }
    })?;
    ask(socket, GETRULE, INET, |_, body| {
        if text(body, 1) == table {
            let (attributes, packets) = rule(body);
            let comment = attribute(body, 7).map(comment_of).unwrap_or_default();
            snapshot.rules.push((text(body, 2), HeldRule { attributes, comment, packets }));
        }
    })?;
    for (name, set) in &mut snapshot.sets {
        let mut request = Messages::new();
        request
            .begin((SUBSYSTEM << 8) | GETSETELEM, REQUEST_DUMP, &[INET, 0, 0, 0])
            .put_text(1, table)
            .put_text(2, name);
        socket.dump(&request, |message| {
            let body = message.body.get(4..).unwrap_or_default();
            let items = attributes(attribute(body, 3).unwrap_or_default());
            set.elements.extend(items.map(|(_, item)| keep(item, &[1, 2, 3, 4, 6, 10])));
        })?;
        set.elements.sort();
    }
    let others = &mut snapshot.others;
    let _ = ask(socket, GETOBJ, INET, |_, body| {
        if text(body, 1) == table {
            others.push(text(body, 2));
        }
    });
    let _ = ask(socket, GETFLOWTABLE, INET, |_, body| {
        if text(body, 1) == table {
            others.push(text(body, 2));
        }
    });
    Ok(snapshot)
}

/// A rule's attributes with its counters at zero, and what they counted.
fn rule(body: &[u8]) -> (Vec<u8>, u64) {
    let mut packets = 0;
    let mut kept = Messages::new();
    for (kind, value) in entries(body) {
        match kind & TYPE {
            1 | 2 | 5 | 7 => {
                kept.put(kind, value);
            }
            4 => {
                kept.nest(4, |list| {
                    for (kind, item) in entries(value) {
                        if text(item, 1) != "counter" {
                            list.put(kind, item);
                            continue;
                        }
                        let counted = attribute(item, 2).and_then(|data| attribute(data, 2));
                        packets = counted
                            .and_then(|value| value.try_into().ok())
                            .map(u64::from_be_bytes)
                            .unwrap_or_default();
                        list.nest(1, |item| {
                            item.put_text(1, "counter").nest(2, |data| {
                                data.put(1, &[0; 8]).put(2, &[0; 8]);
                            });
                        });
                    }
                });
            }
            _ => {}
        }
    }
    (kept.bytes().to_vec(), packets)
}

/// The attributes of these types, as they were.
fn keep(body: &[u8], kinds: &[u16]) -> Vec<u8> {
    let mut kept = Messages::new();
    for (kind, value) in entries(body).filter(|(kind, _)| kinds.contains(&(kind & TYPE))) {
        kept.put(kind, value);
    }
    kept.bytes().to_vec()
}

fn copy<'a>(message: &'a mut Messages, bytes: &[u8]) -> &'a mut Messages {
    for (kind, value) in entries(bytes) {
        message.put(kind, value);
    }
    message
}

fn ask(socket: &Socket, kind: u16, family: u8, mut take: impl FnMut(u8, &[u8])) -> io::Result<()> {
    let mut request = Messages::new();
    request.begin((SUBSYSTEM << 8) | kind, REQUEST_DUMP, &[family, 0, 0, 0]);
    socket.dump(&request, |message| {
        let family = message.body.first().copied().unwrap_or_default();
        take(family, message.body.get(4..).unwrap_or_default());
    })
}

fn text(body: &[u8], kind: u16) -> String {
    let value = attribute(body, kind).unwrap_or_default();
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

fn be32(value: Option<&[u8]>) -> u32 {
    value.and_then(|value| value.try_into().ok()).map(u32::from_be_bytes).unwrap_or_default()
}

/// An attribute's type without its flags.
const TYPE: u16 = 0x3fff;
const ATTEMPTS: usize = 20;
const GETTABLE: u16 = 1;
const GETCHAIN: u16 = 4;
const GETRULE: u16 = 7;
const GETSET: u16 = 10;
const GETSETELEM: u16 = 13;
const GETGEN: u16 = 16;
const GETOBJ: u16 = 19;
const GETFLOWTABLE: u16 = 23;
