//! The index: finds the most specific rule for a flow at a cost that does not grow with the number of rules.
//!
//! Exact hosts are one hash lookup, wildcards one per label, networks one per prefix length in use. Rules for one
//! target are cut into port segments and searched by halves. Each segment lists its rules narrowest ports first,
//! and keeps a later rule only if it outlives the earlier ones, so the list is nearly always one rule long. Of rules that
//! close, the first of each list and plane is kept: a wide one for every plane is not hidden by a narrow one for one plane.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use claw_model::destination::Target;
use claw_model::host::{HostName, HostPattern};
use claw_model::net::Net;
use claw_model::protocol::Transport;

use crate::rule::Rule;

/// Rules by target.
#[derive(Debug, Default)]
pub(crate) struct Index {
    exact: HashMap<HostName, Bucket>,
    below: HashMap<HostName, Bucket>,
    nets: HashMap<Net, Bucket>,
    /// How many labels the suffixes of wildcards have: bit N for N labels, so that others are never looked up.
    depths: u128,
    /// Prefix lengths in use, longest first.
    v4: Vec<u8>,
    v6: Vec<u8>,
}

/// The rules of one target.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) rules: Vec<Arc<Rule>>,
    tcp: Vec<Segment>,
    udp: Vec<Segment>,
}

/// A run of ports with the same rules.
#[derive(Debug)]
struct Segment {
    first: u16,
    last: u16,
    rules: Box<[u32]>,
}

/// Two rules of one target and transport whose ports meet and are equally many: the later and the earlier.
pub(crate) type Tie = (Arc<Rule>, Arc<Rule>);

impl Index {
    /// Builds the index, and tells every tie: the later rule and the first one it meets.
    pub(crate) fn build<'a>(rules: impl Iterator<Item = &'a Arc<Rule>>) -> (Index, Vec<Tie>) {
        let mut index = Index::default();
        for rule in rules {
            index.bucket(&rule.destination.target).rules.push(rule.clone());
        }
        let mut ties = Vec::new();
        let buckets = index.exact.values_mut().chain(index.below.values_mut()).chain(index.nets.values_mut());
        buckets.for_each(|bucket| bucket.cut(&mut ties));
        ties.sort_by_key(|(later, earlier)| (later.id, earlier.id));
        ties.dedup_by_key(|(later, earlier)| (later.id, earlier.id));
        let lengths = |v4: bool| {
            let set: BTreeSet<u8> =
                index.nets.keys().filter(|net| net.is_v4() == v4).map(Net::prefix).collect();
            set.into_iter().rev().collect()
        };
        index.depths = index.below.keys().fold(0, |depths, name| depths | bit(name.parents().count() + 1));
        (index.v4, index.v6) = (lengths(true), lengths(false));
        (index, ties)
    }

    fn bucket(&mut self, target: &Target) -> &mut Bucket {
        match target {
            Target::Name(HostPattern::Exact(name)) => self.exact.entry(name.clone()).or_default(),
            Target::Name(HostPattern::Below(name)) => self.below.entry(name.clone()).or_default(),
            Target::Net(net) => self.nets.entry(*net).or_default(),
        }
    }

    /// The rules for exactly this target.
    pub(crate) fn target(&self, target: &Target) -> Option<&Bucket> {
        match target {
            Target::Name(HostPattern::Exact(name)) => self.exact.get(name),
            Target::Name(HostPattern::Below(name)) => self.below.get(name),
            Target::Net(net) => self.nets.get(net),
        }
    }

    /// Whether a rule names exactly this target.
    pub(crate) fn has(&self, target: &Target) -> bool {
        self.target(target).is_some()
    }

    /// The nearest wider target that a rule names.
    pub(crate) fn wider(&self, target: &Target) -> Option<Target> {
        match target {
            Target::Name(pattern) => {
                let (suffix, _) = pattern.name().parents().find_map(|name| self.below.get_key_value(name))?;
                Some(Target::Name(HostPattern::Below(suffix.clone())))
            }
            Target::Net(net) => {
                let lengths = if net.is_v4() { &self.v4 } else { &self.v6 };
                let wider = lengths.iter().filter(|length| **length < net.prefix());
                let mut nets = wider.filter_map(|length| Net::new(net.address(), *length));
                nets.find(|wide| self.nets.contains_key(wide)).map(Target::Net)
            }
        }
    }

    /// The rules of every wider target.
    pub(crate) fn above_target(&self, target: &Target) -> impl Iterator<Item = &Bucket> {
        let (name, net) = match target {
            Target::Name(pattern) => (Some(pattern.name()).filter(|_| self.depths != 0), None),
            Target::Net(net) => (None, Some(*net)),
        };
        let names = name.into_iter().flat_map(move |name| self.above(name));
        let nets = net.into_iter().flat_map(move |net| {
            let lengths = if net.is_v4() { &self.v4 } else { &self.v6 };
            let wider = lengths.iter().filter(move |length| **length < net.prefix());
            wider.filter_map(move |length| self.nets.get(&Net::new(net.address(), *length)?))
        });
        names.chain(nets)
    }

    /// The rules for exactly this name.
    pub(crate) fn exact(&self, host: &HostName) -> Option<&Bucket> {
        self.exact.get(host)
    }

    /// The buckets that match a name, most specific first.
    pub(crate) fn names<'a, 'h>(
        &'a self,
        host: &'h HostName,
    ) -> impl Iterator<Item = &'a Bucket> + use<'a, 'h> {
        self.exact.get(host).into_iter().chain(self.above(host))
    }

    /// The buckets of the wildcards above a name, longest suffix first. One pass finds the dots; then only suffixes
    /// of a length in use are looked up.
    fn above<'a, 'h>(&'a self, host: &'h HostName) -> impl Iterator<Item = &'a Bucket> + use<'a, 'h> {
        let name = host.as_str();
        let mut starts = [0u8; 128];
        let mut labels = 1;
        if self.depths != 0 {
            for (at, _) in (1u8..).zip(name.bytes()).filter(|(_, byte)| *byte == b'.') {
                if let Some(start) = starts.get_mut(labels) {
                    *start = at;
                }
                labels += 1;
            }
        }
        let mut left = self.depths & (bit(labels).wrapping_sub(1));
        std::iter::from_fn(move || {
            let depth = usize::try_from(127u32.checked_sub(left.leading_zeros())?).ok()?;
            left &= !bit(depth);
            let start = starts.get(labels.checked_sub(depth)?)?;
            Some(name.get(usize::from(*start)..).and_then(|suffix| self.below.get(suffix)))
        })
        .flatten()
    }

    /// The buckets that match an address, longest prefix first, none shorter than `shortest`.
    pub(crate) fn addresses(&self, ip: IpAddr, shortest: u8) -> impl Iterator<Item = &Bucket> {
        let lengths = if ip.is_ipv4() { &self.v4 } else { &self.v6 };
        let lengths = lengths.iter().take_while(move |length| **length >= shortest);
        lengths.filter_map(move |length| self.nets.get(&Net::new(ip, *length)?))
    }

    /// Every rule whose target stands at or above this one: all that could meet it from above.
    pub(crate) fn at_or_above<'a>(&'a self, target: &Target) -> impl Iterator<Item = &'a Arc<Rule>> {
        let mut buckets: Vec<&Bucket> = Vec::new();
        match target {
            Target::Name(HostPattern::Exact(name)) => buckets.extend(self.names(name)),
            Target::Name(HostPattern::Below(name)) => {
                buckets.extend(self.below.get(name));
                buckets.extend(self.above(name));
            }
            Target::Net(net) => {
                let above = |length: &&u8| **length <= net.prefix();
                let lengths = if net.is_v4() { &self.v4 } else { &self.v6 };
                let wider =
                    lengths.iter().filter(above).filter_map(|length| Net::new(net.address(), *length));
                buckets.extend(wider.filter_map(|wide| self.nets.get(&wide)));
            }
        }
        buckets.into_iter().flat_map(|bucket| &bucket.rules)
    }
}

impl Bucket {
    /// The rules for a port, narrowest ports first.
    pub(crate) fn at(&self, transport: Transport, port: u16) -> impl Iterator<Item = &Arc<Rule>> {
        let segments = match transport {
            Transport::Tcp => &self.tcp,
            Transport::Udp => &self.udp,
        };
        let place = segments.partition_point(|segment| segment.last < port);
        let found = segments.get(place).filter(|segment| segment.first <= port);
        let rules = found.map(|segment| &*segment.rules).unwrap_or_default();
        rules.iter().filter_map(|index| self.rules.get(*index as usize))
    }

    /// The ranges of ports, apart from each other, that rules speak of, from the first one that ends at or after `from`.
    pub(crate) fn ranges(&self, transport: Transport, from: u16) -> impl Iterator<Item = (u16, u16)> {
        let segments = match transport {
            Transport::Tcp => &self.tcp,
            Transport::Udp => &self.udp,
        };
        let place = segments.partition_point(|segment| segment.last < from);
        segments.iter().skip(place).map(|segment| (segment.first, segment.last))
    }

    fn cut(&mut self, ties: &mut Vec<Tie>) {
        self.tcp = segments(&self.rules, Transport::Tcp, ties);
        self.udp = segments(&self.rules, Transport::Udp, ties);
    }
}

/// The bit of a number of labels; a name has at most 127.
fn bit(labels: usize) -> u128 {
    u32::try_from(labels).ok().and_then(|labels| 1u128.checked_shl(labels)).unwrap_or(0)
}

/// Sweeps the ports once: at each port where a range begins or ends, the open rules are those of the next segment.
fn segments(rules: &[Arc<Rule>], transport: Transport, ties: &mut Vec<Tie>) -> Vec<Segment> {
    if let [rule] = rules {
        let whole = |&(first, last): &(u16, u16)| Segment { first, last, rules: Box::new([0]) };
        let carried = rule.carries(transport);
        return rule.destination.ports.ranges().iter().filter(|_| carried).map(whole).collect();
    }
    let mut sweep = Sweep { rules, open: BTreeSet::new(), segments: Vec::new() };
    let edges = edges(rules, transport);
    let mut from = 0;
    for &(at, opens, index) in &edges {
        sweep.close_at(from, at);
        from = at;
        match opens {
            Edge::Close => sweep.close(index),
            Edge::Open => sweep.open(index, ties),
        }
    }
    sweep.segments
}

/// Ends come before beginnings at the same place: ranges that only touch do not meet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    Close,
    Open,
}

fn edges(rules: &[Arc<Rule>], transport: Transport) -> Vec<(u32, Edge, u32)> {
    let mut edges = Vec::new();
    for (index, rule) in (0u32..).zip(rules).filter(|(_, rule)| rule.carries(transport)) {
        for &(first, last) in rule.destination.ports.ranges() {
            edges.push((u32::from(first), Edge::Open, index));
            edges.push((u32::from(last) + 1, Edge::Close, index));
        }
    }
    edges.sort_unstable();
    edges
}

struct Sweep<'a> {
    rules: &'a [Arc<Rule>],
    /// How many ports, and which rule.
    open: BTreeSet<(u32, u32)>,
    segments: Vec<Segment>,
}

impl Sweep<'_> {
    fn key(&self, index: u32) -> (u32, u32) {
        let count = self.rules.get(index as usize).map_or(0, |rule| rule.destination.ports.count());
        (count, index)
    }

    fn open(&mut self, index: u32, ties: &mut Vec<Tie>) {
        let (count, _) = self.key(index);
        // Only the first rule met: among many alike, one pair each is enough to tell.
        if let Some((_, other)) = self.open.range((count, 0)..=(count, u32::MAX)).next() {
            let (later, earlier) = (index.max(*other), index.min(*other));
            if let (Some(a), Some(b)) = (self.rules.get(later as usize), self.rules.get(earlier as usize)) {
                ties.push((a.clone(), b.clone()));
            }
        }
        self.open.insert((count, index));
    }

    fn close(&mut self, index: u32) {
        let key = self.key(index);
        self.open.remove(&key);
    }

    /// Writes the segment of the open rules from one edge up to before the next.
    fn close_at(&mut self, from: u32, to: u32) {
        let (Ok(first), Ok(last)) = (u16::try_from(from), u16::try_from(to.saturating_sub(1))) else {
            return;
        };
        if from >= to || self.open.is_empty() {
            return;
        }
        let mut kept = Vec::new();
        let mut outlived = None;
        let mut closing = Vec::new();
        for &(_, index) in &self.open {
            let Some(rule) = self.rules.get(index as usize) else { continue };
            if rule.list.phase().is_none() {
                if !closing.contains(&(rule.list, rule.plane)) {
                    closing.push((rule.list, rule.plane));
                    kept.push(index);
                }
                continue;
            }
            let Some(expiry) = rule.expires else {
                kept.push(index);
                break;
            };
            if outlived.is_none_or(|longest| expiry > longest) {
                outlived = Some(expiry);
                kept.push(index);
            }
        }
        self.segments.push(Segment { first, last, rules: kept.into_boxed_slice() });
    }
}
