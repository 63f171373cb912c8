//! SSH signatures (PROTOCOL.sshsig), as `ssh-keygen -Y sign` and git make them. Read by `ssh-key`, verified by the provider of
//! cryptography. SHA-1 and DSA are refused; a security key must have been touched (PROTOCOL.u2f).

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature as lc;
use claw_verify::key::is_small;
use ssh_key::public::{EcdsaPublicKey, KeyData};
use ssh_key::{Algorithm, HashAlg, PublicKey, SshSig};
use thiserror::Error;

use super::Broken;

/// A public key, known by its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SshKey {
    fingerprint: String,
}

/// Why a public key is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SshKeyError {
    /// It is no line of an OpenSSH public key.
    #[error("the key is no OpenSSH public key")]
    Unreadable,
    /// Signatures of this kind are not verified.
    #[error("keys of kind {0} are not accepted")]
    Kind(String),
}

impl SshKey {
    /// Reads a line like that of a `.pub` file.
    pub fn parse(line: &str) -> Result<SshKey, SshKeyError> {
        let key = PublicKey::from_openssh(line.trim()).map_err(|_| SshKeyError::Unreadable)?;
        match key.algorithm() {
            Algorithm::Ed25519
            | Algorithm::Rsa { .. }
            | Algorithm::Ecdsa { .. }
            | Algorithm::SkEd25519
            | Algorithm::SkEcdsaSha2NistP256 => Ok(SshKey::of(key.key_data())),
            other => Err(SshKeyError::Kind(other.to_string())),
        }
    }

    fn of(key: &KeyData) -> SshKey {
        SshKey { fingerprint: key.fingerprint(HashAlg::Sha256).to_string() }
    }
}

impl fmt::Display for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint)
    }
}

/// Verifies a signature with the key that it carries.
pub(super) fn verify(text: &str, payload: &[u8], purpose: &str) -> Result<SshKey, Broken> {
    if text.matches("-----BEGIN ").count() != 1 {
        return Err(Broken::More);
    }
    // order: the reader of the armour wants exactly one newline at the end
    let signature = SshSig::from_pem(text.trim_end()).map_err(|_| Broken::Unreadable("SSH"))?;
    if signature.version() != SshSig::VERSION || !signature.reserved().is_empty() {
        return Err(Broken::Unreadable("SSH"));
    }
    if signature.namespace() != purpose {
        return Err(Broken::Purpose(signature.namespace().escape_debug().to_string()));
    }
    let signed =
        SshSig::signed_data(purpose, signature.hash_alg(), payload).map_err(|_| Broken::Unreadable("SSH"))?;
    let bytes = signature.signature_bytes();
    let refused = || Broken::Algorithm(signature.algorithm().to_string());
    match (signature.public_key(), signature.algorithm()) {
        (KeyData::Ed25519(key), Algorithm::Ed25519) => ed25519(&key.0, &signed, bytes)?,
        (KeyData::Ecdsa(key), Algorithm::Ecdsa { .. }) => ecdsa(key, &signed, bytes)?,
        (KeyData::Rsa(key), Algorithm::Rsa { hash }) => {
            let parameters: &lc::RsaParameters = match hash {
                Some(HashAlg::Sha256) => &lc::RSA_PKCS1_2048_8192_SHA256,
                Some(HashAlg::Sha512) => &lc::RSA_PKCS1_2048_8192_SHA512,
                _ => return Err(Broken::Algorithm("RSA with SHA-1".into())),
            };
            let n = key.n.as_positive_bytes().ok_or(Broken::Unreadable("SSH"))?;
            let e = key.e.as_positive_bytes().ok_or(Broken::Unreadable("SSH"))?;
            let key = lc::RsaPublicKeyComponents { n, e };
            key.verify(parameters, &signed, bytes).map_err(|_| Broken::Mismatch)?;
        }
        (KeyData::SkEd25519(key), Algorithm::SkEd25519) => {
            let (bytes, signed) = touched(key.application(), bytes, &signed)?;
            ed25519(&key.public_key().0, &signed, bytes)?;
        }
        (KeyData::SkEcdsaSha2NistP256(key), Algorithm::SkEcdsaSha2NistP256) => {
            let (bytes, signed) = touched(key.application(), bytes, &signed)?;
            let fixed = fixed(bytes, 32)?;
            plain(&lc::ECDSA_P256_SHA256_FIXED, key.ec_point().as_bytes(), &signed, &fixed)?;
        }
        _ => return Err(refused()),
    }
    Ok(SshKey::of(signature.public_key()))
}

/// A point of small order is no key: a signature for every message can be written down for it.
fn ed25519(key: &[u8], signed: &[u8], signature: &[u8]) -> Result<(), Broken> {
    if is_small(key) {
        return Err(Broken::Algorithm("Ed25519 with a point of small order".into()));
    }
    plain(&lc::ED25519, key, signed, signature)
}

fn plain(
    algorithm: &'static dyn lc::VerificationAlgorithm,
    key: &[u8],
    signed: &[u8],
    signature: &[u8],
) -> Result<(), Broken> {
    lc::UnparsedPublicKey::new(algorithm, key).verify(signed, signature).map_err(|_| Broken::Mismatch)
}

fn ecdsa(key: &EcdsaPublicKey, signed: &[u8], bytes: &[u8]) -> Result<(), Broken> {
    match key {
        EcdsaPublicKey::NistP256(point) => {
            plain(&lc::ECDSA_P256_SHA256_FIXED, point.as_bytes(), signed, &fixed(bytes, 32)?)
        }
        EcdsaPublicKey::NistP384(point) => {
            plain(&lc::ECDSA_P384_SHA384_FIXED, point.as_bytes(), signed, &fixed(bytes, 48)?)
        }
        EcdsaPublicKey::NistP521(point) => {
            plain(&lc::ECDSA_P521_SHA512_FIXED, point.as_bytes(), signed, &fixed(bytes, 66)?)
        }
    }
}

/// Two numbers, each behind its length, as two of fixed size.
fn fixed(bytes: &[u8], size: usize) -> Result<Vec<u8>, Broken> {
    let unreadable = Broken::Unreadable("SSH");
    let mut rest = bytes;
    let mut joined = Vec::with_capacity(size.saturating_mul(2));
    for _ in 0..2 {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(|| unreadable.clone())?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| unreadable.clone())?;
        let number = after.get(..length).ok_or_else(|| unreadable.clone())?;
        rest = after.get(length..).unwrap_or_default();
        let number = match number {
            [0, number @ ..] => number,
            number => number,
        };
        let zeros = size.checked_sub(number.len()).ok_or_else(|| unreadable.clone())?;
        joined.extend(std::iter::repeat_n(0, zeros));
        joined.extend_from_slice(number);
    }
    if rest.is_empty() { Ok(joined) } else { Err(unreadable) }
}

/// What a security key signs, and its signature without flags and counter.
fn touched<'a>(application: &str, bytes: &'a [u8], signed: &[u8]) -> Result<(&'a [u8], Vec<u8>), Broken> {
    let (signature, tail) = bytes.split_last_chunk::<5>().ok_or(Broken::Unreadable("SSH"))?;
    let [flags, ..] = tail;
    if flags & USER_PRESENT == 0 {
        return Err(Broken::NotTouched);
    }
    let mut whole = digest(&SHA256, application.as_bytes()).as_ref().to_vec();
    whole.extend_from_slice(tail);
    whole.extend_from_slice(digest(&SHA256, signed).as_ref());
    Ok((signature, whole))
}

const USER_PRESENT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! data {
        ($name:literal) => {
            include_str!(concat!("../../../../tests/data/verify/sshsig/", $name))
        };
    }

    /// Signatures of the examples of RustCrypto's ssh-key: the message is `testing`, the namespace `example`.
    const SIGNED: [(&str, &str); 5] = [
        (data!("sshsig_ed25519"), data!("id_ed25519.pub")),
        (data!("sshsig_ecdsa_p256"), data!("id_ecdsa_p256.pub")),
        (data!("sshsig_ecdsa_p384"), data!("id_ecdsa_p384.pub")),
        (data!("sshsig_rsa_3072"), data!("id_rsa_3072.pub")),
        (data!("sshsig_sk_ed25519"), data!("id_sk_ed25519_2.pub")),
    ];

    #[test]
    fn signatures_of_every_kind_hold_over_their_bytes_and_for_their_purpose() {
        for (signature, key) in SIGNED {
            let key = SshKey::parse(key).unwrap();
            assert_eq!(verify(signature, b"testing", "example"), Ok(key.clone()), "{key}");
            assert_eq!(verify(signature, b"tasting", "example"), Err(Broken::Mismatch), "{key}");
            assert_eq!(verify(signature, b"testing", "git"), Err(Broken::Purpose("example".into())), "{key}");
            let twice = format!("{signature}\n{signature}");
            assert_eq!(verify(&twice, b"testing", "example"), Err(Broken::More), "{key}");
        }
    }

    #[test]
    fn keys_of_a_broken_kind_are_refused() {
        let refused = verify(data!("sshsig_dsa_1024"), b"testing", "example");
        assert!(matches!(refused, Err(Broken::Algorithm(_))), "{refused:?}");
        assert!(matches!(SshKey::parse(data!("id_dsa_1024.pub")), Err(SshKeyError::Kind(_))));
        assert!(matches!(SshKey::parse(data!("id_opaque.pub")), Err(SshKeyError::Kind(_))));
        assert_eq!(SshKey::parse("ssh-ed25519 AAAA"), Err(SshKeyError::Unreadable));
    }

    #[test]
    fn a_security_key_that_was_not_touched_is_refused() {
        let bytes = [[0; 64].as_slice(), &[0, 0, 0, 0, 7]].concat();
        assert_eq!(touched("ssh:", &bytes, b"x"), Err(Broken::NotTouched));
        let bytes = [[0; 64].as_slice(), &[1, 0, 0, 0, 7]].concat();
        assert_eq!(touched("ssh:", &bytes, b"x").map(|(signature, _)| signature.len()), Ok(64));
    }

    #[test]
    fn a_point_of_small_order_signs_nothing() {
        let mut one = [0; 32];
        one[0] = 1;
        // R = 1 and s = 0 would hold for every message under that key
        let signature = [one, [0; 32]].concat();
        assert!(plain(&lc::ED25519, &one, b"any", &signature).is_ok());
        assert!(matches!(ed25519(&one, b"any", &signature), Err(Broken::Algorithm(_))));
    }
}
