//! Diff: what another policy lets through that one did not, what it no longer does, and what it lets through otherwise.
//!
//! Both are compared as sets of flows and requests, not as text, and exactly: see `atoms`. Each difference has a witness, a
//! flow that the matcher itself decides differently under the two. Rules that end are compared for all time from `now` on.
//! What it does not cover: what names resolve to, what a permitted host passes on, covert channels.

use std::sync::Arc;

use claw_model::destination::Destination;
use claw_model::phase::Phase;
use claw_model::port::Ports;
use claw_model::protocol::{Protocol, Transport};
use jiff::Timestamp;

use crate::atoms::{self, Narrower};
use crate::policy::Policy;
use crate::rule::{Rule, RuleList};

mod compare;
mod meaning;
mod show;

pub use meaning::Shift;
pub(crate) use meaning::limits;
pub use show::{Side, Witness};

use compare::{Found, Key};

/// Every difference between two policies.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Diff {
    /// What becomes reachable.
    pub new: Vec<Difference>,
    /// What no longer is.
    pub gone: Vec<Difference>,
    /// What still is, and means something else.
    pub changed: Vec<Difference>,
    /// Promises of the old policy that the new one does not give, as `file:line` and destination.
    pub promises_gone: Vec<Promise>,
}

/// A promise that is taken back.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Promise {
    /// Where it was given.
    pub rule: String,
    /// What was never to be reached.
    pub destination: Destination,
    /// On which plane: `*` for all.
    pub plane: &'static str,
}

/// What kind of difference it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Allowed by the new policy, refused by the old one.
    New,
    /// Refused by the new policy, allowed by the old one.
    Gone,
    /// Allowed by both, on other terms.
    Changed,
}

/// What is let through or refused: connections, or requests on connections that both allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Whole connections.
    Flow,
    /// Single requests.
    Requests,
}

/// One difference: a set of flows that the same two sides decide.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Difference {
    /// Which kind.
    pub kind: Kind,
    /// Connections or requests.
    pub scope: Scope,
    /// In which phase.
    pub phase: Phase,
    /// Over what.
    pub transport: Transport,
    /// The hosts and ports.
    pub destination: Destination,
    /// What has narrower rules of its own, and is not meant. Metadata services and special ranges are meant only where they
    /// are spelled.
    pub except: Vec<Destination>,
    /// Which requests, where the deciding rule names requests.
    pub requests: Vec<String>,
    /// From when on, if not from now on: a rule ends then.
    #[serde(serialize_with = "text")]
    pub from: Option<Timestamp>,
    /// One flow of these.
    pub witness: Witness,
    /// What the old policy says of it.
    pub old: Side,
    /// What the new policy says of it.
    pub new: Side,
    /// What changes, where both allow it.
    pub shifts: Vec<Shift>,
}

/// Two policies cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiffError {
    /// The request patterns cut paths into too many parts.
    #[error(
        "the requests that {rules} name tell more than {most} kinds of requests apart: they are not compared"
    )]
    Requests {
        /// The rules.
        rules: String,
        /// How many are compared.
        most: usize,
    },
}

impl Diff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.gone.is_empty() && self.changed.is_empty()
    }

    /// Whether something can be reached that could not be: flows, requests, or addresses behind a name.
    pub fn opens(&self) -> bool {
        let leads = |change: &Difference| change.shifts.iter().any(Shift::leads_elsewhere);
        !self.new.is_empty() || self.changed.iter().any(leads)
    }

    /// Whether something is let through on weaker terms.
    pub fn widens(&self) -> bool {
        self.opens() || self.changed.iter().any(|change| change.shifts.iter().any(|shift| shift.widens))
    }

    /// Every difference, what is new first.
    pub fn all(&self) -> impl Iterator<Item = &Difference> {
        self.new.iter().chain(&self.gone).chain(&self.changed)
    }
}

/// Compares two policies in these phases, from this time on.
pub fn diff(old: &Policy, new: &Policy, phases: &[Phase], now: Timestamp) -> Result<Diff, DiffError> {
    let policies = [old, new];
    let mut found = Found::new(old, new, now);
    atoms::each(&policies, phases, &mut |atom| found.atom(atom));
    let groups = found.finish()?;
    let narrower = groups.iter().any(|(key, _)| key.is_wide()).then(|| Narrower::of(&policies));
    let mut differences: Vec<Difference> =
        groups.into_iter().filter_map(|group| difference(group, narrower.as_ref())).collect();
    let order = |one: &Difference| (one.phase, one.new.line, one.old.line);
    differences.sort_by(|one, other| {
        order(one).cmp(&order(other)).then_with(|| one.destination.cmp(&other.destination))
    });
    let (mut fresh, mut gone, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for difference in differences {
        match difference.kind {
            Kind::New => fresh.push(difference),
            Kind::Gone => gone.push(difference),
            Kind::Changed => changed.push(difference),
        }
    }
    Ok(Diff { new: fresh, gone, changed, promises_gone: promises_gone(old, new) })
}

fn difference((key, group): (Key, compare::Group), narrower: Option<&Narrower<'_>>) -> Option<Difference> {
    let ports = Ports::of(group.ports)?;
    let except = match narrower {
        Some(narrower) => narrower.within(&key.target, key.phase, key.transport, &ports),
        None => Vec::new(),
    };
    Some(Difference {
        kind: key.kind,
        scope: key.scope,
        phase: key.phase,
        transport: key.transport,
        destination: Destination { target: key.target, ports },
        except,
        requests: group.requests,
        from: key.from,
        witness: group.witness,
        old: group.old,
        new: group.new,
        shifts: group.shifts,
    })
}

fn text<S: serde::Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}

/// The promises of the old policy that no single one of the new policy gives.
fn promises_gone(old: &Policy, new: &Policy) -> Vec<Promise> {
    let covers = |wide: &Rule, rule: &Rule| {
        let transport = |rule: &Rule| rule.protocol.map(Protocol::transport);
        wide.list == RuleList::Never
            && (wide.plane.is_none() || wide.plane == rule.plane)
            && (wide.protocol.is_none() || transport(wide) == transport(rule))
            && wide.destination.covers(&rule.destination)
    };
    let lost = |rule: &&Arc<Rule>| {
        rule.list == RuleList::Never
            && !new.0.closed.at_or_above(&rule.destination.target).any(|wide| covers(wide, rule))
    };
    let promise = |rule: &Arc<Rule>| Promise {
        rule: rule.location(),
        destination: rule.destination.clone(),
        plane: rule.plane.map_or("*", |plane| plane.as_str()),
    };
    old.rules().iter().filter(lost).map(promise).collect()
}

#[cfg(test)]
mod tests;
