//! The table: every flow, what is known of it, and its requests.

use std::fmt::Write as _;

use super::{short, text};
use crate::footprint::{Flow, Footprint};
use crate::show::{bytes, caller, decision, details};

/// Controls and table.
pub(super) fn section(footprint: &Footprint) -> String {
    if footprint.flows.is_empty() {
        return String::new();
    }
    let lanes: String = footprint
        .by_lane()
        .iter()
        .map(|(lane, flows)| {
            let name = lane.as_str();
            format!(
                "<button type=\"button\" class=\"chip l-{name}\" data-lane=\"{name}\" aria-pressed=\"false\"><i></i>{name} <b>{}</b></button>",
                flows.len()
            )
        })
        .collect();
    let today = footprint.flows.iter().any(|flow| flow.today.is_some());
    let mut columns: Vec<(&str, &str)> = vec![
        ("Destination", "text"),
        ("Plane", "text"),
        ("Class", "text"),
        ("Spoken", "text"),
        ("Decision", "text"),
        ("Count", "number"),
        ("Sent", "number"),
        ("Received", "number"),
        ("First", "number"),
        ("By", "text"),
    ];
    if today {
        columns.insert(5, ("Policy today", "text"));
    }
    let heads: String = columns
        .iter()
        .map(|(name, kind)| format!("<th scope=\"col\" aria-sort=\"none\" class=\"{kind}\"><button type=\"button\">{name}</button></th>"))
        .collect();
    let options: String = columns.iter().map(|(name, _)| format!("<option>{name}</option>")).collect();
    // many rows are kept lean: everything is in the JSON
    let most = if footprint.flows.len() > 200 { 4 } else { 40 };
    let start = footprint.span().map(|(first, _)| first);
    let mut rows = String::new();
    for (lane, flows) in footprint.by_lane() {
        for flow in flows {
            row(&mut rows, flow, lane.as_str(), (start, most));
        }
    }
    format!(
        "<section class=\"flows\"><h2>Everything it reached for</h2>\
         <div class=\"controls\"><label>Filter<input type=\"search\" id=\"filter\" placeholder=\"host, path, process\" autocomplete=\"off\"></label>\
         <label>Decision<select id=\"decision\"><option value=\"\">all</option><option value=\"allow\">let through</option><option value=\"sink\">answered by Claw</option><option value=\"deny\">refused</option><option value=\"partly\">partly refused</option></select></label>\
         <label class=\"sorter\">Sort by<select id=\"sort\">{options}</select></label>\
         <p id=\"shown\" role=\"status\">{count} of {count}</p></div><div class=\"chips\" role=\"group\" aria-label=\"Planes\">{lanes}</div>\
         <div class=\"scroll\"><table id=\"flows\"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></section>",
        count = footprint.flows.len()
    )
}

fn row(out: &mut String, flow: &Flow, lane: &str, (start, most): (Option<jiff::Timestamp>, usize)) {
    let since = start.map(|start| flow.first.duration_since(start).as_millis().max(0)).unwrap_or_default();
    let first =
        start.map(|start| format!("+{}", crate::show::duration(start, flow.first))).unwrap_or_default();
    let more = flow.processes.len().saturating_sub(1);
    let more = if more > 0 { format!(" +{more}") } else { String::new() };
    let by = flow.processes.first().map(|one| caller(one) + &more).unwrap_or_default();
    let target = match flow.port {
        None => format!("<bdi>{}</bdi><small> only looked up</small>", text(&short(&flow.destination, 80))),
        Some(port) => format!("<bdi>{}</bdi><small>:{port}</small>", text(&short(&flow.destination, 80))),
    };
    let inner = inner(flow, most);
    let named = match inner.is_empty() {
        true => format!("<span class=\"leaf\">{target}</span>"),
        false => format!("<details><summary>{target}</summary>{inner}</details>"),
    };
    let today = flow.today.as_ref().map(|today| {
        format!(
            "<td data-name=\"Policy today\"><span class=\"tag d-{0}\">{0}</span></td>",
            text(&today.decision)
        )
    });
    let _ = write!(
        out,
        "<tr data-lane=\"{lane}\" data-decision=\"{code}\" class=\"l-{lane}\">\
         <td data-name=\"Destination\" data-key=\"{key}\">{named}</td>\
         <td data-name=\"Plane\"><span class=\"plane\"><i></i>{plane}</span></td><td data-name=\"Class\">{class}</td>\
         <td data-name=\"Spoken\">{spoken}</td><td data-name=\"Decision\"><span class=\"tag d-{code}\">{decision}</span></td>{today}\
         <td data-name=\"Count\" class=\"number\" data-key=\"{count}\">{count}</td>\
         <td data-name=\"Sent\" class=\"number\" data-key=\"{out_key}\">{sent}</td>\
         <td data-name=\"Received\" class=\"number\" data-key=\"{in_key}\">{received}</td>\
         <td data-name=\"First\" class=\"number\" data-key=\"{since}\">{first}</td><td data-name=\"By\"><bdi>{by}</bdi></td></tr>",
        code = flow.decision(),
        key = text(&short(&flow.target(), 120)),
        plane = if flow.plane == lane {
            text(&flow.plane)
        } else {
            format!("<span>{lane}<small>on {}</small></span>", text(&flow.plane))
        },
        class = flow.class.as_str(),
        spoken = text(&flow.spoken()),
        decision = decision(flow),
        today = today.unwrap_or_default(),
        count = flow.count,
        out_key = flow.bytes_out,
        in_key = flow.bytes_in,
        sent = bytes(flow.bytes_out),
        received = bytes(flow.bytes_in),
        by = text(&short(&by, 60)),
    );
}

/// What opens below a destination.
fn inner(flow: &Flow, most: usize) -> String {
    let mut out = String::new();
    if !flow.requests.is_empty() {
        out.push_str("<ul class=\"requests\">");
        for request in flow.requests.iter().take(most) {
            let refused =
                if request.denied > 0 { format!(", {} refused", request.denied) } else { String::new() };
            let mut notes = vec![format!("{}×{refused}", request.count)];
            notes.extend(request.credentials.iter().map(|kind| format!("credential: {kind}")));
            if !request.query.is_empty() {
                notes.push(format!("query: {}", request.query.join(", ")));
            }
            notes.extend(request.user_agents.iter().take(2).cloned());
            let _ = write!(
                out,
                "<li><code><bdi>{} {}</bdi></code><small>{}</small></li>",
                text(&short(&request.method, 20)),
                text(&short(&request.path, 160)),
                text(&short(&notes.join(" · "), 240))
            );
        }
        out.push_str("</ul>");
        if flow.requests.len() > most {
            let _ = write!(out, "<p>and {} more requests: see the JSON</p>", flow.requests.len() - most);
        }
    }
    for line in details(flow) {
        let _ = write!(out, "<p>{}</p>", text(line.trim_end()));
    }
    if flow.processes.len() > 1 {
        let by: Vec<String> =
            flow.processes.iter().map(|one| format!("{} {}×", caller(one), one.count)).collect();
        let _ = write!(out, "<p>by {}</p>", text(&short(&by.join(", "), 300)));
    }
    let records: Vec<String> =
        flow.evidence.iter().map(|evidence| format!("{}/{}", evidence.run, evidence.seq)).collect();
    if !out.is_empty() {
        let _ = write!(
            out,
            "<p class=\"dim\">last {} · run/record {}</p>",
            text(&crate::show::minute(flow.last)),
            records.join(", ")
        );
    }
    out
}
