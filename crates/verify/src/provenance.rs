//! Where an artefact must come from: SLSA provenance (version 1 and 0.2) and verification summaries, judged by a policy file.
//!
//! Builder, source, reference, commit, trigger and runner are judged by what the certificate's authority says of the build
//! that asked for it, never by what the predicate says of itself. What only a predicate can say (build type, parameters) counts
//! once the certificate named a builder of the policy. Where a key signed there is no certificate; the predicate is then the
//! word of who holds the key, and counts if the policy says so.

mod policy;
mod predicate;

use jiff::Timestamp;

pub use policy::{Builder, Policy, Required, Summary, Word};

use crate::identity::Pattern;
use crate::sigstore::{Attested, Claims};
use crate::{Clock, Error, Proof, Signer, Verified};
use predicate::Said;

/// Judges what was verified of one artefact, all of it: each provenance must be what the policy asks for, and what the policy
/// requires must be there. Adds to the first what was proven.
pub fn judge(found: &mut [Verified<Attested>], policy: &Policy, clock: &Clock) -> Result<(), Error> {
    let mut level = None;
    let mut seen = Vec::new();
    for one in found.iter() {
        let (proven, reached) = judge_one(one, policy, clock)?;
        level = level.max(reached);
        seen.extend(proven);
    }
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
    if let Some(first) = found.first_mut() {
        seen.extend(level.map(Proof::Level));
        seen.into_iter().for_each(|proof| first.prove(proof));
    }
    Ok(())
}

fn judge_one(
    one: &Verified<Attested>,
    policy: &Policy,
    clock: &Clock,
) -> Result<(Vec<Proof>, Option<u8>), Error> {
    let attested = one.value();
    let said = predicate::read(attested)?;
    if let Said::Summary(summary) = &said {
        return summarised(summary, policy, clock);
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
        proven.push(Proof::Claim { name: "ref".to_owned(), value: found });
    }
    claim("commit", policy.commit.as_ref(), &claims.commit, &mut proven)?;
    claim("trigger", policy.trigger.as_ref(), &claims.trigger, &mut proven)?;
    let Said::Provenance(provenance) = said else { return Ok((proven, None)) };
    provenance.agrees(&claims)?;
    if let Some(asked) = &policy.build_type {
        if *asked != provenance.build_type {
            return Err(differs("the build type", asked, &provenance.build_type));
        }
        proven.push(Proof::Claim { name: "build type".to_owned(), value: asked.clone() });
    }
    for (name, asked) in &policy.parameters {
        let found = provenance.parameter(name);
        if found != Some(asked) {
            let found = found.map_or_else(|| "not there".to_owned(), ToString::to_string);
            return Err(Error::Provenance { what: "a parameter", asked: format!("{name}: {asked}"), found });
        }
        proven.push(Proof::Claim { name: name.clone(), value: asked.to_string() });
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
    policy: &Policy,
    clock: &Clock,
) -> Result<(Vec<Proof>, Option<u8>), Error> {
    let Some(asked) = &policy.summary else {
        let (asked, found) = ("none that the policy names".to_owned(), "a verification summary".to_owned());
        return Err(Error::Provenance { what: "the statement", asked, found });
    };
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
        Proof::Claim { name: "verifier".to_owned(), value: summary.verifier.clone() },
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
