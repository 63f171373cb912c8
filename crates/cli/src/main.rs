//! The `claw` command: reads arguments, calls a library, prints.

mod arguments;
mod command;
mod environment;
mod print;

use std::process::ExitCode;

use crate::arguments::Command;

fn main() -> ExitCode {
    // order: before anything else: init is a copy of this process as it is now, and its namespaces take the kernel a while
    let early = command::run::early(std::env::args_os());
    let code = match arguments::parsed() {
        Command::Run(arguments) => command::run::run(&arguments, early),
        Command::Observe(arguments) => command::observe::run(&arguments),
        Command::Policy(arguments) => command::policy::run(&arguments),
        Command::Ledger(arguments) => command::ledger::run(&arguments),
        Command::Verify(arguments) => command::verify::run(&arguments),
        Command::Footprint(arguments) => command::footprint::run(&arguments),
        Command::Phase(arguments) => command::phase::run(&arguments),
        Command::Top(arguments) => command::top::run(&arguments),
        Command::Changes(arguments) => command::changes::run(&arguments),
        Command::Bundle(arguments) => command::bundle::run(&arguments),
        Command::Keyring(arguments) => command::keyring::run(&arguments),
        Command::Adapter(arguments) => command::adapter::run(&arguments),
        Command::Gate(arguments) => command::gate::run(&arguments),
        Command::Doctor(arguments) => command::doctor::run(&arguments),
        Command::Host(arguments) => command::host::run(&arguments),
        Command::ThreatModel(arguments) => command::threat_model::run(&arguments),
        Command::Completions { shell } => command::manual::completions(shell),
        Command::Man { directory } => command::manual::pages(&directory),
    };
    ExitCode::from(code)
}
