//! Import: other tools' policies as ours, with every loss told.
//!
//! The meaning is carried over, never the spelling alone, and never widened: what ours cannot say is left out or
//! written as a comment, and told as a loss. The result is read back by our own parser before it is handed out.

use std::fmt;
use std::str::FromStr;

use crate::error::PolicyError;

mod allowlist;
mod k8s;
mod nanoclaw;
mod write;

/// A format that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// A Kubernetes NetworkPolicy, or its bare `egress` list.
    K8s,
    /// The annotated list: `destination`, `purpose`, `protocol`, `required`.
    Allowlist,
    /// `network_policy.egress` with `ip_block`, `ports` and `allowed_domains`.
    Nanoclaw,
}

/// What an import gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// A policy file that `Policy::parse` accepts.
    pub yaml: String,
    /// What could not be carried over, by line of the source.
    pub losses: Vec<Loss>,
}

/// Something the source said that the result does not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Loss {
    /// The line of the source.
    pub line: u32,
    /// What was lost.
    pub what: String,
}

/// The source could not be imported.
#[derive(Debug, Clone, thiserror::Error, miette::Diagnostic)]
pub enum ImportError {
    /// It cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Source(#[from] PolicyError),
    /// It has none of the keys the format has.
    #[error("`{name}` holds no {format} policy")]
    #[diagnostic(help("{format} is read from {}", format.looks()))]
    Nothing {
        /// The source's name.
        name: String,
        /// The format asked for.
        format: Format,
    },
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Format] = &[Format::K8s, Format::Allowlist, Format::Nanoclaw];

    /// The format's name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Format::K8s => "k8s",
            Format::Allowlist => "allowlist",
            Format::Nanoclaw => "nanoclaw",
        }
    }

    const fn looks(self) -> &'static str {
        match self {
            Format::K8s => {
                "a NetworkPolicy with `spec.egress`, or a file with `egress:` and rules indented below it"
            }
            Format::Allowlist => "a list whose items have `destination` and `purpose`",
            Format::Nanoclaw => "`network_policy:` with `egress:` or `allowed_domains:` indented below it",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The name is not one of a format that can be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a format that can be imported: k8s, allowlist, nanoclaw", text.escape_debug())]
pub struct FormatError {
    /// What was written.
    pub text: String,
}

impl FromStr for Format {
    type Err = FormatError;
    fn from_str(text: &str) -> Result<Self, FormatError> {
        let found = Format::ALL.iter().find(|format| format.as_str() == text);
        found.copied().ok_or_else(|| FormatError { text: text.to_owned() })
    }
}

/// Imports a policy written for another tool.
pub fn import(text: &str, name: &str, format: Format) -> Result<Imported, ImportError> {
    let read = match format {
        Format::K8s => k8s::read(text),
        Format::Allowlist => allowlist::read(text),
        Format::Nanoclaw => nanoclaw::read(text),
    };
    let draft = read.map_err(|problem| PolicyError::new(name, text, vec![problem]))?;
    match draft {
        Some(draft) => Ok(draft.write(name, format)),
        None => Err(ImportError::Nothing { name: name.to_owned(), format }),
    }
}

#[cfg(test)]
mod tests;
