//! Calls that a seccomp profile ends a process for, and every execution under one: asked here, so that the record names
//! call and rule before the process ends, and so that the agent itself can be started under a profile that executes
//! nothing.

use std::os::fd::AsFd;
use std::rc::Rc;

use claw_enforce::Calls;
use claw_ledger::record::Event;
use claw_policy::seccomp::{CallAction, CallProfile, name_of};
use claw_sys::notify::{self, Call, Reply};

use crate::Shared;

/// Answers for one profile.
pub(crate) struct Guard {
    pub(crate) shared: Rc<Shared>,
    /// Where calls are answered.
    pub(crate) calls: Rc<Calls>,
    pub(crate) profile: CallProfile,
    pub(crate) tell: fn(&str),
    /// The agent was started.
    pub(crate) started: bool,
}

impl Guard {
    /// Answers as the profile says. The first execution is the agent's start.
    pub(crate) fn answer(&mut self, call: &Call) {
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
                // order: only what is written down; init answers too. If init is gone, so is the caller
                let _ = self.calls.end(call);
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
        let process = self.shared.who.borrow().caller(call.thread);
        // what was read is the caller's only if it still waits
        let process = process.filter(|_| notify::waits(self.calls.listener.as_fd(), call));
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

    fn reply(&self, call: &Call, reply: Reply) {
        // the caller may be gone
        let _ = notify::reply(self.calls.listener.as_fd(), call, reply);
    }
}
