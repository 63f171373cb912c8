//! Why a pack is refused.

use claw_model::digest::Digest;
use jiff::Timestamp;

use crate::revocation::{RevocationError, Revoked};
use crate::tuf::TufError;

/// What is wrong with an archive as such.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It ends too early.
    #[error("it ends in the middle")]
    Short,
    /// Something stands behind its end.
    #[error("something stands behind its end")]
    Trailing,
    /// A link, a device, or an extension.
    #[error("an entry is no regular file (`{}`)", char::from(*kind).escape_debug())]
    Kind {
        /// The archive's letter for it.
        kind: u8,
    },
    /// A path that leaves the directory.
    #[error("`{}` leads out of the archive", name.escape_debug())]
    LeadsOut {
        /// The name.
        name: String,
    },
    /// Not a name of a pack.
    #[error("`{}` is no name of a pack", name.escape_debug())]
    Name {
        /// The name.
        name: String,
    },
    /// A header that is not written the one way.
    #[error("the header of `{}` is not as a pack's is", name.escape_debug())]
    Header {
        /// The name.
        name: String,
    },
    /// A name that stands twice.
    #[error("`{}` stands twice", name.escape_debug())]
    Twice {
        /// The name.
        name: String,
    },
    /// Names out of order.
    #[error("`{}` is out of order", name.escape_debug())]
    Order {
        /// The name.
        name: String,
    },
    /// What fills up a block is not zero.
    #[error("what fills up the last block of `{}` is not zero", name.escape_debug())]
    Padding {
        /// The name.
        name: String,
    },
    /// More entries than are read.
    #[error("it has more than {most} entries")]
    Many {
        /// How many are read.
        most: usize,
    },
    /// More bytes than are read.
    #[error("it says it has more than {most} bytes")]
    Large {
        /// How many are read.
        most: u64,
    },
    /// A document larger than any.
    #[error("`{}` has {size} bytes, more than a document has", name.escape_debug())]
    LargeDocument {
        /// The name.
        name: String,
        /// Its size.
        size: u64,
    },
    /// The content does not have the digest that is its name.
    #[error("`{}` contains something else: {found}", name.escape_debug())]
    Digest {
        /// The name.
        name: String,
        /// What it contains.
        found: Digest,
    },
    /// The sum at the end differs.
    #[error("the sum at its end is not that of what stands before it")]
    Sum,
    /// Something that belongs into it is missing.
    #[error("`{}` is missing", name.escape_debug())]
    Missing {
        /// The name.
        name: String,
    },
    /// Something that nobody approved.
    #[error("`{}` follows from nothing that was approved", name.escape_debug())]
    Unapproved {
        /// The name.
        name: String,
    },
    /// Something is there, and should be something else.
    #[error("`{}` is not what follows from what was approved", name.escape_debug())]
    Differs {
        /// The name.
        name: String,
    },
    /// A document that is not read.
    #[error("`{}` is not read: {why}", name.escape_debug())]
    Document {
        /// The name.
        name: String,
        /// Why.
        why: String,
    },
}

/// Why a pack is refused.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// It cannot be read, or not be written.
    #[error("the pack cannot be read or written")]
    Io(#[source] std::io::Error),
    /// The archive.
    #[error("the archive is not a pack")]
    Flaw(#[from] Flaw),
    /// The metadata.
    #[error("its metadata is refused")]
    Tuf(#[from] TufError),
    /// The list of what was taken back.
    #[error("what was taken back is not known")]
    Revocation(#[from] RevocationError),
    /// It was taken back.
    #[error("something in it was taken back")]
    Revoked(#[from] Revoked),
    /// A bundle or envelope that it carries.
    #[error("`{}` is refused", name.escape_debug())]
    Bundle {
        /// Which.
        name: String,
        /// Why.
        #[source]
        why: crate::Error,
    },
    /// What an approval says of a target is not read.
    #[error("what the approval of `{}` says is not read: {why}", name.escape_debug())]
    About {
        /// The target.
        name: String,
        /// Why.
        why: String,
    },
    /// Nothing in it.
    #[error("it carries no artefact")]
    Empty,
    /// A name that cannot be carried.
    #[error("`{}` cannot be carried: {why}", name.escape_debug())]
    Name {
        /// The target.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// Two repositories do not say the same.
    #[error("`{}` is assigned and approved with different {what}", name.escape_debug())]
    Disagree {
        /// The target.
        name: String,
        /// What differs.
        what: &'static str,
    },
    /// It cannot be before the floor.
    #[error("{now} is before {floor}, which is verified to have passed")]
    Floor {
        /// The time that was asked for.
        now: Timestamp,
        /// The floor.
        floor: Timestamp,
    },
}

impl PackError {
    /// A word for this class that does not change.
    pub fn code(&self) -> &'static str {
        match self {
            PackError::Io(_) => "io",
            PackError::Flaw(flaw) => flaw.code(),
            PackError::Tuf(error) => error.code(),
            PackError::Revocation(RevocationError::Json(_)) => "malformed",
            PackError::Revocation(RevocationError::Expired { .. }) => "expired",
            PackError::Revocation(RevocationError::Rollback { .. }) => "rollback",
            PackError::Revoked(_) => "revoked",
            PackError::Bundle { why, .. } => why.code(),
            PackError::About { .. } | PackError::Name { .. } => "malformed",
            PackError::Empty => "empty",
            PackError::Disagree { .. } => "disagree",
            PackError::Floor { .. } => "floor",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            PackError::Flaw(Flaw::Sum | Flaw::Digest { .. } | Flaw::Short) => {
                Some("it was changed or broken on the way: carry it again")
            }
            PackError::Tuf(error) => error.hint(),
            PackError::Revocation(_) => Some("get a newer pack"),
            PackError::Disagree { .. } => Some("ask the people who approve, before whoever assigns"),
            _ => None,
        }
    }
}

impl Flaw {
    /// A word for this class that does not change.
    pub fn code(&self) -> &'static str {
        match self {
            Flaw::Short => "short",
            Flaw::Trailing => "trailing",
            Flaw::Kind { .. } => "kind",
            Flaw::LeadsOut { .. } => "leads-out",
            Flaw::Name { .. } => "name",
            Flaw::Header { .. } => "header",
            Flaw::Twice { .. } => "twice",
            Flaw::Order { .. } => "order",
            Flaw::Padding { .. } => "padding",
            Flaw::Many { .. } => "many",
            Flaw::Large { .. } | Flaw::LargeDocument { .. } => "large",
            Flaw::Digest { .. } => "digest",
            Flaw::Sum => "sum",
            Flaw::Missing { .. } => "missing",
            Flaw::Unapproved { .. } => "not-approved",
            Flaw::Differs { .. } => "differs",
            Flaw::Document { .. } => "malformed",
        }
    }
}
