//! A gate that somebody took over, for tests: what he tries is told, and whether it was held. Debug builds alone have it.

use std::os::fd::BorrowedFd;
use std::path::Path;

use claw_sys::taken::{Prize, attempts, is_refused};

/// Tries everything, if a test asks for it. `CLAW_TEST_TAKEN` names a directory with a `secret`, a `socket` and one that is
/// `empty`.
pub(crate) fn attempt(processes: BorrowedFd<'_>, peer: BorrowedFd<'_>, tell: fn(&str)) {
    let Some(place) = std::env::var_os("CLAW_TEST_TAKEN") else { return };
    let place = Path::new(&place);
    let (file, socket, directory) = (place.join("secret"), place.join("socket"), place.join("empty"));
    let prize = Prize { file: &file, socket: &socket, directory: &directory, processes, peer };
    match attempts(&prize) {
        Ok(tried) => {
            for (name, result) in tried {
                let verdict = if is_refused(&result) { "held" } else { "OUT" };
                tell(&format!("taken: {verdict}: {name}: {result:?}"));
            }
        }
        Err(error) => tell(&format!("taken: {error}")),
    }
}
