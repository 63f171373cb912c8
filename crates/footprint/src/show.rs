//! Footprints as text for a terminal, and as Markdown. Whatever an agent chose is escaped: a line is always one line.

use claw_ledger::text::word;
use jiff::Timestamp;

use crate::compare::{Cell, Comparison};
use crate::diff::{Change, Diff};
use crate::footprint::{Flow, Footprint, Run};
use crate::suggest;

mod markdown;

pub use markdown::{comparison as markdown_comparison, footprint as markdown};

/// A footprint for a terminal.
pub fn text(footprint: &Footprint) -> String {
    let mut page = String::new();
    let mut line = |text: String| {
        page.push_str(text.trim_end());
        page.push('\n');
    };
    for stamp in &footprint.stamps {
        line(format!("{}: {}", word(&stamp.code).to_uppercase(), plain(&stamp.text)));
    }
    for run in &footprint.runs {
        line(about(run));
    }
    if footprint.flows.is_empty() {
        line("reached for: nothing".to_owned());
    }
    for (lane, flows) in footprint.by_lane() {
        line(String::new());
        line(format!("{}  ({})", lane.as_str().to_uppercase(), lane.title()));
        for flow in flows {
            line(format!("  {}", flow_line(flow)));
            for request in flow.requests.iter().take(MOST_REQUESTS) {
                let refused =
                    if request.denied > 0 { format!(", {} refused", request.denied) } else { String::new() };
                let agents: Vec<String> =
                    request.user_agents.iter().take(2).map(|agent| plain(agent)).collect();
                let agents =
                    if agents.is_empty() { String::new() } else { format!("  {}", agents.join(" | ")) };
                line(format!(
                    "      {} {}  {}x{refused}{agents}",
                    word(&request.method),
                    word(&request.path),
                    request.count
                ));
            }
            if flow.requests.len() > MOST_REQUESTS {
                line(format!("      and {} more requests", flow.requests.len() - MOST_REQUESTS));
            }
            details(flow).into_iter().for_each(|text| line(format!("      {text}")));
        }
    }
    line(String::new());
    for unsplit in &footprint.unsplit {
        line(format!(
            "{}:{}: {} out, {} in of heads and answers are not told apart by plane",
            word(&unsplit.destination),
            unsplit.port,
            bytes(unsplit.bytes_out),
            bytes(unsplit.bytes_in)
        ));
    }
    for (reason, count) in &footprint.counted {
        line(format!("{count} more were refused and only counted: {}", word(reason)));
    }
    let switches = switches(footprint);
    if !switches.is_empty() {
        line("What turns telemetry off:".to_owned());
        switches.into_iter().for_each(|text| line(format!("  {text}")));
    }
    page.trim_end().to_owned() + "\n"
}

/// Two footprints side by side, for a terminal.
pub fn comparison(comparison: &Comparison) -> String {
    let mut page = String::new();
    for (letter, side) in ["A", "B"].into_iter().zip(&comparison.sides) {
        page.push_str(&format!(
            "{letter} {}: {} destinations, {} requests or connections, {} out, {} in\n",
            word(&side.name),
            side.destinations,
            side.count,
            bytes(side.bytes_out),
            bytes(side.bytes_in)
        ));
        side.stamps.iter().for_each(|stamp| page.push_str(&format!("  {}\n", plain(stamp))));
    }
    for lane in &comparison.lanes {
        let [one, other] = Comparison::numbers(&lane.rows);
        page.push_str(&format!("\n{}  A {one}, B {other}\n", lane.lane.as_str().to_uppercase()));
        for row in &lane.rows {
            let [one, other] = &row.sides;
            page.push_str(&format!(
                "  {:<44} A {:<34} B {}\n",
                word(&row.target),
                cell(one.as_ref()),
                cell(other.as_ref())
            ));
        }
    }
    page
}

/// What changed, for a terminal.
pub fn changes(diff: &Diff) -> String {
    let mut page = String::new();
    let lists: [(&str, &[Change]); 7] = [
        ("new host", &diff.new_hosts),
        ("new port", &diff.new_ports),
        ("new plane", &diff.new_planes),
        ("new request", &diff.new_requests),
        ("let through now", &diff.let_through),
        ("gone", &diff.gone),
        ("no longer asked", &diff.gone_requests),
    ];
    for (title, list) in lists {
        for Change { what, lanes, processes, .. } in list {
            let lanes: Vec<&str> = lanes.iter().map(|lane| lane.as_str()).collect();
            let by = if processes.is_empty() {
                String::new()
            } else {
                format!("  by {}", plain(&processes.join(", ")))
            };
            page.push_str(&format!("{title}: {}  {}{by}\n", plain(what), lanes.join(", ")));
        }
    }
    for volume in &diff.volumes {
        page.push_str(&format!(
            "volume: {}  {} {} before, {} now\n",
            plain(&volume.what),
            volume.of,
            volume.old,
            volume.new
        ));
    }
    diff.caveats.iter().for_each(|caveat| page.push_str(&format!("note: {}\n", plain(caveat))));
    if page.is_empty() {
        page.push_str("nothing changed\n");
    }
    page
}

/// What turns the telemetry off that was seen: one line for each switch, those that were tried and work first.
pub fn switches(footprint: &Footprint) -> Vec<String> {
    use crate::catalog::{Class, Verified};
    let mut found: Vec<(Verified, String)> = Vec::new();
    for flow in footprint.flows.iter().filter(|flow| flow.class == Class::Telemetry) {
        for switch in &flow.switches {
            let tried = match switch.verified {
                Verified::Works => "tried: works",
                Verified::Untested => "not tried",
                Verified::Fails => "tried: does NOT work",
            };
            let text = format!("{}  ({tried}; {})", plain(&switch.text), word(&flow.destination));
            if !found.iter().any(|(_, known)| *known == text) {
                found.push((switch.verified, text));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, text)| text).collect()
}

/// `agent.py (sink): 14 records of run.jsonl, head sha256:…`.
pub(crate) fn about(run: &Run) -> String {
    let head = run.head.as_ref().map(|head| format!(", head {}", word(head))).unwrap_or_default();
    let span = match (run.first, run.last) {
        (Some(first), Some(last)) => format!(", {} for {}", minute(first), duration(first, last)),
        _ => String::new(),
    };
    format!(
        "{} ({}): {} records of {}{span}{head}",
        plain(&run.command.join(" ")),
        word(&run.mode),
        run.records,
        word(&run.ledger)
    )
}

/// The program that a command starts, as people call it: not `env`, not a directory; of an interpreter, its script.
pub(crate) fn program(command: &[String]) -> Option<&str> {
    let base = |word: &'_ str| -> usize { word.rfind('/').map_or(0, |at| at.saturating_add(1)) };
    let mut words =
        command.iter().map(String::as_str).skip_while(|word| *word == "env" || word.contains('='));
    let first = words.next()?;
    let name = first.get(base(first)..)?;
    let interprets = name.starts_with("python") || matches!(name, "node" | "bun" | "deno" | "sh" | "bash");
    let script = words.next().filter(|word| interprets && !word.starts_with('-'));
    script.map_or(Some(name), |script| script.get(base(script)..)).filter(|name| !name.is_empty())
}

/// What else is to be said of a flow.
pub(crate) fn details(flow: &Flow) -> Vec<String> {
    let mut lines = Vec::new();
    if flow.class == crate::catalog::Class::Mixed && flow.unread {
        lines.push(
            "cannot be told apart: TLS was not ended, so its requests were not seen. It may be:".to_owned(),
        );
    } else if !flow.candidates.is_empty() {
        lines.push("not certain. It may be:".to_owned());
    }
    lines.extend(flow.candidates.iter().take(8).map(|candidate| format!("  {}", plain(candidate))));
    if let [known, rest @ ..] = flow.known.as_slice() {
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        lines.push(format!("known of {}{more}: {}", plain(&known.framework), plain(&known.what)));
    }
    match flow.wordless {
        0 => {}
        1 => lines.push("1 more connection was closed without a word".to_owned()),
        several => lines.push(format!("{several} more connections were closed without a word")),
    }
    if !flow.packages.is_empty() {
        let names = flow.packages.iter().map(|package| word(&package.name)).collect::<Vec<_>>().join(", ");
        lines.push(format!("opened by {names}, as the agent itself says"));
    }
    if !flow.reasons.is_empty() {
        let reasons = flow.reasons.iter().map(|(reason, count)| format!("{} {count}x", word(reason)));
        lines.push(format!("refused: {}", reasons.collect::<Vec<_>>().join(", ")));
    }
    if let Some(today) = &flow.today {
        let rules = today.rules.iter().map(|rule| word(rule)).collect::<Vec<_>>().join(", ");
        let reasons = today.reasons.join(", ");
        let both =
            [rules, reasons].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
        lines.push(format!("the policy today: {} {both}", today.decision));
    }
    lines
}

fn flow_line(flow: &Flow) -> String {
    let target = match flow.port {
        None => format!("{} (only looked up)", word(&flow.destination)),
        Some(_) => word(&flow.target()),
    };
    let by: Vec<String> = flow.processes.iter().take(2).map(caller).collect();
    let says = if flow.plane == flow.lane().as_str() {
        String::new()
    } else {
        format!(" on plane {}", word(&flow.plane))
    };
    format!(
        "{target:<40} {:<9} {:<13} {}{says}  {}x  {} out, {} in  {}",
        flow.spoken_safe(),
        flow.class.as_str(),
        decision(flow),
        flow.count,
        bytes(flow.bytes_out),
        bytes(flow.bytes_in),
        by.join(", ")
    )
}

/// `python3 agent.py`.
pub(crate) fn caller(caller: &crate::footprint::Caller) -> String {
    let exe = caller.exe.rsplit('/').next().unwrap_or(&caller.exe);
    let package = caller.package.as_ref().map(|package| format!(" {}", word(package))).unwrap_or_default();
    format!("{}{package}", word(exe))
}

/// The decision in a word for people.
pub(crate) fn decision(flow: &Flow) -> &'static str {
    match flow.decision() {
        "allow" if flow.unanswered >= flow.allowed && flow.unanswered > 0 => "no answer",
        "allow" => "let through",
        "deny" => "REFUSED",
        "sink" => "answered by claw",
        "partly" => "partly refused",
        _ => "looked up",
    }
}

fn cell(cell: Option<&Cell>) -> String {
    match cell {
        None => "-".to_owned(),
        Some(cell) => format!("{}x {}, {} out", cell.count, cell.decision, bytes(cell.bytes_out)),
    }
}

/// Text as one line: hidden characters are spelled out.
pub fn one_line(text: &str) -> String {
    plain(text)
}

/// One line: hidden characters are spelled out.
pub(crate) fn plain(text: &str) -> String {
    suggest::shown(text)
}

/// `48.6 KB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "PB"];
    if count < 1_000 {
        return format!("{count} B");
    }
    let mut tenths = count / 100;
    for unit in UNITS {
        if tenths < 10_000 {
            return match tenths {
                0..100 => format!("{}.{} {unit}", tenths / 10, tenths % 10),
                _ => format!("{} {unit}", tenths / 10),
            };
        }
        tenths /= 1_000;
    }
    format!("{} EB", tenths / 10)
}

/// `2026-01-02 03:04 UTC`.
pub(crate) fn minute(time: Timestamp) -> String {
    let text = format!("{time:.0}");
    text.get(..16).unwrap_or(&text).replace('T', " ") + " UTC"
}

/// `1.5 s`, `3 min`, `2 h`.
pub(crate) fn duration(first: Timestamp, last: Timestamp) -> String {
    let millis = last.duration_since(first).as_millis().max(0);
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..120_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        7_200_000..172_800_000 => format!("{} h", millis / 3_600_000),
        _ => format!("{} days", millis / 86_400_000),
    }
}

impl Flow {
    fn spoken_safe(&self) -> String {
        word(&self.spoken())
    }
}

const MOST_REQUESTS: usize = 20;

#[cfg(test)]
mod tests;
