//! `never`, proven: no rule comes to decide a flow that a promise speaks of, unless a `deny` rule closes it anyway.
//!
//! A promise is held at run time as well, as `deny` is. The proof leaves that out: a rule that only the promise itself stops
//! is a rule that breaks it. It holds for all time, whichever rules have ended. What a name resolves to is not part of it,
//! but the `addresses` that a rule spells are.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use claw_model::phase::Phase;
use jiff::Timestamp;

use crate::atoms::{self, Atom};
use crate::decide::{Request, closers, ends, opener};
use crate::diff::Witness;
use crate::leads::closer_at;
use crate::policy::Policy;
use crate::rule::{Rule, RuleList};

/// A promise, the rule that breaks it, and a flow that shows it.
pub(crate) struct Broken {
    pub(crate) never: Arc<Rule>,
    pub(crate) rule: Arc<Rule>,
    pub(crate) witness: Witness,
    /// Where the rule dials it, if that is what the promise speaks of.
    pub(crate) address: Option<IpAddr>,
    /// From when on, if another rule decides it until then.
    pub(crate) from: Option<Timestamp>,
}

/// Every pair of a promise and a rule that breaks it.
pub(crate) fn broken(policy: &Policy) -> Vec<Broken> {
    let mut proof = Proof { policy, told: BTreeMap::new(), broken: Vec::new() };
    if policy.rules().iter().any(|rule| rule.list == RuleList::Never) {
        atoms::each(&[policy], Phase::ALL, &mut |atom| proof.atom(atom));
    }
    proof.broken.sort_by_key(|broken| (broken.never.id, broken.rule.id));
    proof.broken
}

struct Proof<'p> {
    policy: &'p Policy,
    /// Where each pair stands among the broken ones.
    told: BTreeMap<(u32, u32), usize>,
    broken: Vec<Broken>,
}

impl Proof<'_> {
    fn atom(&mut self, atom: &Atom<'_>) {
        let mut next = Some(Timestamp::MIN);
        while let Some(now) = next {
            let request = atom.request(now);
            self.moment(atom, &request);
            next = ends(self.policy, &request);
        }
    }

    fn moment(&mut self, atom: &Atom<'_>, request: &Request<'_>) {
        let policy = self.policy;
        let Some(opener) = opener(policy, request) else { return };
        // rules that split a destination by its requests open it together
        let beside = policy.alike(request.phase, opener).filter(|_| opener.http.is_some());
        for rule in beside.chain(std::iter::once(opener)).filter(|rule| !rule.is_expired(request.now)) {
            let speaks = |list, closer: &Rule| {
                closer.list == list && closer.plane.is_none_or(|plane| plane == rule.plane())
            };
            if closers(policy, request, |closer| speaks(RuleList::Deny, closer)).is_some() {
                continue;
            }
            let never = closers(policy, request, |closer| speaks(RuleList::Never, closer));
            self.put(atom, request, (never, rule), None);
            for address in rule.addresses().unwrap_or_default() {
                let at = |list| closer_at(policy, request, *address, |closer| speaks(list, closer));
                if at(RuleList::Deny).is_none() {
                    self.put(atom, request, (at(RuleList::Never), rule), Some(*address));
                }
            }
        }
    }

    fn put(
        &mut self,
        atom: &Atom<'_>,
        request: &Request<'_>,
        (never, rule): (Option<&Arc<Rule>>, &Arc<Rule>),
        address: Option<IpAddr>,
    ) {
        let Some(never) = never else { return };
        let from = Some(request.now).filter(|now| *now > Timestamp::MIN);
        let witness = Witness::of(atom, rule.plane(), None);
        let found = Broken { never: never.clone(), rule: rule.clone(), witness, address, from };
        let place = *self.told.entry((never.id, rule.id)).or_insert(self.broken.len());
        match self.broken.get_mut(place) {
            // what is broken from the beginning is told rather than what is later
            Some(known) if found.from < known.from => *known = found,
            Some(_) => {}
            None => self.broken.push(found),
        }
    }
}

#[cfg(test)]
mod tests;
