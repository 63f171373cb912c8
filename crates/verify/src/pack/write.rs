//! Writes an archive: the same parts give the same bytes, wherever and whenever.

use std::io::{self, Read, Write};

use claw_model::digest::{Digest, Sum};

use crate::pack::format::{self, BLOCK, SUM};
use crate::pack::read::line;
use crate::pack::{Content, Flaw, PackError, Part};

/// Writes the parts, which are sorted. `open` yields the bytes of a blob that is not held in memory.
pub fn write(
    parts: &[Part],
    out: &mut dyn Write,
    open: &mut dyn FnMut(&Digest) -> io::Result<Box<dyn Read>>,
) -> Result<(), PackError> {
    let mut whole = Sum::default();
    for part in parts {
        match &part.content {
            Content::Bytes(bytes) => one(&part.name, part.size, &mut bytes.as_slice(), out, &mut whole)?,
            Content::Blob(digest) => {
                let mut source = open(digest).map_err(PackError::Io)?;
                let found = one(&part.name, part.size, &mut source, out, &mut whole)?;
                // it changed since it was approved, or while it was read
                if found != *digest {
                    return Err(Flaw::Digest { name: part.name.clone(), found }.into());
                }
                continue;
            }
        };
    }
    let line = line(&whole);
    one(SUM, line.len() as u64, &mut line.as_bytes(), out, &mut whole)?;
    out.write_all(&[0; BLOCK]).and_then(|()| out.write_all(&[0; BLOCK])).map_err(PackError::Io)
}

/// How many bytes the archive of these parts has.
pub fn archive_size(parts: &[Part]) -> u64 {
    let block = BLOCK as u64;
    let one = |size: u64| size.div_ceil(block).saturating_add(1).saturating_mul(block);
    let sum = line(&Sum::default()).len() as u64;
    let sizes = parts.iter().map(|part| part.size).chain([sum]);
    sizes.map(one).fold(block.saturating_mul(2), u64::saturating_add)
}

fn one(
    name: &str,
    size: u64,
    source: &mut dyn Read,
    out: &mut dyn Write,
    whole: &mut Sum,
) -> Result<Digest, PackError> {
    let header = format::header(name, size).ok_or_else(|| Flaw::Name { name: name.to_owned() })?;
    out.write_all(&header).map_err(PackError::Io)?;
    let mut sum = Sum::default();
    let mut buffer = vec![0; CHUNK];
    let mut left = size;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let length = source.read(buffer.get_mut(..most).unwrap_or_default()).map_err(PackError::Io)?;
        let bytes = buffer.get(..length).unwrap_or_default();
        if bytes.is_empty() {
            return Err(Flaw::Short.into());
        }
        sum.add(bytes);
        out.write_all(bytes).map_err(PackError::Io)?;
        left = left.saturating_sub(length as u64);
    }
    let missing = usize::try_from(size.wrapping_neg() % BLOCK as u64).unwrap_or_default();
    out.write_all([0; BLOCK].get(..missing).unwrap_or_default()).map_err(PackError::Io)?;
    let digest = sum.digest();
    whole.add(&header);
    whole.add(digest.as_bytes());
    Ok(digest)
}

const CHUNK: usize = 1 << 17;
