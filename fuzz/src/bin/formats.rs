//! Other tools' policies: no panic, every refusal says a line, what is imported is a policy of ours, and what that permits
//! is never more once it was written in the same format and read back.
#![no_main]

use std::str::FromStr;

use claw_model::phase::Phase;
use claw_policy::Policy;
use claw_policy::export::export;
use claw_policy::import::{Format, ImportError, import};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // the first line names the format, as in the corpus; else all are tried
    let (first, rest) = text.split_once('\n').unwrap_or(("", text));
    let named = first.strip_prefix("format ").and_then(|name| Format::from_str(name).ok());
    let formats = named.as_ref().map_or(Format::ALL, std::slice::from_ref);
    let text = if named.is_some() { rest } else { text };
    let Ok(now) = "2026-11-26T00:00:00Z".parse() else { return };
    for format in formats {
        let imported = match import(text, "x", *format) {
            Ok(imported) => imported,
            Err(ImportError::Source(error)) => {
                assert!(error.problems().iter().all(|problem| problem.line() >= 1));
                continue;
            }
            Err(_) => continue,
        };
        let Ok(policy) = Policy::parse(&imported.yaml, "y") else { panic!("{format}: {}", imported.yaml) };
        for phase in [Phase::Bootstrap, Phase::Workload] {
            if let Ok(exported) = export(&policy, *format, phase, now)
                && *format != Format::Nft
                && *format != Format::Compose
            {
                assert!(import(&exported.text, "z", *format).is_ok(), "{format}: {}", exported.text);
            }
        }
    }
});
