//! What the catalogue knows of the frameworks that were run is found in the reports of these runs, or its absence is explained.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

#[derive(Deserialize)]
struct List {
    framework: Vec<Run>,
    absent: Vec<Absent>,
}

#[derive(Deserialize)]
struct Run {
    id: String,
    catalogue: Vec<String>,
}

#[derive(Deserialize)]
struct Absent {
    framework: String,
    what: Vec<String>,
    why: String,
}

/// `HOST:PORT`, and the requests there.
type Seen = BTreeMap<String, BTreeSet<String>>;

#[expect(clippy::disallowed_methods, reason = "a test reads the repository's documents")]
fn read(path: &str) -> String {
    let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Adds what a report's Markdown shows.
fn add(seen: &mut Seen, report: &str) {
    let mut target = String::new();
    for line in report.lines() {
        if let Some(rest) = line.strip_prefix("| `") {
            seen.entry(rest.split('`').next().unwrap().to_owned()).or_default();
        } else if let Some(name) = line.strip_prefix('`').and_then(|rest| rest.strip_suffix("`:")) {
            name.clone_into(&mut target);
        } else if let Some(rest) = line.strip_prefix("- `").or_else(|| line.strip_prefix("- <code>"))
            && let Some((request, _)) = rest.split_once("` (").or_else(|| rest.split_once("</code> ("))
        {
            seen.entry(target.clone()).or_default().insert(request.replace('\\', ""));
        }
    }
}

/// Each thing that an entry speaks of, and whether it was seen.
fn things(entry: &Entry, seen: &Seen) -> Vec<(String, bool)> {
    let host = match &entry.place {
        Place::Host(pattern) => pattern.to_string(),
        Place::Index(index) => format!("an index of {index:?}").to_lowercase(),
    };
    let place = entry.port.map_or(host.clone(), |port| format!("{host}:{port}"));
    let meant = |target: &str| {
        let Some((name, port)) = target.rsplit_once(':') else { return false };
        let port = entry.port.is_none_or(|own| port.parse() == Ok(own));
        match &entry.place {
            Place::Host(pattern) => port && HostName::parse(name).is_ok_and(|name| pattern.matches(&name)),
            Place::Index(_) => true,
        }
    };
    let own: Vec<&BTreeSet<String>> =
        seen.iter().filter(|(target, _)| meant(target)).map(|(_, requests)| requests).collect();
    if entry.requests.is_empty() {
        return vec![(place, !own.is_empty())];
    }
    let asked = |pattern: &RequestPattern| {
        own.iter().copied().flatten().any(|line| {
            let (method, path) = line.split_once(' ').unwrap();
            CanonicalPath::parse(path).is_ok_and(|path| pattern.matches(method, path))
        })
    };
    entry.requests.iter().map(|pattern| (format!("{pattern} on {place}"), asked(pattern))).collect()
}

#[test]
fn what_is_known_of_the_frameworks_is_found_again_or_its_absence_is_explained() {
    let list: List = toml::from_str(&read("footprints/frameworks.toml")).unwrap();
    let readme = read("docs/footprints/README.md");
    let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
    for run in &list.framework {
        let report = read(&format!("docs/footprints/{}.md", run.id));
        run.catalogue.iter().for_each(|name| add(seen.entry(name.as_str()).or_default(), &report));
    }
    let mut explained: BTreeSet<(String, String)> = BTreeSet::new();
    for absent in &list.absent {
        assert!(
            !absent.why.is_empty() && readme.contains(&absent.why),
            "{}: {}",
            absent.framework,
            absent.why
        );
        explained.extend(absent.what.iter().map(|what| (absent.framework.clone(), what.clone())));
    }
    let catalog = Catalog::built_in().unwrap();
    let (mut unexplained, mut found) = (Vec::new(), 0);
    for (name, seen) in &seen {
        let own: Vec<&Entry> = catalog
            .entries()
            .iter()
            .filter(|entry| entry.framework == *name && entry.source == Source::Measured)
            .collect();
        assert!(!own.is_empty(), "the catalogue knows nothing of `{name}`");
        for (thing, was_seen) in own.iter().flat_map(|entry| things(entry, seen)) {
            found += usize::from(was_seen);
            if was_seen == explained.remove(&((*name).to_owned(), thing.clone())) {
                unexplained.push(format!("{name}: {thing}: seen: {was_seen}"));
            }
        }
    }
    assert!(
        unexplained.is_empty(),
        "not found and not explained, or found and explained:\n{}",
        unexplained.join("\n")
    );
    assert!(explained.is_empty(), "nothing of the catalogue: {explained:?}");
    assert!(found > 25, "{found}");
}
