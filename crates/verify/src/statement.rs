//! in-toto statements: what is said (the predicate) of what (the subjects).
//!
//! A statement proves nothing by itself. It is read from a payload that was verified.

use std::collections::BTreeMap;

use claw_model::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, json};

/// Statement, version 1.
pub const V1: &str = "https://in-toto.io/Statement/v1";
/// Statement, version 0.1: still what older provenance is written in.
pub const V01: &str = "https://in-toto.io/Statement/v0.1";

/// A statement of version 1 (or 0.1, which has the same shape).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`V1`] or [`V01`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// What it is about: at least one.
    pub subject: Vec<Subject>,
    /// What the predicate is.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What is said.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub predicate: Value,
}

/// A resource descriptor that stands as subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// What it is called; a name proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// What it is: algorithm to lower-case hex.
    pub digest: BTreeMap<String, String>,
    /// Base64 of small contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Where it was to be had.
    #[serde(default, rename = "downloadLocation", skip_serializing_if = "Option::is_none")]
    pub download_location: Option<String>,
    /// Its type.
    #[serde(default, rename = "mediaType", skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Anything.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, Value>,
}

/// Known of one artefact: made in one reading, or those that are known of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// SHA-256.
    pub sha256: Option<Digest>,
    /// SHA-384.
    pub sha384: Option<[u8; 48]>,
    /// SHA-512.
    pub sha512: Option<[u8; 64]>,
}

/// Digests of bytes that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// SHA-256.
    pub sha256: Digest,
    /// SHA-384, where it was asked for.
    pub sha384: Option<[u8; 48]>,
    /// SHA-512, where it was asked for.
    pub sha512: Option<[u8; 64]>,
}

impl From<&Digests> for Known {
    fn from(digests: &Digests) -> Known {
        Known { sha256: Some(digests.sha256), sha384: digests.sha384, sha512: digests.sha512 }
    }
}

impl Known {
    /// Only this one is known.
    pub fn sha256(digest: Digest) -> Known {
        Known { sha256: Some(digest), ..Known::default() }
    }

    /// Reads `sha256:HEX`, `sha384:HEX` or `sha512:HEX`.
    pub fn read(text: &str) -> Option<Known> {
        let (algorithm, hex) = text.split_once(':')?;
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).ok()?;
        let mut digests = Known::default();
        match algorithm {
            "sha256" => digests.sha256 = Some(Digest(bytes.try_into().ok()?)),
            "sha384" => digests.sha384 = Some(bytes.try_into().ok()?),
            "sha512" => digests.sha512 = Some(bytes.try_into().ok()?),
            _ => return None,
        }
        Some(digests)
    }

    /// One of them, with its algorithm: the shortest that is known.
    pub fn name(&self) -> String {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        match (self.sha256, self.sha384, self.sha512) {
            (Some(digest), _, _) => digest.to_string(),
            (None, Some(bytes), _) => format!("sha384:{}", hex(&bytes)),
            (None, None, Some(bytes)) => format!("sha512:{}", hex(&bytes)),
            (None, None, None) => "no digest".to_owned(),
        }
    }

    pub(crate) fn of(&self, algorithm: sigstore_types::HashAlgorithm) -> Option<Vec<u8>> {
        use sigstore_types::HashAlgorithm::{Sha2256, Sha2384, Sha2512};
        match algorithm {
            Sha2256 => self.sha256.map(|digest| digest.as_bytes().to_vec()),
            Sha2384 => self.sha384.map(|bytes| bytes.to_vec()),
            Sha2512 => self.sha512.map(|bytes| bytes.to_vec()),
            _ => None,
        }
    }
}

impl Statement {
    /// A statement of version 1 about one artefact.
    pub fn about(name: &str, sha256: Digest, predicate_type: &str, predicate: Value) -> Statement {
        let subject = Subject {
            name: Some(name.to_owned()),
            uri: None,
            digest: BTreeMap::from([("sha256".to_owned(), sha256.hex())]),
            content: None,
            download_location: None,
            media_type: None,
            annotations: BTreeMap::new(),
        };
        let (kind, predicate_type) = (V1.to_owned(), predicate_type.to_owned());
        Statement { kind, subject: vec![subject], predicate_type, predicate }
    }

    /// Reads a statement of version 1 or 0.1.
    pub fn read(bytes: &[u8]) -> Result<Statement, Error> {
        let statement: Statement = json::read(WHAT, bytes)?;
        if statement.kind != V1 && statement.kind != V01 {
            let hint = "in-toto statements of version 1 and 0.1 are";
            return Err(Error::Unsupported { what: "type of statement", found: statement.kind, hint });
        }
        if statement.subject.is_empty() {
            return Err(malformed("it has no subject"));
        }
        if statement.predicate_type.is_empty() {
            return Err(malformed("its predicate has no type"));
        }
        for subject in &statement.subject {
            if subject.digest.is_empty() {
                return Err(malformed("a subject has no digest"));
            }
        }
        Ok(statement)
    }

    /// As JSON.
    pub fn write(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|error| malformed(&error.to_string()))
    }

    /// The subject that is these bytes. Every digest of a subject that can be computed must be theirs, and one must be
    /// there: two digests of two files under one subject are no subject.
    pub fn subject<D: Into<Known>>(&self, of: D) -> Result<&Subject, Error> {
        let of = &of.into();
        let found = self.subject.iter().find(|subject| subject.is(of));
        found.ok_or_else(|| {
            let names: Vec<_> = self.subject.iter().take(3).map(Subject::title).collect();
            let why = format!("it has {} and the statement is of {}", of.name(), names.join(", "));
            Error::Artifact { why }
        })
    }
}

impl Subject {
    fn is(&self, of: &Known) -> bool {
        let mut known = false;
        for (algorithm, hex) in &self.digest {
            let own = match algorithm.as_str() {
                "sha256" => of.sha256.map(|digest| digest.hex()),
                "sha384" => of.sha384.map(|bytes| data_encoding::HEXLOWER.encode(&bytes)),
                "sha512" => of.sha512.map(|bytes| data_encoding::HEXLOWER.encode(&bytes)),
                _ => None,
            };
            match own {
                Some(own) if own == *hex => known = true,
                Some(_) => return false,
                None => {}
            }
        }
        known
    }

    fn title(&self) -> String {
        let digest = self.digest.iter().next().map(|(algorithm, hex)| format!("{algorithm}:{hex}"));
        let name = self.name.as_deref().unwrap_or("(no name)");
        format!("`{}` {}", name.escape_debug(), digest.unwrap_or_default().escape_debug())
    }
}

fn malformed(why: &str) -> Error {
    Error::Malformed { what: WHAT, why: why.to_owned() }
}

const WHAT: &str = "in-toto statement";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn code(text: &str) -> &'static str {
        Statement::read(text.as_bytes()).unwrap_err().code()
    }

    #[test]
    fn a_statement_survives_its_text() {
        let statement = Statement::about("a", Digest::of(b"a"), "https://example.com/p", Value::from(7));
        assert_eq!(Statement::read(statement.write().unwrap().as_bytes()), Ok(statement));
    }

    #[test]
    fn what_is_not_strictly_a_statement_is_refused() {
        let head = r#""_type":"https://in-toto.io/Statement/v1","predicateType":"p""#;
        assert_eq!(code(&format!(r#"{{{head},"subject":[]}}"#)), "malformed");
        assert_eq!(code(&format!(r#"{{{head},"subject":[{{"digest":{{}}}}]}}"#)), "malformed");
        assert_eq!(
            code(&format!(r#"{{{head},"subject":[{{"digest":{{"sha256":"00"}}}}],"x":1}}"#)),
            "malformed"
        );
        assert_eq!(code(&format!(r#"{{{head},{head},"subject":[]}}"#)), "key-twice");
        let other = r#"{"_type":"https://in-toto.io/Statement/v9","predicateType":"p","subject":[{"digest":{"sha256":"00"}}]}"#;
        assert_eq!(code(other), "unsupported");
    }

    #[test]
    fn every_digest_of_a_subject_must_be_the_artefacts() {
        let of = Known { sha256: Some(Digest::of(b"a")), sha384: None, sha512: Some([7; 64]) };
        let mut statement = Statement::about("a", Digest::of(b"a"), "p", Value::Null);
        assert!(statement.subject(of).is_ok());
        statement.subject[0].digest.insert("sha512".into(), "00".into());
        assert_eq!(statement.subject(of).unwrap_err().class(), Class::Artifact);
        statement.subject[0].digest.insert("sha512".into(), "07".repeat(64));
        assert!(statement.subject(of).is_ok());
        // A digest that is not known here proves nothing.
        statement.subject[0].digest = BTreeMap::from([("gitCommit".into(), "00".into())]);
        assert_eq!(statement.subject(of).unwrap_err().class(), Class::Artifact);
    }
}
