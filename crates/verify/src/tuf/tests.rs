//! Metadata that others made, named by its flaw, and attacks on our own.

use std::path::Path;

use super::*;
use crate::keyring::{self, Keyring, Signed, Term};
use crate::pack::About;
use crate::pack::tests::{World, at, days};
use crate::tuf::bound::{KEYRING, MARK};

mod classes;
mod poisoned;
mod remembered;

fn data() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tuf")
}

#[expect(clippy::disallowed_methods, reason = "tests read what others made")]
fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(directory: &str) -> Files {
    let mut files = Files::new();
    for entry in std::fs::read_dir(data().join(directory)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.add(path.file_name().unwrap().to_str().unwrap(), bytes(&path)).unwrap();
        }
    }
    files
}

fn now() -> Clock {
    Clock::at(at("2026-11-26T00:00:00Z"))
}

fn code(result: Result<Trusted, TufError>) -> &'static str {
    match result {
        Ok(_) => "accepted",
        Err(error) => error.code(),
    }
}

/// The root alone: one that is good asks for the timestamp next.
#[test]
fn roots_with_a_flaw_are_refused_by_its_class() {
    let root = |name: &str, clock: &Clock| {
        let pinned = bytes(&data().join("tough").join(name).join("root.json"));
        code(Trusted::refresh(&pinned, &Files::new(), clock, None))
    };
    let now = now();
    assert_eq!(root("simple-rsa", &now), "missing");
    assert_eq!(root("no-root-json-signatures", &now), "threshold");
    assert_eq!(root("invalid-root-json-signature", &now), "threshold");
    assert_eq!(root("expired-root-json-signature", &now), "expired");
    assert_eq!(root("duplicate-sigs", &now), "signed-twice");
    assert_eq!(root("mismatched-root-json-keyids", &now), "threshold");
    // one id for two entries in `keys`
    assert_eq!(root("duplicate-keyid", &now), "malformed");
    assert_eq!(root("duplicate-sig-keys", &now), "signed-twice");
    // three generations of Sigstore's own root; keys in bare hex are not read
    let then = Clock::at(at("2022-01-01T00:00:00Z"));
    assert_eq!(root("pem-encoded-ecdsa-sig-keys", &then), "missing");
    assert_eq!(root("ecdsa-new-type-sig-keys", &then), "missing");
    assert_eq!(root("hex-encoded-ecdsa-sig-keys", &then), "threshold");
    assert_eq!(root("pem-encoded-ecdsa-sig-keys", &now), "expired");
}

#[test]
fn repositories_that_others_made_are_read() {
    let cases = [
        ("tough/tuf-reference-impl/metadata", "1.root.json", "file1.txt"),
        ("tough/tuf-reference-impl/metadata", "1.root.json", "file3.txt"),
        ("tough/consistent-snapshots/metadata", "1.root.json", "data1.txt"),
        ("tough/safe-target-paths/metadata", "1.root.json", "foo/bar/baz/../data2.txt"),
        ("tough/dubious-role-names/metadata", "1.root.json", "1.txt"),
        ("tuf-on-ci-0.11/metadata", "1.root.json", "delegatedrole/artifact"),
    ];
    for (directory, root, target) in cases {
        let pinned = bytes(&data().join(directory).join(root));
        let mut trusted = Trusted::refresh(&pinned, &files(directory), &now(), None)
            .unwrap_or_else(|error| panic!("{directory}: {error:?}"));
        let found = trusted.target(target).unwrap_or_else(|error| panic!("{directory}: {error:?}"));
        assert!(found.length > 0);
        assert_eq!(trusted.target("nothing-of-the-kind").unwrap_err().code(), "not-approved");
    }
}

#[test]
fn a_repository_that_expired_is_refused() {
    let directory = "tough/expired-repository/metadata";
    let pinned = bytes(&data().join(directory).join("1.root.json"));
    assert_eq!(code(Trusted::refresh(&pinned, &files(directory), &now(), None)), "expired");
    let then = Clock::at(at("1998-12-31T00:00:00Z"));
    assert_eq!(code(Trusted::refresh(&pinned, &files(directory), &then, None)), "accepted");
}

#[test]
fn a_rotated_root_is_followed_and_its_forerunner_may_have_expired() {
    let directory = "tough/rotated-root";
    let pinned = bytes(&data().join(directory).join("1.root.json"));
    let trusted = Trusted::refresh(&pinned, &files(directory), &now(), None).unwrap();
    assert_eq!(trusted.versions().root, 2);
    // from the second, the first is looked at as well
    let second = bytes(&data().join(directory).join("2.root.json"));
    let trusted = Trusted::refresh(&second, &files(directory), &now(), None).unwrap();
    assert_eq!(trusted.unused(), Vec::<String>::new());
}

/// A repository by hand: what a thief of some keys can make.
struct Forge<'a> {
    world: &'a World,
    files: BTreeMap<String, Vec<u8>>,
}

impl Forge<'_> {
    fn of(world: &World) -> Forge<'_> {
        let files = world.files().iter().map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect();
        Forge { world, files }
    }

    fn body(&self, name: &str) -> serde_json::Value {
        Signed::read(name, &self.files[name]).unwrap().body().clone()
    }

    /// A later root of the same keyring.
    fn later(&self, version: u64) -> serde_json::Value {
        let mut root = self.body("1.root.json");
        root["version"] = version.into();
        root.as_object_mut().unwrap().remove(MARK);
        root[KEYRING] = self.world.keyring.name().unwrap().unwrap().to_string().into();
        root
    }

    fn sign(&mut self, name: &str, body: serde_json::Value, who: &[usize]) {
        let mut signed = Signed::new(body);
        for who in who {
            let key = &self.world.keys[*who];
            signed.sign(&keyring::id(key.public()), key).unwrap();
        }
        self.files.insert(name.to_owned(), signed.to_bytes());
    }

    /// Snapshot and timestamp over the targets that are there, by a key that may.
    fn above(&mut self, who: usize) {
        let targets = &self.files["1.targets.json"];
        let mut snapshot = self.body("1.snapshot.json");
        snapshot["meta"]["targets.json"] = serde_json::json!({"version": 1, "length": targets.len()});
        self.sign("1.snapshot.json", snapshot, &[who]);
        let mut timestamp = self.body("timestamp.json");
        timestamp["meta"]["snapshot.json"] = serde_json::json!({"version": 1});
        self.sign("timestamp.json", timestamp, &[who]);
    }

    fn judged(&self) -> &'static str {
        let mut files = Files::new();
        self.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()).unwrap());
        code(Trusted::refresh(&self.world.root(1), &files, &Clock::at(self.world.now), None))
    }
}

/// A world whose only snapshot and timestamp have version 1.
fn small(threshold: usize) -> World {
    let mut world = World::new(threshold);
    let holders: Vec<_> = world
        .keys
        .iter()
        .map(|key| keyring::Holder { name: "one".into(), key: key.public().clone(), from: None, until: None })
        .collect();
    world.keyring = Keyring::new(&holders, threshold, world.term()).unwrap();
    world.approve("tool", b"tool", About::default());
    let signers: Vec<usize> = (0..threshold).collect();
    world.sign(&signers);
    world
}

#[test]
fn fewer_than_the_threshold_cannot_approve() {
    let world = small(2);
    let mut forge = Forge::of(&world);
    assert_eq!(forge.judged(), "accepted");
    let targets = forge.body("1.targets.json");
    forge.sign("1.targets.json", targets.clone(), &[0]);
    forge.above(0);
    assert_eq!(forge.judged(), "threshold");
    forge.sign("1.targets.json", targets, &[0, 2]);
    forge.above(0);
    assert_eq!(forge.judged(), "accepted");
}

#[test]
fn one_key_counts_once_however_often_it_signs_and_whatever_it_is_called() {
    let world = small(2);
    // the same signature twice
    let mut forge = Forge::of(&world);
    let targets = forge.body("1.targets.json");
    forge.sign("1.targets.json", targets, &[0]);
    let mut twice: serde_json::Value = serde_json::from_slice(&forge.files["1.targets.json"]).unwrap();
    let one = twice["signatures"][0].clone();
    twice["signatures"].as_array_mut().unwrap().push(one);
    forge.files.insert("1.targets.json".into(), serde_json::to_vec(&twice).unwrap());
    forge.above(0);
    assert_eq!(forge.judged(), "signed-twice");
    // the same key by another name, in a root that the holders signed by mistake
    let mut forge = Forge::of(&world);
    let mut root = forge.body("1.root.json");
    let id = keyring::id(world.keys[0].public());
    let key = root["keys"][&id].clone();
    root["keys"]["alias"] = key;
    root["roles"]["targets"]["keyids"] = serde_json::json!([id, "alias"]);
    root["version"] = 2.into();
    forge.sign("2.root.json", root, &[0, 1]);
    assert_eq!(forge.judged(), "same-key");
}

#[test]
fn a_root_is_signed_by_the_one_before_and_by_itself() {
    let world = small(2);
    let next = |who: &[usize]| {
        let mut forge = Forge::of(&world);
        let root = forge.later(2);
        forge.sign("2.root.json", root, who);
        forge.judged()
    };
    assert_eq!(next(&[0, 1]), "accepted");
    assert_eq!(next(&[0]), "threshold");
    // a version that is left out
    let mut forge = Forge::of(&world);
    let mut root = forge.body("1.root.json");
    root["version"] = 3.into();
    forge.sign("2.root.json", root, &[0, 1]);
    assert_eq!(forge.judged(), "root-version");
}

#[test]
fn a_holder_who_left_signs_nothing_any_more() {
    let mut world = small(2);
    let first = world.root(1);
    let term = world.term();
    world.keyring.remove(&keyring::id(world.keys[0].public()), term).unwrap();
    world.sign(&[1, 2]);
    // the old root asks for two as well: the one who leaves need not be one of them
    let trusted = Trusted::refresh(&first, &world.files(), &Clock::at(world.now), None);
    // approvals by ann and bo have bo's signature alone now
    assert_eq!(code(trusted), "threshold");
    world.approve("tool", b"tool", About::default());
    world.sign(&[1, 2]);
    let trusted = Trusted::refresh(&first, &world.files(), &Clock::at(world.now), None).unwrap();
    assert_eq!(trusted.versions().root, 2);
    let error = world.keyring.sign(&world.keys[0], world.now, days(world.now, 1)).unwrap_err();
    assert!(matches!(error, keyring::KeyringError::NotAsked { .. }));
}

#[test]
fn a_key_counts_in_its_time_only() {
    let mut world = World::new(1);
    let (from, until) = (days(world.now, 1), days(world.now, 3));
    let holder = keyring::Holder {
        name: "guest".into(),
        key: world.keys[0].public().clone(),
        from: Some(from),
        until: Some(until),
    };
    world.keyring = Keyring::new(&[holder], 1, world.term()).unwrap();
    world.approve("tool", b"tool", About::default());
    world.sign(&[0]);
    let judged =
        |now: Timestamp| code(Trusted::refresh(&world.root(1), &world.files(), &Clock::at(now), None));
    assert_eq!(judged(world.now), "threshold");
    assert_eq!(judged(from), "accepted");
    assert_eq!(judged(until), "accepted");
    assert_eq!(judged(days(until, 1)), "threshold");
    let trusted = Trusted::refresh(&world.root(1), &world.files(), &Clock::at(from), None).unwrap();
    assert_eq!(trusted.until(), until);
}

#[test]
fn a_version_that_a_thief_drove_up_ends_with_the_keys_he_stole() {
    let mut world = small(2);
    let first = world.root(1);
    let clock = Clock::at(world.now);
    let mut forge = Forge::of(&world);
    let mut timestamp = forge.body("timestamp.json");
    timestamp["version"] = 1000.into();
    forge.sign("timestamp.json", timestamp, &[0]);
    let mut files = Files::new();
    forge.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()).unwrap());
    let mut seen = Seen::new();
    seen.remember(&Trusted::refresh(&first, &files, &clock, None).unwrap(), 1);
    let judged = |world: &World| {
        Trusted::refresh(&first, &world.files(), &clock, seen.known(&first)).map(|trusted| trusted.versions())
    };
    // more of the same keys do not get past it
    let term = world.term();
    world.keyring.renew(term).unwrap();
    world.sign(&[0, 1]);
    assert!(matches!(judged(&world), Err(TufError::Rollback { trusted: 1000, .. })));
    // without the thief's key
    world.keyring.remove(&keyring::id(world.keys[0].public()), term).unwrap();
    world.approve("tool", b"tool", About::default());
    world.sign(&[1, 2]);
    let versions = judged(&world).unwrap();
    assert!(versions.timestamp < 1000 && versions.root == 3, "{versions:?}");
}

#[test]
fn nothing_lower_than_was_seen_is_trusted() {
    let mut world = small(2);
    let first = world.root(1);
    let old = world.files();
    let clock = Clock::at(world.now);
    let refresh = |files: &Files, seen: &Seen| Trusted::refresh(&first, files, &clock, seen.known(&first));
    let mut seen = Seen::new();
    world.sign(&[0]);
    let trusted = refresh(&world.files(), &seen).unwrap();
    assert_eq!(trusted.versions().timestamp, 2);
    seen.remember(&trusted, 1);
    let error = refresh(&old, &seen).unwrap_err();
    assert!(
        matches!(&error, TufError::Rollback { role, trusted: 2, new: 1 } if role == "timestamp"),
        "{error:?}"
    );
    // who pins a later root of the same chain meets the same memory
    let term = Term { now: world.now, until: days(world.now, 90) };
    world.keyring.renew(term).unwrap();
    world.sign(&[0, 1]);
    let trusted = refresh(&world.files(), &seen).unwrap();
    seen.remember(&trusted, 2);
    let second = world.root(2);
    let known = seen.known(&second).cloned();
    assert_eq!(Trusted::refresh(&second, &old, &clock, known.as_ref()).unwrap_err().code(), "root-version");
    assert_eq!(seen, Seen::parse(&seen.to_bytes()).unwrap());
}

/// A keyring that approved twice, its first approvals, and what a node remembers that saw the second.
fn approved_again() -> (World, Vec<u8>, Seen) {
    let mut world = small(2);
    let old = Forge::of(&world).files["1.targets.json"].clone();
    world.approve("tool", b"better", About::default());
    world.sign(&[0, 1]);
    let mut seen = Seen::new();
    let trusted = Trusted::refresh(&world.root(1), &world.files(), &Clock::at(world.now), None);
    seen.remember(&trusted.unwrap(), 2);
    (world, old, seen)
}

#[test]
fn approvals_do_not_fall_when_the_keys_of_snapshots_change() {
    let (mut world, old, seen) = approved_again();
    let (first, clock) = (world.root(1), Clock::at(world.now));
    // the third leaves, and one of those who stay offers the old approvals
    let term = world.term();
    world.keyring.remove(&keyring::id(world.keys[2].public()), term).unwrap();
    world.sign(&[0, 1]);
    let mut files = Files::new();
    let mut forge = Forge::of(&world);
    forge.files.insert("1.targets.json".to_owned(), old.clone());
    let mut snapshot = forge
        .files
        .iter()
        .find(|(name, _)| name.ends_with(".snapshot.json"))
        .map(|(name, _)| name.clone())
        .unwrap();
    let mut body = forge.body(&snapshot);
    forge.files.remove(&snapshot);
    snapshot = "9.snapshot.json".to_owned();
    body["version"] = 9.into();
    body["meta"]["targets.json"] = serde_json::json!({"version": 1, "length": old.len()});
    forge.sign(&snapshot, body, &[0]);
    let mut timestamp = forge.body("timestamp.json");
    timestamp["version"] = 9.into();
    timestamp["meta"]["snapshot.json"] = serde_json::json!({"version": 9});
    forge.sign("timestamp.json", timestamp, &[0]);
    forge.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()).unwrap());
    assert!(Trusted::refresh(&first, &files, &clock, None).is_ok());
    let error = Trusted::refresh(&first, &files, &clock, seen.known(&first)).unwrap_err();
    assert!(
        matches!(&error, TufError::Rollback { role, trusted: 2, new: 1 } if role == "targets"),
        "{error:?}"
    );
    assert!(Trusted::refresh(&first, &world.files(), &clock, seen.known(&first)).is_ok());
}

#[test]
fn one_holder_of_two_moves_no_clock_and_two_move_it_by_a_day() {
    let world = small(2);
    let first = world.root(1);
    let judged = |forge: &Forge<'_>, clock: Clock| {
        let mut files = Files::new();
        forge.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()).unwrap());
        let mut seen = Seen::new();
        seen.remember(&Trusted::refresh(&first, &files, &clock, None).unwrap(), 1);
        seen
    };
    let set = Clock::at(world.now);
    let mut forge = Forge::of(&world);
    for name in ["1.snapshot.json", "timestamp.json"] {
        let mut body = forge.body(name);
        body["x-claw-issued"] = "2099-01-01T00:00:00Z".into();
        body["expires"] = "2100-01-01T00:00:00Z".into();
        if name == "timestamp.json" {
            body["meta"]["snapshot.json"] = serde_json::json!({"version": 1});
        }
        forge.sign(name, body, &[0]);
    }
    assert_eq!(judged(&forge, set).floor(Some(&first)), Some(world.now));
    let mut targets = forge.body("1.targets.json");
    targets["x-claw-issued"] = "2099-01-01T00:00:00Z".into();
    targets["expires"] = "2100-01-01T00:00:00Z".into();
    forge.sign("1.targets.json", targets, &[0, 1]);
    forge.above(0);
    let seen = judged(&forge, set);
    assert_eq!(seen.floor(Some(&first)), Some(days(world.now, 1)));
    assert_eq!(seen.word(&first).len(), 2);
    // the clock of another repository stays where it is
    assert_eq!(seen.floor(Some(&small(1).root(1))), None);
    // a clock that was never set believes both
    let unset = Clock::at(Timestamp::UNIX_EPOCH).built(world.now);
    assert_eq!(judged(&forge, unset).floor(Some(&first)), Some("2099-01-01T00:00:00Z".parse().unwrap()));
}

#[test]
fn a_director_who_counts_other_versions_assigns_the_same() {
    let images = small(2);
    let mut director = World::new(1);
    director.approve("other", b"other", About::default());
    director.sign(&[0]);
    director.approve("tool", b"tool", About::default());
    director.sign(&[0]);
    let trusted = |world: &World| {
        Trusted::refresh(&world.root(1), &world.files(), &Clock::at(world.now), None).unwrap()
    };
    uptane::both(&mut trusted(&images), &mut trusted(&director), "tool").unwrap();
}

#[test]
fn a_file_that_nothing_leads_to_is_told() {
    let world = small(1);
    let mut files = world.files();
    files.add("7.targets.json", world.files().read("1.targets.json").unwrap().to_vec()).unwrap();
    let trusted = Trusted::refresh(&world.root(1), &files, &Clock::at(world.now), None).unwrap();
    assert_eq!(trusted.unused(), ["7.targets.json"]);
}

#[test]
fn what_a_director_assigns_must_be_what_people_approved() {
    let images = small(2);
    let director = |change: &dyn Fn(&mut World)| {
        let mut world = small(1);
        change(&mut world);
        world.sign(&[0]);
        let trusted = |world: &World| {
            Trusted::refresh(&world.root(1), &world.files(), &Clock::at(world.now), None).unwrap()
        };
        match uptane::both(&mut trusted(&images), &mut trusted(&world), "tool") {
            Ok(_) => "accepted",
            Err(error) => error.code(),
        }
    };
    assert_eq!(director(&|_| {}), "accepted");
    // a director who was stolen: other bytes, other permissions, another length
    assert_eq!(director(&|world| world.approve("tool", b"evil", About::default())), "disagree");
    assert_eq!(
        director(&|world| world.approve("tool", b"tool", About { release: Some(9), ..About::default() })),
        "disagree"
    );
    assert_eq!(
        director(&|world| {
            let term = world.term();
            let digest = claw_model::digest::Digest::of(b"tool");
            world.keyring.approve("tool", 5, &digest, About::default(), term).unwrap();
        }),
        "disagree"
    );
    // what is approved and not assigned stays away
    assert_eq!(
        director(&|world| {
            let term = world.term();
            world.keyring.withdraw("tool", term).unwrap();
        }),
        "not-approved"
    );
    // what is assigned and not approved as well
    let mut other = small(1);
    other.approve("new", b"new", About::default());
    other.sign(&[0]);
    let trusted = |world: &World| {
        Trusted::refresh(&world.root(1), &world.files(), &Clock::at(world.now), None).unwrap()
    };
    let error = uptane::both(&mut trusted(&images), &mut trusted(&other), "new").unwrap_err();
    assert_eq!(error.code(), "not-approved");
}
