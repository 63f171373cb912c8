//! Findings that were accepted: each with a reason and a day after which it counts again.

use claw_model::nearest::nearest;
use claw_policy::PolicyError;
use claw_policy::yaml::{At, Extra, Keyed, Place, Problem, keyed, read};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::report::{Report, Status};

/// A file of accepted findings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baseline {
    /// What is accepted.
    pub entries: Vec<Entry>,
}

/// One accepted finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The check.
    pub check: String,
    /// Why.
    pub reason: String,
    /// The last day it is accepted, to the end of that day in UTC.
    pub expires: Date,
    /// What was seen; if given, nothing else is accepted.
    pub seen: Option<String>,
    /// Where it stands.
    pub line: u32,
}

/// Why a finding does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// The reason given.
    pub reason: String,
    /// The last day.
    pub expires: String,
}

keyed! {
    /// The file.
    RawFile {
        /// The version of this format: 1.
        version: At<u64>,
        /// The findings.
        accepted: Vec<At<RawEntry>>,
    }
}

keyed! {
    /// A finding.
    RawEntry {
        /// The check.
        check: At<String>,
        /// Why.
        reason: At<String>,
        /// The last day.
        expires: At<String>,
        /// What was seen.
        seen: At<String>,
    }
}

impl Baseline {
    /// Reads a file; what is not understood wholly is refused, with its lines.
    pub fn parse(text: &str, name: &str) -> Result<Baseline, PolicyError> {
        let refuse = |problems| PolicyError::new(name, text, problems);
        let raw =
            read::<RawFile>(text).map_err(|problem| refuse(vec![reworded(problem)]))?.unwrap_or_default();
        let mut problems = Vec::new();
        match &raw.version {
            Some(At { value: 1, .. }) => {}
            Some(at) => problems.push(Problem::new(
                format!("version {} is not known", at.value),
                at.place,
                "this claw reads version 1",
            )),
            None => problems.push(Problem::new(
                "`version` is missing",
                Place { line: 1, ..Place::default() },
                "write `version: 1`",
            )),
        }
        extra::<RawFile>(&raw.extra, "a baseline", &mut problems);
        let entries = raw.accepted.unwrap_or_default();
        let entries = entries.into_iter().filter_map(|at| entry(at, &mut problems)).collect();
        if problems.is_empty() { Ok(Baseline { entries }) } else { Err(refuse(problems)) }
    }

    /// Marks the findings that are accepted at `now` (seconds since 1970), and says which entries do nothing.
    pub fn apply(&self, report: &mut Report, now: i64) -> Vec<String> {
        let mut said = Vec::new();
        for entry in &self.entries {
            let what = format!("line {}: `{}`", entry.line, entry.check);
            let failing =
                report.outcomes.iter_mut().find(|one| one.id == entry.check && one.status == Status::Fail);
            match failing {
                None => said.push(format!("{what} is no finding now; take the entry out")),
                Some(_) if entry.end() > now.saturating_add(LONGEST) => {
                    said.push(format!(
                        "{what} is accepted until {}, more than two years from now: it counts; say a nearer day, and look again then",
                        entry.expires
                    ));
                }
                Some(_) if entry.end() <= now => {
                    said.push(format!("{what} was accepted until {}; it counts again", entry.expires));
                }
                Some(one) if entry.seen.as_ref().is_some_and(|seen| *seen != one.seen) => {
                    said.push(format!(
                        "{what} was accepted for something else that was seen; it counts again"
                    ));
                }
                Some(one) => {
                    one.accepted =
                        Some(Accepted { reason: entry.reason.clone(), expires: entry.expires.to_string() });
                }
            }
        }
        said
    }
}

impl Entry {
    /// The first second after its last day; a day without a next one never ends.
    fn end(&self) -> i64 {
        let next = self.expires.tomorrow().ok();
        let start = next.and_then(|day| day.to_zoned(TimeZone::UTC).ok());
        start.map_or(i64::MAX, |zoned| Timestamp::from(zoned).as_second())
    }
}

fn entry(at: At<RawEntry>, problems: &mut Vec<Problem>) -> Option<Entry> {
    let At { value: raw, place } = at;
    extra::<RawEntry>(&raw.extra, "an accepted finding", problems);
    for (key, there) in
        [("check", raw.check.is_some()), ("reason", raw.reason.is_some()), ("expires", raw.expires.is_some())]
    {
        if !there {
            problems.push(Problem::new(format!("`{key}` is missing"), place, "in this entry"));
        }
    }
    let (check, reason, expires) = (raw.check?, raw.reason?, raw.expires?);
    if !crate::checks::all().any(|one| one.id == check.value) {
        let problem =
            Problem::new(format!("no check is called `{}`", check.value.escape_debug()), check.place, "here");
        problems.push(match nearest(&check.value, crate::checks::all().map(|one| one.id)) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help("claw host audit --json lists every check"),
        });
    }
    if reason.value.trim().is_empty() {
        problems.push(Problem::new("`reason` is empty", reason.place, "say why this is accepted"));
    }
    let day = expires.value.parse::<Date>();
    if day.is_err() {
        let problem =
            Problem::new(format!("`{}` is no day", expires.value.escape_debug()), expires.place, "here");
        problems.push(problem.help("write it as 2027-03-01"));
    }
    Some(Entry {
        check: check.value,
        reason: reason.value,
        expires: day.ok()?,
        seen: raw.seen.map(|seen| seen.value),
        line: place.line,
    })
}

fn extra<T: Keyed>(extra: &[Extra], what: &str, problems: &mut Vec<Problem>) {
    for unknown in extra {
        let message = format!("{what} has no field `{}`", unknown.key.escape_debug());
        let problem = Problem::new(message, unknown.value, "unknown");
        problems.push(match nearest(&unknown.key, T::KEYS.iter().copied()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!("known fields: {}", T::KEYS.join(", "))),
        });
    }
}

/// How long a finding can be accepted, in seconds: two years, with a leap day, to the end of the last day.
const LONGEST: i64 = 732 * 86_400;

/// The reader speaks of policies.
fn reworded(problem: Problem) -> Problem {
    match problem.hint() {
        Some(hint) if hint.contains("claw policy schema") => {
            problem.help("docs/host-audit.md shows the shape of a baseline")
        }
        _ => problem,
    }
}
