//! `claw verify`.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Verify {
    /// The file, an image layout (a directory), or a digest (`sha256:…`, `sha512:…`)
    pub(crate) artifact: String,
    /// A signature: Sigstore bundle, DSSE envelope, SSH or minisign signature, or base64; as often as there are. Not for a layout, which
    /// has its own
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Vec<PathBuf>,
    /// A trusted_root.json [default: the public-good instance's, compiled in]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust_root: Option<PathBuf>,
    /// Who must have signed, by the certificate; one of them, if there are more. `*` stands for anything but `/` and `@`, `**` for anything
    #[arg(long, value_name = "NAME", requires = "issuer", conflicts_with_all = ["key", "allowed_signers"])]
    pub(crate) identity: Vec<String>,
    /// Who must vouch for the identity
    #[arg(long, value_name = "URL", requires = "identity")]
    pub(crate) issuer: Option<String>,
    /// A public key (PEM, or minisign). With more than one, a signature by any of them holds; that more must have signed is `--threshold`
    #[arg(long, value_name = "FILE", conflicts_with = "allowed_signers")]
    pub(crate) key: Vec<PathBuf>,
    /// A list of SSH keys that may sign (ssh-keygen(1), ALLOWED SIGNERS)
    #[arg(long, value_name = "FILE")]
    pub(crate) allowed_signers: Option<PathBuf>,
    /// Who of the list must have signed
    #[arg(long, value_name = "NAME", requires = "allowed_signers")]
    pub(crate) principal: Option<String>,
    /// What an SSH signature must be for [default: file]
    #[arg(long, value_name = "NAME", requires = "allowed_signers")]
    pub(crate) namespace: Option<String>,
    /// Where it must come from: builder, source, parameters, level (YAML or JSON)
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// So many different signers are enough [default: every bundle must hold]
    #[arg(long, value_name = "K")]
    pub(crate) threshold: Option<usize>,
    /// Of a layout: the manifest with this tag
    #[arg(long, conflicts_with = "digest")]
    pub(crate) tag: Option<String>,
    /// Of a layout: this manifest
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<claw_model::digest::Digest>,
    /// The time to judge by [default: the clock's]
    #[arg(long, value_name = "TIME")]
    pub(crate) now: Option<Timestamp>,
    /// A time that was verified before: an earlier clock is not believed
    #[arg(long, value_name = "TIME")]
    pub(crate) floor: Option<Timestamp>,
    /// Print the answer as one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

const EXAMPLES: &str = "Examples:
  claw verify app.tgz --bundle app.sigstore.json --issuer https://token.actions.githubusercontent.com \\
       --identity 'https://github.com/you/app/.github/workflows/release.yml@refs/tags/*' --policy from.yaml
  claw verify app.tgz --bundle a.json --bundle b.json --key a.pub --key b.pub --threshold 2
  claw verify app.tgz --bundle app.tgz.sig --allowed-signers signers --principal you@example.com
  claw verify ./layout --tag v1 --key cosign.pub

Nothing is fetched. Exit codes: 0 it holds; 1 it does not; 2 a key, trust root or policy is unusable.";
