use miette::Diagnostic as _;

use crate::{Policy, PolicyError};

/// Each problem: line, message, the texts underlined with their labels, and help.
fn tell(error: &PolicyError, text: &str) -> Vec<String> {
    let each = error.problems().iter().map(|problem| {
        let labels = problem.labels().unwrap().map(|label| {
            let under = text.get(label.offset()..label.offset() + label.len()).unwrap();
            format!("`{}` {}", under.escape_debug(), label.label().unwrap())
        });
        let labels = labels.collect::<Vec<_>>().join("; ");
        format!("{}: {} [{}] {}", problem.line(), problem.message(), labels, problem.hint().unwrap_or("-"))
    });
    each.collect()
}

fn check(text: &str, expect: &[&str]) {
    let error = Policy::parse(text, "p.yaml").unwrap_err();
    assert_eq!(tell(&error, text), expect);
}

macro_rules! refused {
    ($($test:ident $file:literal: [$($expect:literal),* $(,)?])*) => {
        $(#[test] fn $test() {
            check(include_str!(concat!("../../tests/data/", $file, ".yaml")), &[$($expect),*]);
        })*
    };
}

refused! {
    alias "alias": [
        "4: anchors, aliases and merge keys are not used in a policy [`*` here] write the value out, so that each rule can be read alone; put `*.example.com` in quotes",
    ]
    broken_promise "broken-promise": [
        "8: `*.pastebin.com:*` is promised never to be reached, and a rule opens it: api.pastebin.com:443 (phase workload, plane tool) [`\\'api.pastebin.com:443\\'` this rule opens it; `\\'*.pastebin.com:*\\'` the promise] narrow the rule so that it does not meet the promise, or take the promise back",
        "10: `169.254.0.0/16:*` is promised never to be reached, and a rule opens it: 169.254.7.1:80 (phase workload, plane control) [`\\'169.254.7.0/24:80\\'` this rule opens it; `\\'169.254.0.0/16:*\\'` the promise] narrow the rule so that it does not meet the promise, or take the promise back",
        "11: `169.254.0.0/16:*` is promised never to be reached, and a rule opens it: a.example.com:80 at 169.254.169.254 (phase workload, plane control) [`\\'a.example.com:80\\'` this rule opens it; `\\'169.254.0.0/16:*\\'` the promise] narrow the rule so that it does not meet the promise, or take the promise back",
    ]
    conflict "conflict": [
        "4: lines 4 and 5 say different things about the same flow (protocol, plane) [`\\'a.example.com:443\\'` one says this; `\\'a.example.com:443\\'` the other says that] keep one of them, or give them different ports",
    ]
    deny_with_address "deny-with-address": [
        "4: `addresses` means nothing in `deny` [`{` here] remove it: this list only closes",
        "4: `private` means nothing in `deny` [`allow` here] remove it: this list only closes",
        "4: `expires` means nothing in `deny` [`2027-01-01` here] remove it: this list only closes",
    ]
    duplicate_key "duplicate-key": [
        "7: `plane` is written twice [`plane` the second one] keep one of them",
    ]
    empty_purpose "empty-purpose": [
        "6: `purpose` is empty [`\\'\\'` nothing is written here] write the purpose, or leave the key out where it is optional",
    ]
    host_bits "host-bits": [
        "4: `10.0.0.7/24` has bits set beyond its prefix: the network is `10.0.0.0/24` [`10.0.0.7/24:443` this destination] write `10.0.0.0/24`, or the one address alone",
    ]
    many_slips "many-slips": [
        "4: `a.example.com` names no port: write `a.example.com:443` [`\\'a.example.com\\'` this destination] a destination is `HOST:PORTS`, `*.SUFFIX:PORTS`, `CIDR:PORTS` or `[v6]:PORTS`",
        "4: `toool` is not a plane [`toool` unknown word] did you mean `tool`?",
        "4: `purpose` is empty [`\\' \\'` nothing is written here] write the purpose, or leave the key out where it is optional",
        "5: `127.1` is read as an address by some programs, so it cannot be a name [`\\'127.1:80\\'` this destination] write an address in full, as `127.0.0.1`",
        "5: `protocl` is not a key of a rule [`protocl` unknown key] did you mean `protocol`?",
        "5: `yes` is not a value of `private` [`yes` unknown word] known words: allow",
        "6: `https://a.example.com:443` looks like a URL: write only the host and the port, as `example.com:443` [`\\'https://a.example.com:443\\'` this destination] a destination is `HOST:PORTS`, `*.SUFFIX:PORTS`, `CIDR:PORTS` or `[v6]:PORTS`",
        "6: `HTTP` is not a protocol [`HTTP` unknown word] known words: TCP, TCP/TLS, TCP/HTTPS, TCP/HTTP, UDP, UDP/NTP",
        "6: `2027-02-30` is not a date [`2027-02-30` not a date] write it as `2027-03-01`",
        "6: `10.0.0.1:5` is not an address [`10.0.0.1:5` not an address] write it as `10.0.0.5` or `2001:db8::5`, without a port",
    ]
    http_slips "http-slips": [
        "4: `http` is empty, so no request would be permitted [`{` this rule] write at least one request, such as `GET /v1/models`",
        "5: `get` is not a method that a rule can permit: write `GET`, `POST`, … in capitals, or `*` [`\\\"get /v1\\\"` this request] a request is `METHOD /path`, where `*` is one segment and a last `**` the rest",
        "5: no request ever has the path `/a/../b`: the path holds a dot segment (`.` or `..`) [`\\\"GET /a/../b\\\"` this request] a request is `METHOD /path`, where `*` is one segment and a last `**` the rest",
        "5: `GET` is not a method and a path: write `GET /v1/models` [`\\\"GET\\\"` this request] a request is `METHOD /path`, where `*` is one segment and a last `**` the rest",
        "6: `http` cannot be checked on `TCP` [`TCP` this is not HTTP] write `protocol: TCP/HTTPS`, or `TCP/HTTP` for plain text",
        "7: `path: brokered` cannot be used with `TCP/TLS` [`brokered` here] a brokered socket is not looked into: write `protocol: TCP` as well, or leave `path` out",
        "8: `brokerd` is not a path [`brokerd` unknown word] did you mean `brokered`?",
        "9: `upstream_ca` means nothing here [`ca.pem` never used] it is for rules that end TLS in the gate: add `http:`, or remove it",
        "10: `bytes_out` is not a number of bytes [`lots` here] write it as `64KiB` or `1MiB`",
        "10: `connections: 0` lets nothing through [`0` here] write at least 1, or remove the rule",
        "10: `50` is not a rate [`50` not a rate] write it as `50/s`, `100/m` or `10/h`",
        "10: `bytes` is not a key of the limits of a rule [`bytes` unknown key] did you mean `bytes_in`?",
        "11: lines 11 and 12 put the request `GET /a` on different planes [`h.example.com:443` one says this; `h.example.com:443` the other says that] name the request in one of them only",
        "13: lines 13 and 14 say different things about the same flow (protocol, http) [`i.example.com:443` one says this; `i.example.com:443` the other says that] keep one of them, or give them different ports",
        "16: `http` means nothing in `deny` [`{` here] remove it: this list only closes",
        "16: `limits` means nothing in `deny` [`{` here] remove it: this list only closes",
        "16: `path` means nothing in `deny` [`brokered` here] remove it: this list only closes",
    ]
    missing_plane_and_purpose "missing-plane-and-purpose": [
        "4: the rule has no `plane` [`destination: api.example.com:443` this rule] add `plane: attestation | time | revocation | control | inference | tool | update | workload`",
        "4: the rule has no `purpose` [`destination: api.example.com:443` this rule] add `purpose: why it is needed`",
    ]
    not_enforced "not-enforced": [
        "2: `profile: iron` is not enforced by this version of claw [`iron` not enforced] remove it: a field that is not enforced would promise what does not hold",
        "3: `inference` is not enforced by this version of claw [`inference` not enforced] remove it: a field that is not enforced would promise what does not hold",
        "4: `tools` is not enforced by this version of claw [`tools` not enforced] remove it: a field that is not enforced would promise what does not hold",
        "10: `when` is not enforced by this version of claw [`when` not enforced] remove it: a field that is not enforced would promise what does not hold",
    ]
    not_yaml "not-yaml": [
        "3: unclosed bracket '[' [`[` here] see `claw policy schema` for the shape of a policy",
    ]
    nul_in_host "nul-in-host": [
        "4: `api\\0.example.com` holds '\\0': a host name has letters, digits, `-`, `_` and dots [`\\\"api\\\\0.example.com:443\\\"` this destination] a destination is `HOST:PORTS`, `*.SUFFIX:PORTS`, `CIDR:PORTS` or `[v6]:PORTS`",
    ]
    port_70000 "port-70000": [
        "4: port 70000 is past 65535: ports are 1 to 65535 [`70000` this destination] ports are `443`, `80,443`, `8000-8010` or `*`",
    ]
    process "process": [
        "3: `memory` is not a size [`lots` here] write it as `512MiB` or `2GiB`",
        "3: `pids: 0` lets nothing run [`0` here] write at least 1, or leave it out",
        "3: `cpu` is a number of cores greater than 0 [`-1` here] write it as `1.5`, or leave it out",
        "4: `A=B` is not the name of an environment variable [`\\'A=B\\'` here] letters, digits and `_`, as in `HF_HOME`",
        "4: `1A` is not the name of an environment variable [`1A` here] letters, digits and `_`, as in `HF_HOME`",
        "6: `~` is not expanded in a policy [`~/x` here] write the whole path",
    ]
    star_unquoted "star-unquoted": [
        "4: anchors, aliases and merge keys are not used in a policy [`*` here] write the value out, so that each rule can be read alone; put `*.example.com` in quotes",
    ]
    tab "tab": [
        "3: a tab stands in the file: editors show it at different widths [`\\t` a tab] indent with spaces",
    ]
    two_documents "two-documents": [
        "2: the file holds more than one document [`---` another document begins here] a policy is one YAML document: remove the `---` or use two files",
    ]
    udp_ports "udp-ports": [
        "5: the UDP rules name 1025 ports in all: at most 1024 are held [`\\'b.example.com:990-1025\\'` with this rule] one socket is held open per UDP port: name the ports that are needed",
    ]
    unknown_key "unknown-key": [
        "4: `destnation` is not a key of a rule [`destnation` unknown key] did you mean `destination`?",
    ]
    unknown_key_top "unknown-key-top": [
        "2: `network_polcy` is not a key of a policy [`network_polcy` unknown key] did you mean `network_policy`?",
    ]
    unknown_plane "unknown-plane": [
        "5: `infrence` is not a plane [`infrence` unknown word] did you mean `inference`?",
    ]
    version_2 "version-2": [
        "1: version 2 of the policy format is not known [`2` here] this version of claw reads `version: 1`",
    ]
    world_open "world-open": [
        "4: `0.0.0.0/0:443` opens the network to the world [`\\'0.0.0.0/0:443\\'` world-open] name the hosts, or networks of at least /8 (IPv4) or /16 (IPv6); no flag changes this",
        "5: `[::/0]:443` opens the network to the world [`\\'[::/0]:443\\'` world-open] name the hosts, or networks of at least /8 (IPv4) or /16 (IPv6); no flag changes this",
        "6: `*:*` opens the network to the world [`\\'*:*\\'` world-open] name the hosts, or networks of at least /8 (IPv4) or /16 (IPv6); no flag changes this",
        "7: `0.0.0.0/1:443` opens the network to the world [`\\'0.0.0.0/1:443\\'` world-open] name the hosts, or networks of at least /8 (IPv4) or /16 (IPv6); no flag changes this",
        "8: `128.0.0.0/1:443` opens the network to the world [`\\'128.0.0.0/1:443\\'` world-open] name the hosts, or networks of at least /8 (IPv4) or /16 (IPv6); no flag changes this",
        "9: `[2000::/3]:443` opens the network to the world [`\\'[2000::/3]:443\\'` world-open] name the hosts, or networks of at least /8 (IPv4) or /16 (IPv6); no flag changes this",
    ]
    world_open_union "world-open-union": [
        "224: the networks of `workload` together cover all of IPv4: that opens the world [`\\'223.0.0.0/8:443\\'` the last of them] name only the networks that are needed; no flag changes this",
    ]
    wrong_type "wrong-type": [
        "4: expected text [`[` wrong type] see `claw policy schema` for the shape of a policy",
    ]
    wrong_type_list "wrong-type-list": [
        "3: expected a list [`api.example.com` wrong type] see `claw policy schema` for the shape of a policy",
    ]
}

#[test]
fn ten_megabytes_of_nesting_are_refused_at_once() {
    for (text, line) in [
        ("[".repeat(10 << 20), 1),
        (format!("network_policy: {}", "{a: ".repeat(3 << 20)), 1),
        (format!("never: {}", "[".repeat(10 << 20)), 1),
        ((0..3000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(), 17),
    ] {
        let error = Policy::parse(&text, "p.yaml").unwrap_err();
        let told: Vec<_> =
            error.problems().iter().map(|problem| (problem.line(), problem.message())).collect();
        assert_eq!(told, [(line, "nested deeper than 16 levels")]);
        let shown = render(&error);
        assert!(shown.len() < 2_000, "only a window of a long line is shown: {}", shown.len());
    }
    check(
        &"- ".repeat(5 << 20),
        &[
            "1: expected a mapping of keys to values [`` wrong type] see `claw policy schema` for the shape of a policy",
        ],
    );
}

#[test]
fn a_whole_policy_is_read() {
    let text = include_str!("../../tests/data/whole-policy.yaml");
    let policy =
        Policy::parse(text, "agent_runtime.yaml").unwrap_or_else(|error| panic!("{:?}", tell(&error, text)));
    assert_eq!(
        (policy.agent(), policy.owner()),
        (Some("research-assistant"), Some("platform-security@corp.example"))
    );
    assert_eq!(policy.digest(), claw_model::digest::Digest::of(text.as_bytes()));
    assert_eq!(policy.rules().len(), 8);
    assert_eq!(policy.process().limits.memory, Some(2 << 30));
    assert_eq!(policy.process().limits.cpu, Some(1.5));
    assert_eq!(policy.process().env.set["HF_HUB_OFFLINE"], "1");
    assert_eq!(policy.filesystem().unwrap().write, [std::path::PathBuf::from("./workspace")]);
    let time = &policy.rules()[1];
    assert_eq!((time.location().as_str(), time.protocol().as_str()), ("agent_runtime.yaml:14", "UDP/NTP"));
    assert_eq!(policy.rules()[3].owner(), Some("ml-team@corp.example"));
    assert_eq!(policy.rules()[4].owner(), Some("platform-security@corp.example"));
}

/// As a terminal would show it, without colours.
fn render(error: &PolicyError) -> String {
    let mut shown = String::new();
    let theme = miette::GraphicalTheme::unicode_nocolor();
    miette::GraphicalReportHandler::new_themed(theme).render_report(&mut shown, error).unwrap();
    shown
}

#[test]
fn a_problem_is_shown_with_its_line_and_the_text_underlined() {
    let error = Policy::parse(include_str!("../../tests/data/unknown-plane.yaml"), "p.yaml").unwrap_err();
    let shown = render(&error);
    for part in
        ["p.yaml:5: `infrence` is not a plane", "[p.yaml:5:14]", "unknown word", "did you mean `inference`?"]
    {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let error = Policy::parse(include_str!("../../tests/data/many-slips.yaml"), "p.yaml").unwrap_err();
    let shown = render(&error);
    for part in ["p.yaml has 10 problems", "[p.yaml:4:", "[p.yaml:6:", "did you mean `protocol`?"] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
}

#[test]
fn reviewed_trees_and_what_is_protected() {
    let policy = Policy::parse("filesystem: {review: [., ./b], protect: [standard, '*.sh']}\n", "p").unwrap();
    let files = policy.filesystem().unwrap();
    assert_eq!(files.review, [std::path::PathBuf::from("."), "./b".into()]);
    assert_eq!(files.protect.words(), ["standard", "*.sh"]);
    let policy = Policy::parse("filesystem: {review: [.], protect: standard}\n", "p").unwrap();
    assert!(policy.filesystem().unwrap().protect.is_standard());
    check(
        "filesystem:\n  write: [./out]\n  review: [.]\n  protect: standard\n",
        &[
            "2: `protect` cannot hold under `write`: what is written to `./out` is there at once, under any name [`./out` written at once] name the path under `review`: then it is judged before it reaches the host",
        ],
    );
    check(
        "filesystem:\n  protect: standard\n",
        &[
            "2: `protect` without `review` protects nothing [`standard` here] name the tree under `review`, or remove `protect`",
        ],
    );
    check(
        "filesystem:\n  review: [.]\n  protect: standrad\n",
        &["3: `standrad` is not a value of `protect` [`standrad` unknown word] did you mean `standard`?"],
    );
    check(
        "filesystem:\n  review: [.]\n  protect: [/etc]\n",
        &[
            "3: `/etc` is not a name to protect: it is a whole path, and names are protected wherever they stand [`/etc` here] write `standard`, a name such as `.envrc`, or a pattern such as `*.service` or `deploy/*.sh`",
        ],
    );
    check(
        "filesystem:\n  review: [.]\n  write: [.]\n",
        &["2: `.` is named under `write` and `review` [`.` here] name it under one of them"],
    );
}

#[test]
fn a_root_is_named_with_its_digest() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let text = format!("filesystem: {{root: {{oci: ./image, digest: \"{digest}\"}}}}\n");
    let policy = Policy::parse(&text, "p").unwrap();
    let root = policy.filesystem().unwrap().root.as_ref().unwrap();
    assert_eq!((root.layout.to_str(), root.digest.to_string()), (Some("./image"), digest));
    let text = format!("{text}process: {{exec: {{listed: {{file: ./list}}}}}}\n");
    let error = Policy::parse(&text, "p").unwrap_err();
    assert_eq!(error.problems()[0].message(), "`filesystem.root` cannot be used with `exec: listed`");
    check(
        "filesystem:\n  root: {oci: ./image}\n",
        &[
            "2: `root` needs an image layout and the digest of its manifest [`{` here] write `root: {oci: ./image, digest: \"sha256:…\"}`; `index.json` of the layout names it",
        ],
    );
}

#[test]
fn spellings_that_match_alike_are_one_request() {
    let text = "network_policy:
  workload:
    - {destination: a.test:443, plane: tool, purpose: x, http: ['GET /a%2fb']}
    - {destination: a.test:443, plane: inference, purpose: x, http: ['GET /a%2Fb']}
";
    let error = Policy::parse(text, "p.yaml").unwrap_err();
    let told: Vec<&str> = error.problems().iter().map(|problem| problem.message()).collect();
    assert_eq!(told, ["lines 3 and 4 put the request `GET /a%2Fb` on different planes"]);
}
