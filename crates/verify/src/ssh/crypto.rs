//! The signature itself, by the kind of its key.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature as lc;
use ssh_key::public::{EcdsaPublicKey, KeyData};
use ssh_key::{Algorithm, HashAlg, SshSig};

use super::SshError;
use crate::key::is_small;

/// Whether the key in the signature signed these bytes; else why not.
pub(super) fn verify(signature: &SshSig, message: &[u8]) -> Result<(), SshError> {
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
        (KeyData::Rsa(key), Algorithm::Rsa { hash }) => {
            let scheme = match hash {
                Some(HashAlg::Sha256) => &lc::RSA_PKCS1_2048_8192_SHA256,
                Some(HashAlg::Sha512) => &lc::RSA_PKCS1_2048_8192_SHA512,
                _ => return Err(SshError::Algorithm("RSA with SHA-1".to_owned())),
            };
            let number = |value: &ssh_key::Mpint| value.as_positive_bytes().map(<[u8]>::to_vec);
            let (n, e) = number(&key.n).zip(number(&key.e)).ok_or(SshError::NoKey)?;
            let key = lc::RsaPublicKeyComponents { n, e };
            key.verify(scheme, message, bytes).map_err(|_| SshError::Wrong)
        }
        (KeyData::SkEd25519(key), Algorithm::SkEd25519) => {
            let (bytes, message) = touched(key.application(), bytes, message)?;
            ed25519(key.public_key().as_ref(), &message, bytes)
        }
        (KeyData::SkEcdsaSha2NistP256(key), Algorithm::SkEcdsaSha2NistP256) => {
            let (bytes, message) = touched(key.application(), bytes, message)?;
            check(&lc::ECDSA_P256_SHA256_FIXED, key.ec_point().as_ref(), &message, &fixed(bytes, 32)?)
        }
        (key, _) => Err(SshError::Algorithm(key.algorithm().as_str().to_owned())),
    }
}

/// A point of small order is no key: a signature for every message can be written down for it.
fn ed25519(key: &[u8], message: &[u8], bytes: &[u8]) -> Result<(), SshError> {
    if is_small(key) {
        return Err(SshError::SmallOrder);
    }
    check(&lc::ED25519, key, message, bytes)
}

fn check(
    scheme: &'static dyn lc::VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    bytes: &[u8],
) -> Result<(), SshError> {
    lc::UnparsedPublicKey::new(scheme, key).verify(message, bytes).map_err(|_| SshError::Wrong)
}

/// A security key's signature without its flags and counter, and what it signs: the digests of what it is for and of the
/// message, with those between them (PROTOCOL.u2f). Someone must have touched it.
fn touched<'a>(application: &str, bytes: &'a [u8], message: &[u8]) -> Result<(&'a [u8], Vec<u8>), SshError> {
    let (bytes, seen) = bytes.split_last_chunk::<5>().ok_or(SshError::Short)?;
    let [flags, ..] = seen;
    if flags & USER_PRESENT == 0 {
        return Err(SshError::Untouched);
    }
    let (application, message) = (digest(&SHA256, application.as_bytes()), digest(&SHA256, message));
    Ok((bytes, [application.as_ref(), seen, message.as_ref()].concat()))
}

/// Two numbers with their lengths (RFC 5656, 3.1.2), as two numbers of one width.
fn fixed(bytes: &[u8], width: usize) -> Result<Vec<u8>, SshError> {
    let mut rest = bytes;
    let mut both = Vec::with_capacity(width.saturating_mul(2));
    for _ in 0..2 {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(SshError::Numbers)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SshError::Numbers)?;
        let (number, after) = after.split_at_checked(length).ok_or(SshError::Numbers)?;
        // One zero at most, and only before a high bit: a number has one spelling.
        let number = match number {
            [0, high, ..] if high & 0x80 != 0 => number.get(1..).unwrap_or_default(),
            [0, ..] | [] => return Err(SshError::Numbers),
            [high, ..] if high & 0x80 != 0 => return Err(SshError::Numbers),
            number => number,
        };
        let zeros = width.checked_sub(number.len()).ok_or(SshError::Numbers)?;
        both.resize(both.len().saturating_add(zeros), 0);
        both.extend_from_slice(number);
        rest = after;
    }
    if rest.is_empty() { Ok(both) } else { Err(SshError::Numbers) }
}

const USER_PRESENT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_of_small_order_signs_nothing() {
        let mut one = [0; 32];
        one[0] = 1;
        // the attack: R = 1 and s = 0 holds for every message under that key
        let signature = [one, [0; 32]].concat();
        for message in [b"one".as_slice(), b"other"] {
            assert_eq!(check(&lc::ED25519, &one, message, &signature), Ok(()));
            assert_eq!(ed25519(&one, message, &signature), Err(SshError::SmallOrder));
        }
    }

    #[test]
    fn a_security_key_that_was_not_touched_is_refused() {
        let bytes = [[0; 64].as_slice(), &[0, 0, 0, 0, 7]].concat();
        assert_eq!(touched("ssh:", &bytes, b"x"), Err(SshError::Untouched));
        let bytes = [[0; 64].as_slice(), &[1, 0, 0, 0, 7]].concat();
        assert_eq!(touched("ssh:", &bytes, b"x").map(|(signature, _)| signature.len()), Ok(64));
        assert_eq!(touched("ssh:", &[1, 0, 0, 0], b"x"), Err(SshError::Short));
    }

    #[test]
    fn a_number_has_one_spelling() {
        let check = |bytes: &[u8], expect: Result<Vec<u8>, SshError>| assert_eq!(fixed(bytes, 2), expect);
        check(&[0, 0, 0, 1, 5, 0, 0, 0, 2, 0, 0x80], Ok(vec![0, 5, 0, 0x80]));
        check(&[0, 0, 0, 2, 0, 5, 0, 0, 0, 1, 5], Err(SshError::Numbers));
        check(&[0, 0, 0, 1, 0x80, 0, 0, 0, 1, 5], Err(SshError::Numbers));
        check(&[0, 0, 0, 0, 0, 0, 0, 1, 5], Err(SshError::Numbers));
        check(&[0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 1, 5], Err(SshError::Numbers));
        check(&[0, 0, 0, 1, 5, 0, 0, 0, 1, 5, 5], Err(SshError::Numbers));
    }
}
