//! One change as a unified diff, if both sides are text.

use std::fs::File;
use std::io::{self, Read};

use similar::TextDiff;

use super::layers::Kept;
use super::tree::{self, Found};
use super::{Change, ChangesError, Shape, system};

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Lines, as a unified diff without its two lines of names.
    Lines(String),
    /// At least one side is no text, or too long.
    Binary,
    /// Neither side is a file.
    None,
}

/// What differs between the host's file and the agent's.
pub fn difference(kept: &Kept, change: &Change) -> Result<Difference, ChangesError> {
    let file = |node: &Option<super::Node>| node.as_ref().is_some_and(|node| node.shape == Shape::File);
    if !file(&change.was) && !file(&change.now) {
        return Ok(Difference::None);
    }
    let place = change.place();
    let Some(tree) = kept.trees.get(change.number) else { return Ok(Difference::None) };
    let side = |wanted: bool, root: std::os::fd::OwnedFd| -> io::Result<Option<String>> {
        if !wanted {
            return Ok(Some(String::new()));
        }
        match Found::at(&root, &change.path)? {
            Some(found) if found.shape() == Shape::File => text(tree::open(&found)?),
            _ => Ok(Some(String::new())),
        }
    };
    let was = side(file(&change.was), kept.lower(tree)?).map_err(system(&place))?;
    let now = side(file(&change.now), kept.upper(change.number)?).map_err(system(&place))?;
    let (Some(was), Some(now)) = (was, now) else { return Ok(Difference::Binary) };
    let lines = TextDiff::configure().timeout(PATIENCE).diff_lines(&was, &now);
    Ok(Difference::Lines(lines.unified_diff().context_radius(3).to_string()))
}

/// `None`: it is no text, or more than anybody reads.
fn text(file: File) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    file.take(LONGEST.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LONGEST || bytes.contains(&0) {
        return Ok(None);
    }
    Ok(String::from_utf8(bytes).ok())
}

/// Bytes of a text that is compared line by line.
const LONGEST: u64 = 1 << 20;
/// After that the difference is told more coarsely.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
