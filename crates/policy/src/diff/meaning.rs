//! What a permitted flow means: its plane, how well it is known, its limits, how it travels and where it leads.

use claw_model::protocol::Protocol;

use crate::policy::Policy;
use crate::rule::{FlowLimits, Rate, Rule, Travel};

/// One thing that changes about what both policies allow.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shift {
    /// The field of the rule, or `assurance`.
    pub field: &'static str,
    /// What it was.
    pub old: String,
    /// What it is.
    pub new: String,
    /// Whether less is checked or more may flow.
    pub widens: bool,
}

impl Shift {
    /// Whether the same name may now be dialled at an address where it could not be.
    pub fn leads_elsewhere(&self) -> bool {
        self.widens && matches!(self.field, "private" | "addresses")
    }
}

/// A rule and the policy it stands in.
#[derive(Clone, Copy)]
pub(crate) struct Of<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) rule: &'a Rule,
}

/// Everything that two rules say differently of a flow that both allow.
pub(crate) fn shifts(old: Of<'_>, new: Of<'_>) -> Vec<Shift> {
    let (one, other) = (old.rule, new.rule);
    let mut shifts = Vec::new();
    let mut say = |field, old: &dyn ToString, new: &dyn ToString, widens| {
        shifts.push(Shift { field, old: old.to_string(), new: new.to_string(), widens });
    };
    if one.plane() != other.plane() {
        say("plane", &one.plane(), &other.plane(), false);
    }
    if one.assurance() != other.assurance() {
        say("assurance", &one.assurance(), &other.assurance(), other.assurance() < one.assurance());
    }
    if one.protocol() != other.protocol() {
        let weaker = one.protocol().is_tls() && !other.protocol().is_tls();
        let freer = one.protocol() == Protocol::TcpHttp && other.protocol() == Protocol::Tcp;
        say("protocol", &one.protocol(), &other.protocol(), weaker || freer);
    }
    if one.limits != other.limits {
        say("limits", &limits(&one.limits), &limits(&other.limits), looser(&one.limits, &other.limits));
    }
    if one.travel != other.travel {
        say("path", &travel(one.travel), &travel(other.travel), false);
    }
    if one.private != other.private {
        say("private", &private(one), &private(other), other.private);
    }
    if one.addresses != other.addresses {
        let within = match (&one.addresses, &other.addresses) {
            (Some(known), Some(own)) => own.iter().all(|address| known.contains(address)),
            _ => false,
        };
        say("addresses", &addresses(one), &addresses(other), !within);
    }
    let same = one.upstream_ca == other.upstream_ca && old.policy.upstream_ca() == new.policy.upstream_ca();
    if !same && one.ends_tls() && other.ends_tls() {
        say("upstream_ca", &trusted(old), &trusted(new), true);
    }
    shifts
}

fn private(rule: &Rule) -> &'static str {
    if rule.private { "allow" } else { "refuse" }
}

fn travel(travel: Travel) -> &'static str {
    match travel {
        Travel::Relay => "relay",
        Travel::Brokered => "brokered",
    }
}

fn addresses(rule: &Rule) -> String {
    match &rule.addresses {
        None => "as resolved".to_owned(),
        Some(addresses) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn trusted(of: Of<'_>) -> String {
    let base = of.policy.upstream_ca().map_or("the system's".into(), |path| path.to_string_lossy());
    match &of.rule.upstream_ca {
        Some(path) => format!("{base} and {}", path.display()),
        None => base.into_owned(),
    }
}

/// As the limits of a rule are written.
pub(crate) fn limits(limits: &FlowLimits) -> String {
    let FlowLimits { bytes_out, bytes_in, connections, rate } = limits;
    let number = |key: &str, number: &Option<u64>| number.map(|number| format!("{key}: {number}"));
    let parts = [
        number("bytes_out", bytes_out),
        number("bytes_in", bytes_in),
        number("connections", connections),
        rate.map(|rate| format!("rate: {}", self::rate(rate))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// As a rate is written.
pub(crate) fn rate(rate: Rate) -> String {
    let unit = match rate.seconds {
        1 => "s",
        60 => "m",
        _ => "h",
    };
    format!("{}/{unit}", rate.count)
}

/// Whether some limit is higher, or gone.
fn looser(old: &FlowLimits, new: &FlowLimits) -> bool {
    let more = |old: Option<u64>, new: Option<u64>| old.is_some_and(|old| new.is_none_or(|new| new > old));
    let rate = match (old.rate, new.rate) {
        (None, _) => false,
        (Some(_), None) => true,
        // more in the long run, or more at once
        (Some(old), Some(new)) => {
            let each = |rate: Rate, other: Rate| u64::from(rate.count) * u64::from(other.seconds);
            each(new, old) > each(old, new) || new.count > old.count
        }
    };
    more(old.bytes_out, new.bytes_out)
        || more(old.bytes_in, new.bytes_in)
        || more(old.connections, new.connections)
        || rate
}
