//! One connection of the agent, and each request on it: judged, written down, written anew, sent, answered.

use std::cell::{Cell, OnceCell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use claw_ledger::record::{Decision as Verdict, Event};
use claw_model::host::HostName;
use claw_policy::{Denial, Host, PermitHost, Reason, Request as Asked, Rule, decide_request};
use claw_wire::fields;
use http::header::{
    CONNECTION, COOKIE, EXPECT, HOST, HeaderMap, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, Scheme};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::body::Passed;
use super::line::{Fault, Lines};
use super::{Place, Room, Version, answer, shown};
use crate::budget::Way;
use crate::flow::Slot;
use crate::live::{Exchange, Flow, Open};
use crate::{Attempt, Rules, Shared, Target};

/// A connection whose requests are judged.
pub(super) struct Session {
    pub(super) shared: Rc<Shared>,
    pub(super) version: Version,
    /// The connection's own authority, with its port where that is not the scheme's.
    own: String,
    /// The same as it is sent on.
    canonical: OnceCell<Option<Canonical>>,
    // dropped first: nothing of the session outlives it
    lines: Lines,
    open: Open,
    _slot: Slot,
    /// Where it speaks HTTP/2.
    place: Option<Place>,
}

/// What every server behind the destination gets to see of where a request goes.
#[derive(Clone)]
struct Canonical {
    authority: Authority,
    scheme: Scheme,
    host: HeaderValue,
}

/// One permitted request, from its head to the end of its answer.
pub(super) struct Exchanging {
    session: Rc<Session>,
    exchange: Rc<Exchange>,
    /// The agent's body cannot be read as HTTP.
    unread: Cell<bool>,
    /// The limit that was met; it is written down.
    spent: RefCell<Option<String>>,
    /// What the agent is still sending of a body that met it.
    rest: Cell<Option<Incoming>>,
}

/// A request that goes no further.
enum End {
    Denied(Denial),
    /// Denied, and written down already.
    Told(Denial),
    Failed(Fault),
}

impl Session {
    /// Speaks HTTP/2 where it has a place for that.
    pub(super) fn new(shared: &Rc<Shared>, open: Open, slot: Slot, place: Option<Place>) -> Rc<Session> {
        let version = if place.is_some() { Version::Two } else { Version::One };
        let lines = Lines::default();
        let flow = open.flow();
        let own = spelled(&flow.attempt, &flow.rule()).map(|(own, _)| own).unwrap_or_default();
        let canonical = OnceCell::new();
        Rc::new(Session {
            shared: Rc::clone(shared),
            version,
            own,
            canonical,
            lines,
            open,
            _slot: slot,
            place,
        })
    }

    pub(super) fn flow(&self) -> &Rc<Flow> {
        self.open.flow()
    }

    /// What it may hold, where it speaks HTTP/2.
    pub(super) fn room(&self) -> Option<Room> {
        self.place.as_ref().map(|place| place.room)
    }

    /// How many connections are open, of all sessions.
    pub(super) fn connections(&self) -> usize {
        self.shared.open.get()
    }

    /// The library gave the connection up.
    pub(super) fn broken(&self, error: &hyper::Error) {
        let flow = self.flow();
        if error.is_parse() || error.is_parse_too_large() {
            let sentence = format!("this cannot be read as HTTP in one way only: {error}");
            self.shared.denied_because(&flow.attempt, None, Reason::NotHttp, sentence);
            flow.ends("not-http");
        } else if error.is_timeout() {
            flow.ends("silence");
        } else if !error.is_incomplete_message() {
            flow.ends("reset");
        }
    }

    /// The request must be for the host that the connection was opened to, in every place where it names one.
    fn names_host(&self, request: &Request<Incoming>) -> Result<(), String> {
        let hosts: Vec<&HeaderValue> = request.headers().get_all(HOST).iter().collect();
        let spoken = request.uri().authority();
        let scheme = request.uri().scheme();
        if let Some(scheme) = scheme {
            let own = if self.flow().rule().ends_tls() { &Scheme::HTTPS } else { &Scheme::HTTP };
            if scheme != own {
                return Err(format!("the request names the scheme `{scheme}`"));
            }
        }
        let named = match (hosts.as_slice(), spoken, self.version) {
            ([], None, _) => return Err("the request names no host".to_owned()),
            ([], Some(_), Version::One) => return Err("the request has no Host header".to_owned()),
            ([_, _, ..], _, _) => return Err("the request has more than one Host header".to_owned()),
            (hosts, spoken, _) => {
                let host = hosts.first().map(|host| host.to_str().unwrap_or("\u{fffd}").to_owned());
                host.into_iter().chain(spoken.map(ToString::to_string))
            }
        };
        for name in named {
            if !self.is_own(&name) {
                return Err(format!("the request names `{}`", name.escape_debug()));
            }
        }
        Ok(())
    }

    /// Whether an authority (RFC 3986, section 3.2) is the connection's own.
    fn is_own(&self, text: &str) -> bool {
        // nearly every client spells it as it is
        if text == self.own {
            return true;
        }
        let Ok(authority) = text.parse::<Authority>() else { return false };
        let attempt = &self.flow().attempt;
        if text.contains('@') || authority.port_u16().is_some_and(|port| port != attempt.port) {
            return false;
        }
        // `host:` and `host:99999` parse, and are not what they look like
        if authority.port().is_none() && text != authority.host() {
            return false;
        }
        let host = authority.host();
        match &attempt.target {
            Target::Name(name) => HostName::parse(host).is_ok_and(|host| host == *name),
            Target::Address(address) => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                bare.parse::<std::net::IpAddr>()
                    .is_ok_and(|host| host.to_canonical() == address.to_canonical())
            }
            Target::Page => false,
        }
    }

    /// The canonical authority. It is spelled once: each request needs it.
    fn canonical(&self, rule: &Rule) -> Option<&Canonical> {
        let spell = || {
            let (text, scheme) = spelled(&self.flow().attempt, rule)?;
            let host = HeaderValue::from_str(&text).ok()?;
            Some(Canonical { authority: text.parse().ok()?, scheme, host })
        };
        self.canonical.get_or_init(spell).as_ref()
    }

    /// What the policy says of a request, as it is now.
    fn judge(self: &Rc<Self>, method: &str, path: &str) -> Result<Rc<Exchanging>, Denial> {
        let Rules { policy, phase } = self.shared.rules();
        let attempt = &self.flow().attempt;
        let host = match &attempt.target {
            Target::Name(name) => Host::Name(name),
            Target::Address(address) => Host::Address(*address),
            Target::Page => Host::Address(attempt.destination.ip()),
        };
        let (transport, port) = (attempt.transport, attempt.port);
        let asked = Asked { phase, transport, host, port, now: Timestamp::now() };
        let permit = decide_request(&policy, &asked, method, path)?;
        let rule = Arc::clone(permit.rule());
        let counted = self.shared.budgets.begin(&rule).map_err(|sentence| Denial {
            reason: Reason::Limit,
            rule: Some(Arc::clone(&rule)),
            sentence,
            suggestion: None,
        })?;
        // order: written down before it takes effect
        let event = self.record(method, path, Verdict::Allow, Some(&rule), None);
        self.shared.journal.write(&event, None).map_err(|_| Denial {
            reason: Reason::Ledger,
            rule: None,
            sentence: Reason::Ledger.sentence().to_owned(),
            suggestion: None,
        })?;
        let exchange = Rc::new(Exchange::new(method, path, &rule, counted));
        self.flow().exchanges.borrow_mut().push(Rc::clone(&exchange));
        Ok(Rc::new(Exchanging {
            session: Rc::clone(self),
            exchange,
            unread: Cell::default(),
            spent: RefCell::default(),
            rest: Cell::default(),
        }))
    }

    fn record(
        &self,
        method: &str,
        path: &str,
        decision: Verdict,
        rule: Option<&Rule>,
        why: Option<(Reason, &str)>,
    ) -> Event {
        let attempt = &self.flow().attempt;
        let short = |text: &str, most: usize| match text.char_indices().nth(most) {
            Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
            None => text.to_owned(),
        };
        Event::Request {
            destination: attempt.name(),
            port: attempt.port,
            method: short(method, 32),
            path: shown(path, LONGEST_SHOWN),
            phase: Some(self.shared.rules.borrow().phase.to_string()),
            plane: rule.filter(|_| decision == Verdict::Allow).map(|rule| rule.plane().to_string()),
            decision,
            rule: rule.map(Rule::location),
            reason: why.map(|(reason, _)| reason.code().to_owned()),
            sentence: why.map(|(_, sentence)| sentence.to_owned()),
            connection: None,
            host: None,
            user_agent: None,
            credential: None,
            status: None,
            bytes_out: None,
            query: Vec::new(),
            process: None,
        }
    }

    /// Writes a refusal down, and says it.
    fn deny(&self, method: &str, path: &str, denial: &Denial) -> Response<Passed> {
        self.write_down(method, path, denial);
        said(denial)
    }

    fn write_down(&self, method: &str, path: &str, denial: &Denial) {
        let why = Some((denial.reason, denial.sentence.as_str()));
        let event = self.record(method, path, Verdict::Deny, denial.rule.as_deref(), why);
        // a refusal that cannot be written is still a refusal
        let _ = self.shared.journal.write(&event, denial.suggestion.as_deref());
    }
}

/// A refusal as it is said to the agent: without the place in the policy.
fn said(denial: &Denial) -> Response<Passed> {
    let place = denial.rule.as_ref().map(|rule| format!(" ({})", rule.location())).unwrap_or_default();
    let sentence = denial.sentence.strip_suffix(&place).unwrap_or(&denial.sentence);
    match denial.reason {
        Reason::NotHttp => answer::unreadable(denial.reason.code(), sentence),
        reason => answer::refused(reason.code(), sentence),
    }
}

/// The authority of a connection as everybody is to spell it.
fn spelled(attempt: &Attempt, rule: &Rule) -> Option<(String, Scheme)> {
    let (scheme, default) = if rule.ends_tls() { (Scheme::HTTPS, 443) } else { (Scheme::HTTP, 80) };
    let host = match &attempt.target {
        Target::Name(name) => name.to_string(),
        Target::Address(address) => PermitHost::Address(*address).to_string(),
        Target::Page => return None,
    };
    let text = if attempt.port == default { host } else { format!("{host}:{}", attempt.port) };
    Some((text, scheme))
}

/// Answers one request.
pub(super) async fn exchange(
    session: Rc<Session>,
    request: Request<Incoming>,
) -> Result<Response<Passed>, Infallible> {
    let method = request.method().as_str().to_owned();
    let path = request.uri().path().to_owned();
    let waits = request.headers().contains_key(EXPECT);
    let response = match forward(&session, request, &method, &path).await {
        Ok(response) => {
            session.flow().answered();
            response
        }
        Err((End::Denied(denial), rest)) => {
            let response = session.deny(&method, &path, &denial);
            drain(rest.filter(|_| !waits)).await;
            response
        }
        Err((End::Told(denial), rest)) => {
            drain(rest).await;
            said(&denial)
        }
        Err((End::Failed(fault), _)) => {
            session.flow().ends(fault.end);
            let Fault { reason, rule, sentence, .. } = fault;
            match reason {
                Reason::PrivateAddress | Reason::DenyRule | Reason::Never => {
                    let denial = Denial { reason, rule, sentence, suggestion: None };
                    session.write_down(&method, &path, &denial);
                    // where a name leads is not the agent's to know
                    answer::refused(reason.code(), reason.sentence())
                }
                Reason::Untrusted => {
                    let denial = Denial { reason, rule, sentence, suggestion: None };
                    session.deny(&method, &path, &denial)
                }
                _ => answer::failed(reason.code(), &sentence),
            }
        }
    };
    Ok(response)
}

type Stopped = (End, Option<Incoming>);

async fn forward(
    session: &Rc<Session>,
    mut request: Request<Incoming>,
    method: &str,
    path: &str,
) -> Result<Response<Passed>, Stopped> {
    let refusal = |reason: Reason, why: String| {
        let host = session.flow().attempt.name();
        let sentence = format!("{method} on {host} is refused: {why}");
        Denial { reason, rule: None, sentence, suggestion: None }
    };
    let denied = |reason: Reason, why: String| End::Denied(refusal(reason, why));
    let spent = |sentence: String| End::Told(refusal(Reason::Limit, sentence));
    if request.method() == Method::CONNECT {
        return Err((denied(Reason::Method, "CONNECT asks for a proxy, and this is none".to_owned()), None));
    }
    if let Err(why) = fields::coding(request.headers()) {
        return Err((denied(Reason::NotHttp, why.to_owned()), None));
    }
    if let Err(why) = session.names_host(&request) {
        return Err((denied(Reason::HostMismatch, why), Some(request.into_body())));
    }
    let exchanging = match session.judge(method, path) {
        Ok(exchanging) => exchanging,
        Err(denial) => return Err((End::Denied(denial), Some(request.into_body()))),
    };
    let flow = session.flow();
    flow.on_plane(exchanging.exchange.rule().plane().as_str(), 1, Way::Out, 0);
    let head = head_length(&request);
    if let Err(sentence) = exchanging.spend(Way::Out, head) {
        let waits = request.headers().contains_key(EXPECT);
        return Err((spent(sentence), Some(request.into_body()).filter(|_| !waits)));
    }
    let upgrade = asks_for_web_socket(&request, session.version).then(|| hyper::upgrade::on(&mut request));
    let mut outgoing = Some(anew(request, &exchanging, upgrade.is_some()).map_err(|end| (end, None))?);
    let mut fresh = false;
    let mut response = loop {
        let Some(request) = outgoing.take() else {
            return Err((End::Failed(Fault::new(Reason::Upstream, "the request was lost", "reset")), None));
        };
        let sent = async {
            let mut line = session.lines.take(session, fresh).await.map_err(Err)?;
            let request =
                fitted(session, &exchanging.exchange.rule(), request, line.is_two()).map_err(Err)?;
            // order: told as sent only where there is somebody to send it to
            exchanging.count(Way::Out, if fresh { 0 } else { head });
            let response = line.send(request).await.map_err(Ok)?;
            if upgrade.is_none() || response.status() != StatusCode::SWITCHING_PROTOCOLS {
                session.lines.keep(line);
            }
            Ok(response)
        };
        let sent = tokio::select! {
            biased;
            () = exchanging.exchange.stop.called() => {
                return Err((denied(Reason::NoRule, "the policy changed and no longer permits it".to_owned()), None));
            }
            sent = sent => sent,
        };
        match sent {
            Ok(response) => break response,
            // it was never sent: the line had been closed by the other side
            Err(Ok((_, Some(again)))) if !fresh => {
                fresh = true;
                outgoing = Some(again);
            }
            Err(Ok(_)) if exchanging.spent.borrow().is_some() => {
                let sentence = exchanging.spent.borrow().clone().unwrap_or_default();
                return Err((spent(sentence), exchanging.rest.take()));
            }
            Err(Ok(_)) if exchanging.unread.get() => {
                return Err((denied(Reason::NotHttp, "its body cannot be read".to_owned()), None));
            }
            Err(Ok((error, _))) => {
                let what = format!("the destination did not answer as HTTP asks: {}", innermost(&error));
                return Err((End::Failed(Fault::new(Reason::Upstream, what, "upstream-failed")), None));
            }
            Err(Err(fault)) => return Err((End::Failed(fault), None)),
        }
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return match upgrade {
            Some(inside) if fields::is_web_socket(response.headers()) => {
                let outside = hyper::upgrade::on(&mut response);
                tokio::task::spawn_local(tunnel(exchanging, inside, outside));
                Ok(upgraded(response))
            }
            _ => {
                let what = "the destination changed the protocol without being asked";
                Err((End::Failed(Fault::new(Reason::Upstream, what, "upstream-failed")), None))
            }
        };
    }
    if let Err(sentence) = exchanging.take(Way::Back, fields_length(response.headers())) {
        return Err((spent(sentence), None));
    }
    fields::strip(response.headers_mut());
    response.extensions_mut().clear();
    *response.version_mut() = http::Version::HTTP_11;
    Ok(response.map(|body| Passed::Theirs { body, way: Way::Back, exchange: exchanging }))
}

/// The request as it is sent on: the same method, path, query, fields and body; the canonical host; nothing that belongs
/// to the connection it came on (RFC 9110, section 7.6.1).
fn anew(
    request: Request<Incoming>,
    exchanging: &Rc<Exchanging>,
    upgrade: bool,
) -> Result<Request<Passed>, End> {
    let (mut parts, body) = request.into_parts();
    let trailers = parts.headers.get_all(TE).iter().any(|value| fields::holds(value, "trailers"));
    fields::strip(&mut parts.headers);
    if trailers {
        parts.headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if upgrade {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    // the body is asked for here, so the other side need not be (RFC 9110, section 10.1.1)
    parts.headers.remove(EXPECT);
    parts.extensions.clear();
    let lost = || End::Failed(Fault::new(Reason::Upstream, "the request cannot be written anew", "reset"));
    // whatever host it named there is gone; the line that it is sent on puts the canonical one where it wants it
    parts.uri = parts.uri.into_parts().path_and_query.map(Uri::from).ok_or_else(lost)?;
    let exchange = Rc::clone(exchanging);
    Ok(Request::from_parts(parts, Passed::Theirs { body, way: Way::Out, exchange }))
}

/// The request as this line wants it: HTTP/2 has the host in the target, HTTP/1 in a field.
fn fitted(
    session: &Session,
    rule: &Rule,
    mut request: Request<Passed>,
    two: bool,
) -> Result<Request<Passed>, Fault> {
    let lost = || Fault::new(Reason::Upstream, "the request cannot be written anew", "reset");
    let Canonical { authority, scheme, host } = session.canonical(rule).cloned().ok_or_else(lost)?;
    if two {
        let path = request.uri().path_and_query().cloned().ok_or_else(lost)?;
        let target = Uri::builder().scheme(scheme).authority(authority).path_and_query(path);
        *request.uri_mut() = target.build().map_err(|_| lost())?;
        *request.version_mut() = http::Version::HTTP_2;
        request.headers_mut().remove(HOST);
        return Ok(request);
    }
    *request.version_mut() = http::Version::HTTP_11;
    request.headers_mut().insert(HOST, host);
    // the library takes a GET or HEAD of unknown length for one without a body
    if !request.body().is_end_stream() && request.body().size_hint().exact().is_none() {
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    // one that comes back from a line of the other version has its host in the target
    if request.uri().authority().is_some() {
        *request.uri_mut() = request.uri().path_and_query().cloned().map(Uri::from).ok_or_else(lost)?;
    }
    if request.headers().contains_key(TE) {
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("te"));
    }
    // RFC 9113, section 8.2.3: crumbs become one cookie again
    let crumbs: Vec<&[u8]> = request.headers().get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        request.headers_mut().insert(COOKIE, cookie);
    }
    Ok(request)
}

/// RFC 6455, section 4.1. Any other upgrade is left out, and the request goes on without it; so does one with a body, which
/// might be taken for what follows the upgrade.
fn asks_for_web_socket(request: &Request<Incoming>, version: Version) -> bool {
    version == Version::One
        && request.method() == Method::GET
        && request.body().is_end_stream()
        && request.version() == http::Version::HTTP_11
        && request.headers().get_all(CONNECTION).iter().any(|value| fields::holds(value, "upgrade"))
        && fields::is_web_socket(request.headers())
}

fn upgraded(response: Response<Incoming>) -> Response<Passed> {
    let (mut parts, _) = response.into_parts();
    fields::strip(&mut parts.headers);
    parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    parts.extensions.clear();
    Response::from_parts(parts, Passed::Own(None))
}

/// A WebSocket: bytes both ways, still counted, still ended when it is no longer permitted.
async fn tunnel(exchanging: Rc<Exchanging>, inside: OnUpgrade, outside: OnUpgrade) {
    let (Ok(inside), Ok(outside)) = tokio::join!(inside, outside) else { return };
    let flow = exchanging.session.flow();
    let (inside, outside) = (TokioIo::<Upgraded>::new(inside), TokioIo::<Upgraded>::new(outside));
    let (from_agent, to_agent) = tokio::io::split(inside);
    let (from_outside, to_outside) = tokio::io::split(outside);
    let pumped = async {
        let out = pump(from_agent, to_outside, Way::Out, &exchanging);
        let back = pump(from_outside, to_agent, Way::Back, &exchanging);
        let _ = tokio::try_join!(out, back);
    };
    tokio::select! {
        biased;
        () = flow.stop.called() => {
            flow.tally.tear();
            flow.ends("revoked");
        }
        () = exchanging.exchange.stop.called() => {
            flow.tally.tear();
            flow.ends("revoked");
        }
        () = pumped => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: Way,
    exchanging: &Exchanging,
) -> std::io::Result<()> {
    let mut buffer = vec![0u8; 16 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        exchanging.take(way, length).map_err(std::io::Error::other)?;
        to.write_all(buffer.get(..length).unwrap_or_default()).await?;
        to.flush().await?;
    }
}

/// What a request's head is on the wire, nearly.
fn head_length(request: &Request<Incoming>) -> usize {
    let target = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    target.saturating_add(fields_length(request.headers()))
}

/// What fields are on the wire, nearly, with the line before them.
pub(super) fn fields_length(headers: &HeaderMap) -> usize {
    let fields =
        headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len()).saturating_add(4));
    fields.fold(16, usize::saturating_add)
}

/// Takes what a refused client still sends, up to a bound: it would lose the answer to the reset.
async fn drain(body: Option<Incoming>) {
    let Some(mut body) = body else { return };
    let read = async {
        let mut left = MOST_DRAINED;
        while let Some(Ok(frame)) =
            std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await
        {
            let length = frame.data_ref().map_or(0, bytes::Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), read).await;
}

fn innermost(error: &hyper::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

impl Exchanging {
    /// Whether the policy no longer permits the request; if it does, the task is woken when that changes.
    pub(super) fn stopped(&self, waker: &Waker) -> bool {
        self.exchange.stop.poll(waker)
    }

    /// The agent's body broke off, or cannot be read.
    pub(super) fn broke(&self, way: Way) {
        self.unread.set(self.unread.get() || way == Way::Out);
    }

    /// Takes bytes of the rule's limits, and counts them on its plane.
    pub(super) fn take(&self, way: Way, bytes: usize) -> Result<(), String> {
        self.spend(way, bytes)?;
        self.count(way, bytes);
        Ok(())
    }

    /// Takes bytes of the rule's limits. A limit that is met is written down, once for a request.
    fn spend(&self, way: Way, bytes: usize) -> Result<(), String> {
        let Err(sentence) = self.exchange.take(way, bytes) else { return Ok(()) };
        if self.spent.replace(Some(sentence.clone())).is_none() {
            let Exchange { method, path, .. } = &*self.exchange;
            let why = Some((Reason::Limit, sentence.as_str()));
            let event = self.session.record(method, path, Verdict::Deny, Some(&self.exchange.rule()), why);
            let _ = self.session.shared.journal.write(&event, None);
        }
        self.session.flow().ends("limit");
        Err(sentence)
    }

    /// Counts bytes on the rule's plane.
    fn count(&self, way: Way, bytes: usize) {
        self.session.flow().on_plane(self.exchange.rule().plane().as_str(), 0, way, bytes);
    }

    /// A body of the agent's goes no further.
    pub(super) fn leaves(&self, body: Incoming) {
        self.rest.set(Some(body));
    }
}

impl Drop for Exchanging {
    fn drop(&mut self) {
        let mut exchanges = self.session.flow().exchanges.borrow_mut();
        exchanges.retain(|exchange| !Rc::ptr_eq(exchange, &self.exchange));
    }
}

/// Characters of a path in a record.
const LONGEST_SHOWN: usize = 1_000;
/// Bytes of a refused body that are still taken.
const MOST_DRAINED: usize = 1 << 20;
