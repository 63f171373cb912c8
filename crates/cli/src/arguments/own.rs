//! `claw doctor --self-verify`.

use std::path::PathBuf;

use clap::Args;

/// Which release the running program is asked to be.
#[derive(Debug, Args)]
pub(crate) struct Own {
    /// Check the running program against the signed manifest of its release
    #[arg(long)]
    pub(crate) self_verify: bool,
    /// With --self-verify: the manifest (`claw.manifest.json` of the release)
    #[arg(long, value_name = "FILE", requires_all = ["self_verify", "key"])]
    pub(crate) manifest: Option<PathBuf>,
    /// With --manifest: a public key that must have signed it (PEM); given several times, all must have
    #[arg(long, value_name = "FILE", requires = "manifest")]
    pub(crate) key: Vec<PathBuf>,
    /// With --manifest: the evidence that it stands in the log of releases (`claw.log.json`), whose head the same keys signed
    #[arg(long, value_name = "FILE", requires = "manifest")]
    pub(crate) log: Option<PathBuf>,
    /// With --manifest: refuse releases with a lower number
    #[arg(long, value_name = "NUMBER", requires = "manifest")]
    pub(crate) at_least: Option<u64>,
}
