//! The way out: a permitted name is resolved once, its addresses are judged, and the very address that was judged is
//! dialled. As long as a flow leads there, a change of the rules finds the address with the flow.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use claw_enforce::Wall;
use claw_model::host::HostName;
use claw_model::net::{self, Special};
use claw_policy::{Denial, Permit, PermitHost, Reason, Request, Rule, leads};
use claw_sys::socket::{self, Kind};
use hickory_resolver::TokioResolver;
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RecordType;
use jiff::Timestamp;
use std::cell::OnceCell;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::live::Flow;
use crate::{Attempt, Shared};

/// Resolves as the host does, and connects.
pub(crate) struct Dialer {
    resolver: OnceCell<Option<TokioResolver>>,
    /// Names that may be looked up at the same time: each takes sockets that no connection was counted for.
    lookups: Semaphore,
}

/// Why a permitted destination has no address to dial.
#[derive(Debug)]
pub(crate) enum DialError {
    /// The name has none.
    NoAddress,
    /// It leads only to addresses that its rule does not open, or that another rule closes.
    Refused(Denial),
}

/// Addresses that were judged for one flow, which leads there as long as this is kept.
#[derive(Debug)]
pub(crate) struct Judged {
    flow: Rc<Flow>,
    addresses: Vec<SocketAddr>,
}

impl Judged {
    fn new(flow: &Rc<Flow>, addresses: Vec<SocketAddr>) -> Judged {
        flow.leads.borrow_mut().extend(addresses.iter().map(SocketAddr::ip));
        Judged { flow: Rc::clone(flow), addresses }
    }

    /// The first, and from here on the only one.
    pub(crate) fn first(&mut self) -> Option<SocketAddr> {
        let first = self.addresses.first().copied()?;
        self.settle(first);
        Some(first)
    }

    /// Connects to the first address that answers, and sends what the agent already said.
    pub(crate) async fn dial(&mut self, first: &[u8]) -> io::Result<TcpStream> {
        let reached = self.reach().await?;
        let _ = socket::option(&reached, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
        let mut stream = TcpStream::from_std(std::net::TcpStream::from(reached))?;
        if !first.is_empty() {
            stream.write_all(first).await?;
        }
        Ok(stream)
    }

    /// Connects to the first address that answers. The runtime does not know the socket.
    pub(crate) async fn reach(&mut self) -> io::Result<OwnedFd> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for step in 0..MOST_TRIES {
            let Some(address) = self.addresses.get(step).copied() else { break };
            match tokio::time::timeout(PATIENCE, connect(address)).await {
                Ok(Ok(reached)) => {
                    self.settle(address);
                    return Ok(reached);
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    /// It leads to this one only.
    fn settle(&mut self, to: SocketAddr) {
        self.flow.leads.borrow_mut().push(to.ip());
        self.forget();
        self.addresses = vec![to];
    }

    fn forget(&self) {
        let mut leads = self.flow.leads.borrow_mut();
        for address in &self.addresses {
            if let Some(at) = leads.iter().position(|led| *led == address.ip()) {
                leads.swap_remove(at);
            }
        }
    }
}

impl Drop for Judged {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Shared {
    /// The addresses a flow may be dialled at: the rule's own, or what the name resolves to now, without those that a deny
    /// or never rule closes by then.
    pub(crate) async fn addresses(&self, flow: &Rc<Flow>, permit: &Permit) -> Result<Judged, DialError> {
        // order: the policy may have changed while it was looked up
        let by = |denial| DialError::Refused(Denial { rule: Some(flow.rule()), ..denial });
        let found = self.dialer.addresses(permit).await.map_err(|error| match error {
            DialError::Refused(denial) => by(denial),
            error => error,
        })?;
        let (mut open, mut refused) = (Vec::new(), None);
        // order: judged when they are known, and kept with the flow before anything is waited for
        for address in found {
            match self.may_lead(&flow.attempt, &flow.rule(), address) {
                Ok(()) => open.push(SocketAddr::new(address, permit.port())),
                Err(denial) => refused = refused.or(Some(denial)),
            }
        }
        match refused {
            Some(denial) if open.is_empty() => Err(DialError::Refused(denial)),
            _ => Ok(Judged::new(flow, open)),
        }
    }

    /// Whether a flow under this rule may lead to this address, as the rules are now. An address that the agent chose itself
    /// was judged with the flow.
    pub(crate) fn may_lead(&self, attempt: &Attempt, rule: &Rule, address: IpAddr) -> Result<(), Denial> {
        let Some(host) = attempt.name_asked() else { return Ok(()) };
        let rules = self.rules.borrow();
        let Attempt { port, transport, .. } = *attempt;
        let request = Request { phase: rules.phase, transport, host, port, now: Timestamp::now() };
        leads(&rules.policy, &request, rule, address)
    }
}

impl Dialer {
    /// Looks up so many names at the same time; the others wait.
    pub(crate) fn new(lookups: usize) -> Dialer {
        Dialer { resolver: OnceCell::new(), lookups: Semaphore::new(lookups) }
    }

    /// The addresses a permit leads to: the rule's own, or what the name resolves to now and its rule opens.
    async fn addresses(&self, permit: &Permit) -> Result<Vec<IpAddr>, DialError> {
        let host = match permit.host() {
            PermitHost::Address(address) => return Ok(vec![*address]),
            PermitHost::Name(host) => host,
        };
        if let Some(addresses) = permit.rule().addresses() {
            return Ok(addresses.to_vec());
        }
        let found = self.resolve(host).await;
        let (open, refused): (Vec<IpAddr>, Vec<IpAddr>) =
            found.into_iter().partition(|address| may_dial(*address, permit.rule().private_allowed()));
        match (open.is_empty(), refused.first()) {
            (false, _) => Ok(open),
            (true, Some(address)) => Err(DialError::Refused(private(permit, *address))),
            (true, None) => Err(DialError::NoAddress),
        }
    }

    /// Reads how this machine resolves names, once: a gate that is confined reads no files. Without that no name resolves.
    pub(crate) fn read_resolver(&self) {
        let make = || {
            let mut builder = TokioResolver::builder_tokio().ok()?;
            builder.options_mut().cache_size = 256;
            builder.build().ok()
        };
        self.resolver.get_or_init(make);
    }

    /// The hosts file first, then the name servers of `resolv.conf` (hosts(5), resolv.conf(5)); never a search domain.
    async fn resolve(&self, host: &HostName) -> Vec<IpAddr> {
        let Some(Some(resolver)) = self.resolver.get() else { return Vec::new() };
        let Ok(_place) = self.lookups.acquire().await else { return Vec::new() };
        // the final dot makes it a full name: no search list is tried
        let name = format!("{host}.");
        let v4 = async { addresses(resolver.lookup(name.clone(), RecordType::A).await) };
        let v6 = async { addresses(resolver.lookup(name.clone(), RecordType::AAAA).await) };
        tokio::pin!(v4, v6);
        // one family does not wait long for the other (RFC 8305, section 3, "Resolution Delay")
        let (mut found, other) = tokio::select! {
            found = &mut v4 => (found, Other::V6),
            found = &mut v6 => (found, Other::V4),
        };
        let rest = async {
            match other {
                Other::V4 => v4.await,
                Other::V6 => v6.await,
            }
        };
        if found.is_empty() {
            return rest.await;
        }
        found.extend(tokio::time::timeout(RESOLUTION_DELAY, rest).await.unwrap_or_default());
        found
    }
}

enum Other {
    V4,
    V6,
}

/// Why a name is not dialled that leads only to addresses of this kind.
fn private(permit: &Permit, address: IpAddr) -> Denial {
    let sentence = format!(
        "`{}` resolves to {address}, which is not public; `private: allow` or `addresses:` on the rule permits it",
        permit.host()
    );
    let rule = Some(permit.rule().clone());
    Denial { reason: Reason::PrivateAddress, rule, sentence, suggestion: None }
}

fn addresses(answer: Result<Lookup, NetError>) -> Vec<IpAddr> {
    let records = answer.map(|answer| answer.answers().to_vec()).unwrap_or_default();
    records.iter().filter_map(|record| record.data.ip_addr()).collect()
}

/// Public addresses always; private ones if the rule says so; loopback, link-local, metadata, multicast and broadcast
/// never by a name.
fn may_dial(address: IpAddr, private: bool) -> bool {
    match net::special(address) {
        _ if !claw_enforce::stands(Wall::Addresses) => true,
        None => true,
        Some(special) => {
            private && matches!(special, Special::Private | Special::UniqueLocal | Special::Cgnat)
        }
    }
}

/// A connection on loopback stands before connect(2) returns: asking once more saves a turn of the event loop.
async fn connect(address: SocketAddr) -> io::Result<OwnedFd> {
    let fresh = socket::open(Kind::Stream, address)?;
    match socket::connect(fresh.as_fd(), address) {
        Ok(()) => return Ok(fresh),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    if socket::is_established(fresh.as_fd()) {
        return Ok(fresh);
    }
    let stream = TcpStream::from_std(std::net::TcpStream::from(fresh))?;
    stream.writable().await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => stream.into_std().map(OwnedFd::from),
    }
}

/// Sockets that looking one name up may take: two families, two name servers at a time, each asked up to three times
/// (the resolver library's `num_concurrent_reqs` and `max_retries`).
pub const LOOKUP_SOCKETS: u64 = 12;
const PATIENCE: Duration = Duration::from_secs(10);
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
const MOST_TRIES: usize = 4;
