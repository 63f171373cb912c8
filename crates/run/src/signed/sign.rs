//! Signing a policy, or adding one's signature to those that it has.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use claw_model::digest::Digest;
use claw_policy::Policy;
use claw_sys::whole;
use claw_verify::Error;
use claw_verify::envelope::{Envelope, IN_TOTO};
use claw_verify::policy::Release;
use claw_verify::sign::PrivateKey;
use claw_verify::statement::Digests;
use jiff::Timestamp;

use super::{SignedError, files, signature, signature_of};

/// What is to be signed.
#[derive(Debug)]
pub struct Signing<'a> {
    /// The policy's file.
    pub file: &'a Path,
    /// Its text.
    pub text: &'a str,
    /// The same, read.
    pub policy: &'a Policy,
    /// Where the files that it names are found from.
    pub directory: &'a Path,
}

/// On which terms.
#[derive(Debug, Clone)]
pub enum Terms {
    /// Those of the signature that is there: one more signature.
    Add,
    /// New ones.
    New {
        /// The policy's name; its agent's if not given.
        name: Option<String>,
        /// Its number; one more than that of the signature that is there, if not given.
        version: Option<u64>,
        /// The keyring whose holders sign it, if they do as such.
        keyring: Option<Digest>,
        /// From when.
        not_before: Timestamp,
        /// Until when.
        expires: Timestamp,
    },
}

/// Why a policy was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] SignedError),
    /// A key cannot be used.
    #[error("cannot sign with `{}`", .path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
    /// There is nothing to sign, or not in this way.
    #[error("cannot sign `{}`", .path.display())]
    Statement {
        /// The policy.
        path: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
    /// It has no name.
    #[error("`{}` has no `agent`, so its signature has no name", .path.display())]
    Nameless {
        /// The policy.
        path: PathBuf,
    },
    /// The signature that is there has no next version.
    #[error("no version comes after that of the signature beside `{}`", .path.display())]
    Last {
        /// The policy.
        path: PathBuf,
    },
    /// A signature cannot be added.
    #[error("no signature can be added to `{}`: {why}", .path.display())]
    Differs {
        /// The policy.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// The signature cannot be written.
    #[error("cannot write `{}`", .path.display())]
    Unwritten {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl SignError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            SignError::File(error) => error.hint(),
            SignError::Key { .. } => "claw keyring key KEY makes one",
            SignError::Nameless { .. } => "give --name",
            SignError::Last { .. } => "whoever put it there drove it up; give --version",
            SignError::Differs { .. } => "without --add it is signed anew, as a new version",
            SignError::Statement { .. } => "give another --name, --version or --expires",
            SignError::Unwritten { .. } => "the signature is written beside the policy",
        }
    }
}

/// What will be signed, to be looked at before.
#[derive(Debug)]
pub struct Prepared<'a> {
    file: &'a Path,
    release: Release,
    payload: String,
    there: Option<Envelope>,
}

/// What will be signed on these terms. Of a signature that is there, nothing is believed: whoever signs looks at it.
pub fn prepare<'a>(what: &Signing<'a>, terms: Terms) -> Result<Prepared<'a>, SignError> {
    let file = what.file;
    let statement_error = |source| SignError::Statement { path: file.to_owned(), source };
    let there = signature(file)?.map(|bytes| Envelope::read(&bytes).map_err(statement_error));
    let named = files(what.policy, what.directory)?;
    let (release, there) = match terms {
        Terms::Add => {
            let differs = |why| SignError::Differs { path: file.to_owned(), why };
            let envelope = there.ok_or_else(|| differs("it has none yet"))??;
            let (release, statement) = Release::unverified(&envelope).map_err(statement_error)?;
            let sha256 = Digest::of(what.text.as_bytes());
            let of = Digests { sha256, sha384: None, sha512: None };
            statement.subject(&of).map_err(|_| differs("it changed since it was signed"))?;
            if release.files != named {
                return Err(differs("a file that it names changed since it was signed"));
            }
            (release, Some(envelope))
        }
        Terms::New { name, version, keyring, not_before, expires } => {
            let agent = || what.policy.agent().map(str::to_owned);
            let nameless = || SignError::Nameless { path: file.to_owned() };
            let name = name.or_else(agent).ok_or_else(nameless)?;
            // only to count on from it: whoever verifies remembers the versions that held
            let last = there.and_then(Result::ok).and_then(|envelope| Release::unverified(&envelope).ok());
            let last = last.filter(|(release, _)| release.name == name);
            let next = last.map_or(Some(1), |(release, _)| release.version.checked_add(1));
            let version = version.or(next).ok_or_else(|| SignError::Last { path: file.to_owned() })?;
            (Release { name, version, keyring, not_before, expires, files: named }, None)
        }
    };
    let shown = file.file_name().unwrap_or_default().to_string_lossy();
    let statement = release.statement(&shown, what.text.as_bytes()).map_err(statement_error)?;
    let payload = statement.write().map_err(statement_error)?;
    Ok(Prepared { file, release, payload, there })
}

impl Prepared<'_> {
    /// What its signature will say.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// Signs with each of these keys, and puts the signature beside the policy. How many there are now is told.
    pub fn sign(self, keys: &[PathBuf]) -> Result<usize, SignError> {
        let mut envelope = self.there;
        for path in keys {
            let failed = |source| SignError::Key { path: path.clone(), source };
            let key = PrivateKey::from_pem(&secret(path)?).map_err(failed)?;
            envelope = Some(
                match envelope.take() {
                    Some(envelope) => envelope.and_sign(&key),
                    None => Envelope::sign(IN_TOTO, self.payload.as_bytes(), &key),
                }
                .map_err(failed)?,
            );
        }
        let Some(envelope) = envelope else {
            return Err(SignError::Differs { path: self.file.to_owned(), why: "there is no key" });
        };
        let place = signature_of(self.file);
        whole::replace(&place, format!("{}\n", envelope.write()).as_bytes(), 0o644)
            .map_err(|source| SignError::Unwritten { path: place, source })?;
        Ok(envelope.signatures())
    }
}

fn secret(path: &Path) -> Result<String, SignedError> {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(LARGEST_KEY).read_to_string(&mut text));
    read.map(|_| text).map_err(|source| SignedError::Unread { path: path.to_owned(), source })
}

const LARGEST_KEY: u64 = 64 << 10;
