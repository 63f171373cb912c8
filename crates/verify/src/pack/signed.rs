//! Bundles and envelopes that are carried: each must be what those who approved it said it is, about its artefact.

use claw_model::digest::Digest;

use crate::artifact::Artifact;
use crate::envelope::{Envelope, IN_TOTO};
use crate::identity::{Identity, Name};
use crate::pack::about::By;
use crate::pack::verify::{Artefact, Attachment};
use crate::pack::{Contents, Flaw, Kind, PackError};
use crate::revocation::{Claim, Position, Revocations, Witness};
use crate::sigstore::{Bundle, Root, Trust, Who};
use crate::statement::{Known, Statement};
use crate::{Clock, Error, Keys, PublicKey, Signer};

/// By what bundles are measured.
pub(super) struct Measure<'a> {
    pub(super) contents: &'a Contents,
    pub(super) root: Option<&'a [u8]>,
    pub(super) clock: Clock,
    pub(super) revocations: &'a Revocations,
}

impl Measure<'_> {
    /// Who made a bundle or an envelope; nobody, if it is neither. Whoever was taken back is refused.
    pub(super) fn signers(&self, artefact: &Artefact, one: &Attachment) -> Result<Vec<Signer>, PackError> {
        if !one.about.kind.is_signed() {
            return Ok(Vec::new());
        }
        let bytes = self.contents.document(&one.digest);
        let bytes = bytes.ok_or_else(|| Flaw::LargeDocument { name: one.name.clone(), size: one.size })?;
        let refused = |why| PackError::Bundle { name: one.name.clone(), why };
        let (signers, time) = match (one.about.kind, &one.about.by) {
            (Kind::Bundle, Some(by)) => self.bundle(artefact.digest, bytes, by).map_err(refused)?,
            (Kind::Envelope, Some(By::Key(key))) => {
                (envelope(artefact.digest, bytes, key).map_err(refused)?, None)
            }
            _ => {
                let why = "a bundle names its identity or key, an envelope its key".to_owned();
                return Err(PackError::About { name: one.name.clone(), why });
            }
        };
        let since = one.about.since.map(Position::Approval);
        let witnesses: Vec<Witness> = signers.iter().map(|signer| witness(signer, since, time)).collect();
        let claim =
            Claim { name: &artefact.name, release: artefact.about.release, digest: artefact.digest, need: 1 };
        self.revocations.judge(&claim, &witnesses)?;
        Ok(signers)
    }

    fn bundle(&self, digest: Digest, bytes: &[u8], by: &By) -> Result<Made, Error> {
        let root = self.root.map_or_else(Root::public_good, Root::read)?;
        let trust = Trust::new(&root, self.clock)?;
        let bundle = Bundle::read(bytes)?;
        let artifact = match self.contents.document(&digest) {
            Some(bytes) => Artifact::of(bytes),
            None => Artifact::known(Known::sha256(digest)),
        };
        let verified = match by {
            By::Identity { identity, issuer } => {
                let exact = |text: &String| Name::Exact(text.clone());
                let asked = Identity { identity: exact(identity), issuer: exact(issuer) };
                bundle.verify(&artifact, Who::Identities(&[asked]), &trust)?
            }
            By::Key(pem) => {
                bundle.verify(&artifact, Who::Keys(&Keys::one(PublicKey::from_pem(pem)?)), &trust)?
            }
        };
        let time = verified.value().times.first().copied();
        Ok((verified.signers().to_vec(), time))
    }
}

type Made = (Vec<Signer>, Option<jiff::Timestamp>);

fn envelope(digest: Digest, bytes: &[u8], pem: &str) -> Result<Vec<Signer>, Error> {
    let keys = Keys::one(PublicKey::from_pem(pem)?);
    let payload = Envelope::read(bytes)?.verify(IN_TOTO, &keys)?;
    Statement::read(&payload.value().bytes)?.subject(Known::sha256(digest))?;
    Ok(payload.signers().to_vec())
}

fn witness(signer: &Signer, since: Option<Position>, time: Option<jiff::Timestamp>) -> Witness {
    let (key, identity) = match signer {
        Signer::Key(id) => (Some(id.0.hex()), None),
        Signer::Identity { identity, issuer } => (None, Some((identity.clone(), issuer.clone()))),
        _ => (None, None),
    };
    Witness { key, identity, positions: since.into_iter().collect(), time }
}
