//! `claw observe`.

use claw_model::phase::Phase;
use claw_policy::Policy;
use claw_run::{Fresh, Job, Mode, Observe, Packages, run as run_job};

use super::run::{Said, finish, is_plain, named, refused};
use crate::arguments::{Observe as Arguments, ObserveMode};
use crate::environment;
use crate::print::{self, UNUSABLE};

/// Runs the command, and takes down what it reaches for.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    // order: before anything is read; init is a copy of this process as it is now
    let fresh = Fresh::make();
    if (arguments.mode == ObserveMode::Allow) != arguments.danger_open {
        eprintln!(
            "claw: --mode allow lets the command talk to the internet, and --danger-open says that you know"
        );
        eprintln!("hint: give both, or neither: with --mode sink not one byte leaves");
        return UNUSABLE;
    }
    if arguments.answer.is_some() && arguments.mode != ObserveMode::Sink {
        eprintln!("claw: --answer plays parts of what is accepted here: that is --mode sink");
        eprintln!("hint: leave --answer out, or --mode");
        return UNUSABLE;
    }
    if arguments.name.as_deref().is_some_and(|name| !is_plain(name)) {
        return print::bad_name();
    }
    let host = match environment::host() {
        Ok(host) => host,
        Err(error) => {
            print::error(&error, Some("the working directory must exist"));
            return UNUSABLE;
        }
    };
    let (labels, source) = match arguments.policy.as_deref().map(|file| named(file, &host)) {
        None => (Policy::deny_all(), None),
        Some(Ok((policy, source))) => (policy, Some(source)),
        Some(Err(code)) => return code,
    };
    let mode = match arguments.mode {
        ObserveMode::Deny => Mode::Deny,
        ObserveMode::Sink => Mode::Sink,
        ObserveMode::Allow => Mode::Allow,
    };
    if mode == Mode::Allow && !arguments.quiet {
        print::say("claw: observing with every public address open: what the command sends, it sends");
    }
    let job = Job {
        policy: labels.without_rules(),
        source,
        held: None,
        tell: if arguments.quiet { |_| {} } else { |text| print::tell(text) },
        phase: Phase::Workload,
        command: arguments.command.clone(),
        ledger: arguments.ledger.as_ref().map(|path| host.directory.join(path)),
        name: arguments.name.clone(),
        observe: Some(Observe {
            mode,
            answers: arguments.answer.unwrap_or_default(),
            labels,
            packages: if arguments.no_packages { Packages::NotAsked } else { Packages::Asked },
        }),
    };
    match run_job(&job, &host, fresh) {
        Ok(outcome) => {
            let said = match Said::of(arguments.json, arguments.quiet) {
                Said::Text => Said::Observed,
                other => other,
            };
            finish(&outcome, said)
        }
        Err(error) => refused(&error),
    }
}
