//! Files that become a pack: small ones read whole, artefacts opened when their turn comes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use claw_model::digest::Digest;
use claw_verify::json;
use claw_verify::pack::{Item, Kind, LARGEST_DOCUMENT};
use claw_verify::tuf::Files;

use crate::arguments::Named;
use crate::command::bundle::failed;
use crate::print;

/// A file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::command) enum FileError {
    /// It cannot be opened or read.
    #[error("cannot read `{path}`")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is too large.
    #[error("`{path}` has more than {LARGEST_DOCUMENT} bytes")]
    Large { path: PathBuf },
    /// It is not what was approved.
    #[error("`{path}` is {found}, and `{name}` is approved as {approved}")]
    Other { path: PathBuf, name: String, found: Digest, approved: Digest },
    /// Something that is carried along is not named.
    #[error("`{name}` belongs into the pack, and no file is named for it")]
    Missing { name: String },
    /// Not an image layout with one manifest.
    #[error("`{path}` is no image layout with one manifest: {why}")]
    Layout { path: PathBuf, why: String },
    /// A name for a file that is not carried.
    #[error("`{name}` is named, and does not belong into the pack")]
    Surplus { name: String },
}

impl FileError {
    pub(in crate::command) fn of(path: &Path, source: io::Error) -> FileError {
        FileError::Io { path: path.to_owned(), source }
    }
}

/// Reads a small file.
pub(in crate::command) fn small(path: &Path) -> Result<Vec<u8>, u8> {
    read(path).map_err(|error| failed(&error, None))
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let wrong = |source| FileError::of(path, source);
    let file = File::open(path).map_err(wrong)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_DOCUMENT.saturating_add(1)).read_to_end(&mut bytes).map_err(wrong)?;
    match bytes.len() as u64 > LARGEST_DOCUMENT {
        true => Err(FileError::Large { path: path.to_owned() }),
        false => Ok(bytes),
    }
}

/// The metadata files of a repository.
pub(in crate::command) fn repository(metadata: &Path) -> Result<Files, u8> {
    let mut files = Files::new();
    for name in names(metadata).map_err(|error| failed(&error, None))? {
        if name.ends_with(".json") {
            let bytes = small(&metadata.join(&name))?;
            files.add(&name, bytes).map_err(|error| failed(&error, error.hint()))?;
        }
    }
    Ok(files)
}

/// The names of the regular files in a directory, sorted.
pub(in crate::command) fn names(directory: &Path) -> Result<Vec<String>, FileError> {
    let wrong = |source| FileError::of(directory, source);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        if entry.file_type().map_err(wrong)?.is_file()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Where the bytes of each digest are.
pub(super) struct Sources {
    paths: BTreeMap<Digest, PathBuf>,
}

impl Sources {
    /// Finds the bytes of each item: among the files that were named, or below the keyring's `targets/`.
    pub(super) fn find(keyring: &Path, named: &[Named], items: &[Item]) -> Result<Sources, u8> {
        let mut sources = Sources { paths: BTreeMap::new() };
        let found = sources.fill(keyring, named, items);
        found.map(|()| sources).map_err(|error| failed(&error, None))
    }

    fn fill(&mut self, keyring: &Path, named: &[Named], items: &[Item]) -> Result<(), FileError> {
        if let Some(other) = named.iter().find(|one| !items.iter().any(|item| item.name == one.name)) {
            return Err(FileError::Surplus { name: other.name.clone() });
        }
        for item in items {
            let given = named.iter().find(|one| one.name == item.name);
            let path = match given {
                Some(given) if item.about.kind == Kind::Manifest => {
                    self.layout(&given.path)?;
                    given.path.join("blobs/sha256").join(item.digest.hex())
                }
                Some(given) => given.path.clone(),
                None => {
                    let kept = keyring.join("targets").join(format!("{}.{}", item.digest.hex(), item.name));
                    kept.is_file().then_some(kept).ok_or(FileError::Missing { name: item.name.clone() })?
                }
            };
            let (found, _) = sum(&path)?;
            if found != item.digest {
                let (name, approved) = (item.name.clone(), item.digest);
                return Err(FileError::Other { path, name, found, approved });
            }
            self.paths.insert(item.digest, path);
        }
        Ok(())
    }

    fn layout(&mut self, directory: &Path) -> Result<(), FileError> {
        let blobs = directory.join("blobs/sha256");
        for name in names(&blobs)? {
            if let Ok(digest) = format!("sha256:{name}").parse() {
                self.paths.insert(digest, blobs.join(name));
            }
        }
        Ok(())
    }

    /// A small document by its digest.
    pub(super) fn document(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.paths.get(digest).and_then(|path| read(path).ok())
    }

    /// The bytes of a digest. They are compared with it while they are packed.
    pub(super) fn open(&self, digest: &Digest) -> io::Result<Box<dyn Read>> {
        let path = self.paths.get(digest).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(io::BufReader::with_capacity(1 << 18, Watched::open(path)?)))
    }
}

/// A file that is read for long says how far it is.
pub(in crate::command) struct Watched {
    file: File,
    path: PathBuf,
    done: u64,
    whole: u64,
    said: Instant,
}

impl Watched {
    pub(in crate::command) fn open(path: &Path) -> io::Result<Watched> {
        let file = File::open(path)?;
        let whole = file.metadata()?.len();
        Ok(Watched { file, path: path.to_owned(), done: 0, whole, said: Instant::now() })
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.done = self.done.saturating_add(length as u64);
        if self.said.elapsed() >= PATIENCE {
            let (done, whole) = (self.done >> 20, self.whole >> 20);
            print::say(&print::plain(&format!("claw: {}: {done} of {whole} MiB", self.path.display())));
            self.said = Instant::now();
        }
        Ok(length)
    }
}

/// How long nothing is said.
const PATIENCE: Duration = Duration::from_secs(2);

/// Digest and length of a file.
pub(in crate::command) fn sum(path: &Path) -> Result<(Digest, u64), FileError> {
    let wrong = |source| FileError::of(path, source);
    let mut file = Watched::open(path).map_err(wrong)?;
    let digest = Digest::of_reader(&mut file).map_err(wrong)?;
    Ok((digest, file.done))
}

/// The one manifest of an image layout: its digest, length and media type.
pub(in crate::command) fn manifest(directory: &Path) -> Result<(Digest, u64, String), FileError> {
    let wrong = |why: String| FileError::Layout { path: directory.to_owned(), why };
    let bytes = read(&directory.join("index.json"))?;
    let index = json::value("index", &bytes).map_err(|error| wrong(error.to_string()))?;
    let manifests = index.get("manifests").and_then(|list| list.as_array()).cloned().unwrap_or_default();
    let [one] = manifests.as_slice() else {
        return Err(wrong(format!("its index lists {}", manifests.len())));
    };
    let text = |key: &str| one.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let digest = text("digest").and_then(|digest| digest.parse::<Digest>().ok());
    let (Some(digest), Some(media)) = (digest, text("mediaType")) else {
        return Err(wrong("its descriptor is not read".to_owned()));
    };
    let (found, length) = sum(&directory.join("blobs/sha256").join(digest.hex()))?;
    match found == digest {
        true => Ok((digest, length, media)),
        false => Err(wrong(format!("its manifest is {found}"))),
    }
}
