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
    work(concat!("destination: 'pypi", ".org:443', plane: update"), &["public-registry"]);
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
    check(&format!("  workload:\n{a}{wild}"), &[("shadowed", 3)]);
    check(
        &format!("  workload:\n{a}  deny:\n    - {{destination: '*.example.com:*'}}\n"),
        &[("shadowed", 3)],
    );
    check(&format!("  bootstrap:\n{a}  workload:\n{wild}"), &[("phase-leak", 5)]);
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
