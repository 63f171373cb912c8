//! From a directory with `adapter.toml` to a signed layout.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use claw_adapter::{
    Blob, Kind, Layer, Manifest, NOTHING, Release, SOURCE, Signature, canonical, index, layers, manifest,
    oci_layout, packed, release, signature_manifest, skeleton, statement,
};
use claw_model::digest::Digest;
use claw_verify::envelope::{Envelope, IN_TOTO};
use claw_verify::sign::PrivateKey;

use super::AdapterError;
use super::error::system;
use super::layout::{DIRECTORIES, INDEX, Layout, Signed, document, is_layout, name};
use super::source::Directory;
use crate::signed;

/// Makes a directory with the skeleton of an adapter.
pub fn new(directory: &Path, id: &str, kind: Kind) -> Result<Vec<String>, AdapterError> {
    if !claw_verify::policy::is_name(id) {
        let why = "an id is 1 to 80 of a-z, 0-9, `.`, `-`, `_`, the first a letter or digit".to_owned();
        return Err(AdapterError::File { file: id.to_owned(), why });
    }
    DirBuilder::new().mode(0o755).create(directory).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => AdapterError::There { path: directory.to_owned() },
        _ => system("make", directory)(source),
    })?;
    let files = skeleton(id, kind);
    for (path, text) in &files {
        let path = directory.join(path);
        let parent = path.parent().unwrap_or(directory);
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(system("make", parent))?;
        fs::write(&path, text).map_err(system("write", &path))?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// Packs an adapter's directory as a layout at `to`, signed with each of these keys.
pub fn pack(from: &Path, to: &Path, keys: &[PathBuf]) -> Result<(Manifest, Digest), AdapterError> {
    let directory = Directory::open(from).map_err(system("open", from))?;
    let source =
        directory.document(SOURCE).map_err(|why| AdapterError::File { file: SOURCE.to_owned(), why })?;
    let text = String::from_utf8(source).map_err(|_| AdapterError::File {
        file: SOURCE.to_owned(),
        why: "it is not UTF-8 text".to_owned(),
    })?;
    let manifest = manifest(&text, &directory)?;
    let secrets = secrets(keys)?;
    if to.symlink_metadata().is_ok() {
        return Err(AdapterError::There { path: to.to_owned() });
    }
    let fresh = beside(to);
    let made = write(&fresh, &directory, &manifest, &secrets);
    let made = made.and_then(|digest| fs::rename(&fresh, to).map(|()| digest).map_err(system("make", to)));
    match made {
        Ok(digest) => Ok((manifest, digest)),
        Err(error) => {
            let _ = fs::remove_dir_all(&fresh);
            Err(error)
        }
    }
}

/// Adds signatures to those that a layout has. All that is signed was read, and holds what the statement says.
pub fn add(package: &Path, keys: &[PathBuf]) -> Result<(Manifest, Digest, usize), AdapterError> {
    let layout = Layout::open(package)?;
    let Signed { packed, bytes, envelope } = layout.signed()?;
    let (manifest, found) = layout.contents(&packed, &bytes)?;
    let envelope = Envelope::read(&envelope).map_err(AdapterError::Signature)?;
    let release = Release::unverified(&envelope, packed.digest).map_err(AdapterError::Signature)?;
    release.is(&found).map_err(document("the statement that is to be signed"))?;
    let old = layout.names().clone();
    let envelope = sign(Some(envelope), &[], &secrets(keys)?)?;
    let signatures = envelope.signatures();
    let index = put_signature(package, packed, &envelope)?;
    // order: what the old index names stays until the new one is there
    place(&package.join(INDEX), &index).map_err(system("write", &package.join(INDEX)))?;
    let kept = Layout::open(package)?.reachable()?;
    for name in old.iter().filter(|name| !kept.contains(*name)) {
        fs::remove_file(package.join(name)).map_err(system("remove", &package.join(name)))?;
    }
    Ok((manifest, packed.digest, signatures))
}

fn write(
    fresh: &Path,
    directory: &Directory,
    manifest: &Manifest,
    keys: &[(PathBuf, PrivateKey)],
) -> Result<Digest, AdapterError> {
    for path in std::iter::once(fresh.to_owned()).chain(DIRECTORIES.map(|below| fresh.join(below))) {
        DirBuilder::new().mode(0o755).create(&path).map_err(system("make", &path))?;
    }
    let blob = |bytes: &[u8]| -> Result<Blob, AdapterError> {
        let blob = of(bytes);
        let path = fresh.join(name(&blob));
        place(&path, bytes).map_err(system("write", &path)).map(|()| blob)
    };
    let config = blob(&canonical(manifest)?)?;
    let sum = |path: &str| directory.sum(path).ok().map(|(digest, size)| Blob { digest, size });
    let files = layers(manifest, sum).map_err(document("the manifest"))?;
    for Layer { path, blob, .. } in &files {
        let to = fresh.join(name(blob));
        let from = directory.file(path).map_err(|why| AdapterError::File { file: path.clone(), why })?;
        let copied = copy(from, &to).map_err(system("write", &to))?;
        if copied != *blob {
            return Err(AdapterError::File {
                file: path.clone(),
                why: "it changed while it was packed".to_owned(),
            });
        }
    }
    let manifest_blob = blob(&packed(config, &files).map_err(document("the manifest"))?)?;
    blob(NOTHING)?;
    let release = release(manifest).map_err(document("the manifest"))?;
    let statement = statement(&release, manifest_blob.digest).map_err(document("the statement"))?;
    let payload = statement.write().map_err(AdapterError::Signature)?;
    let envelope = sign(None, payload.as_bytes(), keys)?;
    let index = put_signature(fresh, manifest_blob, &envelope)?;
    for (name, bytes) in [(INDEX, index.as_slice()), ("oci-layout", oci_layout())] {
        let path = fresh.join(name);
        place(&path, bytes).map_err(system("write", &path))?;
    }
    sync(fresh).map_err(system("write", fresh))?;
    Ok(manifest_blob.digest)
}

/// The envelope and its manifest among the blobs; what the index is then.
fn put_signature(layout: &Path, manifest: Blob, envelope: &Envelope) -> Result<Vec<u8>, AdapterError> {
    let put = |bytes: &[u8]| {
        let blob = of(bytes);
        let path = layout.join(name(&blob));
        place(&path, bytes).map(|()| blob).map_err(system("write", &path))
    };
    let envelope = put(envelope.write().as_bytes())?;
    let signature = Signature { envelope, subject: manifest };
    let signature = put(&signature_manifest(&signature).map_err(document("the signature"))?)?;
    index(&claw_adapter::Layout { manifest, signature }).map_err(document("the index"))
}

fn sign(
    envelope: Option<Envelope>,
    payload: &[u8],
    keys: &[(PathBuf, PrivateKey)],
) -> Result<Envelope, AdapterError> {
    let mut envelope = envelope;
    for (path, key) in keys {
        let signed = match envelope.take() {
            Some(envelope) => envelope.and_sign(key),
            None => Envelope::sign(IN_TOTO, payload, key),
        };
        envelope = Some(signed.map_err(|source| AdapterError::Key { path: path.clone(), source })?);
    }
    envelope.ok_or_else(|| AdapterError::File { file: "--key".to_owned(), why: "there is no key".to_owned() })
}

fn secrets(keys: &[PathBuf]) -> Result<Vec<(PathBuf, PrivateKey)>, AdapterError> {
    let one = |path: &PathBuf| {
        let text = signed::text(path).map_err(|error| AdapterError::Keyring(Box::new(error)))?;
        let key =
            PrivateKey::from_pem(&text).map_err(|source| AdapterError::Key { path: path.clone(), source })?;
        Ok((path.clone(), key))
    };
    keys.iter().map(one).collect()
}

fn of(bytes: &[u8]) -> Blob {
    Blob { digest: Digest::of(bytes), size: u64::try_from(bytes.len()).unwrap_or(u64::MAX) }
}

/// Puts a file in place, whole and on the disk.
pub(super) fn place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    claw_sys::whole::replace(path, bytes, 0o644)
}

/// Copies a file to a new one, on the disk; what was copied.
pub(super) fn copy(from: fs::File, to: &Path) -> io::Result<Blob> {
    if to.symlink_metadata().is_ok() {
        // two files with one content are one blob
        let mut file = fs::File::open(to)?;
        let size = file.metadata()?.len();
        return Ok(Blob { digest: Digest::of_reader(&mut file)?, size });
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o644).open(to)?;
    let size = io::copy(&mut from.take(claw_adapter::LARGEST_ARTIFACT.saturating_add(1)), &mut out)?;
    out.sync_all()?;
    Ok(Blob { digest: Digest::of_reader(&mut fs::File::open(to)?)?, size })
}

/// Waits until the directories of a layout are on the disk.
pub(super) fn sync(layout: &Path) -> io::Result<()> {
    for path in DIRECTORIES.map(|below| layout.join(below)).iter().map(PathBuf::as_path).chain([layout]) {
        fs::File::open(path)?.sync_all()?;
    }
    Ok(())
}

/// A name beside a path, for what is not whole yet.
pub(super) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

/// Whether a directory is a layout, rather than an adapter as it is written.
pub fn is_packed(path: &Path) -> bool {
    is_layout(path)
}
