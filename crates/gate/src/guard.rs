//! Calls that a seccomp profile ends a process for, and every execution under one: asked here, so that the record names
//! call and rule before the process ends, and so that the agent itself can be started under a profile that executes
//! nothing.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use claw_ledger::record::Event;
use claw_policy::seccomp::{CallAction, CallProfile, name_of};
use claw_sys::notify::{self, Call, Reply};
use claw_sys::signal;
use tokio::io::unix::AsyncFd;

use crate::{Gate, Shared, broker, waitable};

struct Guard {
    shared: Rc<Shared>,
    listener: AsyncFd<OwnedFd>,
    profile: CallProfile,
    tell: fn(&str),
    /// The agent was started.
    started: bool,
}

impl Gate {
    /// Answers the calls that come from this listener as the profile says. The first execution is the agent's start.
    pub fn guard(&self, listener: OwnedFd, profile: CallProfile, tell: fn(&str)) -> std::io::Result<()> {
        let listener = waitable(listener)?;
        let guard = Guard { shared: Rc::clone(&self.shared), listener, profile, tell, started: false };
        tokio::task::spawn_local(guard.serve());
        Ok(())
    }
}

impl Guard {
    async fn serve(mut self) {
        loop {
            let Ok(mut ready) = self.listener.readable().await else { return };
            if !matches!(
                claw_sys::process::poll(&[self.listener.get_ref().as_fd()], 0).as_deref(),
                Ok([true])
            ) {
                ready.clear_ready();
                continue;
            }
            drop(ready);
            match notify::receive(self.listener.get_ref().as_fd()) {
                Ok(call) => self.answer(&call),
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(_) => return,
            }
            // fairness: a flood of refused calls must not keep others waiting
            tokio::task::yield_now().await;
        }
    }

    fn answer(&mut self, call: &Call) {
        let executes = [libc::SYS_execve, libc::SYS_execveat].contains(&call.number);
        if executes && !self.started {
            // order: it is Claw's own, made by the process that confined itself and runs nothing of the agent's yet
            self.started = true;
            return self.reply(call, Reply::Continue);
        }
        let number = u32::try_from(call.number).unwrap_or(u32::MAX);
        match self.profile.answer(number, call.arguments) {
            CallAction::Allow | CallAction::Log => self.reply(call, Reply::Continue),
            // of execution the kernel's own trap cannot be had: a handler could go on
            action @ (CallAction::KillProcess | CallAction::KillThread | CallAction::Trap) => {
                let told = self.record(call, number, action);
                self.end(call, libc::SIGKILL);
                // whoever could not be ended is refused
                self.reply(call, Reply::Error(libc::EPERM));
                // order: told last, since whoever reads it may be slow
                (self.tell)(&told);
            }
            action @ CallAction::Errno(error) => {
                let _ = self.record(call, number, action);
                self.reply(call, Reply::Error(error.into()));
            }
            action @ CallAction::Notify => {
                let _ = self.record(call, number, action);
                self.reply(call, Reply::Error(libc::EPERM));
            }
            // nobody traces
            CallAction::Trace(_) => self.reply(call, Reply::Error(libc::ENOSYS)),
        }
    }

    /// Writes it down; returns it in words.
    fn record(&self, call: &Call, number: u32, action: CallAction) -> String {
        let process = broker::caller(call.thread);
        let name =
            name_of(number, self.profile.architecture).map_or_else(|| number.to_string(), str::to_owned);
        let rule = self
            .profile
            .rule(number, call.arguments)
            .map(|rule| format!("{}:{}", self.profile.name, rule.line));
        let rule = rule.unwrap_or_else(|| self.profile.name.clone());
        let who = process.as_ref().map(|process| format!("{}({})", process.exe, process.pid));
        let who = who.unwrap_or_else(|| "a process".to_owned());
        let told = format!("{who} is ended: it called {name}(2), and {rule} says {action}");
        let event = Event::Syscall { name, action: action.to_string(), rule: Some(rule), process };
        // a ledger that cannot be written permits nothing; this refuses anyway
        let _ = self.shared.journal.write(&event, None);
        told
    }

    /// As long as the call waits, its thread's number is its own.
    fn end(&self, call: &Call, number: i32) {
        if let Ok(process) = notify::leader(call.thread)
            && let Ok(process) = i32::try_from(process)
            && notify::waits(self.listener.get_ref().as_fd(), call)
        {
            let _ = signal::send(process, number);
        }
    }

    fn reply(&self, call: &Call, reply: Reply) {
        // the caller may be gone
        let _ = notify::reply(self.listener.get_ref().as_fd(), call, reply);
    }
}
