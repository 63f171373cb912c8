//! What the reader promises: two ways to the same facts agree, a tree leads nowhere else, and what is not read is not passed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use claw_host::{Read, Status, audit};
use claw_run::audit::{Places, Root, read};

use crate::world::Put::{Capable, Directory, File, Link, Text};
use crate::world::{Scratch, net, tree};

fn places() -> Places {
    Places { program: "/usr/bin/claw".into(), state: "/nonexistent".into(), config: "/nonexistent".into() }
}

#[test]
fn the_kernel_tells_the_same_sockets_by_netlink_and_by_its_files() {
    let world = net("", &["tcp 127.0.0.1:7001", "tcp [::1]:7002", "udp 0.0.0.0:7003", "tcp 0.0.0.0:7004"]);
    let facts = world.facts();
    let asked: BTreeSet<String> = facts
        .listeners
        .known()
        .unwrap()
        .iter()
        .map(|one| format!("{:?} {}", one.transport, one.local))
        .collect();
    let expect = ["Tcp 127.0.0.1:7001", "Tcp [::1]:7002", "Udp 0.0.0.0:7003", "Tcp 0.0.0.0:7004"];
    assert_eq!(asked, expect.map(str::to_owned).into());
    // the same lines as files of a tree
    let tree = Scratch::new();
    fs::create_dir_all(tree.0.join("proc/net")).unwrap();
    fs::create_dir_all(tree.0.join("proc/sys")).unwrap();
    let lines = [
        (
            "tcp",
            "   0: 0100007F:1B59 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n   1: 00000000:1B5C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1\n   2: 0100007F:1B59 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 3 1\n",
        ),
        (
            "tcp6",
            "   0: 00000000000000000000000001000000:1B5A 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1\n",
        ),
        (
            "udp",
            "   0: 00000000:1B5B 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4 2\n",
        ),
        ("udp6", ""),
    ];
    for (name, text) in lines {
        fs::write(tree.0.join("proc/net").join(name), format!("  sl  local_address\n{text}")).unwrap();
    }
    let facts = read(&Root::tree(&tree.0).unwrap(), &places(), 0);
    let listed: BTreeSet<String> = facts
        .listeners
        .known()
        .unwrap()
        .iter()
        .map(|one| format!("{:?} {}", one.transport, one.local))
        .collect();
    assert_eq!(listed, asked);
}

#[test]
fn a_socket_is_told_with_its_program() {
    let facts = net("", &["tcp 127.0.0.1:7005"]).facts();
    let own = fs::read_to_string("/proc/self/comm").unwrap();
    assert_eq!(facts.listeners.known().unwrap()[0].process.as_deref(), Some(own.trim()));
}

#[test]
fn no_link_of_a_tree_leads_out_of_it() {
    let tree = Scratch::new();
    fs::create_dir_all(tree.0.join("etc")).unwrap();
    symlink("/etc/hostname", tree.0.join("etc/passwd")).unwrap();
    symlink("../../../../../../etc/passwd", tree.0.join("etc/group")).unwrap();
    symlink("/proc/self/root/etc/shadow", tree.0.join("etc/shadow")).unwrap();
    let facts = read(&Root::tree(&tree.0).unwrap(), &places(), 0);
    assert!(facts.text("/etc/passwd").known().is_none());
    assert!(facts.text("/etc/group").known().is_none());
    assert!(facts.shadow.known().is_none());
}

#[test]
fn a_fifo_or_an_endless_file_does_not_stop_the_reader() {
    let tree = Scratch::new();
    fs::create_dir_all(tree.0.join("etc/ssh")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(tree.0.join("etc/passwd")).status().unwrap();
    assert!(made.success());
    fs::File::create(tree.0.join("etc/group")).unwrap().set_len(1 << 40).unwrap();
    fs::write(tree.0.join("etc/ssh/sshd_config"), "Include /etc/ssh/sshd_config\nInclude */*\n").unwrap();
    let facts = read(&Root::tree(&tree.0).unwrap(), &places(), 0);
    assert!(matches!(facts.text("/etc/passwd"), Read::Unknown(_)));
    assert!(matches!(facts.text("/etc/group"), Read::Unknown(_)));
    let report = audit(&facts);
    let passed = |id: &str| report.outcomes.iter().any(|one| one.id == id && one.status == Status::Pass);
    assert!(!passed("ssh-x11-forwarding"), "a file that includes itself passed");
}

#[test]
fn no_secret_of_the_password_file_is_in_the_facts() {
    let tree = Scratch::new();
    fs::create_dir_all(tree.0.join("etc")).unwrap();
    fs::write(tree.0.join("etc/shadow"), "ada:$6$salt$secrethash:1::::::\n").unwrap();
    let facts = read(&Root::tree(&tree.0).unwrap(), &places(), 0);
    assert!(!format!("{facts:?}").contains("secrethash"));
    assert!(format!("{:?}", facts.shadow).contains("Strong"));
}

fn status(facts: &claw_host::Facts, id: &str) -> (Status, String) {
    let report = audit(facts);
    let one = report.outcomes.into_iter().find(|one| one.id == id).unwrap();
    (one.status, one.seen)
}

#[test]
fn a_table_that_is_switched_off_is_no_firewall() {
    let rules = |flags: &str| {
        let chain =
            |hook: &str| format!("chain {hook} {{\ntype filter hook {hook} priority 0; policy drop;\n}}");
        let chains = [chain("input"), chain("forward"), chain("output")].join("\n");
        format!("sysctl -qw net.ipv4.ip_forward=1; nft 'table inet x {{\n{flags}\n{chains}\n}}'")
    };
    let judged = |script: String| {
        let facts = net(script.leak(), &[]).facts();
        ["input-dropped", "forward-dropped", "output-dropped"].map(|id| status(&facts, id).0)
    };
    assert_eq!(judged(rules("flags dormant;")), [Status::Fail; 3]);
    assert_eq!(judged(rules("")), [Status::Pass; 3]);
}

#[test]
fn what_is_sent_by_one_family_only_is_not_held() {
    let world = net(
        "ip link add d0 type bridge; ip link set d0 up; ip -6 addr add fd00:9::1/64 dev d0 nodad; nft add table ip t; nft 'add chain ip t c { type filter hook output priority 0; policy drop; }'",
        &[],
    );
    let (status, seen) = status(&world.facts(), "output-dropped");
    assert_eq!(status, Status::Fail, "{seen}");
    assert!(seen.contains("IPv6"), "{seen}");
}

#[test]
fn a_mend_of_the_firewall_can_be_taken_back() {
    let dropped = claw_host::all().filter(|check| check.id.contains("-dropped"));
    let mends: Vec<&str> = dropped.map(|check| check.mend).collect();
    assert_eq!(mends.len(), 4);
    for mend in mends {
        assert!(
            mend.starts_with("claw host firewall --zones zones.yaml --apply --confirm-within 60 #"),
            "{mend}"
        );
    }
    for check in claw_host::all() {
        assert!(!check.mend.contains("policy drop"), "{}: {}", check.id, check.mend);
    }
}

#[test]
fn a_socket_in_claws_name_is_its_users() {
    let judged = |name: &'static str| {
        let facts = net("", [name].to_vec().leak()).facts();
        (status(&facts, "abstract-sockets").0, status(&facts, "claw-sockets").0)
    };
    assert_eq!(judged("@claw/evil"), (Status::Fail, Status::Fail));
    assert_eq!(judged("@claw/2002/nightly"), (Status::Fail, Status::Fail));
    assert_eq!(judged("@claw/0/nightly"), (Status::Pass, Status::Pass));
}

#[test]
fn a_known_name_has_only_its_capabilities_and_only_in_its_place() {
    let judged = |puts: &'static [crate::world::Put]| status(&tree(puts).facts(), "file-capabilities").0;
    assert_eq!(judged(&[Capable("usr/bin/ping", "cap_sys_admin+ep")]), Status::Fail);
    assert_eq!(judged(&[Capable("usr/bin/ping", "cap_net_raw,cap_bpf+i")]), Status::Fail);
    assert_eq!(judged(&[Capable("tmp/ping", "cap_net_raw+ep")]), Status::Fail);
    assert_eq!(judged(&[Capable("usr/local/bin/ping", "cap_net_raw+ep")]), Status::Fail);
    assert_eq!(judged(&[Capable("usr/bin/dumpcap", "cap_net_raw,cap_net_admin+eip")]), Status::Pass);
}

#[test]
fn homes_and_names_beyond_the_bound_are_told() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.0.join("etc")).unwrap();
    fs::create_dir_all(scratch.0.join("dev/shm")).unwrap();
    let people: String =
        (0..300).map(|one| format!("u{one}:x:{}:1::/home/u{one}:/bin/sh\n", 1000 + one)).collect();
    fs::write(scratch.0.join("etc/passwd"), people).unwrap();
    for number in 0..16_385 {
        fs::write(scratch.0.join(format!("dev/shm/{number}")), "").unwrap();
    }
    fs::create_dir_all(scratch.0.join("home/u0")).unwrap();
    let facts = read(&Root::tree(&scratch.0).unwrap(), &places(), 0);
    for (id, words) in [
        ("homes-writable", "44 more homes"),
        ("trusting-files", "44 more homes"),
        ("shared-memory-files", "more than 16384 names"),
    ] {
        let (status, seen) = status(&facts, id);
        assert!(status == Status::Unknown && seen.contains(words), "{id}: {status:?} {seen}");
    }
}

const AUDITD: &str =
    "Name:\tauditd\nPid:\t9\nPPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\t0\nNoNewPrivs:\t0\nSeccomp:\t0\n";
const NOBODYS: &str =
    "Name:\tauditd\nPid:\t9\nPPid:\t1\nUid:\t65534\t0\t0\t0\nCapEff:\t0\nNoNewPrivs:\t0\nSeccomp:\t0\n";

#[test]
fn a_service_is_not_believed_by_its_name() {
    let judged = |puts: &'static [crate::world::Put]| status(&tree(puts).facts(), "audit-daemon").0;
    const PROC: crate::world::Put = Directory("proc/sys/kernel", 0o555, 0);
    const PROGRAM: crate::world::Put = File("usr/sbin/auditd", 0o755, 0);
    const EXE: crate::world::Put = Link("proc/9/exe", "/usr/sbin/auditd");
    assert_eq!(judged(&[PROC, PROGRAM, EXE, Text("proc/9/status", AUDITD)]), Status::Pass);
    // another's process; another's program; another program; a program that others write
    assert_eq!(judged(&[PROC, PROGRAM, EXE, Text("proc/9/status", NOBODYS)]), Status::Fail);
    let copied = File("usr/sbin/auditd", 0o755, 65_534);
    assert_eq!(judged(vec![PROC, copied, EXE, Text("proc/9/status", AUDITD)].leak()), Status::Fail);
    let sleep = [File("usr/bin/sleep", 0o755, 0), Link("proc/9/exe", "/usr/bin/sleep")];
    let puts = [PROC, Text("proc/9/status", AUDITD)].into_iter().chain(sleep).collect::<Vec<_>>();
    assert_eq!(judged(puts.leak()), Status::Fail);
    let open = File("usr/sbin/auditd", 0o757, 0);
    assert_eq!(judged(vec![PROC, open, EXE, Text("proc/9/status", AUDITD)].leak()), Status::Fail);
}

#[test]
fn who_cannot_see_others_says_so() {
    const MOUNTS: &str =
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 0:9 / /proc rw - proc proc rw,hidepid=invisible\n";
    const OWN: &str = "Name:\tclaw\nPid:\t9\nPPid:\t1\nUid:\t65534\t65534\t65534\t65534\nCapEff:\t0\nNoNewPrivs:\t0\nSeccomp:\t0\n";
    let facts = tree(&[
        Directory("proc/sys/kernel", 0o555, 0),
        Text("proc/self/mountinfo", MOUNTS),
        Text("proc/9/status", OWN),
    ])
    .facts();
    for id in ["agents-confined", "agents-apart", "agents-mounts", "audit-daemon", "log-kept", "claw-as-root"]
    {
        let (status, seen) = status(&facts, id);
        assert!(status == Status::Unknown && seen.contains("hidepid"), "{id}: {status:?} {seen}");
    }
}

#[test]
fn who_only_calls_itself_claw_makes_no_finding() {
    const CLAW: &str = "Name:\tclaw\nPid:\t70\nPPid:\t1\nUid:\t65534\t65534\t65534\t65534\nCapEff:\t0\nNoNewPrivs:\t0\nSeccomp:\t0\n";
    const INIT: &str = "Name:\tclaw-init\nPid:\t71\nPPid:\t70\nUid:\t65534\t65534\t65534\t65534\nCapEff:\t0\nNoNewPrivs:\t0\nSeccomp:\t0\n";
    const BELOW: &str = "Name:\tsh\nPid:\t72\nPPid:\t71\nUid:\t65534\t65534\t65534\t65534\nCapEff:\t1\nNoNewPrivs:\t0\nSeccomp:\t0\n";
    const OTHER: &str = "Name:\tsh\nPid:\t70\nPPid:\t1\nUid:\t65534\t65534\t65534\t65534\nCapEff:\t0\nNoNewPrivs:\t0\nSeccomp:\t0\n";
    let judged = |claw: &'static str, owner: u32| {
        let puts = vec![
            Directory("proc/sys/kernel", 0o555, 0),
            Text("proc/70/status", claw),
            Text("proc/71/status", INIT),
            Text("proc/72/status", BELOW),
            File("opt/claw", 0o755, owner),
            Link("proc/70/exe", "/opt/claw"),
        ];
        status(&tree(puts.leak()).facts(), "agents-confined")
    };
    assert_eq!(judged(OTHER, 0).0, Status::Inapplicable);
    assert_eq!(judged(CLAW, 65_534).0, Status::Unknown);
    assert_eq!(judged(CLAW, 0).0, Status::Fail);
}

#[test]
fn port_22_is_no_excuse() {
    let judged = |what: &'static str| status(&net("", [what].to_vec().leak()).facts(), "listeners");
    // this test holds it, and is not the SSH server
    assert_eq!(judged("tcp 0.0.0.0:22").0, Status::Fail);
    assert_eq!(judged("udp 0.0.0.0:22").0, Status::Fail);
    let held = |ssh: Read<bool>| {
        let mut facts = net("", &["tcp 0.0.0.0:22"]).facts();
        if let Read::Known(all) = &mut facts.listeners {
            all[0].ssh = ssh;
        }
        status(&facts, "listeners").0
    };
    assert_eq!(held(Read::Known(true)), Status::Pass);
    assert_eq!(held(Read::Unknown("only root may read it".to_owned())), Status::Unknown);
}

#[test]
fn a_vsock_that_waits_is_seen() {
    if !std::path::Path::new("/dev/vsock").exists() {
        return;
    }
    let held = std::process::Command::new("python3")
        .args(["-c", "import socket; s = socket.socket(socket.AF_VSOCK); s.bind((socket.VMADDR_CID_ANY, 50123)); s.listen(); print(1, flush=True); input()"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let mut held = held.unwrap();
    std::io::Read::read_exact(held.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    let root = Root::host().unwrap().walking(std::time::Duration::ZERO);
    let seen = read(&root, &places(), 0).vsocks;
    drop(held.stdin.take());
    held.wait().unwrap();
    match seen {
        Read::Known(all) => assert!(all.contains(&(u32::MAX, 50_123)), "{all:?}"),
        Read::Unknown(why) => assert!(why.contains("vsock_diag"), "{why}"),
        Read::Absent => panic!("vsock is there"),
    }
}

#[test]
fn no_name_of_a_file_makes_a_line_of_the_report() {
    let name = "srv/x\n  pass: all\u{202e}\u{1b}[2J";
    let puts = vec![Directory(name, 0o777, 0), Directory("srv/a'b", 0o777, 0)];
    let report = audit(&tree(puts.leak()).facts());
    let one = report.outcomes.iter().find(|one| one.id == "open-directories").unwrap();
    assert_eq!(one.status, Status::Fail);
    assert!(one.seen.contains("/srv/x\\u{a}  pass: all\\u{202e}\\u{1b}[2J"), "{}", one.seen);
    assert!(one.mend.contains("$'/srv/x\\x0a  pass: all\\xe2\\x80\\xae\\x1b[2J'"), "{}", one.mend);
    let text = serde_json::to_string(&report).unwrap() + &claw_host::sarif(&report, "1").to_string();
    assert!(!text.contains(['\u{202e}', '\u{1b}']));
}

#[test]
fn a_mend_outlives_a_restart_or_says_that_it_does_not() {
    for check in claw_host::all() {
        let brief = check.mend.contains("sysctl -w") || check.mend.contains("remount");
        let kept = check.mend.contains(">> /etc/") || check.mend.contains("until the next start");
        assert!(!brief || kept, "{}: {}", check.id, check.mend);
    }
    let mend = |puts: &'static [crate::world::Put], id: &str| {
        let report = audit(&tree(puts).facts());
        report.outcomes.into_iter().find(|one| one.id == id && one.status == Status::Fail).unwrap().mend
    };
    let mounted = mend(
        &[
            Directory("proc/sys/kernel", 0o555, 0),
            Text(
                "proc/self/mountinfo",
                "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 0:9 / /tmp rw - tmpfs t rw\n",
            ),
        ],
        "tmp-mount",
    );
    assert!(mounted.contains("remount") && mounted.contains("until the next start"), "{mounted}");
    // a key that the kernel does not have is not written
    let none = mend(&[Text("proc/sys/user/max_user_namespaces", "9\n")], "user-namespaces");
    assert!(!none.starts_with("printf '%s\\n' kernel.apparmor"), "{none}");
    let there = [
        Text("proc/sys/user/max_user_namespaces", "9\n"),
        Text("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0\n"),
    ];
    let there = mend(Vec::from(there).leak(), "user-namespaces");
    assert!(there.contains("kernel.apparmor_restrict_unprivileged_userns=1"), "{there}");
    let inside = mend(
        &[
            Text("sys/devices/system/cpu/vulnerabilities/meltdown", "Vulnerable\n"),
            Text("sys/class/dmi/id/sys_vendor", "QEMU\n"),
        ],
        "cpu-mitigations",
    );
    assert!(inside.contains("the machine around this one"), "{inside}");
}

#[test]
fn a_shell_reads_back_the_path_and_nothing_else() {
    let names = ["a b", "it's", "a\n-rf ", "\u{202e}x'\\", "$(id)`id`;&|*?~", "-r", "\u{e9}", "!!", "\"q\""];
    let puts: Vec<_> = names.iter().map(|name| Directory(format!("srv/{name}").leak(), 0o777, 0)).collect();
    let report = audit(&tree(puts.leak()).facts());
    let one = report.outcomes.iter().find(|one| one.id == "open-directories").unwrap();
    let command = one.mend.replacen("chmod o-w --", "printf '%s\\0'", 1);
    assert!(!command.contains(['\n', '\u{202e}']), "{command}");
    let out = std::process::Command::new("bash").args(["-c", &command]).output().unwrap();
    let read: BTreeSet<String> = out
        .stdout
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
        .map(|path| String::from_utf8(path.to_vec()).unwrap())
        .collect();
    assert_eq!(read, names.iter().map(|name| format!("/srv/{name}")).collect());
}
