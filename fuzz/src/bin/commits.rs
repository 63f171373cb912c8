//! Commits, tags, signature blocks and allowed signers. No panic, and what is signed has one reading.
#![no_main]

use claw_commits::object::{Commit, Tag};
use claw_commits::pattern::Pattern;
use claw_commits::signature::{Seal, blocks};
use claw_commits::signers::Signers;
use gix_hash::Kind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for kind in [Kind::Sha1, Kind::Sha256] {
        if let Ok(commit) = Commit::parse(bytes, kind) {
            if let Some(signature) = &commit.signature {
                // what is signed is the same commit without its signature
                let Ok(plain) = Commit::parse(&commit.payload, kind) else { panic!("what is signed is no commit") };
                assert!(plain.signature.is_none());
                assert!(plain.tree == commit.tree && plain.parents == commit.parents);
                assert!(plain.author == commit.author && plain.committer == commit.committer);
                assert!(plain.subject == commit.subject);
                let _ = Seal::read(signature, &commit.payload, "git");
            }
        }
        if let Ok(tag) = Tag::parse(bytes, kind) {
            if let Some(signature) = &tag.signature {
                let _ = Seal::read(signature, &tag.payload, "git");
            }
        }
    }
    let _ = Seal::read(bytes, b"", "git");
    if let Ok(text) = std::str::from_utf8(bytes) {
        for block in blocks(text).into_iter().take(8) {
            let _ = Seal::read(block.as_bytes(), b"", "claw-allowed-signers");
        }
        let _ = Signers::parse(text);
        let (pattern, path) = text.split_at(text.find('\n').unwrap_or(text.len()));
        if let Ok(pattern) = Pattern::parse(pattern) {
            let _ = pattern.matches(path.as_bytes());
        }
    }
});
