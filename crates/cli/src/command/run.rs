//! `claw run`.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::Path;

use claw_model::digest::Digest;
use claw_plan::Plan;
use claw_policy::Policy;
use claw_run::trust::Trust;
use claw_run::{
    Demand, Fresh, Held, Host, Job, LaunchError, Outcome, PlanError, RunError, Seen, SignedError, Source,
    rises, run as run_job, signed,
};

use super::believed::{Believed, believed};
use crate::arguments::Run;
use crate::environment;
use crate::print::{self, DONE, NO_SANDBOX, UNUSABLE};

/// Namespaces for a command line that looks like a run, before it is read. Whoever does not need them drops them.
pub(crate) fn early(words: impl Iterator<Item = OsString>) -> Option<Result<Fresh, LaunchError>> {
    let mut words = words.skip(1);
    let runs = words.next().is_some_and(|word| word == "run")
        && words.take_while(|word| word != "--").all(|word| !NOTHING_RUNS.iter().any(|other| word == *other));
    runs.then(Fresh::make)
}

/// With these nothing is run.
const NOTHING_RUNS: [&str; 3] = ["--dry-run", "--help", "-h"];

/// Runs the command, or prints the plan.
pub(crate) fn run(arguments: &Run, early: Option<Result<Fresh, LaunchError>>) -> u8 {
    let fresh = (!arguments.dry_run).then(|| early.unwrap_or_else(Fresh::make));
    let host = match environment::host() {
        Ok(host) => host,
        Err(error) => {
            print::error(&error, Some("the working directory must exist"));
            return UNUSABLE;
        }
    };
    let Found { policy, source, held } = match policy(arguments, &host) {
        Ok(found) => found,
        Err(code) => return code,
    };
    let job = Job {
        policy,
        source,
        held,
        tell: if arguments.quiet { |_| {} } else { |text| print::tell(text) },
        phase: arguments.phase,
        command: arguments.command.clone(),
        ledger: arguments.ledger.as_ref().map(|path| host.directory.join(path)),
        name: arguments.name.clone(),
        observe: None,
    };
    if arguments.name.as_deref().is_some_and(|name| !is_plain(name)) {
        return print::bad_name();
    }
    let Some(fresh) = fresh else { return dry_run(arguments, &job, &host) };
    match run_job(&job, &host, fresh) {
        Ok(outcome) => finish(&outcome, Said::of(arguments.json, arguments.quiet)),
        Err(error) => refused(&error),
    }
}

/// Says why nothing was run; a file that is wrong is shown with the line.
pub(super) fn refused(error: &RunError) -> u8 {
    match error {
        RunError::Plan(PlanError::Profile(profile)) => print::diagnostic(profile),
        other => print::error(other, other.hint().as_deref()),
    }
    if error.is_input() { UNUSABLE } else { NO_SANDBOX }
}

/// The policy in a file that was named.
pub(super) fn named(file: &Path, host: &Host) -> Result<(Policy, Source), u8> {
    let text = read(file)?;
    let source = Source {
        name: file.to_owned(),
        file: claw_run::resolved(&host.directory.join(file)),
        trust: Trust::at(&host.config),
        named: true,
        signed: None,
    };
    Ok((super::policy::parse(&text, file)?, source))
}

/// What a run stands on.
struct Found {
    policy: Policy,
    source: Option<Source>,
    held: Option<Held>,
}

/// The policy to run under: the named file, the accepted one of this directory, or none.
fn policy(arguments: &Run, host: &Host) -> Result<Found, u8> {
    let named = |text: &str, file: &Path| {
        let source = Source {
            name: file.to_owned(),
            file: claw_run::resolved(&host.directory.join(file)),
            trust: Trust::at(&host.config),
            named: arguments.policy.is_some(),
            signed: demand(arguments, host)?,
        };
        let Some(demand) = &source.signed else {
            let policy = super::policy::parse(text, file)?;
            return Ok(Found { policy, source: Some(source), held: None });
        };
        let (policy, held) = as_signed(text, &source, demand, host)?;
        Ok(Found { policy, source: Some(source), held: Some(held) })
    };
    if let Some(file) = &arguments.policy {
        return named(&read(file)?, file);
    }
    let file = host.directory.join(DEFAULT);
    let Ok(bytes) = fs::read(&file) else {
        if arguments.require_signed.is_some() {
            eprintln!("claw: there is no policy that could be signed");
            eprintln!("hint: name it with --policy");
            return Err(UNUSABLE);
        }
        return Ok(Found { policy: Policy::deny_all(), source: None, held: None });
    };
    let trust = Trust::at(&host.config);
    match trust.accepts(&Digest::of(&bytes)) {
        Ok(true) => named(&String::from_utf8(bytes).map_err(|_| not_text(&file))?, &file),
        Ok(false) if arguments.require_signed.is_some() => {
            eprintln!("claw: ./{DEFAULT} is there, but its content was not accepted");
            eprintln!("hint: name it with --policy");
            Err(UNUSABLE)
        }
        Ok(false) => {
            eprintln!("claw: ./{DEFAULT} is there, but its content was not accepted: nothing leaves");
            eprintln!("hint: read it, then `claw policy trust {DEFAULT}`, or name it with --policy");
            let resolved = claw_run::resolved(&file);
            let source = Source { name: file, file: resolved, trust, named: false, signed: None };
            Ok(Found { policy: Policy::deny_all(), source: Some(source), held: None })
        }
        Err(error) => {
            print::error(&error, None);
            Err(UNUSABLE)
        }
    }
}

/// Whose signatures the run asks for.
fn demand(arguments: &Run, host: &Host) -> Result<Option<Demand>, u8> {
    let Some(keyring) = &arguments.require_signed else { return Ok(None) };
    let Believed { pins, clock } = believed(keyring, host)?;
    let name = arguments.signed_as.clone();
    Ok(Some(Demand { keyring: keyring.clone(), pins, floor: clock.now(), name }))
}

/// A policy that must be signed, with its ceilings, each as it was signed; and that it is no older one.
fn as_signed(text: &str, source: &Source, demand: &Demand, host: &Host) -> Result<(Policy, Held), u8> {
    let name = source.name.display().to_string();
    let held = || {
        let signature = signed::signature(&source.file)?;
        let held = demand.judge((&name, &source.file), text.as_bytes(), signature.as_deref())?;
        let release = &held.release().name;
        rises(release, held.version(), Seen::look(&claw_run::resolved(&host.state), release)?)?;
        Ok(held)
    };
    let held = held().map_err(|error: SignedError| not_signed(&error))?;
    let policy = signed::parse(text, &name, &source.file, &held).map_err(|error| {
        print::diagnostic(&error);
        UNUSABLE
    })?;
    Ok((policy, held))
}

fn not_signed(error: &SignedError) -> u8 {
    print::error(error, Some(error.hint()));
    UNUSABLE
}

/// Reads a file as text, or says why not.
pub(crate) fn read(file: &Path) -> Result<String, u8> {
    let name = || print::row(&file.display().to_string());
    let mut bytes = Vec::new();
    let read = fs::File::open(file).and_then(|open| open.take(LARGEST).read_to_end(&mut bytes));
    if let Err(error) = read {
        eprintln!("claw: cannot read `{}`: {error}", name());
        return Err(UNUSABLE);
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) >= LARGEST {
        eprintln!("claw: `{}` is larger than 64 MiB", name());
        return Err(UNUSABLE);
    }
    String::from_utf8(bytes).map_err(|_| not_text(file))
}

fn not_text(file: &Path) -> u8 {
    eprintln!("claw: `{}` is not UTF-8 text", print::row(&file.display().to_string()));
    UNUSABLE
}

fn dry_run(arguments: &Run, job: &Job, host: &Host) -> u8 {
    let planned =
        claw_run::authority(job).and_then(|(authority, _)| claw_run::plan(job, host, authority.as_ref()));
    match planned {
        Ok(checked) => {
            if arguments.json {
                print::json(checked.plan());
            } else {
                print::line(&shown(checked.plan(), &job.policy));
            }
            DONE
        }
        Err(error) => refused(&RunError::Plan(error)),
    }
}

/// What is said at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Json,
    Text,
    /// The text, and what to do with the ledger.
    Observed,
}

impl Said {
    pub(super) fn of(json: bool, quiet: bool) -> Said {
        match (quiet, json) {
            (true, _) => Said::Nothing,
            (false, true) => Said::Json,
            (false, false) => Said::Text,
        }
    }
}

/// What was reached, what was refused, and how to allow it. On standard error: standard output is the agent's.
pub(super) fn finish(outcome: &Outcome, said: Said) -> u8 {
    print::told();
    if let Some(message) = &outcome.not_started {
        print::say(&format!("claw: {}", print::plain(message)));
    }
    if let Some(error) = &outcome.unwritten {
        print::error(
            error,
            Some("the agent ran; from the first record that could not be written, nothing was permitted"),
        );
    }
    let head = outcome.unwritten.is_none().then(|| outcome.head.to_string());
    if said != Said::Nothing {
        if said == Said::Json {
            let result = serde_json::json!({
                "code": outcome.code,
                "ledger": outcome.ledger,
                "head": head,
                "notes": outcome.notes,
                "summary": outcome.summary,
                "changes": outcome.changes,
            });
            print::say(&result.to_string());
        } else {
            for note in &outcome.notes {
                print::say(&format!("claw: note: {}", print::plain(note)));
            }
            print::say(print::plain(&outcome.summary.to_string()).trim_end());
            if let Some(run) = &outcome.changes {
                print::say(&format!(
                    "claw: the agent wrote to what is reviewed: `claw changes {run}`, then apply or discard"
                ));
            }
            print::say(&format!("claw: ledger {}", print::row(&outcome.ledger.display().to_string())));
            if let Some(head) = &head {
                print::say(&format!("claw: head {head}"));
            }
            if said == Said::Observed {
                let ledger = print::row(&outcome.ledger.display().to_string());
                print::say(&format!("next: claw footprint report {ledger}"));
            }
        }
    }
    u8::try_from(outcome.code & 0xff).unwrap_or(NO_SANDBOX)
}

/// The plan for a person.
fn shown(plan: &Plan, policy: &Policy) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "run          {}", plan.command.join(" "));
    let _ = writeln!(text, "in           {}", plan.directory.display());
    let _ = writeln!(
        text,
        "as           user {}, group {}, no capabilities",
        plan.identity.user, plan.identity.group
    );
    let _ = writeln!(text, "namespaces   {}", plan.namespaces.join(" "));
    let _ = writeln!(
        text,
        "network      lo only; {} network openings; names get addresses from {} and {}",
        plan.network.openings.len(),
        plan.network.pool4,
        plan.network.pool6
    );
    let _ = writeln!(text, "policy       {} rules, {}", policy.rules().len(), policy.digest());
    let _ = writeln!(text, "seccomp      {}", plan.seccomp);
    for step in &plan.tree {
        let step = serde_json::to_value(step).unwrap_or_default();
        let field =
            |name: &str| step.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let extra = if field("text").is_empty() { String::new() } else { format!(" -> {}", field("text")) };
        let _ = writeln!(text, "file         {:<10} {}{extra}", field("step"), field("target"));
    }
    for (name, value) in &plan.environment {
        let _ = writeln!(text, "environment  {name}={value}");
    }
    for note in &plan.notes {
        let _ = writeln!(text, "note         {note}");
    }
    print::plain(text.trim_end())
}

pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 80
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

const DEFAULT: &str = "agent_runtime.yaml";
const LARGEST: u64 = 64 << 20;
