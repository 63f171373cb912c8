//! Why no rule can or should open something that was seen.

use claw_model::host::HostError;
use claw_model::http::{PathError, RequestPatternError};
use claw_model::net::Special;

/// Why there is no rule for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRule {
    /// Nobody connected to it.
    #[error("it was only looked up: no port was seen")]
    NoPort,
    /// The port is 0.
    #[error("port 0 is no port")]
    PortZero,
    /// An address that rules may not open by themselves.
    #[error("a {kind} address: only a rule that a person writes opens it")]
    Special {
        /// Which kind.
        kind: Special,
    },
    /// The cloud's own service.
    #[error("a metadata service: only a rule that a person writes opens it")]
    Metadata,
    /// Not the name of a host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The method or the path holds what stands for any.
    #[error("a rule cannot name a method or a path that holds `*`")]
    Star,
    /// The path has several readings.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Method and path are none of a rule.
    #[error(transparent)]
    Request(#[from] RequestPatternError),
    /// The rule would be another request.
    #[error("a rule cannot name it")]
    Unnameable,
    /// A rule would not help.
    #[error("refused for another reason than that a rule is missing: {reasons}")]
    Refused {
        /// The reasons' codes.
        reasons: String,
    },
}
