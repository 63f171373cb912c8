//! Writing rules, and what stands around them, as a policy file.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::Conflict;
use crate::diff::limits;
use crate::error::Problem;
use crate::executables::{Changed, Exec};
use crate::policy::{Filesystem, Policy, Process, Root, Seccomp};
use crate::rule::{FlowLimits, Rule, RuleList, Travel};

/// The file, and where each of its rules comes from.
pub(super) struct Written {
    pub(super) yaml: String,
    /// The line a rule begins on, and its places.
    origins: Vec<(u32, String)>,
}

impl Written {
    /// Where the rule on this line comes from.
    pub(super) fn origin(&self, line: u32) -> String {
        let at = self.origins.partition_point(|(begins, _)| *begins <= line);
        let found = at.checked_sub(1).and_then(|at| self.origins.get(at));
        found.map_or_else(|| format!("line {line} of the result"), |(_, places)| places.clone())
    }

    /// What is wrong with the result, in words of the sides.
    pub(super) fn conflict(&self, problem: &Problem) -> Conflict {
        let mut lines: Vec<u32> = problem.places().map(|(line, _)| line).collect();
        let places = lines.iter().map(|line| self.origin(*line)).collect();
        lines.sort_unstable();
        let lead = match lines.as_slice() {
            [one, other] => format!("lines {one} and {other} "),
            _ => String::new(),
        };
        let what = problem.message();
        let what = what.strip_prefix(&lead).filter(|_| !lead.is_empty()).map(|rest| format!("they {rest}"));
        Conflict { places, what: what.unwrap_or_else(|| problem.message().to_owned()) }
    }
}

/// A rule that stands in the result, and all that say the same.
struct Entry<'a> {
    rule: &'a Arc<Rule>,
    same: Vec<&'a Arc<Rule>>,
}

/// Writes all rules of all sides, each once.
pub(super) fn write(policies: &[&Policy]) -> Result<Written, Vec<Conflict>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut seen = std::collections::HashMap::new();
    for rule in policies.iter().flat_map(|policy| policy.rules()) {
        let place = *seen.entry((rule.list, body(rule, None))).or_insert_with(|| {
            entries.push(Entry { rule, same: Vec::new() });
            entries.len() - 1
        });
        if let Some(entry) = entries.get_mut(place) {
            entry.same.push(rule);
        }
    }
    let mut written = Written { yaml: String::new(), origins: Vec::new() };
    let names: Vec<String> = policies.iter().map(|policy| policy.name().escape_debug().to_string()).collect();
    let _ = writeln!(written.yaml, "# merged from {}\nversion: 1", names.join(", "));
    let owner = around(policies, &mut written.yaml)?;
    if entries.iter().any(|entry| entry.rule.list != RuleList::Never) {
        written.yaml.push_str("network_policy:\n");
    }
    for list in [RuleList::Bootstrap, RuleList::Workload, RuleList::Deny, RuleList::Never] {
        let own = || entries.iter().filter(|entry| entry.rule.list == list);
        if own().next().is_none() {
            continue;
        }
        let indent = if list == RuleList::Never { "" } else { "  " };
        let _ = writeln!(written.yaml, "{indent}{}:", list.as_str());
        own().for_each(|entry| entry.write(&format!("{indent}  "), owner.as_deref(), &mut written));
    }
    Ok(written)
}

impl Entry<'_> {
    fn write(&self, indent: &str, owner: Option<&str>, written: &mut Written) {
        let places: Vec<String> = self.same.iter().map(|rule| rule.location()).collect();
        let places = places.join(", ");
        let _ = writeln!(written.yaml, "{indent}# {}", places.escape_debug());
        for other in self.same.iter().filter(|other| other.purpose != self.rule.purpose) {
            let _ = writeln!(
                written.yaml,
                "{indent}# {}: {}",
                other.location().escape_debug(),
                other.purpose.escape_debug()
            );
        }
        let line = written.yaml.bytes().filter(|byte| *byte == b'\n').count() + 1;
        written.origins.push((u32::try_from(line).unwrap_or(u32::MAX), places));
        let told = |text: &Option<Box<str>>| text.as_deref().map(quoted);
        let mut fields = body(self.rule, Some(&self.rule.purpose));
        let own = self.rule.owner.as_deref().filter(|own| Some(*own) != owner);
        fields.extend(own.map(|own| ("owner", quoted(own))));
        fields.extend(told(&self.rule.ticket).map(|text| ("ticket", text)));
        fields.extend(told(&self.rule.required).map(|text| ("required", text)));
        for (at, (key, value)) in fields.iter().enumerate() {
            let lead = if at == 0 { "- " } else { "  " };
            let _ = writeln!(written.yaml, "{indent}{lead}{key}: {value}");
        }
    }
}

/// What is enforced of a rule, as keys and values.
fn body(rule: &Rule, purpose: Option<&str>) -> Vec<(&'static str, String)> {
    let mut fields = vec![("destination", quoted(&rule.destination.to_string()))];
    fields.extend(rule.plane.map(|plane| ("plane", plane.to_string())));
    fields.extend(purpose.filter(|purpose| !purpose.is_empty()).map(|purpose| ("purpose", quoted(purpose))));
    fields.extend(rule.protocol.map(|protocol| ("protocol", protocol.to_string())));
    let list = |items: Vec<String>| format!("[{}]", items.join(", "));
    if let Some(addresses) = &rule.addresses {
        fields.push((
            "addresses",
            list(addresses.iter().map(|address| quoted(&address.to_string())).collect()),
        ));
    }
    if rule.private {
        fields.push(("private", "allow".to_owned()));
    }
    if let Some(requests) = &rule.http {
        fields.push(("http", list(requests.iter().map(|request| quoted(&request.to_string())).collect())));
    }
    if rule.limits != FlowLimits::default() {
        fields.push(("limits", format!("{{{}}}", limits(&rule.limits))));
    }
    fields.extend(rule.upstream_ca.as_ref().map(|path| ("upstream_ca", shown(path))));
    if rule.travel == Travel::Brokered {
        fields.push(("path", "brokered".to_owned()));
    }
    fields.extend(rule.expires.map(|expiry| ("expires", expiry.date.to_string())));
    fields
}

/// What stands around the rules: what every side that speaks of it says. The owner that all share is returned.
fn around(policies: &[&Policy], yaml: &mut String) -> Result<Option<String>, Vec<Conflict>> {
    let mut conflicts = Vec::new();
    let mut same = |key: &str, said: Vec<(&Policy, String)>| -> Option<String> {
        let (first, text) = said.first()?;
        if let Some((other, _)) = said.iter().find(|(_, other)| other != text) {
            let places = vec![first.name().to_owned(), other.name().to_owned()];
            conflicts.push(Conflict { places, what: format!("they say different things about `{key}`") });
        }
        Some(text.clone())
    };
    let each = |say: &dyn Fn(&Policy) -> Option<String>| -> Vec<(&Policy, String)> {
        policies.iter().filter_map(|policy| Some((*policy, say(policy)?))).collect()
    };
    let trusted = same("upstream_ca", each(&|policy| policy.upstream_ca().map(shown)));
    let filesystem = same("filesystem", each(&|policy| policy.filesystem().map(|_| filesystem(policy))));
    let process = same("process", each(&|policy| process(policy.process())));
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    // names are for people: those that differ are left out, and an owner is written beside each rule
    let shared = |all: Vec<Option<&str>>| -> Option<String> {
        let first = all.first().copied().flatten()?;
        all.iter().all(|own| *own == Some(first)).then(|| first.to_owned())
    };
    let agent = shared(policies.iter().map(|policy| policy.agent()).collect());
    let owner = shared(policies.iter().map(|policy| policy.owner()).collect());
    for ceiling in policies.iter().filter_map(|policy| policy.ceiling()) {
        let name = ceiling.name().escape_debug().to_string();
        let _ = writeln!(yaml, "# within the ceiling {name}: name it again, from where this file stands");
    }
    let fields = [
        ("agent", agent.as_deref().map(quoted)),
        ("owner", owner.as_deref().map(quoted)),
        ("upstream_ca", trusted),
        ("filesystem", filesystem),
        ("process", process),
    ];
    for (key, value) in fields {
        if let Some(value) = value {
            let _ = writeln!(yaml, "{key}: {value}");
        }
    }
    Ok(owner)
}

fn filesystem(policy: &Policy) -> String {
    let paths =
        |paths: &[std::path::PathBuf]| paths.iter().map(|path| shown(path)).collect::<Vec<_>>().join(", ");
    // each field by its name: one that is added does not compile until it is kept here
    let Some(Filesystem { read, write, review, protect, root }) = policy.filesystem() else {
        return "{}".to_owned();
    };
    let mut fields: Vec<String> = read
        .iter()
        .map(|read| format!("read: [{}]", paths(read)))
        .chain([format!("write: [{}]", paths(write))])
        .collect();
    if !review.is_empty() {
        fields.push(format!("review: [{}]", paths(review)));
    }
    if !protect.is_none() {
        let names: Vec<String> = protect.words().iter().map(|name| quoted(name)).collect();
        fields.push(format!("protect: [{}]", names.join(", ")));
    }
    if let Some(Root { layout, digest }) = root {
        fields.push(format!("root: {{oci: {}, digest: {}}}", shown(layout), quoted(&digest.to_string())));
    }
    format!("{{{}}}", fields.join(", "))
}

/// `None` where nothing is said that is not so anyway.
fn process(process: &Process) -> Option<String> {
    if *process == Process::default() {
        return None;
    }
    let mut fields = Vec::new();
    match &process.seccomp {
        Seccomp::Standard => {}
        Seccomp::Nano => fields.push("seccomp: nano".to_owned()),
        Seccomp::File(path) => fields.push(format!("seccomp: {}", shown(path))),
    }
    if let Exec::Listed(listed) = &process.exec {
        let digests = listed.digests.iter().map(|entry| {
            let path = entry.path.as_ref().map(|path| format!(" {}", path.display())).unwrap_or_default();
            quoted(&format!("{}{path}", entry.digest))
        });
        let mut parts = Vec::new();
        if !listed.digests.is_empty() {
            parts.push(format!("digests: [{}]", digests.collect::<Vec<_>>().join(", ")));
        }
        parts.extend(listed.file.as_ref().map(|file| format!("file: {}", shown(file))));
        if listed.changed == Changed::End {
            parts.push("changed: end".to_owned());
        }
        fields.push(format!("exec: {{listed: {{{}}}}}", parts.join(", ")));
    }
    let held = &process.limits;
    let parts = [
        held.memory.map(|memory| format!("memory: {memory}")),
        held.pids.map(|pids| format!("pids: {pids}")),
        held.cpu.map(|cpu| format!("cpu: {cpu}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if !parts.is_empty() {
        fields.push(format!("limits: {{{}}}", parts.join(", ")));
    }
    let pass: Vec<String> = process.env.pass.iter().map(|name| quoted(name)).collect();
    let set: Vec<String> =
        process.env.set.iter().map(|(name, value)| format!("{}: {}", quoted(name), quoted(value))).collect();
    if !pass.is_empty() || !set.is_empty() {
        fields.push(format!("env: {{pass: [{}], set: {{{}}}}}", pass.join(", "), set.join(", ")));
    }
    Some(format!("{{{}}}", fields.join(", ")))
}

fn shown(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// A double-quoted scalar, in which nothing is hidden.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            c if c.is_alphanumeric() => quoted.push(c),
            c => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}
