//! Who reaches whom.

use std::net::IpAddr;

use crate::check::{Area, Check, Severity, Verdict};
use crate::checks::runtime::owned;
use crate::checks::{none, none_of, number, number_or, some};
use crate::facts::{Chain, Facts, Hook, Way};
use crate::read::Read;

const RULES: &str = "base chains of nf_tables (netlink), of every table that is not dormant";
const SAID: &str = "rules that let some of it in are not judged";

/// The checks of this area.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        id: "input-dropped",
        area: Area::Network,
        severity: Severity::High,
        title: "what reaches this host unasked is dropped",
        reads: RULES,
        meaning: "every service that starts is open to every network, workloads' included",
        mend: "claw host firewall --zones zones.yaml --apply --confirm-within 60 # zones.yaml (docs/firewall.md) names first what commands this host; then, from a new session: claw host firewall --confirm",
        reference: "nft(8); CIS Debian Linux 12 Benchmark",
        judge: |facts| dropped(facts, Hook::Input, IpVersion::Four),
    },
    Check {
        id: "input-dropped-v6",
        area: Area::Network,
        severity: Severity::High,
        title: "IPv6 is held as strictly as IPv4",
        reads: "base chains of nf_tables, /proc/net/if_inet6",
        meaning: "the second door of the same house stands open: what IPv4 refuses, IPv6 lets in",
        mend: "claw host firewall --zones zones.yaml --apply --confirm-within 60 # its rules hold both families alike; zones.yaml: docs/firewall.md; then, from a new session: claw host firewall --confirm",
        reference: "nft(8), ADDRESS FAMILIES; CIS Debian Linux 12 Benchmark",
        judge: parity,
    },
    Check {
        id: "forward-dropped",
        area: Area::Network,
        severity: Severity::High,
        title: "nothing passes through this host unless a rule says so",
        reads: "net.ipv4.ip_forward, net.ipv6.conf.all.forwarding, base chains of nf_tables",
        meaning: "workloads reach the network of management through the host; claw's sandboxes do not need forwarding",
        mend: "claw host firewall --zones zones.yaml --apply --confirm-within 60 # zones.yaml: docs/firewall.md; then, from a new session: claw host firewall --confirm",
        reference: "nft(8); CIS Debian Linux 12 Benchmark",
        judge: forwarded,
    },
    Check {
        id: "output-dropped",
        area: Area::Network,
        severity: Severity::Low,
        title: "the host itself reaches only what it needs",
        reads: "base chains of nf_tables (netlink), of every table that is not dormant; /proc/net/if_inet6",
        meaning: "whatever runs outside a sandbox has the whole internet to send secrets to",
        mend: "claw host firewall --zones zones.yaml --apply --confirm-within 60 # with output: drop, and flows out for what the host and claw's gate need; zones.yaml: docs/firewall.md; then, from a new session: claw host firewall --confirm",
        reference: "nft(8)",
        judge: sent,
    },
    Check {
        id: "reverse-path",
        area: Area::Network,
        severity: Severity::Medium,
        title: "packets with a foreign sender are dropped",
        reads: "net.ipv4.conf.*.rp_filter",
        meaning: "a workload sends as if it were the host or another workload",
        mend: "printf '%s\\n' net.ipv4.conf.all.rp_filter=1 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/networking/ip-sysctl.rst; CIS Debian Linux 12 Benchmark",
        judge: reverse_path,
    },
    Check {
        id: "loopback-routed",
        area: Area::Network,
        severity: Severity::High,
        title: "127.0.0.0/8 stays on this host",
        reads: "net.ipv4.conf.*.route_localnet",
        meaning: "other machines and workloads reach services that listen on loopback only",
        mend: "printf '%s\\n' net.ipv4.conf.all.route_localnet=0 net.ipv4.conf.default.route_localnet=0 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf # and for each that is named",
        reference: "kernel: Documentation/networking/ip-sysctl.rst",
        judge: |facts| each(facts, "ipv4", "route_localnet", |value| value == 0),
    },
    Check {
        id: "redirects-accepted",
        area: Area::Network,
        severity: Severity::Medium,
        title: "no neighbour changes this host's routes",
        reads: "net.ipv4.conf.*.accept_redirects, net.ipv6.conf.*.accept_redirects",
        meaning: "a machine or workload on the same network sends the gate's traffic through itself",
        mend: "printf '%s\\n' net.ipv4.conf.all.accept_redirects=0 net.ipv6.conf.all.accept_redirects=0 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf # and for each that is named",
        reference: "CIS Debian Linux 12 Benchmark",
        // a host that forwards needs both `all` and the interface (include/linux/inetdevice.h)
        judge: |facts| {
            let forwards = facts.line("/proc/sys/net/ipv4/ip_forward") == Read::Known("1");
            both(facts, "accept_redirects", forwards && off(facts, "ipv4", "accept_redirects"), false)
        },
    },
    Check {
        id: "redirects-sent",
        area: Area::Network,
        severity: Severity::Low,
        title: "this host tells nobody another way",
        reads: "net.ipv4.conf.*.send_redirects",
        meaning: "a workload learns the routers of the networks behind the host",
        mend: "printf '%s\\n' net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf # and for each that is named",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| each(facts, "ipv4", "send_redirects", |value| value == 0),
    },
    Check {
        id: "source-routes",
        area: Area::Network,
        severity: Severity::Medium,
        title: "no sender chooses the way of its packets",
        reads: "net.ipv4.conf.*.accept_source_route, net.ipv6.conf.*.accept_source_route",
        meaning: "packets go around the firewall that stands on the usual way",
        mend: "printf '%s\\n' net.ipv4.conf.all.accept_source_route=0 net.ipv6.conf.all.accept_source_route=0 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf # and for each that is named",
        reference: "CIS Debian Linux 12 Benchmark",
        // an interface and `all` must both allow it (include/linux/inetdevice.h, net/ipv6/exthdrs.c)
        judge: |facts| {
            both(
                facts,
                "accept_source_route",
                off(facts, "ipv4", "accept_source_route"),
                off(facts, "ipv6", "accept_source_route"),
            )
        },
    },
    Check {
        id: "syn-cookies",
        area: Area::Network,
        severity: Severity::Low,
        title: "a flood of opened connections does not stop services",
        reads: "net.ipv4.tcp_syncookies",
        meaning: "one machine makes the host's services deaf, its log-in among them",
        mend: "printf '%s\\n' net.ipv4.tcp_syncookies=1 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "CIS Debian Linux 12 Benchmark; tcp(7)",
        judge: |facts| {
            number(facts, "/proc/sys/net/ipv4/tcp_syncookies", |value| value >= 1, "it may be built without")
        },
    },
    Check {
        id: "broadcast-echo",
        area: Area::Network,
        severity: Severity::Low,
        title: "pings to everybody are not answered",
        reads: "net.ipv4.icmp_echo_ignore_broadcasts",
        meaning: "the host helps to flood others",
        mend: "printf '%s\\n' net.ipv4.icmp_echo_ignore_broadcasts=1 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| {
            number(facts, "/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts", |value| value == 1, "unusual")
        },
    },
    Check {
        id: "martians",
        area: Area::Network,
        severity: Severity::Low,
        title: "packets from impossible senders are written down",
        reads: "net.ipv4.conf.all.log_martians",
        meaning: "a workload that sends as somebody else leaves no trace",
        mend: "printf '%s\\n' net.ipv4.conf.all.log_martians=1 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| {
            number(
                facts,
                "/proc/sys/net/ipv4/conf/all/log_martians",
                |value| value == 1,
                "it may have no IPv4",
            )
        },
    },
    Check {
        id: "low-ports",
        area: Area::Network,
        severity: Severity::Medium,
        title: "ports of system services are the system's",
        reads: "net.ipv4.ip_unprivileged_port_start",
        meaning: "any program answers on 22, 53 or 443 in the place of the service that others trust",
        mend: "printf '%s\\n' net.ipv4.ip_unprivileged_port_start=1024 >> /etc/sysctl.d/60-claw.conf && sysctl -p /etc/sysctl.d/60-claw.conf",
        reference: "kernel: Documentation/networking/ip-sysctl.rst",
        judge: |facts| {
            number(
                facts,
                "/proc/sys/net/ipv4/ip_unprivileged_port_start",
                |value| value >= 1024,
                "older than 4.11",
            )
        },
    },
    Check {
        id: "metadata-route",
        area: Area::Network,
        severity: Severity::High,
        title: "no way leads to a cloud's metadata service",
        reads: "the kernel's route to 169.254.169.254 and fd00:ec2::254, firmware's vendor; nothing is sent",
        meaning: "any program outside a sandbox asks for the credentials of this machine; claw's gate refuses these addresses",
        mend: "ip route add prohibit 169.254.169.254/32 && ip -6 route add prohibit fd00:ec2::254/128 # until the next start; for good, in what sets up your interfaces",
        reference: "RFC 3927; your provider's pages on its metadata service",
        judge: metadata,
    },
    Check {
        id: "promiscuous",
        area: Area::Network,
        severity: Severity::Low,
        title: "no interface listens to what is not for it",
        reads: "flags of interfaces (rtnetlink)",
        meaning: "somebody records the traffic of others, the gate's included",
        mend: "ip link set DEVICE promisc off # for each that is named, until its next start",
        reference: "netdevice(7), IFF_PROMISC",
        judge: |facts| match &facts.links {
            Read::Known(links) => {
                let bad: Vec<String> =
                    links.iter().filter(|link| link.promiscuous).map(|link| link.name.clone()).collect();
                none(&bad, format!("{} interfaces", links.len()))
            }
            Read::Absent => Verdict::Unknown("the interfaces were not read".to_owned()),
            Read::Unknown(why) => Verdict::Unknown(why.clone()),
        },
    },
    Check {
        id: "raw-sockets",
        area: Area::Network,
        severity: Severity::Low,
        title: "no program takes packets past every port",
        reads: "/proc/net/raw, /proc/net/raw6, /proc/net/packet",
        meaning: "such a program sees packets before the firewall does, and is in no list of ports; a DHCP client is one, and so is a program that records traffic",
        mend: "ss -wlp; ss -0lp # then stop each that is named, or accept it in a baseline",
        reference: "raw(7); packet(7)",
        judge: raw_sockets,
    },
    Check {
        id: "rare-protocols",
        area: Area::Network,
        severity: Severity::Low,
        title: "protocols that nobody uses are not loaded on demand",
        reads: "/etc/modprobe.d/*.conf, /proc/modules",
        meaning: "a program outside a sandbox loads old kernel code by asking for a socket; inside, claw refuses these sockets",
        mend: "printf 'install %s /bin/false\\n' dccp sctp rds tipc > /etc/modprobe.d/rare-protocols.conf",
        reference: "CIS Debian Linux 12 Benchmark; modprobe.d(5)",
        judge: rare_protocols,
    },
    Check {
        id: "abstract-sockets",
        area: Area::Network,
        severity: Severity::Low,
        title: "no service waits where files' rights do not reach",
        reads: "listening UNIX sockets in the abstract namespace (sock_diag), those left out that claw made for the user in their name",
        meaning: "any program of this network namespace may connect, containers that share the host's network too; claw's sandboxes cannot",
        mend: "ss -xlp # then start each that is named with a socket in a directory",
        reference: "unix(7), Abstract sockets",
        judge: |facts| match &facts.abstracts {
            Read::Known(all) => {
                let foreign = |(name, user): &&(String, Option<u32>)| !owned(name, *user);
                let bad: Vec<String> =
                    all.iter().filter(foreign).map(|(name, _)| format!("@{name}")).collect();
                none(&bad, "no such socket")
            }
            Read::Absent => Verdict::Unknown("the sockets were not read".to_owned()),
            Read::Unknown(why) => Verdict::Unknown(why.clone()),
        },
    },
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum IpVersion {
    Four,
    Six,
}

impl Chain {
    fn sees(&self, version: IpVersion) -> bool {
        match version {
            IpVersion::Four => self.v4,
            IpVersion::Six => self.v6,
        }
    }
}

fn chains(facts: &Facts) -> Result<&[Chain], Verdict> {
    match &facts.chains {
        Read::Known(chains) => Ok(chains),
        Read::Absent => Err(Verdict::Unknown("the rules were not read".to_owned())),
        Read::Unknown(why) => Err(Verdict::Unknown(why.clone())),
    }
}

/// Some chain at the hook drops what no rule lets through: one that does is enough, since a drop is final.
fn dropping(chains: &[Chain], hook: Hook, version: IpVersion) -> Option<&Chain> {
    chains.iter().find(|chain| chain.hook == hook && chain.drops && chain.sees(version))
}

fn dropped(facts: &Facts, hook: Hook, version: IpVersion) -> Verdict {
    let chains = match chains(facts) {
        Ok(chains) => chains,
        Err(verdict) => return verdict,
    };
    if let Some(chain) = dropping(chains, hook, version) {
        return Verdict::Pass(format!("table {}, chain {}; {SAID}", chain.table, chain.name));
    }
    legacy(facts).unwrap_or_else(|| {
        let there = chains.iter().filter(|chain| chain.hook == hook).count();
        Verdict::fail(format!("of {there} chains at this hook none drops what no rule lets through"))
    })
}

/// What this host sends, by either family: one that nothing holds is the way out.
fn sent(facts: &Facts) -> Verdict {
    let four = dropped(facts, Hook::Output, IpVersion::Four);
    if !matches!(four, Verdict::Pass(_)) {
        return four;
    }
    match second_family(facts) {
        Ok(0) => four,
        Ok(_) => match dropped(facts, Hook::Output, IpVersion::Six) {
            Verdict::Fail { seen, mend } => Verdict::Fail { seen: format!("for IPv6, {seen}"), mend },
            verdict => verdict,
        },
        Err(verdict @ Verdict::Unknown(_)) => verdict,
        Err(_) => four,
    }
}

/// How many IPv6 addresses there are besides loopback's; if there can be none, or that is not known, what to say.
fn second_family(facts: &Facts) -> Result<usize, Verdict> {
    match facts.text("/proc/net/if_inet6") {
        Read::Known(text) => Ok(text.lines().filter(|line| !line.ends_with(" lo")).count()),
        Read::Absent => Err(Verdict::Inapplicable("this kernel has no IPv6".to_owned())),
        Read::Unknown(why) => Err(Verdict::Unknown(why)),
    }
}

/// Rules of iptables-legacy are in no nf_tables chain, and cannot be read without its tool.
fn legacy(facts: &Facts) -> Option<Verdict> {
    let tables: Vec<String> = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"]
        .iter()
        .filter_map(|path| {
            facts
                .text(path)
                .known()
                .map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        })
        .flatten()
        .collect();
    (!tables.is_empty()).then(|| {
        Verdict::Unknown(format!(
            "iptables-legacy has tables ({}), which nf_tables does not show",
            some(&tables)
        ))
    })
}

fn parity(facts: &Facts) -> Verdict {
    let addresses = match second_family(facts) {
        Ok(addresses) => addresses,
        Err(verdict) => return verdict,
    };
    let chains = match chains(facts) {
        Ok(chains) => chains,
        Err(verdict) => return verdict,
    };
    if let Some(chain) = dropping(chains, Hook::Input, IpVersion::Six) {
        return Verdict::Pass(format!("table {}, chain {}; {SAID}", chain.table, chain.name));
    }
    if addresses == 0 {
        return Verdict::Inapplicable("no interface but loopback has an IPv6 address".to_owned());
    }
    legacy(facts).unwrap_or_else(|| {
        Verdict::fail(format!("{addresses} IPv6 addresses, and no chain drops what no rule lets in"))
    })
}

fn forwarded(facts: &Facts) -> Verdict {
    if facts.line("/proc/sys/net/ipv4/ip_forward") == Read::Absent {
        return Verdict::Unknown("whether it forwards was not told".to_owned());
    }
    // a kernel without IPv6 forwards none
    let on = |path: &str| match facts.line(path) {
        Read::Known(text) => Ok(text != "0"),
        Read::Absent => Ok(false),
        Read::Unknown(why) => Err(Verdict::Unknown(why)),
    };
    let (four, six) =
        match (on("/proc/sys/net/ipv4/ip_forward"), on("/proc/sys/net/ipv6/conf/all/forwarding")) {
            (Ok(four), Ok(six)) => (four, six),
            (Err(verdict), _) | (_, Err(verdict)) => return verdict,
        };
    if !four && !six {
        return Verdict::Pass("forwarding is off".to_owned());
    }
    let chains = match chains(facts) {
        Ok(chains) => chains,
        Err(verdict) => return verdict,
    };
    let open: Vec<&str> = [(four, IpVersion::Four, "IPv4"), (six, IpVersion::Six, "IPv6")]
        .into_iter()
        .filter(|(on, version, _)| *on && dropping(chains, Hook::Forward, *version).is_none())
        .map(|(_, _, name)| name)
        .collect();
    if open.is_empty() {
        return Verdict::Pass(format!(
            "forwarding is on, and a chain drops what no rule lets through; {SAID}"
        ));
    }
    legacy(facts).unwrap_or_else(|| {
        Verdict::fail(format!(
            "{} is forwarded, and no chain drops what no rule lets through",
            open.join(" and ")
        ))
    })
}

/// Judges a setting of every interface.
fn each(facts: &Facts, family: &str, key: &str, good: fn(i64) -> bool) -> Verdict {
    let place = format!("/proc/sys/net/{family}/conf");
    if let Some(why) = facts.unlisted(&place) {
        return Verdict::Unknown(why.to_owned());
    }
    let (mut found, mut missed, mut seen) = (Vec::new(), Vec::new(), 0u32);
    for (path, text) in facts.texts_below(&place).filter(|(path, _)| path.ends_with(&format!("/{key}"))) {
        let name = crate::checks::key(path);
        match text {
            Read::Known(text) if text.trim().parse().is_ok_and(good) => seen = seen.saturating_add(1),
            Read::Known(text) => found.push(format!("{name} = {}", text.trim())),
            Read::Unknown(why) => missed.push(format!("{name}: {why}")),
            Read::Absent => {}
        }
    }
    if found.is_empty() && missed.is_empty() && seen == 0 {
        return Verdict::Inapplicable(format!("this kernel has no {key} for {family}"));
    }
    none_of(&found, &missed, format!("{seen} interfaces, `all` and `default` among them"))
}

/// Whether `all` has it off.
fn off(facts: &Facts, family: &str, key: &str) -> bool {
    let all = facts.line(&format!("/proc/sys/net/{family}/conf/all/{key}"));
    all.known().and_then(|text| text.parse::<i64>().ok()).is_some_and(|value| value <= 0)
}

/// Both families; a family in which `all` alone is enough is as it should be.
fn both(facts: &Facts, key: &str, four: bool, six: bool) -> Verdict {
    let judge = |family: &str, enough: bool, good: fn(i64) -> bool| match enough {
        true => Verdict::Pass(format!("net.{family}.conf.all.{key} is off, and that is enough")),
        false => each(facts, family, key, good),
    };
    match (judge("ipv4", four, |value| value == 0), judge("ipv6", six, |value| value <= 0)) {
        (Verdict::Fail { seen: four, .. }, Verdict::Fail { seen: six, .. }) => {
            Verdict::fail(format!("{four}, {six}"))
        }
        (Verdict::Fail { seen, .. }, _) | (_, Verdict::Fail { seen, .. }) => Verdict::fail(seen),
        (Verdict::Unknown(why), _) | (_, Verdict::Unknown(why)) => Verdict::Unknown(why),
        (Verdict::Inapplicable(_), other) | (other, _) => other,
    }
}

/// The larger of `all` and the interface's own counts (kernel: ip-sysctl.rst).
fn reverse_path(facts: &Facts) -> Verdict {
    const ALL: &str = "/proc/sys/net/ipv4/conf/all/rp_filter";
    match number_or(
        facts,
        ALL,
        |value| value >= 1,
        Verdict::Inapplicable("this kernel has no IPv4".to_owned()),
    ) {
        Verdict::Fail { .. } => {}
        verdict => return verdict,
    }
    const PLACE: &str = "/proc/sys/net/ipv4/conf";
    let bad: Vec<String> = facts
        .texts_below(PLACE)
        .filter(|(path, _)| {
            path.ends_with("/rp_filter")
                && !path.ends_with("/all/rp_filter")
                && !path.ends_with("/lo/rp_filter")
        })
        .filter(|(_, text)| text.known().is_some_and(|text| text.trim() == "0"))
        .map(|(path, _)| format!("{} = 0", crate::checks::key(path)))
        .collect();
    let missed: Vec<String> =
        facts.unlisted(PLACE).map(|why| format!("{PLACE}: {why}")).into_iter().collect();
    none_of(&bad, &missed, "on for every interface")
}

fn metadata(facts: &Facts) -> Verdict {
    let vendor = ["sys_vendor", "product_name"]
        .iter()
        .filter_map(|name| {
            facts.line(&format!("/sys/class/dmi/id/{name}")).known().map(|text| (*text).to_owned())
        })
        .collect::<Vec<_>>()
        .join(" ");
    const CLOUDS: &[&str] = &[
        "Amazon EC2",
        "Google",
        "Microsoft Corporation",
        "OpenStack",
        "DigitalOcean",
        "Hetzner",
        "Alibaba Cloud",
        "Scaleway",
        "Linode",
        "Akamai",
        "Vultr",
        "Exoscale",
        "OracleCloud",
        "Huawei",
        "UpCloud",
        "Nutanix",
    ];
    let cloud = CLOUDS.iter().find(|name| vendor.contains(*name));
    let (mut leads, mut missed) = (Vec::new(), Vec::new());
    for (address, way) in &facts.ways {
        match way {
            Read::Known(Way::Out(link, gateway)) => leads.push(through(address, link, gateway.as_ref())),
            Read::Known(Way::Here) => leads.push(format!("{address} is an address of this host")),
            Read::Known(Way::Nowhere) | Read::Absent => {}
            Read::Unknown(why) => missed.push(format!("{address}: {why}")),
        }
    }
    match (leads.is_empty(), cloud) {
        (true, _) if facts.ways.is_empty() => Verdict::Unknown("the routes were not read".to_owned()),
        (true, _) => none_of(&[], &missed, "no route leads there"),
        (false, Some(cloud)) => Verdict::fail(format!("{}; the machine is {cloud}'s", some(&leads))),
        (false, None) => Verdict::Unknown(format!(
            "{}; the firmware names no known cloud, and whether something answers there is not tried",
            some(&leads)
        )),
    }
}

fn through(address: &IpAddr, link: &str, gateway: Option<&IpAddr>) -> String {
    match gateway {
        Some(gateway) => format!("{address} by {gateway} on {link}"),
        None => format!("{address} on {link}"),
    }
}

/// `sl local rem st tx:rx tr:when retrnsmt uid …` with the protocol as the local port; `sk RefCnt Type Proto Iface R Rmem User
/// Inode` (proc_pid_net(5))
fn raw_sockets(facts: &Facts) -> Verdict {
    let (mut found, mut missed, mut read) = (Vec::new(), Vec::new(), 0u32);
    for name in ["raw", "raw6", "packet"] {
        let text = match facts.text(&format!("/proc/net/{name}")) {
            Read::Known(text) => text,
            Read::Absent => continue,
            Read::Unknown(why) => {
                missed.push(format!("/proc/net/{name}: {why}"));
                continue;
            }
        };
        read = read.saturating_add(1);
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let user = fields.get(7).copied().unwrap_or("unknown");
            let protocol = match name {
                "packet" => fields.get(3).and_then(|text| u32::from_str_radix(text, 16).ok()),
                _ => fields
                    .get(1)
                    .and_then(|text| text.rsplit_once(':'))
                    .and_then(|(_, text)| u32::from_str_radix(text, 16).ok()),
            };
            let protocol = protocol.map_or_else(|| "unknown".to_owned(), |number| number.to_string());
            found.push(format!("{name}: protocol {protocol}, user {user}"));
        }
    }
    if read == 0 && missed.is_empty() {
        return Verdict::Unknown("there is no /proc/net to read".to_owned());
    }
    found.sort();
    found.dedup();
    none_of(&found, &missed, "no such socket")
}

fn rare_protocols(facts: &Facts) -> Verdict {
    const RARE: &[&str] = &["dccp", "sctp", "rds", "tipc"];
    match facts.text("/proc/modules") {
        Read::Absent => return Verdict::Inapplicable("this kernel loads no modules".to_owned()),
        Read::Unknown(why) if facts.live => return Verdict::Unknown(why),
        _ => {}
    }
    if let Some(why) = facts.unlisted("/etc/modprobe.d") {
        return Verdict::Unknown(why.to_owned());
    }
    if !facts.live
        && facts.text("/etc/passwd") == Read::Absent
        && facts.texts_below("/etc/modprobe.d").next().is_none()
    {
        return Verdict::Unknown("there is no system to read".to_owned());
    }
    let refused = |module: &&&str| {
        facts.texts_below("/etc/modprobe.d").filter_map(|(_, text)| text.known()).flat_map(|text| text.lines()).any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            matches!(words.as_slice(), ["install", name, "/bin/false" | "/bin/true" | "/usr/bin/false" | "/usr/bin/true", ..] if *name == **module)
        })
    };
    let open: Vec<String> =
        RARE.iter().filter(|module| !refused(module)).map(|module| (*module).to_owned()).collect();
    none(&open, "none of dccp, sctp, rds, tipc is loaded on demand")
}
