//! The host's firewall: putting it into force without locking anybody out, and watching that it stays.
//!
//! A guard process takes what the kernel held before, leaves the terminal, and puts it back unless somebody confirms in
//! time. Whoever changes rules holds the turn of this network namespace, a guard until it ends: no later application can
//! be undone by an earlier guard.

mod beside;
mod guard;
mod persist;
mod route;
mod session;
mod turn;
mod watch;

use std::io;

use claw_enforce::firewall::{Comparison, Drift, Firewall, Wanted};
use claw_host::zones::{Ruleset, Session, TABLE, Zones};
use claw_sys::snapshot::Snapshot;
use serde::Serialize;

pub use beside::Beside;
pub use guard::{confirm, guard};
pub use persist::{PersistError, persist};
pub use route::uplinks;
pub use session::{established, of_ancestors};
pub use watch::watch;

use guard::Guard;
use turn::Turn;

/// Why the firewall is not in force, or could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// Not for this user.
    #[error("cannot {what} the firewall: `{capability}` is missing")]
    NotAllowed {
        /// What was being done.
        what: &'static str,
        /// What this user would need.
        capability: &'static str,
    },
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
    /// Rules may be in force though the application failed.
    #[error("rules may be in force though applying them failed ({failed}), and cannot be taken back")]
    Stuck {
        /// Why the application failed.
        failed: Box<FirewallError>,
        /// Why they stay.
        #[source]
        source: io::Error,
    },
    /// A directory or file of the turn is not to be trusted.
    #[error("cannot take the turn of this network at `{path}`")]
    Turn {
        /// Where.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was to be confirmed is not there.
    #[error("nothing to keep: the kernel holds no table `{TABLE}`")]
    Gone,
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
            FirewallError::NotAllowed { .. } => {
                Some("run it as root, in the network namespace that is meant")
            }
            FirewallError::Kernel { source, .. } if source.raw_os_error() == Some(libc::EMSGSIZE) => Some(
                "in a user namespace one transaction is at most `net.core.wmem_max`: run it as the machine's root",
            ),
            FirewallError::Kernel { .. } => Some(
                "the kernel needs CONFIG_NF_TABLES_INET, CONFIG_NFT_CT, CONFIG_NFT_LIMIT, CONFIG_NFT_LOG",
            ),
            FirewallError::Waiting => {
                Some("`claw host firewall --confirm` keeps its rules; or wait until they are taken back")
            }
            FirewallError::Otherwise(_) => {
                Some("something else changes nf_tables; what was there before was put back")
            }
            FirewallError::Stuck { .. } => Some(
                "a guard, if one was asked for, still tries in its time; else: nft delete table inet claw-firewall",
            ),
            FirewallError::Turn { .. } => Some(
                "it must be of this user or root, and writable for nobody else; `--confirm-within 0` needs it only if it is there",
            ),
            FirewallError::Gone => {
                Some("the guard, if there is one, still stands; `--apply` puts the rules into force")
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
    pub others: Vec<Beside>,
}

/// What a comparison found.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Whether the kernel holds what is declared, and nothing goes around it.
    pub sound: bool,
    /// What differs, and what rules counted.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// Sessions that are kept open beside the declared flows.
    pub kept: Vec<Session>,
    /// What others' rules do that these cannot overrule.
    pub others: Vec<Beside>,
}

/// Opens the rules of this network namespace, or says clearly that this user may not.
pub fn open() -> Result<Firewall, FirewallError> {
    Firewall::open().map_err(refused("open nf_tables"))
}

/// Puts the zones into force in one transaction, reads them back, and takes them back in `within` seconds unless confirmed.
/// If anything fails, what was there before is there again, and a guard stands until that is so.
pub fn apply(zones: &Zones, keep: &[Session], within: Option<u64>) -> Result<Receipt, FirewallError> {
    let firewall = open()?;
    let ruleset = zones.ruleset(keep);
    // order: whatever may be missing shows before anything is changed
    let wanted = wanted(&ruleset)?;
    // order: whoever would take the rules back stands ready before they hold, and nobody else changes them meanwhile
    let (guard, _turn) = match within {
        Some(seconds) => (Some(Guard::start(seconds)?), None),
        None => (None, Turn::take()?),
    };
    let before = firewall.take(&ruleset.table).map_err(refused("read the rules"));
    let put = before.and_then(|before| put(&firewall, &wanted, &ruleset, &before));
    let others = match (put, guard) {
        (Ok(others), _) => others,
        // order: a guard is not needed only once nothing is left to take back
        (Err(error), Some(guard)) if !matches!(error, FirewallError::Stuck { .. }) => {
            guard.dismiss();
            return Err(error);
        }
        (Err(error), _) => return Err(error),
    };
    let (rules, elements) = ruleset.size();
    Ok(Receipt { rules, elements, kept: keep.to_vec(), confirm_within: within, others })
}

/// Installs the rules and looks at them; whatever fails, what was there before is put back.
fn put(
    firewall: &Firewall,
    wanted: &Wanted,
    ruleset: &Ruleset,
    before: &Snapshot,
) -> Result<Vec<Beside>, FirewallError> {
    let tried = || {
        firewall.replace(ruleset).map_err(refused("install the rules"))?;
        let held = firewall.compare(wanted).map_err(refused("read the rules back"))?;
        if !held.drift.is_empty() {
            return Err(FirewallError::Otherwise(held.drift));
        }
        beside::found(firewall, &ruleset.table)
    };
    tried().map_err(|failed| match undo(firewall, &ruleset.table, before) {
        Ok(()) => failed,
        Err(source) => FirewallError::Stuck { failed: Box::new(failed), source },
    })
}

/// Puts back what was there, if anything else is. Answers to what failed may still lie in the socket: a new one is asked.
fn undo(firewall: &Firewall, table: &str, before: &Snapshot) -> io::Result<()> {
    let fresh = Firewall::open().ok();
    let firewall = fresh.as_ref().unwrap_or(firewall);
    match firewall.take(table) {
        Ok(now) if now == *before => Ok(()),
        _ => firewall.restore(table, before),
    }
}

/// What the kernel would say of these rules. That needs another network namespace, and so more than changing rules does.
fn wanted(ruleset: &Ruleset) -> Result<Wanted, FirewallError> {
    Wanted::ask(ruleset).map_err(|source| match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            FirewallError::NotAllowed { what: "compare", capability: "CAP_SYS_ADMIN" }
        }
        _ => FirewallError::Kernel { what: "ask the kernel what it makes of the rules", source },
    })
}

/// Compares what the kernel holds with the zones. Sessions that are kept count as declared while they are open.
pub fn check(zones: &Zones) -> Result<Checked, FirewallError> {
    let firewall = open()?;
    let open = established().unwrap_or_default();
    let compare =
        |ruleset: &Ruleset| firewall.compare(&wanted(ruleset)?).map_err(refused("compare the rules"));
    let mut ruleset = zones.ruleset(&[]);
    let mut comparison = compare(&ruleset)?;
    // a kept session is an element of its set: what is held and open is taken as declared
    let kept = held_sessions(&comparison.drift, &open);
    if !kept.is_empty() {
        ruleset = zones.ruleset(&kept);
        comparison = compare(&ruleset)?;
    }
    let others = beside::found(&firewall, &ruleset.table)?;
    let sound = comparison.drift.is_empty() && !others.iter().any(|other| other.around);
    Ok(Checked { sound, comparison, kept, others })
}

/// Which open sessions the kernel holds as kept.
fn held_sessions(drift: &[Drift], open: &[Session]) -> Vec<Session> {
    let named = |session: &Session| {
        let text =
            format!("{} . {} . {} . {}", session.peer, session.peer_port, session.own, session.own_port);
        drift.iter().any(|one| one.what == "element" && one.how == "unexpected" && one.detail == text)
    };
    open.iter().copied().filter(named).collect()
}

/// A drift in one line.
pub fn told(drift: &Drift) -> String {
    let detail = if drift.detail.is_empty() { String::new() } else { format!(" ({})", drift.detail) };
    format!("{} {} {}{detail}", drift.what, drift.name, drift.how)
}

fn refused(what: &'static str) -> impl FnOnce(io::Error) -> FirewallError {
    move |source| match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            FirewallError::NotAllowed { what: "change", capability: "CAP_NET_ADMIN" }
        }
        _ => FirewallError::Kernel { what, source },
    }
}
