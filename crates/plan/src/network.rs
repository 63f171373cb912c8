//! The network namespace: which addresses stand for names, and which openings the kernel steers to the gate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use claw_model::boxes;
use claw_model::destination::Target;
use claw_model::net::Net;
use claw_model::phase::Phase;
use claw_model::protocol::Transport;
use claw_policy::{Policy, Rule};
use serde::{Deserialize, Serialize};

use crate::BuildError;

mod public;

/// Addresses, routes, rules and sockets of the network namespace. `lo` is its only interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The IPv4 pool that stands for names: its first address. Ordinary public space, since clients refuse names that
    /// resolve to special ranges; it exists only inside.
    pub pool4: Ipv4Addr,
    /// The IPv6 pool.
    pub pool6: Ipv6Addr,
    /// The sandbox's own address, IPv4: source of what the agent sends, and its name server.
    pub own4: Ipv4Addr,
    /// The sandbox's own address, IPv6.
    pub own6: Ipv6Addr,
    /// The port of the transparent listener, below 1024 so that an agent cannot take it.
    pub listener: u16,
    /// Networks that a rule names: passed to the gate without a name.
    pub openings: Vec<Opening>,
    /// Ports on which a UDP socket is held for the gate, beside 53.
    pub udp_ports: Vec<u16>,
    /// Datagrams to every port are steered to the gate once it lets them pass: for an observed run alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub catch_all: bool,
    /// Answers to datagrams may come back from every port: for an observed run that lets them through.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answers: bool,
    /// Hooks inside may say which package opens a connection: for an observed run alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub packages: bool,
}

/// A box of addresses and ports that the kernel steers to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// First address.
    pub from: IpAddr,
    /// Last address.
    pub to: IpAddr,
    /// Whether datagrams rather than connections.
    pub transport: Transport,
    /// First and last port.
    pub ports: (u16, u16),
}

impl Network {
    /// The network for this policy, opened for this phase. Sockets and addresses are for both phases.
    pub fn of(policy: &Policy, phase: Phase) -> Result<Network, BuildError> {
        let udp_ports = udp_ports(policy);
        if udp_ports.len() > MOST_UDP_PORTS {
            return Err(BuildError::UdpPorts { count: udp_ports.len() });
        }
        let nets: Vec<&Net> = nets(policy).collect();
        let pool4 = POOLS4
            .iter()
            .map(|first| Ipv4Addr::new(*first, 64, 0, 0))
            .find(|pool| is_free(&nets, (*pool).into(), 10))
            .ok_or(BuildError::NoPool { family: "IPv4" })?;
        let pool6 = (0..16u16)
            .map(|step| Ipv6Addr::new(0x2608, 0x100u16.saturating_add(step), 0xc1a0, 0, 0, 0, 0, 0))
            .find(|pool| is_free(&nets, (*pool).into(), 48))
            .ok_or(BuildError::NoPool { family: "IPv6" })?;
        Ok(Network {
            pool4,
            pool6,
            own4: offset4(pool4, 1),
            own6: offset6(pool6, 1),
            listener: 1,
            openings: openings(policy, phase),
            udp_ports,
            catch_all: false,
            answers: false,
            packages: false,
        })
    }

    /// Why this network cannot serve another policy; `None` if it can.
    pub fn misfit(&self, policy: &Policy) -> Option<String> {
        if let Some(port) = udp_ports(policy).into_iter().find(|port| !self.udp_ports.contains(port)) {
            return Some(format!("UDP port {port} is new, and its socket can only be made at the start"));
        }
        let own = |net: &&Net| {
            let pools = [(IpAddr::V4(self.pool4), 10), (IpAddr::V6(self.pool6), 48)];
            pools
                .iter()
                .any(|(pool, prefix)| Net::new(*pool, *prefix).is_some_and(|pool| net.overlaps(&pool)))
        };
        let met = nets(policy).find(own)?;
        Some(format!("the network {met} meets the addresses that stand for names in this run"))
    }

    /// Where hooks inside say which package opens a connection. The port is below 1024, so that an agent cannot take it.
    pub fn packages(&self) -> SocketAddr {
        SocketAddr::new(self.own4.into(), self.listener.saturating_add(1))
    }

    /// Every address and port that connections may be opened to, and datagrams too if they are steered.
    pub fn everything(&self) -> Vec<Opening> {
        let all: [(IpAddr, IpAddr); 2] = [
            (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()),
            (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::from(u128::MAX).into()),
        ];
        self.boxes(&all)
    }

    /// Every public address, and with them those that stand for names, on every port.
    pub fn everything_public(&self) -> Vec<Opening> {
        self.boxes(&public::boxes())
    }

    /// Whether an address is kept for names, or for the sandbox itself: nothing outside is reached by it.
    pub fn is_pool(&self, address: IpAddr) -> bool {
        let pools = [(IpAddr::V4(self.pool4), 10), (IpAddr::V6(self.pool6), 48)];
        pools.iter().any(|(pool, prefix)| Net::new(*pool, *prefix).is_some_and(|pool| pool.contains(address)))
    }

    fn boxes(&self, ranges: &[(IpAddr, IpAddr)]) -> Vec<Opening> {
        let transports =
            if self.catch_all { &[Transport::Tcp, Transport::Udp][..] } else { &[Transport::Tcp] };
        let one = |transport: Transport| {
            ranges.iter().map(move |(from, to)| Opening {
                from: *from,
                to: *to,
                transport,
                ports: (1, u16::MAX),
            })
        };
        transports.iter().flat_map(|transport| one(*transport)).collect()
    }

    /// The addresses of the `index`th name; `None` when the pool is used up.
    pub fn addresses(&self, index: u32) -> Option<(Ipv4Addr, Ipv6Addr)> {
        (index < CAPACITY).then(|| {
            let step = index.saturating_add(FIRST_NAME);
            (offset4(self.pool4, step), offset6(self.pool6, step))
        })
    }

    /// Which name an address stands for, by its place in the pool.
    pub fn index(&self, address: IpAddr) -> Option<u32> {
        let step = match address {
            IpAddr::V4(address) => u32::from(address).checked_sub(u32::from(self.pool4))?,
            IpAddr::V6(address) => {
                u32::try_from(u128::from(address).checked_sub(u128::from(self.pool6))?).ok()?
            }
        };
        step.checked_sub(FIRST_NAME).filter(|index| *index < CAPACITY)
    }
}

/// The rules that open, of both phases.
fn opening(policy: &Policy) -> impl Iterator<Item = &Rule> {
    policy.rules().iter().map(AsRef::as_ref).filter(|rule| rule.list().phase().is_some())
}

fn nets(policy: &Policy) -> impl Iterator<Item = &Net> {
    opening(policy).filter_map(|rule| match &rule.destination().target {
        Target::Net(net) => Some(net),
        Target::Name(_) => None,
    })
}

/// Ports for which a UDP socket is held, beside 53.
fn udp_ports(policy: &Policy) -> Vec<u16> {
    let datagrams = opening(policy).filter(|rule| rule.protocol().transport() == Transport::Udp);
    let ranges = datagrams.flat_map(|rule| rule.destination().ports.ranges());
    let mut ports: Vec<u16> = ranges.flat_map(|(from, to)| *from..=*to).filter(|port| *port != 53).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The boxes of the network rules of a phase, apart from each other.
pub fn openings(policy: &Policy, phase: Phase) -> Vec<Opening> {
    let mut openings = Vec::new();
    for rule in opening(policy).filter(|rule| rule.list().phase() == Some(phase)) {
        let Target::Net(net) = &rule.destination().target else { continue };
        let transport = rule.protocol().transport();
        let (from, to) = (net.address(), net.last());
        let ports = rule.destination().ports.ranges().iter();
        openings.extend(ports.map(|ports| Opening { from, to, transport, ports: *ports }));
    }
    apart(&openings)
}

/// The same addresses and ports in boxes that do not meet: the kernel's sets hold no others.
pub fn apart(openings: &[Opening]) -> Vec<Opening> {
    let mut result = Vec::new();
    for (v4, transport) in
        [(true, Transport::Tcp), (true, Transport::Udp), (false, Transport::Tcp), (false, Transport::Udp)]
    {
        let same = openings.iter().filter(|one| one.from.is_ipv4() == v4 && one.transport == transport);
        let boxes: Vec<_> = same.map(|one| ((one.from, one.to), one.ports)).collect();
        let apart = boxes::apart(&boxes).into_iter();
        result.extend(apart.map(|((from, to), ports)| Opening { from, to, transport, ports }));
    }
    result
}

fn is_free(nets: &[&Net], address: IpAddr, prefix: u8) -> bool {
    Net::new(address, prefix).is_some_and(|pool| nets.iter().all(|net| !net.overlaps(&pool)))
}

fn offset4(base: Ipv4Addr, step: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(base).saturating_add(step))
}

fn offset6(base: Ipv6Addr, step: u32) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(base).saturating_add(u128::from(step)))
}

/// /8 networks of public space that are hardly ever dialled by address (IANA IPv4 address space registry).
const POOLS4: &[u8] = &[11, 22, 26, 28, 29, 30, 33, 55, 214, 215];
/// The first addresses of the pool are the sandbox's own.
const FIRST_NAME: u32 = 256;
/// How many names one run may look up.
const CAPACITY: u32 = (1 << 22) - 2 * FIRST_NAME;
/// One socket is held for each port.
const MOST_UDP_PORTS: usize = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn opening(from: u8, to: u8, first: u16, last: u16) -> Opening {
        let at = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        Opening {
            from: at(from.min(to)),
            to: at(from.max(to)),
            transport: Transport::Tcp,
            ports: (first.min(last), first.max(last)),
        }
    }

    fn holds(openings: &[Opening], address: u8, port: u16) -> usize {
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, address));
        let holds = |one: &&Opening| {
            (one.from..=one.to).contains(&address) && (one.ports.0..=one.ports.1).contains(&port)
        };
        openings.iter().filter(holds).count()
    }

    #[test]
    fn the_last_address_is_kept() {
        let all =
            Opening { from: [0; 16].into(), to: [255; 16].into(), transport: Transport::Udp, ports: (1, 2) };
        assert_eq!(apart(&[all]), [all]);
        let v4 = Opening {
            from: [255, 0, 0, 0].into(),
            to: [255; 4].into(),
            transport: Transport::Tcp,
            ports: (1, 2),
        };
        assert_eq!(apart(&[v4, v4]), [v4]);
    }

    proptest! {
        #[test]
        fn boxes_apart_hold_the_same(
            boxes in proptest::collection::vec((0u8..20, 0u8..20, 1u16..20, 1u16..20), 0..8)
        ) {
            let openings: Vec<Opening> = boxes.into_iter().map(|(a, b, c, d)| opening(a, b, c, d)).collect();
            let apart = apart(&openings);
            for address in 0..21 {
                for port in 0..21 {
                    let held = holds(&apart, address, port);
                    prop_assert!(held <= 1, "{address} {port} in two boxes");
                    prop_assert_eq!(held == 1, holds(&openings, address, port) > 0);
                }
            }
        }
    }
}
