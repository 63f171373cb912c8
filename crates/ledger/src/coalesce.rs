//! A flood of the same is written once and counted, so it can fill neither the disk nor memory.
//!
//! Denials, and allowed DNS answers, that differ only in the process id are the same. The first is written; the
//! rest become a `repeat` record once a second. Denials that all differ pass a token bucket; beyond it they are
//! counted by reason alone. Nothing is lost uncounted: records written and counts together are what was offered.
//! What no rule allowed and an observed run let happen is the agent's to multiply as well: it is held like denials, and so
//! are its ends, with their bytes. Everything else (connections that a rule allowed, their ends, phases) is always written.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};

use claw_model::digest::Digest;

use crate::record::{Decision, Event, Process};

/// What to do with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Write it to the ledger.
    Write,
    /// Do not: it was counted, as a repeat of this record if there is one.
    Count(Option<u64>),
}

/// Remembers what was written and counts what repeats it.
#[derive(Debug)]
pub struct Coalescer {
    slots: HashMap<Key, Slot>,
    /// The keys, oldest first. INVARIANT: the same keys as `slots`.
    order: VecDeque<Key>,
    /// Denials there was no token for, by reason.
    overflow: BTreeMap<String, Total>,
    /// Repeats of keys that were pushed out.
    evicted: Vec<Event>,
    /// Thousandths of a token.
    tokens: u64,
    refilled_ms: u64,
    flushed_ms: u64,
}

#[derive(Debug)]
struct Slot {
    seq: u64,
    total: Total,
    reason: Option<String>,
}

/// How often, and how many bytes where the event tells them.
#[derive(Debug, Default)]
struct Total {
    count: u64,
    out: Option<u64>,
    back: Option<u64>,
}

impl Total {
    fn add(&mut self, count: u64, (out, back): Bytes) {
        let sum = |one: Option<u64>, more: Option<u64>| match (one, more) {
            (None, None) => None,
            (one, more) => Some(one.unwrap_or_default().saturating_add(more.unwrap_or_default())),
        };
        self.count = self.count.saturating_add(count);
        (self.out, self.back) = (sum(self.out, out), sum(self.back, back));
    }
}

/// Bytes sent and received.
type Bytes = (Option<u64>, Option<u64>);

/// A hash, not the text: a name or path is long and the agent chooses it.
type Key = [u8; 32];

impl Coalescer {
    /// With nothing seen, at `now_ms` of a clock that does not go back.
    pub fn new(now_ms: u64) -> Self {
        Self {
            slots: HashMap::new(),
            order: VecDeque::new(),
            overflow: BTreeMap::new(),
            evicted: Vec::new(),
            tokens: BURST * TOKEN,
            refilled_ms: now_ms,
            flushed_ms: now_ms,
        }
    }

    /// Write `event` or not? `seq` is the number it will have if it is written.
    pub fn offer(&mut self, now_ms: u64, seq: u64, event: &Event) -> Offer {
        let Some((key, reason)) = identity(event) else { return Offer::Write };
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.total.add(1, bytes(event));
            return Offer::Count(Some(slot.seq));
        }
        // Allowed names are as many as the policy lets there be; only denials are the agent's to multiply.
        if let Some(reason) = &reason
            && !self.spend(now_ms)
        {
            self.count_by_reason(reason, 1, bytes(event));
            return Offer::Count(None);
        }
        if self.slots.len() >= MAX_KEYS {
            self.evict();
        }
        self.slots.insert(key, Slot { seq, total: Total::default(), reason });
        self.order.push_back(key);
        Offer::Write
    }

    /// The repeats to write now: none until a second has passed, and the most frequent [`MAX_REPEATS`] of
    /// them; the others keep counting.
    pub fn due(&mut self, now_ms: u64) -> Vec<Event> {
        if now_ms.saturating_sub(self.flushed_ms) < FLUSH_MS {
            return Vec::new();
        }
        self.flushed_ms = now_ms;
        self.flush(MAX_REPEATS)
    }

    /// Every repeat not written yet, at the end of the run.
    pub fn drain(&mut self) -> Vec<Event> {
        self.flush(MAX_KEYS)
    }

    fn flush(&mut self, most: usize) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.evicted);
        let mut repeated: Vec<&mut Slot> =
            self.slots.values_mut().filter(|slot| slot.total.count > 0).collect();
        repeated.sort_unstable_by_key(|slot| (Reverse(slot.total.count), slot.seq));
        events.extend(repeated.into_iter().take(most).map(Slot::take));
        let overflow = std::mem::take(&mut self.overflow);
        events.extend(overflow.into_iter().map(|(reason, total)| Event::Repeat {
            of: None,
            count: total.count,
            reason: Some(reason),
            bytes_out: total.out,
            bytes_in: total.back,
        }));
        events
    }

    fn evict(&mut self) {
        let Some(mut slot) = self.order.pop_front().and_then(|key| self.slots.remove(&key)) else { return };
        match slot.total.count {
            0 => {}
            _ if self.evicted.len() < MAX_KEYS => self.evicted.push(slot.take()),
            // Nobody calls `due`: memory stays bounded, the number stays right.
            count => {
                let bytes = (slot.total.out, slot.total.back);
                self.count_by_reason(slot.reason.as_deref().unwrap_or(OTHER), count, bytes);
            }
        }
    }

    fn count_by_reason(&mut self, reason: &str, more: u64, bytes: Bytes) {
        let known = self.overflow.contains_key(reason) || self.overflow.len() < MAX_REASONS;
        let total = self.overflow.entry(if known { reason } else { OTHER }.to_owned()).or_default();
        total.add(more, bytes);
    }

    fn spend(&mut self, now_ms: u64) -> bool {
        let elapsed = now_ms.saturating_sub(self.refilled_ms);
        self.refilled_ms = self.refilled_ms.max(now_ms);
        let refill = elapsed.saturating_mul(PER_SECOND);
        self.tokens = self.tokens.saturating_add(refill).min(BURST * TOKEN);
        let left = self.tokens.checked_sub(TOKEN);
        self.tokens = left.unwrap_or(self.tokens);
        left.is_some()
    }
}

impl Slot {
    fn take(&mut self) -> Event {
        let Total { count, out, back } = std::mem::take(&mut self.total);
        Event::Repeat {
            of: Some(self.seq),
            count,
            reason: self.reason.clone(),
            bytes_out: out,
            bytes_in: back,
        }
    }
}

/// What makes two events the same, and the reason if they are denials. None: always written.
fn identity(event: &Event) -> Option<(Key, Option<String>)> {
    // nearly every record of a busy run is one of these
    if let Event::Connect { decision: Decision::Allow, rule: Some(_), .. }
    | Event::Request { decision: Decision::Allow, rule: Some(_), .. } = event
    {
        return None;
    }
    let mut parts = Parts(Vec::with_capacity(256));
    parts.add(event.kind());
    let seccomp = Some("seccomp".to_owned());
    let (decision, reason) = match event {
        Event::Dns { name, record_type, decision, rule, reason, process } => {
            parts.add(name).add(record_type).option(rule).option(reason).process(process);
            (*decision, reason)
        }
        Event::Connect {
            destination,
            port,
            protocol,
            phase,
            plane,
            decision,
            rule,
            reason,
            sentence: _,
            assurance,
            process,
        } => {
            parts.add(destination).add(&port.to_string()).add(protocol).add(phase);
            parts.option(plane).option(rule).option(reason).option(assurance).process(process);
            (*decision, reason)
        }
        Event::Request {
            destination,
            port,
            method,
            path,
            phase,
            plane,
            decision,
            rule,
            reason,
            sentence: _,
            connection: _,
            host,
            user_agent,
            credential,
            status,
            bytes_out: _,
            query,
            process,
        } => {
            parts.add(destination).add(&port.to_string()).add(method).add(path);
            parts.option(phase).option(plane).option(rule).option(reason).option(user_agent).option(host);
            parts.option(credential).option(&status.map(|status| status.to_string())).process(process);
            for name in query {
                parts.add(name);
            }
            (*decision, reason)
        }
        Event::Syscall { name, action, rule, process } => {
            parts.add(name).add(action).option(rule).process(process);
            (Decision::Deny, &seccomp)
        }
        Event::Close {
            destination, port, end, application: Some(application), sni, alpn, requests, ..
        } => {
            parts.add(destination).add(&port.to_string()).add(end).add(application).option(sni).option(alpn);
            // one that carried requests is another thing than one that was silent, however many it carried
            parts.option(&requests.map(|requests| (requests > 0).to_string()));
            (Decision::Sink, &None)
        }
        _ => return None,
    };
    let reason = match decision {
        Decision::Allow if matches!(event, Event::Dns { rule: Some(_), .. }) => None,
        Decision::Allow => Some(ALLOW.to_owned()),
        Decision::Deny => Some(reason.clone().unwrap_or_else(|| OTHER.to_owned())),
        Decision::Sink => Some(SINK.to_owned()),
    };
    parts.option(&reason);
    Some((*Digest::of(&parts.0).as_bytes(), reason))
}

/// What the event tells of bytes.
fn bytes(event: &Event) -> Bytes {
    match event {
        Event::Request { bytes_out, .. } => (*bytes_out, None),
        Event::Close { bytes_out, bytes_in, .. } => (Some(*bytes_out), Some(*bytes_in)),
        _ => (None, None),
    }
}

/// Fields one after the other, each with its length: no two lists of fields give the same bytes.
struct Parts(Vec<u8>);

impl Parts {
    fn add(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(&(text.len() as u64).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn option(&mut self, text: &Option<String>) -> &mut Self {
        self.0.push(u8::from(text.is_some()));
        self.add(text.as_deref().unwrap_or_default())
    }

    /// The executable only: a fork bomb has a new process id each time.
    fn process(&mut self, process: &Option<Process>) -> &mut Self {
        let package = process.as_ref().and_then(|process| process.package.clone());
        let via = process.as_ref().and_then(|process| process.via.clone());
        self.add(process.as_ref().map_or("", |process| &process.exe)).option(&package).option(&via)
    }
}

/// The most different events remembered; the oldest goes first.
pub const MAX_KEYS: usize = 4_096;
/// The most repeats written a second.
pub const MAX_REPEATS: usize = 200;
/// Different denials that can be written at once.
pub const BURST: u64 = 2_000;
/// Different denials a second that can be written for long.
pub const PER_SECOND: u64 = 200;
/// How often repeats are written, in milliseconds.
pub const FLUSH_MS: u64 = 1_000;

const TOKEN: u64 = 1_000;
const MAX_REASONS: usize = 64;
const OTHER: &str = "other";
const SINK: &str = "sink";
const ALLOW: &str = "allow";

#[cfg(test)]
mod tests;
