//! Merge: several policies as one, with where each rule comes from, and what the result is checked to be.
//!
//! The result lets through what some side lets through, but for what any side's `deny` or `never` closes: that wins. Where a
//! side's narrower rule comes to decide what another side's wider one decided, its terms hold, and that is told. Sides that
//! say different things of one flow are conflicts, and are not merged.

use std::sync::Arc;

use claw_model::http::{CanonicalPath, RequestPattern, classes};
use claw_model::phase::Phase;
use jiff::Timestamp;

use crate::atoms::{self, Atom};
use crate::ceiling;
use crate::decide::{Request, ends, permitted, requested};
use crate::diff::{DiffError, Difference, Kind, diff};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::rule::Rule;

mod write;

/// The merged policy.
#[derive(Debug, Clone)]
pub struct Merged {
    /// A policy file that `Policy::parse` accepts.
    pub yaml: String,
    /// What a side lets through and the result does not, or on other terms.
    pub notes: Vec<Note>,
}

/// What a side loses by being merged.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Note {
    /// The side.
    pub file: String,
    /// Whether it is a `deny` or `never` of another side that closes it, as such rules do.
    pub denied: bool,
    /// What is lost or otherwise; `new` is the result.
    #[serde(flatten)]
    pub difference: Difference,
}

/// Two places that cannot both stand.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Conflict {
    /// Where, as `file:line` or the file's name.
    pub places: Vec<String>,
    /// What is wrong between them.
    pub what: String,
}

/// Policies cannot be merged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MergeError {
    /// Some contradict each other.
    #[error("the policies contradict each other in {} places", .0.len())]
    Conflicts(Vec<Conflict>),
    /// The result could not be checked.
    #[error(transparent)]
    Compare(#[from] DiffError),
    /// The result would let through what no side does.
    #[error(
        "the result would let through `{0}`, which no side does: this is a defect of claw, and nothing is merged"
    )]
    Beyond(String),
}

/// Merges policies, and checks the result from this time on.
pub fn merge(policies: &[&Policy], now: Timestamp) -> Result<Merged, MergeError> {
    let written = write::write(policies).map_err(MergeError::Conflicts)?;
    let merged = Policy::parse(&written.yaml, RESULT).map_err(|error| {
        MergeError::Conflicts(error.problems().iter().map(|problem| written.conflict(problem)).collect())
    })?;
    let mut above = Vec::new();
    for ceiling in policies.iter().filter_map(|policy| policy.ceiling()) {
        for beyond in ceiling::beyond(&merged, ceiling) {
            let rule = beyond.rule.and_then(|id| merged.rules().get(id as usize));
            let places =
                rule.map(|rule| written.origin(rule.line)).into_iter().chain([ceiling.name().to_owned()]);
            above.push(Conflict { places: places.collect(), what: beyond.what });
        }
    }
    if !above.is_empty() {
        return Err(MergeError::Conflicts(above));
    }
    beyond(&merged, policies, now)?;
    let mut notes = Vec::new();
    for policy in policies {
        let found = diff(policy, &merged, Phase::ALL, now)?;
        for mut difference in found.gone.into_iter().chain(found.changed) {
            let closed = [Reason::DenyRule, Reason::Never].map(|reason| Some(reason.code()));
            let denied = difference.kind == Kind::Gone && closed.contains(&difference.new.reason);
            difference.new.rule = difference.new.line.map(|line| written.origin(line));
            notes.push(Note { file: policy.name().to_owned(), denied, difference });
        }
    }
    Ok(Merged { yaml: written.yaml, notes })
}

/// Checks that nothing is let through that no side lets through.
fn beyond(merged: &Policy, sides: &[&Policy], now: Timestamp) -> Result<(), MergeError> {
    let all: Vec<&Policy> = std::iter::once(merged).chain(sides.iter().copied()).collect();
    let mut failed = None;
    atoms::each(&all, Phase::ALL, &mut |atom| {
        let mut next = Some(now);
        while let (Some(now), None) = (next, &failed) {
            let request = atom.request(now);
            failed = moment(merged, sides, atom, &request).err();
            next = all.iter().filter_map(|policy| ends(policy, &request)).min();
        }
    });
    failed.map_or(Ok(()), Err)
}

fn moment(
    merged: &Policy,
    sides: &[&Policy],
    atom: &Atom<'_>,
    request: &Request<'_>,
) -> Result<(), MergeError> {
    let Ok(rule) = permitted(merged, request) else { return Ok(()) };
    let shown = || format!("{}:{}", request.host, request.port);
    let open: Vec<(&Policy, &Arc<Rule>)> =
        sides.iter().filter_map(|side| Some((*side, permitted(side, request).ok()?))).collect();
    let whole = |(_, rule): &(&Policy, &Arc<Rule>)| rule.http.is_none();
    match open.iter().any(whole) {
        _ if open.is_empty() => return Err(MergeError::Beyond(shown())),
        true => return Ok(()),
        false if rule.http.is_none() => return Err(MergeError::Beyond(shown())),
        false => {}
    }
    let beside = |policy: &'_ Policy, rule: &'_ Arc<Rule>| -> Vec<RequestPattern> {
        policy.alike(atom.phase, rule).flat_map(|rule| rule.http.iter().flatten()).cloned().collect()
    };
    let mut patterns = beside(merged, rule);
    patterns.extend(open.iter().flat_map(|(side, rule)| beside(side, rule)));
    patterns.sort_unstable();
    patterns.dedup();
    let patterns: Vec<&RequestPattern> = patterns.iter().collect();
    let too_many = || DiffError::Requests { rules: rule.location(), most: MOST };
    for (method, path) in classes(&patterns, MOST).ok_or_else(too_many)? {
        let Ok(canonical) = CanonicalPath::parse(&path) else { continue };
        let asked = |policy, rule| requested(policy, request, rule, &method, canonical).is_some();
        if asked(merged, rule) && !open.iter().any(|(side, rule)| asked(side, rule)) {
            return Err(MergeError::Beyond(format!("{method} {path} on {}", shown())));
        }
    }
    Ok(())
}

/// What the result is called in messages.
const RESULT: &str = "(merged)";
/// Examples that are tried for one destination.
const MOST: usize = 20_000;

#[cfg(test)]
mod tests;
