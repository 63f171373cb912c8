//! The table in the words of nft(8), for reading, and for loading where claw is not.

use std::fmt::Write as _;

use super::ruleset::{Act, Chain, Element, Hook, Kind, Load, Match, Rule, Ruleset, Set, State, Value};
use super::{LOG_PREFIX, Log};

impl Ruleset {
    /// A file for `nft -f`: it replaces this table and touches no other.
    pub fn text(&self) -> String {
        let name = &self.table;
        let mut text = format!("table inet {name}\ndelete table inet {name}\n\ntable inet {name} {{\n");
        for one in &self.sets {
            set(&mut text, one);
        }
        for one in &self.chains {
            chain(&mut text, one);
        }
        text.push_str("}\n");
        text
    }
}

fn set(text: &mut String, set: &Set) {
    let kinds: Vec<&str> = set.key.iter().map(|load| kind(*load)).collect();
    let _ = write!(text, "  set {} {{\n    type {}\n", set.name, kinds.join(" . "));
    if set.kind != Kind::Points {
        text.push_str("    flags interval\n");
    }
    if !set.elements.is_empty() {
        let elements: Vec<String> = set.elements.iter().map(element).collect();
        let _ = writeln!(text, "    elements = {{ {} }}", elements.join(",\n      "));
    }
    text.push_str("  }\n");
}

fn chain(text: &mut String, chain: &Chain) {
    let _ = writeln!(text, "  chain {} {{", chain.name);
    if let Some(base) = chain.base {
        let hook = match base.hook {
            Hook::Input => "input",
            Hook::Forward => "forward",
            Hook::Output => "output",
        };
        let policy = if base.drop { "drop" } else { "accept" };
        let _ = writeln!(text, "    type filter hook {hook} priority filter; policy {policy};");
    }
    for one in &chain.rules {
        let _ = writeln!(text, "    {}", rule(one));
    }
    text.push_str("  }\n");
}

fn rule(rule: &Rule) -> String {
    let mut words: Vec<String> = rule.matches.iter().map(matching).collect();
    if rule.count {
        words.push("counter".to_owned());
    }
    words.push(match &rule.act {
        Act::Accept => "accept".to_owned(),
        Act::Drop => "drop".to_owned(),
        Act::Goto(chain) => format!("goto {chain}"),
        Act::Jump(chain) => format!("jump {chain}"),
        Act::Tell(Log::Group(group)) => {
            format!(
                "limit rate 5/second burst 20 packets log prefix \"{LOG_PREFIX}\" group {group} snaplen 128"
            )
        }
        Act::Tell(_) => format!("limit rate 5/second burst 20 packets log prefix \"{LOG_PREFIX}\""),
    });
    words.push(format!("comment \"{}\"", rule.comment));
    words.join(" ")
}

fn matching(one: &Match) -> String {
    match one {
        Match::From(interface) => format!("iifname \"{interface}\""),
        Match::NotFrom(interface) => format!("iifname != \"{interface}\""),
        Match::To(interface) => format!("oifname \"{interface}\""),
        Match::V4 => "meta nfproto ipv4".to_owned(),
        Match::V6 => "meta nfproto ipv6".to_owned(),
        Match::Transport(number) => format!("meta l4proto {number}"),
        Match::IcmpIsNot(kind) => format!("icmp type != {kind}"),
        Match::Icmp6IsNot(kind) => format!("icmpv6 type != {kind}"),
        Match::HopLimit(limit) => format!("ip6 hoplimit {limit}"),
        Match::Fragment4 => "ip frag-off & 0x3fff != 0".to_owned(),
        Match::Fragment6 => "exthdr frag exists".to_owned(),
        Match::ToLoopback4 => "ip daddr 127.0.0.0/8".to_owned(),
        Match::ToLoopback6 => "ip6 daddr ::1".to_owned(),
        Match::State(state) => {
            let state = match state {
                State::Invalid => "invalid",
                State::Established => "established",
                State::Related => "related",
                State::New => "new",
            };
            format!("ct state {state}")
        }
        Match::Reply => "ct direction reply".to_owned(),
        Match::NotOpening => "tcp flags & (fin | syn | rst | ack) != syn".to_owned(),
        Match::In(key, set) => format!("{} @{set}", words(key)),
        Match::NotIn(key, set) => format!("{} != @{set}", words(key)),
        Match::Owner(user) => format!("meta skuid {user}"),
    }
}

fn words(key: &[Load]) -> String {
    let loads: Vec<&str> = key.iter().map(|load| word(*load)).collect();
    loads.join(" . ")
}

fn element(element: &Element) -> String {
    let fields: Vec<String> = element
        .0
        .iter()
        .map(|(from, to)| if from == to { value(from) } else { format!("{}-{}", value(from), value(to)) })
        .collect();
    fields.join(" . ")
}

fn value(value: &Value) -> String {
    match value {
        Value::Address(address) => address.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Port(port) => port.to_string(),
    }
}

fn word(load: Load) -> &'static str {
    match load {
        Load::Source4 => "ip saddr",
        Load::Source6 => "ip6 saddr",
        Load::Destination4 => "ip daddr",
        Load::Destination6 => "ip6 daddr",
        Load::Transport => "meta l4proto",
        Load::SourcePort => "th sport",
        Load::DestinationPort => "th dport",
        Load::Icmp4 => "icmp type",
        Load::Icmp6 => "icmpv6 type",
    }
}

fn kind(load: Load) -> &'static str {
    match load {
        Load::Source4 | Load::Destination4 => "ipv4_addr",
        Load::Source6 | Load::Destination6 => "ipv6_addr",
        Load::Transport => "inet_proto",
        Load::SourcePort | Load::DestinationPort => "inet_service",
        Load::Icmp4 => "icmp_type",
        Load::Icmp6 => "icmpv6_type",
    }
}
