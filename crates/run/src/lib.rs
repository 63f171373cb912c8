//! The supervisor: plan, enforce, gate, init, ledger, exit. Everything that `claw run` does but reading arguments.

pub mod adapters;
pub mod audit;
pub mod changes;
mod confine;
pub mod control;
pub mod doctor;
mod executables;
mod exposed;
mod facts;
pub mod firewall;
mod ima;
mod image;
mod integrity;
mod ledger;
pub mod needs;
mod policies;
mod reader;
mod reread;
mod seen;
pub mod signed;
mod source;
mod supervisor;
#[cfg(debug_assertions)]
mod taken;
pub mod trust;

pub use claw_enforce::{Fresh, LaunchError};
pub use claw_gate::{Answers, Mode, Observe, Packages};
pub use exposed::ExposedError;
pub use facts::Host;
pub use image::RootError;
pub use ledger::LedgerError;
pub use seen::{Seen, SeenError, Version, rises};
pub use signed::{Demand, Held, SignedError};
pub use source::{Source, parse};
pub use supervisor::{Outcome, RunError, run};

use std::io::Read;
use std::path::{Path, PathBuf};

use claw_gate::{Authority, AuthorityError, Material, Roots, RootsError};
use claw_model::phase::Phase;
use claw_plan::{Checked, Fault, Inputs, RootTree, Trust};
use claw_policy::seccomp::{Architecture, CallProfile, Machine};
use claw_policy::{Policy, PolicyError, Seccomp};
use claw_verify::policy::Role;

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct Job {
    /// The policy.
    pub policy: Policy,
    /// The policy's file, if it came from one, or would have if it had been accepted.
    pub source: Option<Source>,
    /// The policy's signature, where the source demands one.
    pub held: Option<Held>,
    /// Tells the user what happens while the agent runs.
    pub tell: fn(&str),
    /// The phase to start in.
    pub phase: Phase,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Where to write the ledger; in Claw's state directory if not given.
    pub ledger: Option<PathBuf>,
    /// What the run is called.
    pub name: Option<String>,
    /// How it is observed, if it is. Its policy then has no rules: see [`Policy::without_rules`].
    pub observe: Option<Observe>,
}

impl Job {
    fn mode(&self) -> Option<Mode> {
        self.observe.as_ref().map(|observe| observe.mode)
    }
}

/// Why there is no sound plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The policy and this host do not fit.
    #[error(transparent)]
    Build(#[from] claw_plan::BuildError),
    /// A file that the policy names is not the one that was signed with it.
    #[error("the policy is signed, and {0}")]
    NotSigned(String),
    /// Certificates that the policy names cannot be used.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The seccomp profile that the policy names cannot be read.
    #[error("cannot read the seccomp profile `{path}`: {why}")]
    NoProfile {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The seccomp profile is wrong.
    #[error(transparent)]
    Profile(#[from] PolicyError),
    /// The list of digests cannot be read.
    #[error("cannot read the list of executables `{path}`: {why}")]
    NoList {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A file of the list is not what the list says.
    #[error("{entry}: `{path}` is listed as executable, but {why}")]
    Listed {
        /// Where it is listed.
        entry: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Nothing could be executed.
    #[error("the list of executables is empty: not even the agent could be started")]
    NothingListed,
    /// There is no table of system calls for this processor.
    #[error("there are no seccomp profiles for this processor; use `seccomp: standard`")]
    Processor,
    /// The run's own authority cannot be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The image that is to be the root cannot be used.
    #[error("cannot use the image layout `{}`", .layout.display())]
    Root {
        /// The layout.
        layout: PathBuf,
        /// Why not.
        #[source]
        source: Box<RootError>,
    },
    /// The plan was judged unsound.
    #[error("the plan is unsound: {}", list(.0))]
    Unsound(Vec<Fault>),
    /// The host could not be read.
    #[error("cannot read {what}")]
    Host {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Makes and judges the plan for a job on this host.
pub fn plan(job: &Job, host: &Host, authority: Option<&Authority>) -> Result<Checked, PlanError> {
    let mut facts = host.facts(job)?;
    facts.root = root(&job.policy, host)?;
    let trust = authority.map(trust);
    let held = job.held.as_ref();
    let calls = profile(&job.policy, &host.directory, held)?;
    let visible = claw_plan::shown(&job.policy, &facts)?;
    let executables = executables::listed(&job.policy, (&host.directory, held), &visible)?;
    let inputs = Inputs {
        policy: &job.policy,
        phase: job.phase,
        command: &job.command,
        trust: trust.as_ref(),
        calls: calls.as_ref(),
        executables: executables.as_deref(),
        catch_all: matches!(job.mode(), Some(Mode::Sink | Mode::Allow)),
        answers: job.mode() == Some(Mode::Allow),
        packages: job.observe.as_ref().is_some_and(|observe| observe.packages == Packages::Asked),
    };
    claw_plan::check(claw_plan::build(inputs, &facts)?).map_err(PlanError::Unsound)
}

/// The tree of the image that the policy names as root, unpacked if it is not yet.
fn root(policy: &Policy, host: &Host) -> Result<Option<RootTree>, PlanError> {
    let Some(root) = policy.filesystem().and_then(|files| files.root.as_ref()) else { return Ok(None) };
    let layout = host.directory.join(&root.layout);
    match image::prepare(&layout, &root.digest, &resolved(&host.state)) {
        Ok(tree) => Ok(Some(tree)),
        Err(source) => Err(PlanError::Root { layout: root.layout.clone(), source: Box::new(source) }),
    }
}

/// Where a path really is: what is read again later is the file that was read first.
pub fn resolved(path: &Path) -> PathBuf {
    facts::canonical(path)
}

/// The seccomp profile that the policy names, resolved for this machine; `None` for `standard`. Of a signed policy it must be
/// the one that was signed with it.
pub fn profile(
    policy: &Policy,
    directory: &Path,
    held: Option<&Held>,
) -> Result<Option<CallProfile>, PlanError> {
    let architecture = || match std::env::consts::ARCH {
        "x86_64" => Ok(Architecture::X86_64),
        "aarch64" => Ok(Architecture::Aarch64),
        _ => Err(PlanError::Processor),
    };
    let machine = || Ok::<_, PlanError>(Machine { architecture: architecture()?, kernel: kernel() });
    match &policy.process().seccomp {
        Seccomp::Standard => Ok(None),
        Seccomp::Nano => Ok(Some(CallProfile::nano(machine()?)?)),
        Seccomp::File(path) => {
            let failed = |why: String| PlanError::NoProfile { path: path.clone(), why };
            let mut bytes = Vec::new();
            let read = source::open(&directory.join(path))
                .and_then(|file| file.take(LARGEST_PROFILE).read_to_end(&mut bytes));
            let length = read.map_err(|error| failed(error.to_string()))?;
            if u64::try_from(length).is_ok_and(|length| length >= LARGEST_PROFILE) {
                return Err(failed("it is larger than 4 MiB".to_owned()));
            }
            as_signed(held, Role::Seccomp, path, &bytes)?;
            let text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".to_owned()))?;
            Ok(Some(CallProfile::parse(&text, &path.display().to_string(), machine()?)?))
        }
    }
}

/// What is read is what was signed.
fn as_signed(held: Option<&Held>, role: Role, path: &Path, content: &[u8]) -> Result<(), PlanError> {
    held.map_or(Ok(()), |held| held.holds(role, path, content)).map_err(PlanError::NotSigned)
}

/// Major and minor number of the kernel.
fn kernel() -> (u32, u32) {
    let release = claw_sys::process::kernel_release();
    let mut numbers =
        release.split(|character: char| !character.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

const LARGEST_PROFILE: u64 = 4 << 20;

/// The authority that signs for hosts inside, if some rule makes the gate end TLS; and what the policy says of whom to
/// believe outside must be usable.
/// So it is where what an observed run opens is accepted here.
pub fn authority(job: &Job) -> Result<(Option<Authority>, Roots), PlanError> {
    let material = Material::read(&job.policy)?;
    for (path, content) in &material.files {
        as_signed(job.held.as_ref(), Role::Certificates, path, content)?;
    }
    let roots = Roots::made(&job.policy, &material)?;
    let ends_tls = job.policy.ends_tls() || job.mode() == Some(Mode::Sink);
    let authority = if ends_tls { Some(Authority::new()?) } else { None };
    Ok((authority, roots))
}

/// What the trust stores inside are made of.
fn trust(authority: &Authority) -> Trust {
    let places: Vec<PathBuf> = BUNDLES.iter().map(PathBuf::from).filter(|place| place.is_file()).collect();
    let system = places.iter().find_map(|place| std::fs::read_to_string(place).ok()).unwrap_or_default();
    let java_places: Vec<PathBuf> = JAVA.iter().map(PathBuf::from).filter(|place| place.is_file()).collect();
    let java = match java_places.is_empty() {
        true => String::new(),
        false => claw_gate::java_store(&format!("{system}\n{}", authority.pem())),
    };
    Trust { authority: authority.pem().to_owned(), system, places, java, java_places }
}

/// Where distributions keep the bundle of certificates that programs trust.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Where distributions keep what Java trusts.
const JAVA: &[&str] =
    &["/etc/ssl/certs/java/cacerts", "/etc/pki/ca-trust/extracted/java/cacerts", "/etc/pki/java/cacerts"];

fn list(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
