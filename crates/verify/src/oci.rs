//! cosign's signatures of OCI images and artefacts, in an image layout on disk.
//!
//! What is signed is a manifest. Its signatures stand beside it: as referrers, found by the `subject` of each, by the index
//! that is tagged `sha256-HEX`, and in the older scheme under the tag `sha256-HEX.sig`. A signature of another manifest is no
//! signature of this one, wherever it stands. Names and annotations decide what is read, never what is believed.

mod document;
mod simple;

use std::cell::Cell;

use claw_model::digest::Digest;

pub use document::{Descriptor, named};

use crate::artifact::Artifact;
use crate::sigstore::{Attested, Bundle, Trust, Who};
use crate::{Error, Verified};
use document::{Manifest, document};

/// Reads a blob of the layout, no longer than this; whoever implements it need not compare the digest.
pub type Blobs<'a> = dyn Fn(&Digest, usize) -> std::io::Result<Vec<u8>> + 'a;

/// Which manifest of the layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The only one.
    Only,
    /// The one with this tag.
    Tag(String),
    /// This one.
    Digest(Digest),
}

/// A manifest and what was found that may be a signature of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    digest: Digest,
    manifest: Artifact,
    found: Vec<Found>,
}

#[derive(Debug, Clone, PartialEq)]
enum Found {
    Bundle(Digest, Vec<u8>),
    Simple(Box<simple::Signed>),
}

impl Image {
    /// Finds a manifest in the layout's `index.json`, and its signatures.
    pub fn find(index: &[u8], choice: &Choice, blobs: &Blobs<'_>) -> Result<Image, Error> {
        let index: Manifest = document("index of the layout", index)?;
        let all = index.manifests;
        if all.len() > MOST {
            return Err(malformed(format!("it lists {} manifests, more than {MOST}", all.len())));
        }
        let blobs = Reader { blobs, left: Cell::new(ALL) };
        let chosen = choose(&all, choice, &blobs)?;
        chosen.must_name()?;
        let digest = chosen.digest;
        let bytes = blobs.read(chosen, LARGEST)?;
        let mut image = Image { digest, manifest: Artifact::of(&bytes), found: Vec::new() };
        let tag = format!("sha256-{}", digest.hex());
        let mut beside = Once::default();
        let (mut indexes, mut older, mut layers) = (Once::default(), Once::default(), Layers::default());
        for descriptor in &all {
            match descriptor.tag() {
                Some(name) if name == tag => {
                    if !indexes.add(descriptor)? {
                        continue;
                    }
                    let bytes = blobs.read(descriptor, LARGEST)?;
                    let index: Manifest = document("index of referrers", &bytes)?;
                    for descriptor in &index.manifests {
                        beside.add(descriptor)?;
                    }
                }
                Some(name) if name.strip_suffix(".sig") == Some(&tag) => {
                    if !older.add(descriptor)? {
                        continue;
                    }
                    let bytes = blobs.read(descriptor, LARGEST)?;
                    let manifest: Manifest = document("signature manifest", &bytes)?;
                    for layer in manifest.layers.iter().filter(|layer| layer.media_type == simple::MEDIA) {
                        if layers.add(layer)? {
                            let payload = blobs.read(layer, LARGEST_PAYLOAD)?;
                            let signed = simple::Signed::of(layer, payload)?;
                            image.found.push(Found::Simple(Box::new(signed)));
                        }
                    }
                }
                _ if descriptor.digest != digest => {
                    beside.add(descriptor)?;
                }
                _ => {}
            }
        }
        for descriptor in &beside.0 {
            image.refers(descriptor, &blobs, &mut layers)?;
        }
        Ok(image)
    }

    /// A manifest that says it is about this one, and carries bundles.
    fn refers(
        &mut self,
        descriptor: &Descriptor,
        blobs: &Reader<'_>,
        layers: &mut Layers,
    ) -> Result<(), Error> {
        let bytes = blobs.read(descriptor, LARGEST)?;
        let Ok(manifest) = document::<Manifest>("referrer", &bytes) else { return Ok(()) };
        if manifest.subject.map(|subject| subject.digest) != Some(self.digest) {
            return Ok(());
        }
        for layer in manifest.layers.iter().filter(|layer| layer.media_type.starts_with(BUNDLE)) {
            let read =
                self.found.iter().any(|found| matches!(found, Found::Bundle(of, _) if *of == layer.digest));
            if !read && layers.add(layer)? {
                self.found.push(Found::Bundle(layer.digest, blobs.read(layer, LARGEST)?));
            }
        }
        Ok(())
    }

    /// The manifest's digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The manifest.
    pub fn manifest(&self) -> &Artifact {
        &self.manifest
    }

    /// How many signatures stand beside it, of whomever.
    pub fn signatures(&self) -> usize {
        self.found.len()
    }

    /// What was verified of it: at least one signature, by those who are asked. Beside them may stand others' signatures; why
    /// they do not count is told if none does.
    pub fn verify(&self, who: Who<'_>, trust: &Trust) -> Result<Vec<Verified<Attested>>, Error> {
        let mut verified = Vec::new();
        let why = format!("no signature of {} is in the layout", self.digest);
        let mut last = Error::Stranger { who: "nobody".to_owned(), why };
        for found in &self.found {
            let one = match found {
                Found::Bundle(_, bytes) => {
                    Bundle::read(bytes).and_then(|bundle| bundle.verify(&self.manifest, who, trust))
                }
                Found::Simple(signed) => signed.verify(self.digest, who, trust),
            };
            match one {
                Ok(one) => verified.push(one),
                Err(error) => last = error,
            }
        }
        if verified.is_empty() { Err(last) } else { Ok(verified) }
    }
}

fn choose<'a>(all: &'a [Descriptor], choice: &Choice, blobs: &Reader<'_>) -> Result<&'a Descriptor, Error> {
    let none = |why: &str| Error::Trust { what: "choice of a manifest", why: why.to_owned() };
    match choice {
        Choice::Digest(digest) => all
            .iter()
            .find(|descriptor| descriptor.digest == *digest)
            .ok_or_else(|| none("the layout has no such digest")),
        Choice::Tag(tag) => {
            let mut tagged = all.iter().filter(|descriptor| descriptor.tag() == Some(tag));
            match (tagged.next(), tagged.next()) {
                (Some(one), None) => Ok(one),
                (None, _) => Err(none("the layout has no such tag")),
                _ => Err(none("the tag stands twice; hint: name the digest")),
            }
        }
        Choice::Only => {
            let mut images = Vec::new();
            let mut seen = Once::default();
            for descriptor in all.iter().filter(|descriptor| !descriptor.is_beside(all)) {
                if !seen.add(descriptor)? {
                    continue;
                }
                let manifest = document::<Manifest>("manifest", &blobs.read(descriptor, LARGEST)?)?;
                if !manifest.is_about_another() {
                    images.push(descriptor);
                }
            }
            match images.as_slice() {
                [one] => Ok(one),
                [] => Err(none("the layout has no manifest but signatures")),
                _ => Err(none("the layout has more than one manifest; hint: name the digest or the tag")),
            }
        }
    }
}

/// Reads blobs, so many bytes in all.
struct Reader<'a> {
    blobs: &'a Blobs<'a>,
    left: Cell<usize>,
}

impl Reader<'_> {
    /// A blob, if it is the one that is named.
    fn read(&self, descriptor: &Descriptor, most: usize) -> Result<Vec<u8>, Error> {
        let digest = descriptor.digest;
        if descriptor.size > most as u64 {
            return Err(malformed(format!("{digest} has more than {most} bytes")));
        }
        let bytes = (self.blobs)(&digest, most)
            .map_err(|error| malformed(format!("{digest} cannot be read: {error}")))?;
        if bytes.len() as u64 != descriptor.size || Digest::of(&bytes) != digest {
            let why = format!("the blob {digest} of the layout has other contents: {}", Digest::of(&bytes));
            return Err(Error::Artifact { why });
        }
        let left = self.left.get().checked_sub(bytes.len());
        self.left.set(left.ok_or_else(|| {
            malformed(format!("its manifests and signatures have more than {ALL} bytes together"))
        })?);
        Ok(bytes)
    }
}

/// Manifests, each digest once and no more than are looked at.
#[derive(Default)]
struct Once(Vec<Descriptor>);

impl Once {
    /// Whether it was not there.
    fn add(&mut self, descriptor: &Descriptor) -> Result<bool, Error> {
        if self.0.iter().any(|one| one.digest == descriptor.digest) {
            return Ok(false);
        }
        room(self.0.len())?;
        self.0.push(descriptor.clone());
        Ok(true)
    }
}

/// Layers that carry signatures. In the older scheme one payload has many, told apart by their annotations.
#[derive(Default)]
struct Layers(Vec<Descriptor>);

impl Layers {
    fn add(&mut self, layer: &Descriptor) -> Result<bool, Error> {
        if self.0.contains(layer) {
            return Ok(false);
        }
        room(self.0.len())?;
        self.0.push(layer.clone());
        Ok(true)
    }
}

fn room(taken: usize) -> Result<(), Error> {
    if taken < MOST {
        return Ok(());
    }
    Err(malformed(format!("more than {MOST} manifests or signatures stand beside the one")))
}

fn malformed(why: String) -> Error {
    Error::Malformed { what: "image layout", why }
}

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
const MOST: usize = 256;
const LARGEST: usize = 4 << 20;
/// A payload of cosign's older scheme is a few hundred bytes.
const LARGEST_PAYLOAD: usize = 64 << 10;
const ALL: usize = 64 << 20;

#[cfg(test)]
mod tests;
