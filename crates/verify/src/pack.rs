//! One file to carry: an archive with artefacts, what vouches for them, and the metadata by which a node with a pinned root
//! judges them without a network.
//!
//! The archive has no authority and no freedom. What is in it follows from the signed metadata: a reader computes the
//! archive that must be, and refuses any other. So no byte can differ, and nothing unapproved is carried along.
//! It is an uncompressed tar of an OCI image layout, sorted, without times and owners.

mod about;
mod error;
mod format;
mod layout;
mod read;
mod signed;
mod verify;
mod write;

pub use about::{About, By, Kind};
pub use error::{Flaw, PackError};
pub use format::{LARGEST_DOCUMENT, Limits};
pub(crate) use layout::clash;
pub use layout::{Content, Item, Part, parts};
pub use read::{Contents, Nothing, Sink, read};
pub use verify::{Artefact, Attachment, Holder, Pack, REVOCATIONS, TRUST_ROOT, Verdict, metadata, verify};
pub use write::{archive_size, write};

#[cfg(test)]
pub(crate) mod tests;
