//! What a policy names is reached: by name, on every transport, with the ends of connections kept.

use claw_testkit::{Lab, each, echo, echo_datagrams, http, late_answer, resetter, sink, speaks_first};

const CLAW: &str = env!("CARGO_BIN_EXE_claw");

#[test]
fn a_name_is_reached_on_its_port_without_a_proxy() {
    each(CLAW, |lab| {
        let server = http(Lab::PRIVATE);
        lab.policy(&[server.rule("api.lab.test")], "");
        let port = server.port();
        let run = lab.run(&format!(
            "env | grep -i proxy; curl -sS http://api.lab.test:{port}/x http://api.lab.test:{port}/y"
        ));
        let run = run
            .ends(0)
            .says("GET /x HTTP/1.1")
            .says("GET /y HTTP/1.1")
            .says(&format!("Host: api.lab.test:{port}"));
        assert!(!run.stdout.to_lowercase().contains("proxy="), "{run:#?}");
        assert_eq!(server.arrivals(), 1);
        assert!(run.looked_up("api.lab.test", "allow"));
        run.allowed("api.lab.test", port);
    });
}

#[test]
fn both_families_reach_a_server_of_either() {
    each(CLAW, |lab| {
        for server in [echo(Lab::PRIVATE), echo(Lab::PRIVATE6)] {
            let port = server.port();
            lab.policy(&[server.rule("echo.lab.test")], "");
            let code = format!(
                "for family in (socket.AF_INET, socket.AF_INET6):
    address = socket.getaddrinfo('echo.lab.test', {port}, family, socket.SOCK_STREAM)[0][4]
    talk(address, b'family %d' % family)"
            );
            lab.python(&code).ends(0).says("family 2").says("family 10").allowed("echo.lab.test", port);
            assert_eq!(server.arrivals(), 2);
        }
    });
}

#[test]
fn datagrams_of_a_udp_rule_come_back() {
    each(CLAW, |lab| {
        let server = echo_datagrams(Lab::PRIVATE);
        let port = server.port();
        lab.policy(&[format!("{}, protocol: UDP", server.rule("udp.lab.test"))], "");
        let code = format!(
            "for family in (socket.AF_INET, socket.AF_INET6):
    address = socket.getaddrinfo('udp.lab.test', {port}, family, socket.SOCK_DGRAM)[0][4]
    talk(address, b'datagram %d' % family, kind=socket.SOCK_DGRAM)"
        );
        lab.python(&code).ends(0).says("datagram 2").says("datagram 10").allowed("udp.lab.test", port);
        assert_eq!(server.arrivals(), 2);
    });
}

#[test]
fn a_network_rule_opens_its_addresses_and_no_other() {
    each(CLAW, |lab| {
        let (inside, outside, six) = (sink(Lab::PRIVATE, 0), sink(Lab::PUBLIC, 0), sink(Lab::PRIVATE6, 0));
        let rules = [
            format!("destination: \"10.77.0.0/24:{}\"", inside.port()),
            format!("destination: \"[fd77::1]:{}\"", six.port()),
        ];
        lab.policy(&rules, "");
        let code = |address: &str, port: u16| format!("attempt(lambda: talk(('{address}', {port})))");
        lab.python(&code(Lab::PRIVATE, inside.port())).ends(0).says("sunk");
        lab.python(&code(Lab::PRIVATE6, six.port())).ends(0).says("sunk");
        lab.python(&code(Lab::PRIVATE, six.port())).ends(1).says("ECONNREFUSED");
        lab.python(&code(Lab::PUBLIC, outside.port())).ends(1).says("ECONNREFUSED");
        assert_eq!((inside.arrivals(), six.arrivals(), outside.arrivals()), (1, 1, 0));
    });
}

#[test]
fn a_half_closed_connection_still_carries_the_answer() {
    each(CLAW, |lab| {
        let server = late_answer(Lab::PRIVATE);
        lab.policy(&[server.rule("late.lab.test")], "");
        let code = format!(
            "connection = socket.create_connection(('late.lab.test', {}))
connection.sendall(b'x' * 300000)
connection.shutdown(socket.SHUT_WR)
print(connection.recv(100).decode(), connection.recv(100))",
            server.port()
        );
        lab.python(&code).ends(0).prints("got 300000 b''");
    });
}

#[test]
fn a_server_that_ends_first_still_hears_the_agent() {
    each(CLAW, |lab| {
        let server = speaks_first(Lab::PRIVATE);
        lab.policy(&[server.rule("first.lab.test")], "");
        let code = format!(
            "connection = socket.create_connection(('first.lab.test', {}))
print(connection.recv(100), connection.recv(100))
time.sleep(0.1)
connection.sendall(b'after the end')
connection.close()",
            server.port()
        );
        lab.python(&code).ends(0).prints("b'bye' b''");
        assert!(server.until(|server| server.received() == b"after the end"), "{server:?}");
    });
}

#[test]
fn a_reset_is_torn_through_both_sides() {
    each(CLAW, |lab| {
        let (tearing, other) = (resetter(Lab::PRIVATE), echo(Lab::PRIVATE));
        lab.policy(&[tearing.rule("reset.lab.test"), other.rule("echo.lab.test")], "");
        let code =
            format!("attempt(lambda: talk(('reset.lab.test', {}), family=socket.AF_INET))", tearing.port());
        lab.python(&code).ends(1).says("ECONNRESET");
        let code = format!(
            "connection = socket.create_connection(('echo.lab.test', {}))
connection.sendall(b'x'); connection.recv(1)
connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
connection.close(); time.sleep(0.2)",
            other.port()
        );
        lab.python(&code).ends(0);
        assert!(other.until(|server| server.resets() == 1), "{other:?}");
    });
}

#[test]
fn a_wildcard_reaches_every_name_below_its_suffix() {
    each(CLAW, |lab| {
        let server = sink(Lab::PRIVATE, 0);
        lab.policy(&[server.rule("*.wild.lab.test")], "");
        let code = format!(
            "for name in ('a.wild.lab.test', 'b.c.wild.lab.test', 'A.WILD.lab.test.'):
    talk((name, {}), family=socket.AF_INET)",
            server.port()
        );
        lab.python(&code)
            .ends(0)
            .allowed("a.wild.lab.test", server.port())
            .allowed("b.c.wild.lab.test", server.port());
        assert_eq!(server.arrivals(), 3);
    });
}

#[test]
fn names_are_resolved_by_the_host_and_its_hosts_file() {
    each(CLAW, |lab| {
        let server = sink(Lab::PUBLIC, 0);
        lab.hosts(&format!("{} hosted.lab.test", Lab::PUBLIC));
        lab.policy(&[format!("destination: \"hosted.lab.test:{}\"", server.port())], "");
        let code = format!("talk(('hosted.lab.test', {}), family=socket.AF_INET)", server.port());
        lab.python(&code).ends(0).says("sunk").allowed("hosted.lab.test", server.port());
        assert_eq!(server.arrivals(), 1);
    });
}

#[test]
fn of_two_names_with_one_address_only_the_allowed_one_is_reached() {
    each(CLAW, |lab| {
        let server = sink(Lab::PUBLIC, 0);
        let port = server.port();
        lab.hosts(&format!("{0} one.lab.test\n{0} two.lab.test", Lab::PUBLIC));
        lab.policy(&[format!("destination: \"one.lab.test:{port}\"")], "");
        let code = |name: &str| format!("attempt(lambda: talk(('{name}', {port}), family=socket.AF_INET))");
        lab.bare_python(&code("two.lab.test")).ends(0);
        lab.python(&code("one.lab.test")).ends(0);
        assert!(lab.python(&code("two.lab.test")).ends(1).looked_up("two.lab.test", "deny"));
        assert_eq!(server.arrivals(), 2);
    });
}

#[test]
fn virtual_addresses_look_public_and_stay() {
    each(CLAW, |lab| {
        lab.policy(&["destination: \"*.lab.test:443\"".to_owned()], "");
        let code = "import ipaddress
def addresses(name):
    return sorted({entry[4][0] for entry in socket.getaddrinfo(name, 443)})
seen = {}
for number in range(40):
    name = 'n%d.lab.test' % number
    seen[name] = addresses(name)
    assert len(seen[name]) == 2, seen[name]
    for address in seen[name]:
        assert ipaddress.ip_address(address).is_global, address
assert len({address for pair in seen.values() for address in pair}) == 80
for name, before in seen.items():
    assert addresses(name) == before, name
    for address in before:
        assert socket.gethostbyaddr(address)[0] == name
print('sticky')";
        lab.python(code).ends(0).prints("sticky");
    });
}

#[test]
fn other_records_of_an_allowed_name_are_empty_rather_than_absent() {
    each(CLAW, |lab| {
        lab.policy(&["destination: \"api.lab.test:443\"".to_owned()], "");
        for kind in ["TYPE65", "TYPE64", "MX", "TXT"] {
            let run = lab.run(&format!("dig {kind} api.lab.test")).ends(0);
            run.says("status: NOERROR").says("ANSWER: 0");
        }
        lab.run("dig +tcp +short A api.lab.test && dig +tcp +short AAAA api.lab.test").ends(0).says("2608:");
        lab.run("dig A api.lab.test").ends(0).says("status: NOERROR").says("ANSWER: 1");
    });
}

#[test]
fn a_refused_name_does_not_exist_whoever_is_asked_and_says_why() {
    each(CLAW, |lab| {
        for server in ["", "@8.8.8.8", "+tcp @8.8.8.8", "@2606:4700:4700::1111"] {
            let run = lab.run(&format!("dig {server} evil.test")).ends(0);
            assert!(run.looked_up("evil.test", "deny"), "{run:#?}");
            run.says("status: NXDOMAIN").says("EDE: 18");
        }
    });
}

#[test]
fn the_agent_can_read_what_was_refused() {
    each(CLAW, |lab| {
        let script = "curl -s http://evil.test/; curl -sS http://policy.internal/ && curl -sS http://policy.internal/denied.json";
        lab.run(script).ends(0).says("evil.test").says("no-rule").says("[{");
    });
}
