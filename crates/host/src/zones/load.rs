//! From a zones file to zones, or to everything that is wrong with it.

use claw_model::digest::Digest;
use claw_model::nearest::nearest;
use claw_model::net::{Net, Special, special};
use claw_model::port::Ports;
use claw_policy::PolicyError;
use claw_policy::yaml::{At, Extra, Keyed, Loose, Place, Problem, read};

use super::raw::{RawFile, RawFlow, RawZone, RawZones};
use super::{Direction, Flow, ICMP, ICMP6, Interface, Log, Name, Output, PROTOCOLS, Peers, Zone, Zones};

struct Loader<'a> {
    text: &'a str,
    problems: Vec<Problem>,
    notes: Vec<String>,
}

/// A zone, and where its flows and their parts stand.
struct Placed {
    zone: Zone,
    place: Place,
    flows: Vec<(Place, Vec<Place>)>,
}

pub(super) fn load(text: &str, name: &str) -> Result<Zones, PolicyError> {
    let refuse = |problems| PolicyError::new(name, text, problems);
    let raw = read::<RawFile>(text).map_err(|problem| refuse(vec![reworded(problem)]))?.unwrap_or_default();
    let mut loader = Loader { text, problems: Vec::new(), notes: Vec::new() };
    let zones = loader.file(raw, name);
    if loader.problems.is_empty() {
        return Ok(Zones { notes: loader.notes, digest: Digest::of(text.as_bytes()), ..zones });
    }
    Err(refuse(loader.problems))
}

/// The reader speaks of policies.
fn reworded(problem: Problem) -> Problem {
    match problem.hint() {
        Some(hint) if hint.contains("claw policy schema") => {
            problem.help("docs/firewall.md shows the shape of a zones file")
        }
        _ => problem,
    }
}

impl Loader<'_> {
    fn file(&mut self, raw: RawFile, name: &str) -> Zones {
        match &raw.version {
            None => {
                self.tell(Place { line: 1, ..Place::default() }, "`version` is missing", "write `version: 1`")
            }
            Some(At { value: 1, .. }) => {}
            Some(at) => {
                let what = format!("version {} is not known", at.value);
                self.tell(at.place, what, "this claw reads version 1");
            }
        }
        self.extra::<RawFile>(&raw.extra, "a zones file");
        let output = self.output(raw.output.as_ref());
        let log = self.log(raw.log.as_ref());
        let raw = raw.zones.unwrap_or_default();
        self.extra::<RawZones>(&raw.extra, "`zones`");
        let named = [
            (Name::Management, raw.management),
            (Name::Runtime, raw.runtime),
            (Name::Workload, raw.workload),
        ];
        let placed: Vec<Placed> =
            named.into_iter().filter_map(|(name, raw)| Some(self.zone(name, raw?))).collect();
        if placed.is_empty() && self.problems.is_empty() {
            let place = Place { line: 1, ..Place::default() };
            self.tell(
                place,
                "no zone is declared: everything would be refused",
                "write `zones:` with `management`, `runtime` or `workload`; docs/firewall.md shows the shape",
            );
        }
        self.together(&placed);
        self.remark(&placed, output);
        Zones {
            file: name.into(),
            digest: Digest::of(b""),
            output,
            log,
            zones: placed.into_iter().map(|placed| placed.zone).collect(),
            notes: Vec::new(),
        }
    }

    fn output(&mut self, raw: Option<&At<String>>) -> Output {
        let Some(At { value, place }) = raw else { return Output::Accept };
        match value.as_str() {
            "accept" => Output::Accept,
            "drop" => Output::Drop,
            other => {
                self.word(*place, other, "a policy for what this host sends", &["accept", "drop"]);
                Output::Accept
            }
        }
    }

    fn log(&mut self, raw: Option<&At<Loose>>) -> Log {
        let Some(At { value, place }) = raw else { return Log::Kernel };
        match value {
            Loose::Word(word) if word == "kernel" => Log::Kernel,
            Loose::Word(word) if word == "none" => Log::None,
            Loose::Word(word) => match word.parse::<u16>() {
                Ok(group) => Log::Group(group),
                Err(_) => {
                    self.word(*place, word, "a place for the log", &["kernel", "none"]);
                    Log::None
                }
            },
            Loose::Other => {
                self.tell(
                    *place,
                    "`log` is one word or a number",
                    "write `kernel`, `none`, or the number of an NFLOG group",
                );
                Log::None
            }
        }
    }

    fn zone(&mut self, name: Name, At { value: raw, place }: At<RawZone>) -> Placed {
        self.extra::<RawZone>(&raw.extra, "a zone");
        let (interfaces, networks) = (raw.interfaces.unwrap_or_default(), raw.networks.unwrap_or_default());
        if name != Name::Runtime && interfaces.is_empty() && networks.is_empty() {
            let what = format!("the zone `{name}` names neither interfaces nor networks");
            self.tell(place, what, "name at least one: else nobody is in it");
        }
        let interfaces: Vec<Interface> =
            interfaces.iter().filter_map(|text| self.interface(name, text)).collect();
        let networks: Vec<Net> = networks.iter().filter_map(|text| self.network(name, text)).collect();
        let user = raw.user.and_then(|user| self.user(name, &user));
        let mut zone = Zone { name, interfaces, networks, user, flows: Vec::new(), line: place.line };
        let mut flows = Vec::new();
        for flow in raw.flows.unwrap_or_default() {
            let at = flow.place;
            let parts: Vec<Place> = flow.value.to.iter().flatten().map(|text| text.place).collect();
            if let Some(flow) = self.flow(&zone, flow) {
                zone.flows.push(flow);
                flows.push((at, parts));
            }
        }
        Placed { zone, place, flows }
    }

    fn user(&mut self, zone: Name, At { value, place }: &At<Loose>) -> Option<u32> {
        if zone != Name::Runtime {
            self.tell(
                *place,
                format!("the zone `{zone}` has no `user`"),
                "only the runtime is on this host: remove it",
            );
            return None;
        }
        let number = match value {
            Loose::Word(word) if word.bytes().all(|byte| byte.is_ascii_digit()) => word.parse().ok(),
            _ => None,
        };
        if number.is_none_or(|number| number == u32::MAX) {
            self.tell(*place, "`user` is the number of a user", "write what `id -u NAME` prints, as `990`");
            return None;
        }
        number
    }

    fn interface(&mut self, zone: Name, At { value, place }: &At<String>) -> Option<Interface> {
        let (name, prefix) = match value.strip_suffix('*') {
            Some(name) => (name, true),
            None => (value.as_str(), false),
        };
        let shown = value.escape_debug();
        let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '*' | '"' | '\\' | ':');
        if name.is_empty() || name.len() > 15 || !name.chars().all(fits) || name == "." || name == ".." {
            let what = format!("`{shown}` is not an interface");
            self.tell(*place, what, "write a name of at most 15 characters as `eth0`, or `veth*`");
            return None;
        }
        let interface = Interface { name: name.to_owned(), prefix };
        let loopback = Interface { name: "lo".to_owned(), prefix: false };
        match zone {
            Name::Runtime if interface != loopback => {
                let what = format!("the runtime is on `lo` only, not on `{shown}`");
                self.tell(
                    *place,
                    what,
                    "leave `interfaces` out: sockets of the runtime are on loopback only",
                );
                None
            }
            Name::Management | Name::Workload if interface.overlaps(&loopback) => {
                self.tell(
                    *place,
                    format!("`{shown}` is loopback, where the runtime is"),
                    "name other interfaces",
                );
                None
            }
            _ => Some(interface),
        }
    }

    fn network(&mut self, zone: Name, text: &At<String>) -> Option<Net> {
        let net = self.net(text)?;
        let loopback = special(net.address()) == Some(Special::Loopback)
            && special(net.last()) == Some(Special::Loopback);
        let what = match zone {
            Name::Runtime if !loopback => format!("the runtime is on loopback only, not on {net}"),
            Name::Management | Name::Workload if loopback => {
                format!("{net} is loopback, where the runtime is")
            }
            Name::Management | Name::Workload if net.is_world() => {
                format!("{net} is every address: whoever writes from there would be in the zone")
            }
            _ => return Some(net),
        };
        self.tell(text.place, what, "name the zone's own networks, or leave `networks` out");
        None
    }

    fn net(&mut self, At { value, place }: &At<String>) -> Option<Net> {
        Net::parse(value)
            .map_err(|error| self.tell(*place, error.to_string(), "write `10.0.0.0/24` or `fd00:1::/64`"))
            .ok()
    }

    fn flow(&mut self, zone: &Zone, At { value: raw, place }: At<RawFlow>) -> Option<Flow> {
        let before = self.problems.len();
        self.extra::<RawFlow>(&raw.extra, "a flow");
        let direction = self.direction(raw.direction.as_ref(), place);
        let protocol = self.protocol(raw.protocol.as_ref(), place);
        let ports = self.ports(raw.ports.as_ref(), protocol, place);
        match &raw.purpose {
            Some(At { value, .. }) if !value.trim().is_empty() => {}
            Some(at) => self.tell(at.place, "`purpose` is empty", "say why it is needed: somebody will ask"),
            None => self.tell(place, "a flow without `purpose`", "say why it is needed: somebody will ask"),
        }
        let (direction, protocol) = (direction?, protocol?);
        let peers = self.peers(zone, direction, &raw, place);
        if self.problems.len() > before {
            return None;
        }
        let purpose = raw.purpose.map(|at| at.value).unwrap_or_default();
        Some(Flow { direction, protocol, ports, peers: peers?, purpose, line: place.line })
    }

    fn direction(&mut self, raw: Option<&At<String>>, flow: Place) -> Option<Direction> {
        let Some(At { value, place }) = raw else {
            self.tell(
                flow,
                "a flow without `direction`",
                "write `in`, `out` or `forward`, seen from this host",
            );
            return None;
        };
        match value.as_str() {
            "in" => Some(Direction::In),
            "out" => Some(Direction::Out),
            "forward" => Some(Direction::Forward),
            other => {
                self.word(*place, other, "a direction", &["in", "out", "forward"]);
                None
            }
        }
    }

    fn protocol(&mut self, raw: Option<&At<Loose>>, flow: Place) -> Option<u8> {
        let Some(At { value, place }) = raw else {
            self.tell(flow, "a flow without `protocol`", "write `TCP`, `UDP`, `ICMP`, or a number");
            return None;
        };
        let Loose::Word(word) = value else {
            self.tell(
                *place,
                "`protocol` is one word or a number",
                "write `TCP`, `UDP`, `ICMP`, or a number",
            );
            return None;
        };
        if let Some((_, number, _)) = PROTOCOLS.iter().find(|(name, ..)| name == word) {
            return Some(*number);
        }
        match word.parse::<u8>() {
            Ok(ICMP6) => {
                self.tell(
                    *place,
                    "58 is ICMPv6, by which hosts redirect each other",
                    "write `ICMP`: echo of both families",
                );
                None
            }
            Ok(number) if number > 0 && !word.starts_with('+') => Some(number),
            _ => {
                let names: Vec<&str> = PROTOCOLS.iter().map(|(name, ..)| *name).collect();
                self.word(*place, word, "a protocol", &names);
                None
            }
        }
    }

    fn ports(&mut self, raw: Option<&At<Loose>>, protocol: Option<u8>, flow: Place) -> Option<Ports> {
        let protocol = protocol?;
        let has = PROTOCOLS.iter().any(|(_, number, ports)| *number == protocol && *ports);
        match (raw, has) {
            (None, false) => None,
            (None, true) => {
                self.tell(flow, "a flow without `ports`", "write `443`, `80,443`, `8000-8010` or `*`");
                None
            }
            (Some(at), false) => {
                self.tell(at.place, format!("protocol {protocol} has no ports"), "remove `ports`");
                None
            }
            (Some(At { value: Loose::Word(word), place }), true) => Ports::parse(word)
                .map_err(|error| {
                    self.tell(*place, error.to_string(), "write `443`, `80,443`, `8000-8010` or `*`")
                })
                .ok(),
            (Some(at), true) => {
                self.tell(at.place, "`ports` is one word or a number", "write `\"80,443\"`");
                None
            }
        }
    }

    fn peers(&mut self, zone: &Zone, direction: Direction, raw: &RawFlow, flow: Place) -> Option<Peers> {
        let list = match direction {
            Direction::In => {
                if let Some(at) = raw.to.iter().flatten().next() {
                    self.tell(at.place, "a flow `in` ends at this host: it has no `to`", "write `from`");
                    return None;
                }
                raw.from.as_deref()
            }
            Direction::Out | Direction::Forward => {
                if let Some(at) = raw.from.iter().flatten().next() {
                    let what = format!("a flow `{}` has no `from`", direction.as_str());
                    self.tell(at.place, what, "it begins at this host, or in the whole zone; write `to`");
                    return None;
                }
                raw.to.as_deref()
            }
        };
        let runtime = zone.name == Name::Runtime;
        if runtime && direction == Direction::Forward {
            self.tell(flow, "nothing is forwarded for the runtime: it is this host", "write `out`");
            return None;
        }
        let Some(list) = list.filter(|list| !list.is_empty()) else {
            if direction == Direction::Forward || (runtime && direction == Direction::Out) {
                self.tell(flow, "where does it go?", "write `to:` with networks or `internet`");
                return None;
            }
            return Some(Peers::Zone);
        };
        if runtime && direction == Direction::In {
            self.tell(flow, "the runtime's own sockets are on loopback only", "remove `from`");
            return None;
        }
        let far = direction == Direction::Forward || runtime;
        if let [only] = list {
            if far && only.value == "internet" {
                return Some(Peers::Internet);
            }
            if direction == Direction::Forward && only.value == zone.name.as_str() {
                return Some(Peers::Zone);
            }
        }
        let mut nets = Vec::new();
        for text in list {
            // a zone's name beside its own is told by its meaning, later
            if far && text.value != "internet" && Name::ALL.iter().any(|name| name.as_str() == text.value) {
                self.crossing(zone.name, &text.value, text.place);
                continue;
            }
            let Some(net) = self.net(text) else { continue };
            if far {
                self.far(net, text.place);
            } else if !zone.networks.is_empty() && !zone.networks.iter().any(|own| own.covers(&net)) {
                let what = format!("{net} is not in the zone `{}`", zone.name);
                self.tell(text.place, what, "name a part of one of its networks");
            }
            nets.push(net);
        }
        Some(Peers::Networks(nets))
    }

    fn crossing(&mut self, from: Name, to: &str, place: Place) {
        let help = match to == Name::Runtime.as_str() {
            true => "the runtime is this host: declare a flow `in`",
            false => "the host never forwards between agents and those who command it; no flow can open that",
        };
        self.tell(place, format!("a flow from `{from}` to `{to}`"), help);
    }

    /// Special ranges are never meant by accident.
    fn far(&mut self, net: Net, place: Place) {
        let inside = METADATA
            .iter()
            .filter_map(|text| Net::parse(text).ok())
            .find(|one| net.covers(one) && net != *one);
        if let Some(one) = inside {
            let what = format!("{net} holds {one}, a metadata service that hands out credentials");
            self.tell(place, what, "name networks that leave it out, `internet`, or the address itself");
        }
    }

    /// What only shows when all zones are known.
    fn together(&mut self, all: &[Placed]) {
        for (index, one) in all.iter().enumerate() {
            for other in all.iter().skip(index.saturating_add(1)) {
                let shared = one.zone.name != Name::Runtime && other.zone.name != Name::Runtime;
                if shared && meets(&one.zone, &other.zone) {
                    let (first, second) = (one.zone.name, other.zone.name);
                    let what = format!("`{first}` and `{second}` meet: a packet could be of both");
                    let problem = Problem::new(what, other.place, "this zone")
                        .also(one.place, "and this one")
                        .help("give them different interfaces, or networks that are apart");
                    self.problems.push(problem);
                }
            }
        }
        let reserved: Vec<(&Flow, Place)> = runtime_sockets(all);
        for placed in all {
            for (flow, (place, parts)) in placed.zone.flows.iter().zip(&placed.flows) {
                self.crosses(all, &placed.zone, flow, parts);
                if placed.zone.name == Name::Runtime || flow.direction != Direction::In {
                    continue;
                }
                let taken = reserved.iter().find(|(own, _)| {
                    own.protocol == flow.protocol
                        && matches!((&own.ports, &flow.ports), (Some(a), Some(b)) if a.overlaps(b))
                });
                if let Some((_, own)) = taken {
                    let problem =
                        Problem::new("this flow opens a socket of the runtime", *place, "opened here")
                            .also(*own, "the runtime's, on loopback only")
                            .help("remove one of the two: sockets of the runtime are on loopback only");
                    self.problems.push(problem);
                }
            }
        }
    }

    /// A flow that leaves its zone must not enter another one.
    fn crosses(&mut self, all: &[Placed], zone: &Zone, flow: &Flow, parts: &[Place]) {
        let leaves = flow.direction == Direction::Forward || zone.name == Name::Runtime;
        let (Peers::Networks(nets), true) = (&flow.peers, leaves) else { return };
        for (net, place) in nets.iter().zip(parts) {
            for other in all.iter().filter(|other| other.zone.name != zone.name) {
                let Some(met) = other.zone.networks.iter().find(|own| own.overlaps(net)) else { continue };
                let name = other.zone.name;
                let problem =
                    Problem::new(format!("{net} meets {met} of the zone `{name}`"), *place, "goes there");
                self.problems.push(problem.also(other.place, "that zone").help(match zone.name.walled() {
                    Some(walled) if walled == name => {
                        "the host never forwards between agents and those who command it; no flow can open that"
                    }
                    _ => "declare the flow in the zone that it goes to",
                }));
            }
        }
    }

    fn remark(&mut self, all: &[Placed], output: Output) {
        let has = |name: Name| all.iter().find(|placed| placed.zone.name == name).map(|placed| &placed.zone);
        match has(Name::Management) {
            None => self.notes.push(
                "there is no zone `management`: nobody is let in but by flows of other zones, and sessions that are kept".to_owned(),
            ),
            Some(zone) if zone.networks.is_empty() => self.notes.push(
                "`management` names no networks: addresses of this host there are not closed to the zone `workload`".to_owned(),
            ),
            Some(_) => {}
        }
        match has(Name::Workload) {
            None => self
                .notes
                .push("there is no zone `workload`: nothing is told apart from management".to_owned()),
            Some(zone) if zone.interfaces.is_empty() => self.notes.push(
                "`workload` names no interfaces: whoever sends from its addresses is taken for it, and it may send from others'".to_owned(),
            ),
            Some(zone) if zone.networks.is_empty() => self.notes.push(
                "`workload` names no networks: it may send from any address, and forge what others answer".to_owned(),
            ),
            Some(_) => {}
        }
        if let Some(zone) = has(Name::Runtime)
            && zone.user.is_none()
            && output == Output::Drop
            && zone.flows.iter().any(|flow| flow.direction == Direction::Out)
        {
            self.notes.push(
                "`runtime` names no `user`: its flows `out` are open to every process of this host"
                    .to_owned(),
            );
        }
        let out = |placed: &Placed| placed.zone.flows.iter().any(|flow| flow.direction == Direction::Out);
        if output == Output::Accept && all.iter().any(out) {
            self.notes.push(
                "flows `out` hold nothing without `output: drop`: this host may send what it likes"
                    .to_owned(),
            );
        }
    }

    fn extra<T: Keyed>(&mut self, extra: &[Extra], whose: &str) {
        for Extra { key, value } in extra {
            let place = self.key_place(key, *value);
            let help = match nearest(key, T::KEYS.iter().copied()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("known keys: {}", T::KEYS.join(", ")),
            };
            let what = format!("`{}` is not a key of {whose}", key.escape_debug());
            self.problems.push(Problem::new(what, place, "unknown key").help(help));
        }
    }

    /// The key's own place, looked for before its value.
    fn key_place(&self, key: &str, value: Place) -> Place {
        let before = self.text.get(..value.start).unwrap_or_default();
        let Some(start) = before.rfind(key).filter(|start| value.start.saturating_sub(*start) < 300) else {
            return value;
        };
        let gap = self.text.get(start..value.start).map_or(0, |gap| gap.matches('\n').count());
        let line = value.line.saturating_sub(u32::try_from(gap).unwrap_or_default());
        Place { start, length: key.len(), line }
    }

    fn word(&mut self, place: Place, word: &str, what: &str, known: &[&str]) {
        let help = match nearest(word, known.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("known: {}", known.join(", ")),
        };
        self.tell(
            place,
            format!("`{}` is not {what}", word.chars().take(80).collect::<String>().escape_debug()),
            help,
        );
    }

    fn tell(&mut self, place: Place, what: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(what, place, "here").help(help));
    }
}

/// Whether a packet could be of both zones.
fn meets(one: &Zone, other: &Zone) -> bool {
    let interfaces = one.interfaces.is_empty()
        || other.interfaces.is_empty()
        || one.interfaces.iter().any(|a| other.interfaces.iter().any(|b| a.overlaps(b)));
    let networks = one.networks.is_empty()
        || other.networks.is_empty()
        || one.networks.iter().any(|a| other.networks.iter().any(|b| a.overlaps(b)));
    interfaces && networks
}

/// The runtime's own sockets.
fn runtime_sockets(all: &[Placed]) -> Vec<(&Flow, Place)> {
    let runtime = all.iter().filter(|placed| placed.zone.name == Name::Runtime);
    let flows = runtime.flat_map(|placed| placed.zone.flows.iter().zip(&placed.flows));
    flows
        .filter(|(flow, _)| flow.direction == Direction::In && flow.protocol != ICMP)
        .map(|(flow, at)| (flow, at.0))
        .collect()
}

/// Services of clouds that hand out credentials to whoever asks.
const METADATA: &[&str] =
    &["169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"];
