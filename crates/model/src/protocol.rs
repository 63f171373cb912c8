//! What is spoken on a permitted flow.

/// What carries the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// A stream.
    Tcp,
    /// Datagrams.
    Udp,
}

crate::text::words!(Transport, "transport", TransportError, Tcp = "TCP", Udp = "UDP");

/// The transport and, where the gate can check it, what is spoken on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Any bytes over TCP.
    Tcp,
    /// TLS with the rule's name in the ClientHello.
    TcpTls,
    /// HTTPS: checked as TLS is.
    TcpHttps,
    /// HTTP in the clear.
    TcpHttp,
    /// Any datagrams.
    Udp,
    /// Network time.
    UdpNtp,
}

impl Protocol {
    /// What carries it.
    pub const fn transport(self) -> Transport {
        match self {
            Protocol::Tcp | Protocol::TcpTls | Protocol::TcpHttps | Protocol::TcpHttp => Transport::Tcp,
            Protocol::Udp | Protocol::UdpNtp => Transport::Udp,
        }
    }

    /// Whether a TLS ClientHello with the rule's name is required.
    pub const fn is_tls(self) -> bool {
        matches!(self, Protocol::TcpTls | Protocol::TcpHttps)
    }
}

crate::text::words!(
    Protocol,
    "protocol",
    ProtocolError,
    Tcp = "TCP",
    TcpTls = "TCP/TLS",
    TcpHttps = "TCP/HTTPS",
    TcpHttp = "TCP/HTTP",
    Udp = "UDP",
    UdpNtp = "UDP/NTP"
);
