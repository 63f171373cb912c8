//! `claw observe`: what it takes down, how it answers, and that it opens nothing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::thread;
use std::time::Duration;

use claw_testkit::{Lab, Outcome, User, each, echo, echo_datagrams, http, names, once, sink, sink_datagrams};
use serde_json::Value;

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// The first record of this kind about a destination.
fn about<'a>(run: &'a Outcome, kind: &str, destination: &str) -> &'a Value {
    let found = run.of_kind(kind).into_iter().find(|record| record["destination"] == destination);
    found.unwrap_or_else(|| panic!("no {kind} about {destination} in {run:#?}"))
}

fn mode(run: &Outcome) -> &str {
    run.of_kind("start").first().unwrap()["mode"].as_str().unwrap_or_default()
}

#[test]
fn requests_are_taken_down_with_everything_but_what_is_secret() {
    each(CLAW, |lab| {
        let run = lab.observe().sh("curl -sS --http2 -A agent/1 -H 'Authorization: Bearer x' -d hello \
             'https://api.some.test/v1/chat?version=2&key=y' && curl -sS --http1.1 http://other.test:8080/a/b");
        let run = run.ends(0).says("\"type\":\"observed\"").says("POST to api.some.test:443");
        assert_eq!(mode(&run), "sink");
        let connect = about(&run, "connect", "api.some.test");
        assert_eq!((&connect["decision"], &connect["protocol"]), (&"sink".into(), &"TCP".into()), "{run:#?}");
        let request = about(&run, "request", "api.some.test");
        assert_eq!(request["connection"], connect["seq"]);
        assert_eq!(request["method"], "POST");
        assert_eq!(request["path"], "/v1/chat");
        assert_eq!(request["query"], serde_json::json!(["version", "key"]));
        assert_eq!(request["user_agent"], "agent/1");
        assert_eq!(request["credential"], "bearer");
        assert_eq!(request["status"], 503);
        assert_eq!(request["bytes_out"], 5);
        assert!(request["process"]["exe"].as_str().unwrap().ends_with("/curl"), "{request}");
        let close = about(&run, "close", "api.some.test");
        assert_eq!(close["connection"], connect["seq"]);
        assert_eq!(close["application"], "tls");
        assert_eq!(close["sni"], "api.some.test");
        assert_eq!(close["alpn"], "h2,http/1.1");
        assert!(close["bytes_out"].as_u64().unwrap() > 100 && close["bytes_in"].as_u64().unwrap() > 100);
        assert_eq!(about(&run, "close", "other.test")["application"], "http");
        assert!(run.looked_up("api.some.test", "sink"));
        let ledger = run.ledger.clone().unwrap();
        run.warns("reached for, and nothing left:")
            .warns("api.some.test:443  tls  1x")
            .warns("POST /v1/chat  with bearer  1x  5 B")
            .warns("other.test:8080  http")
            .warns(&format!("next: claw footprint report {}", ledger.display()));
    });
}

#[test]
fn every_version_of_http_is_answered() {
    once(CLAW, User::Ordinary, |lab| {
        let run = lab.observe().sh("for version in --http1.0 --http1.1 --http2 --http2-prior-knowledge; do
               curl -sS -o /dev/null -w '%{http_version} %{http_code}\\n' $version http://plain.test/x
               curl -sS -o /dev/null -w '%{http_version} %{http_code}\\n' $version https://tls.test/x
             done
             curl -sS -o /dev/null -w '%{http_code}\\n' --http1.1 -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
               -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' https://socket.test/ws
             curl -sS -o /dev/null -w '%{http_connect}\\n' -x http://proxy.test:3128 https://behind.test/
             curl -sS -o /dev/null -w '%{http_code}\\n' -I https://tls.test/head
             head -c 3000000 /dev/zero | curl -sS -o /dev/null -w '%{http_code}\\n' -T - https://upload.test/x");
        let expect = "1.1 503\n1.1 503\n1.1 503\n1.1 503\n1.1 503\n2 503\n2 503\n2 503\n503\n503\n503\n503";
        assert_eq!(run.stdout.trim().replace("1 503", "1.1 503").replace("1.1.1", "1.1"), expect, "{run:#?}");
        assert_eq!(about(&run, "request", "upload.test")["bytes_out"], 3_000_000);
        assert_eq!(about(&run, "request", "proxy.test")["method"], "CONNECT");
        assert_eq!(about(&run, "request", "socket.test")["path"], "/ws");
    });
}

#[test]
fn the_exit_code_is_the_commands_own() {
    once(CLAW, User::Ordinary, |lab| {
        for (script, code) in [("exit 7", 7), ("kill -TERM $$", 143), ("exec /nowhere", 127)] {
            lab.observe().sh(script).ends(code);
        }
        lab.observe().command(&["/nowhere"]).ends(127);
    });
}

#[test]
fn deny_refuses_as_a_run_without_rules_does() {
    each(CLAW, |lab| {
        let server = http(Lab::PUBLIC);
        lab.hosts(&format!("{} open.lab.test", Lab::PUBLIC));
        let port = server.port();
        let script =
            format!("curl -sS http://open.lab.test:{port}/; curl -sS http://{}:{port}/", Lab::PUBLIC);
        let rule = format!("destination: \"open.lab.test:{port}\", protocol: TCP/HTTP");
        lab.policy(&[rule], "");
        let policy = lab.path("policy.yaml");
        let run =
            lab.observe().option(&["--mode", "deny", "--policy", &policy.to_string_lossy()]).sh(&script);
        let run = run.ends(7).denied(Lab::PUBLIC, port, "raw-address").warns("denied:");
        assert!(run.looked_up("open.lab.test", "deny"), "its own rule opens nothing: {run:#?}");
        assert_eq!(mode(&run), "deny");
        assert_eq!(server.arrivals(), 0);
    });
}

#[test]
fn allow_needs_to_be_said_twice_and_lets_through_to_public_addresses_alone() {
    each(CLAW, |lab| {
        let (server, inner) = (http(Lab::PUBLIC), http(Lab::PRIVATE));
        let (port, private) = (server.port(), inner.port());
        let metadata = sink(Lab::METADATA, 80);
        lab.hosts(&format!(
            "{} open.lab.test\n{} inner.lab.test\n{} meta.lab.test\n127.0.0.1 loop.lab.test",
            Lab::PUBLIC,
            Lab::PRIVATE,
            Lab::METADATA
        ));
        let refused = lab.observe().option(&["--mode", "allow"]).sh("true").ends(2).warns("--danger-open");
        assert!(refused.records.is_empty(), "nothing was run");
        let script = format!(
            "curl -sS http://open.lab.test:{port}/through
             for url in http://inner.lab.test:{private}/ http://meta.lab.test/ http://loop.lab.test:{private}/ \
               http://169.254.169.254/ http://{inner}:{private}/ http://11.64.2.9:{port}/; do
               curl -sS -m 5 $url && echo THROUGH
             done; true",
            inner = Lab::PRIVATE
        );
        let run = lab.observe().option(&["--mode", "allow", "--danger-open"]).sh(&script);
        let run = run.ends(0).says("GET /through").allowed("open.lab.test", port);
        assert!(!run.stdout.contains("THROUGH"), "{run:#?}");
        assert_eq!(mode(&run), "allow");
        assert_eq!((server.arrivals(), inner.arrivals(), metadata.arrivals()), (1, 0, 0));
        let run = run.denied("inner.lab.test", private, "private-address");
        let run = run.denied("meta.lab.test", 80, "private-address");
        let run = run.denied("loop.lab.test", private, "private-address");
        let run = run.denied(Lab::METADATA, 80, "metadata").denied(Lab::PRIVATE, private, "raw-address");
        let close = about(&run, "close", "open.lab.test");
        assert_eq!((&close["application"], &close["end"]), (&"http".into(), &"end".into()), "{run:#?}");
    });
}

/// Answers come from the very address and port that was asked: a connected socket takes no others.
#[test]
fn allow_lets_literal_addresses_and_datagrams_through_and_takes_them_down() {
    each(CLAW, |lab| {
        let (server, server6) = (http(Lab::PUBLIC), http(Lab::PUBLIC6));
        let (ticks, ticks6) = (echo_datagrams(Lab::PUBLIC), echo_datagrams(Lab::PUBLIC6));
        let (inner, metadata) = (sink_datagrams(Lab::PRIVATE, 4_000), sink_datagrams(Lab::METADATA, 4_000));
        let names = names(Lab::PUBLIC);
        lab.hosts(&format!("{} open.lab.test\n{} inner.lab.test", Lab::PUBLIC, Lab::PRIVATE));
        let script = format!(
            "import socket, urllib.request
for host in ('{v4}:{port}', '[{v6}]:{port6}'):
    print(urllib.request.urlopen(f'http://{{host}}/literal').read().decode())
def ask(host, port, text):
    for family, kind, _, _, to in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
        with socket.socket(family, kind) as one:
            one.settimeout(2); one.connect(to)
            try: one.send(text); return one.recv(65535) == text
            except OSError: pass
    return False
print([ask('{v4}', {tick}, b'one'), ask('{v6}', {tick6}, b'x' * 9001), ask('open.lab.test', {tick}, b'')])
print([ask('{private}', 4000, b'a'), ask('{metadata}', 4000, b'b'), ask('inner.lab.test', 4000, b'c'),
    ask('11.64.2.9', {tick}, b'd')])
q = bytes.fromhex('abcd01000001000000000000') + b'\\x04open\\x03lab\\x04test\\x00' + bytes.fromhex('00010001')
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.settimeout(2); one.connect(('{v4}', 53)); one.send(q); print(socket.inet_ntoa(one.recv(512)[-4:]))",
            v4 = Lab::PUBLIC,
            v6 = Lab::PUBLIC6,
            private = Lab::PRIVATE,
            metadata = Lab::METADATA,
            port = server.port(),
            port6 = server6.port(),
            tick = ticks.port(),
            tick6 = ticks6.port(),
        );
        let run = lab
            .observe()
            .option(&["--mode", "allow", "--danger-open"])
            .sh(&format!("python3 - <<'END'\n{script}\nEND"));
        let run = run.ends(0).says("[True, True, True]").says("[False, False, False, False]").says("11.64.");
        assert_eq!(run.stdout.matches("GET /literal").count(), 2, "{run:#?}");
        assert_eq!((ticks.arrivals(), ticks6.arrivals()), (2, 1));
        assert_eq!((inner.arrivals(), metadata.arrivals(), names.arrivals()), (0, 0, 0));
        let run = run.allowed(Lab::PUBLIC, server.port()).allowed(Lab::PUBLIC6, ticks6.port());
        let run = run.allowed("open.lab.test", ticks.port());
        let run =
            run.denied("inner.lab.test", 4_000, "private-address").denied(Lab::PRIVATE, 4_000, "raw-address");
        let close = about(&run, "close", Lab::PUBLIC6);
        assert_eq!((&close["application"], &close["sni"]), (&"http".into(), &Value::Null), "{close}");
        let ends = run.of_kind("close");
        let tick = ends.iter().find(|end| end["port"] == ticks6.port()).unwrap();
        assert_eq!((&tick["bytes_out"], &tick["bytes_in"]), (&9_001.into(), &9_001.into()), "{tick}");
    });
}

#[test]
fn rules_name_planes_and_open_nothing() {
    each(CLAW, |lab| {
        let server = echo(Lab::PUBLIC);
        lab.hosts(&format!("{} mine.lab.test", Lab::PUBLIC));
        let rules = [
            format!("destination: \"mine.lab.test:{}\", protocol: TCP", server.port()),
            "destination: api.lab.test:443, http: ['POST /v1/*']".to_owned(),
        ];
        lab.policy(&rules, "process: {env: {set: {FROM_POLICY: there}}}\n");
        let policy = lab.path("policy.yaml");
        let run = lab.observe().option(&["--policy", &policy.to_string_lossy()]).sh(&format!(
            "echo $FROM_POLICY; curl -s -m 9 -o /dev/null telnet://mine.lab.test:{} < /etc/hosts
             for path in v1/x v2/x; do curl -s -d x https://api.lab.test/$path; done; curl -s https://else.test/; true",
            server.port()
        ));
        let run = run.ends(0).says("there");
        assert_eq!(server.arrivals(), 0);
        assert_eq!(about(&run, "connect", "mine.lab.test")["plane"], "tool", "{run:#?}");
        assert!(about(&run, "connect", "mine.lab.test")["rule"].as_str().unwrap().ends_with("policy.yaml:5"));
        let planes: Vec<_> =
            run.of_kind("request").iter().map(|one| (one["path"].clone(), one["plane"].clone())).collect();
        let plane = |path: &str, plane: Value| (Value::from(path), plane);
        assert_eq!(
            planes,
            [plane("/v1/x", "tool".into()), plane("/v2/x", Value::Null), plane("/", Value::Null)]
        );
        assert!(about(&run, "connect", "else.test").get("plane").is_none());
    });
}

#[test]
fn an_observed_run_keeps_its_phase_and_its_rules() {
    once(CLAW, User::Root, |lab| {
        let server = http(Lab::PUBLIC);
        lab.hosts(&format!("{} open.lab.test", Lab::PUBLIC));
        let policy = lab.path("policy.yaml");
        lab.policy(&[], "");
        let name = format!("observed-{}", std::process::id());
        let options = ["--mode", "deny", "--name", name.as_str(), "--policy", &policy.to_string_lossy()];
        let running =
            lab.observe().option(&options).start(&["sh", "-c", "sleep 2; curl -s http://open.lab.test/"]);
        thread::sleep(Duration::from_millis(700));
        lab.policy(&["destination: open.lab.test:80, protocol: TCP/HTTP, private: allow".to_owned()], "");
        let phase = lab.cli(&["phase", "bootstrap", "--run", &name]);
        assert!(phase.code == 1 && phase.stderr.contains("keeps its rules"), "{phase:#?}");
        let run = running.end();
        assert!(
            run.code != 0 && run.of_kind("policy").is_empty() && run.of_kind("phase").is_empty(),
            "{run:#?}"
        );
        assert_eq!(server.arrivals(), 0);
    });
}

#[test]
fn a_plain_run_has_nothing_of_the_sink() {
    each(CLAW, |lab| {
        let (stream, datagrams) = (sink(Lab::PUBLIC, 4433), sink_datagrams(Lab::PUBLIC, 4434));
        lab.policy(&[], "");
        let code = "
for address in [('8.8.8.8', 4433), ('2606:4700:4700::1111', 4433), ('any.test', 443)]:
    try:
        socket.create_connection(address, 3)
        print('THROUGH', address)
    except OSError:
        pass
try:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b'x', ('8.8.8.8', 4434)); s.sendto(b'x', ('8.8.8.8', 4434))
    print('THROUGH datagram')
except OSError:
    pass
print('done')";
        let run = lab.python(code).ends(0).prints("done");
        assert_eq!((stream.arrivals(), datagrams.arrivals()), (0, 0));
        assert!(run.of_kind("start")[0].get("mode").is_none());
        assert!(run.records.iter().all(|record| record["decision"] != "sink"), "{run:#?}");
        let rules = |run: &Outcome| run.of_kind("applied")[0]["nft"].as_str().unwrap().to_owned();
        let observed = lab.observe().sh("true").ends(0);
        assert_ne!(rules(&run), rules(&observed), "datagrams are steered for an observed run alone");
        let plan = lab.cli(&["run", "--dry-run", "--json", "--", "true"]).ends(0);
        assert!(!plan.stdout.contains("catch_all") && !plan.stdout.contains("/run/claw/ca.pem"), "{plan:#?}");
    });
}

#[test]
fn the_gates_own_page_and_the_name_of_an_address_work() {
    once(CLAW, User::Ordinary, |lab| {
        let code = "
import urllib.request
print(urllib.request.urlopen('http://policy.internal/').read().decode())
print(socket.gethostbyaddr(socket.gethostbyname('some.test'))[0])";
        let file = lab.program_file(code);
        let run = lab.observe().command(&["python3", &file]);
        run.ends(0).says("Nothing was refused so far").says("some.test");
    });
}

#[test]
fn a_script_and_a_module_are_named() {
    once(CLAW, User::Ordinary, |lab| {
        lab.write(
            "work/asks.py",
            "import urllib.request as r, sys\ntry: r.urlopen(sys.argv[1])\nexcept Exception: pass\n",
        );
        let run = lab.observe().sh("/usr/bin/python3 asks.py http://script.test/ --key sk-canary
             /usr/bin/python3 -m asks http://module.test/");
        assert_eq!(about(&run, "request", "script.test")["process"]["package"], "asks.py", "{run:#?}");
        assert_eq!(about(&run, "request", "module.test")["process"]["package"], "asks");
        let plain = lab.run("/usr/bin/python3 asks.py http://script.test/");
        assert!(plain.records.iter().all(|record| record["process"].get("package").is_none()));
    });
}

/// The hooks' variables are put before what the policy sets; what is started without them still runs.
#[test]
fn the_package_that_opens_a_connection_is_told_by_the_agents_own_side() {
    once(CLAW, User::Ordinary, |lab| {
        lab.directory("work/site-packages/telly");
        lab.directory("work/node_modules/@corp/telly");
        lab.write(
            "work/site-packages/telly/__init__.py",
            "import urllib.request as r\ndef tell(to):\n    try: r.urlopen(to)\n    except Exception: pass\n",
        );
        lab.write(
            "work/node_modules/@corp/telly/index.js",
            "exports.tell = (to) => fetch(to).catch(() => {})\n",
        );
        lab.write("work/main.py", "import sys, telly\ntelly.tell(sys.argv[1])\nprint('python ran')\n");
        lab.write("work/main.js", "require('@corp/telly').tell(process.argv[2]).then(() => console.log('node ran', eval('kept')))\n");
        lab.write("work/kept.cjs", "globalThis.kept = 7\n");
        let work = lab.path("work").display().to_string();
        lab.policy(
            &[],
            &format!(
                "process: {{env: {{set: {{PYTHONPATH: '{work}/site-packages', NODE_OPTIONS: '--require {work}/kept.cjs'}}}}}}\n"
            ),
        );
        let policy = lab.path("policy.yaml").display().to_string();
        let script = "/usr/bin/python3 main.py http://python.test/
             /usr/bin/python3 -I -c 'import urllib.request as r; r.urlopen(\"http://isolated.test/\")' 2> /dev/null
             node main.js http://node.test/; true";
        let observed = |more: &[&str]| {
            let options = [&["--policy", policy.as_str()], more].concat();
            let run = lab.observe().option(&options).sh(script).ends(0).says("python ran").says("node ran 7");
            ["python.test", "isolated.test", "node.test"].map(|host| {
                let request = about(&run, "request", host);
                assert_eq!(request["process"], about(&run, "connect", host)["process"]);
                request["process"]["via"].as_str().unwrap_or("-").to_owned()
            })
        };
        assert_eq!(observed(&[]), ["telly", "-", "@corp/telly"]);
        assert_eq!(observed(&["--no-packages"]), ["-", "-", "-"]);
        let run = lab.claw().option(&["--policy", &policy]).sh("env");
        assert!(!run.stdout.contains("CLAW_PACKAGES") && !run.stdout.contains("/run/claw"), "{run:#?}");
    });
}

/// Whatever an agent says there is a word in a record at most.
#[test]
fn what_an_agent_says_of_its_packages_decides_nothing() {
    once(CLAW, User::Ordinary, |lab| {
        let run = lab.observe().command(&["/usr/bin/python3", "-I", "-c", "
import os, socket, time
host, port = os.environ['CLAW_PACKAGES'].rsplit(':', 1)
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for text in (b'', b'\\xff' * 9000, b'x\\ty\\t1\\tz', f'{os.getpid()}\\tliar.test\\t80\\t\\x1b[2J<script>'.encode(),
             f'{os.getpid()}\\tother.test\\t80\\twrong'.encode(), f'{os.getpid()}\\tLIAR.test\\t80\\tmade-up'.encode()):
    one.sendto(text, (host, int(port)))
for _ in range(5000): one.sendto(b'7\\ta\\t1\\tflood', (host, int(port)))
try: one.bind((host, int(port)))
except OSError as error: print('not taken', error.errno)
# open until they were looked at: of a socket that is gone nobody is named
kept = [socket.create_connection((name, 80), 5) for name in ('liar.test', 'plain.test')]
time.sleep(1)
"]);
        let run = run.ends(0).says("not taken");
        let via =
            |host: &str| about(&run, "connect", host)["process"]["via"].as_str().unwrap_or("-").to_owned();
        assert_eq!((via("liar.test").as_str(), via("plain.test").as_str()), ("made-up", "-"), "{run:#?}");
    });
}
