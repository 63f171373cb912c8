//! The rules together: conflicts, unions that open the world, and too many UDP ports.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use claw_model::destination::Target;
use claw_model::http::RequestPattern;
use claw_model::net::Net;
use claw_model::phase::Phase;
use claw_model::port::Ports;
use claw_model::protocol::Transport;

use super::Loader;
use crate::error::{Place, Problem};
use crate::index::{Index, Tie};
use crate::rule::{Rule, RuleList};

/// The indexes, and the pairs that say the same twice (later, earlier).
#[derive(Default)]
pub(super) struct Together {
    pub(super) bootstrap: Index,
    pub(super) workload: Index,
    pub(super) closed: Index,
    pub(super) duplicates: Vec<Tie>,
}

impl Loader<'_> {
    /// Builds the indexes and tells what is wrong between rules.
    pub(super) fn together(&mut self) -> Together {
        let of = |phase: Option<Phase>| self.rules.iter().filter(move |rule| rule.list.phase() == phase);
        let (bootstrap, mut ties) = Index::build(of(Some(Phase::Bootstrap)));
        let (workload, more) = Index::build(of(Some(Phase::Workload)));
        let (closed, _) = Index::build(of(None));
        ties.extend(more);
        let (duplicates, conflicts): (Vec<_>, Vec<_>) = ties.into_iter().partition(|(a, b)| agree(a, b));
        let conflicts = conflicts.iter().filter(|(later, earlier)| !share(later, earlier));
        conflicts.for_each(|(later, earlier)| self.conflict(later, earlier));
        self.requests_apart();
        self.unions(Phase::Bootstrap);
        self.unions(Phase::Workload);
        self.udp_ports();
        Together { bootstrap, workload, closed, duplicates }
    }

    pub(super) fn place(&self, rule: &Rule) -> Place {
        self.places.get(rule.id as usize).copied().unwrap_or_default()
    }

    fn conflict(&mut self, later: &Rule, earlier: &Rule) {
        let what = format!(
            "lines {} and {} say different things about the same flow ({})",
            earlier.line,
            later.line,
            differences(later, earlier).join(", ")
        );
        let problem = Problem::new(what, self.place(earlier), "one says this")
            .also(self.place(later), "the other says that")
            .help("keep one of them, or give them different ports");
        self.problems.push(problem);
    }

    /// One request must not be on two planes: rules that split a host by its requests name each request once.
    fn requests_apart(&mut self) {
        type Key<'a> = (RuleList, &'a Target, &'a Ports, &'a RequestPattern);
        let mut seen: HashMap<Key<'_>, &Arc<Rule>> = HashMap::new();
        let mut twice = Vec::new();
        for rule in &self.rules {
            for pattern in rule.http.iter().flatten() {
                let key = (rule.list, &rule.destination.target, &rule.destination.ports, pattern);
                match seen.entry(key) {
                    Entry::Occupied(first) if first.get().plane != rule.plane => {
                        twice.push((Arc::clone(first.get()), Arc::clone(rule), pattern.to_string()));
                    }
                    Entry::Occupied(_) => {}
                    Entry::Vacant(place) => drop(place.insert(rule)),
                }
            }
        }
        for (earlier, later, pattern) in twice {
            let what = format!(
                "lines {} and {} put the request `{pattern}` on different planes",
                earlier.line, later.line
            );
            let problem = Problem::new(what, self.place(&earlier), "one says this")
                .also(self.place(&later), "the other says that")
                .help("name the request in one of them only");
            self.problems.push(problem);
        }
    }

    /// Many networks that are each narrow enough, and together the world.
    fn unions(&mut self, phase: Phase) {
        let rules = || self.rules.iter().filter(|rule| rule.list.phase() == Some(phase));
        let nets = || rules().filter_map(|rule| net(rule).map(|net| (net, rule)));
        let mut found = Vec::new();
        for (v4, family) in [(true, "IPv4"), (false, "IPv6")] {
            let ranges = nets()
                .filter(|(net, _)| net.is_v4() == v4)
                .map(|(net, _)| (number(net.address()), number(net.last())));
            let Some((_, last)) = nets().rfind(|(net, _)| net.is_v4() == v4) else { continue };
            if covers_world(ranges.collect(), v4) {
                let what =
                    format!("the networks of `{phase}` together cover all of {family}: that opens the world");
                let problem = Problem::new(what, self.place(last), "the last of them");
                found.push(problem.help("name only the networks that are needed; no flag changes this"));
            }
        }
        self.problems.extend(found);
    }

    /// One socket is held for each UDP port that may be used.
    fn udp_ports(&mut self) {
        let mut all: Option<Ports> = None;
        for rule in
            self.rules.iter().filter(|rule| rule.list.phase().is_some() && rule.carries(Transport::Udp))
        {
            let ports = &rule.destination.ports;
            let joined = match all.take() {
                Some(all) if all.covers(ports) => all,
                Some(all) => all.union(ports),
                None => ports.clone(),
            };
            if joined.count() > UDP_PORTS {
                let what = format!(
                    "the UDP rules name {} ports in all: at most {UDP_PORTS} are held",
                    joined.count()
                );
                let problem = Problem::new(what, self.place(rule), "with this rule")
                    .help("one socket is held open per UDP port: name the ports that are needed");
                self.problems.push(problem);
                return;
            }
            all = Some(joined);
        }
    }
}

/// Whether two rules say the same about the flows they share.
pub(crate) fn agree(a: &Rule, b: &Rule) -> bool {
    differences(a, b).is_empty()
}

/// Whether two rules split one destination by its requests: each is asked for its own requests, and the connection is
/// the same for both.
fn share(a: &Rule, b: &Rule) -> bool {
    a.http.is_some()
        && b.http.is_some()
        && a.destination == b.destination
        && connection(a, b).into_iter().all(|(_, same)| same)
}

fn connection(a: &Rule, b: &Rule) -> [(&'static str, bool); 5] {
    [
        ("protocol", a.protocol == b.protocol),
        ("addresses", a.addresses == b.addresses),
        ("private", a.private == b.private),
        ("upstream_ca", a.upstream_ca == b.upstream_ca),
        ("path", a.travel == b.travel),
    ]
}

fn differences(a: &Rule, b: &Rule) -> Vec<&'static str> {
    let fields = connection(a, b).into_iter().chain([
        ("plane", a.plane == b.plane),
        ("http", a.http == b.http),
        ("limits", a.limits == b.limits),
    ]);
    fields.filter(|(_, same)| !same).map(|(field, _)| field).collect()
}

fn net(rule: &Rule) -> Option<Net> {
    match rule.destination.target {
        Target::Net(net) => Some(net),
        Target::Name(_) => None,
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

/// Whether the ranges, and what nobody on the Internet holds, leave nothing out.
fn covers_world(mut ranges: Vec<(u128, u128)>, v4: bool) -> bool {
    // A union that leaves out only private or reserved space still opens the Internet.
    let (unheld, from, to): (&[(u128, u128)], u128, u128) = if v4 {
        (&[(0, 0x00ff_ffff), (0x0a00_0000, 0x0aff_ffff), (0x7f00_0000, 0x7fff_ffff)], 0, 0xdfff_ffff)
    } else {
        (&[], 0x2000 << 112, (0x4000 << 112) - 1)
    };
    ranges.extend_from_slice(unheld);
    ranges.sort_unstable();
    let mut next = from;
    for (first, last) in ranges {
        if first > next {
            return false;
        }
        next = next.max(last.saturating_add(1));
        if next > to {
            return true;
        }
    }
    false
}

const UDP_PORTS: u32 = 1_024;
