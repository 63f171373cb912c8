//! cosign's older scheme: a small JSON that names the manifest is signed, and everything else stands in annotations.

use claw_model::digest::Digest;
use data_encoding::{BASE64, HEXLOWER};
use serde::Deserialize;
use serde_json::{Value, json};

use super::document::Descriptor;
use crate::artifact::Artifact;
use crate::sigstore::{self, Attested, Bundle, Trust, Who};
use crate::{Error, Proof, Verified};

/// The type of the layer.
pub(super) const MEDIA: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// A payload with its annotations.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Signed {
    payload: Artifact,
    names: Digest,
    signature: Vec<u8>,
    certificates: Vec<Vec<u8>>,
    log: Option<String>,
}

impl Signed {
    pub(super) fn of(layer: &Descriptor, payload: Vec<u8>) -> Result<Signed, Error> {
        let annotation = |name: &str| layer.annotations.get(name).map(String::as_str);
        let signature = annotation("dev.cosignproject.cosign/signature").unwrap_or_default();
        let signature = BASE64.decode(signature.as_bytes()).map_err(|error| malformed(error.to_string()))?;
        let mut certificates = Vec::new();
        for name in ["dev.sigstore.cosign/certificate", "dev.sigstore.cosign/chain"] {
            let blocks = pem::parse_many(annotation(name).unwrap_or_default());
            let blocks = blocks.map_err(|error| malformed(error.to_string()))?;
            certificates.extend(blocks.into_iter().map(pem::Pem::into_contents));
        }
        let named: Payload = crate::json::read(WHAT, &payload)?;
        if named.critical.kind != KIND {
            let hint = "cosign's `cosign container image signature` is";
            return Err(Error::Unsupported { what: "type of payload", found: named.critical.kind, hint });
        }
        let names = named
            .critical
            .image
            .digest
            .parse()
            .map_err(|error: claw_model::digest::DigestError| malformed(error.to_string()))?;
        let log = annotation("dev.sigstore.cosign/bundle").map(str::to_owned);
        Ok(Signed { payload: Artifact::of(&payload), names, signature, certificates, log })
    }

    /// Verifies the payload, and that it names this manifest.
    pub(super) fn verify(
        &self,
        manifest: Digest,
        who: Who<'_>,
        trust: &Trust,
    ) -> Result<Verified<Attested>, Error> {
        if self.names != manifest {
            return Err(Error::Artifact {
                why: format!("the signature is of {}, not of {manifest}", self.names),
            });
        }
        let mut verified = match (who, &self.log) {
            (Who::Keys(keys), None) => sigstore::detached(&self.signature, &self.payload, keys)?,
            _ => Bundle::read(self.bundle(who)?.to_string().as_bytes())?.verify(&self.payload, who, trust)?,
        };
        verified.prove(Proof::Subject);
        verified.try_map(|attested| Ok(Attested { artifact: manifest.to_string(), ..attested }))
    }

    /// The same evidence as a bundle of version 0.1, which is what such bundles were made from.
    fn bundle(&self, who: Who<'_>) -> Result<Value, Error> {
        let log: Log = match &self.log {
            Some(text) => {
                crate::json::value(WHAT, text.as_bytes())?;
                serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?
            }
            None => {
                return Err(Error::Log {
                    code: "log-promise",
                    why: "the signature has no log entry".to_owned(),
                });
            }
        };
        let id = HEXLOWER.decode(log.payload.id.as_bytes()).map_err(|error| malformed(error.to_string()))?;
        let body =
            BASE64.decode(log.payload.body.as_bytes()).map_err(|error| malformed(error.to_string()))?;
        let kind: Value = crate::json::value(WHAT, &body)?;
        let word = |name: &str| kind.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut material = match who {
            Who::Keys(_) => json!({"publicKey": {"hint": ""}}),
            Who::Identities(_) => {
                let list: Vec<_> =
                    self.certificates.iter().map(|der| json!({"rawBytes": BASE64.encode(der)})).collect();
                json!({"x509CertificateChain": {"certificates": list}})
            }
        };
        let entry = json!({
            "logIndex": log.payload.index.to_string(),
            "logId": {"keyId": BASE64.encode(&id)},
            "kindVersion": {"kind": word("kind"), "version": word("apiVersion")},
            "integratedTime": log.payload.time.to_string(),
            "inclusionPromise": {"signedEntryTimestamp": log.promise},
            "canonicalizedBody": log.payload.body,
        });
        if let Some(material) = material.as_object_mut() {
            material.insert("tlogEntries".to_owned(), json!([entry]));
        }
        let digest = self.payload.digests().sha256.map(|digest| BASE64.encode(digest.as_bytes()));
        Ok(json!({
            "mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1",
            "verificationMaterial": material,
            "messageSignature": {
                "messageDigest": {"algorithm": "SHA2_256", "digest": digest},
                "signature": BASE64.encode(&self.signature),
            },
        }))
    }
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Named,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    #[serde(rename = "SignedEntryTimestamp")]
    promise: String,
    #[serde(rename = "Payload")]
    payload: Entry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    body: String,
    #[serde(rename = "integratedTime")]
    time: i64,
    #[serde(rename = "logIndex")]
    index: u64,
    #[serde(rename = "logID")]
    id: String,
}

fn malformed(why: String) -> Error {
    Error::Malformed { what: WHAT, why }
}

const WHAT: &str = "cosign signature";
const KIND: &str = "cosign container image signature";
