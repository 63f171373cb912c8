//! From files to a footprint: ledgers are verified while they stream, footprints in JSON are read as they are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use claw_footprint::Footprint;
use claw_footprint::fold::Fold;
use claw_ledger::record::{Record, RecordError};
use claw_ledger::verify::{Broken, Flaw, Verifier};

use super::Knowledge;
use crate::print::{self, NO, UNUSABLE};

/// The footprint of ledgers, or one that was written before.
pub(super) fn footprint(files: &[&Path], knowledge: &Knowledge<'_>) -> Result<Footprint, u8> {
    if let [file] = files
        && let Some(text) = written(file)?
    {
        return Footprint::parse(&text).map_err(|error| {
            eprintln!("claw: {}: {}", name(file), print::row(&error.to_string()));
            eprintln!("hint: give a ledger, or what `claw footprint report --json` of this version printed");
            UNUSABLE
        });
    }
    let mut fold = Fold::new();
    for file in files {
        one(&mut fold, file, knowledge.reading.unverified)?;
    }
    Ok(fold.finish(&knowledge.catalog, &knowledge.indexes))
}

/// The text of a footprint in JSON; `None` for anything else. A record stands on one line, a footprint on many.
fn written(file: &Path) -> Result<Option<Vec<u8>>, u8> {
    let text = (|| {
        let mut reader = BufReader::new(File::open(file)?);
        let mut text = Vec::new();
        reader.by_ref().take(2).read_to_end(&mut text)?;
        if text != b"{\n" {
            return Ok(None);
        }
        reader.take(LARGEST).read_to_end(&mut text)?;
        Ok(Some(text))
    })();
    text.map_err(|error| unreadable(file, &error))
}

fn one(fold: &mut Fold, file: &Path, unverified: bool) -> Result<(), u8> {
    fold.ledger(&file.display().to_string());
    let mut verifier = Verifier::new();
    let mut reader =
        BufReader::with_capacity(1 << 20, File::open(file).map_err(|error| unreadable(file, &error))?);
    let size = reader.get_ref().metadata().map(|metadata| metadata.len()).unwrap_or_default();
    let mut progress = Progress { begun: Instant::now(), told: 0, size, name: name(file) };
    let (mut line, mut read, mut broken, mut lost) = (Vec::new(), 0_u64, false, 0_u64);
    loop {
        line.clear();
        let length = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        let length = length.map_err(|error| unreadable(file, &error))?;
        if length == 0 {
            break;
        }
        read = read.saturating_add(length as u64);
        progress.tell(read);
        // after the break nothing is believed; it is read on only where that was asked for
        let record = if broken { None } else { verifier.take(&line) };
        match record {
            Some(record) => fold.add(&record),
            None if unverified => match Record::parse(line.trim_ascii_end()) {
                Ok(record) => {
                    broken = true;
                    fold.add(&record);
                }
                Err(_) => lost = lost.saturating_add(1),
            },
            None => {}
        }
    }
    let verdict = verifier.finish();
    for warning in &verdict.warnings {
        print::say(&format!("claw: warning: {}: {warning}", name(file)));
        fold.stamp("torn-or-odd", format!("{}: {warning}", file.display()));
    }
    match verdict.broken {
        None => {
            fold.head(verdict.head.to_string());
            Ok(())
        }
        Some(flaw) if matches!(flaw.flaw, Flaw::Empty) => {
            eprintln!("claw: {}: there is no record in it: nothing can be told", name(file));
            Err(UNUSABLE)
        }
        Some(flaw) if unverified => {
            let text = format!("{}: NOT VERIFIED: {flaw}; {lost} lines could not be read", file.display());
            print::say(&format!("claw: warning: {}", print::row(&text)));
            fold.stamp("unverified", text);
            Ok(())
        }
        Some(flaw) => Err(refuse(file, &flaw, fold.run().map(|run| run.claw_version.as_str()))),
    }
}

/// A broken ledger gives no report.
fn refuse(file: &Path, broken: &Broken, version: Option<&str>) -> u8 {
    eprintln!("claw: {}: {}", name(file), print::row(&broken.to_string()));
    let other = version.filter(|version| !version.is_empty() && *version != env!("CARGO_PKG_VERSION"));
    match (&broken.flaw, other) {
        (Flaw::Record(_), _) if broken.line == 1 => {
            eprintln!("hint: this is no ledger of Claw");
            return UNUSABLE;
        }
        (Flaw::Record(RecordError::Kind(_)), Some(other)) => eprintln!(
            "hint: it was written by claw {}, this is {}: use that version to read it",
            print::row(other),
            env!("CARGO_PKG_VERSION")
        ),
        (Flaw::Seq { .. }, _) if broken.line == 1 => {
            eprintln!("hint: its beginning is missing; no report is made of a part");
        }
        _ => eprintln!(
            "hint: no report is made of a ledger that was changed or cut; --unverified makes one that says so on its face"
        ),
    }
    NO
}

fn unreadable(file: &Path, error: &io::Error) -> u8 {
    eprintln!("claw: cannot read {}: {error}", name(file));
    UNUSABLE
}

fn name(file: &Path) -> String {
    print::row(&file.display().to_string())
}

/// Says how far it is, for a ledger that takes long.
struct Progress {
    begun: Instant,
    told: u64,
    size: u64,
    name: String,
}

impl Progress {
    fn tell(&mut self, read: u64) {
        // the clock is asked rarely
        if read.saturating_sub(self.told) < STEP {
            return;
        }
        self.told = read;
        if self.begun.elapsed() > Duration::from_secs(2) {
            let percent = read.saturating_mul(100) / self.size.max(1);
            print::say(&format!("claw: {}: {percent} %", self.name));
        }
    }
}

/// No record is longer.
const LONGEST: u64 = 16 << 20;
/// No footprint is larger.
const LARGEST: u64 = 1 << 30;
const STEP: u64 = 512 << 20;
