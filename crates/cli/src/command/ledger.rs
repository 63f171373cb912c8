//! `claw ledger`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use claw_ledger::record::{Event, Record};
use claw_ledger::show;
use claw_ledger::summary::Summary;
use claw_ledger::verify::{Verdict, Verifier};
use claw_model::digest::Digest;

use crate::arguments::{Ledger as Arguments, LedgerCommand};
use crate::print::{self, DONE, NO, UNUSABLE};

/// Runs a `ledger` command.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    let result = match &arguments.command {
        LedgerCommand::Show { ledger, summary, json } => present(ledger, *summary, *json),
        LedgerCommand::Tail { ledger, json } => tail(ledger, *json),
        LedgerCommand::Verify { ledger, head, json } => verify(ledger, head.as_ref(), *json),
    };
    result.unwrap_or_else(|error| {
        eprintln!("claw: cannot read the ledger: {error}");
        UNUSABLE
    })
}

fn present(ledger: &Path, summarised: bool, json: bool) -> std::io::Result<u8> {
    let mut summary = Summary::default();
    let mut code = DONE;
    each(ledger, |line| {
        match Record::parse(line) {
            Ok(record) if summarised => summary.add(record.seq, &record.event, None),
            Ok(_) if json => print::line(String::from_utf8_lossy(line).trim_end()),
            Ok(record) => print::line(&show::line(&record)),
            Err(error) => {
                eprintln!("claw: unreadable record: {}", print::plain(&error.to_string()));
                code = NO;
            }
        }
        true
    })?;
    match (summarised, json) {
        (true, true) => print::json(&summary),
        (true, false) => print::line(print::plain(&summary.to_string()).trim_end()),
        _ => {}
    }
    Ok(code)
}

/// Prints what is there, then what comes, until the run's last record.
fn tail(ledger: &Path, json: bool) -> std::io::Result<u8> {
    let mut reader = BufReader::new(File::open(ledger)?);
    let mut line = Vec::new();
    loop {
        reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            std::thread::sleep(Duration::from_millis(50));
            continue;
        }
        let record = Record::parse(&line);
        match &record {
            Ok(_) if json => print::line(String::from_utf8_lossy(&line).trim_end()),
            Ok(record) => print::line(&show::line(record)),
            Err(error) => eprintln!("claw: unreadable record: {}", print::plain(&error.to_string())),
        }
        if matches!(record, Ok(Record { event: Event::Exit { .. }, .. })) {
            return Ok(DONE);
        }
        line.clear();
    }
}

fn verify(ledger: &Path, head: Option<&Digest>, json: bool) -> std::io::Result<u8> {
    let mut verifier = Verifier::new();
    each(ledger, |line| {
        verifier.line(line);
        true
    })?;
    let verdict = verifier.finish();
    let mismatch = head.and_then(|head| verdict.expects(head).err());
    let sound = verdict.is_sound() && mismatch.is_none();
    if json {
        print::json(&serde_json::json!({
            "sound": sound,
            "records": verdict.records,
            "head": verdict.head.to_string(),
            "broken": verdict.broken.as_ref().map(|broken| {
                serde_json::json!({"seq": broken.seq, "line": broken.line, "flaw": broken.flaw.to_string()})
            }),
            "head_mismatch": mismatch.as_ref().map(ToString::to_string),
            "warnings": verdict.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
    } else {
        tell(&verdict);
        if let Some(mismatch) = &mismatch {
            eprintln!("claw: {mismatch}");
        }
    }
    Ok(if sound { DONE } else { NO })
}

fn tell(verdict: &Verdict) {
    for warning in &verdict.warnings {
        eprintln!("claw: warning: {warning}");
    }
    if verdict.more_warnings > 0 {
        eprintln!("claw: and {} more warnings", verdict.more_warnings);
    }
    match &verdict.broken {
        Some(broken) => {
            eprintln!(
                "claw: record {} (line {}): {}",
                broken.seq,
                broken.line,
                print::plain(&broken.flaw.to_string())
            );
        }
        None => print::line(&format!("{} records, head {}", verdict.records, verdict.head)),
    }
}

/// Hands out each line with its newline; no line may be longer than any record is.
fn each(ledger: &Path, mut take: impl FnMut(&[u8]) -> bool) -> std::io::Result<()> {
    let mut reader = BufReader::new(File::open(ledger)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if read == 0 || !take(&line) {
            return Ok(());
        }
    }
}

const LONGEST: u64 = 16 << 20;
