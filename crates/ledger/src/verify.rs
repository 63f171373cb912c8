//! Is this ledger whole? Reads it line by line, names the first broken record.
//!
//! A changed record shows when the next one's `prev` does not match, and a changed last record in the head.
//! Records cut off the end leave a sound, shorter ledger: only a head kept elsewhere shows that
//! ([`Verdict::expects`]).

use std::fmt;

use claw_model::digest::Digest;
use jiff::Timestamp;
use thiserror::Error;

use crate::record::{Record, RecordError};

/// What reading a ledger showed.
#[derive(Debug)]
pub struct Verdict {
    /// How many whole, linked records were read before the end or before the break was noticed.
    pub records: u64,
    /// The hash of the last of them.
    pub head: Digest,
    /// How many bytes they take. If nothing is broken, what follows is a torn line.
    pub bytes: u64,
    /// The first broken record.
    pub broken: Option<Broken>,
    /// What is odd but breaks nothing: the first [`MAX_WARNINGS`].
    pub warnings: Vec<Warning>,
    /// How many more warnings there were.
    pub more_warnings: u64,
}

/// The first broken record.
#[derive(Debug, Error)]
#[error("record {seq} (line {line}): {flaw}")]
pub struct Broken {
    /// The number it should have.
    pub seq: u64,
    /// Its line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What is wrong with a record.
#[derive(Debug, Error)]
pub enum Flaw {
    /// There is nothing in the ledger.
    #[error("no records")]
    Empty,
    /// It cannot be read: not JSON, an unknown kind, not a time.
    #[error(transparent)]
    Record(RecordError),
    /// The line has no newline, but others follow.
    #[error("the line is cut short")]
    Cut,
    /// Its number is not the next.
    #[error("its number is {found}: records were removed, added or moved here")]
    Seq {
        /// The number it has.
        found: u64,
    },
    /// It was changed: the record after it remembers another hash.
    #[error("it was changed, or the `prev` after it was: it hashes to {is}, the next record says {said}")]
    Changed {
        /// Its hash.
        is: Digest,
        /// The hash the next record has for it.
        said: Digest,
    },
    /// Its `prev` is wrong.
    #[error("its `prev` is {found}, but the record before it hashes to {before}")]
    Prev {
        /// What it says.
        found: Digest,
        /// The hash of the record before it.
        before: Digest,
    },
}

/// Odd, but nothing is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The last line was not written to its end; it is not counted and not part of the head.
    Torn {
        /// Its line, from 1.
        line: u64,
        /// How many bytes of it there are.
        bytes: u64,
    },
    /// The clock went back between two records.
    Clock {
        /// The later record's line.
        line: u64,
    },
}

/// The ledger ends elsewhere than it should.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the ledger ends at record {records} with head {head}, not {expected}: \
     records were cut off its end or added to it, or its last record was changed"
)]
pub struct HeadMismatch {
    /// How many records there are.
    pub records: u64,
    /// The head they have.
    pub head: Digest,
    /// The head that was expected.
    pub expected: Digest,
}

/// Verifies a whole ledger.
pub fn verify(bytes: &[u8]) -> Verdict {
    let mut verifier = Verifier::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        verifier.line(line);
    }
    verifier.finish()
}

impl Verdict {
    /// True if no record is broken and there is at least one.
    pub fn is_sound(&self) -> bool {
        self.broken.is_none()
    }

    /// Compares the head with one kept elsewhere.
    pub fn expects(&self, head: &Digest) -> Result<(), HeadMismatch> {
        if self.head == *head {
            return Ok(());
        }
        Err(HeadMismatch { records: self.records, head: self.head, expected: *head })
    }
}

/// Verifies a ledger as its lines arrive.
#[derive(Debug)]
pub struct Verifier {
    lines: u64,
    verdict: Verdict,
    before: Option<Timestamp>,
    torn: bool,
    mismatch: Option<Mismatch>,
}

/// A `prev` that does not match: who was changed is known when the line after it has been seen.
#[derive(Debug)]
struct Mismatch {
    is: Digest,
    said: Digest,
    /// The hash of the record that says so.
    own: Digest,
}

impl Verifier {
    /// Before the first line.
    pub fn new() -> Self {
        let head = Digest::of(b"");
        let verdict =
            Verdict { records: 0, head, bytes: 0, broken: None, warnings: Vec::new(), more_warnings: 0 };
        Self { lines: 0, verdict, before: None, torn: false, mismatch: None }
    }

    /// Takes the next line, its newline included. Only the last may lack one.
    pub fn line(&mut self, line: &[u8]) {
        let _ = self.take(line);
    }

    /// Takes the next line as [`Verifier::line`] does, and hands out its record if it goes on the chain. Whether the
    /// record itself was changed is known only with the line after it: believe none before the verdict.
    pub fn take(&mut self, line: &[u8]) -> Option<Record> {
        if self.verdict.broken.is_some() {
            return None;
        }
        self.lines += 1;
        if self.torn {
            self.breaks(self.lines - 1, Flaw::Cut);
            return None;
        }
        let Some(text) = line.strip_suffix(b"\n") else {
            self.torn = true;
            self.warn(Warning::Torn { line: self.lines, bytes: line.len() as u64 });
            return None;
        };
        let record = Record::parse(text);
        if let Some(mismatch) = self.mismatch.take() {
            let vouched = record.is_ok_and(|record| record.prev == mismatch.own);
            self.blame(mismatch, if vouched { Known::Intact } else { Known::Nothing });
            return None;
        }
        match record {
            Err(error) => self.breaks(self.lines, Flaw::Record(error)),
            Ok(record) if record.seq != self.lines => {
                self.breaks(self.lines, Flaw::Seq { found: record.seq });
            }
            Ok(record) if record.prev != self.verdict.head && self.verdict.records == 0 => {
                self.breaks(self.lines, Flaw::Prev { found: record.prev, before: self.verdict.head });
            }
            Ok(record) if record.prev != self.verdict.head => {
                let (is, said, own) = (self.verdict.head, record.prev, Digest::of(text));
                self.mismatch = Some(Mismatch { is, said, own });
            }
            Ok(record) => {
                self.accept(&record, text);
                return Some(record);
            }
        }
        None
    }

    /// The verdict, once every line was taken.
    pub fn finish(mut self) -> Verdict {
        if let Some(mismatch) = self.mismatch.take() {
            self.lines += 1;
            self.blame(mismatch, Known::Last);
        }
        if self.verdict.records == 0 && self.verdict.broken.is_none() {
            self.breaks(1, Flaw::Empty);
        }
        self.verdict
    }

    fn accept(&mut self, record: &Record, text: &[u8]) {
        if self.before.is_some_and(|before| record.time < before) {
            self.warn(Warning::Clock { line: self.lines });
        }
        self.before = Some(record.time);
        self.verdict.records += 1;
        self.verdict.bytes += text.len() as u64 + 1;
        self.verdict.head = Digest::of(text);
    }

    /// The line before the current one says `said` of the line before itself. If the current line vouches for
    /// it, the older one was changed; if it vouches not, that line itself was; if there is none, nobody knows.
    fn blame(&mut self, Mismatch { is, said, .. }: Mismatch, known: Known) {
        match known {
            Known::Intact | Known::Last => {
                self.breaks(self.lines - 2, Flaw::Changed { is, said });
            }
            Known::Nothing => self.breaks(self.lines - 1, Flaw::Prev { found: said, before: is }),
        }
    }

    fn breaks(&mut self, line: u64, flaw: Flaw) {
        self.verdict.broken = Some(Broken { seq: line, line, flaw });
    }

    fn warn(&mut self, warning: Warning) {
        if self.verdict.warnings.len() < MAX_WARNINGS {
            self.verdict.warnings.push(warning);
        } else {
            self.verdict.more_warnings += 1;
        }
    }
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torn { line, bytes } => {
                write!(f, "line {line} was not written to its end ({bytes} bytes): not counted")
            }
            Self::Clock { line } => write!(f, "line {line}: the clock went back"),
        }
    }
}

/// What the line after a mismatch says about the record that claims it.
enum Known {
    /// It is as it was written.
    Intact,
    /// It is not, or cannot be told.
    Nothing,
    /// There is no line after it.
    Last,
}

/// How many warnings are kept.
pub const MAX_WARNINGS: usize = 100;

#[cfg(test)]
mod tests;
