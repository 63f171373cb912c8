//! The documents of a layout, as far as signatures need them. What the specification lets others add is read over.

use std::collections::BTreeMap;

use claw_model::digest::Digest;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Error, json};

/// An index or a manifest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    #[serde(rename = "schemaVersion")]
    _version: Version,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    pub(super) manifests: Vec<Descriptor>,
    #[serde(default)]
    pub(super) config: Option<Descriptor>,
    #[serde(default)]
    pub(super) layers: Vec<Descriptor>,
    #[serde(default)]
    pub(super) subject: Option<Descriptor>,
}

/// A blob by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// What it contains.
    #[serde(deserialize_with = "digest")]
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// What is said of it.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(super) fn tag(&self) -> Option<&str> {
        self.annotations.get("org.opencontainers.image.ref.name").map(String::as_str)
    }

    /// Whether its tag is the one that tools give to what stands beside one of these.
    pub(super) fn is_beside(&self, all: &[Descriptor]) -> bool {
        let hex = self.tag().and_then(|tag| tag.strip_prefix("sha256-")).and_then(|rest| rest.get(..64));
        hex.is_some_and(|hex| all.iter().any(|one| one.digest != self.digest && one.digest.hex() == hex))
    }

    /// Whether it is an index or a manifest, that names others.
    pub fn names(&self) -> bool {
        NAMING.contains(&self.media_type.as_str())
    }

    /// What it names must be readable here: what is read over is not compared.
    pub(super) fn must_name(&self) -> Result<(), Error> {
        known(&self.media_type)
    }
}

impl Manifest {
    /// Whether it is about another, and nothing that could be run.
    pub(super) fn is_about_another(&self) -> bool {
        let runs = self.config.as_ref().is_some_and(|config| CONFIGS.contains(&config.media_type.as_str()));
        self.subject.is_some() && !runs && self.manifests.is_empty()
    }
}

fn known(media_type: &str) -> Result<(), Error> {
    if NAMING.contains(&media_type) {
        return Ok(());
    }
    let hint = "an image's manifest or index, of OCI or of Docker's schema 2";
    Err(Error::Unsupported { what: "type of manifest", found: media_type.to_owned(), hint })
}

/// What names other blobs.
const NAMING: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// The configuration of what can be run.
const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// What a manifest or an index names, to be compared with what is there. An index that names what is not known is refused.
pub fn named(bytes: &[u8]) -> Result<Vec<Descriptor>, Error> {
    let manifest: Manifest = document("manifest", bytes)?;
    manifest.media_type.as_deref().map_or(Ok(()), known)?;
    manifest.manifests.iter().try_for_each(Descriptor::must_name)?;
    Ok(manifest.manifests.into_iter().chain(manifest.config).chain(manifest.layers).collect())
}

pub(super) fn document<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Error> {
    json::read(what, bytes)
}

fn digest<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// Two, and nothing else.
#[derive(Debug, Deserialize)]
#[serde(try_from = "u64")]
struct Version;

impl TryFrom<u64> for Version {
    type Error = &'static str;

    fn try_from(version: u64) -> Result<Version, &'static str> {
        if version == 2 { Ok(Version) } else { Err("the schema version is not 2") }
    }
}
