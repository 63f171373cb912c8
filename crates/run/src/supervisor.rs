//! One run, from plan to exit.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use claw_enforce::{Applied, Ending, Fresh, LaunchError, Others, Report, Sandbox};
use claw_gate::{Gate, Journal, Settings};
use claw_ledger::record::Event;
use claw_ledger::summary::Summary;
use claw_model::digest::Digest;
use claw_plan::Checked;
use claw_sys::{process, resource, signal, terminal};
use jiff::Timestamp;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::confine::confine;
use crate::ledger::{Flush, Ledger, LedgerError};
use crate::{Host, Job, PlanError, plan};

/// What a finished run leaves.
#[derive(Debug)]
pub struct Outcome {
    /// The agent's code, as a shell would report it.
    pub code: i32,
    /// Why the agent was not started, if it was not.
    pub not_started: Option<String>,
    /// What it reached and what it was refused.
    pub summary: Summary,
    /// Where the ledger is.
    pub ledger: PathBuf,
    /// The digest of its last record.
    pub head: Digest,
    /// Why the ledger ends before the run did, if it does: the head is then not the file's.
    pub unwritten: Option<LedgerError>,
    /// What the reader of the plan should know.
    pub notes: Vec<String>,
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No sound plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// No ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// No sandbox.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The supervisor itself failed.
    #[error("cannot {step}")]
    System {
        /// What was being done.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The kernel refuses, but its log does not tell: refusals would go unrecorded.
    #[error("cannot confirm that refusals are logged: the canary's did not arrive within 5 s")]
    Deaf,
}

impl RunError {
    /// Whether the input was unusable (exit 2) rather than the sandbox impossible (exit 125).
    pub fn is_input(&self) -> bool {
        matches!(self, RunError::Plan(PlanError::Build(_)))
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            RunError::Launch(error) => error.hint(),
            RunError::Deaf => {
                Some("the kernel needs CONFIG_NETFILTER_NETLINK_LOG and nf_log support".to_owned())
            }
            RunError::Ledger(_) => {
                Some("give another file with --ledger; existing files are never changed".to_owned())
            }
            RunError::Plan(_) | RunError::System { .. } => None,
        }
    }
}

/// Runs the job to its end. Nothing of the agent runs before every wall stands and was tried.
/// `fresh` was made before the policy was read.
pub fn run(job: &Job, host: &Host, fresh: Result<Fresh, LaunchError>) -> Result<Outcome, RunError> {
    let name = job.name.clone().unwrap_or_else(run_name);
    let path = job.ledger.clone().unwrap_or_else(|| host.state.join("runs").join(format!("{name}.jsonl")));
    let path = crate::facts::canonical(&host.directory.join(path));
    let job = Job { ledger: Some(path.clone()), ..job.clone() };
    let checked = plan(&job, host)?;
    signal::block(FORWARDED).map_err(system("block signals"))?;
    let sandbox = Sandbox::launch(fresh?, &checked, &name)?;
    // order: while init builds; nothing is let go without it
    let ledger = Rc::new(Ledger::create(&path)?);
    write(&ledger, &start(&job, &name))?;
    let files = resource::open_files().map_err(system("read the descriptor limit"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(system("start the event loop"))?;
    let supervisor = Supervisor { job: &job, checked: &checked, ledger: Rc::clone(&ledger), sandbox };
    let ended = tokio::task::LocalSet::new().block_on(&runtime, supervisor.serve());
    runtime.shutdown_background();
    let sandbox = supervisor.sandbox;
    // the limit was raised for the gate; whoever called this function gets its own back
    let _ = resource::set_open_files(files);
    // the mask stays: a signal that came too late for the agent must not cut the ledger's last records off
    terminal::reclaim();
    let ended = ended?;
    ledger.flush(Flush::All);
    // the agent has run: its end is told even if it cannot be written down, and so is that it was not
    let unwritten = write(&ledger, &Event::Exit { code: ended.code }).err();
    if let Some(file) = ledger.unsynced() {
        let _ = file.sync_data();
    }
    // order: the kernel takes the namespaces down while the ledger is written out. Where nothing else was left inside,
    // nothing can run there any more, and the rest of that need not be waited for
    if ended.others == Others::Left {
        let _ = sandbox.wait();
    }
    Ok(Outcome {
        code: ended.code,
        not_started: ended.not_started,
        summary: ledger.summary(),
        head: ledger.head(),
        unwritten,
        ledger: path,
        notes: checked.plan().notes.clone(),
    })
}

struct Supervisor<'a> {
    job: &'a Job,
    checked: &'a Checked,
    ledger: Rc<Ledger>,
    sandbox: Sandbox,
}

/// How it ends when init was killed from outside: everything inside died with it.
fn killed() -> Ended {
    Ended { code: Ending::Signal(libc::SIGKILL).code(), others: Others::Left, not_started: None }
}

struct Ended {
    code: i32,
    others: Others,
    not_started: Option<String>,
}

impl Supervisor<'_> {
    async fn serve(&self) -> Result<Ended, RunError> {
        let result = self.stages().await;
        if result.is_err() {
            self.sandbox.kill();
        }
        result
    }

    async fn stages(&self) -> Result<Ended, RunError> {
        let (door, nft) = self.sandbox.door(self.checked)?;
        let granted =
            resource::raise_open_files(WANTED_FILES).map_err(system("raise the descriptor limit"))?;
        // two descriptors for a connection, and some for everything else
        let ports = u64::try_from(self.checked.plan().network.udp_ports.len()).unwrap_or_default();
        let taken = RESERVED.saturating_add(ports.saturating_mul(2));
        let ceiling = usize::try_from(granted.saturating_sub(taken) / 2).unwrap_or(usize::MAX);
        let settings = Settings {
            policy: self.job.policy.clone(),
            phase: self.job.phase,
            network: self.checked.plan().network.clone(),
            journal: Rc::clone(&self.ledger) as Rc<dyn Journal>,
            ceiling,
        };
        let gate = Gate::open(settings, door).map_err(system("open the gate"))?;
        let channel = self.sandbox.channel().try_clone_to_owned().map_err(system("watch the channel"))?;
        let channel = waitable(channel).map_err(system("watch the channel"))?;
        let signals = signal::descriptor(FORWARDED).and_then(waitable).map_err(system("watch signals"))?;
        // order: while init builds; nothing is opened for writing or executed from here on
        confine().map_err(system("confine the supervisor"))?;
        let (applied, processes) = tokio::time::timeout(STANDS_WITHIN, self.confined(&channel))
            .await
            .map_err(|_| RunError::Launch(LaunchError::Silent(io::ErrorKind::TimedOut.into())))??;
        if tokio::time::timeout(Duration::from_secs(5), gate.hears_refusals()).await.is_err() {
            return Err(RunError::Deaf);
        }
        write(&self.ledger, &self.applied(&applied, nft, ceiling))?;
        let look = processes.try_clone().map_err(system("look into the sandbox's /proc"))?;
        gate.identify(look);
        self.sandbox.release(&applied).map_err(system("let the agent go"))?;
        let ended = self.watch(&channel, &signals, &processes).await?;
        gate.close();
        // connections end with the agent: give their last records a moment
        for _ in 0..50 {
            if gate.connections() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(ended)
    }

    /// Waits until the agent's process is confined and its canary was refused everywhere.
    async fn confined(&self, channel: &AsyncFd<OwnedFd>) -> Result<(Applied, OwnedFd), RunError> {
        match self.next(channel).await? {
            (Report::Confined(applied), Some(processes)) => Ok((applied, processes)),
            (Report::Failed(failure), _) => Err(LaunchError::Init(failure).into()),
            _ => Err(LaunchError::Silent(io::Error::other("init spoke out of turn")).into()),
        }
    }

    async fn next(&self, channel: &AsyncFd<OwnedFd>) -> Result<(Report, Option<OwnedFd>), RunError> {
        loop {
            let mut ready = channel.readable().await.map_err(system("watch the channel"))?;
            if process::poll(&[self.sandbox.channel()], 0).is_ok_and(|ready| ready == [true]) {
                return Ok(self.sandbox.report().map_err(LaunchError::Silent)?);
            }
            ready.clear_ready();
        }
    }

    /// Serves until the agent ends.
    async fn watch(
        &self,
        channel: &AsyncFd<OwnedFd>,
        signals: &AsyncFd<OwnedFd>,
        processes: &OwnedFd,
    ) -> Result<Ended, RunError> {
        let mut agent = 0;
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        // order: the first tick comes at once and would start a thread for nothing
        tick.tick().await;
        loop {
            tokio::select! {
                report = self.next(channel) => match report {
                    Ok((Report::Started { pid }, _)) => agent = pid,
                    Ok((Report::NotStarted { code, message }, _)) => {
                        return Ok(Ended { code, others: Others::Left, not_started: Some(message) });
                    }
                    Ok((Report::Ended(ending, others), _)) => {
                        return Ok(Ended { code: ending.code(), others, not_started: None });
                    }
                    Ok((Report::Stopped, _)) => self.stop(agent, processes).await,
                    // the agent ran already: this is an end like any other, and is written down as one
                    Ok((Report::Failed(_), _)) => {
                        self.sandbox.kill();
                        return Ok(killed());
                    }
                    Ok(_) => {}
                    // init was killed from outside; everything inside died with it
                    Err(_) => return Ok(killed()),
                },
                ready = signals.readable() => {
                    let mut ready = ready.map_err(system("watch signals"))?;
                    match signal::read(signals.as_fd()) {
                        // a key on the terminal reached the agent by itself
                        Ok(signal) if signal.origin == signal::Origin::Process => {
                            let _ = self.sandbox.signal(signal.number);
                        }
                        Ok(_) => {}
                        Err(_) => ready.clear_ready(),
                    }
                }
                _ = tick.tick() => {
                    self.ledger.flush(Flush::Due);
                    if let Some(file) = self.ledger.unsynced() {
                        tokio::task::spawn_blocking(move || file.sync_data());
                    }
                }
            }
        }
    }

    /// The agent stopped itself: stop as well, so that the shell outside notices, and wake it when woken. If it only
    /// stopped together with this process by a key, it runs again by now.
    async fn stop(&self, agent: i32, processes: &OwnedFd) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let path = format!("/proc/self/fd/{}/{agent}/stat", processes.as_raw_fd());
        let state = std::fs::read_to_string(path).unwrap_or_default();
        let stopped = state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'));
        // only a shell in the foreground of a terminal waits for this process to stop and will wake it again
        if stopped && terminal::is_foreground() {
            let own = i32::try_from(std::process::id()).unwrap_or_default();
            let _ = signal::send(own, libc::SIGSTOP);
            let _ = self.sandbox.signal(libc::SIGCONT);
        }
    }

    fn applied(&self, applied: &Applied, nft: String, ceiling: usize) -> Event {
        let mut limits: serde_json::Map<String, serde_json::Value> =
            self.sandbox.limits().iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        limits.insert("connections".to_owned(), ceiling.into());
        Event::Applied {
            namespaces: applied.namespaces.clone(),
            nft: format!("{nft}; canary: {} ways refused", applied.refused),
            landlock_abi: applied.landlock_abi,
            seccomp: applied.seccomp.clone(),
            capabilities: applied.capabilities.clone(),
            limits: limits.into(),
            missing: Vec::new(),
        }
    }
}

fn start(job: &Job, name: &str) -> Event {
    Event::Start {
        run: name.to_owned(),
        agent: job.policy.agent().unwrap_or("unnamed").to_owned(),
        command: job.command.clone(),
        policy_digest: job.policy.digest().to_string(),
        claw_version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: process::kernel_release(),
    }
}

fn write(ledger: &Rc<Ledger>, event: &Event) -> Result<(), LedgerError> {
    ledger.write(event, None).map_err(|error| (ledger.as_ref(), error).into())
}

/// The time of its start and this process: unique on this machine.
fn run_name() -> String {
    let now = Timestamp::now();
    format!("{}-{}", now.strftime("%Y%m%dT%H%M%S%.6fZ"), std::process::id()).replace('.', "")
}

fn system(step: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |source| RunError::System { step, source }
}

#[expect(
    deprecated,
    reason = "the replacement is unsafe for types whose descriptor may change; this owns one for good"
)]
fn waitable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// Signals that are passed on to the agent.
const FORWARDED: &[i32] =
    &[libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];
/// A sandbox stands within milliseconds; one that does not by then never will.
const STANDS_WITHIN: Duration = Duration::from_secs(30);
/// Descriptors for 30,000 connections.
const WANTED_FILES: u64 = 65_536;
/// Descriptors for everything but connections: the UDP sockets of a policy, pipes, files.
const RESERVED: u64 = 256;
