//! The brokered path: a socket that is connected outside and handed over carries bytes at full speed, and cannot be led
//! anywhere else.

use std::thread;
use std::time::{Duration, Instant};

use claw_testkit::{Lab, Outcome, Server, User, each, echo, late_answer, once, sink};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

fn opened(lab: &Lab, server: &Server, more: &str) {
    lab.policy(
        &[format!("{}, protocol: TCP, path: brokered{more}", server.rule("api.test"))],
        "filesystem: {write: [.]}\n",
    );
}

/// How bytes travelled: a brokered socket's peer is the server itself.
fn is_handed(run: &Outcome, server: &Server) {
    assert!(run.stdout.contains(&format!("peer {}", server.ip())), "not handed over: {run:#?}");
}

#[test]
fn a_handed_socket_carries_both_ways_and_is_counted() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        opened(lab, &server, "");
        let code = format!(
            "connection = socket.create_connection(('api.test', {}))
print('peer', connection.getpeername()[0])
total = 0
for _ in range(100):
    connection.sendall(b'x' * 10000); total += len(connection.recv(10000, socket.MSG_WAITALL))
print('moved', total); connection.close(); time.sleep(0.3)",
            server.port()
        );
        let run = lab.python(&code).ends(0).says("moved 1000000").allowed("api.test", server.port());
        is_handed(&run, &server);
        let close = run.of_kind("close")[0];
        assert_eq!(
            (close["bytes_out"].as_u64(), close["bytes_in"].as_u64()),
            (Some(1_000_000), Some(1_000_000)),
            "{close}"
        );
        let connect = run.of_kind("connect")[0];
        assert!(connect["process"]["exe"].as_str().unwrap().contains("python"), "{connect}");
        assert!(connect["process"]["pid"].as_u64().unwrap() < 100, "the number inside: {connect}");
    });
}

#[test]
fn ends_and_resets_are_the_destinations_own() {
    once(CLAW, User::Ordinary, |lab| {
        let server = late_answer(Lab::PRIVATE);
        opened(lab, &server, "");
        let code = format!(
            "connection = socket.create_connection(('api.test', {}))
connection.sendall(b'half'); connection.shutdown(socket.SHUT_WR)
print(connection.recv(100)); connection.close()",
            server.port()
        );
        lab.python(&code).ends(0).says("got 4");
        let code = "attempt(lambda: socket.create_connection(('api.test', 1)))";
        lab.policy(
            &["destination: \"api.test:1\", addresses: [\"10.77.0.1\"], protocol: TCP, path: brokered"
                .to_owned()],
            "",
        );
        lab.python(code).ends(1).says("ECONNREFUSED");
    });
}

#[test]
fn a_name_without_an_address_is_written_down_as_such() {
    each(CLAW, |lab| {
        lab.policy(&["destination: \"nowhere.test:80\", protocol: TCP, path: brokered".to_owned()], "");
        let run = lab.python("attempt(lambda: socket.create_connection(('nowhere.test', 80)))").ends(1);
        let run = run.says("ENETUNREACH").allowed("nowhere.test", 80);
        assert_eq!(run.of_kind("close")[0]["end"], "no-address", "{run:#?}");
        assert!(run.stderr.contains("permitted, but no answer:"), "{run:#?}");
    });
}

#[test]
fn clients_of_every_kind_work() {
    each(CLAW, |lab| {
        let server = claw_testkit::http(Lab::PRIVATE);
        opened(lab, &server, "");
        let port = server.port();
        let url = format!("http://api.test:{port}");
        let run = lab.run(&format!(
            "set -e
            curl -sS {url}/curl
            python3 -c 'import urllib.request; print(urllib.request.urlopen(\"{url}/python\").read().decode())'
            python3 -c 'import asyncio
async def main():
    reader, writer = await asyncio.open_connection(\"api.test\", {port})
    writer.write(b\"GET /asyncio HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n\"); print((await reader.read(100)).decode())
asyncio.run(main())'
            node -e 'fetch(\"{url}/node\").then(r => r.text()).then(t => {{ console.log(t); process.exit() }})'
            wget -qO- {url}/wget"
        ));
        let run = run.ends(0);
        for client in ["curl", "python", "asyncio", "node", "wget"] {
            assert!(run.stdout.contains(&format!("GET /{client}")), "{client}: {run:#?}");
        }
    });
}

/// Every way to lead the handed socket to another address, tried after it carried a byte. `connection` is the handed
/// socket, `evil` an address that nothing permits.
const TRICKS: &str = r"
import ctypes, array
def again(connection): connection.connect(evil)
def unspecified(connection):
    libc.connect(connection.fileno(), b'\0' * 16, 16) and None
    error = ctypes.get_errno(); connection.connect(evil)
def unspecified6(connection):
    libc.connect(connection.fileno(), b'\0' * 28, 28); connection.connect(evil)
def fast_open(connection):
    libc.connect(connection.fileno(), b'\0' * 16, 16); connection.sendto(b'evil', 0x20000000, evil)
def send_to(connection):
    connection.shutdown(socket.SHUT_RDWR); connection.sendto(b'evil', evil)
def after_shutdown(connection):
    connection.shutdown(socket.SHUT_RDWR); time.sleep(0.1); connection.connect(evil)
def listens(connection):
    connection.shutdown(socket.SHUT_RDWR); time.sleep(0.1); connection.listen(1)
def listens_after_unspecified(connection):
    libc.connect(connection.fileno(), b'\0' * 16, 16); connection.listen(1)
def binds(connection): connection.bind(('0.0.0.0', 0))
def binds_after_reset(connection):
    connection.sendall(b'tear'); time.sleep(0.2)
    libc.bind(connection.fileno(), struct.pack('=H', 2) + struct.pack('!H', 5432) + b'\0' * 12, 16) and None
    if libc.bind(connection.fileno(), struct.pack('=H', 2) + b'\0' * 14, 16): raise OSError(ctypes.get_errno(), 'bind')
def source_route(connection): connection.setsockopt(0, 4, b'\x83\x0b\x04' + socket.inet_aton(evil[0]) * 2)
def other_interface(connection): connection.setsockopt(socket.SOL_SOCKET, 25, b'lo\0')
def interface_list(connection):
    import fcntl; fcntl.ioctl(connection, 0x8912, array.array('B', b'\0' * 64))
def network_namespace(connection):
    import fcntl; fcntl.ioctl(connection, 0x894c)
def passed_on(connection):
    one, other = socket.socketpair()
    socket.send_fds(one, [b'x'], [connection.fileno()]); _, fds, _, _ = socket.recv_fds(other, 10, 1)
    socket.socket(fileno=fds[0]).connect(evil)
def from_a_child(connection):
    if (pid := os.fork()) == 0:
        try: connection.connect(evil); os._exit(0)
        except OSError: os._exit(1)
    if os.waitpid(pid, 0)[1]: raise OSError(111, 'refused')
def reopened(connection):
    socket.socket(fileno=os.open('/proc/self/fd/%d' % connection.fileno(), os.O_RDWR)).connect(evil)
def race(connection):
    # one thread exchanges descriptor and address under the other's connect(2)
    import threading
    fd, stop, place = connection.fileno(), [], ctypes.create_string_buffer(16)
    inside = socket.socket()
    good = struct.pack('=H', 2) + struct.pack('!H', PORT) + socket.inet_aton(socket.gethostbyname('api.test')) + b'\0' * 8
    bad = struct.pack('=H', 2) + struct.pack('!H', evil[1]) + socket.inet_aton(evil[0]) + b'\0' * 8
    number = 77; os.dup2(inside.fileno(), number)
    def swap():
        while not stop:
            os.dup2(fd, number); place.raw = b'\0' * 16
            os.dup2(inside.fileno(), number); place.raw = bad
            place.raw = good
    thread = threading.Thread(target=swap); thread.start()
    for _ in range(3000): libc.connect(number, place, 16)
    stop.append(1); thread.join()
    raise OSError(111, 'see what arrived')
TRICKS = [again, unspecified, unspecified6, fast_open, send_to, after_shutdown, listens, listens_after_unspecified, binds,
          binds_after_reset, source_route, other_interface, interface_list, network_namespace, passed_on, from_a_child, reopened, race]
def trick(one, family=socket.AF_INET):
    connection = socket.socket(family); connection.settimeout(4); connection.connect(('api.test', PORT))
    connection.sendall(b'ok'); connection.recv(2)
    if 'peer' in sys.argv: print('peer', connection.getpeername()[0])
    try: one(connection)
    except OSError as error: print(one.__name__, 'refused', errno.errorcode.get(error.errno, error)); return
    print(one.__name__, 'WORKED')
";

#[test]
fn a_handed_socket_leads_nowhere_else() {
    each(CLAW, |lab| {
        let (server, evil) = (echo(Lab::PRIVATE), sink(Lab::PUBLIC, 0));
        opened(lab, &server, "");
        let head =
            format!("PORT, evil = {}, ('{}', {})\n{TRICKS}\n", server.port(), Lab::PUBLIC, evil.port());
        // without claw the worst of them work, so that a trick that cannot succeed is noticed
        lab.hosts(&format!("{} api.test", Lab::PRIVATE));
        let bare =
            lab.bare_python(&format!("{head}for one in (unspecified, fast_open, passed_on): trick(one)"));
        assert!(bare.stdout.contains("unspecified WORKED"), "{bare:#?}");
        assert!(evil.until(|evil| evil.arrivals() > 0), "{bare:#?}");
        let before = evil.arrivals();
        let file = lab.program_file(&format!(
            "{head}for one in TRICKS: trick(one)
evil = ('::ffff:' + evil[0], evil[1])
for one in TRICKS[:9]: trick(one, socket.AF_INET6)"
        ));
        let run = lab.claw().within(60).command(&["python3", &file, "peer"]).ends(0);
        is_handed(&run, &server);
        assert!(!run.stdout.contains("WORKED"), "{run:#?}");
        assert_eq!(run.stdout.matches("refused").count(), 27, "{run:#?}");
        assert_eq!(evil.arrivals(), before, "something arrived elsewhere: {run:#?}");
    });
}

#[test]
fn everything_else_connects_as_without_it() {
    each(CLAW, |lab| {
        let (server, relayed) = (echo(Lab::PRIVATE), echo(Lab::PRIVATE));
        lab.policy(
            &[
                format!("{}, protocol: TCP, path: brokered", server.rule("api.test")),
                relayed.rule("relay.test"),
            ],
            "filesystem: {write: [.]}\n",
        );
        let code = format!(
            "import threading
relayed = socket.create_connection(('relay.test', {0})); relayed.sendall(b'x'); assert relayed.recv(1) == b'x'
print('relayed peer', relayed.getpeername()[0])
server = socket.create_server(('127.0.0.1', 0)); socket.create_connection(server.getsockname()); print('own server')
datagram = socket.socket(type=socket.SOCK_DGRAM); datagram.connect(('127.0.0.1', 5)); datagram.connect(('127.0.0.1', 6))
libc.connect(datagram.fileno(), b'\\0' * 16, 16); print('datagram', datagram.getsockname()[0])
for path in ('u.sock', os.path.abspath('v.sock'), '\\0abstract'):
    one = socket.socket(socket.AF_UNIX); one.bind(path); one.listen()
    socket.socket(socket.AF_UNIX).connect(path); print('unix', path.strip('\\0')[-8:])
os.umask(0o027); socket.socket(socket.AF_UNIX).bind('mask.sock'); print('mode', oct(os.stat('mask.sock').st_mode & 0o777))
os.mkdir('dark'); os.chdir('dark'); os.chmod('.', 0o300); one = socket.socket(socket.AF_UNIX); one.bind('d.sock'); one.listen()
socket.socket(socket.AF_UNIX).connect('d.sock'); os.chmod('.', 0o700); os.chdir('..'); print('dark', os.listdir('dark'))
os.symlink('/etc', 'link')
for path in ('nothing.sock', '/run/nothing', 'link/passwd'):
    try: socket.socket(socket.AF_UNIX).connect(path)
    except OSError as error: print('unix', path, errno.errorcode[error.errno])
early = socket.socket(); early.setblocking(False)
try: early.connect(('relay.test', {0}))
except BlockingIOError: pass
import select; select.select([], [early], [], 2); print('early', early.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
for bad in (99, -1):
    print('bad', libc.connect(bad, b'\\0' * 16, 16), errno.errorcode[ctypes.get_errno()])
print('file', libc.connect(os.open('/etc/passwd', 0), b'\\0' * 16, 16), errno.errorcode[ctypes.get_errno()])
fresh = socket.socket()
print('fault', libc.connect(fresh.fileno(), ctypes.c_void_p(8), 16), errno.errorcode[ctypes.get_errno()])
def closed(target):
    try: socket.create_connection(target)
    except OSError as error: print(target[0], errno.errorcode[error.errno])
closed(('8.8.8.8', 53)); closed(('8.8.8.8', 443)); closed(('127.0.0.1', 9))",
            relayed.port()
        );
        let run = lab.python(&code).ends(0);
        for line in [
            "own server",
            "datagram 0.0.0.0",
            "unix u.sock",
            "unix k/v.sock",
            "unix abstract",
            "mode 0o750",
            "dark ['d.sock']",
            "unix nothing.sock ENOENT",
            "early 0",
            "bad -1 EBADF",
            "file -1 ENOTSOCK",
            "fault -1 EFAULT",
            "8.8.8.8 ECONNREFUSED",
            "127.0.0.1 ECONNREFUSED",
        ] {
            assert!(run.stdout.contains(line), "{line}: {run:#?}");
        }
        assert!(!run.stdout.contains(&format!("relayed peer {}", relayed.ip())), "{run:#?}");
    });
}

/// Both ask by one listener.
#[test]
fn a_profile_of_its_own_holds_beside_it() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        lab.write(
            "profile.json",
            "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [
{\"names\": [\"ptrace\", \"execve\", \"listen\"], \"action\": \"SCMP_ACT_KILL_PROCESS\"},
{\"names\": [\"bind\"], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 95}]}",
        );
        lab.policy(
            &[format!("{}, protocol: TCP, path: brokered", server.rule("api.test"))],
            "filesystem: {write: [.]}\nprocess: {seccomp: ../profile.json}\n",
        );
        let code = format!(
            "connection = socket.create_connection(('api.test', {})); connection.sendall(b'x'); assert connection.recv(1) == b'x'
print('peer', connection.getpeername()[0])
for family, address in (socket.AF_INET, ('127.0.0.1', 0)), (socket.AF_UNIX, 'x.sock'):
    try: socket.socket(family).bind(address)
    except OSError as error: print('bind', error.errno)
def ended(act):
    sys.stdout.flush()
    child = os.fork()
    if child == 0: act(); os._exit(0)
    print(act.__name__, 'ended by', os.waitpid(child, 0)[1])
def execute(): os.execv('/bin/true', ['true'])
def listen_path(): socket.socket(socket.AF_UNIX).listen()
def listen_port(): socket.socket().listen()
def trace(): libc.ptrace(0, 0, 0, 0)
for act in (execute, listen_path, listen_port, trace): ended(act)
print('file', os.path.exists('x.sock'))",
            server.port()
        );
        let run = lab.python(&code).ends(0);
        is_handed(&run, &server);
        for line in ["execute", "listen_path", "listen_port", "trace"] {
            assert!(run.stdout.contains(&format!("{line} ended by 9")), "{line}: {run:#?}");
        }
        assert_eq!(run.stdout.matches("bind 95").count(), 2, "{run:#?}");
        assert!(run.stdout.contains("file False"), "{run:#?}");
        let told = run.of_kind("syscall");
        let mut names: Vec<&str> = told.iter().filter_map(|record| record["name"].as_str()).collect();
        names.sort_unstable();
        // the ledger counts what comes again
        assert_eq!(names, ["execve", "listen", "ptrace"], "{run:#?}");
        assert_eq!(run.stderr.matches("it called listen(2)").count(), 2, "{run:#?}");
        assert!(told.iter().all(|record| record["process"]["pid"].as_u64().is_some()), "{run:#?}");
    });
}

#[test]
fn a_socket_of_the_host_cannot_be_reached_by_a_path() {
    each(CLAW, |lab| {
        let host = lab.path("host.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&host).unwrap();
        lab.own(&host, 0o777);
        let server = echo(Lab::PRIVATE);
        opened(lab, &server, "");
        let root = lab.path("").display().to_string();
        let code = format!(
            "os.symlink('{root}host.sock', 'absolute'); os.symlink('../host.sock', 'relative')
os.symlink('/proc/self/root/..', 'around')
for path in ('{root}host.sock', 'absolute', 'relative', '../host.sock', 'around{root}host.sock', '/proc/1/root{root}host.sock'):
    try: socket.socket(socket.AF_UNIX).connect(path); print('REACHED', path)
    except OSError as error: print('refused', errno.errorcode[error.errno])"
        );
        let run = lab.python(&code).ends(0);
        assert!(!run.stdout.contains("REACHED"), "{run:#?}");
    });
}

#[test]
fn connections_that_wait_inside_hold_up_nobody() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        opened(lab, &server, "");
        let code = format!(
            "import threading
def full(family, address):
    listener = socket.socket(family); listener.bind(address); listener.listen(0)
    def connect():
        one = socket.socket(family); one.settimeout(None)
        try: one.connect(listener.getsockname())
        except OSError: pass
    for _ in range(8): threading.Thread(target=connect, daemon=True).start()
    return listener
kept = [full(socket.AF_UNIX, './s.sock'), full(socket.AF_INET, ('127.0.0.1', 0))]
time.sleep(0.3)
begun = time.monotonic()
connection = socket.create_connection(('api.test', {})); connection.sendall(b'x'); connection.recv(1)
print('peer', connection.getpeername()[0]); took = time.monotonic() - begun
assert took < 2, took
sys.stdout.flush(); os._exit(0)",
            server.port()
        );
        is_handed(&lab.python(&code).ends(0), &server);
    });
}

#[test]
fn a_changed_policy_takes_the_socket_back() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        opened(lab, &server, "");
        let code = format!(
            "connection = socket.create_connection(('api.test', {})); connection.sendall(b'x'); connection.recv(1)
print('peer', connection.getpeername()[0])
hidden, other = socket.socketpair()
second = socket.create_connection(('api.test', {0}))
socket.send_fds(hidden, [b'x'], [second.fileno()]); second.close()
open('up', 'w').close()
while not os.path.exists('go'): time.sleep(0.01)
def alive(one):
    try: one.sendall(b'x'); return one.recv(1) == b'x'
    except OSError: return False
_, fds, _, _ = socket.recv_fds(other, 10, 1)
print('alive', alive(connection), alive(socket.socket(fileno=fds[0])))",
            server.port()
        );
        let file = lab.program_file(&code);
        let running = lab.claw().start(&["python3", &file]);
        let begun = Instant::now();
        while !lab.path("work/up").exists() {
            assert!(begun.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(5));
        }
        lab.write("policy.yaml", "version: 1\n");
        thread::sleep(Duration::from_millis(300));
        lab.write("work/go", "");
        let run = running.end().ends(0).says("alive False False");
        is_handed(&run, &server);
        assert!(run.of_kind("close").iter().any(|record| record["end"] == "revoked"), "{run:#?}");
    });
}

#[test]
fn a_network_that_is_closed_now_takes_the_socket_back() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        opened(lab, &server, "");
        let code = format!(
            "connection = socket.create_connection(('api.test', {})); connection.sendall(b'x'); connection.recv(1)
print('peer', connection.getpeername()[0]); open('up', 'w').close()
connection.settimeout(10)
try: print('ended', connection.recv(1) == b'')
except ConnectionResetError: print('ended True')",
            server.port()
        );
        let file = lab.program_file(&code);
        let running = lab.claw().start(&["python3", &file]);
        let begun = Instant::now();
        while !lab.path("work/up").exists() {
            assert!(begun.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(5));
        }
        let text = std::fs::read_to_string(lab.path("policy.yaml")).unwrap();
        let closed = "  deny:\n    - {destination: '10.77.0.0/16:*'}\nfilesystem:";
        lab.write("policy.yaml", &text.replace("filesystem:", closed));
        let run = running.end().ends(0).says("ended True");
        is_handed(&run, &server);
        assert!(run.of_kind("close").iter().any(|record| record["end"] == "revoked"), "{run:#?}");
    });
}

#[test]
fn a_limit_cuts_a_handed_socket_off() {
    once(CLAW, User::Ordinary, |lab| {
        let server = echo(Lab::PRIVATE);
        opened(lab, &server, ", limits: {bytes_out: 1MiB}");
        let code = format!(
            "connection = socket.create_connection(('api.test', {})); moved = 0
try:
    while moved < 1 << 30:
        connection.sendall(b'x' * 10000); moved += len(connection.recv(10000, socket.MSG_WAITALL)); time.sleep(0.001)
except OSError as error: print('cut')
print('more', moved > 1 << 20, 'much more', moved > 1 << 24)
attempt(lambda: socket.create_connection(('api.test', {0})))",
            server.port()
        );
        lab.python(&code).ends(1).says("much more False").says("ECONNREFUSED").denied(
            "api.test",
            server.port(),
            "limit",
        );
    });
}

#[test]
fn a_connection_that_cannot_be_passed_on_is_refused_and_told() {
    each(CLAW, |lab| {
        let (server, other) = (echo(Lab::PRIVATE), echo(Lab::PRIVATE));
        lab.policy(
            &[
                format!("{}, protocol: TCP, path: brokered", server.rule("api.test")),
                other.rule("relay.test"),
            ],
            "filesystem: {write: [.]}\n",
        );
        let file = lab.program_file(&format!(
            "targets = [(socket.gethostbyname('api.test'), {}), (socket.gethostbyname('relay.test'), {})]
kept = flood()
for target in targets:
    try: socket.create_connection(target); print('REACHED')
    except OSError as error: print(errno.errorcode[error.errno])
for one, two in kept: one.close(); two.close()
time.sleep(0.3)
connection = socket.create_connection(targets[0]); print('peer', connection.getpeername()[0])",
            server.port(),
            other.port()
        ));
        let run = lab.claw().inside(&["prlimit", "--nofile=600:"]).command(&["python3", &file]).ends(0);
        let run = run.says("ECONNREFUSED\nECONNREFUSED\n");
        let run = run.denied("api.test", server.port(), "limit").denied("relay.test", other.port(), "limit");
        assert_eq!(other.arrivals(), 0, "{run:#?}");
        is_handed(&run, &server);
    });
}

/// Init binds and connects for the agent, and stands outside of walls that the agent makes for its own children.
#[test]
fn an_agent_that_builds_a_wall_of_its_own_is_told_that_it_would_not_hold() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        opened(lab, &server, "");
        let code = "def confined():
    # it may bind and connect no TCP port any more (landlock(7), ABI 4)
    libc.prctl(38, 1, 0, 0, 0)
    rules = syscall(444, struct.pack('=QQ', 0, 3), 16, 0)
    syscall(446, rules, 0)
    for port in (0, 4001):
        try: socket.socket().bind(('127.0.0.1', port)); print('LEAKS')
        except OSError as error: print('held', errno.errorcode[error.errno])
try: confined()
except OSError as error: print('no wall', errno.errorcode[error.errno])";
        // without a broker the same wall is built, and holds
        let bare = lab.bare_python(code);
        assert!(bare.stdout.contains("held EACCES") && !bare.stdout.contains("LEAKS"), "{bare:#?}");
        lab.python(code).ends(0).prints("no wall ENOSYS");
        lab.write(
            "profile.json",
            "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [
{\"names\": [\"landlock_restrict_self\", \"landlock_create_ruleset\"], \"action\": \"SCMP_ACT_KILL_PROCESS\"}]}",
        );
        lab.policy(
            &[format!("{}, protocol: TCP, path: brokered", server.rule("api.test"))],
            "process: {seccomp: ../profile.json}\n",
        );
        lab.python(code).ends(137).warns("it called landlock_create_ruleset(2)");
        lab.policy(&[server.rule("api.test")], "");
        let run = lab.python(code).ends(0).says("held EACCES");
        assert!(!run.stdout.contains("LEAKS"), "{run:#?}");
    });
}

/// Links of `/proc` that stand for what a process holds would be init's own.
#[test]
fn a_path_leads_nowhere_by_what_init_holds() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        opened(lab, &server, "");
        let code = "here = os.getcwd()
first = socket.socket(socket.AF_UNIX); first.bind(here + '/s'); first.listen(); print('own name', first.getsockname() == here + '/s')
os.mkdir('d'); os.mkdir('d/e'); os.symlink('../s', 'd/up'); os.symlink(here + '/s', 'd/whole'); os.symlink('loop', 'loop')
os.symlink('/proc/self/cwd' + here + '/s', 'magic'); os.symlink('/proc/1/cwd' + here, 'around')
listing = os.open('.', os.O_RDONLY)
def told(what, act):
    try: act(); print(what, 'ok')
    except OSError as error: print(what, errno.errorcode[error.errno])
def connect(path): socket.socket(socket.AF_UNIX).connect(path)
def bind(path): socket.socket(socket.AF_UNIX).bind(path)
for path in ('s', './s', 'd/../s', 'd/up', 'd/whole', here + '/s', '/proc/self/../..' + here + '/s'): told('good ' + path[:9], lambda: connect(path))
if inside:
    for way in ('/proc/self/cwd', '/proc/thread-self/cwd', '/proc/self/root', '/proc/1/cwd', '/proc/1/root', '/proc/%d/cwd' % os.getpid(), '/proc/1/task/1/root'):
        for part in ('', here):
            told('magic', lambda: connect(way + part + '/s')); told('magic', lambda: bind(way + part + '/new'))
    for number in range(3, 40): told('magic', lambda: connect('/proc/self/fd/%d/s' % number))
    told('magic', lambda: connect('magic')); told('magic', lambda: connect('around/s')); told('magic', lambda: bind('around/new'))
    print('made', [name for name in os.listdir('.') + os.listdir('/') if name == 'new'])
for path in ('s/', 'd', 'd/', '..', 'd/..', 'none', 'd/none/s', 'loop', 's/x', 'x' * 107): told('connect ' + path[:8], lambda: connect(path))
for path in ('s', 's/', 'd/', '..', '/', 'd/..', 'd/none/s', 'loop', 'magic', 's/x'): told('bind ' + path, lambda: bind(path))
one = socket.socket(socket.AF_UNIX); one.bind('d//e/../b'); one.listen(); print(one.getsockname()); connect('d/b')
one = socket.socket(socket.AF_UNIX); one.bind(''); print('named', one.getsockname()[:1])
os.chdir('d/e'); one = socket.socket(socket.AF_UNIX); one.bind('c'); one.listen(); connect('c'); connect('../e/c'); connect('../../s')
name = ('y' * (107 - len(here)))[1:]; one = socket.socket(socket.AF_UNIX); one.bind(here + '/' + name); one.listen(); connect(here + '/' + name)
print('long', len(one.getsockname()))";
        let bare = lab.bare_python(&format!("inside = False\n{code}")).ends(0);
        lab.bare("rm -rf d around magic loop s y*").ends(0);
        let run = lab.python(&format!("inside = True\n{code}")).ends(0).says("made []\n");
        let (magic, rest): (Vec<&str>, Vec<&str>) =
            run.stdout.lines().partition(|line| line.starts_with("magic "));
        assert!(
            magic.iter().all(|line| ["magic ELOOP", "magic EACCES", "magic ENOENT"].contains(line)),
            "{run:#?}"
        );
        assert!(magic.len() > 60, "{run:#?}");
        // everything else is as without claw
        let plain: Vec<&str> = rest.into_iter().filter(|line| *line != "made []").collect();
        assert_eq!(plain, bare.stdout.lines().collect::<Vec<_>>(), "{run:#?}");
        assert!(plain.contains(&"own name True"), "{run:#?}");
    });
}

/// However many callers wait for full queues: binding is not held up, and who is gone waits no more.
#[test]
fn callers_that_wait_and_end_leave_their_places_to_others() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        opened(lab, &server, "");
        let code = "import signal
full = socket.socket(socket.AF_UNIX); full.bind('full'); full.listen(0)
good = socket.socket(socket.AF_UNIX); good.bind('good'); good.listen(50)
# the queue has one place
first = socket.socket(socket.AF_UNIX); first.connect('full')
def waits():
    child = os.fork()
    if child == 0:
        one = socket.socket(socket.AF_UNIX); one.settimeout(None)
        while True:
            # EAGAIN: the parent has taken the last place to see whether it is there
            try: one.connect('full')
            except BlockingIOError: time.sleep(0.01)
    return child
def works(act):
    for _ in range(400):
        try: act(); return True
        except BlockingIOError: time.sleep(0.02)
    return False
def connects(): socket.socket(socket.AF_UNIX).connect('good'); good.accept()
for turn in range(6):
    children = [waits() for _ in range(64)]
    # until the last place is taken
    for _ in range(400):
        try: connects(); time.sleep(0.02)
        except BlockingIOError: break
    else: print('never full')
    socket.socket(socket.AF_UNIX).bind('bound%d' % turn)
    for child in children: os.kill(child, signal.SIGKILL); os.waitpid(child, 0)
    print(turn, works(connects))
first.close(); full.accept(); full.close()";
        lab.python(code).ends(0).prints("0 True\n1 True\n2 True\n3 True\n4 True\n5 True");
    });
}

/// A supervisor without room for a descriptor refuses this connection, and goes on answering.
#[test]
fn a_gate_without_room_for_a_socket_goes_on_answering() {
    each(CLAW, |lab| {
        let (server, other) = (echo(Lab::PRIVATE), echo(Lab::PRIVATE));
        lab.policy(
            &[
                format!("{}, protocol: TCP, path: brokered", server.rule("api.test")),
                other.rule("relay.test"),
            ],
            "filesystem: {write: [.]}\n",
        );
        let file = lab.program_file(&format!(
            "targets = [(socket.gethostbyname('api.test'), {}), (socket.gethostbyname('relay.test'), {})]
def tries():
    for target in targets:
        one = socket.socket()
        try: one.connect(target); print('peer', one.getpeername()[0] == '{}')
        except OSError as error: print(errno.errorcode[error.errno])
def until(name):
    open('up-' + name, 'w').close()
    while not os.path.exists(name): time.sleep(0.01)
until('full'); tries(); until('free'); tries()",
            server.port(),
            other.port(),
            server.ip()
        ));
        let running = lab.claw().start(&["python3", &file]);
        for (name, most) in [("full", "3:"), ("free", "20000:")] {
            let begun = Instant::now();
            while !lab.path(&format!("work/up-{name}")).exists() {
                assert!(begun.elapsed() < Duration::from_secs(10), "{name}");
                thread::sleep(Duration::from_millis(5));
            }
            lab.bare(&format!("prlimit --pid {} --nofile={most}", running.pid())).ends(0);
            lab.write(&format!("work/{name}"), "");
        }
        let run = running.end().ends(0).prints("ECONNREFUSED\nECONNREFUSED\npeer True\npeer False");
        run.denied("api.test", server.port(), "limit").denied("relay.test", other.port(), "limit");
    });
}
