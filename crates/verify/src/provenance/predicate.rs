//! What predicates say. Their fields are others' to extend, so what is not known in them is read over.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;
use crate::sigstore::{Attested, Claims};

/// What a statement says.
pub(super) enum Said {
    /// Nothing but that it was signed.
    Nothing,
    /// Something that is no word about a build.
    Other,
    /// How it was built.
    Provenance(Provenance),
    /// That somebody verified how.
    Summary(Summary),
}

/// A provenance of either version, as one.
pub(super) struct Provenance {
    pub(super) build_type: String,
    builder: String,
    parameters: Value,
    materials: Vec<Material>,
}

#[derive(Deserialize)]
struct Material {
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// A verification summary.
pub(super) struct Summary {
    pub(super) verifier: String,
    pub(super) resource: String,
    pub(super) result: String,
    pub(super) time: Option<Timestamp>,
    levels: Vec<String>,
}

const V1: &str = "https://slsa.dev/provenance/v1";
const V02: &str = "https://slsa.dev/provenance/v0.2";
const SUMMARY: &str = "https://slsa.dev/verification_summary/v1";
/// cosign's statement that it signed an image, and no more.
const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

/// The result that a verification summary of this artefact tells.
pub fn result(attested: &Attested) -> Option<&str> {
    is_summary(attested)
        .then(|| attested.statement.as_ref()?.predicate.get("verificationResult")?.as_str())?
}

pub(super) fn is_provenance(attested: &Attested) -> bool {
    kind(attested).is_some_and(|kind| kind == V1 || kind == V02)
}

pub(super) fn is_summary(attested: &Attested) -> bool {
    kind(attested) == Some(SUMMARY)
}

fn kind(attested: &Attested) -> Option<&str> {
    attested.statement.as_ref().map(|statement| statement.predicate_type.as_str())
}

/// Reads what is said.
pub(super) fn read(attested: &Attested) -> Result<Said, Error> {
    let Some(statement) = &attested.statement else { return Ok(Said::Nothing) };
    let predicate = &statement.predicate;
    match statement.predicate_type.as_str() {
        V1 => {
            let raw: RawV1 = parse(predicate)?;
            Ok(Said::Provenance(Provenance {
                build_type: raw.build_definition.build_type,
                builder: raw.run_details.builder.id,
                parameters: raw.build_definition.external_parameters,
                materials: raw.build_definition.resolved_dependencies,
            }))
        }
        V02 => {
            let raw: RawV02 = parse(predicate)?;
            let mut materials = raw.materials;
            materials.extend(raw.invocation.config_source);
            Ok(Said::Provenance(Provenance {
                build_type: raw.build_type,
                builder: raw.builder.id,
                parameters: raw.invocation.parameters,
                materials,
            }))
        }
        SUMMARY => {
            let raw: RawSummary = parse(predicate)?;
            Ok(Said::Summary(Summary {
                verifier: raw.verifier.id,
                resource: raw.resource_uri,
                result: raw.verification_result,
                time: raw.time_verified,
                levels: raw.verified_levels,
            }))
        }
        SIGNED => Ok(Said::Nothing),
        _ => Ok(Said::Other),
    }
}

fn parse<T: serde::de::DeserializeOwned>(predicate: &Value) -> Result<T, Error> {
    T::deserialize(predicate).map_err(|error| Error::Json { what: "predicate", why: error.to_string() })
}

impl Provenance {
    /// What it says of itself, where that is the word that counts.
    pub(super) fn claims(&self) -> Claims {
        let source = self
            .materials
            .iter()
            .find_map(|material| Some((material.uri.as_deref()?.strip_prefix("git+")?, material)));
        let (repository, reference) = source.map_or((None, None), |(uri, _)| {
            let (repository, reference) =
                uri.split_once('@').map_or((uri, None), |(uri, at)| (uri, Some(at)));
            (Some(repository.to_owned()), reference.map(str::to_owned))
        });
        Claims {
            builder: Some(self.builder.clone()),
            source: repository,
            reference,
            commit: source.and_then(|(_, material)| material.commit().cloned()),
            ..Claims::default()
        }
    }

    /// A predicate that names the certificate's repository must name its commit.
    pub(super) fn agrees(&self, claims: &Claims) -> Result<(), Error> {
        let (Some(source), Some(commit)) = (&claims.source, &claims.commit) else { return Ok(()) };
        for material in &self.materials {
            let uri = material.uri.as_deref().and_then(|uri| uri.strip_prefix("git+")).unwrap_or_default();
            let repository = uri.split_once('@').map_or(uri, |(repository, _)| repository);
            let same = repository.trim_end_matches(".git") == source.trim_end_matches(".git");
            if let Some(found) = material.commit().filter(|found| same && *found != commit) {
                let (asked, found) =
                    (format!("the certificate's `{commit}`"), format!("`{}`", found.escape_debug()));
                return Err(Error::Provenance { what: "the commit in the predicate", asked, found });
            }
        }
        Ok(())
    }

    /// An external parameter by its dotted name.
    pub(super) fn parameter(&self, name: &str) -> Option<&Value> {
        name.split('.').try_fold(&self.parameters, |value, part| value.get(part))
    }
}

impl Material {
    fn commit(&self) -> Option<&String> {
        self.digest.get("gitCommit").or_else(|| self.digest.get("sha1"))
    }
}

impl Summary {
    /// The highest build level that it sums up.
    pub(super) fn level(&self) -> Option<u8> {
        let level = |text: &String| match text.strip_prefix("SLSA_BUILD_LEVEL_")? {
            "0" => Some(0),
            "1" => Some(1),
            "2" => Some(2),
            "3" => Some(3),
            _ => None,
        };
        self.levels.iter().filter_map(level).max()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawV1 {
    build_definition: RawDefinition,
    run_details: RawDetails,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDefinition {
    build_type: String,
    external_parameters: Value,
    #[serde(default)]
    resolved_dependencies: Vec<Material>,
}

#[derive(Deserialize)]
struct RawDetails {
    builder: RawId,
}

#[derive(Deserialize)]
struct RawId {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawV02 {
    build_type: String,
    builder: RawId,
    #[serde(default)]
    invocation: RawInvocation,
    #[serde(default)]
    materials: Vec<Material>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct RawInvocation {
    #[serde(default)]
    config_source: Option<Material>,
    #[serde(default)]
    parameters: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSummary {
    verifier: RawId,
    time_verified: Option<Timestamp>,
    resource_uri: String,
    verification_result: String,
    #[serde(default)]
    verified_levels: Vec<String>,
}
