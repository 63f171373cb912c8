//! DSSE envelopes: a payload with its type, signed by one or more keys.
//!
//! The signature is over the pre-authentication encoding of the DSSE protocol 1.0.2, so that nothing is parsed before it
//! was verified but the envelope itself. Key ids in an envelope are hints that anyone can write: they decide nothing.

use std::collections::BTreeSet;

use data_encoding::{BASE64, BASE64URL};
use serde::{Deserialize, Serialize};

use crate::sign::PrivateKey;
use crate::{Error, Keys, Proof, Signer, Verified, json};

/// The payload type of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Signatures of one envelope that are tried.
pub const MOST: usize = 64;

/// An envelope that was read, and not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    hint: Option<String>,
    bytes: Vec<u8>,
}

/// The payload of an envelope that was verified, with the type that was signed with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// What it is.
    pub media: String,
    /// The bytes that were signed.
    pub bytes: Vec<u8>,
}

impl Envelope {
    /// Signs a payload. More signatures can be added.
    pub fn sign(payload_type: &str, payload: &[u8], key: &PrivateKey) -> Result<Envelope, Error> {
        let (payload_type, payload) = (payload_type.to_owned(), payload.to_vec());
        Envelope { payload_type, payload, signatures: vec![] }.and_sign(key)
    }

    /// The same envelope with one signature more; a second one by the same key replaces the first.
    pub fn and_sign(mut self, key: &PrivateKey) -> Result<Envelope, Error> {
        let bytes = key.sign(&self.pae())?;
        let hint = Some(key.id().to_string());
        self.signatures.retain(|signature| signature.hint != hint);
        self.signatures.push(Signature { hint, bytes });
        Ok(self)
    }

    /// Reads an envelope.
    pub fn read(bytes: &[u8]) -> Result<Envelope, Error> {
        let file: File = json::read(WHAT, bytes)?;
        if file.signatures.is_empty() {
            return Err(Error::Malformed { what: WHAT, why: "it has no signature".to_owned() });
        }
        if file.signatures.len() > MOST {
            let why = format!("it has {} signatures, more than {MOST}", file.signatures.len());
            return Err(Error::Malformed { what: WHAT, why });
        }
        let signatures = file.signatures.into_iter().map(|signature| {
            Ok(Signature {
                bytes: base64(&signature.sig)?,
                hint: signature.keyid.filter(|id| !id.is_empty()),
            })
        });
        Ok(Envelope {
            payload: base64(&file.payload)?,
            payload_type: file.payload_type,
            signatures: signatures.collect::<Result<_, Error>>()?,
        })
    }

    /// As JSON.
    pub fn write(&self) -> String {
        let signature =
            |one: &Signature| FileSignature { keyid: one.hint.clone(), sig: BASE64.encode(&one.bytes) };
        let file = File {
            payload: BASE64.encode(&self.payload),
            payload_type: self.payload_type.clone(),
            signatures: self.signatures.iter().map(signature).collect(),
        };
        // Strings and lists of them cannot fail.
        serde_json::to_string(&file).unwrap_or_default()
    }

    /// The payload if it is of this type and as many of the keys signed it as are needed. A key counts once, however
    /// often it signed, and whatever the envelope calls it.
    pub fn verify(&self, payload_type: &str, keys: &Keys) -> Result<Verified<Payload>, Error> {
        if self.payload_type != payload_type {
            let found = self.payload_type.clone();
            return Err(Error::Unsupported {
                what: "payload type",
                found,
                hint: "another one was asked for",
            });
        }
        let pae = self.pae();
        let mut signed = BTreeSet::new();
        for signature in &self.signatures {
            // INVARIANT: the hint only says which key is tried first; each pinned key that has not signed is tried.
            let hinted = |key: &crate::PublicKey| signature.hint.as_ref() == Some(&key.id().to_string());
            let mut candidates: Vec<_> = keys.iter().filter(|key| !signed.contains(&key.id())).collect();
            candidates.sort_by_key(|key| !hinted(key));
            if let Some(key) = candidates.into_iter().find(|key| key.verify(&pae, &signature.bytes).is_ok()) {
                signed.insert(key.id());
            }
        }
        let (need, have) = (keys.need(), signed.len());
        if have < need {
            return Err(Error::Threshold { need, signed: signed.into_iter().collect(), pinned: keys.len() });
        }
        let payload = Payload { media: self.payload_type.clone(), bytes: self.payload.clone() };
        let signers = signed.into_iter().map(Signer::Key).collect();
        Ok(Verified::new(payload, signers, vec![Proof::Signature, Proof::Threshold { need, have }]))
    }

    /// What it says it holds, on nobody's word.
    pub fn unverified(&self) -> (&str, &[u8]) {
        (&self.payload_type, &self.payload)
    }

    /// How many signatures it has, of whomever.
    pub fn signatures(&self) -> usize {
        self.signatures.len()
    }

    fn pae(&self) -> Vec<u8> {
        sigstore_types::pae(&self.payload_type, &self.payload)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<FileSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSignature {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyid: Option<String>,
    sig: String,
}

/// Standard or for URLs, as the protocol asks of readers; padded, and no bit left over.
fn base64(text: &str) -> Result<Vec<u8>, Error> {
    let read = BASE64.decode(text.as_bytes()).or_else(|_| BASE64URL.decode(text.as_bytes()));
    read.map_err(|error| Error::Malformed { what: "base64 of the envelope", why: error.to_string() })
}

const WHAT: &str = "DSSE envelope";

#[cfg(test)]
mod tests;
