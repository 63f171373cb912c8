//! The threat model of one deployment: who talks to whom across which boundary, what could go wrong there, what answers it,
//! and which test proves that. Made from the policy, and from zones and an audit if they are given.

mod diagram;
mod draw;
mod escape;
mod kinds;
mod table;
mod write;

use claw_policy::Policy;
use serde::Serialize;

use crate::zones::Zones;

pub use diagram::{Diagram, Group, Host};
pub use escape::{markdown, mermaid, shown, xml};
pub use kinds::{Assumption, Boundary, Kind, Proof, Threat};
pub use table::PROOFS;

/// A threat model.
#[derive(Debug, Clone, Serialize)]
pub struct Model {
    /// What it is of.
    pub title: String,
    /// Who talks to whom.
    pub diagram: Diagram,
    /// What could go wrong, by boundary.
    pub threats: Vec<Threat>,
    /// What all of it rests on.
    pub assumptions: Vec<Assumption>,
}

/// A finding of `claw host audit` that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's name.
    pub id: String,
    /// The part of the host that it is about.
    pub area: String,
    /// What should be true.
    pub title: String,
    /// `fail` or `unknown`.
    pub status: String,
    /// What was seen.
    pub seen: String,
}

/// The file is not a report of `claw host audit --json`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// Not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// No list of outcomes in it.
    #[error("it holds no list `outcomes`")]
    Other,
}

impl Model {
    /// The threat model of this policy on a host with these zones and findings.
    pub fn of(policy: &Policy, zones: Option<&Zones>, audit: Option<&[Finding]>) -> Model {
        let title = policy.agent().unwrap_or("unnamed agent").to_owned();
        Model {
            diagram: Diagram::of(policy, zones, audit),
            threats: table::threats(policy, zones, audit),
            assumptions: kinds::assumptions(),
            title,
        }
    }

    /// The diagram as SVG, legible on light and dark.
    pub fn svg(&self) -> String {
        draw::svg(&self.title, &self.diagram)
    }

    /// The diagram as Mermaid source.
    pub fn mermaid(&self) -> String {
        write::mermaid(&self.diagram)
    }

    /// Everything as Markdown.
    pub fn markdown(&self) -> String {
        write::markdown(self)
    }

    /// Everything as text for a terminal.
    pub fn text(&self) -> String {
        write::text(self)
    }
}

/// What is not as it should be in a report of `claw host audit --json`.
pub fn findings(text: &str) -> Result<Vec<Finding>, AuditError> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| AuditError::Json(error.to_string()))?;
    let outcomes = value.get("outcomes").or_else(|| value.pointer("/report/outcomes"));
    let outcomes = outcomes.and_then(serde_json::Value::as_array).ok_or(AuditError::Other)?;
    let word = |one: &serde_json::Value, name: &str| {
        one.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    let all = outcomes.iter().map(|one| Finding {
        id: word(one, "id"),
        area: word(one, "area"),
        title: word(one, "title"),
        status: word(one, "status"),
        seen: word(one, "seen"),
    });
    Ok(all.filter(|finding| matches!(finding.status.as_str(), "fail" | "unknown")).collect())
}

#[cfg(test)]
mod tests;
