//! One rule, from what is written to what is checked.

use std::net::IpAddr;
use std::sync::Arc;

use claw_model::destination::{Destination, DestinationError, Target};
use claw_model::host::{HostError, PatternError};
use claw_model::net::NetError;
use claw_model::plane::Plane;
use claw_model::protocol::Protocol;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Loader;
use crate::error::{Place, Problem};
use crate::raw::{At, Keyed, RawRule};
use crate::rule::{Expiry, Rule, RuleList};

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
        self.relayed(raw.path.as_ref());
        let expires = raw.expires.as_ref().and_then(|date| self.expires(date));
        let owner = raw.owner.as_ref().and_then(|owner| self.filled(owner, "owner")).map(Arc::from);
        if !opens {
            let addresses = raw.addresses.as_ref().map(|_| place);
            let private = raw.private.as_ref().map(|private| private.place);
            let expires = raw.expires.as_ref().map(|date| date.place);
            self.closes_only(list, [("addresses", addresses), ("private", private), ("expires", expires)]);
        }
        let (Some(destination), true) = (destination, before == self.problems.len()) else { return };
        let protocol = protocol.or_else(|| opens.then(|| default_protocol(&destination)));
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

    fn relayed(&mut self, raw: Option<&At<String>>) {
        let Some(At { value, place }) = raw else { return };
        match value.as_str() {
            "relay" => {}
            "brokered" => self.later("`path: brokered`", *place),
            _ => self.unknown_word(value, *place, "path", &["relay", "brokered"]),
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
    fn closes_only(&mut self, list: RuleList, fields: [(&str, Option<Place>); 3]) {
        for (field, place) in fields {
            let Some(place) = place else { continue };
            let what = format!("`{field}` means nothing in `{}`", list.as_str());
            self.problems.push(Problem::new(what, place, "here").help("remove it: this list only closes"));
        }
    }
}

/// `TCP/TLS` where every port is one where TLS is spoken, else `TCP`.
fn default_protocol(destination: &Destination) -> Protocol {
    let tls = destination.ports.ranges().iter().all(|range| matches!(range, (443, 443) | (8443, 8443)));
    if tls { Protocol::TcpTls } else { Protocol::Tcp }
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
const RULE_LATER: &[&str] = &["when", "http", "limits", "upstream_ca"];
