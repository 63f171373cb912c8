//! One run of claw, or of the same command without it.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::lab::{Lab, User};
use crate::outcome::Outcome;

/// A run that is being prepared.
#[derive(Debug)]
pub struct Claw<'a> {
    lab: &'a Lab,
    words: Vec<String>,
    around: Vec<String>,
    ledger: Option<PathBuf>,
    environment: Vec<(String, String)>,
    input: Vec<u8>,
    patience: Duration,
    directory: PathBuf,
}

/// A run that goes on.
#[derive(Debug)]
pub struct Running<'a> {
    lab: &'a Lab,
    child: Child,
    output: [JoinHandle<Vec<u8>>; 2],
    ledger: Option<PathBuf>,
    begun: Instant,
    patience: Duration,
}

impl<'a> Claw<'a> {
    pub(crate) fn run(lab: &'a Lab) -> Claw<'a> {
        let ledger = lab.path("ledgers").join(format!("{}.jsonl", lab.number()));
        let mut claw = Claw::bare(lab);
        let policy = lab.path("policy.yaml");
        let program = lab.program().to_string_lossy().into_owned();
        claw.words = [
            &program,
            "run",
            "--policy",
            &policy.to_string_lossy(),
            "--ledger",
            &ledger.to_string_lossy(),
            "--",
        ]
        .map(str::to_owned)
        .to_vec();
        claw.ledger = Some(ledger);
        claw
    }

    pub(crate) fn observe(lab: &'a Lab) -> Claw<'a> {
        let ledger = lab.path("ledgers").join(format!("{}.jsonl", lab.number()));
        let program = lab.program().to_string_lossy().into_owned();
        let words =
            [&program, "observe", "--ledger", &ledger.to_string_lossy(), "--"].map(str::to_owned).to_vec();
        Claw { words, ledger: Some(ledger), ..Claw::bare(lab) }
    }

    pub(crate) fn bare(lab: &'a Lab) -> Claw<'a> {
        Claw {
            lab,
            words: Vec::new(),
            around: Vec::new(),
            ledger: None,
            environment: Vec::new(),
            input: Vec::new(),
            patience: Duration::from_secs(30),
            directory: lab.path("work"),
        }
    }

    /// Puts words before claw's own: `unshare -m …`, run as root before the user is changed.
    #[must_use]
    pub fn inside(mut self, words: &[&str]) -> Claw<'a> {
        self.around.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Sets a variable in claw's own environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Claw<'a> {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What it reads on standard input.
    #[must_use]
    pub fn input(mut self, bytes: &[u8]) -> Claw<'a> {
        self.input = bytes.to_vec();
        self
    }

    /// How long it may take, in seconds.
    #[must_use]
    pub fn within(mut self, seconds: u64) -> Claw<'a> {
        self.patience = Duration::from_secs(seconds);
        self
    }

    /// Where it starts.
    #[must_use]
    pub fn at(mut self, directory: PathBuf) -> Claw<'a> {
        self.directory = directory;
        self
    }

    /// Adds an option of `claw run`.
    #[must_use]
    pub fn option(mut self, words: &[&str]) -> Claw<'a> {
        let before = self.words.len().saturating_sub(1);
        self.words.splice(before..before, words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Runs a shell script to its end.
    pub fn sh(self, script: &str) -> Outcome {
        self.command(&["sh", "-c", script])
    }

    /// Runs a command to its end.
    pub fn command(self, words: &[&str]) -> Outcome {
        self.start(words).end()
    }

    /// Starts a command.
    pub fn start(self, words: &[&str]) -> Running<'a> {
        let own = words.iter().map(|word| (*word).to_owned());
        let mut whole: Vec<String> = self.around.clone();
        let user = self.lab.user();
        if !whole.is_empty() && user == User::Ordinary {
            let number = user.number().to_string();
            let change = ["setpriv", "--reuid", &number, "--regid", &number, "--clear-groups", "--"];
            whole.extend(change.map(str::to_owned));
        }
        whole.extend(self.words.iter().cloned());
        whole.extend(own);
        let (program, arguments) = whole.split_first().unwrap();
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.directory).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin").env("LANG", "C.UTF-8");
        command.env("HOME", self.lab.path("home")).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("XDG_STATE_HOME", self.lab.path("state")).env("XDG_CONFIG_HOME", self.lab.path("config"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if self.around.is_empty() && user == User::Ordinary {
            command.uid(user.number()).gid(user.number());
        }
        let begun = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        let mut input = child.stdin.take().unwrap();
        let bytes = self.input;
        thread::spawn(move || {
            let _ = input.write_all(&bytes);
        });
        let output = [drain(child.stdout.take().unwrap()), drain(child.stderr.take().unwrap())];
        Running { lab: self.lab, child, output, ledger: self.ledger, begun, patience: self.patience }
    }
}

impl Running<'_> {
    /// Its process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, number: i32) {
        // the child is not waited for yet, so its number is still its own
        claw_sys::signal::send(self.pid(), number).unwrap();
    }

    /// Waits for its end; kills it and stops the test if it takes too long. Its ledger must be sound.
    pub fn end(mut self) -> Outcome {
        let mut late = false;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if !late && self.begun.elapsed() > self.patience {
                late = true;
                self.signal(libc::SIGKILL);
            }
            thread::sleep(Duration::from_millis(2));
        };
        let took = self.begun.elapsed();
        let [stdout, stderr] =
            self.output.map(|thread| String::from_utf8_lossy(&thread.join().unwrap()).into_owned());
        let code = status.code().or_else(|| Some(status.signal()?.saturating_add(128))).unwrap();
        let records = self.ledger.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let records = records.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let records = records.map(|line| serde_json::from_str(line).unwrap()).collect();
        let outcome = Outcome { code, stdout, stderr, took, ledger: self.ledger.clone(), records };
        assert!(!late, "not done after {:?}: {outcome:#?}", self.patience);
        // killed between making the file and its first record: nothing had happened, and nothing is told
        let begun = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| code != 137 || file.len() > 0);
        if let Some(path) = self.ledger.filter(begun) {
            let verdict = self.lab.cli(&["ledger", "verify", &path.to_string_lossy()]);
            assert_eq!(verdict.code, 0, "the ledger is not sound: {verdict:#?} of {outcome:#?}");
        }
        outcome
    }
}

fn drain(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}
