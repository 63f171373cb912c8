//! The policy file, YAML or JSON. A field that is not known is refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};

use super::Reference;
use crate::identity::{Identity, Name, Pattern};
use crate::{Error, KeyId, Signer};

/// Where artefacts must come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Who may have built it; one of them must have.
    pub builders: Vec<Builder>,
    /// The repository it was built from.
    pub source: Option<Name>,
    /// The branch or tag.
    pub reference: Option<Reference>,
    /// The commit.
    pub commit: Option<String>,
    /// What began the build.
    pub trigger: Option<String>,
    /// The type of build, by the predicate of a builder above.
    pub build_type: Option<String>,
    /// External parameters, by dotted name, by the predicate of a builder above.
    pub parameters: BTreeMap<String, Value>,
    /// The least SLSA build level.
    pub level: Option<u8>,
    /// Whose word counts.
    pub word: Word,
    /// A verification summary that is accepted.
    pub summary: Option<Summary>,
    /// What must be there besides.
    pub require: Vec<Required>,
}

/// A builder, and how far it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    /// Its name in the certificate.
    pub id: Name,
    /// The build level that it reaches, as whoever wrote the policy judges it.
    pub level: u8,
    /// Whose machines it must have used.
    pub runner: Option<String>,
}

/// Whose verification summaries count, for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Who must have signed it.
    pub by: By,
    /// The verifier's name in it.
    pub verifier: String,
    /// The resource it must be about.
    pub resource: Name,
}

/// The one whose verification summaries count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// Whoever holds this key.
    Key(KeyId),
    /// Whom the issuer knows by this name.
    Identity(Identity),
}

/// Whose word counts for builder and source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// The certificate's authority.
    #[default]
    Certificate,
    /// Who holds a pinned key, as well.
    Key,
}

/// What must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Required {
    /// Inclusion in a transparency log, of every bundle.
    Log,
    /// A verified time, of every bundle.
    Time,
    /// A certificate, of every bundle.
    Certificate,
    /// A provenance.
    Provenance,
    /// A verification summary.
    Summary,
}

impl Policy {
    /// Reads a policy.
    pub fn read(text: &str) -> Result<Policy, Error> {
        let unusable = |why: String| Error::Trust { what: "policy", why };
        if text.len() > LARGEST {
            return Err(unusable(format!("it has more than {LARGEST} bytes")));
        }
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_depth: 16, max_documents: 1, max_aliases: 0, max_anchors: 0 },
            duplicate_keys: DuplicateKeyPolicy::Error,
            merge_keys: MergeKeyPolicy::Error,
            strict_booleans: true,
            with_snippet: false,
        };
        let raw: Raw = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| unusable(error.to_string()))?;
        raw.judged()
    }

    /// Whether it asks anything of the build, rather than only of the evidence.
    pub(super) fn asks_of_build(&self) -> bool {
        !self.builders.is_empty()
            || self.source.is_some()
            || self.reference.is_some()
            || self.commit.is_some()
            || self.trigger.is_some()
            || self.level.is_some()
    }
}

impl By {
    pub(super) fn is(&self, signer: &Signer) -> bool {
        match (self, signer) {
            (By::Key(asked), Signer::Key(found)) => asked == found,
            (By::Identity(asked), Signer::Identity { identity, issuer }) => {
                asked.identity.matches(identity) && asked.issuer.matches(issuer)
            }
            _ => false,
        }
    }
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            By::Key(id) => write!(f, "key {id}"),
            By::Identity(asked) => write!(f, "`{}` by `{}`", asked.identity, asked.issuer),
        }
    }
}

impl Required {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Required::Log => "log",
            Required::Time => "time",
            Required::Certificate => "certificate",
            Required::Provenance => "provenance",
            Required::Summary => "summary",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: u8,
    #[serde(default)]
    builders: Vec<RawBuilder>,
    source: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    commit: Option<String>,
    trigger: Option<String>,
    build_type: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
    level: Option<u8>,
    #[serde(default)]
    word: Word,
    summary: Option<RawSummary>,
    #[serde(default)]
    require: Vec<Required>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBuilder {
    id: String,
    #[serde(default)]
    level: u8,
    runner: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSummary {
    key: Option<String>,
    identity: Option<String>,
    issuer: Option<String>,
    verifier: String,
    resource: String,
}

impl Raw {
    fn judged(self) -> Result<Policy, Error> {
        let unusable = |why: &str| Error::Trust { what: "policy", why: why.to_owned() };
        if self.version != 1 {
            return Err(unusable("its version is not 1"));
        }
        let said_by_builder = self.build_type.is_some() || !self.parameters.is_empty();
        if said_by_builder && self.builders.is_empty() {
            return Err(unusable("build type and parameters are the builder's word; hint: name `builders`"));
        }
        if self.level.is_some() && self.builders.is_empty() && self.summary.is_none() {
            return Err(unusable(
                "a level is reached by a builder, or summed up; hint: name `builders` or `summary`",
            ));
        }
        if self.builders.iter().any(|builder| 3 < builder.level) || self.level.is_some_and(|level| 3 < level)
        {
            return Err(unusable("SLSA has build levels from 0 to 3"));
        }
        let builder =
            |raw: RawBuilder| Ok(Builder { id: name(&raw.id)?, level: raw.level, runner: raw.runner });
        let word = self.word;
        let summary = |raw: RawSummary| {
            let by = match (raw.key, raw.identity, raw.issuer) {
                (Some(_), None, None) if word != Word::Key => {
                    return Err(unusable(
                        "a summary that a key signed is its holder's word; hint: `word: key`",
                    ));
                }
                (Some(key), None, None) => {
                    let id = key.parse().map_err(|_| unusable("a summary's key is its id: `sha256:…`"))?;
                    By::Key(KeyId(id))
                }
                (None, Some(identity), Some(issuer)) => {
                    By::Identity(Identity { identity: name(&identity)?, issuer: name(&issuer)? })
                }
                _ => {
                    return Err(unusable(
                        "a summary counts by whoever signed it; hint: name its `key`, or `identity` and `issuer`",
                    ));
                }
            };
            Ok(Summary { by, verifier: raw.verifier, resource: name(&raw.resource)? })
        };
        let policy = Policy {
            builders: self.builders.into_iter().map(builder).collect::<Result<_, Error>>()?,
            source: self.source.as_deref().map(name).transpose()?,
            reference: self.reference.map(Reference),
            commit: self.commit,
            trigger: self.trigger,
            build_type: self.build_type,
            parameters: self.parameters,
            level: self.level,
            word: self.word,
            summary: self.summary.map(summary).transpose()?,
            require: self.require,
        };
        if !policy.asks_of_build() && policy.summary.is_none() && policy.require.is_empty() {
            return Err(unusable("it asks for nothing"));
        }
        Ok(policy)
    }
}

/// A name, or a pattern where it has a `*`.
fn name(text: &str) -> Result<Name, Error> {
    match text.contains('*') {
        true => Pattern::new(text).map(Name::Pattern),
        false if text.is_empty() => Err(Error::Trust { what: "policy", why: "a name is empty".to_owned() }),
        false => Ok(Name::Exact(text.to_owned())),
    }
}

const LARGEST: usize = 1 << 20;
