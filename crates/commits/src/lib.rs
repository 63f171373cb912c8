//! The commit gate: every commit of a range is signed by a key allowed for its paths and its place in the history.
//!
//! Objects and a first version of the allowed signers in, findings out. Only [`repo`] touches files; the judgement ([`judge`]) reads objects
//! through [`source::Source`], recomputes their ids, and knows no clock.

pub mod finding;
pub mod gate;
pub mod graph;
pub mod head;
pub mod hook;
pub mod judge;
pub mod lineage;
pub mod object;
pub mod pattern;
pub mod repo;
pub mod revision;
pub mod sarif;
pub mod signature;
pub mod signers;
pub mod source;
mod tree;
