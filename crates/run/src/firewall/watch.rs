//! Watching: every change of any rule is compared with what is declared, and drift is written into a ledger.

use std::path::Path;
use std::time::Duration;

use claw_gate::Journal;
use claw_host::zones::Zones;
use claw_ledger::record::Event;

use super::{Checked, FirewallError, check, open, refused, told};
use crate::ledger::{Ledger, LedgerError};

/// Compares at once and after each change, until `go_on` says no. Whatever differs from before is written down and told.
pub fn watch(
    zones: &Zones,
    path: &Path,
    tell: &mut dyn FnMut(&[String]),
    go_on: &dyn Fn() -> bool,
) -> Result<(), FirewallError> {
    let firewall = open()?;
    let ledger = Ledger::create(path)?;
    let write = |event: &Event| {
        ledger.write(event, None).map_err(|error| LedgerError::from((&ledger, error)))?;
        if let Some(file) = ledger.unsynced() {
            let _ = file.sync_data();
        }
        Ok::<(), FirewallError>(())
    };
    let mut seen: Option<(u32, Vec<String>)> = None;
    while go_on() {
        let generation = firewall.generation().map_err(refused("watch the rules"))?;
        if seen.as_ref().is_none_or(|(last, _)| *last != generation) {
            let Checked { comparison, others, .. } = check(zones)?;
            let around = others.iter().filter(|other| other.around);
            let around = around.map(|other| format!("around the rules: {}", other.what));
            let drift: Vec<String> = comparison.drift.iter().map(told).chain(around).collect();
            if seen.as_ref().is_none_or(|(_, before)| *before != drift) {
                // order: written down before it is told
                write(&Event::Firewall { zones: zones.digest.to_string(), drift: drift.clone() })?;
                tell(&drift);
            }
            seen = Some((generation, drift));
        }
        std::thread::sleep(EVERY);
    }
    Ok(())
}

/// How often the kernel is asked whether anything changed.
const EVERY: Duration = Duration::from_millis(250);
