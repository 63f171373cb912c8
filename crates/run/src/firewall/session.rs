//! The operator's own connection: an open TCP connection that this process or one above it came in by.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use claw_host::zones::Session;

/// The open connections of this network namespace, loopback's left out.
pub fn established() -> io::Result<Vec<Session>> {
    Ok(table()?.into_iter().map(|(session, _)| session).collect())
}

/// Those held by the processes that this one was started by: the session of a remote shell, whatever the environment says.
pub fn of_ancestors() -> io::Result<Vec<Session>> {
    let table = table()?;
    let mut found = Vec::new();
    let mut pid = std::process::id();
    for _ in 0..MOST_ANCESTORS {
        let held = sockets(pid);
        found.extend(table.iter().filter(|(_, inode)| held.contains(inode)).map(|(session, _)| *session));
        match parent(pid) {
            Some(above) if above > 0 => pid = above,
            _ => break,
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Open connections and the inodes of their sockets (proc(5), `/proc/net/tcp`).
fn table() -> io::Result<Vec<(Session, u64)>> {
    let four = fs::read_to_string("/proc/net/tcp")?;
    // a kernel without IPv6 has no such file
    let six = fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    Ok(four.lines().chain(six.lines()).filter_map(line).collect())
}

fn line(line: &str) -> Option<(Session, u64)> {
    let mut words = line.split_whitespace().skip(1);
    let (own, own_port) = end(words.next()?)?;
    let (peer, peer_port) = end(words.next()?)?;
    if words.next()? != "01" || own.is_loopback() {
        return None;
    }
    let inode = words.nth(5)?.parse().ok()?;
    Some((Session { peer, peer_port, own, own_port }, inode))
}

/// An address as the kernel prints it: words of 32 bits in the machine's order.
fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let word =
        |at: usize| u32::from_str_radix(address.get(at..at.checked_add(8)?)?, 16).ok().map(u32::to_ne_bytes);
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let octets: Vec<u8> = [word(0)?, word(8)?, word(16)?, word(24)?].concat();
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)).to_canonical()
        }
        _ => return None,
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

fn sockets(pid: u32) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(PathBuf::from(format!("/proc/{pid}/fd"))) else { return Vec::new() };
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let inode = |link: PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    links.filter_map(inode).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name before may hold anything
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

/// No real chain of processes is longer.
const MOST_ANCESTORS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_table_is_read_in_both_families() {
        let four = "   1: 0100000A:0016 0200000A:D431 01 00000000:00000000 00:00000000 00000000     0        0 4711 1 0";
        let (session, inode) = line(four).unwrap();
        assert_eq!((session.to_string().as_str(), inode), ("10.0.0.2:54321 to 10.0.0.1:22", 4711));
        let mapped = "   1: 0000000000000000FFFF00000100000A:0016 0000000000000000FFFF00000200000A:D431 01 0:0 0:0 0 0 0 7";
        assert_eq!(line(mapped).unwrap().0, session);
        let listening =
            "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 9 1 0";
        assert_eq!(line(listening), None);
        assert_eq!(line("  sl  local_address rem_address   st tx_queue rx_queue"), None);
    }
}
