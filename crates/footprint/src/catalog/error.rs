//! What can be wrong with a catalogue, and what to do about it.

use super::Class;

/// A catalogue file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {flaw}")]
pub struct CatalogError {
    /// The file.
    pub file: String,
    /// The line.
    pub line: u64,
    /// What is wrong there.
    pub flaw: Flaw,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// More than is read.
    #[error("the file has {bytes} bytes: at most {most} are read")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// Another format.
    #[error("version {version} is not known")]
    Version {
        /// What was written.
        version: u32,
    },
    /// Nobody is spoken of.
    #[error("the framework has no name")]
    Nameless,
    /// Not year and month.
    #[error("`{}` is not a date", text.escape_debug())]
    Date {
        /// What was written.
        text: String,
    },
    /// It does not say where, or says it twice.
    #[error("an entry has one `host` or one `index`")]
    Place,
    /// Clients of a host.
    #[error("`agents` stands with `index`")]
    AgentsOfHost,
    /// Not a token.
    #[error("`{}` is not the name of a program in a user agent", text.escape_debug())]
    Agent {
        /// What was written.
        text: String,
    },
    /// A class that only answers have.
    #[error("`{}` is an answer, not a class of the catalogue", class.as_str())]
    Class {
        /// Which.
        class: Class,
    },
    /// Not a variable of an environment.
    #[error("`{}` is not `NAME=value`", text.escape_debug())]
    Assignment {
        /// What was written.
        text: String,
    },
    /// It does not say what to do, or says it twice.
    #[error("a switch has one `set` or one `option`")]
    Switch,
    /// Nobody reads it.
    #[error("`{}` is not a field of the catalogue", name.escape_debug())]
    Field {
        /// The field.
        name: String,
        /// The field that looks most like it.
        near: Option<String>,
        /// Those that there are.
        known: String,
    },
    /// A word that means nothing there.
    #[error("`{}` is not one of {known}", word.escape_debug())]
    Word {
        /// The word.
        word: String,
        /// The word that looks most like it.
        near: Option<String>,
        /// Those that there are.
        known: String,
    },
    /// A field that must be there.
    #[error("`{field}` is missing")]
    Missing {
        /// Which.
        field: String,
    },
    /// The same field again.
    #[error("`{}` is written twice", key.as_deref().unwrap_or("a key").escape_debug())]
    Twice {
        /// Which, if the reader says so.
        key: Option<String>,
    },
    /// The reader's own words.
    #[error("{text}")]
    Yaml {
        /// The first line of them.
        text: String,
    },
}

impl CatalogError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        let near = |near: &Option<String>| near.as_ref().map(|near| format!("did you mean `{near}`?"));
        let fixed = match &self.flaw {
            Flaw::Field { near: word, known, .. } => {
                return near(word).or_else(|| Some(format!("known are {known}")));
            }
            Flaw::Word { near: word, .. } => return near(word),
            Flaw::Version { .. } => "write `version: 1`",
            Flaw::Date { .. } => "write it as `2026-11`",
            Flaw::Place => "write `host:`, or `index:` alone",
            Flaw::AgentsOfHost => {
                "a host is known by its name; `agents` says who asks an index in its own way"
            }
            Flaw::Agent { .. } => "write `pip` for `pip/26.0 (…)`",
            Flaw::Twice { .. } => "keep one of them",
            _ => return None,
        };
        Some(fixed.to_owned())
    }
}
