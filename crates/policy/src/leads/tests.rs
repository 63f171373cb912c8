use std::path::Path;

use claw_model::host::HostName;
use claw_model::phase::Phase;
use claw_model::protocol::Transport;
use proptest::prelude::*;

use super::*;
use crate::decide::{Decision, decide};
use crate::{CeilingFile, why};

const NOW: &str = "2026-11-21T12:00:00Z";

fn policy(opens: &str, closes: &str) -> Policy {
    let text = format!("network_policy:\n  workload:\n{opens}{closes}");
    Policy::parse(&text, "p.yaml").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn rule(to: &str, more: &str) -> String {
    format!("    - {{destination: '{to}', purpose: x, {more}}}\n")
}

fn deny(to: &str, more: &str) -> String {
    format!("  deny:\n    - {{destination: '{to}'{more}}}\n")
}

/// What is said of an address behind `a.test`: `open`, or the reason and the line.
fn led(policy: &Policy, port: u16, transport: Transport, address: &str) -> String {
    let name = HostName::parse("a.test").unwrap();
    let request = Request {
        phase: Phase::Workload,
        transport,
        host: Host::Name(&name),
        port,
        now: NOW.parse().unwrap(),
    };
    let Decision::Allow(permit) = decide(policy, &request) else { panic!("a.test:{port} is not permitted") };
    match leads(policy, &request, permit.rule(), address.parse().unwrap()) {
        Ok(()) => "open".to_owned(),
        Err(denial) => format!("{} {}", denial.reason, denial.rule.map_or(0, |rule| rule.line())),
    }
}

fn check(policy: &Policy, cases: &[(&str, &str)]) {
    for (address, expect) in cases {
        assert_eq!(&led(policy, 443, Transport::Tcp, address), expect, "{address}");
    }
}

#[test]
fn a_closed_network_is_closed_behind_every_name() {
    let opens = rule("a.test:443", "plane: tool, private: allow");
    let denied = policy(&opens, &deny("10.9.9.0/24:*", ""));
    let cases = [
        ("10.9.9.9", "deny-rule 5"),
        ("10.9.8.9", "open"),
        ("::ffff:10.9.9.9", "deny-rule 5"),
        ("::ffff:0:10.9.9.9", "deny-rule 5"),
        ("64:ff9b::10.9.9.9", "deny-rule 5"),
        ("2002:a09:909::1", "deny-rule 5"),
        ("64:ff9b::10.9.8.9", "open"),
    ];
    check(&denied, &cases);
    check(&policy(&opens, "never: [{destination: '10.0.0.0/8:443'}]\n"), &[("10.9.9.9", "never 4")]);
    check(&policy(&opens, &deny("[64:ff9b::/96]:*", "")), &[("64:ff9b::808:808", "deny-rule 5")]);
}

#[test]
fn ports_transports_and_planes_are_those_of_the_flow() {
    let opens = rule("a.test:443", "plane: tool") + &rule("a.test:53", "plane: tool, protocol: UDP");
    for (closes, tcp, udp) in [
        (deny("10.0.0.0/8:*", ""), "deny-rule 6", "deny-rule 6"),
        (deny("10.0.0.0/8:443", ""), "deny-rule 6", "open"),
        (deny("10.0.0.0/8:*", ", protocol: UDP"), "open", "deny-rule 6"),
        (deny("10.0.0.0/8:*", ", plane: update"), "open", "open"),
        (deny("10.0.0.0/8:*", ", plane: tool"), "deny-rule 6", "deny-rule 6"),
    ] {
        let policy = policy(&opens, &closes);
        assert_eq!(led(&policy, 443, Transport::Tcp, "10.0.0.1"), tcp, "{closes}");
        assert_eq!(led(&policy, 53, Transport::Udp, "10.0.0.1"), udp, "{closes}");
    }
}

#[test]
fn what_is_closed_to_one_plane_of_a_connection_is_dialled_for_none() {
    let opens = rule("a.test:443", "plane: tool, http: [GET /a]")
        + &rule("a.test:443", "plane: control, http: [GET /b]");
    check(&policy(&opens, &deny("10.0.0.0/8:*", ", plane: control")), &[("10.0.0.1", "deny-rule 6")]);
    check(&policy(&opens, &deny("10.0.0.0/8:*", ", plane: update")), &[("10.0.0.1", "open")]);
}

#[test]
fn what_a_ceiling_closes_is_closed() {
    let opens =
        format!("network_policy:\n  workload:\n{}", rule("a.test:443", "plane: tool, private: allow"));
    let above = format!("{opens}{}", deny("10.0.0.0/8:*", ""));
    let read = |path: &Path, _: &Path| {
        Ok(CeilingFile { path: path.to_owned(), real: path.to_owned(), text: above.clone() })
    };
    let text = format!("ceiling: above.yaml\n{opens}");
    let policy = Policy::parse_under(&text, "p.yaml", Path::new("/p.yaml"), &read).unwrap();
    check(&policy, &[("10.0.0.1", "deny-rule 5"), ("192.168.0.1", "open")]);
}

#[test]
fn why_says_what_it_cannot_know_and_decides_what_is_spelled() {
    let ask = |policy: &Policy, request| {
        let asked = crate::Asked {
            destination: "a.test:443",
            request,
            phase: Phase::Workload,
            now: NOW.parse().unwrap(),
        };
        why(policy, asked)
    };
    let closes = deny("10.9.9.0/24:*", "");
    let open = ask(&policy(&rule("a.test:443", "plane: tool"), &closes), None);
    assert_eq!(
        (open.decision, open.sentence.as_str()),
        (
            "allow",
            "a.test:443 is allowed by p.yaml:3 on plane tool: x; not at an address that `10.9.9.0/24:*` (p.yaml:5) closes"
        )
    );
    let plain = ask(&policy(&rule("a.test:443", "plane: tool"), &deny("10.9.9.0/24:80", "")), None);
    assert_eq!(plain.sentence, "a.test:443 is allowed by p.yaml:3 on plane tool: x");
    let spelled = |addresses: &str, more: &str| {
        policy(&rule("a.test:443", &format!("plane: tool, addresses: [{addresses}]{more}")), &closes)
    };
    let all = ask(&spelled("10.9.9.9, 10.9.9.10", ""), None);
    assert_eq!((all.reason, all.line), (Some("deny-rule"), Some(5)), "{}", all.sentence);
    let some = ask(&spelled("10.9.9.9, 10.9.8.1", ""), None);
    assert_eq!(some.decision, "allow", "{}", some.sentence);
    let request = ask(&spelled("10.9.9.9", ", http: [GET /a]"), Some(("GET", "/a")));
    assert_eq!((request.reason, request.line), (Some("deny-rule"), Some(5)), "{}", request.sentence);
}

proptest! {
    #[test]
    fn an_address_is_open_behind_a_name_if_and_only_if_no_closed_network_holds_it(
        closed in proptest::collection::vec((0u32..4, 6u8..=32, any::<bool>()), 0..6), at in 0u32..4, low in any::<u8>()
    ) {
        let base = |step: u32| 0x0a00_0000 | (step << 16);
        let nets: Vec<net::Net> = closed.iter().filter(|(.., deny)| *deny)
            .filter_map(|(step, length, _)| net::Net::new(IpAddr::V4(base(*step).into()), (*length).max(8)))
            .collect();
        let lines: String = nets.iter().map(|net| format!("    - {{destination: '{net}:*'}}\n")).collect();
        let closes = if lines.is_empty() { String::new() } else { format!("  deny:\n{lines}") };
        let policy = policy(&rule("a.test:443", "plane: tool"), &closes);
        let address = IpAddr::V4((base(at) | u32::from(low)).into());
        let open = led(&policy, 443, Transport::Tcp, &address.to_string()) == "open";
        prop_assert_eq!(open, !nets.iter().any(|net| net.contains(address)));
    }
}
