//! What a file of pinned keys may say.

use super::*;
use crate::key::Algorithm;
use crate::sign::PrivateKey;

fn public() -> (PublicKey, String) {
    let key = PrivateKey::generate(Algorithm::P256).unwrap().public().clone();
    let text = format!("[[key]]\nname = \"a\"\npublic = \"\"\"\n{}\"\"\"\n", key.to_pem());
    (key, text)
}

fn at(text: &str) -> Clock {
    Clock::at(text.parse().unwrap())
}

fn why(text: &str) -> String {
    Pins::read(text).unwrap_err().to_string()
}

#[test]
fn keys_count_while_they_are_valid() {
    let ((one, first), (two, second)) = (public(), public());
    let text = format!(
        "version = 1\nthreshold = 1\nexpires = \"2028-01-01T00:00:00Z\"\n{first}{second}expires = \"2027-01-01T00:00:00Z\"\n"
    );
    let pins = Pins::read(&text).unwrap();
    let ids = |time: &str| {
        let keys = pins.keys(&at(time)).unwrap();
        keys.iter().map(PublicKey::id).collect::<Vec<_>>()
    };
    let mut both = vec![one.id(), two.id()];
    both.sort();
    assert_eq!(ids("2026-01-01T00:00:00Z"), both);
    assert_eq!(ids("2027-06-01T00:00:00Z"), [one.id()]);
    assert_eq!(pins.keys(&at("2028-01-02T00:00:00Z")).unwrap_err().code(), "expired");
}

#[test]
fn too_few_valid_keys_are_none() {
    let ((_, first), (_, second)) = (public(), public());
    let text = format!("version = 1\nthreshold = 2\n{first}{second}expires = \"2027-01-01T00:00:00Z\"\n");
    let pins = Pins::read(&text).unwrap();
    assert!(pins.keys(&at("2026-01-01T00:00:00Z")).is_ok());
    assert_eq!(pins.keys(&at("2027-06-01T00:00:00Z")).unwrap_err().code(), "impossible-threshold");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let (_, key) = public();
    assert!(why(&format!("version = 2\nthreshold = 1\n{key}")).contains("line 1: version 1 is known"));
    assert!(
        why(&format!("version = 1\nthreshold = 0\n{key}")).contains("line 2: a threshold of 0 with 1 keys")
    );
    assert!(
        why(&format!("version = 1\nthreshold = 2\n{key}")).contains("line 2: a threshold of 2 with 1 keys")
    );
    assert!(why(&format!("version = 1\nthreshold = 1\n{key}{key}")).contains("stands twice"));
    assert!(
        why(&format!("version = 1\nthreshold = 1\nmore = 1\n{key}")).contains("line 3: unknown field `more`")
    );
    assert!(
        why(&format!("version = 1\nthreshold = 1\nexpires = \"soon\"\n{key}"))
            .contains("line 3: it is no time")
    );
    assert!(
        why(&format!("version = 1\nversion = 1\nthreshold = 1\n{key}")).contains("line 2: duplicate key")
    );
    let broken = key.replace("BEGIN PUBLIC", "BEGIN PRIVATE");
    assert!(why(&format!("version = 1\nthreshold = 1\n{broken}")).contains("line 5: "));
}

#[test]
fn the_root_of_a_keyring_names_its_holders() {
    let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let keys: Vec<PrivateKey> = [Algorithm::Ed25519, Algorithm::P256, Algorithm::Ed25519]
        .map(|kind| PrivateKey::generate(kind).unwrap())
        .into();
    let holder = |at: usize, until: Option<&str>| crate::keyring::Holder {
        name: format!("holder {at}"),
        key: keys[at].public().clone(),
        from: None,
        until: until.map(time),
    };
    let holders = [holder(0, None), holder(1, None), holder(2, Some("2026-07-01T00:00:00Z"))];
    let term =
        crate::keyring::Term { now: time("2026-06-01T00:00:00Z"), until: time("2027-06-01T00:00:00Z") };
    let mut ring = crate::keyring::Keyring::new(&holders, 2, term).unwrap();
    for key in &keys {
        ring.sign(key, term.now, term.until).ok();
    }
    let root = String::from_utf8(ring.files()["metadata/1.root.json"].clone()).unwrap();
    let pins = Pins::read(&root).unwrap();
    let ids = |when: &str| pins.keys(&at(when)).map(|keys| (keys.len(), keys.need()));
    assert_eq!(ids("2026-06-02T00:00:00Z"), Ok((3, 2)));
    assert_eq!(ids("2026-08-01T00:00:00Z"), Ok((2, 2)), "a key past its time does not count");
    assert_eq!(ids("2027-06-02T00:00:00Z").unwrap_err().code(), "expired");
    let found = pins.keys(&at("2026-06-02T00:00:00Z")).unwrap();
    assert!(keys.iter().all(|key| found.find(&key.id()).is_some()));
    // a root that somebody changed is nobody's word
    assert!(why(&root.replacen("holder 0", "holder 9", 1)).contains("root of a keyring"));
}

#[test]
fn a_keyring_is_followed_to_its_newest_root_without_what_it_took_back() {
    let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let keys: Vec<PrivateKey> = (0..3).map(|_| PrivateKey::generate(Algorithm::Ed25519).unwrap()).collect();
    let holder = |at: usize| crate::keyring::Holder {
        name: format!("holder {at}"),
        key: keys[at].public().clone(),
        from: None,
        until: None,
    };
    let term =
        crate::keyring::Term { now: time("2026-06-01T00:00:00Z"), until: time("2027-06-01T00:00:00Z") };
    let mut ring = crate::keyring::Keyring::new(&[holder(0), holder(1)], 1, term).unwrap();
    ring.sign(&keys[0], term.now, term.until).unwrap();
    let pinned = ring.files()["metadata/1.root.json"].clone();
    let clock = at("2026-06-02T00:00:00Z");
    let (pins, first, version) = Pins::of_keyring(&pinned, &ring, &clock, None).unwrap();
    assert_eq!((pins.keys(&clock).unwrap().len(), version), (2, 1));
    let old = ring.clone();
    // another holder comes, and one's key is stolen
    ring.add(&holder(2), term).unwrap();
    ring.sign(&keys[0], term.now, term.until).unwrap();
    let stolen = crate::keyring::id(keys[1].public());
    let entry = Entry::Compromised { key: stolen, except: BTreeSet::new(), why: "stolen".to_owned() };
    ring.revoke(entry, term).unwrap();
    ring.sign(&keys[0], term.now, term.until).unwrap();
    let (pins, trusted, version) = Pins::of_keyring(&pinned, &ring, &clock, None).unwrap();
    let found = pins.keys(&clock).unwrap();
    assert_eq!((found.len(), found.find(&keys[1].id()).is_some(), version), (2, false, 2));
    assert!(found.find(&keys[2].id()).is_some());
    // the older keyring, in which the stolen key still counts, is not gone back to
    let mut seen = crate::tuf::Seen::new();
    seen.remember(&first, 1);
    seen.remember(&trusted, version);
    let error = Pins::of_keyring(&pinned, &old, &clock, seen.known(&pinned)).unwrap_err();
    assert!(error.to_string().contains("version 1"), "{error}");
    // nor is one believed that stands still
    assert!(Pins::of_keyring(&pinned, &ring, &at("2027-06-02T00:00:00Z"), None).is_err());
    let other = crate::keyring::Keyring::new(&[holder(1)], 1, term).map(|mut ring| {
        ring.sign(&keys[1], term.now, term.until).unwrap();
        ring
    });
    assert!(Pins::of_keyring(&pinned, &other.unwrap(), &clock, None).is_err(), "another keyring");
}

#[test]
fn one_public_key_is_a_file_of_one_key() {
    let (key, _) = public();
    let keys = Pins::read(&key.to_pem()).unwrap().keys(&at("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!((keys.len(), keys.need(), keys.find(&key.id()).is_some()), (1, 1, true));
    assert!(
        Pins::read(&format!("{}{}", key.to_pem(), key.to_pem())).is_err(),
        "two say nothing of how many must sign"
    );
}
