//! Boxes of addresses and ports that do not meet: the kernel's sets hold no others.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// First and last port.
pub type Span = (u16, u16);

/// Addresses from first to last, of one family.
pub type Range = (IpAddr, IpAddr);

/// The same addresses and ports in boxes apart from each other; all of one family.
pub fn apart(boxes: &[(Range, Span)]) -> Vec<(Range, Span)> {
    let Some(v4) = boxes.first().map(|((from, _), _)| from.is_ipv4()) else { return Vec::new() };
    let mut result = Vec::new();
    // a sweep over the addresses; between two edges the same ports are open
    let mut edges: BTreeMap<u128, Vec<(Span, bool)>> = BTreeMap::new();
    for ((from, to), ports) in boxes {
        edges.entry(number(*from)).or_default().push((*ports, true));
        if let Some(after) = number(*to).checked_add(1) {
            edges.entry(after).or_default().push((*ports, false));
        }
    }
    let mut open: BTreeMap<Span, u32> = BTreeMap::new();
    let mut before: (u128, Vec<Span>) = (0, Vec::new());
    let mut close = |(from, ports): (u128, Vec<Span>), to: u128| {
        result.extend(ports.into_iter().map(|ports| ((address(from, v4), address(to, v4)), ports)));
    };
    for (at, changes) in edges {
        for (ports, opens) in changes {
            let count = open.entry(ports).or_default();
            *count = if opens { count.saturating_add(1) } else { count.saturating_sub(1) };
            if *count == 0 {
                open.remove(&ports);
            }
        }
        let now = merged(open.keys().copied());
        if before.1 != now {
            close(std::mem::replace(&mut before, (at, now)), at.saturating_sub(1));
        }
    }
    // only a box that ends with the last address is still open here
    close(before, if v4 { u32::MAX.into() } else { u128::MAX });
    result
}

/// The ranges joined where they meet or touch, sorted; all of one family.
pub fn union(ranges: &[Range]) -> Vec<Range> {
    let boxes: Vec<(Range, Span)> = ranges.iter().map(|range| (*range, (0, 0))).collect();
    apart(&boxes).into_iter().map(|(range, _)| range).collect()
}

/// Every address of the family that is in none of the ranges.
pub fn complement(ranges: &[Range], v4: bool) -> Vec<Range> {
    let last: u128 = if v4 { u32::MAX.into() } else { u128::MAX };
    let mut result = Vec::new();
    let mut next = Some(0u128);
    for (from, to) in union(ranges) {
        let Some(start) = next else { break };
        if number(from) > start {
            result.push((address(start, v4), address(number(from).saturating_sub(1), v4)));
        }
        next = number(to).checked_add(1).filter(|next| *next <= last);
    }
    if let Some(start) = next {
        result.push((address(start, v4), address(last, v4)));
    }
    result
}

/// The whole family.
pub fn world(v4: bool) -> Range {
    (address(0, v4), address(if v4 { u32::MAX.into() } else { u128::MAX }, v4))
}

fn merged(ranges: impl Iterator<Item = Span>) -> Vec<Span> {
    let mut merged: Vec<Span> = Vec::new();
    for (from, to) in ranges {
        match merged.last_mut() {
            Some((_, last)) if u32::from(from) <= u32::from(*last).saturating_add(1) => *last = to.max(*last),
            _ => merged.push((from, to)),
        }
    }
    merged
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn address(number: u128, v4: bool) -> IpAddr {
    match v4 {
        true => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        false => Ipv6Addr::from(number).into(),
    }
}
