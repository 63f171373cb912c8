//! Destinations as sets: what is left of one when others are cut out of it.
//!
//! Networks are cut into smaller networks and ports into ranges. A wildcard from which a name is cut cannot be said
//! without an exception: then the wildcard's part is given up, and that is told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use claw_model::destination::{Destination, Target};
use claw_model::net::Net;
use claw_model::port::Ports;

/// What is left of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Destinations that do not meet any hole.
    pub(crate) parts: Vec<Destination>,
    /// Whether more was given up than the holes ask for.
    pub(crate) given_up: bool,
}

/// Cuts holes out of a destination.
pub(crate) fn cut<'a>(whole: &Destination, holes: impl Iterator<Item = &'a Destination>) -> Rest {
    let mut rest = Rest { parts: vec![whole.clone()], given_up: false };
    for hole in holes {
        let mut parts = Vec::new();
        for part in &rest.parts {
            rest.given_up |= !minus(part, hole, &mut parts);
        }
        rest.parts = parts;
        if rest.parts.len() > MOST_PARTS {
            return Rest { parts: Vec::new(), given_up: true };
        }
    }
    rest
}

/// What both mean; `None` if nothing.
pub(crate) fn shared(one: &Destination, other: &Destination) -> Option<Destination> {
    let target = match (one.target.covers(&other.target), other.target.covers(&one.target)) {
        (true, _) => &other.target,
        (_, true) => &one.target,
        _ => return None,
    };
    let ports = common(&one.ports, &other.ports)?;
    Some(Destination { target: target.clone(), ports })
}

/// Adds what is left of `part` to `parts`; false if something was given up.
fn minus(part: &Destination, hole: &Destination, parts: &mut Vec<Destination>) -> bool {
    if !part.overlaps(hole) {
        parts.push(part.clone());
        return true;
    }
    if let Some(ports) = without(&part.ports, &hole.ports) {
        parts.push(Destination { target: part.target.clone(), ports });
    }
    if hole.target.covers(&part.target) {
        return true;
    }
    let (Target::Net(net), Target::Net(inner), Some(ports)) =
        (&part.target, &hole.target, common(&part.ports, &hole.ports))
    else {
        return false;
    };
    let around = around(net, inner);
    parts.extend(around.map(|net| Destination { target: Target::Net(net), ports: ports.clone() }));
    true
}

/// The networks that together are `net` without `inner`, which lies in it.
fn around(net: &Net, inner: &Net) -> impl Iterator<Item = Net> + use<> {
    let (address, width) = match inner.address() {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32u8),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    (net.prefix().saturating_add(1)..=inner.prefix()).filter_map(move |length| {
        let bit = 1u128.checked_shl(u32::from(width.checked_sub(length)?))?;
        let sibling = address ^ bit;
        let ip: IpAddr = match width {
            32 => Ipv4Addr::from(u32::try_from(sibling).ok()?).into(),
            _ => Ipv6Addr::from(sibling).into(),
        };
        Net::new(ip, length)
    })
}

/// The networks that together are a range of addresses; `None` if it is none, or needs too many.
pub(crate) fn range(first: IpAddr, last: IpAddr) -> Option<Vec<String>> {
    let (mut at, end, width) = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            (u128::from(first.to_bits()), u128::from(last.to_bits()), 32u32)
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => (first.to_bits(), last.to_bits(), 128),
        _ => return None,
    };
    let mut nets = Vec::new();
    while at <= end {
        let mut bits = at.trailing_zeros().min(width);
        let size = |bits: u32| 1u128.checked_shl(bits);
        while bits > 0 && size(bits).and_then(|size| at.checked_add(size - 1)).is_none_or(|last| last > end) {
            bits -= 1;
        }
        let ip: IpAddr = match width {
            32 => Ipv4Addr::from(u32::try_from(at).ok()?).into(),
            _ => Ipv6Addr::from(at).into(),
        };
        nets.push(format!("{ip}/{}", width - bits));
        if nets.len() > MOST_PARTS {
            return None;
        }
        let Some(next) = size(bits).and_then(|size| at.checked_add(size)) else { break };
        at = next;
    }
    (!nets.is_empty()).then_some(nets)
}

/// The ports of both; `None` if there are none.
fn common(one: &Ports, other: &Ports) -> Option<Ports> {
    let mut ranges = Vec::new();
    for a in one.ranges() {
        for b in other.ranges() {
            ranges.push((u32::from(a.0.max(b.0)), u32::from(a.1.min(b.1))));
        }
    }
    ports(ranges)
}

/// The ports of `one` that are not in `other`; `None` if there are none.
fn without(one: &Ports, other: &Ports) -> Option<Ports> {
    let mut ranges: Vec<(u32, u32)> =
        one.ranges().iter().map(|range| (u32::from(range.0), u32::from(range.1))).collect();
    for hole in other.ranges().iter().map(|range| (u32::from(range.0), u32::from(range.1))) {
        let cut = |range: (u32, u32)| {
            [
                (range.0, range.1.min(hole.0.saturating_sub(1))),
                (range.0.max(hole.1.saturating_add(1)), range.1),
            ]
        };
        ranges = ranges.into_iter().flat_map(cut).filter(|range| range.0 <= range.1).collect();
    }
    ports(ranges)
}

fn ports(ranges: Vec<(u32, u32)>) -> Option<Ports> {
    let some = ranges.into_iter().filter(|range| range.0 <= range.1);
    let text: Vec<String> = some.map(|(first, last)| format!("{first}-{last}")).collect();
    Ports::parse(&text.join(",")).ok()
}

/// More pieces than this are no policy that anybody reads.
const MOST_PARTS: usize = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(whole: &str, holes: &[&str], parts: &[&str], given_up: bool) {
        let holes: Vec<Destination> = holes.iter().map(|text| text.parse().unwrap()).collect();
        let rest = cut(&whole.parse().unwrap(), holes.iter());
        let shown: Vec<String> = rest.parts.iter().map(ToString::to_string).collect();
        assert_eq!((shown, rest.given_up), (parts.iter().map(|part| (*part).to_owned()).collect(), given_up));
    }

    #[test]
    fn networks_and_ports_are_cut_exactly() {
        check("10.0.0.0/30:443", &["10.0.0.1:443"], &["10.0.0.2/31:443", "10.0.0.0:443"], false);
        check("10.0.0.0/24:80,443", &["10.0.0.0/8:80"], &["10.0.0.0/24:443"], false);
        check("10.0.0.0/24:1-10", &["10.0.0.0/24:5"], &["10.0.0.0/24:1-4,6-10"], false);
        check("10.0.0.0/24:443", &["10.0.0.0/16:*"], &[], false);
        check("[2001:db8::/127]:1", &["[2001:db8::]:1"], &["[2001:db8::1]:1"], false);
        check("10.0.0.0/24:443", &["a.example.com:443", "10.0.1.0/24:443"], &["10.0.0.0/24:443"], false);
    }

    #[test]
    fn a_range_is_its_networks() {
        let check = |first: &str, last: &str, nets: Option<&[&str]>| {
            let found = range(first.parse().unwrap(), last.parse().unwrap());
            assert_eq!(found, nets.map(|nets| nets.iter().map(|net| (*net).to_owned()).collect()));
        };
        check("10.0.0.1", "10.0.0.4", Some(&["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/32"]));
        check("0.0.0.0", "255.255.255.255", Some(&["0.0.0.0/0"]));
        check("255.255.255.255", "255.255.255.255", Some(&["255.255.255.255/32"]));
        check("10.0.0.2", "10.0.0.1", None);
        check("10.0.0.2", "::1", None);
        check("2001:db8::", "2001:db8::1", Some(&["2001:db8::/127"]));
    }

    #[test]
    fn a_wildcard_with_a_hole_is_given_up_and_said_so() {
        check("*.example.com:80,443", &["a.example.com:443"], &["*.example.com:80"], true);
        check("a.example.com:443", &["*.example.com:443"], &[], false);
    }

    proptest! {
        #[test]
        fn what_is_cut_out_is_exactly_what_is_gone(
            low in 0u8..8, length in 4u8..=8, holes in prop::collection::vec((0u8..16, 4u8..=8, 1u16..6, 0u16..4), 0..5),
        ) {
            let net = |low: u8, length: u8| Net::new(Ipv4Addr::new(10, 0, 0, low).into(), 24 + length).unwrap();
            let whole = Destination { target: Target::Net(net(low, length)), ports: "2-8".parse().unwrap() };
            let holes: Vec<Destination> = holes
                .iter()
                .map(|(low, length, first, more)| Destination {
                    target: Target::Net(net(*low, *length)),
                    ports: format!("{first}-{}", first + more).parse().unwrap(),
                })
                .collect();
            let rest = cut(&whole, holes.iter());
            prop_assert!(!rest.given_up);
            for low in 0..=20u8 {
                for port in 1..=10u16 {
                    let inside = |of: &Destination| {
                        let Target::Net(net) = &of.target else { return false };
                        net.contains(Ipv4Addr::new(10, 0, 0, low).into()) && of.ports.contains(port)
                    };
                    let expected = inside(&whole) && !holes.iter().any(inside);
                    prop_assert_eq!(rest.parts.iter().any(inside), expected);
                }
            }
        }
    }
}
