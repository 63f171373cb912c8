//! The supervisor confines itself before it lets the agent go: no capabilities, no exec, nothing writable but what is
//! open already, and no look into its memory. What it may still call is listed, if all it does is relay.

use std::io;

use claw_enforce::{Duty, SupervisorFilter};
use claw_sys::{capability, process, resource};

/// Gives up what the duty does not need.
pub(crate) fn confine(duty: Duty) -> io::Result<()> {
    with(&SupervisorFilter::of(duty)?)
}

/// The same, with a filter that was compiled before.
pub(crate) fn with(filter: &SupervisorFilter) -> io::Result<()> {
    resource::no_core_files()?;
    process::hide()?;
    capability::drop_all()?;
    process::no_new_privileges()?;
    filter.install()
}
