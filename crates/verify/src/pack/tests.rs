//! Packs that are made here, and what an attacker makes of them.

use std::collections::BTreeMap;

use claw_model::digest::{Digest, Sum};
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;

use super::format::{self, BLOCK, SUM};
use super::*;
use crate::Clock;
use crate::key::Algorithm;
use crate::keyring::{self, Keyring, Term};
use crate::revocation::{Entry, Position};
use crate::sign::PrivateKey;
use crate::tuf::{Files, Seen, Trusted};

/// A keyring with its holders, and what they approved.
pub(crate) struct World {
    pub(crate) keyring: Keyring,
    pub(crate) keys: Vec<PrivateKey>,
    pub(crate) blobs: BTreeMap<Digest, Vec<u8>>,
    pub(crate) now: Timestamp,
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn days(from: Timestamp, days: i64) -> Timestamp {
    from.checked_add((days * 24).hours()).unwrap()
}

fn holder(name: &str, key: &PrivateKey) -> keyring::Holder {
    keyring::Holder { name: name.to_owned(), key: key.public().clone(), from: None, until: None }
}

impl World {
    pub(crate) fn new(threshold: usize) -> World {
        let kinds = [Algorithm::Ed25519, Algorithm::P256, Algorithm::Ed25519];
        let keys: Vec<PrivateKey> = kinds.iter().map(|kind| PrivateKey::generate(*kind).unwrap()).collect();
        let holders: Vec<_> =
            ["ann", "bo", "cy"].iter().zip(&keys).map(|(name, key)| holder(name, key)).collect();
        let now = at("2026-06-01T00:00:00Z");
        let term = Term { now, until: days(now, 180) };
        let keyring = Keyring::new(&holders, threshold, term).unwrap();
        let mut world = World { keyring, keys, blobs: BTreeMap::new(), now };
        world.approve("tool", b"#!/bin/sh\necho tool\n", About::default());
        let sbom = About { kind: Kind::Sbom, of: Some("tool".into()), ..About::default() };
        world.approve("tool.cdx.json", br#"{"bomFormat":"CycloneDX"}"#, sbom);
        world.sign(&[0, 1]);
        world
    }

    pub(crate) fn term(&self) -> Term {
        Term { now: self.now, until: days(self.now, 180) }
    }

    pub(crate) fn approve(&mut self, name: &str, bytes: &[u8], about: About) {
        let digest = Digest::of(bytes);
        self.blobs.insert(digest, bytes.to_vec());
        let term = self.term();
        self.keyring.approve(name, bytes.len() as u64, &digest, about, term).unwrap();
    }

    pub(crate) fn sign(&mut self, who: &[usize]) {
        // at the first second: what follows from signatures counts from 1
        let first = Timestamp::from_second(1).unwrap();
        for who in who {
            self.keyring.sign(&self.keys[*who], first, days(self.now, 30)).unwrap();
        }
    }

    pub(crate) fn root(&self, version: u64) -> Vec<u8> {
        self.keyring.files()[&format!("metadata/{version}.root.json")].clone()
    }

    pub(crate) fn files(&self) -> Files {
        self.keyring.served()
    }

    fn items(&mut self) -> Vec<Item> {
        let mut trusted = Trusted::refresh(&self.root(1), &self.files(), &Clock::at(self.now), None).unwrap();
        let names = trusted.listed();
        let list = self.keyring.files().iter().filter(|(path, _)| path.starts_with("targets/"));
        for (_, bytes) in list {
            self.blobs.insert(Digest::of(bytes), bytes.clone());
        }
        let artefact = |name: &String| Item::of(&mut trusted, name).unwrap().about.kind.is_artefact();
        let names: Vec<String> = names.into_iter().filter(artefact).collect();
        Item::all(&mut trusted, &names).unwrap()
    }

    pub(crate) fn parts(&mut self) -> Vec<Part> {
        let items = self.items();
        let document = |digest: &Digest| self.blobs.get(digest).cloned();
        parts(&items, &self.files(), &document).unwrap()
    }

    pub(crate) fn pack(&mut self) -> Vec<u8> {
        let parts = self.parts();
        self.write(&parts)
    }

    fn write(&self, parts: &[Part]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut open = |digest: &Digest| {
            let bytes = self.blobs[digest].clone();
            Ok(Box::new(std::io::Cursor::new(bytes)) as Box<dyn std::io::Read>)
        };
        write(parts, &mut out, &mut open).unwrap();
        assert_eq!(out.len() as u64, archive_size(parts));
        out
    }
}

fn judge(pack: &[u8], root: &[u8], clock: Clock, seen: &Seen) -> Result<Verdict, PackError> {
    let contents = read(&mut { pack }, &Limits::default(), &mut Nothing)?;
    verify(&contents, root, &clock, seen, None)
}

/// The class of a refusal.
fn refused(pack: &[u8], world: &World) -> &'static str {
    match judge(pack, &world.root(1), Clock::at(world.now), &Seen::new()) {
        Ok(_) => "accepted",
        Err(error) => error.code(),
    }
}

/// An archive of any entries, with a right sum: what somebody writes who knows the format.
fn forged(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut whole = Sum::default();
    let mut entries = entries.to_vec();
    entries.retain(|(name, _)| name != SUM);
    for (name, bytes) in &entries {
        let header = format::header(name, bytes.len() as u64).unwrap();
        whole.add(&header);
        whole.add(Digest::of(bytes).as_bytes());
        entry(&mut out, &header, bytes);
    }
    let line = format!("{}\n", whole.digest());
    entry(&mut out, &format::header(SUM, line.len() as u64).unwrap(), line.as_bytes());
    out.extend([0; 2 * BLOCK]);
    out
}

fn entry(out: &mut Vec<u8>, header: &[u8], bytes: &[u8]) {
    out.extend(header);
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}

fn entries(pack: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(pack);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        (String::from_utf8(entry.path_bytes().into_owned()).unwrap(), bytes)
    });
    entries.collect()
}

#[test]
fn a_pack_tells_until_when_and_on_whose_word() {
    let mut world = World::new(2);
    let pack = world.pack();
    let verdict = judge(&pack, &world.root(1), Clock::at(world.now), &Seen::new()).unwrap();
    assert_eq!(verdict.pack.until(), Some(days(world.now, 30)));
    let value = verdict.pack.value();
    let names: Vec<_> = value.artefacts.iter().map(|artefact| artefact.name.as_str()).collect();
    assert_eq!(names, ["tool"]);
    assert_eq!(value.artefacts[0].digest, Digest::of(b"#!/bin/sh\necho tool\n"));
    assert_eq!(value.artefacts[0].attachments[0].name, "tool.cdx.json");
    let said: Vec<_> = value
        .holders
        .iter()
        .filter(|holder| holder.role == "targets")
        .filter_map(|holder| holder.name.as_deref())
        .collect();
    let mut sorted = said.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["ann", "bo"]);
    assert_eq!(verdict.pack.signers().len(), 2);
}

#[test]
fn the_same_approvals_give_the_same_bytes() {
    let mut world = World::new(2);
    assert_eq!(world.pack(), world.pack());
}

#[test]
fn one_changed_byte_anywhere_is_refused() {
    let mut world = World::new(1);
    let pack = world.pack();
    let root = world.root(1);
    assert_eq!(refused(&pack, &world), "accepted");
    let mut changed = pack.clone();
    for at in 0..pack.len() {
        for bit in [0x01, 0x80] {
            changed[at] ^= bit;
            let result = judge(&changed, &root, Clock::at(world.now), &Seen::new());
            assert!(result.is_err(), "byte {at} of {} changed by {bit:#x} is accepted", pack.len());
            changed[at] = pack[at];
        }
    }
}

#[test]
fn whatever_is_cut_off_or_added_is_refused() {
    let mut world = World::new(1);
    let pack = world.pack();
    for length in (0..pack.len()).step_by(7) {
        assert_eq!(refused(&pack[..length], &world), "short", "{length}");
    }
    for more in [&[0u8][..], &[1], &[0; BLOCK], &pack] {
        let mut longer = pack.clone();
        longer.extend(more);
        assert_eq!(refused(&longer, &world), "trailing");
    }
}

/// Even with digests and sum made right again: every entry is on somebody's word.
#[test]
fn a_forger_who_mends_digests_and_sum_changes_nothing() {
    let mut world = World::new(2);
    let pack = world.pack();
    let honest = entries(&pack);
    assert_eq!(forged(&honest), pack);
    let change = |of: &str, change: &dyn Fn(&mut Document)| {
        let mut entries = honest.clone();
        let entry = entries.iter_mut().find(|(name, bytes)| name == of || bytes == of.as_bytes()).unwrap();
        change(entry);
        if entry.0.starts_with("blobs/") {
            entry.0 = format!("blobs/sha256/{}", Digest::of(&entry.1).hex());
        }
        entries.sort();
        refused(&forged(&entries), &world)
    };
    // the artefact itself, its SBOM
    assert_eq!(change("#!/bin/sh\necho tool\n", &|entry| entry.1[0] = b' '), "not-approved");
    assert_eq!(change(r#"{"bomFormat":"CycloneDX"}"#, &|entry| entry.1[0] = b' '), "not-approved");
    // what was taken back, by nobody
    assert_eq!(change("tuf/targets/revocations.json", &|entry| entry.1.push(b' ')), "differs");
    assert_eq!(change("index.json", &|entry| entry.1.push(b' ')), "differs");
    assert_eq!(change("oci-layout", &|entry| entry.1.push(b' ')), "differs");
    let replaced = |of: &str, what: &str, by: &str| {
        change(of, &|entry| {
            let text = String::from_utf8(entry.1.clone()).unwrap();
            assert!(text.contains(what));
            entry.1 = text.replacen(what, by, 1).into_bytes();
        })
    };
    assert_eq!(replaced("tuf/1.targets.json", "\"length\"", "\"length\" "), "integrity");
    assert_eq!(replaced("tuf/timestamp.json", "2026", "2027"), "threshold");
    assert_eq!(replaced("index.json", "name\":\"tool", "name\":\"fool"), "not-approved");
    // what is not asked for
    let with = |name: &str, bytes: &[u8]| {
        let mut entries = honest.clone();
        entries.push((name.to_owned(), bytes.to_vec()));
        entries.sort();
        refused(&forged(&entries), &world)
    };
    let stowaway = format!("blobs/sha256/{}", Digest::of(b"x").hex());
    assert_eq!(with(&stowaway, b"x"), "not-approved");
    assert_eq!(
        with("tuf/9.targets.json", &honest.iter().find(|e| e.0 == "tuf/1.targets.json").unwrap().1),
        "not-approved"
    );
    assert_eq!(with("tuf/targets/other.json", b"{}"), "not-approved");
    // what is left out
    let without = |name: &str| {
        let entries: Vec<_> =
            honest.iter().filter(|entry| entry.0 != name && entry.1 != name.as_bytes()).cloned().collect();
        refused(&forged(&entries), &world)
    };
    assert_eq!(without(r#"{"bomFormat":"CycloneDX"}"#), "missing");
    assert_eq!(without("tuf/targets/revocations.json"), "missing");
    assert_eq!(without("tuf/timestamp.json"), "missing");
    assert_eq!(without("index.json"), "missing");
}

#[test]
fn an_archive_that_is_hostile_is_refused_by_its_flaw() {
    let world = World::new(1);
    let one = |change: &dyn Fn(&mut tar::Header)| {
        let mut header = tar::Header::new_gnu();
        header.set_path("index.json").unwrap();
        header.set_size(2);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        change(&mut header);
        header.set_cksum();
        let mut out = Vec::new();
        entry(&mut out, header.as_bytes(), b"{}");
        out.extend([0; 2 * BLOCK]);
        refused(&out, &world)
    };
    let named = |name: &str| {
        let name = name.to_owned();
        one(&move |header| {
            let field = &mut header.as_old_mut().name;
            field.fill(0);
            field[..name.len()].copy_from_slice(name.as_bytes());
        })
    };
    assert_eq!(one(&|_| {}), "missing");
    assert_eq!(named("../index.json"), "leads-out");
    assert_eq!(named("tuf/../../etc/passwd"), "leads-out");
    assert_eq!(named("/etc/passwd"), "leads-out");
    assert_eq!(named("etc/passwd"), "name");
    assert_eq!(named("tuf/a/b"), "name");
    assert_eq!(named("tuf/targets/a/b"), "name");
    assert_eq!(named("tuf/.hidden"), "name");
    assert_eq!(named("blobs/sha256/00"), "name");
    assert_eq!(named("blobs/sha512/00"), "name");
    assert_eq!(named(""), "name");
    for kind in [
        tar::EntryType::Link,
        tar::EntryType::Symlink,
        tar::EntryType::Directory,
        tar::EntryType::Char,
        tar::EntryType::Fifo,
        tar::EntryType::GNUSparse,
        tar::EntryType::GNULongName,
        tar::EntryType::XHeader,
        tar::EntryType::XGlobalHeader,
    ] {
        assert_eq!(one(&|header| header.set_entry_type(kind)), "kind", "{kind:?}");
    }
    assert_eq!(one(&|header| header.set_mtime(1)), "header");
    assert_eq!(one(&|header| header.set_uid(1)), "header");
    assert_eq!(one(&|header| header.set_mode(0o4755)), "header");
    assert_eq!(one(&|header| header.set_size(u64::MAX)), "large");
    assert_eq!(one(&|header| header.set_size(LARGEST_DOCUMENT + 1)), "large");
    assert_eq!(one(&|header| header.set_size(1)), "padding");
    let names = |names: &[&str]| {
        let mut out = Vec::new();
        for name in names {
            entry(&mut out, &format::header(name, 2).unwrap(), b"{}");
        }
        out.extend([0; 2 * BLOCK]);
        refused(&out, &world)
    };
    assert_eq!(names(&["index.json", "index.json"]), "twice");
    assert_eq!(names(&["oci-layout", "index.json"]), "order");
    assert_eq!(refused(&[], &world), "short");
    assert_eq!(refused(&[0; 2 * BLOCK], &world), "missing");
}

#[test]
fn entries_and_bytes_are_bounded() {
    let mut world = World::new(1);
    let pack = world.pack();
    let limited = |limits: Limits| match read(&mut pack.as_slice(), &limits, &mut Nothing) {
        Ok(_) => "read",
        Err(error) => error.code(),
    };
    let count = entries(&pack).len();
    assert_eq!(limited(Limits { entries: count, bytes: 1 << 20 }), "read");
    assert_eq!(limited(Limits { entries: count - 1, bytes: 1 << 20 }), "many");
    assert_eq!(limited(Limits { entries: count, bytes: 1000 }), "large");
}

#[test]
fn json_of_metadata_is_strict() {
    let mut world = World::new(1);
    let honest = entries(&world.pack());
    let with = |name: &str, bytes: Vec<u8>| {
        let mut entries = honest.clone();
        entries.iter_mut().find(|entry| entry.0 == name).unwrap().1 = bytes;
        refused(&forged(&entries), &world)
    };
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(with("tuf/timestamp.json", deep.clone().into_bytes()), "malformed");
    assert_eq!(with("index.json", deep.into_bytes()), "malformed");
    assert_eq!(with("index.json", br#"{"manifests":[],"manifests":[]}"#.to_vec()), "malformed");
    let text =
        String::from_utf8(honest.iter().find(|e| e.0 == "tuf/timestamp.json").unwrap().1.clone()).unwrap();
    let twice = text.replacen("\"signed\": {", "\"signed\": {\"version\": 9,", 1);
    assert_ne!(text, twice);
    assert_eq!(with("tuf/timestamp.json", twice.into_bytes()), "malformed");
}

#[test]
fn a_clock_of_1970_is_held_up_by_what_was_signed_and_one_of_2035_is_told_it_expired() {
    let mut world = World::new(2);
    let pack = world.pack();
    let root = world.root(1);
    let unset = Clock::at(at("1970-01-01T00:00:00Z")).built(at("2026-01-01T00:00:00Z"));
    let old = judge(&pack, &root, unset, &Seen::new()).unwrap();
    assert!(old.clock.is_held());
    assert_eq!(old.clock.now(), world.now);
    let error = judge(&pack, &root, Clock::at(at("2035-01-01T00:00:00Z")), &Seen::new()).unwrap_err();
    assert_eq!(error.code(), "expired");
    // what was verified once holds the clock up for ever
    let mut seen = Seen::new();
    old.remember(&mut seen);
    assert_eq!(seen.floor(Some(&root)), Some(world.now));
    let again = Seen::parse(&seen.to_bytes()).unwrap();
    assert_eq!(again, seen);
}

#[test]
fn what_stands_still_is_refused_as_soon_as_its_timestamp_expires() {
    let mut world = World::new(2);
    let pack = world.pack();
    let root = world.root(1);
    let last = Clock::at(days(world.now, 30));
    assert!(judge(&pack, &root, last, &Seen::new()).is_ok());
    let after = Clock::at(days(world.now, 30).checked_add(1.second()).unwrap());
    let error = judge(&pack, &root, after, &Seen::new()).unwrap_err();
    let PackError::Tuf(crate::tuf::TufError::Expired { role, .. }) = &error else { panic!("{error:?}") };
    assert_eq!(role, "timestamp");
    // one signature makes it fresh again
    world.now = days(world.now, 31);
    world.sign(&[2]);
    let pack = world.pack();
    assert!(judge(&pack, &root, Clock::at(world.now), &Seen::new()).is_ok());
}

#[test]
fn an_older_pack_is_refused_and_both_versions_are_named() {
    let mut world = World::new(2);
    let old = world.pack();
    world.approve("tool", b"second", About::default());
    world.sign(&[0, 1]);
    let new = world.pack();
    let root = world.root(1);
    let mut seen = Seen::new();
    let clock = Clock::at(world.now);
    judge(&old, &root, clock, &seen).unwrap().remember(&mut seen);
    judge(&new, &root, clock, &seen).unwrap().remember(&mut seen);
    judge(&new, &root, clock, &seen).unwrap();
    let error = judge(&old, &root, clock, &seen).unwrap_err();
    let PackError::Tuf(crate::tuf::TufError::Rollback { trusted, new, .. }) = &error else {
        panic!("{error:?}")
    };
    assert!(new < trusted, "{error:?}");
}

#[test]
fn what_was_taken_back_is_refused() {
    let mut world = World::new(1);
    let digest = Digest::of(b"#!/bin/sh\necho tool\n");
    let cases: Vec<(Entry, &str)> = vec![
        (Entry::Artefact { digest, why: "bug".into() }, "revoked"),
        (Entry::Artefact { digest: Digest::of(b"other"), why: "bug".into() }, "accepted"),
        (Entry::Releases { name: "tool".into(), from: 1, until: 9, why: "bug".into() }, "revoked"),
    ];
    let before = world.keyring.clone();
    for (entry, expect) in cases {
        world.keyring = before.clone();
        let term = world.term();
        world.keyring.revoke(entry.clone(), term).unwrap();
        world.sign(&[0]);
        let pack = world.pack();
        assert_eq!(refused(&pack, &world), expect, "{entry:?}");
    }
}

#[test]
fn a_retired_key_keeps_its_approvals_before_the_cutoff_and_a_stolen_one_keeps_none() {
    let mut world = World::new(1);
    // only ann signs: approvals of version 1 are hers
    world.keyring = Keyring::new(&[holder("ann", &world.keys[0])], 1, world.term()).unwrap();
    world.approve("tool", b"one", About::default());
    world.sign(&[0]);
    let key = keyring::id(world.keys[0].public());
    let before = world.keyring.clone();
    let cases = [
        (Entry::Retired { key: key.clone(), before: Position::Approval(2), why: "left".into() }, "accepted"),
        (Entry::Retired { key: key.clone(), before: Position::Approval(1), why: "left".into() }, "revoked"),
    ];
    for (entry, expect) in cases {
        world.keyring = before.clone();
        let term = world.term();
        world.keyring.revoke(entry, term).unwrap();
        world.sign(&[0]);
        let pack = world.pack();
        assert_eq!(refused(&pack, &world), expect);
    }
    // a thief has one of two keys, the other one takes it back, and he goes on with what one signs
    let holders = [holder("ann", &world.keys[0]), holder("bo", &world.keys[1])];
    world.keyring = Keyring::new(&holders, 1, world.term()).unwrap();
    world.approve("tool", b"one", About::default());
    world.sign(&[1]);
    let stolen = Entry::Compromised { key: key.clone(), except: Default::default(), why: "stolen".into() };
    let term = world.term();
    world.keyring.revoke(stolen, term).unwrap();
    world.sign(&[1]);
    let pack = world.pack();
    assert_eq!(refused(&pack, &world), "accepted");
    let mut files = world.keyring.files().clone();
    let path = "metadata/timestamp.json";
    let body = keyring::Signed::read(path, &files[path]).unwrap().body().clone();
    let mut timestamp = keyring::Signed::new(body);
    timestamp.sign(&key, &world.keys[0]).unwrap();
    files.insert(path.to_owned(), timestamp.to_bytes());
    world.keyring = Keyring::of(files).unwrap();
    let pack = world.pack();
    assert_eq!(refused(&pack, &world), "threshold");
}

#[test]
fn no_name_is_a_file_and_a_directory() {
    let clash = |names: &[&str]| super::clash(names.iter().copied());
    assert_eq!(clash(&["a", "b/c", "a.b", "a-b/c"]), None);
    assert_eq!(clash(&["a/b", "a"]).as_deref(), Some("a"));
    assert_eq!(clash(&["a/b/c", "x", "a/b"]).as_deref(), Some("a/b"));
}

#[test]
fn a_missing_or_older_list_of_what_was_taken_back_is_refused() {
    let mut world = World::new(1);
    let mut seen = Seen::new();
    let clock = Clock::at(world.now);
    let pack = world.pack();
    let verdict = judge(&pack, &world.root(1), clock, &seen).unwrap();
    verdict.remember(&mut seen);
    seen.remember(&verdict.trusted, 7);
    let error = judge(&pack, &world.root(1), clock, &seen).unwrap_err();
    assert_eq!(error.code(), "rollback");
    let text = format!("{}", std::error::Error::source(&error).unwrap());
    assert!(text.contains("version 1") && text.contains("version 7"), "{text}");
}

#[test]
fn the_archive_s_own_root_counts_for_nothing() {
    let mut attacker = World::new(1);
    let pack = attacker.pack();
    let victim = World::new(1);
    let error = judge(&pack, &victim.root(1), Clock::at(victim.now), &Seen::new()).unwrap_err();
    assert_eq!(error.code(), "other-root");
}

#[test]
fn something_in_a_layout_comes_with_all_that_its_manifest_names() {
    let mut world = World::new(1);
    let config = b"{\"c\":1}".to_vec();
    let layer = b"layer".to_vec();
    let of = |bytes: &[u8], media: &str| serde_json::json!({"mediaType": media, "digest": Digest::of(bytes).to_string(), "size": bytes.len()});
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": of(&config, "application/vnd.oci.image.config.v1+json"),
        "layers": [of(&layer, "application/vnd.oci.image.layer.v1.tar")],
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    world.blobs.insert(Digest::of(&config), config);
    world.blobs.insert(Digest::of(&layer), layer);
    world.approve("image", &manifest, About { kind: Kind::Manifest, ..About::default() });
    world.sign(&[0]);
    let pack = world.pack();
    assert_eq!(refused(&pack, &world), "accepted");
    let honest = entries(&pack);
    let without: Vec<_> = honest.into_iter().filter(|entry| entry.1 != b"layer").collect();
    assert_eq!(refused(&forged(&without), &world), "missing");
}

/// A statement about some bytes, in an envelope by a key.
fn envelope(key: &PrivateKey, about: &[u8]) -> Vec<u8> {
    let predicate = serde_json::json!({"ok": true});
    let statement = crate::statement::Statement::about(
        "tool",
        Digest::of(about),
        "https://example.com/reviewed",
        predicate,
    );
    let text = statement.write().unwrap();
    let envelope = crate::envelope::Envelope::sign(crate::envelope::IN_TOTO, text.as_bytes(), key).unwrap();
    envelope.write().into_bytes()
}

#[test]
fn what_is_carried_as_a_signature_is_one_by_whom_the_approval_names_about_this_artefact() {
    let tool: &[u8] = b"#!/bin/sh\necho tool\n";
    let builder = PrivateKey::generate(Algorithm::P256).unwrap();
    let other = PrivateKey::generate(Algorithm::P256).unwrap();
    let judged = |bytes: Vec<u8>, entry: Option<Entry>| {
        let mut world = World::new(1);
        let about = About {
            kind: Kind::Envelope,
            of: Some("tool".into()),
            by: Some(By::Key(builder.public().to_pem())),
            ..About::default()
        };
        world.approve("tool.intoto.json", &bytes, about);
        if let Some(entry) = entry {
            let term = world.term();
            world.keyring.revoke(entry, term).unwrap();
        }
        world.sign(&[0]);
        let pack = world.pack();
        refused(&pack, &world)
    };
    assert_eq!(judged(envelope(&builder, tool), None), "accepted");
    assert_eq!(judged(envelope(&other, tool), None), "threshold");
    assert_eq!(judged(envelope(&builder, b"other"), None), "other-artifact");
    assert_eq!(judged(b"{}".to_vec(), None), "malformed");
    let key = keyring::id(builder.public());
    let stolen = Entry::Compromised { key: key.clone(), except: Default::default(), why: "stolen".into() };
    assert_eq!(judged(envelope(&builder, tool), Some(stolen)), "revoked");
    let good =
        Entry::Compromised { key: key.clone(), except: [Digest::of(tool)].into(), why: "stolen".into() };
    assert_eq!(judged(envelope(&builder, tool), Some(good)), "accepted");
    let retired = |version| Entry::Retired {
        key: key.clone(),
        before: Position::Approval(version),
        why: "left".into(),
    };
    assert_eq!(judged(envelope(&builder, tool), Some(retired(3))), "accepted");
    assert_eq!(judged(envelope(&builder, tool), Some(retired(2))), "revoked");
}

#[test]
fn a_real_bundle_is_verified_with_the_pack_for_the_identity_that_the_approval_names() {
    let artefact = include_bytes!("../../tests/data/bundle/a.txt");
    let bundle = include_bytes!("../../tests/data/bundle/bundle.sigstore.json");
    let identity = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
    let judged = |artefact: &[u8], identity: &str| {
        let mut world = World::new(1);
        world.approve("a.txt", artefact, About::default());
        let issuer = "https://token.actions.githubusercontent.com".to_owned();
        let by = Some(By::Identity { identity: identity.to_owned(), issuer });
        let about = About { kind: Kind::Bundle, of: Some("a.txt".into()), by, ..About::default() };
        world.approve("a.txt.sigstore.json", bundle, about);
        world.sign(&[0]);
        let pack = world.pack();
        judge(&pack, &world.root(1), Clock::at(world.now), &Seen::new())
    };
    let verdict = judged(artefact, identity).unwrap();
    let signers = &verdict.pack.value().artefacts[0].attachments[0].signers;
    assert!(matches!(signers.as_slice(), [crate::Signer::Identity { .. }]), "{signers:?}");
    let code = |result: Result<Verdict, PackError>| result.map(drop).map_err(|error| error.code());
    assert_eq!(code(judged(artefact, "https://example.com/other")), Err("identity"));
    let other = judged(b"other", identity).unwrap_err();
    let PackError::Bundle { why, .. } = &other else { panic!("{other:?}") };
    assert_eq!(why.class(), crate::Class::Artifact, "{why:?}");
}

#[test]
fn a_signature_whose_maker_nobody_names_is_refused() {
    let mut world = World::new(1);
    let about = About { kind: Kind::Bundle, of: Some("tool".into()), ..About::default() };
    world.approve("tool.sigstore.json", b"{}", about);
    world.sign(&[0]);
    let mut trusted = Trusted::refresh(&world.root(1), &world.files(), &Clock::at(world.now), None).unwrap();
    let error = Item::of(&mut trusted, "tool.sigstore.json").unwrap_err();
    assert!(matches!(error, PackError::About { .. }), "{error:?}");
}

#[test]
fn a_name_that_leads_out_is_not_carried() {
    for name in ["../tool", "a/../b", "/tool", "a//b", "a/", ".hidden", "a b", "ü"] {
        let item = Item { name: name.into(), about: About::default(), size: 1, digest: Digest::of(b"x") };
        let error = parts(&[item], &Files::new(), &|_| None).unwrap_err();
        assert!(matches!(error, PackError::Name { .. }), "{name}: {error:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever comes, reading ends with an answer.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert!(read(&mut bytes.as_slice(), &Limits::default(), &mut Nothing).is_err());
    }

    /// Documents of a real pack, one of them changed as text, with digests and sum made right: never accepted, no panic.
    #[test]
    fn whatever_is_written_into_a_document_is_refused(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), by in "[\\PC]{1,8}|[{}\\[\\]\",:0-9]{1,4}") {
        let (honest, root, now) = &*HONEST;
        let mut entries = honest.clone();
        let at = {
            let entry = which.get(&entries);
            at.index(entry.1.len() + 1)
        };
        let index = which.index(entries.len());
        let (name, bytes) = &mut entries[index];
        prop_assume!(name != SUM);
        drop(bytes.splice(at..at, by.bytes()));
        if name.starts_with("blobs/") {
            *name = format!("blobs/sha256/{}", Digest::of(bytes).hex());
        }
        entries.sort();
        entries.dedup_by(|one, other| one.0 == other.0);
        // what stands in a file of metadata beside the signed part and the signatures says nothing
        let parts = |bytes: &[u8]| {
            let value: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
            value.map(|value| (value.get("signed").cloned(), value.get("signatures").cloned()))
        };
        let same = honest.iter().any(|(name, bytes)| {
            let changed = entries.iter().find(|entry| entry.0 == *name && entry.1 != *bytes);
            let signed = name.starts_with("tuf/") && !name.starts_with("tuf/targets/");
            signed && changed.is_some_and(|changed| parts(&changed.1).is_some() && parts(&changed.1) == parts(bytes))
        });
        prop_assert!(same || judge(&forged(&entries), root, Clock::at(*now), &Seen::new()).is_err());
    }
}

/// Entries, root and time.
type Honest = (Vec<Document>, Vec<u8>, Timestamp);

/// Name and content of an entry.
type Document = (String, Vec<u8>);

/// A pack that is accepted.
static HONEST: std::sync::LazyLock<Honest> = std::sync::LazyLock::new(|| {
    let mut world = World::new(2);
    (entries(&world.pack()), world.root(1), world.now)
});
