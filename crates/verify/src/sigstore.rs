//! Sigstore bundles, versions 0.1 to 0.3: over an artefact or a statement, by a certificate or by a key.
//!
//! By a certificate: its chain, its promise to a log of certificates, the log entry with inclusion proof and signed head, the
//! times, the signature, and that all of them are about each other. By a key: the same without a certificate; and a bundle
//! without a log entry too, of which then only the signature is proven.

mod refused;
mod root;

use jiff::Timestamp;
use sigstore_types::SignatureContent;
use sigstore_types::bundle::VerificationMaterialContent;
use sigstore_verify::crypto::{CertificateInfo, parse_certificate_info};
use sigstore_verify::{PublicKeyVerificationPolicy, VerificationPolicy, VerificationResult};

pub use root::{Root, Trust};

use crate::artifact::Artifact;
use crate::identity::{Identity, Name};
use crate::statement::Statement;
use crate::{Error, Keys, Proof, PublicKey, Signer, Verified, json};

/// Entries of a log, and timestamps, that one bundle may carry.
pub const MOST: usize = 16;

/// A bundle that was read, and not verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle(sigstore_types::Bundle);

/// Who must have signed.
#[derive(Debug, Clone, Copy)]
pub enum Who<'a> {
    /// One of these, by a certificate.
    Identities(&'a [Identity]),
    /// One of these keys.
    Keys(&'a Keys),
}

/// What a bundle says of an artefact.
#[derive(Debug, Clone, PartialEq)]
pub struct Attested {
    /// The artefact's digest.
    pub artifact: String,
    /// What is said of it, if the bundle says more than that it was signed.
    pub statement: Option<Statement>,
    /// What the certificate says of the build that signed.
    pub claims: Claims,
    /// Times that were verified, earliest first.
    pub times: Vec<Timestamp>,
}

/// What the authority of the certificate says of the build that asked for it. All absent where a person or a key signed.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Claims {
    /// Who vouched for the identity.
    pub issuer: Option<String>,
    /// The identity itself.
    pub identity: Option<String>,
    /// The build's definition, with its ref: who builds.
    pub builder: Option<String>,
    /// The repository that was built.
    pub source: Option<String>,
    /// The commit that was built.
    pub commit: Option<String>,
    /// The branch or tag that was built.
    pub reference: Option<String>,
    /// The configuration that was built by.
    pub config: Option<String>,
    /// What began it.
    pub trigger: Option<String>,
    /// Whose machine it ran on: `github-hosted` or `self-hosted`.
    pub runner: Option<String>,
    /// Which run.
    pub run: Option<String>,
}

impl Bundle {
    /// Reads a bundle.
    pub fn read(bytes: &[u8]) -> Result<Bundle, Error> {
        // Keys that stand twice or are not known are refused here; the library below reads the same bytes.
        known(&json::value(WHAT, bytes)?)?;
        let text =
            std::str::from_utf8(bytes).map_err(|error| Error::Json { what: WHAT, why: error.to_string() })?;
        let bundle = sigstore_types::Bundle::from_json(text)
            .map_err(|error| Error::Json { what: WHAT, why: error.to_string() })?;
        let material = &bundle.verification_material;
        let count =
            material.tlog_entries.len().max(material.timestamp_verification_data.rfc3161_timestamps.len());
        if count > MOST {
            let why = format!("it carries {count} log entries or timestamps, more than {MOST}");
            return Err(Error::Malformed { what: WHAT, why });
        }
        Ok(Bundle(bundle))
    }

    /// Whether a key signed it, rather than who holds a certificate.
    pub fn is_by_key(&self) -> bool {
        matches!(self.0.verification_material.content, VerificationMaterialContent::PublicKey(_))
    }

    /// Verifies that this bundle is about this artefact, and who made it.
    pub fn verify(
        &self,
        artifact: &Artifact,
        who: Who<'_>,
        trust: &Trust,
    ) -> Result<Verified<Attested>, Error> {
        match who {
            Who::Identities(identities) => self.by_identity(artifact, identities, trust),
            Who::Keys(keys) => self.by_key(artifact, keys, trust),
        }
    }

    fn by_identity(
        &self,
        artifact: &Artifact,
        asked: &[Identity],
        trust: &Trust,
    ) -> Result<Verified<Attested>, Error> {
        let certificate = self.0.signing_certificate().ok_or_else(|| match self.is_by_key() {
            false => Error::Malformed { what: WHAT, why: "its chain of certificates is empty".to_owned() },
            true => {
                let (found, hint) = ("a key".to_owned(), "name the key (--key) instead of an identity");
                Error::Unsupported { what: "bundle's signer", found, hint }
            }
        })?;
        let certificate = parse_certificate_info(certificate)
            .map_err(|error| Error::Certificate { code: "certificate-malformed", why: error.to_string() })?;
        let (identity, issuer) = named(&certificate, asked)?;
        // The library is given exactly the names that matched: no bundle is ever verified for anybody.
        let policy = VerificationPolicy::new(identity.as_str(), issuer.as_str());
        let result = trust.library(&self.0, artifact, &policy)?;
        if !(result.certificate_verified() && result.sct_verified() && result.tlog_verified()) {
            return Err(Error::Certificate {
                code: "certificate-chain",
                why: "it was not verified whole".to_owned(),
            });
        }
        let mut proven = vec![Proof::Signature, Proof::Certificate, Proof::CertificateLog, Proof::Identity];
        proven.extend(self.logged());
        let claims = Claims::of(&certificate);
        self.attested(
            artifact,
            claims,
            vec![Signer::Identity { identity, issuer }],
            proven,
            result.verified_timestamps(),
            trust,
        )
    }

    fn by_key(&self, artifact: &Artifact, keys: &Keys, trust: &Trust) -> Result<Verified<Attested>, Error> {
        if !self.is_by_key() {
            let (found, hint) = ("a certificate".to_owned(), "name the identity and issuer instead of a key");
            return Err(Error::Unsupported { what: "bundle's signer", found, hint });
        }
        let mut last = None;
        for key in keys.iter() {
            match self.by_one_key(artifact, key, trust) {
                Ok(verified) => return Ok(verified),
                // With more than one key, what the last one says is told; with one, what it says.
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(Error::Impossible { need: 1, have: 0 }))
    }

    fn by_one_key(
        &self,
        artifact: &Artifact,
        key: &PublicKey,
        trust: &Trust,
    ) -> Result<Verified<Attested>, Error> {
        let signers = vec![Signer::Key(key.id())];
        let material = &self.0.verification_material;
        let bare = material.tlog_entries.is_empty()
            && material.timestamp_verification_data.rfc3161_timestamps.is_empty();
        if bare {
            self.signed(artifact, key)?;
            return self.attested(artifact, Claims::default(), signers, vec![Proof::Signature], &[], trust);
        }
        let policy = PublicKeyVerificationPolicy::new(key.der());
        #[expect(
            clippy::disallowed_methods,
            reason = "without an entry there is no inclusion, and none is claimed"
        )]
        let policy = if material.tlog_entries.is_empty() { policy.skip_tlog_unsafe() } else { policy };
        let result = trust.library(&self.0, artifact, &policy)?;
        let mut proven = vec![Proof::Signature];
        proven.extend(self.logged());
        self.attested(artifact, Claims::default(), signers, proven, result.verified_timestamps(), trust)
    }

    /// The signature alone, by a key that was pinned.
    fn signed(&self, artifact: &Artifact, key: &PublicKey) -> Result<(), Error> {
        match &self.0.content {
            SignatureContent::DsseEnvelope(envelope) => {
                key.verify(&envelope.pae(), envelope.signature.sig.as_bytes())
            }
            SignatureContent::MessageSignature(signature) => {
                if let Some(digest) = &signature.message_digest {
                    let own = artifact.digests().of(digest.algorithm);
                    if own.as_deref() != Some(digest.digest.as_bytes()) {
                        let why = format!("its {} is not the one that was signed", digest.algorithm);
                        return Err(Error::Artifact { why });
                    }
                }
                key.verify_artifact(artifact, signature.signature.as_bytes())
            }
            _ => Err(content()),
        }
    }

    /// The entries were verified; whether they prove inclusion or only promise it.
    fn logged(&self) -> Option<Proof> {
        let entries = &self.0.verification_material.tlog_entries;
        let proof = |entry: &sigstore_types::TransparencyLogEntry| entry.inclusion_proof.is_some();
        match (entries.is_empty(), entries.iter().any(proof)) {
            (true, _) => None,
            (false, true) => Some(Proof::Log),
            (false, false) => Some(Proof::Promise),
        }
    }

    fn attested(
        &self,
        artifact: &Artifact,
        claims: Claims,
        signers: Vec<Signer>,
        mut proven: Vec<Proof>,
        times: &[Timestamp],
        trust: &Trust,
    ) -> Result<Verified<Attested>, Error> {
        let statement = match &self.0.content {
            SignatureContent::DsseEnvelope(envelope) => {
                if envelope.payload_type != crate::envelope::IN_TOTO {
                    let (found, hint) = (envelope.payload_type.clone(), "in-toto statements are");
                    return Err(Error::Unsupported { what: "payload type", found, hint });
                }
                let statement = Statement::read(envelope.payload.as_bytes())?;
                statement.subject(artifact.digests())?;
                proven.push(Proof::Subject);
                Some(statement)
            }
            SignatureContent::MessageSignature(_) => None,
            _ => return Err(content()),
        };
        let mut times = times.to_vec();
        times.sort();
        times.dedup();
        let now = trust.clock().now();
        if let Some(time) = times.last().filter(|&&time| now < time) {
            return Err(Error::Time {
                code: "time-in-future",
                why: format!("it says {time}, and it is {now}"),
            });
        }
        proven.extend(times.iter().copied().map(Proof::Time));
        let from = times.first().copied();
        let value = Attested { artifact: artifact.name(), statement, claims, times };
        Ok(Verified::new(value, signers, proven).within(from, None))
    }
}

/// A DSSE envelope without a bundle: a statement about this artefact that enough of the pinned keys signed. No log, no time.
pub fn envelope(
    envelope: &crate::envelope::Envelope,
    artifact: &Artifact,
    keys: &Keys,
) -> Result<Verified<Attested>, Error> {
    let mut verified = envelope.verify(crate::envelope::IN_TOTO, keys)?.try_map(|payload| {
        let statement = Statement::read(&payload.bytes)?;
        statement.subject(artifact.digests())?;
        let (claims, times) = (Claims::default(), Vec::new());
        Ok::<_, Error>(Attested { artifact: artifact.name(), statement: Some(statement), claims, times })
    })?;
    verified.prove(Proof::Subject);
    Ok(verified)
}

/// A signature of the artefact's bytes by a pinned key, without anything around it.
pub fn detached(signature: &[u8], artifact: &Artifact, keys: &Keys) -> Result<Verified<Attested>, Error> {
    let mut last = Error::Impossible { need: 1, have: 0 };
    for key in keys.iter() {
        match key.verify_artifact(artifact, signature) {
            Ok(()) => {
                let (claims, times) = (Claims::default(), Vec::new());
                let value = Attested { artifact: artifact.name(), statement: None, claims, times };
                return Ok(Verified::new(value, vec![Signer::Key(key.id())], vec![Proof::Signature]));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Trust {
    fn library(
        &self,
        bundle: &sigstore_types::Bundle,
        artifact: &Artifact,
        policy: &dyn sigstore_verify::Policy,
    ) -> Result<VerificationResult, Error> {
        use sigstore_types::{Artifact as Theirs, ArtifactDigest, HashAlgorithm};
        if let Some(bytes) = artifact.bytes() {
            return self.verifier().verify(Theirs::Blob(bytes), bundle, policy).map_err(refused::why);
        }
        // Too large to keep, or only known by its digests: by the first that the bundle is about.
        let mut first = None;
        for algorithm in [HashAlgorithm::Sha2256, HashAlgorithm::Sha2512, HashAlgorithm::Sha2384] {
            let Some(digest) = artifact.digests().of(algorithm) else { continue };
            let digest = ArtifactDigest::new(algorithm, digest)
                .map_err(|error| Error::Malformed { what: "digest", why: error.to_string() })?;
            match self.verifier().verify(Theirs::Digest(digest), bundle, policy).map_err(refused::why) {
                Err(error @ (Error::Unsupported { .. } | Error::Artifact { .. })) => {
                    first = first.or(Some(error))
                }
                other => return other,
            }
        }
        Err(first.unwrap_or_else(|| Error::Artifact { why: "no digest of it is known".to_owned() }))
    }
}

impl Claims {
    fn of(certificate: &CertificateInfo) -> Claims {
        let claims = &certificate.ci_claims;
        Claims {
            issuer: certificate.issuer.clone(),
            identity: certificate.identity.as_ref().map(|name| name.as_str().to_owned()),
            builder: claims.build_signer_uri.clone(),
            source: claims.source_repository_uri.clone(),
            commit: claims.source_repository_digest.clone(),
            reference: claims.source_repository_ref.clone(),
            config: claims.build_config_uri.clone(),
            trigger: claims.build_trigger.clone(),
            runner: claims.runner_environment.clone(),
            run: claims.run_invocation_uri.clone(),
        }
    }
}

/// The names in the certificate, if they are asked for together.
fn named(certificate: &CertificateInfo, asked: &[Identity]) -> Result<(String, String), Error> {
    let absent = |what: &'static str| Error::Identity { what, asked: list(asked), found: String::new() };
    let identity = certificate.identity.as_ref().ok_or_else(|| absent("identity"))?.as_str().to_owned();
    let issuer = certificate.issuer.clone().ok_or_else(|| absent("issuer"))?;
    let close: Vec<_> = asked.iter().filter(|one| one.identity.matches(&identity)).collect();
    if close.is_empty() {
        return Err(Error::Identity { what: "identity", asked: list(asked), found: identity });
    }
    if !close.iter().any(|one| one.issuer.matches(&issuer)) {
        let asked = close.first().map(|one| one.issuer.to_string()).unwrap_or_default();
        return Err(Error::Identity { what: "issuer", asked, found: issuer });
    }
    Ok((identity, issuer))
}

fn list(asked: &[Identity]) -> String {
    let names: Vec<_> =
        asked.iter().map(|one: &Identity| -> &Name { &one.identity }).map(Name::to_string).collect();
    names.join("` or `")
}

/// A field that is not known could be evidence that was misspelt, and so was not looked at.
fn known(value: &serde_json::Value) -> Result<(), Error> {
    match value {
        serde_json::Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            if !FIELDS.contains(&name.as_str()) {
                let why = format!("the field `{}` is not known", name.escape_debug());
                return Err(Error::Malformed { what: WHAT, why });
            }
            known(value)
        }),
        serde_json::Value::Array(items) => items.iter().try_for_each(known),
        _ => Ok(()),
    }
}

fn content() -> Error {
    Error::Unsupported {
        what: "content",
        found: String::new(),
        hint: "message signatures and DSSE envelopes are",
    }
}

const WHAT: &str = "bundle";

/// Every field of sigstore_bundle.proto, sigstore_common.proto, sigstore_rekor.proto and envelope.proto that a bundle can hold.
const FIELDS: &[&str] = &[
    "algorithm",
    "canonicalizedBody",
    "certificate",
    "certificates",
    "checkpoint",
    "digest",
    "dsseEnvelope",
    "envelope",
    "hashes",
    "hint",
    "inclusionPromise",
    "inclusionProof",
    "integratedTime",
    "keyId",
    "keyid",
    "kind",
    "kindVersion",
    "logId",
    "logIndex",
    "mediaType",
    "messageDigest",
    "messageSignature",
    "payload",
    "payloadType",
    "publicKey",
    "rawBytes",
    "rfc3161Timestamps",
    "rootHash",
    "sig",
    "signature",
    "signatures",
    "signedEntryTimestamp",
    "signedTimestamp",
    "timestampVerificationData",
    "tlogEntries",
    "treeSize",
    "verificationMaterial",
    "version",
    "x509CertificateChain",
];
