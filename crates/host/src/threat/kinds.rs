//! What a threat is made of, and what every answer to one assumes.

use serde::Serialize;

/// A boundary between parts that do not trust each other alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Boundary {
    /// Agent and init.
    Workload,
    /// Sandbox and kernel.
    Kernel,
    /// Sandbox and gate.
    Runtime,
    /// Supervisor and host, and who commands it.
    Management,
    /// Gate and controller.
    Controller,
    /// Gate and everything outside.
    Internet,
}

/// What kind of threat it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Being taken for somebody else.
    Spoofing,
    /// Changing what is not one's own.
    Tampering,
    /// Denying what one did.
    Repudiation,
    /// Learning, or telling, what is secret.
    Disclosure,
    /// Keeping others from working.
    Denial,
    /// Gaining rights.
    Elevation,
}

/// A test, by file and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// The file, from the repository's root.
    pub path: &'static str,
    /// The test's name.
    pub name: &'static str,
}

/// A threat and what answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Threat {
    /// Where.
    pub boundary: Boundary,
    /// What kind.
    pub kind: Kind,
    /// What could go wrong.
    pub threat: String,
    /// What answers it.
    pub control: String,
    /// What proves that; empty: nothing does, and `remains` says so.
    pub proofs: Vec<Proof>,
    /// What is left.
    pub remains: String,
}

/// Something that everything rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Assumption {
    /// What is taken for true.
    pub holds: &'static str,
    /// What fails when it is not.
    pub otherwise: &'static str,
}

impl Boundary {
    /// Every boundary, from the agent outwards.
    pub const ALL: [Boundary; 6] = [
        Boundary::Workload,
        Boundary::Kernel,
        Boundary::Runtime,
        Boundary::Management,
        Boundary::Controller,
        Boundary::Internet,
    ];

    /// Its sides.
    pub const fn sides(self) -> &'static str {
        match self {
            Boundary::Workload => "agent | init",
            Boundary::Kernel => "sandbox | kernel",
            Boundary::Runtime => "sandbox | gate and supervisor",
            Boundary::Management => "runtime | host and its management",
            Boundary::Controller => "gate | controller",
            Boundary::Internet => "gate | internet",
        }
    }
}

impl Kind {
    /// Every kind, in the order of their initials.
    pub const ALL: [Kind; 6] =
        [Kind::Spoofing, Kind::Tampering, Kind::Repudiation, Kind::Disclosure, Kind::Denial, Kind::Elevation];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Spoofing => "spoofing",
            Kind::Tampering => "tampering",
            Kind::Repudiation => "repudiation",
            Kind::Disclosure => "disclosure",
            Kind::Denial => "denial of service",
            Kind::Elevation => "elevation",
        }
    }
}

pub(super) fn assumptions() -> Vec<Assumption> {
    let one = |holds, otherwise| Assumption { holds, otherwise };
    vec![
        one("the host's kernel is not compromised", "every wall falls: it is the kernel that holds them"),
        one(
            "root on the host, and other processes of the same user, are not hostile",
            "they read and change policy, ledger and the gate's memory",
        ),
        one(
            "the hardware and its firmware are honest",
            "memory is read from outside, and no test of the kernel's would tell",
        ),
        one(
            "the processor's side channels are closed by the kernel's mitigations",
            "the agent may read what it cannot open",
        ),
        one(
            "the host is hardened and does not change between audits",
            "the way in is around claw, not through it: `claw host audit` states it for one moment",
        ),
        one(
            "the policy's author means what is written, and names few hosts",
            "data leaves by a host that was permitted",
        ),
        one(
            "permitted hosts do what is expected of them",
            "they forward, store or publish what they are sent",
        ),
        one(
            "the host's name servers tell the truth, or certificates are checked",
            "plain-text rules and rules without a check reach somebody else",
        ),
        one(
            "the host's clock is right to the day",
            "rules past their date still permit, and certificates past theirs are believed",
        ),
        one(
            "the program that runs is the one that was built",
            "everything above was said of another program; verify releases before they are installed",
        ),
    ]
}
