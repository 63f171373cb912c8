//! The kernel's list of measured files: whatever comes, no panic; a list in two pieces says what it says in one.
#![no_main]

use claw_wire::ima::Piece;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(whole) = Piece::read(bytes) else { return };
    assert!(whole.taken <= bytes.len());
    let (first, _) = bytes.split_at(whole.taken / 2);
    let Ok(first) = Piece::read(first) else { return };
    let second = Piece::read(bytes.get(first.taken..).unwrap_or_default()).expect("the rest of a list is a list");
    let all = [first.measurements, second.measurements].concat();
    assert_eq!(all, whole.measurements);
    assert_eq!(first.taken + second.taken, whole.taken);
});
