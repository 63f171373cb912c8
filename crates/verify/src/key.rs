//! Public keys: one spelling each, an id that is computed and never believed.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::signature as lc;
use claw_model::digest::Digest;
use sigstore_crypto::{KeyAlgorithm, SigningScheme, VerificationKey};
use sigstore_types::{DerPublicKey, SignatureBytes};

use crate::Error;
use crate::artifact::Artifact;

/// SHA-256 of the key's SubjectPublicKeyInfo.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub Digest);

/// What a key is, and so how it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256; signatures in ASN.1, or 64 bytes.
    P256,
    /// ECDSA on P-384 with SHA-384; signatures in ASN.1, or 96 bytes.
    P384,
    /// RFC 8032.
    Ed25519,
    /// 2048 to 8192 bits with SHA-256: PKCS #1 v1.5, or PSS.
    Rsa,
}

/// A public key.
///
/// A key has one spelling here: strict DER, points uncompressed, parameters as the standard writes them. So two ids are
/// two keys.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    spki: Vec<u8>,
    raw: Vec<u8>,
    algorithm: Algorithm,
    id: KeyId,
}

impl PublicKey {
    /// From one PEM block `PUBLIC KEY`.
    pub fn from_pem(text: &str) -> Result<PublicKey, Error> {
        let blocks = pem::parse_many(text).map_err(|error| unusable(error.to_string()))?;
        let [block] = blocks.as_slice() else {
            return Err(unusable(format!("it holds {} PEM blocks, not one", blocks.len())));
        };
        if block.tag() != "PUBLIC KEY" {
            let tag = block.tag().escape_debug();
            return Err(unusable(format!("it is a `{tag}`; hint: PEM of `PUBLIC KEY`")));
        }
        PublicKey::from_spki(block.contents())
    }

    /// From the DER of a SubjectPublicKeyInfo.
    pub fn from_spki(der: &[u8]) -> Result<PublicKey, Error> {
        let parsed = DerPublicKey::from_bytes(der);
        let wrong = |error: sigstore_crypto::Error| unusable(error.to_string());
        let algorithm = match KeyAlgorithm::from_spki(&parsed).map_err(wrong)? {
            KeyAlgorithm::EcdsaP256 => Algorithm::P256,
            KeyAlgorithm::EcdsaP384 => Algorithm::P384,
            KeyAlgorithm::Ed25519 => Algorithm::Ed25519,
            KeyAlgorithm::Rsa => Algorithm::Rsa,
            other => {
                return Err(unusable(format!("{other:?} is not known; hint: P-256, P-384, Ed25519 or RSA")));
            }
        };
        let key = VerificationKey::from_spki(&parsed).map_err(wrong)?;
        sigstore_crypto::validate_raw_public_key(key.scheme(), key.as_bytes()).map_err(wrong)?;
        let raw = key.as_bytes().to_vec();
        if algorithm == Algorithm::Ed25519 && is_small(&raw) {
            return Err(unusable("its point is of small order: anybody can sign for it".to_owned()));
        }
        // The provider reads the point or modulus, and writes it as it is spelled by the standard.
        let canonical = canonical(algorithm, &raw)?;
        if canonical != der {
            return Err(unusable("it is not spelled as the standard says".to_owned()));
        }
        Ok(PublicKey { id: KeyId(Digest::of(der)), spki: canonical, raw, algorithm })
    }

    /// From a key as its algorithm writes it, without a SubjectPublicKeyInfo around it.
    pub(crate) fn from_raw(algorithm: Algorithm, raw: &[u8]) -> Result<PublicKey, Error> {
        PublicKey::from_spki(&canonical(algorithm, raw)?)
    }

    /// Computed from the key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What it is.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// DER of the SubjectPublicKeyInfo.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// As text.
    pub fn to_pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new("PUBLIC KEY", self.spki.clone()), config)
    }

    /// Whether this key made this signature of this message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let holds = |algorithm: &'static dyn lc::VerificationAlgorithm| {
            lc::UnparsedPublicKey::new(algorithm, &self.raw).verify(message, signature).is_ok()
        };
        let holds = match self.algorithm {
            Algorithm::P256 => {
                holds(&lc::ECDSA_P256_SHA256_ASN1)
                    || (signature.len() == 64 && holds(&lc::ECDSA_P256_SHA256_FIXED))
            }
            Algorithm::P384 => {
                holds(&lc::ECDSA_P384_SHA384_ASN1)
                    || (signature.len() == 96 && holds(&lc::ECDSA_P384_SHA384_FIXED))
            }
            Algorithm::Ed25519 => holds(&lc::ED25519),
            Algorithm::Rsa => holds(&lc::RSA_PKCS1_2048_8192_SHA256) || holds(&lc::RSA_PSS_2048_8192_SHA256),
        };
        if holds {
            return Ok(());
        }
        let why = "it is not this key's signature of this".to_owned();
        Err(Error::Signature { by: format!("key {}", self.id), why })
    }

    /// The same of an artefact. One that is too large to keep is verified by its digest, where the algorithm signs one.
    pub fn verify_artifact(&self, artifact: &Artifact, signature: &[u8]) -> Result<(), Error> {
        if let Some(bytes) = artifact.bytes() {
            return self.verify(bytes, signature);
        }
        let digest = match self.algorithm {
            Algorithm::P256 | Algorithm::Rsa => {
                artifact.digests().sha256.map(|digest| digest.as_bytes().to_vec())
            }
            Algorithm::P384 => artifact.digests().sha384.map(|bytes| bytes.to_vec()),
            Algorithm::Ed25519 => None,
        };
        let digest = digest.ok_or_else(|| {
            let found = format!("{} of {} bytes", self.algorithm, artifact.length());
            Error::Unsupported {
                what: "form of signature",
                found,
                hint: "sign a statement of its digest instead",
            }
        })?;
        let signature = SignatureBytes::from_bytes(signature);
        let by = |scheme| {
            let key = VerificationKey::from_spki_with_scheme(&self.der(), scheme)?;
            key.verify_prehashed(&digest, &signature)
        };
        let held = match self.algorithm {
            Algorithm::P256 | Algorithm::Ed25519 => by(SigningScheme::EcdsaP256Sha256),
            Algorithm::P384 => by(SigningScheme::EcdsaP384Sha384),
            Algorithm::Rsa => by(SigningScheme::RsaPkcs1Sha256).or_else(|_| by(SigningScheme::RsaPssSha256)),
        };
        held.map_err(|error| Error::Signature { by: format!("key {}", self.id), why: error.to_string() })
    }

    pub(crate) fn der(&self) -> DerPublicKey {
        DerPublicKey::from_bytes(&self.spki)
    }
}

/// Keys that were pinned, each once, and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    keys: BTreeMap<KeyId, PublicKey>,
    need: usize,
    keyring: Option<Digest>,
}

impl Keys {
    /// At least `need` of these. A key that is given twice counts once.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>, need: usize) -> Result<Keys, Error> {
        let keys: BTreeMap<_, _> = keys.into_iter().map(|key| (key.id(), key)).collect();
        if need == 0 || keys.len() < need {
            return Err(Error::Impossible { need, have: keys.len() });
        }
        Ok(Keys { keys, need, keyring: None })
    }

    /// One key that must sign.
    pub fn one(key: PublicKey) -> Keys {
        Keys { keys: BTreeMap::from([(key.id(), key)]), need: 1, keyring: None }
    }

    /// The same, as the holders of a keyring.
    pub(crate) fn of(self, keyring: Option<Digest>) -> Keys {
        Keys { keyring, ..self }
    }

    /// The keyring whose holders these are; none for keys that are pinned by themselves.
    pub fn keyring(&self) -> Option<Digest> {
        self.keyring
    }

    /// Whether a statement that names this keyring, or none, was signed for these keys.
    pub fn asked(&self, named: Option<Digest>) -> Result<(), Error> {
        match self.keyring == named {
            true => Ok(()),
            false => Err(Error::OtherKeyring { named, own: self.keyring }),
        }
    }

    /// How many must sign.
    pub fn need(&self) -> usize {
        self.need
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Never: a set of keys has at least one.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys, by id.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.values()
    }

    /// The key with this id.
    pub fn find(&self, id: &KeyId) -> Option<&PublicKey> {
        self.keys.get(id)
    }
}

/// The standard's spelling, by the provider.
fn canonical(algorithm: Algorithm, raw: &[u8]) -> Result<Vec<u8>, Error> {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    let algorithm: &'static dyn lc::VerificationAlgorithm = match algorithm {
        Algorithm::P256 => &lc::ECDSA_P256_SHA256_ASN1,
        Algorithm::P384 => &lc::ECDSA_P384_SHA384_ASN1,
        Algorithm::Ed25519 => &lc::ED25519,
        Algorithm::Rsa => &lc::RSA_PKCS1_2048_8192_SHA256,
    };
    let der = |key: lc::ParsedPublicKey| -> Option<PublicKeyX509Der<'static>> { key.as_der().ok() };
    let parsed = lc::ParsedPublicKey::new(algorithm, raw).ok().and_then(der);
    parsed.map(|der| der.as_ref().to_vec()).ok_or_else(|| unusable("the point or modulus is none".to_owned()))
}

/// Whether it is one of the points of an order up to 8, in any spelling. For those a signature that holds for every message
/// can be written down without a secret.
pub(crate) fn is_small(raw: &[u8]) -> bool {
    let Some((last, first)) = raw.split_last() else { return false };
    // The sign of x is the topmost bit; no sign makes another order of these.
    let last = last & 0x7f;
    SMALL.iter().any(|small| small.split_last() == Some((&last, first)))
}

/// The y of each, little-endian: 0, 1, the two of order 8, p - 1, and p and p + 1, which spell 0 and 1 again (RFC 8032, 5.1).
const SMALL: [[u8; 32]; 7] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    near_p(0xec),
    near_p(0xed),
    near_p(0xee),
];

/// p is 2^255 - 19: all ones but for its lowest and topmost byte.
const fn near_p(lowest: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[0] = lowest;
    bytes[31] = 0x7f;
    bytes
}

fn unusable(why: String) -> Error {
    Error::Trust { what: "key", why }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?}, {})", self.algorithm, self.id)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Algorithm::P256 => "P-256",
            Algorithm::P384 => "P-384",
            Algorithm::Ed25519 => "Ed25519",
            Algorithm::Rsa => "RSA",
        })
    }
}

#[cfg(test)]
mod tests;
