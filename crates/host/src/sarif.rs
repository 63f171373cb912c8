//! A report as SARIF 2.1.0 (OASIS), for tools that collect findings.

use serde_json::{Value, json};

use crate::check::{Check, Severity};
use crate::report::{Outcome, Report, Status};

/// The report; every check is a rule, every outcome a result. `version` is Claw's.
pub fn sarif(report: &Report, version: &str) -> Value {
    let rules: Vec<Value> = crate::checks::all().map(rule).collect();
    let results: Vec<Value> = report.outcomes.iter().enumerate().map(result).collect();
    let notes: Vec<Value> =
        report.notes.iter().map(|note| json!({"level": "note", "message": {"text": note}})).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "claw host audit", "version": version, "rules": rules}},
            "invocations": [{
                "executionSuccessful": true,
                "endTimeUtc": report.time,
                "toolExecutionNotifications": notes,
            }],
            "results": results,
        }],
    })
}

fn rule(check: &Check) -> Value {
    json!({
        "id": check.id,
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": check.meaning},
        "help": {"text": format!("{}\nSee: {}", check.mend, check.reference)},
        "defaultConfiguration": {"level": level(check.severity)},
        "properties": {
            "tags": ["security", check.area.name()],
            "severity": check.severity.name(),
            "security-severity": score(check.severity),
            "reads": check.reads,
        },
    })
}

fn result((index, one): (usize, &Outcome)) -> Value {
    let (kind, level) = match one.status {
        Status::Fail => ("fail", level(one.severity)),
        Status::Pass => ("pass", "none"),
        Status::Unknown => ("open", "none"),
        Status::Inapplicable => ("notApplicable", "none"),
    };
    let suppressions: Vec<Value> = one
        .accepted
        .iter()
        .map(|accepted| {
            let justification = format!("{} (until {})", accepted.reason, accepted.expires);
            json!({"kind": "external", "status": "accepted", "justification": justification})
        })
        .collect();
    json!({
        "ruleId": one.id,
        "ruleIndex": index,
        "kind": kind,
        "level": level,
        "message": {"text": format!("{}: {}", one.title, one.seen)},
        "locations": [{"logicalLocations": [{"name": one.id, "fullyQualifiedName": format!("host/{}/{}", one.area.name(), one.id), "kind": "resource"}]}],
        "suppressions": suppressions,
        "properties": {"seen": one.seen, "mend": one.mend},
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "note",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "error",
    }
}

/// The scale that collectors sort by: the middle of each band of CVSS.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "2.0",
        Severity::Medium => "5.0",
        Severity::High => "8.0",
        Severity::Critical => "9.5",
    }
}
