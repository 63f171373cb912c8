//! Whose signatures count: a file of pinned keys, the root of a keyring, or a keyring that follows from the pinned root.

use std::path::Path;

use claw_model::digest::Digest;
use claw_run::{Host, SignedError, signed};
use claw_verify::keyring::{Keyring, KeyringError};
use claw_verify::pins::Pins;
use claw_verify::{Clock, Keys};

use super::bundle::{failed, files};
use super::keyring::read;
use super::seen::Memory;
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

/// What a keyring is known by, for whoever signs for it: its directory, or a root of it. Said before anything is signed, and
/// whether it is the one that this machine follows: a directory can be exchanged by whoever carries it.
pub(super) fn named(keyring: &Path, host: &Host) -> Result<Digest, u8> {
    let unusable = |error: KeyringError| failed(&error, error.hint());
    let name = match keyring.is_dir() {
        true => {
            let files = Keyring::of(read(keyring)?).map_err(unusable)?;
            for role in ["root", "targets"] {
                files.published(role).map_err(unusable)?;
            }
            files.name().map_err(unusable)?
        }
        false => signed::pins(keyring).map_err(|error| not_usable(&error))?.keyring(),
    };
    let root = host.config.join(ROOT);
    if let Some(name) = name {
        print::say(&format!("claw: for the keyring {name}"));
        if root.is_file() && signed::pins(&root).map_err(|error| not_usable(&error))?.keyring() != Some(name)
        {
            let root = print::plain(&root.display().to_string());
            print::say(&format!("claw: note: that is not the keyring whose root is pinned here, `{root}`"));
        }
    }
    name.ok_or_else(|| {
        eprintln!("claw: `{}` is no keyring with a name", print::plain(&keyring.display().to_string()));
        eprintln!("hint: what is signed for keys that are pinned by themselves names no keyring; leave --keyring out");
        UNUSABLE
    })
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
