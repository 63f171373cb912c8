//! Two footprints side by side, by plane.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::footprint::{Flow, Footprint, Lane};

/// Two footprints, lane by lane.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// What each is called, and what a reader must know of it.
    pub sides: [Side; 2],
    /// The lanes that either has.
    pub lanes: Vec<LaneRows>,
}

/// One of the two.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// Its name.
    pub name: String,
    /// Its commands.
    pub commands: Vec<String>,
    /// What a reader must know before believing it.
    pub stamps: Vec<String>,
    /// Different destinations.
    pub destinations: usize,
    /// Requests and connections.
    pub count: u64,
    /// Bytes the agent sent.
    pub bytes_out: u64,
    /// Bytes the agent received.
    pub bytes_in: u64,
}

/// One lane of both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LaneRows {
    /// The lane.
    pub lane: Lane,
    /// Its destinations.
    pub rows: Vec<Row>,
}

/// One destination in both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Host and port.
    pub target: String,
    /// On each side; absent where it does not reach for it.
    pub sides: [Option<Cell>; 2],
}

/// One destination on one side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// Requests or connections.
    pub count: u64,
    /// Bytes the agent sent.
    pub bytes_out: u64,
    /// Bytes the agent received.
    pub bytes_in: u64,
    /// What was decided.
    pub decision: String,
    /// The classes.
    pub classes: Vec<&'static str>,
}

/// Lays two footprints side by side.
pub fn compare(one: (&str, &Footprint), other: (&str, &Footprint)) -> Comparison {
    let mut lanes: BTreeMap<Lane, BTreeMap<String, [Option<Cell>; 2]>> = BTreeMap::new();
    for (side, footprint) in [one.1, other.1].into_iter().enumerate() {
        for flow in &footprint.flows {
            let row = lanes.entry(flow.lane()).or_default().entry(flow.target()).or_default();
            if let Some(cell) = row.get_mut(side) {
                add(cell.get_or_insert_default(), flow);
            }
        }
    }
    let rows = |rows: BTreeMap<String, [Option<Cell>; 2]>| {
        rows.into_iter().map(|(target, sides)| Row { target, sides }).collect()
    };
    let lanes = lanes.into_iter().map(|(lane, found)| LaneRows { lane, rows: rows(found) }).collect();
    Comparison { sides: [side(one), side(other)], lanes }
}

impl Comparison {
    /// How many destinations of a lane each side has.
    pub fn numbers(rows: &[Row]) -> [usize; 2] {
        [0, 1].map(|side| rows.iter().filter(|row| row.sides.get(side).is_some_and(Option::is_some)).count())
    }
}

fn side((name, footprint): (&str, &Footprint)) -> Side {
    let sum = |field: fn(&Flow) -> u64| footprint.flows.iter().map(field).fold(0, u64::saturating_add);
    let unsplit = |field: fn(&crate::footprint::Unsplit) -> u64| {
        footprint.unsplit.iter().map(field).fold(0, u64::saturating_add)
    };
    let mut targets: Vec<String> = footprint.flows.iter().map(Flow::target).collect();
    targets.sort();
    targets.dedup();
    Side {
        name: name.to_owned(),
        commands: footprint.runs.iter().map(|run| run.command.join(" ")).collect(),
        stamps: footprint.stamps.iter().map(|stamp| stamp.text.clone()).collect(),
        destinations: targets.len(),
        count: sum(|flow| flow.count),
        bytes_out: sum(|flow| flow.bytes_out).saturating_add(unsplit(|unsplit| unsplit.bytes_out)),
        bytes_in: sum(|flow| flow.bytes_in).saturating_add(unsplit(|unsplit| unsplit.bytes_in)),
    }
}

fn add(cell: &mut Cell, flow: &Flow) {
    cell.count = cell.count.saturating_add(flow.count);
    cell.bytes_out = cell.bytes_out.saturating_add(flow.bytes_out);
    cell.bytes_in = cell.bytes_in.saturating_add(flow.bytes_in);
    let decision = flow.decision();
    if cell.decision.is_empty() {
        cell.decision = decision.to_owned();
    } else if cell.decision != decision {
        cell.decision = "partly".to_owned();
    }
    if !cell.classes.contains(&flow.class.as_str()) {
        cell.classes.push(flow.class.as_str());
    }
}

#[cfg(test)]
mod tests {
    use claw_ledger::record::{Decision, Event};

    use super::*;
    use crate::fold::tests::{connect, footprint, observed, start};

    #[test]
    fn each_lane_shows_what_either_reaches_for() {
        let small = footprint(&[
            start(Some("sink")),
            connect("telemetry.crewai.com", 4319, Decision::Deny),
            connect("api.mistral.ai", 443, Decision::Sink),
            Event::Exit { code: 0 },
        ]);
        let comparison = compare(("a", &footprint(&observed())), ("b", &small));
        let shown: Vec<String> = comparison
            .lanes
            .iter()
            .flat_map(|lane| {
                lane.rows.iter().map(|row| {
                    let side = |cell: &Option<Cell>| {
                        cell.as_ref()
                            .map_or("-".to_owned(), |cell| format!("{} {}", cell.count, cell.decision))
                    };
                    format!(
                        "{} {} {} | {}",
                        lane.lane.as_str(),
                        row.target,
                        side(&row.sides[0]),
                        side(&row.sides[1])
                    )
                })
            })
            .collect();
        assert_eq!(
            shown,
            [
                "inference api.anthropic.com:443 1 sink | -",
                "inference api.mistral.ai:443 - | 1 sink",
                "control 169.254.169.254:80 1 deny | -",
                "mixed api.anthropic.com:443 1 sink | -",
                "telemetry api.anthropic.com:443 2 sink | -",
                "telemetry telemetry.crewai.com:4319 1 sink | 1 deny",
                "unknown nobody.test 1 deny | -",
            ]
        );
        assert_eq!((comparison.sides[0].destinations, comparison.sides[0].bytes_out), (4, 1020));
        assert_eq!(Comparison::numbers(&comparison.lanes[0].rows), [1, 1]);
    }
}
