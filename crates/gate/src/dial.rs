//! The way out: a permitted name is resolved once, its addresses are judged, and the very address that was judged is
//! dialled.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use claw_enforce::Wall;
use claw_model::host::HostName;
use claw_model::net::{self, Special};
use claw_policy::{Denial, Permit, PermitHost, Reason};
use claw_sys::socket::{self, Kind};
use hickory_resolver::TokioResolver;
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::RecordType;
use std::cell::OnceCell;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

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
    /// It leads only to addresses that this rule does not open, or another one closes.
    Refused(Denial),
}

/// Why a name is not dialled that leads only to addresses of this kind.
fn private(name: &HostName, address: IpAddr) -> Denial {
    let sentence = format!(
        "`{name}` resolves to {address}, which is not public; `private: allow` or `addresses:` on the rule permits it"
    );
    Denial { reason: Reason::PrivateAddress, rule: None, sentence, suggestion: None }
}

/// Addresses that were judged for one permit.
#[derive(Debug)]
pub(crate) struct Judged(Vec<SocketAddr>);

impl Judged {
    /// The first.
    pub(crate) fn first(&self) -> Option<SocketAddr> {
        self.0.first().copied()
    }

    /// Those that may be tried.
    pub(crate) fn tried(&self) -> Vec<IpAddr> {
        self.0.iter().take(MOST_TRIES).map(SocketAddr::ip).collect()
    }
}

impl Dialer {
    /// Looks up so many names at the same time; the others wait.
    pub(crate) fn new(lookups: usize) -> Dialer {
        Dialer { resolver: OnceCell::new(), lookups: Semaphore::new(lookups) }
    }

    /// The addresses a permit may be dialled at: the rule's own, or what the name resolves to now, without those that another
    /// rule closes.
    pub(crate) async fn addresses(
        &self,
        permit: &Permit,
        closes: impl Fn(IpAddr) -> Option<Denial>,
    ) -> Result<Judged, DialError> {
        let with_port = |address| SocketAddr::new(address, permit.port());
        let host = match permit.host() {
            PermitHost::Address(address) => return Ok(Judged(vec![with_port(*address)])),
            PermitHost::Name(host) => host,
        };
        let found = match permit.rule().addresses() {
            Some(addresses) => addresses.to_vec(),
            None => self.resolve(host).await,
        };
        let spelled = permit.rule().addresses().is_some();
        let mut refused = None;
        let mut open = found;
        open.retain(|address| {
            let special = !spelled && !may_dial(*address, permit.rule().private_allowed());
            let denial = closes(*address).filter(|_| claw_enforce::stands(Wall::Addresses));
            let denial = denial.or_else(|| special.then(|| private(host, *address)));
            let is_open = denial.is_none();
            refused = refused.take().or(denial);
            is_open
        });
        match (open.is_empty(), refused) {
            (false, _) => Ok(Judged(open.into_iter().map(with_port).collect())),
            (true, Some(denial)) => Err(DialError::Refused(denial)),
            (true, None) => Err(DialError::NoAddress),
        }
    }

    /// Connects to the first address that answers, and sends what the agent already said.
    pub(crate) async fn dial(
        &self,
        permit: &Permit,
        addresses: &Judged,
        first: &[u8],
    ) -> io::Result<TcpStream> {
        let reached = self.reach(permit, addresses).await?;
        let _ = socket::option(&reached, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
        let mut stream = TcpStream::from_std(std::net::TcpStream::from(reached))?;
        if !first.is_empty() {
            stream.write_all(first).await?;
        }
        Ok(stream)
    }

    /// Connects to the first address that answers. The runtime does not know the socket.
    pub(crate) async fn reach(&self, _permit: &Permit, addresses: &Judged) -> io::Result<OwnedFd> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses.0.iter().take(MOST_TRIES) {
            match tokio::time::timeout(PATIENCE, connect(*address)).await {
                Ok(Ok(reached)) => return Ok(reached),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
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
