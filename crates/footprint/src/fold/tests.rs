use claw_ledger::chain::Chain;
use claw_ledger::record::PlaneTally;
use claw_ledger::verify::Verifier;

use super::*;
use crate::catalog::Class;
use crate::footprint::Says;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

pub(crate) fn start(mode: Option<&str>) -> Event {
    Event::Start {
        run: "quiet-otter".into(),
        agent: "reviewer".into(),
        command: vec!["python3".into(), "agent.py".into()],
        policy_digest: "sha256:00".into(),
        claw_version: "0.1.0".into(),
        kernel: "6.8.0".into(),
        mode: mode.map(str::to_owned),
        signed: None,
    }
}

pub(crate) fn lookup(name: &str, decision: Decision) -> Event {
    Event::Dns {
        name: name.into(),
        record_type: "A".into(),
        decision,
        rule: None,
        reason: (decision == Decision::Deny).then(|| "no-rule".into()),
        process: Some(Process {
            pid: 7,
            exe: "/usr/bin/python3".into(),
            package: Some("agent.py".into()),
            via: Some("openai".into()),
        }),
    }
}

pub(crate) fn connect(host: &str, port: u16, decision: Decision) -> Event {
    Event::Connect {
        destination: host.into(),
        port,
        protocol: "TCP".into(),
        phase: "workload".into(),
        plane: None,
        decision,
        rule: None,
        reason: (decision == Decision::Deny).then(|| "no-rule".into()),
        sentence: None,
        assurance: None,
        process: Some(Process {
            pid: 7,
            exe: "/usr/bin/python3".into(),
            package: Some("agent.py".into()),
            via: Some("openai".into()),
        }),
    }
}

pub(crate) fn request(host: &str, line: &str, connection: Option<u64>) -> Event {
    let (method, path) = line.split_once(' ').unwrap();
    Event::Request {
        host: None,
        destination: host.into(),
        port: 443,
        method: method.into(),
        path: path.into(),
        phase: Some("workload".into()),
        plane: None,
        decision: Decision::Sink,
        rule: None,
        reason: None,
        sentence: None,
        connection,
        user_agent: Some("agent/1.0".into()),
        credential: Some("bearer".into()),
        status: Some(503),
        bytes_out: Some(100),
        query: vec!["beta".into()],
        process: None,
    }
}

pub(crate) fn close(host: &str, port: u16, bytes: (u64, u64), connection: Option<u64>) -> Event {
    Event::Close {
        destination: host.into(),
        port,
        bytes_out: bytes.0,
        bytes_in: bytes.1,
        duration_ms: 5,
        end: "end".into(),
        planes: Vec::new(),
        connection,
        application: connection.map(|_| "tls".into()),
        sni: None,
        alpn: None,
        requests: None,
    }
}

/// The footprint of these events, as a ledger would hold them.
pub(crate) fn footprint(events: &[Event]) -> Footprint {
    let (mut chain, mut text) = (Chain::new(), Vec::new());
    for (second, event) in (0..).zip(events) {
        chain.append(at(second), event, &mut text);
    }
    let (mut verifier, mut fold) = (Verifier::new(), Fold::new());
    fold.ledger("run.jsonl");
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let record = verifier.take(line).unwrap();
        fold.add(&record);
    }
    assert!(verifier.finish().is_sound());
    fold.finish(&Catalog::built_in().unwrap(), &Indexes::default())
}

/// `inference/required api.test:443 3x 10/20`.
fn shown(footprint: &Footprint) -> Vec<String> {
    let line = |flow: &crate::footprint::Flow| {
        let (class, target, decision) = (flow.class.as_str(), flow.target(), flow.decision());
        format!(
            "{}/{class} {target} {decision} {}x {}/{}",
            flow.plane, flow.count, flow.bytes_out, flow.bytes_in
        )
    };
    footprint.flows.iter().map(line).collect()
}

/// An agent that calls its model and posts telemetry to the same host, observed.
pub(crate) fn observed() -> Vec<Event> {
    vec![
        start(Some("sink")),
        lookup("api.anthropic.com", Decision::Sink),
        connect("api.anthropic.com", 443, Decision::Sink),
        request("api.anthropic.com", "POST /v1/messages", Some(3)),
        request("api.anthropic.com", "POST /api/event_logging/v2/batch", Some(3)),
        request("api.anthropic.com", "POST /api/event_logging/v2/batch", Some(3)),
        close("api.anthropic.com", 443, (900, 600), Some(3)),
        connect("api.anthropic.com", 443, Decision::Sink),
        close("api.anthropic.com", 443, (50, 0), Some(8)),
        lookup("nobody.test", Decision::Deny),
        connect("telemetry.crewai.com", 4319, Decision::Sink),
        close("telemetry.crewai.com", 4319, (70, 7), Some(11)),
        connect("169.254.169.254", 80, Decision::Deny),
        Event::Exit { code: 0 },
    ]
}

#[test]
fn one_host_is_split_by_what_its_requests_are_for() {
    let footprint = footprint(&observed());
    assert_eq!(
        shown(&footprint),
        [
            "mixed/mixed api.anthropic.com:443 sink 1x 50/0",
            "inference/required api.anthropic.com:443 sink 1x 100/0",
            "workload/telemetry api.anthropic.com:443 sink 2x 200/0",
            "unknown/unknown nobody.test deny 1x 0/0",
            "workload/telemetry telemetry.crewai.com:4319 sink 1x 70/7",
            "control/metadata-probe 169.254.169.254:80 deny 1x 0/0",
        ]
    );
    let [unsplit] = footprint.unsplit.as_slice() else { panic!("{:?}", footprint.unsplit) };
    assert_eq!((unsplit.bytes_out, unsplit.bytes_in), (600, 600));
    let mixed = &footprint.flows[0];
    assert!(mixed.unread && mixed.candidates.len() >= 4, "{mixed:?}");
    let telemetry = &footprint.flows[2];
    assert_eq!(telemetry.switches[0].text, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1");
    assert_eq!(telemetry.processes[0].package.as_deref(), Some("agent.py"));
    assert_eq!((telemetry.packages[0].name.as_str(), telemetry.packages.len()), ("openai", 1));
    let asked = &telemetry.requests[0];
    assert_eq!(
        (asked.count, asked.user_agents[0].as_str(), asked.query[0].as_str()),
        (2, "agent/1.0", "beta")
    );
    assert_eq!(footprint.runs[0].mode, "sink");
}

#[test]
fn the_plane_of_the_policys_rule_is_kept_and_the_class_is_the_catalogues() {
    let mut events = vec![start(None)];
    for (path, plane) in [("/v1/messages", "inference"), ("/api/claude_code/settings", "tool")] {
        let mut event = request("api.anthropic.com", &format!("POST {path}"), None);
        if let Event::Request { plane: own, decision, bytes_out, .. } = &mut event {
            (*own, *decision, *bytes_out) = (Some(plane.into()), Decision::Allow, None);
        }
        events.push(event);
    }
    let mut end = close("api.anthropic.com", 443, (300, 3000), None);
    if let Event::Close { planes, .. } = &mut end {
        let tally = |plane: &str, bytes_out, bytes_in| PlaneTally {
            plane: plane.into(),
            requests: 1,
            bytes_out,
            bytes_in,
        };
        *planes = vec![tally("inference", 250, 2900), tally("tool", 50, 100)];
    }
    events.push(end);
    let footprint = footprint(&events);
    assert_eq!(
        shown(&footprint),
        [
            "inference/required api.anthropic.com:443 allow 1x 250/2900",
            // the method is another than the catalogue's
            "tool/unknown api.anthropic.com:443 allow 1x 50/100",
        ]
    );
    assert!(footprint.flows.iter().all(|flow| flow.plane_from == Says::Policy));
    assert!(footprint.unsplit.is_empty());
    assert_eq!(footprint.stamps[0].code, "unfinished");
}

#[test]
fn repeats_count_where_they_belong() {
    let repeat = |of, count, reason: Option<&str>, bytes: Option<u64>| Event::Repeat {
        of,
        count,
        reason: reason.map(str::to_owned),
        bytes_out: bytes,
        bytes_in: None,
    };
    let footprint = footprint(&[
        start(Some("sink")),
        lookup("evil.test", Decision::Deny),
        connect("10.0.0.9", 22, Decision::Deny),
        connect("api.mistral.ai", 443, Decision::Sink),
        request("api.mistral.ai", "POST /v1/chat/completions", Some(4)),
        close("api.mistral.ai", 443, (1000, 10), Some(4)),
        repeat(Some(2), 9, Some("no-rule"), None),
        repeat(Some(3), 4, Some("raw-address"), None),
        repeat(Some(4), 2, Some("sink"), None),
        repeat(Some(5), 2, Some("sink"), Some(200)),
        repeat(None, 5, Some("no-rule"), None),
        repeat(Some(1), 3, Some("no-rule"), None),
        repeat(None, 8, None, None),
        Event::Exit { code: 1 },
    ]);
    assert_eq!(
        shown(&footprint),
        [
            "unknown/unknown evil.test deny 10x 0/0",
            "unknown/unknown 10.0.0.9:22 deny 5x 0/0",
            "inference/required api.mistral.ai:443 sink 2x 0/0",
            "inference/required api.mistral.ai:443 sink 3x 1000/10",
        ]
    );
    assert_eq!(footprint.flows[1].reasons.get("raw-address"), Some(&4));
    assert_eq!(footprint.counted.get("no-rule"), Some(&8));
    assert!(footprint.stamps.is_empty(), "{:?}", footprint.stamps);
}

/// An agent that opens many equal connections to a host of several planes: most carry requests, two do not.
#[test]
fn equal_connections_that_carried_requests_are_told_apart_from_silent_ones() {
    let end = |requests: u64, bytes: (u64, u64)| {
        let mut end = close("api.anthropic.com", 443, bytes, Some(2));
        if let Event::Close { requests: own, .. } = &mut end {
            *own = Some(requests);
        }
        end
    };
    let repeat = |of: u64, count: u64, bytes: Option<u64>| Event::Repeat {
        of: Some(of),
        count,
        reason: Some("sink".into()),
        bytes_out: bytes,
        bytes_in: bytes,
    };
    let footprint = footprint(&[
        start(Some("sink")),
        connect("api.anthropic.com", 443, Decision::Sink),
        request("api.anthropic.com", "POST /v1/messages", Some(2)),
        end(1, (900, 600)),
        end(0, (50, 5)),
        repeat(2, 9, None),
        repeat(3, 7, Some(700)),
        repeat(4, 7, Some(7_000)),
        repeat(5, 1, Some(50)),
        Event::Exit { code: 0 },
    ]);
    assert_eq!(
        shown(&footprint),
        [
            "mixed/mixed api.anthropic.com:443 sink 2x 100/55",
            "inference/required api.anthropic.com:443 sink 8x 7900/7600",
        ]
    );
    assert_eq!(footprint.flows[0].processes[0].count, 10);
}

#[test]
fn a_connection_without_a_word_is_counted_and_is_no_flow_beside_those_that_asked() {
    let end = |requests: u64, bytes: (u64, u64), application: &str| {
        let mut end = close("api.anthropic.com", 443, bytes, Some(2));
        if let Event::Close { requests: own, application: spoken, .. } = &mut end {
            (*own, *spoken) = (Some(requests), Some(application.into()));
        }
        end
    };
    let repeat = |of: u64, count: u64| Event::Repeat {
        of: Some(of),
        count,
        reason: Some("sink".into()),
        bytes_out: None,
        bytes_in: None,
    };
    let begun = [start(Some("sink")), connect("api.anthropic.com", 443, Decision::Sink)];
    let asked = [request("api.anthropic.com", "POST /v1/messages", Some(2)), end(1, (900, 600), "tls")];
    let silent = [end(0, (0, 0), "silent"), repeat(2, 4), repeat(5, 3), Event::Exit { code: 0 }];
    let both = footprint(&[begun.as_slice(), &asked, &silent].concat());
    assert_eq!(shown(&both), ["inference/required api.anthropic.com:443 sink 1x 900/600"]);
    assert_eq!(both.flows[0].wordless, 4);
    let alone = footprint(&[begun.as_slice(), &silent[..1], &silent[3..]].concat());
    assert_eq!(shown(&alone), ["mixed/mixed api.anthropic.com:443 sink 1x 0/0"]);
    assert!(!alone.flows[0].unread && alone.flows[0].wordless == 0);
}

#[test]
fn more_than_fits_is_counted_and_the_footprint_says_so() {
    let mut fold = Fold::new();
    fold.ledger("x");
    for number in 0..(MOST_HOSTS as u64 + 500) {
        let event = lookup(&format!("h{number}.test"), Decision::Deny);
        let prev = claw_ledger::Digest::of(b"");
        fold.add(&Record { seq: number + 1, time: at(0), prev, event });
    }
    let footprint = fold.finish(&Catalog::default(), &Indexes::default());
    assert_eq!((footprint.flows.len(), footprint.beyond), (MOST_HOSTS, 500));
    assert!(footprint.is_partial() && footprint.stamps.iter().any(|stamp| stamp.code == "partial"));
}

#[test]
fn a_footprint_reads_back_what_it_writes_and_nothing_else() {
    let footprint = footprint(&observed());
    let text = footprint.json();
    assert_eq!(Footprint::parse(text.as_bytes()).unwrap(), footprint);
    let wrong = text.replace("claw-footprint/1", "claw-footprint/9");
    assert!(Footprint::parse(wrong.as_bytes()).unwrap_err().to_string().contains("claw-footprint/9"));
    let unknown = text.replacen("\"format\"", "\"fromat\": 1,\n  \"format\"", 1);
    assert!(Footprint::parse(unknown.as_bytes()).is_err());
    assert_eq!(footprint.flows.iter().filter(|flow| flow.class == Class::Telemetry).count(), 2);
}
