//! The arguments of `claw bundle`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::named::Named;

#[derive(Debug, Args)]
#[command(
    after_help = "A pack is one file: artefacts, what vouches for them, what was taken back, and the metadata by which a node\njudges all that. It is verified from a root that the node pinned, never from what it carries."
)]
pub(crate) struct Bundle {
    #[command(subcommand)]
    pub(crate) command: BundleCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    /// Put approved artefacts, and all that belongs to them, into one file
    #[command(
        after_help = "Example: claw bundle pack --keyring release --out tool.tpack tool=./tool tool.cdx.json=./tool.cdx.json\n\nWhat is packed was approved with `claw keyring approve` and signed. The same approvals give the same bytes."
    )]
    Pack {
        /// The keyring, or a directory with a TUF repository in it (`metadata/`, `targets/`)
        #[arg(long, value_name = "DIR")]
        keyring: PathBuf,
        /// Where to write the pack; the file must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The root to begin with [default: metadata/1.root.json of the keyring]
        #[arg(long, value_name = "FILE")]
        root: Option<PathBuf>,
        /// The time, instead of the clock's
        #[arg(long, value_name = "TIME")]
        now: Option<Timestamp>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
        /// NAME=PATH of each artefact and of what belongs to it; an image layout is a directory
        #[arg(required = true, value_name = "NAME=PATH")]
        files: Vec<Named>,
    },
    /// Say whether a pack is to be believed, until when and on whose word; exits 1 if it is not
    #[command(
        after_help = "Examples: claw bundle verify tool.tpack --root 1.root.json\n          claw bundle verify tool.tpack --director assigned --director-root director.root.json\n\nNo network is asked. Versions that were verified are remembered in $XDG_STATE_HOME/claw/seen.json: nothing older is\naccepted after them. With --director, only what both repositories name alike is accepted."
    )]
    Verify {
        /// The pack
        pack: PathBuf,
        #[command(flatten)]
        trust: BundleTrust,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Verify a pack, and only then put its artefacts into a new directory
    #[command(
        after_help = "Example: claw bundle unpack tool.tpack --root 1.root.json --out tool\n\nThe directory is an OCI image layout; the artefacts stand in artefacts/ by name. It appears whole, or not at all."
    )]
    Unpack {
        /// The pack
        pack: PathBuf,
        /// Where to; the directory must not exist
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        #[command(flatten)]
        trust: BundleTrust,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
}

/// By what a pack is judged.
#[derive(Debug, Args)]
pub(crate) struct BundleTrust {
    /// The root that is pinned here [default: $XDG_CONFIG_HOME/claw/root.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
    /// The time, instead of the clock's; never before what was verified to have passed
    #[arg(long, value_name = "TIME")]
    pub(crate) now: Option<Timestamp>,
    /// The repository that assigns artefacts to this node: a directory with `metadata/`
    #[arg(long, value_name = "DIR", requires = "director_root")]
    pub(crate) director: Option<PathBuf>,
    /// The root that is pinned for it
    #[arg(long, value_name = "FILE", requires = "director")]
    pub(crate) director_root: Option<PathBuf>,
    /// Read no more than so many bytes of artefacts
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 40)]
    pub(crate) most: u64,
}
