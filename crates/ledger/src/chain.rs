//! The hash chain: each record carries the SHA-256 of the line before it.
//!
//! The first record's `prev` is the hash of nothing (`sha256:e3b0c442…b855`). The head is the hash of the last
//! line; whoever keeps it elsewhere notices if records are later changed or cut off.

use std::io::Write as _;

use claw_model::digest::Digest;
use jiff::Timestamp;
use serde::Serialize as _;

use crate::record::{self, Event};
use crate::text::Safe;
use crate::verify::Verdict;

/// Where the next record goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    seq: u64,
    head: Digest,
}

impl Chain {
    /// The chain of an empty ledger.
    pub fn new() -> Self {
        Self { seq: 0, head: Digest::of(b"") }
    }

    /// Goes on after a ledger that was verified; None if it is broken. If its last line is torn, cut the file
    /// to [`Verdict::bytes`] first.
    pub fn resume(verdict: &Verdict) -> Option<Self> {
        verdict.is_sound().then_some(Self { seq: verdict.records, head: verdict.head })
    }

    /// Appends the next record as one line to `out` and returns its number.
    ///
    /// The chain moves on at once. If the line then cannot be written, keep a clone from before and go back to
    /// it, or write nothing more: a gap is a broken ledger.
    pub fn append(&mut self, now: Timestamp, event: &Event, out: &mut Vec<u8>) -> u64 {
        let start = out.len();
        self.seq = self.seq.saturating_add(1);
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{{\"seq\":{},\"time\":\"", self.seq);
        record::write_time(now, out);
        out.extend_from_slice(b"\",\"prev\":\"sha256:");
        out.extend_from_slice(&hex(&self.head));
        out.push(b'"');
        let body = out.len();
        if event.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Safe)).is_err() {
            // No event can fail to become JSON; if one ever does, the ledger still counts it.
            out.truncate(body);
            out.extend_from_slice(LOST);
        }
        // The event is an object of its own: its opening brace becomes the comma that joins the two.
        if let Some(brace) = out.get_mut(body) {
            *brace = b',';
        }
        self.head = Digest::of(out.get(start..).unwrap_or_default());
        out.push(b'\n');
        self.seq
    }

    /// The hash of the last line.
    pub fn head(&self) -> Digest {
        self.head
    }

    /// The number of the last record; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

/// [`Digest::hex`] without its allocation: this is done for every record.
fn hex(digest: &Digest) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest.as_bytes()) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

const LOST: &[u8] = br#"{"kind":"repeat","count":1,"reason":"unwritable"}"#;

#[cfg(test)]
pub(crate) mod tests;
