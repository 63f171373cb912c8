//! The history as numbers: parents before children. A commit's number is its place in that order.
//!
//! All of the history is read, all parents of each commit; nothing is skipped because of a date or an index that somebody stored. It
//! takes about a hundred bytes for each commit, and none for what is in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gix_hash::ObjectId;

use crate::object;
use crate::source::{ReadError, Source, What};

/// A history.
#[derive(Debug, Default)]
pub struct Graph {
    ids: Vec<ObjectId>,
    trees: Vec<ObjectId>,
    parents: Vec<Box<[u32]>>,
    index: HashMap<ObjectId, u32>,
    /// Commits that are not what their name says.
    pub(crate) forged: Vec<ReadError>,
}

/// A set of commits.
#[derive(Debug, Clone, Default)]
pub struct Set {
    bits: Vec<u64>,
}

impl Graph {
    /// Reads everything that can be reached from these commits.
    pub fn read(
        source: &dyn Source,
        tips: &[ObjectId],
        tell: &mut dyn FnMut(usize),
    ) -> Result<Graph, ReadError> {
        let mut graph = Graph::default();
        let empty = ObjectId::null(source.hash());
        let mut waiting: Vec<u32> = tips.iter().map(|tip| graph.number(*tip, empty)).collect();
        waiting.sort_unstable();
        waiting.dedup();
        let mut read = 0_usize;
        while let Some(number) = waiting.pop() {
            let id = graph.id(number);
            let links = match source.read(&id, What::Commit) {
                Ok(data) => object::links(&data, source.hash()),
                Err(error @ (ReadError::Id { .. } | ReadError::Collision(_))) => {
                    graph.forged.push(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            // what has no readable tree or parents is told when it is judged
            let Ok((tree, parents)) = links else { continue };
            let known = graph.ids.len();
            let parents: Box<[u32]> = parents.iter().map(|parent| graph.number(*parent, empty)).collect();
            let new = parents.iter().filter(|parent| to_usize(**parent) >= known);
            let before = waiting.len();
            waiting.extend(new);
            // a parent that is named twice waits once
            let mut tail = waiting.split_off(before);
            tail.sort_unstable();
            tail.dedup();
            waiting.append(&mut tail);
            if let Some(slot) = graph.trees.get_mut(to_usize(number)) {
                *slot = tree;
            }
            if let Some(slot) = graph.parents.get_mut(to_usize(number)) {
                *slot = parents;
            }
            read = read.saturating_add(1);
            tell(read);
        }
        Ok(graph.sorted())
    }

    /// How many commits there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// All numbers, parents first.
    pub fn all(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.ids.len()).unwrap_or(u32::MAX)
    }

    /// The commit with this number.
    pub fn id(&self, number: u32) -> ObjectId {
        self.ids.get(to_usize(number)).copied().unwrap_or_else(|| ObjectId::null(gix_hash::Kind::Sha1))
    }

    /// Its tree; the null id if it has no readable one.
    pub fn tree(&self, number: u32) -> ObjectId {
        self.trees.get(to_usize(number)).copied().unwrap_or_else(|| ObjectId::null(gix_hash::Kind::Sha1))
    }

    /// Its parents.
    pub fn parents(&self, number: u32) -> &[u32] {
        self.parents.get(to_usize(number)).map(|parents| &**parents).unwrap_or_default()
    }

    /// The number of a commit.
    pub fn find(&self, id: &ObjectId) -> Option<u32> {
        self.index.get(id).copied()
    }

    /// These commits and everything before them.
    pub fn ancestors(&self, tips: impl IntoIterator<Item = u32>) -> Set {
        let mut set = Set::of(self.len());
        for tip in tips {
            set.insert(tip);
        }
        for number in self.all().rev() {
            if set.contains(number) {
                for parent in self.parents(number) {
                    set.insert(*parent);
                }
            }
        }
        set
    }

    /// This commit and everything after it.
    pub fn descendants(&self, of: u32) -> Set {
        let mut set = Set::of(self.len());
        set.insert(of);
        for number in self.all().skip(to_usize(of)) {
            if self.parents(number).iter().any(|parent| set.contains(*parent)) {
                set.insert(number);
            }
        }
        set
    }

    /// The commits without parents that lead to any of these.
    pub fn roots(&self, of: impl IntoIterator<Item = u32>) -> BTreeSet<u32> {
        let set = self.ancestors(of);
        self.all().filter(|number| set.contains(*number) && self.parents(*number).is_empty()).collect()
    }

    /// Of these commits, each once, those that are no ancestor of another.
    pub fn independent(&self, of: &[u32]) -> Vec<u32> {
        let mut kept: Vec<u32> = Vec::new();
        for number in of {
            let mut known = false;
            kept.retain(|other| {
                let bases = if other == number { vec![*number] } else { self.bases(&[*other], *number) };
                known |= bases.contains(number);
                known || !bases.contains(other)
            });
            if !known {
                kept.push(*number);
            }
        }
        kept
    }

    /// The best common ancestors of what these commits together lead to and of another: those that are no ancestor of another common one.
    pub fn bases(&self, of: &[u32], and: u32) -> Vec<u32> {
        let mut waiting: BTreeMap<u32, (u8, bool)> = BTreeMap::new();
        for number in of {
            waiting.entry(*number).or_default().0 |= 1;
        }
        waiting.entry(and).or_default().0 |= 2;
        let mut found = Vec::new();
        // order: the highest number first, so everything that leads to a commit was seen before it
        while waiting.values().any(|(_, stale)| !stale) {
            let Some((number, (seen, mut stale))) = waiting.pop_last() else { break };
            if seen == 3 && !stale {
                found.push(number);
                stale = true;
            }
            for parent in self.parents(number) {
                let entry = waiting.entry(*parent).or_insert((0, true));
                let fresh = entry.0 == 0;
                entry.0 |= seen;
                entry.1 = if fresh { stale } else { entry.1 || stale };
            }
        }
        found
    }

    fn number(&mut self, id: ObjectId, empty: ObjectId) -> u32 {
        let next = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        let number = *self.index.entry(id).or_insert(next);
        if number == next {
            self.ids.push(id);
            self.trees.push(empty);
            self.parents.push(Box::default());
        }
        number
    }

    /// The same history, numbered parents first.
    fn sorted(self) -> Graph {
        let mut place: Vec<u32> = vec![u32::MAX; self.len()];
        let mut order: Vec<u32> = Vec::with_capacity(self.len());
        let mut entered = Set::of(self.len());
        for start in self.all() {
            let mut stack = vec![(start, 0_usize)];
            while let Some((number, next)) = stack.pop() {
                if next == 0 {
                    if entered.contains(number) {
                        continue;
                    }
                    entered.insert(number);
                }
                if let Some(parent) = self.parents(number).get(next) {
                    stack.push((number, next.saturating_add(1)));
                    if !entered.contains(*parent) {
                        stack.push((*parent, 0));
                    }
                } else if let Some(slot) = place.get_mut(to_usize(number)) {
                    *slot = u32::try_from(order.len()).unwrap_or(u32::MAX);
                    order.push(number);
                }
            }
        }
        let moved = |number: u32| place.get(to_usize(number)).copied().unwrap_or(u32::MAX);
        Graph {
            ids: order.iter().map(|number| self.id(*number)).collect(),
            trees: order.iter().map(|number| self.tree(*number)).collect(),
            parents: order
                .iter()
                .map(|number| self.parents(*number).iter().map(|parent| moved(*parent)).collect())
                .collect(),
            index: self.index.iter().map(|(id, number)| (*id, moved(*number))).collect(),
            forged: self.forged,
        }
    }
}

impl Set {
    fn of(size: usize) -> Set {
        Set { bits: vec![0; size.div_ceil(64)] }
    }

    /// Adds a commit.
    pub fn insert(&mut self, number: u32) {
        if let Some(word) = self.bits.get_mut(to_usize(number / 64)) {
            *word |= 1 << (number % 64);
        }
    }

    /// Whether a commit is in it.
    pub fn contains(&self, number: u32) -> bool {
        self.bits.get(to_usize(number / 64)).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }
}

pub(crate) fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A history by its edges; numbers are already parents first.
    fn graph(edges: &[&[u32]]) -> Graph {
        let id = |n: usize| ObjectId::from_hex(format!("{n:040x}").as_bytes()).unwrap();
        Graph {
            ids: (0..edges.len()).map(id).collect(),
            trees: (0..edges.len()).map(id).collect(),
            parents: edges.iter().map(|parents| parents.to_vec().into_boxed_slice()).collect(),
            index: (0..edges.len()).map(|n| (id(n), u32::try_from(n).unwrap())).collect(),
            forged: Vec::new(),
        }
    }

    #[test]
    fn all_parents_are_walked() {
        // 0 - 1 - 3 - 4, and 2 behind the merge 3
        let graph = graph(&[&[], &[0], &[0], &[1, 2], &[3]]);
        let before = graph.ancestors([4]);
        assert!(graph.all().all(|number| before.contains(number)));
        let after = graph.descendants(2);
        assert_eq!(graph.all().filter(|number| after.contains(*number)).collect::<Vec<_>>(), [2, 3, 4]);
    }

    #[test]
    fn the_bases_of_a_merge_are_the_best_ones() {
        let plain = graph(&[&[], &[0], &[1], &[1], &[2, 3]]);
        assert_eq!(plain.bases(&[2], 3), [1]);
        // criss-cross: 1 and 2 are merged twice
        let crossed = graph(&[&[], &[0], &[0], &[1, 2], &[2, 1], &[3, 4]]);
        assert_eq!(crossed.bases(&[3], 4), [2, 1]);
        let strangers = graph(&[&[], &[], &[0, 1]]);
        assert_eq!(strangers.bases(&[0], 1), Vec::<u32>::new());
        let forward = graph(&[&[], &[0], &[1]]);
        assert_eq!(forward.bases(&[2], 0), [0]);
        // 0 - 1 - 2, with 3 from 0 and 4 from 1: what 3 and 4 give together has 1
        let octopus = graph(&[&[], &[0], &[1], &[0], &[1], &[2, 3, 4]]);
        assert_eq!(octopus.bases(&[3], 2), [0]);
        assert_eq!(octopus.bases(&[3, 4], 2), [1]);
    }

    #[test]
    fn histories_begin_where_nothing_comes_before() {
        // two histories, 0 - 1 and 2 - 3, joined by 4
        let graph = graph(&[&[], &[0], &[], &[2], &[1, 3]]);
        let roots = |of: &[u32]| graph.roots(of.iter().copied()).into_iter().collect::<Vec<_>>();
        assert_eq!((roots(&[4]), roots(&[3]), roots(&[0])), (vec![0, 2], vec![2], vec![0]));
        assert_eq!(roots(&[]), Vec::<u32>::new());
    }

    #[test]
    fn a_parent_that_another_one_has_is_no_side() {
        let graph = graph(&[&[], &[0], &[1], &[0], &[]]);
        assert_eq!(graph.independent(&[2, 1, 3]), [2, 3]);
        assert_eq!(graph.independent(&[0, 3, 2]), [3, 2]);
        assert_eq!(graph.independent(&[1, 1]), [1]);
        assert_eq!(graph.independent(&[2, 4, 0]), [2, 4]);
        assert_eq!(graph.independent(&[0, 1, 0, 2]), [2]);
    }

    #[test]
    fn parents_come_first_whatever_order_they_were_found_in() {
        let found = graph(&[&[3], &[], &[1], &[2, 1]]).sorted();
        for number in found.all() {
            assert!(found.parents(number).iter().all(|parent| *parent < number));
        }
        assert_eq!(found.len(), 4);
    }
}
