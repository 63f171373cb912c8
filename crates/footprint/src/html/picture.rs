//! The picture: the agent in the middle, a band for each plane, a line to each host as wide as its bytes.
//!
//! Drawn twice, for a wide page and for a narrow one. What was refused has a dashed line and a crossed node, telemetry a
//! diamond: neither is told by colour alone.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{short, text};
use crate::footprint::{Flow, Footprint, Lane};
use crate::show::{bytes, decision};

/// Both drawings and their legend.
pub(super) fn figure(footprint: &Footprint) -> String {
    let bands = bands(footprint);
    if bands.is_empty() {
        return "<p class=\"nothing\">Nothing was reached for.</p>".to_owned();
    }
    let largest = bands.iter().flat_map(|band| &band.rows).map(|row| row.weight).max().unwrap_or_default();
    format!(
        "<figure class=\"picture\"><figcaption><h2>Where it went</h2>{LEGEND}</figcaption>{}{}</figure>",
        wide(&bands, largest, &name(footprint)),
        narrow(&bands, largest, &name(footprint))
    )
}

struct Band {
    lane: Lane,
    rows: Vec<Row>,
    /// How many hosts have no row of their own.
    more: usize,
    weight: u64,
}

struct Row {
    label: String,
    port: String,
    titles: Vec<String>,
    decision: &'static str,
    telemetry: bool,
    weight: u64,
    count: u64,
}

fn name(footprint: &Footprint) -> String {
    let mut names = footprint.runs.iter().map(|run| run.agent.as_str());
    let named = names.find(|name| !matches!(*name, "" | "unnamed"));
    let program = footprint.runs.iter().find_map(|run| crate::show::program(&run.command));
    named.or(program).unwrap_or("agent").to_owned()
}

fn bands(footprint: &Footprint) -> Vec<Band> {
    let lanes = footprint.by_lane().into_iter();
    lanes
        .map(|(lane, flows)| {
            let mut rows: Vec<Row> = Vec::new();
            let mut known: HashMap<String, usize> = HashMap::new();
            for flow in flows {
                // a host has one row, whatever was asked of it
                let place = *known.entry(flow.target()).or_insert(rows.len());
                match rows.get_mut(place) {
                    Some(row) => row.add(flow),
                    None => rows.push(Row::new(flow)),
                }
            }
            rows.sort_by_key(|row| std::cmp::Reverse((row.weight, row.count)));
            let weight = rows.iter().map(|row| row.weight).fold(0, u64::saturating_add);
            let more = rows.len().saturating_sub(MOST_ROWS);
            rows.truncate(MOST_ROWS);
            Band { lane, rows, more, weight }
        })
        .collect()
}

impl Row {
    fn new(flow: &Flow) -> Row {
        let mut row = Row {
            label: flow.destination.clone(),
            port: flow.port.map(|port| format!(":{port}")).unwrap_or_default(),
            titles: Vec::new(),
            decision: flow.decision(),
            telemetry: flow.lane() == Lane::Telemetry,
            weight: 0,
            count: 0,
        };
        row.add(flow);
        row
    }

    fn add(&mut self, flow: &Flow) {
        self.weight = self.weight.saturating_add(flow.bytes_out).saturating_add(flow.bytes_in);
        self.count = self.count.saturating_add(flow.count);
        if self.decision != flow.decision() {
            self.decision = "partly";
        }
        self.titles.push(format!(
            "{} · {} · {} · {} times, {} sent, {} received",
            flow.target(),
            flow.class.as_str(),
            decision(flow),
            flow.count,
            bytes(flow.bytes_out),
            bytes(flow.bytes_in)
        ));
    }
}

/// The agent in the middle, bands on both sides.
fn wide(bands: &[Band], largest: u64, name: &str) -> String {
    let mut sides: [Vec<(&Band, i64)>; 2] = [Vec::new(), Vec::new()];
    let mut heights = [0_i64, 0];
    for band in bands {
        let [left, right] = &mut sides;
        let [left_height, right_height] = &mut heights;
        let left_side = *left_height <= *right_height;
        let (side, height) = if left_side { (left, left_height) } else { (right, right_height) };
        side.push((band, *height));
        *height += band_height(band) + GAP;
    }
    let [left, right] = heights;
    let tall = left.max(right).max(CARD + 40) - GAP;
    let mut out = format!(
        "<svg class=\"wide\" viewBox=\"0 0 {WIDE} {tall}\" role=\"img\" aria-label=\"The agent and the hosts it reached for, by plane\">"
    );
    let (mut lines, mut panels) = (String::new(), String::new());
    for (side, height) in sides.iter().zip(heights) {
        let left_side = std::ptr::eq(side, &sides[0]);
        let offset = (tall - (height - GAP)) / 2;
        let total: i64 = side.iter().map(|(band, _)| shown_rows(band)).sum();
        let mut number = 0_i64;
        for (band, top) in side {
            let top = top + offset;
            let x = if left_side { 0 } else { WIDE - PANEL };
            panel(&mut panels, band, (x, top, PANEL));
            for (place, row) in (0_i64..).zip(&band.rows) {
                let y = top + HEAD + place * ROW + ROW / 2;
                let node = if left_side { PANEL - 18 } else { WIDE - PANEL + 18 };
                let edge = if left_side { WIDE / 2 - CARD_WIDTH / 2 } else { WIDE / 2 + CARD_WIDTH / 2 };
                let from = tall / 2 - CARD / 2 + 14 + (CARD - 28) * (2 * number + 1) / (2 * total.max(1));
                let middle = (edge + node) / 2;
                line(
                    &mut lines,
                    row,
                    band.lane,
                    largest,
                    &format!("M{edge} {from}C{middle} {from} {middle} {y} {node} {y}"),
                );
                host(&mut panels, row, band.lane, (node, y, left_side, 34));
                number += 1;
            }
            more(&mut panels, band, (if left_side { PANEL - 36 } else { WIDE - PANEL + 36 }, top, left_side));
        }
    }
    out.push_str(&lines);
    out.push_str(&panels);
    let (x, y) = (WIDE / 2 - CARD_WIDTH / 2, tall / 2 - CARD / 2);
    let _ = write!(
        out,
        "<rect class=\"agent\" x=\"{x}\" y=\"{y}\" width=\"{CARD_WIDTH}\" height=\"{CARD}\" rx=\"14\"/>\
         <text class=\"agent-name{}\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
         <text class=\"agent-sub\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">the agent</text></svg>",
        if name.chars().count() > 14 { " long" } else { "" },
        WIDE / 2,
        tall / 2,
        text(&short(name, 22)),
        WIDE / 2,
        tall / 2 + 20
    );
    out
}

/// The agent on top, a trunk down its side, bands below each other.
fn narrow(bands: &[Band], largest: u64, name: &str) -> String {
    let tall: i64 = 64 + bands.iter().map(|band| band_height(band) + GAP).sum::<i64>();
    let mut out = format!(
        "<svg class=\"narrow\" viewBox=\"0 0 {NARROW} {tall}\" role=\"img\" aria-label=\"The agent and the hosts it reached for, by plane\">"
    );
    let (mut lines, mut panels) = (String::new(), String::new());
    let mut top = 64;
    let mut last = 44;
    for band in bands {
        panel(&mut panels, band, (30, top, NARROW - 30));
        for (place, row) in (0_i64..).zip(&band.rows) {
            let y = top + HEAD + place * ROW + ROW / 2;
            last = y;
            line(&mut lines, row, band.lane, largest, &format!("M12 {y}H46"));
            host(&mut panels, row, band.lane, (46, y, false, 25));
        }
        more(&mut panels, band, (64, top, false));
        top += band_height(band) + GAP;
    }
    let _ = write!(out, "<path class=\"trunk\" d=\"M12 40V{}\"/>", last - 10);
    out.push_str(&lines);
    out.push_str(&panels);
    let _ = write!(
        out,
        "<rect class=\"agent\" x=\"0\" y=\"0\" width=\"{NARROW}\" height=\"46\" rx=\"12\"/>\
         <text class=\"agent-name\" x=\"16\" y=\"29\">{}</text><text class=\"agent-sub\" x=\"{}\" y=\"28\" text-anchor=\"end\">the agent</text></svg>",
        text(&short(name, 24)),
        NARROW - 16
    );
    out
}

fn panel(out: &mut String, band: &Band, (x, y, width): (i64, i64, i64)) {
    let hosts = band.rows.len() + band.more;
    let sum = if band.weight > 0 { format!(" · {}", bytes(band.weight)) } else { String::new() };
    let many = if hosts == 1 { "1 host".to_owned() } else { format!("{hosts} hosts") };
    let _ = write!(
        out,
        "<g class=\"band l-{lane}\"><rect class=\"panel\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"12\"/>\
         <rect class=\"key\" x=\"{kx}\" y=\"{ky}\" width=\"10\" height=\"10\" rx=\"3\"/>\
         <text class=\"lane\" x=\"{tx}\" y=\"{ty}\">{lane}</text>\
         <text class=\"sum\" x=\"{ex}\" y=\"{ty}\" text-anchor=\"end\">{many}{sum}</text></g>",
        lane = band.lane.as_str(),
        height = band_height(band),
        kx = x + 16,
        ky = y + 14,
        tx = x + 34,
        ty = y + 24,
        ex = x + width - 16,
    );
}

fn line(out: &mut String, row: &Row, lane: Lane, largest: u64, path: &str) {
    let width = thickness(row.weight, largest);
    let class = match (row.decision, row.telemetry) {
        ("deny" | "none", _) => " no",
        (_, true) => " told",
        _ => "",
    };
    let _ = write!(
        out,
        "<path class=\"line{class} l-{}\" stroke-width=\"{width}\" d=\"{path}\"/>",
        lane.as_str()
    );
}

/// A node and its label; on the left the label stands before the node.
fn host(out: &mut String, row: &Row, lane: Lane, (x, y, before, most): (i64, i64, bool, usize)) {
    let (at, anchor) = if before { (x - 16, "end") } else { (x + 16, "start") };
    let amount = match row.weight {
        0 => format!("{}×", row.count),
        weight => bytes(weight),
    };
    let _ = write!(
        out,
        "<g class=\"host l-{}\"><title>{}</title>{}<text class=\"name{}\" x=\"{at}\" y=\"{}\" text-anchor=\"{anchor}\">{}<tspan class=\"port\">{}</tspan></text>",
        lane.as_str(),
        text(&row.titles.join("; ")),
        node(row, x, y),
        if row.decision == "deny" { " no" } else { "" },
        y + 4,
        text(&short(&row.label, most)),
        row.port,
    );
    let edge = if before {
        16
    } else if x < 100 {
        NARROW - 14
    } else {
        WIDE - 16
    };
    let anchor = if before { "start" } else { "end" };
    let _ = write!(
        out,
        "<text class=\"amount\" x=\"{edge}\" y=\"{}\" text-anchor=\"{anchor}\">{amount}</text></g>",
        y + 4
    );
}

/// Circle or diamond; filled, ringed or crossed.
fn node(row: &Row, x: i64, y: i64) -> String {
    let class = match row.decision {
        "allow" => "full",
        "sink" => "ring",
        "partly" => "half",
        _ => "cross",
    };
    let shape = if row.telemetry {
        format!("<path class=\"{class}\" d=\"M{x} {}l7 7l-7 7l-7 -7z\"/>", y - 7)
    } else {
        format!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"6\"/>")
    };
    let inner = match class {
        "ring" => format!("<circle class=\"dot\" cx=\"{x}\" cy=\"{y}\" r=\"2.2\"/>"),
        "half" => format!("<path class=\"bar\" d=\"M{} {y}h6\"/>", x - 3),
        "cross" => format!("<path class=\"bar\" d=\"M{} {}l6 6m0 -6l-6 6\"/>", x - 3, y - 3),
        _ => String::new(),
    };
    shape + &inner
}

fn more(out: &mut String, band: &Band, (x, top, before): (i64, i64, bool)) {
    if band.more == 0 {
        return;
    }
    let rows = i64::try_from(band.rows.len()).unwrap_or_default();
    let y = top + HEAD + rows * ROW + ROW / 2 + 4;
    let anchor = if before { "end" } else { "start" };
    let _ = write!(
        out,
        "<text class=\"more\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">and {} more in the table</text>",
        band.more
    );
}

/// From 1.5 to 14, by the logarithm: a model's answer and a beacon are both to be seen.
fn thickness(weight: u64, largest: u64) -> String {
    let log = |value: u64| u64::from(value.max(1).ilog2());
    // below a kilobyte everything is thin
    let (own, most) = (log(weight).saturating_sub(8), log(largest).saturating_sub(8).max(1));
    let tenths = 15 + 125 * own / most;
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn shown_rows(band: &Band) -> i64 {
    i64::try_from(band.rows.len()).unwrap_or_default()
}

fn band_height(band: &Band) -> i64 {
    HEAD + (shown_rows(band) + i64::from(band.more > 0)) * ROW + 10
}

const WIDE: i64 = 1180;
const NARROW: i64 = 360;
const PANEL: i64 = 420;
const HEAD: i64 = 40;
const ROW: i64 = 26;
const GAP: i64 = 16;
const CARD: i64 = 150;
const CARD_WIDTH: i64 = 180;
const MOST_ROWS: usize = 10;

const LEGEND: &str = "<ul class=\"legend\">\
<li><svg viewBox=\"0 0 16 16\" aria-hidden=\"true\"><circle class=\"full\" cx=\"8\" cy=\"8\" r=\"6\"/></svg>let through</li>\
<li><svg viewBox=\"0 0 16 16\" aria-hidden=\"true\"><circle class=\"ring\" cx=\"8\" cy=\"8\" r=\"6\"/><circle class=\"dot\" cx=\"8\" cy=\"8\" r=\"2.2\"/></svg>answered by Claw</li>\
<li><svg viewBox=\"0 0 16 16\" aria-hidden=\"true\"><circle class=\"cross\" cx=\"8\" cy=\"8\" r=\"6\"/><path class=\"bar\" d=\"M5 5l6 6m0 -6l-6 6\"/></svg>refused, dashed</li>\
<li><svg viewBox=\"0 0 16 16\" aria-hidden=\"true\"><path class=\"full\" d=\"M8 1l7 7l-7 7l-7 -7z\"/></svg>telemetry</li>\
<li>width: bytes</li></ul>";
