//! Each way in which a policy and its signature can part.

use super::*;
use crate::key::Algorithm;
use crate::sign::PrivateKey;
use crate::{Class, Signer};

const POLICY: &[u8] = b"version: 1\nagent: reviewer\n";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Clock {
    Clock::at(at("2026-06-01T00:00:00Z"))
}

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Ed25519).unwrap()
}

fn release() -> Release {
    Release {
        name: "reviewer".to_owned(),
        version: 7,
        keyring: None,
        not_before: at("2026-05-01T00:00:00Z"),
        expires: at("2026-07-01T00:00:00Z"),
        files: vec![File {
            role: Role::Ceiling,
            path: "org/base.yaml".to_owned(),
            digest: Digest::of(b"base"),
        }],
    }
}

fn signed(release: &Release, keys: &[&PrivateKey]) -> String {
    let statement = release.statement("agent_runtime.yaml", POLICY).unwrap();
    sealed(&statement.write().unwrap(), keys)
}

fn sealed(payload: &str, keys: &[&PrivateKey]) -> String {
    let (first, others) = keys.split_first().unwrap();
    let envelope = Envelope::sign(IN_TOTO, payload.as_bytes(), first).unwrap();
    others.iter().fold(envelope, |envelope, key| envelope.and_sign(key).unwrap()).write()
}

fn pinned(keys: &[&PrivateKey], need: usize) -> Keys {
    Keys::new(keys.iter().map(|key| key.public().clone()), need).unwrap()
}

#[test]
fn what_was_signed_is_read_back_on_its_signers_word() {
    let key = key();
    let text = signed(&release(), &[&key]);
    let read = Release::verify(POLICY, text.as_bytes(), &pinned(&[&key], 1), &now()).unwrap();
    assert_eq!(read.value(), &release());
    assert_eq!(read.signers(), [Signer::Key(key.id())]);
    assert_eq!((read.from(), read.until()), (Some(release().not_before), Some(release().expires)));
}

#[test]
fn every_changed_byte_of_policy_or_signature_is_refused() {
    let key = key();
    let text = signed(&release(), &[&key]);
    let keys = pinned(&[&key], 1);
    for at in 0..POLICY.len() {
        let mut policy = POLICY.to_vec();
        policy[at] ^= 1;
        let error = Release::verify(&policy, text.as_bytes(), &keys, &now()).unwrap_err();
        assert_eq!(error.class(), Class::Artifact, "byte {at}");
    }
    for at in 0..text.len() {
        let mut envelope = text.clone().into_bytes();
        envelope[at] ^= 1;
        // the hint is nobody's word, and what is left of it decides nothing
        if let Ok(read) = Release::verify(POLICY, &envelope, &keys, &now()) {
            let hint = text.find("keyid").unwrap()..text.find("\"sig\"").unwrap();
            assert!(hint.contains(&at), "byte {at} of the envelope is not covered");
            assert_eq!(read.value(), &release());
        }
    }
}

#[test]
fn others_and_too_few_do_not_count() {
    let (one, two, stranger) = (key(), key(), key());
    let check = |signers: &[&PrivateKey], need: usize| {
        let text = signed(&release(), signers);
        Release::verify(POLICY, text.as_bytes(), &pinned(&[&one, &two], need), &now())
    };
    assert!(check(&[&one], 1).is_ok());
    assert!(check(&[&one, &two], 2).is_ok());
    assert_eq!(check(&[&stranger], 1).unwrap_err().code(), "threshold");
    assert_eq!(check(&[&one, &stranger], 2).unwrap_err().code(), "threshold");
    assert_eq!(check(&[&one, &one], 2).unwrap_err().code(), "threshold");
}

#[test]
fn it_holds_from_its_begin_to_its_end() {
    let key = key();
    let text = signed(&release(), &[&key]);
    let check = |time: &str| {
        let clock = Clock::at(at(time));
        Release::verify(POLICY, text.as_bytes(), &pinned(&[&key], 1), &clock).map(drop)
    };
    assert_eq!(check("2026-04-30T23:59:59Z").unwrap_err().code(), "not-yet-valid");
    assert_eq!(check("2026-05-01T00:00:00Z"), Ok(()));
    assert_eq!(check("2026-07-01T00:00:01Z").unwrap_err().code(), "expired");
    let held = Clock::new(at("2026-06-01T00:00:00Z"), at("2026-08-01T00:00:00Z"));
    let error = Release::verify(POLICY, text.as_bytes(), &pinned(&[&key], 1), &held).unwrap_err();
    assert_eq!(error.code(), "expired", "a clock that was set back brings nothing back");
}

#[test]
fn a_file_that_it_names_is_the_one_that_was_signed() {
    let release = release();
    assert_eq!(release.holds(Role::Ceiling, "org/base.yaml", b"base"), Ok(()));
    for (role, path, content) in [
        (Role::Ceiling, "org/base.yaml", b"other"),
        (Role::Ceiling, "org/other.yaml", b"base."),
        (Role::Seccomp, "org/base.yaml", b"base."),
    ] {
        let content = content.strip_suffix(b".").unwrap_or(content);
        assert_eq!(release.holds(role, path, content).unwrap_err().class(), Class::Artifact);
    }
}

#[test]
fn what_is_not_strictly_such_a_statement_is_refused() {
    let key = key();
    let good = release().statement("p.yaml", POLICY).unwrap().write().unwrap();
    let check = |from: &str, to: &str| {
        assert!(good.contains(from), "{from} is not in {good}");
        let text = sealed(&good.replacen(from, to, 1), &[&key]);
        Release::verify(POLICY, text.as_bytes(), &pinned(&[&key], 1), &now()).unwrap_err().code()
    };
    assert_eq!(check("predicate:policy", "predicate:adapter"), "unsupported");
    assert_eq!(check("Statement/v1", "Statement/v0.1"), "unsupported");
    assert_eq!(check("\"version\":7", "\"version\":0"), "malformed");
    assert_eq!(check("\"version\":7", "\"version\":9007199254740992"), "malformed");
    assert_eq!(check("\"version\":7", "\"version\":7,\"version\":8"), "key-twice");
    assert_eq!(check("\"version\":7", "\"version\":7,\"more\":8"), "malformed");
    assert_eq!(check("\"name\":\"reviewer\"", "\"name\":\"../reviewer\""), "malformed");
    assert_eq!(check("2026-07-01", "2026-04-01"), "malformed");
    assert_eq!(check("2026-07-01T00:00:00Z", "tomorrow"), "malformed");
}

#[test]
fn a_name_is_a_plain_file_name() {
    for good in ["a", "reviewer", "a.b-c_9", "9"] {
        assert!(is_name(good), "{good}");
    }
    for bad in ["", ".", "..", ".a", "-a", "A", "a/b", "a b", "ä", &"a".repeat(81)] {
        assert!(!is_name(bad), "{bad}");
    }
}

#[test]
fn what_is_signed_for_one_keyring_counts_for_no_other_with_the_same_keys() {
    let key = key();
    let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
    let keys = |keyring| pinned(&[&key], 1).of(keyring);
    let verify = |named: Option<Digest>, keyring: Option<Digest>| {
        let text = signed(&Release { keyring: named, ..release() }, &[&key]);
        Release::verify(POLICY, text.as_bytes(), &keys(keyring), &now())
            .map(drop)
            .map_err(|error| error.code())
    };
    for same in [None, Some(one)] {
        assert_eq!(verify(same, same), Ok(()));
    }
    for (named, keyring) in [(Some(one), Some(other)), (Some(one), None), (None, Some(one))] {
        assert_eq!(verify(named, keyring), Err("other-keyring"), "{named:?} {keyring:?}");
    }
}
