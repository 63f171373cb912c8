//! When each host was first seen, a row for each lane.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::text;
use crate::footprint::{Flow, Footprint, Lane};
use crate::show::duration;

/// Both drawings.
pub(super) fn figure(footprint: &Footprint) -> String {
    let Some(span) = footprint.span() else { return String::new() };
    let lanes = footprint.by_lane();
    if lanes.is_empty() {
        return String::new();
    }
    format!(
        "<figure class=\"timeline\"><figcaption><h2>When it was first seen</h2></figcaption>{}{}</figure>",
        drawing(&lanes, span, ("wide", 1180, 120)),
        drawing(&lanes, span, ("narrow", 360, 92))
    )
}

fn drawing(
    lanes: &[(Lane, Vec<&Flow>)],
    (first, last): (Timestamp, Timestamp),
    (class, width, gutter): (&str, i64, i64),
) -> String {
    let rows = i64::try_from(lanes.len()).unwrap_or_default();
    let height = 26 + rows * ROW + 6;
    let mut out = format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"When each host was first seen\">"
    );
    let room = width - gutter - 14;
    let whole = last.duration_since(first).as_millis().max(1);
    let at = |time: Timestamp| {
        let since = time.duration_since(first).as_millis().clamp(0, whole);
        gutter + i64::try_from(i128::from(room) * since / whole).unwrap_or_default()
    };
    let parts = if width > 600 { 4 } else { 2 };
    for part in 0..=parts {
        let x = gutter + room * part / parts;
        let when = first.checked_add(jiff::SignedDuration::from_millis(
            i64::try_from(whole * i128::from(part) / i128::from(parts)).unwrap_or_default(),
        ));
        let label = match (part, when) {
            (0, _) | (_, Err(_)) => "start".to_owned(),
            (_, Ok(when)) => duration(first, when),
        };
        let anchor = if part == 0 {
            "start"
        } else if part == parts {
            "end"
        } else {
            "middle"
        };
        let _ = write!(
            out,
            "<path class=\"grid\" d=\"M{x} 22V{}\"/><text class=\"tick\" x=\"{x}\" y=\"14\" text-anchor=\"{anchor}\">{label}</text>",
            height - 4
        );
    }
    for (place, (lane, flows)) in (0_i64..).zip(lanes) {
        let y = 26 + place * ROW + ROW / 2;
        let _ = write!(
            out,
            "<g class=\"l-{name}\"><text class=\"lane\" x=\"0\" y=\"{}\">{name}</text><path class=\"rail\" d=\"M{gutter} {y}H{}\"/>",
            y + 4,
            width - 14,
            name = lane.as_str(),
        );
        let mut drawn: Vec<(i64, &str)> = Vec::new();
        for flow in flows {
            let (x, end) = (at(flow.first), at(flow.last));
            // one mark for what falls on one spot
            if drawn.contains(&(x, flow.decision())) {
                continue;
            }
            drawn.push((x, flow.decision()));
            if end > x + 8 && drawn.len() < 200 {
                let _ = write!(out, "<path class=\"lasts\" d=\"M{x} {y}H{end}\"/>");
            }
            let mark = match (flow.decision(), *lane) {
                ("deny" | "none", _) => {
                    format!("<path class=\"bar big\" d=\"M{} {}l8 8m0 -8l-8 8\"/>", x - 4, y - 4)
                }
                (_, Lane::Telemetry) => {
                    format!("<path class=\"full\" d=\"M{x} {}l6 6l-6 6l-6 -6z\"/>", y - 6)
                }
                _ => format!("<circle class=\"full\" cx=\"{x}\" cy=\"{y}\" r=\"5\"/>"),
            };
            let _ = write!(out, "<g>{mark}<title>{}</title></g>", text(&flow.target()));
        }
        out.push_str("</g>");
    }
    out.push_str("</svg>");
    out
}

const ROW: i64 = 26;
