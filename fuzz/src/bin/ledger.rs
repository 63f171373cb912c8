//! A ledger's bytes: no panic, and what verifies is shown line by line.
#![no_main]

use claw_ledger::record::Record;
use claw_ledger::{show, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let verdict = verify::verify(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
    assert!(verdict.records <= lines);
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(record) = Record::parse(line) {
            let shown = show::line(&record);
            assert!(shown.chars().all(|character| !character.is_control()), "{shown:?}");
        }
    }
});
