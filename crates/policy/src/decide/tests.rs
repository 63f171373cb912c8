use claw_model::destination::{Destination, Target};
use claw_model::host::HostPattern;
use claw_model::net::Net;
use claw_model::plane::Plane;
use proptest::prelude::*;

use super::*;
use crate::why::{Asked, Why, why};

const NOW: &str = "2026-11-21T12:00:00Z";

fn policy(rules: &str) -> Policy {
    Policy::parse(&format!("network_policy:\n{rules}"), "p.yaml").unwrap_or_else(|error| {
        let told: Vec<_> =
            error.problems().iter().map(|problem| (problem.line(), problem.message())).collect();
        panic!("{told:?}\n{rules}")
    })
}

fn ask(policy: &Policy, destination: &str, phase: Phase, now: &str) -> Why {
    why(policy, Asked { destination, request: None, phase, now: now.parse().unwrap() })
}

/// What the policy answers: `allow LINE`, or the reason and the line that decided.
fn answer(policy: &Policy, to: &str, phase: Phase, now: &str) -> String {
    let why = ask(policy, to, phase, now);
    let line = why.line.map_or("-".to_owned(), |line| line.to_string());
    format!("{} {line}", why.reason.unwrap_or("allow"))
}

fn check(policy: &Policy, cases: &[(&str, &str)]) {
    for (to, expect) in cases {
        assert_eq!(&answer(policy, to, Phase::Workload, NOW), expect, "{to}");
    }
}

fn rule(to: &str) -> String {
    format!("    - {{destination: '{to}', plane: tool, purpose: x}}\n")
}

#[test]
fn nothing_leaves_without_a_rule() {
    for text in ["", "# only words\n", "---\n", "version: 1\n", "network_policy:\n", "network_policy: {}\n"] {
        let policy = Policy::parse(text, "p.yaml").unwrap();
        check(
            &policy,
            &[
                ("example.com:443", "no-rule -"),
                ("8.8.8.8:53", "raw-address -"),
                ("127.0.0.1:80", "special-address -"),
            ],
        );
    }
    check(&Policy::deny_all(), &[("example.com:443", "no-rule -")]);
}

#[test]
fn the_most_specific_rule_decides() {
    let rules = [
        "*.example.com:*",
        "*.b.example.com:443",
        "a.b.example.com:443",
        "a.b.example.com:400-500",
        "10.0.0.0/8:443",
        "10.1.0.0/16:443",
    ];
    let policy = policy(&format!("  workload:\n{}", rules.map(rule).concat()));
    check(
        &policy,
        &[
            ("x.example.com:443", "allow 3"),
            ("x.b.example.com:443", "allow 4"),
            ("x.b.example.com:80", "allow 3"),
            ("a.b.example.com:443", "allow 5"),
            ("a.b.example.com:444", "allow 6"),
            ("a.b.example.com:80", "allow 3"),
            ("example.com:443", "no-rule -"),
            ("x.example.com:443/udp", "no-rule -"),
            ("10.1.2.3:443", "allow 8"),
            ("10.2.2.3:443", "allow 7"),
            ("[::ffff:10.2.2.3]:443", "invalid-name -"),
            ("10.2.2.3:80", "raw-address -"),
        ],
    );
}

#[test]
fn deny_always_wins_in_every_phase() {
    let rules = format!(
        "  bootstrap:\n{}  workload:\n{}  deny:\n    - {{destination: '*.secret.example.com:*'}}\n    - {{destination: 'a.example.com:80', protocol: TCP}}\n    - {{destination: '*.tool.example.com:*', plane: tool}}\n",
        rule("a.secret.example.com:443"),
        ["*.example.com:443", "a.example.com:80", "a.secret.example.com:443"].map(rule).concat()
    );
    let policy = policy(&rules);
    check(
        &policy,
        &[
            ("a.secret.example.com:443", "deny-rule 9"),
            ("secret.example.com:443", "allow 5"),
            ("a.example.com:80", "deny-rule 10"),
            ("x.tool.example.com:443", "deny-rule 11"),
        ],
    );
    assert_eq!(answer(&policy, "a.secret.example.com:443", Phase::Bootstrap, NOW), "deny-rule 9");
}

#[test]
fn a_narrow_deny_of_one_plane_does_not_hide_a_wide_one_of_all() {
    let policy = policy(&format!(
        "  workload:\n{}  deny:\n    - {{destination: 'a.example.com:443', plane: control}}\n    - {{destination: 'a.example.com:*'}}\n",
        rule("a.example.com:443")
    ));
    check(&policy, &[("a.example.com:443", "deny-rule 6")]);
}

#[test]
fn special_addresses_open_only_to_a_rule_that_names_them_literally() {
    let wide = policy(&format!(
        "  workload:\n{}",
        ["169.0.0.0/8:80", "127.0.0.0/8:80", "169.254.0.0/16:81", "*.google.internal:80"].map(rule).concat()
    ));
    check(
        &wide,
        &[
            ("169.254.169.254:80", "metadata -"),
            ("169.254.1.1:80", "special-address -"),
            ("169.254.1.1:81", "allow 5"),
            ("169.254.169.254:81", "metadata -"),
            ("169.1.1.1:80", "allow 3"),
            ("127.0.0.1:80", "allow 4"),
            ("metadata.google.internal:80", "metadata -"),
            ("x.google.internal:80", "allow 6"),
            ("[::1]:80", "special-address -"),
            ("[fd00:ec2::254]:80", "metadata -"),
        ],
    );
    let literal = policy(&format!(
        "  workload:\n{}",
        ["169.254.169.254:80", "metadata.google.internal:80"].map(rule).concat()
    ));
    check(&literal, &[("169.254.169.254:80", "allow 3"), ("metadata.google.internal:80", "allow 4")]);
}

#[test]
fn a_rule_permits_to_the_end_of_its_last_day_and_no_longer() {
    let dated = "    - {destination: 'a.example.com:443', plane: tool, purpose: x, expires: 2026-11-21}\n";
    let one = policy(&format!("  workload:\n{dated}"));
    assert_eq!(answer(&one, "a.example.com:443", Phase::Workload, "2026-11-21T23:59:59.999Z"), "allow 3");
    assert_eq!(answer(&one, "a.example.com:443", Phase::Workload, "2026-11-22T00:00:00Z"), "expired 3");
    let two = policy(&format!("  workload:\n{dated}{}", rule("*.example.com:443")));
    assert_eq!(answer(&two, "a.example.com:443", Phase::Workload, "2026-11-22T00:00:00Z"), "allow 4");
    let host = HostName::parse("a.example.com").unwrap();
    let resolve =
        |policy: &Policy, now: &str| match resolvable(policy, Phase::Workload, &host, now.parse().unwrap()) {
            Resolvable::Yes(rules) => {
                rules.iter().map(|rule| rule.line().to_string()).collect::<Vec<_>>().join(",")
            }
            Resolvable::No(denial) => denial.reason.code().to_owned(),
        };
    assert_eq!(resolve(&one, NOW), "3");
    assert_eq!(resolve(&one, "2026-11-22T00:00:00Z"), "expired");
    assert_eq!(resolve(&two, NOW), "3,4");
    assert_eq!(resolve(&two, "2026-11-22T00:00:00Z"), "4");
}

#[test]
fn a_rule_of_the_other_phase_is_named() {
    let policy = policy(&format!("  bootstrap:\n{}", rule("a.example.com:443")));
    check(&policy, &[("a.example.com:443", "phase 3")]);
    assert_eq!(answer(&policy, "a.example.com:443", Phase::Bootstrap, NOW), "allow 3");
    let host = HostName::parse("a.example.com").unwrap();
    let Resolvable::No(denial) = resolvable(&policy, Phase::Workload, &host, NOW.parse().unwrap()) else {
        panic!()
    };
    assert_eq!(denial.reason, Reason::Phase);
}

#[test]
fn a_name_closed_on_all_its_ports_is_not_resolved() {
    let text = |ports: &str| {
        format!(
            "  workload:\n{}  deny:\n    - {{destination: 'a.example.com:{ports}'}}\n",
            rule("*.example.com:80,443")
        )
    };
    let host = HostName::parse("a.example.com").unwrap();
    let resolve =
        |ports: &str| resolvable(&policy(&text(ports)), Phase::Workload, &host, NOW.parse().unwrap());
    assert!(matches!(resolve("443"), Resolvable::Yes(_)));
    let Resolvable::No(denial) = resolve("80-500") else { panic!() };
    assert_eq!(denial.reason, Reason::DenyRule);
}

#[test]
fn a_suggestion_is_a_rule_that_allows_it() {
    for to in ["api.example.com:443", "8.8.8.8:53/udp", "[2606:4700::1]:443", "time.example.com:123/udp"] {
        let denied = ask(&Policy::deny_all(), to, Phase::Workload, NOW);
        let opened = policy(&format!("  workload:\n    {}\n", denied.suggestion.unwrap()));
        check(&opened, &[(to, "allow 3")]);
    }
    let never = ask(&Policy::deny_all(), "169.254.169.254:80", Phase::Workload, NOW);
    assert_eq!(never.suggestion, None);
    assert_eq!(
        ask(&Policy::deny_all(), "8.8.8.8:443", Phase::Workload, NOW).sentence,
        "8.8.8.8:443 is refused: no rule names this address; use the host's name, so that the policy can see it"
    );
}

#[test]
fn why_has_stable_field_names() {
    let policy = policy(&format!("  workload:\n{}", rule("a.example.com:443")));
    let json = serde_json::to_value(ask(&policy, "a.example.com", Phase::Workload, NOW)).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "decision": "allow", "reason": null, "rule": "p.yaml:3", "line": 3, "plane": "tool", "purpose": "x",
            "assurance": "sni", "sentence": "a.example.com:443 is allowed by p.yaml:3 on plane tool: x",
            "suggestion": null
        })
    );
}

#[test]
fn many_rules_for_one_host_are_searched_by_halves() {
    let rules: String = (1..=3000).map(|port| rule(&format!("a.example.com:{port}"))).collect();
    let policy = policy(&format!("  workload:\n{rules}{}", rule("a.example.com:1-4000")));
    check(
        &policy,
        &[
            ("a.example.com:1", "allow 3"),
            ("a.example.com:3000", "allow 3002"),
            ("a.example.com:3001", "allow 3003"),
            ("a.example.com:4001", "no-rule -"),
        ],
    );
}

/// The decision as the design tells it, one rule after another.
fn reference(policy: &Policy, request: &Request<'_>) -> Option<u32> {
    let matches = |rule: &&Arc<Rule>| {
        let Destination { target, ports } = rule.destination();
        ports.contains(request.port)
            && rule.carries(request.transport)
            && match (target, request.host) {
                (Target::Name(pattern), Host::Name(name)) => pattern.matches(name),
                (Target::Net(net), Host::Address(ip)) => net.contains(ip),
                _ => false,
            }
    };
    let literal = |rule: &&Arc<Rule>| match (&rule.destination().target, request.host) {
        (Target::Net(net), Host::Address(ip)) => never_range(ip).is_none_or(|(_, range)| range.covers(net)),
        _ => true,
    };
    let specific = |rule: &&Arc<Rule>| {
        let Destination { target, ports } = rule.destination();
        let target = match target {
            Target::Name(HostPattern::Exact(_)) => 1_000,
            Target::Name(HostPattern::Below(name)) => name.as_str().len(),
            Target::Net(net) => usize::from(net.prefix()),
        };
        (target, std::cmp::Reverse(ports.count()), std::cmp::Reverse(rule.id()))
    };
    let list = |phase| policy.rules().iter().filter(move |rule| rule.list().phase() == phase);
    let best = list(Some(request.phase)).filter(matches).filter(literal);
    let best = best.filter(|rule| !rule.is_expired(request.now)).max_by_key(specific)?;
    let closed = list(None).filter(matches).any(|rule| rule.plane.is_none_or(|plane| plane == best.plane()));
    (!closed).then(|| best.id())
}

fn any_target() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "a.b", "b.a", "a.a.b", "c.b"])
        .prop_map(|name| format!("{name}.x"));
    let net = (0u8..4, prop_oneof![Just(8u8), Just(16), Just(24), Just(32)]).prop_map(|(n, length)| {
        let first = [10, 127, 169, 11][usize::from(n)];
        let net = Net::new(IpAddr::from([first, 254, 0, 1]), length).unwrap();
        format!("{}/{length}", net.address())
    });
    prop_oneof![3 => name.clone(), 2 => name.prop_map(|name| format!("*.{name}")), 2 => net]
}

fn any_rule(opens: bool) -> impl Strategy<Value = String> {
    let ports = prop::sample::select(vec!["80", "443", "80,443", "1-500", "*"]);
    let plane = prop_oneof![Just("tool"), Just("control")];
    let extra = prop_oneof![4 => Just(""), 1 => Just(", expires: 2026-01-01"), 1 => Just(", protocol: TCP")];
    (any_target(), ports, plane, extra, any::<bool>()).prop_map(move |(target, ports, plane, extra, bare)| {
        let plane = if opens || !bare { format!(", plane: {plane}") } else { String::new() };
        let extra = if opens || !extra.contains("expires") { extra } else { "" };
        format!("    - {{destination: '{target}:{ports}', purpose: x{plane}{extra}}}\n")
    })
}

fn any_policy() -> impl Strategy<Value = String> {
    let list = |opens, most| prop::collection::vec(any_rule(opens), 0..most).prop_map(|rules| rules.concat());
    (list(true, 4), list(true, 9), list(false, 3)).prop_map(|(boot, work, deny)| {
        format!("network_policy:\n  bootstrap:\n{boot}  workload:\n{work}  deny:\n{deny}")
    })
}

fn any_host() -> impl Strategy<Value = PermitHost> {
    let name = prop::sample::select(vec!["a.x", "b.x", "a.b.x", "b.a.x", "a.a.b.x", "c.b.x", "z.z.a.x", "x"]);
    let name = name.prop_map(|name| PermitHost::Name(HostName::parse(name).unwrap()));
    let ip = (prop_oneof![Just(10u8), Just(127), Just(169), Just(11)], 0u8..2, 0u8..3)
        .prop_map(|(a, b, d)| PermitHost::Address(IpAddr::from([a, 254, b, d])));
    prop_oneof![name, ip]
}

proptest! {
    #[test]
    fn the_index_decides_as_a_reader_would(text in any_policy(), host in any_host(), port in prop_oneof![Just(80u16), Just(443), Just(400), Just(9000)], udp in any::<bool>()) {
        // A policy that contradicts itself is refused at load: nothing to decide.
        let Ok(policy) = Policy::parse(&text, "p.yaml") else { return Ok(()) };
        for phase in [Phase::Bootstrap, Phase::Workload] {
            let host_ref = match &host {
                PermitHost::Name(name) => Host::Name(name),
                PermitHost::Address(ip) => Host::Address(*ip),
            };
            let transport = if udp { Transport::Udp } else { Transport::Tcp };
            let request = Request { phase, transport, host: host_ref, port, now: NOW.parse().unwrap() };
            let expect = reference(&policy, &request);
            match decide(&policy, &request) {
                Decision::Allow(permit) => {
                    prop_assert_eq!(Some(permit.rule().id()), expect);
                    prop_assert_eq!((permit.host(), permit.port(), permit.transport()), (&host, port, transport));
                    if let Host::Name(name) = host_ref {
                        let resolved = matches!(resolvable(&policy, phase, name, request.now), Resolvable::Yes(_));
                        prop_assert!(resolved, "what may be reached may be resolved");
                    }
                }
                Decision::Deny(denial) => {
                    prop_assert_eq!(expect, None, "{:?}", denial);
                    prop_assert_eq!(denial.rule.is_some_and(|rule| rule.plane() == Plane::Time), false);
                }
            }
        }
    }

    #[test]
    fn parsing_a_policy_never_panics(text in "\\PC{0,80}|(version|network_policy|workload|- destination|plane|[ :\\n\\-{}\\[\\]'\"a*&!|>%@`1]){0,30}") {
        let _ = Policy::parse(&text, "p.yaml").map_err(|error| error.to_string());
        for format in crate::import::Format::ALL {
            let _ = crate::import::import(&text, "p.yaml", *format);
        }
    }
}

/// What the policy answers about a request: `allow LINE`, or the reason and the line.
fn requested(policy: &Policy, method: &str, path: &str, now: &str) -> String {
    let now = now.parse().unwrap();
    let request = Some((method, path));
    let question = Asked { destination: "api.example.com:443", request, phase: Phase::Workload, now };
    let why = why(policy, question);
    let line = why.line.map_or("-".to_owned(), |line| line.to_string());
    format!("{} {line}", why.reason.unwrap_or("allow"))
}

#[test]
fn one_host_is_split_into_planes_by_its_requests() {
    let policy = policy(
        "  workload:
    - {destination: api.example.com:443, plane: inference, purpose: x, http: ['POST /v1/messages', 'GET /v1/**']}
    - {destination: api.example.com:443, plane: control, purpose: x, http: ['GET /v1/settings'], expires: 2026-12-01}
    - {destination: api.example.com:443, plane: update, purpose: x, http: ['GET /updates/*']}
  deny:
    - {destination: api.example.com:443, plane: update, purpose: x}
",
    );
    for (method, path, expect) in [
        ("POST", "/v1/messages", "allow 3"),
        ("POST", "/v1/messages?beta=true", "allow 3"),
        ("GET", "/v1/models", "allow 3"),
        ("GET", "/v1/settings", "allow 4"),
        ("DELETE", "/v1/messages", "method 3"),
        ("POST", "/api/event_logging/v2/batch", "path 3"),
        ("POST", "/v1//messages", "path 3"),
        ("GET", "/v1/%2e%2e/admin", "path 3"),
        ("GET", "/updates/a", "method 3"),
    ] {
        assert_eq!(requested(&policy, method, path, NOW), expect, "{method} {path}");
    }
    assert_eq!(
        requested(&policy, "GET", "/v1/settings", "2026-12-02T00:00:00Z"),
        "allow 3",
        "the other is past its date"
    );
    assert_eq!(answer(&policy, "api.example.com:443", Phase::Workload, NOW), "allow 3");
    let rule = &policy.rules()[0];
    assert_eq!(policy.planes(Phase::Workload, rule), [Plane::Inference, Plane::Control, Plane::Update]);
    assert_eq!(rule.assurance().as_str(), "http");
}

#[test]
fn methods_that_cannot_be_permitted_are_refused_whatever_the_rules_name() {
    let named = ", http: ['* /**']";
    for (more, read) in [(named, true), (", protocol: TCP/HTTP", true), ("", false)] {
        let rule = format!("destination: api.example.com:8080, plane: tool, purpose: x{more}");
        let policy = policy(&format!("  workload:\n    - {{{rule}}}\n"));
        for method in ["CONNECT", "TRACE", "connect", "Trace"] {
            let question = Asked {
                destination: "api.example.com:8080",
                request: Some((method, "/a")),
                phase: Phase::Workload,
                now: NOW.parse().unwrap(),
            };
            let answer = why(&policy, question);
            assert_eq!(answer.reason, read.then_some("method"), "{method} {more}");
            assert_eq!(answer.suggestion, None, "{method} {more}");
        }
    }
}

#[test]
fn what_is_refused_does_not_choose_how_wide_the_suggestion_is() {
    let rule =
        "  workload:\n    - {destination: api.example.com:443, plane: tool, purpose: x, http: ['GET /a']}\n";
    let long = format!("/{}", "b".repeat(300));
    for (method, path) in [
        ("*", "/**"),
        ("GET", "/**"),
        ("GET", "/x/*"),
        ("*", "/b"),
        ("GET", "/b/*/c"),
        ("GET", long.as_str()),
    ] {
        let question = Asked {
            destination: "api.example.com:443",
            request: Some((method, path)),
            phase: Phase::Workload,
            now: NOW.parse().unwrap(),
        };
        let answer = why(&policy(rule), question);
        assert_eq!((answer.decision, answer.suggestion), ("deny", None), "{method} {path}");
    }
}

#[test]
fn the_suggestion_for_a_request_allows_it() {
    let rule =
        "  workload:\n    - {destination: api.example.com:443, plane: tool, purpose: x, http: ['GET /a']}\n";
    let question = |request| Asked {
        destination: "api.example.com:443",
        request: Some(request),
        phase: Phase::Workload,
        now: NOW.parse().unwrap(),
    };
    let denied = why(&policy(rule), question(("POST", "/b/c")));
    let opened = policy(&format!("{rule}    {}\n", denied.suggestion.unwrap()));
    assert_eq!(why(&opened, question(("POST", "/b/c"))).decision, "allow");
    assert_eq!(why(&opened, question(("GET", "/a"))).decision, "allow");
    assert_eq!(
        why(&policy(rule), question(("POST", "/b/../c"))).suggestion,
        None,
        "no rule opens such a path"
    );
    // the attack: whoever is refused chooses what is suggested
    for (method, path) in [("*", "/**"), ("POST", "/**"), ("POST", "/b/*"), ("*", "/b")] {
        assert_eq!(why(&policy(rule), question((method, path))).suggestion, None, "{method} {path}");
    }
    // what no rule can name is permitted by none
    let wide = rule.replace("http: ['GET /a']", "http: ['* /**']");
    for rule in [wide.as_str(), &rule.replace(", http: ['GET /a']", ", protocol: TCP/HTTP")] {
        assert_eq!(why(&policy(rule), question(("PUT", "/b"))).decision, "allow");
        for method in ["TRACE", "CONNECT"] {
            assert_eq!(why(&policy(rule), question((method, "/b"))).decision, "deny", "{method} {rule}");
        }
    }
}
