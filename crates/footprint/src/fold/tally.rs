//! How often, by whom, when, and why not.

use std::collections::BTreeMap;

use claw_ledger::record::{Decision, Process};
use jiff::Timestamp;

use super::{cut, once};
use crate::footprint::{Caller, Evidence, Package};

/// Counts of one kind of thing.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) allowed: u64,
    pub(crate) denied: u64,
    pub(crate) sunk: u64,
    pub(crate) unanswered: u64,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) first: Option<Timestamp>,
    pub(crate) last: Option<Timestamp>,
    pub(crate) phases: Vec<Box<str>>,
    pub(crate) planes: Vec<Box<str>>,
    pub(crate) callers: Vec<Caller>,
    pub(crate) packages: Vec<Package>,
    pub(crate) reasons: BTreeMap<Box<str>, u64>,
    pub(crate) evidence: Vec<Evidence>,
}

/// Which of a tally's callers and packages, if it kept them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Who {
    caller: Option<usize>,
    package: Option<usize>,
}

/// One record, as a tally takes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) evidence: Evidence,
    pub(crate) time: Timestamp,
    pub(crate) process: Option<&'a Process>,
    pub(crate) phase: &'a str,
    pub(crate) plane: Option<&'a str>,
}

impl<'a> Seen<'a> {
    pub(crate) fn within(self, phase: &'a str, plane: Option<&'a str>) -> Seen<'a> {
        Seen { phase, plane, ..self }
    }
}

impl Tally {
    /// Counts it, and says who that was.
    pub(crate) fn add(&mut self, seen: &Seen<'_>, decision: Decision, reason: Option<&str>) -> Who {
        self.count = self.count.saturating_add(1);
        self.first = Some(self.first.map_or(seen.time, |first| first.min(seen.time)));
        self.last = self.last.max(Some(seen.time));
        let decided = match decision {
            Decision::Allow => &mut self.allowed,
            Decision::Deny => &mut self.denied,
            Decision::Sink => &mut self.sunk,
        };
        *decided = decided.saturating_add(1);
        if decision == Decision::Deny {
            self.refused(reason.unwrap_or("other"), 1);
        }
        if !seen.phase.is_empty() {
            once(&mut self.phases, cut(seen.phase, LONGEST), MOST);
        }
        if let Some(plane) = seen.plane {
            once(&mut self.planes, cut(plane, LONGEST), MOST);
        }
        if self.evidence.len() < MOST_EVIDENCE {
            self.evidence.push(seen.evidence);
        }
        seen.process.map(|process| self.called(process)).unwrap_or_default()
    }

    /// The same again, by the same caller: a `repeat` says its reason, or `sink` or `allow`.
    pub(crate) fn again(&mut self, (count, who): (u64, Who), time: Timestamp, reason: Option<&str>) {
        self.count = self.count.saturating_add(count);
        self.last = self.last.max(Some(time));
        match reason {
            None | Some("allow") => self.allowed = self.allowed.saturating_add(count),
            Some("sink") => self.sunk = self.sunk.saturating_add(count),
            Some(reason) => {
                self.denied = self.denied.saturating_add(count);
                self.refused(reason, count);
            }
        }
        if let Some(caller) = who.caller.and_then(|at| self.callers.get_mut(at)) {
            caller.count = caller.count.saturating_add(count);
        }
        if let Some(package) = who.package.and_then(|at| self.packages.get_mut(at)) {
            package.count = package.count.saturating_add(count);
        }
    }

    pub(crate) fn bytes(&mut self, out: u64, back: u64) {
        self.bytes_out = self.bytes_out.saturating_add(out);
        self.bytes_in = self.bytes_in.saturating_add(back);
    }

    fn refused(&mut self, reason: &str, count: u64) {
        let reason = cut(reason, LONGEST);
        if let Some(total) = self.reasons.get_mut(reason) {
            *total = total.saturating_add(count);
        } else if self.reasons.len() < MOST {
            self.reasons.insert(reason.into(), count);
        }
    }

    fn called(&mut self, process: &Process) -> Who {
        let exe = cut(&process.exe, LONGEST_PATH);
        let package = process.package.as_deref().map(|package| cut(package, LONGEST_PATH));
        let caller = self.caller(exe, package, 1);
        let package = process.via.as_deref().and_then(|via| self.package(cut(via, LONGEST_PATH), 1));
        Who { caller, package }
    }

    fn package(&mut self, name: &str, count: u64) -> Option<usize> {
        let known = self.packages.iter().position(|package| package.name == name);
        if let Some(package) = known.and_then(|at| self.packages.get_mut(at)) {
            package.count = package.count.saturating_add(count);
            return known;
        }
        let next = self.packages.len();
        if next >= MOST {
            return None;
        }
        self.packages.push(Package { name: name.to_owned(), count });
        Some(next)
    }

    fn caller(&mut self, exe: &str, package: Option<&str>, count: u64) -> Option<usize> {
        let same = |caller: &Caller| caller.exe == exe && caller.package.as_deref() == package;
        let known = self.callers.iter().position(same);
        if let Some(caller) = known.and_then(|at| self.callers.get_mut(at)) {
            caller.count = caller.count.saturating_add(count);
            return known;
        }
        let next = self.callers.len();
        if next >= MOST {
            return None;
        }
        self.callers.push(Caller { exe: exe.to_owned(), package: package.map(str::to_owned), count });
        Some(next)
    }

    /// Both together.
    pub(crate) fn join(&mut self, other: &Tally) {
        self.count = self.count.saturating_add(other.count);
        self.allowed = self.allowed.saturating_add(other.allowed);
        self.denied = self.denied.saturating_add(other.denied);
        self.sunk = self.sunk.saturating_add(other.sunk);
        self.unanswered = self.unanswered.saturating_add(other.unanswered);
        self.bytes(other.bytes_out, other.bytes_in);
        self.first = match (self.first, other.first) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.last = self.last.max(other.last);
        other.phases.iter().for_each(|phase| once(&mut self.phases, phase, MOST));
        other.planes.iter().for_each(|plane| once(&mut self.planes, plane, MOST));
        for caller in &other.callers {
            self.caller(&caller.exe, caller.package.as_deref(), caller.count);
        }
        for package in &other.packages {
            self.package(&package.name, package.count);
        }
        for (reason, count) in &other.reasons {
            self.refused(reason, *count);
        }
        let room = MOST_EVIDENCE.saturating_sub(self.evidence.len());
        self.evidence.extend(other.evidence.iter().take(room));
    }
}

const MOST: usize = 8;
const MOST_EVIDENCE: usize = 4;
const LONGEST: usize = 64;
const LONGEST_PATH: usize = 256;
