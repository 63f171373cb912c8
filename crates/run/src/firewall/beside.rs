//! What everybody else's rules do beside ours. Whatever one chain drops is gone, and what never comes by is not judged.

use claw_enforce::firewall::{Firewall, family};
use claw_sys::nft::Verdict;
use claw_sys::snapshot::{Act, Base};
use serde::Serialize;

use super::{FirewallError, refused};

/// Something of others that decides too.
#[derive(Debug, Serialize)]
pub struct Beside {
    /// What it is, and what it does.
    pub what: String,
    /// Whether packets get around the declared rules by it: they are never judged, or as something that they are not.
    pub around: bool,
}

/// Everything of others that rewrites, diverts, copies or drops.
pub(super) fn found(firewall: &Firewall, own: &str) -> Result<Vec<Beside>, FirewallError> {
    let found = firewall.others(own).map_err(refused("read the other tables"))?;
    let mut all: Vec<Beside> = found.bases.iter().flat_map(base).collect();
    all.extend(found.flows.iter().map(|(number, table, name)| Beside {
        what: format!(
            "table {} {table}, flow table {name}: what it accelerates passes no forward chain, walls neither",
            family(*number)
        ),
        around: true,
    }));
    for (path, name) in
        [("/proc/net/ip_tables_names", "iptables"), ("/proc/net/ip6_tables_names", "ip6tables")]
    {
        let names = std::fs::read_to_string(path).unwrap_or_default();
        let names: Vec<&str> = names.split_whitespace().collect();
        if !names.is_empty() {
            let what = format!(
                "legacy {name} ({}): its rules are judged too and are not shown by nf_tables",
                names.join(", ")
            );
            all.push(Beside { what, around: false });
        }
    }
    Ok(all)
}

fn base(base: &Base) -> Vec<Beside> {
    let hook = hook(base);
    let on = match base.devices.as_slice() {
        [] => String::new(),
        devices => format!(" on {}", devices.join(", ")),
    };
    let place = format!(
        "table {} {}, chain {} ({hook}{on}, priority {})",
        family(base.family),
        base.table,
        base.chain,
        base.hook.priority
    );
    let mut told = Vec::new();
    let mut tell = |around, what: &str| told.push(Beside { what: format!("{place}: {what}"), around });
    // our chains sit at priority 0 of input, forward and output
    let before = matches!(hook, "ingress" | "prerouting") || base.hook.priority < 0;
    for act in &base.acts {
        match act {
            Act::Refuse | Act::Queue if base.hook.policy == Verdict::Drop => {}
            Act::Refuse => {
                tell(false, "has rules that drop or reject; flows declared here must pass there too");
            }
            Act::Queue => tell(false, "hands packets to a program, which may drop or change them"),
            Act::Source if before => {
                tell(true, "may rewrite where packets come from before zones are judged");
            }
            Act::Source => tell(false, "may rewrite where packets come from, after zones were judged"),
            Act::Destination => tell(
                false,
                "may rewrite destinations before zones are judged; what counts is where a packet then goes",
            ),
            Act::Bytes => tell(before, "may rewrite bytes of packets, addresses too"),
            Act::Untrack => {
                tell(false, "hides packets from connection tracking; answers to them fit no flow here");
            }
            Act::Divert => tell(
                false,
                "may give packets that are for others to a socket of this host; here they count as `in`",
            ),
            Act::Copy => tell(true, "sends copies of packets elsewhere; no chain judges them"),
            Act::Forward => tell(true, "sends packets out by another interface; no chain judges them"),
            Act::Accelerate => tell(true, "puts flows on a flow table; they pass no forward chain"),
        }
    }
    if base.hook.policy == Verdict::Drop {
        tell(false, "drops what it does not accept itself; flows declared here must pass there too");
    }
    if told.is_empty() && base.family == BRIDGE {
        told.push(Beside {
            what: format!("{place}: frames between ports of one bridge are not judged here"),
            around: false,
        });
    }
    told
}

/// `NF_INET_*`, `NF_BR_*`, `NF_NETDEV_*`, `NF_ARP_*`.
fn hook(base: &Base) -> &'static str {
    match (base.family, base.hook.number) {
        (NETDEV, 0) | (INET, 5) => "ingress",
        (NETDEV, 1) => "egress",
        (ARP, 0) => "input",
        (ARP, 1) => "output",
        (_, 0) => "prerouting",
        (_, 1) => "input",
        (_, 2) => "forward",
        (_, 3) => "output",
        (_, 4) => "postrouting",
        _ => "another hook",
    }
}

const INET: u8 = 1;
const ARP: u8 = 3;
const NETDEV: u8 = 5;
const BRIDGE: u8 = 7;
