//! Measures one decision at 10, 1,000 and 100,000 rules, and the load of 100,000 rules. Prints JSON.

#![expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use claw_model::host::HostName;
use claw_model::phase::Phase;
use claw_model::protocol::Transport;
use claw_policy::{Decision, Host, Policy, Request, decide};
use jiff::Timestamp;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut decisions = serde_json::Map::new();
    let mut load = Value::Null;
    for count in [10, 1_000, 100_000] {
        let text = policy(count);
        let start = Instant::now();
        let policy = Policy::parse(&text, "scale.yaml")?;
        let seconds = start.elapsed().as_secs_f64();
        load = json!({"rules": count, "megabytes": text.len() as f64 / 1e6, "seconds": seconds});
        decisions.insert(count.to_string(), measure(&policy, count)?);
    }
    println!("{}", serde_json::to_string_pretty(&json!({"load": load, "decide_ns": decisions}))?);
    Ok(())
}

/// A third names, a third wildcards, a third networks.
fn policy(count: usize) -> String {
    let mut text = String::from("version: 1\nowner: team@corp.example\nnetwork_policy:\n  workload:\n");
    for index in 0..count {
        let destination = match index % 3 {
            0 => format!("host{index}.service.example.com:443"),
            1 => format!("\"*.zone{index}.example.net:443\""),
            _ => format!("10.{}.{}.0/24:443", index / 3 / 256 % 256, index / 3 % 256),
        };
        text.push_str(&format!(
            "    - destination: {destination}\n      plane: workload\n      purpose: the {index}th destination\n      expires: 2030-01-01\n"
        ));
    }
    text
}

fn measure(policy: &Policy, count: usize) -> Result<Value, Box<dyn std::error::Error>> {
    let last = (count - 1) / 3 * 3;
    let (wild, net) = (if last + 1 < count { last + 1 } else { last - 2 }, (last / 3).saturating_sub(1));
    let name = |text: &str| HostName::parse(text);
    let hit = name(&format!("host{last}.service.example.com"))?;
    let wildcard = name(&format!("a.b.zone{wild}.example.net"))?;
    let miss = name("host.service.example.org")?;
    let deep = name(&"a.".repeat(126))?;
    let address: IpAddr = format!("10.{}.{}.9", net / 256 % 256, net % 256).parse()?;
    let six: IpAddr = "2001:db8::1".parse()?;
    let outside: IpAddr = "192.0.2.1".parse()?;
    Ok(json!({
        "name_hit": time(policy, Host::Name(&hit), "allow")?,
        "wildcard_hit": time(policy, Host::Name(&wildcard), "allow")?,
        "net_hit": time(policy, Host::Address(address), "allow")?,
        "name_miss": time(policy, Host::Name(&miss), "deny")?,
        "deep_name_miss": time(policy, Host::Name(&deep), "deny")?,
        "net_miss": time(policy, Host::Address(outside), "deny")?,
        "v6_miss": time(policy, Host::Address(six), "deny")?,
    }))
}

fn time(policy: &Policy, host: Host<'_>, expect: &str) -> Result<f64, String> {
    let request = Request {
        phase: Phase::Workload,
        transport: Transport::Tcp,
        host,
        port: 443,
        now: Timestamp::from_second(1_800_000_000).map_err(|error| error.to_string())?,
    };
    let answer = if matches!(decide(policy, &request), Decision::Allow(_)) { "allow" } else { "deny" };
    if answer != expect {
        return Err(format!("{host} is answered {answer}, not {expect}"));
    }
    const TIMES: u32 = 200_000;
    let start = Instant::now();
    for _ in 0..TIMES {
        black_box(decide(black_box(policy), black_box(&request)));
    }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(TIMES))
}
