//! The decision: deny and never first, then the phase's rules most specific first, else refuse.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use claw_model::host::HostName;
use claw_model::http::{CanonicalPath, RequestPattern, may_be_permitted};
use claw_model::net::{Special, metadata_name, never_range};
use claw_model::phase::Phase;
use claw_model::plane::Plane;
use claw_model::port::Ports;
use claw_model::protocol::Transport;
use jiff::Timestamp;

use crate::index::{Bucket, Index};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::rule::{Rule, RuleList};

/// One flow somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The phase that is open now.
    pub phase: Phase,
    /// What would carry it.
    pub transport: Transport,
    /// Where to.
    pub host: Host<'a>,
    /// The port.
    pub port: u16,
    /// The time now.
    pub now: Timestamp,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub enum Host<'a> {
    /// A host by name.
    Name(&'a HostName),
    /// A bare address.
    Address(IpAddr),
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub enum Decision {
    /// It may leave, as the permit says.
    Allow(Permit),
    /// It may not.
    Deny(Denial),
}

/// The proof that a flow is allowed. Only [`decide`] makes one.
#[derive(Debug, Clone)]
pub struct Permit {
    rule: Arc<Rule>,
    host: PermitHost,
    port: u16,
    transport: Transport,
}

/// The proof that one HTTP request is allowed. Only [`decide_request`] makes one.
#[derive(Debug, Clone)]
pub struct RequestPermit {
    rule: Arc<Rule>,
}

impl RequestPermit {
    /// The rule that permits it.
    pub fn rule(&self) -> &Arc<Rule> {
        &self.rule
    }
}

/// Where a permitted flow goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PermitHost {
    /// A host by name.
    Name(HostName),
    /// A bare address.
    Address(IpAddr),
}

/// Why a flow is refused, and how to ask for it.
#[derive(Debug, Clone)]
pub struct Denial {
    /// The reason.
    pub reason: Reason,
    /// The rule that decided, where one did.
    pub rule: Option<Arc<Rule>>,
    /// What to tell a person.
    pub sentence: String,
    /// The rule that would allow it; `None` for what no rule may open.
    pub suggestion: Option<String>,
}

/// Whether a name may be resolved at all, before any port is known.
#[derive(Debug, Clone)]
pub enum Resolvable {
    /// Under these rules, most specific first.
    Yes(Vec<Arc<Rule>>),
    /// Not at all.
    No(Denial),
}

impl Permit {
    /// The rule that permits it.
    pub fn rule(&self) -> &Arc<Rule> {
        &self.rule
    }

    /// Where it goes.
    pub fn host(&self) -> &PermitHost {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What carries it.
    pub fn transport(&self) -> Transport {
        self.transport
    }
}

impl From<Host<'_>> for PermitHost {
    fn from(host: Host<'_>) -> PermitHost {
        match host {
            Host::Name(name) => PermitHost::Name(name.clone()),
            Host::Address(address) => PermitHost::Address(address),
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => write!(f, "{name}"),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for PermitHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PermitHost::Name(name) => Host::Name(name).fmt(f),
            PermitHost::Address(address) => Host::Address(*address).fmt(f),
        }
    }
}

/// Decides one request. The cost does not grow with the number of rules.
pub fn decide(policy: &Policy, request: &Request<'_>) -> Decision {
    match permitted(policy, request) {
        Ok(rule) => Decision::Allow(Permit {
            rule: rule.clone(),
            host: request.host.into(),
            port: request.port,
            transport: request.transport,
        }),
        Err((reason, rule)) => Decision::Deny(denial(request, reason, rule)),
    }
}

/// Decides one HTTP request on a flow: the most specific pattern of the rules for this destination, else refuse. The
/// path is the request's without its query, as it was sent.
pub fn decide_request(
    policy: &Policy,
    request: &Request<'_>,
    method: &str,
    path: &str,
) -> Result<RequestPermit, Denial> {
    let shown = Asked { request, method, path };
    let rule = match permitted(policy, request) {
        Ok(rule) => rule,
        Err((reason, rule)) => return Err(denial(request, reason, rule)),
    };
    if rule.reads_http() && !may_be_permitted(method) {
        return Err(shown.denial(Reason::Method, rule, "this method cannot be permitted"));
    }
    let path =
        CanonicalPath::parse(path).map_err(|error| shown.denial(Reason::Path, rule, &error.to_string()))?;
    if rule.http.is_none() {
        return Ok(RequestPermit { rule: rule.clone() });
    }
    if let Some((_, rule)) = requested(policy, request, rule, method, path) {
        return Ok(RequestPermit { rule: rule.clone() });
    }
    let live = || policy.alike(request.phase, rule).filter(|rule| !rule.is_expired(request.now));
    let path_matches = |pattern: &RequestPattern| METHODS.iter().any(|method| pattern.matches(method, path));
    let other_method = live().flat_map(|rule| rule.http.iter().flatten()).any(path_matches);
    let reason = if other_method { Reason::Method } else { Reason::Path };
    Err(shown.denial(reason, rule, reason.sentence()))
}

/// The pattern and the rule that permit a request on a flow that this rule, which names requests, opens.
pub(crate) fn requested<'a>(
    policy: &'a Policy,
    request: &Request<'_>,
    rule: &'a Rule,
    method: &str,
    path: CanonicalPath<'_>,
) -> Option<(&'a RequestPattern, &'a Arc<Rule>)> {
    policy
        .alike(request.phase, rule)
        .filter(|rule| !rule.is_expired(request.now) && closed(policy, request, Some(rule)).is_none())
        .flat_map(|rule| rule.http.iter().flatten().map(move |pattern| (pattern, rule)))
        .filter(|(pattern, _)| pattern.matches(method, path))
        .min_by(|(one, _), (other, _)| one.specificity(other))
}

/// One HTTP request, for what is said of it.
struct Asked<'a> {
    request: &'a Request<'a>,
    method: &'a str,
    path: &'a str,
}

impl Asked<'_> {
    fn denial(&self, reason: Reason, rule: &Arc<Rule>, why: &str) -> Denial {
        let Asked { request: Request { host, port, .. }, method, path } = self;
        let shown: String = path.chars().take(LONGEST_SHOWN).flat_map(char::escape_debug).collect();
        let verb: String = method.chars().take(32).flat_map(char::escape_debug).collect();
        let sentence = format!("{verb} {shown} on {host}:{port} is refused: {why} ({})", rule.location());
        // who asks must not choose how wide the rule is: what was refused may spell a pattern
        let plain = !method.contains('*') && !path.contains('*') && path.len() <= LONGEST_SHOWN;
        let pattern = plain.then(|| RequestPattern::parse(&format!("{method} {path}")).ok()).flatten();
        let suggestion = pattern.map(|pattern| {
            format!(
                "- {{destination: \"{}\", plane: {}, purpose: why it is needed, http: [\"{pattern}\"]}}",
                rule.destination(),
                rule.plane()
            )
        });
        Denial { reason, rule: Some(rule.clone()), sentence, suggestion }
    }
}

/// Characters of a path in a sentence, and bytes of one that a suggestion names.
const LONGEST_SHOWN: usize = 200;

/// Methods that a refusal of the method alone is recognised by (RFC 9110, section 9.3; RFC 5789).
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Whether a name may be resolved in this phase: every rule that could permit some port of it.
pub fn resolvable(policy: &Policy, phase: Phase, host: &HostName, now: Timestamp) -> Resolvable {
    let closed: Vec<&Arc<Rule>> =
        rules(policy.0.closed.names(host)).filter(|rule| rule.every_plane()).collect();
    let open = |rule: &&Arc<Rule>| !covered(rule, &closed) && literal(rule, host);
    let (live, expired): (Vec<_>, Vec<_>) =
        rules(policy.index(phase).names(host)).filter(open).partition(|rule| !rule.is_expired(now));
    if !live.is_empty() {
        return Resolvable::Yes(live.into_iter().cloned().collect());
    }
    // What a request for a port would have been told; 443 stands for the port that is not known yet.
    let request = Request { phase, transport: Transport::Tcp, host: Host::Name(host), port: 443, now };
    let elsewhere =
        || rules(policy.index(phase.other()).names(host)).find(|rule| !rule.is_expired(now) && open(rule));
    let (reason, rule) = match (closed.first(), expired.first()) {
        _ if metadata_name(host) => (Reason::Metadata, None),
        (Some(rule), _) => (closing(rule), Some(*rule)),
        (None, Some(rule)) => (Reason::Expired, Some(*rule)),
        (None, None) => elsewhere().map_or((Reason::NoRule, None), |rule| (Reason::Phase, Some(rule))),
    };
    Resolvable::No(denial(&request, reason, rule))
}

impl Policy {
    /// The rules that share a destination with this one, each for its own requests.
    pub(crate) fn alike<'a>(
        &'a self,
        phase: Phase,
        rule: &'a Rule,
    ) -> impl Iterator<Item = &'a Arc<Rule>> + Clone {
        let bucket = self.index(phase).target(&rule.destination.target);
        let all = bucket.map(|bucket| bucket.rules.as_slice()).unwrap_or_default();
        all.iter()
            .filter(move |other| other.http.is_some() && other.destination.ports == rule.destination.ports)
    }

    /// Every plane that the requests of a flow may be on, in the policy's order.
    pub fn planes(&self, phase: Phase, rule: &Rule) -> Vec<Plane> {
        let mut planes = Vec::new();
        if rule.http.is_none() {
            return vec![rule.plane()];
        }
        for plane in self.alike(phase, rule).map(|other| other.plane()) {
            if !planes.contains(&plane) {
                planes.push(plane);
            }
        }
        planes
    }

    /// Every index: what opens in each phase, and what closes.
    pub(crate) fn indexes(&self) -> [&Index; 3] {
        [&self.0.bootstrap, &self.0.workload, &self.0.closed]
    }

    pub(crate) fn index(&self, phase: Phase) -> &Index {
        match phase {
            Phase::Bootstrap => &self.0.bootstrap,
            Phase::Workload => &self.0.workload,
        }
    }
}

pub(crate) type Refusal<'a> = (Reason, Option<&'a Arc<Rule>>);

/// The rule that permits a flow, or why and by what it is refused.
pub(crate) fn permitted<'a>(policy: &'a Policy, request: &Request<'_>) -> Result<&'a Arc<Rule>, Refusal<'a>> {
    if let Some(rule) = closed(policy, request, None) {
        return Err((closing(rule), Some(rule)));
    }
    match opened(policy.index(request.phase), request) {
        // rules that split a destination by its requests may be on several planes: each request is asked for its own
        Opened::By(rule) if rule.http.is_some() => Ok(rule),
        Opened::By(rule) => match closed(policy, request, Some(rule)) {
            Some(never) => Err((closing(never), Some(never))),
            None => Ok(rule),
        },
        Opened::Until(rule) => Err((Reason::Expired, Some(rule))),
        Opened::Not => Err(unopened(policy, request)),
    }
}

/// The rule of the phase that comes to decide a flow, whatever closes it.
pub(crate) fn opener<'a>(policy: &'a Policy, request: &Request<'_>) -> Option<&'a Arc<Rule>> {
    match opened(policy.index(request.phase), request) {
        Opened::By(rule) => Some(rule),
        Opened::Until(_) | Opened::Not => None,
    }
}

/// The next time at which a rule ends that decides a flow, or a request on it.
pub(crate) fn ends(policy: &Policy, request: &Request<'_>) -> Option<Timestamp> {
    let rule = opener(policy, request)?;
    let own = rule.expires.map(|expiry| expiry.end);
    let beside = rule.http.as_ref().and_then(|_| {
        let ends = policy.alike(request.phase, rule).filter_map(|rule| rule.expires.map(|expiry| expiry.end));
        ends.filter(|end| *end > request.now).min()
    });
    own.into_iter().chain(beside).min()
}

/// Why nothing of this phase opens it.
fn unopened<'a>(policy: &'a Policy, request: &Request<'_>) -> Refusal<'a> {
    if let Opened::By(rule) = opened(policy.index(request.phase.other()), request) {
        return (Reason::Phase, Some(rule));
    }
    match request.host {
        Host::Name(name) if metadata_name(name) => (Reason::Metadata, None),
        Host::Name(_) => (Reason::NoRule, None),
        Host::Address(ip) => match never_range(ip) {
            Some((Special::Metadata, _)) => (Reason::Metadata, None),
            Some(_) => (Reason::SpecialAddress, None),
            None => (Reason::RawAddress, None),
        },
    }
}

/// What an index says of a request.
enum Opened<'a> {
    By(&'a Arc<Rule>),
    /// Only by a rule that is past its date.
    Until(&'a Arc<Rule>),
    Not,
}

fn opened<'a>(index: &'a Index, request: &Request<'_>) -> Opened<'a> {
    match request.host {
        // A wildcard merely contains a metadata name; the exact name is the literal one.
        Host::Name(name) if metadata_name(name) => first(index.exact(name).into_iter(), request),
        Host::Name(name) => first(index.names(name), request),
        Host::Address(ip) => {
            let ip = ip.to_canonical();
            let shortest = never_range(ip).map_or(0, |(_, range)| range.prefix());
            first(index.addresses(ip, shortest), request)
        }
    }
}

fn first<'a>(buckets: impl Iterator<Item = &'a Bucket>, request: &Request<'_>) -> Opened<'a> {
    let mut expired = None;
    for rule in buckets.flat_map(|bucket| bucket.at(request.transport, request.port)) {
        if !rule.is_expired(request.now) {
            return Opened::By(rule);
        }
        expired.get_or_insert(rule);
    }
    expired.map_or(Opened::Not, Opened::Until)
}

/// The deny or never rule that closes a request: whatever opens it, or what this rule's plane would open.
pub(crate) fn closed<'a>(
    policy: &'a Policy,
    request: &Request<'_>,
    by: Option<&Rule>,
) -> Option<&'a Arc<Rule>> {
    closers(policy, request, |rule| match by {
        None => rule.plane.is_none(),
        Some(opener) => rule.plane == Some(opener.plane()),
    })
}

/// The first deny or never rule for a request of which this can be said.
pub(crate) fn closers<'a>(
    policy: &'a Policy,
    request: &Request<'_>,
    speaks: impl Fn(&Rule) -> bool,
) -> Option<&'a Arc<Rule>> {
    let index = &policy.0.closed;
    let at = |bucket: &'a Bucket| bucket.at(request.transport, request.port);
    match request.host {
        Host::Name(name) => index.names(name).flat_map(at).find(|rule| speaks(rule)),
        Host::Address(ip) => index.addresses(ip.to_canonical(), 0).flat_map(at).find(|rule| speaks(rule)),
    }
}

pub(crate) fn closing(rule: &Rule) -> Reason {
    if rule.list == RuleList::Never { Reason::Never } else { Reason::DenyRule }
}

fn rules<'a>(buckets: impl Iterator<Item = &'a Bucket>) -> impl Iterator<Item = &'a Arc<Rule>> {
    buckets.flat_map(|bucket| &bucket.rules)
}

/// Whether deny rules close every port of a rule.
fn covered(rule: &Rule, closed: &[&Arc<Rule>]) -> bool {
    let same = |other: &&&Arc<Rule>| rule.protocol.is_none_or(|protocol| other.carries(protocol.transport()));
    let ports = closed.iter().filter(same).map(|other| &other.destination.ports);
    let all = ports.fold(None, |all: Option<Cow<'_, Ports>>, ports| match all {
        None => Some(Cow::Borrowed(ports)),
        Some(all) => Some(Cow::Owned(all.union(ports))),
    });
    all.is_some_and(|all| all.covers(&rule.destination.ports))
}

/// A metadata name is opened only by the rule that spells it.
fn literal(rule: &Rule, host: &HostName) -> bool {
    use claw_model::destination::Target;
    use claw_model::host::HostPattern;
    !metadata_name(host) || matches!(&rule.destination.target, Target::Name(HostPattern::Exact(_)))
}

fn denial(request: &Request<'_>, reason: Reason, rule: Option<&Arc<Rule>>) -> Denial {
    let Request { host, port, .. } = request;
    let by = rule.map(|rule| format!(" ({})", rule.location())).unwrap_or_default();
    let sentence = format!("{host}:{port} is refused: {}{by}", reason.sentence());
    Denial { reason, rule: rule.cloned(), sentence, suggestion: suggestion(request, reason, rule) }
}

/// The rule that would allow it, as it would stand in the list of the phase.
fn suggestion(request: &Request<'_>, reason: Reason, rule: Option<&Arc<Rule>>) -> Option<String> {
    let Request { host, port, transport, .. } = request;
    let protocol = match transport {
        Transport::Tcp => "",
        Transport::Udp if *port == 123 => ", protocol: UDP/NTP",
        Transport::Udp => ", protocol: UDP",
    };
    let plane = rule.map_or("workload", |rule| rule.plane().as_str());
    // Brackets and a star would be read as YAML.
    let quote = if matches!(host, Host::Address(IpAddr::V6(_))) { "\"" } else { "" };
    match reason {
        Reason::NoRule | Reason::Phase | Reason::Expired => Some(format!(
            "- {{destination: {quote}{host}:{port}{quote}, plane: {plane}, purpose: why it is needed{protocol}}}"
        )),
        Reason::RawAddress => Some(format!(
            "- {{destination: {quote}{host}:{port}{quote}, plane: workload, purpose: why no name can be used{protocol}}}"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
