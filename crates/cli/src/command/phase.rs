//! `claw phase`.

use claw_run::control::{self, Answer, ControlError, Question};

use crate::arguments::PhaseChange;
use crate::print::{self, DONE, NO, UNUSABLE};

/// Lets another phase begin in a run.
pub(crate) fn run(arguments: &PhaseChange) -> u8 {
    let (user, name) = match one(arguments.run.as_deref()) {
        Ok(run) => run,
        Err(code) => return code,
    };
    let question = Question::Phase { to: arguments.to, why: arguments.why.clone() };
    match control::ask(user, &name, &question) {
        Ok(answer) => told(&answer, arguments.json),
        Err(error) => failed(&error),
    }
}

/// The run that is meant: the named one, or the only one.
fn one(name: Option<&str>) -> Result<(u32, String), u8> {
    let runs = control::runs().map_err(|error| {
        print::error(&error, Some("/proc/net/unix must be readable"));
        UNUSABLE
    })?;
    let found: Vec<(u32, String)> =
        runs.into_iter().filter(|(_, run)| name.is_none_or(|name| name == run)).collect();
    match (found.as_slice(), name) {
        ([run], _) => Ok(run.clone()),
        ([], Some(name)) => Err(failed(&ControlError::None { name: name.to_owned() })),
        ([], None) => {
            eprintln!("claw: no run goes on");
            Err(UNUSABLE)
        }
        (runs, _) => {
            let names: Vec<&str> = runs.iter().map(|(_, run)| run.as_str()).collect();
            eprintln!("claw: several runs go on: {}", print::row(&names.join(", ")));
            eprintln!("hint: name one with --run");
            Err(UNUSABLE)
        }
    }
}

fn told(answer: &Answer, json: bool) -> u8 {
    if json {
        print::json(answer);
    }
    match answer {
        Answer::Refused { why } => {
            if !json {
                eprintln!("claw: {}", print::row(why));
            }
            NO
        }
        Answer::Done { what, closed } => {
            if !json {
                print::line(&print::row(&format!("{what}: {closed} flows closed")));
            }
            DONE
        }
        Answer::Status(_) => DONE,
    }
}

fn failed(error: &ControlError) -> u8 {
    print::error(error, Some("`claw top` shows the runs that go on"));
    UNUSABLE
}
