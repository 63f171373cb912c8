//! Writing the suggested policy, and reading it back.

use std::collections::BTreeMap;

use claw_model::phase::Phase;
use claw_model::shown::is_hidden;
use claw_policy::Policy;

use super::{Draft, Form, LeftOut, Wanted};
use crate::catalog::{Class, SwitchKind, Verified};
use crate::footprint::{Evidence, Flow, Footprint};

/// A policy that permits what was observed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Suggestion {
    /// The file, which the policy's own parser takes.
    pub yaml: String,
    /// How many rules it has.
    pub rules: usize,
    /// What is in none of them.
    pub left_out: Vec<LeftOut>,
}

/// Writes the file, and turns into comments whatever the parser refuses, until it refuses nothing.
pub(super) fn write(
    footprint: &Footprint,
    wanted: Wanted,
    mut drafts: Vec<Draft>,
    mut left_out: Vec<LeftOut>,
) -> Suggestion {
    drafts.sort_by(|one, other| {
        let key = |draft: &Draft| (draft.phase, draft.plane.map_or(u8::MAX, |plane| plane as u8));
        key(one).cmp(&key(other)).then_with(|| one.destination.cmp(&other.destination))
    });
    for draft in &mut drafts {
        let alone = print(footprint, wanted, std::slice::from_ref(draft), &[]).0;
        draft.refused = Policy::parse(&alone, "suggested").err().map(|error| first(&error));
    }
    loop {
        let (text, starts) = print(footprint, wanted, &drafts, &left_out);
        let Err(error) = Policy::parse(&text, "suggested") else { break };
        let at = |line: u32| {
            let begun =
                starts.iter().enumerate().filter(|(_, start)| start.is_some_and(|start| start <= line));
            begun.max_by_key(|(_, start)| **start).map(|(at, _)| at)
        };
        let hits: Vec<usize> = error.problems().iter().filter_map(|problem| at(problem.line())).collect();
        // each turn takes out at least one more rule, so this ends
        let mut progress = false;
        for (place, draft) in drafts.iter_mut().enumerate() {
            if draft.refused.is_none() && (hits.is_empty() || hits.contains(&place)) {
                draft.refused = Some(first(&error));
                progress = true;
            }
        }
        if !progress {
            break;
        }
    }
    for draft in drafts.iter().filter(|draft| draft.refused.is_some()) {
        let why = draft.refused.clone().unwrap_or_default();
        left_out.push(LeftOut { what: draft.destination.clone(), why });
    }
    drafts.retain(|draft| draft.refused.is_none());
    left_out.sort();
    left_out.dedup();
    let rules = drafts.len();
    let yaml = print(footprint, wanted, &drafts, &left_out).0;
    Suggestion { yaml, rules, left_out }
}

fn first(error: &claw_policy::PolicyError) -> String {
    error.problems().first().map(|problem| problem.message().to_owned()).unwrap_or_default()
}

/// The file, and the line each rule that stands begins on.
fn print(
    footprint: &Footprint,
    wanted: Wanted,
    drafts: &[Draft],
    left_out: &[LeftOut],
) -> (String, Vec<Option<u32>>) {
    let mut page = Page { text: String::new(), line: 1 };
    let mut starts = vec![None; drafts.len()];
    if wanted.form == Form::Policy {
        head(&mut page, footprint);
        page.add("version: 1");
    }
    let stands = |phase: Phase| drafts.iter().any(|draft| draft.phase == phase && draft.refused.is_none());
    match stands(Phase::Bootstrap) || stands(Phase::Workload) {
        true => page.add("network_policy:"),
        false => page.add("# nothing is open: no rule is needed, or none can stand"),
    }
    for phase in [Phase::Bootstrap, Phase::Workload].into_iter().filter(|phase| stands(*phase)) {
        page.add(&format!("  {phase}:"));
        let mut plane = None;
        for (draft, start) in drafts.iter().zip(&mut starts) {
            if draft.phase != phase || draft.refused.is_some() {
                continue;
            }
            if plane != Some(draft.plane) {
                plane = Some(draft.plane);
                let name = draft.plane.map_or("plane not known: fill in", |plane| plane.as_str());
                page.add(&format!("    # --- {name} ---"));
            }
            *start = Some(page.line);
            rule(&mut page, draft);
        }
    }
    if wanted.form == Form::Policy {
        switches(&mut page, footprint, wanted);
    }
    if !left_out.is_empty() {
        page.add("# Left out:");
        for LeftOut { what, why } in left_out {
            page.add(&format!("# - {}: {}", shown(what), shown(why)));
        }
    }
    (page.text, starts)
}

/// Lines, counted.
struct Page {
    text: String,
    line: u32,
}

impl Page {
    fn add(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        self.line = self.line.saturating_add(1);
    }
}

fn head(page: &mut Page, footprint: &Footprint) {
    page.add("# Suggested by `claw footprint suggest`: what was observed, and nothing else.");
    page.add("# Read every rule, fill in its purpose, and give it an owner and a date before you use it.");
    for (number, run) in (1..).zip(&footprint.runs) {
        let command = run.command.join(" ");
        page.add(&format!(
            "# run {number}: {} ({}), {} records of {}",
            shown(&command),
            shown(&run.mode),
            run.records,
            shown(&run.ledger)
        ));
    }
    for stamp in &footprint.stamps {
        page.add(&format!("# {}: {}", shown(&stamp.code).to_uppercase(), shown(&stamp.text)));
    }
}

fn rule(page: &mut Page, draft: &Draft) {
    page.add(&format!("    - destination: {}", quoted(&draft.destination)));
    for comment in &draft.comments {
        page.add(&format!("      # {}", shown(comment)));
    }
    match draft.plane {
        Some(plane) => page.add(&format!("      plane: {plane}")),
        None => page.add("      plane: workload  # FILL IN: the plane is not known"),
    }
    page.add(&format!("      purpose: {}", quoted(&draft.purpose)));
    if let Some(protocol) = draft.protocol {
        page.add(&format!("      protocol: {protocol}"));
    }
    if !draft.http.is_empty() {
        page.add("      http:");
        draft.http.iter().for_each(|request| page.add(&format!("        - {}", quoted(request))));
    }
}

/// What turns off the telemetry that was seen: the environment's part as lines, the rest as comments.
fn switches(page: &mut Page, footprint: &Footprint, wanted: Wanted) {
    let mut set: BTreeMap<&str, (&str, Verified)> = BTreeMap::new();
    let mut options = Vec::new();
    let out = footprint.flows.iter().filter(|flow| flow.class == Class::Telemetry);
    for switch in out.filter(|flow| !super::is_wanted(flow, wanted)).flat_map(|flow| &flow.switches) {
        match (switch.kind, switch.text.split_once('=')) {
            _ if switch.verified == Verified::Fails => {}
            (SwitchKind::Environment, Some((name, value))) if crate::catalog::is_assignment(&switch.text) => {
                set.entry(name).or_insert((value, switch.verified));
            }
            _ => options.push(&switch.text),
        }
    }
    if !set.is_empty() {
        page.add("process:");
        page.add("  env:");
        page.add("    set:  # turns off telemetry that was seen");
        for (name, (value, verified)) in set {
            let tried = if verified == Verified::Works { "tried, works" } else { "not tried" };
            page.add(&format!("      {name}: {}  # {tried}", quoted(value)));
        }
    }
    options.sort();
    options.dedup();
    for option in options {
        page.add(&format!("# in the program's own configuration: {}", shown(option)));
    }
}

/// `3 requests, 120 B out by python3 agent.py; run 1, records 4, 5`.
pub(super) fn evidence(footprint: &Footprint, flow: &Flow) -> String {
    let what = if flow.requests.is_empty() { "connections" } else { "requests" };
    let by = flow.processes.iter().take(3).map(|caller| {
        let exe = caller.exe.rsplit('/').next().unwrap_or(&caller.exe);
        let package = caller.package.as_ref().map(|package| format!(" {package}")).unwrap_or_default();
        format!("{exe}{package}")
    });
    let by: Vec<String> = by.collect();
    let by = if by.is_empty() { String::new() } else { format!(" by {}", by.join(", ")) };
    let refused = if flow.denied > 0 { format!(", {} of them refused", flow.denied) } else { String::new() };
    let records = records(footprint, &flow.evidence);
    format!("{} {what}{refused}, {} B out{by}; {records}", flow.count, flow.bytes_out)
}

fn records(footprint: &Footprint, evidence: &[Evidence]) -> String {
    let several = footprint.runs.len() > 1;
    let one = |evidence: &Evidence| match several {
        true => format!("{} of run {}", evidence.seq, evidence.run),
        false => evidence.seq.to_string(),
    };
    let list: Vec<String> = evidence.iter().map(one).collect();
    format!("records {}{}", list.join(", "), if list.len() >= 4 { ", …" } else { "" })
}

/// Text for a comment: one line, and nothing that moves, reorders or hides text.
pub(crate) fn shown(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars().take(300) {
        match is_hidden(character) {
            true => line.push_str(&format!("\\u{{{:x}}}", u32::from(character))),
            false => line.push(character),
        }
    }
    line
}

/// A double-quoted scalar: nothing in it means something to YAML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            character if character.is_alphanumeric() => quoted.push(character),
            character => quoted.push_str(&format!("\\U{:08X}", u32::from(character))),
        }
    }
    quoted.push('"');
    quoted
}
