//! The list of packages that a program carries in itself: the form of `cargo auditable`, read by its authors' crates.
//!
//! It tells what whoever built the program says was linked. It is inside what is signed, and is no proof by itself.

use auditable_serde::{DependencyKind, VersionInfo};
use flate2::read::ZlibDecoder;
use std::io::Read;

/// A package that is linked into a program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// No list can be read.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No ELF file, or one without a list.
    #[error("the program carries no list of packages: {why}\nhint: it was not built with `cargo auditable`")]
    Absent {
        /// What the reader says.
        why: String,
    },
    /// Not what zlib makes, or far too long.
    #[error("the list of packages inside the program cannot be unpacked, or has more than {MOST} bytes")]
    Packed,
    /// Not the form.
    #[error("the list of packages inside the program is not in cargo-auditable's form")]
    Form(#[from] serde_json::Error),
}

/// A list of this many bytes is not read.
const MOST: u64 = 4 << 20;

/// What is listed as linked, without what only helped to build.
pub fn read(program: &[u8]) -> Result<Vec<Listed>, EmbeddedError> {
    let packed = auditable_extract::raw_auditable_data(program)
        .map_err(|error| EmbeddedError::Absent { why: error.to_string() })?;
    let mut text = Vec::new();
    let read = ZlibDecoder::new(packed).take(MOST + 1).read_to_end(&mut text);
    if read.is_err() || u64::try_from(text.len()).is_ok_and(|length| length > MOST) {
        return Err(EmbeddedError::Packed);
    }
    let list: VersionInfo = serde_json::from_slice(&text)?;
    let linked = list.packages.into_iter().filter(|package| package.kind == DependencyKind::Runtime);
    let mut listed: Vec<Listed> =
        linked.map(|package| Listed { name: package.name, version: package.version.to_string() }).collect();
    listed.sort();
    Ok(listed)
}
