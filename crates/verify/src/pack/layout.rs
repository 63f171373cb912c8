//! Which archive must be, given what was approved. Who writes one and who reads one compute the same.

use std::collections::{BTreeMap, BTreeSet};

use claw_model::digest::Digest;
use serde::Serialize;

use crate::json;
use crate::pack::format::{BLOBS, INDEX, LAYOUT, LONGEST, TARGETS, TUF, is_plain};
use crate::pack::verify::{REVOCATIONS, TRUST_ROOT};
use crate::pack::{About, Flaw, Kind, PackError};
use crate::tuf::{Files, Trusted, TufError};

/// One approved target that is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// What the approval says of it.
    pub about: About,
    /// Its bytes.
    pub size: u64,
    /// What it contains.
    pub digest: Digest,
}

impl Item {
    /// A target as it is approved.
    pub fn of(trusted: &mut Trusted, name: &str) -> Result<Item, PackError> {
        let target = trusted.target(name)?;
        let about = About::read(&target)?;
        let why = "its approval has no SHA-256".to_owned();
        let digest = target.sha256().ok_or(PackError::About { name: target.path.clone(), why })?;
        Ok(Item { name: target.path, about, size: target.length, digest })
    }

    /// The targets that are carried for these artefacts: themselves, what belongs to them, and what every pack has.
    pub fn all(trusted: &mut Trusted, names: &[String]) -> Result<Vec<Item>, PackError> {
        let mut items = Vec::new();
        for name in names {
            let item = Item::of(trusted, name)?;
            if !item.about.kind.is_artefact() {
                return Err(PackError::About { name: item.name, why: "it is no artefact".to_owned() });
            }
            items.push(item);
        }
        if items.is_empty() {
            return Err(PackError::Empty);
        }
        let mut listed: BTreeSet<String> = BTreeSet::from([REVOCATIONS.to_owned(), TRUST_ROOT.to_owned()]);
        listed.extend(trusted.listed());
        for name in listed {
            let item = match Item::of(trusted, &name) {
                // a role may list what it may not; then nobody lists it
                Err(PackError::Tuf(TufError::NoTarget { .. })) => continue,
                other => other?,
            };
            let belongs = item.about.of.as_ref().is_some_and(|of| names.contains(of));
            let special = matches!(item.about.kind, Kind::TrustRoot | Kind::Revocations);
            if belongs || special {
                items.push(item);
            }
        }
        match clash(items.iter().map(|item| item.name.as_str())) {
            Some(name) => {
                Err(PackError::Name { name, why: "another name goes on below it: it cannot be a file too" })
            }
            None => Ok(items),
        }
    }
}

/// The first name that would be a file and a directory.
pub(crate) fn clash<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: BTreeSet<&str> = names.collect();
    let above = |name: &&str| {
        name.match_indices('/').any(|(at, _)| name.get(..at).is_some_and(|above| names.contains(above)))
    };
    let below = names.iter().find(|name| above(name))?;
    let file =
        below.match_indices('/').filter_map(|(at, _)| below.get(..at)).find(|above| names.contains(above));
    file.map(str::to_owned)
}

/// One entry of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// What it contains.
    pub content: Content,
}

/// What an entry contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What has this digest.
    Blob(Digest),
}

impl Content {
    /// Its digest.
    pub fn digest(&self) -> Digest {
        match self {
            Content::Bytes(bytes) => Digest::of(bytes),
            Content::Blob(digest) => *digest,
        }
    }
}

/// Every entry but the last, sorted. `document` yields manifests of image layouts by digest.
pub fn parts(
    items: &[Item],
    metadata: &Files,
    document: &dyn Fn(&Digest) -> Option<Vec<u8>>,
) -> Result<Vec<Part>, PackError> {
    let mut items = items.to_vec();
    items.sort_by(|one, other| one.name.cmp(&other.name));
    let mut parts = Parts { parts: BTreeMap::new(), index: Vec::new(), document };
    parts.bytes(LAYOUT.to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
    for (name, bytes) in metadata.iter() {
        parts.bytes(below(TUF, name)?, bytes.to_vec());
    }
    for item in &items {
        if !item.name.split('/').all(is_plain) {
            let why = "between slashes, a name has letters, digits and -_.~%, and no dot first";
            return Err(PackError::Name { name: item.name.clone(), why });
        }
    }
    let mut subjects = BTreeMap::new();
    for item in items.iter().filter(|item| item.about.kind.is_artefact()) {
        let descriptor = match item.about.kind {
            Kind::Manifest => parts.tree(item.digest, item.size, item.about.media(), DEEPEST)?,
            _ => parts.wrapped(item, None)?,
        };
        subjects.insert(item.name.as_str(), descriptor.clone());
        let named = Annotations { name: Some(item.name.clone()), title: None };
        parts.index.push(Descriptor { annotations: Some(named), ..descriptor });
    }
    for item in items.iter().filter(|item| item.about.kind.is_attached()) {
        let of = item.about.of.as_deref().unwrap_or_default();
        let Some(subject) = subjects.get(of) else {
            return Err(Flaw::Missing { name: of.to_owned() }.into());
        };
        let bare = Descriptor { artifact: None, ..subject.clone() };
        let descriptor = parts.wrapped(item, Some(bare))?;
        parts.index.push(descriptor);
    }
    for item in &items {
        if matches!(item.about.kind, Kind::TrustRoot | Kind::Revocations) {
            let name = below(TARGETS, &item.name)?;
            parts.part(name, item.size, Content::Blob(item.digest));
        }
    }
    let index = Index { version: 2, media: INDEX_MEDIA, manifests: std::mem::take(&mut parts.index) };
    parts.bytes(INDEX.to_owned(), text(&index));
    Ok(parts.parts.into_values().collect())
}

/// Names of the artefacts that an index speaks of, on nobody's word.
pub(super) fn named(index: &[u8]) -> Result<Vec<String>, PackError> {
    let wrong = |why: String| Flaw::Document { name: INDEX.to_owned(), why };
    let value = json::value("index", index).map_err(|error| wrong(error.to_string()))?;
    let manifests = value.get("manifests").and_then(|list| list.as_array());
    let manifests = manifests.ok_or_else(|| wrong("it lists no manifests".to_owned()))?;
    let name = |manifest: &serde_json::Value| {
        let name = manifest.get("annotations")?.get(REF_NAME)?;
        name.as_str().map(str::to_owned)
    };
    let mut names: Vec<String> = manifests.iter().filter_map(name).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

struct Parts<'a> {
    parts: BTreeMap<String, Part>,
    index: Vec<Descriptor>,
    document: &'a dyn Fn(&Digest) -> Option<Vec<u8>>,
}

impl Parts<'_> {
    fn part(&mut self, name: String, size: u64, content: Content) {
        self.parts.insert(name.clone(), Part { name, size, content });
    }

    fn bytes(&mut self, name: String, bytes: Vec<u8>) {
        self.part(name, bytes.len() as u64, Content::Bytes(bytes));
    }

    fn blob(&mut self, digest: Digest, size: u64) {
        let name = format!("{BLOBS}{}", digest.hex());
        // what is held as bytes already is the same
        self.parts.entry(name.clone()).or_insert(Part { name, size, content: Content::Blob(digest) });
    }

    /// A file in a manifest of its own.
    fn wrapped(&mut self, item: &Item, subject: Option<Descriptor>) -> Result<Descriptor, PackError> {
        let kind = match item.about.kind {
            Kind::Artefact => ARTEFACT,
            _ => item.about.media(),
        };
        let config = Descriptor::of(EMPTY_MEDIA, Digest::of(EMPTY), EMPTY.len() as u64);
        let title = Annotations { name: None, title: Some(item.name.clone()) };
        let layer = Descriptor {
            annotations: Some(title),
            ..Descriptor::of(item.about.media(), item.digest, item.size)
        };
        let manifest = Manifest {
            version: 2,
            media: MANIFEST_MEDIA,
            artifact: kind.to_owned(),
            config,
            layers: vec![layer],
            subject,
        };
        let bytes = text(&manifest);
        let digest = Digest::of(&bytes);
        let descriptor = Descriptor {
            artifact: Some(kind.to_owned()),
            ..Descriptor::of(MANIFEST_MEDIA, digest, bytes.len() as u64)
        };
        self.blob(item.digest, item.size);
        self.bytes(format!("{BLOBS}{}", Digest::of(EMPTY).hex()), EMPTY.to_vec());
        self.bytes(format!("{BLOBS}{}", digest.hex()), bytes);
        Ok(descriptor)
    }

    /// A manifest or index of somebody else, and all below it.
    fn tree(&mut self, digest: Digest, size: u64, media: &str, left: usize) -> Result<Descriptor, PackError> {
        let name = format!("{BLOBS}{}", digest.hex());
        let wrong = |why: &str| Flaw::Document { name: name.clone(), why: why.to_owned() };
        let left = left.checked_sub(1).ok_or_else(|| wrong("indexes nest too deep"))?;
        let bytes = (self.document)(&digest).ok_or_else(|| Flaw::Missing { name: name.clone() })?;
        let value = json::value("manifest", &bytes).map_err(|error| wrong(&error.to_string()))?;
        self.blob(digest, size);
        let list = |key: &str| value.get(key).and_then(|list| list.as_array()).cloned().unwrap_or_default();
        let config = value.get("config").cloned();
        for child in config.into_iter().chain(list("layers")) {
            let (_, digest, size) = child_of(&child).ok_or_else(|| wrong("a descriptor is not one"))?;
            self.blob(digest, size);
        }
        for child in list("manifests") {
            let (media, digest, size) = child_of(&child).ok_or_else(|| wrong("a descriptor is not one"))?;
            self.tree(digest, size, &media, left)?;
        }
        let artifact = value.get("artifactType").and_then(|kind| kind.as_str()).map(str::to_owned);
        Ok(Descriptor { artifact, ..Descriptor::of(media, digest, size) })
    }
}

fn child_of(child: &serde_json::Value) -> Option<(String, Digest, u64)> {
    let text = |key: &str| child.get(key).and_then(|value| value.as_str());
    let size = child.get("size").and_then(|size| size.as_u64())?;
    Some((text("mediaType")?.to_owned(), text("digest")?.parse().ok()?, size))
}

fn below(directory: &str, name: &str) -> Result<String, PackError> {
    let path = format!("{directory}{name}");
    match is_plain(name) && path.len() <= LONGEST {
        true => Ok(path),
        false => {
            let why = "a name here has letters, digits and -_.~%, and at most 90 of them";
            Err(PackError::Name { name: name.to_owned(), why })
        }
    }
}

fn text(value: &impl Serialize) -> Vec<u8> {
    // structs of texts and numbers cannot fail, and have one order
    serde_json::to_vec(value).unwrap_or_default()
}

#[derive(Serialize)]
struct Index {
    #[serde(rename = "schemaVersion")]
    version: u32,
    #[serde(rename = "mediaType")]
    media: &'static str,
    manifests: Vec<Descriptor>,
}

#[derive(Serialize)]
struct Manifest {
    #[serde(rename = "schemaVersion")]
    version: u32,
    #[serde(rename = "mediaType")]
    media: &'static str,
    #[serde(rename = "artifactType")]
    artifact: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Descriptor>,
}

#[derive(Debug, Clone, Serialize)]
struct Descriptor {
    #[serde(rename = "mediaType")]
    media: String,
    digest: Digest,
    size: u64,
    #[serde(rename = "artifactType", skip_serializing_if = "Option::is_none")]
    artifact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Annotations>,
}

#[derive(Debug, Clone, Serialize)]
struct Annotations {
    #[serde(rename = "org.opencontainers.image.ref.name", skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "org.opencontainers.image.title", skip_serializing_if = "Option::is_none")]
    title: Option<String>,
}

impl Descriptor {
    fn of(media: &str, digest: Digest, size: u64) -> Descriptor {
        Descriptor { media: media.to_owned(), digest, size, artifact: None, annotations: None }
    }
}

const INDEX_MEDIA: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_MEDIA: &str = "application/vnd.oci.image.manifest.v1+json";
const EMPTY_MEDIA: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &[u8] = b"{}";
const ARTEFACT: &str = "application/vnd.claw.artefact.v1";
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Indexes inside each other.
const DEEPEST: usize = 4;
