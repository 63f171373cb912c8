//! A footprint held against a policy: what it would let through today, and the rules that are missing.

use std::net::IpAddr;

use claw_model::host::HostName;
use claw_model::phase::Phase;
use claw_model::protocol::Transport;
use claw_policy::{Decision, Denial, Host, Policy, Rule, decide, decide_request};
use jiff::Timestamp;

use crate::footprint::{Flow, Footprint, Today};
use crate::suggest::{Form, Suggestion, Wanted, phases, suggest};

/// What a policy refuses of a footprint.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Refusals {
    /// Each refusal, with its reason.
    pub refused: Vec<Refused>,
    /// The rules that would permit it: a patch to read, not to apply blindly. Telemetry is not in it.
    pub patch: Suggestion,
}

/// One thing that a policy refuses.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// The destination, and the request where one is meant.
    pub what: String,
    /// The class, so that telemetry can be told from what is needed.
    pub class: &'static str,
    /// In which phase.
    pub phase: &'static str,
    /// The reason's code.
    pub reason: &'static str,
    /// The rule that decided.
    pub rule: Option<String>,
}

/// Says of each flow what this policy says of it today.
pub fn mark(footprint: &mut Footprint, policy: &Policy, now: Timestamp) {
    for flow in &mut footprint.flows {
        let answers = judge(flow, policy, now);
        let allowed = answers.iter().filter(|answer| answer.denied.is_none()).count();
        let decision = match (flow.port, allowed) {
            (None, _) => "unknown",
            (_, 0) => "deny",
            (_, some) if some == answers.len() => "allow",
            _ => "partly",
        };
        let mut rules: Vec<String> = answers.iter().filter_map(|answer| answer.rule.clone()).collect();
        let mut reasons: Vec<String> =
            answers.iter().filter_map(|answer| answer.denied.map(str::to_owned)).collect();
        rules.sort();
        rules.dedup();
        reasons.sort();
        reasons.dedup();
        flow.today = Some(Today { decision: decision.to_owned(), rules, reasons });
    }
}

/// What this policy refuses of it today, and the rules to add.
pub fn against(footprint: &Footprint, policy: &Policy, now: Timestamp) -> Refusals {
    let mut refused = Vec::new();
    let mut missing = footprint.clone();
    for flow in &mut missing.flows {
        let answers = judge(flow, policy, now);
        for answer in answers.iter() {
            let Some(reason) = answer.denied else { continue };
            let what = match answer.request {
                Some((ref method, ref path)) => format!("{method} {path} on {}", flow.target()),
                None => flow.target(),
            };
            let phase = answer.phase.as_str();
            let rule = answer.rule.clone();
            refused.push(Refused { what, class: flow.class.as_str(), phase, reason, rule });
        }
        let asked = |request: &crate::footprint::Request| {
            answers.iter().any(|answer| {
                answer.denied.is_some()
                    && answer
                        .request
                        .as_ref()
                        .is_some_and(|(method, path)| *method == request.method && *path == request.path)
            })
        };
        let connections = flow.requests.is_empty() && answers.iter().any(|answer| answer.denied.is_some());
        flow.requests.retain(asked);
        if flow.requests.is_empty() && !connections {
            flow.port = None;
            flow.count = 0;
        }
    }
    missing.flows.retain(|flow| flow.count > 0);
    let patch = suggest(&missing, Wanted { form: Form::Patch, ..Wanted::default() });
    Refusals { refused, patch }
}

struct Answer {
    phase: Phase,
    request: Option<(String, String)>,
    denied: Option<&'static str>,
    rule: Option<String>,
}

fn judge(flow: &Flow, policy: &Policy, now: Timestamp) -> Vec<Answer> {
    let Some(port) = flow.port else { return Vec::new() };
    let transport = if flow.transport == "UDP" { Transport::Udp } else { Transport::Tcp };
    let name = HostName::parse(&flow.destination);
    let host = match (flow.destination.parse::<IpAddr>(), &name) {
        (Ok(ip), _) => Host::Address(ip),
        (Err(_), Ok(name)) => Host::Name(name),
        (Err(_), Err(_)) => {
            let phase = Phase::Workload;
            return vec![Answer { phase, request: None, denied: Some("invalid-name"), rule: None }];
        }
    };
    let mut answers = Vec::new();
    for phase in phases(&flow.phases) {
        let request = claw_policy::Request { phase, transport, host, port, now };
        if flow.requests.is_empty() {
            let (denied, rule) = match decide(policy, &request) {
                Decision::Allow(permit) => (None, Some(permit.rule().location())),
                Decision::Deny(denial) => told(&denial),
            };
            answers.push(Answer { phase, request: None, denied, rule });
        }
        for asked in flow.requests.iter().filter(|asked| phases(&asked.phases).contains(&phase)) {
            let (denied, rule) = match decide_request(policy, &request, &asked.method, &asked.path) {
                Ok(permit) => (None, Some(permit.rule().location())),
                Err(denial) => told(&denial),
            };
            let request = Some((asked.method.clone(), asked.path.clone()));
            answers.push(Answer { phase, request, denied, rule });
        }
    }
    answers
}

fn told(denial: &Denial) -> (Option<&'static str>, Option<String>) {
    (Some(denial.reason.code()), denial.rule.as_deref().map(Rule::location))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::tests::{at, footprint, observed};

    const POLICY: &str = "version: 1\nnetwork_policy:\n  workload:\n    - destination: api.anthropic.com:443\n      plane: inference\n      purpose: x\n      http: [GET /v1/models]\n";

    #[test]
    fn what_todays_policy_refuses_is_told_and_the_patch_permits_it() {
        let footprint = footprint(&observed());
        let policy = Policy::parse(POLICY, "old").unwrap();
        let found = against(&footprint, &policy, at(0));
        let told: Vec<String> =
            found.refused.iter().map(|one| format!("{} {} {}", one.what, one.class, one.reason)).collect();
        assert_eq!(
            told,
            [
                "POST /v1/messages on api.anthropic.com:443 required path",
                "POST /api/event_logging/v2/batch on api.anthropic.com:443 telemetry path",
                "telemetry.crewai.com:4319 telemetry no-rule",
                "169.254.169.254:80 metadata-probe metadata",
            ]
        );
        assert_eq!(found.patch.rules, 1);
        assert!(!found.patch.yaml.contains("version:"), "{}", found.patch.yaml);
        let rule = found.patch.yaml.split_once("workload:\n").unwrap().1;
        let rule = rule.split_once("# Left out").map_or(rule, |(rule, _)| rule);
        let patched = Policy::parse(&format!("{POLICY}{rule}"), "patched").unwrap();
        let again = against(&footprint, &patched, at(0));
        assert!(again.refused.iter().all(|one| one.class != "required"), "{again:?}");
        let mut marked = footprint.clone();
        mark(&mut marked, &patched, at(0));
        let today: Vec<&str> =
            marked.flows.iter().map(|flow| flow.today.as_ref().unwrap().decision.as_str()).collect();
        assert_eq!(today, ["allow", "allow", "deny", "unknown", "deny", "deny"]);
    }
}
