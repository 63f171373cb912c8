//! `claw ledger`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::Path;
use std::time::Duration;

use claw_ledger::record::{Decision, Event, Record};
use claw_ledger::show;
use claw_ledger::summary::Summary;
use claw_ledger::verify::{Verdict, Verifier};
use claw_model::digest::Digest;
use claw_run::control::{self, Answer, Question};
use ratatui::crossterm::terminal::window_size;

use super::top::cell::{self, Column, Place, Side};
use crate::arguments::{Ledger as Arguments, LedgerCommand};
use crate::environment;
use crate::print::{self, DONE, NO, UNUSABLE};

/// Runs a `ledger` command.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    let result = match &arguments.command {
        LedgerCommand::Show { ledger, summary, json } => present(ledger, *summary, *json),
        LedgerCommand::Tail { ledger, table, json } => follow(ledger, Form::new(*table, *json)),
        LedgerCommand::Verify { ledger, head, json } => verify(ledger, head.as_ref(), *json),
    };
    result.unwrap_or_else(|error| {
        eprintln!("claw: cannot read the ledger: {error}");
        UNUSABLE
    })
}

fn present(ledger: &Path, summarised: bool, json: bool) -> io::Result<u8> {
    let mut summary = Summary::default();
    let mut code = DONE;
    each(ledger, |line| {
        match Record::parse(line) {
            Ok(record) if summarised => summary.add(record.seq, &record.event, None),
            Ok(_) if json => print::line(String::from_utf8_lossy(line).trim_end()),
            Ok(record) => print::line(&show::line(&record)),
            Err(error) => {
                eprintln!("claw: unreadable record: {}", print::row(&error.to_string()));
                code = NO;
            }
        }
        true
    })?;
    match (summarised, json) {
        (true, true) => print::json(&summary),
        (true, false) => print::line(print::plain(&summary.to_string()).trim_end()),
        _ => {}
    }
    Ok(code)
}

/// How records are printed while they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As they are.
    Json,
    /// A line for each.
    Lines,
    /// Columns as wide as the terminal.
    Table(Colour),
}

/// Whether decisions have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    On,
    Off,
}

impl Form {
    fn new(table: bool, json: bool) -> Form {
        let terminal = io::stdout().is_terminal();
        match (json, table || terminal) {
            (true, _) => Form::Json,
            (false, true) if terminal && !environment::no_color() => Form::Table(Colour::On),
            (false, true) => Form::Table(Colour::Off),
            (false, false) => Form::Lines,
        }
    }
}

/// Follows a ledger that is given by its file, or by the name of its run.
fn follow(ledger: &Path, form: Form) -> io::Result<u8> {
    let name = ledger.to_str().filter(|_| !ledger.exists());
    let Some(name) = name else { return tail(ledger, None, form) };
    let found: Vec<(u32, String)> = control::runs()?.into_iter().filter(|(_, run)| run == name).collect();
    let [(user, run)] = found.as_slice() else {
        let what = if found.is_empty() { "no file and no run" } else { "more than one run" };
        eprintln!("claw: {what} is called `{}`", cell::clean(name));
        eprintln!("hint: `claw top` shows the runs that go on");
        return Ok(UNUSABLE);
    };
    match control::ask(*user, run, &Question::Status) {
        Ok(Answer::Status(running)) => tail(&running.ledger, Some((*user, run)), form),
        Ok(_) => Err(io::ErrorKind::InvalidData.into()),
        Err(error) => {
            print::error(&error, Some("give the ledger's file instead"));
            Ok(UNUSABLE)
        }
    }
}

/// Prints what is there, then what comes, until the run's last record, or until the run is gone without one.
fn tail(ledger: &Path, run: Option<(u32, &str)>, form: Form) -> io::Result<u8> {
    let mut reader = BufReader::new(File::open(ledger)?);
    let mut line = Vec::new();
    let (mut idle, mut gone) = (0_u32, false);
    if let Form::Table(_) = form {
        heading(form);
    }
    loop {
        reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            if gone {
                eprintln!("claw: the run is gone and its ledger has no end");
                return Ok(NO);
            }
            std::thread::sleep(Duration::from_millis(50));
            idle = idle.saturating_add(1);
            // order: what it wrote before it went is read once more after this
            gone = idle.is_multiple_of(20) && run.is_some_and(has_gone);
            continue;
        }
        let record = Record::parse(&line);
        let mut said = Ok(());
        match (&record, form) {
            (Ok(_), Form::Json) => {
                said = writeln!(io::stdout(), "{}", String::from_utf8_lossy(&line).trim_end())
            }
            (Ok(record), Form::Lines) => said = writeln!(io::stdout(), "{}", show::line(record)),
            (Ok(record), Form::Table(colour)) => {
                said = writeln!(io::stdout(), "{}", row(record, colour, width()))
            }
            (Err(error), _) => eprintln!("claw: unreadable record: {}", print::row(&error.to_string())),
        }
        // a reader that went away (`| head`) is no error, but nobody is told any more
        if said.is_err() {
            return Ok(DONE);
        }
        if matches!(record, Ok(Record { event: Event::Exit { .. }, .. })) {
            return Ok(DONE);
        }
        line.clear();
    }
}

fn has_gone((user, name): (u32, &str)) -> bool {
    control::runs().is_ok_and(|runs| !runs.iter().any(|(other, run)| *other == user && run == name))
}

fn heading(form: Form) {
    let titles = TABLE.map(|column| column.title.to_owned());
    let text = columns(&titles, width()).into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ");
    let text = text.trim_end();
    print::line(&if form == Form::Table(Colour::On) {
        format!("\x1b[2m{text}\x1b[0m")
    } else {
        text.to_owned()
    });
}

fn row(record: &Record, colour: Colour, width: u16) -> String {
    let cells = show::cells(record);
    let (decision, code) = match cells.decision {
        Some(Decision::Allow) => ("ALLOW", "32"),
        Some(Decision::Deny) => ("DENY", "31"),
        Some(Decision::Sink) => ("SINK", "33"),
        None => ("", "0"),
    };
    let texts =
        [cells.time, decision.to_owned(), cells.plane, cells.what, cells.rule, cells.reason, cells.process];
    let parts: Vec<String> = columns(&texts, width)
        .into_iter()
        .map(|(index, text)| {
            let judged = index == DECISION || (index == REASON && cells.decision == Some(Decision::Deny));
            let painted = judged && colour == Colour::On && !text.trim().is_empty();
            if painted { format!("\x1b[{code}m{text}\x1b[0m") } else { text }
        })
        .collect();
    parts.join(" ").trim_end().to_owned()
}

/// The texts that there is room for, each as wide as its column, and which they are.
fn columns(texts: &[String; 7], width: u16) -> Vec<(usize, String)> {
    let mut places = cell::places(&TABLE, width);
    // what is no decision has the room of the columns that it leaves empty
    if texts.iter().skip(WHAT.saturating_add(1)).all(String::is_empty) {
        places.retain(|place| place.index <= WHAT);
        if let Some(last) = places.last_mut() {
            last.width = width.saturating_sub(last.start);
        }
    }
    let cut = |place: &Place| {
        let text = texts.get(place.index).map(String::as_str).unwrap_or_default();
        (place.index, cell::padded(text, *place))
    };
    places.iter().map(cut).collect()
}

/// What COLUMNS says, or how wide the terminal is now.
fn width() -> u16 {
    let told = environment::host().ok().and_then(|host| host.environment.get("COLUMNS")?.parse().ok());
    let found = || window_size().ok().map(|size| size.columns).filter(|_| io::stdout().is_terminal());
    told.or_else(found).filter(|width| *width > 0).unwrap_or(PAPER).max(NARROWEST)
}

fn verify(ledger: &Path, head: Option<&Digest>, json: bool) -> io::Result<u8> {
    let mut verifier = Verifier::new();
    each(ledger, |line| {
        verifier.line(line);
        true
    })?;
    let verdict = verifier.finish();
    let mismatch = head.and_then(|head| verdict.expects(head).err());
    let sound = verdict.is_sound() && mismatch.is_none();
    if json {
        print::json(&serde_json::json!({
            "sound": sound,
            "records": verdict.records,
            "head": verdict.head.to_string(),
            "broken": verdict.broken.as_ref().map(|broken| {
                serde_json::json!({"seq": broken.seq, "line": broken.line, "flaw": broken.flaw.to_string()})
            }),
            "head_mismatch": mismatch.as_ref().map(ToString::to_string),
            "warnings": verdict.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
    } else {
        tell(&verdict);
        if let Some(mismatch) = &mismatch {
            eprintln!("claw: {mismatch}");
        }
    }
    Ok(if sound { DONE } else { NO })
}

fn tell(verdict: &Verdict) {
    for warning in &verdict.warnings {
        eprintln!("claw: warning: {warning}");
    }
    if verdict.more_warnings > 0 {
        eprintln!("claw: and {} more warnings", verdict.more_warnings);
    }
    match &verdict.broken {
        Some(broken) => {
            eprintln!(
                "claw: record {} (line {}): {}",
                broken.seq,
                broken.line,
                print::row(&broken.flaw.to_string())
            );
        }
        None => print::line(&format!("{} records, head {}", verdict.records, verdict.head)),
    }
}

/// Hands out each line with its newline; no line may be longer than any record is.
fn each(ledger: &Path, mut take: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut reader = BufReader::new(File::open(ledger)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if read == 0 || !take(&line) {
            return Ok(());
        }
    }
}

const LONGEST: u64 = 16 << 20;

const fn column(title: &'static str, width: u16, grow: u16, drop: u8) -> Column {
    Column { title, width, grow, side: Side::Left, drop }
}

const TABLE: [Column; 7] = [
    column("TIME", 12, 0, 3),
    column("DECISION", 8, 0, 0),
    column("PLANE", 11, 0, 4),
    column("WHAT", 26, 3, 0),
    // the line and the file's own name are at its end
    Column { title: "RULE", width: 20, grow: 1, side: Side::Middle, drop: 5 },
    column("REASON", 15, 0, 1),
    column("PROCESS", 14, 0, 2),
];
const DECISION: usize = 1;
const WHAT: usize = 3;
const REASON: usize = 5;
/// The width where none is known.
const PAPER: u16 = 120;
const NARROWEST: u16 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(fields: &str, colour: Colour, width: u16) -> String {
        let head = format!(
            "{{\"seq\":1,\"time\":\"2026-01-02T03:04:05.000000006Z\",\"prev\":\"{}\"",
            Digest::of(b"")
        );
        row(&Record::parse(format!("{head},{fields}}}").as_bytes()).unwrap(), colour, width)
    }

    const DENIED: &str = r#""kind":"request","destination":"api.test","port":443,"method":"POST","path":"/v1/x",
        "plane":"tool","decision":"deny","rule":"/home/you/work/agent_runtime.yaml:7","reason":"path""#;

    #[test]
    fn a_row_is_as_wide_as_there_is_room() {
        let check = |width, expect: &str| assert_eq!(shown(DENIED, Colour::Off, width), expect);
        check(
            120,
            "03:04:05.000 DENY     tool        request POST /v1/x api.test:443  /home/y…runtime.yaml:7 path",
        );
        check(80, "03:04:05.000 DENY     request POST /v1/x api.tes… path");
        check(60, "DENY     request POST /v1/x api.test:443     path");
        check(20, "DENY     request PO…");
        let revoke =
            r#""kind":"revoke","what":"a.test:443","why":"the file changed, as someone said","closed":1"#;
        assert_eq!(
            shown(revoke, Colour::On, 80),
            "03:04:05.000          revoke a.test:443  \"the file changed, as someone said\"  1…"
        );
    }

    #[test]
    fn colours_are_for_the_decision_and_the_reason_of_a_denial() {
        let row = shown(DENIED, Colour::On, 120);
        assert!(
            row.contains("\x1b[31mDENY    \x1b[0m") && row.contains("\x1b[31mpath           \x1b[0m"),
            "{row}"
        );
    }

    #[test]
    fn text_from_elsewhere_is_one_cell() {
        let fields = r#""kind":"connect","destination":"x\u001b[2J\n ALLOW \u202e","port":1,"protocol":"tcp",
            "phase":"workload","decision":"deny","reason":"no-rule","process":{"pid":2,"exe":"/a/b\r\u009b31m"}"#;
        for width in [20, 60, 120, 200] {
            let row = shown(fields, Colour::Off, width);
            assert!(!row.chars().any(|character| character.is_control() || character == '\u{202e}'), "{row}");
            assert!(row.chars().count() <= usize::from(width), "{row}");
        }
    }
}
