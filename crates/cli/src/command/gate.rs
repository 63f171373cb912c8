//! `claw gate`.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use claw_commits::finding::{Finding, Level, Report};
use claw_commits::gate::{GateError, Options, run as judge};
use claw_commits::hook::{Hook, LARGEST_INPUT};
use claw_commits::judge::Progress;
use claw_commits::repo::Surroundings;
use claw_commits::sarif;

use super::top::cell;
use crate::arguments::gate::HookName;
use crate::arguments::{Commits, Gate, GateCommand};
use crate::environment;
use crate::print::{self, DONE, NO, UNUSABLE};

/// Runs a `gate` command.
pub(crate) fn run(arguments: &Gate) -> u8 {
    let GateCommand::Commits(arguments) = &arguments.command;
    let options = match options(arguments) {
        Ok(options) => options,
        Err(error) => {
            print::error(&error, None);
            return UNUSABLE;
        }
    };
    match judge(&options, &mut progress()) {
        Ok(report) => tell(arguments, &report),
        Err(error) => {
            let hint = error.hint();
            print::error(&error as &GateError, hint.as_deref());
            UNUSABLE
        }
    }
}

fn options(arguments: &Commits) -> io::Result<Options> {
    let hook = match arguments.hook {
        None => None,
        Some(name) => {
            let mut input = String::new();
            // order: one byte more than is taken, so that what is cut off is seen, and refused
            io::stdin().take(LARGEST_INPUT.saturating_add(1)).read_to_string(&mut input)?;
            let hook = match name {
                HookName::PreReceive => Hook::PreReceive,
                HookName::PrePush => Hook::PrePush,
            };
            Some((hook, input))
        }
    };
    // a repository that is named is read as it stands, whatever git's environment says
    let around = if arguments.repo.is_some() { Surroundings::default() } else { environment::git() };
    let repo = fs::canonicalize(arguments.repo.clone().unwrap_or_else(|| PathBuf::from(".")))?;
    Ok(Options {
        range: arguments.range.clone(),
        hook,
        repo,
        allowed: arguments.allowed.clone(),
        since: arguments.since.clone(),
        trusted: arguments.trusted.clone(),
        head: arguments.head.clone(),
        contents: arguments.contents,
        trust_root: arguments.trust_root.clone(),
        around,
        now: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()),
    })
}

fn tell(arguments: &Commits, report: &Report) -> u8 {
    if let Some(path) = &arguments.sarif {
        let document = sarif::document(report, env!("CARGO_PKG_VERSION"));
        let text = serde_json::to_string_pretty(&document).unwrap_or_default() + "\n";
        if let Err(error) = claw_sys::whole::replace_file(path, text.as_bytes(), 0o666) {
            print::error(&error, Some("the SARIF file was not written"));
            return UNUSABLE;
        }
    }
    if arguments.json {
        print::json(report);
    } else {
        table(report);
    }
    if report.clean { DONE } else { NO }
}

fn table(report: &Report) {
    for finding in &report.findings {
        show(finding);
    }
    for range in &report.ranges {
        let signed: Vec<String> =
            range.signed.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let signed = if signed.is_empty() { "nobody".to_owned() } else { signed.join(", ") };
        line(&format!("{}: {} commits judged; signed by {signed}", range.range, range.commits));
        if !range.since.is_empty() {
            line(&format!(
                "  not judged, because --since says so: {} commits up to {}",
                range.unjudged,
                range.since.join(", ")
            ));
        }
        let by = range.allowed_by.as_ref().map_or("as given".to_owned(), |by| format!("made by {by}"));
        line(&format!("  allowed signers: version {}, {by}, {}", range.version, range.allowed));
    }
    let refused = report.findings.iter().filter(|finding| finding.level == Level::Error).count();
    line(&if report.clean { "clean".to_owned() } else { format!("refused: {refused} findings") });
}

fn show(finding: &Finding) {
    let mark = match finding.level {
        Level::Error => finding.code.name().to_uppercase(),
        Level::Note => finding.code.name(),
    };
    let commit = finding.commit.as_deref().unwrap_or("-");
    line(&format!("{mark:<20} {commit}  {}  {}", finding.author, finding.subject));
    line(&format!("    {}", finding.why));
    if !finding.paths.is_empty() {
        line(&format!("    paths: {}", finding.paths.join(", ")));
    }
    if !finding.who.is_empty() {
        line(&format!("    who could mend it: {}", finding.who.join(", ")));
    }
    if let Some(fix) = &finding.fix {
        line(&format!("    mend: {fix}"));
    }
}

/// Text of a commit is somebody else's: one line, nothing that moves the cursor or turns the text.
fn line(text: &str) {
    print::line(&cell::clean(text));
}

/// Tells how far it is, once it takes longer than a moment.
fn progress() -> impl FnMut(Progress) {
    let mut last = Instant::now();
    move |progress| {
        if last.elapsed() < PATIENCE {
            return;
        }
        last = Instant::now();
        print::say(&match progress {
            Progress::Read(read) => format!("claw: {read} commits read"),
            Progress::Walked(walked, of) => {
                format!("claw: allowed signers known at {walked} of {of} commits")
            }
            Progress::Judged(judged, of) => format!("claw: {judged} of {of} commits judged"),
        });
    }
}

const PATIENCE: Duration = Duration::from_secs(2);
