//! What the kernel refused by itself: read from its log, given a reason, and written down.

use std::io;
use std::rc::Rc;

use claw_model::protocol::Transport;
use claw_policy::{Decision, Reason};
use claw_sys::netlink::Socket;
use claw_sys::nflog::{self, Lost, Refused};

use crate::{Attempt, Shared, waitable};

/// Starts to read the kernel's log.
pub(crate) fn serve(shared: &Rc<Shared>, refusals: Socket) -> io::Result<()> {
    let log = waitable(refusals)?;
    let shared = Rc::clone(shared);
    tokio::task::spawn_local(async move {
        let mut buffer = vec![0u8; 32 * 1024];
        let mut expected = None;
        loop {
            let Ok(mut ready) = log.readable().await else { return };
            let mut lost = 0u64;
            let read = nflog::read(log.get_ref(), &mut buffer, |refused| {
                lost = lost.saturating_add(gap(&mut expected, refused.sequence));
                take(&shared, &refused);
            });
            match read {
                Ok(Lost::None) => {}
                // the numbers of the next packets say how many
                Ok(Lost::Some) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(_) => {}
            }
            // fairness: a log that never runs dry must not keep others waiting
            tokio::task::yield_now().await;
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
        }
    });
    Ok(())
}

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
            shared.denied_because(&attempt, Some(&permit), Reason::RawAddress, sentence);
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
