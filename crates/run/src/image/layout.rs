//! From a layout and a digest to one image for this machine, its documents confirmed.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use claw_image::{Config, Descriptor, LARGEST, Manifest, Media};
use claw_model::digest::Digest;
use claw_sys::below::{self, Open};
use claw_sys::mount;

use super::{RootError, system};

/// An image that is to be unpacked.
pub(super) struct Image {
    /// The manifest's.
    pub(super) digest: Digest,
    pub(super) search: Option<String>,
    /// Each with what it contains uncompressed, the lowest first.
    pub(super) layers: Vec<(Descriptor, Digest)>,
    directory: OwnedFd,
    path: PathBuf,
}

impl Image {
    /// Reads the documents. The digest is that of a manifest, or of an index with a manifest for this machine.
    pub(super) fn open(path: &Path, digest: &Digest) -> Result<Image, RootError> {
        let directory = mount::place(path).map_err(system(path))?;
        let mut image =
            Image { digest: *digest, search: None, layers: Vec::new(), directory, path: path.to_owned() };
        let wrong = |place: String| move |source| RootError::Document { place, source };
        let bytes = image.document(Path::new("oci-layout"))?;
        claw_image::layout(&bytes).map_err(wrong("`oci-layout`".to_owned()))?;
        let bytes = image.document(Path::new("index.json"))?;
        let named = claw_image::index(&bytes).map_err(wrong("`index.json`".to_owned()))?;
        let mut descriptor = match named.iter().find(|descriptor| descriptor.digest == *digest) {
            Some(descriptor) => descriptor.clone(),
            None => return Err(not_named(digest, &named)),
        };
        for _ in 0..DEEPEST {
            if descriptor.media != Media::Index {
                break;
            }
            let bytes = image.blob_document(&descriptor)?;
            let all = claw_image::index(&bytes).map_err(wrong(format!("index {}", descriptor.digest)))?;
            descriptor = for_this_machine(all)?;
        }
        if descriptor.media != Media::Manifest {
            let why = "it is no manifest".to_owned();
            return Err(RootError::Blob { digest: descriptor.digest, why });
        }
        image.digest = descriptor.digest;
        let bytes = image.blob_document(&descriptor)?;
        let Manifest { config, layers } =
            claw_image::manifest(&bytes).map_err(wrong(format!("manifest {}", descriptor.digest)))?;
        let bytes = image.blob_document(&config)?;
        let Config { platform, diffs, search } =
            claw_image::config(&bytes, layers.len()).map_err(wrong(format!("config {}", config.digest)))?;
        if (platform.os.as_str(), platform.architecture.as_str()) != own() {
            let found = format!("{}/{}", platform.os, platform.architecture);
            return Err(foreign(found));
        }
        image.search = search;
        image.layers = layers.into_iter().zip(diffs).collect();
        Ok(image)
    }

    /// A blob, with its size and digest confirmed, from its start.
    pub(super) fn blob(&self, Descriptor { digest, size, .. }: &Descriptor) -> Result<File, RootError> {
        let wrong = |why: String| RootError::Blob { digest: *digest, why };
        let place = Path::new("blobs/sha256").join(digest.hex());
        let mut file = self.open_file(&place).map_err(|error| wrong(why(&error)))?;
        let length = file.metadata().map_err(|error| wrong(error.to_string()))?.len();
        if length != *size {
            return Err(wrong(format!("it has {length} bytes, not {size}")));
        }
        let found =
            Digest::of_reader(&mut (&mut file).take(*size)).map_err(|error| wrong(error.to_string()))?;
        if found != *digest {
            return Err(wrong(format!("its content has the digest {found}")));
        }
        file.rewind().map_err(|error| wrong(error.to_string()))?;
        Ok(file)
    }

    /// The same for a document: what is confirmed is what is read.
    fn blob_document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, RootError> {
        let digest = descriptor.digest;
        let bytes = self.document(&Path::new("blobs/sha256").join(digest.hex()))?;
        let length = bytes.len() as u64;
        if length != descriptor.size {
            let why = format!("it has {length} bytes, not {}", descriptor.size);
            return Err(RootError::Blob { digest, why });
        }
        match Digest::of(&bytes) {
            found if found == digest => Ok(bytes),
            found => Err(RootError::Blob { digest, why: format!("its content has the digest {found}") }),
        }
    }

    fn document(&self, name: &Path) -> Result<Vec<u8>, RootError> {
        let path = self.path.join(name);
        let mut bytes = Vec::new();
        let most = (LARGEST as u64).saturating_add(1);
        let read = self.open_file(name).and_then(|file| file.take(most).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(bytes),
            Err(error) => Err(RootError::Unusable { path, why: why(&error) }),
        }
    }

    /// A regular file of the layout; no link is followed.
    fn open_file(&self, name: &Path) -> io::Result<File> {
        let file = File::from(below::open(self.directory.as_fd(), name, Open::Read)?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
    }
}

fn for_this_machine(all: Vec<Descriptor>) -> Result<Descriptor, RootError> {
    let fits = |descriptor: &Descriptor| {
        let platform = descriptor.platform.as_ref();
        platform.is_some_and(|platform| (platform.os.as_str(), platform.architecture.as_str()) == own())
    };
    let names = |descriptor: &Descriptor| match &descriptor.platform {
        Some(platform) => format!("{}/{}", platform.os, platform.architecture),
        None => "an unnamed platform".to_owned(),
    };
    let found: Vec<String> = all.iter().take(SHOWN).map(names).collect();
    all.into_iter().find(fits).ok_or_else(|| foreign(found.join(", ")))
}

fn foreign(found: String) -> RootError {
    let (os, architecture) = own();
    let found = if found.is_empty() { "no platform".to_owned() } else { found };
    RootError::Foreign { found, own: format!("{os}/{architecture}") }
}

fn not_named(digest: &Digest, named: &[Descriptor]) -> RootError {
    let all: Vec<String> = named.iter().take(SHOWN).map(|descriptor| descriptor.digest.to_string()).collect();
    let named = if all.is_empty() { "nothing".to_owned() } else { all.join(", ") };
    RootError::NotNamed { digest: *digest, named }
}

/// This machine, in the words of the specification (those of Go).
fn own() -> (&'static str, &'static str) {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    ("linux", architecture)
}

fn why(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ELOOP) => "it is, or lies behind, a symbolic link".to_owned(),
        Some(libc::ENOENT) => "it is not there".to_owned(),
        _ => error.to_string(),
    }
}

/// Indexes in indexes.
const DEEPEST: usize = 4;
/// Names in a message.
const SHOWN: usize = 5;
