use std::net::IpAddr;

use claw_model::host::{HostName, HostPattern};
use claw_model::http::RequestPattern;
use claw_model::net::{metadata_name, never_range};
use proptest::prelude::*;

use super::*;
use crate::decide::{Decision, Host, PermitHost, Request, decide, decide_request};
use crate::samples::{PORTS, any_pair, any_policy, hosts};
use claw_model::destination::Target;

const NOW: &str = "2026-11-21T12:00:00Z";
const PHASES: [Phase; 2] = [Phase::Bootstrap, Phase::Workload];

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn policy(text: &str, name: &str) -> Policy {
    Policy::parse(text, name).unwrap_or_else(|error| {
        let told: Vec<_> =
            error.problems().iter().map(|problem| (problem.line(), problem.message())).collect();
        panic!("{told:?}\n{text}")
    })
}

fn rules(rules: &[&str]) -> String {
    let rules: String = rules.iter().map(|rule| format!("    - {{{rule}}}\n")).collect();
    format!("network_policy:\n  workload:\n{rules}")
}

/// Each difference in short.
fn tell(diff: &Diff) -> Vec<String> {
    let short = |difference: &Difference| {
        let Difference { kind, destination, witness, old, new, .. } = difference;
        let line = |side: &Side| side.line.map_or("-".to_owned(), |line| line.to_string());
        let except: Vec<String> = difference.except.iter().map(|except| format!(" !{except}")).collect();
        let from: String = difference.from.map(|from| format!(" from {from}")).unwrap_or_default();
        let shifts: Vec<String> = difference
            .shifts
            .iter()
            .map(|shift| {
                format!(
                    " {}: {} > {}{}",
                    shift.field,
                    shift.old,
                    shift.new,
                    if shift.widens { "!" } else { "" }
                )
            })
            .collect();
        format!(
            "{kind:?} {destination}{} [{witness}] {}>{}{from}{}",
            except.concat(),
            line(old),
            line(new),
            shifts.concat()
        )
    };
    diff.all().map(short).collect()
}

fn check(old: &str, new: &str, expect: &[&str]) {
    let found = diff(&policy(old, "old.yaml"), &policy(new, "new.yaml"), &PHASES, now()).unwrap();
    assert_eq!(tell(&found), expect, "{old}\n{new}");
}

const A: &str = "destination: 'a.example.com:443', plane: tool, purpose: x";
const WILD: &str = "destination: '*.example.com:443', plane: tool, purpose: x";

#[test]
fn a_rewrite_that_means_the_same_is_no_difference() {
    check(&rules(&[A, WILD]), &rules(&[WILD]), &[]);
    check(&rules(&[A]), &format!("# other text\nowner: a@b\n{}", rules(&[A])), &[]);
    let halves = ["10.0.0.0/25", "10.0.0.128/25"]
        .map(|net| format!("destination: '{net}:1-500', plane: tool, purpose: x"));
    let whole = "destination: '10.0.0.0/24:1-500', plane: tool, purpose: x";
    check(&rules(&[&halves[0], &halves[1]]), &rules(&[whole]), &[]);
    check(
        &rules(&[&halves[0]]),
        &rules(&[whole]),
        &["New 10.0.0.0/24:1-500 !10.0.0.0/25:1-500 [10.0.0.128:1] ->3"],
    );
}

#[test]
fn what_is_new_gone_and_changed_is_told_with_a_witness_and_both_rules() {
    check(
        &rules(&[A]),
        &rules(&[A, WILD]),
        &["New *.example.com:443 !a.example.com:443 [any-other.example.com:443] ->4"],
    );
    check(
        &rules(&[A, WILD]),
        &rules(&[A]),
        &["Gone *.example.com:443 !a.example.com:443 [any-other.example.com:443] 4>-"],
    );
    check(
        &rules(&[A]),
        &rules(&[
            "destination: 'a.example.com:443', plane: control, protocol: TCP, private: allow, purpose: x",
        ]),
        &[
            "Changed a.example.com:443 [a.example.com:443] 3>3 plane: tool > control assurance: sni > name! protocol: TCP/TLS > TCP! private: refuse > allow!",
        ],
    );
    check(
        &rules(&["destination: 'a.example.com:80-90', plane: tool, purpose: x"]),
        &rules(&["destination: 'a.example.com:85-95', plane: tool, purpose: x"]),
        &[
            "New a.example.com:91-95 [a.example.com:91] ->3",
            "Gone a.example.com:80-84 [a.example.com:80] 3>-",
        ],
    );
    let denied = format!("{}  deny:\n    - {{destination: '*.s.example.com:*'}}\n", rules(&[WILD]));
    check(&denied, &rules(&[WILD]), &["New *.s.example.com:443 [any-other.s.example.com:443] 5>3"]);
    check(
        "",
        &rules(&["destination: '169.0.0.0/8:80', plane: tool, purpose: x"]),
        &["New 169.0.0.0/8:80 [169.0.0.1:80] ->3"],
    );
    check(
        &rules(&["destination: 'a.example.com:443', plane: tool, purpose: x, limits: {rate: 1/s}"]),
        &rules(&["destination: 'a.example.com:443', plane: tool, purpose: x, limits: {rate: 100/m}"]),
        &["Changed a.example.com:443 [a.example.com:443] 3>3 limits: rate: 1/s > rate: 100/m!"],
    );
}

#[test]
fn requests_are_compared_as_sets() {
    let http = |list: &str| {
        rules(&[&format!("destination: 'h.example.com:443', plane: tool, purpose: x, http: [{list}]")])
    };
    check(&http("GET /a, POST /b"), &http("POST /b, GET /a"), &[]);
    check(&http("'GET /v1/**', 'GET /v1/a'"), &http("'GET /v1/**'"), &[]);
    check(
        &http("GET /v1/a"),
        &http("'GET /v1/*'"),
        &["New h.example.com:443 [h.example.com:443 GET /v1/x] 3>3"],
    );
    check(&http("'* /a'"), &http("'GET /a'"), &["Gone h.example.com:443 [h.example.com:443 POST /a] 3>3"]);
    let bare = rules(&["destination: 'h.example.com:443', plane: tool, purpose: x"]);
    check(
        &bare,
        &http("GET /a"),
        &[
            "Gone h.example.com:443 [h.example.com:443 POST /a] 3>3",
            "Changed h.example.com:443 [h.example.com:443 GET /a] 3>3 assurance: sni > http protocol: TCP/TLS > TCP/HTTPS",
        ],
    );
    check("", &http("GET /a"), &["New h.example.com:443 [h.example.com:443 GET /a] ->3"]);
}

#[test]
fn rules_that_end_are_compared_for_all_time() {
    let until = |date: &str| format!("{A}, expires: {date}");
    check(
        &rules(&[&until("2027-01-01")]),
        &rules(&[A]),
        &["New a.example.com:443 [a.example.com:443] 3>3 from 2027-01-02T00:00:00Z"],
    );
    check(
        &rules(&[A]),
        &rules(&[&until("2027-01-01")]),
        &["Gone a.example.com:443 [a.example.com:443] 3>3 from 2027-01-02T00:00:00Z"],
    );
    check(&rules(&[&until("2027-01-01"), WILD]), &rules(&[&until("2028-01-01"), WILD]), &[]);
    check(&rules(&[&until("2025-01-01")]), "", &[]);
}

#[test]
fn a_promise_that_is_taken_back_is_told() {
    let old =
        policy("never: [{destination: '*.x.test:*'}, {plane: tool, destination: 'y.test:*'}]\n", "old.yaml");
    let new = policy("never:\n  - {destination: '*.test:*', plane: '*'}\n", "new.yaml");
    let gone = |old, new| diff(old, new, &PHASES, now()).unwrap().promises_gone.len();
    assert_eq!((gone(&old, &new), gone(&new, &old), gone(&old, &old)), (0, 1, 0));
}

#[test]
fn too_many_kinds_of_requests_are_refused_and_not_guessed() {
    let patterns: Vec<String> = (0..14)
        .map(|at| {
            let parts: Vec<&str> = (0..14).map(|part| if part == at { "a" } else { "*" }).collect();
            format!("'GET /{}'", parts.join("/"))
        })
        .collect();
    let text = rules(&[&format!(
        "destination: 'h.test:443', plane: tool, purpose: x, http: [{}]",
        patterns.join(", ")
    )]);
    let refused = diff(&Policy::deny_all(), &policy(&text, "new.yaml"), &PHASES, now()).unwrap_err();
    assert!(refused.to_string().contains("new.yaml:3"), "{refused}");
}

const REQUESTS: [(&str, &str); 8] = [
    ("GET", "/a"),
    ("POST", "/a"),
    ("POST", "/a/b"),
    ("GET", "/a/b/c"),
    ("PATCH", "/a/"),
    ("GET", "/"),
    ("GET", "/a%2Fb"),
    ("DELETE", "/q"),
];

/// Whether a difference says that it holds this flow, read as a person would read it.
fn holds(difference: &Difference, flow: &Request<'_>) -> bool {
    let within = |destination: &Destination| {
        let target = match (&destination.target, flow.host) {
            (Target::Name(HostPattern::Exact(own)), Host::Name(name)) => own == name,
            (Target::Name(pattern), Host::Name(name)) => pattern.matches(name) && !metadata_name(name),
            (Target::Net(net), Host::Address(ip)) => {
                net.contains(ip) && never_range(ip).is_none_or(|(_, range)| range.covers(net))
            }
            _ => false,
        };
        target && destination.ports.contains(flow.port)
    };
    let taken_out = |destination: &Destination| match (&destination.target, flow.host) {
        (Target::Name(pattern), Host::Name(name)) => {
            pattern.matches(name) && destination.ports.contains(flow.port)
        }
        (Target::Net(net), Host::Address(ip)) => net.contains(ip) && destination.ports.contains(flow.port),
        _ => false,
    };
    difference.phase == flow.phase
        && difference.transport == flow.transport
        && within(&difference.destination)
        && !difference.except.iter().any(taken_out)
}

/// A rule, and whether it names requests.
fn flow_rule(policy: &Policy, flow: &Request<'_>) -> Option<Arc<Rule>> {
    match decide(policy, flow) {
        Decision::Allow(permit) => Some(permit.rule().clone()),
        Decision::Deny(_) => None,
    }
}

fn witness_holds(difference: &Difference, old: &Policy, new: &Policy) -> Result<(), TestCaseError> {
    let Witness { host, port, phase, transport, method, path, .. } = &difference.witness;
    let name = HostName::parse(host).ok();
    let host = match (&name, host.parse::<IpAddr>()) {
        (_, Ok(address)) => Host::Address(address),
        (Some(name), _) => Host::Name(name),
        _ => panic!("{host}"),
    };
    let now = difference.from.unwrap_or_else(now);
    let flow = Request { phase: *phase, transport: *transport, host, port: *port, now };
    let allowed = |policy: &Policy| match (method, path) {
        (Some(method), Some(path)) if difference.scope == Scope::Requests => {
            decide_request(policy, &flow, method, path).is_ok()
        }
        _ => flow_rule(policy, &flow).is_some(),
    };
    let expect = match difference.kind {
        Kind::New => (false, true),
        Kind::Gone => (true, false),
        Kind::Changed => (true, true),
    };
    prop_assert_eq!((allowed(old), allowed(new)), expect, "{:?}", difference);
    prop_assert!(holds(difference, &flow), "{:?}", difference);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn diff_is_what_decide_decides_differently((one, other) in any_pair()) {
        let (Ok(old), Ok(new)) = (Policy::parse(&one, "old.yaml"), Policy::parse(&other, "new.yaml")) else { return Ok(()) };
        let found = diff(&old, &new, &PHASES, now()).unwrap();
        for difference in found.all() {
            witness_holds(difference, &old, &new)?;
        }
        let hosts = hosts();
        for host in &hosts {
            for port in PORTS {
                for (phase, transport) in [(PHASES[0], Transport::Tcp), (PHASES[1], Transport::Tcp), (PHASES[1], Transport::Udp)] {
                    let host = match host {
                        PermitHost::Name(name) => Host::Name(name),
                        PermitHost::Address(address) => Host::Address(*address),
                    };
                    for at in [NOW, "2027-06-01T00:00:00Z"] {
                        judge(&found, &old, &new, &Request { phase, transport, host, port, now: at.parse().unwrap() })?;
                    }
                }
            }
        }
    }

    #[test]
    fn a_policy_does_not_differ_from_itself(text in any_policy()) {
        let Ok(policy) = Policy::parse(&text, "p.yaml") else { return Ok(()) };
        prop_assert!(diff(&policy, &policy, &PHASES, now()).unwrap().is_empty());
    }
}

/// One flow, against what the difference says.
fn judge(found: &Diff, old: &Policy, new: &Policy, flow: &Request<'_>) -> Result<(), TestCaseError> {
    let told = |list: &[Difference], scope: Scope| {
        list.iter()
            .any(|one| one.scope == scope && one.from.is_none_or(|from| from <= flow.now) && holds(one, flow))
    };
    let (before, after) = (flow_rule(old, flow), flow_rule(new, flow));
    let (fresh, gone) = (told(&found.new, Scope::Flow), told(&found.gone, Scope::Flow));
    let changed = told(&found.changed, Scope::Flow) || told(&found.changed, Scope::Requests);
    let today = flow.now == now();
    match (&before, &after) {
        (None, Some(_)) => prop_assert!(fresh, "new and not told: {:?}", flow),
        (Some(_), None) => prop_assert!(gone, "gone and not told: {:?}", flow),
        (Some(one), Some(two)) => {
            let differ = !meaning::shifts(
                meaning::Of { policy: old, rule: one },
                meaning::Of { policy: new, rule: two },
            )
            .is_empty();
            if one.http.is_none() && two.http.is_none() && differ {
                prop_assert!(changed, "changed and not told: {:?}", flow);
            }
            if today && one.http.is_none() && two.http.is_none() && !differ {
                prop_assert!(!changed, "told and not changed: {:?}", flow);
            }
        }
        (None, None) => {}
    }
    if today {
        prop_assert_eq!(fresh, before.is_none() && after.is_some(), "new: {:?}", flow);
        prop_assert_eq!(gone, before.is_some() && after.is_none(), "gone: {:?}", flow);
    }
    if before.is_none() || after.is_none() {
        return Ok(());
    }
    for (method, path) in REQUESTS {
        let allowed = |policy| decide_request(policy, flow, method, path).is_ok();
        let named = |list: &[Difference]| {
            let canonical = claw_model::http::CanonicalPath::parse(path).unwrap();
            let speaks = |one: &&Difference| {
                let mut patterns = one.requests.iter().map(|pattern| RequestPattern::parse(pattern).unwrap());
                one.requests.is_empty() || patterns.any(|pattern| pattern.matches(method, canonical))
            };
            let mut live = list.iter().filter(|one| one.from.is_none_or(|from| from <= flow.now));
            live.any(|one| one.scope == Scope::Requests && holds(one, flow) && speaks(&one))
        };
        match (allowed(old), allowed(new)) {
            (false, true) => {
                prop_assert!(named(&found.new), "new and not told: {:?} {} {}", flow, method, path)
            }
            (true, false) => {
                prop_assert!(named(&found.gone), "gone and not told: {:?} {} {}", flow, method, path)
            }
            _ => {}
        }
    }
    Ok(())
}
