//! `claw doctor`.

mod needs;

use claw_model::phase::Phase;
use claw_policy::Policy;
use claw_run::doctor::{Feature, Status, features};
use claw_run::{Fresh, Job, RunError, run as run_job};

use crate::arguments::Doctor;
use crate::environment;
use crate::print::{self, DONE, NO, UNUSABLE};

/// Tells what this kernel can enforce, and tries a whole sandbox.
pub(crate) fn run(arguments: &Doctor) -> u8 {
    if arguments.own {
        return needs::run(arguments.json, arguments.against.as_deref());
    }
    if arguments.release.self_verify {
        return super::own::run(&arguments.release, arguments.json);
    }
    let mut found = features();
    match sandbox() {
        Ok(feature) => found.push(feature),
        Err(error) => {
            print::error(&error, None);
            return UNUSABLE;
        }
    }
    let fit = found.iter().all(|feature| feature.status != Status::Missing);
    if arguments.json {
        print::json(&serde_json::json!({"fit": fit, "features": found}));
        return if fit { DONE } else { NO };
    }
    for feature in &found {
        let mark = match feature.status {
            Status::Ok => "ok     ",
            Status::Missing => "MISSING",
            Status::Absent => "absent ",
        };
        print::line(&format!("{mark}  {:<16} {}", feature.name, print::row(&feature.seen)));
        if feature.status != Status::Ok {
            print::line(&format!("         cost: {}\n         get it: {}", feature.cost, feature.remedy));
        }
    }
    print::line(if fit { "claw can run agents here" } else { "claw cannot run agents here" });
    if fit { DONE } else { NO }
}

/// The proof that counts: a sandbox with every wall, in which nothing is run but the canary and `true`.
fn sandbox() -> std::io::Result<Feature> {
    let host = environment::host()?;
    let ledger = std::env::temp_dir().join(format!("claw-doctor-{}.jsonl", std::process::id()));
    let job = Job {
        policy: Policy::deny_all(),
        source: None,
        held: None,
        tell: |_| {},
        phase: Phase::Workload,
        command: vec!["true".to_owned()],
        ledger: Some(ledger.clone()),
        name: None,
        observe: None,
    };
    let tried = run_job(&job, &host, Fresh::make());
    let _ = std::fs::remove_file(ledger);
    let seen = match &tried {
        Ok(outcome) if outcome.code == 0 => "built, tried by the canary, and ended".to_owned(),
        Ok(outcome) => format!("built, but `true` ended with {}", outcome.code),
        Err(error) => chain(error),
    };
    Ok(Feature {
        name: "whole sandbox",
        status: if tried.is_ok() { Status::Ok } else { Status::Missing },
        seen,
        cost: "claw run exits with 125 and runs nothing",
        remedy: "see what is missing above; nf_tables with tproxy, reject and log expressions is needed too",
    })
}

fn chain(error: &RunError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
