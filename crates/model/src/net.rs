//! Networks, and the ranges of the address space that are not ordinary destinations.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

mod special;

pub use special::{Special, carried, metadata_name, never_range, never_regions, special};

/// A network without host bits; one address is a /32 or a /128.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Net(IpNet);

/// The text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// Neither an address nor `ADDRESS/LENGTH`.
    #[error("`{}` is not a network: write it as `10.0.0.0/24` or `2001:db8::/32`", text.escape_debug())]
    NotNet {
        /// What was written.
        text: String,
    },
    /// The prefix is longer than the address.
    #[error("`/{length}` is longer than the address: at most /{max}")]
    Length {
        /// The length written.
        length: String,
        /// The longest one for this family.
        max: u8,
    },
    /// Bits are set beyond the prefix, so the net is not the one that was meant.
    #[error("`{text}` has bits set beyond its prefix: the network is `{suggest}`")]
    HostBits {
        /// What was written.
        text: String,
        /// The network with those bits clear.
        suggest: Net,
    },
    /// An IPv4 network spelled in IPv6.
    #[error("`{text}` is an IPv4 network spelled in IPv6: write `{suggest}`")]
    Mapped {
        /// What was written.
        text: String,
        /// The IPv4 spelling.
        suggest: Net,
    },
}

impl Net {
    /// Parses `10.0.0.0/24`, `2001:db8::/32` or one bare address.
    pub fn parse(text: &str) -> Result<Net, NetError> {
        let wrong = || NetError::NotNet { text: text.chars().take(80).collect() };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(length) => prefix(length, max).ok_or_else(|| too_long(length, max).unwrap_or_else(wrong))?,
            None => max,
        };
        let net = Net(IpNet::new(address, length).map_err(|_| wrong())?.trunc());
        net.v4_spelling(text)?;
        if net.0.addr() != address {
            return Err(NetError::HostBits { text: text.to_owned(), suggest: net });
        }
        Ok(net)
    }

    /// The network of exactly this address; a v4-mapped address becomes the IPv4 one.
    pub fn of(address: IpAddr) -> Net {
        Net(IpNet::from(address.to_canonical()))
    }

    /// The network of this length around an address, host bits cleared; `None` if the length does not fit.
    pub fn new(address: IpAddr, length: u8) -> Option<Net> {
        IpNet::new(address, length).ok().map(|net| Net(net.trunc()))
    }

    fn v4_spelling(&self, text: &str) -> Result<(), NetError> {
        let IpNet::V6(net) = self.0 else { return Ok(()) };
        let Some(v4) = net.addr().to_ipv4_mapped() else { return Ok(()) };
        let Ok(suggest) = IpNet::new(IpAddr::V4(v4), net.prefix_len().saturating_sub(96)) else {
            return Ok(());
        };
        Err(NetError::Mapped { text: text.to_owned(), suggest: Net(suggest.trunc()) })
    }

    /// Whether this address is inside; a v4-mapped address is taken as the IPv4 one.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether some address is in both.
    pub fn overlaps(&self, other: &Net) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// Whether every address of `other` is inside.
    pub fn covers(&self, other: &Net) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether this is the whole address family.
    pub fn is_world(&self) -> bool {
        self.0.prefix_len() == 0
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.0.addr()
    }

    /// The last address.
    pub fn last(&self) -> IpAddr {
        self.0.broadcast()
    }

    /// The prefix length.
    pub fn prefix(&self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether this is an IPv4 network.
    pub fn is_v4(&self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }

    /// The one address, where the network is a single host.
    pub fn host(&self) -> Option<IpAddr> {
        (self.0.prefix_len() == self.0.max_prefix_len()).then(|| self.0.addr())
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host() {
            Some(address) => write!(f, "{address}"),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Net {
    type Err = NetError;
    fn from_str(text: &str) -> Result<Self, NetError> {
        Net::parse(text)
    }
}

impl From<Ipv4Addr> for Net {
    fn from(address: Ipv4Addr) -> Net {
        Net::of(IpAddr::V4(address))
    }
}

impl From<Ipv6Addr> for Net {
    fn from(address: Ipv6Addr) -> Net {
        Net::of(IpAddr::V6(address))
    }
}

crate::text::as_text!(Net);

/// Digits only, no sign, no leading zero: one length has one spelling.
fn prefix(text: &str, max: u8) -> Option<u8> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|length| plain && *length <= max)
}

fn too_long(text: &str, max: u8) -> Option<NetError> {
    let digits = !text.is_empty() && text.len() < 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && !text.starts_with('0')).then(|| NetError::Length { length: text.to_owned(), max })
}

#[cfg(test)]
mod tests;
