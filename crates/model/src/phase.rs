//! The phase of a run: before or after the runtime is attested and secrets are in.

/// When a rule is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Until the runtime is attested and secrets are in.
    Bootstrap,
    /// While the agent runs.
    Workload,
}

impl Phase {
    /// The other phase.
    pub const fn other(self) -> Phase {
        match self {
            Phase::Bootstrap => Phase::Workload,
            Phase::Workload => Phase::Bootstrap,
        }
    }
}

crate::text::words!(Phase, "phase", PhaseError, Bootstrap = "bootstrap", Workload = "workload");
