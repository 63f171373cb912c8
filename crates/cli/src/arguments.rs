//! The command line as types.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use claw_model::phase::Phase;
use claw_policy::import::Format;
use claw_run::Answers;

pub(crate) use adapter::{Adapter, AdapterCommand, AdapterKind};
pub(crate) use bundle::{Bundle, BundleCommand, BundleTrust};
pub(crate) use footprint::{Footprint, FootprintCommand, Reading, ReportForm};
pub(crate) use gate::{Commits, Gate, GateCommand};
pub(crate) use keyring::{ApprovedKind, KeyKind, Keyring, KeyringCommand, Revoked, TermArguments};
pub(crate) use named::Named;
pub(crate) use own::Own;
pub(crate) use sign::{PolicySign, PolicyVerify};
pub(crate) use verify::Verify;

mod adapter;
mod bundle;
mod footprint;
mod format;
pub(crate) mod gate;
mod keyring;
mod named;
mod own;
mod sign;
mod verify;

/// Runs any agent with nothing open but what its policy names.
#[derive(Debug, Parser)]
#[command(name = "claw", version, about, after_help = CODES)]
pub(crate) struct Claw {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const CODES: &str = "Exit codes: 0 done; 1 the answer is no; 2 unusable input; 125 the sandbox could not be built and nothing was run.\n`claw run` passes the agent's own code through (126 and 127 as a shell does, 128+N for a signal). So does `claw observe`.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command in a sandbox that reaches only what its policy names
    Run(Run),
    /// Learn what a command reaches for; by default not one byte leaves
    Observe(Observe),
    /// Check, explain, compare, merge, import, export, sign and trust policy files
    Policy(Policy),
    /// Show, follow and verify ledgers
    Ledger(Ledger),
    /// Is it what was signed, by whom, when, and built from what: offline
    Verify(Box<Verify>),
    /// What an agent reached for: report, compare, diff, suggest a policy
    Footprint(Footprint),
    /// Let another phase begin in a run that goes on
    Phase(PhaseChange),
    /// Show the runs that go on: their flows by plane, and what they were denied
    Top(Top),
    /// Review, apply or discard what an agent wrote
    Changes(Changes),
    /// Carry artefacts with all that proves them to a machine without a network, in one file
    Bundle(Bundle),
    /// Keep who may approve artefacts, what they approved, and what they took back
    Keyring(Keyring),
    /// Signed tool adapters: make, sign, verify, install, list
    Adapter(Adapter),
    /// Judge what is about to be taken: the commits of a range
    Gate(Gate),
    /// Tell what this kernel can enforce, what a missing feature costs, and how to get it
    Doctor(Doctor),
    /// The host as a trust zone
    Host(Host),
    /// Draw who talks to whom under a policy, and tell what answers each threat and which test proves it
    ThreatModel(ThreatModel),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example: claw completions bash > ~/.local/share/bash-completion/completions/claw"
    )]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the manual pages into a directory
    #[command(after_help = "Example: claw man /usr/local/share/man/man1")]
    Man {
        /// Where to
        directory: PathBuf,
    },
}

/// What was asked for; ends the process if it makes no sense, or asks for help.
pub(crate) fn parsed() -> Command {
    quick(std::env::args_os().skip(1)).unwrap_or_else(|| Claw::parse().command)
}

/// `claw run` without the other commands, whose descriptions cost more to build than a sandbox's namespaces. `None` is left
/// to the whole command line to judge.
fn quick(mut words: impl Iterator<Item = std::ffi::OsString>) -> Option<Command> {
    let run = words.next().filter(|word| word == "run")?;
    let command = Run::augment_args(clap::Command::new("run"));
    let matches = command.try_get_matches_from(std::iter::once(run).chain(words)).ok()?;
    Run::from_arg_matches(&matches).ok().map(Command::Run)
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples: claw run --policy agent_runtime.yaml -- ./agent.sh\n          claw run --policy agent_runtime.yaml --require-signed /etc/claw/policy-keys.toml -- ./agent.sh\n\nWithout --policy, ./agent_runtime.yaml is used if its content was accepted with `claw policy trust`; else nothing leaves."
)]
pub(crate) struct Run {
    /// The policy file
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Run only under a policy that keys of this file or keyring signed, now and whenever it changes
    #[arg(long, value_name = "KEYRING")]
    pub(crate) require_signed: Option<PathBuf>,
    /// The name that the policy must be signed as [default: any]
    #[arg(long, value_name = "NAME", requires = "require_signed")]
    pub(crate) signed_as: Option<String>,
    /// Where to write the ledger; the file must not exist [default: a new file in $XDG_STATE_HOME/claw/runs]
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,
    /// What to call the run [default: its time and process]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Which phase's rules hold
    #[arg(long, value_name = "PHASE", default_value = "workload")]
    pub(crate) phase: Phase,
    /// Print the plan and run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the result (or the plan) as JSON: the plan on standard output, the result on standard error
    #[arg(long)]
    pub(crate) json: bool,
    /// Say nothing at the end
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples: claw observe --ledger run.jsonl -- python3 agent.py\n          claw observe --answer openai,index -- python3 agent.py\n\nModes:\n  deny   everything is refused and written down, as `claw run` does without a policy\n  sink   every name resolves, every connection is accepted by Claw itself and written down; HTTP gets 503\n  allow  what goes to a public address is let through and written down; needs --danger-open\n\nThe exit code is the command's own."
)]
pub(crate) struct Observe {
    /// What to do with what it reaches for
    #[arg(long, value_name = "MODE", value_enum, default_value = "sink")]
    pub(crate) mode: ObserveMode,
    /// With --mode sink: play these parts, so that a run goes further: openai, anthropic, gemini, index, or all
    #[arg(long, value_name = "LIST", value_parser = Answers::from_str)]
    pub(crate) answer: Option<Answers>,
    /// With --mode allow: yes, let this command talk to the internet as it likes
    #[arg(long)]
    pub(crate) danger_open: bool,
    /// Do not ask Python and Node programs themselves which of their packages opens a connection
    #[arg(long)]
    pub(crate) no_packages: bool,
    /// A policy for file system, process and environment; its rules name planes and open nothing
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Where to write the ledger; the file must not exist [default: a new file in $XDG_STATE_HOME/claw/runs]
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,
    /// What to call the run [default: its time and process]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Print the result as JSON, on standard error
    #[arg(long)]
    pub(crate) json: bool,
    /// Say nothing at the end
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// What is done with what an observed run reaches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ObserveMode {
    /// Refused
    Deny,
    /// Accepted by Claw itself
    Sink,
    /// Let through to public addresses
    Allow,
}

#[derive(Debug, Args)]
pub(crate) struct Policy {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Parse and lint a policy; exits 1 if there are findings
    #[command(
        after_help = "Examples: claw policy check agent_runtime.yaml\n          claw policy check agent_runtime.yaml --ledger run.jsonl --fail-on note"
    )]
    Check {
        /// The policy file
        file: PathBuf,
        /// Name the rules, too, that no record of this ledger was allowed by (note)
        #[arg(long, value_name = "LEDGER")]
        ledger: Option<PathBuf>,
        /// Print findings as JSON
        #[arg(long)]
        json: bool,
        /// Which findings make the exit code 1
        #[arg(long, value_name = "SEVERITY", default_value = "warning")]
        fail_on: FailOn,
    },
    /// Name the rule and line that decide about a destination; exits 1 if it is denied
    #[command(
        after_help = "Example: claw policy why agent_runtime.yaml api.openai.com:443 --method POST --path /v1/responses"
    )]
    Why {
        /// The policy file
        file: PathBuf,
        /// HOST:PORT, or HOST:PORT/udp
        destination: String,
        /// In which phase
        #[arg(long, value_name = "PHASE", default_value = "workload")]
        phase: Phase,
        /// Ask about an HTTP request with this method
        #[arg(long, requires = "path")]
        method: Option<String>,
        /// Ask about an HTTP request to this path
        #[arg(long, requires = "method")]
        path: Option<String>,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell what another policy lets through that one did not, and what it no longer does; exits 1 if anything is new
    #[command(
        after_help = "Examples: claw policy diff main.yaml agent_runtime.yaml\n          claw policy diff agent_runtime.yaml deployed.yaml --format k8s\n\nBoth are compared as sets of destinations and requests, not as text, and exactly. Each difference has a witness,\nwhich `claw policy why` answers differently for the two.\n\nExit codes: 0 nothing new can be reached (less may be); 1 something new can; 2 unusable input."
    )]
    Diff {
        /// The policy before
        old: PathBuf,
        /// The policy after
        new: PathBuf,
        /// NEW is written in another format, as for `import`
        #[arg(long, value_name = "NAME", value_parser = format::read())]
        format: Option<Format>,
        /// Compare this phase only
        #[arg(long, value_name = "PHASE")]
        phase: Option<Phase>,
        /// Which differences make the exit code 1
        #[arg(long, value_name = "KIND", default_value = "new")]
        fail_on: DiffFailOn,
        /// Print the differences as JSON
        #[arg(long)]
        json: bool,
    },
    /// Put policies together as one; exits 1 on conflicts, or if a side loses what no deny rule closes
    #[command(
        after_help = "Example: claw policy merge base.yaml team.yaml --out agent_runtime.yaml\n\nThe result lets through what some side lets through, but for what any side's deny or never closes. Comments say where\neach rule comes from. An existing file is never overwritten."
    )]
    Merge {
        /// The policy files
        #[arg(required = true, num_args = 2..)]
        files: Vec<PathBuf>,
        /// Where to write the result [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Print policy, notes and conflicts as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of the policy file, for editors
    #[command(after_help = "Example: claw policy schema > agent_runtime.schema.json")]
    Schema,
    /// Turn another format into a policy file; exits 1 if something had to be left out
    #[command(
        after_help = "Examples: claw policy import --format k8s networkpolicy.yaml > agent_runtime.yaml\n          nft -j list ruleset | claw policy import --format nft -\n\nNothing is ever widened; what cannot be said is left out or written as a comment, and told with its line."
    )]
    Import {
        /// The format
        #[arg(long, value_name = "NAME", value_parser = format::read())]
        format: Format,
        /// Make every loss an error: print no policy
        #[arg(long)]
        strict: bool,
        /// Print policy and losses as JSON
        #[arg(long)]
        json: bool,
        /// The file, or - for standard input
        file: PathBuf,
    },
    /// Write what a policy permits in another format; exits 1 if it had to permit less
    #[command(
        after_help = "Examples: claw policy export --format cilium agent_runtime.yaml > cilium.yaml\n          claw policy export --format nft agent_runtime.yaml | nft -f -\n\nNever more than the policy permits: what the format cannot say narrowly is left out, and told with its line."
    )]
    Export {
        /// The format
        #[arg(long, value_name = "NAME", value_parser = format::written())]
        format: Format,
        /// Whose rules: other formats have no phases
        #[arg(long, value_name = "PHASE", default_value = "workload")]
        phase: Phase,
        /// Make every loss an error: write nothing
        #[arg(long)]
        strict: bool,
        /// Print the text and the losses as JSON
        #[arg(long)]
        json: bool,
        /// The policy file
        file: PathBuf,
    },
    /// Sign a policy, with the files that it names, beside it
    Sign(PolicySign),
    /// Tell whose word a policy is, which version, and until when; exits 1 if it does not hold
    Verify(PolicyVerify),
    /// Accept the content of a policy file, so that `claw run` uses it from its directory without --policy
    #[command(after_help = "Example: claw policy trust ./agent_runtime.yaml")]
    Trust {
        /// The policy file
        #[arg(default_value = "agent_runtime.yaml")]
        file: PathBuf,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which findings count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Any finding.
    Note,
    /// Warnings and errors.
    Warning,
    /// Errors only.
    Error,
}

/// Which differences count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiffFailOn {
    /// What can be reached and could not be.
    New,
    /// Also what is let through on weaker terms, and promises that are taken back.
    Widened,
    /// Any difference.
    Changed,
}

#[derive(Debug, Args)]
pub(crate) struct Ledger {
    #[command(subcommand)]
    pub(crate) command: LedgerCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Print a ledger, a line for each record
    #[command(after_help = "Example: claw ledger show run.jsonl")]
    Show {
        /// The ledger file
        ledger: PathBuf,
        /// Print what was reached and refused instead
        #[arg(long)]
        summary: bool,
        /// Print the records as they are (JSON Lines), or the summary as one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Print the records that are there, then new ones as they come, until the run ends
    #[command(
        after_help = "Examples: claw ledger tail nightly\n          claw ledger tail run.jsonl\n\nOn a terminal, a table as wide as it is (or as COLUMNS says); elsewhere, a line for each record."
    )]
    Tail {
        /// The ledger file, or the name of a run that goes on
        #[arg(value_name = "LEDGER|RUN")]
        ledger: PathBuf,
        /// Print a table even where standard output is not a terminal
        #[arg(long, conflicts_with = "json")]
        table: bool,
        /// Print the records as they are (JSON Lines)
        #[arg(long)]
        json: bool,
    },
    /// Check the hash chain; names the first broken record and exits 1
    #[command(after_help = "Example: claw ledger verify run.jsonl --head sha256:…")]
    Verify {
        /// The ledger file
        ledger: PathBuf,
        /// The digest that the last record must have
        #[arg(long, value_name = "DIGEST")]
        head: Option<claw_model::digest::Digest>,
        /// Print the verdict as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example: claw phase workload --run nightly\n\nThe rules of the other phase hold from one decision to the next; flows that they do not permit are closed."
)]
pub(crate) struct PhaseChange {
    /// Which phase is to begin
    #[arg(value_name = "PHASE")]
    pub(crate) to: Phase,
    /// The run [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) run: Option<String>,
    /// Why, for the ledger
    #[arg(long, default_value = "claw phase")]
    pub(crate) why: String,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples: claw top\n          claw top --run nightly --interval 0.5\n\nKeys: tab next part; arrows, j, k, page up and down, g, G choose; c copies the rule that would allow the\nselected denial to the terminal's clipboard (OSC 52); q, Esc, Ctrl-C leave. Root sees everybody's runs."
)]
pub(crate) struct Top {
    /// Which run is looked at first
    #[arg(long, value_name = "NAME")]
    pub(crate) run: Option<String>,
    /// Ask again after so many seconds, at least 0.2
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Print the screen once, as text of 120 columns
    #[arg(long, conflicts_with = "json")]
    pub(crate) once: bool,
    /// Print what the runs say as one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if !(0.2..=3_600.0).contains(&seconds) {
        return Err("must be from 0.2 to 3600 seconds".to_owned());
    }
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples: claw changes\n          claw changes nightly --diff\n          claw changes apply nightly src README.md\n          claw changes discard nightly\n\nWithout RUN: the only run that left something, or a list of them.\nExits 1 if something is flagged or would be refused."
)]
pub(crate) struct Changes {
    #[command(subcommand)]
    pub(crate) command: Option<ChangesCommand>,
    #[command(flatten)]
    pub(crate) show: ShowChanges,
}

#[derive(Debug, Args)]
pub(crate) struct ShowChanges {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Print what differs in text files, and the digests of others
    #[arg(long)]
    pub(crate) diff: bool,
    /// Print the changes as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChangesCommand {
    /// Copy changes onto the host's directory; exits 1 if something was not applied
    #[command(
        after_help = "Examples: claw changes apply nightly\n          claw changes apply nightly src Makefile\n\nA path stands for what is below it. What runs code later is applied only if its own path is named, or with --flagged.\nWhat the run's policy protects is never applied."
    )]
    Apply {
        /// The run [default: the only one that left something]
        run: Option<String>,
        /// Only these paths, which begin at the working directory
        paths: Vec<PathBuf>,
        /// Also what makes somebody run code later
        #[arg(long)]
        flagged: bool,
        /// Also where the host's own changed since the run began: that is lost
        #[arg(long)]
        overwrite: bool,
        /// Print what was applied and what was not as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove what a run wrote; the host's directory stays as it is
    #[command(after_help = "Example: claw changes discard nightly")]
    Discard {
        /// The run [default: the only one that left something]
        run: Option<String>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples: claw doctor --json\n          claw doctor --self --json > needs.json\n          claw doctor --self --against needs.json\n          claw doctor --self-verify --manifest claw.manifest.json --key claw.pub"
)]
pub(crate) struct Doctor {
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Tell what Claw itself opens, connects and binds, by phase; nothing is tried
    #[arg(long = "self")]
    pub(crate) own: bool,
    /// Compare with what another version printed with --self --json; exits 1 if this one needs something new
    #[arg(long, value_name = "FILE", requires = "own")]
    pub(crate) against: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) release: Own,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples: claw threat-model agent_runtime.yaml --svg flows.svg\n          claw threat-model agent_runtime.yaml --zones zones.yaml --audit audit.json --markdown > threats.md"
)]
pub(crate) struct ThreatModel {
    /// The policy file
    pub(crate) policy: PathBuf,
    /// The zones file of the host's firewall
    #[arg(long, value_name = "FILE")]
    pub(crate) zones: Option<PathBuf>,
    /// A report of `claw host audit --json`
    #[arg(long, value_name = "FILE")]
    pub(crate) audit: Option<PathBuf>,
    /// Write the data-flow diagram as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Write the data-flow diagram as Mermaid source
    #[arg(long, value_name = "FILE")]
    pub(crate) mermaid: Option<PathBuf>,
    /// Print everything as JSON
    #[arg(long, conflicts_with = "markdown")]
    pub(crate) json: bool,
    /// Print everything as Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Host {
    #[command(subcommand)]
    pub(crate) command: HostCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// Measure the host that agents run on; exits 1 if a finding is as severe as the threshold, or more
    Audit(Audit),
    /// Hold the zones of a file apart with nf_tables: print, check, apply, watch
    Firewall(Firewall),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples: claw host firewall --zones zones.yaml --print\n          claw host firewall --zones zones.yaml --apply --confirm-within 60\n          claw host firewall --confirm\n          claw host firewall --zones zones.yaml --check\n\nOnly the table `inet claw-firewall` is changed. Without --print, --apply, --watch or --confirm it is checked.\nExits 1 if the kernel holds something else than is declared, or if packets get around it by others' rules."
)]
#[command(group(clap::ArgGroup::new("what").multiple(false)))]
pub(crate) struct Firewall {
    /// The zones file
    #[arg(long, value_name = "FILE", default_value = "zones.yaml")]
    pub(crate) zones: PathBuf,
    /// Print the rules as nft(8) reads them; nothing is changed, and no privilege is needed
    #[arg(long, group = "what")]
    pub(crate) print: bool,
    /// Compare what the kernel holds with what is declared, and name each difference
    #[arg(long, group = "what")]
    pub(crate) check: bool,
    /// Put the rules into force, in one transaction
    #[arg(long, group = "what")]
    pub(crate) apply: bool,
    /// Keep the rules that an --apply waits for a word about
    #[arg(long, group = "what")]
    pub(crate) confirm: bool,
    /// Compare after each change, and write what differs into a ledger, until interrupted
    #[arg(long, group = "what")]
    pub(crate) watch: bool,
    /// Take the rules back after so many seconds unless confirmed; 0: never
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(0..=86_400), requires = "apply")]
    pub(crate) confirm_within: u64,
    /// Do not keep the operator's own session beside the declared flows
    #[arg(long, requires = "apply")]
    pub(crate) no_keep: bool,
    /// Write the zones, the rules and a systemd unit into a directory; nothing is enabled
    #[arg(long, value_name = "DIR")]
    pub(crate) persist: Option<PathBuf>,
    /// Where --watch writes; the file must not exist
    #[arg(long, value_name = "FILE", requires = "watch")]
    pub(crate) ledger: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Stand guard (started by --apply)
    #[arg(long, hide = true, value_name = "SECONDS", group = "what")]
    pub(crate) guard: Option<u64>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples: claw host audit\n          claw host audit --baseline accepted.yaml --sarif host.sarif\n          claw host audit --root /mnt/image --threshold critical --json\n\nNothing is changed and nothing is sent. What could not be read is unknown, with the reason; root reads more."
)]
pub(crate) struct Audit {
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the report as SARIF 2.1.0 too
    #[arg(long, value_name = "FILE")]
    pub(crate) sarif: Option<PathBuf>,
    /// Write the report as OSCAL assessment results too
    #[arg(long, value_name = "FILE")]
    pub(crate) oscal: Option<PathBuf>,
    /// Findings that are accepted, each with a reason and a last day
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Exit 1 on findings of this severity or more
    #[arg(long, value_name = "SEVERITY", default_value = "high")]
    pub(crate) threshold: Threshold,
    /// Read the files of another tree, such as a mounted image; what needs system calls is then unknown
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
}

/// From which severity on findings count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Threshold {
    /// Any finding.
    Low,
    /// Medium, high and critical ones.
    Medium,
    /// High and critical ones.
    High,
    /// Critical ones only.
    Critical,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_as_among_all_commands() {
        for line in [
            "run -- true",
            "run -q -- true --dry-run",
            "run --policy a.yaml --phase bootstrap --ledger=l --name n --json -- sh -c x",
            "run --require-signed k --signed-as n --dry-run -- true",
        ] {
            let words = || line.split(' ').map(std::ffi::OsString::from);
            let whole =
                Claw::try_parse_from(std::iter::once("claw".into()).chain(words())).map(|claw| claw.command);
            assert_eq!(format!("{:?}", quick(words())), format!("{:?}", whole.ok()), "{line}");
        }
        // what makes no sense, and help, is for the whole command line to tell
        for line in [
            "run",
            "run --nonsense -- true",
            "run --help",
            "run -h",
            "run --signed-as n -- true",
            "ledger",
            "",
        ] {
            assert!(quick(line.split(' ').map(std::ffi::OsString::from)).is_none(), "{line}");
        }
    }
}
