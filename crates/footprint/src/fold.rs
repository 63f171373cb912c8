//! Folding records into a footprint, as they are read.
//!
//! Bounded: destinations, requests and the text that is kept have limits, so a ledger of any length fits. What is beyond
//! them is counted, and the footprint says that it is partial.

use std::collections::{BTreeMap, HashMap, VecDeque};

use claw_ledger::record::{Decision, Event, Process, Record};
use jiff::Timestamp;

use crate::catalog::Catalog;
use crate::footprint::{Evidence, Footprint, Run, Stamp};
use crate::indexes::Indexes;

mod finish;
mod tally;

pub(crate) use tally::{Tally, Who};

/// Takes records, gives a footprint.
#[derive(Debug, Default)]
pub struct Fold {
    pub(crate) runs: Vec<Run>,
    pub(crate) stamps: Vec<Stamp>,
    index: HashMap<Box<str>, u32>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) places: Vec<Place>,
    pub(crate) counted: BTreeMap<String, u64>,
    pub(crate) beyond: u64,
    requests: usize,
    text: usize,
    /// Where the records that a `repeat` may point at went, in order.
    recent: VecDeque<(u64, Spot)>,
    /// Connections that go on.
    open: HashMap<u64, Open>,
    observed: bool,
    key: String,
}

/// A host name or an address.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: Box<str>,
    pub(crate) places: Vec<u32>,
    pub(crate) lookups: Tally,
}

/// A host, a port, and what carries it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) port: u16,
    pub(crate) udp: bool,
    /// Connections, whose requests are not read or were not seen yet.
    pub(crate) connections: Tally,
    /// Connections whose requests the gate reads.
    pub(crate) read: Tally,
    /// How many of `connections` turned out to carry requests: let through, and answered by Claw.
    pub(crate) spoke: (u64, u64),
    /// How many of `connections` ended without a byte.
    pub(crate) wordless: u64,
    index: HashMap<Box<str>, u32>,
    pub(crate) requests: Vec<Asked>,
    /// Bytes of connections that carried requests.
    pub(crate) bytes: (u64, u64),
    /// The same by the policy's plane, where the gate tells them apart.
    pub(crate) by_plane: BTreeMap<Box<str>, (u64, u64)>,
    pub(crate) spoken: Vec<Box<str>>,
    pub(crate) named: Vec<Box<str>>,
}

/// Requests with one method and path.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: Box<str>,
    pub(crate) path: Box<str>,
    pub(crate) tally: Tally,
    pub(crate) user_agents: Vec<Box<str>>,
    /// Some client did not say who it is, or there are more than are kept.
    pub(crate) nameless: bool,
    pub(crate) credentials: Vec<Box<str>>,
    pub(crate) statuses: Vec<u16>,
    pub(crate) query: Vec<Box<str>>,
}

/// Where a record went.
#[derive(Debug, Clone, Copy)]
enum Spot {
    Lookup(u32, Who),
    Connection(u32, Who),
    Request(u32, u32, Who),
    Close(u32, Option<End>),
}

/// What the end of an observed connection says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It carried requests, and was decided like this.
    Carried(Decision),
    /// Not a byte was said.
    Wordless,
    /// Something else was said.
    Spoke,
}

#[derive(Debug)]
struct Open {
    place: u32,
    decision: Decision,
    spoke: bool,
}

impl Fold {
    /// With nothing folded.
    pub fn new() -> Fold {
        Fold::default()
    }

    /// The records that follow are those of another ledger.
    pub fn ledger(&mut self, name: &str) {
        self.settle();
        self.runs.push(Run { ledger: name.to_owned(), mode: "run".to_owned(), ..Run::default() });
        self.recent.clear();
        self.observed = false;
    }

    /// A reader must know this.
    pub fn stamp(&mut self, code: &str, text: String) {
        self.stamps.push(Stamp { code: code.to_owned(), text });
    }

    /// Tells how the ledger ends, once it was verified.
    pub fn head(&mut self, head: String) {
        if let Some(run) = self.runs.last_mut() {
            run.head = Some(head);
        }
    }

    /// The run whose records are being folded.
    pub fn run(&self) -> Option<&Run> {
        self.runs.last()
    }

    /// Takes the next record of the ledger.
    pub fn add(&mut self, record: &Record) {
        if self.runs.is_empty() {
            self.ledger("");
        }
        if let Some(run) = self.runs.last_mut() {
            run.records = run.records.saturating_add(1);
            run.first.get_or_insert(record.time);
            run.last = run.last.max(Some(record.time));
        }
        self.event(record);
    }

    /// The footprint.
    pub fn finish(mut self, catalog: &Catalog, indexes: &Indexes) -> Footprint {
        self.settle();
        finish::finish(self, catalog, indexes)
    }

    fn event(&mut self, record: &Record) {
        let Record { seq, time, event, .. } = record;
        match event {
            Event::Start { run: name, agent, command, policy_digest, claw_version, mode, .. } => {
                self.observed = mode.is_some();
                if let Some(run) = self.runs.last_mut() {
                    run.run = name.clone();
                    run.agent = agent.clone();
                    run.command = command.clone();
                    run.policy_digest = policy_digest.clone();
                    run.claw_version = claw_version.clone();
                    run.mode = mode.clone().unwrap_or_else(|| "run".to_owned());
                }
            }
            Event::Exit { code } => {
                if let Some(run) = self.runs.last_mut() {
                    run.exit = Some(*code);
                }
            }
            Event::Dns { name, decision, reason, process, .. } => {
                let seen = self.seen(*seq, *time, process.as_ref());
                let Some(at) = self.host(name) else { return };
                let host = self.hosts.get_mut(at as usize);
                let who = host.map(|host| host.lookups.add(&seen, *decision, reason.as_deref()));
                self.remember(*seq, Spot::Lookup(at, who.unwrap_or_default()));
            }
            Event::Connect { .. } => self.connect(*seq, *time, event),
            Event::Request { .. } => self.request(*seq, *time, event),
            Event::Close { .. } => self.close(*seq, event),
            Event::Repeat { of, count, reason, bytes_out, bytes_in } => {
                let spot = of.and_then(|of| self.spot(of));
                let bytes = (bytes_out.unwrap_or_default(), bytes_in.unwrap_or_default());
                self.repeat(spot, *time, (*count, reason.as_deref()), bytes);
            }
            _ => {}
        }
    }

    fn connect(&mut self, seq: u64, time: Timestamp, event: &Event) {
        let Event::Connect {
            destination,
            port,
            protocol,
            phase,
            plane,
            decision,
            reason,
            assurance,
            process,
            ..
        } = event
        else {
            return;
        };
        let seen = self.seen(seq, time, process.as_ref()).within(phase, plane.as_deref());
        let udp = protocol.len() >= 3
            && protocol.as_bytes().get(..3).is_some_and(|head| head.eq_ignore_ascii_case(b"udp"));
        let Some(at) = self.place(destination, *port, udp) else { return };
        let read = *decision == Decision::Allow && assurance.as_deref() == Some("http");
        let mut who = Who::default();
        if let Some(place) = self.places.get_mut(at as usize) {
            let tally = if read { &mut place.read } else { &mut place.connections };
            who = tally.add(&seen, *decision, reason.as_deref());
            if assurance.as_deref() == Some("sni") {
                once(&mut place.spoken, "tls", MOST_WORDS);
            }
        }
        if self.observed && *decision != Decision::Deny && self.open.len() < MOST_OPEN {
            self.open.insert(seq, Open { place: at, decision: *decision, spoke: false });
        }
        if *decision != Decision::Allow {
            self.remember(seq, Spot::Connection(at, who));
        }
    }

    fn request(&mut self, seq: u64, time: Timestamp, event: &Event) {
        let Event::Request {
            destination,
            port,
            method,
            path,
            phase,
            plane,
            decision,
            reason,
            connection,
            user_agent,
            credential,
            status,
            bytes_out,
            query,
            process,
            ..
        } = event
        else {
            return;
        };
        let seen = self
            .seen(seq, time, process.as_ref())
            .within(phase.as_deref().unwrap_or_default(), plane.as_deref());
        let Some(at) = self.place(destination, *port, false) else { return };
        if let Some(open) = connection.and_then(|connection| self.open.get_mut(&connection)) {
            open.spoke = true;
        }
        let Some(request) = self.asked(at, method, path) else { return };
        let place = self.places.get_mut(at as usize);
        let mut who = Who::default();
        if let Some(asked) = place.and_then(|place| place.requests.get_mut(request as usize)) {
            who = asked.tally.add(&seen, *decision, reason.as_deref());
            asked.tally.bytes_out = asked.tally.bytes_out.saturating_add(bytes_out.unwrap_or_default());
            match user_agent {
                Some(agent) => once(&mut asked.user_agents, cut(agent, LONGEST_WORD), MOST_WORDS),
                None => asked.nameless = true,
            }
            asked.nameless |= asked.user_agents.len() >= MOST_WORDS;
            if let Some(credential) = credential {
                once(&mut asked.credentials, cut(credential, LONGEST_WORD), MOST_WORDS);
            }
            if let Some(status) = status
                && asked.statuses.len() < MOST_WORDS
                && !asked.statuses.contains(status)
            {
                asked.statuses.push(*status);
            }
            query.iter().for_each(|name| once(&mut asked.query, cut(name, LONGEST_WORD), MOST_NAMES));
        }
        self.remember(seq, Spot::Request(at, request, who));
    }

    fn close(&mut self, seq: u64, event: &Event) {
        let Event::Close {
            destination,
            port,
            bytes_out,
            bytes_in,
            end,
            planes,
            connection,
            application,
            sni,
            requests,
            ..
        } = event
        else {
            return;
        };
        let open = connection.and_then(|connection| self.open.remove(&connection));
        let at = match &open {
            Some(open) => Some(open.place),
            None => self.latest(destination, *port),
        };
        let Some(place) = at.and_then(|at| self.places.get_mut(at as usize)) else {
            // its connection was beyond what is kept, or it is the end of a hand-over that reached nobody
            return;
        };
        let decision = open.as_ref().map_or(Decision::Sink, |open| open.decision);
        let end_says = requests.map(|requests| match requests {
            0 if *bytes_out == 0 && application.as_deref() == Some("silent") => End::Wordless,
            0 => End::Spoke,
            _ => End::Carried(decision),
        });
        let spoke = match (end_says, &open) {
            (Some(says), _) => matches!(says, End::Carried(_)),
            (None, Some(open)) => open.spoke,
            (None, None) => !planes.is_empty(),
        };
        // a connection that the ledger only counts is told by its end
        if spoke && (end_says.is_some() || open.is_some()) {
            place.spoke(decision, 1);
        }
        if end_says == Some(End::Wordless) {
            place.wordless = place.wordless.saturating_add(1);
        }
        if spoke {
            more(&mut place.bytes, *bytes_out, *bytes_in);
        } else {
            place.connections.bytes(*bytes_out, *bytes_in);
        }
        for tally in planes {
            more(
                place.by_plane.entry(tally.plane.as_str().into()).or_default(),
                tally.bytes_out,
                tally.bytes_in,
            );
        }
        if matches!(end.as_str(), "no-address" | "unreachable") {
            place.connections.unanswered = place.connections.unanswered.saturating_add(1);
        }
        if let Some(application) = application.as_deref().filter(|word| *word != "silent") {
            once(&mut place.spoken, cut(application, LONGEST_WORD), MOST_WORDS);
        }
        if let Some(sni) = sni {
            once(&mut place.named, cut(sni, LONGEST_WORD), MOST_WORDS);
        }
        if let Some(at) = at {
            self.remember(seq, Spot::Close(at, end_says));
        }
    }

    /// The same again, so many times. What the ledger only counts, and what points at a record that is not kept any more,
    /// is counted by reason.
    fn repeat(
        &mut self,
        spot: Option<Spot>,
        time: Timestamp,
        (count, reason): (u64, Option<&str>),
        bytes: (u64, u64),
    ) {
        match spot {
            Some(Spot::Lookup(at, who)) => {
                if let Some(host) = self.hosts.get_mut(at as usize) {
                    host.lookups.again((count, who), time, reason);
                }
            }
            Some(Spot::Connection(at, who)) => {
                if let Some(place) = self.places.get_mut(at as usize) {
                    place.connections.again((count, who), time, reason);
                    place.connections.bytes(bytes.0, bytes.1);
                }
            }
            Some(Spot::Request(at, request, who)) => {
                let place = self.places.get_mut(at as usize);
                if let Some(asked) = place.and_then(|place| place.requests.get_mut(request as usize)) {
                    asked.tally.again((count, who), time, reason);
                    asked.tally.bytes(bytes.0, bytes.1);
                }
            }
            Some(Spot::Close(at, says)) => {
                if let Some(place) = self.places.get_mut(at as usize) {
                    match says {
                        Some(End::Carried(decision)) => place.spoke(decision, count),
                        Some(End::Wordless) => place.wordless = place.wordless.saturating_add(count),
                        Some(End::Spoke) | None => {}
                    }
                    // a ledger of an older version does not say
                    let carried =
                        says.map_or(!place.requests.is_empty(), |says| matches!(says, End::Carried(_)));
                    if !carried {
                        place.connections.bytes(bytes.0, bytes.1);
                    } else {
                        more(&mut place.bytes, bytes.0, bytes.1);
                    }
                }
            }
            // an allowed look-up that nobody needs to hear of
            None if reason.is_none() => {}
            None => {
                let total = self.counted.entry(reason.unwrap_or_default().to_owned()).or_default();
                *total = total.saturating_add(count);
            }
        }
    }

    /// What is still open will not tell how it ends.
    fn settle(&mut self) {
        for open in std::mem::take(&mut self.open).into_values().filter(|open| open.spoke) {
            if let Some(place) = self.places.get_mut(open.place as usize) {
                place.spoke(open.decision, 1);
            }
        }
    }

    fn seen<'a>(&self, seq: u64, time: Timestamp, process: Option<&'a Process>) -> tally::Seen<'a> {
        let run = u32::try_from(self.runs.len()).unwrap_or(u32::MAX);
        tally::Seen { evidence: Evidence { run, seq }, time, process, phase: "", plane: None }
    }

    fn remember(&mut self, seq: u64, spot: Spot) {
        if self.recent.len() >= MOST_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((seq, spot));
    }

    fn spot(&self, seq: u64) -> Option<Spot> {
        let at = self.recent.binary_search_by_key(&seq, |(seq, _)| *seq).ok()?;
        self.recent.get(at).map(|(_, spot)| *spot)
    }

    fn host(&mut self, name: &str) -> Option<u32> {
        if let Some(at) = self.index.get(name) {
            return Some(*at);
        }
        if self.hosts.len() >= MOST_HOSTS || !self.keep(name.len()) {
            self.beyond = self.beyond.saturating_add(1);
            return None;
        }
        let at = u32::try_from(self.hosts.len()).ok()?;
        self.index.insert(name.into(), at);
        self.hosts.push(Host { name: name.into(), places: Vec::new(), lookups: Tally::default() });
        Some(at)
    }

    fn place(&mut self, name: &str, port: u16, udp: bool) -> Option<u32> {
        let host = self.host(name)?;
        let known =
            self.hosts.get(host as usize).into_iter().flat_map(|host| &host.places).copied().find(|at| {
                self.places.get(*at as usize).is_some_and(|place| place.port == port && place.udp == udp)
            });
        if known.is_some() {
            return known;
        }
        if self.places.len() >= MOST_PLACES {
            self.beyond = self.beyond.saturating_add(1);
            return None;
        }
        let at = u32::try_from(self.places.len()).ok()?;
        self.places.push(Place {
            port,
            udp,
            connections: Tally::default(),
            read: Tally::default(),
            spoke: (0, 0),
            wordless: 0,
            index: HashMap::new(),
            requests: Vec::new(),
            bytes: (0, 0),
            by_plane: BTreeMap::new(),
            spoken: Vec::new(),
            named: Vec::new(),
        });
        self.hosts.get_mut(host as usize)?.places.push(at);
        Some(at)
    }

    /// The place that an end without a number of its connection belongs to: TCP, where there is one.
    fn latest(&self, name: &str, port: u16) -> Option<u32> {
        let host = self.hosts.get(*self.index.get(name)? as usize)?;
        let at = |udp: bool| {
            let mut places = host.places.iter().copied();
            places.find(|at| {
                self.places.get(*at as usize).is_some_and(|place| place.port == port && place.udp == udp)
            })
        };
        at(false).or_else(|| at(true))
    }

    fn asked(&mut self, at: u32, method: &str, path: &str) -> Option<u32> {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.push_str(method);
        key.push(' ');
        key.push_str(path);
        let found = self.places.get(at as usize).and_then(|place| place.index.get(key.as_str()).copied());
        let found = found.or_else(|| {
            if self.requests >= MOST_REQUESTS || !self.keep(key.len() * 2) {
                self.beyond = self.beyond.saturating_add(1);
                return None;
            }
            self.requests += 1;
            let place = self.places.get_mut(at as usize)?;
            let request = u32::try_from(place.requests.len()).ok()?;
            place.index.insert(key.as_str().into(), request);
            place.requests.push(Asked {
                method: method.into(),
                path: path.into(),
                tally: Tally::default(),
                user_agents: Vec::new(),
                nameless: false,
                credentials: Vec::new(),
                statuses: Vec::new(),
                query: Vec::new(),
            });
            Some(request)
        });
        self.key = key;
        found
    }

    fn keep(&mut self, length: usize) -> bool {
        let kept = self.text.saturating_add(length) <= MOST_TEXT;
        if kept {
            self.text = self.text.saturating_add(length);
        }
        kept
    }
}

impl Place {
    /// So many of its connections carried requests.
    fn spoke(&mut self, decision: Decision, count: u64) {
        let spoke = if decision == Decision::Allow { &mut self.spoke.0 } else { &mut self.spoke.1 };
        *spoke = spoke.saturating_add(count);
    }
}

fn more(bytes: &mut (u64, u64), out: u64, back: u64) {
    *bytes = (bytes.0.saturating_add(out), bytes.1.saturating_add(back));
}

/// Adds a word that is not there yet, if there is room.
pub(crate) fn once(words: &mut Vec<Box<str>>, word: &str, most: usize) {
    if words.len() < most && !words.iter().any(|known| **known == *word) {
        words.push(word.into());
    }
}

/// Not longer than so many bytes.
pub(crate) fn cut(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// The most hosts that are kept.
pub const MOST_HOSTS: usize = 20_000;
const MOST_PLACES: usize = 20_000;
const MOST_REQUESTS: usize = 50_000;
/// Bytes of host names and paths.
const MOST_TEXT: usize = 48 << 20;
/// Twice what a coalescer remembers, so that a repeat finds its record.
const MOST_RECENT: usize = 2 * claw_ledger::coalesce::MAX_KEYS + 2 * MOST_OPEN;
const MOST_OPEN: usize = 16_384;
const MOST_WORDS: usize = 8;
const MOST_NAMES: usize = 32;
const LONGEST_WORD: usize = 200;

#[cfg(test)]
pub(crate) mod tests;
