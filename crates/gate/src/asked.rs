//! Calls of the agent that init took and passed on: connections that may be brokered, and what a system call profile says something
//! about.

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use claw_enforce::{Asked, Calls};
use claw_policy::seccomp::CallProfile;
use claw_sys::process;

use crate::broker::Broker;
use crate::guard::Guard;
use crate::{Gate, waitable};

impl Gate {
    /// Answers the calls that are told here; those of the profile as it says.
    pub fn answer(&self, calls: Calls, profile: Option<CallProfile>, tell: fn(&str)) -> std::io::Result<()> {
        let ready = calls.channel.try_clone()?;
        let calls = Rc::new(calls);
        let broker = Broker::begin(&self.shared, &calls);
        let (shared, own) = (Rc::clone(&self.shared), Rc::clone(&calls));
        let guard = profile.map(|profile| Guard { shared, calls: own, profile, tell, started: false });
        tokio::task::spawn_local(serve(calls, waitable(ready)?, broker, guard));
        Ok(())
    }
}

async fn serve(
    calls: Rc<Calls>,
    channel: tokio::io::unix::AsyncFd<OwnedFd>,
    broker: Rc<Broker>,
    mut guard: Option<Guard>,
) {
    loop {
        let Ok(mut ready) = channel.readable().await else { return };
        for turn in 1..=TURNS {
            if !matches!(process::poll(&[channel.get_ref().as_fd()], 0).as_deref(), Ok([true])) {
                ready.clear_ready();
                break;
            }
            match (calls.next(), &mut guard) {
                (Ok(Asked::Connect(connecting)), _) => Rc::clone(&broker).answer(connecting),
                (Ok(Asked::Profile(call)), Some(guard)) => guard.answer(&call),
                // a call that nobody answers waits until the run ends: it was not let through
                (Ok(Asked::Profile(_)), None) => {}
                // everyone inside has ended
                (Err(error), _) if error.kind() == ErrorKind::UnexpectedEof => return,
                // one that cannot be understood keeps nobody else waiting
                (Err(_), _) => {}
            }
            // fairness: an agent that asks without end must not keep others waiting
            if turn == TURNS {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Calls that are answered before others get their turn.
const TURNS: u32 = 16;
