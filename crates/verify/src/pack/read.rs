//! Reads an archive once, from front to end, in memory that does not grow with it. Nothing is believed yet.

use std::collections::BTreeMap;
use std::io::{self, Read};

use claw_model::digest::{Digest, Sum};

use crate::pack::format::{self, ALL_DOCUMENTS, BLOCK, LARGEST_DOCUMENT, SUM};
use crate::pack::{Flaw, Limits, PackError};

/// Where the bytes of entries go while they are read.
pub trait Sink {
    /// An entry begins.
    fn begin(&mut self, name: &str, size: u64) -> io::Result<()>;
    /// More of its bytes.
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// It ends.
    fn end(&mut self) -> io::Result<()>;
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl Sink for Nothing {
    fn begin(&mut self, _: &str, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn bytes(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What an archive contains.
#[derive(Debug, Default)]
pub struct Contents {
    pub(super) entries: BTreeMap<String, (u64, Digest)>,
    pub(super) documents: BTreeMap<String, Vec<u8>>,
    kept: u64,
}

impl Contents {
    /// Bytes and digest of an entry.
    pub fn entry(&self, name: &str) -> Option<(u64, Digest)> {
        self.entries.get(name).copied()
    }

    /// The bytes of a blob, if it is a small document.
    pub fn document(&self, digest: &Digest) -> Option<&[u8]> {
        self.documents.get(&format!("{}{}", format::BLOBS, digest.hex())).map(Vec::as_slice)
    }
}

/// Reads a whole archive. Bytes go to `sink` before anything was verified: what it did with them is undone on an error, and
/// if the contents are refused later.
pub fn read(source: &mut dyn Read, limits: &Limits, sink: &mut dyn Sink) -> Result<Contents, PackError> {
    let mut reader =
        Reader { source, sink, contents: Contents::default(), left: limits.bytes, whole: Sum::default() };
    let mut last = String::new();
    while let Some(block) = reader.header()? {
        let (name, size) = format::entry(&block)?;
        match name.cmp(&last) {
            std::cmp::Ordering::Equal => return Err(Flaw::Twice { name }.into()),
            std::cmp::Ordering::Less => return Err(Flaw::Order { name }.into()),
            std::cmp::Ordering::Greater => {}
        }
        if last == SUM {
            return Err(Flaw::Trailing.into());
        }
        if reader.contents.entries.len() >= limits.entries {
            return Err(Flaw::Many { most: limits.entries }.into());
        }
        reader.left = reader.left.checked_sub(size).ok_or(Flaw::Large { most: limits.bytes })?;
        reader.entry(&name, size, &block)?;
        last = name;
    }
    match last == SUM {
        true => Ok(reader.contents),
        false => Err(Flaw::Missing { name: SUM.to_owned() }.into()),
    }
}

/// The line of the sum.
pub(super) fn line(whole: &Sum) -> String {
    format!("{}\n", whole.clone().digest())
}

struct Reader<'a> {
    source: &'a mut dyn Read,
    sink: &'a mut dyn Sink,
    contents: Contents,
    left: u64,
    whole: Sum,
}

impl Reader<'_> {
    /// The next header; `None` at the end, behind which nothing may stand.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, PackError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        if block != [0; BLOCK] {
            return Ok(Some(block));
        }
        self.fill(&mut block)?;
        if block != [0; BLOCK] {
            return Err(Flaw::Trailing.into());
        }
        match self.some(&mut [0; 1])? {
            0 => Ok(None),
            _ => Err(Flaw::Trailing.into()),
        }
    }

    fn entry(&mut self, name: &str, size: u64, block: &[u8; BLOCK]) -> Result<(), PackError> {
        let expected = line(&self.whole);
        let mut kept = self.keeps(name, size)?.then(Vec::new);
        self.sink.begin(name, size).map_err(PackError::Io)?;
        let mut sum = Sum::default();
        let mut left = size;
        let mut buffer = vec![0; CHUNK];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let length = self.some(buffer.get_mut(..most).unwrap_or_default())?;
            let bytes = buffer.get(..length).unwrap_or_default();
            if bytes.is_empty() {
                return Err(Flaw::Short.into());
            }
            // a blob that is no JSON is no document
            if left == size && !format::is_document(name) && bytes.first() != Some(&b'{') {
                kept = None;
            }
            sum.add(bytes);
            self.sink.bytes(bytes).map_err(PackError::Io)?;
            if let Some(kept) = &mut kept {
                kept.extend_from_slice(bytes);
            }
            left = left.saturating_sub(length as u64);
        }
        self.sink.end().map_err(PackError::Io)?;
        self.padding(name, size)?;
        let digest = sum.digest();
        if let Some(hex) = name.strip_prefix(format::BLOBS)
            && hex != digest.hex()
        {
            return Err(Flaw::Digest { name: name.to_owned(), found: digest }.into());
        }
        if name == SUM && kept.as_deref() != Some(expected.as_bytes()) {
            return Err(Flaw::Sum.into());
        }
        self.whole.add(block);
        self.whole.add(digest.as_bytes());
        if let Some(kept) = kept {
            self.contents.kept = self.contents.kept.saturating_add(size);
            self.contents.documents.insert(name.to_owned(), kept);
        }
        self.contents.entries.insert(name.to_owned(), (size, digest));
        Ok(())
    }

    /// Whether the bytes are kept. Documents must be; blobs are if they are small, since they may be manifests.
    fn keeps(&self, name: &str, size: u64) -> Result<bool, Flaw> {
        let fits = size <= LARGEST_DOCUMENT && self.contents.kept.saturating_add(size) <= ALL_DOCUMENTS;
        match fits || !format::is_document(name) {
            true => Ok(fits),
            false => Err(Flaw::LargeDocument { name: name.to_owned(), size }),
        }
    }

    fn padding(&mut self, name: &str, size: u64) -> Result<(), PackError> {
        let block = BLOCK as u64;
        let missing = usize::try_from(size.wrapping_neg() % block).unwrap_or_default();
        let mut rest = [0; BLOCK];
        let rest = rest.get_mut(..missing).unwrap_or_default();
        self.fill(rest)?;
        match rest.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(Flaw::Padding { name: name.to_owned() }.into()),
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), PackError> {
        self.source.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Flaw::Short.into(),
            _ => PackError::Io(error),
        })
    }

    fn some(&mut self, buffer: &mut [u8]) -> Result<usize, PackError> {
        loop {
            match self.source.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map_err(PackError::Io),
            }
        }
    }
}

const CHUNK: usize = 1 << 17;
