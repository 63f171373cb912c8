//! X.509 signatures as gitsign makes them: CMS (RFC 5652) by a certificate of Fulcio that lived for minutes.
//!
//! When was it signed? The signer's word does not count. The entry of a transparency log, embedded in the signature, does: it is verified with
//! the certificate, the log's proof and its time by `sigstore-verify`. A signature without an entry is refused: nothing here can say that its
//! certificate was alive.

use aws_lc_rs::digest::{SHA256, digest};
use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerInfo};
use data_encoding::{BASE64, HEXLOWER};
use der::asn1::{ObjectIdentifier, OctetString};
use der::{Decode, Encode};
use serde_json::json;
use sigstore_verify::types::Bundle;
use sigstore_verify::{VerificationPolicy, Verifier};

use super::Broken;

mod entry;

/// A signature, as a bundle that can be verified.
#[derive(Debug, Clone)]
pub struct X509 {
    /// What was signed: the attributes, which name the digest of the commit.
    attributes: Vec<u8>,
    bundle: Bundle,
}

impl X509 {
    pub(super) fn read(text: &str, payload: &[u8]) -> Result<X509, Broken> {
        let unreadable = || Broken::Unreadable("X.509");
        let data = armoured(text)?;
        let content = ContentInfo::from_der(&data).map_err(|_| unreadable())?;
        if content.content_type != SIGNED_DATA {
            return Err(unreadable());
        }
        let signed: SignedData = content.content.decode_as().map_err(|_| unreadable())?;
        let [signer] = signed.signer_infos.0.as_slice() else { return Err(Broken::More) };
        let certificates = signed.certificates.as_ref().map(|set| set.0.as_slice()).unwrap_or_default();
        let [CertificateChoices::Certificate(certificate)] = certificates else { return Err(Broken::More) };
        if signed.encap_content_info.econtent.is_some() || signer.digest_alg.oid != DIGEST {
            return Err(unreadable());
        }
        if attribute(signer, MESSAGE_DIGEST)?.as_bytes() != digest(&SHA256, payload).as_ref() {
            return Err(Broken::Mismatch);
        }
        let attributes = signer.signed_attrs.as_ref().ok_or_else(unreadable)?;
        let attributes = attributes.to_der().map_err(|_| unreadable())?;
        let certificate = certificate.to_der().map_err(|_| unreadable())?;
        let entry = entry::Entry::read(&log_entry(signer)?).ok_or_else(unreadable)?;
        let bundle = bundle(&attributes, signer.signature.as_bytes(), &certificate, &entry);
        let bundle = Bundle::from_json(&bundle).map_err(|_| unreadable())?;
        Ok(X509 { attributes, bundle })
    }

    /// Verifies certificate, log entry and signature, and that the certificate names this identity by this issuer.
    pub(crate) fn verify(&self, verifier: &Verifier, identity: &str, issuer: &str) -> Result<(), Broken> {
        let policy = VerificationPolicy::new(identity, issuer);
        match verifier.verify(self.attributes.as_slice(), &self.bundle, &policy) {
            Ok(_) => Ok(()),
            Err(error) => Err(Broken::Sigstore(error.to_string())),
        }
    }
}

/// The bytes between the lines of the armour.
fn armoured(text: &str) -> Result<Vec<u8>, Broken> {
    let inner = text.trim_end().strip_prefix("-----BEGIN SIGNED MESSAGE-----\n");
    let inner = inner.and_then(|inner| inner.strip_suffix("-----END SIGNED MESSAGE-----"));
    let inner = inner.ok_or(Broken::More)?;
    let packed: String = inner.lines().collect();
    BASE64.decode(packed.as_bytes()).map_err(|_| Broken::Unreadable("X.509"))
}

/// The one value of a signed attribute that must be there once.
fn attribute(signer: &SignerInfo, which: ObjectIdentifier) -> Result<OctetString, Broken> {
    let unreadable = || Broken::Unreadable("X.509");
    let attributes = signer.signed_attrs.as_ref().ok_or_else(unreadable)?;
    let mut found = attributes.iter().filter(|attribute| attribute.oid == which);
    let (Some(attribute), None) = (found.next(), found.next()) else { return Err(unreadable()) };
    let [value] = attribute.values.as_slice() else { return Err(unreadable()) };
    value.decode_as().map_err(|_| unreadable())
}

/// The log entry that gitsign embeds.
fn log_entry(signer: &SignerInfo) -> Result<Vec<u8>, Broken> {
    let attributes = signer.unsigned_attrs.iter().flat_map(|attributes| attributes.iter());
    let mut found = attributes.filter(|attribute| attribute.oid == LOG_ENTRY);
    let Some(attribute) = found.next() else { return Err(Broken::NoTime) };
    let ([value], None) = (attribute.values.as_slice(), found.next()) else { return Err(Broken::More) };
    let value: OctetString = value.decode_as().map_err(|_| Broken::Unreadable("X.509"))?;
    Ok(value.into_bytes())
}

/// The same as a Sigstore bundle. gitsign leaves out the entry's body, which says nothing new: it is written again here, and the
/// log's proof is over it.
fn bundle(attributes: &[u8], signature: &[u8], certificate: &[u8], entry: &entry::Entry) -> String {
    let hash = digest(&SHA256, attributes);
    let body = json!({
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": HEXLOWER.encode(hash.as_ref())}},
            "signature": {
                "content": BASE64.encode(signature),
                "publicKey": {"content": BASE64.encode(pem(certificate).as_bytes())},
            },
        },
    });
    let body = if entry.body.is_empty() { body.to_string().into_bytes() } else { entry.body.clone() };
    let hashes: Vec<String> = entry.hashes.iter().map(|hash| BASE64.encode(hash)).collect();
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "certificate": {"rawBytes": BASE64.encode(certificate)},
            "tlogEntries": [{
                "logIndex": entry.index.to_string(),
                "logId": {"keyId": BASE64.encode(&entry.log)},
                "kindVersion": {"kind": "hashedrekord", "version": "0.0.1"},
                "integratedTime": entry.time.to_string(),
                "inclusionPromise": {"signedEntryTimestamp": BASE64.encode(&entry.promise)},
                "inclusionProof": {
                    "logIndex": entry.leaf.to_string(),
                    "rootHash": BASE64.encode(&entry.root),
                    "treeSize": entry.size.to_string(),
                    "hashes": hashes,
                    "checkpoint": {"envelope": entry.checkpoint},
                },
                "canonicalizedBody": BASE64.encode(&body),
            }],
        },
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": BASE64.encode(hash.as_ref())},
            "signature": BASE64.encode(signature),
        },
    })
    .to_string()
}

fn pem(certificate: &[u8]) -> String {
    let packed = BASE64.encode(certificate);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for (place, character) in packed.chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text + "\n-----END CERTIFICATE-----\n"
}

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// Sigstore's arc: a transparency log entry, in a signature.
const LOG_ENTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.3.1");

#[cfg(test)]
mod tests;
