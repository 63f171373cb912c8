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
    assert_eq!(world.keyring.revocations_changed().unwrap(), (vec![entry(b"a"), entry(b"b")], vec![]));
    assert_eq!(world.keyring.revocations().unwrap().version, 2);
    world.sign(&[0]);
    assert_eq!(world.keyring.revocations_changed().unwrap(), (vec![], vec![]));
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
fn a_key_that_was_taken_back_does_not_sign_the_draft_that_forgets_it() {
    let mut world = World::new(2);
    let key = id(world.keys[0].public());
    let before = world.keyring.revocations().unwrap();
    let entry = Entry::Compromised { key, except: Default::default(), why: "stolen".into() };
    let term = world.term();
    world.keyring.revoke(entry, term).unwrap();
    world.sign(&[1, 2]);
    // the attack: a draft without that, made by hand
    let targets = world.keyring.next("targets").unwrap();
    world.keyring.approvals(targets, &before, term).unwrap();
    world.keyring.sign(&world.keys[1], world.now, term.until).unwrap();
    let progress = world.keyring.sign(&world.keys[0], world.now, term.until).unwrap();
    assert_eq!(progress.waiting, [("targets".to_owned(), 1, 2)]);
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
    let served = keyring.served();
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
        seen.learn(&pinned, &mixed.served(), &clock);
        let known = seen.known(&pinned);
        assert!(crate::tuf::Trusted::refresh(&pinned, &one.keyring.served(), &clock, known).is_ok());
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
    assert!(matches!(error, KeyringError::Elsewhere { role: "targets" }));
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

/// The files of a keyring with one more, as anybody can put it there who carries them.
fn forged(keyring: &Keyring, path: &str, signed: &Signed) -> Keyring {
    let mut files = keyring.files().clone();
    files.insert(path.to_owned(), signed.to_bytes());
    Keyring { files }
}

/// What was published, with another version, and changed.
fn changed(keyring: &Keyring, path: &str, version: u64, change: impl FnOnce(&mut Value)) -> Signed {
    let mut body = Signed::read(path, &keyring.files()[path]).unwrap().body().clone();
    put(&mut body, &["version"], json!(version));
    change(&mut body);
    Signed::new(body)
}

/// Something that is done to a keyring.
type Change<'a> = &'a dyn Fn(&mut Keyring) -> Result<(), KeyringError>;

/// Nothing is drafted or signed on top of this file.
fn is_no_base(keyring: &Keyring, world: &World, is: fn(&KeyringError) -> bool) {
    let term = world.term();
    let entry = Entry::Artefact { digest: Digest::of(b"x"), why: "x".into() };
    let (_, dee) = holder("dee");
    let fresh = days(world.now, 30);
    let digest = Digest::of(b"a");
    let key = &world.keys[0];
    let all: [Change<'_>; 7] = [
        &|keyring| keyring.approve("new", 1, &digest, About::default(), term),
        &|keyring| keyring.withdraw("tool", term),
        &|keyring| keyring.revoke(entry.clone(), term),
        &|keyring| keyring.renew(term),
        &|keyring| keyring.add(&dee, term),
        &|keyring| keyring.sign(key, world.now, fresh).map(drop),
        &|keyring| keyring.check(None),
    ];
    for (number, one) in all.iter().enumerate() {
        let refused = one(&mut keyring.clone());
        assert!(matches!(&refused, Err(error) if is(error)), "{number}: {refused:?}");
    }
}

const UNSIGNED: fn(&KeyringError) -> bool = |error| matches!(error, KeyringError::Unsigned { .. });

#[test]
fn what_nobody_signed_is_the_base_of_nothing() {
    let world = World::new(2);
    // the attack: the next approvals, with other bytes for a tool; who signs what is drafted on them is told nothing of that
    let backdoor = |body: &mut Value| {
        put(body, &["targets", "tool", "hashes", "sha256"], json!(Digest::of(b"backdoor").hex()));
    };
    let mut lies = changed(&world.keyring, "metadata/1.targets.json", 2, backdoor);
    is_no_base(&forged(&world.keyring, "metadata/2.targets.json", &lies), &world, UNSIGNED);
    // nor with one signature of two, nor by one key that claims to be two
    lies.sign(&id(world.keys[0].public()), &world.keys[0]).unwrap();
    is_no_base(&forged(&world.keyring, "metadata/2.targets.json", &lies), &world, UNSIGNED);
    lies.sign(&id(world.keys[1].public()), &world.keys[0]).unwrap();
    is_no_base(&forged(&world.keyring, "metadata/2.targets.json", &lies), &world, UNSIGNED);
    // nor a root that lets somebody in
    let (_, eve) = holder("eve");
    let root = changed(&world.keyring, "metadata/1.root.json", 2, |root| enter(root, &eve).unwrap());
    let named = Signed::new(world.keyring.named(root.body().clone()).unwrap());
    is_no_base(&forged(&world.keyring, "metadata/2.root.json", &named), &world, UNSIGNED);
    let gap = |error: &KeyringError| matches!(error, KeyringError::Gap { .. });
    is_no_base(&forged(&world.keyring, "metadata/3.root.json", &named), &world, gap);
    // nor what was published, by another name: all roles are signed with the same keys
    let misnamed = |error: &KeyringError| matches!(error, KeyringError::Misnamed { .. });
    let published = Signed::read("x", &world.keyring.files()["metadata/1.targets.json"]).unwrap();
    is_no_base(&forged(&world.keyring, "metadata/7.targets.json", &published), &world, misnamed);
    let root = Signed::read("x", &world.root(1)).unwrap();
    is_no_base(&forged(&world.keyring, "metadata/1.targets.json", &root), &world, misnamed);
}

#[test]
fn what_the_same_holders_published_in_another_keyring_is_the_base_of_nothing() {
    let (one, mut other) = two();
    other.approve("tool", b"third", About::default());
    other.sign(&[0]);
    let list = other.keyring.files().keys().filter(|path| path.starts_with("targets/"));
    let mut paths: Vec<&str> = list.map(String::as_str).collect();
    paths.push("metadata/2.targets.json");
    let mixed = with(&one.keyring, &other.keyring, &paths);
    is_no_base(&mixed, &one, |error| matches!(error, KeyringError::Other { .. }));
}

#[test]
fn a_list_of_what_was_taken_back_is_the_one_that_was_signed() {
    let mut world = World::new(2);
    let entry = Entry::Artefact { digest: Digest::of(b"bad"), why: "bug".into() };
    world.keyring.revoke(entry.clone(), world.term()).unwrap();
    world.sign(&[0, 1]);
    let approved = world.keyring.approved().unwrap().unwrap();
    let path = format!("targets/{}.{REVOCATIONS}", published::listed(approved.signed.body()).unwrap());
    // the attack: a list without it, by the name of the one with it
    let mut list = world.keyring.revocations().unwrap();
    list.entries.clear();
    let mut files = world.keyring.files().clone();
    files.insert(path, list.to_bytes());
    is_no_base(&Keyring { files }, &world, |error| matches!(error, KeyringError::Changed { .. }));
    // the attack: a draft that shows another list than its approvals name
    world.approve("new", b"new", About::default());
    let mut files = world.keyring.files().clone();
    files.insert(DRAFTED_LIST.to_owned(), list.to_bytes());
    let mut drafted = Keyring { files };
    let refused = drafted.sign(&world.keys[0], world.now, days(world.now, 30));
    assert!(matches!(refused, Err(KeyringError::List { .. })), "{refused:?}");
    // a draft without it is seen
    let targets = world.keyring.drafted_body("targets").unwrap().unwrap();
    world.keyring.approvals(targets, &list, world.term()).unwrap();
    assert_eq!(world.keyring.revocations_changed().unwrap(), (vec![], vec![entry]));
}

#[test]
fn a_draft_is_the_next_version_and_no_other() {
    let world = World::new(2);
    for version in [1, 3, u64::MAX] {
        let draft = changed(&world.keyring, "metadata/1.targets.json", version, |_| {});
        let mut keyring = forged(&world.keyring, "draft/targets.json", &draft);
        let refused = keyring.sign(&world.keys[0], world.now, days(world.now, 30));
        assert!(matches!(refused, Err(KeyringError::Stale { next: 2, .. })), "{version}: {refused:?}");
    }
}

#[test]
fn what_a_holder_who_left_had_signed_is_told_whole() {
    let mut world = World::new(2);
    let left = id(world.keys[0].public());
    world.keyring.remove(&left, world.term()).unwrap();
    assert!(world.keyring.published("targets").unwrap().is_some());
    world.sign(&[1, 2]);
    // two of the first root signed it, and one of this
    assert!(world.keyring.published("targets").unwrap().is_none());
    world.approve("new", b"new", About::default());
    let draft = world.keyring.drafted_body("targets").unwrap().unwrap();
    assert!(draft.pointer("/targets/tool").is_some());
    world.sign(&[1, 2]);
    assert_eq!(world.keyring.published("targets").unwrap().unwrap(), draft);
}

fn versions(keyring: &Keyring) -> (u64, u64) {
    let files = keyring.served();
    let timestamp = Signed::read("x", files.read("timestamp.json").unwrap()).unwrap();
    let snapshot = timestamp.body().pointer("/meta/snapshot.json/version").and_then(Value::as_u64);
    (version(timestamp.body()), snapshot.unwrap())
}

#[test]
fn versions_that_nobody_signed_move_nothing() {
    let mut world = World::new(2);
    let before = world.keyring.clone();
    let honest = versions(&before);
    let snapshot = format!("metadata/{}.snapshot.json", honest.1);
    // the attack: the highest versions that there are, and none at all
    for version in [u64::MAX, 0] {
        let timestamp = changed(&before, "metadata/timestamp.json", version, |_| {});
        world.keyring = forged(&before, "metadata/timestamp.json", &timestamp);
        let last = changed(&before, &snapshot, version, |_| {});
        world.keyring = forged(&world.keyring, &format!("metadata/{version}.snapshot.json"), &last);
        world.keyring.files.insert("metadata/5.snapshot.json".to_owned(), b"{".to_vec());
        world.sign(&[0]);
        let after = versions(&world.keyring);
        assert!(after.0 < 1 << 33 && after.0 >= honest.0, "{after:?}");
        assert_eq!(after.1, honest.1 + 1);
        assert!(followed(&world.root(1), &world.keyring, &world).is_ok());
    }
    // what was taken away moves nothing either, a second later
    world.keyring = before;
    world.keyring.files.remove("metadata/timestamp.json");
    world.keyring.files.remove(&snapshot);
    let second = honest.0.max(honest.1) + 1;
    let later = Timestamp::from_second(second as i64).unwrap();
    world.keyring.sign(&world.keys[0], later, days(world.now, 30)).unwrap();
    assert_eq!(versions(&world.keyring), (second, second));
}

#[test]
fn a_thief_who_drives_versions_up_is_named_and_taken_back() {
    let mut world = World::new(2);
    let thief = &world.keys[0];
    let stolen = id(thief.public());
    let pinned = world.root(1);
    let (_, snapshot) = versions(&world.keyring);
    let mut last = changed(&world.keyring, &format!("metadata/{snapshot}.snapshot.json"), u64::MAX, |_| {});
    last.sign(&stolen, thief).unwrap();
    let mut timestamp = changed(&world.keyring, "metadata/timestamp.json", u64::MAX, |body| {
        let bytes = last.to_bytes();
        let meta = json!({"version": u64::MAX, "length": bytes.len(), "hashes": {"sha256": Digest::of(&bytes).hex()}});
        put(body, &["meta", "snapshot.json"], meta);
    });
    timestamp.sign(&stolen, thief).unwrap();
    world.keyring = forged(&world.keyring, &format!("metadata/{}.snapshot.json", u64::MAX), &last);
    world.keyring = forged(&world.keyring, "metadata/timestamp.json", &timestamp);
    // a node follows it: one such key is enough for that
    let clock = crate::Clock::at(world.now);
    let mut seen = crate::tuf::Seen::new();
    let trusted = crate::tuf::Trusted::refresh(&pinned, &world.keyring.served(), &clock, None).unwrap();
    seen.remember(&trusted, 1);
    // nothing newer can be made, and it is said why
    let fresh = days(world.now, 30);
    let refused = world.keyring.clone().sign(&world.keys[1], world.now, fresh);
    assert!(matches!(&refused, Err(KeyringError::Spent { key, .. }) if *key == stolen), "{refused:?}");
    // without that key the versions are free again, here and at the node
    let entry = Entry::Compromised { key: stolen.clone(), except: Default::default(), why: "stolen".into() };
    world.keyring.remove(&stolen, world.term()).unwrap();
    world.keyring.revoke(entry, world.term()).unwrap();
    world.sign(&[1, 2]);
    assert!(world.keyring.drafts().unwrap().is_empty());
    assert!(versions(&world.keyring).0 < 1 << 33);
    let known = seen.known(&pinned);
    crate::tuf::Trusted::refresh(&pinned, &world.keyring.served(), &clock, known).unwrap();
}

#[test]
fn what_was_taken_away_since_it_was_seen_is_missed() {
    let mut world = World::new(2);
    let clock = crate::Clock::at(world.now);
    let pinned = world.root(1);
    let entry = Entry::Artefact { digest: Digest::of(b"bad"), why: "bug".into() };
    let before = world.keyring.clone();
    world.keyring.revoke(entry, world.term()).unwrap();
    world.sign(&[0, 1]);
    let mut seen = crate::tuf::Seen::new();
    seen.learn(&pinned, &world.keyring.served(), &clock);
    let known = seen.known(&pinned);
    world.keyring.check(known).unwrap();
    // the attack: a directory from before, so that what is drafted on it takes nothing back
    let refused = before.check(known);
    assert!(
        matches!(refused, Err(KeyringError::Older { role: "targets", seen: 2, version: 1 })),
        "{refused:?}"
    );
    // and what as many holders made of it elsewhere, by the same version
    world.keyring = before;
    world.approve("new", b"new", About::default());
    world.sign(&[0, 1]);
    let refused = world.keyring.check(known);
    assert!(matches!(refused, Err(KeyringError::Forked { role: "targets", version: 2 })), "{refused:?}");
}
