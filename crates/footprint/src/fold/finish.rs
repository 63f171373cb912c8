//! From tallies to flows: each place is split by plane and class, as far as its requests were seen.

use std::collections::BTreeMap;
use std::net::IpAddr;

use claw_model::host::HostName;
use claw_model::net::{Special, metadata_name, special};
use claw_model::plane::Plane;

use super::{Asked, Fold, Host, Place, Tally};
use crate::catalog::{Catalog, Class, Entry, Known};
use crate::footprint::{FORMAT, Flow, Footprint, KnownBy, Request, Says, Stamp, Unsplit};
use crate::indexes::Indexes;

pub(super) fn finish(fold: Fold, catalog: &Catalog, indexes: &Indexes) -> Footprint {
    let Fold { runs, mut stamps, hosts, places, counted, beyond, .. } = fold;
    let mut flows = Vec::new();
    let mut unsplit = Vec::new();
    let judge = Judge { catalog, indexes };
    for host in &hosts {
        let begin = flows.len();
        for place in host.places.iter().filter_map(|at| places.get(*at as usize)) {
            let about = judge.about(&host.name, Some(place.port));
            let own = judge.place(host, place, &about);
            unsplit.extend(left_over(host, place, &own));
            flows.extend(own);
        }
        match flows.get_mut(begin) {
            Some(first) => first.lookups = host.lookups.count,
            None if host.lookups.count > 0 => flows.push(judge.looked_up(host)),
            None => {}
        }
    }
    flows.sort_by(|one, other| one.first.cmp(&other.first).then_with(|| one.target().cmp(&other.target())));
    for run in &runs {
        if run.mode == "allow" {
            let text =
                "observed with everything let through: what is listed did leave this machine".to_owned();
            stamps.push(Stamp { code: "danger-open".into(), text });
        }
        if run.exit.is_none() && run.records > 0 {
            let text = format!("{}: the run has not ended, or its end is not in the ledger", run.ledger);
            stamps.push(Stamp { code: "unfinished".into(), text });
        }
    }
    if beyond > 0 {
        let text = format!(
            "{beyond} records speak of more different hosts and requests than are kept: this is a part"
        );
        stamps.push(Stamp { code: "partial".into(), text });
    }
    stamps.dedup();
    Footprint { format: FORMAT.to_owned(), stamps, runs, flows, unsplit, counted, beyond }
}

struct Judge<'a> {
    catalog: &'a Catalog,
    indexes: &'a Indexes,
}

/// What is said of a flow.
#[derive(Clone)]
struct Verdict<'a> {
    plane: Option<Plane>,
    /// The plane's own word, if the policy's is none that this version knows.
    word: Option<Box<str>>,
    says: Says,
    class: Class,
    entries: Vec<&'a Entry>,
}

impl<'a> Judge<'a> {
    fn about(&self, host: &str, port: Option<u16>) -> Vec<&'a Entry> {
        HostName::parse(host).map(|name| self.catalog.about(&name, port, self.indexes)).unwrap_or_default()
    }

    /// What is known of a request by who asks it, and how: of no use where somebody asked it without a name.
    fn asked(&self, asked: &Asked) -> Vec<&'a Entry> {
        if asked.nameless {
            Vec::new()
        } else {
            self.catalog.asked(&asked.method, &asked.path, &asked.user_agents)
        }
    }

    /// The flows of one place.
    fn place(&self, host: &Host, place: &Place, about: &[&'a Entry]) -> Vec<Flow> {
        type Group<'a> = (Verdict<'a>, Tally, Vec<Request>);
        let mut groups: BTreeMap<(String, Says, Class), Group<'a>> = BTreeMap::new();
        for asked in &place.requests {
            let configured = self.indexes.of(&host.name, Some(place.port));
            let mut about = about.to_vec();
            for entry in self.asked(asked) {
                if !about.iter().any(|known| std::ptr::eq(*known, entry)) {
                    about.push(entry);
                }
            }
            let known = Known::request(&about, &asked.method, &asked.path, configured);
            let verdict = self.verdict(host, place, known, &asked.tally);
            let key = (verdict.plane_word(), verdict.says, verdict.class);
            let (into, tally, requests) =
                groups.entry(key).or_insert_with(|| (verdict.clone(), Tally::default(), Vec::new()));
            for entry in verdict.entries {
                if !into.entries.iter().any(|known| std::ptr::eq(*known, entry)) {
                    into.entries.push(entry);
                }
            }
            tally.join(&asked.tally);
            requests.push(request(asked));
        }
        let carried = !groups.is_empty();
        let mut flows: Vec<Flow> = groups
            .into_values()
            .map(|(verdict, mut tally, requests)| {
                if tally.packages.is_empty() {
                    tally.packages =
                        place.connections.packages.iter().chain(&place.read.packages).cloned().collect();
                }
                if tally.callers.is_empty() {
                    tally.callers =
                        place.connections.callers.iter().chain(&place.read.callers).cloned().collect();
                }
                flow(host, Some(place), &verdict, &tally, requests)
            })
            .collect();
        share_bytes(place, &mut flows);
        if let Some(first) = flows.first_mut() {
            first.wordless = place.wordless;
        }
        if let Some(silent) = silent(place, carried) {
            let configured = self.indexes.of(&host.name, Some(place.port));
            let known = Known::host(about, configured);
            let verdict = self.verdict(host, place, known, &silent);
            flows.push(flow(host, Some(place), &verdict, &silent, Vec::new()));
        }
        flows
    }

    /// A name that nobody connected to.
    fn looked_up(&self, host: &Host) -> Flow {
        let about = self.about(&host.name, None);
        let known = Known::host(&about, self.indexes.of(&host.name, None));
        let name = HostName::parse(&host.name).ok();
        let verdict = match name {
            Some(name) if metadata_name(&name) => Verdict::probe(),
            _ => self.known(known, &host.name, None),
        };
        let mut flow = flow(host, None, &verdict, &host.lookups, Vec::new());
        flow.lookups = host.lookups.count;
        flow
    }

    /// The policy's plane is a fact; the catalogue's is knowledge; the class is the catalogue's alone.
    fn verdict(&self, host: &Host, place: &Place, known: Known<'a>, tally: &Tally) -> Verdict<'a> {
        let address = host.name.parse::<IpAddr>().ok();
        let metadata = match address {
            Some(ip) => special(ip.to_canonical()) == Some(Special::Metadata),
            None => HostName::parse(&host.name).is_ok_and(|name| metadata_name(&name)),
        };
        let mut verdict = if metadata {
            Verdict::probe()
        } else if known.class == Class::Unknown && place.udp && place.port == 123 {
            let says = Says::Port;
            Verdict { plane: Some(Plane::Time), word: None, says, class: Class::Unknown, entries: Vec::new() }
        } else {
            self.known(known, &host.name, Some(place.port))
        };
        match tally.planes.as_slice() {
            [] => {}
            [plane] => {
                verdict.plane = plane.parse().ok();
                verdict.word = verdict.plane.is_none().then(|| plane.clone());
                verdict.says = Says::Policy;
            }
            _ => {
                verdict.plane = None;
                verdict.word = Some("mixed".into());
                verdict.says = Says::Policy;
            }
        }
        verdict
    }

    fn known(&self, known: Known<'a>, host: &str, port: Option<u16>) -> Verdict<'a> {
        let configured = self.indexes.of(host, port).is_some();
        let says = match (known.plane, known.class) {
            (None, Class::Unknown) => Says::Nobody,
            _ if known.entries.is_empty() && configured => Says::Configuration,
            _ => Says::Catalogue,
        };
        let word = (known.plane.is_none() && known.class != Class::Unknown).then(|| "mixed".into());
        Verdict { plane: known.plane, word, says, class: known.class, entries: known.entries }
    }
}

impl Verdict<'_> {
    fn probe() -> Self {
        let (plane, class) = (Some(Plane::Control), Class::MetadataProbe);
        Verdict { plane, word: None, says: Says::Port, class, entries: Vec::new() }
    }

    fn plane_word(&self) -> String {
        match (self.plane, &self.word) {
            (Some(plane), _) => plane.as_str().to_owned(),
            (None, Some(word)) => word.to_string(),
            (None, None) => "unknown".to_owned(),
        }
    }
}

/// Connections whose requests were not seen.
fn silent(place: &Place, carried: bool) -> Option<Tally> {
    let mut tally = place.connections.clone();
    let (allowed, sunk) = place.spoke;
    tally.allowed = tally.allowed.saturating_sub(allowed);
    tally.sunk = tally.sunk.saturating_sub(sunk);
    tally.count = tally.count.saturating_sub(allowed.saturating_add(sunk));
    if carried {
        // opened beside the others, and closed without a word: nothing was asked
        tally.sunk = tally.sunk.saturating_sub(place.wordless);
        tally.count = tally.count.saturating_sub(place.wordless);
    } else {
        // the gate was to read requests, and none came
        tally.join(&place.read);
    }
    (tally.count > 0).then_some(tally)
}

fn flow(
    host: &Host,
    place: Option<&Place>,
    verdict: &Verdict<'_>,
    tally: &Tally,
    requests: Vec<Request>,
) -> Flow {
    let certain = verdict.says != Says::Nobody && verdict.class != Class::Mixed;
    let mut candidates: Vec<String> = verdict
        .entries
        .iter()
        .filter(|_| !certain)
        .map(|entry| {
            format!("{}, {}: {} ({})", entry.plane, entry.class.as_str(), entry.what, entry.framework)
        })
        .collect();
    candidates.sort();
    candidates.dedup();
    let named = place.map(|place| place.named.as_slice()).unwrap_or_default();
    let other = named.iter().filter(|name| **name != host.name);
    candidates.extend(other.map(|name| format!("the TLS handshake named {name}")));
    let mut known: Vec<KnownBy> = verdict
        .entries
        .iter()
        .filter(|_| certain)
        .map(|entry| KnownBy {
            framework: entry.framework.clone(),
            versions: entry.versions.clone(),
            what: entry.what.clone(),
            source: entry.source,
        })
        .collect();
    known.sort();
    known.dedup();
    known.truncate(MOST_KNOWN);
    let mut switches: Vec<_> =
        verdict.entries.iter().filter(|_| certain).flat_map(|entry| entry.switches.clone()).collect();
    switches.sort_by(|one, other| (one.verified, &one.text).cmp(&(other.verified, &other.text)));
    switches.dedup();
    let mut spoken: Vec<String> =
        place.map(|place| place.spoken.iter().map(ToString::to_string).collect()).unwrap_or_default();
    if !requests.is_empty() && !spoken.iter().any(|word| word == "http") {
        spoken.push("http".to_owned());
    }
    spoken.sort();
    let name = host.name.parse::<IpAddr>().is_err();
    Flow {
        destination: host.name.to_string(),
        port: place.map(|place| place.port),
        transport: place.map(|place| if place.udp { "UDP" } else { "TCP" }).unwrap_or_default().to_owned(),
        unread: name && requests.is_empty() && spoken.iter().any(|word| word == "tls"),
        application: spoken,
        plane: verdict.plane_word(),
        plane_from: verdict.says,
        class: verdict.class,
        candidates,
        known,
        switches,
        count: tally.count,
        allowed: tally.allowed,
        denied: tally.denied,
        sunk: tally.sunk,
        unanswered: tally.unanswered,
        lookups: 0,
        wordless: 0,
        bytes_out: tally.bytes_out,
        bytes_in: tally.bytes_in,
        first: tally.first.unwrap_or_default(),
        last: tally.last.unwrap_or_default(),
        phases: tally.phases.iter().map(ToString::to_string).collect(),
        processes: {
            let mut callers = tally.callers.clone();
            callers.sort_by_key(|caller| std::cmp::Reverse(caller.count));
            callers
        },
        packages: {
            let mut packages = tally.packages.clone();
            packages.sort_by_key(|package| std::cmp::Reverse(package.count));
            packages
        },
        reasons: tally.reasons.iter().map(|(reason, count)| (reason.to_string(), *count)).collect(),
        requests,
        evidence: tally.evidence.clone(),
        today: None,
    }
}

fn request(asked: &Asked) -> Request {
    let words = |words: &[Box<str>]| words.iter().map(ToString::to_string).collect();
    let tally = &asked.tally;
    Request {
        method: asked.method.to_string(),
        path: asked.path.to_string(),
        count: tally.count,
        denied: tally.denied,
        bytes_out: tally.bytes_out,
        phases: words(&tally.phases),
        user_agents: words(&asked.user_agents),
        credentials: words(&asked.credentials),
        statuses: asked.statuses.clone(),
        query: words(&asked.query),
        reasons: tally.reasons.iter().map(|(reason, count)| (reason.to_string(), *count)).collect(),
        evidence: tally.evidence.clone(),
    }
}

/// Bytes of connections that carried requests: all to the one flow there is, else by the policy's plane where the gate
/// told them apart; of several flows the bodies are known alone.
fn share_bytes(place: &Place, flows: &mut [Flow]) {
    if let [flow] = flows {
        if place.bytes != (0, 0) {
            (flow.bytes_out, flow.bytes_in) = place.bytes;
        }
        return;
    }
    for (plane, bytes) in &place.by_plane {
        let mut own =
            flows.iter_mut().filter(|flow| *flow.plane == **plane && flow.plane_from == Says::Policy);
        if let (Some(flow), None) = (own.next(), own.next()) {
            (flow.bytes_out, flow.bytes_in) = *bytes;
        }
    }
}

fn left_over(host: &Host, place: &Place, flows: &[Flow]) -> Option<Unsplit> {
    let carried = || flows.iter().filter(|flow| !flow.requests.is_empty());
    let told = |bytes: fn(&Flow) -> u64| carried().map(bytes).fold(0, u64::saturating_add);
    let bytes_out = place.bytes.0.saturating_sub(told(|flow| flow.bytes_out));
    let bytes_in = place.bytes.1.saturating_sub(told(|flow| flow.bytes_in));
    (carried().count() > 1 && (bytes_out, bytes_in) != (0, 0)).then(|| Unsplit {
        destination: host.name.to_string(),
        port: place.port,
        bytes_out,
        bytes_in,
    })
}

/// More frameworks than this do the same: naming them tells nothing.
const MOST_KNOWN: usize = 12;
