//! Random policies for properties: overlapping wildcards, nested networks, ranges of ports, rules that close, requests.

use std::net::IpAddr;

use claw_model::host::HostName;
use proptest::prelude::*;

use crate::decide::PermitHost;

fn any_target() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "a.b", "b.a", "a.a.b", "metadata.google"])
        .prop_map(|name| format!("{name}.internal"));
    let net = (0usize..4, prop::sample::select(vec![8u8, 9, 16, 24, 31, 32]), 0u8..2).prop_map(
        |(n, length, low)| {
            let first = [10, 127, 169, 11][n];
            let net = claw_model::net::Net::new(IpAddr::from([first, 254, 0, low]), length).unwrap();
            format!("{}/{length}", net.address())
        },
    );
    let six = prop::sample::select(vec![
        "[2001:db8::/32]",
        "[2001:db8::/33]",
        "[2001:db8:8000::/33]",
        "[2001:db8::1]",
        "[64:ff9b::/96]",
    ]);
    prop_oneof![
        3 => name.clone(),
        3 => name.prop_map(|name| format!("*.{name}")),
        3 => net,
        1 => six.prop_map(str::to_owned),
    ]
}

fn any_rule(opens: bool) -> impl Strategy<Value = String> {
    let ports = prop::sample::select(vec!["80", "443", "80,443", "1-500", "443-600", "*"]);
    let plane = prop_oneof![Just("tool"), Just("control")];
    let extra = prop_oneof![
        4 => Just(""),
        1 => Just(", expires: 2026-01-01"),
        1 => Just(", expires: 2027-01-01"),
        1 => Just(", protocol: TCP"),
        1 => Just(", private: allow"),
    ];
    let http = prop_oneof![
        5 => Just(""),
        1 => Just(", protocol: TCP/HTTPS, http: ['GET /a', 'POST /a/*']"),
        1 => Just(", protocol: TCP/HTTPS, http: ['GET /**']"),
        1 => Just(", protocol: TCP/HTTPS, http: ['* /a/**', 'GET /a']"),
    ];
    (any_target(), ports, plane, extra, http, any::<bool>()).prop_map(
        move |(target, ports, plane, extra, http, bare)| {
            let plane = if opens || !bare { format!(", plane: {plane}") } else { String::new() };
            let extra = if opens || extra == ", protocol: TCP" { extra } else { "" };
            let (extra, http) = if opens && !http.is_empty() {
                (extra.replace(", protocol: TCP", ""), http)
            } else {
                (extra.to_owned(), "")
            };
            format!("    - {{destination: '{target}:{ports}', purpose: x{plane}{extra}{http}}}\n")
        },
    )
}

pub(crate) fn any_policy() -> impl Strategy<Value = String> {
    let list = |opens, most| prop::collection::vec(any_rule(opens), 0..most).prop_map(|rules| rules.concat());
    (list(true, 3), list(true, 8), list(false, 3), list(false, 2)).prop_map(|(boot, work, deny, never)| {
        let never = never.replace("    - ", "  - ");
        format!("never:\n{never}network_policy:\n  bootstrap:\n{boot}  workload:\n{work}  deny:\n{deny}")
    })
}

/// Two policies, the second mostly one that shares much with the first.
pub(crate) fn any_pair() -> impl Strategy<Value = (String, String)> {
    let near = (any_policy(), prop::collection::vec(any_rule(true), 0..3), any::<prop::sample::Index>())
        .prop_map(|(text, more, cut)| {
            let mut lines: Vec<&str> = text.lines().collect();
            let at = cut.index(lines.len());
            if lines[at].contains("destination") {
                lines.remove(at);
            }
            let place = lines.iter().position(|line| *line == "  deny:").unwrap();
            let more = more.concat();
            lines.insert(place, more.trim_end());
            let near = lines.join("\n");
            (text, near)
        });
    prop_oneof![2 => near, 1 => (any_policy(), any_policy())]
}

pub(crate) fn hosts() -> Vec<PermitHost> {
    let names =
        ["a", "b", "a.b", "b.a", "a.a.b", "c.b", "z.z.a", "metadata.google", "q.metadata.google", "c"];
    let names =
        names.iter().map(|name| PermitHost::Name(HostName::parse(&format!("{name}.internal")).unwrap()));
    let mut hosts: Vec<PermitHost> = names.collect();
    hosts.push(PermitHost::Name(HostName::parse("internal").unwrap()));
    for first in [10u8, 127, 169, 11] {
        for rest in
            [[254, 0, 0], [254, 0, 1], [254, 0, 2], [254, 1, 0], [254, 169, 254], [0, 0, 1], [128, 0, 0]]
        {
            hosts.push(PermitHost::Address(IpAddr::from([first, rest[0], rest[1], rest[2]])));
        }
    }
    for address in [
        "2001:db8::",
        "2001:db8::1",
        "2001:db8:8000::1",
        "64:ff9b::808:808",
        "64:ff9b::7f00:1",
        "::1",
        "::ffff:10.254.0.1",
    ] {
        hosts.push(PermitHost::Address(address.parse().unwrap()));
    }
    hosts
}

/// Ports at the edges of those ranges.
pub(crate) const PORTS: [u16; 12] = [1, 79, 80, 81, 442, 443, 444, 500, 501, 600, 601, 65535];
