//! Arguments of `claw adapter`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Adapter {
    #[command(subcommand)]
    pub(crate) command: AdapterCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdapterCommand {
    /// Make a directory with the skeleton of an adapter, to be filled in
    #[command(after_help = "Example: claw adapter new github --kind wasm")]
    New {
        /// What the adapter is called
        id: String,
        /// How it runs
        #[arg(long, value_name = "KIND", value_enum, default_value = "wasm")]
        kind: AdapterKind,
        /// Where to [default: a directory of its name]
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Pack an adapter's directory and sign it; or sign a package once more
    #[command(
        after_help = "Examples: claw adapter sign github --key release.pem --out github-1.4.2\n          claw adapter sign github-1.4.2 --key second.pem\n\nA package is an OCI image layout in a directory. The signature covers the adapter's manifest, every file that it names,\nand the definition of every tool."
    )]
    Sign {
        /// The adapter's directory, or a package
        directory: PathBuf,
        /// A private key (PKCS #8 in PEM, Ed25519 or P-256); may be given more than once
        #[arg(long, value_name = "KEY", required = true)]
        key: Vec<PathBuf>,
        /// Where the package is put; it must not exist
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Verify every byte of a package; exits 1 if it does not hold, and names the file
    #[command(after_help = "Example: claw adapter verify github-1.4.2 --keyring /etc/claw/adapter-keys.toml")]
    Verify {
        /// The package
        package: PathBuf,
        /// The keys that count, and how many of them must sign
        #[arg(long, value_name = "KEYRING")]
        keyring: PathBuf,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Verify a package and let it count on this machine; exits 1 if it does not hold or is older than one before
    #[command(
        after_help = "Example: claw adapter install github-1.4.2 --keyring /etc/claw/adapter-keys.toml"
    )]
    Install {
        /// The package
        package: PathBuf,
        /// The keys that count, and how many of them must sign
        #[arg(long, value_name = "KEYRING")]
        keyring: PathBuf,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// List the adapters that count on this machine; exits 1 if one is not there any more
    #[command(after_help = "Example: claw adapter list --json")]
    List {
        /// Print the list as JSON
        #[arg(long)]
        json: bool,
    },
}

/// How an adapter runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AdapterKind {
    /// A WASM component
    Wasm,
    /// An executable in a sandbox of its own
    Process,
    /// A server elsewhere, over pinned TLS
    Remote,
}
