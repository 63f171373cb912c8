//! Requests that two readers understand differently: each is refused, or passed on in one form that has one meaning.
//! Never a second request that was not judged, never a hang. The cases: RFC 9112, sections 2.2, 3.2, 5.1, 5.2, 6.1, 6.3,
//! 7.1 and 11.2; RFC 9113, sections 8.1 to 8.3 and 10.5.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use claw_testkit::{
    Authority, Lab, Outcome, Server, User, each, once, playing, scripted, strict, web, web_over_tls,
};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");
const NAME: &str = "api.lab.test";

/// Sends each of these byte strings on a connection of its own, and prints the status lines that come back.
const SEND: &str = r"
def send(name, data, pause=0.0):
    connection = socket.create_connection((HOST, PORT))
    begun, answer = time.monotonic(), b''
    try:
        for part in data if isinstance(data, list) else [data]:
            connection.sendall(part); time.sleep(pause)
        connection.shutdown(socket.SHUT_WR)
        while True:
            part = connection.recv(65536)
            if not part: break
            answer += part
    except (ConnectionError, BrokenPipeError):
        pass
    took = time.monotonic() - begun
    import re; statuses = [status.decode() for status in re.findall(rb'HTTP/1\.\d (\d+)', answer)]
    print(name, ','.join(statuses) or 'closed', 'HANG' if took > 3 else '')
";

fn opened(lab: &Lab, server: &Server) {
    lab.policy(&[format!("{}, protocol: TCP/HTTP, http: ['GET /ok', 'POST /ok']", server.rule(NAME))], "");
}

fn sent(lab: &Lab, server: &Server, cases: &str) -> Outcome {
    let code = format!(
        "HOST, PORT = '{NAME}', {}\nH = b'Host: {NAME}:{}\\r\\n'\n{SEND}\n{cases}",
        server.port(),
        server.port()
    );
    lab.python(&code).ends(0)
}

/// What the ledger says was let through is what arrived, and nothing of it is a violation.
fn agree(run: &Outcome, server: &Server) {
    let arrived = String::from_utf8(server.received()).unwrap();
    assert!(!arrived.contains("VIOLATION"), "{arrived}\n{run:#?}");
    assert!(!arrived.contains("smuggled"), "{arrived}\n{run:#?}");
    let allowed = run.of_kind("request").iter().filter(|record| record["decision"] == "allow").count();
    assert!(arrived.lines().count() <= allowed, "{arrived}\n{run:#?}");
    assert!(!run.stdout.contains("HANG"), "{run:#?}");
}

#[test]
fn ambiguous_framing_brings_no_second_request() {
    each(CLAW, |lab| {
        let server = strict(Lab::PRIVATE);
        opened(lab, &server);
        let run = sent(
            lab,
            &server,
            r"
inner = b'GET /smuggled HTTP/1.1\r\n' + H + b'\r\n'
post = b'POST /ok HTTP/1.1\r\n' + H
send('good', b'GET /ok HTTP/1.1\r\n' + H + b'\r\n')
send('clte', post + b'Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' % (5 + len(inner)) + inner)
send('tecl', post + b'Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n%x\r\n' % len(inner) + inner + b'\r\n0\r\n\r\n')
send('twocl', post + b'Content-Length: 0\r\nContent-Length: %d\r\n\r\n' % len(inner) + inner)
send('listcl', post + b'Content-Length: 0, %d\r\n\r\n' % len(inner) + inner)
send('pluscl', post + b'Content-Length: +%d\r\n\r\n' % len(inner) + inner)
send('negcl', post + b'Content-Length: -1\r\n\r\n' + inner)
send('hexcl', post + b'Content-Length: 0x10\r\n\r\n' + inner)
send('spacecl', post + b'Content-Length : 0\r\n\r\n' + inner)
send('hugecl', post + b'Content-Length: 99999999999999999999999\r\n\r\n' + inner)
send('teobfus', post + b'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n' + inner)
send('tetwice', post + b'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n' + inner)
send('tetab', post + b'Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n' + inner)
send('tevtab', post + b'Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n' + inner)
send('tegzip', post + b'Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n' + inner)
send('te10', b'POST /ok HTTP/1.0\r\n' + H + b'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n' + inner)
send('chunkext', post + b'Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n')
send('chunkextlf', post + b'Transfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n' + inner)
send('chunkbig', post + b'Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n' + inner)
send('chunkneg', post + b'Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n' + inner)
send('chunkbare', post + b'Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n' + inner)
send('chunknoend', post + b'Transfer-Encoding: chunked\r\n\r\n3\r\nabcGET /smuggled HTTP/1.1\r\n\r\n')
send('barelf', b'GET /ok HTTP/1.1\n' + H.replace(b'\r\n', b'\n') + b'\n')
send('barecr', b'GET /ok HTTP/1.1\r' + H + b'\r\n' + inner)
send('fold', b'GET /ok HTTP/1.1\r\n' + H + b'X: a\r\n b\r\n\r\n')
send('nul', b'GET /ok HTTP/1.1\r\n' + H + b'X: a\x00b\r\n\r\n')
send('nulpath', b'GET /ok\x00 HTTP/1.1\r\n' + H + b'\r\n')
send('spacename', b'GET /ok HTTP/1.1\r\n' + H + b'X Y: a\r\n\r\n')
send('emptyname', b'GET /ok HTTP/1.1\r\n' + H + b': a\r\n\r\n')
send('lead', b'\r\n\r\nGET /ok HTTP/1.1\r\n' + H + b'\r\n')
send('getbody', b'GET /ok HTTP/1.1\r\n' + H + b'Content-Length: %d\r\n\r\n' % len(inner) + inner)
send('hopbyhop', b'GET /ok HTTP/1.1\r\n' + H + b'Connection: close, content-length, host\r\nContent-Length: %d\r\n\r\n' % len(inner) + inner)
send('trailerhost', post + b'Transfer-Encoding: chunked\r\nTrailer: Host\r\n\r\n0\r\nHost: evil.test\r\nContent-Length: 5\r\n\r\n')
send('expect', post + b'Expect: 100-continue\r\nContent-Length: 0\r\n\r\n' + inner.replace(b'smuggled', b'ok'))
send('pipeline', (b'GET /ok HTTP/1.1\r\n' + H + b'\r\n') * 3 + inner)
send('h2c', b'GET /ok HTTP/1.1\r\n' + H + b'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n')
send('preface', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00')
",
        );
        agree(&run, &server);
        for line in [
            "good 200",
            "pipeline 200,200,200,403",
            "getbody 200",
            "chunkneg 400",
            "chunkext 200",
            "lead 200",
            "h2c 200",
        ] {
            assert!(run.stdout.contains(line), "{line}: {run:#?}");
        }
        for name in [
            "twocl",
            "listcl",
            "pluscl",
            "negcl",
            "hexcl",
            "spacecl",
            "hugecl",
            "teobfus",
            "nul",
            "fold",
            "chunkneg",
            "chunkbig",
            "chunkextlf",
            "tegzip",
        ] {
            assert!(
                !run.stdout.lines().any(|line| line.starts_with(&format!("{name} 200"))),
                "{name}: {run:#?}"
            );
        }
    });
}

#[test]
fn another_authority_is_refused_wherever_it_is_named() {
    each(CLAW, |lab| {
        let server = strict(Lab::PRIVATE);
        opened(lab, &server);
        let run = sent(
            lab,
            &server,
            r"
P = str(PORT).encode()
me = HOST.encode()
send('good', b'GET /ok HTTP/1.1\r\nHost: ' + me + b'\r\n\r\n')
send('case', b'GET /ok HTTP/1.1\r\nHost: API.lab.TEST.:' + P + b'\r\n\r\n')
send('absolute', b'GET http://' + me + b':' + P + b'/ok HTTP/1.1\r\n' + H + b'\r\n')
for name, head in {
    'none': b'',
    'evil': b'Host: evil.test\r\n',
    'two': H + b'Host: evil.test\r\n',
    'twosame': H + H,
    'user': b'Host: user@' + me + b'\r\n',
    'port': b'Host: ' + me + b':1\r\n',
    'noport': b'Host: ' + me + b':\r\n',
    'bigport': b'Host: ' + me + b':99999\r\n',
    'path': b'Host: ' + me + b'/x\r\n',
    'space': b'Host: ' + me + b' evil.test\r\n',
    'comma': b'Host: ' + me + b',evil.test\r\n',
    'below': b'Host: x.' + me + b'\r\n',
    'address': b'Host: 10.77.0.1\r\n',
    'empty': b'Host:\r\n',
    'high': b'Host: \xff' + me + b'\r\n',
}.items():
    send('bad' + name, b'GET /ok HTTP/1.1\r\n' + head + b'\r\n')
for name, target in {
    'absevil': b'http://evil.test/ok',
    'absuser': b'http://user@' + me + b'/ok',
    'abshttps': b'https://' + me + b'/ok',
    'absport': b'http://' + me + b':1/ok',
    'star': b'*',
    'dots': b'/x/../ok',
    'encdots': b'/x/%2e%2e/ok',
    'encslash': b'/x%2f..%2fok',
    'double': b'//ok',
    'back': b'/x\\..\\ok',
    'null': b'/ok%00',
    'encoded': b'/%6fk',
    'semi': b'/x/..;/ok',
    'relative': b'ok',
}.items():
    send('bad' + name, b'GET ' + target + b' HTTP/1.1\r\n' + H + b'\r\n')
send('badconnect', b'CONNECT ' + me + b':' + P + b' HTTP/1.1\r\n' + H + b'\r\n')
send('badtrace', b'TRACE /ok HTTP/1.1\r\n' + H + b'\r\n')
send('badmethod', b'get /ok HTTP/1.1\r\n' + H + b'\r\n')
send('badoverride', b'POST /other HTTP/1.1\r\n' + H + b'X-HTTP-Method-Override: GET\r\nX-Original-URL: /ok\r\nContent-Length: 0\r\n\r\n')
",
        );
        agree(&run, &server);
        for line in run.stdout.lines() {
            let good = !line.starts_with("bad");
            assert_eq!(line.contains(" 200"), good, "{line}: {run:#?}");
        }
        assert_eq!(String::from_utf8(server.received()).unwrap().lines().count(), 3);
    });
}

#[test]
fn slow_and_endless_heads_end() {
    once(CLAW, User::Ordinary, |lab| {
        let server = strict(Lab::PRIVATE);
        opened(lab, &server);
        let code = format!(
            "HOST, PORT = '{NAME}', {}
connection = socket.create_connection((HOST, PORT)); connection.settimeout(15)
connection.sendall(b'GET /ok HTTP/1.1\\r\\nHost: ')
begun = time.monotonic()
answer = connection.recv(100)
print('slow', int(time.monotonic() - begun), answer[:12])
connection = socket.create_connection((HOST, PORT)); connection.settimeout(5)
try:
    connection.sendall(b'GET /ok HTTP/1.1\\r\\n')
    for number in range(10000): connection.sendall(b'X-%d: ' % number + b'a' * 1000 + b'\\r\\n')
    answer = connection.recv(100)
except ConnectionError as error: answer = b'torn'
print('endless', answer[:12])
many = socket.create_connection((HOST, PORT)); many.settimeout(5)
many.sendall(b'GET /ok HTTP/1.1\\r\\n' + b'A: b\\r\\n' * 5000 + b'\\r\\n')
try: answer = many.recv(100)
except ConnectionError as error: answer = b'torn'
print('many', answer[:12])",
            server.port()
        );
        let run = lab.claw().within(40).command(&["python3", &lab.program_file(&code)]).ends(0);
        assert!(run.stdout.contains("slow 9") || run.stdout.contains("slow 10"), "{run:#?}");
        assert!(!run.stdout.contains("200"), "{run:#?}");
        assert_eq!(server.arrivals(), 0, "nothing is dialled for a request that is not whole");
    });
}

#[test]
fn upstreams_that_lie_are_found_out() {
    once(CLAW, User::Ordinary, |lab| {
        let cases: [(&str, &'static [u8], &str); 9] = [
            ("unasked 101", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nhello", "502"),
            ("too short", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "200 (18)"),
            ("too long", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsmuggled!", "200 ok"),
            ("until it closes", b"HTTP/1.1 200 OK\r\n\r\nwhole", "200 whole"),
            ("both lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", ""),
            ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nsmuggled", "502"),
            ("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n", "502"),
            ("bad chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ""),
            ("nothing", b"", "502"),
        ];
        for (name, answer, expect) in cases {
            let server = scripted(Lab::PRIVATE, answer);
            opened(lab, &server);
            let run = lab.run(&format!(
                "curl -sS -m 4 -o /tmp/out -w '%{{http_code}} ' http://{NAME}:{}/ok; code=$?; [ $code = 0 ] && cat /tmp/out || echo \"($code)\"",
                server.port()
            ));
            let run = run.ends(0);
            assert!(run.stdout.starts_with(expect), "{name}: {run:#?}");
            let whole = expect.is_empty() && run.stdout.contains("200 zz");
            assert!(
                !whole && !run.stdout.contains("smuggled") && !run.stdout.contains("(28)"),
                "{name}: {run:#?}"
            );
        }
    });
}

/// Frames by hand: a client that breaks the rules of HTTP/2.
const FRAMES: &str = r"
def frame(kind, flags, stream, body=b''):
    return len(body).to_bytes(3, 'big') + bytes([kind, flags]) + stream.to_bytes(4, 'big') + body
def field(name, value):
    return b'\x00' + bytes([len(name)]) + name + bytes([len(value)]) + value
def talk(name, *frames, wait=0.3):
    context = ssl.create_default_context(); context.set_alpn_protocols(['h2'])
    raw = context.wrap_socket(socket.create_connection((HOST, PORT)), server_hostname=HOST)
    answer, begun = b'', time.monotonic()
    try:
        raw.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4, 0, 0))
        for one in frames: raw.sendall(one)
        raw.settimeout(wait)
        while True:
            part = raw.recv(65536)
            if not part: break
            answer += part
    except (OSError, ssl.SSLError): pass
    kinds = []
    while len(answer) >= 9:
        length = int.from_bytes(answer[:3], 'big')
        kinds.append({0: 'data', 1: 'headers', 3: 'reset', 7: 'goaway'}.get(answer[3], ''))
        answer = answer[9 + length:]
    print(name, ' '.join(kind for kind in kinds if kind))
host = HOST.encode() + b':' + str(PORT).encode()
base = field(b':method', b'GET') + field(b':scheme', b'https') + field(b':path', b'/ok') + field(b':authority', host)
head = lambda block, stream=1, flags=5: frame(1, flags, stream, block)
";

#[test]
fn tricks_with_the_frames_of_http_2_bring_nothing() {
    each(CLAW, |lab| {
        let authority = Authority::new();
        let server = web_over_tls(Lab::PRIVATE, &authority, &[NAME]);
        lab.write("work/upstream.pem", &authority.pem());
        let rule = server.rule(NAME);
        lab.policy(&[format!("{rule}, upstream_ca: upstream.pem, http: ['GET /ok', 'POST /ok']")], "");
        let code = format!(
            r"HOST, PORT = '{NAME}', {}
{FRAMES}
talk('good', head(base))
talk('badtwopaths', head(base + field(b':path', b'/smuggled')))
talk('badpseudolast', head(base[:0] + field(b'x', b'y') + base))
talk('badupper', head(base + field(b'X-Upper', b'y')))
talk('badconnection', head(base + field(b'connection', b'close')))
talk('badte', head(base + field(b'transfer-encoding', b'chunked')))
talk('badcrlf', head(base + field(b'x', b'a\r\nb: c')))
talk('badpathcrlf', head(base.replace(b'\x03/ok', b'\x0e/ok HTTP/1.1\r\n')))
talk('badnoauthority', head(base.replace(field(b':authority', host), b'')))
talk('badauthority', head(base.replace(host, b'e' * len(host))))
talk('badhost', head(base + field(b'host', b'evil.test')))
talk('badscheme', head(base.replace(b'https', b'httpx')))
talk('badlength', head(base.replace(b'GET', b'GET') + field(b'content-length', b'5'), flags=4) + frame(0, 1, 1, b'smuggled'))
talk('badconnect', head(field(b':method', b'CONNECT') + field(b':authority', host)))
talk('badextended', head(field(b':method', b'CONNECT') + field(b':protocol', b'websocket') + field(b':scheme', b'https') + field(b':path', b'/ok') + field(b':authority', host)))
talk('badpath', head(base.replace(b'\x03/ok', b'\x08/no/../k')))
talk('badstream', head(base, stream=2))
talk('badcontinuation', head(base, flags=1), *[frame(9, 0, 1, field(b'x', b'y' * 200)) for _ in range(2000)])
talk('badreset', *[head(base, stream=n * 2 + 1) + frame(3, 0, n * 2 + 1, b'\0\0\0\x08') for n in range(1500)])
talk('stillgood', head(base))",
            server.port()
        );
        let run = lab.claw().within(60).command(&["python3", &lab.program_file(&code)]).ends(0);
        let arrived = String::from_utf8(server.received()).unwrap();
        assert!(!arrived.contains("smuggled"), "{arrived}");
        for line in run.stdout.lines() {
            if line.contains("good") {
                assert!(line.contains("data"), "{line}: {run:#?}");
            }
        }
        let allowed = run.of_kind("request").iter().filter(|record| record["decision"] == "allow").count();
        assert!(arrived.lines().count() <= allowed, "{arrived}: {run:#?}");
        assert!(allowed < 300, "a client that takes back what it asks for is stopped: {allowed}");
        // a stream that breaks the rules is reset, a connection that does is closed, the rest gets its 403
        for name in ["badtwopaths", "badconnection", "badcrlf", "badlength", "badcontinuation", "badreset"] {
            let line = run.stdout.lines().find(|line| line.starts_with(name)).unwrap();
            assert!(!line.contains("data"), "{line}: {run:#?}");
        }
        let good = "GET /ok\n";
        assert!(arrived.lines().all(|line| line == good.trim()), "{arrived}");
    });
}

#[test]
fn a_request_in_plain_text_is_not_http_2() {
    once(CLAW, User::Ordinary, |lab| {
        let server = web(Lab::PRIVATE);
        opened(lab, &server);
        let run = lab.run(&format!("curl -sS --http2-prior-knowledge http://{NAME}:{}/ok", server.port()));
        assert_ne!(run.code, 0);
        run.denied(NAME, server.port(), "not-http");
        assert_eq!(server.arrivals(), 0);
    });
}

#[test]
fn a_body_of_unknown_length_arrives_whatever_its_method() {
    once(CLAW, User::Ordinary, |lab| {
        let rule = |server: &Server, more: &str| {
            lab.policy(&[format!("{}, http: ['* /ok']{more}", server.rule(NAME))], "");
        };
        let server = strict(Lab::PRIVATE);
        rule(&server, ", protocol: TCP/HTTP");
        let run = sent(
            lab,
            &server,
            r"
for method in [b'GET', b'HEAD', b'DELETE']:
    send(method.decode(), method + b' /ok HTTP/1.1\r\n' + H + b'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n')
send('empty', b'GET /ok HTTP/1.1\r\n' + H + b'\r\n')",
        );
        agree(&run, &server);
        let server = web(Lab::PRIVATE);
        rule(&server, ", protocol: TCP/HTTP");
        let chunked = "-H 'Transfer-Encoding: chunked' -d hello";
        let url = format!("http://{NAME}:{}/ok", server.port());
        let run = lab.run(&format!("curl -sS -X GET {chunked} {url}; curl -sS {url}")).ends(0);
        let run = run.says("GET /ok").says("body=5").says("body=0");
        assert_eq!(run.stdout.matches("transfer-encoding").count(), 1, "{run:#?}");

        // HTTP/2 inside, HTTP/1 outside
        let authority = Authority::new();
        let server = playing(Lab::PRIVATE, 0, &authority, &[NAME], |_, body| {
            (200, "text/plain", format!("body={}\n", body.len()).into_bytes())
        });
        lab.write("work/upstream.pem", &authority.pem());
        rule(&server, ", upstream_ca: upstream.pem");
        let code = format!(
            r"HOST, PORT = '{NAME}', {}
{FRAMES}
def talk(name, *frames):
    context = ssl.create_default_context(); context.set_alpn_protocols(['h2'])
    raw = context.wrap_socket(socket.create_connection((HOST, PORT)), server_hostname=HOST)
    raw.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4, 0, 0) + b''.join(frames)); raw.settimeout(1); answer = b''
    try:
        while b'body=' not in answer: answer += raw.recv(65536)
        answer += raw.recv(65536)
    except OSError: pass
    print(name, answer[answer.find(b'body='):][:6])
talk('data', head(base, flags=4), frame(0, 1, 1, b'hello'))
talk('none', head(base))",
            server.port()
        );
        lab.python(&code).ends(0).says("data b'body=5'").says("none b'body=0'");
    });
}
