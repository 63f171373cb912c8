//! Envelopes: who signed counts once, and nothing else counts.

use super::*;
use crate::key::Algorithm;
use crate::{Class, PublicKey};

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Ed25519).unwrap()
}

fn keys<'a>(keys: impl IntoIterator<Item = &'a PrivateKey>, need: usize) -> Keys {
    Keys::new(keys.into_iter().map(|key| key.public().clone()), need).unwrap()
}

fn code(text: &str) -> (Class, &'static str) {
    let error = Envelope::read(text.as_bytes()).unwrap_err();
    (error.class(), error.code())
}

#[test]
fn the_encoding_that_is_signed_is_the_protocols() {
    let one = key();
    let envelope = Envelope::sign("http://example.com/HelloWorld", b"hello world", &one).unwrap();
    assert_eq!(envelope.pae(), b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

#[test]
fn the_example_of_the_protocol_verifies() {
    // DSSE protocol.md, test vector: ECDSA over NIST P-256 and SHA-256, signature as r and s.
    let text = r#"{"payload":"aGVsbG8gd29ybGQ=","payloadType":"http://example.com/HelloWorld","signatures":[{"sig":"A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}]}"#;
    let envelope = Envelope::read(text.as_bytes()).unwrap();
    let pem = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZ805D3eqNZywjCI19lInBJOp7YMr\nCrzAH3CVTAOQ0jgMeCvVTiaRJaRPRDOv8UMs6U4SvKc6pnrIDOoSYI3fdA==\n-----END PUBLIC KEY-----\n";
    let pinned = Keys::one(PublicKey::from_pem(pem).unwrap());
    let verified = envelope.verify("http://example.com/HelloWorld", &pinned).unwrap();
    assert_eq!(verified.value().bytes, b"hello world");
}

#[test]
fn k_of_n_distinct_keys_are_needed() {
    let (a, b, c) = (key(), key(), key());
    let envelope = Envelope::sign("t", b"p", &a).unwrap().and_sign(&b).unwrap();
    let verified = envelope.verify("t", &keys([&a, &b, &c], 2)).unwrap();
    let mut signers = vec![Signer::Key(a.id()), Signer::Key(b.id())];
    signers.sort();
    assert_eq!(verified.signers(), signers);
    assert_eq!(verified.proven(), [Proof::Signature, Proof::Threshold { need: 2, have: 2 }]);
    let error = envelope.verify("t", &keys([&a, &b, &c], 3)).unwrap_err();
    assert!(
        matches!(error, Error::Threshold { need: 3, ref signed, pinned: 3 } if signed.len() == 2),
        "{error}"
    );
}

#[test]
fn a_key_that_signs_twice_counts_once() {
    let (a, b) = (key(), key());
    let mut envelope = Envelope::sign("t", b"p", &a).unwrap();
    // The second signature pretends to be another key's.
    let mut again = envelope.signatures[0].clone();
    again.hint = Some(b.id().to_string());
    envelope.signatures.push(again);
    // ECDSA has many signatures of one message: two of them are still one key.
    let error = envelope.verify("t", &keys([&a, &b], 2)).unwrap_err();
    assert!(matches!(error, Error::Threshold { ref signed, .. } if signed == &[a.id()]), "{error}");
    let p256 = PrivateKey::generate(Algorithm::P256).unwrap();
    let mut envelope = Envelope::sign("t", b"p", &p256).unwrap();
    let bytes = p256.sign(&envelope.pae()).unwrap();
    envelope.signatures.push(Signature { hint: None, bytes });
    let pinned = Keys::new([p256.public().clone(), a.public().clone()], 2).unwrap();
    assert_eq!(envelope.verify("t", &pinned).unwrap_err().class(), Class::Signer);
}

#[test]
fn a_hint_decides_nothing() {
    let (a, b) = (key(), key());
    let mut envelope = Envelope::sign("t", b"p", &a).unwrap();
    for hint in [None, Some("nonsense".to_owned()), Some(b.id().to_string())] {
        envelope.signatures[0].hint = hint;
        assert_eq!(envelope.verify("t", &keys([&a, &b], 1)).unwrap().signers(), [Signer::Key(a.id())]);
    }
}

#[test]
fn type_and_payload_are_both_signed() {
    let a = key();
    let envelope = Envelope::sign("t", b"p", &a).unwrap();
    let pinned = keys([&a], 1);
    let other = Envelope { payload: b"q".to_vec(), ..envelope.clone() };
    assert_eq!(other.verify("t", &pinned).unwrap_err().class(), Class::Signer);
    let other = Envelope { payload_type: "u".to_owned(), ..envelope.clone() };
    assert_eq!(other.verify("u", &pinned).unwrap_err().class(), Class::Signer);
    assert_eq!(envelope.verify("u", &pinned).unwrap_err().class(), Class::Unsupported);
    let stranger: PublicKey = key().public().clone();
    assert_eq!(envelope.verify("t", &Keys::one(stranger)).unwrap_err().class(), Class::Signer);
}

#[test]
fn an_envelope_survives_its_text() {
    let (a, b) = (key(), key());
    let envelope = Envelope::sign("t", &[0, 255, 7], &a).unwrap().and_sign(&b).unwrap();
    assert_eq!(Envelope::read(envelope.write().as_bytes()), Ok(envelope));
}

#[test]
fn what_is_not_strictly_an_envelope_is_refused() {
    let input = |code| (Class::Input, code);
    assert_eq!(code(r#"{"payload":"","payloadType":"t","signatures":[]}"#), input("malformed"));
    assert_eq!(
        code(r#"{"payload":"","payload":"","payloadType":"t","signatures":[{"sig":""}]}"#),
        input("key-twice")
    );
    assert_eq!(
        code(r#"{"payload":"","payloadType":"t","signatures":[{"sig":"","x":1}]}"#),
        input("malformed")
    );
    assert_eq!(
        code(r#"{"payload":"","payloadType":"t","signatures":[{"sig":""}],"x":1}"#),
        input("malformed")
    );
    // Bits left over, padding left out.
    assert_eq!(code(r#"{"payload":"QR==","payloadType":"t","signatures":[{"sig":""}]}"#), input("malformed"));
    assert_eq!(code(r#"{"payload":"QQ","payloadType":"t","signatures":[{"sig":""}]}"#), input("malformed"));
    let many = vec![r#"{"sig":""}"#; MOST + 1].join(",");
    assert_eq!(
        code(&format!(r#"{{"payload":"","payloadType":"t","signatures":[{many}]}}"#)),
        input("malformed")
    );
}
