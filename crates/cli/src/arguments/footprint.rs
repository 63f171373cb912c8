//! The arguments of `claw footprint`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(
    after_help = "A footprint is made from ledgers, or from what `report --json` printed. Ledgers are verified while they are read:\na broken one gives no report and exit 1. Examples are in each command's help."
)]
pub(crate) struct Footprint {
    #[command(subcommand)]
    pub(crate) command: FootprintCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FootprintCommand {
    /// Tell what was reached for, by plane
    #[command(
        after_help = "Examples: claw footprint report run.jsonl\n          claw footprint report run.jsonl --html footprint.html\n          claw footprint report run.jsonl --policy agent_runtime.yaml --json"
    )]
    Report {
        /// Ledgers, or footprints as JSON
        #[arg(required = true, value_name = "LEDGER")]
        ledgers: Vec<PathBuf>,
        #[command(flatten)]
        form: ReportForm,
        /// Say of each flow what this policy says of it today
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        #[command(flatten)]
        reading: Reading,
    },
    /// Show two footprints side by side, by plane
    #[command(
        after_help = "Example: claw footprint compare claw.jsonl langchain.jsonl --html comparison.html"
    )]
    Compare {
        /// A ledger, or a footprint as JSON
        a: PathBuf,
        /// Another
        b: PathBuf,
        #[command(flatten)]
        form: ReportForm,
        #[command(flatten)]
        reading: Reading,
    },
    /// Tell what changed; exits 1 if something new is reached for
    #[command(
        after_help = "Examples: claw footprint diff old.json new.jsonl\n          claw footprint diff old.json new.jsonl --against agent_runtime.yaml --volume 3\n\nPaths are compared by their shape: ids do not count as new. With --against, the rules that are missing are\nprinted, and something that the policy refuses is exit 1 too, telemetry excepted."
    )]
    Diff {
        /// The footprint before: a ledger, or JSON
        old: PathBuf,
        /// The footprint after
        new: PathBuf,
        /// Say whether this policy still fits, and print the rules to add
        #[arg(long, value_name = "POLICY")]
        against: Option<PathBuf>,
        /// Tell volumes that changed by more than this factor, and count them as new
        #[arg(long, value_name = "FACTOR", value_parser = factor)]
        volume: Option<f64>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        reading: Reading,
    },
    /// Print the smallest policy that permits what was observed
    #[command(
        after_help = "Example: claw footprint suggest run.jsonl > agent_runtime.yaml\n\nTelemetry is left out and listed in comments. Fill in each purpose, then run `claw policy check`."
    )]
    Suggest {
        /// Ledgers, or footprints as JSON
        #[arg(required = true, value_name = "LEDGER")]
        ledgers: Vec<PathBuf>,
        /// Write parts of paths that look like ids as `*`
        #[arg(long)]
        generalise: bool,
        /// Permit telemetry too
        #[arg(long)]
        with_telemetry: bool,
        /// Print policy and what is left out as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        reading: Reading,
    },
}

/// How a report is printed.
#[derive(Debug, Args)]
pub(crate) struct ReportForm {
    /// Print as JSON
    #[arg(long, conflicts_with = "markdown")]
    pub(crate) json: bool,
    /// Print as Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
    /// Write one page that opens from disk and asks nobody for anything
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// How ledgers are read.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    /// Lay the catalogue files (*.yaml) of this directory over the one compiled in
    #[arg(long, value_name = "DIR")]
    pub(crate) catalog: Option<PathBuf>,
    /// Use a ledger whose chain is broken; the result is stamped
    #[arg(long)]
    pub(crate) unverified: bool,
}

fn factor(text: &str) -> Result<f64, String> {
    let factor: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if !(1.0..=1e9).contains(&factor) {
        return Err("must be at least 1".to_owned());
    }
    Ok(factor)
}
