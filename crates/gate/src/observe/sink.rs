//! The catch-all: takes a connection from its first packet to its end, as if its destination were here.
//!
//! Nothing in this file, nor in what it calls, opens a socket. TLS is ended with the run's own authority; HTTP is
//! answered; what anything else says is counted and thrown away.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use claw_model::host::HostName;
use claw_policy::PermitHost;
use claw_wire::application::{self, UNKNOWN};
use claw_wire::tls::{self, ClientHello, Peek, Sni};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use super::request;
use super::seen::Seen;
use super::wire::{Again, Counted};
use crate::flow::{self, Slot};
use crate::{Attempt, Held, Shared, Target, web};

/// Takes one connection.
pub(crate) async fn carry(shared: Rc<Shared>, stream: TcpStream, attempt: Attempt, slot: Slot) {
    let Ok(seen) = Seen::begin(&shared, attempt) else { return flow::reset(stream) };
    let _ = stream.set_nodelay(true);
    tokio::select! {
        biased;
        () = shared.closing.notified() => {}
        () = talk(&seen, stream) => {}
    }
    drop((seen, slot));
}

async fn talk(seen: &Rc<Seen>, stream: TcpStream) {
    let mut wire = Again::new(Counted::new(stream, &seen.tally));
    let mut held = Held::new(&seen.shared);
    let first = named(&mut wire, &mut held).await;
    seen.speaks(first.name());
    match first {
        First::Ended(_) => {}
        First::Silent => seen.ends("silence"),
        First::Speaks("tls") => Box::pin(secure(seen, wire, held)).await,
        First::Speaks("http") => Box::pin(request::serve(seen, wire)).await,
        First::Speaks(_) => listen(seen, wire).await,
    }
}

/// How a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    /// The client speaks this.
    Speaks(&'static str),
    /// It waits for the server to speak first.
    Silent,
    /// It was gone before that could be told.
    Ended(&'static str),
}

impl First {
    fn name(self) -> &'static str {
        match self {
            First::Speaks(name) | First::Ended(name) => name,
            First::Silent => SILENT,
        }
    }
}

/// Looks at what a client says until that has a name.
async fn named<T: AsyncRead + Unpin>(wire: &mut Again<T>, held: &mut Held<'_>) -> First {
    loop {
        if let Some(name) = application::stream(wire.seen()) {
            return First::Speaks(name);
        }
        let quiet = wire.seen().is_empty();
        let patience = if quiet { SILENCE } else { UNDECIDED };
        match tokio::time::timeout(patience, wire.more()).await {
            Ok(Ok(length)) if length > 0 && held.take(length) => {}
            Ok(Ok(length)) if length > 0 => return First::Speaks(UNKNOWN),
            Ok(_) => return First::Ended(if quiet { SILENT } else { UNKNOWN }),
            Err(_) if quiet => return First::Silent,
            Err(_) => return First::Speaks(UNKNOWN),
        }
    }
}

/// Ends TLS, and goes on inside it.
async fn secure(seen: &Rc<Seen>, mut wire: Again<Counted<TcpStream>>, mut held: Held<'_>) {
    let Some(hello) = hello(&mut wire, &mut held).await else { return seen.ends("not-tls") };
    seen.greets(&hello);
    let offered = hello.alpn.iter().any(|name| name == b"h2");
    let place = if offered { web::Place::take(&seen.shared) } else { None };
    let config = seen.shared.authority.as_ref().and_then(|authority| {
        let known = authority.serves(&host(&seen.attempt, &hello)?).ok()?;
        // what comes when HTTP/2 has no room left is offered HTTP/1
        Some(if offered && place.is_none() { web::only_one(&known) } else { fitted(known, &hello) })
    });
    let Some(config) = config else { return seen.ends("no-certificate") };
    let accepted = tokio_rustls::TlsAcceptor::from(config).accept(wire);
    let mut inside = match tokio::time::timeout(PATIENCE, accepted).await {
        Ok(Ok(inside)) => inside,
        Ok(Err(error)) => return seen.ends(refused(&error, &hello)),
        Err(_) => return seen.ends("silence"),
    };
    drop(held);
    if let Some(place) = place.filter(|_| inside.get_ref().1.alpn_protocol() == Some(b"h2")) {
        return request::multiplexed(seen, inside, place).await;
    }
    let mut held = Held::new(&seen.shared);
    let mut inner = Again::new(&mut inside);
    let first = named(&mut inner, &mut held).await;
    match first {
        // TLS 1.3 ends for the server before the client has judged the certificate
        First::Ended(_) if inner.seen().is_empty() => {
            seen.ends(if hello.ech { "ech" } else { "not-trusted-inside" })
        }
        First::Ended(_) => {}
        First::Silent => seen.ends("silence"),
        First::Speaks("http") => request::serve(seen, inner).await,
        First::Speaks(_) => listen(seen, inner).await,
    }
}

/// Looks at the whole hello.
async fn hello<T: AsyncRead + Unpin>(wire: &mut Again<T>, held: &mut Held<'_>) -> Option<ClientHello> {
    let read = async {
        loop {
            match tls::peek(wire.seen()) {
                Peek::Hello(hello) => return Some(hello),
                Peek::More => match wire.more().await {
                    Ok(length) if length > 0 && held.take(length) => {}
                    _ => return None,
                },
                Peek::NotTls | Peek::Malformed(_) | Peek::TooLong => return None,
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.ok().flatten()
}

/// For whom the certificate is: whom the client asks for, or whom it connected to.
fn host(attempt: &Attempt, hello: &ClientHello) -> Option<PermitHost> {
    if let Sni::Name(name) = &hello.server_name
        && let Ok(name) = HostName::parse(name)
    {
        return Some(PermitHost::Name(name));
    }
    match &attempt.target {
        Target::Name(name) => Some(PermitHost::Name(name.clone())),
        Target::Address(address) => Some(PermitHost::Address(*address)),
        Target::Page => None,
    }
}

/// A client that offers neither version of HTTP speaks something else: it gets what it offers first.
fn fitted(known: Arc<rustls::ServerConfig>, hello: &ClientHello) -> Arc<rustls::ServerConfig> {
    let web = |name: &Vec<u8>| known.alpn_protocols.contains(name);
    match hello.alpn.first() {
        Some(first) if !hello.alpn.iter().any(web) => {
            let mut config = rustls::ServerConfig::clone(&known);
            config.alpn_protocols = vec![first.clone()];
            Arc::new(config)
        }
        _ => known,
    }
}

/// Why a handshake did not end well.
fn refused(error: &io::Error, hello: &ClientHello) -> &'static str {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        _ if hello.ech => "ech",
        // the client's own word, or that it left when it had seen the certificate
        Some(rustls::Error::AlertReceived(_)) | None => "not-trusted-inside",
        Some(_) => "not-tls",
    }
}

/// Takes whatever comes until the client ends, or is silent for a while.
async fn listen<T: AsyncRead + AsyncWrite + Unpin>(seen: &Seen, mut wire: T) {
    let mut buffer = vec![0u8; 16 * 1024];
    loop {
        match tokio::time::timeout(QUIET, wire.read(&mut buffer)).await {
            Ok(Ok(0)) => return,
            Ok(Ok(_)) => {}
            // many clients end without TLS's own word for it
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return,
            Ok(Err(_)) => return seen.ends("reset"),
            Err(_) => return seen.ends("silence"),
        }
    }
}

/// What is written where no client spoke.
const SILENT: &str = "silent";
/// A client that says nothing for so long waits for the server.
const SILENCE: Duration = Duration::from_secs(2);
/// What has no name by then has none.
const UNDECIDED: Duration = Duration::from_millis(500);
/// A client that got no answer for so long will get none.
const QUIET: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);
