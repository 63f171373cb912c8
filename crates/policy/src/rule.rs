//! One rule of the policy, checked: where it points, on which plane, why, and until when.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use claw_model::assurance::Assurance;
use claw_model::destination::{Destination, Target};
use claw_model::http::RequestPattern;
use claw_model::phase::Phase;
use claw_model::plane::Plane;
use claw_model::protocol::{Protocol, Transport};
use jiff::Timestamp;
use jiff::civil::Date;

/// Which list of the policy a rule stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleList {
    /// Open until the runtime is attested.
    Bootstrap,
    /// Open while the agent runs.
    Workload,
    /// Always closed.
    Deny,
    /// A promise: proven at load, and closed at run time.
    Never,
}

impl RuleList {
    /// The list as the file names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            RuleList::Bootstrap => "bootstrap",
            RuleList::Workload => "workload",
            RuleList::Deny => "deny",
            RuleList::Never => "never",
        }
    }

    /// The phase this list is open in; `None` for lists that close.
    pub const fn phase(self) -> Option<Phase> {
        match self {
            RuleList::Bootstrap => Some(Phase::Bootstrap),
            RuleList::Workload => Some(Phase::Workload),
            RuleList::Deny | RuleList::Never => None,
        }
    }
}

/// A rule that has been checked. Made only by `Policy::parse`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub(crate) id: u32,
    pub(crate) list: RuleList,
    pub(crate) destination: Destination,
    /// `None` only in `deny` and `never`: every plane.
    pub(crate) plane: Option<Plane>,
    pub(crate) purpose: Box<str>,
    /// `None` only in `deny` and `never`: every transport.
    pub(crate) protocol: Option<Protocol>,
    pub(crate) addresses: Option<Box<[IpAddr]>>,
    pub(crate) private: bool,
    /// Which requests: `Some` makes the gate read HTTP.
    pub(crate) http: Option<Box<[RequestPattern]>>,
    pub(crate) limits: FlowLimits,
    pub(crate) upstream_ca: Option<Box<Path>>,
    pub(crate) travel: Travel,
    pub(crate) required: Option<Box<str>>,
    pub(crate) ticket: Option<Box<str>>,
    pub(crate) owner: Option<Arc<str>>,
    pub(crate) expires: Option<Expiry>,
    pub(crate) line: u32,
    pub(crate) file: Arc<str>,
}

/// How much may flow under one rule, in a whole run; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlowLimits {
    /// Bytes that the agent sends.
    pub bytes_out: Option<u64>,
    /// Bytes that the agent receives.
    pub bytes_in: Option<u64>,
    /// Connections that are open at the same time.
    pub connections: Option<u64>,
    /// New connections, or requests where HTTP is read.
    pub rate: Option<Rate>,
}

/// So many in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many; also how many may come at once.
    pub count: u32,
    /// In how many seconds: 1, 60 or 3600.
    pub seconds: u32,
}

/// How bytes travel between agent and destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Travel {
    /// Through the gate.
    #[default]
    Relay,
    /// Through a socket that the gate connects and hands over.
    Brokered,
}

/// The last day a rule permits, and the instant after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Expiry {
    pub(crate) date: Date,
    pub(crate) end: Timestamp,
}

impl Rule {
    /// A number that is this rule's alone within its policy: its place in file order.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Which list it stands in.
    pub fn list(&self) -> RuleList {
        self.list
    }

    /// Where it points.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The plane it serves. A `deny` or `never` rule that names no plane closes all; this then says `workload`
    /// and [`Rule::every_plane`] says so.
    pub fn plane(&self) -> Plane {
        self.plane.unwrap_or(Plane::Workload)
    }

    /// Whether the rule stands for every plane: `deny` and `never` only.
    pub fn every_plane(&self) -> bool {
        self.plane.is_none()
    }

    /// Why the flow is needed.
    pub fn purpose(&self) -> &str {
        &self.purpose
    }

    /// What is spoken. A `deny` or `never` rule that names none closes both transports; this then says `TCP`.
    pub fn protocol(&self) -> Protocol {
        self.protocol.unwrap_or(Protocol::Tcp)
    }

    /// Whether the rule speaks of this transport.
    pub fn carries(&self, transport: Transport) -> bool {
        self.protocol.is_none_or(|protocol| protocol.transport() == transport)
    }

    /// Where the name is dialled instead of being resolved.
    pub fn addresses(&self) -> Option<&[IpAddr]> {
        self.addresses.as_deref()
    }

    /// Whether the name may resolve to a private address.
    pub fn private_allowed(&self) -> bool {
        self.private
    }

    /// Which requests it permits; `None`: it does not speak of requests.
    pub fn http(&self) -> Option<&[RequestPattern]> {
        self.http.as_deref()
    }

    /// Whether the gate reads the requests of its flows.
    pub fn reads_http(&self) -> bool {
        self.http.is_some() || self.protocol() == Protocol::TcpHttp
    }

    /// Whether the gate ends TLS.
    pub fn ends_tls(&self) -> bool {
        self.http.is_some() && self.protocol().is_tls()
    }

    /// How much may flow.
    pub fn limits(&self) -> &FlowLimits {
        &self.limits
    }

    /// A file of certificates that are trusted for its destination beside the system's.
    pub fn upstream_ca(&self) -> Option<&Path> {
        self.upstream_ca.as_deref()
    }

    /// How bytes travel.
    pub fn travel(&self) -> Travel {
        self.travel
    }

    /// How well a flow under this rule is known to be what the rule says.
    pub fn assurance(&self) -> Assurance {
        match &self.destination.target {
            _ if self.reads_http() => Assurance::Http,
            Target::Net(_) => Assurance::Network,
            Target::Name(_) if self.protocol().is_tls() => Assurance::Sni,
            Target::Name(_) => Assurance::Name,
        }
    }

    /// The line of the file it begins on.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// File and line: `agent_runtime.yaml:12`.
    pub fn location(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// Who answers for it: its own owner, else the policy's.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// The last day it permits, to the end of that day in UTC.
    pub fn expires(&self) -> Option<Date> {
        self.expires.map(|expiry| expiry.date)
    }

    /// When it is needed, in the author's words.
    pub fn required(&self) -> Option<&str> {
        self.required.as_deref()
    }

    /// Where it was agreed.
    pub fn ticket(&self) -> Option<&str> {
        self.ticket.as_deref()
    }

    /// Whether its last day is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expiry| now >= expiry.end)
    }
}
