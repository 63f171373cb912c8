//! A policy file: no panic, and every refusal says a line.
#![no_main]

use claw_policy::Policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = Policy::parse(text, "p.yaml") {
        assert!(error.problems().iter().all(|problem| problem.line() >= 1));
    }
});
