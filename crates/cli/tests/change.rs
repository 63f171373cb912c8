//! The policy and the phase change while the agent runs: what is no longer permitted is closed, the rest goes on, and
//! whatever cannot hold changes nothing.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::thread;
use std::time::{Duration, Instant};

use claw_testkit::{
    Authority, Lab, Outcome, Running, Server, User, each, echo, named, once, web, web_over_tls,
};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

/// Waits until the agent has made a file in its writable directory, or the test is stopped.
fn wait_for(lab: &Lab, name: &str) {
    let begun = Instant::now();
    while !lab.path(&format!("work/{name}")).exists() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the agent never came to `{name}`");
        thread::sleep(Duration::from_millis(5));
    }
}

fn rules(list: &[String]) -> String {
    let lines: Vec<String> =
        list.iter().map(|rule| format!("    - {{{rule}, plane: tool, purpose: x}}\n")).collect();
    if lines.is_empty() { "    []\n".to_owned() } else { lines.concat() }
}

/// A policy whose working directory is writable, with these rules for the two phases.
fn policy(lab: &Lab, bootstrap: &[String], workload: &[String]) {
    let text = format!(
        "version: 1\nnetwork_policy:\n  bootstrap:\n{}  workload:\n{}filesystem: {{write: [.]}}\n",
        rules(bootstrap),
        rules(workload)
    );
    lab.write("policy.yaml", &text);
}

/// Holds a connection to each host and speaks on it ten times a second; prints when one ends, and stops at the file
/// `stop`.
const HOLD: &str = r"
def hold(name, port):
    connection = socket.create_connection((name, port)); connection.settimeout(4)
    count = 0
    try:
        while not os.path.exists('stop'):
            connection.sendall(b'x'); assert connection.recv(1) == b'x'
            count += 1
            if count == 3: open('up-' + name, 'w').close()
            time.sleep(0.05)
        print(name, 'went on')
    except (OSError, AssertionError) as error:
        open('closed-' + name, 'w').close()
        print(name, 'closed', type(error).__name__)
threads = [threading.Thread(target=hold, args=target) for target in TARGETS]
for thread in threads: thread.start()
for thread in threads: thread.join()
";

fn holding<'a>(lab: &'a Lab, servers: &[(&str, &Server)]) -> Running<'a> {
    let targets: Vec<String> =
        servers.iter().map(|(name, server)| format!("('{name}', {})", server.port())).collect();
    let file = lab.program_file(&format!("TARGETS = [{}]\n{HOLD}", targets.join(", ")));
    let running = lab.claw().start(&["python3", &file]);
    for (name, _) in servers {
        wait_for(lab, &format!("up-{name}"));
    }
    running
}

fn stop(lab: &Lab, running: Running<'_>) -> Outcome {
    lab.write("work/stop", "");
    running.end()
}

#[test]
fn a_changed_policy_closes_what_it_no_longer_permits_and_nothing_else() {
    each(CLAW, |lab| {
        let (one, other) = (echo(Lab::PRIVATE), echo(Lab::PRIVATE));
        policy(lab, &[], &[one.rule("one.test"), other.rule("other.test")]);
        let running = holding(lab, &[("one.test", &one), ("other.test", &other)]);
        policy(lab, &[], &[other.rule("other.test")]);
        wait_for(lab, "closed-one.test");
        let run = stop(lab, running)
            .ends(0)
            .says("one.test closed ConnectionResetError")
            .says("other.test went on");
        let run = run.warns("policy changed (the file changed): 1 flows closed");
        assert!(one.until(|server| server.resets() == 1), "the destination must see it too");
        assert_eq!(run.of_kind("policy").len(), 1, "{run:#?}");
        assert_eq!(run.of_kind("revoke")[0]["what"], format!("one.test:{}", one.port()), "{run:#?}");
        let ends: Vec<_> = run.of_kind("close").iter().map(|record| record["end"].clone()).collect();
        assert!(ends.contains(&"revoked".into()), "{run:#?}");
    });
}

#[test]
fn a_network_that_is_closed_now_is_left_by_every_name_that_led_there() {
    each(CLAW, |lab| {
        let (one, other) = (echo(Lab::PRIVATE), echo(Lab::PRIVATE));
        let web = web(Lab::PRIVATE);
        lab.hosts(&format!("{0} one.test\n{0} other.test\n{0} web.test", Lab::PRIVATE));
        let opens = [
            format!("destination: one.test:{}, private: allow", one.port()),
            other.rule("other.test"),
            format!("destination: web.test:{}, private: allow, protocol: TCP/HTTP", web.port()),
        ];
        policy(lab, &[], &opens);
        let asks = format!(
            r"
import http.client
client = http.client.HTTPConnection('web.test', {}, timeout=10)
client.request('GET', '/before'); client.getresponse().read(); client.sock.settimeout(10)
open('up-web.test', 'w').close()
try: print('web.test', client.sock.recv(1))
except OSError as error: print('web.test closed', type(error).__name__)
open('closed-web.test', 'w').close()
",
            web.port()
        );
        let targets = format!("[('one.test', {}), ('other.test', {})]", one.port(), other.port());
        let file = lab.program_file(&format!(
            "TARGETS = {targets}\n{}{asks}\nfor thread in threads: thread.join()\n",
            HOLD.replace("for thread in threads: thread.join()", "")
        ));
        let running = lab.claw().start(&["python3", &file]);
        ["up-one.test", "up-other.test", "up-web.test"].iter().for_each(|name| wait_for(lab, name));
        let text = std::fs::read_to_string(lab.path("policy.yaml")).unwrap();
        let closes =
            [one.port(), web.port()].map(|port| format!("    - {{destination: '10.0.0.0/8:{port}'}}\n"));
        lab.write(
            "policy.yaml",
            &text.replace("filesystem:", &format!("  deny:\n{}filesystem:", closes.concat())),
        );
        ["closed-one.test", "closed-web.test"].iter().for_each(|name| wait_for(lab, name));
        let run = stop(lab, running).ends(0).says("one.test closed ConnectionResetError");
        let run = run.says("web.test closed ConnectionResetError").says("other.test went on");
        let run = run.warns("policy changed (the file changed): 2 flows closed");
        let ends = run.of_kind("close").iter().filter(|record| record["end"] == "revoked").count();
        assert_eq!(ends, 2, "{run:#?}");
    });
}

#[test]
fn a_connection_taken_back_before_it_said_its_name_is_written_down_as_refused() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        policy(lab, &[], &[format!("{}, protocol: TCP/TLS", server.rule("one.test"))]);
        let code = format!(
            "connection = socket.create_connection(('one.test', {})); open('up', 'w').close()
attempt(lambda: connection.recv(1))",
            server.port()
        );
        let file = lab.program_file(&code);
        let running = lab.claw().start(&["python3", &file]);
        wait_for(lab, "up");
        policy(lab, &[], &[]);
        let run = running.end().ends(1).says("ECONNRESET").denied("one.test", server.port(), "no-rule");
        assert!(run.of_kind("close").is_empty(), "nothing was carried: {run:#?}");
    });
}

#[test]
fn a_broken_policy_keeps_the_old_one_and_says_so() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        policy(lab, &[], &[server.rule("one.test")]);
        let running = holding(lab, &[("one.test", &server)]);
        for broken in [
            "version: 1\nnetwork_polic:\n",
            "\tx",
            "version: 1\nnetwork_policy: {workload: [{destination: '0.0.0.0/0:443', plane: tool, purpose: x}]}\n",
        ] {
            lab.write("policy.yaml", broken);
            running.signal(1); // SIGHUP
            thread::sleep(Duration::from_millis(150));
        }
        let run = stop(lab, running).ends(0).says("went on");
        let run =
            run.warns("the new policy is refused, the old one holds").warns("`network_polic` is not a key");
        assert!(run.of_kind("policy").iter().all(|record| record["to"].is_null()), "{run:#?}");
        assert!(run.of_kind("policy").len() >= 3, "{run:#?}");
    });
}

/// The policy, under a ceiling in a directory of its own.
fn under(lab: &Lab, ceiling: &[String], rules_of: &[String]) {
    lab.directory("org");
    lab.write("org/base.yaml", &format!("version: 1\nnetwork_policy:\n  workload:\n{}", rules(ceiling)));
    lab.write(
        "policy.yaml",
        &format!(
            "version: 1\nceiling: org/base.yaml\nnetwork_policy:\n  workload:\n{}filesystem: {{write: [.]}}\n",
            rules(rules_of)
        ),
    );
}

#[test]
fn a_ceiling_is_read_anew_and_what_is_beyond_it_is_refused() {
    each(CLAW, |lab| {
        let (one, other) = (echo(Lab::PRIVATE), echo(Lab::PRIVATE));
        let (one_rule, other_rule) = (one.rule("one.test"), other.rule("other.test"));
        under(lab, std::slice::from_ref(&one_rule), std::slice::from_ref(&other_rule));
        lab.run("echo ran").ends(2).warns("is beyond the ceiling `org/base.yaml`");
        under(lab, &[one_rule.clone(), other_rule.clone()], &[one_rule.clone(), other_rule.clone()]);
        let running = holding(lab, &[("one.test", &one), ("other.test", &other)]);
        // the ceiling alone changes: the policy is beyond it now, and the one that held goes on
        lab.write(
            "org/base.yaml",
            &format!("version: 1\nnetwork_policy:\n  workload:\n{}", rules(std::slice::from_ref(&one_rule))),
        );
        thread::sleep(Duration::from_millis(300));
        // within the ceiling as it is now: it holds
        lab.write(
            "policy.yaml",
            &format!("version: 1\nceiling: org/base.yaml\nnetwork_policy:\n  workload:\n{}filesystem: {{write: [.]}}\n", rules(&[one_rule])),
        );
        wait_for(lab, "closed-other.test");
        let run = stop(lab, running).ends(0).says("one.test went on").says("other.test closed");
        run.warns("the new policy is refused, the old one holds")
            .warns("is beyond the ceiling `org/base.yaml`");
    });
}

#[test]
fn a_ceiling_that_the_agent_could_write_runs_nothing() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        let rule = server.rule("one.test");
        lab.write(
            "work/base.yaml",
            &format!("version: 1\nnetwork_policy:\n  workload:\n{}", rules(std::slice::from_ref(&rule))),
        );
        lab.write(
            "policy.yaml",
            &format!(
                "version: 1\nceiling: work/base.yaml\nnetwork_policy:\n  workload:\n{}filesystem: {{write: [.]}}\n",
                rules(&[rule])
            ),
        );
        let run = lab.run("echo ran").ends(2).warns("lies where the agent may write");
        assert!(run.stdout.is_empty(), "{run:#?}");
    });
}

#[test]
fn a_changed_policy_opens_what_it_permits_from_then_on() {
    each(CLAW, |lab| {
        let (named, ranged) = (echo(Lab::PRIVATE), echo(Lab::PUBLIC));
        policy(lab, &[], &[]);
        let code = format!(
            "def reached(target):
    try:
        with socket.create_connection(target) as connection:
            connection.sendall(b'x'); return connection.recv(1) == b'x'
    except OSError: return False
targets = [('new.test', {}), ('8.8.8.8', {})]
print('before', [reached(target) for target in targets])
open('before', 'w').close()
while not os.path.exists('go'): time.sleep(0.01)
print('after', [reached(target) for target in targets])",
            named.port(),
            ranged.port()
        );
        let file = lab.program_file(&code);
        // the working directory must be writable from the start
        let running = lab.claw().start(&["python3", &file]);
        wait_for(lab, "before");
        let wide =
            format!("destination: \"8.0.0.0/8:{}-{}\"", ranged.port(), ranged.port().saturating_add(30));
        let narrow = format!("destination: \"8.8.0.0/16:{}\"", ranged.port());
        policy(lab, &[], &[named.rule("new.test"), wide, narrow]);
        thread::sleep(Duration::from_millis(200));
        lab.write("work/go", "");
        running.end().ends(0).says("before [False, False]").says("after [True, True]");
    });
}

#[test]
fn overlapping_networks_can_stand_in_one_policy() {
    once(CLAW, User::Ordinary, |lab| {
        let server = echo(Lab::PUBLIC);
        let port = server.port();
        let rules = [
            "destination: \"8.0.0.0/8:1-65535\", protocol: TCP".to_owned(),
            format!("destination: \"8.8.0.0/16:{port}\""),
            format!("destination: \"8.8.8.8:{}-{port}\"", port - 5),
            format!("destination: \"many.test:1-{port}\", addresses: [\"8.8.8.8\"], protocol: TCP"),
            format!(
                "destination: \"many.test:{}-{}\", addresses: [\"8.8.8.8\"], protocol: TCP",
                port - 5,
                port + 1
            ),
        ];
        lab.policy(&rules, "");
        let code = format!(
            "attempt(lambda: talk(('8.8.8.8', {port})))\nattempt(lambda: talk(('many.test', {port})))"
        );
        let run = lab.python(&code).ends(0);
        assert_eq!(run.stdout.matches("REACHED").count(), 2, "{run:#?}");
    });
}

#[test]
fn a_request_that_goes_on_ends_when_its_rule_does_and_its_neighbour_does_not() {
    once(CLAW, User::Ordinary, |lab| {
        let authority = Authority::new();
        let server = web_over_tls(Lab::PRIVATE, &authority, &["api.test"]);
        lab.write("upstream.pem", &authority.pem());
        let rule = |requests: &str| {
            format!("{}, upstream_ca: ../upstream.pem, http: [{requests}]", server.rule("api.test"))
        };
        policy(lab, &[], &[rule("'GET /slow', 'GET /bytes/*'")]);
        let url = format!("https://api.test:{}", server.port());
        // two requests on one HTTP/2 connection; one of them loses its rule on the way
        let script = format!(
            "curl -sSN --http2 --limit-rate 400k -o bytes {url}/bytes/1000000 -o slow {url}/slow --parallel --parallel-immediate --parallel-max 2 &
            until grep -q 'piece 2' slow 2>/dev/null; do sleep 0.02; done
            touch up; wait $!; echo code $?; wc -c < bytes; grep -c piece slow"
        );
        let running = lab.claw().start(&["sh", "-c", &script]);
        wait_for(lab, "up");
        policy(lab, &[], &[rule("'GET /bytes/*'")]);
        let run = running.end().ends(0).says("1000000");
        assert!(!run.stdout.contains("code 0"), "{run:#?}");
        let pieces: u32 = run.stdout.lines().last().unwrap().parse().unwrap();
        assert!((3..29).contains(&pieces), "{run:#?}");
        assert!(run.of_kind("revoke")[0]["what"].as_str().unwrap().contains("/slow"), "{run:#?}");
    });
}

/// Speaks HTTP/1.1 on one connection: once, and again when the file `go` is there.
const ASK_AGAIN: &str = r"
def ask(path):
    try:
        connection.sendall(b'GET %s HTTP/1.1\r\nHost: %s:%d\r\n\r\n' % (path, NAME.encode(), PORT))
        answer = b''
        while not answer.endswith(b'0\r\n\r\n'):
            part = connection.recv(65536)
            if not part: return 'ended'
            answer += part
        return answer[:15]
    except OSError as error: return type(error).__name__
print('first', ask(b'/first')); open('up', 'w').close()
while not os.path.exists('go'): time.sleep(0.01)
print('second', ask(b'/second'))
";

#[test]
fn a_rule_that_now_asks_for_tls_ends_what_goes_in_plain_text() {
    each(CLAW, |lab| {
        let (named, ranged) = (web(Lab::PRIVATE), echo(Lab::PUBLIC));
        let requests =
            |protocol: &str| format!("{}, protocol: {protocol}, http: ['GET /**']", named.rule("api.test"));
        let network =
            |protocol: &str| format!("destination: '8.8.8.0/24:{}', protocol: {protocol}", ranged.port());
        // some rule ends TLS from the start, so that one may later
        let other = "destination: 'other.test:443', http: ['GET /']".to_owned();
        policy(lab, &[], &[requests("TCP/HTTP"), network("TCP"), other.clone()]);
        let code = format!(
            "NAME, PORT = 'api.test', {}
connection = socket.create_connection((NAME, PORT)); raw = socket.create_connection(('8.8.8.8', {}))
raw.sendall(b'x'); raw.recv(1)
{ASK_AGAIN}
try: raw.sendall(b'plain'); print('raw', raw.recv(5))
except OSError: print('raw closed')",
            named.port(),
            ranged.port()
        );
        let file = lab.program_file(&code);
        let running = lab.claw().start(&["python3", &file]);
        wait_for(lab, "up");
        policy(lab, &[], &[requests("TCP/TLS"), network("TCP/TLS"), other]);
        thread::sleep(Duration::from_millis(300));
        lab.write("work/go", "");
        let run = running.end().ends(0).says("first b'HTTP/1.1 200 OK'");
        let seen = String::from_utf8(named.received()).unwrap();
        assert!(seen.contains("/first") && !seen.contains("/second"), "{seen}: {run:#?}");
        assert_eq!(ranged.received(), b"x", "{run:#?}");
        run.says("raw closed").warns("policy changed (the file changed): 2 flows closed");
    });
}

#[test]
fn a_connection_verified_by_certificates_that_were_replaced_ends() {
    once(CLAW, User::Ordinary, |lab| {
        let (old, new) = (Authority::new(), Authority::new());
        let server = web_over_tls(Lab::PRIVATE, &old, &["api.test"]);
        lab.write("upstream.pem", &old.pem());
        let requests = |more: &str| {
            format!("{}, upstream_ca: ../upstream.pem, http: ['GET /**'{more}]", server.rule("api.test"))
        };
        policy(lab, &[], &[requests("")]);
        let code = format!(
            "import ssl
NAME, PORT = 'api.test', {}
connection = socket.create_connection((NAME, PORT))
connection = ssl.create_default_context().wrap_socket(connection, server_hostname=NAME)
{ASK_AGAIN}
open('kept', 'w').close()
while not os.path.exists('replaced'): time.sleep(0.01)
print('third', ask(b'/third'))",
            server.port()
        );
        let file = lab.program_file(&code);
        let running = lab.claw().start(&["python3", &file]);
        wait_for(lab, "up");
        // another policy with the same certificates: nothing ends
        policy(lab, &[], &[requests(", 'POST /more'")]);
        thread::sleep(Duration::from_millis(300));
        lab.write("work/go", "");
        wait_for(lab, "kept");
        // the same path, other certificates
        lab.write("upstream.pem", &new.pem());
        policy(lab, &[], &[requests(", 'POST /less'")]);
        thread::sleep(Duration::from_millis(300));
        lab.write("work/replaced", "");
        let run = running.end().ends(0).says("second b'HTTP/1.1 200 OK'");
        let seen = String::from_utf8(server.received()).unwrap();
        assert!(seen.contains("/second") && !seen.contains("/third"), "{seen}: {run:#?}");
        run.warns("0 flows closed").warns("1 flows closed");
    });
}

#[test]
fn a_policy_that_this_sandbox_cannot_carry_changes_nothing() {
    once(CLAW, User::Ordinary, |lab| {
        let server = echo(Lab::PRIVATE);
        let good = server.rule("one.test");
        policy(lab, &[], std::slice::from_ref(&good));
        let running = holding(lab, &[("one.test", &server)]);
        for more in [
            "destination: \"new.test:9999\", protocol: UDP",
            "destination: \"new.test:443\", http: [\"GET /\"]",
            "destination: \"11.64.1.0/24:443\"",
        ] {
            policy(lab, &[], &[more.to_owned()]);
            thread::sleep(Duration::from_millis(150));
        }
        let run = stop(lab, running).ends(0).says("went on");
        for part in
            ["UDP port 9999 is new", "certificate that is trusted inside", "addresses that stand for names"]
        {
            assert!(run.stderr.contains(part), "{part}: {run:#?}");
        }
    });
}

#[test]
fn a_trusted_policy_that_changes_must_be_accepted_again() {
    once(CLAW, User::Ordinary, |lab| {
        let server = echo(Lab::PRIVATE);
        let text = |rule: &str| {
            format!("version: 1\nfilesystem: {{write: [out]}}\nnetwork_policy: {{workload: [{rule}]}}\n")
        };
        let rule = format!("{{{}, plane: tool, purpose: x}}", server.rule("one.test"));
        lab.directory("work/out");
        lab.write("work/agent_runtime.yaml", &text(""));
        lab.cli(&["policy", "trust"]).ends(0);
        let program = lab.program_file(&format!(
            "open('out/up', 'w').close()
while not os.path.exists('out/go'): time.sleep(0.01)
attempt(lambda: talk(('one.test', {})))",
            server.port()
        ));
        let claw = lab.program().to_string_lossy().into_owned();
        let running = lab.plain().start(&[&claw, "run", "--", "python3", &program]);
        wait_for(lab, "out/up");
        lab.write("work/agent_runtime.yaml", &text(&rule));
        thread::sleep(Duration::from_millis(200));
        lab.write("work/out/go", "");
        let run = running.end().ends(1).warns("was not accepted");
        assert_eq!(server.arrivals(), 0, "{run:#?}");
    });
}

#[test]
fn phases_swap_whole() {
    each(CLAW, |lab| {
        let (first, second, both) = (echo(Lab::PRIVATE), echo(Lab::PRIVATE), echo(Lab::PRIVATE));
        policy(
            lab,
            &[first.rule("attest.test"), both.rule("both.test")],
            &[second.rule("work.test"), both.rule("both.test")],
        );
        let code = format!(
            "def reached(target):
    try:
        with socket.create_connection(target) as connection:
            connection.sendall(b'x'); return connection.recv(1) == b'x'
    except OSError: return False
targets = [('attest.test', {0}), ('work.test', {1}), ('both.test', {2})]
kept = socket.create_connection(('both.test', {2})); own = socket.create_connection(('attest.test', {0}))
kept.sendall(b'x'); kept.recv(1)
print('bootstrap', [reached(target) for target in targets])
open('before', 'w').close()
while not os.path.exists('go'): time.sleep(0.01)
try: own.sendall(b'x'); ended = own.recv(1) == b''
except OSError: ended = True
kept.sendall(b'x')
print('workload', [reached(target) for target in targets], 'closed', ended, 'kept', kept.recv(1))",
            first.port(),
            second.port(),
            both.port()
        );
        let file = lab.program_file(&code);
        let running =
            lab.claw().option(&["--phase", "bootstrap", "--name", "swap"]).start(&["python3", &file]);
        wait_for(lab, "before");
        let swap = lab.cli(&["phase", "workload", "--run", "swap", "--why", "attested"]).ends(0);
        assert!(swap.stdout.contains("phase workload: 1 flows closed"), "{swap:#?}");
        lab.write("work/go", "");
        let run = running.end().ends(0);
        let run = run
            .says("bootstrap [True, False, True]")
            .says("workload [False, True, True] closed True kept b'x'");
        let phase = run.of_kind("phase")[0];
        assert_eq!(
            (phase["from"].as_str(), phase["to"].as_str()),
            (Some("bootstrap"), Some("workload")),
            "{run:#?}"
        );
        assert_eq!(phase["why"], "attested");
        assert!(lab.cli(&["phase", "workload", "--run", "swap"]).stderr.contains("no run is called"));
    });
}

#[test]
fn what_is_inside_cannot_ask_for_another_phase() {
    each(CLAW, |lab| {
        policy(lab, &[], &[]);
        let claw = lab.program().display().to_string();
        let program = format!(
            "connection = socket.socket(socket.AF_UNIX)
name = [line.split()[7] for line in open('/proc/net/unix') if '@claw/' in line]
print('seen', name)
attempt(lambda: connection.connect('\\0claw/{}/inside'))",
            lab.user().number()
        );
        let file = lab.program_file(&program);
        let run = lab.claw().option(&["--name", "inside"]).command(&["python3", &file]);
        run.ends(1).says("ECONNREFUSED").says("seen []");
        drop(claw);
    });
}

#[test]
fn limits_are_reached_and_told() {
    each(CLAW, |lab| {
        let (server, plain) = (echo(Lab::PRIVATE), web(Lab::PRIVATE));
        let limited = |name: &str, limits: &str| format!("{}, limits: {limits}", server.rule(name));
        lab.policy(
            &[
                limited("out.test", "{bytes_out: 100KiB}"),
                limited("in.test", "{bytes_in: 50KiB}"),
                limited("few.test", "{connections: 2}"),
                limited("rate.test", "{rate: 3/h}"),
                format!(
                    "{}, protocol: TCP/HTTP, http: ['* /**'], limits: {{rate: 2/h, bytes_out: 10KiB}}",
                    plain.rule("web.test")
                ),
            ],
            "",
        );
        let code = format!(
            "PORT, WEB = {}, {}
def pour(name, most):
    connection = socket.create_connection((name, PORT)); moved = 0
    try:
        while moved < most:
            connection.sendall(b'x' * 1000); moved += len(connection.recv(1000, socket.MSG_WAITALL))
    except OSError: pass
    return moved
print('out', pour('out.test', 1 << 20) // 1000, 'again', pour('out.test', 1 << 20))
print('in', pour('in.test', 1 << 20) // 1000)
def opened(name, count, keep):
    good = 0
    for _ in range(count):
        try:
            connection = socket.create_connection((name, PORT)); connection.sendall(b'x')
            if connection.recv(1) == b'x': good += 1
            if keep: kept.append(connection)
        except OSError: pass
    return good
kept = []
print('few', opened('few.test', 5, True))
for connection in kept: connection.close()
time.sleep(0.2)
print('few again', opened('few.test', 1, False))
print('rate', opened('rate.test', 6, False))
import urllib.request, urllib.error
for number in range(3):
    try: print('web', urllib.request.urlopen('http://web.test:%d/a' % WEB).status)
    except urllib.error.HTTPError as error: print('web', error.code, error.read().decode())",
            server.port(),
            plain.port()
        );
        let run = lab.python(&code).ends(0);
        let run = run.says("out 102 again 0").says("in 51").says("few 2").says("few again 1").says("rate 3");
        assert_eq!(run.stdout.matches("web 200").count(), 2, "{run:#?}");
        let run = run.says("web 403").says("the rule's limit of 2 in 3600 s is reached");
        for name in ["out.test", "in.test", "few.test", "rate.test"] {
            assert!(run.decided(name, server.port(), "deny", "limit"), "{name}: {run:#?}");
        }
    });
}

/// What is used of a limit is what was used of the rule, also before it had one, and whatever else of it changed.
#[test]
fn limits_hold_for_what_was_open_before_the_policy_changed() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        let rule = |name: &str, more: &str| format!("{}{more}", server.rule(name));
        policy(lab, &[], &[rule("few.test", ""), rule("much.test", "")]);
        let code = format!(
            "def opened(name, data=b'x'):
    try:
        connection = socket.create_connection((name, {})); connection.sendall(data)
        kept.append(connection)
        return connection.recv(len(data), socket.MSG_WAITALL) == data
    except OSError: return False
def goes(connection):
    try:
        connection.sendall(b'x'); return connection.recv(1) == b'x'
    except OSError: return False
kept = []
print('before', sum(opened('few.test') for _ in range(5)))
print('much', opened('much.test', b'x' * 5000))
open('up', 'w').close()
while not os.path.exists('go'): time.sleep(0.01)
print('after', sum(opened('few.test') for _ in range(3)), 'on', sum(goes(one) for one in kept[:5]))
print('much', opened('much.test'))
for connection in kept[:4]: connection.close()
time.sleep(0.3)
print('closed', sum(opened('few.test') for _ in range(3)))",
            server.port()
        );
        let file = lab.program_file(&code);
        let running = lab.claw().start(&["python3", &file]);
        wait_for(lab, "up");
        // another plane, and a rule before it
        let text = format!(
            "version: 1\nnetwork_policy:\n  workload:\n    - {{{}, plane: tool, purpose: x}}\n    - {{{}, plane: control, purpose: x}}\n    - {{{}, plane: tool, purpose: x}}\nfilesystem: {{write: [.]}}\n",
            rule("first.test", ", limits: {connections: 1}"),
            rule("few.test", ", limits: {connections: 2}"),
            rule("much.test", ", limits: {bytes_out: 4000}")
        );
        lab.write("policy.yaml", &text);
        thread::sleep(Duration::from_millis(300));
        lab.write("work/go", "");
        let run = running.end().ends(0).says("before 5").says("much True");
        let run = run.says("after 0 on 5").says("much False").says("closed 1");
        run.denied("few.test", server.port(), "limit").denied("much.test", server.port(), "limit");
    });
}

/// A name server that keeps its questions, and answers with this test's address when it is told to.
struct Late {
    socket: std::net::UdpSocket,
    kept: Vec<(Vec<u8>, std::net::SocketAddr)>,
}

impl Late {
    fn serve(lab: &Lab) -> Late {
        lab.write("resolv.conf", &format!("nameserver {}\noptions timeout:20 attempts:1\n", Lab::PRIVATE));
        let socket = std::net::UdpSocket::bind((Lab::PRIVATE, 53)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Late { socket, kept: Vec::new() }
    }

    /// Waits for the two questions of one name.
    fn asked(&mut self) {
        for _ in 0..2 {
            let mut question = [0; 512];
            let (length, from) = self.socket.recv_from(&mut question).expect("a question");
            self.kept.push((question.iter().copied().take(length).collect(), from));
        }
    }

    fn answer(&self) {
        for (question, from) in &self.kept {
            self.socket.send_to(&named(question), from).unwrap();
        }
    }
}

#[test]
fn what_begins_after_a_change_is_written_down_under_the_rule_that_permits_it_then() {
    once(CLAW, User::Ordinary, |lab| {
        let mut names = Late::serve(lab);
        let server = echo(Lab::PRIVATE);
        let rule = format!("destination: 'slow.test:{}', private: allow, protocol: TCP", server.port());
        policy(lab, &[], std::slice::from_ref(&rule));
        let code = format!("attempt(lambda: talk(('slow.test', {})))", server.port());
        let file = lab.program_file(&code);
        let running = lab.claw().start(&["python3", &file]);
        names.asked();
        let other = "destination: 'other.test:443'".to_owned();
        policy(lab, &[], &[other, format!("{rule}, owner: somebody")]);
        let text = std::fs::read_to_string(lab.path("policy.yaml")).unwrap();
        let line = text.lines().position(|line| line.contains("slow.test")).unwrap() + 1;
        thread::sleep(Duration::from_millis(300));
        names.answer();
        let run = running.end().ends(0).says("REACHED").warns("policy changed");
        let connect = run.of_kind("connect")[0];
        let rule = connect["rule"].as_str().unwrap();
        assert!(rule.ends_with(&format!("policy.yaml:{line}")), "{rule} is not line {line}: {run:#?}");
    });
}

#[test]
fn a_connection_whose_name_is_still_looked_up_at_the_end_is_written_down() {
    each(CLAW, |lab| {
        let mut names = Late::serve(lab);
        policy(lab, &[], &["destination: 'slow.test:443', protocol: TCP".to_owned()]);
        let code = "connection = socket.create_connection(('slow.test', 443))
while not os.path.exists('go'): time.sleep(0.01)";
        let file = lab.program_file(code);
        let running = lab.claw().start(&["python3", &file]);
        names.asked();
        lab.write("work/go", "");
        let run = running.end().ends(0).allowed("slow.test", 443);
        let close = run.of_kind("close");
        assert_eq!(close.len(), 1, "{run:#?}");
        assert_eq!((&close[0]["destination"], &close[0]["end"]), (&"slow.test".into(), &"no-address".into()));
        run.warns("slow.test:443");
    });
}

/// A policy that lies where the agent may write: whoever saves it outside takes the mount away that kept the agent off.
#[test]
fn a_policy_in_a_writable_place_counts_only_when_it_was_accepted() {
    each(CLAW, |lab| {
        let server = echo(Lab::PRIVATE);
        let text = |rules: &str| {
            format!("version: 1\nnetwork_policy:\n  workload:\n{rules}filesystem: {{write: [.]}}\n")
        };
        let rule = format!("    - {{{}, plane: tool, purpose: x}}\n", server.rule("new.test"));
        let claw = lab.program().display().to_string();
        let words = |words: &[&str]| -> Vec<String> {
            [claw.as_str(), "run", "--policy", "policy.yaml", "--"]
                .iter()
                .chain(words)
                .map(ToString::to_string)
                .collect()
        };
        let start = |command: &[&str]| {
            let words = words(command);
            lab.plain().start(&words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let save = |text: &str| {
            lab.write("work/fresh", text);
            std::fs::rename(lab.path("work/fresh"), lab.path("work/policy.yaml")).unwrap();
        };
        lab.write("work/policy.yaml", &text("    []\n"));
        // the agent adds its own rule once somebody outside has saved the file
        let code = format!(
            "import shutil
open('up', 'w').close()
while not os.path.exists('saved'): time.sleep(0.01)
with open('policy.yaml', 'w') as file: file.write({:?})
time.sleep(0.3)
print('reached', attempt_quietly())",
            text(&rule)
        );
        let code = format!(
            "def attempt_quietly():
    try:
        with socket.create_connection(('new.test', {})) as connection:
            connection.sendall(b'x'); return connection.recv(1) == b'x'
    except OSError: return False
{code}",
            server.port()
        );
        let file = lab.program_file(&code);
        let running = start(&["python3", &file]);
        wait_for(lab, "up");
        save(&text("    []\n"));
        lab.write("work/saved", "");
        let run = running.end().ends(0).says("reached False").warns("lies where the agent may write");
        assert_eq!(server.arrivals(), 0, "{run:#?}");
        // nor does the next run begin with it
        let run =
            start(&["echo", "ran"]).end().ends(2).warns("changed since the last run that could write it");
        assert!(!run.stdout.contains("ran"), "{run:#?}");
        lab.cli(&["policy", "trust", "policy.yaml"]).ends(0);
        start(&["echo", "ran"]).end().ends(0).says("ran");
        // accepted, it holds at once too
        save(&text("    []\n"));
        lab.cli(&["policy", "trust", "policy.yaml"]).ends(0);
        std::fs::remove_file(lab.path("work/saved")).unwrap();
        std::fs::remove_file(lab.path("work/up")).unwrap();
        let code = code.replace("with open('policy.yaml', 'w') as file", "with open('other', 'w') as file");
        let file = lab.program_file(&code);
        let running = start(&["python3", &file]);
        wait_for(lab, "up");
        save(&text(&rule));
        lab.cli(&["policy", "trust", "policy.yaml"]).ends(0);
        running.signal(1); // SIGHUP
        thread::sleep(Duration::from_millis(200));
        lab.write("work/saved", "");
        running.end().ends(0).says("reached True").warns("policy changed");
    });
}
