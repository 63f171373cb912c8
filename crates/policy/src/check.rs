//! Lint: what a careful reader would remark about a policy, each finding with a code, a line, why, and mend.
//!
//! `Policy::findings` holds what does not depend on the date; [`lint`] adds what does, and rules that decide nothing. World-open rules are not
//! here: they are refused at load.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::index::Tie;
use crate::policy::{Inner, Policy};
use crate::rule::Rule;

mod catalogue;
mod files;
mod flows;
mod shadow;

/// One remark.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The stable code.
    pub code: &'static str,
    /// The line of the file.
    pub line: u32,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub mend: String,
    /// How grave it is.
    pub severity: Severity,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Likely wrong.
    Warning,
    /// Wrong.
    Error,
}

/// Every finding about a policy at this time, by line.
pub fn lint(policy: &Policy, now: Timestamp) -> Vec<Finding> {
    let mut findings = policy.findings().to_vec();
    shadow::findings(policy, &mut findings);
    findings.extend(policy.rules().iter().filter_map(|rule| dated(rule, now)));
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// The rules that open and that were never used, where `used` are the lines of those that were.
pub fn unused(policy: &Policy, used: &BTreeSet<u32>) -> Vec<Finding> {
    let opens = policy.rules().iter().filter(|rule| rule.list.phase().is_some());
    opens
        .filter(|rule| !used.contains(&rule.line))
        .map(|rule| Finding {
            code: "unused",
            line: rule.line,
            why: format!("no record of the ledger was allowed by `{}`", rule.destination),
            mend: "remove the rule, if the ledger shows all that the agent does".into(),
            severity: Severity::Note,
        })
        .collect()
}

/// The finding that the policy file itself can be changed from inside. Paths are compared as they are written;
/// `working` is what relative ones begin at.
pub fn policy_writable(policy: &Policy, path: &Path, working: &Path) -> Option<Finding> {
    let file = plain(&working.join(path));
    let writes = policy.filesystem().map(|filesystem| filesystem.write.as_slice()).unwrap_or_default();
    let (write, line) = writes
        .iter()
        .zip(&policy.0.write_lines)
        .find(|(write, _)| file.starts_with(plain(&working.join(write))))?;
    Some(Finding {
        code: "policy-writable",
        line: *line,
        why: format!(
            "the policy `{}` lies inside the writable `{}`: the agent could change it",
            path.display(),
            write.display()
        ),
        mend: "keep the policy outside of every writable directory".into(),
        severity: Severity::Error,
    })
}

/// Every finding that does not depend on the date.
pub(crate) fn timeless(policy: &Inner, duplicates: &[Tie]) -> Vec<Finding> {
    let mut findings = Vec::new();
    duplicates.iter().for_each(|(later, earlier)| findings.extend(duplicate(later, earlier)));
    for rule in policy.rules.iter().filter(|rule| rule.list.phase().is_some()) {
        flows::findings(rule, &mut findings);
        flows::among(policy, rule, &mut findings);
        flows::closed(policy, rule, &mut findings);
    }
    let writes = policy.filesystem.iter().flat_map(|filesystem| &filesystem.write);
    findings
        .extend(writes.zip(&policy.write_lines).filter_map(|(path, line)| files::write_path(path, *line)));
    findings.sort_by_key(|finding| finding.line);
    findings
}

fn duplicate(later: &Arc<Rule>, earlier: &Arc<Rule>) -> Option<Finding> {
    (later.destination.ports == earlier.destination.ports).then(|| Finding {
        code: "duplicate",
        line: later.line,
        why: format!("the rule on line {} says the same", earlier.line),
        mend: "keep one of them".into(),
        severity: Severity::Warning,
    })
}

fn dated(rule: &Arc<Rule>, now: Timestamp) -> Option<Finding> {
    let expiry = rule.expires?;
    let left = expiry.end.duration_since(now);
    let (code, why, severity) = if left <= SignedDuration::ZERO {
        (
            "expired",
            format!("the last day was {}: the rule no longer permits", expiry.date),
            Severity::Warning,
        )
    } else if left <= SignedDuration::from_hours(24 * SOON_DAYS) {
        ("expires-soon", format!("the last day is {}", expiry.date), Severity::Note)
    } else {
        return None;
    };
    let mend = "agree a new date with its owner, or remove the rule".into();
    Some(Finding { code, line: rule.line, why, mend, severity })
}

/// A path without `.` and `..`, as it is written: no file is looked at.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

const SOON_DAYS: i64 = 30;

#[cfg(test)]
mod tests;
