//! `claw policy diff`.

use std::path::Path;

use claw_model::phase::Phase;
use claw_policy::Policy;
use claw_policy::diff::{Diff, Difference, Kind, diff};
use claw_policy::import::Format;
use jiff::Timestamp;

use super::import::{imported, losses};
use super::parse;
use crate::arguments::DiffFailOn;
use crate::command::run::read;
use crate::print::{self, DONE, NO, UNUSABLE};

/// What is compared, and how.
pub(super) struct Question<'a> {
    pub(super) old: &'a Path,
    pub(super) new: &'a Path,
    pub(super) format: Option<Format>,
    pub(super) phase: Option<Phase>,
    pub(super) fail_on: DiffFailOn,
    pub(super) json: bool,
}

/// Compares two policies.
pub(super) fn run(question: &Question<'_>) -> Result<u8, u8> {
    let old = parse(&read(question.old)?, question.old)?;
    let new = other(question)?;
    let phases = question.phase.map_or(Phase::ALL.to_vec(), |phase| vec![phase]);
    let found = diff(&old, &new, &phases, Timestamp::now()).map_err(|error| {
        print::error(&error, Some("name fewer requests in one rule, or use `**`"));
        UNUSABLE
    })?;
    match question.json {
        true => document(&found, &old, &new),
        false => lines(&found),
    }
    let fails = match question.fail_on {
        DiffFailOn::New => found.opens(),
        DiffFailOn::Widened => found.widens() || !found.promises_gone.is_empty(),
        DiffFailOn::Changed => !found.is_empty() || !found.promises_gone.is_empty(),
    };
    Ok(if fails { NO } else { DONE })
}

/// The second side: a policy, or something that is really deployed, as far as a policy can say it.
fn other(question: &Question<'_>) -> Result<Policy, u8> {
    let file = question.new;
    let Some(format) = question.format else { return parse(&read(file)?, file) };
    let imported = imported(format, file)?;
    losses(&imported.losses, false, file);
    // lines are those of the import, which is not on any disk
    let name = format!("{} (imported)", file.display());
    Policy::parse(&imported.yaml, &name).map_err(|error| {
        print::diagnostic(&error);
        UNUSABLE
    })
}

fn document(found: &Diff, old: &Policy, new: &Policy) {
    let side =
        |policy: &Policy| serde_json::json!({"file": policy.name(), "digest": policy.digest().to_string()});
    print::json(&serde_json::json!({
        "policies": {"old": side(old), "new": side(new)},
        "opens": found.opens(),
        "widens": found.widens(),
        "new": found.new,
        "gone": found.gone,
        "changed": found.changed,
        "promises_gone": found.promises_gone,
    }));
}

fn lines(found: &Diff) {
    found.all().for_each(tell);
    for promise in &found.promises_gone {
        let text = format!(
            "! the promise of {} is taken back: never `{}` on plane {}",
            promise.rule, promise.destination, promise.plane
        );
        print::line(&print::plain(&text));
    }
    if found.is_empty() {
        print::line("no difference in what can be reached");
        return;
    }
    let (new, gone, changed) = (found.new.len(), found.gone.len(), found.changed.len());
    print::line(&format!("{new} newly reachable, {gone} no longer reachable, {changed} on other terms"));
}

/// One difference, in a few lines.
pub(super) fn tell(difference: &Difference) {
    let Difference { kind, destination, phase, transport, witness, old, new, .. } = difference;
    let (sign, word) = match kind {
        Kind::New => ("+", "new"),
        Kind::Gone => ("-", "gone"),
        Kind::Changed => ("~", "changed"),
    };
    let from = difference.from.map(|from| format!(", from {from} on")).unwrap_or_default();
    let mut text = format!("{sign} {word}: {destination} ({phase}, {transport}{from})\n");
    let shortened = |all: Vec<String>| {
        let more = all.len().saturating_sub(SHOWN);
        let shown = all.into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
        if more > 0 { format!("{shown} and {more} more") } else { shown }
    };
    if !difference.except.is_empty() {
        let except = difference.except.iter().map(ToString::to_string).collect();
        text.push_str(&format!("    but not {}\n", shortened(except)));
    }
    if !difference.requests.is_empty() {
        text.push_str(&format!("    requests {}\n", shortened(difference.requests.clone())));
    }
    text.push_str(&format!(
        "    for example {witness}, plane {}\n    old: {old}\n    new: {new}",
        witness.plane
    ));
    for shift in &difference.shifts {
        let weaker = if shift.widens { " (weaker)" } else { "" };
        text.push_str(&format!("\n    {}: {} -> {}{weaker}", shift.field, shift.old, shift.new));
    }
    print::line(&print::plain(&text));
}

/// As many as a reader takes in.
const SHOWN: usize = 6;
