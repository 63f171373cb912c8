//! Places in the history: what comes before and after a commit, and whether a key counts there.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use gix_hash::ObjectId;

use crate::finding::{Code, Finding};
use crate::graph::{Graph, Set};
use crate::signers::Signer;

/// Places in the history, with what was computed for them kept.
pub(crate) struct Position<'a> {
    graph: &'a Graph,
    before: RefCell<BTreeMap<u32, Rc<Set>>>,
    after: RefCell<BTreeMap<u32, Rc<Set>>>,
}

/// Why a key does not count at a place.
pub(crate) enum Misplaced {
    Early(ObjectId),
    Late(ObjectId),
    Unknown(ObjectId),
    Revoked(String),
}

impl<'a> Position<'a> {
    pub(crate) fn new(graph: &'a Graph) -> Position<'a> {
        Position { graph, before: RefCell::default(), after: RefCell::default() }
    }

    /// Whether a commit is the other, or comes before it.
    pub(crate) fn is_before(&self, number: u32, other: u32) -> bool {
        let mut kept = self.before.borrow_mut();
        let set = kept.entry(other).or_insert_with(|| Rc::new(self.graph.ancestors([other])));
        set.contains(number)
    }

    /// Whether a commit is the other, or follows it.
    pub(crate) fn is_after(&self, number: u32, other: u32) -> bool {
        let mut kept = self.after.borrow_mut();
        let set = kept.entry(other).or_insert_with(|| Rc::new(self.graph.descendants(other)));
        set.contains(number)
    }

    /// Whether a key counts for a commit at this place.
    pub(crate) fn holds(&self, signer: &Signer, number: u32) -> Result<(), Misplaced> {
        let find = |id: ObjectId| self.graph.find(&id).ok_or(Misplaced::Unknown(id));
        let late = match signer.until {
            Some(until) => !self.is_before(number, find(until)?),
            None => false,
        };
        if let Some(reason) = signer.revoked.as_ref().filter(|_| late || signer.until.is_none()) {
            return Err(Misplaced::Revoked(reason.clone()));
        }
        if let (true, Some(until)) = (late, signer.until) {
            return Err(Misplaced::Late(until));
        }
        if let Some(from) = signer.from
            && !self.is_after(number, find(from)?)
        {
            return Err(Misplaced::Early(from));
        }
        Ok(())
    }
}

impl Misplaced {
    pub(super) fn finding(&self, name: &str) -> Finding {
        let (code, why) = match self {
            Misplaced::Early(from) => (
                Code::OutOfRange,
                format!("the key of {name} counts from {from} on, and this commit does not follow it"),
            ),
            Misplaced::Late(until) => (
                Code::OutOfRange,
                format!(
                    "the key of {name} counts up to {until}, and this commit is not part of what led there"
                ),
            ),
            Misplaced::Unknown(id) => (
                Code::OutOfRange,
                format!("the key of {name} counts by the commit {id}, which is not in this history"),
            ),
            Misplaced::Revoked(reason) => (Code::Revoked, format!("the key of {name} is revoked: {reason}")),
        };
        Finding::error(code, why).signer(name)
    }
}
