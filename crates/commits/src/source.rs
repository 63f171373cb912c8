//! Where objects come from. Whoever reads them recomputes their ids: what is stored under a name need not be what was signed.

use std::error::Error as Cause;

use gix_hash::{Kind, ObjectId};
use thiserror::Error;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A commit.
    Commit,
    /// A tree.
    Tree,
    /// A file's content.
    Blob,
    /// An annotated tag.
    Tag,
}

/// Objects by their id.
pub trait Source {
    /// The kind of ids.
    fn hash(&self) -> Kind;

    /// Reads an object of this kind and recomputes its id.
    fn read(&self, id: &ObjectId, what: What) -> Result<Vec<u8>, ReadError>;

    /// Tells what an object is.
    fn what(&self, id: &ObjectId) -> Result<What, ReadError>;
}

/// Why an object cannot be had.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It is not there.
    #[error("object {0} is not in the repository")]
    Missing(ObjectId),
    /// It is something else.
    #[error("object {id} is no {expected}")]
    Other {
        /// The object.
        id: ObjectId,
        /// What it should be.
        expected: &'static str,
    },
    /// Its content has another id.
    #[error("object {id} holds something else: its content has the id {found}")]
    Id {
        /// The name it is stored under.
        id: ObjectId,
        /// The id of what is there.
        found: ObjectId,
    },
    /// Its content is made so that another content has the same SHA-1.
    #[error("object {0} is one half of a SHA-1 collision: another content has the same id")]
    Collision(ObjectId),
    /// A tree with a name twice, or with one that is none.
    #[error("tree {0} has a name twice, or one that is no name of a file")]
    Tree(ObjectId),
    /// It is stored, and cannot be read.
    #[error("object {id} cannot be read")]
    Storage {
        /// The object.
        id: ObjectId,
        /// Why.
        source: Box<dyn Cause + Send + Sync>,
    },
}

impl What {
    /// As git writes it.
    pub fn name(self) -> &'static str {
        match self {
            What::Commit => "commit",
            What::Tree => "tree",
            What::Blob => "blob",
            What::Tag => "tag",
        }
    }

    pub(crate) fn kind(self) -> gix_object::Kind {
        match self {
            What::Commit => gix_object::Kind::Commit,
            What::Tree => gix_object::Kind::Tree,
            What::Blob => gix_object::Kind::Blob,
            What::Tag => gix_object::Kind::Tag,
        }
    }
}

/// Checks that this content has this id, and is no half of a collision.
pub fn check_id(id: &ObjectId, what: What, data: &[u8]) -> Result<(), ReadError> {
    match gix_object::compute_hash(id.kind(), what.kind(), data) {
        Ok(found) if found == *id => Ok(()),
        Ok(found) => Err(ReadError::Id { id: *id, found }),
        Err(_) => Err(ReadError::Collision(*id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two blocks of 320 bytes of the SHAttered attack (Stevens et al., 2017, shattered.io): the first bytes of two documents
    /// whose SHA-1 is the same.
    const FIRST: &[u8] = include_bytes!("../tests/data/shattered-1.head");
    const SECOND: &[u8] = include_bytes!("../tests/data/shattered-2.head");

    #[test]
    fn a_content_made_to_collide_is_refused() {
        let plain = |data: &[u8]| {
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, data).as_ref().to_vec()
        };
        // the attack: two contents, one id
        assert!(FIRST != SECOND && plain(FIRST) == plain(SECOND));
        for half in [FIRST, SECOND] {
            let mut hasher = gix_hash::hasher(Kind::Sha1);
            hasher.update(half);
            assert!(hasher.try_finalize().is_err(), "the hash behind every id finds it");
        }
    }

    #[test]
    fn another_content_is_refused() {
        let id = gix_object::compute_hash(Kind::Sha1, gix_object::Kind::Blob, b"a").unwrap();
        assert!(check_id(&id, What::Blob, b"a").is_ok());
        assert!(matches!(check_id(&id, What::Blob, b"b"), Err(ReadError::Id { .. })));
        assert!(matches!(check_id(&id, What::Tree, b"a"), Err(ReadError::Id { .. })));
    }
}
