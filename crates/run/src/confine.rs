//! The supervisor confines itself before it lets the agent go: no capabilities, no exec, nothing writable but what is
//! open already, and no look into its memory.
//!
//! Not by Landlock: a process in a Landlock domain may not look at processes outside of it (`ptrace(2)` access mode), and
//! the records would name no process. The system call filter refuses to open anything for writing instead.

use std::io;

use claw_sys::{capability, process, resource};

/// Gives up what relaying, resolving and writing to open files do not need.
pub(crate) fn confine(broker: bool) -> io::Result<()> {
    resource::no_core_files()?;
    process::hide()?;
    capability::drop_all()?;
    process::no_new_privileges()?;
    claw_enforce::confine_supervisor(broker)
}
