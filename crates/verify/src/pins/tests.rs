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
