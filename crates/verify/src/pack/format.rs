//! How an entry is written, which is the only way that is read.

use crate::pack::Flaw;

/// How much is read at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries.
    pub entries: usize,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { entries: MOST_ENTRIES, bytes: MOST_BYTES }
    }
}

/// Entries that are read, unless fewer are asked for.
const MOST_ENTRIES: usize = 65_536;
/// Bytes that are read, unless fewer are asked for.
const MOST_BYTES: u64 = 1 << 40;
/// Bytes of a document that is kept while the archive is read.
pub const LARGEST_DOCUMENT: u64 = 8 << 20;
/// Bytes of all of them.
pub(super) const ALL_DOCUMENTS: u64 = 64 << 20;
/// Archives are made of blocks of so many bytes.
pub(super) const BLOCK: usize = 512;
/// Bytes of a name: what one block holds.
pub(super) const LONGEST: usize = 100;

/// Blobs stand below this, by digest.
pub(super) const BLOBS: &str = "blobs/sha256/";
/// Metadata stands below this.
pub(super) const TUF: &str = "tuf/";
/// Targets that are no artefacts stand below this.
pub(super) const TARGETS: &str = "tuf/targets/";
/// The last entry: a sum over all before it. It finds what broke on the way; who forges it must forge the rest as well.
pub(super) const SUM: &str = "verify.sum";

/// The block before an entry's bytes.
pub(super) fn header(name: &str, size: u64) -> Option<[u8; BLOCK]> {
    if name.len() > LONGEST {
        return None;
    }
    let mut header = tar::Header::new_gnu();
    header.set_path(name).ok()?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Some(*header.as_bytes())
}

/// Name and size of an entry, if its block is exactly as it is written here.
pub(super) fn entry(block: &[u8; BLOCK]) -> Result<(String, u64), Flaw> {
    let header = tar::Header::from_byte_slice(block);
    let kind = header.entry_type();
    if kind != tar::EntryType::Regular {
        return Err(Flaw::Kind { kind: kind.as_byte() });
    }
    let raw = block.get(..LONGEST).unwrap_or_default();
    let raw = raw.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(raw).into_owned();
    self::name(&name)?;
    let size = header.entry_size().map_err(|_| Flaw::Header { name: name.clone() })?;
    match self::header(&name, size) {
        Some(expected) if expected == *block => Ok((name, size)),
        _ => Err(Flaw::Header { name }),
    }
}

/// Refuses a name that is none of a pack.
fn name(name: &str) -> Result<(), Flaw> {
    let wrong = || Flaw::Name { name: name.to_owned() };
    if name.starts_with('/') || name.split('/').any(|part| part == "..") {
        return Err(Flaw::LeadsOut { name: name.to_owned() });
    }
    if let Some(hex) = name.strip_prefix(BLOBS) {
        let digest = format!("sha256:{hex}").parse::<claw_model::digest::Digest>();
        return digest.map(drop).map_err(|_| wrong());
    }
    let rest = name.strip_prefix(TARGETS).or_else(|| name.strip_prefix(TUF));
    match rest {
        Some(rest) if is_plain(rest) => Ok(()),
        Some(_) => Err(wrong()),
        None => [INDEX, LAYOUT, SUM].contains(&name).then_some(()).ok_or_else(wrong),
    }
}

/// A name of one part, of characters that mean nothing to anybody.
pub(super) fn is_plain(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(known)
}

/// Whether an entry is kept while the archive is read, whatever it looks like.
pub(super) fn is_document(name: &str) -> bool {
    !name.starts_with(BLOBS)
}

pub(super) const INDEX: &str = "index.json";
pub(super) const LAYOUT: &str = "oci-layout";
