//! From zones to a table. The order of rules is the order of what counts: walls before sessions, sessions before flows.
//!
//! No rule stands for one flow: flows are elements of sets, looked up once for each packet. A packet passes as an answer only
//! against the direction in which its flow was opened; in that direction it must be of a declared flow every time. So a flow
//! that is no longer declared is cut at once, known to connection tracking or not.

use std::net::IpAddr;

use claw_model::net::Net;
use claw_model::port::Ports;

use super::ruleset::{Act, Base, Chain, Element, Hook, Kind, Load, Match, Rule, Ruleset, Set, State, Value};
use super::{Direction, Flow, ICMP, ICMP6, Log, Name, Output, Peers, Session, TABLE, TCP, Zone, Zones};
use claw_model::boxes::{Range, Span, apart, complement, union, world};

pub(super) fn build(zones: &Zones, keep: &[Session]) -> Ruleset {
    let mut builder = Builder { zones, sets: Vec::new(), chains: Vec::new() };
    builder.fixed(keep);
    builder.refused();
    for zone in &zones.zones {
        builder.networks(zone);
    }
    let input = builder.input();
    let forward = builder.forward();
    let output = builder.output();
    builder.chains.extend([input, forward, output]);
    Ruleset { table: TABLE.to_owned(), sets: builder.sets, chains: builder.chains }
}

struct Builder<'a> {
    zones: &'a Zones,
    sets: Vec<Set>,
    chains: Vec<Chain>,
}

impl Builder<'_> {
    fn fixed(&mut self, keep: &[Session]) {
        let numbers = |name: &str, load: Load, all: &[u8]| Set {
            name: name.to_owned(),
            key: vec![load],
            kind: Kind::Points,
            elements: all
                .iter()
                .map(|one| Element(vec![(Value::Number(*one), Value::Number(*one))]))
                .collect(),
        };
        self.sets.push(numbers(NEIGHBOURS, Load::Icmp6, NEIGHBOUR_TYPES));
        self.sets.push(numbers(LISTENERS, Load::Icmp6, LISTENER_TYPES));
        self.sets.push(numbers(&family(ERRORS, true), Load::Icmp4, ERROR_TYPES4));
        self.sets.push(numbers(&family(ERRORS, false), Load::Icmp6, ERROR_TYPES6));
        for v4 in [true, false] {
            let one = |session: &Session| {
                let values = [
                    Value::Address(session.peer),
                    Value::Port(session.peer_port),
                    Value::Address(session.own),
                    Value::Port(session.own_port),
                ];
                Element(values.map(|value| (value, value)).to_vec())
            };
            let mut elements: Vec<Element> =
                keep.iter().filter(|session| session.peer.is_ipv4() == v4).map(one).collect();
            elements.sort();
            elements.dedup();
            let key = vec![source(v4), Load::SourcePort, destination(v4), Load::DestinationPort];
            self.sets.push(Set { name: family(SESSIONS, v4), key, kind: Kind::Points, elements });
        }
        let runtime = self.zones.zone(Name::Runtime).map(|zone| zone.flows.as_slice()).unwrap_or_default();
        let mut elements = Vec::new();
        for protocol in protocols(runtime) {
            let sockets =
                runtime.iter().filter(|flow| flow.direction == Direction::In && flow.protocol == protocol);
            let ports = sockets.filter_map(|flow| flow.ports.clone()).reduce(|all, one| all.union(&one));
            for (from, to) in ports.iter().flat_map(Ports::ranges) {
                elements.push(Element(vec![
                    (Value::Number(protocol), Value::Number(protocol)),
                    (Value::Port(*from), Value::Port(*to)),
                ]));
            }
        }
        let key = vec![Load::Transport, Load::DestinationPort];
        self.sets.push(Set { name: RUNTIME.to_owned(), key, kind: Kind::Boxes, elements });
    }

    /// The end of everything that is not let through: told at a bounded rate, counted, dropped.
    fn refused(&mut self) {
        let mut rules = Vec::new();
        if self.zones.log != Log::None {
            rules.push(rule(vec![], Act::Tell(self.zones.log), "at most 5 a second, 20 at once"));
        }
        rules.push(rule(vec![], Act::Drop, "refused"));
        self.chains.push(Chain { name: REFUSED.to_owned(), base: None, rules });
    }

    fn networks(&mut self, zone: &Zone) {
        for v4 in [true, false] {
            let ranges = of_family(&zone.networks, v4);
            if zone.name == Name::Runtime || ranges.is_empty() {
                continue;
            }
            let elements = union(&ranges).into_iter().map(|range| Element(vec![address(range)])).collect();
            // the key is loaded as sender or receiver, whichever is asked for
            let (name, key) = (networks(zone.name, v4), vec![source(v4)]);
            self.sets.push(Set { name, key, kind: Kind::Ranges, elements });
        }
    }

    fn input(&mut self) -> Chain {
        let lo = super::Interface { name: "lo".to_owned(), prefix: false };
        let mut rules = vec![
            rule(vec![Match::From(lo)], Act::Accept, "loopback"),
            refuse(vec![Match::V4, Match::ToLoopback4], "loopback addresses from outside"),
            refuse(vec![Match::V6, Match::ToLoopback6], "loopback addresses from outside"),
        ];
        rules.extend(fragments());
        rules.push(refuse(
            vec![Match::In(vec![Load::Transport, Load::DestinationPort], RUNTIME.to_owned())],
            "sockets of the runtime are on loopback only",
        ));
        self.wall(&mut rules, "wall-workload-in", Name::Workload, Name::Management, Hook::Input);
        let icmp6 = || vec![Match::V6, Match::Transport(ICMP6)];
        let neighbours = Match::In(vec![Load::Icmp6], NEIGHBOURS.to_owned());
        let listeners = Match::In(vec![Load::Icmp6], LISTENERS.to_owned());
        rules.push(rule(
            [icmp6(), vec![Match::HopLimit(255), neighbours]].concat(),
            Act::Accept,
            "neighbour and router discovery (RFC 4890, 4.4.1)",
        ));
        rules.push(rule(
            [icmp6(), vec![Match::HopLimit(1), listeners]].concat(),
            Act::Accept,
            "multicast listeners and routers (RFC 4890, 4.4.1)",
        ));
        self.sources(&mut rules);
        rules.extend(sessions(Hook::Input));
        rules.extend(known());
        for zone in self.zones.zones.iter().filter(|zone| zone.name != Name::Runtime) {
            let chain = format!("{}-in", zone.name.as_str());
            self.dispatch(&mut rules, zone, &chain, Hook::Input);
            self.flows(zone, &chain, Direction::In);
        }
        rules.push(last());
        Chain { name: "input".to_owned(), base: Some(Base { hook: Hook::Input, drop: true }), rules }
    }

    fn forward(&mut self) -> Chain {
        let mut rules = Vec::new();
        self.wall(&mut rules, "wall-workload", Name::Workload, Name::Management, Hook::Forward);
        self.wall(&mut rules, "wall-management", Name::Management, Name::Workload, Hook::Forward);
        rules.extend(fragments());
        self.sources(&mut rules);
        rules.extend(known());
        for zone in self.zones.zones.iter().filter(|zone| zone.name != Name::Runtime) {
            let chain = format!("{}-through", zone.name.as_str());
            self.dispatch(&mut rules, zone, &chain, Hook::Forward);
            self.flows(zone, &chain, Direction::Forward);
        }
        rules.push(last());
        Chain { name: "forward".to_owned(), base: Some(Base { hook: Hook::Forward, drop: true }), rules }
    }

    fn output(&mut self) -> Chain {
        let lo = super::Interface { name: "lo".to_owned(), prefix: false };
        let mut rules = vec![rule(vec![Match::To(lo)], Act::Accept, "loopback")];
        rules.extend(sessions(Hook::Output));
        let drop = self.zones.output == Output::Drop;
        if drop {
            let icmp6 = |set: &str| {
                vec![Match::V6, Match::Transport(ICMP6), Match::In(vec![Load::Icmp6], set.to_owned())]
            };
            rules.push(rule(icmp6(NEIGHBOURS), Act::Accept, "neighbour and router discovery"));
            rules.push(rule(icmp6(LISTENERS), Act::Accept, "multicast listeners and routers"));
            rules.extend(known());
            for zone in &self.zones.zones {
                let chain = format!("{}-out", zone.name.as_str());
                if zone.name == Name::Runtime {
                    let owner = zone.user.map(Match::Owner).into_iter().collect();
                    rules.push(rule(owner, Act::Jump(chain.clone()), "what the runtime itself may reach"));
                } else {
                    self.dispatch(&mut rules, zone, &chain, Hook::Output);
                }
                self.flows(zone, &chain, Direction::Out);
            }
            rules.push(last());
        } else {
            // a flow that was open before connection tracking began has no known direction: it must not become one of
            // this host's own by the host answering first
            rules.push(refuse(
                vec![Match::Transport(TCP), Match::NotOpening, Match::State(State::New)],
                "in the middle of a connection that is not known",
            ));
        }
        Chain { name: "output".to_owned(), base: Some(Base { hook: Hook::Output, drop }), rules }
    }

    /// An address is believed only where it belongs: what comes by an interface of a zone is of that zone's networks, and
    /// these come by no other interface. Answers too, so that nobody gives another's.
    fn sources(&self, rules: &mut Vec<Rule>) {
        let placed = |zone: &&Zone| {
            zone.name != Name::Runtime && !zone.interfaces.is_empty() && !zone.networks.is_empty()
        };
        let zones: Vec<&Zone> = self.zones.zones.iter().filter(placed).collect();
        // where another zone has the same networks, they are judged by its own rule
        let interfaces = zones.iter().flat_map(|zone| zone.interfaces.iter().cloned());
        let others: Vec<Match> = interfaces.map(Match::NotFrom).collect();
        for zone in &zones {
            let why = format!("a false source: {}", zone.name);
            for v4 in [true, false] {
                let load = source(v4);
                for one in &zone.interfaces {
                    let mut matches = vec![Match::From(one.clone()), version(v4)];
                    if has(zone, v4) {
                        matches.push(Match::NotIn(vec![load], networks(zone.name, v4)));
                    }
                    rules.push(refuse(matches, &why));
                }
                if has(zone, v4) {
                    let own = vec![version(v4), member(zone.name, load)];
                    rules.push(refuse([others.clone(), own].concat(), &why));
                }
            }
        }
    }

    /// Between these two nothing passes, whatever else is declared: on either the interface or the address.
    fn wall(&mut self, rules: &mut Vec<Rule>, chain: &str, from: Name, to: Name, hook: Hook) {
        let (Some(from), Some(to)) = (self.zones.zone(from), self.zones.zone(to)) else { return };
        let mut inner = Vec::new();
        let why = format!("wall: {} to {}", from.name, to.name);
        if hook == Hook::Forward {
            inner.extend(to.interfaces.iter().map(|one| refuse(vec![Match::To(one.clone())], &why)));
        }
        for v4 in [true, false].into_iter().filter(|v4| has(to, *v4)) {
            inner.push(refuse(vec![version(v4), member(to.name, destination(v4))], &why));
        }
        if inner.is_empty() {
            return;
        }
        self.chains.push(Chain { name: chain.to_owned(), base: None, rules: inner });
        let jump = |matches| rule(matches, Act::Jump(chain.to_owned()), &why);
        rules.extend(from.interfaces.iter().map(|one| jump(vec![Match::From(one.clone())])));
        for v4 in [true, false].into_iter().filter(|v4| has(from, *v4)) {
            rules.push(jump(vec![version(v4), member(from.name, source(v4))]));
        }
    }

    /// Sends packets of a zone to its chain: on its interface and of its networks, where it has both.
    fn dispatch(&self, rules: &mut Vec<Rule>, zone: &Zone, chain: &str, hook: Hook) {
        let side = |interface: &super::Interface| match hook {
            Hook::Output => Match::To(interface.clone()),
            Hook::Input | Hook::Forward => Match::From(interface.clone()),
        };
        let load = |v4| if hook == Hook::Output { destination(v4) } else { source(v4) };
        let mut sides: Vec<Vec<Match>> = zone.interfaces.iter().map(|one| vec![side(one)]).collect();
        if sides.is_empty() {
            sides.push(Vec::new());
        }
        for side in sides {
            let goto = |more: Vec<Match>| {
                rule(
                    [side.clone(), more].concat(),
                    Act::Goto(chain.to_owned()),
                    &format!("zone {}", zone.name),
                )
            };
            if zone.networks.is_empty() {
                rules.push(goto(Vec::new()));
            }
            for v4 in [true, false].into_iter().filter(|v4| has(zone, *v4)) {
                rules.push(goto(vec![version(v4), member(zone.name, load(v4))]));
            }
        }
    }

    /// The chain of a zone's flows in one direction, with their sets.
    fn flows(&mut self, zone: &Zone, chain: &str, direction: Direction) {
        let echo = "of ICMP only echo is opened";
        let mut rules = vec![
            refuse(vec![Match::V4, Match::Transport(ICMP), Match::IcmpIsNot(8)], echo),
            refuse(vec![Match::V6, Match::Transport(ICMP6), Match::Icmp6IsNot(128)], echo),
        ];
        let flows: Vec<&Flow> = zone.flows.iter().filter(|flow| flow.direction == direction).collect();
        let within = |flow: &&Flow| direction == Direction::Forward && flow.peers == Peers::Zone;
        let (inside, others): (Vec<&Flow>, Vec<&Flow>) = flows.into_iter().partition(within);
        for v4 in [true, false] {
            let load = if direction == Direction::In { source(v4) } else { destination(v4) };
            self.lookups(&mut rules, zone, &others, (chain, v4, load), &[vec![]]);
            // inside its own zone a packet must go out by one of the zone's interfaces
            let ways: Vec<Vec<Match>> = match zone.interfaces.is_empty() {
                true => vec![vec![]],
                false => zone.interfaces.iter().map(|one| vec![Match::To(one.clone())]).collect(),
            };
            self.lookups(&mut rules, zone, &inside, (&format!("{chain}-within"), v4, load), &ways);
        }
        if !(zone.name == Name::Runtime && direction == Direction::Out) {
            rules.push(last());
        }
        self.chains.push(Chain { name: chain.to_owned(), base: None, rules });
    }

    fn lookups(
        &mut self,
        rules: &mut Vec<Rule>,
        zone: &Zone,
        flows: &[&Flow],
        (name, v4, load): (&str, bool, Load),
        ways: &[Vec<Match>],
    ) {
        for with_ports in [true, false] {
            let elements = self.elements(zone, flows, v4, with_ports);
            if elements.is_empty() {
                continue;
            }
            let set = family(&format!("{name}{}", if with_ports { "" } else { "-other" }), v4);
            let mut key = vec![load, Load::Transport];
            if with_ports {
                key.push(Load::DestinationPort);
            }
            for way in ways {
                let matches = [way.clone(), vec![version(v4), Match::In(key.clone(), set.clone())]].concat();
                rules.push(rule(matches, Act::Accept, "declared flows"));
            }
            self.sets.push(Set { name: set, key, kind: Kind::Boxes, elements });
        }
    }

    fn elements(&self, zone: &Zone, flows: &[&Flow], v4: bool, with_ports: bool) -> Vec<Element> {
        let mut elements = Vec::new();
        for protocol in protocols(flows.iter().copied()) {
            let mut boxes: Vec<(Range, Span)> = Vec::new();
            let of =
                flows.iter().filter(|flow| flow.protocol == protocol && flow.ports.is_some() == with_ports);
            for flow in of {
                let ports = flow.ports.as_ref().map_or(&[(0, 0)][..], Ports::ranges);
                for range in self.peers(zone, flow, v4) {
                    boxes.extend(ports.iter().map(|ports| (range, *ports)));
                }
            }
            let number = if protocol == ICMP && !v4 { ICMP6 } else { protocol };
            for (range, (from, to)) in apart(&boxes) {
                let mut element = vec![address(range), (Value::Number(number), Value::Number(number))];
                if with_ports {
                    element.push((Value::Port(from), Value::Port(to)));
                }
                elements.push(Element(element));
            }
        }
        elements.sort();
        elements
    }

    fn peers(&self, zone: &Zone, flow: &Flow, v4: bool) -> Vec<Range> {
        match &flow.peers {
            Peers::Networks(nets) => of_family(nets, v4),
            Peers::Zone if zone.networks.is_empty() => vec![world(v4)],
            Peers::Zone => of_family(&zone.networks, v4),
            Peers::Internet => {
                let special = SPECIAL.iter().filter_map(|text| Net::parse(text).ok());
                let zones = self.zones.zones.iter().flat_map(|zone| zone.networks.iter().copied());
                let closed: Vec<Net> = special.chain(zones).collect();
                complement(&of_family(&closed, v4), v4)
            }
        }
    }
}

/// Packets that fit no flow go; errors about flows and answers pass.
fn known() -> Vec<Rule> {
    let related = |v4, protocol| {
        let load = if v4 { Load::Icmp4 } else { Load::Icmp6 };
        let error = Match::In(vec![load], family(ERRORS, v4));
        let matches = vec![version(v4), Match::Transport(protocol), error, Match::State(State::Related)];
        rule(matches, Act::Accept, "errors about known flows")
    };
    vec![
        refuse(vec![Match::State(State::Invalid)], "fits no flow"),
        related(true, ICMP),
        related(false, ICMP6),
        rule(vec![Match::State(State::Established), Match::Reply], Act::Accept, "answers"),
    ]
}

/// Connection tracking puts packets together before this hook; a part that is still one was never looked at whole.
fn fragments() -> [Rule; 2] {
    [
        refuse(vec![Match::V4, Match::Fragment4], "a fragment that was not put together"),
        refuse(vec![Match::V6, Match::Fragment6], "a fragment that was not put together"),
    ]
}

fn sessions(hook: Hook) -> Vec<Rule> {
    let key = |v4| match hook {
        Hook::Output => vec![destination(v4), Load::DestinationPort, source(v4), Load::SourcePort],
        Hook::Input | Hook::Forward => {
            vec![source(v4), Load::SourcePort, destination(v4), Load::DestinationPort]
        }
    };
    let one = |v4: bool| {
        let lookup = Match::In(key(v4), family(SESSIONS, v4));
        rule(vec![version(v4), Match::Transport(TCP), lookup], Act::Accept, "the operator's session")
    };
    vec![one(true), one(false)]
}

fn last() -> Rule {
    refuse(Vec::new(), "not declared")
}

fn refuse(matches: Vec<Match>, comment: &str) -> Rule {
    rule(matches, Act::Goto(REFUSED.to_owned()), comment)
}

fn rule(matches: Vec<Match>, act: Act, comment: &str) -> Rule {
    let count = !matches!(act, Act::Tell(_) | Act::Jump(_));
    Rule { matches, count, act, comment: comment.to_owned() }
}

fn has(zone: &Zone, v4: bool) -> bool {
    zone.networks.iter().any(|net| net.is_v4() == v4)
}

fn member(zone: Name, load: Load) -> Match {
    let v4 = matches!(load, Load::Source4 | Load::Destination4);
    Match::In(vec![load], networks(zone, v4))
}

fn networks(zone: Name, v4: bool) -> String {
    family(&format!("{}-networks", zone.as_str()), v4)
}

fn protocols<'a>(flows: impl IntoIterator<Item = &'a Flow>) -> Vec<u8> {
    let mut all: Vec<u8> = flows.into_iter().map(|flow| flow.protocol).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn of_family(nets: &[Net], v4: bool) -> Vec<Range> {
    nets.iter().filter(|net| net.is_v4() == v4).map(|net| (net.address(), net.last())).collect()
}

fn address((from, to): (IpAddr, IpAddr)) -> (Value, Value) {
    (Value::Address(from), Value::Address(to))
}

fn version(v4: bool) -> Match {
    if v4 { Match::V4 } else { Match::V6 }
}

fn source(v4: bool) -> Load {
    if v4 { Load::Source4 } else { Load::Source6 }
}

fn destination(v4: bool) -> Load {
    if v4 { Load::Destination4 } else { Load::Destination6 }
}

fn family(name: &str, v4: bool) -> String {
    format!("{name}{}", if v4 { 4 } else { 6 })
}

const REFUSED: &str = "refused";
const NEIGHBOURS: &str = "neighbours";
const LISTENERS: &str = "listeners";
/// The sets that hold types of errors, without their family.
const ERRORS: &str = "errors";
/// The set that holds sessions to keep, without its family.
pub(super) const SESSIONS: &str = "sessions";
const RUNTIME: &str = "runtime-sockets";

/// RFC 4890, 4.4.1: router and neighbour solicitation and advertisement, their inverse, certificate paths. No redirects.
const NEIGHBOUR_TYPES: &[u8] = &[133, 134, 135, 136, 141, 142, 148, 149];
/// RFC 4890, 4.4.1: multicast listener query, report, done, report version 2; multicast router discovery.
const LISTENER_TYPES: &[u8] = &[130, 131, 132, 143, 151, 152, 153];
/// RFC 792 and RFC 1122: unreachable, time exceeded, parameter problem. Redirects and source quench are no errors.
const ERROR_TYPES4: &[u8] = &[3, 11, 12];
/// RFC 4443: unreachable, too big, time exceeded, parameter problem.
const ERROR_TYPES6: &[u8] = &[1, 2, 3, 4];

/// What is not the internet: the special-purpose registries of IANA (RFC 6890), and metadata services in public space.
pub(super) const SPECIAL: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];
