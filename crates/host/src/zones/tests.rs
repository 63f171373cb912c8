use claw_model::net::special;
use proptest::prelude::*;

use super::*;
use claw_model::boxes::{Range, Span, apart, complement};

fn zones(flows: &str) -> String {
    format!(
        "version: 1
zones:
  management:
    interfaces: [eth0]
    networks: [10.0.0.0/24, \"fd00:10::/64\"]
  runtime:
    flows:
      - {{direction: in, protocol: TCP, ports: 7401, purpose: control}}
  workload:
    interfaces: [\"veth*\"]
    networks: [10.77.0.0/16]
    flows:
{flows}
"
    )
}

/// The first problem, its line and its hint.
#[track_caller]
fn refused(text: &str, line: u32, message: &str, hint: &str) {
    let error = Zones::parse(text, "zones.yaml").unwrap_err();
    let problem = error.problems().first().unwrap();
    assert_eq!((problem.line(), problem.message()), (line, message));
    assert!(problem.hint().unwrap_or_default().contains(hint), "{:?}", problem.hint());
}

#[test]
fn no_flow_opens_the_wall_and_its_line_is_told() {
    let wall = "no flow can open that";
    for to in ["management", "runtime"] {
        let flow =
            format!("      - {{direction: forward, protocol: TCP, ports: 22, to: [{to}], purpose: x}}");
        let hint = if to == "management" { wall } else { "declare a flow `in`" };
        refused(&zones(&flow), 13, &format!("a flow from `workload` to `{to}`"), hint);
    }
    for to in ["10.0.0.7", "10.0.0.0/8", "\"fd00:10::/32\"", "0.0.0.0/0"] {
        let flow =
            format!("      - {{direction: forward, protocol: TCP, ports: 22, to: [{to}], purpose: x}}");
        let error = Zones::parse(&zones(&flow), "zones.yaml").unwrap_err();
        assert!(error.problems().iter().all(|problem| problem.line() == 13), "{error:?}");
        assert!(!error.problems().is_empty());
    }
    let back = zones("      []").replace(
        "  runtime:",
        "    flows:\n      - {direction: forward, protocol: UDP, ports: 1, to: [10.77.3.0/24], purpose: x}\n  runtime:",
    );
    refused(&back, 7, "10.77.3.0/24 meets 10.77.0.0/16 of the zone `workload`", wall);
}

#[test]
fn sockets_of_the_runtime_are_opened_by_no_zone() {
    let flow = "      - {direction: in, protocol: TCP, ports: \"7000-8000\", purpose: x}";
    refused(&zones(flow), 13, "this flow opens a socket of the runtime", "on loopback only");
    let text = zones("      []").replace("  runtime:\n", "  runtime:\n    interfaces: [eth1]\n");
    refused(&text, 7, "the runtime is on `lo` only, not on `eth1`", "leave `interfaces` out");
}

#[test]
fn slips_are_told_with_line_and_nearest_word() {
    let slip = |flow: &str, message: &str, hint: &str| {
        refused(&zones(&format!("      - {{{flow}, purpose: x}}")), 13, message, hint);
    };
    slip("direction: inn, protocol: TCP, ports: 1", "`inn` is not a direction", "did you mean `in`?");
    slip("direction: in, protocol: TPC, ports: 1", "`TPC` is not a protocol", "did you mean `TCP`?");
    slip("direction: in, protocol: TCP", "a flow without `ports`", "443");
    slip("direction: in, protocol: ICMP, ports: 1", "protocol 1 has no ports", "remove");
    slip("direction: in, protocol: 58", "58 is ICMPv6, by which hosts redirect each other", "echo");
    slip("direction: in, protocol: ICMP, port: 1", "`port` is not a key of a flow", "did you mean `ports`?");
    slip(
        "direction: in, protocol: TCP, ports: 70000",
        "port 70000 is past 65535: ports are 1 to 65535",
        "443",
    );
    slip(
        "direction: in, protocol: TCP, ports: 1, from: [10.9.0.0/16]",
        "10.9.0.0/16 is not in the zone `workload`",
        "a part",
    );
    slip(
        "direction: in, protocol: TCP, ports: 1, to: [10.77.0.0/24]",
        "a flow `in` ends at this host: it has no `to`",
        "from",
    );
    slip("direction: forward, protocol: TCP, ports: 1", "where does it go?", "internet");
    slip(
        "direction: forward, protocol: TCP, ports: 1, to: [169.254.0.0/16]",
        "169.254.0.0/16 holds 169.254.169.254, a metadata service that hands out credentials",
        "leave it out",
    );
    refused(
        "version: 1\nzones: {mangement: {}}\n",
        2,
        "`mangement` is not a key of `zones`",
        "did you mean `management`?",
    );
    refused(
        "version: 1\noutput: dorp\n",
        2,
        "`dorp` is not a policy for what this host sends",
        "did you mean `drop`?",
    );
    refused(
        "version: 1\nzones:\n  workload: {networks: [0.0.0.0/0]}\n",
        3,
        "0.0.0.0/0 is every address: whoever writes from there would be in the zone",
        "own networks",
    );
    refused("zones: {}\n", 1, "`version` is missing", "version: 1");
    for none in ["version: 1\n", "version: 1\nzones: {}\n"] {
        refused(none, 1, "no zone is declared: everything would be refused", "`management`");
    }
    refused("version: 1\nzones: [1]\n", 2, "expected a mapping of keys to values", "docs/firewall.md");
    refused(
        "version: 1\nzones:\n  management: {interfaces: [eth0]}\n  workload: {networks: [10.0.0.0/8]}\n",
        4,
        "`management` and `workload` meet: a packet could be of both",
        "apart",
    );
    refused(
        "version: 1\nzones:\n  workload: {interfaces: ['a\"; drop']}\n",
        3,
        "`a\\\"; drop` is not an interface",
        "at most 15",
    );
}

#[test]
fn networks_that_two_zones_have_are_believed_at_the_interfaces_of_both() {
    let text = zones("      []")
        .replace("\"fd00:10::/64\"]", "\"fe80::/10\"]")
        .replace("[10.77.0.0/16]", "[10.77.0.0/16, \"fe80::/10\"]");
    let rules = Zones::parse(&text, "zones.yaml").unwrap().ruleset(&[]).text();
    let places = "iifname != \"eth0\" iifname != \"veth*\" meta nfproto ipv6 ip6 saddr";
    for zone in ["management", "workload"] {
        let rule = format!("{places} @{zone}-networks6 counter goto refused");
        assert_eq!(rules.matches(&rule).count(), 2, "{rules}");
    }
    let own = "iifname \"veth*\" meta nfproto ipv6 ip6 saddr != @workload-networks6 counter goto refused";
    assert_eq!(rules.matches(own).count(), 2, "{rules}");
}

#[test]
fn only_the_runtime_has_a_user_and_it_is_a_number() {
    let with =
        |user: &str| zones("      []").replace("  runtime:\n", &format!("  runtime:\n    user: {user}\n"));
    let parsed = Zones::parse(&with("990"), "zones.yaml").unwrap();
    assert_eq!(parsed.zone(Name::Runtime).unwrap().user, Some(990));
    for wrong in ["claw", "-1", "4294967295", "4294967296", "[990]", "\"\""] {
        refused(&with(wrong), 7, "`user` is the number of a user", "id -u");
    }
    let other = zones("      []").replace("  workload:\n", "  workload:\n    user: 990\n");
    refused(&other, 10, "the zone `workload` has no `user`", "remove it");
}

#[test]
fn the_session_of_a_remote_shell_is_read() {
    let session = Session::of_ssh("192.0.2.7 51000 192.0.2.1 22").unwrap();
    assert_eq!(session.to_string(), "192.0.2.7:51000 to 192.0.2.1:22");
    assert_eq!(Session::of_ssh("::ffff:192.0.2.7 51000 ::ffff:192.0.2.1 22"), Some(session));
    assert!(Session::of_ssh("fe80::1%eth0 51000 fe80::2%eth0 22").is_some());
    for wrong in [
        "",
        "192.0.2.7 51000 192.0.2.1",
        "192.0.2.7 51000 192.0.2.1 22 1",
        "192.0.2.7 x 192.0.2.1 22",
        "::1 1 192.0.2.1 22",
    ] {
        assert_eq!(Session::of_ssh(wrong), None, "{wrong}");
    }
}

#[test]
fn a_thousand_flows_of_each_zone_are_as_many_rules_as_one() {
    let rules = |count: u32| {
        let text = many(count);
        let zones = Zones::parse(&text, "zones.yaml").unwrap();
        zones.ruleset(&[]).size()
    };
    let ((few, _), (many, elements)) = (rules(1), rules(1000));
    assert_eq!(few, many);
    assert!(elements > 3000, "{elements}");
}

/// A file with so many flows of each zone.
fn many(count: u32) -> String {
    let mut text = "version: 1\nlog: none\noutput: drop\nzones:\n".to_owned();
    for (zone, head, flow) in [
        ("management", "    networks: [10.0.0.0/8]\n", "direction: in, protocol: TCP, from: [10.H.0/24]"),
        ("runtime", "", "direction: out, protocol: TCP, to: [193.H.0/24]"),
        (
            "workload",
            "    networks: [172.16.0.0/12]\n",
            "direction: forward, protocol: UDP, to: [194.H.0/24]",
        ),
    ] {
        text.push_str(&format!("  {zone}:\n{head}    flows:\n"));
        for index in 0..count {
            let flow = flow.replace('H', &format!("{}.{}", index / 250, index % 250));
            text.push_str(&format!("      - {{{flow}, ports: {}, purpose: x}}\n", index + 1));
        }
    }
    text
}

fn range(from: u32, to: u32) -> Range {
    let at = |number: u32| IpAddr::V4(std::net::Ipv4Addr::from(number));
    (at(from.min(to)), at(from.max(to)))
}

proptest! {
    #[test]
    fn boxes_apart_hold_the_same(boxes in prop::collection::vec((0u32..20, 0u32..20, 0u16..9, 0u16..9), 0..8)) {
        let boxes: Vec<(Range, Span)> =
            boxes.into_iter().map(|(a, b, c, d)| (range(a, b), (c.min(d), c.max(d)))).collect();
        let holds = |all: &[(Range, Span)], address: u32, port: u16| {
            let (address, _) = range(address, address);
            all.iter().filter(|((from, to), (low, high))| (*from..=*to).contains(&address) && (*low..=*high).contains(&port)).count()
        };
        let apart = apart(&boxes);
        for address in 0..21 {
            for port in 0..10 {
                prop_assert_eq!(holds(&apart, address, port), usize::from(holds(&boxes, address, port) > 0));
            }
        }
    }

    #[test]
    fn the_internet_is_what_is_not_special(octets in any::<[u8; 16]>(), prefix in prop::sample::select(vec![0x20u8, 0x00, 0xfd, 0xfe, 0xff, 0x3f, 0x64])) {
        let mut octets = octets;
        octets[0] = prefix;
        let four: [u8; 4] = [octets[1], octets[2], octets[3], octets[4]];
        for address in [IpAddr::from(octets), IpAddr::from(four)] {
            let special_nets: Vec<Range> = super::build::SPECIAL
                .iter()
                .map(|text| Net::parse(text).unwrap())
                .filter(|net| net.is_v4() == address.is_ipv4())
                .map(|net| (net.address(), net.last()))
                .collect();
            let internet = complement(&special_nets, address.is_ipv4());
            let inside = internet.iter().any(|(from, to)| (*from..=*to).contains(&address));
            // what claw's own gate calls special is never the internet
            prop_assert!(!(inside && special(address).is_some()), "{}", address);
        }
    }

    #[test]
    fn reading_zones_never_panics(text in "\\PC{0,200}|version: 1\nzones:\n  (workload|management): \\{(interfaces|networks|flows): \\[\\PC{0,30}\\]\\}") {
        let _ = Zones::parse(&text, "zones.yaml");
    }
}
