//! Export: our policy in the words of other tools, with every loss told.
//!
//! What is written never permits more than the policy does at this moment: a rule that the other format cannot say
//! narrowly is left out, what closes is cut out of what opens, and both are told. Words that change nothing about what
//! is permitted (a plane, a purpose, a date to come, how well a destination is checked) are told where they are lost.

use claw_model::phase::Phase;
use jiff::Timestamp;

use crate::format::Format;
use crate::loss::{Loss, LossKind};
use crate::policy::Policy;

mod agents;
mod aws;
mod clusters;
mod flow;
mod lists;
mod nft;
mod openshell;
mod text;

/// What an export gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The other tool's file.
    pub text: String,
    /// What it does not hold, by line of the policy.
    pub losses: Vec<Loss>,
}

impl Exported {
    /// Whether less is permitted than by the policy.
    pub fn permits_less(&self) -> bool {
        self.losses.iter().any(|loss| loss.kind == LossKind::LeftOut)
    }
}

/// The format is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{format}` is only read: no policy can be written in it")]
pub struct ExportError {
    /// The format asked for.
    pub format: Format,
}

/// Writes what a policy permits in one phase, as it stands now, in another tool's format.
pub fn export(
    policy: &Policy,
    format: Format,
    phase: Phase,
    now: Timestamp,
) -> Result<Exported, ExportError> {
    let asked = flow::Asked { policy, format, phase, now };
    let (text, mut losses) = match format {
        Format::K8s => clusters::k8s(&asked),
        Format::Cnp => clusters::cnp(&asked),
        Format::Cilium => clusters::cilium(&asked),
        Format::Calico => clusters::calico(&asked),
        Format::AwsSg => aws::group(&asked),
        Format::AwsNacl => aws::list(&asked),
        Format::Nft => nft::ruleset(&asked),
        Format::Nanoclaw => lists::nanoclaw(&asked),
        Format::Allowlist => lists::allowlist(&asked),
        Format::Compose => lists::compose(&asked),
        Format::Srt => agents::srt(&asked),
        Format::Codex => agents::codex(&asked),
        Format::Nono => agents::nono(&asked),
        Format::Sandlock => agents::sandlock(&asked),
        Format::Openshell => openshell::policy(&asked),
        Format::Seccomp => return Err(ExportError { format }),
    };
    losses.extend(files(policy, format));
    Ok(Exported { text, losses })
}

/// What formats that speak of files cannot say of them. A reviewed directory is not writable there.
fn files(policy: &Policy, format: Format) -> Vec<Loss> {
    let speaks =
        matches!(format, Format::Srt | Format::Codex | Format::Nono | Format::Sandlock | Format::Openshell);
    let Some(files) = policy.filesystem().filter(|_| speaks) else { return Vec::new() };
    let review = (!files.review.is_empty())
        .then(|| "`filesystem.review` is left out: nothing is kept for review there".to_owned());
    let root = files
        .root
        .is_some()
        .then(|| "`filesystem.root` is left out: the host's own system is shown there".to_owned());
    review.into_iter().chain(root).map(|what| Loss::left_out(1, what)).collect()
}

#[cfg(test)]
mod tests;
