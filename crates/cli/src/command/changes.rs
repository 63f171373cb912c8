//! `claw changes`.

use std::path::{Component, Path, PathBuf};

use claw_ledger::text::word;
use claw_model::shown::is_hidden;
use claw_run::Host;
use claw_run::changes::{
    self, Applied, Change, ChangesError, Choice, Difference, Kept, Kind, Node, Refusal, Shape, text,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::arguments::{Changes, ChangesCommand, ShowChanges};
use crate::environment;
use crate::print::{self, DONE, NO, UNUSABLE};

/// Runs a `changes` command.
pub(crate) fn run(arguments: &Changes) -> u8 {
    let host = match environment::host() {
        Ok(host) => host,
        Err(error) => {
            print::error(&error, Some("the working directory must exist"));
            return UNUSABLE;
        }
    };
    let result = match &arguments.command {
        None => show(&host, &arguments.show),
        Some(ChangesCommand::Apply { run, paths, flagged, overwrite, json }) => {
            let paths = paths.iter().map(|path| absolute(&host.directory, path)).collect();
            let choice = Choice { paths, flagged: *flagged, overwrite: *overwrite };
            apply(&host, run.as_deref(), &choice, *json)
        }
        Some(ChangesCommand::Discard { run, json }) => discard(&host, run.as_deref(), *json),
    };
    result.unwrap_or_else(|code| code)
}

fn show(host: &Host, ShowChanges { run, diff, json }: &ShowChanges) -> Result<u8, u8> {
    let kept = match run {
        Some(run) => changes::open(&host.state, run).map_err(|error| failed(&error))?,
        None => {
            let mut all = changes::kept(&host.state).map_err(|error| failed(&error))?;
            match (all.pop(), all.is_empty()) {
                (Some(only), true) => only,
                (None, _) => {
                    if *json {
                        print_json(&json!({"runs": []}));
                    } else {
                        print::line("no run left changes");
                    }
                    return Ok(DONE);
                }
                (Some(last), false) => {
                    all.push(last);
                    list(&all, *json);
                    return Ok(DONE);
                }
            }
        }
    };
    let found = changes::changes(&kept).map_err(|error| failed(&error))?;
    let worth = found.iter().any(|change| change.flagged.is_some() || change.refused.is_some());
    if *json {
        let each = found.iter().map(|change| one(&kept, change, *diff));
        let each = each.collect::<Result<Vec<Value>, ChangesError>>().map_err(|error| failed(&error))?;
        print_json(&json!({"run": kept.run, "running": kept.is_running(), "changes": each}));
        return Ok(if worth { NO } else { DONE });
    }
    if kept.is_running() {
        print::line(&format!("the run {} goes on: this is how it is now", kept.run));
    }
    for change in &found {
        print::line(&line(change, host));
        if *diff {
            let difference = changes::difference(&kept, change).map_err(|error| failed(&error))?;
            print::line(&differing(change, &difference));
        }
    }
    let flagged = found.iter().filter(|change| change.flagged.is_some()).count();
    let refused = found.iter().filter(|change| change.refused.is_some()).count();
    print::line(&format!("{} changes in {}: {flagged} flagged, {refused} refused", found.len(), kept.run));
    Ok(if worth { NO } else { DONE })
}

fn apply(host: &Host, run: Option<&str>, choice: &Choice, json: bool) -> Result<u8, u8> {
    let kept = only(host, run)?;
    let Applied { done, refused } = changes::apply(&kept, choice).map_err(|error| failed(&error))?;
    let code = if refused.is_empty() { DONE } else { NO };
    if json {
        print_json(&json!({"run": kept.run, "applied": done, "refused": refused}));
        return Ok(code);
    }
    for change in &done {
        print::line(&format!("applied {} {}", letter(change.kind), name(change, host)));
    }
    for change in &refused {
        let why = change.refused.as_ref().map(Refusal::why).unwrap_or_default();
        print::line(&format!("refused {} {}: {}", letter(change.kind), name(change, host), spelled(why)));
    }
    let lifted =
        |code: fn(&Refusal) -> bool| refused.iter().filter_map(|change| change.refused.as_ref()).any(code);
    if lifted(|refusal| matches!(refusal, Refusal::Flagged(_))) {
        print::line("hint: name flagged paths one by one, or give --flagged");
    }
    if lifted(|refusal| matches!(refusal, Refusal::Conflict(_))) {
        print::line("hint: --overwrite applies the agent's over what the host has now");
    }
    print::line(&format!(
        "{} applied, {} refused; `claw changes discard {}` removes what is kept",
        done.len(),
        refused.len(),
        kept.run
    ));
    Ok(code)
}

fn discard(host: &Host, run: Option<&str>, json: bool) -> Result<u8, u8> {
    // what cannot be understood can be discarded by its name
    let run = match run {
        Some(run) => run.to_owned(),
        None => only(host, None)?.run.clone(),
    };
    changes::discard(&host.state, &run).map_err(|error| failed(&error))?;
    if json {
        print_json(&json!({"run": run, "discarded": true}));
    } else {
        print::line(&format!("discarded what {} wrote", word(&run)));
    }
    Ok(DONE)
}

/// The run that is meant: the named one, or the only one that left something.
fn only(host: &Host, run: Option<&str>) -> Result<Kept, u8> {
    if let Some(run) = run {
        return changes::open(&host.state, run).map_err(|error| failed(&error));
    }
    let mut all = changes::kept(&host.state).map_err(|error| failed(&error))?;
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => {
            eprintln!("claw: no run left changes");
            Err(UNUSABLE)
        }
        (Some(last), false) => {
            all.push(last);
            let names: Vec<&str> = all.iter().map(|kept| kept.run.as_str()).collect();
            eprintln!("claw: several runs left changes: {}", names.join(", "));
            eprintln!("hint: name one");
            Err(UNUSABLE)
        }
    }
}

fn list(all: &[Kept], json: bool) {
    let began =
        |kept: &Kept| Timestamp::from_second(kept.seconds()).map(|at| at.to_string()).unwrap_or_default();
    if json {
        let runs = all.iter().map(|kept| {
            let trees: Vec<String> = kept.trees().map(text).collect();
            json!({"run": kept.run, "begun": began(kept), "running": kept.is_running(), "trees": trees})
        });
        print_json(&json!({"runs": runs.collect::<Vec<_>>()}));
        return;
    }
    for kept in all {
        let trees: Vec<String> = kept.trees().map(|tree| word(&text(tree))).collect();
        let running = if kept.is_running() { "  goes on" } else { "" };
        print::line(&format!("{}  {}  {}{running}", began(kept), kept.run, trees.join(" ")));
    }
    print::line("name one: `claw changes RUN`");
}

/// One line: what happened, to what, how large it is, and what a reader must know.
fn line(change: &Change, host: &Host) -> String {
    let mut line = format!("{} {}", letter(change.kind), name(change, host));
    let about = about(change);
    if !about.is_empty() {
        line.push_str(&format!("  ({about})"));
    }
    if let Some(why) = &change.flagged {
        line.push_str(&format!("\n    ! runs code later: {}", spelled(why)));
    }
    if let Some(refusal) = &change.refused {
        line.push_str(&format!("\n    x not applied: {}", spelled(refusal.why())));
    }
    line
}

fn about(change: &Change) -> String {
    let side = |node: &Node| match (&node.shape, &node.target) {
        (Shape::File, _) => format!("{} B", node.size),
        (Shape::Link, Some(target)) => format!("link to {}", word(&text(target))),
        (Shape::Directory, _) if change.kind == Kind::Deleted => format!("{} entries", node.size),
        (shape, _) => shape.word().to_owned(),
    };
    match (&change.was, &change.now, change.kind) {
        (Some(was), Some(now), Kind::Mode) => format!("mode {:03o} to {:03o}", was.mode, now.mode),
        (Some(was), Some(now), _) => {
            let mode = if was.mode == now.mode || now.shape == Shape::Link {
                String::new()
            } else {
                format!(", mode {:03o} to {:03o}", was.mode, now.mode)
            };
            format!("{} to {}{mode}", side(was), side(now))
        }
        (Some(only), None, _) => side(only),
        (None, Some(only), _) if only.mode & 0o111 != 0 && only.shape == Shape::File => {
            format!("{}, executable", side(only))
        }
        (None, Some(only), _) => side(only),
        (None, None, _) => String::new(),
    }
}

fn differing(change: &Change, difference: &Difference) -> String {
    let digest = |node: &Option<Node>| match node {
        Some(Node { shape: Shape::File, size, digest, .. }) => {
            format!("{size} B {}", digest.as_deref().unwrap_or("too large for a digest"))
        }
        Some(node) => node.shape.word().to_owned(),
        None => "nothing".to_owned(),
    };
    match difference {
        Difference::None => String::new(),
        Difference::Binary => {
            format!("    binary: {}\n         to {}", digest(&change.was), digest(&change.now))
        }
        Difference::Lines(lines) => {
            let name = word(&text(&change.path));
            let side = |node: &Option<Node>, side: &str| match node {
                Some(_) => format!("{side}/{name}"),
                None => "/dev/null".to_owned(),
            };
            let head = format!("--- {}\n+++ {}\n", side(&change.was, "a"), side(&change.now, "b"));
            head + spelled(lines).trim_end_matches('\n')
        }
    }
}

fn one(kept: &Kept, change: &Change, diff: bool) -> Result<Value, ChangesError> {
    let mut value = serde_json::to_value(change).unwrap_or_default();
    if diff && let Some(fields) = value.as_object_mut() {
        let difference = match changes::difference(kept, change)? {
            Difference::Lines(lines) => Value::from(lines),
            Difference::Binary | Difference::None => Value::Null,
        };
        fields.insert("diff".to_owned(), difference);
    }
    Ok(value)
}

/// As JSON in which nothing hides: characters that a terminal obeys or does not show are spelled out, also beyond those that
/// JSON itself escapes. They stand in strings alone.
fn print_json(value: &Value) {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) && character != '\n' {
            out.extend(character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(character);
        }
    }
    print::line(&out);
}

/// Foreign text of several lines, with what a terminal obeys or hides spelled out.
fn spelled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) && !matches!(character, '\n' | '\t') {
            out.push_str(&format!("\\u{{{:x}}}", u32::from(character)));
        } else {
            out.push(character);
        }
    }
    out
}

fn letter(kind: Kind) -> char {
    match kind {
        Kind::Added => 'A',
        Kind::Modified => 'M',
        Kind::Mode => 'P',
        Kind::Type => 'T',
        Kind::Deleted => 'D',
    }
}

/// The path as it is given to `apply`: from the working directory where it lies below.
fn name(change: &Change, host: &Host) -> String {
    let place = change.place();
    let directory = claw_run::resolved(&host.directory);
    let shown = place.strip_prefix(&directory).unwrap_or(&place);
    let node = change.now.as_ref().or(change.was.as_ref());
    let slash = if node.is_some_and(|node| node.shape == Shape::Directory) { "/" } else { "" };
    format!("{}{slash}", word(&text(shown)))
}

/// A path as it is written, from the working directory, without `.` and `..`; nothing is looked at but where that really is.
fn absolute(directory: &Path, path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in claw_run::resolved(directory).join(path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            _ => {}
        }
    }
    clean
}

fn failed(error: &ChangesError) -> u8 {
    print::error(error, error.hint());
    UNUSABLE
}
