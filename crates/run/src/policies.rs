//! The policy's file, while the agent runs: watched, read again by a reader, and let hold if it is sound.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use claw_gate::{Cause, Gate, Roots};
use claw_model::digest::Digest;
use claw_plan::Plan;
use claw_policy::{Change, Policy};
use claw_sys::watch;
use claw_verify::policy::Role;
use jiff::Timestamp;
use tokio::io::unix::AsyncFd;

use crate::exposed;
use crate::facts::canonical;
use crate::reader::Reader;
use crate::reread::{self, Reread};
use crate::seen::Seen;
use crate::signed::{self, Held, SignedError};
use crate::source::{self, Stamp, Unusable};
use crate::supervisor::{told, waitable};
use crate::{Host, Job};

/// The policy's file, watched.
pub(crate) struct Policies<'a> {
    job: &'a Job,
    fresh: Option<OwnedFd>,
    watch: Option<AsyncFd<OwnedFd>>,
    reader: Option<Reader>,
    stamp: Stamp,
    /// The file could not be read: it is tried again.
    unread: bool,
    /// The versions of the policy that were seen, where it must be signed.
    seen: Option<Seen>,
    /// Until when what was signed holds.
    until: Option<Timestamp>,
    /// It is over, and the gate could not take that yet: told once.
    overdue: bool,
}

impl<'a> Policies<'a> {
    /// Begins to watch, with a reader. This process must have no other threads.
    pub(crate) fn watch(
        job: &'a Job,
        plan: &Plan,
        directory: &Path,
        seen: Option<Seen>,
    ) -> io::Result<Policies<'a>> {
        let until = job.held.as_ref().map(|held| held.release().expires);
        let mut policies = Policies {
            job,
            fresh: None,
            watch: None,
            reader: None,
            stamp: None,
            unread: false,
            seen,
            until,
            overdue: false,
        };
        // an observed run keeps what it had
        let source = job.source.as_ref().filter(|_| job.observe.is_none());
        let Some(source) = source else { return Ok(policies) };
        let ceilings: Vec<PathBuf> = job.policy.ceilings().into_iter().map(Path::to_owned).collect();
        policies.fresh = watch::directory(source::directory(&source.file))
            .and_then(|watch| {
                ceilings
                    .iter()
                    .try_for_each(|file| watch::more_of(watch.as_fd(), source::directory(file)))?;
                Ok(watch)
            })
            .inspect_err(|error| {
                (job.tell)(&format!("the policy is not watched for changes, SIGHUP reads it again: {error}"));
            })
            .ok();
        let exposed = exposed::is_exposed(plan, &canonical(&directory.join(&source.file)));
        let mut reread = Reread { source, plan, directory, exposed, ceilings };
        policies.stamp = reread.stamp();
        policies.reader = Some(Reader::start(None, |question| reread.answer(question))?);
        Ok(policies)
    }

    /// The event loop runs: changes are waited for.
    pub(crate) fn begin(&mut self) {
        self.watch = self.fresh.take().and_then(|watch| waitable(watch).ok());
    }

    pub(crate) fn has_source(&self) -> bool {
        self.job.source.is_some() && self.job.observe.is_none()
    }

    /// Waits until something in the policy's directory changes.
    pub(crate) async fn changed(&self) {
        let Some(watch) = &self.watch else { return std::future::pending().await };
        let Ok(mut ready) = watch.readable().await else { return std::future::pending().await };
        let _ = watch::take(watch.get_ref().as_fd());
        ready.clear_ready();
    }

    /// Something changed; if it was the policy, it is read again.
    pub(crate) async fn take_change(&mut self, gate: &Gate) {
        let Some(reader) = &mut self.reader else { return };
        // a reader that is gone is told of when the policy is read
        let stamp = reread::stamp(reader).await.unwrap_or_default();
        // a file that is taken away is about to be put there again, or the run goes on under what it had
        if stamp.is_some() && stamp != self.stamp {
            let _ = self.reload(gate, "the file changed").await;
        }
    }

    /// A file that could not be read may be readable now.
    pub(crate) async fn try_again(&mut self, gate: &Gate) {
        if self.unread {
            let _ = self.reload(gate, "the file changed").await;
        }
    }

    /// A signed policy past its time permits nothing any more. It is tried until the gate has taken it.
    pub(crate) fn expire(&mut self, gate: &Gate) {
        let Some(until) = self.until.filter(|until| Timestamp::now() > *until) else { return };
        let why = format!("what was signed held until {until}");
        match gate.adopt(Change::Policy(Policy::deny_all()), None, why.as_str()) {
            Ok(closed) => {
                (self.until, self.overdue) = (None, false);
                (self.job.tell)(&format!("nothing is permitted any more: {why}; {closed} flows closed"));
            }
            Err(error) if !std::mem::replace(&mut self.overdue, true) => gate.refused(&told(&error)),
            Err(_) => {}
        }
    }

    /// Reads the policy again and lets it hold. A broken one changes nothing, and that is said.
    pub(crate) async fn reload(&mut self, gate: &Gate, why: &str) -> Result<u64, String> {
        let (Some(source), Some(reader)) = (&self.job.source, &mut self.reader) else {
            return Err("the run has no policy file".to_owned());
        };
        let (old, _) = gate.rules();
        let content = match reread::content(reader).await {
            Ok((stamp, content)) => {
                self.stamp = stamp;
                content
            }
            Err(error) => Err(Unusable::Bad(format!("the process that reads it is gone: {error}"))),
        };
        // a change that takes something back must not be lost to a full table of descriptors: tried again, told once
        let again = self.unread;
        self.unread = matches!(content, Err(Unusable::Unread(_)));
        if let (Err(Unusable::Unread(why)), true) = (&content, again) {
            return Err(why.clone());
        }
        let read = content.and_then(|content| {
            let held = source.judge(&content.text, content.signature.as_deref());
            // the signature of the next policy is put in place before that policy: until then, this one holds as it did
            if held.is_err() && Digest::of(content.text.as_bytes()) == old.digest() {
                return Ok(None);
            }
            let held = held?;
            let policy = source.parse(&content.text, &|named, by| {
                let file = content.ceiling(named, by)?;
                held.as_ref().map_or(Ok(()), |held| signed::ceiling(held, named, &file))?;
                Ok(file)
            })?;
            Ok(Some((policy, content, held)))
        });
        let read = read.map_err(|unusable| match unusable {
            Unusable::Unread(why) | Unusable::Bad(why) => why,
        });
        let (seen, until) = (&mut self.seen, &mut self.until);
        let mut admit = |held: &Held| -> Result<(), String> {
            let seen = seen.as_mut().ok_or("the versions that were seen are not known")?;
            seen.admit(&held.release().name, held.version()).map_err(|error| told(&error))
        };
        let adopted = read.and_then(|read| {
            let Some((new, content, held)) = read else { return Ok(None) };
            // the same policy, which may have been signed anew
            if new.digest() == old.digest() {
                if let Some(held) = &held {
                    admit(held)?;
                    *until = Some(held.release().expires);
                }
                return Ok(None);
            }
            if let Some(file) = content.exposed {
                return Err(format!(
                    "`{file}` lies where the agent may write: what names it holds from the next run on"
                ));
            }
            if let Some(held) = &held {
                let files = content.material.files.iter();
                for (path, content) in files {
                    held.holds(Role::Certificates, path, content)?;
                }
            }
            let roots = Roots::made(&new, &content.material).map_err(|error| told(&error))?;
            // order: on the disk before it holds
            held.as_ref().map_or(Ok(()), &mut admit)?;
            let cause = Cause { why: why.to_owned(), signed: held.as_ref().map(Held::record) };
            let closed =
                gate.adopt(Change::Policy(new.clone()), Some(roots), cause).map_err(|error| told(&error))?;
            *until = held.as_ref().map(|held| held.release().expires);
            Ok(Some((new, closed)))
        });
        match adopted {
            Ok(None) => Ok(0),
            Ok(Some((new, closed))) => {
                let later = old.filesystem() != new.filesystem() || old.process() != new.process();
                let note = if later { "; `filesystem` and `process` hold from the next run on" } else { "" };
                (self.job.tell)(&format!("policy changed ({why}): {closed} flows closed{note}"));
                Ok(closed)
            }
            Err(error) => {
                gate.refused(&error);
                (self.job.tell)(&format!("the new policy is refused, the old one holds: {error}"));
                Err(error)
            }
        }
    }
}

/// A version that must be signed becomes the highest that was seen. From here on, only policies of its name follow it.
pub(crate) fn admitted(mut job: Job, host: &Host) -> Result<(Job, Option<Seen>), SignedError> {
    let Some(source) = &mut job.source else { return Ok((job, None)) };
    let Some(demand) = source.signed.take() else { return Ok((job, None)) };
    let Some(held) = &job.held else {
        let signature = signed::signature_of(&source.file);
        return Err(SignedError::Unsigned { policy: source.name.display().to_string(), signature });
    };
    let name = held.release().name.clone();
    let mut seen = Seen::open(&canonical(&host.state), &name)?;
    seen.admit(&name, held.version())?;
    source.signed = Some(demand.named(held));
    Ok((job, Some(seen)))
}
