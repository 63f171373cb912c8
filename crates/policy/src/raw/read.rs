//! Reading YAML strictly: one document, no tabs, no control characters, no anchors, bounded depth and size.

use serde::de::DeserializeOwned;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error, Options};

use crate::error::{Place, Problem};

/// Reads one document; `None` if there is nothing in it.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<Option<T>, Problem> {
    plain(text)?;
    let empty = |line: &str| matches!(line.trim_start().chars().next(), None | Some('#'));
    if text.lines().all(empty) {
        return Ok(None);
    }
    match super::quick::read(text) {
        Some(value) => Ok(Some(value)),
        None => general(text),
    }
}

/// Reads whatever YAML can say, and tells what is wrong.
pub(super) fn general<T: DeserializeOwned>(text: &str) -> Result<Option<T>, Problem> {
    serde_saphyr::from_str_with_options::<Option<T>>(text, options()).map_err(|error| problem(&error, text))
}

/// Refuses what a reader cannot see: tabs, control characters, and marks that turn the direction of text.
fn plain(text: &str) -> Result<(), Problem> {
    if text.len() > LARGEST {
        let what = format!("the file has {} bytes: at most {LARGEST} are read", text.len());
        return Err(Problem::new(what, Place::default(), "too large"));
    }
    // Nearly every policy is plain ASCII: that is seen many bytes at a time.
    let shown = |byte: &u8| matches!(byte, b'\n' | b'\r' | b' '..=b'~');
    if text.as_bytes().chunks(64).all(|chunk| chunk.iter().map(shown).fold(true, |all, one| all & one)) {
        return Ok(());
    }
    let hidden = |c: char| match c {
        '\n' | '\r' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    };
    let Some((start, c)) = text.char_indices().find(|(_, c)| hidden(*c)) else { return Ok(()) };
    let place = Place { start, length: c.len_utf8(), line: line_at(text, start) };
    Err(match c {
        '\t' => Problem::new("a tab stands in the file: editors show it at different widths", place, "a tab")
            .help("indent with spaces"),
        '\0' => Problem::new("a NUL stands in the file", place, "NUL is here").help("delete it"),
        c => Problem::new(format!("the character {c:?} cannot be seen but changes the text"), place, "here")
            .help("delete it"),
    })
}

pub(crate) fn line_at(text: &str, start: usize) -> u32 {
    let lines = text.as_bytes().iter().take(start).filter(|byte| **byte == b'\n').count();
    u32::try_from(lines + 1).unwrap_or(u32::MAX)
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH,
            flow_nesting_limit: DEPTH * 2,
            max_documents: 1,
            max_aliases: 0,
            max_anchors: 0,
            max_events: 20_000_000,
            max_nodes: 20_000_000,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    }
}

/// Our own words for what the parser refuses, each with what to do.
fn problem(error: &Error, text: &str) -> Problem {
    let error = error.without_snippet();
    let place = error.location().map(Place::from).unwrap_or_default();
    let place = Place { start: place.start.min(text.len()), line: place.line.max(1), ..place };
    let say = |what: String, label: &str, help: &str| Problem::new(what, place, label).help(help);
    let deep = || {
        say(
            format!("nested deeper than {DEPTH} levels"),
            "too deep here",
            "a policy is never nested so deep: look for a bracket that is not closed",
        )
    };
    match error {
        Error::MultipleDocuments { .. } | Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            say(
                "the file holds more than one document".into(),
                "another document begins here",
                "a policy is one YAML document: remove the `---` or use two files",
            )
        }
        Error::DuplicateMappingKey { key, .. } => say(
            format!("`{}` is written twice", key.as_deref().unwrap_or("a key").escape_debug()),
            "the second one",
            "keep one of them",
        ),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => deep(),
        Error::Budget { breach: BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. }, .. }
        | Error::UnknownAnchor { .. }
        | Error::MergeKeyNotAllowed { .. } => say(
            "anchors, aliases and merge keys are not used in a policy".into(),
            "here",
            "write the value out, so that each rule can be read alone; put `*.example.com` in quotes",
        ),
        Error::Budget { breach, .. } => {
            say(format!("the file is too large: {breach:?}"), "here", "split the policy")
        }
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            say(format!("expected {expected}, found {unexpected}"), "wrong type", "see `claw policy schema`")
        }
        Error::Unexpected { expected, .. } => {
            let expected = match *expected {
                "sequence start" => "a list",
                "mapping start" => "a mapping of keys to values",
                "string scalar" => "text",
                other => other,
            };
            say(
                format!("expected {expected}"),
                "wrong type",
                "see `claw policy schema` for the shape of a policy",
            )
        }
        // The scanner's own limit: it looks ahead of the events that the budget counts.
        other if first_line(other).contains("recursion limit") => deep(),
        other => say(first_line(other), "here", "see `claw policy schema` for the shape of a policy"),
    }
}

/// The parser's own message without its location, which the label tells.
fn first_line(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or("not valid YAML");
    let line = line.split(" at line ").next().unwrap_or(line);
    line.chars().take(200).collect()
}

/// Deeper than any policy: rules stand four levels deep.
const DEPTH: usize = 16;
/// 100,000 rules are about 10 MB.
const LARGEST: usize = 64 << 20;
