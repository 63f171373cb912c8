use std::net::IpAddr;

use claw_model::destination::Target;
use proptest::prelude::*;

use super::*;
use crate::decide::{Decision, Host, PermitHost, decide, decide_request};
use crate::samples::{PORTS, any_policy, hosts};

/// The policy without its promises.
fn unpromised(text: &str) -> Option<Policy> {
    let (_, rest) = text.split_once("network_policy:")?;
    Policy::parse(&format!("network_policy:{rest}"), "p.yaml").ok()
}

/// The promises alone.
fn promised(text: &str) -> Option<Policy> {
    let (never, _) = text.split_once("network_policy:")?;
    Policy::parse(never, "p.yaml").ok()
}

fn speaks(never: &Rule, flow: &Request<'_>, by: &Rule) -> bool {
    let target = match (&never.destination.target, flow.host) {
        (Target::Name(pattern), Host::Name(name)) => pattern.matches(name),
        (Target::Net(net), Host::Address(ip)) => net.contains(ip),
        _ => false,
    };
    let plane = never.plane.is_none_or(|plane| plane == by.plane());
    target && plane && never.destination.ports.contains(flow.port) && never.carries(flow.transport)
}

/// The rules under which something arrives: the one of the connection, or those of requests where it names them.
fn by(policy: &Policy, flow: &Request<'_>) -> Vec<Arc<Rule>> {
    match decide(policy, flow) {
        Decision::Allow(permit) if permit.rule().http().is_none() => vec![permit.rule().clone()],
        Decision::Allow(_) => [("GET", "/a"), ("POST", "/a/b"), ("GET", "/b"), ("PATCH", "/a/b/c")]
            .iter()
            .filter_map(|(method, path)| decide_request(policy, flow, method, path).ok())
            .map(|permit| permit.rule().clone())
            .collect(),
        Decision::Deny(_) => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_promise_is_told_as_broken_if_and_only_if_something_of_it_would_be_reached(text in any_policy()) {
        let (Some(bare), Some(never)) = (unpromised(&text), promised(&text)) else { return Ok(()) };
        let told = Policy::parse(&text, "p.yaml");
        if let Err(error) = &told {
            // what is told is true: the witness is reached where nothing is promised
            for problem in error.problems() {
                let (_, witness) = problem.message().split_once("opens it: ").unwrap();
                let (witness, terms) = witness.split_once(" (phase ").unwrap();
                let phase: Phase = terms.split(',').next().unwrap().parse().unwrap();
                let begins = terms.split_once("from ").map_or("2020-01-01T00:00:00Z", |(_, rest)| rest.split(' ').next().unwrap());
                let asked = crate::why::Asked { destination: witness, request: None, phase, now: begins.parse().unwrap() };
                prop_assert_eq!(crate::why::why(&bare, asked).decision, "allow", "{}", problem.message());
            }
            return Ok(());
        }
        for host in hosts() {
            for port in PORTS {
                for phase in Phase::ALL {
                    for transport in [claw_model::protocol::Transport::Tcp, claw_model::protocol::Transport::Udp] {
                        for now in ["2020-01-01T00:00:00Z", "2026-11-21T00:00:00Z", "2030-01-01T00:00:00Z"] {
                            let host = match &host {
                                PermitHost::Name(name) => Host::Name(name),
                                PermitHost::Address(address) => Host::Address(*address),
                            };
                            let flow = Request { phase: *phase, transport, host, port, now: now.parse().unwrap() };
                            for rule in by(&bare, &flow) {
                                let broken = never.rules().iter().any(|never| speaks(never, &flow, &rule));
                                prop_assert!(!broken, "{:?} is reached by line {}\n{}", flow, rule.line, text);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn what_a_deny_rule_closes_anyway_or_no_rule_ever_decides_breaks_no_promise() {
    let holds = |text: &str| Policy::parse(text, "p.yaml").is_ok();
    let policy = |deny: &str| {
        format!(
            "never: [{{destination: 'a.b.test:443'}}]\nnetwork_policy:\n  workload:\n    - {{destination: '*.b.test:443', plane: tool, purpose: x}}\n  deny:\n    - {{destination: '{deny}'}}\n"
        )
    };
    assert!(holds(&policy("a.b.test:1-500")));
    assert!(!holds(&policy("a.b.test:1-442")));
    let pinned = |never: &str| {
        format!(
            "never: [{{destination: '{never}'}}]\nnetwork_policy:\n  workload:\n    - {{destination: 'a.test:443', plane: tool, purpose: x, addresses: [10.0.0.5]}}\n"
        )
    };
    assert!(!holds(&pinned("10.0.0.0/8:443")));
    assert!(holds(&pinned("10.0.0.0/8:80")));
    let denied = |port: u16| {
        format!("{}  deny:\n    - {{destination: '10.0.0.5:{port}'}}\n", pinned("10.0.0.0/8:443"))
    };
    assert!(holds(&denied(443)), "the gate does not dial it");
    assert!(!holds(&denied(80)));
    let carried = pinned("10.0.0.0/8:443").replace("[10.0.0.5]", "['64:ff9b::10.0.0.5']");
    assert!(!holds(&carried));
    let address: IpAddr = "10.0.0.5".parse().unwrap();
    let told = Policy::parse(&pinned("10.0.0.0/8:443"), "p.yaml").unwrap_err();
    assert!(told.problems()[0].message().contains(&format!("a.test:443 at {address}")), "{told}");
}
