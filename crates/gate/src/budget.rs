//! The limits of rules: bytes, connections, rate. Kept by rule over the whole run, also across changes of the policy, and
//! also while a rule has no limit: another policy may bring one.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use claw_model::destination::Destination;
use claw_model::http::RequestPattern;
use claw_model::plane::Plane;
use claw_model::protocol::Transport;
use claw_policy::{FlowLimits, Policy, Rate, Rule, RuleList};

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

/// A connection, or a request, that is counted while it lasts: by no budget, or by that of the rule that permits it now.
#[derive(Debug, Default)]
pub(crate) struct Counted(RefCell<Option<Rc<Budget>>>);

/// Every budget of the run.
#[derive(Debug, Default)]
pub(crate) struct Budgets(RefCell<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Of the rules that hold, by their address: the rule that is kept beside it has it to itself.
    now: HashMap<*const Rule, Used>,
    /// Of rules that were in another policy, and may come back.
    past: Vec<Used>,
}

#[derive(Debug)]
struct Used {
    rule: Arc<Rule>,
    budget: Rc<Budget>,
}

impl Budgets {
    /// The budget of a rule.
    pub(crate) fn of(&self, rule: &Arc<Rule>) -> Rc<Budget> {
        let now = &mut self.0.borrow_mut().now;
        let used = now
            .entry(Arc::as_ptr(rule))
            .or_insert_with(|| Used { rule: Arc::clone(rule), budget: Rc::new(Budget::new(*rule.limits())) });
        used.budget.limit(*rule.limits());
        Rc::clone(&used.budget)
    }

    /// Counts one more connection or request; the sentence says which limit is reached.
    pub(crate) fn begin(&self, rule: &Arc<Rule>) -> Result<Counted, String> {
        let budget = self.of(rule);
        budget.begin()?;
        let counted = Counted::default();
        counted.moved(Some(budget));
        Ok(counted)
    }

    /// The rules of another policy go on with what was used of those that they were before: of the same destination, with a
    /// request in common, or else on the same plane. A limit is not evaded by another rule beside it, nor by another plane.
    pub(crate) fn follow(&self, old: &Policy, new: &Policy) {
        let known = &mut *self.0.borrow_mut();
        let mut before: Vec<(Arc<Rule>, Option<Rc<Budget>>)> = Vec::new();
        for rule in old.rules() {
            let budget = known.now.remove(&Arc::as_ptr(rule)).map(|used| used.budget);
            before.push((Arc::clone(rule), budget));
        }
        before.extend(known.past.drain(..).map(|used| (used.rule, Some(used.budget))));
        let mut taken = vec![false; before.len()];
        let mut left: Vec<&Arc<Rule>> = new.rules().iter().collect();
        for signs in [requests, plane] {
            let mut places: HashMap<Mark<'_>, VecDeque<usize>> = HashMap::new();
            for (at, (rule, _)) in before.iter().enumerate() {
                signs(rule).into_iter().for_each(|mark| places.entry(mark).or_default().push_back(at));
            }
            left.retain(|rule| {
                let Some(at) = signs(rule).into_iter().find_map(|mark| free(places.get_mut(&mark)?, &taken))
                else {
                    return true;
                };
                taken.get_mut(at).into_iter().for_each(|taken| *taken = true);
                if let Some((_, Some(budget))) = before.get(at) {
                    let used = Used { rule: Arc::clone(rule), budget: Rc::clone(budget) };
                    known.now.insert(Arc::as_ptr(rule), used);
                }
                false
            });
        }
        let gone = before.into_iter().zip(taken).filter(|(_, taken)| !taken);
        known.past.extend(gone.filter_map(|((rule, budget), _)| Some(Used { rule, budget: budget? })));
    }
}

/// What may tell that two rules of two policies are the same.
type Mark<'a> = (RuleList, Transport, &'a Destination, Sign<'a>);

#[derive(Debug, PartialEq, Eq, Hash)]
enum Sign<'a> {
    /// It names this request, or none.
    Request(Option<&'a RequestPattern>),
    Plane(Plane),
}

fn requests(rule: &Rule) -> Vec<Mark<'_>> {
    let mark =
        |request| (rule.list(), rule.protocol().transport(), rule.destination(), Sign::Request(request));
    match rule.http() {
        Some(requests) => requests.iter().map(|request| mark(Some(request))).collect(),
        None => vec![mark(None)],
    }
}

fn plane(rule: &Rule) -> Vec<Mark<'_>> {
    vec![(rule.list(), rule.protocol().transport(), rule.destination(), Sign::Plane(rule.plane()))]
}

/// The first of these that is not taken.
fn free(places: &mut VecDeque<usize>, taken: &[bool]) -> Option<usize> {
    while places.front().is_some_and(|at| taken.get(*at).copied().unwrap_or(true)) {
        places.pop_front();
    }
    places.front().copied()
}

impl Counted {
    /// Takes bytes of the rule's limits; the sentence says which is reached.
    pub(crate) fn take(&self, way: Way, bytes: usize) -> Result<(), String> {
        match &*self.0.borrow() {
            Some(budget) => budget.take(way, u64::try_from(bytes).unwrap_or_default()),
            None => Ok(()),
        }
    }

    /// From here on this budget counts it, whether it has room for it or not; none, when it has ended.
    pub(crate) fn moved(&self, budget: Option<Rc<Budget>>) {
        if let Some(budget) = &budget {
            budget.open.set(budget.open.get().saturating_add(1));
        }
        if let Some(budget) = self.0.replace(budget) {
            budget.open.set(budget.open.get().saturating_sub(1));
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.moved(None);
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

    /// Other limits hold. A rate that there was not before begins with all it lets through at once.
    fn limit(&self, limits: FlowLimits) {
        let before = self.limits.replace(limits);
        if let (None, Some(rate)) = (before.rate, limits.rate) {
            self.tokens.set(f64::from(rate.count));
            self.refilled.set(Instant::now());
        }
    }

    /// Whether there is room for one more.
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
            used.set(used.get().max(most));
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
        let budget = budgets.begin(&policy.rules()[0]).unwrap();
        assert_eq!(budget.take(Way::Out, 10), Ok(()));
        assert_eq!(budget.take(Way::Back, 19), Ok(()));
        assert!(budget.take(Way::Back, 2).unwrap_err().contains("20 bytes received"));
        assert!(budgets.begin(&policy.rules()[0]).unwrap_err().contains("10 bytes sent"));
        let wider = rule("{bytes_out: 30, bytes_in: 40}");
        budgets.follow(&policy, &wider);
        assert!(budgets.begin(&wider.rules()[0]).is_ok(), "a new policy has new limits");
        assert!(budgets.of(&wider.rules()[0]).take(Way::Out, 21).is_err(), "what was used stays used");
    }

    /// Uses 10 bytes of the first rule, changes to another policy, and tells what is used of each rule there.
    fn used_after(first: &str, second: &str) -> Vec<u64> {
        let policy = |rules: &str| {
            let text = format!("network_policy:\n  workload: [{rules}]\n");
            Policy::parse(&text, "p.yaml").unwrap()
        };
        let (first, second) = (policy(first), policy(second));
        let budgets = Budgets::default();
        budgets.of(&first.rules()[0]).take(Way::Out, 10).unwrap();
        budgets.follow(&first, &second);
        second.rules().iter().map(|rule| budgets.of(rule).used(Way::Out).get()).collect()
    }

    #[test]
    fn what_was_used_stays_used_whatever_else_changes() {
        let rule = |plane: &str, more: &str| {
            format!("{{destination: 'a.test:80', plane: {plane}, purpose: x{more}}}")
        };
        let asks = |plane: &str, requests: &str| {
            rule(plane, &format!(", http: [{requests}], protocol: TCP/HTTP, limits: {{bytes_out: 90}}"))
        };
        let check = |first: &[&String], second: &[&String], used: &[u64]| {
            let joined = |rules: &[&String]| rules.iter().map(|rule| format!("{rule}, ")).collect::<String>();
            assert_eq!(used_after(&joined(first), &joined(second)), used, "{first:?} {second:?}");
        };
        let limited = rule("tool", ", limits: {bytes_out: 90}");
        check(&[&limited], &[&limited], &[10]);
        check(&[&rule("tool", "")], &[&limited], &[10]);
        check(&[&limited], &[&rule("control", ", limits: {rate: 1/s}")], &[10]);
        check(&[&rule("tool", ", protocol: TCP")], &[&rule("tool", ", protocol: TCP/TLS")], &[10]);
        let datagrams = rule("tool", ", protocol: UDP");
        check(&[&datagrams], &[&limited, &datagrams], &[0, 10]);
        let other = "{destination: 'b.test:80', plane: tool, purpose: x}".to_owned();
        check(&[&limited], &[&other, &limited], &[0, 10]);
        // another request, another rule before it, another plane
        let (one, two) = (asks("tool", "GET /a"), asks("tool", "GET /b"));
        check(&[&one], &[&asks("tool", "GET /b, GET /a")], &[10]);
        check(&[&one], &[&two, &one], &[0, 10]);
        check(&[&one, &two], &[&two, &one], &[0, 10]);
        check(&[&one], &[&asks("control", "GET /a")], &[10]);
        check(&[&one], &[&two], &[10]);
        check(&[&one], &[&asks("control", "GET /b")], &[0]);
        check(&[&limited], &[&asks("tool", "GET /a"), &asks("control", "GET /b")], &[10, 0]);
    }

    #[test]
    fn a_rule_that_was_gone_for_a_while_goes_on_where_it_was() {
        let (policy, none) = (rule("{bytes_out: 10}"), Policy::parse("version: 1\n", "p.yaml").unwrap());
        let budgets = Budgets::default();
        budgets.of(&policy.rules()[0]).take(Way::Out, 10).unwrap();
        let again = rule("{bytes_out: 10}");
        for (old, new) in [(&policy, &none), (&none, &none), (&none, &again)] {
            budgets.follow(old, new);
        }
        assert!(budgets.begin(&again.rules()[0]).is_err());
    }

    #[test]
    fn a_rate_that_a_rule_is_given_begins_full() {
        let (before, after) = (rule("{bytes_out: 10}"), rule("{rate: 2/h}"));
        let budgets = Budgets::default();
        let _open = budgets.begin(&before.rules()[0]).unwrap();
        budgets.follow(&before, &after);
        let begun = (0..3).filter(|_| budgets.begin(&after.rules()[0]).is_ok()).count();
        assert_eq!(begun, 2);
    }

    #[test]
    fn what_is_open_is_counted_where_it_is_moved_to() {
        let (before, after) = (rule("{bytes_out: 10}"), rule("{connections: 2}"));
        let (old, new) = (Budgets::default(), Budgets::default());
        let open: Vec<Counted> = (0..3).map(|_| old.begin(&before.rules()[0]).unwrap()).collect();
        open.iter().for_each(|counted| counted.moved(Some(new.of(&after.rules()[0]))));
        assert_eq!(old.of(&before.rules()[0]).open.get(), 0);
        assert!(new.begin(&after.rules()[0]).is_err());
        drop(open);
        assert!(new.begin(&after.rules()[0]).is_ok());
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
