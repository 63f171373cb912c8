//! Sockets, interfaces, rules and routes, asked of the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use claw_host::Read;
use claw_host::facts::{Chain, Hook, Link, Listener, Process, Transport, Way};
use claw_sys::{diag, link, netlink, nft};

use super::FILES_ONLY;
use super::processes::Seen;
use super::root::Root;

/// Sockets that wait for others. A tree has them in `/proc/net`; so has a host that does not answer by netlink.
pub(super) fn listeners(root: &Root, processes: &Read<Vec<Seen>>) -> Read<Vec<Listener>> {
    if root.is_live()
        && let Ok(found) = diag::open().and_then(|socket| diag::listeners(&socket))
    {
        let wanted: BTreeSet<u32> = found.iter().map(|one| one.inode).collect();
        let (holders, all) = holders(&wanted);
        let by_number: BTreeMap<u32, &Process> =
            processes.known().into_iter().flatten().map(|one| (one.process.pid, &one.process)).collect();
        let listener = |one: diag::Listener| {
            let held: Vec<&Process> = holders
                .get(&one.inode)
                .into_iter()
                .flatten()
                .filter_map(|pid| by_number.get(pid).copied())
                .collect();
            let ssh = |process: &&&Process| process.user == 0 && process.service(&["sshd"]).known().is_some();
            let server = held.iter().find(ssh);
            Listener {
                transport: if one.transport == 6 { Transport::Tcp } else { Transport::Udp },
                local: one.local,
                user: one.user,
                process: server.or(held.first()).map(|process| process.name.clone()),
                ssh: match (server, held.is_empty()) {
                    (Some(_), _) => Read::Known(true),
                    (None, false) if all => Read::Known(false),
                    (None, _) if !all => Read::Unknown(format!(
                        "more than {MOST_DESCRIPTORS} descriptors are open, and not all were looked at"
                    )),
                    (None, _) => Read::Unknown("whose it is could not be seen".to_owned()),
                },
            }
        };
        return Read::Known(found.into_iter().map(listener).collect());
    }
    let place = if root.is_live() { "/proc/thread-self/net" } else { "/proc/net" };
    let mut all = Vec::new();
    for (name, transport, state) in [
        ("tcp", Transport::Tcp, "0A"),
        ("tcp6", Transport::Tcp, "0A"),
        ("udp", Transport::Udp, "07"),
        ("udp6", Transport::Udp, "07"),
    ] {
        match root.text(Path::new(&format!("{place}/{name}"))) {
            Read::Known(text) => {
                all.extend(text.lines().skip(1).filter_map(|line| listed(line, transport, state)))
            }
            // a kernel without IPv6
            Read::Absent if name.ends_with('6') => {}
            Read::Absent => return Read::Unknown(format!("there is no {place}/{name}")),
            Read::Unknown(why) => return Read::Unknown(why),
        }
    }
    Read::Known(all)
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid …` (proc_pid_net(5)); addresses are words of the
/// machine's byte order.
fn listed(line: &str, transport: Transport, wanted: &str) -> Option<Listener> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, local, _, state, _, _, _, user, ..] = fields.as_slice() else { return None };
    let (address, port) = local.split_once(':')?;
    let words: Vec<u8> = address
        .as_bytes()
        .chunks(8)
        .filter_map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok())
        .flat_map(u32::to_ne_bytes)
        .collect();
    let address: IpAddr = match words.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(words).ok()?).into(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?).into(),
        _ => return None,
    };
    let local = SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?);
    (*state == wanted).then_some(Listener {
        transport,
        local,
        user: user.parse().ok()?,
        process: None,
        ssh: Read::Unknown("files do not tell whose it is".to_owned()),
    })
}

/// Which processes hold these sockets, as far as this user may see, and whether every descriptor that is shown was looked at.
fn holders(wanted: &BTreeSet<u32>) -> (BTreeMap<u32, Vec<u32>>, bool) {
    let mut found: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    if wanted.is_empty() {
        return (found, true);
    }
    let mut left = MOST_DESCRIPTORS;
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path = process.path();
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        for descriptor in fs::read_dir(path.join("fd")).into_iter().flatten().flatten() {
            left = left.saturating_sub(1);
            if left == 0 {
                return (found, false);
            }
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            let inode = target
                .to_str()
                .and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let Some(inode) = inode.filter(|inode| wanted.contains(inode)) {
                found.entry(inode).or_default().push(pid);
            }
        }
    }
    (found, true)
}

/// Where vsock(7) sockets wait: no address and no rule of the network holds them.
pub(super) fn vsocks(root: &Root) -> Read<Vec<(u32, u32)>> {
    if !root.is_live() {
        return Read::Unknown(FILES_ONLY.to_owned());
    }
    // asking a kernel without it would make it load the module
    match root.text(Path::new("/proc/thread-self/net/protocols")) {
        Read::Known(text) if text.lines().any(|line| line.starts_with("AF_VSOCK")) => {}
        Read::Known(_) | Read::Absent => return Read::Absent,
        Read::Unknown(why) => return Read::Unknown(why),
    }
    match diag::open().and_then(|socket| diag::vsocks(&socket)) {
        Ok(all) => Read::Known(all),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Read::Unknown("this kernel has vsock, and does not list its sockets (vsock_diag)".to_owned())
        }
        Err(error) => Read::Unknown(why(&error)),
    }
}

/// Listening UNIX sockets without a file.
pub(super) fn abstracts(root: &Root) -> Read<Vec<(String, Option<u32>)>> {
    if !root.is_live() {
        return Read::Unknown(FILES_ONLY.to_owned());
    }
    match diag::open().and_then(|socket| diag::abstracts(&socket)) {
        Ok(all) => {
            let shown = |one: diag::Abstract| (String::from_utf8_lossy(&one.name).into_owned(), one.user);
            Read::Known(all.into_iter().map(shown).collect())
        }
        Err(error) => Read::Unknown(why(&error)),
    }
}

/// Interfaces with their addresses.
pub(super) fn links(root: &Root) -> Read<Vec<Link>> {
    if !root.is_live() {
        return Read::Unknown(FILES_ONLY.to_owned());
    }
    let flag = |flags: u32, flag: libc::c_int| flags & flag.cast_unsigned() != 0;
    let shown = |one: link::Interface| Link {
        name: one.name,
        kind: one.kind,
        loopback: flag(one.flags, libc::IFF_LOOPBACK),
        promiscuous: flag(one.flags, libc::IFF_PROMISC),
        addresses: one.addresses,
    };
    match link::survey() {
        Ok(all) => Read::Known(all.into_iter().map(shown).collect()),
        Err(error) => Read::Unknown(why(&error)),
    }
}

/// Base chains of every table that is in force.
pub(super) fn chains(root: &Root) -> Read<Vec<Chain>> {
    if !root.is_live() {
        return Read::Unknown(FILES_ONLY.to_owned());
    }
    let asked = netlink::Socket::open(libc::NETLINK_NETFILTER).and_then(|socket| nft::survey(&socket));
    match asked {
        // a table that is switched off holds nothing
        Ok(all) => Read::Known(all.into_iter().filter(|one| !one.dormant).map(chain).collect()),
        Err(error) => Read::Unknown(why(&error)),
    }
}

fn chain(one: nft::BaseChain) -> Chain {
    let family = match one.family {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "?",
    };
    let filter = one.kind == "filter";
    Chain {
        table: format!("{family} {}", one.table),
        name: one.name,
        v4: matches!(family, "inet" | "ip"),
        v6: matches!(family, "inet" | "ip6"),
        // NF_INET_LOCAL_IN, NF_INET_FORWARD, NF_INET_LOCAL_OUT
        hook: match one.hook {
            1 if filter => Hook::Input,
            2 if filter => Hook::Forward,
            3 if filter => Hook::Output,
            _ => Hook::Other,
        },
        drops: one.decided.unwrap_or(one.policy) == nft::Verdict::Drop,
    }
}

/// Where the kernel would send packets for these addresses.
pub(super) fn ways(root: &Root, addresses: &[&str]) -> BTreeMap<IpAddr, Read<Way>> {
    let addresses = addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
    if !root.is_live() {
        return addresses.map(|address| (address, Read::Unknown(FILES_ONLY.to_owned()))).collect();
    }
    let names: BTreeMap<u32, String> =
        link::survey().unwrap_or_default().into_iter().map(|one| (one.index, one.name)).collect();
    let way = |address| match link::way(address) {
        Ok(link::Way::Out(index, gateway)) => {
            Read::Known(Way::Out(names.get(&index).cloned().unwrap_or_else(|| index.to_string()), gateway))
        }
        Ok(link::Way::Here) => Read::Known(Way::Here),
        Ok(link::Way::Nowhere) => Read::Known(Way::Nowhere),
        Err(error) => Read::Unknown(why(&error)),
    };
    addresses.map(|address| (address, way(address))).collect()
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "only root may ask the kernel".to_owned(),
        _ => error.to_string(),
    }
}

const MOST_DESCRIPTORS: usize = 65_536;
