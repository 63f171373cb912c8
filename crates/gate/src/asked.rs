//! Calls of the agent that init took and passed on: connections that may be brokered, and what a system call profile says something
//! about.

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
        let listener = Rc::new(calls.listener.try_clone()?);
        let broker = Broker::begin(&self.shared, &listener);
        let shared = Rc::clone(&self.shared);
        let guard = profile.map(|profile| Guard { shared, listener, profile, tell, started: false });
        let ready = calls.channel.try_clone()?;
        tokio::task::spawn_local(serve(calls, waitable(ready)?, broker, guard));
        Ok(())
    }
}

async fn serve(
    calls: Calls,
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
                (Ok(Asked::Profile(call, thread)), Some(guard)) => guard.answer(&call, &thread),
                // a call that nobody answers waits until the run ends: it was not let through
                (Ok(Asked::Profile(..)), None) => {}
                // everyone inside has ended
                (Err(_), _) => return,
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
