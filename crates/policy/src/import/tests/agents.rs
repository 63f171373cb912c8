//! Settings of other sandboxes for agents, in the shape that each project's documentation or schema gives.

use super::check;
use crate::import::{Format, import};

/// The shape of `src/sandbox/sandbox-config.ts` in anthropic-experimental/sandbox-runtime.
#[test]
fn srt_entries_without_a_port_are_every_port_and_denials_win() {
    let text = r#"{"network": {
  "allowedDomains": ["api.example.com:443", "*.packages.example.com", "10.0.0.7:8080"],
  "deniedDomains": ["*:22", "bad.packages.example.com"],
  "deniedResolvedAddresses": ["10.0.0.0/8"],
  "allowLocalBinding": false
}}"#;
    check(
        text,
        Format::Srt,
        &[
            "workload workload api.example.com:443 TCP | imported: fill in",
            "workload workload *.packages.example.com:1-21,23-65535 TCP | imported: fill in",
            "workload workload 10.0.0.7:8080 TCP | imported: fill in",
            "deny workload bad.packages.example.com:* TCP | imported: denied by the source",
        ],
        &["5: `allowLocalBinding` is not carried over"],
    );
    let narrowed = r#"{"network": {"allowedDomains": ["a.example.com"], "deniedDomains": [], "deniedResolvedAddresses": ["8.8.8.0/24"]}}"#;
    let why = "`deniedResolvedAddresses` narrows it, and names a network that is not private";
    check(narrowed, Format::Srt, &[], &[&format!("1: `a.example.com:*` is commented out: {why}")]);
}

/// The shape of Codex's documentation of permission profiles, and the patterns of `codex-rs/network-proxy/src/policy.rs`.
#[test]
fn codex_wildcards_say_whether_the_apex_is_meant() {
    let text = r#"default_permissions = "lab"
[features]
network_proxy = true
[permissions.other.network]
enabled = true
[permissions.lab.network]
enabled = true
mode = "full"
[permissions.lab.network.domains]
"api.openai.com" = "allow"
"*.sub.example.com" = "allow"
"**.apex.example.com" = "allow"
"*" = "allow"
"region*.v2.example.com" = "deny"
"#;
    check(
        text,
        Format::Codex,
        &[
            "workload workload apex.example.com:* TCP | imported: fill in",
            "workload workload *.apex.example.com:* TCP | imported: fill in",
            "workload workload *.sub.example.com:* TCP | imported: fill in",
            "workload workload api.openai.com:* TCP | imported: fill in",
            "deny workload *.v2.example.com:* TCP | imported: denied by the source",
        ],
        &[
            "4: a profile that `default_permissions` does not name is left out",
            "13: `*:*` is commented out: `*:*` opens the network to the world",
            "14: `region*.v2.example.com:*` is denied as `*.v2.example.com:*`, which is more",
        ],
    );
    let off = "[permissions.lab.network]\nenabled = false\n[permissions.lab.network.domains]\n\"a.example.com\" = \"allow\"\n";
    check(off, Format::Codex, &[], &[]);
    let limited = "[permissions.lab.network]\nenabled = true\nmode = \"limited\"\n[permissions.lab.network.domains]\n\"a.example.com\" = \"allow\"\n";
    check(
        limited,
        Format::Codex,
        &["workload workload a.example.com:443 TCP/HTTPS | imported: fill in"],
        &["5: `limited` names no port: 443 is written"],
    );
    assert!(import(limited, "x", Format::Codex).unwrap().yaml.contains("HEAD /**"));
}

/// The shape of `docs/cli/features/networking.mdx` and `profile-authoring.mdx` in nolabs-ai/nono.
#[test]
fn nono_profiles_are_read_with_their_comments() {
    let text = r#"{
  // who it is
  "meta": {"name": "api-agent"}, /* "network": {"block": true}, */
  "network": {
    "allow_domain": ["api.example.com", "https://github.com/my-org/**"], // a path
    "network_profile": "developer",
    "custom_credentials": {"gitlab": {"upstream": "https://gitlab.example.com", "credential_key": "t",
      "endpoint_rules": [{"method": "GET", "path": "/api/v4/**"}]}},
  },
}"#;
    check(
        text,
        Format::Nono,
        &[
            "workload workload api.example.com:* TCP | imported: fill in",
            "workload workload github.com:443 TCP/HTTPS | imported: fill in",
            "workload workload gitlab.example.com:443 TCP/HTTPS | imported: fill in",
        ],
        &["6: `network_profile` is not carried over", "7: the credential of `gitlab` is not carried over"],
    );
    check("{\"network\": {\"block\": true, \"allow_domain\": [\"a.example.com\"]}}", Format::Nono, &[], &[]);
    let why = "a profile that names no domain and does not block opens the network to the world";
    check("{\"network\": {}}", Format::Nono, &[], &[&format!("1: `0.0.0.0/0:*` is commented out: {why}")]);
}

/// The shape of `docs/how-it-works/policies/schema.mdx` in NVIDIA/OpenShell.
#[test]
fn openshell_wildcards_and_requests_keep_their_meaning() {
    let text = r#"version: 1
filesystem_policy: {include_workdir: true, read_only: [/usr, /etc], read_write: [/tmp]}
network_policies:
  github:
    endpoints:
    - {host: api.github.com, port: 443, protocol: rest, enforcement: enforce, access: read-only}
    - {host: "*.one.example.com", port: 443}
    - {host: "**.all.example.com", ports: [443, 8443]}
    - {allowed_ips: [10.0.0.0/24], port: 5432}
    - {host: x.example.com, port: 443, protocol: rest, enforcement: enforce, rules: [{allow: {method: GET, path: /v1/**}}], deny_rules: [{method: GET, path: /v1/x}]}
    binaries: [{path: /usr/bin/gh}]
  nobody:
    endpoints: [{host: n.example.com, port: 443}]
"#;
    check(
        text,
        Format::Openshell,
        &[
            "workload workload api.github.com:443 TCP/HTTPS | imported: github",
            "workload workload *.all.example.com:443,8443 TCP/TLS | imported: github",
            "workload workload 10.0.0.0/24:5432 TCP | imported: github",
        ],
        &[
            "7: `*.one.example.com:443` is commented out: `*` is one label there, and one or more labels here: name the hosts",
            "10: `x.example.com:443` is commented out: `deny_rules` narrow the requests, and a rule cannot deny some of them",
            "11: `binaries`: claw decides by destination, never by program: the rule holds for every program inside",
            "13: `nobody` names no program, so it opens nothing: left out",
        ],
    );
    let yaml = import(text, "x", Format::Openshell).unwrap().yaml;
    assert!(
        yaml.ends_with("filesystem:\n  read: [\"/usr\", \"/etc\"]\n  write: [\"/tmp\", \".\"]\n"),
        "{yaml}"
    );
}

/// The shape of `docs/network.md` and `docs/sandbox-reference.md` in multikernel/sandlock.
#[test]
fn sandlock_endpoints_speak_of_both_transports() {
    let text = r#"[network]
allow = ["api.example.com:443", "udp://1.1.1.1:53", "tcp://[2001:db8::/32]:80,443", "icmp://*", ":8080"]
deny = ["10.0.0.0/8"]
[limits]
memory = "512M"
"#;
    check(
        text,
        Format::Sandlock,
        &[
            "workload workload api.example.com:443 TCP | imported: fill in",
            "workload workload api.example.com:443 UDP | imported: fill in",
            "workload workload 1.1.1.1:53 UDP | imported: fill in",
            "workload workload [2001:db8::/32]:80,443 TCP | imported: fill in",
            "deny workload 10.0.0.0/8:* TCP | imported: denied by the source",
            "deny workload 10.0.0.0/8:* UDP | imported: denied by the source",
        ],
        &[
            "2: `0.0.0.0/0:8080` is commented out: `0.0.0.0/0:8080` opens the network to the world",
            "2: `0.0.0.0/0:8080` is commented out: `0.0.0.0/0:8080` opens the network to the world",
            "2: `[::/0]:8080` is commented out: `[::/0]:8080` opens the network to the world",
            "2: `[::/0]:8080` is commented out: `[::/0]:8080` opens the network to the world",
            "4: `limits` is not carried over",
        ],
    );
    let judged = "[config]\nhttp_inject_ca = [\"/c\"]\n[network]\nallow = [\"tcp://a.example.com:443\", \"tcp://a.example.com:22\"]\n[http]\nallow = [\"POST api.openai.com/v1/chat\"]\n";
    check(
        judged,
        Format::Sandlock,
        &[
            "workload workload api.openai.com:80 TCP/HTTP | imported: fill in",
            "workload workload api.openai.com:443 TCP/HTTPS | imported: fill in",
            "workload workload a.example.com:22 TCP | imported: fill in",
        ],
        &["4: `a.example.com:443` is commented out: `[http]` judges its requests"],
    );
}

/// The shape of the compose specification.
#[test]
fn a_compose_file_only_suggests_and_keeps_no_secret() {
    let text = r#"services:
  agent:
    image: agent
    environment:
      OPENAI_BASE_URL: https://api.openai.com/v1
      DATABASE_URL: postgres://user:secret@db.example.com/app
      LEVEL: info
  other:
    environment: ["HOOK=http://hooks.example.com:8080/x?token=secret"]
"#;
    let why = |key: &str| format!("a suggestion: `{key}` names it; take the signs away if it is needed");
    check(
        text,
        Format::Compose,
        &[],
        &[
            &format!("5: `api.openai.com:443` is commented out: {}", why("OPENAI_BASE_URL")),
            &format!("6: `db.example.com:5432` is commented out: {}", why("DATABASE_URL")),
            &format!("9: `hooks.example.com:8080` is commented out: {}", why("HOOK")),
        ],
    );
    assert!(!import(text, "x", Format::Compose).unwrap().yaml.contains("secret"));
}

#[test]
fn a_seccomp_profile_is_named_after_it_was_read() {
    let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"}]}"#;
    let yaml = import(text, "nano", Format::Seccomp).unwrap().yaml;
    assert!(yaml.ends_with("process:\n  seccomp: \"./nano\"\n"), "{yaml}");
    assert!(import("{\"defaultAction\": \"SCMP_ACT_MAYBE\"}", "p.json", Format::Seccomp).is_err());
    assert!(import(text, "-", Format::Seccomp).is_err());
}
