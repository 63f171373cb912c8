//! Every check, by area, and what several of them share.

mod accounts;
mod disks;
mod kernel;
mod management;
mod network;
mod operations;
mod privilege;
mod runtime;
mod ssh;

pub(crate) use operations::{container, machine};

use crate::check::{Check, Verdict};
use crate::facts::{Facts, Node};
use crate::read::Read;

/// Every check, in the order of reports.
pub fn all() -> impl Iterator<Item = &'static Check> {
    [
        ssh::CHECKS,
        management::CHECKS,
        runtime::CHECKS,
        privilege::CHECKS,
        kernel::CHECKS,
        network::CHECKS,
        disks::CHECKS,
        accounts::CHECKS,
        operations::CHECKS,
    ]
    .into_iter()
    .flatten()
}

/// Judges a file that holds one number. A kernel without the file is unknown, for the reason given.
fn number(facts: &Facts, path: &str, good: fn(i64) -> bool, absent: &str) -> Verdict {
    number_or(facts, path, good, Verdict::Unknown(format!("{} is not on this kernel: {absent}", key(path))))
}

/// The same with another answer where there is no such file.
fn number_or(facts: &Facts, path: &str, good: fn(i64) -> bool, absent: Verdict) -> Verdict {
    let name = key(path);
    match facts.line(path) {
        Read::Known(text) => match text.parse::<i64>() {
            Ok(value) if good(value) => Verdict::Pass(format!("{name} = {value}")),
            Ok(value) => Verdict::fail(format!("{name} = {value}")),
            Err(_) => Verdict::Unknown(format!("{name} holds no number")),
        },
        Read::Absent => absent,
        Read::Unknown(why) => Verdict::Unknown(format!("{name}: {why}")),
    }
}

/// A file below `/proc/sys` by the name that sysctl(8) gives it.
fn key(path: &str) -> String {
    path.strip_prefix("/proc/sys/").map_or_else(|| path.to_owned(), |key| key.replace('/', "."))
}

/// Fails with the list if there is something on it; else passes with a word about what was looked at.
fn none(found: &[String], looked: impl Into<String>) -> Verdict {
    if found.is_empty() { Verdict::Pass(looked.into()) } else { Verdict::fail(some(found)) }
}

/// The same where not everything could be looked at: nothing found is then no pass.
fn none_of(found: &[String], missed: &[String], looked: impl Into<String>) -> Verdict {
    match (found.is_empty(), missed.is_empty()) {
        (true, false) => Verdict::Unknown(some(missed)),
        (false, false) => {
            Verdict::fail(format!("{}; not everything was read: {}", some(found), some(missed)))
        }
        _ => none(found, looked),
    }
}

/// The first of a list, and how many more.
fn some(list: &[String]) -> String {
    const SHOWN: usize = 6;
    let first = list.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match list.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{first} and {more} more"),
        _ => first,
    }
}

/// Judges files by their rights: those that are bad are named; absent ones say nothing.
fn nodes<'a>(
    all: impl Iterator<Item = (&'a str, &'a Read<Node>)>,
    bad: impl Fn(&Node) -> bool,
    nothing: &str,
) -> Verdict {
    let (mut found, mut missed, mut seen) = (Vec::new(), Vec::new(), 0usize);
    for (path, node) in all {
        match node {
            Read::Known(node) if bad(node) => found.push(format!("{path} ({})", node.show())),
            Read::Known(_) => seen = seen.saturating_add(1),
            Read::Unknown(why) => missed.push(format!("{path}: {why}")),
            Read::Absent => {}
        }
    }
    if found.is_empty() && missed.is_empty() && seen == 0 {
        return Verdict::Inapplicable(nothing.to_owned());
    }
    none_of(&found, &missed, format!("{seen} looked at"))
}
