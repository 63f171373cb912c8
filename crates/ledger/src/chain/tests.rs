//! Lines byte for byte, and what untrusted text becomes in them.

use serde_json::json;

use super::*;
use crate::record::{Decision, Process, Record, Signed};

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::new(1_767_323_045 + second, 6).unwrap()
}

pub(crate) fn curl() -> Process {
    Process { pid: 64, exe: "/usr/bin/curl".to_owned(), package: None, via: None }
}

/// A denied connection.
pub(crate) fn denial(destination: &str, reason: &str) -> Event {
    Event::Connect {
        destination: destination.to_owned(),
        port: 443,
        protocol: "tcp".to_owned(),
        phase: "workload".to_owned(),
        plane: None,
        decision: Decision::Deny,
        rule: None,
        reason: Some(reason.to_owned()),
        sentence: None,
        assurance: None,
        process: Some(curl()),
    }
}

/// An allowed question for a name.
pub(crate) fn lookup(name: &str, decision: Decision) -> Event {
    let denied = decision == Decision::Deny;
    Event::Dns {
        name: name.to_owned(),
        record_type: "A".to_owned(),
        decision,
        rule: (!denied).then(|| "agent_runtime.yaml:7".to_owned()),
        reason: denied.then(|| "no-rule".to_owned()),
        process: None,
    }
}

fn signed() -> Signed {
    Signed {
        name: "reviewer".into(),
        version: 7,
        keys: vec!["sha256:0a".into(), "sha256:0b".into()],
        expires: "2027-01-01T00:00:00Z".into(),
    }
}

/// One of each kind.
pub(crate) fn every() -> Vec<Event> {
    vec![
        Event::Start {
            run: "quiet-otter".into(),
            agent: "reviewer".into(),
            command: vec!["python3".into(), "-c".into(), "print(\"é\")".into()],
            policy_digest: "sha256:00".into(),
            claw_version: "0.1.0".into(),
            kernel: "6.8.0".into(),
            mode: None,
            signed: Some(signed()),
        },
        Event::Applied {
            namespaces: vec!["net".into(), "pid".into()],
            nft: "3 rules".into(),
            landlock_abi: 4,
            seccomp: "standard".into(),
            capabilities: "none".into(),
            limits: json!({"memory": 1024, "cpu": 1.5}),
            missing: vec![],
            apparmor: Some("claw-agent (enforce)".into()),
            integrity: Some("ima: not read".into()),
        },
        lookup("api.test", Decision::Allow),
        denial("evil.test", "no-rule"),
        Event::Connect {
            destination: "api.test".into(),
            port: 443,
            protocol: "tcp-tls".into(),
            phase: "workload".into(),
            plane: Some("inference".into()),
            decision: Decision::Allow,
            rule: Some("agent_runtime.yaml:7".into()),
            reason: None,
            sentence: None,
            assurance: Some("sni".into()),
            process: None,
        },
        Event::Request {
            destination: "api.test".into(),
            port: 443,
            method: "POST".into(),
            path: "/v1/x".into(),
            phase: None,
            plane: Some("telemetry".into()),
            decision: Decision::Deny,
            rule: None,
            reason: Some("path".into()),
            sentence: None,
            connection: None,
            host: None,
            user_agent: None,
            credential: None,
            status: None,
            bytes_out: None,
            query: Vec::new(),
            process: None,
        },
        Event::Close {
            destination: "api.test".into(),
            port: 443,
            bytes_out: 10,
            bytes_in: 2000,
            duration_ms: 35,
            end: "closed".into(),
            planes: Vec::new(),
            connection: None,
            application: None,
            sni: None,
            alpn: None,
            requests: None,
        },
        Event::Repeat {
            of: Some(4),
            count: 12,
            reason: Some("no-rule".into()),
            bytes_out: None,
            bytes_in: None,
        },
        Event::Revoke { what: "agent_runtime.yaml:7".into(), why: "expired".into(), closed: 2 },
        Event::Phase { from: "bootstrap".into(), to: "workload".into(), why: "attested".into() },
        Event::Policy {
            from: "sha256:00".into(),
            to: Some("sha256:01".into()),
            why: "the file changed".into(),
            signed: Some(Signed { version: 8, ..signed() }),
        },
        Event::Syscall {
            name: "execve".into(),
            action: "SCMP_ACT_KILL_PROCESS".into(),
            rule: Some("nano:5".into()),
            process: Some(curl()),
        },
        Event::Integrity {
            path: "/usr/bin/env".into(),
            expected: "sha256:00".into(),
            found: Some("sha256:01".into()),
            source: Some("ima".into()),
        },
        Event::Firewall { zones: "sha256:ab".into(), drift: vec!["table x missing".into()] },
        Event::Exit { code: -9 },
        Event::Checkpoint { upto: 11, root: "sha256:00".into(), signature: None },
    ]
}

/// What an observed run adds: everything it may say.
pub(crate) fn observed() -> Vec<Event> {
    let process = Some(Process { package: Some("agent.py".into()), via: Some("openai".into()), ..curl() });
    vec![
        Event::Start {
            run: "quiet-otter".into(),
            agent: "unnamed".into(),
            command: vec!["agent".into()],
            policy_digest: "sha256:00".into(),
            claw_version: "0.1.0".into(),
            kernel: "6.8.0".into(),
            mode: Some("sink".into()),
            signed: None,
        },
        Event::Connect {
            destination: "api.test".into(),
            port: 443,
            protocol: "TCP".into(),
            phase: "workload".into(),
            plane: None,
            decision: Decision::Sink,
            rule: None,
            reason: None,
            sentence: None,
            assurance: None,
            process: process.clone(),
        },
        Event::Request {
            destination: "api.test".into(),
            port: 443,
            method: "POST".into(),
            path: "/v1/x".into(),
            phase: Some("workload".into()),
            plane: None,
            decision: Decision::Sink,
            rule: None,
            reason: None,
            sentence: None,
            connection: Some(2),
            host: Some("front.test".into()),
            user_agent: Some("client/1".into()),
            credential: Some("bearer".into()),
            status: Some(503),
            bytes_out: Some(7),
            query: vec!["key".into()],
            process,
        },
        Event::Close {
            destination: "api.test".into(),
            port: 443,
            bytes_out: 10,
            bytes_in: 2000,
            duration_ms: 35,
            end: "end".into(),
            planes: Vec::new(),
            connection: Some(2),
            application: Some("tls".into()),
            sni: Some("api.test".into()),
            alpn: Some("h2,http/1.1".into()),
            requests: Some(2),
        },
        Event::Repeat {
            of: Some(4),
            count: 12,
            reason: Some("sink".into()),
            bytes_out: Some(120),
            bytes_in: Some(24_000),
        },
    ]
}

/// A ledger of these events, one second apart.
pub(crate) fn ledger(events: &[Event]) -> (Vec<u8>, Chain) {
    let (mut chain, mut out) = (Chain::new(), Vec::new());
    for (second, event) in (0..).zip(events) {
        chain.append(at(second), event, &mut out);
    }
    (out, chain)
}

#[test]
fn lines_are_what_the_contract_says() {
    let (out, chain) = ledger(&[denial("evil.test", "no-rule"), Event::Exit { code: 1 }]);
    let first = "{\"seq\":1,\"time\":\"2026-01-02T03:04:05.000000006Z\",\
         \"prev\":\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\
         \"kind\":\"connect\",\"destination\":\"evil.test\",\"port\":443,\"protocol\":\"tcp\",\
         \"phase\":\"workload\",\"decision\":\"deny\",\"reason\":\"no-rule\",\
         \"process\":{\"pid\":64,\"exe\":\"/usr/bin/curl\"}}";
    let second = format!(
        "{{\"seq\":2,\"time\":\"2026-01-02T03:04:06.000000006Z\",\"prev\":\"{}\",\"kind\":\"exit\",\"code\":1}}",
        Digest::of(first.as_bytes())
    );
    assert_eq!(String::from_utf8(out).unwrap(), format!("{first}\n{second}\n"));
    assert_eq!((chain.seq(), chain.head()), (2, Digest::of(second.as_bytes())));
}

#[test]
fn every_kind_reads_back_as_it_was_written() {
    let events = every();
    let mut kinds: Vec<_> = events.iter().map(Event::kind).collect();
    kinds.dedup();
    assert_eq!(kinds, Event::KINDS);
    read_back(&events);
    read_back(&observed());
}

fn read_back(events: &[Event]) {
    let (out, _) = ledger(events);
    for (line, event) in out.split(|&byte| byte == b'\n').zip(events) {
        let record = Record::parse(line).unwrap();
        assert_eq!(&record.event, event);
        let value: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert_eq!(value["kind"], event.kind());
        assert!(Event::KINDS.contains(&event.kind()));
        assert!(!line.windows(4).any(|part| part == b"null"), "absent fields are left out");
    }
}

#[test]
fn text_in_a_line_cannot_move_the_cursor_or_hide() {
    let name = "a\n\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{200b}\u{feff}\u{e0041}é";
    let (out, _) = ledger(&[lookup(name, Decision::Deny)]);
    let text = String::from_utf8(out.clone()).unwrap();
    let escaped = "\"a\\n\\u001b[2J\\u007f\\u009b\\u202e\\u200b\\ufeff\\udb40\\udc41é\"";
    assert!(text.contains(escaped), "{text}");
    let record = Record::parse(&out[..out.len() - 1]).unwrap();
    assert!(matches!(record.event, Event::Dns { name: read, .. } if read == name));
}

#[test]
fn keys_and_strange_times_are_safe_too() {
    let Event::Applied { .. } = &every()[1] else { panic!() };
    let mut chain = Chain::new();
    let mut out = Vec::new();
    let event = Event::Applied {
        namespaces: vec![],
        nft: String::new(),
        landlock_abi: 0,
        seccomp: String::new(),
        capabilities: String::new(),
        limits: json!({"a\u{202e}": "\u{1b}"}),
        missing: vec![],
        apparmor: None,
        integrity: None,
    };
    for time in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX, Timestamp::new(-1, -1).unwrap()] {
        out.clear();
        chain.append(time, &event, &mut out);
        let record = Record::parse(out.strip_suffix(b"\n").unwrap()).unwrap();
        assert_eq!((record.time, &record.event), (time, &event));
        assert!(!out.contains(&0x1b) && out.is_ascii());
    }
}
