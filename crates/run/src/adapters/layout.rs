//! A package's layout, from its directory to what was verified of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use claw_adapter::{
    Blob, LARGEST, LARGEST_ARTIFACT, Layer, Manifest, NOTHING, PackageError, Release, Role, Sources,
    canonical, layers, manifest, oci_layout, packed,
};
use claw_model::digest::Digest;
use claw_verify::Keys;

use super::error::system;
use super::source::Directory;
use super::{AdapterError, Package};

/// A layout that was opened. Only its names are known to be what they may be.
pub(super) struct Layout {
    directory: Directory,
    names: BTreeSet<String>,
}

/// What a layout's index leads to, before anything was verified.
pub(super) struct Signed {
    /// The adapter's manifest in the layout.
    pub(super) packed: Blob,
    pub(super) bytes: Vec<u8>,
    pub(super) envelope: Vec<u8>,
}

impl Layout {
    pub(super) fn open(path: &Path) -> Result<Layout, AdapterError> {
        let directory = Directory::open(path).map_err(system("open", path))?;
        Ok(Layout { directory, names: names(path)? })
    }

    /// The signature, and what it is of. Each document is spelled as it must be; nothing is believed.
    pub(super) fn signed(&self) -> Result<Signed, AdapterError> {
        let file = |name: &str| {
            let read = self.directory.document(name);
            read.map_err(|why| AdapterError::File { file: name.to_owned(), why })
        };
        if file("oci-layout")? != oci_layout() {
            let why = "it is not the one that `claw adapter sign` writes".to_owned();
            return Err(AdapterError::File { file: "oci-layout".to_owned(), why });
        }
        let index = claw_adapter::layout(&file(INDEX)?).map_err(document(&format!("`{INDEX}`")))?;
        let by = format!("`{INDEX}`");
        let bytes = self.blob(&index.manifest, &by)?;
        let place = place(&index.signature);
        let signature =
            claw_adapter::signature(&self.blob(&index.signature, &by)?).map_err(document(&place))?;
        if signature.subject != index.manifest {
            return Err(AdapterError::Document {
                place,
                source: PackageError::Shape("it is of another manifest".to_owned()),
            });
        }
        self.blob(&nothing(), &place)?;
        let envelope = self.blob(&signature.envelope, &place)?;
        let named = self.reachable()?;
        if let Some(other) = self.names.iter().find(|name| !named.contains(*name)) {
            return Err(AdapterError::File { file: other.clone(), why: "nothing names it".to_owned() });
        }
        Ok(Signed { packed: index.manifest, bytes, envelope })
    }

    /// Everything.
    pub(super) fn verify(&self, keys: &Keys) -> Result<Package, AdapterError> {
        let Signed { packed, bytes, envelope } = self.signed()?;
        // order: nothing of the adapter is read before somebody who may has signed it
        let release = Release::verify(&envelope, packed.digest, keys).map_err(AdapterError::Signature)?;
        let (manifest, found) = self.contents(&packed, &bytes)?;
        release.value().is(&found).map_err(document("the signed statement"))?;
        Ok(Package { digest: packed.digest, manifest, release })
    }

    /// What it holds, compared with itself, on nobody's word: the manifest, and what is signed of it.
    pub(super) fn contents(&self, blob: &Blob, bytes: &[u8]) -> Result<(Manifest, Release), AdapterError> {
        let place = place(blob);
        let (config, files) = claw_adapter::unpacked(bytes).map_err(document(&place))?;
        let config_bytes = self.blob(&config, &place)?;
        for Layer { role, path, blob } in &files {
            let by = format!("{place} as `{path}`");
            match role {
                Role::Artifact(_) => self.sum(blob, &by)?,
                Role::Source | Role::Document => drop(self.blob(blob, &by)?),
            }
        }
        let held =
            Held { layout: self, files: files.iter().map(|file| (file.path.as_str(), file.blob)).collect() };
        let source = held.document(claw_adapter::SOURCE).and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(source) = source else {
            let why = "it has no `adapter.toml`".to_owned();
            return Err(AdapterError::Document { place, source: PackageError::Shape(why) });
        };
        let manifest = manifest(&source, &held)?;
        // the manifest is what its source says, and the layout holds its files and no others
        if canonical(&manifest)? != config_bytes {
            let source = PackageError::Spelling;
            return Err(AdapterError::Document { place: self::place(&config), source });
        }
        let again = layers(&manifest, |path| held.files.get(path).copied()).map_err(document(&place))?;
        if packed(config, &again).map_err(document(&place))? != bytes {
            return Err(AdapterError::Document { place, source: PackageError::Spelling });
        }
        let found = claw_adapter::release(&manifest).map_err(document(&place))?;
        Ok((manifest, found))
    }

    /// The names of the files that its index leads to.
    pub(super) fn reachable(&self) -> Result<BTreeSet<String>, AdapterError> {
        let index = self
            .directory
            .document(INDEX)
            .map_err(|why| AdapterError::File { file: INDEX.to_owned(), why })?;
        let index = claw_adapter::layout(&index).map_err(document(&format!("`{INDEX}`")))?;
        let by = format!("`{INDEX}`");
        let packed = self.blob(&index.manifest, &by)?;
        let signature = self.blob(&index.signature, &by)?;
        let signature = claw_adapter::signature(&signature).map_err(document(&place(&index.signature)))?;
        let (config, files) = claw_adapter::unpacked(&packed).map_err(document(&place(&index.manifest)))?;
        let blobs = [index.manifest, index.signature, signature.envelope, nothing(), config];
        let blobs = blobs.into_iter().chain(files.iter().map(|file| file.blob));
        Ok(blobs.map(|blob| name(&blob)).chain(["oci-layout", INDEX].map(str::to_owned)).collect())
    }

    /// The digest of its manifest, if every file that it leads to has the content that it names, and there is no other.
    pub(super) fn whole(&self) -> Result<Digest, AdapterError> {
        let Signed { packed, bytes, .. } = self.signed()?;
        let place = place(&packed);
        let (config, files) = claw_adapter::unpacked(&bytes).map_err(document(&place))?;
        drop(self.blob(&config, &place)?);
        for Layer { role, path, blob } in &files {
            let by = format!("{place} as `{path}`");
            match role {
                Role::Artifact(_) => self.sum(blob, &by)?,
                Role::Source | Role::Document => drop(self.blob(blob, &by)?),
            }
        }
        Ok(packed.digest)
    }

    /// The names of its files.
    pub(super) fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// A file of it, to be copied.
    pub(super) fn file(&self, name: &str) -> Result<fs::File, AdapterError> {
        self.directory.file(name).map_err(|why| AdapterError::File { file: name.to_owned(), why })
    }

    /// A document among the blobs, confirmed.
    fn blob(&self, blob: &Blob, by: &str) -> Result<Vec<u8>, AdapterError> {
        let wrong = |why: String| AdapterError::Blob { hex: blob.digest.hex(), by: by.to_owned(), why };
        if blob.size > u64::try_from(LARGEST).unwrap_or(u64::MAX) {
            return Err(wrong(format!("it would have {} bytes, more than {LARGEST}", blob.size)));
        }
        let bytes = self.directory.document(&name(blob)).map_err(wrong)?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        confirm(blob, (Digest::of(&bytes), size)).map_err(wrong)?;
        Ok(bytes)
    }

    /// An artefact among the blobs, confirmed.
    fn sum(&self, blob: &Blob, by: &str) -> Result<(), AdapterError> {
        let wrong = |why: String| AdapterError::Blob { hex: blob.digest.hex(), by: by.to_owned(), why };
        if blob.size > LARGEST_ARTIFACT {
            return Err(wrong(format!("it would have {} bytes, more than {LARGEST_ARTIFACT}", blob.size)));
        }
        let found = self.directory.sum(&name(blob)).map_err(wrong)?;
        confirm(blob, found).map_err(wrong)
    }
}

/// The adapter's files, among the blobs.
struct Held<'a> {
    layout: &'a Layout,
    files: BTreeMap<&'a str, Blob>,
}

impl Sources for Held<'_> {
    fn document(&self, path: &str) -> Option<Vec<u8>> {
        self.layout.blob(self.files.get(path)?, "").ok()
    }
    /// Confirmed before.
    fn artifact(&self, path: &str) -> Option<(Digest, u64)> {
        self.files.get(path).map(|blob| (blob.digest, blob.size))
    }
}

fn confirm(blob: &Blob, (digest, size): (Digest, u64)) -> Result<(), String> {
    if size != blob.size {
        return Err(format!("it has {size} bytes, not {}", blob.size));
    }
    if digest != blob.digest {
        return Err(format!("its content has the digest {digest}"));
    }
    Ok(())
}

/// Every file of the layout, by its path. Directories are the two that a layout has.
fn names(path: &Path) -> Result<BTreeSet<String>, AdapterError> {
    let mut names = BTreeSet::new();
    let mut open = vec![(path.to_owned(), String::new())];
    while let Some((directory, above)) = open.pop() {
        for entry in fs::read_dir(&directory).map_err(system("read", &directory))? {
            let entry = entry.map_err(system("read", &directory))?;
            let own = entry.file_name().to_string_lossy().into_owned();
            let name = if above.is_empty() { own } else { format!("{above}/{own}") };
            let about = entry.file_type().map_err(system("look at", &entry.path()))?;
            let wrong = |why: &str| Err(AdapterError::File { file: name.clone(), why: why.to_owned() });
            if about.is_symlink() {
                return wrong("it is a symbolic link");
            }
            if about.is_dir() {
                if !DIRECTORIES.contains(&name.as_str()) {
                    return wrong("it is no directory of a layout");
                }
                open.push((entry.path(), name));
                continue;
            }
            if !about.is_file() {
                return wrong("it is not a regular file");
            }
            names.insert(name);
            if names.len() > MOST {
                let file = path.display().to_string();
                return Err(AdapterError::File { file, why: format!("it has more than {MOST} files") });
            }
        }
    }
    Ok(names)
}

pub(super) fn name(blob: &Blob) -> String {
    format!("blobs/sha256/{}", blob.digest.hex())
}

pub(super) fn nothing() -> Blob {
    Blob { digest: Digest::of(NOTHING), size: u64::try_from(NOTHING.len()).unwrap_or_default() }
}

fn place(blob: &Blob) -> String {
    format!("`{}`", name(blob))
}

pub(super) fn document(place: &str) -> impl FnOnce(PackageError) -> AdapterError {
    let place = place.to_owned();
    move |source| AdapterError::Document { place, source }
}

/// The directories of a layout.
pub(super) const DIRECTORIES: [&str; 2] = ["blobs", "blobs/sha256"];
pub(super) const INDEX: &str = "index.json";
/// Files of a layout.
const MOST: usize = 300;

/// Where a layout would be refused as the place of another one.
pub(super) fn is_layout(path: &Path) -> bool {
    let file: PathBuf = path.join("oci-layout");
    file.symlink_metadata().is_ok()
}
