//! What a commit changes: paths that differ from its parent, or, for a merge, from what its parents give together.
//!
//! There is no merge engine here. At each path, the sides of a merge are compared with their base: if one side changed it, that side's value
//! is expected; if several did, differently, what stands there is the merge's own. So is everything that is not as expected.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use gix_hash::ObjectId;
use gix_object::TreeRefIter;

use crate::source::{ReadError, Source, What};

/// What stands at a name in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) mode: u16,
    pub(crate) id: ObjectId,
}

/// A path that a commit answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) path: Vec<u8>,
    pub(crate) why: OwnKind,
}

/// Why a path is a commit's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnKind {
    /// It differs from the only parent.
    Changed,
    /// Several sides changed it, and the merge says how it ends.
    Resolved,
    /// No side changed it like this: the merge did.
    Slipped,
}

type Tree = Rc<BTreeMap<Vec<u8>, Entry>>;

/// Trees by their id, a few of them kept.
pub(crate) struct Trees<'a> {
    source: &'a dyn Source,
    kept: RefCell<HashMap<ObjectId, Tree>>,
}

impl Entry {
    pub(crate) fn is_tree(self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }
}

impl<'a> Trees<'a> {
    pub(crate) fn new(source: &'a dyn Source) -> Trees<'a> {
        Trees { source, kept: RefCell::default() }
    }

    pub(crate) fn read(&self, id: &ObjectId) -> Result<Tree, ReadError> {
        if let Some(tree) = self.kept.borrow().get(id) {
            return Ok(Rc::clone(tree));
        }
        let tree = if id.is_null() || id.is_empty_tree() {
            Tree::default()
        } else {
            Rc::new(parse(id, &self.source.read(id, What::Tree)?)?)
        };
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(*id, Rc::clone(&tree));
        Ok(tree)
    }

    /// The content's id at a path.
    pub(crate) fn find(&self, root: &ObjectId, path: &str) -> Result<Option<ObjectId>, ReadError> {
        let names = path.split('/').map(str::as_bytes);
        let is_file = |at: &Entry| at.mode & 0o170_000 == 0o100_000;
        Ok(self.entry(root, names)?.filter(is_file).map(|at| at.id))
    }

    fn entry<'p>(
        &self,
        root: &ObjectId,
        names: impl Iterator<Item = &'p [u8]>,
    ) -> Result<Option<Entry>, ReadError> {
        let mut at = Entry { mode: 0o040_000, id: *root };
        for name in names {
            if !at.is_tree() {
                return Ok(None);
            }
            match self.read(&at.id)?.get(name) {
                Some(entry) => at = *entry,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The paths that a commit answers for. Without parents that is all of them. The first base list is that of the first two parents, the
    /// next that of what these give together and the third, and so on: as if each side were merged by a commit of its own.
    pub(crate) fn own(
        &self,
        result: &ObjectId,
        parents: &[ObjectId],
        bases: &[Vec<ObjectId>],
        kind: OwnKind,
    ) -> Result<Vec<Own>, ReadError> {
        let tree = |id: &ObjectId| Some(Entry { mode: 0o040_000, id: *id });
        let parents: Vec<_> =
            if parents.is_empty() { vec![None] } else { parents.iter().map(tree).collect() };
        // order: what has no common history grew from nothing
        let base =
            |of: &Vec<ObjectId>| if of.is_empty() { vec![None] } else { of.iter().map(tree).collect() };
        let bases: Vec<Vec<_>> = bases.iter().map(base).collect();
        let mut found = Vec::new();
        self.compare(&mut Vec::new(), tree(result), &parents, &bases, &mut |path, conflict| {
            found.push(Own { path, why: if conflict { OwnKind::Resolved } else { kind } });
        })?;
        Ok(found)
    }

    fn compare(
        &self,
        path: &mut Vec<u8>,
        result: Option<Entry>,
        parents: &[Option<Entry>],
        bases: &[Vec<Option<Entry>>],
        take: &mut dyn FnMut(Vec<u8>, bool),
    ) -> Result<(), ReadError> {
        let outcome = outcome(parents, bases);
        if outcome == Outcome::Expect(result) {
            return Ok(());
        }
        let whole =
            [result].into_iter().chain(parents.iter().copied()).chain(bases.iter().flatten().copied());
        let below = whole.flatten().any(Entry::is_tree);
        if !below {
            take(path.clone(), outcome == Outcome::Conflict);
            return Ok(());
        }
        let open = |entry: Option<Entry>| match entry {
            Some(entry) if entry.is_tree() => self.read(&entry.id),
            _ => Ok(Tree::default()),
        };
        let leaf = |entry: Option<Entry>| entry.filter(|entry| !entry.is_tree());
        let files: Vec<_> = parents.iter().map(|entry| leaf(*entry)).collect();
        let base_files: Vec<Vec<_>> =
            bases.iter().map(|bases| bases.iter().map(|entry| leaf(*entry)).collect()).collect();
        let any_file =
            leaf(result).is_some() || files.iter().chain(base_files.iter().flatten()).any(Option::is_some);
        if any_file {
            self.compare(path, leaf(result), &files, &base_files, take)?;
        }
        let result = open(result)?;
        let parents = parents.iter().map(|entry| open(*entry)).collect::<Result<Vec<_>, _>>()?;
        let bases = bases
            .iter()
            .map(|bases| bases.iter().map(|entry| open(*entry)).collect::<Result<Vec<_>, _>>())
            .collect::<Result<Vec<_>, _>>()?;
        let names: BTreeSet<&Vec<u8>> = [&result]
            .into_iter()
            .chain(&parents)
            .chain(bases.iter().flatten())
            .flat_map(|tree| tree.keys())
            .collect();
        for name in names {
            let at = |tree: &Tree| tree.get(name).copied();
            let length = path.len();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            let parents: Vec<_> = parents.iter().map(at).collect();
            let bases: Vec<Vec<_>> = bases.iter().map(|bases| bases.iter().map(at).collect()).collect();
            let deep = path.iter().filter(|byte| **byte == b'/').count() > DEEPEST;
            if deep {
                take(path.clone(), false);
            } else {
                self.compare(path, at(&result), &parents, &bases, take)?;
            }
            path.truncate(length);
        }
        Ok(())
    }
}

/// What the sides of a merge give together, at one path.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Expect(Option<Entry>),
    Conflict,
}

/// One side after the other, each with the bases that it has in common with those before it.
fn outcome(parents: &[Option<Entry>], bases: &[Vec<Option<Entry>>]) -> Outcome {
    let mut parents = parents.iter().copied();
    let mut value = parents.next().flatten();
    for (side, bases) in parents.zip(bases) {
        let mut given = bases.iter().map(|base| together(*base, value, side));
        match given.next() {
            // order: where the bases of a crossed history say different things, whoever merges chose between them
            Some(Outcome::Expect(first)) if given.all(|other| other == Outcome::Expect(first)) => {
                value = first
            }
            _ => return Outcome::Conflict,
        }
    }
    Outcome::Expect(value)
}

fn together(base: Option<Entry>, one: Option<Entry>, other: Option<Entry>) -> Outcome {
    if one == other || other == base {
        Outcome::Expect(one)
    } else if one == base {
        Outcome::Expect(other)
    } else {
        Outcome::Conflict
    }
}

/// Reads a tree; a name twice, or one that leads elsewhere, is refused.
fn parse(id: &ObjectId, data: &[u8]) -> Result<BTreeMap<Vec<u8>, Entry>, ReadError> {
    let mut tree = BTreeMap::new();
    for entry in TreeRefIter::from_bytes(data, id.kind()) {
        let entry = entry.map_err(|error| ReadError::Storage { id: *id, source: Box::new(error) })?;
        let name = entry.filename.to_vec();
        let none = matches!(name.as_slice(), b"" | b"." | b"..") || name.contains(&b'/');
        let dot_git = name.eq_ignore_ascii_case(b".git");
        let entry = Entry { mode: entry.mode.value(), id: entry.oid.to_owned() };
        if none || dot_git || tree.insert(name, entry).is_some() {
            return Err(ReadError::Tree(*id));
        }
    }
    Ok(tree)
}

const KEPT: usize = 2048;
const DEEPEST: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Option<Entry> {
        let id = gix_object::compute_hash(gix_hash::Kind::Sha1, gix_object::Kind::Blob, text.as_bytes());
        (!text.is_empty()).then(|| Entry { mode: 0o100_644, id: id.unwrap() })
    }

    #[test]
    fn one_side_that_changed_is_expected_and_two_are_a_conflict() {
        let check = |base: &str, sides: &[&str], expect: Option<&str>| {
            let sides: Vec<_> = sides.iter().map(|side| entry(side)).collect();
            let expect = expect.map_or(Outcome::Conflict, |text| Outcome::Expect(entry(text)));
            let bases = vec![vec![entry(base)]; sides.len() - 1];
            assert_eq!(outcome(&sides, &bases), expect, "{base}");
        };
        check("a", &["a", "a"], Some("a"));
        check("a", &["b", "a"], Some("b"));
        check("a", &["a", "b"], Some("b"));
        check("a", &["b", "b"], Some("b"));
        check("a", &["", "a"], Some(""));
        check("", &["", "b"], Some("b"));
        check("a", &["b", "c"], None);
        check("a", &["a", "b", "c"], None);
        check("a", &["", "b"], None);
        // the third side undid what the second still has: each side has a base of its own
        let sides = [entry("a"), entry("b"), entry("a")];
        assert_eq!(outcome(&sides, &[vec![entry("a")], vec![entry("b")]]), Outcome::Expect(entry("a")));
        // two bases that say different things
        let sides = [entry("a"), entry("b")];
        assert_eq!(outcome(&sides, &[vec![entry("a"), entry("b")]]), Outcome::Conflict);
    }

    #[test]
    fn a_tree_with_two_readings_is_refused() {
        let id = ObjectId::empty_tree(gix_hash::Kind::Sha1);
        let line = |mode: &str, name: &str| [format!("{mode} {name}\0").as_bytes(), &[7; 20]].concat();
        let read = |lines: &[Vec<u8>]| parse(&id, &lines.concat()).is_ok();
        assert!(read(&[line("100644", "a"), line("40000", "b")]));
        for name in ["..", ".", "a/b", ".GIT"] {
            assert!(!read(&[line("100644", name)]), "{name}");
        }
        assert!(!read(&[line("100644", "a"), line("40000", "a")]));
        assert!(!read(&[b"100644 a".to_vec()]));
    }
}
