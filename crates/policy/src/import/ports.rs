//! Ports by transport, as the sources name them.

use super::k8s::target;
use super::ordered::Step;
use super::write::{Draft, Entry};

/// Sets of ports, each with its transport; `None` is TCP and UDP.
#[derive(Debug, Clone, Default)]
pub(super) struct PortSets(pub(super) Vec<(Option<&'static str>, String)>);

/// What a peer of a rule is.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) line: u32,
    /// A network, an address, a host or a wildcard of ours, in the source's spelling.
    pub(super) text: String,
    /// Networks that are cut out of it.
    pub(super) except: Vec<String>,
}

impl PortSets {
    /// Adds ports to the set of a transport.
    pub(super) fn add(&mut self, transport: Option<&'static str>, ports: String) {
        match self.0.iter_mut().find(|(own, _)| *own == transport) {
            Some((_, own)) if own == "*" || ports == "*" => "*".clone_into(own),
            Some((_, own)) => *own = format!("{own},{ports}"),
            None => self.0.push((transport, ports)),
        }
    }

    /// Every port of both transports.
    pub(super) fn everything() -> PortSets {
        PortSets(vec![(None, "*".to_owned())])
    }

    /// What a rule that opens can say: each transport by itself.
    pub(super) fn opening(&self) -> Vec<(&'static str, String)> {
        let mut sets = Vec::new();
        for (transport, ports) in &self.0 {
            match transport {
                Some(transport) => sets.push((*transport, ports.clone())),
                None => sets.extend([("TCP", ports.clone()), ("UDP", ports.clone())]),
            }
        }
        sets
    }
}

impl Peer {
    pub(super) fn new(line: u32, text: &str) -> Peer {
        Peer { line, text: text.to_owned(), except: Vec::new() }
    }

    /// Every IPv4 and every IPv6 address.
    pub(super) fn everything(line: u32) -> [Peer; 2] {
        [Peer::new(line, "0.0.0.0/0"), Peer::new(line, "::/0")]
    }

    fn destinations(&self, ports: &str) -> Vec<String> {
        let whole = target(&self.text, ports);
        if self.except.is_empty() {
            return vec![whole];
        }
        let holes: Option<Vec<claw_model::destination::Destination>> =
            self.except.iter().map(|hole| target(hole, ports).parse().ok()).collect();
        match (whole.parse(), holes) {
            (Ok(whole), Some(holes)) => {
                let rest = crate::space::cut(&whole, holes.iter());
                rest.parts.iter().map(ToString::to_string).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Draft {
    /// The steps of one rule: each peer on each set of ports. What denies and cannot be told apart denies more.
    pub(super) fn steps(
        &mut self,
        accept: bool,
        peers: &[Peer],
        ports: &PortSets,
        purpose: Option<&str>,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        for peer in peers {
            let sets: Vec<(Option<&'static str>, String)> = match accept {
                true => {
                    ports.opening().into_iter().map(|(transport, ports)| (Some(transport), ports)).collect()
                }
                false => ports.0.clone(),
            };
            for (protocol, ports) in sets {
                let destinations = peer.destinations(&ports);
                if destinations.is_empty() && !accept {
                    // an exception that cannot be cut out of a denial: all of it is denied
                    steps.push(step(peer, accept, target(&peer.text, &ports), protocol, purpose));
                } else if destinations.is_empty() {
                    self.lose(
                        peer.line,
                        format!("nothing is left of `{}`: left out", peer.text.escape_debug()),
                    );
                }
                for destination in destinations {
                    steps.push(step(peer, accept, destination, protocol, purpose));
                }
            }
        }
        steps
    }

    /// Opens each peer on each set of ports, where the source's rules have no order.
    pub(super) fn open(&mut self, peers: &[Peer], ports: &PortSets, purpose: Option<&str>) {
        for step in self.steps(true, peers, ports, purpose) {
            let entry = Entry::new(step.line, step.destination, step.protocol);
            self.entries.push(Entry { purpose: step.purpose, ..entry });
        }
    }
}

fn step(
    peer: &Peer,
    accept: bool,
    destination: String,
    protocol: Option<&'static str>,
    purpose: Option<&str>,
) -> Step {
    Step { line: peer.line, accept, destination, protocol, purpose: purpose.map(str::to_owned) }
}
