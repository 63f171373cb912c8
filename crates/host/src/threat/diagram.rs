//! Who talks to whom: the parts of this deployment and the flows between them, by plane.

use std::collections::BTreeMap;

use claw_model::assurance::Assurance;
use claw_model::plane::Plane;
use claw_policy::{Policy, Rule, RuleList};
use serde::Serialize;

use super::Finding;
use crate::zones::{Direction, Zones};

/// The parts that depend on the deployment. What every deployment has (agent, init, kernel, supervisor, gate, ledger) is drawn
/// around them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagram {
    /// Destinations that rules name, by plane; the controller's first.
    pub groups: Vec<Group>,
    /// Whether names are resolved for rules: the host's name servers are asked.
    pub resolves: bool,
    /// Rules that close, whatever opens.
    pub closed: usize,
    /// Paths of the host that the agent may change.
    pub writable: Vec<String>,
    /// Whether the gate ends TLS for some rule.
    pub ends_tls: bool,
    /// Whether sockets are handed into the agent.
    pub brokered: bool,
    /// The policy's file.
    pub policy: String,
    /// What the host's firewall declares, in lines; `None` without zones.
    pub firewall: Option<Vec<String>>,
    /// How many checks of an audit found something, and how many could not tell; `None` without one.
    pub findings: Option<(usize, usize)>,
}

/// Destinations of one plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The plane.
    pub plane: Plane,
    /// Its destinations, as many as there are.
    pub hosts: Vec<Host>,
}

/// A destination that a rule names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Hosts and ports.
    pub destination: String,
    /// What is spoken.
    pub protocol: String,
    /// How well the destination is known.
    pub assurance: String,
    /// In which phases it is open.
    pub phases: String,
    /// Why.
    pub purpose: String,
    /// Where the rule stands.
    pub rule: String,
    /// How much it leaves open: the clear, networks, wildcards and any port before what is known well.
    #[serde(skip)]
    risk: u8,
}

impl Diagram {
    pub(super) fn of(policy: &Policy, zones: Option<&Zones>, audit: Option<&[Finding]>) -> Diagram {
        let opens = |rule: &&Rule| rule.list().phase().is_some();
        let rules: Vec<&Rule> = policy.rules().iter().map(AsRef::as_ref).filter(opens).collect();
        let mut planes: BTreeMap<Plane, Vec<Host>> = BTreeMap::new();
        for rule in &rules {
            add(planes.entry(rule.plane()).or_default(), host(rule));
        }
        let mut groups: Vec<Group> =
            planes.into_iter().map(|(plane, hosts)| Group { plane, hosts }).collect();
        groups.sort_by_key(|group| (group.plane != Plane::Control, group.plane));
        for group in &mut groups {
            group.hosts.sort_by_key(|host| std::cmp::Reverse(host.risk));
        }
        let named = |rule: &&&Rule| {
            matches!(rule.destination().target, claw_model::destination::Target::Name(_))
                && rule.addresses().is_none()
        };
        Diagram {
            groups,
            resolves: rules.iter().any(|rule| named(&rule)),
            closed: policy
                .rules()
                .iter()
                .filter(|rule| matches!(rule.list(), RuleList::Deny | RuleList::Never))
                .count(),
            writable: policy
                .filesystem()
                .map(|files| files.write.iter().map(|path| path.display().to_string()).collect())
                .unwrap_or_default(),
            ends_tls: policy.ends_tls(),
            brokered: rules.iter().any(|rule| rule.travel() == claw_policy::Travel::Brokered),
            policy: policy.name().to_owned(),
            firewall: zones.map(firewall),
            findings: audit.map(|all| {
                let found = all.iter().filter(|one| one.status == "fail").count();
                (found, all.len() - found)
            }),
        }
    }
}

fn host(rule: &Rule) -> Host {
    Host {
        destination: rule.destination().to_string(),
        protocol: rule.protocol().to_string(),
        assurance: rule.assurance().to_string(),
        phases: rule.list().as_str().to_owned(),
        purpose: rule.purpose().to_owned(),
        rule: rule.location(),
        risk: risk(rule),
    }
}

fn risk(rule: &Rule) -> u8 {
    let destination = rule.destination().to_string();
    let wide = destination.starts_with("*.") || destination.contains('/') || destination.ends_with(":*");
    let known = match rule.assurance() {
        Assurance::Network => 3,
        Assurance::Name => 2,
        Assurance::Sni => 1,
        Assurance::Http => 0,
    };
    u8::from(!rule.protocol().is_tls()) * 8 + u8::from(wide) * 4 + known
}

/// The same destination in both phases is one line.
fn add(hosts: &mut Vec<Host>, host: Host) {
    let same = |other: &&mut Host| {
        other.destination == host.destination
            && other.protocol == host.protocol
            && other.assurance == host.assurance
    };
    match hosts.iter_mut().find(same) {
        Some(other) if other.phases != host.phases => "both phases".clone_into(&mut other.phases),
        Some(_) => {}
        None => hosts.push(host),
    }
}

/// Each zone on two lines: who it is, and how many flows it declares.
fn firewall(zones: &Zones) -> Vec<String> {
    let mut lines = Vec::new();
    for zone in &zones.zones {
        let count = |direction| zone.flows.iter().filter(|flow| flow.direction == direction).count();
        let (inward, outward, through) =
            (count(Direction::In), count(Direction::Out), count(Direction::Forward));
        let networks = zone.networks.iter().map(ToString::to_string);
        let who: Vec<String> = zone.interfaces.iter().map(ToString::to_string).chain(networks).collect();
        let who = if who.is_empty() { "this host".to_owned() } else { who.join(" ") };
        lines.push(format!("{}: {who}", zone.name));
        lines.push(format!("  {inward} in, {outward} out, {through} forwarded"));
    }
    lines
}
