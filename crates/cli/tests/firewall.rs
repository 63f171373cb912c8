//! The host's firewall: what counts is what arrives between namespaces that stand for the zones, this host in the middle.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use claw_testkit::{Lab, User, copy_program, once};
use serde_json::{Value, json};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");
const PACKETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/firewall/packets.py");

const ZONES: &str = r#"version: 1
log: 7
zones:
  management:
    interfaces: [eth0]
    networks: [10.0.0.0/24, "fd00:10::/64"]
    flows:
      - {direction: in, protocol: TCP, ports: 22, purpose: Administration}
      - {direction: in, protocol: UDP, ports: 5000, purpose: Large datagrams}
      - {direction: in, protocol: ICMP, purpose: Is it alive}
      - {direction: in, protocol: 253, purpose: A protocol without ports}
      - {direction: out, protocol: UDP, ports: 514, to: [10.0.0.5, "fd00:10::5"], purpose: Logs}
      - {direction: forward, protocol: TCP, ports: 443, to: [internet], purpose: Updates}
  runtime:
    flows:
      - {direction: in, protocol: TCP, ports: 7401, purpose: Control socket}
  workload:
    interfaces: ["veth*"]
    networks: [10.77.0.0/16, "fd00:77::/48"]
    flows:
      - {direction: in, protocol: UDP, ports: 53, purpose: Names}
      - {direction: forward, protocol: TCP, ports: "443", to: [internet], purpose: The model}
      - {direction: forward, protocol: UDP, ports: "4000-5999", to: [internet], purpose: Large datagrams}
      - {direction: forward, protocol: ICMP, to: [internet], purpose: Is it alive}
      - {direction: forward, protocol: 253, to: [internet], purpose: A protocol without ports}
"#;

/// Namespaces around this thread's own, each held open by a process that does nothing.
struct Town {
    management: Child,
    workload: Child,
    internet: Child,
}

/// Who sends, or receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Host,
    Management,
    Workload,
    Internet,
}

impl Town {
    fn build() -> Town {
        let town = Town { management: empty(), workload: empty(), internet: empty() };
        // a router asks for neighbours from an address that it has found to be its own, which takes seconds
        let calm = "sysctl -qw net.ipv6.conf.default.dad_transmits=0 net.ipv6.conf.default.accept_dad=0";
        for child in [&town.management, &town.workload, &town.internet] {
            inside(child, calm);
        }
        for switch in ["dad_transmits", "accept_dad"] {
            fs::write(format!("/proc/sys/net/ipv6/conf/default/{switch}"), "0").unwrap();
        }
        // what counts is what the rules hold, not what else the kernel looks at
        for interface in ["all", "default"] {
            fs::write(format!("/proc/sys/net/ipv4/conf/{interface}/rp_filter"), "0").unwrap();
        }
        for (name, child, [own, own6], [peer, peer6]) in [
            ("eth0", &town.management, ["10.0.0.1/24", "fd00:10::1/64"], ["10.0.0.5/24", "fd00:10::5/64"]),
            ("veth0", &town.workload, ["10.77.0.1/16", "fd00:77::1/48"], ["10.77.0.5/16", "fd00:77::5/48"]),
            ("wan0", &town.internet, ["9.9.9.1/24", "2620:fe::1/64"], ["9.9.9.9/24", "2620:fe::9/64"]),
        ] {
            let pid = child.id();
            ip(&format!("link add {name} type veth peer name far netns {pid}"));
            ip(&format!("addr add {own} dev {name}"));
            ip(&format!("addr add {own6} dev {name} nodad"));
            ip(&format!("link set {name} up"));
            let there = |words: &str| inside(child, &format!("ip {words}"));
            there("link set lo up");
            there(&format!("addr add {peer} dev far"));
            there(&format!("addr add {peer6} dev far nodad"));
            there("link set far up");
            there(&format!("route add default via {}", own.split('/').next().unwrap()));
            there(&format!("route add default via {}", own6.split('/').next().unwrap()));
        }
        for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            fs::write(format!("/proc/sys/net/{switch}"), "1").unwrap();
        }
        town
    }

    fn pid(&self, place: Place) -> u32 {
        match place {
            Place::Host => 0,
            Place::Management => self.management.id(),
            Place::Workload => self.workload.id(),
            Place::Internet => self.internet.id(),
        }
    }

    fn flow(&self, (from, to, kind, address, port): Flow) -> Value {
        json!([self.pid(from), self.pid(to), kind, address, port])
    }

    /// Which of these flows arrive.
    fn arrive(&self, flows: &[Flow]) -> Vec<bool> {
        let flows: Vec<Value> = flows.iter().map(|flow| self.flow(*flow)).collect();
        let (mut child, mut input, mut output) = packets(&json!({ "flows": flows }));
        let answer = line(&mut output);
        let _ = input.flush();
        assert!(child.wait().unwrap().success());
        serde_json::from_value(answer).unwrap()
    }

    /// Stops the test unless exactly these arrive.
    #[track_caller]
    fn only(&self, flows: &[(Flow, bool)]) {
        let asked: Vec<Flow> = flows.iter().map(|(flow, _)| *flow).collect();
        let arrived = self.arrive(&asked);
        let wrong: Vec<String> = flows
            .iter()
            .zip(arrived)
            .filter(|((_, expected), arrived)| expected != arrived)
            .map(|((flow, _), arrived)| format!("{flow:?} arrived: {arrived}"))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}\n{}", rules());
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        for child in [&mut self.management, &mut self.workload, &mut self.internet] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

type Flow = (Place, Place, &'static str, &'static str, u16);

fn empty() -> Child {
    let mut command = Command::new("unshare");
    let mut child =
        command.args(["-n", "sh", "-c", "echo up; exec sleep 600"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut word = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut word).unwrap();
    assert_eq!(word, "up\n");
    child
}

fn ip(words: &str) {
    let done = Command::new("ip").args(words.split(' ')).status().expect("ip (iproute2)");
    assert!(done.success(), "ip {words}");
}

fn inside(child: &Child, words: &str) {
    let pid = child.id().to_string();
    let done =
        Command::new("nsenter").args(["-t", &pid, "-n"]).args(words.split(' ')).status().expect("nsenter");
    assert!(done.success(), "{words}");
}

fn packets(work: &Value) -> (Child, ChildStdin, BufReader<ChildStdout>) {
    let mut child = Command::new("python3")
        .arg(PACKETS)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{work}").unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, input, output)
}

fn line(output: &mut BufReader<ChildStdout>) -> Value {
    let mut text = String::new();
    output.read_line(&mut text).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: `{text}`"))
}

fn rules() -> String {
    let listed = Command::new("nft").args(["list", "ruleset"]).output().expect("nft");
    String::from_utf8_lossy(&listed.stdout).into_owned()
}

fn nft(words: &str) {
    assert!(Command::new("nft").arg(words).status().unwrap().success(), "{words}");
}

fn file(lab: &Lab, text: &str) -> String {
    lab.write("zones.yaml", text).to_string_lossy().into_owned()
}

/// `claw host firewall` with these words, in this thread's network.
fn firewall(lab: &Lab, zones: &str, words: &[&str]) -> claw_testkit::Outcome {
    lab.cli(&[&["host", "firewall", "--zones", zones], words].concat())
}

fn apply(lab: &Lab, text: &str) {
    let zones = file(lab, text);
    firewall(lab, &zones, &["--apply", "--confirm-within", "0", "--no-keep"]).ends(0).says("in force");
}

use Place::{Host, Internet, Management, Workload};

/// Every direction, both families, and for each kind of packet what must arrive once the rules hold.
fn cases() -> Vec<(Flow, bool)> {
    let mut cases = Vec::new();
    // ports differ, so that flows may be tried side by side
    for (index, six) in [false, true].into_iter().enumerate() {
        let index = u16::try_from(index).unwrap();
        let pick = |four: &'static str, v6: &'static str| if six { v6 } else { four };
        let host_m = pick("10.0.0.1", "fd00:10::1");
        let host_w = pick("10.77.0.1", "fd00:77::1");
        let management = pick("10.0.0.5", "fd00:10::5");
        let workload = pick("10.77.0.5", "fd00:77::5");
        let internet = pick("9.9.9.9", "2620:fe::9");
        let mut add =
            |from, to, kind, address, port, passes| cases.push(((from, to, kind, address, port), passes));
        // management to this host
        add(Management, Host, "tcp", host_m, 22 + index * 10_000, !six);
        add(Management, Host, "tcp", host_m, 2200 + index, false);
        add(Management, Host, "udp", host_m, 2200 + index, false);
        add(Management, Host, "icmp", host_m, 0, true);
        add(Management, Host, "raw", host_m, 0, true);
        // workload to this host
        add(Workload, Host, "tcp", host_w, 2210 + index, false);
        add(Workload, Host, "icmp", host_w, 0, false);
        add(Workload, Host, "raw", host_w, 0, false);
        // the same, at the host's address in the management network
        add(Workload, Host, "tcp", host_m, 2220 + index, false);
        add(Workload, Host, "icmp", host_m, 0, false);
        // between workload and management, both ways
        for (offset, kind) in (0..).step_by(10).zip(["tcp", "udp", "fragments", "icmp", "raw"]) {
            let port = 2300 + offset + index;
            add(Workload, Management, kind, management, port, false);
            add(Management, Workload, kind, workload, port, false);
        }
        add(Workload, Management, "tcp", management, 443 + index * 10_000, false);
        // workload to the internet, and back
        add(Workload, Internet, "tcp", internet, 2400 + index, false);
        add(Workload, Internet, "udp", internet, 4100 + index, true);
        add(Workload, Internet, "udp", internet, 6000 + index, false);
        add(Workload, Internet, "fragments", internet, 4200 + index, true);
        add(Workload, Internet, "fragments", internet, 6100 + index, false);
        add(Workload, Internet, "icmp", internet, 0, true);
        add(Workload, Internet, "raw", internet, 0, true);
        for (offset, kind) in (0..).step_by(10).zip(["tcp", "udp", "fragments", "icmp", "raw"]) {
            let port = 4300 + offset + index;
            add(Internet, Workload, kind, workload, port, false);
            add(Internet, Management, kind, management, port, false);
            add(Internet, Host, kind, pick("9.9.9.1", "2620:fe::1"), port, false);
        }
        add(Management, Internet, "udp", internet, 4400 + index, false);
        // sockets of the runtime
        add(Management, Host, "tcp", host_m, 7401 + index * 10_000, false);
        add(Host, Host, "tcp", pick("127.0.0.1", "::1"), 7411 + index, true);
        // what this host sends
        add(Host, Management, "udp", management, 514 + index * 10_000, true);
        add(Host, Internet, "tcp", internet, 2500 + index, true);
    }
    cases
}

#[test]
fn without_rules_every_packet_arrives_and_with_them_only_declared_ones() {
    once(CLAW, User::Root, |lab| {
        let town = Town::build();
        let cases = cases();
        let before: Vec<(Flow, bool)> = cases.iter().map(|(flow, _)| (*flow, true)).collect();
        town.only(&before);
        apply(lab, ZONES);
        // order: without ports, what comes the other way is an answer once a packet went out
        let (passing, refused): (Vec<_>, Vec<_>) = cases.into_iter().partition(|(_, passes)| *passes);
        town.only(&refused);
        town.only(&passing);
        // one port at a time, where both families ask for the same
        town.only(&[((Management, Host, "tcp", "fd00:10::1", 22), true)]);
        town.only(&[
            ((Management, Host, "tcp", "10.0.0.1", 7401), false),
            ((Management, Host, "tcp", "fd00:10::1", 7401), false),
        ]);
        for internet in ["9.9.9.9", "2620:fe::9"] {
            town.only(&[((Workload, Internet, "tcp", internet, 443), true)]);
            town.only(&[((Management, Internet, "tcp", internet, 443), true)]);
        }
        for host in ["10.77.0.1", "fd00:77::1"] {
            town.only(&[((Workload, Host, "udp", host, 53), true)]);
            town.only(&[((Workload, Host, "fragments", host, 5000), false)]);
        }
        for host in ["10.0.0.1", "fd00:10::1"] {
            town.only(&[((Management, Host, "fragments", host, 5000), true)]);
        }
        let zones = file(lab, ZONES);
        firewall(lab, &zones, &["--check"])
            .ends(0)
            .says("the kernel holds what is declared")
            .says("wall: workload to management");
    });
}

#[test]
fn no_address_is_believed_at_an_interface_that_it_does_not_belong_to() {
    once(CLAW, User::Root, |lab| {
        let town = Town::build();
        let more = "      - {direction: in, protocol: UDP, ports: 161, purpose: Asked by management}
      - {direction: forward, protocol: UDP, ports: 53, to: [internet], purpose: Names}
  runtime:";
        let both = ZONES.replacen("  runtime:", more, 1);
        // as a host with one interface is told to write it
        let by_networks = both.replacen("    interfaces: [eth0]\n", "", 1);
        let forged = |flow: (Flow, Flow)| [flow.0, flow.1];
        let flows: Vec<Flow> = [
            // the workload as management, to this host and through it
            forged((
                (Workload, Host, "spoof:10.0.0.9", "10.77.0.1", 161),
                (Workload, Host, "spoof:fd00:10::9", "fd00:77::1", 161),
            )),
            forged((
                (Workload, Internet, "spoof:10.0.0.9", "9.9.9.9", 53),
                (Workload, Internet, "spoof:fd00:10::9", "2620:fe::9", 53),
            )),
            // the internet as the workload
            forged((
                (Internet, Host, "spoof:10.77.0.9", "9.9.9.1", 53),
                (Internet, Host, "spoof:fd00:77::9", "2620:fe::1", 53),
            )),
            // answers that another was asked for: this host asked the internet, the workload answers; and the other way
            forged((
                (Workload, Host, "answer:9.9.9.77", "", 53),
                (Workload, Host, "answer:2620:fe::77", "", 53),
            )),
            forged((
                (Internet, Host, "answer:10.77.0.9", "", 5353),
                (Internet, Host, "answer:fd00:77::9", "", 5353),
            )),
            forged((
                (Internet, Management, "answer:10.77.0.9", "", 53),
                (Internet, Management, "answer:fd00:77::9", "", 53),
            )),
            // through this host: management asked the internet, the workload answers, and the other way
            forged((
                (Workload, Management, "answer:9.9.9.78", "", 53),
                (Workload, Management, "answer:2620:fe::78", "", 53),
            )),
            forged((
                (Management, Workload, "answer:9.9.9.79", "", 4100),
                (Management, Workload, "answer:2620:fe::79", "", 4100),
            )),
        ]
        .concat();
        // one after the other: a port is taken once
        let (four, six): (Vec<Flow>, Vec<Flow>) =
            flows.into_iter().partition(|flow| !flow.2.contains("fd00") && !flow.2.contains("2620"));
        for half in [&four, &six] {
            let before: Vec<(Flow, bool)> = half.iter().map(|flow| (*flow, true)).collect();
            town.only(&before);
        }
        for text in [&by_networks, &both] {
            apply(lab, text);
            for half in [&four, &six] {
                // at an interface that is in no zone any address of the internet is believed
                let named = |flow: &&Flow| text.contains("eth0") || flow.0 != Management;
                let after: Vec<(Flow, bool)> = half.iter().filter(named).map(|flow| (*flow, false)).collect();
                town.only(&after);
            }
            // those whose address it is still pass
            town.only(&[
                ((Management, Host, "udp", "10.0.0.1", 161), true),
                ((Management, Internet, "udp", "9.9.9.9", 53), true),
                ((Internet, Host, "answer:9.9.9.77", "", 5300), true),
            ]);
            town.only(&[
                ((Management, Host, "udp", "fd00:10::1", 161), true),
                ((Management, Internet, "udp", "2620:fe::9", 53), true),
                ((Internet, Host, "answer:2620:fe::77", "", 5300), true),
            ]);
        }
    });
}

#[test]
fn whoever_names_the_way_to_the_internet_as_a_zone_s_own_is_warned() {
    once(CLAW, User::Root, |lab| {
        let _town = Town::build();
        let words = ["--apply", "--confirm-within", "0", "--no-keep"];
        let warned = "a default route leaves by `eth0`, from which only networks of `management` are taken";
        for route in ["-4 route add default via 10.0.0.5", "-6 route add default via fd00:10::5"] {
            let zones = file(lab, ZONES);
            let calm = firewall(lab, &zones, &words).ends(0);
            assert!(!calm.stderr.contains("a default route"), "{calm:#?}");
            ip(route);
            firewall(lab, &zones, &words).ends(0).warns(warned);
            let zones = file(lab, &ZONES.replacen("    interfaces: [eth0]\n", "", 1));
            let calm = firewall(lab, &zones, &words).ends(0);
            assert!(!calm.stderr.contains("a default route"), "{calm:#?}");
            ip(&route.replace("add", "del"));
        }
    });
}

#[test]
fn of_messages_about_known_flows_only_errors_pass() {
    once(CLAW, User::Root, |lab| {
        let town = Town::build();
        let four = [
            ("error:3", true),
            ("error:11", true),
            ("error:12", true),
            // source quench, redirect
            ("error:4", false),
            ("error:5", false),
        ];
        let six = [
            ("error:1", true),
            ("error:2", true),
            ("error:3", true),
            ("error:4", true),
            ("error:137", false),
        ];
        for held in [false, true] {
            if held {
                apply(lab, ZONES);
            }
            for (internet, all) in [("9.9.9.9", four), ("2620:fe::9", six)] {
                for (kind, passes) in all {
                    town.only(&[((Internet, Host, kind, internet, 720), passes || !held)]);
                }
            }
        }
    });
}

#[test]
fn what_this_host_sends_is_declared_too_where_that_is_asked() {
    once(CLAW, User::Root, |lab| {
        let town = Town::build();
        apply(lab, &ZONES.replacen("version: 1\n", "version: 1\noutput: drop\n", 1));
        for (management, internet) in [("10.0.0.5", "9.9.9.9"), ("fd00:10::5", "2620:fe::9")] {
            town.only(&[
                ((Host, Management, "udp", management, 514), true),
                ((Host, Management, "udp", management, 515), false),
                ((Host, Internet, "tcp", internet, 443), false),
                ((Host, Internet, "icmp", internet, 0), false),
            ]);
        }
        for host in ["10.0.0.1", "fd00:10::1"] {
            town.only(&[
                ((Management, Host, "tcp", host, 22), true),
                ((Management, Host, "icmp", host, 0), true),
            ]);
        }
    });
}

/// An end of a connection, as `[address, port]`.
fn end(value: &Value) -> SocketAddr {
    let address: IpAddr = value[0].as_str().unwrap().parse().unwrap();
    SocketAddr::new(address, value[1].as_u64().unwrap().try_into().unwrap())
}

#[test]
fn of_open_connections_declared_ones_and_the_operator_s_go_on_and_others_are_cut() {
    once(CLAW, User::Root, |lab| {
        let town = Town::build();
        // rounds: connection tracking has not seen them begin; it has
        for tracked in [false, true] {
            if tracked {
                nft(
                    "table inet other { chain seen { type filter hook prerouting priority 0; ct state new accept; }; chain sent { type filter hook output priority 0; ct state new accept; }; }",
                );
            }
            let flows: [(Flow, bool); 7] = [
                ((Management, Host, "tcp", "10.0.0.1", 22), true),
                ((Management, Host, "tcp", "fd00:10::1", 22), true),
                ((Workload, Internet, "tcp", "9.9.9.9", 443), true),
                ((Workload, Management, "tcp", "10.0.0.5", 443), false),
                ((Management, Workload, "tcp", "fd00:77::5", 2300), false),
                ((Internet, Host, "tcp", "9.9.9.1", 8080), false),
                // the operator's: undeclared, kept
                ((Management, Host, "tcp", "10.0.0.1", 2222), true),
            ];
            // the second family's listener would take the first's port
            let flows: Vec<(Flow, bool)> =
                flows.into_iter().filter(|(flow, _)| flow.3 != "fd00:10::1").collect();
            let held: Vec<Value> = flows.iter().map(|(flow, _)| town.flow(*flow)).collect();
            let (mut child, mut input, mut output) = packets(&json!({ "hold": held }));
            let ends = line(&mut output);
            let last = ends.as_array().unwrap().last().unwrap();
            let (own, peer) = (end(&last[0]), end(&last[1]));
            let session = format!("{} {} {} {}", own.ip(), own.port(), peer.ip(), peer.port());
            let zones = file(lab, ZONES);
            let words = ["host", "firewall", "--zones", &zones, "--apply", "--confirm-within", "0"];
            let program = lab.program().to_string_lossy().into_owned();
            let applied = lab
                .plain()
                .variable("SSH_CONNECTION", &session)
                .command(&[&[program.as_str()], &words[..]].concat());
            applied
                .ends(0)
                .says(&format!("kept   {own} to {peer}"))
                .warns("no flow of a zone admits another like it");
            firewall(lab, &zones, &["--check"]).ends(0).says(&format!("kept   {own} to {peer}"));
            writeln!(input).unwrap();
            let carried: Vec<bool> = serde_json::from_value(line(&mut output)).unwrap();
            let expected: Vec<bool> = flows.iter().map(|(_, passes)| *passes).collect();
            assert_eq!(carried, expected, "tracked before: {tracked}\n{}", rules());
            drop(input);
            child.wait().unwrap();
            // the session is over: what was opened for it is drift
            let over = firewall(lab, &zones, &["--check"]).ends(1);
            assert!(over.stdout.contains("element sessions4 unexpected"), "{over:#?}");
            nft("delete table inet claw-firewall");
        }
    });
}

#[test]
fn each_drift_is_named_and_nothing_of_others_is_touched() {
    once(CLAW, User::Root, |lab| {
        let _town = Town::build();
        nft(
            "table inet docker { chain forward { type filter hook forward priority 5; policy drop; }; set s { type ipv4_addr; elements = { 1.2.3.4 }; }; }; table ip nat { chain pre { type nat hook prerouting priority -100; tcp dport 80 redirect to 8080; }; }",
        );
        let others =
            || Command::new("nft").args(["list", "table", "inet", "docker"]).output().unwrap().stdout;
        let before = others();
        let zones = file(lab, ZONES);
        firewall(lab, &zones, &["--check"]).ends(1).says("table claw-firewall missing");
        apply(lab, ZONES);
        firewall(lab, &zones, &["--check"])
            .ends(0)
            .says("table inet docker, chain forward (forward, priority 5): drops what it does not accept itself")
            .says("table ip nat, chain pre (prerouting, priority -100): may rewrite destinations")
            .says("the kernel holds what is declared; others decide too");
        for (change, named) in [
            ("add rule inet claw-firewall input tcp dport 4444 accept", "rule input, "),
            ("insert rule inet claw-firewall forward accept", "rule forward, 1 unexpected"),
            (
                "flush chain inet claw-firewall wall-workload",
                "rule wall-workload, 1 missing (wall: workload to management)",
            ),
            ("chain inet claw-firewall forward { policy accept; }", "chain forward changed"),
            (
                "add chain inet claw-firewall mine { type filter hook input priority -5; }",
                "chain mine unexpected",
            ),
            (
                "add element inet claw-firewall management-in4 { 10.0.0.77 . udp . 9999 }",
                "element management-in4 unexpected (10.0.0.77 . 17 . 9999)",
            ),
            (
                "add element inet claw-firewall workload-networks4 { 192.168.7.0/24 }",
                "element workload-networks4 unexpected (192.168.7.0)",
            ),
            ("delete element inet claw-firewall neighbours { 135 }", "element neighbours missing (135)"),
            (
                "add element inet claw-firewall sessions4 { 9.9.9.9 . 1 . 9.9.9.1 . 22 }",
                "element sessions4 unexpected (9.9.9.9 . 1 . 9.9.9.1 . 22)",
            ),
            ("add table inet claw-firewall { flags dormant; }", "table claw-firewall changed"),
            ("add counter inet claw-firewall extra", "object extra unexpected"),
            ("delete table inet claw-firewall", "table claw-firewall missing"),
        ] {
            nft(change);
            firewall(lab, &zones, &["--check"]).ends(1).says(named);
            apply(lab, ZONES);
            firewall(lab, &zones, &["--check"]).ends(0);
        }
        assert_eq!(others(), before);
    });
}

#[test]
fn what_others_do_around_the_rules_is_named() {
    once(CLAW, User::Root, |lab| {
        let _town = Town::build();
        let zones = file(lab, ZONES);
        apply(lab, ZONES);
        let chain = |family: &str, kind: &str, place: &str, rule: &str| {
            format!("table {family} other {{ chain c {{ type {kind} hook {place}; {rule}; }}; }}")
        };
        let cases = [
            (chain("ip", "filter", "prerouting priority -400", "ip saddr set 10.0.0.9"), 1, "around", "rewrite bytes"),
            (chain("ip", "filter", "prerouting priority -300", "udp dport 9 notrack"), 0, "beside", "hides packets"),
            (chain("ip", "filter", "prerouting priority -150", "meta l4proto tcp tproxy to :99"), 0, "beside", "may give packets"),
            (chain("ip", "filter", "prerouting priority -5", "dup to 10.77.0.5 device veth0"), 1, "around", "copies of packets"),
            (chain("netdev", "filter", "ingress device veth0 priority 0", "dup to eth0"), 1, "around", "copies of packets"),
            (chain("netdev", "filter", "ingress device veth0 priority 0", "fwd to eth0"), 1, "around", "ingress on veth0, priority 0): sends packets out"),
            (chain("ip", "nat", "output priority -100", "tcp dport 9 dnat to 10.77.0.5"), 0, "beside", "rewrite destinations"),
            (chain("ip", "nat", "input priority 100", "tcp dport 9 snat to 10.0.0.9"), 0, "beside", "rewrite where packets come from"),
            (chain("ip", "filter", "input priority 0", "tcp dport vmap { 9 : drop }"), 0, "beside", "drop or reject"),
            (
                "table ip other { chain far { tcp dport 9 drop; }; chain near { jump far; }; chain c { type filter hook forward priority 0; jump near; }; chain still { type filter hook input priority 0; counter; }; }".to_owned(),
                0, "beside", "chain c (forward, priority 0): has rules that drop",
            ),
        ];
        for (text, code, word, named) in cases {
            nft(&text);
            let checked = firewall(lab, &zones, &["--check"]).ends(code);
            let line = checked.stdout.lines().find(|line| line.contains(named));
            assert!(line.is_some_and(|line| line.starts_with(word)), "{text}: {checked:#?}");
            assert!(!checked.stdout.ends_with("the kernel holds what is declared\n"), "{text}");
            assert!(!checked.stdout.contains("chain still"), "{text}");
            let family = text.split(' ').nth(1).unwrap();
            nft(&format!("delete table {family} other"));
        }
        let clean = firewall(lab, &zones, &["--check"]).ends(0);
        assert!(clean.stdout.ends_with("the kernel holds what is declared\n"), "{clean:#?}");
    });
}

#[test]
fn rules_that_nobody_confirms_are_taken_back_though_the_terminal_is_gone() {
    once(CLAW, User::Root, |lab| {
        let zones = file(lab, ZONES);
        nft(
            "table inet claw-firewall { set old { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/24 . 22 }; }; chain old { type filter hook input priority 0; policy accept; ip saddr . tcp dport @old counter accept comment \"old\"; }; }",
        );
        let before = rules();
        // a terminal of its own, in a session of its own, that ends at once and hangs up
        let apply = format!("{CLAW} host firewall --zones {zones} --apply --confirm-within 2");
        let begun = Instant::now();
        lab.bare(&format!("setsid script -qec '{apply}' /dev/null")).ends(0).says("taken back in 2 s");
        assert!(rules().contains("wall: workload to management"));
        firewall(lab, &zones, &["--apply", "--confirm-within", "9"])
            .ends(2)
            .warns("still waits for its confirmation");
        while rules() != before {
            assert!(begun.elapsed() < Duration::from_secs(20), "{}", rules());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(begun.elapsed() >= Duration::from_secs(2));
        firewall(lab, &zones, &["--confirm"]).ends(1).warns("no `--apply` waits");
    });
}

#[test]
fn rules_that_are_confirmed_stay() {
    once(CLAW, User::Root, |lab| {
        let zones = file(lab, ZONES);
        firewall(lab, &zones, &["--apply", "--confirm-within", "2"]).ends(0);
        firewall(lab, &zones, &["--confirm"]).ends(0).says("the rules stay");
        std::thread::sleep(Duration::from_secs(3));
        firewall(lab, &zones, &["--check"]).ends(0);
    });
}

#[test]
fn an_application_that_fails_leaves_what_was_there() {
    once(CLAW, User::Root, |lab| {
        let zones = file(lab, ZONES);
        nft(
            "table inet claw-firewall { chain old { type filter hook input priority 0; counter comment \"old\"; }; }",
        );
        let before = rules();
        for within in ["0", "3"] {
            // what comparing needs, and what more descriptors than there may be
            for (limit, said) in [
                ("setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin", "`CAP_SYS_ADMIN` is missing"),
                ("prlimit --nofile=4", "Too many open files"),
            ] {
                let command = format!(
                    "{limit} {CLAW} host firewall --zones {zones} --apply --no-keep --confirm-within {within} 3>&- 4>&- 5>&-"
                );
                lab.bare(&command).ends(2).warns(said);
                assert_eq!(rules(), before, "{command}");
            }
        }
        // nobody is left to wait
        firewall(lab, &zones, &["--apply", "--confirm-within", "0"]).ends(0);
    });
}

#[test]
fn whichever_answer_of_the_kernel_is_lost_the_rules_are_old_or_confirmed_new() {
    once(CLAW, User::Root, |lab| {
        let zones = file(lab, ZONES);
        let old = "table inet claw-firewall { chain old { type filter hook input priority 0; counter comment \"old\"; }; }";
        nft(old);
        let before = rules();
        // the program's first answer is lost, then its second, and so on until none of them is asked for
        for answer in 1..200 {
            let command = format!(
                "strace -f -qq -o /dev/null -e trace=recvfrom -e inject=recvfrom:error=ENOBUFS:when={answer} \
                 {CLAW} host firewall --zones {zones} --apply --no-keep --confirm-within 0"
            );
            let done = lab.bare(&command);
            if done.code == 0 {
                assert!(answer > 20, "{answer} answers: {done:#?}");
                return;
            }
            assert_eq!(rules(), before, "answer {answer}: {done:#?}");
        }
        panic!("it asks without end");
    });
}

#[test]
fn the_guard_stands_where_the_rules_could_not_be_taken_back_at_once() {
    once(CLAW, User::Root, |lab| {
        let zones = file(lab, ZONES);
        nft(
            "table inet claw-firewall { chain old { type filter hook input priority 0; counter comment \"old\"; }; }",
        );
        let before = rules();
        let mut stuck = 0;
        // from its n-th message on the kernel does not hear the program; the guard is another process
        for word in (1..80).step_by(4) {
            let command = format!(
                "strace -qq -o /dev/null -e trace=sendto -e inject=sendto:error=ENOBUFS:when={word}+ \
                 {CLAW} host firewall --zones {zones} --apply --no-keep --confirm-within 1"
            );
            let done = lab.bare(&command);
            stuck += usize::from(done.stderr.contains("cannot be taken back"));
            let begun = Instant::now();
            while rules() != before {
                assert!(begun.elapsed() < Duration::from_secs(20), "word {word}: {done:#?}");
                std::thread::sleep(Duration::from_millis(50));
            }
            if done.code == 0 {
                assert!(stuck > 0, "word {word}: {done:#?}");
                return;
            }
            // a guard that has nothing left to do may still stand
            while fs::read_dir("/proc").unwrap().flatten().any(|entry| {
                let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let network = fs::read_link(entry.path().join("ns/net")).ok();
                words.windows(7).any(|part| part == b"--guard")
                    && network == fs::read_link("/proc/thread-self/ns/net").ok()
            }) {
                assert!(begun.elapsed() < Duration::from_secs(20), "word {word}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        panic!("it speaks without end");
    });
}

#[test]
fn a_later_application_is_not_undone_by_an_earlier_guard() {
    once(CLAW, User::Root, |lab| {
        let zones = file(lab, ZONES);
        firewall(lab, &zones, &["--apply", "--confirm-within", "3"]).ends(0);
        let held = rules();
        firewall(lab, &zones, &["--apply", "--confirm-within", "0"])
            .ends(2)
            .warns("an earlier `--apply` still waits");
        assert_eq!(rules(), held);
        firewall(lab, &zones, &["--confirm"]).ends(0).says("the rules stay");
        firewall(lab, &zones, &["--apply", "--confirm-within", "0"]).ends(0);
        std::thread::sleep(Duration::from_secs(4));
        firewall(lab, &zones, &["--check"]).ends(0);
    });
}

#[test]
fn nobody_else_takes_the_place_of_the_guard() {
    once(CLAW, User::Root, |lab| {
        let zones = file(lab, ZONES);
        // whoever may make sockets in this network, as another user, listens where a guard once did and says yes
        let squat = "import os, socket, sys
os.setresuid(65534, 65534, 65534)
one = socket.socket(socket.AF_UNIX)
one.bind('\\0claw-firewall/confirm')
one.listen()
print('up', flush=True)
while True:
    peer, _ = one.accept()
    peer.recv(64)
    peer.sendall(b'kept\\n')";
        let mut squatter =
            Command::new("python3").args(["-c", squat]).stdout(Stdio::piped()).spawn().unwrap();
        let mut word = String::new();
        BufReader::new(squatter.stdout.take().unwrap()).read_line(&mut word).unwrap();
        assert_eq!(word, "up\n");
        firewall(lab, &zones, &["--confirm"]).ends(1).warns("no `--apply` waits");
        firewall(lab, &zones, &["--apply", "--confirm-within", "4"]).ends(0);
        // without the table there is nothing to keep, and the guard stands
        let held = rules();
        nft("delete table inet claw-firewall");
        firewall(lab, &zones, &["--confirm"]).ends(1).warns("the kernel holds no table");
        lab.write("held.nft", &held);
        let again = Command::new("nft").arg("-f").arg(lab.path("held.nft")).status().unwrap();
        assert!(again.success());
        firewall(lab, &zones, &["--confirm"]).ends(0).says("the rules stay");
        // the directory: of root, and nobody else may write there
        let place = fs::symlink_metadata("/run/claw-firewall").unwrap();
        assert_eq!((place.uid(), place.mode() & 0o022), (0, 0));
        squatter.kill().unwrap();
        squatter.wait().unwrap();
    });
}

#[test]
fn refusals_are_logged_at_a_bounded_rate_and_all_are_counted() {
    once(CLAW, User::Root, |lab| {
        let town = Town::build();
        apply(lab, ZONES);
        let log = claw_sys::nflog::open(7, 128).unwrap();
        let flows: Vec<Flow> =
            (0..200).map(|port| (Internet, Host, "udp", "9.9.9.1", 10_000 + port)).collect();
        assert!(town.arrive(&flows).iter().all(|arrived| !arrived));
        let (mut told, mut bytes) = (0, [0u8; 65_536]);
        while claw_sys::nflog::read(&log, &mut bytes, |packet| {
            assert_eq!(packet.source.0.to_string(), "9.9.9.9");
            told += 1;
        })
        .is_ok()
        {}
        assert!((20..120).contains(&told), "{told} of 200 were logged");
        let zones = file(lab, ZONES);
        let checked = firewall(lab, &zones, &["--check", "--json"]).ends(0);
        let checked: Value = serde_json::from_str(&checked.stdout).unwrap();
        let counts = checked["counts"].as_array().unwrap();
        let refused = counts.iter().find(|count| count["chain"] == "refused").unwrap();
        assert!(refused["packets"].as_u64().unwrap() >= 200, "{counts:?}");
    });
}

#[test]
fn a_watch_writes_each_drift_into_a_ledger() {
    once(CLAW, User::Root, |lab| {
        let zones = file(lab, ZONES);
        apply(lab, ZONES);
        let ledger: PathBuf = lab.path("ledgers/watch.jsonl");
        let name = ledger.to_string_lossy().into_owned();
        let mut watch = Command::new(CLAW)
            .args(["host", "firewall", "--zones", &zones, "--watch", "--ledger", &name])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = |count: usize| {
            let begun = Instant::now();
            loop {
                let text = fs::read_to_string(&ledger).unwrap_or_default();
                if text.lines().count() >= count {
                    return text;
                }
                assert!(begun.elapsed() < Duration::from_secs(20), "{text}");
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        lines(1);
        nft("add rule inet claw-firewall forward accept");
        let text = lines(2);
        assert!(text.lines().last().unwrap().contains("rule forward, "), "{text}");
        apply(lab, ZONES);
        let text = lines(3);
        assert!(text.lines().last().unwrap().contains(r#""drift":[]"#), "{text}");
        watch.kill().unwrap();
        watch.wait().unwrap();
        lab.cli(&["ledger", "verify", &name]).ends(0);
    });
}

#[test]
fn the_text_and_the_transaction_are_the_same_rules() {
    once(CLAW, User::Root, |lab| {
        let zones = file(lab, ZONES);
        apply(lab, ZONES);
        let listed = || {
            let text =
                Command::new("nft").args(["-s", "list", "table", "inet", "claw-firewall"]).output().unwrap();
            String::from_utf8_lossy(&text.stdout).into_owned()
        };
        let own = listed();
        let printed = firewall(lab, &zones, &["--print"]).ends(0).stdout;
        let path = lab.write("rules.nft", &printed);
        assert!(Command::new("nft").arg("-f").arg(path).status().unwrap().success());
        assert_eq!(listed(), own);
        // nft(8) notes things of its own beside; they mean nothing
        firewall(lab, &zones, &["--check"]).ends(0).says("the kernel holds what is declared");
        nft("add element inet claw-firewall workload-networks4 { 192.168.7.0/24 }");
        firewall(lab, &zones, &["--check"]).ends(1).says("element workload-networks4 unexpected");
    });
}

#[test]
fn without_the_capability_it_says_so_and_changes_nothing() {
    once(CLAW, User::Ordinary, |lab| {
        let zones = file(lab, ZONES);
        for words in [&["--apply"][..], &["--check"], &["--watch", "--ledger", "/dev/null/none"]] {
            firewall(lab, &zones, words)
                .ends(2)
                .warns("`CAP_NET_ADMIN` is missing")
                .warns("hint: run it as root");
        }
        firewall(lab, &zones, &["--print"]).ends(0).says("table inet claw-firewall");
    });
}

#[test]
fn what_root_would_run_is_root_s_alone() {
    once(CLAW, User::Root, |lab| {
        let zones = file(lab, ZONES);
        let directory = lab.path("persist");
        fs::create_dir(&directory).unwrap();
        let name = directory.to_string_lossy().into_owned();
        // a link in the place of a file to come leads nowhere
        let victim = lab.write("victim", "as it was");
        for link in ["claw-firewall.new", "claw-firewall.yaml.new", "claw-firewall.nft"] {
            std::os::unix::fs::symlink(&victim, directory.join(link)).unwrap();
        }
        firewall(lab, &zones, &["--print", "--persist", &name]).ends(0);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
        assert!(fs::symlink_metadata(directory.join("claw-firewall.nft")).unwrap().is_file());
        // a directory that others write
        lab.own(&directory, 0o777);
        firewall(lab, &zones, &["--print", "--persist", &name])
            .ends(2)
            .warns("may be changed by others than root");
        lab.own(&directory, 0o755);
        // a program that others write, or that lies where they do
        let place = lab.path("programs");
        fs::create_dir(&place).unwrap();
        let program = place.join("claw");
        copy_program(CLAW, &program);
        let command = format!("{} host firewall --zones {zones} --print --persist {name}", program.display());
        for (path, mode, code) in
            [(&program, 0o777, 2), (&program, 0o755, 0), (&place, 0o777, 2), (&place, 0o755, 0)]
        {
            lab.own(path, mode);
            let done = lab.bare(&command).ends(code);
            assert_eq!(code == 2, done.stderr.contains("may be changed by others than root"), "{done:#?}");
        }
    });
}

#[test]
fn the_runtime_s_flows_are_its_user_s_where_one_is_named() {
    once(CLAW, User::Root, |lab| {
        let town = Town::build();
        let text = |user: &str| {
            let flow = "  runtime:\n    flows:\n      - {direction: out, protocol: UDP, ports: 443, to: [internet], purpose: The gate}";
            ZONES.replacen("version: 1\n", "version: 1\noutput: drop\n", 1).replacen(
                "  runtime:\n    flows:",
                &flow.replacen("\n", &format!("\n{user}"), 1),
                1,
            )
        };
        for internet in ["9.9.9.9", "2620:fe::9"] {
            let own = (Host, Internet, "user:990", internet, 443);
            let other = (Host, Internet, "user:65534", internet, 443);
            apply(lab, &text("    user: 990\n"));
            town.only(&[(own, true)]);
            town.only(&[(other, false)]);
            apply(lab, &text(""));
            town.only(&[(other, true)]);
        }
        let zones = file(lab, &text(""));
        firewall(lab, &zones, &["--check"]).ends(0).warns("open to every process of this host");
    });
}

#[test]
fn tables_of_container_engines_go_on_and_open_no_wall() {
    once(CLAW, User::Root, |lab| {
        let town = Town::build();
        // as docker writes them, by iptables; as firewalld does
        for words in [
            "-t nat -N DOCKER",
            "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
            "-t nat -A POSTROUTING -s 10.77.0.0/16 -o wan0 -j MASQUERADE",
            "-t nat -A DOCKER ! -i veth0 -p tcp --dport 8080 -j DNAT --to-destination 10.77.0.5:80",
            "-N DOCKER-USER",
            "-A FORWARD -j DOCKER-USER",
            "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "-A FORWARD -i veth0 -o wan0 -j ACCEPT",
            "-A FORWARD -o veth0 -p tcp --dport 80 -j ACCEPT",
            "-P FORWARD DROP",
        ] {
            let done = Command::new("iptables-nft").args(words.split(' ')).status().expect("iptables");
            assert!(done.success(), "{words}");
        }
        nft(
            "table inet firewalld { chain filter_INPUT { type filter hook input priority 10; policy accept; ct state established,related accept; tcp dport 22 accept; iifname lo accept; udp dport 53 accept; reject; }; }",
        );
        let others = || {
            let all = rules();
            let own = all.find("table inet claw-firewall").unwrap_or(all.len());
            // counters move
            all.get(..own)
                .unwrap()
                .lines()
                .map(|line| line.split(" packets ").next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let before = others();
        let masked = (Workload, Internet, "masked:9.9.9.1", "9.9.9.9", 443);
        let published = (Internet, Workload, "port:80", "9.9.9.1", 8080);
        let over_the_wall = (Management, Workload, "port:80", "10.0.0.1", 8080);
        let theirs = (Workload, Internet, "tcp", "9.9.9.9", 8443);
        for flow in [masked, published, over_the_wall, theirs] {
            town.only(&[(flow, true)]);
        }
        apply(lab, ZONES);
        assert_eq!(others(), before);
        // what is declared works as before, by their rewriting; what is not has no way by theirs
        for (flow, passes) in [(masked, true), (published, false), (over_the_wall, false), (theirs, false)] {
            town.only(&[(flow, passes)]);
        }
        town.only(&[
            ((Management, Host, "tcp", "10.0.0.1", 22), true),
            ((Workload, Host, "udp", "10.77.0.1", 53), true),
        ]);
        // and what they refuse stays refused
        town.only(&[((Management, Host, "udp", "10.0.0.1", 5000), false)]);
        let zones = file(lab, ZONES);
        firewall(lab, &zones, &["--check"])
            .ends(0)
            .says("chain PREROUTING (prerouting, priority -100): may rewrite destinations")
            .says("chain POSTROUTING (postrouting, priority 100): may rewrite where packets come from")
            .says("chain FORWARD (forward, priority 0): drops what it does not accept")
            .says("table inet firewalld, chain filter_INPUT (input, priority 10): has rules that drop or reject")
            .says("others decide too");
    });
}

#[test]
fn a_pipe_is_no_zones_file_and_a_user_namespace_has_a_firewall_of_its_own() {
    once(CLAW, User::Root, |lab| {
        let pipe = lab.path("pipe").to_string_lossy().into_owned();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        firewall(lab, &pipe, &["--print"]).ends(2).warns("it is not a regular file");
        let zones = file(lab, ZONES);
        let words = format!("{CLAW} host firewall --zones {zones}");
        lab.bare(&format!(
            "unshare -Urn sh -c '{words} --apply --confirm-within 0 --no-keep && {words} --check'"
        ))
        .ends(0)
        .says("in force")
        .says("the kernel holds what is declared");
    });
}

#[test]
fn the_environment_alone_opens_nothing() {
    once(CLAW, User::Root, |lab| {
        let zones = file(lab, ZONES);
        let program = lab.program().to_string_lossy().into_owned();
        let words = [&program, "host", "firewall", "--zones", &zones, "--apply", "--confirm-within", "0"];
        lab.plain()
            .variable("SSH_CONNECTION", "192.0.2.7 51000 10.0.0.1 2222")
            .command(&words)
            .ends(0)
            .warns("which is no open connection here: it is not kept")
            .warns("no session of yours was found");
        assert!(!rules().contains("192.0.2.7"), "{}", rules());
    });
}

#[test]
fn persistence_is_written_and_not_enabled() {
    once(CLAW, User::Root, |lab| {
        let zones = file(lab, ZONES);
        let directory = lab.path("persist").to_string_lossy().into_owned();
        firewall(lab, &zones, &["--print", "--persist", &directory]).ends(0).warns("nothing is enabled");
        let read = |name: &str| fs::read_to_string(lab.path("persist").join(name)).unwrap();
        assert_eq!(read("claw-firewall.yaml"), ZONES);
        assert!(read("claw-firewall.nft").starts_with("table inet claw-firewall"));
        let unit = read("claw-firewall.service");
        let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        // the very words that the unit would run
        lab.bare(start).ends(0);
        firewall(lab, &zones, &["--check"]).ends(0);
    });
}
