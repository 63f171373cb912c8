//! Adapter packages: what a tool is, what it may reach, and on whose word. Bytes in, values out.
//!
//! An adapter is written as a directory: `adapter.toml`, schemas, and the artefact. It is packed into an OCI image layout,
//! whose one manifest is signed. The manifest's config is the adapter's own manifest in its one spelling (RFC 8785), with
//! the digest of every tool's definition; so a tool whose name, description or schema changes is another one.
//!
//! A package has exactly one spelling: every file of it is either named by its digest from what was signed, or can be
//! written again from the rest. So one changed byte anywhere is found out.

mod egress;
mod manifest;
mod package;
mod schema;
mod skeleton;

pub use manifest::{
    Approval, Artifact, Effect, Egress, Kind, Manifest, ManifestError, Named, Remote, SOURCE, Secret,
    Sources, Tool, canonical, definition, manifest,
};
pub use package::{
    ADAPTER, Blob, Layer, Layout, NOTHING, PREDICATE, PackageError, Release, Role, Signature, index, layers,
    layout, oci_layout, packed, release, signature, signature_manifest, statement, unpacked,
};
pub use skeleton::{FILL_IN, skeleton};

/// Bytes of a document: a manifest, a schema, a list of parts.
pub const LARGEST: usize = 4 << 20;
/// Bytes of an artefact.
pub const LARGEST_ARTIFACT: u64 = 1 << 30;
