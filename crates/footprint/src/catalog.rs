//! The catalogue: what frameworks are known to reach for by themselves, and what turns it off.
//!
//! Data, not code: the files of `catalog/` are compiled in, and others can be laid over them. A flow is classed by method
//! and path where requests were seen, else by its host; where a host serves several classes that cannot be told apart, the
//! answer says so instead of guessing.

use claw_model::host::{HostName, HostPattern};
use claw_model::http::{CanonicalPath, RequestPattern};
use claw_model::plane::Plane;
use serde::{Deserialize, Serialize};

use crate::indexes::{Index, Indexes};

mod error;
mod files;
mod read;

pub use error::{CatalogError, Flaw};
pub(crate) use read::is_assignment;

/// What is known, the most trusted layer first.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    entries: Vec<Entry>,
}

/// One thing a framework reaches for.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which framework.
    pub framework: String,
    /// In which versions; absent where it is no question of versions.
    pub versions: Option<String>,
    /// How it is known.
    pub source: Source,
    /// The host.
    pub(crate) place: Place,
    /// Its port; absent for any.
    pub(crate) port: Option<u16>,
    /// Which requests; empty for all.
    pub(crate) requests: Vec<RequestPattern>,
    /// Programs, by the first product of their user agent, that are known by how they ask, whatever host they ask.
    pub(crate) agents: Vec<String>,
    /// Whether the host serves many others too.
    pub(crate) shared: bool,
    /// The plane.
    pub plane: Plane,
    /// The class.
    pub class: Class,
    /// What it is.
    pub what: String,
    /// When it happens.
    pub when: Option<String>,
    /// What turns it off.
    pub switches: Vec<Switch>,
    /// A layer that was given counts before the one compiled in.
    layer: usize,
}

/// Where an entry points.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A host.
    Host(HostPattern),
    /// Whatever serves as this index: because this machine says so, or because it is asked as one.
    Index(Index),
}

/// What kind of traffic it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Without it the function that was asked for fails.
    Required,
    /// Settings, flags, lists: it works without.
    Optional,
    /// Tells somebody what is done.
    Telemetry,
    /// Asks for something newer.
    UpdateCheck,
    /// Fetches files.
    Asset,
    /// Asks the cloud whose machine this is.
    MetadataProbe,
    /// Packages.
    Registry,
    /// Several of these, which cannot be told apart.
    Mixed,
    /// Nobody knows.
    Unknown,
}

/// How an entry is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Recorded from the program itself.
    Measured,
    /// Said by its makers.
    Documented,
}

/// What turns something off.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Switch {
    /// `NAME=value` of an environment variable, or what stands in a configuration.
    pub text: String,
    /// Which of the two.
    pub kind: SwitchKind,
    /// Whether it was tried.
    pub verified: Verified,
}

/// Where a switch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SwitchKind {
    /// In the environment.
    Environment,
    /// In the program's own configuration or arguments.
    Option,
}

/// Whether a switch was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verified {
    /// Tried: it works.
    Works,
    /// Not tried: its makers say so.
    Untested,
    /// Tried: it does not.
    Fails,
}

/// What the catalogue says of a flow.
#[derive(Debug, Clone, Default)]
pub struct Known<'a> {
    /// The plane; absent if it is not known, or not one.
    pub plane: Option<Plane>,
    /// The class; [`Class::Mixed`] where several cannot be told apart.
    pub class: Class,
    /// The entries that speak of it.
    pub entries: Vec<&'a Entry>,
}

impl Default for Class {
    /// Unknown stays unknown.
    fn default() -> Class {
        Class::Unknown
    }
}

impl Class {
    /// The class as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Required => "required",
            Class::Optional => "optional",
            Class::Telemetry => "telemetry",
            Class::UpdateCheck => "update-check",
            Class::Asset => "asset",
            Class::MetadataProbe => "metadata-probe",
            Class::Registry => "registry",
            Class::Mixed => "mixed",
            Class::Unknown => "unknown",
        }
    }
}

impl Catalog {
    /// What is compiled in.
    pub fn built_in() -> Result<Catalog, CatalogError> {
        let mut catalog = Catalog::default();
        files::FILES.iter().try_for_each(|(name, text)| catalog.load(text, name, 0))?;
        Ok(catalog)
    }

    /// Lays a file over what is there: where both speak of the same request, the file wins.
    pub fn lay(&mut self, text: &str, name: &str) -> Result<(), CatalogError> {
        self.load(text, name, 1)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every entry.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn load(&mut self, text: &str, name: &str, layer: usize) -> Result<(), CatalogError> {
        self.entries.extend(read::entries(text, name)?.into_iter().map(|entry| Entry { layer, ..entry }));
        Ok(())
    }

    /// The entries about a host and port; a port that was not seen matches any.
    pub fn about<'a>(&'a self, host: &HostName, port: Option<u16>, indexes: &Indexes) -> Vec<&'a Entry> {
        let serves = indexes.of(host.as_str(), port);
        let meant = |entry: &&Entry| {
            let port = entry.port.is_none() || port.is_none() || entry.port == port;
            match &entry.place {
                Place::Host(pattern) => port && pattern.matches(host),
                Place::Index(index) => serves == Some(*index),
            }
        };
        self.entries.iter().filter(meant).collect()
    }

    /// The entries about a request by what its clients call themselves and how they ask, whatever host it is: all of them
    /// must be meant. A client that says nothing of itself is none of these.
    pub fn asked<'a, T: AsRef<str>>(&'a self, method: &str, path: &str, clients: &[T]) -> Vec<&'a Entry> {
        let meant = |entry: &&Entry| {
            let Place::Index(index) = &entry.place else { return false };
            let one = |client: &T| entry.agents.iter().any(|own| own == product(client.as_ref()));
            !clients.is_empty() && clients.iter().all(one) && index.is_asked(method, path)
        };
        self.entries.iter().filter(|entry| !entry.agents.is_empty()).filter(meant).collect()
    }
}

/// The first product of a user agent, without its version (RFC 9110, 10.1.5).
fn product(agent: &str) -> &str {
    agent.split(['/', ' ']).next().unwrap_or(agent)
}

impl<'a> Known<'a> {
    /// What is known of a flow to a host whose requests were not seen.
    pub fn host(about: &[&'a Entry], configured: Option<Index>) -> Known<'a> {
        let certain: Vec<&Entry> = about.iter().copied().filter(|entry| !entry.shared).collect();
        let known = Known::all(if certain.is_empty() { about.to_vec() } else { certain });
        if known.entries.iter().all(|entry| entry.shared) {
            // one of many that use this host: a candidate, no answer
            return Known { plane: None, class: Class::Unknown, entries: known.entries }
                .or_configured(configured);
        }
        known.or_configured(configured)
    }

    /// What is known of one request.
    pub fn request(about: &[&'a Entry], method: &str, path: &str, configured: Option<Index>) -> Known<'a> {
        let patterns = |entry: &&'a Entry| -> Vec<(&'a Entry, &'a RequestPattern)> {
            entry.requests.iter().map(|pattern| (*entry, pattern)).collect()
        };
        let matching: Vec<(&Entry, &RequestPattern)> = match CanonicalPath::parse(path) {
            Ok(path) => {
                about.iter().flat_map(patterns).filter(|(_, pattern)| pattern.matches(method, path)).collect()
            }
            Err(_) => Vec::new(),
        };
        let rank = |(entry, pattern): &(&Entry, &RequestPattern), best: &(&Entry, &RequestPattern)| {
            best.0.layer.cmp(&entry.layer).then_with(|| pattern.specificity(best.1))
        };
        let best = matching.iter().min_by(|one, other| rank(one, other));
        if let Some(best) = best {
            let alike = matching.iter().filter(|found| rank(found, best).is_eq());
            return Known::all(alike.map(|(entry, _)| *entry).collect());
        }
        let whole = about.iter().copied().filter(|entry| entry.requests.is_empty() && !entry.shared);
        Known::all(whole.collect()).or_configured(configured)
    }

    fn or_configured(self, configured: Option<Index>) -> Known<'a> {
        match configured {
            Some(_) if self.class == Class::Unknown => {
                Known { plane: Some(Plane::Update), class: Class::Registry, ..self }
            }
            _ => self,
        }
    }

    fn all(entries: Vec<&'a Entry>) -> Known<'a> {
        // a given layer speaks for what is compiled in
        let top = entries.iter().map(|entry| entry.layer).max().unwrap_or_default();
        let entries: Vec<&Entry> = entries.into_iter().filter(|entry| entry.layer == top).collect();
        let Some(first) = entries.first() else { return Known::default() };
        let one_plane = entries.iter().all(|entry| entry.plane == first.plane);
        let one_class = entries.iter().all(|entry| entry.class == first.class);
        Known {
            plane: one_plane.then_some(first.plane),
            class: if one_class { first.class } else { Class::Mixed },
            entries,
        }
    }
}

#[cfg(test)]
mod found_again;
#[cfg(test)]
mod tests;
