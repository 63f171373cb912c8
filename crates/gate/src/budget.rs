//! The limits of rules: bytes, connections, rate. Kept by rule over the whole run, also across changes of the policy.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use claw_policy::{FlowLimits, Rate, Rule};

/// What has been used of one rule's limits.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Cell<FlowLimits>,
    out: Cell<u64>,
    back: Cell<u64>,
    open: Cell<u64>,
    tokens: Cell<f64>,
    refilled: Cell<Instant>,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the agent.
    Out,
    /// To the agent.
    Back,
}

/// A connection, or a request, that is counted while it lasts.
#[derive(Debug)]
pub(crate) struct Counted(Option<Rc<Budget>>);

/// Every budget of the run.
#[derive(Debug, Default)]
pub(crate) struct Budgets(RefCell<HashMap<String, Rc<Budget>>>);

impl Budgets {
    /// The budget of a rule; none if it has no limits.
    pub(crate) fn of(&self, rule: &Rule) -> Option<Rc<Budget>> {
        let limits = *rule.limits();
        if limits == FlowLimits::default() {
            return None;
        }
        let mut budgets = self.0.borrow_mut();
        let budget = budgets.entry(identity(rule)).or_insert_with(|| Rc::new(Budget::new(limits)));
        budget.limits.set(limits);
        Some(Rc::clone(budget))
    }

    /// Counts one more connection or request; the sentence says which limit is reached.
    pub(crate) fn begin(&self, rule: &Rule) -> Result<Counted, String> {
        let Some(budget) = self.of(rule) else { return Ok(Counted(None)) };
        budget.begin()?;
        Ok(Counted(Some(budget)))
    }
}

impl Counted {
    /// The budget that bytes are taken from.
    pub(crate) fn budget(&self) -> Option<&Rc<Budget>> {
        self.0.as_ref()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(budget) = &self.0 {
            budget.open.set(budget.open.get().saturating_sub(1));
        }
    }
}

impl Budget {
    fn new(limits: FlowLimits) -> Budget {
        Budget {
            limits: Cell::new(limits),
            out: Cell::new(0),
            back: Cell::new(0),
            open: Cell::new(0),
            tokens: Cell::new(limits.rate.map_or(0.0, |rate| f64::from(rate.count))),
            refilled: Cell::new(Instant::now()),
        }
    }

    fn begin(&self) -> Result<(), String> {
        let limits = self.limits.get();
        for (way, most) in [(Way::Out, limits.bytes_out), (Way::Back, limits.bytes_in)] {
            if most.is_some_and(|most| self.used(way).get() >= most) {
                return Err(spent(way, most.unwrap_or_default()));
            }
        }
        if let Some(most) = limits.connections.filter(|most| self.open.get() >= *most) {
            return Err(format!("the rule's limit of {most} at the same time is reached"));
        }
        if let Some(rate) = limits.rate
            && !self.token(rate, Instant::now())
        {
            return Err(format!("the rule's limit of {} in {} s is reached", rate.count, rate.seconds));
        }
        self.open.set(self.open.get().saturating_add(1));
        Ok(())
    }

    /// A token bucket: as many at once as the rate names, then one by one.
    fn token(&self, rate: Rate, now: Instant) -> bool {
        let most = f64::from(rate.count);
        let elapsed = now.saturating_duration_since(self.refilled.get()).as_secs_f64();
        let tokens = (self.tokens.get() + elapsed * most / f64::from(rate.seconds)).min(most);
        self.refilled.set(now);
        self.tokens.set(if tokens >= 1.0 { tokens - 1.0 } else { tokens });
        tokens >= 1.0
    }

    /// Takes bytes before they travel; the sentence says that there are not so many left.
    pub(crate) fn take(&self, way: Way, bytes: u64) -> Result<(), String> {
        let limits = self.limits.get();
        let most = match way {
            Way::Out => limits.bytes_out,
            Way::Back => limits.bytes_in,
        };
        let used = self.used(way);
        let total = used.get().saturating_add(bytes);
        if let Some(most) = most.filter(|most| total > *most) {
            // nothing more fits: the flow ends here, and the next one is refused
            used.set(most);
            return Err(spent(way, most));
        }
        used.set(total);
        Ok(())
    }

    fn used(&self, way: Way) -> &Cell<u64> {
        match way {
            Way::Out => &self.out,
            Way::Back => &self.back,
        }
    }
}

fn spent(way: Way, most: u64) -> String {
    let what = match way {
        Way::Out => "sent",
        Way::Back => "received",
    };
    format!("the rule's limit of {most} bytes {what} is reached")
}

/// What makes two rules of two policies the same rule. Not its requests: whoever adds one does not begin anew.
fn identity(rule: &Rule) -> String {
    format!("{} {} {} {}", rule.list().as_str(), rule.destination(), rule.plane(), rule.ordinal())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use claw_policy::Policy;

    use super::*;

    fn rule(limits: &str) -> Policy {
        let text = format!(
            "network_policy:\n  workload:\n    - {{destination: a.test:1, plane: tool, purpose: x, limits: {limits}}}\n"
        );
        Policy::parse(&text, "p.yaml").unwrap()
    }

    #[test]
    fn bytes_run_out_in_each_direction_and_new_connections_with_them() {
        let policy = rule("{bytes_out: 10, bytes_in: 20}");
        let budgets = Budgets::default();
        let counted = budgets.begin(&policy.rules()[0]).unwrap();
        let budget = counted.budget().unwrap();
        assert_eq!(budget.take(Way::Out, 10), Ok(()));
        assert_eq!(budget.take(Way::Back, 19), Ok(()));
        assert!(budget.take(Way::Back, 2).unwrap_err().contains("20 bytes received"));
        assert!(budgets.begin(&policy.rules()[0]).unwrap_err().contains("10 bytes sent"));
        let wider = rule("{bytes_out: 30, bytes_in: 40}");
        assert!(budgets.begin(&wider.rules()[0]).is_ok(), "a new policy has new limits");
        assert!(
            budgets.of(&wider.rules()[0]).unwrap().take(Way::Out, 21).is_err(),
            "what was used stays used"
        );
    }

    #[test]
    fn another_request_on_a_rule_does_not_begin_its_limits_anew() {
        let policy = |requests: &str| {
            let text = format!(
                "network_policy:\n  workload:\n    - {{destination: a.test:80, plane: tool, purpose: x, http: [{requests}], limits: {{bytes_out: 10}}}}\n"
            );
            Policy::parse(&text, "p.yaml").unwrap()
        };
        let budgets = Budgets::default();
        let (first, second) = (policy("GET /a"), policy("GET /a, GET /b"));
        assert_eq!(budgets.of(&first.rules()[0]).unwrap().take(Way::Out, 10), Ok(()));
        assert!(budgets.begin(&second.rules()[0]).is_err());
    }

    #[test]
    fn connections_are_counted_while_they_last() {
        let policy = rule("{connections: 2}");
        let budgets = Budgets::default();
        let first = budgets.begin(&policy.rules()[0]).unwrap();
        let _second = budgets.begin(&policy.rules()[0]).unwrap();
        assert!(budgets.begin(&policy.rules()[0]).is_err());
        drop(first);
        assert!(budgets.begin(&policy.rules()[0]).is_ok());
    }

    #[test]
    fn a_rate_lets_a_burst_through_and_then_refills() {
        let budget = Budget::new(*rule("{rate: 60/m}").rules()[0].limits());
        let rate = budget.limits.get().rate.unwrap();
        let begun = budget.refilled.get();
        let count =
            |at: u64| (0..100).filter(|_| budget.token(rate, begun + Duration::from_secs(at))).count();
        assert_eq!(count(0), 60);
        assert_eq!(count(3), 3);
        assert_eq!(count(1000), 60);
    }
}
