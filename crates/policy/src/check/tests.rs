use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Codes and lines of every finding, but for the two that every short rule has.
fn check(rules: &str, expect: &[(&str, u32)]) {
    let policy = Policy::parse(&format!("network_policy:\n{rules}"), "p.yaml").unwrap();
    let found: Vec<_> = lint(&policy, at("2026-11-21T00:00:00Z"))
        .iter()
        .filter(|finding| !finding.code.starts_with("missing-"))
        .map(|finding| (finding.code, finding.line))
        .collect();
    assert_eq!(found, expect, "{rules}");
}

fn work(rule: &str, expect: &[&str]) {
    let expect: Vec<_> = expect.iter().map(|code| (*code, 3)).collect();
    check(&format!("  workload:\n    - {{purpose: x, {rule}}}\n"), &expect);
}

#[test]
fn each_rule_alone_is_judged() {
    work("destination: 'api.example.com:443', plane: tool", &[]);
    work("destination: '*.com:443', plane: tool", &["broad-wildcard"]);
    work("destination: '*.co.uk:443', plane: tool", &["broad-wildcard"]);
    work("destination: '*.example.co.uk:443', plane: tool", &[]);
    work("destination: 'api.example.com:*', plane: tool", &["any-port"]);
    work("destination: 'api.example.com:80', plane: tool", &["plaintext-http"]);
    work("destination: 'd1.cloudfront.net:443', plane: tool", &["fronting-possible"]);
    work("destination: 'api.openai.com:443', plane: tool", &["plane-mismatch"]);
    work("destination: '*.openai.com:443', plane: tool", &["plane-mismatch"]);
    work("destination: 'api.openai.com:443', plane: inference", &[]);
    work("destination: 'api.openai.com:443', plane: control, http: ['GET /v1/me']", &[]);
    work("destination: 'd1.cloudfront.net:443', plane: tool, http: ['GET /a']", &[]);
    work("destination: 'time.example.com:123', protocol: UDP, plane: tool", &["plane-mismatch"]);
    work("destination: 'us.i.posthog.com:443', plane: tool", &["telemetry-host"]);
    work("destination: 'packages.example.com:443', plane: update", &["public-registry"]);
    work("destination: 'packages.example.com:443', plane: tool", &[]);
    work("destination: 'packages.example.com:443', plane: update, http: ['GET /simple/**']", &[]);
    work("destination: 'packages.example.com:443', plane: update, private: allow", &[]);
    work("destination: 'packages.example.com:443', plane: update, addresses: [10.0.0.9]", &[]);
    work("destination: 'packages.corp.internal:443', plane: update", &[]);
    work("destination: 'a.example.com:443', plane: tool, expires: 2026-11-20", &["expired"]);
    work("destination: 'a.example.com:443', plane: tool, expires: 2026-11-21", &["expires-soon"]);
    work("destination: 'a.example.com:443', plane: tool, expires: 2027-11-21", &[]);
}

#[test]
fn a_workload_rule_without_owner_or_date_is_remarked_and_the_policy_owner_is_inherited() {
    let text = "owner: a@b\nnetwork_policy: {workload: [{destination: 'a.example.com:443', plane: tool, purpose: x}]}\n";
    let policy = Policy::parse(text, "p.yaml").unwrap();
    let codes: Vec<_> = policy.findings().iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["missing-expiry"]);
}

#[test]
fn rules_among_others_are_judged() {
    let rule = |to: &str| format!("    - {{destination: '{to}', plane: tool, purpose: x}}\n");
    let (a, wild) = (rule("a.example.com:443"), rule("*.example.com:443"));
    check(&format!("  workload:\n{a}{a}"), &[("duplicate", 4)]);
    check(&format!("  workload:\n{a}{wild}"), &[("redundant", 3)]);
    let between = "    - {destination: '*.b.example.com:443', plane: control, purpose: x}\n";
    check(&format!("  workload:\n{}{between}{wild}", rule("a.b.example.com:443")), &[]);
    check(
        &format!("  workload:\n{a}  deny:\n    - {{destination: '*.example.com:*'}}\n"),
        &[("shadowed", 3)],
    );
    check(&format!("  bootstrap:\n{a}  workload:\n{wild}"), &[("phase-leak", 5)]);
}

#[test]
fn a_spelled_address_that_a_deny_rule_closes_is_remarked() {
    let pinned = |addresses: &str, deny: &str, expect: &[(&str, u32)]| {
        let rule = format!(
            "    - {{destination: 'a.test:443', plane: tool, purpose: x, addresses: [{addresses}]}}\n"
        );
        check(&format!("  workload:\n{rule}  deny:\n    - {{destination: '{deny}}}\n"), expect);
    };
    let one = [("denied-address", 3)];
    pinned("127.0.0.1", "127.0.0.0/8:*'", &one);
    pinned("127.0.0.1, 10.0.0.1", "127.0.0.0/8:400-500'", &one);
    pinned("'64:ff9b::10.0.0.1'", "10.0.0.0/8:*'", &one);
    pinned("127.0.0.1", "127.0.0.0/8:80'", &[]);
    pinned("127.0.0.1", "127.0.0.0/8:*', protocol: UDP", &[]);
    pinned("127.0.0.1", "127.0.0.0/8:*', plane: update", &[]);
    pinned("127.0.0.1", "127.0.0.0/8:*', plane: tool", &one);
    pinned("128.0.0.1", "127.0.0.0/8:*'", &[]);
}

#[test]
fn writable_paths_that_run_code_are_remarked() {
    for (path, expect) in [
        ("./workspace", false),
        (".", false),
        ("/usr/local/bin", true),
        ("/", true),
        ("/home/ana", true),
        ("/home/ana/work", false),
        ("/home/ana/.ssh", true),
        ("/srv/x/../../etc/cron.d", true),
        ("./.git/hooks", true),
    ] {
        let policy = Policy::parse(&format!("filesystem:\n  write:\n    - {path}\n"), "p.yaml").unwrap();
        let codes: Vec<_> = policy.findings().iter().map(|finding| (finding.code, finding.line)).collect();
        assert_eq!(codes == [("write-path", 3)], expect, "{path}: {codes:?}");
    }
}

#[test]
fn a_policy_that_the_agent_could_change_is_remarked() {
    let policy = Policy::parse("filesystem:\n  write: [./space]\n", "p.yaml").unwrap();
    let judge = |path: &str| policy_writable(&policy, Path::new(path), Path::new("/srv/agent"));
    assert_eq!(judge("agent_runtime.yaml"), None);
    assert_eq!(judge("/srv/agent/spaces/p.yaml"), None);
    let finding = judge("x/../space/p.yaml").unwrap();
    assert_eq!((finding.code, finding.line, finding.severity), ("policy-writable", 2, Severity::Error));
}

/// What is told about rules that decide nothing.
fn shadowed(rules: &str) -> Vec<(u32, String)> {
    let policy = Policy::parse(&format!("network_policy:\n{rules}"), "p.yaml").unwrap();
    let found = lint(&policy, at("2026-11-21T00:00:00Z"));
    let told = found.into_iter().filter(|finding| finding.code == "shadowed");
    told.map(|finding| {
        (finding.line, finding.why.trim_start_matches("nothing is ever decided by this rule: ").to_owned())
    })
    .collect()
}

#[test]
fn a_rule_that_decides_nothing_is_told_with_those_that_take_its_place() {
    let rule = |to: &str| format!("    - {{destination: '{to}', plane: tool, purpose: x}}\n");
    let all = |list: &[&str]| format!("  workload:\n{}", list.iter().map(|to| rule(to)).collect::<String>());
    let check = |rules: &str, expect: &[(u32, &str)]| {
        let expect: Vec<(u32, String)> =
            expect.iter().map(|(line, why)| (*line, (*why).to_owned())).collect();
        assert_eq!(shadowed(rules), expect, "{rules}");
    };
    check(
        &all(&["10.0.0.0/24:443", "10.0.0.0/25:1-500", "10.0.0.128/25:443"]),
        &[(3, "those on lines 4, 5 take its place")],
    );
    check(&all(&["10.0.0.0/24:443", "10.0.0.0/25:443", "10.0.0.128/26:443"]), &[]);
    check(
        &all(&["a.test:1-100", "a.test:1-50", "a.test:51-100"]),
        &[(3, "those on lines 4, 5 take its place")],
    );
    let denied = all(&["a.b.test:443", "*.test:443"]) + "  deny:\n    - {destination: '*.b.test:400-500'}\n";
    check(&denied, &[(3, "the rule on line 6 takes its place")]);
    check(
        &all(&["*.169-254-169-254.test:80"]),
        &[(3, "what it names is special, and opened only by a rule that spells it")],
    );
    let http = |requests: &str| {
        format!("    - {{destination: 'h.test:443', plane: tool, purpose: x, http: [{requests}]}}\n")
    };
    check(&format!("  workload:\n{}{}", http("GET /a"), http("POST /a")), &[]);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 200, ..Default::default() })]

    #[test]
    fn what_is_called_shadowed_decides_nothing(text in crate::samples::any_policy()) {
        use crate::decide::{Decision, Host, PermitHost, Request, decide, decide_request};
        use claw_model::{phase::Phase, protocol::Transport};
        let Ok(policy) = Policy::parse(&text, "p.yaml") else { return Ok(()) };
        let shadowed: Vec<u32> = lint(&policy, at("2026-11-21T00:00:00Z"))
            .into_iter()
            .filter(|finding| finding.code == "shadowed")
            .map(|finding| finding.line)
            .collect();
        for host in crate::samples::hosts() {
            for port in crate::samples::PORTS {
                for phase in Phase::ALL {
                    for now in ["2020-01-01T00:00:00Z", "2026-11-21T00:00:00Z", "2030-01-01T00:00:00Z"] {
                        let host = match &host {
                            PermitHost::Name(name) => Host::Name(name),
                            PermitHost::Address(address) => Host::Address(*address),
                        };
                        let flow = Request { phase: *phase, transport: Transport::Tcp, host, port, now: at(now) };
                        let Decision::Allow(permit) = decide(&policy, &flow) else { continue };
                        if permit.rule().http().is_none() {
                            proptest::prop_assert!(!shadowed.contains(&permit.rule().line()), "{:?} {}", flow, text);
                        }
                        if let Ok(permit) = decide_request(&policy, &flow, "GET", "/a") {
                            proptest::prop_assert!(!shadowed.contains(&permit.rule().line()), "{:?} {}", flow, text);
                        }
                    }
                }
            }
        }
    }
}
