//! What changed between two footprints: for the update of a framework.
//!
//! Paths are compared by their shape, so that the id of one run is not news in the next.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::footprint::{Flow, Footprint, Lane};
use crate::shape;

/// What changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Diff {
    /// Hosts that were never reached for.
    pub new_hosts: Vec<Change>,
    /// Ports and protocols of hosts that were.
    pub new_ports: Vec<Change>,
    /// Requests of destinations that were.
    pub new_requests: Vec<Change>,
    /// Planes, or classes, that a known destination had not.
    pub new_planes: Vec<Change>,
    /// What was refused or answered by Claw, and is let through now.
    pub let_through: Vec<Change>,
    /// Hosts and ports that are not reached for any more.
    pub gone: Vec<Change>,
    /// Requests that are not made any more.
    pub gone_requests: Vec<Change>,
    /// Volumes that changed by more than the factor.
    pub volumes: Vec<Volume>,
    /// What keeps this from being the whole truth.
    pub caveats: Vec<String>,
}

/// One thing that is new or gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// What.
    pub what: String,
    /// On which lanes.
    pub lanes: Vec<Lane>,
    /// Who asked.
    pub processes: Vec<String>,
    /// The first record that tells of it, in the footprint that has it.
    pub records: Vec<u64>,
}

/// How much a destination carries, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// Host and port.
    pub what: String,
    /// What is measured.
    pub of: &'static str,
    /// Before.
    pub old: u64,
    /// After.
    pub new: u64,
}

/// What changed from `old` to `new`. With a factor, volumes that grew or shrank by more are told.
pub fn diff(old: &Footprint, new: &Footprint, factor: Option<f64>) -> Diff {
    let (before, after) = (View::of(old), View::of(new));
    let mut diff = Diff::default();
    for (target, flows) in &after.targets {
        match before.targets.get(target) {
            None if before.hosts.contains(target.0.as_str()) => diff.new_ports.push(change(target, flows)),
            None => diff.new_hosts.push(change(target, flows)),
            Some(known) => {
                known_target(&mut diff, target, (known, flows));
                if let Some(factor) = factor {
                    diff.volumes.extend(volumes(target, (known, flows), factor));
                }
            }
        }
    }
    for (target, flows) in &before.targets {
        match after.targets.get(target) {
            None => diff.gone.push(change(target, flows)),
            Some(now) => {
                let kept = requests(now);
                let gone = requests(flows).into_iter().filter(|(request, _)| !kept.contains_key(request));
                diff.gone_requests.extend(gone.map(|(request, flow)| asked(target, &request, flow)));
            }
        }
    }
    for (name, footprint) in [("old", old), ("new", new)] {
        diff.caveats.extend(footprint.stamps.iter().map(|stamp| format!("{name}: {}", stamp.text)));
    }
    if old.is_partial() || new.is_partial() {
        diff.caveats.push("a footprint is partial: what is not in it may have been reached for".to_owned());
    }
    diff
}

impl Diff {
    /// Whether something is reached for that was not, or carries more than it may. A partial footprint counts: nobody can
    /// say that nothing is new.
    pub fn is_new(&self) -> bool {
        let partial = self.caveats.iter().any(|caveat| caveat.contains("partial"));
        let lists =
            [&self.new_hosts, &self.new_ports, &self.new_requests, &self.new_planes, &self.let_through];
        partial || lists.iter().any(|list| !list.is_empty()) || !self.volumes.is_empty()
    }
}

/// Host, port, transport.
type Key = (String, Option<u16>, String);

struct View<'a> {
    hosts: BTreeSet<&'a str>,
    targets: BTreeMap<Key, Vec<&'a Flow>>,
}

impl<'a> View<'a> {
    fn of(footprint: &'a Footprint) -> View<'a> {
        let mut view = View { hosts: BTreeSet::new(), targets: BTreeMap::new() };
        for flow in &footprint.flows {
            view.hosts.insert(&flow.destination);
            let key = (flow.destination.clone(), flow.port, flow.transport.clone());
            view.targets.entry(key).or_default().push(flow);
        }
        view
    }
}

fn known_target(diff: &mut Diff, target: &Key, (known, flows): (&[&Flow], &[&Flow])) {
    let lanes: BTreeSet<Lane> = known.iter().map(|flow| flow.lane()).collect();
    let fresh: Vec<&Flow> = flows.iter().copied().filter(|flow| !lanes.contains(&flow.lane())).collect();
    if !fresh.is_empty() {
        diff.new_planes.push(change(target, &fresh));
    }
    let before = requests(known);
    let asks = requests(flows).into_iter().filter(|(request, _)| !before.contains_key(request));
    diff.new_requests.extend(asks.map(|(request, flow)| asked(target, &request, flow)));
    let through = |flows: &[&Flow]| flows.iter().any(|flow| flow.allowed > 0);
    let refused = known.iter().any(|flow| flow.denied > 0);
    if through(flows) && !through(known) && refused {
        diff.let_through.push(change(target, flows));
    }
}

/// The requests by method and shape.
fn requests<'a>(flows: &[&'a Flow]) -> BTreeMap<String, &'a Flow> {
    let one = |flow: &'a Flow| {
        flow.requests
            .iter()
            .map(move |request| (format!("{} {}", request.method, shape::of(&request.path)), flow))
    };
    flows.iter().copied().flat_map(one).collect()
}

fn volumes(target: &Key, (known, flows): (&[&Flow], &[&Flow]), factor: f64) -> Vec<Volume> {
    let sum = |flows: &[&Flow], field: fn(&Flow) -> u64| {
        flows.iter().map(|flow| field(flow)).fold(0, u64::saturating_add)
    };
    type Measure = (&'static str, fn(&Flow) -> u64, u64);
    let measures: [Measure; 3] = [
        ("bytes out", |flow| flow.bytes_out, FEWEST_BYTES),
        ("bytes in", |flow| flow.bytes_in, FEWEST_BYTES),
        ("requests or connections", |flow| flow.count, FEWEST),
    ];
    let mut found = Vec::new();
    for (of, field, fewest) in measures {
        let (old, new) = (sum(known, field), sum(flows, field));
        // a handful more than nothing is no change of volume
        if old.max(new) < fewest {
            continue;
        }
        let (small, large) = (old.min(new).max(1), old.max(new));
        #[expect(clippy::cast_precision_loss, reason = "a factor is not exact")]
        if large as f64 > small as f64 * factor {
            found.push(Volume { what: shown(target), of, old, new });
        }
    }
    found
}

fn change(target: &Key, flows: &[&Flow]) -> Change {
    Change {
        what: shown(target),
        lanes: flows.iter().map(|flow| flow.lane()).collect::<BTreeSet<_>>().into_iter().collect(),
        processes: callers(flows),
        records: flows.iter().flat_map(|flow| &flow.evidence).map(|evidence| evidence.seq).take(4).collect(),
    }
}

fn asked(target: &Key, request: &str, flow: &Flow) -> Change {
    Change { what: format!("{request} on {}", shown(target)), ..change(target, &[flow]) }
}

fn callers(flows: &[&Flow]) -> Vec<String> {
    let name = |caller: &crate::footprint::Caller| {
        let exe = caller.exe.rsplit('/').next().unwrap_or(&caller.exe);
        caller.package.as_ref().map_or(exe.to_owned(), |package| format!("{exe} {package}"))
    };
    let mut names: Vec<String> = flows.iter().flat_map(|flow| &flow.processes).map(name).collect();
    names.sort();
    names.dedup();
    names.truncate(4);
    names
}

fn shown((host, port, transport): &Key) -> String {
    let udp = if transport == "UDP" { "/udp" } else { "" };
    match port {
        None => format!("{host} (only looked up)"),
        Some(port) if host.contains(':') => format!("[{host}]:{port}{udp}"),
        Some(port) => format!("{host}:{port}{udp}"),
    }
}

const FEWEST_BYTES: u64 = 4096;
const FEWEST: u64 = 10;

#[cfg(test)]
mod tests {
    use claw_ledger::record::{Decision, Event};

    use super::*;
    use crate::fold::tests::{close, connect, footprint, request, start};

    fn model(requests: &[&str], bytes: u64) -> Vec<Event> {
        let mut events = vec![start(Some("sink")), connect("api.anthropic.com", 443, Decision::Sink)];
        events.extend(requests.iter().map(|line| request("api.anthropic.com", line, Some(2))));
        events.push(close("api.anthropic.com", 443, (bytes, 10), Some(2)));
        events
    }

    fn told(list: &[Change]) -> Vec<&str> {
        list.iter().map(|change| change.what.as_str()).collect()
    }

    fn ended(mut events: Vec<Event>) -> Footprint {
        events.push(Event::Exit { code: 0 });
        footprint(&events)
    }

    #[test]
    fn the_same_is_no_news() {
        let one = ended(model(&["POST /v1/messages", "POST /api/eval/sdk-zAZezfDKGoZuXXKe"], 100_000));
        let other = ended(model(&["POST /v1/messages", "POST /api/eval/sdk-bBBezfDKGoZuQQQe"], 110_000));
        let found = diff(&one, &other, Some(2.0));
        assert_eq!(found, Diff::default());
        assert!(!found.is_new());
    }

    #[test]
    fn hosts_ports_requests_planes_and_volumes_that_are_new_are_told() {
        let old = ended(model(&["POST /v1/messages"], 100_000));
        let mut events =
            model(&["POST /v1/messages", "POST /v1/other", "POST /api/event_logging/v2/batch"], 900_000);
        events.push(connect("api.anthropic.com", 8443, Decision::Sink));
        events.push(connect("new.test", 443, Decision::Deny));
        let new = ended(events);
        let found = diff(&old, &new, Some(2.0));
        assert_eq!(told(&found.new_hosts), ["new.test:443"]);
        assert_eq!(found.new_hosts[0].processes, ["python3 agent.py"]);
        assert_eq!(told(&found.new_ports), ["api.anthropic.com:8443"]);
        assert_eq!(
            told(&found.new_requests),
            [
                "POST /api/event_logging/v2/batch on api.anthropic.com:443",
                "POST /v1/other on api.anthropic.com:443"
            ]
        );
        assert_eq!(found.new_planes[0].lanes, [Lane::Telemetry, Lane::Unknown]);
        assert!(found.is_new());
        let back = diff(&new, &old, None);
        assert_eq!(told(&back.gone), ["api.anthropic.com:8443", "new.test:443"]);
        assert_eq!(back.gone_requests.len(), 2);
        assert!(!back.is_new(), "{back:?}");
        let grown = diff(&old, &ended(model(&["POST /v1/messages"], 900_000)), Some(2.0));
        assert_eq!((grown.volumes[0].of, grown.volumes[0].new), ("bytes out", 900_000));
        assert!(grown.is_new());
    }

    #[test]
    fn a_partial_footprint_is_never_nothing_new() {
        let old = ended(model(&["POST /v1/messages"], 100));
        let new = Footprint { beyond: 1, ..old.clone() };
        assert!(diff(&old, &new, None).is_new());
    }

    #[test]
    fn what_was_refused_and_is_let_through_is_news() {
        let with = |decision| ended(vec![start(None), connect("a.test", 443, decision)]);
        let found = diff(&with(Decision::Deny), &with(Decision::Allow), None);
        assert_eq!(told(&found.let_through), ["a.test:443"]);
        assert!(found.is_new());
        assert!(!diff(&with(Decision::Allow), &with(Decision::Deny), None).is_new());
    }
}
