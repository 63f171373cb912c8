//! A TLS rule carries a handshake that names the permitted host, and nothing else, not a byte.

use claw_testkit::{Authority, Lab, Server, each, https};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");
const NAME: &str = "api.lab.test";

/// A TLS server, and the policy that opens it.
fn opened(lab: &Lab) -> Server {
    let authority = Authority::new();
    let server = https(Lab::PRIVATE, &authority, &[NAME, "other.lab.test"]);
    lab.write("work/ca.pem", &authority.pem());
    lab.hosts(&format!("{0} {NAME}\n{0} other.lab.test", Lab::PRIVATE));
    lab.policy(&[format!("{}, protocol: TCP/TLS", server.rule(NAME))], "");
    server
}

/// A program that opens a connection and sends these bytes (a Python expression).
fn sends(server: &Server, data: &str) -> String {
    format!(
        "connection = socket.create_connection(('{NAME}', {}))
data = {data}
def send():
    connection.sendall(data)
    answer = connection.recv(4096)
    print('answer', answer[:16].hex())
    if not answer or answer[0] == 21:
        raise EOFError('refused')
attempt(send)",
        server.port()
    )
}

/// What the program sends arrives without claw; with it nothing does, and the ledger tells this reason.
fn refused(lab: &Lab, data: &str, reason: &str) {
    let server = opened(lab);
    let code = sends(&server, data);
    lab.bare_python(&code);
    assert!(server.until(|server| server.arrivals() == 1), "the attack must work without claw: {server:?}");
    lab.python(&code).ends(1).denied(NAME, server.port(), reason);
    assert_eq!(server.arrivals(), 1, "something arrived");
}

#[test]
fn a_handshake_for_the_permitted_name_passes_end_to_end() {
    each(CLAW, |lab| {
        let server = opened(lab);
        let url = format!("https://{NAME}:{}/secret", server.port());
        let run = lab
            .run(&format!("curl -sS --cacert ca.pem {url} && curl -sS --tls-max 1.2 --cacert ca.pem {url}"));
        run.ends(0).says("GET /secret HTTP/1.1").allowed(NAME, server.port());
        assert_eq!(server.arrivals(), 2);
    });
}

#[test]
fn a_hello_for_another_name_is_refused() {
    each(CLAW, |lab| refused(lab, "hello('other.lab.test')", "sni-mismatch"));
}

#[test]
fn a_hello_for_a_name_below_the_permitted_one_is_refused() {
    each(CLAW, |lab| refused(lab, "hello('x.api.lab.test')", "sni-mismatch"));
}

#[test]
fn a_hello_without_a_name_is_refused() {
    each(CLAW, |lab| refused(lab, "hello(None)", "no-sni"));
}

#[test]
fn a_hello_with_encrypted_client_hello_is_refused() {
    each(CLAW, |lab| refused(lab, "extended(hello('api.lab.test'), 0xfe0d, b'\\x00' * 64)", "ech"));
}

#[test]
fn a_hello_with_a_second_name_is_refused() {
    each(CLAW, |lab| {
        let second = "extended(hello('api.lab.test'), 0, b'\\x00\\x11\\x00\\x00\\x0eother.lab.test')";
        refused(lab, second, "sni-mismatch");
    });
}

#[test]
fn plaintext_on_a_tls_rule_is_refused() {
    each(CLAW, |lab| refused(lab, "b'GET / HTTP/1.1\\r\\nHost: api.lab.test\\r\\n\\r\\n'", "not-tls"));
}

#[test]
fn garbage_on_a_tls_rule_is_refused() {
    each(CLAW, |lab| refused(lab, "bytes(range(256)) * 8", "not-tls"));
}

#[test]
fn a_garbled_hello_is_refused() {
    each(CLAW, |lab| {
        refused(lab, "b'\\x16\\x03\\x01\\x00\\x20\\x01\\x00\\x00\\x1c' + b'\\xff' * 28", "not-tls")
    });
}

#[test]
fn ssh_on_a_tls_rule_is_refused() {
    each(CLAW, |lab| refused(lab, "b'SSH-2.0-OpenSSH_9.2\\r\\n'", "not-tls"));
}

#[test]
fn a_silent_end_before_the_hello_reaches_nobody() {
    each(CLAW, |lab| {
        let server = opened(lab);
        let code =
            format!("socket.create_connection(('{NAME}', {})).close(); time.sleep(0.2)", server.port());
        let run = lab.python(&code).ends(0);
        // clients that try both address families at once do this all the time: it asks for nothing
        assert!(run.of_kind("connect").is_empty(), "{run:#?}");
        assert_eq!(server.arrivals(), 0);
    });
}

#[test]
fn a_hello_in_pieces_passes() {
    each(CLAW, |lab| {
        let server = opened(lab);
        let code = format!(
            "connection = socket.create_connection(('{NAME}', {}))
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
data = hello('{NAME}')
middle = data.index(b'api.lab') + 3
for part in (data[:3], data[3:middle], data[middle:]):
    connection.sendall(part); time.sleep(0.1)
assert connection.recv(100)[0] == 22
print('hello from the server')",
            server.port()
        );
        lab.python(&code).ends(0).says("hello from the server").allowed(NAME, server.port());
        assert_eq!(server.arrivals(), 1);
    });
}

#[test]
fn a_hello_in_several_records_passes_or_is_refused_whole() {
    each(CLAW, |lab| {
        let server = opened(lab);
        let code = format!(
            "connection = socket.create_connection(('{NAME}', {}))
data = hello('{NAME}')[5:]
middle = data.index(b'api.lab') + 3
for part in (data[:middle], data[middle:]):
    connection.sendall(b'\\x16\\x03\\x01' + len(part).to_bytes(2, 'big') + part)
print('type', connection.recv(100)[0])",
            server.port()
        );
        lab.python(&code).ends(0).says("type 22").allowed(NAME, server.port());
    });
}

#[test]
fn a_slow_hello_holds_up_nobody_else() {
    each(CLAW, |lab| {
        let server = opened(lab);
        let code = format!(
            "def slow():
    connection = socket.create_connection(('{NAME}', {0}))
    for byte in hello('{NAME}')[:30]:
        connection.sendall(bytes([byte])); time.sleep(0.05)
threads = [threading.Thread(target=slow) for _ in range(20)]
for thread in threads: thread.start()
time.sleep(0.3)
begun = time.monotonic()
context = ssl.create_default_context(cafile='ca.pem')
with context.wrap_socket(socket.create_connection(('{NAME}', {0})), server_hostname='{NAME}') as session:
    session.sendall(b'GET /quick HTTP/1.1\\r\\nHost: {NAME}\\r\\n\\r\\n'); assert b'GET /quick' in session.recv(4096)
took = time.monotonic() - begun
for thread in threads: thread.join()
assert took < 1, took",
            server.port()
        );
        lab.python(&code).ends(0).allowed(NAME, server.port());
        assert_eq!(server.arrivals(), 1, "an unfinished hello must not be dialled");
    });
}
