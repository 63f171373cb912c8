//! A pack: the archive as it is, and archives of any documents with a right sum. No panic, no name that leads out, nothing
//! accepted that no one signed, and no more in memory than documents may have.
#![no_main]

use std::io;

use claw_model::digest::Digest;
use claw_verify::Clock;
use claw_verify::pack::{Content, Limits, Part, Sink, read, verify, write};
use claw_verify::tuf::Seen;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { entries: 64, bytes: 1 << 20 };
const ROOT: &[u8] =
    include_bytes!("../../../crates/verify/tests/data/tuf/tough/consistent-snapshots/metadata/1.root.json");

struct Watch;

impl Sink for Watch {
    fn begin(&mut self, name: &str, size: u64) -> io::Result<()> {
        assert!(
            !name.starts_with('/') && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
        );
        assert!(name.len() <= 100 && name.split('/').count() <= 3 && size <= LIMITS.bytes);
        Ok(())
    }
    fn bytes(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|bytes: &[u8]| {
    judge(bytes);
    // the first bytes say which documents there are; the rest is cut up among them
    let Some((kinds, rest)) = bytes.split_first_chunk::<2>() else { return };
    let chosen: Vec<&str> = NAMES
        .iter()
        .enumerate()
        .filter(|(at, _)| u16::from_le_bytes(*kinds) >> (at % 16) & 1 == 1)
        .map(|(_, name)| *name)
        .collect();
    let size = (rest.len() / chosen.len().max(1)).max(1);
    let mut parts: Vec<Part> =
        chosen.iter().zip(rest.chunks(size)).map(|(name, bytes)| part(name, bytes)).collect();
    parts.sort_by(|one, other| one.name.cmp(&other.name));
    parts.dedup_by(|one, other| one.name == other.name);
    let mut archive = Vec::new();
    let written = write(&parts, &mut archive, &mut |_| Err(io::ErrorKind::NotFound.into()));
    assert!(written.is_ok());
    judge(&archive);
});

fn part(name: &str, bytes: &[u8]) -> Part {
    let name = match name {
        "blob" => format!("blobs/sha256/{}", Digest::of(bytes).hex()),
        other => other.to_owned(),
    };
    Part { name, size: bytes.len() as u64, content: Content::Bytes(bytes.to_vec()) }
}

fn judge(bytes: &[u8]) {
    let Ok(contents) = read(&mut { bytes }, &LIMITS, &mut Watch) else { return };
    let clock = Clock::at(Timestamp::UNIX_EPOCH);
    assert!(verify(&contents, ROOT, &clock, &Seen::new(), None).is_err());
}

/// The signed ones among the metadata are another repository's: who fuzzes this cannot sign.
const NAMES: &[&str] = &[
    "index.json",
    "oci-layout",
    "blob",
    "tuf/1.root.json",
    "tuf/2.root.json",
    "tuf/timestamp.json",
    "tuf/1.snapshot.json",
    "tuf/1.targets.json",
    "tuf/1.role.json",
    "tuf/targets/revocations.json",
    "tuf/targets/trusted_root.json",
    "blob",
];
