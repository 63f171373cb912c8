//! Keys: spelling, ids, sets.

use super::*;
use crate::Class;
use crate::sign::PrivateKey;

fn class(result: Result<PublicKey, Error>) -> Class {
    result.unwrap_err().class()
}

#[test]
fn an_id_is_the_digest_of_the_key_itself() {
    let key = PrivateKey::generate(Algorithm::P256).unwrap();
    let again = PublicKey::from_pem(&key.public().to_pem()).unwrap();
    assert_eq!(again.id(), KeyId(Digest::of(key.public().spki())));
}

#[test]
fn a_key_has_one_spelling() {
    let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    let spki = key.public().spki().to_vec();
    // Something after it.
    assert_eq!(class(PublicKey::from_spki(&[spki.clone(), vec![0]].concat())), Class::Trust);
    // A length in more bytes than it needs.
    let mut long = vec![0x30, 0x81];
    long.extend_from_slice(&spki[1..]);
    assert_eq!(class(PublicKey::from_spki(&long)), Class::Trust);
    // A point compressed.
    let key = PrivateKey::generate(Algorithm::P256).unwrap();
    let spki = key.public().spki();
    let (head, point) = spki.split_at(spki.len() - 65);
    let mut compressed = head.to_vec();
    compressed[1] -= 32;
    let bits = compressed.len() - 2;
    compressed[bits] -= 32;
    compressed.push(2 + (point[64] & 1));
    compressed.extend_from_slice(&point[1..33]);
    assert_eq!(class(PublicKey::from_spki(&compressed)), Class::Trust);
}

#[test]
fn a_point_that_is_not_on_the_curve_is_refused() {
    let key = PrivateKey::generate(Algorithm::P256).unwrap();
    let mut spki = key.public().spki().to_vec();
    *spki.last_mut().unwrap() ^= 1;
    assert_eq!(class(PublicKey::from_spki(&spki)), Class::Trust);
}

#[test]
fn one_file_is_one_key() {
    let pem = PrivateKey::generate(Algorithm::Ed25519).unwrap().public().to_pem();
    assert_eq!(class(PublicKey::from_pem(&pem.repeat(2))), Class::Trust);
    assert_eq!(class(PublicKey::from_pem("")), Class::Trust);
    assert_eq!(class(PublicKey::from_pem(&pem.replace("PUBLIC KEY", "CERTIFICATE"))), Class::Trust);
}

#[test]
fn ecdsa_signatures_are_read_in_both_spellings() {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let key = PrivateKey::generate(Algorithm::P256).unwrap();
    let pem = key.to_secret_pem().unwrap();
    let der = pem::parse(&pem).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.contents()).unwrap();
    let fixed = pair.sign(&aws_lc_rs::rand::SystemRandom::new(), b"message").unwrap();
    key.public().verify(b"message", fixed.as_ref()).unwrap();
    key.public().verify(b"message", &key.sign(b"message").unwrap()).unwrap();
    assert_eq!(key.public().verify(b"another", fixed.as_ref()).unwrap_err().class(), Class::Signature);
}

#[test]
fn a_threshold_that_no_one_can_meet_is_refused() {
    let key = PrivateKey::generate(Algorithm::Ed25519).unwrap().public().clone();
    assert_eq!(Keys::new([], 1), Err(Error::Impossible { need: 1, have: 0 }));
    assert_eq!(Keys::new([key.clone()], 0), Err(Error::Impossible { need: 0, have: 1 }));
    // The same key twice is one.
    assert_eq!(Keys::new([key.clone(), key.clone()], 2), Err(Error::Impossible { need: 2, have: 1 }));
    assert_eq!(Keys::new([key.clone(), key], 1).unwrap().len(), 1);
}

#[test]
fn an_artefact_that_is_only_known_by_its_digest_is_verified_by_it() {
    let key = PrivateKey::generate(Algorithm::P256).unwrap();
    let signature = key.sign(b"artefact").unwrap();
    let known = |bytes: &[u8]| Artifact::known(*Artifact::of(bytes).digests());
    key.public().verify_artifact(&known(b"artefact"), &signature).unwrap();
    assert_eq!(
        key.public().verify_artifact(&known(b"another"), &signature).unwrap_err().class(),
        Class::Signature
    );
    let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
    let signature = key.sign(b"artefact").unwrap();
    assert_eq!(
        key.public().verify_artifact(&known(b"artefact"), &signature).unwrap_err().class(),
        Class::Unsupported
    );
}

#[test]
fn a_point_of_small_order_is_no_key() {
    let spki = PrivateKey::generate(Algorithm::Ed25519).unwrap().public().spki().to_vec();
    let head = &spki[..spki.len() - 32];
    for small in SMALL {
        for sign in [0, 0x80] {
            let mut raw = small;
            raw[31] |= sign;
            let error = PublicKey::from_spki(&[head, &raw].concat()).unwrap_err();
            assert!(error.to_string().contains("small order"), "{error}");
        }
    }
    // Why: R = the neutral point and S = 0 sign every message for it.
    let neutral = [&[1_u8][..], &[0; 31]].concat();
    let signature = [&neutral[..], &[0; 32]].concat();
    assert!(lc::UnparsedPublicKey::new(&lc::ED25519, &neutral).verify(b"anything", &signature).is_ok());
}
