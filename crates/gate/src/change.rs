//! Another policy or another phase while the agent runs: taken over whole or not at all, and what it no longer permits
//! is closed.

use std::collections::BTreeMap;
use std::rc::Rc;

use claw_ledger::record::{Event, Signed};
use claw_ledger::summary::Summary;
use claw_model::phase::Phase;
use claw_policy::{Change, Decision, Host, Permit, Policy, Request, Rule, decide_request};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::live::Flow;
use crate::{Gate, Roots, Rules, Seen, Shared, Target, mediator};

/// Why the rules stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The sandbox cannot carry the new policy.
    #[error("this sandbox cannot carry the new policy: {0}; it holds from the next run on")]
    Misfit(String),
    /// The kernel did not take it.
    #[error("the kernel did not take the new openings")]
    Kernel(#[source] std::io::Error),
    /// The change cannot be written down.
    #[error(transparent)]
    Ledger(#[from] crate::Unwritable),
}

/// What led to a change.
#[derive(Debug, Clone)]
pub struct Cause {
    /// In words.
    pub why: String,
    /// On whose word the new policy holds, if the run demands signatures.
    pub signed: Option<Signed>,
}

impl From<&str> for Cause {
    fn from(why: &str) -> Cause {
        Cause { why: why.to_owned(), signed: None }
    }
}

/// What the gate is doing now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The phase.
    pub phase: Phase,
    /// The policy's file as it was given.
    pub policy: String,
    /// The digest of the policy.
    pub policy_digest: String,
    /// Connections that are open.
    pub connections: usize,
    /// The most that may be open.
    pub ceiling: usize,
    /// Open flows; at most the first 1,000.
    pub flows: Vec<Seen>,
    /// What was reached and refused so far.
    pub summary: Summary,
}

impl Gate {
    /// From here on, these rules decide. Flows that they no longer permit are closed; the number is returned.
    ///
    /// Order: the kernel steers what the new rules open, the record is written, the rules are swapped in one step, open
    /// flows are judged again. Whatever fails, the old rules hold.
    /// With another policy come the roots it asks for.
    pub fn adopt(
        &self,
        change: Change,
        roots: Option<Roots>,
        cause: impl Into<Cause>,
    ) -> Result<u64, Refused> {
        let cause = cause.into();
        let shared = &self.shared;
        if shared.observe.is_some() {
            let what = "an observed run keeps its rules and its phase to the end";
            return Err(Refused::Misfit(what.to_owned()));
        }
        let old = shared.rules();
        let new = old.after(change);
        if let Some(misfit) = shared.network.misfit(&new.policy) {
            return Err(Refused::Misfit(misfit));
        }
        if new.policy.ends_tls() && shared.authority.is_none() {
            let what =
                "its `http` rules need a certificate that is trusted inside, and none was made at the start";
            return Err(Refused::Misfit(what.to_owned()));
        }
        shared.steering.replace(&steered(shared, &new)).map_err(Refused::Kernel)?;
        if let Err(error) = shared.write_change(&old, &new, &cause) {
            let _ = shared.steering.replace(&steered(shared, &old));
            return Err(error.into());
        }
        shared.budgets.follow(&old.policy, &new.policy);
        shared.rules.replace(new);
        let believed = Rc::clone(&shared.roots.borrow());
        if let Some(roots) = roots {
            shared.roots.replace(Rc::new(roots));
        }
        Ok(shared.judge_again(&cause.why, &old.policy, &believed))
    }

    /// The policy that was offered is not taken.
    pub fn refused(&self, why: &str) {
        let from = self.shared.rules().policy.digest().to_string();
        let _ = self
            .shared
            .journal
            .write(&Event::Policy { from, to: None, why: why.to_owned(), signed: None }, None);
    }

    /// Closes flows whose rule is past its date. Cheap where no rule has one.
    pub fn expire(&self) {
        let shared = &self.shared;
        let now = Timestamp::now();
        let rules = shared.rules.borrow().clone();
        let next = rules.policy.next_expiry(shared.expired.get());
        if next.is_some_and(|next| now >= next) {
            shared.expired.set(now);
            let believed = Rc::clone(&shared.roots.borrow());
            shared.judge_again("a rule is past its date", &rules.policy, &believed);
        }
    }

    /// The rules that hold now.
    pub fn rules(&self) -> (Policy, Phase) {
        let rules = self.shared.rules();
        (rules.policy, rules.phase)
    }

    /// What the gate is doing now.
    pub fn status(&self) -> Status {
        let rules = self.shared.rules();
        let flows = self.shared.flows.all();
        Status {
            phase: rules.phase,
            policy: rules.policy.name().to_owned(),
            policy_digest: rules.policy.digest().to_string(),
            connections: self.shared.open.get(),
            ceiling: self.shared.ceiling,
            flows: flows.iter().take(MOST_SEEN).map(|flow| flow.seen()).collect(),
            summary: self.shared.journal.summary(),
        }
    }
}

/// What the kernel passes to the gate under these rules.
fn steered(shared: &Shared, rules: &Rules) -> Vec<claw_plan::Opening> {
    let mut openings = claw_plan::openings(&rules.policy, rules.phase);
    openings.extend(mediator::names_open(shared, rules));
    openings
}

impl Shared {
    fn write_change(&self, old: &Rules, new: &Rules, cause: &Cause) -> Result<(), crate::Unwritable> {
        let Cause { why, signed } = cause;
        if old.policy.digest() != new.policy.digest() {
            let (from, to) = (old.policy.digest().to_string(), Some(new.policy.digest().to_string()));
            self.journal
                .write(&Event::Policy { from, to, why: why.clone(), signed: signed.clone() }, None)?;
        }
        if old.phase != new.phase {
            let (from, to) = (old.phase.to_string(), new.phase.to_string());
            self.journal.write(&Event::Phase { from, to, why: why.to_owned() }, None)?;
        }
        Ok(())
    }

    /// Judges every open flow, and every request on it, by the rules as they are now. Where other certificates are believed
    /// now than under the old policy, no connection goes on that was verified by those.
    fn judge_again(&self, why: &str, old: &Policy, believed: &Roots) -> u64 {
        let policy = self.rules().policy;
        let roots = Rc::clone(&self.roots.borrow());
        let verified = |before: &Rule, now: &Rule| {
            !now.ends_tls() || believed.believe_as((old, before), &roots, (&policy, now))
        };
        let mut closed: BTreeMap<String, u64> = BTreeMap::new();
        let mut stopped: Vec<Rc<Flow>> = Vec::new();
        for flow in self.flows.all() {
            match self.decide(&flow.attempt) {
                // how a flow is looked into is settled when it begins
                Decision::Allow(permit)
                    if same_look(&flow.rule(), permit.rule())
                        && verified(&flow.rule(), permit.rule())
                        && self.leads_on(&permit, &flow) =>
                {
                    let rule = permit.rule();
                    let budget = (!rule.reads_http()).then(|| self.budgets.of(rule));
                    flow.moved(rule, budget);
                    self.judge_requests(&flow, &mut closed);
                }
                _ => {
                    let count = closed.entry(target(&flow)).or_default();
                    *count = count.saturating_add(1);
                    stopped.push(flow);
                }
            }
        }
        let total = closed.values().sum();
        // order: written down before it takes effect
        for (what, count) in closed {
            let event = Event::Revoke { what, why: why.to_owned(), closed: count };
            let _ = self.journal.write(&event, None);
        }
        stopped.iter().for_each(|flow| flow.stop.call());
        self.changed.notify_waiters();
        total
    }

    /// Whether nothing closes now where the flow leads.
    fn leads_on(&self, permit: &Permit, flow: &Flow) -> bool {
        flow.leads.borrow().iter().all(|led| self.may_lead(&flow.attempt, permit.rule(), *led).is_ok())
    }

    fn judge_requests(&self, flow: &Flow, closed: &mut BTreeMap<String, u64>) {
        let rules = self.rules();
        let now = Timestamp::now();
        for exchange in flow.exchanges.borrow().iter() {
            let attempt = &flow.attempt;
            let host = match &attempt.target {
                Target::Name(name) => Host::Name(name),
                Target::Address(address) => Host::Address(*address),
                Target::Page => continue,
            };
            let request =
                Request { phase: rules.phase, transport: attempt.transport, host, port: attempt.port, now };
            let judged = decide_request(&rules.policy, &request, &exchange.method, &exchange.path);
            if let Ok(permit) = &judged {
                // its limits, and its plane, are those of the rule that permits it now
                exchange.moved(permit.rule(), Some(self.budgets.of(permit.rule())));
            } else {
                let what = format!("{} {} {}", target(flow), exchange.method, exchange.path);
                let count = closed.entry(what).or_default();
                *count = count.saturating_add(1);
                exchange.stop.call();
            }
        }
    }
}

/// A flow that was opened under a rule that reads HTTP cannot go on under one that checks the hello only, or does not
/// look at all, and the other way round: what was let through was let through for its reason. Nor does one in plain text
/// become one over TLS.
fn same_look(old: &Rule, new: &Rule) -> bool {
    let narrower = old.private_allowed() && !new.private_allowed();
    // of a network, a rule that asks for TLS is no more assured than one that does not
    let unchecked = new.protocol().is_tls() && !old.protocol().is_tls();
    old.assurance() >= new.assurance()
        && old.reads_http() == new.reads_http()
        && old.ends_tls() == new.ends_tls()
        && old.travel() == new.travel()
        && old.addresses() == new.addresses()
        && !narrower
        && !unchecked
}

fn target(flow: &Flow) -> String {
    format!("{}:{}", flow.attempt.name(), flow.attempt.port)
}

const MOST_SEEN: usize = 1_000;
