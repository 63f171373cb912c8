use claw_ledger::record::{Decision as Decided, Event};
use claw_model::protocol::Transport;
use claw_model::shown::is_hidden;
use claw_policy::{Decision, Host, Policy, decide, decide_request};
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::fold::tests::{at, close, connect, footprint, observed, request, start};

fn now() -> Timestamp {
    at(0)
}

fn parsed(suggestion: &Suggestion) -> Policy {
    Policy::parse(&suggestion.yaml, "suggested").unwrap_or_else(|error| {
        panic!("{error:?}\n{}", suggestion.yaml);
    })
}

#[test]
fn what_was_observed_becomes_a_policy_that_loads() {
    let suggestion = suggest(&footprint(&observed()), Wanted::default());
    let policy = parsed(&suggestion);
    assert_eq!(policy.rules().len(), 1, "{}", suggestion.yaml);
    let expect = "# Suggested by `claw footprint suggest`: what was observed, and nothing else.
# Read every rule, fill in its purpose, and give it an owner and a date before you use it.
# run 1: python3 agent.py (sink), 14 records of run.jsonl
version: 1
network_policy:
  workload:
    # --- inference ---
    - destination: \"api.anthropic.com:443\"
      # 1 requests, 100 B out by python3 agent.py; records 4
      plane: inference
      purpose: \"FILL IN: the model call\"
      http:
        - \"POST /v1/messages\"
process:
  env:
    set:  # turns off telemetry that was seen
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: \"1\"  # tried, works
      CREWAI_DISABLE_TELEMETRY: \"true\"  # tried, works
      OTEL_SDK_DISABLED: \"true\"  # tried, works
# Left out:
# - 169.254.169.254:80: a metadata address: only a rule that a person writes opens it
# - api.anthropic.com:443: telemetry; CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 turns it off
# - nobody.test: it was only looked up: no port was seen
# - telemetry.crewai.com:4319: telemetry; CREWAI_DISABLE_TELEMETRY=true turns it off
";
    assert_eq!(suggestion.yaml, expect);
    assert_eq!(policy.process().env.set.get("CREWAI_DISABLE_TELEMETRY").map(String::as_str), Some("true"));
}

#[test]
fn telemetry_is_permitted_only_when_asked_for() {
    let wanted = Wanted { telemetry: Telemetry::Permit, ..Wanted::default() };
    let suggestion = suggest(&footprint(&observed()), wanted);
    let policy = parsed(&suggestion);
    let host = HostName::parse("api.anthropic.com").unwrap();
    let flow = claw_policy::Request {
        phase: Phase::Workload,
        transport: Transport::Tcp,
        host: Host::Name(&host),
        port: 443,
        now: now(),
    };
    assert!(decide_request(&policy, &flow, "POST", "/api/event_logging/v2/batch").is_ok());
    let default = parsed(&suggest(&footprint(&observed()), Wanted::default()));
    assert!(decide_request(&default, &flow, "POST", "/api/event_logging/v2/batch").is_err());
    assert!(decide_request(&default, &flow, "POST", "/v1/messages").is_ok());
    assert!(!suggestion.yaml.contains("process:"));
}

#[test]
fn names_without_requests_addresses_and_mixed_hosts_say_what_they_are() {
    let mut deny = connect("10.0.0.9", 22, Decided::Deny);
    if let Event::Connect { reason, .. } = &mut deny {
        *reason = Some("raw-address".into());
    }
    let mut forbidden = connect("secrets.test", 443, Decided::Deny);
    if let Event::Connect { reason, .. } = &mut forbidden {
        *reason = Some("deny-rule".into());
    }
    let suggestion = suggest(
        &footprint(&[
            start(Some("sink")),
            connect("api.openai.com", 443, Decided::Sink),
            close("api.openai.com", 443, (5, 5), Some(2)),
            deny,
            forbidden,
            connect("db.test", 5432, Decided::Sink),
        ]),
        Wanted::default(),
    );
    let policy = parsed(&suggestion);
    assert_eq!(policy.rules().len(), 3, "{}", suggestion.yaml);
    for part in [
        "WARNING: by address",
        "WARNING: this host serves several planes",
        "# - secrets.test:443: refused for another reason than that a rule is missing: deny-rule",
        "UNFINISHED",
        "plane: workload  # FILL IN: the plane is not known",
    ] {
        assert!(suggestion.yaml.contains(part), "{part}\n{}", suggestion.yaml);
    }
}

#[test]
fn paths_are_generalised_only_when_asked_for_and_never_over_what_is_left_out() {
    let footprint = footprint(&[
        start(Some("sink")),
        connect("api.anthropic.com", 443, Decided::Sink),
        request("api.anthropic.com", "GET /v1/files/6f1c2a3e-1111-4222-8333-444455556666", Some(2)),
        request("api.anthropic.com", "GET /v1/files/6f1c2a3e-1111-4222-8333-444455556667", Some(2)),
        request("api.anthropic.com", "POST /api/eval/123456789", Some(2)),
        request("api.anthropic.com", "POST /api/*/123456789", Some(2)),
        request("api.anthropic.com", "* /any/method", Some(2)),
        request("api.anthropic.com", "GET /a/../b", Some(2)),
        close("api.anthropic.com", 443, (5, 5), Some(2)),
        Event::Exit { code: 0 },
    ]);
    let exact = suggest(&footprint, Wanted::default());
    assert!(
        exact.yaml.contains("- \"GET /v1/files/6f1c2a3e-1111-4222-8333-444455556666\""),
        "{}",
        exact.yaml
    );
    assert!(exact.yaml.contains("a rule cannot name a method or a path that holds `*`"), "{}", exact.yaml);
    assert!(
        !exact.yaml.contains("- \"* "),
        "whoever asks must not choose how wide a rule is: {}",
        exact.yaml
    );
    assert!(exact.yaml.contains("dot segment"), "{}", exact.yaml);
    let wide = suggest(&footprint, Wanted { paths: Paths::Generalise, ..Wanted::default() });
    parsed(&wide);
    assert!(wide.yaml.contains("- \"GET /v1/files/*\""), "{}", wide.yaml);
    assert!(!wide.yaml.contains("eval/*\""), "{}", wide.yaml);
}

#[test]
fn hostile_text_cannot_leave_its_line() {
    let mut sink = connect("evil.test", 443, Decided::Sink);
    if let Event::Connect { process: Some(process), destination, .. } = &mut sink {
        process.package = Some("x\n    - destination: \"*.test:443\"\u{202e}\u{1b}[2J".into());
        *destination = "evil.test\n  deny: []".into();
    }
    let mut named = connect("ok.test", 443, Decided::Sink);
    if let Event::Connect { process: Some(process), .. } = &mut named {
        process.package = Some("x\n    - destination: \"*.test:443\"\u{202e}\u{1b}[2J".into());
    }
    let suggestion = suggest(&footprint(&[start(Some("sink\n x")), sink, named]), Wanted::default());
    let policy = parsed(&suggestion);
    assert_eq!(policy.rules().len(), 1, "{}", suggestion.yaml);
    assert!(!suggestion.yaml.chars().any(|c| c != '\n' && is_hidden(c)), "{}", suggestion.yaml);
}

const HOSTS: [&str; 6] =
    ["api.anthropic.com", "a.test", "b.a.test", "telemetry.crewai.com", "192.0.2.7", "2001:db8::7"];
const PATHS: [&str; 7] =
    ["/v1/messages", "/api/event_logging/v2/batch", "/", "/x/12345", "/x/y", "/%61", "/x/*"];

fn events() -> impl Strategy<Value = Vec<Event>> {
    let port = prop_oneof![Just(443u16), Just(80), Just(8080), Just(22)];
    let one =
        (0..HOSTS.len(), port, 0..4usize, proptest::collection::vec((any::<bool>(), 0..PATHS.len()), 0..4));
    proptest::collection::vec(one, 1..12).prop_map(|list| {
        let mut events = vec![start(Some("sink"))];
        for (host, port, phase, requests) in list {
            let host = HOSTS[host];
            let word = ["workload", "workload", "bootstrap", ""][phase];
            let mut open = connect(host, port, if phase == 3 { Decided::Deny } else { Decided::Sink });
            if let Event::Connect { phase, .. } = &mut open {
                *phase = word.into();
            }
            events.push(open);
            let number = events.len() as u64;
            for (post, path) in if phase == 3 { Vec::new() } else { requests } {
                let method = if post { "POST" } else { "GET" };
                let mut asked = request(host, &format!("{method} {}", PATHS[path]), Some(number));
                if let Event::Request { port: own, phase, .. } = &mut asked {
                    (*own, *phase) = (port, Some(word.into()));
                }
                events.push(asked);
            }
            if phase != 3 {
                events.push(close(host, port, (9, 9), Some(number)));
            }
        }
        events
    })
}

proptest! {
    #[test]
    fn every_flow_but_telemetry_is_permitted_and_nothing_else(events in events(), wide in any::<bool>()) {
        let footprint = footprint(&events);
        let paths = if wide { Paths::Generalise } else { Paths::Exact };
        let suggestion = suggest(&footprint, Wanted { paths, ..Wanted::default() });
        let policy = parsed(&suggestion);
        let lost = |what: &str| suggestion.left_out.iter().any(|left| left.what == what);
        for host in HOSTS.into_iter().chain(["c.test", "x.a.test", "192.0.2.8"]) {
            let name = HostName::parse(host);
            let asked = match &name {
                Ok(name) => Host::Name(name),
                Err(_) => Host::Address(host.parse().unwrap()),
            };
            for (port, phase) in [443u16, 80, 8080, 22, 25].into_iter().flat_map(|port| [(port, Phase::Workload), (port, Phase::Bootstrap)]) {
                let transport = Transport::Tcp;
                let flow = claw_policy::Request { phase, transport, host: asked, port, now: now() };
                let here: Vec<&Flow> = footprint.flows.iter()
                    .filter(|flow| flow.destination == host && flow.port == Some(port) && phases(&flow.phases).contains(&phase))
                    .collect();
                let wanted = here.iter().any(|flow| flow.class != Class::Telemetry);
                let carried = here.iter().any(|flow| !flow.requests.is_empty());
                let open = matches!(decide(&policy, &flow), Decision::Allow(_));
                // nothing that was not observed, and nothing that is telemetry alone
                prop_assert!(!open || wanted, "{host}:{port} {phase}\n{}", suggestion.yaml);
                if wanted && !carried {
                    prop_assert!(open, "{host}:{port} {phase}\n{}", suggestion.yaml);
                }
                for (method, path) in ["GET", "POST", "PUT"].into_iter().flat_map(|method| PATHS.into_iter().chain(["/other", "/x/99"]).map(move |path| (method, path))) {
                    let permitted = decide_request(&policy, &flow, method, path).is_ok();
                    let seen = |class: bool| here.iter()
                        .filter(|flow| (flow.class == Class::Telemetry) == class)
                        .flat_map(|flow| &flow.requests)
                        .any(|request| request.method == method && request.path == path && phases(&request.phases).contains(&phase));
                    let by_rule = carried && name.is_ok();
                    if by_rule && seen(true) {
                        prop_assert!(!permitted, "telemetry {method} {path} on {host}:{port}\n{}", suggestion.yaml);
                    }
                    if seen(false) && !lost(&format!("{method} {path} on {host}:{port}")) && CanonicalPath::parse(path).is_ok() {
                        prop_assert!(permitted, "{method} {path} on {host}:{port} {phase}\n{}", suggestion.yaml);
                    }
                    let covers = |request: &Request| {
                        let shape = format!("{} {}", request.method, shape::of(&request.path));
                        let canonical = CanonicalPath::parse(path);
                        RequestPattern::parse(&shape).is_ok_and(|shape| canonical.is_ok_and(|path| shape.matches(method, path)))
                    };
                    let alike = |flow: &&Flow| flow.requests.iter().any(covers);
                    if by_rule && permitted && !seen(false) {
                        prop_assert!(wide && here.iter().any(alike), "{method} {path} on {host}:{port}\n{}", suggestion.yaml);
                    }
                }
            }
        }
    }
}
