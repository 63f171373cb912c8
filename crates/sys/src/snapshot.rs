//! What nf_tables holds: one table of family `inet` to the last byte, to be compared and put back; and where the base chains
//! of everybody else sit.
//!
//! Two snapshots are equal if the kernel says the same of both. So a declared table is compared with a held one by installing
//! it in a network namespace that nothing is connected to, and reading both back.

use std::collections::{BTreeMap, BTreeSet};
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

impl Snapshot {
    /// The same without what only nft(8) keeps for itself, and without what says nothing: user data, the end that it puts
    /// before the first range, and swaps of the bytes of values that have one.
    pub fn meaning(&self) -> Snapshot {
        let without = |bytes: &[u8], kind: u16| {
            if entries(bytes).all(|(found, _)| found & TYPE != kind) {
                return bytes.to_vec();
            }
            let mut kept = Messages::new();
            for (found, value) in entries(bytes).filter(|(found, _)| found & TYPE != kind) {
                kept.put(found, value);
            }
            kept.bytes().to_vec()
        };
        let set = |set: &HeldSet| {
            let elements = set.elements.iter().filter(|element| !is_end_before_all(element));
            let mut elements: Vec<Vec<u8>> = elements.map(|element| without(element, 6)).collect();
            elements.sort();
            HeldSet { attributes: without(&set.attributes, 13), elements }
        };
        let rule = |rule: &HeldRule| {
            let mut kept = Messages::new();
            for (kind, value) in entries(&rule.attributes).filter(|(kind, _)| kind & TYPE != 7) {
                if kind & TYPE != 4 {
                    kept.put(kind, value);
                    continue;
                }
                kept.nest(4, |list| {
                    entries(value).filter(|(_, item)| !swaps_nothing(item)).for_each(|(kind, item)| {
                        list.put(kind, item);
                    });
                });
            }
            HeldRule { attributes: kept.bytes().to_vec(), ..rule.clone() }
        };
        let named = |(name, bytes): &(String, Vec<u8>)| (name.clone(), without(bytes, 12));
        Snapshot {
            table: self.table.as_ref().map(|table| without(table, 6)),
            chains: self.chains.iter().map(named).collect(),
            sets: self.sets.iter().map(|(name, one)| (name.clone(), set(one))).collect(),
            rules: self.rules.iter().map(|(name, one)| (name.clone(), rule(one))).collect(),
            others: self.others.clone(),
        }
    }
}

/// The end of a range that would lie before the first key of all: nft(8) says by it that nothing lies there.
fn is_end_before_all(element: &[u8]) -> bool {
    let end = attribute(element, 3).is_some_and(|flags| flags == [0, 0, 0, 1]);
    let key = attribute(element, 1).and_then(|data| attribute(data, 1)).unwrap_or_default();
    end && key.iter().all(|byte| *byte == 0)
}

/// A swap within words longer than the value, in its own place: the kernel swaps no word (nft_byteorder.c).
fn swaps_nothing(item: &[u8]) -> bool {
    let data = attribute(item, 2).unwrap_or_default();
    let number = |kind| be32(attribute(data, kind));
    text(item, 1) == "byteorder" && number(1) == number(2) && number(4) < number(5)
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
    /// What rules do that it reaches, by its own or by chains that it calls.
    pub acts: BTreeSet<Act>,
    /// The interfaces of a hook of the family `netdev`, or of ingress.
    pub devices: Vec<String>,
}

/// What a rule does beside letting pass, counting and telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Drops or rejects, or may by a verdict map or a queue.
    Refuse,
    /// Rewrites where a packet comes from.
    Source,
    /// Rewrites where it goes.
    Destination,
    /// Writes bytes that may be its addresses or ports.
    Bytes,
    /// Hides it from connection tracking.
    Untrack,
    /// Gives it to a socket of this host whatever its destination.
    Divert,
    /// Sends a copy somewhere else.
    Copy,
    /// Sends it out by another interface at once.
    Forward,
    /// Hands it to a program, which may do anything.
    Queue,
    /// Puts its flow on a flow table.
    Accelerate,
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
        // whatever else of an answer that failed lies in the socket would be taken for the next one's
        let snapshot = read(socket, table)?;
        if generation(socket)? == before {
            return Ok(snapshot);
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
    if message.kind != (SUBSYSTEM << 8) | NEWGEN {
        return Err(io::Error::other("the kernel answers something else"));
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

/// Where everybody else's base chains sit, and what they do.
pub fn foreign(socket: &Socket, own: &str) -> io::Result<Foreign> {
    let mut tables: BTreeMap<(u8, String), BTreeMap<String, Reach>> = BTreeMap::new();
    ask(socket, GETRULE, 0, |family, body| {
        let chains = tables.entry((family, text(body, 1))).or_default();
        let reach = chains.entry(text(body, 2)).or_default();
        attributes(attribute(body, 4).unwrap_or_default()).for_each(|(_, item)| reach.add(item));
    })?;
    let mut found = Foreign::default();
    ask(socket, GETCHAIN, 0, |family, body| {
        let Some(place) = attribute(body, 4) else { return };
        let (table, chain) = (text(body, 1), text(body, 3));
        if family == INET && table == own {
            return;
        }
        let hook = Hook {
            number: be32(attribute(place, 1)),
            priority: be32(attribute(place, 2)).cast_signed(),
            policy: if be32(attribute(body, 5)) == 1 { Verdict::Accept } else { Verdict::Drop },
        };
        let acts = tables.get(&(family, table.clone())).map(|chains| reached(chains, &chain));
        let listed = attributes(attribute(place, 4).unwrap_or_default()).map(|(_, name)| name);
        let devices = attribute(place, 3).into_iter().chain(listed);
        let mut devices: Vec<String> =
            devices.map(|name| String::from_utf8_lossy(name).trim_end_matches('\0').to_owned()).collect();
        devices.sort();
        devices.dedup();
        let kind = text(body, 7);
        found.bases.push(Base { family, chain, kind, table, hook, acts: acts.unwrap_or_default(), devices });
    })?;
    optional(ask(socket, GETFLOWTABLE, 0, |family, body| {
        found.flows.push((family, text(body, 1), text(body, 2)));
    }))?;
    Ok(found)
}

/// What the rules of one chain do, and where they lead.
#[derive(Default)]
struct Reach {
    acts: BTreeSet<Act>,
    calls: BTreeSet<String>,
    /// By a verdict map, which may name any chain of the table.
    anywhere: bool,
}

impl Reach {
    fn add(&mut self, item: &[u8]) {
        let data = attribute(item, 2).unwrap_or_default();
        let act = match text(item, 1).as_str() {
            "reject" | "synproxy" => Some(Act::Refuse),
            "immediate" => match attribute(data, 2).and_then(|data| attribute(data, 2)) {
                Some(verdict) => self.verdict(verdict),
                None => None,
            },
            // a map into the register of verdicts
            "lookup" if attribute(data, 3).is_some_and(|register| register == [0; 4]) => {
                self.anywhere = true;
                Some(Act::Refuse)
            }
            "nat" if be32(attribute(data, 1)) == 0 => Some(Act::Source),
            "nat" | "redir" => Some(Act::Destination),
            "masq" => Some(Act::Source),
            "payload" if attribute(data, 5).is_some() && addresses(data) => Some(Act::Bytes),
            "notrack" => Some(Act::Untrack),
            "tproxy" => Some(Act::Divert),
            "dup" => Some(Act::Copy),
            "fwd" => Some(Act::Forward),
            "queue" => Some(Act::Queue),
            "flow_offload" => Some(Act::Accelerate),
            "target" => target(&text(data, 1)),
            _ => None,
        };
        self.acts.extend(act);
    }

    fn verdict(&mut self, verdict: &[u8]) -> Option<Act> {
        match be32(attribute(verdict, 1)).cast_signed() {
            0 => Some(Act::Refuse),
            3 => Some(Act::Queue),
            -3 | -4 => {
                self.calls.insert(text(verdict, 2));
                None
            }
            _ => None,
        }
    }
}

/// Whether bytes that are written may be of addresses or ports: not classes of service, not hop limits.
fn addresses(data: &[u8]) -> bool {
    let number = |kind| be32(attribute(data, kind));
    let (base, offset, length) = (number(2), number(3), number(4));
    match base {
        1 => offset.saturating_add(length) > 10,
        2 => offset < 4,
        _ => true,
    }
}

/// Targets of iptables in nf_tables (iptables-extensions(8)).
fn target(name: &str) -> Option<Act> {
    match name {
        "REJECT" | "SYNPROXY" => Some(Act::Refuse),
        "SNAT" | "MASQUERADE" | "SNPT" => Some(Act::Source),
        "DNAT" | "REDIRECT" | "DNPT" => Some(Act::Destination),
        "NETMAP" => Some(Act::Destination),
        "CT" | "NOTRACK" => Some(Act::Untrack),
        "TPROXY" => Some(Act::Divert),
        "TEE" => Some(Act::Copy),
        "NFQUEUE" => Some(Act::Queue),
        "FLOWOFFLOAD" => Some(Act::Accelerate),
        _ => None,
    }
}

/// What is done by a chain and by all that it leads to.
fn reached(chains: &BTreeMap<String, Reach>, from: &str) -> BTreeSet<Act> {
    let (mut acts, mut seen, mut left) = (BTreeSet::new(), BTreeSet::new(), vec![from]);
    while let Some(name) = left.pop() {
        let Some(reach) = chains.get(name).filter(|_| seen.insert(name)) else { continue };
        acts.extend(reach.acts.iter().copied());
        left.extend(reach.calls.iter().map(String::as_str));
        if reach.anywhere {
            left.extend(chains.keys().map(String::as_str));
        }
    }
    acts
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
    for kind in [GETOBJ, GETFLOWTABLE] {
        optional(ask(socket, kind, INET, |_, body| {
            if text(body, 1) == table {
                others.push(text(body, 2));
            }
        }))?;
    }
    Ok(snapshot)
}

/// A kernel that does not know the question has nothing of the kind.
fn optional(asked: io::Result<()>) -> io::Result<()> {
    match asked {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ENOENT)) =>
        {
            Ok(())
        }
        other => other,
    }
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
const NEWGEN: u16 = 15;
const GETGEN: u16 = 16;
const GETOBJ: u16 = 19;
const GETFLOWTABLE: u16 = 23;
