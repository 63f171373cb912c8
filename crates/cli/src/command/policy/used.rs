//! Which rules a ledger shows in use.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use claw_ledger::record::{Decision, Event, Record};
use claw_policy::Policy;

use crate::print::{self, UNUSABLE};

/// The lines of the rules that allowed something while this very policy held.
pub(super) fn lines(ledger: &Path, policy: &Policy) -> Result<BTreeSet<u32>, u8> {
    let fail = |what: String, hint| {
        print::say(&print::row(&format!("claw: `{}`: {what}", ledger.display())));
        print::say(hint);
        UNUSABLE
    };
    let unread = |error: std::io::Error| fail(error.to_string(), "hint: name a ledger of `claw run`");
    let own = policy.digest().to_string();
    let (mut used, mut holds, mut held) = (BTreeSet::new(), false, false);
    let mut reader = BufReader::new(File::open(ledger).map_err(unread)?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(unread)? > 0 {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let Ok(record) = Record::parse(text) else {
            // a torn last line is no record
            if line.ends_with(b"\n") {
                return Err(fail("a line is no record".to_owned(), "hint: see `claw ledger verify`"));
            }
            break;
        };
        match &record.event {
            Event::Start { policy_digest, .. } => holds = *policy_digest == own,
            Event::Policy { to: Some(to), .. } => holds = *to == own,
            event if holds => used.extend(allowed_by(event)),
            _ => {}
        }
        held |= holds;
        line.clear();
    }
    match held {
        true => Ok(used),
        false => {
            let what = format!("this policy ({own}) never held in it");
            Err(fail(
                what,
                "hint: a rule is known by its line, so the ledger must be one of this very content",
            ))
        }
    }
}

fn allowed_by(event: &Event) -> Option<u32> {
    let (decision, rule) = match event {
        Event::Dns { decision, rule, .. }
        | Event::Connect { decision, rule, .. }
        | Event::Request { decision, rule, .. } => (decision, rule),
        _ => return None,
    };
    let line = rule.as_ref().filter(|_| *decision == Decision::Allow)?.rsplit_once(':')?.1;
    line.parse().ok()
}
