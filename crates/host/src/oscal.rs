//! A report as OSCAL assessment results 1.1.3 (NIST).
//!
//! What failed or passed is a finding with a status; what is unknown or inapplicable is an observation only, since OSCAL's
//! status knows `satisfied` and `not-satisfied` alone.

use claw_model::digest::Digest;
use serde_json::{Value, json};

use crate::report::{Outcome, Report, Status};

/// The report. `seed` is random text: every identifier in the document is made from it. `version` is Claw's.
pub fn oscal(report: &Report, version: &str, seed: &str) -> Value {
    let id = |what: &str| identifier(seed, what);
    let findings: Vec<Value> = report.outcomes.iter().filter_map(|one| finding(one, &id)).collect();
    let observations: Vec<Value> =
        report.outcomes.iter().map(|one| observation(one, &report.time, &id)).collect();
    json!({"assessment-results": {
        "uuid": id("document"),
        "metadata": {
            "title": "claw host audit",
            "last-modified": report.time,
            "version": version,
            "oscal-version": "1.1.3",
        },
        "import-ap": {"href": format!("#{}", id("plan"))},
        "results": [{
            "uuid": id("result"),
            "title": "The host as it was read",
            "description": std::iter::once("Each check is an observation; each that could be judged is a finding.")
                .chain(report.notes.iter().map(String::as_str)).collect::<Vec<_>>().join(" "),
            "start": report.time,
            "end": report.time,
            "reviewed-controls": {"control-selections": [{"include-all": {}}]},
            "observations": observations,
            "findings": findings,
        }],
        "back-matter": {"resources": [{
            "uuid": id("plan"),
            "title": "The checks of claw host audit",
            "description": "There is no assessment plan of its own: the checks are those of this version of claw, in docs/host-audit.md.",
        }]},
    }})
}

fn observation(one: &Outcome, time: &str, id: &dyn Fn(&str) -> String) -> Value {
    json!({
        "uuid": id(&format!("observation {}", one.id)),
        "title": one.title,
        "description": one.seen,
        "props": [
            {"name": "check", "ns": NAMESPACE, "value": one.id},
            {"name": "area", "ns": NAMESPACE, "value": one.area.name()},
            {"name": "severity", "ns": NAMESPACE, "value": one.severity.name()},
            {"name": "status", "ns": NAMESPACE, "value": status(one.status)},
        ],
        "methods": ["TEST"],
        "collected": time,
        "relevant-evidence": [{"description": format!("read: {}", one.reads)}],
        "remarks": format!("{} Mend: {} See: {}", one.meaning, one.mend, one.reference),
    })
}

fn finding(one: &Outcome, id: &dyn Fn(&str) -> String) -> Option<Value> {
    let (state, reason) = match one.status {
        Status::Pass => ("satisfied", "pass"),
        Status::Fail => ("not-satisfied", "fail"),
        Status::Unknown | Status::Inapplicable => return None,
    };
    let mut finding = json!({
        "uuid": id(&format!("finding {}", one.id)),
        "title": one.title,
        "description": one.seen,
        "target": {"type": "objective-id", "target-id": one.id, "status": {"state": state, "reason": reason}},
        "related-observations": [{"observation-uuid": id(&format!("observation {}", one.id))}],
    });
    if let (Some(accepted), Some(object)) = (&one.accepted, finding.as_object_mut()) {
        let remarks = format!("accepted until {}: {}", accepted.expires, accepted.reason);
        object.insert("remarks".to_owned(), Value::String(remarks));
    }
    Some(finding)
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Pass => "pass",
        Status::Fail => "fail",
        Status::Unknown => "unknown",
        Status::Inapplicable => "inapplicable",
    }
}

/// RFC 9562, version 4: 122 bits that nobody can guess without the seed.
fn identifier(seed: &str, what: &str) -> String {
    let digest = Digest::of(format!("{seed}\n{what}").as_bytes()).to_string();
    let hex: String = digest.chars().rev().filter(char::is_ascii_hexdigit).take(32).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

const NAMESPACE: &str = "urn:claw:host-audit";
