//! cosign's signatures of OCI images and artefacts, in an image layout on disk.
//!
//! What is signed is a manifest. Its signatures stand beside it: as referrers, found by the `subject` of each, by the index
//! that is tagged `sha256-HEX`, and in the older scheme under the tag `sha256-HEX.sig`. A signature of another manifest is no
//! signature of this one, wherever it stands. Names and annotations decide what is read, never what is believed.

mod document;
mod simple;

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
    Bundle(Vec<u8>),
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
        let chosen = choose(&all, choice, blobs)?;
        let digest = chosen.digest;
        let bytes = read(chosen, blobs)?;
        let mut image = Image { digest, manifest: Artifact::of(&bytes), found: Vec::new() };
        let tag = format!("sha256-{}", digest.hex());
        let mut beside: Vec<Descriptor> = Vec::new();
        for descriptor in &all {
            match descriptor.tag() {
                Some(name) if name == tag => {
                    let index: Manifest = document("index of referrers", &read(descriptor, blobs)?)?;
                    beside.extend(index.manifests.into_iter().take(MOST));
                }
                Some(name) if name.strip_suffix(".sig") == Some(&tag) => {
                    let manifest: Manifest = document("signature manifest", &read(descriptor, blobs)?)?;
                    for layer in manifest.layers.iter().take(MOST) {
                        if layer.media_type == simple::MEDIA {
                            let payload = read(layer, blobs)?;
                            image.found.push(Found::Simple(Box::new(simple::Signed::of(layer, payload)?)));
                        }
                    }
                }
                _ if descriptor.digest != digest => beside.push(descriptor.clone()),
                _ => {}
            }
        }
        for descriptor in &beside {
            image.refers(descriptor, blobs)?;
        }
        Ok(image)
    }

    /// A manifest that says it is about this one, and carries bundles.
    fn refers(&mut self, descriptor: &Descriptor, blobs: &Blobs<'_>) -> Result<(), Error> {
        let Ok(manifest) = document::<Manifest>("referrer", &read(descriptor, blobs)?) else { return Ok(()) };
        if manifest.subject.map(|subject| subject.digest) != Some(self.digest) {
            return Ok(());
        }
        for layer in manifest.layers.iter().filter(|layer| layer.media_type.starts_with(BUNDLE)).take(MOST) {
            let bundle = Found::Bundle(read(layer, blobs)?);
            if self.found.len() < MOST && !self.found.contains(&bundle) {
                self.found.push(bundle);
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
                Found::Bundle(bytes) => {
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

fn choose<'a>(all: &'a [Descriptor], choice: &Choice, blobs: &Blobs<'_>) -> Result<&'a Descriptor, Error> {
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
            for descriptor in all.iter().filter(|descriptor| !descriptor.is_beside()) {
                let manifest = document::<Manifest>("manifest", &read(descriptor, blobs)?)?;
                if manifest.subject.is_none()
                    && !images.iter().any(|one: &&Descriptor| one.digest == descriptor.digest)
                {
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

/// A blob, if it is the one that is named.
fn read(descriptor: &Descriptor, blobs: &Blobs<'_>) -> Result<Vec<u8>, Error> {
    let digest = descriptor.digest;
    if descriptor.size > LARGEST as u64 {
        return Err(malformed(format!("{digest} has more than {LARGEST} bytes")));
    }
    let bytes =
        blobs(&digest, LARGEST).map_err(|error| malformed(format!("{digest} cannot be read: {error}")))?;
    if bytes.len() as u64 != descriptor.size || Digest::of(&bytes) != digest {
        let why = format!("the blob {digest} of the layout has other contents: {}", Digest::of(&bytes));
        return Err(Error::Artifact { why });
    }
    Ok(bytes)
}

fn malformed(why: String) -> Error {
    Error::Malformed { what: "image layout", why }
}

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
const MOST: usize = 256;
const LARGEST: usize = 4 << 20;

#[cfg(test)]
mod tests;
