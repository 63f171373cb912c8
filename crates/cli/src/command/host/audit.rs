//! `claw host audit`.

use std::fs;
use std::io::{IsTerminal, Read as _, Write};
use std::path::Path;

use claw_host::{Area, Baseline, Outcome, Report, Severity, Status, audit, oscal, sarif};
use claw_run::audit::{Places, Root, RootError, read};
use serde_json::Value;

use crate::arguments::{Audit, Threshold};
use crate::environment;
use crate::print::{self, DONE, NO, UNUSABLE};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
enum AuditError {
    #[error("only one of --json, `--sarif -` and `--oscal -` can have standard output")]
    Documents,
    #[error(transparent)]
    Root(#[from] RootError),
    #[error("cannot read the environment")]
    Environment(#[source] std::io::Error),
    #[error("cannot read the baseline `{path}`")]
    Baseline {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot write `{path}`")]
    Write {
        path: String,
        #[source]
        source: std::io::Error,
    },
}

/// Reads the host, judges it, and prints what was found.
pub(crate) fn run(arguments: &Audit) -> u8 {
    if documents(arguments) > 1 {
        return unusable(&AuditError::Documents);
    }
    let baseline = match arguments.baseline.as_deref().map(baseline).transpose() {
        Ok(Some(Err(wrong))) => {
            print::diagnostic(&wrong);
            return UNUSABLE;
        }
        Ok(baseline) => baseline.and_then(Result::ok),
        Err(error) => return unusable(&error),
    };
    match report(arguments, baseline.as_ref()) {
        Ok(report) if report.findings(least(arguments.threshold)).next().is_some() => NO,
        Ok(_) => DONE,
        Err(error) => unusable(&error),
    }
}

fn unusable(error: &AuditError) -> u8 {
    print::error(error, None);
    UNUSABLE
}

type Read = Result<Baseline, claw_policy::PolicyError>;

fn baseline(path: &Path) -> Result<Read, AuditError> {
    let name = path.display().to_string();
    let text = small(path).map_err(|source| AuditError::Baseline { path: name.clone(), source })?;
    Ok(Baseline::parse(&text, &name))
}

/// The text of a regular file; a FIFO, a device or an endless file does not keep this program.
fn small(path: &Path) -> std::io::Result<String> {
    // before it is opened: opening a FIFO waits
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    let length = fs::File::open(path)?.take(LARGEST).read_to_string(&mut text)?;
    match u64::try_from(length) {
        Ok(length) if length < LARGEST => Ok(text),
        _ => Err(std::io::Error::other("it is larger than 1 MiB")),
    }
}

fn report(arguments: &Audit, baseline: Option<&Baseline>) -> Result<Report, AuditError> {
    let root = match &arguments.root {
        Some(path) => Root::tree(path)?,
        None => Root::host()?,
    };
    let now = jiff::Timestamp::now().as_second();
    let mut report = audit(&read(&root, &places().map_err(AuditError::Environment)?, now));
    let said = baseline.map(|baseline| baseline.apply(&mut report, now)).unwrap_or_default();
    for line in &said {
        print::say(&format!("claw: baseline, {}", print::row(line)));
    }
    let version = env!("CARGO_PKG_VERSION");
    if let Some(path) = &arguments.sarif {
        write(path, &sarif(&report, version))?;
    }
    if let Some(path) = &arguments.oscal {
        let seed = fs::read_to_string("/proc/sys/kernel/random/uuid")
            .map_err(|source| AuditError::Write { path: path.display().to_string(), source })?;
        write(path, &oscal(&report, version, &seed))?;
    }
    match documents(arguments) {
        _ if arguments.json => print::json(&report),
        0 => table(&report),
        _ => {}
    }
    Ok(report)
}

/// How many documents are to go to standard output.
fn documents(arguments: &Audit) -> usize {
    let files = [&arguments.sarif, &arguments.oscal];
    let streamed = files.into_iter().flatten().filter(|path| path.as_path() == Path::new("-")).count();
    streamed.saturating_add(usize::from(arguments.json))
}

fn places() -> std::io::Result<Places> {
    let host = environment::host()?;
    Ok(Places { program: std::env::current_exe()?, state: host.state, config: host.config })
}

fn write(path: &Path, value: &Value) -> Result<(), AuditError> {
    let failed = |source| AuditError::Write { path: path.display().to_string(), source };
    let text = serde_json::to_string_pretty(value).map_err(|error| failed(error.into()))?;
    if path == Path::new("-") {
        print::line(&text);
        return Ok(());
    }
    let mut file = fs::File::create(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(failed)
}

/// Findings first, each with its mend; then what is unknown, with the reason; then names.
fn table(report: &Report) {
    let paint = Paint(std::io::stdout().is_terminal() && !environment::no_color());
    for note in &report.notes {
        print::line(&format!("note: {}", print::row(note)));
    }
    for score in &report.scores {
        let number = score.score.map_or_else(|| "-".to_owned(), |score| score.to_string());
        let counts = format!("{} pass, {} fail, {} unknown", score.passed, score.failed, score.unknown);
        print::line(&format!("\n{} {number} of 100 ({counts})", paint.bold(score.area.name())));
        area(report, score.area, &paint);
    }
    print::line(
        "\nA score is the weight of what passed, of 100 parts of what passed or failed: low 1, medium 3, high 7, critical 15.\nWhat is unknown counts for neither. Accepted findings lower it as others do.",
    );
    let count = |severity| report.findings(severity).filter(|one| one.severity == severity).count();
    print::line(&format!(
        "{} critical, {} high, {} medium, {} low",
        count(Severity::Critical),
        count(Severity::High),
        count(Severity::Medium),
        count(Severity::Low)
    ));
}

fn area(report: &Report, area: Area, paint: &Paint) {
    let with =
        |status: Status| report.outcomes.iter().filter(move |one| one.area == area && one.status == status);
    let mut failed: Vec<&Outcome> = with(Status::Fail).collect();
    failed.sort_by_key(|one| std::cmp::Reverse(one.severity));
    for one in failed {
        let mark = paint.severity(one.severity, &format!("{:<8}", one.severity.name()));
        print::line(&format!("  {mark}  {:<22} {}", one.id, print::row(&one.seen)));
        match &one.accepted {
            Some(accepted) => print::line(&format!(
                "            accepted until {}: {}",
                accepted.expires,
                print::row(&accepted.reason)
            )),
            None => {
                print::line(&format!("            means: {}", one.meaning));
                print::line(&format!("            mend:  {}", print::row(&one.mend)));
                print::line(&format!("            see:   {}", one.reference));
            }
        }
    }
    for one in with(Status::Unknown) {
        print::line(&format!("  unknown   {:<22} {}", one.id, print::row(&one.seen)));
    }
    for (status, word) in [(Status::Pass, "pass"), (Status::Inapplicable, "nothing to judge")] {
        let names: Vec<&str> = with(status).map(|one| one.id).collect();
        if !names.is_empty() {
            print::line(&format!("  {word}: {}", names.join(", ")));
        }
    }
}

struct Paint(bool);

impl Paint {
    fn bold(&self, text: &str) -> String {
        self.colour("1", text)
    }

    fn severity(&self, severity: Severity, text: &str) -> String {
        match severity {
            Severity::Critical | Severity::High => self.colour("31", text),
            Severity::Medium => self.colour("33", text),
            Severity::Low => text.to_owned(),
        }
    }

    fn colour(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Bytes of a baseline.
const LARGEST: u64 = 1 << 20;

fn least(threshold: Threshold) -> Severity {
    match threshold {
        Threshold::Low => Severity::Low,
        Threshold::Medium => Severity::Medium,
        Threshold::High => Severity::High,
        Threshold::Critical => Severity::Critical,
    }
}
