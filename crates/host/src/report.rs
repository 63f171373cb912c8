//! From facts to a report.

use serde::Serialize;

use crate::baseline::Accepted;
use crate::check::{Area, Check, Severity, Verdict};
use crate::checks::{container, machine};
use crate::facts::Facts;
use crate::spelled::spelled;

/// What all checks say.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// When the host was read.
    pub time: String,
    /// What was read, and as whom: what cannot be judged from there.
    pub notes: Vec<String>,
    /// One for each check.
    pub outcomes: Vec<Outcome>,
    /// One for each area.
    pub scores: Vec<Score>,
}

/// What one check says.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The check's name.
    pub id: &'static str,
    /// Where it belongs.
    pub area: Area,
    /// How much a failure matters.
    pub severity: Severity,
    /// What it says.
    pub status: Status,
    /// What is true of a host that passes.
    pub title: &'static str,
    /// What is read.
    pub reads: &'static str,
    /// What was seen, or why nothing could be.
    pub seen: String,
    /// What a failure means where agents run.
    pub meaning: &'static str,
    /// The command that mends it.
    pub mend: String,
    /// Where it is explained.
    pub reference: &'static str,
    /// Why a failure does not count, if a baseline says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Accepted>,
}

/// The answer of a check in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Pass,
    /// Not as it should be.
    Fail,
    /// Could not be judged.
    Unknown,
    /// Nothing to judge.
    Inapplicable,
}

/// How an area stands: the weight of what passed, in a hundred of what passed or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Score {
    /// Which.
    pub area: Area,
    /// From 0 to 100; `None` if nothing could be judged.
    pub score: Option<u32>,
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many could not be judged.
    pub unknown: usize,
    /// How many had nothing to judge.
    pub inapplicable: usize,
}

/// Judges a host by every check.
pub fn audit(facts: &Facts) -> Report {
    let outcomes: Vec<Outcome> = crate::checks::all().map(|check| outcome(check, facts)).collect();
    let scores = Area::ALL.map(|area| score(area, &outcomes)).to_vec();
    let time = jiff::Timestamp::from_second(facts.now).unwrap_or_default().to_string();
    Report { time, notes: notes(facts), outcomes, scores }
}

fn notes(facts: &Facts) -> Vec<String> {
    let mut notes = Vec::new();
    match (facts.live, facts.user) {
        (false, _) => notes.push(
            "a tree of files was read: nothing is known of a running kernel, its network and its programs but what /proc and /sys in it say".to_owned(),
        ),
        (true, 0) => {}
        (true, user) => notes.push(format!("read as user {user}: some of it only root may read, and is unknown")),
    }
    if let Some(kind) = container(facts) {
        notes.push(format!("this is a container ({kind}): disks, accounts and services are its own; kernel, firewall and firmware are its host's, and are not judged by what it shows of them"));
    }
    if let Some(kind) = machine(facts) {
        notes.push(format!("this is a virtual machine ({kind}): hypervisor, firmware and physical disks above it cannot be judged from inside"));
    }
    notes.iter().map(|note| spelled(note)).collect()
}

impl Report {
    /// The failures that count: not accepted, and at least so severe.
    pub fn findings(&self, least: Severity) -> impl Iterator<Item = &Outcome> {
        let counts = move |one: &&Outcome| {
            one.status == Status::Fail && one.severity >= least && one.accepted.is_none()
        };
        self.outcomes.iter().filter(counts)
    }
}

fn outcome(check: &'static Check, facts: &Facts) -> Outcome {
    let (status, seen, mend) = match (check.judge)(facts) {
        Verdict::Pass(seen) => (Status::Pass, seen, None),
        Verdict::Fail { seen, mend } => (Status::Fail, seen, mend),
        Verdict::Unknown(why) => (Status::Unknown, why, None),
        Verdict::Inapplicable(why) => (Status::Inapplicable, why, None),
    };
    Outcome {
        id: check.id,
        area: check.area,
        severity: check.severity,
        status,
        title: check.title,
        reads: check.reads,
        // names of files, programs and sockets are their makers' choice
        seen: spelled(&seen),
        meaning: check.meaning,
        mend: mend.map_or_else(|| check.mend.to_owned(), |mend| spelled(&mend)),
        reference: check.reference,
        accepted: None,
    }
}

fn score(area: Area, outcomes: &[Outcome]) -> Score {
    let here = |status| outcomes.iter().filter(move |one| one.area == area && one.status == status);
    let weight = |status| here(status).map(|one| one.severity.weight()).sum::<u32>();
    let (passed, failed) = (weight(Status::Pass), weight(Status::Fail));
    Score {
        area,
        score: passed.saturating_mul(100).checked_div(passed.saturating_add(failed)),
        passed: here(Status::Pass).count(),
        failed: here(Status::Fail).count(),
        unknown: here(Status::Unknown).count(),
        inapplicable: here(Status::Inapplicable).count(),
    }
}
