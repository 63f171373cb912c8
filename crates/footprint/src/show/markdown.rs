//! Footprints and comparisons as Markdown: tables for a page or a review.

use crate::compare::{Cell, Comparison};
use crate::footprint::Footprint;
use crate::show::{about, bytes, caller, decision, details, plain, switches};

/// A footprint as Markdown.
pub fn footprint(footprint: &Footprint) -> String {
    let mut page = String::from("# Network footprint\n\n");
    for stamp in &footprint.stamps {
        page.push_str(&format!("> **{}**: {}\n\n", code(&stamp.code), escaped(&stamp.text)));
    }
    for run in &footprint.runs {
        page.push_str(&format!("- {}\n", escaped(&about(run))));
    }
    for (lane, flows) in footprint.by_lane() {
        page.push_str(&format!("\n## {} ({})\n\n", lane.as_str(), lane.title()));
        page.push_str("| Destination | Spoken | Class | Decision | Count | Out | In | By |\n|---|---|---|---|---:|---:|---:|---|\n");
        for flow in &flows {
            let by: Vec<String> = flow.processes.iter().take(2).map(|one| escaped(&caller(one))).collect();
            page.push_str(&format!(
                "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
                code(&flow.target()),
                escaped(&flow.spoken()),
                flow.class.as_str(),
                decision(flow),
                flow.count,
                bytes(flow.bytes_out),
                bytes(flow.bytes_in),
                by.join(", ")
            ));
        }
        for flow in &flows {
            let requests: Vec<String> = flow
                .requests
                .iter()
                .take(MOST)
                .map(|request| {
                    format!("{} ({}x)", code(&format!("{} {}", request.method, request.path)), request.count)
                })
                .collect();
            let said = details(flow);
            if requests.is_empty() && said.is_empty() {
                continue;
            }
            page.push_str(&format!("\n{}:\n\n", code(&flow.target())));
            requests.into_iter().for_each(|text| page.push_str(&format!("- {text}\n")));
            said.into_iter().for_each(|text| page.push_str(&format!("- {}\n", escaped(text.trim()))));
        }
    }
    let switches = switches(footprint);
    if !switches.is_empty() {
        page.push_str("\n## What turns telemetry off\n\n");
        switches.into_iter().for_each(|text| page.push_str(&format!("- {}\n", escaped(&text))));
    }
    page
}

/// A comparison as Markdown.
pub fn comparison(comparison: &Comparison) -> String {
    let [one, other] = &comparison.sides;
    let mut page = format!("# {} and {}\n\n", escaped(&one.name), escaped(&other.name));
    page.push_str("| | Destinations | Requests, connections | Out | In |\n|---|---:|---:|---:|---:|\n");
    for side in [one, other] {
        page.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            escaped(&side.name),
            side.destinations,
            side.count,
            bytes(side.bytes_out),
            bytes(side.bytes_in)
        ));
    }
    for side in [one, other] {
        side.stamps
            .iter()
            .for_each(|stamp| page.push_str(&format!("\n> {}: {}\n", escaped(&side.name), escaped(stamp))));
    }
    for lane in &comparison.lanes {
        page.push_str(&format!("\n## {} ({})\n\n", lane.lane.as_str(), lane.lane.title()));
        page.push_str(&format!(
            "| Destination | {} | {} |\n|---|---|---|\n",
            escaped(&one.name),
            escaped(&other.name)
        ));
        for row in &lane.rows {
            let [one, other] = &row.sides;
            page.push_str(&format!(
                "| {} | {} | {} |\n",
                code(&row.target),
                cell(one.as_ref()),
                cell(other.as_ref())
            ));
        }
    }
    page
}

fn cell(cell: Option<&Cell>) -> String {
    match cell {
        None => "–".to_owned(),
        Some(cell) => format!(
            "{}x {}, {} out ({})",
            cell.count,
            cell.decision,
            bytes(cell.bytes_out),
            cell.classes.join(", ")
        ),
    }
}

/// Text in which nothing means something to Markdown or to HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for character in plain(text).chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '|' | '!' | '~' => {
                safe.extend(['\\', character])
            }
            other => safe.push(other),
        }
    }
    safe
}

/// A code span that its text cannot end.
fn code(text: &str) -> String {
    match text.chars().any(|character| "<>&`|\\".contains(character)) {
        true => format!("<code>{}</code>", escaped(text)),
        false => format!("`{}`", plain(text)),
    }
}

const MOST: usize = 20;
