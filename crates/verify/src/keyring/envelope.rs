//! Signed metadata that is being made: a body and signatures over its canonical form.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sigstore_tuf::{Key, canonical_json};
use sigstore_types::SignatureBytes;

use crate::json;
use crate::keyring::KeyringError;
use crate::sign::PrivateKey;

/// A body and its signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    signatures: Vec<Signature>,
    signed: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: String,
    sig: String,
}

impl Signed {
    /// A body that nobody signed.
    pub fn new(body: Value) -> Signed {
        Signed { signatures: Vec::new(), signed: body }
    }

    /// Reads one.
    pub fn read(path: &str, bytes: &[u8]) -> Result<Signed, KeyringError> {
        json::read("signed metadata", bytes).map_err(|why| KeyringError::File { path: path.to_owned(), why })
    }

    /// As it is kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// What is signed.
    pub fn body(&self) -> &Value {
        &self.signed
    }

    /// Adds a signature; one that the key made before is replaced.
    pub fn sign(&mut self, id: &str, key: &PrivateKey) -> Result<(), KeyringError> {
        let signature = key.sign(&self.bytes()?).map_err(KeyringError::Sign)?;
        self.signatures.retain(|signature| signature.keyid != id);
        let sig = data_encoding::HEXLOWER.encode(&signature);
        self.signatures.push(Signature { keyid: id.to_owned(), sig });
        self.signatures.sort_by(|one, other| one.keyid.cmp(&other.keyid));
        Ok(())
    }

    /// Whose signatures are there, right or wrong.
    pub(super) fn signers(&self) -> Vec<String> {
        self.signatures.iter().map(|signature| signature.keyid.clone()).collect()
    }

    /// Whose signatures are right, of those whom a root asks for a role.
    pub(super) fn valid(&self, root: &Value, role: &str) -> Result<BTreeSet<String>, KeyringError> {
        let keys = root.get("keys").cloned().unwrap_or_default();
        let keys: BTreeMap<String, Key> =
            serde_json::from_value(keys).map_err(|error| KeyringError::Keys { why: error.to_string() })?;
        let asked = super::ids(root, role);
        let bytes = self.bytes()?;
        let is_valid = |signature: &&Signature| {
            let raw = data_encoding::HEXLOWER.decode(signature.sig.as_bytes()).unwrap_or_default();
            let key = keys.get(&signature.keyid).filter(|_| asked.contains(&signature.keyid));
            key.is_some_and(|key| key.verify(&bytes, &SignatureBytes::new(raw)).is_ok())
        };
        Ok(self.signatures.iter().filter(is_valid).map(|signature| signature.keyid.clone()).collect())
    }

    /// What is signed of it.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, KeyringError> {
        canonical_json::to_canonical_bytes(&self.signed)
            .map_err(|error| KeyringError::Keys { why: error.to_string() })
    }
}
