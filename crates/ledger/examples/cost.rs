//! What one record costs: `cargo run --release -p claw-ledger --example cost`.

use std::hint::black_box;

use claw_ledger::chain::Chain;
use claw_ledger::coalesce::Coalescer;
use claw_ledger::record::{Decision, Event, Process};

fn main() {
    let event = Event::Connect {
        destination: "registry.example.test".to_owned(),
        port: 443,
        protocol: "tcp-tls".to_owned(),
        phase: "workload".to_owned(),
        plane: Some("tool".to_owned()),
        decision: Decision::Allow,
        rule: Some("agent_runtime.yaml:12".to_owned()),
        reason: None,
        sentence: None,
        assurance: Some("sni".to_owned()),
        process: Some(Process { pid: 64, exe: "/usr/bin/python3.12".to_owned(), package: None, via: None }),
    };
    let denied = Event::Dns {
        name: "evil.example.test".to_owned(),
        record_type: "A".to_owned(),
        decision: Decision::Deny,
        rule: None,
        reason: Some("no-rule".to_owned()),
        process: None,
    };
    let now = jiff::Timestamp::UNIX_EPOCH;
    let (mut chain, mut out) = (Chain::new(), Vec::new());
    measure("append", || {
        out.clear();
        chain.append(black_box(now), black_box(&event), &mut out);
    });
    println!("{} bytes a line", out.len());
    let mut coalescer = Coalescer::new(0);
    measure("offer a repeat", || {
        black_box(coalescer.offer(0, 1, black_box(&denied)));
    });
    let line = out.trim_ascii_end();
    measure("read back", || {
        black_box(claw_ledger::record::Record::parse(black_box(line)).is_ok());
    });
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock; the crate does not")]
fn measure(what: &str, mut act: impl FnMut()) {
    const ROUNDS: u32 = 200_000;
    let start = std::time::Instant::now();
    for _ in 0..ROUNDS {
        act();
    }
    println!("{what}: {:?}", start.elapsed() / ROUNDS);
}
