//! Verifies and folds a ledger, and says how long that took and how much memory: `fold LEDGER`.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "an example, not the crate")]

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::time::Instant;

use claw_footprint::catalog::Catalog;
use claw_footprint::fold::Fold;
use claw_footprint::indexes::Indexes;
use claw_ledger::verify::Verifier;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("fold LEDGER")?;
    let begun = Instant::now();
    let mut reader = BufReader::with_capacity(1 << 20, File::open(&file)?);
    let (mut verifier, mut fold, mut line) = (Verifier::new(), Fold::new(), Vec::new());
    fold.ledger(&file);
    while reader.read_until(b'\n', &mut line)? > 0 {
        if let Some(record) = verifier.take(&line) {
            fold.add(&record);
        }
        line.clear();
    }
    let verdict = verifier.finish();
    let footprint = fold.finish(&Catalog::built_in()?, &Indexes::default());
    let size = footprint.json().len();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!(
        "{} records, sound {}, {} flows, {size} bytes of JSON, {:.2} s, {peak}",
        verdict.records,
        verdict.is_sound(),
        footprint.flows.len(),
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}
