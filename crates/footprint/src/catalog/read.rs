//! Reading a catalogue strictly: unknown fields are refused with their line and the nearest known name.

use claw_model::host::HostPattern;
use claw_model::http::RequestPattern;
use claw_model::nearest::nearest;
use claw_model::plane::Plane;
use serde::Deserialize;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Error, Options, Spanned};

use super::error::{CatalogError, Flaw};
use super::{Class, Entry, Place, Source, Switch, SwitchKind, Verified};
use crate::indexes::Index;

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
    agents: Vec<String>,
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
    let at = |line: u64, flaw: Flaw| CatalogError { file: file.to_owned(), line: line.max(1), flaw };
    if text.len() > LARGEST {
        return Err(at(1, Flaw::TooLong { bytes: text.len(), most: LARGEST }));
    }
    let read: File = serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let error = error.without_snippet();
        at(error.location().map_or(1, |location| location.line()), told(error))
    })?;
    if read.version != 1 {
        return Err(at(1, Flaw::Version { version: read.version }));
    }
    let mut entries = Vec::new();
    for framework in read.frameworks {
        let line = |spanned: &Spanned<String>| spanned.referenced.line();
        if framework.name.value.trim().is_empty() {
            return Err(at(line(&framework.name), Flaw::Nameless));
        }
        if !is_month(&framework.date.value) {
            return Err(at(line(&framework.date), Flaw::Date { text: framework.date.value }));
        }
        for raw in framework.entries {
            let line = raw.referenced.line();
            let raw = raw.value;
            let place = match (raw.host, raw.index) {
                (Some(host), None) => Place::Host(host),
                (None, Some(index)) => Place::Index(index),
                _ => return Err(at(line, Flaw::Place)),
            };
            if matches!(place, Place::Host(_)) && !raw.agents.is_empty() {
                return Err(at(line, Flaw::AgentsOfHost));
            }
            if let Some(agent) = raw.agents.iter().find(|agent| !is_product(agent)) {
                return Err(at(line, Flaw::Agent { text: agent.clone() }));
            }
            if matches!(raw.class, Class::Mixed | Class::Unknown) {
                return Err(at(line, Flaw::Class { class: raw.class }));
            }
            entries.push(Entry {
                framework: framework.name.value.clone(),
                versions: framework.versions.clone(),
                source: framework.source,
                place,
                port: raw.port,
                requests: raw.requests,
                agents: raw.agents,
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

fn switch(raw: Spanned<RawSwitch>, at: &impl Fn(u64, Flaw) -> CatalogError) -> Result<Switch, CatalogError> {
    let line = raw.referenced.line();
    let RawSwitch { set, option, verified } = raw.value;
    let (text, kind) = match (set, option) {
        (Some(set), None) if is_assignment(&set) => (set, SwitchKind::Environment),
        (Some(text), None) => return Err(at(line, Flaw::Assignment { text })),
        (None, Some(option)) => (option, SwitchKind::Option),
        _ => return Err(at(line, Flaw::Switch)),
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
        && !value.chars().any(claw_model::shown::is_hidden)
}

/// A token of RFC 9110, 5.6.2.
fn is_product(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(token)
}

fn is_month(text: &str) -> bool {
    text.len() == 7
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 { byte == b'-' } else { byte.is_ascii_digit() })
}

/// Our own words for what the reader refuses.
fn told(error: &Error) -> Flaw {
    let near =
        |word: &str, known: &[&'static str]| nearest(word, known.iter().copied()).map(ToOwned::to_owned);
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            Flaw::Field { near: near(field, expected), known: expected.join(", "), name: field.clone() }
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            Flaw::Word { near: near(variant, expected), known: expected.join(", "), word: variant.clone() }
        }
        Error::SerdeMissingField { field, .. } => Flaw::Missing { field: (*field).to_owned() },
        Error::DuplicateMappingKey { key, .. } => Flaw::Twice { key: key.clone() },
        other => {
            let text = other.to_string();
            let line = text.lines().next().unwrap_or("not valid YAML");
            Flaw::Yaml { text: line.split(" at line ").next().unwrap_or(line).chars().take(200).collect() }
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
