//! The documents of a layout, each a few fields. What the specification lets others add is read over.

use claw_model::digest::Digest;
use serde::Deserialize;

use crate::DocumentError;
use crate::json::read;

/// What a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// An index of manifests.
    Index,
    /// A manifest.
    Manifest,
    /// A config.
    Config,
    /// A layer as it is.
    Tar,
    /// A layer, compressed with gzip.
    TarGzip,
}

/// A blob by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// What it is.
    pub media: Media,
    /// What it contains.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// What it is for, if that is said.
    pub platform: Option<Platform>,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`, and so on.
    pub architecture: String,
    /// `linux`.
    pub os: String,
}

/// Which blobs an image is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its config.
    pub config: Descriptor,
    /// Its layers, the lowest first.
    pub layers: Vec<Descriptor>,
}

/// What an image says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The machine it is for.
    pub platform: Platform,
    /// What the layers contain uncompressed, the lowest first.
    pub diffs: Vec<Digest>,
    /// The search path that it sets.
    pub search: Option<String>,
}

/// Reads the file `oci-layout`: only its version.
pub fn layout(bytes: &[u8]) -> Result<(), DocumentError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        image_layout_version: String,
    }
    let raw: Raw = read(bytes)?;
    match raw.image_layout_version.as_str() {
        "1.0.0" => Ok(()),
        _ => Err(DocumentError::Unknown { what: "the layout version", found: raw.image_layout_version }),
    }
}

/// Reads an index: those of its entries that are images or indexes. Others, such as signatures beside them, are for others.
pub fn index(bytes: &[u8]) -> Result<Vec<Descriptor>, DocumentError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        schema_version: u64,
        media_type: Option<String>,
        manifests: Vec<RawDescriptor>,
    }
    let raw: Raw = read(bytes)?;
    version(raw.schema_version)?;
    is(raw.media_type, Media::Index)?;
    few("manifests", raw.manifests.len(), MOST_MANIFESTS)?;
    let known = raw.manifests.into_iter().filter(|raw| media(&raw.media_type).is_ok());
    known.map(RawDescriptor::judged).collect()
}

/// Reads a manifest.
pub fn manifest(bytes: &[u8]) -> Result<Manifest, DocumentError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        schema_version: u64,
        media_type: Option<String>,
        config: RawDescriptor,
        layers: Vec<RawDescriptor>,
    }
    let raw: Raw = read(bytes)?;
    version(raw.schema_version)?;
    is(raw.media_type, Media::Manifest)?;
    few("layers", raw.layers.len(), MOST_LAYERS)?;
    let config = raw.config.judged()?;
    is(Some(word(config.media).to_owned()), Media::Config)?;
    let layers = raw.layers.into_iter().map(RawDescriptor::judged).collect::<Result<Vec<_>, _>>()?;
    match layers.iter().find(|layer| !matches!(layer.media, Media::Tar | Media::TarGzip)) {
        Some(other) => Err(unknown(word(other.media))),
        None => Ok(Manifest { config, layers }),
    }
}

/// Reads a config, which must speak of as many layers as the manifest.
pub fn config(bytes: &[u8], layers: usize) -> Result<Config, DocumentError> {
    #[derive(Deserialize)]
    struct Raw {
        architecture: String,
        os: String,
        rootfs: RawRoot,
        config: Option<RawInner>,
    }
    #[derive(Deserialize)]
    struct RawRoot {
        #[serde(rename = "type")]
        kind: String,
        diff_ids: Vec<String>,
    }
    #[derive(Deserialize)]
    struct RawInner {
        #[serde(rename = "Env")]
        env: Option<Vec<String>>,
    }
    let raw: Raw = read(bytes)?;
    if raw.rootfs.kind != "layers" {
        return Err(DocumentError::Unknown { what: "the kind of root", found: raw.rootfs.kind });
    }
    if raw.rootfs.diff_ids.len() != layers {
        return Err(DocumentError::Layers { diffs: raw.rootfs.diff_ids.len(), layers });
    }
    let diffs = raw.rootfs.diff_ids.iter().map(|digest| digest.parse()).collect::<Result<Vec<_>, _>>()?;
    let variables = raw.config.and_then(|inner| inner.env).unwrap_or_default();
    let search = variables.iter().rev().find_map(|variable| variable.strip_prefix("PATH="));
    let search =
        search.filter(|path| !path.is_empty() && !path.contains(char::is_control)).map(str::to_owned);
    Ok(Config { platform: Platform { architecture: raw.architecture, os: raw.os }, diffs, search })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

impl RawDescriptor {
    fn judged(self) -> Result<Descriptor, DocumentError> {
        let media = media(&self.media_type)?;
        Ok(Descriptor { media, digest: self.digest.parse()?, size: self.size, platform: self.platform })
    }
}

const MEDIA: &[(Media, &str)] = &[
    (Media::Index, "application/vnd.oci.image.index.v1+json"),
    (Media::Manifest, "application/vnd.oci.image.manifest.v1+json"),
    (Media::Config, "application/vnd.oci.image.config.v1+json"),
    (Media::Tar, "application/vnd.oci.image.layer.v1.tar"),
    (Media::TarGzip, "application/vnd.oci.image.layer.v1.tar+gzip"),
];

fn media(word: &str) -> Result<Media, DocumentError> {
    MEDIA.iter().find(|(_, known)| *known == word).map(|(media, _)| *media).ok_or_else(|| unknown(word))
}

fn word(media: Media) -> &'static str {
    MEDIA.iter().find(|(known, _)| *known == media).map_or("", |(_, word)| word)
}

fn unknown(found: &str) -> DocumentError {
    DocumentError::Unknown { what: "the media type", found: found.to_owned() }
}

/// What a document says of itself must be what it was named as.
fn is(said: Option<String>, expected: Media) -> Result<(), DocumentError> {
    match said {
        Some(said) if said != word(expected) => Err(unknown(&said)),
        _ => Ok(()),
    }
}

fn version(version: u64) -> Result<(), DocumentError> {
    match version {
        2 => Ok(()),
        _ => Err(DocumentError::Unknown { what: "the schema version", found: version.to_string() }),
    }
}

fn few(what: &'static str, count: usize, most: usize) -> Result<(), DocumentError> {
    if count > most { Err(DocumentError::Many { what, count, most }) } else { Ok(()) }
}

const MOST_MANIFESTS: usize = 1024;
const MOST_LAYERS: usize = 256;

#[cfg(test)]
mod tests;
