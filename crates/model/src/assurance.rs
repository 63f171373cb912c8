//! How well a permitted flow is known to be what the rule says.

/// What the gate has checked about a flow; each step includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assurance {
    /// Only the address and the port: a network rule.
    Network,
    /// The name was resolved by the gate; the bytes are not looked at.
    Name,
    /// The name in the TLS ClientHello is the permitted one.
    Sni,
    /// The HTTP request line and Host are checked.
    Http,
}

crate::text::words!(
    Assurance,
    "level of assurance",
    AssuranceError,
    Network = "network",
    Name = "name",
    Sni = "sni",
    Http = "http"
);
