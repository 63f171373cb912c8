//! How people and other machines command the host, besides SSH.

use crate::accounts::{accounts, groups};
use crate::check::{Area, Check, Severity, Verdict};
use crate::checks::{nodes, none, none_of};
use crate::facts::{Facts, Kind, Link, Listener, Transport};
use crate::read::Read;

const SOCKETS: &str = "listening sockets (sock_diag), addresses and kinds of interfaces (rtnetlink)";

/// The checks of this part.
pub(crate) const CHECKS: &[Check] = &[
    Check {
        id: "management-controller",
        area: Area::Management,
        severity: Severity::Medium,
        title: "the host does not drive its own management controller",
        reads: "/dev/ipmi0, /dev/ipmi/0, /dev/ipmidev/0, /sys/class/ipmi",
        meaning: "who became root here adds a user to the controller, and stays after the host is installed anew",
        mend: "printf 'install ipmi_si /bin/false\\ninstall ipmi_devintf /bin/false\\n' > /etc/modprobe.d/no-ipmi.conf && modprobe -r ipmi_devintf ipmi_si",
        reference: "kernel: Documentation/driver-api/ipmi.rst",
        judge: controller,
    },
    Check {
        id: "docker-socket",
        area: Area::Management,
        severity: Severity::Critical,
        title: "only root commands Docker",
        reads: "/run/docker.sock, /run/user/*/docker.sock, /etc/group",
        meaning: "whoever may connect starts a container that is root of the host; a policy that shows this socket to an agent gives the host away",
        mend: "gpasswd -M '' docker && chmod 600 /run/docker.sock # the mode until its next start; for good: systemctl edit docker.socket, SocketMode=0600",
        reference: "Docker: Docker daemon attack surface",
        judge: |facts| socket(facts, &["/run/docker.sock"], "docker.sock"),
    },
    Check {
        id: "podman-socket",
        area: Area::Management,
        severity: Severity::Critical,
        title: "only root commands Podman",
        reads: "/run/podman/podman.sock, /run/user/*/podman/podman.sock, /etc/group",
        meaning: "whoever may connect runs programs outside every sandbox, as the socket's owner",
        mend: "systemctl disable --now podman.socket",
        reference: "podman-system-service(1)",
        judge: |facts| socket(facts, &["/run/podman/podman.sock"], "podman.sock"),
    },
    Check {
        id: "containerd-socket",
        area: Area::Management,
        severity: Severity::Critical,
        title: "only root commands containerd and CRI-O",
        reads: "/run/containerd/containerd.sock, /run/crio/crio.sock, /etc/group",
        meaning: "whoever may connect starts a container that is root of the host",
        mend: "chmod 600 /run/containerd/containerd.sock /run/crio/crio.sock # until their next start; for good, the group in their own settings",
        reference: "containerd: Documentation, Hardening",
        judge: |facts| {
            socket(facts, &["/run/containerd/containerd.sock", "/run/crio/crio.sock"], "containerd.sock")
        },
    },
    Check {
        id: "machine-socket",
        area: Area::Management,
        severity: Severity::Critical,
        title: "only root commands libvirt, LXD and Incus",
        reads: "/run/libvirt/*-sock, /var/lib/lxd/unix.socket, /var/lib/incus/unix.socket, /etc/group",
        meaning: "whoever may connect starts a machine that has the host's disks",
        mend: "systemctl disable --now libvirtd.socket virtqemud.socket && gpasswd -M '' libvirt",
        reference: "libvirt: Connection authentication",
        judge: |facts| {
            let places = [
                "/run/libvirt/libvirt-sock",
                "/run/libvirt/virtqemud-sock",
                "/run/lxd.socket",
                "/var/lib/lxd/unix.socket",
                "/var/lib/incus/unix.socket",
                "/var/snap/lxd/common/lxd/unix.socket",
            ];
            socket(facts, &places, "libvirt-sock")
        },
    },
    Check {
        id: "container-ports",
        area: Area::Management,
        severity: Severity::Critical,
        title: "no container engine listens by TCP",
        reads: "listening sockets on 2375, 2376, 2377, 4243; `hosts` in /etc/docker/daemon.json",
        meaning: "every local process, and on other addresses every machine, is root of the host; 127.0.0.1 is no wall against a local agent's tools",
        mend: "editor /etc/docker/daemon.json && systemctl restart docker # take the tcp:// entry out of hosts",
        reference: "Docker: Protect the Docker daemon socket",
        judge: container_ports,
    },
    Check {
        id: "kubelet",
        area: Area::Management,
        severity: Severity::High,
        title: "no kubelet answers other machines",
        reads: "listening sockets on 10250, 10255",
        meaning: "a pod that reaches it, or an agent by a permitted network, may run commands in every container of this host",
        mend: "claw host firewall --zones zones.yaml --apply --confirm-within 60 # with a flow in for 10250 from your control plane's network only: docs/firewall.md",
        reference: "Kubernetes: Kubelet authentication/authorization; CIS Kubernetes Benchmark",
        judge: |facts| ports(facts, Zone::Others, &[10250, 10255]),
    },
    Check {
        id: "web-consoles",
        area: Area::Management,
        severity: Severity::High,
        title: "no web console or remote management answers other machines",
        reads: "listening sockets on 5985, 5986 (WinRM), 9090 (Cockpit), 10000 (Webmin), 8006 (Proxmox), 9443 (Portainer), 5900, 5901 (VNC), 3389 (RDP)",
        meaning: "a log-in page for root, with the host's whole command behind it",
        mend: "systemctl disable --now cockpit.socket webmin xrdp # those that are named; or bind them to loopback",
        reference: "cockpit.conf(5); CIS Debian Linux 12 Benchmark",
        judge: |facts| ports(facts, Zone::Others, &[5985, 5986, 9090, 10000, 8006, 9443, 5900, 5901, 3389]),
    },
    Check {
        id: "clear-text-logins",
        area: Area::Management,
        severity: Severity::Critical,
        title: "nobody logs in without encryption",
        reads: "listening sockets on 21, 23, 512, 513, 514",
        meaning: "passwords are read on the way, and replayed",
        mend: "apt-get purge telnetd rsh-server ftpd inetutils-telnetd",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| tcp_ports(facts, Zone::Others, &[21, 23, 512, 513, 514]),
    },
    Check {
        id: "listeners",
        area: Area::Management,
        severity: Severity::Medium,
        title: "nothing but SSH waits for other machines",
        reads: "listening sockets (sock_diag), addresses and kinds of interfaces (rtnetlink), who holds them (/proc/PID/fd, exe): port 22 of TCP counts as SSH's if root's sshd holds it",
        meaning: "each is a way to the host that is not the agent's gate",
        mend: "ss -tulpn # then bind each that is named to 127.0.0.1, or stop it",
        reference: "CIS Debian Linux 12 Benchmark; sock_diag(7)",
        judge: |facts| listening(facts, Zone::Others, not_ssh),
    },
    Check {
        id: "listeners-vsock",
        area: Area::Management,
        severity: Severity::Medium,
        title: "nothing waits for the machine around this one, or for machines in it",
        reads: "listening vsock sockets (sock_diag)",
        meaning: "no address, no firewall and no network namespace holds this way: a virtual machine on this host, or the host of this one, talks to a service",
        mend: "ss --vsock -lp # then stop each that is named",
        reference: "vsock(7)",
        judge: |facts| match &facts.vsocks {
            Read::Known(all) => {
                let context = |number: u32| match number {
                    u32::MAX => "any context".to_owned(),
                    number => format!("context {number}"),
                };
                let found: Vec<String> =
                    all.iter().map(|(number, port)| format!("port {port} of {}", context(*number))).collect();
                none(&found, "no such socket waits")
            }
            Read::Absent => {
                Verdict::Inapplicable("this kernel has no vsock, or has not loaded it".to_owned())
            }
            Read::Unknown(why) => Verdict::Unknown(why.clone()),
        },
    },
    Check {
        id: "listeners-workloads",
        area: Area::Management,
        severity: Severity::High,
        title: "no socket of the host can be reached from workloads' networks",
        reads: SOCKETS,
        meaning: "a container or machine on a bridge of this host talks to the host's own services; claw's sandboxes have no interface and do not",
        mend: "ss -tulpn # then bind each that is named to 127.0.0.1, or drop it by nft on the bridge",
        reference: "docs/host-audit.md",
        judge: |facts| match &facts.links {
            Read::Known(links) if !links.iter().any(Link::carries_workloads) => {
                Verdict::Inapplicable("this host has no bridge, veth or tap of workloads".to_owned())
            }
            _ => listening(facts, Zone::Workloads, |_| Read::Known(true)),
        },
    },
    Check {
        id: "data-stores",
        area: Area::Management,
        severity: Severity::High,
        title: "no data store answers other machines",
        reads: "listening sockets on 1433, 2379, 3306, 5432, 5984, 6379, 8086, 9042, 9200, 11211, 27017",
        meaning: "many ask for no password, and what they hold is what agents are made to leak",
        mend: "ss -tlpn # then bind each that is named to 127.0.0.1",
        reference: "IANA Service Name and Transport Protocol Port Number Registry",
        judge: |facts| {
            ports(facts, Zone::Others, &[1433, 2379, 3306, 5432, 5984, 6379, 8086, 9042, 9200, 11211, 27017])
        },
    },
    Check {
        id: "model-servers",
        area: Area::Management,
        severity: Severity::High,
        title: "no model server or notebook answers other machines",
        reads: "listening sockets on 1234 (LM Studio), 6274, 6277 (MCP inspector), 8265, 10001 (Ray), 8888 (Jupyter), 11434 (Ollama)",
        meaning: "these run code or models for whoever asks, without a log-in unless one was set",
        mend: "ss -tlpn # then bind each that is named to 127.0.0.1",
        reference: "Ollama: FAQ; Jupyter Server: Security; Ray: Security",
        judge: |facts| ports(facts, Zone::Others, &[1234, 6274, 6277, 8265, 10001, 8888, 11434]),
    },
    Check {
        id: "debug-ports",
        area: Area::Management,
        severity: Severity::High,
        title: "no debugger waits, not even on loopback",
        reads: "listening sockets on 2345, 4000 (Delve), 5005 (Java), 5678 (debugpy), 9222 (browsers), 9229 (Node.js)",
        meaning: "whatever connects runs code in the program that is debugged; a browser with the user's sessions among them",
        mend: "ss -tlpn # then end each that is named",
        reference: "Node.js: Debugging, Security implications; Chrome DevTools Protocol",
        judge: |facts| tcp_ports(facts, Zone::Anywhere, &[2345, 4000, 5005, 5678, 9222, 9229]),
    },
    Check {
        id: "file-shares",
        area: Area::Management,
        severity: Severity::Medium,
        title: "no files are shared with other machines",
        reads: "listening sockets on 111, 139, 445, 873, 2049",
        meaning: "another machine changes files under a running agent, past the record of who wrote what",
        mend: "systemctl disable --now nfs-server rpcbind.socket rpcbind smbd rsync # those that are named",
        reference: "CIS Debian Linux 12 Benchmark",
        judge: |facts| ports(facts, Zone::Others, &[111, 139, 445, 873, 2049]),
    },
    Check {
        id: "exposed-resolver",
        area: Area::Network,
        severity: Severity::Medium,
        title: "no resolver of this host answers other machines",
        reads: "listening sockets on 53, 853, 5353, 5355",
        meaning: "workloads send names, and data in names, through the host; local discovery answers to anybody",
        mend: "ss -ulpn # then bind it to 127.0.0.1; systemctl disable --now avahi-daemon; resolvectl llmnr eth0 no",
        reference: "resolved.conf(5); RFC 6762; RFC 4795",
        judge: |facts| ports(facts, Zone::Others, &[53, 853, 5353, 5355]),
    },
];

/// From where a socket can be reached, as far as addresses tell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zone {
    /// From this host too.
    Anywhere,
    /// From other machines or workloads.
    Others,
    /// From workloads' networks.
    Workloads,
}

impl Link {
    /// Whether it carries containers or machines of this host.
    pub(crate) fn carries_workloads(&self) -> bool {
        const KINDS: &[&str] = &["bridge", "veth", "openvswitch", "ipvlan", "macvlan"];
        const NAMES: &[&str] = &[
            "docker", "br-", "cni", "podman", "virbr", "vnet", "tap", "lxc", "lxdbr", "incusbr", "cali",
            "flannel",
        ];
        self.kind.as_deref().is_some_and(|kind| KINDS.contains(&kind))
            || NAMES.iter().any(|name| self.name.starts_with(name))
    }
}

fn within(facts: &Facts, zone: Zone, listener: &Listener) -> Read<bool> {
    let address = listener.local.ip();
    match zone {
        Zone::Anywhere => Read::Known(true),
        Zone::Others => Read::Known(!address.to_canonical().is_loopback()),
        Zone::Workloads if address.to_canonical().is_loopback() => Read::Known(false),
        Zone::Workloads if address.is_unspecified() => Read::Known(true),
        // an address of another interface is reached through the host from a bridge too
        Zone::Workloads => match &facts.links {
            Read::Known(_) => Read::Known(true),
            Read::Absent => Read::Unknown("the interfaces were not read".to_owned()),
            Read::Unknown(why) => Read::Unknown(why.clone()),
        },
    }
}

fn listening(facts: &Facts, zone: Zone, wanted: impl Fn(&Listener) -> Read<bool>) -> Verdict {
    let all = match &facts.listeners {
        Read::Known(all) => all,
        Read::Absent => return Verdict::Unknown("the sockets were not read".to_owned()),
        Read::Unknown(why) => return Verdict::Unknown(why.clone()),
    };
    let (mut found, mut missed) = (Vec::new(), Vec::new());
    for one in all {
        match (within(facts, zone, one), wanted(one)) {
            (Read::Known(false), _) | (_, Read::Known(false)) => {}
            (Read::Known(true), Read::Known(true)) => found.push(show(one)),
            (Read::Unknown(why), _) | (_, Read::Unknown(why)) => missed.push(why),
            (Read::Absent, _) | (_, Read::Absent) => missed.push("it was not read".to_owned()),
        }
    }
    found.sort();
    found.dedup();
    missed.dedup();
    let verdict = none_of(&found, &missed, format!("{} sockets wait, none of these", all.len()));
    match (verdict, zone) {
        (Verdict::Fail { seen, mend }, Zone::Others | Zone::Workloads) => {
            Verdict::Fail { seen: format!("{seen}{}", filtered(facts)), mend }
        }
        (verdict, _) => verdict,
    }
}

/// Whether a firewall may stand before them.
fn filtered(facts: &Facts) -> &'static str {
    let drops = |chain: &&crate::facts::Chain| chain.hook == crate::facts::Hook::Input && chain.drops;
    match facts.chains.known() {
        Some(chains) if chains.iter().any(|chain| drops(&chain)) => {
            " (the firewall drops what no rule lets in; which of these it lets in is not judged)"
        }
        Some(_) => " (no firewall drops what is not asked for)",
        None => "",
    }
}

fn show(one: &Listener) -> String {
    let transport = match one.transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    match &one.process {
        Some(process) => format!("{transport} {} ({process})", one.local),
        None => format!("{transport} {} (user {})", one.local, one.user),
    }
}

/// Port 22 of TCP is SSH's where the system's own server holds it, and nobody else's.
fn not_ssh(one: &Listener) -> Read<bool> {
    match (one.transport, one.local.port(), &one.ssh) {
        (Transport::Tcp, 22, Read::Known(true)) => Read::Known(false),
        (Transport::Tcp, 22, Read::Unknown(why)) => Read::Unknown(format!("{}: {why}", show(one))),
        _ => Read::Known(true),
    }
}

fn ports(facts: &Facts, zone: Zone, ports: &[u16]) -> Verdict {
    listening(facts, zone, |one| Read::Known(ports.contains(&one.local.port())))
}

/// Where the same number means something else to UDP.
fn tcp_ports(facts: &Facts, zone: Zone, ports: &[u16]) -> Verdict {
    listening(facts, zone, |one| {
        Read::Known(one.transport == Transport::Tcp && ports.contains(&one.local.port()))
    })
}

fn container_ports(facts: &Facts) -> Verdict {
    let verdict = tcp_ports(facts, Zone::Anywhere, &[2375, 2376, 2377, 4243]);
    let configured = match facts.text("/etc/docker/daemon.json") {
        Read::Known(text) => text,
        Read::Absent => return verdict,
        Read::Unknown(why) => {
            return if matches!(verdict, Verdict::Fail { .. }) { verdict } else { Verdict::Unknown(why) };
        }
    };
    let Ok(value) = serde_json::from_str::<serde_json::Value>(configured) else {
        return Verdict::Unknown("/etc/docker/daemon.json is no JSON".to_owned());
    };
    let hosts = value.get("hosts").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    let tcp: Vec<String> = hosts
        .iter()
        .filter_map(serde_json::Value::as_str)
        .filter(|host| host.starts_with("tcp:"))
        .map(|host| format!("{host} in /etc/docker/daemon.json"))
        .collect();
    if tcp.is_empty() { verdict } else { none(&tcp, "") }
}

fn controller(facts: &Facts) -> Verdict {
    let devices = ["/dev/ipmi0", "/dev/ipmi/0", "/dev/ipmidev/0"];
    let mut found: Vec<String> = devices
        .iter()
        .filter(|path| matches!(facts.node(path), Read::Known(_)))
        .map(|path| (*path).to_owned())
        .collect();
    let driven = facts.nodes_below("/sys/class/ipmi").filter(|(_, node)| node.known().is_some());
    found.extend(driven.map(|(path, _)| path.to_owned()));
    if found.is_empty() && matches!(facts.lists.get("/dev"), None | Some(Read::Unknown(_) | Read::Absent)) {
        return Verdict::Unknown("/dev was not read".to_owned());
    }
    none(&found, "no such device; a controller that the kernel does not drive cannot be seen from here")
}

/// Sockets that are as good as root: the system's own, and those of users.
fn socket(facts: &Facts, places: &[&str], name: &str) -> Verdict {
    let system = places.iter().filter_map(|place| Some((*place, facts.nodes.get(*place)?)));
    let users = facts.nodes_below("/run/user").filter(|(path, _)| path.ends_with(name));
    let people = facts.text("/etc/passwd").known().map(|text| accounts(text)).unwrap_or_default();
    let groups = facts.text("/etc/group").known().map(|text| groups(text)).unwrap_or_default();
    let inhabited = |number: u32| {
        number != 0
            && (groups.iter().any(|group| group.number == number && !group.members.is_empty())
                || people.iter().any(|account| account.group == number && account.user != 0))
    };
    let bad = |node: &crate::facts::Node| {
        node.kind == Kind::Socket
            && (node.mode & 0o002 != 0 || node.user != 0 || (node.mode & 0o020 != 0 && inhabited(node.group)))
    };
    nodes(system.chain(users), bad, "there is no such socket")
}
