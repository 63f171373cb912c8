//! What the screen shows and where one is in it: a value. Answers and keys go in; nothing here reads, asks or draws.

use std::collections::BTreeMap;
use std::time::Duration;

use claw_run::control::Running;

use super::rate::Bytes;

/// The screen.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    /// The runs, in their order.
    pub(crate) runs: Vec<Run>,
    /// Which run is looked at.
    pub(crate) run: usize,
    /// Which of its flows.
    pub(crate) flow: usize,
    /// Which of its denials.
    pub(crate) denial: usize,
    /// What the arrow keys move.
    pub(crate) focus: Focus,
    /// Said once, in the footer.
    pub(crate) note: Option<&'static str>,
}

/// Which part the keys are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Focus {
    /// The list of runs.
    #[default]
    Runs,
    /// The flows of the run.
    Flows,
    /// Its denials.
    Denials,
}

/// Which run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Whose.
    pub(crate) user: u32,
    /// Its name.
    pub(crate) name: String,
}

/// A run in the list.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// Which.
    pub(crate) key: Key,
    /// What is known of it.
    pub(crate) state: State,
}

/// What is known of a run.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// What it says.
    Live(Box<Live>),
    /// Nothing, and why.
    Silent(String),
}

/// A run that answers.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    /// The agent's name in the policy.
    pub(crate) agent: String,
    /// Its command in one line.
    pub(crate) command: String,
    /// The phase.
    pub(crate) phase: String,
    /// Since when, in seconds.
    pub(crate) seconds: u64,
    /// Open flows.
    pub(crate) flows: usize,
    /// What it carries in a second, connections that ended in between included.
    pub(crate) rate: Option<Bytes>,
    /// How much was denied.
    pub(crate) denied: u64,
    /// Its flows by plane.
    pub(crate) planes: Vec<Plane>,
    /// Its denials, the most frequent first.
    pub(crate) denials: Vec<Denial>,
}

/// The flows of one plane.
#[derive(Debug, Clone)]
pub(crate) struct Plane {
    /// Its name.
    pub(crate) name: String,
    /// Its flows, in the order they were opened.
    pub(crate) flows: Vec<Flow>,
}

/// One flow, or its share of a plane where the gate reads its requests.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    /// Its number in the run.
    pub(crate) number: u64,
    /// Where to.
    pub(crate) destination: String,
    /// Who opened it.
    pub(crate) process: String,
    /// HTTP requests, where the gate reads them.
    pub(crate) requests: Option<u64>,
    /// What it carried.
    pub(crate) bytes: Bytes,
    /// What it carries in a second.
    pub(crate) rate: Option<Bytes>,
    /// How long it is open, in seconds.
    pub(crate) seconds: u64,
}

/// Something that was denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denial {
    /// Where to.
    pub(crate) destination: String,
    /// The reason's code.
    pub(crate) reason: String,
    /// How often.
    pub(crate) count: u64,
    /// The rule that would allow it.
    pub(crate) rule: Option<String>,
}

/// A key, whatever it is called on the keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Press {
    /// So far down, or up.
    Move(isize),
    /// To the first.
    First,
    /// To the last.
    Last,
    /// To the next part.
    Next,
    /// To the part before.
    Back,
    /// The selected rule is wanted.
    Copy,
}

impl Screen {
    /// Takes over what the runs say now; what is selected stays selected as long as it is there.
    pub(crate) fn update(&mut self, runs: Vec<Run>) {
        let run = self.runs.get(self.run).map(|run| run.key.clone());
        let flow = self.flows().get(self.flow).map(|(plane, flow)| (plane.name.clone(), flow.number));
        let denial = self.denials().get(self.denial).cloned();
        self.runs = runs;
        if let Some(at) = run.as_ref().and_then(|run| self.runs.iter().position(|other| other.key == *run)) {
            self.run = at;
        } else {
            self.run = self.run.min(self.runs.len().saturating_sub(1));
            (self.flow, self.denial) = (0, 0);
            return;
        }
        let flows = self.flows();
        let same = |(plane, number): &(String, u64)| {
            flows.iter().position(|(other, flow)| other.name == *plane && flow.number == *number)
        };
        let at = flow.as_ref().and_then(same).unwrap_or(self.flow).min(flows.len().saturating_sub(1));
        let denials = self.denials();
        let same = |denial: &Denial| {
            denials
                .iter()
                .position(|other| other.destination == denial.destination && other.reason == denial.reason)
        };
        self.denial =
            denial.as_ref().and_then(same).unwrap_or(self.denial).min(denials.len().saturating_sub(1));
        self.flow = at;
    }

    /// Selects the run of this name; says whether there is one.
    pub(crate) fn select(&mut self, name: &str) -> bool {
        let at = self.runs.iter().position(|run| run.key.name == name);
        self.run = at.unwrap_or(self.run);
        at.is_some()
    }

    /// Does what a key asks for; the rule to copy is returned.
    pub(crate) fn press(&mut self, press: Press) -> Option<String> {
        self.note = None;
        match press {
            Press::Move(by) => self.go(|at, _| at.saturating_add_signed(by)),
            Press::First => self.go(|_, _| 0),
            Press::Last => self.go(|_, length| length),
            Press::Next => self.focus = self.focus.next(),
            Press::Back => self.focus = self.focus.next().next(),
            Press::Copy => {
                let rule = self.rule().map(ToOwned::to_owned);
                self.note = Some(if rule.is_some() { "copied" } else { "no rule is selected" });
                return rule;
            }
        }
        None
    }

    fn go(&mut self, to: impl Fn(usize, usize) -> usize) {
        let length = match self.focus {
            Focus::Runs => self.runs.len(),
            Focus::Flows => self.flows().len(),
            Focus::Denials => self.denials().len(),
        };
        let last = length.saturating_sub(1);
        match self.focus {
            Focus::Runs => {
                let before = self.run;
                self.run = to(self.run, last).min(last);
                if self.run != before {
                    (self.flow, self.denial) = (0, 0);
                }
            }
            Focus::Flows => self.flow = to(self.flow, last).min(last),
            Focus::Denials => self.denial = to(self.denial, last).min(last),
        }
    }

    /// The run that is looked at, if it answers.
    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.runs.get(self.run)?.state {
            State::Live(live) => Some(live),
            State::Silent(_) => None,
        }
    }

    /// The denials of the run that is looked at.
    pub(crate) fn denials(&self) -> &[Denial] {
        self.live().map_or(&[], |live| &live.denials)
    }

    /// The rule of the selected denial.
    pub(crate) fn rule(&self) -> Option<&str> {
        if self.focus != Focus::Denials {
            return None;
        }
        self.denials().get(self.denial)?.rule.as_deref()
    }

    fn flows(&self) -> Vec<(&Plane, &Flow)> {
        let planes = self.live().map_or(&[][..], |live| &live.planes);
        planes.iter().flat_map(|plane| plane.flows.iter().map(move |flow| (plane, flow))).collect()
    }

    /// What all runs carry in a second.
    pub(crate) fn rate(&self) -> Option<Bytes> {
        let lives = self.runs.iter().filter_map(|run| match &run.state {
            State::Live(live) => live.rate,
            State::Silent(_) => None,
        });
        lives.reduce(Bytes::plus)
    }
}

impl Focus {
    fn next(self) -> Focus {
        match self {
            Focus::Runs => Focus::Flows,
            Focus::Flows => Focus::Denials,
            Focus::Denials => Focus::Runs,
        }
    }
}

impl Plane {
    /// What its flows carry in a second.
    pub(crate) fn rate(&self) -> Option<Bytes> {
        self.flows.iter().filter_map(|flow| flow.rate).reduce(Bytes::plus)
    }
}

impl Live {
    /// What a run says now, and its rates since what it said before, that long ago.
    pub(crate) fn new(before: Option<(&Running, Duration)>, now: &Running) -> Live {
        let gate = &now.gate;
        let summary = &gate.summary;
        let counted =
            summary.denied.iter().fold(summary.more_denied, |sum, denied| sum.saturating_add(denied.count));
        let mut denials: Vec<Denial> = summary.denied.iter().map(denial).collect();
        denials.sort_by_key(|denial| std::cmp::Reverse(denial.count));
        // the list of flows has a bound, the count has not
        let flows = if gate.flows.len() < LISTED { gate.flows.len() } else { gate.connections.max(LISTED) };
        Live {
            agent: now.agent.clone(),
            command: now.command.join(" "),
            phase: gate.phase.to_string(),
            seconds: now.seconds,
            flows,
            rate: before.map(|(before, elapsed)| carried(before, now).over(elapsed)),
            denied: counted,
            planes: planes(before, now),
            denials,
        }
    }
}

fn denial(denied: &claw_ledger::summary::Denied) -> Denial {
    let destination = &denied.destination;
    Denial {
        destination: denied.port.map_or_else(|| destination.clone(), |port| target(destination, port, "")),
        reason: denied.reason.clone(),
        count: denied.count,
        rule: denied.suggestion.clone(),
    }
}

/// What was carried between two answers: by flows that are open, and by those that ended in between, of which only
/// what all ended ones come to is known.
fn carried(before: &Running, now: &Running) -> Bytes {
    let then: BTreeMap<u64, Bytes> = totals(before).collect();
    let open = totals(now).map(|(number, bytes)| bytes.less(then.get(&number).copied().unwrap_or_default()));
    let open = open.fold(Bytes::default(), Bytes::plus);
    let numbers: BTreeMap<u64, Bytes> = totals(now).collect();
    let known = then.iter().filter(|(number, _)| !numbers.contains_key(number)).map(|(_, bytes)| *bytes);
    let known = known.fold(Bytes::default(), Bytes::plus);
    open.plus(ended(now).less(ended(before)).less(known))
}

fn totals(running: &Running) -> impl Iterator<Item = (u64, Bytes)> + '_ {
    running.gate.flows.iter().map(|flow| (flow.number, Bytes { out: flow.bytes_out, back: flow.bytes_in }))
}

fn ended(running: &Running) -> Bytes {
    let reached = running.gate.summary.reached.iter();
    reached
        .map(|entry| Bytes { out: entry.bytes_out, back: entry.bytes_in })
        .fold(Bytes::default(), Bytes::plus)
}

/// The flows by plane, in the order of the planes' names. A flow whose requests the gate reads stands under each plane
/// they are on, with what it carried there.
fn planes(before: Option<(&Running, Duration)>, now: &Running) -> Vec<Plane> {
    let then: BTreeMap<(u64, &str), Bytes> = before.map(|(before, _)| shares(before)).unwrap_or_default();
    let mut planes: BTreeMap<&str, Vec<Flow>> = BTreeMap::new();
    for flow in &now.gate.flows {
        let mut add = |plane, requests, bytes: Bytes| {
            let old = then.get(&(flow.number, plane)).copied().unwrap_or_default();
            planes.entry(plane).or_default().push(Flow {
                number: flow.number,
                destination: target(&flow.destination, flow.port, &flow.protocol),
                process: flow.process.as_ref().map(process).unwrap_or_default(),
                requests,
                bytes,
                rate: before.map(|(_, elapsed)| bytes.less(old).over(elapsed)),
                seconds: flow.open_ms / 1_000,
            });
        };
        if flow.planes.is_empty() {
            add(&flow.plane, None, Bytes { out: flow.bytes_out, back: flow.bytes_in });
        }
        for tally in &flow.planes {
            add(&tally.plane, Some(tally.requests), Bytes { out: tally.bytes_out, back: tally.bytes_in });
        }
    }
    planes.into_iter().map(|(name, flows)| Plane { name: name.to_owned(), flows }).collect()
}

fn shares(running: &Running) -> BTreeMap<(u64, &str), Bytes> {
    let mut shares = BTreeMap::new();
    for flow in &running.gate.flows {
        if flow.planes.is_empty() {
            shares.insert((flow.number, &*flow.plane), Bytes { out: flow.bytes_out, back: flow.bytes_in });
        }
        for tally in &flow.planes {
            shares.insert((flow.number, &*tally.plane), Bytes { out: tally.bytes_out, back: tally.bytes_in });
        }
    }
    shares
}

fn process(process: &claw_ledger::record::Process) -> String {
    let name = process.exe.rsplit('/').next().unwrap_or(&process.exe);
    format!("{name}({})", process.pid)
}

/// Host and port, an IPv6 address in brackets; datagrams are marked.
fn target(host: &str, port: u16, protocol: &str) -> String {
    let mark = if protocol.to_ascii_lowercase().starts_with("udp") { "/udp" } else { "" };
    if host.contains(':') { format!("[{host}]:{port}{mark}") } else { format!("{host}:{port}{mark}") }
}

/// How many flows a run lists at most.
const LISTED: usize = 1_000;
