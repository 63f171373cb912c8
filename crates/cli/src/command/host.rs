//! `claw host …`.

mod audit;

use crate::arguments::{Host, HostCommand};

/// Runs the command.
pub(crate) fn run(arguments: &Host) -> u8 {
    match &arguments.command {
        HostCommand::Audit(arguments) => audit::run(arguments),
    }
}
