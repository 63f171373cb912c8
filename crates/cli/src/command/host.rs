//! `claw host …`.

mod audit;
pub(crate) mod firewall;

use crate::arguments::{Host, HostCommand};

/// Runs the command.
pub(crate) fn run(arguments: &Host) -> u8 {
    match &arguments.command {
        HostCommand::Audit(arguments) => audit::run(arguments),
        HostCommand::Firewall(arguments) => firewall::run(arguments),
    }
}
