//! Private keys, for those who sign policies and adapters. Ed25519 and P-256.
//!
//! Keys come and go as PKCS #8. They are not encrypted here: where a key rests is its holder's business.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};

use crate::key::{Algorithm, PublicKey};
use crate::{Error, KeyId};

/// A private key. It is never shown.
pub struct PrivateKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl PrivateKey {
    /// A new key, out of the system's randomness.
    pub fn generate(algorithm: Algorithm) -> Result<PrivateKey, Error> {
        let failed = || unusable("the system gave no randomness");
        let pair = match algorithm {
            Algorithm::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().map_err(|_| failed())?),
            Algorithm::P256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING);
                Pair::P256(pair.map_err(|_| failed())?)
            }
            _ => return Err(unusable("keys are made of Ed25519 or P-256")),
        };
        PrivateKey::of(pair)
    }

    /// From one PEM block `PRIVATE KEY` (PKCS #8, not encrypted).
    pub fn from_pem(text: &str) -> Result<PrivateKey, Error> {
        let blocks = pem::parse_many(text).map_err(|error| unusable(&error.to_string()))?;
        let [block] = blocks.as_slice() else {
            return Err(unusable("it does not hold one PEM block"));
        };
        match block.tag() {
            "PRIVATE KEY" => PrivateKey::from_pkcs8(block.contents()),
            "ENCRYPTED PRIVATE KEY" => Err(unusable("it is encrypted; hint: openssl pkcs8 -in KEY")),
            tag => {
                let tag = tag.escape_debug();
                Err(unusable(&format!(
                    "it is a `{tag}`; hint: `PRIVATE KEY`: openssl pkcs8 -topk8 -nocrypt -in KEY"
                )))
            }
        }
    }

    /// From the DER of PKCS #8.
    pub fn from_pkcs8(der: &[u8]) -> Result<PrivateKey, Error> {
        // With the public half, or without it as openssl writes it.
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return PrivateKey::of(Pair::Ed25519(pair));
        }
        match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der) {
            Ok(pair) => PrivateKey::of(Pair::P256(pair)),
            Err(error) => Err(unusable(&format!("{error}; hint: Ed25519 or P-256 in PKCS #8"))),
        }
    }

    /// As PKCS #8 in PEM. Whoever reads it can sign.
    pub fn to_secret_pem(&self) -> Result<String, Error> {
        let failed = |_| unusable("it cannot be written");
        let der = match &self.pair {
            Pair::Ed25519(pair) => {
                let der: Pkcs8V1Der<'static> = pair.as_der().map_err(failed)?;
                der.as_ref().to_vec()
            }
            Pair::P256(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
        };
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Ok(pem::encode_config(&pem::Pem::new("PRIVATE KEY", der), config))
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The public half's id.
    pub fn id(&self) -> KeyId {
        self.public.id()
    }

    /// Signs a message; the signature was verified before it is given.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |_| unusable("it did not sign");
        let signature = match &self.pair {
            Pair::Ed25519(pair) => pair.try_sign(message).map_err(failed)?.as_ref().to_vec(),
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message).map_err(failed)?.as_ref().to_vec(),
        };
        self.public.verify(message, &signature)?;
        Ok(signature)
    }

    fn of(pair: Pair) -> Result<PrivateKey, Error> {
        let failed = |_| unusable("its public half cannot be written");
        let spki: PublicKeyX509Der<'static> = match &pair {
            Pair::Ed25519(pair) => pair.public_key().as_der().map_err(failed)?,
            Pair::P256(pair) => pair.public_key().as_der().map_err(failed)?,
        };
        let public = PublicKey::from_spki(spki.as_ref())?;
        Ok(PrivateKey { pair, public })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {:?})", self.public)
    }
}

fn unusable(why: &str) -> Error {
    Error::Trust { what: "private key", why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_and_is_never_shown() {
        for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let text = key.to_secret_pem().unwrap();
            let again = PrivateKey::from_pem(&text).unwrap();
            assert_eq!((again.id(), again.public().algorithm()), (key.id(), algorithm));
            let signature = again.sign(b"message").unwrap();
            key.public().verify(b"message", &signature).unwrap();
            assert!(key.public().verify(b"massage", &signature).is_err());
            assert!(!format!("{key:?}").contains(text.lines().nth(1).unwrap()));
        }
    }

    #[test]
    fn keys_as_openssl_writes_them_are_read() {
        // RFC 8410, section 10.3: without the public half.
        let text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        assert_eq!(PrivateKey::from_pem(text).unwrap().id(), PublicKey::from_pem(public).unwrap().id());
    }
}
