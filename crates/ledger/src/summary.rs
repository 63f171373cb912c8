//! What a run reached and what it was denied, folded from its records.
//!
//! Bounded: beyond [`MAX_ENTRIES`] different destinations the rest is only counted.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::record::{Decision, Event};
use crate::show::target;
use crate::text::word;

/// What a run reached and what it was denied.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Where it got through, in the order first reached.
    pub reached: Vec<Reached>,
    /// What it was refused, in the order first refused.
    pub denied: Vec<Denied>,
    /// Connections to destinations beyond the list.
    pub more_reached: u64,
    /// Denials beyond the list, or counted only by reason.
    pub more_denied: u64,
    /// What an observed run reached for and Claw accepted itself, in the order first reached for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<Observed>,
    /// What of that is beyond the list, or was counted only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_observed: u64,
    #[serde(skip)]
    index: Index,
}

/// A destination that was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The host name or address.
    pub destination: String,
    /// The port.
    pub port: u16,
    /// The plane of the rule that allowed it.
    pub plane: Option<String>,
    /// How many connections, or requests where the gate reads them.
    pub count: u64,
    /// How many of them found no address or no answer, and nothing of them left.
    pub unanswered: u64,
    /// Bytes sent, of the connections that have ended.
    pub bytes_out: u64,
    /// Bytes received, likewise.
    pub bytes_in: u64,
}

/// A destination that was reached for, or a request on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The host name or address.
    pub destination: String,
    /// The port.
    pub port: u16,
    /// A request's method and path; absent for the destination itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// What was spoken there; of a request, the credential it carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// The plane of the rule that names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plane: Option<String>,
    /// How many connections or requests.
    pub count: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

/// Something that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// The host name or address, or a request's method and path.
    pub destination: String,
    /// The port; a name that was only looked up has none.
    pub port: Option<u16>,
    /// The reason's code.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// The rule that would allow it.
    pub suggestion: Option<String>,
}

/// Where in the lists an event belongs.
#[derive(Clone, Debug, Default)]
struct Index {
    reached: HashMap<(String, u16, Option<String>), usize>,
    /// The entry that was reached last: the next is often the same.
    latest: Option<usize>,
    /// The entry a destination's next `close` belongs to: the plane is not in it.
    open: HashMap<(String, u16), usize>,
    denied: HashMap<(String, Option<u16>, String), usize>,
    observed: HashMap<(String, u16, Option<String>), usize>,
    /// Which entry a record went to, for the repeats that point at it. Oldest first.
    seqs: VecDeque<u64>,
    by_seq: HashMap<u64, Place>,
}

/// An entry.
#[derive(Clone, Copy, Debug)]
enum Place {
    Denied(usize),
    /// Its repeats count.
    Observed(usize),
    /// The end of an observed connection: its repeats are bytes alone.
    Ended(usize),
    /// A name that an observed run looked up: nothing is counted.
    Name,
}

impl Summary {
    /// Adds record `seq`. `suggestion` is the rule that would allow what it denies, if one may.
    pub fn add(&mut self, seq: u64, event: &Event, suggestion: Option<&str>) {
        match event {
            // where requests are read, each of them is counted, and the connection alone reaches nothing
            Event::Connect { decision: Decision::Allow, assurance: Some(assurance), .. }
                if assurance == "http" => {}
            Event::Connect { destination, port, plane, decision: Decision::Allow, .. }
            | Event::Request { destination, port, plane, decision: Decision::Allow, .. } => {
                self.reach(destination, *port, plane.as_ref());
            }
            Event::Connect { destination, port, reason, decision: Decision::Deny, .. } => {
                self.deny(seq, (destination.clone(), Some(*port), code(reason)), suggestion);
            }
            Event::Dns { name, reason, decision: Decision::Deny, .. } => {
                self.deny(seq, (name.clone(), None, code(reason)), suggestion);
            }
            Event::Request { destination, port, method, path, reason, decision: Decision::Deny, .. } => {
                let what = format!("{method} {}{path}", target(destination, *port));
                self.deny(seq, (what, None, code(reason)), suggestion);
            }
            Event::Syscall { name, .. } => {
                self.deny(seq, (format!("{name}(2)"), None, "seccomp".to_owned()), None);
            }
            Event::Dns { decision: Decision::Sink | Decision::Allow, rule: None, .. } => {
                self.index.remember(seq, Place::Name);
            }
            Event::Connect { destination, port, plane, decision: Decision::Sink, .. } => {
                self.observe(seq, (destination.clone(), *port, None), (plane.as_ref(), None), 0);
            }
            Event::Request {
                destination,
                port,
                method,
                path,
                plane,
                decision: Decision::Sink,
                credential,
                bytes_out,
                ..
            } => {
                let key = (destination.clone(), *port, Some(format!("{method} {path}")));
                let told = (plane.as_ref(), credential.as_ref());
                self.observe(seq, key, told, bytes_out.unwrap_or_default());
            }
            Event::Close { destination, port, bytes_out, application: Some(application), .. }
                if self.index.observed.contains_key(&(destination.clone(), *port, None)) =>
            {
                let at = self.index.observed.get(&(destination.clone(), *port, None)).copied();
                if let Some((at, entry)) = at.and_then(|at| Some((at, self.observed.get_mut(at)?))) {
                    entry.bytes_out = entry.bytes_out.saturating_add(*bytes_out);
                    let silent = entry.what.as_deref().is_none_or(|what| what == "silent");
                    if silent {
                        entry.what = Some(application.clone());
                    }
                    self.index.remember(seq, Place::Ended(at));
                }
            }
            Event::Close { destination, port, bytes_out, planes, .. } if !planes.is_empty() => {
                for tally in planes {
                    let key = (destination.clone(), *port, Some(tally.plane.clone()));
                    let at = self.index.reached.get(&key);
                    if let Some(entry) = at.and_then(|&at| self.reached.get_mut(at)) {
                        entry.bytes_out = entry.bytes_out.saturating_add(tally.bytes_out);
                        entry.bytes_in = entry.bytes_in.saturating_add(tally.bytes_in);
                        // what left is told, whether or not anybody answered
                        if tally.bytes_in == 0 && (tally.bytes_out == 0 || *bytes_out == 0) {
                            entry.unanswered = entry.unanswered.saturating_add(tally.requests);
                        }
                    }
                }
            }
            Event::Close { destination, port, bytes_out, bytes_in, end, .. } => {
                let at = self.index.open.get(&(destination.clone(), *port));
                if let Some(entry) = at.and_then(|&at| self.reached.get_mut(at)) {
                    entry.bytes_out = entry.bytes_out.saturating_add(*bytes_out);
                    entry.bytes_in = entry.bytes_in.saturating_add(*bytes_in);
                    if matches!(end.as_str(), "no-address" | "unreachable") {
                        entry.unanswered = entry.unanswered.saturating_add(1);
                    }
                }
            }
            // A repeat without a reason repeats an allowed lookup: nothing was reached or denied.
            Event::Repeat { of, count, reason: Some(reason), bytes_out, .. } => {
                let place = of.and_then(|of| self.index.by_seq.get(&of).copied());
                let unlisted = match reason.as_str() {
                    "sink" | "allow" => &mut self.more_observed,
                    _ => &mut self.more_denied,
                };
                let total = match place {
                    Some(Place::Denied(at)) => self.denied.get_mut(at).map(|entry| &mut entry.count),
                    Some(Place::Observed(at) | Place::Ended(at)) => self.observed.get_mut(at).map(|entry| {
                        entry.bytes_out = entry.bytes_out.saturating_add(bytes_out.unwrap_or_default());
                        &mut entry.count
                    }),
                    Some(Place::Name) | None => None,
                };
                if !matches!(place, Some(Place::Ended(_) | Place::Name)) {
                    let total = total.unwrap_or(unlisted);
                    *total = total.saturating_add(*count);
                }
            }
            _ => {}
        }
    }

    fn reach(&mut self, destination: &str, port: u16, plane: Option<&String>) {
        let same = |entry: &&mut Reached| {
            entry.destination == destination && entry.port == port && entry.plane.as_ref() == plane
        };
        let latest = self.index.latest.and_then(|at| self.reached.get_mut(at));
        if let Some(entry) = latest.filter(same) {
            // INVARIANT: the index leads to it, also for the next `close`: nothing else was reached since
            entry.count += 1;
            return;
        }
        let key = (destination.to_owned(), port, plane.cloned());
        let at = match self.index.reached.get(&key) {
            Some(&at) => at,
            None if self.reached.len() >= MAX_ENTRIES => return self.more_reached += 1,
            None => {
                let (destination, port, plane) = key.clone();
                let entry =
                    Reached { destination, port, plane, count: 0, unanswered: 0, bytes_out: 0, bytes_in: 0 };
                self.reached.push(entry);
                self.index.reached.insert(key, self.reached.len() - 1);
                self.reached.len() - 1
            }
        };
        if let Some(entry) = self.reached.get_mut(at) {
            entry.count += 1;
        }
        self.index.latest = Some(at);
        self.index.open.insert((destination.to_owned(), port), at);
    }

    fn observe(
        &mut self,
        seq: u64,
        key: (String, u16, Option<String>),
        (plane, what): (Option<&String>, Option<&String>),
        bytes_out: u64,
    ) {
        let at = match self.index.observed.get(&key) {
            Some(&at) => at,
            None if self.observed.len() >= MAX_ENTRIES => return self.more_observed += 1,
            None => {
                let (destination, port, request) = key.clone();
                let (plane, what) = (plane.cloned(), what.cloned());
                self.observed.push(Observed {
                    destination,
                    port,
                    request,
                    what,
                    plane,
                    count: 0,
                    bytes_out: 0,
                });
                self.index.observed.insert(key, self.observed.len() - 1);
                self.observed.len() - 1
            }
        };
        if let Some(entry) = self.observed.get_mut(at) {
            entry.count += 1;
            entry.bytes_out = entry.bytes_out.saturating_add(bytes_out);
        }
        self.index.remember(seq, Place::Observed(at));
    }

    fn deny(&mut self, seq: u64, key: (String, Option<u16>, String), suggestion: Option<&str>) {
        let at = match self.index.denied.get(&key) {
            Some(&at) => at,
            None if self.denied.len() >= MAX_ENTRIES => return self.more_denied += 1,
            None => {
                let (destination, port, reason) = key.clone();
                self.denied.push(Denied { destination, port, reason, count: 0, suggestion: None });
                self.index.denied.insert(key, self.denied.len() - 1);
                self.denied.len() - 1
            }
        };
        if let Some(entry) = self.denied.get_mut(at) {
            entry.count += 1;
            entry.suggestion = entry.suggestion.take().or_else(|| suggestion.map(ToOwned::to_owned));
        }
        self.index.remember(seq, Place::Denied(at));
    }
}

impl Index {
    fn remember(&mut self, seq: u64, place: Place) {
        if self.by_seq.insert(seq, place).is_none() {
            self.seqs.push_back(seq);
        }
        if self.seqs.len() > MAX_SEQS
            && let Some(oldest) = self.seqs.pop_front()
        {
            self.by_seq.remove(&oldest);
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.observed.is_empty() || self.more_observed > 0 {
            self.write_observed(f)?;
            if self.reached.is_empty() && self.denied.is_empty() && self.more_denied == 0 {
                return Ok(());
            }
        }
        let (silent, answered): (Vec<&Reached>, Vec<&Reached>) =
            self.reached.iter().partition(|entry| entry.unanswered >= entry.count);
        writeln!(f, "{}", if answered.is_empty() { "reached: nothing" } else { "reached:" })?;
        for entry in answered {
            let plane = entry.plane.as_ref().map(|plane| format!("  {}", word(plane))).unwrap_or_default();
            let target = target(&entry.destination, entry.port);
            let Reached { count, bytes_out, bytes_in, .. } = entry;
            writeln!(f, "  {target}{plane}  {count}x  {bytes_out} B out, {bytes_in} B in")?;
        }
        if !silent.is_empty() {
            writeln!(f, "permitted, but no answer:")?;
        }
        for entry in silent {
            writeln!(f, "  {}  {}x", target(&entry.destination, entry.port), entry.count)?;
        }
        more(f, self.more_reached)?;
        let clean = self.denied.is_empty() && self.more_denied == 0;
        writeln!(f, "{}", if clean { "denied: nothing" } else { "denied:" })?;
        for Denied { destination, port, reason, count, suggestion } in &self.denied {
            let target = port.map_or_else(|| word(destination), |port| target(destination, port));
            writeln!(f, "  {target}  {}  {count}x", word(reason))?;
            if let Some(suggestion) = suggestion {
                let safe: String = suggestion
                    .chars()
                    .filter(|&character| !claw_model::shown::is_hidden(character))
                    .collect();
                writeln!(f, "    to allow: {safe}")?;
            }
        }
        more(f, self.more_denied)
    }
}

impl Summary {
    /// Each destination, and under it its requests.
    fn write_observed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "reached for, and nothing left:")?;
        let requests = |of: &Observed| {
            let own = |one: &&Observed| {
                one.request.is_some() && (&one.destination, one.port) == (&of.destination, of.port)
            };
            self.observed.iter().filter(own).collect::<Vec<_>>()
        };
        for entry in self.observed.iter().filter(|entry| entry.request.is_none()) {
            let Observed { what, plane, count, bytes_out, .. } = entry;
            let words = [plane, what].into_iter().flatten().map(|text| format!("  {}", word(text)));
            let words: String = words.collect();
            writeln!(f, "  {}{words}  {count}x  {bytes_out} B", target(&entry.destination, entry.port))?;
            let requests = requests(entry);
            for Observed { request, what, plane, count, bytes_out, .. } in requests.iter().take(MOST_REQUESTS)
            {
                let (method, path) =
                    request.as_deref().and_then(|text| text.split_once(' ')).unwrap_or_default();
                let plane = plane.as_ref().map(|plane| format!("  {}", word(plane))).unwrap_or_default();
                let with = what.as_ref().map(|what| format!("  with {}", word(what))).unwrap_or_default();
                writeln!(f, "    {} {}{plane}{with}  {count}x  {bytes_out} B", word(method), word(path))?;
            }
            let rest = requests.len().saturating_sub(MOST_REQUESTS);
            if rest > 0 {
                writeln!(f, "    and {rest} other requests")?;
            }
        }
        more(f, self.more_observed)
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn more(f: &mut fmt::Formatter<'_>, count: u64) -> fmt::Result {
    if count == 0 { Ok(()) } else { writeln!(f, "  and {count} more") }
}

fn code(reason: &Option<String>) -> String {
    reason.clone().unwrap_or_else(|| "other".to_owned())
}

/// The most entries in each list.
pub const MAX_ENTRIES: usize = 1_000;
/// Requests that are listed of one destination.
const MOST_REQUESTS: usize = 25;
/// Twice what a coalescer remembers, so a repeat finds its record.
const MAX_SEQS: usize = 2 * crate::coalesce::MAX_KEYS;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::tests::{denial, every, lookup, observed};

    #[test]
    fn a_run_is_summed_up() {
        let mut summary = Summary::default();
        for (seq, event) in (1..).zip(every()) {
            summary.add(seq, &event, (seq == 4).then_some("- {destination: evil.test:443}"));
        }
        summary.add(
            13,
            &Event::Repeat {
                of: None,
                count: 5,
                reason: Some("no-rule".into()),
                bytes_out: None,
                bytes_in: None,
            },
            None,
        );
        summary.add(
            14,
            &Event::Repeat { of: Some(3), count: 5, reason: None, bytes_out: None, bytes_in: None },
            None,
        );
        let text = "reached:\n  api.test:443  inference  1x  10 B out, 2000 B in\n\
            denied:\n  evil.test:443  no-rule  13x\n    to allow: - {destination: evil.test:443}\n  \
            \"POST api.test:443/v1/x\"  path  1x\n  execve(2)  seccomp  1x\n  and 5 more\n";
        assert_eq!(summary.to_string(), text);
        assert_eq!(Summary::default().to_string(), "reached: nothing\ndenied: nothing\n");
    }

    #[test]
    fn what_left_and_was_not_answered_is_told_with_its_bytes() {
        let event = |json: &str| serde_json::from_str::<Event>(json).unwrap();
        let request = event(
            r#"{"kind": "request", "destination": "a.test", "port": 80, "method": "POST", "path": "/x",
            "plane": "tool", "decision": "allow"}"#,
        );
        let close = |out: u64, of_plane: u64| {
            event(&format!(
                r#"{{"kind": "close", "destination": "a.test", "port": 80, "bytes_out": {out}, "bytes_in": 0,
                "duration_ms": 1, "end": "unreachable",
                "planes": [{{"plane": "tool", "requests": 1, "bytes_out": {of_plane}, "bytes_in": 0}}]}}"#
            ))
        };
        let told = |out, of_plane| {
            let mut summary = Summary::default();
            summary.add(1, &request, None);
            summary.add(2, &close(out, of_plane), None);
            summary.to_string()
        };
        let silent = "reached: nothing\npermitted, but no answer:\n  a.test:80  1x\ndenied: nothing\n";
        let left = "reached:\n  a.test:80  tool  1x  1000070 B out, 0 B in\ndenied: nothing\n";
        assert_eq!(told(1_000_070, 1_000_070), left);
        assert_eq!(told(0, 0), silent, "nothing was dialled");
        assert_eq!(told(517, 0), silent, "a handshake that failed carried nothing of a request");
        assert_eq!(told(0, 70), silent, "what was counted and never written");
    }

    #[test]
    fn what_a_run_reached_for_is_summed_up_by_host_and_request() {
        let mut summary = Summary::default();
        for (seq, event) in (1..).zip(observed()) {
            summary.add(seq, &event, None);
        }
        let hostile = Event::Repeat {
            of: None,
            count: 3,
            reason: Some("sink".into()),
            bytes_out: None,
            bytes_in: None,
        };
        summary.add(9, &hostile, None);
        let text = "reached for, and nothing left:\n  api.test:443  tls  1x  130 B\n    \
            POST /v1/x  with bearer  1x  7 B\n  and 3 more\n";
        assert_eq!(summary.to_string(), text, "the repeat of the end adds bytes alone");
        let mut back: Summary = serde_json::from_str(&serde_json::to_string(&summary).unwrap()).unwrap();
        assert_eq!(back.to_string(), text);
        for step in 0..5_000 {
            let mut event = observed()[1].clone();
            if let Event::Connect { destination, .. } = &mut event {
                *destination = format!("h{step}.test\u{1b}[2J");
            }
            back.add(10 + step, &event, None);
        }
        assert_eq!((back.observed.len(), back.more_observed), (1_000, 3 + 5_000 - 998));
        assert!(!back.to_string().contains('\u{1b}'));
    }

    #[test]
    fn a_flood_is_listed_up_to_the_bound_and_counted_beyond() {
        let mut summary = Summary::default();
        for seq in 0..20_000 {
            summary.add(seq, &denial(&format!("h{seq}.test"), "no-rule"), None);
        }
        summary.add(20_000, &lookup("x.test", Decision::Deny), None);
        assert_eq!((summary.denied.len(), summary.more_denied), (1_000, 19_001));
        for seq in 0..20_000 {
            summary.add(seq, &denial("h0.test", "no-rule"), None);
        }
        assert_eq!(summary.index.by_seq.len(), MAX_SEQS);
        summary.add(
            0,
            &Event::Repeat {
                of: Some(19_999),
                count: 3,
                reason: Some("no-rule".into()),
                bytes_out: None,
                bytes_in: None,
            },
            None,
        );
        assert_eq!(summary.denied[0].count, 20_004);
    }
}
