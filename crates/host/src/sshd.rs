//! Reads sshd_config(5): what holds for everybody, and what blocks of `Match` change for some.
//!
//! For each keyword the first value counts, an `Include` stands for the files it names, and the lines of a `Match` block
//! override what stands above it for whom it matches. Whom a block matches is not decided here: whatever it says may hold
//! for somebody, and is told with its criteria. A file that could not be read leaves every keyword open that is not set before.

use std::collections::BTreeMap;

use crate::read::Read;

/// What the files say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// Values that hold for everybody, by keyword in lower case.
    global: BTreeMap<String, Setting>,
    /// Values of `Match` blocks.
    matched: Vec<(String, Setting)>,
    /// The first file that could not be read, and why; keywords after it are open.
    open: Option<String>,
    /// How many files were read, each as often as it is included.
    read: u32,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value, in lower case.
    pub value: String,
    /// `FILE:LINE`.
    pub place: String,
    /// The criteria of the `Match` block, if it stands in one.
    pub only: Option<String>,
}

/// What holds for a keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// For everybody; `None` if no file says so and sshd's own value holds.
    pub global: Option<Setting>,
    /// For some.
    pub matched: Vec<Setting>,
    /// Why more could be said in a file that was not read.
    pub open: Option<String>,
}

/// The arguments of every `Include` line, as they are to be looked for.
pub fn includes(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(words)
        .filter(|(keyword, _)| keyword == "include")
        .flat_map(|(_, patterns)| patterns)
        .map(|pattern| if pattern.starts_with('/') { pattern } else { format!("/etc/ssh/{pattern}") })
        .collect()
}

impl Config {
    /// Reads a file and what it includes. `files` gives the content of one, `matching` the paths of a pattern in order.
    pub fn read<'a>(
        path: &str,
        files: &dyn Fn(&str) -> Read<&'a str>,
        matching: &dyn Fn(&str) -> Vec<String>,
    ) -> Config {
        let mut config = Config::default();
        config.file(path, files, matching, None, 0);
        config
    }

    /// What holds for a keyword, given in lower case; older names of it are given too.
    pub fn held(&self, keywords: &[&str]) -> Held {
        let global = keywords.iter().find_map(|keyword| self.global.get(*keyword)).cloned();
        let own = |(keyword, _): &&(String, Setting)| keywords.contains(&keyword.as_str());
        let matched = self.matched.iter().filter(own).map(|(_, setting)| setting.clone()).collect();
        Held { global, matched, open: self.open.clone() }
    }

    fn file<'a>(
        &mut self,
        path: &str,
        files: &dyn Fn(&str) -> Read<&'a str>,
        matching: &dyn Fn(&str) -> Vec<String>,
        within: Option<&str>,
        depth: u32,
    ) {
        // servconf.c: SERVCONF_MAX_DEPTH; files that include each other more than once would take forever before that
        self.read = self.read.saturating_add(1);
        if depth > 16 || self.read > MOST_FILES {
            self.open.get_or_insert_with(|| format!("{path}: included too deep or too often"));
            return;
        }
        let text = match files(path) {
            Read::Known(text) => text,
            Read::Absent if depth == 0 => return,
            Read::Absent => {
                self.open.get_or_insert_with(|| format!("{path}: it was not read"));
                return;
            }
            Read::Unknown(why) => {
                self.open.get_or_insert_with(|| format!("{path}: {why}"));
                return;
            }
        };
        // a `Match` block ends with its file
        let mut criteria = within.map(str::to_owned);
        for (index, line) in text.lines().enumerate() {
            let Some((keyword, values)) = words(line) else { continue };
            match keyword.as_str() {
                "match" => criteria = Some(joined(within, &values.join(" "))),
                "include" => {
                    for pattern in includes(line) {
                        for path in matching(&pattern) {
                            self.file(&path, files, matching, criteria.as_deref(), depth.saturating_add(1));
                        }
                    }
                }
                _ => {
                    let place = format!("{path}:{}", index.saturating_add(1));
                    let value = values.join(" ").to_lowercase();
                    self.set(keyword, Setting { value, place, only: criteria.clone() });
                }
            }
        }
    }

    fn set(&mut self, keyword: String, setting: Setting) {
        match setting.only {
            // a file that is included twice says it once
            Some(_) if self.matched.iter().any(|(other, said)| *other == keyword && said.same(&setting)) => {}
            Some(_) => self.matched.push((keyword, setting)),
            // what an unread file may have set first stays open
            None => {
                self.global.entry(keyword).or_insert(setting);
            }
        }
    }
}

impl Setting {
    /// Whether it is the same value at the same place, whatever criteria led to it.
    fn same(&self, other: &Setting) -> bool {
        self.place == other.place && self.value == other.value
    }

    /// The value with its place.
    pub fn show(&self) -> String {
        match &self.only {
            Some(only) => format!("{} at {}, for `Match {only}`", self.value, self.place),
            None => format!("{} at {}", self.value, self.place),
        }
    }
}

fn joined(within: Option<&str>, criteria: &str) -> String {
    match within {
        Some(within) => format!("{within} and {criteria}"),
        None => criteria.to_owned(),
    }
}

/// Keyword in lower case, and arguments; quotes hold one together, `=` may stand between.
fn words(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end =
        line.find(|character: char| character.is_whitespace() || character == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at_checked(end)?;
    let rest = rest.trim_start();
    let mut rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let mut values = Vec::new();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        values.push(value.to_owned());
        rest = after.trim_start();
    }
    Some((keyword.to_lowercase(), values))
}

const MOST_FILES: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Config {
        let content = |path: &str| match files.iter().find(|(name, _)| *name == path) {
            Some((_, "denied")) => Read::Unknown("only root may read it".to_owned()),
            Some((_, text)) => Read::Known(*text),
            None => Read::Absent,
        };
        let matching = |pattern: &str| {
            let (before, after) = pattern.split_once('*').unwrap_or((pattern, ""));
            let fits = |path: &&str| path.starts_with(before) && path.ends_with(after);
            files.iter().map(|(path, _)| *path).filter(fits).map(str::to_owned).collect()
        };
        Config::read("/etc/ssh/sshd_config", &content, &matching)
    }

    fn check(files: &[(&str, &str)], keyword: &str, global: Option<&str>, matched: &[&str], open: bool) {
        let held = read(files).held(&[keyword]);
        assert_eq!(held.global.as_ref().map(|setting| setting.value.as_str()), global, "{files:?}");
        let some: Vec<&str> = held.matched.iter().map(|setting| setting.value.as_str()).collect();
        assert_eq!(some, matched, "{files:?}");
        assert_eq!(held.open.is_some(), open, "{files:?}");
    }

    #[test]
    fn the_first_value_counts_wherever_it_stands() {
        let main = "/etc/ssh/sshd_config";
        let part = "/etc/ssh/sshd_config.d/a.conf";
        check(&[(main, "X no\nx yes")], "x", Some("no"), &[], false);
        check(&[(main, "Include sshd_config.d/*.conf\nX no"), (part, "X yes")], "x", Some("yes"), &[], false);
        check(&[(main, "X no\nInclude sshd_config.d/*.conf"), (part, "X yes")], "x", Some("no"), &[], false);
        check(&[(main, "# X yes\n  X=\"no\" # why\n")], "x", Some("no"), &[], false);
        check(&[(main, "")], "x", None, &[], false);
    }

    #[test]
    fn a_match_block_ends_with_its_file_and_holds_for_what_it_includes() {
        let main = "/etc/ssh/sshd_config";
        let part = "/etc/ssh/sshd_config.d/a.conf";
        check(
            &[(main, "X no\nMatch User a\nX yes\nMatch all\nX maybe")],
            "x",
            Some("no"),
            &["yes", "maybe"],
            false,
        );
        check(
            &[(main, "Match User a\nInclude sshd_config.d/*"), (part, "X yes")],
            "x",
            None,
            &["yes"],
            false,
        );
        check(
            &[(main, "Include sshd_config.d/*\nX no"), (part, "Match User a\nX yes")],
            "x",
            Some("no"),
            &["yes"],
            false,
        );
    }

    #[test]
    fn a_finding_is_told_once_however_often_its_file_is_included() {
        let main = "/etc/ssh/sshd_config";
        check(&[(main, "Match User a\nX yes\nInclude /etc/ssh/sshd_config")], "x", None, &["yes"], true);
    }

    #[test]
    fn a_file_that_was_not_read_leaves_the_rest_open() {
        let main = "/etc/ssh/sshd_config";
        let part = "/etc/ssh/sshd_config.d/a.conf";
        check(&[(main, "Include sshd_config.d/*\nX no"), (part, "denied")], "x", Some("no"), &[], true);
        check(&[(main, "Include /etc/ssh/sshd_config")], "x", None, &[], true);
        let itself = "Include /etc/ssh/sshd_config\n".repeat(1000);
        check(&[(main, &itself)], "x", None, &[], true);
    }
}
