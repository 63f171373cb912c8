//! Which files may be executed: any, or those whose digest is listed.

use std::path::PathBuf;

use claw_model::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::error::{Place, PolicyError, Problem};

/// Which files may be executed or mapped as code.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Exec {
    /// Every file that is visible and executable.
    #[default]
    Any,
    /// Only these.
    Listed(Listed),
}

/// A list of files by their digests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// In the policy itself.
    pub digests: Vec<Executable>,
    /// More of them, in a file of lines as sha256sum(1) prints them.
    pub file: Option<PathBuf>,
    /// What follows when one of them changes outside while the agent runs.
    pub changed: Changed,
}

/// What follows when a listed file changes outside while the agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Changed {
    /// It is written down and told.
    #[default]
    Record,
    /// The run ends as well.
    End,
}

/// One file that may be executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executable {
    /// What it must contain.
    pub digest: Digest,
    /// Where it is; without it, wherever a file with that digest is visible.
    pub path: Option<PathBuf>,
    /// Where that is written, `file:line`.
    pub entry: String,
}

/// Reads a list as sha256sum(1) prints it: 64 digits, two spaces (or a space and `*`), and a path, on each line. Empty
/// lines and lines that begin with `#` are left out.
pub fn parse_list(text: &str, name: &str) -> Result<Vec<Executable>, PolicyError> {
    let (mut list, mut problems) = (Vec::new(), Vec::new());
    let mut start = 0;
    for (line, content) in (1..).zip(text.split('\n')) {
        let place = Place { start, length: content.len().max(1), line };
        start = start.saturating_add(content.len()).saturating_add(1);
        let content = content.trim_end_matches('\r');
        if content.trim().is_empty() || content.starts_with('#') {
            continue;
        }
        match entry(content) {
            Ok((digest, path)) => {
                list.push(Executable { digest, path, entry: format!("{name}:{line}") });
            }
            Err(what) => problems.push(Problem::new(what, place, "this line").help(SHAPE)),
        }
    }
    if problems.is_empty() { Ok(list) } else { Err(PolicyError::new(name, text, problems)) }
}

/// One entry: a digest, and perhaps a path.
pub(crate) fn entry(text: &str) -> Result<(Digest, Option<PathBuf>), String> {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let spelled = if word.contains(':') { word.to_owned() } else { format!("sha256:{word}") };
    let digest: Digest =
        spelled.parse().map_err(|error: claw_model::digest::DigestError| error.to_string())?;
    let path = rest.trim_start().trim_start_matches('*');
    if path.is_empty() {
        return Ok((digest, None));
    }
    if !path.starts_with('/') || path.contains(char::is_control) {
        return Err(format!("`{}` is not a whole path", path.escape_debug()));
    }
    Ok((digest, Some(PathBuf::from(path))))
}

/// What an entry looks like.
pub(crate) const SHAPE: &str = "write `sha256:` and 64 lower-case digits, then the file's whole path, as in `sha256sum /usr/bin/env`; \
     the path may be left out";

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn lists_of_sha256sum_are_read() {
        let text = format!("# mine\n\n{HEX}  /usr/bin/true\n{HEX} */usr/bin/a b\nsha256:{HEX}\r\n");
        let list = parse_list(&text, "l").unwrap();
        let paths: Vec<_> = list.iter().map(|entry| (entry.entry.as_str(), entry.path.clone())).collect();
        assert_eq!(
            paths,
            [("l:3", Some("/usr/bin/true".into())), ("l:4", Some("/usr/bin/a b".into())), ("l:5", None)]
        );
        assert!(list.iter().all(|entry| entry.digest == Digest::of(b"")));
    }

    #[test]
    fn a_slip_is_told_with_its_line() {
        let short = HEX.replace("e3b0", "e3b");
        for (line, what) in [
            (format!("{short}  /usr/bin/true"), "64 lower-case hex digits"),
            (format!("{}  /usr/bin/true", HEX.to_uppercase()), "64 lower-case hex digits"),
            (format!("md5:{HEX}  /usr/bin/true"), "does not begin with `sha256:`"),
            (format!("{HEX}  bin/true"), "`bin/true` is not a whole path"),
            ("/usr/bin/true".to_owned(), "64 lower-case hex digits"),
        ] {
            let error = parse_list(&format!("# x\n{line}\n"), "l").unwrap_err();
            assert_eq!(error.problems()[0].line(), 2);
            assert!(error.problems()[0].message().contains(what), "{line}: {error}");
        }
    }
}
