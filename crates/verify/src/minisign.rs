//! minisign: one Ed25519 key signs one file and a comment. No identity, no log, no time that anyone vouches for.
//!
//! Only signatures of the file's digest (the default since minisign 0.10) are read, so that a file of any size is.

use std::io::{self, Read};

use claw_model::digest::{Digest, Sum};
use minisign_verify::{PublicKey, Signature};

use crate::{Error, Proof, Signer, Verified};

/// A minisign public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    key: PublicKey,
    id: String,
}

/// What a minisign signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The file.
    pub artifact: Digest,
    /// The comment that is signed as well. Its time is what the signer wrote.
    pub comment: String,
}

/// A file that could not be read, or that was not signed.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// Not read.
    #[error("the artefact cannot be read")]
    Read(#[source] io::Error),
    /// Not verified.
    #[error(transparent)]
    Refused(#[from] Error),
}

impl Key {
    /// Reads a `minisign.pub`: a comment and the key, or the key alone.
    pub fn read(text: &str) -> Result<Key, Error> {
        let unusable = |why: String| Error::Trust { what: "minisign key", why };
        let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let line = match lines.as_slice() {
            [line] => line,
            [comment, line] if comment.starts_with(UNTRUSTED) => line,
            _ => return Err(unusable("it is not a comment and a line".to_owned())),
        };
        let key = PublicKey::from_base64(line.trim()).map_err(|error| unusable(error.to_string()))?;
        let bytes = data_encoding::BASE64
            .decode(line.trim().as_bytes())
            .map_err(|error| unusable(error.to_string()))?;
        let mut number = bytes.get(2..10).unwrap_or_default().to_vec();
        number.reverse();
        Ok(Key { key, id: data_encoding::HEXUPPER.encode(&number) })
    }

    /// The number it has among minisign's keys. Whoever makes a key chooses it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Verifies a signature of what is left to read, in flat memory.
    pub fn verify(&self, signature: &str, reader: &mut dyn Read) -> Result<Verified<Signed>, Failed> {
        let malformed = |why: String| Error::Malformed { what: "minisign signature", why };
        let wrong = |why: String| Error::Signature { by: format!("minisign key {}", self.id), why };
        if signature.len() > LARGEST || signature.lines().count() != 4 || !signature.starts_with(UNTRUSTED) {
            return Err(malformed("it is not four lines that begin with a comment".to_owned()).into());
        }
        let signature = Signature::decode(signature).map_err(|error| malformed(error.to_string()))?;
        let mut verifier = self.key.verify_stream(&signature).map_err(|error| match error {
            minisign_verify::Error::UnsupportedLegacyMode => {
                let hint = "signatures of the digest are: sign with minisign 0.10 or newer, or with -H";
                Error::Unsupported { what: "form of signature", found: "of the whole file".to_owned(), hint }
            }
            error => Error::Stranger { who: "the key of the signature".to_owned(), why: error.to_string() },
        })?;
        let (mut sum, mut buffer) = (Sum::default(), vec![0; 1 << 18]);
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failed::Read(error)),
            };
            let part = buffer.get(..count).unwrap_or_default();
            verifier.update(part);
            sum.add(part);
        }
        verifier.finalize().map_err(|error| wrong(error.to_string()))?;
        let signed = Signed { artifact: sum.digest(), comment: signature.trusted_comment().to_owned() };
        Ok(Verified::new(signed, vec![Signer::Minisign(self.id.clone())], vec![Proof::Signature]))
    }
}

const UNTRUSTED: &str = "untrusted comment: ";
const LARGEST: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    // Of the documentation of minisign-verify (MIT): the file is `test`.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\nRUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\ntrusted comment: timestamp:1633700835\tfile:test\tprehashed\nwLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==\n";

    fn class(key: &str, signature: &str, file: &[u8]) -> Class {
        match Key::read(key).unwrap().verify(signature, &mut &*file).unwrap_err() {
            Failed::Refused(error) => error.class(),
            Failed::Read(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_signature_is_of_this_file_and_this_comment() {
        let verified = Key::read(KEY).unwrap().verify(SIGNATURE, &mut b"test".as_slice()).unwrap();
        assert_eq!(verified.signers(), [Signer::Minisign("E7620F1842B4E81F".into())]);
        assert_eq!(
            (verified.value().artifact, verified.proven()),
            (Digest::of(b"test"), [Proof::Signature].as_slice())
        );
        assert!(verified.value().comment.contains("file:test"));
        assert_eq!(class(KEY, SIGNATURE, b"Test"), Class::Signature);
        assert_eq!(class(KEY, &SIGNATURE.replace("file:test", "file:tesT"), b"test"), Class::Signature);
        assert_eq!(class(KEY, &SIGNATURE.replace("RUQf6", "RUQf7"), b"test"), Class::Signer);
        assert_eq!(class(KEY, &SIGNATURE.replace("RUQf6", "RWQf6"), b"test"), Class::Unsupported);
        assert_eq!(class(KEY, &format!("{SIGNATURE}more"), b"test"), Class::Input);
    }
}
