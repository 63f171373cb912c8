//! The arguments of `claw keyring`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use claw_model::digest::Digest;
use jiff::Timestamp;

use super::named::Named;

#[derive(Debug, Args)]
#[command(
    after_help = "A keyring says who may approve, how many of them must, and what they approved and took back. Each change is a\ndraft with the next version; with enough signatures it is published. It is a TUF repository: metadata/ and targets/\ncan be served as they are."
)]
pub(crate) struct Keyring {
    #[command(subcommand)]
    pub(crate) command: KeyringCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyringCommand {
    /// Make a key: FILE, which only its owner may read, and FILE.pub
    #[command(after_help = "Example: claw keyring key ann.key")]
    Key {
        /// Where to; the files must not exist
        file: PathBuf,
        /// Which kind
        #[arg(long, value_name = "KIND", value_enum, default_value = "ed25519")]
        algorithm: KeyKind,
    },
    /// Begin a keyring; its holders sign it next
    #[command(
        after_help = "Example: claw keyring new release --holder ann=ann.key.pub --holder bo=bo.key.pub --holder cy=cy.key.pub --threshold 2"
    )]
    New {
        /// The directory; it must not exist
        directory: PathBuf,
        /// NAME=FILE with the public key of each holder
        #[arg(long = "holder", required = true, value_name = "NAME=FILE")]
        holders: Vec<Named>,
        /// How many of them must sign
        #[arg(long, value_name = "COUNT", default_value_t = 1)]
        threshold: usize,
        #[command(flatten)]
        term: TermArguments,
    },
    /// Draft a change of who may sign: another holder, another threshold
    #[command(
        after_help = "Example: claw keyring add release --holder dee=dee.key.pub --until 2027-01-01T00:00:00Z\n          claw keyring add release --threshold 3"
    )]
    Add {
        /// The keyring
        directory: PathBuf,
        /// NAME=FILE with the public key of a holder
        #[arg(long = "holder", value_name = "NAME=FILE")]
        holders: Vec<Named>,
        /// How many must sign
        #[arg(long, value_name = "COUNT")]
        threshold: Option<usize>,
        /// From when the holder's key counts
        #[arg(long, value_name = "TIME")]
        from: Option<Timestamp>,
        /// Until when the holder's key counts
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
        #[command(flatten)]
        term: TermArguments,
    },
    /// Draft an approval: exactly these bytes by this name
    #[command(
        after_help = "Examples: claw keyring approve release tool=./tool --release 4\n          claw keyring approve release tool.cdx.json=./tool.cdx.json --as sbom --of tool\n          claw keyring approve release tool.sigstore.json=./tool.sigstore.json --as bundle --of tool \\\n            --identity https://github.com/example/tool/.github/workflows/release.yml@refs/tags/v4 \\\n            --issuer https://token.actions.githubusercontent.com\n          claw keyring approve release trusted_root.json=./trusted_root.json --as trust-root"
    )]
    Approve {
        /// The keyring
        directory: PathBuf,
        /// NAME=PATH; an image layout is a directory
        #[arg(value_name = "NAME=PATH")]
        file: Named,
        /// What it is
        #[arg(long = "as", value_name = "KIND", value_enum, default_value = "artefact")]
        kind: ApprovedKind,
        /// To which artefact it belongs
        #[arg(long, value_name = "NAME")]
        of: Option<String>,
        /// Which release of its name
        #[arg(long, value_name = "NUMBER")]
        release: Option<u64>,
        /// Its media type
        #[arg(long, value_name = "TYPE")]
        media: Option<String>,
        /// With --as bundle: whom the certificate must name
        #[arg(long, requires = "issuer")]
        identity: Option<String>,
        /// With --as bundle: who must have known him
        #[arg(long, requires = "identity")]
        issuer: Option<String>,
        /// With --as bundle or envelope: the public key that must have signed
        #[arg(long, value_name = "FILE", conflicts_with = "identity")]
        by: Option<PathBuf>,
        #[command(flatten)]
        term: TermArguments,
    },
    /// Draft the end of an approval
    #[command(after_help = "Example: claw keyring withdraw release tool")]
    Withdraw {
        /// The keyring
        directory: PathBuf,
        /// The name
        name: String,
        #[command(flatten)]
        term: TermArguments,
    },
    /// Draft what is taken back: an artefact, a key, releases, an identity
    #[command(
        after_help = "Examples: claw keyring revoke release --artefact sha256:… --why \"writes outside its directory\"\n          claw keyring revoke release --key KEY --compromised --why \"laptop stolen\"\n          claw keyring revoke release --key KEY --retired-before 12 --why \"left the team\"\n\nA compromised key counts nowhere any more. A retired one keeps its word for what was approved before that version of\nthe approvals; with --log, for what stands before that index in the transparency log. A key of a holder is removed\nfrom the keyring by the same draft."
    )]
    Revoke {
        /// The keyring
        directory: PathBuf,
        #[command(flatten)]
        what: Revoked,
        /// Why
        #[arg(long)]
        why: String,
        #[command(flatten)]
        term: TermArguments,
    },
    /// Draft the same keyring for longer
    #[command(after_help = "Example: claw keyring renew release --days 365")]
    Renew {
        /// The keyring
        directory: PathBuf,
        #[command(flatten)]
        term: TermArguments,
    },
    /// Sign the drafts, publish what has enough signatures, and make the timestamp new
    #[command(
        after_help = "Example: claw keyring sign release --key ann.key --fresh 30\n\nWhat is signed is printed first. After --fresh days nobody believes this keyring without another signature: so a\nnode notices that it is kept from newer news."
    )]
    Sign {
        /// The keyring
        directory: PathBuf,
        /// The private key, as PKCS #8 in PEM
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// For how many days the timestamp holds
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        fresh: u16,
        /// The time, instead of the clock's
        #[arg(long, value_name = "TIME")]
        now: Option<Timestamp>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Say who may sign, what is approved, until when, and what waits for whom; exits 1 if it does not hold
    #[command(after_help = "Example: claw keyring verify release --root 1.root.json")]
    Verify {
        /// The keyring
        directory: PathBuf,
        /// The root that is pinned here; versions are remembered for it [default: the keyring's own first root]
        #[arg(long, value_name = "FILE")]
        root: Option<PathBuf>,
        /// The time, instead of the clock's
        #[arg(long, value_name = "TIME")]
        now: Option<Timestamp>,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
}

/// For how long.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct TermArguments {
    /// For how many days the change holds
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    pub(crate) days: u16,
    /// The time, instead of the clock's
    #[arg(long, value_name = "TIME")]
    pub(crate) now: Option<Timestamp>,
}

/// What is taken back: one of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Revoked {
    /// Exactly these bytes
    #[arg(long, value_name = "DIGEST", conflicts_with_all = ["key", "releases", "identity"])]
    pub(crate) artefact: Option<Digest>,
    /// A key, by its id
    #[arg(long, value_name = "ID", conflicts_with_all = ["releases", "identity"])]
    pub(crate) key: Option<String>,
    /// Somebody else may have the key
    #[arg(long, requires = "key", conflicts_with = "retired_before")]
    pub(crate) compromised: bool,
    /// What the compromised key signed and was found good
    #[arg(long, value_name = "DIGEST", requires = "compromised")]
    pub(crate) except: Vec<Digest>,
    /// The key's word holds before this version of the approvals
    #[arg(long, value_name = "VERSION", requires = "key")]
    pub(crate) retired_before: Option<u64>,
    /// It is an index of the transparency log
    #[arg(long, requires = "retired_before")]
    pub(crate) log: bool,
    /// Releases of a name: NAME=FIRST-LAST
    #[arg(long, value_name = "NAME=FIRST-LAST", conflicts_with = "identity")]
    pub(crate) releases: Option<String>,
    /// Whoever had this identity between --from and --until
    #[arg(long, requires_all = ["issuer", "from", "until"])]
    pub(crate) identity: Option<String>,
    /// Who says so
    #[arg(long, requires = "identity")]
    pub(crate) issuer: Option<String>,
    /// From when
    #[arg(long, value_name = "TIME", requires = "identity")]
    pub(crate) from: Option<Timestamp>,
    /// Until when
    #[arg(long, value_name = "TIME", requires = "identity")]
    pub(crate) until: Option<Timestamp>,
}

/// Kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyKind {
    /// RFC 8032
    Ed25519,
    /// ECDSA on P-256
    P256,
}

/// What is approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ApprovedKind {
    /// A file, or an image layout
    Artefact,
    /// A Sigstore bundle
    Bundle,
    /// A DSSE envelope
    Envelope,
    /// Where an artefact comes from
    Provenance,
    /// What an artefact is made of
    Sbom,
    /// Anything else that belongs to an artefact
    Other,
    /// Sigstore's trust root; its name is trusted_root.json
    TrustRoot,
}
