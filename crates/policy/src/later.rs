//! Files that make somebody else run code later, outside of the sandbox: the one catalogue of them, and what a policy
//! protects.
//!
//! Names are compared as the most lenient file system would: case, trailing dots and characters that cannot be seen make no
//! difference. A path is judged by its names alone, at any depth, whether it exists or not.

use std::path::{Component, Path};

mod catalogue;

use catalogue::{CATALOGUE, GIT_DATA};

/// What stands at a path, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link, or anything else.
    Other,
}

/// Why a file of this name makes somebody run code later; `None` if nothing is known of it.
/// The path is relative to any directory: names above it may say more.
pub fn why(path: &Path, shape: Shape) -> Option<&'static str> {
    let names = names(path);
    // one repository may lie among the data of another
    let repositories = (1..).zip(&names).filter(|(_, name)| *name == ".git");
    let mut insides = repositories.filter_map(|(behind, _)| names.get(behind..));
    insides
        .find_map(|inside| git(inside, shape))
        .or_else(|| CATALOGUE.iter().find(|entry| holds(&names, entry.0)).map(|entry| entry.1))
}

/// The same for what lies in a git repository that is not called `.git`: `inside` is the path below its directory.
pub fn why_in_repository(inside: &Path, shape: Shape) -> Option<&'static str> {
    git(&names(inside), shape)
}

/// The name in the catalogue that the path holds.
pub(crate) fn within(path: &Path) -> Option<&'static str> {
    let names = names(path);
    if names.iter().any(|name| name == ".git") {
        return Some(".git");
    }
    CATALOGUE.iter().find(|entry| holds(&names, entry.0)).map(|entry| entry.0)
}

/// Which names never reach a reviewed tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Protect {
    standard: bool,
    names: Vec<String>,
}

impl Protect {
    /// Everything in the catalogue.
    pub fn standard() -> Protect {
        Protect { standard: true, names: Vec::new() }
    }

    /// A name, a relative path, or a pattern of either with `*`; or `standard`.
    pub fn add(&mut self, name: &str) -> Result<(), &'static str> {
        if name == "standard" {
            self.standard = true;
            return Ok(());
        }
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if name.starts_with('/') {
            return Err("it is a whole path, and names are protected wherever they stand");
        }
        if name.contains(char::is_control) {
            return Err("it holds a control character");
        }
        let name = name.strip_suffix('/').unwrap_or(name);
        if !name.split('/').all(plain) {
            return Err("it has an empty part, `.` or `..`");
        }
        if name.split('/').all(|part| part.chars().all(|c| c == '*')) {
            return Err("it covers everything");
        }
        self.names.push(name.split('/').map(fold).collect::<Vec<_>>().join("/"));
        Ok(())
    }

    /// Whether nothing is protected.
    pub fn is_none(&self) -> bool {
        !self.standard && self.names.is_empty()
    }

    /// The names as a policy lists them.
    pub fn words(&self) -> Vec<String> {
        self.standard.then(|| "standard".to_owned()).into_iter().chain(self.names.iter().cloned()).collect()
    }

    /// What protects this path, if anything does: the pattern, or why it is in the catalogue.
    pub fn covers(&self, path: &Path, shape: Shape) -> Option<String> {
        let names = names(path);
        if let Some(name) = self.names.iter().find(|name| holds(&names, name)) {
            return Some(format!("the policy protects `{name}`"));
        }
        let why = if self.standard { why(path, shape) } else { None };
        why.map(|why| format!("the policy protects it: {why}"))
    }

    /// Whether the catalogue is protected.
    pub fn is_standard(&self) -> bool {
        self.standard
    }
}

/// What a path inside of a repository's own directory does. Data of git is no code; everything else may name some, also
/// what a later git will read.
fn git(inside: &[String], shape: Shape) -> Option<&'static str> {
    let Some(first) = inside.first() else {
        return match shape {
            Shape::Directory => None,
            Shape::File | Shape::Other => {
                Some("it leads git to a repository elsewhere, whose hooks and settings run")
            }
        };
    };
    let names: Vec<&str> = inside.iter().map(String::as_str).collect();
    match (names.as_slice(), shape) {
        (["objects", "info", ..], Shape::File) => Some("git reads other directories that it names"),
        (["info", "exclude" | "refs"], Shape::File) | (["info"], Shape::Directory) => None,
        (_, Shape::Other) => Some("a link inside of a repository leads git elsewhere"),
        _ if GIT_DATA.contains(&first.as_str()) => None,
        (["hooks", ..], _) => Some("git runs it"),
        _ => Some("git takes settings from it, and these name programs to run"),
    }
}

/// Whether the pattern, of one or more names, stands anywhere in the path.
fn holds(names: &[String], pattern: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    names
        .windows(pattern.len())
        .any(|window| window.iter().zip(&pattern).all(|(name, part)| matches(name, part)))
}

/// `*` stands for any characters. Cost is bounded by the product of both lengths.
fn matches(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some((_, behind)) = rest.split_once(middle) else { return false };
            rest = behind;
        }
    }
    match last {
        None => rest.is_empty(),
        Some(end) => rest.ends_with(end),
    }
}

fn names(path: &Path) -> Vec<String> {
    let normal = |part: Component<'_>| match part {
        Component::Normal(name) => Some(fold(&name.to_string_lossy())),
        _ => None,
    };
    path.components().filter_map(normal).collect()
}

/// A name as the most lenient file system reads it: letters that differ by case alone are one, and those that nobody sees are none.
fn fold(name: &str) -> String {
    let seen = name.chars().filter(|c| !is_ignorable(*c));
    // both ways: a ligature is two capital letters, and no small one
    let folded: String = seen.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    let trimmed = folded.trim_end_matches(['.', ' ']);
    match trimmed {
        "" => folded,
        // the short name that Windows gives it
        "git~1" => ".git".to_owned(),
        other => other.to_owned(),
    }
}

/// `Default_Ignorable_Code_Point` (Unicode Standard Annex 44), which ext4 and f2fs drop in directories that fold names.
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests;
