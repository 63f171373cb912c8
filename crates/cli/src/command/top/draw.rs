//! Draws a screen: a value in, cells out. The same value always gives the same cells.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use super::cell::{self, Column, Place, Side};
use super::pen::{
    Chosen, GUTTER, Ink, MARGINS, Scroll, count, frame, gutter, heading, parted, put, rate_cell, text, write,
};
use super::rate::{amount, span, speed};
use super::screen::{Denial, Flow, Focus, Live, Plane, Run, Screen, State};

/// Draws the screen into an area.
pub(crate) fn draw(screen: &Screen, ink: Ink, area: Rect, buffer: &mut Buffer) {
    let rule = footer_rule(screen, area.width);
    let foot = u16::try_from(rule.len()).unwrap_or_default().saturating_add(1);
    let rows = [Constraint::Length(1), Constraint::Fill(1), Constraint::Length(foot)];
    let [top, body, bottom] = Layout::vertical(rows).areas(area);
    header(screen, ink, top, buffer);
    if screen.runs.is_empty() {
        empty(ink, body, buffer);
    } else {
        parts(screen, ink, body, buffer);
    }
    footer(screen, ink, &rule, bottom, buffer);
}

/// How many lines the whole screen takes if nothing is left out.
pub(crate) fn height(screen: &Screen) -> u16 {
    let body = if screen.runs.is_empty() {
        3
    } else {
        let [runs, flows, denials] = wanted(screen);
        runs.saturating_add(flows).saturating_add(denials)
    };
    body.saturating_add(2)
}

fn header(screen: &Screen, ink: Ink, area: Rect, buffer: &mut Buffer) {
    let lives = || {
        screen
            .runs
            .iter()
            .filter_map(|run| if let State::Live(live) = &run.state { Some(live) } else { None })
    };
    let flows: usize = lives().map(|live| live.flows).sum();
    let denied = lives().fold(0_u64, |sum, live| sum.saturating_add(live.denied));
    let rate = screen.rate();
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut parts = vec![
        vec![Span::styled(" claw top", ink.accent().add_modifier(Modifier::BOLD))],
        counted("   ", screen.runs.len(), ["run", "runs"], bold),
        counted("   ", flows, ["flow", "flows"], bold),
        vec![
            Span::styled("   ↑ ", ink.out()),
            Span::styled(speed(rate.map(|rate| rate.out)), bold),
            Span::styled("   ↓ ", ink.back()),
            Span::styled(speed(rate.map(|rate| rate.back)), bold),
        ],
    ];
    if denied > 0 {
        parts.push(vec![
            Span::raw("   "),
            Span::styled(count(denied), ink.bad().add_modifier(Modifier::BOLD)),
            Span::styled(" denied", ink.bad()),
        ]);
    }
    parted(parts, area, buffer);
}

fn counted(
    before: &'static str,
    count: usize,
    [one, more]: [&'static str; 2],
    style: Style,
) -> Vec<Span<'static>> {
    let what = if count == 1 { one } else { more };
    vec![Span::raw(before), Span::styled(count.to_string(), style), Span::raw(" "), Span::raw(what)]
}

fn empty(ink: Ink, area: Rect, buffer: &mut Buffer) {
    let y = area.y.saturating_add(area.height.saturating_sub(2) / 3);
    let lines =
        [("no run goes on", Style::new().add_modifier(Modifier::BOLD)), ("claw run -- COMMAND", ink.dim())];
    for ((text, style), y) in lines.into_iter().zip(y..area.bottom()) {
        let indent = area.width.saturating_sub(cell::width(text)) / 2;
        let x = area.x.saturating_add(indent);
        write(text, style, Rect { x, y, width: area.width.saturating_sub(indent), height: 1 }, buffer);
    }
}

/// The three parts: below each other, and flows and denials side by side where there is room.
fn parts(screen: &Screen, ink: Ink, area: Rect, buffer: &mut Buffer) {
    let [runs, flows, denials] = wanted(screen);
    let lists = if area.width >= WIDE { flows.max(denials) } else { flows.saturating_add(denials) };
    let upper = runs.min((area.height / 3).max(4).max(area.height.saturating_sub(lists)));
    let [upper, lower] = Layout::vertical([Constraint::Length(upper), Constraint::Fill(1)]).areas(area);
    let [middle, below] = if area.width >= WIDE {
        Layout::horizontal([Constraint::Percentage(60), Constraint::Fill(1)]).areas(lower)
    } else if lower.height < LOW.min(lists) {
        let (flows, denials) =
            if screen.focus == Focus::Denials { (0, lower.height) } else { (lower.height, 0) };
        Layout::vertical([Constraint::Length(flows), Constraint::Length(denials)]).areas(lower)
    } else {
        let spare = lower.height.saturating_sub(flows);
        let least = denials.min((lower.height / 5).saturating_mul(2));
        let height = denials.min(spare.max(least));
        Layout::vertical([Constraint::Fill(1), Constraint::Length(height)]).areas(lower)
    };
    list_runs(screen, ink, upper, buffer);
    let name = screen.runs.get(screen.run).map(|run| run.key.name.as_str()).unwrap_or_default();
    let Some(live) = screen.live() else {
        let inner = frame(
            &[("flows of ", Style::new()), (name, ink.accent())],
            Scroll::default(),
            (ink, false),
            middle,
            buffer,
        );
        let why = match screen.runs.get(screen.run).map(|run| &run.state) {
            Some(State::Silent(why)) => why.as_str(),
            _ => "",
        };
        text(why, ink.bad(), inner, buffer);
        frame(&[("denials", Style::new())], Scroll::default(), (ink, false), below, buffer);
        return;
    };
    list_flows(screen, live, (name, ink), middle, buffer);
    list_denials(screen, live, ink, below, buffer);
}

/// The lines that runs, flows and denials take with their frames.
fn wanted(screen: &Screen) -> [u16; 3] {
    let lines = |count: usize, frame: u16| u16::try_from(count).unwrap_or(u16::MAX).saturating_add(frame);
    let planes = screen.live().map_or(&[][..], |live| &live.planes);
    let flows: usize = planes.iter().map(|plane| plane.flows.len().saturating_add(1)).sum();
    let denials: usize =
        screen.denials().iter().map(|denial| if denial.rule.is_some() { 2 } else { 1 }).sum();
    [lines(screen.runs.len(), 3), lines(flows, 3).max(4), lines(denials, 2).max(3)]
}

fn list_runs(screen: &Screen, ink: Ink, area: Rect, buffer: &mut Buffer) {
    let focused = screen.focus == Focus::Runs;
    let height = area.height.saturating_sub(3);
    let scroll = Scroll::around(screen.run, screen.runs.len(), height);
    let inner = frame(&[("runs", Style::new())], scroll, (ink, focused), area, buffer);
    let first = screen.runs.first().map(|run| run.key.user);
    let users = if screen.runs.iter().any(|run| Some(run.key.user) != first) { RUNS } else { RUNS_OF_ONE };
    let places = cell::places(users, inner.width.saturating_sub(MARGINS));
    heading(users, &places, (ink, GUTTER), inner, buffer);
    let shown = screen.runs.iter().enumerate().skip(scroll.first).take(usize::from(height));
    for ((at, run), y) in shown.zip(inner.y.saturating_add(1)..inner.bottom()) {
        let row = Rect { y, height: 1, ..inner };
        let chosen = Chosen::new(at == screen.run, focused);
        gutter(chosen, ink, row, buffer);
        let mut end = 0;
        for place in &places {
            let title = users.get(place.index).map(|column| column.title).unwrap_or_default();
            let Some((text, style)) = run_cell(run, title, ink) else { continue };
            put(&text, *place, style.patch(chosen.style()), row, buffer);
            end = place.start.saturating_add(place.width).saturating_add(1);
        }
        if let State::Silent(why) = &run.state {
            let width = inner.width.saturating_sub(MARGINS).saturating_sub(end);
            put(why, Place { index: 0, start: end, width, side: Side::Left }, ink.bad(), row, buffer);
        }
    }
}

/// What stands in a column; of a run that does not answer, only whose it is is known.
fn run_cell(run: &Run, title: &str, ink: Ink) -> Option<(String, Style)> {
    let plain = Style::new();
    let live = match (&run.state, title) {
        (_, "RUN") => return Some((run.key.name.clone(), plain)),
        (_, "USER") => return Some((run.key.user.to_string(), plain)),
        (State::Live(live), _) => live,
        (State::Silent(_), _) => return None,
    };
    Some(match title {
        "AGENT" => (live.agent.clone(), plain),
        "COMMAND" => (live.command.clone(), ink.dim()),
        "PHASE" => (live.phase.clone(), plain),
        "FLOWS" => (live.flows.to_string(), plain),
        "OUT/s" => rate_cell(live.rate.map(|rate| rate.out), ink),
        "IN/s" => rate_cell(live.rate.map(|rate| rate.back), ink),
        "DENIED" => (count(live.denied), if live.denied > 0 { ink.bad() } else { ink.dim() }),
        "UP" => (span(live.seconds), plain),
        _ => (String::new(), plain),
    })
}

fn list_flows(screen: &Screen, live: &Live, (name, ink): (&str, Ink), area: Rect, buffer: &mut Buffer) {
    let focused = screen.focus == Focus::Flows;
    let rows: Vec<(&Plane, Option<&Flow>)> = live
        .planes
        .iter()
        .flat_map(|plane| {
            std::iter::once((plane, None)).chain(plane.flows.iter().map(move |flow| (plane, Some(flow))))
        })
        .collect();
    let chosen = rows.iter().enumerate().filter(|(_, (_, flow))| flow.is_some()).nth(screen.flow);
    let chosen = chosen.map_or(0, |(at, _)| at);
    let height = area.height.saturating_sub(3);
    // with the first flow, its plane's heading
    let around = if screen.flow == 0 { 0 } else { chosen };
    let scroll = Scroll::around(around, rows.len(), height);
    let title = [("flows of ", Style::new()), (name, ink.accent())];
    let inner = frame(&title, scroll, (ink, focused), area, buffer);
    if rows.is_empty() {
        return text("no flow is open", ink.dim(), inner, buffer);
    }
    let indent = GUTTER.saturating_add(1);
    let room = inner.width.saturating_sub(MARGINS).saturating_sub(1);
    let columns = if cell::fits(FLOWS, room) { FLOWS } else { FLOWS_NARROW };
    let places = cell::places(columns, room);
    heading(columns, &places, (ink, indent), inner, buffer);
    let shown = rows.iter().enumerate().skip(scroll.first).take(usize::from(height));
    for ((at, (plane, flow)), y) in shown.zip(inner.y.saturating_add(1)..inner.bottom()) {
        let row = Rect { y, height: 1, ..inner };
        let Some(flow) = flow else {
            plane_heading(plane, ink, row, buffer);
            continue;
        };
        let state = Chosen::new(at == chosen && focused, focused);
        gutter(state, ink, row, buffer);
        let row = Rect { x: row.x.saturating_add(1), width: row.width.saturating_sub(1), ..row };
        for place in &places {
            let title = columns.get(place.index).map(|column| column.title).unwrap_or_default();
            let (text, style) = flow_cell(flow, title, ink);
            put(&text, *place, style.patch(state.style()), row, buffer);
        }
    }
}

fn plane_heading(plane: &Plane, ink: Ink, row: Rect, buffer: &mut Buffer) {
    let count = plane.flows.len();
    let rate = plane.rate();
    let name = cell::fit(&plane.name, 24);
    let parts = vec![
        vec![Span::styled(format!(" {name}"), ink.plane(&plane.name).add_modifier(Modifier::BOLD))],
        counted("  ", count, ["flow", "flows"], Style::new()),
        vec![
            Span::styled("  ↑ ", ink.out()),
            Span::styled(speed(rate.map(|rate| rate.out)), ink.dim()),
            Span::styled("  ↓ ", ink.back()),
            Span::styled(speed(rate.map(|rate| rate.back)), ink.dim()),
        ],
    ];
    parted(parts, row, buffer);
}

fn flow_cell(flow: &Flow, title: &str, ink: Ink) -> (String, Style) {
    let plain = Style::new();
    match title {
        "DESTINATION" => (flow.destination.clone(), plain),
        "PROCESS" => (flow.process.clone(), ink.dim()),
        "REQ" => (flow.requests.map(|count| count.to_string()).unwrap_or_default(), plain),
        "OUT" => (amount(flow.bytes.out), plain),
        "IN" => (amount(flow.bytes.back), plain),
        "OUT/s" => rate_cell(flow.rate.map(|rate| rate.out), ink),
        "IN/s" => rate_cell(flow.rate.map(|rate| rate.back), ink),
        "RATE" => rate_cell(flow.rate.map(super::rate::Bytes::sum), ink),
        "OPEN" => (span(flow.seconds), plain),
        _ => (String::new(), plain),
    }
}

fn list_denials(screen: &Screen, live: &Live, ink: Ink, area: Rect, buffer: &mut Buffer) {
    let focused = screen.focus == Focus::Denials;
    let height = area.height.saturating_sub(2);
    let indent = GUTTER.saturating_add(2);
    let width = area.width.saturating_sub(indent.saturating_add(MARGINS));
    let all = denial_rows(&live.denials, width, DENIAL_LINES);
    let rows = if all.len() > usize::from(height) { denial_rows(&live.denials, width, 1) } else { all };
    let chosen = rows.iter().position(|(at, ..)| *at == screen.denial).unwrap_or_default();
    let scroll = Scroll::around(chosen, rows.len(), height);
    let inner = frame(&[("denials", Style::new())], scroll, (ink, focused), area, buffer);
    if rows.is_empty() {
        return text("nothing was denied", ink.dim(), inner, buffer);
    }
    let places = cell::places(DENIALS, inner.width.saturating_sub(MARGINS));
    for ((at, denial, rule), y) in rows.iter().skip(scroll.first).zip(inner.y..inner.bottom()) {
        let row = Rect { y, height: 1, ..inner };
        let state = Chosen::new(*at == screen.denial && focused, focused);
        if let Some(rule) = rule {
            let row =
                Rect { x: row.x.saturating_add(indent), width: row.width.saturating_sub(indent), ..row };
            write(rule, ink.dim(), row, buffer);
            continue;
        }
        gutter(state, ink, row, buffer);
        for place in &places {
            let (text, style) = match place.index {
                0 => (denial.destination.clone(), Style::new()),
                1 => (denial.reason.clone(), ink.bad()),
                _ => (format!("{}x", count(denial.count)), Style::new()),
            };
            put(&text, *place, style.patch(state.style()), row, buffer);
        }
    }
}

/// A line for each denial, and below it the rule that would allow it, over at most so many lines.
fn denial_rows(denials: &[Denial], width: u16, most: usize) -> Vec<(usize, &Denial, Option<String>)> {
    let rows = denials.iter().enumerate().flat_map(|(at, denial)| {
        let rule = denial.rule.iter().flat_map(move |rule| cell::wrapped(rule, width, most));
        std::iter::once(None).chain(rule.map(Some)).map(move |rule| (at, denial, rule))
    });
    rows.collect()
}

/// The selected rule in full, over as many lines as it needs, within reason.
fn footer_rule(screen: &Screen, width: u16) -> Vec<String> {
    screen.rule().map(|rule| cell::wrapped(rule, width.saturating_sub(2), RULE_LINES)).unwrap_or_default()
}

fn footer(screen: &Screen, ink: Ink, rule: &[String], area: Rect, buffer: &mut Buffer) {
    for (line, y) in rule.iter().zip(area.y..area.bottom().saturating_sub(1)) {
        let row = Rect { x: area.x.saturating_add(1), y, width: area.width.saturating_sub(1), height: 1 };
        write(line, ink.good(), row, buffer);
    }
    let mut parts = Vec::new();
    if let Some(note) = screen.note {
        parts.push(vec![Span::styled(format!(" {note} "), ink.good().add_modifier(Modifier::BOLD))]);
    }
    let copy = screen.rule().is_some().then_some(("c", "copy rule"));
    let keys = [("tab", "next part"), ("↑↓", "choose")].into_iter().chain(copy).chain([("q", "leave")]);
    for (key, what) in keys {
        parts.push(vec![
            Span::styled(format!(" {key} "), ink.accent().add_modifier(Modifier::BOLD)),
            Span::styled(format!("{what}  "), ink.dim()),
        ]);
    }
    let y = area.bottom().saturating_sub(1);
    parted(parts, Rect { y, height: area.height.min(1), ..area }, buffer);
}

const fn left(title: &'static str, width: u16, grow: u16, drop: u8) -> Column {
    Column { title, width, grow, side: Side::Left, drop }
}

const fn right(title: &'static str, width: u16, drop: u8) -> Column {
    Column { title, width, grow: 0, side: Side::Right, drop }
}

const RUNS: &[Column] = &[
    left("RUN", 12, 2, 0),
    left("USER", 6, 0, 7),
    left("AGENT", 10, 1, 4),
    left("COMMAND", 20, 3, 8),
    left("PHASE", 9, 0, 6),
    right("FLOWS", 5, 1),
    right("OUT/s", 10, 2),
    right("IN/s", 10, 2),
    right("DENIED", 6, 1),
    right("UP", 6, 3),
];

/// Without the user, who is the same everywhere.
const RUNS_OF_ONE: &[Column] = &[
    left("RUN", 12, 2, 0),
    left("AGENT", 10, 1, 4),
    left("COMMAND", 20, 3, 8),
    left("PHASE", 9, 0, 6),
    right("FLOWS", 5, 1),
    right("OUT/s", 10, 2),
    right("IN/s", 10, 2),
    right("DENIED", 6, 1),
    right("UP", 6, 3),
];

const FLOWS: &[Column] = &[
    Column { title: "DESTINATION", width: 20, grow: 3, side: Side::Middle, drop: 0 },
    Column { title: "PROCESS", width: 12, grow: 1, side: Side::Middle, drop: 0 },
    right("REQ", 4, 0),
    right("OUT", 8, 0),
    right("IN", 8, 0),
    right("OUT/s", 10, 0),
    right("IN/s", 10, 0),
    right("OPEN", 6, 0),
];

const FLOWS_NARROW: &[Column] = &[
    Column { title: "DESTINATION", width: 20, grow: 3, side: Side::Middle, drop: 0 },
    Column { title: "PROCESS", width: 12, grow: 1, side: Side::Middle, drop: 3 },
    right("OUT", 8, 2),
    right("IN", 8, 2),
    right("RATE", 10, 1),
    right("OPEN", 6, 4),
];

const DENIALS: &[Column] = &[
    Column { title: "", width: 20, grow: 1, side: Side::Middle, drop: 0 },
    left("", 16, 0, 2),
    right("", 7, 1),
];

/// From here on flows and denials are side by side.
const WIDE: u16 = 140;
/// Below this, only one of flows and denials is shown.
const LOW: u16 = 9;
const RULE_LINES: usize = 6;
/// How much of a rule its denial shows where there is room.
const DENIAL_LINES: usize = 3;
