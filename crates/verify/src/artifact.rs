//! The artefact, read once: its digests, and the bytes where they are few.

use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256, SHA384, SHA512};
use claw_model::digest::Digest;

use crate::statement::Known;

/// Bytes that are kept. A signature of the bytes themselves, rather than of a digest, can be verified up to here.
pub const KEPT: usize = 64 << 20;

/// An artefact that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    digests: Known,
    bytes: Option<Vec<u8>>,
    length: u64,
}

impl Artifact {
    /// From bytes.
    pub fn of(bytes: &[u8]) -> Artifact {
        let mut hashes = Hashes::new();
        hashes.add(bytes);
        Artifact { digests: hashes.end(), bytes: Some(bytes.to_vec()), length: bytes.len() as u64 }
    }

    /// Reads to the end, in flat memory: no more than [`KEPT`] bytes stay.
    pub fn read(reader: &mut dyn Read) -> io::Result<Artifact> {
        let (mut hashes, mut kept, mut length) = (Hashes::new(), Some(Vec::new()), 0_u64);
        let mut buffer = vec![0; 1 << 18];
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let part = buffer.get(..count).unwrap_or_default();
            if part.is_empty() {
                return Ok(Artifact { digests: hashes.end(), bytes: kept, length });
            }
            hashes.add(part);
            length = length.saturating_add(part.len() as u64);
            match &mut kept {
                Some(bytes) if bytes.len().saturating_add(part.len()) <= KEPT => {
                    bytes.extend_from_slice(part)
                }
                _ => kept = None,
            }
        }
    }

    /// Its digests.
    pub fn digests(&self) -> &Known {
        &self.digests
    }

    /// One that is only known by its digest. A signature of the bytes themselves cannot be verified.
    pub fn known(digests: Known) -> Artifact {
        Artifact { digests, bytes: None, length: 0 }
    }

    /// Its SHA-256, or what is known instead.
    pub fn name(&self) -> String {
        self.digests.name()
    }

    /// The bytes, if they are few enough.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.bytes.as_deref()
    }

    /// How many bytes were read.
    pub fn length(&self) -> u64 {
        self.length
    }
}

struct Hashes([Context; 3]);

impl Hashes {
    fn new() -> Hashes {
        Hashes([Context::new(&SHA256), Context::new(&SHA384), Context::new(&SHA512)])
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|context| context.update(bytes));
    }

    fn end(self) -> Known {
        let [sha256, sha384, sha512] = self.0.map(Context::finish);
        // Each has the length of its algorithm.
        Known {
            sha256: sha256.as_ref().try_into().ok().map(Digest),
            sha384: sha384.as_ref().try_into().ok(),
            sha512: sha512.as_ref().try_into().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_gives_the_digests_of_what_was_read() {
        let read = Artifact::read(&mut b"abc".as_slice()).unwrap();
        assert_eq!(read, Artifact::of(b"abc"));
        assert_eq!(read.name(), Digest::of(b"abc").to_string());
        let hex = data_encoding::HEXLOWER.encode(&read.digests().sha512.unwrap());
        assert!(hex.starts_with("ddaf35a193617abacc417349ae204131"), "{hex}");
    }

    #[test]
    fn a_large_artefact_is_not_kept() {
        let mut reader = io::repeat(7).take(KEPT as u64 + 1);
        let read = Artifact::read(&mut reader).unwrap();
        assert_eq!((read.bytes(), read.length()), (None, KEPT as u64 + 1));
        let mut reader = io::repeat(7).take(KEPT as u64);
        assert_eq!(Artifact::read(&mut reader).unwrap().bytes().map(<[u8]>::len), Some(KEPT));
    }
}
