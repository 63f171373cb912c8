//! The root of the sandbox from an OCI image layout.
//!
//! Every blob has its digest and size confirmed before anything is made of it. Then the layers are read twice more: once to
//! judge every entry, so that nothing is unpacked of an image that is refused, and once to unpack, where the same digests must
//! come out again. The tree is kept under the manifest's digest and used again as long as nothing about it has changed.

mod layout;
mod stream;
mod unpack;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use claw_image::{DocumentError, EntryError};
use claw_model::digest::{Digest, Sum};
use claw_plan::RootTree;
use serde::{Deserialize, Serialize};

/// Why an image cannot be the root. Nothing was run, and nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A document is wrong.
    #[error("{place}")]
    Document {
        /// Which.
        place: String,
        /// What is wrong.
        #[source]
        source: DocumentError,
    },
    /// A file of the layout cannot be used.
    #[error("`{}`: {why}", .path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The digest that the policy names is not there.
    #[error("`index.json` does not name {digest}, only {named}")]
    NotNamed {
        /// What the policy names.
        digest: Digest,
        /// What the layout has.
        named: String,
    },
    /// No image for this machine.
    #[error("it is for {found}, and this machine is {own}")]
    Foreign {
        /// What it is for.
        found: String,
        /// What is needed.
        own: String,
    },
    /// A blob is not what its descriptor says.
    #[error("blob {digest}: {why}")]
    Blob {
        /// The blob.
        digest: Digest,
        /// What is wrong.
        why: String,
    },
    /// A layer is no sound archive, or too much.
    #[error("layer {layer}: {why}")]
    Layer {
        /// Which, counted from 1.
        layer: usize,
        /// What is wrong.
        why: String,
    },
    /// An entry is refused.
    #[error("layer {layer}, entry `{}`", path.escape_debug())]
    Entry {
        /// In which layer, counted from 1.
        layer: usize,
        /// Its name.
        path: String,
        /// Why.
        #[source]
        source: EntryError,
    },
    /// An entry does not fit to what is there.
    #[error("layer {layer}, entry `{}`: {why}", path.escape_debug())]
    Place {
        /// In which layer, counted from 1.
        layer: usize,
        /// Its name.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The system refused.
    #[error("`{}`", .path.display())]
    System {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl RootError {
    /// Whether the image is wrong, rather than this machine.
    pub(crate) fn is_input(&self) -> bool {
        !matches!(self, RootError::System { .. })
    }
}

/// What is remembered of an unpacked tree.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stamp {
    search: Option<String>,
    /// Over every name, kind, size and time of change: contents cannot change without one of them.
    seal: Digest,
}

/// The tree of the image, from the cache if it is there as it was made.
pub(crate) fn prepare(layout: &Path, digest: &Digest, state: &Path) -> Result<RootTree, RootError> {
    let image = layout::Image::open(layout, digest)?;
    let home = state.join("images");
    let kept = home.join(image.digest.hex());
    if let Some(stamp) = sound(&kept) {
        return Ok(found(&kept, stamp));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&home).map_err(system(&home))?;
    let fresh = home.join(format!(".unpacking-{}", std::process::id()));
    take_away(&fresh).map_err(system(&fresh))?;
    let made = make(&image, &fresh);
    let made = made.and_then(|stamp| put(&fresh, &kept).map(|()| stamp).map_err(system(&kept)));
    match made {
        Ok(stamp) => Ok(found(&kept, stamp)),
        Err(error) => {
            let _ = take_away(&fresh);
            Err(error)
        }
    }
}

fn found(kept: &Path, stamp: Stamp) -> RootTree {
    let tree = kept.join(TREE);
    let users = fs::symlink_metadata(tree.join("etc/passwd")).is_ok_and(|about| about.is_file());
    RootTree { tree, search: stamp.search, users }
}

fn make(image: &layout::Image, fresh: &Path) -> Result<Stamp, RootError> {
    let acts = unpack::judge(image)?;
    let tree = fresh.join(TREE);
    for path in [fresh, &tree] {
        DirBuilder::new().mode(0o755).create(path).map_err(system(path))?;
    }
    unpack::unpack(image, &acts, &tree)?;
    let seal = seal(&tree).map_err(system(&tree))?;
    let stamp = Stamp { search: image.search.clone(), seal };
    let file = fresh.join(STAMP);
    let bytes = serde_json::to_vec(&stamp).map_err(io::Error::other).map_err(system(&file))?;
    fs::write(&file, bytes).map_err(system(&file))?;
    Ok(stamp)
}

/// Somebody else may have been faster, or left a tree that is not as it was made.
fn put(fresh: &Path, kept: &Path) -> io::Result<()> {
    if sound(kept).is_some() {
        return take_away(fresh);
    }
    take_away(kept)?;
    match fs::rename(fresh, kept) {
        Err(_) if sound(kept).is_some() => take_away(fresh),
        other => other,
    }
}

/// The stamp of a tree that is as it was made.
fn sound(kept: &Path) -> Option<Stamp> {
    let stamp: Stamp = serde_json::from_slice(&fs::read(kept.join(STAMP)).ok()?).ok()?;
    (seal(&kept.join(TREE)).ok()? == stamp.seal).then_some(stamp)
}

fn seal(tree: &Path) -> io::Result<Digest> {
    let mut sum = Sum::default();
    let mut open = vec![tree.to_owned()];
    while let Some(path) = open.pop() {
        let about = fs::symlink_metadata(&path)?;
        sum.add(path.strip_prefix(tree).unwrap_or(&path).as_os_str().as_encoded_bytes());
        sum.add(&[0]);
        for number in [u64::from(about.mode()), about.ino(), about.size()] {
            sum.add(&number.to_le_bytes());
        }
        // a directory's own times change when it is moved; its names are summed up themselves
        if about.is_dir() {
            let below: io::Result<Vec<PathBuf>> =
                fs::read_dir(&path)?.map(|entry| entry.map(|entry| entry.path())).collect();
            let mut below = below?;
            below.sort();
            open.extend(below);
        } else {
            for number in [about.ctime(), about.ctime_nsec()] {
                sum.add(&number.to_le_bytes());
            }
        }
    }
    Ok(sum.digest())
}

/// Removes what is left of an earlier attempt. Every directory in it was made with its owner's permissions.
fn take_away(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn system(path: &Path) -> impl FnOnce(io::Error) -> RootError {
    let path = path.to_owned();
    move |source| RootError::System { path, source }
}

const TREE: &str = "tree";
const STAMP: &str = "stamp.json";
