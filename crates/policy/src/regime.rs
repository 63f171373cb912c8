//! What holds at one moment: a policy and a phase. Replaced as a whole, so that no decision sees parts of two.

use claw_model::phase::Phase;

use crate::decide::{Decision, Request, decide};
use crate::policy::Policy;

/// A policy and the phase that is open.
#[derive(Debug, Clone)]
pub struct Regime {
    /// The policy.
    pub policy: Policy,
    /// The phase whose rules open.
    pub phase: Phase,
}

/// What may change a regime. Nothing else does, and nothing changes both halves of one in two steps.
#[derive(Debug, Clone)]
pub enum Change {
    /// Another phase begins.
    Phase(Phase),
    /// Another policy holds.
    Policy(Policy),
}

impl Regime {
    /// Decides in this regime. The request's own phase is not looked at.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        decide(&self.policy, &Request { phase: self.phase, ..*request })
    }

    /// The regime after a change.
    #[must_use]
    pub fn after(&self, change: Change) -> Regime {
        match change {
            Change::Phase(phase) => Regime { phase, policy: self.policy.clone() },
            Change::Policy(policy) => Regime { policy, phase: self.phase },
        }
    }
}

#[cfg(test)]
mod tests {
    use claw_model::host::HostName;
    use claw_model::protocol::Transport;
    use proptest::prelude::*;

    use super::*;
    use crate::decide::Host;

    const HOSTS: [&str; 4] = ["a.test", "b.test", "c.b.test", "d.test"];
    const PATTERNS: [&str; 5] = ["a.test", "b.test", "*.b.test", "*.test", "d.test"];

    fn policy(bootstrap: &[usize], workload: &[usize]) -> Policy {
        let rules = |list: &[usize]| -> String {
            let mut list: Vec<usize> = list.iter().map(|at| at % PATTERNS.len()).collect();
            list.sort_unstable();
            list.dedup();
            list.iter()
                .map(|at| {
                    format!("    - {{destination: '{}:443', plane: tool, purpose: x}}\n", PATTERNS[*at])
                })
                .collect()
        };
        let text =
            format!("network_policy:\n  bootstrap:\n{}  workload:\n{}", rules(bootstrap), rules(workload));
        Policy::parse(&text, "p.yaml").unwrap()
    }

    fn admits(regime: &Regime, host: &str) -> bool {
        let name = HostName::parse(host).unwrap();
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        // the phase of the request must not matter
        let request = Request {
            phase: Phase::Bootstrap,
            transport: Transport::Tcp,
            host: Host::Name(&name),
            port: 443,
            now,
        };
        matches!(regime.decide(&request), Decision::Allow(_))
    }

    fn any_policy() -> impl Strategy<Value = Policy> {
        let list = || proptest::collection::vec(0usize..5, 0..4);
        (list(), list()).prop_map(|(bootstrap, workload)| policy(&bootstrap, &workload))
    }

    fn any_change() -> impl Strategy<Value = Change> {
        prop_oneof![
            Just(Change::Phase(Phase::Bootstrap)),
            Just(Change::Phase(Phase::Workload)),
            any_policy().prop_map(Change::Policy),
        ]
    }

    proptest! {
        #[test]
        fn no_state_admits_what_only_bootstrap_and_what_only_workload_opens(
            first in any_policy(), changes in proptest::collection::vec(any_change(), 0..8)
        ) {
            let mut regime = Regime { policy: first, phase: Phase::Bootstrap };
            for change in changes {
                regime = regime.after(change);
                let only = |phase: Phase, host: &str| {
                    admits(&regime.after(Change::Phase(phase)), host)
                        && !admits(&regime.after(Change::Phase(phase.other())), host)
                };
                let admitted: Vec<&str> = HOSTS.into_iter().filter(|host| admits(&regime, host)).collect();
                let bootstrap = admitted.iter().any(|host| only(Phase::Bootstrap, host));
                let workload = admitted.iter().any(|host| only(Phase::Workload, host));
                prop_assert!(!(bootstrap && workload), "{:?} admits {admitted:?}", regime.phase);
            }
        }
    }
}
