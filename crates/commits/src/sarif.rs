//! A report as SARIF 2.1.0 (OASIS), for those who show findings beside code.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::finding::{Finding, Level, Report};
use crate::lineage::PLACE;

/// The whole document.
pub fn document(report: &Report, version: &str) -> Value {
    let mut rules: BTreeMap<String, Value> = BTreeMap::new();
    for finding in &report.findings {
        let id = finding.code.name();
        let text = id.replace('-', " ");
        rules.entry(id.clone()).or_insert_with(|| json!({"id": id, "shortDescription": {"text": text}}));
    }
    let places: BTreeMap<String, usize> =
        rules.keys().enumerate().map(|(place, id)| (id.clone(), place)).collect();
    let results: Vec<Value> =
        report.findings.iter().map(|finding| result(finding, places.get(&finding.code.name()))).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "claw gate commits", "version": version, "rules": rules.into_values().collect::<Vec<_>>()}},
            "columnKind": "unicodeCodePoints",
            "results": results,
            "properties": {"clean": report.clean, "ranges": report.ranges},
        }],
    })
}

fn result(finding: &Finding, place: Option<&usize>) -> Value {
    let commit = finding.commit.clone().unwrap_or_default();
    let mut text = finding.why.clone();
    for (label, value) in [("commit", &commit), ("subject", &finding.subject), ("author", &finding.author)] {
        if !value.is_empty() {
            text.push_str(&format!("\n{label}: {value}"));
        }
    }
    if let Some(fix) = &finding.fix {
        text.push_str(&format!("\nmend: {fix}"));
    }
    // a finding about a commit as a whole stands at the file that decided it
    let none = [PLACE.to_owned()];
    let paths = if finding.paths.is_empty() { &none[..] } else { &finding.paths };
    let locations: Vec<Value> = paths
        .iter()
        .map(|path| json!({"physicalLocation": {"artifactLocation": {"uri": uri(path)}, "region": {"startLine": 1}}}))
        .collect();
    json!({
        "ruleId": finding.code.name(),
        "ruleIndex": place,
        "level": match finding.level { Level::Error => "error", Level::Note => "note" },
        "message": {"text": text},
        "locations": locations,
        "partialFingerprints": {"commit/v1": format!("{commit}:{}", finding.code.name())},
        "properties": finding,
    })
}

/// A path as a relative reference (RFC 3986).
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/');
    path.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
