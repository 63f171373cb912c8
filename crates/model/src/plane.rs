//! The plane: which of the runtime's needs a flow serves.

/// Why a destination is reached. The list is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Plane {
    /// Evidence out, attestation token in.
    Attestation,
    /// A trusted clock.
    Time,
    /// Certificate revocation: CRL and OCSP.
    Revocation,
    /// The controller: policy, manifests, orchestration.
    Control,
    /// A model provider or a local model.
    Inference,
    /// A tool adapter's own service.
    Tool,
    /// Runtime components and packages.
    Update,
    /// Whatever the task itself needs.
    Workload,
}

crate::text::words!(
    Plane,
    "plane",
    PlaneError,
    Attestation = "attestation",
    Time = "time",
    Revocation = "revocation",
    Control = "control",
    Inference = "inference",
    Tool = "tool",
    Update = "update",
    Workload = "workload"
);
