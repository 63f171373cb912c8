//! Why a flow is refused: a closed list of codes, each with a sentence.

/// The reason of a denial. The code is stable: logs and tools may match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing in the policy names it.
    NoRule,
    /// A `deny` rule names it.
    DenyRule,
    /// A `never` promise names it.
    Never,
    /// The rule that named it is past its date.
    Expired,
    /// An address where a name must be used.
    RawAddress,
    /// The name leads to a private address and no rule allows that.
    PrivateAddress,
    /// The TLS name is not the permitted one.
    SniMismatch,
    /// Encrypted ClientHello hides the name.
    Ech,
    /// Not TLS where TLS is required.
    NotTls,
    /// TLS without a name.
    NoSni,
    /// A cap is reached.
    Limit,
    /// A rule of the other phase would permit it.
    Phase,
    /// Not a host name.
    InvalidName,
    /// The permitted destination could not be reached.
    Upstream,
    /// A cloud metadata service.
    Metadata,
    /// Not the protocol of the rule.
    Protocol,
    /// The ledger cannot be written, so nothing leaves.
    Ledger,
    /// The gate is not open yet.
    NotYet,
    /// Loopback, link-local, multicast or broadcast that no rule names literally.
    SpecialAddress,
    /// The name does not exist or has no address.
    NoAddress,
    /// This kind of query or packet is not carried.
    Unsupported,
    /// No rule for this destination permits a request with this method.
    Method,
    /// No rule for this destination permits a request with this path.
    Path,
    /// The request names another host than the connection.
    HostMismatch,
    /// Not HTTP that can be read in one way only.
    NotHttp,
    /// The destination's certificate does not hold.
    Untrusted,
}

impl Reason {
    /// Every reason.
    pub const ALL: &'static [Reason] = &[
        Reason::NoRule,
        Reason::DenyRule,
        Reason::Never,
        Reason::Expired,
        Reason::RawAddress,
        Reason::PrivateAddress,
        Reason::SniMismatch,
        Reason::Ech,
        Reason::NotTls,
        Reason::NoSni,
        Reason::Limit,
        Reason::Phase,
        Reason::InvalidName,
        Reason::Upstream,
        Reason::Metadata,
        Reason::Protocol,
        Reason::Ledger,
        Reason::NotYet,
        Reason::SpecialAddress,
        Reason::NoAddress,
        Reason::Unsupported,
        Reason::Method,
        Reason::Path,
        Reason::HostMismatch,
        Reason::NotHttp,
        Reason::Untrusted,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Reason::NoRule => "no-rule",
            Reason::DenyRule => "deny-rule",
            Reason::Never => "never",
            Reason::Expired => "expired",
            Reason::RawAddress => "raw-address",
            Reason::PrivateAddress => "private-address",
            Reason::SniMismatch => "sni-mismatch",
            Reason::Ech => "ech",
            Reason::NotTls => "not-tls",
            Reason::NoSni => "no-sni",
            Reason::Limit => "limit",
            Reason::Phase => "phase",
            Reason::InvalidName => "invalid-name",
            Reason::Upstream => "upstream",
            Reason::Metadata => "metadata",
            Reason::Protocol => "protocol",
            Reason::Ledger => "ledger",
            Reason::NotYet => "not-yet",
            Reason::SpecialAddress => "special-address",
            Reason::NoAddress => "no-address",
            Reason::Unsupported => "unsupported",
            Reason::Method => "method",
            Reason::Path => "path",
            Reason::HostMismatch => "host-mismatch",
            Reason::NotHttp => "not-http",
            Reason::Untrusted => "untrusted",
        }
    }

    /// The sentence for a person.
    pub const fn sentence(self) -> &'static str {
        match self {
            Reason::NoRule => "no rule of the policy names this destination",
            Reason::DenyRule => "a deny rule closes this destination, whatever else allows it",
            Reason::Never => "the policy promises that this is never reachable",
            Reason::Expired => "the rule for this destination is past its date",
            Reason::RawAddress => {
                "no rule names this address; use the host's name, so that the policy can see it"
            }
            Reason::PrivateAddress => {
                "the name leads to a private address and its rule does not say `private: allow`"
            }
            Reason::SniMismatch => "the TLS handshake names another host than the one permitted",
            Reason::Ech => "encrypted ClientHello hides the host name, so it cannot be checked",
            Reason::NotTls => "the rule asks for TLS and the connection does not begin with a TLS handshake",
            Reason::NoSni => "the TLS handshake names no host, so it cannot be checked",
            Reason::Limit => "a limit of the policy or of claw is reached",
            Reason::Phase => "a rule of the other phase permits it, but that phase is not open now",
            Reason::InvalidName => "this is not a host name",
            Reason::Upstream => "the destination is permitted but could not be reached",
            Reason::Metadata => {
                "cloud metadata services hand out credentials; only a rule that names one literally opens it"
            }
            Reason::Protocol => "this is not the protocol that the rule permits",
            Reason::Ledger => "the ledger cannot be written, so nothing leaves",
            Reason::NotYet => "the network is not open yet",
            Reason::SpecialAddress => {
                "loopback, link-local, multicast and broadcast are reached only by a rule that names them literally"
            }
            Reason::NoAddress => "the name has no address",
            Reason::Unsupported => "claw does not carry this",
            Reason::Method => "the rules for this host permit this path with another method only",
            Reason::Path => "the rules for this host do not permit this path",
            Reason::HostMismatch => "the request names another host than the connection was opened to",
            Reason::NotHttp => "the rule asks for HTTP, and this cannot be read as HTTP in one way only",
            Reason::Untrusted => "the destination is permitted but its certificate does not hold",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.code())
    }
}

impl serde::Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_code() {
        let codes: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
    }
}
