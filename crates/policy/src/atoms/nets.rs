//! Networks: of each, the addresses that no narrower one holds, and the edges of what is never reached by accident.

use std::collections::HashSet;
use std::net::IpAddr;

use claw_model::destination::Target;
use claw_model::net::{Net, never_regions};

use super::{Walk, targets};
use crate::decide::PermitHost;

/// Visits the atoms of every network.
pub(super) fn each(walk: &mut Walk<'_, '_>) {
    let regions = never_regions();
    let named = targets(walk.policies).filter_map(|target| match target {
        Target::Net(net) => Some((*net, false)),
        Target::Name(_) => None,
    });
    let mut nets: Vec<(Net, bool)> = named.collect();
    if nets.is_empty() {
        return;
    }
    nets.extend(regions.iter().map(|net| (*net, true)));
    // a network comes before those within it; of two alike, the one that a rule names stays
    nets.sort_by_key(|(net, region)| (!net.is_v4(), number(net.address()), net.prefix(), *region));
    nets.dedup_by_key(|(net, _)| *net);
    let mut open: Vec<Node> = Vec::new();
    let mut done = Vec::new();
    for (net, region) in nets {
        while let Some(node) = open.pop_if(|node| !node.net.covers(&net)) {
            done.push(node.close());
        }
        let above = open.iter().map(|node| node.net).collect();
        if let Some(parent) = open.last_mut() {
            parent.take(&net);
        }
        open.push(Node { net, region, next: Some(number(net.address())), free: None, above });
    }
    done.extend(open.into_iter().rev().map(Node::close));
    let full: HashSet<Net> =
        done.iter().filter(|node| node.free.is_none() && !node.region).map(|node| node.net).collect();
    // inside a region nothing opens but what names it literally: its own edge is only a cut
    for node in done.iter().filter(|node| !node.region) {
        let Some(free) = node.free else { continue };
        let wider = node.above.iter().rev().take_while(|net| full.contains(net));
        let inherited: Vec<Target> = wider.map(|net| Target::Net(*net)).collect();
        walk.target(&Target::Net(node.net), &PermitHost::Address(free), &inherited);
    }
}

/// A network whose narrower ones are being looked at, in order.
struct Node {
    net: Net,
    /// The edge of something special, that no rule names.
    region: bool,
    /// The first address after the last narrower one; `None` past the end of all.
    next: Option<u128>,
    /// An address that no narrower one holds.
    free: Option<IpAddr>,
    above: Vec<Net>,
}

impl Node {
    /// A narrower network begins here.
    fn take(&mut self, narrow: &Net) {
        let (first, last) = (number(narrow.address()), number(narrow.last()));
        if let Some(next) = self.next.filter(|next| *next < first) {
            self.free_between(next, first - 1);
        }
        self.next = last.checked_add(1);
    }

    fn close(mut self) -> Node {
        let last = number(self.net.last());
        if let Some(next) = self.next.filter(|next| *next <= last) {
            self.free_between(next, last);
        }
        self
    }

    /// An example from these, rather not the network's own number.
    fn free_between(&mut self, first: u128, last: u128) {
        let number = if first < last && first == number(self.net.address()) { first + 1 } else { first };
        let address = match self.net.is_v4() {
            true => u32::try_from(number).ok().map(|number| IpAddr::V4(number.into())),
            false => Some(IpAddr::V6(number.into())),
        };
        self.free = self.free.or(address);
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}
