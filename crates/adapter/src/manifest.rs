//! The adapter's manifest: TOML as it is written, and JSON in one spelling as it is hashed.

mod check;
mod error;
mod raw;

use claw_model::digest::Digest;
use claw_model::plane::Plane;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use error::ManifestError;

/// The file that a person writes.
pub const SOURCE: &str = "adapter.toml";

/// What a manifest's file names, by path: its content, or for the artefact its digest and size alone.
pub trait Sources {
    /// A document; `None` if there is no such file.
    fn document(&self, path: &str) -> Option<Vec<u8>>;
    /// Digest and size of a file of any size.
    fn artifact(&self, path: &str) -> Option<(Digest, u64)>;
}

/// What an adapter is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// What it is called: versions and releases are counted by it.
    pub id: String,
    /// For people.
    pub version: String,
    /// Rises with each release, and never falls.
    pub release: u64,
    /// How it runs.
    pub kind: Kind,
    /// What it is for.
    pub summary: String,
    /// What is run; absent for a remote one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// Where it is; of a remote one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Remote>,
    /// What it offers. A tool that is not listed does not exist.
    pub tools: Vec<Tool>,
    /// What it may reach.
    pub egress: Vec<Egress>,
    /// What is put into its requests outside. It never sees them.
    pub secrets: Vec<Secret>,
    /// What it is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom: Option<Named>,
    /// How it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Named>,
}

/// How an adapter runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A WASM component.
    Wasm,
    /// An executable in a sandbox of its own.
    Process,
    /// A server elsewhere, over pinned TLS.
    Remote,
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// The file, as the manifest names it.
    pub path: String,
    /// What it contains.
    pub digest: Digest,
    /// How many bytes.
    pub size: u64,
    /// What it is started with; of a process only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
}

/// A server elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// `https://HOST[:PORT]/PATH`.
    pub url: String,
    /// SHA-256 of the public keys (SPKI) that it may have.
    pub tls_pin: Vec<Digest>,
}

/// One tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// What a model calls it.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What a model reads of it.
    pub description: String,
    /// Of everything that a model reads of it: see [`definition`].
    pub definition: Digest,
    /// What it takes.
    pub input_schema: Named,
    /// What it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Named>,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub annotations: Map<String, Value>,
    /// What it does.
    pub effects: Vec<Effect>,
    /// The entries of `egress` that it needs.
    pub egress: Vec<String>,
    /// The entries of `secrets` that it needs.
    pub secrets: Vec<String>,
    /// Whether a person is asked.
    pub approval: Approval,
    /// `N/s`, `N/min`, `N/h`: how often it may be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// Bytes that it may answer.
    pub max_result_bytes: u64,
}

/// What a tool does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Reaches something outside.
    Network,
    /// Has a secret put into its requests.
    UseSecret,
    /// Reads files of the agent.
    Read,
    /// Writes files of the agent.
    Write,
    /// Changes something outside.
    ExternalWrite,
    /// Runs code that it is given.
    Execute,
    /// Costs money.
    Spend,
}

/// Whether a person is asked before a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Approval {
    /// Each time.
    Ask,
    /// Never.
    Never,
}

/// Something that it may reach: one rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// What tools call it.
    pub name: String,
    /// As in a policy.
    pub destination: String,
    /// As in a policy.
    pub plane: Plane,
    /// As in a policy.
    pub purpose: String,
    /// As in a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// As in a policy: `METHOD /path`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<String>,
}

/// A secret that is put into requests outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// What tools call it.
    pub name: String,
    /// The entry of `egress` whose requests it goes into, and no others.
    pub audience: String,
    /// The header that it becomes.
    pub header: String,
    /// What stands before it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

/// A file that the manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// As it is written.
    pub path: String,
    /// What it contains.
    pub digest: Digest,
}

/// Reads the file `adapter.toml` with everything that it names, and computes what it leaves to be computed.
pub fn manifest(text: &str, sources: &dyn Sources) -> Result<Manifest, ManifestError> {
    check::read(text, sources)
}

/// The one spelling of a manifest (RFC 8785): what is hashed.
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>, ManifestError> {
    serde_json_canonicalizer::to_vec(value).map_err(|error| ManifestError::Spelling(error.to_string()))
}

/// The digest of a tool's definition: everything that a model reads of it, its name too. What is absent is left out.
pub fn definition(
    (name, title, description): (&str, Option<&str>, &str),
    (input, output): (&Value, Option<&Value>),
    annotations: &Map<String, Value>,
) -> Result<Digest, ManifestError> {
    let mut map = Map::new();
    map.insert("name".to_owned(), name.into());
    map.insert("description".to_owned(), description.into());
    map.insert("inputSchema".to_owned(), input.clone());
    title.map(|title| map.insert("title".to_owned(), title.into()));
    output.map(|output| map.insert("outputSchema".to_owned(), output.clone()));
    if !annotations.is_empty() {
        map.insert("annotations".to_owned(), annotations.clone().into());
    }
    Ok(Digest::of(&canonical(&map)?))
}

impl Manifest {
    /// The paths of the documents that it names, each once.
    pub fn documents(&self) -> Vec<&Named> {
        let schemas =
            self.tools.iter().flat_map(|tool| std::iter::once(&tool.input_schema).chain(&tool.output_schema));
        let mut named: Vec<&Named> = schemas.chain(&self.sbom).chain(&self.provenance).collect();
        named.sort_by(|one, other| one.path.cmp(&other.path));
        named.dedup_by(|one, other| one.path == other.path);
        named
    }
}

/// The version of the manifest that is known.
pub(crate) const SCHEMA: &str = "claw.adapter/1";

#[cfg(test)]
mod tests;
