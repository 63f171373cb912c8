//! Attacks on the gate that went through once.

use std::thread;
use std::time::{Duration, Instant};

use claw_testkit::{Authority, Lab, Server, User, each, echo, named, once, scripted, web, web_over_tls};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");
const NAME: &str = "api.lab.test";

fn wait_for(lab: &Lab, name: &str) {
    let begun = Instant::now();
    while !lab.path(&format!("work/{name}")).exists() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the agent never came to `{name}`");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A policy of one rule, in a working directory that the agent may change.
fn policy(lab: &Lab, rule: &str) {
    lab.policy(&[rule.to_owned()], "filesystem: {write: [.]}\n");
}

fn arrived(server: &Server) -> String {
    String::from_utf8_lossy(&server.received()).into_owned()
}

#[test]
fn certificates_that_the_agent_could_put_others_in_the_place_of_run_nothing() {
    each(CLAW, |lab| {
        let authority = Authority::new();
        let server = web_over_tls(Lab::PRIVATE, &authority, &[NAME]);
        lab.write("work/upstream.pem", &authority.pem());
        policy(lab, &format!("{}, http: ['GET /**'], upstream_ca: upstream.pem", server.rule(NAME)));
        let run = lab.run("echo ran").ends(2).warns("lies where the agent may write");
        assert!(!run.stdout.contains("ran"), "{run:#?}");
    });
}

#[test]
fn a_connection_that_waits_for_its_first_byte_is_judged_by_the_policy_of_that_moment() {
    each(CLAW, |lab| {
        let authority = Authority::new();
        let server = web_over_tls(Lab::PRIVATE, &authority, &[NAME]);
        lab.write("work/upstream.pem", &authority.pem());
        policy(lab, &server.rule(NAME).replace("addresses", "protocol: TCP/TLS, addresses"));
        let read = format!("{}, http: ['GET /public'], upstream_ca: /upstream.pem", server.rule(NAME));
        let code = format!(
            "connection = socket.create_connection(('{NAME}', {}))
open('open', 'w').close()
while not os.path.exists('go'): time.sleep(0.01)
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
def send():
    session = context.wrap_socket(connection, server_hostname='{NAME}')
    session.sendall(b'POST /secret HTTP/1.1\\r\\nHost: other.test\\r\\nContent-Length: 0\\r\\n\\r\\n')
    if not session.recv(100): raise EOFError('closed')
attempt(send)",
            server.port()
        );
        let file = lab.program_file(&code);
        let running = lab.claw().start(&["python3", &file]);
        wait_for(lab, "open");
        // the new rule cannot hold here (no certificate was made at the start), a rule for another port can
        policy(lab, &read);
        thread::sleep(Duration::from_millis(150));
        policy(lab, &format!("destination: \"{NAME}:1\", addresses: [\"10.77.0.1\"]"));
        thread::sleep(Duration::from_millis(150));
        lab.write("work/go", "");
        running.end().ends(1);
        assert_eq!(arrived(&server), "");
    });
}

#[test]
fn a_connection_that_waits_for_its_hello_does_not_keep_an_address_that_its_rule_has_given_up() {
    once(CLAW, User::Ordinary, |lab| {
        let authority = Authority::new();
        let (old, new) =
            (web_over_tls(Lab::PRIVATE, &authority, &[NAME]), web_over_tls(Lab::PUBLIC, &authority, &[NAME]));
        let rule = |ip: &str| {
            format!("destination: \"{NAME}:{}\", protocol: TCP/TLS, addresses: [\"{ip}\"]", old.port())
        };
        policy(lab, &rule(Lab::PRIVATE));
        let code = format!(
            "connection = socket.create_connection(('{NAME}', {}))
open('open', 'w').close()
while not os.path.exists('go'): time.sleep(0.01)
def send():
    connection.sendall(hello('{NAME}'))
    if not connection.recv(100): raise EOFError('closed')
attempt(send)",
            old.port()
        );
        let file = lab.program_file(&code);
        let running = lab.claw().start(&["python3", &file]);
        wait_for(lab, "open");
        policy(lab, &rule(Lab::PUBLIC));
        thread::sleep(Duration::from_millis(200));
        lab.write("work/go", "");
        running.end().ends(1);
        assert_eq!((old.arrivals(), new.arrivals()), (0, 0));
    });
}

#[test]
fn trailers_and_heads_are_bytes_too() {
    each(CLAW, |lab| {
        let server = web(Lab::PRIVATE);
        policy(
            lab,
            &format!(
                "{}, protocol: TCP/HTTP, http: ['* /**'], limits: {{bytes_out: 20000}}",
                server.rule(NAME)
            ),
        );
        let code = format!(
            "sent = 0
for _ in range(40):
    connection = socket.create_connection(('{NAME}', {0}))
    trailers = b''.join(b'X-%d: ' % n + b'y' * 900 + b'\\r\\n' for n in range(8))
    connection.sendall(b'POST /a HTTP/1.1\\r\\nHost: {NAME}:{0}\\r\\nTransfer-Encoding: chunked\\r\\nTrailer: ' + b','.join(b'X-%d' % n for n in range(8)) + b'\\r\\n\\r\\n1\\r\\nx\\r\\n0\\r\\n' + trailers + b'\\r\\n')
    if b' 200 ' in connection.recv(100): sent += 1
print('answered', sent)",
            server.port()
        );
        let run = lab.python(&code).ends(0);
        let answered: u32 = run.stdout.trim().rsplit(' ').next().unwrap().parse().unwrap();
        assert!((1..5).contains(&answered), "{run:#?}");
        let head: &'static [u8] = Box::leak(
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{}\r\n",
                format!("X: {}\r\n", "y".repeat(1000)).repeat(20)
            )
            .into_bytes()
            .into_boxed_slice(),
        );
        let server = scripted(Lab::PRIVATE, head);
        policy(
            lab,
            &format!(
                "{}, protocol: TCP/HTTP, http: ['* /**'], limits: {{bytes_in: 50000}}",
                server.rule(NAME)
            ),
        );
        let url = format!("http://{NAME}:{}/a", server.port());
        let run = lab
            .run(&format!("for n in 1 2 3 4 5 6; do curl -sS -o /dev/null -w '%{{http_code}} ' {url}; done"));
        assert_eq!(run.stdout.trim(), "200 200 403 403 403 403", "{run:#?}");
    });
}

#[test]
fn a_limit_that_a_new_policy_brings_holds_for_what_goes_on() {
    once(CLAW, User::Ordinary, |lab| {
        let server = web(Lab::PRIVATE);
        let rule =
            |limits: &str| format!("{}, protocol: TCP/HTTP, http: ['GET /ws']{limits}", server.rule(NAME));
        policy(lab, &rule(""));
        let code = format!(
            "connection = socket.create_connection(('{NAME}', {0}))
connection.sendall(b'GET /ws HTTP/1.1\\r\\nHost: {NAME}:{0}\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nSec-WebSocket-Key: eA==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n')
assert b' 101 ' in connection.recv(1000)
connection.sendall(b'x'); connection.recv(1)
open('open', 'w').close()
while not os.path.exists('go'): time.sleep(0.01)
moved = 0
try:
    while moved < 1 << 20:
        connection.sendall(b'x' * 1000); moved += len(connection.recv(1000, socket.MSG_WAITALL)) or 1 << 30
except OSError: pass
print('moved', moved if moved < 1 << 30 else moved - (1 << 30))",
            server.port()
        );
        let file = lab.program_file(&code);
        let running = lab.claw().start(&["python3", &file]);
        wait_for(lab, "open");
        policy(lab, &rule(", limits: {bytes_out: 5000}"));
        thread::sleep(Duration::from_millis(200));
        lab.write("work/go", "");
        let run = running.end().ends(0);
        let moved: u64 = run.stdout.trim().rsplit(' ').next().unwrap().parse().unwrap();
        assert!(moved <= 5000, "{run:#?}");
    });
}

#[test]
fn what_waits_in_a_handed_socket_is_dropped_when_it_is_taken_back() {
    each(CLAW, |lab| {
        // a destination that does not read until it is told to
        let listener = std::net::TcpListener::bind((Lab::PRIVATE, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let rule = |limits: &str| {
            format!(
                "destination: \"{NAME}:{port}\", addresses: [\"{}\"], protocol: TCP, path: brokered{limits}",
                Lab::PRIVATE
            )
        };
        for (limits, revoked) in [("", true), (", limits: {bytes_out: 100KiB}", false)] {
            policy(lab, &rule(limits));
            let code = format!(
                "connection = socket.create_connection(('{NAME}', {port})); connection.setblocking(False)
sent = 0
try:
    while True: sent += connection.send(b'x' * 65536)
except BlockingIOError: pass
print('sent', sent); open('open', 'w').close()
if {revoked}:
    while not os.path.exists('go'): time.sleep(0.01)
connection.close(); time.sleep(0.3)",
                revoked = if revoked { "True" } else { "False" }
            );
            let file = lab.program_file(&code);
            let running = lab.claw().start(&["python3", &file]);
            let (mut connection, _) = listener.accept().unwrap();
            wait_for(lab, "open");
            if revoked {
                lab.write("policy.yaml", "version: 1\n");
                thread::sleep(Duration::from_millis(300));
                lab.write("work/go", "");
            }
            let run = running.end().ends(0);
            let sent: usize = run.stdout.trim().rsplit(' ').next().unwrap().parse().unwrap();
            connection.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            let mut bytes = Vec::new();
            let _ = std::io::Read::read_to_end(&mut connection, &mut bytes);
            assert!(bytes.len() < sent, "of {sent} bytes all were delivered: {run:#?}");
            let close = run.of_kind("close")[0];
            let expect = if revoked { "revoked" } else { "limit" };
            assert_eq!(close["end"], expect, "{run:#?}");
            assert!(close["bytes_out"].as_u64() >= Some(sent as u64), "{close}");
            for name in ["open", "go"] {
                let _ = std::fs::remove_file(lab.path(&format!("work/{name}")));
            }
        }
    });
}

#[test]
fn streams_do_not_use_up_every_descriptor() {
    once(CLAW, User::Ordinary, |lab| {
        let authority = Authority::new();
        let listener = std::net::TcpListener::bind((Lab::PRIVATE, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let kept = std::sync::Arc::clone(&accepted);
        thread::spawn(move || {
            listener.incoming().flatten().for_each(|stream| kept.lock().unwrap().push(stream))
        });
        let rule = format!("destination: \"{NAME}:{port}\", addresses: [\"{}\"]", Lab::PRIVATE);
        lab.write("upstream.pem", &authority.pem());
        policy(lab, &format!("{}, http: ['GET /**'], upstream_ca: ../upstream.pem", rule));
        // many streams to a destination that accepts and says nothing: each wants a connection of its own
        let code = format!(
            "import resource
def frame(kind, flags, stream, body=b''):
    return len(body).to_bytes(3, 'big') + bytes([kind, flags]) + stream.to_bytes(4, 'big') + body
def field(name, value): return b'\\x00' + bytes([len(name)]) + name + bytes([len(value)]) + value
head = field(b':method', b'GET') + field(b':scheme', b'https') + field(b':path', b'/x') + field(b':authority', b'{NAME}:{0}')
context = ssl.create_default_context(); context.set_alpn_protocols(['h2']); kept = []
for _ in range(12):
    try: raw = context.wrap_socket(socket.create_connection(('{NAME}', {0})), server_hostname='{NAME}')
    except OSError: break
    raw.sendall(b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n' + frame(4, 0, 0) + b''.join(frame(1, 5, n * 2 + 1, head) for n in range(90)))
    kept.append(raw)
time.sleep(1); open('open', 'w').close()
while not os.path.exists('go'): time.sleep(0.01)
time.sleep(0.2)",
            port
        );
        let file = lab.program_file(&code);
        // as few descriptors as a user may have
        let running =
            lab.claw().inside(&["prlimit", "--nofile=1024:1024"]).within(40).start(&["python3", &file]);
        wait_for(lab, "open");
        lab.write("policy.yaml", "version: 1\n");
        thread::sleep(Duration::from_millis(400));
        lab.write("work/go", "");
        let run = running.end().ends(0);
        assert!(run.of_kind("policy").iter().any(|record| record["to"].is_string()), "{run:#?}");
        let count = accepted.lock().unwrap().len();
        assert!((200..450).contains(&count), "{count}");
    });
}

#[test]
fn bytes_that_left_are_told_though_nobody_answered() {
    once(CLAW, User::Ordinary, |lab| {
        // a destination that takes everything and says nothing
        let listener = std::net::TcpListener::bind((Lab::PRIVATE, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut bytes = Vec::new();
            let _ = std::io::Read::read_to_end(&mut connection, &mut bytes);
            bytes.len()
        });
        let address = format!("destination: \"{NAME}:{port}\", addresses: [\"{}\"]", Lab::PRIVATE);
        policy(lab, &format!("{address}, protocol: TCP/HTTP, http: ['POST /x', 'GET /y']"));
        let code = format!(
            "connection = socket.create_connection(('{NAME}', {port}))
connection.sendall(b'POST /x HTTP/1.1\\r\\nHost: {NAME}:{port}\\r\\nContent-Length: 1000000\\r\\n\\r\\n' + b'x' * 1000000)
time.sleep(0.5); connection.close()"
        );
        let run = lab.python(&code).ends(0);
        let taken = taken.join().unwrap();
        assert!(taken > 1_000_000, "{taken}");
        let told = run.stderr.lines().find(|line| line.contains(&format!("{NAME}:{port}  tool  1x")));
        let told = told.and_then(|line| line.split("  ").last()?.split(' ').next()?.parse::<u64>().ok());
        assert!(told >= Some(1_000_000), "{run:#?}");
        assert!(!run.stderr.contains("reached: nothing") && !run.stderr.contains("no answer"), "{run:#?}");
    });
}

#[test]
fn a_limit_that_is_met_is_told_once_and_as_a_limit() {
    once(CLAW, User::Ordinary, |lab| {
        let server = web(Lab::PRIVATE);
        for (limits, body) in [
            ("bytes_out: 200", 1_000),
            ("bytes_out: 200", 3_000_000),
            ("bytes_out: 20", 0),
            ("bytes_in: 20", 0),
        ] {
            policy(
                lab,
                &format!("{}, protocol: TCP/HTTP, http: ['* /**'], limits: {{{limits}}}", server.rule(NAME)),
            );
            let code = format!(
                "connection = socket.create_connection(('{NAME}', {0}))
try: connection.sendall(b'POST /any HTTP/1.1\\r\\nHost: {NAME}:{0}\\r\\nContent-Length: {body}\\r\\n\\r\\n' + b'x' * {body})
except OSError: pass
print(connection.recv(4096).decode().replace('\\r\\n', ' '))",
                server.port()
            );
            let run = lab.python(&code).ends(0).says(" 403 ").says("claw-denied: limit");
            let denied: Vec<_> =
                run.of_kind("request").into_iter().filter(|record| record["decision"] == "deny").collect();
            assert_eq!(denied.len(), 1, "{limits}, {body}: {run:#?}");
            assert_eq!(denied[0]["reason"], "limit");
            assert!(denied[0]["rule"].is_string(), "the rule whose limit it is: {run:#?}");
            assert!(run.of_kind("repeat").is_empty(), "{run:#?}");
            assert_eq!(run.of_kind("close")[0]["end"], "limit", "{limits}, {body}: {run:#?}");
            assert!(run.stderr.contains("limit  1x"), "{run:#?}");
        }
    });
}

#[test]
fn a_path_that_is_cut_in_a_record_says_so() {
    once(CLAW, User::Ordinary, |lab| {
        let server = web(Lab::PRIVATE);
        policy(lab, &format!("{}, protocol: TCP/HTTP, http: ['GET /any/**']", server.rule(NAME)));
        let begin = format!("/any/{}", "a".repeat(2000));
        let base = format!("http://{NAME}:{}", server.port());
        let run = lab
            .run(&format!("curl -sS -o /dev/null {base}{begin}/read {base}{begin}/delete-everything"))
            .ends(0);
        let told: Vec<_> =
            run.of_kind("request").iter().map(|record| record["path"].as_str().unwrap().to_owned()).collect();
        assert_eq!(told.len(), 2, "{run:#?}");
        assert_ne!(told[0], told[1]);
        let expect = format!(
            "{}… (2023 characters, {})",
            begin.get(..1000).unwrap(),
            claw_model::digest::Digest::of(format!("{begin}/delete-everything").as_bytes())
        );
        assert_eq!(told[1], expect);
    });
}

#[test]
fn many_sessions_of_http_2_do_not_fill_the_memory() {
    once(CLAW, User::Ordinary, |lab| {
        let authority = Authority::new();
        let server = web_over_tls(Lab::PRIVATE, &authority, &[NAME]);
        lab.write("upstream.pem", &authority.pem());
        policy(lab, &format!("{}, http: ['GET /**'], upstream_ca: ../upstream.pem", server.rule(NAME)));
        // every session asks for large answers and takes nothing of them: by windows that stay closed, or by open ones whose
        // connection is not read
        for (window, most) in [("bytes(4)", 150), ("b'\\x7f\\xff\\xff\\xff'", 180)] {
            let code = format!(
                "def frame(kind, flags, stream, body=b''):
    return len(body).to_bytes(3, 'big') + bytes([kind, flags]) + stream.to_bytes(4, 'big') + body
def field(name, value): return b'\\x00' + bytes([len(name)]) + name + bytes([len(value)]) + value
head = field(b':method', b'GET') + field(b':scheme', b'https') + field(b':path', b'/bytes/8000000') + field(b':authority', b'{NAME}:{0}')
context = ssl.create_default_context(); context.set_alpn_protocols(['h2', 'http/1.1']); kept = []
for number in range(160):
    raw = socket.socket(); raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096); raw.connect(('{NAME}', {0}))
    raw = context.wrap_socket(raw, server_hostname='{NAME}')
    if raw.selected_alpn_protocol() != 'h2': break
    raw.sendall(b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n' + frame(4, 0, 0, b'\\x00\\x04' + {window}) + frame(8, 0, 0, b'\\x7f\\xff\\x00\\x00'))
    raw.sendall(b''.join(frame(1, 5, n * 2 + 1, head) for n in range(16)))
    kept.append(raw)
time.sleep(2)
print(len(kept))
context.set_alpn_protocols(['h2'])
try: context.wrap_socket(socket.create_connection(('{NAME}', {0})), server_hostname='{NAME}')
except OSError as error: print(repr(error))",
                server.port()
            );
            let file = lab.program_file(&code);
            let running = lab.claw().within(100).start(&["python3", &file]);
            let peak = peak(&running);
            let run = running.end().ends(0).says("128\n");
            assert!(peak < most * 1024, "claw grew to {peak} kB");
            // what comes after them speaks HTTP/1.1, or nothing, and that is told
            run.says("no application protocol").denied(NAME, server.port(), "limit");
        }
    });
}

/// The most memory that claw held while it ran, in kB.
fn peak(running: &claw_testkit::Running<'_>) -> u64 {
    let status = format!("/proc/{}/status", running.pid());
    let mut peak = 0;
    while let Ok(text) = std::fs::read_to_string(&status) {
        let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
        peak = line.trim().trim_end_matches(" kB").parse().unwrap_or(u64::MAX);
        thread::sleep(Duration::from_millis(20));
    }
    peak
}

#[test]
fn names_that_are_looked_up_do_not_use_up_every_descriptor() {
    once(CLAW, User::Ordinary, |lab| {
        // a name server that says nothing until it is told to
        let names = std::net::UdpSocket::bind((Lab::PRIVATE, 53)).unwrap();
        lab.write("resolv.conf", &format!("nameserver {}\noptions timeout:20 attempts:1\n", Lab::PRIVATE));
        let server = echo(Lab::PRIVATE);
        policy(lab, &format!("destination: '*.many.test:{}', private: allow, protocol: TCP", server.port()));
        let code = format!(
            "kept = [socket.create_connection(('n%d.many.test' % number, {})) for number in range(270)]
open('open', 'w').close(); good = 0
for connection in kept:
    try:
        connection.settimeout(20); connection.sendall(b'x'); good += connection.recv(1) == b'x'
    except OSError: pass
print('good', good)",
            server.port()
        );
        let file = lab.program_file(&code);
        let running =
            lab.claw().inside(&["prlimit", "--nofile=1024:1024"]).within(60).start(&["python3", &file]);
        wait_for(lab, "open");
        // time for questions to be asked again
        thread::sleep(Duration::from_millis(1500));
        thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, from)) = names.recv_from(&mut question) {
                let _ = names.send_to(&named(&question[..length]), from);
            }
        });
        let run = running.end().ends(0).says("good 270");
        assert!(run.of_kind("close").iter().all(|record| record["end"] != "no-address"), "{run:#?}");
    });
}
