//! The process that had the namespaces made stays, and waits for the disk when the supervisor is gone: nobody who waits for
//! a run's end waits for it, and a supervisor that was killed has its ledger on the disk all the same.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use claw_sys::{capability, process, resource, signal, socket};

use crate::Duty;

/// The supervisor's end.
#[derive(Debug)]
pub(crate) struct Keeper(OwnedFd);

impl Keeper {
    pub(crate) fn new(channel: OwnedFd) -> Keeper {
        Keeper(channel)
    }

    /// Gives it the file.
    pub(crate) fn give(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        socket::send_descriptors(self.0.as_fd(), &[1], &[file])
    }

    /// Whether it has the file, has confined itself, and lives.
    pub(crate) fn holds(&self) -> bool {
        let speaks = || process::poll(&[self.0.as_fd()], 0).is_ok_and(|ready| ready == [true]);
        // it says one word; more to hear is its end
        speaks() && matches!(socket::receive_descriptors(self.0.as_fd(), &mut [0]), Ok((1, _))) && !speaks()
    }
}

/// What that process does.
pub(crate) fn keep(channel: &OwnedFd) -> ! {
    let code = match serve(channel) {
        Ok(()) => 0,
        Err(_) => 125,
    };
    process::exit_now(code)
}

fn serve(channel: &OwnedFd) -> io::Result<()> {
    process::hide()?;
    // a key on the terminal is for the agent; this ends when the supervisor has
    signal::block(SURVIVED)?;
    let Some(file) = socket::receive_descriptors(channel.as_fd(), &mut [0])?.1.into_iter().next() else {
        return Ok(());
    };
    // order: when the sandbox stands, and not while it is being built, which it would delay
    process::forget("claw-keeper")?;
    resource::no_core_files()?;
    capability::drop_all()?;
    process::no_new_privileges()?;
    crate::confine_supervisor(Duty::Keep)?;
    let file = File::from(file);
    socket::send_descriptors(channel.as_fd(), &[1], &[])?;
    // nothing more is said: this returns at the supervisor's end
    let _ = socket::receive_descriptors(channel.as_fd(), &mut [0]);
    file.sync_data()
}

const SURVIVED: &[i32] =
    &[libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGTSTP, libc::SIGUSR1, libc::SIGUSR2];
