use claw_model::host::HostName;
use claw_model::phase::Phase;
use claw_model::protocol::Transport;
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::decide::{Decision, Host, Request, decide, decide_request};
use crate::import::import;

mod formats;

const NOW: &str = "2026-11-26T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// Exports a policy's workload.
fn written(policy: &str, format: Format) -> Exported {
    let policy =
        Policy::parse(policy, "agent_runtime.yaml").unwrap_or_else(|error| panic!("{error:?}\n{policy}"));
    export(&policy, format, Phase::Workload, now()).unwrap()
}

/// A policy of rules, each in braces.
fn policy(rules: &[&str], deny: &[&str]) -> String {
    let mut text = "version: 1\nnetwork_policy:\n  workload:\n".to_owned();
    for rule in rules {
        text.push_str(&format!("    - {{{rule}}}\n"));
    }
    if !deny.is_empty() {
        text.push_str("  deny:\n");
    }
    for rule in deny {
        text.push_str(&format!("    - {{{rule}}}\n"));
    }
    text
}

/// One question to a policy.
#[derive(Debug, Clone, Copy)]
struct Question<'a> {
    host: &'a str,
    port: u16,
    transport: Transport,
    method: &'a str,
    path: &'a str,
}

/// The line of the rule that answers yes, in the workload, or, where the other format knows no phases, in either.
fn answer(policy: &Policy, question: &Question<'_>, phases: &[Phase]) -> Option<u32> {
    let name = HostName::parse(question.host).ok();
    let host = match &name {
        Some(name) => Host::Name(name),
        None => Host::Address(question.host.parse().unwrap()),
    };
    phases.iter().find_map(|phase| {
        let request =
            Request { phase: *phase, transport: question.transport, host, port: question.port, now: now() };
        let Decision::Allow(_) = decide(policy, &request) else { return None };
        let permit = decide_request(policy, &request, question.method, question.path).ok()?;
        Some(permit.rule().line())
    })
}

fn questions() -> impl Iterator<Item = Question<'static>> {
    HOSTS.iter().flat_map(|host| {
        [53, 80, 443, 8000, 8004].into_iter().flat_map(move |port| {
            [
                (Transport::Udp, "GET", "/v1/x"),
                (Transport::Tcp, "GET", "/v1/x"),
                (Transport::Tcp, "POST", "/v1/x"),
                (Transport::Tcp, "GET", "/v1/x/y"),
            ]
            .map(|(transport, method, path)| Question { host, port, transport, method, path })
        })
    })
}

const HOSTS: &[&str] = &[
    "example.com",
    "a.example.com",
    "b.example.com",
    "x.a.example.com",
    "y.x.a.example.com",
    "api.example.net",
    "metadata.google.internal",
    "wiki.google.internal",
    "10.0.0.1",
    "10.0.0.7",
    "10.0.0.8",
    "10.0.1.1",
    "10.9.9.9",
    "203.0.113.5",
    "169.254.169.254",
    "169.5.5.5",
    "100.100.100.200",
    "100.1.1.1",
    "127.0.0.1",
    "2001:db8::1",
    "2001:db8::2",
    "fd00:ec2::254",
    "fd00::1",
    "64:ff9b::7f00:1",
    "::ffff:0:7f00:1",
    "fd00:ec2::23",
    "64:1::1",
];

const TARGETS: &[&str] = &[
    "a.example.com",
    "a.example.com",
    "b.example.com",
    "x.a.example.com",
    "*.example.com",
    "*.example.com",
    "*.a.example.com",
    "api.example.net",
    "*.google.internal",
    "metadata.google.internal",
    "10.0.0.0/24",
    "10.0.0.0/16",
    "10.0.0.7",
    "10.0.0.7",
    "10.0.0.0/8",
    "203.0.113.0/24",
    "169.0.0.0/8",
    "100.0.0.0/8",
    "169.254.169.254",
    "[2001:db8::/32]",
    "[2001:db8::1]",
    "[fd00::/16]",
    "[64::/16]",
];

fn target() -> impl Strategy<Value = &'static str> {
    prop::sample::select(TARGETS)
}

fn rule(closes: bool) -> impl Strategy<Value = String> {
    let ports = prop::sample::select(vec!["443", "443", "80,443", "8000-8003", "53", "*", "*"]);
    let planes = prop::sample::select(vec!["workload", "tool", "inference"]);
    (target(), ports, planes, 0u8..16).prop_map(move |(target, ports, plane, more)| {
        let mut text = format!("destination: \"{target}:{ports}\"");
        if !closes || more > 12 {
            text.push_str(&format!(", plane: {plane}"));
        }
        if !closes {
            text.push_str(", purpose: \"for {this} # and: 'that'\"");
        }
        let named = !target.starts_with(|c: char| c.is_ascii_digit() || c == '[');
        match (more, closes) {
            (0 | 1, _) if ports != "*" => text.push_str(", protocol: UDP"),
            (2, _) => text.push_str(", protocol: TCP"),
            (3, false) => text.push_str(", expires: 2026-01-01"),
            (4, false) => text.push_str(", expires: 2027-01-01"),
            (5, false) => text.push_str(", limits: {bytes_out: 1MiB}"),
            (6, false) if named => text.push_str(", addresses: [192.0.2.1]"),
            (7 | 8, false) if named => {
                text.push_str(", protocol: TCP/HTTPS, http: [\"GET /v1/*\", \"HEAD /**\"]")
            }
            _ => {}
        }
        text
    })
}

prop_compose! {
    fn policies()(
        bootstrap in prop::collection::vec(rule(false), 0..2),
        workload in prop::collection::vec(rule(false), 0..6),
        deny in prop::collection::vec(rule(true), 0..3),
        never in prop::collection::vec(rule(true), 0..2),
    ) -> String {
        let list = |key: &str, rules: &[String]| match rules {
            [] => String::new(),
            rules => format!("{key}:\n{}", rules.iter().map(|rule| format!("    - {{{rule}}}\n")).collect::<String>()),
        };
        let mut network = list("  bootstrap", &bootstrap);
        network.push_str(&list("  workload", &workload));
        network.push_str(&list("  deny", &deny));
        let network = if network.is_empty() { network } else { format!("network_policy:\n{network}") };
        format!("version: 1\n{network}{}", list("never", &never))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    /// What is written permits never more, read back by our own readers; and of every rule that was not told as left
    /// out or narrowed, exactly the same.
    #[test]
    fn an_export_never_permits_more_and_permits_all_that_is_not_told(text in policies()) {
        let Ok(source) = Policy::parse(&text, "agent_runtime.yaml") else { return Err(TestCaseError::reject("refused")) };
        // nf_tables' own program turns what is written into what is read: crates/cli/tests/formats.rs
        let apart = [Format::Compose, Format::Nft, Format::Seccomp];
        for format in Format::all().filter(|format| !apart.contains(format)) {
            let exported = export(&source, format, Phase::Workload, now()).unwrap();
            let imported = import(&exported.text, "exported", format);
            let imported = imported.unwrap_or_else(|error| panic!("{format}: {error:?}\n{}", exported.text));
            let back = Policy::parse(&imported.yaml, "imported").unwrap();
            let told: Vec<u32> =
                exported.losses.iter().filter(|loss| loss.kind == LossKind::LeftOut).map(|loss| loss.line).collect();
            for question in questions() {
                let before = answer(&source, &question, &[Phase::Workload]);
                let after = answer(&back, &question, &[Phase::Workload, Phase::Bootstrap]);
                prop_assert!(
                    before.is_some() || after.is_none(),
                    "{} permits more: {:?}\n{}\n{}\n{}", format, question, text, exported.text, imported.yaml
                );
                let all = before.is_none_or(|line| told.contains(&line) || after.is_some());
                prop_assert!(
                    all, "{} permits less, untold: {:?}\n{}\n{}\n{:?}\n{}\n{:?}",
                    format, question, text, exported.text, exported.losses, imported.yaml, imported.losses
                );
            }
        }
    }
}

#[test]
fn a_denial_of_one_plane_does_not_close_a_narrower_rule_of_another() {
    let text = "version: 1\nnetwork_policy:\n  workload:\n    - {destination: \"b.example.com:*\", plane: inference, purpose: x}\n    \
                - {destination: \"b.example.com:443\", plane: workload, purpose: x, http: [\"GET /v1/*\"]}\n  \
                deny:\n    - {destination: \"b.example.com:*\", plane: inference}\n";
    let source = Policy::parse(text, "agent_runtime.yaml").unwrap();
    let exported = export(&source, Format::Openshell, Phase::Workload, now()).unwrap();
    let imported = import(&exported.text, "exported", Format::Openshell).unwrap();
    let back = Policy::parse(&imported.yaml, "imported").unwrap();
    let ask = |port, path| {
        let question =
            Question { host: "b.example.com", port, transport: Transport::Tcp, method: "GET", path };
        answer(&back, &question, &[Phase::Workload]).is_some()
    };
    assert!(ask(443, "/v1/x"), "{}", exported.text);
    assert!(!ask(443, "/v2") && !ask(80, "/v1/x"), "{}", exported.text);
}

#[test]
fn what_is_kept_for_review_is_told_and_not_made_writable() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let text = format!("filesystem: {{review: [/work], root: {{oci: ./image, digest: \"{digest}\"}}}}\n");
    for format in [Format::Srt, Format::Codex, Format::Nono, Format::Sandlock, Format::Openshell] {
        let exported = written(&text, format);
        assert!(!exported.text.contains("/work"), "{}", exported.text);
        for what in ["filesystem.review", "filesystem.root"] {
            assert!(
                exported.losses.iter().any(|loss| loss.what.contains(what)),
                "{what}: {:?}",
                exported.losses
            );
        }
    }
    assert!(written(&text, Format::Nft).losses.iter().all(|loss| !loss.what.contains("filesystem")));
}
