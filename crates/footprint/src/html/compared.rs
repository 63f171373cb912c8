//! Two footprints side by side, as a page.

use std::fmt::Write as _;

use super::{frame, short, text};
use crate::compare::{Cell, Comparison};
use crate::show::bytes;

/// A comparison as a page.
pub fn comparison(comparison: &Comparison) -> String {
    let [one, other] = &comparison.sides;
    let mut body = String::from("<header><p class=\"kicker\">Two network footprints</p><h1>");
    let _ = write!(
        body,
        "<bdi>{}</bdi> <span class=\"and\">and</span> <bdi>{}</bdi></h1>",
        text(&short(&one.name, 60)),
        text(&short(&other.name, 60))
    );
    for side in [one, other] {
        for stamp in &side.stamps {
            let _ = write!(
                body,
                "<p class=\"stamp\" role=\"note\"><strong>{}</strong> {}</p>",
                text(&side.name),
                text(stamp)
            );
        }
    }
    body.push_str("</header><main><table class=\"sides\"><thead><tr><th scope=\"col\">Side</th><th scope=\"col\" class=\"number\">Hosts</th><th scope=\"col\" class=\"number\">Count</th><th scope=\"col\" class=\"number\">Sent</th><th scope=\"col\" class=\"number\">Received</th></tr></thead><tbody>");
    for side in [one, other] {
        let _ = write!(
            body,
            "<tr><th scope=\"row\"><bdi>{}</bdi></th><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            text(&side.name),
            side.destinations,
            side.count,
            bytes(side.bytes_out),
            bytes(side.bytes_in)
        );
    }
    body.push_str("</tbody></table>");
    let largest = comparison
        .lanes
        .iter()
        .flat_map(|lane| &lane.rows)
        .flat_map(|row| row.sides.iter().flatten())
        .map(|cell| cell.bytes_out.saturating_add(cell.bytes_in))
        .max()
        .unwrap_or_default();
    for lane in &comparison.lanes {
        let [left, right] = Comparison::numbers(&lane.rows);
        let _ = write!(
            body,
            "<section class=\"versus l-{name}\"><h2><i></i>{name} <small>{title} · {left} and {right}</small></h2><table><thead><tr><th scope=\"col\">Destination</th><th scope=\"col\"><bdi>{a}</bdi></th><th scope=\"col\"><bdi>{b}</bdi></th></tr></thead><tbody>",
            name = lane.lane.as_str(),
            title = lane.lane.title(),
            a = text(&short(&one.name, 40)),
            b = text(&short(&other.name, 40)),
        );
        for row in &lane.rows {
            let [left, right] = &row.sides;
            let _ = write!(
                body,
                "<tr><th scope=\"row\"><bdi>{}</bdi></th>{}{}</tr>",
                text(&short(&row.target, 80)),
                cell(left.as_ref(), largest),
                cell(right.as_ref(), largest)
            );
        }
        body.push_str("</tbody></table></section>");
    }
    body.push_str("</main>");
    frame(&format!("{} and {}", short(&one.name, 40), short(&other.name, 40)), &body, "")
}

fn cell(cell: Option<&Cell>, largest: u64) -> String {
    let Some(cell) = cell else { return "<td class=\"absent\">not reached for</td>".to_owned() };
    let weight = cell.bytes_out.saturating_add(cell.bytes_in);
    let log = |value: u64| u64::from(value.max(1).ilog2());
    let width = if weight == 0 { 0 } else { 6 + 94 * log(weight) / log(largest).max(1) };
    format!(
        "<td><svg class=\"amount-bar\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"back\" width=\"100\" height=\"6\" rx=\"3\"/><rect class=\"fore\" width=\"{width}\" height=\"6\" rx=\"3\"/></svg><span class=\"tag d-{code}\">{code}</span> {count}× · {sent} sent · {received} received</td>",
        code = text(&cell.decision),
        count = cell.count,
        sent = bytes(cell.bytes_out),
        received = bytes(cell.bytes_in)
    )
}
