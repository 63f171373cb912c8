//! What an agent wrote to reviewed trees: kept aside by run, listed, compared, applied or discarded.
//!
//! The layers of overlayfs are read as they are, not mounted. What counts is how the tree would be, name by name, whatever the
//! agent did to get there. What the host has now is what is compared with: what is equal already is no change.

mod apply;
mod diff;
mod layers;
mod links;
mod tree;

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub(crate) use apply::remove_all;
pub use apply::{Applied, Choice, apply};
pub use diff::{Difference, difference};
pub(crate) use layers::{HOME, Layers, sweep};
pub use layers::{Kept, discard, kept, open};
pub use tree::changes;
pub(crate) use tree::{Found, names};

/// One change to a reviewed tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The reviewed tree.
    #[serde(serialize_with = "shown")]
    pub tree: PathBuf,
    /// The path in it.
    #[serde(serialize_with = "shown")]
    pub path: PathBuf,
    /// What happened to it.
    pub kind: Kind,
    /// What the host has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<Node>,
    /// What the agent left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Node>,
    /// Why somebody would run it later without knowing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flagged: Option<String>,
    /// Why it is not applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    #[serde(skip)]
    pub(crate) number: usize,
}

impl Change {
    /// The whole path on the host.
    pub fn place(&self) -> PathBuf {
        self.tree.join(&self.path)
    }
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The host has nothing there.
    Added,
    /// Another content.
    Modified,
    /// The same content with other permissions.
    Mode,
    /// Something of another kind.
    Type,
    /// It is gone, with everything below.
    Deleted,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Which kind of file.
    pub shape: Shape,
    /// Permission bits.
    pub mode: u32,
    /// Bytes of a file; of a directory that is gone, how many entries it has.
    pub size: u64,
    /// What a regular file contains; not of enormous ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The text of a symbolic link.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown_maybe")]
    pub target: Option<PathBuf>,
}

/// Which kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Pipe,
    /// A UNIX socket.
    Socket,
    /// A device.
    Device,
}

impl Shape {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Shape::File => "file",
            Shape::Directory => "directory",
            Shape::Link => "link",
            Shape::Pipe => "pipe",
            Shape::Socket => "socket",
            Shape::Device => "device",
        }
    }
}

/// Why a change is not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "code", content = "why")]
pub enum Refusal {
    /// The policy of the run protects the name. Nothing lifts this.
    Protected(String),
    /// It is of a kind that is never made. Nothing lifts this.
    Kind(String),
    /// The host's own changed meanwhile.
    Conflict(String),
    /// It makes somebody run code later, and was not named.
    Flagged(String),
    /// The system refused.
    Failed(String),
}

impl Refusal {
    /// The sentence.
    pub fn why(&self) -> &str {
        match self {
            Refusal::Protected(why)
            | Refusal::Kind(why)
            | Refusal::Conflict(why)
            | Refusal::Flagged(why)
            | Refusal::Failed(why) => why,
        }
    }
}

/// Why changes cannot be listed, applied or discarded.
#[derive(Debug, thiserror::Error)]
pub enum ChangesError {
    /// There is no such run.
    #[error("no changes are kept of a run called `{0}`")]
    None(String),
    /// The run still goes on.
    #[error("the run `{0}` goes on, or somebody looks at it now")]
    Running(String),
    /// Earlier changes under this name are not decided.
    #[error("an earlier run called `{0}` left changes that nobody applied or discarded")]
    Undecided(String),
    /// What was kept cannot be understood.
    #[error("the record of the run `{run}` cannot be used: {why}")]
    Record {
        /// The run.
        run: String,
        /// What is wrong.
        why: String,
    },
    /// The reviewed tree is another one now.
    #[error("`{}` is not the directory that the run began with", .0.display())]
    Replaced(PathBuf),
    /// The layers cannot be made.
    #[error("cannot keep changes in `{}`: {why}", .path.display())]
    NoLayer {
        /// Where.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// No change has this path.
    #[error("`{}` is no change of this run", .0.display())]
    NoSuchChange(PathBuf),
    /// More than can be listed.
    #[error("the run left more than {0} changes")]
    TooMany(usize),
    /// The system refused.
    #[error("cannot read `{}`", .path.display())]
    System {
        /// What was being read.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl ChangesError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            ChangesError::None(_) => Some("`claw changes` lists the runs that left some"),
            ChangesError::Running(_) => {
                Some("wait for its end: until then the agent can change what is reviewed")
            }
            ChangesError::Undecided(_) => {
                Some("`claw changes` shows them; or give this run another name with --name")
            }
            ChangesError::Record { .. } => Some("`claw changes discard` removes what was kept"),
            ChangesError::Replaced(_) => Some("put it back where it was"),
            ChangesError::NoLayer { .. } => Some(
                "overlayfs keeps changes on a file system with user extended attributes (ext4, xfs, btrfs, tmpfs since Linux 6.6): put XDG_STATE_HOME on one",
            ),
            ChangesError::NoSuchChange(_) => {
                Some("`claw changes` lists them; paths begin at the working directory")
            }
            ChangesError::TooMany(_) => Some("`claw changes discard` removes them all"),
            ChangesError::System { .. } => None,
        }
    }
}

fn system(path: &Path) -> impl FnOnce(io::Error) -> ChangesError {
    let path = path.to_owned();
    move |source| ChangesError::System { path, source }
}

/// A path as text; bytes that are none are spelled `\xNN`, and so that nothing else reads like that, `\` is doubled then.
pub fn text(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let bytes = path.as_os_str().as_bytes();
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.utf8_chunks().fold(String::new(), |mut out, chunk| {
            out.push_str(&chunk.valid().replace('\\', "\\\\"));
            out.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
            out
        }),
    }
}

fn shown<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(path))
}

fn shown_maybe<S: serde::Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.as_deref().map(text).unwrap_or_default())
}
