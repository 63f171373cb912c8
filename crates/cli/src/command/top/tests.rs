//! Screens as they are drawn, compared with files. `UPDATE_SCREENS=1` writes the files anew; read them before you keep
//! them.

use std::path::PathBuf;
use std::time::Duration;

use claw_run::control::Running;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};

use super::draw;
use super::pen::Ink;
use super::rate::Bytes;
use super::screen::{Focus, Key, Live, Press, Run, Screen, State};
use super::{Meant, lines, meant};

fn running(name: &str, flows: Value, reached: Value, denied: Value) -> Running {
    serde_json::from_value(json!({
        "run": name, "agent": "reviewer", "pid": 4242, "command": ["python3", "review.py", "--all"],
        "ledger": "/var/lib/claw/run.jsonl", "seconds": 3_725,
        "gate": {
            "phase": "workload", "policy": "agent_runtime.yaml", "policy_digest": "sha256:00", "connections": 3,
            "ceiling": 512, "flows": flows,
            "summary": {"reached": reached, "denied": denied, "more_reached": 0, "more_denied": 0},
        },
    }))
    .unwrap()
}

fn flow(number: u64, host: &str, plane: &str, exe: &str, out: u64, back: u64) -> Value {
    json!({
        "number": number, "destination": host, "port": 443, "protocol": "tcp-tls", "plane": plane, "planes": [],
        "rule": "agent_runtime.yaml:7", "process": {"pid": 17 + number, "exe": exe},
        "bytes_out": out, "bytes_in": back, "open_ms": 1_000 * (number + 3),
    })
}

fn denied(host: &str, port: Option<u16>, reason: &str, count: u64, rule: Option<&str>) -> Value {
    json!({"destination": host, "port": port, "reason": reason, "count": count, "suggestion": rule})
}

fn busy(factor: u64) -> Running {
    let mut requests =
        flow(3, "api.openai.com", "inference", "/usr/bin/node", 9_000 * factor, 81_000 * factor);
    requests["planes"] = json!([
        {"plane": "inference", "requests": 12, "bytes_out": 7_000 * factor, "bytes_in": 80_000 * factor},
        {"plane": "tool", "requests": 2, "bytes_out": 1_500 * factor, "bytes_in": 900 * factor},
    ]);
    let flows = json!([
        flow(1, "api.openai.com", "inference", "/usr/bin/python3.12", 1_234 * factor, 5_000_000 * factor),
        flow(2, "github.com", "tool", "/usr/bin/git", 52_000 * factor, 310_000 * factor),
        requests,
        flow(4, "2001:db8::7", "update", "/usr/bin/pip", 800, 12_000_000),
    ]);
    let rule = "- {destination: telemetry.example.com:443, plane: workload, purpose: why it is needed}";
    running(
        "quiet-otter",
        flows,
        json!([]),
        json!([
            denied("169.254.169.254", Some(80), "metadata", 2, None),
            denied("telemetry.example.com", Some(443), "no-rule", 40 + factor, Some(rule)),
        ]),
    )
}

fn run(name: &str, live: Live) -> Run {
    Run { key: Key { user: 1000, name: name.to_owned() }, state: State::Live(Box::new(live)) }
}

fn one() -> Screen {
    let live = Live::new(Some((&busy(1), Duration::from_secs(1))), &busy(2));
    Screen { runs: vec![run("quiet-otter", live)], ..Screen::default() }
}

fn many() -> Screen {
    let mut runs: Vec<Run> = (0..30)
        .map(|number| {
            let name = format!("nightly-{number:02}");
            let now =
                running(&name, json!([flow(1, "api.test", "tool", "curl", number, 7)]), json!([]), json!([]));
            let mut run = run(&name, Live::new(None, &now));
            run.key.user = 1000 + u32::try_from(number % 2).unwrap();
            run
        })
        .collect();
    let key = Key { user: 1000, name: "stuck".to_owned() };
    runs.push(Run { key, state: State::Silent("does not answer".to_owned()) });
    Screen { runs, run: 12, ..Screen::default() }
}

fn hostile() -> Screen {
    let long = format!("api.openai.com.{}.evil.test", "a".repeat(300));
    let flows = json!([
        flow(1, &long, "inference", "/tmp/\u{1b}[2J\u{1b}[H\u{1b}]0;owned\u{7}", 1, 2),
        flow(2, "語語語語語語語語語語語語語語語語語語語語.test", "tool", "/tmp/語🦀\u{200d}🦀", 3, 4),
        flow(3, "x\n\r\n  ALLOW everything\tis fine", "tool\u{202e}loot", "\u{9b}31m", u64::MAX, u64::MAX),
    ]);
    let rule = format!("- {{destination: \u{1b}]52;c;ZXZpbA==\u{7}\n{long}:443}}");
    let denials = json!([
        denied(&long, Some(443), "no-rule\u{1b}[31m", u64::MAX, Some(&rule)),
        denied("GET \u{1b}c/\u{202e}x\n", None, "path", u64::MAX, None),
    ]);
    let mut now = running("\u{1b}[2J語\n\u{202e}nur", flows, json!([]), denials);
    now.agent = "agent\u{7}\u{301}\u{301}\u{301}".to_owned();
    now.command = vec!["sh".to_owned(), "-c".to_owned(), "echo\n\u{1b}[?1049l".to_owned()];
    let live = Live::new(Some((&now, Duration::from_secs(1))), &now);
    Screen { runs: vec![run(&now.run.clone(), live)], focus: Focus::Denials, ..Screen::default() }
}

/// Compares the screen with its file, in this size.
fn check(name: &str, screen: &Screen, (width, height): (u16, u16)) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw::draw(screen, Ink::Plain, frame.area(), frame.buffer_mut())).unwrap();
    let drawn = lines(terminal.backend().buffer());
    assert!(
        drawn.iter().flat_map(|line| line.chars()).all(|character| !character.is_control()),
        "{drawn:#?}"
    );
    let drawn = drawn.iter().map(|line| format!("{line}\n")).collect::<String>();
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/command/top/screens"));
    let file = folder.join(format!("{name}-{width}x{height}.txt"));
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&file, &drawn).unwrap();
    }
    let expect = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(drawn == expect, "{} is not what is drawn:\n{drawn}", file.display());
}

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (160, 50);

#[test]
fn nothing_runs() {
    check("empty", &Screen::default(), SMALL);
    check("empty", &Screen::default(), LARGE);
}

#[test]
fn one_run_on_three_planes() {
    check("one", &one(), SMALL);
    check("one", &one(), LARGE);
    check("one", &one(), (40, 12));
}

#[test]
fn a_selected_rule_is_shown_in_full_and_copied() {
    let mut screen = one();
    assert_eq!(screen.press(Press::Copy), None);
    assert_eq!(screen.press(Press::Back), None);
    let rule = screen.press(Press::Copy).unwrap();
    assert_eq!(
        rule,
        "- {destination: telemetry.example.com:443, plane: workload, purpose: why it is needed}"
    );
    check("copied", &screen, SMALL);
}

#[test]
fn many_runs() {
    check("many", &many(), SMALL);
    check("many", &many(), LARGE);
    let mut last = many();
    last.press(Press::Last);
    check("silent", &last, SMALL);
}

#[test]
fn text_from_elsewhere_stays_in_its_cells() {
    check("hostile", &hostile(), SMALL);
    check("hostile", &hostile(), LARGE);
}

#[test]
fn no_size_of_the_terminal_is_too_small() {
    for screen in [Screen::default(), one(), many(), hostile()] {
        for (width, height) in (0..45).flat_map(|width| (0..16).map(move |height| (width, height))) {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal
                .draw(|frame| draw::draw(&screen, Ink::Colour, frame.area(), frame.buffer_mut()))
                .unwrap();
        }
    }
}

#[test]
fn rates_count_flows_that_ended_in_between() {
    let reached = |bytes: u64| {
        json!([{"destination": "a.test", "port": 443, "plane": "tool", "count": 1, "unanswered": 0,
            "bytes_out": bytes, "bytes_in": 0}])
    };
    let open = |number, bytes| json!([flow(number, "a.test", "tool", "curl", bytes, 0)]);
    let check = |before: &Running, now: &Running, expect: u64| {
        let live = Live::new(Some((before, Duration::from_secs(2))), now);
        assert_eq!(live.rate, Some(Bytes { out: expect, back: 0 }));
    };
    let none = json!([]);
    let before = running("r", open(1, 100), reached(1_000), none.clone());
    // it went on
    check(&before, &running("r", open(1, 300), reached(1_000), none.clone()), 100);
    // it ended after 100 more, and another began
    check(&before, &running("r", open(2, 40), reached(1_200), none.clone()), 70);
    // one came and went
    check(&before, &running("r", open(1, 100), reached(1_500), none.clone()), 250);
    // nothing happened
    check(&before, &before, 0);
    assert_eq!(Live::new(None, &before).rate, None);
}

#[test]
fn what_is_selected_stays_selected() {
    let mut screen = many();
    assert_eq!(screen.runs[screen.run].key.name, "nightly-12");
    let rest: Vec<Run> = screen.runs.iter().skip(5).cloned().collect();
    screen.update(rest);
    assert_eq!((screen.run, &*screen.runs[screen.run].key.name), (7, "nightly-12"));
    let without: Vec<Run> = screen.runs.iter().filter(|run| run.key.name != "nightly-12").cloned().collect();
    screen.update(without);
    assert_eq!((screen.run, &*screen.runs[screen.run].key.name), (7, "nightly-13"));
    screen.update(Vec::new());
    assert_eq!(screen.run, 0);

    let mut screen = one();
    (screen.flow, screen.denial) = (3, 1);
    let mut later = busy(3);
    later.gate.flows.remove(0);
    later.gate.summary.denied[0].count = 100;
    screen.update(vec![run("quiet-otter", Live::new(None, &later))]);
    assert_eq!((screen.flow, screen.denial), (2, 0), "the flow and the denial that were selected");
}

#[test]
fn keys_move_within_their_list() {
    let mut screen = one();
    screen.press(Press::Next);
    for (press, expect) in
        [(Press::Move(-1), 0), (Press::Move(2), 2), (Press::Move(10), 4), (Press::First, 0), (Press::Last, 4)]
    {
        screen.press(press);
        assert_eq!((screen.flow, screen.run), (expect, 0), "{press:?}");
    }
    let key = |code, modifiers| meant(&Event::Key(KeyEvent::new(code, modifiers)));
    let none = KeyModifiers::NONE;
    assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Meant::Leave);
    assert_eq!(key(KeyCode::Char('c'), none), Meant::Press(Press::Copy));
    assert_eq!(key(KeyCode::Esc, none), Meant::Leave);
    assert_eq!(key(KeyCode::Char('q'), none), Meant::Leave);
    assert_eq!(key(KeyCode::Char('j'), none), Meant::Press(Press::Move(1)));
    assert_eq!(key(KeyCode::Tab, none), Meant::Press(Press::Next));
    assert_eq!(key(KeyCode::Char('x'), none), Meant::Nothing);
}
