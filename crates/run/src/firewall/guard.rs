//! The guard: a process that takes the rules back unless somebody confirms them in time.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use claw_enforce::firewall::Firewall;
use claw_host::zones::TABLE;
use claw_sys::{process, signal};

use super::turn::{self, Turn};
use super::{FirewallError, open, refused};
use crate::control;

/// A guard that stands ready.
pub(super) struct Guard(Child);

impl Guard {
    /// Starts this program again as a guard, and waits until it has seen what the kernel holds now.
    pub(super) fn start(seconds: u64) -> Result<Guard, FirewallError> {
        let failed = |source| FirewallError::Kernel { what: "start what would take the rules back", source };
        // the name of a program that was replaced meanwhile would be another one
        let mut child = Command::new("/proc/self/exe")
            .args(["host", "firewall", "--guard", &seconds.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .current_dir("/")
            .spawn()
            .map_err(failed)?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).take(1024).read_line(&mut line).map_err(failed)?;
        }
        match line.trim() {
            "ready" => Ok(Guard(child)),
            "waiting" => Err(FirewallError::Waiting),
            "" => Err(failed(io::Error::other("it ended at once"))),
            why => Err(failed(io::Error::other(why.to_owned()))),
        }
    }

    /// Nothing was changed: there is nothing to take back.
    pub(super) fn dismiss(mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the guard process does. It ends when the rules are confirmed or taken back.
pub fn guard(seconds: u64) -> Result<(), FirewallError> {
    let failed = |source| FirewallError::Kernel { what: "stand guard", source };
    process::leave_session().map_err(failed)?;
    signal::block(IGNORED).map_err(failed)?;
    let mut output = io::stdout();
    let stands = Turn::take().and_then(|turn| {
        let turn = turn.ok_or_else(|| FirewallError::Turn {
            path: turn::DIRECTORY.into(),
            source: io::ErrorKind::PermissionDenied.into(),
        })?;
        let listener = turn.listen()?;
        Ok((turn, listener))
    });
    let (_turn, listener) = match stands {
        Ok(stands) => stands,
        Err(error) => {
            let why = std::error::Error::source(&error).map_or(String::new(), |why| format!(": {why}"));
            let _ = match error {
                FirewallError::Waiting => writeln!(output, "waiting"),
                _ => writeln!(output, "{error}{why}"),
            };
            return Err(error);
        }
    };
    let firewall = open()?;
    let before = firewall.take(TABLE).map_err(refused("read the rules"))?;
    writeln!(output, "ready").map_err(failed)?;
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let milliseconds = i32::try_from(left.as_millis().saturating_add(1)).unwrap_or(i32::MAX);
        match process::poll(&[listener.as_fd()], milliseconds) {
            Ok(ready) if ready == [true] => {
                if listener.accept().is_ok_and(|(stream, _)| confirmed(stream)) {
                    return Ok(());
                }
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    // somebody else may be changing rules at this moment
    let mut tried = firewall.restore(TABLE, &before);
    for _ in 0..50 {
        if tried.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        // answers to what failed may still lie in the socket
        tried = match Firewall::open() {
            Ok(fresh) => fresh.restore(TABLE, &before),
            Err(_) => firewall.restore(TABLE, &before),
        };
    }
    tried.map_err(refused("take the rules back"))
}

/// Confirms what an application put into force: whoever waits is of root or this user, and the kernel holds the table.
pub fn confirm() -> Result<(), FirewallError> {
    let firewall = open()?;
    let there = || firewall.take(TABLE).map(|held| held.table.is_some()).map_err(refused("read the rules"));
    let Some(mut stream) = turn::waiting()? else { return Err(FirewallError::NothingWaits) };
    if !there()? {
        return Err(FirewallError::Gone);
    }
    let mut answer = String::new();
    let asked = stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .and_then(|()| stream.write_all(b"confirm\n"))
        .and_then(|()| BufReader::new(stream).take(64).read_line(&mut answer));
    match (asked, answer.trim()) {
        (Ok(_), "kept") if there()? => Ok(()),
        (Ok(_), "kept") => Err(FirewallError::Gone),
        _ => Err(FirewallError::NothingWaits),
    }
}

/// Only whoever may change the rules may confirm them.
fn confirmed(mut stream: UnixStream) -> bool {
    if !control::is_own(&stream) || stream.set_read_timeout(Some(Duration::from_secs(1))).is_err() {
        return false;
    }
    let mut line = String::new();
    let Ok(copy) = stream.try_clone() else { return false };
    if BufReader::new(copy).take(64).read_line(&mut line).is_err() || line.trim() != "confirm" {
        return false;
    }
    stream.write_all(b"kept\n").is_ok()
}

/// What a terminal and a session send when they end. Whoever wants the guard gone confirms.
const IGNORED: &[i32] = &[
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGQUIT,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGPIPE,
];
