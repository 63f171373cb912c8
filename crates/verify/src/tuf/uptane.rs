//! Two repositories, as Uptane has them: people approve what exists, a director assigns what a node gets. Only what both
//! name alike is installed. Who steals the director can choose among what was approved; he cannot make, change or widen.

use serde_json::Value;

use crate::pack::PackError;
use crate::tuf::{Target, Trusted};

/// The target that both repositories name, if they name the same.
pub fn both(images: &mut Trusted, director: &mut Trusted, path: &str) -> Result<Target, PackError> {
    let approved = images.target(path)?;
    let assigned = director.target(path)?;
    let differs = |what| PackError::Disagree { name: path.to_owned(), what };
    if approved.length != assigned.length {
        return Err(differs("lengths"));
    }
    if approved.sha256().is_none() || approved.hashes != assigned.hashes {
        return Err(differs("digests"));
    }
    if described(&approved) != described(&assigned) {
        return Err(differs("descriptions"));
    }
    Ok(approved)
}

/// What is said of a target, but for the version that approved it first: each repository counts its own.
fn described(target: &Target) -> Option<Value> {
    let mut custom = target.custom.clone()?;
    if let Some(about) = custom.get_mut("claw").and_then(Value::as_object_mut) {
        about.remove("since");
    }
    Some(custom)
}
