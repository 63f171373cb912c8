//! Whose signatures count: a file of pinned keys, the root of a keyring, or a keyring that follows from the pinned root.

use std::path::Path;

use claw_model::digest::Digest;
use claw_run::{Host, SignedError, signed};
use claw_verify::keyring::{Keyring, KeyringError};
use claw_verify::pins::Pins;
use claw_verify::{Clock, Keys, tuf};

use super::bundle::{failed, files};
use super::keyring::read;
use super::seen::Memory;
use crate::environment;
use crate::print::{self, UNUSABLE};

/// The keys, and the time by which they count.
pub(super) struct Believed {
    pub(super) pins: Pins,
    pub(super) clock: Clock,
}

/// Reads whom to believe. A keyring that is followed is remembered: an older one is refused from then on.
pub(super) fn believed(keyring: &Path, host: &Host) -> Result<Believed, u8> {
    let mut memory = Memory::open(&host.state).map_err(|error| failed(&error, None))?;
    if !host.directory.join(keyring).is_dir() {
        let pins = signed::pins(keyring).map_err(|error| not_usable(&error))?;
        let clock = memory.clock(None, None).map_err(|_| UNUSABLE)?;
        return Ok(Believed { pins, clock });
    }
    let files = Keyring::of(read(keyring)?).map_err(|error| failed(&error, None))?;
    let root = host.config.join(ROOT);
    if !root.is_file() {
        eprintln!(
            "claw: `{}` is a keyring, and no root is pinned",
            print::plain(&keyring.display().to_string())
        );
        eprintln!(
            "hint: put the first root, that you trust, at `{}`; or name a root itself",
            print::plain(&root.display().to_string())
        );
        return Err(UNUSABLE);
    }
    let pinned = files::small(&root)?;
    let clock = memory.clock(None, Some(&pinned)).map_err(|_| UNUSABLE)?;
    memory.learn(&pinned, &files.served(), &clock).map_err(|error| failed(&error, None))?;
    let known = memory.seen.known(&pinned);
    let (pins, trusted, revocations) = Pins::of_keyring(&pinned, &files, &clock, known)
        .map_err(|source| not_usable(&SignedError::Keys { path: keyring.to_owned(), source }))?;
    memory.seen.remember(&trusted, revocations);
    memory.keep().map_err(|error| failed(&error, None))?;
    // what was just verified may hold the clock up
    let clock = memory.clock(None, Some(&pinned)).map_err(|_| UNUSABLE)?;
    Ok(Believed { pins, clock })
}

/// The root that is pinned on this machine, if there is one.
fn pinned() -> Result<Option<Vec<u8>>, u8> {
    let host = environment::host().map_err(|error| failed(&error, None))?;
    let root = host.config.join(ROOT);
    // one that cannot be looked at is not taken for none
    if let Ok(false) = root.try_exists() { Ok(None) } else { files::small(&root).map(Some) }
}

/// Refuses a keyring of the name of the pinned root that does not lead through it: an older state, or another chain.
pub(super) fn from_pinned(keyring: &Keyring) -> Result<(), u8> {
    let Some(root) = pinned()? else { return Ok(()) };
    let refused = |error: KeyringError| failed(&error, error.hint());
    let named = tuf::keyring(&root).map_err(|error| failed(&error, error.hint()))?;
    match named.is_some() && named == keyring.name().map_err(refused)? {
        true => keyring.follows(&root).map_err(refused),
        false => Ok(()),
    }
}

/// What a keyring is known by, for whoever signs for it: its directory, or a root of it.
pub(super) fn named(keyring: &Path) -> Result<Digest, u8> {
    let name = match keyring.is_dir() {
        true => {
            let files = Keyring::of(read(keyring)?).map_err(|error| failed(&error, error.hint()))?;
            let unusable = |error: KeyringError| failed(&error, error.hint());
            for role in ["root", "targets"] {
                files.published(role).map_err(unusable)?;
            }
            from_pinned(&files)?;
            files.name().map_err(|error| failed(&error, error.hint()))?
        }
        false => signed::pins(keyring).map_err(|error| not_usable(&error))?.keyring(),
    };
    name.ok_or_else(|| {
        eprintln!("claw: `{}` is no keyring with a name", print::plain(&keyring.display().to_string()));
        eprintln!("hint: what is signed for keys that are pinned by themselves names no keyring; leave --keyring out");
        UNUSABLE
    })
}

/// Refuses to sign for a keyring that nobody who can be trusted named: whoever carries its directory, or lays a signature
/// beside a policy, can write any name. A root file is named by whoever signs; else it is the one that is pinned, if one is.
pub(super) fn meant(release: Option<Digest>, keyring: Option<&Path>) -> Result<(), u8> {
    let asked = keyring.map(named).transpose()?;
    let by_root = keyring.is_some_and(|keyring| !keyring.is_dir());
    let pinned = pinned()?.filter(|_| !by_root && release.is_some());
    let pinned = pinned.map(|root| tuf::keyring(&root)).transpose();
    let pinned = pinned.map_err(|error| failed(&error, error.hint()))?;
    let others = [
        asked.map(Some).map(|name| ("--keyring is", name)),
        pinned.map(|name| ("the pinned root is of", name)),
    ];
    let Some((what, other)) = others.into_iter().flatten().find(|(_, name)| *name != release) else {
        return Ok(());
    };
    eprintln!("claw: it would be signed for {}, and {what} {}", called(release), called(other));
    eprintln!(
        "hint: name a root that you trust with --keyring FILE; a directory counts only if the pinned root is of it"
    );
    Err(UNUSABLE)
}

fn called(keyring: Option<Digest>) -> String {
    keyring.map_or_else(|| "no keyring".to_owned(), |name| format!("the keyring {name}"))
}

/// The keys that count now.
pub(super) fn keys(keyring: &Path, host: &Host) -> Result<Keys, u8> {
    let Believed { pins, clock } = believed(keyring, host)?;
    pins.keys(&clock).map_err(|source| not_usable(&SignedError::Keys { path: keyring.to_owned(), source }))
}

fn not_usable(error: &SignedError) -> u8 {
    print::error(error, Some(error.hint()));
    UNUSABLE
}

/// The root that is pinned on this machine.
const ROOT: &str = "root.json";
