//! The host's firewall in the kernel: installs a table, reads it back, and names what differs from what was declared.
//!
//! What the kernel would say of the declared table is asked of the kernel: the table is installed once more in a network
//! namespace that nothing is connected to. So every attribute is compared, and none is compared by guessing. No table but the
//! one that is given is changed.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use claw_host::zones::{
    Act, Chain, Element, Hook, Kind, LOG_PREFIX, Load, Log, Match, Rule, Ruleset, State, Value,
};
use claw_sys::netlink::{Socket, attribute};
use claw_sys::nft::{self, Verdict};
use claw_sys::process;
use claw_sys::ruleset::{self, FIRST, Field, Operation as Op};
use claw_sys::snapshot::{self, Foreign, HeldRule, Snapshot};
use serde::Serialize;

/// The kernel's rules of one network namespace, for whoever may change them.
#[derive(Debug)]
pub struct Firewall(Socket);

/// What the kernel says of a declared table where nothing else is.
#[derive(Debug)]
pub struct Wanted {
    ruleset: Ruleset,
    snapshot: Snapshot,
}

/// Something that the kernel holds otherwise than it was declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// What kind of thing: `table`, `chain`, `set`, `element`, `rule`.
    pub what: &'static str,
    /// Which.
    pub name: String,
    /// How: `missing`, `unexpected`, `changed`, `moved`.
    pub how: &'static str,
    /// More about it.
    pub detail: String,
}

/// Packets that a rule counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Its chain.
    pub chain: String,
    /// What it is for.
    pub rule: String,
    /// How many.
    pub packets: u64,
}

/// What the kernel holds, beside what was declared.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Comparison {
    /// What differs; empty if nothing does.
    pub drift: Vec<Drift>,
    /// What rules counted so far.
    pub counts: Vec<Count>,
}

impl Firewall {
    /// Opens the rules of this network namespace. Needs `CAP_NET_ADMIN`.
    pub fn open() -> io::Result<Firewall> {
        let socket = Socket::open(libc::NETLINK_NETFILTER)?;
        socket.widen(64 << 20)?;
        // the first answer tells whether this user may ask
        snapshot::generation(&socket)?;
        Ok(Firewall(socket))
    }

    /// Puts the table in the place of the one of its name, whole or not at all.
    pub fn replace(&self, ruleset: &Ruleset) -> io::Result<()> {
        ruleset::replace(&self.0, &translate(ruleset))
    }

    /// Removes the table, if it is there.
    pub fn remove(&self, table: &str) -> io::Result<()> {
        ruleset::remove(&self.0, table)
    }

    /// What the kernel holds under this name.
    pub fn take(&self, table: &str) -> io::Result<Snapshot> {
        snapshot::take(&self.0, table)
    }

    /// Puts back what was taken.
    pub fn restore(&self, table: &str, snapshot: &Snapshot) -> io::Result<()> {
        snapshot::restore(&self.0, table, snapshot)
    }

    /// Changes with every change of any rule.
    pub fn generation(&self) -> io::Result<u32> {
        snapshot::generation(&self.0)
    }

    /// Everybody else's base chains.
    pub fn others(&self, table: &str) -> io::Result<Foreign> {
        snapshot::foreign(&self.0, table)
    }

    /// What differs between the kernel and this table.
    pub fn compare(&self, wanted: &Wanted) -> io::Result<Comparison> {
        let Wanted { ruleset, snapshot: wanted } = wanted;
        let held = self.take(&ruleset.table)?.meaning();
        let counts = held.rules.iter().filter(|(_, rule)| rule.packets > 0);
        let counts = counts.map(|(chain, rule)| Count {
            chain: chain.clone(),
            rule: rule.comment.clone(),
            packets: rule.packets,
        });
        Ok(Comparison { counts: counts.collect(), drift: differences(wanted, &held, ruleset) })
    }
}

impl Wanted {
    /// Asks in a network namespace that nothing is connected to. Needs `CAP_SYS_ADMIN`.
    pub fn ask(ruleset: &Ruleset) -> io::Result<Wanted> {
        let ruleset = ruleset.clone();
        let asked = std::thread::Builder::new().spawn(move || {
            process::unshare_network()?;
            let firewall = Firewall::open()?;
            firewall.replace(&ruleset)?;
            let snapshot = firewall.take(&ruleset.table)?.meaning();
            Ok(Wanted { ruleset, snapshot })
        })?;
        asked.join().unwrap_or_else(|_| Err(io::Error::other("the comparison was cut short")))
    }
}

fn differences(wanted: &Snapshot, held: &Snapshot, ruleset: &Ruleset) -> Vec<Drift> {
    let mut drift = Vec::new();
    let mut tell = |what, name: &str, how, detail: String| {
        drift.push(Drift { what, name: name.to_owned(), how, detail });
    };
    if held.table.is_none() {
        tell("table", &ruleset.table, "missing", "the kernel holds no such table".to_owned());
        return drift;
    }
    if held.table != wanted.table {
        tell("table", &ruleset.table, "changed", "its flags are other ones: it may be dormant".to_owned());
    }
    let chains = |of: &Snapshot| of.chains.iter().cloned().collect::<BTreeMap<_, _>>();
    both(&chains(wanted), &chains(held), |name, how, _| {
        tell("chain", name, how, described(how, "hook, priority or policy"))
    });
    let sets = |of: &Snapshot| {
        of.sets.iter().map(|(name, set)| (name.clone(), set.attributes.clone())).collect::<BTreeMap<_, _>>()
    };
    both(&sets(wanted), &sets(held), |name, how, _| {
        tell("set", name, how, described(how, "its key or flags"))
    });
    for (name, set) in &held.sets {
        let Some((_, other)) = wanted.sets.iter().find(|(other, _)| other == name) else { continue };
        let key: &[Load] = ruleset.sets.iter().find(|one| one.name == *name).map_or(&[], |set| &set.key);
        for element in set.elements.iter().filter(|element| other.elements.binary_search(element).is_err()) {
            tell("element", name, "unexpected", shown(element, key));
        }
        for element in other.elements.iter().filter(|element| set.elements.binary_search(element).is_err()) {
            tell("element", name, "missing", shown(element, key));
        }
    }
    for other in &held.others {
        tell("object", other, "unexpected", "an object or flow table that nobody declared".to_owned());
    }
    let mut names: Vec<&String> = wanted.rules.iter().chain(&held.rules).map(|(chain, _)| chain).collect();
    names.sort();
    names.dedup();
    for name in names {
        rules(name, &of_chain(wanted, name), &of_chain(held, name), &mut drift);
    }
    drift
}

fn of_chain<'a>(snapshot: &'a Snapshot, chain: &str) -> Vec<&'a HeldRule> {
    snapshot.rules.iter().filter(|(name, _)| name == chain).map(|(_, rule)| rule).collect()
}

/// Rules of a chain: each that is missing or too many; else, if only their order differs, the first that moved.
fn rules(chain: &str, wanted: &[&HeldRule], held: &[&HeldRule], drift: &mut Vec<Drift>) {
    if wanted == held {
        return;
    }
    let before = drift.len();
    for (all, others, how) in [(wanted, held, "missing"), (held, wanted, "unexpected")] {
        let mut left = others.to_vec();
        for (index, rule) in all.iter().enumerate() {
            match left.iter().position(|other| other == rule) {
                Some(at) => {
                    left.remove(at);
                }
                None => drift.push(Drift {
                    what: "rule",
                    name: format!("{chain}, {}", index.saturating_add(1)),
                    how,
                    detail: if rule.comment.is_empty() {
                        "no comment".to_owned()
                    } else {
                        rule.comment.clone()
                    },
                }),
            }
        }
    }
    if drift.len() == before {
        let first = wanted.iter().zip(held).position(|(one, other)| one != other).unwrap_or_default();
        let detail = "the same rules in another order".to_owned();
        let name = format!("{chain}, {}", first.saturating_add(1));
        drift.push(Drift { what: "rule", name, how: "moved", detail });
    }
}

fn both(
    wanted: &BTreeMap<String, Vec<u8>>,
    held: &BTreeMap<String, Vec<u8>>,
    mut tell: impl FnMut(&str, &'static str, ()),
) {
    for (name, bytes) in wanted {
        match held.get(name) {
            None => tell(name, "missing", ()),
            Some(other) if other != bytes => tell(name, "changed", ()),
            Some(_) => {}
        }
    }
    for name in held.keys().filter(|name| !wanted.contains_key(*name)) {
        tell(name, "unexpected", ());
    }
}

fn described(how: &str, changed: &str) -> String {
    if how == "changed" { format!("{changed} differs") } else { String::new() }
}

/// An element as a person reads it.
fn shown(element: &[u8], key: &[Load]) -> String {
    let bytes = |kind| attribute(element, kind).and_then(|data| attribute(data, 1)).unwrap_or_default();
    let (from, to) = (bytes(1), bytes(10));
    // in a set of ranges, an end is an element of its own
    let end = attribute(element, 3).is_some_and(|flags| flags == [0, 0, 0, 1]);
    let (from, to) = (fields(from, key), fields(to, key));
    let parts: Vec<String> = from
        .iter()
        .enumerate()
        .map(|(index, from)| match to.get(index) {
            Some(to) if to != from => format!("{from}-{to}"),
            _ => from.clone(),
        })
        .collect();
    format!("{}{}", if end { "end before " } else { "" }, parts.join(" . "))
}

fn fields(bytes: &[u8], key: &[Load]) -> Vec<String> {
    let mut rest = bytes;
    let mut shown = Vec::new();
    for load in key {
        let length = usize::try_from(field(*load).length()).unwrap_or_default();
        let Some(value) = rest.get(..length) else { break };
        shown.push(match (field(*load), value) {
            (Field::Address4, &[a, b, c, d]) => Ipv4Addr::new(a, b, c, d).to_string(),
            (Field::Address6, value) => <[u8; 16]>::try_from(value)
                .map(|octets| Ipv6Addr::from(octets).to_string())
                .unwrap_or_default(),
            (Field::Port, &[high, low]) => u16::from_be_bytes([high, low]).to_string(),
            (_, value) => value.first().map(ToString::to_string).unwrap_or_default(),
        });
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    shown
}

/// Into the kernel's words.
fn translate(ruleset: &Ruleset) -> ruleset::Ruleset {
    ruleset::Ruleset {
        table: ruleset.table.clone(),
        sets: ruleset.sets.iter().map(set).collect(),
        chains: ruleset.chains.iter().map(chain).collect(),
    }
}

fn set(set: &claw_host::zones::Set) -> ruleset::Set {
    let kind = match set.kind {
        Kind::Points => ruleset::Kind::Points,
        Kind::Boxes => ruleset::Kind::Boxes,
        Kind::Ranges => ruleset::Kind::Ranges,
    };
    let element = |Element(fields): &Element| ruleset::Element {
        from: fields.iter().map(|(from, _)| value(*from)).collect(),
        to: fields.iter().map(|(_, to)| value(*to)).collect(),
    };
    ruleset::Set {
        name: set.name.clone(),
        key: set.key.iter().map(|load| field(*load)).collect(),
        kind,
        elements: set.elements.iter().map(element).collect(),
    }
}

fn value(value: Value) -> ruleset::Value {
    match value {
        Value::Address(address) => ruleset::Value::Address(address),
        Value::Number(number) => ruleset::Value::Number(number),
        Value::Port(port) => ruleset::Value::Port(port),
    }
}

fn field(load: Load) -> Field {
    match load {
        Load::Source4 | Load::Destination4 => Field::Address4,
        Load::Source6 | Load::Destination6 => Field::Address6,
        Load::Transport => Field::Protocol,
        Load::SourcePort | Load::DestinationPort => Field::Port,
        Load::Icmp4 => Field::Icmp4,
        Load::Icmp6 => Field::Icmp6,
    }
}

fn chain(chain: &Chain) -> ruleset::Chain {
    let hook = chain.base.map(|base| nft::Hook {
        number: match base.hook {
            Hook::Input => ruleset::INPUT,
            Hook::Forward => ruleset::FORWARD,
            Hook::Output => nft::OUTPUT,
        },
        priority: 0,
        policy: if base.drop { Verdict::Drop } else { Verdict::Accept },
    });
    ruleset::Chain { name: chain.name.clone(), hook, rules: chain.rules.iter().map(rule).collect() }
}

fn rule(rule: &Rule) -> ruleset::Rule {
    let mut operations: Vec<Op> = rule.matches.iter().flat_map(matching).collect();
    if rule.count {
        operations.push(Op::Count);
    }
    match &rule.act {
        Act::Accept => operations.push(Op::Accept),
        Act::Drop => operations.push(Op::Drop),
        Act::Goto(chain) => operations.push(Op::Goto(chain.clone())),
        Act::Jump(chain) => operations.push(Op::Jump(chain.clone())),
        Act::Tell(log) => {
            let prefix = LOG_PREFIX.to_owned();
            operations.push(Op::Limit(5, 20));
            operations.push(match log {
                Log::Group(group) => Op::Tell(*group, prefix),
                Log::Kernel | Log::None => Op::Log(prefix),
            });
        }
    }
    ruleset::Rule { operations, comment: rule.comment.clone() }
}

/// Headers: RFC 791 and RFC 8200 (network), RFC 9293 and others (transport); `NFT_META_*` and `NFT_CT_*` by number.
fn matching(one: &Match) -> Vec<Op> {
    let transport = |number: u8| [Op::Meta(L4PROTO, FIRST), Op::Equal(vec![number])];
    match one {
        Match::From(interface) => vec![Op::Meta(IIFNAME, FIRST), Op::Equal(name(interface))],
        Match::NotFrom(interface) => vec![Op::Meta(IIFNAME, FIRST), Op::Unequal(name(interface))],
        Match::To(interface) => vec![Op::Meta(OIFNAME, FIRST), Op::Equal(name(interface))],
        Match::V4 => vec![Op::Meta(NFPROTO, FIRST), Op::Equal(vec![2])],
        Match::V6 => vec![Op::Meta(NFPROTO, FIRST), Op::Equal(vec![10])],
        Match::Transport(number) => transport(*number).to_vec(),
        Match::IcmpIsNot(kind) | Match::Icmp6IsNot(kind) => {
            vec![Op::Payload(TRANSPORT, 0, 1, FIRST), Op::Unequal(vec![*kind])]
        }
        Match::HopLimit(limit) => vec![Op::Payload(NETWORK, 7, 1, FIRST), Op::Equal(vec![*limit])],
        Match::Fragment4 => {
            vec![Op::Payload(NETWORK, 6, 2, FIRST), Op::Mask(vec![0x3f, 0xff]), Op::Unequal(vec![0, 0])]
        }
        Match::Fragment6 => vec![Op::Extension(44, FIRST), Op::Equal(vec![1])],
        Match::ToLoopback4 => vec![Op::Payload(NETWORK, 16, 1, FIRST), Op::Equal(vec![127])],
        Match::ToLoopback6 => {
            vec![Op::Payload(NETWORK, 24, 16, FIRST), Op::Equal(Ipv6Addr::LOCALHOST.octets().to_vec())]
        }
        Match::State(state) => {
            let bit: u32 = match state {
                State::Invalid => 1,
                State::Established => 2,
                State::Related => 4,
                State::New => 8,
            };
            let nothing = 0u32.to_ne_bytes().to_vec();
            vec![Op::Track(0, FIRST), Op::Mask(bit.to_ne_bytes().to_vec()), Op::Unequal(nothing)]
        }
        Match::Reply => vec![Op::Track(1, FIRST), Op::Equal(vec![1])],
        Match::NotOpening => {
            vec![Op::Payload(TRANSPORT, 13, 1, FIRST), Op::Mask(vec![0x17]), Op::Unequal(vec![0x02])]
        }
        Match::In(key, set) => lookup(key, |register| Op::In(set.clone(), register)),
        Match::NotIn(key, set) => lookup(key, |register| Op::NotIn(set.clone(), register)),
        Match::Owner(user) => {
            vec![Op::Meta(SKUID, FIRST), Op::Equal(user.to_ne_bytes().to_vec())]
        }
    }
}

/// Loads the fields of a key to registers that follow each other, and looks them up.
fn lookup(key: &[Load], look: impl Fn(ruleset::Register) -> Op) -> Vec<Op> {
    if let [only] = key {
        return vec![load(*only, FIRST), look(FIRST)];
    }
    let mut register = WORDS;
    let mut operations = Vec::new();
    for one in key {
        operations.push(load(*one, register));
        register = register.saturating_add(field(*one).registers());
    }
    operations.push(look(WORDS));
    operations
}

fn load(load: Load, register: ruleset::Register) -> Op {
    match load {
        Load::Source4 => Op::Payload(NETWORK, 12, 4, register),
        Load::Destination4 => Op::Payload(NETWORK, 16, 4, register),
        Load::Source6 => Op::Payload(NETWORK, 8, 16, register),
        Load::Destination6 => Op::Payload(NETWORK, 24, 16, register),
        Load::Transport => Op::Meta(L4PROTO, register),
        Load::SourcePort => Op::Payload(TRANSPORT, 0, 2, register),
        Load::DestinationPort => Op::Payload(TRANSPORT, 2, 2, register),
        Load::Icmp4 | Load::Icmp6 => Op::Payload(TRANSPORT, 0, 1, register),
    }
}

/// A whole name is compared with the NULs behind it, the beginning of one without.
fn name(interface: &claw_host::zones::Interface) -> Vec<u8> {
    let mut bytes = interface.name.as_bytes().to_vec();
    if !interface.prefix {
        bytes.resize(16, 0);
    }
    bytes
}

/// The address families of a table or hook, in nft(8)'s words.
pub fn family(number: u8) -> &'static str {
    match number {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "other",
    }
}

const IIFNAME: u32 = 6;
const OIFNAME: u32 = 7;
const SKUID: u32 = 10;
const NFPROTO: u32 = 15;
const L4PROTO: u32 = 16;
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
/// The first register of 4 bytes.
const WORDS: ruleset::Register = 8;
