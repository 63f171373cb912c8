//! Where the gate writes its decisions. The file behind it belongs to the supervisor.

use claw_ledger::record::Event;
use claw_ledger::summary::Summary;

/// Takes records, in order.
pub trait Journal {
    /// Hands the record to the kernel. When this returns `Ok`, a crash of this process no longer loses it.
    /// `suggestion` is the rule that would allow a refusal. Returns the number of the record, or of the one that it was
    /// counted as a repeat of.
    fn write(&self, event: &Event, suggestion: Option<&str>) -> Result<Option<u64>, Unwritable>;

    /// What was reached and refused so far, for the page that the agent may read.
    fn summary(&self) -> Summary;
}

/// The record was not written: nothing may take effect.
#[derive(Debug, thiserror::Error)]
#[error("the ledger cannot be written")]
pub struct Unwritable(#[source] pub std::io::Error);
