//! One run, from plan to exit.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use claw_enforce::{
    Answers, Applied, Calls, Duty, Ending, Fresh, Gated, LaunchError, Others, Report, Sandbox,
    SupervisorFilter,
};
use claw_gate::{Authority, Gate, Journal, Roots, Settings};
use claw_ledger::record::Event;
use claw_ledger::summary::Summary;
use claw_model::digest::Digest;
use claw_plan::{Checked, Plan, Step};
use claw_policy::{Change, Exec, ExecutableChanged};
use claw_sys::{beneath, capability, process, resource, signal, terminal};
use jiff::Timestamp;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::sync::{mpsc, oneshot};

use crate::changes::{self, ChangesError, Layers};
use crate::confine;
use crate::control::{self, Answer, Question, Running};
use crate::exposed::{self, ExposedError};
use crate::ima::{self, Deviation, Measured, MeasuredError, Presence};
use crate::integrity::{Begun, Changed, Watched, touched};
use crate::ledger::{Flush, Ledger, LedgerError};
use crate::policies::{self, Policies};
use crate::seen::Seen;
use crate::signed::{Held, SignedError};
use crate::{Host, Job, Mode, PlanError, plan};

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
    /// The run's name, if it left something to be reviewed.
    pub changes: Option<String>,
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
    /// A file of the policy is not the one that was accepted.
    #[error(transparent)]
    Exposed(#[from] ExposedError),
    /// The policy does not count as signed.
    #[error(transparent)]
    Signed(#[from] SignedError),
    /// Changes cannot be kept aside.
    #[error(transparent)]
    Changes(#[from] ChangesError),
    /// The supervisor itself failed.
    #[error("cannot {step}")]
    System {
        /// What was being done.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another run has the name.
    #[error("a run called `{0}` goes on")]
    Taken(String),
    /// The kernel refuses, but its log does not tell: refusals would go unrecorded.
    #[error("cannot confirm that refusals are logged: the canary's did not arrive within 5 s")]
    Deaf,
}

impl RunError {
    /// Whether the input was unusable (exit 2) rather than the sandbox impossible (exit 125).
    pub fn is_input(&self) -> bool {
        let RunError::Plan(error) = self else {
            return matches!(
                self,
                RunError::Exposed(_) | RunError::Signed(_) | RunError::Changes(ChangesError::Undecided(_))
            );
        };
        if let PlanError::Root { source, .. } = error {
            return source.is_input();
        }
        matches!(
            error,
            PlanError::Build(_)
                | PlanError::NotSigned(_)
                | PlanError::Roots(_)
                | PlanError::NoProfile { .. }
                | PlanError::Profile(_)
                | PlanError::NoList { .. }
                | PlanError::Listed { .. }
                | PlanError::NothingListed
        )
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
            RunError::Exposed(ExposedError::Changed { .. }) => Some(
                "it lies where the agent may write; read it, then `claw policy trust` it, or keep it elsewhere"
                    .to_owned(),
            ),
            RunError::Exposed(ExposedError::Named { .. } | ExposedError::Link { .. }) => {
                Some("keep it elsewhere, or give the agent a narrower directory".to_owned())
            }
            RunError::Exposed(ExposedError::Trust(_)) => None,
            RunError::Signed(error) => Some(error.hint().to_owned()),
            RunError::Changes(error) => error.hint().map(str::to_owned),
            RunError::Taken(_) => Some("give another name with --name, or wait for its end".to_owned()),
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
    let job = Job { ledger: Some(path.clone()), name: Some(name.clone()), ..job.clone() };
    let (authority, roots) = crate::authority(&job)?;
    let checked = plan(&job, host, authority.as_ref())?;
    exposed::confirm(&job, host, checked.plan())?;
    let (job, seen) = policies::admitted(job, host)?;
    changes::sweep(&host.state);
    let protect = job.policy.filesystem().map(|files| files.protect.clone()).unwrap_or_default();
    let state = crate::facts::canonical(&host.state).join(changes::HOME).join(&name);
    let layers = Layers::make(checked.plan(), &state, &name, &protect)?;
    match perform(
        &job,
        host,
        fresh,
        Prepared { name: &name, path: &path, checked: &checked, trust: (authority, roots), seen },
    ) {
        Ok(mut outcome) => {
            outcome.changes = layers.filter(Layers::hold_changes).map(|_| name);
            Ok(outcome)
        }
        Err(error) => {
            if let Some(layers) = layers {
                layers.undo();
            }
            Err(error)
        }
    }
}

/// What was made and judged before anything begins.
struct Prepared<'a> {
    name: &'a str,
    path: &'a Path,
    checked: &'a Checked,
    trust: (Option<Authority>, Roots),
    /// The versions of the policy that were seen, where it must be signed.
    seen: Option<Seen>,
}

fn perform(
    job: &Job,
    host: &Host,
    fresh: Result<Fresh, LaunchError>,
    Prepared { name, path, checked, trust, seen }: Prepared<'_>,
) -> Result<Outcome, RunError> {
    signal::block(FORWARDED).map_err(system("block signals"))?;
    let sandbox = Sandbox::launch(fresh?, checked, name)?;
    // order: while init builds, and before there is a second thread
    let policies =
        Policies::watch(job, checked.plan(), &host.directory, seen).map_err(system("start a reader"))?;
    let listed = listed(checked.plan()).map_err(system("watch the listed executables"))?;
    // order: while init builds; nothing is let go without it
    let ledger = Rc::new(Ledger::create(path)?);
    write(&ledger, &start(job, name))?;
    let limit = resource::open_files().map_err(system("read the descriptor limit"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(system("start the event loop"))?;
    // order: before the agent runs: whoever looks for the run finds it from its first moment on
    let questions = control::listen(name).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => RunError::Taken(name.to_owned()),
        _ => RunError::System { step: "open the control socket", source },
    })?;
    let supervisor =
        Supervisor { job, name, path, begun: Instant::now(), checked, ledger: Rc::clone(&ledger), sandbox };
    let files = (policies, listed);
    let serving = supervisor.serve(trust, questions, files);
    let ended = tokio::task::LocalSet::new().block_on(&runtime, serving);
    runtime.shutdown_background();
    let sandbox = supervisor.sandbox;
    // the limit was raised for the gate; whoever called this function gets its own back
    let _ = resource::set_open_files(limit);
    // the mask stays: a signal that came too late for the agent must not cut the ledger's last records off
    terminal::reclaim();
    let ended = ended?;
    ledger.flush(Flush::All);
    // the agent has run: its end is told even if it cannot be written down, and so is that it was not
    let unwritten = write(&ledger, &Event::Exit { code: ended.code }).err();
    if !sandbox.is_kept() {
        ledger.sync();
    }
    // where nothing else was left inside, nothing can run there any more, and the kernel's taking down of the namespaces need
    // not be waited for
    if ended.others == Others::Left {
        let _ = sandbox.wait();
    }
    Ok(Outcome {
        code: ended.code,
        not_started: ended.not_started,
        summary: ledger.summary(),
        head: ledger.head(),
        unwritten,
        ledger: path.to_owned(),
        notes: checked.plan().notes.clone(),
        changes: None,
    })
}

struct Supervisor<'a> {
    job: &'a Job,
    name: &'a str,
    path: &'a Path,
    begun: Instant,
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
    async fn serve(
        &self,
        trust: (Option<Authority>, Roots),
        questions: UnixListener,
        files: (Policies<'_>, Option<Begun>),
    ) -> Result<Ended, RunError> {
        let result = self.stages(trust, questions, files).await;
        if result.is_err() {
            self.sandbox.kill();
        }
        result
    }

    async fn stages(
        &self,
        (authority, roots): (Option<Authority>, Roots),
        questions: UnixListener,
        (mut policies, listed): (Policies<'_>, Option<Begun>),
    ) -> Result<Ended, RunError> {
        // order: all that needs no socket of the gate's, while init builds
        let granted =
            resource::raise_open_files(WANTED_FILES).map_err(system("raise the descriptor limit"))?;
        // two descriptors for a connection, some for names that are looked up, and some for everything else
        let ports = u64::try_from(self.checked.plan().network.udp_ports.len()).unwrap_or_default();
        let lookups = (granted / FILES_OF_A_LOOKUP).clamp(FEWEST_LOOKUPS, MOST_LOOKUPS);
        let sockets = lookups.saturating_mul(claw_gate::LOOKUP_SOCKETS);
        let taken = RESERVED.saturating_add(sockets).saturating_add(ports.saturating_mul(2));
        let ceiling = usize::try_from(granted.saturating_sub(taken) / 2).unwrap_or(usize::MAX);
        let settings = Settings {
            policy: self.job.policy.clone(),
            phase: self.job.phase,
            network: self.checked.plan().network.clone(),
            journal: Rc::clone(&self.ledger) as Rc<dyn Journal>,
            ceiling,
            lookups: usize::try_from(lookups).unwrap_or(usize::MAX),
            roots,
            authority,
            observe: self.job.observe.clone(),
        };
        let channel = self.sandbox.channel().try_clone_to_owned().map_err(system("watch the channel"))?;
        let channel = waitable(channel).map_err(system("watch the channel"))?;
        let questions = tokio::net::UnixListener::from_std(questions).map_err(system("watch questions"))?;
        let watched = listed.map(Watched::of).transpose().map_err(system("watch the listed executables"))?;
        let (mut measured, integrity) = self.measured()?;
        let signals = signal::descriptor(FORWARDED).and_then(waitable).map_err(system("watch signals"))?;
        let place = Place::reserve().map_err(system("keep a descriptor for the sandbox's /proc"))?;
        let filter = filter(self.checked.plan(), &place, self.sandbox.pid())
            .map_err(system("compile the supervisor's filter"))?;
        capability::drop_bounding();
        let (door, nft) = self.sandbox.door(self.checked)?;
        let gate = Rc::new(Gate::open(settings, door).map_err(system("open the gate"))?);
        policies.begin();
        let dials = self.job.source.is_some() || !self.job.policy.rules().is_empty();
        if dials || self.job.mode() == Some(Mode::Allow) {
            gate.read_resolver();
        }
        // order: while init builds; nothing is opened for writing or executed from here on
        confine::with(&filter).map_err(system("confine the supervisor"))?;
        let (applied, processes) = tokio::time::timeout(STANDS_WITHIN, self.confined(&channel))
            .await
            .map_err(|_| RunError::Launch(LaunchError::Silent(io::ErrorKind::TimedOut.into())))??;
        // a debug build that leaves a wall out has no canary to hear
        if claw_enforce::all_stand()
            && tokio::time::timeout(Duration::from_secs(5), gate.hears_refusals()).await.is_err()
        {
            return Err(RunError::Deaf);
        }
        // order: after the copies were made and compared, before anything runs
        let deviations = look(&mut measured)?;
        let integrity = said(integrity, measured.as_ref());
        write(&self.ledger, &self.applied(&applied, (nft, integrity), ceiling))?;
        if self.deviated(&deviations) {
            return Ok(killed());
        }
        let processes = place.fill(&processes).map_err(system("look into the sandbox's /proc"))?;
        gate.identify(Rc::clone(&processes));
        // order: when the canary was refused everywhere, and before the agent
        gate.take_everything().map_err(system("steer what an observed run opens to the gate"))?;
        self.sandbox.release(&applied).map_err(system("let the agent go"))?;
        self.ledger.show(|file| self.sandbox.keep(file));
        #[cfg(debug_assertions)]
        crate::taken::attempt(processes.as_fd(), self.sandbox.channel(), self.job.tell);
        let outside = Outside { channel: &channel, signals: &signals, questions: &questions };
        let ended = self.watch(&outside, &processes, &gate, (policies, watched, measured)).await?;
        if self.job.observe.is_some() {
            // what the agent sent last is still on its way to the gate
            tokio::time::sleep(LAST_WORDS).await;
        }
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
        let (report, descriptors) = self.next(channel).await?;
        match (report, descriptors.into_iter().next()) {
            (Report::Confined(applied), Some(processes)) => Ok((applied, processes)),
            (Report::Failed(failure), _) => Err(LaunchError::Init(failure).into()),
            _ => Err(LaunchError::Silent(io::Error::other("init spoke out of turn")).into()),
        }
    }

    async fn next(&self, channel: &AsyncFd<OwnedFd>) -> Result<(Report, Vec<OwnedFd>), RunError> {
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
        outside: &Outside<'_>,
        processes: &Rc<OwnedFd>,
        gate: &Rc<Gate>,
        (mut policies, mut watched, mut measured): (Policies<'_>, Option<Watched>, Option<Measured>),
    ) -> Result<Ended, RunError> {
        let Outside { channel, signals, questions } = outside;
        let (ask, mut asked) = mpsc::channel::<(Question, oneshot::Sender<Answer>)>(8);
        let mut agent = 0;
        let mut ticks = 0u32;
        // order: a first tick at once would be rounded up to a millisecond, in which nothing is heard
        let every = Duration::from_millis(100);
        let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                report = self.next(channel) => match report {
                    Ok((Report::Started { pid }, _)) => agent = pid,
                    Ok((Report::NotStarted { code, message }, _)) => {
                        return Ok(Ended { code, others: Others::Left, not_started: Some(message) });
                    }
                    Ok((Report::Ended(ending, others), _)) => {
                        // what happened just before the end is told too
                        if let Some(own) = &mut watched {
                            let _ = self.changed(&own.look().await.unwrap_or_default());
                        }
                        let _ = self.deviated_since(&mut measured);
                        return Ok(Ended { code: ending.code(), others, not_started: None });
                    }
                    Ok((Report::Listener, descriptors)) => {
                        let profile = self.checked.plan().calls.clone();
                        let calls = Calls::of(descriptors).ok_or_else(|| io::ErrorKind::InvalidData.into());
                        // a call that nobody answers waits until the run ends: it was not let through
                        if let Err(error) = calls.and_then(|calls| gate.answer(calls, profile, self.job.tell)) {
                            (self.job.tell)(&format!("cannot answer for system calls: {error}"));
                            self.sandbox.kill();
                            return Ok(killed());
                        }
                    }
                    Ok((Report::Stopped, _)) => self.stop(agent, processes.as_fd()).await,
                    // the agent ran already: this is an end like any other, and is written down as one
                    Ok((Report::Failed(failure), _)) => {
                        (self.job.tell)(&failure.to_string());
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
                        // asked for by somebody, not by a terminal that went away: read the policy again
                        Ok(signal)
                            if signal.number == libc::SIGHUP
                                && signal.origin == signal::Origin::Process
                                && policies.has_source() =>
                        {
                            let _ = policies.reload(gate, "SIGHUP").await;
                        }
                        // a key on the terminal reached the agent by itself
                        Ok(signal) if signal.origin == signal::Origin::Process => {
                            let _ = self.sandbox.signal(signal.number);
                        }
                        Ok(_) => {}
                        Err(_) => ready.clear_ready(),
                    }
                }
                () = touched(watched.as_ref()) => {
                    let Some(own) = &mut watched else { continue };
                    match own.look().await {
                        Ok(changed) if self.changed(&changed) => return Ok(killed()),
                        Ok(_) if self.deviated_since(&mut measured) => return Ok(killed()),
                        Ok(_) => {}
                        Err(error) => {
                            (self.job.tell)(&format!("listed executables are not watched any more: {error}"));
                            watched = None;
                        }
                    }
                }
                () = policies.changed() => policies.take_change(gate).await,
                Ok((stream, _)) = questions.accept() => {
                    tokio::task::spawn_local(hear(stream, ask.clone()));
                }
                Some((question, answer)) = asked.recv() => {
                    let _ = answer.send(self.answer(&question, gate, &mut policies).await);
                }
                _ = tick.tick() => {
                    ticks = ticks.wrapping_add(1);
                    if ticks.is_multiple_of(LOOK_EVERY) && self.deviated_since(&mut measured) {
                        return Ok(killed());
                    }
                    policies.try_again(gate).await;
                    policies.expire(gate);
                    gate.expire();
                    self.ledger.flush(Flush::Due);
                    if let Some(file) = self.ledger.unsynced() {
                        tokio::task::spawn_blocking(move || file.sync_data());
                    }
                }
            }
        }
    }

    /// The kernel's own list of measurements, where executables are listed and it can be read; and what is said of it.
    fn measured(&self) -> Result<(Option<Measured>, String), RunError> {
        let (measured, said) = match ima::presence() {
            Presence::Absent => (None, "ima: not in this kernel"),
            Presence::Hidden => (None, "ima: securityfs is not mounted"),
            Presence::Private => (None, "ima: its list is for root alone"),
            Presence::Readable if self.checked.plan().listed => (
                Some(Measured::open(executables(self.checked.plan()).into_iter()).map_err(unreadable)?),
                "ima",
            ),
            Presence::Readable => (None, "ima: not asked for, no executables are listed"),
        };
        let evm = ima::evm().map(|evm| format!("; evm: {evm}")).unwrap_or_default();
        Ok((measured, format!("{said}{evm}")))
    }

    /// Writes down what changed. `true`: the run was ended, as the policy wants it.
    fn changed(&self, changed: &[Changed]) -> bool {
        for Changed { path, expected, found } in changed {
            let path = path.display().to_string();
            let (expected, found) = (expected.to_string(), found.map(|found| found.to_string()));
            // what has changed has changed, written down or not
            let _ = write(&self.ledger, &Event::Integrity { path, expected, found, source: None });
        }
        let tell =
            |path: &Path| format!("`{}` is listed as executable and was changed outside", path.display());
        self.ended_by(changed.iter().map(|changed| tell(&changed.path)).collect())
    }

    /// The same for what the kernel measured.
    fn deviated(&self, deviations: &[Deviation]) -> bool {
        for Deviation { path, expected, found } in deviations {
            let path = path.display().to_string();
            let (expected, found) = (expected.to_string(), Some(found.clone()));
            let _ = write(
                &self.ledger,
                &Event::Integrity { path, expected, found, source: Some("ima".to_owned()) },
            );
        }
        let tell = |deviation: &Deviation| {
            let what = if deviation.is_violation() {
                "was open for writing while it was read"
            } else {
                "was measured with another digest"
            };
            format!("`{}` {what}, says the kernel", deviation.path.display())
        };
        self.ended_by(deviations.iter().map(tell).collect())
    }

    /// The same for what it measured since. A list that cannot be read any more is as bad as one that says what it should not.
    fn deviated_since(&self, measured: &mut Option<Measured>) -> bool {
        match look(measured) {
            Ok(deviations) => self.deviated(&deviations),
            Err(error) => {
                *measured = None;
                self.ended_by(vec![told(&error)])
            }
        }
    }

    /// Tells what is wrong with files, and ends the run if the policy says so.
    fn ended_by(&self, wrong: Vec<String>) -> bool {
        let ends = match &self.job.policy.process().exec {
            Exec::Listed(listed) => !wrong.is_empty() && listed.changed == ExecutableChanged::End,
            Exec::Any => false,
        };
        if ends {
            self.sandbox.kill();
        }
        // order: told last, since whoever reads it may be slow
        for sentence in wrong {
            (self.job.tell)(&sentence);
        }
        if ends {
            (self.job.tell)("the run ends: the policy says `changed: end`");
        }
        ends
    }

    async fn answer(&self, question: &Question, gate: &Gate, policies: &mut Policies<'_>) -> Answer {
        let done = |what: String, changed: Result<u64, String>| match changed {
            Ok(closed) => Answer::Done { what, closed },
            Err(why) => Answer::Refused { why },
        };
        match question {
            Question::Status => Answer::Status(Box::new(Running {
                run: self.name.to_owned(),
                agent: self.job.policy.agent().unwrap_or("unnamed").to_owned(),
                pid: std::process::id(),
                command: self.job.command.clone(),
                ledger: self.path.to_owned(),
                seconds: self.begun.elapsed().as_secs(),
                gate: gate.status(),
            })),
            Question::Phase { to, why } => {
                let changed =
                    gate.adopt(Change::Phase(*to), None, why.as_str()).map_err(|error| told(&error));
                if let Ok(closed) = changed {
                    (self.job.tell)(&format!("phase {to}: {closed} flows closed"));
                }
                done(format!("phase {to}"), changed)
            }
            Question::Reload => done("policy read again".to_owned(), policies.reload(gate, "asked to").await),
        }
    }

    /// The agent stopped itself: stop as well, so that the shell outside notices, and wake it when woken. If it only
    /// stopped together with this process by a key, it runs again by now.
    async fn stop(&self, agent: i32, processes: BorrowedFd<'_>) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut state = String::new();
        if let Ok(file) = beneath::open(processes, Path::new(&format!("{agent}/stat"))) {
            let _ = std::fs::File::from(file).read_to_string(&mut state);
        }
        let stopped = state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'));
        // only a shell in the foreground of a terminal waits for this process to stop and will wake it again
        if stopped && terminal::is_foreground() {
            let own = i32::try_from(std::process::id()).unwrap_or_default();
            let _ = signal::send(own, libc::SIGSTOP);
            let _ = self.sandbox.signal(libc::SIGCONT);
        }
    }

    fn applied(&self, applied: &Applied, (nft, integrity): (String, String), ceiling: usize) -> Event {
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
            apparmor: Some(applied.apparmor.clone()),
            integrity: Some(integrity),
        }
    }
}

/// What the kernel measured since, that is not as it should be.
fn look(measured: &mut Option<Measured>) -> Result<Vec<Deviation>, RunError> {
    measured.as_mut().map_or(Ok(Vec::new()), |measured| measured.look().map_err(unreadable))
}

/// How many of the files are in the kernel's list.
fn said(said: String, measured: Option<&Measured>) -> String {
    let Some((known, all)) = measured.map(Measured::known) else { return said };
    said.replacen("ima", &format!("ima: {known} of {all} files are in the kernel's list"), 1)
}

fn unreadable(error: MeasuredError) -> RunError {
    RunError::System { step: "read the kernel's list of measured files", source: io::Error::other(error) }
}

/// What comes from outside while the agent runs.
struct Outside<'a> {
    channel: &'a AsyncFd<OwnedFd>,
    signals: &'a AsyncFd<OwnedFd>,
    questions: &'a tokio::net::UnixListener,
}

/// Takes one question from a connection and gives the answer. Whoever is slow holds up nobody.
async fn hear(mut stream: tokio::net::UnixStream, ask: mpsc::Sender<(Question, oneshot::Sender<Answer>)>) {
    if !control::is_own(&stream) {
        return;
    }
    let talk = async {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") && line.len() < LONGEST_QUESTION {
            if stream.read_buf(&mut line).await? == 0 {
                break;
            }
        }
        let (answer, answered) = oneshot::channel();
        let answer = match serde_json::from_slice(&line) {
            Ok(question) => {
                let _ = ask.send((question, answer)).await;
                answered.await.map_err(io::Error::other)?
            }
            Err(error) => Answer::Refused { why: format!("not a question: {error}") },
        };
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        stream.write_all(&line).await
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), talk).await;
}

/// A descriptor's number that is kept for the sandbox's `/proc`, which comes after the supervisor's filter names it.
struct Place(OwnedFd);

impl Place {
    fn reserve() -> io::Result<Place> {
        std::fs::File::open("/dev/null").map(|file| Place(file.into()))
    }

    fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }

    fn fill(self, processes: &OwnedFd) -> io::Result<Rc<OwnedFd>> {
        process::put(processes.as_fd(), self.number())?;
        Ok(Rc::new(self.0))
    }
}

/// The listed executables, to be watched outside.
fn listed(plan: &Plan) -> io::Result<Option<Begun>> {
    if plan.listed { Begun::begin(executables(plan)).map(Some) } else { Ok(None) }
}

fn executables(plan: &Plan) -> Vec<(PathBuf, Digest)> {
    let listed = plan.tree.iter().filter_map(|step| match step {
        Step::Listed { target, digest } => Some((target.clone(), *digest)),
        _ => None,
    });
    listed.collect()
}

/// The supervisor's own filter, which lets through what it still has to do.
fn filter(plan: &Plan, place: &Place, init: i32) -> io::Result<SupervisorFilter> {
    let rules = beneath::Rules::of_this_process()?;
    let duty = Duty::Relay(Gated {
        processes: place.number(),
        rules: (rules.address(), i32::try_from(rules.size()).map_err(io::Error::other)?),
        init,
        own: i32::try_from(std::process::id()).map_err(io::Error::other)?,
        answers: Answers { sockets: plan.broker, profile: plan.calls.is_some() },
    });
    SupervisorFilter::of(duty)
}

/// An error with its causes, in one line.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn start(job: &Job, name: &str) -> Event {
    Event::Start {
        run: name.to_owned(),
        agent: job.policy.agent().unwrap_or("unnamed").to_owned(),
        command: job.command.clone(),
        policy_digest: job.policy.digest().to_string(),
        claw_version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: process::kernel_release(),
        mode: job.observe.as_ref().map(|observe| observe.mode.as_str().to_owned()),
        signed: job.held.as_ref().map(Held::record),
    }
}

fn write(ledger: &Rc<Ledger>, event: &Event) -> Result<(), LedgerError> {
    ledger.write(event, None).map(drop).map_err(|error| (ledger.as_ref(), error).into())
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
pub(crate) fn waitable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// Signals that are passed on to the agent.
const FORWARDED: &[i32] =
    &[libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];
/// A sandbox stands within milliseconds; one that does not by then never will.
const STANDS_WITHIN: Duration = Duration::from_secs(30);
/// The kernel's list of measurements is read every so many tenths of a second.
const LOOK_EVERY: u32 = 10;
/// How long what was sent last may take to the gate.
const LAST_WORDS: Duration = Duration::from_millis(20);
/// Bytes of a question.
const LONGEST_QUESTION: usize = 4096;
/// Descriptors for 30,000 connections.
const WANTED_FILES: u64 = 65_536;
/// One name may be looked up at the same time for so many descriptors.
const FILES_OF_A_LOOKUP: u64 = 256;
/// Names that may be looked up at the same time with few descriptors, and with many.
const FEWEST_LOOKUPS: u64 = 16;
const MOST_LOOKUPS: u64 = 256;
/// Descriptors for everything but connections and look-ups: the UDP sockets of a policy, pipes, files.
const RESERVED: u64 = 256;
