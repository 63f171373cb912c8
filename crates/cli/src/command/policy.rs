//! `claw policy`.

use std::path::Path;

use claw_policy::{Asked, Policy, Severity, lint, policy_writable, schema, unused, why};
use claw_run::PlanError;
use claw_run::trust::Trust;
use jiff::Timestamp;

use self::diff::Question;
use crate::arguments::{FailOn, Policy as Arguments, PolicyCommand};
use crate::command::run::read;
use crate::environment;
use crate::print::{self, DONE, NO, UNUSABLE};

mod diff;
mod export;
mod import;
mod merge;
mod sign;
mod used;

/// Runs a `policy` command.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    let result = match &arguments.command {
        PolicyCommand::Check { file, ledger, json, fail_on } => {
            check(file, ledger.as_deref(), *json, *fail_on)
        }
        PolicyCommand::Why { file, destination, phase, method, path, json } => {
            let request = method.as_deref().zip(path.as_deref());
            let question = Asked { destination, request, phase: *phase, now: Timestamp::now() };
            explain(file, question, *json)
        }
        PolicyCommand::Diff { old, new, format, phase, fail_on, json } => {
            diff::run(&Question { old, new, format: *format, phase: *phase, fail_on: *fail_on, json: *json })
        }
        PolicyCommand::Merge { files, out, json } => merge::run(files, out.as_deref(), *json),
        PolicyCommand::Schema => {
            print::json(&schema());
            Ok(DONE)
        }
        PolicyCommand::Import { format, strict, json, file } => import::run(*format, *strict, *json, file),
        PolicyCommand::Export { format, phase, strict, json, file } => {
            export::run(*format, *phase, *strict, *json, file)
        }
        PolicyCommand::Sign(arguments) => sign::sign(arguments),
        PolicyCommand::Verify(arguments) => sign::verify(arguments),
        PolicyCommand::Trust { file, json } => trust(file, *json),
    };
    result.unwrap_or_else(|code| code)
}

/// Parses a policy with its ceilings, or shows every line that is wrong.
pub(crate) fn parse(text: &str, file: &Path) -> Result<Policy, u8> {
    let place = environment::host().map(|host| host.directory.join(file)).unwrap_or_else(|_| file.to_owned());
    claw_run::parse(text, &file.display().to_string(), &place).map_err(|error| {
        print::diagnostic(&error);
        UNUSABLE
    })
}

fn check(file: &Path, ledger: Option<&Path>, json: bool, fail_on: FailOn) -> Result<u8, u8> {
    let policy = parse(&read(file)?, file)?;
    let mut findings = lint(&policy, Timestamp::now());
    let working = environment::host().map(|host| host.directory).unwrap_or_default();
    claw_run::profile(&policy, &working, None).map_err(|error| {
        match &error {
            PlanError::Profile(profile) => print::diagnostic(profile),
            other => print::error(other, None),
        }
        UNUSABLE
    })?;
    let files = std::iter::once(file).chain(policy.ceilings());
    findings.extend(files.filter_map(|file| policy_writable(&policy, file, &working)));
    if let Some(ledger) = ledger {
        findings.extend(unused(&policy, &used::lines(ledger, &policy)?));
        findings.sort_by_key(|finding| finding.line);
    }
    let least = match fail_on {
        FailOn::Note => Severity::Note,
        FailOn::Warning => Severity::Warning,
        FailOn::Error => Severity::Error,
    };
    let fails = findings.iter().any(|finding| finding.severity >= least);
    if json {
        print::json(&serde_json::json!({
            "file": file,
            "digest": policy.digest().to_string(),
            "rules": policy.rules().len(),
            "findings": findings,
        }));
        return Ok(if fails { NO } else { DONE });
    }
    for finding in &findings {
        let severity = match finding.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let place = print::plain(&format!("{}:{}", file.display(), finding.line));
        print::line(&format!("{place}: {severity}: {} [{}]", print::plain(&finding.why), finding.code));
        print::line(&format!("    mend: {}", print::plain(&finding.mend)));
    }
    print::line(&format!("{} rules, {} findings, {}", policy.rules().len(), findings.len(), policy.digest()));
    Ok(if fails { NO } else { DONE })
}

fn explain(file: &Path, question: Asked<'_>, json: bool) -> Result<u8, u8> {
    let policy = parse(&read(file)?, file)?;
    let answer = why(&policy, question);
    let allowed = answer.decision == "allow";
    if json {
        print::json(&answer);
    } else {
        let rule = answer.rule.as_deref().map(|rule| format!(" by {rule}")).unwrap_or_default();
        let reason = answer.reason.map(|reason| format!(" [{reason}]")).unwrap_or_default();
        print::line(&print::plain(&format!("{}{rule}{reason}: {}", answer.decision, answer.sentence)));
        if let (Some(plane), Some(purpose), Some(assurance)) =
            (answer.plane, &answer.purpose, answer.assurance)
        {
            print::line(&print::plain(&format!("plane {plane}, assurance {assurance}, purpose: {purpose}")));
        }
        if let Some(suggestion) = &answer.suggestion {
            print::line(&format!("this rule would allow it:\n{}", print::plain(suggestion)));
        }
    }
    Ok(if allowed { DONE } else { NO })
}

fn trust(file: &Path, json: bool) -> Result<u8, u8> {
    let policy = parse(&read(file)?, file)?;
    let fail = |error: &dyn std::error::Error| {
        print::error(error, None);
        UNUSABLE
    };
    let host = environment::host().map_err(|error| fail(&error))?;
    let path = host.directory.join(file);
    let trust = Trust::at(&host.config);
    let real = claw_run::resolved(&path);
    trust.renew(&real, &policy.digest()).map_err(|error| fail(&error))?;
    trust.accept(&policy.digest(), &path).map_err(|error| fail(&error))?;
    if json {
        print::json(&serde_json::json!({"file": path, "digest": policy.digest().to_string()}));
    } else {
        print::line(&format!("accepted {} {}", policy.digest(), print::plain(&path.display().to_string())));
    }
    Ok(DONE)
}
