//! Policies that must be signed. Whom to believe is settled when a run begins; it holds for every content that the file
//! gets later, and for every file that the policy names.

mod sign;

pub use sign::{Prepared, SignError, Signing, Terms, prepare};

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use claw_ledger::record::Signed;
use claw_model::digest::Digest;
use claw_policy::{CeilingFile, Exec, Policy, PolicyError, Seccomp};
use claw_verify::pins::Pins;
use claw_verify::policy::{File, Release, Role};
use claw_verify::{Clock, Error, Signer, Verified};
use jiff::Timestamp;

use crate::facts::canonical;
use crate::seen::{SeenError, Version};
use crate::source;

/// That a policy must be signed, and by whom.
#[derive(Debug, Clone)]
pub struct Demand {
    /// The file of keys, or the keyring, as it was named.
    pub keyring: PathBuf,
    /// The keys in it.
    pub pins: Pins,
    /// Before this it cannot be.
    pub floor: Timestamp,
    /// The name that a policy must be signed as, if that is asked.
    pub name: Option<String>,
}

/// A policy's signature, verified.
#[derive(Debug, Clone)]
pub struct Held {
    release: Verified<Release>,
    policy: Digest,
    version: Version,
}

/// Why a policy does not count as signed.
#[derive(Debug, thiserror::Error)]
pub enum SignedError {
    /// There is no signature.
    #[error("`{policy}` is not signed: there is no `{}`", .signature.display())]
    Unsigned {
        /// The policy.
        policy: String,
        /// Where its signature would be.
        signature: PathBuf,
    },
    /// The signature does not hold.
    #[error("the signature of `{policy}` does not hold")]
    Refused {
        /// The policy.
        policy: String,
        /// Why.
        #[source]
        source: Error,
    },
    /// It is the signature of another policy.
    #[error("`{policy}` is signed as `{found}`, not as `{asked}`")]
    Other {
        /// The policy.
        policy: String,
        /// The name that was signed.
        found: String,
        /// The name that is asked for.
        asked: String,
    },
    /// The file of keys cannot be used.
    #[error("cannot use the keys in `{}`", .path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
    /// It is an older one.
    #[error(transparent)]
    Seen(#[from] SeenError),
    /// A file cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl SignedError {
    /// A word for it that does not change.
    pub fn code(&self) -> &'static str {
        match self {
            SignedError::Unsigned { .. } => "unsigned",
            SignedError::Refused { source, .. } => source.code(),
            SignedError::Other { .. } => "other-name",
            SignedError::Seen(SeenError::Rollback { .. }) => "rollback",
            SignedError::Seen(SeenError::Twofold { .. }) => "version-twice",
            SignedError::Keys { .. } => "keyring",
            SignedError::Seen(_) | SignedError::Unread { .. } => "unread",
        }
    }

    /// Whether it is the answer no, rather than something that cannot be used.
    pub fn is_answer(&self) -> bool {
        !matches!(self.code(), "keyring" | "unread")
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            SignedError::Unsigned { .. } => "claw policy sign FILE --key KEY",
            SignedError::Refused { source: Error::Artifact { .. }, .. } => {
                "what changed since it was signed has to be signed again"
            }
            SignedError::Refused { source: Error::OtherKeyring { .. }, .. } => {
                "claw policy sign FILE --key KEY --keyring KEYRING signs it for that keyring"
            }
            SignedError::Refused { source: Error::Expired { .. }, .. } => "it has to be signed anew",
            SignedError::Refused { .. } => "claw policy verify FILE --keyring KEYRING says more",
            SignedError::Other { .. } => "give the policy that was meant, or another --signed-as",
            SignedError::Keys { .. } => "see docs/signed-policies.md for what it holds",
            SignedError::Seen(SeenError::Rollback { .. } | SeenError::Twofold { .. }) => {
                "sign it as a higher version, if it is the one that is wanted"
            }
            SignedError::Seen(_) | SignedError::Unread { .. } => "it must be a file that this user can use",
        }
    }
}

impl Demand {
    /// The same demand, for policies of this name only.
    pub(crate) fn named(self, held: &Held) -> Demand {
        Demand { name: Some(held.release().name.clone()), ..self }
    }

    /// What is signed of a policy, if it is.
    pub fn judge(
        &self,
        policy: (&str, &Path),
        content: &[u8],
        signature: Option<&[u8]>,
    ) -> Result<Held, SignedError> {
        let (shown, file) = policy;
        let shown = || shown.to_owned();
        let Some(signature) = signature else {
            return Err(SignedError::Unsigned { policy: shown(), signature: signature_of(file) });
        };
        let clock = Clock::new(Timestamp::now(), self.floor);
        let keys = self
            .pins
            .keys(&clock)
            .map_err(|source| SignedError::Keys { path: self.keyring.clone(), source })?;
        let release = Release::verify(content, signature, &keys, &clock)
            .map_err(|source| SignedError::Refused { policy: shown(), source })?;
        let found = &release.value().name;
        if let Some(asked) = self.name.as_ref().filter(|asked| *asked != found) {
            return Err(SignedError::Other { policy: shown(), found: found.clone(), asked: asked.clone() });
        }
        let policy = Digest::of(content);
        let version = Version { number: release.value().version, digest: whole(policy, release.value()) };
        Ok(Held { release, policy, version })
    }
}

impl Held {
    /// What was signed.
    pub fn release(&self) -> &Release {
        self.release.value()
    }

    /// The policy's digest.
    pub fn policy(&self) -> Digest {
        self.policy
    }

    /// Its number, and the digest of all that was signed: the policy, and the files that it names.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The ids of the keys that signed it.
    pub fn keys(&self) -> Vec<String> {
        let keys = self.release.signers().iter().map(|signer| match signer {
            Signer::Key(id) => id.to_string(),
            other => other.to_string(),
        });
        keys.collect()
    }

    /// As the ledger tells it.
    pub(crate) fn record(&self) -> Signed {
        let Release { name, version, expires, .. } = self.release();
        Signed { name: name.clone(), version: *version, keys: self.keys(), expires: expires.to_string() }
    }

    /// Whether a file that the policy names is the one that was signed with it.
    pub(crate) fn holds(&self, role: Role, path: &Path, content: &[u8]) -> Result<(), String> {
        self.release().holds(role, &path.to_string_lossy(), content).map_err(|error| error.to_string())
    }
}

/// The digest of a policy with the files that were signed with it. Without any it is the policy's own.
fn whole(policy: Digest, release: &Release) -> Digest {
    let mut files: Vec<&File> = release.files.iter().collect();
    if files.is_empty() {
        return policy;
    }
    files.sort();
    let lines = files.iter().map(|file| {
        let (role, path, digest) = (file.role.as_str(), file.path.escape_default(), file.digest);
        format!("{role} {path} {digest}\n")
    });
    Digest::of(format!("{policy}\n{}", lines.collect::<String>()).as_bytes())
}

/// Where the signature of a policy is: beside it.
pub fn signature_of(policy: &Path) -> PathBuf {
    let mut name = policy.as_os_str().to_owned();
    name.push(".sig.json");
    PathBuf::from(name)
}

/// The signature of a policy, if there is one.
pub fn signature(policy: &Path) -> Result<Option<Vec<u8>>, SignedError> {
    let path = signature_of(policy);
    let mut bytes = Vec::new();
    let read = source::open(&path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SignedError::Unread { path, source }),
    }
}

/// Reads a policy and its ceilings, each as it was signed.
pub fn parse(text: &str, name: &str, file: &Path, held: &Held) -> Result<Policy, PolicyError> {
    Policy::parse_under(text, name, &canonical(file), &|named, by| {
        let file = source::ceiling(named, by)?;
        ceiling(held, named, &file)?;
        Ok(file)
    })
}

/// Whether a ceiling is the one that was signed with the policy.
pub(crate) fn ceiling(held: &Held, named: &Path, file: &CeilingFile) -> Result<(), String> {
    held.holds(Role::Ceiling, named, file.text.as_bytes())
}

/// The files that a policy names, as they are now: what is to be signed with it.
pub fn files(policy: &Policy, directory: &Path) -> Result<Vec<File>, SignedError> {
    let mut files = Vec::new();
    let mut add = |role: Role, path: &Path, place: &Path| -> Result<(), SignedError> {
        let shown = path.to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        let place = directory.join(place);
        source::open(&place)
            .and_then(|file| file.take(LARGEST_NAMED).read_to_end(&mut bytes))
            .map_err(|source| SignedError::Unread { path: place, source })?;
        let file = File { role, path: shown, digest: Digest::of(&bytes) };
        if !files.contains(&file) {
            files.push(file);
        }
        Ok(())
    };
    // a ceiling is called as the file below it writes it
    let above = std::iter::successors(policy.ceiling(), |ceiling| ceiling.ceiling());
    for (ceiling, place) in above.zip(policy.ceilings()) {
        add(Role::Ceiling, Path::new(ceiling.name()), place)?;
    }
    let rules = policy.rules().iter().filter_map(|rule| rule.upstream_ca());
    for path in policy.upstream_ca().into_iter().chain(rules) {
        add(Role::Certificates, path, path)?;
    }
    if let Seccomp::File(path) = &policy.process().seccomp {
        add(Role::Seccomp, path, path)?;
    }
    if let Exec::Listed(listed) = &policy.process().exec
        && let Some(path) = &listed.file
    {
        add(Role::Executables, path, path)?;
    }
    files.sort();
    Ok(files)
}

/// Confirms that the files a policy names are those that were signed with it, and that no other was.
pub fn confirm(held: &Held, policy: &Policy, name: &str, directory: &Path) -> Result<(), SignedError> {
    let named = files(policy, directory)?;
    let signed = &held.release().files;
    let refused =
        |why: String| SignedError::Refused { policy: name.to_owned(), source: Error::Artifact { why } };
    for File { role, path, digest } in &named {
        match signed.iter().find(|other| (other.role, &other.path) == (*role, path)) {
            Some(other) if other.digest == *digest => {}
            Some(other) => {
                return Err(refused(format!(
                    "`{path}` has {digest}, and {} was signed with it",
                    other.digest
                )));
            }
            None => return Err(refused(format!("`{path}`, which it names, was not signed with it"))),
        }
    }
    match signed.iter().find(|other| !named.contains(other)) {
        Some(other) => Err(refused(format!("`{}` was signed with it, and it does not name it", other.path))),
        None => Ok(()),
    }
}

/// Reads a file of keys.
pub fn pins(keyring: &Path) -> Result<Pins, SignedError> {
    Pins::read(&text(keyring)?).map_err(|source| SignedError::Keys { path: keyring.to_owned(), source })
}

pub(crate) fn text(path: &Path) -> Result<String, SignedError> {
    let fail = |source| SignedError::Unread { path: path.to_owned(), source };
    let mut text = String::new();
    fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_string(&mut text)).map_err(fail)?;
    Ok(text)
}

/// Bytes of a signature, or of a file of keys.
const LARGEST: u64 = 4 << 20;
/// Bytes of a file that a policy names.
const LARGEST_NAMED: u64 = 64 << 20;
