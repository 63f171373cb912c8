//! Connections whose HTTP requests are judged one by one. TLS is ended here and begun again towards the destination;
//! what is decided is exactly what is sent on, since every head is written anew.
//!
//! A real HTTP library reads and writes both sides. Bodies stream through; nothing is dialled before a request is
//! permitted.

mod answer;
mod body;
mod line;
mod room;
mod session;
mod wire;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use claw_model::digest::Digest;
use claw_policy::{Permit, Reason};
use claw_wire::tls::{self, Peek};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::TcpStream;

use crate::flow::Slot;
use crate::live::Open;
use crate::{Shared, flow};
pub(crate) use room::{Place, Room};
use session::Session;
use wire::Wire;

/// Serves one connection to its end. `first` is what the agent has sent already.
pub(crate) async fn serve(
    shared: &Rc<Shared>,
    open: Open,
    permit: Permit,
    stream: TcpStream,
    first: Vec<u8>,
    slot: Slot,
) {
    match shared.allowed(open.flow(), &permit) {
        Ok(begun) => open.begun(begun),
        Err(_) => return flow::reset(stream),
    }
    let flow = Rc::clone(open.flow());
    let served = async {
        let offered = permit.rule().ends_tls() && offers_two(&first);
        let wire = Wire::inside(stream, first, &flow.tally);
        if !permit.rule().ends_tls() {
            let session = Session::new(shared, open, slot, None);
            return plain(&session, wire).await;
        }
        let Some(config) = shared.authority.as_ref().and_then(|known| known.serves(permit.host()).ok())
        else {
            return flow.ends("no-certificate");
        };
        // what comes when HTTP/2 has no room left is offered HTTP/1
        let place = if offered { Place::take(shared) } else { None };
        let crowded = offered && place.is_none();
        let config = if crowded { only_one(&config) } else { config };
        let accepted = tokio_rustls::TlsAcceptor::from(config).accept(wire);
        let inside = match tokio::time::timeout(PATIENCE, accepted).await {
            Ok(Ok(inside)) => inside,
            Ok(Err(error)) if crowded && speaks_nothing_else(&error) => {
                shared.denied_because(&flow.attempt, Some(&flow.rule()), Reason::Limit, CROWDED.to_owned());
                return flow.ends("limit");
            }
            _ => return flow.ends("not-trusted-inside"),
        };
        match place.filter(|_| inside.get_ref().1.alpn_protocol() == Some(b"h2")) {
            Some(place) => {
                let room = place.room;
                let session = Session::new(shared, open, slot, Some(place));
                multiplexed(&session, room, inside).await;
            }
            None => {
                let session = Session::new(shared, open, slot, None);
                plain(&session, inside).await;
            }
        }
    };
    // order: what is served must still be there when the flow is torn, or it ends by itself
    tokio::pin!(served);
    tokio::select! {
        biased;
        () = flow.stop.called() => {
            // what ends now ends with a reset, on both sides
            flow.tally.tear();
            flow.ends("revoked");
        }
        () = &mut served => {}
    }
}

/// HTTP/1.1, and 1.0.
async fn plain<T>(session: &Rc<Session>, inside: T)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let own = Rc::clone(session);
    let service = service_fn(move |request| session::exchange(Rc::clone(&own), request));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .half_close(true)
        .max_buf_size(longest_head(session.connections()))
        .serve_connection(TokioIo::new(inside), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        session.broken(&error);
    }
}

/// HTTP/2.
async fn multiplexed<T>(session: &Rc<Session>, room: Room, inside: T)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
{
    let own = Rc::clone(session);
    let service = service_fn(move |request| session::exchange(Rc::clone(&own), request));
    let served = hyper::server::conn::http2::Builder::new(Local)
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(room.head).unwrap_or(u32::MAX))
        .max_concurrent_streams(room.streams)
        .initial_stream_window_size(room.stream)
        .initial_connection_window_size(room.connection)
        .max_send_buf_size(room.unsent)
        .serve_connection(TokioIo::new(inside), service)
        .await;
    if let Err(error) = served {
        session.broken(&error);
    }
}

/// Whether a TLS hello offers HTTP/2. One that was not looked at may.
fn offers_two(hello: &[u8]) -> bool {
    match tls::peek(hello) {
        Peek::Hello(hello) => hello.alpn.iter().any(|name| name == b"h2"),
        _ => true,
    }
}

/// The same host, in HTTP/1.
pub(crate) fn only_one(config: &ServerConfig) -> Arc<ServerConfig> {
    let mut config = ServerConfig::clone(config);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A handshake failed since the client offers none of the protocols that it was offered.
fn speaks_nothing_else(error: &std::io::Error) -> bool {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::NoApplicationProtocol))
}

/// Which version the agent speaks on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// HTTP/1: one request after the other, upgrades.
    One,
    /// HTTP/2.
    Two,
}

/// Everything runs on the gate's one thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Local;

impl<F: Future + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// Bytes of a head, by how many connections are open: all of them together may be sending one.
pub(crate) fn longest_head(open: usize) -> usize {
    match open {
        0..=500 => LONGEST_HEAD,
        501..=4_000 => 16 * 1024,
        _ => 8 * 1024,
    }
}

/// A path in a record. What is cut says so, in words that no path can hold (it has no spaces), and which one it was.
pub(crate) fn shown(path: &str, most: usize) -> String {
    let Some((end, _)) = path.char_indices().nth(most) else { return path.to_owned() };
    let (begin, length) = (path.get(..end).unwrap_or_default(), path.chars().count());
    format!("{begin}… ({length} characters, {})", Digest::of(path.as_bytes()))
}

/// How long a head, or a handshake, may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a head.
pub(crate) const LONGEST_HEAD: usize = 64 * 1024;
const CROWDED: &str =
    "as many connections speak HTTP/2 as may at the same time, and the client speaks nothing else";
