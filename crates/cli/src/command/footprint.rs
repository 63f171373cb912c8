//! `claw footprint`.

use std::path::{Path, PathBuf};

use claw_footprint::against::{against, mark};
use claw_footprint::catalog::Catalog;
use claw_footprint::compare::compare;
use claw_footprint::diff::diff;
use claw_footprint::footprint::{Footprint, json as as_json};
use claw_footprint::indexes::Indexes;
use claw_footprint::suggest::{Form, Paths, Telemetry, Wanted, suggest};
use claw_footprint::{html, show};
use jiff::Timestamp;

use crate::arguments::{Footprint as Arguments, FootprintCommand, Reading, ReportForm};
use crate::command::policy::parse;
use crate::command::run::read;
use crate::print::{self, DONE, NO, UNUSABLE};

mod indexes;
mod ledgers;

/// Runs a `footprint` command.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    let result = match &arguments.command {
        FootprintCommand::Report { ledgers, form, policy, reading } => {
            report(ledgers, form, policy.as_deref(), reading)
        }
        FootprintCommand::Compare { a, b, form, reading } => side_by_side([a, b], form, reading),
        FootprintCommand::Diff { old, new, against, volume, json, reading } => {
            changed([old, new], against.as_deref(), (*volume, *json), reading)
        }
        FootprintCommand::Suggest { ledgers, generalise, with_telemetry, json, reading } => {
            let wanted = Wanted {
                telemetry: if *with_telemetry { Telemetry::Permit } else { Telemetry::LeaveOut },
                paths: if *generalise { Paths::Generalise } else { Paths::Exact },
                form: Form::Policy,
            };
            suggested(ledgers, wanted, *json, reading)
        }
    };
    result.unwrap_or_else(|code| code)
}

/// What ledgers are read with.
struct Knowledge<'a> {
    catalog: Catalog,
    indexes: Indexes,
    reading: &'a Reading,
}

impl<'a> Knowledge<'a> {
    fn new(reading: &'a Reading) -> Result<Knowledge<'a>, u8> {
        let refuse = |error: claw_footprint::catalog::CatalogError| {
            print::error(&error, error.hint().as_deref());
            UNUSABLE
        };
        let mut catalog = Catalog::built_in().map_err(refuse)?;
        if let Some(directory) = &reading.catalog {
            for file in catalogues(directory)? {
                catalog.lay(&read(&file)?, &file.display().to_string()).map_err(refuse)?;
            }
        }
        Ok(Knowledge { catalog, indexes: indexes::of_this_machine(), reading })
    }

    fn footprint(&self, files: &[&Path]) -> Result<Footprint, u8> {
        ledgers::footprint(files, self)
    }
}

/// The catalogue's files in a directory, by name.
fn catalogues(directory: &Path) -> Result<Vec<PathBuf>, u8> {
    let listed = std::fs::read_dir(directory).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<PathBuf>, _>>()
    });
    let mut files = listed.map_err(|error| {
        eprintln!(
            "claw: cannot read the catalogue {}: {error}",
            print::row(&directory.display().to_string())
        );
        UNUSABLE
    })?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    if files.is_empty() {
        eprintln!("claw: no catalogue in {}", print::row(&directory.display().to_string()));
        eprintln!("hint: its files end in .yaml; see catalog/README.md");
        return Err(UNUSABLE);
    }
    Ok(files)
}

fn report(files: &[PathBuf], form: &ReportForm, policy: Option<&Path>, reading: &Reading) -> Result<u8, u8> {
    let policy = policy.map(|file| parse(&read(file)?, file)).transpose()?;
    let mut footprint = Knowledge::new(reading)?.footprint(&paths(files))?;
    if let Some(policy) = &policy {
        mark(&mut footprint, policy, Timestamp::now());
    }
    if let Some(file) = &form.html {
        save(file, &html::page(&footprint))?;
    }
    match form {
        ReportForm { json: true, .. } => print::line(&footprint.json()),
        ReportForm { markdown: true, .. } => print::line(show::markdown(&footprint).trim_end()),
        ReportForm { html: Some(file), .. } => {
            print::say(&format!("claw: wrote {}", print::row(&file.display().to_string())));
        }
        _ => print::line(show::text(&footprint).trim_end()),
    }
    Ok(DONE)
}

fn side_by_side(files: [&PathBuf; 2], form: &ReportForm, reading: &Reading) -> Result<u8, u8> {
    let knowledge = Knowledge::new(reading)?;
    let [one, other] = files;
    let (first, second) = (knowledge.footprint(&[one])?, knowledge.footprint(&[other])?);
    let (one, other) = (one.display().to_string(), other.display().to_string());
    let comparison = compare((&one, &first), (&other, &second));
    if let Some(file) = &form.html {
        save(file, &html::comparison(&comparison))?;
    }
    match form {
        ReportForm { json: true, .. } => print::line(&as_json(&comparison)),
        ReportForm { markdown: true, .. } => print::line(show::markdown_comparison(&comparison).trim_end()),
        ReportForm { html: Some(file), .. } => {
            print::say(&format!("claw: wrote {}", print::row(&file.display().to_string())));
        }
        _ => print::line(show::comparison(&comparison).trim_end()),
    }
    Ok(DONE)
}

fn changed(
    files: [&PathBuf; 2],
    policy: Option<&Path>,
    (volume, json): (Option<f64>, bool),
    reading: &Reading,
) -> Result<u8, u8> {
    let policy = policy.map(|file| parse(&read(file)?, file)).transpose()?;
    let knowledge = Knowledge::new(reading)?;
    let [old, new] = files;
    let (old, new) = (knowledge.footprint(&[old])?, knowledge.footprint(&[new])?);
    let found = diff(&old, &new, volume);
    let held = policy.as_ref().map(|policy| against(&new, policy, Timestamp::now()));
    let needed = held.iter().flat_map(|held| &held.refused).filter(|one| one.class != "telemetry");
    let unfit = needed.count() > 0;
    let code = if found.is_new() || unfit { NO } else { DONE };
    if json {
        print::line(&as_json(&serde_json::json!({"new": found.is_new(), "changes": found, "against": held})));
        return Ok(code);
    }
    print::line(show::changes(&found).trim_end());
    if let Some(held) = &held {
        match (held.refused.is_empty(), unfit) {
            (true, _) => print::line("the policy permits all of it"),
            (false, false) => print::line("the policy permits all but telemetry"),
            (false, true) => print::line("the policy does not fit any more. It refuses:"),
        }
        for one in &held.refused {
            let rule = one.rule.as_ref().map(|rule| format!("  {rule}")).unwrap_or_default();
            let line = format!("  {}  {} in {}, {}{rule}", one.what, one.reason, one.phase, one.class);
            print::line(&show::one_line(&line));
        }
        if unfit {
            print::line("rules to add:");
            print::line(held.patch.yaml.trim_end());
        }
    }
    Ok(code)
}

fn suggested(files: &[PathBuf], wanted: Wanted, json: bool, reading: &Reading) -> Result<u8, u8> {
    let footprint = Knowledge::new(reading)?.footprint(&paths(files))?;
    let suggestion = suggest(&footprint, wanted);
    if json {
        print::line(&as_json(&suggestion));
    } else {
        print::line(suggestion.yaml.trim_end());
    }
    Ok(DONE)
}

fn paths(files: &[PathBuf]) -> Vec<&Path> {
    files.iter().map(PathBuf::as_path).collect()
}

/// Replaces a file whole: a reader never sees a part of it.
fn save(file: &Path, text: &str) -> Result<(), u8> {
    let written = claw_sys::whole::replace_file(file, text.as_bytes(), 0o666);
    written.map_err(|error| {
        eprintln!("claw: cannot write {}: {error}", print::row(&file.display().to_string()));
        UNUSABLE
    })
}
