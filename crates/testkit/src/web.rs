//! A web server made of the usual library, for both versions of HTTP, that tells what it was asked; and one that says
//! whatever bytes a test gives it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, BufRead, Read, Write};
use std::net::{IpAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::server::{Seen, Server, stream};
use crate::tls::Authority;

/// A server in plain text. Every answer tells method, path, host, version and the body's length.
///
/// `/slow` answers piece by piece, ten a second; `/trailers` ends with a trailer; `/ws` becomes a WebSocket whose bytes
/// come back; `/status/N` answers with that status; `/bytes/N` with so many bytes.
pub fn web(ip: &str) -> Server {
    serve(ip, None)
}

/// The same over TLS, with both versions of HTTP.
pub fn web_over_tls(ip: &str, authority: &Authority, names: &[&str]) -> Server {
    let mut config = authority.config(names);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    serve(ip, Some(TlsAcceptor::from(Arc::new(config))))
}

/// What a server that plays a part says to a request and its body: status, type of content, content.
pub type Play = fn(&http::request::Parts, &[u8]) -> (u16, &'static str, Vec<u8>);

/// A server over TLS, in HTTP/1.1, that answers each request by `play`.
pub fn playing(ip: &str, port: u16, authority: &Authority, names: &[&str], play: Play) -> Server {
    let mut config = authority.config(names);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    listen(ip, port, Some(TlsAcceptor::from(Arc::new(config))), Some(play))
}

async fn act(
    request: Request<Incoming>,
    seen: Arc<Seen>,
    play: Play,
) -> Result<Response<Pieces>, Infallible> {
    let (parts, mut body) = request.into_parts();
    seen.take(format!("{} {}\n", parts.method, parts.uri).as_bytes());
    let mut whole = Vec::new();
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        whole.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    let (status, kind, content) = play(&parts, &whole);
    let (sender, pieces) = mpsc::channel(1);
    let _ = sender.send(Frame::data(Bytes::from(content))).await;
    Ok(Response::builder().status(status).header("content-type", kind).body(Pieces(pieces)).unwrap())
}

/// Reads a head, and answers with exactly these bytes; then it closes.
pub fn scripted(ip: &str, answer: &'static [u8]) -> Server {
    stream(ip, 0, move |mut connection, seen| {
        let mut received = Vec::new();
        let mut buffer = [0; 4096];
        while !received.windows(4).any(|part| part == b"\r\n\r\n") {
            let length = connection.read(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            let part = buffer.get(..length).unwrap_or_default();
            seen.take(part);
            received.extend_from_slice(part);
        }
        connection.write_all(answer)
    })
}

fn serve(ip: &str, tls: Option<TlsAcceptor>) -> Server {
    listen(ip, 0, tls, None)
}

fn listen(ip: &str, port: u16, tls: Option<TlsAcceptor>, play: Option<Play>) -> Server {
    let ip: IpAddr = ip.parse().unwrap();
    let listener = TcpListener::bind((ip, port)).expect("a listener of the lab");
    listener.set_nonblocking(true).unwrap();
    let seen: Arc<Seen> = Arc::default();
    let server = Server::made(listener.local_addr().unwrap(), &seen);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let Ok((connection, _)) = listener.accept().await else { continue };
                let _ = connection.set_nodelay(true);
                seen.arrived();
                let (seen, tls) = (Arc::clone(&seen), tls.clone());
                tokio::task::spawn_local(async move {
                    match tls {
                        None => one(connection, seen, play).await,
                        Some(tls) => {
                            let Ok(connection) = tls.accept(connection).await else { return };
                            if connection.get_ref().1.alpn_protocol() == Some(b"h2") {
                                two(connection, seen).await;
                            } else {
                                one(connection, seen, play).await;
                            }
                        }
                    }
                });
            }
        });
    });
    server
}

async fn one(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, seen: Arc<Seen>, play: Option<Play>) {
    let service = service_fn(move |request| {
        let seen = Arc::clone(&seen);
        async move {
            match play {
                Some(play) => act(request, seen, play).await,
                None => answer(request, seen).await,
            }
        }
    });
    let server = hyper::server::conn::http1::Builder::new().half_close(true).clone();
    let _ = server.serve_connection(TokioIo::new(io), service).with_upgrades().await;
}

async fn two(io: impl AsyncRead + AsyncWrite + Unpin + 'static, seen: Arc<Seen>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&seen)));
    let server = hyper::server::conn::http2::Builder::new(Local);
    let _ = server.serve_connection(TokioIo::new(io), service).await;
}

#[derive(Clone, Copy)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// A body that comes from a channel.
struct Pieces(mpsc::Receiver<Frame<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

async fn answer(mut request: Request<Incoming>, seen: Arc<Seen>) -> Result<Response<Pieces>, Infallible> {
    let path = request.uri().path().to_owned();
    let host = request.uri().authority().map(ToString::to_string);
    let field = request.headers().get("host").and_then(|host| host.to_str().ok()).map(str::to_owned);
    let line = format!("{} {}", request.method(), request.uri().path_and_query().unwrap());
    seen.take(format!("{line}\n").as_bytes());
    if path == "/ws" {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::task::spawn_local(async move {
            let Ok(upgraded) = upgrade.await else { return };
            let mut io = TokioIo::new(upgraded);
            let mut buffer = [0u8; 4096];
            while let Ok(length @ 1..) = io.read(&mut buffer).await {
                let _ = io.write_all(buffer.get(..length).unwrap_or_default()).await;
            }
        });
        let (_, none) = mpsc::channel(1);
        let response =
            Response::builder().status(101).header("connection", "upgrade").header("upgrade", "websocket");
        return Ok(response.body(Pieces(none)).unwrap());
    }
    let version = format!("{:?}", request.version());
    let fields: Vec<String> = request.headers().keys().map(|name| name.as_str().to_owned()).collect();
    let (sender, pieces) = mpsc::channel(4);
    let mut response = Response::builder();
    if let Some(status) = path.strip_prefix("/status/").and_then(|status| status.parse::<u16>().ok()) {
        response = response.status(status);
    }
    if path == "/trailers" {
        response = response.header("trailer", "checksum");
    }
    tokio::task::spawn_local(async move {
        let mut body = request.into_body();
        let (mut length, mut trailers) = (0usize, String::new());
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let Ok(frame) = frame else { return };
            length += frame.data_ref().map_or(0, Bytes::len);
            if let Some(fields) = frame.trailers_ref() {
                trailers = format!("{fields:?}");
            }
        }
        let data = |text: String| Frame::data(Bytes::from(text));
        if let Some(count) = path.strip_prefix("/bytes/").and_then(|count| count.parse::<usize>().ok()) {
            let mut left = count;
            while left > 0 {
                let part = left.min(65536);
                left -= part;
                if sender.send(Frame::data(Bytes::from(vec![b'x'; part]))).await.is_err() {
                    return;
                }
            }
            return;
        }
        if path == "/slow" {
            for piece in 0..30 {
                if sender.send(data(format!("piece {piece}\n"))).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            return;
        }
        let host = host.or(field).unwrap_or_default();
        let text = format!(
            "{line} host={host} {version} body={length} trailers={trailers} fields={}\n",
            fields.join(",")
        );
        let _ = sender.send(data(text)).await;
        if path == "/trailers" {
            let mut fields = http::HeaderMap::new();
            fields.insert("checksum", http::HeaderValue::from_static("good"));
            let _ = sender.send(Frame::trailers(fields)).await;
        }
    });
    Ok(response.body(Pieces(pieces)).unwrap())
}

/// A server that takes HTTP/1.1 in its one canonical form only, and records each request's line; anything that another
/// server might read differently is recorded as a violation.
pub fn strict(ip: &str) -> Server {
    stream(ip, 0, |connection, seen| {
        let mut input = io::BufReader::new(connection);
        loop {
            match message(&mut input) {
                Ok(None) => return Ok(()),
                Ok(Some(line)) => {
                    seen.take(format!("{line}\n").as_bytes());
                    input.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
                }
                Err(what) => {
                    seen.take(format!("VIOLATION {what}\n").as_bytes());
                    return Ok(());
                }
            }
        }
    })
}

/// One request: its line. `None` at the end of the connection.
fn message(input: &mut impl BufRead) -> Result<Option<String>, String> {
    let mut line = || {
        let mut bytes = Vec::new();
        input.read_until(b'\n', &mut bytes).map_err(|error| error.to_string())?;
        let text = String::from_utf8(bytes).map_err(|_| "not text".to_owned())?;
        if text.is_empty() {
            return Ok(None);
        }
        let line = text.strip_suffix("\r\n").ok_or_else(|| format!("line {text:?}"))?;
        if line.contains(['\r', '\0', '\t']) {
            Err(format!("line {text:?}"))
        } else {
            Ok(Some(line.to_owned()))
        }
    };
    let Some(first) = line()? else { return Ok(None) };
    let mut fields: Vec<(String, String)> = Vec::new();
    loop {
        let field = line()?.ok_or("a head that ends early")?;
        if field.is_empty() {
            break;
        }
        let (name, value) = field.split_once(": ").ok_or_else(|| format!("field {field:?}"))?;
        if name.is_empty() || name.contains(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
            return Err(format!("field {field:?}"));
        }
        fields.push((name.to_lowercase(), value.to_owned()));
    }
    let all = |wanted: &str| -> Vec<&str> {
        fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect()
    };
    if all("host").len() != 1 {
        return Err("not exactly one Host".to_owned());
    }
    let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
    let mut skip = |length: usize| {
        let mut body = vec![0; length];
        input.read_exact(&mut body).map_err(|_| "a body that ends early".to_owned())
    };
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => {}
        ([length], []) => skip(length.parse().map_err(|_| format!("length {length:?}"))?)?,
        ([], ["chunked"]) => loop {
            let mut size = String::new();
            input.read_line(&mut size).map_err(|error| error.to_string())?;
            let digits = size.strip_suffix("\r\n").ok_or_else(|| format!("chunk {size:?}"))?;
            let length = usize::from_str_radix(digits, 16).map_err(|_| format!("chunk {size:?}"))?;
            let mut data = vec![0; length + 2];
            input.read_exact(&mut data).map_err(|_| "a chunk that ends early".to_owned())?;
            if !data.ends_with(b"\r\n") {
                return Err("a chunk without its end".to_owned());
            }
            if length == 0 {
                break;
            }
        },
        _ => return Err(format!("lengths {lengths:?}, codings {codings:?}")),
    }
    Ok(Some(first))
}
