//! A layer as a stream of bytes: uncompressed, summed up, and never more than is bearable.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::rc::Rc;

use claw_image::{Descriptor, Media};
use claw_model::digest::{Digest, Sum};
use flate2::read::MultiGzDecoder;

/// How many bytes all layers may still have.
#[derive(Debug, Clone)]
pub(super) struct Budget(Rc<Cell<u64>>);

impl Budget {
    pub(super) fn new() -> Budget {
        Budget(Rc::new(Cell::new(MOST)))
    }
}

/// How many bytes may be read by somebody who keeps them in memory. The bound stands where the bytes come from, so that it
/// does not matter how they are read as headers.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Rc<Cell<Option<Left>>>);

#[derive(Debug, Clone, Copy)]
struct Left {
    most: u64,
    left: u64,
}

impl Held {
    /// Not more than so many, while this is done.
    pub(super) fn within<T>(&self, most: u64, read: impl FnOnce() -> T) -> T {
        self.0.set(Some(Left { most, left: most }));
        let result = read();
        self.0.set(None);
        result
    }

    fn take(&self, length: u64) -> io::Result<()> {
        let Some(Left { most, left }) = self.0.get() else { return Ok(()) };
        let left = left.checked_sub(length).ok_or_else(|| {
            io::Error::other(format!("the headers of an entry have more than {most} bytes"))
        })?;
        self.0.set(Some(Left { most, left }));
        Ok(())
    }
}

/// What a layer contains.
pub(super) struct Stream {
    inner: Box<dyn Read>,
    sum: Sum,
    length: u64,
    most: u64,
    budget: Budget,
    held: Held,
}

impl Stream {
    pub(super) fn of(file: File, layer: &Descriptor, budget: &Budget, held: &Held) -> Stream {
        let file = BufReader::with_capacity(1 << 16, file.take(layer.size));
        let inner: Box<dyn Read> = match layer.media {
            Media::TarGzip => Box::new(MultiGzDecoder::new(file)),
            _ => Box::new(file),
        };
        let most = layer.size.saturating_mul(RATIO).max(SMALL);
        Stream { inner, sum: Sum::default(), length: 0, most, budget: budget.clone(), held: held.clone() }
    }

    /// Reads to the end, where only zeros may stand, and tells the digest of all of it.
    pub(super) fn finish(mut self) -> io::Result<Digest> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            match self.read(&mut buffer)? {
                0 => return Ok(self.sum.digest()),
                length if buffer.get(..length).unwrap_or_default().iter().any(|byte| *byte != 0) => {
                    return Err(io::Error::other("something stands behind the end of the archive"));
                }
                _ => {}
            }
        }
    }
}

impl Stream {
    /// Some archives end without filling up their last block. What is filled up here belongs to no entry, and to no digest.
    fn pad(&mut self, buffer: &mut [u8]) -> usize {
        let missing = self.length.next_multiple_of(BLOCK).saturating_sub(self.length);
        let zeros = usize::try_from(missing).unwrap_or_default().min(buffer.len());
        buffer.iter_mut().take(zeros).for_each(|byte| *byte = 0);
        self.length = self.length.saturating_add(zeros as u64);
        zeros
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        if length == 0 {
            return Ok(self.pad(buffer));
        }
        self.sum.add(buffer.get(..length).unwrap_or_default());
        let read = length as u64;
        self.length = self.length.saturating_add(read);
        if self.length > self.most {
            return Err(io::Error::other(format!("it grows to more than {RATIO} times its size")));
        }
        self.held.take(read)?;
        match self.budget.0.get().checked_sub(read) {
            Some(left) => self.budget.0.set(left),
            None => return Err(io::Error::other(format!("the image has more than {} GiB", MOST >> 30))),
        }
        Ok(length)
    }
}

/// Archives are made of blocks of so many bytes.
const BLOCK: u64 = 512;
/// Bytes of all layers.
const MOST: u64 = 32 << 30;
/// How far a layer may grow, unless it stays small.
const RATIO: u64 = 200;
/// Small.
const SMALL: u64 = 64 << 20;
