//! OpenPGP signatures (RFC 9580), read and verified by `pgp`, which judges no key: expiry, revocation, usage and bindings are judged here.
//!
//! The time that a signature states is its maker's word. It can only harm its maker: a signature that says it was made after its key's end
//! is refused. A key that has ended by now is ended, unless the allowed signers say up to which commit it counts.

use std::fmt;

use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{RevocationCode, Signature, SignatureType};
use pgp::types::KeyDetails;
use thiserror::Error;

use super::Broken;

/// A signature, and what it is said to sign.
#[derive(Debug, Clone)]
pub struct Pgp {
    signature: DetachedSignature,
    payload: Vec<u8>,
}

/// A certificate: a primary key, with subkeys that it vouches for.
#[derive(Clone)]
pub struct Certificate {
    fingerprint: String,
    key: SignedPublicKey,
    expires: Option<u64>,
    revoked: Option<Revoked>,
    primary_signs: bool,
}

/// How a certificate or subkey was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Revoked {
    /// Retired or superseded: what it signed before stays signed.
    Retired,
    /// Compromised, or no reason was given.
    Compromised,
}

/// What speaks against a key that made a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Good,
    /// Its end, in seconds since 1970, is past.
    Expired(u64),
    /// The signature itself says that it was made after the key's end.
    MadeAfterEnd(u64),
    Revoked(Revoked),
}

/// Why a certificate is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// It is no armoured certificate.
    #[error("the key is no OpenPGP certificate")]
    Unreadable,
    /// Nothing that it signed itself names what it may be used for.
    #[error("the OpenPGP certificate has no valid signature of its own")]
    Unbound,
    /// No key of it may sign.
    #[error("no key of the OpenPGP certificate may sign")]
    NoSigner,
}

impl Pgp {
    pub(super) fn read(text: &str, payload: &[u8]) -> Result<Pgp, Broken> {
        if text.matches("-----BEGIN ").count() != 1 {
            return Err(Broken::More);
        }
        let after = text.split_once("-----END PGP SIGNATURE-----").map_or("", |(_, after)| after);
        if !after.trim().is_empty() {
            return Err(Broken::More);
        }
        let mut all =
            DetachedSignature::from_armor_many(text.as_bytes()).map_err(|_| Broken::Unreadable("OpenPGP"))?.0;
        let first = all.next().ok_or(Broken::Unreadable("OpenPGP"))?;
        let signature = first.map_err(|_| Broken::Unreadable("OpenPGP"))?;
        if all.next().is_some() {
            return Err(Broken::More);
        }
        if signature.signature.typ() != Some(SignatureType::Binary) {
            return Err(Broken::Purpose("something other than a document's bytes".into()));
        }
        weak(&signature.signature)?;
        Ok(Pgp { signature, payload: payload.to_vec() })
    }

    /// Who says that they made it.
    pub(crate) fn issuer(&self) -> String {
        let signature = &self.signature.signature;
        let fingerprint = signature.issuer_fingerprint().first().map(|issuer| format!("{issuer:x}"));
        let id = || signature.issuer_key_id().first().map(ToString::to_string);
        fingerprint.or_else(id).unwrap_or_else(|| "nobody".to_owned())
    }

    fn names(&self, key: &impl KeyDetails) -> bool {
        let signature = &self.signature.signature;
        let issuers = signature.issuer_fingerprint();
        if issuers.is_empty() {
            return signature.issuer_key_id().contains(&&key.legacy_key_id());
        }
        issuers.contains(&&key.fingerprint())
    }

    fn made(&self) -> u64 {
        self.signature.signature.created().map_or(0, |made| u64::from(made.as_secs()))
    }
}

impl Certificate {
    /// Reads an armoured certificate.
    pub fn parse(text: &str) -> Result<Certificate, CertificateError> {
        let (key, _) = SignedPublicKey::from_string(text).map_err(|_| CertificateError::Unreadable)?;
        let primary = &key.primary_key;
        let own = newest(own_signatures(&key)).ok_or(CertificateError::Unbound)?;
        let expires = end(primary, own);
        let revoked = key.details.revocation_signatures.iter();
        let revoked = revoked.filter(|signature| signature.verify_key(primary).is_ok()).map(how).max();
        let flags = own.key_flags();
        let certificate = Certificate {
            fingerprint: format!("{:x}", primary.fingerprint()),
            expires,
            revoked,
            primary_signs: flags.sign(),
            key: key.clone(),
        };
        let subkey_signs = key.public_subkeys.iter().any(|subkey| certificate.binding(subkey).is_some());
        if !certificate.primary_signs && !subkey_signs {
            return Err(CertificateError::NoSigner);
        }
        Ok(certificate)
    }

    /// The primary key's fingerprint.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether a key of this certificate is named as the maker; then whether it is, and what speaks against that key.
    pub(crate) fn judge(&self, pgp: &Pgp, now: u64) -> Option<Result<Standing, Broken>> {
        let primary = &self.key.primary_key;
        if pgp.names(primary) {
            if !self.primary_signs {
                return Some(Err(Broken::Purpose("a primary key that may not sign".into())));
            }
            let fits = pgp.signature.verify(primary, &pgp.payload).map_err(|_| Broken::Mismatch);
            return Some(fits.map(|()| self.standing(pgp, self.expires, None, now)));
        }
        let subkey = self.key.public_subkeys.iter().find(|subkey| pgp.names(&subkey.key))?;
        let Some(binding) = self.binding(subkey) else {
            return Some(Err(Broken::Purpose("a subkey that may not sign".into())));
        };
        let ends = [self.expires, end(&subkey.key, binding)].into_iter().flatten().min();
        let revoked = subkey.signatures.iter().filter(|signature| {
            signature.typ() == Some(SignatureType::SubkeyRevocation)
                && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
        });
        let revoked = revoked.map(how).max();
        let fits = pgp.signature.verify(&subkey.key, &pgp.payload).map_err(|_| Broken::Mismatch);
        Some(fits.map(|()| self.standing(pgp, ends, revoked, now)))
    }

    fn standing(&self, pgp: &Pgp, ends: Option<u64>, revoked: Option<Revoked>, now: u64) -> Standing {
        if let Some(revoked) = self.revoked.max(revoked) {
            return Standing::Revoked(revoked);
        }
        let made = pgp.made();
        let own = pgp.signature.signature.signature_expiration_time();
        let own =
            own.filter(|own| own.as_secs() > 0).map(|own| made.saturating_add(u64::from(own.as_secs())));
        match (ends, own) {
            (Some(end), _) if made >= end => Standing::MadeAfterEnd(end),
            (Some(end), _) | (_, Some(end)) if now >= end => Standing::Expired(end),
            _ => Standing::Good,
        }
    }

    /// The newest valid binding of a subkey that may sign, countersigned by the subkey itself.
    fn binding<'a>(&self, subkey: &'a SignedPublicSubKey) -> Option<&'a Signature> {
        let primary = &self.key.primary_key;
        let valid = subkey.signatures.iter().filter(|signature| {
            signature.typ() == Some(SignatureType::SubkeyBinding)
                && weak(signature).is_ok()
                && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
        });
        let newest = newest(valid)?;
        let back = newest.embedded_signature()?;
        let countersigned = back.verify_primary_key_binding(&subkey.key, primary).is_ok();
        (newest.key_flags().sign() && countersigned).then_some(newest)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Certificate) -> bool {
        self.key == other.key
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate").field(&self.fingerprint).finish()
    }
}

/// What a primary key signed about itself.
fn own_signatures(key: &SignedPublicKey) -> impl Iterator<Item = &Signature> {
    let primary = &key.primary_key;
    let direct = key.details.direct_signatures.iter();
    let direct = direct.filter(|signature| signature.verify_key(primary).is_ok());
    let users = key.details.users.iter().flat_map(move |user| {
        user.signatures.iter().filter(move |signature| {
            signature.is_certification()
                && signature.verify_certification(primary, pgp::types::Tag::UserId, &user.id).is_ok()
        })
    });
    direct.chain(users).filter(|signature| weak(signature).is_ok())
}

fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>) -> Option<&'a Signature> {
    signatures.max_by_key(|signature| signature.created().map_or(0, |made| made.as_secs()))
}

fn end(key: &impl KeyDetails, own: &Signature) -> Option<u64> {
    let lasts = own.key_expiration_time().map(|lasts| lasts.as_secs()).filter(|lasts| *lasts > 0)?;
    Some(u64::from(key.created_at().as_secs()).saturating_add(u64::from(lasts)))
}

fn how(signature: &Signature) -> Revoked {
    match signature.revocation_reason_code() {
        Some(RevocationCode::KeySuperseded | RevocationCode::KeyRetired) => Revoked::Retired,
        _ => Revoked::Compromised,
    }
}

fn weak(signature: &Signature) -> Result<(), Broken> {
    match signature.hash_alg() {
        Some(
            HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512,
        ) => Ok(()),
        Some(other) => Err(Broken::Algorithm(format!("an OpenPGP signature with {other}"))),
        None => Err(Broken::Unreadable("OpenPGP")),
    }
}
