//! Rules that name requests: exactly those pass, on both versions of HTTP, and everything else is told why not.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use claw_testkit::{Authority, Lab, Outcome, Server, User, each, once, web, web_over_tls};
use serde_json::Value;

const CLAW: &str = env!("CARGO_BIN_EXE_claw");
const NAME: &str = "api.lab.test";

/// A TLS server under the name, signed by an authority that only the policy knows, and a rule with these requests.
fn over_tls(lab: &Lab, requests: &str, more: &str) -> Server {
    let authority = Authority::new();
    let server = web_over_tls(Lab::PRIVATE, &authority, &[NAME]);
    lab.write("work/upstream.pem", &authority.pem());
    let rule = format!("{}, http: [{requests}], upstream_ca: upstream.pem{more}", server.rule(NAME));
    lab.policy(&[rule], "");
    server
}

/// A server in plain text, and a rule with these requests.
fn in_plain(lab: &Lab, requests: &str) -> Server {
    let server = web(Lab::PRIVATE);
    lab.policy(&[format!("{}, protocol: TCP/HTTP, http: [{requests}]", server.rule(NAME))], "");
    server
}

/// The requests that the ledger holds: decision, method, path, and reason or plane.
fn requests(run: &Outcome) -> Vec<String> {
    let text = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
    let line = |record: &&Value| {
        let why = if record["decision"] == "deny" { text(record, "reason") } else { text(record, "plane") };
        format!("{} {} {} {why}", text(record, "decision"), text(record, "method"), text(record, "path"))
    };
    run.of_kind("request").iter().map(line).collect()
}

fn arrived(server: &Server) -> String {
    String::from_utf8(server.received()).unwrap()
}

#[test]
fn only_the_named_requests_pass_over_tls() {
    each(CLAW, |lab| {
        let server = over_tls(lab, "'POST /v1/messages', 'GET /v1/models/*'", "");
        let base = format!("https://{NAME}:{}", server.port());
        let run = lab.run(&format!(
            "set -e
            for version in --http1.1 --http2; do
              curl -sS $version -d hello '{base}/v1/messages?beta=true'
              curl -sS $version {base}/v1/models/m1
              curl -sS $version -w '%{{http_code}}\\n' -d @/etc/hosts {base}/api/event_logging/v2/batch
              curl -sS $version -w '%{{http_code}}\\n' {base}/v1/messages
              curl -sS $version -w '%{{http_code}}\\n' --path-as-is {base}/v1/models/../messages
            done"
        ));
        let run = run.ends(0).says(&format!("POST /v1/messages?beta=true host={NAME}:{}", server.port()));
        let run = run.says("HTTP/1.1 body=5").says("HTTP/2.0 body=5").says("GET /v1/models/m1");
        assert_eq!(run.stdout.matches("403\n").count(), 6, "{run:#?}");
        assert_eq!(run.stdout.matches("\"type\":\"policy_denied\"").count(), 6, "{run:#?}");
        assert!(
            !run.stdout.contains("policy.yaml"),
            "the place in the policy is not the agent's to know: {run:#?}"
        );
        let once = [
            "allow POST /v1/messages tool",
            "allow GET /v1/models/m1 tool",
            "deny POST /api/event_logging/v2/batch path",
            "deny GET /v1/messages method",
            "deny GET /v1/models/../messages path",
        ];
        // equal denials are written once and counted
        let (allowed, denied): (Vec<_>, Vec<_>) =
            requests(&run).into_iter().partition(|line| line.starts_with("allow"));
        assert_eq!(allowed, [once[0], once[1], once[0], once[1]]);
        assert_eq!(denied, once[2..]);
        let expect = "POST /v1/messages?beta=true\nGET /v1/models/m1\n".repeat(2);
        assert_eq!(arrived(&server), expect, "nothing else arrived");
        let connect = run.of_kind("connect");
        assert!(connect.iter().all(|record| record["assurance"] == "http"), "{connect:#?}");
    });
}

#[test]
fn only_the_named_requests_pass_in_plain_text() {
    each(CLAW, |lab| {
        let server = in_plain(lab, "'GET /a/**'");
        let base = format!("http://{NAME}:{}", server.port());
        let run = lab.run(&format!(
            "curl -sS {base}/a/b {base}/a/c && curl -sS -w '%{{http_code}}\\n' {base}/b && curl -sS -H 'Host: evil.test' {base}/a/"
        ));
        let run = run.ends(0).says("GET /a/b").says("GET /a/c").says("403").says("host-mismatch");
        assert_eq!(arrived(&server), "GET /a/b\nGET /a/c\n");
        assert_eq!(
            requests(&run),
            ["allow GET /a/b tool", "allow GET /a/c tool", "deny GET /b path", "deny GET /a/ host-mismatch"]
        );
    });
}

#[test]
fn a_request_does_not_reach_a_closed_network_and_is_not_told_the_address() {
    each(CLAW, |lab| {
        let server = web(Lab::PRIVATE);
        lab.hosts(&format!("{} {NAME}", Lab::PRIVATE));
        let rule = format!("destination: \"{NAME}:{}\", private: allow, protocol: TCP/HTTP", server.port());
        let ask = format!("curl -sS -4 -w '%{{http_code}}\\n' http://{NAME}:{}/a", server.port());
        for (closed, reason) in [
            ("  deny:\n    - {destination: '10.0.0.0/8:*'}\n", "deny-rule"),
            ("never:\n  - {destination: '10.77.0.0/16:*', plane: tool}\n", "never"),
        ] {
            for named in ["", ", http: [GET /a]"] {
                lab.policy(&[format!("{rule}{named}")], closed);
                let run = lab.run(&ask).ends(0).says("403").says(reason);
                assert!(!run.stdout.contains(Lab::PRIVATE), "where a name leads is not told: {run:#?}");
                assert!(requests(&run).contains(&format!("deny GET /a {reason}")), "{run:#?}");
            }
        }
        assert_eq!(server.arrivals(), 0);
        lab.policy(&[rule], "  deny:\n    - {destination: '10.0.0.0/8:1'}\n");
        lab.run(&ask).ends(0).says("200");
    });
}

#[test]
fn what_asks_for_a_proxy_or_an_echo_is_refused_whatever_the_rule_names() {
    each(CLAW, |lab| {
        for named in ["", ", http: ['* /**']"] {
            let server = web(Lab::PRIVATE);
            lab.policy(&[format!("{}, protocol: TCP/HTTP{named}", server.rule(NAME))], "");
            let base = format!("http://{NAME}:{}", server.port());
            let run = lab.run(&format!("curl -sS -X TRACE -w '%{{http_code}}\\n' {base}/a"));
            let run = run.ends(0).says("403").says("cannot be permitted");
            assert_eq!(requests(&run), ["deny TRACE /a method"]);
            assert_eq!(arrived(&server), "");
        }
    });
}

#[test]
fn a_destination_that_does_not_answer_is_not_reached() {
    each(CLAW, |lab| {
        let begin = || TcpListener::bind((Lab::PRIVATE, 0)).unwrap();
        let port = begin().local_addr().unwrap().port();
        let rule = format!(
            "destination: \"{NAME}:{port}\", addresses: [\"{}\"], protocol: TCP/HTTP, http: ['GET /']",
            Lab::PRIVATE
        );
        lab.policy(&[rule], "filesystem: {write: [.]}\n");
        let run = lab.run(&format!("curl -s -o /dev/null -w '%{{http_code}}\\n' http://{NAME}:{port}/"));
        let run = run.ends(0).says("502").warns("reached: nothing").warns("permitted, but no answer:");
        assert_eq!(run.of_kind("close")[0]["end"], "unreachable", "{run:#?}");

        // the same connection, and the destination comes up between two requests
        let code = format!(
            "import http.client
connection = http.client.HTTPConnection('{NAME}', {port})
def get():
    connection.request('GET', '/'); answer = connection.getresponse(); answer.read(); print(answer.status)
get(); own = connection.sock.getsockname(); open('first', 'w').close()
while not os.path.exists('second'): time.sleep(0.01)
get(); print(connection.sock.getsockname() == own)"
        );
        let file = lab.program_file(&code);
        let running = lab.claw().start(&["python3", &file]);
        while !lab.path("work/first").exists() {
            thread::sleep(Duration::from_millis(5));
        }
        let listener = TcpListener::bind((Lab::PRIVATE, port)).unwrap();
        lab.write("work/second", "");
        let (mut connection, _) = listener.accept().unwrap();
        let _ = connection.read(&mut [0; 1000]).unwrap();
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        let run = running.end().ends(0).prints("502\n200\nTrue");
        assert_eq!(run.of_kind("close")[0]["end"], "end", "{run:#?}");
        assert!(run.stderr.contains(&format!("{NAME}:{port}  tool  2x")), "{run:#?}");
    });
}

#[test]
fn one_host_is_split_into_planes() {
    once(CLAW, User::Ordinary, |lab| {
        let authority = Authority::new();
        let server = web_over_tls(Lab::PRIVATE, &authority, &[NAME]);
        lab.write("work/upstream.pem", &authority.pem());
        let rule = |plane: &str, http: &str| {
            let own = server.rule(NAME);
            format!(
                "    - {{{own}, upstream_ca: upstream.pem, plane: {plane}, purpose: x, http: ['{http}']}}\n"
            )
        };
        let rules = [rule("inference", "POST /v1/messages"), rule("control", "GET /settings")].concat();
        lab.write("policy.yaml", &format!("version: 1\nnetwork_policy:\n  workload:\n{rules}"));
        let base = format!("https://{NAME}:{}", server.port());
        let run = lab
            .run(&format!("curl -sS -d 12345 {base}/v1/messages --next -sS {base}/settings {base}/other"))
            .ends(0);
        assert_eq!(
            requests(&run),
            ["allow POST /v1/messages inference", "allow GET /settings control", "deny GET /other path"]
        );
        assert!(run.stderr.contains(&format!("{NAME}:{}  inference  1x", server.port())), "{run:#?}");
        assert!(run.stderr.contains(&format!("{NAME}:{}  control  1x", server.port())), "{run:#?}");
        assert!(run.stderr.contains("http: [\"GET /other\"]"), "the rule that would allow it: {run:#?}");
        let close = run.of_kind("close")[0];
        assert_eq!(close["planes"][0]["plane"], "inference", "{close:#?}");
        assert!(close["planes"][0]["bytes_out"].as_u64() > Some(5), "{close:#?}");
    });
}

#[test]
fn a_destination_whose_certificate_does_not_hold_is_not_reached() {
    each(CLAW, |lab| {
        let server = over_tls(lab, "'GET /**'", "");
        // another authority than the one that signed
        lab.write("work/upstream.pem", &Authority::new().pem());
        let run = lab.run(&format!("curl -sS -w '%{{http_code}}' https://{NAME}:{}/x", server.port()));
        run.ends(0).says("403").says("untrusted").says("does not hold");
        assert_eq!(arrived(&server), "", "no request was sent");
    });
}

#[test]
fn a_certificate_for_another_name_does_not_hold() {
    once(CLAW, User::Ordinary, |lab| {
        let authority = Authority::new();
        let server = web_over_tls(Lab::PRIVATE, &authority, &["other.lab.test"]);
        lab.write("work/upstream.pem", &authority.pem());
        lab.policy(&[format!("{}, http: ['GET /**'], upstream_ca: upstream.pem", server.rule(NAME))], "");
        let run = lab.run(&format!("curl -sS https://{NAME}:{}/x", server.port()));
        run.ends(0).says("untrusted");
        assert_eq!(arrived(&server), "");
    });
}

#[test]
fn bodies_stream_both_ways() {
    each(CLAW, |lab| {
        let server = over_tls(lab, "'GET /slow', 'POST /echo', 'GET /bytes/*'", "");
        let base = format!("https://{NAME}:{}", server.port());
        let code = format!(
            "import urllib.request
begun = time.monotonic()
with urllib.request.urlopen('{base}/slow') as answer:
    first = answer.readline(); after = time.monotonic() - begun
    rest = answer.read().count(b'piece')
assert first == b'piece 0\\n' and rest == 29, (first, rest)
assert after < 1, after
def pieces():
    for _ in range(50): yield b'x' * 100000
request = urllib.request.Request('{base}/echo', data=pieces(), headers={{'Transfer-Encoding': 'chunked'}})
print(urllib.request.urlopen(request).read().decode())
print(len(urllib.request.urlopen('{base}/bytes/20000000').read()))"
        );
        lab.python(&code).ends(0).says("body=5000000").says("20000000");
    });
}

#[test]
fn trailers_and_continue_pass() {
    once(CLAW, User::Ordinary, |lab| {
        let server = over_tls(lab, "'GET /trailers', 'PUT /up'", "");
        let base = format!("https://{NAME}:{}", server.port());
        lab.write("work/body", &"y".repeat(200_000));
        let run = lab.run(&format!(
            "curl -sS --http1.1 -H 'TE: trailers' --raw {base}/trailers && curl -sS --http1.1 -H 'Expect: 100-continue' -T body {base}/up"
        ));
        run.ends(0).says("checksum: good").says("body=200000");
    });
}

#[test]
fn a_web_socket_passes_where_its_request_is_permitted() {
    each(CLAW, |lab| {
        let server = over_tls(lab, "'GET /ws'", "");
        let code = format!(
            "context = ssl.create_default_context()
raw = context.wrap_socket(socket.create_connection(('{NAME}', {0})), server_hostname='{NAME}')
raw.sendall(b'GET /ws HTTP/1.1\\r\\nHost: {NAME}:{0}\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nSec-WebSocket-Key: eA==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n')
head = b''
while b'\\r\\n\\r\\n' not in head: head += raw.recv(1000)
assert head.startswith(b'HTTP/1.1 101'), head
for n in range(3):
    raw.sendall(b'frame %d' % n); print(raw.recv(100).decode())",
            server.port()
        );
        let run = lab.python(&code).ends(0).says("frame 0").says("frame 2");
        assert_eq!(requests(&run), ["allow GET /ws tool"]);
    });
}

const JAVA: &str = r"
class Get {
    public static void main(String[] arguments) throws Exception {
        try (var body = new java.net.URL(arguments[0]).openStream()) { System.out.print(new String(body.readAllBytes())); }
    }
}";

#[test]
fn clients_of_every_kind_trust_the_gate() {
    each(CLAW, |lab| {
        let server = over_tls(lab, "'GET /**'", "");
        lab.write("work/Get.java", JAVA);
        let url = format!("https://{NAME}:{}/who", server.port());
        let run = lab.run(&format!(
            "set -e
            curl -sS {url}/curl
            python3 -c 'import urllib.request; print(urllib.request.urlopen(\"{url}/python\").read().decode())'
            java Get.java {url}/java
            node -e 'fetch(\"{url}/node\").then(r => r.text()).then(t => console.log(t))'
            wget -qO- {url}/wget
            git ls-remote {url}/git 2>&1 | grep -q 'not valid\\|not found' || true"
        ));
        let run = run.ends(0);
        for client in ["curl", "python", "java", "node", "wget", "git/info/refs"] {
            assert!(arrived(&server).contains(client), "{client}: {run:#?}");
        }
    });
}

#[test]
fn without_a_rule_that_names_requests_nothing_of_tls_is_touched() {
    once(CLAW, User::Ordinary, |lab| {
        let run = lab.run("ls /run/claw; env | grep -c CA_BUNDLE");
        assert!(run.stdout.trim() == "0", "{run:#?}");
    });
}
