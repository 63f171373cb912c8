//! The canary: the process that will be the agent tries every forbidden way first, in its final confinement. If one
//! way is open, nothing runs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use claw_policy::seccomp::CallProfile;
use claw_sys::probe;
use claw_sys::socket::{self, Kind};

use crate::words::Failure;

/// Where the canary tries to go: documentation addresses (RFC 5737, RFC 3849) that no policy can name. The supervisor
/// must see each refusal in its log, or refusals would go unrecorded: (address, port, protocol number).
pub const PROBES: [(IpAddr, u16, u8); 3] = [
    (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77)), 9, 6),
    (IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 77)), 9, 6),
    (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77)), 9, 17),
];

/// Files that the canary tries to make.
pub const WRITES: [&str; 4] = ["/.canary", "/usr/.canary", "/etc/.canary", "/proc/sys/kernel/.canary"];
/// A setting of the kernel that the canary tries to change.
pub const SETTING: &str = "/proc/sys/kernel/domainname";

/// Which of the canary's probes a refusal belongs to, if any.
pub fn probe_number(destination: (IpAddr, u16), transport: u8) -> Option<usize> {
    PROBES.iter().position(|probe| *probe == (destination.0, destination.1, transport))
}

/// Tries everything. Returns how many ways were refused. What a profile ends a process for cannot be tried: its filters
/// are put on after this.
pub(crate) fn sing(profile: Option<&CallProfile>) -> Result<u32, Failure> {
    let mut refused = 0u32;
    let ends = |name: &str| profile.is_some_and(|profile| profile.kills_by_name(name));
    for (name, attempt) in probe::CALLS.iter().filter(|(name, _)| !ends(name)) {
        expect_refusal(name, attempt())?;
        refused = refused.saturating_add(1);
    }
    for (name, family, kind, protocol) in probe::SOCKETS {
        let made = socket::raw(*family, kind | libc::SOCK_CLOEXEC, *protocol).map(|_| ());
        expect_refusal(&format!("a {name} socket"), made)?;
        refused = refused.saturating_add(1);
    }
    for (address, port, transport) in PROBES {
        leave(SocketAddr::new(address, port), transport)?;
        refused = refused.saturating_add(1);
    }
    fast_open()?;
    for path in WRITES {
        if std::fs::write(path, "").is_ok() {
            return Err(open_way(&format!("writing `{path}`")));
        }
        refused = refused.saturating_add(1);
    }
    if std::fs::write(SETTING, "canary").is_ok() {
        return Err(open_way("changing kernel settings"));
    }
    Ok(refused.saturating_add(2))
}

/// A connection or a datagram to an address that no rule names.
fn leave(to: SocketAddr, transport: u8) -> Result<(), Failure> {
    let kind = if transport == 6 { Kind::Stream } else { Kind::Datagram };
    let socket = match socket::open(kind, to) {
        Ok(socket) => socket,
        Err(error) => return Err(Failure::new("let the canary try", error)),
    };
    let way = format!("reaching {to}");
    if kind == Kind::Datagram {
        return match socket::send(socket.as_fd(), b"canary", 0, Some(to)) {
            Ok(_) => Err(open_way(&way)),
            Err(_) => Ok(()),
        };
    }
    match socket::connect(socket.as_fd(), to) {
        Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => Ok(()),
        // the answer on loopback comes before connect returns, or right behind it
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
            match socket::connect(socket.as_fd(), to) {
                Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => Ok(()),
                Err(error) => Err(Failure::new(format!("refuse {way} at once"), error)),
                Ok(()) => Err(open_way(&way)),
            }
        }
        Err(error) => Err(Failure::new(format!("refuse {way} with a reset"), error)),
        Ok(()) => Err(open_way(&way)),
    }
}

/// Data in the first packet must be refused by the filter, not merely by the rules.
fn fast_open() -> Result<(), Failure> {
    let (address, port, _) = PROBES[0];
    let to = SocketAddr::new(address, port);
    let socket = socket::open(Kind::Stream, to).map_err(|error| Failure::new("let the canary try", error))?;
    match socket::send(socket.as_fd(), b"canary", libc::MSG_FASTOPEN, Some(to)) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
        Err(error) => Err(Failure::new("refuse TCP fast open", error)),
        Ok(_) => Err(open_way("TCP fast open")),
    }
}

fn expect_refusal(name: &str, answer: io::Result<()>) -> Result<(), Failure> {
    match answer {
        Err(error) if probe::is_refusal(&error) => Ok(()),
        Err(error) => Err(Failure::new(format!("refuse {name} by the filter"), error)),
        Ok(()) => Err(open_way(name)),
    }
}

fn open_way(way: &str) -> Failure {
    Failure::new("close every way out", format!("the canary succeeded at {way}"))
}
