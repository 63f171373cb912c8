//! Metadata files by name, as a repository that never waits.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use sigstore_tuf::transport::FetchFuture;
use sigstore_tuf::{Error, Repository};

use crate::tuf::{TufError, strict};

/// Metadata files by their name in the repository: `1.root.json`, `timestamp.json`, `3.targets.json`.
#[derive(Debug, Default)]
pub struct Files {
    files: BTreeMap<String, Vec<u8>>,
    used: Mutex<BTreeSet<String>>,
}

impl Files {
    /// No files.
    pub fn new() -> Files {
        Files::default()
    }

    /// One more. A name that is there already is refused.
    pub fn add(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), TufError> {
        if self.files.insert(name.to_owned(), bytes).is_some() {
            return Err(TufError::Twice { name: name.to_owned() });
        }
        Ok(())
    }

    /// The content of a file.
    pub fn read(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// Names and contents, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    pub(super) fn must(&self, name: &str) -> Result<&[u8], TufError> {
        self.read(name).ok_or_else(|| TufError::Missing { name: name.to_owned() })
    }

    /// Roots by version, lowest first.
    pub(super) fn roots(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let numbered = self.files.iter().filter_map(|(name, bytes)| {
            let version = name.strip_suffix(".root.json")?;
            let plain = version.bytes().all(|byte| byte.is_ascii_digit()) && !version.starts_with('0');
            plain.then(|| version.parse().ok()).flatten().map(|version: u64| (version, bytes.as_slice()))
        });
        numbered.collect::<BTreeMap<_, _>>().into_iter()
    }

    /// A copy in which every file is JSON with each key once.
    pub(super) fn strict(&self) -> Result<Files, TufError> {
        for (name, bytes) in &self.files {
            strict::check(name, bytes)?;
            if name.ends_with(".root.json") {
                strict::root(bytes)?;
            }
        }
        Ok(Files { files: self.files.clone(), used: Mutex::default() })
    }

    pub(super) fn used(&self, name: &str) {
        if let Ok(mut used) = self.used.lock() {
            used.insert(name.to_owned());
        }
    }

    pub(super) fn unused(&self) -> Vec<String> {
        let used = self.used.lock().map(|used| used.clone()).unwrap_or_default();
        self.files.keys().filter(|name| !used.contains(*name)).cloned().collect()
    }

    pub(super) fn those_used(&self) -> Files {
        let used = self.used.lock().map(|used| used.clone()).unwrap_or_default();
        let files = self.files.iter().filter(|(name, _)| used.contains(*name));
        Files {
            files: files.map(|(name, bytes)| (name.clone(), bytes.clone())).collect(),
            used: Mutex::default(),
        }
    }

    pub(super) fn repository(self: &Arc<Files>) -> impl Repository + use<> {
        Here(Arc::clone(self))
    }
}

struct Here(Arc<Files>);

impl Repository for Here {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        let found = match self.0.read(name) {
            Some(bytes) if bytes.len() as u64 > max_length => {
                Err(Error::transport(format!("`{name}` has more than {max_length} bytes")))
            }
            Some(bytes) => {
                self.0.used(name);
                Ok(Some(bytes.to_vec()))
            }
            None => Ok(None),
        };
        Box::pin(std::future::ready(found))
    }

    /// Targets are compared by digest where they are; none is read through here.
    fn fetch_target<'a>(&'a self, _: &'a str, _: u64) -> FetchFuture<'a> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// What a future yields that has nothing to wait for; `None` if it waits after all.
pub(super) fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A role's name as it stands in a file name (RFC 3986, section 2.3).
pub(super) fn encoded(role: &str) -> String {
    let mut out = String::with_capacity(role.len());
    for byte in role.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
