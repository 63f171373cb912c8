//! The ledger file: one `write` for each record, before its decision takes effect; the disk is waited for in groups.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use claw_gate::{Journal, Unwritable};
use claw_ledger::chain::Chain;
use claw_ledger::coalesce::{Coalescer, Offer};
use claw_ledger::record::Event;
use claw_ledger::summary::Summary;
use claw_model::digest::Digest;
use jiff::Timestamp;

/// Why there is no ledger. Without one, nothing runs.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the ledger `{path}`")]
pub struct LedgerError {
    /// The file.
    pub path: PathBuf,
    #[source]
    source: io::Error,
}

/// A ledger that is being written.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    inner: RefCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    chain: Chain,
    coalescer: Coalescer,
    summary: Summary,
    line: Vec<u8>,
    dirty: bool,
    broken: bool,
}

impl Ledger {
    /// Makes a new file that only this user may read. An existing file is never touched.
    pub(crate) fn create(path: &Path) -> Result<Ledger, LedgerError> {
        let fail = |source| LedgerError { path: path.to_owned(), source };
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(fail)?;
        }
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path).map_err(fail)?;
        let inner = Inner {
            file,
            chain: Chain::new(),
            coalescer: Coalescer::new(milliseconds()),
            summary: Summary::default(),
            line: Vec::with_capacity(1024),
            dirty: false,
            broken: false,
        };
        Ok(Ledger { path: path.to_owned(), inner: RefCell::new(inner) })
    }

    /// The digest of the last record.
    pub(crate) fn head(&self) -> Digest {
        self.inner.borrow().chain.head()
    }

    /// Writes the counts of what was repeated, if it is time; all of them at the end.
    pub(crate) fn flush(&self, when: Flush) {
        let mut inner = self.inner.borrow_mut();
        let events = match when {
            Flush::Due => inner.coalescer.due(milliseconds()),
            Flush::All => inner.coalescer.drain(),
        };
        for event in &events {
            let _ = inner.append(event, None);
        }
    }

    /// Shows the file to whoever is to wait for the disk.
    pub(crate) fn show(&self, to: impl FnOnce(BorrowedFd<'_>)) {
        to(self.inner.borrow().file.as_fd());
    }

    /// Waits for the disk.
    pub(crate) fn sync(&self) {
        if let Some(file) = self.unsynced() {
            let _ = file.sync_data();
        }
    }

    /// The file, if something was written since this was last asked: to wait for the disk elsewhere.
    pub(crate) fn unsynced(&self) -> Option<File> {
        let mut inner = self.inner.borrow_mut();
        if !std::mem::take(&mut inner.dirty) {
            return None;
        }
        inner.file.try_clone().ok()
    }
}

/// Which counts to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Those whose second is over.
    Due,
    /// All.
    All,
}

impl Journal for Ledger {
    fn write(&self, event: &Event, suggestion: Option<&str>) -> Result<Option<u64>, Unwritable> {
        let mut inner = self.inner.borrow_mut();
        let next = inner.chain.seq().saturating_add(1);
        match inner.coalescer.offer(milliseconds(), next, event) {
            Offer::Write => inner.append(event, suggestion).map(|()| Some(next)),
            Offer::Count(_) if inner.broken => Err(Unwritable(io::ErrorKind::WriteZero.into())),
            Offer::Count(of) => Ok(of),
        }
    }

    fn summary(&self) -> Summary {
        self.inner.borrow().summary.clone()
    }
}

impl Inner {
    /// One record, one write. After a failed or partial write nothing more is permitted: the file's end is unknown.
    fn append(&mut self, event: &Event, suggestion: Option<&str>) -> Result<(), Unwritable> {
        if self.broken {
            return Err(Unwritable(io::ErrorKind::WriteZero.into()));
        }
        self.line.clear();
        let seq = self.chain.append(Timestamp::now(), event, &mut self.line);
        let written = loop {
            match self.file.write(&self.line) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match written {
            Ok(length) if length == self.line.len() => {
                self.dirty = true;
                self.summary.add(seq, event, suggestion);
                Ok(())
            }
            Ok(_) => {
                self.broken = true;
                Err(Unwritable(io::ErrorKind::WriteZero.into()))
            }
            Err(error) => {
                self.broken = true;
                Err(Unwritable(error))
            }
        }
    }
}

impl From<(&Ledger, Unwritable)> for LedgerError {
    fn from((ledger, error): (&Ledger, Unwritable)) -> LedgerError {
        LedgerError { path: ledger.path.clone(), source: error.0 }
    }
}

fn milliseconds() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}
