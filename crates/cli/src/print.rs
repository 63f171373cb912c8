//! Messages: error, its causes, then the hint. Exit codes are named here.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

use crate::environment;

/// Done, or the answer is yes.
pub(crate) const DONE: u8 = 0;
/// The question's answer is no.
pub(crate) const NO: u8 = 1;
/// Unusable input or usage.
pub(crate) const UNUSABLE: u8 = 2;
/// The sandbox could not be built; nothing was run.
pub(crate) const NO_SANDBOX: u8 = 125;

/// Prints an error with its causes and what to do about it.
pub(crate) fn error(error: &dyn Error, hint: Option<&str>) {
    let mut text = format!("claw: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    eprintln!("{}", plain(&text));
    if let Some(hint) = hint {
        eprintln!("hint: {}", plain(hint));
    }
}

/// Prints a diagnostic with the lines it speaks of.
pub(crate) fn diagnostic(diagnostic: &dyn Diagnostic) {
    let coloured = io::stderr().is_terminal() && !environment::no_color();
    let theme = if coloured { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(110);
    if handler.render_report(&mut text, diagnostic).is_ok() {
        eprint!("{text}");
    } else {
        eprintln!("claw: {diagnostic}");
    }
}

/// A run cannot be called like this.
pub(crate) fn bad_name() -> u8 {
    eprintln!("claw: the name of a run may hold letters, digits, `-` and `_`");
    UNUSABLE
}

/// Prints a line of a result. A reader that went away (`| head`) is no error.
pub(crate) fn line(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Prints a value as one JSON document.
pub(crate) fn json(value: &impl serde::Serialize) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Text that came from elsewhere must not move the cursor, change colours, or turn or hide what is around it. Its lines stay
/// lines: where a name of somebody's choice is shown, [`row`] is for it.
pub(crate) fn plain(text: &str) -> String {
    let hidden = |character: char| character != '\n' && claw_model::shown::is_hidden(character);
    text.chars().map(|character| if hidden(character) { '\u{fffd}' } else { character }).collect()
}

/// The same, on one line: what is hidden is spelled out, ends of lines too.
pub(crate) fn row(text: &str) -> String {
    claw_host::spelled(text)
}

/// Says something on standard error while the agent runs, without waiting for whoever reads it: the agent shares it, and could
/// fill it up or make it non-blocking. What cannot be said is dropped; it is in the ledger.
pub(crate) fn tell(text: &str) {
    static QUEUE: OnceLock<SyncSender<String>> = OnceLock::new();
    let queue = QUEUE.get_or_init(|| {
        let (queue, told) = sync_channel::<String>(MOST_TOLD);
        // it ends with the process
        let _ = std::thread::Builder::new().spawn(move || {
            for text in told {
                let _ = io::stderr().write_all(text.as_bytes());
                WAITING.fetch_sub(1, Ordering::SeqCst);
            }
        });
        queue
    });
    WAITING.fetch_add(1, Ordering::SeqCst);
    if queue.try_send(format!("claw: {}\n", plain(text))).is_err() {
        WAITING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits a moment until everything is said.
pub(crate) fn told() {
    let begun = Instant::now();
    while WAITING.load(Ordering::SeqCst) > 0 && begun.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A line on standard error; one that cannot be written is no reason to end otherwise.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Messages that are not said yet.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Messages that may wait to be said.
const MOST_TOLD: usize = 256;
