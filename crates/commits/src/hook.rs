//! What git tells its hooks on standard input.

use gix_hash::{Kind, ObjectId};
use thiserror::Error;

/// A hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// On the server, before anything is taken: `old new ref`.
    PreReceive,
    /// On the client, before anything is sent: `local-ref local remote-ref remote`.
    PrePush,
}

/// One ref that is to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The ref, where it is to change.
    pub name: String,
    /// What it names now.
    pub old: Option<ObjectId>,
    /// What it is to name; none if it is to be deleted.
    pub new: Option<ObjectId>,
}

/// Why a hook's input is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HookError {
    /// A line is none of git's.
    #[error("line {line} is not what git writes to this hook")]
    Line {
        /// Which.
        line: usize,
    },
    /// There is more of it than is read.
    #[error("it has more than {LARGEST_INPUT} bytes, and a part of it says nothing about the rest")]
    Long,
    /// Its last line has no end.
    #[error("its last line does not end, so something is missing")]
    Cut,
    /// Nothing is to change, and git runs this hook only if something is.
    #[error("it is empty, and git runs this hook only when a ref is to change")]
    Empty,
}

/// Reads a hook's input.
pub fn read(hook: Hook, input: &str, hash: Kind) -> Result<Vec<Update>, HookError> {
    if u64::try_from(input.len()).map_or(true, |length| length > LARGEST_INPUT) {
        return Err(HookError::Long);
    }
    // a push of nothing runs the client's hook too
    if input.is_empty() && hook == Hook::PreReceive {
        return Err(HookError::Empty);
    }
    if !input.is_empty() && !input.ends_with('\n') {
        return Err(HookError::Cut);
    }
    let mut updates = Vec::new();
    for (index, line) in input.split_terminator('\n').enumerate() {
        let refused = HookError::Line { line: index.saturating_add(1) };
        let words: Vec<&str> = line.split(' ').collect();
        let (old, new, name) = match (hook, words.as_slice()) {
            (Hook::PreReceive, [old, new, name]) => (old, new, name),
            (Hook::PrePush, [_, new, name, old]) => (old, new, name),
            _ => return Err(refused),
        };
        let id = |text: &str| {
            let id = ObjectId::from_hex(text.as_bytes()).ok().filter(|id| id.kind() == hash);
            id.ok_or_else(|| refused.clone())
        };
        let (old, new) = (id(old)?, id(new)?);
        if !name.starts_with("refs/") || name.contains(char::is_control) {
            return Err(refused);
        }
        let some = |id: ObjectId| (!id.is_null()).then_some(id);
        updates.push(Update { name: (*name).to_owned(), old: some(old), new: some(new) });
    }
    Ok(updates)
}

/// No more bytes of a hook's input are taken.
pub const LARGEST_INPUT: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_git_writes_them() {
        let (zero, one) = ("0".repeat(40), "1".repeat(40));
        let id = ObjectId::from_hex(one.as_bytes()).unwrap();
        let name = || "refs/heads/x".to_owned();
        assert_eq!(
            read(Hook::PreReceive, &format!("{zero} {one} refs/heads/x\n"), Kind::Sha1).unwrap(),
            [Update { name: name(), old: None, new: Some(id) }]
        );
        assert_eq!(
            read(Hook::PrePush, &format!("(delete) {zero} refs/heads/x {one}\n"), Kind::Sha1).unwrap(),
            [Update { name: name(), old: Some(id), new: None }]
        );
        let carried = format!("{zero} {one} refs/heads/x\r");
        for bad in [
            &carried,
            "x",
            "a b refs/heads/x",
            &format!("{zero} {one} x"),
            &format!("{zero} {one}  refs/heads/x"),
        ] {
            let bad = format!("{bad}\n");
            assert_eq!(read(Hook::PreReceive, &bad, Kind::Sha1), Err(HookError::Line { line: 1 }));
        }
    }

    #[test]
    fn input_that_is_cut_off_is_refused() {
        let line = format!("{} {} refs/heads/x", "0".repeat(40), "1".repeat(40));
        assert_eq!(read(Hook::PreReceive, &line, Kind::Sha1), Err(HookError::Cut));
        assert_eq!(read(Hook::PreReceive, "", Kind::Sha1), Err(HookError::Empty));
        assert_eq!(read(Hook::PrePush, "", Kind::Sha1), Ok(Vec::new()));
        let most = usize::try_from(LARGEST_INPUT).unwrap();
        let long = format!("{line}\n").repeat(most / line.len());
        assert!(long.len() > most);
        assert_eq!(read(Hook::PreReceive, &long, Kind::Sha1), Err(HookError::Long));
    }
}
