//! Names: each exact name, and of each wildcard the names that no narrower pattern matches.

use claw_model::destination::Target;
use claw_model::host::{HostName, HostPattern};
use claw_model::net::metadata_name;

use super::{Walk, targets, wider};
use crate::decide::PermitHost;
use crate::policy::Policy;

/// Visits the atoms of every name and wildcard.
pub(super) fn each(walk: &mut Walk<'_, '_>) {
    let policies = walk.policies;
    for target in targets(policies) {
        let Target::Name(pattern) = target else { continue };
        let name = match pattern {
            HostPattern::Exact(name) => Some(name.clone()),
            HostPattern::Below(suffix) => free(policies, suffix),
        };
        if let Some(name) = name {
            walk.target(target, &PermitHost::Name(name), &full(policies, target));
        }
    }
}

/// The wider patterns, nearest first, of which nothing is left beside the narrower ones.
fn full(policies: &[&Policy], target: &Target) -> Vec<Target> {
    let mut full = Vec::new();
    let long = matches!(target, Target::Name(pattern) if pattern.name().as_str().len() > CROWDED);
    let mut wide = if long { wider(policies, target) } else { None };
    while let Some(Target::Name(HostPattern::Below(suffix))) = &wide {
        if suffix.as_str().len() < CROWDED || free(policies, suffix).is_some() {
            break;
        }
        let this = Target::Name(HostPattern::Below(suffix.clone()));
        wide = wider(policies, &this);
        full.push(this);
    }
    full
}

/// A name below the suffix that no narrower pattern matches.
fn free(policies: &[&Policy], suffix: &HostName) -> Option<HostName> {
    // where every name below spells a metadata service, any will do: only exact rules open one
    let spelled = suffix.child("a").is_some_and(|name| metadata_name(&name));
    let known = |pattern: &Target| {
        policies.iter().flat_map(|policy| policy.indexes()).any(|index| index.has(pattern))
    };
    let taken = |name: &HostName| {
        let wider = name.parents().take_while(|above| *above != suffix.as_str());
        let mut wider = wider.filter_map(|above| HostName::parse(above).ok());
        known(&Target::Name(HostPattern::Exact(name.clone())))
            || wider.any(|above| known(&Target::Name(HostPattern::Below(above))))
    };
    candidates(suffix).find(|name| metadata_name(name) == spelled && !taken(name))
}

/// Names below a suffix: more than there can be rules, or all there are.
fn candidates(suffix: &HostName) -> impl Iterator<Item = HostName> {
    let readable = ["any-other", "other"].into_iter().map(str::to_owned);
    let short = (1..=4).flat_map(labels);
    let single = readable.chain(short).filter_map(|label| suffix.child(&label));
    // where three characters fit, two labels fit too; where four do, there are more labels than rules
    let double = labels(1).filter_map(|label| suffix.child(&label));
    single.chain(double.flat_map(|name| labels(1).filter_map(move |label| name.child(&label))))
}

/// Every label of this length.
fn labels(length: u32) -> impl Iterator<Item = String> {
    let base = ALPHABET.len();
    (0..base.pow(length)).map(move |number| {
        let digits = (0..length).rev().map(|place| number / base.pow(place) % base);
        digits.filter_map(|digit| ALPHABET.get(digit).copied().map(char::from)).collect()
    })
}

/// What a label holds; those that begin or end with a hyphen are none.
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789_-";

/// Below a shorter suffix there are more names than a policy can have rules.
const CROWDED: usize = 249;

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: impl Iterator<Item = String>) -> Policy {
        let rules: String =
            rules.map(|to| format!("    - {{destination: '{to}:443', plane: tool, purpose: x}}\n")).collect();
        Policy::parse(&format!("network_policy:\n  workload:\n{rules}"), "p.yaml").unwrap()
    }

    fn suffix(length: usize) -> HostName {
        let long = format!("{0}.{0}.{0}.{0}", "s".repeat(63));
        HostName::parse(long.get(long.len() - length..).unwrap()).unwrap()
    }

    #[test]
    fn a_free_name_is_found_and_none_where_all_are_taken() {
        let name = |text: &str| HostName::parse(text).unwrap();
        let rules = ["any-other.x.test", "other.x.test", "*.a.x.test", "a.x.test", "b.x.test"];
        let one = policy(rules.into_iter().map(str::to_owned));
        assert_eq!(free(&[&one], &name("x.test")), Some(name("c.x.test")));
        assert_eq!(free(&[&one], &name("goog")), Some(name("any-other.goog")));
        let tight = suffix(251);
        let all = || labels(1).filter_map(|label| tight.child(&label)).map(|name| name.to_string());
        assert_eq!(all().count(), 37);
        assert_eq!(free(&[&policy(all())], &tight), None);
        assert_eq!(free(&[&policy(all().skip(1))], &tight), tight.child("a"));
        assert_eq!(free(&[&one], &suffix(252)), None);
    }
}
