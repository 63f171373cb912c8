//! `claw policy merge`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use claw_policy::Policy;
use claw_policy::merge::{Conflict, MergeError, Merged, merge};
use jiff::Timestamp;

use super::parse;
use crate::command::run::read;
use crate::print::{self, DONE, NO, UNUSABLE};

/// Puts policies together.
pub(super) fn run(files: &[PathBuf], out: Option<&Path>, json: bool) -> Result<u8, u8> {
    let policies = files.iter().map(|file| parse(&read(file)?, file)).collect::<Result<Vec<Policy>, u8>>()?;
    let merged = match merge(&policies.iter().collect::<Vec<_>>(), Timestamp::now()) {
        Ok(merged) => merged,
        Err(MergeError::Conflicts(conflicts)) => return Ok(refuse(&conflicts, json)),
        Err(error) => {
            print::error(&error, None);
            return Err(UNUSABLE);
        }
    };
    if let Some(out) = out {
        save(out, &merged.yaml)?;
    }
    if json {
        print::json(&serde_json::json!({"policy": merged.yaml, "notes": merged.notes, "conflicts": []}));
    } else {
        if out.is_none() {
            print::line(merged.yaml.trim_end());
        }
        remarks(&merged);
    }
    Ok(if merged.notes.iter().any(|note| !note.denied) { NO } else { DONE })
}

fn refuse(conflicts: &[Conflict], json: bool) -> u8 {
    if json {
        print::json(&serde_json::json!({"policy": null, "notes": [], "conflicts": conflicts}));
    }
    for conflict in conflicts {
        let places = conflict.places.join(" and ");
        print::say(&print::plain(&format!("{places}: conflict: {}", conflict.what)));
    }
    print::say("hint: nothing was merged; change one of the two, then merge again");
    NO
}

/// What a side loses, on standard error.
fn remarks(merged: &Merged) {
    for note in &merged.notes {
        let difference = &note.difference;
        let by = difference.new.rule.as_deref().unwrap_or("the result");
        let shifts: Vec<String> = difference
            .shifts
            .iter()
            .map(|shift| format!("{} {} -> {}", shift.field, shift.old, shift.new))
            .collect();
        let what = match (note.denied, shifts.is_empty()) {
            (true, _) => format!("is closed by {by}"),
            (false, true) => format!("is no longer let through: {by} decides it"),
            (false, false) => format!("has other terms, of {by}: {}", shifts.join("; ")),
        };
        let rule = difference.old.rule.as_deref().unwrap_or(&note.file);
        let text =
            format!("{rule}: note: `{}` {what} (for example {})", difference.destination, difference.witness);
        print::say(&print::plain(&text));
    }
}

/// An existing file is never overwritten.
fn save(out: &Path, text: &str) -> Result<(), u8> {
    let saved = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(out)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    saved.map_err(|error| {
        print::say(&print::row(&format!("claw: cannot write `{}`: {error}", out.display())));
        UNUSABLE
    })
}
