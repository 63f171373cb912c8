//! One HTTP request that was accepted here: taken in, written down without what is secret in it, answered.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use claw_ledger::record::{Decision as Verdict, Event};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};

use super::answer::{Moment, Reply};
use super::seen::Seen;
use super::wire::Again;
use super::{Label, credential};
use crate::{Held, web};

/// HTTP/1, or HTTP/2 of a client that knows without asking.
pub(crate) async fn serve<T: AsyncRead + AsyncWrite + Unpin>(seen: &Rc<Seen>, wire: Again<T>) {
    if wire.seen().starts_with(b"PRI ") {
        return match web::Place::take(&seen.shared) {
            Some(place) => multiplexed(seen, wire, place).await,
            None => seen.ends("limit"),
        };
    }
    let own = Rc::clone(seen);
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(web::PATIENCE)
        .half_close(true)
        .max_buf_size(web::longest_head(seen.shared.open.get()))
        .serve_connection(TokioIo::new(wire), service_fn(move |request| take(Rc::clone(&own), request)))
        .await;
    ended(seen, served);
}

/// HTTP/2.
pub(crate) async fn multiplexed<T: AsyncRead + AsyncWrite + Unpin>(
    seen: &Rc<Seen>,
    wire: T,
    place: web::Place,
) {
    let room = place.room;
    let own = Rc::clone(seen);
    let served = hyper::server::conn::http2::Builder::new(web::Local)
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(room.head).unwrap_or(u32::MAX))
        .max_concurrent_streams(room.streams)
        .initial_stream_window_size(room.stream)
        .initial_connection_window_size(room.connection)
        .max_send_buf_size(room.unsent)
        .serve_connection(TokioIo::new(wire), service_fn(move |request| take(Rc::clone(&own), request)))
        .await;
    ended(seen, served);
}

fn ended(seen: &Seen, served: Result<(), hyper::Error>) {
    match served {
        Err(error) if error.is_parse() || error.is_parse_too_large() => seen.ends("not-http"),
        Err(error) if error.is_timeout() => seen.ends("silence"),
        Err(error) if !error.is_incomplete_message() => seen.ends("reset"),
        _ => {}
    }
}

async fn take(seen: Rc<Seen>, request: Request<Incoming>) -> Result<Response<Words>, Infallible> {
    let (parts, mut body) = request.into_parts();
    let mut asked = Asked::of(&seen, &parts);
    let answers = seen.shared.observe.as_ref().map(|observe| observe.answers).unwrap_or_default();
    let query = parts.uri.query().unwrap_or_default();
    let part = answers.part(parts.method.as_str(), parts.uri.path(), query, &parts.headers);
    let mut held = Held::new(&seen.shared);
    let mut kept = part.as_ref().map(|_| Vec::new());
    let read = async {
        while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let Some(data) = frame.data_ref() else { continue };
            asked.bytes = asked.bytes.saturating_add(u64::try_from(data.len()).unwrap_or_default());
            // what is too long is counted, and the rest of it is not kept
            let room = kept.as_ref().is_some_and(|kept| kept.len().saturating_add(data.len()) <= MOST_KEPT);
            match &mut kept {
                Some(kept) if room && held.take(data.len()) => kept.extend_from_slice(data),
                kept => *kept = None,
            }
        }
    };
    // one that never ends is answered all the same
    let _ = tokio::time::timeout(LONGEST_BODY, read).await;
    let reply = match (part, kept) {
        (Some(part), Some(body)) => Some(part.reply(&body, moment(&seen))),
        (Some(_), None) => Some(Reply::error(413, "the body is too long for an observed run")),
        (None, _) => None,
    };
    let response = match reply {
        Some(reply) => said(reply),
        None => nothing_here(&asked.method, &asked.destination()),
    };
    asked.status = Some(response.status().as_u16());
    // RFC 9110, 9.3.2: an answer to HEAD has no body
    Ok(if parts.method == Method::HEAD { response.map(|_| Words(None)) } else { response })
}

/// A request as it is written down: when it was answered, or when its client went away before that.
struct Asked {
    seen: Rc<Seen>,
    method: String,
    path: String,
    host: Option<String>,
    user_agent: Option<String>,
    credential: Option<String>,
    query: Vec<String>,
    label: Label,
    bytes: u64,
    status: Option<u16>,
}

impl Asked {
    fn of(seen: &Rc<Seen>, parts: &Parts) -> Asked {
        seen.requests.set(seen.requests.get().saturating_add(1));
        let short = |text: &str, most: usize| text.chars().take(most).collect::<String>();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let (method, path) = (parts.method.as_str(), parts.uri.path());
        let spoken = parts.uri.authority().map(ToString::to_string);
        let host = spoken.or_else(|| parts.headers.get(HOST).map(text));
        // whatever stands before an `@` may be a secret
        let host = host.map(|host| short(host.rsplit('@').next().unwrap_or_default(), LONGEST_NAME));
        let own = seen.attempt.name();
        let other = |host: &String| {
            let bare =
                host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
            let bare = bare.map_or(host.as_str(), |(name, _)| name);
            !bare.trim_matches(['[', ']']).eq_ignore_ascii_case(&own)
        };
        Asked {
            seen: Rc::clone(seen),
            method: short(method, 32),
            path: web::shown(path, LONGEST_PATH),
            host: host.filter(other),
            user_agent: parts.headers.get(USER_AGENT).map(|value| short(&text(value), LONGEST_NAME)),
            credential: credential::kind(&parts.headers, &parts.uri).map(ToOwned::to_owned),
            query: credential::names(parts.uri.query().unwrap_or_default()),
            label: seen.shared.label_request(&seen.attempt, method, path),
            bytes: 0,
            status: None,
        }
    }

    fn destination(&self) -> String {
        format!("{}:{}", self.seen.attempt.name(), self.seen.attempt.port)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let Seen { shared, attempt, process, record, .. } = &*self.seen;
        let event = Event::Request {
            destination: attempt.name(),
            port: attempt.port,
            method: std::mem::take(&mut self.method),
            path: std::mem::take(&mut self.path),
            phase: Some(shared.rules.borrow().phase.to_string()),
            plane: self.label.plane.take(),
            decision: Verdict::Sink,
            rule: self.label.rule.take(),
            reason: None,
            sentence: None,
            connection: *record,
            host: self.host.take(),
            user_agent: self.user_agent.take(),
            credential: self.credential.take(),
            status: self.status,
            bytes_out: Some(self.bytes),
            query: std::mem::take(&mut self.query),
            process: process.clone(),
        };
        // nothing has left, and nothing will
        let _ = shared.journal.write(&event, None);
    }
}

/// What a request gets that nobody plays a part for.
fn nothing_here(method: &str, destination: &str) -> Response<Words> {
    let message =
        format!("{method} to {destination} was written down and went nowhere: this run is observed");
    let body = json!({
        "error": { "type": "observed", "code": "sink", "message": message, "see": "http://policy.internal/" }
    });
    let mut response =
        words(StatusCode::SERVICE_UNAVAILABLE, "application/json", format!("{body}\n").into_bytes());
    // clients of the large model APIs would wait, and ask again
    response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
    response
}

fn moment(seen: &Seen) -> Moment {
    let number = seen.shared.replies.get().saturating_add(1);
    seen.shared.replies.set(number);
    Moment { now: Timestamp::now().as_second(), number }
}

/// What a part says.
fn said(Reply { status, kind, body }: Reply) -> Response<Words> {
    words(StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE), kind, body)
}

fn words(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Words> {
    let mut response = Response::new(Words(Some(Bytes::from(body))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("claw-observed", HeaderValue::from_static("sink"));
    response
}

/// The gate's own words.
pub(crate) struct Words(Option<Bytes>);

impl Body for Words {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.0.as_ref().map_or(0, Bytes::len)).unwrap_or_default())
    }
}

/// How long a body is taken in.
const LONGEST_BODY: Duration = Duration::from_secs(60);
/// Bytes of a body that a part reads.
const MOST_KEPT: usize = 8 << 20;
const LONGEST_PATH: usize = 1_024;
const LONGEST_NAME: usize = 255;
