//! What each rule permits, cut to what another format can say: one model for every format that is written.

use std::net::IpAddr;
use std::sync::Arc;

use claw_model::destination::{Destination, Target};
use claw_model::host::{HostName, HostPattern};
use claw_model::net::{Net, metadata_name, never_range};
use claw_model::phase::Phase;
use claw_model::port::Ports;
use claw_model::protocol::Transport;
use jiff::Timestamp;

use crate::format::Format;
use crate::loss::Loss;
use crate::policy::Policy;
use crate::rule::{FlowLimits, Rule};
use crate::space;

/// What is to be written.
pub(super) struct Asked<'a> {
    pub(super) policy: &'a Policy,
    pub(super) format: Format,
    pub(super) phase: Phase,
    pub(super) now: Timestamp,
}

/// What a format can say.
pub(super) struct Holds {
    /// Why it cannot say these hosts or addresses.
    pub(super) target: fn(&Target) -> Option<&'static str>,
    /// Why it cannot say these ports.
    pub(super) ports: fn(&Ports) -> Option<&'static str>,
    pub(super) udp: bool,
    /// Whether rules that name requests can be said.
    pub(super) requests: bool,
    /// Whether this can be denied by name, so that wildcards may have exceptions.
    pub(super) denies: fn(&Destination) -> bool,
    pub(super) purpose: bool,
    /// Whether the name in the TLS handshake is checked.
    pub(super) sni: fn(&Rule) -> bool,
}

/// What one rule permits, in destinations that the format can say. None of them meets what closes.
pub(super) struct Flow {
    pub(super) rule: Arc<Rule>,
    pub(super) parts: Vec<Destination>,
    /// Names within its wildcard that must be denied.
    inside: Vec<Destination>,
}

/// Every flow, what is denied by name, and what is lost.
#[derive(Default)]
pub(super) struct Flows {
    pub(super) flows: Vec<Flow>,
    pub(super) denied: Vec<Destination>,
    pub(super) losses: Vec<Loss>,
}

impl Flow {
    /// The transport's name in capitals.
    pub(super) fn transport(&self) -> &'static str {
        match self.rule.protocol().transport() {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
        }
    }

    /// The networks among its parts, by their ports.
    pub(super) fn networks(&self) -> Vec<(&Ports, Vec<Net>)> {
        let mut groups: Vec<(&Ports, Vec<Net>)> = Vec::new();
        for part in &self.parts {
            let Target::Net(net) = &part.target else { continue };
            match groups.iter_mut().find(|(ports, _)| **ports == part.ports) {
                Some((_, nets)) => nets.push(*net),
                None => groups.push((&part.ports, vec![*net])),
            }
        }
        groups
    }

    /// The hosts among its parts.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&HostPattern, &Ports)> {
        self.parts.iter().filter_map(|part| match &part.target {
            Target::Name(pattern) => Some((pattern, &part.ports)),
            Target::Net(_) => None,
        })
    }
}

impl Asked<'_> {
    /// What the rules of the phase permit now, as far as the format can say it.
    pub(super) fn flows(&self, holds: &Holds) -> Flows {
        let mut out = Flows::default();
        for rule in self.policy.rules() {
            match rule.list().phase() {
                Some(phase) if phase == self.phase => self.flow(rule, holds, &mut out),
                Some(phase) => out.losses.push(Loss::left_out(
                    rule.line(),
                    format!(
                        "`{}` holds in `{phase}` only, and there are no phases: left out",
                        rule.destination()
                    ),
                )),
                None => closing(rule, holds, &mut out),
            }
        }
        exceptions(holds, &mut out);
        out.denied.sort();
        out.denied.dedup();
        out.losses.sort_by_key(|loss| loss.line);
        out
    }

    fn flow(&self, rule: &Arc<Rule>, holds: &Holds, out: &mut Flows) {
        let line = rule.line();
        let shown = rule.destination();
        if let Some(why) = self.unsaid(rule, holds) {
            out.losses.push(Loss::left_out(line, format!("`{shown}` is left out: {why}")));
            return;
        }
        let (inside, holes): (Vec<_>, Vec<_>) =
            self.holes(rule).into_iter().partition(|hole| (holds.denies)(hole) && exception(rule, hole));
        let rest = space::cut(shown, holes.iter());
        if rest.given_up {
            out.losses.push(narrowed(rule));
        }
        let mut parts = Vec::new();
        for part in rest.parts {
            match (holds.ports)(&part.ports) {
                Some(why) => out.losses.push(Loss::left_out(line, format!("`{part}` is left out: {why}"))),
                None => parts.push(part),
            }
        }
        if parts.is_empty() {
            return;
        }
        let words = words(rule, holds);
        if !words.is_empty() {
            out.losses.push(Loss::not_held(line, format!("`{shown}`: not held: {}", words.join("; "))));
        }
        out.flows.push(Flow { rule: rule.clone(), parts, inside });
    }

    /// Why a rule cannot be said at all.
    fn unsaid(&self, rule: &Rule, holds: &Holds) -> Option<String> {
        let target = &rule.destination().target;
        if rule.is_expired(self.now) {
            return Some("it is past its date".to_owned());
        }
        if let Some(why) = (holds.target)(target) {
            return Some(why.to_owned());
        }
        if !holds.udp && rule.protocol().transport() == Transport::Udp {
            return Some("the format speaks of TCP only".to_owned());
        }
        let why = if rule.http().is_some() && !holds.requests {
            "methods and paths cannot be said, and without them it would permit every request"
        } else if *rule.limits() != FlowLimits::default() {
            "limits cannot be said, and without them it would permit more"
        } else if rule.addresses().is_some() {
            "where a name is dialled cannot be said, and DNS may lead elsewhere"
        } else if rule.upstream_ca().is_some() && rule.http().is_some() && !holds.requests {
            "whom it trusts cannot be said"
        } else if let (true, Target::Net(net)) = (hides(target), target) {
            return Some(format!(
                "{net} holds addresses that hide others, which no rule for a wider network opens"
            ));
        } else {
            return None;
        };
        Some(why.to_owned())
    }

    /// What a rule does not decide, or does not permit although it names it.
    fn holes(&self, rule: &Arc<Rule>) -> Vec<Destination> {
        let mut holes = special(&rule.destination().target);
        let transport = rule.protocol().transport();
        let whole = rule.destination();
        let others = || {
            let alike = |other: &&Arc<Rule>| {
                other.list().phase() == Some(self.phase)
                    && other.protocol().transport() == transport
                    && !other.is_expired(self.now)
            };
            self.policy.rules().iter().filter(alike)
        };
        for closer in self.policy.rules().iter().filter(|closer| closer.list().phase().is_none()) {
            if !closer.carries(transport) || !closer.destination().overlaps(whole) {
                continue;
            }
            if closer.every_plane() {
                holes.push(closer.destination().clone());
                continue;
            }
            // It closes what a rule on its plane decides, and nothing wider opens that again.
            // Where this rule decides before that one, it is not that one that is closed.
            let planes = others().filter(|other| other.plane() == closer.plane() && !before(rule, other));
            holes.extend(planes.filter_map(|other| space::shared(other.destination(), closer.destination())));
        }
        let restricted = |other: &&Arc<Rule>| {
            other.http().is_some() || *other.limits() != FlowLimits::default() || other.addresses().is_some()
        };
        let narrower = others().filter(restricted).filter(|other| before(other, rule));
        holes.extend(narrower.map(|other| other.destination().clone()));
        holes.retain(|hole| hole.overlaps(whole));
        holes
    }
}

/// Whether `other` decides where both match.
fn before(other: &Rule, rule: &Rule) -> bool {
    let (a, b) = (other.destination(), rule.destination());
    if other.id() == rule.id() || !a.overlaps(b) {
        return false;
    }
    match (b.target.covers(&a.target), a.target.covers(&b.target)) {
        (true, true) => a.ports.count() < b.ports.count(),
        (covered, _) => covered,
    }
}

/// Denies the names within wildcards that their rules do not open, but not what other rules open there. Where denials
/// cannot tell these apart, the wildcard gives way.
fn exceptions(holds: &Holds, out: &mut Flows) {
    for at in 0..out.flows.len() {
        let inside = out.flows.get_mut(at).map(|flow| std::mem::take(&mut flow.inside)).unwrap_or_default();
        for hole in inside {
            let within = |part: &&Destination| hole.target.covers(&part.target);
            let rest = space::cut(&hole, out.flows.iter().flat_map(|flow| &flow.parts).filter(within));
            if !rest.given_up && rest.parts.iter().all(holds.denies) {
                out.denied.extend(rest.parts);
            } else if let Some(flow) = out.flows.get_mut(at) {
                let kept = flow.parts.iter().flat_map(|part| space::cut(part, std::iter::once(&hole)).parts);
                flow.parts = kept.filter(|part| (holds.ports)(&part.ports).is_none()).collect();
                out.losses.push(narrowed(&flow.rule));
            }
        }
    }
    out.flows.retain(|flow| !flow.parts.is_empty());
}

fn narrowed(rule: &Rule) -> Loss {
    let what = format!(
        "`{}` is narrowed or left out: a part of it is closed or narrower, and a wildcard cannot have exceptions there",
        rule.destination()
    );
    Loss::left_out(rule.line(), what)
}

/// Whether a hole is a name within a wildcard, which can be denied by itself.
fn exception(rule: &Rule, hole: &Destination) -> bool {
    let whole = &rule.destination().target;
    matches!(whole, Target::Name(HostPattern::Below(_))) && !hole.target.covers(whole)
}

/// Never reached without a rule that names them literally: they lie within a wider network or wildcard.
fn special(target: &Target) -> Vec<Destination> {
    let any = |target: Target| Destination { target, ports: Ports::any() };
    match target {
        Target::Net(net) => {
            let addresses = SPECIAL.iter().filter_map(|text| text.parse::<IpAddr>().ok());
            let ranges = addresses.filter_map(|ip| never_range(ip).map(|(_, range)| range));
            let hidden = HIDING.iter().filter_map(|text| text.parse::<Net>().ok());
            let mut inside: Vec<Net> = ranges
                .chain(hidden)
                .filter(|range| net.covers(range) && range.prefix() > net.prefix())
                .collect();
            inside.sort();
            inside.dedup();
            inside.into_iter().map(|range| any(Target::Net(range))).collect()
        }
        Target::Name(HostPattern::Below(suffix)) => {
            let names = METADATA.iter().filter_map(|text| HostName::parse(text).ok());
            let inside = names.filter(|name| metadata_name(name) && name.is_below(suffix));
            inside.map(|name| any(Target::Name(HostPattern::Exact(name)))).collect()
        }
        Target::Name(HostPattern::Exact(_)) => Vec::new(),
    }
}

/// Whether a network that is not one address lies where addresses carry others.
fn hides(target: &Target) -> bool {
    let Target::Net(net) = target else { return false };
    net.host().is_none() && HIDING.iter().any(|text| text.parse::<Net>().is_ok_and(|wide| wide.covers(net)))
}

/// What a rule that closes loses: it is cut out of what opens, and by names denied where that can be said.
fn closing(rule: &Rule, holds: &Holds, out: &mut Flows) {
    let name = matches!(rule.destination().target, Target::Name(_));
    // formats that deny names speak of TCP
    if name && rule.every_plane() && rule.carries(Transport::Tcp) && (holds.denies)(rule.destination()) {
        out.denied.push(rule.destination().clone());
        return;
    }
    let list = rule.list().as_str();
    let what = format!(
        "`{}` stands in `{list}`: it is cut out of the rules, and closes nothing else",
        rule.destination()
    );
    out.losses.push(Loss::not_held(rule.line(), what));
}

/// What is said of a rule and permits nothing.
fn words(rule: &Rule, holds: &Holds) -> Vec<String> {
    let mut words = vec![format!("plane `{}`", rule.plane())];
    let mut add = |lost: bool, word: &str| {
        if lost {
            words.push(word.to_owned());
        }
    };
    add(!holds.purpose, "its purpose");
    add(rule.owner().is_some(), "its owner");
    add(rule.ticket().is_some(), "its ticket");
    add(rule.required().is_some() && !holds.purpose, "when it is required");
    if let Some(date) = rule.expires() {
        add(true, &format!("its date: export again after {date}"));
    }
    if let Target::Name(_) = rule.destination().target {
        let check = rule.protocol().is_tls() && !rule.reads_http() && !(holds.sni)(rule);
        add(check, "that the TLS handshake names the host (assurance `sni`)");
        add(
            rule.reads_http() && rule.http().is_none(),
            "that HTTP is spoken and names the host (assurance `http`)",
        );
        add(!rule.private_allowed(), "that the name does not lead to a private address");
    }
    words
}

/// One address of each range that is never reached by accident.
const SPECIAL: &[&str] = &[
    "0.0.0.0",
    "127.0.0.1",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "ff00::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd00:c1::a9fe:a9fe",
    "fd00:42::42",
    "fd20:ce::254",
];

/// Networks whose addresses carry an IPv4 address, of which some are special: NAT64 (RFC 6052), 6to4 (RFC 3056) and SIIT
/// (RFC 2765).
const HIDING: &[&str] = &["64:ff9b::/96", "2002::/16", "::ffff:0:0:0/96"];

/// Names of metadata services that have a suffix.
const METADATA: &[&str] = &[
    "metadata.google.internal",
    "metadata.goog",
    "instance-data.ec2.internal",
    "metadata.azure.internal",
    "metadata.azure.com",
    "metadata.internal",
    "metadata.tencentyun.com",
    "metadata.platformequinix.com",
    "metadata.packet.net",
    "metadata.oraclecloud.com",
];
