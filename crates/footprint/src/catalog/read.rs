//! Reading a catalogue strictly: unknown fields are refused with their line and the nearest known name.

use claw_model::host::HostPattern;
use claw_model::http::RequestPattern;
use claw_model::nearest::nearest;
use claw_model::plane::Plane;
use serde::Deserialize;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error, Options, Spanned};

use super::{Class, Entry, Place, Source, Switch, SwitchKind, Verified};
use crate::indexes::Index;

/// A catalogue file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct CatalogError {
    /// The file.
    pub file: String,
    /// The line.
    pub line: u64,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    frameworks: Vec<Framework>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Framework {
    name: Spanned<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "for people: how it is installed")]
    package: Option<String>,
    #[serde(default)]
    versions: Option<String>,
    source: Source,
    date: Spanned<String>,
    entries: Vec<Spanned<RawEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    #[serde(default)]
    host: Option<HostPattern>,
    #[serde(default)]
    index: Option<Index>,
    #[serde(default)]
    serves: Option<Index>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    requests: Vec<RequestPattern>,
    #[serde(default)]
    shared: bool,
    plane: Plane,
    class: Class,
    what: String,
    #[serde(default)]
    when: Option<String>,
    #[serde(default)]
    disable: Vec<Spanned<RawSwitch>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSwitch {
    #[serde(default)]
    set: Option<String>,
    #[serde(default)]
    option: Option<String>,
    verified: Verified,
}

/// Reads one file.
pub(super) fn entries(text: &str, file: &str) -> Result<Vec<Entry>, CatalogError> {
    let at = |line: u64, what: String, hint: Option<String>| CatalogError {
        file: file.to_owned(),
        line: line.max(1),
        what,
        hint,
    };
    if text.len() > LARGEST {
        return Err(at(1, format!("the file has {} bytes: at most {LARGEST} are read", text.len()), None));
    }
    let read: File = serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let error = error.without_snippet();
        let line = error.location().map_or(1, |location| location.line());
        let (what, hint) = told(error);
        at(line, what, hint)
    })?;
    if read.version != 1 {
        return Err(at(
            1,
            format!("version {} is not known", read.version),
            Some("write `version: 1`".into()),
        ));
    }
    let mut entries = Vec::new();
    for framework in read.frameworks {
        let line = |spanned: &Spanned<String>| spanned.referenced.line();
        if framework.name.value.trim().is_empty() {
            return Err(at(line(&framework.name), "the framework has no name".into(), None));
        }
        if !is_month(&framework.date.value) {
            let what = format!("`{}` is not a date", framework.date.value.escape_debug());
            return Err(at(line(&framework.date), what, Some("write it as `2026-11`".into())));
        }
        for raw in framework.entries {
            let line = raw.referenced.line();
            let raw = raw.value;
            let place = match (raw.host, raw.index, raw.serves) {
                (Some(host), None, serves) => Place::Host(host, serves),
                (None, Some(index), None) => Place::Index(index),
                _ => {
                    let hint = "write `host:`, or `index:` alone";
                    return Err(at(line, "an entry has one `host` or one `index`".into(), Some(hint.into())));
                }
            };
            if matches!(raw.class, Class::Mixed | Class::Unknown) {
                let what = format!("`{}` is an answer, not a class of the catalogue", raw.class.as_str());
                return Err(at(line, what, None));
            }
            entries.push(Entry {
                framework: framework.name.value.clone(),
                versions: framework.versions.clone(),
                source: framework.source,
                place,
                port: raw.port,
                requests: raw.requests,
                shared: raw.shared,
                plane: raw.plane,
                class: raw.class,
                what: raw.what,
                when: raw.when,
                switches: raw.disable.into_iter().map(|raw| switch(raw, &at)).collect::<Result<_, _>>()?,
                layer: 0,
            });
        }
    }
    Ok(entries)
}

fn switch(
    raw: Spanned<RawSwitch>,
    at: &impl Fn(u64, String, Option<String>) -> CatalogError,
) -> Result<Switch, CatalogError> {
    let line = raw.referenced.line();
    let RawSwitch { set, option, verified } = raw.value;
    let (text, kind) = match (set, option) {
        (Some(set), None) if is_assignment(&set) => (set, SwitchKind::Environment),
        (Some(set), None) => {
            let what = format!("`{}` is not `NAME=value`", set.escape_debug());
            return Err(at(line, what, None));
        }
        (None, Some(option)) => (option, SwitchKind::Option),
        _ => return Err(at(line, "a switch has one `set` or one `option`".into(), None)),
    };
    Ok(Switch { text, kind, verified })
}

/// `NAME=value` with a name that every system takes.
pub(crate) fn is_assignment(text: &str) -> bool {
    let Some((name, value)) = text.split_once('=') else { return false };
    let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty()
        && name.chars().all(named)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !value.chars().any(claw_ledger::text::is_hidden)
}

fn is_month(text: &str) -> bool {
    text.len() == 7
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 { byte == b'-' } else { byte.is_ascii_digit() })
}

/// Our own words for what the reader refuses.
fn told(error: &Error) -> (String, Option<String>) {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let near = nearest(field, expected.iter().copied());
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            (
                format!("`{}` is not a field of the catalogue", field.escape_debug()),
                hint.or_else(|| Some(format!("known are {}", expected.join(", ")))),
            )
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            let near = nearest(variant, expected.iter().copied());
            (
                format!("`{}` is not one of {}", variant.escape_debug(), expected.join(", ")),
                near.map(|near| format!("did you mean `{near}`?")),
            )
        }
        Error::SerdeMissingField { field, .. } => (format!("`{field}` is missing"), None),
        Error::DuplicateMappingKey { key, .. } => (
            format!("`{}` is written twice", key.as_deref().unwrap_or("a key").escape_debug()),
            Some("keep one of them".into()),
        ),
        other => {
            let text = other.to_string();
            let line = text.lines().next().unwrap_or("not valid YAML");
            (line.split(" at line ").next().unwrap_or(line).chars().take(200).collect(), None)
        }
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 16,
            flow_nesting_limit: 32,
            max_documents: 1,
            max_aliases: 0,
            max_anchors: 0,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    }
}

const LARGEST: usize = 4 << 20;
