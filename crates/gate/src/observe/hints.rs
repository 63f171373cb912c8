//! What hooks inside say of the package that opens a connection. The agent's word: for records and people only.
//!
//! A hook sends one datagram before it connects, so what there is to hear is there when the connection is written down.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use claw_sys::socket;

/// Who connects where: the process, the host as the hook names it, the port.
type Key = (u32, String, u16);

/// The latest that each process said of each destination.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    socket: Option<OwnedFd>,
    said: HashMap<Key, (String, Instant)>,
    /// INVARIANT: each key of `said`, in the order they came first.
    order: VecDeque<Key>,
}

impl Hints {
    /// Heard on this socket, if there is one.
    pub(crate) fn on(socket: Option<OwnedFd>) -> Hints {
        Hints { socket, ..Hints::default() }
    }

    /// Whether anything can be heard.
    pub(crate) fn are_heard(&self) -> bool {
        self.socket.is_some()
    }

    /// Takes what was said until now. `named` turns the host into the destination's name.
    pub(crate) fn hear(&mut self, named: impl Fn(&str) -> String) {
        let mut buffer = [0; LONGEST];
        for _ in 0..MOST_AT_ONCE {
            let Some(socket) = &self.socket else { return };
            let Ok(length) = socket::receive(socket.as_fd(), &mut buffer, libc::MSG_DONTWAIT) else { return };
            let text = buffer.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok());
            if let Some(((pid, host, port), package)) = text.and_then(read) {
                self.take((pid, named(&host), port), package, Instant::now());
            }
        }
    }

    fn take(&mut self, key: Key, package: String, now: Instant) {
        if self.said.insert(key.clone(), (package, now)).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.said.remove(&oldest);
        }
    }

    /// What was said of this, if it is not too long ago.
    pub(crate) fn of(&self, pid: u32, host: &str, port: u16, now: Instant) -> Option<String> {
        let (package, when) = self.said.get(&(pid, host.to_owned(), port))?;
        (now.saturating_duration_since(*when) < FRESH).then(|| package.clone())
    }
}

/// `PID TAB HOST TAB PORT TAB PACKAGE`, and nothing else.
fn read(text: &str) -> Option<(Key, String)> {
    let parts: Vec<&str> = text.split('\t').collect();
    let [pid, host, port, package] = parts.as_slice() else { return None };
    let plain = |text: &str, most: usize, more: &[u8]| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(&byte);
        !text.is_empty() && text.len() <= most && text.bytes().all(known)
    };
    if !plain(package, 128, b"-_.@/") || !plain(host, 255, b"-_.:%") {
        return None;
    }
    Some(((pid.parse().ok()?, (*host).to_owned(), port.parse().ok()?), (*package).to_owned()))
}

/// Bytes of what a hook says.
const LONGEST: usize = 512;
/// How many are taken before one connection is written down: an agent cannot keep the gate busy with them.
const MOST_AT_ONCE: usize = 64;
const MOST: usize = 1_024;
const FRESH: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_read_strictly() {
        let read = |text: &str| {
            read(text).map(|((pid, host, port), package)| format!("{pid} {host} {port} {package}"))
        };
        assert_eq!(read("7\tapi.test\t443\t@scope/name").as_deref(), Some("7 api.test 443 @scope/name"));
        assert_eq!(read("7\t2606:4700::1\t443\topenai").as_deref(), Some("7 2606:4700::1 443 openai"));
        for wrong in [
            "",
            "7\tapi.test\t443",
            "7\tapi.test\t443\topenai\tmore",
            "-7\tapi.test\t443\topenai",
            "7\tapi.test\t65536\topenai",
            "7\tapi.test\t443\topen ai",
            "7\tapi.test\t443\t\u{1b}[2J",
            "7\tapi test\t443\topenai",
            "7\tapi.test\t443\t",
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
        assert_eq!(read(&format!("7\ta\t1\t{}", "x".repeat(129))), None);
    }

    #[test]
    fn the_latest_counts_for_a_while_and_memory_is_bounded() {
        let (mut hints, now) = (Hints::default(), Instant::now());
        let key = |number: u32| (number, "api.test".to_owned(), 443);
        hints.take(key(7), "one".into(), now);
        hints.take(key(7), "two".into(), now);
        assert_eq!(hints.of(7, "api.test", 443, now).as_deref(), Some("two"));
        assert_eq!(hints.of(8, "api.test", 443, now), None);
        assert_eq!(hints.of(7, "api.test", 80, now), None);
        assert_eq!(hints.of(7, "api.test", 443, now + FRESH), None);
        (0..5_000).for_each(|number| hints.take(key(number), "x".into(), now));
        assert!(hints.said.len() == MOST && hints.order.len() == MOST);
    }
}
