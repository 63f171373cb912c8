//! Atoms: the whole space of flows, cut where some rule of some policy begins or ends.
//!
//! The vocabulary of a policy is closed, so its rules cut names (at their labels), addresses (at their networks, and at the
//! edges of what is never reached by accident) and ports into finitely many parts. Within one of them every flow meets the
//! same rules: the matcher decides all of them alike, and one example, given to the matcher itself, answers for all. No
//! solver is needed, and there is no second matcher that could think otherwise.
//!
//! A part is visited only where a rule names its target and port. Elsewhere the next wider target decides, and its own part
//! answers. Names of metadata services under a wildcard are outside of every part: only a rule that spells one opens it.

use std::collections::HashMap;

use claw_model::destination::{Destination, Target};
use claw_model::phase::Phase;
use claw_model::port::Ports;
use claw_model::protocol::Transport;
use jiff::Timestamp;

use crate::decide::{Host, PermitHost, Request};
use crate::index::Bucket;
use crate::policy::Policy;

mod names;
mod nets;

/// Flows that are all decided alike: what this target's narrower ones leave of it, on these ports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Atom<'a> {
    pub(crate) target: &'a Target,
    /// One host of it.
    pub(crate) host: &'a PermitHost,
    pub(crate) phase: Phase,
    pub(crate) transport: Transport,
    pub(crate) first: u16,
    pub(crate) last: u16,
    /// No policy has more than one rule that speaks of it: when that ends, nothing takes its place.
    pub(crate) alone: bool,
}

impl<'a> Atom<'a> {
    /// The example, as the matcher is asked.
    pub(crate) fn request(&self, now: Timestamp) -> Request<'a> {
        let host = match self.host {
            PermitHost::Name(name) => Host::Name(name),
            PermitHost::Address(address) => Host::Address(*address),
        };
        Request { phase: self.phase, transport: self.transport, host, port: self.first, now }
    }
}

/// Visits every atom in which a rule of some policy opens something, in the order of the rules; networks come last.
pub(crate) fn each(policies: &[&Policy], phases: &[Phase], visit: &mut dyn FnMut(&Atom<'_>)) {
    let mut walk = Walk { policies, phases, own: Vec::new(), above: Vec::new(), edges: Vec::new(), visit };
    names::each(&mut walk);
    nets::each(&mut walk);
}

/// The next wider target that a rule of some policy names.
fn wider(policies: &[&Policy], target: &Target) -> Option<Target> {
    let all = policies.iter().flat_map(|policy| policy.indexes()).filter_map(|index| index.wider(target));
    all.max_by_key(|target| match target {
        Target::Name(pattern) => pattern.name().as_str().len(),
        Target::Net(net) => usize::from(net.prefix()),
    })
}

/// The narrower targets that are taken out of each.
pub(crate) struct Narrower<'a> {
    policies: &'a [&'a Policy],
    below: HashMap<Target, Vec<&'a Target>>,
}

impl<'a> Narrower<'a> {
    pub(crate) fn of(policies: &'a [&'a Policy]) -> Narrower<'a> {
        let mut below: HashMap<Target, Vec<&Target>> = HashMap::new();
        for target in targets(policies) {
            if let Some(wide) = wider(policies, target) {
                below.entry(wide).or_default().push(target);
            }
        }
        Narrower { policies, below }
    }

    /// Those that have rules of their own for some of these flows, and on which ports.
    pub(crate) fn within(
        &self,
        target: &Target,
        phase: Phase,
        transport: Transport,
        ports: &Ports,
    ) -> Vec<Destination> {
        let mut found = Vec::new();
        let mut left: Vec<(&Target, Option<Ports>)> =
            self.direct(target).map(|narrow| (narrow, None)).collect();
        while let Some((narrow, told)) = left.pop() {
            let own = own(self.policies, phase, narrow).flat_map(|bucket| bucket.ranges(transport, 0));
            let shared = own.flat_map(|(first, last)| {
                let both = move |range: &(u16, u16)| (first.max(range.0), last.min(range.1));
                ports.ranges().iter().map(both).filter(|(first, last)| first <= last)
            });
            let told = match Ports::of(shared) {
                // a wider one that is taken out takes this one along
                Some(shared) if told.as_ref().is_some_and(|told| told.covers(&shared)) => told,
                Some(shared) => {
                    let all = told.map_or_else(|| shared.clone(), |told| told.union(&shared));
                    found.push(Destination { target: narrow.clone(), ports: shared });
                    Some(all)
                }
                None => told,
            };
            left.extend(self.direct(narrow).map(|narrow| (narrow, told.clone())));
        }
        found.sort_unstable();
        found
    }

    fn direct(&self, target: &Target) -> impl Iterator<Item = &'a Target> {
        self.below.get(target).into_iter().flatten().copied()
    }
}

/// Every target that a rule names, each once, in the order of the rules.
fn targets<'a>(policies: &'a [&'a Policy]) -> impl Iterator<Item = &'a Target> {
    policies.iter().enumerate().flat_map(move |(at, policy)| {
        let earlier = policies.get(..at).unwrap_or_default();
        policy.rules().iter().filter_map(move |rule| {
            let target = &rule.destination.target;
            let first = policy.indexes().into_iter().filter_map(|index| index.target(target)?.rules.first());
            let own = first.map(|rule| rule.id).min() == Some(rule.id);
            let known = |other: &&Policy| other.indexes().into_iter().any(|index| index.has(target));
            (own && !earlier.iter().any(known)).then_some(target)
        })
    })
}

/// The rules for exactly this target: what opens in the phase, and what closes.
fn own<'a>(policies: &'a [&'a Policy], phase: Phase, target: &Target) -> impl Iterator<Item = &'a Bucket> {
    let indexes = policies.iter().flat_map(move |policy| [policy.index(phase), &policy.0.closed]);
    indexes.filter_map(move |index| index.target(target))
}

struct Walk<'a, 'v> {
    policies: &'a [&'a Policy],
    phases: &'a [Phase],
    /// The rules for the target, each with the index it stands in, and those of every wider one.
    own: Vec<(usize, &'a Bucket)>,
    above: Vec<(usize, &'a Bucket)>,
    /// Where rules begin and end: the port, what that adds to the own ones, and to those that open.
    edges: Vec<(u32, i32, i32)>,
    visit: &'v mut dyn FnMut(&Atom<'_>),
}

impl Walk<'_, '_> {
    /// Visits the atoms of one target. `inherited` are the wider ones whose own part is empty, so that their ports are
    /// looked at here.
    fn target(&mut self, target: &Target, host: &PermitHost, inherited: &[Target]) {
        self.own.clear();
        self.above.clear();
        for policy in self.policies {
            for (place, index) in policy.indexes().into_iter().enumerate() {
                let own = std::iter::once(target).chain(inherited).filter_map(|target| index.target(target));
                self.own.extend(own.map(|bucket| (place, bucket)));
                self.above.extend(index.above_target(target).map(|bucket| (place, bucket)));
            }
        }
        let one = |(_, bucket): &(usize, &Bucket)| bucket.rules.len() < 2;
        let alone = self.above.is_empty() && inherited.is_empty() && self.own.iter().all(one);
        for &phase in self.phases {
            let speaks = |(place, _): &&(usize, &Bucket)| *place == CLOSED || *place == opening(phase);
            if self.own.iter().all(|own| !speaks(&own)) {
                continue;
            }
            for transport in [Transport::Tcp, Transport::Udp] {
                self.edges.clear();
                for (place, own) in self.own.iter().filter(speaks) {
                    let opens = i32::from(*place != CLOSED);
                    own.ranges(transport, 0).for_each(|range| edge(&mut self.edges, range, 1, opens));
                }
                let from = self.edges.iter().map(|edge| edge.0).min();
                let Some((from, to)) = from.zip(self.edges.iter().map(|edge| edge.0).max()) else { continue };
                let from = u16::try_from(from).unwrap_or(u16::MAX);
                for (place, above) in self.above.iter().filter(speaks) {
                    let opens = i32::from(*place != CLOSED);
                    let within =
                        above.ranges(transport, from).take_while(|(first, _)| u32::from(*first) < to);
                    within.for_each(|range| edge(&mut self.edges, range, 0, opens));
                }
                self.edges.sort_unstable();
                self.sweep(&Atom { target, host, phase, transport, first: 0, last: 0, alone });
            }
        }
    }

    fn sweep(&mut self, atom: &Atom<'_>) {
        let (mut own, mut open, mut from) = (0, 0, 0);
        for &(at, owned, opens) in &self.edges {
            if at > from && own > 0 && open > 0 {
                let first = u16::try_from(from).unwrap_or(u16::MAX);
                let last = u16::try_from(at - 1).unwrap_or(u16::MAX);
                (self.visit)(&Atom { first, last, ..*atom });
            }
            from = at;
            own += owned;
            open += opens;
        }
    }
}

/// The place of what closes among the indexes of a policy.
const CLOSED: usize = 2;

/// The place of what opens in a phase.
fn opening(phase: Phase) -> usize {
    match phase {
        Phase::Bootstrap => 0,
        Phase::Workload => 1,
    }
}

fn edge(edges: &mut Vec<(u32, i32, i32)>, (first, last): (u16, u16), own: i32, opens: i32) {
    edges.push((first.into(), own, opens));
    edges.push((u32::from(last) + 1, -own, -opens));
}
