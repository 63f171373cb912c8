//! Asks the runs what they do, each on a thread of its own: one that does not answer holds up no other, and it is not
//! asked again before it has.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use claw_run::control::{self, Answer, ControlError, Question, Running};

use super::screen::{Key, Live, Run, State};

/// Those that were asked, and what they said before.
#[derive(Debug, Default)]
pub(crate) struct Asker {
    pending: BTreeMap<Key, Receiver<Heard>>,
    before: BTreeMap<Key, (Box<Running>, Instant)>,
}

/// What came of asking one.
#[derive(Debug)]
pub(crate) enum Heard {
    /// An answer, and when.
    Said(Box<Running>, Instant),
    /// None, and why.
    Silent(String),
    /// It ended in the meantime.
    Gone,
}

impl Asker {
    /// What each run does, with rates since the last time; those that do not answer come last.
    pub(crate) fn round(&mut self) -> io::Result<Vec<Run>> {
        let heard = self.answers()?;
        let before = std::mem::take(&mut self.before);
        let mut runs = Vec::with_capacity(heard.len());
        let mut silent = Vec::new();
        for (key, heard) in heard {
            match heard {
                Heard::Said(running, at) => {
                    let earlier = before.get(&key);
                    let earlier =
                        earlier.map(|(running, then)| (&**running, at.saturating_duration_since(*then)));
                    let live = Box::new(Live::new(earlier, &running));
                    runs.push(Run { key: key.clone(), state: State::Live(live) });
                    self.before.insert(key, (running, at));
                }
                Heard::Silent(why) => silent.push(Run { key, state: State::Silent(why) }),
                Heard::Gone => {}
            }
        }
        runs.append(&mut silent);
        Ok(runs)
    }

    /// What each run says now, in the order of their names.
    pub(crate) fn answers(&mut self) -> io::Result<Vec<(Key, Heard)>> {
        let runs: Vec<Key> = control::runs()?.into_iter().map(|(user, name)| Key { user, name }).collect();
        self.pending.retain(|key, _| runs.contains(key));
        let mut all = Vec::with_capacity(runs.len());
        for some in runs.chunks(AT_ONCE) {
            some.iter().for_each(|key| self.ask(key));
            let deadline = Instant::now().checked_add(PATIENCE);
            for key in some {
                let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                all.push((key.clone(), self.wait(key, left.unwrap_or_default())));
            }
        }
        Ok(all)
    }

    fn ask(&mut self, key: &Key) {
        if self.pending.contains_key(key) {
            return;
        }
        let (sender, receiver) = sync_channel(1);
        let asked = key.clone();
        let thread = thread::Builder::new().spawn(move || {
            // whoever asked may have left
            let _ = sender.send(heard(&asked));
        });
        if thread.is_ok() {
            self.pending.insert(key.clone(), receiver);
        }
    }

    fn wait(&mut self, key: &Key, patience: Duration) -> Heard {
        let Some(receiver) = self.pending.get(key) else { return Heard::Silent(SILENT.to_owned()) };
        match receiver.recv_timeout(patience) {
            Ok(heard) => {
                self.pending.remove(key);
                heard
            }
            Err(RecvTimeoutError::Timeout) => Heard::Silent(SILENT.to_owned()),
            Err(RecvTimeoutError::Disconnected) => {
                self.pending.remove(key);
                Heard::Silent(SILENT.to_owned())
            }
        }
    }
}

fn heard(key: &Key) -> Heard {
    match control::ask(key.user, &key.name, &Question::Status) {
        Ok(Answer::Status(running)) => Heard::Said(running, Instant::now()),
        Ok(_) | Err(ControlError::Silent { .. }) => Heard::Silent(SILENT.to_owned()),
        Err(ControlError::Foreign { user, .. }) => {
            Heard::Silent(format!("its name was taken by user {user}"))
        }
        Err(ControlError::None { .. }) => Heard::Gone,
    }
}

const SILENT: &str = "does not answer";
const PATIENCE: Duration = Duration::from_secs(1);
/// Names can be made by anyone on this machine.
const AT_ONCE: usize = 64;
