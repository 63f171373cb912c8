//! Writing what was imported: rules of ours, those that cannot stand as comments, and the losses.

use std::collections::BTreeSet;

use claw_model::plane::Plane;

use super::tree::{Node, Value};
use super::{Format, Imported, Loss};
use crate::policy::Policy;
use crate::raw::Extra;
use crate::rule::RuleList;

/// The rules and losses of one source.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(super) entries: Vec<Entry>,
    pub(super) losses: Vec<Loss>,
    /// The file of a system call profile.
    pub(super) seccomp: Option<String>,
    /// What is visible inside: readable and writable trees.
    pub(super) files: Option<(Vec<String>, Vec<String>)>,
}

/// One rule to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The line of the source.
    pub(super) line: u32,
    pub(super) list: RuleList,
    /// The source's own spelling, and ports.
    pub(super) destination: String,
    pub(super) plane: Plane,
    pub(super) purpose: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) required: Option<String>,
    /// Only these requests: `METHOD /path`.
    pub(super) http: Vec<String>,
    /// Why it cannot stand, once that is known.
    pub(super) refused: Option<String>,
}

impl Entry {
    pub(super) fn new(line: u32, destination: String, protocol: Option<&str>) -> Entry {
        Entry {
            line,
            list: RuleList::Workload,
            destination,
            plane: Plane::Workload,
            purpose: None,
            protocol: protocol.map(str::to_owned),
            required: None,
            http: Vec::new(),
            refused: None,
        }
    }

    fn lines(&self) -> String {
        let mut text = format!("- destination: {}\n", scalar(&self.destination));
        let mut field = |key: &str, value: &str| text.push_str(&format!("  {key}: {value}\n"));
        if self.list != RuleList::Deny {
            field("plane", self.plane.as_str());
        }
        field("purpose", &scalar(self.purpose.as_deref().unwrap_or("imported: fill in")));
        if let Some(protocol) = &self.protocol {
            field("protocol", &scalar(protocol));
        }
        if let Some(required) = &self.required {
            field("required", &scalar(required));
        }
        if !self.http.is_empty() {
            let requests: Vec<String> = self.http.iter().map(|request| scalar(request)).collect();
            field("http", &format!("[{}]", requests.join(", ")));
        }
        text
    }
}

impl Draft {
    pub(super) fn lose(&mut self, line: u32, what: impl Into<String>) {
        self.losses.push(Loss::left_out(line, what));
    }

    /// Every key of the source that nobody here reads is a loss.
    pub(super) fn lose_extra(&mut self, extra: &[Extra], known: &[&str]) {
        for Extra { key, value } in extra.iter().filter(|extra| !known.contains(&extra.key.as_str())) {
            self.lose(value.line, format!("`{}` is not carried over", key.escape_debug()));
        }
    }

    /// Every key of a mapping that is not among these is a loss.
    pub(super) fn only(&mut self, node: &Node, known: &[&str]) {
        let Value::Map(entries) = &node.value else { return };
        for (key, value) in entries.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            self.lose(value.line(), format!("`{}` is not carried over", key.escape_debug()));
        }
    }

    /// A rule that is written as a comment, with why.
    pub(super) fn refuse(&mut self, entry: Entry, why: impl Into<String>) {
        self.entries.push(Entry { refused: Some(why.into()), ..entry });
    }

    /// Writes the policy, and turns into comments whatever our own parser refuses, until it refuses nothing.
    pub(super) fn write(mut self, name: &str, format: Format) -> Imported {
        let mut seen = BTreeSet::new();
        self.entries.retain(|entry| seen.insert((entry.list, entry.lines())));
        // Alone first: a rule that is wrong alone would hide what is wrong between rules.
        for entry in self.entries.iter_mut().filter(|entry| entry.refused.is_none()) {
            let alone = print(std::slice::from_ref(entry), name, format);
            entry.refused = Policy::parse(&alone.0, name).err().map(|error| first(&error));
        }
        let mut yaml = loop {
            let (yaml, starts) = print(&self.entries, name, format);
            let Err(error) = Policy::parse(&yaml, name) else { break yaml };
            // The lists are printed one after the other, so a later entry may stand on an earlier line.
            let entry_at = |line: u32| {
                let begun =
                    starts.iter().enumerate().filter(|(_, start)| start.is_some_and(|start| start <= line));
                begun.max_by_key(|(_, start)| **start).map(|(at, _)| at)
            };
            let problems = error.problems().iter();
            let hits: BTreeSet<usize> = problems.filter_map(|problem| entry_at(problem.line())).collect();
            // Each turn comments out at least one more rule, so this ends.
            for (at, entry) in self.entries.iter_mut().enumerate() {
                if hits.is_empty() || hits.contains(&at) {
                    entry.refused.get_or_insert_with(|| first(&error));
                }
            }
        };
        let refused = self.entries.iter().filter_map(|entry| {
            let why = entry.refused.as_ref()?;
            let what = format!("`{}` is commented out: {why}", entry.destination.escape_debug());
            Some(Loss::left_out(entry.line, what))
        });
        let mut losses: Vec<Loss> = refused.collect();
        losses.append(&mut self.losses);
        losses.sort_by_key(|loss| loss.line);
        let tail = self.tail();
        if Policy::parse(&format!("{yaml}{tail}"), name).is_ok() {
            yaml.push_str(&tail);
        } else {
            losses.push(Loss::left_out(
                1,
                "what is said of files and system calls cannot stand in a policy: left out",
            ));
        }
        Imported { yaml, losses }
    }
}

impl Draft {
    /// What stands below the rules.
    fn tail(&self) -> String {
        let mut text = String::new();
        if let Some((read, write)) = &self.files {
            let list =
                |paths: &[String]| paths.iter().map(|path| scalar(path)).collect::<Vec<_>>().join(", ");
            text.push_str(&format!("filesystem:\n  read: [{}]\n  write: [{}]\n", list(read), list(write)));
        }
        if let Some(file) = &self.seccomp {
            text.push_str(&format!("process:\n  seccomp: {}\n", scalar(file)));
        }
        text
    }
}

fn first(error: &crate::error::PolicyError) -> String {
    error.problems().first().map(|problem| problem.message().to_owned()).unwrap_or_default()
}

/// The file, and the line each rule that stands begins on.
fn print(entries: &[Entry], name: &str, format: Format) -> (String, Vec<Option<u32>>) {
    let mut text = format!("# imported from {} ({format})\nversion: 1\n", name.escape_debug());
    let mut starts: Vec<Option<u32>> = vec![None; entries.len()];
    if format == Format::Seccomp {
        text.push_str("# add this to the policy of the agent\n");
    } else if entries.is_empty() {
        text.push_str("# nothing is open: the source permits nothing\n");
    } else if !entries.iter().any(|entry| entry.refused.is_none()) {
        text.push_str("# nothing is open: no imported rule can stand as it was written\n");
    } else {
        text.push_str("network_policy:\n");
    }
    for list in [RuleList::Bootstrap, RuleList::Workload, RuleList::Deny] {
        let stands = entries.iter().any(|entry| entry.list == list && entry.refused.is_none());
        if stands {
            text.push_str(&format!("  {}:\n", list.as_str()));
        }
        for (entry, start) in entries.iter().zip(&mut starts).filter(|(entry, _)| entry.list == list) {
            let lead = match &entry.refused {
                Some(why) => {
                    text.push_str(&format!("    # refused: {}\n", why.escape_debug()));
                    "    # "
                }
                None => {
                    *start = u32::try_from(text.lines().count() + 1).ok();
                    "    "
                }
            };
            entry.lines().lines().for_each(|line| text.push_str(&format!("{lead}{line}\n")));
        }
    }
    (text, starts)
}

/// A plain scalar where nothing in it means something to YAML, else a quoted one.
pub(crate) fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "./-,_@()".contains(c);
    let inner = |c: char| plain(c) || c == ' ' || c == ':';
    let starts =
        text.starts_with(|c: char| c.is_ascii_alphabetic() || (c.is_ascii_digit() && text.contains('.')));
    let colon = text.contains(": ") || text.ends_with([':', ' ']) || text.contains(" #");
    let word =
        ["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    if starts && !colon && !word && text.chars().all(inner) {
        return text.to_owned();
    }
    // A JSON string is a YAML double-quoted scalar, once what cannot be seen is escaped too.
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            c if c.is_alphanumeric() => quoted.push(c),
            c => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}
