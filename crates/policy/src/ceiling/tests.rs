use std::collections::HashMap;

use claw_model::protocol::Transport;
use proptest::prelude::*;

use super::*;
use crate::decide::{Decision, Host, PermitHost, Request, decide, decide_request};
use crate::samples::{PORTS, any_pair, hosts};

/// Loads the first of these files; the others are its ceilings.
fn load(files: &[(&str, &str)]) -> Result<Policy, Vec<(u32, String)>> {
    let all: HashMap<PathBuf, String> =
        files.iter().map(|(name, text)| (PathBuf::from(name), (*text).to_owned())).collect();
    let read = |named: &Path, by: &Path| -> Result<CeilingFile, String> {
        let path = by.parent().unwrap_or(Path::new("")).join(named);
        let text = all.get(&path).cloned().ok_or_else(|| format!("cannot read `{}`", named.display()))?;
        Ok(CeilingFile { real: path.clone(), path, text })
    };
    let (name, text) = files[0];
    Policy::parse_under(text, name, Path::new(name), &read).map_err(|error| {
        error.problems().iter().map(|problem| (problem.line(), problem.message().to_owned())).collect()
    })
}

fn policy(ceiling: &str, rules: &[&str]) -> String {
    let rules: String = rules.iter().map(|rule| format!("    - {{{rule}, purpose: x}}\n")).collect();
    let ceiling = if ceiling.is_empty() { "version: 1".to_owned() } else { format!("ceiling: {ceiling}") };
    format!("{ceiling}\nnetwork_policy:\n  workload:\n{rules}")
}

const BASE: &str = "destination: '*.corp.test:443', plane: tool";

/// What is told of one rule under a ceiling of one rule; nothing if it is within.
fn check(ceiling: &str, rule: &str, expect: &str) {
    let told = load(&[("p.yaml", &policy("base.yaml", &[rule])), ("base.yaml", &policy("", &[ceiling]))]);
    let told = told.err().unwrap_or_default();
    let expect: Vec<(u32, String)> = if expect.is_empty() { vec![] } else { vec![(4, expect.to_owned())] };
    assert_eq!(told, expect, "{rule} under {ceiling}");
}

#[test]
fn a_policy_may_only_narrow_its_ceiling() {
    check(BASE, BASE, "");
    check(BASE, "destination: 'a.corp.test:443', plane: tool", "");
    check(
        BASE,
        "destination: 'a.corp.test:443,8443', plane: tool",
        "`a.corp.test:8443` is beyond the ceiling `base.yaml`, which refuses a.corp.test:8443, phase workload, plane tool [no-rule]",
    );
    check(
        BASE,
        "destination: '*.test:443', plane: tool",
        "`*.test:443` is beyond the ceiling `base.yaml`, which refuses any-other.test:443, phase workload, plane tool [no-rule]",
    );
    check(
        BASE,
        "destination: 'a.corp.test:443', plane: control",
        "`a.corp.test:443` is beyond the ceiling `base.yaml`: plane is control and there tool (a.corp.test:443, phase workload, plane control, base.yaml:4)",
    );
    check(
        BASE,
        "destination: 'a.corp.test:443', plane: tool, private: allow",
        "`a.corp.test:443` is beyond the ceiling `base.yaml`: private is allow and there refuse (a.corp.test:443, phase workload, plane tool, base.yaml:4)",
    );
    check(
        "destination: 'a.test:443', plane: tool, expires: 2027-01-01",
        "destination: 'a.test:443', plane: tool",
        "`a.test:443` is beyond the ceiling `base.yaml`, which from 2027-01-02T00:00:00Z on refuses a.test:443, phase workload, plane tool [expired, base.yaml:4]",
    );
    check(
        "destination: 'a.test:443', plane: tool",
        "destination: 'a.test:443', plane: tool, expires: 2027-01-01",
        "",
    );
    check(
        "destination: 'a.test:443', plane: tool, http: ['GET /v1/*']",
        "destination: 'a.test:443', plane: tool, http: ['GET /v1/**']",
        "`a.test:443` is beyond the ceiling `base.yaml`, which refuses a.test:443 GET /v1/x/x, phase workload, plane tool [path, base.yaml:4]",
    );
    check(
        "destination: 'a.test:443', plane: tool, http: ['GET /v1/**']",
        "destination: 'a.test:443', plane: tool, http: ['GET /v1/*']",
        "",
    );
    check(
        "destination: 'a.test:443', plane: tool",
        "destination: 'a.test:443', plane: tool, limits: {bytes_out: 1MiB}",
        "",
    );
    check(
        "destination: 'a.test:443', plane: tool, limits: {bytes_out: 1MiB}",
        "destination: 'a.test:443', plane: tool",
        "`a.test:443` is beyond the ceiling `base.yaml`: limits is none and there bytes_out: 1048576 (a.test:443, phase workload, plane tool, base.yaml:4)",
    );
}

#[test]
fn ceilings_are_chained_and_bounded() {
    let rule = "destination: 'a.corp.test:443', plane: tool";
    let chain = |top: &str| {
        load(&[
            ("team/p.yaml", &policy("../org/base.yaml", &[rule])),
            ("team/../org/base.yaml", &policy("top.yaml", &[BASE])),
            ("team/../org/top.yaml", &policy("", &[top])),
        ])
    };
    let inside = chain("destination: '*.test:443', plane: tool").unwrap();
    assert_eq!(inside.ceilings(), [Path::new("team/../org/base.yaml"), Path::new("team/../org/top.yaml")]);
    assert_eq!(inside.ceiling().and_then(Policy::ceiling).map(Policy::name), Some("top.yaml"));
    let told = chain("destination: 'b.test:443', plane: tool").unwrap_err();
    assert_eq!(told[0].0, 1);
    assert!(
        told[0].1.starts_with("the ceiling cannot be used: ../org/base.yaml:4: `*.corp.test:443` is beyond"),
        "{told:?}"
    );
    let circle = load(&[("p.yaml", &policy("q.yaml", &[])), ("q.yaml", &policy("p.yaml", &[]))]).unwrap_err();
    assert!(circle[0].1.contains("leads back to itself"), "{circle:?}");
    let names: Vec<String> = (0..20).map(|at| format!("{at}.yaml")).collect();
    let texts: Vec<String> = (1..21).map(|at| policy(&format!("{at}.yaml"), &[])).collect();
    let deep: Vec<(&str, &str)> =
        names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
    let told = load(&deep).unwrap_err();
    assert!(told[0].1.contains("no more are followed"), "{told:?}");
    let lost = load(&[("p.yaml", &policy("gone.yaml", &[]))]).unwrap_err();
    assert_eq!(lost, [(1, "cannot read `gone.yaml`".to_owned())]);
}

#[test]
fn a_policy_with_a_ceiling_is_not_loaded_without_it() {
    let error = Policy::parse(&policy("base.yaml", &[BASE]), "p.yaml").unwrap_err();
    assert_eq!(error.problems()[0].message(), "the ceiling `base.yaml` cannot be read here");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_a_policy_allows_its_ceiling_allows((one, other) in any_pair()) {
        let (Ok(lower), Ok(upper)) = (Policy::parse(&one, "p.yaml"), Policy::parse(&other, "base.yaml")) else { return Ok(()) };
        if !beyond(&lower, &upper).is_empty() {
            return Ok(());
        }
        for host in hosts() {
            for port in PORTS {
                for phase in Phase::ALL {
                    for now in ["2020-01-01T00:00:00Z", "2026-11-21T00:00:00Z", "2030-01-01T00:00:00Z"] {
                        let host = match &host {
                            PermitHost::Name(name) => Host::Name(name),
                            PermitHost::Address(address) => Host::Address(*address),
                        };
                        let flow = Request { phase: *phase, transport: Transport::Tcp, host, port, now: now.parse().unwrap() };
                        let Decision::Allow(own) = decide(&lower, &flow) else { continue };
                        let Decision::Allow(above) = decide(&upper, &flow) else {
                            return Err(TestCaseError::fail(format!("{flow:?} is beyond\n{one}\n{other}")));
                        };
                        if own.rule().http.is_none() && above.rule().http.is_none() {
                            prop_assert_eq!(own.rule().plane(), above.rule().plane());
                        }
                        for (method, path) in [("GET", "/a"), ("POST", "/a/b"), ("GET", "/"), ("PATCH", "/a/b/c")] {
                            if decide_request(&lower, &flow, method, path).is_ok() {
                                prop_assert!(decide_request(&upper, &flow, method, path).is_ok());
                            }
                        }
                    }
                }
            }
        }
    }
}
