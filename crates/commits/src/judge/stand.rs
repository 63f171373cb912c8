//! Whose signature it is, by one version of the allowed signers.

use super::Means;
use crate::finding::{Code, Finding};
use crate::object::Commit;
use crate::signature::{Broken, Revoked, Seal, Standing};
use crate::signers::{Key, Signer, Signers};

/// Why a signature is none of an allowed signer.
pub(crate) enum Why {
    Unknown(String),
    Broken(Broken),
    Expired(String),
    Revoked(String, Revoked),
}

impl Why {
    pub(super) fn finding(&self) -> Finding {
        match self {
            Why::Unknown(key) => Finding::error(
                Code::UnknownKey,
                format!("signed with {key}, which no allowed signer has here"),
            ),
            Why::Broken(error) => Finding::error(Code::BadSignature, error.to_string()),
            Why::Expired(name) => Finding::error(
                Code::Expired,
                format!(
                    "the key of {name} has ended; `until` with its last commit keeps what it signed before"
                ),
            )
            .signer(name.as_str()),
            Why::Revoked(name, how) => {
                let how = match how {
                    Revoked::Retired => "retired; `until` with its last commit keeps what it signed before",
                    Revoked::Compromised => "compromised, or no reason was given",
                };
                Finding::error(Code::Revoked, format!("the certificate of {name} is revoked: {how}"))
                    .signer(name.as_str())
            }
        }
    }
}

/// The allowed signer who made a signature.
pub(crate) fn stands<'a>(signers: &'a Signers, seal: &Seal, means: &Means) -> Result<&'a Signer, Why> {
    match seal {
        Seal::Ssh(key) => {
            let own = |signer: &&Signer| matches!(&signer.key, Key::Ssh(other) if other == key);
            signers.keys.iter().find(own).ok_or_else(|| Why::Unknown(key.to_string()))
        }
        Seal::OpenPgp(pgp) => {
            let judged = signers.keys.iter().find_map(|signer| match &signer.key {
                Key::OpenPgp(certificate) => certificate.judge(pgp, means.now).map(|judged| (signer, judged)),
                Key::Ssh(_) | Key::X509 { .. } => None,
            });
            let Some((signer, judged)) = judged else { return Err(Why::Unknown(pgp.issuer())) };
            match judged.map_err(Why::Broken)? {
                Standing::Good => Ok(signer),
                Standing::Expired(_) | Standing::Revoked(Revoked::Retired) if signer.until.is_some() => {
                    Ok(signer)
                }
                Standing::Expired(_) | Standing::MadeAfterEnd(_) => Err(Why::Expired(signer.name.clone())),
                Standing::Revoked(how) => Err(Why::Revoked(signer.name.clone(), how)),
            }
        }
        Seal::X509(x509) => {
            let mut why = Why::Unknown("a certificate of Sigstore".to_owned());
            for signer in &signers.keys {
                let Key::X509 { identity, issuer } = &signer.key else { continue };
                match x509.verify(&means.sigstore, identity, issuer) {
                    Ok(()) => return Ok(signer),
                    Err(error) => why = Why::Broken(error),
                }
            }
            Err(why)
        }
    }
}

/// The signature of a commit, read.
pub(crate) fn sealed(commit: &Commit) -> Option<Result<Seal, Broken>> {
    let signature = commit.signature.as_ref()?;
    Some(Seal::read(signature, &commit.payload, PURPOSE_GIT))
}

/// What git's signatures are made for.
pub(super) const PURPOSE_GIT: &str = "git";
