//! Measures `diff` between two policies of 100, 1,000, 10,000 and 100,000 rules. Prints JSON.

#![expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]

use std::hint::black_box;
use std::time::Instant;

use claw_model::phase::Phase;
use claw_policy::Policy;
use claw_policy::diff::diff;
use jiff::Timestamp;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = Timestamp::from_second(1_800_000_000)?;
    let mut table = serde_json::Map::new();
    for count in [100usize, 1_000, 10_000, 100_000] {
        let base = policy(count, |_| true, |_| "workload")?;
        // written in the other order
        let rewrite = reversed(count)?;
        let less = policy(count, |index| index != count / 2, |_| "workload")?;
        let planes = policy(count, |_| true, |_| "tool")?;
        let row = json!({
            "the same, rewritten": time(&base, &rewrite, now, 0)?,
            "one rule more": time(&less, &base, now, 1)?,
            "every rule changed": time(&base, &planes, now, count)?,
            "every rule new": time(&Policy::deny_all(), &base, now, count)?,
        });
        table.insert(count.to_string(), row);
    }
    println!("{}", serde_json::to_string_pretty(&json!({"diff_ms": table}))?);
    Ok(())
}

/// A third names, a third wildcards, a third networks, and a tenth of them below another's wildcard.
fn rule(index: usize, plane: &str) -> String {
    let destination = match index % 3 {
        0 if index.is_multiple_of(10) => format!("host{index}.zone{}.example.net:443", index + 1),
        0 => format!("host{index}.service.example.com:443"),
        1 => format!("\"*.zone{index}.example.net:443\""),
        _ => format!("10.{}.{}.0/24:443", index / 3 / 256 % 256, index / 3 % 256),
    };
    format!(
        "    - {{destination: {destination}, plane: {plane}, purpose: the {index}th, expires: 2030-01-01}}\n"
    )
}

type Parsed = Result<Policy, claw_policy::PolicyError>;

fn policy(count: usize, keep: impl Fn(usize) -> bool, plane: impl Fn(usize) -> &'static str) -> Parsed {
    let rules = (0..count).filter(|index| keep(*index)).map(|index| rule(index, plane(index)));
    parse(rules.collect())
}

fn reversed(count: usize) -> Parsed {
    parse((0..count).rev().map(|index| rule(index, "workload")).collect())
}

fn parse(rules: String) -> Parsed {
    Policy::parse(&format!("version: 1\nnetwork_policy:\n  workload:\n{rules}"), "scale.yaml")
}

/// The median of many, in milliseconds; the number of differences must be the expected one.
fn time(
    old: &Policy,
    new: &Policy,
    now: Timestamp,
    expect: usize,
) -> Result<Value, Box<dyn std::error::Error>> {
    let mut samples = Vec::new();
    for _ in 0..9 {
        let start = Instant::now();
        let found = diff(black_box(old), black_box(new), Phase::ALL, now)?;
        samples.push(start.elapsed().as_secs_f64() * 1e3);
        if found.all().count() != expect {
            return Err(format!("{} differences, not {expect}", found.all().count()).into());
        }
    }
    samples.sort_by(f64::total_cmp);
    Ok(json!((samples.get(4).copied().unwrap_or(f64::NAN) * 100.0).round() / 100.0))
}
