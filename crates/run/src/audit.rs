//! Reads a host for `claw host audit`: this one, or a tree of files that is taken for one.

mod root;

use std::collections::BTreeMap;
use std::path::Path;

use claw_host::{Facts, WANTED};

pub use root::{Root, RootError};

/// Reads what the checks look at. Nothing is changed and nothing is sent.
pub fn read(root: &Root) -> Facts {
    let texts: BTreeMap<_, _> =
        WANTED.texts.iter().map(|path| ((*path).to_owned(), root.text(Path::new(path)))).collect();
    Facts { texts }
}
