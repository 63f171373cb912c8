//! `claw host audit`.

use claw_host::{Report, Severity, Status, audit};
use claw_run::audit::{Places, Root, read};

use crate::arguments::{Audit, Threshold};
use crate::environment;
use crate::print::{self, DONE, NO, UNUSABLE};

/// Reads the host, judges it, and prints what was found.
pub(crate) fn run(arguments: &Audit) -> u8 {
    let root = match &arguments.root {
        Some(path) => Root::tree(path),
        None => Root::host(),
    };
    let now = i64::try_from(
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    )
    .unwrap_or_default();
    let places = match places() {
        Ok(places) => places,
        Err(error) => {
            print::error(&error, None);
            return UNUSABLE;
        }
    };
    let report = match root {
        Ok(root) => audit(&read(&root, &places, now)),
        Err(error) => {
            print::error(&error, None);
            return UNUSABLE;
        }
    };
    if arguments.json {
        print::json(&report);
    } else {
        table(&report);
    }
    let least = least(arguments.threshold);
    let counts = report.outcomes.iter().any(|one| one.status == Status::Fail && one.severity >= least);
    if counts { NO } else { DONE }
}

fn places() -> std::io::Result<Places> {
    let host = environment::host()?;
    Ok(Places { program: std::env::current_exe()?, state: host.state, config: host.config })
}

fn table(report: &Report) {
    for score in &report.scores {
        let outcomes: Vec<_> = report.outcomes.iter().filter(|one| one.area == score.area).collect();
        if outcomes.is_empty() {
            continue;
        }
        print::line(score.area.name());
        for one in outcomes {
            print::line(&format!("  {:?} {} {}", one.status, one.id, print::plain(&one.seen)));
        }
    }
}

fn least(threshold: Threshold) -> Severity {
    match threshold {
        Threshold::Low => Severity::Low,
        Threshold::Medium => Severity::Medium,
        Threshold::High => Severity::High,
        Threshold::Critical => Severity::Critical,
    }
}
