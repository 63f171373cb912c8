//! A seccomp profile in JSON: no panic, every refusal says a line, and what is read answers every call.
#![no_main]

use claw_policy::seccomp::{Architecture, CallProfile, Machine};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for architecture in [Architecture::X86_64, Architecture::Aarch64] {
        match CallProfile::parse(text, "p.json", Machine { architecture, kernel: (6, 18) }) {
            Err(error) => assert!(error.problems().iter().all(|problem| problem.line() >= 1)),
            Ok(profile) => {
                for number in 0..500 {
                    let answer = profile.answer(number, [number.into(), 4, 6, 0, 0, u64::MAX]);
                    let strictest = profile.rules.iter().map(|rule| rule.action).chain([profile.default]).min();
                    assert!(Some(answer) >= strictest);
                }
            }
        }
    }
});
