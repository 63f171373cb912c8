//! What an approval says of a target, beside its length and digests: the member `claw` of its `custom`.

use serde::{Deserialize, Serialize};

use crate::pack::PackError;
use crate::tuf::Target;

/// What an approval says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// What it is.
    pub kind: Kind,
    /// What it belongs to, if it is no artefact itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Its media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<String>,
    /// Which release of its name; grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<u64>,
    /// The version of the approvals that listed these bytes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Who must have made the bundle or envelope, as those say who approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
}

/// Who must have made a bundle or envelope: an identity with its issuer, or a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum By {
    /// Whom the certificate names.
    Identity {
        /// Address or URI in the certificate.
        identity: String,
        /// Who knew the signer by it.
        issuer: String,
    },
    /// Who holds this key, in PEM.
    Key(String),
}

/// What a target is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A file.
    #[default]
    Artefact,
    /// A manifest or an index of an OCI image layout, with all that it names.
    Manifest,
    /// A signature with its proofs.
    Bundle,
    /// A signed statement without a log.
    Envelope,
    /// Where an artefact comes from.
    Provenance,
    /// What an artefact is made of.
    Sbom,
    /// Anything else that belongs to an artefact.
    Other,
    /// Whom Sigstore's bundles are measured by.
    TrustRoot,
    /// What was taken back.
    Revocations,
}

impl About {
    /// What is said of a target. One that says nothing is an artefact.
    pub fn read(target: &Target) -> Result<About, PackError> {
        let said = target.custom.as_ref().and_then(|custom| custom.get("claw"));
        let Some(said) = said else { return Ok(About::default()) };
        let about: About = serde_json::from_value(said.clone())
            .map_err(|error| PackError::About { name: target.path.clone(), why: error.to_string() })?;
        if about.kind.is_attached() != about.of.is_some() {
            let why = "only what belongs to an artefact has `of`, and it must".to_owned();
            return Err(PackError::About { name: target.path.clone(), why });
        }
        if about.kind.is_signed() != about.by.is_some() {
            let why = "a bundle or an envelope has `by`, and nothing else".to_owned();
            return Err(PackError::About { name: target.path.clone(), why });
        }
        Ok(about)
    }

    /// Its media type, said or usual.
    pub fn media(&self) -> &str {
        self.media.as_deref().unwrap_or(match self.kind {
            Kind::Bundle => "application/vnd.dev.sigstore.bundle.v0.3+json",
            Kind::Envelope => "application/vnd.dsse.envelope.v1+json",
            Kind::Provenance => "application/vnd.in-toto+json",
            Kind::Sbom => "application/vnd.cyclonedx+json",
            Kind::Manifest => "application/vnd.oci.image.manifest.v1+json",
            _ => "application/octet-stream",
        })
    }
}

impl Kind {
    /// Whether it belongs to an artefact.
    pub fn is_attached(self) -> bool {
        matches!(self, Kind::Bundle | Kind::Envelope | Kind::Provenance | Kind::Sbom | Kind::Other)
    }

    /// Whether it is a signature, which is verified with the pack.
    pub fn is_signed(self) -> bool {
        matches!(self, Kind::Bundle | Kind::Envelope)
    }

    /// Whether it is one.
    pub fn is_artefact(self) -> bool {
        matches!(self, Kind::Artefact | Kind::Manifest)
    }
}
