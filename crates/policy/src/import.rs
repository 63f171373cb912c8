//! Import: other tools' policies as ours, with every loss told.
//!
//! The meaning is carried over, never the spelling alone, and never widened: what ours cannot say is left out or
//! written as a comment, and told as a loss. The result is read back by our own parser before it is handed out.

use crate::error::PolicyError;
pub use crate::format::{Format, FormatError};
pub use crate::loss::{Loss, LossKind};
use crate::seccomp::{Architecture, CallProfile, Machine};

mod agents;
mod allowlist;
mod aws;
mod calico;
mod cilium;
mod cnp;
mod compose;
mod k8s;
mod nanoclaw;
mod nft;
mod openshell;
mod ordered;
mod ports;
mod toml;
mod tree;
pub(crate) mod write;

/// What an import gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// A policy file that `Policy::parse` accepts.
    pub yaml: String,
    /// What could not be carried over, by line of the source.
    pub losses: Vec<Loss>,
}

/// The source could not be imported.
#[derive(Debug, Clone, thiserror::Error, miette::Diagnostic)]
pub enum ImportError {
    /// It cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Source(#[from] PolicyError),
    /// A system call profile stays a file, and standard input has no name.
    #[error("a seccomp profile is named by its file, and standard input has no name")]
    #[diagnostic(help("write it to a file that stays beside the policy, and name that"))]
    Unnamed,
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

/// Imports a policy written for another tool.
pub fn import(text: &str, name: &str, format: Format) -> Result<Imported, ImportError> {
    let read = match format {
        Format::K8s => k8s::read(text),
        Format::Cnp => cnp::read(text),
        Format::Cilium => cilium::read(text),
        Format::Calico => calico::read(text),
        Format::AwsSg => aws::groups(text),
        Format::AwsNacl => aws::lists(text),
        Format::Nft => nft::read(text),
        Format::Allowlist => allowlist::read(text),
        Format::Nanoclaw => nanoclaw::read(text),
        Format::Srt => agents::srt(text),
        Format::Codex => agents::codex(text),
        Format::Nono => agents::nono(text),
        Format::Openshell => openshell::read(text),
        Format::Sandlock => agents::sandlock(text),
        Format::Compose => compose::read(text),
        Format::Seccomp => return seccomp(text, name),
    };
    let draft = read.map_err(|problem| PolicyError::new(name, text, vec![problem]))?;
    match draft {
        Some(draft) => Ok(draft.write(name, format)),
        None => Err(ImportError::Nothing { name: name.to_owned(), format }),
    }
}

/// An OCI seccomp profile is not carried over but named: it is the file itself that is enforced.
fn seccomp(text: &str, name: &str) -> Result<Imported, ImportError> {
    let machine = Machine { architecture: Architecture::X86_64, kernel: (6, 1) };
    CallProfile::parse(text, name, machine)?;
    if name == "-" {
        return Err(ImportError::Unnamed);
    }
    // a bare word would be read as the name of a built-in profile
    let file = if name.contains('/') { name.to_owned() } else { format!("./{name}") };
    let draft = write::Draft { seccomp: Some(file), ..write::Draft::default() };
    Ok(draft.write(name, Format::Seccomp))
}

#[cfg(test)]
mod tests;
