//! Where an artefact must come from: SLSA provenance (version 1 and 0.2) and verification summaries, judged by a policy file.
//!
//! Builder, source, reference, commit, trigger and runner are judged by what the certificate's authority says of the build
//! that asked for it, never by what the predicate says of itself. What only a predicate can say (build type, parameters) counts
//! once the certificate named a builder of the policy. Where a key signed there is no certificate; the predicate is then the
//! word of who holds the key, and counts if the policy says so.

mod policy;
mod predicate;

use jiff::Timestamp;

pub use policy::{Builder, By, Policy, Required, Summary, Word};

pub use predicate::result;

use crate::identity::Pattern;
use crate::sigstore::{Attested, Claims};
use crate::{Clock, Error, Proof, Signer, Verified};
use predicate::Said;

/// Judges what was verified of one artefact, all of it: each provenance must be what the policy asks for, and what the policy
/// asks must be proven by one of them. Adds to each what it proved; a summary proves a level and nothing else.
pub fn judge(found: &mut [Verified<Attested>], policy: &Policy, clock: &Clock) -> Result<(), Error> {
    let judged = found.iter().map(|one| judge_one(one, policy, clock)).collect::<Result<Vec<_>, _>>()?;
    let level = judged.iter().filter_map(|(_, reached)| *reached).max();
    shown(policy, &judged)?;
    if let Some(need) = policy.level {
        let found = level.map_or_else(|| "not shown".to_owned(), |level| level.to_string());
        if level.is_none_or(|level| level < need) {
            return Err(Error::Provenance { what: "the build level", asked: need.to_string(), found });
        }
    }
    for required in &policy.require {
        let has = |one: &Verified<Attested>| match required {
            Required::Log => one.proven().contains(&Proof::Log),
            Required::Time => one.proven().iter().any(|proof| matches!(proof, Proof::Time(_))),
            Required::Certificate => one.proven().contains(&Proof::Certificate),
            Required::Provenance => predicate::is_provenance(one.value()),
            Required::Summary => predicate::is_summary(one.value()),
        };
        // Evidence is asked of every bundle, a kind of statement of one of them.
        let enough = match required {
            Required::Log | Required::Time | Required::Certificate => found.iter().all(has),
            Required::Provenance | Required::Summary => found.iter().any(has),
        };
        if !enough || found.is_empty() {
            let asked = required.as_str().to_owned();
            return Err(Error::Provenance { what: "what is required", asked, found: "not there".to_owned() });
        }
    }
    for (one, (proven, reached)) in found.iter_mut().zip(judged) {
        proven.into_iter().chain(reached.map(Proof::Level)).for_each(|proof| one.prove(proof));
    }
    Ok(())
}

/// What one statement proved, and the level that it reached.
type Judged = (Vec<Proof>, Option<u8>);

/// What the policy asks of the build, and no statement showed, was not there to be compared: that is no yes.
fn shown(policy: &Policy, judged: &[Judged]) -> Result<(), Error> {
    let has = |wanted: &dyn Fn(&Proof) -> bool| judged.iter().any(|(proven, _)| proven.iter().any(wanted));
    let claim = |wanted: &str| has(&|proof| matches!(proof, Proof::Claim { name, .. } if name == wanted));
    let not = |what: &'static str, asked: String| {
        Err(Error::Provenance { what, asked, found: "not shown by any statement".to_owned() })
    };
    let asked = |text: &str| format!("`{}`", text.escape_debug());
    if !policy.builders.is_empty() && !has(&|proof| matches!(proof, Proof::Builder(_))) {
        let ids: Vec<_> = policy.builders.iter().map(|builder| builder.id.to_string()).collect();
        return not("the builder", asked(&ids.join("` or `")));
    }
    if let Some(source) = policy.source.as_ref().filter(|_| !has(&|proof| matches!(proof, Proof::Source(_))))
    {
        return not("the source", asked(&source.to_string()));
    }
    let claims = [
        ("the reference", REFERENCE, policy.reference.as_ref().map(Reference::as_str)),
        ("the commit", "commit", policy.commit.as_deref()),
        ("the trigger", "trigger", policy.trigger.as_deref()),
        ("the build type", BUILD_TYPE, policy.build_type.as_deref()),
    ];
    for (what, name, text) in claims {
        if let Some(text) = text.filter(|_| !claim(name)) {
            return not(what, asked(text));
        }
    }
    if let Some(summary) = policy.summary.as_ref().filter(|_| !claim(VERIFIER)) {
        return not("the summary", format!("one of `{}`", summary.verifier.escape_debug()));
    }
    match policy.parameters.iter().find(|(name, _)| !claim(&parameter(name))) {
        Some((name, value)) => not("a parameter", format!("{name}: {value}")),
        None => Ok(()),
    }
}

fn parameter(name: &str) -> String {
    format!("parameter {name}")
}

const REFERENCE: &str = "ref";
const VERIFIER: &str = "verifier";
const BUILD_TYPE: &str = "build type";

fn judge_one(one: &Verified<Attested>, policy: &Policy, clock: &Clock) -> Result<Judged, Error> {
    let attested = one.value();
    let said = predicate::read(attested)?;
    if let Said::Summary(summary) = &said {
        return summarised(summary, one.signers(), policy, clock);
    }
    let by_key = one.signers().iter().all(|signer| matches!(signer, Signer::Key(_)));
    let claims = match (&said, by_key) {
        (Said::Provenance(provenance), true) if policy.word == Word::Key => provenance.claims(),
        (_, true) if policy.asks_of_build() => {
            let (asked, found) = ("a certificate".to_owned(), "a key".to_owned());
            return Err(Error::Provenance { what: "the word for the build", asked, found });
        }
        _ => attested.claims.clone(),
    };
    let mut proven = Vec::new();
    let builder = builder(&claims, policy)?;
    if let Some((builder, id)) = &builder {
        proven.push(Proof::Builder(id.clone()));
        if let Some(runner) = builder.runner.as_ref() {
            claim("runner", Some(runner), &claims.runner, &mut proven)?;
        }
    }
    if let Some(source) = &policy.source {
        let found = claims.source.clone().unwrap_or_default();
        if !source.matches(&found) {
            return Err(differs("the source", &source.to_string(), &found));
        }
        proven.push(Proof::Source(found));
    }
    if let Some(asked) = &policy.reference {
        let found = claims.reference.clone().unwrap_or_default();
        if !asked.matches(&found) {
            return Err(differs("the reference", asked.as_str(), &found));
        }
        proven.push(Proof::Claim { name: REFERENCE.to_owned(), value: found });
    }
    claim("commit", policy.commit.as_ref(), &claims.commit, &mut proven)?;
    claim("trigger", policy.trigger.as_ref(), &claims.trigger, &mut proven)?;
    let provenance = match said {
        Said::Provenance(provenance) => provenance,
        Said::Nothing => return Ok((proven, None)),
        // Whoever scans or tests says nothing of the build, whatever the certificate says of the scan.
        Said::Other | Said::Summary(_) => return Ok((Vec::new(), None)),
    };
    provenance.agrees(&claims)?;
    if let Some(asked) = &policy.build_type {
        if *asked != provenance.build_type {
            return Err(differs("the build type", asked, &provenance.build_type));
        }
        proven.push(Proof::Claim { name: BUILD_TYPE.to_owned(), value: asked.clone() });
    }
    for (name, asked) in &policy.parameters {
        let found = provenance.parameter(name);
        if found != Some(asked) {
            let found = found.map_or_else(|| "not there".to_owned(), ToString::to_string);
            return Err(Error::Provenance { what: "a parameter", asked: format!("{name}: {asked}"), found });
        }
        proven.push(Proof::Claim { name: parameter(name), value: asked.to_string() });
    }
    Ok((proven, builder.map(|(builder, _)| builder.level)))
}

/// The builder of the policy that the claims name.
fn builder<'a>(claims: &Claims, policy: &'a Policy) -> Result<Option<(&'a Builder, String)>, Error> {
    if policy.builders.is_empty() {
        return Ok(None);
    }
    let found = claims.builder.clone().unwrap_or_default();
    match policy.builders.iter().find(|builder| builder.id.matches(&found)) {
        Some(builder) => Ok(Some((builder, found))),
        None => {
            let asked: Vec<_> = policy.builders.iter().map(|builder| builder.id.to_string()).collect();
            Err(differs("the builder", &asked.join("` or `"), &found))
        }
    }
}

fn summarised(
    summary: &predicate::Summary,
    signers: &[Signer],
    policy: &Policy,
    clock: &Clock,
) -> Result<Judged, Error> {
    let Some(asked) = &policy.summary else {
        let (asked, found) = ("none that the policy names".to_owned(), "a verification summary".to_owned());
        return Err(Error::Provenance { what: "the statement", asked, found });
    };
    // The verifier's name in it is what whoever signed it wrote.
    let by_key = matches!(asked.by, By::Key(_));
    if !signers.iter().any(|signer| asked.by.is(signer)) || (by_key && policy.word != Word::Key) {
        let found: Vec<_> = signers.iter().map(ToString::to_string).collect();
        let found = found.join(" and ").escape_debug().to_string();
        return Err(Error::Provenance { what: "the summary's signer", asked: asked.by.to_string(), found });
    }
    if summary.result != "PASSED" {
        return Err(differs("the summary's result", "PASSED", &summary.result));
    }
    if asked.verifier != summary.verifier {
        return Err(differs("the summary's verifier", &asked.verifier, &summary.verifier));
    }
    if !asked.resource.matches(&summary.resource) {
        return Err(differs("the summary's resource", &asked.resource.to_string(), &summary.resource));
    }
    let now = clock.now();
    if summary.time.is_some_and(|time: Timestamp| now < time) {
        let why = format!("the summary says {}, and it is {now}", summary.time.unwrap_or(now));
        return Err(Error::Time { code: "time-in-future", why });
    }
    let proven = vec![
        Proof::Claim { name: VERIFIER.to_owned(), value: summary.verifier.clone() },
        Proof::Claim { name: "resource".to_owned(), value: summary.resource.clone() },
    ];
    Ok((proven, summary.level()))
}

fn claim(
    name: &'static str,
    asked: Option<&String>,
    found: &Option<String>,
    proven: &mut Vec<Proof>,
) -> Result<(), Error> {
    let Some(asked) = asked else { return Ok(()) };
    if found.as_ref() != Some(asked) {
        let found = found.as_deref().unwrap_or_default();
        return Err(differs(
            if name == "commit" {
                "the commit"
            } else if name == "runner" {
                "the runner"
            } else {
                "the trigger"
            },
            asked,
            found,
        ));
    }
    proven.push(Proof::Claim { name: name.to_owned(), value: asked.clone() });
    Ok(())
}

fn differs(what: &'static str, asked: &str, found: &str) -> Error {
    let found = if found.is_empty() { "not said".to_owned() } else { format!("`{}`", found.escape_debug()) };
    Error::Provenance { what, asked: format!("`{}`", asked.escape_debug()), found }
}

/// A pattern for references, which have no authority of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(String);

impl Reference {
    fn matches(&self, found: &str) -> bool {
        !found.is_empty() && Pattern::loose(&self.0).matches(found)
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
