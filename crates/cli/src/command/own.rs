//! `claw doctor --self-verify`: whether the running program is the one that a signed manifest names, and not an older release
//! than was seen here before.
//!
//! A program that was made to lie says yes. So it says what it is, too, and docs/verify-claw.md asks other programs.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use claw_model::digest::Digest;
use claw_verify::release::Manifest;
use claw_verify::release::log::Evidence;
use claw_verify::{Class, Keys, PublicKey, Verified, embedded};
use serde::Serialize;

use crate::arguments::Own;
use crate::environment;
use crate::print::{self, DONE, NO, UNUSABLE};

/// Why it is not verified.
#[derive(Debug, thiserror::Error)]
enum OwnError {
    #[error("cannot read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot use `{}`", path.display())]
    Use {
        path: PathBuf,
        #[source]
        cause: claw_verify::Error,
    },
    #[error("`{}` does not hold the number of a release", path.display())]
    Memory { path: PathBuf },
    #[error("what was verified cannot be remembered in `{}`", path.display())]
    Remember {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("this program is version {own}, and release {release} is version {version}")]
    Version { own: &'static str, release: u64, version: String },
}

/// What the running program is.
#[derive(Debug, Serialize)]
struct This {
    digest: Digest,
    size: u64,
    version: &'static str,
    /// Packages that it lists in itself; none if it was built without the list.
    packages: Option<usize>,
}

/// Of which release it is, on whose word.
#[derive(Debug, Serialize)]
struct Release {
    release: u64,
    commit: String,
    signers: Vec<String>,
    proven: Vec<&'static str>,
    at_least: u64,
}

/// Judges the running program.
pub(crate) fn run(arguments: &Own, json: bool) -> u8 {
    let this = match this() {
        Ok(this) => this,
        Err(error) => {
            print::error(&error, None);
            return UNUSABLE;
        }
    };
    let Some(manifest) = &arguments.manifest else {
        tell(&this, None, json);
        return NO;
    };
    match verify(arguments, manifest, &this) {
        Ok(release) => {
            tell(&this, Some(&release), json);
            DONE
        }
        Err(error) => {
            if json {
                print::json(&serde_json::json!({"verified": false, "program": this, "why": chain(&error)}));
            }
            print::error(&error, Some(hint(&error)));
            code(&error)
        }
    }
}

/// Read once, by the kernel's own name for what runs: a file that was put in its place afterwards is another one.
fn this() -> Result<This, OwnError> {
    let path = PathBuf::from("/proc/self/exe");
    let read = File::open(&path).and_then(|mut file| {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map(|_| bytes)
    });
    let bytes = read.map_err(|cause| OwnError::Read { path, cause })?;
    Ok(This {
        digest: Digest::of(&bytes),
        size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        version: env!("CARGO_PKG_VERSION"),
        packages: embedded::read(&bytes).ok().map(|listed| listed.len()),
    })
}

fn verify(arguments: &Own, path: &Path, this: &This) -> Result<Release, OwnError> {
    let unusable = |path: &Path| {
        let path = path.to_owned();
        move |cause| OwnError::Use { path, cause }
    };
    let mut keys = Vec::new();
    for path in &arguments.key {
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        keys.push(PublicKey::from_pem(&text).map_err(unusable(path))?);
    }
    let need = keys.len();
    let keys = Keys::new(keys, need).map_err(unusable(path))?;
    let memory = Memory::open()?;
    let least = memory.least.max(arguments.at_least.unwrap_or(0));
    let verified = Manifest::verify(&read(path)?, &keys).map_err(unusable(path))?;
    let mut verified = verified.prove_file("claw", this.digest, this.size, least).map_err(unusable(path))?;
    if let Some(path) = &arguments.log {
        let evidence = Evidence::read(&read(path)?).map_err(unusable(path))?;
        verified = evidence.prove(verified, &keys).map_err(unusable(path))?;
    }
    let manifest = verified.value();
    if manifest.version != this.version {
        let (release, version) = (manifest.release, manifest.version.clone());
        return Err(OwnError::Version { own: this.version, release, version });
    }
    memory.remember(manifest.release)?;
    Ok(release(&verified, least))
}

fn release(verified: &Verified<Manifest>, at_least: u64) -> Release {
    let manifest = verified.value();
    Release {
        release: manifest.release,
        commit: manifest.commit.clone(),
        signers: verified.signers().iter().map(ToString::to_string).collect(),
        proven: verified.proven().iter().map(claw_verify::Proof::code).collect(),
        at_least,
    }
}

fn tell(this: &This, release: Option<&Release>, json: bool) {
    if json {
        print::json(&serde_json::json!({"verified": release.is_some(), "program": this, "release": release}));
        return;
    }
    let listed =
        this.packages.map_or_else(|| "no list".to_owned(), |count| format!("{count} packages listed inside"));
    print::line(&format!(
        "program   {}\n          {} bytes, version {}, {listed}",
        this.digest, this.size, this.version
    ));
    let Some(release) = release else {
        print::line(
            "verified  NO: on nobody's word\nhint: --manifest claw.manifest.json --key KEY.pub; the key from somewhere else than the program",
        );
        return;
    };
    print::line(&format!("release   {} of commit {}", release.release, print::plain(&release.commit)));
    for signer in &release.signers {
        print::line(&format!("signed by {signer}"));
    }
    print::line(&format!(
        "verified  {}; not older than release {}",
        release.proven.join(", "),
        release.at_least
    ));
    print::line(LIMITS);
}

const LIMITS: &str = "this proves  the bytes that run are those that were signed, and no older release than was seen here before
it does not  prove that they do what the sources say: build them again (docs/verify-claw.md);
             nor anything if this program was replaced by one that lies: check it with another one";

/// The highest release that was verified here.
struct Memory {
    path: PathBuf,
    least: u64,
}

impl Memory {
    fn open() -> Result<Memory, OwnError> {
        let here = |cause| OwnError::Read { path: PathBuf::from("."), cause };
        let path = environment::host().map_err(here)?.state.join("release");
        match fs::read_to_string(&path) {
            Ok(text) => match text.strip_suffix('\n').and_then(|number| number.parse().ok()) {
                Some(least) => Ok(Memory { path, least }),
                None => Err(OwnError::Memory { path }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Memory { path, least: 0 }),
            Err(cause) => Err(OwnError::Read { path, cause }),
        }
    }

    fn remember(&self, release: u64) -> Result<(), OwnError> {
        if release <= self.least {
            return Ok(());
        }
        let write = || {
            if let Some(directory) = self.path.parent() {
                fs::create_dir_all(directory)?;
            }
            claw_sys::whole::replace(&self.path, format!("{release}\n").as_bytes(), 0o600)
        };
        write().map_err(|cause| OwnError::Remember { path: self.path.clone(), cause })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, OwnError> {
    fs::read(path).map_err(|cause| OwnError::Read { path: path.to_owned(), cause })
}

/// The answer is no, or there is none.
fn code(error: &OwnError) -> u8 {
    match error {
        OwnError::Version { .. } => NO,
        OwnError::Use { cause, .. } => match cause.class() {
            Class::Input | Class::Unsupported | Class::Trust => UNUSABLE,
            _ => NO,
        },
        _ => UNUSABLE,
    }
}

fn hint(error: &OwnError) -> &'static str {
    match error {
        OwnError::Memory { .. } => {
            "if you know why, remove it; it keeps the highest release that was verified here"
        }
        OwnError::Use { cause, .. } if code(error) == NO && cause.class() == Class::Artifact => {
            "this program is not the released one: do not trust it; get the release again, and see docs/verify-claw.md"
        }
        _ => "see docs/verify-claw.md",
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
