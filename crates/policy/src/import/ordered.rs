//! Lists where the first match decides, as ours, where `deny` wins wherever it stands.
//!
//! A denial that meets nothing accepted before it means the same in both, and becomes a `deny` rule. Any other is cut
//! out of what is accepted after it.

use claw_model::destination::Destination;
use claw_model::protocol::{Protocol, Transport};

use super::write::{Draft, Entry};
use crate::rule::RuleList;
use crate::space;

/// One rule of an ordered list.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) line: u32,
    pub(super) accept: bool,
    /// The source's own spelling, and ports.
    pub(super) destination: String,
    /// `None`: TCP and UDP.
    pub(super) protocol: Option<&'static str>,
    pub(super) purpose: Option<String>,
}

impl Draft {
    /// Adds an ordered list of rules.
    pub(super) fn ordered(&mut self, steps: Vec<Step>) {
        let mut accepted: Vec<(Destination, Option<Transport>)> = Vec::new();
        let mut held: Vec<(Destination, Option<Transport>)> = Vec::new();
        for step in steps {
            let transport = step.protocol.and_then(transport);
            let parsed = Destination::parse(&step.destination);
            let entry = |destination: String| Entry {
                purpose: step.purpose.clone(),
                ..Entry::new(step.line, destination, step.protocol)
            };
            match (parsed, step.accept) {
                (Ok(destination), true) => {
                    let meets = held.iter().filter(|(_, other)| same(transport, *other));
                    let rest = space::cut(&destination, meets.map(|(hole, _)| hole));
                    match rest.parts.as_slice() {
                        [] => self.lose(
                            step.line,
                            format!(
                                "`{}` is denied by an earlier rule: left out",
                                step.destination.escape_debug()
                            ),
                        ),
                        [whole] if *whole == destination => {
                            self.entries.push(entry(step.destination.clone()))
                        }
                        parts => self.entries.extend(parts.iter().map(|part| entry(part.to_string()))),
                    }
                    accepted.push((destination, transport));
                }
                (Err(_), true) => self.entries.push(entry(step.destination.clone())),
                (Ok(destination), false) => {
                    let mut before = accepted.iter().filter(|(_, other)| same(transport, *other));
                    if before.any(|(other, _)| other.overlaps(&destination)) {
                        held.push((destination, transport));
                    } else {
                        let list = RuleList::Deny;
                        let purpose =
                            step.purpose.clone().or_else(|| Some("imported: denied by the source".into()));
                        self.entries.push(Entry { list, purpose, ..entry(step.destination.clone()) });
                    }
                }
                (Err(error), false) => {
                    self.lose(
                        step.line,
                        format!("a denial that cannot be read ({error}): all rules after it are left out"),
                    );
                    return;
                }
            }
        }
    }
}

fn transport(protocol: &'static str) -> Option<Transport> {
    protocol.parse::<Protocol>().ok().map(Protocol::transport)
}

fn same(one: Option<Transport>, other: Option<Transport>) -> bool {
    one.is_none() || other.is_none() || one == other
}
