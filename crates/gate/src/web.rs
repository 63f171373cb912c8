//! Connections whose HTTP requests are judged one by one. TLS is ended here and begun again towards the destination;
//! what is decided is exactly what is sent on, since every head is written anew.
//!
//! A real HTTP library reads and writes both sides. Bodies stream through; nothing is dialled before a request is
//! permitted.

mod answer;
mod body;
mod line;
mod session;
mod wire;

use std::rc::Rc;
use std::time::Duration;

use claw_policy::Permit;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::flow::Slot;
use crate::live::Open;
use crate::{Shared, flow};
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
    match shared.allowed(&open.flow().attempt, &permit) {
        Ok(begun) => open.begun(begun),
        Err(_) => return flow::reset(stream),
    }
    let flow = Rc::clone(open.flow());
    let served = async {
        let wire = Wire::inside(stream, first, &flow.tally);
        if !permit.rule().ends_tls() {
            let session = Session::new(shared, open, slot, Version::One);
            return plain(&session, wire).await;
        }
        let Some(config) = shared.authority.as_ref().and_then(|known| known.serves(permit.host()).ok())
        else {
            return flow.ends("no-certificate");
        };
        let accepted = tokio_rustls::TlsAcceptor::from(config).accept(wire);
        let Ok(Ok(inside)) = tokio::time::timeout(PATIENCE, accepted).await else {
            return flow.ends("not-trusted-inside");
        };
        if inside.get_ref().1.alpn_protocol() == Some(b"h2") {
            let session = Session::new(shared, open, slot, Version::Two);
            multiplexed(&session, inside).await;
        } else {
            let session = Session::new(shared, open, slot, Version::One);
            plain(&session, inside).await;
        }
    };
    // order: what is taken back is dropped only when it is known how it ends
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
async fn multiplexed<T>(session: &Rc<Session>, inside: T)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
{
    let own = Rc::clone(session);
    let service = service_fn(move |request| session::exchange(Rc::clone(&own), request));
    let served = hyper::server::conn::http2::Builder::new(Local)
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(LONGEST_HEAD).unwrap_or(u32::MAX))
        .max_concurrent_streams(MOST_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MOST_UNSENT)
        .serve_connection(TokioIo::new(inside), service)
        .await;
    if let Err(error) = served {
        session.broken(&error);
    }
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

/// How long a head, or a handshake, may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a head.
pub(crate) const LONGEST_HEAD: usize = 64 * 1024;
pub(crate) const MOST_STREAMS: u32 = 100;
/// Bytes of HTTP/2 that may be on their way without having been taken, of a stream and of a connection; fixed, since what
/// grows with a fast peer grows with a hostile one.
pub(crate) const STREAM_WINDOW: u32 = 256 * 1024;
pub(crate) const CONNECTION_WINDOW: u32 = 1024 * 1024;
pub(crate) const MOST_UNSENT: usize = 64 * 1024;
