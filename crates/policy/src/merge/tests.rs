use proptest::prelude::*;

use super::*;
use crate::decide::{Decision, Host, PermitHost, decide, decide_request};
use crate::samples::{PORTS, any_pair, hosts};
use claw_model::protocol::Transport;

const NOW: &str = "2026-11-21T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn policy(rules: &str, name: &str) -> Policy {
    Policy::parse(&format!("network_policy:\n  workload:\n{rules}"), name).unwrap()
}

fn rule(rest: &str) -> String {
    format!("    - {{purpose: x, plane: tool, {rest}}}\n")
}

#[test]
fn rules_are_put_together_with_where_they_come_from() {
    let one = policy(
        &(rule("destination: 'a.test:443'") + &rule("destination: 'b.test:443', limits: {rate: 5/s}")),
        "a.yaml",
    );
    let other = policy(
        &(rule("destination: 'a.test:443'")
            + &rule("destination: '*.c.test:80', protocol: TCP, addresses: ['::1']")),
        "b.yaml",
    );
    let merged = merge(&[&one, &other], now()).unwrap();
    assert!(merged.notes.is_empty(), "{:?}", merged.notes);
    assert_eq!(
        merged.yaml,
        r#"# merged from a.yaml, b.yaml
version: 1
network_policy:
  workload:
    # a.yaml:3, b.yaml:3
    - destination: "a.test:443"
      plane: tool
      purpose: "x"
      protocol: TCP/TLS
    # a.yaml:4
    - destination: "b.test:443"
      plane: tool
      purpose: "x"
      protocol: TCP/TLS
      limits: {rate: 5/s}
    # b.yaml:4
    - destination: "*.c.test:80"
      plane: tool
      purpose: "x"
      protocol: TCP
      addresses: ["::1"]
"#
    );
}

#[test]
fn conflicts_are_named_with_both_places() {
    let one = policy(&rule("destination: 'a.test:443'"), "a.yaml");
    let other = policy(&rule("destination: 'a.test:443', private: allow"), "b.yaml");
    let Err(MergeError::Conflicts(conflicts)) = merge(&[&one, &other], now()) else { panic!() };
    let places = vec!["a.yaml:3".to_owned(), "b.yaml:3".to_owned()];
    let what = "they say different things about the same flow (private)".to_owned();
    assert_eq!(conflicts, [Conflict { places, what }]);
    let never = Policy::parse("never: [{destination: 'a.test:443'}]\n", "c.yaml").unwrap();
    let Err(MergeError::Conflicts(conflicts)) = merge(&[&one, &never], now()) else { panic!() };
    assert_eq!(conflicts[0].places, ["a.yaml:3", "c.yaml:1"]);
    let home = Policy::parse("filesystem: {write: [./a]}\n", "d.yaml").unwrap();
    let elsewhere = Policy::parse("filesystem: {write: [./b]}\n", "e.yaml").unwrap();
    let Err(MergeError::Conflicts(conflicts)) = merge(&[&home, &elsewhere], now()) else { panic!() };
    assert_eq!(conflicts[0].what, "they say different things about `filesystem`");
}

#[test]
fn what_a_side_loses_is_told() {
    let one = policy(&rule("destination: '*.test:443'"), "a.yaml");
    let deny = Policy::parse("network_policy: {deny: [{destination: 'a.test:*'}]}\n", "b.yaml").unwrap();
    let merged = merge(&[&one, &deny], now()).unwrap();
    let told: Vec<(&str, bool, Option<&str>)> = merged
        .notes
        .iter()
        .map(|note| (note.file.as_str(), note.denied, note.difference.new.rule.as_deref()))
        .collect();
    assert_eq!(told, [("a.yaml", true, Some("b.yaml:1"))]);
    let narrow = policy(&rule("destination: 'a.test:443', http: ['GET /a']"), "c.yaml");
    let merged = merge(&[&one, &narrow], now()).unwrap();
    assert_eq!(merged.notes.iter().filter(|note| !note.denied).count(), 2);
}

#[test]
fn what_stands_around_the_rules_is_kept() {
    let text = include_str!("../../tests/data/whole-policy.yaml");
    let whole = Policy::parse(text, "whole.yaml").unwrap();
    let merged =
        Policy::parse(&merge(&[&whole, &Policy::deny_all()], now()).unwrap().yaml, "m.yaml").unwrap();
    assert_eq!(merged.filesystem(), whole.filesystem());
    assert_eq!(merged.process(), whole.process());
    let owners = |policy: &Policy| -> Vec<Option<String>> {
        policy.rules().iter().map(|rule| rule.owner().map(str::to_owned)).collect()
    };
    assert_eq!(owners(&merged), owners(&whole));
    let digest = format!("sha256:{}", "0".repeat(64));
    let text = format!(
        "filesystem: {{review: [., ./b], protect: [standard, '*.sh'], root: {{oci: ./image, digest: \"{digest}\"}}}}\n"
    );
    let whole = Policy::parse(&text, "reviewed.yaml").unwrap();
    let merged =
        Policy::parse(&merge(&[&whole, &Policy::deny_all()], now()).unwrap().yaml, "m.yaml").unwrap();
    assert_eq!(merged.filesystem(), whole.filesystem());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_merged_allows_what_some_side_allows_and_nothing_denied((one, other) in any_pair()) {
        let (Ok(one), Ok(other)) = (Policy::parse(&one, "a.yaml"), Policy::parse(&other, "b.yaml")) else { return Ok(()) };
        let merged = match merge(&[&one, &other], now()) {
            Ok(merged) => merged,
            Err(MergeError::Conflicts(_)) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let result = Policy::parse(&merged.yaml, "m.yaml").unwrap();
        let narrowed = merged.notes.iter().any(|note| !note.denied && note.difference.kind == Kind::Gone);
        for host in hosts() {
            for port in PORTS {
                for phase in Phase::ALL {
                    let host = match &host {
                        PermitHost::Name(name) => Host::Name(name),
                        PermitHost::Address(address) => Host::Address(*address),
                    };
                    let flow = Request { phase: *phase, transport: Transport::Tcp, host, port, now: now() };
                    let allows = |policy| matches!(decide(policy, &flow), Decision::Allow(_));
                    let closes = |policy| crate::decide::closed(policy, &flow, None).is_some();
                    let any = allows(&one) || allows(&other);
                    prop_assert!(!allows(&result) || any, "{:?}", flow);
                    prop_assert!(!allows(&result) || !(closes(&one) || closes(&other)), "{:?}", flow);
                    let planes = one.rules().iter().chain(other.rules()).any(|rule| !rule.every_plane() && rule.list().phase().is_none());
                    if any && !allows(&result) && !planes {
                        prop_assert!(closes(&one) || closes(&other) || narrowed, "{:?}", flow);
                    }
                    for (method, path) in [("GET", "/a"), ("POST", "/a/b"), ("GET", "/")] {
                        let allows = |policy| decide_request(policy, &flow, method, path).is_ok();
                        prop_assert!(!allows(&result) || allows(&one) || allows(&other), "{:?} {} {}", flow, method, path);
                        if (allows(&one) || allows(&other)) && !allows(&result) {
                            prop_assert!(!merged.notes.is_empty(), "{:?} {} {}", flow, method, path);
                        }
                    }
                }
            }
        }
    }
}
