//! The host's firewall: putting it into force without locking anybody out, and watching that it stays.
//!
//! A guard process takes what the kernel held before, leaves the terminal, and puts it back unless somebody confirms in
//! time. It is asked over a socket in the abstract namespace, so it belongs to this network namespace and leaves no file.

mod guard;
mod persist;
mod session;
mod watch;

use std::io;

use claw_enforce::firewall::{Comparison, Drift, Firewall, family};
use claw_host::zones::{Ruleset, Session, Zones};
use claw_sys::nft::Verdict;
use serde::Serialize;

pub use guard::{confirm, guard};
pub use persist::{PersistError, persist};
pub use session::{established, of_ancestors};
pub use watch::watch;

use guard::Guard;

/// Why the firewall is not in force, or could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// Not for this user.
    #[error("cannot change the firewall: `CAP_NET_ADMIN` is missing")]
    NotAllowed,
    /// The kernel refused.
    #[error("cannot {what}")]
    Kernel {
        /// What was being done.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another application waits for its confirmation.
    #[error("an earlier `--apply` still waits for its confirmation")]
    Waiting,
    /// The kernel does not hold what it was given.
    #[error("the kernel holds other rules than it was given: {}", .0.iter().map(told).collect::<Vec<_>>().join("; "))]
    Otherwise(Vec<Drift>),
    /// Nobody waits for a confirmation.
    #[error("no `--apply` waits for a confirmation here")]
    NothingWaits,
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] crate::LedgerError),
}

impl FirewallError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            FirewallError::NotAllowed => Some("run it as root, in the network namespace that is meant"),
            FirewallError::Kernel { .. } => Some(
                "the kernel needs CONFIG_NF_TABLES_INET, CONFIG_NFT_CT, CONFIG_NFT_LIMIT, CONFIG_NFT_LOG",
            ),
            FirewallError::Waiting => {
                Some("`claw host firewall --confirm` keeps its rules; or wait until they are taken back")
            }
            FirewallError::Otherwise(_) => {
                Some("something else changes nf_tables; what was there before was put back")
            }
            FirewallError::NothingWaits => {
                Some("the time may be over, and the rules taken back: `--check` tells")
            }
            FirewallError::Ledger(_) => None,
        }
    }
}

/// What an application did.
#[derive(Debug, Serialize)]
pub struct Receipt {
    /// Rules and elements that the kernel holds.
    pub rules: usize,
    /// Elements of sets.
    pub elements: usize,
    /// Sessions that are kept.
    pub kept: Vec<Session>,
    /// Within how many seconds it must be confirmed; `None`: it stays.
    pub confirm_within: Option<u64>,
    /// What others' rules do that these cannot overrule.
    pub others: Vec<String>,
}

/// What a comparison found.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Whether the kernel holds what is declared.
    pub sound: bool,
    /// What differs, and what rules counted.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// Sessions that are kept open beside the declared flows.
    pub kept: Vec<Session>,
    /// What others' rules do that these cannot overrule.
    pub others: Vec<String>,
}

/// Opens the rules of this network namespace, or says clearly that this user may not.
pub fn open() -> Result<Firewall, FirewallError> {
    Firewall::open().map_err(|source| match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => FirewallError::NotAllowed,
        _ => FirewallError::Kernel { what: "open nf_tables", source },
    })
}

/// Puts the zones into force in one transaction, reads them back, and takes them back in `within` seconds unless confirmed.
pub fn apply(zones: &Zones, keep: &[Session], within: Option<u64>) -> Result<Receipt, FirewallError> {
    let firewall = open()?;
    let ruleset = zones.ruleset(keep);
    let before = firewall.take(&ruleset.table).map_err(refused("read the rules"))?;
    // order: whoever would take the rules back stands ready before they hold
    let guard = within.map(Guard::start).transpose()?;
    let applied = put(&firewall, &ruleset);
    if let Err(error) = applied {
        if matches!(error, FirewallError::Otherwise(_)) {
            firewall.restore(&ruleset.table, &before).map_err(refused("put the rules back"))?;
        }
        if let Some(guard) = guard {
            guard.dismiss();
        }
        return Err(error);
    }
    let (rules, elements) = ruleset.size();
    let others = others(&firewall, &ruleset)?;
    Ok(Receipt { rules, elements, kept: keep.to_vec(), confirm_within: within, others })
}

fn put(firewall: &Firewall, ruleset: &Ruleset) -> Result<(), FirewallError> {
    firewall.replace(ruleset).map_err(refused("install the rules"))?;
    let held = firewall.compare(ruleset).map_err(refused("read the rules back"))?;
    if held.drift.is_empty() { Ok(()) } else { Err(FirewallError::Otherwise(held.drift)) }
}

/// Compares what the kernel holds with the zones. Sessions that are kept count as declared while they are open.
pub fn check(zones: &Zones) -> Result<Checked, FirewallError> {
    let firewall = open()?;
    let open = established().unwrap_or_default();
    let bare = zones.ruleset(&[]);
    // a kept session is an element of its set: what is held and open is taken as declared
    let kept: Vec<Session> =
        match firewall.compare(&bare).map_err(refused("compare the rules"))?.drift.is_empty() {
            true => Vec::new(),
            false => held_sessions(&firewall, &bare, &open)?,
        };
    let ruleset = zones.ruleset(&kept);
    let comparison = firewall.compare(&ruleset).map_err(refused("compare the rules"))?;
    let others = others(&firewall, &ruleset)?;
    Ok(Checked { sound: comparison.drift.is_empty(), comparison, kept, others })
}

/// Which open sessions the kernel holds as kept.
fn held_sessions(
    firewall: &Firewall,
    bare: &Ruleset,
    open: &[Session],
) -> Result<Vec<Session>, FirewallError> {
    let drift = firewall.compare(bare).map_err(refused("compare the rules"))?.drift;
    let named = |session: &Session| {
        let text =
            format!("{} . {} . {} . {}", session.peer, session.peer_port, session.own, session.own_port);
        drift.iter().any(|one| one.what == "element" && one.how == "unexpected" && one.detail == text)
    };
    Ok(open.iter().copied().filter(named).collect())
}

/// What the base chains of other tables do that these rules cannot overrule: whatever one chain drops is gone, and what
/// never comes by is not judged.
fn others(firewall: &Firewall, ruleset: &Ruleset) -> Result<Vec<String>, FirewallError> {
    let found = firewall.others(&ruleset.table).map_err(refused("read the other tables"))?;
    let mut told = Vec::new();
    for base in &found.bases {
        let place = format!("table {} {}, chain {}", family(base.family), base.table, base.chain);
        let routed = matches!(base.family, 1 | 2 | 10);
        let hook = match (routed, base.hook.number) {
            (true, 0) => "prerouting",
            (true, 1) => "input",
            (true, 2) => "forward",
            (true, 3) => "output",
            (true, 4) => "postrouting",
            (_, _) => "another hook",
        };
        if base.kind == "nat" && base.hook.number == 0 {
            told.push(format!("{place}: may rewrite destinations before zones are judged; what counts is where a packet then goes"));
        } else if base.hook.policy == Verdict::Drop {
            told.push(format!("{place} ({hook}): drops what it does not accept itself; flows declared here must pass there too"));
        } else if base.refusing > 0 && base.kind == "filter" {
            let (count, rules) = (base.refusing, if base.refusing == 1 { "rule" } else { "rules" });
            told.push(format!("{place} ({hook}): its table has {count} {rules} that drop or reject; flows declared here must pass there too"));
        } else if !routed && base.family != 3 {
            told.push(format!("{place}: sees packets before or beside these rules; frames between ports of one bridge are not judged here"));
        }
    }
    for (number, table, name) in &found.flows {
        told.push(format!(
            "table {} {table}, flow table {name}: what it accelerates passes no forward chain, walls neither",
            family(*number)
        ));
    }
    for (path, name) in
        [("/proc/net/ip_tables_names", "iptables"), ("/proc/net/ip6_tables_names", "ip6tables")]
    {
        let names = std::fs::read_to_string(path).unwrap_or_default();
        if !names.trim().is_empty() {
            told.push(format!(
                "legacy {name} ({}): its rules are judged too and are not shown by nf_tables",
                names.split_whitespace().collect::<Vec<_>>().join(", ")
            ));
        }
    }
    Ok(told)
}

/// A drift in one line.
pub fn told(drift: &Drift) -> String {
    let detail = if drift.detail.is_empty() { String::new() } else { format!(" ({})", drift.detail) };
    format!("{} {} {}{detail}", drift.what, drift.name, drift.how)
}

fn refused(what: &'static str) -> impl FnOnce(io::Error) -> FirewallError {
    move |source| match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => FirewallError::NotAllowed,
        _ => FirewallError::Kernel { what, source },
    }
}
