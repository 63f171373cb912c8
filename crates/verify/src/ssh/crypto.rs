//! The signature itself, by the kind of its key.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature as lc;
use ssh_key::public::{EcdsaPublicKey, KeyData};
use ssh_key::{Algorithm, HashAlg, SshSig};

use crate::key::is_small;

/// Whether the key in the signature signed these bytes; else why not.
pub(super) fn verify(signature: &SshSig, message: &[u8]) -> Result<(), String> {
    let (bytes, algorithm) = (signature.signature_bytes(), signature.signature().algorithm());
    match (signature.public_key(), algorithm) {
        (KeyData::Ed25519(key), Algorithm::Ed25519) => ed25519(key.as_ref(), message, bytes),
        (KeyData::Ecdsa(key), Algorithm::Ecdsa { .. }) => {
            let (scheme, width): (&'static dyn lc::VerificationAlgorithm, _) = match key {
                EcdsaPublicKey::NistP256(_) => (&lc::ECDSA_P256_SHA256_FIXED, 32),
                EcdsaPublicKey::NistP384(_) => (&lc::ECDSA_P384_SHA384_FIXED, 48),
                EcdsaPublicKey::NistP521(_) => (&lc::ECDSA_P521_SHA512_FIXED, 66),
            };
            check(scheme, key.as_sec1_bytes(), message, &fixed(bytes, width)?)
        }
        (KeyData::Rsa(key), Algorithm::Rsa { hash: Some(hash) }) => {
            let scheme = match hash {
                HashAlg::Sha256 => &lc::RSA_PKCS1_2048_8192_SHA256,
                HashAlg::Sha512 => &lc::RSA_PKCS1_2048_8192_SHA512,
                _ => return Err("its digest is not known".to_owned()),
            };
            let number = |value: &ssh_key::Mpint| value.as_positive_bytes().map(<[u8]>::to_vec);
            let (n, e) = number(&key.n).zip(number(&key.e)).ok_or("the key is none")?;
            let key = lc::RsaPublicKeyComponents { n, e };
            key.verify(scheme, message, bytes).map_err(|_| WRONG.to_owned())
        }
        // A security key signs the digest of what it is for, what it saw, how often it signed, and the message's digest.
        (KeyData::SkEd25519(key), Algorithm::SkEd25519) => {
            let (bytes, seen) = bytes.split_at_checked(64).ok_or("it is too short")?;
            ed25519(key.public_key().as_ref(), &by_security_key(key.application(), seen, message)?, bytes)
        }
        (KeyData::SkEcdsaSha2NistP256(key), Algorithm::SkEcdsaSha2NistP256) => {
            let (bytes, seen) =
                bytes.split_at_checked(bytes.len().saturating_sub(5)).ok_or("it is too short")?;
            let message = by_security_key(key.application(), seen, message)?;
            check(&lc::ECDSA_P256_SHA256_FIXED, key.ec_point().as_ref(), &message, &fixed(bytes, 32)?)
        }
        (key, _) => Err(format!("a signature by {} is not accepted", key.algorithm().as_str())),
    }
}

/// A point of small order is no key: a signature for every message can be written down for it.
fn ed25519(key: &[u8], message: &[u8], bytes: &[u8]) -> Result<(), String> {
    if is_small(key) {
        return Err("the key is a point of small order".to_owned());
    }
    check(&lc::ED25519, key, message, bytes)
}

fn check(
    scheme: &'static dyn lc::VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    bytes: &[u8],
) -> Result<(), String> {
    lc::UnparsedPublicKey::new(scheme, key).verify(message, bytes).map_err(|_| WRONG.to_owned())
}

/// PROTOCOL.u2f: flags and counter follow the signature; someone must have touched the key.
fn by_security_key(application: &str, seen: &[u8], message: &[u8]) -> Result<Vec<u8>, String> {
    let [flags, _, _, _, _] = seen else { return Err("it has no flags and counter".to_owned()) };
    if flags & 1 == 0 {
        return Err("nobody touched the security key".to_owned());
    }
    Ok([digest(&SHA256, application.as_bytes()).as_ref(), seen, digest(&SHA256, message).as_ref()].concat())
}

/// Two numbers with their lengths (RFC 5656, 3.1.2), as two numbers of one width.
fn fixed(bytes: &[u8], width: usize) -> Result<Vec<u8>, String> {
    let malformed = || "it is not two numbers".to_owned();
    let mut rest = bytes;
    let mut both = Vec::with_capacity(width.saturating_mul(2));
    for _ in 0..2 {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| malformed())?;
        let (number, after) = after.split_at_checked(length).ok_or_else(malformed)?;
        // One zero at most, and only before a high bit: a number has one spelling.
        let number = match number {
            [0, high, ..] if high & 0x80 != 0 => number.get(1..).unwrap_or_default(),
            [0, ..] | [] => return Err(malformed()),
            [high, ..] if high & 0x80 != 0 => return Err(malformed()),
            number => number,
        };
        let zeros = width.checked_sub(number.len()).ok_or_else(malformed)?;
        both.resize(both.len().saturating_add(zeros), 0);
        both.extend_from_slice(number);
        rest = after;
    }
    if rest.is_empty() { Ok(both) } else { Err(malformed()) }
}

const WRONG: &str = "it is not this key's signature of this";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_of_small_order_signs_nothing() {
        let mut one = [0; 32];
        one[0] = 1;
        // R = 1 and s = 0 holds for every message under that key
        let signature = [one, [0; 32]].concat();
        for message in [b"one".as_slice(), b"other"] {
            assert!(ed25519(&one, message, &signature).unwrap_err().contains("small order"));
        }
    }
}
