//! The network namespace: which addresses stand for names, and which openings the kernel steers to the gate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use claw_model::destination::Target;
use claw_model::net::Net;
use claw_model::phase::Phase;
use claw_model::protocol::Transport;
use claw_policy::{Policy, RuleList};
use serde::{Deserialize, Serialize};

use crate::BuildError;

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
    /// The network for this policy and phase.
    pub fn of(policy: &Policy, phase: Phase) -> Result<Network, BuildError> {
        let list = match phase {
            Phase::Bootstrap => RuleList::Bootstrap,
            Phase::Workload => RuleList::Workload,
        };
        let mut openings = Vec::new();
        let mut udp_ports = Vec::new();
        let rules = || policy.rules().iter().filter(|rule| rule.list() == list);
        for rule in rules() {
            let transport = rule.protocol().transport();
            if transport == Transport::Udp {
                udp_ports.extend(rule.destination().ports.ranges().iter().flat_map(|(from, to)| *from..=*to));
            }
            let Target::Net(net) = &rule.destination().target else { continue };
            for ports in rule.destination().ports.ranges() {
                openings.push(Opening { from: net.address(), to: net.last(), transport, ports: *ports });
            }
        }
        udp_ports.sort_unstable();
        udp_ports.dedup();
        udp_ports.retain(|port| *port != 53);
        if udp_ports.len() > MOST_UDP_PORTS {
            return Err(BuildError::UdpPorts { count: udp_ports.len() });
        }
        let nets: Vec<&Net> = rules()
            .filter_map(|rule| match &rule.destination().target {
                Target::Net(net) => Some(net),
                Target::Name(_) => None,
            })
            .collect();
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
            openings,
            udp_ports,
        })
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
