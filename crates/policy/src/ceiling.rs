//! A ceiling: another policy, and this one may only narrow it.
//!
//! Every flow and request that the policy lets through must be let through by the ceiling, in the same phase, on the same
//! plane, and on terms that are no weaker; for all time, so that a rule must not outlive the ceiling's. It is the difference
//! from the ceiling to the policy, in which nothing may be new. A policy that names a ceiling is loaded only together with
//! it; a ceiling may have one itself. Only the rules are compared, not `filesystem` or `process`.

use std::path::{Path, PathBuf};

use claw_model::phase::Phase;
use jiff::Timestamp;

use crate::diff::{Difference, Kind, diff};
use crate::policy::Policy;

/// A file that a policy names as its ceiling, as the caller has read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CeilingFile {
    /// Where it is: what the policy names, from the place of the file that names it.
    pub path: PathBuf,
    /// What tells it from every other file: its path without links.
    pub real: PathBuf,
    /// Its text.
    pub text: String,
}

/// Reads the file that is named: the path as it is written, and the file that names it (without links). What is wrong is
/// said in one text.
pub type ReadCeiling<'a> = &'a dyn Fn(&Path, &Path) -> Result<CeilingFile, String>;

/// The files that lead to a policy: itself, and the policies it is a ceiling of.
#[derive(Clone, Copy)]
pub(crate) struct Chain<'a> {
    pub(crate) file: &'a Path,
    pub(crate) below: Option<&'a Chain<'a>>,
    pub(crate) read: ReadCeiling<'a>,
}

impl Chain<'_> {
    fn files(&self) -> Vec<&Path> {
        std::iter::successors(Some(self), |chain| chain.below).map(|chain| chain.file).collect()
    }
}

/// Loads the ceiling that a policy names, and those above it.
pub(crate) fn load(named: &Path, chain: &Chain<'_>) -> Result<(Policy, PathBuf), String> {
    let shown = named.display();
    if chain.files().len() > DEEPEST {
        return Err(format!(
            "the ceiling `{shown}` is the {DEEPEST}th above the policy: no more are followed"
        ));
    }
    let CeilingFile { path, real, text } = (chain.read)(named, chain.file)?;
    if chain.files().contains(&real.as_path()) {
        return Err(format!("the ceiling `{shown}` leads back to itself"));
    }
    let above = Chain { file: &real, below: Some(chain), read: chain.read };
    let ceiling = crate::load::load(&text, &shown.to_string(), Some(&above)).map_err(|error| {
        let first = error.problems().first();
        let (line, what) = first.map_or((1, "it is wrong"), |problem| (problem.line(), problem.message()));
        format!("the ceiling cannot be used: {shown}:{line}: {what}")
    })?;
    Ok((ceiling, path))
}

/// A rule that goes beyond the ceiling, and how.
pub(crate) struct Beyond {
    /// The rule of the policy.
    pub(crate) rule: Option<u32>,
    pub(crate) what: String,
}

/// Every rule of the policy that goes beyond the ceiling, each once.
pub(crate) fn beyond(policy: &Policy, ceiling: &Policy) -> Vec<Beyond> {
    let found = match diff(ceiling, policy, Phase::ALL, Timestamp::MIN) {
        Ok(found) => found,
        Err(error) => return vec![Beyond { rule: None, what: error.to_string() }],
    };
    let mut beyond: Vec<Beyond> = Vec::new();
    for difference in found.all() {
        let Some(what) = tell(difference, ceiling) else { continue };
        let rule = difference.new.id;
        if rule.is_none() || beyond.iter().all(|other| other.rule != rule) {
            beyond.push(Beyond { rule, what });
        }
    }
    beyond
}

fn tell(difference: &Difference, ceiling: &Policy) -> Option<String> {
    let Difference { destination, witness, old, new, .. } = difference;
    let name = ceiling.name();
    let at = format!("{witness}, phase {}, plane {}", witness.phase, witness.plane);
    let by = old.rule.as_deref().map(|rule| format!(", {rule}")).unwrap_or_default();
    match difference.kind {
        Kind::Gone => None,
        Kind::New => {
            let from = difference.from.map(|from| format!("from {from} on ")).unwrap_or_default();
            let reason = old.reason.unwrap_or("no-rule");
            Some(format!(
                "`{destination}` is beyond the ceiling `{name}`, which {from}refuses {at} [{reason}{by}]"
            ))
        }
        Kind::Changed => {
            let kept = difference.shifts.iter().filter(|shift| shift.widens || shift.field == "plane");
            let told: Vec<String> = kept
                .map(|shift| format!("{} is {} and there {}", shift.field, shift.new, shift.old))
                .collect();
            (!told.is_empty() && new.id.is_some()).then(|| {
                format!("`{destination}` is beyond the ceiling `{name}`: {} ({at}{by})", told.join("; "))
            })
        }
    }
}

/// Ceilings above each other.
const DEEPEST: usize = 8;

#[cfg(test)]
mod tests;
