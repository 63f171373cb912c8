//! The head of a request to the gate's own page: no panic, and a part of a head is never a whole one.
#![no_main]

use claw_wire::http::{Head, head};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Head::Request { consumed, .. } = head(bytes) {
        assert!(consumed <= bytes.len());
        assert_eq!(head(&bytes[..consumed]), head(bytes));
        assert!(!matches!(head(&bytes[..consumed - 1]), Head::Request { .. }));
    }
});
