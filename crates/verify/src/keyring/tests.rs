//! Changes of a keyring, and who has to sign them.

use super::*;
use crate::pack::tests::{World, days};

fn holder(name: &str) -> (PrivateKey, Holder) {
    let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    let public = key.public().clone();
    (key, Holder { name: name.to_owned(), key: public, from: None, until: None })
}

#[test]
fn a_threshold_that_nobody_can_meet_is_refused() {
    let world = World::new(1);
    let (_, one) = holder("one");
    for (need, have) in [(0, 1), (2, 1)] {
        let error = Keyring::new(std::slice::from_ref(&one), need, world.term()).unwrap_err();
        assert!(matches!(error, KeyringError::Impossible { need: n, have: h } if (n, h) == (need, have)));
    }
    let mut keyring = world.keyring.clone();
    keyring.threshold(3, world.term()).unwrap();
    let id = id(world.keys[0].public());
    assert!(matches!(keyring.remove(&id, world.term()), Err(KeyringError::Impossible { need: 3, have: 2 })));
}

#[test]
fn a_draft_is_published_when_enough_have_signed_and_not_before() {
    let mut world = World::new(2);
    let (new, entry) = holder("dee");
    world.keyring.add(&entry, world.term()).unwrap();
    let fresh = days(world.now, 30);
    let first = world.keyring.sign(&world.keys[0], world.now, fresh).unwrap();
    assert_eq!(first.waiting, [("root".to_owned(), 1, 2)]);
    assert!(!world.keyring.files().contains_key("metadata/2.root.json"));
    // the same key again changes nothing
    let again = world.keyring.sign(&world.keys[0], world.now, fresh).unwrap();
    assert_eq!(again.waiting, [("root".to_owned(), 1, 2)]);
    // one who is not a holder yet cannot bring himself in with one holder: the old root asks for two of its own
    let own = world.keyring.sign(&new, world.now, fresh).unwrap();
    assert_eq!(own.waiting, [("root".to_owned(), 2, 3)]);
    assert!(!world.keyring.files().contains_key("metadata/2.root.json"));
    let second = world.keyring.sign(&world.keys[1], world.now, fresh).unwrap();
    assert!(second.published.contains(&("root".to_owned(), 2)));
    assert!(world.keyring.drafts().unwrap().is_empty());
}

#[test]
fn a_stranger_s_key_signs_nothing() {
    let mut world = World::new(1);
    let (stranger, _) = holder("eve");
    let before = world.keyring.clone();
    let error = world.keyring.sign(&stranger, world.now, days(world.now, 30)).unwrap_err();
    assert!(matches!(error, KeyringError::NotAsked { .. }));
    assert_eq!(world.keyring, before);
}

#[test]
fn what_was_approved_first_stays_known_when_it_is_approved_again() {
    let mut world = World::new(1);
    let since = |world: &World| {
        let targets = world.keyring.published("targets").unwrap().unwrap();
        targets.pointer("/targets/tool/custom/claw/since").and_then(Value::as_u64)
    };
    assert_eq!(since(&world), Some(1));
    world.approve("tool", b"#!/bin/sh\necho tool\n", About::default());
    world.sign(&[0]);
    assert_eq!(since(&world), Some(1));
    world.approve("tool", b"other", About::default());
    world.sign(&[0]);
    assert_eq!(since(&world), Some(3));
}

#[test]
fn the_list_of_what_was_taken_back_grows_by_one_version() {
    let mut world = World::new(1);
    assert_eq!(world.keyring.revocations().unwrap().version, 1);
    let entry =
        |text: &[u8]| crate::revocation::Entry::Artefact { digest: Digest::of(text), why: "bug".into() };
    world.keyring.revoke(entry(b"a"), world.term()).unwrap();
    world.keyring.revoke(entry(b"b"), world.term()).unwrap();
    assert_eq!(world.keyring.newly_revoked().unwrap(), [entry(b"a"), entry(b"b")]);
    assert_eq!(world.keyring.revocations().unwrap().version, 2);
    world.sign(&[0]);
    assert!(world.keyring.newly_revoked().unwrap().is_empty());
    let list = world.keyring.revocations().unwrap();
    assert_eq!((list.version, list.entries.len()), (2, 2));
}

#[test]
fn each_approval_raises_the_list_of_what_was_taken_back() {
    let mut world = World::new(1);
    let before = world.keyring.revocations().unwrap().version;
    world.approve("tool", b"again", About::default());
    world.sign(&[0]);
    assert_eq!(world.keyring.revocations().unwrap().version, before + 1);
}

#[test]
fn a_key_that_was_taken_back_does_not_come_again_and_signs_nothing() {
    let mut world = World::new(2);
    let stolen = id(world.keys[0].public());
    let entry = crate::revocation::Entry::Compromised {
        key: stolen.clone(),
        except: Default::default(),
        why: "stolen".into(),
    };
    let term = world.term();
    world.keyring.revoke(entry, term).unwrap();
    let now = world.now;
    world.keyring.sign(&world.keys[0], now, term.until).unwrap();
    let progress = world.keyring.sign(&world.keys[1], now, term.until).unwrap();
    assert_eq!(progress.waiting, [("targets".to_owned(), 1, 2)]);
    world.sign(&[2]);
    assert!(world.keyring.drafts().unwrap().is_empty());
    let holder = Holder { name: "ann".into(), key: world.keys[0].public().clone(), from: None, until: None };
    assert!(
        matches!(world.keyring.add(&holder, term), Err(KeyringError::Compromised { key }) if key == stolen)
    );
}

#[test]
fn a_name_that_could_pass_for_a_line_is_none() {
    let world = World::new(1);
    for name in ["", " ann", "a\nyes: root", "ann\u{202e}", "\u{1b}[2J", &"a".repeat(81)] {
        let holder =
            Holder { name: name.into(), key: world.keys[0].public().clone(), from: None, until: None };
        let made = Keyring::new(std::slice::from_ref(&holder), 1, world.term());
        assert!(matches!(made, Err(KeyringError::Name { .. })), "{name:?}");
        let mut keyring = world.keyring.clone();
        assert!(matches!(keyring.add(&holder, world.term()), Err(KeyringError::Name { .. })), "{name:?}");
    }
    // nor is one read
    let text = String::from_utf8(world.root(1)).unwrap().replacen("\"ann\"", "\"a\\nb\"", 1);
    assert!(text.contains("a\\nb"));
    let error = crate::tuf::pin(text.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("no name of a holder"), "{error}");
}

#[test]
fn a_name_is_a_file_or_a_directory() {
    let mut world = World::new(1);
    let term = world.term();
    for name in ["tool/x", "tool/x/y"] {
        let made = world.keyring.approve(name, 1, &Digest::of(b"a"), About::default(), term);
        assert!(matches!(made, Err(KeyringError::Clash { above, .. }) if above == "tool"), "{name}");
    }
    world.keyring.approve("new/x", 1, &Digest::of(b"a"), About::default(), term).unwrap();
    world.keyring.approve("new.x", 1, &Digest::of(b"a"), About::default(), term).unwrap();
    let made = world.keyring.approve("new", 1, &Digest::of(b"a"), About::default(), term);
    assert!(matches!(made, Err(KeyringError::Clash { above, .. }) if above == "new"));
}

#[test]
fn a_file_that_is_not_a_keyring_s_is_refused() {
    assert!(matches!(Keyring::of(BTreeMap::new()), Err(KeyringError::None)));
    let files = BTreeMap::from([("draft/root.json".to_owned(), b"{}".to_vec())]);
    assert!(matches!(Keyring::of(files), Err(KeyringError::File { .. })));
}

/// The roots of one keyring, and all that was approved in another.
fn with_approvals(keyring: &Keyring, other: &Keyring) -> Keyring {
    let is_root = |path: &str| path.ends_with(".root.json");
    let files = |keyring: &Keyring, root: bool| {
        keyring.files().clone().into_iter().filter(move |(path, _)| is_root(path) == root)
    };
    Keyring { files: files(keyring, true).chain(files(other, false)).collect() }
}

/// What is there, with these files in place of its own.
fn with(keyring: &Keyring, other: &Keyring, paths: &[&str]) -> Keyring {
    let mut files = keyring.files().clone();
    for path in paths {
        files.insert((*path).to_owned(), other.files()[*path].clone());
    }
    Keyring { files }
}

/// The holders of a world, as they began.
fn held(world: &World) -> Vec<Holder> {
    let named = ["ann", "bo", "cy"].iter().zip(&world.keys);
    named
        .map(|(name, key)| Holder {
            name: (*name).to_owned(),
            key: key.public().clone(),
            from: None,
            until: None,
        })
        .collect()
}

/// Another world with the same keys.
fn again(world: &World) -> World {
    let keys = world.keys.iter().map(|key| PrivateKey::from_pem(&key.to_secret_pem().unwrap()).unwrap());
    World { keys: keys.collect(), ..World::new(1) }
}

/// Two keyrings with the same holders, threshold and time; the other one approves `tool` with other bytes.
fn two() -> (World, World) {
    let one = World::new(1);
    let mut other = again(&one);
    other.keyring = Keyring::new(&held(&one), 1, other.term()).unwrap();
    other.approve("tool", b"for another purpose", About::default());
    other.sign(&[0]);
    (one, other)
}

fn followed(pinned: &[u8], keyring: &Keyring, world: &World) -> Result<Option<Digest>, String> {
    let served = keyring.served().unwrap();
    let trusted = crate::tuf::Trusted::refresh(pinned, &served, &crate::Clock::at(world.now), None);
    trusted.map(|trusted| trusted.keyring()).map_err(|error| error.code().to_owned())
}

#[test]
fn what_the_same_holders_approved_in_another_keyring_does_not_count() {
    let (one, mut other) = two();
    let pinned = one.root(1);
    assert_eq!(followed(&pinned, &one.keyring, &one), Ok(one.keyring.name().unwrap()));
    assert_ne!(one.keyring.name().unwrap(), other.keyring.name().unwrap());
    let refused = Err("other-keyring".to_owned());
    // the attack: all that the other approved, under this root
    assert_eq!(followed(&pinned, &with_approvals(&one.keyring, &other.keyring), &one), refused);
    // its signatures are right: without the name they would have counted
    let signed = Signed::read("x", &other.keyring.files()["metadata/1.targets.json"]).unwrap();
    let root: Value = Signed::read("x", &pinned).unwrap().body().clone();
    assert_eq!(signed.valid(&root, "targets").unwrap().len(), 1);
    // the attack: the other's next root, which lets somebody in
    let (_, entry) = holder("eve");
    other.keyring.add(&entry, other.term()).unwrap();
    other.sign(&[0]);
    let roots = ["metadata/2.root.json"];
    let led = with(&one.keyring, &other.keyring, &roots);
    assert_eq!(followed(&pinned, &led, &one), refused);
    // nor does it teach anything: else what is honest here would be refused from then on
    let clock = crate::Clock::at(one.now);
    let mut seen = crate::tuf::Seen::new();
    for mixed in [with_approvals(&one.keyring, &other.keyring), led] {
        seen.learn(&pinned, &mixed.served().unwrap(), &clock);
        let known = seen.known(&pinned);
        assert!(crate::tuf::Trusted::refresh(&pinned, &one.keyring.served().unwrap(), &clock, known).is_ok());
    }
    // whoever pins a later root knows the keyring by it
    assert_eq!(followed(&other.root(2), &other.keyring, &other), Ok(other.keyring.name().unwrap()));
}

#[test]
fn a_keyring_without_a_mark_and_one_with_it_do_not_stand_for_each_other() {
    let one = World::new(1);
    // as it was made before keyrings had a mark, by the same holders
    let unmarked = |bytes: &[u8]| {
        let mut body = Signed::read("x", bytes).unwrap().body().clone();
        let members = body.as_object_mut().unwrap();
        members.remove(MARK);
        members.remove(KEYRING);
        Signed::new(body).to_bytes()
    };
    let mut fresh = Keyring::new(&held(&one), 1, one.term()).unwrap();
    for path in ["draft/root.json", "draft/targets.json"] {
        let bytes = unmarked(&fresh.files[path]);
        fresh.files.insert(path.to_owned(), bytes);
    }
    let mut bare = again(&one);
    bare.keyring = fresh;
    bare.sign(&[0]);
    assert_eq!(bare.keyring.name().unwrap(), None);
    assert_eq!(followed(&bare.root(1), &bare.keyring, &bare), Ok(None));
    let refused = Err("other-keyring".to_owned());
    assert_eq!(followed(&one.root(1), &with_approvals(&one.keyring, &bare.keyring), &one), refused);
    assert_eq!(followed(&bare.root(1), &with_approvals(&bare.keyring, &one.keyring), &one), refused);
    // and it stays as it is when it changes
    let (_, entry) = holder("dee");
    bare.keyring.add(&entry, bare.term()).unwrap();
    bare.sign(&[0]);
    assert_eq!(followed(&bare.root(1), &bare.keyring, &bare), Ok(None));
}

#[test]
fn a_draft_of_another_keyring_is_not_signed_here() {
    let (one, mut other) = two();
    other.approve("tool", b"third", About::default());
    let list = other.keyring.files().keys().find(|path| path.starts_with("draft/rev")).unwrap().clone();
    let mut mixed = with(&one.keyring, &other.keyring, &["draft/targets.json", &list]);
    let error = mixed.sign(&one.keys[0], one.now, days(one.now, 30)).unwrap_err();
    assert!(matches!(error, KeyringError::Elsewhere { role } if role == "targets"));
}

#[test]
fn another_holder_before_the_first_root_makes_another_keyring_of_all_that_is_drafted() {
    let world = World::new(1);
    let (key, first) = holder("ann");
    let (_, second) = holder("bo");
    let mut keyring = Keyring::new(&[first], 1, world.term()).unwrap();
    let before = keyring.name().unwrap();
    keyring.add(&second, world.term()).unwrap();
    assert_ne!(keyring.name().unwrap(), before);
    keyring.sign(&key, world.now, days(world.now, 30)).unwrap();
    let root = keyring.files()["metadata/1.root.json"].clone();
    assert_eq!(followed(&root, &keyring, &world), Ok(keyring.name().unwrap()));
}
