//! `claw top`: the runs that go on, their flows by plane, and what they were denied.
//!
//! It only asks and shows. The terminal is as it was on every way out: a key, a signal, an error, a panic.

mod ask;
pub(crate) mod cell;
mod clipboard;
mod draw;
mod pen;
mod rate;
mod screen;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use claw_run::control::Running;
use claw_sys::signal;
use ratatui::DefaultTerminal;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::Rect;

use self::ask::{Asker, Heard};
use self::clipboard::Between;
use self::pen::Ink;
use self::screen::{Press, Run, Screen, State};
use crate::arguments::Top as Arguments;
use crate::environment;
use crate::print::{self, DONE, UNUSABLE};

/// Runs `claw top`.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    let interval = arguments.interval;
    let name = arguments.run.as_deref();
    let done = if arguments.json {
        json(name)
    } else if arguments.once {
        once(interval, name)
    } else if io::stdout().is_terminal() {
        watch(interval, name)
    } else {
        eprintln!("claw: standard output is not a terminal");
        eprintln!("hint: `claw top --once` prints the screen once, `claw top --json` what is known as JSON");
        return UNUSABLE;
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("claw: cannot show the runs: {}", print::plain(&error.to_string()));
            UNUSABLE
        }
    }
}

/// One JSON document: a list of what the runs say.
fn json(name: Option<&str>) -> io::Result<u8> {
    let mut said: Vec<Running> = Vec::new();
    for (key, heard) in Asker::default().answers()? {
        match heard {
            Heard::Said(running, _) if name.is_none_or(|name| name == key.name) => said.push(*running),
            Heard::Silent(why) => {
                eprintln!("claw: the run `{}`: {}", cell::clean(&key.name), cell::clean(&why))
            }
            Heard::Said(..) | Heard::Gone => {}
        }
    }
    print::json(&said);
    Ok(DONE)
}

/// The screen as text. Rates need two answers with time between them.
fn once(interval: Duration, name: Option<&str>) -> io::Result<u8> {
    let mut asker = Asker::default();
    let mut runs = asker.round()?;
    if runs.iter().any(|run| matches!(run.state, State::Live(_))) {
        thread::sleep(interval);
        runs = asker.round()?;
    }
    let mut screen = Screen { runs, ..Screen::default() };
    if let Some(name) = name
        && !screen.select(name)
    {
        return Ok(missing(name));
    }
    let area = Rect::new(0, 0, PAPER, draw::height(&screen));
    let mut buffer = Buffer::empty(area);
    draw::draw(&screen, Ink::Plain, area, &mut buffer);
    // the last line tells keys
    let lines = lines(&buffer);
    let (_, lines) = lines.split_last().unwrap_or((&String::new(), &[]));
    lines.iter().for_each(|line| print::line(line));
    Ok(DONE)
}

/// The screen, until someone leaves it.
fn watch(interval: Duration, name: Option<&str>) -> io::Result<u8> {
    let mut asker = Asker::default();
    let mut screen = Screen { runs: asker.round()?, ..Screen::default() };
    if let Some(name) = name
        && !screen.select(name)
    {
        return Ok(missing(name));
    }
    // order: blocked before any thread is made, which would take the signal otherwise
    signal::block(&ENDINGS)?;
    let signals = signal::descriptor(&ENDINGS)?;
    let (sender, answers) = sync_channel(1);
    thread::Builder::new().spawn(move || {
        loop {
            thread::sleep(interval);
            if sender.send(asker.round()).is_err() {
                return;
            }
        }
    })?;
    let terminal = ratatui::try_init();
    let _restored = Restored;
    show(&mut screen, terminal?, &answers, &signals)
}

fn show(
    screen: &mut Screen,
    mut terminal: DefaultTerminal,
    answers: &Receiver<io::Result<Vec<Run>>>,
    signals: &OwnedFd,
) -> io::Result<u8> {
    let ink = if environment::no_color() { Ink::Plain } else { Ink::Colour };
    let mut stale = true;
    loop {
        match answers.try_recv() {
            Ok(runs) => {
                screen.update(runs?);
                stale = true;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Err(io::ErrorKind::BrokenPipe.into()),
        }
        if std::mem::take(&mut stale) {
            terminal.draw(|frame| draw::draw(screen, ink, frame.area(), frame.buffer_mut()))?;
        }
        if signal::read(signals.as_fd()).is_ok() {
            return Ok(DONE);
        }
        if !event::poll(TICK)? {
            continue;
        }
        stale = true;
        match meant(&event::read()?) {
            Meant::Leave => return Ok(DONE),
            Meant::Press(press) => {
                if let Some(rule) = screen.press(press) {
                    copy(&rule)?;
                }
            }
            Meant::Nothing => {}
        }
    }
}

/// Puts a rule into the terminal's clipboard. The sequence prints nothing and leaves the cursor where it is.
fn copy(rule: &str) -> io::Result<()> {
    let inside = environment::host().is_ok_and(|host| host.environment.contains_key("TMUX"));
    let text = clipboard::copy(rule, if inside { Between::Tmux } else { Between::Nothing });
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What someone at the keyboard means.
#[derive(Debug, PartialEq, Eq)]
enum Meant {
    Leave,
    Press(Press),
    Nothing,
}

fn meant(event: &Event) -> Meant {
    let Event::Key(key) = event else { return Meant::Nothing };
    if key.kind == KeyEventKind::Release {
        return Meant::Nothing;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let press = match key.code {
        KeyCode::Char('c') if control => return Meant::Leave,
        KeyCode::Char(_) if control => return Meant::Nothing,
        KeyCode::Char('q') | KeyCode::Esc => return Meant::Leave,
        KeyCode::Down | KeyCode::Char('j') => Press::Move(1),
        KeyCode::Up | KeyCode::Char('k') => Press::Move(-1),
        KeyCode::PageDown => Press::Move(PAGE),
        KeyCode::PageUp => Press::Move(-PAGE),
        KeyCode::Home | KeyCode::Char('g') => Press::First,
        KeyCode::End | KeyCode::Char('G') => Press::Last,
        KeyCode::Tab => Press::Next,
        KeyCode::BackTab => Press::Back,
        KeyCode::Char('c') => Press::Copy,
        _ => return Meant::Nothing,
    };
    Meant::Press(press)
}

fn missing(name: &str) -> u8 {
    eprintln!("claw: no run is called `{}`", cell::clean(name));
    eprintln!("hint: `claw top` shows the runs that go on");
    UNUSABLE
}

/// The cells of a buffer as lines of text.
fn lines(buffer: &Buffer) -> Vec<String> {
    let area = buffer.area();
    let mut lines = Vec::with_capacity(usize::from(area.height));
    for y in area.y..area.bottom() {
        let mut line = String::new();
        let mut hidden = 0_u16;
        for x in area.x..area.right() {
            let symbol = buffer.cell((x, y)).map_or(" ", |cell| cell.symbol());
            // the second half of a wide character is an empty cell
            if hidden == 0 {
                line.push_str(symbol);
            }
            hidden = hidden.max(cell::width(symbol)).saturating_sub(1);
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Gives the terminal back when it is dropped; a panic's hook (`ratatui::try_init`) does it before the message.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// SIGHUP, SIGINT, SIGTERM: what ends a program at a terminal that can be answered.
const ENDINGS: [i32; 3] = [1, 2, 15];
const TICK: Duration = Duration::from_millis(100);
const PAGE: isize = 10;
/// How wide the screen is as text.
const PAPER: u16 = 120;
