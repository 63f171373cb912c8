//! What the kernel refused by itself: read from its log, given a reason, and written down.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use claw_model::protocol::Transport;
use claw_policy::{Decision, Reason};
use claw_sys::netlink::Socket;
use claw_sys::nflog::{self, Lost, Refused};
use tokio::io::unix::AsyncFd;

use crate::{Attempt, Shared, waitable};

/// The kernel's log of what its rules refused.
pub(crate) struct Log {
    socket: AsyncFd<Socket>,
    buffer: RefCell<Vec<u8>>,
    expected: Cell<Option<u32>>,
}

impl Log {
    /// Starts to read it.
    pub(crate) fn serve(shared: &Rc<Shared>, refusals: Socket) -> io::Result<Rc<Log>> {
        let log = Rc::new(Log {
            socket: waitable(refusals)?,
            buffer: RefCell::new(vec![0u8; 32 * 1024]),
            expected: Cell::new(None),
        });
        let (shared, own) = (Rc::clone(shared), Rc::clone(&log));
        tokio::task::spawn_local(async move {
            loop {
                let Ok(mut ready) = own.socket.readable().await else { return };
                if own.take(&shared) == Taken::All {
                    ready.clear_ready();
                }
                // fairness: a log that never runs dry must not keep others waiting
                tokio::task::yield_now().await;
            }
        });
        Ok(log)
    }

    /// Writes down what is there. What was refused before a process ended is there when it has ended.
    pub(crate) fn drain(&self, shared: &Shared) {
        for _ in 0..MOST_AT_THE_END {
            if self.take(shared) == Taken::All {
                break;
            }
        }
    }

    fn take(&self, shared: &Shared) -> Taken {
        let (mut lost, mut expected) = (0u64, self.expected.get());
        let read = nflog::read(self.socket.get_ref(), &mut self.buffer.borrow_mut(), |refused| {
            lost = lost.saturating_add(gap(&mut expected, refused.sequence));
            take(shared, &refused);
        });
        self.expected.set(expected);
        if lost > 0 {
            let event = claw_ledger::record::Event::Repeat {
                of: None,
                count: lost,
                reason: Some(Reason::NoRule.code().to_owned()),
                bytes_out: None,
                bytes_in: None,
            };
            let _ = shared.journal.write(&event, None);
        }
        match read {
            // of lost ones the numbers of the next packets say how many
            Ok(Lost::None | Lost::Some) => Taken::Some,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Taken::All,
            Err(_) => Taken::Some,
        }
    }
}

/// Whether more may be there.
#[derive(PartialEq, Eq)]
enum Taken {
    Some,
    All,
}

/// More than the socket's buffer holds.
const MOST_AT_THE_END: u32 = 1 << 16;

/// How many packets are missing before this one.
fn gap(expected: &mut Option<u32>, sequence: Option<u32>) -> u64 {
    let Some(sequence) = sequence else { return 0 };
    let missing = expected.map_or(0, |expected| sequence.wrapping_sub(expected));
    *expected = Some(sequence.wrapping_add(1));
    u64::from(missing)
}

fn take(shared: &Shared, refused: &Refused) {
    // the canary's refusals are not the agent's; once all were heard, nothing is the canary's any more
    if shared.probes.get() != crate::ALL_PROBES
        && let Some(number) = claw_enforce::probe_number(refused.destination, refused.transport)
    {
        shared.probes.set(shared.probes.get() | 1 << number);
        shared.probed.notify_one();
        return;
    }
    let (address, port) = refused.destination;
    let transport = match refused.transport {
        6 => Transport::Tcp,
        _ => Transport::Udp,
    };
    let attempt = Attempt {
        target: shared.target(address),
        port,
        transport,
        agent: refused.source.into(),
        destination: refused.destination.into(),
        process: None,
    };
    if !matches!(refused.transport, 6 | 17) {
        let sentence = format!("IP protocol {} is not carried", refused.transport);
        return shared.denied_because(&attempt, None, Reason::Unsupported, sentence);
    }
    match shared.decide(&attempt) {
        Decision::Deny(denial) => shared.denied(&attempt, &denial),
        // permitted by the policy, but at an address that no look-up gave out for it
        Decision::Allow(permit) => {
            let sentence = "the address was not looked up in this run".to_owned();
            shared.denied_because(&attempt, Some(permit.rule()), Reason::RawAddress, sentence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_numbers_are_counted() {
        let mut expected = None;
        assert_eq!(gap(&mut expected, Some(5)), 0);
        assert_eq!(gap(&mut expected, Some(6)), 0);
        assert_eq!(gap(&mut expected, Some(10)), 3);
        assert_eq!(gap(&mut expected, None), 0);
        assert_eq!(gap(&mut expected, Some(11)), 0);
    }
}
