//! A layout on disk: its manifest, its signatures, and that every blob the manifest names is what it says.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use claw_model::digest::Digest;
use claw_verify::Error;
use claw_verify::oci::{Choice, Descriptor, Image, named};

use super::{Failure, Held, Question, bounded};
use crate::arguments::Verify;

pub(super) fn verify(layout: &Path, arguments: &Verify, question: &Question) -> Result<Held, Failure> {
    let what = layout.display().to_string();
    let wrong = |source| Failure::Refused { what: format!("`{what}`"), source };
    let mark = document(&layout.join("oci-layout"))?;
    let other =
        |error: claw_image::DocumentError| Error::Malformed { what: "image layout", why: error.to_string() };
    claw_image::layout(&mark).map_err(other).map_err(wrong)?;
    let choice = match (&arguments.tag, arguments.digest) {
        (Some(tag), _) => Choice::Tag(tag.clone()),
        (None, Some(digest)) => Choice::Digest(digest),
        (None, None) => Choice::Only,
    };
    let blobs = |digest: &Digest, most: usize| {
        let mut bytes = Vec::new();
        blob(layout, digest)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let image = Image::find(&document(&layout.join("index.json"))?, &choice, &blobs).map_err(wrong)?;
    let verified = image.verify(question.who()?, &question.trust).map_err(wrong)?;
    let manifest = image.manifest().bytes().unwrap_or_default();
    let mut left = vec![named(manifest).map_err(wrong)?];
    let (mut count, mut seen) = (0_usize, BTreeSet::new());
    while let Some(list) = left.pop() {
        for descriptor in list {
            count = count.saturating_add(1);
            if count > MOST {
                let why = format!("it names more than {MOST} blobs");
                return Err(wrong(Error::Malformed { what: "image layout", why }));
            }
            // What stands in many places is read once; whether it names others is what each place says.
            if !seen.insert((descriptor.digest, descriptor.names())) {
                continue;
            }
            compare(layout, &descriptor).map_err(wrong)?;
            if descriptor.names() {
                let bytes = blobs(&descriptor.digest, LARGEST)
                    .map_err(|error| wrong(missing(&descriptor, &error)))?;
                left.push(named(&bytes).map_err(wrong)?);
            }
        }
    }
    Ok(Held { artifact: image.digest().to_string(), verified, refused: Vec::new() })
}

/// A blob that is signed only by its digest is worth as much as that comparison.
fn compare(layout: &Path, descriptor: &Descriptor) -> Result<(), Error> {
    let found = blob(layout, &descriptor.digest).and_then(|mut file| Digest::of_reader(&mut file));
    let found = found.map_err(|error| missing(descriptor, &error))?;
    if found == descriptor.digest {
        return Ok(());
    }
    Err(Error::Artifact {
        why: format!("the blob {} of the layout has other contents: {found}", descriptor.digest),
    })
}

fn missing(descriptor: &Descriptor, error: &io::Error) -> Error {
    Error::Artifact { why: format!("the blob {} of the layout cannot be read: {error}", descriptor.digest) }
}

/// A document of the layout.
fn document(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |source| Failure::Read { path: path.to_owned(), source };
    bounded(path, regular(path).map_err(failed)?)
}

fn blob(layout: &Path, digest: &Digest) -> io::Result<File> {
    regular(&layout.join("blobs/sha256").join(digest.hex()))
}

/// Opens a regular file, and nothing that a link leads to or that would be waited for: what is asked is what was opened.
fn regular(path: &Path) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    }
}

const MOST: usize = 4096;
const LARGEST: usize = 4 << 20;
