//! One check: what it asks, why that matters where agents run, how to mend it, and how it judges.

use serde::Serialize;

use crate::facts::Facts;

/// A question about the host.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name, which never changes.
    pub id: &'static str,
    /// Where it belongs.
    pub area: Area,
    /// How much a failure matters.
    pub severity: Severity,
    /// What is true of a host that passes.
    pub title: &'static str,
    /// What is read.
    pub reads: &'static str,
    /// What a failure means where agents run.
    pub meaning: &'static str,
    /// The command that mends it.
    pub mend: &'static str,
    /// Where it is explained.
    pub reference: &'static str,
    /// Judges; reads nothing but its argument.
    pub judge: fn(&Facts) -> Verdict,
}

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it should be, and this was seen.
    Pass(String),
    /// It is not.
    Fail {
        /// What was seen.
        seen: String,
        /// The command for what was seen, where it differs from the check's own.
        mend: Option<String>,
    },
    /// It could not be judged, and this is why.
    Unknown(String),
    /// There is nothing to judge, and this is why.
    Inapplicable(String),
}

/// A part of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// How people and other machines command the host.
    Management,
    /// Where Claw and the host touch.
    Runtime,
    /// What an ordinary process may ask of the kernel.
    Privilege,
    /// What the kernel holds against what gets through.
    Kernel,
    /// Who reaches whom.
    Network,
    /// What is stored, and how it is mounted.
    Disks,
    /// Who may do what.
    Accounts,
    /// Time, logs, updates, and where the host itself runs.
    Operations,
}

/// How much a failure matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// One obstacle fewer.
    Low,
    /// It makes another weakness worse.
    Medium,
    /// A way from an agent to the host, or into it, that needs one more step.
    High,
    /// A way that needs none.
    Critical,
}

impl Area {
    /// Every area, in the order of reports.
    pub const ALL: [Area; 8] = [
        Area::Management,
        Area::Runtime,
        Area::Privilege,
        Area::Kernel,
        Area::Network,
        Area::Disks,
        Area::Accounts,
        Area::Operations,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Area::Management => "management",
            Area::Runtime => "runtime",
            Area::Privilege => "privilege",
            Area::Kernel => "kernel",
            Area::Network => "network",
            Area::Disks => "disks",
            Area::Accounts => "accounts",
            Area::Operations => "operations",
        }
    }
}

impl Severity {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// What it weighs in the score of an area.
    pub fn weight(self) -> u32 {
        match self {
            Severity::Low => 1,
            Severity::Medium => 3,
            Severity::High => 7,
            Severity::Critical => 15,
        }
    }
}

impl Verdict {
    /// A failure that the check's own command mends.
    pub fn fail(seen: impl Into<String>) -> Verdict {
        Verdict::Fail { seen: seen.into(), mend: None }
    }

    /// A failure with a command of its own.
    pub fn fail_with(seen: impl Into<String>, mend: impl Into<String>) -> Verdict {
        Verdict::Fail { seen: seen.into(), mend: Some(mend.into()) }
    }
}
