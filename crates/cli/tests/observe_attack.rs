//! Attacks on `claw observe`: nothing leaves, nothing secret is written down, nothing fills up.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;

use claw_testkit::{Authority, Lab, Outcome, User, each, names, once, sink, sink_datagrams};
use serde_json::Value;

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// Packets that every interface of the lab's network has sent or received.
fn packets() -> Vec<String> {
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    table.lines().skip(2).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn find<'a>(run: &'a Outcome, kind: &str, destination: &str, port: u16) -> &'a Value {
    let mut found = run.of_kind(kind).into_iter();
    let found = found.find(|record| record["destination"] == destination && record["port"] == port);
    found.unwrap_or_else(|| panic!("no {kind} about {destination}:{port} in {run:#?}"))
}

/// Everything that is tried at once: names, literal addresses of both families, datagrams, DNS to servers of one's own.
const REACH: &str = "
def try_stream(address, data):
    try:
        with socket.create_connection(address, 3) as s:
            s.sendall(data)
            s.settimeout(3)
            return s.recv(10)
    except OSError as error:
        print('stream', address, error)
for address in ['8.8.8.8', '10.77.0.1', '169.254.169.254', '2606:4700:4700::1111', 'fd77::1', 'named.lab.test', '1.1.1.1']:
    for port in (80, 443, 4433):
        assert try_stream((address, port), b'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n') is not None, (address, port)
for address in ['8.8.8.8', '10.77.0.1', '169.254.169.254', '2606:4700:4700::1111', 'fd77::1', '239.1.2.3']:
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM)
    for port in (123, 443, 4434):
        try:
            s.sendto(b'\\xc3\\0\\0\\0\\1\\x08' + b'x' * 1190, (address, port))
        except OSError as error:
            print('datagram', address, error)
question = b'\\x12\\x34\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0\\x04leak\\x04evil\\x04test\\0\\0\\x01\\0\\x01'
for server in ['8.8.8.8', '10.77.0.1']:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(question, (server, 53))
    assert s.recv(512)[:2] == b'\\x12\\x34', server
print('done')
";

#[test]
fn not_one_byte_leaves() {
    each(CLAW, |lab| {
        let every = [Lab::PUBLIC, Lab::PRIVATE, Lab::METADATA, Lab::PUBLIC6, Lab::PRIVATE6];
        let mut servers: Vec<_> =
            every.iter().flat_map(|ip| [80, 443, 4433].map(|port| sink(ip, port))).collect();
        servers.extend(every.iter().flat_map(|ip| [123, 443, 4434].map(|port| sink_datagrams(ip, port))));
        servers.extend([names(Lab::PUBLIC), names(Lab::PRIVATE)]);
        lab.hosts(&format!("{} named.lab.test", Lab::PUBLIC));
        let file = lab.program_file(REACH);
        let before = packets();
        let run =
            lab.observe().option(&["--answer", "all"]).command(&["python3", &file]).ends(0).says("done");
        assert_eq!(packets(), before, "a packet was seen outside");
        assert!(servers.iter().all(|server| server.arrivals() == 0 && server.received().is_empty()));
        // and the same leaves where nothing stops it: the counters and the servers do see
        lab.bare_python("talk(('8.8.8.8', 4433))").ends(0);
        assert!(packets() != before && servers.iter().any(|server| server.arrivals() > 0));
        for (destination, port) in
            [("8.8.8.8", 443), ("fd77::1", 80), ("169.254.169.254", 80), ("named.lab.test", 4433)]
        {
            assert!(run.decided(destination, port, "sink", ""), "{destination} {port} {run:#?}");
        }
    });
}

#[test]
fn datagrams_to_anywhere_are_accepted_named_and_not_answered() {
    each(CLAW, |lab| {
        let code = "
s, s6 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
for _ in range(3):
    s.sendto(b'\\xc3\\0\\0\\0\\1\\x08' + b'x' * 1190, ('quic.lab.test', 443))
s.sendto(b'\\x23' + b'\\0' * 47, ('192.0.2.1', 123))
s6.sendto(b'\\0\\1\\0\\0\\x21\\x12\\xa4\\x42abcdefghijkl', ('2606:4700:4700::1111', 3478))
own = [line.split()[1] for line in open('/etc/resolv.conf') if line.startswith('nameserver')][0]
try:
    s.sendto(b'x', (own, 1))
    print('THE GATE ITSELF')
except OSError:
    pass
s.settimeout(0.3)
try:
    print('ANSWERED', s.recv(10))
except OSError:
    print('silence')";
        let file = lab.program_file(code);
        let run = lab.observe().command(&["python3", &file]).ends(0).prints("silence");
        let close = find(&run, "close", "quic.lab.test", 443);
        assert_eq!((&close["application"], &close["bytes_out"]), (&"quic".into(), &3588.into()), "{run:#?}");
        assert_eq!(find(&run, "close", "192.0.2.1", 123)["application"], "ntp");
        assert_eq!(find(&run, "close", "2606:4700:4700::1111", 3478)["application"], "stun");
        assert_eq!(find(&run, "connect", "quic.lab.test", 443)["protocol"], "UDP");
    });
}

#[test]
fn any_name_server_is_this_one_and_is_written_down() {
    once(CLAW, User::Ordinary, |lab| {
        let server = names(Lab::PUBLIC);
        let code = "
def question(name, kind):
    labels = b''.join(bytes([len(part)]) + part for part in name.split(b'.'))
    return b'\\x12\\x34\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0' + labels + b'\\0' + struct.pack('>HH', kind, 1)
def ask(server, name, kind):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(question(name, kind), (server, 53))
        answer = s.recv(512)
        return answer[3] & 15, struct.unpack('>H', answer[6:8])[0]
assert ask('8.8.8.8', b'one.evil.test', 1) == (0, 1)
assert ask('8.8.8.8', b'one.evil.test', 65) == (0, 0), 'no HTTPS record, which could carry keys'
assert ask('8.8.8.8', b'a\\x1bb.test', 1) == (3, 0), 'not a host name'
with socket.create_connection(('9.9.9.9', 53), 3) as s:
    asked = question(b'two.evil.test', 28)
    s.sendall(struct.pack('>H', len(asked)) + asked)
    assert s.recv(512)[8:10] == b'\\0\\x01'
print('done')";
        let file = lab.program_file(code);
        let run = lab.observe().command(&["python3", &file]).ends(0).prints("done");
        assert_eq!(server.arrivals(), 0);
        assert!(run.looked_up("one.evil.test", "sink") && run.looked_up("two.evil.test", "sink"), "{run:#?}");
        assert_eq!(find(&run, "connect", "8.8.8.8", 53)["decision"], "sink");
        assert_eq!(find(&run, "connect", "9.9.9.9", 53)["protocol"], "TCP");
    });
}

#[test]
fn tls_is_named_whatever_its_hello_says() {
    each(CLAW, |lab| {
        let code = "
def say(address, data):
    with socket.create_connection(address, 3) as s:
        s.sendall(data); s.settimeout(3)
        try: s.recv(100)
        except OSError: pass
say(('odd.lab.test', 443), hello('other.front.test'))
say(('none.lab.test', 443), hello(None))
say(('ech.lab.test', 443), extended(hello('public.front.test'), 0xfe0d, b'\\0' * 40))
say(('two.lab.test', 443), extended(hello(None), 0, b'\\0\\x0e\\0\\0\\4a.ab\\0\\0\\4b.ab'))
say(('bad.lab.test', 443), b'\\x16\\3\\1\\0\\5\\1\\0\\0\\1\\0')
context = ssl.create_default_context(); context.set_alpn_protocols(['x-own'])
with socket.create_connection(('alpn.lab.test', 8443), 3) as s:
    with context.wrap_socket(s, server_hostname='alpn.lab.test') as t:
        assert t.selected_alpn_protocol() == 'x-own'
        t.sendall(b'SSH-2.0-hidden\\r\\n'); time.sleep(.2)
print('done')";
        let file = lab.program_file(code);
        let run = lab.observe().command(&["python3", &file]).ends(0).prints("done");
        let seen = |name: &str, port| {
            let close = find(&run, "close", name, port);
            (close["application"].clone(), close["sni"].clone(), close["end"].clone())
        };
        let tls = |sni: Value, end: &str| (Value::from("tls"), sni, Value::from(end));
        assert_eq!(seen("odd.lab.test", 443), tls("other.front.test".into(), "not-trusted-inside"));
        assert_eq!(seen("none.lab.test", 443), tls(Value::Null, "not-trusted-inside"));
        assert_eq!(seen("ech.lab.test", 443), tls("public.front.test".into(), "ech"));
        assert_eq!(seen("two.lab.test", 443).1, Value::Null);
        assert_eq!(seen("bad.lab.test", 443), tls(Value::Null, "not-tls"));
        assert_eq!(seen("alpn.lab.test", 8443).1, "alpn.lab.test");
        assert_eq!(find(&run, "close", "alpn.lab.test", 8443)["alpn"], "x-own");
    });
}

#[test]
fn a_client_that_pins_its_authority_is_written_down_as_refusing() {
    each(CLAW, |lab| {
        lab.write("work/own.pem", &Authority::new().pem());
        let run = lab.observe().sh("for version in 1.2 1.3; do
               curl -sS --tls-max $version --cacert own.pem https://pinned$version.lab.test/secret; done");
        for name in ["pinned1.2.lab.test", "pinned1.3.lab.test"] {
            assert_eq!(find(&run, "close", name, 443)["end"], "not-trusted-inside", "{run:#?}");
        }
        assert!(run.of_kind("request").is_empty(), "{run:#?}");
    });
}

#[test]
fn plain_protocols_are_named_and_a_client_that_waits_is_silent() {
    each(CLAW, |lab| {
        let code = "
cases = {22: b'SSH-2.0-x\\r\\n', 5432: bytes([0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]), 6379: b'*1\\r\\n$4\\r\\nPING\\r\\n',
         5672: b'AMQP\\0\\0\\x09\\1', 1883: b'\\x10\\x0e\\0\\4MQTT\\5\\2', 9999: b'hello there'}
for port, data in cases.items():
    with socket.create_connection(('plain.lab.test', port), 3) as s:
        s.sendall(data); s.shutdown(socket.SHUT_WR)
        s.recv(10)
with socket.create_connection(('plain.lab.test', 25), 3) as s:
    s.settimeout(10); begun = time.monotonic()
    assert s.recv(10) == b'' and time.monotonic() - begun < 5";
        let file = lab.program_file(code);
        let run = lab.observe().command(&["python3", &file]).ends(0);
        let cases = [
            (22, "ssh"),
            (5432, "postgresql"),
            (6379, "redis"),
            (5672, "amqp"),
            (1883, "mqtt"),
            (9999, "unknown"),
            (25, "silent"),
        ];
        for (port, name) in cases {
            assert_eq!(find(&run, "close", "plain.lab.test", port)["application"], name, "{port} {run:#?}");
        }
        assert_eq!(find(&run, "close", "plain.lab.test", 25)["end"], "silence");
    });
}

#[test]
fn no_secret_is_written_down_wherever_it_stands() {
    each(CLAW, |lab| {
        let run = lab.observe().option(&["--answer", "openai"]).sh("
            curl -sS -H 'Authorization: Bearer SECRET-1' https://a.test/
            curl -sS -H 'Authorization: SECRET-2' -H 'X-Api-Key: SECRET-3' -b 'session=SECRET-4' https://b.test/
            curl -sS 'https://c.test/p?key=SECRET-5&SECRET-6&a%3dSECRET-7' 'http://user:SECRET-8@d.test/'
            curl -sS -x http://u:SECRET-9@proxy.test:3128 http://inner:SECRET-10@e.test/
            curl -sS -d '{\"messages\": [{\"content\": \"SECRET-11\"}]}' https://f.test/v1/chat/completions
            curl -sS -H 'Host: u:SECRET-12@g.test' http://g.test/
            printf 'GET http://x:SECRET-13@h.test/?SECRET-14 HTTP/1.1\\r\\nHost: h.test\\r\\n\\r\\n' | nc -q 1 h.test 80
            printf 'SECRET-15 is not http\\r\\n' | nc -q 1 i.test 80
            printf 'SECRET-16' | nc -u -q 1 j.test 999; true");
        let ledger = fs::read_to_string(run.ledger.as_ref().unwrap()).unwrap();
        // the first record is the command, which the person who ran it chose
        let (start, rest) = ledger.split_once('\n').unwrap();
        assert!(start.contains("SECRET-1") && !rest.to_uppercase().contains("SECRET"), "{rest}");
        assert!(!run.stderr.contains("SECRET"), "{}", run.stderr);
        let kind = |name: &str, port| find(&run, "request", name, port)["credential"].clone();
        assert_eq!(kind("a.test", 443), "bearer");
        assert_eq!(kind("b.test", 443), "authorization");
        assert_eq!(kind("c.test", 443), "query");
        assert_eq!(kind("d.test", 80), "basic");
        assert_eq!(find(&run, "request", "f.test", 443)["status"], 200);
        assert_eq!(find(&run, "request", "proxy.test", 3128)["host"], "e.test", "{run:#?}");
    });
}

#[test]
fn hostile_words_cannot_move_the_terminals_cursor() {
    each(CLAW, |lab| {
        let code = "
def raw(host, data):
    with socket.create_connection((host, 80), 3) as s:
        s.sendall(data); s.settimeout(2)
        try: s.recv(1000)
        except OSError: pass
raw('a.test', b'GET /\\x1b[2J\\x1b]0;owned\\x07 HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')
raw('b.test', 'GET /\\u202e/\\u200b HTTP/1.1\\r\\nHost: b\\r\\nUser-Agent: \\u202eevil\\r\\n\\r\\n'.encode())
raw('c.test', b'GET / HTTP/1.1\\r\\nHost: \\xff\\x9b2J\\r\\nUser-Agent: \\xff\\x9b2J\\r\\nCookie: \\xff\\r\\n\\r\\n')
raw('d.test', b'G\\x1bT / HTTP/1.1\\r\\n\\r\\n')
raw('e.test', b'GET /' + b'a' * 60000 + b'?' + b'n' * 3000 + b'=1 HTTP/1.1\\r\\nHost: e\\r\\nUser-Agent: ' + b'u' * 2000 + b'\\r\\n\\r\\n')";
        let file = lab.program_file(code);
        let run = lab.observe().command(&["python3", &file]).ends(0);
        let shown = lab.cli(&["ledger", "show", &run.ledger.as_ref().unwrap().to_string_lossy()]).ends(0);
        let hidden = ['\u{1b}', '\u{7}', '\u{202e}', '\u{200b}', '\u{9b}'];
        for text in [&run.stderr, &shown.stdout] {
            assert!(!text.contains(hidden), "{text:?}");
        }
        let bytes = fs::read(run.ledger.as_ref().unwrap()).unwrap();
        assert!(bytes.iter().all(|byte| *byte == b'\n' || *byte >= b' '));
        assert!(bytes.split(|byte| *byte == b'\n').all(|line| line.len() < 6_000), "a record has a bound");
    });
}

#[test]
fn a_flood_fills_neither_the_ledger_nor_memory() {
    once(CLAW, User::Ordinary, |lab| {
        let code = "
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for n in range(20000):
    s.sendto(b'x', ('198.51.%d.%d' % (n >> 8 & 255, n & 255), 1000 + n % 30000))
for n in range(4000):
    try: socket.getaddrinfo('h%d.flood.test' % n, 80, socket.AF_INET)
    except OSError: pass
open_ones = []
for n in range(3000):
    try:
        c = socket.create_connection(('203.0.113.%d' % (n % 250 + 1), 1000 + n), 3)
        c.sendall(b'GET /%d HTTP/1.1\\r\\nHost: x\\r\\nUser-Agent: %d\\r\\n\\r\\n' % (n, n))
        if n % 10 == 0: open_ones.append(c)
        else: c.close()
    except OSError: pass
print('done')";
        let file = lab.program_file(code);
        let running = lab.observe().within(120).start(&["python3", &file]);
        let status = format!("/proc/{}/status", running.pid());
        let mut highest = 0u64;
        while let Ok(text) = fs::read_to_string(&status) {
            let Some(line) = text.lines().find(|line| line.starts_with("VmHWM:")) else { break };
            highest = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let run = running.end().ends(0).says("done");
        let size = fs::metadata(run.ledger.as_ref().unwrap()).unwrap().len();
        let seconds = run.took.as_secs() + 1;
        let bound = 2_000 + (200 + 200) * seconds + 4_096;
        assert!(run.records.len() as u64 <= bound, "{} records in {seconds} s", run.records.len());
        assert!(size < bound * 700, "{size} bytes");
        assert!(highest > 0 && highest < 160 * 1024, "{highest} KiB of memory");
        let counted: u64 = run.of_kind("repeat").iter().map(|record| record["count"].as_u64().unwrap()).sum();
        // datagrams may be lost on their way to the gate, as in any network; what comes with an answer is not
        assert!(counted + run.records.len() as u64 > 12_000, "everything is counted: {counted}");
        assert!(run.stderr.lines().count() < 30_000);
    });
}
