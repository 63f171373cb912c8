//! The arguments of `claw gate`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Gate {
    #[command(subcommand)]
    pub(crate) command: GateCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GateCommand {
    /// Every commit of a range is signed by a key allowed for its paths and its place in the history
    Commits(Commits),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples: claw gate commits --allowed signers.toml origin/main..HEAD\n          claw gate commits --hook pre-receive < lines\n\nWithout --allowed, the file `.claw/allowed-signers.toml` of the commit where judging begins says who may sign.\nExit code 1 names each commit that is refused, why, who could mend it, and the command to do so."
)]
pub(crate) struct Commits {
    /// What is judged: `A..B` is all that B has and A has not, `B` is all of B's history
    #[arg(value_name = "RANGE", required_unless_present = "hook", conflicts_with = "hook")]
    pub(crate) range: Option<String>,
    /// The first allowed signers, kept outside the repository
    #[arg(long, value_name = "FILE")]
    pub(crate) allowed: Option<PathBuf>,
    /// A directory of the repository [default: this one, or what git tells its hooks]
    #[arg(long, value_name = "DIR")]
    pub(crate) repo: Option<PathBuf>,
    /// Judge nothing up to this commit; it is printed, and kept in --head
    #[arg(long, value_name = "COMMIT")]
    pub(crate) since: Vec<String>,
    /// A commit whose allowed signers hold beside those of the range, such as the main branch's
    #[arg(long, value_name = "COMMIT")]
    pub(crate) trusted: Vec<String>,
    /// Where the last clean commit is kept; it must stay part of the history
    #[arg(long, value_name = "FILE")]
    pub(crate) head: Option<PathBuf>,
    /// Read what git writes to this hook from standard input
    #[arg(long, value_name = "HOOK", value_enum)]
    pub(crate) hook: Option<HookName>,
    /// Read every file's content too, and recompute its id
    #[arg(long)]
    pub(crate) contents: bool,
    /// Sigstore's trusted root, for X.509 signatures [default: the public one, compiled in]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust_root: Option<PathBuf>,
    /// Write the findings as SARIF 2.1.0 into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) sarif: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A hook of git.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookName {
    /// On the server, before anything is taken
    PreReceive,
    /// On the client, before anything is sent
    PrePush,
}
