//! Rules that decide nothing: of every part of the space of flows, another rule decides, for all time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use claw_model::http::{CanonicalPath, RequestPattern, classes};
use claw_model::phase::Phase;
use jiff::Timestamp;

use super::{Finding, Severity};
use crate::atoms::{self, Atom};
use crate::decide::{Request, closed, ends, opener, requested};
use crate::policy::Policy;
use crate::rule::Rule;

/// Every rule that opens nothing, with those that take its place.
pub(super) fn findings(policy: &Policy, findings: &mut Vec<Finding>) {
    let mut deciding = vec![false; policy.rules().len()];
    moments(policy, &mut |atom, request| {
        each_decider(policy, atom, request, &mut |rule| {
            if let Some(decides) = deciding.get_mut(rule.id as usize) {
                *decides = true;
            }
        });
    });
    let idle = |rule: &&Arc<Rule>| {
        let told = findings.iter().any(|finding| finding.code == "duplicate" && finding.line == rule.line);
        rule.list.phase().is_some() && !told && deciding.get(rule.id as usize) == Some(&false)
    };
    let idle: Vec<&Arc<Rule>> = policy.rules().iter().filter(idle).collect();
    if idle.is_empty() {
        return;
    }
    let mut instead: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    moments(policy, &mut |atom, request| {
        let meets = |rule: &&&Arc<Rule>| {
            rule.list.phase() == Some(atom.phase)
                && rule.carries(atom.transport)
                && rule.destination.ports.contains(atom.first)
                && rule.destination.target.covers(atom.target)
        };
        for rule in idle.iter().filter(meets) {
            let by = instead.entry(rule.id).or_default();
            let mut put = |other: &Rule| by.extend([other.line]);
            match closed(policy, request, None).or_else(|| closed(policy, request, Some(rule))) {
                Some(closing) => put(closing),
                None => each_decider(policy, atom, request, &mut put),
            }
        }
    });
    findings.extend(idle.into_iter().map(|rule| shadowed(rule, instead.get(&rule.id))));
}

fn shadowed(rule: &Rule, by: Option<&BTreeSet<u32>>) -> Finding {
    let lines: Vec<String> = by.into_iter().flatten().take(SHOWN).map(ToString::to_string).collect();
    let more = by.map_or(0, |by| by.len().saturating_sub(SHOWN));
    let why = match (lines.as_slice(), more) {
        ([], _) => {
            "nothing is ever decided by this rule: what it names is special, and opened only by a rule that spells it"
                .to_owned()
        }
        ([line], _) => format!("nothing is ever decided by this rule: the rule on line {line} takes its place"),
        (lines, 0) => {
            format!("nothing is ever decided by this rule: those on lines {} take its place", lines.join(", "))
        }
        (lines, more) => format!(
            "nothing is ever decided by this rule: those on lines {} and {more} more take its place",
            lines.join(", ")
        ),
    };
    let mend = "remove the rule, or narrow those that take its place".into();
    Finding { code: "shadowed", line: rule.line, why, mend, severity: Severity::Warning }
}

/// Every atom, at every time at which something else decides it.
fn moments(policy: &Policy, visit: &mut dyn FnMut(&Atom<'_>, &Request<'_>)) {
    atoms::each(&[policy], Phase::ALL, &mut |atom| {
        let mut next = Some(Timestamp::MIN);
        while let Some(now) = next {
            let request = atom.request(now);
            visit(atom, &request);
            next = ends(policy, &request);
        }
    });
}

/// The rules that decide the flows of an atom, or requests on them.
fn each_decider(policy: &Policy, atom: &Atom<'_>, request: &Request<'_>, put: &mut dyn FnMut(&Rule)) {
    if closed(policy, request, None).is_some() {
        return;
    }
    let Some(rule) = opener(policy, request) else { return };
    let open = |rule: &Rule| closed(policy, request, Some(rule)).is_none();
    let beside: Vec<&Arc<Rule>> = match rule.http.is_some() {
        true => policy.alike(atom.phase, rule).collect(),
        false => Vec::new(),
    };
    if beside.len() < 2 {
        return if open(rule) {
            put(rule)
        };
    }
    let patterns: Vec<&RequestPattern> = beside.iter().flat_map(|rule| rule.http.iter().flatten()).collect();
    let Some(examples) = classes(&patterns, MOST) else {
        // too many kinds to try: none of them is said to decide nothing
        return beside.into_iter().for_each(|rule| put(rule));
    };
    for (method, path) in examples {
        let Ok(path) = CanonicalPath::parse(&path) else { continue };
        if let Some((_, rule)) = requested(policy, request, rule, &method, path) {
            put(rule);
        }
    }
}

/// Lines that are told.
const SHOWN: usize = 4;
/// Examples that are tried for one destination.
const MOST: usize = 5_000;
