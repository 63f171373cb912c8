//! Arguments of `claw policy sign` and `claw policy verify`.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples: claw policy sign agent_runtime.yaml --key release.pem --days 30\n          claw policy sign agent_runtime.yaml --key second.pem --add\n\nThe signature is written beside the policy, as FILE.sig.json. It covers the policy's bytes, its name, version and time,\nand every file that the policy names. `claw keyring key release.pem` makes a key."
)]
pub(crate) struct PolicySign {
    /// The policy file
    pub(crate) file: PathBuf,
    /// A private key (PKCS #8 in PEM, Ed25519 or P-256); may be given more than once
    #[arg(long, value_name = "KEY", required = true)]
    pub(crate) key: Vec<PathBuf>,
    /// Add to the signatures that are there, on their terms
    #[arg(long, conflicts_with_all = ["name", "version", "days", "expires", "not_before"])]
    pub(crate) add: bool,
    /// Sign as a holder of this keyring (its directory, or a root of it): the signature counts for no other. A directory
    /// must be of the root that is pinned, if one is
    #[arg(long, value_name = "KEYRING")]
    pub(crate) keyring: Option<PathBuf>,
    /// What the policy is called; versions are counted by name [default: its agent]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Its number [default: one more than the signature that is there says]
    #[arg(long, value_name = "N")]
    pub(crate) version: Option<u64>,
    /// For how many days from its begin it may be taken
    #[arg(long, value_name = "N", default_value = "90", conflicts_with = "expires")]
    pub(crate) days: u32,
    /// Until when it may be taken
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<Timestamp>,
    /// From when it may be taken [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) not_before: Option<Timestamp>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example: claw policy verify agent_runtime.yaml --keyring /etc/claw/policy-keys.toml --name reviewer\n\nNothing is changed: that a version is older than one that a run was let hold under is found out, and not remembered."
)]
pub(crate) struct PolicyVerify {
    /// The policy file
    pub(crate) file: PathBuf,
    /// The keys that count, and how many of them must sign
    #[arg(long, value_name = "KEYRING")]
    pub(crate) keyring: PathBuf,
    /// The name that it must be signed as [default: any]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
