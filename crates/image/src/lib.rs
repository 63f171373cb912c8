//! OCI image layouts, as far as they can be judged without touching a file: the documents, and what each entry of a layer
//! is to do to the tree.
//!
//! Everything here is hostile until it was judged. A document with a key written twice, an unknown media type, a foreign
//! platform, an entry that leaves the tree or is a device: each is refused, with its place. Nothing is guessed.
//!
//! After the OCI image specification 1.1: image-layout, index, manifest, config, layer.

mod document;
mod json;
mod layer;

pub use document::{Config, Descriptor, Manifest, Media, Platform, config, index, layout, manifest};
pub use layer::{Act, Entry, EntryError, Kind, judge, shown};

/// Why a document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is larger than any.
    #[error("it has more than {LARGEST} bytes")]
    Large,
    /// It is no JSON, or has another shape.
    #[error("it is not a document of this kind: {0}")]
    Json(String),
    /// A key stands twice: which one counts would depend on the reader.
    #[error("the key `{}` is written twice", .0.escape_debug())]
    Twice(String),
    /// A version that is not known.
    #[error("{what} `{}` is not known", found.escape_debug())]
    Unknown {
        /// Of what.
        what: &'static str,
        /// What is written.
        found: String,
    },
    /// A digest that is none, or of another algorithm.
    #[error(transparent)]
    Digest(#[from] claw_model::digest::DigestError),
    /// More of something than is read.
    #[error("it lists {count} {what}, more than {most}")]
    Many {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many are read.
        most: usize,
    },
    /// The number of layers and of their digests differ.
    #[error("it names {diffs} uncompressed layers, and the manifest {layers}")]
    Layers {
        /// In the config.
        diffs: usize,
        /// In the manifest.
        layers: usize,
    },
}

/// Bytes of a document.
pub const LARGEST: usize = 4 << 20;
