//! A destination: a host pattern or a network, and ports.
//!
//! Written `HOST:PORTS`, `*.SUFFIX:PORTS`, `CIDR:PORTS` or `[v6]:PORTS`. A numeric-looking host is an address or
//! an error, never a name.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::host::{HostError, HostPattern, PatternError};
use crate::net::{Net, NetError};
use crate::port::{PortError, Ports};

/// Where a flow goes: hosts or addresses, and ports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// The hosts or addresses.
    pub target: Target,
    /// The ports.
    pub ports: Ports,
}

/// Hosts by name, or addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A host, or every host below a suffix.
    Name(HostPattern),
    /// A network; one address is a network too.
    Net(Net),
}

/// The text is not a destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// No `:PORTS` at the end.
    #[error("`{}` names no port: write `{}:443`", text.escape_debug(), text.escape_debug())]
    NoPort {
        /// What was written.
        text: String,
    },
    /// An IPv6 address without brackets, where the port cannot be told apart.
    #[error("`{}` is ambiguous: write an IPv6 address in brackets, as `[2001:db8::1]:443`", text.escape_debug())]
    Brackets {
        /// What was written.
        text: String,
    },
    /// A scheme, a path or a user: a URL rather than a destination.
    #[error("`{}` looks like a URL: write only the host and the port, as `example.com:443`", text.escape_debug())]
    Url {
        /// What was written.
        text: String,
    },
    /// The host is wrong.
    #[error(transparent)]
    Host(#[from] PatternError),
    /// The network is wrong.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The ports are wrong.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl Destination {
    /// Parses `HOST:PORTS`, `*.SUFFIX:PORTS`, `CIDR:PORTS`, `[v6]:PORTS`, `[v6/LENGTH]:PORTS` or `v6/LENGTH:PORTS`.
    pub fn parse(text: &str) -> Result<Destination, DestinationError> {
        let (target, ports) = split(text)?;
        Ok(Destination { target: Target::parse(target)?, ports: Ports::parse(ports)? })
    }

    /// Whether some flow is meant by both.
    pub fn overlaps(&self, other: &Destination) -> bool {
        self.ports.overlaps(&other.ports) && self.target.overlaps(&other.target)
    }

    /// Whether every flow meant by `other` is meant by this one.
    pub fn covers(&self, other: &Destination) -> bool {
        self.ports.covers(&other.ports) && self.target.covers(&other.target)
    }
}

impl Target {
    /// Parses a host, `*.SUFFIX`, an address or a network.
    pub fn parse(text: &str) -> Result<Target, DestinationError> {
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return Ok(Target::Net(Net::parse(inner)?));
        }
        if text.contains('/') || text.contains(':') || text.parse::<IpAddr>().is_ok() {
            return Ok(Target::Net(Net::parse(text)?));
        }
        Ok(Target::Name(HostPattern::parse(text)?))
    }

    /// Whether some host or address is meant by both. A name and a network never overlap: a name is reached by
    /// its own rule whatever it resolves to.
    pub fn overlaps(&self, other: &Target) -> bool {
        match (self, other) {
            (Target::Name(a), Target::Name(b)) => a.overlaps(b),
            (Target::Net(a), Target::Net(b)) => a.overlaps(b),
            _ => false,
        }
    }

    /// Whether everything meant by `other` is meant by this target.
    pub fn covers(&self, other: &Target) -> bool {
        match (self, other) {
            (Target::Name(a), Target::Name(b)) => a.covers(b),
            (Target::Net(a), Target::Net(b)) => a.covers(b),
            _ => false,
        }
    }
}

/// The host part and the ports part.
fn split(text: &str) -> Result<(&str, &str), DestinationError> {
    let url = text.contains("://") || text.contains('@');
    if url {
        return Err(DestinationError::Url { text: text.to_owned() });
    }
    let no_port = || DestinationError::NoPort { text: text.to_owned() };
    if text.starts_with('[') {
        let (target, ports) = text.rsplit_once(']').ok_or_else(no_port)?;
        let ports = ports.strip_prefix(':').ok_or_else(no_port)?;
        let target = text.get(..=target.len()).ok_or_else(no_port)?;
        return Ok((target, ports));
    }
    if let Some((_, rest)) = text.split_once('/') {
        let (_, ports) = rest.split_once(':').ok_or_else(no_port)?;
        let target = text.get(..text.len() - ports.len() - 1).ok_or_else(no_port)?;
        let path = !target.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':') || ports.contains('/');
        return if path { Err(DestinationError::Url { text: text.to_owned() }) } else { Ok((target, ports)) };
    }
    let (target, ports) = text.rsplit_once(':').ok_or_else(no_port)?;
    match target.contains(':') {
        true => Err(DestinationError::Brackets { text: text.to_owned() }),
        false => Ok((target, ports)),
    }
}

impl From<HostError> for DestinationError {
    fn from(error: HostError) -> Self {
        DestinationError::Host(error.into())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Name(pattern) => write!(f, "{pattern}"),
            Target::Net(net) if net.is_v4() => write!(f, "{net}"),
            Target::Net(net) => write!(f, "[{net}]"),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.target, self.ports)
    }
}

impl FromStr for Destination {
    type Err = DestinationError;
    fn from_str(text: &str) -> Result<Self, DestinationError> {
        Destination::parse(text)
    }
}

impl FromStr for Target {
    type Err = DestinationError;
    fn from_str(text: &str) -> Result<Self, DestinationError> {
        Target::parse(text)
    }
}

crate::text::as_text!(Destination);
crate::text::as_text!(Target);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_has_one_canonical_form() {
        let check = |text: &str, expect: &str| {
            assert_eq!(Destination::parse(text).unwrap().to_string(), expect);
            assert_eq!(Destination::parse(expect).unwrap().to_string(), expect);
        };
        check("API.example.com.:443", "api.example.com:443");
        check("*.example.com:80,443", "*.example.com:80,443");
        check("10.0.100.0/24:443", "10.0.100.0/24:443");
        check("192.168.1.50/32:8080", "192.168.1.50:8080");
        check("[2001:db8::1]:443", "[2001:db8::1]:443");
        check("[2001:db8::/32]:*", "[2001:db8::/32]:*");
        check("2001:db8::/32:8000-8010", "[2001:db8::/32]:8000-8010");
        check("0.0.0.0/0:443", "0.0.0.0/0:443");
        check("::/0:443", "[::/0]:443");
    }

    #[test]
    fn wrong_destinations_say_what_to_write() {
        let check =
            |text: &str, expect: &str| assert_eq!(Destination::parse(text).unwrap_err().to_string(), expect);
        check("example.com", "`example.com` names no port: write `example.com:443`");
        check("10.0.0.0/24", "`10.0.0.0/24` names no port: write `10.0.0.0/24:443`");
        check("::1:443", "`::1:443` is ambiguous: write an IPv6 address in brackets, as `[2001:db8::1]:443`");
        check(
            "https://example.com:443",
            "`https://example.com:443` looks like a URL: write only the host and the port, as `example.com:443`",
        );
        check("*:*", "`*` names every host: name the hosts, or a suffix as `*.example.com`");
        check("127.1:80", "`127.1` is read as an address by some programs, so it cannot be a name");
        check("example.com:", "no port in ``: write `443`, `80,443`, `8000-8010` or `*`");
        check("example.com:70000", "port 70000 is past 65535: ports are 1 to 65535");
    }

    #[test]
    fn values_are_text_in_json() {
        let destination = Destination::parse("*.example.com:80,443").unwrap();
        let json = serde_json::to_string(&destination).unwrap();
        assert_eq!(json, "\"*.example.com:80,443\"");
        assert_eq!(serde_json::from_str::<Destination>(&json).unwrap(), destination);
        let error = serde_json::from_str::<Destination>("\"example.com\"").unwrap_err();
        assert!(error.to_string().starts_with("`example.com` names no port"), "{error}");
    }

    proptest! {
        #[test]
        fn a_destination_prints_what_it_parses(text in "\\PC{0,24}|[a-z.*]{1,9}:[0-9]{1,3}|[0-9:./\\[\\]]{1,20}") {
            if let Ok(destination) = Destination::parse(&text) {
                prop_assert_eq!(Destination::parse(&destination.to_string()), Ok(destination));
            }
        }
    }
}
