//! The documents of a package's image layout (OCI image specification 1.1), each with one spelling, and what is signed.
//!
//! The index names two manifests: the adapter's, and that of its signature, which refers to the first (`subject`). Each
//! document is read, written again from what was read, and compared: whatever else it says is refused.

use claw_model::digest::Digest;
use claw_verify::envelope::{Envelope, IN_TOTO};
use claw_verify::statement::{Digests, Statement, V1};
use claw_verify::{Error, Keys, Verified};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Kind, Manifest, SOURCE, canonical};

/// What the adapter's manifest is.
pub const ADAPTER: &str = "application/vnd.claw.adapter.v1+json";
/// What the signed statement's predicate is.
pub const PREDICATE: &str = "urn:claw:predicate:adapter:v1";

/// Why a package is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// A document cannot be read.
    #[error(transparent)]
    Read(#[from] Error),
    /// It has another shape.
    #[error("it is no document of an adapter package: {0}")]
    Shape(String),
    /// It says the same in another spelling, or more.
    #[error("it is not spelled as `claw adapter sign` spells it")]
    Spelling,
    /// It was signed as another one.
    #[error("it was signed as {signed}, and is {found}")]
    Differs {
        /// What the statement says.
        signed: String,
        /// What the manifest says.
        found: String,
    },
}

/// A blob by its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// What it contains.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
}

/// What the index names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The adapter's manifest.
    pub manifest: Blob,
    /// The manifest of its signature.
    pub signature: Blob,
}

/// The parts of the signature's manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// The envelope.
    pub envelope: Blob,
    /// What is signed.
    pub subject: Blob,
}

/// One file of the adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What it is.
    pub role: Role,
    /// Its path in the adapter's directory.
    pub path: String,
    /// Its content.
    pub blob: Blob,
}

/// What a file of the adapter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The manifest as it was written.
    Source,
    /// What is run.
    Artifact(Kind),
    /// A schema, an SBOM or a provenance.
    Document,
}

/// What is signed of an adapter, beside its manifest's digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Its name.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its number.
    pub release: u64,
    /// The digest of its canonical manifest.
    pub manifest: Digest,
}

/// The file `oci-layout`.
pub fn oci_layout() -> &'static [u8] {
    br#"{"imageLayoutVersion":"1.0.0"}"#
}

/// The file `index.json`.
pub fn index(layout: &Layout) -> Result<Vec<u8>, PackageError> {
    let entry = |kind: &str, blob: &Blob| json!({ "mediaType": MANIFEST, "artifactType": kind, "digest": blob.digest, "size": blob.size });
    spelled(&json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [entry(ADAPTER, &layout.manifest), entry(ENVELOPE, &layout.signature)],
    }))
}

/// Reads the file `index.json`.
pub fn layout(bytes: &[u8]) -> Result<Layout, PackageError> {
    let raw: RawIndex = read("index", bytes)?;
    let [manifest, signature] = raw.manifests.as_slice() else {
        return Err(PackageError::Shape(format!("it names {} manifests, not two", raw.manifests.len())));
    };
    let layout = Layout { manifest: manifest.blob(), signature: signature.blob() };
    same(layout, &index(&layout)?, bytes)
}

/// The adapter's manifest in the layout. `config` is the blob of its canonical manifest.
pub fn packed(config: Blob, layers: &[Layer]) -> Result<Vec<u8>, PackageError> {
    let files = layers.iter().map(|Layer { role, path, blob }| {
        json!({
            "mediaType": role.media(),
            "digest": blob.digest,
            "size": blob.size,
            "annotations": { TITLE: path },
        })
    });
    spelled(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ADAPTER,
        "config": { "mediaType": CONFIG, "digest": config.digest, "size": config.size },
        "layers": files.collect::<Vec<_>>(),
    }))
}

/// Reads the adapter's manifest in the layout.
pub fn unpacked(bytes: &[u8]) -> Result<(Blob, Vec<Layer>), PackageError> {
    let raw: RawManifest = read("manifest", bytes)?;
    if raw.layers.len() > MOST {
        return Err(PackageError::Shape(format!("it has {} files, more than {MOST}", raw.layers.len())));
    }
    let layers = raw.layers.iter().map(|layer| {
        let path =
            layer.annotations.as_ref().map(|annotations| annotations.title.clone()).unwrap_or_default();
        Ok(Layer { role: Role::of(&layer.media_type)?, path, blob: layer.blob() })
    });
    let read = (raw.config.blob(), layers.collect::<Result<Vec<_>, PackageError>>()?);
    let again = packed(read.0, &read.1)?;
    same(read, &again, bytes)
}

/// The files of an adapter, in the order in which they stand in its manifest. `blob` gives what each contains.
pub fn layers(
    manifest: &Manifest,
    mut blob: impl FnMut(&str) -> Option<Blob>,
) -> Result<Vec<Layer>, PackageError> {
    let mut layers = Vec::new();
    let artifact =
        manifest.artifact.iter().map(|artifact| (Role::Artifact(manifest.kind), artifact.path.as_str()));
    let documents = manifest.documents().into_iter().map(|named| (Role::Document, named.path.as_str()));
    for (role, path) in std::iter::once((Role::Source, SOURCE)).chain(artifact).chain(documents) {
        let blob = blob(path).ok_or_else(|| PackageError::Shape(format!("`{path}` is not in it")))?;
        layers.push(Layer { role, path: path.to_owned(), blob });
    }
    Ok(layers)
}

/// The manifest of the signature.
pub fn signature_manifest(signature: &Signature) -> Result<Vec<u8>, PackageError> {
    let Signature { envelope, subject } = signature;
    spelled(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ENVELOPE,
        "config": { "mediaType": EMPTY, "digest": Digest::of(NOTHING), "size": NOTHING.len() },
        "layers": [{ "mediaType": ENVELOPE, "digest": envelope.digest, "size": envelope.size }],
        "subject": { "mediaType": MANIFEST, "digest": subject.digest, "size": subject.size },
    }))
}

/// Reads the manifest of the signature.
pub fn signature(bytes: &[u8]) -> Result<Signature, PackageError> {
    let raw: RawManifest = read("manifest", bytes)?;
    let ([envelope], Some(subject)) = (raw.layers.as_slice(), &raw.subject) else {
        return Err(PackageError::Shape("a signature has one envelope and one subject".to_owned()));
    };
    let signature = Signature { envelope: envelope.blob(), subject: subject.blob() };
    same(signature, &signature_manifest(&signature)?, bytes)
}

/// The content of the empty config that a signature's manifest has.
pub const NOTHING: &[u8] = b"{}";

/// What an adapter is signed as.
pub fn release(manifest: &Manifest) -> Result<Release, PackageError> {
    let digest = Digest::of(&canonical(manifest).map_err(|error| PackageError::Shape(error.to_string()))?);
    let Manifest { id, version, release, .. } = manifest;
    Ok(Release { id: id.clone(), version: version.clone(), release: *release, manifest: digest })
}

/// The statement that is to be signed: of the adapter's manifest in the layout.
pub fn statement(release: &Release, packed: Digest) -> Result<Statement, PackageError> {
    let predicate = serde_json::to_value(release).map_err(|error| PackageError::Shape(error.to_string()))?;
    let name = format!("{}@{}", release.id, release.version);
    Ok(Statement::about(&name, packed, PREDICATE, predicate))
}

impl Release {
    /// What is signed of the manifest with this digest, by as many keys as are needed.
    pub fn verify(envelope: &[u8], packed: Digest, keys: &Keys) -> Result<Verified<Release>, Error> {
        Envelope::read(envelope)?
            .verify(IN_TOTO, keys)?
            .try_map(|payload| Release::read(&payload.bytes, packed))
    }

    /// What an envelope says of the manifest with this digest, on nobody's word.
    pub fn unverified(envelope: &Envelope, packed: Digest) -> Result<Release, Error> {
        Release::read(envelope.unverified().1, packed)
    }

    /// Whether it is what was signed.
    pub fn is(&self, found: &Release) -> Result<(), PackageError> {
        let shown = |release: &Release| {
            format!("`{}` {} release {} ({})", release.id, release.version, release.release, release.manifest)
        };
        match self == found {
            true => Ok(()),
            false => Err(PackageError::Differs { signed: shown(self), found: shown(found) }),
        }
    }

    fn read(payload: &[u8], packed: Digest) -> Result<Release, Error> {
        let statement = Statement::read(payload)?;
        if statement.kind != V1 || statement.predicate_type != PREDICATE || statement.subject.len() != 1 {
            let found = statement.predicate_type.clone();
            let hint = "`claw adapter sign` writes it, of one manifest";
            return Err(Error::Unsupported { what: "statement about an adapter", found, hint });
        }
        statement.subject(&Digests { sha256: packed, sha384: None, sha512: None })?;
        serde_json::from_value(statement.predicate)
            .map_err(|error| Error::Json { what: "statement about an adapter", why: error.to_string() })
    }
}

impl Role {
    fn media(self) -> &'static str {
        MEDIA.iter().find(|(role, _)| *role == self).map_or("", |(_, media)| media)
    }

    fn of(media: &str) -> Result<Role, PackageError> {
        let found = MEDIA.iter().find(|(_, known)| *known == media).map(|(role, _)| *role);
        let unknown =
            || PackageError::Shape(format!("the media type `{}` is not known", media.escape_debug()));
        found.ok_or_else(unknown)
    }
}

fn read<T: serde::de::DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, PackageError> {
    if bytes.len() > crate::LARGEST {
        return Err(Error::Large { what, most: crate::LARGEST }.into());
    }
    Ok(claw_verify::json::read(what, bytes)?)
}

fn spelled(value: &serde_json::Value) -> Result<Vec<u8>, PackageError> {
    canonical(value).map_err(|error| PackageError::Shape(error.to_string()))
}

fn same<T>(read: T, again: &[u8], bytes: &[u8]) -> Result<T, PackageError> {
    if again == bytes { Ok(read) } else { Err(PackageError::Spelling) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawIndex {
    #[serde(rename = "schemaVersion")]
    _schema_version: u64,
    #[serde(rename = "mediaType")]
    _media_type: String,
    manifests: Vec<RawDescriptor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawManifest {
    #[serde(rename = "schemaVersion")]
    _schema_version: u64,
    #[serde(rename = "mediaType")]
    _media_type: String,
    #[serde(rename = "artifactType")]
    _artifact_type: String,
    config: RawDescriptor,
    layers: Vec<RawDescriptor>,
    subject: Option<RawDescriptor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawDescriptor {
    media_type: String,
    #[serde(rename = "artifactType")]
    _artifact_type: Option<String>,
    digest: Digest,
    size: u64,
    annotations: Option<RawAnnotations>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnnotations {
    #[serde(rename = "org.opencontainers.image.title")]
    title: String,
}

impl RawDescriptor {
    fn blob(&self) -> Blob {
        Blob { digest: self.digest, size: self.size }
    }
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.claw.adapter.manifest.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
const TITLE: &str = "org.opencontainers.image.title";
const MEDIA: &[(Role, &str)] = &[
    (Role::Source, "application/vnd.claw.adapter.source.v1+toml"),
    (Role::Artifact(Kind::Wasm), "application/wasm"),
    (Role::Artifact(Kind::Process), "application/vnd.claw.adapter.executable.v1"),
    (Role::Document, "application/json"),
];
/// Files of one adapter.
const MOST: usize = 256;

#[cfg(test)]
mod tests;
