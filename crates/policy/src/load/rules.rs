//! One rule, from what is written to what is checked.

use std::net::IpAddr;
use std::sync::Arc;

use claw_model::destination::{Destination, DestinationError, Target};
use claw_model::host::{HostError, PatternError};
use claw_model::http::RequestPattern;
use claw_model::net::NetError;
use claw_model::plane::Plane;
use claw_model::protocol::Protocol;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Loader;
use crate::error::{Place, Problem};
use crate::raw::{At, Keyed, Loose, RawFlowLimits, RawRule};
use crate::rule::{Expiry, FlowLimits, Rate, Rule, RuleList, Travel};

impl Loader<'_> {
    /// Checks one rule; keeps it only if nothing is wrong with it, and tells everything that is.
    pub(super) fn rule(&mut self, raw: At<RawRule>, list: RuleList) {
        let before = self.problems.len();
        let At { value: raw, place } = raw;
        self.refuse_extra(&raw.extra, RawRule::KEYS, RULE_LATER, "a rule");
        let destination = self.destination(raw.destination.as_ref(), place, list);
        let opens = list.phase().is_some();
        let plane = self.plane(raw.plane.as_ref(), place, opens);
        let purpose = self.purpose(raw.purpose.as_ref(), place, opens);
        let protocol = self.protocol(raw.protocol.as_ref());
        let addresses = raw.addresses.as_ref().map(|addresses| self.addresses(addresses, place));
        let private = self.private(raw.private.as_ref());
        let http = raw.http.as_ref().map(|requests| self.requests(requests, place));
        let limits = raw.limits.map(|limits| self.flow_limits(limits)).unwrap_or_default();
        let upstream_ca = raw.upstream_ca.as_ref().map(|path| self.path(path).into_boxed_path());
        let travel = self.travel(raw.path.as_ref());
        let expires = raw.expires.as_ref().and_then(|date| self.expires(date));
        let owner = raw.owner.as_ref().and_then(|owner| self.filled(owner, "owner")).map(Arc::from);
        if !opens {
            let addresses = raw.addresses.as_ref().map(|_| place);
            let private = raw.private.as_ref().map(|private| private.place);
            let expires = raw.expires.as_ref().map(|date| date.place);
            let http = raw.http.as_ref().map(|_| place);
            let limited = (limits != FlowLimits::default()).then_some(place);
            let trusted = raw.upstream_ca.as_ref().map(|path| path.place);
            let brokered = raw.path.as_ref().map(|path| path.place);
            self.closes_only(
                list,
                &[
                    ("addresses", addresses),
                    ("private", private),
                    ("expires", expires),
                    ("http", http),
                    ("limits", limited),
                    ("upstream_ca", trusted),
                    ("path", brokered),
                ],
            );
        }
        let (Some(destination), true) = (destination, before == self.problems.len()) else { return };
        let protocol = protocol.or_else(|| opens.then(|| default_protocol(&destination, http.is_some())));
        let spoken = Spoken { http: http.is_some(), protocol, travel };
        self.fits(&spoken, raw.path.as_ref().or(raw.protocol.as_ref()).map_or(place, |text| text.place));
        if let (Some(path), false) = (&raw.upstream_ca, spoken.ends_tls()) {
            let problem = Problem::new("`upstream_ca` means nothing here", path.place, "never used");
            self.problems
                .push(problem.help("it is for rules that end TLS in the gate: add `http:`, or remove it"));
        }
        if before != self.problems.len() {
            return;
        }
        let pointed = raw.destination.map_or(place, |destination| destination.place);
        self.places.push(pointed);
        self.rules.push(Arc::new(Rule {
            id: u32::try_from(self.rules.len()).unwrap_or(u32::MAX),
            list,
            destination,
            plane,
            purpose: purpose.unwrap_or_default().into(),
            protocol,
            addresses: addresses.map(Vec::into_boxed_slice),
            private,
            http: http.map(Vec::into_boxed_slice),
            limits,
            upstream_ca,
            travel,
            required: raw.required.map(|text| text.value.into()),
            ticket: raw.ticket.map(|text| text.value.into()),
            owner: owner.or_else(|| self.owner.clone()),
            expires,
            line: place.line,
            file: self.file.clone(),
        }));
    }

    fn destination(&mut self, raw: Option<&At<String>>, rule: Place, list: RuleList) -> Option<Destination> {
        let Some(At { value, place }) = raw else {
            self.missing("destination", rule, "destination: api.example.com:443");
            return None;
        };
        let opens = list.phase().is_some();
        match Destination::parse(value) {
            Ok(destination) => {
                if let (true, Target::Net(net)) = (opens, &destination.target) {
                    let shortest = if net.is_v4() { 8 } else { 16 };
                    if net.prefix() < shortest {
                        self.world_open(value, *place);
                    }
                }
                Some(destination)
            }
            Err(DestinationError::Host(PatternError::Everything)) if opens => {
                self.world_open(value, *place);
                None
            }
            Err(error) => {
                let help = destination_help(&error);
                let place = self.within(*place, value, &error);
                self.problems.push(Problem::new(error.to_string(), place, "this destination").help(help));
                None
            }
        }
    }

    /// Nothing changes this: a policy that opens the world is not one.
    fn world_open(&mut self, text: &str, place: Place) {
        let what = format!("`{}` opens the network to the world", text.escape_debug());
        self.problems.push(
            Problem::new(what, place, "world-open").help(
                "name the hosts, or networks of at least /8 (IPv4) or /16 (IPv6); no flag changes this",
            ),
        );
    }

    /// Underlines the port where it is the port that is wrong.
    fn within(&self, place: Place, value: &str, error: &DestinationError) -> Place {
        let port = match error {
            DestinationError::Port(_) => value.rsplit_once(':').map(|(_, ports)| ports),
            _ => None,
        };
        let written = self.text.get(place.start..place.start + place.length).unwrap_or_default();
        match port.and_then(|port| written.rfind(port).filter(|_| !port.is_empty()).zip(Some(port.len()))) {
            Some((at, length)) => Place { start: place.start + at, length, line: place.line },
            None => place,
        }
    }

    fn missing(&mut self, key: &str, rule: Place, example: &str) {
        let rest = self.text.get(rule.start..).unwrap_or_default();
        let place = Place { length: rest.find('\n').unwrap_or(rest.len()).clamp(1, 80), ..rule };
        // A key that was nearly this one has been told already.
        let told = |problem: &Problem| {
            problem.start() >= rule.start && problem.hint() == Some(format!("did you mean `{key}`?").as_str())
        };
        if self.problems.iter().rev().take(8).any(told) {
            return;
        }
        let problem = Problem::new(format!("the rule has no `{key}`"), place, "this rule");
        self.problems.push(problem.help(format!("add `{example}`")));
    }

    fn plane(&mut self, raw: Option<&At<String>>, rule: Place, opens: bool) -> Option<Plane> {
        match raw {
            None if opens => {
                self.missing("plane", rule, &format!("plane: {}", Plane::WORDS.join(" | ")));
                None
            }
            None => None,
            Some(At { value, .. }) if value == "*" && !opens => None,
            Some(At { value, place }) => {
                let plane = value.parse().ok();
                if plane.is_none() {
                    self.unknown_word(value, *place, "plane", Plane::WORDS);
                }
                plane
            }
        }
    }

    fn purpose<'t>(&mut self, raw: Option<&'t At<String>>, rule: Place, opens: bool) -> Option<&'t str> {
        match raw {
            Some(purpose) => self.filled(purpose, "purpose"),
            None => {
                if opens {
                    self.missing("purpose", rule, "purpose: why it is needed");
                }
                None
            }
        }
    }

    fn protocol(&mut self, raw: Option<&At<String>>) -> Option<Protocol> {
        let At { value, place } = raw?;
        let protocol = value.parse().ok();
        if protocol.is_none() {
            self.unknown_word(value, *place, "protocol", Protocol::WORDS);
        }
        protocol
    }

    fn addresses(&mut self, raw: &[At<String>], rule: Place) -> Vec<IpAddr> {
        if raw.is_empty() {
            let problem =
                Problem::new("`addresses` is empty, so the name could never be dialled", rule, "this rule");
            self.problems.push(problem.help("write at least one address, or leave the key out"));
        }
        let mut addresses = Vec::with_capacity(raw.len());
        for At { value, place } in raw {
            match value.parse::<IpAddr>() {
                Ok(address) => addresses.push(address.to_canonical()),
                Err(_) => {
                    let what = format!("`{}` is not an address", value.escape_debug());
                    let problem = Problem::new(what, *place, "not an address");
                    self.problems
                        .push(problem.help("write it as `10.0.0.5` or `2001:db8::5`, without a port"));
                }
            }
        }
        addresses
    }

    fn private(&mut self, raw: Option<&At<String>>) -> bool {
        let Some(At { value, place }) = raw else { return false };
        if value != "allow" {
            self.unknown_word(value, *place, "value of `private`", &["allow"]);
        }
        value == "allow"
    }

    fn travel(&mut self, raw: Option<&At<String>>) -> Travel {
        let Some(At { value, place }) = raw else { return Travel::Relay };
        match value.as_str() {
            "relay" => Travel::Relay,
            "brokered" => Travel::Brokered,
            _ => {
                self.unknown_word(value, *place, "path", &["relay", "brokered"]);
                Travel::Relay
            }
        }
    }

    fn requests(&mut self, raw: &[At<String>], rule: Place) -> Vec<RequestPattern> {
        if raw.is_empty() {
            let problem =
                Problem::new("`http` is empty, so no request would be permitted", rule, "this rule");
            self.problems.push(problem.help("write at least one request, such as `GET /v1/models`"));
        }
        let mut patterns = Vec::with_capacity(raw.len());
        for At { value, place } in raw {
            match RequestPattern::parse(value) {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => {
                    let problem = Problem::new(error.to_string(), *place, "this request");
                    self.problems.push(problem.help(
                        "a request is `METHOD /path`, where `*` is one segment and a last `**` the rest",
                    ));
                }
            }
        }
        patterns
    }

    fn flow_limits(&mut self, raw: RawFlowLimits) -> FlowLimits {
        self.refuse_extra(&raw.extra, RawFlowLimits::KEYS, &[], "the limits of a rule");
        let bytes_out = raw.bytes_out.as_ref().and_then(|bytes| self.bytes("bytes_out", bytes));
        let bytes_in = raw.bytes_in.as_ref().and_then(|bytes| self.bytes("bytes_in", bytes));
        if let Some(connections) = raw.connections.as_ref().filter(|connections| connections.value == 0) {
            let problem = Problem::new("`connections: 0` lets nothing through", connections.place, "here");
            self.problems.push(problem.help("write at least 1, or remove the rule"));
        }
        let rate = raw.rate.as_ref().and_then(|At { value, place }| {
            let rate = rate(value);
            if rate.is_none() {
                let what = format!("`{}` is not a rate", value.escape_debug());
                self.problems.push(
                    Problem::new(what, *place, "not a rate").help("write it as `50/s`, `100/m` or `10/h`"),
                );
            }
            rate
        });
        FlowLimits {
            bytes_out,
            bytes_in,
            connections: raw.connections.map(|connections| connections.value),
            rate,
        }
    }

    fn bytes(&mut self, key: &str, raw: &At<Loose>) -> Option<u64> {
        let bytes = match &raw.value {
            Loose::Word(word) => super::top::size(word).filter(|bytes| *bytes > 0),
            Loose::Other => None,
        };
        if bytes.is_none() {
            let problem = Problem::new(format!("`{key}` is not a number of bytes"), raw.place, "here");
            self.problems.push(problem.help("write it as `64KiB` or `1MiB`"));
        }
        bytes
    }

    /// What is asked of a flow must go together.
    fn fits(&mut self, spoken: &Spoken, place: Place) {
        let protocol = spoken.protocol.unwrap_or(Protocol::Tcp);
        if spoken.http && !(protocol.is_tls() || protocol == Protocol::TcpHttp) {
            let what = format!("`http` cannot be checked on `{protocol}`");
            let problem = Problem::new(what, place, "this is not HTTP");
            self.problems.push(problem.help("write `protocol: TCP/HTTPS`, or `TCP/HTTP` for plain text"));
        }
        if spoken.travel == Travel::Brokered && protocol != Protocol::Tcp {
            let what = format!("`path: brokered` cannot be used with `{protocol}`");
            let problem = Problem::new(what, place, "here");
            self.problems.push(problem.help(
                "a brokered socket is not looked into: write `protocol: TCP` as well, or leave `path` out",
            ));
        }
    }

    fn expires(&mut self, raw: &At<String>) -> Option<Expiry> {
        let expiry = strict_date(&raw.value).and_then(|date| {
            // The date holds to the end of its day in UTC.
            let end = date.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
            Some(Expiry { date, end })
        });
        if expiry.is_none() {
            let what = format!("`{}` is not a date", raw.value.escape_debug());
            self.problems.push(Problem::new(what, raw.place, "not a date").help("write it as `2027-03-01`"));
        }
        expiry
    }

    /// What only an opening rule may say.
    fn closes_only(&mut self, list: RuleList, fields: &[(&str, Option<Place>)]) {
        for (field, place) in fields {
            let Some(place) = *place else { continue };
            let what = format!("`{field}` means nothing in `{}`", list.as_str());
            self.problems.push(Problem::new(what, place, "here").help("remove it: this list only closes"));
        }
    }
}

/// What a rule asks of its flows.
struct Spoken {
    http: bool,
    protocol: Option<Protocol>,
    travel: Travel,
}

impl Spoken {
    fn ends_tls(&self) -> bool {
        self.http && self.protocol.is_some_and(Protocol::is_tls)
    }
}

/// `TCP/TLS` where every port is one where TLS is spoken, else `TCP`. A rule that names requests speaks HTTP: in plain
/// text on port 80, else over TLS.
fn default_protocol(destination: &Destination, http: bool) -> Protocol {
    let ranges = destination.ports.ranges();
    let tls = ranges.iter().all(|range| matches!(range, (443, 443) | (8443, 8443)));
    match (http, tls) {
        (true, _) if ranges == [(80, 80)] => Protocol::TcpHttp,
        (true, _) => Protocol::TcpHttps,
        (false, true) => Protocol::TcpTls,
        (false, false) => Protocol::Tcp,
    }
}

/// `50/s`, `100/m`, `10/h`.
fn rate(text: &str) -> Option<Rate> {
    let (count, unit) = text.split_once('/')?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    let count = count.parse().ok().filter(|count| digits && *count > 0)?;
    Some(Rate { count, seconds })
}

/// Exactly `YYYY-MM-DD`: the library takes more spellings than a reader expects.
fn strict_date(text: &str) -> Option<Date> {
    let shape = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    shape.then(|| text.parse().ok()).flatten()
}

fn destination_help(error: &DestinationError) -> String {
    match error {
        DestinationError::Net(NetError::HostBits { suggest, .. } | NetError::Mapped { suggest, .. }) => {
            format!("write `{suggest}`, or the one address alone")
        }
        DestinationError::Host(PatternError::Host(HostError::Numeric { .. })) => {
            "write an address in full, as `127.0.0.1`".into()
        }
        DestinationError::Port(_) => "ports are `443`, `80,443`, `8000-8010` or `*`".into(),
        _ => "a destination is `HOST:PORTS`, `*.SUFFIX:PORTS`, `CIDR:PORTS` or `[v6]:PORTS`".into(),
    }
}

/// Keys of a rule that a later version enforces.
const RULE_LATER: &[&str] = &["when"];
