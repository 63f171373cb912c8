//! The network namespace: loopback, rules, and the sockets that the gate holds outside.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use claw_model::protocol::Transport;
use claw_plan::{Network, Opening};
use claw_sys::netlink::Socket;
use claw_sys::nft::{self, Chain, Element, Expression, Family, Hook, Ranges, Set, Table, Verdict};
use claw_sys::socket::{self, Kind};
use claw_sys::{datagram, diag, link, nflog};

use crate::walls::{self, Wall};
use crate::words::{Failure, Report, Step, hear, say};

/// The sockets through which everything the agent opens reaches the gate.
#[derive(Debug)]
pub struct Door {
    /// Transparent TCP listeners, IPv4 and IPv6.
    pub listeners: [OwnedFd; 2],
    /// DNS over UDP, IPv4 and IPv6.
    pub dns_datagrams: [OwnedFd; 2],
    /// DNS over TCP, IPv4 and IPv6.
    pub dns_streams: [OwnedFd; 2],
    /// Refused packets.
    pub refusals: Socket,
    /// Adds live (address, port) pairs to the kernel's sets.
    pub steering: Steering,
    /// Tells which process a socket belongs to.
    pub diagnosis: Socket,
    /// UDP sockets: port, IPv4, IPv6.
    pub datagrams: Vec<(u16, OwnedFd, OwnedFd)>,
    /// Where datagrams to every other port arrive, IPv4 and IPv6, if the plan steers them.
    pub catch_all: Option<[OwnedFd; 2]>,
    /// Through which datagrams are answered from every port, IPv4 and IPv6, if the plan lets them through.
    pub answers: Option<[OwnedFd; 2]>,
    /// Where hooks inside say which package opens a connection, if the plan has them.
    pub packages: Option<OwnedFd>,
}

/// The right to add elements to the sets of the table: nothing else.
#[derive(Debug)]
pub struct Steering(Socket);

impl Steering {
    /// Steers exactly these, from one packet to the next.
    pub fn replace(&self, openings: &[Opening]) -> io::Result<()> {
        let sets = [Family::V4, Family::V6].into_iter().flat_map(|family| {
            [Ranges::Points, Ranges::Boxes]
                .map(|ranges| (set(family, ranges), elements(openings, family, ranges)))
        });
        nft::replace(&self.0, TABLE, &sets.collect::<Vec<_>>())
    }

    /// Lets the kernel steer these addresses and ports to the gate. Single ports go to a hash set, ranges to a set of
    /// boxes.
    pub fn open(&self, openings: &[Opening]) -> io::Result<()> {
        for family in [Family::V4, Family::V6] {
            for ranges in [Ranges::Points, Ranges::Boxes] {
                let elements = elements(openings, family, ranges);
                if !elements.is_empty() {
                    nft::add(&self.0, TABLE, &set(family, ranges), &elements)?;
                }
            }
        }
        Ok(())
    }
}

/// Inside: makes the network, reads it back, and sends the sockets out.
pub(crate) fn make(network: &Network, channel: BorrowedFd<'_>) -> Result<(), Failure> {
    link::loopback(network.own4.into(), network.own6.into())
        .step(|| "configure the loopback interface".to_owned())
        .map_err(|failure| failure.hint("IPv6 must not be disabled in the kernel (ipv6.disable=1)"))?;
    // best effort: only costs speed
    let _ = link::widen(SEGMENT);
    let only = link::interfaces().step(|| "list the interfaces".to_owned())?;
    if only.iter().any(|name| name != "lo" && !is_fallback_tunnel(name)) {
        return Err(Failure::new("empty the network namespace", format!("it holds interfaces {only:?}")));
    }
    let rules = Steering(Socket::open(libc::NETLINK_NETFILTER).step(|| "open nf_tables".to_owned())?);
    let table = table(network);
    nft::install(&rules.0, &table).step(|| "install the nf_tables rules".to_owned()).map_err(|failure| {
        failure.hint(
            "the kernel needs nf_tables with inet, reject, log and tproxy expressions (CONFIG_NFT_TPROXY)",
        )
    })?;
    rules.open(&network.openings).step(|| "install the openings of network rules".to_owned())?;
    let summary = read_back(&rules.0, &table)?;
    let sockets = Sockets::open(network).step(|| "open the gate's sockets inside".to_owned())?;
    sockets.send(&rules, summary, channel).step(|| "hand the gate's sockets out".to_owned())
}

impl Door {
    /// Outside: takes the sockets from init.
    pub(crate) fn receive(
        channel: BorrowedFd<'_>,
        network: &Network,
    ) -> io::Result<Result<(Door, String), Failure>> {
        let (report, descriptors) = hear::<Report>(channel)?;
        let (nft, more) = match report {
            Report::Network { nft, more } => (nft, more),
            Report::Failed(failure) => return Ok(Err(failure)),
            other => return Err(io::Error::other(format!("init said {other:?} out of turn"))),
        };
        let mut next = descriptors.into_iter();
        let mut one = || next.next().ok_or_else(|| io::Error::other("init sent too few sockets"));
        let door = Door {
            listeners: [one()?, one()?],
            dns_datagrams: [one()?, one()?],
            dns_streams: [one()?, one()?],
            refusals: Socket::adopt(one()?),
            steering: Steering(Socket::adopt(one()?)),
            diagnosis: Socket::adopt(one()?),
            datagrams: Vec::new(),
            catch_all: None,
            answers: None,
            packages: None,
        };
        let mut extra = Vec::new();
        while extra.len() < more {
            let (Report::Sockets, descriptors) = hear::<Report>(channel)? else {
                return Err(io::Error::other("init spoke out of turn"));
            };
            extra.extend(descriptors);
        }
        let mut extra = extra.into_iter();
        let mut datagrams = Vec::new();
        for port in &network.udp_ports {
            if let (Some(v4), Some(v6)) = (extra.next(), extra.next()) {
                datagrams.push((*port, v4, v6));
            }
        }
        let mut pair = |wanted: bool| match wanted {
            true => Some([extra.next()?, extra.next()?]),
            false => None,
        };
        let (catch_all, answers) = (pair(network.catch_all), pair(network.answers));
        let packages = extra.next();
        Ok(Ok((Door { datagrams, catch_all, answers, packages, ..door }, nft)))
    }
}

struct Sockets {
    fixed: Vec<OwnedFd>,
    refusals: Socket,
    diagnosis: Socket,
    datagrams: Vec<OwnedFd>,
}

impl Sockets {
    fn open(network: &Network) -> io::Result<Sockets> {
        let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let own: [IpAddr; 2] = [network.own4.into(), network.own6.into()];
        let mut fixed = Vec::new();
        for (addresses, kind, port) in
            [(own, Kind::Stream, network.listener), (any, Kind::Datagram, 53), (any, Kind::Stream, 53)]
        {
            for address in addresses {
                fixed.push(socket::transparent(kind, SocketAddr::new(address, port))?);
            }
        }
        let mut datagrams = Vec::new();
        for port in &network.udp_ports {
            for address in any {
                datagrams.push(socket::transparent(Kind::Datagram, SocketAddr::new(address, *port))?);
            }
        }
        for address in own.into_iter().filter(|_| network.catch_all) {
            let socket = socket::transparent(Kind::Datagram, SocketAddr::new(address, network.listener))?;
            socket::tell_ports(socket.as_fd(), address)?;
            datagrams.push(socket);
        }
        for address in own.into_iter().filter(|_| network.answers) {
            datagrams.push(datagram::sender(address)?);
        }
        if network.packages {
            datagrams.push(socket::transparent(Kind::Datagram, network.packages())?);
        }
        Ok(Sockets { fixed, refusals: nflog::open(LOG_GROUP, 128)?, diagnosis: diag::open()?, datagrams })
    }

    fn send(&self, rules: &Steering, nft: String, channel: BorrowedFd<'_>) -> io::Result<()> {
        let mut first: Vec<BorrowedFd<'_>> = self.fixed.iter().map(AsFd::as_fd).collect();
        first.extend([self.refusals.as_fd(), rules.0.as_fd(), self.diagnosis.as_fd()]);
        say(channel, &Report::Network { nft, more: self.datagrams.len() }, &first)?;
        for part in self.datagrams.chunks(200) {
            let part: Vec<BorrowedFd<'_>> = part.iter().map(AsFd::as_fd).collect();
            say(channel, &Report::Sockets, &part)?;
        }
        Ok(())
    }
}

/// The rules. Everything is refused but: what stays inside, DNS (answered by the gate whatever the server's address),
/// and live pairs, which are steered to the gate's listener.
fn table(network: &Network) -> Table {
    use Expression::{
        DestinationIs, DestinationIsLoopback4, DestinationIsNot, DestinationIsNotLoopback4, End, Goto, In,
        Log, NetworkIs, OpensConnection, PortIs, PortIsNot, Reset, Tproxy, TransportIs, Unreachable,
    };
    let (own4, own6): (IpAddr, IpAddr) = (network.own4.into(), network.own6.into());
    let loopback6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let (accept, tcp) = (End(Verdict::Accept), TransportIs(TCP));
    let inside = |family, test: Expression| vec![NetworkIs(family), test, accept.clone()];
    let live = |family: Family, ranges| {
        vec![NetworkIs(family), In(set(family, ranges).name, family), accept.clone()]
    };
    let refuse = Chain {
        name: "refuse".to_owned(),
        hook: None,
        rules: vec![vec![Log(LOG_GROUP)], vec![tcp.clone(), Reset], vec![Unreachable]],
    };
    let listener = |family, own, transport: Expression| {
        vec![
            NetworkIs(family),
            DestinationIs(own),
            transport,
            PortIs(network.listener),
            Goto("refuse".to_owned()),
        ]
    };
    let mut output = vec![
        listener(Family::V4, own4, tcp.clone()),
        listener(Family::V6, own6, tcp.clone()),
        inside(Family::V4, DestinationIsLoopback4),
        inside(Family::V4, DestinationIs(own4)),
        inside(Family::V6, DestinationIs(loopback6)),
        inside(Family::V6, DestinationIs(own6)),
        vec![tcp.clone(), PortIs(53), accept.clone()],
        vec![TransportIs(UDP), PortIs(53), accept.clone()],
    ];
    if network.catch_all {
        // order: before what stays inside is let through
        output.insert(0, listener(Family::V4, own4, TransportIs(UDP)));
        output.insert(0, listener(Family::V6, own6, TransportIs(UDP)));
    }
    for family in [Family::V4, Family::V6] {
        output.push(live(family, Ranges::Points));
        output.push(live(family, Ranges::Boxes));
    }
    output.push(vec![Goto("refuse".to_owned())]);
    let closed = walls::stands(Wall::Network);
    if !closed {
        output.clear();
    }
    let steer = |family, own: IpAddr, not_loopback| {
        vec![
            NetworkIs(family),
            tcp.clone(),
            OpensConnection,
            not_loopback,
            DestinationIsNot(own),
            PortIsNot(53),
            Tproxy(own, network.listener),
            accept.clone(),
        ]
    };
    let mut steered = vec![
        steer(Family::V4, own4, DestinationIsNotLoopback4),
        steer(Family::V6, own6, DestinationIsNot(loopback6)),
    ];
    let steer_datagrams = |family, own: IpAddr, not_loopback| {
        vec![
            NetworkIs(family),
            TransportIs(UDP),
            not_loopback,
            DestinationIsNot(own),
            PortIsNot(53),
            Tproxy(own, network.listener),
            accept.clone(),
        ]
    };
    if network.catch_all {
        steered.push(steer_datagrams(Family::V4, own4, DestinationIsNotLoopback4));
        steered.push(steer_datagrams(Family::V6, own6, DestinationIsNot(loopback6)));
    }
    let base = |number, priority, policy| Some(Hook { number, priority, policy });
    Table {
        name: TABLE.to_owned(),
        sets: [Family::V4, Family::V6]
            .into_iter()
            .flat_map(|family| [set(family, Ranges::Points), set(family, Ranges::Boxes)])
            .collect(),
        chains: vec![
            refuse,
            Chain {
                name: "output".to_owned(),
                hook: base(nft::OUTPUT, 0, if closed { Verdict::Drop } else { Verdict::Accept }),
                rules: output,
            },
            Chain {
                name: "steer".to_owned(),
                hook: base(nft::PREROUTING, -150, Verdict::Accept),
                rules: steered,
            },
        ],
    }
}

/// What the kernel lists must be what was installed, and nothing else. Returns a summary for the ledger.
fn read_back(socket: &Socket, table: &Table) -> Result<String, Failure> {
    let mut held = nft::list(socket).step(|| "read the nf_tables rules back".to_owned())?;
    let mut wanted = table.listing();
    held.sets.sort();
    wanted.sets.sort();
    held.chains.sort_by(|one, other| one.1.cmp(&other.1));
    wanted.chains.sort_by(|one, other| one.1.cmp(&other.1));
    if held != wanted {
        return Err(Failure::new(
            "confirm the nf_tables rules",
            "the kernel lists other rules than were installed",
        ));
    }
    Ok(format!(
        "table {TABLE}: {} chains, {} rules, {} sets; output policy drop",
        held.chains.len(),
        held.rules.len(),
        held.sets.len()
    ))
}

/// MPTCP and TCP fast open are off inside, beside being refused by the system call filter. A kernel without the switch
/// has nothing to switch off.
pub(crate) fn calm() -> Result<(), Failure> {
    for path in CALMED {
        match std::fs::write(path, "0") {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::new(format!("switch off `{path}`"), error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is switched off inside.
pub const CALMED: [&str; 2] = ["/proc/sys/net/ipv4/tcp_fastopen", "/proc/sys/net/mptcp/enabled"];

/// Tunnel devices that the kernel itself puts into every new namespace when their driver is loaded
/// (`net.core.fb_tunnels_only_for_init_net`); they are down and have no address.
fn is_fallback_tunnel(name: &str) -> bool {
    matches!(
        name,
        "sit0" | "tunl0" | "ip6tnl0" | "gre0" | "gretap0" | "erspan0" | "ip_vti0" | "ip6_vti0" | "ip6gre0"
    )
}

fn set(family: Family, ranges: Ranges) -> Set {
    let name = match (family, ranges) {
        (Family::V4, Ranges::Points) => "live4",
        (Family::V6, Ranges::Points) => "live6",
        (Family::V4, Ranges::Boxes) => "open4",
        (Family::V6, Ranges::Boxes) => "open6",
    };
    Set { name: name.to_owned(), family, ranges }
}

fn elements(openings: &[Opening], family: Family, ranges: Ranges) -> Vec<Element> {
    let of_family = openings.iter().map(element).filter(|element| Family::of(element.from) == family);
    of_family.filter(|element| is_point(element) == (ranges == Ranges::Points)).collect()
}

fn element(opening: &Opening) -> Element {
    let transport = match opening.transport {
        Transport::Tcp => TCP,
        Transport::Udp => UDP,
    };
    Element { from: opening.from, to: opening.to, transport, ports: opening.ports }
}

fn is_point(element: &Element) -> bool {
    element.from == element.to && element.ports.0 == element.ports.1
}

/// The one table of the namespace.
const TABLE: &str = "claw";
const LOG_GROUP: u16 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Largest segment on the inner loopback, in bytes.
const SEGMENT: u32 = 262_144;
