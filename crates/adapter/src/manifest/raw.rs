//! The manifest as it is written: strict TOML, each value with its place.

use serde::Deserialize;
use serde_json::{Map, Value};
use toml::Spanned;

use super::{Approval, Effect, Kind, ManifestError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) schema: Spanned<String>,
    pub(super) id: Spanned<String>,
    pub(super) version: Spanned<String>,
    pub(super) release: Spanned<u64>,
    pub(super) kind: Spanned<Kind>,
    pub(super) summary: Spanned<String>,
    pub(super) artifact: Option<Spanned<RawArtifact>>,
    pub(super) remote: Option<Spanned<RawRemote>>,
    pub(super) sbom: Option<Spanned<String>>,
    pub(super) provenance: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) tool: Vec<Spanned<RawTool>>,
    #[serde(default)]
    pub(super) egress: Vec<Spanned<RawEgress>>,
    #[serde(default)]
    pub(super) secret: Vec<Spanned<RawSecret>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawArtifact {
    pub(super) path: String,
    pub(super) digest: Option<String>,
    #[serde(default)]
    pub(super) arguments: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRemote {
    pub(super) url: String,
    pub(super) tls_pin: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTool {
    pub(super) name: String,
    pub(super) title: Option<String>,
    pub(super) description: String,
    pub(super) definition: Option<String>,
    pub(super) input_schema: String,
    pub(super) output_schema: Option<String>,
    #[serde(default)]
    pub(super) annotations: Map<String, Value>,
    pub(super) effects: Vec<Effect>,
    #[serde(default)]
    pub(super) egress: Vec<String>,
    #[serde(default)]
    pub(super) secrets: Vec<String>,
    pub(super) approval: Approval,
    pub(super) rate: Option<String>,
    pub(super) max_result_bytes: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEgress {
    pub(super) name: String,
    pub(super) destination: String,
    pub(super) plane: String,
    pub(super) purpose: String,
    pub(super) protocol: Option<String>,
    #[serde(default)]
    pub(super) http: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSecret {
    pub(super) name: String,
    pub(super) audience: String,
    pub(super) header: String,
    #[serde(default)]
    pub(super) prefix: String,
}

/// Reads the text.
pub(super) fn read(text: &str) -> Result<Raw, ManifestError> {
    if text.len() > crate::LARGEST {
        return Err(ManifestError::Large);
    }
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = line(text, start);
        ManifestError::Toml { line, why: with_nearest(error.message().trim()) }
    })
}

/// The line of a place, from 1.
pub(super) fn line(text: &str, start: usize) -> usize {
    let before = text.as_bytes().get(..start).unwrap_or_default();
    before.iter().filter(|&&byte| byte == b'\n').count().saturating_add(1)
}

/// "unknown field `x`, expected one of `a`, `b`": which of them was meant.
fn with_nearest(message: &str) -> String {
    let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let Some((word, known)) = words.split_first().filter(|_| message.starts_with("unknown ")) else {
        return message.to_owned();
    };
    match claw_model::nearest::nearest(word, known.iter().copied()) {
        Some(near) => format!("{message}; did you mean `{near}`?"),
        None => message.to_owned(),
    }
}
