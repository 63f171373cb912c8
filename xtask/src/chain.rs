//! Claw's own chain, from its sources to what somebody runs: what is linked, by which compiler, twice the same bytes, signed.
//!
//! `cargo xtask sbom | record | toolchain | embedded | reproduce | rebuild | release`. docs/verify-claw.md tells what each proves.

pub(crate) mod archives;
pub(crate) mod bytes;
pub(crate) mod clean;
pub(crate) mod cyclonedx;
pub(crate) mod embedded;
pub(crate) mod graph;
pub(crate) mod log;
pub(crate) mod musl;
pub(crate) mod provenance;
pub(crate) mod rebuild;
pub(crate) mod record;
pub(crate) mod release;
pub(crate) mod reproduce;
pub(crate) mod sbom;
pub(crate) mod spdx;
pub(crate) mod toolchain;

use std::error::Error;
use std::process::Command;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// The one platform a release is made for: it needs nothing but the kernel.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-musl";

/// The one platform it is built on.
pub(crate) const HOST: &str = "x86_64-unknown-linux-gnu";

/// Words like `--name value`, of which only known ones are taken.
pub(crate) struct Options<'a> {
    values: Vec<(&'a str, &'a str)>,
}

impl<'a> Options<'a> {
    /// Takes the words apart.
    pub(crate) fn of(words: &[&'a str], known: &[&str]) -> Outcome<Options<'a>> {
        let mut values: Vec<(&str, &str)> = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--").filter(|name| known.contains(name)) else {
                return Err(format!("`{word}` is none of --{}", known.join(", --")).into());
            };
            let value = words.next().ok_or_else(|| format!("--{name} needs a value"))?;
            if values.iter().any(|(given, _)| *given == name) {
                return Err(format!("--{name} is given twice").into());
            }
            values.push((name, value));
        }
        Ok(Options { values })
    }

    /// The value of a word, if it was given.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.values.iter().find(|(given, _)| *given == name).map(|(_, value)| *value)
    }

    /// The value of a word, or what is used without it.
    pub(crate) fn or(&self, name: &str, otherwise: &'a str) -> &'a str {
        self.value(name).unwrap_or(otherwise)
    }

    /// The value of a word that must be given.
    pub(crate) fn need(&self, name: &str) -> Outcome<&'a str> {
        self.value(name).ok_or_else(|| format!("--{name} is needed").into())
    }
}

/// What a command prints, if it ends well.
pub(crate) fn told(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = said.lines().rev().take(30).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        return Err(format!("{command:?}: {}\n{}", output.status, tail.join("\n")).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_not_known_is_refused() {
        let options = Options::of(&["--out", "here"], &["out", "package"]).unwrap();
        assert_eq!((options.value("out"), options.value("package")), (Some("here"), None));
        for wrong in [&["--outt", "here"][..], &["--out"], &["out", "here"], &["--out", "a", "--out", "b"]] {
            assert!(Options::of(wrong, &["out", "package"]).is_err(), "{wrong:?}");
        }
    }
}
